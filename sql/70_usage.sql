-- Uses of grants, counted by hour while the record grows, so that a report about three months need not read all records
-- of these months.

-- Counts are kept per partition of the record, so that they can be removed together with the partition.
CREATE TABLE jit_access.use_count (
    partition_oid oid NOT NULL,
    hour          timestamptz NOT NULL,
    grant_id      bigint NOT NULL,
    statements    bigint NOT NULL,
    failed        bigint NOT NULL,
    open          bigint NOT NULL,
    rows          bigint NOT NULL,
    PRIMARY KEY (hour, grant_id, partition_oid)
);
COMMENT ON TABLE jit_access.use_count IS
    'uses of each grant by hour (UTC), for the rows of the record up to jit_access.usage_position';
COMMENT ON COLUMN jit_access.use_count.partition_oid IS 'partition of the record that holds the uses';
COMMENT ON COLUMN jit_access.use_count.open IS 'statements whose outcome is not recorded yet';
COMMENT ON COLUMN jit_access.use_count.rows IS 'rows returned or changed by statements that the client sent';

-- A use that was still running when it was recorded has its outcome in a later row, as in the view audit_log. That row
-- corrects the counts of the use, even if the use was counted by an earlier call.
CREATE FUNCTION jit_access.count_uses(after_seq bigint, to_seq bigint) RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET jit = off AS $$
BEGIN
    -- EXECUTE is used to plan the query for the size of this range, as in usage_between.
    EXECUTE $query$
        INSERT INTO jit_access.use_count AS c
        SELECT x.partition_oid, x.hour, x.grant_id, sum(x.statements), sum(x.failed), sum(x.open), sum(x.rows)
        FROM (
            SELECT u.tableoid AS partition_oid,
                   date_bin('1 hour', u.at, '2000-01-01 00:00+00') AS hour,
                   u.grant_id,
                   count(*) AS statements,
                   count(*) FILTER (WHERE u.outcome = 'failed') AS failed,
                   count(*) FILTER (WHERE u.outcome IS NULL) AS open,
                   coalesce(sum(u.rows) FILTER (WHERE u.depth = 0), 0) AS rows
            FROM jit_access.record u
            WHERE u.seq > $1 AND u.seq <= $2 AND u.kind = 'use' AND u.grant_id IS NOT NULL
            GROUP BY 1, 2, 3
            UNION ALL
            SELECT u.tableoid,
                   date_bin('1 hour', u.at, '2000-01-01 00:00+00'),
                   u.grant_id,
                   0,
                   count(*) FILTER (WHERE o.outcome = 'failed'),
                   -count(*),
                   coalesce(sum(o.rows) FILTER (WHERE u.depth = 0), 0)
            FROM jit_access.record o
            JOIN jit_access.record u ON u.node = o.node AND u.position = o.of_position AND u.seq < o.seq
            WHERE o.seq > $1 AND o.seq <= $2 AND o.of_position IS NOT NULL
              AND u.kind = 'use' AND u.outcome IS NULL AND u.grant_id IS NOT NULL
            GROUP BY 1, 2, 3) x
        GROUP BY 1, 2, 3
        ON CONFLICT (hour, grant_id, partition_oid) DO UPDATE
        SET statements = c.statements + excluded.statements,
            failed = c.failed + excluded.failed,
            open = c.open + excluded.open,
            rows = c.rows + excluded.rows
        $query$ USING after_seq, to_seq;
END
$$;
REVOKE ALL ON FUNCTION jit_access.count_uses(bigint, bigint) FROM PUBLIC;
COMMENT ON FUNCTION jit_access.count_uses(bigint, bigint) IS
    'adds the rows of the record with after_seq < seq <= to_seq to jit_access.use_count';

-- Whole hours come from the counts. Partial hours at both ends of the range, and rows that are not counted yet, come from
-- the record. Counts of a dropped partition are ignored, because its rows are also missing from the views.
CREATE FUNCTION jit_access.uses_by_day(from_at timestamptz, to_at timestamptz)
RETURNS TABLE (day date, grant_id bigint, statements bigint, failed bigint, open bigint, rows bigint)
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off AS $$
DECLARE
    counted constant bigint := (SELECT seq FROM jit_access.usage_position);
    first_hour constant timestamptz := date_trunc('hour', from_at + interval '1 hour' - interval '1 microsecond', 'UTC');
    last_hour constant timestamptz := greatest(date_trunc('hour', to_at, 'UTC'), first_hour);
