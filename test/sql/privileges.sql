\set ECHO none
\i test/sql/include/tap.sql
\i test/sql/include/people.sql
-- Privileges on every function, table, view, sequence and type of the extension. The lists are by name, so that a new
-- object fails this test until it is added to a list.
CREATE ROLE reads_all LOGIN IN ROLE pg_read_all_data;
CREATE ROLE writes_all LOGIN IN ROLE pg_write_all_data;
CREATE ROLE reads_and_writes_all LOGIN IN ROLE pg_read_all_data, pg_write_all_data;
CREATE TEMPORARY VIEW member AS
SELECT d.classid, d.objid FROM pg_depend d JOIN pg_extension e ON d.refclassid = 'pg_extension'::regclass AND d.refobjid = e.oid
WHERE e.extname = 'jit_access' AND d.deptype = 'e';
CREATE TEMPORARY VIEW functions AS
SELECT p.oid, p.oid::regprocedure::text AS name, p.prosecdef, p.proconfig FROM pg_proc p JOIN member m ON m.classid = 'pg_proc'::regclass AND m.objid = p.oid;
CREATE TEMPORARY VIEW relations AS
SELECT c.oid, c.relname::text AS name, c.relkind, c.relrowsecurity, c.relforcerowsecurity
FROM pg_class c JOIN member m ON m.classid = 'pg_class'::regclass AND m.objid = c.oid;

SELECT is(ARRAY(SELECT f.name FROM functions f WHERE has_function_privilege('dave', f.oid, 'EXECUTE') ORDER BY f.name COLLATE "C"), ARRAY[
    'jit_access.may_audit()', 'jit_access.may_decide(bigint)', 'jit_access.may_monitor()', 'jit_access.may_review(bigint)', 'jit_access.request_digest(bigint)',
    'jit_access.review_evidence(bigint,integer)',
    'jit_activate(numeric)',
    'jit_approve(numeric,text,interval,text)',
    'jit_break_glass(text,interval,text)',
    'jit_cancel(numeric,text)',
    'jit_confirm_totp(text)',
    'jit_credentials(numeric)',
    'jit_deny(numeric,text)',
    'jit_dry_run(text,text[],text,text,text[],text,interval,boolean,boolean)',
    'jit_eligibility(text,interval)',
    'jit_enroll_totp()',
    'jit_extend(numeric,interval,text)',
    'jit_request(text,interval,text,text,text[],timestamp with time zone)',
    'jit_resume(numeric,text)',
    'jit_review(numeric,text,text)',
    'jit_review_csv(numeric)',
    'jit_review_item(numeric,integer,text,text)',
    'jit_revoke(numeric,text)',
    'jit_step_up(text)'], 'functions that every role may call');
SELECT is(ARRAY(SELECT f.name FROM functions f WHERE has_function_privilege('olga', f.oid, 'EXECUTE')
                AND NOT has_function_privilege('dave', f.oid, 'EXECUTE') ORDER BY f.name COLLATE "C"),
    ARRAY['jit_access.confirmed(bigint)', 'jit_access.cron_state(text)', 'jit_access.hours(text[],timestamp with time zone)', 'jit_access.job_state(text)',
          'jit_access.journal(bigint,integer)', 'jit_access.locked_until(oid)', 'jit_access.read_metrics()', 'jit_access.schema_of(text)', 'jit_access.status()',
          'jit_access.usage_between(bigint,bigint)', 'jit_acknowledge_alert(numeric,text)', 'jit_audit_checkpoint()',
          'jit_audit_export(bigint,bigint)', 'jit_audit_verify(bigint,bigint)', 'jit_close_alert(numeric,text)', 'jit_export_policy()',
          'jit_propose_template(text,timestamp with time zone)', 'jit_prove_proposal(text,text[],timestamp with time zone)',
          'jit_report(text,timestamp with time zone,timestamp with time zone)', 'jit_report_csv(text,timestamp with time zone,timestamp with time zone,text)',
          'jit_report_html(text,timestamp with time zone,timestamp with time zone)', 'jit_report_verify()', 'jit_run_scenarios(text)', 'jit_scenarios_tap(text)'],
    'functions that auditors may call besides');
