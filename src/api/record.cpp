// The record: journal, checkpoints, verification, export; reports, status, and who may read them.
#include "jit_access/api/support.hpp"

#include <algorithm>
#include <array>
#include <optional>
#include <span>
#include <vector>

#include "jit_access/core/chain.hpp"
#include "jit_access/core/csv.hpp"
#include "jit_access/identity/principal.hpp"
#include "jit_access/pg/table_result.hpp"
#include "jit_access/record/chain.hpp"
#include "jit_access/record/identifier.hpp"
#include "jit_access/record/ingest.hpp"
#include "jit_access/reports/report.hpp"
#include "jit_access/reports/status.hpp"

namespace jit::api {

#pragma GCC visibility push(default)
extern "C" {

PG_FUNCTION_INFO_V1(jit_journal);
Datum jit_journal(PG_FUNCTION_ARGS) {
    return pg::guarded([&] {
        require_loaded();
        const Args args(fcinfo);
        const auto from = args.bigint(0);
        pg::TableResult table(fcinfo);
        ingest::read(from ? std::optional<std::uint64_t>(static_cast<std::uint64_t>(std::max<std::int64_t>(*from, 0)))
                          : std::nullopt,
                     static_cast<std::size_t>(std::max(args.integer(1).value_or(0), 0)),
                     [&](std::span<const pg::Value> row) { table.add_row(row); });
        return Datum{0};
    });
}

PG_FUNCTION_INFO_V1(jit_next_id);
Datum jit_next_id(PG_FUNCTION_ARGS) {
    return pg::guarded([&] {
        require_loaded();
        return Int64GetDatum(identifier::next(Args(fcinfo).text(0).value()));
    });
}

PG_FUNCTION_INFO_V1(jit_audit_checkpoint);
Datum jit_audit_checkpoint(PG_FUNCTION_ARGS) {
    return answer(fcinfo, [&](const Args&) {
        principal::require_auditor(principal::caller());
        const auto seq = chain::checkpoint();
        fcinfo->isnull = !seq;
        return Int64GetDatum(seq.value_or(0));
    });
}

PG_FUNCTION_INFO_V1(jit_audit_verify);
Datum jit_audit_verify(PG_FUNCTION_ARGS) {
    return pg::guarded([&] {
        require_loaded();
        principal::require_auditor(principal::caller());
        const Args args(fcinfo);
        pg::TableResult table(fcinfo);
        const auto verdict = chain::verify(args.bigint(0), args.bigint(1));
        std::vector<pg::Value> row{or_null(chain::is_sound(verdict)),
                                   verdict.records,
                                   verdict.first,
                                   verdict.last,
                                   verdict.anchored > 0 ? pg::Value(verdict.anchored) : pg::Value(),
                                   verdict.checkpoints,
                                   core::to_hex(verdict.head),
                                   {},
                                   {}};
        if (!verdict.is_broken()) table.add_row(row);
        for (const auto& finding : verdict.findings) {
            row[7] = finding.seq;
            row[8] = finding.message;
            table.add_row(row);
        }
        return Datum{0};
    });
}

PG_FUNCTION_INFO_V1(jit_audit_export);
Datum jit_audit_export(PG_FUNCTION_ARGS) {
    return pg::guarded([&] {
        require_loaded();
        principal::require_auditor(principal::caller());
        const Args args(fcinfo);
        pg::TableResult table(fcinfo);
        chain::export_lines(args.bigint(0), args.bigint(1),
                            [&](std::optional<std::int64_t> seq, const std::string& line) {
                                const std::array row{or_null(seq), pg::Value(line)};
                                table.add_row(row);
                            });
        return Datum{0};
    });
}

PG_FUNCTION_INFO_V1(jit_may_audit);
Datum jit_may_audit(PG_FUNCTION_ARGS) {
    (void)fcinfo;
    return pg::guarded([] { return BoolGetDatum(principal::may_audit(pg::session_user())); });
}

PG_FUNCTION_INFO_V1(jit_require_auditor);
Datum jit_require_auditor(PG_FUNCTION_ARGS) {
    (void)fcinfo;
    return pg::guarded([] {
        principal::require_auditor(principal::session_person());
        return Datum{0};
    });
}

PG_FUNCTION_INFO_V1(jit_may_monitor);
Datum jit_may_monitor(PG_FUNCTION_ARGS) {
    (void)fcinfo;
    return pg::guarded([] { return BoolGetDatum(principal::may_monitor(pg::session_user())); });
}

PG_FUNCTION_INFO_V1(jit_report_html);
Datum jit_report_html(PG_FUNCTION_ARGS) {
    return answer(fcinfo, [](const Args& args) {
        return pg::text_result(report::render_page(args.text(0), args.instant(1), args.instant(2)));
    });
}

PG_FUNCTION_INFO_V1(jit_csv_cell);
Datum jit_csv_cell(PG_FUNCTION_ARGS) {
    return pg::guarded([&] { return pg::text_result(core::csv_cell(Args(fcinfo).text(0).value_or(""))); });
}

PG_FUNCTION_INFO_V1(jit_status);
Datum jit_status(PG_FUNCTION_ARGS) {
    return pg::guarded([&] {
        require_loaded();
        const auto row = status::status();
        return pg::row_result(fcinfo, row);
    });
}

PG_FUNCTION_INFO_V1(jit_confirmed);
Datum jit_confirmed(PG_FUNCTION_ARGS) {
    return pg::guarded([&] {
        require_loaded();
        const auto id = Args(fcinfo).bigint(0);
        return BoolGetDatum(id && status::is_confirmed(*id));
    });
}

}  // extern "C"
#pragma GCC visibility pop

}  // namespace jit::api
