\set ECHO none
\i test/sql/include/tap.sql
\i test/sql/include/people.sql
-- Objects created under a grant go to the template's object_owner or else to its role. Code may be created only where the
-- template allows it, and what runs with its owner's privileges is never reassigned.
CREATE ROLE gina LOGIN;
CREATE ROLE keeper;
CREATE ROLE other_keeper ROLE ada;
CREATE ROLE "Odd ""keeper""";
CREATE ROLE a_superuser SUPERUSER;
SELECT tap.state() AS before \gset
\connect - ada
CALL tap.start();
CREATE FUNCTION pg_temp.refused(arguments text, error text, description text) RETURNS text LANGUAGE sql AS $$
    SELECT tap.refused(format('SELECT jit_create_template(%L, ARRAY[%L], %s)', 'refused', 'SELECT ON app.orders', arguments), error, description)
$$;
SELECT pg_temp.refused('object_owner => ''other_keeper''', 'JA001 invalid object_owner: Objects cannot be created under a template that cannot change the schema.', 'object_owner alone');
SELECT pg_temp.refused('object_owner => ''other_keeper'', mode => ''set_role''', 'JA001 invalid object_owner: Objects cannot be created under a template that cannot change the schema.', 'object_owner with set_role');
SELECT pg_temp.refused('allow_code => true', 'JA001 invalid allow_code: Objects cannot be created under a template that cannot change the schema.', 'allow_code alone');
SELECT pg_temp.refused('allow_code => true, mode => ''set_role''', 'JA001 invalid allow_code: Objects cannot be created under a template that cannot change the schema.', 'allow_code with set_role');
SELECT pg_temp.refused(format('object_owner => %L, mode => ''set_role'', allow_schema_change => true', name), 'JA001 invalid object_owner: ' || why, name)
FROM (VALUES (1, 'nobody', 'There is no role "nobody".'), (2, '', 'There is no role "".'), (3, 'Other_Keeper', 'There is no role "Other_Keeper".'),
             (4, 'other_keeper ', 'There is no role "other_keeper ".'), (5, 'current_user', 'There is no role "current_user".'), (6, 'public', 'There is no role "public".'),
             (7, '10', 'There is no role "10".'), (8, 'jit_admin', '"jit_admin" belongs to jit_access.'), (9, 'jit_marker', '"jit_marker" belongs to jit_access.'),
             (10, 'a_superuser', '"a_superuser" is a superuser.'), (11, 'other_keeper' || repeat('x', 60), 'There is no role "other_keeper' || repeat('x', 60) || '".'))
     v (n, name, why) ORDER BY n;
SELECT pg_temp.refused('object_owner => ''keeper'', mode => ''set_role'', allow_schema_change => true',
    'JA004 you cannot give objects to "keeper": You are not a member of that role.', 'an administrator names roles of their own');
\connect - :owner
CALL tap.start();
SELECT is(tap.state(), :'before', 'nothing has changed');
SELECT tap.refused($$SELECT jit_create_template('refused', '{}', object_owner => 'a_superuser', mode => 'set_role', allow_schema_change => true)$$,
    'JA001 invalid object_owner: "a_superuser" is a superuser.', 'nor does a superuser name one');

\set ways '{"USAGE, CREATE ON SCHEMA app, other", "CREATE ON DATABASE contrib_regression", "SELECT, REFERENCES ON app.orders"}'
CREATE SCHEMA other;
SELECT jit_create_template('keeps', :'ways', requesters => '{dave}', approvers => '{bob}', mode => 'set_role', allow_schema_change => true) AS role \gset
SELECT jit_create_template('gives', :'ways', requesters => '{dave}', approvers => '{bob}', mode => 'set_role', allow_schema_change => true,
                           object_owner => 'keeper') AS role \gset
SELECT jit_create_template('codes', :'ways', requesters => '{gina}', approvers => '{bob}', mode => 'set_role', allow_schema_change => true,
                           allow_code => true, object_owner => 'Odd "keeper"') AS role \gset
SELECT results_eq('SELECT name, object_owner, allow_code FROM jit_access.template_catalog ORDER BY 1',
    $$VALUES ('codes', 'Odd "keeper"', true), ('gives', 'keeper', false), ('keeps', NULL, false)$$, 'the catalog of templates shows both');
