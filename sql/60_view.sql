-- Views for requesters, approvers, auditors and administrators, and the functions their conditions call.
--
-- No role has privileges on the tables. A view runs with its owner's privileges on them and shows the rows that the
-- session user may see. Views that show a user their own rows are security barriers. Conditions on the user are scalar
-- subqueries, so that they are evaluated once per query and not once per row. OFFSET 0 keeps a view over one table from
-- being updatable.

CREATE FUNCTION jit_access.may_decide(template_id bigint) RETURNS boolean
    LANGUAGE c STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'jit_may_decide';
COMMENT ON FUNCTION jit_access.may_decide(bigint) IS
    'returns whether the session user is a member of an approver role of the template; being a superuser does not '
    'count';

CREATE FUNCTION jit_access.require_auditor() RETURNS void
    LANGUAGE c STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'jit_require_auditor';
REVOKE ALL ON FUNCTION jit_access.require_auditor() FROM PUBLIC;
COMMENT ON FUNCTION jit_access.require_auditor() IS
    'raises an error unless the session user may audit; the refusal is recorded. Errors: JA004.';

CREATE FUNCTION jit_access.status(
    OUT worker_pid integer, OUT worker_loops bigint, OUT live_grants bigint, OUT grants_over bigint,
    OUT grant_slots integer, OUT journal_node uuid, OUT journal_bytes bigint, OUT journal_unread_bytes bigint,
    OUT journal_unread_since timestamptz, OUT journal_written_bytes bigint, OUT journal_waits bigint,
    OUT journal_refusals bigint, OUT journal_syncs bigint, OUT late_refusals bigint, OUT sessions_ended bigint)
    LANGUAGE c AS 'MODULE_PATHNAME', 'jit_status';
REVOKE ALL ON FUNCTION jit_access.status() FROM PUBLIC;
COMMENT ON FUNCTION jit_access.status() IS
    'returns the state in shared memory, with counters since the server was started';

CREATE FUNCTION jit_access.confirmed(id bigint) RETURNS boolean
    LANGUAGE c AS 'MODULE_PATHNAME', 'jit_confirmed';
REVOKE ALL ON FUNCTION jit_access.confirmed(bigint) FROM PUBLIC;
COMMENT ON FUNCTION jit_access.confirmed(bigint) IS
    'returns whether the grant is live in shared memory; if it is not, statements of sessions that rely on it are '
    'refused';

CREATE VIEW jit_access.my_requests WITH (security_barrier) AS
SELECT r.id, t.name AS template, r.state, r.duration, r.reason, r.ticket, r.scope, r.starts_at, r.requested_at,
       CASE r.state WHEN 'pending' THEN r.lapses_at WHEN 'scheduled' THEN r.use_by END AS lapses_at,
       (SELECT count(*)
        FROM jit_access.decision d
        WHERE d.request_id = r.id AND d.verdict = 'approve') AS approvals,
       t.approvals_needed, r.rule, r.break_glass,
       r.state = 'scheduled' AND r.use_by IS NOT NULL AS needs_activation,
       r.activated_at, r.ends_at, r.closed_at, r.close_reason
FROM jit_access.request r
JOIN jit_access.template t ON t.id = r.template_id
WHERE r.requester = (SELECT oid FROM pg_catalog.pg_authid WHERE rolname = session_user)
ORDER BY r.id;
COMMENT ON VIEW jit_access.my_requests IS 'all requests of the session user and their state';

CREATE VIEW jit_access.my_grants WITH (security_barrier) AS
SELECT r.id, t.name AS template, r.state, t.mode,
       CASE WHEN r.state IN ('active', 'suspended') THEN 'jit_grant_' || r.id END AS grant_role,
       r.scope, COALESCE(r.activated_at, r.starts_at) AS starts_at, r.ends_at,
       CASE WHEN r.state = 'active' THEN greatest(r.ends_at - clock_timestamp(), interval '0') END AS time_left
FROM jit_access.request r
JOIN jit_access.template t ON t.id = r.template_id
WHERE r.state IN ('scheduled', 'active', 'suspended')
  AND r.requester = (SELECT oid FROM pg_catalog.pg_authid WHERE rolname = session_user)
ORDER BY r.id;
COMMENT ON VIEW jit_access.my_grants IS
    'grants that the session user holds, or will hold from a scheduled start, and the time left';

