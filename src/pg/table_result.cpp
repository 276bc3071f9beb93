#include "jit_access/pg/table_result.hpp"

extern "C" {
#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "funcapi.h"
#include "nodes/execnodes.h"
#include "utils/array.h"
#include "utils/lsyscache.h"
#include "utils/timestamp.h"
#include "utils/tuplestore.h"
}

namespace jit::pg {

namespace {

Datum interval_datum(std::int64_t microseconds) {
    auto* interval = static_cast<Interval*>(palloc0(sizeof(Interval)));
    interval->time = microseconds;
    return IntervalPGetDatum(interval);
}

Datum text_array(const TextArray& items) {
    auto* elements = static_cast<Datum*>(palloc(sizeof(Datum) * (items.size() + 1)));
    for (std::size_t i = 0; i < items.size(); ++i)
        elements[i] = PointerGetDatum(cstring_to_text_with_len(items[i].data(), static_cast<int>(items[i].size())));
    return PointerGetDatum(construct_array(elements, static_cast<int>(items.size()), TEXTOID, -1, false, TYPALIGN_INT));
}

// Used for types without a C++ counterpart.
Datum call_input_function(Oid type, const std::string& text) {
    Oid input = InvalidOid;
    Oid parameter = InvalidOid;
    getTypeInputInfo(type, &input, &parameter);
    return OidInputFunctionCall(input, const_cast<char*>(text.c_str()), parameter, -1);
}

Datum to_datum(const Value& value, Oid type) {
    switch (value.index()) {  // index in Value
        case 1: return BoolGetDatum(std::get<bool>(value));
        case 2: return Int32GetDatum(std::get<std::int32_t>(value));
        case 3:
            return type == INTERVALOID ? interval_datum(std::get<std::int64_t>(value))
                                       : Int64GetDatum(std::get<std::int64_t>(value));
        case 4: return ObjectIdGetDatum(std::get<RoleId>(value).oid);
        case 5: return TimestampTzGetDatum(std::get<Instant>(value).us);
        case 6: {
            const auto& text = std::get<std::string>(value);
            if (type != TEXTOID) return call_input_function(type, text);
            return PointerGetDatum(cstring_to_text_with_len(text.data(), static_cast<int>(text.size())));
        }
        default: return text_array(std::get<TextArray>(value));
    }
}

struct Tuple {
    Datum* datums;
    bool* nulls;
};

// Called inside pg::call(). The arrays live in the current memory context.
Tuple to_tuple(std::span<const Value> row, TupleDesc columns) {
    const auto width = static_cast<std::size_t>(columns->natts);
    if (row.size() != width) elog(ERROR, "row has %zu values for %zu columns", row.size(), width);
    Tuple tuple{static_cast<Datum*>(palloc0(sizeof(Datum) * width)), static_cast<bool*>(palloc0(width))};
    for (std::size_t i = 0; i < width; ++i) {
        tuple.nulls[i] = row[i].index() == 0;
        if (!tuple.nulls[i]) tuple.datums[i] = to_datum(row[i], TupleDescAttr(columns, static_cast<int>(i))->atttypid);
    }
    return tuple;
}

}  // namespace

TableResult::TableResult(FunctionCallInfo info) : result_(reinterpret_cast<ReturnSetInfo*>(info->resultinfo)) {
    call([&] { InitMaterializedSRF(info, 0); });
}

void TableResult::add_row(std::span<const Value> row) {
    call([&] {
        const Tuple tuple = to_tuple(row, result_->setDesc);
        tuplestore_putvalues(result_->setResult, result_->setDesc, tuple.datums, tuple.nulls);
    });
}

Datum row_result(FunctionCallInfo info, std::span<const Value> row) {
    return call([&] {
        TupleDesc columns = nullptr;
        if (get_call_result_type(info, nullptr, &columns) != TYPEFUNC_COMPOSITE)
            elog(ERROR, "return type must be a row type");
        BlessTupleDesc(columns);
        const Tuple tuple = to_tuple(row, columns);
        return HeapTupleGetDatum(heap_form_tuple(columns, tuple.datums, tuple.nulls));
    });
}

}  // namespace jit::pg
