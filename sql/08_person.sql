-- Persons: which logins belong to the same person. Separation of duties and caps count persons, not logins.
CREATE TABLE jit_access.person (
    login      oid PRIMARY KEY,
    login_name text NOT NULL,
    name       text NOT NULL
);
CREATE INDEX person_by_name ON jit_access.person (name);
COMMENT ON TABLE jit_access.person IS
    'logins declared to belong to one person, who counts once, whichever login is used; an undeclared login is a '
    'separate person';

CREATE FUNCTION pg_catalog.jit_set_person(name text, logins text[])
RETURNS void LANGUAGE c SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'jit_set_person';
COMMENT ON FUNCTION pg_catalog.jit_set_person IS
    'declares the logins of one person, and replaces those declared before; an empty list removes the person. For '
    'administrators. Errors: JA001, JA004, JA018.';
