// Templates: define, change and drop; the event trigger that covers new objects.
#include "jit_access/api/support.hpp"
#include "jit_access/policy/template_privileges.hpp"

#include "jit_access/pg/backend.hpp"
#include "jit_access/pg/event_trigger.hpp"
#include "jit_access/policy/template.hpp"
#include "jit_access/shared/shared_state.hpp"
#include "jit_access/statements/sandbox.hpp"

namespace jit::api {

namespace {

// jit_create_template and jit_alter_template have the same parameters, but for those that cannot be changed.
templates::TemplateArguments draft_of(const Args& args) {
    templates::TemplateArguments draft;
    templates::each_argument([&](const char* name, auto argument) { args.read(name, draft.*argument); });
    return draft;
}

}  // namespace

#pragma GCC visibility push(default)
extern "C" {

PG_FUNCTION_INFO_V1(jit_create_template);
Datum jit_create_template(PG_FUNCTION_ARGS) {
    return answer(fcinfo, [&](const Args& args) {
        return pg::text_result(templates::create(draft_of(args), origin_of(fcinfo)));
    });
}

PG_FUNCTION_INFO_V1(jit_alter_template);
Datum jit_alter_template(PG_FUNCTION_ARGS) {
    return answer(fcinfo,
                  [&](const Args& args) { return Int32GetDatum(templates::alter(draft_of(args), origin_of(fcinfo))); });
}

PG_FUNCTION_INFO_V1(jit_drop_template);
Datum jit_drop_template(PG_FUNCTION_ARGS) {
    return answer(fcinfo, [](const Args& args) {
        templates::drop(args.text(0));
        return Datum{0};
    });
}

PG_FUNCTION_INFO_V1(jit_cover_new_objects);
Datum jit_cover_new_objects(PG_FUNCTION_ARGS) {
    return pg::guarded([&] {
        if (shared_state != nullptr && !pg::in_control_database()) return Datum{0};
        const sandbox::Pause ours;
        const auto made = pg::relations_created_by_command(fcinfo);
        templates::grant_on_new_relations(made.names, made.schemas);
        return Datum{0};
    });
}

}  // extern "C"
#pragma GCC visibility pop

}  // namespace jit::api
