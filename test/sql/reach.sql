\set ECHO none
\i test/sql/include/tap.sql
\i test/sql/include/people.sql
-- What a template reaches is an allow-list (jit_access.template_limits): what an administrator may put into a template,
-- what only a superuser may, and everything else, which is refused. Examples of each kind and their siblings; the test
-- test/t/200_reach.pl goes through every object of a server.
CREATE FUNCTION tap.may_not_give(item text, why text) RETURNS text LANGUAGE sql AS $$
    SELECT tap.refused(format('SELECT jit_create_template(%L, ARRAY[%L], mode => %L, allow_schema_change => true)', 'refused', item, 'set_role'),
                       'JA008 template "refused" reaches more than a template may give: ' || why, item)
$$;
-- The last check of a definition is whether its statement is the administrator's own, which it is not here.
CREATE FUNCTION tap.may_give(item text) RETURNS text LANGUAGE sql AS $$
    SELECT alike(tap.error(format('SELECT jit_create_template(%L, ARRAY[%L], mode => %L, allow_schema_change => true)', 'allowed', item, 'set_role')),
                 'JA018 %', item)
$$;
CREATE FUNCTION tap.is_superusers(has text) RETURNS text LANGUAGE sql AS $$
    SELECT has || ', which only a template that a superuser defines may give.'
$$;

CREATE SCHEMA ext;
CREATE EXTENSION dblink SCHEMA ext;
CREATE EXTENSION pg_buffercache SCHEMA ext;
CREATE EXTENSION file_fdw SCHEMA ext;
CREATE SERVER files FOREIGN DATA WRAPPER file_fdw;
GRANT USAGE ON SCHEMA ext TO PUBLIC;
CREATE ROLE boss SUPERUSER;
CREATE ROLE deputy IN ROLE boss;
CREATE ROLE watcher IN ROLE pg_read_all_data;
CREATE ROLE reads_all IN ROLE pg_read_all_data;
CREATE ROLE plain;
CREATE SCHEMA plain;
-- Functions: of an ordinary owner, of a superuser, of a member of one, and one that reads everything.
CREATE FUNCTION plain.ordinary() RETURNS int LANGUAGE sql AS 'SELECT 1';
CREATE FUNCTION plain.invoker() RETURNS int LANGUAGE sql AS 'SELECT 1';
CREATE FUNCTION plain.of_superuser() RETURNS int LANGUAGE sql SECURITY DEFINER AS 'SELECT 1';
CREATE FUNCTION plain.of_member() RETURNS int LANGUAGE sql SECURITY DEFINER AS 'SELECT 1';
CREATE FUNCTION plain.of_reader() RETURNS int LANGUAGE sql SECURITY DEFINER AS 'SELECT 1';
CREATE FUNCTION plain.of_plain() RETURNS int LANGUAGE sql SECURITY DEFINER AS 'SELECT 1';
CREATE FUNCTION plain.in_c(text) RETURNS text LANGUAGE internal AS 'pg_read_file_all';
CREATE FUNCTION plain.step(text, text) RETURNS text LANGUAGE internal AS 'textcat';
CREATE AGGREGATE plain.hidden(text) (SFUNC = plain.step, STYPE = text);
CREATE AGGREGATE plain.open(text) (SFUNC = textcat, STYPE = text);
CREATE FUNCTION plain.fires() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS 'BEGIN RETURN NEW; END';
ALTER FUNCTION plain.ordinary() OWNER TO plain;
ALTER FUNCTION plain.of_member() OWNER TO deputy;
ALTER FUNCTION plain.of_reader() OWNER TO watcher;
ALTER FUNCTION plain.of_plain() OWNER TO plain;
REVOKE EXECUTE ON ALL FUNCTIONS IN SCHEMA plain FROM PUBLIC;
GRANT EXECUTE ON FUNCTION plain.fires() TO PUBLIC;
-- A schema whose functions everybody may call, if only they got there.
CREATE SCHEMA fenced;
CREATE FUNCTION fenced.powerful() RETURNS int LANGUAGE sql SECURITY DEFINER AS 'SELECT 1';
CREATE SCHEMA on_path;
CREATE SCHEMA "On ""path""";
CREATE SCHEMA boss;
ALTER ROLE boss SET search_path = on_path, "On ""path""", public;
CREATE VIEW app.hashes AS SELECT rolname, rolpassword FROM pg_authid;
CREATE VIEW app.hashes_of_hashes AS SELECT * FROM app.hashes;
CREATE MATERIALIZED VIEW app.kept_hashes AS SELECT * FROM pg_shadow;
CREATE VIEW app.classes AS SELECT * FROM pg_class;
CREATE VIEW app.sizes AS SELECT oid, sum(relpages) FROM pg_class GROUP BY oid;
CREATE VIEW app.of_plain AS SELECT rolpassword FROM pg_authid;
ALTER VIEW app.of_plain OWNER TO plain;
CREATE VIEW app.uses AS SELECT * FROM jit_access.record;
CREATE VIEW app.names AS SELECT name FROM app.customers;
SELECT lo_create(4711) AS lo \gset
CREATE ROLE has_lo;
GRANT SELECT ON LARGE OBJECT 4711 TO has_lo;
CREATE ROLE has_language;
GRANT USAGE ON LANGUAGE plpgsql TO has_language;
CREATE ROLE has_tablespace;
GRANT CREATE ON TABLESPACE pg_default TO has_tablespace;
CREATE ROLE has_default;
ALTER DEFAULT PRIVILEGES IN SCHEMA app GRANT TRIGGER ON TABLES TO has_default;
CREATE ROLE owns_function;
CREATE FUNCTION app.owned() RETURNS int LANGUAGE sql AS 'SELECT 1';
ALTER FUNCTION app.owned() OWNER TO owns_function;
CREATE ROLE login_role LOGIN;

