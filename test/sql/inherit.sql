\set ECHO none
\i test/sql/include/tap.sql
\i test/sql/include/people.sql
-- Templates of mode inherit: only sessions of the requester have the privileges, from the approval to the end.
SELECT jit_create_template('debug_read', '{USAGE ON SCHEMA app, SELECT ON app.orders, SELECT (name) ON app.customers, USAGE ON SEQUENCE app.numbers, EXECUTE ON FUNCTION app.next_status(text)}',
                           requesters => '{alice, dave}', approvers => '{bob}') AS role \gset
SELECT md5(string_agg(concat_ws(' ', c.oid, relacl, attacl), ',' ORDER BY c.oid, attnum)) AS acls
FROM pg_class c JOIN pg_attribute ON attrelid = c.oid WHERE relpersistence = 'p' AND coalesce(relacl, attacl) IS NOT NULL \gset
\connect - alice
CALL tap.start();
SELECT tap.refused('SELECT count(*) FROM app.orders', '42501', 'before');
SELECT jit_request('debug_read', '1h') AS id \gset
SELECT tap.refused('SELECT count(*) FROM app.orders', '42501', 'asking gives nothing');
\connect - bob
SELECT jit_approve(:id) AS state \gset

\connect - alice
SELECT count(*) AS orders FROM app.orders \gset
SELECT string_agg(name, ',' ORDER BY name) AS names FROM app.customers \gset
SELECT nextval('app.numbers') AS number, app.next_status('new') AS status \gset
CALL tap.start();
SELECT results_eq(format('SELECT %s, %L::text, %s, %L::text', :orders, :'names', :number, :'status'),
                  $$VALUES (3, 'Kim,Lee', 1, 'new!')$$, 'tables, columns, sequences and functions can be used');
SELECT tap.refused('SELECT * FROM app.customers', '42501', 'other columns cannot');
SELECT tap.refused($$UPDATE app.orders SET status = 'x'$$, '42501', 'nor can other privileges');
SELECT tap.refused('DELETE FROM app.orders', '42501', 'of any kind');
SELECT tap.refused('CREATE TABLE app.mine ()', '42501', 'anywhere');
SELECT is(ARRAY(SELECT format('%s of %s%s', m.rolname, g.rolname, CASE WHEN x.admin_option THEN ' with admin option' END)
                FROM pg_auth_members x JOIN pg_roles g ON g.oid = x.roleid JOIN pg_roles m ON m.oid = x.member
                WHERE 'jit_grant_' || :'id' IN (g.rolname, m.rolname) ORDER BY 1),
          ARRAY[format('alice of jit_grant_%s', :id), format('jit_grant_%s of jit_marker', :id),
                format('jit_grant_%s of jit_template_debug_read', :id)],
          'a grant is three memberships, none with ADMIN OPTION');
SELECT results_eq(
    format($$SELECT rolcanlogin, rolsuper, rolcreatedb, rolcreaterole, rolreplication, rolbypassrls FROM pg_roles
             WHERE rolname = 'jit_grant_%s'$$, :id),
    'VALUES (false, false, false, false, false, false)', 'and a role that can do nothing by itself');
SELECT is((SELECT md5(string_agg(concat_ws(' ', c.oid, relacl, attacl), ',' ORDER BY c.oid, attnum))
           FROM pg_class c JOIN pg_attribute ON attrelid = c.oid WHERE relpersistence = 'p' AND coalesce(relacl, attacl) IS NOT NULL),
          :'acls'::text, 'no access list has grown');
\connect - dave
CALL tap.start();
SELECT tap.refused('SELECT count(*) FROM app.orders', '42501', 'another requester of the same template has nothing');
SELECT tap.refused(format('SET ROLE jit_grant_%s', :id), '42501', 'and cannot take the role');
\connect - bob
CALL tap.start();
SELECT tap.refused('SELECT count(*) FROM app.orders', '42501', 'and neither can the approver');

-- A login with NOINHERIT would hold a grant that it cannot use, unless the membership itself says INHERIT (16 and later).
\connect - :owner
CREATE ROLE noah LOGIN NOINHERIT;
SELECT jit_alter_template('debug_read', requesters => '{alice, noah}') AS version \gset
\connect - noah
CALL tap.start();
SELECT is(tap.error($$SELECT jit_request('debug_read', '1h')$$),
          CASE WHEN current_setting('server_version_num')::int >= 160000 THEN 'no error'
               ELSE 'JA004 "noah" cannot use template "debug_read": The login has NOINHERIT, so on this server version it would not have the privileges.'
          END, 'NOINHERIT is refused if it would make the grant unusable');

-- A session under a grant may take the role of the grant as well.
\connect - alice
SELECT 'jit_grant_' || :'id' AS grant_role \gset
SET ROLE :grant_role;
SELECT current_user = :'grant_role' AS is_set, (SELECT count(*) FROM app.orders) AS orders \gset
RESET ROLE;
CALL tap.start();
SELECT ok(:'is_set'::boolean AND :orders = 3, 'SET ROLE to the role of the grant is possible');

\i test/sql/include/clean.sql
DROP ROLE noah;
