\set ECHO none
\i test/sql/include/tap.sql
\i test/sql/include/people.sql
-- The second factor: enrolled by the user, with oathtool as the authenticator, required by templates. A code counts once,
-- a wrong attempt stays counted after a rollback, and no user reads the secrets. Clocks, races and restarts are in
-- test/t/170_second_factor.pl.
CREATE ROLE mallory LOGIN;
CREATE SCHEMA trap AUTHORIZATION mallory;
GRANT USAGE ON SCHEMA trap TO PUBLIC;
SELECT jit_create_template('twice', '{USAGE ON SCHEMA app, SELECT ON app.orders}', requesters => '{alice,dave}', approvers => '{bob,carol}',
                           second_factor => '{request,approval}') AS role \gset
SELECT jit_create_template('wakes', '{USAGE ON SCHEMA app, SELECT ON app.orders}', requesters => '{alice,dave}', approvers => '{bob}',
                           second_factor => '{activation}') AS waking_role \gset
SELECT jit_create_template('plain', '{USAGE ON SCHEMA app, SELECT ON app.customers}', requesters => '{alice,dave}', approvers => '{bob}') AS plain_role \gset
SELECT coalesce(max(seq), 0) AS seq FROM jit_access.record \gset

-- ---- templates
\connect - ada
CALL tap.start();
SELECT tap.refused($$SELECT jit_create_template('wrong', '{SELECT ON app.orders}', second_factor => '{sometimes}')$$,
    'JA001 invalid second_factor: "sometimes" is not one of its stages.', 'a stage that is none');
\connect - olga
CALL tap.start();
SELECT results_eq($$SELECT name, second_factor FROM jit_access.template_catalog ORDER BY name$$,
    $$VALUES ('plain', '{}'::text[]), ('twice', '{request,approval}'), ('wakes', '{activation}')$$, 'auditors see where templates demand it');

-- ---- before enrolment
\connect - alice
CALL tap.start();
SELECT tap.refused($$SELECT jit_request('twice', '1h')$$,
    'JA019 a second factor is required: The template demands it at request, and this session of "alice" has not stepped up, or too long ago.',
    'a request that demands a second factor');
SELECT is(jit_request('plain', '1h') > 0, true, 'another one does not');
SELECT jit_step_up('123456');
SELECT is(:'LAST_ERROR_SQLSTATE'::text, 'JA020', 'without a second factor no code is right');
SELECT jit_confirm_totp('123456');
SELECT is(:'LAST_ERROR_SQLSTATE'::text, 'JA005', 'and there is nothing to confirm');

-- ---- enrolling
SELECT uri, qr, substring(uri FROM 'secret=([A-Z2-7]{32})&') AS secret FROM jit_enroll_totp() \gset
SELECT is(:'uri'::text, 'otpauth://totp/jit_access:alice?secret=' || :'secret' || '&issuer=jit_access&algorithm=SHA1&digits=6&period=30', 'the URI');
SELECT matches(:'qr'::text, '^█+\n(.*\n)+▀+$', 'the code to scan has a quiet zone');
SELECT is(count(DISTINCT length(line)), 1::bigint, 'and is a rectangle') FROM regexp_split_to_table(:'qr', '\n') line;
\set later 0
\i test/sql/include/code.sql
SELECT jit_step_up(:'code');
SELECT is(:'LAST_ERROR_SQLSTATE'::text, 'JA020', 'it does not count before it is confirmed');
SELECT tap.refused('SELECT jit_confirm_totp(''12345'')', 'JA001 invalid code: It does not have the form of a code.', 'five digits');
SELECT tap.refused('SELECT jit_confirm_totp(NULL)', 'JA001 invalid code: It is NULL.', 'NULL');
SELECT tap.refused(format('SELECT jit_step_up(%L)', :'code' || ' '), 'JA001 invalid code: It does not have the form of a code.', 'a blank');
SELECT tap.refused('SELECT jit_confirm_totp(''aaaa-aaaa-aaaa-aaaa'')', 'JA001 invalid code: It is not a one-time code.', 'a recovery code confirms nothing');
SELECT jit_confirm_totp(:'code') AS codes \gset
SELECT is(cardinality(:'codes'::text[]), 10, 'confirmed: ten recovery codes');
SELECT is(count(DISTINCT code), 10::bigint, 'each another') FROM unnest(:'codes'::text[]) code WHERE code ~ '^[a-z2-7]{4}(-[a-z2-7]{4}){3}$';
SELECT tap.refused($$SELECT jit_request('twice', '1h')$$,
    'JA019 a second factor is required: The template demands it at request, and this session of "alice" has not stepped up, or too long ago.',
    'confirming is not stepping up');
