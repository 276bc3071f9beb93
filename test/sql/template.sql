\set ECHO none
\i test/sql/include/tap.sql
\i test/sql/include/people.sql
-- Templates: what they may hold, and how they are changed and dropped. An administrator need not be a superuser.
CREATE ROLE app_reader;
GRANT USAGE ON SCHEMA app TO app_reader;
GRANT SELECT ON app.customers TO app_reader;
CREATE PROCEDURE app.tidy() LANGUAGE sql AS 'SELECT 1';
REVOKE EXECUTE ON PROCEDURE app.tidy() FROM PUBLIC;
CREATE TYPE app.mood AS ENUM ('calm');
CREATE DOMAIN app.percent AS integer;
REVOKE USAGE ON TYPE app.mood FROM PUBLIC;
REVOKE USAGE ON DOMAIN app.percent FROM PUBLIC;
CREATE SCHEMA "Odd ""schema""";
GRANT USAGE ON SCHEMA "Odd ""schema""" TO ada;
CREATE TABLE "Odd ""schema"""."Table; DROP" (id integer);
CREATE TABLE app.public_to ("to" integer, other integer);
CREATE FOREIGN DATA WRAPPER app_wrapper;
CREATE SERVER app_server FOREIGN DATA WRAPPER app_wrapper;

\connect - ada
CALL tap.start();
SELECT jit_create_template('plain', '{USAGE ON SCHEMA app, SELECT ON app.orders}') AS got \gset
SELECT is(:'got'::text, 'jit_template_plain', 'creating a template returns the role that holds the privileges');
SELECT results_eq(
    $$SELECT rolcanlogin, rolsuper, rolcreatedb, rolcreaterole, rolreplication, rolbypassrls, rolinherit
      FROM pg_roles WHERE rolname = 'jit_template_plain'$$,
    $$VALUES (false, false, false, false, false, false, true)$$, 'the role is able to do nothing but hold them');
SELECT results_eq(
    $$SELECT name, version, description, role, mode::text, privileges, requesters, approvers, approvals_needed, default_duration,
             max_duration, holder_extension, time_to_decide, reason_required, ticket_required, allow_schema_change, created_by
      FROM jit_access.template_catalog WHERE name = 'plain'$$,
    $$VALUES ('plain', 1, NULL::text, 'jit_template_plain', 'inherit', '{USAGE ON SCHEMA app,SELECT ON app.orders}'::text[],
              '{}'::text[], '{}'::text[], 1, NULL::interval, interval '8 hours', NULL::interval, interval '24 hours', false, false,
              false, 'ada')$$,
    'the default policy: no requesters, no approvers, at most eight hours');
SELECT jit_create_template(
    name => 'full', privileges => '{USAGE ON SCHEMA app}', requesters => '{alice, developers, alice}',
    approvers => '{leads, carol}', max_duration => '2 days', default_duration => '1h', mode => 'set_role',
    approvals_needed => 2, holder_extension => '30 minutes', time_to_decide => '1h', reason_required => true,
    ticket_required => true, allow_schema_change => true, description => 'everything said') AS got \gset
SELECT is(:'got'::text, 'jit_template_full', 'every argument given');
SELECT results_eq(
    $$SELECT mode::text, requesters, approvers, approvals_needed, default_duration, max_duration, holder_extension,
             time_to_decide, reason_required, ticket_required, allow_schema_change, description
      FROM jit_access.template_catalog WHERE name = 'full'$$,
    $$VALUES ('set_role', '{alice,developers}'::text[], '{carol,leads}'::text[], 2, interval '1h', interval '48 hours',
              interval '30 minutes', interval '1h', true, true, true, 'everything said')$$,
    'every argument kept');

-- Items follow the grammar of GRANT and give nothing beyond what they say. Servers and pg_monitor take a superuser.
\connect - :owner
CALL tap.start();
SELECT jit_create_template('kinds', ARRAY[
    'USAGE ON SCHEMA app, "Odd ""schema"""',
    'SELECT (id, status), UPDATE (status) ON app.orders',
    'usage, select on sequence app.numbers',
    'EXECUTE ON FUNCTION app.next_status(text)',
    'EXECUTE ON PROCEDURE app.tidy()',
    'USAGE ON TYPE app.mood',
    'USAGE ON DOMAIN app.percent',
    'INSERT, DELETE ON TABLE "Odd ""schema"""."Table; DROP"',
    E'SELECT /* a comment */ ("to") ON app.public_to -- another',
    'CONNECT ON DATABASE contrib_regression',
    'USAGE ON FOREIGN SERVER app_server',
    'USAGE ON FOREIGN DATA WRAPPER app_wrapper',
    'app_reader, pg_monitor']) AS got \gset
