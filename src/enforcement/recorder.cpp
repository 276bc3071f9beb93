#include "jit_access/enforcement/recorder.hpp"

#include <algorithm>
#include <chrono>
#include <thread>
#include <vector>

#include "jit_access/core/failure.hpp"
#include "jit_access/pg/clock.hpp"
#include "jit_access/pg/digest.hpp"
#include "jit_access/pg/settings.hpp"
#include "jit_access/record/journal_file.hpp"
#include "jit_access/shared/attempt_counter.hpp"

namespace jit::recorder {

namespace {

using core::Code;
using core::Failure;

struct OpenUse {
    const void* key;
    std::uint64_t position;
    pg::Moment since;
    std::uint64_t rows;
    std::uint32_t subtransaction;
    bool running;
    std::uint64_t grants_serial;
    std::uint32_t grant_count;
    std::array<std::uint64_t, core::max_session_grants> grants;
};

std::vector<OpenUse> open_uses;  // never shrinks, so nothing is allocated once the deepest nesting was seen
std::uint32_t depth = 0;

std::int64_t recorded_error_command = 0;  // start of the last command whose error is on the record

// Facts that do not change in a session. A parallel worker takes the facts of its leader's session from shared memory,
// where the leader is registered because it is bound to the grant.
struct Session {
    std::string database = pg::database_name();
    std::string client = pg::client_address();
    std::int32_t pid = pg::backend_pid();
    std::int64_t start = pg::session_start();