SELECT is(ARRAY(SELECT split_part(f.name, '(', 1) FROM functions f WHERE has_function_privilege('ada', f.oid, 'EXECUTE')
                AND NOT has_function_privilege('dave', f.oid, 'EXECUTE') ORDER BY f.name COLLATE "C"),
    '{jit_access.confirmed,jit_access.cron_state,jit_access.hours,jit_access.job_history_rules,jit_access.job_state,jit_access.journal,jit_access.locked_until,jit_access.read_metrics,jit_access.run_job,jit_access.schema_of,jit_access.status,jit_access.usage_between,jit_acknowledge_alert,jit_alter_template,jit_audit_checkpoint,jit_audit_export,jit_audit_verify,jit_close_alert,jit_create_rule,jit_create_template,jit_create_window,jit_drill,jit_drop_rule,jit_drop_scenario,jit_drop_template,jit_drop_window,jit_export_policy,jit_import_policy,jit_propose_template,jit_prove_proposal,jit_report,jit_report_csv,jit_report_html,jit_report_verify,jit_reset_totp,jit_run_scenarios,jit_scenarios_tap,jit_schedule,jit_set_alert_rule,jit_set_person,jit_set_scenario,jit_set_up_drill,jit_start_review,jit_unschedule}',
    'functions that administrators may call besides');
SELECT is(ARRAY(SELECT split_part(f.name, '(', 1) FROM functions f WHERE NOT has_function_privilege('ada', f.oid, 'EXECUTE')
                AND NOT has_function_privilege('olga', f.oid, 'EXECUTE') ORDER BY f.name COLLATE "C"),
    '{jit_access.check_framework,jit_access.check_installation,jit_access.check_report,jit_access.collect_evidence,jit_access.count_kinds,jit_access.count_uses,jit_access.cover_new_objects,jit_access.csv_cell,jit_access.detect,jit_access.is_off_record,jit_access.job_drift,jit_access.job_drill,jit_access.job_retention,jit_access.job_review_reminders,jit_access.job_scenarios,jit_access.job_verify,jit_access.next_id,jit_access.person_of_login,jit_access.record_report,jit_access.refused_privileges,jit_access.remind_reviews,jit_access.require_auditor,jit_access.sum_up_usage,jit_access.uses_by_day,jit_access.utc}', 'functions that only the server''s owner may call');
SELECT is(ARRAY(SELECT f.name FROM functions f WHERE f.prosecdef AND NOT coalesce(f.proconfig @> '{"search_path=pg_catalog, pg_temp"}', false)), '{}',
    'functions that run with their owner''s privileges have a search_path of their own');

SELECT is(ARRAY(SELECT r.name FROM relations r WHERE r.relkind <> 'S' AND has_table_privilege('dave', r.oid, 'SELECT') ORDER BY r.name COLLATE "C"),
    '{access_review_items,access_reviews,my_grants,my_requests,pending_requests,reviews}', 'views that every role may read');
SELECT is(ARRAY(SELECT r.name FROM relations r WHERE r.relkind <> 'S' AND has_table_privilege(who, r.oid, 'SELECT')
                AND NOT has_table_privilege('dave', r.oid, 'SELECT') ORDER BY r.name COLLATE "C"),
    '{active_grants,alert_rules,alerts,audit_log,decisions,drills,grant_history,grant_usage,health,jobs,metrics,people,privilege_usage,quarantine,rules,scenario_results,scenarios,second_factors,standing_privileges,template_catalog,template_limits,template_privileges,verifications,windows}', 'what ' || who || ' may read besides')
FROM unnest('{ada,olga}'::text[]) AS who;
SELECT is(ARRAY(SELECT r.name FROM relations r WHERE r.relkind <> 'S'
                AND has_table_privilege(who, r.oid, 'INSERT, UPDATE, DELETE, TRUNCATE, REFERENCES, TRIGGER')), '{}', who || ' may write nothing')
FROM unnest('{ada,dave,olga,reads_all}'::text[]) AS who;
SELECT is(ARRAY(SELECT r.name FROM relations r WHERE has_any_column_privilege(who, r.oid, 'INSERT, UPDATE, REFERENCES')
                AND who <> 'writes_all'), '{}', who || ' may write no column')
FROM unnest('{ada,dave,olga,reads_all}'::text[]) AS who;
SELECT is(ARRAY(SELECT r.name FROM relations r WHERE r.relkind = 'S' AND has_sequence_privilege(who, r.oid, 'USAGE, UPDATE')), '{}',
    who || ' may move no sequence')
FROM unnest('{ada,dave,olga,reads_all}'::text[]) AS who;
SELECT is(ARRAY(SELECT r.name FROM relations r WHERE r.relkind IN ('r', 'p') AND NOT (r.relrowsecurity AND r.relforcerowsecurity)), '{}',
    'every table has row security, for its owner too');
