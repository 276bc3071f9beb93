CREATE TABLE jit_access.request (
    id               bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    template_id      bigint NOT NULL REFERENCES jit_access.template,
    template_version integer NOT NULL,
    requester        oid NOT NULL,
    requester_name   text NOT NULL,
    reason           text,
    ticket           text,
    scope            text[],
    duration         interval NOT NULL,
    requested_duration interval NOT NULL,
    starts_at        timestamptz,
    requested_start     timestamptz,
    digest           text,
    rule             text,
    break_glass      boolean NOT NULL DEFAULT false,
    reasons          text[],
    use_by           timestamptz,
    state            jit_access.state NOT NULL,
    requested_at     timestamptz NOT NULL,
    lapses_at        timestamptz NOT NULL,
    activated_at     timestamptz,
    ends_at          timestamptz,
    ends_boot        bigint,
    boot_id          text,
    node             uuid,
    at_deadline      jit_access.at_deadline,
    grace_period     interval,
    steps_up         boolean NOT NULL DEFAULT false,
    conditions       bytea,
    decisions        integer NOT NULL DEFAULT 0,
    extended         interval NOT NULL DEFAULT '0',
    grant_role       oid,
    closed_at        timestamptz,
    closed_by        text,
    close_reason     text,
    cleanup          jit_access.cleanup NOT NULL DEFAULT 'none',
    cleanup_attempts integer NOT NULL DEFAULT 0,
    cleanup_next     timestamptz,
    cleanup_error    text
);
COMMENT ON TABLE jit_access.request IS 'requests and the grants that came of them: one row, one id, for life';
COMMENT ON COLUMN jit_access.request.duration IS 'as an approver may have shortened it; requested_duration is what the requester asked for';
COMMENT ON COLUMN jit_access.request.starts_at IS 'as asked for, or when the template''s windows open';
COMMENT ON COLUMN jit_access.request.requested_start IS 'what the requester wanted';
COMMENT ON COLUMN jit_access.request.digest IS 'of everything an approver is shown; one for another digest does not count';
COMMENT ON COLUMN jit_access.request.rule IS 'that allowed it without an approval';
COMMENT ON COLUMN jit_access.request.break_glass IS 'taken by a responder without an approval; its review is in jit_access.review';
COMMENT ON COLUMN jit_access.request.reasons IS 'why it was allowed';
COMMENT ON COLUMN jit_access.request.use_by IS 'allowed, and the requester makes it active himself until then (jit_activate)';
COMMENT ON COLUMN jit_access.request.ends_at IS 'the deadline in wall time, absolute; the clock starts at activation';
COMMENT ON COLUMN jit_access.request.ends_boot IS 'the same deadline in microseconds since the boot named by boot_id; whichever comes first ends the grant';
COMMENT ON COLUMN jit_access.request.node IS 'the server that granted it, by the UUID of its journal: a copy of the tables elsewhere does not carry live grants';
COMMENT ON COLUMN jit_access.request.at_deadline IS 'as the template said when the grant became active';
COMMENT ON COLUMN jit_access.request.steps_up IS 'a second factor is demanded at its first use in a session, as the template said when the grant became active';
COMMENT ON COLUMN jit_access.request.conditions IS 'from where and how it may be used, as the template said when the grant became active; NULL = anywhere';
COMMENT ON COLUMN jit_access.request.extended IS 'what the holder has added himself, of the template''s holder_extension';
CREATE INDEX request_open ON jit_access.request (state) WHERE state IN ('pending', 'scheduled', 'active', 'suspended');
CREATE INDEX request_ends ON jit_access.request (ends_at) WHERE state IN ('active', 'suspended');
CREATE INDEX request_cleanup ON jit_access.request (cleanup_next) WHERE cleanup = 'due';
CREATE INDEX request_by_role ON jit_access.request (grant_role);
CREATE INDEX request_live ON jit_access.request (template_id, requester) WHERE state IN ('active', 'suspended');
CREATE INDEX request_by_requester ON jit_access.request (requester, activated_at);
CREATE INDEX request_by_template ON jit_access.request (template_id, activated_at);

CREATE FUNCTION pg_catalog.jit_request(
    template text,
    duration interval DEFAULT NULL,
    reason text DEFAULT NULL,
    ticket text DEFAULT NULL,
    scope text[] DEFAULT NULL,
    starts_at timestamptz DEFAULT NULL)
RETURNS bigint LANGUAGE c SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'jit_request';
COMMENT ON FUNCTION pg_catalog.jit_request IS
    'asks for a template for a time; returns the id of the request, which is the id of the grant as well. duration: at least one second, no months, at most the template''s maximum; NULL takes the template''s default. scope: only these tables (schema.table) of the template. A rule may give it at once; the call must then be a statement of the client. Errors: JA001, JA002, JA004, JA008, JA009, JA018, JA019, JA023.';

CREATE FUNCTION pg_catalog.jit_activate(id numeric)
RETURNS jit_access.state LANGUAGE c SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'jit_activate';
COMMENT ON FUNCTION pg_catalog.jit_activate IS
    'the requester makes use of an approval, where the template has a time_to_use: the clock starts here. Returns the state. Errors: JA001, JA003, JA004, JA005, JA008, JA009, JA018, JA019, JA023.';

CREATE FUNCTION pg_catalog.jit_credentials(id numeric, OUT login text, OUT password text, OUT valid_until timestamptz)
RETURNS record LANGUAGE c SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'jit_credentials';
COMMENT ON FUNCTION pg_catalog.jit_credentials IS
    'of a template of mode login: the temporary login of an active grant and its password, which is shown once, to the requester. Errors: JA001, JA003, JA004, JA005, JA018, JA019.';

CREATE FUNCTION pg_catalog.jit_cancel(id numeric, reason text DEFAULT NULL)
RETURNS jit_access.state LANGUAGE c SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'jit_cancel';
COMMENT ON FUNCTION pg_catalog.jit_cancel IS
    'the requester withdraws a request that is not active yet; returns the new state. id: any whole number type. Errors: JA001, JA003, JA004, JA005.';

CREATE FUNCTION pg_catalog.jit_extend(id numeric, duration interval, reason text DEFAULT NULL)
RETURNS timestamptz LANGUAGE c SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'jit_extend';
COMMENT ON FUNCTION pg_catalog.jit_extend IS
    'adds time to an active grant and returns the new deadline: an approver up to the template''s total_duration (its maximum, if it has none), the holder up to the template''s holder_extension. Errors: JA001, JA003, JA004, JA005, JA009, JA018, JA019.';
