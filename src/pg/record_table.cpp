#include "jit_access/pg/record_table.hpp"

#include <algorithm>
#include <limits>

#include "jit_access/core/failure.hpp"
#include "jit_access/pg/version.hpp"

extern "C" {
#include "access/heapam.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "executor/executor.h"
#include "executor/spi.h"
#include "mb/pg_wchar.h"
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

constexpr int column_count = static_cast<int>(core::audit_record_columns.size()) + 1;  // and the hash
constexpr Oid column_types[column_count] = {
    INT8OID, UUIDOID,     INT8OID, TEXTOID,  TIMESTAMPTZOID, INT8OID,        INT8ARRAYOID, TEXTOID,
    TEXTOID, TEXTOID,     TEXTOID, TEXTOID,  INT4OID,        TIMESTAMPTZOID, INT4OID,      TEXTOID,
    TEXTOID, INT4OID,     TEXTOID, TEXTOID,  TEXTARRAYOID,   TEXTARRAYOID,   TEXTARRAYOID, TEXTOID,
    INT8OID, INTERVALOID, TEXTOID, JSONBOID, INT8OID,        BYTEAOID};
constexpr int rows_at_once = 500;
constexpr int detail_column = 27;

Datum text_datum(std::string_view text) {
    return PointerGetDatum(cstring_to_text_with_len(text.data(), static_cast<int>(text.size())));
}

// One Datum for each column, in order.
class ToDatums {
public:
    ToDatums(Datum* values, bool* nulls) : values_(values), nulls_(nulls) {}

    void operator()(std::int64_t value) { put(Int64GetDatum(value)); }
    void operator()(std::int32_t value) { put(Int32GetDatum(value)); }
    void operator()(std::string_view value) {
        put(at_ == detail_column ? DirectFunctionCall1(jsonb_in, CStringGetDatum(pnstrdup(value.data(), value.size())))
                                 : text_datum(value));
    }
    void operator()(const core::Uuid& value) {
        auto* uuid = static_cast<pg_uuid_t*>(palloc(sizeof(pg_uuid_t)));
        memcpy(uuid->data, value.data(), value.size());
        put(UUIDPGetDatum(uuid));
    }
    void operator()(const core::Span& value) {
        auto* interval = static_cast<Interval*>(palloc(sizeof(Interval)));
        interval->time = value.microseconds;
        interval->day = value.days;
        interval->month = value.months;
        put(IntervalPGetDatum(interval));
    }
    void operator()(const std::vector<std::int64_t>& values) {
        auto* elements = room_for(values.size());
        for (std::size_t i = 0; i < values.size(); ++i) elements[i] = Int64GetDatum(values[i]);
        put(PointerGetDatum(
            construct_array(elements, static_cast<int>(values.size()), INT8OID, sizeof(int64), true, TYPALIGN_DOUBLE)));
    }
    void operator()(const std::vector<std::string_view>& values) {
        auto* elements = room_for(values.size());
        for (std::size_t i = 0; i < values.size(); ++i) elements[i] = text_datum(values[i]);
        put(PointerGetDatum(
            construct_array(elements, static_cast<int>(values.size()), TEXTOID, -1, false, TYPALIGN_INT)));
    }
    template <class T>
    void operator()(const std::optional<T>& value) {
        if (value) {
            (*this)(*value);
            return;
        }
        nulls_[at_] = true;
        values_[at_++] = 0;
    }

private:
    static Datum* room_for(std::size_t count) { return static_cast<Datum*>(palloc(sizeof(Datum) * (count + 1))); }
    void put(Datum value) {
        nulls_[at_] = false;
        values_[at_++] = value;
    }

    Datum* values_;
    bool* nulls_;
    int at_ = 0;
};

// And back. What a C++ container holds is copied outside of the server's calls.
class FromDatums {
public:
    // What the record never holds makes it not `regular`, and is left out.
    FromDatums(const Datum* values, const bool* nulls, bool& regular)
        : values_(values), nulls_(nulls), regular_(regular) {}

    void operator()(std::int64_t& value) {
        if (present()) value = DatumGetInt64(next());
    }
    void operator()(std::int32_t& value) {
        if (present()) value = DatumGetInt32(next());
    }
    void operator()(core::Uuid& value) {
        if (!present()) return;
        const auto* uuid = DatumGetUUIDP(next());
        memcpy(value.data(), uuid->data, value.size());
    }
    void operator()(core::Span& value) {
        const auto* interval = DatumGetIntervalP(next());
        value = {interval->time, interval->day, interval->month};
    }
    void operator()(std::string_view& value) {
        const bool json = at_ == detail_column;
        if (!present()) return;
        const Datum datum = next();
        value = call([&] {
            if (json) {
                Jsonb* jsonb = DatumGetJsonbP(datum);
                return std::string_view(JsonbToCString(nullptr, &jsonb->root, VARSIZE(jsonb)));
            }
            const text* packed = DatumGetTextPP(datum);
            return std::string_view(VARDATA_ANY(packed), VARSIZE_ANY_EXHDR(packed));
        });
    }
    void operator()(std::vector<std::int64_t>& values) {
        for (const auto datum : elements(INT8OID, sizeof(int64), true, TYPALIGN_DOUBLE))
            values.push_back(DatumGetInt64(datum));
    }
    void operator()(std::vector<std::string_view>& values) {
        for (const auto datum : elements(TEXTOID, -1, false, TYPALIGN_INT)) {
            const text* packed = call([&] { return DatumGetTextPP(datum); });
            values.emplace_back(VARDATA_ANY(packed), VARSIZE_ANY_EXHDR(packed));
        }
    }
    template <class T>
    void operator()(std::optional<T>& value) {
        value.reset();
        if (nulls_[at_]) {
            ++at_;
            return;
        }
        (*this)(value.emplace());
    }

private:
    Datum next() { return values_[at_++]; }
    bool present() {
        if (!nulls_[at_]) return true;
        regular_ = false;
        ++at_;
        return false;
    }
    std::span<const Datum> elements(Oid type, int size, bool by_value, char align) {
        const Datum datum = next();
        return call([&] {
            ArrayType* array = DatumGetArrayTypeP(datum);
            const int dimensions = ARR_NDIM(array);
            if (dimensions > 1 || (dimensions == 1 && ARR_LBOUND(array)[0] != 1) || array_contains_nulls(array)) {
                regular_ = false;
                return std::span<const Datum>();
            }
            Datum* found = nullptr;
            int count = 0;
            deconstruct_array(array, type, size, by_value, align, &found, nullptr, &count);
            return std::span<const Datum>(found, static_cast<std::size_t>(count));
        });
    }

    const Datum* values_;
    const bool* nulls_;
    bool& regular_;
    int at_ = 0;
};

// Somebody may have altered the table: a Datum of another type would be a wild pointer.
void check_columns(TupleDesc columns) {
    bool fits = columns->natts >= column_count;
    for (int i = 0; fits && i < columns->natts; ++i) {
        const auto* column = TupleDescAttr(columns, i);
        if (i >= column_count) {
            fits = column->attisdropped;  // was added and is gone again
            continue;
        }
        const auto at = static_cast<std::size_t>(i);
        fits = column->atttypid == column_types[i] &&
               (at < core::audit_record_columns.size() ? core::audit_record_columns[at] : "hash") ==
                   NameStr(column->attname);
    }
    if (!fits) elog(ERROR, "jit_access.record does not have the columns of this version of jit_access");
}

core::Digest digest_of(Datum value) {
    core::Digest digest{};
    const auto* hash = call([&] { return DatumGetByteaPP(value); });
    if (VARSIZE_ANY_EXHDR(hash) == digest.size()) memcpy(digest.data(), VARDATA_ANY(hash), digest.size());
    return digest;
}

// The number that the last partition begins with; 1 where it has no beginning.
std::int64_t beginning_of_last(const PartitionBoundInfoData* bounds) {
    const int lower = bounds->ndatums - 2;
    if (lower < 0 || bounds->kind[lower][0] != PARTITION_RANGE_DATUM_VALUE) return 1;
    return DatumGetInt64(bounds->datums[lower][0]);
}

struct OpenPartition {
    Relation relation;
    std::int64_t first;
};

// The partition that new rows go into: the last one, which has no end.
OpenPartition open_partition() {
    const Oid schema = get_namespace_oid("jit_access", false);
    Relation record = table_open(get_relname_relid("record", schema), RowExclusiveLock);
    check_columns(RelationGetDescr(record));
    if (record->rd_rel->relkind != RELKIND_PARTITIONED_TABLE) elog(ERROR, "jit_access.record has no partitions");
    const PartitionDescData* partitions = RelationGetPartitionDesc(record, true);
    if (partitions->nparts == 0) elog(ERROR, "jit_access.record has no partitions");
    Relation open = table_open(partitions->oids[partitions->nparts - 1], RowExclusiveLock);
    check_columns(RelationGetDescr(open));
    const auto first = beginning_of_last(partitions->boundinfo);
    table_close(record, NoLock);
    return {open, first};
}

}  // namespace

