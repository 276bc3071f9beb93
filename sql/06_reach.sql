-- The privileges that a template may give, as a list of what is allowed.
--
-- jit_access.reachable_object puts every object of this database into a kind, and jit_access.template_limits lists the
-- privileges on each kind that a template may give, and who may define such a template. A privilege that has no row
-- there is refused, so new kinds of objects and privileges are refused as well. A privilege that PUBLIC already has is
-- always allowed. jit_access.refused_privileges() applies both views to the roles that a template reaches.
CREATE VIEW jit_access.template_limits (kind, privilege, defined_by, schema_change) AS
VALUES
    -- Data.
    ('table', 'SELECT', 'administrator', false),
    ('table', 'INSERT', 'administrator', false),
    ('table', 'UPDATE', 'administrator', false),
    ('table', 'DELETE', 'administrator', false),
    ('table', 'TRUNCATE', 'administrator', false),
    ('table', 'REFERENCES', 'administrator', false),
    ('table', 'MAINTAIN', 'administrator', false),
    ('table', 'TRIGGER', 'administrator', true),
    ('table', 'OWNER', 'administrator', true),
    ('sequence', 'SELECT', 'administrator', false),
    ('sequence', 'USAGE', 'administrator', false),
    ('sequence', 'UPDATE', 'administrator', false),
    ('sequence', 'OWNER', 'administrator', true),
    -- A view accesses its relations with the privileges of its owner, so these relations matter, for reading and
    -- writing.
    ('view of a system catalog', 'SELECT', 'administrator', false),
    ('view of a system catalog', 'OWNER', 'administrator', true),
    ('view of hidden system data', 'SELECT', 'superuser', false),
    ('view of hidden system data', 'OWNER', 'administrator', true),
    -- Code.
    ('function', 'EXECUTE', 'administrator', false),
    ('function', 'OWNER', 'administrator', true),
    ('function in an untrusted language', 'EXECUTE', 'superuser', false),
    ('aggregate over a function that PUBLIC may not call', 'EXECUTE', 'superuser', false),
    ('aggregate over a function that PUBLIC may not call', 'OWNER', 'administrator', true),
    ('SECURITY DEFINER function of a powerful role', 'EXECUTE', 'superuser', false),
    ('SECURITY DEFINER function of a powerful role', 'OWNER', 'superuser', true),
    ('type', 'USAGE', 'administrator', false),
    ('type', 'OWNER', 'administrator', true),
    ('language', 'USAGE', 'superuser', false),
    -- Schemas.
    ('schema', 'USAGE', 'administrator', false),
    ('schema', 'CREATE', 'administrator', true),
    ('schema', 'OWNER', 'administrator', true),
    ('schema that hides what only a superuser may give', 'USAGE', 'superuser', false),
    ('schema on the search_path of a superuser', 'USAGE', 'administrator', false),
    ('schema on the search_path of a superuser', 'CREATE', 'superuser', true),
    ('schema on the search_path of a superuser', 'OWNER', 'superuser', true),
    ('schema with objects of an extension', 'USAGE', 'administrator', false),
    ('schema with objects of an extension', 'CREATE', 'superuser', true),
    ('schema with objects of an extension', 'OWNER', 'superuser', true),
    ('database', 'CONNECT', 'administrator', false),
    ('database', 'TEMPORARY', 'administrator', false),
    ('database', 'CREATE', 'administrator', true),
    ('database', 'OWNER', 'superuser', true),
    ('other database', 'CONNECT', 'administrator', false),
    ('other database', 'TEMPORARY', 'administrator', false),
    ('other database', 'CREATE', 'superuser', true),
    ('other database', 'OWNER', 'superuser', true),
    ('object in another database', 'any', 'superuser', false),
    -- Extensions: privileges that their authors have not given to PUBLIC.
    ('relation of an extension', 'SELECT', 'superuser', false),
    ('relation of an extension', 'INSERT', 'superuser', false),
    ('relation of an extension', 'UPDATE', 'superuser', false),
    ('relation of an extension', 'DELETE', 'superuser', false),
    ('relation of an extension', 'TRUNCATE', 'superuser', false),
    ('relation of an extension', 'REFERENCES', 'superuser', false),
    ('relation of an extension', 'USAGE', 'superuser', false),
    ('relation of an extension', 'MAINTAIN', 'superuser', false),
    ('relation of an extension', 'OWNER', 'superuser', true),
    ('function of an extension', 'EXECUTE', 'superuser', false),
    ('function of an extension', 'OWNER', 'superuser', true),
    ('type of an extension', 'USAGE', 'superuser', false),
    ('type of an extension', 'OWNER', 'superuser', true),
    ('schema of an extension', 'USAGE', 'superuser', false),
    ('schema of an extension', 'OWNER', 'superuser', true),
    ('object of pg_extension', 'OWNER', 'superuser', true),
    ('relation of pg_cron', 'SELECT', 'superuser', false),
    ('schema of pg_cron', 'USAGE', 'superuser', false),
    -- Other servers, storage.
    ('foreign server', 'USAGE', 'superuser', false),
    ('foreign server', 'OWNER', 'superuser', true),
    ('foreign-data wrapper', 'USAGE', 'superuser', false),
    ('tablespace', 'CREATE', 'superuser', true),
    ('large object', 'SELECT', 'superuser', false),
    ('large object', 'UPDATE', 'superuser', false),
    ('large object', 'OWNER', 'superuser', true),
    -- Objects without an access list, which a role can only own.
    ('object of pg_operator', 'OWNER', 'administrator', true),
    ('object of pg_opclass', 'OWNER', 'administrator', true),
    ('object of pg_opfamily', 'OWNER', 'administrator', true),
    ('object of pg_collation', 'OWNER', 'administrator', true),
    ('object of pg_conversion', 'OWNER', 'administrator', true),
    ('object of pg_statistic_ext', 'OWNER', 'administrator', true),
    ('object of pg_ts_config', 'OWNER', 'administrator', true),
    ('object of pg_ts_dict', 'OWNER', 'administrator', true),
    ('object of pg_publication', 'OWNER', 'superuser', true),
    ('object of pg_user_mapping', 'OWNER', 'superuser', true),
    ('default privileges', 'OWNER', 'superuser', true),
    -- Memberships. Roles that users created are not listed: the privileges and memberships of these roles are checked.
    ('role pg_checkpoint', 'MEMBER', 'superuser', false),
    ('role pg_maintain', 'MEMBER', 'superuser', false),
    ('role pg_monitor', 'MEMBER', 'superuser', false),
    ('role pg_read_all_data', 'MEMBER', 'superuser', false),
    ('role pg_read_all_settings', 'MEMBER', 'superuser', false),
    ('role pg_read_all_stats', 'MEMBER', 'superuser', false),
    ('role pg_signal_autovacuum_worker', 'MEMBER', 'superuser', false),
    ('role pg_signal_backend', 'MEMBER', 'superuser', false),
    ('role pg_stat_scan_tables', 'MEMBER', 'superuser', false),
    ('role pg_use_reserved_connections', 'MEMBER', 'superuser', false);
