\set ECHO none
\i test/sql/include/tap.sql
\i test/sql/include/people.sql
-- Recurring windows: their definition, the moments they cover, and their effect on requests, grants and rules.
\connect - ada
CALL tap.start();
SELECT tap.refused(format('SELECT jit_create_window(%s)', arguments), error, arguments)
FROM (VALUES ($$NULL, 'UTC'$$, 'JA001 invalid window name: It is NULL.'),
             ($$'Office', 'UTC'$$, 'JA001 invalid window name: A template name starts with a lower-case letter and consists of lower-case letters, digits, ''_'' and ''-''.'),
             ($$'x', NULL$$, 'JA001 invalid time zone: It is NULL.'),
             ($$'x', ''$$, 'JA001 invalid time zone: "" is an abbreviation, an offset or no time zone.'),
             ($$'x', 'FOO3BAR'$$, 'JA001 invalid time zone: "FOO3BAR" is an abbreviation, an offset or no time zone.'),
             ($$'x', 'EST5EDT'$$, 'JA001 invalid time zone: "EST5EDT" is an abbreviation, an offset or no time zone.'),
             ($$'x', 'CET'$$, 'JA001 invalid time zone: "CET" is an abbreviation, an offset or no time zone.'),
             ($$'x', '+02'$$, 'JA001 invalid time zone: "+02" is an abbreviation, an offset or no time zone.'),
             ($$'x', 'Europe/Atlantis'$$, 'JA001 invalid time zone: The server has no time zone "Europe/Atlantis".'),
             ($$'x', 'europe/berlin'$$, 'JA001 invalid time zone: The server has no time zone "europe/berlin".'),
             ($$'x', 'UTC', NULL$$, 'JA001 invalid starts: It is NULL.'),
             ($$'x', 'UTC', '24:00'$$, 'JA001 invalid starts: A day has no 24:00.'),
             ($$'x', 'UTC', lasts => NULL$$, 'JA001 invalid lasts: It is NULL.'),
             ($$'x', 'UTC', lasts => '59 seconds'$$, 'JA001 invalid lasts: It is 59s.'),
             ($$'x', 'UTC', lasts => '7 days 1 second'$$, 'JA001 invalid lasts: It is 7d 1s.'),
             ($$'x', 'UTC', lasts => '1 month'$$, 'JA001 invalid lasts: Months and years have no fixed length.'),
             ($$'x', 'UTC', lasts => '-1 hour'$$, 'JA001 invalid lasts: A duration is greater than zero.'),
             ($$'x', 'UTC', kind => NULL$$, 'JA001 invalid kind: It is NULL.'),
             ($$'x', 'UTC', kind => 'ajar'$$, 'JA001 invalid kind: "ajar" is not valid.'),
             ($$'x', 'UTC', weekdays => '{0}'$$, 'JA001 invalid weekdays: 0 is not valid.'),
             ($$'x', 'UTC', weekdays => '{1, 8}'$$, 'JA001 invalid weekdays: 8 is not valid.'),
             ($$'x', 'UTC', weekdays => '{1, NULL}'$$, 'JA001 invalid weekdays: The array holds a NULL.'),
             ($$'x', 'UTC', weekdays => '{{1}, {2}}'$$, 'JA001 invalid weekdays: The array has more than one dimension.'),
             ($$'x', 'UTC', first_day => '2026-02-02', last_day => '2026-02-01'$$, 'JA001 invalid last_day: It is before the first one.'),
             ($$'x', 'UTC', days => '{infinity}'$$, 'JA001 invalid days: A day is infinite or a thousand years away.'),
             ($$'x', 'UTC', first_day => '-infinity'$$, 'JA001 invalid days: A day is infinite or a thousand years away.')) r (arguments, error);
SELECT alike(tap.error($$SELECT jit_create_window('x', 'UTC')$$), 'JA018 %', 'a window is made by a statement of the administrator');
SELECT is((SELECT count(*)::int FROM jit_access.windows), 0, 'nothing came of these');

