// Standing privileges: those that the user of a statement has without any grant. The record states for each privilege
// used whether it is standing.
//
// Membership is followed as in the server, but not through the roles of grants. Results are cached per process until
// memberships, roles or relations change. Needs a transaction; may throw.
#pragma once

#include "jit_access/pg/acl.hpp"

namespace jit::standing_privileges {

struct StandingPrivileges {
    pg::AclBits privileges = 0;
    bool depends_on_columns = false;  // the result holds only for the checked columns
};

// Returns which of the checked privileges on a relation are standing, for all columns in question. Reads no catalog for
// a relation in the cache, unless single columns of it have access lists.
[[nodiscard]] StandingPrivileges find(const pg::CheckedRelation& checked);

// The privileges on a function, schema, database or language that are standing. Reads the catalogs each time.
[[nodiscard]] pg::AclBits on_object(std::uint32_t object_class, std::uint32_t object);

struct FunctionNeeds {
    bool may_execute = false;               // the user needs no grant for it
    bool checks_privileges_itself = false;  // it may: it is volatile, and is built in or written in C
};

// Returns these facts about a function, for the user whose privileges the server checks now. Reads no catalog for a
// function in the cache.
[[nodiscard]] FunctionNeeds find_function(std::uint32_t function);

// Counts the events that may have changed a cached result or the name of a relation.
[[nodiscard]] std::uint64_t generation() noexcept;
// Call when memberships, roles or relations have changed.
void invalidate() noexcept;
// Call when a function has changed.
void invalidate_functions() noexcept;

}  // namespace jit::standing_privileges