COMMENT ON VIEW jit_access.template_limits IS
    'what a template may give: privileges on each kind of object, and who may define such a template; schema_change = only '
    'with allow_schema_change; everything else is refused, unless PUBLIC has it';

-- Roles that can do what a template may not give: those with attributes, predefined roles, the group roles of this
-- extension, and their members. Privileges from a grant do not count, because grants end.
CREATE VIEW jit_access.powerful_role AS
WITH RECURSIVE powerful (role) AS (
    SELECT a.oid
    FROM pg_catalog.pg_authid a
    WHERE a.rolsuper OR a.rolcreaterole OR a.rolcreatedb OR a.rolreplication OR a.rolbypassrls
       OR a.rolname ~ '^pg_' OR a.rolname IN ('jit_admin', 'jit_auditor', 'jit_marker')
    UNION
    SELECT m.member
    FROM powerful p
    JOIN pg_catalog.pg_auth_members m ON m.roleid = p.role
    JOIN pg_catalog.pg_authid g ON g.oid = m.member AND g.rolname !~ '^jit_(grant|gate|login)_'
)
SELECT p.role FROM powerful p;
COMMENT ON VIEW jit_access.powerful_role IS 'roles whose functions only a superuser may put into a template';

-- Names of schemas on the search_path that is configured for a superuser: in the configuration files, for a database or
-- all roles, and for a superuser. "$user" is on the default path, so the names of superusers are listed. The schema
-- public is on the default path as well, but it is not listed: it is refused only if extensions have objects in it.
CREATE VIEW jit_access.superuser_path AS
SELECT DISTINCT CASE WHEN s.name LIKE '"%' THEN pg_catalog.replace(pg_catalog.substr(s.name, 2, pg_catalog.length(s.name) - 2), '""', '"')
                     ELSE pg_catalog.lower(s.name) END AS name
