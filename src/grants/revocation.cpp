#include "jit_access/grants/revocation.hpp"

#include <map>
#include <optional>

#include "jit_access/core/duration.hpp"
#include "jit_access/core/lifecycle.hpp"
#include "jit_access/grants/expire.hpp"
#include "jit_access/grants/request.hpp"
#include "jit_access/pg/clock.hpp"
#include "jit_access/pg/error.hpp"
#include "jit_access/pg/role.hpp"
#include "jit_access/pg/xact.hpp"
#include "jit_access/record/journal_file.hpp"
#include "jit_access/shared/blocking_session.hpp"
#include "jit_access/shared/commit_actions.hpp"
#include "jit_access/shared/shared_state.hpp"
#include "jit_access/shared/task.hpp"

namespace jit::revocation {

namespace {

struct Note {
    pg::RoleId by;
    std::int64_t at = 0;  // wall time
};

// The notes in the journal, and the revocations that only their slots show because the journal had no room for a note.
std::map<std::int64_t, Note> all_notes() {
    std::map<std::int64_t, Note> notes;
    for (const auto& slot : shared_state->used_slots())
        if (const auto by = slot.revoked_by.load(); by != 0 && slot.state.load() == SlotState::over)
            notes[static_cast<std::int64_t>(slot.id.load())] = {{by}, slot.ends_wall.load()};
    for (const auto& entry : journal::revoked_grants())
        if (const auto id = static_cast<std::int64_t>(entry.id.load()); id > 0)
            notes[id] = {{entry.by.load()}, std::int64_t{entry.at.load()} * core::us_per_second};
    return notes;
}

void remove_note(std::int64_t id) noexcept {
    for (auto& entry : journal::revoked_grants()) {
        auto noted = static_cast<std::uint64_t>(id);
        entry.id.compare_exchange_strong(noted, 0);
    }
    if (Slot* slot = find_slot(static_cast<std::uint64_t>(id))) slot->revoked_by.store(0);
}

std::string name_of(pg::RoleId role) {
    return pg::role_name(role).value_or("role " + std::to_string(role.oid) + ", which does not exist any more");
}

enum class Progress { done, locked };

// Called in a transaction. Returns `done` if the tables need no other change for this revocation, and `locked` if
// another transaction has locked the row.
Progress apply(std::int64_t id, const Note& note) {
    const auto seen = request::read(id);
    if (!seen || core::is_terminal(seen->state)) return Progress::done;
    auto request = request::try_lock(id);
    if (!request) return Progress::locked;
    if (!core::next(request->state, core::Event::revoke)) return Progress::done;
    request::advance(*request, core::Event::revoke, name_of(note.by),
                     "revoked; the transaction that revoked it did not reach the tables");
    commit_actions::finish(static_cast<std::uint64_t>(id));
    return Progress::done;
}

void end_blocking_sessions(std::int64_t id, const Note& note) {
    // The transaction that revokes the grant may contain other statements, so it has this long until its session is
    // terminated.
    constexpr std::int64_t patience = 2 * core::us_per_second;
    if (pg::wall_clock() - note.at < patience) return;
    task::run_or_log("end the sessions that keep request " + std::to_string(id) + " locked", [id] {
        if (const auto ended = blocking_session::end_holders_of_request(id))
            pg::log_line("ended " + std::to_string(ended) + " sessions that kept grant " + std::to_string(id) +
                         " from ending");
    });
}

}  // namespace

bool end_access(std::int64_t id, pg::RoleId by) {
    Slot* slot = find_slot(static_cast<std::uint64_t>(id));
    if (slot == nullptr) return false;
    const auto state = slot->state.load();
    if (state == SlotState::over) return slot->revoked_by.load() != 0;
    if (state != SlotState::live || is_past_deadline(*slot, pg::both_clocks())) return false;
    if (!journal::note_revocation(slot->id.load(), by.oid))
        pg::log_line("the journal could not note that grant " + std::to_string(id) + " is revoked");
    slot->revoked_by.store(by.oid);
    finish_slot(*slot);
    expire::stop_ended_grants();
    wake_worker();
    return true;
}

bool is_noted(std::int64_t id) noexcept {
    if (const Slot* slot = find_slot(static_cast<std::uint64_t>(id));
        slot != nullptr && slot->revoked_by.load() != 0 && slot->state.load() == SlotState::over)
        return true;
    for (const auto& entry : journal::revoked_grants())
        if (entry.id.load() == static_cast<std::uint64_t>(id)) return true;
    return false;
}

bool apply_to_tables() {
    bool any_left = false;
    for (const auto& [id, note] : all_notes()) {
        auto progress = Progress::locked;
        const auto attempt = [&progress, id = id, &note = note] {
            progress = apply(id, note);
            // The end of the grant may have been committed asynchronously, and the note is needed until the end is on
            // disk.
            if (progress == Progress::done) pg::flush_wal();
        };
        const auto fault = task::run_in_transaction(attempt);
        if (fault)
            pg::log_line("could not write down that grant " + std::to_string(id) + " is revoked: " + *fault);
        else if (progress == Progress::done)
            remove_note(id);
        else
            end_blocking_sessions(id, note);
        any_left |= fault || progress == Progress::locked;
    }
    return any_left;
}

}  // namespace jit::revocation
