\set ECHO none
\i test/sql/include/tap.sql
\i test/sql/include/people.sql
-- Everything that the server can create, by its command tags and its kinds of objects: as the login in mode inherit, and as
-- jit_grant_<id> without and with allow_schema_change and allow_code. A tag or kind that the list below lacks, such as one
-- of a new version, fails the test until somebody has decided about it. After the end, nothing that was made gives anybody
-- anything.
CREATE ROLE erin LOGIN;
CREATE ROLE gina LOGIN;
CREATE ROLE mallory LOGIN;
CREATE TABLE tap.creation (n integer GENERATED ALWAYS AS IDENTITY, tag text, statement text, inherit text, role text, schema text, code text);
GRANT SELECT ON tap.creation TO PUBLIC;
-- The reviewed list. made: it is made; JA016: refused; otherwise the server's own error. %1$s is a schema in which the maker
-- may create, %2$s a new name. %1$s.own and %1$s.pair belong to the maker, if it may own anything.
INSERT INTO tap.creation (tag, statement, inherit, role, schema, code) VALUES
    ('CREATE TABLE', 'CREATE TABLE %1$s.%2$s (id integer PRIMARY KEY, line text DEFAULT ''none'' CHECK (line <> ''''))', 'made', 'JA016', 'made', 'made'),
    ('CREATE TABLE', 'CREATE TEMPORARY TABLE %2$s (id serial)', 'made', 'made', 'made', 'made'),
    ('CREATE TABLE', 'CREATE TABLE %1$s.%2$s (id integer REFERENCES app.orders)', 'JA016', 'JA016', 'made', 'made'),
    ('CREATE TABLE', 'CREATE TABLE %1$s.%2$s (id integer DEFAULT app.secret())', 'JA016', 'JA016', 'made', 'made'),
    ('CREATE TABLE', 'CREATE TABLE %1$s.%2$s (id integer DEFAULT theirs.number())', 'made', 'JA016', 'JA016', 'made'),
    ('CREATE TABLE', 'CREATE TABLE %1$s.%2$s (id theirs.small)', 'made', 'JA016', 'JA016', 'made'),
    ('CREATE TABLE', 'CREATE TABLE %1$s.%2$s (id integer) PARTITION BY RANGE ((id + 1))', 'made', 'JA016', 'JA016', 'made'),
    ('CREATE TABLE AS', 'CREATE TABLE %1$s.%2$s AS SELECT * FROM app.orders', 'made', 'JA016', 'made', 'made'),
    ('SELECT INTO', 'EXPLAIN ANALYZE SELECT * INTO %1$s.%2$s FROM app.orders', 'made', 'JA016', 'made', 'made'),
    ('ALTER TABLE', 'ALTER TABLE %1$s.own ADD COLUMN %2$s integer DEFAULT 1, ADD CHECK (%2$s > 0)', 'made', '42501', 'made', 'made'),
    ('ALTER DOMAIN', 'ALTER DOMAIN %1$s.few ADD CHECK (VALUE < 1000)', 'made', '42501', 'made', 'made'),
    ('ALTER TYPE', 'ALTER TYPE %1$s.pair ADD ATTRIBUTE %2$s integer', 'made', '42501', 'made', 'made'),
    ('CREATE INDEX', 'CREATE INDEX %2$s ON %1$s.own (id)', 'made', '42501', 'made', 'made'),
    ('CREATE INDEX', 'CREATE INDEX %2$s ON %1$s.own ((id + 1)) WHERE id > 1', 'made', 'JA016', 'JA016', 'made'),
    ('CREATE INDEX', 'CREATE INDEX %2$s ON %1$s.own (app.secret(id))', 'JA016', 'JA016', 'JA016', 'JA016'),
    ('CREATE STATISTICS', 'CREATE STATISTICS %1$s.%2$s ON id, more FROM %1$s.own', 'made', '42501', 'made', 'made'),
    ('CREATE STATISTICS', 'CREATE STATISTICS %1$s.%2$s ON (id + 1) FROM %1$s.own', 'made', 'JA016', 'JA016', 'made'),
    ('CREATE SEQUENCE', 'CREATE SEQUENCE %1$s.%2$s', 'made', 'JA016', 'made', 'made'),
    ('CREATE TYPE', 'CREATE TYPE %1$s.%2$s AS ENUM (''red'')', 'made', 'JA016', 'made', 'made'),
    ('CREATE TYPE', 'CREATE TYPE %1$s.%2$s AS (a integer)', 'made', 'JA016', 'made', 'made'),
    ('CREATE TYPE', 'CREATE TYPE %1$s.%2$s AS RANGE (SUBTYPE = integer)', 'made', 'JA016', 'made', 'made'),
    ('CREATE TYPE', 'CREATE TYPE %1$s.%2$s AS RANGE (SUBTYPE = integer, SUBTYPE_DIFF = int4range_subdiff)', 'made', 'JA016', 'JA016', 'made'),
    ('CREATE TYPE', 'CREATE TYPE %1$s.%2$s AS RANGE (SUBTYPE = integer, SUBTYPE_DIFF = app.secret_diff)', 'JA016', 'JA016', 'JA016', 'JA016'),
    ('CREATE TYPE', 'CREATE TYPE %1$s.%2$s', '42501', 'JA016', 'JA016', '42501'),
    ('CREATE DOMAIN', 'CREATE DOMAIN %1$s.%2$s AS integer CHECK (VALUE > 0)', 'made', 'JA016', 'made', 'made'),
    ('CREATE SCHEMA', 'CREATE SCHEMA %2$s', '42501', '42501', 'made', 'made'),
    ('CREATE SCHEMA', 'CREATE SCHEMA %2$s AUTHORIZATION CURRENT_ROLE', '42501', '42501', 'made', 'made'),
    ('CREATE SCHEMA', 'CREATE SCHEMA %2$s AUTHORIZATION mallory', 'JA016', 'JA016', 'JA016', 'JA016'),
    ('CREATE FUNCTION', 'CREATE FUNCTION %1$s.%2$s() RETURNS bigint LANGUAGE sql AS ''SELECT count(*) FROM app.orders''', 'made', 'JA016', 'JA016', 'made'),
    ('CREATE FUNCTION', 'CREATE FUNCTION %1$s.%2$s() RETURNS bigint LANGUAGE sql SECURITY DEFINER AS ''SELECT count(*) FROM app.orders''', 'JA016', 'JA016', 'JA016', 'made'),
    ('CREATE PROCEDURE', 'CREATE PROCEDURE %1$s.%2$s() LANGUAGE sql AS ''SELECT app.secret()''', 'made', 'JA016', 'JA016', 'made'),
    ('CREATE AGGREGATE', 'CREATE AGGREGATE %1$s.%2$s (integer) (SFUNC = int4pl, STYPE = integer)', 'made', 'JA016', 'JA016', 'made'),
    ('CREATE AGGREGATE', 'CREATE AGGREGATE %1$s.%2$s (integer) (SFUNC = app.secret_step, STYPE = integer)', 'JA016', 'JA016', 'JA016', 'JA016'),
    ('CREATE TRIGGER', 'CREATE TRIGGER %2$s BEFORE UPDATE ON %1$s.own FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()', 'made', 'JA016', 'JA016', 'made'),
    ('CREATE TRIGGER', 'CREATE TRIGGER %2$s BEFORE INSERT ON %1$s.own FOR EACH ROW EXECUTE FUNCTION app.secret_trigger()', 'JA016', 'JA016', 'JA016', 'JA016'),
    ('CREATE RULE', 'CREATE RULE %2$s AS ON INSERT TO %1$s.own DO ALSO SELECT 1', 'made', 'JA016', 'JA016', 'made'),
    ('CREATE RULE', 'CREATE RULE %2$s AS ON INSERT TO %1$s.own DO ALSO SELECT * FROM app.orders', 'JA016', 'JA016', 'JA016', 'made'),
    ('CREATE POLICY', 'CREATE POLICY %2$s ON %1$s.own USING (id > 0)', 'made', 'JA016', 'JA016', 'made'),
    ('CREATE VIEW', 'CREATE VIEW %1$s.%2$s AS SELECT 1 AS id', 'made', 'JA016', 'JA016', 'made'),
    ('CREATE VIEW', 'CREATE VIEW %1$s.%2$s AS SELECT * FROM app.orders', 'JA016', 'JA016', 'JA016', 'made'),
    ('CREATE VIEW', 'CREATE VIEW %1$s.%2$s WITH (security_invoker) AS SELECT * FROM app.orders', 'made', 'JA016', 'JA016', 'made'),
    ('CREATE MATERIALIZED VIEW', 'CREATE MATERIALIZED VIEW %1$s.%2$s AS SELECT 1 AS id', 'made', 'JA016', 'JA016', 'made'),
    ('CREATE MATERIALIZED VIEW', 'CREATE MATERIALIZED VIEW %1$s.%2$s AS SELECT * FROM app.orders', 'JA016', 'JA016', 'JA016', 'made'),
    ('CREATE OPERATOR', 'CREATE OPERATOR %1$s.@@@ (FUNCTION = int4eq, LEFTARG = integer, RIGHTARG = integer)', 'made', 'JA016', 'JA016', 'made'),
    ('CREATE OPERATOR', 'CREATE OPERATOR %1$s.@@@@ (FUNCTION = app.secret_step, LEFTARG = integer, RIGHTARG = integer)', 'JA016', 'JA016', 'JA016', 'JA016'),
    ('CREATE CAST', 'CREATE CAST (%1$s.pair AS text) WITH INOUT', 'made', 'JA016', 'JA016', 'made'),
    ('CREATE COLLATION', 'CREATE COLLATION %1$s.%2$s FROM "C"', 'made', 'JA016', 'JA016', 'made'),
    ('CREATE CONVERSION', 'CREATE CONVERSION %1$s.%2$s FOR ''LATIN1'' TO ''UTF8'' FROM iso8859_1_to_utf8', 'made', 'JA016', 'JA016', 'made'),
    ('CREATE TEXT SEARCH CONFIGURATION', 'CREATE TEXT SEARCH CONFIGURATION %1$s.%2$s (COPY = simple)', 'made', 'JA016', 'JA016', 'made'),
    ('CREATE TEXT SEARCH DICTIONARY', 'CREATE TEXT SEARCH DICTIONARY %1$s.%2$s (TEMPLATE = simple)', 'made', 'JA016', 'JA016', 'made'),
    ('CREATE TEXT SEARCH PARSER', 'CREATE TEXT SEARCH PARSER %1$s.%2$s (START = prsd_start, GETTOKEN = prsd_nexttoken, END = prsd_end, LEXTYPES = prsd_lextype)', '42501', 'JA016', 'JA016', '42501'),
    ('CREATE TEXT SEARCH TEMPLATE', 'CREATE TEXT SEARCH TEMPLATE %1$s.%2$s (LEXIZE = dsimple_lexize)', '42501', 'JA016', 'JA016', '42501'),
    ('CREATE OPERATOR CLASS', 'CREATE OPERATOR CLASS %1$s.%2$s FOR TYPE integer USING btree AS OPERATOR 1 <, FUNCTION 1 btint4cmp(integer, integer)', '42501', 'JA016', 'JA016', '42501'),
    ('CREATE OPERATOR FAMILY', 'CREATE OPERATOR FAMILY %1$s.%2$s USING btree', '42501', 'JA016', 'JA016', '42501'),
    ('ALTER OPERATOR FAMILY', 'ALTER OPERATOR FAMILY integer_ops USING btree ADD FUNCTION 1 (integer, integer) btint4cmp(integer, integer)', '42501', 'JA016', 'JA016', '42501'),
    ('CREATE TRANSFORM', 'CREATE TRANSFORM FOR %1$s.pair LANGUAGE sql (FROM SQL WITH FUNCTION array_subscript_handler(internal))', '42501', 'JA016', 'JA016', '42501'),
    ('CREATE LANGUAGE', 'CREATE LANGUAGE %2$s HANDLER plpgsql_call_handler', 'JA016', 'JA016', 'JA016', 'JA016'),
    ('CREATE EXTENSION', 'CREATE EXTENSION hstore', 'JA016', 'JA016', 'JA016', 'JA016'),
    ('CREATE EXTENSION', 'CREATE EXTENSION IF NOT EXISTS pgtap', 'made', 'made', 'made', 'made'),
    ('CREATE ACCESS METHOD', 'CREATE ACCESS METHOD %2$s TYPE TABLE HANDLER heap_tableam_handler', 'JA016', 'JA016', 'JA016', 'JA016'),
    ('CREATE EVENT TRIGGER', 'CREATE EVENT TRIGGER %2$s ON ddl_command_end EXECUTE FUNCTION app.secret()', 'JA016', 'JA016', 'JA016', 'JA016'),
    ('CREATE FOREIGN DATA WRAPPER', 'CREATE FOREIGN DATA WRAPPER %2$s', 'JA016', 'JA016', 'JA016', 'JA016'),
    ('CREATE SERVER', 'CREATE SERVER %2$s FOREIGN DATA WRAPPER w', 'JA016', 'JA016', 'JA016', 'JA016'),
    ('CREATE USER MAPPING', 'CREATE USER MAPPING FOR CURRENT_USER SERVER s', 'JA016', 'JA016', 'JA016', 'JA016'),
    ('CREATE FOREIGN TABLE', 'CREATE FOREIGN TABLE %1$s.%2$s (id integer) SERVER s', 'JA016', 'JA016', 'JA016', 'JA016'),
    ('IMPORT FOREIGN SCHEMA', 'IMPORT FOREIGN SCHEMA public FROM SERVER s INTO %1$s', 'JA016', 'JA016', 'JA016', 'JA016'),
    ('CREATE PUBLICATION', 'CREATE PUBLICATION %2$s FOR TABLE %1$s.own', 'JA016', 'JA016', 'JA016', 'JA016'),
    ('ALTER PUBLICATION', 'ALTER PUBLICATION p ADD TABLE %1$s.own', 'JA016', 'JA016', 'JA016', 'JA016'),
    ('CREATE SUBSCRIPTION', 'CREATE SUBSCRIPTION %2$s CONNECTION ''dbname=x'' PUBLICATION p', 'JA016', 'JA016', 'JA016', 'JA016'),
    ('CREATE ROLE', 'CREATE ROLE %2$s', 'JA016', 'JA016', 'JA016', 'JA016'),
    ('CREATE TABLESPACE', 'CREATE TABLESPACE %2$s LOCATION ''/tmp''', 'JA016', 'JA016', 'JA016', 'JA016'),
    ('CREATE DATABASE', 'CREATE DATABASE %2$s', '25001', '25001', '25001', '25001'),
    ('CREATE DATABASE', 'CREATE DATABASE %2$s OWNER mallory', 'JA016', 'JA016', 'JA016', 'JA016'),
    ('GRANT', 'GRANT SELECT ON %1$s.own TO mallory', 'JA016', 'JA016', 'JA016', 'JA016'),
    ('GRANT', 'GRANT SET ON PARAMETER work_mem TO mallory', 'JA016', 'JA016', 'JA016', 'JA016'),
    ('GRANT ROLE', 'GRANT carol TO mallory', 'JA016', 'JA016', 'JA016', 'JA016'),
    ('ALTER DEFAULT PRIVILEGES', 'ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO mallory', 'JA016', 'JA016', 'JA016', 'JA016'),
    ('SECURITY LABEL', 'SECURITY LABEL ON TABLE %1$s.own IS ''secret''', 'JA016', 'JA016', 'JA016', 'JA016'),
    ('COMMENT', 'COMMENT ON TABLE %1$s.own IS ''mine''', 'made', '42501', 'made', 'made'),
    ('SELECT', 'SELECT lo_create(0)', 'made', 'JA016', 'made', 'made'),
    ('SELECT', 'SELECT lo_from_bytea(0, ''x'')', 'made', 'JA016', 'made', 'made');
