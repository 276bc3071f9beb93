\set ECHO none
\i test/sql/include/tap.sql
\i test/sql/include/people.sql
-- A table that was read is not hidden behind tables of the user's own and a long text: the record keeps the objects that
-- needed the grant. Siblings: commands, several such tables, long names that fill the room for names first.
CREATE SCHEMA mine AUTHORIZATION alice;
SELECT format('CREATE TABLE mine.t%s (id integer); ALTER TABLE mine.t%1$s OWNER TO alice', i) FROM generate_series(1, 80) i \gexec
SELECT repeat('S', 60) AS long \gset
CREATE SCHEMA :"long" AUTHORIZATION alice;
SELECT format('CREATE TABLE %I.%I (id integer); ALTER TABLE %1$I.%2$I OWNER TO alice', :'long', repeat('"', 50) || to_char(i, 'FM0000')) FROM generate_series(1, 60) i \gexec
CREATE TABLE app.items (id integer);
SELECT jit_create_template('read', '{USAGE ON SCHEMA app, "SELECT, UPDATE ON app.orders", SELECT ON app.items}', requesters => '{alice}', approvers => '{bob}') AS role \gset
\connect - alice
SELECT jit_request('read', '1h') AS id \gset
\connect - bob
SELECT jit_approve(:id) AS state \gset
\connect - alice
SET application_name = 'query';
SELECT 'SELECT /* ' || repeat('x', 9000) || ' */ ' || string_agg(format('(SELECT count(*) FROM mine.t%s)', i), ' + ' ORDER BY i) || ' + (SELECT count(*) FROM app.orders)' AS query FROM generate_series(1, 80) i \gset
:query \g /dev/null
SET application_name = 'two';
SELECT 'SELECT (SELECT count(*) FROM app.items) + ' || string_agg(format('(SELECT count(*) FROM mine.t%s)', i), ' + ' ORDER BY i) || ' + (SELECT count(*) FROM app.orders)' AS two FROM generate_series(1, 80) i \gset
:two \g /dev/null
SET application_name = 'long names';
SELECT 'SELECT ' || string_agg(format('(SELECT count(*) FROM %s)', oid::regclass), ' + ' ORDER BY relname DESC) || ' + (SELECT count(*) FROM app.orders)' AS query FROM pg_class WHERE relnamespace = to_regnamespace(quote_ident(:'long')) AND relkind = 'r' \gset
:query \g /dev/null
SET application_name = 'command';
SELECT 'LOCK TABLE ' || string_agg(format('mine.t%s', i), ', ' ORDER BY i) || ', app.orders IN ACCESS SHARE MODE' AS command FROM generate_series(1, 80) i \gset
BEGIN;
:command;
COMMIT;
\connect - :owner
CALL tap.wait_for_record();
CREATE FUNCTION tap.recorded(item text) RETURNS text LANGUAGE sql AS $$
    SELECT concat_ws(' ', CASE WHEN cardinality(objects) <= 64 THEN 'at most 64,' ELSE 'more' END,
                     (SELECT string_agg(o || ':' || p || ' own ' || coalesce(nullif(s, ''), '-'), ' ' ORDER BY o) FROM unnest(objects, privileges, standing_privileges) u (o, p, s) WHERE o LIKE 'app.%'))
    FROM jit_access.audit_log WHERE application = item AND cardinality(objects) > 2 AND tag IN ('SELECT', 'LOCK TABLE') $$;
CALL tap.start();
SELECT is(tap.recorded('query'), 'at most 64, app.orders:SELECT own -', 'the table that needed the grant is among the objects of the query');
SELECT is(tap.recorded('command'), 'at most 64, app.orders:LOCK own -', 'and of the command');
SELECT is(tap.recorded('two'), 'at most 64, app.items:SELECT own - app.orders:SELECT own -', 'two of them');
SELECT is(tap.recorded('long names'), 'at most 64, app.orders:SELECT own -', 'also where long names fill the room');
SELECT cmp_ok((SELECT cardinality(objects) FROM jit_access.audit_log WHERE application = 'long names' AND objects @> '{app.orders}'), '<', 61, 'which they do');
SELECT is((SELECT count(*)::int FROM jit_access.audit_log, unnest(objects) o WHERE application = 'long names' AND o <> 'app.orders' AND to_regclass(o) IS NULL), 0, 'the other names are whole');
SELECT is((SELECT min(cardinality(objects)) FROM jit_access.audit_log WHERE application IN ('query', 'two') AND tag = 'SELECT' AND statement LIKE '%mine.t1)%'), 64, 'no more make room than are needed');
SELECT results_eq(format($$SELECT grant_id, statement_bytes > 8192, objects @> '{app.orders}' FROM jit_access.audit_log WHERE statement_sha256 = encode(sha256(convert_to(%L, 'UTF8')), 'hex')$$, replace(:'two', :'two', (SELECT 'SELECT /* ' || repeat('x', 9000) || ' */ ' || string_agg(format('(SELECT count(*) FROM mine.t%s)', i), ' + ' ORDER BY i) || ' + (SELECT count(*) FROM app.orders)' FROM generate_series(1, 80) i))),
    format('VALUES (%s::bigint, true, true)', :'id'), 'the statement is found by the hash of its text');
DROP FUNCTION tap.recorded(text);
DROP SCHEMA mine, :"long" CASCADE;
\i test/sql/include/clean.sql
