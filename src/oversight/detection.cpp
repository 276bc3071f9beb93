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

constexpr std::int64_t slice_size = 10'000;  // more than the worker takes over at once, so that it is caught up with

struct Evaluator {
    const char* rule;
    void (*evaluate)(const alert_rule::Rule&, const Slice&, People&);
};

constexpr std::array evaluators{Evaluator{"unusual_hours", unusual_hours},
                                Evaluator{"unusual_template", unusual_template}, Evaluator{"new_network", new_network},
                                Evaluator{"unusual_rows", unusual_rows}};

// All others count.
Evaluator evaluator_of(const std::string& rule) {
    const auto* known = std::find_if(evaluators.begin(), evaluators.end(),
                                     [&](const Evaluator& evaluator) { return evaluator.rule == rule; });
    return known != evaluators.end() ? *known : Evaluator{nullptr, count};
}

// By rule, what was said last: the same is said once.
std::map<std::string, std::string>& faults() {
    static std::map<std::string, std::string> said;
    return said;
}

void note_fault(const alert_rule::Rule& rule, const std::string& fault) {
    if (faults()[rule.name] == fault) return;
    faults()[rule.name] = fault;
    pg::log_line("alert rule " + rule.name + " has failed, its alerts are missing: " + fault);
    (void)pg::in_subtransaction([&] {
        pg::execute(
            "UPDATE jit_access.alert_rule SET failed_at = pg_catalog.clock_timestamp(), error = $2 WHERE name = $1",
            {rule.name, core::plain(fault)});
    });
}

// Somebody has locked what a rule writes: the slice is not lost for that, it is read again.
struct InTheWay : std::runtime_error {
    using std::runtime_error::runtime_error;
};

void evaluate(const Slice& slice, bool waits) {
    People people;
    const auto rules = alert_rule::all();
    for (const auto& entry : rules) {
        const auto& rule = entry.second;
        bool in_the_way = false;
        const auto fault = pg::in_subtransaction([&] {
            try {
                evaluator_of(rule.name).evaluate(rule, slice, people);
            } catch (const pg::ServerError& error) {
                in_the_way = pg::sqlstate::is_conflict(error.sqlstate());
                throw;
            }
        });
        if (fault && in_the_way && waits) throw InTheWay(*fault);
        if (fault) note_fault(rule, *fault);
    }
}

// Who holds the position, reads; the next one does not wait.
std::optional<std::int64_t> take_position() {
    const auto row = pg::query_row("SELECT seq FROM jit_access.detection_position FOR UPDATE SKIP LOCKED");
    return row ? std::optional(row->get<std::int64_t>(0)) : std::nullopt;
}

std::int64_t newest_row() {
    return pg::query_row("SELECT coalesce(max(seq), 0) FROM jit_access.record").value().get<std::int64_t>(0);
}

void judge(UsageTally tally, bool waits = false) {
    const auto slice = look_at(std::move(tally));
    if (!slice.seen.empty() || !slice.used.empty() || !slice.late.empty()) evaluate(slice, waits);
    pg::execute("UPDATE jit_access.detection_position SET seq = $1, at = greatest(at, $2)",
                {slice.to, pg::Instant{slice.at}});
}

}  // namespace

std::optional<std::int64_t> read_up_to(std::optional<std::int64_t> row) {
    const auto position = take_position();
    if (!position) return std::nullopt;
    const auto end = std::min(row.value_or(newest_row()), newest_row());
    auto reached = *position;
    while (reached < end) {
        const auto to = std::min(end, reached + slice_size);
        judge(add_up(reached, to));
        reached = to;
    }
    return reached;
}

namespace {

constexpr std::int64_t shortest_slice = 100;
constexpr int max_waits = 10;
constexpr std::int64_t long_time = 100'000;  // in which the worker does nothing else
std::int64_t next_slice = slice_size;
UsageTally offered;

// What follows the position, up to the end or less.
UsageTally next_tally(std::int64_t position, std::int64_t end) {
    UsageTally fresh = std::exchange(offered, {});
    // Whatever it holds is less work than to read it again.
    const bool fits = fresh.from == position && fresh.to > position && fresh.to <= end;
    if (fits) return fresh;
    return add_up(position, std::min(end, position + next_slice));
}

// Rows differ a hundredfold in what they take.
void adjust(std::int64_t took) noexcept {
    if (took > long_time)
        next_slice = std::max(shortest_slice, next_slice / 2);
    else if (took < long_time / 4)
        next_slice = std::min(slice_size, next_slice * 2);
}

bool is_behind() {
    return pg::query_row(
               "SELECT w.seq < (SELECT coalesce(max(r.seq), 0) FROM jit_access.record r) FROM "
               "jit_access.detection_position w")
        .value()
        .get<bool>(0);
}

}  // namespace

void offer(UsageTally tally) { offered = std::move(tally); }

bool follow() {
    static std::int64_t not_before = 0;  // boot clock
    static std::string said;
    static int waited = 0;  // times in a row that somebody was in the way
    const auto started = pg::boot_clock();
    if (started < not_before) return false;
    bool more = false;
    bool in_the_way = false;
    const auto fault = pg::in_own_transaction([&] {
        // What a crash takes away, it takes away whole: it is read again.
        pg::commit_asynchronously();
        if (!is_behind()) return;
        const auto position = take_position();
        if (!position) return;
        const auto end = newest_row();
        auto tally = next_tally(*position, end);
        more = end > tally.to;
        try {
            judge(std::move(tally), waited < max_waits);
        } catch (const InTheWay&) {
            in_the_way = true;
            throw;
        }
    });
    waited = in_the_way ? waited + 1 : 0;
    if (in_the_way) {
        task::run_or_log("end sessions that keep alerts locked", [] { blocking_session::end_holders_of_alerts(); });
        not_before = pg::boot_clock() + 1'000'000;
        return false;
    }
    adjust(pg::boot_clock() - started);
    if (!fault) return more;
    if (said != *fault) pg::log_line("could not look for alerts, will be retried: " + *fault);
    said = *fault;
    not_before = pg::boot_clock() + 1'000'000;
    return false;
}

void look_at_lag(std::int64_t oldest) {
    static bool lags = false;
    const auto seconds = (pg::wall_clock() - oldest) / 1'000'000;
    constexpr std::int64_t never_much = 5;
    if (seconds < never_much) {
        lags = false;
        return;
    }
    if (lags) return;
    task::run_or_log("look how far the record lags", [&] {
        const auto rule = alert_rule::find("record_lag");
        if (!rule.enabled || seconds < rule.threshold.value_or(1)) return;
        lags = true;
        control_event::write("record lagged", std::nullopt, task::actor, {{"seconds", std::to_string(seconds)}});
    });
}

}  // namespace jit::detection
