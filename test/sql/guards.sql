\set ECHO none
\i test/sql/include/tap.sql
\i test/sql/include/people.sql
-- Every command that outlives a grant, passes it on or creates code, by the node of the parse tree that the guards name
-- (test/arch/guards looks for each here): refused and recorded, allowed as code where the template says so or, in mode
-- inherit, where the code would be the holder's own (see guard.sql), and not touched without a grant.
CREATE ROLE gina LOGIN;
SELECT jit_create_template('reads', '{USAGE ON SCHEMA app, SELECT ON app.orders}', requesters => '{alice}', approvers => '{bob}') AS role \gset
SELECT jit_create_template('makes', ARRAY['USAGE, CREATE ON SCHEMA app', 'CREATE ON DATABASE contrib_regression'], requesters => '{dave}',
                           approvers => '{bob}', mode => 'set_role', allow_schema_change => true) AS role \gset
SELECT jit_create_template('codes', '{"USAGE, CREATE ON SCHEMA app"}', requesters => '{gina}', approvers => '{bob}', mode => 'set_role',
                           allow_schema_change => true, allow_code => true) AS role \gset
CREATE TABLE tap.guarded (n integer GENERATED ALWAYS AS IDENTITY, node text, statement text, tag text, why text, is_code boolean DEFAULT false);
GRANT SELECT ON tap.guarded TO PUBLIC;
INSERT INTO tap.guarded (node, statement, tag, why) VALUES
    ('GrantStmt', 'GRANT SELECT ON app.orders TO PUBLIC', 'GRANT', 'GRANT and REVOKE would pass privileges on.'),
    ('GrantStmt', 'GRANT SELECT ON LARGE OBJECT 1 TO PUBLIC', 'GRANT', 'GRANT and REVOKE would pass privileges on.'),
    ('GrantStmt', 'REVOKE SELECT ON app.orders FROM PUBLIC', 'REVOKE', 'GRANT and REVOKE would pass privileges on.'),
    ('GrantRoleStmt', 'GRANT alice TO carol', 'GRANT ROLE', 'GRANT and REVOKE would pass privileges on.'),
    ('GrantRoleStmt', 'REVOKE developers FROM alice', 'REVOKE ROLE', 'GRANT and REVOKE would pass privileges on.'),
    ('AlterDefaultPrivilegesStmt', 'ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO PUBLIC', 'ALTER DEFAULT PRIVILEGES', 'Default privileges outlive the grant.'),
    ('AlterOwnerStmt', 'ALTER SCHEMA app OWNER TO alice', 'ALTER SCHEMA', 'A change of owner outlives the grant.'),
    ('AlterOwnerStmt', 'ALTER DATABASE contrib_regression OWNER TO alice', 'ALTER DATABASE', 'A change of owner outlives the grant.'),
    ('AlterOwnerStmt', 'ALTER LARGE OBJECT 1 OWNER TO alice', 'ALTER LARGE OBJECT', 'A change of owner outlives the grant.'),
    ('AlterTableStmt', 'ALTER TABLE app.orders OWNER TO alice', 'ALTER TABLE', 'A change of owner outlives the grant.'),
    ('AlterTableStmt', 'ALTER TABLE app.orders ADD COLUMN more integer, OWNER TO alice', 'ALTER TABLE', 'A change of owner outlives the grant.'),
    ('AlterTableStmt', 'ALTER SEQUENCE app.numbers OWNER TO alice', 'ALTER SEQUENCE', 'A change of owner outlives the grant.'),
    ('ReassignOwnedStmt', 'REASSIGN OWNED BY alice TO carol', 'REASSIGN OWNED', 'A change of owner outlives the grant.'),
    ('DropOwnedStmt', 'DROP OWNED BY alice', 'DROP OWNED', 'Dropping the objects of a role outlives the grant.'),
    ('CreateSchemaStmt', 'CREATE SCHEMA more AUTHORIZATION carol', 'CREATE SCHEMA', 'The new object would belong to another role and outlive the grant.'),
    ('CreatedbStmt', 'CREATE DATABASE more OWNER carol', 'CREATE DATABASE', 'The new object would belong to another role and outlive the grant.'),
    ('CreateRoleStmt', 'CREATE ROLE newcomer', 'CREATE ROLE', 'Roles outlive the grant.'),
    ('CreateRoleStmt', 'CREATE USER newcomer', 'CREATE ROLE', 'Roles outlive the grant.'),
    ('AlterRoleStmt', 'ALTER ROLE carol PASSWORD NULL', 'ALTER ROLE', 'Changes of roles outlive the grant.'),
    ('AlterRoleStmt', 'ALTER GROUP developers ADD USER carol', 'ALTER ROLE', 'Changes of roles outlive the grant.'),
    ('AlterRoleSetStmt', 'ALTER ROLE alice SET work_mem = ''1GB''', 'ALTER ROLE', 'Settings of roles outlive the grant.'),
    ('AlterRoleSetStmt', 'ALTER ROLE alice RESET ALL', 'ALTER ROLE', 'Settings of roles outlive the grant.'),
    ('RenameStmt', 'ALTER ROLE carol RENAME TO newcomer', 'ALTER ROLE', 'Changes of roles outlive the grant.'),
    ('DropRoleStmt', 'DROP ROLE carol', 'DROP ROLE', 'Changes of roles outlive the grant.'),
    ('AlterDatabaseSetStmt', 'ALTER DATABASE contrib_regression SET work_mem = ''1GB''', 'ALTER DATABASE', 'Settings of databases outlive the grant.'),
    ('AlterDatabaseStmt', 'ALTER DATABASE contrib_regression CONNECTION LIMIT 1', 'ALTER DATABASE', 'Settings of databases outlive the grant.'),
    ('AlterSystemStmt', 'ALTER SYSTEM SET work_mem = ''1GB''', 'ALTER SYSTEM', 'Settings of the server outlive the grant.'),
    ('AlterSystemStmt', 'ALTER SYSTEM RESET ALL', 'ALTER SYSTEM', 'Settings of the server outlive the grant.'),
    ('CreateEventTrigStmt', 'CREATE EVENT TRIGGER t ON ddl_command_end EXECUTE FUNCTION f()', 'CREATE EVENT TRIGGER', 'Triggers run in statements of other users.'),
    ('CreateExtensionStmt', 'CREATE EXTENSION pgcrypto', 'CREATE EXTENSION', 'Extensions bring code.'),
    ('CreateExtensionStmt', 'CREATE LANGUAGE plperl', 'CREATE EXTENSION', 'Extensions bring code.'),
    ('AlterExtensionStmt', 'ALTER EXTENSION pgtap UPDATE', 'ALTER EXTENSION', 'Extensions bring code.'),
    ('AlterExtensionContentsStmt', 'ALTER EXTENSION pgtap ADD TABLE app.orders', 'ALTER EXTENSION', 'Extensions bring code.'),
    ('CreatePLangStmt', 'CREATE LANGUAGE l HANDLER f', 'CREATE LANGUAGE', 'Languages bring code.'),
    ('LoadStmt', 'LOAD ''auto_explain''', 'LOAD', 'Libraries bring code.'),
    ('CreatePublicationStmt', 'CREATE PUBLICATION p FOR TABLE app.orders', 'CREATE PUBLICATION', 'Replication carries data away.'),
    ('AlterPublicationStmt', 'ALTER PUBLICATION p ADD TABLE app.orders', 'ALTER PUBLICATION', 'Replication carries data away.'),
    ('CreateSubscriptionStmt', 'CREATE SUBSCRIPTION s CONNECTION ''dbname=x'' PUBLICATION p', 'CREATE SUBSCRIPTION', 'Replication carries data away.'),
    ('AlterSubscriptionStmt', 'ALTER SUBSCRIPTION s CONNECTION ''dbname=x''', 'ALTER SUBSCRIPTION', 'Replication carries data away.'),
    ('CreateForeignServerStmt', 'CREATE SERVER s FOREIGN DATA WRAPPER w', 'CREATE SERVER', 'Foreign servers carry data away.'),
    ('AlterForeignServerStmt', 'ALTER SERVER s OPTIONS (SET host ''elsewhere'')', 'ALTER SERVER', 'Foreign servers carry data away.'),
    ('CreateUserMappingStmt', 'CREATE USER MAPPING FOR PUBLIC SERVER s', 'CREATE USER MAPPING', 'Foreign servers carry data away.'),
    ('AlterUserMappingStmt', 'ALTER USER MAPPING FOR alice SERVER s OPTIONS (SET password ''***'')', 'ALTER USER MAPPING', 'Foreign servers carry data away.'),
    ('CreateForeignTableStmt', 'CREATE FOREIGN TABLE app.f (id integer) SERVER s', 'CREATE FOREIGN TABLE', 'Foreign servers carry data away.'),
    ('CreateForeignTableStmt', 'CREATE FOREIGN TABLE app.f PARTITION OF app.orders DEFAULT SERVER s', 'CREATE FOREIGN TABLE', 'Foreign servers carry data away.'),
    ('ImportForeignSchemaStmt', 'IMPORT FOREIGN SCHEMA public FROM SERVER s INTO app', 'IMPORT FOREIGN SCHEMA', 'Foreign servers carry data away.'),
    ('AlterTableStmt', 'ALTER FOREIGN TABLE app.f OPTIONS (SET table_name ''x'')', 'ALTER FOREIGN TABLE', 'Foreign servers carry data away.'),
    ('AlterTableStmt', 'ALTER FOREIGN TABLE app.f ALTER id OPTIONS (SET column_name ''x'')', 'ALTER FOREIGN TABLE', 'Foreign servers carry data away.'),
    ('AlterTableStmt', 'ALTER VIEW app.v SET (security_invoker = false)', 'ALTER VIEW', 'Views give what their owner can see.'),
    ('AlterTableStmt', 'ALTER TABLE app.v RESET (security_invoker)', 'ALTER TABLE', 'Views give what their owner can see.'),
    ('SecLabelStmt', 'SECURITY LABEL ON TABLE app.orders IS NULL', 'SECURITY LABEL', 'Labels decide what others may see.'),
    ('CopyStmt', 'COPY app.orders TO ''/tmp/orders''', 'COPY', 'The record does not show what programs and files of the server do.'),
    ('CopyStmt', 'COPY app.orders FROM ''/tmp/orders''', 'COPY', 'The record does not show what programs and files of the server do.'),
    ('CopyStmt', 'COPY (SELECT 1) TO PROGRAM ''cat''', 'COPY', 'The record does not show what programs and files of the server do.'),
    ('CreateFdwStmt', 'CREATE FOREIGN DATA WRAPPER w', 'CREATE FOREIGN DATA WRAPPER', 'Foreign servers carry data away.'),
    ('AlterFdwStmt', 'ALTER FOREIGN DATA WRAPPER w NO HANDLER', 'ALTER FOREIGN DATA WRAPPER', 'Foreign servers carry data away.'),
    ('DropUserMappingStmt', 'DROP USER MAPPING FOR PUBLIC SERVER s', 'DROP USER MAPPING', 'Foreign servers carry data away.'),
    ('DropSubscriptionStmt', 'DROP SUBSCRIPTION s', 'DROP SUBSCRIPTION', 'Replication carries data away.'),
    ('AlterEventTrigStmt', 'ALTER EVENT TRIGGER t DISABLE', 'ALTER EVENT TRIGGER', 'Triggers run in statements of other users.'),
    ('CreateAmStmt', 'CREATE ACCESS METHOD m TYPE TABLE HANDLER heap_tableam_handler', 'CREATE ACCESS METHOD', 'Access methods bring code.'),
    ('CreateTableSpaceStmt', 'CREATE TABLESPACE t LOCATION ''/tmp''', 'CREATE TABLESPACE', 'Tablespaces outlive the grant.'),
    ('AlterTableSpaceOptionsStmt', 'ALTER TABLESPACE pg_default SET (seq_page_cost = 1)', 'ALTER TABLESPACE', 'Settings of tablespaces outlive the grant.'),
    ('DropTableSpaceStmt', 'DROP TABLESPACE t', 'DROP TABLESPACE', 'Tablespaces outlive the grant.'),
    ('AlterDatabaseRefreshCollStmt', 'ALTER DATABASE contrib_regression REFRESH COLLATION VERSION', 'ALTER DATABASE', 'Settings of databases outlive the grant.'),
    ('DropStmt', 'DROP EXTENSION pgtap', 'DROP EXTENSION', 'Extensions bring code.'),
    ('DropStmt', 'DROP SERVER s', 'DROP SERVER', 'Foreign servers carry data away.'),
    ('DropStmt', 'DROP FOREIGN DATA WRAPPER w', 'DROP FOREIGN DATA WRAPPER', 'Foreign servers carry data away.'),
    ('DropStmt', 'DROP PUBLICATION p', 'DROP PUBLICATION', 'Replication carries data away.'),
    ('DropStmt', 'DROP EVENT TRIGGER t', 'DROP EVENT TRIGGER', 'Triggers and rules run in statements of other users.'),
    ('DropStmt', 'DROP LANGUAGE l', 'DROP LANGUAGE', 'Languages bring code.'),
    ('DropStmt', 'DROP ACCESS METHOD m', 'DROP ACCESS METHOD', 'Access methods bring code.'),
    ('RenameStmt', 'ALTER PUBLICATION p RENAME TO q', 'ALTER PUBLICATION', 'Replication carries data away.'),
    ('RenameStmt', 'ALTER SERVER s RENAME TO q', 'ALTER SERVER', 'Foreign servers carry data away.'),
    ('RenameStmt', 'ALTER TABLESPACE t RENAME TO q', 'ALTER TABLESPACE', 'Its effects under a grant have not been examined.'),
    ('AlterObjectSchemaStmt', 'ALTER EXTENSION pgtap SET SCHEMA app', 'ALTER EXTENSION', 'Extensions bring code.'),
    ('VariableSetStmt', 'SET SESSION AUTHORIZATION carol', 'SET', 'The record identifies users by the session user.'),
    ('VariableSetStmt', 'SET LOCAL SESSION AUTHORIZATION carol', 'SET', 'The record identifies users by the session user.'),
    ('VariableSetStmt', 'SET session_authorization = carol', 'SET', 'The record identifies users by the session user.');
