\set ECHO none
\i test/sql/include/tap.sql
\i test/sql/include/people.sql
-- Break-glass: at once for a responder, loud, never longer than the template says, and reviewed by another person before
-- the next one. rita and rita_2 are one person; bob is a responder and an approver.
CREATE ROLE rita LOGIN;
CREATE ROLE rita_2 LOGIN;
CREATE ROLE boss LOGIN SUPERUSER;
CREATE ROLE oncall ROLE rita, rita_2, bob, boss;
CREATE ROLE everybody ROLE alice, bob, carol, dave, ada, olga, rita, rita_2;
SELECT jit_create_template('prod', '{USAGE ON SCHEMA app, SELECT ON app.orders}', requesters => '{alice}', approvers => '{bob, carol, rita_2}',
                           approvals_needed => 2, max_duration => '2 hours', holder_extension => '1 hour', responders => '{oncall}', break_glass_duration => '1 hour') AS role \gset
SELECT jit_create_template('other', '{USAGE ON SCHEMA app, SELECT ON app.customers}', approvers => '{carol}', responders => '{rita, rita_2}',
                           break_glass_duration => '30 minutes', default_duration => '10 minutes', break_glass_per_day => 1, template_at_once => 1, requesters => '{alice}') AS role \gset
SELECT jit_create_template('sealed', '{USAGE ON SCHEMA app}', approvers => '{carol}', responders => '{oncall}') AS role \gset
SELECT jit_create_template('open', '{USAGE ON SCHEMA app}', approvers => '{carol}', responders => '{everybody}', break_glass_duration => '1 hour') AS role \gset
SELECT jit_create_template('lent', role => 'oncall', requesters => '{dave}', approvers => '{carol}') AS role \gset
\connect - ada
SELECT jit_set_person('Rita R.', '{rita, rita_2}');
CALL tap.start();
SELECT tap.refused(format($$SELECT jit_alter_template('prod', %s)$$, arguments), error, arguments)
FROM (VALUES ($$break_glass_duration => '3 hours'$$, 'JA001 invalid break_glass_duration: 3h is more than the maximum, 2h.'),
             ($$max_duration => '30 days', break_glass_duration => '25 hours'$$, 'JA001 invalid break_glass_duration: 1d 1h is more than one can be, 1d.'),
             ($$max_duration => '30 minutes'$$, 'JA001 invalid break_glass_duration: 1h is more than the maximum, 30m.'),
             ($$break_glass_duration => '-1 hours'$$, 'JA001 invalid break_glass_duration: A duration is greater than zero.'),
             ($$break_glass_per_day => -1$$, 'JA001 invalid cap: It is -1.'),
             ($$responders => '{nobody}'$$, 'JA001 invalid responders: There is no role "nobody".')) r (arguments, error);
SELECT results_eq($$SELECT name, responders, break_glass_duration, break_glass_per_day FROM jit_access.template_catalog WHERE name IN ('other', 'lent') ORDER BY 1$$,
    $$VALUES ('lent', '{}'::text[], NULL::interval, 0), ('other', '{rita,rita_2}', '30 minutes', 1)$$, 'there are no responders by default');

\connect - ada
SELECT jit_create_window('long-ago', 'UTC', days => '{2001-01-01}');
SELECT jit_alter_template('prod', windows => '{long-ago}') AS version \gset
\connect - rita
CALL tap.start();
SELECT alike(tap.error($$SELECT jit_break_glass('prod', '10 minutes', 'why')$$), 'JA009 the windows of template "prod" are closed: %', 'the windows of the template hold');
\connect - ada
SELECT jit_alter_template('prod', windows => '{}') AS version \gset
SELECT jit_drop_window('long-ago');

-- Refused users.
\connect - dave
SELECT jit_request('lent', '1h') AS lent \gset
\connect - carol
SELECT jit_approve(:lent) AS got \gset
\connect - :owner
SELECT tap.state() AS before, max(id) AS last FROM jit_access.request \gset
\connect - dave
CALL tap.start();
SELECT alike(tap.error($$SELECT jit_break_glass('prod', '10 minutes', 'why')$$), 'JA002 template "prod" does not exist, or you may not use it: %', 'a role that comes with a grant does not make a responder');
SELECT alike(tap.error($$SELECT jit_break_glass('open', '10 minutes', 'why')$$), 'JA002 template "open" does not exist, or you may not use it: %', 'nor a group that every login is in');
\connect - alice
CALL tap.start();
SELECT alike(tap.error($$SELECT jit_break_glass('prod', '10 minutes', 'why')$$), 'JA004 "alice" may not break the glass for template "prod": %', 'nor being a requester');
\connect - carol
CALL tap.start();
SELECT alike(tap.error($$SELECT jit_break_glass('prod', '10 minutes', 'why')$$), 'JA004 "carol" may not break the glass for template "prod": %', 'nor being an approver');
\connect - boss
CALL tap.start();
SELECT alike(tap.error($$SELECT jit_break_glass('prod', '10 minutes', 'why')$$), 'JA004 a superuser cannot ask for access: %', 'nor a superuser, as a responder');

