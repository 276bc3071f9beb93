#include "jit_access/core/journal_record.hpp"

#include "jit_access/core/encoding.hpp"

namespace jit::core {

namespace {

// The journal is read on the machine that wrote it.
using Reader = BinaryReader<std::endian::little>;
using Writer = BinaryWriter<std::endian::little>;

// write_fields() and decode_use() name every member of Use, so that neither compiles if a member is added. A new member
// also requires a new magic in the header of the journal's file (record/journal_file.cpp), and must be set in
// enforcement/recorder.cpp.

// write_measured() calls this twice: first to measure the fields, then to write them.
template <class Sink>
void write_fields(const Use& use, Sink& out) noexcept {
    const auto& [grant, grants, pid, depth, session_start, login, role, database, application, client, tag, statement,
                 statement_size, statement_hash, parameters, object_count, objects, sqlstate, reason] = use;
    out.number(grant);
    out.number(static_cast<std::uint32_t>(grants.size()));
    for (const auto id : grants) out.number(id);
    out.number(pid);
    out.number(depth);
    out.number(session_start);
    out.text(login);
    out.text(role);
    out.text(database);
    out.text(application);
    out.text(client);
    out.text(tag);
    out.text(statement);
    out.number(statement_size);
    out.text(statement_hash);
    out.text(parameters);
    out.number(object_count);
    out.number(static_cast<std::uint32_t>(objects.size()));
    for (const auto& object : objects) {
        out.number(object.privileges);
        out.number(object.own);
        out.text(object.name);
    }
    out.raw(sqlstate.data(), sqlstate.size());
    out.text(reason);
}

}  // namespace

void encode(const Use& use, std::vector<std::byte>& to) {
    write_measured<std::endian::little>(to, [&use](auto& out) noexcept { write_fields(use, out); });
}

std::array<std::byte, outcome_size> encode(const Outcome& outcome) noexcept {
    std::array<std::byte, outcome_size> bytes;
    Writer writer(bytes.data());
    writer.number(outcome.use_position);
    writer.number(outcome.rows);
    writer.number(outcome.duration);
    writer.raw(outcome.sqlstate.data(), outcome.sqlstate.size());
    writer.number(outcome.ending);
    return bytes;
}

std::optional<DecodedUse> decode_use(std::span<const std::byte> payload) {
    Reader in(payload);
    DecodedUse result;
    auto& [grant, grants, pid, depth, session_start, login, role, database, application, client, tag, statement,
           statement_size, statement_hash, parameters, object_count, objects, sqlstate, reason] = result.use;
    grant = in.number<std::uint64_t>();
    const auto grant_count = in.number<std::uint32_t>();
    if (!in.is_ok() || grant_count > max_session_grants) return std::nullopt;
    for (std::uint32_t i = 0; i < grant_count; ++i) result.grants.push_back(in.number<std::uint64_t>());
    pid = in.number<std::uint32_t>();
    depth = in.number<std::uint32_t>();
    session_start = in.number<std::int64_t>();
    login = in.text();
    role = in.text();
    database = in.text();
    application = in.text();
    client = in.text();
    tag = in.text();
    statement = in.text();
    statement_size = in.number<std::uint32_t>();
    statement_hash = in.text();
    parameters = in.text();
    object_count = in.number<std::uint32_t>();
    const auto listed_objects = in.number<std::uint32_t>();
    if (!in.is_ok() || listed_objects > max_objects) return std::nullopt;
    for (std::uint32_t i = 0; i < listed_objects; ++i) {
        const auto privileges = in.number<std::uint32_t>();
        const auto own = in.number<std::uint32_t>();
        result.objects.push_back({privileges, own, in.text()});
    }
    in.raw(sqlstate.data(), sqlstate.size());
    reason = in.text();
    if (!in.is_done()) return std::nullopt;
    return result;
}

std::optional<Outcome> decode_outcome(std::span<const std::byte> payload) noexcept {
    Reader in(payload);
    Outcome outcome;
    outcome.use_position = in.number<std::uint64_t>();
    outcome.rows = in.number<std::uint64_t>();
    outcome.duration = in.number<std::int64_t>();
    in.raw(outcome.sqlstate.data(), outcome.sqlstate.size());
    outcome.ending = in.number<Ending>();
    if (!in.is_done() || outcome.ending < Ending::completed || outcome.ending > Ending::interrupted)
        return std::nullopt;
    return outcome;
}

}  // namespace jit::core
