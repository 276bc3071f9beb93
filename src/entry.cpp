// Every function SQL can call, and the worker's main: the only extern "C" of the library beside _PG_init. Each turns
// its arguments into values, calls the stage, and turns the answer back; errors cross here and nowhere else.
#include <chrono>

#include "jit_access/access_review.hpp"
#include "jit_access/alert.hpp"
#include "jit_access/alert_rule.hpp"
#include "jit_access/board.hpp"
#include "jit_access/break_glass.hpp"
#include "jit_access/chain.hpp"
#include "jit_access/chores.hpp"
#include "jit_access/contain.hpp"
#include "jit_access/core/csv.hpp"
#include "jit_access/core/failure.hpp"
#include "jit_access/credentials.hpp"
#include "jit_access/decide.hpp"
#include "jit_access/drill.hpp"
#include "jit_access/drill_actor.hpp"
#include "jit_access/dry_run.hpp"
#include "jit_access/eligibility.hpp"
#include "jit_access/ingest.hpp"
#include "jit_access/install.hpp"
#include "jit_access/jobs.hpp"
#include "jit_access/pg/args.hpp"
#include "jit_access/pg/backend.hpp"
#include "jit_access/pg/event_trigger.hpp"
#include "jit_access/pg/own_call.hpp"
#include "jit_access/pg/secrets.hpp"
#include "jit_access/pg/table_result.hpp"
#include "jit_access/pg/worker.hpp"
#include "jit_access/policy.hpp"
#include "jit_access/policy_file.hpp"
#include "jit_access/reclaim.hpp"
#include "jit_access/report.hpp"
#include "jit_access/report_page.hpp"
#include "jit_access/request.hpp"
#include "jit_access/rules.hpp"
#include "jit_access/scenario.hpp"
#include "jit_access/schedule.hpp"
#include "jit_access/second_factor.hpp"
#include "jit_access/settings.hpp"
#include "jit_access/step_up.hpp"
#include "jit_access/template.hpp"
#include "jit_access/watch.hpp"
#include "jit_access/window.hpp"
#include "jit_access/worker.hpp"

using jit::core::Code;
using jit::core::Failure;
using jit::pg::Args;

namespace {

void require_loaded() {
    if (jit::board != nullptr) return;
    throw Failure(Code::not_loaded, "jit_access is not loaded",
                  "It is not in shared_preload_libraries, so nothing would enforce a deadline.",
                  "Add jit_access to shared_preload_libraries and restart the server.");
}

void require_primary() {
    require_loaded();
    if (jit::pg::is_standby())
        throw Failure(Code::not_here, "this server is a standby",
                      "Requests and decisions are made on the primary; deadlines hold here as well.",
                      "Connect to the primary.");
}

// A database made from the control database has its tables as well; what they say there was never decided.
void require_control_database() {
    if (jit::pg::in_control_database()) return;
    throw Failure(Code::not_here, "this is not the control database of jit_access",
                  "Database \"" + jit::pg::database_name() + "\" holds a copy, which gives and ends nothing.",
                  std::string("Connect to \"") + jit::settings::database + "\".");
}

// Only where the tables are, and where they can be written.
template <class Body>
Datum answer(FunctionCallInfo info, Body&& body) {
    return jit::pg::guarded([&] {
        require_primary();
        require_control_database();
        return body(Args(info));
    });
}

jit::people::Origin origin_of(FunctionCallInfo info) { return {jit::pg::objection_to_call(info)}; }

// jit_create_template and jit_alter_template have the same parameters, but for those that cannot be changed.
jit::templates::Draft draft_of(const Args& args) {
    jit::templates::Draft draft;
    jit::templates::each_argument([&](const char* name, auto argument) { args.read(name, draft.*argument); });
    return draft;
}

// jit_dry_run and jit_set_scenario; what one of them has no parameter for is not given.
jit::dry_run::Asked asked_of(const Args& args) {
    jit::dry_run::Asked asked;
    args.read("template", asked.template_name);
    args.read("statements", asked.statements);
    args.read("mode", asked.mode);
    args.read("person", asked.person);
    args.read("privileges", asked.privileges);
    args.read("search_path", asked.search_path);
    args.read("statement_timeout", asked.timeout);
    args.read("allow_schema_change", asked.allow_schema_change);
    args.read("allow_code", asked.allow_code);
    return asked;
}

template <class T>
jit::pg::Value or_null(const std::optional<T>& value) {
    return value ? jit::pg::Value(*value) : jit::pg::Value();
}

// Before anything can fail: others see what a session runs.
void hide_code() noexcept {
    if (jit::pg::may_hold_code(jit::pg::command_text())) jit::pg::show_command(jit::pg::hidden_command);
}

Datum state(jit::core::State value) { return jit::pg::state_result(jit::core::to_string(value)); }

}  // namespace

