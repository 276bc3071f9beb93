#include "jit_access/statements/guard_objects.hpp"

#include <algorithm>
#include <array>
#include <string_view>
#include <vector>

#include "jit_access/core/failure.hpp"
#include "jit_access/core/text.hpp"
#include "jit_access/enforcement/effective_grants.hpp"
#include "jit_access/pg/backend.hpp"
#include "jit_access/pg/role.hpp"
#include "jit_access/pg/version_shims.hpp"
#include "jit_access/statements/catalog_rows.hpp"
#include "jit_access/statements/guard_commands.hpp"
#include "jit_access/statements/guard_expressions.hpp"
#include "jit_access/statements/guard_references.hpp"
#include "jit_access/statements/sandbox.hpp"

extern "C" {
#include "catalog/namespace.h"
#include "catalog/objectaddress.h"
#include "catalog/pg_attrdef.h"
#include "catalog/pg_attribute.h"
#include "catalog/pg_class.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_depend.h"
#include "catalog/pg_index.h"
#include "catalog/pg_largeobject.h"
#include "catalog/pg_operator.h"
#include "catalog/pg_policy.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_range.h"
#include "catalog/pg_rewrite.h"
#include "catalog/pg_statistic_ext.h"
#include "catalog/pg_trigger.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "rewrite/rewriteSupport.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"
}

