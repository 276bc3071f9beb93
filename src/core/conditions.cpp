#include "jit_access/core/conditions.hpp"

#include <algorithm>
#include <tuple>

#include "jit_access/core/encoding.hpp"

namespace jit::core {

namespace {

constexpr std::size_t v4_bytes = 4;
constexpr std::size_t v6_bytes = 16;
constexpr std::array<std::uint8_t, 12> v4_in_v6{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF};

bool maps_v4(std::span<const std::uint8_t> bytes) noexcept {
    return bytes.size() == v6_bytes && std::equal(v4_in_v6.begin(), v4_in_v6.end(), bytes.begin());
}

std::uint8_t mask_of(unsigned bits) noexcept {
    return static_cast<std::uint8_t>(bits >= 8 ? 0xFF : 0xFF << (8 - bits));
}

unsigned bits_of(const Address& address) noexcept { return address.family == 4 ? 32 : 128; }

// Clears the bits after the prefix.
void clear_host_bits(Network& network) noexcept {
    for (unsigned i = 0; i < v6_bytes; ++i) {
        const unsigned done = i * 8;
        network.base.bytes[i] &= network.prefix > done ? mask_of(network.prefix - done) : std::uint8_t{0};
    }
}

bool comes_before(const Network& a, const Network& b) noexcept {
    return std::tie(a.base.family, a.base.bytes, a.prefix) < std::tie(b.base.family, b.base.bytes, b.prefix);
}

bool is_in_networks(const Conditions& conditions, const Client& client) noexcept {
    if (client.address.family == 0) return conditions.local;
    const auto end = conditions.networks.begin() + conditions.network_count;
    return std::any_of(conditions.networks.begin(), end,
                       [&](const Network& network) { return contains(network, client.address); });
}

bool is_listed(const Conditions& conditions, std::uint32_t database) noexcept {
    const auto end = conditions.databases.begin() + conditions.database_count;
    return std::find(conditions.databases.begin(), end, database) != end;
}

// The fields of the packed form: form, flags, methods, networks, databases. Numbers are big-endian.
constexpr std::uint8_t form = 1;
constexpr std::uint8_t flag_local = 1;
constexpr std::uint8_t flag_tls = 2;
constexpr std::uint8_t flag_certificate = 4;

using Reader = BinaryReader<std::endian::big>;

Network read_network(Reader& in) noexcept {
    Network network;
    network.base.family = in.number<std::uint8_t>();
    network.prefix = in.number<std::uint8_t>();
    in.raw(network.base.bytes.data(), network.base.family == 4 ? v4_bytes : v6_bytes);
    return network;
}

template <class Sink>
void write_fields(const Conditions& conditions, Sink& out) noexcept {
    out.number(form);
    out.number(static_cast<std::uint8_t>((conditions.local ? flag_local : 0) | (conditions.tls ? flag_tls : 0) |
                                         (conditions.certificate ? flag_certificate : 0)));
    out.number(conditions.methods);
    out.number(conditions.network_count);
    for (std::size_t i = 0; i < conditions.network_count; ++i) {
        const auto& network = conditions.networks[i];
        out.number(network.base.family);
        out.number(network.prefix);
        out.raw(network.base.bytes.data(), bits_of(network.base) / 8);
    }
    out.number(conditions.database_count);
    for (std::size_t i = 0; i < conditions.database_count; ++i) out.number(conditions.databases[i]);
}

Conditions in_order(const Conditions& conditions) noexcept {
    Conditions sorted = conditions;
    const auto networks = std::min<std::size_t>(sorted.network_count, max_networks);
    const auto databases = std::min<std::size_t>(sorted.database_count, max_databases);
    std::ranges::sort(std::span(sorted.networks).first(networks), comes_before);
    std::ranges::sort(std::span(sorted.databases).first(databases));
    return sorted;
}

}  // namespace

Address address_from(std::span<const std::uint8_t> bytes) noexcept {
    Address address;
    if (maps_v4(bytes)) bytes = bytes.last(v4_bytes);
    if (bytes.size() != v4_bytes && bytes.size() != v6_bytes) return address;
    address.family = bytes.size() == v4_bytes ? 4 : 6;
    std::copy(bytes.begin(), bytes.end(), address.bytes.begin());
    return address;
}

std::optional<Network> network_from(std::span<const std::uint8_t> bytes, unsigned prefix) noexcept {
    constexpr unsigned mapped_prefix = 96;
    Network network{.base = address_from(bytes)};
    if (network.base.family == 0 || prefix > bytes.size() * 8) return std::nullopt;
    if (maps_v4(bytes) && prefix < mapped_prefix) {  // the network is larger than the mapped range
        network.base.family = 6;
        std::copy(bytes.begin(), bytes.end(), network.base.bytes.begin());
    } else if (maps_v4(bytes)) {
        prefix -= mapped_prefix;
    }
    network.prefix = static_cast<std::uint8_t>(prefix);
    clear_host_bits(network);
    return network;
}

bool contains(const Network& network, const Address& address) noexcept {
    if (network.base.family != address.family || address.family == 0) return false;
    for (unsigned i = 0; i < network.prefix; i += 8) {
        const auto different = static_cast<std::uint8_t>(network.base.bytes[i / 8] ^ address.bytes[i / 8]);
        if ((different & mask_of(network.prefix - i)) != 0) return false;
    }
    return true;
}

std::uint32_t auth_method(std::string_view name) noexcept {
    for (std::size_t i = 0; i < auth_methods.size(); ++i)
        if (auth_methods[i] == name) return std::uint32_t{1} << i;
    return 0;
}

std::optional<const char*> objection(const Conditions& conditions, const Client& client) noexcept {
    const bool has_networks = conditions.network_count != 0 || conditions.local;
    if (!client.connected && (has_networks || conditions.tls || conditions.certificate || conditions.methods != 0))
        return "This is no connection of a client.";
    if (has_networks && !is_in_networks(conditions, client))
        return client.address.family == 0 ? "A Unix socket is not among the allowed networks."
                                          : "The address of the client is not in the allowed networks.";
    if (conditions.tls && !client.tls) return "The connection does not use TLS.";
    if (conditions.certificate && !client.certificate) return "The client has not shown a certificate.";
    if (conditions.methods != 0 && (conditions.methods & client.method) == 0)
        return "The client was authenticated by a method that is not allowed.";
    if (conditions.database_count != 0 && client.database != 0 && !is_listed(conditions, client.database))
        return "This database is not among the allowed ones.";
    return std::nullopt;
}

std::string pack(const Conditions& conditions) {
    const auto sorted = in_order(conditions);
    std::string bytes;
    write_measured<std::endian::big>(bytes, [&](auto& out) { write_fields(sorted, out); });
    return bytes;
}

std::optional<Conditions> unpack(std::string_view bytes) noexcept {
    Reader in(bytes_of(bytes));
    if (in.number<std::uint8_t>() != form) return std::nullopt;
    Conditions conditions;
    const auto flags = in.number<std::uint8_t>();
    if (flags > (flag_local | flag_tls | flag_certificate)) return std::nullopt;
    conditions.local = (flags & flag_local) != 0;
    conditions.tls = (flags & flag_tls) != 0;
    conditions.certificate = (flags & flag_certificate) != 0;
    conditions.methods = in.number<std::uint32_t>();
    conditions.network_count = in.number<std::uint8_t>();
    if (conditions.network_count > max_networks) return std::nullopt;
    for (std::size_t i = 0; i < conditions.network_count; ++i) {
        auto& network = conditions.networks[i];
        network = read_network(in);
        const auto family = network.base.family;
        if ((family != 4 && family != 6) || network.prefix > bits_of(network.base)) return std::nullopt;
        Network exact = network;
        clear_host_bits(exact);
        if (exact != network) return std::nullopt;
    }
    conditions.database_count = in.number<std::uint8_t>();
    if (conditions.database_count > max_databases) return std::nullopt;
    for (std::size_t i = 0; i < conditions.database_count; ++i) conditions.databases[i] = in.number<std::uint32_t>();
    if (!in.is_done() || in_order(conditions) != conditions) return std::nullopt;
    return conditions;
}

}  // namespace jit::core
