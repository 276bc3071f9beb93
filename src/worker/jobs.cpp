#include "jit_access/worker/jobs.hpp"

#include "jit_access/grants/drift.hpp"
#include "jit_access/pg/error.hpp"
#include "jit_access/pg/sql.hpp"
#include "jit_access/record/chain.hpp"
#include "jit_access/record/partition.hpp"
#include "jit_access/shared/control_event.hpp"
#include "jit_access/shared/task.hpp"

namespace jit::jobs {

namespace {

// "1 review", "2 reviews"
std::string format_count(std::int64_t count, const std::string& noun) {
    return std::to_string(count) + " " + noun + (count == 1 ? "" : "s");
}

std::int64_t count_partitions() {
    return pg::query_row(R"sql(
               SELECT count(*)
               FROM pg_catalog.pg_inherits
               WHERE inhparent = 'jit_access.record'::pg_catalog.regclass)sql")
        .value()
        .get<std::int64_t>(0);
}

}  // namespace

std::string run_retention() {
    const auto before = count_partitions();
    partition::drop_if_due();
    return "dropped " + format_count(before - count_partitions(), "partition");
}

std::string run_drift() {
    return "found " + format_count(static_cast<std::int64_t>(drift::sweep_and_wait()), "difference");
}

// ---- verification ---------------------------------------------------------------------------------------------------

namespace {

// The last row up to which the record was found sound, with its hash.
struct Mark {
    std::int64_t seq = 0;
    std::string head;
};

// The row to continue from. nullopt if the whole record is due: nothing was verified in this chain, the last full
// verification is seven days old or lies in the future, or the row was dropped with its partition.
std::optional<Mark> load_mark() {
    const auto row = pg::query_row(R"sql(
        SELECT v.seq, v.head
        FROM jit_access.verification v
        WHERE v.chain = (SELECT id FROM jit_access.chain)
          AND v.full_at BETWEEN pg_catalog.clock_timestamp() - interval '7 days' AND pg_catalog.clock_timestamp()
          AND v.seq >= (SELECT min(seq) FROM jit_access.record))sql");
    if (!row) return std::nullopt;
    return Mark{row->get<std::int64_t>(0), row->get<std::string>(1)};
}

// Compares the row's hash with the one in the mark. The chain from that row on proves nothing about the rows before it,
// because they could have been rewritten together with the row.
std::optional<std::string> finding_at(const Mark& mark) {
    const auto row =
        pg::query_row("SELECT pg_catalog.encode(hash, 'hex') FROM jit_access.record WHERE seq = $1", {mark.seq});
    if (row && row->get<std::string>(0) == mark.head) return std::nullopt;
    return "record " + std::to_string(mark.seq) + (row ? " was changed" : " is missing") + " since it was verified";
}

std::optional<std::string> first_finding(const chain::Verification& verdict, const std::optional<Mark>& mark) {
    if (mark)
        if (auto finding = finding_at(*mark)) return finding;
    if (!verdict.is_broken()) return std::nullopt;
    const auto& finding = verdict.findings.front();
    return "record " + std::to_string(finding.seq) + ": " + finding.message;
}

void store_sound(const chain::Verification& verdict, bool is_whole) {
    pg::execute(R"sql(
        INSERT INTO jit_access.verification AS v (chain, seq, head, at, sound_at, full_at)
        SELECT id, $1, $2, pg_catalog.clock_timestamp(), pg_catalog.clock_timestamp(),
               CASE WHEN $3 THEN pg_catalog.clock_timestamp() END
        FROM jit_access.chain
        ON CONFLICT (chain) DO UPDATE
        SET seq = excluded.seq,
            head = excluded.head,
            at = excluded.at,
            sound_at = excluded.sound_at,
            full_at = coalesce(excluded.full_at, v.full_at),
            finding = NULL)sql",
                {verdict.last, core::to_hex(verdict.head), is_whole});
}

// Stores a verification of the whole record for reports, as jit_report_verify() does.
void store_for_reports(const chain::Verification& verdict) {
    const auto head = core::to_hex(verdict.head);
    std::optional<std::string> finding;
    if (!verdict.findings.empty()) finding = verdict.findings.front().message;
    pg::execute(R"sql(
        INSERT INTO jit_access.whole_verification
            (at, by, sound, records, first_seq, last_seq, anchored_seq, checkpoints, head, finding)
        VALUES (pg_catalog.clock_timestamp(), $1, $2, $3, $4, $5, nullif($6, 0), $7, $8, $9))sql",
                {task::actor, pg::nullable(chain::is_sound(verdict)), verdict.records, verdict.first, verdict.last,
                 verdict.anchored, verdict.checkpoints, head, pg::nullable(finding)});
    control_event::write(
        "record verified", std::nullopt, task::actor,
        {{"sound", verdict.is_broken() ? "false" : "true"},
         {"last", std::to_string(verdict.last)},
         {"anchored", verdict.anchored > 0 ? std::optional(std::to_string(verdict.anchored)) : std::nullopt},
         {"head", head}});
}

