\set ECHO none
\i test/sql/include/tap.sql
\i test/sql/include/people.sql
-- Bad input gets a clear error and changes nothing.
SELECT jit_create_template('debug_read', '{USAGE ON SCHEMA app, SELECT ON app.orders}', requesters => '{alice}', approvers => '{bob}',
                           max_duration => '8h', holder_extension => '1h') AS role \gset
\connect - alice
SELECT jit_request('debug_read', '1h') AS pending \gset
SELECT jit_request('debug_read', '1h') AS active \gset
\connect - bob
SELECT jit_approve(:active) AS state \gset
\connect - :owner
-- The calls and their expected errors; `refusals` is filled and emptied for each group.
CREATE TABLE tap.refusals (n integer GENERATED ALWAYS AS IDENTITY, call text, error text, description text);
GRANT SELECT ON tap.refusals TO PUBLIC;
SELECT jit_create_template('spare', '{USAGE ON SCHEMA app}') AS spare \gset
SELECT tap.state() AS before \gset

-- Durations, in every function that takes one.
INSERT INTO tap.refusals (call, error, description)
SELECT format(call, quote_nullable(duration) || '::interval', id), format('JA001 invalid %s: %s', argument, why), format('%s: %s', argument, duration)
FROM (VALUES (1, '0', 'A duration is greater than zero.'), (2, '-1 hour', 'A duration is greater than zero.'),
             (3, '1 day -25 hours', 'A duration is greater than zero.'), (4, '0.5 seconds', 'The shortest duration is one second.'),
             (5, '999999 microseconds', 'The shortest duration is one second.'), (6, '1 mon', 'Months and years have no fixed length.'),
             (7, '1 mon -29 days', 'Months and years have no fixed length.'), (8, '1200 mons -35999 days', 'Months and years have no fixed length.'),
             (9, '10 years', 'Months and years have no fixed length.'), (10, '3661 days', 'The longest duration is 3660 days.'),
             (11, '2147483647 days', 'The interval does not fit in microseconds.'), (12, '2147483647 days 2562047788 hours', 'The interval does not fit in microseconds.'),
             (13, '-2147483648 days -2562047788 hours', 'The interval does not fit in microseconds.')) d (n, duration, why),
     (VALUES (1, 'SELECT jit_request(''debug_read'', %s)', 0, 'duration'), (2, 'SELECT jit_extend(%2$s, %1$s)', :active, 'duration'),
             (3, 'SELECT jit_approve(%2$s, NULL, %1$s)', :pending, 'duration'),
             (4, 'SELECT jit_create_template(''x'', ''{USAGE ON SCHEMA app}'', max_duration => %s)', 0, 'max_duration'),
             (5, 'SELECT jit_create_template(''x'', ''{USAGE ON SCHEMA app}'', default_duration => %s)', 0, 'default_duration'),
             (6, 'SELECT jit_create_template(''x'', ''{USAGE ON SCHEMA app}'', holder_extension => %s)', 0, 'holder_extension'),
             (7, 'SELECT jit_create_template(''x'', ''{USAGE ON SCHEMA app}'', time_to_decide => %s)', 0, 'time_to_decide'),
             (8, 'SELECT jit_alter_template(''debug_read'', max_duration => %s)', 0, 'max_duration')) c (n, call, id, argument)
-- Zero removes an optional duration.
WHERE NOT (d.duration = '0' AND c.n IN (5, 6)) ORDER BY c.n, d.n;
CALL tap.start();
SELECT tap.refused(call, error, description) FROM tap.refusals WHERE call ~ '_template\(' ORDER BY n;
\connect - alice
CALL tap.start();
SELECT tap.refused(call, error, description) FROM tap.refusals WHERE call ~ 'jit_(request|extend)\(' ORDER BY n;
SELECT tap.refused($$SELECT jit_request('debug_read', '8 hours 0.000001 seconds')$$,
    'JA009 the duration is over the maximum of template "debug_read": 8h 0.000001s was asked for; the maximum is 8h.', 'a microsecond too long');