-- Conditions under which a responder is refused.
\connect - ada
SELECT jit_create_rule('nothing-long', 'deny', '{prod}', max_duration => '40 minutes') \g /dev/null
\connect - rita
CALL tap.start();
SELECT tap.refused(format('SELECT jit_break_glass(%s)', arguments), error, arguments)
FROM (VALUES (1, $$'prod', '10 minutes'$$, 'JA001 invalid reason: It is NULL.'),
             (2, $$'prod', '10 minutes', ''$$, 'JA001 invalid reason: It is empty.'),
             (3, $$'prod', '10 minutes', E'a\nb'$$, 'JA001 invalid reason: It holds a control character or invisible formatting at byte 2.'),
             (4, $$'prod', '2 hours', 'why'$$, 'JA009 the duration exceeds the break-glass maximum of template "prod": 2h was asked for; the longest is 1h.'),
             (5, $$'prod', '1 mon', 'why'$$, 'JA001 invalid duration: Months and years have no fixed length.'),
             (6, $$'prod', '50 minutes', 'why'$$, 'JA004 rule "nothing-long" forbids it: A rule that denies takes precedence over rules and approvals.'),
             (7, $$'sealed', '10 minutes', 'why'$$, 'JA004 there is no break-glass for template "sealed": The template sets no duration for break-glass.'),
             (8, $$'missing', '10 minutes', 'why'$$, 'JA002 template "missing" does not exist, or you may not use it: Names are matched exactly, and a template is shown to those whom it lists.'),
             (9, $$NULL, '10 minutes', 'why'$$, 'JA001 invalid template name: It is NULL.')) r (n, arguments, error) ORDER BY n;
SELECT alike(tap.error($$SELECT jit_break_glass('prod', '10 minutes', 'why')$$), 'JA018 the glass is broken for template "prod" only by a statement that "rita" has sent: %',
    'code that a user runs cannot do it in the name of the user');
SELECT alike(tap.error($$SELECT jit_request('prod', '10 minutes')$$), 'JA004 "rita" may not ask for template "prod": %', 'a responder is no requester by that');
-- A rollback leaves nothing.
BEGIN;
SELECT jit_break_glass('prod', '10 minutes', 'rolled back') AS undone \gset
ROLLBACK;
BEGIN;
SAVEPOINT before;
SELECT jit_break_glass('prod', '10 minutes', 'rolled back') AS undone_2 \gset
ROLLBACK TO before;
COMMIT;
SELECT is(:'undone_2'::bigint > :'undone'::bigint, true, 'it was done twice, and undone');
\connect - ada
SELECT jit_drop_rule('nothing-long') \g /dev/null
\connect - :owner
CALL tap.start();
SELECT is(tap.state(), :'before', 'refused and rolled back attempts leave nothing');

-- At once, and with an alert.
\connect - rita
CALL tap.start();
SELECT jit_break_glass('prod', '30 minutes', 'orders are stuck') AS id \gset
SELECT is((SELECT count(*)::int FROM app.orders), 3, 'it is there at once');
SELECT results_eq(format('SELECT state, break_glass, reason, approvals, rule, activated_at + duration = ends_at FROM jit_access.my_requests WHERE id = %s', :id),
    $$VALUES ('active'::jit_access.state, true, 'orders are stuck', 0::bigint, NULL::text, true)$$, 'without an approval');