-- The tags by which no command makes an object of a kind that is not listed above: they change, drop or use what exists, or
-- concern the session. test/sql/guards.sql has those that are refused.
CREATE TABLE tap.creates_nothing (tag text);
INSERT INTO tap.creates_nothing SELECT unnest(string_to_array(
    '???;ALTER ACCESS METHOD;ALTER AGGREGATE;ALTER CAST;ALTER COLLATION;ALTER CONSTRAINT;ALTER CONVERSION;ALTER DATABASE;ALTER EVENT TRIGGER;ALTER EXTENSION;'
    'ALTER FOREIGN DATA WRAPPER;ALTER FOREIGN TABLE;ALTER FUNCTION;ALTER INDEX;ALTER LANGUAGE;ALTER LARGE OBJECT;ALTER MATERIALIZED VIEW;ALTER OPERATOR;ALTER OPERATOR CLASS;'
    'ALTER POLICY;ALTER PROCEDURE;ALTER ROLE;ALTER ROUTINE;ALTER RULE;ALTER SCHEMA;ALTER SEQUENCE;ALTER SERVER;ALTER STATISTICS;ALTER SUBSCRIPTION;ALTER SYSTEM;'
    'ALTER TABLESPACE;ALTER TEXT SEARCH CONFIGURATION;ALTER TEXT SEARCH DICTIONARY;ALTER TEXT SEARCH PARSER;ALTER TEXT SEARCH TEMPLATE;ALTER TRANSFORM;ALTER TRIGGER;'
    'ALTER USER MAPPING;ALTER VIEW;ANALYZE;BEGIN;CALL;CHECKPOINT;CLOSE;CLOSE CURSOR;CLOSE CURSOR ALL;CLUSTER;COMMIT;COMMIT PREPARED;COPY;COPY FROM;CREATE CONSTRAINT;'
    'CREATE ROUTINE;DEALLOCATE;DEALLOCATE ALL;DECLARE CURSOR;DELETE;DISCARD;DISCARD ALL;DISCARD PLANS;DISCARD SEQUENCES;DISCARD TEMP;DO;DROP ACCESS METHOD;DROP AGGREGATE;'
    'DROP CAST;DROP COLLATION;DROP CONSTRAINT;DROP CONVERSION;DROP DATABASE;DROP DOMAIN;DROP EVENT TRIGGER;DROP EXTENSION;DROP FOREIGN DATA WRAPPER;DROP FOREIGN TABLE;'
    'DROP FUNCTION;DROP INDEX;DROP LANGUAGE;DROP MATERIALIZED VIEW;DROP OPERATOR;DROP OPERATOR CLASS;DROP OPERATOR FAMILY;DROP OWNED;DROP POLICY;DROP PROCEDURE;'
    'DROP PUBLICATION;DROP ROLE;DROP ROUTINE;DROP RULE;DROP SCHEMA;DROP SEQUENCE;DROP SERVER;DROP STATISTICS;DROP SUBSCRIPTION;DROP TABLE;DROP TABLESPACE;'
    'DROP TEXT SEARCH CONFIGURATION;DROP TEXT SEARCH DICTIONARY;DROP TEXT SEARCH PARSER;DROP TEXT SEARCH TEMPLATE;DROP TRANSFORM;DROP TRIGGER;DROP TYPE;DROP USER MAPPING;'
    'DROP VIEW;EXECUTE;EXPLAIN;FETCH;INSERT;LISTEN;LOAD;LOCK TABLE;LOGIN;MERGE;MOVE;NOTIFY;PREPARE;PREPARE TRANSACTION;REASSIGN OWNED;REFRESH MATERIALIZED VIEW;REINDEX;RELEASE;'
    'RESET;REVOKE;REVOKE ROLE;ROLLBACK;ROLLBACK PREPARED;SAVEPOINT;SELECT FOR KEY SHARE;SELECT FOR NO KEY UPDATE;SELECT FOR SHARE;SELECT FOR UPDATE;SET;SET CONSTRAINTS;SHOW;'
    'START TRANSACTION;TRUNCATE TABLE;UNLISTEN;UPDATE;VACUUM', ';'));