// Before 16 the macro exports the info record, not the function.
#pragma GCC visibility push(default)

extern "C" {

PG_FUNCTION_INFO_V1(jit_check_installation);
PG_FUNCTION_INFO_V1(jit_create_template);
PG_FUNCTION_INFO_V1(jit_alter_template);
PG_FUNCTION_INFO_V1(jit_drop_template);
PG_FUNCTION_INFO_V1(jit_cover_new_objects);
PG_FUNCTION_INFO_V1(jit_request);
PG_FUNCTION_INFO_V1(jit_cancel);
PG_FUNCTION_INFO_V1(jit_extend);
PG_FUNCTION_INFO_V1(jit_approve);
PG_FUNCTION_INFO_V1(jit_activate);
PG_FUNCTION_INFO_V1(jit_credentials);
PG_FUNCTION_INFO_V1(jit_set_person);
PG_FUNCTION_INFO_V1(jit_create_rule);
PG_FUNCTION_INFO_V1(jit_drop_rule);
PG_FUNCTION_INFO_V1(jit_create_window);
PG_FUNCTION_INFO_V1(jit_drop_window);
PG_FUNCTION_INFO_V1(jit_hours);
PG_FUNCTION_INFO_V1(jit_eligibility);
PG_FUNCTION_INFO_V1(jit_export_policy);
PG_FUNCTION_INFO_V1(jit_import_policy);
PG_FUNCTION_INFO_V1(jit_request_digest);
PG_FUNCTION_INFO_V1(jit_deny);
PG_FUNCTION_INFO_V1(jit_resume);
PG_FUNCTION_INFO_V1(jit_revoke);
PG_FUNCTION_INFO_V1(jit_enroll_totp);
PG_FUNCTION_INFO_V1(jit_confirm_totp);
PG_FUNCTION_INFO_V1(jit_step_up);
PG_FUNCTION_INFO_V1(jit_reset_totp);
PG_FUNCTION_INFO_V1(jit_locked_until);
PG_FUNCTION_INFO_V1(jit_break_glass);
PG_FUNCTION_INFO_V1(jit_review);
PG_FUNCTION_INFO_V1(jit_acknowledge_alert);
PG_FUNCTION_INFO_V1(jit_close_alert);
PG_FUNCTION_INFO_V1(jit_set_up_drill);
PG_FUNCTION_INFO_V1(jit_drill);
PG_FUNCTION_INFO_V1(jit_job_drill);
PG_FUNCTION_INFO_V1(jit_start_review);
PG_FUNCTION_INFO_V1(jit_review_item);
PG_FUNCTION_INFO_V1(jit_review_csv);
PG_FUNCTION_INFO_V1(jit_may_review);
PG_FUNCTION_INFO_V1(jit_remind_reviews);
PG_FUNCTION_INFO_V1(jit_set_alert_rule);
PG_FUNCTION_INFO_V1(jit_watch);
PG_FUNCTION_INFO_V1(jit_dry_run);
PG_FUNCTION_INFO_V1(jit_set_scenario);
PG_FUNCTION_INFO_V1(jit_drop_scenario);
PG_FUNCTION_INFO_V1(jit_run_scenarios);
PG_FUNCTION_INFO_V1(jit_scenarios_tap);
PG_FUNCTION_INFO_V1(jit_job_scenarios);
PG_FUNCTION_INFO_V1(jit_may_decide);
PG_FUNCTION_INFO_V1(jit_may_audit);
PG_FUNCTION_INFO_V1(jit_require_auditor);
PG_FUNCTION_INFO_V1(jit_may_monitor);
PG_FUNCTION_INFO_V1(jit_journal);
PG_FUNCTION_INFO_V1(jit_audit_checkpoint);
PG_FUNCTION_INFO_V1(jit_audit_verify);
PG_FUNCTION_INFO_V1(jit_audit_export);
PG_FUNCTION_INFO_V1(jit_report_html);
PG_FUNCTION_INFO_V1(jit_csv_cell);
PG_FUNCTION_INFO_V1(jit_status);
PG_FUNCTION_INFO_V1(jit_confirmed);
PG_FUNCTION_INFO_V1(jit_schedule);
PG_FUNCTION_INFO_V1(jit_unschedule);
PG_FUNCTION_INFO_V1(jit_run_job);
PG_FUNCTION_INFO_V1(jit_cron_state);
PG_FUNCTION_INFO_V1(jit_job_retention);
PG_FUNCTION_INFO_V1(jit_job_drift);
PG_FUNCTION_INFO_V1(jit_job_verify);
PG_FUNCTION_INFO_V1(jit_job_review_reminders);

Datum jit_check_installation(PG_FUNCTION_ARGS) {
    (void)fcinfo;
    return jit::pg::guarded([] {
        require_primary();
        jit::install::check();
        return Datum{0};
    });
}

Datum jit_create_template(PG_FUNCTION_ARGS) {
    return answer(fcinfo, [&](const Args& args) {
        return jit::pg::text_result(jit::templates::create(draft_of(args), origin_of(fcinfo)));
    });
}

Datum jit_alter_template(PG_FUNCTION_ARGS) {
    return answer(fcinfo, [&](const Args& args) {
        return Int32GetDatum(jit::templates::alter(draft_of(args), origin_of(fcinfo)));
    });
}

Datum jit_drop_template(PG_FUNCTION_ARGS) {
    return answer(fcinfo, [](const Args& args) {
        jit::templates::drop(args.text(0));
        return Datum{0};
    });
}

Datum jit_cover_new_objects(PG_FUNCTION_ARGS) {
    return jit::pg::guarded([&] {
        if (jit::board != nullptr && !jit::pg::in_control_database()) return Datum{0};
        const jit::contain::Pause ours;
        const auto made = jit::pg::relations_of_command(fcinfo);
        jit::templates::cover(made.names, made.schemas);
        return Datum{0};
    });
}

Datum jit_request(PG_FUNCTION_ARGS) {
    return answer(fcinfo, [&](const Args& args) {
        return Int64GetDatum(jit::request::ask({.template_name = args.text(0),
                                                .duration = args.interval(1),
                                                .reason = args.text(2),
                                                .ticket = args.text(3),
                                                .scope = args.texts(4, "scope"),
                                                .starts_at = args.instant(5)},
                                               origin_of(fcinfo)));
    });
}

Datum jit_cancel(PG_FUNCTION_ARGS) {
    return answer(fcinfo, [](const Args& args) { return state(jit::request::cancel(args.id(0), args.text(1))); });
}

Datum jit_extend(PG_FUNCTION_ARGS) {
    return answer(fcinfo, [&](const Args& args) {
        return Int64GetDatum(jit::request::extend(args.id(0), args.interval(1), args.text(2), origin_of(fcinfo)).us);
    });
}

Datum jit_approve(PG_FUNCTION_ARGS) {
    return answer(fcinfo, [&](const Args& args) {
        return state(jit::decide::approve(
            args.id(0), {.comment = args.text(1), .shorter = args.interval(2), .digest = args.text(3)},
            origin_of(fcinfo)));
    });
}

Datum jit_activate(PG_FUNCTION_ARGS) {
    return answer(fcinfo,
                  [&](const Args& args) { return state(jit::decide::activate(args.id(0), origin_of(fcinfo))); });
}

Datum jit_credentials(PG_FUNCTION_ARGS) {
    return answer(fcinfo, [&](const Args& args) {
        const auto made = jit::credentials::issue(args.id(0), origin_of(fcinfo));
        const std::array<jit::pg::Value, 3> row{made.login, made.password, made.valid_until};
        return jit::pg::row_result(fcinfo, row);
    });
}

Datum jit_set_person(PG_FUNCTION_ARGS) {
    return answer(fcinfo, [&](const Args& args) {
        jit::people::set_person(args.text(0), args.texts(1, "logins"), origin_of(fcinfo));
        return Datum{0};
    });
}

Datum jit_create_rule(PG_FUNCTION_ARGS) {
    return answer(fcinfo, [&](const Args& args) {
        jit::rules::create({.name = args.text(0),
                            .effect = args.text(1),
                            .templates = args.texts(2, "templates").value_or(jit::pg::TextArray{}),
                            .role = args.text(3),
                            .max_duration = args.interval(4),
                            .max_risk = args.text(5),
                            .networks = args.texts(6, "networks").value_or(jit::pg::TextArray{}),
                            .windows = args.texts(7, "windows").value_or(jit::pg::TextArray{})},
                           origin_of(fcinfo));
        return Datum{0};
    });
}

Datum jit_drop_rule(PG_FUNCTION_ARGS) {
    return answer(fcinfo, [&](const Args& args) {
        jit::rules::drop(args.text(0), origin_of(fcinfo));
        return Datum{0};
    });
}

Datum jit_create_window(PG_FUNCTION_ARGS) {
    return answer(fcinfo, [&](const Args& args) {
        jit::window::create({.name = args.text(0),
                             .time_zone = args.text(1),
                             .starts = args.time(2),
                             .lasts = args.interval(3),
                             .kind = args.text(4),
                             .weekdays = args.integers(5, "weekdays"),
                             .first_day = args.integer(6),
                             .last_day = args.integer(7),
                             .days = args.integers(8, "days")},
                            origin_of(fcinfo));
        return Datum{0};
    });
}

Datum jit_drop_window(PG_FUNCTION_ARGS) {
    return answer(fcinfo, [&](const Args& args) {
        jit::window::drop(args.text(0), origin_of(fcinfo));
        return Datum{0};
    });
}

Datum jit_hours(PG_FUNCTION_ARGS) {
    return jit::pg::guarded([&] {
        require_loaded();
        const Args args(fcinfo);
        const auto moment = [](const std::optional<std::int64_t>& us) {
            return us ? jit::pg::Value(jit::pg::Instant{*us}) : jit::pg::Value();
        };
        const auto row = jit::window::explain(args.texts(0, "windows").value_or(jit::pg::TextArray{}), args.instant(1));
        const std::array answer{jit::pg::Value(row.open()), moment(row.until), moment(row.next)};
        return jit::pg::row_result(fcinfo, answer);
    });
}

Datum jit_eligibility(PG_FUNCTION_ARGS) {
    return answer(fcinfo, [&](const Args& args) {
        jit::pg::TableResult table(fcinfo);
        for (const auto& row : jit::eligibility::of(jit::people::asking(), args.text(0), args.interval(1)))
            table.put(row);
        return Datum{0};
    });
}

Datum jit_export_policy(PG_FUNCTION_ARGS) {
    return answer(fcinfo, [](const Args&) { return jit::pg::document_result(jit::policy_file::write()); });
}

Datum jit_import_policy(PG_FUNCTION_ARGS) {
    return answer(fcinfo, [&](const Args& args) {
        const auto document = args.document(0);
        if (!document)
            throw Failure(Code::invalid_argument, "invalid policy", "It is NULL.", "See jit_export_policy().");
        const auto mode =
            args.boolean(1).value_or(true) ? jit::policy_file::Mode::rehearse : jit::policy_file::Mode::apply;
        jit::pg::TableResult table(fcinfo);
        for (const auto& found : jit::policy_file::read(*document, mode, origin_of(fcinfo))) {
            const std::array<jit::pg::Value, 4> row{std::string(found.action), std::string(found.kind), found.name,
                                                    found.what};
            table.put(row);
        }
        return Datum{0};
    });
}

Datum jit_request_digest(PG_FUNCTION_ARGS) {
    return jit::pg::guarded([&] {
        const auto id = Args(fcinfo).bigint(0);
        const auto digest = id ? jit::policy::digest_now(*id) : std::nullopt;
        fcinfo->isnull = !digest;
        return digest ? jit::pg::text_result(*digest) : Datum{0};
    });
}

Datum jit_deny(PG_FUNCTION_ARGS) {
    return answer(fcinfo, [](const Args& args) { return state(jit::decide::deny(args.id(0), args.text(1))); });
}

Datum jit_resume(PG_FUNCTION_ARGS) {
    return answer(fcinfo, [&](const Args& args) {
        return state(jit::decide::resume(args.id(0), args.text(1), origin_of(fcinfo)));
    });
}

Datum jit_revoke(PG_FUNCTION_ARGS) {
    return answer(fcinfo, [](const Args& args) { return state(jit::decide::revoke(args.id(0), args.text(1))); });
}

Datum jit_enroll_totp(PG_FUNCTION_ARGS) {
    return answer(fcinfo, [&](const Args&) {
        const auto enrolment = jit::second_factor::enroll(origin_of(fcinfo));
        const std::array row{jit::pg::Value(enrolment.uri), jit::pg::Value(enrolment.qr)};
        return jit::pg::row_result(fcinfo, row);
    });
}

Datum jit_confirm_totp(PG_FUNCTION_ARGS) {
    hide_code();
    return answer(fcinfo, [&](const Args& args) {
        return jit::pg::texts_result(jit::second_factor::confirm(args.text(0), origin_of(fcinfo)));
    });
}

Datum jit_step_up(PG_FUNCTION_ARGS) {
    hide_code();
    return answer(fcinfo, [&](const Args& args) {
        return Int64GetDatum(jit::second_factor::step_up(args.text(0), origin_of(fcinfo)).us);
    });
}

Datum jit_reset_totp(PG_FUNCTION_ARGS) {
    return answer(fcinfo, [&](const Args& args) {
        jit::second_factor::reset(args.text(0), origin_of(fcinfo));
        return Datum{0};
    });
}

Datum jit_locked_until(PG_FUNCTION_ARGS) {
    return jit::pg::guarded([&] {
        require_loaded();
        const auto until = jit::step_up::locked_until({DatumGetObjectId(fcinfo->args[0].value)});
        fcinfo->isnull = !until;
        return Int64GetDatum(until.value_or(0));
    });
}

Datum jit_break_glass(PG_FUNCTION_ARGS) {
    return answer(fcinfo, [&](const Args& args) {
        return Int64GetDatum(jit::break_glass::ask(
            {.template_name = args.text(0), .duration = args.interval(1), .reason = args.text(2)}, origin_of(fcinfo)));
    });
}

Datum jit_review(PG_FUNCTION_ARGS) {
    return answer(fcinfo, [&](const Args& args) {
        return jit::pg::text_result(
            jit::break_glass::review(args.id(0), {.word = args.text(1), .comment = args.text(2)}, origin_of(fcinfo)));
    });
}

Datum jit_acknowledge_alert(PG_FUNCTION_ARGS) {
    return answer(fcinfo, [&](const Args& args) {
        jit::alert::acknowledge(args.id(0, "alert"), args.text(1), origin_of(fcinfo));
        return Datum{0};
    });
}

Datum jit_close_alert(PG_FUNCTION_ARGS) {
    return answer(fcinfo, [&](const Args& args) {
        jit::alert::close(args.id(0, "alert"), args.text(1), origin_of(fcinfo));
        return Datum{0};
    });
}

Datum jit_set_up_drill(PG_FUNCTION_ARGS) {
    return answer(fcinfo, [&](const Args&) {
        jit::drill::set_up(origin_of(fcinfo));
        return Datum{0};
    });
}

Datum jit_drill(PG_FUNCTION_ARGS) {
    return answer(fcinfo, [&](const Args& args) {
        jit::pg::TableResult table(fcinfo);
        for (const auto& step : jit::drill::run(args.interval(0))) {
            const std::array row{jit::pg::Value(step.number), jit::pg::Value(step.name), jit::pg::Value(step.ok),
                                 jit::pg::Value(step.latency_ms),
                                 step.detail ? jit::pg::Value(*step.detail) : jit::pg::Value()};
            table.put(row);
        }
        return Datum{0};
    });
}

Datum jit_job_drill(PG_FUNCTION_ARGS) {
    return answer(fcinfo, [](const Args&) { return jit::pg::text_result(jit::drill::as_job()); });
}

Datum jit_start_review(PG_FUNCTION_ARGS) {
    return answer(fcinfo, [&](const Args& args) {
        return Int64GetDatum(jit::access_review::start({.scope = args.text(0),
                                                        .reviewers = args.texts(1, "reviewers"),
                                                        .due = args.instant(2),
                                                        .templates = args.texts(3, "templates")},
                                                       origin_of(fcinfo)));
    });
}

Datum jit_review_item(PG_FUNCTION_ARGS) {
    return answer(fcinfo, [&](const Args& args) {
        return jit::pg::text_result(jit::access_review::review(args.id(0, "access review"), args.integer(1),
                                                               {.word = args.text(2), .comment = args.text(3)},
                                                               origin_of(fcinfo)));
    });
}

Datum jit_review_csv(PG_FUNCTION_ARGS) {
    return answer(fcinfo, [](const Args& args) {
        return jit::pg::text_result(jit::access_review::as_csv(args.id(0, "access review")));
    });
}

Datum jit_may_review(PG_FUNCTION_ARGS) {
    return jit::pg::guarded([&] {
        const auto id = Args(fcinfo).bigint(0);
        return BoolGetDatum(id && jit::access_review::may_review(jit::people::of_session(), *id));
    });
}

Datum jit_remind_reviews(PG_FUNCTION_ARGS) {
    return answer(fcinfo, [](const Args&) { return Int64GetDatum(jit::access_review::remind()); });
}

Datum jit_set_alert_rule(PG_FUNCTION_ARGS) {
    return answer(fcinfo, [&](const Args& args) {
        jit::alert_rule::set(args.text(0),
                             {.enabled = args.boolean(1),
                              .severity = args.text(2),
                              .threshold = args.integer(3),
                              .within = args.interval(4),
                              .suspends = args.boolean(5)},
                             origin_of(fcinfo));
        return Datum{0};
    });
}

Datum jit_watch(PG_FUNCTION_ARGS) {
    return answer(fcinfo, [&](const Args& args) {
        const auto reached = jit::watch::read_up_to(args.bigint(0));
        fcinfo->isnull = !reached;
        return Int64GetDatum(reached.value_or(0));
    });
}

Datum jit_dry_run(PG_FUNCTION_ARGS) {
    return answer(fcinfo, [&](const Args& args) {
        jit::pg::TableResult table(fcinfo);
        std::int32_t number = 0;
        for (const auto& one : jit::dry_run::run(asked_of(args), origin_of(fcinfo))) {
            const std::array row{jit::pg::Value(++number),    jit::pg::Value(one.statement),
                                 jit::pg::Value(one.outcome), jit::pg::Value(one.missing),
                                 or_null(one.rows),           jit::pg::Value(one.sequences),
                                 or_null(one.sqlstate),       or_null(one.message)};
            table.put(row);
        }
        return Datum{0};
    });
}

Datum jit_set_scenario(PG_FUNCTION_ARGS) {
    return answer(fcinfo, [&](const Args& args) {
        jit::scenario::set({.name = args.text(0),
                            .description = args.text(7),
                            .expected = args.texts(3, "expected"),
                            .asked = asked_of(args)},
                           origin_of(fcinfo));
        return Datum{0};
    });
}

Datum jit_drop_scenario(PG_FUNCTION_ARGS) {
    return answer(fcinfo, [&](const Args& args) {
        jit::scenario::drop(args.text(0), origin_of(fcinfo));
        return Datum{0};
    });
}

Datum jit_run_scenarios(PG_FUNCTION_ARGS) {
    return answer(fcinfo, [&](const Args& args) {
        jit::pg::TableResult table(fcinfo);
        for (const auto& one : jit::scenario::run(args.text(0), origin_of(fcinfo))) {
            const std::array row{jit::pg::Value(one.scenario),      jit::pg::Value(one.number),
                                 jit::pg::Value(one.got.statement), jit::pg::Value(one.expected),
                                 jit::pg::Value(one.got.outcome),   jit::pg::Value(one.ok),
                                 jit::pg::Value(one.got.missing),   or_null(one.got.message)};
            table.put(row);
        }
        return Datum{0};
    });
}

Datum jit_scenarios_tap(PG_FUNCTION_ARGS) {
    return answer(fcinfo, [&](const Args& args) {
        jit::pg::TableResult table(fcinfo);
        std::int32_t number = 0;
        for (const auto& line : jit::scenario::as_tap(jit::scenario::run(args.text(0), origin_of(fcinfo)))) {
            const std::array row{jit::pg::Value(++number), jit::pg::Value(line)};
            table.put(row);
        }
        return Datum{0};
    });
}

Datum jit_job_scenarios(PG_FUNCTION_ARGS) {
    return answer(fcinfo,
                  [&](const Args&) { return jit::pg::text_result(jit::scenario::run_by_clock(origin_of(fcinfo))); });
}

Datum jit_may_decide(PG_FUNCTION_ARGS) {
    return jit::pg::guarded([&] {
        const auto id = Args(fcinfo).bigint(0);
        return BoolGetDatum(id && jit::people::may_decide(jit::people::of_session(), *id));
    });
}

Datum jit_may_audit(PG_FUNCTION_ARGS) {
    (void)fcinfo;
    return jit::pg::guarded([] { return BoolGetDatum(jit::people::may_audit(jit::pg::session_user())); });
}

Datum jit_require_auditor(PG_FUNCTION_ARGS) {
    (void)fcinfo;
    return jit::pg::guarded([] {
        jit::people::require_auditor(jit::people::of_session());
        return Datum{0};
    });
}

Datum jit_may_monitor(PG_FUNCTION_ARGS) {
    (void)fcinfo;
    return jit::pg::guarded([] { return BoolGetDatum(jit::people::may_monitor(jit::pg::session_user())); });
}

Datum jit_journal(PG_FUNCTION_ARGS) {
    return jit::pg::guarded([&] {
        require_loaded();
        const Args args(fcinfo);
        const auto from = args.bigint(0);
        jit::pg::TableResult table(fcinfo);
        jit::ingest::read(
            from ? std::optional<std::uint64_t>(static_cast<std::uint64_t>(std::max<std::int64_t>(*from, 0)))
                 : std::nullopt,
            static_cast<std::size_t>(std::max(args.integer(1).value_or(0), 0)),
            [&](std::span<const jit::pg::Value> row) { table.put(row); });
        return Datum{0};
    });
}

Datum jit_audit_checkpoint(PG_FUNCTION_ARGS) {
    return answer(fcinfo, [&](const Args&) {
        jit::people::require_auditor(jit::people::asking());
        const auto seq = jit::chain::checkpoint();
        fcinfo->isnull = !seq;
        return Int64GetDatum(seq.value_or(0));
    });
}

Datum jit_audit_verify(PG_FUNCTION_ARGS) {
    return jit::pg::guarded([&] {
        require_loaded();
        jit::people::require_auditor(jit::people::asking());
        const Args args(fcinfo);
        jit::pg::TableResult table(fcinfo);
        const auto verdict = jit::chain::verify(args.bigint(0), args.bigint(1));
        std::vector<jit::pg::Value> row{verdict.sound,
                                        verdict.records,
                                        verdict.first,
                                        verdict.last,
                                        verdict.checkpoints,
                                        jit::core::to_hex(verdict.head),
                                        {},
                                        {}};
        if (verdict.sound) table.put(row);
        for (const auto& finding : verdict.findings) {
            row[6] = finding.seq;
            row[7] = finding.what;
            table.put(row);
        }
        return Datum{0};
    });
}

Datum jit_audit_export(PG_FUNCTION_ARGS) {
    return jit::pg::guarded([&] {
        require_loaded();
        jit::people::require_auditor(jit::people::asking());
        const Args args(fcinfo);
        jit::pg::TableResult table(fcinfo);
        jit::chain::write_out(
            args.bigint(0), args.bigint(1), [&](std::optional<std::int64_t> seq, const std::string& line) {
                const std::array row{seq ? jit::pg::Value(*seq) : jit::pg::Value(), jit::pg::Value(line)};
                table.put(row);
            });
        return Datum{0};
    });
}

Datum jit_report_html(PG_FUNCTION_ARGS) {
    return answer(fcinfo, [](const Args& args) {
        return jit::pg::text_result(jit::report_page::make(args.text(0), args.instant(1), args.instant(2)));
    });
}

Datum jit_csv_cell(PG_FUNCTION_ARGS) {
    return jit::pg::guarded(
        [&] { return jit::pg::text_result(jit::core::csv_cell(Args(fcinfo).text(0).value_or(""))); });
}

Datum jit_status(PG_FUNCTION_ARGS) {
    return jit::pg::guarded([&] {
        require_loaded();
        const auto row = jit::report::status();
        return jit::pg::row_result(fcinfo, row);
    });
}

Datum jit_confirmed(PG_FUNCTION_ARGS) {
    return jit::pg::guarded([&] {
        require_loaded();
        const auto id = Args(fcinfo).bigint(0);
        return BoolGetDatum(id && jit::report::confirmed(*id));
    });
}

Datum jit_schedule(PG_FUNCTION_ARGS) {
    return answer(fcinfo, [&](const Args& args) {
        jit::pg::TableResult table(fcinfo);
        for (const auto& made : jit::schedule::make(args.text(0), args.text(1), origin_of(fcinfo))) {
            const std::array<jit::pg::Value, 3> row{made.name, made.schedule, made.command};
            table.put(row);
        }
        return Datum{0};
    });
}

Datum jit_unschedule(PG_FUNCTION_ARGS) {
    return answer(fcinfo, [&](const Args& args) {
        return Int32GetDatum(jit::schedule::remove(args.text(0), origin_of(fcinfo)));
    });
}

Datum jit_run_job(PG_FUNCTION_ARGS) {
    return answer(fcinfo, [](const Args& args) { return jit::pg::text_result(jit::schedule::run(args.text(0))); });
}

Datum jit_cron_state(PG_FUNCTION_ARGS) {
    return jit::pg::guarded([&] {
        const auto job = Args(fcinfo).text(0);
        const auto state = job ? jit::schedule::state_in_cron(*job) : std::nullopt;
        fcinfo->isnull = !state;
        return state ? jit::pg::text_result(*state) : Datum{0};
    });
}

Datum jit_job_retention(PG_FUNCTION_ARGS) {
    return answer(fcinfo, [](const Args&) { return jit::pg::text_result(jit::jobs::retention()); });
}

Datum jit_job_drift(PG_FUNCTION_ARGS) {
    return answer(fcinfo, [](const Args&) { return jit::pg::text_result(jit::jobs::drift()); });
}

Datum jit_job_verify(PG_FUNCTION_ARGS) {
    return answer(fcinfo, [](const Args&) { return jit::pg::text_result(jit::jobs::verify()); });
}

Datum jit_job_review_reminders(PG_FUNCTION_ARGS) {
    return answer(fcinfo, [](const Args&) { return jit::pg::text_result(jit::jobs::review_reminders()); });
}

void jit_worker_main(Datum);

void jit_worker_main(Datum) {
    jit::pg::guarded([] {
        jit::pg::become_worker(jit::settings::database);
        jit::worker::run();
    });
}

void jit_drill_main(Datum);

void jit_drill_main(Datum) {
    jit::pg::guarded([] { jit::drill::conduct(); });
}

void jit_drill_actor_main(Datum);

void jit_drill_actor_main(Datum) {
    jit::pg::guarded([] { jit::drill::act(); });
}

void jit_reclaimer_main(Datum);

void jit_reclaimer_main(Datum) {
    jit::pg::guarded([] {
        const auto order = jit::pg::become_reclaimer();
        jit::chores::try_to("reclaim what a grant left in this database", [&] {
            if (const auto name = jit::pg::role_name(order.role))
                jit::reclaim::hand_over(order.role, *name, order.heir);
        });
        jit::wake_worker();
    });
}

void jit_job_main(Datum);

void jit_job_main(Datum) {
    jit::pg::guarded([] { jit::schedule::work(jit::pg::become_job(jit::settings::database)); });
}

}  // extern "C"

#pragma GCC visibility pop
