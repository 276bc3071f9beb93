\set ECHO none
\i test/sql/include/tap.sql
\i test/sql/include/people.sql
-- Roles and privileges that no template may hold: superusers and their equals, privileges that can be passed on, roles
-- that own objects, privileges to create objects that outlive a grant, and items that are no privileges. A refusal
-- leaves nothing behind.
CREATE FUNCTION tap.refuses_item(item text, why text, description text) RETURNS text LANGUAGE sql AS $$
    SELECT tap.refused(format('SELECT jit_create_template(%L, ARRAY[%L])', 'refused', item),
                       'JA008 cannot give the privilege "' || item || '" to a template: ' || why, description)
$$;
-- `item` is a privilege, or the name of a role that is tried both as adopted role and as item.
CREATE FUNCTION tap.refuses_role(name text, why text, description text) RETURNS SETOF text LANGUAGE plpgsql AS $$
BEGIN
    RETURN NEXT tap.refused(format('SELECT jit_create_template(%L, ARRAY[%L])', 'refused', quote_ident(name)),
        'JA008 template "refused" reaches more than a template may give: ' || why, description || ', as a membership');
    RETURN NEXT tap.refused(format('SELECT jit_create_template(%L, role => %L)', 'refused', name),
        'JA008 template "refused" reaches more than a template may give: ' || why, description || ', adopted');
END
$$;
CREATE FUNCTION tap.reaches_too_much(item text, why text, description text) RETURNS text LANGUAGE sql AS $$
    SELECT tap.refused(format('SELECT jit_create_template(%L, ARRAY[%L])', 'refused', item),
                       'JA008 template "refused" reaches more than a template may give: ' || why, description)
$$;

CREATE ROLE a_superuser SUPERUSER;
CREATE ROLE a_rolemaker CREATEROLE;
CREATE ROLE a_dbmaker CREATEDB;
CREATE ROLE a_replicator REPLICATION;
CREATE ROLE a_bypasser BYPASSRLS;
CREATE ROLE an_innocent;
CREATE ROLE through_one IN ROLE a_superuser;
CREATE ROLE through_two IN ROLE through_one;
CREATE ROLE through_noinherit NOINHERIT IN ROLE a_superuser;
CREATE ROLE an_admin;
GRANT an_innocent TO an_admin WITH ADMIN OPTION;
CREATE ROLE an_owner;
CREATE TABLE app.owned (id integer);
ALTER TABLE app.owned OWNER TO an_owner;
CREATE ROLE can_pass_on;
GRANT SELECT ON app.orders TO can_pass_on WITH GRANT OPTION;
CREATE ROLE can_pass_column;
GRANT SELECT (id) ON app.orders TO can_pass_column WITH GRANT OPTION;
CREATE ROLE can_pass_schema;
GRANT USAGE ON SCHEMA app TO can_pass_schema WITH GRANT OPTION;
CREATE ROLE can_create;
GRANT CREATE ON SCHEMA app TO can_create;
CREATE ROLE can_trigger;
GRANT TRIGGER ON app.orders TO can_trigger;
CREATE ROLE "Loud ""one""" IN ROLE a_superuser;
CREATE ROLE a_login LOGIN;
CREATE ROLE sets_server_up;
GRANT ALTER SYSTEM ON PARAMETER archive_command TO sets_server_up;
SELECT tap.state() AS before \gset

\connect - ada
CALL tap.start();
SELECT tap.refuses_role('a_superuser', 'Role "a_superuser" is a superuser.', 'a superuser');
SELECT tap.refuses_role('a_rolemaker', 'Role "a_rolemaker" has CREATEROLE.', 'a maker of roles');
SELECT tap.refuses_role('a_dbmaker', 'Role "a_dbmaker" has CREATEDB.', 'a maker of databases');
SELECT tap.refuses_role('a_replicator', 'Role "a_replicator" has REPLICATION.', 'a replicator');
SELECT tap.refuses_role('a_bypasser', 'Role "a_bypasser" has BYPASSRLS.', 'who bypasses row security');
SELECT tap.refuses_role('through_two', 'Role "a_superuser" is a superuser.', 'a superuser behind two memberships');
SELECT tap.refuses_role('through_noinherit', 'Role "a_superuser" is a superuser.', 'a superuser behind NOINHERIT');
SELECT tap.refuses_role('Loud "one"', 'Role "a_superuser" is a superuser.', 'a superuser behind a quoted name');
SELECT tap.refuses_role('an_admin', 'Role "an_admin" has ADMIN OPTION on "an_innocent".', 'ADMIN OPTION');
SELECT tap.refuses_role('an_owner',
    'Role "an_owner" owns objects, and an owner can do everything with them.', 'an owner of objects');
