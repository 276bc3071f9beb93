#include "jit_access/pg/args.hpp"

#include <charconv>
#include <cstring>

#include "jit_access/pg/backend.hpp"

extern "C" {
#include "access/htup_details.h"
#include "catalog/namespace.h"
#include "catalog/pg_enum.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "funcapi.h"
#include "utils/array.h"
#include "utils/date.h"
#include "utils/fmgrprotos.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"
}

namespace jit::pg {

namespace {

using core::Code;
using core::Failure;

// Points to memory of the server.
struct Bytes {
    const char* data;
    std::size_t size;
};

Bytes text_bytes(Datum datum) {
    const auto* packed = DatumGetTextPP(datum);
    return {VARDATA_ANY(packed), static_cast<std::size_t>(VARSIZE_ANY_EXHDR(packed))};
}

struct Shape {
    int dimensions;
    bool has_null;
};

Shape shape_of(ArrayType* array) { return {ARR_NDIM(array), array_contains_nulls(array)}; }

void check_shape(const Shape& shape, const char* name) {
    const std::string message = std::string("invalid ") + name;
    if (shape.dimensions > 1)
        throw Failure(Code::invalid_argument, message, "The array has more than one dimension.", "Give a plain list.");
    if (shape.has_null)
        throw Failure(Code::invalid_argument, message, "The array holds a NULL.", "Leave the element out.");
}

}  // namespace

std::optional<std::string> Args::text(int i) const {
    if (is_null(i)) return std::nullopt;
    const Bytes bytes = call([&] { return text_bytes(datum(i)); });
    return std::string(bytes.data, bytes.size);
}

std::optional<std::string> Args::jsonb(int i) const {
    if (is_null(i)) return std::nullopt;
    return call([&] { return DatumGetCString(DirectFunctionCall1(jsonb_out, datum(i))); });
}

std::optional<bool> Args::boolean(int i) const {
    if (is_null(i)) return std::nullopt;
    return DatumGetBool(datum(i));
}

std::optional<std::int32_t> Args::integer(int i) const {
    if (is_null(i)) return std::nullopt;
    return DatumGetInt32(datum(i));
}

std::optional<std::int64_t> Args::bigint(int i) const {
    if (is_null(i)) return std::nullopt;
    return DatumGetInt64(datum(i));
}

std::optional<Instant> Args::instant(int i) const {
    if (is_null(i)) return std::nullopt;
    return Instant{DatumGetTimestampTz(datum(i))};
}

std::optional<core::IntervalParts> Args::interval(int i) const {
    if (is_null(i)) return std::nullopt;
    const Interval* value = DatumGetIntervalP(datum(i));
    return core::IntervalParts{value->month, value->day, value->time};
}

std::optional<std::int64_t> Args::time(int i) const {
    if (is_null(i)) return std::nullopt;
    return DatumGetTimeADT(datum(i));
}

std::optional<TextArray> Args::texts(int i, const char* name) const {
    if (is_null(i)) return std::nullopt;
    struct Items {
        Bytes* items;
        int count;
        Shape shape;
    };
    // The elements are collected as plain memory, because an ERROR would skip the destructors of strings.
    const Items array_items = call([&] {
        ArrayType* array = DatumGetArrayTypeP(datum(i));
        Items result{nullptr, 0, shape_of(array)};
        Datum* elements = nullptr;
        bool* nulls = nullptr;
        deconstruct_array(array, TEXTOID, -1, false, TYPALIGN_INT, &elements, &nulls, &result.count);
        result.items = static_cast<Bytes*>(palloc(sizeof(Bytes) * (static_cast<std::size_t>(result.count) + 1)));
        for (int k = 0; k < result.count; ++k)
            if (!nulls[k]) result.items[k] = text_bytes(elements[k]);
        return result;
    });
    check_shape(array_items.shape, name);
    TextArray items;
    items.reserve(static_cast<std::size_t>(array_items.count));
    for (int k = 0; k < array_items.count; ++k)
        items.emplace_back(array_items.items[k].data, array_items.items[k].size);
    return items;
}

std::vector<std::int32_t> Args::integers(int i, const char* name) const {
    if (is_null(i)) return {};
    struct Items {
        const std::int32_t* items;
        std::size_t count;
        Shape shape;
    };
    const Items array_items = call([&] {
        ArrayType* array = DatumGetArrayTypeP(datum(i));
        const auto count = static_cast<std::size_t>(ArrayGetNItems(ARR_NDIM(array), ARR_DIMS(array)));
        return Items{reinterpret_cast<const std::int32_t*>(ARR_DATA_PTR(array)), count, shape_of(array)};
    });
    check_shape(array_items.shape, name);
    return {array_items.items, array_items.items + array_items.count};
}

// Reads the names from pg_proc. The parameters of functions with many optional ones are found by name, so that C++ does
// not depend on their order in SQL.
std::optional<int> Args::find(const char* name) const {
    const int position = call([&] {
        HeapTuple function = SearchSysCache1(PROCOID, ObjectIdGetDatum(info_->flinfo->fn_oid));
        if (!HeapTupleIsValid(function)) elog(ERROR, "cache lookup failed for function %u", info_->flinfo->fn_oid);
        Oid* types = nullptr;
        char** names = nullptr;
        char* modes = nullptr;
        const int count = get_func_arg_info(function, &types, &names, &modes);
        ReleaseSysCache(function);
        for (int i = 0; names != nullptr && i < count && i < info_->nargs; ++i)
            if (std::strcmp(names[i], name) == 0) return i;
        return -1;
    });
    if (position < 0) return std::nullopt;
    return position;
}

void Args::read(const char* name, std::optional<std::string>& value) const {
    if (const auto i = find(name)) value = text(*i);
}
void Args::read(const char* name, std::optional<bool>& value) const {
    if (const auto i = find(name)) value = boolean(*i);
}
void Args::read(const char* name, std::optional<std::int32_t>& value) const {
    if (const auto i = find(name)) value = integer(*i);
}
void Args::read(const char* name, std::optional<core::IntervalParts>& value) const {
    if (const auto i = find(name)) value = interval(*i);
}
void Args::read(const char* name, std::optional<TextArray>& value) const {
    if (const auto i = find(name)) value = texts(*i, name);
}

// The digits are parsed here, because a cast to bigint would round fractions and would raise the server's errors
// instead of the extension's.
std::int64_t Args::id(int i, const char* kind) const {
    const auto refuse = [kind](const std::string& detail) -> Failure {
        return {Code::invalid_argument, std::string("invalid ") + kind + " id", detail,
                std::string_view(kind) == "request" ? "Use the number that jit_request returned." : ""};
    };
    if (is_null(i)) throw refuse("The id is NULL.");
    const char* digits = call([&] { return DatumGetCString(DirectFunctionCall1(numeric_out, datum(i))); });
    const std::string_view text(digits);
    std::int64_t id = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), id);
    if (error != std::errc() || end != text.data() + text.size() || id <= 0)
        throw refuse(excerpt(text) + " is not a positive whole number of at most 19 digits.");
    return id;
}