SELECT tap.refused($$SELECT jit_request('debug_read', '3660 days')$$,
    'JA009 the duration is over the maximum of template "debug_read": 3660d was asked for; the maximum is 8h.', 'years too long');
\connect - bob
CALL tap.start();
SELECT tap.refused(call, error, description) FROM tap.refusals WHERE call ~ 'jit_approve\(' ORDER BY n;
SELECT tap.refused(format('SELECT jit_approve(%s, NULL, ''61 minutes'')', :pending),
    format('JA009 an approval cannot widen request %s: 1h was asked for.', :pending), 'an approval for longer than was asked');

-- Ids, in every function that takes one.
\connect - :owner
TRUNCATE tap.refusals;
INSERT INTO tap.refusals (call, error, description)
SELECT format(call, id), 'JA001 invalid request id: ' || coalesce(why, shown || ' is not a positive whole number of at most 19 digits.'), format(call, id)
FROM (VALUES (1, 'NULL', '', 'The id is NULL.'), (2, '0', '0', NULL), (3, '-1', '-1', NULL), (4, '1.5', '1.5', NULL),
             (5, '9223372036854775808', '9223372036854775808', NULL), (6, '''NaN''', 'NaN', NULL), (7, '''Infinity''', 'Infinity', NULL),
             (8, '1e100', '1' || repeat('0', 99) || '...', NULL), (9, '0.4', '0.4', NULL)) i (n, id, shown, why),
     (VALUES (1, 'SELECT jit_cancel(%s)'), (2, 'SELECT jit_extend(%s, ''1h'')'), (3, 'SELECT jit_approve(%s)'), (4, 'SELECT jit_deny(%s, ''no'')'),
             (5, 'SELECT jit_revoke(%s)'), (6, 'SELECT jit_resume(%s)'), (7, 'SELECT jit_activate(%s)'), (8, 'SELECT jit_credentials(%s)')) c (n, call) ORDER BY c.n, i.n;
INSERT INTO tap.refusals (call, error, description)
SELECT format(call, id), format('JA003 request %s does not exist, or you may not see it: A request is shown to its requester, the approvers of its template, auditors and administrators.', id), format(call, id)
FROM (VALUES (1, '9223372036854775807'), (2, '2147483647'), (3, '4611686018427387904')) i (n, id),
     (VALUES (1, 'SELECT jit_cancel(%s)'), (2, 'SELECT jit_extend(%s, ''1h'')'), (3, 'SELECT jit_approve(%s)'), (4, 'SELECT jit_deny(%s, ''no'')'),
             (5, 'SELECT jit_revoke(%s)'), (6, 'SELECT jit_resume(%s)')) c (n, call) ORDER BY c.n, i.n;
\connect - bob
CALL tap.start();
SELECT tap.refused(call, error, description) FROM tap.refusals ORDER BY n;
SELECT unalike(tap.error(format('SELECT jit_approve(%s::%s)', :pending, type)), 'JA001%', 'an id of type ' || type)
FROM unnest('{smallint, integer, bigint, numeric}'::text[]) AS type;

