#include "jit_access/worker/worker.hpp"

#include <algorithm>
#include <functional>
#include <utility>

#include "jit_access/core/duration.hpp"
#include "jit_access/grants/confirm.hpp"
#include "jit_access/grants/drift.hpp"
#include "jit_access/grants/expire.hpp"
#include "jit_access/oversight/alert.hpp"
#include "jit_access/oversight/detection.hpp"
#include "jit_access/pg/backend.hpp"
#include "jit_access/pg/clock.hpp"
#include "jit_access/pg/error.hpp"
#include "jit_access/pg/settings.hpp"
#include "jit_access/pg/worker.hpp"
#include "jit_access/pg/xact.hpp"
#include "jit_access/record/chain.hpp"
#include "jit_access/record/ingest.hpp"
#include "jit_access/record/journal.hpp"
#include "jit_access/record/notification.hpp"
#include "jit_access/record/partition.hpp"
#include "jit_access/shared/control_event.hpp"
#include "jit_access/shared/second_factor_state.hpp"
#include "jit_access/shared/shared_state.hpp"
#include "jit_access/shared/task.hpp"
#include "jit_access/worker/schedule.hpp"

namespace jit::worker {

namespace {

// Records are gathered for so long before they are committed together.
constexpr std::int64_t gather_us = 50'000;

// Nothing: it could not be told.
std::optional<bool> is_installed() {
    bool exists = false;
    const auto fault = pg::in_own_transaction([&] { exists = pg::extension_exists(); });
    if (fault) return std::nullopt;
    return exists;
}

// While a backup is restored its tables are not yet what they will be; on a standby grants are live all along.
bool is_look_due() noexcept {
    return journal::available() && !shared_state->journal_was_checked &&
           (!pg::is_standby() || shared_state->started_as_standby);
}

// Something that is done until it succeeds, and has a second between two attempts, however often others wake the
// worker.
class Attempts {
public:
    explicit Attempts(const char* what) noexcept : what_(what) {}