namespace jit::guard {

namespace {

using catalog::for_each_row;

constexpr const char* runs_as_owner = "It belongs to another role and runs with the privileges of its owner.";

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

// `column`: the column of the catalog row that holds the expression, as a node tree.
const char* why_expression_refused(HeapTuple row, TupleDesc columns, AttrNumber column) {
    return has_side_effects(row, columns, column)
               ? "Functions with side effects would run in statements of other users."
               : nullptr;
}

// Whether the table has foreign keys whose actions change its rows. The actions run as the owner of the table.
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
                               !is_built_in(row, columns, Anum_pg_statistic_ext_stxexprs)
                           ? runs_as_owner
                           : nullptr;
            });
            break;
        case RelationRelationId:  // if it is an index
            for_each_row(IndexRelationId, IndexRelidIndexId, {{Anum_pg_index_indexrelid, ObjectIdGetDatum(object)}},
                         [&](HeapTuple row, TupleDesc columns) {
                             const Oid table = reinterpret_cast<Form_pg_index>(GETSTRUCT(row))->indrelid;
                             if (owner_of(RelationRelationId, table) != me &&
                                 !(is_built_in(row, columns, Anum_pg_index_indexprs) &&
                                   is_built_in(row, columns, Anum_pg_index_indpred)))
                                 why = runs_as_owner;
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

// Whether values of the type are checked by expressions that the owner of the type may change.
bool holds_code(Oid type) {
    switch (get_typtype(type)) {
        case TYPTYPE_DOMAIN: return true;
        case TYPTYPE_RANGE: return holds_code(get_range_subtype(type));
        case TYPTYPE_MULTIRANGE: return holds_code(get_multirange_range(type));
        case TYPTYPE_COMPOSITE: {
            bool result = false;
            for_each_row(AttributeRelationId, AttributeRelidNumIndexId,
                         {{Anum_pg_attribute_attrelid, ObjectIdGetDatum(get_typ_typrelid(type))}},
                         [&](HeapTuple row, TupleDesc) {
                             const auto* column = reinterpret_cast<Form_pg_attribute>(GETSTRUCT(row));
                             result |= column->attnum > 0 && !column->attisdropped && holds_code(column->atttypid);
                         });
            return result;
        }
        default: return OidIsValid(get_element_type(type)) && holds_code(get_element_type(type));
    }
}

// The owners of the functions, operators, types and views that an object uses. The type of a column is read from the
// column's row.
struct Owners {
    List* all = NIL;
    List* of_code = NIL;  // those whose objects hold code

    void add(Oid object_class, Oid object) {
        const Oid owner = owner_of(object_class, object);
        all = list_append_unique_oid(all, owner);
        if (object_class != TypeRelationId || holds_code(object)) of_code = list_append_unique_oid(of_code, owner);
    }
};

Owners owners_of_code(Oid object_class, Oid object, int column) {
    Owners owners;
    for_each_row(
        DependRelationId, DependDependerIndexId,
        {{Anum_pg_depend_classid, ObjectIdGetDatum(object_class)}, {Anum_pg_depend_objid, ObjectIdGetDatum(object)}},
        [&](HeapTuple row, TupleDesc) {
            const auto* uses = reinterpret_cast<Form_pg_depend>(GETSTRUCT(row));
            if (uses->deptype != DEPENDENCY_NORMAL) return;
            if (uses->refclassid == RelationRelationId && get_rel_relkind(uses->refobjid) != RELKIND_VIEW) return;
            owners.add(uses->refclassid, uses->refobjid);
            // Using an operator means calling its function.
            if (uses->refclassid == OperatorRelationId) owners.add(ProcedureRelationId, get_opcode(uses->refobjid));
        });
    if (object_class == RelationRelationId && column != 0)
        for_each_row(
            AttributeRelationId, AttributeRelidNumIndexId,
            {{Anum_pg_attribute_attrelid, ObjectIdGetDatum(object)}, {Anum_pg_attribute_attnum, Int16GetDatum(column)}},
            [&](HeapTuple row, TupleDesc) {
                owners.add(TypeRelationId, reinterpret_cast<Form_pg_attribute>(GETSTRUCT(row))->atttypid);
            });
    return owners;
}

// For the default of a column, the object access hook reports the column.
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
// template that cannot change the schema is refused while its role owns objects, so no further grant of the template
// could become active.
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

// The object belongs to the role of the grant and outlives the grant. The session user keeps some roles after the
// grant. If one of them owned code that the object uses, the session user could change the code later, and it would
// then run in statements of the object's users. Without allow_code, code of any other owner is refused as well, unless
// the current user has the owner's privileges. Code of superusers is never refused.
void check_owners_of_code(const Owners& owners, pg::RoleId me, bool code) {
    const auto is_foreign = [me](pg::RoleId owner) {
        return owner.oid != InvalidOid && owner != me && !pg::is_superuser(owner);
    };
    for (int i = 0; i < list_length(owners.all); ++i) {
        const pg::RoleId owner{list_nth_oid(owners.all, i)};
        if (is_foreign(owner) && enforcement::is_session_member_without_grant(owner))
            throw refusal("It uses code that you could still change after the grant's end.");
    }
    for (int i = 0; !code && i < list_length(owners.of_code); ++i) {
        const pg::RoleId owner{list_nth_oid(owners.of_code, i)};
        if (is_foreign(owner) && !pg::has_inherited_privileges_of(me, owner))
            throw refusal("It uses code that somebody else could change.");
    }
}

// ---- at the end of the command --------------------------------------------------------------------------------------

enum class Examine : std::uint8_t {
    made,     // the object, as the command has left it
    stripped  // a table that has lost a trigger, rule or policy
};
struct Unfinished {
    int depth;  // of the command
    Examine how;
    Oid object_class;
    Oid object;
};
std::vector<Unfinished> unfinished;
int command_depth = 0;

bool table_exists(Oid table) {
    bool result = false;
    for_each_row(RelationRelationId, ClassOidIndexId, {{Anum_pg_class_oid, ObjectIdGetDatum(table)}},
                 [&](HeapTuple, TupleDesc) { result = true; });
    return result;
}

// The table of a trigger, rule or policy; InvalidOid for those that the server maintains itself: triggers of
// constraints, rules of views, and copies in partitions, which come and go with the partition.
Oid table_with_code(Oid object_class, Oid object) {
    Oid table = InvalidOid;
    const auto find = [&](Oid index, AttrNumber key, auto read) {
        for_each_row(object_class, index, {{key, ObjectIdGetDatum(object)}},
                     [&](HeapTuple row, TupleDesc) { table = read(row); });
    };
    if (object_class == TriggerRelationId)
        find(TriggerOidIndexId, Anum_pg_trigger_oid, [](HeapTuple row) {
            const auto* trigger = reinterpret_cast<Form_pg_trigger>(GETSTRUCT(row));
            return trigger->tgisinternal || OidIsValid(trigger->tgparentid) ? InvalidOid : trigger->tgrelid;
        });
    if (object_class == RewriteRelationId)
        find(RewriteOidIndexId, Anum_pg_rewrite_oid, [](HeapTuple row) {
            const auto* rule = reinterpret_cast<Form_pg_rewrite>(GETSTRUCT(row));
            return std::string_view(NameStr(rule->rulename)) == ViewSelectRuleName ? InvalidOid : rule->ev_class;
        });
    if (object_class == PolicyRelationId)
        find(PolicyOidIndexId, Anum_pg_policy_oid,
             [](HeapTuple row) { return reinterpret_cast<Form_pg_policy>(GETSTRUCT(row))->polrelid; });
    return table;
}

// In mode inherit the object belongs to the login, also in a SECURITY DEFINER function of the login that others call.
Maker maker() {
    const auto me = pg::current_user();
    return sandbox::is_active() || enforcement::is_grant_role(me) || is_login_of_grant(me) ? Maker::grant
                                                                                           : Maker::login;
}

void examine(Oid object_class, Oid object, int column) {
    const auto me = pg::current_user();
    if (const char* why = why_references_refused(object_class, object, maker())) throw refusal(why);
    // In mode inherit the object belongs to the session user, who could have created it without the grant.
    if (me == pg::session_user() && !is_login_of_grant(me) && !sandbox::is_active()) return;
    const bool code = is_code_allowed();
    Owners owners;
    const char* why = pg::call([&] {
        owners = owners_of_code(object_class, object, column);
        return why_refused(object_class, object, me.oid, code);
    });
    if (why != nullptr) throw refusal(why);
    check_owners_of_code(owners, me, code);
}

}  // namespace

CommandMark begin_command() noexcept {
    // Objects that failed commands have left in the list are discarded when a new transaction has begun.
    static std::uint32_t transaction = 0;
    if (const auto now = pg::local_transaction_id(); now != transaction) {
        transaction = now;
        unfinished.clear();
        command_depth = 0;
    }
    return {unfinished.size(), ++command_depth};
}

bool has_unfinished(const CommandMark& mark) noexcept {
    command_depth = mark.depth - 1;
    return unfinished.size() > mark.first;
}

void check_unfinished(const CommandMark& mark) {
    std::vector<Unfinished> objects;
    for (std::size_t i = mark.first; i < unfinished.size(); ++i)
        if (unfinished[i].depth == mark.depth) objects.push_back(unfinished[i]);
    unfinished.resize(mark.first);
    if (enforcement::current_grants() == nullptr && !sandbox::is_active()) return;
    for (const auto& one : objects) {
        if (one.how == Examine::made)
            examine(one.object_class, one.object, 0);
        else if (pg::call([&] { return table_exists(one.object); }))
            throw refusal("It would take away triggers, rules or policies, which decide what other users see and do.");
    }
}

void check_dropped_object(std::uint32_t object_class, std::uint32_t object) {
    if (may_make_code() || (enforcement::current_grants() == nullptr && !sandbox::is_active())) return;
    const Oid table = pg::call([&] { return table_with_code(object_class, object); });
    if (OidIsValid(table)) unfinished.push_back({command_depth, Examine::stripped, RelationRelationId, table});
}

void check_created_object(std::uint32_t object_class, std::uint32_t object, int column) {
    const auto me = pg::current_user();
    const auto* grants = enforcement::current_grants();
    if (grants == nullptr && !sandbox::is_active()) return;
    // The role may have been chosen by the very statement that creates the object: set_config() and then lo_create().
    if (grants != nullptr && grants->refused_role) enforcement::refuse(*grants, enforcement::Access::refused_role);
    if (grants != nullptr && (is_login_of_grant(me) || enforcement::is_grant_role(me)) &&
        would_block_template(object_class, object, *grants))
        throw refusal("It would belong to the grant, whose template cannot change the schema.");
    const Oid created =
        object_class == AttrDefaultRelationId ? pg::call([&] { return find_default(object, column); }) : object;
    if (column == 0 && is_announced_early(object_class, created))
        unfinished.push_back({command_depth, Examine::made, object_class, created});
    else
        examine(object_class, created, column);
}

void check_index_of_owner(std::uint32_t index) {
    if (enforcement::current_grants() == nullptr)
        unfinished.push_back({command_depth, Examine::made, RelationRelationId, index});
}

}  // namespace jit::guard
