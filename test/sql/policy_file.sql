\set ECHO none
\i test/sql/include/tap.sql
\i test/sql/include/people.sql
-- The policy as one document: an exported policy imports without a difference, and an import is all or nothing.
\connect - ada
SELECT jit_set_person('Bob', '{bob, dave}');
SELECT jit_create_template('debug_read', '{USAGE ON SCHEMA app, SELECT ON app.orders}', requesters => '{developers}', approvers => '{leads, carol}',
    max_duration => '3 hours', default_duration => '90 minutes', cool_down => '5 minutes', risk => 'low', description => 'to "look"') AS role \gset
SELECT jit_create_template('hotfix', '{"USAGE, CREATE ON SCHEMA app"}', requesters => '{alice}', approvers => '{leads}', mode => 'set_role',
    allow_schema_change => true, at_deadline => 'grace', grace_period => '1 minute', approvals_needed => 2, distinct_groups => true) AS role \gset
SELECT jit_create_window('nights', 'Europe/Berlin', '22:00', '8 hours', weekdays => '{7,1}', first_day => '2026-01-01', days => '{}');
SELECT jit_create_rule('short', 'allow', '{debug_read}', role => 'developers', max_duration => '1h', networks => '{10.0.0.0/8}', windows => '{nights}');
CALL tap.start();
SET intervalstyle = 'iso_8601';
SELECT jit_export_policy() AS policy \gset
SELECT is(jsonb_pretty(:'policy'::jsonb - 'templates'), jsonb_pretty('{"people": [{"name": "Bob", "logins": ["bob", "dave"]}],
    "rules": [{"name": "short", "effect": "allow", "templates": ["debug_read"], "role": "developers", "max_duration": "01:00:00", "networks": ["10.0.0.0/8"], "windows": ["nights"]}],
    "windows": [{"name": "nights", "kind": "open", "time_zone": "Europe/Berlin", "starts": "22:00:00", "lasts": "08:00:00",
                 "weekdays": [1, 7], "first_day": "2026-01-01", "days": []}]}'::jsonb),
    'people, windows and rules');
SELECT is(jsonb_pretty(:'policy'::jsonb -> 'templates' -> 0), jsonb_pretty('{"name": "debug_read", "description": "to \"look\"", "mode": "inherit",
    "privileges": ["USAGE ON SCHEMA app", "SELECT ON app.orders"], "requesters": ["developers"], "approvers": ["carol", "leads"], "responders": [], "second_factor": [], "break_glass_per_day": 0,
    "max_duration": "03:00:00", "default_duration": "01:30:00", "cool_down": "00:05:00", "time_to_decide": "24:00:00", "risk": "low",
    "approvals_needed": 1, "distinct_groups": false, "person_at_once": 0, "person_per_day": 0, "template_at_once": 0, "template_per_day": 0,
    "login_connections": 1, "windows": [], "reason_required": false, "ticket_required": false, "allow_schema_change": false, "allow_code": false,
    "at_deadline": "terminate", "networks": [], "tls_required": false, "client_cert_required": false, "auth_methods": [], "databases": []}'::jsonb),
    'a template, with every setting');
SELECT is_empty(format('SELECT * FROM jit_import_policy(%L)', :'policy'), 'an exported policy imports without a difference');
SELECT * FROM jit_import_policy(:'policy', dry_run => false) \g /dev/null
SELECT results_eq('SELECT version FROM jit_access.template_catalog ORDER BY name', 'VALUES (1), (1)', 'nor when it is read');

