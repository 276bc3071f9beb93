\set ECHO none
\i test/sql/include/tap.sql
\i test/sql/include/people.sql
-- Code that a user could leave behind a grant: their own code, which they can change later, in an expression, a type or a
-- trigger; and code that runs as a stronger role, because an object of that role was changed.
CREATE ROLE gina LOGIN;
CREATE ROLE keeper;
CREATE ROLE dbo;
CREATE SCHEMA hers AUTHORIZATION gina;
CREATE SCHEMA his AUTHORIZATION dave;
CREATE ROLE team ROLE gina;
CREATE SCHEMA theirs AUTHORIZATION team;
ALTER SCHEMA app OWNER TO dbo;
GRANT USAGE ON SCHEMA app TO gina;
ALTER TABLE app.orders OWNER TO dbo;
ALTER TABLE app.customers OWNER TO dbo;
CREATE TYPE app.kind AS ENUM ('new');
ALTER TYPE app.kind OWNER TO dbo;
ALTER FUNCTION app.next_status OWNER TO dbo;
CREATE VIEW app.open_orders AS SELECT id FROM app.orders;
ALTER VIEW app.open_orders OWNER TO dbo;
CREATE VIEW app.own_orders WITH (security_invoker) AS SELECT id FROM app.orders;
ALTER VIEW app.own_orders OWNER TO dbo;
CREATE FUNCTION app.number() RETURNS integer LANGUAGE sql AS 'SELECT 1';
ALTER FUNCTION app.number() OWNER TO dbo;
CREATE FUNCTION app.fixed(integer) RETURNS integer LANGUAGE sql IMMUTABLE AS 'SELECT $1';
ALTER FUNCTION app.fixed(integer) OWNER TO dbo;
CREATE DOMAIN app.tiny AS integer CHECK (app.fixed(VALUE) > 0);
ALTER DOMAIN app.tiny OWNER TO dbo;
CREATE TABLE app.lines (order_id integer REFERENCES app.orders ON DELETE CASCADE);
ALTER TABLE app.lines OWNER TO dbo;
SELECT jit_create_template('makes', role => 'dbo', requesters => '{gina}', approvers => '{bob}', mode => 'set_role', allow_schema_change => true, object_owner => 'keeper') AS role \gset
\connect - gina
CREATE FUNCTION hers.number(integer DEFAULT 0) RETURNS integer LANGUAGE sql IMMUTABLE AS 'SELECT 1';
CREATE FUNCTION hers.checked(integer) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT true';
CREATE FUNCTION hers.kind(integer) RETURNS app.kind LANGUAGE sql IMMUTABLE AS 'SELECT NULL::app.kind';
CREATE OPERATOR hers.=== (FUNCTION = int4eq, LEFTARG = integer, RIGHTARG = integer);
CREATE DOMAIN hers.small AS integer CHECK (hers.checked(VALUE));
CREATE VIEW hers.seen AS SELECT hers.number() AS id;
CREATE FUNCTION hers.on_orders() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN PERFORM hers.number(); RETURN NEW; END$$;
GRANT USAGE ON SCHEMA hers TO PUBLIC;
SET ROLE team;
CREATE FUNCTION theirs.number() RETURNS integer LANGUAGE sql AS 'SELECT 1';
GRANT USAGE ON SCHEMA theirs TO PUBLIC;
RESET ROLE;
\connect - dave
CREATE FUNCTION his.number() RETURNS integer LANGUAGE sql IMMUTABLE AS 'SELECT 1';
CREATE FUNCTION his.checked(integer) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT true';
CREATE FUNCTION his.same(integer, integer) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT true';
CREATE OPERATOR his.=== (FUNCTION = his.same, LEFTARG = integer, RIGHTARG = integer);
CREATE DOMAIN his.small AS integer CHECK (his.checked(VALUE));
CREATE TYPE his.pair AS (a his.small, b integer);
CREATE TYPE his.colour AS ENUM ('red');
GRANT USAGE ON SCHEMA his TO PUBLIC;
\connect - :owner
CREATE TABLE tap.tries (n integer GENERATED ALWAYS AS IDENTITY, statement text, why text);
GRANT SELECT ON tap.tries TO PUBLIC;
\set hers 'It uses code that you could still change after the grant''s end.'
\set acts 'Functions with side effects would run in statements of other users.'
\set others 'It uses code that somebody else could change.'
\set by_owner 'It belongs to another role and runs with the privileges of its owner.'
INSERT INTO tap.tries (statement, why) VALUES
    ('CREATE TABLE app.t (id integer DEFAULT hers.number())', :'hers'),
    ('CREATE TABLE app.t (id integer DEFAULT theirs.number())', :'hers'),
    ('CREATE TABLE app.t (id integer GENERATED ALWAYS AS (hers.number(1)) STORED)', :'hers'),
    ('CREATE TABLE app.t (id integer CHECK (hers.checked(id)))', :'hers'),
    ('CREATE TABLE app.t (id integer CHECK (id OPERATOR(hers.===) 1))', :'hers'),
    ('CREATE TABLE app.t (id hers.small)', :'hers'),
    ('CREATE TABLE app.t (id hers.small[])', :'hers'),
    ('CREATE TABLE app.t AS SELECT 1::hers.small AS id', :'hers'),
    ('CREATE DOMAIN app.little AS hers.small', :'hers'),
    ('CREATE DOMAIN app.little AS integer CHECK (hers.checked(VALUE))', :'hers'),
    ('CREATE DOMAIN app.little AS integer DEFAULT hers.number()', :'hers'),
    ('CREATE TYPE app.pair AS (a hers.small, b integer)', :'hers'),
    ('ALTER TABLE app.orders ADD COLUMN more integer DEFAULT hers.number()', :'hers'),
    ('ALTER TABLE app.orders ADD COLUMN more hers.small', :'hers'),
    ('ALTER TABLE app.orders ADD CHECK (hers.checked(id)) NOT VALID', :'hers'),
    ('ALTER TABLE app.orders ALTER id SET DEFAULT hers.number()', :'hers'),
    ('ALTER TABLE app.customers ALTER id TYPE hers.small', :'hers'),
    ('CREATE TABLE app.t (id text DEFAULT query_to_xml(''SELECT hers.number()'', true, true, '''')::text)', :'acts'),
    ('CREATE TABLE app.t (id text DEFAULT table_to_xml(''hers.seen'', true, true, '''')::text)', :'acts'),
    ('CREATE TABLE app.t (id text DEFAULT set_config(''role'', ''none'', false))', :'acts'),
    ('CREATE TABLE app.t (id text CHECK (set_config(''role'', id, false) IS NOT NULL))', :'acts'),
    ('CREATE TABLE app.t (id oid DEFAULT lo_create(0))', :'acts'),
    ('CREATE TABLE app.t (id text DEFAULT coalesce(upper(pg_read_file(''PG_VERSION'')), ''''))', :'acts'),
    ('CREATE DOMAIN app.little AS text DEFAULT set_config(''role'', ''none'', false)', :'acts'),
    ('CREATE TABLE app.t (id integer DEFAULT his.number())', :'others'),
    ('CREATE TABLE app.t (id integer CHECK (his.checked(id)))', :'others'),
    ('CREATE TABLE app.t (id integer GENERATED ALWAYS AS (his.number()) STORED)', :'others'),
    ('CREATE TABLE app.t (id integer CHECK (id OPERATOR(his.===) 1))', :'others'),
    ('CREATE TABLE app.t (id his.small)', :'others'), ('CREATE TABLE app.t (id his.small[])', :'others'), ('CREATE TABLE app.t (id his.pair)', :'others'),
    ('CREATE DOMAIN app.little AS integer CHECK (his.checked(VALUE))', :'others'), ('CREATE DOMAIN app.little AS his.small', :'others'),
    ('ALTER TABLE app.orders ALTER id SET DEFAULT his.number()', :'others'), ('ALTER TABLE app.orders ADD CHECK (his.checked(id)) NOT VALID', :'others'),
    ('ALTER TABLE app.customers ALTER id TYPE his.small', :'others');
CREATE TABLE tap.code_tries (n integer GENERATED ALWAYS AS IDENTITY, statement text, why text);
GRANT SELECT ON tap.code_tries TO PUBLIC;
INSERT INTO tap.code_tries (statement, why) SELECT statement, why FROM tap.tries WHERE why = :'hers' ORDER BY n;
INSERT INTO tap.code_tries (statement, why) VALUES
    ('CREATE TRIGGER t BEFORE INSERT ON app.orders FOR EACH ROW EXECUTE FUNCTION hers.on_orders()', :'hers'),
    ('CREATE TRIGGER t BEFORE INSERT ON app.orders FOR EACH ROW WHEN (hers.checked(NEW.id)) EXECUTE FUNCTION suppress_redundant_updates_trigger()', :'hers'),
    ('CREATE POLICY p ON app.orders USING (hers.checked(id))', :'hers'),
    ('CREATE POLICY p ON app.orders USING (EXISTS (SELECT FROM hers.seen))', :'hers'),
    ('CREATE VIEW app.v WITH (security_invoker) AS SELECT hers.number() AS id', :'hers'),
    ('CREATE VIEW app.v WITH (security_invoker) AS SELECT * FROM hers.seen', :'hers'),
    ('CREATE FUNCTION app.f() RETURNS integer BEGIN ATOMIC SELECT hers.number(); END', :'hers'),
    ('CREATE FUNCTION app.f(hers.small) RETURNS integer LANGUAGE sql AS ''SELECT 1''', :'hers'),
    ('CREATE OPERATOR app.=== (FUNCTION = hers.number, RIGHTARG = integer)', :'hers'),
    ('CREATE CAST (integer AS app.kind) WITH FUNCTION hers.kind(integer)', :'hers'),
    ('CREATE OR REPLACE FUNCTION app.next_status(text) RETURNS text LANGUAGE sql AS ''SELECT $1''', :'by_owner'),
    ('CREATE OR REPLACE FUNCTION app.next_status(text) RETURNS text LANGUAGE sql SECURITY DEFINER AS ''SELECT $1''', :'by_owner'),
    ('ALTER FUNCTION app.next_status(text) SECURITY DEFINER', :'by_owner'),
    ('ALTER FUNCTION app.next_status(text) RENAME TO old_status', :'by_owner'),
    ('CREATE OR REPLACE VIEW app.open_orders AS SELECT id FROM app.customers', :'by_owner'),
    ('CREATE OR REPLACE VIEW app.own_orders AS SELECT id FROM app.orders', :'by_owner'),
    ('CREATE RULE r AS ON INSERT TO app.orders DO ALSO SELECT 1', :'by_owner'),
    ('CREATE STATISTICS app.s ON (app.number() + id), status FROM app.orders', :'by_owner'),
    ('CREATE INDEX ON app.orders (app.fixed(id))', :'by_owner'),
    ('CREATE INDEX ON app.orders (id) WHERE app.fixed(id) > 1', :'by_owner'),
    ('CREATE INDEX ON app.orders ((id::app.tiny))', :'by_owner'),
    ('ALTER TABLE app.orders ADD EXCLUDE (app.fixed(id) WITH =)', :'by_owner'),
    ('CREATE TRIGGER t BEFORE UPDATE ON app.lines FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()', :'by_owner');
