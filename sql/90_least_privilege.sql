-- Least privilege: which privileges of a template were used, by whom and when; a proposal for a narrower template; and
-- logins that hold the same privileges without a grant.

-- Sums by day, privilege, object and login answer these questions without a scan of the record.
CREATE TABLE jit_access.usage (
    day               date NOT NULL,
    template_id       bigint NOT NULL,
    login             text NOT NULL,
    object            text NOT NULL,
    privilege         text NOT NULL,
    times             bigint NOT NULL,
    needed            bigint NOT NULL,
    last_used         timestamptz NOT NULL,
    last_standing_use timestamptz,
    PRIMARY KEY (template_id, object, privilege, login, day)
);
COMMENT ON TABLE jit_access.usage IS
    'uses of privileges by day (UTC), summed up from the record; kept when partitions of the record are dropped';
COMMENT ON COLUMN jit_access.usage.times IS 'number of statements that required the privilege';
COMMENT ON COLUMN jit_access.usage.needed IS
    'number of these statements whose user did not have the privilege without a grant';
COMMENT ON COLUMN jit_access.usage.last_standing_use IS 'last use by a user who had the privilege without a grant';

CREATE TABLE jit_access.usage_position (seq bigint NOT NULL);
INSERT INTO jit_access.usage_position VALUES (0);
COMMENT ON TABLE jit_access.usage_position IS
    'last row of the record that is summed up in jit_access.usage and jit_access.use_count; one row';

-- A statement that failed for lack of a privilege (42501) is not a use of it.
CREATE FUNCTION jit_access.usage_between(after_seq bigint, to_seq bigint)
RETURNS TABLE (day date, template_id bigint, login text, object text, privilege text, times bigint, needed bigint,
               last_used timestamptz, last_standing_use timestamptz)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET jit = off AS $$
BEGIN
    -- EXECUTE is used to plan the query for the size of this range; a cached plan would not fit it. JIT compilation is
    -- off, because it would take ten times as long as the query.
    RETURN QUERY EXECUTE $query$
        SELECT (u.at AT TIME ZONE 'UTC')::date, q.template_id, u.login, o.object, p.privilege, count(*),
               count(*) FILTER (WHERE NOT p.standing), max(u.at), max(u.at) FILTER (WHERE p.standing)
        FROM jit_access.record u
        CROSS JOIN LATERAL unnest(u.grants) g (id)
        JOIN jit_access.request q ON q.id = g.id
        CROSS JOIN LATERAL unnest(u.objects, u.privileges, u.standing_privileges) o (object, privileges, standing)
        CROSS JOIN LATERAL (
            SELECT x, x = ANY (string_to_array(o.standing, ','))
            FROM unnest(string_to_array(o.privileges, ',')) x) p (privilege, standing)
        WHERE u.seq > $1 AND u.seq <= $2
          AND u.kind = 'use'
          AND COALESCE(CASE
                           WHEN u.outcome IS NULL THEN (
                               SELECT max(e.sqlstate)
                               FROM jit_access.record e
                               WHERE e.node = u.node AND e.of_position = u.position AND e.of_position IS NOT NULL)
                           ELSE u.sqlstate
                       END, '') <> '42501'
        GROUP BY 1, 2, 3, 4, 5
        $query$ USING after_seq, to_seq;
END
$$;
REVOKE ALL ON FUNCTION jit_access.usage_between(bigint, bigint) FROM PUBLIC;
COMMENT ON FUNCTION jit_access.usage_between(bigint, bigint) IS
    'returns sums of the uses of privileges in the rows of the record with after_seq < seq <= to_seq';

CREATE FUNCTION jit_access.sum_up_usage(max_rows bigint DEFAULT 50000) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    reached bigint;
    head bigint;