INSERT INTO tap.guarded (node, statement, tag, why, is_code) SELECT *, true FROM (VALUES
    ('CreateFunctionStmt', 'CREATE FUNCTION app.f() RETURNS integer LANGUAGE sql AS ''SELECT 1''', 'CREATE FUNCTION', 'Functions run with the privileges of their owner.'),
    ('CreateFunctionStmt', 'CREATE OR REPLACE FUNCTION app.next_status(text) RETURNS text LANGUAGE sql SECURITY DEFINER AS ''SELECT $1''', 'CREATE FUNCTION', 'Functions run with the privileges of their owner.'),
    ('CreateFunctionStmt', 'CREATE PROCEDURE app.p() LANGUAGE sql AS ''SELECT 1''', 'CREATE PROCEDURE', 'Functions run with the privileges of their owner.'),
    ('AlterFunctionStmt', 'ALTER FUNCTION app.next_status(text) SECURITY DEFINER', 'ALTER FUNCTION', 'Functions run with the privileges of their owner.'),
    ('CreateTrigStmt', 'CREATE TRIGGER t AFTER INSERT ON app.orders EXECUTE FUNCTION f()', 'CREATE TRIGGER', 'Triggers run in statements of other users.'),
    ('CreateTrigStmt', 'CREATE CONSTRAINT TRIGGER t AFTER INSERT ON app.orders FOR EACH ROW EXECUTE FUNCTION f()', 'CREATE TRIGGER', 'Triggers run in statements of other users.'),
    ('RuleStmt', 'CREATE RULE r AS ON INSERT TO app.orders DO INSTEAD NOTHING', 'CREATE RULE', 'Rules run in statements of other users.'),
    ('ViewStmt', 'CREATE VIEW app.v AS SELECT * FROM app.orders', 'CREATE VIEW', 'Views give what their owner can see.'),
    ('ViewStmt', 'CREATE OR REPLACE TEMPORARY VIEW v WITH (security_invoker) AS SELECT 1', 'CREATE VIEW', 'Views give what their owner can see.'),
    ('CreateTableAsStmt', 'CREATE MATERIALIZED VIEW app.m AS SELECT 1', 'CREATE MATERIALIZED VIEW', 'Views give what their owner can see.'),
    ('ExplainStmt', 'EXPLAIN ANALYZE CREATE MATERIALIZED VIEW app.m AS SELECT 1', 'EXPLAIN', 'Views give what their owner can see.'),
    ('CreatePolicyStmt', 'CREATE POLICY p ON app.orders USING (true)', 'CREATE POLICY', 'Policies run in statements of other users.'),
    ('AlterPolicyStmt', 'ALTER POLICY p ON app.orders USING (true)', 'ALTER POLICY', 'Policies run in statements of other users.'),
    ('DropStmt', 'DROP POLICY p ON app.orders', 'DROP POLICY', 'Row security decides what others may see.'),
    ('DropStmt', 'DROP TRIGGER t ON app.orders', 'DROP TRIGGER', 'Triggers and rules run in statements of other users.'),
    ('DropStmt', 'DROP RULE r ON app.orders', 'DROP RULE', 'Triggers and rules run in statements of other users.'),
    ('DropStmt', 'DROP OPERATOR app.= (text, text)', 'DROP OPERATOR', 'Operators and casts run in statements of other users.'),
    ('DropStmt', 'DROP CAST (app.orders AS text)', 'DROP CAST', 'Operators and casts run in statements of other users.'),
    ('DropStmt', 'DROP TEXT SEARCH CONFIGURATION app.c', 'DROP TEXT SEARCH CONFIGURATION', 'Text search runs in statements of other users.'),
    ('RenameStmt', 'ALTER TRIGGER t ON app.orders RENAME TO a', 'ALTER TRIGGER', 'Triggers and rules run in statements of other users.'),
    ('RenameStmt', 'ALTER RULE r ON app.orders RENAME TO a', 'ALTER RULE', 'Triggers and rules run in statements of other users.'),
    ('RenameStmt', 'ALTER POLICY p ON app.orders RENAME TO a', 'ALTER POLICY', 'Row security decides what others may see.'),
    ('AlterObjectSchemaStmt', 'ALTER OPERATOR app.= (text, text) SET SCHEMA public', 'ALTER OPERATOR', 'Operators and casts run in statements of other users.'),
    ('AlterTableStmt', 'ALTER VIEW app.v SET (security_barrier = false)', 'ALTER VIEW', 'Views give what their owner can see.'),
    ('AlterTableStmt', 'ALTER VIEW app.v RESET (security_barrier)', 'ALTER VIEW', 'Views give what their owner can see.'),
    ('AlterTableStmt', 'ALTER VIEW app.v SET (check_option = local)', 'ALTER VIEW', 'Views decide what others may write.'),
    ('AlterTableStmt', 'ALTER TABLE app.orders ENABLE ROW LEVEL SECURITY', 'ALTER TABLE', 'Row security decides what others may see.'),
    ('AlterTableStmt', 'ALTER TABLE app.orders DISABLE ROW LEVEL SECURITY', 'ALTER TABLE', 'Row security decides what others may see.'),
    ('AlterTableStmt', 'ALTER TABLE app.orders FORCE ROW LEVEL SECURITY', 'ALTER TABLE', 'Row security decides what others may see.'),
    ('AlterTableStmt', 'ALTER TABLE app.orders NO FORCE ROW LEVEL SECURITY', 'ALTER TABLE', 'Row security decides what others may see.'),
    ('AlterTableStmt', 'ALTER TABLE app.orders ENABLE TRIGGER t', 'ALTER TABLE', 'Triggers and rules run in statements of other users.'),
    ('AlterTableStmt', 'ALTER TABLE app.orders ENABLE ALWAYS TRIGGER t', 'ALTER TABLE', 'Triggers and rules run in statements of other users.'),
    ('AlterTableStmt', 'ALTER TABLE app.orders ENABLE REPLICA TRIGGER t', 'ALTER TABLE', 'Triggers and rules run in statements of other users.'),
    ('AlterTableStmt', 'ALTER TABLE app.orders ENABLE TRIGGER ALL', 'ALTER TABLE', 'Triggers and rules run in statements of other users.'),
    ('AlterTableStmt', 'ALTER TABLE app.orders ENABLE TRIGGER USER', 'ALTER TABLE', 'Triggers and rules run in statements of other users.'),
    ('AlterTableStmt', 'ALTER TABLE app.orders DISABLE TRIGGER t', 'ALTER TABLE', 'Triggers and rules run in statements of other users.'),
    ('AlterTableStmt', 'ALTER TABLE app.orders DISABLE TRIGGER ALL', 'ALTER TABLE', 'Triggers and rules run in statements of other users.'),
    ('AlterTableStmt', 'ALTER TABLE app.orders DISABLE TRIGGER USER', 'ALTER TABLE', 'Triggers and rules run in statements of other users.'),
    ('AlterTableStmt', 'ALTER TABLE app.orders ENABLE RULE r', 'ALTER TABLE', 'Triggers and rules run in statements of other users.'),
    ('AlterTableStmt', 'ALTER TABLE app.orders ENABLE ALWAYS RULE r', 'ALTER TABLE', 'Triggers and rules run in statements of other users.'),
    ('AlterTableStmt', 'ALTER TABLE app.orders ENABLE REPLICA RULE r', 'ALTER TABLE', 'Triggers and rules run in statements of other users.'),
    ('AlterTableStmt', 'ALTER TABLE app.orders DISABLE RULE r', 'ALTER TABLE', 'Triggers and rules run in statements of other users.'),
    ('AlterTableStmt', 'ALTER TABLE app.own ADD EXCLUDE ((id + 1) WITH =)', 'ALTER TABLE', 'Expressions of an index run with the privileges of the table''s owner.'),
    ('AlterTableStmt', 'ALTER TABLE app.own ADD CONSTRAINT x EXCLUDE (id WITH =) WHERE (id > 1)', 'ALTER TABLE', 'Expressions of an index run with the privileges of the table''s owner.'),
    ('CreateCastStmt', 'CREATE CAST (app.orders AS text) WITH INOUT', 'CREATE CAST', 'Casts run in statements of other users.'),
    ('CreateTransformStmt', 'CREATE TRANSFORM FOR app.orders LANGUAGE sql (FROM SQL WITH FUNCTION f(internal))', 'CREATE TRANSFORM', 'Transforms run in other people''s functions.'),
    ('CreateConversionStmt', 'CREATE CONVERSION app.c FOR ''LATIN1'' TO ''UTF8'' FROM f', 'CREATE CONVERSION', 'Conversions run in statements of other users.'),
    ('CreateOpClassStmt', 'CREATE OPERATOR CLASS app.c FOR TYPE app.orders USING btree AS OPERATOR 1 =', 'CREATE OPERATOR CLASS', 'Operators run in statements of other users.'),
    ('AlterOperatorStmt', 'ALTER OPERATOR app.= (text, text) SET (RESTRICT = f)', 'ALTER OPERATOR', 'Operators run in statements of other users.'),
    ('DefineStmt', 'CREATE OPERATOR app.= (FUNCTION = texteq, LEFTARG = text, RIGHTARG = text)', 'CREATE OPERATOR', 'Operators, aggregates and types run in statements of other users.'),
    ('DefineStmt', 'CREATE AGGREGATE app.total (integer) (SFUNC = int4pl, STYPE = integer)', 'CREATE AGGREGATE', 'Operators, aggregates and types run in statements of other users.'),
    ('DefineStmt', 'CREATE TYPE app.t', 'CREATE TYPE', 'Operators, aggregates and types run in statements of other users.'),
    ('DefineStmt', 'CREATE COLLATION app.c FROM "C"', 'CREATE COLLATION', 'Operators, aggregates and types run in statements of other users.'),
    ('CreateOpFamilyStmt', 'CREATE OPERATOR FAMILY app.c USING btree', 'CREATE OPERATOR FAMILY', 'Operators run in statements of other users.'),
    ('AlterOpFamilyStmt', 'ALTER OPERATOR FAMILY app.c USING btree DROP FUNCTION 1 (integer)', 'ALTER OPERATOR FAMILY', 'Operators run in statements of other users.'),
    ('AlterTypeStmt', 'ALTER TYPE app.t SET (STORAGE = plain)', 'ALTER TYPE', 'Functions of a type run in statements of other users.'),
    ('AlterTSDictionaryStmt', 'ALTER TEXT SEARCH DICTIONARY app.d (StopWords)', 'ALTER TEXT SEARCH DICTIONARY', 'Text search runs in statements of other users.'),
    ('AlterTSConfigurationStmt', 'ALTER TEXT SEARCH CONFIGURATION app.c DROP MAPPING FOR word', 'ALTER TEXT SEARCH CONFIGURATION', 'Text search runs in statements of other users.'),
    ('AlterObjectDependsStmt', 'ALTER FUNCTION app.next_status(text) DEPENDS ON EXTENSION pgtap', 'ALTER FUNCTION', 'Functions run with the privileges of their owner.'),
    ('CreateRangeStmt', 'CREATE TYPE app.r AS RANGE (SUBTYPE = integer, SUBTYPE_DIFF = f)', 'CREATE TYPE', 'Functions of a type run in statements of other users.'),
    ('CreateRangeStmt', 'CREATE TYPE app.r AS RANGE (SUBTYPE = integer, CANONICAL = f)', 'CREATE TYPE', 'Functions of a type run in statements of other users.'),
    ('CreateStatsStmt', 'CREATE STATISTICS app.s ON (id + 1) FROM app.orders', 'CREATE STATISTICS', 'Expressions of statistics run with the privileges of the table''s owner.'),
    ('IndexStmt', 'CREATE INDEX ON app.own ((id + 1))', 'CREATE INDEX', 'Expressions of an index run with the privileges of the table''s owner.'),
    ('IndexStmt', 'CREATE INDEX CONCURRENTLY ON app.own (id) WHERE id > 1', 'CREATE INDEX', 'Expressions of an index run with the privileges of the table''s owner.'),
    ('CreateStmt', 'CREATE TABLE app.p (id integer) PARTITION BY RANGE ((id + 1))', 'CREATE TABLE', 'Expressions run with the privileges of the table''s owner.')) v;

