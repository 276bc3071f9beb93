\set ECHO none
\i test/sql/include/tap.sql
\i test/sql/include/people.sql
-- A temporary login: created with the grant, its password shown once, dropped with the grant.
SELECT jit_create_template('service', '{USAGE ON SCHEMA app, SELECT ON app.orders}', requesters => '{developers}', approvers => '{bob}',
                           mode => 'login', holder_extension => '1h') AS role \gset
SELECT jit_create_template('plain', '{USAGE ON SCHEMA app, SELECT ON app.orders}', requesters => '{developers}', approvers => '{bob}') AS role \gset
SELECT tap.refused(format('SELECT jit_create_template(''x'', ''{USAGE ON SCHEMA app}'', mode => ''login'', %s)', arguments), error, arguments)
FROM (VALUES ($$login_connections => 0$$, 'JA001 invalid login_connections: It is 0.'),
             ($$at_deadline => 'cancel'$$, 'JA001 invalid at_deadline: A login of its own has no privileges to go back to.'),
             ($$allow_schema_change => true$$, 'JA001 invalid allow_schema_change: Only templates of mode set_role can change the schema.')) v (arguments, error);

\connect - alice
SELECT jit_request('service', '1h') AS id, jit_request('plain', '1h') AS plain, jit_request('service', '1h') AS pending \gset
CALL tap.start();
SELECT jit_credentials(:pending);
SELECT is(:'LAST_ERROR_MESSAGE'::text, format('there are no credentials for request %s', :pending), 'not before it is active');
\connect - bob
SELECT jit_approve(:id) AS got, jit_approve(:plain) AS got_2 \gset
CALL tap.start();
SELECT jit_credentials(:id);
SELECT is(:'LAST_ERROR_MESSAGE'::text, format('there are no credentials for request %s', :id), 'not for the approver');
SELECT results_eq(format('SELECT rolcanlogin, rolinherit FROM pg_roles WHERE rolname = ''jit_login_%s''', :id), 'VALUES (false, true)', 'the login cannot log in yet');
\connect - alice
CALL tap.start();
SELECT alike(tap.error(format('SELECT jit_credentials(%s)', :id)), 'JA018 %', 'the requester asks by a statement of their own');
SELECT jit_credentials(:plain);
SELECT is(:'LAST_ERROR_MESSAGE'::text, format('there are no credentials for request %s', :plain), 'nor for another mode');
SELECT is(pg_has_role(format('jit_grant_%s', :id), 'MEMBER'), false, 'the requester''s own login has nothing of it');
BEGIN;
SELECT login, length(password) AS length FROM jit_credentials(:id) \gset
ROLLBACK;
SELECT is((SELECT rolcanlogin FROM pg_roles WHERE rolname = :'login'), false, 'rolled back is not told');
SELECT login, password, valid_until FROM jit_credentials(:id) \gset
SELECT is(:'login'::text, format('jit_login_%s', :id), 'the login');
SELECT matches(:'password'::text, '^[A-Za-z0-9_-]{32}$', 'and its password');
SELECT is(:'valid_until'::timestamptz, (SELECT ends_at FROM jit_access.my_grants WHERE id = :id), 'valid to the deadline');
SELECT jit_credentials(:id);
SELECT is(:'LAST_ERROR_MESSAGE'::text, format('there are no credentials for request %s', :id), 'it is shown once');
-- It is in no group, and a group of all other logins still counts as a group of everybody.
\connect - :owner
CREATE ROLE everybody;
SELECT format('GRANT everybody TO %I', rolname) FROM pg_roles WHERE rolcanlogin AND NOT rolsuper AND rolname NOT LIKE 'jit\_login\_%' \gexec
SELECT jit_create_template('open', '{USAGE ON SCHEMA app}', requesters => '{developers}', approvers => '{everybody, bob}') AS role \gset
\connect - alice
SELECT jit_request('open', '1h') AS open \gset
\connect - dave
CALL tap.start();
SELECT alike(tap.error(format('SELECT jit_approve(%s)', :open)), format('JA003 request %s does not exist, or you may not see it: %%', :open),
    'a group of all other logins still counts as a group of everybody');
\connect - :owner
CALL tap.start();
SELECT results_eq(format('SELECT rolcanlogin, rolconnlimit, rolvaliduntil, rolpassword ~ ''^SCRAM-SHA-256\$'' FROM pg_authid WHERE rolname = %L', :'login'),
                  format('VALUES (true, 1, %L::timestamptz, true)', :'valid_until'), 'the server keeps its verifier');
SELECT is((SELECT count(*)::int FROM pg_authid WHERE rolpassword LIKE '%' || :'password' || '%'), 0, 'not the password');
CALL tap.wait_for_record();
SELECT is((SELECT count(*)::int FROM jit_access.record r WHERE r::text LIKE '%' || :'password' || '%'), 0, 'nor does the record');
SELECT results_eq(format('SELECT login, detail ->> ''login'' FROM jit_access.audit_log WHERE kind = ''credentials issued'' AND grant_id = %s', :id),
                  format('VALUES (''alice'', %L)', :'login'), 'it says that they were told');

