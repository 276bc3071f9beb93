-- Requests and the grants that result from them, which share one row and one id, and the functions of the requester.
CREATE TABLE jit_access.request (
    id                 bigint PRIMARY KEY DEFAULT jit_access.next_id('request'),
    template_id        bigint NOT NULL REFERENCES jit_access.template,
    template_version   integer NOT NULL,
    requester          oid NOT NULL,
    requester_name     text NOT NULL,
    reason             text,
    ticket             text,
    scope              text[],
    duration           interval NOT NULL,
    requested_duration interval NOT NULL,
    starts_at          timestamptz,
    requested_start    timestamptz,
    digest             text,
    rule               text,
    break_glass        boolean NOT NULL DEFAULT false,
    reasons            text[],
    use_by             timestamptz,
    state              jit_access.state NOT NULL,
    requested_at       timestamptz NOT NULL,
    lapses_at          timestamptz NOT NULL,
    activated_at       timestamptz,
    ends_at            timestamptz,
    ends_boot          bigint,
    boot_id            text,
    node               uuid,
    at_deadline        jit_access.at_deadline,
    grace_period       interval,
    steps_up           boolean NOT NULL DEFAULT false,
    conditions         bytea,
    decisions          integer NOT NULL DEFAULT 0,
    extended           interval NOT NULL DEFAULT '0',
    grant_role         oid,
    closed_at          timestamptz,
    closed_by          text,
    close_reason       text,
    cleanup            jit_access.cleanup NOT NULL DEFAULT 'none',
    cleanup_attempts   integer NOT NULL DEFAULT 0,
    cleanup_next       timestamptz,
    cleanup_error      text
);
COMMENT ON TABLE jit_access.request IS
    'requests and the grants that result from them; a request and its grant share one row and one id';
COMMENT ON COLUMN jit_access.request.scope IS
    'relations to which the grant is narrowed; NULL = everything that the template gives';
COMMENT ON COLUMN jit_access.request.duration IS
    'duration of the grant, which an approver may have shortened from requested_duration';
COMMENT ON COLUMN jit_access.request.requested_duration IS 'duration that the requester asked for';
COMMENT ON COLUMN jit_access.request.starts_at IS 'start of the grant: requested_start, or when the template''s windows open';
COMMENT ON COLUMN jit_access.request.requested_start IS
    'start that the requester asked for; NULL = at the approval';
COMMENT ON COLUMN jit_access.request.digest IS
    'SHA-256 of everything shown to an approver; an approval of another digest does not count';
COMMENT ON COLUMN jit_access.request.rule IS 'rule that allowed the request without an approval';
COMMENT ON COLUMN jit_access.request.break_glass IS
    'whether it is a break-glass grant, which a responder gets without an approval; its review is in jit_access.review';
COMMENT ON COLUMN jit_access.request.reasons IS 'why the request was allowed';
COMMENT ON COLUMN jit_access.request.use_by IS
    'the request is allowed, and the requester has to activate it by then (jit_activate); NULL = the grant becomes '
    'active without a call';
COMMENT ON COLUMN jit_access.request.ends_at IS
    'the deadline in wall-clock time; the duration counts from activated_at';
COMMENT ON COLUMN jit_access.request.ends_boot IS
    'the same deadline in microseconds since the boot named by boot_id; whichever comes first ends the grant';
COMMENT ON COLUMN jit_access.request.node IS
    'UUID of the journal of the server that activated the grant; on another server, with a copy of the tables, the '
    'grant is not live';
COMMENT ON COLUMN jit_access.request.at_deadline IS
    'effect of the deadline, copied from the template at activation, as are grace_period, steps_up and conditions';
COMMENT ON COLUMN jit_access.request.steps_up IS
    'whether each session needs a second factor before its first use of the grant';
COMMENT ON COLUMN jit_access.request.conditions IS
    'client networks, TLS, authentication and databases in which the grant may be used, encoded; NULL = no conditions';
COMMENT ON COLUMN jit_access.request.extended IS 'time the holder has added, out of the template''s holder_extension';
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
    'requests a template for a limited time; returns the id of the request, which is also the id of the grant. '
    'duration: at least one second, without months, at most the template''s maximum; NULL = the template''s default. '
    'scope: relations (schema.table) of the template to which the grant is narrowed. If a rule allows the request at '
    'once, the call must be a statement sent by the client. Errors: JA001, JA002, JA004, JA008, JA009, JA018, JA019, '
    'JA023.';

CREATE FUNCTION pg_catalog.jit_activate(id numeric)
RETURNS jit_access.state LANGUAGE c SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'jit_activate';
COMMENT ON FUNCTION pg_catalog.jit_activate IS
    'activates an allowed request whose template has a time_to_use or requires a second factor at activation; the '
    'time of the grant begins with this call. For the requester. Returns the new state. Errors: JA001, JA003, JA004, '
    'JA005, JA008, JA009, JA018, JA019, JA023.';

CREATE FUNCTION pg_catalog.jit_credentials(id numeric, OUT login text, OUT password text, OUT valid_until timestamptz)
RETURNS record LANGUAGE c SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'jit_credentials';
COMMENT ON FUNCTION pg_catalog.jit_credentials IS
    'returns the temporary login of an active grant of mode login and its password, which is shown once. For the '
    'requester. Errors: JA001, JA003, JA004, JA005, JA018, JA019.';

CREATE FUNCTION pg_catalog.jit_cancel(id numeric, reason text DEFAULT NULL)
RETURNS jit_access.state LANGUAGE c SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'jit_cancel';
COMMENT ON FUNCTION pg_catalog.jit_cancel IS
    'withdraws a request that is not active yet; returns the new state. id: any integer type. For the requester. '
    'Errors: JA001, JA003, JA004, JA005.';

CREATE FUNCTION pg_catalog.jit_extend(id numeric, duration interval, reason text DEFAULT NULL)
RETURNS timestamptz LANGUAGE c SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'jit_extend';
COMMENT ON FUNCTION pg_catalog.jit_extend IS
    'adds duration to an active grant; returns the new deadline. Approvers may extend it up to the template''s '
    'total_duration (max_duration if that is not set), the holder up to its holder_extension. Errors: JA001, JA003, '
    'JA004, JA005, JA009, JA018, JA019.';
