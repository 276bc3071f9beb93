// The rows of a set-returning function, written one after the other. Only the entry makes one.
#pragma once

#include <span>

#include "jit_access/pg/server.hpp"
#include "jit_access/pg/sql.hpp"

struct ReturnSetInfo;

namespace jit::pg {

class TableResult {
public:
    explicit TableResult(FunctionCallInfo info);
    // One value per column. Columns of type uuid, jsonb, bigint[] take their text; interval takes microseconds.
    void add_row(std::span<const Value> row);

private:
    ReturnSetInfo* result_;
};

// The same for a function that returns one row.
[[nodiscard]] Datum row_result(FunctionCallInfo info, std::span<const Value> row);

}  // namespace jit::pg