-- Commands that a grant needs are not guarded.
CREATE TABLE tap.allowed (n integer GENERATED ALWAYS AS IDENTITY, statement text);
GRANT SELECT ON tap.allowed TO PUBLIC;
INSERT INTO tap.allowed (statement) VALUES
    ('CREATE TABLE app.t (id serial PRIMARY KEY, kind app.kind, at timestamptz DEFAULT now(), UNIQUE (at))'),
    ('CREATE UNLOGGED TABLE app.t AS SELECT 1 AS id'), ('CREATE TABLE app.t (id integer) PARTITION BY RANGE (id)'),
    ('CREATE TABLE app.t (LIKE app.own INCLUDING ALL)'), ('CREATE TABLE app.t () INHERITS (app.own)'),
    ('CREATE TYPE app.colour AS ENUM (''red'')'), ('CREATE TYPE app.pair AS (a integer, b integer)'), ('CREATE TYPE app.span AS RANGE (SUBTYPE = integer)'),
    ('CREATE DOMAIN app.positive AS integer CHECK (VALUE > 0)'), ('CREATE SEQUENCE app.s'), ('CREATE INDEX ON app.own (id)'),
    ('ALTER TABLE app.own ADD COLUMN much text DEFAULT ''none'', ADD CHECK (id > 0)'), ('ALTER TABLE app.own RENAME TO renamed'),
    ('ALTER TABLE app.own ALTER id TYPE bigint, SET (fillfactor = 50), ALTER id SET (n_distinct = 5)'),
    ('ALTER TYPE app.kind ADD VALUE ''more'''), ('COMMENT ON TABLE app.own IS ''mine'''), ('TRUNCATE app.own'), ('DROP TABLE app.own'), ('LOCK app.own'),
    ('ANALYZE app.own'), ('REINDEX TABLE app.own'), ('DO $$BEGIN PERFORM 1; END$$'), ('NOTIFY something'), ('LISTEN something'),
    ('CREATE TEMPORARY TABLE scratch (id integer)'), ('SET work_mem = ''1MB'''), ('EXPLAIN ANALYZE CREATE TABLE app.t AS SELECT 1'), ('CREATE SCHEMA more CREATE TABLE t (id integer)'),
    ('CREATE SCHEMA more AUTHORIZATION CURRENT_ROLE'), ('ALTER TABLE app.own OWNER TO CURRENT_ROLE'), ('ALTER TYPE app.kind OWNER TO CURRENT_USER'),
    ('CREATE STATISTICS app.s ON id, more FROM app.own'), ('CREATE EXTENSION IF NOT EXISTS pgtap'), ('DROP STATISTICS app.pair'), ('ALTER TABLE app.own SET SCHEMA app');

