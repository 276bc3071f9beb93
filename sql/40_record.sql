-- The record: control events, the partitioned table with its hash chain, its view for auditors, checkpoints, verification,
-- and the journal.

-- Events are written in the transaction they describe. The worker moves them to the record, because only one process may
-- append to the chain and no caller should wait for it.
CREATE TABLE jit_access.event (
    at         timestamptz NOT NULL,
    kind       text NOT NULL,
    request_id bigint,
    actor      text NOT NULL,
    detail     jsonb NOT NULL DEFAULT '{}'
);
COMMENT ON TABLE jit_access.event IS
    'outbox of the record: control events, committed with the change they describe, until the worker moves them to '
    'jit_access.record';

-- Each partition is a range of the chain. The last one is unbounded; the worker appends to it, closes it when its
-- period has ended, and creates the next one.
CREATE TABLE jit_access.record (
    seq                 bigint PRIMARY KEY,
    node                uuid NOT NULL,
    position            bigint,
    kind                text NOT NULL,
    at                  timestamptz NOT NULL,
    grant_id            bigint,
    grants              bigint[],
    login               text,
    role                text,
    database            text,
    client_addr         text,
    application         text,
    pid                 integer,
    session_start       timestamptz,
    depth               integer,
    tag                 text,
    statement           text,
    statement_bytes     integer,
    statement_sha256    text,
    parameters          text,
    objects             text[],
    privileges          text[],
    standing_privileges text[],
    outcome             text,
    rows                bigint,
    duration            interval,
    sqlstate            text,
    detail              jsonb,
    of_position         bigint,
    hash                bytea NOT NULL
) PARTITION BY RANGE (seq);
CREATE TABLE jit_access.record_1 PARTITION OF jit_access.record FOR VALUES FROM (MINVALUE) TO (MAXVALUE);
CREATE INDEX record_by_grant ON jit_access.record (grant_id, seq);
CREATE INDEX record_by_login ON jit_access.record (login, seq);
CREATE INDEX record_by_time ON jit_access.record (at);
CREATE INDEX record_by_object ON jit_access.record USING gin (objects);
CREATE INDEX record_by_statement ON jit_access.record (statement_sha256) WHERE statement_sha256 IS NOT NULL;
CREATE INDEX record_dropped ON jit_access.record (seq) WHERE kind = 'records dropped';
CREATE INDEX record_open ON jit_access.record (node, position) WHERE kind = 'use' AND outcome IS NULL;
CREATE INDEX record_late ON jit_access.record (node, of_position) WHERE of_position IS NOT NULL;
COMMENT ON TABLE jit_access.record_1 IS 'first partition of jit_access.record';
COMMENT ON TABLE jit_access.record IS
    'the record: append-only, in one gapless sequence, partitioned by seq (see jit_access.record_partition). Written by '
    'the worker, and by the job that drops the oldest partition. A use that was still running when it was read from the '
    'journal has its outcome in a later row of kind outcome; the view audit_log joins the two';
COMMENT ON COLUMN jit_access.record.node IS 'UUID of the journal of the server that wrote the record';
COMMENT ON COLUMN jit_access.record.position IS
    'byte position in that journal; NULL for rows that the worker created itself';
COMMENT ON COLUMN jit_access.record.of_position IS 'of an outcome: position of the use it belongs to';
COMMENT ON COLUMN jit_access.record.hash IS 'SHA-256 of the previous row''s hash and the canonical bytes of this row';

CREATE TABLE jit_access.chain (
    id         uuid PRIMARY KEY,
    created_at timestamptz NOT NULL
);
INSERT INTO jit_access.chain VALUES (gen_random_uuid(), clock_timestamp());
COMMENT ON TABLE jit_access.chain IS
    'identity of the hash chain, from which its first hash is computed: one row, created with the extension';

CREATE TABLE jit_access.checkpoint (
    seq  bigint PRIMARY KEY,
    at   timestamptz NOT NULL,
    head bytea NOT NULL,
    mac  bytea NOT NULL
);
COMMENT ON TABLE jit_access.checkpoint IS
    'the hash at the head of the record at certain times, with a MAC under the key in jit_access.checkpoint_key_file; '
    'also written to the server log and to jit_access.anchor_file';

CREATE FUNCTION pg_catalog.jit_audit_checkpoint() RETURNS bigint
    LANGUAGE c SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'jit_audit_checkpoint';
COMMENT ON FUNCTION pg_catalog.jit_audit_checkpoint() IS
    'writes a checkpoint of the record to the table, the server log and jit_access.anchor_file; returns the seq of the '
    'last row, or NULL if the last checkpoint already covers it. For auditors and administrators. Errors: JA004, JA013.';