BEGIN
    SELECT seq INTO STRICT reached FROM jit_access.usage_position FOR UPDATE;
    SELECT COALESCE(max(seq), 0) INTO head FROM jit_access.record;
    IF head <= reached THEN
        RETURN 0;
    END IF;
    INSERT INTO jit_access.usage AS u
    SELECT * FROM jit_access.usage_between(reached, least(head, reached + max_rows))
    ON CONFLICT (template_id, object, privilege, login, day) DO UPDATE
    SET times = u.times + excluded.times,
        needed = u.needed + excluded.needed,
        last_used = greatest(u.last_used, excluded.last_used),
        last_standing_use = greatest(u.last_standing_use, excluded.last_standing_use);
    PERFORM jit_access.count_uses(reached, least(head, reached + max_rows));
    UPDATE jit_access.usage_position SET seq = least(head, reached + max_rows);
    RETURN greatest(head - reached - max_rows, 0);
END
$$;
REVOKE ALL ON FUNCTION jit_access.sum_up_usage(bigint) FROM PUBLIC;
COMMENT ON FUNCTION jit_access.sum_up_usage(bigint) IS
    'sums up the next max_rows rows of the record in jit_access.usage and jit_access.use_count, as the worker does when it '
    'is idle; returns how many rows are left';

-- The record writes "app.orders" for a relation and "app.f(integer)" for a function.
CREATE FUNCTION jit_access.schema_of(object text) RETURNS text
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp
RETURN pg_catalog.substring(object, '^("(?:[^"]|"")+"|[^".(]+)\.');
COMMENT ON FUNCTION jit_access.schema_of(text) IS
    'returns the schema of an object name that is written as in the record, quoted where necessary';

CREATE FUNCTION jit_access.is_off_record(item text) RETURNS boolean
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp
RETURN item !~* '\yon\y' OR item ~* '\yon\s+(all\s+)?(function|procedure|routine|database|type|domain|foreign)s?\y';
COMMENT ON FUNCTION jit_access.is_off_record(text) IS
    'returns whether uses of a privilege item are not recorded: functions, types, databases, foreign servers, '
    'memberships';

CREATE VIEW jit_access.template_privileges AS
WITH RECURSIVE reach (template_id, role) AS (
    SELECT t.id, t.role
    FROM jit_access.template t
    WHERE t.dropped_at IS NULL
    UNION
    SELECT r.template_id, m.roleid
    FROM reach r
    JOIN pg_catalog.pg_auth_members m ON m.member = r.role
), entries (grantee, privilege, kind, object, columns) AS (
    SELECT a.grantee, a.privilege_type,
           CASE c.relkind WHEN 'S' THEN 'sequence' ELSE 'table' END,
           format('%I.%I', n.nspname, c.relname) COLLATE "default",
           NULL::text[]
    FROM pg_catalog.pg_class c
    JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace,
         pg_catalog.aclexplode(c.relacl) a
    UNION ALL
    SELECT a.grantee, a.privilege_type,
           'columns',
           format('%I.%I', n.nspname, c.relname) COLLATE "default",
           pg_catalog.array_agg(b.attname::text ORDER BY b.attnum)
    FROM pg_catalog.pg_attribute b
    JOIN pg_catalog.pg_class c ON c.oid = b.attrelid
    JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace,
         pg_catalog.aclexplode(b.attacl) a
    WHERE b.attacl IS NOT NULL
    GROUP BY 1, 2, 3, 4
    UNION ALL
    SELECT a.grantee, a.privilege_type, 'schema', pg_catalog.quote_ident(n.nspname) COLLATE "default", NULL
    FROM pg_catalog.pg_namespace n, pg_catalog.aclexplode(n.nspacl) a
    UNION ALL
    SELECT a.grantee, a.privilege_type, 'function', p.oid::pg_catalog.regprocedure::text COLLATE "default", NULL
    FROM pg_catalog.pg_proc p, pg_catalog.aclexplode(p.proacl) a
    UNION ALL
    SELECT a.grantee, a.privilege_type, 'database', pg_catalog.quote_ident(d.datname) COLLATE "default", NULL
    FROM pg_catalog.pg_database d, pg_catalog.aclexplode(d.datacl) a
)
SELECT t.name AS template, e.privilege, e.kind, e.object, e.columns
FROM reach r
JOIN entries e ON e.grantee = r.role
JOIN jit_access.template t ON t.id = r.template_id
WHERE (SELECT jit_access.may_audit());
COMMENT ON VIEW jit_access.template_privileges IS
    'privileges that the role of each template currently holds, directly or by membership, with one row for each '
    'object';