SELECT jit_extend(:id, '1 minute');
SELECT is(:'LAST_ERROR_MESSAGE'::text, format('cannot extend request %s', :id), 'its holder cannot extend it');
SELECT tap.refused($$SELECT jit_break_glass('prod', '10 minutes', 'why')$$, format('JA022 break-glass %s has not been reviewed: "rita" cannot start another until then.', :id), 'no second break-glass before the review');
SELECT tap.refused($$SELECT jit_break_glass('other', '10 minutes', 'why')$$, format('JA022 break-glass %s has not been reviewed: "rita" cannot start another until then.', :id), 'for no template');
SELECT tap.refused(format($$SELECT jit_review(%s, 'justified', 'me')$$, :id), format('JA006 users cannot review their own break-glass: Break-glass %s is yours.', :id), 'a responder cannot review their own');
\connect - rita_2
CALL tap.start();
SELECT tap.refused($$SELECT jit_break_glass('other', '10 minutes', 'why')$$, format('JA022 break-glass %s has not been reviewed: "rita_2" cannot start another until then.', :id), 'nor by another login of the same person');
SELECT tap.refused(format($$SELECT jit_review(%s, 'justified', 'me')$$, :id), 'JA006 users cannot review their own break-glass: "rita_2" and "rita" are the same person.', 'the other login cannot review it, although it is an approver');
SELECT jit_extend(:id, '1 minute');
SELECT is(:'LAST_ERROR_MESSAGE'::text, format('cannot extend request %s', :id), 'nor extends it');
\connect - bob
CALL tap.start();
SELECT alike(tap.error($$SELECT jit_break_glass('prod', '10 minutes', 'why')$$), 'JA018 %', 'another responder is not concerned');
SELECT tap.refused(format($$SELECT jit_review(%s, 'justified', 'early')$$, :id),
    format('JA005 cannot review break-glass %s yet: It is active: a grant is reviewed after its end.', :id), 'it is reviewed when it has ended');
SELECT jit_extend(:id, '30 minutes') AS until \gset
SELECT jit_extend(:id, '1 second');
SELECT is(:'LAST_ERROR_MESSAGE'::text, format('cannot extend request %s', :id), 'an approver extends it, up to the break_glass_duration');
SELECT results_eq('SELECT id, responder, template, reason, state, open, overdue, verdict, reviewer FROM jit_access.reviews',
    format($$VALUES (%s::bigint, 'rita', 'prod', 'orders are stuck', 'active'::jit_access.state, true, false, NULL::text, NULL::text)$$, :id), 'the approvers see the open review');
SELECT jit_revoke(:id, 'enough') AS got \gset
SELECT is(:'got'::text, 'revoked', 'and end it, as ever');
\connect - dave
CALL tap.start();
SELECT is_empty('SELECT * FROM jit_access.reviews', 'other users see none');
SELECT alike(tap.error(format($$SELECT jit_review(%s, 'justified', 'me')$$, :id)), format('JA003 request %s does not exist, or you may not see it: %%', :id), 'nor reviews any');
SELECT tap.refused(format('SELECT %s(1, ''x'')', name), '42501', name || ' is not for everybody') FROM unnest('{jit_acknowledge_alert, jit_close_alert}'::text[]) name;
\connect - alice
CALL tap.start();
SELECT alike(tap.error(format($$SELECT jit_review(%s, 'justified', 'me')$$, :id)), format('JA003 request %s does not exist, or you may not see it: %%', :id), 'nor does a requester');
SELECT jit_request('prod', '1h') AS plain \gset
\connect - boss
CALL tap.start();
SELECT alike(tap.error(format($$SELECT jit_review(%s, 'justified', 'me')$$, :id)), format('JA004 "boss" may not review break-glass %s: %%', :id), 'nor a superuser who is not an approver');
\connect - ada
CALL tap.start();
SELECT alike(tap.error(format($$SELECT jit_review(%s, 'justified', 'me')$$, :id)), format('JA004 "ada" may not review break-glass %s: %%', :id), 'nor an administrator');

-- The review.
\connect - :owner
UPDATE jit_access.review SET due_at = clock_timestamp() - interval '1 day' WHERE request_id = :id;
SELECT jit_revoke(:lent) AS got \gset
CALL tap.wait_for_cleanup();
\connect - rita
CALL tap.start();
SELECT results_eq('SELECT id, open, overdue FROM jit_access.reviews', format('VALUES (%s::bigint, true, true)', :id), 'the overdue review stays open, and the responder sees it');
SELECT alike(tap.error($$SELECT jit_break_glass('other', '10 minutes', 'why')$$), 'JA022 %', 'an overdue review prevents another break-glass');
\connect - ada
CALL tap.start();
SELECT jit_drop_template('prod');
SELECT is(:'LAST_ERROR_MESSAGE'::text, 'cannot drop template "prod"', 'nor does its template go');
SELECT jit_set_person('Rita R.', '{}');
\connect - rita
CALL tap.start();
SELECT alike(tap.error($$SELECT jit_break_glass('other', '10 minutes', 'why')$$), 'JA022 %', 'nor does another login of the person help');
\connect - rita_2
CALL tap.start();
SELECT alike(tap.error(format($$SELECT jit_review(%s, 'justified', 'me')$$, :id)), 'JA018 %', 'a login that an administrator has declared another person is one');
\connect - ada
SELECT jit_set_person('Rita R.', '{rita, rita_2}');
\connect - carol
CALL tap.start();
SELECT tap.refused(format('SELECT jit_review(%s)', replace(arguments, 'ID', :'id')), replace(error, 'ID', :'id'), replace(arguments, 'ID', ''))
FROM (VALUES (1, $$ID, 'maybe', 'x'$$, 'JA001 invalid verdict: "maybe" is not a verdict.'), (2, $$ID, NULL, 'x'$$, 'JA001 invalid verdict: It is NULL.'),
             (3, $$ID, 'justified', NULL$$, 'JA001 invalid comment: It is NULL.'), (4, $$ID, 'justified', ' '$$, 'JA001 invalid comment: It is empty.'),
             (5, $$NULL, 'justified', 'x'$$, 'JA001 invalid request id: The id is NULL.'),
             (6, $$999999, 'justified', 'x'$$, 'JA003 request 999999 does not exist, or you may not see it: A request is shown to its requester, the approvers of its template, auditors and administrators.')) r (n, arguments, error) ORDER BY n;
