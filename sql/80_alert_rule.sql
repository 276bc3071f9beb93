-- Alert rules, and the state the worker keeps while it evaluates them. The worker reads each record once, so everything
-- with which a rule compares a record has to be in these tables.
CREATE TABLE jit_access.alert_rule (
    name        text PRIMARY KEY,
    severity    text NOT NULL CHECK (severity IN ('low', 'medium', 'high')),
    threshold   integer CHECK (threshold > 0),
    within      interval,
    enabled     boolean NOT NULL DEFAULT true,
    suspends    boolean NOT NULL DEFAULT false CHECK (may_suspend OR NOT suspends),
    may_suspend boolean NOT NULL DEFAULT false,
    description text NOT NULL,
    changed_at  timestamptz,
    changed_by  text,
    failed_at   timestamptz,
    error       text
);
COMMENT ON TABLE jit_access.alert_rule IS 'conditions in the record that raise an alert; changed by jit_set_alert_rule';
COMMENT ON COLUMN jit_access.alert_rule.threshold IS
    'meaning and unit are in the description; NULL = each occurrence raises an alert';
COMMENT ON COLUMN jit_access.alert_rule.within IS 'how far back the rule looks';
COMMENT ON COLUMN jit_access.alert_rule.suspends IS 'whether an alert of this rule suspends the grant';
COMMENT ON COLUMN jit_access.alert_rule.may_suspend IS
    'whether suspends can be set: only for rules whose evidence comes from the holder''s own session, so that no '
    'other user can cause the suspension';
COMMENT ON COLUMN jit_access.alert_rule.error IS
    'error of the last failed evaluation, at failed_at; the rule missed the records evaluated then';
INSERT INTO jit_access.alert_rule (name, severity, threshold, within, may_suspend, description) VALUES
    ('repeated_requests', 'low', 6, '2 hours', false,
     'a person requests the same template threshold times within the time'),
    ('unusual_hours', 'medium', 15, '90 days', true,
     'a request at a time of day (UTC) at which the person rarely requests; needs requests on threshold days as a baseline'),
    ('unusual_template', 'medium', 15, '90 days', true,
     'a request for a template that neither the person nor persons with similar requests have requested before; '
     'needs requests on threshold days as a baseline'),
    ('repeated_denials', 'medium', 4, '1 day', false,
     'requests of a person are denied threshold times within the time'),
    ('refusal_burst', 'high', 10, '10 minutes', true,
     'threshold statements are refused under a grant within the time'),
    ('new_network', 'medium', 10, '90 days', true,
     'use of a grant from a network (/24, or /64 of IPv6) that neither the person nor others have used before; '
     'needs uses on threshold days as a baseline'),
    ('failed_second_factor', 'high', 5, '15 minutes', false,
     'threshold codes of a person are wrong within the time'),
    ('self_approval', 'high', 1, '1 day', false,
     'a person tries to decide their own request, review their own break-glass or close an alert about themselves, '
     'threshold times within the time'),
    ('trap_approval', 'high', 1, '1 day', false,
     'code written by another user tries to decide in a person''s name, threshold times within the time'),
    ('approval_in_block', 'low', 1, '1 day', false,
     'a DO block that a person has sent tries to decide, which only a statement of its own may; threshold times within '
     'the time'),
    ('attempt_flood', 'high', 1, '1 day', false,
     'a login made more attempts in a minute than jit_access.attempt_rate, and they were counted instead of recorded'),
    ('break_glass', 'high', NULL, NULL, false,
     'a responder broke the glass'),
    ('break_glass_not_justified', 'high', NULL, NULL, false,
     'the review of a break-glass found it not justified'),
    ('unusual_rows', 'high', 10, '90 days', true,
     'a grant has moved threshold times as many rows as a high value for its template'),
    ('drift', 'high', 1, '1 day', false,
     'roles or memberships were changed by hand, threshold times within the time'),
    ('session_outlived', 'high', NULL, NULL, false,
     'a session still had a grant one second after it should have left it'),
    ('record_lag', 'medium', 60, NULL, false,
     'entries of the journal are older than threshold seconds when they reach the record'),
    ('chain_broken', 'high', NULL, NULL, false,
     'a verification found that the record was changed'),
    ('clock_jump', 'high', 1, '1 day', false,
     'the wall clock was set, threshold times within the time'),
    ('scenario_failed', 'high', NULL, NULL, false,
     'a scenario does not have its expected outcome, although it had it in its last run or was never run'),
    ('drill_failed', 'high', NULL, NULL, false,
     'a drill failed'),
    ('review_overdue', 'medium', NULL, NULL, false,
     'a review was not completed in time');

CREATE FUNCTION pg_catalog.jit_set_alert_rule(
    name text,
    enabled boolean DEFAULT NULL,
    severity text DEFAULT NULL,
    threshold integer DEFAULT NULL,
    within interval DEFAULT NULL,
    suspends boolean DEFAULT NULL)
RETURNS void LANGUAGE c SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'jit_set_alert_rule';
COMMENT ON FUNCTION pg_catalog.jit_set_alert_rule IS
    'changes an alert rule; NULL keeps a setting. The old and new values are recorded. For administrators. Errors: '
    'JA001, JA004, JA018.';

CREATE VIEW jit_access.alert_rules AS
SELECT r.name, r.severity, r.threshold, r.within, r.enabled, r.suspends, r.may_suspend, r.description, r.changed_at,
       r.changed_by, r.failed_at, r.error