-- The moments they cover.
SELECT jit_create_window('berlin', 'Europe/Berlin', '09:00', '8 hours', weekdays => '{1, 2, 3, 4, 5}');
SELECT jit_create_window('night', 'Europe/Berlin', '02:30', '1 hour');
SELECT jit_create_window('small-hours', 'Europe/Berlin', '00:00', '6 hours');
SELECT jit_create_window('new-york', 'America/New_York', '01:30', '2 hours');
SELECT jit_create_window('lord-howe', 'Australia/Lord_Howe', '01:45', '1 hour');
SELECT jit_create_window('holidays', 'Europe/Berlin', kind => 'closed', days => '{2026-12-25, 2026-04-03}');
SELECT jit_create_window('on-call', 'Europe/Berlin', '09:00', '7 days', weekdays => '{1}', first_day => '2026-03-23', last_day => '2026-03-30');
SELECT jit_create_window('maintenance', 'UTC', '22:00', '4 hours', weekdays => '{6}');
SELECT jit_create_window('always', 'Europe/Berlin');
SELECT results_eq(format('SELECT (h).open, to_char((h).closes_at AT TIME ZONE ''UTC'', ''MM-DD HH24:MI''), to_char((h).opens_at AT TIME ZONE ''UTC'', ''MM-DD HH24:MI'') FROM jit_access.hours(%L, %L) h', windows, at),
                  format('VALUES (%L::boolean, %L, %L)', closes IS NOT NULL, closes, opens), what)
FROM (VALUES ('before the day', '{berlin}', '2026-11-24 07:59:59+00', NULL, '11-24 08:00'),
             ('its first moment', '{berlin}', '2026-11-24 08:00+00', '11-24 16:00', NULL),
             ('its last moment', '{berlin}', '2026-11-24 15:59:59.999999+00', '11-24 16:00', NULL),
             ('after it', '{berlin}', '2026-11-24 16:00+00', NULL, '11-25 08:00'),
             ('over the weekend', '{berlin}', '2026-11-27 16:00+00', NULL, '11-30 08:00'),
             ('summer time begins: before', '{berlin}', '2026-03-27 12:00+00', '03-27 16:00', NULL),
             ('summer time begins: after', '{berlin}', '2026-03-27 16:00+00', NULL, '03-30 07:00'),
             ('summer time ends: before', '{berlin}', '2026-10-23 14:00+00', '10-23 15:00', NULL),
             ('summer time ends: after', '{berlin}', '2026-10-23 15:00+00', NULL, '10-26 08:00'),
             ('a day of 23 hours', '{small-hours}', '2026-03-28 23:00+00', '03-29 04:00', NULL),
             ('a day of 25 hours', '{small-hours}', '2026-10-24 22:00+00', '10-25 05:00', NULL),
             ('its beginning is skipped, and with it the night', '{night}', '2026-03-29 01:00+00', NULL, '03-30 00:30'),
             ('its beginning comes twice', '{night}', '2026-10-25 00:30+00', NULL, '10-25 01:30'),
             ('the second time counts', '{night}', '2026-10-25 01:30+00', '10-25 02:30', NULL),
             ('New York, an hour is skipped', '{new-york}', '2026-03-08 06:30+00', '03-08 07:30', NULL),
             ('New York, an hour comes twice', '{new-york}', '2026-11-01 06:30+00', '11-01 08:30', NULL),
             ('Lord Howe, half an hour is skipped', '{lord-howe}', '2026-10-03 15:15+00', '10-03 15:45', NULL),
             ('Lord Howe, half an hour comes twice', '{lord-howe}', '2026-04-04 15:15+00', '04-04 16:15', NULL),
             ('every day, without a gap', '{always}', '2026-03-29 01:00+00', '06-28 22:00', NULL),
             ('a holiday', '{berlin,holidays}', '2026-04-03 08:00+00', NULL, '04-06 07:00'),
             ('open until the holiday', '{always,holidays}', '2026-04-02 21:59+00', '04-02 22:00', NULL),
             ('nothing but holidays', '{holidays}', '2026-12-24 22:59+00', '12-24 23:00', NULL),
             ('nothing but holidays, on one', '{holidays}', '2026-12-24 23:00+00', NULL, '12-25 23:00'),
             ('the week before on call', '{on-call}', '2026-03-23 07:59+00', NULL, '03-23 08:00'),
             ('two weeks on call are one', '{on-call}', '2026-03-23 08:00+00', '04-06 07:00', NULL),
             ('never again', '{on-call}', '2026-04-06 07:00+00', NULL, NULL),
             ('further than 90 days', '{on-call}', '2025-12-23 07:59+00', NULL, NULL),
             ('within 90 days', '{on-call}', '2025-12-23 08:00+00', NULL, '03-23 08:00'),
             ('over midnight', '{maintenance}', '2026-11-29 01:00+00', '11-29 02:00', NULL),
             ('one after the other', '{maintenance,berlin}', '2026-11-29 02:00+00', NULL, '11-30 08:00'))
     h (what, windows, at, closes, opens);