SELECT jit_step_up(:'code');
SELECT is(:'LAST_ERROR_SQLSTATE'::text, 'JA020', 'the code that confirmed is used');
SELECT tap.refused('SELECT * FROM jit_enroll_totp()', 'JA005 "alice" has a second factor: Enrolling another authenticator needs a code of the enrolled one, or a reset by an administrator.',
    'another authenticator is not enrolled without a code');

-- ---- stepping up
\set later 30
\i test/sql/include/code.sql
BEGIN;
SAVEPOINT s;
SELECT jit_step_up(:'code') > clock_timestamp() AS is_ahead \gset
SELECT ok(:'is_ahead', 'stepped up');
ROLLBACK TO s;
ROLLBACK;
SELECT jit_step_up(:'code');
SELECT is(:'LAST_ERROR_SQLSTATE'::text, 'JA020', 'a code that was used in a transaction that was rolled back is used');
SELECT jit_request('twice', '1h') AS id \gset
SELECT ok(:id > 0, 'now it can be asked for');
\connect - alice
CALL tap.start();
SELECT tap.refused($$SELECT jit_request('twice', '1h')$$,
    'JA019 a second factor is required: The template demands it at request, and this session of "alice" has not stepped up, or too long ago.',
    'not in another session');
SELECT (:'codes'::text[])[1] AS first, (:'codes'::text[])[2] AS second, (:'codes'::text[])[3] AS third \gset
SELECT jit_step_up(:'first') > clock_timestamp() AS is_ahead \gset
SELECT ok(:'is_ahead', 'a recovery code does as well');
SELECT jit_request('twice', '1h') AS other \gset
SELECT ok(:other > :id, 'a request after it');
SELECT jit_step_up(:'first');
SELECT is(:'LAST_ERROR_SQLSTATE'::text, 'JA020', 'once');
BEGIN;
SELECT jit_step_up(:'second') > clock_timestamp() AS is_ahead \gset
ROLLBACK;
SELECT jit_step_up(:'second');
SELECT is(:'LAST_ERROR_SQLSTATE'::text, 'JA020', 'also when its transaction was rolled back');
DISCARD ALL;
CALL tap.start();
SELECT tap.refused($$SELECT jit_request('twice', '1h')$$,
    'JA019 a second factor is required: The template demands it at request, and this session of "alice" has not stepped up, or too long ago.',
    'a new client of a pooled session has not stepped up');

-- ---- approving
\connect - bob
CALL tap.start();
SELECT jit_approve(:id);
SELECT is(:'LAST_ERROR_SQLSTATE'::text, 'JA019', 'an approval that demands a second factor');
SELECT uri, substring(uri FROM 'secret=([A-Z2-7]{32})&') AS secret FROM jit_enroll_totp() \gset
\set later 0
\i test/sql/include/code.sql
SELECT jit_confirm_totp(:'code') AS bobs \gset
\set later 30
\i test/sql/include/code.sql
SELECT jit_step_up(:'code') AS until \gset
SELECT jit_approve(:id) AS state \gset
SELECT is(:'state'::text, 'active', 'with it, it is approved');
SELECT jit_deny(:other, 'one is enough') AS state \gset

-- ---- code of another user cannot do it
\connect - mallory
CREATE VIEW trap.enrols AS SELECT * FROM jit_enroll_totp();
CREATE VIEW trap.guesses AS SELECT jit_step_up('000000');
CREATE VIEW trap.confirms AS SELECT jit_confirm_totp('000000');
CREATE FUNCTION trap.enrols() RETURNS text LANGUAGE plpgsql AS $$ DECLARE found text; BEGIN SELECT uri INTO found FROM jit_enroll_totp(); RETURN found; END $$;
CREATE FUNCTION trap.guesses() RETURNS integer LANGUAGE plpgsql AS $$ BEGIN PERFORM jit_step_up('000000'); RETURN 1; EXCEPTION WHEN OTHERS THEN RETURN 0; END $$;
CREATE FUNCTION trap.resets() RETURNS integer LANGUAGE plpgsql AS $$ BEGIN PERFORM jit_reset_totp('bob'); RETURN 1; END $$;
GRANT SELECT ON ALL TABLES IN SCHEMA trap TO PUBLIC;
\connect - carol
CALL tap.start();
SELECT * FROM trap.enrols;
SELECT is(:'LAST_ERROR_SQLSTATE'::text, 'JA018', 'a view does not enrol');
SELECT trap.enrols();
SELECT is(:'LAST_ERROR_SQLSTATE'::text, 'JA018', 'nor does a function');
SELECT * FROM trap.guesses;
SELECT is(:'LAST_ERROR_SQLSTATE'::text, 'JA018', 'a view uses up no attempts');
SELECT trap.guesses() FROM generate_series(1, 10) \g /dev/null
SELECT trap.guesses() FROM generate_series(1, 10) \g /dev/null
SELECT * FROM trap.confirms;
SELECT is(:'LAST_ERROR_SQLSTATE'::text, 'JA005', 'nor confirms it');
SELECT jit_step_up('000000');
SELECT is(:'LAST_ERROR_SQLSTATE'::text, 'JA020', 'a guess of one''s own is wrong');
\connect - olga
CALL tap.start();
SELECT is(count(*), 0::bigint, 'carol is not locked out') FROM jit_access.second_factors WHERE locked_until IS NOT NULL;
SELECT results_eq('SELECT login, enrolled_at < confirmed_at, confirmed_at < clock_timestamp() FROM jit_access.second_factors ORDER BY login',
    $$VALUES ('alice', true, true), ('bob', true, true)$$, 'auditors see which logins have one');