FROM jit_access.alert_rule r
WHERE (SELECT jit_access.may_audit())
OFFSET 0;
COMMENT ON VIEW jit_access.alert_rules IS 'conditions in the record that raise an alert';

CREATE TABLE jit_access.detection_position (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    seq bigint NOT NULL,
    at  timestamptz
);
INSERT INTO jit_access.detection_position (seq) VALUES (0);
COMMENT ON TABLE jit_access.detection_position IS
    'the last row of the record that the alert rules have evaluated, and its time; advances in the transaction that '
    'writes the alerts. One row';

CREATE TABLE jit_access.occurrence (
    rule      text NOT NULL,
    person_id text NOT NULL,
    subject   text NOT NULL,
    seq       bigint NOT NULL,
    at        timestamptz NOT NULL,
    PRIMARY KEY (rule, person_id, subject, seq)
);
COMMENT ON TABLE jit_access.occurrence IS
    'recent occurrences, counted by rules with a threshold; no more are kept than the threshold needs';

CREATE TABLE jit_access.baseline (
    person_id text NOT NULL,
    kind      text NOT NULL CHECK (kind IN ('hour', 'template', 'network')),
    value     text NOT NULL,
    days      integer NOT NULL,
    first_at  timestamptz NOT NULL,
    last_at   timestamptz NOT NULL,
    PRIMARY KEY (person_id, kind, value)
);
CREATE INDEX baseline_by_value ON jit_access.baseline (kind, value);
COMMENT ON TABLE jit_access.baseline IS
    'number of days on which a person requested at an hour (UTC), requested a template, or used grants from a '
    'network; the row with an empty value counts the days with any value';

-- The ids below are not foreign keys, for the reason given for jit_access.alert.
CREATE TABLE jit_access.grant_volume (
    grant_id bigint PRIMARY KEY,
    rows     bigint NOT NULL,
    reported bigint NOT NULL DEFAULT 0
);
COMMENT ON TABLE jit_access.grant_volume IS
    'rows returned or changed by statements that the client sent under each grant, kept until a day after the grant '
    'has ended; reported = the number of rows at the last alert';

CREATE TABLE jit_access.template_volume (
    template_id bigint PRIMARY KEY,
    totals      bigint[] NOT NULL
);
COMMENT ON TABLE jit_access.template_volume IS
    'rows returned or changed under each of the last grants of a template, oldest first';

CREATE FUNCTION jit_access.person_of_login(login text, OUT person_id text, OUT person text)
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT coalesce('person ' || p.name, 'login ' || a.oid, 'name ' || n.name), coalesce(p.name, n.name)
    FROM (SELECT coalesce((SELECT r.requester_name
                           FROM jit_access.request r
                           WHERE r.id = substring(login FROM '^jit_login_([0-9]{1,18})$')::bigint), login)) n (name)
    LEFT JOIN pg_catalog.pg_authid a ON a.rolname = n.name::name
    LEFT JOIN jit_access.person p ON CASE WHEN a.oid IS NULL THEN p.login_name = n.name ELSE p.login = a.oid END
    LIMIT 1
$$;
REVOKE ALL ON FUNCTION jit_access.person_of_login(text) FROM PUBLIC;
COMMENT ON FUNCTION jit_access.person_of_login(text) IS
    'returns the identity and the name of the person behind a login in the record; a temporary login belongs to the '
    'holder of its grant';

CREATE FUNCTION jit_access.detect(up_to bigint DEFAULT NULL) RETURNS bigint
    LANGUAGE c SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'jit_detect';
REVOKE ALL ON FUNCTION jit_access.detect(bigint) FROM PUBLIC;
COMMENT ON FUNCTION jit_access.detect(bigint) IS
    'evaluates the alert rules up to a row of the record (NULL = the last), as the worker does by itself; returns the last '
    'row evaluated, or NULL if another process is evaluating them';

CREATE FUNCTION jit_access.job_history_rules() RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    now timestamptz := (SELECT w.at FROM jit_access.detection_position w);
    occurrences bigint;
    baselines bigint;
BEGIN
    DELETE FROM jit_access.occurrence s
    USING jit_access.alert_rule r
    WHERE r.name = s.rule AND s.at < now - r.within;
    GET DIAGNOSTICS occurrences = ROW_COUNT;
    DELETE FROM jit_access.baseline h
    USING jit_access.alert_rule r
    WHERE r.name = CASE h.kind
                       WHEN 'hour' THEN 'unusual_hours'
                       WHEN 'template' THEN 'unusual_template'
                       ELSE 'new_network'
                   END
      AND h.last_at < now - r.within;
    GET DIAGNOSTICS baselines = ROW_COUNT;
    DELETE FROM jit_access.grant_volume g
    USING jit_access.request r
    WHERE r.id = g.grant_id AND r.state IN ('ended', 'revoked') AND r.closed_at < now - interval '1 day';
    RETURN format('deleted %s occurrences and %s baselines that are older than the rules look back',
                  occurrences, baselines);
END
$$;
REVOKE ALL ON FUNCTION jit_access.job_history_rules() FROM PUBLIC;
COMMENT ON FUNCTION jit_access.job_history_rules() IS
    'job: deletes occurrences and baselines that are older than the range of the alert rules; returns the number of '
    'rows deleted';