SET timezone_abbreviations = 'Australia';
SET DateStyle = 'SQL, DMY';
SET TimeZone = 'Pacific/Kiritimati';
SELECT is((SELECT opens_at FROM jit_access.hours('{berlin}', '24.11.2026 07:59+00')), '24.11.2026 08:00+00'::timestamptz, 'independent of the settings of the session');
RESET ALL;
SELECT is((SELECT (open, closes_at, opens_at)::text FROM jit_access.hours('{}')), '(t,,)', 'without any it is open');
SELECT tap.refused($$SELECT jit_access.hours('{missing}')$$, 'JA001 invalid windows: There is no window "missing".', 'of a window that is not there');
SELECT tap.refused($$SELECT jit_access.hours('{berlin}', 'infinity')$$, 'JA001 invalid at: It is infinite or a thousand years away.', 'at no time');
SELECT jit_create_window('berlin', 'UTC');
SELECT is(:'LAST_ERROR_MESSAGE'::text, 'invalid window name', 'a name is used once');
\connect - olga
CALL tap.start();
SELECT results_eq($$SELECT name, kind, time_zone, starts, lasts, weekdays, first_day, last_day, days FROM jit_access.windows WHERE name IN ('holidays', 'on-call') ORDER BY 1$$,
    $$VALUES ('holidays', 'closed', 'Europe/Berlin', '00:00'::time, '24:00:00'::interval, '{}'::int[], NULL::date, NULL::date, '{2026-04-03, 2026-12-25}'::date[]),
             ('on-call', 'open', 'Europe/Berlin', '09:00', '168:00:00', '{1}', '2026-03-23', '2026-03-30', '{}')$$, 'the windows, for auditors');
SELECT is(tap.error($$SELECT jit_create_window('mine', 'UTC')$$), '42501', 'other users create none');
CALL tap.wait_for_record();
SELECT results_eq($$SELECT detail FROM jit_access.audit_log WHERE kind = 'window created' AND detail ->> 'window' = 'on-call'$$,
    $$VALUES ('{"kind": "open", "lasts": "7d", "starts": "09:00:00", "window": "on-call", "weekdays": "1", "days": "", "last_day": "2026-03-30", "first_day": "2026-03-23", "time_zone": "Europe/Berlin"}'::jsonb)$$,
    'it is on the record');
\connect - alice
CALL tap.start();
SELECT is(tap.error($$SELECT * FROM jit_access.windows$$), '42501', 'other users do not see them');
SELECT is(tap.error($$SELECT jit_access.hours('{berlin}')$$), '42501', 'or asks about them');

-- Requests and grants. Open from an hour ago for three hours; from two hours on for one; yesterday, for the last time.
SELECT to_char(clock_timestamp() AT TIME ZONE 'UTC' - interval '1 hour', 'HH24:MI') AS hour_ago,
       to_char(clock_timestamp() AT TIME ZONE 'UTC' + interval '2 hours', 'HH24:MI') AS in_two_hours,
       ((clock_timestamp() + interval '1 hour') AT TIME ZONE 'UTC')::date AS tomorrow \gset
