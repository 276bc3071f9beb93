// How the worker and its jobs do their work: each task runs in a transaction of its own, so a failed task is logged and
// delays no other.
//
// Only for background processes, which have no transaction open between tasks. run_in_transaction() and run_for_each()
// return failures; the other functions log a failure and continue. None of them throws.
#pragma once

#include <cstdint>
#include <functional>
#include <initializer_list>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "jit_access/pg/sql.hpp"

namespace jit::task {

// The actor of changes that the worker makes, in the record.
extern const std::string actor;

// Runs the body in a transaction. Its commit does not wait for a synchronous standby, because access must end at its
// deadline even if the standby is not available. Returns the message of the error that rolled it back; nullopt if it
// committed.
[[nodiscard]] std::optional<std::string> run_in_transaction(const std::function<void()>& body);

// The same, but logs the error: "could not <what>: <message>".
void run_or_log(const std::string& what, const std::function<void()>& body);

// Runs the body for many requests, in groups that share a transaction. If a group fails, the body is run again for each
// of its requests, in a transaction of its own. Commits are asynchronous, so if a crash loses them, the caller must
// find the requests due again. Returns the failed requests with the messages of their errors.
[[nodiscard]] std::map<std::int64_t, std::string> run_for_each(const std::vector<std::int64_t>& ids,
                                                               const std::function<void(std::int64_t)>& body);

// Number of failures that were logged by this process. A caller compares the values before and after its work to see
// whether all of it succeeded.
[[nodiscard]] std::uint64_t failure_count() noexcept;

// Runs a query in a transaction of its own. Returns the ids in the first column of its result; no ids if the query
// fails.
[[nodiscard]] std::vector<std::int64_t> query_ids(const char* sql, std::initializer_list<pg::Argument> args = {});
// The same for a query that is planned each time (see pg::query_replanned).
[[nodiscard]] std::vector<std::int64_t> query_ids_replanned(const char* sql);

}  // namespace jit::task