\connect - ada
CALL tap.start();
SELECT tap.refused($$SELECT jit_alter_template('keeps', object_owner => 'keeper')$$, 'JA004 you cannot give objects to "keeper": You are not a member of that role.', 'nor later');
SELECT jit_alter_template('keeps', object_owner => 'other_keeper') AS got \gset
SELECT ok(:got > 1, 'a role of one''s own is accepted');
\connect - :owner
CALL tap.start();
SELECT jit_drop_template('keeps') \g /dev/null
SELECT jit_create_template('keeps', privileges, requesters => '{dave}', approvers => '{bob}', mode => 'set_role', allow_schema_change => true) AS role FROM
(VALUES ('{"USAGE, CREATE ON SCHEMA app, other", "CREATE ON DATABASE contrib_regression", "SELECT, REFERENCES ON app.orders"}'::text[])) v (privileges) \gset

-- Everything that has an owner, by owner. The objects that are dropped with the schemas are compared, not the whole catalog.
CREATE FUNCTION tap.owners() RETURNS TABLE (object text, owner text) LANGUAGE sql SECURITY DEFINER AS $$
    SELECT regexp_replace(pg_describe_object(classid, objid, objsubid), '\d{4,}', '<oid>'), refobjid::regrole::text FROM pg_shdepend
    WHERE refclassid = 'pg_authid'::regclass AND deptype = 'o' AND dbid = (SELECT oid FROM pg_database WHERE datname = current_database())
          AND refobjid::regrole::text !~ '^(pg_|postgres)' AND pg_describe_object(classid, objid, objsubid) !~ 'toast|multirange'
$$;
CREATE FUNCTION tap.standing() RETURNS text LANGUAGE sql SECURITY DEFINER AS $$
    SELECT md5(concat_ws('|', (SELECT string_agg(a::text, ',' ORDER BY oid) FROM pg_authid a), (SELECT string_agg(m::text, ',' ORDER BY m::text) FROM pg_auth_members m),
        (SELECT string_agg(concat(relname, relowner, relacl), ',' ORDER BY oid) FROM pg_class WHERE relpersistence <> 't' AND (relnamespace = 'app'::regnamespace OR relacl IS NOT NULL)),
        (SELECT string_agg(n::text, ',' ORDER BY oid) FROM pg_namespace n WHERE nspname !~ '^(pg_|more)')))
$$;
CREATE TABLE tap.made (n integer GENERATED ALWAYS AS IDENTITY, statement text);
GRANT SELECT ON tap.made TO PUBLIC;
INSERT INTO tap.made (statement) VALUES
    ('CREATE TYPE app.kind AS ENUM (''new'')'), ('CREATE TYPE app.pair AS (a integer, b integer)'), ('CREATE TYPE app.span AS RANGE (SUBTYPE = integer)'),
    ('CREATE DOMAIN app.positive AS integer CHECK (VALUE > 0)'), ('CREATE SEQUENCE app.s'),
    ('CREATE TABLE app.t (id serial PRIMARY KEY, big bigint GENERATED ALWAYS AS IDENTITY, kind app.kind DEFAULT ''new'', long text, size app.positive, twice integer GENERATED ALWAYS AS (1 * 2) STORED, orders_id integer REFERENCES app.orders ON DELETE CASCADE CHECK (orders_id > 0))'),
    ('CREATE INDEX t_kind ON app.t (kind)'), ('CREATE UNLOGGED TABLE app.u AS SELECT 1 AS id'), ('CREATE TABLE app.p (id integer) PARTITION BY RANGE (id)'),
    ('CREATE TABLE app.p1 PARTITION OF app.p FOR VALUES FROM (1) TO (2)'), ('CREATE SCHEMA more CREATE TABLE t (id integer)'), ('SELECT lo_create(0)'), ('CREATE TEMPORARY TABLE scratch (id serial)');
CREATE PROCEDURE tap.make() LANGUAGE plpgsql AS $$
DECLARE
    made text;
BEGIN
    FOR made IN SELECT statement FROM tap.made ORDER BY n LOOP
        EXECUTE made;
    END LOOP;
