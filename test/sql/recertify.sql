\set ECHO none
\i test/sql/include/tap.sql
\i test/sql/include/people.sql
-- Access reviews: reviewers confirm or withdraw access, with the evidence at hand, but not their own; a withdrawal takes
-- effect at once and gives nothing. rita and rita_2 are one person; rex approves for prod.
CREATE ROLE rex LOGIN;
CREATE ROLE rita LOGIN;
CREATE ROLE rita_2 LOGIN;
CREATE ROLE boss LOGIN SUPERUSER;
CREATE ROLE "=cmd|' /C calc'!A0" LOGIN;
CREATE ROLE reviewers ROLE rex, rita;
CREATE ROLE everybody ROLE alice, bob, carol, dave, ada, olga, rex, rita, rita_2, "=cmd|' /C calc'!A0";
SELECT jit_create_template('reader', '{USAGE ON SCHEMA app, SELECT ON app.orders}', requesters => ARRAY['developers', 'rita_2', '=cmd|'' /C calc''!A0'], approvers => '{bob, leads}') AS role \gset
SELECT jit_create_template('prod', '{USAGE ON SCHEMA app, SELECT ON app.orders}', requesters => '{alice}', approvers => '{carol, rex}', responders => '{dave, rita}', break_glass_duration => '1 hour') AS role \gset
SELECT jit_create_template('lent', role => 'reviewers', requesters => '{dave}', approvers => '{carol}') AS role \gset
\connect - ada
SELECT jit_set_person('Rita R.', '{rita, rita_2}');
\connect - alice
SELECT jit_request('reader', '1h', 'to look') AS used \gset
\connect - bob
SELECT jit_approve(:used) AS got \gset
\connect - alice
SELECT count(*) AS orders FROM app.orders \gset
SELECT jit_revoke(:used) AS done \gset
SELECT jit_request('reader', '1h', 'to look again') AS pending \gset
\connect - dave
SELECT jit_break_glass('prod', '10 minutes', 'the shop is down') AS glass \gset
SELECT jit_revoke(:glass) AS done \gset
SELECT jit_request('lent', '1h') AS lent \gset
\connect - carol
SELECT jit_approve(:lent) AS got \gset
\connect - :owner
CALL tap.wait_for_record();

-- Starting a review.
\connect - ada
CALL tap.start();
SELECT tap.refused(format('SELECT jit_start_review(%s)', arguments), error, arguments)
FROM (VALUES (1, $$NULL, '{reviewers}', now() + interval '1 day'$$, 'JA001 invalid scope: It is NULL.'),
             (2, $$'everything', '{reviewers}', now() + interval '1 day'$$, 'JA001 invalid scope: "everything" is not a scope.'),
             (3, $$'all', NULL, now() + interval '1 day'$$, 'JA001 invalid reviewers: There is none.'),
             (4, $$'all', '{}', now() + interval '1 day'$$, 'JA001 invalid reviewers: There is none.'),
             (5, $$'all', '{nobody}', now() + interval '1 day'$$, 'JA001 invalid reviewers: There is no role "nobody".'),
             (6, $$'all', '{reviewers}', NULL$$, 'JA001 invalid due: It is NULL.'),
             (7, $$'all', '{reviewers}', now() - interval '1 day'$$, 'JA001 invalid due: It is not within the next 366 days.'),
             (8, $$'all', '{reviewers}', 'infinity'$$, 'JA001 invalid due: It is not within the next 366 days.'),
             (9, $$'all', '{reviewers}', now() + interval '1 day', '{missing}'$$, 'JA002 template "missing" does not exist: Names are matched exactly.')) r (n, arguments, error) ORDER BY n;
SELECT alike(tap.error($$SELECT jit_start_review('all', '{reviewers}', now() + interval '1 day')$$), 'JA018 %', 'code that an administrator runs does not start one in their name');
SELECT jit_start_review('break-glass', '{reviewers}', now() + interval '1 day', '{reader}');
SELECT is(:'LAST_ERROR_MESSAGE'::text, 'there is nothing to review', 'an empty one is none');
SELECT jit_start_review('all', '{reviewers}', now() + interval '1 day', '{prod, reader}') AS review \gset
SELECT jit_start_review('templates', '{everybody}', now() + interval '1 day') AS open \gset
\connect - olga
CALL tap.start();
SELECT tap.refused($$SELECT jit_start_review('all', '{reviewers}', now() + interval '1 day')$$, '42501', 'an auditor does not start one');
SELECT results_eq(format('SELECT item, kind, template, role, grant_id FROM jit_access.access_review_items WHERE review_id = %s', :review),
    format($$VALUES (1, 'template', 'prod', NULL::text, NULL::bigint), (2, 'requester', 'prod', 'alice', NULL), (3, 'approver', 'prod', 'carol', NULL),
        (4, 'approver', 'prod', 'rex', NULL), (5, 'responder', 'prod', 'dave', NULL), (6, 'responder', 'prod', 'rita', NULL),
        (7, 'break-glass', 'prod', 'dave', %s), (8, 'template', 'reader', NULL, NULL), (9, 'requester', 'reader', '=cmd|'' /C calc''!A0', NULL),
        (10, 'requester', 'reader', 'developers', NULL), (11, 'requester', 'reader', 'rita_2', NULL), (12, 'approver', 'reader', 'bob', NULL),
        (13, 'approver', 'reader', 'leads', NULL)$$, :glass), 'all eligibility is listed as items');