// The mark is not moved, so that each run reports the finding until the record is repaired.
void report_finding(const std::string& finding) {
    pg::execute(R"sql(
        INSERT INTO jit_access.verification (chain, seq, head, at, finding)
        SELECT id, 0, '', pg_catalog.clock_timestamp(), $1
        FROM jit_access.chain
        ON CONFLICT (chain) DO UPDATE
        SET at = excluded.at,
            finding = excluded.finding)sql",
                {finding});
    control_event::write("chain broken", std::nullopt, task::actor, {{"what", finding}});
    pg::log_line("the record is not sound: " + finding);
}

}  // namespace

std::string run_verify() {
    const auto mark = load_mark();
    const auto verdict = chain::verify(mark ? std::optional(mark->seq) : std::nullopt, std::nullopt);
    if (!mark) store_for_reports(verdict);
    if (const auto finding = first_finding(verdict, mark)) {
        report_finding(*finding);
        return "NOT SOUND: " + *finding;
    }
    store_sound(verdict, !mark);
    return (verdict.anchored > 0 ? "sound: " : "self-consistent: ") + format_count(verdict.records, "record") +
           " up to " + std::to_string(verdict.last) +
           (verdict.anchored > 0 ? ", anchored up to " + std::to_string(verdict.anchored) : ", not anchored") +
           (mark ? "" : ", all of them");
}

// ---- reminders ------------------------------------------------------------------------------------------------------

namespace {

// Returns true if the last reminder is a day old, and stores this one. The interval is ten minutes less than a day,
// because a daily job does not start at exactly the same time and would skip days. A reminder in the future was stored
// before the clock was set back.
bool claim_reminder(const std::string& about, std::int64_t id) {
    return pg::execute(R"sql(
               INSERT INTO jit_access.reminder AS r (about, id, at)
               VALUES ($1, $2, pg_catalog.clock_timestamp())
               ON CONFLICT (about, id) DO UPDATE
               SET at = excluded.at
               WHERE r.at NOT BETWEEN pg_catalog.clock_timestamp() - interval '23 hours 50 minutes'
                                  AND pg_catalog.clock_timestamp())sql",
                       {about, id}) == 1;
}

std::int64_t remind_of_break_glass() {
    std::int64_t reminders = 0;
    for (const auto& row : pg::query(R"sql(
             SELECT v.request_id, r.requester_name, t.name, v.due_at::text
             FROM jit_access.review v
             JOIN jit_access.request r ON r.id = v.request_id
             JOIN jit_access.template t ON t.id = r.template_id
             WHERE v.reviewed_at IS NULL
               AND v.due_at < pg_catalog.clock_timestamp()
             ORDER BY v.request_id)sql")) {
        const auto id = row.get<std::int64_t>(0);
        if (!claim_reminder("break-glass", id)) continue;
        control_event::write("review overdue", id, task::actor,
                             {{"of", "break-glass"},
                              {"responder", row.get<std::string>(1)},
                              {"template", row.get<std::string>(2)},
                              {"due", row.get<std::string>(3)}});
        ++reminders;
    }
    return reminders;
}

// The installed extension may be older than the library, and then lacks the function.
std::int64_t remind_of_access_reviews() {
    if (!pg::query_row("SELECT 1 WHERE pg_catalog.to_regprocedure('jit_access.remind_reviews()') IS NOT NULL"))
        return 0;
    return pg::query_row("SELECT jit_access.remind_reviews()").value().maybe<std::int64_t>(0).value_or(0);
}

}  // namespace

std::string run_review_reminders() {
    return "reminded of " + format_count(remind_of_break_glass() + remind_of_access_reviews(), "review");
}

}  // namespace jit::jobs
