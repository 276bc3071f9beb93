\set ECHO none
\i test/sql/include/tap.sql
\i test/sql/include/people.sql
-- The functions can be called without a schema under every search_path, and other functions cannot take their place.
SELECT jit_create_template('debug_read', '{USAGE ON SCHEMA app, SELECT ON app.orders}', requesters => '{alice}', approvers => '{bob}',
                           holder_extension => '1h') AS role \gset
CREATE SCHEMA trap AUTHORIZATION dave;
GRANT USAGE ON SCHEMA trap TO PUBLIC;
GRANT CREATE ON SCHEMA public TO dave;

\connect - dave
CALL tap.start();
CREATE FUNCTION trap.harmless(integer) RETURNS text LANGUAGE sql AS 'SELECT ''captured''';
CREATE FUNCTION trap.harmless_too(text, text) RETURNS bigint LANGUAGE sql AS 'SELECT 666::bigint';
SELECT tap.refused(statement, error, statement) FROM (VALUES
    (1, 'CREATE FUNCTION public.jit_approve(integer) RETURNS text LANGUAGE sql AS ''SELECT 1::text''', 'JA016 function name "jit_approve" is reserved by jit_access: A function whose name begins with "jit_" could capture calls that are meant for jit_access.'),
    (2, 'CREATE FUNCTION trap.jit_approve(bigint) RETURNS text LANGUAGE sql AS ''SELECT 1::text''', 'JA016 function name "jit_approve" is reserved by jit_access: A function whose name begins with "jit_" could capture calls that are meant for jit_access.'),
    (3, 'CREATE FUNCTION trap.jit_request(text, text) RETURNS bigint LANGUAGE sql AS ''SELECT 1::bigint''', 'JA016 function name "jit_request" is reserved by jit_access: A function whose name begins with "jit_" could capture calls that are meant for jit_access.'),
    (4, 'CREATE FUNCTION trap.jit_deny(VARIADIC text[]) RETURNS bigint LANGUAGE sql AS ''SELECT 1::bigint''', 'JA016 function name "jit_deny" is reserved by jit_access: A function whose name begins with "jit_" could capture calls that are meant for jit_access.'),
    (5, 'CREATE PROCEDURE trap.jit_revoke(integer) LANGUAGE sql AS ''SELECT 1''', 'JA016 function name "jit_revoke" is reserved by jit_access: A function whose name begins with "jit_" could capture calls that are meant for jit_access.'),
    (6, 'CREATE AGGREGATE trap.jit_extend(integer) (SFUNC = int4pl, STYPE = integer)', 'JA016 function name "jit_extend" is reserved by jit_access: A function whose name begins with "jit_" could capture calls that are meant for jit_access.'),
    (7, 'CREATE FUNCTION pg_temp.jit_cancel(integer) RETURNS text LANGUAGE sql AS ''SELECT 1::text''', 'JA016 function name "jit_cancel" is reserved by jit_access: A function whose name begins with "jit_" could capture calls that are meant for jit_access.'),
    (8, 'ALTER FUNCTION trap.harmless(integer) RENAME TO jit_approve', 'JA016 function name "jit_approve" is reserved by jit_access: A function whose name begins with "jit_" could capture calls that are meant for jit_access.'),
    (9, 'ALTER ROUTINE trap.harmless_too RENAME TO jit_request', 'JA016 function name "jit_request" is reserved by jit_access: A function whose name begins with "jit_" could capture calls that are meant for jit_access.'),
    (10, 'DO $do$ BEGIN EXECUTE ''CREATE FUNCTION trap.jit_drop_template(text) RETURNS text LANGUAGE sql AS $f$ SELECT 1::text $f$''; END $do$', 'JA016 function name "jit_drop_template" is reserved by jit_access: A function whose name begins with "jit_" could capture calls that are meant for jit_access.'),
    (11, 'CREATE FUNCTION trap.jit_something_else(integer) RETURNS text LANGUAGE sql AS ''SELECT 1::text''', 'JA016 function name "jit_something_else" is reserved by jit_access: A function whose name begins with "jit_" could capture calls that are meant for jit_access.'),
    (12, 'CREATE FUNCTION trap.not_jit_approve(integer) RETURNS text LANGUAGE sql AS ''SELECT 1::text''', 'no error'),
    (13, 'CREATE FUNCTION pg_catalog.jit_approve(integer) RETURNS text LANGUAGE sql AS ''SELECT 1::text''', '42501'),
    (14, 'ALTER FUNCTION jit_approve(numeric, text, interval, text) RENAME TO jit_approve_2', '42501'),
    (15, 'ALTER FUNCTION jit_approve(numeric, text, interval, text) SET SCHEMA trap', '42501'),
    (16, 'CREATE OR REPLACE FUNCTION jit_approve(numeric, text, interval, text) RETURNS text LANGUAGE sql AS ''SELECT 1::text''', 'JA016 function name "jit_approve" is reserved by jit_access: A function whose name begins with "jit_" could capture calls that are meant for jit_access.'))
    v (n, statement, error) ORDER BY n;