\connect - ada
CALL tap.start();
-- Catalogs of the system: column privileges count there, and reading pg_authid is a login as anybody.
SELECT tap.may_not_give(privilege || ' ON pg_catalog.' || relation,
    format('It holds %s on "pg_catalog.%s" (relation of the system), which no template may give.', split_part(privilege, ' ', 1), relation))
FROM (VALUES (1, 'UPDATE (rolsuper)', 'pg_authid'), (2, 'INSERT (roleid, member, grantor, admin_option)', 'pg_auth_members'), (3, 'SELECT', 'pg_authid'),
             (4, 'SELECT (rolpassword)', 'pg_authid'), (5, 'SELECT', 'pg_shadow'), (6, 'SELECT', 'pg_statistic'), (7, 'SELECT', 'pg_user_mapping'),
             (8, 'SELECT (subconninfo)', 'pg_subscription'), (9, 'SELECT', 'pg_largeobject'), (10, 'SELECT', 'pg_file_settings'), (11, 'SELECT', 'pg_hba_file_rules'),
             (12, 'UPDATE', 'pg_proc'), (13, 'UPDATE (proacl)', 'pg_proc'), (14, 'DELETE', 'pg_depend'), (15, 'TRIGGER', 'pg_class'))
     v (n, privilege, relation)
ORDER BY n;
SELECT tap.may_give(item) FROM unnest('{SELECT ON pg_catalog.pg_class, SELECT (rolname) ON pg_catalog.pg_roles, "SELECT, UPDATE ON pg_catalog.pg_settings", SELECT ON information_schema.tables}'::text[]) item;
SELECT tap.may_not_give('SELECT ON pg_toast.pg_toast_2619', 'It holds SELECT on "pg_toast.pg_toast_2619" (relation of the system), which no template may give.');
SELECT tap.may_not_give('UPDATE ON information_schema.sql_features', 'It holds UPDATE on "information_schema.sql_features" (relation of the system), which no template may give.');
SELECT tap.may_not_give(item, why) FROM (VALUES
    (1, 'SELECT ON app.hashes', tap.is_superusers('It holds SELECT on "app.hashes" (view of hidden system data)')),
    (2, 'SELECT ON app.hashes_of_hashes', tap.is_superusers('It holds SELECT on "app.hashes_of_hashes" (view of hidden system data)')),
    (3, 'SELECT (rolname) ON app.hashes', tap.is_superusers('It holds SELECT on "app.hashes" (view of hidden system data)')),
    (4, 'SELECT ON app.kept_hashes', tap.is_superusers('It holds SELECT on "app.kept_hashes" (view of hidden system data)')),
    (5, 'SELECT ON app.uses', tap.is_superusers('It holds SELECT on "app.uses" (view of hidden system data)')),
    (6, 'UPDATE ON app.classes', 'It holds UPDATE on "app.classes" (view of a system catalog), which no template may give.')) v (n, item, why) ORDER BY n;
