#include "jit_access/record/partition.hpp"

#include <limits>
#include <optional>
#include <string>
#include <vector>

#include "jit_access/core/failure.hpp"
#include "jit_access/pg/partition.hpp"
#include "jit_access/pg/settings.hpp"
#include "jit_access/pg/sql.hpp"
#include "jit_access/record/chain.hpp"

namespace jit::partition {

namespace {

// Holds the records from `from` (nothing: no lower bound) to the one before `to` (nothing: the partition is open).
struct Partition {
    std::string table;
    std::optional<std::int64_t> from;
    std::optional<std::int64_t> to;
};

// The bounds are read from the catalogs, because a list of our own could disagree with them.
constexpr const char* list_partitions = R"sql(
    SELECT c.relname::text,
           substring(b FROM 'FROM [(]''?([0-9]+)')::bigint,
           substring(b FROM 'TO [(]''?([0-9]+)')::bigint
    FROM pg_catalog.pg_inherits i
    JOIN pg_catalog.pg_class c ON c.oid = i.inhrelid,
         pg_catalog.pg_get_expr(c.relpartbound, c.oid) b
    WHERE i.inhparent = 'jit_access.record'::pg_catalog.regclass
    ORDER BY 2 NULLS FIRST
)sql";

// Oldest first.
std::vector<Partition> partitions() {
    std::vector<Partition> all;
    for (const auto& row : pg::query(list_partitions))
        all.push_back({"jit_access." + pg::quote(row.get<std::string>(0)), row.maybe<std::int64_t>(1),
                       row.maybe<std::int64_t>(2)});
    return all;
}

std::string text(std::int64_t number) { return std::to_string(number); }

std::string bounds(const std::optional<std::int64_t>& from, const std::optional<std::int64_t>& to) {
    return " FOR VALUES FROM (" + (from ? text(*from) : "MINVALUE") + ") TO (" + (to ? text(*to) : "MAXVALUE") + ")";
}

// Takes the locks in the same order as a checkpoint does, because otherwise it could deadlock with a checkpoint. Until
// the commit nothing else is appended to the record, so the caller may append to it in place of the worker.
void lock(const Partition& part) {
    pg::command("LOCK TABLE jit_access.checkpoint IN SHARE ROW EXCLUSIVE MODE");
    pg::command("LOCK TABLE ONLY jit_access.record, ONLY " + part.table + " IN ACCESS EXCLUSIVE MODE");
}

constexpr const char* grantees_of_table = R"sql(
    SELECT DISTINCT CASE a.grantee
                        WHEN 0 THEN 'PUBLIC'
                        ELSE pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(a.grantee))
                    END
    FROM pg_catalog.pg_class c, pg_catalog.aclexplode(c.relacl) a
    WHERE c.oid = $1::pg_catalog.regclass AND a.grantee <> c.relowner
)sql";

constexpr const char* no_statistics = R"sql(
    SELECT ' ' || pg_catalog.string_agg(pg_catalog.format('ALTER COLUMN %I SET STATISTICS 0', a.attname), ', ')
    FROM pg_catalog.pg_attribute a
    WHERE a.attrelid = $1::pg_catalog.regclass AND a.attnum > 0 AND NOT a.attisdropped
)sql";

// Gives a new partition the protection that sql/95_privileges.sql gives to the tables of the install script. Default
// privileges of the schema or the owner may have granted privileges on it.
void protect(const std::string& table) {
    const auto owner = pg::query_row(R"sql(
        SELECT pg_catalog.pg_get_userbyid(relowner)::text
        FROM pg_catalog.pg_class
        WHERE oid = 'jit_access.record'::pg_catalog.regclass
    )sql");
    pg::command("ALTER TABLE " + table + " OWNER TO " + pg::quote(owner.value().get<std::string>(0)));
    pg::command("ALTER TABLE " + table + " ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY");
    // ANALYZE would copy values into pg_statistic, which has no row security.
    pg::command("ALTER TABLE " + table + pg::query_row(no_statistics, {table})->get<std::string>(0));
    for (const auto& row : pg::query(grantees_of_table, {table}))
        pg::command("REVOKE ALL ON TABLE " + table + " FROM " + row.get<std::string>(0));
}