CALL tap.wait_until($$SELECT count(*) = 2 FROM jit_access.second_factors WHERE last_used IS NOT NULL$$);
CALL tap.wait_until($$SELECT recovery_codes = 8 FROM jit_access.second_factors WHERE login = 'alice'$$);
SELECT is(recovery_codes, 8::bigint, 'and how many recovery codes are left, those of transactions that were rolled back counted') FROM jit_access.second_factors WHERE login = 'alice';
SELECT tap.refused('SELECT * FROM jit_access.second_factor', '42501', 'but no secrets');
\connect - carol
CALL tap.start();
SELECT tap.refused('SELECT * FROM jit_access.second_factors', '42501', 'other users do not see which logins have one');
SELECT tap.refused('SELECT jit_access.locked_until(10)', '42501', 'nor which logins are locked out');
SELECT tap.refused('SELECT jit_reset_totp(''bob'')', '42501', 'nor resets one');

-- ---- wrong codes
\connect - dave
CALL tap.start();
SELECT uri, substring(uri FROM 'secret=([A-Z2-7]{32})&') AS secret FROM jit_enroll_totp() \gset
\set later 0
\i test/sql/include/code.sql
SELECT jit_confirm_totp(:'code') AS daves \gset
SELECT (:'daves'::text[])[1] AS first \gset
BEGIN;
SELECT jit_step_up('000000');
ROLLBACK;
BEGIN; SAVEPOINT s; SELECT jit_step_up('000000'); ROLLBACK TO s; SELECT jit_step_up('000000'); ROLLBACK;
SELECT jit_step_up('aaaa-aaaa-aaaa-aaaa');
SELECT jit_step_up(:'first') AS until \gset
SELECT is(:'SQLSTATE'::text, '00000', 'after four wrong ones a right one counts, and they do not any more');
SELECT jit_step_up('000000');
SELECT jit_step_up('000000');
SELECT jit_step_up('000000');
SELECT jit_step_up('000000');
SELECT jit_step_up('000000');
\set later 30
\i test/sql/include/code.sql
SELECT jit_step_up(:'code');
SELECT is(:'LAST_ERROR_SQLSTATE' || ' ' || :'LAST_ERROR_MESSAGE', 'JA020 no code of "dave" is accepted for a while', 'after five wrong ones not even a right one is accepted');
\connect - ada
CALL tap.start();
SELECT is(count(*), 1::bigint, 'administrators see it') FROM jit_access.second_factors WHERE login = 'dave' AND locked_until BETWEEN clock_timestamp() AND clock_timestamp() + interval '1 minute';
SELECT * FROM (SELECT trap.resets()) x;
SELECT is(:'LAST_ERROR_SQLSTATE'::text, 'JA018', 'nothing resets it in their name');
SELECT tap.refused('SELECT jit_reset_totp(''nobody'')', 'JA001 invalid login: There is no role "nobody".', 'a login that is none');
SELECT jit_reset_totp('dave');
SELECT is((SELECT count(*) FROM jit_access.second_factors WHERE login = 'dave'), 0::bigint, 'but they can');
\connect - dave
CALL tap.start();
SELECT jit_step_up(:'code');
SELECT is(:'LAST_ERROR_MESSAGE'::text, 'the code of "dave" is not accepted', 'the old one is gone');
-- The server calls it once for each column.
SELECT (jit_enroll_totp()).* \gset
SELECT substring(:'uri' FROM 'secret=([A-Z2-7]{32})&') AS secret \gset
\set later 30
\i test/sql/include/code.sql
SELECT jit_confirm_totp(:'code') AS daves \gset
SELECT is(cardinality(:'daves'::text[]), 10, 'and another is enrolled');