CREATE VIEW jit_access.pending_requests WITH (security_barrier) AS
SELECT r.id, r.requester_name AS requester, t.name AS template, t.privileges, r.scope, t.mode, r.duration, r.starts_at,
       r.reason, r.ticket, r.requested_at, r.lapses_at,
       (SELECT count(*)
        FROM jit_access.decision d
        WHERE d.request_id = r.id AND d.verdict = 'approve') AS approvals,
       t.approvals_needed, t.at_deadline, t.grace_period, t.allow_schema_change, t.allow_code, t.risk, r.digest,
       r.digest IS DISTINCT FROM jit_access.request_digest(r.id) AS stale, t.superuser_only
FROM jit_access.request r
JOIN jit_access.template t ON t.id = r.template_id
WHERE r.state = 'pending'
  AND r.lapses_at > clock_timestamp()
  AND r.requester <> (SELECT oid FROM pg_catalog.pg_authid WHERE rolname = session_user)
  AND t.id = ANY (ARRAY(SELECT m.id
                        FROM jit_access.template m
                        WHERE m.dropped_at IS NULL AND jit_access.may_decide(m.id)))
ORDER BY r.id;
COMMENT ON VIEW jit_access.pending_requests IS
    'requests about which the session user may decide: exactly what would be granted, to whom, why and for how long; '
    'stale = this has changed since the request was made, so that the request can no longer be approved';

CREATE VIEW jit_access.decisions AS
SELECT d.request_id AS id, d.approver_name AS approver, d.verdict, d.comment, d.duration, d.digest, d.decided_at,
       r.requester_name AS requester, t.name AS template
FROM jit_access.decision d
JOIN jit_access.request r ON r.id = d.request_id
JOIN jit_access.template t ON t.id = r.template_id
WHERE (SELECT jit_access.may_audit());
COMMENT ON VIEW jit_access.decisions IS 'all approvals and denials, with approver and time';

CREATE VIEW jit_access.grant_history AS
SELECT r.id, r.requester_name AS requester, t.name AS template, r.template_version, r.state, r.reason, r.ticket, r.scope,
       r.duration, r.requested_at,
       (SELECT array_agg(d.approver_name ORDER BY d.decided_at)
        FROM jit_access.decision d
        WHERE d.request_id = r.id AND d.verdict = 'approve') AS approved_by,
       (SELECT d.approver_name
        FROM jit_access.decision d
        WHERE d.request_id = r.id AND d.verdict = 'deny') AS denied_by,
       r.rule, r.break_glass, r.reasons, r.activated_at, r.ends_at, r.closed_at, r.closed_by, r.close_reason, r.cleanup
FROM jit_access.request r
JOIN jit_access.template t ON t.id = r.template_id
WHERE (SELECT jit_access.may_audit());
COMMENT ON VIEW jit_access.grant_history IS
    'all requests and grants: requester, template, times, reason, approvers, and how each was closed';

CREATE VIEW jit_access.active_grants AS
SELECT r.id, r.requester_name AS requester, t.name AS template, r.break_glass, t.mode, r.state,
       'jit_grant_' || r.id AS grant_role, r.scope, r.activated_at, r.ends_at,
       greatest(r.ends_at - clock_timestamp(), interval '0') AS time_left,
       jit_access.confirmed(r.id) AS confirmed, r.cleanup, r.cleanup_attempts, r.cleanup_next, r.cleanup_error
FROM jit_access.request r
JOIN jit_access.template t ON t.id = r.template_id
WHERE (r.state IN ('active', 'suspended') OR r.cleanup = 'due') AND (SELECT jit_access.may_audit());
COMMENT ON VIEW jit_access.active_grants IS
    'live grants, and ended grants whose temporary role the worker still has to remove (access is already refused)';

CREATE VIEW jit_access.quarantine AS
SELECT pg_catalog.substring(a.rolname::text, '[0-9]+$')::bigint AS id, a.rolname::text AS role,
       (SELECT count(*)
        FROM pg_catalog.pg_shdepend s
        WHERE s.refclassid = 'pg_catalog.pg_authid'::regclass AND s.refobjid = a.oid AND s.deptype = 'o') AS objects,
       pg_catalog.shobj_description(a.oid, 'pg_authid') AS description
FROM pg_catalog.pg_authid a
WHERE a.rolname ~ '^jit_quarantine_[0-9]{1,18}$' AND (SELECT jit_access.may_audit())
ORDER BY 1;
COMMENT ON VIEW jit_access.quarantine IS
    'objects of ended grants that could not be handed over: for each grant, its quarantine role and the objects of '
    'the role';