SELECT is(:'got'::text, 'jit_template_kinds', 'tables, columns, sequences, routines, types, schemas, databases, servers, memberships');
SELECT results_eq(
    $$SELECT has_schema_privilege(r, 'app', 'USAGE'), has_column_privilege(r, 'app.orders', 'status', 'UPDATE'),
             has_sequence_privilege(r, 'app.numbers', 'USAGE'), has_function_privilege(r, 'app.next_status(text)', 'EXECUTE'),
             has_function_privilege(r, 'app.tidy()', 'EXECUTE'), has_type_privilege(r, 'app.mood', 'USAGE'),
             has_type_privilege(r, 'app.percent', 'USAGE'), has_table_privilege(r, '"Odd ""schema"""."Table; DROP"', 'DELETE'),
             has_column_privilege(r, 'app.public_to', 'to', 'SELECT'), has_server_privilege(r, 'app_server', 'USAGE'),
             has_foreign_data_wrapper_privilege(r, 'app_wrapper', 'USAGE'), has_table_privilege(r, 'app.customers', 'SELECT'),
             pg_has_role(r, 'pg_monitor', 'MEMBER')
      FROM (VALUES ('jit_template_kinds'::name)) v (r)$$,
    $$VALUES (true, true, true, true, true, true, true, true, true, true, true, true, true)$$, 'each is held');
SELECT results_eq(
    $$SELECT has_column_privilege(r, 'app.orders', 'card', 'SELECT'), has_table_privilege(r, 'app.orders', 'UPDATE'),
             has_sequence_privilege(r, 'app.numbers', 'UPDATE'), has_table_privilege(r, '"Odd ""schema"""."Table; DROP"', 'SELECT'),
             has_column_privilege(r, 'app.public_to', 'other', 'SELECT'), has_table_privilege(r, 'app.customers', 'UPDATE'),
             has_schema_privilege(r, 'app', 'CREATE')
      FROM (VALUES ('jit_template_kinds'::name)) v (r)$$,
    $$VALUES (false, false, false, false, false, false, false)$$, 'and no more than that');

-- Changing.
\connect - ada
CALL tap.start();
SELECT jit_alter_template('plain', description => 'one table', max_duration => '6h', requesters => '{alice}') AS got \gset
SELECT is(:got, 2, 'a change makes a new version');
SELECT results_eq(
    $$SELECT version, description, privileges, requesters, approvers, max_duration, time_to_decide
      FROM jit_access.template_catalog WHERE name = 'plain'$$,
    $$VALUES (2, 'one table', '{USAGE ON SCHEMA app,SELECT ON app.orders}'::text[], '{alice}'::text[], '{}'::text[],
              interval '6h', interval '24 hours')$$, 'omitted settings stay as they are');
SELECT jit_alter_template('plain', privileges => '{USAGE ON SCHEMA app, SELECT ON app.customers}') AS got \gset
SELECT is(:got, 3, 'other privileges');
SELECT results_eq(
    $$SELECT has_table_privilege(r, 'app.orders', 'SELECT'), has_table_privilege(r, 'app.customers', 'SELECT'),
             has_schema_privilege(r, 'app', 'USAGE') FROM (VALUES ('jit_template_plain'::name)) v (r)$$,
    $$VALUES (false, true, true)$$, 'replace the former ones');
SELECT jit_alter_template('kinds', privileges => '{USAGE ON SCHEMA app}') AS got \gset
SELECT is(:got, 2, 'from many privileges to one');
SELECT is_empty($$SELECT m.roleid::regrole FROM pg_auth_members m WHERE m.member = 'jit_template_kinds'::regrole$$,
                'the memberships are gone');
SELECT is((SELECT count(*)::int FROM pg_shdepend WHERE refobjid = 'jit_template_kinds'::regrole), 1, 'and so is the rest');
SELECT jit_alter_template('plain', requesters => '{}') AS got \gset
SELECT is(:got, 4, 'an empty list');
SELECT is((SELECT requesters FROM jit_access.template_catalog WHERE name = 'plain'), '{}', 'empties the list');

-- An adopted role keeps its privileges and outlives the template.
SELECT tap.refused($$SELECT jit_create_template('adopting', role => 'app_reader', privileges => '{SELECT ON app.orders}')$$,
                   'JA004 only a superuser can give privileges to a role that is adopted: Its members would have them at once, without a request.',
                   'an administrator gives nothing to the members of a role');
\connect - :owner
CALL tap.start();
SELECT jit_create_template('adopting', role => 'app_reader', privileges => '{SELECT ON app.orders}', requesters => '{alice}',
    approvers => '{bob}') AS got \gset
