// What a transaction has promised the board: kept when it commits, undone when it (or its subtransaction) does not.
//
// A new grant's slot becomes live just before the commit, when its membership is not visible to anybody yet: a session
// that sees the membership always finds the slot. An end is put on the board right after the commit.
#pragma once

#include <cstdint>

#include "jit_access/board.hpp"

namespace jit::pending {

void make_live(Slot& slot);
void finish(std::uint64_t id);
void move_deadline(std::uint64_t id, pg::Moment ends);
void wake();  // the worker, at commit
// A command may make the closure of some template reach further: what was found good is looked at again, from the
// commit on.
void change_closures();
[[nodiscard]] bool closures_changed() noexcept;  // in this transaction

// Wired to the server by _PG_init.
void pre_commit();
void pre_prepare();
void committed() noexcept;
void aborted() noexcept;
void subtransaction_committed(std::uint32_t mine, std::uint32_t parent) noexcept;
void subtransaction_aborted(std::uint32_t mine) noexcept;

}  // namespace jit::pending
