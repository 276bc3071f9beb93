\set ECHO none
\i test/sql/include/tap.sql
\i test/sql/include/people.sql
-- The policy: whose approval counts, what an approval is bound to, rules, caps, and eligibility.
CREATE ROLE alice_2 LOGIN;
CREATE ROLE bob_2 LOGIN IN ROLE leads;
CREATE ROLE security;
CREATE ROLE everybody;
GRANT security TO carol, bob;
GRANT everybody TO alice, alice_2, bob, bob_2, carol, dave, ada, olga;
SELECT jit_create_template('two', '{USAGE ON SCHEMA app, SELECT ON app.orders}', requesters => '{alice, alice_2}',
                           approvers => '{leads, security, alice_2, everybody}', approvals_needed => 2) AS role \gset
SELECT jit_create_template('apart', '{USAGE ON SCHEMA app, SELECT ON app.orders}', requesters => '{alice}',
                           approvers => '{leads, security}', approvals_needed => 2, distinct_groups => true) AS role \gset

-- Several logins of one person.
\connect - ada
CALL tap.start();
SELECT jit_set_person('Alice A.', '{alice, alice_2}');
SELECT jit_set_person('Bob B.', '{bob, bob_2}');
SELECT tap.refused($$SELECT jit_set_person('Bob C.', '{bob}')$$, 'JA001 invalid logins: "bob" belongs to "Bob B." already.', 'one login, one person');
SELECT tap.refused($$SELECT jit_set_person(NULL, '{bob}')$$, 'JA001 invalid name: It is NULL.', 'a person has a name');
SELECT tap.refused($$SELECT jit_set_person('Nobody', '{nobody}')$$, 'JA001 invalid logins: There is no role "nobody".', 'logins exist');
SELECT alike(tap.error($$SELECT jit_set_person('Dave', '{dave}')$$), 'JA018 %', 'not from inside of something else');
SELECT results_eq('SELECT person, login FROM jit_access.people ORDER BY 2',
    $$VALUES ('Alice A.', 'alice'), ('Alice A.', 'alice_2'), ('Bob B.', 'bob'), ('Bob B.', 'bob_2')$$, 'the people, for auditors');
\connect - dave
CALL tap.start();
SELECT is(tap.error($$SELECT jit_set_person('Dave', '{dave, carol}')$$), '42501', 'only administrators declare them');

\connect - alice
SELECT jit_request('two', '1h') AS id, jit_request('apart', '1h') AS apart, jit_request('two', '1h') AS gone \gset
\connect - alice_2
CALL tap.start();
SELECT tap.refused(format('SELECT jit_approve(%s)', :id),
    format('JA006 cannot decide about your own request: "alice_2" and "alice" are the same person.', :id), 'nor by another login of the requester');
SELECT is((SELECT count(*)::int FROM jit_access.my_requests), 0, 'each login has its own requests');
\connect - dave
CALL tap.start();
SELECT alike(tap.error(format('SELECT jit_approve(%s)', :id)), format('JA003 request %s does not exist, or you may not see it: %%', :id),
    'a group with every login in it does not make an approver');
SELECT is((SELECT count(*)::int FROM jit_access.pending_requests), 0, 'nor does it show pending requests');
SELECT is(jit_access.request_digest(:id), NULL, 'nor their digest');
\connect - bob
CALL tap.start();
SELECT jit_approve(:id) AS got \gset
SELECT is(:'got'::text, 'pending', 'the first approval');
SELECT jit_approve(:gone) AS got \gset
\connect - bob_2
CALL tap.start();
SELECT jit_approve(:id);
SELECT is(:'LAST_ERROR_MESSAGE'::text, format('"bob" has decided about request %s already', :id), 'the same person by another login');
\connect - carol
CALL tap.start();
SELECT jit_approve(:id) AS got \gset
SELECT is(:'got'::text, 'active', 'the second person');
\connect - olga
CALL tap.start();
SELECT is((SELECT reasons FROM jit_access.grant_history WHERE id = :id), '{"it has the 2 approvals it needs"}', 'and why is kept');