END
$$;
GRANT EXECUTE ON PROCEDURE tap.make() TO PUBLIC;
CREATE TABLE tap.heirs (object text);
INSERT INTO tap.heirs SELECT unnest('{type app.kind,type app.pair,type app.span,type app.positive,sequence app.s,table app.t,sequence app.t_id_seq,sequence app.t_big_seq,table app.u,table app.p,table app.p1,schema more,table more.t,large object <oid>}'::text[]);
SELECT tap.standing() AS standing \gset

-- By jit_revoke: to object_owner.
\connect - dave
SELECT jit_request('gives', '1h') AS id \gset
\connect - bob
SELECT jit_approve(:id) AS state \gset
\connect - dave
SELECT 'jit_grant_' || :'id' AS grant_role \gset
SET ROLE :grant_role;
CALL tap.make();
RESET ROLE;
CALL tap.start();
SELECT set_eq('SELECT DISTINCT owner FROM tap.owners() WHERE object !~ ''pg_temp''', ARRAY[:'grant_role', 'dave'], 'while the grant lives, the objects belong to its role');
SELECT jit_revoke(:id) AS state \gset
\connect - :owner
CALL tap.start();
CALL tap.wait_for_cleanup();
SELECT set_eq('SELECT * FROM tap.owners()', $$SELECT object, 'keeper' FROM tap.heirs$$, 'then to object_owner');
DROP SCHEMA more CASCADE;
SELECT lo_unlink(oid) FROM pg_largeobject_metadata WHERE lomowner = 'keeper'::regrole \g /dev/null
DROP OWNED BY keeper;
SELECT is(tap.standing(), :'standing', 'standing privileges are as before');

-- By the deadline: to the template's role.
\connect - dave
SELECT jit_request('keeps', '5s') AS id \gset
\connect - bob
SELECT jit_approve(:id) AS state \gset
\connect - dave
SELECT 'jit_grant_' || :'id' AS grant_role \gset
SET ROLE :grant_role;
CALL tap.make();
\connect - :owner
CALL tap.start();
CALL tap.wait_until(format('SELECT cleanup = ''done'' FROM jit_access.request WHERE id = %s', :id));
SELECT results_eq(format('SELECT state::text, close_reason FROM jit_access.request WHERE id = %s', :id), $$VALUES ('ended', 'deadline reached')$$, 'the deadline ends a grant');
SELECT set_eq('SELECT * FROM tap.owners()', $$SELECT object, 'jit_template_keeps' FROM tap.heirs$$, 'without object_owner it goes to the template''s role');
SELECT lo_unlink(oid) FROM pg_largeobject_metadata WHERE lomowner = 'jit_template_keeps'::regrole \g /dev/null
REASSIGN OWNED BY jit_template_keeps TO keeper;
DROP OWNED BY keeper;
SELECT is(tap.standing(), :'standing', 'and again nothing else has changed');

-- Code that runs with the privileges of its caller.
\connect - gina
SELECT jit_request('codes', '1h') AS id \gset
\connect - bob
SELECT jit_approve(:id) AS state \gset
\connect - gina
SELECT 'jit_grant_' || :'id' AS grant_role \gset
SET ROLE :grant_role;
CREATE TABLE app.t (id integer, word text COLLATE "C");
CREATE FUNCTION app.on_t() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RETURN NEW; END$$;
CREATE TRIGGER t_check BEFORE INSERT ON app.t FOR EACH ROW EXECUTE FUNCTION app.on_t();
CREATE POLICY own_rows ON app.t USING (id > 0);
ALTER TABLE app.t ENABLE ROW LEVEL SECURITY;
CREATE VIEW app.v WITH (security_invoker) AS SELECT * FROM app.t;
CREATE PROCEDURE app.p() LANGUAGE sql AS 'SELECT 1';
CREATE AGGREGATE app.total (integer) (SFUNC = int4pl, STYPE = integer);
CREATE FUNCTION app.same(app.t, app.t) RETURNS boolean LANGUAGE sql AS 'SELECT $1.id = $2.id';
CREATE OPERATOR app.=== (FUNCTION = app.same, LEFTARG = app.t, RIGHTARG = app.t);
CREATE CAST (app.t AS text) WITH INOUT;
CREATE COLLATION app.bytes FROM "C";
CREATE TEXT SEARCH CONFIGURATION app.words (COPY = simple);
CREATE TEXT SEARCH DICTIONARY app.plain (TEMPLATE = simple);
RESET ROLE;
SELECT jit_revoke(:id) AS state \gset
\connect - :owner
CALL tap.start();
CALL tap.wait_for_cleanup();
SELECT set_eq('SELECT * FROM tap.owners()', $$SELECT unnest('{table app.t,function app.on_t(),view app.v,function app.p(),function app.total(integer),"function app.same(app.t,app.t)","operator app.===(app.t,app.t)",collation app.bytes,text search configuration app.words,text search dictionary app.plain}'::text[]), '"Odd ""keeper"""'$$,
    'code goes the same way where the template allows it');