-- Differences, rehearsed and applied.
SELECT jsonb_build_object('people', '[{"name": "Bob", "logins": ["bob"]}, {"name": "Carol", "logins": ["carol"]}]'::jsonb,
    'templates', jsonb_build_array(
        (:'policy'::jsonb -> 'templates' -> 0) - 'cool_down' || '{"max_duration": "2h", "approvers": ["leads"], "person_at_once": 2}',
        '{"name": "fresh", "privileges": ["USAGE ON SCHEMA app"], "requesters": ["developers"], "approvers": ["leads"], "mode": "login"}'::jsonb),
    'windows', '[{"name": "nights", "time_zone": "Europe/Berlin", "starts": "22:00", "lasts": "7h", "weekdays": [1, 7], "first_day": "2026-01-01"},
                 {"name": "holidays", "kind": "closed", "time_zone": "UTC", "days": ["2026-12-25", "2026-12-26"]}]'::jsonb,
    'rules', '[{"name": "short", "effect": "allow", "templates": ["debug_read"], "role": "developers", "max_duration": "60 minutes", "networks": ["10.0.0.0/8"], "windows": ["nights"]},
               {"name": "never", "effect": "deny", "templates": ["fresh"]}]'::jsonb) AS changed \gset
SELECT tap.state() AS before \gset
SELECT results_eq(format('SELECT * FROM jit_import_policy(%L)', :'changed'), $$VALUES ('changed', 'person', 'Bob', '{}'::text[]), ('created', 'person', 'Carol', '{}'), ('changed', 'window', 'nights', '{}'), ('created', 'window', 'holidays', '{}'),
    ('changed', 'template', 'debug_read', '{max_duration,cool_down,person_at_once,approvers}'), ('created', 'template', 'fresh', '{}'),
    ('created', 'rule', 'never', '{}'), ('not in the policy', 'template', 'hotfix', '{}')$$, 'a rehearsal tells the differences');
SELECT is(tap.state(), :'before', 'and makes none');
SELECT alike(tap.error(format('SELECT * FROM jit_import_policy(%L, false)', :'changed')), 'JA018 %', 'reading it is a statement of the administrator');
SELECT count(*) AS differences FROM jit_import_policy(:'changed', false) \gset
SELECT is(:differences, 8, 'read');
SELECT results_eq($$SELECT max_duration, cool_down, person_at_once, approvers, version FROM jit_access.template_catalog WHERE name = 'debug_read'$$,
    $$VALUES (interval '2 hours', NULL::interval, 2, '{leads}'::text[], 2)$$, 'the template is as in the document: omitted settings have their defaults');
SELECT results_eq('SELECT person, login FROM jit_access.people ORDER BY 1', $$VALUES ('Bob', 'bob'), ('Carol', 'carol')$$, 'so are people');
SELECT results_eq('SELECT name, effect FROM jit_access.rules ORDER BY 1', $$VALUES ('never', 'deny'), ('short', 'allow')$$, 'and rules');
SELECT results_eq('SELECT name, kind, starts, lasts FROM jit_access.windows ORDER BY 1',
    $$VALUES ('holidays', 'closed', '00:00'::time, interval '24 hours'), ('nights', 'open', '22:00', '7 hours')$$, 'and windows, in use or not');
SELECT results_eq('SELECT kind, name FROM jit_import_policy(''{}'') WHERE action = ''not in the policy''', $$VALUES ('person', 'Bob'), ('person', 'Carol'),
    ('window', 'holidays'), ('window', 'nights'), ('template', 'debug_read'), ('template', 'fresh'), ('template', 'hotfix'), ('rule', 'never'), ('rule', 'short')$$,
    'objects that are not in the document are reported');
SELECT results_eq(format('SELECT action FROM jit_import_policy(%L)', :'changed'), $$VALUES ('not in the policy')$$, 'read again it makes no difference');
CALL tap.wait_for_record();
SELECT is((SELECT count(*)::int FROM jit_access.audit_log WHERE kind = 'template changed' AND login = 'ada' AND detail ->> 'template' = 'debug_read'), 1, 'it is on the record, as if done by hand');

