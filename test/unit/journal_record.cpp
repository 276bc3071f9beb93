// Payloads of journal records: encoding and decoding agree, and malformed payloads are rejected.
#define BOOST_TEST_DYN_LINK
#define BOOST_TEST_MODULE journal_record
#include "jit_access/core/journal_record.hpp"

#include "../encoded.hpp"

#include <boost/test/unit_test.hpp>
#include <random>
#include <string>

using namespace jit::core;
using namespace std::string_literals;

namespace {

using Bytes = std::vector<std::byte>;
using ::encoded;

Bytes encoded(const Outcome& outcome) {
    const auto bytes = encode(outcome);
    return {bytes.begin(), bytes.end()};
}

void check_equal(const Use& a, const Use& b) {
    BOOST_TEST(a.grant == b.grant);
    BOOST_TEST(a.pid == b.pid);
    BOOST_TEST(a.depth == b.depth);
    BOOST_TEST(a.session_start == b.session_start);
    BOOST_TEST(a.login == b.login);
    BOOST_TEST(a.role == b.role);
    BOOST_TEST(a.database == b.database);
    BOOST_TEST(a.application == b.application);
    BOOST_TEST(a.client == b.client);
    BOOST_TEST(a.tag == b.tag);
    BOOST_TEST(a.statement == b.statement);
    BOOST_TEST(a.statement_size == b.statement_size);
    BOOST_TEST(a.statement_hash == b.statement_hash);
    BOOST_TEST(a.parameters == b.parameters);
    BOOST_TEST(a.object_count == b.object_count);
    BOOST_TEST(a.reason == b.reason);
    BOOST_TEST((a.sqlstate == b.sqlstate));
}

void check_round_trip(const Use& use) {
    const Bytes bytes = encoded(use);
    const auto decoded = decode_use(bytes);
    BOOST_REQUIRE(decoded.has_value());
    check_equal(use, decoded->use);
    BOOST_TEST(decoded->grants == std::vector<std::uint64_t>(use.grants.begin(), use.grants.end()));
    BOOST_REQUIRE(decoded->objects.size() == use.objects.size());
    for (std::size_t i = 0; i < use.objects.size(); ++i) {
        BOOST_TEST(decoded->objects[i].privileges == use.objects[i].privileges);
        BOOST_TEST(decoded->objects[i].own == use.objects[i].own);
        BOOST_TEST(decoded->objects[i].name == use.objects[i].name);
    }
}

struct Sample {
    std::vector<std::uint64_t> grants{42, 43, UINT64_MAX};
    std::vector<ObjectUse> objects{{privilege_select, privilege_select, "app.orders"},
                                   {privilege_insert | privilege_delete, privilege_delete, "app.\"Odd Name\""}};
    Use use{.grant = 42,
            .grants = grants,
            .pid = 4711,
            .depth = 3,
            .session_start = INT64_MIN,
            .login = "alice",
            .role = "jit_grant_42",
            .database = "postgres",
            .application = "psql",
            .client = "192.0.2.1",
            .tag = "SELECT",
            .statement = "SELECT * FROM app.orders",
            .statement_size = 24,
            .statement_hash = "5c",
            .parameters = "$1 = 'x'",
            .object_count = 70,
            .objects = objects,
            .sqlstate = {'J', 'A', '0', '1', '0'},
            .reason = "grant 42 has ended"};
};

}  // namespace

BOOST_AUTO_TEST_CASE(round_trip) { check_round_trip(Sample().use); }

BOOST_AUTO_TEST_CASE(round_trip_of_nothing) { check_round_trip(Use{}); }

BOOST_AUTO_TEST_CASE(round_trip_of_the_most) {
    std::vector<std::uint64_t> grants(max_session_grants);
    for (std::size_t i = 0; i < grants.size(); ++i) grants[i] = i * i;
    std::vector<std::string> names;
    for (std::size_t i = 0; i < max_objects; ++i) names.push_back(std::string(130, 'x') + std::to_string(i));
    std::vector<ObjectUse> objects;
    for (std::size_t i = 0; i < max_objects; ++i)
        objects.push_back({static_cast<std::uint32_t>(i), static_cast<std::uint32_t>(i / 2), names[i]});
    const std::string statement(65536, 's');
    Sample sample;
    sample.use.grants = grants;
    sample.use.objects = objects;
    sample.use.statement = statement;
    check_round_trip(sample.use);
}