-- A type captures a call with one argument: f(x) is a cast, if no function fits exactly (func_get_detail). Each kind of type is
-- refused, in each schema, and each way to give it its name. Row types are never meant by such a call: their tables keep their
-- names.
CREATE TYPE trap.harmless_row AS (a integer);
CREATE DOMAIN trap.harmless_domain AS integer;
SELECT tap.refused(statement, COALESCE(error, 'JA016 type name "' || name || '" is reserved by jit_access: A type whose name begins with "jit_" could capture calls that are meant for jit_access.'), statement)
FROM (VALUES
    (1, 'CREATE DOMAIN public.jit_revoke AS integer', 'jit_revoke', NULL),
    (2, 'CREATE DOMAIN trap.jit_step_up AS text CHECK (length(value) > 0)', 'jit_step_up', NULL),
    (3, 'CREATE DOMAIN pg_temp.jit_step_up AS text', 'jit_step_up', NULL),
    (4, 'CREATE DOMAIN trap.jit_cancel AS trap.harmless_row', 'jit_cancel', NULL),
    (5, 'CREATE TYPE trap.jit_approve AS ENUM (''42'')', 'jit_approve', NULL),
    (6, 'CREATE TYPE trap.jit_approve AS RANGE (SUBTYPE = integer)', 'jit_approve', NULL),
    (7, 'CREATE TYPE trap.harmless_range AS RANGE (SUBTYPE = integer, MULTIRANGE_TYPE_NAME = jit_deny)', 'jit_deny', NULL),
    (8, 'ALTER DOMAIN trap.harmless_domain RENAME TO jit_revoke', 'jit_revoke', NULL),
    (9, 'ALTER TYPE trap.harmless_domain RENAME TO jit_something_else', 'jit_something_else', NULL),
    (10, 'CREATE TYPE trap.jit_row AS (a integer)', NULL, 'no error'),
    (11, 'CREATE TABLE trap.jit_table (a integer)', NULL, 'no error'),
    (12, 'CREATE VIEW trap.jit_view AS SELECT 1 AS a', NULL, 'no error'),
    (13, 'ALTER TYPE trap.harmless_row RENAME TO jit_other_row', NULL, 'no error'),
    (14, 'CREATE DOMAIN trap.my_jit_domain AS integer', NULL, 'no error'))
    v (n, statement, name, error) ORDER BY n;
CREATE TABLE trap.jit_revoke (a integer);
CREATE TYPE trap.jit_step_up AS (code text);
SET search_path = trap, public;
SELECT is(pg_typeof(q)::text, 'jit_access.state', 'a table with the name of a function does not capture its call')
FROM (SELECT CASE WHEN false THEN jit_revoke(1051) END) r (q);
SELECT alike(tap.error('SELECT jit_step_up(''123456'')'), 'JA%', 'nor does a composite type');
RESET search_path;
\connect - :owner
CREATE SCHEMA alice AUTHORIZATION dave;
\connect - dave
CALL tap.start();
SELECT alike(tap.error('CREATE DOMAIN alice.jit_revoke AS integer'), 'JA016 %', 'nor in a schema named like the victim');

