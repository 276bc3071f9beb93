#include "jit_access/statements/guard_references.hpp"

#include <algorithm>
#include <array>

#include "jit_access/enforcement/effective_grants.hpp"
#include "jit_access/enforcement/standing_privileges.hpp"
#include "jit_access/pg/version_shims.hpp"
#include "jit_access/statements/catalog_rows.hpp"
#include "jit_access/statements/guard_commands.hpp"

extern "C" {
#include "access/reloptions.h"
#include "access/sysattr.h"
#include "catalog/namespace.h"
#include "catalog/objectaddress.h"
#include "catalog/pg_attrdef.h"
#include "catalog/pg_class.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_depend.h"
#include "catalog/pg_language.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_operator.h"
#include "catalog/pg_policy.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_rewrite.h"
#include "catalog/pg_statistic_ext.h"
#include "catalog/pg_trigger.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
}

namespace jit::guard {

namespace {

using catalog::for_each_row;

// ---- functions ------------------------------------------------------------------------------------------------------

void add_functions_of_operator(Oid used, List*& functions) {
    for_each_row(OperatorRelationId, OperatorOidIndexId, {{Anum_pg_operator_oid, ObjectIdGetDatum(used)}},
                 [&](HeapTuple row, TupleDesc) {
                     const auto* op = reinterpret_cast<Form_pg_operator>(GETSTRUCT(row));
                     for (const Oid function : {op->oprcode, op->oprrest, op->oprjoin})
                         if (OidIsValid(function)) functions = list_append_unique_oid(functions, function);
                 });
}

bool collect_function(Oid function, void* functions) {
    auto*& list = *static_cast<List**>(functions);
    list = list_append_unique_oid(list, function);
    return false;
}

bool collect_functions(Node* node, void* functions) {
    if (node == nullptr) return false;
    (void)check_functions_in_node(node, collect_function, functions);
    return expression_tree_walker(node, catalog::as_walker(collect_functions), functions);
}

struct ProcedureRow {
    bool exists = false;
    bool is_aggregate = false;
    bool is_definer = false;
    Oid language = InvalidOid;
};

ProcedureRow read_procedure(Oid procedure) {
    ProcedureRow result;
    for_each_row(ProcedureRelationId, ProcedureOidIndexId, {{Anum_pg_proc_oid, ObjectIdGetDatum(procedure)}},
                 [&](HeapTuple row, TupleDesc) {
                     const auto* found = reinterpret_cast<Form_pg_proc>(GETSTRUCT(row));
                     result = {true, found->prokind == PROKIND_AGGREGATE, found->prosecdef, found->prolang};
                 });
    return result;
}

// Triggers and indexes of partitions are copies of those of the partitioned table.
bool is_copy_in_partition(Oid object_class, Oid object) {
    bool result = false;
    if (object_class == TriggerRelationId)
        for_each_row(TriggerRelationId, TriggerOidIndexId, {{Anum_pg_trigger_oid, ObjectIdGetDatum(object)}},
                     [&](HeapTuple row, TupleDesc) {
                         result = OidIsValid(reinterpret_cast<Form_pg_trigger>(GETSTRUCT(row))->tgparentid);
                     });
    if (object_class == RelationRelationId)
        for_each_row(RelationRelationId, ClassOidIndexId, {{Anum_pg_class_oid, ObjectIdGetDatum(object)}},
                     [&](HeapTuple row, TupleDesc) {
                         const auto* relation = reinterpret_cast<Form_pg_class>(GETSTRUCT(row));
                         result = relation->relispartition && relation->relkind == RELKIND_INDEX;
                     });
    return result;
}

// Whether the server checks EXECUTE whenever the object calls a function, as the user on whose behalf it runs: in the
// body of a function, in the query of a view or rule, in defaults, checks and policies.
bool is_checked_at_use(Oid object_class, Oid object) {
    return object_class == RewriteRelationId || object_class == AttrDefaultRelationId ||
           object_class == ConstraintRelationId || object_class == PolicyRelationId ||
           (object_class == TypeRelationId && get_typtype(object) == TYPTYPE_DOMAIN) ||
           (object_class == ProcedureRelationId && !read_procedure(object).is_aggregate);
}

// The functions that an object calls and that must be checked. An object that a login keeps may call only functions
// that the login may call without the grant. An object that belongs to the grant is checked only if it lets others call
// a function.
List* functions_called(Oid object_class, Oid object, Maker maker) {
    List* functions = NIL;
    if (object_class == RewriteRelationId || is_copy_in_partition(object_class, object)) return functions;
    if (object_class == ProcedureRelationId && !read_procedure(object).is_aggregate) return functions;
    if (maker == Maker::grant && is_checked_at_use(object_class, object)) return functions;
    for_each_row(
        DependRelationId, DependDependerIndexId,
        {{Anum_pg_depend_classid, ObjectIdGetDatum(object_class)}, {Anum_pg_depend_objid, ObjectIdGetDatum(object)}},
        [&](HeapTuple row, TupleDesc) {
            const auto* uses = reinterpret_cast<Form_pg_depend>(GETSTRUCT(row));
            if (uses->refclassid == ProcedureRelationId && uses->deptype != DEPENDENCY_INTERNAL)
                functions = list_append_unique_oid(functions, uses->refobjid);
            if (uses->refclassid == OperatorRelationId) add_functions_of_operator(uses->refobjid, functions);
        });
    // The server writes the dependencies of statistics only after it has called the object access hook.
    if (object_class == StatisticExtRelationId)
        for_each_row(StatisticExtRelationId, StatisticExtOidIndexId,
                     {{Anum_pg_statistic_ext_oid, ObjectIdGetDatum(object)}}, [&](HeapTuple row, TupleDesc columns) {
                         bool is_null = false;
                         const Datum value = heap_getattr(row, Anum_pg_statistic_ext_stxexprs, columns, &is_null);
                         if (!is_null)
                             collect_functions(static_cast<Node*>(stringToNode(TextDatumGetCString(value))),
                                               &functions);
                     });
    return functions;
}

const char* why_functions_refused(Oid object_class, Oid object, Maker maker) {
    List* functions = pg::call([&] { return functions_called(object_class, object, maker); });
    for (int i = 0; i < list_length(functions); ++i) {
        const Oid function = list_nth_oid(functions, i);
        const bool may_call =
            pg::call([=] { return pg::may(ProcedureRelationId, function, GetUserId(), ACL_EXECUTE); });
        if (may_call && (standing_privileges::on_object(ProcedureRelationId, function) & ACL_EXECUTE) == 0)
            return "It uses a function that you may call only by the grant.";
    }
    return nullptr;
}

// ---- foreign keys ---------------------------------------------------------------------------------------------------

struct ForeignKey {
    Oid owner = InvalidOid;  // of the referencing table
    pg::CheckedRelation referenced;
};

Oid owner_of_relation(Oid relation) {
    Oid owner = InvalidOid;
    for_each_row(RelationRelationId, ClassOidIndexId, {{Anum_pg_class_oid, ObjectIdGetDatum(relation)}},
                 [&](HeapTuple row, TupleDesc) { owner = reinterpret_cast<Form_pg_class>(GETSTRUCT(row))->relowner; });
    return owner;
}

// A foreign key of a partition may be a copy of the partitioned table's foreign key.
ForeignKey read_foreign_key(Oid constraint) {
    ForeignKey result;
    for_each_row(
        ConstraintRelationId, ConstraintOidIndexId, {{Anum_pg_constraint_oid, ObjectIdGetDatum(constraint)}},
        [&](HeapTuple row, TupleDesc columns) {
            const auto* key = reinterpret_cast<Form_pg_constraint>(GETSTRUCT(row));
            if (key->contype != CONSTRAINT_FOREIGN || OidIsValid(key->conparentid)) return;
            bool is_null = false;
            const Datum value = heap_getattr(row, Anum_pg_constraint_confkey, columns, &is_null);
            Bitmapset* referenced = nullptr;
            const auto* numbers = is_null ? nullptr : DatumGetArrayTypeP(value);
            for (int i = 0; numbers != nullptr && i < ARR_DIMS(numbers)[0]; ++i)
                referenced = bms_add_member(referenced, reinterpret_cast<const int16*>(ARR_DATA_PTR(numbers))[i] -
                                                            FirstLowInvalidHeapAttributeNumber);
            result.owner = owner_of_relation(key->conrelid);
            result.referenced = {.relation = key->confrelid, .privileges = ACL_REFERENCES, .referenced = referenced};
        });
    return result;
}

bool is_standing(const pg::CheckedRelation& checked) {
    return (checked.privileges & ~standing_privileges::find(checked).privileges) == 0;
}

// Whether the session user, or the owner of a SECURITY DEFINER function, will still have the role after the end of the
// grant.
bool is_kept_by_user(pg::RoleId role) {
    return !enforcement::is_grant_role(role) && !is_login_of_grant(role) &&
           (enforcement::is_session_member_without_grant(role) ||
            enforcement::is_member_without_grant(pg::current_user(), role));
}

// As long as a foreign key exists, it shows which keys exist in the referenced table and prevents the deletion of their
// rows.
const char* why_foreign_key_refused(Oid constraint, Maker maker) {
    const auto key = pg::call([constraint] { return read_foreign_key(constraint); });
    if (!OidIsValid(key.owner) || is_standing(key.referenced)) return nullptr;
    if (maker == Maker::grant && !is_kept_by_user({key.owner})) return nullptr;
    return "It refers to a table that you may reference only by the grant.";
}

// ---- views and rules ------------------------------------------------------------------------------------------------

bool collect_checked(Node* node, void* checked) {
    if (node == nullptr) return false;
    if (!IsA(node, Query)) return expression_tree_walker(node, catalog::as_walker(collect_checked), checked);
    auto* query = reinterpret_cast<Query*>(node);
    pg::for_each_checked_relation(query, [checked](const pg::CheckedRelation& one) {
        auto*& list = *static_cast<List**>(checked);
        list = lappend(list, new (palloc(sizeof one)) pg::CheckedRelation(one));
    });
    return query_tree_walker(query, catalog::as_walker(collect_checked), checked, 0);
}

bool is_security_invoker(Oid relation) {
    bool result = false;
    for_each_row(RelationRelationId, ClassOidIndexId, {{Anum_pg_class_oid, ObjectIdGetDatum(relation)}},
                 [&](HeapTuple row, TupleDesc columns) {
                     if (reinterpret_cast<Form_pg_class>(GETSTRUCT(row))->relkind != RELKIND_VIEW) return;
                     bool is_null = false;
                     const Datum options = heap_getattr(row, Anum_pg_class_reloptions, columns, &is_null);
                     if (is_null) return;
                     auto* parsed = reinterpret_cast<ViewOptions*>(view_reloptions(options, false));
                     result = parsed != nullptr && parsed->security_invoker;
                 });
    return result;
}

// Relations that the server checks as the owner of the view, or of the table that has the rule.
List* relations_lent(Oid rule) {
    List* checked = NIL;
    for_each_row(RewriteRelationId, RewriteOidIndexId, {{Anum_pg_rewrite_oid, ObjectIdGetDatum(rule)}},
                 [&](HeapTuple row, TupleDesc columns) {
                     if (is_security_invoker(reinterpret_cast<Form_pg_rewrite>(GETSTRUCT(row))->ev_class)) return;
                     for (const AttrNumber column : {Anum_pg_rewrite_ev_qual, Anum_pg_rewrite_ev_action}) {
                         bool is_null = false;
                         const Datum value = heap_getattr(row, column, columns, &is_null);
                         if (!is_null)
                             collect_checked(static_cast<Node*>(stringToNode(TextDatumGetCString(value))), &checked);
                     }
                 });
    return checked;
}

const char* why_rule_refused(Oid rule) {
    List* checked = pg::call([rule] { return relations_lent(rule); });
    for (int i = 0; i < list_length(checked); ++i)
        if (!is_standing(*static_cast<const pg::CheckedRelation*>(list_nth(checked, i))))
            return "It would lend the privileges of the grant to its users; a view with security_invoker does not.";
    return nullptr;
}

// ---- objects of the login -------------------------------------------------------------------------------------------

// InvalidOid for an object without a schema, or in the temporary schema of the session.
Oid schema_of(Oid object_class, Oid object) {
    constexpr std::array classes = {RelationRelationId, TypeRelationId, ProcedureRelationId, OperatorRelationId};
    if (std::find(classes.begin(), classes.end(), object_class) == classes.end()) return InvalidOid;
    Oid schema = InvalidOid;
    for_each_row(
        object_class, get_object_oid_index(object_class),
        {{get_object_attnum_oid(object_class), ObjectIdGetDatum(object)}}, [&](HeapTuple row, TupleDesc columns) {
            bool is_null = false;
            schema = DatumGetObjectId(heap_getattr(row, get_object_attnum_namespace(object_class), columns, &is_null));
        });
    return OidIsValid(schema) && !isAnyTempNamespace(schema) ? schema : InvalidOid;
}

// Whether only the grant gives CREATE on the schema or database. Without CREATE, the user cannot have created the
// object there, but only changed it.
bool creates_by_grant(Oid container_class, Oid container) {
    return pg::call([&] { return pg::may(container_class, container, GetUserId(), ACL_CREATE); }) &&
           (standing_privileges::on_object(container_class, container) & (ACL_CREATE | pg::ownership)) == 0;
}

const char* why_place_refused(Oid object_class, Oid object) {
    constexpr const char* why = "It would be yours after the end, in a place where only the grant lets you create.";
    if (object_class == NamespaceRelationId && creates_by_grant(DatabaseRelationId, MyDatabaseId)) return why;
    const Oid schema = pg::call([&] { return schema_of(object_class, object); });
    return OidIsValid(schema) && creates_by_grant(NamespaceRelationId, schema) ? why : nullptr;
}

// "$user" comes first on the default search_path, so a schema with the name of a superuser can capture calls of that
// user.
const char* why_schema_refused(Oid schema) {
    const bool is_named_like_superuser = pg::call([schema] {
        bool result = false;
        for_each_row(NamespaceRelationId, NamespaceOidIndexId, {{Anum_pg_namespace_oid, ObjectIdGetDatum(schema)}},
                     [&](HeapTuple row, TupleDesc) {
                         const auto* found = reinterpret_cast<Form_pg_namespace>(GETSTRUCT(row));
                         const Oid role = get_role_oid(NameStr(found->nspname), true);
                         result = OidIsValid(role) && superuser_arg(role);
                     });
        return result;
    });
    return is_named_like_superuser
               ? "Its name is that of a superuser, who would use its objects without naming the schema."
               : nullptr;
}

const char* why_procedure_refused(Oid procedure) {
    const auto row = pg::call([procedure] { return read_procedure(procedure); });
    if (!row.exists) return nullptr;
    if (row.is_definer) return "It would lend the privileges of the grant to its callers.";
    return (standing_privileges::on_object(LanguageRelationId, row.language) & ACL_USAGE) == 0
               ? "Its language is one that you may use only by the grant."
               : nullptr;
}

const char* why_trigger_refused(Oid trigger) {
    pg::CheckedRelation table;
    pg::call([&] {
        for_each_row(TriggerRelationId, TriggerOidIndexId, {{Anum_pg_trigger_oid, ObjectIdGetDatum(trigger)}},
                     [&](HeapTuple row, TupleDesc) {
                         const auto* found = reinterpret_cast<Form_pg_trigger>(GETSTRUCT(row));
                         if (!found->tgisinternal) table = {.relation = found->tgrelid, .privileges = ACL_TRIGGER};
                     });
    });
    return table.relation == InvalidOid || is_standing(table)
               ? nullptr
               : "Its table is one on which you may create triggers only by the grant.";
}

const char* why_login_refused(Oid object_class, Oid object) {
    if (const char* why = why_place_refused(object_class, object)) return why;
    switch (object_class) {
        case ProcedureRelationId: return why_procedure_refused(object);
        case TriggerRelationId: return why_trigger_refused(object);
        case RewriteRelationId: return why_rule_refused(object);
        default: return nullptr;
    }
}

}  // namespace

const char* why_references_refused(std::uint32_t object_class, std::uint32_t object, Maker maker) {
    if (maker == Maker::login)
        if (const char* why = why_login_refused(object_class, object)) return why;
    if (object_class == NamespaceRelationId && maker == Maker::grant)
        if (const char* why = why_schema_refused(object)) return why;
    if (object_class == ConstraintRelationId)
        if (const char* why = why_foreign_key_refused(object, maker)) return why;
    return why_functions_refused(object_class, object, maker);
}

// The server calls the object access hook before it writes the transition functions of an aggregate, the functions of a
// range type or the options of a view.
bool is_announced_early(std::uint32_t object_class, std::uint32_t object) {
    return object_class == RewriteRelationId || object_class == TypeRelationId ||
           (object_class == ProcedureRelationId && pg::call([object] { return read_procedure(object).is_aggregate; }));
}

}  // namespace jit::guard