-- Free text, in every function that takes it.
\connect - :owner
TRUNCATE tap.refusals;
INSERT INTO tap.refusals (call, error, description)
SELECT format(call, quote_literal(text), id), format('JA001 invalid %s: %s', argument, why), format('%s, %s: %s', split_part(call, ' ', 2), argument, description)
FROM (VALUES (1, 'an empty one', '', 'It is empty.'), (2, 'a blank one', '    ', 'It is empty.'),
             (3, 'a megabyte', repeat('x', 1048576), 'It has 1048576 bytes; the limit is 2000.'),
             (4, 'one byte too much', repeat('é', 1000) || 'x', 'It has 2001 bytes; the limit is 2000.'),
             (5, 'a newline', E'fine\nforged line', 'It holds a control character or invisible formatting at byte 5.'),
             (6, 'a tab', E'a\tb', 'It holds a control character or invisible formatting at byte 2.'),
             (7, 'an escape', E'\x1B[2J', 'It holds a control character or invisible formatting at byte 1.'),
             (8, 'DEL', E'a\x7F', 'It holds a control character or invisible formatting at byte 2.'),
             (9, 'a C1 control', U&'a\0085', 'It holds a control character or invisible formatting at byte 2.'),
             (10, 'right to left', U&'a\202Eb', 'It holds a control character or invisible formatting at byte 2.'),
             (11, 'zero width', U&'a\200Bb', 'It holds a control character or invisible formatting at byte 2.'),
             (12, 'an isolate', U&'a\2066b', 'It holds a control character or invisible formatting at byte 2.'),
             (13, 'a byte order mark', U&'a\FEFF', 'It holds a control character or invisible formatting at byte 2.'),
             (14, 'a soft hyphen', U&'a\00AD', 'It holds a control character or invisible formatting at byte 2.'),
             (15, 'an Arabic mark', U&'a\061C', 'It holds a control character or invisible formatting at byte 2.'),
             (16, 'a joiner', U&'a\034F', 'It holds a control character or invisible formatting at byte 2.'),
             (17, 'a filler', U&'\3164', 'It holds a control character or invisible formatting at byte 1.'),
             (18, 'a blank', U&'\2800', 'It holds a control character or invisible formatting at byte 1.'),
             (19, 'a vowel separator', U&'a\180E', 'It holds a control character or invisible formatting at byte 2.'),
             (20, 'an annotation', U&'a\FFF9', 'It holds a control character or invisible formatting at byte 2.'),
             (21, 'a tag', U&'a\+0E0041', 'It holds a control character or invisible formatting at byte 2.'),
             (22, 'wide spaces', U&'\3000\2003', 'It is empty.')) t (n, description, text, why),
     (VALUES (1, 'SELECT jit_request(''debug_read'', ''1h'', reason => %s)', 0, 'reason'), (2, 'SELECT jit_request(''debug_read'', ''1h'', ticket => %s)', 0, 'ticket'),
             (3, 'SELECT jit_cancel(%2$s, %1$s)', :pending, 'reason'), (4, 'SELECT jit_extend(%2$s, ''1 minute'', %1$s)', :active, 'reason'),
             (5, 'SELECT jit_revoke(%2$s, %1$s)', :active, 'reason'), (6, 'SELECT jit_approve(%2$s, %1$s)', :pending, 'comment'),
             (7, 'SELECT jit_deny(%2$s, %1$s)', :pending, 'reason'),
             (8, 'SELECT jit_create_template(''x'', ''{USAGE ON SCHEMA app}'', description => %s)', 0, 'description'),
             (9, 'SELECT jit_alter_template(''debug_read'', description => %s)', 0, 'description')) c (n, call, id, argument) ORDER BY c.n, t.n;
CALL tap.start();
SELECT tap.refused(call, error, description) FROM tap.refusals WHERE call ~ '_template\(' ORDER BY n;
\connect - alice
CALL tap.start();
SELECT tap.refused(call, error, description) FROM tap.refusals WHERE call ~ 'jit_(request|cancel|extend|revoke)\(' ORDER BY n;
\connect - bob
CALL tap.start();
SELECT tap.refused(call, error, description) FROM tap.refusals WHERE call ~ 'jit_(approve|deny)\(' ORDER BY n;

