-- Compliance reports: the evidence, the controls of frameworks that it supports, reports as rows, HTML and CSV, and the
-- verifications of the whole record to which reports refer.

-- Verifying the whole record takes too long to be done for each report.
CREATE TABLE jit_access.whole_verification (
    id           bigint PRIMARY KEY DEFAULT jit_access.next_id('whole_verification'),
    at           timestamptz NOT NULL,
    by           text NOT NULL,
    sound        boolean,
    records      bigint NOT NULL,
    first_seq    bigint NOT NULL,
    last_seq     bigint NOT NULL,
    anchored_seq bigint,
    checkpoints  bigint NOT NULL,
    head         text NOT NULL,
    finding      text
);
COMMENT ON TABLE jit_access.whole_verification IS
    'results of verifications of the whole record, each with the last row of the record and its hash at that time';
COMMENT ON COLUMN jit_access.whole_verification.sound IS 'NULL = self-consistent, but no anchor confirmed it';
COMMENT ON COLUMN jit_access.whole_verification.anchored_seq IS 'last row that an anchor confirmed';

-- Reports and alert rules look for the few records that are not uses. Inserting a use costs only the comparison.
CREATE INDEX record_by_kind ON jit_access.record (kind, at) WHERE kind <> 'use';

CREATE TABLE jit_access.evidence (
    name    text PRIMARY KEY,
    counts  text NOT NULL,
    excepts text NOT NULL
);
COMMENT ON TABLE jit_access.evidence IS 'evidence that reports collect: what is counted, and what counts as an exception';
INSERT INTO jit_access.evidence VALUES
    ('grants',
     'grants that became active',
     'grants without an approval, a rule or a break-glass'),
    ('least_privilege',
     'templates used by these grants',
     'suspensions because a template had gained too many privileges'),
    ('ended',
     'grants that were over',
     'grants that ended more than a minute after their deadline, or are not cleaned up'),
    ('not_granted',
     'requests that were denied, withdrawn or lapsed',
     'attempts to approve one''s own request, or in another person''s name'),
    ('break_glass',
     'break-glass grants',
     'break-glass grants found not justified, or with an overdue review'),
    ('uses',
     'statements under a grant, on the record before they ran',
     'statements whose outcome is not recorded yet'),
    ('refusals',
     'statements and calls that were refused',
     'wrong codes of a second factor'),
    ('integrity',
     'checkpoints of the record',
     'breaks of the chain, losses of the journal, clock jumps'),
    ('drift',
     'roles and memberships changed by hand, as the worker found them',
     'all of them; memberships that gave access were revoked'),
    ('alerts',
     'alerts',
     'alerts that are not closed'),
    ('access_reviews',
     'rights and templates that a reviewer confirmed or withdrew',
     'items that are overdue'),
    ('drills',
     'drills of a canary grant, from the request to its place on the record',
     'drills that failed'),
    ('second_factor',
     'logins with a confirmed second factor',
     'templates of high risk that require none'),
    ('retention',
     'partitions of the record dropped for their age',
     'none are defined');

CREATE TABLE jit_access.control (
    framework   text NOT NULL CHECK (framework IN ('soc2', 'hipaa', 'gdpr', 'iso27001')),
    place       integer NOT NULL,
    control     text NOT NULL,
    title       text NOT NULL,
    evidence    text[] NOT NULL,
    not_covered text NOT NULL,
    PRIMARY KEY (framework, place)
);
COMMENT ON TABLE jit_access.control IS
    'controls of each framework: the evidence for them, and the parts of a control that this database does not cover';
