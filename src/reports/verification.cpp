#include "jit_access/reports/verification.hpp"

#include <algorithm>

#include "jit_access/record/chain.hpp"

namespace jit::verification {

using core::Page;
using pg::Instant;

std::string format_time(const Instant& at) {
    return pg::query_row("SELECT pg_catalog.to_char($1 AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI') || ' UTC'", {at})
        ->get<std::string>(0);
}

namespace {

constexpr std::int64_t max_verified = 200'000;  // records

// The subject of a sentence about records.
std::string name_records(std::int64_t from, std::int64_t to) {
    if (from == to) return "Number " + std::to_string(from) + " was";
    return "Numbers " + std::to_string(from) + " to " + std::to_string(to) + " were";
}

// Describes what is known about records without a finding. `anchored` is the last record that an anchor confirms, or 0
// if there is no anchor. Records after it may have been cut off.
std::string describe_verdict(std::int64_t anchored) {
    if (anchored > 0) return "sound, confirmed by an anchor up to number " + std::to_string(anchored);
    return "self-consistent, but confirmed by no anchor";
}

// Describes the last verification of the whole record, and returns the number up to which it went. The verification is
// trusted only if the record still has the head that was found then. In that case no earlier row has changed since,
// unless the stored heads of that row and of all later rows were recomputed.
std::int64_t describe_last_verification(Page::Verification& description) {
    const auto row = pg::query_row(R"sql(
        SELECT v.last_seq, v.at, v.by, v.sound IS NOT FALSE, v.head, coalesce(v.finding, ''),
               pg_catalog.encode(r.hash, 'hex') IS NOT DISTINCT FROM v.head, v.records, coalesce(v.anchored_seq, 0)
        FROM jit_access.whole_verification v
        LEFT JOIN jit_access.record r ON r.seq = v.last_seq
        ORDER BY v.id DESC
        LIMIT 1)sql");
    if (!row) {
        description.claims.emplace_back(
            "No verification of the whole record has been kept. jit_report_verify() makes one.");
        return 0;
    }
    const auto last = row->get<std::int64_t>(0);
    const auto done = format_time(row->get<Instant>(1)) + " by " + row->get<std::string>(2);
    if (!row->get<bool>(3)) {
        description.sound = false;
        description.claims.push_back("The whole record was verified on " + done +
                                     ", and is NOT SOUND: " + row->get<std::string>(5) + ".");
    } else if (!row->get<bool>(6)) {
        description.sound = false;
        description.claims.push_back("The whole record was verified on " + done +
                                     ", but is NOT the one that was verified: number " + std::to_string(last) +
                                     " has another head now, or is missing.");
    } else {
        description.claims.push_back("The whole record, up to number " + std::to_string(last) + ", was verified on " +
                                     done + ": " + describe_verdict(row->get<std::int64_t>(8)) +
                                     ", and its head is still the same. These " +
                                     std::to_string(row->get<std::int64_t>(7)) +
                                     " records were not verified again for this page: the next verification, not this "
                                     "page, finds later changes of them.");
    }
    return last;
}

// Verifies the records after `verified_to`, or the newest of them if there are too many.
void verify_newest(Page::Verification& description, std::int64_t verified_to) {
    const auto last = pg::query_row("SELECT coalesce(max(seq), 0) FROM jit_access.record")->get<std::int64_t>(0);
    if (last <= verified_to) return;
    const auto from = std::max(verified_to + 1, last - max_verified + 1);
    if (from > verified_to + 1) {
        description.sound = false;
        description.claims.push_back(name_records(verified_to + 1, from - 1) + " verified by neither of these.");
    }
    const auto verdict = chain::verify(from, last);
    description.sound = description.sound && !verdict.is_broken();
    std::string claim = name_records(from, last) + " verified while this page was made: " +
                        (verdict.is_broken() ? "NOT SOUND" : describe_verdict(verdict.anchored)) + ", " +
                        std::to_string(verdict.checkpoints) + " checkpoints and anchors agree.";
    for (const auto& finding : verdict.findings)
        claim += " At " + std::to_string(finding.seq) + ": " + finding.message + ".";
    description.claims.push_back(claim);
    description.head = core::to_hex(verdict.head);
}

}  // namespace

Page::Verification describe() {
    Page::Verification description{.sound = true, .claims = {}, .head = {}};
    const auto verified_to = describe_last_verification(description);
    verify_newest(description, verified_to);
    if (description.head.empty())
        if (const auto head =
                pg::query_row("SELECT pg_catalog.encode(hash, 'hex') FROM jit_access.record ORDER BY seq DESC LIMIT 1"))
            description.head = head->get<std::string>(0);
    description.claims.emplace_back(description.sound ? "Nothing of this says that the record was changed."
                                                      : "So it is not known that the record is whole.");
    return description;
}

}  // namespace jit::verification
