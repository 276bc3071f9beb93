#include "jit_access/policy/json_object.hpp"

#include "jit_access/core/failure.hpp"
#include "jit_access/pg/backend.hpp"
#include "jit_access/pg/error.hpp"

namespace jit::policy_file {

namespace {

core::Failure invalid(const std::string& detail, const std::string& hint = {}) {
    return {core::Code::invalid_argument, "invalid policy", detail, hint};
}

}  // namespace

// Both functions below throw if their query fails, so that the transaction is aborted.
std::vector<pg::Row> JsonObject::rows(const char* sql, const pg::Argument& second) const {
    try {
        return pg::query(sql, {json_, second});
    } catch (const pg::ServerError& error) {
        throw invalid(description_ + ": the server says: " + error.what() + ".");
    }
}

template <class T>
std::optional<T> JsonObject::field(const char* sql, const char* key) const {
    try {
        return pg::query_row(sql, {json_, std::string(key)}).value().maybe<T>(0);
    } catch (const pg::ServerError& error) {
        throw invalid(description_ + ", \"" + key + "\": the server says: " + error.what() + ".");
    }
}

void JsonObject::read(const char* key, std::optional<std::string>& value) const {
    value = field<std::string>("SELECT $1::pg_catalog.jsonb ->> $2", key);
}

void JsonObject::read(const char* key, std::optional<bool>& value) const {
    value = field<bool>("SELECT ($1::pg_catalog.jsonb ->> $2)::pg_catalog.bool", key);
}

void JsonObject::read(const char* key, std::optional<std::int32_t>& value) const {
    value = field<std::int32_t>("SELECT ($1::pg_catalog.jsonb ->> $2)::pg_catalog.int4", key);
}

void JsonObject::read(const char* key, std::optional<pg::TextArray>& value) const {
    value = field<pg::TextArray>(R"sql(
        SELECT CASE WHEN $1::pg_catalog.jsonb ->> $2 IS NOT NULL
                    THEN ARRAY(SELECT pg_catalog.jsonb_array_elements_text($1::pg_catalog.jsonb -> $2)) END
    )sql",
                                 key);
}

// A duration has no months, because their length varies; core::reduce() rejects them. pg::Duration cannot hold months,
// so they are detected here, and one month is set for any number of months.
void JsonObject::read(const char* key, std::optional<core::IntervalParts>& value) const {
    const auto time = field<pg::Duration>("SELECT ($1::pg_catalog.jsonb ->> $2)::pg_catalog.interval", key);
    if (!time) return;
    const auto has_months = field<bool>(R"sql(
        SELECT extract(year FROM i) <> 0 OR extract(month FROM i) <> 0
        FROM (SELECT ($1::pg_catalog.jsonb ->> $2)::pg_catalog.interval) v (i)
    )sql",
                                        key);
    value = core::IntervalParts{.months = *has_months ? 1 : 0, .days = 0, .microseconds = time->us};
}

void JsonObject::read_time(const char* key, std::optional<std::int64_t>& value) const {
    value = field<std::int64_t>(R"sql(
        SELECT (extract(epoch FROM ($1::pg_catalog.jsonb ->> $2)::pg_catalog.time) * 1000000)::pg_catalog.int8
    )sql",
                                key);
}

void JsonObject::read_date(const char* key, std::optional<std::int32_t>& value) const {
    value = field<std::int32_t>("SELECT ($1::pg_catalog.jsonb ->> $2)::pg_catalog.date - date '2000-01-01'", key);
}

void JsonObject::read_dates(const char* key, std::vector<std::int32_t>& values) const {
    for (const auto& row : rows(R"sql(
             SELECT e::pg_catalog.date - date '2000-01-01'
             FROM pg_catalog.jsonb_array_elements_text($1::pg_catalog.jsonb -> $2) e
         )sql",
                                std::string(key)))
        values.push_back(row.get<std::int32_t>(0));
}

void JsonObject::read_numbers(const char* key, std::vector<std::int32_t>& values) const {
    for (const auto& row : rows(R"sql(
             SELECT e::pg_catalog.int4
             FROM pg_catalog.jsonb_array_elements_text($1::pg_catalog.jsonb -> $2) e
         )sql",
                                std::string(key)))
        values.push_back(row.get<std::int32_t>(0));
}

std::vector<JsonObject> JsonObject::list(const char* key) const {
    std::vector<JsonObject> objects;
    for (const auto& row : rows(R"sql(
             SELECT value::text, coalesce(value ->> 'name', '')
             FROM pg_catalog.jsonb_array_elements($1::pg_catalog.jsonb -> $2)
         )sql",
                                std::string(key)))
        objects.emplace_back(row.get<std::string>(0), std::string(key) + " \"" + row.get<std::string>(1) + "\"");
    return objects;
}

void JsonObject::require_only(const pg::TextArray& keys) const {
    const auto others =
        rows("SELECT k FROM pg_catalog.jsonb_object_keys($1::pg_catalog.jsonb) k WHERE k <> ALL ($2)", keys);
    if (!others.empty())
        throw invalid(
            description_ + " has \"" + pg::excerpt(others.front().get<std::string>(0)) + "\", which is not known.",
            "The names are those of the arguments of the functions.");
}

}  // namespace jit::policy_file
