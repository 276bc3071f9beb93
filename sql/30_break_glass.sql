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
