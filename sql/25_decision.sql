-- Decisions of approvers about requests, and the functions of the approver.
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
COMMENT ON TABLE jit_access.decision IS 'approvals and denials of requests; each person decides a request once';
COMMENT ON COLUMN jit_access.decision.duration IS
    'duration to which the approver shortened the request; NULL = not shortened';
COMMENT ON COLUMN jit_access.decision.digest IS 'digest of the request when it was decided';

CREATE FUNCTION pg_catalog.jit_approve(
    id numeric, comment text DEFAULT NULL, duration interval DEFAULT NULL, digest text DEFAULT NULL)
RETURNS jit_access.state LANGUAGE c SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'jit_approve';
COMMENT ON FUNCTION pg_catalog.jit_approve IS
    'approves a request; with enough approvals the grant begins at once, or at the requested start. duration can '
    'shorten the request but not lengthen it. digest: the value in jit_access.pending_requests; the approval fails if '
    'the request no longer has it. Returns the state. Errors: JA001, JA003, JA004, JA005, JA006, JA008, JA009, JA018, '
    'JA019.';

CREATE FUNCTION pg_catalog.jit_deny(id numeric, reason text)
RETURNS jit_access.state LANGUAGE c SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'jit_deny';
COMMENT ON FUNCTION pg_catalog.jit_deny IS
    'denies and thereby closes a request. Returns the state. For approvers of the template. Errors: JA001, JA003, '
    'JA004, JA005, JA006.';

CREATE FUNCTION pg_catalog.jit_resume(id numeric, reason text DEFAULT NULL)
RETURNS jit_access.state LANGUAGE c SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'jit_resume';
COMMENT ON FUNCTION pg_catalog.jit_resume IS
    'resumes a suspended grant with its original deadline. Returns the state. For approvers of the template other than '
    'the holder. Errors: JA001, JA003, JA004, JA005, JA006, JA008, JA009, JA018, JA019.';

CREATE FUNCTION pg_catalog.jit_revoke(id numeric, reason text DEFAULT NULL)
RETURNS jit_access.state LANGUAGE c SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'jit_revoke';
COMMENT ON FUNCTION pg_catalog.jit_revoke IS
    'ends a grant before its deadline. Returns the state. For the holder, approvers of the template, and '
    'administrators. Errors: JA001, JA003, JA004, JA005.';