-- The kinds of objects (ObjectType of the server), and the tag above by which one is made.
CREATE TABLE tap.kinds (kind text, tag text);
INSERT INTO tap.kinds VALUES
    ('ACCESS_METHOD', 'CREATE ACCESS METHOD'), ('AGGREGATE', 'CREATE AGGREGATE'), ('AMOP', 'ALTER OPERATOR FAMILY'), ('AMPROC', 'ALTER OPERATOR FAMILY'), ('ATTRIBUTE', 'ALTER TYPE'),
    ('CAST', 'CREATE CAST'), ('COLUMN', 'ALTER TABLE'), ('COLLATION', 'CREATE COLLATION'), ('CONVERSION', 'CREATE CONVERSION'), ('DATABASE', 'CREATE DATABASE'), ('DEFAULT', 'ALTER TABLE'),
    ('DEFACL', 'ALTER DEFAULT PRIVILEGES'), ('DOMAIN', 'CREATE DOMAIN'), ('DOMCONSTRAINT', 'ALTER DOMAIN'), ('EVENT_TRIGGER', 'CREATE EVENT TRIGGER'), ('EXTENSION', 'CREATE EXTENSION'),
    ('FDW', 'CREATE FOREIGN DATA WRAPPER'), ('FOREIGN_SERVER', 'CREATE SERVER'), ('FOREIGN_TABLE', 'CREATE FOREIGN TABLE'), ('FUNCTION', 'CREATE FUNCTION'), ('INDEX', 'CREATE INDEX'),
    ('LANGUAGE', 'CREATE LANGUAGE'), ('LARGEOBJECT', 'SELECT'), ('MATVIEW', 'CREATE MATERIALIZED VIEW'), ('OPCLASS', 'CREATE OPERATOR CLASS'), ('OPERATOR', 'CREATE OPERATOR'),
    ('OPFAMILY', 'CREATE OPERATOR FAMILY'), ('PARAMETER_ACL', 'GRANT'), ('POLICY', 'CREATE POLICY'), ('PROCEDURE', 'CREATE PROCEDURE'), ('PUBLICATION', 'CREATE PUBLICATION'),
    ('PUBLICATION_NAMESPACE', 'ALTER PUBLICATION'), ('PUBLICATION_REL', 'ALTER PUBLICATION'), ('ROLE', 'CREATE ROLE'), ('ROUTINE', 'CREATE FUNCTION'), ('RULE', 'CREATE RULE'),
    ('SCHEMA', 'CREATE SCHEMA'), ('SEQUENCE', 'CREATE SEQUENCE'), ('SUBSCRIPTION', 'CREATE SUBSCRIPTION'), ('STATISTIC_EXT', 'CREATE STATISTICS'), ('TABCONSTRAINT', 'ALTER TABLE'),
    ('TABLE', 'CREATE TABLE'), ('TABLESPACE', 'CREATE TABLESPACE'), ('TRANSFORM', 'CREATE TRANSFORM'), ('TRIGGER', 'CREATE TRIGGER'), ('TSCONFIGURATION', 'CREATE TEXT SEARCH CONFIGURATION'),
    ('TSDICTIONARY', 'CREATE TEXT SEARCH DICTIONARY'), ('TSPARSER', 'CREATE TEXT SEARCH PARSER'), ('TSTEMPLATE', 'CREATE TEXT SEARCH TEMPLATE'), ('TYPE', 'CREATE TYPE'),
    ('USER_MAPPING', 'CREATE USER MAPPING'), ('VIEW', 'CREATE VIEW');