CREATE VIEW jit_access.template_catalog AS
SELECT t.name, t.version, t.description, t.role_name AS role, t.mode, t.privileges,
       ARRAY(SELECT p.role_name
             FROM jit_access.template_person p
             WHERE p.template_id = t.id AND p.part = 'requester'
             ORDER BY 1) AS requesters,
       ARRAY(SELECT p.role_name
             FROM jit_access.template_person p
             WHERE p.template_id = t.id AND p.part = 'approver'
             ORDER BY 1) AS approvers,
       ARRAY(SELECT p.role_name
             FROM jit_access.template_person p
             WHERE p.template_id = t.id AND p.part = 'responder'
             ORDER BY 1) AS responders,
       t.approvals_needed, t.distinct_groups, t.default_duration, t.max_duration, t.total_duration, t.holder_extension,
       t.time_to_decide, t.time_to_use, t.cool_down, t.person_at_once, t.person_per_day, t.template_at_once,
       t.template_per_day, t.login_connections, t.risk, t.break_glass_duration, t.break_glass_per_day, t.reason_required,
       t.ticket_required, t.allow_schema_change, t.at_deadline, t.grace_period, t.object_owner_name AS object_owner,
       t.allow_code, t.windows, t.networks, t.tls_required, t.client_cert_required, t.auth_methods, t.databases,
       t.second_factor, t.created_at, t.created_by, t.superuser_only
FROM jit_access.template t
WHERE t.dropped_at IS NULL AND (SELECT jit_access.may_audit())
OFFSET 0;
COMMENT ON VIEW jit_access.template_catalog IS 'templates that can be requested, with their policy';

CREATE VIEW jit_access.reviews WITH (security_barrier) AS
SELECT r.id, r.requester_name AS responder, t.name AS template, r.reason, r.state, r.activated_at, r.ends_at, r.closed_at,
       v.reviewed_at IS NULL AS open, v.due_at,
       v.reviewed_at IS NULL AND v.due_at < clock_timestamp() AS overdue,
       v.verdict, v.reviewer_name AS reviewer, v.comment, v.reviewed_at
FROM jit_access.review v
JOIN jit_access.request r ON r.id = v.request_id
JOIN jit_access.template t ON t.id = r.template_id
WHERE (SELECT jit_access.may_audit())
   OR r.requester = (SELECT oid FROM pg_catalog.pg_authid WHERE rolname = session_user)
   OR t.id = ANY (ARRAY(SELECT m.id FROM jit_access.template m WHERE jit_access.may_decide(m.id)))
ORDER BY v.reviewed_at IS NULL DESC, v.due_at, r.id;
COMMENT ON VIEW jit_access.reviews IS
    'break-glass grants and their reviews, open ones first; for auditors, approvers of the template, and the responder';

CREATE VIEW jit_access.alerts AS
SELECT a.id, a.rule, a.severity, a.person, a.grant_id, a.state, a.count, a.first_seen, a.last_seen, a.detail,
       a.evidence, a.acknowledged_at, a.acknowledged_by, a.acknowledge_comment, a.closed_at, a.closed_by, a.close_comment
FROM jit_access.alert a
WHERE (SELECT jit_access.may_audit())
ORDER BY pg_catalog.array_position('{open, acknowledged, closed}', a.state),
         pg_catalog.array_position('{high, medium, low}', a.severity),
         a.last_seen DESC, a.id;
COMMENT ON VIEW jit_access.alerts IS
    'alerts, open and severe ones first; evidence = seq in jit_access.audit_log of the newest records that raised the alert';

CREATE VIEW jit_access.rules AS
SELECT r.name, r.effect, r.template_names AS templates, r.role_name AS role, r.max_duration, r.max_risk, r.networks,
       r.windows, r.created_by, r.created_at
FROM jit_access.rule r
WHERE (SELECT jit_access.may_audit())
OFFSET 0;
COMMENT ON VIEW jit_access.rules IS 'rules that allow requests without an approval, or deny them';

CREATE VIEW jit_access.windows AS
SELECT w.name, w.kind, w.time_zone, w.starts, w.lasts, w.weekdays, w.first_day, w.last_day, w.days, w.created_by,
       w.created_at
FROM jit_access.time_window w
WHERE (SELECT jit_access.may_audit())
OFFSET 0;
COMMENT ON VIEW jit_access.windows IS 'recurring times in which templates may be used and rules apply';

CREATE VIEW jit_access.people AS
SELECT p.name AS person, p.login_name AS login
FROM jit_access.person p
WHERE (SELECT jit_access.may_audit())
OFFSET 0;
COMMENT ON VIEW jit_access.people IS 'declared persons and their logins';