FROM (
    SELECT f.setting
    FROM pg_catalog.pg_show_all_file_settings() f
    WHERE f.name = 'search_path'
    UNION ALL
    SELECT pg_catalog.substr(c.value, pg_catalog.length('search_path=') + 1)
    FROM pg_catalog.pg_db_role_setting d
    LEFT JOIN pg_catalog.pg_authid a ON a.oid = d.setrole,
         pg_catalog.unnest(d.setconfig) c (value)
    WHERE c.value LIKE 'search_path=%' AND (d.setrole = 0 OR a.rolsuper)) p (path),
    pg_catalog.regexp_matches(p.path, '"(?:[^"]|"")*"|[^",\s]+', 'g') m (found),
    pg_catalog.unnest(m.found) s (name)
UNION
SELECT a.rolname
FROM pg_catalog.pg_authid a
WHERE a.rolsuper;
COMMENT ON VIEW jit_access.superuser_path IS
    'schemas on a search_path that is configured for a superuser, and the names of superusers (for "$user")';

-- Every object of this database that has an access list, and the shared ones, by kind. in_public_schema: PUBLIC may use
-- the schema of the object, so that everybody can use the privileges of PUBLIC on the object. is_hiding: a schema that
-- PUBLIC may not use, with objects that PUBLIC may use and that only a superuser may put into a template.
CREATE VIEW jit_access.reachable_object AS
WITH RECURSIVE member AS (
    SELECT d.classid, d.objid, e.extname
    FROM pg_catalog.pg_depend d
    JOIN pg_catalog.pg_extension e ON e.oid = d.refobjid
    WHERE d.refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass AND d.deptype = 'e'
), schema AS (
    SELECT n.oid, n.nspname::text AS name, n.nspowner AS owner, n.nspacl AS acl,
           n.nspname = 'information_schema' OR n.nspname ~ '^pg_' AND n.nspname !~ '^pg_(toast_)?temp_' AS is_system,
           EXISTS (SELECT FROM pg_catalog.aclexplode(coalesce(n.nspacl, pg_catalog.acldefault('n', n.nspowner))) x
                   WHERE x.grantee = 0 AND x.privilege_type = 'USAGE') AS is_public
    FROM pg_catalog.pg_namespace n
), used_relation AS (
    -- The relations that views and rules use. pg_depend does not list system relations.
    SELECT DISTINCT r.ev_class AS view, m.found[1]::pg_catalog.oid AS relation
    FROM pg_catalog.pg_rewrite r
    JOIN pg_catalog.pg_class v ON v.oid = r.ev_class
    JOIN schema s ON s.oid = v.relnamespace,
         pg_catalog.regexp_matches(r.ev_action::text, ':relid ([1-9][0-9]*) ', 'g') m (found)
    WHERE NOT s.is_system AND s.name <> 'jit_access'
), hidden_view (relation, is_hidden) AS (
    -- Views and rules over system relations or relations of this extension, and views over such views. The owner of a
    -- view of the first kind must have the privileges that the view uses. Hidden: the view is over something that
    -- PUBLIC may not read.
    SELECT u.view,
           NOT s.is_system
           OR NOT EXISTS (SELECT FROM pg_catalog.aclexplode(c.relacl) x
                          WHERE x.grantee = 0 AND x.privilege_type = 'SELECT')
    FROM used_relation u
    JOIN pg_catalog.pg_class c ON c.oid = u.relation
    JOIN schema s ON s.oid = c.relnamespace
    JOIN pg_catalog.pg_class v ON v.oid = u.view
    WHERE (s.is_system OR s.name = 'jit_access')
      AND v.relowner IN (SELECT p.role FROM jit_access.powerful_role p)
    UNION
    SELECT u.view, h.is_hidden
    FROM hidden_view h
    JOIN used_relation u ON u.relation = h.relation
), relation AS (
    SELECT c.oid, c.relnamespace AS schema,
           coalesce(c.relacl, pg_catalog.acldefault(CASE c.relkind WHEN 'S' THEN 's'::"char" ELSE 'r' END, c.relowner)) AS acl,
           CASE WHEN s.name = 'jit_access' OR m.extname = 'jit_access' THEN 'object of jit_access'
                WHEN s.is_system THEN 'relation of the system'
                WHEN m.extname = 'pg_cron' THEN 'relation of pg_cron'
                WHEN m.extname IS NOT NULL THEN 'relation of an extension'
                WHEN v.is_hidden THEN 'view of hidden system data'
                -- A view that aggregates is not updatable. pg_relation_is_updatable() would know more, but it locks the
                -- view, so that whoever has locked it could keep approvals waiting.
                WHEN v.is_hidden IS FALSE
                     AND NOT EXISTS (SELECT FROM pg_catalog.pg_rewrite r
                                     WHERE r.ev_class = c.oid AND r.rulename = '_RETURN'
                                       AND r.ev_action::text ~ '^\(\{QUERY [^{(]*:has(Aggs|WindowFuncs|TargetSRFs) true')
                    THEN 'view of a system catalog'
                WHEN c.relkind IN ('r', 'p', 'v', 'm', 'f') THEN 'table'
                WHEN c.relkind = 'S' THEN 'sequence'
                ELSE 'relation of kind ' || c.relkind::text END AS kind
    FROM pg_catalog.pg_class c
    JOIN schema s ON s.oid = c.relnamespace
    LEFT JOIN member m ON m.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND m.objid = c.oid
    LEFT JOIN (SELECT h.relation, bool_or(h.is_hidden) AS is_hidden
               FROM hidden_view h
               GROUP BY h.relation) v ON v.relation = c.oid
    WHERE c.relkind NOT IN ('i', 'I', 'c')
), aggregate AS (
    -- An aggregate calls its functions with the privileges of its owner.
    SELECT a.aggfnoid::pg_catalog.oid AS function
    FROM pg_catalog.pg_aggregate a,
         LATERAL (VALUES (a.aggtransfn), (a.aggfinalfn), (a.aggcombinefn), (a.aggserialfn), (a.aggdeserialfn), (a.aggmtransfn),
                         (a.aggminvtransfn), (a.aggmfinalfn)) f (function)
    JOIN pg_catalog.pg_proc p ON p.oid = f.function
    WHERE NOT EXISTS (SELECT FROM pg_catalog.aclexplode(coalesce(p.proacl, pg_catalog.acldefault('f', p.proowner))) x
                      WHERE x.grantee = 0)
), function AS (
    SELECT p.oid, p.pronamespace AS schema,
           coalesce(p.proacl, pg_catalog.acldefault('f', p.proowner)) AS acl,
           CASE WHEN s.name = 'jit_access' OR m.extname = 'jit_access' THEN 'object of jit_access'
                WHEN s.is_system THEN 'function of the system'
                WHEN m.extname = 'pg_cron' THEN 'function of pg_cron'
                WHEN m.extname IS NOT NULL THEN 'function of an extension'
                WHEN p.prokind = 'a' AND p.oid IN (SELECT a.function FROM aggregate a)
                    THEN 'aggregate over a function that PUBLIC may not call'
                WHEN p.prokind <> 'a' AND NOT l.lanpltrusted THEN 'function in an untrusted language'
                WHEN p.prosecdef AND p.proowner IN (SELECT r.role FROM jit_access.powerful_role r)
                    THEN 'SECURITY DEFINER function of a powerful role'
                ELSE 'function' END AS kind,
           -- The server calls such a function only as a trigger.
           p.prorettype IN ('pg_catalog.trigger'::pg_catalog.regtype, 'pg_catalog.event_trigger'::pg_catalog.regtype) AS is_trigger
    FROM pg_catalog.pg_proc p
    JOIN schema s ON s.oid = p.pronamespace
    JOIN pg_catalog.pg_language l ON l.oid = p.prolang
    LEFT JOIN member m ON m.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass AND m.objid = p.oid
), hiding_schema AS (
    -- With USAGE on the schema, the privileges of PUBLIC on the objects in it can be used.
    SELECT f.schema
    FROM function f
    JOIN schema s ON s.oid = f.schema AND NOT s.is_public
    WHERE f.kind <> 'function' AND NOT f.is_trigger
      AND EXISTS (SELECT FROM pg_catalog.aclexplode(f.acl) x WHERE x.grantee = 0)
    UNION
    SELECT r.schema
    FROM relation r
    JOIN schema s ON s.oid = r.schema AND NOT s.is_public
    WHERE r.kind NOT IN ('table', 'sequence')
      AND EXISTS (SELECT FROM pg_catalog.aclexplode(r.acl) x WHERE x.grantee = 0)
)
SELECT 'pg_catalog.pg_class'::pg_catalog.regclass::pg_catalog.oid AS classid, r.oid AS objid, r.kind, r.acl, s.is_public AS in_public_schema,
       false AS is_hiding
