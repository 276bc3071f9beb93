CREATE TABLE jit_access.rule (
    name           text PRIMARY KEY,
    effect         text NOT NULL CHECK (effect IN ('allow', 'deny')),
    templates      bigint[] NOT NULL,
    template_names text[] NOT NULL,
    role           oid,
    role_name      text,
    max_duration   interval,
    max_risk       text CHECK (max_risk IN ('low', 'medium', 'high')),
    networks       cidr[] NOT NULL,
    windows        text[] NOT NULL,
    created_by     text NOT NULL,
    created_at     timestamptz NOT NULL
);
COMMENT ON TABLE jit_access.rule IS 'what needs no approval, and what is never allowed, whatever else is';
COMMENT ON COLUMN jit_access.rule.templates IS 'none: every template';

CREATE FUNCTION pg_catalog.jit_create_rule(
    name text,
    effect text,
    templates text[] DEFAULT '{}',
    role text DEFAULT NULL,
    max_duration interval DEFAULT NULL,
    max_risk text DEFAULT NULL,
    networks text[] DEFAULT '{}',
    windows text[] DEFAULT '{}')
RETURNS void LANGUAGE c SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'jit_create_rule';
COMMENT ON FUNCTION pg_catalog.jit_create_rule IS
    'allow: requests by members of role, for these templates, up to max_duration and max_risk, from these networks, in these windows, need no approval. deny: what is longer or riskier than that is never allowed, or nothing at all where neither is given. Left out means any. Administrators. Errors: JA001, JA002, JA004, JA018.';

CREATE FUNCTION pg_catalog.jit_drop_rule(name text)
RETURNS void LANGUAGE c SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'jit_drop_rule';
COMMENT ON FUNCTION pg_catalog.jit_drop_rule IS
    'takes a rule away; what it has allowed and is not active yet does not become active any more. Administrators. Errors: JA001, JA004, JA018.';

CREATE FUNCTION pg_catalog.jit_eligibility(
    template text DEFAULT NULL, duration interval DEFAULT NULL,
    OUT template_name text, OUT outcome text, OUT approvals_needed integer, OUT approvers text[],
    OUT default_duration interval, OUT max_duration interval, OUT reasons text[])
RETURNS SETOF record LANGUAGE c SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'jit_eligibility';
COMMENT ON FUNCTION pg_catalog.jit_eligibility IS
    'tells the session user what would become of a request: allowed, needs approval or denied, by whom it can be approved, and why; without a template, for all he may ask for. Errors: JA001, JA002, JA004.';

CREATE FUNCTION jit_access.request_digest(id bigint) RETURNS text
    LANGUAGE c STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'jit_request_digest';
COMMENT ON FUNCTION jit_access.request_digest(bigint) IS
    'the digest that a request would have now; where it is not the one that the request has, what it would give has changed; NULL for who has not asked for it, cannot decide it and is no auditor';

CREATE FUNCTION pg_catalog.jit_export_policy()
RETURNS jsonb LANGUAGE c SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET intervalstyle = postgres
AS 'MODULE_PATHNAME', 'jit_export_policy';
COMMENT ON FUNCTION pg_catalog.jit_export_policy() IS
    'templates, rules, windows and people as one document, for jit_import_policy. Auditors and administrators. Errors: JA004.';

CREATE FUNCTION pg_catalog.jit_import_policy(
    policy jsonb, dry_run boolean DEFAULT true, OUT action text, OUT kind text, OUT name text, OUT changes text[])
RETURNS SETOF record LANGUAGE c SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET intervalstyle = postgres
AS 'MODULE_PATHNAME', 'jit_import_policy';
COMMENT ON FUNCTION pg_catalog.jit_import_policy(jsonb, boolean) IS
    'makes templates, rules, windows and people what the document says, all or nothing, and tells the differences; a dry run only tells them. What the document does not have stays. Administrators. Errors: JA001, JA002, JA004, JA007, JA008, JA015, JA018.';
