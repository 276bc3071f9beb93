\set ECHO none
\i test/sql/include/tap.sql
\i test/sql/include/people.sql
-- The alert rules: who reads and changes them, what they find, and the life of an alert. What each rule finds on a running
-- server is in test/t/180_alerts.pl.
CREATE ROLE gina LOGIN;
CREATE ROLE gina_2 LOGIN;
SELECT format('CREATE ROLE %I LOGIN', E'mal\nlory\u202E') \gexec
SELECT jit_create_template('both', '{USAGE ON SCHEMA app}', requesters => ARRAY['alice', 'bob', 'gina', E'mal\nlory\u202E'],
    approvers => ARRAY['bob', 'gina', 'gina_2', E'mal\nlory\u202E']) AS role \gset

-- Readers and administrators.
\connect - dave
CALL tap.start();
SELECT tap.refused(call, '42501', call) FROM (VALUES
    (1, $$SELECT jit_set_alert_rule('drift', enabled => false)$$), (2, 'SELECT * FROM jit_access.alert_rules'), (3, 'SELECT * FROM jit_access.alert_rule'),
    (4, 'SELECT jit_access.detect()'), (5, 'SELECT jit_access.job_history_rules()'), (6, $$SELECT jit_access.person_of_login('alice')$$),
    (7, 'SELECT * FROM jit_access.baseline')) v (n, call) ORDER BY n;
\connect - olga
CALL tap.start();
SELECT tap.refused(call, '42501', 'an auditor: ' || call) FROM (VALUES
    (1, $$SELECT jit_set_alert_rule('drift', enabled => false)$$), (2, 'SELECT jit_access.detect()'), (3, 'SELECT jit_access.job_history_rules()')) v (n, call) ORDER BY n;
SELECT is(ARRAY(SELECT name FROM jit_access.alert_rules ORDER BY name),
    '{approval_in_block,attempt_flood,break_glass,break_glass_not_justified,chain_broken,clock_jump,drift,drill_failed,failed_second_factor,new_network,record_lag,refusal_burst,repeated_denials,repeated_requests,review_overdue,scenario_failed,self_approval,session_outlived,trap_approval,unusual_hours,unusual_rows,unusual_template}',
    'auditors see the rules');
SELECT is(ARRAY(SELECT name FROM jit_access.alert_rules WHERE may_suspend ORDER BY name), '{new_network,refusal_burst,unusual_hours,unusual_rows,unusual_template}',
    'a rule may suspend only for actions of the holder');
SELECT is((SELECT count(*)::int FROM jit_access.alert_rules WHERE suspends OR NOT enabled OR error IS NOT NULL), 0, 'none does, all are on, none has failed');

-- Refused changes.
\connect - ada
CALL tap.start();
SELECT tap.refused(format('SELECT jit_set_alert_rule(%s)', arguments), error, arguments) FROM (VALUES
    (1, $$'nonsense', enabled => false$$, 'JA001 invalid rule name: There is no rule "nonsense".'),
    (2, $$NULL, enabled => false$$, 'JA001 invalid rule name: It is NULL.'),
    (3, $$'drift', severity => 'terrible'$$, 'JA001 invalid severity: "terrible" is not a severity.'),
    (4, $$'drift', threshold => 0$$, 'JA001 invalid threshold: 0 is not between 1 and 1000.'),
    (5, $$'drift', threshold => -1$$, 'JA001 invalid threshold: -1 is not between 1 and 1000.'),
    (6, $$'refusal_burst', threshold => 1001$$, 'JA001 invalid threshold: 1001 is not between 1 and 1000.'),
    (7, $$'record_lag', threshold => 2000000000$$, 'JA001 invalid threshold: 2000000000 is not between 1 and 1000000000.'),
    (8, $$'break_glass', threshold => 2$$, 'JA001 invalid threshold: Rule "break_glass" has no threshold: each occurrence raises an alert.'),
    (9, $$'drift', within => '0'$$, 'JA001 invalid within: A duration is greater than zero.'),
    (10, $$'drift', within => '-1 day'$$, 'JA001 invalid within: A duration is greater than zero.'),
    (11, $$'drift', within => '1 mon'$$, 'JA001 invalid within: Months and years have no fixed length.'),
    (12, $$'drift', within => '367 days'$$, 'JA001 invalid within: 367d is more than 366 days.'),
    (13, $$'record_lag', within => '1 day'$$, 'JA001 invalid within: Rule "record_lag" does not look back in time.'),
    (14, $$'drift', suspends => true$$, 'JA001 invalid suspends: The evidence of rule "drift" can come from others than the holder of the grant.'),
    (15, $$'trap_approval', suspends => true$$, 'JA001 invalid suspends: The evidence of rule "trap_approval" can come from others than the holder of the grant.'),
    (16, $$'drift'$$, 'JA001 invalid change: Rule "drift" already has these settings.'),
    (17, $$'drift', enabled => true, severity => 'high', threshold => 1, within => '24 hours'$$, 'JA001 invalid change: Rule "drift" already has these settings.')) r (n, arguments, error) ORDER BY n;
