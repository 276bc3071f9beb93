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

std::string count(std::int64_t number, const std::string& of) {
    return std::to_string(number) + " " + of + (number == 1 ? "" : "s");
}

std::int64_t partitions_of_the_record() {
    return pg::query_row(
               "SELECT count(*) FROM pg_catalog.pg_inherits WHERE inhparent = "
               "'jit_access.record'::pg_catalog.regclass")
        .value()
        .get<std::int64_t>(0);
}

}  // namespace

std::string retention() {
    // What it may not drop, a reader or a broken chain, it throws.
    const auto before = partitions_of_the_record();
    partition::drop_if_due();
    return "dropped " + count(before - partitions_of_the_record(), "partition");
}

std::string drift() { return "found " + count(static_cast<std::int64_t>(drift::sweep_and_wait()), "difference"); }

// ---- verification ---------------------------------------------------------------------------------------------------

namespace {

// Up to where the record was found sound, and with which hash there.
struct Mark {
    std::int64_t seq = 0;
    std::string head;
};

// Nothing: all of it is due. Or what was verified has been dropped meanwhile, or there was nothing.
std::optional<Mark> where_to_go_on() {
    const auto row = pg::query_row(
        "SELECT v.seq, v.head FROM jit_access.verification v WHERE v.chain = (SELECT id FROM jit_access.chain) AND "
        "v.full_at BETWEEN pg_catalog.clock_timestamp() - interval '7 days' AND pg_catalog.clock_timestamp() AND v.seq "
        ">= (SELECT min(seq) FROM jit_access.record)");
    if (!row) return std::nullopt;
    return Mark{row->get<std::int64_t>(0), row->get<std::string>(1)};
}

// The row that was verified last has to be what it was: the chain from there on says nothing of what is before it.
std::optional<std::string> fault_at(const Mark& mark) {
    const auto row =
        pg::query_row("SELECT pg_catalog.encode(hash, 'hex') FROM jit_access.record WHERE seq = $1", {mark.seq});
    if (row && row->get<std::string>(0) == mark.head) return std::nullopt;
    return "record " + std::to_string(mark.seq) + (row ? " is not what it was" : " is missing") +
           " since it was verified";
}

std::optional<std::string> first_finding(const chain::Verification& verdict, const std::optional<Mark>& from) {
    if (from)
        if (auto fault = fault_at(*from)) return fault;
    if (verdict.sound) return std::nullopt;
    const auto& finding = verdict.findings.front();
    return "record " + std::to_string(finding.seq) + ": " + finding.what;
}

void keep_sound(const chain::Verification& verdict, bool all) {
    pg::execute(
        "INSERT INTO jit_access.verification AS v (chain, seq, head, at, sound_at, full_at) SELECT id, $1, $2, "
        "pg_catalog.clock_timestamp(), pg_catalog.clock_timestamp(), CASE WHEN $3 THEN pg_catalog.clock_timestamp() "
        "END FROM jit_access.chain ON CONFLICT (chain) DO UPDATE SET seq = excluded.seq, head = excluded.head, at = "
        "excluded.at, sound_at = excluded.sound_at, full_at = coalesce(excluded.full_at, v.full_at), finding = NULL",
        {verdict.last, core::to_hex(verdict.head), all});
}

// A verification of the whole record is one for reports as well, as if somebody had asked for it.
void keep_for_reports(const chain::Verification& verdict) {
    const auto head = core::to_hex(verdict.head);
    std::optional<std::string> what;
    if (!verdict.findings.empty()) what = verdict.findings.front().what;
    pg::execute(
        "INSERT INTO jit_access.whole_verification (at, by, sound, records, first_seq, last_seq, checkpoints, head, "
        "finding) VALUES (pg_catalog.clock_timestamp(), $1, $2, $3, $4, $5, $6, $7, $8)",
        {task::actor, verdict.sound, verdict.records, verdict.first, verdict.last, verdict.checkpoints, head,
         pg::nullable(what)});
    control_event::write(
        "record verified", std::nullopt, task::actor,
        {{"sound", verdict.sound ? "true" : "false"}, {"last", std::to_string(verdict.last)}, {"head", head}});
}

// Where it got before stays, so that it is found again until it is mended.
void keep_finding(const std::string& what) {
    pg::execute(
        "INSERT INTO jit_access.verification (chain, seq, head, at, finding) SELECT id, 0, '', "
        "pg_catalog.clock_timestamp(), $1 FROM jit_access.chain ON CONFLICT (chain) DO UPDATE SET at = excluded.at, "
        "finding = excluded.finding",
        {what});
    control_event::write("chain broken", std::nullopt, task::actor, {{"what", what}});
    pg::log_line("the record is not sound: " + what);
}

}  // namespace

std::string verify() {
    const auto from = where_to_go_on();
    const auto verdict = chain::verify(from ? std::optional(from->seq) : std::nullopt, std::nullopt);
    if (!from) keep_for_reports(verdict);
    if (const auto what = first_finding(verdict, from)) {
        keep_finding(*what);
        return "NOT SOUND: " + *what;
    }
    keep_sound(verdict, !from);
    return "sound: " + count(verdict.records, "record") + " up to " + std::to_string(verdict.last) +
           (from ? "" : ", all of them");
}

// ---- reminders ------------------------------------------------------------------------------------------------------

namespace {

// Whether it was not reminded of within a day; it is from here on. Some minutes less, or a daily job would skip days.
bool take_reminder(const std::string& about, std::int64_t id) {
    return pg::execute(
               "INSERT INTO jit_access.reminder AS r (about, id, at) VALUES ($1, $2, pg_catalog.clock_timestamp()) ON "
               "CONFLICT (about, id) DO UPDATE SET at = excluded.at WHERE r.at NOT BETWEEN "
               "pg_catalog.clock_timestamp() - interval '23 hours 50 minutes' AND pg_catalog.clock_timestamp()",
               {about, id}) == 1;
}

std::int64_t remind_of_break_glass() {
    std::int64_t reminded = 0;
    for (const auto& row : pg::query(
             "SELECT v.request_id, r.requester_name, t.name, v.due_at::text FROM jit_access.review v JOIN "
             "jit_access.request r ON r.id = v.request_id JOIN jit_access.template t ON t.id = r.template_id WHERE "
             "v.reviewed_at IS NULL AND v.due_at < pg_catalog.clock_timestamp() ORDER BY v.request_id")) {
        const auto id = row.get<std::int64_t>(0);
        if (!take_reminder("break-glass", id)) continue;
        control_event::write("review overdue", id, task::actor,
                             {{"of", "break-glass"},
                              {"responder", row.get<std::string>(1)},
                              {"template", row.get<std::string>(2)},
                              {"due", row.get<std::string>(3)}});
        ++reminded;
    }
    return reminded;
}

// They remind of themselves, where the extension has them.
std::int64_t remind_of_access_reviews() {
    if (!pg::query_row("SELECT 1 WHERE pg_catalog.to_regprocedure('jit_access.remind_reviews()') IS NOT NULL"))
        return 0;
    return pg::query_row("SELECT jit_access.remind_reviews()").value().maybe<std::int64_t>(0).value_or(0);
}

}  // namespace

std::string review_reminders() {
    return "reminded of " + count(remind_of_break_glass() + remind_of_access_reviews(), "review");
}

}  // namespace jit::jobs