-- One approver of each group: bob and carol are in both; one of them counts for leads, the other for security.
\connect - bob_2
SELECT jit_approve(:apart) AS got \gset
\connect - carol
CALL tap.start();
SELECT jit_approve(:apart) AS got \gset
SELECT is(:'got'::text, 'active', 'distinct groups, whichever way they fit');
\connect - alice
SELECT jit_request('apart', '1h') AS apart \gset
\connect - :owner
REVOKE security FROM bob, carol;
CREATE ROLE erin LOGIN IN ROLE leads, everybody;
\connect - erin
SELECT jit_approve(:apart) AS got \gset
\connect - bob
CALL tap.start();
SELECT jit_approve(:apart) AS got \gset
SELECT is(:'got'::text, 'pending', 'two of one group are not enough');
\connect - :owner
GRANT security TO bob, carol;

-- The approval of a user who is no approver any more does not count.
REVOKE leads FROM bob;
REVOKE security FROM bob;
\connect - carol
CALL tap.start();
SELECT jit_approve(:gone) AS got \gset
SELECT is(:'got'::text, 'pending', 'the approval of a former approver does not count');
\connect - :owner
GRANT leads, security TO bob;
DROP ROLE erin;

-- An approver by a grant.
SELECT jit_create_template('lead', role => 'leads', requesters => '{dave}', approvers => '{carol}') AS role \gset
\connect - dave
SELECT jit_request('lead', '1h') AS lead \gset
\connect - carol
SELECT jit_approve(:lead) AS got \gset
\connect - alice
SELECT jit_request('two', '1h') AS third \gset
\connect - dave
CALL tap.start();
SELECT is(pg_has_role('leads', 'MEMBER'), true, 'a member of the approvers by a grant');
SELECT alike(tap.error(format('SELECT jit_approve(%s)', :third)), format('JA003 request %s does not exist, or you may not see it: %%', :third), 'is no approver');
\connect - carol
SELECT jit_revoke(:lead) AS got \gset

-- An approval is bound to what was shown.
CALL tap.start();
SELECT digest AS seen FROM jit_access.pending_requests WHERE id = :third \gset
SELECT jit_approve(:third, digest => repeat('0', 64));
SELECT is(:'LAST_ERROR_MESSAGE'::text, format('request %s is not what you have seen', :third), 'an approval with another digest is refused');
SELECT is((SELECT stale FROM jit_access.pending_requests WHERE id = :third), false, 'it is not stale');
SELECT jit_approve(:third, digest => :'seen') AS got \gset
SELECT is(:'got'::text, 'pending', 'one with the shown digest is accepted');
\connect - olga
CALL tap.start();
SELECT is((SELECT digest FROM jit_access.decisions WHERE id = :third), :'seen', 'the decision keeps the digest');
-- This includes the privileges of a role that the template's role is a member of.
\connect - :owner
CREATE ROLE behind;
GRANT SELECT ON app.customers TO behind;
SELECT jit_create_template('reaches', '{behind}', requesters => '{alice}', approvers => '{bob}') AS role \gset
\connect - alice
SELECT jit_request('reaches', '1h') AS reaches, jit_request('reaches', '1h', starts_at => clock_timestamp() + interval '1 hour') AS later \gset
\connect - bob
SELECT jit_approve(:later) AS got \gset
\connect - :owner
GRANT UPDATE ON app.customers TO behind;
\connect - bob
CALL tap.start();
SELECT is((SELECT stale FROM jit_access.pending_requests WHERE id = :reaches), true, 'another privilege behind the template makes it stale');
SELECT tap.refused(format('SELECT jit_approve(%s)', :reaches),
    format('JA005 request %s is out of date: The grant that template "reaches" would give has changed since the request.', :reaches), 'and it cannot be approved');
\connect - :owner
UPDATE jit_access.request SET starts_at = clock_timestamp() WHERE id = :later;
SELECT jit_alter_template('two', description => 'wakes the worker') AS version \gset
CALL tap.wait_until(format('SELECT state = ''lapsed'' FROM jit_access.request WHERE id = %s', :later));
CALL tap.start();
SELECT alike((SELECT close_reason FROM jit_access.request WHERE id = :later), '%is not approved any more%', 'nor does it start when it was approved before');

-- The requester activates an approved request.
SELECT jit_create_template('handed', '{USAGE ON SCHEMA app, SELECT ON app.orders}', requesters => '{alice}', approvers => '{bob}',
                           time_to_use => '1 hour') AS role \gset