-- The statements that a guard refused, and those on the record.
CREATE FUNCTION tap.on_record(id bigint) RETURNS SETOF text LANGUAGE sql SECURITY DEFINER AS $$
    SELECT DISTINCT statement FROM jit_access.audit_log WHERE grant_id = id AND kind = 'refusal' AND sqlstate = 'JA016' ORDER BY 1
$$;

-- Before the grants.
\connect - alice
CALL tap.start();
SELECT is_empty($$SELECT statement FROM tap.guarded WHERE tap.error(statement) LIKE 'JA%'$$, 'without a grant all of it is between the server and the login');
BEGIN;
PREPARE TRANSACTION 'whenever';
\set prepare :SQLSTATE
ROLLBACK PREPARED 'whenever';
SELECT is(:'prepare'::text || ' ' || :'SQLSTATE', '00000 00000', 'PREPARE TRANSACTION as well');

SELECT jit_request('reads', '1h') AS reads \gset
\connect - dave
SELECT jit_request('makes', '1h') AS makes \gset
\connect - gina
SELECT jit_request('codes', '1h') AS codes \gset
\connect - bob
SELECT jit_approve(id) AS state FROM unnest(ARRAY[:reads, :makes, :codes]) AS id \g /dev/null

-- Mode inherit.
\connect - alice
CALL tap.start();
SELECT tap.refused(statement, format('JA016 %s is not allowed to a session that uses a grant: %s', tag, why), node || ': ' || statement) FROM tap.guarded WHERE NOT is_code ORDER BY n;
SELECT is_empty($$SELECT statement FROM tap.guarded WHERE is_code AND tap.error(statement) LIKE 'JA%'$$, 'code of one''s own is between the server and the login');
SELECT tap.refused('DO $$BEGIN EXECUTE ''GRANT alice TO carol''; END$$',
    'JA016 GRANT ROLE is not allowed to a session that uses a grant: GRANT and REVOKE would pass privileges on.', 'in DO');