\set tags `sed -n 's/^PG_CMDTAG([A-Z_]*, "\([^"]*\)".*/\1/p' "$(pg_config --includedir-server)/tcop/cmdtaglist.h" | paste -sd ';'`
\set kinds `sed -n '/^typedef enum ObjectType/,/^}/s/^[[:space:]]*OBJECT_\([A-Z_]*\).*/\1/p' "$(pg_config --includedir-server)/nodes/parsenodes.h" | paste -sd ';'`
SELECT cmp_ok(cardinality(string_to_array(:'tags', ';')), '>', 150, 'the server''s command tags are known');
SELECT is_empty(format('SELECT unnest(string_to_array(%L, %L)) EXCEPT SELECT tag FROM tap.creation EXCEPT SELECT tag FROM tap.creates_nothing', :'tags', ';'), 'each of them has been decided');
SELECT cmp_ok(cardinality(string_to_array(:'kinds', ';')), '>', 40, 'and the kinds of objects');
SELECT is_empty(format('SELECT unnest(string_to_array(%L, %L)) EXCEPT SELECT kind FROM tap.kinds', :'kinds', ';'), 'each has been decided');
SELECT is_empty('SELECT tag FROM tap.kinds EXCEPT SELECT tag FROM tap.creation', 'by a statement below');

