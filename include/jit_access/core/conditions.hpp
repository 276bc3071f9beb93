// Conditions for the use of a grant: networks, TLS, client certificate, authentication method, databases.
//
// When a grant is activated, it gets a copy of the conditions of its template. They are kept in the grant's row and in
// its slot in shared memory. Every backend compares them with its own client. They therefore have a fixed size, and the
// comparison neither allocates nor throws. An IPv4-mapped IPv6 address (RFC 4291, 2.5.5.2) counts as the IPv4 address.
#pragma once

#include "jit_access/core/zone.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>

namespace jit::core {

inline constexpr std::size_t max_networks = 8;
inline constexpr std::size_t max_databases = 8;

struct Address {
    std::uint8_t family = 0;  // 4 or 6; 0: none
    std::array<std::uint8_t, 16> bytes{};
    bool operator==(const Address&) const = default;
};
// Makes an address from 4 or 16 bytes in network byte order.
[[nodiscard]] Address address_from(std::span<const std::uint8_t> bytes) noexcept;

struct Network {
    Address base;
    std::uint8_t prefix = 0;
    bool operator==(const Network&) const = default;
};
// Returns the network of the first `prefix` bits of an address; nothing if the address cannot have such a prefix.
[[nodiscard]] std::optional<Network> network_from(std::span<const std::uint8_t> bytes, unsigned prefix) noexcept;
[[nodiscard]] bool contains(const Network& network, const Address& address) noexcept;

// The names are those of pg_hba.conf. Tables store the position of a name in this list, so a new method must be added
// at the end.
inline constexpr std::array<std::string_view, 14> auth_methods{"trust", "ident",  "password", "md5",  "scram-sha-256",
                                                               "gss",   "sspi",   "pam",      "bsd",  "ldap",
                                                               "cert",  "radius", "peer",     "oauth"};
// Returns the bit of a method; 0 for any other name.
[[nodiscard]] std::uint32_t auth_method(std::string_view name) noexcept;

struct Conditions {
    std::array<Network, max_networks> networks{};
    std::array<std::uint32_t, max_databases> databases{};
    std::uint32_t methods = 0;  // bits of auth_method(); 0: no restriction
    std::uint8_t network_count = 0;
    std::uint8_t database_count = 0;
    bool local = false;  // Unix sockets are allowed; if false and there are no networks, any origin is allowed
    bool tls = false;
    bool certificate = false;

    bool operator==(const Conditions&) const = default;
    [[nodiscard]] bool any() const noexcept { return *this != Conditions{}; }
};
static_assert(std::is_trivially_copyable_v<Conditions>, "conditions lie in shared memory");

// Facts about the client of a session. They do not change while the session lasts.
struct Client {
    bool connected = false;  // false in background processes
    Address address;         // family 0: a Unix socket
    bool tls = false;
    bool certificate = false;  // presented and verified
    std::uint32_t method = 0;
    std::uint32_t database = 0;  // 0: not compared
};

// Returns a DETAIL sentence that says which condition does not hold; nothing if all hold.
[[nodiscard]] std::optional<const char*> objection(const Conditions& conditions, const Client& client) noexcept;

// The binary form for the column request.conditions. Equal conditions have equal bytes, regardless of the order of
// their networks and databases. unpack() returns nothing for anything that pack() would not write.
[[nodiscard]] std::string pack(const Conditions& conditions);
[[nodiscard]] std::optional<Conditions> unpack(std::string_view bytes) noexcept;

}  // namespace jit::core
