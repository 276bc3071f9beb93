\set ECHO none
\i test/sql/include/tap.sql
\i test/sql/include/people.sql
-- Dry runs in a session that has prepared something before: plans, expressions, cursors. And functions that the hooks do
-- not see, because they run as a user of their own.
CREATE EXTENSION file_fdw;
CREATE SERVER here FOREIGN DATA WRAPPER file_fdw;
CREATE FOREIGN TABLE app.far (line text) SERVER here OPTIONS (filename '/dev/null');
GRANT SELECT ON app.far TO ada;
CREATE SCHEMA ada AUTHORIZATION ada;
CREATE TABLE app.watched (id integer PRIMARY KEY);
CREATE FUNCTION app.outside() RETURNS trigger LANGUAGE c SECURITY DEFINER AS '$libdir/tcn', 'triggered_change_notification';
CREATE TRIGGER outside AFTER INSERT ON app.watched FOR EACH ROW EXECUTE FUNCTION app.outside();
SELECT jit_create_template('writer', '{USAGE ON SCHEMA app, USAGE ON SCHEMA ada, "SELECT, INSERT ON ALL TABLES IN SCHEMA app"}',
    requesters => '{developers}', approvers => '{leads}') AS role \gset
\connect - ada
CALL tap.start();
SET search_path = pg_catalog;
CREATE FUNCTION ada.locks(really boolean) RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
    n integer := 1;
    done text;
BEGIN
    IF really THEN
        SELECT max(card)::integer INTO n FROM app.orders;
    END IF;
    done := pg_advisory_lock(n)::text;
    RETURN 1;
END $$;
CREATE FUNCTION ada.far() RETURNS bigint LANGUAGE plpgsql AS $$ DECLARE n bigint; BEGIN SELECT count(*) INTO n FROM app.far; RETURN n; END $$;
CREATE FUNCTION ada.reads() RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    opened refcursor := 'opened';
    found record;
BEGIN
    EXECUTE 'SET work_mem = ' || (SELECT max(card) FROM app.orders);
    FETCH opened INTO found;
END $$;
BEGIN;
SELECT ada.locks(false), ada.far();
DECLARE opened CURSOR FOR SELECT pg_advisory_lock(i, pg_size_bytes(current_setting('work_mem'))::integer) FROM generate_series(1, 9) i;
FETCH opened \g /dev/null
SELECT number || ' ' || concat_ws(' | ', outcome, rows, sqlstate, message) AS line
FROM jit_dry_run('writer', '{SELECT ada.locks(true),SELECT ada.far(),SELECT ada.reads(),INSERT INTO app.watched VALUES (1)}', 'execute', search_path => 'pg_catalog');
SET search_path = public;
SELECT is((SELECT count(*)::integer FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()), 2, 'no lock but those from before');
COMMIT;
\connect - :owner
CALL tap.start();
DROP SCHEMA ada CASCADE;
DROP EXTENSION file_fdw CASCADE;
\i test/sql/include/clean.sql