-- What only the grants give.
GRANT USAGE ON SCHEMA app TO PUBLIC;
CREATE FUNCTION app.secret() RETURNS integer LANGUAGE sql AS 'SELECT 1';
CREATE FUNCTION app.secret(integer) RETURNS integer LANGUAGE sql IMMUTABLE AS 'SELECT 1';
CREATE FUNCTION app.secret_step(integer, integer) RETURNS integer LANGUAGE sql IMMUTABLE AS 'SELECT 1';
CREATE FUNCTION app.secret_diff(integer, integer) RETURNS double precision LANGUAGE sql IMMUTABLE AS 'SELECT 1::double precision';
CREATE FUNCTION app.secret_trigger() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
REVOKE EXECUTE ON ALL FUNCTIONS IN SCHEMA app FROM PUBLIC;
CREATE SCHEMA theirs AUTHORIZATION mallory;
GRANT USAGE ON SCHEMA theirs TO PUBLIC;
CREATE SCHEMA anybodys;
GRANT USAGE, CREATE ON SCHEMA anybodys TO PUBLIC;
CREATE TABLE anybodys.own (id integer, more integer);
CREATE TYPE anybodys.pair AS (a integer, b integer);
CREATE DOMAIN anybodys.few AS integer;
CREATE SCHEMA hers AUTHORIZATION alice;
CREATE SCHEMA ginas AUTHORIZATION gina;
CREATE SCHEMA daves AUTHORIZATION dave;
CREATE SCHEMA made;
CREATE SCHEMA coded;
SELECT 'SELECT ON app.orders' AS reads, 'REFERENCES ON app.orders' AS refers,
       'EXECUTE ON FUNCTION app.secret()' AS f1, 'EXECUTE ON FUNCTION app.secret(integer)' AS f2, 'EXECUTE ON FUNCTION app.secret_step(integer, integer)' AS f3,
       'EXECUTE ON FUNCTION app.secret_diff(integer, integer)' AS f4, 'EXECUTE ON FUNCTION app.secret_trigger()' AS f5, 'CREATE ON DATABASE contrib_regression' AS creates \gset