-- A superuser does not replace them by accident either.
\connect - :owner
CALL tap.start();
SELECT alike(tap.error('CREATE FUNCTION public.jit_approve(integer) RETURNS text LANGUAGE sql AS ''SELECT 1::text'''), 'JA016 %', 'a superuser');
CREATE FUNCTION app.harmless(integer) RETURNS text LANGUAGE sql AS 'SELECT 1::text';
SELECT alike(tap.error('ALTER FUNCTION app.harmless(integer) RENAME TO jit_approve'), 'JA016 %', 'by renaming');
SELECT alike(tap.error('CREATE FUNCTION pg_catalog.jit_more(integer) RETURNS text LANGUAGE sql AS ''SELECT 1::text'''), 'JA016 %', 'in pg_catalog');
SELECT alike(tap.error('CREATE DOMAIN pg_catalog.jit_step_up AS text'), 'JA016 %', 'nor a type there');
SELECT is(captured_names, '{}', 'so there are none') FROM jit_access.health;

-- A search_path that puts another schema before pg_catalog, or is empty.
SELECT set_config('search_path', '', false) AS search_path \gset
\connect - alice
SET search_path = '';
SELECT jit_request('debug_read', '1h') AS id \gset
SELECT jit_request('debug_read', '1h', 'why', 'ticket', '{app.orders}', clock_timestamp() + interval '1 day') AS all_arguments \gset
SET search_path = trap, public, pg_temp, pg_catalog;
SELECT jit_request('debug_read', '1h') AS second \gset
SELECT jit_cancel(:second) AS cancelled \gset
\connect - bob
SET search_path = '';
SELECT jit_approve(:id) AS approved \gset
SET search_path = trap, pg_catalog;
SELECT jit_deny(:all_arguments, 'no') AS denied \gset
SELECT jit_extend(:id, '10 minutes') > clock_timestamp() AS extended \gset
SELECT jit_revoke(:id::smallint) AS revoked \gset
CREATE TEMPORARY TABLE request (id integer);
SET search_path = pg_temp, jit_access, pg_catalog;
SELECT count(*) AS pending FROM jit_access.pending_requests WHERE id = :id \gset
\connect - :owner
SET search_path = '';
SELECT jit_alter_template('debug_read', description => 'changed') AS version \gset
RESET search_path;
CALL tap.start();
SELECT is(concat_ws(' ', :'cancelled', :'approved', :'denied', :'extended', :'revoked', :'pending', :'version'),
          'cancelled active denied t revoked 0 2', 'every function is found');

-- The functions themselves do not depend on the caller's search_path, operators or settings.
CALL tap.wait_for_cleanup();
\connect - dave
CREATE FUNCTION trap.always(text, text) RETURNS boolean LANGUAGE sql AS 'SELECT true';
CREATE OPERATOR trap.= (LEFTARG = text, RIGHTARG = text, FUNCTION = trap.always);
CREATE TABLE trap.template_person (template_id bigint, part text, role oid);
SET search_path = trap, pg_catalog;
SET DateStyle = 'SQL, DMY';
SET IntervalStyle = 'sql_standard';
SET TimeZone = 'Pacific/Kiritimati';
SET extra_float_digits = -15;
SET default_transaction_isolation = 'repeatable read';
SET row_security = off;
SELECT jit_request('debug_read', '1h');
RESET search_path;
CALL tap.start();
SELECT is(:'LAST_ERROR_SQLSTATE'::text, 'JA002', 'an operator of the caller does not make a requester');
\connect - alice
SET DateStyle = 'SQL, DMY';
SET IntervalStyle = 'iso_8601';
SET TimeZone = 'Pacific/Kiritimati';
SET default_transaction_isolation = 'serializable';
SELECT jit_request('debug_read', '90 minutes') AS id \gset
\connect - bob
SET IntervalStyle = 'sql_standard';
SET TimeZone = 'America/St_Johns';
SELECT jit_approve(:id) AS state \gset
\connect - :owner
CALL tap.start();
SELECT is((SELECT ends_at - activated_at FROM jit_access.request WHERE id = :id), interval '90 minutes', 'settings of the caller do not change the duration');
DROP SCHEMA trap, alice CASCADE;
DROP FUNCTION app.harmless(integer);
REVOKE CREATE ON SCHEMA public FROM dave;
\i test/sql/include/clean.sql