CREATE FUNCTION pg_catalog.jit_audit_verify(
    from_seq bigint DEFAULT NULL, to_seq bigint DEFAULT NULL,
    OUT sound boolean, OUT records bigint, OUT first_seq bigint, OUT last_seq bigint, OUT anchored_seq bigint,
    OUT checkpoints bigint, OUT head text,
    OUT broken_at bigint, OUT finding text)
RETURNS SETOF record LANGUAGE c SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'jit_audit_verify';
COMMENT ON FUNCTION pg_catalog.jit_audit_verify(bigint, bigint) IS
    'recomputes the hash chain of the record and compares it with every checkpoint and anchor; returns one row if it is '
    'sound (up to anchored_seq), one with sound = NULL if it is self-consistent but no anchor confirms it, otherwise one '
    'row for each finding (at most 20). from_seq, to_seq: NULL = the first and the last row. For '
    'auditors and administrators. Errors: JA001, JA004.';

CREATE FUNCTION pg_catalog.jit_audit_export(
    from_seq bigint DEFAULT NULL, to_seq bigint DEFAULT NULL, OUT seq bigint, OUT line text)
RETURNS SETOF record LANGUAGE c SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'jit_audit_export';
COMMENT ON FUNCTION pg_catalog.jit_audit_export(bigint, bigint) IS
    'returns the record as lines for the program jit-verify, which verifies them without a server. seq: sequence '
    'number of the record in the line. For auditors and administrators. Errors: JA001, JA004.';

CREATE TABLE jit_access.journal_position (
    node     uuid PRIMARY KEY,
    position bigint NOT NULL
);
COMMENT ON TABLE jit_access.journal_position IS
    'byte position up to which each node''s journal is in the record; advances in the transaction that writes the rows, '
    'so that each entry is recorded exactly once';

CREATE FUNCTION jit_access.journal(
    from_position bigint DEFAULT NULL, max_rows integer DEFAULT 100000,
    OUT node uuid, OUT "position" bigint, OUT next_position bigint, OUT kind text, OUT at timestamptz,
    OUT grant_id bigint, OUT grants bigint[], OUT login text, OUT role text, OUT database text, OUT client_addr text,
    OUT application text, OUT pid integer, OUT session_start timestamptz, OUT depth integer, OUT tag text,
    OUT statement text, OUT statement_bytes integer, OUT statement_sha256 text, OUT parameters text, OUT objects text[],
    OUT privileges text[], OUT standing_privileges text[], OUT outcome text, OUT rows bigint, OUT duration interval,
    OUT sqlstate text, OUT detail jsonb, OUT of_position bigint)
RETURNS SETOF record LANGUAGE c AS 'MODULE_PATHNAME', 'jit_journal';
REVOKE ALL ON FUNCTION jit_access.journal(bigint, integer) FROM PUBLIC;
COMMENT ON FUNCTION jit_access.journal(bigint, integer) IS
    'returns up to max_rows entries of this node''s journal from a byte position on (NULL = the oldest kept); a use '
    'and its outcome are one row if the journal has both. For administrators and auditors. Errors: JA013.';

CREATE FUNCTION jit_access.may_audit() RETURNS boolean
    LANGUAGE c STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'jit_may_audit';
COMMENT ON FUNCTION jit_access.may_audit() IS
    'returns whether the session user is a superuser or a member of jit_auditor or jit_admin; pg_read_all_data does '
    'not count';

CREATE VIEW jit_access.audit_log AS
SELECT u.seq, u.kind, u.at, u.grant_id, u.grants, u.login, u.role, u.database, u.client_addr, u.application, u.pid,
       u.session_start, u.depth, u.tag, u.statement, u.statement_bytes, u.statement_sha256, u.parameters, u.objects,
       u.privileges, u.standing_privileges,
       CASE
           WHEN u.privileges <> u.standing_privileges THEN true
           WHEN u.objects <> '{}' AND u.detail -> 'objects' IS NULL THEN false
       END AS needed_grant,
       COALESCE(u.outcome, o.outcome) AS outcome,
       COALESCE(u.rows, o.rows) AS rows,
       COALESCE(u.duration, o.duration) AS duration,
       COALESCE(u.sqlstate, o.sqlstate) AS sqlstate,
       u.detail
FROM jit_access.record u
-- For a use that already has its outcome, of_position is compared with NULL, which avoids an index scan of every
-- partition.
LEFT JOIN jit_access.record o
       ON o.node = u.node
      AND o.seq > u.seq
      AND o.of_position = CASE WHEN u.kind = 'use' AND u.outcome IS NULL THEN u.position END
WHERE u.kind <> 'outcome' AND (SELECT jit_access.may_audit());
COMMENT ON VIEW jit_access.audit_log IS
    'the record for auditors: one row for each use, refusal and control event, in the order of seq; '
    'standing_privileges = the part of the column privileges that the user held without a grant; outcome is NULL '
    'while the statement runs';
