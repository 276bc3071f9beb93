#include "jit_access/record/notification.hpp"

#include <set>

#include "jit_access/core/lifecycle.hpp"
#include "jit_access/pg/error.hpp"
#include "jit_access/pg/sql.hpp"
#include "jit_access/pg/xact.hpp"

namespace jit::notification {

namespace {

constexpr const char* channel = "jit_access";
using Next = std::vector<std::string>::const_iterator;

// The server sends only once what is alike in one transaction.
Next first_repeated(Next from, Next end) {
    std::set<std::string> said;
    while (from != end && said.insert(*from).second) ++from;
    return from;
}

// Who sends holds a lock that all who send wait for, until its commit is done: it does not wait for the disk.
std::optional<std::string> send_together(Next from, Next to) {
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
    static bool failing = false;
    for (auto from = notices.begin(); from != notices.end();) {
        const auto to = first_repeated(from, notices.end());
        if (const auto fault = send_together(from, to)) {
            if (!failing) pg::log_line("could not notify, will not be retried: " + *fault);
            failing = true;
            return;
        }
        failing = false;
        from = to;
    }
}

}  // namespace jit::notification
