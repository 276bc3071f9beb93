#include "jit_access/pg/sql.hpp"

#include <span>
#include <unordered_map>

#include "jit_access/pg/clock.hpp"
#include "jit_access/pg/error.hpp"
#include "jit_access/pg/server.hpp"
#include "jit_access/pg/xact.hpp"

extern "C" {
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "utils/array.h"
#include "utils/lsyscache.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"
}

namespace jit::pg {

namespace {

struct Parameter {
    Oid type;
    Datum datum;
    char null;  // as SPI_execute_plan() expects it
};

Datum text_datum(const std::string& text) {
    return PointerGetDatum(cstring_to_text_with_len(text.data(), static_cast<int>(text.size())));
}

Datum text_array_datum(const TextArray& items) {
    auto* elements = static_cast<Datum*>(palloc(sizeof(Datum) * (items.size() + 1)));
    for (std::size_t i = 0; i < items.size(); ++i) elements[i] = text_datum(items[i]);
    return PointerGetDatum(construct_array(elements, static_cast<int>(items.size()), TEXTOID, -1, false, TYPALIGN_INT));
}

Datum interval_datum(Duration duration) {
    auto* interval = static_cast<Interval*>(palloc0(sizeof(Interval)));
    interval->time = duration.us;
    return IntervalPGetDatum(interval);
}

Duration to_duration(const Interval& interval) noexcept {
    return {(std::int64_t{interval.month} * DAYS_PER_MONTH + interval.day) * USECS_PER_DAY + interval.time};
}

// Called inside pg::call(), because building a datum may raise an ERROR.
Parameter to_parameter(const Argument& argument) {
    const Value& value = argument.value;
    const char null = argument.null ? 'n' : ' ';
    switch (argument.type) {  // index in Value
        case 1: return {BOOLOID, BoolGetDatum(std::get<bool>(value)), null};
        case 2: return {INT4OID, Int32GetDatum(std::get<std::int32_t>(value)), null};
        case 3: return {INT8OID, Int64GetDatum(std::get<std::int64_t>(value)), null};
        case 4: return {OIDOID, ObjectIdGetDatum(std::get<RoleId>(value).oid), null};
        case 5: return {TIMESTAMPTZOID, TimestampTzGetDatum(std::get<Instant>(value).us), null};
        case 6: return {TEXTOID, text_datum(std::get<std::string>(value)), null};
        case 7: return {TEXTARRAYOID, text_array_datum(std::get<TextArray>(value)), null};
        default: return {INTERVALOID, interval_datum(std::get<Duration>(value)), null};
    }
}

// A cell in plain memory, because it is collected inside pg::call(), where an ERROR would skip destructors.
struct Cell {
    Oid type;
    bool null;
    Datum datum;
    const char* text;
    const char** items;
    int item_count;
};

// Copies the elements of text[] as C strings; NULL elements become empty strings.
void read_array(Cell& cell) {
    Datum* elements = nullptr;
    bool* nulls = nullptr;
    deconstruct_array(DatumGetArrayTypeP(cell.datum), TEXTOID, -1, false, TYPALIGN_INT, &elements, &nulls,
                      &cell.item_count);
    cell.items = static_cast<const char**>(palloc(sizeof(char*) * (static_cast<std::size_t>(cell.item_count) + 1)));
    for (int i = 0; i < cell.item_count; ++i) cell.items[i] = nulls[i] ? "" : TextDatumGetCString(elements[i]);
}

// Types with a counterpart in Value are read as datums, all others through their output function.
Cell read_cell(HeapTuple tuple, TupleDesc columns, int column) {
    Cell cell{SPI_gettypeid(columns, column), false, 0, nullptr, nullptr, 0};
    cell.datum = SPI_getbinval(tuple, columns, column, &cell.null);
    if (cell.null) return cell;
    switch (cell.type) {
        case BOOLOID:
        case INT2OID:
        case INT4OID:
        case INT8OID:
        case OIDOID:
        case INTERVALOID:
        case TIMESTAMPTZOID: break;
        case TEXTARRAYOID: read_array(cell); break;
        default: cell.text = SPI_getvalue(tuple, columns, column);
    }
    return cell;
}

Value to_value(const Cell& cell) {
    if (cell.null) return {};
    switch (cell.type) {
        case BOOLOID: return DatumGetBool(cell.datum);
        case INT2OID: return std::int32_t{DatumGetInt16(cell.datum)};
        case INT4OID: return DatumGetInt32(cell.datum);
        case INT8OID: return std::int64_t{DatumGetInt64(cell.datum)};
        case OIDOID: return RoleId{DatumGetObjectId(cell.datum)};
        case TIMESTAMPTZOID: return Instant{DatumGetTimestampTz(cell.datum)};
        case TEXTARRAYOID: return TextArray(cell.items, cell.items + cell.item_count);
        case INTERVALOID: return to_duration(*DatumGetIntervalP(cell.datum));
        default: return std::string(cell.text);
    }
}

// A connection to SPI. The memory context of the caller stays current. SPI_finish() frees SPI's own context, and would
// also free error data that a pg::call() had copied there.
class Connection {
public:
    Connection() {
        call([] {
            MemoryContext const outside = CurrentMemoryContext;
            SPI_connect();
            MemoryContextSwitchTo(outside);
        });
    }
    ~Connection() { SPI_finish(); }
    Connection(const Connection&) = delete;
    Connection& operator=(const Connection&) = delete;
};

constexpr std::size_t max_parameters = 60;

// The key contains the types, because the type of a parameter cannot change once a plan has been made. The SQL texts
// are a small fixed set, so their plans are kept for the life of the process.
SPIPlanPtr plan_for(const char* sql, const Oid* types, int count) {
    static std::unordered_map<std::string, SPIPlanPtr> plans;
    std::string key(sql);
    key.append(1, '\0').append(reinterpret_cast<const char*>(types), sizeof(Oid) * static_cast<std::size_t>(count));
    SPIPlanPtr& plan = plans[std::move(key)];
    if (plan == nullptr)
        plan = call([&] {
            SPIPlanPtr prepared = SPI_prepare(sql, count, const_cast<Oid*>(types));
            if (prepared == nullptr || SPI_keepplan(prepared) != 0)
                elog(ERROR, "%s: %s", SPI_result_code_string(SPI_result), sql);
            return prepared;
        });
    return plan;
}

using Arguments = std::span<const Argument>;

enum class Snapshot { of_transaction, latest };

// Runs a statement with its plan from the cache. The result stays in SPI's global variables.
void run(const char* sql, Arguments args, Snapshot snapshot = Snapshot::of_transaction) {
    Oid types[max_parameters];
    Datum datums[max_parameters];
    char nulls[max_parameters];
    call([&] {
        if (args.size() > max_parameters) elog(ERROR, "too many parameters");
        for (std::size_t i = 0; i < args.size(); ++i) {
            const Parameter p = to_parameter(args[i]);
            types[i] = p.type;
            datums[i] = p.datum;
            nulls[i] = p.null;
        }
    });
    SPIPlanPtr plan = plan_for(sql, types, static_cast<int>(args.size()));
    call([&] {
        const bool latest = snapshot == Snapshot::latest;
        // Because of read_only, SPI uses the active snapshot. After an error, the abort of the (sub)transaction pops
        // it.
        if (latest) PushActiveSnapshot(GetLatestSnapshot());
        const int rc = SPI_execute_plan(plan, datums, nulls, latest, 0);
        if (latest) PopActiveSnapshot();
        if (rc < 0) elog(ERROR, "%s: %s", SPI_result_code_string(rc), sql);
    });
}

// Copies the result out of SPI's memory, row by row. The server's part of each row, which may raise an ERROR, and the
// C++ part, which may throw bad_alloc, are separate and alternate.
std::vector<Row> copy_rows() {
    std::vector<Row> rows;
    if (SPI_tuptable == nullptr) return rows;
    const int width = SPI_tuptable->tupdesc->natts;
    for (std::uint64_t r = 0; r < SPI_processed; ++r) {
        Cell* cells = call([&] {
            auto* row = static_cast<Cell*>(palloc(sizeof(Cell) * static_cast<std::size_t>(width)));
            for (int c = 0; c < width; ++c) row[c] = read_cell(SPI_tuptable->vals[r], SPI_tuptable->tupdesc, c + 1);
            return row;
        });
        std::vector<Value> values;
        values.reserve(static_cast<std::size_t>(width));
        for (int c = 0; c < width; ++c) values.push_back(to_value(cells[c]));
        rows.emplace_back(std::move(values));
    }
    return rows;
}

std::vector<Row> fetch(const char* sql, Arguments args, Snapshot snapshot = Snapshot::of_transaction) {
    const Connection connection;
    run(sql, args, snapshot);
    return copy_rows();
}

void run_once(const char* sql) {
    call([&] {
        const int rc = SPI_execute(sql, false, 0);
        if (rc < 0) elog(ERROR, "%s: %s", SPI_result_code_string(rc), sql);
    });
}

std::optional<Row> first(std::vector<Row> rows) {
    if (rows.empty()) return std::nullopt;
    return std::move(rows.front());
}

}  // namespace

std::vector<Row> query(const char* sql, std::initializer_list<Argument> args) { return fetch(sql, args); }
std::vector<Row> query(const char* sql, const std::vector<Argument>& args) { return fetch(sql, args); }
std::optional<Row> query_row(const char* sql, std::initializer_list<Argument> args) { return first(fetch(sql, args)); }
std::optional<Row> query_row(const char* sql, const std::vector<Argument>& args) { return first(fetch(sql, args)); }
std::optional<Row> query_latest(const char* sql, std::initializer_list<Argument> args) {
    return first(fetch(sql, args, Snapshot::latest));
}

std::vector<Row> query_replanned(const char* sql) {
    const Connection connection;
    run_once(sql);
    return copy_rows();
}

std::uint64_t execute(const char* sql, std::initializer_list<Argument> args) {
    const Connection connection;
    run(sql, args);
    return SPI_processed;
}

void command(const std::string& sql) {
    const Connection connection;
    run_once(sql.c_str());
}

void change_access_lists(const std::string& sql) {
    constexpr std::int64_t retry_time = 2'000'000;
    const auto until = boot_clock() + retry_time;
    while (boot_clock() < until) {
        std::exception_ptr other_error;
        const auto fault = in_subtransaction([&] {
            try {
                command(sql);
            } catch (const ServerError& error) {
                // The message is raised by elog(), so it is never translated. Other errors, in particular a cancel
                // request, are passed on.
                if (!std::string_view(error.what()).starts_with("tuple concurrently "))
                    other_error = std::current_exception();
                throw;
            }
        });
        if (!fault) return;
        if (other_error) std::rethrow_exception(other_error);
    }
    command(sql);
}

// quote_identifier() needs a terminated string and may return its argument itself, so the copy must outlive the call.
std::string quote(std::string_view identifier) {
    const std::string plain(identifier);
    const char* quoted = call([&] { return quote_identifier(plain.c_str()); });
    return quoted;
}

}  // namespace jit::pg
