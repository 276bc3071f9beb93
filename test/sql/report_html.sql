\set ECHO none
\i test/sql/include/tap.sql
\i test/sql/include/people.sql
-- Reports: free text stays text, in a page and in a spreadsheet; only auditors make reports, and each report is on the
-- record.
SELECT jit_create_template('debug', '{USAGE ON SCHEMA app, SELECT ON app.orders}', requesters => '{developers}', approvers => '{leads}', risk => 'high') AS role \gset
CREATE ROLE "<b onclick=x>""'&amp;" LOGIN IN ROLE developers;
\connect - alice
SELECT jit_request('debug', '1h', '<script>alert("x")</script>') AS script, jit_request('debug', '1h', '=HYPERLINK("http://x","y")') AS formula,
       jit_request('debug', '1h', '-1+2, "quoted", and more') AS minus, jit_request('debug', '1h', '</td></table><img src=x onerror=alert(1)>') AS denied \gset
\connect - "<b onclick=x>""'&amp;"
SELECT jit_request('debug', '1h', 'Köln ''&<>" שלום') AS named \gset
\connect - bob
SELECT jit_approve(:script), jit_approve(:formula), jit_approve(:minus, comment => '@SUM(A1)'), jit_approve(:named), jit_deny(:denied, '+1') \g /dev/null
\connect - alice
CALL tap.start();
SELECT is(count(*), 3::bigint, 'used') FROM app.orders;
SELECT tap.refused(format('SELECT jit_approve(%s)', :script), 'JA006 cannot decide about your own request: Request ' || :script || ' is yours.', 'an attempt');

-- Permissions.
SELECT tap.refused('SELECT * FROM jit_report(''soc2'')', '42501', 'not a requester');
SELECT tap.refused('SELECT jit_report_html(''soc2'')', '42501', 'nor the page');
SELECT tap.refused('SELECT jit_report_csv(''audit_log'')', '42501', 'nor as a file');
SELECT tap.refused('SELECT jit_report_verify()', '42501', 'nor a verification to be kept');
SELECT tap.refused('SELECT * FROM jit_access.verifications', '42501', 'nor the stored verifications');
SELECT tap.refused('SELECT * FROM jit_access.uses_by_day(now(), now())', '42501', 'nor the functions behind the views');
SELECT tap.refused('SELECT * FROM jit_access.collect_evidence(now(), now(), 0, 0)', '42501', 'nor the counts');
SELECT tap.refused('SELECT jit_access.record_report(''page'', ''soc2'', now(), now())', '42501', 'nor to say that one was made');
\connect - bob
CALL tap.start();
SELECT tap.refused('SELECT jit_report_html(''soc2'')', '42501', 'nor an approver');
\connect - :owner
CREATE ROLE eve LOGIN IN ROLE pg_read_all_data;
GRANT EXECUTE ON FUNCTION jit_report(text, timestamptz, timestamptz), jit_report_html(text, timestamptz, timestamptz),
    jit_report_csv(text, timestamptz, timestamptz, text), jit_report_verify() TO eve;
\connect - eve
CALL tap.start();
SELECT alike(tap.error(call), 'JA004 only an auditor of jit_access may do this: "eve" is neither%', 'not by EXECUTE alone: ' || call)
FROM unnest(ARRAY['SELECT * FROM jit_report(''soc2'')', 'SELECT jit_report_html(''soc2'')', 'SELECT jit_report_csv(''audit_log'')', 'SELECT jit_report_verify()']) call;

