\set ECHO none
\i test/sql/include/tap.sql
\i test/sql/include/people.sql
-- Conditions of a template, and their effect on a client on a Unix socket. The rest is in test/t/171_conditions.pl.
SELECT current_database() AS here \gset
\connect - ada
CALL tap.start();
SELECT tap.refused(format($$SELECT jit_create_template('x', '{USAGE ON SCHEMA app}', %s)$$, setting), 'JA001 invalid ' || error, setting)
FROM (VALUES ($$networks => '{10.0.0.1/8}'$$, 'networks: "10.0.0.1/8" is not a network.'),
             ($$networks => '{somewhere}'$$, 'networks: "somewhere" is not a network.'),
             ($$networks => '{LOCAL}'$$, 'networks: "LOCAL" is not a network.'),
             ($$networks => '{NULL}'$$, 'networks: The array holds a NULL.'),
             ($$networks => (SELECT array_agg('10.' || i || '.0.0/16') FROM generate_series(1, 9) i)$$, 'networks: There are 9 of them; at most 8 are possible.'),
             ($$auth_methods => '{reject}'$$, 'auth_methods: "reject" is not valid.'),
             ($$auth_methods => '{scram}'$$, 'auth_methods: "scram" is not valid.'),
             ($$databases => '{missing}'$$, 'databases: There is no database "missing".'),
             ($$databases => '{Template1}'$$, 'databases: There is no database "Template1".'),
             ($$databases => (SELECT array_agg('template1'::text) FROM generate_series(1, 9) i)$$, 'databases: There are 9 of them; at most 8 are possible.'))
     t (setting, error);

\connect - :owner
CREATE FUNCTION tap.template(name text, settings text) RETURNS text LANGUAGE sql AS $$
    SELECT format('SELECT jit_create_template(%L, ''{USAGE ON SCHEMA app, SELECT ON app.orders}'', requesters => ''{alice}'', approvers => ''{bob}'', mode => ''set_role'', %s)', name, settings)
$$;
SELECT tap.template(name, settings)
FROM (VALUES ('anywhere', $$reason_required => false$$),
             ('local', $$networks => '{10.0.0.0/8, local}'$$),
             ('network', $$networks => '{10.0.0.0/8, 2001:DB8::/32}'$$),
             ('tls', $$tls_required => true, responders => '{alice}', break_glass_duration => '10 minutes'$$),
             ('certificate', $$client_cert_required => true$$),
             ('method', $$auth_methods => '{scram-sha-256, cert}'$$),
             ('trust', $$auth_methods => '{trust, peer}'$$),
             ('elsewhere', $$databases => '{postgres}'$$),
             ('here', format('databases => ARRAY[%L, ''postgres'']', :'here'))) t (name, settings) \gexec
CALL tap.start();
SELECT results_eq($$SELECT name, networks, tls_required, client_cert_required, auth_methods FROM jit_access.template_catalog WHERE name IN ('network', 'anywhere') ORDER BY 1$$,
    $$VALUES ('anywhere', '{}'::text[], false, false, '{}'::text[]), ('network', '{10.0.0.0/8,2001:db8::/32}', false, false, '{}')$$, 'the catalog shows them');
\connect - alice
CALL tap.start();
SELECT results_eq($$SELECT template_name, outcome, reasons[1] FROM jit_eligibility(duration => '1h') ORDER BY 1$$,
    $$VALUES ('anywhere', 'needs approval', 'it has 0 approvals that count and needs 1 more'),
             ('certificate', 'denied', 'template "certificate" may not be requested from here: The client has not shown a certificate.'),
             ('elsewhere', 'needs approval', 'it has 0 approvals that count and needs 1 more'),
             ('here', 'needs approval', 'it has 0 approvals that count and needs 1 more'),
             ('local', 'needs approval', 'it has 0 approvals that count and needs 1 more'),
             ('method', 'denied', 'template "method" may not be requested from here: The client was authenticated by a method that is not allowed.'),
             ('network', 'denied', 'template "network" may not be requested from here: A Unix socket is not among the allowed networks.'),
             ('tls', 'denied', 'template "tls" may not be requested from here: The connection does not use TLS.'),
             ('trust', 'needs approval', 'it has 0 approvals that count and needs 1 more')$$, 'eligibility names the condition that does not hold');
SELECT tap.refused($$SELECT jit_request('tls', '1h')$$, 'JA023 template "tls" may not be requested from here: The connection does not use TLS.', 'and is refused');
SELECT alike(tap.error($$SELECT jit_break_glass('tls', '5 minutes', 'fire')$$), 'JA023 %', 'breaking the glass is no way around it');
SELECT jit_request('anywhere', '1h') AS anywhere, jit_request('local', '1h') AS local, jit_request('trust', '1h') AS trust, jit_request('elsewhere', '1h') AS elsewhere,
       jit_request('here', '1h') AS here_id \gset
\connect - olga
CALL tap.start();
CALL tap.wait_for_record();
SELECT results_eq($$SELECT sqlstate, login FROM jit_access.audit_log WHERE kind = 'refusal' AND statement LIKE '%tls%' AND sqlstate = 'JA023'$$,
    $$VALUES ('JA023', 'alice'), ('JA023', 'alice')$$, 'the refusal is on the record, though the error was caught');
\connect - bob
SELECT jit_approve(:anywhere) AS a, jit_approve(:local) AS b, jit_approve(:trust) AS c, jit_approve(:elsewhere) AS d, jit_approve(:here_id) AS e \gset
CALL tap.start();
SELECT is(concat_ws(' ', :'a', :'b', :'c', :'d', :'e'), 'active active active active active', 'an approver may be anywhere');