CREATE VIEW jit_access.privilege_usage AS
WITH used AS (
    SELECT t.name AS template, u.privilege, u.object,
           sum(u.times)::bigint AS times,
           sum(u.needed)::bigint AS needed,
           pg_catalog.array_agg(DISTINCT u.login ORDER BY u.login) AS people,
           max(u.last_used) AS last_use
    FROM (SELECT * FROM jit_access.usage
          UNION ALL
          SELECT *
          FROM jit_access.usage_between((SELECT seq FROM jit_access.usage_position), 9223372036854775807)) u
    JOIN jit_access.template t ON t.id = u.template_id AND t.dropped_at IS NULL
    GROUP BY 1, 2, 3
), in_schema AS (
    SELECT u.template, 'USAGE' AS privilege, s.schema AS object,
           sum(u.times)::bigint AS times,
           sum(u.needed)::bigint AS needed,
           (SELECT pg_catalog.array_agg(DISTINCT p ORDER BY p)
            FROM used x, unnest(x.people) p
            WHERE x.template = u.template AND jit_access.schema_of(x.object) = s.schema) AS people,
           max(u.last_use) AS last_use
    FROM used u, LATERAL (SELECT jit_access.schema_of(u.object)) s (schema)
    GROUP BY 1, 3
    UNION ALL
    SELECT u.template, 'CREATE', s.schema,
           sum(u.times)::bigint,
           sum(u.needed)::bigint,
           (SELECT pg_catalog.array_agg(DISTINCT p ORDER BY p)
            FROM used x, unnest(x.people) p
            WHERE x.template = u.template AND x.privilege = 'CREATE' AND jit_access.schema_of(x.object) = s.schema),
           max(u.last_use)
    FROM used u, LATERAL (SELECT jit_access.schema_of(u.object)) s (schema)
    WHERE u.privilege = 'CREATE'
    GROUP BY 1, 3
)
SELECT h.template, h.privilege, h.kind, h.object, h.columns,
       h.kind IN ('table', 'columns', 'sequence', 'schema') AS on_record,
       COALESCE(u.times, s.times) AS times,
       COALESCE(u.needed, s.needed) AS needed,
       COALESCE(u.people, s.people) AS people,
       COALESCE(u.last_use, s.last_use) AS last_use
FROM jit_access.template_privileges h
LEFT JOIN used u
       ON h.kind IN ('table', 'columns', 'sequence')
      AND u.template = h.template
      AND u.object = h.object
      AND u.privilege = CASE h.kind WHEN 'sequence' THEN 'USAGE' ELSE h.privilege END
LEFT JOIN in_schema s
       ON h.kind = 'schema'
      AND s.template = h.template
      AND s.object = h.object
      AND s.privilege = h.privilege
WHERE (SELECT jit_access.may_audit());
COMMENT ON VIEW jit_access.privilege_usage IS
    'use of each privilege of a template: how often, how often a grant was needed for it, by which logins, and when last; '
    'NULL = never used or, where on_record is false, not recorded';

CREATE FUNCTION pg_catalog.jit_propose_template(
    template text, since timestamptz DEFAULT NULL,
    OUT statement text, OUT privileges text[], OUT unused text[], OUT notes text[])
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    from_day date := COALESCE((since AT TIME ZONE 'UTC')::date, '-infinity');
    found jit_access.template;