-- An invalid document is refused as a whole.
SELECT tap.state() AS before \gset
SELECT tap.refused(format('SELECT * FROM jit_import_policy(%L)', policy), error, error)
FROM (VALUES (1, '{"template": []}', 'JA001 invalid policy: The policy has "template", which is not known.'),
    (2, '[]', 'JA001 invalid policy: The policy: the server says: cannot call jsonb_object_keys on an array.'),
    (3, '{"templates": {}}', 'JA001 invalid policy: The policy: the server says: cannot extract elements from an object.'),
    (4, '{"templates": [{"name": "x", "privileges": ["USAGE ON SCHEMA app"], "superuser": true}]}', 'JA001 invalid policy: templates "x" has "superuser", which is not known.'),
    (5, '{"templates": [{"name": "x", "privileges": "USAGE ON SCHEMA app"}]}', 'JA001 invalid policy: templates "x", "privileges": the server says: cannot extract elements from a scalar.'),
    (6, '{"templates": [{"name": "x", "privileges": ["USAGE ON SCHEMA app"], "max_duration": "often"}]}', 'JA001 invalid policy: templates "x", "max_duration": the server says: invalid input syntax for type interval: "often".'),
    (7, '{"templates": [{"name": "x", "privileges": ["USAGE ON SCHEMA app"], "max_duration": "1 month"}]}', 'JA001 invalid max_duration: Months and years have no fixed length.'),
    (8, '{"templates": [{"name": "x", "privileges": ["USAGE ON SCHEMA app"], "approvers": ["nobody"]}]}', 'JA001 invalid approvers: There is no role "nobody".'),
    (9, '{"templates": [{"name": "hotfix", "mode": "inherit", "privileges": ["USAGE ON SCHEMA app"]}]}', 'JA001 cannot change the mode of template "hotfix": It is fixed when the template is created.'),
    (10, '{"templates": [{"privileges": ["USAGE ON SCHEMA app"]}]}', 'JA001 invalid template name: It is NULL.'),
    (11, '{"rules": [{"name": "x", "effect": "allow", "templates": ["missing"]}]}', 'JA002 template "missing" does not exist: Names are matched exactly.'),
    (15, '{"rules": [{"name": "x", "effect": "allow", "windows": ["nights"]}]}', 'JA001 invalid rule: It allows every template to everybody who may request it.'),
    (13, '{"windows": [{"name": "x", "time_zone": "Mars"}]}', 'JA001 invalid time zone: "Mars" is an abbreviation, an offset or no time zone.'),
    (14, '{"windows": [{"name": "x", "time_zone": "UTC", "days": ["someday"]}]}', 'JA001 invalid policy: windows "x": the server says: invalid input syntax for type date: "someday".'),
    (12, '{"people": [{"name": "X", "logins": ["carol"]}]}', 'JA001 invalid logins: "carol" belongs to "Carol" already.')) v (n, policy, error) ORDER BY n;
SELECT tap.refused('SELECT * FROM jit_import_policy(NULL)', 'JA001 invalid policy: It is NULL.', 'no policy');
SELECT jit_import_policy('{"people": [{"name": "Dave", "logins": ["dave"]}], "rules": [{"name": "x", "effect": "maybe"}]}', false);
SELECT is(:'LAST_ERROR_MESSAGE'::text, 'invalid effect', 'the last thing is wrong');
SELECT is(tap.state(), :'before', 'all or nothing');
\connect - olga
CALL tap.start();
SELECT is(jit_export_policy() ->> 'rules' IS NOT NULL, true, 'an auditor reads it');
SELECT is(tap.error('SELECT jit_import_policy(''{}'')'), '42501', 'and does not write it');
\connect - bob
CALL tap.start();
SELECT is(tap.error('SELECT jit_export_policy()'), '42501', 'others do neither');
\connect - ada
SELECT jit_drop_rule(name) FROM jit_access.rules \g /dev/null
SELECT jit_set_person(person, '{}') FROM jit_access.people \g /dev/null
SELECT jit_drop_window(name) FROM jit_access.windows \g /dev/null
\i test/sql/include/clean.sql