SELECT is_empty($$SELECT oid::regprocedure FROM pg_proc WHERE proowner = '"Odd ""keeper"""'::regrole AND prosecdef$$, 'none of it with its owner''s privileges');
DROP OWNED BY "Odd ""keeper""" CASCADE;
SELECT is(tap.standing(), :'standing', 'and nothing else has changed');

-- Code that runs with its owner's privileges stays behind, one kind after the other.
\set why 'runs with the privileges of its owner'
\set makes 'CREATE FUNCTION app.backdoor() RETURNS integer LANGUAGE sql SECURITY DEFINER AS $$SELECT 1$$'
\set what 'function app.backdoor()'
\set mend 'DROP FUNCTION app.backdoor()'
\i test/sql/include/leaving.sql
\set makes 'CREATE FUNCTION app.f() RETURNS integer LANGUAGE sql AS $$SELECT 1$$; ALTER FUNCTION app.f() SECURITY DEFINER'
\set what 'function app.f()'
\set mend 'ALTER FUNCTION app.f() OWNER TO CURRENT_USER'
\i test/sql/include/leaving.sql
DROP FUNCTION app.f();
\set makes 'CREATE VIEW app.v AS SELECT * FROM app.orders'
\set what 'view app.v'
\set mend 'ALTER VIEW app.v SET (security_invoker); ALTER VIEW app.v OWNER TO CURRENT_USER'
\i test/sql/include/leaving.sql
DROP VIEW app.v;
\set makes 'CREATE VIEW app.v WITH (security_invoker = off) AS SELECT * FROM app.orders'
\set mend 'DROP VIEW app.v'
\i test/sql/include/leaving.sql
\set makes 'CREATE MATERIALIZED VIEW app.m AS SELECT id FROM app.orders'
\set what 'materialized view app.m'
\set mend 'DROP MATERIALIZED VIEW app.m'
\i test/sql/include/leaving.sql
\set makes 'CREATE TABLE app.t (id integer); CREATE RULE r AS ON INSERT TO app.t DO ALSO NOTHING'
\set what 'table app.t'
\set mend 'DROP RULE r ON app.t'
\i test/sql/include/leaving.sql
DROP TABLE app.t;
\set why 'has expressions with functions that run with the privileges of its owner'
\set twice 'CREATE FUNCTION app.twice(integer) RETURNS integer LANGUAGE sql IMMUTABLE AS $$SELECT $1 * 2$$; '
\set makes :twice 'CREATE TABLE app.t (id integer); CREATE INDEX t_twice ON app.t (app.twice(id))'
\set mend 'DROP TABLE app.t'
\i test/sql/include/leaving.sql
DROP FUNCTION app.twice(integer);
\set makes :twice 'CREATE TABLE app.t (id integer); CREATE INDEX t_some ON app.t (id) WHERE app.twice(id) > 1'
\set mend 'DROP TABLE app.t'
\i test/sql/include/leaving.sql
DROP FUNCTION app.twice(integer);
\set makes :twice 'CREATE TABLE app.t (id integer, EXCLUDE (app.twice(id) WITH =))'
\set mend 'DROP TABLE app.t'
\i test/sql/include/leaving.sql
DROP FUNCTION app.twice(integer);
\set makes :twice 'CREATE TABLE app.t (id integer) PARTITION BY LIST (app.twice(id))'
\set mend 'DROP TABLE app.t'
\i test/sql/include/leaving.sql
DROP FUNCTION app.twice(integer);
\set makes :twice 'CREATE TABLE app.t (id integer); CREATE STATISTICS app.s ON (app.twice(id)) FROM app.t'
\set mend 'DROP TABLE app.t'
\i test/sql/include/leaving.sql
DROP FUNCTION app.twice(integer);
\set makes :twice 'CREATE DOMAIN app.d AS integer CHECK (app.twice(VALUE) > 0); CREATE TABLE app.t (id integer); CREATE INDEX t_d ON app.t ((id::app.d))'
\set mend 'DROP TABLE app.t'
\i test/sql/include/leaving.sql
DROP DOMAIN app.d;
DROP FUNCTION app.twice(integer);
\set why 'has a range type with functions that run with the privileges of its owner'
\set makes 'CREATE FUNCTION app.apart(integer, integer) RETURNS float8 LANGUAGE sql IMMUTABLE AS $$SELECT ($1 - $2)::float8$$; CREATE TYPE app.span AS RANGE (SUBTYPE = integer, SUBTYPE_DIFF = app.apart); CREATE TABLE app.t (during app.span[])'
\set mend 'DROP TABLE app.t; DROP TYPE app.span'
\i test/sql/include/leaving.sql
DROP FUNCTION app.apart(integer, integer);
\set why 'has code that foreign keys or replication run with the privileges of its owner'
\set makes 'CREATE TABLE app.t (id integer REFERENCES app.orders ON UPDATE CASCADE); CREATE TRIGGER t BEFORE UPDATE ON app.t FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()'
\set mend 'DROP TRIGGER t ON app.t'
\i test/sql/include/leaving.sql
DROP TABLE app.t;
\set makes 'CREATE TABLE app.t (id integer); CREATE TRIGGER t BEFORE UPDATE ON app.t FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger(); ALTER TABLE app.t ENABLE ALWAYS TRIGGER t'
\set mend 'ALTER TABLE app.t ENABLE TRIGGER t'
\i test/sql/include/leaving.sql
DROP TABLE app.t;
\set makes 'CREATE FUNCTION app.f(integer) RETURNS boolean LANGUAGE sql AS $$SELECT true$$; CREATE TABLE app.t (id integer CHECK (app.f(id)) REFERENCES app.orders ON DELETE SET NULL)'
\set mend 'ALTER TABLE app.t DROP CONSTRAINT t_id_check'
\i test/sql/include/leaving.sql
DROP TABLE app.t;
DROP FUNCTION app.f(integer);
\set makes 'CREATE FUNCTION app.f() RETURNS integer LANGUAGE sql AS $$SELECT 1$$; CREATE TABLE app.t (id integer DEFAULT app.f() REFERENCES app.orders ON DELETE SET DEFAULT)'
\set mend 'ALTER TABLE app.t ALTER id DROP DEFAULT'
\i test/sql/include/leaving.sql
DROP TABLE app.t;
DROP FUNCTION app.f();
\set makes 'CREATE FUNCTION app.f(integer) RETURNS boolean LANGUAGE sql AS $$SELECT true$$; CREATE DOMAIN app.d AS integer CHECK (app.f(VALUE)); CREATE TABLE app.t (id app.d REFERENCES app.orders ON UPDATE CASCADE)'
\set mend 'ALTER TABLE app.t ALTER id TYPE integer'
\i test/sql/include/leaving.sql
DROP TABLE app.t;
DROP DOMAIN app.d;
DROP FUNCTION app.f(integer);