SELECT alike(tap.error($$SELECT jit_set_alert_rule('drift', enabled => false)$$), 'JA018 alert rule "drift" is changed only by a statement that "ada" has sent: %',
    'code that an administrator runs cannot change a rule in their name');
BEGIN;
SELECT jit_set_alert_rule('drift', enabled => false);
ROLLBACK;
SELECT ok((SELECT enabled FROM jit_access.alert_rules WHERE name = 'drift'), 'rolled back it is as it was');
SELECT jit_set_alert_rule('repeated_denials', enabled => false, severity => 'low', threshold => 2, within => '2 days');
SELECT jit_set_alert_rule('refusal_burst', suspends => true);
SELECT results_eq($$SELECT name, enabled, severity, threshold, within, suspends, changed_by FROM jit_access.alert_rules WHERE changed_at IS NOT NULL ORDER BY name$$,
    $$VALUES ('refusal_burst', true, 'high', 10, interval '10 minutes', true, 'ada'), ('repeated_denials', false, 'low', 2, '48 hours', false, 'ada')$$, 'an administrator changes them');
CALL tap.wait_for_record();
SELECT results_eq($$SELECT login, detail - 'rule' FROM jit_access.audit_log WHERE kind = 'alert rule changed' ORDER BY seq$$,
    $$VALUES ('ada', '{"within": "1d -> 2d", "enabled": "true -> false", "severity": "medium -> low", "threshold": "4 -> 2"}'::jsonb), ('ada', '{"suspends": "false -> true"}')$$,
    'old and new are on the record');
SELECT jit_set_alert_rule('refusal_burst', suspends => false);

-- A disabled rule finds nothing, and after it is enabled again, nothing of the time between.
\connect - alice
SELECT jit_request('both', '1h') AS first \gset
SELECT jit_request('both', '1h') AS second \gset
SELECT jit_request('both', '1h') AS third \gset
SELECT jit_request('both', '1h') AS fourth \gset
\connect - bob
SELECT jit_deny(:first, 'no') AS state \gset
SELECT jit_deny(:second, 'no') AS state \gset
\connect - :owner
CALL tap.wait_for_alerts();
CALL tap.start();
SELECT is((SELECT count(*)::int FROM jit_access.alerts WHERE rule = 'repeated_denials'), 0, 'a rule that is off finds nothing');
\connect - ada
SELECT jit_set_alert_rule('repeated_denials', enabled => true);
\connect - bob
SELECT jit_deny(:third, 'no') AS state \gset
\connect - :owner
CALL tap.wait_for_alerts();
CALL tap.start();
SELECT is((SELECT count(*)::int FROM jit_access.alerts WHERE rule = 'repeated_denials'), 0, 'nor, once enabled, what happened meanwhile');
\connect - bob
SELECT jit_deny(:fourth, 'no') AS state \gset
\connect - :owner
CALL tap.wait_for_alerts();
\connect - olga
CALL tap.start();
SELECT results_eq($$SELECT rule, severity, person, grant_id, count, state, detail, (SELECT array_agg(kind || ' ' || grant_id ORDER BY seq) FROM jit_access.audit_log WHERE seq = ANY (evidence)) FROM jit_access.alerts WHERE rule = 'repeated_denials'$$,
    format($$VALUES ('repeated_denials', 'low', 'alice', NULL::bigint, 1::bigint, 'open', '{"by": "bob", "seen": "2 within 2d", "what": "no", "template": "both"}'::jsonb, '{denied %s,denied %s}'::text[])$$, :third, :fourth),
    'an enabled rule does: with the holder''s denials, the approvers, and the records');

-- Alerts about a person's own requests, under each of their logins. Names are shown as a terminal may show them.
\connect - ada
SELECT jit_set_person('Gina G.', '{gina, gina_2}');
\connect - gina
SELECT jit_request('both', '1h') AS own \gset
SELECT jit_approve(:own);
SELECT jit_approve(:own);
\connect - gina_2
SELECT jit_approve(:own);
\connect - :owner
CALL tap.wait_for_alerts();
\connect - olga
CALL tap.start();
SELECT results_eq($$SELECT person, grant_id, count, cardinality(evidence) FROM jit_access.alerts WHERE rule = 'self_approval' AND person LIKE 'Gina%'$$,
    $$VALUES ('Gina G.', NULL::bigint, 3::bigint, 3)$$, 'one alert of one person, counted, by whichever login');