SELECT tap.may_give(item) FROM unnest('{SELECT ON app.classes, "SELECT, UPDATE ON app.names", "SELECT, INSERT, UPDATE ON app.sizes", "SELECT, UPDATE ON app.of_plain", TRIGGER ON app.orders}'::text[]) item;

-- Functions.
SELECT tap.may_not_give('EXECUTE ON FUNCTION ' || function, CASE WHEN kind = '' THEN format('It holds EXECUTE on "%s" (function of the system), which no template may give.', function)
    ELSE tap.is_superusers(format('It holds EXECUTE on "%s" (%s)', function, kind)) END)
FROM (VALUES (1, 'ext.dblink_connect_u(pg_catalog.text)', 'function of an extension'), (2, 'ext.dblink_connect_u(pg_catalog.text,pg_catalog.text)', 'function of an extension'),
             (3, 'ext.pg_buffercache_pages()', 'function of an extension'),
             (4, 'plain.in_c(pg_catalog.text)', 'function in an untrusted language'), (5, 'plain.of_superuser()', 'SECURITY DEFINER function of a powerful role'),
             (6, 'plain.of_member()', 'SECURITY DEFINER function of a powerful role'), (7, 'plain.of_reader()', 'SECURITY DEFINER function of a powerful role'),
             (8, 'plain.hidden(pg_catalog.text)', 'aggregate over a function that PUBLIC may not call'),
             (9, 'pg_catalog.pg_read_file(pg_catalog.text)', ''), (10, 'pg_catalog.lo_export(pg_catalog.oid,pg_catalog.text)', ''), (11, 'pg_catalog.pg_reload_conf()', '')) v (n, function, kind) ORDER BY n;
SELECT tap.may_give('EXECUTE ON FUNCTION ' || function) FROM unnest('{plain.ordinary(), plain.invoker(), plain.of_plain(), plain.open(text), ext.dblink(text)}'::text[]) function;
SELECT tap.may_give('EXECUTE ON FUNCTION pg_catalog.substring(text, integer, integer)');

-- Schemas.
SELECT tap.may_not_give(item, why) FROM (VALUES
    (1, 'USAGE, CREATE ON SCHEMA pg_catalog', 'It holds CREATE on "pg_catalog" (schema of the system), which no template may give.'),
    (2, 'CREATE ON SCHEMA information_schema', 'It holds CREATE on "information_schema" (schema of the system), which no template may give.'),
    (3, 'USAGE ON SCHEMA pg_toast', 'It holds USAGE on "pg_toast" (schema of the system), which no template may give.'),
    (4, 'CREATE ON SCHEMA jit_access', 'It holds CREATE on "jit_access" (object of jit_access), which no template may give.'),
    (5, 'CREATE ON SCHEMA ext', tap.is_superusers('It holds CREATE on "ext" (schema with objects of an extension)')),
    (6, 'CREATE ON SCHEMA public', tap.is_superusers('It holds CREATE on "public" (schema with objects of an extension)')),
    (7, 'CREATE ON SCHEMA on_path', tap.is_superusers('It holds CREATE on "on_path" (schema on the search_path of a superuser)')),
    (8, 'CREATE ON SCHEMA "On ""path"""', tap.is_superusers('It holds CREATE on ""On ""path"""" (schema on the search_path of a superuser)')),
    (9, 'CREATE ON SCHEMA boss', tap.is_superusers('It holds CREATE on "boss" (schema on the search_path of a superuser)')),
    (10, 'USAGE ON SCHEMA fenced', tap.is_superusers('It holds USAGE on "fenced" (schema that hides what only a superuser may give)'))) v (n, item, why) ORDER BY n;
SELECT tap.may_give(item) FROM unnest('{"USAGE, CREATE ON SCHEMA app", USAGE ON SCHEMA public, USAGE ON SCHEMA ext, USAGE ON SCHEMA on_path, USAGE ON SCHEMA plain, CREATE ON SCHEMA fenced}'::text[]) item;