SELECT tap.refuses_role('can_pass_on', 'It holds SELECT on "app.orders" with GRANT OPTION.', 'GRANT OPTION on a table');
SELECT tap.refuses_role('can_pass_column', 'It holds SELECT on "app.orders" with GRANT OPTION.', 'GRANT OPTION on a column');
SELECT tap.refuses_role('can_pass_schema', 'It holds USAGE on "app" with GRANT OPTION.', 'GRANT OPTION on a schema');
SELECT tap.refuses_role('can_create',
    'It holds CREATE on "app", which makes objects that outlive a grant.', 'CREATE on a schema');
SELECT tap.refuses_role('can_trigger',
    'It holds TRIGGER on "app.orders", which makes objects that outlive a grant.', 'TRIGGER on a table');
SELECT tap.reaches_too_much(name, format('Role "%s" may not be given by a template.', name), name)
FROM unnest('{pg_execute_server_program, pg_read_server_files, pg_write_server_files, pg_write_all_data, jit_admin,
              jit_auditor, jit_marker}'::text[]) WITH ORDINALITY AS v (name, n) ORDER BY n;
SELECT tap.refused($$SELECT jit_create_template('refused', role => 'a_login')$$,
    'JA008 template "refused" reaches more than a template may give: Role "a_login" can log in.', 'a login is not adopted');
SELECT tap.reaches_too_much('CREATE ON SCHEMA app',
    'It holds CREATE on "app", which makes objects that outlive a grant.', 'CREATE without allow_schema_change');
SELECT tap.reaches_too_much('CREATE ON DATABASE contrib_regression',
    'It holds CREATE on "contrib_regression", which makes objects that outlive a grant.', 'CREATE on the database');
SELECT tap.reaches_too_much('ALL ON app.orders',
    'It holds TRIGGER on "app.orders", which makes objects that outlive a grant.', 'ALL on a table, which has TRIGGER in it');
SELECT alike(tap.error($$SELECT jit_create_template('refused', role => 'sets_server_up')$$), 'JA008 %',
            'ALTER SYSTEM on a parameter, which makes commands of the server''s user');
SELECT alike(tap.error($$SELECT jit_create_template('refused', '{TRUNCATE ON ALL TABLES IN SCHEMA jit_access}')$$), 'JA008 %',
            'emptying the tables of the extension');
SELECT alike(tap.error($$SELECT jit_create_template('refused', '{SELECT ON jit_access.audit_log}')$$), 'JA008 %',
            'reading the record is the auditors'' office');

-- Items that are no privileges.
SELECT tap.refuses_item('SELECT ON app.orders, app.customers WITH GRANT OPTION',
    'The server cannot read it: syntax error at or near "WITH".', 'GRANT OPTION inside an item');
SELECT tap.refuses_item('', 'The server cannot read it: syntax error at or near "TO".', 'an empty item');
SELECT tap.refuses_item('SELECT ON', 'The server cannot read it: syntax error at or near "TO".', 'half an item');
SELECT tap.refuses_item('no grammar at all', 'The server cannot read it: syntax error at or near "grammar".', 'no grammar');
SELECT tap.refuses_item('SELECT ON app.orders TO alice; GRANT SELECT ON app.customers', 'It is more than one command.',
                        'two statements');
SELECT tap.refuses_item('SELECT ON app.orders TO alice; DROP TABLE app.orders; GRANT SELECT ON app.orders',
                        'It is more than one command.', 'three statements');
SELECT tap.refuses_item('SELECT ON app.orders TO alice',
    'The server cannot read it: syntax error at or near "TO".', 'a grantee of its own');
SELECT alike(tap.error($$SELECT jit_create_template('refused', ARRAY['SELECT ON app.orders TO alice --'])$$), 'JA008 %',
            'a grantee before a comment');
SELECT alike(tap.error($$SELECT jit_create_template('refused', ARRAY['SELECT ON app.orders TO alice /*'])$$), 'JA008 %',
            'a grantee before an open comment');
SELECT alike(tap.error($$SELECT jit_create_template('refused', ARRAY['SELECT ON app.orders TO alice; --'])$$), 'JA008 %',
            'a grantee before the end of the statement');
SELECT alike(tap.error($$SELECT jit_create_template('refused', ARRAY['SELECT ON app.orders TO jit_template_refused WITH GRANT OPTION --'])$$),
            'JA008 %', 'the right grantee, with GRANT OPTION');
SELECT alike(tap.error($$SELECT jit_create_template('refused', ARRAY['an_innocent TO jit_template_refused WITH ADMIN OPTION; GRANT an_innocent'])$$),
            'JA008 %', 'the right grantee, with ADMIN OPTION');
SELECT alike(tap.error($$SELECT jit_create_template('refused', ARRAY['ADMIN OPTION FOR an_innocent'])$$), 'JA008 %',
            'ADMIN OPTION FOR');
SELECT tap.refuses_item('SELECT ON app.missing', 'The server says: relation "app.missing" does not exist.', 'a missing table');
SELECT tap.refuses_item('SELECT (missing) ON app.orders',
    'The server says: column "missing" of relation "orders" does not exist.', 'a missing column');
