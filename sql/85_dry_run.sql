-- Dry runs of statements under a template, and scenarios: dry runs that are stored with their expected outcomes.
CREATE FUNCTION pg_catalog.jit_dry_run(
    template text,
    statements text[],
    mode text DEFAULT 'check',
    person text DEFAULT NULL,
    privileges text[] DEFAULT NULL,
    search_path text DEFAULT NULL,
    statement_timeout interval DEFAULT NULL,
    allow_schema_change boolean DEFAULT NULL,
    allow_code boolean DEFAULT NULL,
    OUT number integer, OUT statement text, OUT outcome text, OUT missing text[], OUT rows bigint, OUT sequences text[],
    OUT sqlstate text, OUT message text)
RETURNS SETOF record LANGUAGE c SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'jit_dry_run';
COMMENT ON FUNCTION pg_catalog.jit_dry_run IS
    'returns the outcome that statements would have under a template, or under privileges that no template gives '
    'yet, for a person or without one. mode: check runs nothing; execute runs the statements and rolls back, so that '
    'only sequences stay advanced (for administrators; recorded). statement_timeout: for each statement. Errors: '
    'JA001, JA002, JA004, JA008, JA012, JA013, JA018.';

CREATE TABLE jit_access.scenario (
    name        text PRIMARY KEY,
    description text,
    template    text NOT NULL,
    person      text,
    mode        text NOT NULL CHECK (mode IN ('check', 'execute')),
    statements  text[] NOT NULL,
    expected    text[] NOT NULL,
    search_path text,
    set_by      text NOT NULL,
    set_at      timestamptz NOT NULL
);
COMMENT ON TABLE jit_access.scenario IS 'scenarios: stored dry runs, with the expected outcome of each statement';

CREATE TABLE jit_access.scenario_result (
    id       bigint PRIMARY KEY DEFAULT jit_access.next_id('scenario_result'),
    scenario text NOT NULL,
    at       timestamptz NOT NULL,
    run_by   text NOT NULL,
    ok       boolean NOT NULL,
    expected text[] NOT NULL,
    outcomes text[] NOT NULL,
    missing  text[] NOT NULL,
    messages text[] NOT NULL
);
CREATE INDEX scenario_result_by_name ON jit_access.scenario_result (scenario, id);
COMMENT ON TABLE jit_access.scenario_result IS 'result of each run of a scenario; one array element for each statement';

CREATE FUNCTION pg_catalog.jit_set_scenario(
    name text,
    template text,
    statements text[],
    expected text[] DEFAULT NULL,
    person text DEFAULT NULL,
    mode text DEFAULT 'check',
    search_path text DEFAULT NULL,
    description text DEFAULT NULL)
RETURNS void LANGUAGE c SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'jit_set_scenario';
COMMENT ON FUNCTION pg_catalog.jit_set_scenario IS
    'creates or replaces a scenario. expected: the expected outcome of each statement; NULL = all statements should '
    'be allowed. For administrators. Errors: JA001, JA002, JA004, JA018.';

CREATE FUNCTION pg_catalog.jit_drop_scenario(name text)
RETURNS void LANGUAGE c SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'jit_drop_scenario';
COMMENT ON FUNCTION pg_catalog.jit_drop_scenario IS
    'drops a scenario; its results are kept. For administrators. Errors: JA001, JA004, JA018.';

CREATE FUNCTION pg_catalog.jit_run_scenarios(
    name text DEFAULT NULL,
    OUT scenario text, OUT number integer, OUT statement text, OUT expected text, OUT outcome text, OUT ok boolean,
    OUT missing text[], OUT message text)
RETURNS SETOF record LANGUAGE c SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'jit_run_scenarios';
COMMENT ON FUNCTION pg_catalog.jit_run_scenarios IS
    'runs one scenario or all of them and stores the results; if a scenario fails after it has passed, or in its '
    'first run, the event "scenario failed" is written. For administrators, and for auditors if the mode is check. '
    'Errors: JA001, JA004, JA012, JA013, JA018.';

CREATE FUNCTION pg_catalog.jit_scenarios_tap(name text DEFAULT NULL, OUT number integer, OUT line text)
RETURNS SETOF record LANGUAGE c SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'jit_scenarios_tap';
COMMENT ON FUNCTION pg_catalog.jit_scenarios_tap IS
    'runs scenarios as jit_run_scenarios does and returns the results as lines of TAP, for prove and pg_prove. Errors: '
    'JA001, JA004, JA012, JA013, JA018.';

CREATE FUNCTION jit_access.job_scenarios() RETURNS text
    LANGUAGE c SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'jit_job_scenarios';
COMMENT ON FUNCTION jit_access.job_scenarios() IS
    'job: runs all scenarios and returns the result in one line. Errors: JA004, JA012, JA013, JA018.';

REVOKE ALL ON FUNCTION pg_catalog.jit_set_scenario, pg_catalog.jit_drop_scenario, pg_catalog.jit_run_scenarios,
                       pg_catalog.jit_scenarios_tap, jit_access.job_scenarios() FROM PUBLIC;

CREATE VIEW jit_access.scenarios AS
SELECT s.name, s.description, s.template, s.person, s.mode, s.statements, s.expected, s.search_path, s.set_by, s.set_at,
       r.at AS last_run, r.ok
FROM jit_access.scenario s
LEFT JOIN LATERAL (
    SELECT x.at, x.ok
    FROM jit_access.scenario_result x
    WHERE x.scenario = s.name
    ORDER BY x.id DESC
    LIMIT 1) r ON true
WHERE (SELECT jit_access.may_audit());
COMMENT ON VIEW jit_access.scenarios IS 'scenarios, and whether the last run of each had the expected outcomes';

CREATE VIEW jit_access.scenario_results AS
SELECT r.id, r.scenario, r.at, r.run_by, r.ok, r.expected, r.outcomes, r.missing, r.messages
FROM jit_access.scenario_result r
WHERE (SELECT jit_access.may_audit())
ORDER BY r.id DESC;
COMMENT ON VIEW jit_access.scenario_results IS
    'results of scenarios, newest first; one array element for each statement';
