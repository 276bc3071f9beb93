-- Templates: their tables, the functions that define them, and the event trigger that covers tables created later.
--
-- Roles and databases are stored by OID, together with the name by which they were specified. The OID is authoritative;
-- the name is for display, and after a rename it shows what the administrator meant.
CREATE TABLE jit_access.template (
    id                   bigint PRIMARY KEY DEFAULT jit_access.next_id('template'),
    name                 text NOT NULL,
    version              integer NOT NULL DEFAULT 1,
    description          text,
    role                 oid NOT NULL,
    role_name            text NOT NULL,
    role_created         boolean NOT NULL,
    mode                 jit_access.mode NOT NULL,
    allow_schema_change  boolean NOT NULL,
    privileges           text[] NOT NULL,
    schemas              oid[] NOT NULL,
    approvals_needed     integer NOT NULL CHECK (approvals_needed >= 1),
    distinct_groups      boolean NOT NULL,
    default_duration     interval,
    max_duration         interval NOT NULL,
    total_duration       interval,
    holder_extension     interval,
    time_to_decide       interval NOT NULL,
    time_to_use          interval,
    cool_down            interval,
    person_at_once       integer NOT NULL,
    person_per_day       integer NOT NULL,
    template_at_once     integer NOT NULL,
    template_per_day     integer NOT NULL,
    login_connections    integer NOT NULL,
    risk                 text NOT NULL CHECK (risk IN ('low', 'medium', 'high')),
    reason_required      boolean NOT NULL,
    ticket_required      boolean NOT NULL,
    at_deadline          jit_access.at_deadline NOT NULL,
    windows              text[] NOT NULL,
    networks             text[] NOT NULL,
    tls_required         boolean NOT NULL,
    client_cert_required boolean NOT NULL,
    auth_methods         text[] NOT NULL,
    databases            text[] NOT NULL,
    database_oids        oid[] NOT NULL,
    grace_period         interval CHECK ((grace_period IS NOT NULL) = (at_deadline = 'grace')),
    break_glass_duration interval,
    break_glass_per_day  integer NOT NULL,
    object_owner         oid,
    object_owner_name    text,
    allow_code           boolean NOT NULL,
    second_factor        text[] NOT NULL,
    defined_by_superuser boolean NOT NULL,
    superuser_only       text[] NOT NULL,
    standing_members     oid[] NOT NULL,
    created_at           timestamptz NOT NULL,
    created_by           text NOT NULL,
    dropped_at           timestamptz
);
CREATE UNIQUE INDEX template_name_key ON jit_access.template (name) WHERE dropped_at IS NULL;
COMMENT ON TABLE jit_access.template IS
    'templates: a role that holds the privileges, and the policy for requests; dropped templates are kept for the '
    'history';
COMMENT ON COLUMN jit_access.template.version IS
    'incremented by every change; a request made under an older version cannot be approved';
COMMENT ON COLUMN jit_access.template.role_created IS
    'whether jit_create_template created the role; false = the role already existed and was adopted';
COMMENT ON COLUMN jit_access.template.schemas IS
    'schemas named by ALL TABLES IN SCHEMA: tables created there later are covered as well';
COMMENT ON COLUMN jit_access.template.person_at_once IS
    'cap on live grants of one person; 0 = no cap, as for the next three columns';
COMMENT ON COLUMN jit_access.template.second_factor IS
    'steps for which a second factor is required: request, approval, activation, first_use';
COMMENT ON COLUMN jit_access.template.database_oids IS
    'OIDs of databases when the template was defined: a new database with the same name does not match';
COMMENT ON COLUMN jit_access.template.defined_by_superuser IS
    'a superuser has set the privileges, and only superusers have changed the template since';
COMMENT ON COLUMN jit_access.template.superuser_only IS
    'privileges of the template that only a superuser may put into a template (jit_access.template_limits), as found '
    'when the template was defined';
COMMENT ON COLUMN jit_access.template.standing_members IS
    'members that an adopted role had when the template was defined';
COMMENT ON COLUMN jit_access.template.object_owner IS
    'role that receives objects created under a grant; NULL = the template''s role';

CREATE TABLE jit_access.template_person (
    template_id bigint NOT NULL REFERENCES jit_access.template,
    part        text NOT NULL CHECK (part IN ('requester', 'approver', 'responder')),
    role        oid NOT NULL,
    role_name   text NOT NULL,
    PRIMARY KEY (template_id, part, role)
);
COMMENT ON TABLE jit_access.template_person IS
    'roles whose members may request a template, approve requests for it, or break the glass; none by default';

-- A template's grants are counted for its caps. The count is correct only if no other session creates a grant at the
-- same time.
CREATE TABLE jit_access.template_cap_lock (
    template_id bigint PRIMARY KEY REFERENCES jit_access.template ON DELETE CASCADE,
    changes     bigint NOT NULL DEFAULT 0
);
COMMENT ON TABLE jit_access.template_cap_lock IS
    'one row per template; a transaction that creates a grant of a template with caps locks the row, so that there is '
    'only one such transaction at a time';