BEGIN
    PERFORM jit_access.require_auditor();
    SELECT * INTO found FROM jit_access.template t WHERE t.name = $1 AND t.dropped_at IS NULL;
    IF found.id IS NULL THEN
        RAISE 'template "%" does not exist', left(COALESCE($1, ''), 63)
            USING ERRCODE = 'JA002',
                  DETAIL = 'Names are matched exactly.',
                  HINT = 'Look at jit_access.template_catalog.';
    END IF;
    WITH used AS (
        SELECT u.object, u.privilege, sum(u.needed) AS needed
        FROM (SELECT * FROM jit_access.usage x WHERE x.template_id = found.id
              UNION ALL
              SELECT *
              FROM jit_access.usage_between((SELECT seq FROM jit_access.usage_position), 9223372036854775807) x
              WHERE x.template_id = found.id) u
        WHERE u.day >= from_day
        GROUP BY 1, 2
    ), held AS (
        SELECT h.*,
               CASE
                   WHEN h.kind IN ('table', 'columns') THEN EXISTS (
                       SELECT
                       FROM used u
                       WHERE u.object = h.object
                         AND u.needed > 0
                         AND (u.privilege = h.privilege
                              OR u.privilege = 'LOCK' AND h.privilege IN ('UPDATE', 'DELETE', 'TRUNCATE')))
                   WHEN h.kind = 'sequence' THEN EXISTS (
                       SELECT
                       FROM used u
                       WHERE u.object = h.object AND u.needed > 0)
                   WHEN h.kind = 'schema' THEN EXISTS (
                       SELECT
                       FROM used u
                       WHERE jit_access.schema_of(u.object) = h.object
                         AND (h.privilege = 'USAGE' OR u.privilege = 'CREATE')
                         AND (u.needed > 0 OR u.privilege = 'CREATE'))
               END AS is_used,
               EXISTS (
                   SELECT
                   FROM used u
                   WHERE u.object = h.object AND u.privilege = h.privilege AND u.needed = 0) AS is_standing
        FROM jit_access.template_privileges h
        WHERE h.template = found.name
    ), items AS (
        SELECT 1 AS n,
               format('%s ON SCHEMA %s', string_agg(h.privilege, ', ' ORDER BY h.privilege DESC), h.object) AS item
        FROM held h
        WHERE h.kind = 'schema' AND h.is_used
        GROUP BY h.object
        UNION ALL
        SELECT 2,
               format('%s ON %s',
                      string_agg(h.privilege, ', '
                                 ORDER BY array_position('{SELECT,INSERT,UPDATE,DELETE}'::text[], h.privilege),
                                          h.privilege),
                      h.object)
        FROM held h
        WHERE h.kind = 'table' AND h.is_used
        GROUP BY h.object
        UNION ALL
        SELECT 3,
               format('%s (%s) ON %s', h.privilege,
                      (SELECT string_agg(quote_ident(c), ', ') FROM unnest(h.columns) c),
                      h.object)
        FROM held h
        WHERE h.kind = 'columns' AND h.is_used
        UNION ALL
        SELECT 4,
               format('%s ON SEQUENCE %s', string_agg(h.privilege, ', ' ORDER BY h.privilege DESC), h.object)
        FROM held h
        WHERE h.kind = 'sequence' AND h.is_used
        GROUP BY h.object
        UNION ALL
        SELECT 5, item
        FROM unnest(found.privileges) item
        WHERE jit_access.is_off_record(item)
    )
    SELECT ARRAY(SELECT item FROM items ORDER BY n, item),
           ARRAY(SELECT format('%s ON %s%s', h.privilege,
                               CASE WHEN h.kind IN ('schema', 'sequence') THEN upper(h.kind) || ' ' END,
                               h.object)
                 FROM held h
                 WHERE NOT h.is_used
                 ORDER BY h.kind, h.object, h.privilege),
           ARRAY(SELECT note
                 FROM (
                     SELECT 1, 'kept, because the record does not show whether it was used: ' || item
                     FROM items
                     WHERE n = 5
                     UNION ALL
                     SELECT 2, format('%s ON %s was used only by people who hold it without a grant',
                                      h.privilege, h.object)
                     FROM held h
                     WHERE h.is_standing AND NOT h.is_used
                     UNION ALL
                     SELECT 3, 'tables created later are not covered: ' || item
                     FROM unnest(found.privileges) item
                     WHERE item ~* '\yon\s+all\s+tables\s+in\s+schema\y'
                     UNION ALL
                     SELECT 4, 'the role was adopted: its other privileges stay'
                     WHERE NOT found.role_created
                     UNION ALL
                     SELECT 5, 'nothing of it was used: jit_drop_template is narrower'
                     WHERE NOT EXISTS (SELECT FROM used)) v (n, note)
                 ORDER BY n, note)
    INTO privileges, unused, notes;
    IF cardinality(unused) > 0
       AND EXISTS (SELECT FROM unnest(privileges) p WHERE NOT jit_access.is_off_record(p)) THEN
        statement := format('SELECT jit_alter_template(%L, privileges => %L)', found.name, privileges);
    END IF;