SELECT results_eq(format('SELECT items, open, confirmed, withdrawn, overdue, reviewers FROM jit_access.access_reviews WHERE id = %s', :review),
    $$VALUES (13::bigint, 13::bigint, 0::bigint, 0::bigint, false, '{reviewers}'::text[])$$, 'with every item open');

-- The evidence, and its readers.
SELECT jit_access.review_evidence(:review, 10) AS e \gset
SELECT is((:'e'::jsonb) - '{last_grant, last_use}'::text[], '{"live": 0, "grants": 1, "grants_90_days": 1, "members": ["alice"], "member_count": 1}', 'the uses of a group of requesters');
SELECT is((SELECT extract(epoch FROM now() - (:'e'::jsonb ->> 'last_use')::timestamptz) < 3600), true, 'and when');
SELECT is(jit_access.review_evidence(:review, 9), '{"live": 0, "grants": 0, "grants_90_days": 0, "members": ["=cmd|'' /C calc''!A0"], "member_count": 1}', 'a requester without any use');
SELECT is(jit_access.review_evidence(:review, 13) - 'last_decision', '{"decisions": 1, "decisions_90_days": 1, "members": ["bob", "carol"], "member_count": 2}', 'the decisions of a group of approvers');
SELECT is(jit_access.review_evidence(:review, 12) ->> 'decisions_90_days', '1', 'and one of them');
SELECT is((jit_access.review_evidence(:review, 8) - '{last_grant, last_use, privileges}'::text[]) ->> 'grants', '1', 'the uses of a template');
SELECT is(jit_access.review_evidence(:review, 7) - '{from, to, last_use}'::text[], '{"state": "revoked", "reason": "the shop is down", "statements": 1}', 'the uses of a break-glass');
\connect - rex
CALL tap.start();
SELECT is((SELECT count(*)::int FROM jit_access.access_review_items), 13, 'reviewers see theirs');
SELECT is((SELECT evidence ->> 'grants' FROM jit_access.access_review_items WHERE item = 10), '1', 'with the evidence');
\connect - alice
CALL tap.start();
SELECT is((SELECT count(*)::int FROM jit_access.access_review_items) + (SELECT count(*)::int FROM jit_access.access_reviews), 0, 'others see none');
SELECT is(jit_access.review_evidence(:review, 10), NULL, 'by no other way');
SELECT alike(tap.error(format('SELECT jit_review_csv(%s)', :review)), 'JA004 "alice" does not review in access review %', 'nor as a file');