-- Everything else that has an access list.
SELECT tap.may_not_give(item, tap.is_superusers(has)) FROM (VALUES
    (1, 'USAGE ON FOREIGN SERVER files', 'It holds USAGE on "files" (foreign server)'),
    (2, 'USAGE ON FOREIGN DATA WRAPPER file_fdw', 'It holds USAGE on "file_fdw" (foreign-data wrapper)'),
    (3, 'CREATE ON DATABASE postgres', 'It holds CREATE on "postgres" (other database)'),
    (4, 'has_lo', 'It holds SELECT on "4711" (large object)'),
    (6, 'has_tablespace', 'It holds CREATE on "pg_default" (tablespace)'),
    (7, 'reads_all', 'It is a member of "pg_read_all_data"'),
    (8, 'pg_monitor', 'It is a member of "pg_monitor"'),
    (9, 'pg_read_all_stats', 'It is a member of "pg_read_all_stats"'),
    (10, 'pg_signal_backend', 'It is a member of "pg_signal_backend"'),
    (11, 'pg_checkpoint', 'It is a member of "pg_checkpoint"')) v (n, item, has) ORDER BY n;
SELECT tap.may_give(item) FROM unnest('{"CONNECT, TEMPORARY ON DATABASE postgres", "CONNECT, CREATE ON DATABASE contrib_regression", has_language, owns_function, has_default}'::text[]) item;
SELECT tap.refused($$SELECT jit_create_template('refused', role => 'has_default')$$,
    'JA008 template "refused" reaches more than a template may give: It holds TRIGGER on "default privileges", which makes objects that outlive a grant.',
    'default privileges are entries of objects that are created later');

-- Roles: a login could be taken with SET ROLE, and the role of another template has its own approvers.
SELECT tap.may_not_give('login_role', 'Role "login_role" can log in.');
SELECT tap.may_not_give('bob', 'Role "bob" can log in.');
SELECT jit_create_template('first', '{USAGE ON SCHEMA app, SELECT ON app.orders}', approvers => '{bob}') AS role \gset
SELECT tap.may_not_give('jit_template_first', 'Role "jit_template_first" belongs to another template.');
SELECT tap.may_not_give('jit_monitor', 'Role "jit_monitor" may not be given by a template.');
SELECT ok(count(*) = 0, 'a predefined role that is not listed: ' || coalesce(string_agg(rolname, ', '), 'none'))
FROM pg_roles WHERE rolname ~ '^pg_' AND NOT EXISTS (SELECT FROM jit_access.template_limits l WHERE l.kind = 'role ' || rolname)
  AND rolname NOT IN ('pg_database_owner', 'pg_execute_server_program', 'pg_read_server_files', 'pg_write_server_files', 'pg_write_all_data', 'pg_create_subscription');

-- A superuser may put into a template what the list keeps from administrators, and approvers see what it is.
\connect - :owner
CALL tap.start();
SELECT jit_create_template('special', ARRAY['USAGE ON SCHEMA ext, fenced', 'EXECUTE ON FUNCTION ext.dblink_connect_u(text), plain.of_superuser()', 'pg_signal_backend', 'reads_all', 'SELECT ON app.hashes'],
    requesters => '{alice}', approvers => '{bob}') AS role \gset
SELECT is(superuser_only, ARRAY['EXECUTE ON ext.dblink_connect_u(pg_catalog.text) (function of an extension)',
    'EXECUTE ON plain.of_superuser() (SECURITY DEFINER function of a powerful role)', 'SELECT ON app.hashes (view of hidden system data)',
    'USAGE ON fenced (schema that hides what only a superuser may give)', 'pg_read_all_data', 'pg_signal_backend'], 'what only a superuser may give is listed')
FROM jit_access.template_catalog WHERE name = 'special';
SELECT tap.refused(format('SELECT jit_create_template(%L, ARRAY[%L])', 'refused', item),
    'JA008 template "refused" reaches more than a template may give: ' || why, 'not even a superuser: ' || item)
FROM (VALUES (1, 'UPDATE (rolsuper) ON pg_catalog.pg_authid', 'It holds UPDATE on "pg_catalog.pg_authid" (relation of the system), which no template may give.'),
             (2, 'pg_execute_server_program', 'Role "pg_execute_server_program" may not be given by a template.'),
             (3, 'bob', 'Role "bob" can log in.')) v (n, item, why) ORDER BY n;
\connect - alice
SELECT jit_request('special', '1h') AS id \gset
\connect - bob
CALL tap.start();
SELECT is(cardinality(superuser_only), 6, 'its approvers see it') FROM jit_access.pending_requests WHERE id = :id;
SELECT jit_approve(:id) AS got \gset
SELECT is(:'got'::text, 'active', 'it can be approved');
SELECT jit_revoke(:id) AS got \gset