END
$$;
COMMENT ON FUNCTION pg_catalog.jit_propose_template(text, timestamptz) IS
    'proposes a template narrowed to the privileges that were needed since a time (whole days, UTC; NULL = ever): the '
    'statement for an administrator (NULL = nothing to narrow, or nothing was used), the privileges it keeps and removes, '
    'and notes. For auditors and administrators. Errors: JA002, JA004.';

CREATE FUNCTION pg_catalog.jit_prove_proposal(
    template text, privileges text[] DEFAULT NULL, since timestamptz DEFAULT NULL,
    OUT verdict text, OUT statement text, OUT login text, OUT times bigint, OUT missing text[], OUT message text)
RETURNS SETOF record
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    proposed text[] := COALESCE($2, (jit_propose_template($1, since)).privileges);
    batch_size constant integer := 500;
    batch record;
    person text;
BEGIN
    PERFORM jit_access.require_auditor();
    FOR batch IN
        WITH recorded AS (
            SELECT u.login, u.statement,
                   u.statement_bytes > octet_length(u.statement) OR u.statement LIKE '(not recorded%' AS is_cut,
                   count(*) AS times
            FROM jit_access.template t
            JOIN jit_access.request q ON q.template_id = t.id
            JOIN jit_access.audit_log u ON u.grant_id = q.id
            WHERE t.name = $1 AND t.dropped_at IS NULL
              AND u.kind = 'use' AND u.tag <> 'FUNCTION CALL' AND u.objects <> '{}' AND u.outcome = 'completed'
              AND (jit_prove_proposal.since IS NULL OR u.at >= jit_prove_proposal.since)
            GROUP BY 1, 2, 3
        ), numbered AS (
            SELECT r.*,
                   (row_number() OVER (PARTITION BY r.login, r.is_cut ORDER BY r.statement) - 1) / batch_size AS number
            FROM recorded r
        )
        SELECT n.login, n.is_cut,
               array_agg(n.statement ORDER BY n.statement) AS statements,
               array_agg(n.times ORDER BY n.statement) AS counts
        FROM numbered n
        GROUP BY n.login, n.is_cut, n.number
        ORDER BY n.login, n.is_cut, n.number
    LOOP
        -- A dropped login, a superuser or a login of the extension cannot be impersonated. Then only the privileges of
        -- the template are checked.
        person := (SELECT a.rolname
                   FROM pg_authid a
                   WHERE a.rolname = batch.login AND NOT a.rolsuper AND NOT starts_with(a.rolname, 'jit_'));
        IF batch.is_cut THEN
            RETURN QUERY
            SELECT 'not provable', s, batch.login, c, '{}'::text[], 'Its text was cut or hidden.'
            FROM unnest(batch.statements, batch.counts) v (s, c);
        ELSE
            RETURN QUERY
            SELECT CASE d.outcome WHEN 'allowed' THEN 'passes' WHEN 'denied' THEN 'fails' ELSE 'not provable' END,
                   d.statement, batch.login, batch.counts[d.number], d.missing, d.message
            FROM jit_dry_run($1, batch.statements, person => person, privileges => proposed) d;
        END IF;
    END LOOP;
