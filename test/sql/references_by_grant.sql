\set ECHO none
\i test/sql/include/tap.sql
\i test/sql/include/people.sql
-- An object made under a grant may use nothing that its maker could use only by the grant: the server checks EXECUTE,
-- REFERENCES, TRIGGER and CREATE when the object is made, and never again. In mode inherit the object is the holder's own;
-- under the role of a grant it goes to the template's role, and everybody who may use it would reach the function.
CREATE ROLE gina LOGIN;
CREATE ROLE mallory LOGIN;
CREATE ROLE dbo;
CREATE ROLE caller;
CREATE ROLE team ROLE alice;
CREATE SCHEMA hers AUTHORIZATION alice;
CREATE SCHEMA teams AUTHORIZATION team;
GRANT CREATE ON DATABASE contrib_regression TO team;
-- What only the grant gives.
CREATE FUNCTION app.secret_step(integer, integer) RETURNS integer LANGUAGE sql IMMUTABLE STRICT AS 'SELECT $1 + $2';
CREATE FUNCTION app.secret_diff(integer, integer) RETURNS double precision LANGUAGE sql IMMUTABLE STRICT AS 'SELECT ($1 - $2)::double precision';
CREATE FUNCTION app.secret_same(integer, integer) RETURNS boolean LANGUAGE sql IMMUTABLE STRICT AS 'SELECT $1 = $2';
CREATE FUNCTION app.secret_trigger() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE FUNCTION app.secret_number(integer) RETURNS integer LANGUAGE sql IMMUTABLE AS 'SELECT $1';
REVOKE EXECUTE ON ALL FUNCTIONS IN SCHEMA app FROM PUBLIC;
-- The same without a grant.
CREATE FUNCTION app.open_step(integer, integer) RETURNS integer LANGUAGE sql IMMUTABLE STRICT AS 'SELECT $1 + $2';
CREATE FUNCTION app.open_diff(integer, integer) RETURNS double precision LANGUAGE sql IMMUTABLE STRICT AS 'SELECT ($1 - $2)::double precision';
CREATE FUNCTION app.open_same(integer, integer) RETURNS boolean LANGUAGE sql IMMUTABLE STRICT AS 'SELECT $1 = $2';
CREATE FUNCTION app.open_trigger() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE FUNCTION app.open_number(integer) RETURNS integer LANGUAGE sql IMMUTABLE AS 'SELECT $1';
CREATE TABLE app.open_table (id integer PRIMARY KEY, more integer UNIQUE);
GRANT USAGE ON SCHEMA app TO PUBLIC;
GRANT SELECT, REFERENCES (id), TRIGGER ON app.open_table TO alice, gina;
CREATE TABLE app.kept (id integer);
ALTER TABLE app.kept OWNER TO dbo;
GRANT CREATE ON SCHEMA app TO dbo;
GRANT EXECUTE ON FUNCTION app.secret_step, app.secret_diff, app.secret_same, app.secret_trigger, app.secret_number TO dbo, caller;
GRANT SELECT, REFERENCES ON app.orders TO caller;
GRANT SELECT ON app.customers TO caller;
SELECT jit_create_template('calls', role => 'caller', requesters => '{alice}', approvers => '{bob}') AS role \gset
SELECT jit_create_template('codes', role => 'dbo', requesters => '{gina}', approvers => '{bob}', mode => 'set_role', allow_schema_change => true, allow_code => true) AS role \gset
CREATE TABLE tap.tries (n integer GENERATED ALWAYS AS IDENTITY, statement text);
GRANT SELECT ON tap.tries TO PUBLIC;
-- %1$s: a schema of the maker; %2$s: "secret" or "open".
INSERT INTO tap.tries (statement) VALUES
    ('CREATE AGGREGATE %1$s.total (integer) (SFUNC = app.%2$s_step, STYPE = integer)'),
    ('CREATE AGGREGATE %1$s.total (integer) (SFUNC = int4pl, STYPE = integer, FINALFUNC = app.%2$s_number)'),
    ('CREATE AGGREGATE %1$s.total (integer) (SFUNC = int4pl, STYPE = integer, COMBINEFUNC = app.%2$s_step)'),
    ('CREATE AGGREGATE %1$s.total (integer) (SFUNC = int4pl, STYPE = integer, MSFUNC = app.%2$s_step, MINVFUNC = int4mi, MSTYPE = integer)'),
    ('CREATE TYPE %1$s.span AS RANGE (SUBTYPE = integer, SUBTYPE_DIFF = app.%2$s_diff)'),
    ('CREATE OPERATOR %1$s.=== (FUNCTION = app.%2$s_same, LEFTARG = integer, RIGHTARG = integer)'),
    ('CREATE CAST (%1$s.pair AS integer) WITH FUNCTION %1$s.number(%1$s.pair)'),
    ('CREATE TRIGGER t BEFORE INSERT ON %1$s.own FOR EACH ROW EXECUTE FUNCTION app.%2$s_trigger()'),
    ('CREATE CONSTRAINT TRIGGER t AFTER INSERT ON %1$s.own DEFERRABLE FOR EACH ROW EXECUTE FUNCTION app.%2$s_trigger()'),
    ('CREATE TRIGGER t BEFORE INSERT ON %1$s.own FOR EACH ROW WHEN (app.%2$s_same(NEW.id, 1)) EXECUTE FUNCTION suppress_redundant_updates_trigger()'),
    ('CREATE INDEX ON %1$s.own (app.%2$s_number(id))'), ('CREATE INDEX ON %1$s.own (id) WHERE app.%2$s_same(id, 1)'),
    ('ALTER TABLE %1$s.own ADD EXCLUDE (app.%2$s_number(id) WITH =)'),
    ('CREATE STATISTICS %1$s.s ON (app.%2$s_number(id)) FROM %1$s.own'),
    ('CREATE TABLE %1$s.t (id integer DEFAULT app.%2$s_number(1))'), ('CREATE TABLE %1$s.t (id integer CHECK (app.%2$s_same(id, 1)))'),
    ('CREATE TABLE %1$s.t (id integer, twice integer GENERATED ALWAYS AS (app.%2$s_step(id, id)) STORED)'),
    ('CREATE DOMAIN %1$s.small AS integer CHECK (app.%2$s_same(VALUE, 1))'), ('CREATE DOMAIN %1$s.small AS integer DEFAULT app.%2$s_number(1)'),
    ('CREATE POLICY p ON %1$s.own USING (app.%2$s_same(id, 1))');
