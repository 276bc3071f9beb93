// Conditions of a grant: networks against a model that compares bit by bit, each other condition, and the packed form.
#define BOOST_TEST_DYN_LINK
#define BOOST_TEST_MODULE conditions
#include "jit_access/core/conditions.hpp"

#include <boost/test/unit_test.hpp>
#include <random>
#include <vector>

using namespace jit::core;

namespace {

using Bytes = std::vector<std::uint8_t>;

Bytes v4(std::uint8_t a, std::uint8_t b, std::uint8_t c, std::uint8_t d) { return {a, b, c, d}; }
Bytes mapped(const Bytes& v4) {
    Bytes bytes(10, 0);
    bytes.insert(bytes.end(), {0xFF, 0xFF});
    bytes.insert(bytes.end(), v4.begin(), v4.end());
    return bytes;
}
Bytes v6(std::initializer_list<std::uint8_t> first, std::uint8_t last = 0) {
    Bytes bytes(first);
    bytes.resize(16, 0);
    bytes.back() = last;
    return bytes;
}
bool is_in(const Bytes& network, unsigned prefix, const Bytes& address) {
    return contains(network_from(network, prefix).value(), address_from(address));
}

Conditions in(std::initializer_list<Network> networks) {
    Conditions conditions;
    for (const auto& network : networks) conditions.networks[conditions.network_count++] = network;
    return conditions;
}

const Client by_socket{.connected = true};
const Client by_v4{.connected = true, .address = address_from(v4(10, 1, 2, 3))};
const Client background{};

std::string said(const Conditions& conditions, const Client& client) {
    return objection(conditions, client).value_or("nothing");
}

}  // namespace

BOOST_AUTO_TEST_CASE(networks_of_v4) {
    BOOST_TEST(is_in(v4(10, 0, 0, 0), 8, v4(10, 255, 255, 255)));
    BOOST_TEST(!is_in(v4(10, 0, 0, 0), 8, v4(11, 0, 0, 0)));
    BOOST_TEST(is_in(v4(192, 168, 4, 0), 22, v4(192, 168, 7, 255)));
    BOOST_TEST(!is_in(v4(192, 168, 4, 0), 22, v4(192, 168, 8, 0)));
    BOOST_TEST(is_in(v4(10, 0, 0, 1), 32, v4(10, 0, 0, 1)));
    BOOST_TEST(!is_in(v4(10, 0, 0, 1), 32, v4(10, 0, 0, 0)));
    BOOST_TEST(is_in(v4(0, 0, 0, 0), 0, v4(255, 1, 2, 3)));
}

BOOST_AUTO_TEST_CASE(networks_of_v6) {
    BOOST_TEST(is_in(v6({0x20, 0x01, 0x0d, 0xb8}), 32, v6({0x20, 0x01, 0x0d, 0xb8, 0xFF}, 1)));
    BOOST_TEST(!is_in(v6({0x20, 0x01, 0x0d, 0xb8}), 32, v6({0x20, 0x01, 0x0d, 0xb9})));
    BOOST_TEST(is_in(v6({}, 1), 128, v6({}, 1)));
    BOOST_TEST(!is_in(v6({}, 1), 128, v6({}, 2)));
    BOOST_TEST(is_in(v6({}), 0, v6({0xFE, 0x80}, 9)));
}

BOOST_AUTO_TEST_CASE(v4_mapped_into_v6_is_v4) {
    const auto address = v4(10, 1, 2, 3);
    BOOST_TEST((address_from(mapped(address)) == address_from(address)));
    BOOST_TEST(is_in(v4(10, 0, 0, 0), 8, mapped(address)));
    BOOST_TEST(is_in(mapped(v4(10, 0, 0, 0)), 104, address));
    BOOST_TEST(is_in(mapped(v4(0, 0, 0, 0)), 96, address));
    // The network of all IPv6 addresses contains no IPv4 address.
    BOOST_TEST(!is_in(v6({}), 0, address));
    BOOST_TEST(!is_in(v6({}), 0, mapped(address)));
    BOOST_TEST(!is_in(mapped(v4(0, 0, 0, 0)), 80, mapped(address)));
    BOOST_TEST(!is_in(v4(0, 0, 0, 0), 0, v6({}, 1)));
}