\connect - alice
SELECT jit_request('handed', '1h') AS handed, jit_request('handed', '1h') AS unused \gset
\connect - bob
CALL tap.start();
SELECT jit_approve(:handed) AS got, jit_approve(:unused) AS got_2 \gset
SELECT is(:'got'::text, 'scheduled', 'an approval that is to be used');
SELECT jit_activate(:handed);
SELECT is(:'LAST_ERROR_MESSAGE'::text, format('"bob" may not activate request %s', :handed), 'only by the requester');
\connect - alice
CALL tap.start();
SELECT is((SELECT needs_activation AND lapses_at > clock_timestamp() FROM jit_access.my_requests WHERE id = :handed), true, 'the requester sees the time limit');
SELECT alike(tap.error(format('SELECT jit_activate(%s)', :handed)), 'JA018 %', 'only by a statement of the requester''s own');
SELECT jit_activate(:handed) AS got \gset
SELECT is(:'got'::text, 'active', 'it becomes active');
SELECT tap.refused(format('SELECT jit_activate(%s)', :handed), format('JA005 cannot activate request %s: It is active.', :handed), 'once');
\connect - :owner
UPDATE jit_access.request SET use_by = clock_timestamp() WHERE id = :unused;
SELECT jit_alter_template('two', description => 'wakes the worker again') AS version \gset
CALL tap.wait_until(format('SELECT state = ''lapsed'' FROM jit_access.request WHERE id = %s', :unused));
CALL tap.start();
SELECT is((SELECT close_reason FROM jit_access.request WHERE id = :unused), 'the approval was not used in time', 'an unused approval lapses');

-- Rules.
SELECT jit_create_template('ruled', '{USAGE ON SCHEMA app, SELECT ON app.orders}', requesters => '{developers}', approvers => '{bob}',
                           max_duration => '8h', default_duration => '30 minutes', risk => 'low') AS role \gset
\connect - ada
SELECT jit_create_rule('short-reads', 'allow', '{ruled}', role => 'developers', max_duration => '1h', max_risk => 'low');
SELECT jit_create_rule('nothing-long', 'deny', '{ruled}', max_duration => '4h');
SELECT jit_create_rule('elsewhere', 'allow', '{ruled}', networks => '{192.0.2.0/24}');
CALL tap.start();
SELECT tap.refused(format('SELECT jit_create_rule(%s)', arguments), error, arguments)
FROM (VALUES ($$NULL, 'allow'$$, 'JA001 invalid rule name: It is NULL.'),
             ($$'x', NULL$$, 'JA001 invalid effect: It is NULL.'), ($$'x', 'maybe'$$, 'JA001 invalid effect: "maybe" is not valid.'),
             ($$'x', 'allow', max_risk => 'huge'$$, 'JA001 invalid max_risk: "huge" is not valid.'),
             ($$'x', 'allow'$$, 'JA001 invalid rule: It allows every template to everybody who may request it.'),
             ($$'x', 'allow', max_duration => '1h', max_risk => 'low', networks => '{10.0.0.0/8}'$$, 'JA001 invalid rule: It allows every template to everybody who may request it.'),
             ($$'x', 'allow', '{missing}'$$, 'JA002 template "missing" does not exist: Names are matched exactly.'),
             ($$'x', 'allow', role => 'missing'$$, 'JA001 invalid role: There is no role "missing".'),
             ($$'x', 'allow', '{ruled}', networks => '{10.0.0.1/8}'$$, 'JA001 invalid networks: "10.0.0.1/8" is not a network.'),
             ($$'short-reads', 'deny'$$, 'JA001 invalid rule name: Rule "short-reads" exists already.')) r (arguments, error);
SELECT alike(tap.error($$SELECT jit_create_rule('trap', 'allow', '{ruled}')$$), 'JA018 %', 'a rule is made by a statement of the administrator');
\connect - alice
CALL tap.start();
SELECT is((SELECT array_agg(template_name ORDER BY template_name) FROM jit_eligibility()), '{apart,handed,reaches,ruled,two}', 'the templates that alice may request');
SELECT results_eq($$SELECT outcome, approvals_needed, approvers, reasons FROM jit_eligibility('ruled', '1h')$$,
    $$VALUES ('allowed', 0, '{bob}'::text[], '{"rule \"short-reads\" allows it without an approval"}'::text[])$$, 'a rule allows it');
SELECT results_eq($$SELECT outcome, approvals_needed, approvers, reasons FROM jit_eligibility('ruled', '2h')$$,
    $$VALUES ('needs approval', 1, '{bob}'::text[], '{"it has 0 approvals that count and needs 1 more"}'::text[])$$, 'for longer it needs an approval');