-- Expressions of the server's own immutable functions are plain data. One object that stays keeps no other.
\connect - gina
SELECT jit_request('codes', '1h') AS id \gset
\connect - bob
SELECT jit_approve(:id) AS state \gset
\connect - gina
SELECT 'jit_grant_' || :'id' AS grant_role, 'jit_quarantine_' || :'id' AS quarantine_role \gset
SET ROLE :grant_role;
CREATE SCHEMA more CREATE TABLE t (id serial, email text, deleted_at timestamptz, EXCLUDE ((id * 2) WITH =));
CREATE INDEX t_live ON more.t (id) WHERE deleted_at IS NULL;
CREATE INDEX t_email ON more.t (lower(email));
CREATE STATISTICS more.s ON (id % 10), (upper(email)) FROM more.t;
CREATE TABLE more.p (id integer) PARTITION BY LIST ((id % 10));
CREATE FUNCTION more.twice(integer) RETURNS integer LANGUAGE sql IMMUTABLE AS 'SELECT $1 * 2';
CREATE TABLE more.odd (id serial);
CREATE INDEX odd_twice ON more.odd (more.twice(id));
CREATE VIEW more.v AS SELECT id FROM more.t;
CREATE FUNCTION more.definer() RETURNS bigint LANGUAGE plpgsql SECURITY DEFINER AS 'BEGIN RETURN (SELECT count(*) FROM pg_class); END';
RESET ROLE;
SELECT jit_revoke(:id) AS state \gset
\connect - :owner
CALL tap.wait_for_cleanup();
GRANT USAGE ON SCHEMA more TO PUBLIC;
GRANT SELECT ON more.v TO PUBLIC;
CALL tap.start();
SELECT set_eq('SELECT * FROM tap.owners()', format($$SELECT x, '"Odd ""keeper"""' FROM unnest('{schema more,table more.t,sequence more.t_id_seq,statistics object more.s,table more.p,function more.twice(integer)}'::text[]) x
    UNION ALL SELECT x, %L FROM unnest('{table more.odd,sequence more.odd_id_seq,view more.v,function more.definer()}'::text[]) x$$, :'quarantine_role'), 'each object goes its own way');