CREATE VIEW jit_access.second_factors AS
SELECT COALESCE(a.rolname::text COLLATE "default", f.login_name) AS login, f.enrolled_at, f.confirmed_at, f.last_used,
       jit_access.locked_until(f.login) AS locked_until,
       (SELECT count(*)
        FROM jit_access.recovery_code c
        WHERE c.login = f.login AND c.used_at IS NULL) AS recovery_codes
FROM jit_access.second_factor f
LEFT JOIN pg_catalog.pg_authid a ON a.oid = f.login
WHERE (SELECT jit_access.may_audit());
COMMENT ON VIEW jit_access.second_factors IS
    'logins with a second factor: times of enrolment, confirmation and last use, lock, and recovery codes left';

CREATE VIEW jit_access.grant_usage AS
SELECT r.id, r.requester_name AS requester, t.name AS template, u.statements, u.failed, u.refused, u.rows, u.first_use,
       u.last_use, u.objects
FROM jit_access.request r
JOIN jit_access.template t ON t.id = r.template_id
CROSS JOIN LATERAL (
    SELECT count(*) FILTER (WHERE a.kind = 'use') AS statements,
           count(*) FILTER (WHERE a.kind = 'use' AND a.outcome = 'failed') AS failed,
           count(*) FILTER (WHERE a.kind = 'refusal') AS refused,
           COALESCE(sum(a.rows) FILTER (WHERE a.depth = 0), 0)::bigint AS rows,
           min(a.at) FILTER (WHERE a.kind = 'use') AS first_use,
           max(a.at) FILTER (WHERE a.kind = 'use') AS last_use,
           ARRAY(SELECT DISTINCT x
                 FROM jit_access.record b, unnest(b.objects) x
                 WHERE b.grant_id = r.id
                 ORDER BY x) AS objects
    FROM jit_access.audit_log a
    WHERE a.grant_id = r.id) u
WHERE r.activated_at IS NOT NULL AND (SELECT jit_access.may_audit());
COMMENT ON VIEW jit_access.grant_usage IS
    'use of each grant: statements, failures, refusals, rows, objects, first and last use';

CREATE VIEW jit_access.jobs AS
SELECT j.name, j.description, j.schedule AS utc_schedule, j.every, j.essential,
       to_regprocedure('jit_access.job_' || j.name || '()') IS NOT NULL AS available,
       j.scheduled_at, j.scheduled_by, jit_access.cron_state(j.name) AS cron, s.running, j.started_at, j.finished_at,
       CASE WHEN j.finished_at >= j.started_at THEN j.finished_at - j.started_at END AS duration,
       j.runs, j.failures, j.result,
       CASE WHEN s.interrupted THEN 'It was stopped before its end.' ELSE j.error END AS error,
       s.overdue
FROM jit_access.job j, jit_access.job_state(j.name) s
WHERE (SELECT jit_access.may_audit())
OFFSET 0;
COMMENT ON VIEW jit_access.jobs IS 'scheduled jobs, their schedules and the result of the last run';

CREATE VIEW jit_access.access_review_items WITH (security_barrier) AS
SELECT i.review_id, i.item, i.kind, t.name AS template, i.role_name AS role, i.request_id AS grant_id,
       CASE
           WHEN i.verdict IS NULL THEN jit_access.review_evidence(i.review_id, i.item)
           ELSE i.evidence
       END AS evidence,
       c.due_at,
       COALESCE(i.verdict,
                CASE v.verdict WHEN 'justified' THEN 'confirm' WHEN 'not_justified' THEN 'withdraw' END) AS verdict,
       COALESCE(i.reviewer_name, v.reviewer_name) AS reviewer,
       COALESCE(i.comment, v.comment) AS comment,
       COALESCE(i.reviewed_at, v.reviewed_at) AS reviewed_at
FROM jit_access.access_review_item i
JOIN jit_access.access_review c ON c.id = i.review_id
JOIN jit_access.template t ON t.id = i.template_id
LEFT JOIN jit_access.review v ON v.request_id = i.request_id
WHERE (SELECT jit_access.may_audit())
   OR c.id = ANY (ARRAY(SELECT r.id FROM jit_access.access_review r WHERE jit_access.may_review(r.id)))
ORDER BY i.review_id DESC, i.item;
COMMENT ON VIEW jit_access.access_review_items IS
    'items of access reviews with evidence and verdict; a break-glass grant reviewed by jit_review counts as decided. For '
    'auditors, and for the reviewers of each review';

CREATE VIEW jit_access.access_reviews WITH (security_barrier) AS
SELECT c.id, c.scope,
       ARRAY(SELECT r.role_name FROM jit_access.access_reviewer r WHERE r.review_id = c.id ORDER BY 1) AS reviewers,
       c.started_at, c.started_by, c.due_at, n.items, n.open, n.confirmed, n.withdrawn,
       n.open > 0 AND c.due_at < clock_timestamp() AS overdue
