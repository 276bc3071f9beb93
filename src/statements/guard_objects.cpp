#include "jit_access/statements/guard_objects.hpp"

#include <algorithm>
#include <array>
#include <string_view>

#include "jit_access/core/failure.hpp"
#include "jit_access/core/text.hpp"
#include "jit_access/enforcement/effective_grants.hpp"
#include "jit_access/pg/role.hpp"
#include "jit_access/pg/version_shims.hpp"
#include "jit_access/statements/guard_commands.hpp"
#include "jit_access/statements/sandbox.hpp"

extern "C" {
#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/namespace.h"
#include "catalog/objectaddress.h"
#include "catalog/pg_attrdef.h"
#include "catalog/pg_attribute.h"
#include "catalog/pg_class.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_depend.h"
#include "catalog/pg_largeobject.h"
#include "catalog/pg_operator.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_rewrite.h"
#include "catalog/pg_statistic_ext.h"
#include "catalog/pg_trigger.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"
}

namespace jit::guard {

namespace {

constexpr const char* runs_as_owner = "It belongs to another role and runs with the privileges of its owner.";

struct Key {
    AttrNumber column;
    Datum value;
    RegProcedure equal = F_OIDEQ;
};

// Visits the rows with these keys as the command has left them (SnapshotSelf). The caches show them only after the
// command.
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

// InvalidOid for classes that hold no code, and for objects that are not in the cache yet.
Oid owner_of(Oid object_class, Oid object) {
    constexpr std::array<Oid, 4> classes = {ProcedureRelationId, OperatorRelationId, TypeRelationId,
                                            RelationRelationId};
    if (std::find(classes.begin(), classes.end(), object_class) == classes.end()) return InvalidOid;
    const int cache = get_object_catcache_oid(object_class);
    HeapTuple row = SearchSysCache1(cache, ObjectIdGetDatum(object));
    if (!HeapTupleIsValid(row)) return InvalidOid;
    bool is_null = false;
    const Datum owner = SysCacheGetAttr(cache, row, get_object_attnum_owner(object_class), &is_null);
    ReleaseSysCache(row);
    return DatumGetObjectId(owner);
}

// Whether a function of the server does more than compute. This is true for volatile functions except the listed ones,
// and for functions that run a query given as text. Functions of other owners are judged by their owner.
bool has_side_effects(Oid function, void*) {
    if (function >= FirstNormalObjectId) return false;
    constexpr std::array<std::string_view, 10> harmless = {"nextval",         "currval",         "lastval", "random",
                                                           "random_normal",   "gen_random_uuid", "uuidv4",  "uuidv7",
                                                           "clock_timestamp", "timeofday"};
    const std::string_view name(get_func_name(function));
    return name.find("_to_xml") != name.npos || (func_volatile(function) == PROVOLATILE_VOLATILE &&
                                                 std::find(harmless.begin(), harmless.end(), name) == harmless.end());
}

bool calls_side_effects(Node* node, void* context) {
    if (node == nullptr) return false;
    if (check_functions_in_node(node, has_side_effects, context)) return true;
    // Before 16 the walker is declared without parameters.
    return expression_tree_walker(node, reinterpret_cast<bool (*)()>(reinterpret_cast<void*>(calls_side_effects)),
                                  context);
}

// `column`: the column of the catalog row that holds the expression, as a node tree.
const char* why_expression_refused(HeapTuple row, TupleDesc columns, AttrNumber column) {
    bool is_null = false;
    const Datum value = heap_getattr(row, column, columns, &is_null);
    if (is_null || !calls_side_effects(static_cast<Node*>(stringToNode(TextDatumGetCString(value))), nullptr))
        return nullptr;
    return "Functions with side effects would run in statements of other users.";
}

// Whether the table has foreign keys whose actions change its rows. They run as the owner of the table.
bool has_referential_actions(Oid relation) {
    bool result = false;
    for_each_row(ConstraintRelationId, ConstraintRelidTypidNameIndexId,
                 {{Anum_pg_constraint_conrelid, ObjectIdGetDatum(relation)}}, [&result](HeapTuple row, TupleDesc) {
                     const auto* constraint = reinterpret_cast<Form_pg_constraint>(GETSTRUCT(row));
                     const auto changes_rows = [](char action) {
                         return action == FKCONSTR_ACTION_CASCADE || action == FKCONSTR_ACTION_SETNULL ||
                                action == FKCONSTR_ACTION_SETDEFAULT;
                     };
                     result |= constraint->contype == CONSTRAINT_FOREIGN &&
                               (changes_rows(constraint->confupdtype) || changes_rows(constraint->confdeltype));
                 });
    return result;
}

// Why the object itself is refused, regardless of whose code it uses; null if it is not. `me`: the current user.
const char* why_refused(Oid object_class, Oid object, Oid me, bool code) {
    const char* why = nullptr;
    const auto judge_row = [&](Oid index, AttrNumber key, auto judge) {
        for_each_row(object_class, index, {{key, ObjectIdGetDatum(object)}},
                     [&](HeapTuple row, TupleDesc columns) { why = judge(row, columns); });
    };
    switch (object_class) {
        case ProcedureRelationId:
            judge_row(ProcedureOidIndexId, Anum_pg_proc_oid, [me](HeapTuple row, TupleDesc) {
                // The constructors of a range type belong to the bootstrap superuser.
                const Oid owner = reinterpret_cast<Form_pg_proc>(GETSTRUCT(row))->proowner;
                return owner != me && !superuser_arg(owner) ? runs_as_owner : nullptr;
            });
            break;
        case RewriteRelationId:
            judge_row(RewriteOidIndexId, Anum_pg_rewrite_oid, [me](HeapTuple row, TupleDesc) {
                const Oid relation = reinterpret_cast<Form_pg_rewrite>(GETSTRUCT(row))->ev_class;
                return owner_of(RelationRelationId, relation) != me ? runs_as_owner : nullptr;
            });
            break;
        case TriggerRelationId:
            judge_row(TriggerOidIndexId, Anum_pg_trigger_oid, [me](HeapTuple row, TupleDesc) {
                const auto* trigger = reinterpret_cast<Form_pg_trigger>(GETSTRUCT(row));
                return !trigger->tgisinternal && owner_of(RelationRelationId, trigger->tgrelid) != me &&
                               has_referential_actions(trigger->tgrelid)
                           ? runs_as_owner
                           : nullptr;
            });
            break;
        case StatisticExtRelationId:
            judge_row(StatisticExtOidIndexId, Anum_pg_statistic_ext_oid, [me](HeapTuple row, TupleDesc columns) {
                const Oid relation = reinterpret_cast<Form_pg_statistic_ext>(GETSTRUCT(row))->stxrelid;
                return owner_of(RelationRelationId, relation) != me &&
                               !heap_attisnull(row, Anum_pg_statistic_ext_stxexprs, columns)
                           ? runs_as_owner
                           : nullptr;
            });
            break;
        case AttrDefaultRelationId:
            if (code) break;
            judge_row(AttrDefaultOidIndexId, Anum_pg_attrdef_oid, [](HeapTuple row, TupleDesc columns) {
                return why_expression_refused(row, columns, Anum_pg_attrdef_adbin);
            });
            break;
        case ConstraintRelationId:
            if (code) break;
            judge_row(ConstraintOidIndexId, Anum_pg_constraint_oid, [](HeapTuple row, TupleDesc columns) {
                return why_expression_refused(row, columns, Anum_pg_constraint_conbin);
            });
            break;
        case TypeRelationId:
            if (code) break;
            judge_row(TypeOidIndexId, Anum_pg_type_oid, [](HeapTuple row, TupleDesc columns) {
                return why_expression_refused(row, columns, Anum_pg_type_typdefaultbin);
            });
            break;
        default: break;
    }
    return why;
}

// The owners of the functions, operators, types and views that an object uses. The type of a column is read from the
// column's row.
List* owners_of_code(Oid object_class, Oid object, int column) {
    List* owners = NIL;
    for_each_row(
        DependRelationId, DependDependerIndexId,
        {{Anum_pg_depend_classid, ObjectIdGetDatum(object_class)}, {Anum_pg_depend_objid, ObjectIdGetDatum(object)}},
        [&](HeapTuple row, TupleDesc) {
            const auto* uses = reinterpret_cast<Form_pg_depend>(GETSTRUCT(row));
            if (uses->deptype != DEPENDENCY_NORMAL) return;
            if (uses->refclassid == RelationRelationId && get_rel_relkind(uses->refobjid) != RELKIND_VIEW) return;
            owners = list_append_unique_oid(owners, owner_of(uses->refclassid, uses->refobjid));
        });
    if (object_class == RelationRelationId && column != 0)
        for_each_row(
            AttributeRelationId, AttributeRelidNumIndexId,
            {{Anum_pg_attribute_attrelid, ObjectIdGetDatum(object)}, {Anum_pg_attribute_attnum, Int16GetDatum(column)}},
            [&](HeapTuple row, TupleDesc) {
                const Oid type = reinterpret_cast<Form_pg_attribute>(GETSTRUCT(row))->atttypid;
                owners = list_append_unique_oid(owners, owner_of(TypeRelationId, type));
            });
    return owners;
}

// The object access hook reports a default as its column.
Oid find_default(Oid relation, int column) {
    Oid result = InvalidOid;
    for_each_row(
        AttrDefaultRelationId, AttrDefaultIndexId,
        {{Anum_pg_attrdef_adrelid, ObjectIdGetDatum(relation)},
         {Anum_pg_attrdef_adnum, Int16GetDatum(column), F_INT2EQ}},
        [&result](HeapTuple row, TupleDesc) { result = reinterpret_cast<Form_pg_attrdef>(GETSTRUCT(row))->oid; });
    return result;
}

// Objects in a temporary schema are dropped with the session.
bool is_temporary(Oid object_class, Oid object) {
    Oid schema = InvalidOid;
    if (object_class == RelationRelationId)
        for_each_row(
            RelationRelationId, ClassOidIndexId, {{Anum_pg_class_oid, ObjectIdGetDatum(object)}},
            [&](HeapTuple row, TupleDesc) { schema = reinterpret_cast<Form_pg_class>(GETSTRUCT(row))->relnamespace; });
    if (object_class == TypeRelationId)
        for_each_row(
            TypeRelationId, TypeOidIndexId, {{Anum_pg_type_oid, ObjectIdGetDatum(object)}},
            [&](HeapTuple row, TupleDesc) { schema = reinterpret_cast<Form_pg_type>(GETSTRUCT(row))->typnamespace; });
    return isTempOrTempToastNamespace(schema);
}

// Some objects can be created without any privilege of the template: large objects, and relations and types in a schema
// in which every role may create. They would be reassigned to the role of the template at the end of the grant. A
// template that cannot change the schema is refused while its role owns objects, so no further grant of it could become
// active.
bool would_block_template(Oid object_class, Oid object, const enforcement::EffectiveGrants& grants) {
    if (object_class != LargeObjectRelationId && object_class != RelationRelationId && object_class != TypeRelationId)
        return false;
    const auto forbids_schema_change = [](const Slot* slot) { return !slot->allows_schema_change.load(); };
    const auto* end = grants.slots.begin() + grants.count;
    if (std::none_of(grants.slots.begin(), end, forbids_schema_change)) return false;
    return pg::call([&] { return !is_temporary(object_class, object); });
}

core::Failure refusal(const char* why) {
    return {core::Code::guarded, "this is not allowed to a session that uses a grant", why,
            "Do it without the grant, or ask a DBA."};
}

}  // namespace

void check_created_object(std::uint32_t object_class, std::uint32_t object, int column) {
    const auto me = pg::current_user();
    const auto* grants = enforcement::current_grants();
    if (grants == nullptr && !sandbox::is_active()) return;
    // A temporary login owns what it creates even without SET ROLE.
    const bool is_login = pg::role_name(me).value_or("").starts_with(core::login_role_prefix);
    if (grants != nullptr && (is_login || enforcement::is_grant_role(me)) &&
        would_block_template(object_class, object, *grants))
        throw refusal("It would belong to the grant, whose template cannot change the schema.");
    // In mode inherit the object belongs to the session user, who could have created it without the grant.
    if (me == pg::session_user() && !is_login && !sandbox::is_active()) return;
    const bool code = is_code_allowed();
    List* owners = NIL;
    const char* why = pg::call([&] {
        const Oid created = object_class == AttrDefaultRelationId ? find_default(object, column) : object;
        owners = owners_of_code(object_class, created, column);
        return why_refused(object_class, created, me.oid, code);
    });
    if (why != nullptr) throw refusal(why);
    // The object belongs to the role of the grant and stays. Code owned by a role that the session user keeps could be
    // changed later, and would then run in statements of the object's users.
    for (int i = 0; i < list_length(owners); ++i) {
        const pg::RoleId owner{list_nth_oid(owners, i)};
        if (owner.oid != InvalidOid && owner != me && !pg::is_superuser(owner) &&
            enforcement::is_session_member_without_grant(owner))
            throw refusal("It uses code that you could still change after the grant's end.");
    }
}

}  // namespace jit::guard