-- Refused decisions.
\connect - :owner
SELECT tap.state() AS before \gset
\connect - alice
CALL tap.start();
SELECT alike(tap.error(format($$SELECT jit_review_item(%s, 10, 'confirm', 'mine')$$, :review)), 'JA004 "alice" does not review in access review %', 'a user who is not a reviewer');
SELECT alike(tap.error(format($$SELECT jit_review_item(%s, 1, 'confirm', 'mine')$$, :open)), 'JA004 "alice" does not review in access review %', 'nor by a group that every login is in');
\connect - boss
CALL tap.start();
SELECT alike(tap.error(format($$SELECT jit_review_item(%s, 10, 'confirm', 'mine')$$, :review)), 'JA004 "boss" does not review in access review %', 'nor a superuser');
\connect - dave
CALL tap.start();
SELECT alike(tap.error(format($$SELECT jit_review_item(%s, 10, 'withdraw', 'mine')$$, :review)), 'JA004 "dave" does not review in access review %', 'nor by a role that comes with a grant');
\connect - rex
CALL tap.start();
SELECT tap.refused(format($$SELECT jit_review_item(%s, 4, 'confirm', 'me')$$, :review), 'JA006 users cannot review their own access: Item 4 concerns "rex".', 'a reviewer''s own access');
\connect - rita
CALL tap.start();
SELECT tap.refused(format($$SELECT jit_review_item(%s, 6, 'confirm', 'me')$$, :review), 'JA006 users cannot review their own access: Item 6 concerns "rita".', 'not as a responder');
SELECT tap.refused(format($$SELECT jit_review_item(%s, 1, 'confirm', 'mine')$$, :review), 'JA006 users cannot review their own access: Item 1 concerns "rita".', 'nor the template');
SELECT tap.refused(format($$SELECT jit_review_item(%s, 11, 'withdraw', 'me')$$, :review), 'JA006 users cannot review their own access: Item 11 concerns "rita_2".', 'nor another login of the same person');
SELECT tap.refused(format($$SELECT jit_review_item(%s, 13, 'withdraw', 'no')$$, :review), 'JA006 users cannot review their own access: Item 13 concerns "rita_2".', 'nor may a reviewer withdraw the approvers of their own requests');
SELECT alike(tap.error(format($$SELECT jit_review_item(%s, 10, 'confirm', 'why')$$, :review)), 'JA018 %', 'code that a reviewer runs cannot decide in their name');
SELECT tap.refused(format('SELECT jit_review_item(%s)', arguments), error, arguments)
FROM (VALUES (1, :'review' || $$, 10, 'maybe', 'x'$$, 'JA001 invalid verdict: "maybe" is not a verdict.'),
             (2, :'review' || $$, 10, NULL, 'x'$$, 'JA001 invalid verdict: It is NULL.'),
             (3, :'review' || $$, 10, 'confirm', NULL$$, 'JA001 invalid comment: It is NULL.'),
             (4, :'review' || $$, 10, 'confirm', E'a\tb'$$, 'JA001 invalid comment: It holds a control character or invisible formatting at byte 2.'),
             (5, :'review' || $$, 99, 'confirm', 'x'$$, 'JA001 access review ' || :'review' || ' has no item 99'),
             (6, :'review' || $$, NULL, 'confirm', 'x'$$, 'JA001 invalid item: It is NULL.'),
             (7, $$0, 1, 'confirm', 'x'$$, 'JA001 invalid access review id: 0 is not a positive whole number of at most 19 digits.')) r (n, arguments, error) ORDER BY n;
SELECT jit_review_item(:review, 7, 'confirm', 'she was right');
SELECT alike(:'LAST_ERROR_MESSAGE'::text, '"rita" may not review break-glass %', 'a break-glass is reviewed by an approver of the template');
\connect - :owner
CALL tap.start();
SELECT is(tap.state(), :'before', 'none of this has changed anything');

-- Confirmed access stays; withdrawn access ends at once.
\connect - rita
CALL tap.start();
SELECT jit_review_item(:review, 12, 'confirm', '=1+1, still on the team') AS first, jit_review_item(:review, 10, 'withdraw', 'not any more') AS second \gset
SELECT is(:'first' || ' ' || :'second', 'confirm withdraw', 'one is confirmed, one withdrawn');
SELECT alike(tap.error(format($$SELECT jit_review_item(%s, 10, 'confirm', 'or yes')$$, :review)), 'JA005 item 10 of access review % has been reviewed: "rita" did it.', 'once');
\connect - alice
CALL tap.start();
SELECT alike(tap.error($$SELECT jit_request('reader', '1h')$$), 'JA002 template "reader" does not exist, or you may not use it: %', 'a withdrawn requester cannot ask any more');
\connect - bob
CALL tap.start();
SELECT alike(tap.error(format('SELECT jit_approve(%s)', :pending)), 'JA005 request % is out of date: Template "reader" has changed since it was asked for.', 'and their pending requests are out of date');
\connect - rex
CALL tap.start();
SELECT jit_review_item(:review, 3, 'withdraw', 'has left') \g /dev/null
SELECT jit_review_item(:review, 5, 'withdraw', 'has left, too') \g /dev/null
SELECT jit_review_item(:review, 7, 'withdraw', 'the shop was not down') \g /dev/null
SELECT jit_review_item(:review, 8, 'withdraw', 'nobody needs it') \g /dev/null
\connect - ada
CALL tap.start();
SELECT results_eq($$SELECT name, requesters, approvers, responders FROM jit_access.template_catalog WHERE name <> 'lent' ORDER BY 1$$,
    $$VALUES ('prod', '{alice}'::text[], '{rex}'::text[], '{rita}'::text[]), ('reader', '{}', '{bob,leads}', '{}')$$, 'only withdrawn entries are removed; a withdrawn template has no requesters');
SELECT results_eq(format('SELECT verdict, reviewer, comment FROM jit_access.reviews WHERE id = %s', :glass), $$VALUES ('not_justified', 'rex', 'the shop was not down')$$, 'the break-glass is reviewed');
SELECT results_eq(format('SELECT items, open, confirmed, withdrawn FROM jit_access.access_reviews WHERE id = %s', :review),
    $$VALUES (13::bigint, 7::bigint, 1::bigint, 5::bigint)$$, 'how far it is');
