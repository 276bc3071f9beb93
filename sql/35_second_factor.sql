-- What the worker has written down of codes that were used, and what no table needs: how often somebody was wrong is in
-- shared memory, where no transaction undoes it.
CREATE TABLE jit_access.second_factor (
    login        oid PRIMARY KEY,
    login_name   text NOT NULL,
    secret       bytea,
    pending      bytea,
    enrolled_at  timestamptz NOT NULL,
    confirmed_at timestamptz,
    last_step    bigint NOT NULL DEFAULT 0,
    last_used    timestamptz
);
COMMENT ON TABLE jit_access.second_factor IS
    'authenticators: secrets sealed with the key of jit_access.second_factor_key_file and bound to the login';
COMMENT ON COLUMN jit_access.second_factor.pending IS 'enrolled, and counts from the first right code on';
COMMENT ON COLUMN jit_access.second_factor.last_step IS 'of the last code that was used, in 30 seconds since 1970: no code up to it counts';

CREATE TABLE jit_access.recovery_code (
    login   oid NOT NULL REFERENCES jit_access.second_factor ON DELETE CASCADE,
    digest  bytea NOT NULL,
    used_at timestamptz,
    PRIMARY KEY (login, digest)
);
COMMENT ON TABLE jit_access.recovery_code IS 'MACs of recovery codes, by the key of jit_access.second_factor_key_file; each counts once';

CREATE FUNCTION pg_catalog.jit_enroll_totp(OUT uri text, OUT qr text)
    LANGUAGE c SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'jit_enroll_totp';
COMMENT ON FUNCTION pg_catalog.jit_enroll_totp IS
    'makes a secret for an authenticator of the session user: its URI, and the same as a code to scan. It is shown once, and counts after jit_confirm_totp. Errors: JA005, JA018, JA020, JA021.';

CREATE FUNCTION pg_catalog.jit_confirm_totp(code text) RETURNS text[]
    LANGUAGE c SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'jit_confirm_totp';
COMMENT ON FUNCTION pg_catalog.jit_confirm_totp IS
    'the first code of the authenticator, from which on it counts; returns ten recovery codes, which are shown once. Errors: JA001, JA005, JA018, JA020, JA021.';

CREATE FUNCTION pg_catalog.jit_step_up(code text) RETURNS timestamptz
    LANGUAGE c SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'jit_step_up';
COMMENT ON FUNCTION pg_catalog.jit_step_up IS
    'shows the second factor, a one-time code or a recovery code, for what this session does until the time that is returned. Best as a bind parameter. Errors: JA001, JA012, JA013, JA018, JA020, JA021.';

CREATE FUNCTION pg_catalog.jit_reset_totp(login text) RETURNS void
    LANGUAGE c SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'jit_reset_totp';
COMMENT ON FUNCTION pg_catalog.jit_reset_totp IS
    'takes away the second factor of a login that has lost it, with its recovery codes and wrong attempts. Administrators; one who has a second factor himself needs it. Errors: JA001, JA004, JA018, JA019.';

CREATE FUNCTION jit_access.locked_until(login oid) RETURNS timestamptz
    LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'jit_locked_until';
REVOKE ALL ON FUNCTION jit_access.locked_until(oid) FROM PUBLIC;
COMMENT ON FUNCTION jit_access.locked_until(oid) IS 'until when no code of a login is accepted, after too many wrong ones; NULL: one would be';
