\set ECHO none
\i test/sql/include/tap.sql
\i test/sql/include/people.sql
-- Scenarios: stored dry runs for the templates to start with (docs/policy.md).
CREATE TABLE app.closed (id integer);
SELECT jit_create_template('debug_read', '{USAGE ON SCHEMA app, SELECT ON ALL TABLES IN SCHEMA app}',
    requesters => '{developers}', approvers => '{leads}') AS role \gset
SELECT jit_create_template('migration_writer', '{USAGE ON SCHEMA app, "SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA app"}',
    requesters => '{developers}', approvers => '{leads}') AS role \gset
SELECT jit_create_template('hotfix_admin', '{"USAGE, CREATE ON SCHEMA app", "SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA app"}',
    requesters => '{developers}', approvers => '{leads}', mode => 'set_role', allow_schema_change => true) AS role \gset
\connect - ada
SELECT jit_set_scenario('debug-read', 'debug_read', ARRAY['SELECT * FROM app.orders', 'UPDATE app.orders SET status = NULL', 'CREATE TABLE app.x ()'],
    '{allowed, denied, denied}', person => 'alice', description => 'looks, and changes nothing') AS done \gset
SELECT jit_set_scenario('migration', 'migration_writer', ARRAY['UPDATE app.orders SET status = ''x''', 'DELETE FROM app.customers', 'TRUNCATE app.orders'],
    '{allowed, allowed, denied}', person => 'alice') AS done \gset
SELECT jit_set_scenario('hotfix', 'hotfix_admin', ARRAY['CREATE TABLE app.repair (id integer)', 'INSERT INTO app.repair SELECT id FROM app.orders', 'DROP TABLE app.repair', 'DROP TABLE app.orders'],
    '{allowed, allowed, allowed, denied}', mode => 'execute') AS done \gset
CALL tap.start();
SELECT results_eq($$SELECT name, template, person, mode, expected, ok FROM jit_access.scenarios ORDER BY name$$,
    $$VALUES ('debug-read', 'debug_read', 'alice', 'check', '{allowed,denied,denied}'::text[], NULL::boolean),
             ('hotfix', 'hotfix_admin', NULL, 'execute', '{allowed,allowed,allowed,denied}', NULL), ('migration', 'migration_writer', 'alice', 'check', '{allowed,allowed,denied}', NULL)$$, 'the stored scenarios');
SELECT scenario || ' ' || number || ' ' || concat_ws(' | ', ok, expected, outcome, nullif(array_to_string(missing, '; '), ''), message) FROM jit_run_scenarios();
SELECT ok(bool_and(ok), 'all are green') FROM jit_access.scenario_results;

-- Removed in a test.
\connect - :owner
REVOKE DELETE ON app.customers FROM jit_template_migration_writer;
\connect - ada
CALL tap.start();
SELECT scenario || ' ' || number || ' ' || concat_ws(' | ', ok, expected, outcome, nullif(array_to_string(missing, '; '), ''), message) FROM jit_run_scenarios() WHERE NOT ok;
SELECT is((SELECT array_agg(name) FROM jit_access.scenarios WHERE NOT ok), '{migration}', 'a privilege that was taken away turns exactly the right scenario red');
SELECT is((SELECT missing[2] FROM jit_access.scenario_results WHERE scenario = 'migration' ORDER BY id DESC LIMIT 1), 'DELETE ON app.customers', 'with the right missing privilege');
SELECT '> ' || line FROM jit_scenarios_tap('migration');
\connect - :owner
CALL tap.start();
CALL tap.wait_for_record();
SELECT is((SELECT array_agg(concat_ws(' | ', login, detail ->> 'scenario', detail ->> 'template', detail ->> 'reason')) FROM jit_access.audit_log WHERE kind = 'scenario failed'),
    '{"ada | migration | migration_writer | statement 2 is denied, not allowed: DELETE ON app.customers"}', 'and is on the record once, while it stays red');
