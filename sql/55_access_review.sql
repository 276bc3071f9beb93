-- Access reviews: campaigns in which reviewers confirm or withdraw standing eligibility, and reminders of overdue reviews.
CREATE TABLE jit_access.access_review (
    id          bigint PRIMARY KEY DEFAULT jit_access.next_id('access_review'),
    scope       text NOT NULL,
    started_at  timestamptz NOT NULL,
    started_by  text NOT NULL,
    due_at      timestamptz NOT NULL,
    reminded_at timestamptz
);
COMMENT ON TABLE jit_access.access_review IS 'access reviews: campaigns that confirm or withdraw eligibility and templates';

CREATE TABLE jit_access.access_reviewer (
    review_id bigint NOT NULL REFERENCES jit_access.access_review,
    role      oid NOT NULL,
    role_name text NOT NULL,
    PRIMARY KEY (review_id, role)
);
COMMENT ON TABLE jit_access.access_reviewer IS 'roles whose members decide the items of an access review';

CREATE TABLE jit_access.access_review_item (
    review_id     bigint NOT NULL REFERENCES jit_access.access_review,
    item          integer NOT NULL,
    kind          text NOT NULL CHECK (kind IN ('requester', 'approver', 'responder', 'template', 'break-glass')),
    template_id   bigint NOT NULL REFERENCES jit_access.template,
    role          oid,
    role_name     text,
    request_id    bigint,
    evidence      jsonb,
    verdict       text CHECK (verdict IN ('confirm', 'withdraw')),
    reviewer      oid,
    reviewer_name text,
    comment       text,
    reviewed_at   timestamptz,
    PRIMARY KEY (review_id, item),
    CHECK (num_nulls(verdict, reviewer, reviewer_name, comment, reviewed_at) IN (0, 5))
);
COMMENT ON TABLE jit_access.access_review_item IS
    'items of access reviews with their verdicts, and the evidence at the time of each verdict';

CREATE TABLE jit_access.reminder (
    about text NOT NULL,
    id    bigint NOT NULL,
    at    timestamptz NOT NULL,
    PRIMARY KEY (about, id)
);
COMMENT ON TABLE jit_access.reminder IS 'time of the last reminder about an overdue review';
COMMENT ON COLUMN jit_access.reminder.about IS 'kind of review; id is unique within it';

CREATE FUNCTION pg_catalog.jit_start_review(
    scope text, reviewers text[], due timestamptz, templates text[] DEFAULT NULL)
RETURNS bigint LANGUAGE c SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'jit_start_review';
COMMENT ON FUNCTION pg_catalog.jit_start_review IS
    'starts an access review; returns its id. scope: all, eligibility, templates or break-glass. reviewers: roles whose '
    'members decide. templates: NULL = all. For administrators. Errors: JA001, JA002, JA004, JA005, JA018.';

CREATE FUNCTION pg_catalog.jit_review_item(review numeric, item integer, verdict text, comment text)
RETURNS text LANGUAGE c SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'jit_review_item';
COMMENT ON FUNCTION pg_catalog.jit_review_item IS
    'decides an item of an access review: verdict is confirm or withdraw, comment says why; both are final. Withdrawing '
    'takes effect at once. Returns the verdict. For reviewers whom the item does not concern. Errors: JA001, JA004, '
    'JA005, JA006, JA018.';

CREATE FUNCTION pg_catalog.jit_review_csv(review numeric)
RETURNS text LANGUAGE c SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'jit_review_csv';
COMMENT ON FUNCTION pg_catalog.jit_review_csv(numeric) IS
    'returns an access review with its evidence as comma-separated values (RFC 4180), times in UTC; no cell is a '
    'spreadsheet formula. For its reviewers, auditors and administrators. Errors: JA001, JA004.';

CREATE FUNCTION jit_access.may_review(review_id bigint) RETURNS boolean
    LANGUAGE c STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'jit_may_review';
COMMENT ON FUNCTION jit_access.may_review(bigint) IS
    'returns whether the session user is a reviewer of an access review; being a superuser does not count';

CREATE FUNCTION jit_access.remind_reviews() RETURNS bigint
    LANGUAGE c SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'jit_remind_reviews';
REVOKE ALL ON FUNCTION jit_access.remind_reviews() FROM PUBLIC;
COMMENT ON FUNCTION jit_access.remind_reviews() IS
    'puts each overdue access review on the record, at most once a day; returns the number of reviews that this call '
    'put on the record. For administrators. Errors: JA004.';

CREATE FUNCTION jit_access.utc(at timestamptz) RETURNS text
    LANGUAGE sql STABLE STRICT SET search_path = pg_catalog, pg_temp