    Session() {
        const SessionSlot* leader = leader_session();
        if (leader == nullptr) return;
        pid = pg::leader_pid();
        start = leader->start.load();
    }
};

const Session& session() {
    static const Session facts;
    return facts;
}

// The SHA-256 of the whole text, so that truncated statements can be distinguished.
std::string_view statement_hash(std::string_view whole) {
    static std::string hexadecimal;
    hexadecimal = core::to_hex(pg::ServerHasher().hash({std::as_bytes(std::span(whole))}));
    return hexadecimal;
}

std::string_view truncate_to_limit(std::string_view text) noexcept {
    return text.substr(
        0, pg::clip_at_character(text.data(), text.size(), static_cast<std::size_t>(settings::statement_limit)));
}

std::uint32_t depth_of(const Statement& statement) noexcept { return depth + (statement.is_nested ? 1 : 0); }

core::Use make_use(const enforcement::EffectiveGrants& grants, const Statement& statement) {
    const Session& facts = session();
    core::Use use;
    use.grant = grants.count > 0 ? grants.ids[0] : std::max(grants.unconfirmed, grants.quarantined);
    use.grants = {grants.ids.data(), grants.count};
    use.pid = static_cast<std::uint32_t>(facts.pid);
    use.depth = depth_of(statement);
    use.session_start = facts.start;
    use.login = grants.login;
    use.role = grants.role;
    use.database = facts.database;
    use.application = pg::application_name();
    use.client = facts.client;
    use.tag = statement.tag;
    use.statement = truncate_to_limit(statement.text);
    use.statement_size = static_cast<std::uint32_t>(statement.text.size());
    if (use.statement.size() < statement.text.size()) use.statement_hash = statement_hash(statement.text);
    use.parameters = truncate_to_limit(statement.parameters);  // a statement may have thousands of them
    use.objects = statement.objects;
    use.object_count = statement.object_count;
    return use;
}

bool is_current(const Encoded& encoded, const enforcement::EffectiveGrants& grants,
                const Statement& statement) noexcept {
    return encoded.grants_serial == grants.serial && encoded.depth == depth_of(statement) &&
           encoded.statement_limit == settings::statement_limit && encoded.application == pg::application_name();
}

core::Payload encode(const enforcement::EffectiveGrants& grants, const Statement& statement) {
    static Encoded uncached;
    Encoded& encoded = statement.encoded != nullptr ? *statement.encoded : uncached;
    if (statement.encoded == nullptr || !is_current(encoded, grants, statement)) {
        const core::Use use = make_use(grants, statement);
        encoded.grants_serial = 0;
        encoded.depth = use.depth;
        encoded.statement_limit = settings::statement_limit;
        encoded.application = use.application;
        core::encode(use, encoded.bytes);
        encoded.crc = journal::ring().payload(encoded.bytes).crc;
        encoded.grants_serial = grants.serial;
    }
    return {encoded.bytes, encoded.crc};
}

// The worker sets worker_is_waiting before it waits for the journal. The first writer resets the flag and wakes the
// worker. All accesses are sequentially consistent, so no wake-up is lost.
void wake_sleeping_worker() noexcept {
    if (shared_state->worker_is_waiting.load() != 0 && shared_state->worker_is_waiting.exchange(0) != 0) wake_worker();
}

// Returns false if jit_access.journal_wait has passed.
template <class Done>
bool wait_for_worker(Done&& done) {
    const auto give_up = pg::boot_clock() + std::int64_t{settings::journal_wait} * 1000;
    while (!done()) {
        if (pg::boot_clock() >= give_up) return false;
        wake_worker();
        pg::nap(10);
    }
    return true;
}

[[noreturn]] void refuse(Code code, const char* what, const char* why) {
    shared_state->counters.journal_refusals.fetch_add(1, std::memory_order_relaxed);
    throw Failure(code, what, std::string("Statements under a grant do not run unrecorded; ") + why,
                  "Ask an administrator to look at jit_access.health.");
}

// While an error is being reported, interrupts are not processed. The waits, of 1 ms each, are therefore limited to
// half a second in total for the life of the process.
bool wait_briefly_for_start() noexcept {
    using namespace std::chrono_literals;
    static int attempts_left = 500;
    for (; !journal::accepts_writes(); --attempts_left) {
        if (attempts_left == 0) return false;
        std::this_thread::sleep_for(1ms);
    }
    return true;
}

void wait_for_room(std::size_t payload, std::size_t extra) {
    shared_state->counters.journal_waits.fetch_add(1, std::memory_order_relaxed);
    if (!wait_for_worker([=] { return journal::ring().claim(payload, extra); }))
        refuse(Code::journal_full, "the journal of uses is full", "the worker has not made room in time.");
}

// For a short statement the wall clock is not read again. Its end is the start plus the duration by the boot clock.
std::int64_t end_time(const OpenUse& use, std::int64_t duration) noexcept {
    constexpr std::int64_t short_us = 1'000'000;
    return duration < short_us ? use.since.wall + duration : pg::wall_clock();
}

void append_outcome(const OpenUse& use, core::Ending ending, std::string_view sqlstate) noexcept {
    core::Outcome outcome;
    outcome.use_position = use.position;
    outcome.rows = use.rows;
    outcome.duration = pg::boot_clock() - use.since.boot;
    sqlstate.copy(outcome.sqlstate.data(), outcome.sqlstate.size());
    outcome.ending = ending;
    auto& ring = journal::ring();
    ring.append(core::RecordKind::outcome, ring.payload(core::encode(outcome)), end_time(use, outcome.duration));
    wake_sleeping_worker();
}

bool contains_all(const OpenUse& use, const enforcement::EffectiveGrants& grants) noexcept {
    if (use.grants_serial == grants.serial) return true;
    if (!grants.can_be_used()) return false;
    const auto end = use.grants.begin() + use.grant_count;
    return std::all_of(grants.ids.begin(), grants.ids.begin() + grants.count,
                       [&](std::uint64_t id) { return std::find(use.grants.begin(), end, id) != end; });
}

// The newest use with this key. Addresses are reused once a statement has ended, and function calls share one key.
OpenUse* find(const void* key) noexcept {
    for (std::size_t i = open_uses.size(); i-- > 0;)
        if (open_uses[i].key == key) return &open_uses[i];
    return nullptr;
}

void close(OpenUse* use, core::Ending ending, std::string_view sqlstate) noexcept {
    append_outcome(*use, ending, sqlstate);
    open_uses.erase(open_uses.begin() + (use - open_uses.data()));
}

constexpr std::string_view success = "00000";

}  // namespace

// The use is opened before waiting for the flush, so that any error closes it. If the flush fails, the statement must
// not run, and its use is closed as failed.
void begin(const enforcement::EffectiveGrants& grants, const Statement& statement, pg::Moment at) {
    if (!journal::available()) {
        shared_state->counters.journal_refusals.fetch_add(1, std::memory_order_relaxed);
        throw Failure(
            Code::journal_failed, "the journal of uses cannot be written", journal::fault(),
            "Repair jit_access.journal_directory and restart the server; sessions without a grant are not affected.");
    }
    if (!journal::accepts_writes() && !wait_for_worker(journal::accepts_writes))
        refuse(Code::journal_failed, "the journal of uses is not ready",
               "the worker has not verified yet that it is complete.");
    const auto encoded = encode(grants, statement);
    const auto size = encoded.bytes.size();
    if (size > journal::ring().largest_payload())
        throw Failure(Code::journal_failed, "the statement does not fit in the journal", "Its record is too large.",
                      "Raise jit_access.journal_size or lower jit_access.statement_limit.");
    if (open_uses.size() == open_uses.capacity()) open_uses.reserve(2 * open_uses.size() + 8);
    if (!journal::ring().claim(size, core::outcome_record_size)) wait_for_room(size, core::outcome_record_size);
    const auto position = journal::ring().append(core::RecordKind::use, encoded, at.wall);
    open_uses.push_back(
        {statement.key, position, at, 0, pg::subtransaction_id(), false, grants.serial, grants.count, grants.ids});
    wake_sleeping_worker();
    if (settings::audit_durability != settings::durability_fsync) return;
    try {
        journal::make_durable();
    } catch (...) {
        shared_state->counters.journal_refusals.fetch_add(1, std::memory_order_relaxed);
        fail(statement.key, core::entry(Code::journal_failed).sqlstate);
        throw;
    }
}

void complete(const void* key, std::uint64_t rows) noexcept {
    OpenUse* use = find(key);
    if (use == nullptr) return;
    use->rows += rows;
    close(use, core::Ending::completed, success);
}

void fail(const void* key, std::string_view sqlstate) noexcept {
    OpenUse* use = find(key);
    if (use == nullptr) return;
    close(use, core::Ending::failed, sqlstate);
    recorded_error_command = pg::command_start();
}

bool is_error_recorded(std::int64_t command_start) noexcept { return recorded_error_command == command_start; }

void enter(const void* key) noexcept {
    if (++depth == 1) own_session().runs_use.store(true, std::memory_order_relaxed);
    if (OpenUse* use = find(key)) use->running = true;
}

void leave(const void* key, std::uint64_t rows) noexcept {
    if (--depth == 0) own_session().runs_use.store(false, std::memory_order_relaxed);
    if (OpenUse* use = find(key)) {
        use->running = false;
        use->rows += rows;
    }
}

// Visited from the last to the first, because close() erases the entry. Subtransaction ids grow, so children of an
// aborted subtransaction have higher ids.
void interrupt(std::uint32_t from_subtransaction) noexcept {
    for (std::size_t i = open_uses.size(); i-- > 0;)
        if (!open_uses[i].running && open_uses[i].subtransaction >= from_subtransaction)
            close(&open_uses[i], core::Ending::interrupted, success);
}

void complete_remaining() noexcept {
    for (std::size_t i = open_uses.size(); i-- > 0;)
        if (!open_uses[i].running) close(&open_uses[i], core::Ending::completed, success);
}

void interrupt_all() noexcept {
    while (!open_uses.empty()) close(&open_uses.back(), core::Ending::interrupted, success);
}

bool is_use_open(const void* key) noexcept { return find(key) != nullptr; }
bool has_open_uses() noexcept { return !open_uses.empty(); }
bool is_inside_use_of(const enforcement::EffectiveGrants& grants) noexcept {
    return depth > 0 && std::any_of(open_uses.rbegin(), open_uses.rend(),
                                    [&](const OpenUse& use) { return use.running && contains_all(use, grants); });
}

void record_refusal(const enforcement::EffectiveGrants& grants, const Statement& statement, std::string_view sqlstate,
                    std::string_view reason) noexcept {
    if (!journal::available()) return;
    recorded_error_command = pg::command_start();
    if (!attempt_counter::admit_refusal(sqlstate, grants.count > 0 ? grants.ids[0] : grants.unconfirmed)) return;
    if (!wait_briefly_for_start()) {
        shared_state->counters.journal_refusals.fetch_add(1, std::memory_order_relaxed);
        return;
    }
    try {
        core::Use use = make_use(grants, statement);
        sqlstate.copy(use.sqlstate.data(), use.sqlstate.size());
        use.reason = reason;
        std::vector<std::byte> encoded;
        core::encode(use, encoded);
        auto& ring = journal::ring();
        if (encoded.size() > ring.largest_payload() || !ring.claim(encoded.size(), 0)) {
            shared_state->counters.journal_refusals.fetch_add(1, std::memory_order_relaxed);
            return;
        }
        ring.append(core::RecordKind::refusal, ring.payload(encoded), pg::wall_clock());
        wake_sleeping_worker();
    } catch (...) {
        shared_state->counters.journal_refusals.fetch_add(1, std::memory_order_relaxed);
    }
}

}  // namespace jit::recorder