SELECT jit_create_template('inherits', ARRAY[:'reads', :'refers', :'f1', :'f2', :'f3', :'f4', :'f5'], requesters => '{alice}', approvers => '{bob}') AS role \gset
SELECT jit_create_template('takes', ARRAY[:'reads', :'refers', :'f1', :'f2', :'f3', :'f4', :'f5'], requesters => '{erin}', approvers => '{bob}', mode => 'set_role') AS role \gset
SELECT jit_create_template('makes', ARRAY[:'reads', :'refers', :'f1', :'f2', :'f3', :'f4', :'f5', :'creates', 'USAGE, CREATE ON SCHEMA made'], requesters => '{dave}', approvers => '{bob}',
                           mode => 'set_role', allow_schema_change => true) AS role \gset
SELECT jit_create_template('codes', ARRAY[:'reads', :'refers', :'f1', :'f2', :'f3', :'f4', :'f5', :'creates', 'USAGE, CREATE ON SCHEMA coded'], requesters => '{gina}', approvers => '{bob}',
                           mode => 'set_role', allow_schema_change => true, allow_code => true) AS role \gset
-- One row for each statement that is not answered as the list says.
CREATE FUNCTION tap.answer(statement text, place text) RETURNS text LANGUAGE sql AS $$
    SELECT CASE error WHEN 'no er' THEN 'made' ELSE error END FROM (SELECT left(tap.error(format(statement, place, 'new')), 5) AS error) e
$$;
CREATE FUNCTION tap.differences(maker text, place text) RETURNS TABLE (statement text, answer text, list text) LANGUAGE sql AS $$
    SELECT * FROM (SELECT format(c.statement, place, 'new'), tap.answer(c.statement, place) AS answer,
                          CASE maker WHEN 'inherit' THEN c.inherit WHEN 'role' THEN c.role WHEN 'schema' THEN c.schema ELSE c.code END AS list
                   FROM tap.creation c ORDER BY n) d WHERE answer IS DISTINCT FROM list
$$;
CREATE TABLE tap.answers (login text DEFAULT session_user, n integer, answer text);
GRANT SELECT, INSERT ON tap.answers TO PUBLIC;
\connect - mallory
CREATE FUNCTION theirs.number() RETURNS integer LANGUAGE sql AS 'SELECT 1';
CREATE DOMAIN theirs.small AS integer CHECK (VALUE > theirs.number());