AS $$ SELECT to_char($1 AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') $$;
REVOKE ALL ON FUNCTION jit_access.utc(timestamptz) FROM PUBLIC;
COMMENT ON FUNCTION jit_access.utc(timestamptz) IS 'formats a time in UTC as ISO 8601, to the second';

-- The last use is looked up only in the 20 latest grants, so that the cost does not grow with the record.
CREATE FUNCTION jit_access.review_evidence(review_id bigint, item integer) RETURNS jsonb
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
WITH RECURSIVE i AS (
    SELECT x.*
    FROM jit_access.access_review_item x
    WHERE x.review_id = $1 AND x.item = $2 AND (jit_access.may_audit() OR jit_access.may_review($1))
), members (role) AS (
    SELECT i.role FROM i WHERE i.role IS NOT NULL
    UNION
    SELECT m.member
    FROM pg_auth_members m
    JOIN members ON members.role = m.roleid
    JOIN pg_authid a ON a.oid = m.member
    WHERE a.rolname !~ '^jit_(grant|gate|login)_[0-9]+$'
), logins AS (
    SELECT a.oid, a.rolname::text AS name
    FROM members m
    JOIN pg_authid a ON a.oid = m.role
    WHERE a.rolcanlogin
), grants AS (
    SELECT r.id, r.activated_at, r.state
    FROM i
    JOIN jit_access.request r ON r.template_id = i.template_id
    WHERE r.activated_at IS NOT NULL
      AND CASE i.kind
              WHEN 'requester' THEN NOT r.break_glass AND r.requester IN (SELECT oid FROM logins)
              WHEN 'responder' THEN r.break_glass AND r.requester IN (SELECT oid FROM logins)
              WHEN 'template' THEN true
              WHEN 'break-glass' THEN r.id = i.request_id
              ELSE false
          END
), uses AS (
    SELECT count(*) AS statements, max(e.at) AS last
    FROM jit_access.record e
    WHERE e.kind = 'use' AND e.grant_id = ANY (ARRAY(SELECT id FROM grants ORDER BY activated_at DESC LIMIT 20))
), decisions AS (
    SELECT d.decided_at
    FROM i
    JOIN jit_access.request r ON r.template_id = i.template_id
    JOIN jit_access.decision d ON d.request_id = r.id
    WHERE i.kind = 'approver' AND d.approver IN (SELECT oid FROM logins)
)
SELECT jsonb_strip_nulls(
    CASE i.kind
        WHEN 'approver' THEN jsonb_build_object(
            'decisions', (SELECT count(*) FROM decisions),
            'decisions_90_days', (SELECT count(*) FROM decisions
                                  WHERE decided_at > clock_timestamp() - interval '90 days'),
            'last_decision', jit_access.utc((SELECT max(decided_at) FROM decisions)))
        WHEN 'break-glass' THEN (
            SELECT jsonb_build_object(
                'reason', r.reason,
                'state', r.state,
                'from', jit_access.utc(r.activated_at),
                'to', jit_access.utc(r.closed_at),
                'statements', u.statements)
            FROM jit_access.request r
            WHERE r.id = i.request_id)
        ELSE jsonb_build_object(
            'grants', (SELECT count(*) FROM grants),
            'grants_90_days', (SELECT count(*) FROM grants
                               WHERE activated_at > clock_timestamp() - interval '90 days'),
            'live', (SELECT count(*) FROM grants WHERE state IN ('active', 'suspended')),
            'last_grant', jit_access.utc((SELECT max(activated_at) FROM grants)))
    END
    || jsonb_build_object('last_use', jit_access.utc(u.last))
    || CASE i.kind
        WHEN 'template' THEN (
            SELECT jsonb_build_object('version', t.version, 'risk', t.risk, 'privileges', t.privileges)
                || COALESCE((SELECT jsonb_object_agg(p.part || 's', p.roles)
                             FROM (SELECT part, array_agg(role_name ORDER BY role_name) AS roles
                                   FROM jit_access.template_person
                                   WHERE template_id = t.id
                                   GROUP BY part) p), '{}')
            FROM jit_access.template t
            WHERE t.id = i.template_id)
        WHEN 'break-glass' THEN '{}'
        ELSE jsonb_build_object(
            'members', (SELECT COALESCE(jsonb_agg(l.name ORDER BY l.name), '[]')
                        FROM (SELECT name FROM logins ORDER BY name LIMIT 100) l),
            'member_count', (SELECT count(*) FROM logins))
    END)
FROM i, uses u
$$;
COMMENT ON FUNCTION jit_access.review_evidence(bigint, integer) IS
    'returns the current evidence for an item of an access review; returns NULL unless the session user is a '
    'reviewer of the access review or may audit';
