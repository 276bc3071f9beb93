#include "jit_access/worker/worker.hpp"

#include <algorithm>
#include <functional>
#include <utility>

#include "jit_access/core/duration.hpp"
#include "jit_access/grants/confirm.hpp"
#include "jit_access/grants/drift.hpp"
#include "jit_access/grants/expire.hpp"
#include "jit_access/grants/overdue_sessions.hpp"
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
#include "jit_access/record/journal_file.hpp"
#include "jit_access/record/notification.hpp"
#include "jit_access/record/partition.hpp"
#include "jit_access/shared/attempt_counter.hpp"
#include "jit_access/shared/control_event.hpp"
#include "jit_access/shared/second_factor_state.hpp"
#include "jit_access/shared/shared_state.hpp"
#include "jit_access/shared/task.hpp"
#include "jit_access/worker/cron.hpp"
#include "jit_access/worker/schedule.hpp"

namespace jit::worker {

namespace {

// Journal entries are collected for this long, so that one commit covers many of them.
constexpr std::int64_t collect_us = 50'000;

// Whether the extension exists in the control database; nullopt if the catalogs could not be read. Checked in each
// round, because CREATE EXTENSION and DROP EXTENSION can happen at any time.
std::optional<bool> is_installed() {
    bool exists = false;
    const auto error = pg::in_own_transaction([&] { exists = pg::extension_exists(); });
    if (error) return std::nullopt;
    return exists;
}

// Returns whether the journal still has to be compared with the tables. This is not done during archive recovery, when
// the tables are from an earlier time. On a server that was started as a standby it is done at once, because grants can
// be used there.
bool needs_journal_check() noexcept {
    return journal::available() && !shared_state->journal_was_checked &&
           (!pg::is_standby() || shared_state->started_as_standby);
}

// Retries work until it succeeds, at most once per second, because new records and deadlines wake the worker much more
// often.
class Retry {
public:
    explicit Retry(const char* what) noexcept : what_(what) {}