INSERT INTO jit_access.control VALUES
    ('soc2', 1, 'CC6.1', 'Logical access security',
     '{grants,uses,second_factor,drift}',
     'Standing privileges, network and operating system. Superusers: they need no grant.'),
    ('soc2', 2, 'CC6.2', 'Access is registered and authorised before it is given',
     '{grants,not_granted,break_glass,access_reviews}',
     'The issue of logins, and which people a role stands for.'),
    ('soc2', 3, 'CC6.3', 'Access is removed, least privilege, separation of duties',
     '{ended,least_privilege,not_granted,access_reviews,drift}',
     'Privileges that are held without a grant: jit_access.standing_privileges lists them. '
     'Whether a template is as small as it could be: see jit_access.privilege_usage.'),
    ('soc2', 4, 'CC7.2', 'Anomalies are monitored',
     '{alerts,refusals,integrity,drills,drift}',
     'Other systems. Whether alerts are read, beyond who acknowledged and closed them.'),
    ('hipaa', 1, '164.312(a)(1)', 'Access control',
     '{grants,ended,least_privilege}',
     'Unique names of people: here a login is a person, unless declared otherwise. Encryption.'),
    ('hipaa', 2, '164.312(a)(2)(ii)', 'Emergency access procedure',
     '{break_glass}',
     'Whether the procedure is known and exercised.'),
    ('hipaa', 3, '164.312(b)', 'Audit controls',
     '{uses,refusals,integrity}',
     'Statements without a grant. Which rows were read: the record has their number.'),
    ('hipaa', 4, '164.312(c)(1)', 'Integrity',
     '{integrity,drift}',
     'Integrity of the data itself: the record is protected, application tables are not.'),
    ('hipaa', 5, '164.312(d)', 'Person or entity authentication',
     '{second_factor,refusals}',
     'The login itself: the server checks passwords and certificates.'),
    ('gdpr', 1, 'Art. 5(1)(f), 5(2)', 'Integrity, confidentiality, accountability',
     '{grants,uses,integrity}',
     'Purpose, lawfulness, accuracy and minimisation of the data itself.'),
    ('gdpr', 2, 'Art. 25', 'Data protection by design and by default',
     '{least_privilege,ended,grants}',
     'Processing by applications with their own logins.'),
    ('gdpr', 3, 'Art. 30', 'Records of processing activities',
     '{uses,retention}',
     'The register of Art. 30 itself: this report shows manual access, with its reasons.'),
    ('gdpr', 4, 'Art. 32', 'Security of processing',
     '{second_factor,drift,alerts,integrity,drills}',
     'Encryption, backups, availability.'),
    ('iso27001', 1, 'A.5.15', 'Access control',
     '{grants,not_granted,drift}',
     'The policy itself, and access without a grant.'),
    ('iso27001', 2, 'A.5.16', 'Identity management',
     '{second_factor}',
     'Life of identities: joiners and leavers are handled where logins are issued.'),
    ('iso27001', 3, 'A.5.17', 'Authentication information',
     '{second_factor,refusals}',
     'Passwords of the server.'),
    ('iso27001', 4, 'A.5.18', 'Access rights',
     '{grants,ended,break_glass,access_reviews}',
     'Rights that no template gives. jit_access.standing_privileges lists those that one could give.'),
    ('iso27001', 5, 'A.8.2', 'Privileged access rights',
     '{least_privilege,break_glass,not_granted}',
     'Superusers and the operating system.'),
    ('iso27001', 6, 'A.8.15', 'Logging',
     '{uses,refusals,integrity,retention}',
     'Logs of the server and of applications; clocks are compared, not synchronised.');

CREATE FUNCTION jit_access.check_report(INOUT from_at timestamptz, INOUT to_at timestamptz)
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET TimeZone = UTC AS $$
BEGIN
    PERFORM jit_access.require_auditor();
    IF pg_is_in_recovery() THEN
        RAISE EXCEPTION 'this server is a standby'
            USING ERRCODE = 'JA017',
                  DETAIL = 'Making a report writes to the record.',
                  HINT = 'Connect to the primary.';
    END IF;
    to_at := least(coalesce(to_at, clock_timestamp()), clock_timestamp());
    from_at := coalesce(from_at, to_at - interval '90 days');
    IF NOT from_at < to_at OR from_at < '2000-01-01' THEN
        RAISE EXCEPTION 'invalid range of time'
            USING ERRCODE = 'JA001',
                  DETAIL = 'It has to begin before it ends, in the past, and not before 2000.',
                  HINT = 'Omit both arguments for the last 90 days.';
    END IF;