\connect - ada
SELECT jit_create_window('now', 'UTC', :'hour_ago', '3 hours');
SELECT jit_create_window('later', 'UTC', :'in_two_hours', '1 hour');
SELECT jit_create_window('gone', 'UTC', last_day => '2026-01-01');
CALL tap.start();
SELECT tap.refused(format($$SELECT jit_create_template('x', '{USAGE ON SCHEMA app}', windows => %L)$$, windows), 'JA001 invalid windows: ' || why, why)
FROM (VALUES ('{missing}', 'There is no window "missing".'), ('{now, now}', '"now" is named twice.'), ('{NULL}', 'The array holds a NULL.')) w (windows, why);
\connect - :owner
SELECT jit_create_template('open', '{USAGE ON SCHEMA app, SELECT ON app.orders}', requesters => '{alice}', approvers => '{bob}', windows => '{now}',
                           holder_extension => '1 hour', total_duration => '1 day') AS role \gset
SELECT jit_create_template('closed', '{USAGE ON SCHEMA app, SELECT ON app.orders}', requesters => '{alice}', approvers => '{bob}', windows => '{later}') AS role \gset
SELECT jit_create_template('never', '{USAGE ON SCHEMA app, SELECT ON app.orders}', requesters => '{alice}', approvers => '{bob}', windows => '{gone}') AS role \gset
SELECT jit_create_template('by-hand', '{USAGE ON SCHEMA app, SELECT ON app.orders}', requesters => '{alice}', approvers => '{bob}', windows => '{now}',
                           time_to_use => '1 day') AS role \gset
\connect - alice
CALL tap.start();
SELECT alike(tap.error($$SELECT jit_request('never', '1h')$$),
    'JA009 the windows of template "never" are closed: They do not open within 90 days after %.', 'a template whose windows never open cannot be requested');
SELECT alike(tap.error(format($$SELECT jit_request('open', '1h', starts_at => %L)$$, clock_timestamp() + interval '4 hours')),
    'JA009 the windows of template "open" are closed at that time: It would start at %; they open at %.', 'nor is a start when it is closed');
SELECT results_eq($$SELECT template_name, outcome, reasons[1] LIKE 'the windows of template "never" are closed: They do not open %',
                    reasons[2] LIKE 'its windows are closed: it opens at %:00 UTC', reasons[2] LIKE 'it ends when its windows close, at %:00 UTC'
                    FROM jit_eligibility(duration => '8h') WHERE template_name <> 'by-hand' ORDER BY 1$$,
    $$VALUES ('closed', 'needs approval', false, true, false), ('never', 'denied', true, NULL, NULL), ('open', 'needs approval', false, false, true)$$, 'the requester sees this before');
SELECT jit_request('closed', '30 minutes') AS closed, jit_request('open', '8h') AS open, jit_request('by-hand', '1h') AS by_hand \gset
SELECT jit_request('open', '10 minutes', starts_at => clock_timestamp() + interval '30 minutes') AS soon \gset
\connect - bob
CALL tap.start();
SELECT is((SELECT stale FROM jit_access.pending_requests WHERE id = :closed), false, 'nothing is stale');
SELECT jit_approve(:closed) AS got, jit_approve(:by_hand) AS got_2 \gset
SELECT is(:'got'::text, 'scheduled', 'approved while it is closed: scheduled');
SELECT jit_approve(:open) AS got \gset
SELECT is(:'got'::text, 'active', 'approved while it is open: active');
SELECT jit_approve(:soon) AS got \gset
SELECT is(:'got'::text, 'scheduled', 'a start that was asked for');
\connect - alice
CALL tap.start();
SELECT is((SELECT starts_at FROM jit_access.my_requests WHERE id = :closed),
    date_trunc('minute', starts_at), 'it starts when they open') FROM jit_access.my_requests WHERE id = :closed;
SELECT is((SELECT to_char(starts_at AT TIME ZONE 'UTC', 'HH24:MI') FROM jit_access.my_grants WHERE id = :closed), :'in_two_hours', 'that is when they do');
SELECT is((SELECT to_char(ends_at AT TIME ZONE 'UTC', 'HH24:MI:SS') FROM jit_access.my_grants WHERE id = :open),
    to_char(:'hour_ago'::time + interval '3 hours', 'HH24:MI:SS'), 'it ends when they close');
