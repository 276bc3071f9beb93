// The payload of each kind of journal record: length-prefixed little-endian fields (encoding.hpp).
//
// encode() allocates nothing if the buffer is already large enough. Decoding checks every bound and returns nothing
// for a malformed payload. The views in a decoded record point into the payload.
#pragma once

#include "jit_access/core/zone.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

namespace jit::core {

enum class RecordKind : std::uint32_t {
    use = 1,      // the intent: a statement is about to run under a grant
    outcome = 2,  // how that statement ended
    refusal = 3,  // a statement that was not allowed to start; the payload is that of a use
    gap = 4       // room that a process reserved and did not write, because it died; no payload
};

// A relation or function that a statement uses, and the privileges that the statement needs on it, as bits of
// Privilege.
struct ObjectUse {
    std::uint32_t privileges = 0;
    std::uint32_t own = 0;  // those of the privileges that are held without a grant
    std::string_view name;  // schema-qualified and quoted where needed
};

// The privileges of the server, and in addition: commands that only an owner may run; commands that an owner or, from
// PostgreSQL 17 on, a role with MAINTAIN may run; and LOCK TABLE, for which any of several privileges suffices.
enum Privilege : std::uint32_t {
    privilege_select = 1U << 0,
    privilege_insert = 1U << 1,
    privilege_update = 1U << 2,
    privilege_delete = 1U << 3,
    privilege_truncate = 1U << 4,
    privilege_references = 1U << 5,
    privilege_trigger = 1U << 6,
    privilege_usage = 1U << 7,
    privilege_execute = 1U << 8,
    privilege_create = 1U << 9,
    privilege_owner = 1U << 10,
    privilege_maintain = 1U << 11,
    privilege_lock = 1U << 12,
};
inline constexpr std::uint32_t privilege_bits = (1U << 13) - 1;

inline constexpr std::size_t max_objects = 64;        // in one record; Use::object_count counts all
inline constexpr std::size_t max_session_grants = 8;  // live grants one session can use at a time

struct Use {
    std::uint64_t grant = 0;                  // the first of the grants in force
    std::span<const std::uint64_t> grants{};  // all of them
    std::uint32_t pid = 0;
    std::uint32_t depth = 0;         // 0 = sent by the client, n = inside n other statements
    std::int64_t session_start = 0;  // microseconds since 2000-01-01; together with pid, identifies the session
    std::string_view login{};        // name of the session user
    std::string_view role{};         // name of the effective role
    std::string_view database{};
    std::string_view application{};
    std::string_view client{};          // address as text, empty for a local socket
    std::string_view tag{};             // command tag
    std::string_view statement{};       // the statement's part of the text that the client sent, possibly cut
    std::uint32_t statement_size = 0;   // bytes before the cut
    std::string_view statement_hash{};  // SHA-256 of the whole statement, hexadecimal; empty if nothing is cut
    std::string_view parameters{};      // bound values; empty unless they are recorded
    std::uint32_t object_count = 0;     // number of all objects; `objects` holds at most max_objects
    std::span<const ObjectUse> objects{};
    std::array<char, 5> sqlstate{'0', '0', '0', '0', '0'};  // of a refusal
    std::string_view reason{};                              // of a refusal
};

enum class Ending : std::uint8_t { completed = 1, failed = 2, interrupted = 3 };

struct Outcome {
    std::uint64_t use_position = 0;
    std::uint64_t rows = 0;
    std::int64_t duration = 0;  // microseconds
    std::array<char, 5> sqlstate{'0', '0', '0', '0', '0'};
    Ending ending = Ending::completed;
};

inline constexpr std::size_t outcome_size = 8 + 8 + 8 + 5 + 1;

// Replaces the contents of `to` and reuses its memory.
void encode(const Use& use, std::vector<std::byte>& to);
[[nodiscard]] std::array<std::byte, outcome_size> encode(const Outcome& outcome) noexcept;

// A decoded use owns its lists; its texts still point into the payload.
struct DecodedUse {
    Use use;
    std::vector<std::uint64_t> grants;
    std::vector<ObjectUse> objects;
};

[[nodiscard]] std::optional<DecodedUse> decode_use(std::span<const std::byte> payload);
[[nodiscard]] std::optional<Outcome> decode_outcome(std::span<const std::byte> payload) noexcept;

}  // namespace jit::core