\connect - olga
CALL tap.start();
CALL tap.wait_until($$SELECT events_waiting = 0 AND journal_unread_bytes = 0 FROM jit_access.health$$);
SELECT tap.refused(call, error, error)
FROM (VALUES ('SELECT * FROM jit_report(NULL)', 'JA001 invalid framework: It is NULL.'),
             ('SELECT jit_report_html(''sox'')', 'JA001 invalid framework: There is none of this name.'),
             ('SELECT jit_report_html(''soc2'', now(), now() - interval ''1 day'')', 'JA001 invalid range of time: It has to begin before it ends, in the past, and not before 2000.'),
             ('SELECT jit_report_html(''soc2'', ''-infinity'', now())', 'JA001 invalid range of time: It has to begin before it ends, in the past, and not before 2000.'),
             ('SELECT jit_report_html(''soc2'', now() + interval ''1 day'')', 'JA001 invalid range of time: It has to begin before it ends, in the past, and not before 2000.'),
             ('SELECT jit_report_csv(NULL)', 'JA001 invalid view: It is NULL.'),
             ('SELECT jit_report_csv(''pg_authid'')', 'JA001 invalid view: There is none of this name to be had.'),
             ('SELECT jit_report_csv(''audit_log; DROP TABLE x'')', 'JA001 invalid view: There is none of this name to be had.'),
             ('SELECT jit_report_csv(''report'')', 'JA001 invalid framework: It is NULL.')) bad (call, error);

-- Rows.
SELECT results_eq($$SELECT DISTINCT control FROM jit_report('soc2') ORDER BY 1$$, $$VALUES ('CC6.1'), ('CC6.2'), ('CC6.3'), ('CC7.2')$$, 'controls of SOC 2');
SELECT results_eq($$SELECT DISTINCT control FROM jit_report('hipaa') ORDER BY 1$$,
    $$VALUES ('164.312(a)(1)'), ('164.312(a)(2)(ii)'), ('164.312(b)'), ('164.312(c)(1)'), ('164.312(d)')$$, 'of HIPAA');
SELECT results_eq($$SELECT DISTINCT control FROM jit_report('gdpr') ORDER BY 1$$, $$VALUES ('Art. 25'), ('Art. 30'), ('Art. 32'), ('Art. 5(1)(f), 5(2)')$$, 'of the GDPR');
SELECT results_eq($$SELECT DISTINCT control FROM jit_report('iso27001') ORDER BY 1$$,
    $$VALUES ('A.5.15'), ('A.5.16'), ('A.5.17'), ('A.5.18'), ('A.8.15'), ('A.8.2')$$, 'of ISO 27001');
SELECT is((SELECT count(*) FROM (SELECT framework FROM unnest('{soc2,hipaa,gdpr,iso27001}'::text[]) framework, jit_report(framework) r
           WHERE r.not_covered = '' OR r.evidence = '') x), 0::bigint, 'each row of evidence says what it counts and what it does not cover');
SELECT results_eq($$SELECT count, exceptions FROM jit_report('soc2') WHERE evidence = 'grants that became active' AND control = 'CC6.2'$$,
    $$SELECT count(*), 0::bigint FROM jit_access.grant_history WHERE activated_at IS NOT NULL$$, 'grants, as the view has them');
SELECT results_eq($$SELECT count FROM jit_report('hipaa') WHERE evidence LIKE 'statements under a grant%' AND control = '164.312(b)'$$,
    $$SELECT sum(statements)::bigint FROM jit_access.grant_usage$$, 'statements, as the view has them');
SELECT results_eq($$SELECT DISTINCT count, exceptions FROM jit_report('soc2') WHERE evidence LIKE 'requests that were denied%'$$,
    $$SELECT (SELECT count(*) FROM jit_access.grant_history WHERE activated_at IS NULL AND closed_at IS NOT NULL), (SELECT count(*) FROM jit_access.audit_log WHERE kind = 'refusal' AND sqlstate IN ('JA006', 'JA018'))$$, 'denials, and attempts to approve one''s own');