FROM jit_access.access_review c
CROSS JOIN LATERAL (
    SELECT count(*) AS items,
           count(*) FILTER (WHERE w.verdict IS NULL) AS open,
           count(*) FILTER (WHERE w.verdict = 'confirm') AS confirmed,
           count(*) FILTER (WHERE w.verdict = 'withdraw') AS withdrawn
    FROM (SELECT COALESCE(i.verdict,
                          CASE v.verdict
                              WHEN 'justified' THEN 'confirm'
                              WHEN 'not_justified' THEN 'withdraw'
                          END) AS verdict
          FROM jit_access.access_review_item i
          LEFT JOIN jit_access.review v ON v.request_id = i.request_id
          WHERE i.review_id = c.id) w) n
WHERE (SELECT jit_access.may_audit())
   OR c.id = ANY (ARRAY(SELECT r.id FROM jit_access.access_review r WHERE jit_access.may_review(r.id)))
ORDER BY c.id DESC;
COMMENT ON VIEW jit_access.access_reviews IS
    'access reviews and their progress, latest first; for auditors, and for the reviewers of each review';

CREATE VIEW jit_access.drills AS
SELECT d.id, d.started_at, d.started_by, d.finished_at, d.ok, d.grant_id, s.step, s.name, s.ok AS step_ok, s.latency_ms,
       s.detail
FROM jit_access.drill d
LEFT JOIN jit_access.drill_step s ON s.drill_id = d.id
WHERE (SELECT jit_access.may_audit())
ORDER BY d.id DESC, s.step;
COMMENT ON VIEW jit_access.drills IS 'drills, latest first, one row for each step';

CREATE VIEW jit_access.health AS
SELECT s.*,
       (SELECT count(*) FROM jit_access.event) AS events_waiting,
       (SELECT count(*) FROM jit_access.request WHERE cleanup = 'due') AS cleanups_due,
       (SELECT count(*) FROM jit_access.request WHERE cleanup = 'due' AND cleanup_attempts > 0) AS cleanups_failing,
       (SELECT count(*)
        FROM pg_catalog.pg_inherits
        WHERE inhparent = 'jit_access.record'::regclass) AS record_partitions,
       (SELECT v.seq FROM jit_access.verification v ORDER BY v.at DESC LIMIT 1) AS record_verified_to,
       (SELECT v.sound_at FROM jit_access.verification v ORDER BY v.at DESC LIMIT 1) AS record_verified_at,
       (SELECT v.finding FROM jit_access.verification v ORDER BY v.at DESC LIMIT 1) AS record_finding,
       ARRAY(SELECT j.name
             FROM jit_access.job j, jit_access.job_state(j.name) x
             WHERE j.error IS NOT NULL OR x.interrupted
             ORDER BY 1) AS jobs_failing,
       ARRAY(SELECT j.name
             FROM jit_access.job j, jit_access.job_state(j.name) x
             WHERE x.overdue
             ORDER BY 1) AS jobs_overdue,
       (SELECT jsonb_object_agg(j.name, COALESCE(j.error, j.result))
        FROM jit_access.job j
        WHERE j.finished_at IS NOT NULL) AS job_results,
       (SELECT max(finished_at) FROM jit_access.drill) AS last_drill,
       (SELECT ok FROM jit_access.drill WHERE ok IS NOT NULL ORDER BY id DESC LIMIT 1) AS last_drill_ok,
       ARRAY(SELECT 'function ' || p.oid::regprocedure
             FROM pg_catalog.pg_proc p
             WHERE p.proname LIKE 'jit\_%'
               AND NOT EXISTS (SELECT
                               FROM pg_catalog.pg_depend d
                               JOIN pg_catalog.pg_extension e ON e.oid = d.refobjid
                               WHERE d.classid = 'pg_catalog.pg_proc'::regclass AND d.objid = p.oid
                                 AND d.refclassid = 'pg_catalog.pg_extension'::regclass AND d.deptype = 'e'
                                 AND e.extname = 'jit_access')
             UNION ALL
             SELECT 'type ' || t.oid::regtype
             FROM pg_catalog.pg_type t
             WHERE t.typname LIKE 'jit\_%' AND t.typrelid = 0
             ORDER BY 1) AS captured_names
FROM jit_access.status() s
WHERE (SELECT jit_access.may_audit());
COMMENT ON VIEW jit_access.health IS
    'state of the worker, lag of the record, failing cleanups, and results of scheduled jobs';