FROM relation r
JOIN schema s ON s.oid = r.schema
UNION ALL
SELECT 'pg_catalog.pg_proc'::pg_catalog.regclass, f.oid, f.kind, f.acl, s.is_public, false
FROM function f
JOIN schema s ON s.oid = f.schema
UNION ALL
SELECT 'pg_catalog.pg_namespace'::pg_catalog.regclass, s.oid,
       CASE WHEN s.name = 'jit_access' THEN 'object of jit_access'
            WHEN s.is_system THEN 'schema of the system'
            WHEN m.extname = 'pg_cron' THEN 'schema of pg_cron'
            WHEN m.extname IS NOT NULL THEN 'schema of an extension'
            WHEN s.name <> 'public' AND s.name IN (SELECT p.name FROM jit_access.superuser_path p)
                THEN 'schema on the search_path of a superuser'
            WHEN EXISTS (SELECT
                         FROM pg_catalog.pg_depend d
                         JOIN member e ON e.classid = d.classid AND e.objid = d.objid
                         WHERE d.refclassid = 'pg_catalog.pg_namespace'::pg_catalog.regclass AND d.refobjid = s.oid)
                THEN 'schema with objects of an extension'
            ELSE 'schema' END,
       coalesce(s.acl, pg_catalog.acldefault('n', s.owner)), true,
       s.oid IN (SELECT h.schema FROM hiding_schema h)
