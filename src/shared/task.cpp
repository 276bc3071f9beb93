#include "jit_access/shared/task.hpp"

#include <algorithm>

#include "jit_access/pg/backend.hpp"
#include "jit_access/pg/error.hpp"
#include "jit_access/pg/xact.hpp"

namespace jit::task {

const std::string actor = "jit_access";

namespace {

std::uint64_t failures = 0;

void log_failure(const std::string& what, const std::string& message) {
    ++failures;
    pg::log_line("could not " + what + ": " + message);
}

std::optional<std::string> run_with_asynchronous_commit(const std::function<void()>& body) {
    return pg::in_own_transaction([&] {
        pg::commit_asynchronously();
        body();
    });
}

template <class Query>
std::vector<std::int64_t> collect_ids(Query&& query) {
    std::vector<std::int64_t> ids;
    const auto fault = run_in_transaction([&] {
        for (const auto& row : query()) ids.push_back(row.template get<std::int64_t>(0));
    });
    if (!fault) return ids;
    log_failure("read the requests", *fault);
    return {};
}

}  // namespace

std::uint64_t failure_count() noexcept { return failures; }

std::optional<std::string> run_in_transaction(const std::function<void()>& body) {
    return pg::in_own_transaction([&] {
        if (!pg::is_standby()) pg::commit_locally();
        body();
    });
}

void run_or_log(const std::string& what, const std::function<void()>& body) {
    if (const auto fault = run_in_transaction(body)) log_failure(what, *fault);
}

std::map<std::int64_t, std::string> run_for_each(const std::vector<std::int64_t>& ids,
                                                 const std::function<void(std::int64_t)>& body) {
    // A commit costs more than the work for one request, so many grants that end at the same moment share a few
    // commits.
    constexpr std::size_t group_size = 50;
    std::map<std::int64_t, std::string> failed;
    for (auto from = ids.begin(); from != ids.end();) {
        const auto to = from + static_cast<std::ptrdiff_t>(
                                   std::min(group_size, static_cast<std::size_t>(std::distance(from, ids.end()))));
        const bool group_committed =
            std::distance(from, to) > 1 && !run_with_asynchronous_commit([&] { std::for_each(from, to, body); });
        for (; from != to; ++from) {
            if (group_committed) continue;
            if (auto fault = run_with_asynchronous_commit([&] { body(*from); })) failed.emplace(*from, *fault);
        }
    }
    return failed;
}

std::vector<std::int64_t> query_ids(const char* sql, std::initializer_list<pg::Argument> args) {
    return collect_ids([&] { return pg::query(sql, args); });
}

std::vector<std::int64_t> query_ids_replanned(const char* sql) {
    return collect_ids([&] { return pg::query_replanned(sql); });
}

}  // namespace jit::task
