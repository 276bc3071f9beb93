CREATE TABLE jit_access.decision (
    request_id    bigint NOT NULL REFERENCES jit_access.request,
    approver      oid NOT NULL,
    approver_name text NOT NULL,
    verdict       text NOT NULL CHECK (verdict IN ('approve', 'deny')),
    comment       text,
    duration      interval,
    digest        text,
    decided_at    timestamptz NOT NULL,
    PRIMARY KEY (request_id, approver)
);
COMMENT ON TABLE jit_access.decision IS 'who said what about a request; one decision a person';

CREATE FUNCTION pg_catalog.jit_approve(id numeric, comment text DEFAULT NULL, duration interval DEFAULT NULL, digest text DEFAULT NULL)
RETURNS jit_access.state LANGUAGE c SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'jit_approve';
COMMENT ON FUNCTION pg_catalog.jit_approve IS
    'says yes to a request; with enough approvals the privileges exist at once (or from the start that was asked for). duration may shorten what was asked, never widen it; digest is that of jit_access.pending_requests, for who wants to approve that and nothing else. Returns the state. Errors: JA001, JA003, JA004, JA005, JA006, JA008, JA009, JA018, JA019.';

CREATE FUNCTION pg_catalog.jit_deny(id numeric, reason text)
RETURNS jit_access.state LANGUAGE c SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'jit_deny';
COMMENT ON FUNCTION pg_catalog.jit_deny IS
    'says no to a request, which decides it. Returns the state. Errors: JA001, JA003, JA004, JA005, JA006.';

CREATE FUNCTION pg_catalog.jit_resume(id numeric, reason text DEFAULT NULL)
RETURNS jit_access.state LANGUAGE c SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'jit_resume';
COMMENT ON FUNCTION pg_catalog.jit_resume IS
    'lifts the suspension of a grant, with the deadline it had: by an approver of the template who is not the holder. Returns the state. Errors: JA001, JA003, JA004, JA005, JA006, JA008, JA009, JA018, JA019.';

CREATE FUNCTION pg_catalog.jit_revoke(id numeric, reason text DEFAULT NULL)
RETURNS jit_access.state LANGUAGE c SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'jit_revoke';
COMMENT ON FUNCTION pg_catalog.jit_revoke IS
    'ends a grant before its deadline: by the holder giving it back, an approver of the template, or an administrator. Returns the state. Errors: JA001, JA003, JA004, JA005.';