SELECT tap.refused(format($$SELECT jit_review(%s, 'justified', 'x')$$, :plain),
    format('JA005 request %s has nothing to review: It is an ordinary request, not a break-glass.', :plain), 'a request has no review');
SELECT alike(tap.error(format($$SELECT jit_review(%s, 'justified', 'x')$$, :id)), format('JA018 break-glass %s is reviewed only by a statement that "carol" has sent: %%', :id),
    'code that an approver runs does not review in their name');
BEGIN;
SELECT jit_review(:id, 'not_justified', 'rolled back') AS got \gset
ROLLBACK;
SELECT is((SELECT open FROM jit_access.reviews WHERE id = :id), true, 'rolled back it is open');
SELECT jit_review(:id, 'not_justified', 'there was time to ask') AS got \gset
SELECT is(:'got'::text, 'not_justified', 'another person reviews it');
SELECT tap.refused(format($$SELECT jit_review(%s, 'justified', 'on second thoughts')$$, :id), format('JA005 break-glass %s has been reviewed: "carol" did it.', :id), 'once');

-- After the review another break-glass is possible: with the default duration, and a limited number a day.
\connect - rita_2
SELECT jit_break_glass('other', reason => 'who is customer 2') AS next \gset
CALL tap.start();
SELECT results_eq(format('SELECT duration FROM jit_access.my_requests WHERE id = %s', :next), $$VALUES ('10 minutes'::interval)$$, 'after the review, another break-glass is possible');
SELECT jit_revoke(:next) AS got \gset
\connect - carol
SELECT jit_review(:next, 'justified', 'a customer was waiting') AS got \gset
\connect - rita
CALL tap.start();
SELECT tap.refused($$SELECT jit_break_glass('other', '10 minutes', 'why')$$, 'JA009 too many grants: "rita" has 1 by breaking the glass in 24 hours; the template allows 1.', 'so many a day, whichever login');
\connect - alice
SELECT jit_request('other', '10 minutes') AS plain_2 \gset
\connect - carol
SELECT jit_approve(:plain_2) AS got \gset
\connect - ada
SELECT jit_alter_template('other', break_glass_per_day => 0) AS version \gset
\connect - rita
CALL tap.start();
SELECT tap.refused($$SELECT jit_break_glass('other', '10 minutes', 'why')$$, 'JA009 too many grants: Template "other" has 1 grants at once; the template allows 1.', 'the caps of the template hold');
\connect - ada
SELECT jit_alter_template('other', break_glass_duration => '0') AS version \gset
\connect - rita
CALL tap.start();
SELECT alike(tap.error($$SELECT jit_break_glass('other', '10 minutes', 'why')$$), 'JA004 there is no break-glass for template "other": %', 'and it can be taken away');

-- Auditors read and close the alerts.
\connect - :owner
CALL tap.wait_for_alerts();
\connect - olga
CALL tap.start();
SELECT results_eq('SELECT id, responder, open, verdict, reviewer, comment FROM jit_access.reviews',
    format($$VALUES (%s::bigint, 'rita', false, 'not_justified', 'carol', 'there was time to ask'), (%s, 'rita_2', false, 'justified', 'carol', 'a customer was waiting')$$, :id, :next), 'the reviews');
SELECT results_eq('SELECT id, break_glass, approved_by, reasons FROM jit_access.grant_history WHERE break_glass ORDER BY id',
    format($$SELECT id, true, NULL::text[], '{"it is a break-glass: it needs no approval, and a review follows"}'::text[] FROM (VALUES (%s::bigint), (%s)) v (id)$$, :id, :next), 'the history');