    [[nodiscard]] bool is_due() const noexcept { return pg::boot_clock() >= not_before_; }
    // Runs the body in a transaction. If it fails, logs the error and returns false.
    [[nodiscard]] bool run(const std::function<void()>& body) {
        const auto error = task::run_in_transaction(body);
        if (!error) return true;
        pg::log_line(std::string("could not ") + what_ + ", will be retried: " + *error);
        not_before_ = pg::boot_clock() + 1'000'000;
        return false;
    }

private:
    const char* what_;             // completes "could not"
    std::int64_t not_before_ = 0;  // boot clock
};

// Rows of the record that are summed up in one call, which takes tenths of a second.
constexpr std::int64_t summary_rows = 20'000;
// The estimated number of rows that are not summed up yet. If it is unknown, it is set to summary_rows, which starts a
// call.
std::int64_t unsummarized_rows = 0;

// Moves one batch of the journal to the record. Returns true if there is more. It moves only one batch at a time,
// because the worker has to process deadlines in between, regardless of how fast the journal is written.
bool take_over_batch() {
    static Retry retry("write the record");
    if (needs_journal_check() || !retry.is_due()) return false;
    ingest::Batch batch;
    const auto take_over = [&] {
        batch = ingest::take_over();
        // Alerts are logged before the commit, so that if the worker is killed, an alert is logged twice rather than
        // not at all.
        for (const auto& alert : batch.alerts) pg::log_line("alert " + alert);
    };
    if (!retry.run(take_over)) {
        expire::end_sessions_that_lock_tables();
        return false;
    }
    // The space is released only now, because before the commit a crash would have lost the entries.
    if (journal::available() && batch.position > journal::ring().tail() && batch.position <= journal::ring().head())
        journal::mark_read(batch.position);
    unsummarized_rows += batch.tally.to - batch.tally.from;
    detection::provide_tally(std::move(batch.tally));
    notification::send(batch.notices);
    if (batch.oldest) detection::report_lag(*batch.oldest);
    return batch.more;
}

// After a power failure the file of the journal may end before the position up to which it is in the tables, because
// the file is not flushed for every entry. The journal then continues after that position. Otherwise new entries would
// be treated as already read. The loss is put on the record; a standby, which cannot write, only logs it.
void check_journal() {
    static Retry retry("check that the journal is complete");
    if (!needs_journal_check() || !retry.is_due()) return;
    std::uint64_t missing = 0;
    const auto compare = [&] {
        missing = ingest::lost_bytes();
        if (missing != 0 && !pg::is_standby())
            control_event::write("journal lost", std::nullopt, task::actor, {{"bytes", std::to_string(missing)}});
    };
    if (!retry.run(compare)) return;
    if (missing != 0)
        pg::log_line("the journal has lost its last " + std::to_string(missing) +
                     " bytes or more; their entries are in the record");
    journal::start_writes_after(missing);
}

// Whether everything that was in the journal at the start of the server is in the record. Entries written since then do
// not matter; under load the journal is never empty.
bool is_last_run_recorded() noexcept {
    return journal::available() && !needs_journal_check() &&
           journal::ring().tail() >= shared_state->journal_head_at_start;
}

// Gives the outcome "interrupted" to statements that were running when the server last stopped. Waits until everything
// from that run is recorded, because an outcome that is still in the journal would be a second outcome.
void close_last_run() {
    static Retry retry("close the uses of the last run");
    static bool is_closed = false;
    if (is_closed || !is_last_run_recorded() || !retry.is_due()) return;
    is_closed = retry.run(ingest::close_interrupted);
}

// Confirms the grants of the tables. A grant that cannot be read or locked stays refused until a later attempt
// succeeds; the delay between two attempts grows, because a damaged row fails each time. Returns the time of the next
// attempt; nullopt once all grants are confirmed.
std::optional<pg::Instant> confirm_grants() {
    constexpr std::int64_t max_delay = 60'000'000;
    static bool is_confirmed = false;
    static std::int64_t delay = 500'000;
    static std::int64_t not_before = 0;  // boot clock
    if (!is_confirmed && pg::boot_clock() >= not_before) {
        is_confirmed = confirm::after_start();
        delay = std::min(2 * delay, max_delay);
        not_before = pg::boot_clock() + delay;
    }
    if (is_confirmed) return std::nullopt;
    return pg::Instant{pg::wall_clock() + not_before - pg::boot_clock()};
}

// Called in the first round on a primary, after the start of the worker or after a promotion.
void record_last_run() {
    while (take_over_batch() && !is_last_run_recorded()) expire::stop_ended_grants();
    close_last_run();
}

std::int64_t clock_offset() noexcept {
    const auto now = pg::both_clocks();
    return now.wall - now.boot;
}

// The offset between the clocks is stored with the journal, so that a jump while no worker ran is noticed. It is only
// comparable within one boot of the machine.
void init_clock_mark() {
    if (!journal::available()) return;
    auto& mark = journal::clock_mark();
    const auto boot_id = pg::boot_id();
    if (!boot_id.empty() && boot_id == mark.boot_id) return;
    mark = {.offset = clock_offset(), .boot_id = {}};
    boot_id.copy(mark.boot_id, sizeof mark.boot_id - 1);
}

// Compares the wall clock with the boot clock, which cannot be set. A change of their difference is a clock jump, which
// is put on the record.
void check_clock() {
    static Retry retry("record a clock jump");
    constexpr std::int64_t tolerance = 1'000'000;
    if (!journal::available()) return;
    const auto offset = clock_offset();
    const auto jump = offset - journal::clock_mark().offset;
    if ((jump > -tolerance && jump < tolerance) || !retry.is_due()) return;
    const auto write_event = [&] {
        control_event::write("clock jumped", std::nullopt, task::actor, {{"by", core::format_duration(jump)}});
    };
    if (retry.run(write_event)) journal::clock_mark().offset = offset;
}

// Returns true once per jit_access.worker_naptime, for work that is too expensive for every wake-up.
bool is_nap_over() {
    static std::int64_t last = 0;  // boot clock
    const auto now = pg::boot_clock();
    if (last != 0 && now - last < std::int64_t{settings::worker_naptime} * 1'000'000) return false;
    last = now;
    return true;
}

void run_nap_tasks() {
    unsummarized_rows = summary_rows;
    drift::sweep();
    attempt_counter::record_folded();
    task::run_or_log("forget second factors of dropped logins", second_factor_state::delete_dropped_logins);
    task::run_or_log("write a checkpoint of the record", [] { chain::checkpoint_if_due(); });
    task::run_or_log("begin a new partition of the record", [] { partition::close_if_due(); });
    task::run_or_log("drop old records", [] {
        if (!cron::is_scheduled("retention")) partition::drop_if_due();
    });
    schedule::start_due_job();
    // A full journal or many ending grants may have used megabytes, which malloc would keep.
    pg::trim_memory();
}

// Sums up new rows of the record, in jit_access.usage and jit_access.use_count, when the worker is idle. Returns true
// if there are more.
bool sum_up_usage() {
    bool more = false;
    task::run_or_log("sum up the uses of privileges", [&] {
        more = pg::query_row("SELECT jit_access.sum_up_usage($1)", {summary_rows}).value().get<std::int64_t>(0) > 0;
    });
    unsummarized_rows = more ? summary_rows : 0;
    return more;
}

// Microseconds until the first of these: the next deadline, the next due work in the tables, and the end of a nap.
std::int64_t time_to_sleep(std::optional<pg::Instant> next_in_tables) {
    const auto now = pg::wall_clock();
    // On a standby no commit wakes the worker, because replay does not set its latch.
    const auto nap = pg::is_standby() ? 1 : settings::worker_naptime;
    auto until = now + std::int64_t{nap} * 1'000'000;
    if (const auto deadline = expire::next_deadline()) until = std::min(until, *deadline);
    // Work that is due and failed is retried soon, not at once.
    constexpr std::int64_t soon = 100'000;
    if (next_in_tables) until = std::min(until, std::max(next_in_tables->us, now + soon));
    return std::max<std::int64_t>(until - now, 0);
}

pg::Instant earlier(std::optional<pg::Instant> next, std::int64_t other) noexcept {
    return {std::min(next.value_or(pg::Instant{other}).us, other)};
}

void sleep(std::optional<pg::Instant> next_in_tables) {
    const auto wait = time_to_sleep(next_in_tables);
    if (wait > collect_us) {
        // Writers wake the worker only if this flag is set. The journal is read again after setting it (sequentially
        // consistent on both sides), so that an entry written in between is not left until the end of the sleep.
        shared_state->worker_is_waiting.store(1);
        if (!journal::available() || journal::ring().head() == journal::ring().tail()) {
            pg::worker_wait(wait);
            shared_state->worker_is_waiting.store(0);
            return;
        }
        shared_state->worker_is_waiting.store(0);
    }
    pg::worker_wait(std::min(wait, collect_us));
}

}  // namespace

void run() {
    shared_state->worker_pid.store(pg::backend_pid());
    shared_state->worker_latch.store(pg::my_latch());
    init_clock_mark();
    bool is_last_run_seen = false;
    for (;;) {
        shared_state->counters.worker_loops.fetch_add(1, std::memory_order_relaxed);
        // This runs first and without a transaction, so that deadlines hold even if the catalogs cannot be read.
        expire::stop_ended_grants();
        std::optional<pg::Instant> next;
        bool more = false;
        const auto installed = is_installed();
        // If the extension is not installed, nothing has been read from the journal, so nothing can be missing.
        if (installed == false && needs_journal_check()) journal::start_writes_after(0);
        if (installed == true) {
            check_journal();
            if (pg::is_standby()) {
                if (shared_state->started_as_standby) confirm::follow_primary();
            } else {
                const auto next_attempt = confirm_grants();
                if (!std::exchange(is_last_run_seen, true)) record_last_run();
                check_clock();
                drift::sweep_if_requested();
                second_factor_state::save_to_tables();
                next = expire::process_due();
                if (next_attempt) next = earlier(next, next_attempt->us);
                if (overdue_sessions::report()) next = earlier(next, pg::wall_clock() + core::us_per_second);
                if (is_nap_over()) run_nap_tasks();
                close_last_run();
                more = take_over_batch();
                more |= detection::evaluate_next_batch();
                if (!alert::suspend_grants()) next = earlier(next, pg::wall_clock());
                if (!more && unsummarized_rows >= summary_rows) more = sum_up_usage();
            }
        }
        if (needs_journal_check()) next = earlier(next, pg::wall_clock());
        if (more)
            pg::worker_wait(0);
        else
            sleep(next);
    }
}

}  // namespace jit::worker