BOOST_AUTO_TEST_CASE(what_is_no_address_is_nowhere) {
    BOOST_TEST(!contains(network_from(v4(0, 0, 0, 0), 0).value(), Address{}));
    BOOST_TEST(!contains(Network{}, Address{}));
    BOOST_TEST((address_from(Bytes{1, 2, 3}) == Address{}));
    BOOST_TEST(!network_from(v4(10, 0, 0, 0), 33).has_value());
    BOOST_TEST(!network_from(v6({}), 129).has_value());
    BOOST_TEST(!network_from(mapped(v4(10, 0, 0, 0)), 129).has_value());
    BOOST_TEST(!network_from(Bytes{}, 0).has_value());
}

BOOST_AUTO_TEST_CASE(against_a_model_that_compares_bit_by_bit) {
    std::mt19937 random(4711);  // NOLINT: the same each time
    const auto bit = [](const Bytes& bytes, unsigned i) { return bytes[i / 8] >> (7 - i % 8) & 1; };
    unsigned inside = 0;
    for (int round = 0; round < 50'000; ++round) {
        const std::size_t size = random() % 2 == 0 ? 4 : 16;
        Bytes network(size);
        for (auto& byte : network) byte = static_cast<std::uint8_t>(random());
        network.front() |= 1;  // not a mapped address
        Bytes address = network;
        // An address that differs in one bit, or not at all.
        if (random() % 4 != 0) address[random() % size] ^= static_cast<std::uint8_t>(1U << random() % 8);
        address.front() |= 1;
        const unsigned prefix = random() % (static_cast<unsigned>(size) * 8 + 1);
        bool expected = true;
        for (unsigned i = 0; i < prefix; ++i) expected &= bit(network, i) == bit(address, i);
        BOOST_REQUIRE_EQUAL(is_in(network, prefix, address), expected);
        inside += expected ? 1 : 0;
    }
    BOOST_TEST(inside > 10'000U);
    BOOST_TEST(inside < 40'000U);
}

BOOST_AUTO_TEST_CASE(without_conditions_anything_goes) {
    BOOST_TEST(!Conditions{}.any());
    for (const auto& client : {by_socket, by_v4, background}) BOOST_TEST(said({}, client) == "nothing");
}

BOOST_AUTO_TEST_CASE(a_network) {
    const auto conditions = in({*network_from(v4(192, 0, 2, 0), 24), *network_from(v4(10, 0, 0, 0), 8)});
    BOOST_TEST(conditions.any());
    BOOST_TEST(said(conditions, by_v4) == "nothing");
    const Client elsewhere{.connected = true, .address = address_from(v4(11, 1, 2, 3))};
    BOOST_TEST(said(conditions, elsewhere) == "The address of the client is not in the allowed networks.");
    BOOST_TEST(said(conditions, by_socket) == "A Unix socket is not among the allowed networks.");
    BOOST_TEST(said(conditions, background) == "This is no connection of a client.");
}

BOOST_AUTO_TEST_CASE(a_socket_is_listed_by_itself) {
    Conditions conditions;
    conditions.local = true;
    BOOST_TEST(said(conditions, by_socket) == "nothing");
    BOOST_TEST(said(conditions, by_v4) == "The address of the client is not in the allowed networks.");
    BOOST_TEST(said(conditions, background) == "This is no connection of a client.");
    conditions.networks[conditions.network_count++] = *network_from(v4(10, 0, 0, 0), 8);
    BOOST_TEST(said(conditions, by_socket) == "nothing");
    BOOST_TEST(said(conditions, by_v4) == "nothing");
}

BOOST_AUTO_TEST_CASE(tls_and_certificate) {
    Conditions conditions;
    conditions.tls = true;
    BOOST_TEST(said(conditions, by_v4) == "The connection does not use TLS.");
    BOOST_TEST(said(conditions, background) == "This is no connection of a client.");
    Client client = by_v4;
    client.tls = true;
    BOOST_TEST(said(conditions, client) == "nothing");
    conditions.certificate = true;
    BOOST_TEST(said(conditions, client) == "The client has not shown a certificate.");
    client.certificate = true;
    BOOST_TEST(said(conditions, client) == "nothing");
}

BOOST_AUTO_TEST_CASE(methods) {
    Conditions conditions;
    conditions.methods = auth_method("scram-sha-256") | auth_method("cert");
    Client client = by_v4;
    BOOST_TEST(said(conditions, client) == "The client was authenticated by a method that is not allowed.");
    for (const auto name : auth_methods) {
        client.method = auth_method(name);
        BOOST_TEST(client.method != 0U);
        BOOST_TEST((said(conditions, client) == "nothing") == (name == "scram-sha-256" || name == "cert"));
    }
    BOOST_TEST(auth_method("reject") == 0U);
    BOOST_TEST(auth_method("") == 0U);
    BOOST_TEST(auth_method("SCRAM-SHA-256") == 0U);
}

BOOST_AUTO_TEST_CASE(databases) {
    Conditions conditions;
    conditions.databases[conditions.database_count++] = 16'384;
    Client client = by_v4;
    BOOST_TEST(said(conditions, client) == "nothing");  // not compared
    client.database = 16'385;
    BOOST_TEST(said(conditions, client) == "This database is not among the allowed ones.");
    client.database = 16'384;
    BOOST_TEST(said(conditions, client) == "nothing");
    Client worker{
        .connected = false, .address = {}, .tls = false, .certificate = false, .method = 0, .database = 16'384};
    BOOST_TEST(said(conditions, worker) == "nothing");
}

BOOST_AUTO_TEST_CASE(bytes_and_back) {
    std::mt19937 random(12);  // NOLINT: the same each time
    for (int round = 0; round < 2'000; ++round) {
        Conditions conditions;
        for (auto left = random() % (max_networks + 1); left > 0; --left) {
            Bytes bytes(random() % 2 == 0 ? 4 : 16);
            for (auto& byte : bytes) byte = static_cast<std::uint8_t>(random());
            conditions.networks[conditions.network_count++] =
                *network_from(bytes, random() % (static_cast<unsigned>(bytes.size()) * 8 + 1));
        }
        for (auto left = random() % (max_databases + 1); left > 0; --left)
            conditions.databases[conditions.database_count++] = static_cast<std::uint32_t>(random());
        conditions.methods = static_cast<std::uint32_t>(random());
        conditions.local = random() % 2 == 0;
        conditions.tls = random() % 2 == 0;
        conditions.certificate = random() % 2 == 0;
        const auto bytes = pack(conditions);
        const auto back = unpack(bytes);
        BOOST_REQUIRE(back.has_value());
        BOOST_REQUIRE(pack(*back) == bytes);
        // The order does not matter.
        auto turned = conditions;
        std::reverse(turned.networks.begin(), turned.networks.begin() + turned.network_count);
        std::reverse(turned.databases.begin(), turned.databases.begin() + turned.database_count);
        BOOST_REQUIRE(pack(turned) == bytes);
        // Truncated or longer bytes are rejected.
        BOOST_REQUIRE(!unpack(std::string_view(bytes).substr(0, random() % bytes.size())).has_value());
        BOOST_REQUIRE(!unpack(bytes + '\0').has_value());
    }
}

BOOST_AUTO_TEST_CASE(bytes_that_nobody_has_packed) {
    std::mt19937 random(13);  // NOLINT: the same each time
    Conditions conditions = in({*network_from(v4(10, 0, 0, 0), 8), *network_from(v6({0x20, 0x01}), 16)});
    conditions.databases[conditions.database_count++] = 5;
    const auto bytes = pack(conditions);
    for (int round = 0; round < 200'000; ++round) {
        auto changed = bytes;
        for (auto left = random() % 3 + 1; left > 0; --left)
            changed[random() % changed.size()] = static_cast<char>(random());
        const auto back = unpack(changed);
        // Bytes that are accepted are those that pack() writes.
        if (back) BOOST_REQUIRE(pack(*back) == changed);
    }
    BOOST_TEST(!unpack("").has_value());
}