SELECT id AS alert FROM jit_access.alerts WHERE rule = 'self_approval' AND person LIKE 'Gina%' \gset
SELECT is((SELECT count(*)::int FROM jit_access.audit_log WHERE kind = 'alert raised' AND detail ->> 'alert' = :'alert'), 1, 'reported once, not three times');
\connect - :owner
GRANT jit_auditor TO gina_2;
\connect - gina_2
CALL tap.start();
SELECT tap.refused(format($$SELECT jit_close_alert(%s, 'nothing')$$, :alert), format('JA006 cannot close alert %s: It is about you.', :alert), 'not closed by its subject');
\connect - :owner
REVOKE jit_auditor FROM gina_2;
\connect - olga
SELECT jit_acknowledge_alert(:alert, 'asking her');
\connect - gina
SELECT jit_approve(:own);
\connect - :owner
CALL tap.wait_for_alerts();
CALL tap.start();
SELECT results_eq($$SELECT state, count FROM jit_access.alerts WHERE rule = 'self_approval' AND person LIKE 'Gina%'$$, $$VALUES ('acknowledged', 5::bigint)$$, 'acknowledged it goes on counting');
\connect - olga
SELECT jit_close_alert(:alert, 'asked her');
\connect - gina
SELECT jit_approve(:own);
\connect - :owner
CALL tap.wait_for_alerts();
CALL tap.start();
SELECT results_eq($$SELECT state, count, cardinality(evidence) FROM jit_access.alerts WHERE rule = 'self_approval' AND person LIKE 'Gina%' ORDER BY id$$,
    $$VALUES ('closed', 5::bigint, 5), ('open', 1, 1)$$, 'after an alert is closed, the next finding opens a new one');
-- An attempt to decide one's own request is found in code that catches the error, and under a grant, where the failed
-- statement is a use. A block that the approver has sent is no trap.
\connect - bob
SELECT jit_request('both', '1h') AS bobs \gset
\set block 'BEGIN PERFORM jit_approve(' :bobs '); EXCEPTION WHEN OTHERS THEN NULL; END'
DO :'block';
\connect - :owner
CALL tap.wait_for_alerts();
CALL tap.start();
SELECT results_eq($$SELECT state, count, (SELECT array_agg(kind || ' ' || sqlstate) FROM jit_access.audit_log WHERE seq = ANY (evidence)) FROM jit_access.alerts WHERE rule = 'self_approval' AND person = 'bob'$$,
    $$VALUES ('open', 1::bigint, '{refusal JA006}'::text[])$$, 'an attempt that code hides is on the record, and raises the alert');
\connect - gina
SELECT jit_approve(:bobs) AS state \gset
\connect - bob
SELECT jit_request('both', '1h') AS again \gset
SELECT jit_approve(:again);
SELECT jit_revoke(:bobs) AS state \gset
\connect - :owner
CALL tap.wait_for_alerts();
CALL tap.start();
SELECT results_eq(format($$SELECT kind, sqlstate FROM jit_access.audit_log WHERE statement LIKE 'SELECT jit_approve(%s)%%' AND login = 'bob' ORDER BY kind$$, :'again'), $$VALUES ('refusal', 'JA006'), ('use', 'JA006')$$, 'under a grant it is a use and a refusal');
SELECT results_eq($$SELECT state, count FROM jit_access.alerts WHERE rule = 'self_approval' AND person = 'bob'$$, $$VALUES ('open', 2::bigint)$$, 'so is one under a grant');
\connect - alice
SELECT jit_request('both', '1h') AS hers \gset
\connect - bob
\set block 'BEGIN PERFORM jit_approve(' :hers '); END'
DO :'block';
\connect - :owner
CALL tap.wait_for_alerts();
CALL tap.start();
SELECT results_eq($$SELECT rule, severity, count FROM jit_access.alerts WHERE person = 'bob' AND (rule = 'approval_in_block' OR rule = 'trap_approval')$$, $$VALUES ('approval_in_block', 'low', 1::bigint)$$, 'a block that the approver has sent is no trap');
CREATE FUNCTION app.helper(id bigint) RETURNS void LANGUAGE plpgsql AS 'BEGIN PERFORM jit_approve(id); END';
GRANT USAGE ON SCHEMA app TO bob;
\connect - bob
\set block 'BEGIN PERFORM app.helper(' :hers '); END'
DO :'block';
\connect - :owner
CALL tap.wait_for_alerts();
CALL tap.start();
SELECT results_eq($$SELECT rule, severity, count FROM jit_access.alerts WHERE person = 'bob' AND rule IN ('trap_approval', 'approval_in_block') ORDER BY 1$$, $$VALUES ('approval_in_block', 'low', 1::bigint), ('trap_approval', 'high', 1)$$, 'one that calls code of others may be');
DROP FUNCTION app.helper(bigint);
\set mallory `printf 'mal\nlory\342\200\256'`
\connect - :mallory
SELECT jit_request('both', '1h') AS own \gset
SELECT jit_approve(:own);
\connect - :owner
CALL tap.wait_for_alerts();
CALL tap.start();
SELECT is((SELECT array_agg(person || '|' || (detail ->> 'login')) FROM jit_access.alerts WHERE person ~ '^mal'), '{mal?lory?|mal?lory?}', 'no name can forge the output of a terminal');
SELECT is((SELECT count(*)::int FROM jit_access.audit_log WHERE kind = 'alert raised' AND detail::text ~ 'mal.n|\u202E'), 0, 'nor on the record or in the server log');

