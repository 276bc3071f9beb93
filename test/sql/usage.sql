\set ECHO none
\i test/sql/include/tap.sql
-- The hourly counts agree with the record, whichever part of it was counted when, and for every interval.
BEGIN;
SELECT seq AS n FROM jit_access.usage_position FOR UPDATE \gset
SELECT coalesce(max(seq), 0) AS before FROM jit_access.record \gset
TRUNCATE jit_access.use_count;
UPDATE jit_access.usage_position SET seq = :before;

-- Three days, a record every four minutes. One use of seven has its outcome nine records later, one of thirteen has none.
INSERT INTO jit_access.record (seq, node, position, kind, at, grant_id, login, depth, outcome, rows, of_position, hash)
SELECT :before + i, '00000000-0000-0000-0000-000000000001', i,
       CASE WHEN late THEN 'outcome' WHEN i % 11 = 0 THEN 'refusal' ELSE 'use' END, timestamptz '2020-02-28 22:30+00' + i * interval '4 minutes',
       CASE WHEN NOT late THEN nullif(1 + i % 5, 5) END, 'somebody', i % 2, CASE WHEN late OR i % 7 > 0 AND i % 13 > 0 THEN CASE i % 3 WHEN 0 THEN 'failed' ELSE 'completed' END END,
       CASE WHEN late OR i % 7 > 0 AND i % 13 > 0 THEN i END, CASE WHEN late THEN i - 9 END, ''
FROM generate_series(1, 1080) i, LATERAL (SELECT (i - 9) % 7 = 0 AND (i - 9) % 11 <> 0 AND i > 9 AND (i - 18) % 7 <> 0) x (late);

CREATE FUNCTION pg_temp.seen(from_at timestamptz, to_at timestamptz) RETURNS text LANGUAGE sql AS $$
    SELECT string_agg(x::text, ' ' ORDER BY x) FROM (
        SELECT (a.at AT TIME ZONE 'UTC')::date, a.grant_id, count(*), count(*) FILTER (WHERE a.outcome = 'failed'),
               count(*) FILTER (WHERE a.outcome IS NULL), coalesce(sum(a.rows) FILTER (WHERE a.depth = 0), 0)
        FROM jit_access.audit_log a WHERE a.kind = 'use' AND a.grant_id IS NOT NULL AND a.at >= $1 AND a.at < $2 GROUP BY 1, 2) x
$$;
CREATE FUNCTION pg_temp.counted(from_at timestamptz, to_at timestamptz) RETURNS text LANGUAGE sql AS $$
    SELECT string_agg(x::text, ' ' ORDER BY x) FROM (
        SELECT u.day, u.grant_id, sum(u.statements), sum(u.failed), sum(u.open), sum(u.rows)
        FROM jit_access.uses_by_day($1, $2) u GROUP BY 1, 2) x
$$;
CREATE TABLE pg_temp.range AS SELECT from_at::timestamptz, to_at::timestamptz FROM (VALUES
    ('2020-01-01 00:00+00', '2020-04-01 00:00+00'), ('2020-02-29 00:00+00', '2020-03-01 00:00+00'), ('2020-02-28 23:17:05+00', '2020-03-02 03:44:10+00'),
    ('2020-02-29 10:00+00', '2020-02-29 11:00+00'), ('2020-02-29 10:10+00', '2020-02-29 10:50+00'), ('2020-02-29 10:10+00', '2020-02-29 11:10+00'),
    ('2020-02-29 10:10+00', '2020-02-29 12:00+00'), ('2020-02-29 09:59:59.999999+00', '2020-02-29 11:00:00.000001+00'), ('2020-02-29 10:02+00', '2020-02-29 10:02:00.000001+00'),
    ('2020-04-01 00:00+00', '2020-04-02 00:00+00')) x (from_at, to_at);

SELECT cmp_ok(count(*), '>', 20::bigint, 'uses with a late outcome') FROM jit_access.record o WHERE o.seq > :before AND o.kind = 'outcome';
SELECT cmp_ok(count(*), '>', 20::bigint, 'and some that have none') FROM jit_access.audit_log a WHERE a.seq > :before AND a.kind = 'use' AND a.outcome IS NULL;
SELECT is(pg_temp.counted(from_at, to_at), pg_temp.seen(from_at, to_at), 'nothing is counted yet: ' || from_at || ' to ' || to_at) FROM (SELECT * FROM pg_temp.range ORDER BY from_at, to_at) r;
SELECT is(jit_access.sum_up_usage(300), 780::bigint, 'some of it');
SELECT is(pg_temp.counted(from_at, to_at), pg_temp.seen(from_at, to_at), 'some is counted: ' || from_at || ' to ' || to_at) FROM (SELECT * FROM pg_temp.range ORDER BY from_at, to_at) r;
SELECT is(jit_access.sum_up_usage(1), 779::bigint, 'one more');
SELECT is(jit_access.sum_up_usage(5), 774::bigint, 'and five');
SELECT is(pg_temp.counted(from_at, to_at), pg_temp.seen(from_at, to_at), 'in small steps: ' || from_at || ' to ' || to_at) FROM (SELECT * FROM pg_temp.range ORDER BY from_at, to_at) r;
SELECT is(jit_access.sum_up_usage(), 0::bigint, 'all of it');
SELECT is(pg_temp.counted(from_at, to_at), pg_temp.seen(from_at, to_at), 'all is counted: ' || from_at || ' to ' || to_at) FROM (SELECT * FROM pg_temp.range ORDER BY from_at, to_at) r;
SELECT is(sum(statements)::bigint, (SELECT count(*) FROM jit_access.record r WHERE r.seq > :before AND r.kind = 'use' AND r.grant_id IS NOT NULL), 'each once') FROM jit_access.use_count;
SELECT is(pg_temp.counted('2020-01-01', '2020-04-01') IS NULL, false, 'which is something');
ROLLBACK;
