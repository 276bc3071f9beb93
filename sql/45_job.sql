-- Scheduled jobs. pg_cron starts them if jit_schedule() has been called; otherwise, or if pg_cron does not run, the
-- worker starts the essential ones. No job is needed to end a grant.
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
COMMENT ON TABLE jit_access.job IS
    'scheduled jobs, their schedules and the result of the last run; job x runs the function jit_access.job_x()';
COMMENT ON COLUMN jit_access.job.schedule IS 'schedule in the syntax of pg_cron, in UTC';
COMMENT ON COLUMN jit_access.job.every IS
    'the worker starts an essential job that has not started for this long, or twice this long if pg_cron schedules it';
COMMENT ON COLUMN jit_access.job.each_nap IS
    'unless pg_cron schedules it, the worker does this work itself once per jit_access.worker_naptime, not as a job';
COMMENT ON COLUMN jit_access.job.scheduled_at IS 'when jit_schedule() gave the job to pg_cron; NULL = pg_cron does not have it';
COMMENT ON COLUMN jit_access.job.due_from IS 'start of the first interval, while the job has never run';
COMMENT ON COLUMN jit_access.job.process_start IS
    'start of the process with that pid, which distinguishes it from a later process with the same pid';
COMMENT ON COLUMN jit_access.job.failures IS 'failed runs since the last successful one';
INSERT INTO jit_access.job (name, schedule, every, essential, each_nap, description) VALUES
    ('retention', '10 * * * *', '1 hour', true, true,
     'drops partitions of the record older than jit_access.record_retention'),
    ('drift', '*/15 * * * *', '15 minutes', false, true,
     'has the worker compare every role and membership with the tables, and waits for the result'),
    ('verify', '20 2 * * *', '1 day', true, false,
     'verifies new rows of the record, and once a week all of them'),
    ('review_reminders', '0 6 * * *', '1 day', true, false,
     'puts each overdue review on the record, once a day'),
    ('history_rules', '5 * * * *', '1 hour', true, false,
     'deletes state of the alert rules that is older than they look back'),
    ('scenarios', '40 2 * * *', '1 day', false, false,
     'runs the stored scenarios'),
    ('drill', '50 */6 * * *', '6 hours', false, false,
     'takes the canary template through the life of a grant');

CREATE TABLE jit_access.verification (
    chain    uuid PRIMARY KEY,
    seq      bigint NOT NULL,
    head     text NOT NULL,
    sound_at timestamptz,
    full_at  timestamptz,
    at       timestamptz NOT NULL,
    finding  text
);
COMMENT ON TABLE jit_access.verification IS
    'progress of the job verify: the last row up to which the record was found sound, and the finding of the last '
    'run, if any';
COMMENT ON COLUMN jit_access.verification.head IS 'hash of the row seq, in hexadecimal';
COMMENT ON COLUMN jit_access.verification.full_at IS 'when the whole record was last verified';
COMMENT ON COLUMN jit_access.verification.finding IS 'first finding of the last run; NULL = the record was sound';

CREATE FUNCTION jit_access.job_retention() RETURNS text
    LANGUAGE c SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'jit_job_retention';
COMMENT ON FUNCTION jit_access.job_retention() IS
    'job: drops the oldest partition of the record if it is older than jit_access.record_retention. Errors: JA005.';

CREATE FUNCTION jit_access.job_drift() RETURNS text
    LANGUAGE c SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'jit_job_drift';
COMMENT ON FUNCTION jit_access.job_drift() IS
    'job: has the worker check every role and membership for drift; returns the number of differences. Errors: JA005.';

CREATE FUNCTION jit_access.job_verify() RETURNS text
    LANGUAGE c SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'jit_job_verify';
COMMENT ON FUNCTION jit_access.job_verify() IS
    'job: verifies the rows after the last one found sound, and once a week the whole record; if there is a finding, '
    'writes the event "chain broken". Errors: JA005.';

CREATE FUNCTION jit_access.job_review_reminders() RETURNS text
    LANGUAGE c SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'jit_job_review_reminders';
COMMENT ON FUNCTION jit_access.job_review_reminders() IS
    'job: writes the event "review overdue" for each overdue review, at most once a day';

CREATE FUNCTION jit_access.run_job(job text) RETURNS text
    LANGUAGE c SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'jit_run_job';
COMMENT ON FUNCTION jit_access.run_job(text) IS
    'runs a job now, in a process of its own, unless it is already running; returns the job''s result. The jobs in '
    'pg_cron call it. For administrators. Errors: JA001, JA004, JA005.';

-- Administrators run jobs with run_job, so that the jobs have the settings of the worker.
REVOKE ALL ON FUNCTION jit_access.job_retention(), jit_access.job_drift(), jit_access.job_verify(),
                       jit_access.job_review_reminders(), jit_access.run_job(text) FROM PUBLIC;

CREATE FUNCTION pg_catalog.jit_schedule(
    job text DEFAULT NULL, schedule text DEFAULT NULL, OUT name text, OUT utc_schedule text, OUT command text)
RETURNS SETOF record LANGUAGE c SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'jit_schedule';
COMMENT ON FUNCTION pg_catalog.jit_schedule(text, text) IS
    'creates one job or all jobs in pg_cron, and replaces existing ones. schedule: in the syntax of pg_cron, in UTC; '
    'NULL = the stored schedule of the job. For administrators. Errors: JA001, JA004, JA005, JA018.';

CREATE FUNCTION pg_catalog.jit_unschedule(job text DEFAULT NULL) RETURNS integer
    LANGUAGE c SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'jit_unschedule';
COMMENT ON FUNCTION pg_catalog.jit_unschedule(text) IS
    'removes one job or all jobs from pg_cron; returns the number of jobs removed. The worker continues to run the '
    'essential ones. For administrators. Errors: JA001, JA004, JA018.';

CREATE FUNCTION jit_access.cron_state(job text) RETURNS text
    LANGUAGE c SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'jit_cron_state';
REVOKE ALL ON FUNCTION jit_access.cron_state(text) FROM PUBLIC;
COMMENT ON FUNCTION jit_access.cron_state(text) IS
    'returns the state of a job in pg_cron: as scheduled, changed (different command, schedule or database, '
    'inactive, or more than one), or missing; NULL = pg_cron is not installed in this database';

-- A process is recognised by its pid and start time together, because pids are reused.
CREATE FUNCTION jit_access.job_state(job text, OUT running boolean, OUT interrupted boolean, OUT overdue boolean)
RETURNS record
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT alive,
           j.pid IS NOT NULL AND NOT alive,
           COALESCE(clock_timestamp() - COALESCE(greatest(j.started_at, j.scheduled_at), j.due_from) > 2 * j.every
                    AND (j.scheduled_at IS NOT NULL OR j.essential AND NOT j.each_nap)
                    AND to_regprocedure('jit_access.job_' || j.name || '()') IS NOT NULL, false)
    FROM jit_access.job j,
         LATERAL (SELECT EXISTS (SELECT FROM pg_catalog.pg_stat_activity a
                                 WHERE a.pid = j.pid AND a.backend_start = j.process_start) AS alive) x
    WHERE j.name = $1;
END;
REVOKE ALL ON FUNCTION jit_access.job_state(text) FROM PUBLIC;
COMMENT ON FUNCTION jit_access.job_state(text) IS
    'returns whether a process is running the job, whether the last run stopped before its end, and whether a run is '
    'overdue';