SELECT is((SELECT count(*)::int FROM pg_policy p JOIN relations r ON r.oid = p.polrelid), 0, 'and no policy that lets a row through');
SELECT ok(has_schema_privilege('dave', 'jit_access', 'USAGE') AND NOT has_schema_privilege(who, 'jit_access', 'CREATE'), who || ' makes nothing in the schema')
FROM unnest('{ada,dave,olga,writes_all}'::text[]) AS who;

-- Members of pg_read_all_data and pg_write_all_data have the privilege but see no row.
\connect - reads_all
CALL tap.start();
SELECT is_empty('SELECT * FROM jit_access.' || name, 'reading everything meets no row of ' || name)
FROM unnest('{alert, chain, checkpoint, decision, event, journal_position, record, record_1, request, review, scenario, scenario_result, template, template_person, usage}'::text[]) WITH ORDINALITY AS v (name, n) ORDER BY n;
SELECT matches(tap.error(format('DO $do$ BEGIN IF EXISTS (SELECT FROM jit_access.%I) THEN RAISE ''there are rows''; END IF; END $do$', relname)),
    '(no error|42501)', 'nor of the view ' || relname)
FROM pg_class WHERE relnamespace = 'jit_access'::regnamespace AND relkind = 'v'
  -- Constants, and roles that the catalogs of the server show to everybody.
  AND relname NOT IN ('template_limits', 'powerful_role') ORDER BY relname;
-- What ANALYZE and TOAST copy out of the tables has no row security: pg_statistic, and the TOAST tables.
\connect - :owner
CALL tap.start();
SELECT 'ANALYZE ' || oid::regclass FROM pg_class WHERE relnamespace = 'jit_access'::regnamespace AND relkind IN ('r', 'p') \gexec
SELECT is_empty($$SELECT s.starelid::regclass, s.staattnum FROM pg_statistic s JOIN pg_class c ON c.oid = s.starelid WHERE c.relnamespace = 'jit_access'::regnamespace$$,
    'ANALYZE copies no value');
SELECT is_empty($$SELECT a.attrelid::regclass, a.attname FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
    WHERE c.relnamespace = 'jit_access'::regnamespace AND c.relkind IN ('r', 'p') AND a.attnum > 0 AND NOT a.attisdropped AND a.attstattarget IS DISTINCT FROM 0$$,
    'of no column, as new tables are added');
SELECT is_empty($$SELECT c.oid::regclass FROM pg_class c WHERE c.relnamespace = 'jit_access'::regnamespace AND (c.relkind = 'm' OR EXISTS (SELECT FROM pg_statistic_ext e WHERE e.stxrelid = c.oid))$$,
    'nor do materialized views or extended statistics');
CREATE TABLE app.long (t text);
SELECT ok(count(*) > 10, 'there are TOAST tables') FROM pg_class c WHERE c.relnamespace = 'jit_access'::regnamespace AND c.reltoastrelid <> 0;
SELECT lives_ok('SELECT * FROM ' || (SELECT reltoastrelid::regclass FROM pg_class WHERE oid = 'jit_access.record_1'::regclass), 'a superuser reads them');
\connect - reads_all
CALL tap.start();
SELECT is(string_agg(DISTINCT left(tap.error(format(statement, c.reltoastrelid::regclass)), 55), ', '), 'JA004 permission denied for a TOAST table of jit_access', statement)
FROM pg_class c, unnest('{SELECT * FROM %s, SELECT count(*) FROM %s, SELECT max(chunk_id) FROM %s, SELECT (SELECT chunk_data FROM %s LIMIT 1), EXPLAIN SELECT 1 FROM %s, DECLARE c CURSOR FOR SELECT * FROM %s}'::text[]) WITH ORDINALITY AS v (statement, n)
WHERE c.relnamespace = 'jit_access'::regnamespace AND c.reltoastrelid <> 0
GROUP BY statement, n ORDER BY n;
SELECT lives_ok('SELECT * FROM ' || (SELECT reltoastrelid::regclass FROM pg_class WHERE oid = 'app.long'::regclass), 'those of other tables are read');
\connect - :owner
DROP TABLE app.long;
SELECT jit_create_template('debug_read', '{USAGE ON SCHEMA app}', requesters => '{alice}', approvers => '{bob}') AS role \gset
\connect - alice
SELECT jit_request('debug_read', '1h') AS id \gset
\connect - :owner
CALL tap.wait_for_record();
SELECT tap.state() AS before, (SELECT md5(string_agg(r::text, ',' ORDER BY seq)) FROM jit_access.record r) AS record \gset
\connect - reads_and_writes_all
CALL tap.start();
SELECT lives_ok('UPDATE jit_access.request SET state = ''active''', 'writing everything updates');
SELECT lives_ok('DELETE FROM jit_access.record', 'and deletes, but meets no row');
SELECT is_empty($$SELECT c.oid::regclass FROM pg_class c WHERE c.relkind = 'S' AND c.relnamespace = 'jit_access'::regnamespace$$,
    'there is no sequence that it could set: ids come from a function');
