// One JSON object of a policy document. The server parses it: each field is read by a query that casts it to the type
// of the argument, so a value means the same as in the SQL function.
//
// All functions need a transaction. They throw invalid_argument, naming the object and the field, when the server
// rejects a value.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "jit_access/core/duration.hpp"
#include "jit_access/pg/sql.hpp"

namespace jit::policy_file {

class JsonObject {
public:
    // `description` names the object in messages.
    JsonObject(std::string json, std::string description)
        : json_(std::move(json)), description_(std::move(description)) {}

    // Reads a field; a missing field and a JSON null both give an absent value.
    void read(const char* key, std::optional<std::string>& value) const;
    void read(const char* key, std::optional<bool>& value) const;
    void read(const char* key, std::optional<std::int32_t>& value) const;
    void read(const char* key, std::optional<pg::TextArray>& value) const;
    void read(const char* key, std::optional<core::IntervalParts>& value) const;
    // A time of day, in microseconds since midnight.
    void read_time(const char* key, std::optional<std::int64_t>& value) const;
    // Dates, in days since 2000-01-01. The arrays append to `values`.
    void read_date(const char* key, std::optional<std::int32_t>& value) const;
    void read_dates(const char* key, std::vector<std::int32_t>& values) const;
    void read_numbers(const char* key, std::vector<std::int32_t>& values) const;

    // The objects of an array field.
    [[nodiscard]] std::vector<JsonObject> list(const char* key) const;

    // Throws if the object has a field that is not in `keys`, because a misspelt setting must not be ignored.
    void require_only(const pg::TextArray& keys) const;

private:
    [[nodiscard]] std::vector<pg::Row> rows(const char* sql, const pg::Argument& second) const;
    template <class T>
    [[nodiscard]] std::optional<T> field(const char* sql, const char* key) const;

    std::string json_;
    std::string description_;
};

}  // namespace jit::policy_file
