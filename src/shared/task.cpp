#include "jit_access/shared/task.hpp"

#include <algorithm>

#include "jit_access/pg/backend.hpp"
#include "jit_access/pg/error.hpp"
#include "jit_access/pg/xact.hpp"

namespace jit::task {

namespace {

std::uint64_t faults_so_far = 0;

void log_fault(const std::string& what, const std::string& why) {
    ++faults_so_far;
    pg::log_line("could not " + what + ": " + why);
}

}  // namespace

std::uint64_t failure_count() noexcept { return faults_so_far; }

const std::string actor = "jit_access";

std::optional<std::string> run_in_transaction(const std::function<void()>& body) {
    return pg::in_own_transaction([&] {
        if (!pg::is_standby()) pg::commit_locally();
        body();
    });
}

namespace {

std::optional<std::string> lazily(const std::function<void()>& body) {
    return pg::in_own_transaction([&] {
        pg::commit_asynchronously();
        body();
    });
}

}  // namespace

std::map<std::int64_t, std::string> run_for_each(const std::vector<std::int64_t>& ids,
                                                 const std::function<void(std::int64_t)>& body) {
    constexpr std::size_t together = 50;
    std::map<std::int64_t, std::string> failed;
    for (auto from = ids.begin(); from != ids.end();) {
        const auto to = from + static_cast<std::ptrdiff_t>(
                                   std::min(together, static_cast<std::size_t>(std::distance(from, ids.end()))));
        const bool at_once = std::distance(from, to) > 1 && !lazily([&] { std::for_each(from, to, body); });
        for (; from != to; ++from)
            if (auto fault = at_once ? std::nullopt : lazily([&] { body(*from); })) failed.emplace(*from, *fault);
    }
    return failed;
}

void run_or_log(const std::string& what, const std::function<void()>& body) {
    if (const auto fault = run_in_transaction(body)) log_fault(what, *fault);
}

namespace {

template <class Look>
std::vector<std::int64_t> ids_by(Look&& look) {
    std::vector<std::int64_t> found;
    const auto fault = run_in_transaction([&] {
        for (const auto& row : look()) found.push_back(row.template get<std::int64_t>(0));
    });
    if (!fault) return found;
    log_fault("look at the requests", *fault);
    return {};
}

}  // namespace

std::vector<std::int64_t> query_ids(const char* sql, std::initializer_list<pg::Argument> args) {
    return ids_by([&] { return pg::query(sql, args); });
}

std::vector<std::int64_t> query_ids_replanned(const char* sql) {
    return ids_by([&] { return pg::query_replanned(sql); });
}

}  // namespace jit::task
