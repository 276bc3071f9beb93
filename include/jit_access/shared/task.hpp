// How the worker goes about its chores: each in a transaction of its own, a fault is logged and holds up nothing else.
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

// Who did it, on the record.
extern const std::string actor;

// Runs the body in a transaction that waits for no standby: access ends when it ends. The fault, if any, comes back.
[[nodiscard]] std::optional<std::string> run_in_transaction(const std::function<void()>& body);

// The same, with the fault in the server log: "could not <what>: <why>".
void run_or_log(const std::string& what, const std::function<void()>& body);

// Does one thing for many requests: many in one transaction, and where that fails each in one of its own, so that one
// that fails holds up no other. What a crash loses of it is found due again. Answers which have failed, and why.
[[nodiscard]] std::map<std::int64_t, std::string> run_for_each(const std::vector<std::int64_t>& ids,
                                                               const std::function<void(std::int64_t)>& body);

// How many of what is tried and asked for here has failed in this process.
[[nodiscard]] std::uint64_t failure_count() noexcept;

// The ids a query answers with; none when it fails, which is logged.
[[nodiscard]] std::vector<std::int64_t> query_ids(const char* sql, std::initializer_list<pg::Argument> args = {});
// The same of one over everything there is (see pg::query_replanned).
[[nodiscard]] std::vector<std::int64_t> query_ids_replanned(const char* sql);

}  // namespace jit::task
