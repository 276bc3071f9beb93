#include "jit_access/pg/record_table.hpp"

#include <algorithm>
#include <limits>

#include "jit_access/core/failure.hpp"
#include "jit_access/pg/version_shims.hpp"

extern "C" {
#include "access/heapam.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "executor/executor.h"
#include "executor/spi.h"
#include "partitioning/partbounds.h"
#include "partitioning/partdesc.h"
#include "utils/array.h"
#include "utils/fmgrprotos.h"
#include "utils/jsonb.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"
#include "utils/uuid.h"
}

namespace jit::pg {

namespace {

using core::AuditRecord;
using core::ColumnInfo;
using core::SqlType;

constexpr auto& columns = core::record_columns;
// The index of the hash attribute, which follows the other columns.
constexpr int hash_index = static_cast<int>(columns.size());
constexpr int column_count = hash_index + 1;
constexpr int rows_at_once = 500;

constexpr Oid oid_of(SqlType type) {
    switch (type) {
        case SqlType::bigint: return INT8OID;
        case SqlType::integer: return INT4OID;
        case SqlType::text: return TEXTOID;
        case SqlType::uuid: return UUIDOID;
        case SqlType::timestamptz: return TIMESTAMPTZOID;
        case SqlType::interval: return INTERVALOID;
        case SqlType::jsonb: return JSONBOID;
        case SqlType::bigint_array: return INT8ARRAYOID;
        case SqlType::text_array: return TEXTARRAYOID;
        case SqlType::bytea: return BYTEAOID;
    }
    return InvalidOid;
}

constexpr const ColumnInfo& column_at(int index) {
    return index == hash_index ? core::hash_column : columns[static_cast<std::size_t>(index)];
}

Datum text_datum(std::string_view text) {
    return PointerGetDatum(cstring_to_text_with_len(text.data(), static_cast<int>(text.size())));
}

// Visitor that stores one Datum for each column, in order. Runs inside call(), because the server may raise an ERROR.
class ToDatums {
public:
    ToDatums(Datum* values, bool* nulls) : values_(values), nulls_(nulls) {}

    void operator()(const ColumnInfo&, std::int64_t value) { store(Int64GetDatum(value)); }
    void operator()(const ColumnInfo&, std::int32_t value) { store(Int32GetDatum(value)); }
    void operator()(const ColumnInfo& column, std::string_view value) {
        store(column.type == SqlType::jsonb
                  ? DirectFunctionCall1(jsonb_in, CStringGetDatum(pnstrdup(value.data(), value.size())))
                  : text_datum(value));
    }
    void operator()(const ColumnInfo&, const core::Uuid& value) {
        auto* uuid = static_cast<pg_uuid_t*>(palloc(sizeof(pg_uuid_t)));
        memcpy(uuid->data, value.data(), value.size());
        store(UUIDPGetDatum(uuid));
    }
    void operator()(const ColumnInfo&, const core::Span& value) {
        auto* interval = static_cast<Interval*>(palloc(sizeof(Interval)));
        interval->time = value.microseconds;
        interval->day = value.days;
        interval->month = value.months;
        store(IntervalPGetDatum(interval));
    }
    void operator()(const ColumnInfo&, const std::vector<std::int64_t>& values) {
        auto* elements = allocate_elements(values.size());
        for (std::size_t i = 0; i < values.size(); ++i) elements[i] = Int64GetDatum(values[i]);
        store(PointerGetDatum(
            construct_array(elements, static_cast<int>(values.size()), INT8OID, sizeof(int64), true, TYPALIGN_DOUBLE)));
    }
    void operator()(const ColumnInfo&, const std::vector<std::string_view>& values) {
        auto* elements = allocate_elements(values.size());
        for (std::size_t i = 0; i < values.size(); ++i) elements[i] = text_datum(values[i]);
        store(PointerGetDatum(
            construct_array(elements, static_cast<int>(values.size()), TEXTOID, -1, false, TYPALIGN_INT)));
    }
    template <class T>
    void operator()(const ColumnInfo& column, const std::optional<T>& value) {
        if (value) {
            (*this)(column, *value);
            return;
        }
        nulls_[index_] = true;
        values_[index_++] = 0;
    }

private:
    static Datum* allocate_elements(std::size_t count) {
        return static_cast<Datum*>(palloc(sizeof(Datum) * (count + 1)));
    }
    void store(Datum value) {
        nulls_[index_] = false;
        values_[index_++] = value;
    }

