// Catalog rows with the changes of the command that is running (SnapshotSelf). The catalog caches show these changes
// only after the command.
//
// Everything here runs inside pg::call().
#pragma once

#include <initializer_list>

#include "jit_access/pg/server.hpp"

extern "C" {
#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "utils/fmgroids.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
}

namespace jit::catalog {

struct Key {
    AttrNumber column;
    Datum value;
    RegProcedure equal = F_OIDEQ;
};

// Calls visit(HeapTuple, TupleDesc) for each row with these keys, at most two.
template <class Visit>
void for_each_row(Oid catalog, Oid index, std::initializer_list<Key> keys, Visit visit) {
    Relation relation = table_open(catalog, AccessShareLock);
    ScanKeyData scan_keys[2];
    int count = 0;
    for (const auto& key : keys)
        ScanKeyInit(&scan_keys[count++], key.column, BTEqualStrategyNumber, key.equal, key.value);
    SysScanDesc scan = systable_beginscan(relation, index, true, SnapshotSelf, count, scan_keys);
    while (HeapTuple row = systable_getnext(scan)) visit(row, RelationGetDescr(relation));
    systable_endscan(scan);
    table_close(relation, AccessShareLock);
}

// Casts a tree walker to the type that the server declares: before 16, a function without parameters.
template <class Walk>
auto as_walker(Walk walk) {
    return reinterpret_cast<bool (*)()>(reinterpret_cast<void*>(walk));
}

}  // namespace jit::catalog