-- One alert cannot hide among many, and alerts do not cause alerts.
BEGIN;
SELECT jit_set_alert_rule('drift', within => '1 hour');
INSERT INTO jit_access.event (at, kind, request_id, actor, detail)
SELECT clock_timestamp(), 'drift', r.id, 'jit_access', '{"member": "carol", "what": "granted by hand; revoked"}' FROM (SELECT id FROM jit_access.request ORDER BY id DESC LIMIT 5) r, generate_series(1, 2);
COMMIT;
CALL tap.wait_for_record();
CALL tap.wait_for_alerts();
SELECT is((SELECT array_agg(count::int) FROM jit_access.alerts WHERE rule = 'drift' AND person = 'carol'), '{2,2,2,2,2}', 'one for each person and grant');
INSERT INTO jit_access.request (template_id, template_version, requester, requester_name, duration, requested_duration, state, requested_at, lapses_at)
SELECT template_id, template_version, requester, requester_name, duration, requested_duration, 'cancelled', requested_at, lapses_at FROM jit_access.request, generate_series(1, 30) WHERE id = :own;
BEGIN;
SELECT jit_set_alert_rule('drift', within => '2 hours');
INSERT INTO jit_access.event (at, kind, request_id, actor, detail)
SELECT clock_timestamp(), 'drift', r.id, 'jit_access', '{"member": "carol", "what": "granted by hand; revoked"}' FROM jit_access.request r WHERE r.id > :own;
COMMIT;
CALL tap.wait_for_record();
CALL tap.wait_for_alerts();
SELECT results_eq($$SELECT count(grant_id)::int, (count(*) - count(grant_id))::int, sum(count)::int FROM jit_access.alerts WHERE rule = 'drift' AND person = 'carol'$$,
    'VALUES (20, 1, 40)', 'twenty of one rule about one person, and one for all others');
SELECT is((SELECT count(*)::int FROM jit_access.alerts a WHERE EXISTS (SELECT FROM jit_access.record r WHERE r.seq = ANY (a.evidence) AND r.kind LIKE 'alert %')), 0, 'records about alerts raise no alert');
SELECT is((SELECT bool_and(cardinality(evidence) BETWEEN 1 AND 20) FROM jit_access.alerts), true, 'each has its evidence, so much and no more');
SELECT is(jit_access.detect(), (SELECT max(seq) FROM jit_access.record), 'a manual evaluation reads the record to its end');
SELECT is((SELECT count(*)::int FROM jit_access.alert_rules WHERE error IS NOT NULL), 0, 'no rule has failed');

-- A baseline is forgotten when it is older than the rule's interval.
UPDATE jit_access.detection_position SET at = at + interval '8 days';
SELECT alike(jit_access.job_history_rules(), 'deleted % occurrences and 0 baselines that are older than the rules look back', 'the job reports its result');
SELECT is((SELECT count(*)::int FROM jit_access.occurrence), 0, 'sightings are forgotten');
UPDATE jit_access.detection_position SET at = at - interval '8 days';
SELECT is((SELECT count(*)::int FROM jit_audit_verify() v WHERE v.finding IS NULL), 1, 'the record is sound');

\connect - ada
SELECT jit_set_person('Gina G.', '{}');
SELECT jit_set_alert_rule('drift', within => '1 day');
SELECT jit_set_alert_rule('repeated_denials', severity => 'medium', threshold => 4, within => '1 day');
\connect - :owner
DROP ROLE gina, gina_2;
SELECT format('DROP ROLE %I', E'mal\nlory\u202E') \gexec
\i test/sql/include/clean.sql
