#include "jit_access/core/journal_record.hpp"

#include "jit_access/core/encoding.hpp"

namespace jit::core {

namespace {

// The journal is read on the machine that wrote it.
using Reader = BinaryReader<std::endian::little>;
using Writer = BinaryWriter<std::endian::little>;

static_assert(sizeof(Use) == 240,
              "a member of Use is missing in write_fields() or decode_use(); a new field needs a new magic of the "
              "journal's file (record/journal_file.cpp)");

// Called twice by write_measured(), once to measure.
template <class Sink>
void write_fields(const Use& use, Sink& out) noexcept {
    out.number(use.grant);
    out.number(static_cast<std::uint32_t>(use.grants.size()));
    for (const auto id : use.grants) out.number(id);
    out.number(use.pid);
    out.number(use.depth);
    out.number(use.session_start);
    out.text(use.login);
    out.text(use.role);
    out.text(use.database);
    out.text(use.application);
    out.text(use.client);
    out.text(use.tag);
    out.text(use.statement);
    out.number(use.statement_size);
    out.text(use.statement_hash);
    out.text(use.parameters);
    out.number(use.object_count);
    out.number(static_cast<std::uint32_t>(use.objects.size()));
    for (const auto& object : use.objects) {
        out.number(object.privileges);
        out.number(object.own);
        out.text(object.name);
    }
    out.raw(use.sqlstate.data(), use.sqlstate.size());
    out.text(use.reason);
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
    Use& use = result.use;
    use.grant = in.number<std::uint64_t>();
    const auto grants = in.number<std::uint32_t>();
    if (!in.is_ok() || grants > max_session_grants) return std::nullopt;
    for (std::uint32_t i = 0; i < grants; ++i) result.grants.push_back(in.number<std::uint64_t>());
    use.pid = in.number<std::uint32_t>();
    use.depth = in.number<std::uint32_t>();
    use.session_start = in.number<std::int64_t>();
    use.login = in.text();
    use.role = in.text();
    use.database = in.text();
    use.application = in.text();
    use.client = in.text();
    use.tag = in.text();
    use.statement = in.text();
    use.statement_size = in.number<std::uint32_t>();
    use.statement_hash = in.text();
    use.parameters = in.text();
    use.object_count = in.number<std::uint32_t>();
    const auto objects = in.number<std::uint32_t>();
    if (!in.is_ok() || objects > max_objects) return std::nullopt;
    for (std::uint32_t i = 0; i < objects; ++i) {
        const auto privileges = in.number<std::uint32_t>();
        const auto own = in.number<std::uint32_t>();
        result.objects.push_back({privileges, own, in.text()});
    }
    in.raw(use.sqlstate.data(), use.sqlstate.size());
    use.reason = in.text();
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
