#include "jit_access/pg/signals.hpp"

#include <array>
#include <csignal>
#include <unistd.h>

#include "jit_access/pg/server.hpp"

extern "C" {
#include "tcop/tcopprot.h"
}

namespace jit::pg {

namespace {

struct Handler {
    int signal;
    struct sigaction action;
};

// The signals by which the server and other sessions reach this one.
std::array<Handler, 7> handlers{
    {{SIGTERM, {}}, {SIGINT, {}}, {SIGUSR1, {}}, {SIGALRM, {}}, {SIGHUP, {}}, {SIGQUIT, {}}, {SIGUSR2, {}}}};
sigset_t blocked;
bool is_remembered = false;

bool is_same(const struct sigaction& one, const struct sigaction& other) noexcept {
    return one.sa_handler == other.sa_handler && one.sa_flags == other.sa_flags;
}

bool restore(const Handler& handler) noexcept {
    struct sigaction now {};
    if (sigaction(handler.signal, nullptr, &now) != 0 || is_same(now, handler.action)) return false;
    (void)sigaction(handler.signal, &handler.action, nullptr);
    return true;
}

bool restore_blocked() noexcept {
    sigset_t now;
    (void)sigprocmask(SIG_SETMASK, &blocked, &now);
    for (const auto& handler : handlers)
        if (sigismember(&now, handler.signal) != sigismember(&blocked, handler.signal)) return true;
    return sigismember(&now, SIGRTMIN) != sigismember(&blocked, SIGRTMIN);
}

}  // namespace

void remember_signal_handlers() noexcept {
    if (is_remembered) return;
    for (auto& handler : handlers) (void)sigaction(handler.signal, nullptr, &handler.action);
    (void)sigprocmask(SIG_SETMASK, nullptr, &blocked);
    is_remembered = true;
}

bool restore_signal_handlers() noexcept {
    if (!is_remembered) return false;
    bool changed = restore_blocked();
    for (const auto& handler : handlers) changed |= restore(handler);
    // A SIGUSR1 may have been lost in the meantime. It only says that shared memory holds requests of other processes,
    // so sending it again makes this process read them.
    if (changed) (void)kill(getpid(), SIGUSR1);
    return changed;
}

void terminate_self() noexcept { die(SIGTERM); }
void cancel_own_statement() noexcept { StatementCancelHandler(SIGINT); }

}  // namespace jit::pg