END
$$;
REVOKE ALL ON FUNCTION jit_access.check_report(timestamptz, timestamptz) FROM PUBLIC;
COMMENT ON FUNCTION jit_access.check_report(timestamptz, timestamptz) IS
    'checks that the session user may make a report, and returns the range of time, with the defaults for missing '
    'arguments: the last 90 days, ending now. Errors: JA001, JA004, JA017.';

CREATE FUNCTION jit_access.count_kinds(kinds text[], from_at timestamptz, to_at timestamptz) RETURNS bigint
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT count(*)
    FROM unnest(kinds) k (kind),
         LATERAL (SELECT
                  FROM jit_access.record r
                  WHERE r.kind = k.kind AND r.kind <> 'use' AND r.at >= $2 AND r.at < $3) x
$$;
REVOKE ALL ON FUNCTION jit_access.count_kinds(text[], timestamptz, timestamptz) FROM PUBLIC;
COMMENT ON FUNCTION jit_access.count_kinds(text[], timestamptz, timestamptz) IS
    'returns the number of records of the given kinds, not counting uses, with from_at <= at < to_at';

CREATE FUNCTION jit_access.collect_evidence(
    from_at timestamptz, to_at timestamptz, statements bigint, statements_open bigint)
RETURNS TABLE (name text, count bigint, exceptions bigint)
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    WITH active AS (
        SELECT r.*,
               EXISTS (SELECT
                       FROM jit_access.decision d
                       WHERE d.request_id = r.id AND d.verdict = 'approve') AS approved
        FROM jit_access.request r
        WHERE r.activated_at >= $1 AND r.activated_at < $2
    ), over AS (
        SELECT r.*
        FROM jit_access.request r
        WHERE r.activated_at IS NOT NULL AND r.ends_at < $2 AND coalesce(r.closed_at, r.ends_at) >= $1
    ), refused AS (
        SELECT r.sqlstate, count(*) AS n
        FROM jit_access.record r
        WHERE r.kind = 'refusal' AND r.at >= $1 AND r.at < $2
        GROUP BY 1
    )
    SELECT 'grants',
           count(*),
           count(*) FILTER (WHERE NOT approved AND rule IS NULL AND NOT break_glass)
    FROM active
    UNION ALL
    SELECT 'least_privilege',
           count(DISTINCT template_id),
           jit_access.count_kinds('{suspended}', $1, $2)
    FROM active
    UNION ALL
    SELECT 'ended',
           count(*),
           count(*) FILTER (WHERE coalesce(closed_at, clock_timestamp()) > ends_at + interval '1 minute'
                               OR cleanup = 'due')
    FROM over
    UNION ALL
    SELECT 'not_granted',
           (SELECT count(*)
            FROM jit_access.request r
            WHERE r.activated_at IS NULL AND r.closed_at >= $1 AND r.closed_at < $2),
           coalesce((SELECT sum(n) FROM refused WHERE sqlstate = 'JA018'), 0)::bigint
           + coalesce((SELECT sum(n) FROM refused WHERE sqlstate = 'JA006'), 0)::bigint
    UNION ALL
    SELECT 'break_glass',
           count(*),
           count(*) FILTER (WHERE v.verdict = 'not_justified'
                               OR v.reviewed_at IS NULL AND v.due_at < clock_timestamp())
    FROM active a
    JOIN jit_access.review v ON v.request_id = a.id
    UNION ALL
    SELECT 'uses', $3, $4
    UNION ALL
    SELECT 'refusals',
           coalesce(sum(n), 0)::bigint,
           coalesce(sum(n) FILTER (WHERE sqlstate = 'JA020'), 0)::bigint
    FROM refused
    UNION ALL
    SELECT 'integrity',
           (SELECT count(*) FROM jit_access.checkpoint c WHERE c.at >= $1 AND c.at < $2),
           jit_access.count_kinds('{chain broken,journal lost,clock jumped,gap}', $1, $2)
    UNION ALL
    SELECT 'drift',
           jit_access.count_kinds('{drift}', $1, $2),
           jit_access.count_kinds('{drift}', $1, $2)
    UNION ALL
    SELECT 'alerts',
           count(*),
           count(*) FILTER (WHERE a.state <> 'closed')
    FROM jit_access.alert a
    WHERE a.last_seen >= $1 AND a.first_seen < $2
    UNION ALL
    SELECT 'access_reviews',
           count(*) FILTER (WHERE coalesce(i.reviewed_at, v.reviewed_at) >= $1
                              AND coalesce(i.reviewed_at, v.reviewed_at) < $2),
           count(*) FILTER (WHERE coalesce(i.reviewed_at, v.reviewed_at) IS NULL AND c.due_at < $2)
    FROM jit_access.access_review_item i
    JOIN jit_access.access_review c ON c.id = i.review_id
    LEFT JOIN jit_access.review v ON v.request_id = i.request_id
    UNION ALL
    SELECT 'drills',
           count(*),
           count(*) FILTER (WHERE NOT d.ok)
    FROM jit_access.drill d
    WHERE d.finished_at >= $1 AND d.finished_at < $2
    UNION ALL
    SELECT 'second_factor',
           (SELECT count(*) FROM jit_access.second_factor f WHERE f.confirmed_at < $2),
           (SELECT count(*)
            FROM jit_access.template t
            WHERE t.dropped_at IS NULL AND t.risk = 'high' AND t.second_factor = '{}')
    UNION ALL
    SELECT 'retention',
           jit_access.count_kinds('{records dropped}', $1, $2),
           0
