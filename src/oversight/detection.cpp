#include "jit_access/oversight/detection.hpp"

#include <algorithm>
#include <array>
#include <map>
#include <stdexcept>
#include <utility>

#include "jit_access/core/detection.hpp"
#include "jit_access/core/text.hpp"
#include "jit_access/oversight/alert.hpp"
#include "jit_access/oversight/detect_baseline.hpp"
#include "jit_access/oversight/detect_threshold.hpp"
#include "jit_access/oversight/detect_volume.hpp"
#include "jit_access/oversight/detection_batch.hpp"
#include "jit_access/pg/clock.hpp"
#include "jit_access/pg/error.hpp"
#include "jit_access/pg/xact.hpp"
#include "jit_access/shared/blocking_session.hpp"
#include "jit_access/shared/control_event.hpp"
#include "jit_access/shared/task.hpp"

namespace jit::detection {

namespace {

// This is more than one batch of the ingest, so that detection can catch up with it.
constexpr std::int64_t max_batch = 10'000;

using Evaluate = void (*)(const alert_rule::Rule&, const Batch&, PersonCache&);

// One evaluator for each rule, in the order of core::alert_rules. "use of deleted function evaluate<...>" here means
// that a rule names an evaluator that no detect_*.hpp declares.
template <std::size_t... i>
constexpr std::array<Evaluate, sizeof...(i)> evaluators_of(std::index_sequence<i...>) {
    return {&evaluate<core::alert_rules[i].evaluator>...};
}
constexpr auto evaluators = evaluators_of(std::make_index_sequence<core::alert_rules.size()>());

void evaluate_rule(const alert_rule::Rule& rule, const Batch& batch, PersonCache& persons) {
    const auto* entry = core::find_alert_rule(rule.name);
    if (entry == nullptr) return;  // a row of another version of the library
    evaluators.at(static_cast<std::size_t>(entry - core::alert_rules.data()))(rule, batch, persons);
}

// The last fault logged, by rule.
std::map<std::string, std::string>& logged_faults() {
    static std::map<std::string, std::string> faults;
    return faults;
}

void record_fault(const alert_rule::Rule& rule, const std::string& fault) {
    if (logged_faults()[rule.name] == fault) return;
    logged_faults()[rule.name] = fault;
    pg::log_line("alert rule " + rule.name + " has failed, its alerts are missing: " + fault);
    (void)pg::in_subtransaction([&] {
        pg::execute(R"sql(
            UPDATE jit_access.alert_rule
            SET failed_at = pg_catalog.clock_timestamp(), error = $2
            WHERE name = $1)sql",
                    {rule.name, core::printable(fault)});
    });
}

// Thrown if another session has locked rows that a rule writes. The batch is not lost but evaluated again later.
struct LockConflict : std::runtime_error {
    using std::runtime_error::runtime_error;
};

enum class OnConflict : std::uint8_t { retry_batch, lose_batch };

void evaluate_rules(const Batch& batch, OnConflict on_conflict) {
    PersonCache persons;
    for (const auto& [name, rule] : alert_rule::all()) {
        bool is_conflict = false;
        const auto fault = pg::in_subtransaction([&, &rule = rule] {
            try {
                evaluate_rule(rule, batch, persons);
            } catch (const pg::ServerError& error) {
                is_conflict = pg::sqlstate::is_lock_conflict(error.sqlstate());
                throw;
            }
        });
        if (fault && is_conflict && on_conflict == OnConflict::retry_batch) throw LockConflict(*fault);
        if (fault) record_fault(rule, *fault);
    }
}

// The row lock makes sure that one process evaluates at a time. A second one does not wait for it.
std::optional<std::int64_t> lock_position() {
    const auto row = pg::query_row("SELECT seq FROM jit_access.detection_position FOR UPDATE SKIP LOCKED");
    return row ? std::optional(row->get<std::int64_t>(0)) : std::nullopt;
}

std::int64_t newest_record() {
    return pg::query_row("SELECT coalesce(max(seq), 0) FROM jit_access.record").value().get<std::int64_t>(0);
}

void evaluate_batch(UsageTally tally, OnConflict on_conflict) {
    const auto batch = read_batch(std::move(tally));
    if (!batch.observations.empty() || !batch.usage.empty() || !batch.late_usage.empty())
        evaluate_rules(batch, on_conflict);
    pg::execute("UPDATE jit_access.detection_position SET seq = $1, at = greatest(at, $2)",
                {batch.to, pg::Instant{batch.at}});
}

}  // namespace

