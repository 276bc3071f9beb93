-- The rules by which alerts are found, and what the worker keeps while it reads the record: it never reads it twice.
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
COMMENT ON TABLE jit_access.alert_rule IS 'what is looked for in the record, and from when on it is an alert; jit_set_alert_rule changes it';
COMMENT ON COLUMN jit_access.alert_rule.threshold IS 'what it counts is in the description; NULL: nothing, one is enough';
COMMENT ON COLUMN jit_access.alert_rule.error IS 'of the last time that it has failed, and missed what it was to look at';
COMMENT ON COLUMN jit_access.alert_rule.may_suspend IS 'its evidence is what the holder himself has sent, so that nobody else can have his grant suspended';
INSERT INTO jit_access.alert_rule (name, severity, threshold, within, may_suspend, description) VALUES
    ('repeated_requests', 'low', 6, '2 hours', false, 'a person asks for one template threshold times within the time'),
    ('unusual_hours', 'medium', 15, '90 days', true, 'a request at a time of day (UTC) at which the person hardly ever asks; on threshold days he has to have asked, so that it is known what is usual'),
    ('unusual_template', 'medium', 15, '90 days', true, 'a request for a template for which neither the person has asked before nor anybody who asks for the like; on threshold days he has to have asked'),
    ('repeated_denials', 'medium', 4, '1 day', false, 'requests of a person are denied threshold times within the time'),
    ('refusal_burst', 'high', 10, '10 minutes', true, 'threshold statements are refused under a grant within the time'),
    ('new_network', 'medium', 10, '90 days', true, 'use of a grant from a network (/24, or /64 of IPv6) from which neither the person nor others have come before; on threshold days he has to have used grants'),
    ('failed_second_factor', 'high', 5, '15 minutes', false, 'threshold codes of a person are not right within the time'),
    ('self_approval', 'high', 1, '1 day', false, 'somebody wants to decide about his own request, review his own break-glass or close an alert about himself, threshold times within the time'),
    ('trap_approval', 'high', 1, '1 day', false, 'code that somebody else has written wants to decide in the name of a person, threshold times within the time'),
    ('break_glass', 'high', NULL, NULL, false, 'the glass was broken'),
    ('break_glass_not_justified', 'high', NULL, NULL, false, 'the review of a break-glass says that it was not justified'),
    ('unusual_rows', 'high', 10, '90 days', true, 'a grant has moved threshold times as many rows as what is much for its template'),
    ('drift', 'high', 1, '1 day', false, 'roles or memberships were changed by hand, threshold times within the time'),
    ('record_lag', 'medium', 60, NULL, false, 'what comes to the record is older than threshold seconds'),
    ('chain_broken', 'high', NULL, NULL, false, 'the record was verified, and is not what was written'),
    ('clock_jump', 'high', 1, '1 day', false, 'the wall clock was set, threshold times within the time'),
    ('scenario_failed', 'high', NULL, NULL, false, 'a rehearsed attack was not refused'),
    ('drill_failed', 'high', NULL, NULL, false, 'a drill has failed'),
    ('review_overdue', 'medium', NULL, NULL, false, 'what somebody has to review was not reviewed in time');

CREATE FUNCTION pg_catalog.jit_set_alert_rule(
    name text,
    enabled boolean DEFAULT NULL,
    severity text DEFAULT NULL,
    threshold integer DEFAULT NULL,
    within interval DEFAULT NULL,
    suspends boolean DEFAULT NULL)
RETURNS void LANGUAGE c SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'jit_set_alert_rule';
COMMENT ON FUNCTION pg_catalog.jit_set_alert_rule IS
    'changes a rule by which alerts are found; what is left out stays as it is. Old and new values are on the record. Administrators. Errors: JA001, JA004, JA018.';

CREATE VIEW jit_access.alert_rules AS
SELECT r.name, r.severity, r.threshold, r.within, r.enabled, r.suspends, r.may_suspend, r.description, r.changed_at, r.changed_by,
       r.failed_at, r.error
FROM jit_access.alert_rule r WHERE (SELECT jit_access.may_audit())
OFFSET 0;
COMMENT ON VIEW jit_access.alert_rules IS 'what is looked for in the record, and from when on it is an alert';