FROM schema s
LEFT JOIN member m ON m.classid = 'pg_catalog.pg_namespace'::pg_catalog.regclass AND m.objid = s.oid
UNION ALL
SELECT 'pg_catalog.pg_type'::pg_catalog.regclass, t.oid,
       CASE WHEN s.name = 'jit_access' OR m.extname = 'jit_access' THEN 'object of jit_access'
            WHEN s.is_system THEN 'type of the system'
            WHEN m.extname IS NOT NULL THEN 'type of an extension'
            ELSE 'type' END,
       coalesce(t.typacl, pg_catalog.acldefault('T', t.typowner)), s.is_public, false
FROM pg_catalog.pg_type t
JOIN schema s ON s.oid = t.typnamespace
LEFT JOIN member m ON m.classid = 'pg_catalog.pg_type'::pg_catalog.regclass AND m.objid = t.oid
UNION ALL
SELECT 'pg_catalog.pg_database'::pg_catalog.regclass, d.oid,
       CASE WHEN d.datname = pg_catalog.current_database() THEN 'database' ELSE 'other database' END,
       coalesce(d.datacl, pg_catalog.acldefault('d', d.datdba)), true, false
FROM pg_catalog.pg_database d
UNION ALL
SELECT 'pg_catalog.pg_language'::pg_catalog.regclass, l.oid, 'language',
       coalesce(l.lanacl, pg_catalog.acldefault('l', l.lanowner)), true, false
FROM pg_catalog.pg_language l
UNION ALL
SELECT 'pg_catalog.pg_foreign_server'::pg_catalog.regclass, f.oid, 'foreign server',
       coalesce(f.srvacl, pg_catalog.acldefault('S', f.srvowner)), true, false
FROM pg_catalog.pg_foreign_server f
UNION ALL
SELECT 'pg_catalog.pg_foreign_data_wrapper'::pg_catalog.regclass, f.oid, 'foreign-data wrapper',
       coalesce(f.fdwacl, pg_catalog.acldefault('F', f.fdwowner)), true, false
FROM pg_catalog.pg_foreign_data_wrapper f
UNION ALL
SELECT 'pg_catalog.pg_tablespace'::pg_catalog.regclass, t.oid, 'tablespace',
       coalesce(t.spcacl, pg_catalog.acldefault('t', t.spcowner)), true, false
FROM pg_catalog.pg_tablespace t
UNION ALL
SELECT 'pg_catalog.pg_largeobject'::pg_catalog.regclass, l.oid, 'large object',
       coalesce(l.lomacl, pg_catalog.acldefault('L', l.lomowner)), true, false