CREATE TABLE tap.allowed (n integer GENERATED ALWAYS AS IDENTITY, statement text);
GRANT SELECT ON tap.allowed TO PUBLIC;
INSERT INTO tap.allowed (statement) VALUES
    ('CREATE TABLE app.t (id serial PRIMARY KEY, other uuid DEFAULT gen_random_uuid(), at timestamptz DEFAULT now(), stamp timestamptz DEFAULT clock_timestamp(), luck float8 DEFAULT random(), by text DEFAULT current_user, address inet DEFAULT inet_client_addr(), CHECK (other IS NOT NULL AND upper(by) <> ''''))'),
    ('CREATE TABLE app.t (id integer DEFAULT app.number())'), ('CREATE TABLE app.t (colour his.colour)'),
    ('ALTER TABLE app.orders ADD COLUMN at timestamptz DEFAULT now() CHECK (at > ''2020-01-01'')'), ('ALTER TABLE app.customers ALTER id TYPE bigint'),
    ('CREATE TABLE app.t (LIKE app.orders INCLUDING ALL)'), ('CREATE TABLE app.t (id integer REFERENCES app.orders ON UPDATE CASCADE)'), ('CREATE INDEX ON app.orders (status)'),
    ('ALTER TABLE app.orders RENAME COLUMN card TO pan');

\connect - gina
SELECT jit_request('makes', '1h') AS makes \gset
\connect - bob
SELECT jit_approve(:makes) AS state \gset
\connect - gina
CALL tap.start();
SELECT is_empty($$SELECT statement FROM (TABLE tap.tries UNION TABLE tap.code_tries) t WHERE tap.error(statement) LIKE 'JA%'$$, 'before SET ROLE all of it is between the server and the login');
SELECT 'jit_grant_' || :'makes' AS grant_role \gset
SET ROLE :grant_role;
SELECT tap.refused(statement, 'JA016 this is not allowed to a session that uses a grant: ' || why, statement) FROM tap.tries WHERE why IS NOT NULL ORDER BY n;
SELECT is(tap.error(statement), 'no error', 'allowed: ' || statement) FROM tap.allowed ORDER BY n;
RESET ROLE;

-- allow_code does not lift this for the user's own code or for objects of other owners; it does for objects that the
-- user creates.
SELECT jit_revoke(:makes) AS state \gset
\connect - :owner
CALL tap.wait_for_cleanup();
CALL tap.start();
CALL tap.wait_for_record();
SELECT set_eq(format($$SELECT statement FROM jit_access.audit_log WHERE grant_id = %s AND kind = 'use' AND outcome = 'failed' AND sqlstate = 'JA016' AND depth = 1$$, :makes),
              'SELECT statement FROM tap.tries', 'each is on the record as a use that failed');
SELECT jit_drop_template('makes') \g /dev/null
SELECT jit_create_template('codes', role => 'dbo', requesters => '{gina}', approvers => '{bob}', mode => 'set_role', allow_schema_change => true,
                           object_owner => 'keeper', allow_code => true) AS role \gset
\connect - gina
SELECT jit_request('codes', '1h') AS codes \gset
\connect - bob
SELECT jit_approve(:codes) AS state \gset
\connect - gina
CALL tap.start();
SELECT 'jit_grant_' || :'codes' AS grant_role \gset
SET ROLE :grant_role;
CREATE TABLE app.own (id integer);
SELECT tap.refused(statement, 'JA016 this is not allowed to a session that uses a grant: ' || why, 'with allow_code: ' || statement) FROM tap.code_tries ORDER BY n;
SELECT is(tap.error(statement), 'no error', 'allowed: ' || statement)
FROM unnest(ARRAY['CREATE INDEX ON app.own ((id + 1))', 'CREATE INDEX ON app.orders (lower(status)) WHERE card IS NOT NULL', 'CREATE STATISTICS app.s ON (id + 1), status FROM app.orders',
                  'ALTER TABLE app.orders ADD EXCLUDE ((id + 1) WITH =) WHERE (id > 1)', 'CREATE INDEX ON app.own (app.fixed(id))', 'CREATE TABLE app.t (id integer DEFAULT his.number())', 'CREATE RULE r AS ON INSERT TO app.own DO INSTEAD NOTHING', 'CREATE STATISTICS app.s ON (id + 1) FROM app.own',
                  'CREATE POLICY p ON app.orders USING (id > 0)', 'CREATE VIEW app.v AS SELECT * FROM app.own',
                  'CREATE TRIGGER t BEFORE UPDATE ON app.orders FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()',
                  'CREATE FUNCTION app.f() RETURNS integer LANGUAGE sql SECURITY DEFINER AS ''SELECT 1''',
                  'CREATE TABLE app.t (id text DEFAULT set_config(''role'', ''none'', false))']) WITH ORDINALITY AS v (statement, n) ORDER BY n;
RESET ROLE;
SELECT jit_revoke(:codes) AS state \gset

\connect - :owner
CALL tap.wait_for_cleanup();
DROP TABLE tap.tries, tap.code_tries, tap.allowed;
DROP OWNED BY gina, dave, team CASCADE;
\i test/sql/include/clean.sql
DROP ROLE gina, team, keeper, dbo;
