\set ECHO none
\i test/sql/include/tap.sql
\i test/sql/include/people.sql
-- A login without rights learns nothing by asking: an id or a name that does not exist and one that belongs to others
-- raise the same error, with the same detail and hint, in every function that takes one. Siblings: ids of requests,
-- grants and access reviews; names of templates; functions of the schema jit_access that views call.
SELECT jit_create_template('kept', '{USAGE ON SCHEMA app, SELECT ON app.orders}', requesters => '{alice}', approvers => '{bob}',
    responders => '{alice}', break_glass_duration => '1h', approvals_needed => 1, ticket_required => true, max_duration => '2h') AS role \gset
SELECT jit_create_template('dropped', '{USAGE ON SCHEMA app}') AS role \gset
SELECT jit_drop_template('dropped') AS gone \gset
\connect - alice
SELECT jit_request('kept', '1h', ticket => 'A-1') AS pending, jit_request('kept', '1h', ticket => 'A-2') AS active \gset
SELECT jit_break_glass('kept', '10min', 'down') AS broken \gset
SELECT jit_revoke(:broken) AS state \gset
\connect - bob
SELECT jit_approve(:active) AS state \gset
\connect - ada
SELECT jit_start_review('all', '{bob}', now() + interval '1 day', '{kept}') AS campaign \gset

-- Whatever PUBLIC may call and takes an id or the name of a template. A new function fails here until it is in the list
-- below, or known to take neither.
\connect - :owner
CALL tap.start();
SELECT results_eq($$
    SELECT p.oid::regprocedure::text COLLATE "C" FROM pg_proc p
    JOIN pg_depend d ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e'
    JOIN pg_extension e ON e.oid = d.refobjid AND e.extname = 'jit_access'
    WHERE has_function_privilege('dave', p.oid, 'EXECUTE') AND p.pronargs > 0 ORDER BY 1$$, $$
    VALUES ('jit_access.may_decide(bigint)' COLLATE "C"), ('jit_access.may_review(bigint)'), ('jit_access.request_digest(bigint)'),
        ('jit_access.review_evidence(bigint,integer)'), ('jit_activate(numeric)'),
        ('jit_approve(numeric,text,interval,text)'), ('jit_break_glass(text,interval,text)'), ('jit_cancel(numeric,text)'),
        ('jit_confirm_totp(text)'), ('jit_credentials(numeric)'), ('jit_deny(numeric,text)'),
        ('jit_dry_run(text,text[],text,text,text[],text,interval,boolean,boolean)'), ('jit_eligibility(text,interval)'),
        ('jit_extend(numeric,interval,text)'), ('jit_request(text,interval,text,text,text[],timestamp with time zone)'),
        ('jit_resume(numeric,text)'), ('jit_review(numeric,text,text)'), ('jit_review_csv(numeric)'),
        ('jit_review_item(numeric,integer,text,text)'), ('jit_revoke(numeric,text)'), ('jit_step_up(text)')$$,
    'every function that a login without rights can call with an argument');