    Datum* values_;
    bool* nulls_;
    int index_ = 0;
};

// Visitor for the other direction. Runs outside of call(), because it fills C++ containers, which a longjmp would leak;
// only detoasting and parsing by the server run inside.
class FromDatums {
public:
    // Clears `is_regular` if a column has a value that the extension never writes; that column is left empty.
    FromDatums(const Datum* values, const bool* nulls, bool& is_regular)
        : values_(values), nulls_(nulls), is_regular_(is_regular) {}

    void operator()(const ColumnInfo&, std::int64_t& value) {
        if (check_not_null()) value = DatumGetInt64(next());
    }
    void operator()(const ColumnInfo&, std::int32_t& value) {
        if (check_not_null()) value = DatumGetInt32(next());
    }
    void operator()(const ColumnInfo&, core::Uuid& value) {
        if (!check_not_null()) return;
        const auto* uuid = DatumGetUUIDP(next());
        memcpy(value.data(), uuid->data, value.size());
    }
    void operator()(const ColumnInfo&, core::Span& value) {
        const auto* interval = DatumGetIntervalP(next());
        value = {interval->time, interval->day, interval->month};
    }
    void operator()(const ColumnInfo& column, std::string_view& value) {
        if (!check_not_null()) return;
        const Datum datum = next();
        value = call([&] {
            if (column.type == SqlType::jsonb) {
                Jsonb* jsonb = DatumGetJsonbP(datum);
                return std::string_view(JsonbToCString(nullptr, &jsonb->root, VARSIZE(jsonb)));
            }
            const text* packed = DatumGetTextPP(datum);
            return std::string_view(VARDATA_ANY(packed), VARSIZE_ANY_EXHDR(packed));
        });
    }
    void operator()(const ColumnInfo&, std::vector<std::int64_t>& values) {
        for (const auto datum : next_elements(INT8OID, sizeof(int64), true, TYPALIGN_DOUBLE))
            values.push_back(DatumGetInt64(datum));
    }
    void operator()(const ColumnInfo&, std::vector<std::string_view>& values) {
        for (const auto datum : next_elements(TEXTOID, -1, false, TYPALIGN_INT)) {
            const text* packed = call([&] { return DatumGetTextPP(datum); });
            values.emplace_back(VARDATA_ANY(packed), VARSIZE_ANY_EXHDR(packed));
        }
    }
    template <class T>
    void operator()(const ColumnInfo& column, std::optional<T>& value) {
        value.reset();
        if (nulls_[index_]) {
            ++index_;
            return;
        }
        (*this)(column, value.emplace());
    }

private:
    Datum next() { return values_[index_++]; }
    // Returns false for a NULL, which is skipped.
    bool check_not_null() {
        if (!nulls_[index_]) return true;
        is_regular_ = false;
        ++index_;
        return false;
    }
    // Returns the elements of a one-dimensional array with lower bound 1 and no NULLs; for any other array returns
    // nothing.
    std::span<const Datum> next_elements(Oid type, int size, bool by_value, char align) {
        const Datum datum = next();
        return call([&] {
            ArrayType* array = DatumGetArrayTypeP(datum);
            const int dimensions = ARR_NDIM(array);
            if (dimensions > 1 || (dimensions == 1 && ARR_LBOUND(array)[0] != 1) || array_contains_nulls(array)) {
                is_regular_ = false;
                return std::span<const Datum>();
            }
            Datum* elements = nullptr;
            int count = 0;
            deconstruct_array(array, type, size, by_value, align, &elements, nullptr, &count);
            return std::span<const Datum>(elements, static_cast<std::size_t>(count));
        });
    }