SELECT count(*) AS seen FROM app.orders \gset
SELECT jit_extend(:open, '1 minute');
SELECT is(:'LAST_ERROR_MESSAGE'::text, format('cannot extend request %s', :open), 'it is not extended beyond that');
SELECT jit_activate(:by_hand) AS got \gset
SELECT is(:'got'::text, 'active', 'an approved request is activated while they are open');
SELECT jit_extend(:by_hand, '30 minutes');
SELECT is(:'LAST_ERROR_MESSAGE'::text, format('cannot extend request %s', :by_hand), 'the holder''s own limit is checked first');
\connect - bob
SELECT jit_extend(:by_hand, '30 minutes') IS NOT NULL AS got \gset
CALL tap.start();
SELECT is(:'got'::text, 't', 'up to that it is extended');
\connect - olga
CALL tap.start();
SELECT alike((SELECT array_to_string(reasons, '; ') FROM jit_access.grant_history WHERE id = :open), '%; it ends when its windows close, at %:00 UTC', 'the history says why');
SELECT alike((SELECT array_to_string(reasons, '; ') FROM jit_access.grant_history WHERE id = :closed), '%; its windows are closed: it opens at %:00 UTC', 'and why it was put off');
CALL tap.wait_for_record();
SELECT alike((SELECT detail ->> 'reason' FROM jit_access.audit_log WHERE grant_id = :open AND kind = 'activated'), 'it ends when its windows close, at %', 'so does the record');
SELECT is((SELECT detail ->> 'reason' FROM jit_access.audit_log WHERE grant_id = :closed AND kind = 'scheduled'), 'its windows are closed', 'of both');

-- A later change moves no deadline; a scheduled start is checked again.
\connect - :owner
CALL tap.start();
SELECT ends_at AS ends FROM jit_access.request WHERE id = :open \gset
UPDATE jit_access.time_window SET last_day = '2026-01-01' WHERE name = 'now';
UPDATE jit_access.request SET starts_at = clock_timestamp() WHERE id IN (:closed, :soon);
SELECT jit_alter_template('never', description => 'wakes the worker') AS version \gset
CALL tap.wait_until(format('SELECT bool_and(state = ''lapsed'') FROM jit_access.request WHERE id IN (%s, %s)', :closed, :soon));
SELECT alike((SELECT close_reason FROM jit_access.request WHERE id = :closed), 'could not be activated: the windows of template "closed" are closed%', 'a scheduled grant does not start while they are closed');
SELECT is((SELECT state::text || ends_at FROM jit_access.request WHERE id = :open), 'active' || :'ends', 'an active grant keeps its deadline');
\connect - bob
SELECT jit_extend(:open, '1 minute');
CALL tap.start();
SELECT is(:'LAST_ERROR_MESSAGE'::text, format('cannot extend request %s', :open), 'but is not extended');
\connect - :owner
UPDATE jit_access.time_window SET last_day = NULL WHERE name = 'now';
UPDATE jit_access.time_window SET starts = :'hour_ago', lasts = '3 hours' WHERE name = 'later';

-- An approval while they are open, and one after the requested start.
\connect - alice
SELECT jit_request('closed', '30 minutes') AS closed \gset
\connect - bob
CALL tap.start();
SELECT jit_approve(:closed) AS got \gset
SELECT is(:'got'::text, 'active', 'it has opened meanwhile');
\connect - alice
SELECT jit_request('closed', '30 minutes', starts_at => clock_timestamp() + interval '1 hour') AS missed \gset
\connect - :owner
UPDATE jit_access.request SET starts_at = clock_timestamp() - interval '1 minute', requested_start = clock_timestamp() - interval '1 minute' WHERE id = :missed;
UPDATE jit_access.request SET digest = jit_access.request_digest(id) WHERE id = :missed;
UPDATE jit_access.time_window SET starts = :'in_two_hours', lasts = '1 hour' WHERE name = 'later';
\connect - bob
CALL tap.start();
SELECT jit_approve(:missed) AS got \gset
SELECT is(:'got'::text, 'scheduled', 'a start that has been missed is put off as well');
\connect - :owner
CALL tap.start();
SELECT is((SELECT digest = jit_access.request_digest(id) AND starts_at > clock_timestamp() AND requested_start < clock_timestamp() FROM jit_access.request WHERE id = :missed), true,
    'which is no other request');
