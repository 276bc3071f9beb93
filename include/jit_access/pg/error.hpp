// Errors of the server as C++ exceptions, and messages to the server log and the client.
#pragma once

#include <exception>
#include <string>

struct ErrorData;

namespace jit::pg {

// A server ERROR on its way through C++ frames. It is raised again, unchanged, at the entry; it is never swallowed
// outside a subtransaction (see Subtransaction in xact.hpp).
class ServerError final : public std::exception {
public:
    explicit ServerError(ErrorData* data) noexcept : data_(data) {}
    [[nodiscard]] const char* what() const noexcept override;
    [[nodiscard]] ErrorData* data() const noexcept { return data_; }
    [[nodiscard]] std::string sqlstate() const;

private:
    ErrorData* data_;  // lives in the memory context of whoever called
};

// Whether it was a core::Failure of this extension, which no function can feign. What a parallel worker tells its
// leader has lost the mark: it may have been one.
[[nodiscard]] bool is_ours(const ErrorData& error) noexcept;
[[nodiscard]] bool is_relayed(const ErrorData& error) noexcept;

// Server log only; cannot fail.
void log_line(const char* message) noexcept;
void log_line(const std::string& message) noexcept;
// To the client, as a NOTICE.
void notice(const std::string& message, const std::string& hint = {});

}  // namespace jit::pg