void create_open(std::int64_t from) {
    const auto table = "jit_access." + pg::quote("record_" + text(from));
    pg::command("CREATE TABLE " + table + " PARTITION OF jit_access.record" + bounds(from, std::nullopt));
    protect(table);
    pg::command("COMMENT ON TABLE " + table + " IS 'partition of jit_access.record, from this number on'");
    pg::command("ALTER EXTENSION jit_access ADD TABLE " + table);
}

// Makes a checkpoint of the last record and returns its number.
std::int64_t checkpoint_end() {
    chain::checkpoint();
    const auto last = pg::query_row(R"sql(
        SELECT c.seq
        FROM jit_access.checkpoint c
        WHERE c.seq = (SELECT max(r.seq) FROM jit_access.record r)
    )sql");
    if (!last)
        throw core::Failure(core::Code::wrong_state, "the partition stays open",
                            "The last record does not match the last checkpoint.", "Run jit_audit_verify().");
    return last->get<std::int64_t>(0);
}

void close(const Partition& open) {
    lock(open);
    const auto next = checkpoint_end() + 1;
    pg::command("ALTER TABLE jit_access.record DETACH PARTITION " + open.table);
    // ATTACH PARTITION would scan the whole partition to verify its bounds. The bounds are known from the index, so
    // they are declared as a constraint that is assumed to hold.
    pg::add_valid_check(
        open.table, "numbers",
        "seq < '" + text(next) + "'::bigint" + (open.from ? " AND seq >= '" + text(*open.from) + "'::bigint" : ""));
    pg::command("ALTER TABLE jit_access.record ATTACH PARTITION " + open.table + bounds(open.from, next));
    pg::command("ALTER TABLE " + open.table + " DROP CONSTRAINT numbers");
    create_open(next);
}

}  // namespace

void close_if_due() {
    const auto all = partitions();
    if (all.empty() || all.back().to) return;
    // A partition begins when the previous one is closed, at the time of the previous partition's last checkpoint.
    // The first record of the new partition may be older, if it was taken over late.
    const auto due = pg::query_row(
        R"sql(
        SELECT greatest(r.at, c.at) < date_trunc($2, pg_catalog.clock_timestamp(), 'UTC')
        FROM jit_access.record r
        LEFT JOIN jit_access.checkpoint c ON c.seq = r.seq - 1
        WHERE r.seq >= $1
        ORDER BY r.seq
        LIMIT 1
    )sql",
        {all.back().from.value_or(std::numeric_limits<std::int64_t>::min()), std::string(settings::record_period())});
    if (due && due->get<bool>(0)) close(all.back());
}

void drop_if_due() {
    if (settings::record_retention == 0) return;
    const auto all = partitions();
    if (all.empty() || !all.front().to) return;
    const auto& oldest = all.front();
    const auto last = *oldest.to - 1;
    const auto due = pg::query_row(R"sql(
        SELECT coalesce(max(at) < pg_catalog.clock_timestamp() - $2::integer * interval '1 day', false)
        FROM (
            SELECT at FROM jit_access.checkpoint WHERE seq = $1
            UNION ALL
            SELECT at FROM jit_access.record WHERE seq = $1
        ) x
    )sql",
                                   {last, std::int32_t{settings::record_retention}});
    if (!due.value().get<bool>(0)) return;
    lock(oldest);
    chain::record_dropped(oldest.from.value_or(1), last);
    pg::execute("DELETE FROM jit_access.use_count WHERE partition_oid = $1::text::pg_catalog.regclass", {oldest.table});
    pg::command("ALTER EXTENSION jit_access DROP TABLE " + oldest.table);
    pg::command("DROP TABLE " + oldest.table);
}

}  // namespace jit::partition