FROM pg_catalog.pg_largeobject_metadata l
UNION ALL
SELECT 'pg_catalog.pg_parameter_acl'::pg_catalog.regclass, p.oid, 'parameter of the server', p.paracl, true, false
FROM pg_catalog.pg_parameter_acl p;
COMMENT ON VIEW jit_access.reachable_object IS 'objects with an access list, by the kind that jit_access.template_limits uses';

-- A default privilege, for example on tables, is treated like an entry in the access list of a table.
CREATE VIEW jit_access.default_entry AS
SELECT d.oid AS objid, x.grantee, x.privilege_type, x.is_grantable,
       CASE d.defaclobjtype WHEN 'r' THEN 'table' WHEN 'S' THEN 'sequence' WHEN 'f' THEN 'function' WHEN 'T' THEN 'type'
                            WHEN 'n' THEN 'schema' WHEN 'L' THEN 'large object'
                            ELSE 'default privileges of kind ' || d.defaclobjtype::text END AS kind
FROM pg_catalog.pg_default_acl d, pg_catalog.aclexplode(d.defaclacl) x;
COMMENT ON VIEW jit_access.default_entry IS 'entries of default privileges, by the kind that jit_access.template_limits uses';

-- The privileges and objects of the roles that a template may not give. by_superuser and needs_schema_change say what
-- would allow them: a definition by a superuser, allow_schema_change, or nothing (NULL). defining: the template is
-- being defined, not activated.
--
-- pg_shdepend finds the objects whose access lists name a role, so that not every catalog is searched. It has no
-- entries for predefined roles, so the catalogs are searched for these, except for privileges that initdb or an
-- extension gave them. The planner underestimates the size of a template, so nested loops are disabled.
CREATE FUNCTION jit_access.refused_privileges(roles oid[], defining boolean)
RETURNS TABLE (privilege text, object text, kind text, grantable boolean, by_superuser boolean, needs_schema_change boolean,
               classid oid, objid oid, objsubid integer)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp SET jit = off SET enable_nestloop = off