\connect - alice
CREATE TABLE hers.own (id integer);
CREATE TYPE hers.pair AS (a integer, b integer);
CREATE FUNCTION hers.number(hers.pair) RETURNS integer LANGUAGE sql AS 'SELECT 1';
CREATE VIEW hers.invoker WITH (security_invoker) AS SELECT 1 AS id;
CREATE FUNCTION hers.make_for_me(statement text) RETURNS void LANGUAGE plpgsql SECURITY DEFINER AS 'BEGIN EXECUTE statement; END';
CREATE FUNCTION hers.probe_for_me(mine regclass) RETURNS void LANGUAGE plpgsql SECURITY DEFINER AS
    'BEGIN EXECUTE format(''ALTER TABLE %s ADD FOREIGN KEY (id) REFERENCES app.orders'', mine); END';
GRANT USAGE ON SCHEMA hers TO mallory;
SET ROLE team;
CREATE TABLE teams.own (id integer);
GRANT USAGE ON SCHEMA teams TO mallory, alice;
RESET ROLE;
SELECT jit_request('calls', '1h') AS calls \gset
\connect - gina
SELECT jit_request('codes', '1h') AS codes \gset
\connect - bob
SELECT jit_approve(id) AS state FROM unnest(ARRAY[:calls, :codes]) AS id \g /dev/null

