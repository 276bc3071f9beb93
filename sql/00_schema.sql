\echo Use "CREATE EXTENSION jit_access" to load this file. \quit

-- The schema, the check that the extension can be installed here, and the types.

-- Without IF NOT EXISTS: a schema of this name that was created beforehand would keep its owner, who could then replace
-- objects in it.
CREATE SCHEMA jit_access;
REVOKE ALL ON SCHEMA jit_access FROM PUBLIC;
GRANT USAGE ON SCHEMA jit_access TO PUBLIC;
COMMENT ON SCHEMA jit_access IS
    'just-in-time access: tables, types and views; the jit_* functions are in pg_catalog, where no search_path hides them';

CREATE FUNCTION jit_access.check_installation() RETURNS void
    LANGUAGE c AS 'MODULE_PATHNAME', 'jit_check_installation';
REVOKE ALL ON FUNCTION jit_access.check_installation() FROM PUBLIC;
COMMENT ON FUNCTION jit_access.check_installation() IS
    'raises an error in CREATE EXTENSION if the extension could not work there: library not preloaded, wrong '
    'database, or group roles that already have members or attributes';
SELECT jit_access.check_installation();

CREATE TYPE jit_access.state AS ENUM
    ('pending', 'denied', 'cancelled', 'lapsed', 'scheduled', 'active', 'suspended', 'ended', 'revoked');
COMMENT ON TYPE jit_access.state IS
    'life cycle of a request and of the grant that results from it; see docs/ARCHITECTURE.md';

CREATE TYPE jit_access.mode AS ENUM ('inherit', 'set_role', 'login');
COMMENT ON TYPE jit_access.mode IS
    'how a grant is used: inherit = the requester''s sessions have the privileges; set_role = they have the '
    'privileges only after SET ROLE jit_grant_<id>; login = only sessions of the temporary login jit_login_<id> have '
    'them; jit_credentials returns its password';

CREATE TYPE jit_access.at_deadline AS ENUM ('terminate', 'cancel', 'grace');
COMMENT ON TYPE jit_access.at_deadline IS
    'effect of the deadline on a session that has used the grant: terminate = the session is terminated; cancel = its '
    'transaction ends, its cursors, role and temporary tables are removed, and it continues with its own privileges; '
    'grace = no new statement starts, running ones may finish within an interval, then the session is terminated';

CREATE TYPE jit_access.cleanup AS ENUM ('none', 'due', 'done');
COMMENT ON TYPE jit_access.cleanup IS
    'removal of a grant''s temporary role: none = not needed yet; due = access is already refused, but the role '
    'still has to be removed; done';

-- The default of every id, instead of a sequence: members of pg_write_all_data can set any sequence.
CREATE FUNCTION jit_access.next_id("table" text) RETURNS bigint
    LANGUAGE c STRICT SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'jit_next_id';
REVOKE ALL ON FUNCTION jit_access.next_id(text) FROM PUBLIC;
COMMENT ON FUNCTION jit_access.next_id(text) IS
    'returns a new id for a row of the given table of schema jit_access; no id is given twice in a cluster, not even '
    'after DROP EXTENSION';