-- Another administrator would decide who gets it: they cannot change the template.
\connect - ada
CALL tap.start();
SELECT tap.refused($$SELECT jit_alter_template('special', requesters => '{ada}')$$,
    'JA008 template "special" reaches more than a template may give: ' || tap.is_superusers('It holds EXECUTE on "plain.of_superuser()" (SECURITY DEFINER function of a powerful role)'),
    'an administrator does not name the requesters of a superuser''s template');
SELECT tap.refused($$SELECT jit_alter_template('special', max_duration => '7d')$$,
    'JA008 template "special" reaches more than a template may give: ' || tap.is_superusers('It holds EXECUTE on "plain.of_superuser()" (SECURITY DEFINER function of a powerful role)'),
    'nor change anything else of it');
-- Nor do they lift its approvals: a rule of theirs does not apply to it.
SELECT jit_create_rule('for-all', 'allow', role => 'alice') AS got \gset
SELECT tap.refused($$SELECT jit_create_rule('for-special', 'allow', '{special}')$$,
    'JA004 only a superuser can lift the approval from template "special": It gives what only a superuser may put into a template.', 'a rule of an administrator for it');
SELECT jit_create_template('common', '{USAGE ON SCHEMA app}', requesters => '{alice}') AS role \gset
\connect - alice
CALL tap.start();
SELECT jit_request('special', '1h') AS id \gset
SELECT is(state::text, 'pending', 'a rule of an administrator for all templates does not lift its approval') FROM jit_access.my_requests WHERE id = :id;
SELECT jit_cancel(:id) AS got \gset
SELECT jit_request('common', '1h') AS id \gset
SELECT is(state::text, 'active', 'but that of others') FROM jit_access.my_requests WHERE id = :id;
SELECT jit_revoke(:id) AS got \gset
\connect - :owner
SELECT jit_create_rule('by-superuser', 'allow', '{special}') AS got \gset
\connect - alice
CALL tap.start();
SELECT jit_request('special', '1h') AS id \gset
SELECT is(state::text, 'active', 'a superuser lifts it') FROM jit_access.my_requests WHERE id = :id;
SELECT jit_revoke(:id) AS got \gset
\connect - :owner
CALL tap.start();
SELECT jit_drop_rule('for-all') AS got \gset
SELECT jit_drop_rule('by-superuser') AS got \gset
SELECT jit_create_template('modest', '{USAGE ON SCHEMA app, SELECT ON app.orders}', requesters => '{alice}', approvers => '{bob}') AS role \gset
\connect - ada
CALL tap.start();
SELECT jit_alter_template('modest', max_duration => '7h') AS got \gset
SELECT is(:got, 2, 'a superuser''s template that an administrator could have defined can be changed');
\connect - :owner
CALL tap.start();
SELECT jit_alter_template('modest', privileges => '{pg_monitor}') AS got \gset
SELECT is(superuser_only, '{pg_monitor,pg_read_all_settings,pg_read_all_stats,pg_stat_scan_tables}', 'a superuser changes the privileges') FROM jit_access.template_catalog WHERE name = 'modest';

-- A schema that a holder creates does not come to a search_path by its name.
SELECT jit_create_template('schemas', '{CREATE ON DATABASE contrib_regression}', requesters => '{alice}', approvers => '{bob}', mode => 'set_role', allow_schema_change => true) AS role \gset
CREATE ROLE chief SUPERUSER;
\connect - alice
SELECT jit_request('schemas', '1h') AS id \gset
\connect - bob
SELECT jit_approve(:id) AS got \gset
\connect - alice
CALL tap.start();
SELECT format('SET ROLE jit_grant_%s', :id) AS statement \gset
:statement;
SELECT is(tap.error('CREATE SCHEMA drawer'), 'no error', 'a schema under a grant');
SELECT tap.refused('CREATE SCHEMA chief', 'JA016 this is not allowed to a session that uses a grant: Its name is that of a superuser, who would use its objects without naming the schema.',
                   'not with the name of a superuser');
SELECT is(tap.error('CREATE SCHEMA dave'), 'no error', 'that of another user is possible');
CREATE SCHEMA drawer;
SELECT tap.refused('ALTER SCHEMA drawer RENAME TO chief', 'JA016 this is not allowed to a session that uses a grant: Its name is that of a superuser, who would use its objects without naming the schema.', 'nor by renaming');
DROP SCHEMA drawer;
\connect - :owner
SELECT jit_revoke(:id) AS got \gset
CALL tap.wait_for_cleanup();
DROP ROLE chief;

