#include "jit_access/statements/describe_query.hpp"

#include "jit_access/enforcement/standing_privileges.hpp"
#include "jit_access/pg/redact_secrets.hpp"
#include "jit_access/statements/statement_cache.hpp"
#include "jit_access/statements/statement_objects.hpp"

extern "C" {
#include "catalog/pg_class.h"
#include "executor/execdesc.h"
#include "tcop/cmdtag.h"
#include "utils/lsyscache.h"
}

namespace jit::describe {

namespace {

// nextval(), currval() and setval() name their sequence by a regclass constant. The planner lists it among the
// relations that the plan depends on (fix_expr_common() in src/backend/optimizer/plan/setrefs.c).
void add_sequences(const PlannedStmt* plan) {
    const ListCell* cell = nullptr;
    foreach (cell, plan->relationOids) {
        const Oid relation = lfirst_oid(cell);
        if (!objects.has(relation) && pg::call([=] { return get_rel_relkind(relation) == RELKIND_SEQUENCE; }))
            add_relation(relation, core::privilege_usage);
    }
}

recorder::Statement describe_plan(const PlannedStmt* plan, std::string_view text, const char* tag) {
    // The generation is read first, because after an invalidation during the description the result must not be cached.
    const auto generation = standing_privileges::generation();
    bool depends_on_columns = false;
    objects.clear();
    pg::for_each_checked_relation(plan, [&](const pg::CheckedRelation& checked) {
        const auto standing = standing_privileges::find(checked);
        depends_on_columns |= standing.depends_on_columns;
        objects.add(checked.relation, recorded_privileges(static_cast<AclMode>(checked.privileges)),
                    recorded_privileges(static_cast<AclMode>(standing.privileges)));
    });
    add_sequences(plan);
    recorder::Statement statement{
        .tag = tag, .text = pg::redact_secrets(text), .objects = objects.stored(), .object_count = objects.count()};
    // Do not cache if the result depends on columns, which the cache does not compare, or if the text contained a
    // secret and was replaced.
    if (!depends_on_columns && statement.text.data() == text.data())
        statement.encoded = statement_cache::store(plan, statement, generation);
    return statement;
}

}  // namespace

recorder::Statement query(const QueryDesc* query) {
    const PlannedStmt* plan = query->plannedstmt;
    const auto text = statement_text(query->sourceText, plan->stmt_location, plan->stmt_len);
    const char* tag = GetCommandTagName(CreateCommandTag(reinterpret_cast<Node*>(const_cast<PlannedStmt*>(plan))));
    const auto* cached = statement_cache::find(plan, text, tag);
    recorder::Statement statement = cached != nullptr ? *cached : describe_plan(plan, text, tag);
    statement.key = query;
    statement.parameters = bound_parameters(query->params, query->sourceText);
    if (!statement.parameters.empty()) statement.encoded = nullptr;
    statement.is_nested = runs_without_portal();
    return statement;
}

}  // namespace jit::describe