SELECT is_empty($$SELECT statement FROM tap.allowed WHERE statement !~ 'OWNER TO' AND tap.error(statement) LIKE 'JA%'$$, 'the rest is between the server and the login');

-- After SET ROLE.
\connect - dave
SELECT 'jit_grant_' || :'makes' AS grant_role \gset
SET ROLE :grant_role;
CREATE TABLE app.own (id integer CHECK (id > 0), more integer, UNIQUE (id));
CREATE TYPE app.kind AS ENUM ('new');
CREATE STATISTICS app.pair ON id, more FROM app.own;
RESET ROLE;
CALL tap.start();
SELECT set_eq($$SELECT DISTINCT node, tag FROM tap.guarded WHERE tap.error(statement) LIKE 'JA016%'$$,
    $$VALUES ('AlterDefaultPrivilegesStmt', 'ALTER DEFAULT PRIVILEGES'), ('AlterOwnerStmt', 'ALTER SCHEMA'), ('AlterOwnerStmt', 'ALTER DATABASE'),
             ('AlterOwnerStmt', 'ALTER LARGE OBJECT'), ('AlterTableStmt', 'ALTER TABLE'), ('AlterTableStmt', 'ALTER SEQUENCE'),
             ('ReassignOwnedStmt', 'REASSIGN OWNED'), ('DropOwnedStmt', 'DROP OWNED'), ('CreateSchemaStmt', 'CREATE SCHEMA'), ('CreatedbStmt', 'CREATE DATABASE')$$,
    'before SET ROLE, only commands that check a membership are refused');