CREATE FUNCTION pg_catalog.jit_create_template(
    name text,
    privileges text[] DEFAULT '{}',
    requesters text[] DEFAULT '{}',
    approvers text[] DEFAULT '{}',
    max_duration interval DEFAULT '8 hours',
    default_duration interval DEFAULT NULL,
    mode text DEFAULT 'inherit',
    role text DEFAULT NULL,
    approvals_needed integer DEFAULT 1,
    holder_extension interval DEFAULT NULL,
    time_to_decide interval DEFAULT '1 day',
    reason_required boolean DEFAULT false,
    ticket_required boolean DEFAULT false,
    allow_schema_change boolean DEFAULT false,
    description text DEFAULT NULL,
    at_deadline text DEFAULT 'terminate',
    grace_period interval DEFAULT NULL,
    object_owner text DEFAULT NULL,
    allow_code boolean DEFAULT false,
    distinct_groups boolean DEFAULT false,
    total_duration interval DEFAULT NULL,
    time_to_use interval DEFAULT NULL,
    cool_down interval DEFAULT NULL,
    person_at_once integer DEFAULT 0,
    person_per_day integer DEFAULT 0,
    template_at_once integer DEFAULT 0,
    template_per_day integer DEFAULT 0,
    login_connections integer DEFAULT 1,
    risk text DEFAULT 'medium',
    windows text[] DEFAULT '{}',
    networks text[] DEFAULT '{}',
    tls_required boolean DEFAULT false,
    client_cert_required boolean DEFAULT false,
    auth_methods text[] DEFAULT '{}',
    databases text[] DEFAULT '{}',
    second_factor text[] DEFAULT '{}',
    responders text[] DEFAULT '{}',
    break_glass_duration interval DEFAULT NULL,
    break_glass_per_day integer DEFAULT 0)
RETURNS text LANGUAGE c SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'jit_create_template';
COMMENT ON FUNCTION pg_catalog.jit_create_template IS
    'defines a template; returns the role that holds its privileges. privileges: each item is what a GRANT command '
    'has between GRANT and TO. Durations are at least one second, without months. Caps: 0 = no cap. For '
    'administrators. Errors: JA001, JA004, JA007, JA008, JA018.';

CREATE FUNCTION pg_catalog.jit_alter_template(
    name text,
    privileges text[] DEFAULT NULL,
    requesters text[] DEFAULT NULL,
    approvers text[] DEFAULT NULL,
    max_duration interval DEFAULT NULL,
    default_duration interval DEFAULT NULL,
    approvals_needed integer DEFAULT NULL,
    holder_extension interval DEFAULT NULL,
    time_to_decide interval DEFAULT NULL,
    reason_required boolean DEFAULT NULL,
    ticket_required boolean DEFAULT NULL,
    description text DEFAULT NULL,
    at_deadline text DEFAULT NULL,
    grace_period interval DEFAULT NULL,
    object_owner text DEFAULT NULL,
    distinct_groups boolean DEFAULT NULL,
    total_duration interval DEFAULT NULL,
    time_to_use interval DEFAULT NULL,
    cool_down interval DEFAULT NULL,
    person_at_once integer DEFAULT NULL,
    person_per_day integer DEFAULT NULL,
    template_at_once integer DEFAULT NULL,
    template_per_day integer DEFAULT NULL,
    login_connections integer DEFAULT NULL,
    risk text DEFAULT NULL,
    windows text[] DEFAULT NULL,
    networks text[] DEFAULT NULL,
    tls_required boolean DEFAULT NULL,
    client_cert_required boolean DEFAULT NULL,
    auth_methods text[] DEFAULT NULL,
    databases text[] DEFAULT NULL,
    second_factor text[] DEFAULT NULL,
    responders text[] DEFAULT NULL,
    break_glass_duration interval DEFAULT NULL,
    break_glass_per_day integer DEFAULT NULL)
RETURNS integer LANGUAGE c SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'jit_alter_template';
COMMENT ON FUNCTION pg_catalog.jit_alter_template IS
    'changes a template; returns its new version. NULL keeps a setting, a zero interval removes an optional duration. '
    'Requests made under the old version can no longer be approved. Privileges cannot change while grants of the '
    'template are live. For administrators. Errors: JA001, JA002, JA004, JA008, JA015, JA018.';

CREATE FUNCTION pg_catalog.jit_drop_template(name text)
RETURNS void LANGUAGE c SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'jit_drop_template';
COMMENT ON FUNCTION pg_catalog.jit_drop_template IS
    'drops a template: open requests lapse, and its role is dropped if jit_create_template created it; the history '
    'is kept. Refused while grants of it are live or a break-glass grant has not been reviewed. For administrators. '
    'Errors: JA001, JA002, JA004, JA008, JA015, JA022.';

CREATE FUNCTION jit_access.cover_new_objects() RETURNS event_trigger
    LANGUAGE c SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'jit_cover_new_objects';
REVOKE ALL ON FUNCTION jit_access.cover_new_objects() FROM PUBLIC;
COMMENT ON FUNCTION jit_access.cover_new_objects() IS
    'event trigger: grants on each new table or view the privileges of the templates with ALL TABLES IN SCHEMA for its '
    'schema';
CREATE EVENT TRIGGER jit_access_cover_new_objects ON ddl_command_end
    WHEN TAG IN ('CREATE TABLE', 'CREATE TABLE AS', 'SELECT INTO', 'CREATE VIEW', 'CREATE MATERIALIZED VIEW',
                 'CREATE FOREIGN TABLE', 'IMPORT FOREIGN SCHEMA', 'CREATE SCHEMA', 'ALTER TABLE', 'ALTER VIEW',
                 'ALTER MATERIALIZED VIEW', 'ALTER FOREIGN TABLE')
    EXECUTE FUNCTION jit_access.cover_new_objects();