-- Before the grants; and who may do what.
\connect - dave
CREATE TABLE daves.own (id integer, more integer);
CREATE TYPE daves.pair AS (a integer, b integer);
CREATE DOMAIN daves.few AS integer;
INSERT INTO tap.answers (n, answer) SELECT n, tap.answer(statement, 'daves') FROM tap.creation;
\connect - gina
CREATE TABLE ginas.own (id integer, more integer);
CREATE TYPE ginas.pair AS (a integer, b integer);
CREATE DOMAIN ginas.few AS integer;
INSERT INTO tap.answers (n, answer) SELECT n, tap.answer(statement, 'ginas') FROM tap.creation;
\connect - alice
CREATE TABLE hers.own (id integer, more integer);
CREATE TYPE hers.pair AS (a integer, b integer);
CREATE DOMAIN hers.few AS integer;
SELECT jit_request('inherits', '1h') AS alices \gset
\connect - erin
SELECT jit_request('takes', '1h') AS erins \gset
\connect - dave
SELECT jit_request('makes', '1h') AS daves \gset
\connect - gina
SELECT jit_request('codes', '1h') AS ginas \gset
\connect - :owner
CREATE TABLE tap.before (class oid, object oid);
INSERT INTO tap.before SELECT 'pg_class'::regclass, oid FROM pg_class UNION ALL SELECT 'pg_proc'::regclass, oid FROM pg_proc UNION ALL SELECT 'pg_namespace'::regclass, oid FROM pg_namespace;
CREATE FUNCTION tap.reach() RETURNS TABLE (login name, class oid, object oid, privilege text) LANGUAGE sql AS $$
    WITH logins AS (SELECT rolname, oid FROM pg_roles WHERE rolname IN ('alice', 'erin', 'dave', 'gina', 'mallory', 'carol'))
    SELECT rolname, 'pg_class'::regclass::oid, c.oid, p FROM logins l, pg_class c, unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE', 'TRUNCATE', 'REFERENCES', 'TRIGGER']) p
    WHERE c.relkind IN ('r', 'p', 'v', 'm') AND c.relnamespace IN (SELECT oid FROM pg_namespace WHERE nspname !~ '^(pg_|tap$|information_schema$)') AND has_table_privilege(l.oid, c.oid, p)
    UNION ALL SELECT rolname, 'pg_proc'::regclass, f.oid, 'EXECUTE' FROM logins l, pg_proc f WHERE has_function_privilege(l.oid, f.oid, 'EXECUTE')
    UNION ALL SELECT rolname, 'pg_namespace'::regclass, s.oid, p FROM logins l, pg_namespace s, unnest(ARRAY['CREATE', 'USAGE']) p WHERE s.nspname !~ '^pg_' AND has_schema_privilege(l.oid, s.oid, p)
    UNION ALL SELECT l.rolname, 'pg_authid'::regclass, r.oid, 'MEMBER' FROM logins l, pg_roles r WHERE pg_has_role(l.oid, r.oid, 'MEMBER')
$$;
CREATE TABLE tap.reach_before AS SELECT * FROM tap.reach();
\connect - bob
SELECT jit_approve(id) AS state FROM unnest(ARRAY[:alices, :erins, :daves, :ginas]) AS id \g /dev/null

-- Under the grants. What is allowed is then made.
\connect - alice
CALL tap.start();
SELECT is_empty($$SELECT * FROM tap.differences('inherit', 'hers')$$, 'as the login, mode inherit');
\o /dev/null
SELECT format(statement, 'hers', 'o' || n) FROM tap.creation WHERE inherit = 'made' ORDER BY n \gexec
\o
\connect - erin
CALL tap.start();
SELECT 'jit_grant_' || :'erins' AS grant_role \gset
SET ROLE :grant_role;
SELECT is_empty($$SELECT * FROM tap.differences('role', 'anybodys')$$, 'as the role of the grant');
\connect - dave
CALL tap.start();
SELECT is_empty($$SELECT statement, c.answer FROM (SELECT n, tag, statement, tap.answer(statement, 'daves') AS answer FROM tap.creation) c JOIN tap.answers a USING (n)
                  WHERE a.login = session_user AND a.answer <> c.answer
                  AND NOT (c.answer = 'JA016' AND tag IN ('CREATE SCHEMA', 'CREATE DATABASE', 'ALTER DEFAULT PRIVILEGES'))$$, 'before SET ROLE a holder of mode set_role is like any login, except where the server asks for memberships');
SELECT 'jit_grant_' || :'daves' AS grant_role \gset
SET ROLE :grant_role;
CREATE TABLE made.own (id integer, more integer);
CREATE TYPE made.pair AS (a integer, b integer);
CREATE DOMAIN made.few AS integer;
SELECT is_empty($$SELECT * FROM tap.differences('schema', 'made')$$, 'as the role of the grant, with allow_schema_change');
\o /dev/null
SELECT format(statement, 'made', 'o' || n) FROM tap.creation WHERE schema = 'made' ORDER BY n \gexec
\o
\connect - gina
CALL tap.start();
SELECT is_empty($$SELECT statement, c.answer FROM (SELECT n, tag, statement, tap.answer(statement, 'ginas') AS answer FROM tap.creation) c JOIN tap.answers a USING (n)
                  WHERE a.login = session_user AND a.answer <> c.answer
                  AND NOT (c.answer = 'JA016' AND tag IN ('CREATE SCHEMA', 'CREATE DATABASE', 'ALTER DEFAULT PRIVILEGES'))$$, 'and so is one of a template with allow_code');
SELECT 'jit_grant_' || :'ginas' AS grant_role \gset
SET ROLE :grant_role;
CREATE TABLE coded.own (id integer, more integer);
CREATE TYPE coded.pair AS (a integer, b integer);
CREATE DOMAIN coded.few AS integer;
SELECT is_empty($$SELECT * FROM tap.differences('code', 'coded')$$, 'as the role of the grant, with allow_code');
\o /dev/null
SELECT format(statement, 'coded', 'p' || n) FROM tap.creation WHERE code = 'made' ORDER BY n \gexec
\o