SELECT is_empty($$SELECT statement FROM tap.guarded WHERE node = 'AlterTableStmt' AND statement !~ 'OWNER TO' AND tap.error(statement) LIKE 'JA016%'$$,
    'of ALTER TABLE, the change of owner');
SET ROLE :grant_role;
SELECT tap.refused(statement, format('JA016 %s is not allowed to a session that uses a grant: %s', tag, why), node || ' after SET ROLE: ' || statement)
FROM tap.guarded ORDER BY n;
SELECT tap.refused('CREATE SCHEMA more CREATE VIEW v AS SELECT 1',
    'JA016 CREATE VIEW is not allowed to a session that uses a grant: Views give what their owner can see.', 'within CREATE SCHEMA');
SELECT is(tap.error(statement), 'no error', 'allowed: ' || statement) FROM tap.allowed ORDER BY n;
BEGIN;
PREPARE TRANSACTION 'later';
\set prepare :SQLSTATE
SELECT is(:'prepare'::text, 'JA016', 'TransactionStmt: PREPARE TRANSACTION');
BEGIN;
SAVEPOINT s;
PREPARE TRANSACTION 'later';
\set prepare :SQLSTATE
SELECT is(:'prepare'::text, 'JA016', 'within a subtransaction; the session is in no transaction afterwards');
DROP TABLE app.own;
DROP TYPE app.kind;

