\echo Use "CREATE EXTENSION jit_access" to load this file. \quit

-- The schema is created plainly: had somebody made it beforehand, he would own it, and this fails.
CREATE SCHEMA jit_access;
REVOKE ALL ON SCHEMA jit_access FROM PUBLIC;
GRANT USAGE ON SCHEMA jit_access TO PUBLIC;
COMMENT ON SCHEMA jit_access IS 'just-in-time access: tables, types and views; the jit_* functions live in pg_catalog so that no search_path hides them';

CREATE FUNCTION jit_access.check_installation() RETURNS void
    LANGUAGE c AS 'MODULE_PATHNAME', 'jit_check_installation';
REVOKE ALL ON FUNCTION jit_access.check_installation() FROM PUBLIC;
COMMENT ON FUNCTION jit_access.check_installation() IS
    'refuses to install where it could not work: library not preloaded, wrong database, group roles that somebody prepared';
SELECT jit_access.check_installation();

CREATE TYPE jit_access.state AS ENUM
    ('pending', 'denied', 'cancelled', 'lapsed', 'scheduled', 'active', 'suspended', 'ended', 'revoked');
COMMENT ON TYPE jit_access.state IS 'life cycle of a request and of the grant that comes of it; see docs/ARCHITECTURE.md';

CREATE TYPE jit_access.mode AS ENUM ('inherit', 'set_role', 'login');
COMMENT ON TYPE jit_access.mode IS
    'how a grant is used: inherit = the sessions of the requester have the privileges; set_role = only after SET ROLE jit_grant_<id>; login = by the temporary login jit_login_<id>, whose password jit_credentials tells';

CREATE TYPE jit_access.at_deadline AS ENUM ('terminate', 'cancel', 'grace');
COMMENT ON TYPE jit_access.at_deadline IS
    'what becomes of a session that has used a grant when it ends: terminate = it is ended; cancel = its transaction ends, its cursors, role and temporary tables go, and it goes on with its own privileges; grace = what runs may go on for an interval, nothing new starts, then it is ended';

CREATE TYPE jit_access.cleanup AS ENUM ('none', 'due', 'done');
COMMENT ON TYPE jit_access.cleanup IS
    'removal of the temporary role of a grant: none = not needed yet, due = access is already refused and the catalogs still have to follow, done';
