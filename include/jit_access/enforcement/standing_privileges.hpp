// What of an access needed no grant: the record says of each privilege whether its user would have had it without.
#pragma once

#include "jit_access/pg/acl.hpp"

namespace jit::standing_privileges {

struct Own {
    pg::AclBits privileges = 0;
    bool by_column = false;  // the answer depended on which columns it asks for
};

// Of the privileges that a statement asks for on a relation, those that are there without any grant, for all the
// columns in question. Looks nothing up for a relation seen before, unless single columns of it have access lists.
[[nodiscard]] Own privileges(const pg::CheckedRelation& checked);

// How often what is answered here, or the name of a relation, may have changed.
[[nodiscard]] std::uint64_t changes() noexcept;
// Memberships, roles or relations have changed.
void forget() noexcept;

}  // namespace jit::standing_privileges