-- Other texts that approvers read: the items of a template, and the scope of a request.
\connect - alice
CALL tap.start();
SELECT tap.refused(format('SELECT jit_request(''debug_read'', ''1h'', scope => ARRAY[%L])', 'app.' || c || 'orders'), 'JA001 invalid scope: It holds a control character or invisible formatting at byte 5.', 'a scope, ' || description)
FROM (VALUES (1, E'\n', 'a newline'), (2, E'\x1B', 'an escape'), (3, U&'\202E', 'right to left')) t (n, c, description) ORDER BY n;
\connect - :owner
CALL tap.start();
SELECT tap.refused(format(statement, item), 'JA001 invalid privileges: It holds a control character or invisible formatting at byte 8.', 'an item, ' || description || ', ' || split_part(statement, '(', 1))
FROM (VALUES (1, E'SELECT \nON app.orders', 'a newline'), (2, E'SELECT \x1B[2JON app.orders', 'an escape'), (3, U&'SELECT \202EON app.orders', 'right to left'),
             (4, U&'SELECT \+0E0041ON app.orders', 'a tag')) t (n, item, description),
     (VALUES (1, 'SELECT jit_create_template(''x'', ARRAY[%L])'), (2, 'SELECT jit_alter_template(''spare'', privileges => ARRAY[%L])')) c (m, statement) ORDER BY m, n;

-- Names of templates, lists and choices.
\connect - :owner
CALL tap.start();
SELECT tap.refused(format($$SELECT jit_create_template(%L, '{USAGE ON SCHEMA app}')$$, name), 'JA001 invalid template name: ' || why, description)
FROM (VALUES (1, NULL, 'It is NULL.', 'name: NULL'), (2, '', 'It is empty.', 'name: empty'),
             (3, repeat('x', 41), 'It has 41 bytes; the limit is 40.', 'name: too long'),
             (4, repeat('x', 1048576), 'It has 1048576 bytes; the limit is 40.', 'name: a megabyte'),
             (5, 'Upper', 'A template name starts with a lower-case letter and consists of lower-case letters, digits, ''_'' and ''-''.', 'name: a capital letter'),
             (6, '1st', 'A template name starts with a lower-case letter and consists of lower-case letters, digits, ''_'' and ''-''.', 'name: a digit first'),
             (7, 'a b', 'A template name starts with a lower-case letter and consists of lower-case letters, digits, ''_'' and ''-''.', 'name: a space'),
             (8, 'a"b', 'A template name starts with a lower-case letter and consists of lower-case letters, digits, ''_'' and ''-''.', 'name: a quote'),
             (9, E'a\nb', 'A template name starts with a lower-case letter and consists of lower-case letters, digits, ''_'' and ''-''.', 'name: a newline'),
             (10, U&'\0430', 'A template name starts with a lower-case letter and consists of lower-case letters, digits, ''_'' and ''-''.', 'name: a Cyrillic letter')) v (n, name, why, description)
