// Canonical bytes of the record: different records have different bytes, and bytes are read within their bounds.
#define BOOST_TEST_DYN_LINK
#define BOOST_TEST_MODULE audit_record
#include "jit_access/core/audit_record.hpp"

#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <map>
#include <random>
#include <string>

#include "sample_record.hpp"

using namespace jit::core;
using namespace sample_record;
using namespace std::string_view_literals;

namespace {

// Values of a column: adjacent ones, extreme ones, and ones that could be confused with each other.
template <class T>
std::vector<T> values_of();
template <>
std::vector<std::int64_t> values_of() {
    return {0, 1, -1, 7, 256, 4294967295, 4294967296, lowest, highest};
}
template <>
std::vector<std::int32_t> values_of() {
    return {0, 1, -1, 255, 65536, std::numeric_limits<std::int32_t>::min(), std::numeric_limits<std::int32_t>::max()};
}
template <>
std::vector<Uuid> values_of() {
    return {Uuid{}, uuid_of(1), uuid_of(2)};
}
template <>
std::vector<std::string_view> values_of() {
    return {"", "NULL", " ", "a", "A", "a ", "ab", "\0"sv, "a\0"sv, "\xff\xff\xff\xff"sv, "ä", "a\xcc\x88"};
}
template <>
std::vector<Span> values_of() {
    return {Span{},         Span{1, 0, 0}, Span{0, 1, 0}, Span{0, 0, 1}, Span{86'400'000'000, 0, 0},
            Span{0, 30, 0}, Span{-1, 0, 0}};
}
template <>
std::vector<std::vector<std::int64_t>> values_of() {
    return {{}, {0}, {0, 0}, {1, 2}, {2, 1}, {lowest}, {highest}};
}
template <>
std::vector<std::vector<std::string_view>> values_of() {
    return {{},         {""},        {"", ""},    {"a"},          {"a", "b"}, {"b", "a"},     {"ab"},
            {"ab", ""}, {"", "ab"},  {"a,b"},     {"{a,b}"},      {"NULL"},   {"a", "", "b"}, {"a", "b", ""},
            {"abc"},    {"a", "bc"}, {"ab", "c"}, {"\0\0\0\1b"sv}};
}

template <class T>
std::vector<T> all_values(const T*) {
    return values_of<T>();
}
template <class T>
std::vector<std::optional<T>> all_values(const std::optional<T>*) {
    const auto values = values_of<T>();
    std::vector<std::optional<T>> all(values.begin(), values.end());
    all.emplace_back();
    return all;
}

// All records that differ from this one in one column.
std::vector<AuditRecord> neighbours(const AuditRecord& entry) {
    std::vector<AuditRecord> all;
    for (std::size_t column = 0; column < record_columns.size(); ++column) {
        bool more = true;
        for (std::size_t i = 0; more; ++i) {
            AuditRecord other = entry;
            std::size_t at = 0;
            for_each_column(other, [&](const ColumnInfo&, auto& value) {
                if (at++ != column) return;
                const auto values = all_values(&value);
                more = i < values.size();
                if (more) value = values[i];
            });
            if (more) all.push_back(std::move(other));
        }
    }
    return all;
}

}  // namespace

BOOST_AUTO_TEST_CASE(every_column_has_its_name) {
    std::size_t columns = 0;
    const AuditRecord entry;
    for_each_column(entry, [&](const ColumnInfo&, const auto&) { ++columns; });
    BOOST_TEST(columns == record_columns.size());
    AuditRecord full = sample();
    for_each_column(full, [](const ColumnInfo&, auto& value) { value = all_values(&value).front(); });
    const auto bytes = bytes_of(full);
    const auto text = explain_bytes(bytes);
    BOOST_REQUIRE(text.has_value());
    for (const auto& column : record_columns)
        BOOST_TEST(text->find(std::string(column.name) + "=") != std::string::npos);
}

// Neither two values of one column nor the same value in two columns have the same bytes.
BOOST_AUTO_TEST_CASE(different_entries_have_different_bytes) {
    AuditRecord bare;
    bare.kind = "use";
    for (const AuditRecord& base : {sample(), bare}) {
        std::map<Buffer, std::string> seen;
        std::map<std::string, int> as_base;
        for (const AuditRecord& entry : neighbours(base)) {
            const auto bytes = bytes_of(entry);
            const auto said = explain_bytes(bytes).value();
            if (bytes == bytes_of(base)) {
                ++as_base[said];  // the column has this value already
                continue;
            }
            const auto [found, fresh] = seen.emplace(bytes, said);
            BOOST_TEST(fresh, "the same bytes: " << found->second << " and " << said);
        }
        BOOST_TEST(seen.size() > 200U);
        BOOST_TEST(as_base.size() <= 1U);
    }
}

// The test above skips values that are the same as the base; here every value of a column is compared with every other.
BOOST_AUTO_TEST_CASE(no_two_values_of_a_column_have_the_same_bytes) {
    for (std::size_t column = 0; column < record_columns.size(); ++column) {
        std::vector<Buffer> all;
        std::size_t at = 0;
        AuditRecord entry = sample();
        for_each_column(entry, [&](const ColumnInfo&, auto& value) {
            if (at++ != column) return;
            for (const auto& other : all_values(&value)) {
                value = other;
                all.push_back(bytes_of(entry));
            }
        });
        BOOST_REQUIRE(all.size() > 2U);
        std::sort(all.begin(), all.end());
        BOOST_TEST((std::adjacent_find(all.begin(), all.end()) == all.end()), record_columns.at(column).name);
    }
}

BOOST_AUTO_TEST_CASE(bytes_replace_what_was_there) {
    Buffer bytes(5000, std::byte{1});
    canonical_bytes(sample(), bytes);
    BOOST_TEST((bytes == bytes_of(sample())));
}

BOOST_AUTO_TEST_CASE(bytes_are_explained) {
    const auto bytes = bytes_of(sample());
    BOOST_TEST(explain_bytes(bytes).value() ==
               R"(seq=7 node=10111213-1415-1617-1819-1a1b1c1d1e1f position=4096 kind="use" at=725760000123456 )"
               R"(grant_id=42 grants={42,43} login="alice" role="jit_grant_42" database="postgres" )"
               R"(client_addr="::1/128" application="psql" pid=4711 session_start=725759999000000 depth=0 )"
               R"(tag="SELECT" statement="SELECT 'Zürich'\x0a" statement_bytes=17 statement_sha256="5c" )"
               R"(parameters="$1 = 'x'" )"
               R"(objects={"app.orders","app.\"a,b\""} privileges={"SELECT","SELECT,UPDATE"} )"
               R"(standing_privileges={"","SELECT"} outcome="completed" )"
               R"(rows=3 duration=1500us sqlstate="00000" detail="{\"reason\": \"x\"}" of_position=-1)");
    const auto bare = bytes_of(AuditRecord{});
    BOOST_TEST(explain_bytes(bare).value() == R"(seq=0 node=00000000-0000-0000-0000-000000000000 kind="" at=0)");
    BOOST_TEST(!explain_bytes({}).has_value());
}

