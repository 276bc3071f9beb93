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

constexpr std::string_view socket = "local";

void check_count(const char* what, std::size_t count, std::size_t most) {
    if (count > most)
        throw invalid(what, "There are " + std::to_string(count) + " of them; at most " + std::to_string(most) +
                                " are possible.");
}

std::string network(const std::string& text) {
    if (text == socket) return text;
    try {
        return pg::query_row("SELECT pg_catalog.text($1::pg_catalog.cidr)", {text}).value().get<std::string>(0);
    } catch (const pg::ServerError&) {  // the caller throws, so the failed query ends with its transaction
        throw invalid("networks", "\"" + pg::excerpt(text) + "\" is not a network.",
                      "Write it like 10.1.0.0/16 or 2001:db8::/32; local is a Unix socket.");
    }
}

std::string oid_of(const std::string& database) {
    const auto row = pg::query_row("SELECT oid::text FROM pg_catalog.pg_database WHERE datname = $1", {database});
    if (row) return row->get<std::string>(0);
    throw invalid("databases", "There is no database \"" + pg::excerpt(database) + "\".",
                  "Names are matched exactly, without quotes and without folding to lower case.");
}

void add_network(const pg::Row& row, core::Conditions& to) {
    const auto bytes = core::from_hex(row.get<std::string>(1)).value();
    std::vector<std::uint8_t> address(bytes.size());
    std::transform(bytes.begin(), bytes.end(), address.begin(), std::to_integer<std::uint8_t>);
    to.networks.at(to.network_count) =
        core::network_from(address, static_cast<unsigned>(row.get<std::int32_t>(0))).value();
    ++to.network_count;
}

}  // namespace

void normalize(const TemplateArguments& draft, Template& to) {
    check_count("networks", to.networks.size(), core::max_networks);
    check_count("databases", to.databases.size(), core::max_databases);
    if (draft.networks)
        for (auto& text : to.networks) text = network(text);
    for (const auto& method : to.auth_methods)
        if (core::auth_method(method) == 0)
            throw invalid("auth_methods", "\"" + pg::excerpt(method) + "\" is none.",
                          "Write them as in pg_hba.conf, for example scram-sha-256, cert or gss.");
    if (!draft.databases) return;
    to.database_oids.clear();
    for (const auto& database : to.databases) to.database_oids.push_back(oid_of(database));
}

core::Conditions for_template(const Template& of) {
    core::Conditions conditions;
    conditions.tls = of.tls_required;
    conditions.certificate = of.client_cert_required;
    for (const auto& method : of.auth_methods) conditions.methods |= core::auth_method(method);
    for (const auto& oid : of.database_oids)
        conditions.databases.at(conditions.database_count++) = static_cast<std::uint32_t>(std::stoul(oid));
    pg::TextArray networks;
    for (const auto& text : of.networks) {
        if (text == socket)
            conditions.local = true;
        else
            networks.push_back(text);
    }
    if (networks.empty()) return conditions;
    // What the server sends begins with four bytes that are not of the address.
    for (const auto& row :
         pg::query("SELECT pg_catalog.masklen(n::pg_catalog.cidr), substr(pg_catalog.encode(pg_catalog.cidr_send("
                   "n::pg_catalog.cidr), 'hex'), 9) FROM unnest($1) n",
                   {networks}))
        add_network(row, conditions);
    return conditions;
}

std::optional<std::string> to_hex(const core::Conditions& conditions) {
    if (!conditions.any()) return std::nullopt;
    const auto bytes = core::pack(conditions);
    return core::to_hex(std::as_bytes(std::span(bytes)));
}

core::Conditions from_hex(const std::optional<std::string>& written) {
    if (!written) return {};
    const auto bytes = core::from_hex(*written).value_or(std::vector<std::byte>{});
    if (const auto conditions = core::unpack({reinterpret_cast<const char*>(bytes.data()), bytes.size()}))
        return *conditions;
    throw Failure(Code::wrong_state, "the conditions of a grant cannot be read",
                  "The row was changed by hand, or is of another version of jit_access.", "Revoke the grant.");
}

}  // namespace jit::conditions