-- As oneself.
\connect - alice
CALL tap.start();
\set refused 'JA016 this is not allowed to a session that uses a grant: '
SELECT tap.refused(format(statement, 'hers', 'secret'), :'refused' || 'It uses a function that you may call only by the grant.', format(statement, 'hers', 'secret'))
FROM tap.tries WHERE statement ~ '%2' ORDER BY n;
SELECT is(tap.error(format(statement, 'hers', 'open')), 'no error', 'allowed: ' || format(statement, 'hers', 'open')) FROM tap.tries ORDER BY n;
SELECT tap.refused(statement, :'refused' || why, statement) FROM (VALUES
    (1, 'CREATE TABLE hers.probe (id integer REFERENCES app.orders)', 'It refers to a table that you may reference only by the grant.'),
    (2, 'ALTER TABLE hers.own ADD FOREIGN KEY (id) REFERENCES app.orders NOT VALID', 'It refers to a table that you may reference only by the grant.'),
    (3, 'CREATE TABLE hers.probe (id integer REFERENCES app.orders) PARTITION BY RANGE (id)', 'It refers to a table that you may reference only by the grant.'),
    (4, 'SET LOCAL ROLE team; CREATE TABLE teams.probe (id integer); SET LOCAL ROLE NONE; ALTER TABLE teams.probe ADD FOREIGN KEY (id) REFERENCES app.orders', 'It refers to a table that you may reference only by the grant.'),
    (5, 'CREATE VIEW hers.seen AS SELECT * FROM app.customers', 'It would lend the privileges of the grant to its users; a view with security_invoker does not.'),
    (6, 'CREATE VIEW hers.seen AS SELECT 1 AS n WHERE EXISTS (SELECT FROM app.customers)', 'It would lend the privileges of the grant to its users; a view with security_invoker does not.'),
    (7, 'CREATE OR REPLACE VIEW hers.invoker AS SELECT id FROM app.customers', 'It would lend the privileges of the grant to its users; a view with security_invoker does not.'),
    (8, 'CREATE MATERIALIZED VIEW hers.seen AS SELECT * FROM app.customers', 'It would lend the privileges of the grant to its users; a view with security_invoker does not.'),
    (9, 'CREATE RULE r AS ON INSERT TO hers.own DO ALSO SELECT * FROM app.customers', 'It would lend the privileges of the grant to its users; a view with security_invoker does not.'),
    (10, 'CREATE RULE r AS ON INSERT TO hers.own WHERE EXISTS (SELECT FROM app.customers) DO INSTEAD NOTHING', 'It would lend the privileges of the grant to its users; a view with security_invoker does not.'),
    (11, 'CREATE FUNCTION hers.f() RETURNS integer LANGUAGE sql SECURITY DEFINER AS ''SELECT 1''', 'It would lend the privileges of the grant to its callers.'),
    (12, 'ALTER FUNCTION hers.number(hers.pair) SECURITY DEFINER', 'It would lend the privileges of the grant to its callers.')) v (n, statement, why) ORDER BY n;
SELECT is(tap.error(statement), 'no error', 'allowed: ' || statement) FROM (VALUES
    (1, 'CREATE TABLE hers.probe (id integer REFERENCES app.open_table (id))'), (2, 'CREATE TABLE hers.probe (id integer PRIMARY KEY, up integer REFERENCES hers.probe)'),
    (3, 'CREATE VIEW hers.seen WITH (security_invoker) AS SELECT * FROM app.customers'), (4, 'CREATE VIEW hers.seen AS SELECT * FROM app.open_table JOIN hers.own USING (id)'),
    (5, 'CREATE TRIGGER t BEFORE INSERT ON app.open_table FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()'),
    (6, 'CREATE FUNCTION hers.f() RETURNS integer LANGUAGE sql AS ''SELECT app.secret_number(1)'''), (7, 'DROP FUNCTION hers.number(hers.pair)'),
    (8, 'CREATE TABLE hers.copy AS SELECT * FROM app.customers'), (9, 'SET LOCAL ROLE team; CREATE SCHEMA more CREATE TABLE t (id integer)')) v (n, statement) ORDER BY n;
SELECT tap.refused('CREATE TABLE hers.probe (id integer REFERENCES app.open_table (more))', '42501', 'by columns, REFERENCES is needed on each');

-- Privileges that no template of mode inherit may have, but that its role is given while the grant is live, or has in another
-- database: CREATE, TRIGGER and the use of a language.
\connect - :owner
GRANT CREATE ON SCHEMA app TO caller;
REVOKE CREATE ON DATABASE contrib_regression FROM team;
GRANT CREATE ON DATABASE contrib_regression TO caller;
GRANT TRIGGER ON app.customers TO caller;
REVOKE USAGE ON LANGUAGE sql FROM PUBLIC;
GRANT USAGE ON LANGUAGE sql TO caller;
\connect - alice
CALL tap.start();
SELECT tap.refused(statement, :'refused' || why, statement) FROM (VALUES
    (1, 'CREATE TABLE app.copy AS SELECT * FROM app.customers', 'It would be yours after the end, in a place where only the grant lets you create.'),
    (2, 'CREATE TYPE app.colour AS ENUM (''red'')', 'It would be yours after the end, in a place where only the grant lets you create.'),
    (3, 'CREATE SEQUENCE app.more', 'It would be yours after the end, in a place where only the grant lets you create.'),
    (4, 'CREATE FUNCTION app.f() RETURNS integer LANGUAGE plpgsql AS ''BEGIN RETURN 1; END''', 'It would be yours after the end, in a place where only the grant lets you create.'),
    (5, 'ALTER TABLE hers.own SET SCHEMA app', 'It would be yours after the end, in a place where only the grant lets you create.'),
    (6, 'CREATE SCHEMA more', 'It would be yours after the end, in a place where only the grant lets you create.'),
    (7, 'CREATE TRIGGER t BEFORE INSERT ON app.customers FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()', 'Its table is one on which you may create triggers only by the grant.'),
    (8, 'CREATE FUNCTION hers.f() RETURNS integer LANGUAGE sql AS ''SELECT 1''', 'Its language is one that you may use only by the grant.')) v (n, statement, why) ORDER BY n;