struct RecordWriter::State {
    Relation record;
    std::int64_t first;
    EState* executor;
    ResultRelInfo* target;
    BulkInsertState bulk;
    MemoryContext rows;  // what the rows not yet written are made of
    TupleTableSlot* slots[rows_at_once];
    int made;
    int filled;
};

namespace {

template <class State>
void write_rows(State& state) {
    CommandId const command = GetCurrentCommandId(true);
    MemoryContext const outside = MemoryContextSwitchTo(state.rows);
    table_multi_insert(state.record, state.slots, state.filled, command, 0, state.bulk);
    for (int i = 0; i < state.filled; ++i) {
        insert_into_indexes(state.target, state.slots[i], state.executor);
        ExecClearTuple(state.slots[i]);
        ResetPerTupleExprContext(state.executor);
    }
    MemoryContextSwitchTo(outside);
    MemoryContextReset(state.rows);
    state.filled = 0;
}

}  // namespace

RecordWriter::RecordWriter()
    : state_(call([] {
          auto* state = static_cast<State*>(palloc0(sizeof(State)));
          const auto open = open_partition();
          state->record = open.relation;
          state->first = open.first;
          state->executor = CreateExecutorState();
          state->target = makeNode(ResultRelInfo);
          InitResultRelInfo(state->target, state->record, 1, nullptr, 0);
          ExecOpenIndices(state->target, false);
          state->bulk = GetBulkInsertState();
          state->rows = AllocSetContextCreate(CurrentMemoryContext, "jit_access rows", ALLOCSET_DEFAULT_SIZES);
          return state;
      })) {}

