// Hands over or quarantines the objects that a temporary role owns, in one database.
//
// Each object is judged separately. Plain data gets the new owner. If the template allows code, so does code that runs
// with the privileges of its caller. Everything else is quarantined: its new owner is the role jit_quarantine_<id>,
// which has no privileges and no members. Backends refuse to run anything with the privileges of that role
// (enforcement/effective_grants.hpp). A DBA decides about these objects (docs/adr/025-quarantine.md).
//
// Runs in any database of the cluster, even where the extension is not created. Needs a transaction, as a superuser.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "jit_access/pg/role.hpp"
#include "jit_access/pg/worker.hpp"

namespace jit::hand_over {

[[nodiscard]] std::string quarantine_role_name(std::int64_t grant);

// Gives the objects that `role` owns in this database their new owners, then removes everything else that names the
// role there: entries of access lists, policies, default privileges, user mappings. An object that cannot change its
// owner now, for example because it is locked, does not prevent others from being handed over. Returns one line for
// each such object; the next attempt tries it again.
[[nodiscard]] std::vector<std::string> objects_of(pg::RoleId role, const pg::NewOwner& new_owner);

// Writes lines about this database into the comment of a role, which can be read in every database. Lines about other
// databases are kept. `replace`: earlier lines about this database are removed.
enum class Notes : std::uint8_t { add, replace };
void write_notes(const std::string& role, const std::vector<std::string>& lines, Notes how);
// Returns these lines; empty if the role has no comment.
[[nodiscard]] std::string notes_of(pg::RoleId role);

}  // namespace jit::hand_over
