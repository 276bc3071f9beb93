// Scheduled jobs. Job x is the SQL function jit_access.job_x() without arguments, which returns a line about what it
// did; the table jit_access.job has when it is to run and what came of it. Each run is a process of its own in the
// control database, with the settings of the worker, whoever's clock has asked for it: pg_cron's, an administrator's,
// or the worker's own for what is essential. Of one job there is one at a time.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "jit_access/identity/principal.hpp"

namespace jit::schedule {

// The worker's, once in a nap: starts an essential job that is due, and waits for nothing.
void start_due();
// Whether pg_cron is to do what the worker does in each nap otherwise.
[[nodiscard]] bool is_left_to_cron(const std::string& job);

// Runs a job and waits for it; answers what it said. Throws what it failed with.
[[nodiscard]] std::string run(const std::optional<std::string>& job);
// The life of the process that does it.
void work(const std::string& job);

struct CronJob {
    std::string name;
    std::string schedule;  // in UTC
    std::string command;
};
// By administrators: makes the jobs of pg_cron anew, or takes them away; all that there are, or one.
std::vector<CronJob> make(const std::optional<std::string>& job, const std::optional<std::string>& schedule,
                          const principal::Origin& origin);
std::int32_t remove(const std::optional<std::string>& job, const principal::Origin& origin);

// What pg_cron has of a job, for the views; nothing where it is not in this database.
[[nodiscard]] std::optional<std::string> state_in_cron(const std::string& job);

}  // namespace jit::schedule