BEGIN ATOMIC
WITH named AS MATERIALIZED (
    SELECT d.dbid, d.classid, d.objid, d.objsubid, d.refobjid AS role, d.deptype
    FROM pg_catalog.pg_shdepend d
    WHERE d.refclassid = 'pg_catalog.pg_authid'::pg_catalog.regclass AND d.refobjid = ANY (roles)
), object AS MATERIALIZED (
    SELECT * FROM jit_access.reachable_object
), pinned (role) AS (
    SELECT r.role FROM pg_catalog.unnest(roles) r (role) WHERE r.role < 16384
), held (classid, objid, objsubid, privilege, grantable) AS (
    SELECT o.classid, o.objid, 0, x.privilege_type, x.is_grantable
    FROM named n
    JOIN object o ON o.classid = n.classid AND o.objid = n.objid,
         pg_catalog.aclexplode(o.acl) x
    WHERE n.deptype = 'a' AND x.grantee = n.role
    UNION
    -- An object of a class that jit_access.reachable_object does not know.
    SELECT n.classid, n.objid, 0, 'any', false
    FROM named n
    LEFT JOIN object o ON o.classid = n.classid AND o.objid = n.objid
    WHERE n.deptype = 'a' AND o.objid IS NULL AND n.classid <> 'pg_catalog.pg_default_acl'::pg_catalog.regclass
      AND (n.dbid = 0 OR n.dbid = (SELECT d.oid FROM pg_catalog.pg_database d WHERE d.datname = pg_catalog.current_database()))
    UNION
    -- For a privilege on a column, pg_shdepend names only the relation.
    SELECT n.classid, n.objid, a.attnum, x.privilege_type, x.is_grantable
    FROM named n
    JOIN pg_catalog.pg_attribute a ON a.attrelid = n.objid AND a.attacl IS NOT NULL,
         pg_catalog.aclexplode(a.attacl) x
    WHERE n.deptype = 'a' AND n.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND x.grantee = n.role
    UNION
    SELECT o.classid, o.objid, 0, x.privilege_type, x.is_grantable
    FROM pinned p, object o, pg_catalog.aclexplode(o.acl) x
    WHERE x.grantee = p.role
      AND NOT EXISTS (SELECT
                      FROM pg_catalog.pg_init_privs i, pg_catalog.aclexplode(i.initprivs) y
                      WHERE i.classoid = o.classid AND i.objoid = o.objid AND i.objsubid = 0 AND y.grantee = p.role
                        AND y.privilege_type = x.privilege_type AND y.is_grantable >= x.is_grantable)
    UNION
    SELECT 'pg_catalog.pg_class'::pg_catalog.regclass, a.attrelid, a.attnum, x.privilege_type, x.is_grantable
    FROM pinned p, pg_catalog.pg_attribute a, pg_catalog.aclexplode(a.attacl) x
    WHERE x.grantee = p.role
    UNION
    SELECT n.classid, n.objid, 0, 'OWNER', false
    FROM named n
    WHERE n.deptype = 'o'
      AND (n.dbid = 0 OR n.dbid = (SELECT d.oid FROM pg_catalog.pg_database d WHERE d.datname = pg_catalog.current_database()))
), judged AS (
    SELECT h.privilege, h.classid, h.objid, h.objsubid, NULL::text AS object,
           CASE WHEN o.is_hiding AND h.privilege = 'USAGE' AND defining THEN 'schema that hides what only a superuser may give'
                ELSE coalesce(o.kind, 'object of ' || h.classid::pg_catalog.regclass::text) END AS kind,
           h.grantable,
           h.privilege <> 'OWNER' AND o.in_public_schema AND o.kind <> 'function of pg_cron'
           AND (EXISTS (SELECT FROM pg_catalog.aclexplode(o.acl) x
                        WHERE x.grantee = 0 AND x.privilege_type = h.privilege)
                OR EXISTS (SELECT FROM pg_catalog.pg_attribute a, pg_catalog.aclexplode(a.attacl) x
                           WHERE h.objsubid <> 0 AND a.attrelid = h.objid AND a.attnum = h.objsubid
                             AND x.grantee = 0 AND x.privilege_type = h.privilege)) AS is_public
    FROM held h
    LEFT JOIN object o ON o.classid = h.classid AND o.objid = h.objid
    WHERE h.classid <> 'pg_catalog.pg_default_acl'::pg_catalog.regclass
    UNION ALL
    SELECT d.privilege_type, 0, 0, 0, 'default privileges', d.kind, d.is_grantable, false
    FROM jit_access.default_entry d
    WHERE d.grantee = ANY (roles)
    UNION ALL
    SELECT 'OWNER', 0, 0, 0, 'default privileges', 'default privileges', false, false
    FROM held h
    WHERE h.classid = 'pg_catalog.pg_default_acl'::pg_catalog.regclass AND h.privilege = 'OWNER'
    UNION ALL
    SELECT 'any', 0, 0, 0, coalesce(d.datname::text, n.dbid::text), 'object in another database', false, false
    FROM (SELECT DISTINCT m.dbid FROM named m WHERE m.dbid <> 0) n
    LEFT JOIN pg_catalog.pg_database d ON d.oid = n.dbid
    WHERE d.datname IS DISTINCT FROM pg_catalog.current_database()
    UNION ALL
    SELECT 'MEMBER', 0, 0, 0, a.rolname::text, 'role ' || a.rolname, false, false
    FROM pinned p
    JOIN pg_catalog.pg_authid a ON a.oid = p.role
)
SELECT j.privilege, CASE WHEN j.object IS NOT NULL THEN j.object
                         ELSE (SELECT i.identity FROM pg_catalog.pg_identify_object(j.classid, j.objid, 0) i) END,
       j.kind, j.grantable, j.by_superuser, j.needs_schema_change, j.classid, j.objid, j.objsubid
FROM (
    SELECT j.*, l.defined_by = 'superuser' AS by_superuser, l.schema_change AS needs_schema_change
    FROM judged j
    LEFT JOIN jit_access.template_limits l
        ON l.kind = j.kind AND l.privilege = j.privilege
    WHERE j.grantable
       OR (l.kind IS NULL OR l.defined_by = 'superuser' OR l.schema_change) AND NOT coalesce(j.is_public, false)
    OFFSET 0) j
ORDER BY j.grantable DESC, j.by_superuser DESC NULLS FIRST, 3, 2, 1;
END;
REVOKE ALL ON FUNCTION jit_access.refused_privileges(oid[], boolean) FROM PUBLIC;
COMMENT ON FUNCTION jit_access.refused_privileges(oid[], boolean) IS
    'privileges of the roles that not every template may give, and those held with the grant option; by_superuser and '
    'needs_schema_change say which templates may give a privilege, and are NULL if none may';