SELECT tap.refused(statement, '42501', statement)
FROM unnest(ARRAY['INSERT INTO jit_access.template_person VALUES (1, ''approver'', 10, ''me'')', 'TRUNCATE jit_access.record',
                  'SELECT jit_access.next_id(''event'')', 'SELECT jit_access.next_id(''request'')',
                  'ALTER TABLE jit_access.record DISABLE ROW LEVEL SECURITY', 'ALTER TABLE jit_access.record NO FORCE ROW LEVEL SECURITY',
                  'CREATE POLICY p ON jit_access.record USING (true)', 'CREATE RULE r AS ON INSERT TO jit_access.record DO INSTEAD NOTHING',
                  'ALTER EVENT TRIGGER jit_access_cover_new_objects DISABLE', 'ALTER TYPE jit_access.state ADD VALUE ''free''',
                  'ALTER FUNCTION jit_approve(numeric, text, interval, text) SECURITY INVOKER', 'DROP EXTENSION jit_access CASCADE']) WITH ORDINALITY AS v (statement, n)
ORDER BY n;
\connect - writes_all
CALL tap.start();
SELECT lives_ok('DELETE FROM jit_access.request', 'deletes without a condition');
\connect - :owner
CALL tap.start();
SELECT is(tap.state(), :'before', 'nothing has changed');
SELECT is((SELECT md5(string_agg(r::text, ',' ORDER BY seq)) FROM jit_access.record r), :'record', 'nor has the record');

-- Every function, called by every role.
\connect - dave
CALL tap.start();
SELECT tap.refused(call, error, call) FROM (VALUES
    (1, $$SELECT jit_create_template('x', '{USAGE ON SCHEMA app}')$$, '42501'), (2, $$SELECT jit_alter_template('debug_read')$$, '42501'),
    (3, $$SELECT jit_drop_template('debug_read')$$, '42501'), (4, 'SELECT jit_access.check_installation()', '42501'),
    (5, 'SELECT jit_access.cover_new_objects()', '42501'), (6, 'SELECT jit_access.status()', '42501'),
    (7, 'SELECT jit_access.journal()', '42501'), (8, 'SELECT jit_access.confirmed(1)', '42501')) v (n, call, error) ORDER BY n;
SELECT is(jit_access.may_decide(id), false, 'dave decides nothing') FROM generate_series(-1, 2) AS id;
SELECT is(jit_access.may_decide(NULL), false, 'not even NULL');
\connect - olga
CALL tap.start();
SELECT tap.refused(call, error, call) FROM (VALUES
    (1, $$SELECT jit_create_template('x', '{USAGE ON SCHEMA app}')$$, '42501'), (2, $$SELECT jit_alter_template('debug_read')$$, '42501'),
    (3, $$SELECT jit_drop_template('debug_read')$$, '42501'), (4, 'SELECT jit_access.check_installation()', '42501'),
    (5, 'SELECT jit_access.cover_new_objects()', '42501')) v (n, call, error) ORDER BY n;

-- A granted EXECUTE is not enough: the function checks its caller.
\connect - :owner
GRANT EXECUTE ON FUNCTION jit_drop_template(text) TO dave;
\connect - dave
CALL tap.start();
SELECT tap.refused($$SELECT jit_drop_template('debug_read')$$,
    'JA004 only an administrator of jit_access may do this: "dave" is neither a superuser nor a member of jit_admin.',
    'EXECUTE on a function does not make an administrator');
\connect - :owner
REVOKE EXECUTE ON FUNCTION jit_drop_template(text) FROM dave;
\i test/sql/include/clean.sql
DROP ROLE reads_all, writes_all, reads_and_writes_all;