BEGIN
    RETURN QUERY EXECUTE $query$
        WITH uses AS MATERIALIZED (
            -- rows that are not counted yet
            SELECT u.seq, u.node, u.position, u.at, u.grant_id, u.outcome,
                   CASE u.depth WHEN 0 THEN u.rows END AS rows, u.depth
            FROM jit_access.record u
            WHERE u.kind = 'use' AND u.grant_id IS NOT NULL AND u.seq > $3 AND u.at >= $1 AND u.at < $2
            UNION ALL
            -- counted rows before the first whole hour
            SELECT u.seq, u.node, u.position, u.at, u.grant_id, u.outcome,
                   CASE u.depth WHEN 0 THEN u.rows END, u.depth
            FROM jit_access.record u
            WHERE u.kind = 'use' AND u.grant_id IS NOT NULL AND u.seq <= $3 AND u.at >= $1 AND u.at < least($4, $2)
            UNION ALL
            -- counted rows after the last whole hour
            SELECT u.seq, u.node, u.position, u.at, u.grant_id, u.outcome,
                   CASE u.depth WHEN 0 THEN u.rows END, u.depth
            FROM jit_access.record u
            WHERE u.kind = 'use' AND u.grant_id IS NOT NULL AND u.seq <= $3 AND u.at >= $5 AND u.at < $2)
        SELECT (c.hour AT TIME ZONE 'UTC')::date, c.grant_id, sum(c.statements)::bigint, sum(c.failed)::bigint,
               sum(c.open)::bigint, sum(c.rows)::bigint
        FROM jit_access.use_count c
        JOIN pg_inherits i ON i.inhrelid = c.partition_oid AND i.inhparent = 'jit_access.record'::regclass
        WHERE c.hour >= $4 AND c.hour < $5
        GROUP BY 1, 2
        UNION ALL
        SELECT (u.at AT TIME ZONE 'UTC')::date, u.grant_id, count(*), count(*) FILTER (WHERE u.outcome = 'failed'),
               count(*) FILTER (WHERE u.outcome IS NULL), coalesce(sum(u.rows), 0)::bigint
        FROM uses u
        GROUP BY 1, 2
        UNION ALL
        -- counted outcomes of the uses above
        SELECT (u.at AT TIME ZONE 'UTC')::date, u.grant_id, 0, count(*) FILTER (WHERE o.outcome = 'failed'), -count(*),
               coalesce(sum(o.rows) FILTER (WHERE u.depth = 0), 0)::bigint
        FROM uses u
        JOIN jit_access.record o ON o.node = u.node AND o.of_position = u.position AND o.seq > u.seq
        WHERE u.outcome IS NULL AND o.seq <= $3
        GROUP BY 1, 2
        UNION ALL
        -- outcomes that are not counted yet, of all uses in the range
        SELECT (u.at AT TIME ZONE 'UTC')::date, u.grant_id, 0, count(*) FILTER (WHERE o.outcome = 'failed'), -count(*),
               coalesce(sum(o.rows) FILTER (WHERE u.depth = 0), 0)::bigint
        FROM jit_access.record o
        JOIN jit_access.record u ON u.node = o.node AND u.position = o.of_position AND u.seq < o.seq
        WHERE o.seq > $3 AND o.of_position IS NOT NULL
          AND u.kind = 'use' AND u.outcome IS NULL AND u.at >= $1 AND u.at < $2 AND u.grant_id IS NOT NULL
        GROUP BY 1, 2
        $query$ USING from_at, to_at, counted, first_hour, last_hour;
END
$$;
REVOKE ALL ON FUNCTION jit_access.uses_by_day(timestamptz, timestamptz) FROM PUBLIC;
COMMENT ON FUNCTION jit_access.uses_by_day(timestamptz, timestamptz) IS
    'returns uses by day (UTC) and grant; there may be several rows for one day and grant; the caller must add them up';
