#include "jit_access/statements/foreign_code.hpp"

#include <array>
#include <cstdint>
#include <utility>

#include "jit_access/enforcement/session.hpp"
#include "jit_access/pg/server.hpp"

extern "C" {
#include "access/htup_details.h"
#include "access/transam.h"
#include "catalog/pg_language.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "commands/proclang.h"
#include "fmgr.h"
#include "utils/syscache.h"
}

namespace jit::foreign_code {

namespace {

needs_fmgr_hook_type previous_needs_fmgr = nullptr;
fmgr_hook_type previous_fmgr = nullptr;

struct Entry {
    Oid function = InvalidOid;
    std::uint64_t valid_for = 0;
    bool is_foreign = false;
};
std::array<Entry, 256> cache;
std::uint64_t generation = 1;  // counts changes of functions

// The inline handler and the validator of a language, recognized by the signatures that CREATE LANGUAGE demands.
bool may_be_handler(const FormData_pg_proc* function) noexcept {
    if (function->prolang != ClanguageId || function->prorettype != VOIDOID || function->pronargs != 1) return false;
    const Oid argument = function->proargtypes.values[0];
    return argument == OIDOID || argument == INTERNALOID;
}

// Plain server code: an ERROR may leave it.
bool look_up(Oid function) {
    HeapTuple row = SearchSysCache1(PROCOID, ObjectIdGetDatum(function));
    if (!HeapTupleIsValid(row)) return false;
    const auto* procedure = reinterpret_cast<Form_pg_proc>(GETSTRUCT(row));
    const Oid language = procedure->prolang;
    const bool is_handler = may_be_handler(procedure);
    ReleaseSysCache(row);
    if (language == INTERNALlanguageId || language == ClanguageId || language == SQLlanguageId) return is_handler;
    return language != get_language_oid("plpgsql", true);
}

bool is_foreign(Oid function) {
    if (function < FirstNormalObjectId) return false;
    Entry& entry = cache.at(function % cache.size());
    if (entry.function == function && entry.valid_for == generation) return entry.is_foreign;
    const auto valid_for = generation;
    const bool answer = look_up(function);
    entry = {function, valid_for, answer};
    return answer;
}

// needs_fmgr_hook: the server asks whether calls of a function are to be wrapped, when it looks the function up
// (fmgr_info_cxt_security() in src/backend/utils/fmgr/fmgr.c). The lookup may happen long before a grant exists, so the
// answer does not depend on grants.
bool needs_fmgr(Oid function) {
    const bool is_wanted = previous_needs_fmgr != nullptr && previous_needs_fmgr(function);
    return is_foreign(function) || is_wanted;
}

// The calls that are running, outermost first. They are stored because no catalog can be read at the end of a failed
// call. The end of a call that does not fit in the array is not passed to the session, which then restores its handlers
// more often.
std::array<const FmgrInfo*, 128> running;
std::size_t running_count = 0;

// fmgr_hook: a wrapped function starts, ends or fails. If an error is raised while the function is being started, no
// event reports its end.
void fmgr_event(FmgrHookEventType event, FmgrInfo* info, Datum* argument) {
    if (previous_fmgr != nullptr) previous_fmgr(event, info, argument);
    if (event != FHET_START) {
        if (running_count == 0 || running.at(running_count - 1) != info) return;
        --running_count;
        session::foreign_code_ends();
    } else if (is_foreign(info->fn_oid)) {
        if (running_count < running.size()) running.at(running_count++) = info;
        session::foreign_code_runs();
    }
}

}  // namespace

void install() {
    previous_needs_fmgr = std::exchange(needs_fmgr_hook, needs_fmgr);
    previous_fmgr = std::exchange(fmgr_hook, fmgr_event);
}

void invalidate() noexcept { ++generation; }

}  // namespace jit::foreign_code
