#include "jit_access/pg/running_function.hpp"

#include "jit_access/pg/server.hpp"
#include "jit_access/pg/version_shims.hpp"

extern "C" {
#include "access/transam.h"
#include "catalog/pg_collation.h"
#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
}

namespace jit::pg {

namespace {

enum class Learning { not_begun, running, done };
Learning learning = Learning::not_begun;
void (*callback_of_sql_functions)(void*) = nullptr;  // null: not known

// lpad(text, integer) is a function of the server that is written in SQL. When it is called by its OID, it is not
// inlined.
constexpr Oid known_function = F_LPAD_TEXT_INT4;

void learn_callback() {
    learning = Learning::running;
    try {
        call([] {
            OidFunctionCall2Coll(known_function, DEFAULT_COLLATION_OID, PointerGetDatum(cstring_to_text("")),
                                 Int32GetDatum(0));
        });
    } catch (...) {
        learning = Learning::done;
        throw;
    }
    learning = Learning::done;
}

}  // namespace

bool runs_in_server_function() {
    const auto* context = error_context_stack;
    if (context == nullptr) return false;
    if (learning == Learning::not_begun) learn_callback();
    return callback_of_sql_functions != nullptr && context->callback == callback_of_sql_functions &&
           function_of_context(context->arg) < FirstNormalObjectId;
}

bool is_learning_statement() noexcept {
    if (learning != Learning::running) return false;
    const auto* context = error_context_stack;
    if (context != nullptr && context->arg != nullptr && function_of_context(context->arg) == known_function)
        callback_of_sql_functions = context->callback;
    return true;
}

}  // namespace jit::pg
