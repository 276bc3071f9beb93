\set ECHO none
\i test/sql/include/tap.sql
\i test/sql/include/people.sql
-- Unused privileges of a template, the narrower template that is proposed and proved, and standing privileges.
CREATE ROLE reporters ROLE dave;
GRANT USAGE ON SCHEMA app TO reporters;
GRANT SELECT ON app.customers TO reporters, alice;
CREATE TABLE app.log (note text);
CREATE SCHEMA odd;
CREATE TABLE odd."Mixed Case" (id integer, secret text);
SELECT jit_create_template('wide', '{"USAGE ON SCHEMA app, odd", "SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA app", "SELECT (id) ON odd.\"Mixed Case\"", "USAGE ON ALL SEQUENCES IN SCHEMA app", EXECUTE ON ALL FUNCTIONS IN SCHEMA app}',
    requesters => '{developers}', approvers => '{leads}') AS role \gset
SELECT jit_create_template('idle', '{USAGE ON SCHEMA app}', requesters => '{developers}', approvers => '{leads}') AS role \gset
SELECT is((SELECT count(times)::int FROM jit_access.privilege_usage WHERE template = 'wide'), 0, 'nothing was used yet');
SELECT results_eq($$SELECT statement, notes FROM jit_propose_template('idle')$$, $$VALUES (NULL::text, '{"nothing of it was used: jit_drop_template is narrower"}'::text[])$$, 'nothing to propose');
\connect - alice
SELECT jit_request('wide', '1h') AS id \gset
\connect - bob
SELECT jit_approve(:id) AS state \gset
\connect - alice
SELECT count(*) AS n FROM app.orders \gset
SELECT count(*) AS n FROM app.orders WHERE id = 1 \gset
UPDATE app.orders SET status = 'seen' WHERE id = 1;
SELECT count(*) AS n FROM app.customers \gset
SELECT count(id) AS n FROM odd."Mixed Case" \gset
SELECT nextval('app.numbers') AS n \gset
TRUNCATE app.log;
\connect - :owner
CALL tap.start();
CALL tap.wait_for_record();
SELECT results_eq($$SELECT privilege, kind, object, times, needed, people, last_use IS NOT NULL FROM jit_access.privilege_usage
    WHERE template = 'wide' AND on_record AND times IS NOT NULL ORDER BY object, privilege$$, $$VALUES
    ('USAGE', 'schema', 'app', 6::bigint, 5::bigint, '{alice}'::text[], true),
    ('SELECT', 'table', 'app.customers', 1, 0, '{alice}', true),
    ('USAGE', 'sequence', 'app.numbers', 1, 1, '{alice}', true),
    ('SELECT', 'table', 'app.orders', 3, 3, '{alice}', true),
    ('UPDATE', 'table', 'app.orders', 1, 1, '{alice}', true),
    ('USAGE', 'schema', 'odd', 1, 1, '{alice}', true),
    ('SELECT', 'columns', 'odd."Mixed Case"', 1, 1, '{alice}', true)$$, 'the used privileges');
SELECT is((SELECT array_agg(privilege || ' ' || object ORDER BY object, privilege) FROM jit_access.privilege_usage WHERE template = 'wide' AND on_record AND times IS NULL),
    '{"DELETE app.customers","INSERT app.customers","UPDATE app.customers","DELETE app.log","INSERT app.log","SELECT app.log","UPDATE app.log","DELETE app.orders","INSERT app.orders"}', 'and the unused ones');
SELECT is((SELECT array_agg(object) FROM jit_access.privilege_usage WHERE template = 'wide' AND NOT on_record), '{app.next_status(text)}', 'and those that the record cannot show');
SELECT jit_access.sum_up_usage(1000000) AS n \gset
SELECT is(jit_access.sum_up_usage(), 0::bigint, 'the record is summed up');
SELECT is((SELECT times FROM jit_access.privilege_usage WHERE template = 'wide' AND object = 'app.orders' AND privilege = 'SELECT'), 3::bigint, 'which changes no answer');
SELECT is((SELECT times FROM jit_access.privilege_usage WHERE template = 'wide' AND object = 'app.orders' AND privilege = 'SELECT'), 3::bigint, 'nor does that');

