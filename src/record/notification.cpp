#include "jit_access/record/notification.hpp"

#include <set>

#include "jit_access/core/lifecycle.hpp"
#include "jit_access/pg/error.hpp"
#include "jit_access/pg/sql.hpp"
#include "jit_access/pg/xact.hpp"

namespace jit::notification {

namespace {

constexpr const char* channel = "jit_access";
using Position = std::vector<std::string>::const_iterator;

// Within one transaction the server drops duplicates, so equal payloads are sent in different transactions.
Position first_repeated(Position from, Position end) {
    std::set<std::string> payloads;
    while (from != end && payloads.insert(*from).second) ++from;
    return from;
}

// The commit holds a lock for which every other sender in the cluster waits. It is asynchronous, so that the lock is
// not held while the disk is written.
std::optional<std::string> send_together(Position from, Position to) {
    return pg::in_own_transaction([&] {
        pg::commit_asynchronously();
        for (; from != to; ++from) pg::query("SELECT pg_catalog.pg_notify($1, $2)", {std::string(channel), *from});
    });
}

}  // namespace

std::optional<std::string> of_event(std::string_view kind, std::optional<std::int64_t> id) {
    const auto state = core::state_after(kind);
    if (!state || !id) return std::nullopt;
    return "{\"id\":" + std::to_string(*id) + ",\"state\":\"" + std::string(core::to_string(*state)) + "\"}";
}

void send(const std::vector<std::string>& notices) {
    static bool is_failing = false;
    for (auto from = notices.begin(); from != notices.end();) {
        const auto to = first_repeated(from, notices.end());
        if (const auto fault = send_together(from, to)) {
            if (!is_failing) pg::log_line("could not notify, will not be retried: " + *fault);
            is_failing = true;
            return;
        }
        is_failing = false;
        from = to;
    }
}

}  // namespace jit::notification