BOOST_AUTO_TEST_CASE(texts_may_hold_any_byte) {
    std::string every;
    for (int i = 0; i < 256; ++i) every += static_cast<char>(i);
    Sample sample;
    sample.use.statement = every;
    const std::string with_zero = "a\0b"s;
    sample.use.application = with_zero;
    sample.use.login = "with \"quotes\" and \n";
    check_round_trip(sample.use);
}

BOOST_AUTO_TEST_CASE(one_more_than_the_most_is_not_read) {
    std::vector<std::uint64_t> grants(max_session_grants + 1);
    std::vector<ObjectUse> objects(max_objects + 1);
    Sample sample;
    sample.use.grants = grants;
    BOOST_TEST(!decode_use(encoded(sample.use)).has_value());
    sample = Sample();
    sample.use.objects = objects;
    BOOST_TEST(!decode_use(encoded(sample.use)).has_value());
}

BOOST_AUTO_TEST_CASE(cut_at_every_byte) {
    const Bytes whole = encoded(Sample().use);
    for (std::size_t size = 0; size < whole.size(); ++size) {
        const Bytes cut(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size));
        BOOST_TEST(!decode_use(cut).has_value(), size);
    }
}

BOOST_AUTO_TEST_CASE(a_byte_too_many) {
    Bytes bytes = encoded(Sample().use);
    bytes.push_back(std::byte{0});
    BOOST_TEST(!decode_use(bytes).has_value());
}

// Each byte is changed in turn: accepted or not, decoding stays within the payload.
BOOST_AUTO_TEST_CASE(damaged_at_every_byte) {
    const Bytes whole = encoded(Sample().use);
    for (std::size_t at = 0; at < whole.size(); ++at)
        for (const auto value : {std::byte{0}, std::byte{0x7F}, std::byte{0x80}, std::byte{0xFF}}) {
            Bytes damaged = whole;
            damaged[at] = value;
            if (const auto decoded = decode_use(damaged)) {
                BOOST_TEST(decoded->grants.size() <= max_session_grants);
                BOOST_TEST(decoded->objects.size() <= max_objects);
                BOOST_TEST(decoded->use.statement.size() <= whole.size());
                BOOST_TEST(std::string(decoded->use.reason).size() <= whole.size());
            }
        }
}

BOOST_AUTO_TEST_CASE(random_bytes) {
    std::mt19937_64 random(20240601);
    for (int round = 0; round < 200'000; ++round) {
        Bytes bytes(random() % 300);
        for (auto& byte : bytes) byte = static_cast<std::byte>(random() % (round % 2 == 0 ? 256 : 4));
        if (const auto decoded = decode_use(bytes)) BOOST_TEST(encoded(decoded->use).size() <= bytes.size() + 1000);
        (void)decode_outcome(bytes);
    }
    BOOST_TEST(!decode_use({}).has_value());
    BOOST_TEST(!decode_outcome({}).has_value());
}

BOOST_AUTO_TEST_CASE(outcomes) {
    for (const auto ending : {Ending::completed, Ending::failed, Ending::interrupted}) {
        const Outcome outcome{UINT64_MAX, 12345678901, -1, {'5', '7', '0', '1', '4'}, ending};
        const auto decoded = decode_outcome(encoded(outcome));
        BOOST_REQUIRE(decoded.has_value());
        BOOST_TEST(decoded->use_position == outcome.use_position);
        BOOST_TEST(decoded->rows == outcome.rows);
        BOOST_TEST(decoded->duration == outcome.duration);
        BOOST_TEST((decoded->sqlstate == outcome.sqlstate));
        BOOST_TEST((decoded->ending == ending));
    }
}

BOOST_AUTO_TEST_CASE(outcomes_cut_lengthened_or_of_no_known_ending) {
    Bytes bytes = encoded(Outcome{.use_position = 1});
    for (std::size_t size = 0; size < bytes.size(); ++size)
        BOOST_TEST(!decode_outcome({bytes.data(), size}).has_value(), size);
    for (const int ending : {0, 4, 255}) {
        bytes.back() = static_cast<std::byte>(ending);
        BOOST_TEST(!decode_outcome(bytes).has_value(), ending);
    }
    bytes.back() = std::byte{1};
    BOOST_TEST(decode_outcome(bytes).has_value());
    bytes.push_back(std::byte{0});
    BOOST_TEST(!decode_outcome(bytes).has_value());
}
