#include "jit_access/policy/conditions.hpp"

#include <algorithm>

#include "jit_access/core/chain.hpp"
#include "jit_access/core/failure.hpp"
#include "jit_access/pg/backend.hpp"
#include "jit_access/pg/error.hpp"

namespace jit::conditions {

using core::Code;
using core::Failure;
using core::invalid;
using templates::Template;
using templates::TemplateArguments;

namespace {

// In a list of networks, this stands for connections over a Unix-domain socket.
constexpr std::string_view unix_socket = "local";

void check_count(const char* argument, std::size_t count, std::size_t limit) {
    if (count > limit)
        throw invalid(argument, "There are " + std::to_string(count) + " of them; at most " + std::to_string(limit) +
                                    " are possible.");
}

// The cast to cidr rejects an address with host bits, so two spellings of one network cannot both be stored.
std::string normalized_network(const std::string& text) {
    if (text == unix_socket) return text;
    try {
        return pg::query_row("SELECT pg_catalog.text($1::pg_catalog.cidr)", {text}).value().get<std::string>(0);
    } catch (const pg::ServerError&) {  // the handler throws, which aborts the transaction of the failed query
        throw invalid("networks", "\"" + pg::excerpt(text) + "\" is not a network.",
                      "Write it like 10.1.0.0/16 or 2001:db8::/32; local is a Unix socket.");
    }
}

std::string database_oid(const std::string& name) {
    const auto row = pg::query_row("SELECT oid::text FROM pg_catalog.pg_database WHERE datname = $1", {name});
    if (row) return row->get<std::string>(0);
    throw invalid("databases", "There is no database \"" + pg::excerpt(name) + "\".",
                  "Names are matched exactly, without quotes and without folding to lower case.");
}

void add_network(core::Conditions& conditions, std::int32_t prefix_length, const std::string& address_hex) {
    const auto bytes = core::from_hex(address_hex).value();
    std::vector<std::uint8_t> address(bytes.size());
    std::transform(bytes.begin(), bytes.end(), address.begin(), std::to_integer<std::uint8_t>);
    conditions.networks.at(conditions.network_count) =
        core::network_from(address, static_cast<unsigned>(prefix_length)).value();
    ++conditions.network_count;
}

}  // namespace

void normalize(const TemplateArguments& arguments, Template& tmpl) {
    check_count("networks", tmpl.networks.size(), core::max_networks);
    check_count("databases", tmpl.databases.size(), core::max_databases);
    if (arguments.networks)
        for (auto& text : tmpl.networks) text = normalized_network(text);
    for (const auto& method : tmpl.auth_methods)
        if (core::auth_method(method) == 0)
            throw invalid("auth_methods", "\"" + pg::excerpt(method) + "\" is not valid.",
                          "Write them as in pg_hba.conf, for example scram-sha-256, cert or gss.");
    // Names are looked up only if a new list is given. A stored list keeps the OID of a dropped database, which matches
    // nothing.
    if (!arguments.databases) return;
    tmpl.database_oids.clear();
    for (const auto& name : tmpl.databases) tmpl.database_oids.push_back(database_oid(name));
}

core::Conditions for_template(const Template& tmpl) {
    core::Conditions conditions;
    conditions.tls = tmpl.tls_required;
    conditions.certificate = tmpl.client_cert_required;
    for (const auto& method : tmpl.auth_methods) conditions.methods |= core::auth_method(method);
    for (const auto& oid : tmpl.database_oids)
        conditions.databases.at(conditions.database_count++) = static_cast<std::uint32_t>(std::stoul(oid));
    pg::TextArray networks;
    for (const auto& text : tmpl.networks) {
        if (text == unix_socket)
            conditions.local = true;
        else
            networks.push_back(text);
    }
    if (networks.empty()) return conditions;
    // cidr_send() writes a header of four bytes (family, bits, is_cidr, length) before the address; see
    // src/backend/utils/adt/network.c.
    for (const auto& row : pg::query(R"sql(
             SELECT pg_catalog.masklen(n::pg_catalog.cidr),
                    substr(pg_catalog.encode(pg_catalog.cidr_send(n::pg_catalog.cidr), 'hex'), 9)
             FROM unnest($1) n
         )sql",
                                     {networks}))
        add_network(conditions, row.get<std::int32_t>(0), row.get<std::string>(1));
    return conditions;
}

std::optional<std::string> to_hex(const core::Conditions& conditions) {
    if (!conditions.any()) return std::nullopt;
    const auto bytes = core::pack(conditions);
    return core::to_hex(std::as_bytes(std::span(bytes)));
}

core::Conditions from_hex(const std::optional<std::string>& hex) {
    if (!hex) return {};
    const auto bytes = core::from_hex(*hex).value_or(std::vector<std::byte>{});
    if (const auto conditions = core::unpack({reinterpret_cast<const char*>(bytes.data()), bytes.size()}))
        return *conditions;
    throw Failure(Code::wrong_state, "the conditions of a grant cannot be read",
                  "The row was changed by hand, or is of another version of jit_access.", "Revoke the grant.");
}

}  // namespace jit::conditions
