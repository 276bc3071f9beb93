\set ECHO none
\i test/sql/include/tap.sql
\i test/sql/include/people.sql
-- Statements inside the server's own SQL functions are no rows if they read no relation of users: the row of the
-- statement with the call covers them. Everything else is a row: functions of users with the same body or name, SQL
-- text that a function of the server runs, and functions of users below one of the server's.
CREATE FUNCTION app.same_body(a int, b int) RETURNS text LANGUAGE sql IMMUTABLE RETURN lpad(a::text, b, chr(48 + a % 2));
ALTER FUNCTION app.same_body(int, int) SET work_mem = '4MB';  -- keeps the planner from inlining it
CREATE FUNCTION app._pg_expandarray(anyarray, OUT x anyelement, OUT n int) RETURNS SETOF record LANGUAGE sql STABLE STRICT ROWS 100 SET work_mem = '4MB'
AS $$ SELECT $1[s], s FROM generate_series(1, array_upper($1, 1)) g(s) $$;
CREATE FUNCTION app.columns() RETURNS bigint LANGUAGE plpgsql AS $$ BEGIN RETURN (SELECT count(*) FROM information_schema.columns); END $$;
CREATE FUNCTION app.own(int) RETURNS text LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_backend_pid(); EXECUTE 'SELECT 2'; RETURN $1; END $$;
SELECT jit_create_template('read', '{USAGE ON SCHEMA app, SELECT ON ALL TABLES IN SCHEMA app}', requesters => '{alice}', approvers => '{bob}') AS role \gset
\connect - alice
SELECT jit_request('read', '1h') AS id \gset
\connect - bob
SELECT jit_approve(:id) AS state \gset
\connect - alice
\o /dev/null
SET application_name = 'columns';
SELECT count(column_name), count(character_maximum_length), count(numeric_precision) FROM information_schema.columns;
SET application_name = 'keys';
SELECT (information_schema._pg_expandarray(conkey)).n FROM pg_constraint WHERE conkey IS NOT NULL;
SET application_name = 'catalog';
SELECT lpad(relname, relnatts) FROM pg_class;
SET application_name = 'same body';
SELECT app.same_body(i, i) FROM generate_series(1, 5) i;
SET application_name = 'same name';
SELECT (app._pg_expandarray(ARRAY[i, i])).n FROM generate_series(1, 5) i;
SET application_name = 'text';
SELECT query_to_xml('SELECT count(*) FROM app.orders', true, true, '');
SET application_name = 'in between';
SELECT app.columns();
SET application_name = 'below';
SELECT lpad(app.own(i), 3) FROM generate_series(1, 5) i;
SET application_name = 'fetched';
BEGIN;
DECLARE c CURSOR FOR SELECT (information_schema._pg_expandarray(ARRAY[1, 2, 3])).n;
FETCH 1 FROM c;
FETCH 1 FROM c;
COMMIT;
\o
\connect - :owner
CALL tap.wait_for_record();
CALL tap.start();
SELECT results_eq(format($$SELECT application, array_agg(DISTINCT depth ORDER BY depth), count(*) FROM jit_access.audit_log
    WHERE grant_id = %s AND kind = 'use' AND application IN ('columns', 'keys', 'catalog') AND tag = 'SELECT' GROUP BY 1 ORDER BY 1$$, :id),
    $$VALUES ('catalog', '{0}'::int[], 1::bigint), ('columns', '{0}', 1), ('keys', '{0}', 1)$$, 'the statements of the server''s functions are covered by their callers');
SELECT is((SELECT string_agg(depth || ' ' || rtrim(statement, ';'), E'\n' ORDER BY seq) FROM jit_access.audit_log WHERE grant_id = :id AND application = 'in between' AND tag = 'SELECT'),
    E'0 SELECT app.columns()\n1 (SELECT count(*) FROM information_schema.columns)', 'also below a function of a user, whose statements are rows');
SELECT is((SELECT count(*)::int FROM jit_access.audit_log WHERE grant_id = :id AND application = 'same body' AND depth = 1), 5, 'a function of a user with such a body is not');
SELECT is((SELECT count(*)::int FROM jit_access.audit_log WHERE grant_id = :id AND application = 'same name' AND depth = 1), 5, 'nor one with the name of one of the server''s');
SELECT is((SELECT string_agg(depth || ' ' || statement || ' ' || coalesce(objects::text, ''), E'\n' ORDER BY seq) FROM jit_access.audit_log WHERE grant_id = :id AND application = 'text' AND depth = 1),
    '1 SELECT count(*) FROM app.orders {app.orders}', 'nor SQL text that a function of the server runs');
SELECT is((SELECT count(*)::int FROM jit_access.audit_log WHERE grant_id = :id AND application = 'below' AND depth >= 1), 10, 'nor what a function of a user does below one of the server''s');
SELECT is((SELECT count(*)::int FROM jit_access.audit_log WHERE grant_id = :id AND application = 'fetched' AND statement = ''), 0, 'nor is a later fetch a row');
\i test/sql/include/clean.sql