\connect - olga
CALL tap.start();
SELECT statement AS proposal, privileges, array_to_string(unused, '; ') AS unused, array_to_string(notes, '; ') AS notes FROM jit_propose_template('wide') \gset
\echo :proposal
\echo :unused
\echo :notes
SELECT verdict || ' | ' || concat_ws(' | ', statement, login, times, nullif(array_to_string(missing, '; '), ''), message) FROM jit_prove_proposal('wide') ORDER BY statement COLLATE "C";
SELECT is((SELECT array_agg(DISTINCT verdict) FROM jit_prove_proposal('wide')), '{passes}', 'everything that was done passes');
SELECT is((SELECT array_agg(statement || ': ' || array_to_string(missing, '; ')) FROM jit_prove_proposal('wide', '{"USAGE ON SCHEMA app, odd", SELECT ON app.orders, "SELECT (id) ON odd.\"Mixed Case\"", USAGE ON SEQUENCE app.numbers}') WHERE verdict = 'fails'),
    '{"UPDATE app.orders SET status = ''seen'' WHERE id = 1: UPDATE ON app.orders"}', 'a template that is narrower than the uses fails');
SELECT is((SELECT statement FROM jit_propose_template('wide', now() + interval '2 days')), NULL, 'since a moment');

-- Standing privileges
SELECT results_eq($$SELECT login, privilege, object, via, by_ownership, last_known_use IS NOT NULL FROM jit_access.standing_privileges WHERE template = 'wide' ORDER BY login$$,
    $$VALUES ('alice', 'SELECT', 'app.customers', '{alice}'::text[], false, true), ('dave', 'SELECT', 'app.customers', '{reporters}', false, false)$$, 'the standing privileges, and their uses');

-- The proposal is a statement that an administrator can send.
\connect - :owner
CALL tap.start();
SELECT jit_revoke(:id) AS state \gset
CALL tap.wait_for_cleanup();
\connect - ada
:proposal AS version \gset
CALL tap.start();
SELECT is(:version, 2, 'the proposal is done');
SELECT is((SELECT unused FROM jit_propose_template('wide') WHERE statement IS NULL), '{}', 'and then nothing is left to narrow');

-- Permissions
\connect - alice
CALL tap.start();
SELECT is(tap.error(statement), '42501', 'a requester: ' || statement) FROM unnest(ARRAY['SELECT * FROM jit_access.privilege_usage', 'SELECT * FROM jit_access.standing_privileges', 'SELECT * FROM jit_access.template_privileges',
    'SELECT * FROM jit_propose_template(''wide'')', 'SELECT * FROM jit_prove_proposal(''wide'')', 'SELECT * FROM jit_access.usage_between(0, 1000000)', 'SELECT jit_access.sum_up_usage()', 'SELECT * FROM jit_access.usage']) AS statement;
\connect - olga
CALL tap.start();
SELECT is(tap.error(statement), '42501', 'an auditor: ' || statement) FROM unnest(ARRAY['SELECT jit_access.sum_up_usage()', 'SELECT * FROM jit_access.usage', 'SELECT jit_alter_template(''wide'', privileges => ''{}'')']) AS statement;
SELECT tap.refused($$SELECT * FROM jit_propose_template('none')$$, 'JA002 template "none" does not exist: Names are matched exactly.', 'a template that is not there');
SELECT tap.refused($$SELECT * FROM jit_prove_proposal('none')$$, 'JA002 template "none" does not exist: Names are matched exactly.', 'nor can that be proved');
\i test/sql/include/clean.sql
DROP SCHEMA odd CASCADE;
DROP ROLE reporters;