-- It has what the grant gives, is recorded, and cannot be made permanent.
\connect - :login
SELECT count(*) AS seen FROM app.orders \gset
SELECT format('ALTER ROLE %I PASSWORD ''mine'' VALID UNTIL ''infinity''', :'login') AS by_name \gset
CALL tap.start();
SELECT is(:seen, 3, 'it reads');
SELECT is((SELECT count(*)::int FROM jit_access.pending_requests), 0, 'it has nothing to decide');
SELECT alike(tap.error(statement), 'JA016 %', replace(statement, :'login', 'its_login'))
FROM (VALUES (1, 'ALTER ROLE CURRENT_USER PASSWORD ''mine'''), (2, 'ALTER USER SESSION_USER PASSWORD ''mine'''), (3, :'by_name'),
             (4, 'ALTER ROLE CURRENT_USER SET work_mem = ''1GB''')) v (n, statement) ORDER BY n;
SELECT is(tap.error('SELECT lo_create(0)'), 'JA016 this is not allowed to a session that uses a grant: It would belong to the grant, whose template cannot change the schema.',
    'it makes no large object, which would be left to the template');
SELECT is(tap.error('CREATE TEMP TABLE scratch (id serial, line text)'), 'no error', 'it may create temporary tables');
SELECT jit_extend(:id, '10 minutes');
SELECT is(:'LAST_ERROR_MESSAGE'::text, 'a temporary login cannot make requests or decisions', 'it neither asks nor extends');
\connect - alice
SELECT jit_extend(:id, '10 minutes') AS longer \gset
\connect - :owner
CALL tap.start();
SELECT is((SELECT rolvaliduntil FROM pg_authid WHERE rolname = :'login'), :'longer'::timestamptz, 'it is valid to the new deadline');
CALL tap.wait_for_record();
SELECT results_eq(format('SELECT login, outcome FROM jit_access.audit_log WHERE kind = ''use'' AND grant_id = %s AND objects @> ''{app.orders}''', :id),
                  format('VALUES (%L, ''completed'')', :'login'), 'its statements are on the record');
SELECT jit_revoke(:id) AS got \gset
CALL tap.wait_for_cleanup();
SELECT is((SELECT count(*)::int FROM pg_roles WHERE rolname = :'login'), 0, 'the login goes with the grant');
-- A second factor at first use is required when the password is shown.
SELECT jit_create_template('careful', '{USAGE ON SCHEMA app, SELECT ON app.orders}', requesters => '{developers}', approvers => '{bob}',
                           mode => 'login', second_factor => '{first_use}') AS role \gset
\connect - alice
SELECT jit_request('careful', '1h') AS careful \gset
\connect - bob
SELECT jit_approve(:careful) AS got \gset
\connect - alice
CALL tap.start();
SELECT jit_credentials(:careful);
SELECT is(:'LAST_ERROR_MESSAGE'::text, 'a second factor is required', 'no password without the second factor');
-- Changed by hand.
\connect - alice
SELECT jit_request('service', '1h') AS id \gset
\connect - bob
SELECT jit_approve(:id) AS got \gset
\connect - alice
SELECT login FROM jit_credentials(:id) \gset
\connect - :owner
GRANT :login TO dave;
GRANT jit_template_plain TO :login;
SELECT format('jit_login_0%s', :'id') AS alike \gset
CREATE ROLE :alike LOGIN;
SELECT jit_access.job_drift() \g /dev/null
CALL tap.wait_for_record();
CALL tap.start();
SELECT results_eq(format('SELECT detail ->> ''role'', detail ->> ''member'' FROM jit_access.audit_log WHERE kind = ''drift'' AND grant_id = %s ORDER BY 1', :id),
                  format($$VALUES (%1$L, 'dave'), ('jit_template_plain', %1$L)$$, :'login'), 'memberships granted by hand to the login, or in it, are removed');
SELECT is_empty(format('SELECT FROM pg_roles WHERE rolname = %L', :'alike'), 'a role with a similar name is not kept');
DROP ROLE :login;
SELECT jit_access.job_drift() \g /dev/null
CALL tap.wait_until(format('SELECT state = ''revoked'' AND cleanup = ''done'' FROM jit_access.request WHERE id = %s', :id));
CREATE ROLE jit_login_999999 LOGIN;
CALL tap.wait_until('SELECT NOT EXISTS (SELECT FROM pg_roles WHERE rolname = ''jit_login_999999'')');
SELECT pass('a dropped login ends its grant, and an unclaimed login is removed');
DROP ROLE everybody;
\i test/sql/include/clean.sql