-- What changes after the definition is found at the next activation, however it came about.
\connect - ada
SELECT jit_create_template('later', '{USAGE ON SCHEMA plain, "USAGE, CREATE ON SCHEMA app", "EXECUTE ON FUNCTION plain.invoker()", "EXECUTE ON FUNCTION ext.dblink(text)"}',
    requesters => '{alice}', approvers => '{bob}', mode => 'set_role', allow_schema_change => true) AS role \gset
\connect - :owner
-- The first activation seals the template; the next ones are refused all the same.
\connect - alice
SELECT jit_request('later', '1h') AS id \gset
\connect - bob
SELECT jit_approve(:id) AS got \gset
SELECT jit_revoke(:id) AS got \gset
\connect - :owner
ALTER FUNCTION plain.invoker() SECURITY DEFINER;
\connect - alice
SELECT jit_request('later', '1h') AS id \gset
\connect - bob
CALL tap.start();
SELECT jit_approve(:id);
SELECT is(:'LAST_ERROR_MESSAGE'::text, 'template "later" reaches more than a template may give', 'a function has become SECURITY DEFINER');
\connect - :owner
ALTER FUNCTION plain.invoker() SECURITY INVOKER;
REVOKE EXECUTE ON FUNCTION ext.dblink(text) FROM PUBLIC;
\connect - bob
CALL tap.start();
SELECT jit_approve(:id);
SELECT is(:'LAST_ERROR_MESSAGE'::text, 'template "later" reaches more than a template may give', 'PUBLIC has lost a privilege');
\connect - :owner
GRANT EXECUTE ON FUNCTION ext.dblink(text) TO PUBLIC;
ALTER ROLE boss SET search_path = app;
\connect - bob
CALL tap.start();
SELECT jit_approve(:id);
SELECT is(:'LAST_ERROR_MESSAGE'::text, 'template "later" reaches more than a template may give', 'a schema has come to the search_path of a superuser');
\connect - :owner
ALTER ROLE boss SET search_path = on_path, "On ""path""", public;
CREATE EXTENSION hstore SCHEMA app;
\connect - bob
CALL tap.start();
SELECT jit_approve(:id);
SELECT is(:'LAST_ERROR_MESSAGE'::text, 'template "later" reaches more than a template may give', 'a schema has got objects of an extension');
\connect - :owner
DROP EXTENSION hstore;
\connect - bob
CALL tap.start();
SELECT jit_approve(:id) AS got \gset
SELECT is(:'got'::text, 'active', 'once all is undone, it is approved');
\connect - :owner

-- The expensive part of the check is not repeated as long as no command can have changed its result: a change of the
-- catalogs themselves is not seen, until there is such a command. An activation, with its roles and memberships, is none.
\connect - ada
SELECT jit_create_template('sealed', '{USAGE ON SCHEMA plain, EXECUTE ON FUNCTION plain.invoker()}', requesters => '{alice}', approvers => '{bob}') AS role \gset
\connect - alice
SELECT jit_request('sealed', '1h') AS id \gset
\connect - bob
SELECT jit_approve(:id) AS got \gset
\connect - :owner
SELECT jit_revoke(:id) AS got \gset
CALL tap.wait_for_cleanup();
UPDATE pg_proc SET prosecdef = true WHERE oid = 'plain.invoker()'::regprocedure;
\connect - alice
SELECT jit_request('sealed', '1h') AS id \gset
\connect - bob
SELECT jit_approve(:id) AS got \gset
CALL tap.start();
SELECT is(:'got'::text, 'active', 'a template that was checked is not checked again');
\connect - :owner
CREATE FUNCTION plain.another() RETURNS int LANGUAGE sql AS 'SELECT 1';
\connect - alice
SELECT jit_request('sealed', '1h') AS id \gset
\connect - bob
CALL tap.start();
SELECT jit_approve(:id);
SELECT is(:'LAST_ERROR_MESSAGE'::text, 'template "sealed" reaches more than a template may give', 'unless a command may have changed the result');
\connect - :owner

