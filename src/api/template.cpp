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

// The arguments of jit_create_template or jit_alter_template, by name. The second has no parameters for settings that
// cannot be changed.
templates::TemplateArguments template_arguments(const Args& args) {
    templates::TemplateArguments arguments;
    templates::each_argument([&](const char* name, auto argument) { args.read(name, arguments.*argument); });
    return arguments;
}

}  // namespace

#pragma GCC visibility push(default)
extern "C" {

PG_FUNCTION_INFO_V1(jit_create_template);
Datum jit_create_template(PG_FUNCTION_ARGS) {
    return answer(fcinfo, [&](const Args& args) {
        return pg::text_result(templates::create(template_arguments(args), origin_of(fcinfo)));
    });
}

PG_FUNCTION_INFO_V1(jit_alter_template);
Datum jit_alter_template(PG_FUNCTION_ARGS) {
    return answer(fcinfo, [&](const Args& args) {
        return Int32GetDatum(templates::alter(template_arguments(args), origin_of(fcinfo)));
    });
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
        // In a copy of the control database the trigger does nothing, because templates cover only the control
        // database.
        if (shared_state != nullptr && !pg::in_control_database()) return Datum{0};
        const sandbox::Pause pause;  // the GRANT statements come from the extension, not from a dry run
        const auto relations = pg::relations_created_by_command(fcinfo);
        templates::grant_on_new_relations(relations.names, relations.schemas);
        return Datum{0};
    });
}

}  // extern "C"
#pragma GCC visibility pop

}  // namespace jit::api