SELECT is((SELECT evidence -> 'members' FROM jit_access.access_review_items WHERE review_id = :review AND item = 10), '["alice"]', 'the evidence stays as it was');
CALL tap.wait_for_record();
SELECT results_eq(format($$SELECT login, detail ->> 'item', detail ->> 'kind', detail ->> 'role', detail ->> 'verdict' FROM jit_access.audit_log WHERE kind = 'access reviewed' AND detail ->> 'review' = '%s' ORDER BY seq$$, :review),
    $$VALUES ('rita', '12', 'approver', 'bob', 'confirm'), ('rita', '10', 'requester', 'developers', 'withdraw'), ('rex', '3', 'approver', 'carol', 'withdraw'),
        ('rex', '5', 'responder', 'dave', 'withdraw'), ('rex', '7', 'break-glass', 'dave', 'withdraw'), ('rex', '8', 'template', NULL, 'withdraw')$$, 'all of it is on the record');
SELECT is((SELECT string_agg(detail ->> 'withdrawn', '; ' ORDER BY seq) FROM jit_access.audit_log WHERE kind = 'template changed' AND detail ? 'withdrawn'),
    'developers; carol; dave; =cmd|'' /C calc''!A0, rita_2', 'with the withdrawn roles');

-- The review as a file.
SELECT jit_review_csv(:review) AS csv \gset
SELECT is((SELECT count(*)::int FROM regexp_matches(:'csv', E'\r\n', 'g')), 14, 'a line for each item, ended as RFC 4180 says');
SELECT is(split_part(:'csv', ',', 1) || ' ' || (:'csv' ~ ('(?n)^' || :'review' || ',12,approver,reader,bob,,bob,,,,,1,')), 'review true', 'with its evidence');
SELECT is(:'csv' ~ '(^|,|\n)"?[ ]*[=+@-]', false, 'no cell is a formula');
SELECT is(position(',"''=1+1, still on the team",' IN :'csv') > 0 AND position(',''=cmd|'' /C calc''!A0,' IN :'csv') > 0, true, 'text that looks like a formula is escaped');
SELECT alike(tap.error('SELECT jit_review_csv(999999)'), 'JA001 access review 999999 does not exist', 'there is none');

-- A reminder of an overdue review is recorded once a day.
SELECT is(tap.error('SELECT jit_access.remind_reviews()'), '42501', 'by a job');
\connect - :owner
CALL tap.start();
SELECT is(jit_access.remind_reviews(), 0::bigint, 'nothing is overdue');
UPDATE jit_access.access_review SET due_at = clock_timestamp() - interval '1 second' WHERE id = :review;
SELECT is((SELECT overdue FROM jit_access.access_reviews WHERE id = :review), true, 'it is overdue');
SELECT is(jit_access.remind_reviews(), 1::bigint, 'that is told');
SELECT is(jit_access.remind_reviews(), 0::bigint, 'once');
UPDATE jit_access.access_review SET reminded_at = clock_timestamp() - interval '25 hours' WHERE id = :review;
SELECT is(jit_access.remind_reviews(), 1::bigint, 'and again on the next day');
CALL tap.wait_for_record();
SELECT is((SELECT array_agg(detail ->> 'open') FROM jit_access.audit_log WHERE kind = 'review overdue' AND detail ->> 'review' = :'review'), '{7,7}', 'on the record');
\connect - rita
SELECT jit_review_item(:review, item, 'confirm', 'fine') FROM unnest('{2, 4, 9, 13}'::integer[]) item \g /dev/null
\connect - rex
SELECT jit_review_item(:review, item, 'confirm', 'fine') FROM unnest('{1, 6, 11}'::integer[]) item \g /dev/null
\connect - :owner
CALL tap.start();
SELECT results_eq(format('SELECT open, confirmed, withdrawn, overdue FROM jit_access.access_reviews WHERE id = %s', :review),
    $$VALUES (0::bigint, 8::bigint, 5::bigint, false)$$, 'a finished review is not overdue');

\connect - ada
SELECT jit_set_person('Rita R.', '{}');
\connect - :owner
\o /dev/null
SELECT jit_revoke(id) FROM jit_access.active_grants WHERE state IN ('active', 'suspended');
CALL tap.wait_for_cleanup();
SELECT jit_drop_template(name) FROM jit_access.template_catalog;
\o
DROP ROLE rex, rita, rita_2, boss, reviewers, everybody, "=cmd|' /C calc'!A0";
\i test/sql/include/clean.sql
