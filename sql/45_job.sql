-- What is done by the clock: by pg_cron where jit_schedule() has been called, and what is essential by the worker where it has
-- not, or where pg_cron does not run. Nothing that ends a grant is among it.
CREATE TABLE jit_access.job (
    name          text PRIMARY KEY CHECK (name ~ '^[a-z_]{1,40}$'),
    schedule      text NOT NULL,
    every         interval NOT NULL,
    essential     boolean NOT NULL,
    each_nap      boolean NOT NULL DEFAULT false,
    description   text NOT NULL,
    scheduled_at  timestamptz,
    scheduled_by  text,
    due_from      timestamptz NOT NULL DEFAULT clock_timestamp(),
    pid           integer,
    process_start timestamptz,
    started_at    timestamptz,
    finished_at   timestamptz,
    runs          bigint NOT NULL DEFAULT 0,
    failures      integer NOT NULL DEFAULT 0,
    result        text,
    error         text
);
COMMENT ON TABLE jit_access.job IS 'scheduled jobs: job x is the function jit_access.job_x(), when it is to run, and what came of its last run';
COMMENT ON COLUMN jit_access.job.schedule IS 'as pg_cron writes it, in UTC';
COMMENT ON COLUMN jit_access.job.every IS 'the worker runs an essential job that has not begun for so long; twice that where pg_cron has it';
COMMENT ON COLUMN jit_access.job.each_nap IS 'where pg_cron does not have it, the worker does it in each nap, and not as a job';
COMMENT ON COLUMN jit_access.job.failures IS 'in a row';
INSERT INTO jit_access.job (name, schedule, every, essential, each_nap, description) VALUES
    ('retention', '10 * * * *', '1 hour', true, true, 'drops partitions of the record that are older than jit_access.record_retention'),
    ('drift', '*/15 * * * *', '15 minutes', false, true, 'has the worker compare every role and membership with the tables, and waits for its answer'),
    ('verify', '20 2 * * *', '1 day', true, false, 'verifies what is new on the record, and once a week all of it'),
    ('review_reminders', '0 6 * * *', '1 day', true, false, 'puts reviews that are overdue on the record, once a day each'),
    ('history_rules', '5 * * * *', '1 hour', true, false, 'evaluates the rules for alerts that look at history'),
    ('scenarios', '40 2 * * *', '1 day', false, false, 'runs the stored scenarios'),
    ('drill', '50 */6 * * *', '6 hours', false, false, 'takes a canary through the life of a grant');

CREATE TABLE jit_access.verification (
    chain    uuid PRIMARY KEY,
    seq      bigint NOT NULL,
    head     text NOT NULL,
    sound_at timestamptz,
    full_at  timestamptz,
    at       timestamptz NOT NULL,
    finding  text
);
COMMENT ON TABLE jit_access.verification IS 'up to where the job verify has found the record sound, with the hash of that row; finding: what it found last';

CREATE FUNCTION jit_access.job_retention() RETURNS text
    LANGUAGE c SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'jit_job_retention';
COMMENT ON FUNCTION jit_access.job_retention() IS 'drops the oldest partition of the record, where it is due; see jit_access.run_job. Errors: JA005.';

CREATE FUNCTION jit_access.job_drift() RETURNS text
    LANGUAGE c SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'jit_job_drift';
COMMENT ON FUNCTION jit_access.job_drift() IS 'has the worker make a sweep for drift that looks at everything, and says what it found; see jit_access.run_job. Errors: JA005.';

CREATE FUNCTION jit_access.job_verify() RETURNS text
    LANGUAGE c SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'jit_job_verify';
COMMENT ON FUNCTION jit_access.job_verify() IS
    'verifies the record from the last row that was found sound on, once a week all of it; what is not sound is the event chain broken; see jit_access.run_job. Errors: JA005.';

CREATE FUNCTION jit_access.job_review_reminders() RETURNS text
    LANGUAGE c SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'jit_job_review_reminders';
COMMENT ON FUNCTION jit_access.job_review_reminders() IS
    'writes the event review overdue for each review that is, once a day; see jit_access.run_job.';

CREATE FUNCTION jit_access.run_job(job text) RETURNS text
    LANGUAGE c SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'jit_run_job';
COMMENT ON FUNCTION jit_access.run_job(text) IS
    'runs a job now, in a process of its own, unless it is running, and returns what it said; this is what pg_cron calls. Administrators. Errors: JA001, JA004, JA005.';

-- They are run by run_job, which is for administrators.
REVOKE ALL ON FUNCTION jit_access.job_retention(), jit_access.job_drift(), jit_access.job_verify(), jit_access.job_review_reminders(),
                       jit_access.run_job(text) FROM PUBLIC;

CREATE FUNCTION pg_catalog.jit_schedule(
    job text DEFAULT NULL, schedule text DEFAULT NULL, OUT name text, OUT utc_schedule text, OUT command text)
RETURNS SETOF record LANGUAGE c SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'jit_schedule';
COMMENT ON FUNCTION pg_catalog.jit_schedule(text, text) IS
    'makes the jobs of pg_cron, all of them or one, also with another schedule, in UTC; what was made before is replaced. Administrators. Errors: JA001, JA004, JA005, JA018.';

CREATE FUNCTION pg_catalog.jit_unschedule(job text DEFAULT NULL) RETURNS integer
    LANGUAGE c SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'jit_unschedule';
COMMENT ON FUNCTION pg_catalog.jit_unschedule(text) IS
    'takes the jobs of pg_cron away, all of them or one; the worker goes on with what is essential. Returns how many there were. Administrators. Errors: JA001, JA004, JA018.';

CREATE FUNCTION jit_access.cron_state(job text) RETURNS text
    LANGUAGE c SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'jit_cron_state';
REVOKE ALL ON FUNCTION jit_access.cron_state(text) FROM PUBLIC;
COMMENT ON FUNCTION jit_access.cron_state(text) IS
    'what pg_cron has of a job: as scheduled, changed (another command, schedule or database, inactive, or twice), missing; NULL where there is no pg_cron in this database';

CREATE FUNCTION jit_access.job_state(job text, OUT running boolean, OUT interrupted boolean, OUT overdue boolean) RETURNS record
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT alive, j.pid IS NOT NULL AND NOT alive,
           COALESCE(clock_timestamp() - COALESCE(greatest(j.started_at, j.scheduled_at), j.due_from) > 2 * j.every
                    AND (j.scheduled_at IS NOT NULL OR j.essential AND NOT j.each_nap)
                    AND to_regprocedure('jit_access.job_' || j.name || '()') IS NOT NULL, false)
    FROM jit_access.job j, LATERAL (SELECT EXISTS (
        SELECT FROM pg_catalog.pg_stat_activity a WHERE a.pid = j.pid AND a.backend_start = j.process_start) AS alive) x
    WHERE j.name = $1;
END;
REVOKE ALL ON FUNCTION jit_access.job_state(text) FROM PUBLIC;
COMMENT ON FUNCTION jit_access.job_state(text) IS
    'whether a process is at work on the job, whether the last one was stopped before its end, and whether it should have run by now';