GRANT DELETE ON app.customers TO jit_template_migration_writer;
SELECT jit_access.job_scenarios() AS said \gset
SELECT is(:'said'::text, '3 scenarios, 0 failed', 'green again, by the job');
SELECT jit_drop_template('debug_read') AS done \gset
SELECT jit_access.job_scenarios() AS said \gset
SELECT is(:'said'::text, '3 scenarios, 1 failed: debug-read', 'a template that is gone');
SELECT is((SELECT messages[1] FROM jit_access.scenario_results WHERE scenario = 'debug-read' ORDER BY id DESC LIMIT 1),
    'the dry run was not made: template "debug_read" does not exist: Names are matched exactly.', 'and why');

-- Permissions and bad input
\connect - olga
CALL tap.start();
SELECT is((SELECT array_agg(DISTINCT scenario) FROM jit_run_scenarios()), '{debug-read,migration}', 'an auditor runs those that check');
SELECT tap.refused($$SELECT * FROM jit_run_scenarios('hotfix')$$, 'JA004 only an administrator of jit_access may do this: "olga" is neither a superuser nor a member of jit_admin.', 'and no other');
SELECT is(tap.error(statement), '42501', 'an auditor: ' || statement) FROM unnest(ARRAY['SELECT jit_set_scenario(''x'', ''hotfix_admin'', ''{SELECT 1}'')', 'SELECT jit_drop_scenario(''hotfix'')',
    'SELECT jit_access.job_scenarios()', 'DELETE FROM jit_access.scenario_result']) AS statement;
\connect - alice
CALL tap.start();
SELECT is(tap.error(statement), '42501', 'a requester: ' || statement) FROM unnest(ARRAY['SELECT * FROM jit_run_scenarios()', 'SELECT * FROM jit_scenarios_tap()', 'SELECT * FROM jit_access.scenarios',
    'SELECT * FROM jit_access.scenario_results', 'SELECT jit_set_scenario(''x'', ''hotfix_admin'', ''{SELECT 1}'')']) AS statement;
\connect - ada
CALL tap.start();
SELECT tap.refused('SELECT jit_set_scenario(' || arguments || ')', error, 'bad input: ' || arguments) FROM (VALUES
    (1, 'NULL, ''hotfix_admin'', ''{SELECT 1}''', 'JA001 invalid scenario name: It is NULL.'),
    (2, '''x'', NULL, ''{SELECT 1}''', 'JA001 invalid template: It is NULL.'),
    (3, '''x'', ''none'', ''{SELECT 1}''', 'JA002 template "none" does not exist: Names are matched exactly.'),
    (4, '''x'', ''hotfix_admin'', ''{}''', 'JA001 invalid statements: There are none.'),
    (5, '''x'', ''hotfix_admin'', ''{SELECT 1}'', ''{allowed,denied}''', 'JA001 invalid expected: There are 2 outcomes for 1 statements.'),
    (6, '''x'', ''hotfix_admin'', ''{SELECT 1}'', ''{maybe}''', 'JA001 invalid expected: "maybe" is not an outcome.'),
    (7, '''x'', ''hotfix_admin'', ''{SELECT 1}'', person => ''alice'', mode => ''execute''', 'JA004 only a superuser executes a dry run as another person: It would use the privileges that "alice" has without a grant.')) v (n, arguments, error) ORDER BY n;
SELECT alike(tap.error($$SELECT jit_set_scenario('x', 'hotfix_admin', '{SELECT 1}')$$), 'JA018 scenario "x" is set only by a statement that "ada" has sent: %', 'setting one is a statement of the administrator');
SELECT alike(tap.error($$SELECT jit_drop_scenario('hotfix')$$), 'JA018 %', 'so is dropping one');
SELECT alike(tap.error($$SELECT * FROM jit_run_scenarios('hotfix')$$), 'JA018 %', 'and running one that executes');
SELECT tap.refused($$SELECT jit_drop_scenario('none')$$, 'JA001 scenario "none" does not exist', 'one that is not there');
SELECT jit_drop_scenario('hotfix') AS done \gset
SELECT is((SELECT count(*)::int FROM jit_access.scenarios WHERE name = 'hotfix'), 0, 'dropped');
SELECT cmp_ok((SELECT count(*)::int FROM jit_access.scenario_results WHERE scenario = 'hotfix'), '>', 0, 'its results stay');
\o /dev/null
SELECT jit_drop_scenario(name) AS done FROM jit_access.scenarios;
\o
\i test/sql/include/clean.sql
