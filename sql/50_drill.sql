-- Drills: the canary template goes through the life of a grant on the running server.
CREATE TABLE jit_access.drill (
    id          bigint PRIMARY KEY DEFAULT jit_access.next_id('drill'),
    started_at  timestamptz NOT NULL,
    started_by  text NOT NULL,
    finished_at timestamptz,
    ok          boolean,
    grant_id    bigint
);
COMMENT ON TABLE jit_access.drill IS 'the last thousand drills; ok is NULL while one runs';

CREATE TABLE jit_access.drill_step (
    drill_id   bigint NOT NULL REFERENCES jit_access.drill ON DELETE CASCADE,
    step       integer NOT NULL,
    name       text NOT NULL,
    ok         boolean NOT NULL,
    latency_ms numeric NOT NULL,
    detail     text,
    PRIMARY KEY (drill_id, step)
);
COMMENT ON TABLE jit_access.drill_step IS 'steps of each drill, up to the first one that failed';

CREATE FUNCTION pg_catalog.jit_set_up_drill() RETURNS void
    LANGUAGE c SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'jit_set_up_drill';
COMMENT ON FUNCTION pg_catalog.jit_set_up_drill() IS
    'creates or repairs the objects of a drill: three logins that no client can use, the table jit_drill.canary and the '
    'template jit_drill. For administrators. Errors: JA004, JA005, JA007, JA008, JA015, JA018.';

CREATE FUNCTION pg_catalog.jit_drill(
    step_timeout interval DEFAULT '10 seconds',
    OUT step integer, OUT name text, OUT ok boolean, OUT latency_ms numeric, OUT detail text)
RETURNS SETOF record LANGUAGE c SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'jit_drill';
COMMENT ON FUNCTION pg_catalog.jit_drill(interval) IS
    'runs a drill: request, two approvals, use, refusal at the deadline, cleanup, record, verification; returns one '
    'row for each step, up to the first step that fails. step_timeout: longest time for a step, at most one minute. '
    'For administrators. Errors: JA001, JA004, JA005, JA009.';

CREATE FUNCTION jit_access.job_drill() RETURNS text
    LANGUAGE c SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'jit_job_drill';
REVOKE ALL ON FUNCTION jit_access.job_drill() FROM PUBLIC;
COMMENT ON FUNCTION jit_access.job_drill() IS
    'job: runs a drill and returns its result in one line. For administrators. Errors: JA004, JA005, JA009.';
