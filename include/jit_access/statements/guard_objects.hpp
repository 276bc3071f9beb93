// Examines, in the catalogs, the objects that a command has just created or changed under a grant.
//
// The command does not show whose function a default calls, whose view was replaced, or which index implements a
// constraint. The catalog rows show this. An object is examined when the server announces it or, if its rows are not
// complete then, at the end of its command.
#pragma once

#include <cstddef>
#include <cstdint>

namespace jit::guard {

// Called by the object access hook after an object, or a column of a relation, was created or changed in a session that
// may use a grant. Needs a transaction. Throws `guarded`, which rolls the command back.
void check_created_object(std::uint32_t object_class, std::uint32_t object, int column);
// From the object access hook, after an index was created. The server creates an index as the owner of the table
// (SECURITY_RESTRICTED_OPERATION), who may hold no grant. The index is therefore examined later, when the session runs
// as its own user again.
void check_index_of_owner(std::uint32_t index);
// From the object access hook, before an object is dropped in a session that may use a grant.
void check_dropped_object(std::uint32_t object_class, std::uint32_t object);

// Identifies the objects of one utility command that are examined at its end. Commands can be nested, and a failed
// command leaves its objects in the list. The objects of a command are recognized by the place in the list at which the
// command began, and by the depth of the command.
struct CommandMark {
    std::size_t first;
    int depth;
};
[[nodiscard]] CommandMark begin_command() noexcept;
// Call once at the end of a command that has not failed.
[[nodiscard]] bool has_unfinished(const CommandMark& mark) noexcept;
// Examines these objects. Throws `guarded` if one of them is refused.
void check_unfinished(const CommandMark& mark);

}  // namespace jit::guard