ORDER BY n;
SELECT tap.refused(call, error, call) FROM (VALUES
    (1, $$SELECT jit_create_template('debug_read', '{USAGE ON SCHEMA app}')$$, 'JA007 template "debug_read" exists already'),
    (2, $$SELECT jit_create_template('x', '{NULL}')$$, 'JA001 invalid privileges: The array holds a NULL.'),
    (3, $$SELECT jit_create_template('x', '{{USAGE ON SCHEMA app}}')$$, 'JA001 invalid privileges: The array has more than one dimension.'),
    (4, $$SELECT jit_create_template('x', NULL)$$, 'JA001 invalid privileges: A template without privileges gives nothing.'),
    (5, $$SELECT jit_create_template('x', '{USAGE ON SCHEMA app}', requesters => '{alice, NULL}')$$, 'JA001 invalid requesters: The array holds a NULL.'),
    (6, $$SELECT jit_create_template('x', '{USAGE ON SCHEMA app}', approvers => '{{alice}, {bob}}')$$, 'JA001 invalid approvers: The array has more than one dimension.'),
    (7, $$SELECT jit_create_template('x', '{USAGE ON SCHEMA app}', requesters => '{nobody}')$$, 'JA001 invalid requesters: There is no role "nobody".'),
    (8, $$SELECT jit_create_template('x', '{USAGE ON SCHEMA app}', approvers => '{""}')$$, 'JA001 invalid approvers: There is no role "".'),
    (9, $$SELECT jit_create_template('x', '{USAGE ON SCHEMA app}', approvers => '{public}')$$, 'JA001 invalid approvers: There is no role "public".'),
    (10, $$SELECT jit_create_template('x', '{USAGE ON SCHEMA app}', approvers => '{current_user}')$$, 'JA001 invalid approvers: There is no role "current_user".'),
    (11, $$SELECT jit_create_template('x', '{USAGE ON SCHEMA app}', approvers => '{10}')$$, 'JA001 invalid approvers: There is no role "10".'),
    (12, $$SELECT jit_create_template('x', '{USAGE ON SCHEMA app}', approvers => '{ALICE}')$$, 'JA001 invalid approvers: There is no role "ALICE".'),
    (13, $$SELECT jit_create_template('x', '{USAGE ON SCHEMA app}', mode => '')$$, 'JA001 invalid mode: "" is not a mode.'),
    (14, $$SELECT jit_create_template('x', '{USAGE ON SCHEMA app}', mode => 'SET_ROLE')$$, 'JA001 invalid mode: "SET_ROLE" is not a mode.'),
    (15, $$SELECT jit_create_template('x', '{USAGE ON SCHEMA app}', approvals_needed => 0)$$, 'JA001 invalid approvals_needed: It is 0.'),
    (16, $$SELECT jit_create_template('x', '{USAGE ON SCHEMA app}', approvals_needed => -2147483648)$$, 'JA001 invalid approvals_needed: It is -2147483648.'),
    (17, $$SELECT jit_create_template('x', '{USAGE ON SCHEMA app}', approvals_needed => 11)$$, 'JA001 invalid approvals_needed: It is 11.'),
    (18, $$SELECT jit_create_template('x', '{USAGE ON SCHEMA app}', default_duration => '9h')$$, 'JA001 invalid default_duration: 9h is more than the maximum, 8h.'),
    (19, $$SELECT jit_create_template('x', role => '')$$, 'JA001 invalid role: There is no role "".'),
    (20, $$SELECT jit_alter_template(NULL)$$, 'JA001 invalid template name: It is NULL.'),
    (21, $$SELECT jit_alter_template('')$$, 'JA002 template "" does not exist: Names are matched exactly.'),
    (22, $$SELECT jit_alter_template('missing')$$, 'JA002 template "missing" does not exist: Names are matched exactly.'),
    (23, $$SELECT jit_alter_template('debug_read', privileges => '{NULL}')$$, 'JA001 invalid privileges: The array holds a NULL.'),
    (24, $$SELECT jit_alter_template('debug_read', requesters => '{nobody}')$$, 'JA001 invalid requesters: There is no role "nobody".'),
    (25, $$SELECT jit_alter_template('debug_read', approvers => '{NULL}')$$, 'JA001 invalid approvers: The array holds a NULL.'),
    (26, $$SELECT jit_alter_template('debug_read', approvals_needed => 0)$$, 'JA001 invalid approvals_needed: It is 0.'),
    (27, $$SELECT jit_alter_template('debug_read', default_duration => '1 day')$$, 'JA001 invalid default_duration: 1d is more than the maximum, 8h.'),
    (28, $$SELECT jit_drop_template(NULL)$$, 'JA001 invalid template name: It is NULL.'),
    (29, $$SELECT jit_drop_template('missing')$$, 'JA002 template "missing" does not exist: Names are matched exactly.')) v (n, call, error) ORDER BY n;
SELECT jit_create_template('all_null', '{USAGE ON SCHEMA app}', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL) AS got \gset
SELECT is(:'got'::text, 'jit_template_all_null', 'NULL for an optional argument is the same as leaving it out');
SELECT lives_ok($$SELECT jit_drop_template('all_null')$$, 'which makes a template like any other');
DELETE FROM jit_access.template WHERE name = 'all_null';

