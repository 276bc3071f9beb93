#include "jit_access/pg/row_lock.hpp"

#include "jit_access/pg/server.hpp"

extern "C" {
#include "access/heapam.h"
#include "access/htup_details.h"
#include "access/multixact.h"
#include "access/subtrans.h"
#include "access/table.h"
#include "storage/bufmgr.h"
#include "storage/procarray.h"
#include "utils/fmgroids.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
}

namespace jit::pg {

namespace {

struct Lockers {
    TransactionId* ids;
    int count;
};

// Called within pg::call(). Finds the top-level transaction as XactLockTableWait() does (storage/lmgr/lmgr.c).
void add_if_in_progress(Lockers& lockers, TransactionId id) {
    if (TransactionIdIsValid(id) && TransactionIdIsInProgress(id))
        lockers.ids[lockers.count++] = SubTransGetTopmostTransaction(id);
}

Lockers lockers_in(const HeapTupleHeaderData& header) {
    const TransactionId xmax = HeapTupleHeaderGetRawXmax(&header);
    Lockers result{static_cast<TransactionId*>(palloc(sizeof(TransactionId))), 0};
    if ((header.t_infomask & HEAP_XMAX_IS_MULTI) == 0) {
        add_if_in_progress(result, xmax);
        return result;
    }
    MultiXactMember* members = nullptr;
    const int count = GetMultiXactIdMembers(xmax, &members, false, HEAP_XMAX_IS_LOCKED_ONLY(header.t_infomask));
    if (count <= 0) return result;
    result.ids = static_cast<TransactionId*>(palloc(sizeof(TransactionId) * static_cast<std::size_t>(count)));
    for (int i = 0; i < count; ++i) add_if_in_progress(result, members[i].xid);
    return result;
}

Lockers read_lockers(Oid relation, const char* place) {
    const auto* ctid = reinterpret_cast<ItemPointer>(
        DatumGetPointer(OidInputFunctionCall(F_TIDIN, const_cast<char*>(place), InvalidOid, -1)));
    Relation table = table_open(relation, AccessShareLock);
    HeapTupleData tuple{};
    tuple.t_self = *ctid;
    Buffer buffer = InvalidBuffer;
    Lockers result{};
    if (heap_fetch(table, SnapshotAny, &tuple, &buffer, false)) {
        LockBuffer(buffer, BUFFER_LOCK_SHARE);
        const HeapTupleHeaderData header = *tuple.t_data;
        LockBuffer(buffer, BUFFER_LOCK_UNLOCK);
        ReleaseBuffer(buffer);
        result = lockers_in(header);
    }
    table_close(table, AccessShareLock);
    return result;
}

}  // namespace

TextArray lockers_of(RoleId relation, const std::string& row) {
    const Lockers found = call([&] { return read_lockers(relation.oid, row.c_str()); });
    TextArray ids;
    for (int i = 0; i < found.count; ++i) ids.push_back(std::to_string(found.ids[i]));
    return ids;
}

}  // namespace jit::pg
