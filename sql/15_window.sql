-- Windows: recurring times in which templates may be used and rules apply.
CREATE TABLE jit_access.time_window (
    name       text PRIMARY KEY,
    kind       text NOT NULL CHECK (kind IN ('open', 'closed')),
    time_zone  text NOT NULL,
    starts     time NOT NULL,
    lasts      interval NOT NULL,
    weekdays   integer[] NOT NULL,
    first_day  date,
    last_day   date,
    days       date[] NOT NULL,
    created_by text NOT NULL,
    created_at timestamptz NOT NULL
);
COMMENT ON TABLE jit_access.time_window IS
    'recurring periods of local time in a time zone; they begin on days that satisfy weekdays, first_day to last_day, '
    'and days';
COMMENT ON COLUMN jit_access.time_window.weekdays IS '1 (Monday) to 7; empty = every day';
COMMENT ON COLUMN jit_access.time_window.days IS 'single days; empty = no restriction';

CREATE FUNCTION pg_catalog.jit_create_window(
    name text,
    time_zone text,
    starts time DEFAULT '00:00',
    lasts interval DEFAULT '1 day',
    kind text DEFAULT 'open',
    weekdays integer[] DEFAULT '{}',
    first_day date DEFAULT NULL,
    last_day date DEFAULT NULL,
    days date[] DEFAULT '{}')
RETURNS void LANGUAGE c SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'jit_create_window';
COMMENT ON FUNCTION pg_catalog.jit_create_window IS
    'creates a recurring window for templates and rules. It begins at the local time starts and lasts 1 minute to 7 '
    'days, on days that satisfy weekdays (1 = Monday), first_day to last_day, and days. kind: open, or closed '
    '(holidays), which takes precedence. For administrators. Errors: JA001, JA004, JA018.';

CREATE FUNCTION pg_catalog.jit_drop_window(name text)
RETURNS void LANGUAGE c SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'jit_drop_window';
COMMENT ON FUNCTION pg_catalog.jit_drop_window IS
    'drops a window; refused while a template or rule names it. For administrators. Errors: JA001, JA004, JA005, JA018.';

CREATE FUNCTION jit_access.hours(
    windows text[], at timestamptz DEFAULT NULL,
    OUT open boolean, OUT closes_at timestamptz, OUT opens_at timestamptz)
    LANGUAGE c SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'jit_hours';
REVOKE ALL ON FUNCTION jit_access.hours(text[], timestamptz) FROM PUBLIC;
COMMENT ON FUNCTION jit_access.hours(text[], timestamptz) IS
    'evaluates a set of windows at a time (NULL = now): returns whether a template with these windows can be used; if '
    'so, until when without a gap; if not, when it can be used next, within 90 days. For administrators and auditors. '
    'Errors: JA001.';