-- ---- activation by the holder
\connect - dave
SELECT jit_request('wakes', '1h') AS id, jit_request('wakes', '1h', starts_at => clock_timestamp() + interval '1 day') AS later_id \gset
\connect - bob
SELECT jit_approve(:id) AS state, jit_approve(:later_id) AS later_state \gset
CALL tap.start();
SELECT is(:'state' || ' ' || :'later_state', 'scheduled scheduled', 'approved, it waits for the holder');
SELECT tap.refused(format('SELECT jit_activate(%s)', :id), format('JA004 "bob" may not activate request %s: Only its requester may.', :id), 'only the requester');
\connect - dave
CALL tap.start();
SELECT results_eq('SELECT id, state::text, needs_activation FROM jit_access.my_requests WHERE state = ''scheduled''', format($$VALUES (%s::bigint, 'scheduled', true), (%s, 'scheduled', true)$$, :id, :later_id), 'the requester sees it');
SELECT tap.refused(format('SELECT jit_activate(%s)', :id),
    'JA019 a second factor is required: The template demands it at activation, and this session of "dave" has not stepped up, or too long ago.', 'and needs the second factor');
SELECT tap.refused(format('SELECT jit_activate(%s)', :later_id), format('JA005 cannot activate request %s: Its start lies ahead.', :later_id), 'not before its start');
SELECT (:'daves'::text[])[1] AS first \gset
SELECT jit_step_up(:'first') AS until \gset
SELECT jit_activate(:id) AS state \gset
SELECT is(:'state'::text, 'active', 'activated');
SELECT is((SELECT count(*) FROM app.orders), 3::bigint, 'and used');
SELECT jit_activate(:id);
SELECT is(:'LAST_ERROR_SQLSTATE'::text, 'JA005', 'once');

-- ---- the record
\connect - :owner
CALL tap.wait_for_record();
CALL tap.start();
SELECT is(count(*), 0::bigint, 'no code and no secret is on the record') FROM jit_access.audit_log
WHERE seq > :seq AND (concat(statement, parameters, detail - 'digest') ~ '(^|[^0-9])[0-9]{6}([^0-9]|$)' OR audit_log::text ~ '[a-z2-7]{4}-[a-z2-7]{4}-[a-z2-7]{4}-[a-z2-7]{4}''' OR audit_log::text LIKE '%secret=%');
SELECT results_eq(format($$SELECT DISTINCT kind, login, statement, outcome FROM jit_access.audit_log WHERE seq > %s AND statement LIKE '%%jit_step_up%%' AND kind = 'use' AND grant_id IS NULL ORDER BY login, statement$$, :seq),
    $$VALUES ('use', 'alice', 'SELECT jit_step_up(''***'') > clock_timestamp() AS is_ahead ', 'completed'), ('use', 'bob', 'SELECT jit_step_up(''***'') AS until ', 'completed'), ('use', 'dave', 'SELECT jit_step_up(''***'') AS until ', 'completed')$$,
    'step-ups are recorded, even in a rolled back transaction');
SELECT is(count(*), 3::bigint, 'alice three times') FROM jit_access.audit_log WHERE seq > :seq AND kind = 'use' AND login = 'alice' AND statement LIKE '%jit_step_up%';
SELECT results_eq(format($$SELECT DISTINCT login, sqlstate, detail->>'reason' FROM jit_access.audit_log WHERE seq > %s AND kind = 'refusal' AND sqlstate = 'JA020' ORDER BY 1, 3$$, :seq),
    $$VALUES ('alice', 'JA020', 'the code of "alice" is not accepted'), ('carol', 'JA020', 'the code of "carol" is not accepted'),
             ('dave', 'JA020', 'no code of "dave" is accepted for a while'), ('dave', 'JA020', 'the code of "dave" is not accepted')$$, 'and so are wrong codes');
SELECT results_eq(format($$SELECT kind, login FROM jit_access.audit_log WHERE seq > %s AND kind LIKE 'second factor %%' ORDER BY seq$$, :seq),
    $$VALUES ('second factor enrolled', 'alice'), ('second factor confirmed', 'alice'), ('second factor enrolled', 'bob'), ('second factor confirmed', 'bob'),
             ('second factor enrolled', 'dave'), ('second factor confirmed', 'dave'), ('second factor reset', 'ada'), ('second factor enrolled', 'dave'),
             ('second factor confirmed', 'dave')$$, 'and enrolments and resets');
SELECT jit_reset_totp(login) FROM jit_access.second_factors \g /dev/null
DROP SCHEMA trap CASCADE;
DROP ROLE mallory;
\i test/sql/include/clean.sql
