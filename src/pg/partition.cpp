#include "jit_access/pg/partition.hpp"

#include "jit_access/pg/server.hpp"

extern "C" {
#include "access/table.h"
#include "catalog/heap.h"
#include "catalog/namespace.h"
#include "nodes/parsenodes.h"
#include "parser/parser.h"
}

namespace jit::pg {

void add_valid_check(const std::string& table, const std::string& name, const std::string& condition) {
    const auto text = "ALTER TABLE " + table + " ADD CONSTRAINT " + name + " CHECK (" + condition + ") NOT VALID";
    const char* sql = text.c_str();
    call([&] {
        // NOT VALID keeps the parser's transformation from scheduling a scan; initially_valid then marks the constraint
        // valid in pg_constraint. ALTER TABLE itself has no such option.
        const auto* alter = castNode(AlterTableStmt, linitial_node(RawStmt, raw_parser(sql, RAW_PARSE_DEFAULT))->stmt);
        auto* check = castNode(Constraint, linitial_node(AlterTableCmd, alter->cmds)->def);
        check->initially_valid = true;
        Relation relation = table_openrv(alter->relation, AccessExclusiveLock);
        (void)AddRelationNewConstraints(relation, NIL, list_make1(check), false, true, false, sql);
        table_close(relation, NoLock);
        CommandCounterIncrement();
    });
}

}  // namespace jit::pg
