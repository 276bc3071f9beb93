#include "jit_access/pg/owner.hpp"

#include "jit_access/pg/server.hpp"

extern "C" {
#include "access/htup_details.h"
#include "access/table.h"
#include "access/transam.h"
#include "catalog/pg_class.h"
#include "catalog/pg_default_acl.h"
#include "catalog/pg_event_trigger.h"
#include "catalog/pg_foreign_data_wrapper.h"
#include "catalog/pg_foreign_server.h"
#include "catalog/pg_language.h"
#include "catalog/pg_largeobject.h"
#include "catalog/pg_largeobject_metadata.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_publication.h"
#include "catalog/pg_subscription.h"
#include "catalog/pg_type.h"
#include "catalog/pg_user_mapping.h"
#include "commands/alter.h"
#include "commands/defrem.h"
#include "commands/event_trigger.h"
#include "commands/publicationcmds.h"
#include "commands/schemacmds.h"
#include "commands/subscriptioncmds.h"
#include "commands/tablecmds.h"
#include "commands/typecmds.h"
#include "nodes/nodeFuncs.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/syscache.h"
}

namespace jit::pg {

namespace {

// For kinds of objects that need no special treatment. Before PostgreSQL 17, the first parameter of
// AlterObjectOwner_internal() is the open catalog. The overload that fits its declaration is chosen.
void change_plain_owner(void (*change)(Relation, Oid, Oid), Oid object_class, Oid object, Oid owner) {
    Relation catalog = table_open(object_class, RowExclusiveLock);
    change(catalog, object, owner);
    table_close(catalog, NoLock);
}
[[maybe_unused]] void change_plain_owner(void (*change)(Oid, Oid, Oid), Oid object_class, Oid object, Oid owner) {
    change(object_class, object, owner);
}

void dispatch(Oid object_class, Oid object, Oid owner) {
    switch (object_class) {
        case RelationRelationId:
            // `recursing` is true, because an index or an owned sequence may be reached before its table.
            ATExecChangeOwner(object, owner, true, AccessExclusiveLock);
            break;
        case TypeRelationId: AlterTypeOwner_oid(object, owner, true); break;
        case NamespaceRelationId: AlterSchemaOwner_oid(object, owner); break;
        case ForeignServerRelationId: AlterForeignServerOwner_oid(object, owner); break;
        case ForeignDataWrapperRelationId: AlterForeignDataWrapperOwner_oid(object, owner); break;
        case EventTriggerRelationId: AlterEventTriggerOwner_oid(object, owner); break;
        case PublicationRelationId: AlterPublicationOwner_oid(object, owner); break;
        case SubscriptionRelationId: AlterSubscriptionOwner_oid(object, owner); break;
        case DefaultAclRelationId:
        case UserMappingRelationId: break;
        case LargeObjectRelationId:
            change_plain_owner(AlterObjectOwner_internal, LargeObjectMetadataRelationId, object, owner);
            break;
        default: change_plain_owner(AlterObjectOwner_internal, object_class, object, owner); break;
    }
}

bool does_more_than_compute(Oid function, void*) {
    if (func_volatile(function) != PROVOLATILE_IMMUTABLE) return true;
    if (function < FirstNormalObjectId) return false;
    HeapTuple row = SearchSysCache1(PROCOID, ObjectIdGetDatum(function));
    if (!HeapTupleIsValid(row)) return true;
    const auto* procedure = reinterpret_cast<Form_pg_proc>(GETSTRUCT(row));
    const bool is_trusted = (procedure->prolang == ClanguageId || procedure->prolang == INTERNALlanguageId) &&
                            superuser_arg(procedure->proowner);
    ReleaseSysCache(row);
    return !is_trusted;
}

bool contains_more(Node* node, void* context) {
    if (node == nullptr) return false;
    // A cast to a domain also evaluates the constraints of the domain, which are not part of the expression.
    if (IsA(node, CoerceToDomain) && reinterpret_cast<CoerceToDomain*>(node)->resulttype >= FirstNormalObjectId)
        return true;
    if (check_functions_in_node(node, does_more_than_compute, context)) return true;
    // Before PostgreSQL 16 the walker is declared without parameters.
    return expression_tree_walker(node, reinterpret_cast<bool (*)()>(reinterpret_cast<void*>(contains_more)), context);
}

}  // namespace

void change_owner(RoleId object_class, RoleId object, RoleId new_owner) {
    call([&] {
        dispatch(object_class.oid, object.oid, new_owner.oid);
        CommandCounterIncrement();
    });
}

bool computes_only(const std::string& node_tree) {
    return call([&] {
        // stringToNode() does not change the text.
        auto* expressions = static_cast<Node*>(stringToNode(node_tree.c_str()));
        return !contains_more(expressions, nullptr);
    });
}

}  // namespace jit::pg