CALL tap.wait_for_record();
SELECT is((SELECT array_agg(kind || ' ' || login ORDER BY seq) FROM jit_access.audit_log WHERE grant_id = :id AND kind NOT IN ('use', 'refusal', 'cleaned up')),
    '{"break-glass rita","activated rita","alert raised rita","extended bob","revoked bob","reviewed carol","alert raised carol"}', 'the record');
SELECT results_eq('SELECT grant_id, rule, severity, person, count, state, detail ->> ''reason'', cardinality(evidence) FROM jit_access.alerts WHERE rule LIKE ''break_glass%'' ORDER BY id',
    format($$VALUES (%1$s::bigint, 'break_glass', 'high', 'Rita R.', 1::bigint, 'open', 'orders are stuck', 1), (%1$s, 'break_glass_not_justified', 'high', 'Rita R.', 1, 'open', NULL, 1),
                    (%2$s, 'break_glass', 'high', 'Rita R.', 1, 'open', 'who is customer 2', 1)$$, :id, :next), 'the alerts');
SELECT id AS first FROM jit_access.alerts WHERE grant_id = :id AND rule = 'break_glass' \gset
SELECT tap.refused(format('SELECT jit_close_alert(%s)', replace(arguments, 'ID', :'first')), error, replace(arguments, 'ID', ''))
FROM (VALUES (1, 'ID, NULL', 'JA001 invalid comment: It is NULL.'), (2, $$NULL, 'x'$$, 'JA001 invalid alert id: The id is NULL.'),
             (3, $$999999, 'x'$$, 'JA001 alert 999999 does not exist')) r (n, arguments, error) ORDER BY n;
SELECT alike(tap.error(format($$SELECT jit_close_alert(%s, 'x')$$, :first)), 'JA018 %', 'code that an auditor runs does not close it in their name');
SELECT jit_acknowledge_alert(:first, 'looking into it');
SELECT alike(tap.error(format($$SELECT jit_acknowledge_alert(%s, 'x')$$, :first)), 'JA005 cannot acknowledge alert %: It is acknowledged.', 'once');
\connect - :owner
GRANT jit_auditor TO rita_2;
\connect - rita_2
CALL tap.start();
SELECT tap.refused(format($$SELECT jit_close_alert(%s, 'nothing to see')$$, :first), format('JA006 cannot close alert %s: It is about you.', :first), 'not by its subject, with any of their logins');
\connect - ada
SELECT jit_set_person('Rita R.', '{}');
\connect - rita_2
CALL tap.start();
SELECT alike(tap.error(format($$SELECT jit_close_alert(%s, 'nothing to see')$$, (SELECT id FROM jit_access.alerts WHERE grant_id = :next))), 'JA006 %', 'nor after the person was forgotten');
\connect - ada
SELECT jit_set_person('Rita R.', '{rita, rita_2}');
\connect - :owner
REVOKE jit_auditor FROM rita_2;
\connect - ada
CALL tap.start();
SELECT jit_close_alert(:first, 'talked to her');
SELECT alike(tap.error(format($$SELECT jit_close_alert(%s, 'x')$$, :first)), 'JA005 cannot close alert %: It is closed.', 'closed once');
SELECT results_eq(format('SELECT state, acknowledged_by, acknowledge_comment, closed_by, close_comment FROM jit_access.alerts WHERE id = %s', :first),
    $$VALUES ('closed', 'olga', 'looking into it', 'ada', 'talked to her')$$, 'with both comments and their authors');
SELECT is((SELECT array_agg(state) FROM jit_access.alerts WHERE rule LIKE 'break_glass%'), '{open,open,closed}', 'open ones come first');
CALL tap.wait_for_record();
SELECT results_eq(format($$SELECT kind, login, detail ->> 'comment' FROM jit_access.audit_log WHERE detail ->> 'alert' = '%s' AND kind <> 'alert raised' ORDER BY seq$$, :first),
    $$VALUES ('alert acknowledged', 'olga', 'looking into it'), ('alert closed', 'ada', 'talked to her')$$, 'and on the record');
SELECT is((SELECT count(*)::int FROM jit_audit_verify() v WHERE v.finding IS NULL), 1, 'which is sound');

\connect - ada
SELECT jit_set_person('Rita R.', '{}');
\connect - :owner
DROP OWNED BY oncall;
\o /dev/null
SELECT jit_revoke(id) FROM jit_access.active_grants WHERE state IN ('active', 'suspended');
CALL tap.wait_for_cleanup();
SELECT jit_drop_template(name) FROM jit_access.template_catalog;
\o
DROP ROLE rita, rita_2, boss, oncall, everybody;
\i test/sql/include/clean.sql