SELECT results_eq($$SELECT outcome, reasons FROM jit_eligibility('ruled', '5h')$$,
    $$VALUES ('denied', '{"rule \"nothing-long\" forbids it: A rule that denies takes precedence over rules and approvals."}'::text[])$$, 'a rule forbids it');
SELECT results_eq($$SELECT outcome, approvers FROM jit_eligibility('two', '1h')$$, $$VALUES ('needs approval', '{bob,bob_2,carol}'::text[])$$,
    'the possible approvers: neither the requester nor a group of everybody');
SELECT results_eq($$SELECT outcome, reasons FROM jit_eligibility('ruled', '9h')$$,
    $$VALUES ('denied', '{"the duration is over the maximum of template \"ruled\": 9h was asked for; the maximum is 8h.",
    "rule \"nothing-long\" forbids it: A rule that denies takes precedence over rules and approvals."}'::text[])$$, 'every objection is reported');
SELECT tap.refused($$SELECT jit_request('ruled', '5h')$$,
    'JA004 rule "nothing-long" forbids it: A rule that denies takes precedence over rules and approvals.', 'a request that a rule denies cannot be made');
SELECT alike(tap.error($$SELECT jit_request('ruled')$$), 'JA018 template "ruled" is given by a rule only by a statement that "alice" has sent: %',
    'a rule allows only a request of the requester''s own');
SELECT jit_request('ruled') AS ruled \gset
SELECT is((SELECT state FROM jit_access.my_requests WHERE id = :ruled), 'active', 'a rule gives it at once');
SELECT count(*) AS seen FROM app.orders \gset
\connect - olga
CALL tap.start();
SELECT results_eq(format('SELECT rule, reasons, approved_by FROM jit_access.grant_history WHERE id = %s', :ruled),
    $$VALUES ('short-reads', '{"rule \"short-reads\" allows it without an approval"}'::text[], NULL::text[])$$, 'the history says which');
CALL tap.wait_until(format($$SELECT 'allowed' = ANY (array_agg(kind)) FROM jit_access.audit_log WHERE grant_id = %s$$, :ruled));
SELECT is((SELECT detail ->> 'rule' FROM jit_access.audit_log WHERE grant_id = :ruled AND kind = 'allowed'), 'short-reads', 'so does the record');
SELECT results_eq($$SELECT name, effect, templates, role, max_duration, max_risk, networks::text FROM jit_access.rules ORDER BY name$$,
    $$VALUES ('elsewhere', 'allow', '{ruled}'::text[], NULL, NULL::interval, NULL, '{192.0.2.0/24}'),
             ('nothing-long', 'deny', '{ruled}', NULL, '4 hours', NULL, '{}'),
             ('short-reads', 'allow', '{ruled}', 'developers', '1 hour', 'low', '{}')$$, 'the rules, for auditors');
-- A dropped rule allows nothing.
\connect - alice
SELECT jit_request('ruled', '1h', starts_at => clock_timestamp() + interval '1 hour') AS soon \gset
\connect - ada
SELECT jit_drop_rule('short-reads');
CALL tap.start();
SELECT jit_drop_rule('missing');
SELECT is(:'LAST_ERROR_MESSAGE'::text, 'invalid rule name', 'a rule that is not there');
\connect - :owner
UPDATE jit_access.request SET starts_at = clock_timestamp() WHERE id = :soon;
SELECT jit_alter_template('two', description => 'wakes the worker once more') AS version \gset
CALL tap.wait_until(format('SELECT state = ''lapsed'' FROM jit_access.request WHERE id = %s', :soon));

-- Caps.
SELECT jit_create_template('capped', '{USAGE ON SCHEMA app, SELECT ON app.orders}', requesters => '{alice, alice_2, dave}', approvers => '{bob, carol}',
                           person_at_once => 1, template_at_once => 2, person_per_day => 2, cool_down => '1 hour') AS role \gset
\connect - alice
SELECT jit_request('capped', '1h') AS first \gset
\connect - alice_2
SELECT jit_request('capped', '1h') AS second \gset
\connect - bob
CALL tap.start();
SELECT jit_approve(:first) AS got \gset
SELECT jit_approve(:second);
SELECT is(:'LAST_ERROR_MESSAGE'::text, 'too many grants', 'one at once, whichever login');
\connect - alice_2
CALL tap.start();
SELECT tap.refused($$SELECT jit_request('capped', '1h')$$, 'JA009 too many grants: "alice_2" has 1 of it at once; the template allows 1.', 'told when asking');
SELECT results_eq($$SELECT outcome FROM jit_eligibility('capped')$$, $$VALUES ('denied')$$, 'and before');
\connect - :owner
UPDATE jit_access.request SET state = 'suspended' WHERE id = :first;
\connect - alice_2
CALL tap.start();
SELECT tap.refused($$SELECT jit_request('capped', '1h')$$, 'JA009 too many grants: "alice_2" has 1 of it at once; the template allows 1.', 'a suspended grant counts as well');
\connect - :owner
UPDATE jit_access.request SET state = 'active' WHERE id = :first;
\connect - alice
SELECT jit_revoke(:first) AS got \gset
CALL tap.start();
SELECT alike(tap.error($$SELECT jit_request('capped', '1h')$$),
    'JA009 too soon after the last grant: It takes 1h from the end of one to the next; %s have passed.', 'cool-down');
\connect - :owner
SELECT jit_alter_template('capped', cool_down => '0') AS version \gset
\connect - alice_2
SELECT jit_request('capped', '1h') AS second \gset
\connect - bob
SELECT jit_approve(:second) AS got \gset
\connect - alice_2
SELECT jit_revoke(:second) AS got \gset
CALL tap.start();
SELECT tap.refused($$SELECT jit_request('capped', '1h')$$, 'JA009 too many grants: "alice_2" has 2 of it in 24 hours; the template allows 2.', 'so many a day');

-- The total lifetime.
\connect - :owner
SELECT jit_create_template('longer', '{USAGE ON SCHEMA app, SELECT ON app.orders}', requesters => '{alice}', approvers => '{bob}',
                           max_duration => '1h', total_duration => '3h') AS role \gset
CALL tap.start();
SELECT tap.refused($$SELECT jit_alter_template('longer', total_duration => '30 minutes')$$,
    'JA001 invalid total_duration: 30m is less than the maximum for one request, 1h.', 'no less than one request');
\connect - alice
SELECT jit_request('longer', '1h') AS longer \gset
\connect - bob
SELECT jit_approve(:longer) AS got \gset
SELECT jit_extend(:longer, '2h') AS got \gset
CALL tap.start();
SELECT jit_extend(:longer, '1 second');
SELECT is(:'LAST_ERROR_MESSAGE'::text, format('cannot extend request %s', :longer), 'extensions reach the total, no further');
\connect - olga
CALL tap.start();
SELECT is((SELECT ends_at - activated_at FROM jit_access.grant_history WHERE id = :longer), '3 hours'::interval, 'exactly');

-- A rule that denies a longer duration also denies it in pieces.
\connect - :owner
SELECT jit_create_template('pieces', '{USAGE ON SCHEMA app, SELECT ON app.orders}', requesters => '{alice}', approvers => '{bob}',
                           max_duration => '8h', holder_extension => '4h') AS role \gset
SELECT jit_create_rule('no-pieces', 'deny', '{pieces}', max_duration => '2h');
\connect - alice
SELECT jit_request('pieces', '1h') AS pieces \gset
\connect - bob
SELECT jit_approve(:pieces) AS got \gset
\connect - alice
SELECT jit_extend(:pieces, '1h') AS got \gset
CALL tap.start();
SELECT jit_extend(:pieces, '1h');
SELECT is(:'LAST_ERROR_MESSAGE'::text, format('cannot extend request %s', :pieces), 'not by the holder');
\connect - bob
CALL tap.start();
SELECT jit_extend(:pieces, '1h');
SELECT is(:'LAST_ERROR_MESSAGE'::text, format('cannot extend request %s', :pieces), 'nor by an approver');
SELECT jit_revoke(:pieces) AS got \gset

\connect - ada
SELECT jit_drop_rule(name) FROM jit_access.rules \g /dev/null
SELECT jit_set_person(person, '{}') FROM (SELECT DISTINCT person FROM jit_access.people) p \g /dev/null
\connect - :owner
\o /dev/null
SELECT jit_revoke(id) FROM jit_access.active_grants WHERE state IN ('active', 'suspended');
CALL tap.wait_for_cleanup();
SELECT jit_drop_template(name) FROM jit_access.template_catalog;
\o
DROP OWNED BY behind;
DROP ROLE alice_2, bob_2, security, everybody, behind;
\i test/sql/include/clean.sql