-- ALL TABLES IN SCHEMA does not reach new relations that the template could not give: a view or an extension spoils none.
CREATE SCHEMA grows;
\connect - ada
SELECT jit_create_template('grows', '{USAGE ON SCHEMA grows, "SELECT, INSERT ON ALL TABLES IN SCHEMA grows"}', requesters => '{alice}', approvers => '{bob}') AS role \gset
\connect - :owner
CREATE TABLE grows.usual (id int);
CREATE VIEW grows.of_usual AS SELECT * FROM grows.usual;
CREATE VIEW grows.hashes AS SELECT rolpassword FROM pg_authid;
CREATE VIEW grows.classes AS SELECT relname FROM pg_class;
CREATE EXTENSION pg_stat_statements SCHEMA grows;
CALL tap.start();
SELECT is(string_agg(c.relname, ' ' ORDER BY c.relname COLLATE "C"), 'of_usual usual', 'new relations that the template covers')
FROM pg_class c, aclexplode(c.relacl) x WHERE c.relnamespace = 'grows'::regnamespace AND x.grantee = 'jit_template_grows'::regrole AND x.privilege_type = 'INSERT';
\connect - alice
SELECT jit_request('grows', '1h') AS id \gset
\connect - bob
SELECT jit_approve(:id) AS got \gset
CALL tap.start();
SELECT is(:'got'::text, 'active', 'and it can still be given');
SELECT jit_revoke(:id) AS got \gset
\connect - :owner

-- Ownership comes without ALTER ... OWNER as well. (CREATE DATABASE ... OWNER: test/t/200_reach.pl.)
CREATE ROLE adopted;
GRANT SELECT ON app.orders TO adopted;
\connect - ada
SELECT jit_create_template('adopts', role => 'adopted', requesters => '{alice}', approvers => '{bob}') AS role \gset
\connect - alice
SELECT jit_request('adopts', '1h') AS id \gset
\connect - bob
SELECT jit_approve(:id) AS got \gset
SELECT jit_revoke(:id) AS got \gset
\connect - :owner
CREATE SCHEMA made AUTHORIZATION adopted;
\connect - alice
SELECT jit_request('adopts', '1h') AS id \gset
\connect - bob
CALL tap.start();
SELECT jit_approve(:id);
SELECT is(:'LAST_ERROR_MESSAGE'::text, 'template "adopts" reaches more than a template may give', 'CREATE SCHEMA ... AUTHORIZATION');
\connect - :owner
DROP SCHEMA made;
\connect - alice
SELECT jit_request('adopts', '1h') AS id \gset
\connect - bob
SELECT jit_approve(:id) AS got \gset
SELECT jit_revoke(:id) AS got \gset
\connect - :owner
SET ROLE adopted;
SELECT lo_create(4712) AS lo \gset
\connect - alice
SELECT jit_request('adopts', '1h') AS id \gset
\connect - bob
CALL tap.start();
SELECT jit_approve(:id);
SELECT is(:'LAST_ERROR_MESSAGE'::text, 'template "adopts" reaches more than a template may give', 'lo_create');
\connect - :owner
CALL tap.start();
SELECT lo_unlink(4712) AS got, lo_unlink(4711) AS lo \gset
-- Other users do not make objects for the role of a template.
CREATE ROLE dbo LOGIN;
GRANT jit_template_first TO dbo;
GRANT CREATE ON DATABASE contrib_regression TO dbo;
\connect - dbo
CALL tap.start();
SELECT tap.refused('CREATE SCHEMA made AUTHORIZATION jit_template_first', 'JA016 role "jit_template_first" is managed by jit_access: Changing it by hand would give, keep or hide access that was not approved.', 'nor does a member');
SELECT tap.refused('CREATE USER MAPPING FOR jit_template_first SERVER files', 'JA016 role "jit_template_first" is managed by jit_access: Changing it by hand would give, keep or hide access that was not approved.', 'a user mapping');

\connect - :owner
\i test/sql/include/clean.sql
DROP EXTENSION dblink, pg_buffercache, file_fdw, pg_stat_statements CASCADE;
DROP SCHEMA grows, ext, plain, fenced, on_path, "On ""path""", boss CASCADE;
DROP FUNCTION tap.may_not_give, tap.may_give, tap.is_superusers;
REVOKE ALL ON LANGUAGE plpgsql FROM has_language;
REVOKE ALL ON TABLESPACE pg_default FROM has_tablespace;
REVOKE ALL ON DATABASE contrib_regression FROM dbo;
DROP ROLE boss, deputy, watcher, reads_all, plain, has_lo, has_language, has_tablespace, has_default, owns_function,
    login_role, adopted, dbo;
