-- Rules: requests that need no approval or are never allowed. Also the functions that show the outcome that a request
-- would have, and the policy as one document.
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
    defined_by_superuser boolean NOT NULL,
    created_by     text NOT NULL,
    created_at     timestamptz NOT NULL,
    CHECK (effect = 'deny' OR templates <> '{}' OR role IS NOT NULL)
);
COMMENT ON TABLE jit_access.rule IS
    'rules: allow = matching requests need no approval; deny = matching requests are refused, even if another rule '
    'allows them';
COMMENT ON COLUMN jit_access.rule.defined_by_superuser IS
    'whether a superuser defined the rule; only such a rule can replace the approval for a template with privileges '
    'that only a superuser may put into a template';
COMMENT ON COLUMN jit_access.rule.templates IS 'templates to which the rule applies; empty = every template';

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
    'creates a rule. allow: requests by members of role, for these templates, up to max_duration and max_risk, from '
    'these networks, in these windows, need no approval. deny: requests longer than max_duration or riskier than '
    'max_risk are refused, or every request if neither is given. An argument that is left out does not restrict the '
    'rule, but an allow rule must name templates or a role. For administrators. Errors: JA001, JA002, JA004, JA018.';

CREATE FUNCTION pg_catalog.jit_drop_rule(name text)
RETURNS void LANGUAGE c SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'jit_drop_rule';
COMMENT ON FUNCTION pg_catalog.jit_drop_rule IS
    'drops a rule; a request that it allowed and that is not active yet no longer becomes active. For administrators. '
    'Errors: JA001, JA004, JA018.';

CREATE FUNCTION pg_catalog.jit_eligibility(
    template text DEFAULT NULL, duration interval DEFAULT NULL,
    OUT template_name text, OUT outcome text, OUT approvals_needed integer, OUT approvers text[],
    OUT default_duration interval, OUT max_duration interval, OUT reasons text[])
RETURNS SETOF record LANGUAGE c SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'jit_eligibility';
COMMENT ON FUNCTION pg_catalog.jit_eligibility IS
    'returns the outcome that a request by the session user would have now (allowed, needs approval or denied), the '
    'logins that could approve it, and the reasons; without a template, one row for each template the user may '
    'request. Errors: JA001, JA002, JA004.';

CREATE FUNCTION jit_access.request_digest(id bigint) RETURNS text
    LANGUAGE c STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'jit_request_digest';
COMMENT ON FUNCTION jit_access.request_digest(bigint) IS
    'returns the digest that a request would have now (SHA-256, hexadecimal); if it differs from the stored one, '
    'what the request would give has changed. Returns NULL unless the session user is its requester, may decide it, '
    'or may audit';

CREATE FUNCTION pg_catalog.jit_export_policy()
RETURNS jsonb LANGUAGE c SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET intervalstyle = postgres
AS 'MODULE_PATHNAME', 'jit_export_policy';
COMMENT ON FUNCTION pg_catalog.jit_export_policy() IS
    'returns templates, rules, windows and persons as one document for jit_import_policy. For auditors and '
    'administrators. Errors: JA004.';

CREATE FUNCTION pg_catalog.jit_import_policy(
    policy jsonb, dry_run boolean DEFAULT true, OUT action text, OUT kind text, OUT name text, OUT changes text[])
RETURNS SETOF record LANGUAGE c SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET intervalstyle = postgres
AS 'MODULE_PATHNAME', 'jit_import_policy';
COMMENT ON FUNCTION pg_catalog.jit_import_policy(jsonb, boolean) IS
    'makes templates, rules, windows and persons match the document in one transaction, and returns the differences; '
    'a dry run only returns them. Items that are not in the document are kept. For administrators. Errors: JA001, '
    'JA002, JA004, JA007, JA008, JA015, JA018.';