Datum text_result(std::string_view text) {
    return call([&] { return PointerGetDatum(cstring_to_text_with_len(text.data(), static_cast<int>(text.size()))); });
}

Datum jsonb_result(const std::string& text) {
    return call([&] { return DirectFunctionCall1(jsonb_in, CStringGetDatum(text.c_str())); });
}

Datum texts_result(const TextArray& texts) {
    return call([&] {
        auto* elements = static_cast<Datum*>(palloc(sizeof(Datum) * (texts.size() + 1)));
        for (std::size_t i = 0; i < texts.size(); ++i)
            elements[i] = PointerGetDatum(cstring_to_text_with_len(texts[i].data(), static_cast<int>(texts[i].size())));
        return PointerGetDatum(
            construct_array(elements, static_cast<int>(texts.size()), TEXTOID, -1, false, TYPALIGN_INT));
    });
}

// The label is looked up by name each time, because the OIDs of an enum differ between installations.
Datum state_result(std::string_view label) {
    const std::string exact(label);
    return call([&] {
        const Oid schema = get_namespace_oid("jit_access", false);
        const Oid type =
            GetSysCacheOid2(TYPENAMENSP, Anum_pg_type_oid, CStringGetDatum("state"), ObjectIdGetDatum(schema));
        const Oid value =
            GetSysCacheOid2(ENUMTYPOIDNAME, Anum_pg_enum_oid, ObjectIdGetDatum(type), CStringGetDatum(exact.c_str()));
        if (!OidIsValid(value)) elog(ERROR, "no state \"%s\"", exact.c_str());
        return ObjectIdGetDatum(value);
    });
}

}  // namespace jit::pg