SELECT is(:'got'::text, 'app_reader', 'a template on a role that exists');
\connect - ada
CALL tap.start();
SELECT ok(has_table_privilege('app_reader', 'app.orders', 'SELECT'), 'the items are added to it');
SELECT tap.refused($$SELECT jit_create_template('again', role => 'app_reader')$$,
                   'JA001 invalid role: Template "adopting" uses "app_reader" already.', 'one template a role');
SELECT tap.refused($$SELECT jit_create_template('again', role => 'jit_template_plain')$$,
                   'JA001 invalid role: "jit_template_plain" belongs to jit_access.', 'roles of the extension are not adopted');
SELECT tap.refused($$SELECT jit_create_template('again', role => 'no_such_role')$$,
                   'JA001 invalid role: There is no role "no_such_role".', 'nor roles that do not exist');
SELECT lives_ok($$SELECT jit_drop_template('adopting')$$, 'the template is withdrawn');
SELECT results_eq(
    $$SELECT has_table_privilege('app_reader', 'app.orders', 'SELECT'), has_table_privilege('app_reader', 'app.customers', 'SELECT'),
             has_schema_privilege('app_reader', 'app', 'USAGE')$$,
    $$VALUES (false, true, true)$$, 'the adopted role stays, with its former privileges');

-- Dropping.
SELECT jit_alter_template('plain', requesters => '{alice}') AS got \gset
SELECT is(:got, 5, 'alice may ask');
\connect - alice
SELECT jit_request('plain', '1h') AS open \gset
\connect - ada
CALL tap.start();
SELECT lives_ok($$SELECT jit_drop_template('plain')$$, 'a template with an open request is withdrawn');
SELECT is((SELECT count(*)::int FROM pg_roles WHERE rolname = 'jit_template_plain'), 0, 'its role is gone');
SELECT is_empty($$SELECT * FROM jit_access.template_catalog WHERE name = 'plain'$$, 'it cannot be seen any more');
SELECT results_eq(format('SELECT template, state::text, close_reason, closed_by FROM jit_access.grant_history WHERE id = %s', :open),
                  $$VALUES ('plain', 'lapsed', 'template dropped', 'ada')$$, 'the request has lapsed and remains in the history');
SELECT tap.refused($$SELECT jit_drop_template('plain')$$, 'JA002 template "plain" does not exist: Names are matched exactly.',
                   'it cannot be withdrawn twice');
SELECT tap.refused($$SELECT jit_alter_template('plain', max_duration => '1h')$$,
                   'JA002 template "plain" does not exist: Names are matched exactly.', 'nor be changed');
SELECT jit_create_template('plain', '{USAGE ON SCHEMA app}') AS got \gset
SELECT is(:'got'::text, 'jit_template_plain', 'the name can be used again');
SELECT is((SELECT version FROM jit_access.template_catalog WHERE name = 'plain'), 1, 'for a new template');
SELECT tap.refused($$SELECT jit_create_template('plain', '{USAGE ON SCHEMA app}')$$, 'JA007 template "plain" exists already',
                   'but only for one at a time');

\connect - :owner
CALL tap.start();
CREATE ROLE jit_template_left_over;
GRANT pg_read_all_data TO jit_template_left_over;
\connect - ada
CALL tap.start();
SELECT tap.refused($$SELECT jit_create_template('left_over', '{USAGE ON SCHEMA app}')$$,
                   'JA007 role "jit_template_left_over" exists already: It was created for something else, so its privileges are not known.',
                   'an existing role of that name is not taken for the template''s');
\connect - :owner
DROP ROLE jit_template_left_over;

-- While grants are live, the privileges they were approved for stay.
SELECT jit_alter_template('plain', requesters => '{alice}', approvers => '{bob}') AS version \gset
\connect - alice
SELECT jit_request('plain', '1h') AS live \gset
\connect - bob
SELECT jit_approve(:live) AS state \gset
\connect - ada
CALL tap.start();
SELECT is(:'state'::text, 'active', 'a grant is live');
SELECT tap.refused($$SELECT jit_alter_template('plain', privileges => '{SELECT ON app.orders}')$$,
                   'JA015 cannot change the privileges of template "plain": Grants of it are live; they were approved for what it holds now.',
                   'its template''s privileges cannot be changed');
SELECT tap.refused($$SELECT jit_drop_template('plain')$$,
                   'JA015 cannot drop template "plain": Grants of it are live; they were approved for what it holds now.',
                   'nor can the template be withdrawn');
SELECT jit_alter_template('plain', max_duration => '1h') AS got \gset
SELECT is(:got, 3, 'its policy can be changed');
\connect - :owner
DROP SCHEMA "Odd ""schema""" CASCADE;
\i test/sql/include/clean.sql
DROP OWNED BY app_reader;
DROP ROLE app_reader;
DROP FOREIGN DATA WRAPPER app_wrapper CASCADE;