-- The page.
CREATE TEMPORARY TABLE page AS SELECT jit_report_html('soc2') AS html;
SELECT is(html ~ '[^ -~\n]', false, 'plain ASCII') FROM page;
SELECT unalike(lower(html), '%' || markup || '%', 'no ' || markup) FROM page, unnest('{<script,<img,<a ,<b onclick,onerror=,href=,url(,"style=\""}'::text[]) markup;
SELECT alike(html, '%&#x003C;script&#x003E;alert(&#x0022;x&#x0022;)&#x003C;/script&#x003E;%', 'the reason is there, as text') FROM page;
SELECT alike(html, '%&#x003C;b onclick=x&#x003E;&#x0022;&#x0027;&#x0026;amp;%', 'so is the name') FROM page;
SELECT alike(html, '%K&#x00F6;ln %&#x05E9;&#x05DC;%', 'letters are references') FROM page;
SELECT alike(html, '%content="default-src &#x0027;none&#x0027;; style-src &#x0027;sha256-%', 'the browser is told to load nothing') FROM page;
SELECT alike(html, '%No verification of the whole record has been kept.%', 'no claim about unverified records') FROM page;
SELECT is(substring(html FROM 'id="figure-grants" data-value="([0-9]+)"')::bigint, (SELECT count(*) FROM jit_access.grant_history WHERE activated_at IS NOT NULL), 'its grants') FROM page;
SELECT is(substring(html FROM 'id="figure-statements" data-value="([0-9]+)"')::bigint, (SELECT sum(statements)::bigint FROM jit_access.grant_usage), 'its statements') FROM page;
SELECT is(substring(html FROM 'id="figure-rows" data-value="([0-9]+)"')::bigint, (SELECT sum(rows)::bigint FROM jit_access.grant_usage), 'its rows') FROM page;
SELECT is((SELECT count(*) FROM regexp_matches(jit_report_html('gdpr', '2001-01-01', '2001-01-02'), 'data-value="0"', 'g')), 10::bigint, 'a time when nothing was');