END
$$;
COMMENT ON FUNCTION pg_catalog.jit_prove_proposal(text, text[], timestamptz) IS
    'checks each recorded statement under a template, as its login, against privileges (NULL = those of '
    'jit_propose_template). verdict: passes, fails (with what is missing) or not provable. For auditors and administrators. '
    'Errors: JA001, JA002, JA004, JA008.';

REVOKE ALL ON FUNCTION jit_access.schema_of(text), jit_access.is_off_record(text) FROM PUBLIC;
REVOKE ALL ON FUNCTION pg_catalog.jit_propose_template(text, timestamptz),
                       pg_catalog.jit_prove_proposal(text, text[], timestamptz)
FROM PUBLIC;

-- Superusers are left out, and so are memberships in the roles of grants.
CREATE VIEW jit_access.standing_privileges AS
WITH RECURSIVE reach (login, role) AS (
    SELECT a.oid, a.oid
    FROM pg_catalog.pg_authid a
    WHERE a.rolcanlogin AND NOT a.rolsuper AND NOT pg_catalog.starts_with(a.rolname, 'jit_login_')
    UNION
    SELECT r.login, m.roleid
    FROM reach r
    JOIN pg_catalog.pg_auth_members m ON m.member = r.role
    JOIN pg_catalog.pg_authid g ON g.oid = m.roleid
    WHERE g.rolname !~ '^jit_(grant|gate)_'
), given (object, privilege, role, by_ownership) AS (
    SELECT format('%I.%I', n.nspname, c.relname) COLLATE "default", a.privilege_type,
           CASE WHEN a.grantee <> 0 THEN a.grantee END,
           a.grantee = c.relowner
    FROM pg_catalog.pg_class c
    JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace,
         pg_catalog.aclexplode(COALESCE(
             c.relacl,
             pg_catalog.acldefault(CASE c.relkind WHEN 'S' THEN 's' ELSE 'r' END::"char", c.relowner))) a
    WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
    UNION ALL
    SELECT format('%I.%I', n.nspname, c.relname) COLLATE "default", p.privilege, a.oid, false
    FROM pg_catalog.pg_class c
    JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace,
         (VALUES ('SELECT', 'pg_read_all_data'),
                 ('INSERT', 'pg_write_all_data'),
                 ('UPDATE', 'pg_write_all_data'),
                 ('DELETE', 'pg_write_all_data')) p (privilege, role)
         JOIN pg_catalog.pg_authid a ON a.rolname = p.role
    WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f')
), could AS MATERIALIZED (
    SELECT DISTINCT h.template, h.object, h.privilege
    FROM jit_access.template_privileges h
    WHERE h.kind IN ('table', 'columns', 'sequence')
), held AS (
    SELECT c.template, c.object, c.privilege, r.login,
           COALESCE(g.role::pg_catalog.regrole::text, 'PUBLIC') AS via,
           g.by_ownership
    FROM could c
    JOIN given g ON g.object = c.object AND g.privilege = c.privilege
    JOIN reach r ON r.role = g.role OR g.role IS NULL
)
SELECT h.template, a.rolname::text COLLATE "default" AS login, h.privilege, h.object,
       pg_catalog.array_agg(DISTINCT h.via ORDER BY h.via) AS via,
       pg_catalog.bool_or(h.by_ownership) AS by_ownership,
       (SELECT max(u.last_standing_use)
        FROM jit_access.usage u
        WHERE u.object = h.object
          AND u.login = a.rolname::text COLLATE "default"
          AND u.privilege = h.privilege) AS last_known_use
FROM held h
JOIN pg_catalog.pg_authid a ON a.oid = h.login
WHERE (SELECT jit_access.may_audit())
GROUP BY h.template, a.rolname, h.privilege, h.object;
COMMENT ON VIEW jit_access.standing_privileges IS
    'logins that permanently hold, without a grant, privileges that a template gives for a limited time. '
    'last_known_use: last recorded use; such uses are recorded only while the login also uses a grant; NULL = not '
    'known';
