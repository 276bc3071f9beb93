-- Control events wait here, written in the transaction they describe, until the worker puts them on the record.
CREATE TABLE jit_access.event (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at         timestamptz NOT NULL,
    kind       text NOT NULL,
    request_id bigint,
    actor      text NOT NULL,
    detail     jsonb NOT NULL DEFAULT '{}'
);
COMMENT ON TABLE jit_access.event IS 'outbox of the record: control events committed with what they describe, taken over by the worker';

-- Each partition is a stretch of the chain. The last one has no end; the worker writes into it, closes it when its time is
-- over and makes the next one.
CREATE TABLE jit_access.record (
    seq             bigint PRIMARY KEY,
    node            uuid NOT NULL,
    position        bigint,
    kind            text NOT NULL,
    at              timestamptz NOT NULL,
    grant_id        bigint,
    grants          bigint[],
    login           text,
    role            text,
    database        text,
    client_addr     text,
    application     text,
    pid             integer,
    session_start   timestamptz,
    depth           integer,
    tag             text,
    statement       text,
    statement_bytes integer,
    statement_sha256 text,
    parameters      text,
    objects         text[],
    privileges      text[],
    standing_privileges  text[],
    outcome         text,
    rows            bigint,
    duration        interval,
    sqlstate        text,
    detail          jsonb,
    of_position     bigint,
    hash            bytea NOT NULL
) PARTITION BY RANGE (seq);
CREATE TABLE jit_access.record_1 PARTITION OF jit_access.record FOR VALUES FROM (MINVALUE) TO (MAXVALUE);
COMMENT ON TABLE jit_access.record_1 IS 'the first partition of jit_access.record';
CREATE INDEX record_by_grant ON jit_access.record (grant_id, seq);
CREATE INDEX record_by_login ON jit_access.record (login, seq);
CREATE INDEX record_by_time ON jit_access.record (at);
CREATE INDEX record_by_object ON jit_access.record USING gin (objects);
CREATE INDEX record_dropped ON jit_access.record (seq) WHERE kind = 'records dropped';
CREATE INDEX record_open ON jit_access.record (node, position) WHERE kind = 'use' AND outcome IS NULL;
CREATE INDEX record_late ON jit_access.record (node, of_position) WHERE of_position IS NOT NULL;
COMMENT ON COLUMN jit_access.record.hash IS 'SHA-256 over the hash of the row before and the canonical bytes of this one';
COMMENT ON TABLE jit_access.record IS
    'the record: append-only, one dense sequence, partitioned by its numbers at the end of each jit_access.record_partition, written by the worker (and by the job that drops its oldest part). A use whose statement was still running when it was taken over has its outcome in a later row of kind outcome; the view audit_log joins the two';

CREATE TABLE jit_access.chain (
    id         uuid PRIMARY KEY,
    created_at timestamptz NOT NULL
);
INSERT INTO jit_access.chain VALUES (gen_random_uuid(), clock_timestamp());
COMMENT ON TABLE jit_access.chain IS 'what the hash chain over the record begins with: one row, made with the extension';

CREATE TABLE jit_access.checkpoint (
    seq  bigint PRIMARY KEY,
    at   timestamptz NOT NULL,
    head bytea NOT NULL,
    mac  bytea NOT NULL
);
COMMENT ON TABLE jit_access.checkpoint IS
    'the hash of the record at some moments, with a MAC by the key of jit_access.checkpoint_key_file; also in the server log and in jit_access.anchor_file';

CREATE FUNCTION pg_catalog.jit_audit_checkpoint() RETURNS bigint
    LANGUAGE c SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'jit_audit_checkpoint';
COMMENT ON FUNCTION pg_catalog.jit_audit_checkpoint() IS
    'dates the record now, in the table, the server log and jit_access.anchor_file; returns the number of its last row, NULL when the last checkpoint has it. Auditors and administrators. Errors: JA004, JA013.';

CREATE FUNCTION pg_catalog.jit_audit_verify(
    from_seq bigint DEFAULT NULL, to_seq bigint DEFAULT NULL,
    OUT sound boolean, OUT records bigint, OUT first_seq bigint, OUT last_seq bigint, OUT checkpoints bigint, OUT head text,
    OUT broken_at bigint, OUT finding text)
RETURNS SETOF record LANGUAGE c SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'jit_audit_verify';
COMMENT ON FUNCTION pg_catalog.jit_audit_verify(bigint, bigint) IS
    'recomputes the chain over the record and compares it with every checkpoint and anchor; one row when it is sound, else one for each finding (at most 20). NULL: from the first, to the end. Auditors and administrators. Errors: JA001, JA004.';

CREATE FUNCTION pg_catalog.jit_audit_export(from_seq bigint DEFAULT NULL, to_seq bigint DEFAULT NULL, OUT seq bigint, OUT line text)
RETURNS SETOF record LANGUAGE c SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'jit_audit_export';
COMMENT ON FUNCTION pg_catalog.jit_audit_export(bigint, bigint) IS
    'the record as lines for the program jit-verify (seq: of the record in it), which needs no server and comes to the same verdict. Auditors and administrators. Errors: JA001, JA004.';

CREATE TABLE jit_access.journal_position (
    node     uuid PRIMARY KEY,
    position bigint NOT NULL
);
COMMENT ON TABLE jit_access.journal_position IS 'how far the journal of each node is in the record; moves in the transaction that writes the rows';

CREATE FUNCTION jit_access.journal(
    from_position bigint DEFAULT NULL, max_rows integer DEFAULT 100000,
    OUT node uuid, OUT "position" bigint, OUT next_position bigint, OUT kind text, OUT at timestamptz, OUT grant_id bigint, OUT grants bigint[],
    OUT login text, OUT role text, OUT database text, OUT client_addr text, OUT application text, OUT pid integer,
    OUT session_start timestamptz, OUT depth integer, OUT tag text, OUT statement text, OUT statement_bytes integer,
    OUT statement_sha256 text, OUT parameters text, OUT objects text[], OUT privileges text[], OUT standing_privileges text[], OUT outcome text, OUT rows bigint, OUT duration interval, OUT sqlstate text,
    OUT detail jsonb, OUT of_position bigint)
RETURNS SETOF record LANGUAGE c AS 'MODULE_PATHNAME', 'jit_journal';
REVOKE ALL ON FUNCTION jit_access.journal(bigint, integer) FROM PUBLIC;
COMMENT ON FUNCTION jit_access.journal(bigint, integer) IS
    'records of this node''s journal from a position on (NULL: the oldest that is kept), a use joined with its outcome where both are there. Administrators and auditors. Errors: JA013.';