SELECT set_eq(format($$SELECT regexp_split_to_table(description, '\n') FROM jit_access.quarantine WHERE id = %s$$, :id), (SELECT array_agg(format('in database %I: %s', current_database(), x)) FROM unnest('{
    "table more.odd, which has expressions with functions that run with the privileges of its owner", "view more.v, which runs with the privileges of its owner",
    "function more.definer(), which runs with the privileges of its owner"}'::text[]) x), 'and all that is kept is named');
SELECT is((SELECT detail ->> 'quarantined' FROM jit_access.audit_log WHERE grant_id = :id AND detail ? 'quarantined'),
          (SELECT description FROM jit_access.quarantine WHERE id = :id), 'also on the record');
SELECT alike(tap.error('SELECT * FROM more.v'), format('JA016 what grant %s has left is quarantined: %%', :id), 'a superuser reads the view: refused, and told why');
SELECT alike(tap.error('SELECT more.definer()'), format('JA016 what grant %s has left is quarantined: %%', :id), 'the function with its owner''s privileges: the same');
\connect - dave
CALL tap.start();
SELECT alike(tap.error('SELECT * FROM more.v'), format('JA016 what grant %s has left is quarantined: %%', :id), 'another user reads the view: the same');
SELECT tap.refused('SELECT more.definer()', '42501', 'the function cannot be called');
SELECT is(more.twice(1), 2, 'code of the caller was handed over and runs');
\connect - :owner
CALL tap.start();
DROP SCHEMA more CASCADE;
ALTER ROLE gina CONNECTION LIMIT -1;
CALL tap.wait_until($$NOT EXISTS (SELECT FROM pg_roles WHERE rolname ~ '^jit_quarantine_')$$);
SELECT is_empty('SELECT * FROM jit_access.quarantine', 'when nothing is left, the roles of the quarantine are gone');
SELECT is(tap.standing(), :'standing', 'in the end nothing else has changed');

-- The object_owner has changed since.
\set heir keeper
\set why 'was dropped or renamed'
\set spoil 'ALTER ROLE keeper RENAME TO lost'
\set mend 'ALTER ROLE lost RENAME TO keeper'
\i test/sql/include/heir.sql
\set spoil 'ALTER ROLE keeper RENAME TO lost; CREATE ROLE keeper'
\set mend 'DROP ROLE keeper; ALTER ROLE lost RENAME TO keeper'
\i test/sql/include/heir.sql
\set why 'is a superuser'
\set spoil 'ALTER ROLE keeper SUPERUSER'
\set mend 'ALTER ROLE keeper NOSUPERUSER'
\i test/sql/include/heir.sql
\set heir other_keeper
\set why 'was dropped or renamed'
\set spoil 'DROP ROLE keeper'
\set mend 'SELECT jit_alter_template(''gives'', object_owner => ''other_keeper'') AS mended'
\i test/sql/include/heir.sql

DROP FUNCTION tap.owners;
DROP FUNCTION tap.standing;
DROP PROCEDURE tap.make;
DROP TABLE tap.made, tap.heirs;
DROP SCHEMA other;
\i test/sql/include/clean.sql
DROP ROLE gina, other_keeper, "Odd ""keeper""", a_superuser;