\connect - alice
CALL tap.start();
SELECT tap.refused(call, error, call) FROM (VALUES
    (1, $$SELECT jit_request(NULL, '1h')$$, 'JA001 invalid template name: It is NULL.'),
    (2, $$SELECT jit_request('', '1h')$$, 'JA002 template "" does not exist, or you may not use it: Names are matched exactly, and a template is shown to those whom it lists.'),
    (3, $$SELECT jit_request('debug_read', NULL)$$, 'JA001 invalid duration: It is NULL, and template "debug_read" has no default.'),
    (4, $$SELECT jit_request('debug_read', '1h', starts_at => '-infinity')$$, 'JA001 invalid starts_at: It is not in the future.'),
    (5, $$SELECT jit_request('debug_read', '1h', starts_at => clock_timestamp() - interval '1 second')$$, 'JA001 invalid starts_at: It is not in the future.'),
    (6, $$SELECT jit_request('debug_read', '1h', starts_at => '4714-11-24 00:00:00+00 BC')$$, 'JA001 invalid starts_at: It is not in the future.'),
    (7, $$SELECT jit_request('debug_read', '1h', starts_at => 'infinity')$$, 'JA001 invalid starts_at: It is more than 90 days ahead.'),
    (8, $$SELECT jit_request('debug_read', '1h', starts_at => clock_timestamp() + interval '91 days')$$, 'JA001 invalid starts_at: It is more than 90 days ahead.'),
    (9, $$SELECT jit_request('debug_read', '1h', starts_at => '294276-12-31 23:59:59+00')$$, 'JA001 invalid starts_at: It is more than 90 days ahead.')) v (n, call, error) ORDER BY n;
-- Items that the grammar accepts and the command refuses.
SELECT tap.refused(format('CREATE STATISTICS s ON x, y FROM %s', source), '0A000', 'statistics of ' || source)
FROM (VALUES (1, '(SELECT 1 AS x, 2 AS y) q'), (2, 'generate_series(1, 2) x'), (3, 'app.orders JOIN app.customers ON true'),
             (4, 'app.orders TABLESAMPLE system (1)')) v (n, source) ORDER BY n;
-- Input that an error repeats stays text, however it is cut.
SELECT lives_ok(format($$SELECT convert_to(%L, 'LATIN1')$$, tap.error(format('SELECT jit_request(%L, ''1h'')', 'x' || repeat('é', 500)))),
                'a long unknown template name is not cut inside a character');
SELECT lives_ok(format($$SELECT convert_to(%L, 'LATIN1')$$, tap.error(format('SELECT jit_request(''debug_read'', ''1h'', scope => ARRAY[%L])', 'x' || repeat('é', 500)))),
                'nor is the name of a table');
\connect - :owner
CALL tap.start();
SELECT lives_ok(format($$SELECT convert_to(%L, 'LATIN1')$$, tap.error(format('SELECT jit_create_template(''x'', ''{USAGE ON SCHEMA app}'', requesters => ARRAY[%L])', 'x' || repeat('é', 500)))),
                'nor is the name of a role');
SELECT lives_ok(format($$SELECT convert_to(%L, 'LATIN1')$$, tap.error(format('SELECT jit_create_template(''x'', ARRAY[%L])', 'x' || repeat('é', 500)))),
                'nor is an item');
SELECT lives_ok(format($$SELECT convert_to(%L, 'LATIN1')$$, tap.error(format('SELECT jit_create_template(''x'', ''{USAGE ON SCHEMA app}'', mode => %L)', 'x' || repeat('é', 500)))),
                'nor is a mode');
SELECT is(tap.state(), :'before', 'all this has changed nothing');
DROP TABLE tap.refusals;
\i test/sql/include/clean.sql