-- Where the template allows code.
\connect - gina
SELECT 'jit_grant_' || :'codes' AS grant_role \gset
CALL tap.start();
SET ROLE :grant_role;
SELECT tap.refused(statement, format('JA016 %s is not allowed to a session that uses a grant: %s', tag, why), node || ' with allow_code: ' || statement)
FROM tap.guarded WHERE NOT is_code ORDER BY n;
SELECT is_empty($$SELECT statement FROM tap.guarded WHERE is_code AND tap.error(statement) LIKE 'JA%'$$, 'allow_code allows commands that create code');

-- Every refusal is on the record, and nothing else.
\connect - :owner
CALL tap.start();
CALL tap.wait_for_record();
SELECT results_eq(format('SELECT tap.on_record(%s)', :reads), $$SELECT statement FROM (SELECT statement FROM tap.guarded WHERE NOT is_code UNION SELECT 'GRANT alice TO carol') s ORDER BY 1$$, 'the record of the first');
SELECT results_eq(format('SELECT tap.on_record(%s)', :makes),
    $$SELECT statement FROM (SELECT statement FROM tap.guarded UNION SELECT 'CREATE SCHEMA more CREATE VIEW v AS SELECT 1' UNION SELECT 'PREPARE TRANSACTION ''later''') s ORDER BY 1$$,
    'of the second');
SELECT results_eq(format('SELECT tap.on_record(%s)', :codes), 'SELECT statement FROM tap.guarded WHERE NOT is_code ORDER BY 1', 'of the third');
SELECT results_eq(format('SELECT DISTINCT login FROM jit_access.audit_log WHERE grant_id = %s AND sqlstate = ''JA016''', :makes), $$VALUES ('dave')$$,
    'in the name of the login');

DROP FUNCTION tap.on_record;
DROP TABLE tap.guarded, tap.allowed;
\i test/sql/include/clean.sql
DROP ROLE gina;
