// The privileges on relations, schemas, sequences and functions that a query needs and the current user lacks.
//
// Used by required_privileges only. The collect_… functions run inside pg::call(); the add_… functions outside, because
// they own C++ objects. Needs a transaction; may throw.
#pragma once

#include <string>
#include <vector>

#include "jit_access/pg/version_shims.hpp"

namespace jit::required_privileges {

using PrivilegeList = std::vector<std::string>;  // "SELECT ON app.orders"

// The objects that a query names. A plain struct with palloc()ed lists, because an ERROR leaves a tree walker without
// running destructors.
struct NamedObjects {
    List* checked = NIL;    // of pg::CheckedRelation
    List* sequences = NIL;  // of Sequence
    List* functions = NIL;
    List* schemas = NIL;
};

// Appends a privilege that is not in the list yet.
void add(PrivilegeList& list, const std::string& privilege);

// Walks a query as it would run: with views expanded and policies added. A tree walker; `context`: NamedObjects.
bool collect_checked(Node* node, void* context);
// Walks a query as it was written, because the user needs USAGE on the schemas in which its names are found. A tree
// walker as well.
bool collect_schemas(Node* node, void* context);
// Does both, for a query that was analyzed and not yet rewritten.
void collect_query(Query* query, NamedObjects* objects);

void add_missing(const pg::CheckedRelation& checked, PrivilegeList& missing);
void add_missing(const NamedObjects& objects, PrivilegeList& missing);

}  // namespace jit::required_privileges