std::int64_t RecordWriter::first() const { return state_->first; }

void RecordWriter::add(const AuditRecord& entry, const core::Digest& head) {
    call([&] {
        State& state = *state_;
        if (state.filled == state.made) state.slots[state.made++] = table_slot_create(state.record, nullptr);
        TupleTableSlot* slot = state.slots[state.filled++];
        MemoryContext const outside = MemoryContextSwitchTo(state.rows);
        core::for_each_column(entry, ToDatums(slot->tts_values, slot->tts_isnull));
        auto* hash = static_cast<bytea*>(palloc(VARHDRSZ + head.size()));
        SET_VARSIZE(hash, VARHDRSZ + head.size());
        memcpy(VARDATA(hash), head.data(), head.size());
        slot->tts_values[column_count - 1] = PointerGetDatum(hash);
        slot->tts_isnull[column_count - 1] = false;
        for (int i = column_count; i < slot->tts_tupleDescriptor->natts; ++i) slot->tts_isnull[i] = true;
        MemoryContextSwitchTo(outside);
        ExecStoreVirtualTuple(slot);
        if (state.filled == rows_at_once) write_rows(state);
    });
}

void RecordWriter::finish() {
    call([&] {
        State& state = *state_;
        if (state.filled > 0) write_rows(state);
        for (int i = 0; i < state.made; ++i) ExecDropSingleTupleTableSlot(state.slots[i]);
        FreeBulkInsertState(state.bulk);
        ExecCloseIndices(state.target);
        FreeExecutorState(state.executor);
        MemoryContextDelete(state.rows);
        table_close(state.record, NoLock);
    });
}

void read_record(std::optional<std::int64_t> from, std::int64_t to,
                 const std::function<void(const AuditRecord& entry, const core::Digest& head)>& visit) {
    struct Fetch {
        Portal portal;
        MemoryContext row;
    };
    const Fetch fetch = call([&] {
        SPI_connect();
        const bool whole = !from && to == std::numeric_limits<std::int64_t>::max();
        const char* sql = whole ? "SELECT * FROM jit_access.record ORDER BY seq"
                                : "SELECT * FROM jit_access.record WHERE seq BETWEEN $1 AND $2 ORDER BY seq";
        Oid types[] = {INT8OID, INT8OID};
        Datum args[] = {Int64GetDatum(from.value_or(std::numeric_limits<std::int64_t>::min())), Int64GetDatum(to)};
        PushActiveSnapshot(GetLatestSnapshot());
        Portal portal =
            SPI_cursor_open_with_args(nullptr, sql, whole ? 0 : 2, types, args, nullptr, true, CURSOR_OPT_NO_SCROLL);
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
            MemoryContext const outside = MemoryContextSwitchTo(fetch.row);
            call([&] { heap_deform_tuple(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, values, nulls); });
            bool regular = !nulls[column_count - 1];
            AuditRecord entry;
            core::for_each_column(entry, FromDatums(values, nulls, regular));
            visit(entry, regular ? digest_of(values[column_count - 1]) : core::Digest{});
            MemoryContextSwitchTo(outside);
            MemoryContextReset(fetch.row);
        }
        call([] { SPI_freetuptable(SPI_tuptable); });
    }
    call([&] {
        SPI_cursor_close(fetch.portal);
        SPI_finish();
    });
}

std::string normal_json(const std::string& text) {
    const char* normal = call([&] {
        Jsonb* jsonb = DatumGetJsonbP(DirectFunctionCall1(jsonb_in, CStringGetDatum(text.c_str())));
        return JsonbToCString(nullptr, &jsonb->root, VARSIZE(jsonb));
    });
    return normal;
}

bool is_valid_text(std::string_view text) noexcept {
    return pg_verify_mbstr(GetDatabaseEncoding(), text.data(), static_cast<int>(text.size()), true);
}

std::string escape_invalid(std::string_view text) {
    constexpr std::string_view digits = "0123456789abcdef";
    std::string valid;
    while (!text.empty()) {
        // A character, if the next bytes are one, or else a byte.
        std::size_t size = static_cast<std::size_t>(pg_encoding_mblen(GetDatabaseEncoding(), text.data()));
        if (size > text.size() || text.front() == '\0' || !is_valid_text(text.substr(0, size))) {
            const auto c = static_cast<unsigned char>(text.front());
            valid += {'\\', 'x', digits[c >> 4], digits[c & 0xF]};
            size = 1;
        } else {
            valid += text.substr(0, size);
        }
        text.remove_prefix(size);
    }
    return valid;
}

}  // namespace jit::pg