-- Statements of the page about the record.
SELECT jit_audit_checkpoint() AS anchor \gset
SELECT ok(sound AND anchored_seq = :anchor, 'verified') FROM jit_report_verify();
SELECT alike(jit_report_html('soc2'), '%, was verified on % by olga: sound, confirmed by an anchor up to number ' || :anchor || ', and its head is still the same.%were not verified again for this page%', 'an earlier verification, and its worth');
\connect - :owner
UPDATE jit_access.whole_verification SET head = repeat('0', 64);
\connect - olga
CALL tap.start();
SELECT alike(jit_report_html('soc2'), '%class="verdict bad"%, but is NOT the one that was verified:%', 'a record that was changed since it was verified');
\connect - :owner
DELETE FROM jit_access.whole_verification;
CALL tap.start();
SELECT is(jit_access.csv_cell(cell), line, 'a cell: ' || coalesce(to_json(cell)::text, 'NULL')) FROM (VALUES
    ('plain', 'plain'), (NULL, ''), ('', ''), ('a,b', '"a,b"'), ('say "x"', '"say ""x"""'), (E'a\nb', E'"a\nb"'), (' blank', '" blank"'),
    ('=cmd|'' /C calc''!A0', '''=cmd|'' /C calc''!A0'), ('+1', '''+1'), ('-1', '''-1'), ('@SUM(A1)', '''@SUM(A1)'), ('|calc', '''|calc'), (E'\t=1', E'"''\t=1"'), (E'\r=1', E'"''\r=1"'),
    ('  =1', '''  =1'), (E'\n=1', E'"''\n=1"'), (U&'\FF1D1+1', U&'''\FF1D1+1'), ('2026-11-23', '2026-11-23'), ('1-2', '1-2')) x (cell, line);
-- Drills and access reviews are evidence as well. The database may hold more of them.
\connect - olga
CREATE TEMPORARY TABLE before AS SELECT DISTINCT evidence, count, exceptions FROM jit_report('soc2') WHERE evidence ~ '^(drills|rights)';
SELECT string_agg(format('%s %s', count, exceptions), ' ' ORDER BY evidence) AS before FROM before \gset
\connect - :owner
INSERT INTO jit_access.drill (started_at, finished_at, started_by, ok) VALUES (now(), now(), 'jit_access', true), (now(), now(), 'jit_access', false);
WITH made AS (INSERT INTO jit_access.access_review (scope, started_at, started_by, due_at) VALUES ('of a report', now(), 'ada', now() - interval '1 hour') RETURNING id)
INSERT INTO jit_access.access_review_item (review_id, item, kind, template_id, verdict, reviewer, reviewer_name, comment, reviewed_at)
SELECT made.id, n, 'template', (SELECT min(id) FROM jit_access.template), v.verdict, v.reviewer, v.name, v.comment, v.at FROM made,
    (VALUES (1, 'confirm', 10::oid, 'olga', 'seen', now()), (2, NULL, NULL, NULL, NULL, NULL)) v (n, verdict, reviewer, name, comment, at);
\connect - olga
CALL tap.start();
SELECT is((SELECT string_agg(format('%s %s', count, exceptions), ' ' ORDER BY evidence) FROM (SELECT DISTINCT evidence, count, exceptions FROM jit_report('soc2') WHERE evidence ~ '^(drills|rights)') e),
    (SELECT format('%s %s %s %s', b[1] + 2, b[2] + 1, b[3] + 1, b[4] + 1) FROM CAST(string_to_array(:'before', ' ') AS bigint[]) b), 'drills and access reviews');
\connect - :owner
DELETE FROM jit_access.access_review_item WHERE review_id = (SELECT id FROM jit_access.access_review WHERE scope = 'of a report');
DELETE FROM jit_access.access_review WHERE scope = 'of a report';
DELETE FROM jit_access.drill;
\connect - olga
CALL tap.start();

-- Files.
CREATE TEMPORARY TABLE csv AS SELECT jit_report_csv('grant_history') AS file;
SELECT is(split_part(file, E'\r\n', 1), 'id,requester,template,template_version,state,reason,ticket,scope,duration,requested_at,approved_by,denied_by,rule,break_glass,reasons,activated_at,ends_at,closed_at,closed_by,close_reason,cleanup', 'its head') FROM csv;
SELECT is(array_length(string_to_array(file, E'\r\n'), 1), 1 + (SELECT count(*)::integer FROM jit_access.grant_history), 'a line each, between CR and LF') FROM csv;
SELECT alike(file, '%,"''=HYPERLINK(""http://x"",""y"")",%', 'a formula is none') FROM csv;
SELECT alike(file, '%,"''-1+2, ""quoted"", and more",%', 'nor a text with a leading minus') FROM csv;
SELECT alike(jit_report_csv('decisions'), '%,''@SUM(A1),%', 'nor a comment');
SELECT is((SELECT count(*) FROM unnest('{audit_log,grant_history,decisions,grant_usage,alerts,reviews}'::text[]) v WHERE jit_report_csv(v) LIKE '%,%'), 6::bigint, 'every view');
SELECT alike(jit_report_csv('report', framework => 'gdpr'), 'control,title,evidence,count,exceptions,exception,not_covered' || E'\r\n' || '"Art. 5(1)(f), 5(2)",%', 'and the report');

-- On the record.
CALL tap.wait_until($$SELECT events_waiting = 0 FROM jit_access.health$$);
SELECT results_eq($$SELECT DISTINCT login, detail ->> 'what', detail ->> 'framework' FROM jit_access.audit_log WHERE kind = 'report made' AND detail ->> 'what' IN ('page', 'csv reports', 'csv decisions', 'csv report') ORDER BY 2, 3$$,
    $$VALUES ('olga', 'csv decisions', NULL), ('olga', 'csv report', 'gdpr'), ('olga', 'page', 'gdpr'), ('olga', 'page', 'soc2')$$, 'the makers of the reports');
SELECT results_eq($$SELECT login, detail ->> 'sound' FROM jit_access.audit_log WHERE kind = 'record verified'$$, $$VALUES ('olga', 'true')$$, 'and the verifier');
\connect - :owner
DROP OWNED BY eve;
DROP ROLE eve;
\i test/sql/include/clean.sql
DROP ROLE "<b onclick=x>""'&amp;";
