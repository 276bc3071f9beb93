// Runs statements as another user in a part of a transaction that is rolled back, for dry runs.
//
// Everything here needs a transaction. The classes are scopes: the constructor sets something, and the destructor
// restores it.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "jit_access/pg/role.hpp"

namespace jit::pg {

// Runs the body in a subtransaction that is rolled back in any case. An exception of the body is passed on.
void in_rolled_back_subtransaction(const std::function<void()>& body);

// The error that rolled back a subtransaction.
struct Fault {
    std::string sqlstate;
    std::string message;
    std::string context{};  // CONTEXT lines, innermost first
    std::string format{};   // format string of the message: not translated, without data
    bool ours = false;      // raised by the extension
};

// Runs the body in a subtransaction and returns the error that rolled it back; nullopt if it was released. A cancel
// request by a user is passed on as an exception; one by a CancelTimer is returned like any other error.
[[nodiscard]] std::optional<Fault> attempt(const std::function<void()>& body);

// Sets the current user. As long as the scope exists, SET ROLE and SET SESSION AUTHORIZATION are refused. With
// Restricted::yes the scope is a security-restricted operation as well, in which the session's state cannot be changed.
enum class Restricted : bool { no, yes };
class Impersonate {
public:
    Impersonate(RoleId user, Restricted restricted) noexcept;
    ~Impersonate();
    Impersonate(const Impersonate&) = delete;
    Impersonate& operator=(const Impersonate&) = delete;

private:
    std::uint32_t user_ = 0;
    int context_ = 0;
};

// Suppresses all messages to the client.
class MessageSuppression {
public:
    MessageSuppression() noexcept;
    ~MessageSuppression();
    MessageSuppression(const MessageSuppression&) = delete;
    MessageSuppression& operator=(const MessageSuppression&) = delete;

private:
    int destination_;
};

// Cancels the running statement when the time has passed. Repeats this at intervals, because a function may catch the
// error.
class CancelTimer {
public:
    explicit CancelTimer(std::int64_t microseconds);
    ~CancelTimer();
    CancelTimer(const CancelTimer&) = delete;
    CancelTimer& operator=(const CancelTimer&) = delete;

    [[nodiscard]] static bool is_over() noexcept;
};

// The following settings hold until the end of the (sub)transaction.
void set_search_path(const std::string& path);
[[nodiscard]] std::string search_path();
void set_short_lock_timeout();
void disable_parallel_query();

// Runs one command, discards its rows and returns their number. Throws `guarded` for commands that only a client can
// send.
std::uint64_t run_and_discard(const std::string& sql);

}  // namespace jit::pg