CREATE TABLE jit_access.detection_position (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    seq bigint NOT NULL,
    at  timestamptz
);
INSERT INTO jit_access.detection_position (seq) VALUES (0);
COMMENT ON TABLE jit_access.detection_position IS 'up to where the rules have read the record, and when that was written; moves in the transaction that writes the alerts';

CREATE TABLE jit_access.occurrence (
    rule      text NOT NULL,
    person_id text NOT NULL,
    subject   text NOT NULL,
    seq       bigint NOT NULL,
    at        timestamptz NOT NULL,
    PRIMARY KEY (rule, person_id, subject, seq)
);
COMMENT ON TABLE jit_access.occurrence IS 'what rules with a threshold have counted lately, as many as they need to';

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
COMMENT ON TABLE jit_access.baseline IS 'on how many days a person has asked at an hour (UTC), for a template, or come from a network; an empty value is all of them';

-- Without references, as in jit_access.alert.
CREATE TABLE jit_access.grant_volume (
    grant_id bigint PRIMARY KEY,
    rows     bigint NOT NULL,
    reported bigint NOT NULL DEFAULT 0
);
COMMENT ON TABLE jit_access.grant_volume IS 'rows that the client of a grant has moved, until the grant has ended';
CREATE TABLE jit_access.template_volume (
    template_id bigint PRIMARY KEY,
    totals      bigint[] NOT NULL
);
COMMENT ON TABLE jit_access.template_volume IS 'rows that the last grants of a template have moved, oldest first';

-- Who a login is, as a person; a temporary login is whoever its grant was given to.
CREATE FUNCTION jit_access.person_of_login(login text, OUT person_id text, OUT person text)
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT coalesce('person ' || p.name, 'login ' || a.oid, 'name ' || n.name), coalesce(p.name, n.name)
    FROM (SELECT coalesce((SELECT r.requester_name FROM jit_access.request r
                           WHERE r.id = substring(login FROM '^jit_login_([0-9]{1,18})$')::bigint), login)) n (name)
    LEFT JOIN pg_catalog.pg_authid a ON a.rolname = n.name::name
    LEFT JOIN jit_access.person p ON CASE WHEN a.oid IS NULL THEN p.login_name = n.name ELSE p.login = a.oid END
    LIMIT 1
$$;
REVOKE ALL ON FUNCTION jit_access.person_of_login(text) FROM PUBLIC;
COMMENT ON FUNCTION jit_access.person_of_login(text) IS 'the person that a login of the record is: for the rules';

CREATE FUNCTION jit_access.detect(up_to bigint DEFAULT NULL) RETURNS bigint
    LANGUAGE c SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'jit_detect';
REVOKE ALL ON FUNCTION jit_access.detect(bigint) FROM PUBLIC;
COMMENT ON FUNCTION jit_access.detect(bigint) IS
    'evaluates the rules over the record up to a row (NULL: all there is), which the worker does by itself; returns the last row that was read, NULL when the worker is at it just now';

CREATE FUNCTION jit_access.job_history_rules() RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    now timestamptz := (SELECT w.at FROM jit_access.detection_position w);
    sightings bigint;
    habits bigint;
BEGIN
    DELETE FROM jit_access.occurrence s USING jit_access.alert_rule r WHERE r.name = s.rule AND s.at < now - r.within;
    GET DIAGNOSTICS sightings = ROW_COUNT;
    DELETE FROM jit_access.baseline h USING jit_access.alert_rule r
    WHERE r.name = CASE h.kind WHEN 'hour' THEN 'unusual_hours' WHEN 'template' THEN 'unusual_template' ELSE 'new_network' END
      AND h.last_at < now - r.within;
    GET DIAGNOSTICS habits = ROW_COUNT;
    DELETE FROM jit_access.grant_volume g USING jit_access.request r
    WHERE r.id = g.grant_id AND r.state IN ('ended', 'revoked') AND r.closed_at < now - interval '1 day';
    RETURN format('forgot %s sightings and %s habits that are older than what the rules look at', sightings, habits);
END
$$;
REVOKE ALL ON FUNCTION jit_access.job_history_rules() FROM PUBLIC;
COMMENT ON FUNCTION jit_access.job_history_rules() IS
    'forgets of what is usual what was not seen for as long as the rules look back; what was done is returned';