    const Datum* values_;
    const bool* nulls_;
    bool& is_regular_;
    int index_ = 0;
};

// The table may have been altered by hand, and a Datum of an unexpected type would be a wild pointer.
void check_columns(TupleDesc table) {
    bool is_as_expected = table->natts >= column_count;
    for (int i = 0; is_as_expected && i < table->natts; ++i) {
        const auto* attribute = TupleDescAttr(table, i);
        if (i >= column_count) {
            is_as_expected = attribute->attisdropped;  // was added by hand and dropped again
            continue;
        }
        const auto& column = column_at(i);
        is_as_expected = attribute->atttypid == oid_of(column.type) && column.name == NameStr(attribute->attname);
    }
    if (!is_as_expected) elog(ERROR, "jit_access.record does not have the columns of this version of jit_access");
}

core::Digest digest_of(Datum value) {
    core::Digest digest{};
    const auto* hash = call([&] { return DatumGetByteaPP(value); });
    if (VARSIZE_ANY_EXHDR(hash) == digest.size()) memcpy(digest.data(), VARDATA_ANY(hash), digest.size());
    return digest;
}

// Returns the first sequence number of the last partition; 1 if it has no lower bound.
std::int64_t first_seq_of_last(const PartitionBoundInfoData* bounds) {
    const int lower = bounds->ndatums - 2;
    if (lower < 0 || bounds->kind[lower][0] != PARTITION_RANGE_DATUM_VALUE) return 1;
    return DatumGetInt64(bounds->datums[lower][0]);
}

struct OpenPartition {
    Relation relation;
    std::int64_t first_seq;
};

// Opens the partition that receives new rows: the last one, which has no upper bound. Writing into it directly saves
// the routing of every tuple. It is always the right partition, because sequence numbers only grow.
OpenPartition open_partition() {
    const Oid schema = get_namespace_oid("jit_access", false);
    Relation record = table_open(get_relname_relid("record", schema), RowExclusiveLock);
    check_columns(RelationGetDescr(record));
    if (record->rd_rel->relkind != RELKIND_PARTITIONED_TABLE) elog(ERROR, "jit_access.record has no partitions");
    const PartitionDescData* partitions = RelationGetPartitionDesc(record, true);
    if (partitions->nparts == 0) elog(ERROR, "jit_access.record has no partitions");
    Relation open = table_open(partitions->oids[partitions->nparts - 1], RowExclusiveLock);
    check_columns(RelationGetDescr(open));
    const auto first_seq = first_seq_of_last(partitions->boundinfo);
    table_close(record, NoLock);
    return {open, first_seq};
}

}  // namespace

struct RecordWriter::State {
    Relation partition;
    std::int64_t first_seq;
    EState* executor;
    ResultRelInfo* target;
    BulkInsertState bulk;
    MemoryContext rows;  // holds the values of the rows that are buffered
    TupleTableSlot* slots[rows_at_once];
    int slot_count;  // slots that exist
    int filled;      // slots that hold a buffered row
};

namespace {

// Inserts the buffered rows with one call of the table access method, as COPY does (commands/copyfrom.c).
template <class State>
void write_rows(State& state) {
    CommandId const command = GetCurrentCommandId(true);
    MemoryContext const caller_context = MemoryContextSwitchTo(state.rows);
    table_multi_insert(state.partition, state.slots, state.filled, command, 0, state.bulk);
    for (int i = 0; i < state.filled; ++i) {
        insert_into_indexes(state.target, state.slots[i], state.executor);
        ExecClearTuple(state.slots[i]);
        ResetPerTupleExprContext(state.executor);
    }
    MemoryContextSwitchTo(caller_context);
    MemoryContextReset(state.rows);
    state.filled = 0;
}

}  // namespace

RecordWriter::RecordWriter()
    : state_(call([] {
          auto* state = static_cast<State*>(palloc0(sizeof(State)));
          const auto open = open_partition();
          state->partition = open.relation;
          state->first_seq = open.first_seq;
          state->executor = CreateExecutorState();
          state->target = makeNode(ResultRelInfo);
          InitResultRelInfo(state->target, state->partition, 1, nullptr, 0);
          ExecOpenIndices(state->target, false);
          state->bulk = GetBulkInsertState();
          state->rows = AllocSetContextCreate(CurrentMemoryContext, "jit_access rows", ALLOCSET_DEFAULT_SIZES);
          return state;
      })) {}

std::int64_t RecordWriter::first_seq() const { return state_->first_seq; }

void RecordWriter::add(const AuditRecord& record, const core::Digest& head) {
    call([&] {
        State& state = *state_;
        if (state.filled == state.slot_count)
            state.slots[state.slot_count++] = table_slot_create(state.partition, nullptr);
        TupleTableSlot* slot = state.slots[state.filled++];
        MemoryContext const caller_context = MemoryContextSwitchTo(state.rows);
        core::for_each_column(record, ToDatums(slot->tts_values, slot->tts_isnull));
        auto* hash = static_cast<bytea*>(palloc(VARHDRSZ + head.size()));
        SET_VARSIZE(hash, VARHDRSZ + head.size());
        memcpy(VARDATA(hash), head.data(), head.size());
        slot->tts_values[hash_index] = PointerGetDatum(hash);
        slot->tts_isnull[hash_index] = false;
        for (int i = column_count; i < slot->tts_tupleDescriptor->natts; ++i) slot->tts_isnull[i] = true;
        MemoryContextSwitchTo(caller_context);
        ExecStoreVirtualTuple(slot);
        if (state.filled == rows_at_once) write_rows(state);
    });
}

void RecordWriter::finish() {
    call([&] {
        State& state = *state_;
        if (state.filled > 0) write_rows(state);
        for (int i = 0; i < state.slot_count; ++i) ExecDropSingleTupleTableSlot(state.slots[i]);
        FreeBulkInsertState(state.bulk);
        ExecCloseIndices(state.target);
        FreeExecutorState(state.executor);
        MemoryContextDelete(state.rows);
        table_close(state.partition, NoLock);
    });
}

void read_record(std::optional<std::int64_t> from, std::int64_t to,
                 const std::function<void(const AuditRecord& record, const core::Digest& head)>& visit) {
    struct Fetch {
        Portal portal;
        MemoryContext row;  // reset after each row
    };
    const Fetch fetch = call([&] {
        SPI_connect();
        const bool is_whole_table = !from && to == std::numeric_limits<std::int64_t>::max();
        const char* sql = is_whole_table ? "SELECT * FROM jit_access.record ORDER BY seq"
                                         : "SELECT * FROM jit_access.record WHERE seq BETWEEN $1 AND $2 ORDER BY seq";
        Oid types[] = {INT8OID, INT8OID};
        Datum args[] = {Int64GetDatum(from.value_or(std::numeric_limits<std::int64_t>::min())), Int64GetDatum(to)};
        PushActiveSnapshot(GetLatestSnapshot());
        Portal portal = SPI_cursor_open_with_args(nullptr, sql, is_whole_table ? 0 : 2, types, args, nullptr, true,
                                                  CURSOR_OPT_NO_SCROLL);
        PopActiveSnapshot();
        return Fetch{portal, AllocSetContextCreate(CurrentMemoryContext, "jit_access row", ALLOCSET_DEFAULT_SIZES)};
    });
    for (;;) {
        const auto count = call([&] {
            CHECK_FOR_INTERRUPTS();
            SPI_cursor_fetch(fetch.portal, true, 1000);
            if (SPI_tuptable != nullptr) check_columns(SPI_tuptable->tupdesc);
            return SPI_processed;
        });
        if (count == 0) break;
        for (std::uint64_t i = 0; i < count; ++i) {
            Datum values[column_count] = {};
            bool nulls[column_count];
            std::fill_n(nulls, column_count, true);
            MemoryContext const caller_context = MemoryContextSwitchTo(fetch.row);
            call([&] { heap_deform_tuple(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, values, nulls); });
            bool is_regular = !nulls[hash_index];
            AuditRecord record;
            core::for_each_column(record, FromDatums(values, nulls, is_regular));
            visit(record, is_regular ? digest_of(values[hash_index]) : core::Digest{});
            MemoryContextSwitchTo(caller_context);
            MemoryContextReset(fetch.row);
        }
        call([] { SPI_freetuptable(SPI_tuptable); });
    }
    call([&] {
        SPI_cursor_close(fetch.portal);
        SPI_finish();
    });
}

}  // namespace jit::pg