SELECT tap.refuses_item('USAGE ON SCHEMA missing', 'The server says: schema "missing" does not exist.', 'a missing schema');
SELECT tap.refuses_item('SELECT ON ALL TABLES IN SCHEMA missing', 'There is no schema "missing".', 'tables of a missing schema');
SELECT tap.refuses_item('EXECUTE ON FUNCTION app.next_status(integer)',
    'The server says: function app.next_status(integer) does not exist.', 'a missing function');
SELECT tap.refuses_item('missing', 'The server says: role "missing" does not exist.', 'a missing role');
SELECT tap.refuses_item('SELECT ON orders', 'The server says: relation "orders" does not exist.',
                        'an unqualified name is not completed by a search_path');
SELECT tap.refuses_item('EXECUTE ON app.orders', 'The server says: invalid privilege type EXECUTE for relation.',
                        'a privilege of another kind of object');
SELECT alike(tap.error($$SELECT jit_create_template('refused', '{SET ON PARAMETER work_mem}')$$), 'JA008 %', 'parameters');
SELECT alike(tap.error($$SELECT jit_create_template('refused', '{USAGE ON LANGUAGE plpgsql}')$$), 'JA008 %', 'languages');
SELECT alike(tap.error($$SELECT jit_create_template('refused', '{CREATE ON TABLESPACE pg_default}')$$), 'JA008 %', 'tablespaces');
SELECT alike(tap.error($$SELECT jit_create_template('refused', '{SELECT ON LARGE OBJECT 1}')$$), 'JA008 %', 'large objects');
SELECT tap.refused($$SELECT jit_create_template('refused')$$,
    'JA001 invalid privileges: A template without privileges gives nothing.', 'no privileges at all');
SELECT tap.refused($$SELECT jit_create_template('refused', '{SELECT ON app.orders, SELECT ON app.missing}')$$,
    'JA008 cannot give the privilege "SELECT ON app.missing" to a template: The server says: relation "app.missing" does not exist.',
    'one bad item refuses all');
SELECT tap.refused($$SELECT jit_create_template('refused', '{USAGE ON SCHEMA app}', allow_schema_change => true)$$,
    'JA001 invalid allow_schema_change: Only templates of mode set_role can change the schema.', 'schema changes by inheritance');
SELECT is(tap.state(), :'before', 'none of these has left anything behind');

-- The same for jit_alter_template: a refusal leaves the template unchanged.
SELECT jit_create_template('standing', '{USAGE ON SCHEMA app, SELECT ON app.orders}', requesters => '{alice}', approvers => '{bob}') AS got \gset
SELECT is(:'got'::text, 'jit_template_standing', 'a good template');
SELECT tap.state() AS before \gset
SELECT tap.refused($$SELECT jit_alter_template('standing', privileges => '{a_superuser}')$$,
    'JA008 template "standing" reaches more than a template may give: Role "a_superuser" is a superuser.', 'a change is checked');
SELECT tap.refused($$SELECT jit_alter_template('standing', privileges => '{SELECT ON app.missing}')$$,
    'JA008 cannot give the privilege "SELECT ON app.missing" to a template: The server says: relation "app.missing" does not exist.',
    'its items are, too');
SELECT is(tap.state(), :'before', 'and leaves the template as it was');

-- The same when a grant of the template is activated.
\connect - alice
SELECT jit_request('standing', '1h') AS id \gset
\connect - :owner
GRANT pg_write_all_data TO jit_template_standing;
\connect - alice
SELECT jit_request('standing', '1h') AS after \gset
\connect - bob
CALL tap.start();
SELECT jit_approve(:id);
SELECT is(:'LAST_ERROR_MESSAGE'::text, format('request %s is out of date', :id), 'a privilege added by hand makes the request out of date');
SELECT jit_approve(:after);
SELECT is(:'LAST_ERROR_MESSAGE'::text, 'template "standing" reaches more than a template may give', 'a privilege added by hand stops the activation');
\connect - :owner
REVOKE pg_write_all_data FROM jit_template_standing;
\connect - bob
CALL tap.start();
SELECT jit_approve(:id) AS got \gset
SELECT is(:'got'::text, 'active', 'once it is taken away, the request can be approved');

\i test/sql/include/clean.sql
DROP FUNCTION tap.refuses_item, tap.refuses_role, tap.reaches_too_much;
REVOKE ALTER SYSTEM ON PARAMETER archive_command FROM sets_server_up;
DROP ROLE a_superuser, a_rolemaker, a_dbmaker, a_replicator, a_bypasser, through_one, through_two, through_noinherit, an_admin,
    an_owner, can_pass_on, can_pass_column, can_pass_schema, can_create, can_trigger, "Loud ""one""", a_login, an_innocent,
    sets_server_up;
