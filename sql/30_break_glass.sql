CREATE TABLE jit_access.review (
    request_id    bigint PRIMARY KEY REFERENCES jit_access.request,
    person        text NOT NULL,
    opened_at     timestamptz NOT NULL,
    due_at        timestamptz NOT NULL,
    reviewer      oid,
    reviewer_name text,
    verdict       text CHECK (verdict IN ('justified', 'not_justified')),
    comment       text,
    reviewed_at   timestamptz,
    CHECK ((reviewed_at IS NULL) = (verdict IS NULL)),
    CHECK ((reviewed_at IS NULL) = (comment IS NULL)),
    CHECK ((reviewed_at IS NULL) = (reviewer IS NULL))
);
CREATE UNIQUE INDEX review_open ON jit_access.review (person) WHERE reviewed_at IS NULL;
COMMENT ON TABLE jit_access.review IS 'of each break-glass, opened with it: what another person has found; nobody has two that are open';
COMMENT ON COLUMN jit_access.review.person IS 'who broke the glass, as the person that his login was of at that time';

-- Without a reference to the request: the worker would wait for its row, which the holder can keep locked.
CREATE TABLE jit_access.alert (
    id                  bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    rule                text NOT NULL,
    severity            text NOT NULL CHECK (severity IN ('low', 'medium', 'high')),
    person              text NOT NULL,
    person_id           text NOT NULL,
    grant_id            bigint,
    first_seen          timestamptz NOT NULL,
    last_seen           timestamptz NOT NULL,
    count               bigint NOT NULL DEFAULT 1,
    state               text NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'acknowledged', 'closed')),
    detail              jsonb NOT NULL,
    evidence            bigint[] NOT NULL DEFAULT '{}',
    suspends            boolean NOT NULL DEFAULT false,
    acknowledged_at     timestamptz,
    acknowledged_by     text,
    acknowledge_comment text,
    closed_at           timestamptz,
    closed_by           text,
    close_comment       text
);
CREATE UNIQUE INDEX alert_open ON jit_access.alert (rule, person_id, grant_id) NULLS NOT DISTINCT WHERE state <> 'closed';
COMMENT ON TABLE jit_access.alert IS 'what somebody has to look at: one row of a kind while it is not closed, however often it is seen';
CREATE INDEX alert_by_grant ON jit_access.alert (grant_id);
CREATE INDEX alert_suspends ON jit_access.alert (id) WHERE suspends;
COMMENT ON COLUMN jit_access.alert.evidence IS 'the newest records that raised it, in order';
COMMENT ON COLUMN jit_access.alert.suspends IS 'its grant is still to be suspended';
COMMENT ON COLUMN jit_access.alert.person_id IS 'whom it is about, who does not close it himself: a declared person, or a login that is one of its own';

CREATE FUNCTION pg_catalog.jit_break_glass(template text, duration interval DEFAULT NULL, reason text DEFAULT NULL)
RETURNS bigint LANGUAGE c SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'jit_break_glass';
COMMENT ON FUNCTION pg_catalog.jit_break_glass IS
    'a responder of the template has it at once, without an approval; returns the id of the grant. duration: at most the template''s break_glass_duration. reason: has to be given. Somebody else reviews it afterwards, and until then there is no other one. Errors: JA001, JA002, JA004, JA005, JA008, JA009, JA018, JA019, JA022, JA023.';

CREATE FUNCTION pg_catalog.jit_review(id numeric, verdict text, comment text)
RETURNS text LANGUAGE c SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'jit_review';
COMMENT ON FUNCTION pg_catalog.jit_review IS
    'says of a break-glass that has ended whether it was justified or not_justified, and why, which cannot be taken back: by an approver of the template who is another person. Returns the verdict. Errors: JA001, JA003, JA004, JA005, JA006, JA018.';

CREATE FUNCTION pg_catalog.jit_acknowledge_alert(id numeric, comment text)
RETURNS void LANGUAGE c SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'jit_acknowledge_alert';
COMMENT ON FUNCTION pg_catalog.jit_acknowledge_alert IS
    'says that somebody looks into an alert, and what he has to say about it. Auditors and administrators, not whom it is about. Errors: JA001, JA004, JA005, JA006, JA018.';

CREATE FUNCTION pg_catalog.jit_close_alert(id numeric, comment text)
RETURNS void LANGUAGE c SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'jit_close_alert';
COMMENT ON FUNCTION pg_catalog.jit_close_alert IS
    'closes an alert, and says why; what is alike is a new one from then on. Auditors and administrators, not whom it is about. Errors: JA001, JA004, JA005, JA006, JA018.';
