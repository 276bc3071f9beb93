// Errors of the server as C++ exceptions, and messages to the server log and the client.
#pragma once

#include <exception>
#include <string>
#include <string_view>

struct ErrorData;

namespace jit::pg {

// A server ERROR on its way through C++ frames. pg::call() throws it, and pg::guarded() raises it again, unchanged.
// Only functions that roll back a (sub)transaction may swallow it (see README.md).
class ServerError final : public std::exception {
public:
    explicit ServerError(ErrorData* data) noexcept : data_(data) {}
    [[nodiscard]] const char* what() const noexcept override;
    [[nodiscard]] ErrorData* data() const noexcept { return data_; }
    [[nodiscard]] std::string sqlstate() const;

private:
    ErrorData* data_;  // in the memory context that was current at the pg::call()
};

// SQLSTATEs of the server to which the extension reacts.
namespace sqlstate {
inline constexpr std::string_view insufficient_privilege = "42501";
inline constexpr std::string_view query_canceled = "57014";
inline constexpr std::string_view out_of_memory = "53200";  // also if the lock table is full
inline constexpr std::string_view lock_not_available = "55P03";
inline constexpr std::string_view deadlock_detected = "40P01";
inline constexpr std::string_view serialization_failure = "40001";

// Whether another session held a lock, so that the same attempt may succeed once that session has ended.
[[nodiscard]] constexpr bool is_lock_conflict(std::string_view state) noexcept {
    return state == lock_not_available || state == deadlock_detected;
}
// Whether another session blocked the attempt in any way, so that the same attempt may succeed later.
[[nodiscard]] constexpr bool is_conflict(std::string_view state) noexcept {
    return is_lock_conflict(state) || state == serialization_failure;
}
}  // namespace sqlstate

// Whether the error was a core::Failure of this extension. No user-defined function can forge it.
[[nodiscard]] bool is_extension_error(const ErrorData& error) noexcept;
// Whether a parallel worker has sent the error to this process. The origin of such an error is unknown: it may have
// been an error of the extension.
[[nodiscard]] bool is_relayed_by_parallel_worker(const ErrorData& error) noexcept;

// Writes to the server log only, at level LOG.
void log_line(const char* message) noexcept;
void log_line(const std::string& message) noexcept;
// Sends a NOTICE to the client. Throws server errors.
void notice(const std::string& message, const std::string& hint = {});

}  // namespace jit::pg
