#include "jit_access/statements/guard_names.hpp"

#include <string>
#include <string_view>

#include "jit_access/core/failure.hpp"
#include "jit_access/core/text.hpp"
#include "jit_access/pg/version_shims.hpp"

extern "C" {
#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/dependency.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "commands/extension.h"
#include "utils/fmgroids.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
}

namespace jit::guard {

namespace {

using core::Code;
using core::Failure;

struct Catalog {
    Oid relation;
    Oid index;
    AttrNumber oid_column;
    // The name of the object, or null if the kind of the object cannot capture a call.
    const char* (*name_of)(HeapTuple tuple);
    const char* noun;
};

const char* name_of_function(HeapTuple tuple) {
    return NameStr(reinterpret_cast<Form_pg_proc>(GETSTRUCT(tuple))->proname);
}

// FuncNameAsType() skips types with a relation.
const char* name_of_type(HeapTuple tuple) {
    const auto* type = reinterpret_cast<Form_pg_type>(GETSTRUCT(tuple));
    return OidIsValid(type->typrelid) ? nullptr : NameStr(type->typname);
}

constexpr Catalog functions{ProcedureRelationId, ProcedureOidIndexId, Anum_pg_proc_oid, name_of_function, "function"};
constexpr Catalog types{TypeRelationId, TypeOidIndexId, Anum_pg_type_oid, name_of_type, "type"};

// Returns the object's name, in palloc'ed memory, if the name can capture a call. SnapshotSelf is used because the
// caches show the new row only after the command.
const char* find_name(const Catalog& catalog, Oid object) {
    Relation relation = table_open(catalog.relation, AccessShareLock);
    ScanKeyData key;
    ScanKeyInit(&key, catalog.oid_column, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(object));
    SysScanDesc scan = systable_beginscan(relation, catalog.index, true, SnapshotSelf, 1, &key);
    const char* name = nullptr;
    if (HeapTuple tuple = systable_getnext(scan); HeapTupleIsValid(tuple)) {
        name = catalog.name_of(tuple);
        if (name != nullptr) name = pstrdup(name);
    }
    systable_endscan(scan);
    table_close(relation, AccessShareLock);
    return name;
}

// The script of the extension creates its functions; pg_upgrade creates them one by one, as members of the extension.
// No script of another extension may use the names.
bool is_extension_object(Oid object_class, Oid object) {
    if (IsBinaryUpgrade) return true;
    return pg::call([=] {
        const Oid extension = get_extension_oid("jit_access", true);
        return OidIsValid(extension) && ((creating_extension && CurrentExtensionObject == extension) ||
                                         getExtensionOfObject(object_class, object) == extension);
    });
}

}  // namespace

void check_reserved_name(std::uint32_t object_class, std::uint32_t object) {
    const auto& catalog = object_class == ProcedureRelationId ? functions : types;
    if (object_class != catalog.relation) return;
    const char* name = pg::call([&] { return find_name(catalog, object); });
    if (name == nullptr || !std::string_view(name).starts_with(core::managed_role_prefix)) return;
    if (is_extension_object(object_class, object)) return;
    throw Failure(Code::guarded, std::string(catalog.noun) + " name \"" + name + "\" is reserved by jit_access",
                  std::string("A ") + catalog.noun + " whose name begins with \"" +
                      std::string(core::managed_role_prefix) + "\" could capture calls that are meant for jit_access.",
                  "Choose another name.");
}

}  // namespace jit::guard