    [[nodiscard]] bool are_due() const noexcept { return pg::boot_clock() >= not_before_; }
    // True: it is done.
    [[nodiscard]] bool make(const std::function<void()>& body) {
        const auto fault = task::run_in_transaction(body);
        if (!fault) return true;
        pg::log_line(std::string("could not ") + what_ + ", will be retried: " + *fault);
        not_before_ = pg::boot_clock() + 1'000'000;
        return false;
    }

private:
    const char* what_;
    std::int64_t not_before_ = 0;  // boot clock
};

// So many rows of the record are summed up at a time: tenths of a second.
constexpr std::int64_t slice = 20'000;
std::int64_t not_summed_up = 0;  // about; a slice when nobody knows

// One batch of what the journal holds. True: there is more. The worker turns to the deadlines between two batches,
// however fast the journal is written.
bool take_over_batch() {
    static Attempts attempts("write the record");
    if (is_look_due() || !attempts.are_due()) return false;
    ingest::Batch batch;
    const auto take_over = [&] {
        batch = ingest::take_over();
        // Rather twice than not at all, should the worker die before or after its commit.
        for (const auto& alert : batch.alerts) pg::log_line("alert " + alert);
    };
    if (!attempts.make(take_over)) return false;
    if (journal::available() && batch.position > journal::ring().tail() && batch.position <= journal::ring().head())
        journal::mark_read(batch.position);
    not_summed_up += batch.tally.to - batch.tally.from;
    detection::provide_tally(std::move(batch.tally));
    notification::send(batch.notices);
    if (batch.oldest) detection::report_lag(*batch.oldest);
    return batch.more;
}

// The tables survive a power failure better than the journal, which is not flushed for every record. A standby can only
// tell its log.
void look_for_lost_tail() {
    static Attempts attempts("look whether the journal is whole");
    if (!is_look_due() || !attempts.are_due()) return;
    std::uint64_t missing = 0;
    const auto look = [&] {
        missing = ingest::lost_bytes();
        if (missing != 0 && !pg::is_standby())
            control_event::write("journal lost", std::nullopt, task::actor, {{"bytes", std::to_string(missing)}});
    };
    if (!attempts.make(look)) return;
    if (missing != 0)
        pg::log_line("the journal has lost its last " + std::to_string(missing) +
                     " bytes or more, what they held is in the record");
    journal::begin_after(missing);
}

// Outcomes of theirs that are not taken over yet would come twice. What is written since does not matter: under load it
// has no end.
bool last_run_is_read() noexcept {
    return journal::available() && !is_look_due() && journal::ring().tail() >= shared_state->journal_head_at_start;
}

void close_last_run() {
    static Attempts attempts("close the uses of the last run");
    static bool closed = false;
    if (closed || !last_run_is_read() || !attempts.are_due()) return;
    closed = attempts.make(ingest::close_interrupted);
}

void first_steps() {
    confirm::after_start();
    while (take_over_batch() && !last_run_is_read()) expire::stop_ended_grants();
    close_last_run();
}

std::int64_t clock_offset() noexcept {
    const auto now = pg::both_clocks();
    return now.wall - now.boot;
}

// What was seen last is kept with the journal: a jump while no worker ran is noticed, on the same boot.
void start_clock_watch() {
    if (!journal::available()) return;
    auto& mark = journal::clock_mark();
    const auto boot_id = pg::boot_id();
    if (!boot_id.empty() && boot_id == mark.boot_id) return;
    mark = {.offset = clock_offset(), .boot_id = {}};
    boot_id.copy(mark.boot_id, sizeof mark.boot_id - 1);
}

// The wall clock against the boot clock, which nobody can set: a difference that changes is a jump, and goes on record.
void look_at_clock() {
    static Attempts attempts("record a clock jump");
    constexpr std::int64_t tolerance = 1'000'000;
    if (!journal::available()) return;
    const auto offset = clock_offset();
    const auto jump = offset - journal::clock_mark().offset;
    if ((jump > -tolerance && jump < tolerance) || !attempts.are_due()) return;
    const auto note = [&] {
        control_event::write("clock jumped", std::nullopt, task::actor, {{"by", core::format_duration(jump)}});
    };
    if (attempts.make(note)) journal::clock_mark().offset = offset;
}

// Some things are done once a nap, not with every record that wakes the worker.
bool is_nap_over() {
    static std::int64_t last = 0;
    const auto now = pg::boot_clock();
    if (last != 0 && now - last < std::int64_t{settings::worker_naptime} * 1'000'000) return false;
    last = now;
    return true;
}

void once_a_nap() {
    not_summed_up = slice;
    drift::sweep();
    task::run_or_log("forget second factors of dropped logins", second_factor_state::delete_dropped_logins);
    task::run_or_log("date the record by a checkpoint", [] { chain::checkpoint_if_due(); });
    task::run_or_log("begin a new partition of the record", [] { partition::close_if_due(); });
    task::run_or_log("drop old records", [] {
        if (!schedule::is_left_to_cron("retention")) partition::drop_if_due();
    });
    schedule::start_due();
    // A full journal or a crowd of grants takes megabytes, once in a while.
    pg::trim_memory();
}

// What has come to the record since is summed up when there is nothing else to do, so that nobody reads all of it to
// learn what was used. True when there is more of it.
bool sum_up_usage() {
    bool more = false;
    task::run_or_log("sum up what was used", [&] {
        more = pg::query_row("SELECT jit_access.sum_up_usage($1)", {slice}).value().get<std::int64_t>(0) > 0;
    });
    not_summed_up = more ? slice : 0;
    return more;
}

// How long to sleep: to the next deadline, the next thing the tables know of, or a nap.
std::int64_t time_to_sleep(std::optional<pg::Instant> next_in_tables) {
    const auto now = pg::wall_clock();
    // A standby is told nothing, so it looks often.
    const auto nap = pg::is_standby() ? 1 : settings::worker_naptime;
    auto until = now + std::int64_t{nap} * 1'000'000;
    if (const auto deadline = expire::next_deadline()) until = std::min(until, *deadline);
    // What is due in the tables and was not done is tried again soon, not at once.
    constexpr std::int64_t soon = 100'000;
    if (next_in_tables) until = std::min(until, std::max(next_in_tables->us, now + soon));
    return std::max<std::int64_t>(until - now, 0);
}

pg::Instant soonest(std::optional<pg::Instant> next, std::int64_t other) noexcept {
    return {std::min(next.value_or(pg::Instant{other}).us, other)};
}

void sleep(std::optional<pg::Instant> next_in_tables) {
    const auto wait = time_to_sleep(next_in_tables);
    if (wait > gather_us) {
        // Ask the writers to wake us, then look once more: what came in between is not missed.
        shared_state->worker_is_waiting.store(1);
        if (!journal::available() || journal::ring().head() == journal::ring().tail()) {
            pg::worker_wait(wait);
            shared_state->worker_is_waiting.store(0);
            return;
        }
        shared_state->worker_is_waiting.store(0);
    }
    pg::worker_wait(std::min(wait, gather_us));
}

}  // namespace

void run() {
    shared_state->worker_pid.store(pg::backend_pid());
    shared_state->worker_latch.store(pg::my_latch());
    start_clock_watch();
    bool confirmed = false;
    for (;;) {
        shared_state->counters.worker_loops.fetch_add(1, std::memory_order_relaxed);
        expire::stop_ended_grants();
        std::optional<pg::Instant> next;
        bool more = false;
        const auto installed = is_installed();
        if (installed == false && is_look_due()) journal::begin_after(0);  // no tables have read of it
        if (installed == true) {
            look_for_lost_tail();
            if (pg::is_standby()) {
                if (shared_state->started_as_standby) confirm::follow_primary();
            } else {
                if (!confirmed) first_steps();
                confirmed = true;
                look_at_clock();
                drift::sweep_if_requested();
                second_factor_state::save_to_tables();
                next = expire::process_due();
                if (is_nap_over()) once_a_nap();
                close_last_run();
                more = take_over_batch();
                more |= detection::evaluate_next_batch();
                if (!alert::suspend_grants()) next = soonest(next, pg::wall_clock());
                if (!more && not_summed_up >= slice) more = sum_up_usage();
            }
        }
        if (is_look_due()) next = soonest(next, pg::wall_clock());
        if (more)
            pg::worker_wait(0);
        else
            sleep(next);
    }
}

}  // namespace jit::worker
