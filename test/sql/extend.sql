\set ECHO none
\i test/sql/include/tap.sql
\i test/sql/include/people.sql
-- Extensions: the holder up to holder_extension, an approver up to the maximum, no other user.
SELECT jit_create_template('debug_read', '{USAGE ON SCHEMA app, SELECT ON app.orders}', requesters => '{alice, bob}',
                           approvers => '{bob, carol}', max_duration => '3h', holder_extension => '40 minutes') AS role \gset
SELECT jit_create_template('strict', '{USAGE ON SCHEMA app}', requesters => '{alice}', approvers => '{bob}',
                           max_duration => '3h') AS role \gset
\connect - alice
SELECT jit_request('debug_read', '1h') AS id \gset
SELECT jit_request('strict', '1h') AS strict \gset
CALL tap.start();
SELECT tap.refused(format('SELECT jit_extend(%s, ''10 minutes'')', :id),
    format('JA005 cannot extend request %s: It is pending.', :id), 'a pending request cannot be extended');
\connect - bob
SELECT jit_request('debug_read', '1h') AS bobs \gset
SELECT jit_approve(:id) AS state \gset
SELECT jit_approve(:strict) AS state \gset
\connect - carol
SELECT jit_approve(:bobs) AS state \gset
\connect - :owner
CALL tap.start();
SELECT ends_at AS ends, tap.state() AS before FROM jit_access.request WHERE id = :id \gset

\connect - dave
CALL tap.start();
SELECT tap.refused(format('SELECT jit_extend(%s, ''10 minutes'')', :id),
    format('JA003 request %s does not exist, or you may not see it: A request is shown to its requester, the approvers of its template, auditors and administrators.', :id),
    'other users cannot extend');
\connect - :owner
CALL tap.start();
SELECT alike(tap.error(format('SELECT jit_extend(%s, ''10 minutes'')', :id)), 'JA004 %', 'not even a superuser');
\connect - alice
CALL tap.start();
SELECT tap.refused(format('SELECT jit_extend(%s, NULL)', :id), 'JA001 invalid duration: It is NULL.', 'NULL is no time');
SELECT tap.refused(format('SELECT jit_extend(%s, ''0'')', :id), 'JA001 invalid duration: A duration is greater than zero.', 'neither is zero');
SELECT tap.refused(format('SELECT jit_extend(%s, ''-10 minutes'')', :id), 'JA001 invalid duration: A duration is greater than zero.', 'less than nothing');
SELECT tap.refused(format('SELECT jit_extend(%s, ''1 mon'')', :id), 'JA001 invalid duration: Months and years have no fixed length.', 'a month');
SELECT tap.refused(format('SELECT jit_extend(%s, ''41 minutes'')', :id),
    format('JA009 cannot extend request %s: The holder may add 40m in all, and has added 0s.', :id), 'more than the holder may');
SELECT tap.refused(format('SELECT jit_extend(%s, ''1 minute'')', :strict),
    format('JA009 cannot extend request %s: The holder may add 0s in all, and has added 0s.', :strict),
    'a template lets the holder add nothing unless it says so');
SELECT is(tap.state(), :'before', 'none of this has moved the deadline');

SELECT jit_extend(:id, '30 minutes', 'one more import') AS got \gset
SELECT is(:'got'::timestamptz, :'ends'::timestamptz + '30 minutes', 'the holder extends their own deadline');
SELECT is((SELECT ends_at FROM jit_access.my_grants WHERE id = :id), :'ends'::timestamptz + '30 minutes', 'which is the new deadline');
SELECT tap.refused(format('SELECT jit_extend(%s, ''11 minutes'')', :id),
    format('JA009 cannot extend request %s: The holder may add 40m in all, and has added 30m.', :id), 'in all, not each time');
SELECT jit_extend(:id, '10 minutes') AS got \gset
SELECT is(:'got'::timestamptz, :'ends'::timestamptz + '40 minutes', 'up to the last minute');
\connect - carol
CALL tap.start();
SELECT jit_extend(:id, '1h') AS got \gset
SELECT is(:'got'::timestamptz, :'ends'::timestamptz + '1h 40 minutes', 'an approver adds more');
SELECT tap.refused(format('SELECT jit_extend(%s, ''21 minutes'')', :id),
    format('JA009 cannot extend request %s: It would last 3h 1m in all; the maximum of template "debug_read" is 3h.', :id),
    'up to the maximum of the template');
SELECT jit_extend(:id, '20 minutes') AS got \gset
SELECT is(:'got'::timestamptz, :'ends'::timestamptz + '2h', 'which can be reached');
\connect - bob
CALL tap.start();
SELECT tap.refused(format('SELECT jit_extend(%s, ''41 minutes'')', :bobs),
    format('JA009 cannot extend request %s: The holder may add 40m in all, and has added 0s.', :bobs),
    'an approver who holds a grant counts as its holder');

-- A rollback undoes an extension.
BEGIN;
SELECT jit_extend(:bobs, '10 minutes') AS ends \gset
ROLLBACK;
SELECT is((SELECT ends_at - starts_at FROM jit_access.my_grants WHERE id = :bobs), interval '1h', 'an extension that was rolled back');

-- An extended grant outlives its first deadline.
\connect - alice
SELECT jit_request('debug_read', '2 seconds') AS short \gset
\connect - bob
SELECT jit_approve(:short) AS state \gset
\connect - alice
SELECT jit_extend(:short, '30 minutes') AS ends \gset
\connect - :owner
CALL tap.start();
CALL tap.wait_until(format('SELECT clock_timestamp() > activated_at + interval ''2.5 seconds'' FROM jit_access.request WHERE id = %s', :short));
SELECT is((SELECT state FROM jit_access.request WHERE id = :short), 'active', 'is active after the deadline it had first');
\connect - bob
SELECT jit_revoke(:short) AS state \gset
CALL tap.start();
SELECT tap.refused(format('SELECT jit_extend(%s, ''1 minute'')', :short),
    format('JA005 cannot extend request %s: It is revoked.', :short), 'an ended grant cannot be extended');

-- A day is 24 hours, even across a change of the clocks in New York.
\connect - :owner
SELECT jit_alter_template('strict', max_duration => '400 days') AS version \gset
SET TimeZone = 'America/New_York';
SELECT min(n) AS days FROM generate_series(1, 366) AS n
WHERE extract(epoch FROM clock_timestamp() + n * interval '1 day' - clock_timestamp()) NOT BETWEEN n * 86400 - 60 AND n * 86400 + 60 \gset
\connect - alice
SET TimeZone = 'America/New_York';
SELECT jit_request('strict', :days * interval '1 day') AS long, jit_request('strict', '1h') AS longer \gset
\connect - bob
SET TimeZone = 'America/New_York';
SELECT jit_approve(:long) AS state, jit_approve(:longer) AS other_state, jit_extend(:longer, :days * interval '1 day') AS ends \gset
\connect - :owner
SET TimeZone = 'America/New_York';
CALL tap.start();
SELECT is(extract(epoch FROM ends_at - activated_at), (:days * 86400)::numeric, 'a day is 24 hours when the clocks change while a grant lives')
FROM jit_access.request WHERE id = :long;
SELECT is(extract(epoch FROM ends_at - activated_at), (:days * 86400 + 3600)::numeric, 'the same for an extension')
FROM jit_access.request WHERE id = :longer;
SELECT isnt(extract(epoch FROM activated_at + :days * interval '1 day' - activated_at), (:days * 86400)::numeric, 'although it is not in SQL')
FROM jit_access.request WHERE id = :long;
\i test/sql/include/clean.sql
