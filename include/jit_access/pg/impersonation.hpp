// Acting as somebody else for a moment, in a stretch of a transaction that leaves nothing.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "jit_access/pg/role.hpp"

namespace jit::pg {

// Runs the body in a subtransaction that is rolled back, however the body ends. Its exception goes on.
void in_rolled_back_subtransaction(const std::function<void()>& body);

// An error that a subtransaction has ended with.
struct Fault {
    std::string sqlstate;
    std::string message;
    std::string context{};  // lines about what ran, the innermost first
    std::string format{};   // of the message, before it was filled in and translated
    bool ours = false;      // raised by the extension
};

// Runs the body in a subtransaction: an error rolls that back alone. Somebody's wish to cancel goes on; that of a
// CancelTimer does not.
[[nodiscard]] std::optional<Fault> attempt(const std::function<void()>& body);

// The current user, while this is alive; neither SET ROLE nor SET SESSION AUTHORIZATION leads out. Where nothing is to
// run, it is a security-restricted operation as well.
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

// No message reaches the client while this is alive.
class MessageSuppression {
public:
    MessageSuppression() noexcept;
    ~MessageSuppression();
    MessageSuppression(const MessageSuppression&) = delete;
    MessageSuppression& operator=(const MessageSuppression&) = delete;

private:
    int destination_;
};

// Cancels what runs after a time, again and again until it is gone.
class CancelTimer {
public:
    explicit CancelTimer(std::int64_t microseconds);
    ~CancelTimer();
    CancelTimer(const CancelTimer&) = delete;
    CancelTimer& operator=(const CancelTimer&) = delete;

    [[nodiscard]] static bool is_over() noexcept;
};

// Until the (sub)transaction ends or it is set again.
void set_search_path(const std::string& path);
[[nodiscard]] std::string search_path();

// For locks, until the (sub)transaction ends.
void set_short_lock_timeout();

// No parallel worker takes part, until the (sub)transaction ends.
void disable_parallel_query();

// Runs one command and throws away what it returns; the number of rows it has processed. Throws `guarded` for what only
// a client can send.
std::uint64_t run_and_discard(const std::string& sql);

}  // namespace jit::pg