\connect - :owner
REVOKE CREATE ON SCHEMA app FROM caller;
REVOKE CREATE ON DATABASE contrib_regression FROM caller;
REVOKE TRIGGER ON app.customers FROM caller;
REVOKE USAGE ON LANGUAGE sql FROM caller;
GRANT USAGE ON LANGUAGE sql TO PUBLIC;

-- In a function of the holder that another login calls, the holder's tables stay the holder's.
\connect - mallory
CALL tap.start();
SELECT tap.refused(statement, :'refused' || 'It refers to a table that you may reference only by the grant.', statement)
FROM (VALUES (1, 'SELECT hers.probe_for_me(''hers.own'')'), (2, 'SELECT hers.probe_for_me(''teams.own'')')) v (n, statement) ORDER BY n;
SELECT alike(tap.error(statement), 'JA016 %', statement)
FROM (VALUES (1, 'SELECT hers.make_for_me(''CREATE VIEW hers.seen AS SELECT * FROM app.customers'')'),
             (2, 'SELECT hers.make_for_me(''CREATE TYPE hers.span AS RANGE (SUBTYPE = integer, SUBTYPE_DIFF = app.secret_diff)'')'),
             (3, 'SELECT hers.make_for_me(''CREATE TABLE hers.t (id integer DEFAULT app.secret_number(1))'')')) v (n, statement) ORDER BY n;

-- As the role of a grant, with allow_code. Defaults, checks and policies may call what their users may call.
\connect - gina
SELECT 'jit_grant_' || :'codes' AS grant_role \gset
SET ROLE :grant_role;
CREATE TABLE app.own (id integer);
CREATE TYPE app.pair AS (a integer, b integer);
CREATE FUNCTION app.number(app.pair) RETURNS integer LANGUAGE sql AS 'SELECT 1';
RESET ROLE;
CALL tap.start();
SET ROLE :grant_role;
SELECT tap.refused(format(statement, 'app', 'secret'), CASE WHEN statement ~ 'DEFAULT|CHECK|GENERATED|POLICY' THEN 'no error' ELSE :'refused' || 'It uses a function that you may call only by the grant.' END, 'under the role: ' || format(statement, 'app', 'secret'))
FROM tap.tries WHERE statement ~ '%2' ORDER BY n;
SELECT is(tap.error(format(statement, 'app', 'open')), 'no error', 'allowed under the role: ' || format(statement, 'app', 'open')) FROM tap.tries ORDER BY n;
SELECT is(tap.error(statement), 'no error', 'allowed under the role: ' || statement) FROM (VALUES
    (1, 'CREATE TABLE app.probe (id integer PRIMARY KEY, up integer REFERENCES app.probe)'), (2, 'CREATE VIEW app.v AS SELECT app.secret_number(id) FROM app.own'),
    (3, 'CREATE FUNCTION app.g() RETURNS integer BEGIN ATOMIC SELECT app.secret_number(1); END')) v (n, statement) ORDER BY n;
RESET ROLE;

