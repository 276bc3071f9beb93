// From where and how a grant may be used: networks, TLS, client certificate, authentication method, databases.
//
// A grant carries its conditions from its activation on, in its row and on the board, where every backend compares them
// with its own client. So they are of a fixed size, and comparing allocates nothing and throws nothing. An address that
// maps IPv4 into IPv6 is the IPv4 address.
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
// From 4 or 16 bytes in network order.
[[nodiscard]] Address address_from(std::span<const std::uint8_t> bytes) noexcept;

struct Network {
    Address base;
    std::uint8_t prefix = 0;
    bool operator==(const Network&) const = default;
};
// A prefix of the bytes given; nothing when that is no network.
[[nodiscard]] std::optional<Network> network_from(std::span<const std::uint8_t> bytes, unsigned prefix) noexcept;
[[nodiscard]] bool contains(const Network& network, const Address& address) noexcept;

// As pg_hba.conf calls them. The position is kept in tables: new ones go to the end.
inline constexpr std::array<std::string_view, 14> auth_methods{"trust", "ident",  "password", "md5",  "scram-sha-256",
                                                               "gss",   "sspi",   "pam",      "bsd",  "ldap",
                                                               "cert",  "radius", "peer",     "oauth"};
// One bit; 0: it is none of them.
[[nodiscard]] std::uint32_t auth_method(std::string_view name) noexcept;

struct Conditions {
    std::array<Network, max_networks> networks{};
    std::array<std::uint32_t, max_databases> databases{};
    std::uint32_t methods = 0;  // bits of auth_method(); 0: any
    std::uint8_t network_count = 0;
    std::uint8_t database_count = 0;
    bool local = false;  // a Unix socket, beside the networks; with neither, from anywhere
    bool tls = false;
    bool certificate = false;

    bool operator==(const Conditions&) const = default;
    [[nodiscard]] bool any() const noexcept { return *this != Conditions{}; }
};
static_assert(std::is_trivially_copyable_v<Conditions>, "conditions lie in shared memory");

// Facts of a session's client; they do not change while it lasts.
struct Client {
    bool connected = false;  // a client's own connection; background work has none
    Address address;         // none: a Unix socket
    bool tls = false;
    bool certificate = false;  // shown, and found good
    std::uint32_t method = 0;
    std::uint32_t database = 0;  // 0: it does not matter here
};

// The sentence that says which condition does not hold.
[[nodiscard]] std::optional<const char*> objection(const Conditions& conditions, const Client& client) noexcept;

// The same conditions are the same bytes, whatever order they were given in.
[[nodiscard]] std::string pack(const Conditions& conditions);
[[nodiscard]] std::optional<Conditions> unpack(std::string_view bytes) noexcept;

}  // namespace jit::core