$$;
REVOKE ALL ON FUNCTION jit_access.collect_evidence(timestamptz, timestamptz, bigint, bigint) FROM PUBLIC;
COMMENT ON FUNCTION jit_access.collect_evidence(timestamptz, timestamptz, bigint, bigint) IS
    'counts each kind of evidence and its exceptions with from_at <= time < to_at; the numbers of statements are '
    'arguments, which the caller computes with uses_by_day';

CREATE FUNCTION jit_access.record_report(output text, framework text, from_at timestamptz, to_at timestamptz) RETURNS void
    LANGUAGE sql SET search_path = pg_catalog, pg_temp AS $$
    INSERT INTO jit_access.event (at, kind, actor, detail) VALUES (clock_timestamp(), 'report made', session_user,
        jsonb_strip_nulls(jsonb_build_object(
            'what', output,
            'framework', framework,
            'from', to_char($3 AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'),
            'to', to_char($4 AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'))))
$$;
REVOKE ALL ON FUNCTION jit_access.record_report(text, text, timestamptz, timestamptz) FROM PUBLIC;
COMMENT ON FUNCTION jit_access.record_report(text, text, timestamptz, timestamptz) IS
    'records that a report was made. output: rows, page, or csv followed by the name of the view';

CREATE FUNCTION jit_access.check_framework(framework text) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF framework IS NULL OR NOT EXISTS (SELECT FROM jit_access.control c WHERE c.framework = $1) THEN
        RAISE EXCEPTION 'invalid framework'
            USING ERRCODE = 'JA001',
                  DETAIL = CASE WHEN framework IS NULL THEN 'It is NULL.' ELSE 'There is none of this name.' END,
                  HINT = 'The frameworks are soc2, hipaa, gdpr and iso27001.';
    END IF;
    RETURN framework;
END
$$;
REVOKE ALL ON FUNCTION jit_access.check_framework(text) FROM PUBLIC;
COMMENT ON FUNCTION jit_access.check_framework(text) IS
    'returns its argument if it is the name of a framework. Errors: JA001.';

CREATE FUNCTION pg_catalog.jit_report(
    framework text, from_at timestamptz DEFAULT NULL, to_at timestamptz DEFAULT NULL)
RETURNS TABLE (control text, title text, evidence text, count bigint, exceptions bigint, exception text, not_covered text)
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
    total record;
BEGIN
    SELECT c.from_at, c.to_at INTO $2, $3
    FROM jit_access.check_report($2, $3) c;
    PERFORM jit_access.check_framework($1);
    PERFORM jit_access.record_report('rows', $1, $2, $3);
    SELECT coalesce(sum(u.statements), 0)::bigint AS statements, coalesce(sum(u.open), 0)::bigint AS open INTO total
    FROM jit_access.uses_by_day($2, $3) u;
    RETURN QUERY
    SELECT c.control, c.title, e.counts, x.count, x.exceptions, e.excepts, c.not_covered
    FROM jit_access.control c
    CROSS JOIN unnest(c.evidence) WITH ORDINALITY n (name, place)
    JOIN jit_access.evidence e ON e.name = n.name
    JOIN jit_access.collect_evidence($2, $3, total.statements, total.open) x ON x.name = n.name
    WHERE c.framework = $1
    ORDER BY c.place, n.place;
END
$$;
COMMENT ON FUNCTION pg_catalog.jit_report(text, timestamptz, timestamptz) IS
    'returns the evidence for the controls of a framework (soc2, hipaa, gdpr, iso27001) in a range of time, by '
    'default the last 90 days: counts, exceptions, and what is not covered. The call is recorded. For auditors and '
    'administrators. Errors: JA001, JA004, JA017.';

CREATE FUNCTION pg_catalog.jit_report_html(
    framework text, from_at timestamptz DEFAULT NULL, to_at timestamptz DEFAULT NULL) RETURNS text
    LANGUAGE c SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'jit_report_html';
COMMENT ON FUNCTION pg_catalog.jit_report_html(text, timestamptz, timestamptz) IS
    'returns the report as one self-contained HTML page for a browser or for print, with a timeline, people, '
    'templates, alerts, and which part of the record is verified. The call is recorded. For auditors and '
    'administrators. Errors: JA001, JA004, JA017.';

CREATE FUNCTION pg_catalog.jit_report_verify(
    OUT sound boolean, OUT records bigint, OUT last_seq bigint, OUT anchored_seq bigint, OUT head text, OUT finding text)
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    verdict record;
BEGIN
    PERFORM jit_access.check_report(NULL, NULL);
    SELECT * INTO verdict FROM pg_catalog.jit_audit_verify() LIMIT 1;
    INSERT INTO jit_access.whole_verification
        (at, by, sound, records, first_seq, last_seq, anchored_seq, checkpoints, head, finding)
    VALUES
        (clock_timestamp(), session_user, verdict.sound, verdict.records, verdict.first_seq, verdict.last_seq,
         verdict.anchored_seq, verdict.checkpoints, verdict.head, verdict.finding);
    INSERT INTO jit_access.event (at, kind, actor, detail) VALUES (clock_timestamp(), 'record verified', session_user,
        jsonb_build_object('sound', coalesce(verdict.sound, true)::text, 'last', verdict.last_seq::text,
                           'anchored', verdict.anchored_seq::text, 'head', verdict.head));
    sound := verdict.sound;
    records := verdict.records;
    last_seq := verdict.last_seq;
    anchored_seq := verdict.anchored_seq;
    head := verdict.head;
    finding := verdict.finding;
END
$$;
COMMENT ON FUNCTION pg_catalog.jit_report_verify() IS
    'verifies the whole record, as jit_audit_verify() does, and stores the result, which reports refer to. The call '
    'is recorded. For auditors and administrators. Errors: JA004, JA017.';

CREATE FUNCTION jit_access.csv_cell(value text) RETURNS text
    LANGUAGE c IMMUTABLE AS 'MODULE_PATHNAME', 'jit_csv_cell';
REVOKE ALL ON FUNCTION jit_access.csv_cell(text) FROM PUBLIC;
COMMENT ON FUNCTION jit_access.csv_cell(text) IS
    'formats a value as a CSV cell (RFC 4180); a value that a spreadsheet would interpret as a formula gets a leading '
    'apostrophe';

CREATE FUNCTION pg_catalog.jit_report_csv(
    view text, from_at timestamptz DEFAULT NULL, to_at timestamptz DEFAULT NULL, framework text DEFAULT NULL) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    SET DateStyle = ISO SET IntervalStyle = postgres SET TimeZone = UTC SET bytea_output = hex SET extra_float_digits = 1
AS $$
DECLARE
    -- the views that can be exported, with the column that the range of time applies to
    times constant jsonb := '{
        "audit_log": "at",
        "grant_history": "requested_at",
        "decisions": "decided_at",
        "grant_usage": "first_use",
        "alerts": "last_seen",
        "reviews": "activated_at"}';
    max_rows constant integer := 500000;
    source text;
    cells text;
    head text;
    lines text;
    count bigint;
BEGIN
    IF $1 IS NULL OR NOT (times ? $1 OR $1 = 'report') THEN
        RAISE EXCEPTION 'invalid view'
            USING ERRCODE = 'JA001',
                  DETAIL = CASE WHEN $1 IS NULL THEN 'It is NULL.' ELSE 'There is none of this name to be had.' END,
                  HINT = 'The views are audit_log, grant_history, decisions, grant_usage, alerts and reviews; '
                         || 'report with a framework returns the rows of jit_report.';
    END IF;
    SELECT c.from_at, c.to_at INTO $2, $3
    FROM jit_access.check_report($2, $3) c;
    IF $1 = 'report' THEN
        PERFORM jit_access.check_framework($4);
        source := 'pg_catalog.jit_report($3, $1, $2)';
        SELECT string_agg(jit_access.csv_cell(n), ',' ORDER BY i),
               string_agg(format('jit_access.csv_cell(v.%I::text)', n), ', ' ORDER BY i)
        INTO head, cells
        FROM unnest('{control,title,evidence,count,exceptions,exception,not_covered}'::text[]) WITH ORDINALITY c (n, i);
    ELSE
        source := format('jit_access.%I', $1);
        SELECT string_agg(jit_access.csv_cell(attname), ',' ORDER BY attnum),
               string_agg(format('jit_access.csv_cell(v.%I::text)', attname), ', ' ORDER BY attnum)
        INTO head, cells
        FROM pg_attribute
        WHERE attrelid = source::regclass AND attnum > 0 AND NOT attisdropped;
    END IF;
    PERFORM jit_access.record_report('csv ' || $1, $4, $2, $3);
    EXECUTE format('SELECT count(*), string_agg(line, E''\r\n'') '
                   'FROM (SELECT concat_ws('','', %s) AS line FROM %s v %s LIMIT %s) x',
                   cells, source,
                   CASE WHEN $1 = 'report' THEN ''
                        ELSE format('WHERE v.%1$I >= $1 AND v.%1$I < $2 ORDER BY 1', times ->> $1) END,
                   max_rows + 1)
    INTO count, lines
    USING $2, $3, $4;
    IF count > max_rows THEN
        RAISE EXCEPTION 'too many rows for one file'
            USING ERRCODE = 'JA009',
                  DETAIL = format('There are more than %s in this range of time.', max_rows),
                  HINT = 'Choose a shorter range.';
    END IF;
    RETURN head || coalesce(E'\r\n' || lines, '');
END
$$;
COMMENT ON FUNCTION pg_catalog.jit_report_csv(text, timestamptz, timestamptz, text) IS
    'returns an auditor''s view, or a report, as CSV (RFC 4180) that is safe in a spreadsheet: rows of a range of '
    'time, by default the last 90 days, at most 500000. The call is recorded. For auditors and administrators. '
    'Errors: JA001, JA004, JA009, JA017.';

CREATE VIEW jit_access.verifications AS
SELECT v.id, v.at, v.by, v.sound, v.records, v.first_seq, v.last_seq, v.anchored_seq, v.checkpoints,
       v.head, v.finding
FROM jit_access.whole_verification v
WHERE (SELECT jit_access.may_audit())
OFFSET 0;
COMMENT ON VIEW jit_access.verifications IS 'stored verifications of the whole record, which reports refer to';