std::optional<std::int64_t> evaluate_up_to(std::optional<std::int64_t> seq) {
    const auto position = lock_position();
    if (!position) return std::nullopt;
    const auto end = std::min(seq.value_or(newest_record()), newest_record());
    auto reached = *position;
    while (reached < end) {
        const auto to = std::min(end, reached + max_batch);
        evaluate_batch(tally_records(reached, to), OnConflict::lose_batch);
        reached = to;
    }
    return reached;
}

// ---- the worker's side ----------------------------------------------------------------------------------------------

namespace {

constexpr std::int64_t min_batch = 100;
constexpr int max_conflicts = 10;
constexpr std::int64_t retry_delay = 1'000'000;
// While the worker evaluates a batch, it checks no deadlines, so a batch should not take longer than this.
constexpr std::int64_t max_batch_time = 100'000;

std::int64_t batch_size = max_batch;
UsageTally provided_tally;

// The tally of the records after the position. If provide_tally() was given a tally that begins there, it is used
// regardless of its size, because reading the same records again would be more work.
UsageTally next_tally(std::int64_t position, std::int64_t end) {
    UsageTally provided = std::exchange(provided_tally, {});
    const bool continues = provided.from == position && provided.to > position && provided.to <= end;
    if (continues) return provided;
    return tally_records(position, std::min(end, position + batch_size));
}

// The time for a record varies by a factor of a hundred, so the size of batches follows the time of the last one.
void adjust_batch_size(std::int64_t elapsed) noexcept {
    if (elapsed > max_batch_time)
        batch_size = std::max(min_batch, batch_size / 2);
    else if (elapsed < max_batch_time / 4)
        batch_size = std::min(max_batch, batch_size * 2);
}

bool has_new_records() {
    return pg::query_row(R"sql(
        SELECT p.seq < (SELECT coalesce(max(r.seq), 0) FROM jit_access.record r)
        FROM jit_access.detection_position p)sql")
        .value()
        .get<bool>(0);
}

struct BatchResult {
    std::optional<std::string> fault;
    bool is_conflict = false;
    bool has_more = false;
};

BatchResult try_next_batch(OnConflict on_conflict) {
    BatchResult result;
    result.fault = pg::in_own_transaction([&] {
        // The alerts and the position are lost together in a crash, so the commit need not wait for the disk.
        pg::commit_asynchronously();
        if (!has_new_records()) return;
        const auto position = lock_position();
        if (!position) return;
        const auto end = newest_record();
        auto tally = next_tally(*position, end);
        result.has_more = end > tally.to;
        try {
            evaluate_batch(std::move(tally), on_conflict);
        } catch (const LockConflict&) {
            result.is_conflict = true;
            throw;
        }
    });
    return result;
}

}  // namespace

void provide_tally(UsageTally tally) { provided_tally = std::move(tally); }

bool evaluate_next_batch() {
    static std::int64_t not_before = 0;  // boot clock
    static std::string logged_fault;
    static int conflicts = 0;  // in a row
    const auto started = pg::boot_clock();
    if (started < not_before) return false;
    // A rule that never gets its locks must not stop the others forever, so after this many attempts the batch is lost
    // for that rule.
    const auto result = try_next_batch(conflicts < max_conflicts ? OnConflict::retry_batch : OnConflict::lose_batch);
    conflicts = result.is_conflict ? conflicts + 1 : 0;
    if (result.is_conflict) {
        task::run_or_log("end sessions that keep alerts locked", [] { blocking_session::end_holders_of_alerts(); });
        not_before = pg::boot_clock() + retry_delay;
        return false;
    }
    adjust_batch_size(pg::boot_clock() - started);
    if (!result.fault) return result.has_more;
    if (logged_fault != *result.fault) pg::log_line("could not look for alerts, will be retried: " + *result.fault);
    logged_fault = *result.fault;
    not_before = pg::boot_clock() + retry_delay;
    return false;
}

void report_lag(std::int64_t oldest) {
    static bool is_lagging = false;
    const auto seconds = (pg::wall_clock() - oldest) / 1'000'000;
    constexpr std::int64_t normal_lag = 5;
    if (seconds < normal_lag) {
        is_lagging = false;
        return;
    }
    if (is_lagging) return;
    task::run_or_log("look how far the record lags", [&] {
        const auto rule = alert_rule::find(core::alert_rule_name("record_lag"));
        if (!rule.enabled || seconds < rule.threshold.value_or(1)) return;
        is_lagging = true;
        control_event::write("record lagged", std::nullopt, task::actor, {{"seconds", std::to_string(seconds)}});
    });
}

}  // namespace jit::detection