-- A change applies to later grants.
\connect - :owner
SELECT jit_alter_template('local', networks => '{192.0.2.0/24}') AS version \gset
CALL tap.start();
SELECT is((SELECT array_agg(conditions IS NULL ORDER BY id) FROM jit_access.request WHERE id IN (:anywhere, :local, :trust)), '{t,f,f}', 'the grant keeps its own');
\connect - alice
CALL tap.start();
SELECT format('SET ROLE jit_grant_%s', :local) AS set_local, format('SET ROLE jit_grant_%s', :trust) AS set_trust, format('SET ROLE jit_grant_%s', :elsewhere) AS set_elsewhere,
       format('SET ROLE jit_grant_%s', :here_id) AS set_here, format('SET ROLE jit_grant_%s', :anywhere) AS set_anywhere \gset
:set_anywhere ;
SELECT is((SELECT count(*)::int FROM app.orders), 3, 'without conditions it is used');
RESET ROLE;
:set_local ;
SELECT is((SELECT count(*)::int FROM app.orders), 3, 'by the socket that was listed');
RESET ROLE;
:set_trust ;
SELECT is((SELECT count(*)::int FROM app.orders), 3, 'by a method that is listed');
RESET ROLE;
:set_here ;
SELECT is((SELECT count(*)::int FROM app.orders), 3, 'in a database that is listed');
RESET ROLE;
-- In another database.
:set_elsewhere ;
SELECT count(*) FROM app.orders;
UPDATE app.orders SET status = 'new';
COPY app.orders TO STDOUT;
SET work_mem = '1MB';
BEGIN;
COMMIT;
RESET ROLE;
SELECT is(:'LAST_ERROR_MESSAGE'::text, format('grant %s cannot be used from here', :elsewhere), 'in another database it is refused');
SELECT is(current_user::text, 'alice', 'one gets out of it');
SELECT is((SELECT count(*)::int FROM jit_access.my_grants), 5, 'and goes on');
-- An inherited grant is in use in every statement.
\connect - :owner
SELECT jit_create_template('inherited', '{USAGE ON SCHEMA app, SELECT ON app.orders}', requesters => '{dave}', approvers => '{bob}', databases => '{postgres}') AS role \gset
\connect - dave
SELECT jit_request('inherited', '1h') AS inherited \gset
\connect - bob
SELECT jit_approve(:inherited) AS got \gset
\connect - dave
SELECT 1;
SELECT jit_revoke(:inherited);
\connect postgres dave
SELECT 'in the other database it goes on' AS is WHERE has_schema_privilege('public', 'USAGE');
\connect :here olga
CALL tap.start();
CALL tap.wait_for_record();
SELECT is((SELECT count(*)::int FROM jit_access.audit_log WHERE grant_id = :inherited AND kind = 'refusal' AND sqlstate = 'JA023'), 2, 'refusals of the inherited grant are on the record');
SELECT results_eq(format($$SELECT DISTINCT tag, sqlstate FROM jit_access.audit_log WHERE grant_id = %s AND kind = 'refusal' ORDER BY 1$$, :elsewhere),
    $$VALUES ('COPY', 'JA023'), ('SELECT', 'JA023'), ('SET', 'JA023'), ('UPDATE', 'JA023')$$, 'and of the chosen one');
-- The holder cannot give it back from there; another user can take it.
\connect - bob
SELECT jit_revoke(:inherited) AS got \gset

-- The conditions are checked again when the requester activates the grant.
\connect - :owner
SELECT jit_create_template('by-hand', '{USAGE ON SCHEMA app, SELECT ON app.orders}', requesters => '{alice}', approvers => '{bob}', time_to_use => '1 hour',
                           mode => 'set_role', networks => '{local}') AS role \gset
\connect - alice
SELECT jit_request('by-hand', '1h') AS by_hand \gset
\connect - bob
SELECT jit_approve(:by_hand) AS got \gset
\connect - :owner
UPDATE jit_access.template SET networks = '{10.0.0.0/8}' WHERE name = 'by-hand';
\connect - alice
CALL tap.start();
SELECT jit_activate(:by_hand);
SELECT is(:'LAST_ERROR_MESSAGE'::text, 'template "by-hand" may not be requested from here', 'checked again at that moment');
SELECT is((SELECT state::text FROM jit_access.my_requests WHERE id = :by_hand), 'scheduled', 'and the approval is still there');

-- The conditions of a request hold for a break-glass as well.
\connect - :owner
SELECT jit_create_template('glass', '{USAGE ON SCHEMA app, SELECT ON app.orders}', approvers => '{bob}', responders => '{alice}', max_duration => '1h',
                           break_glass_duration => '1h', mode => 'set_role', networks => '{10.0.0.0/8}') AS role \gset
\connect - alice
CALL tap.start();
SELECT jit_break_glass('glass', '10 minutes', 'why');
SELECT is(:'LAST_ERROR_MESSAGE'::text, 'template "glass" may not be requested from here', 'nor is the glass broken from there');
\connect - olga
CALL tap.start();
CALL tap.wait_for_record();
SELECT is((SELECT count(*)::int FROM jit_access.audit_log WHERE kind = 'refusal' AND login = 'alice' AND statement LIKE '%jit_break_glass(''glass''%' AND sqlstate = 'JA023'), 1, 'which is on the record');

\i test/sql/include/clean.sql