-- After the end.
\connect - bob
SELECT jit_revoke(id) AS state FROM unnest(ARRAY[:alices, :erins, :daves, :ginas]) AS id \g /dev/null
\connect - :owner
CALL tap.start();
CALL tap.wait_until('SELECT NOT EXISTS (SELECT FROM jit_access.active_grants WHERE cleanup = ''due'' AND cleanup_error IS NULL)');
SELECT is_empty($$SELECT a.login, a.class::regclass, a.object, a.privilege FROM tap.reach() a WHERE NOT EXISTS (SELECT FROM tap.reach_before b WHERE (b.*) = (a.*))
                  AND (a.object IN (SELECT object FROM tap.before) OR a.class = 'pg_authid'::regclass)$$, 'no login has a privilege that it had not before');
SELECT cmp_ok((SELECT count(*)::int FROM pg_class c WHERE relnamespace IN ('made'::regnamespace, 'coded'::regnamespace) AND relkind IN ('r', 'v', 'm')), '>', 10, 'the objects are there');
SELECT is_empty($$SELECT a.login, a.object::regclass, a.privilege FROM tap.reach() a JOIN pg_class c ON a.class = 'pg_class'::regclass AND c.oid = a.object
                  WHERE a.object NOT IN (SELECT object FROM tap.before) AND c.relowner <> to_regrole(a.login)$$, 'no table or view that was made is open to a login, except to the one who made it as their own');
SELECT is_empty($$SELECT r.rolname, m.roleid::regrole FROM pg_roles r JOIN pg_auth_members m ON r.oid IN (m.member, m.roleid)
                  WHERE r.rolname ~ '^jit_(grant|quarantine)_' AND (m.roleid <> 'jit_marker'::regrole OR m.member <> r.oid)$$, 'a role that still owns code has no privileges to lend');
SELECT is_empty($$SELECT p.oid::regprocedure FROM pg_proc p JOIN pg_roles r ON r.oid = p.proowner WHERE p.prosecdef AND p.oid NOT IN (SELECT object FROM tap.before) AND r.rolname !~ '^jit_(grant|quarantine)_'$$,
                'no other role owns a SECURITY DEFINER function that was made');
SELECT is_empty($$SELECT d.classid::regclass, d.objid, d.refobjid::regprocedure FROM pg_depend d JOIN pg_proc p ON d.refclassid = 'pg_proc'::regclass AND p.oid = d.refobjid
                  WHERE p.pronamespace = 'app'::regnamespace AND p.proname LIKE 'secret%' AND d.classid <> 'pg_attrdef'::regclass$$,
                'nothing calls a function of the grants without a check of EXECUTE');
SELECT is_empty($$SELECT c.conrelid::regclass FROM pg_constraint c JOIN pg_class t ON t.oid = c.conrelid
                  WHERE c.contype = 'f' AND c.confrelid = 'app.orders'::regclass AND NOT has_any_column_privilege(t.relowner, c.confrelid, 'REFERENCES') AND t.relowner::regrole::text !~ '^jit_grant_'$$,
                'nobody refers to a table that they may not reference');
SELECT format('%s()', p.oid::regproc) AS call FROM pg_proc p WHERE p.prosecdef AND p.pronamespace = 'coded'::regnamespace \gset
GRANT USAGE ON SCHEMA coded TO mallory;
\connect - mallory
CALL tap.start();
SELECT isnt(tap.error('SELECT ' || :'call'), 'no error', 'what code of the grant reads is closed to its callers');
\connect - alice
CALL tap.start();
SELECT is_empty($$SELECT relname FROM pg_class WHERE relnamespace = 'hers'::regnamespace AND relkind = 'v' AND tap.error(format('SELECT * FROM hers.%I', relname)) = 'no error'
                  AND EXISTS (SELECT FROM pg_depend d JOIN pg_rewrite r ON d.classid = 'pg_rewrite'::regclass AND r.oid = d.objid WHERE r.ev_class = pg_class.oid AND d.refobjid = 'app.orders'::regclass)$$,
                'no view of the holder''s own reads the tables of the grant');
\connect - :owner
\o /dev/null
SELECT format('DROP OWNED BY %I CASCADE', rolname) FROM pg_roles WHERE rolname ~ '^jit_(grant_|template_(makes|codes)$)' \gexec
\o
CALL tap.wait_for_cleanup();
DROP FUNCTION tap.answer, tap.differences, tap.reach;
DROP TABLE tap.creation, tap.creates_nothing, tap.kinds, tap.answers, tap.before, tap.reach_before;
SELECT jit_drop_template(name) FROM jit_access.template_catalog \g /dev/null
DROP SCHEMA hers, ginas, daves, made, coded, theirs, anybodys CASCADE;
DROP OWNED BY alice, gina, dave, mallory, erin CASCADE;
\i test/sql/include/clean.sql
DROP ROLE gina, erin, mallory;