UPDATE jit_access.time_window SET starts = :'hour_ago', lasts = '3 hours' WHERE name = 'later';
UPDATE jit_access.request SET starts_at = clock_timestamp() WHERE id = :missed;
SELECT jit_alter_template('never', description => 'wakes the worker again') AS version \gset
CALL tap.wait_until(format('SELECT state = ''active'' FROM jit_access.request WHERE id = %s', :missed));

-- Rules.
\connect - ada
SELECT jit_create_window('tonight', 'UTC', :'in_two_hours', '1 hour');
SELECT jit_create_rule('while-open', 'allow', '{open}', max_duration => '1h', windows => '{now}');
SELECT jit_create_rule('not-tonight', 'deny', '{open}', windows => '{tonight}');
\connect - alice
CALL tap.start();
SELECT results_eq($$SELECT outcome, reasons FROM jit_eligibility('open', '1h')$$,
    $$VALUES ('allowed', '{"rule \"while-open\" allows it without an approval"}'::text[])$$, 'a rule in its hours');
SELECT jit_request('open', '1h') AS ruled \gset
SELECT is((SELECT state::text FROM jit_access.my_requests WHERE id = :ruled), 'active', 'gives it');
\connect - :owner
UPDATE jit_access.time_window SET starts = :'hour_ago', lasts = '3 hours' WHERE name = 'tonight';
\connect - alice
CALL tap.start();
SELECT results_eq($$SELECT outcome, reasons[1] FROM jit_eligibility('open', '1h')$$,
    $$VALUES ('denied', 'rule "not-tonight" forbids it: A rule that denies takes precedence over rules and approvals.')$$, 'in the hours of another it is forbidden');
\connect - :owner
UPDATE jit_access.time_window SET starts = :'in_two_hours', lasts = '1 hour' WHERE name = 'tonight';
UPDATE jit_access.rule SET windows = '{tonight}' WHERE name = 'while-open';
\connect - alice
CALL tap.start();
SELECT results_eq($$SELECT outcome FROM jit_eligibility('open', '1h')$$, $$VALUES ('needs approval')$$, 'out of its hours it allows nothing');

-- Dropping.
\connect - ada
SELECT jit_drop_window('now');
CALL tap.start();
SELECT is(:'LAST_ERROR_MESSAGE'::text, 'cannot drop window "now"', 'a window that is named stays');
SELECT tap.refused($$SELECT jit_drop_window('tonight')$$, 'JA005 cannot drop window "tonight": It is named by rule "not-tonight", rule "while-open".', 'by a rule');
SELECT tap.refused($$SELECT jit_drop_window('gone')$$, 'JA005 cannot drop window "gone": It is named by template "never".', 'by a template');
SELECT tap.refused($$SELECT jit_drop_window('missing')$$, 'JA001 invalid window name: There is no window "missing".', 'one that is not there');
SELECT alike(tap.error($$SELECT jit_drop_window('berlin')$$), 'JA018 %', 'by a statement of the administrator');
SELECT jit_drop_window('berlin');
SELECT jit_alter_template('never', windows => '{}') AS version \gset
SELECT jit_drop_window('gone');
SELECT is((SELECT count(*)::int FROM jit_access.windows WHERE name IN ('berlin', 'gone')), 0, 'an unused window can be dropped');
-- A window that was deleted from the table by hand counts as closed.
\connect - :owner
DELETE FROM jit_access.time_window WHERE name = 'later';
\connect - alice
CALL tap.start();
SELECT alike(tap.error($$SELECT jit_request('closed', '1h')$$), 'JA009 the windows of template "closed" are closed: They do not open %', 'a window that is missing is closed');

\connect - ada
SELECT jit_drop_rule(name) FROM jit_access.rules \g /dev/null
\i test/sql/include/clean.sql
\connect - :owner
DELETE FROM jit_access.time_window;