// The sanitizers detect reads out of bounds.
BOOST_AUTO_TEST_CASE(torn_bytes_are_no_entry) {
    const auto bytes = bytes_of(sample());
    for (std::size_t size = 0; size < bytes.size(); ++size) {
        const Buffer torn(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(size));
        BOOST_TEST(!explain_bytes(torn).has_value());
    }
    auto longer = bytes;
    longer.push_back(std::byte{0});
    BOOST_TEST(!explain_bytes(longer).has_value());
}

BOOST_AUTO_TEST_CASE(mutated_bytes_are_read_within_their_bounds) {
    std::mt19937 random(1);
    const auto pick = [&](std::size_t below) {
        return std::uniform_int_distribution<std::size_t>(0, below - 1)(random);
    };
    const auto good = bytes_of(sample());
    std::size_t readable = 0;
    for (int round = 0; round < 50'000; ++round) {
        auto bytes = good;
        for (std::size_t i = pick(4) + 1; i > 0; --i) {
            constexpr unsigned edges[] = {0, 1, 0x7F, 0x80, 0xFE, 0xFF};
            bytes[pick(bytes.size())] = static_cast<std::byte>(pick(2) == 0 ? edges[pick(6)] : pick(256));
        }
        if (pick(4) == 0) bytes.resize(pick(bytes.size() + 1));
        const Buffer exact(bytes.begin(), bytes.end());
        if (explain_bytes(exact)) ++readable;
    }
    BOOST_TEST(readable > 0U);
    BOOST_TEST(readable < 50'000U);
}
