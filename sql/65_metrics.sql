-- Metrics for monitoring: counters that the worker maintains, and values that need no scan of the record. They name no
-- person, template or object.
CREATE TABLE jit_access.counter (
    name  text NOT NULL,
    label text NOT NULL,
    value double precision NOT NULL,
    PRIMARY KEY (name, label)
) WITH (fillfactor = 50);
COMMENT ON TABLE jit_access.counter IS
    'counters that the worker increments in the transaction that writes the record; see jit_access.metrics';

CREATE FUNCTION jit_access.may_monitor() RETURNS boolean
    LANGUAGE c STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'jit_may_monitor';
COMMENT ON FUNCTION jit_access.may_monitor() IS
    'returns whether the session user is a member of jit_monitor, or may audit; pg_monitor does not count';

-- The metrics are a function because functions called in a view are checked against the privileges of the user who reads
-- the view. It is in PL/pgSQL because that caches the plan of this long query for the next call of the session.
CREATE FUNCTION jit_access.read_metrics(OUT name text, OUT label text, OUT value double precision) RETURNS SETOF record
LANGUAGE plpgsql SECURITY DEFINER ROWS 100 SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
    IF NOT jit_access.may_monitor() THEN
        RETURN;
    END IF;
    RETURN QUERY
    WITH s AS MATERIALIZED (
        SELECT * FROM jit_access.status()
    ), v AS MATERIALIZED (
        SELECT * FROM jit_access.verification ORDER BY at DESC LIMIT 1
    ), j AS MATERIALIZED (
        SELECT j.*, x.*
        FROM jit_access.job j, jit_access.job_state(j.name) x
        WHERE to_regprocedure('jit_access.job_' || j.name || '()') IS NOT NULL
    ), a AS MATERIALIZED (
        SELECT severity, count(*) AS alerts
        FROM jit_access.alert
        WHERE state <> 'closed'
        GROUP BY severity
    ), r AS MATERIALIZED (
        SELECT state, count(*) AS requests
        FROM jit_access.request
        WHERE state IN ('pending', 'scheduled', 'active', 'suspended')
        GROUP BY state
    ), o AS MATERIALIZED (
        SELECT due_at FROM jit_access.review WHERE reviewed_at IS NULL
    )
    SELECT x.name, '', x.value::double precision
    FROM s, LATERAL (VALUES
        ('worker_up', (s.worker_pid IS NOT NULL)::integer::numeric),
        ('worker_loops_total', s.worker_loops),
        ('grants_live', s.live_grants),
        ('grants_over', s.grants_over),
        ('grant_slots', s.grant_slots),
        ('journal_up', (s.journal_bytes IS NOT NULL)::integer),
        ('journal_bytes', s.journal_bytes),
        ('journal_unread_bytes', s.journal_unread_bytes),
        ('journal_lag_seconds',
         CASE WHEN s.journal_bytes IS NOT NULL
              THEN greatest(COALESCE(extract(epoch FROM clock_timestamp() - s.journal_unread_since), 0), 0) END),
        ('journal_written_bytes_total', s.journal_written_bytes),
        ('journal_waits_total', s.journal_waits),
        ('journal_refusals_total', s.journal_refusals),
        ('journal_syncs_total', s.journal_syncs),
        ('late_refusals_total', s.late_refusals),
        ('sessions_ended_total', s.sessions_ended),
        ('events_waiting', (SELECT count(*) FROM jit_access.event)),
        ('cleanups_due', (SELECT count(*) FROM jit_access.request WHERE cleanup = 'due')),
        ('cleanups_failing',
         (SELECT count(*) FROM jit_access.request WHERE cleanup = 'due' AND cleanup_attempts > 0)),
        ('pending_oldest_seconds',
         (SELECT COALESCE(extract(epoch FROM clock_timestamp() - min(requested_at)), 0)
          FROM jit_access.request
          WHERE state = 'pending')),
        ('reviews_open', (SELECT count(*) FROM o)),
        ('reviews_overdue', (SELECT count(*) FROM o WHERE due_at < clock_timestamp())),
        ('record_rows', (SELECT max(seq) FROM jit_access.record)),
        ('record_partitions', (SELECT count(*) FROM pg_inherits WHERE inhparent = 'jit_access.record'::regclass)),
        ('checkpoint_age_seconds',
         (SELECT extract(epoch FROM clock_timestamp() - c.at) FROM jit_access.checkpoint c ORDER BY c.seq DESC LIMIT 1)),
        ('record_sound', (SELECT (finding IS NULL)::integer FROM v)),
        ('record_verified_rows', (SELECT seq FROM v)),
        ('record_verified_age_seconds', (SELECT extract(epoch FROM clock_timestamp() - sound_at) FROM v)),
        ('record_verified_fully_age_seconds', (SELECT extract(epoch FROM clock_timestamp() - full_at) FROM v))
    ) x (name, value)
    UNION ALL
    SELECT 'requests', e.state::text, COALESCE(r.requests, 0)
    FROM unnest('{pending, scheduled, active, suspended}'::jit_access.state[]) e (state)
    LEFT JOIN r USING (state)
    UNION ALL
    SELECT 'alerts_open', e.severity, COALESCE(a.alerts, 0)
    FROM unnest('{low, medium, high}'::text[]) e (severity)
    LEFT JOIN a USING (severity)
    UNION ALL
    SELECT x.name, j.name, x.value
    FROM j, LATERAL (VALUES
        ('job_runs_total', j.runs::double precision),
        ('job_failures', j.failures + j.interrupted::integer),
        ('job_overdue', j.overdue::integer),
        ('job_scheduled', (j.scheduled_at IS NOT NULL)::integer),
        ('job_age_seconds', extract(epoch FROM clock_timestamp() - j.started_at)),
        ('job_duration_seconds',
         CASE WHEN j.finished_at >= j.started_at THEN extract(epoch FROM j.finished_at - j.started_at) END)
    ) x (name, value)
    UNION ALL
    SELECT c.name, c.label, c.value
    FROM jit_access.counter c;
END
$$;
REVOKE ALL ON FUNCTION jit_access.read_metrics() FROM PUBLIC;
COMMENT ON FUNCTION jit_access.read_metrics() IS
    'returns the rows of jit_access.metrics; returns no rows unless the session user may monitor';

CREATE VIEW jit_access.metrics AS
SELECT m.name, m.label, m.value
FROM jit_access.read_metrics() m
ORDER BY m.name, m.label;
COMMENT ON VIEW jit_access.metrics IS
    'metrics for monitoring, which name no person and need no scan of the record; units are in the names. For members of '
    'jit_monitor, auditors and administrators';
