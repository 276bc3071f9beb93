#include "jit_access/shared/key_file.hpp"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <fstream>
#include <sys/stat.h>
#include <unistd.h>

#include "jit_access/core/chain.hpp"
#include "jit_access/pg/backend.hpp"

namespace jit::key_file {

namespace {

constexpr std::size_t created_size = 32;  // bytes
constexpr std::size_t min_size = 16;      // of a key that an administrator has written; HMAC accepts any length

bool write_and_sync(int file, const std::string& text) noexcept {
    return ::write(file, text.data(), text.size()) == static_cast<ssize_t>(text.size()) && ::fsync(file) == 0;
}

}  // namespace

std::optional<std::vector<std::byte>> read(const std::string& name) {
    std::ifstream file(name, std::ios::binary);
    std::string text((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
    while (!text.empty() && (text.back() == '\n' || text.back() == ' ')) text.pop_back();
    auto key = core::from_hex(text);
    if (!key || key->size() < min_size) return std::nullopt;
    return key;
}

std::optional<std::string> create(const std::string& name) {
    std::vector<std::byte> key(created_size);
    pg::random_bytes(key.data(), key.size());
    const auto content = core::to_hex(key) + "\n";
    // The content is written and synced under another name. link() then publishes it and, unlike rename(), does not
    // replace a file that another process has created in the meantime.
    const auto temporary = name + "." + std::to_string(pg::backend_pid());
    (void)::unlink(temporary.c_str());  // left by a process that crashed with this pid
    const int file = ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, S_IRUSR | S_IWUSR);
    bool ok = file >= 0 && write_and_sync(file, content);
    int error = errno;
    if (file >= 0) ::close(file);
    if (ok && ::link(temporary.c_str(), name.c_str()) != 0) {
        error = errno;
        ok = error == EEXIST;
    }
    if (file >= 0) (void)::unlink(temporary.c_str());
    if (ok) return std::nullopt;
    return std::string(std::strerror(error));
}

std::optional<std::string> find_problem(const std::string& name) {
    struct stat info {};
    const auto quoted = "\"" + name + "\"";
    if (::stat(name.c_str(), &info) != 0) return quoted + " cannot be read: " + std::strerror(errno) + ".";
    if (!S_ISREG(info.st_mode)) return quoted + " is no file.";
    if (info.st_uid != ::geteuid()) return quoted + " belongs to another user of the system than the server runs as.";
    if ((info.st_mode & (S_IRWXG | S_IRWXO)) != 0) return quoted + " can be read or written by others.";
    const auto key = read(name);
    if (!key || key->size() < created_size) return quoted + " does not hold 64 hexadecimal digits.";
    return std::nullopt;
}

}  // namespace jit::key_file