-- Without allow_code: triggers, rules and policies are not dropped by a detour either, but they go with their table.
SELECT jit_revoke(:codes) AS state \gset
\connect - :owner
\o /dev/null
CALL tap.wait_for_cleanup();
SELECT jit_drop_template('codes');
\o
CREATE TABLE app.guarded (id integer, kind text);
CREATE FUNCTION app.guards() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
CREATE TABLE app.allowlist (id integer);
CREATE TRIGGER guards BEFORE INSERT ON app.guarded FOR EACH ROW EXECUTE FUNCTION app.guards();
CREATE POLICY guards ON app.guarded USING (id IN (SELECT id FROM app.allowlist));
CREATE RULE guards AS ON DELETE TO app.guarded WHERE kind = 'kept' DO INSTEAD NOTHING;
CREATE TABLE app.parted (id integer) PARTITION BY RANGE (id);
CREATE TABLE app.part PARTITION OF app.parted FOR VALUES FROM (1) TO (2);
CREATE TRIGGER guards BEFORE INSERT ON app.parted FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger();
CREATE FUNCTION app.internal_number() RETURNS integer LANGUAGE sql AS 'SELECT 1';
CREATE FUNCTION app.internal_step(integer) RETURNS integer LANGUAGE sql IMMUTABLE AS 'SELECT 1';
CREATE FUNCTION app.internal_trigger() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE TRIGGER internal BEFORE INSERT ON app.parted FOR EACH ROW EXECUTE FUNCTION app.internal_trigger();
ALTER TABLE app.parted ALTER id SET DEFAULT app.internal_number(), ADD CHECK (id <> app.internal_step(0));
CREATE INDEX ON app.parted (app.internal_step(id));
ALTER FUNCTION app.internal_number OWNER TO dbo;
ALTER FUNCTION app.internal_step OWNER TO dbo;
ALTER FUNCTION app.internal_trigger OWNER TO dbo;
REVOKE EXECUTE ON FUNCTION app.internal_number, app.internal_step, app.internal_trigger FROM PUBLIC;
CREATE VIEW app.strict WITH (security_barrier, security_invoker = false) AS SELECT id FROM app.guarded;
SELECT format('ALTER %s %s OWNER TO dbo', CASE WHEN relkind = 'v' THEN 'VIEW' ELSE 'TABLE' END, oid::regclass) FROM pg_class
WHERE oid IN ('app.guarded'::regclass, 'app.allowlist'::regclass, 'app.parted'::regclass, 'app.part'::regclass, 'app.strict'::regclass) \gexec
ALTER FUNCTION app.guards OWNER TO dbo;
SELECT jit_create_template('changes', role => 'dbo', requesters => '{gina}', approvers => '{bob}', mode => 'set_role', allow_schema_change => true) AS role \gset
\connect - gina
SELECT jit_request('changes', '1h') AS changes \gset
\connect - bob
SELECT jit_approve(:changes) AS state \gset
\connect - gina
CALL tap.start();
SELECT 'jit_grant_' || :'changes' AS grant_role \gset
SET ROLE :grant_role;
SELECT tap.refused(statement, :'refused' || 'It would take away triggers, rules or policies, which decide what other users see and do.', statement) FROM (VALUES
    (1, 'DROP FUNCTION app.guards CASCADE'), (2, 'DROP TABLE app.allowlist CASCADE'), (3, 'ALTER TABLE app.guarded DROP COLUMN kind CASCADE'),
    (4, 'ALTER TABLE app.allowlist DROP COLUMN id CASCADE'), (5, 'DO $$BEGIN DROP FUNCTION app.guards CASCADE; END$$')) v (n, statement) ORDER BY n;
SELECT is(tap.error(statement), 'no error', 'allowed: ' || statement) FROM (VALUES
    (1, 'DROP TABLE app.guarded CASCADE'), (2, 'DROP VIEW app.strict'), (3, 'DROP TABLE app.allowlist, app.guarded CASCADE'), (4, 'ALTER TABLE app.parted DETACH PARTITION app.part'),
    (5, 'ALTER VIEW app.strict SET (security_invoker = true)'), (6, 'ALTER VIEW app.strict SET (security_barrier)'), (7, 'DROP TABLE app.parted'), (9, 'CREATE TABLE app.next PARTITION OF app.parted FOR VALUES FROM (2) TO (3)'),
    (10, 'ALTER TABLE app.allowlist ADD COLUMN more integer DEFAULT app.internal_number() CHECK (more > app.internal_step(1))'),
    (8, 'DO $$BEGIN BEGIN DROP FUNCTION app.guards CASCADE; EXCEPTION WHEN SQLSTATE ''JA016'' THEN NULL; END; CREATE TABLE app.later (id integer); END$$')) v (n, statement) ORDER BY n;
RESET ROLE;

-- After the end nothing of all this calls anything.
SELECT jit_revoke(:changes) AS state \gset
\connect - alice
SELECT jit_revoke(:calls) AS state \gset
\connect - :owner
CALL tap.start();
CALL tap.wait_for_cleanup();
SELECT is_empty($$SELECT p.oid::regprocedure FROM pg_depend d JOIN pg_proc p ON d.refclassid = 'pg_proc'::regclass AND p.oid = d.refobjid
                  WHERE p.pronamespace = 'app'::regnamespace AND p.proname LIKE 'secret%' AND d.classid <> 'pg_rewrite'::regclass$$, 'no object uses the functions of the grant');
DROP TABLE tap.tries;
DROP OWNED BY alice, team, gina, dbo, caller CASCADE;
\i test/sql/include/clean.sql
DROP ROLE gina, mallory, dbo, caller, team;
