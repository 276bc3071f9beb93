// Results of a set-returning function, and of one that returns a row. Used by the room `api` only.
#pragma once

#include <span>

#include "jit_access/pg/server.hpp"
#include "jit_access/pg/sql.hpp"

struct ReturnSetInfo;

namespace jit::pg {

// Writes rows into the function's tuplestore (materialize mode).
class TableResult {
public:
    explicit TableResult(FunctionCallInfo info);
    // One value for each column. Columns of type uuid, jsonb and bigint[] take text; interval takes microseconds.
    void add_row(std::span<const Value> row);

private:
    ReturnSetInfo* result_;
};

[[nodiscard]] Datum row_result(FunctionCallInfo info, std::span<const Value> row);

}  // namespace jit::pg
