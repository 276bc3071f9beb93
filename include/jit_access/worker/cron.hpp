// The jobs of jit_access in pg_cron, an extension that may be in the control database. Job x has the name
// "jit_access: x" there and the command SELECT jit_access.run_job('x'), so that it runs as described in schedule.hpp.
//
// All functions run in the caller's transaction.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "jit_access/identity/principal.hpp"

namespace jit::cron {

struct CronJob {
    std::string name;
    std::string schedule;  // in UTC
    std::string command;
};

// For administrators, in a statement of their own: creates one job or all of them, replacing earlier ones. Without a
// schedule, the one in jit_access.job is kept. Throws wrong_state if pg_cron is missing or its time zone is not UTC,
// and invalid_argument for an unknown job or a schedule that pg_cron refuses.
std::vector<CronJob> create_jobs(const std::optional<std::string>& job, const std::optional<std::string>& schedule,
                                 const principal::Origin& origin);

// Removes one job or all of them from pg_cron. Returns how many were removed. Does not need pg_cron.
std::int32_t remove_jobs(const std::optional<std::string>& job, const principal::Origin& origin);

// Whether a job was given to pg_cron, so that the worker leaves it to pg_cron.
[[nodiscard]] bool is_scheduled(const std::string& job);

// Returns "as scheduled", "changed" or "missing"; nullopt if pg_cron is not in this database.
[[nodiscard]] std::optional<std::string> job_state(const std::string& job);

}  // namespace jit::cron
