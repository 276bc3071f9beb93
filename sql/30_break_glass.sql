-- Break-glass: access at once, without an approval, and the review that has to follow it.
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
-- The index limits each person to one open review, even in concurrent calls of jit_break_glass.
CREATE UNIQUE INDEX review_open ON jit_access.review (person) WHERE reviewed_at IS NULL;
COMMENT ON TABLE jit_access.review IS
    'one review for each break-glass grant, decided by another person; a person has at most one open review';
COMMENT ON COLUMN jit_access.review.person IS
    'identity of the responder as a person, at the time of the break-glass request';

CREATE FUNCTION pg_catalog.jit_break_glass(template text, duration interval DEFAULT NULL, reason text DEFAULT NULL)
RETURNS bigint LANGUAGE c SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'jit_break_glass';
COMMENT ON FUNCTION pg_catalog.jit_break_glass IS
    'gives a responder of the template an active grant without an approval; returns its id. duration: at most the '
    'template''s break_glass_duration. reason: required. Another person has to review it afterwards; until then the '
    'responder cannot break the glass again. Errors: JA001, JA002, JA004, JA005, JA008, JA009, JA018, JA019, JA022, '
    'JA023.';

CREATE FUNCTION pg_catalog.jit_review(id numeric, verdict text, comment text)
RETURNS text LANGUAGE c SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'jit_review';
COMMENT ON FUNCTION pg_catalog.jit_review IS
    'reviews a break-glass grant that has ended: verdict is justified or not_justified, comment says why; both are final. '
    'Returns the verdict. For approvers of the template other than the responder. Errors: JA001, JA003, JA004, JA005, '
    'JA006, JA018.';
