-- Alerts: findings of the alert rules that an auditor or administrator has to handle.
--
-- grant_id is not a foreign key, because inserting a row would then lock the row of the request, which the holder can
-- keep locked, and the worker would wait for it.
CREATE TABLE jit_access.alert (
    id                  bigint PRIMARY KEY DEFAULT jit_access.next_id('alert'),
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
CREATE UNIQUE INDEX alert_open ON jit_access.alert (rule, person_id, grant_id) NULLS NOT DISTINCT
    WHERE state <> 'closed';
CREATE INDEX alert_by_grant ON jit_access.alert (grant_id);
CREATE INDEX alert_suspends ON jit_access.alert (id) WHERE suspends;
COMMENT ON TABLE jit_access.alert IS
    'alerts: one row per rule, person and grant until it is closed; further occurrences increment its count';
COMMENT ON COLUMN jit_access.alert.person_id IS
    'identity of the person whom the alert is about and who may not close it: a declared person, or a login';
COMMENT ON COLUMN jit_access.alert.evidence IS 'seq of the newest records that raised the alert, in order; at most 20';
COMMENT ON COLUMN jit_access.alert.suspends IS 'whether the grant still has to be suspended because of this alert';

CREATE FUNCTION pg_catalog.jit_acknowledge_alert(id numeric, comment text)
RETURNS void LANGUAGE c SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'jit_acknowledge_alert';
COMMENT ON FUNCTION pg_catalog.jit_acknowledge_alert IS
    'marks an open alert as acknowledged, with a comment. For auditors and administrators other than the person it is '
    'about. Errors: JA001, JA004, JA005, JA006, JA018.';

CREATE FUNCTION pg_catalog.jit_close_alert(id numeric, comment text)
RETURNS void LANGUAGE c SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'jit_close_alert';
COMMENT ON FUNCTION pg_catalog.jit_close_alert IS
    'closes an alert, with a comment; a later occurrence raises a new alert. For auditors and administrators other than '
    'the person it is about. Errors: JA001, JA004, JA005, JA006, JA018.';