-- The whole answer to a call, as an error or as rows, without the id or the name itself.
CREATE FUNCTION tap.answer(call text, subject text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    rows text;
    code text;
    message text;
    detail text;
    hint text;
BEGIN
    EXECUTE format('SELECT string_agg(t::text, '','') FROM %s t', format(call, subject)) INTO rows;
    RETURN coalesce(rows, 'no rows');
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS code = RETURNED_SQLSTATE, message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
    RETURN regexp_replace(concat_ws('|', code, message, detail, hint), '\m' || trim(subject, '''') || '\M', '?', 'g');
END
$$;
CREATE TABLE tap.probe AS
SELECT * FROM (VALUES
    ('jit_approve(%s, ''x'', ''1h'', ''0'')', 'request'), ('jit_approve(%s)', 'request'), ('jit_deny(%s, ''x'')', 'request'),
    ('jit_resume(%s)', 'request'), ('jit_revoke(%s)', 'request'), ('jit_cancel(%s)', 'request'), ('jit_activate(%s)', 'request'),
    ('jit_credentials(%s)', 'request'), ('jit_extend(%s, ''1h'')', 'request'), ('jit_extend(%s, ''100 days'')', 'request'),
    ('jit_review(%s, ''justified'', ''x'')', 'request'), ('jit_access.request_digest(%s)', 'request'),
    ('jit_review_item(%s, 1, ''confirm'', ''x'')', 'review'), ('jit_review_item(%s, 4711, ''confirm'', ''x'')', 'review'),
    ('jit_review_csv(%s)', 'review'), ('jit_access.may_review(%s)', 'review'), ('jit_access.review_evidence(%s, 1)', 'review'),
    ('jit_access.may_decide(%s)', 'id'),
    ('jit_request(%s, ''1h'')', 'template'), ('jit_request(%s, ''100 days'', scope => ''{app.none}'')', 'template'),
    ('jit_request(%s, NULL)', 'template'), ('jit_break_glass(%s, ''1h'', ''x'')', 'template'), ('jit_break_glass(%s, ''1h'')', 'template'),
    ('jit_eligibility(%s)', 'template'), ('jit_dry_run(%s, ''{SELECT 1}'')', 'template'),
    ('jit_dry_run(%s, ''{SELECT 1}'', mode => ''execute'', person => ''alice'')', 'template'),
    ('jit_dry_run(%s, ''{SELECT 1}'', allow_code => true)', 'template'),
    ('jit_dry_run(%s, ''{SELECT 1}'', privileges => ''{SELECT ON app.orders}'')', 'template')) p (call, takes);
CREATE TABLE tap.subject AS
SELECT * FROM (VALUES ('request', '999999'), ('request', :'pending'), ('request', :'active'), ('request', :'broken'),
    ('review', '999999'), ('review', :'campaign'),
    ('id', '999999'), ('id', (SELECT id::text FROM jit_access.template WHERE name = 'kept')),
    ('template', '''absent'''), ('template', '''kept'''), ('template', '''dropped''')) s (kind, subject);
GRANT SELECT ON tap.probe, tap.subject TO PUBLIC;

\connect - dave
CALL tap.start();
SELECT is(array_agg(DISTINCT answer ORDER BY answer), ARRAY[min(answer)], call)
FROM (SELECT call, tap.answer(call, subject) AS answer FROM tap.probe JOIN tap.subject ON kind = takes) a GROUP BY call ORDER BY call COLLATE "C";
-- The same in the approver's hand: other people's templates and requests are as good as absent, their own are explained.
\connect - :owner
SELECT jit_create_template('other', '{USAGE ON SCHEMA app}', requesters => '{alice}', approvers => '{carol}') AS role \gset
\connect - alice
SELECT jit_request('other', '1h') AS others \gset
\connect - bob
CALL tap.start();
SELECT is(tap.answer('jit_approve(%s)', :'others'), tap.answer('jit_approve(%s)', '999999'), 'an approver learns nothing about requests of other templates');
SELECT is(tap.answer('jit_eligibility(%s)', '''other'''), tap.answer('jit_eligibility(%s)', '''absent'''), 'nor about other templates');
SELECT tap.refused(format('SELECT jit_cancel(%s)', :pending), format('JA004 only the requester can cancel request %s: Another user made it.', :pending),
                   'whoever sees a request is told what is wrong');
\connect - alice
CALL tap.start();
SELECT tap.refused(format('SELECT jit_deny(%s, ''x'')', :pending), format('JA006 cannot decide about your own request: Request %s is yours.', :pending), 'so is its requester');
\connect - :owner
DROP TABLE tap.probe, tap.subject;
DROP FUNCTION tap.answer;
CALL tap.wait_for_cleanup();
\connect - bob
SELECT jit_review(:broken, 'justified', 'x') AS verdict \gset
\i test/sql/include/clean.sql
