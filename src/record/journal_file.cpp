#include "jit_access/record/journal_file.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <memory>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <utility>
#include <vector>

#include "jit_access/core/chain.hpp"
#include "jit_access/core/failure.hpp"
#include "jit_access/pg/backend.hpp"
#include "jit_access/pg/clock.hpp"
#include "jit_access/pg/error.hpp"
#include "jit_access/pg/locks.hpp"
#include "jit_access/pg/settings.hpp"
#include "jit_access/shared/shared_state.hpp"

namespace jit::journal {

namespace {

constexpr std::size_t page = 4096;
constexpr char magic[8] = {'J', 'I', 'T', 'J', 'R', 'N', 'L', '3'};
// This is written instead of the magic while the file is created, and remains if the power fails before the file is
// complete.
constexpr char unfinished[8] = {'J', 'I', 'T', 'J', 'R', 'N', 'L', '-'};

struct FileHeader {
    char magic[8];
    std::uint64_t capacity;
    std::uint64_t secret;
    core::Uuid node;
    std::uint64_t device;
    std::uint64_t inode;
    std::atomic<std::uint64_t> tail;
    std::atomic<std::uint64_t> last_decision_lsn;
    std::atomic<std::int32_t> sync_error;  // errno; outlives the shared memory, not the server
    ClockMark clock;
    char checked_on[sizeof ClockMark::boot_id];  // boot on which the file was last compared with the tables
    // In a file of an earlier version this is zero, which means that no id was assigned.
    std::array<std::atomic<std::uint64_t>, id_counter_count> last_ids;
    std::array<RevokedGrant, max_revoked_grants> revoked;  // in such a file zero as well
};
static_assert(sizeof(FileHeader) <= page, "the header has one page");

// The id of an entry of FileHeader::revoked while the entry is being written. If the writing process dies, open() frees
// the entry.
constexpr std::uint64_t being_written = ~std::uint64_t{0};

// Thrown while the journal is opened. open() keeps the reason, which fault() returns.
struct CannotOpen {
    std::string why;
};

[[noreturn]] void fail(const std::string& what) { throw CannotOpen{what + ": " + std::strerror(errno)}; }

class Descriptor {
public:
    explicit Descriptor(int fd) noexcept : fd_(fd) {}
    ~Descriptor() {
        if (fd_ >= 0) ::close(fd_);
    }
    Descriptor(const Descriptor&) = delete;
    Descriptor& operator=(const Descriptor&) = delete;
    [[nodiscard]] int get() const noexcept { return fd_; }
    int release() noexcept { return std::exchange(fd_, -1); }

private:
    int fd_;
};

FileHeader* header = nullptr;
std::byte* mapped = nullptr;
core::Ring mapped_ring;
std::string open_fault = "It has not been opened.";
int journal_fd = -1;

FileHeader* map_header(int fd) {
    void* at = ::mmap(nullptr, page, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (at == MAP_FAILED) fail("could not map the header");
    return static_cast<FileHeader*>(at);
}

void set_checked_on_this_boot(FileHeader& file) noexcept {
    std::memset(file.checked_on, 0, sizeof file.checked_on);
    pg::boot_id().copy(file.checked_on, sizeof file.checked_on - 1);
}

bool was_checked_on_this_boot(const FileHeader& file) noexcept {
    const auto id = pg::boot_id();
    return !id.empty() && id == file.checked_on;
}

void preallocate(int fd, std::uint64_t capacity) {
    // A hole in the file would turn a full disk into a SIGBUS at some later store.
    if (const int error = ::posix_fallocate(fd, 0, static_cast<off_t>(page + capacity)); error != 0) {
        errno = error;
        fail("could not reserve " + std::to_string(page + capacity) + " bytes");
    }
}

// The server does the same for its WAL segments (wal_init_zero). Without the zeroes, the first write to a page that is
// only reserved would wait until the file system has allocated the page, and the next sync would wait for the file
// system's own journal.
void fill_with_zeroes(int fd, std::uint64_t capacity) {
    const std::vector<std::byte> zeroes(std::size_t{1} << 20);
    for (std::uint64_t done = 0; done < capacity;) {
        const auto count = std::min<std::uint64_t>(zeroes.size(), capacity - done);
        const auto written = ::pwrite(fd, zeroes.data(), count, static_cast<off_t>(page + done));
        if (written < 0 && errno == EINTR) continue;
        if (written <= 0) fail("could not fill " + std::to_string(capacity) + " bytes with zeroes");
        done += static_cast<std::uint64_t>(written);
    }
}

void format(int fd, std::uint64_t capacity, const struct stat& file) {
    pg::log_line("making a journal of " + std::to_string(capacity >> 20) + " MB");
    if (::ftruncate(fd, 0) != 0) fail("could not empty the file");
    if (::pwrite(fd, unfinished, sizeof unfinished, 0) != sizeof unfinished || ::fsync(fd) != 0)
        fail("could not begin the file");
    preallocate(fd, capacity);
    fill_with_zeroes(fd, capacity);
    FileHeader* fresh = map_header(fd);
    fresh->capacity = capacity;
    pg::random_bytes(&fresh->secret, sizeof fresh->secret);
    pg::random_bytes(fresh->node.data(), fresh->node.size());
    fresh->node = core::uuid_from_random(fresh->node);
    fresh->device = file.st_dev;
    fresh->inode = file.st_ino;
    fresh->tail.store(0);
    set_checked_on_this_boot(*fresh);
    std::memcpy(fresh->magic, magic, sizeof magic);
    ::munmap(fresh, page);
    if (::fsync(fd) != 0) fail("could not fsync");
}

// Empties the file if formatting fails, because a partial journal would keep the disk full, and the next start would
// mistake it for the journal of another server.
void format_or_empty(int fd, std::uint64_t capacity, const struct stat& file) {
    try {
        format(fd, capacity, file);
    } catch (...) {
        (void)!::ftruncate(fd, 0);
        throw;
    }
}

enum class FileState { ours, empty, copied, foreign };

bool is_unfinished(int fd) noexcept {
    char begins[sizeof unfinished];
    return ::pread(fd, begins, sizeof begins, 0) == sizeof begins &&
           std::memcmp(begins, unfinished, sizeof begins) == 0;
}

FileState inspect(int fd, const struct stat& file) {
    if (file.st_size == 0 || is_unfinished(fd)) return FileState::empty;
    if (file.st_size < static_cast<off_t>(page)) return FileState::foreign;
    FileHeader* present = map_header(fd);
    FileState state = FileState::ours;
    if (std::memcmp(present->magic, magic, sizeof magic) != 0 || present->capacity == 0 ||
        present->capacity % page != 0 || file.st_size != static_cast<off_t>(page + present->capacity))
        state = FileState::foreign;
    else if (present->device != file.st_dev || present->inode != file.st_ino)
        state = FileState::copied;
    ::munmap(present, page);
    return state;
}

// Opens and locks the journal of this server, or creates it. Any other file of that name is renamed and kept.
int open_file(const std::string& path, std::uint64_t capacity) {
    for (int attempt = 0; attempt < 2; ++attempt) {
        Descriptor file(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
        if (file.get() < 0) fail("could not open \"" + path + "\"");
        if (::flock(file.get(), LOCK_EX | LOCK_NB) != 0)
            fail("could not lock \"" + path + "\", another server may use it");
        struct stat info {};
        if (::fstat(file.get(), &info) != 0) fail("could not stat \"" + path + "\"");
        switch (inspect(file.get(), info)) {
            case FileState::ours: return file.release();
            case FileState::empty: format_or_empty(file.get(), capacity, info); return file.release();
            case FileState::copied:
            case FileState::foreign: {
                const std::string aside = path + ".aside." + std::to_string(pg::wall_clock());
                if (::rename(path.c_str(), aside.c_str()) != 0) fail("could not rename \"" + path + "\"");
                pg::log_line("the journal was not made by this server and this version of jit_access; it is kept as " +
                             aside + " and not read");
            }
        }
    }
    throw CannotOpen{"could not make \"" + path + "\""};
}

// Maps the ring twice in a row, so that no record is split. The page cache holds a file in large folios, and the kernel
// maps a folio with one fault if the address has the same alignment as the offset in the file. Otherwise every page
// causes a fault that costs as much as the one for a whole folio.
std::byte* map_twice(int fd, std::uint64_t capacity) {
    constexpr std::uint64_t largest_folio = std::uint64_t{2} << 20;
    const std::uint64_t size = page + 2 * capacity;
    std::size_t reserved = size + largest_folio;
    void* space = ::mmap(nullptr, reserved, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (space == MAP_FAILED) fail("could not reserve address space");
    void* aligned = space;
    auto* file = static_cast<std::byte*>(std::align(largest_folio, size, aligned, reserved));
    const auto map = [fd](std::byte* to, std::uint64_t bytes, std::uint64_t offset) {
        return ::mmap(to, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, static_cast<off_t>(offset)) == to;
    };
    if (!map(file, size - capacity, 0) || !map(file + size - capacity, capacity, page)) {
        const int error = errno;
        ::munmap(space, size + largest_folio);
        errno = error;
        fail("could not map the journal");
    }
    return file + page;
}

void open_and_map() {
    const std::string folder = directory();
    if (::mkdir(folder.c_str(), 0700) != 0 && errno != EEXIST) fail("could not make directory \"" + folder + "\"");
    Descriptor file(open_file(folder + "/journal", static_cast<std::uint64_t>(settings::journal_size) << 20));
    FileHeader* file_header = map_header(file.get());
    try {
        preallocate(file.get(), file_header->capacity);
        mapped = map_twice(file.get(), file_header->capacity);
    } catch (...) {
        ::munmap(file_header, page);
        throw;
    }
    header = file_header;
    // The descriptor stays open in the postmaster and every process inherits it, because it holds the lock on the file.
    journal_fd = file.release();
}

}  // namespace

void open() noexcept {
    try {
        if (header == nullptr) {
            open_and_map();
            header->sync_error.store(0);
        }
        // After a crash the mapping still exists, but the control block is in the new shared memory.
        mapped_ring = core::Ring(mapped, header->capacity, header->secret, pg::crc32c, &shared_state->ring);
        shared_state->journal_head_at_start = mapped_ring.recover(header->tail.load()).head;
        shared_state->last_decision_lsn = header->last_decision_lsn.load();
        shared_state->journal_accepts_writes.store(was_checked_on_this_boot(*header));
        for (auto& entry : header->revoked)
            if (entry.id.load() == being_written) entry.id.store(0);
        open_fault.clear();
    } catch (const CannotOpen& error) {
        header = nullptr;
        open_fault = error.why;
    } catch (const std::exception& error) {
        header = nullptr;
        open_fault = error.what();
    }
    if (!available()) pg::log_line("the journal is not available, uses of grants will be refused: " + open_fault);
}

std::string directory() {
    if (settings::journal_directory != nullptr && *settings::journal_directory != '\0')
        return settings::journal_directory;
    return pg::data_directory() + "/jit_access";
}

bool available() noexcept { return header != nullptr; }
const std::string& fault() noexcept { return open_fault; }
core::Ring& ring() noexcept { return mapped_ring; }
core::Uuid node_id() noexcept { return header != nullptr ? header->node : core::Uuid{}; }
std::string node() { return core::to_text(node_id()); }
ClockMark& clock_mark() noexcept { return header->clock; }
std::array<std::atomic<std::uint64_t>, id_counter_count>& id_counters() noexcept {
    return header != nullptr ? header->last_ids : shared_state->last_ids;
}

std::span<RevokedGrant> revoked_grants() noexcept {
    if (header == nullptr) return {};
    return header->revoked;
}

namespace {

bool is_noted(std::uint64_t grant) noexcept {
    return std::any_of(header->revoked.begin(), header->revoked.end(),
                       [grant](const RevokedGrant& entry) { return entry.id.load() == grant; });
}

bool write_entry(std::uint64_t grant, std::uint32_t by) noexcept {
    for (auto& entry : header->revoked) {
        std::uint64_t expected = 0;
        if (!entry.id.compare_exchange_strong(expected, being_written)) continue;
        entry.by.store(by);
        entry.at.store(static_cast<std::uint32_t>(pg::wall_clock() / 1'000'000));
        entry.id.store(grant);
        return true;
    }
    return false;
}

}  // namespace

bool note_revocation(std::uint64_t grant, std::uint32_t by) {
    if (header == nullptr || (!is_noted(grant) && !write_entry(grant, by))) return false;
    try {
        make_durable();
        return true;
    } catch (const core::Failure&) {
        return false;
    }
}

namespace {

int sync_file() noexcept {
    int result = 0;
    do result = ::fdatasync(journal_fd);
    while (result != 0 && errno == EINTR);  // some file systems let a signal interrupt it
    return result;
}

}  // namespace

void make_durable() {
    // Only a sync that starts from here on covers the records of this process.
    auto& syncs = shared_state->syncs;
    std::atomic_thread_fence(std::memory_order_seq_cst);  // stores of the records come before the load of the number
    const auto before = syncs.started.load();
    while (syncs.completed.load() <= before && header->sync_error.load() == 0) {
        if (!pg::acquire_sync_lock_or_wait()) continue;  // another process has synced
        if (syncs.completed.load() <= before && header->sync_error.load() == 0) {
            const auto number = syncs.started.fetch_add(1) + 1;
            if (sync_file() == 0)
                syncs.completed.store(number);
            else
                header->sync_error.store(errno);
        }
        pg::release_sync_lock();
    }
    if (const int error = header->sync_error.load(); error != 0)
        throw core::Failure(core::Code::journal_failed, "the journal of uses cannot be made durable",
                            std::string("It could not be written to disk: ") + std::strerror(error) + ".",
                            "Repair the disk and restart the server; sessions without a grant are not affected.");
}

void mark_read(std::uint64_t position) noexcept {
    header->tail.store(position, std::memory_order_release);
    mapped_ring.advance(position);
}

void advance_decision_lsn(std::uint64_t lsn) noexcept {
    if (header == nullptr) return;
    auto& stored = header->last_decision_lsn;
    auto current = stored.load(std::memory_order_relaxed);
    while (current < lsn && !stored.compare_exchange_weak(current, lsn)) {
    }
}

void reset_decision_lsn(std::uint64_t lsn) noexcept {
    if (header != nullptr) header->last_decision_lsn.store(lsn);
}

void start_writes_after(std::uint64_t lost_bytes) noexcept {
    if (lost_bytes != 0) {
        const auto position = shared_state->journal_head_at_start + lost_bytes;
        header->tail.store(position, std::memory_order_release);
        shared_state->journal_head_at_start = mapped_ring.recover(position).head;
    }
    set_checked_on_this_boot(*header);
    shared_state->journal_was_checked = true;
    shared_state->journal_accepts_writes.store(true, std::memory_order_release);
}

}  // namespace jit::journal
