CREATE TABLE jit_access.person (
    login      oid PRIMARY KEY,
    login_name text NOT NULL,
    name       text NOT NULL
);
CREATE INDEX person_by_name ON jit_access.person (name);
COMMENT ON TABLE jit_access.person IS 'logins that belong to one person, who counts once whichever he uses; a login that is not here is a person of its own';

CREATE FUNCTION pg_catalog.jit_set_person(name text, logins text[])
RETURNS void LANGUAGE c SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'jit_set_person';
COMMENT ON FUNCTION pg_catalog.jit_set_person IS
    'declares which logins are one person, in place of those declared before; an empty list forgets him. Administrators. Errors: JA001, JA004, JA018.';
