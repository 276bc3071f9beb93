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
