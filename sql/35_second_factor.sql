-- Second factors: authenticators and recovery codes.
--
-- The worker writes used codes back to these tables. Counters of wrong codes are only in shared memory, where a rollback
-- does not undo them.
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
    'authenticators of logins: secrets sealed with the key in jit_access.second_factor_key_file and bound to the login';
COMMENT ON COLUMN jit_access.second_factor.pending IS 'enrolled secret that is valid once a first code confirms it';
COMMENT ON COLUMN jit_access.second_factor.last_step IS
    'time step of the last used code, in units of 30 seconds since 1970; codes up to this step are refused';

CREATE TABLE jit_access.recovery_code (
    login   oid NOT NULL REFERENCES jit_access.second_factor ON DELETE CASCADE,
    digest  bytea NOT NULL,
    used_at timestamptz,
    PRIMARY KEY (login, digest)
);
COMMENT ON TABLE jit_access.recovery_code IS
    'MACs of recovery codes under the key in jit_access.second_factor_key_file; each code can be used once';

CREATE FUNCTION pg_catalog.jit_enroll_totp(OUT uri text, OUT qr text)
    LANGUAGE c SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'jit_enroll_totp';
COMMENT ON FUNCTION pg_catalog.jit_enroll_totp IS
    'generates an authenticator secret for the session user; returns its otpauth URI and the URI as a QR code, shown '
    'once. The secret is valid after jit_confirm_totp. Errors: JA005, JA009, JA018, JA020, JA021.';

CREATE FUNCTION pg_catalog.jit_confirm_totp(code text) RETURNS text[]
    LANGUAGE c SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'jit_confirm_totp';
COMMENT ON FUNCTION pg_catalog.jit_confirm_totp IS
    'confirms an enrolled secret with the first code of the authenticator; returns ten recovery codes, shown once. '
    'Errors: JA001, JA005, JA018, JA020, JA021.';

CREATE FUNCTION pg_catalog.jit_step_up(code text) RETURNS timestamptz
    LANGUAGE c SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'jit_step_up';
COMMENT ON FUNCTION pg_catalog.jit_step_up IS
    'presents a one-time code or recovery code; the second factor is then valid for the session until the returned '
    'time. Pass the code as a bind parameter. Errors: JA001, JA012, JA013, JA018, JA020, JA021.';

CREATE FUNCTION pg_catalog.jit_reset_totp(login text) RETURNS void
    LANGUAGE c SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'jit_reset_totp';
COMMENT ON FUNCTION pg_catalog.jit_reset_totp IS
    'removes the second factor of a login, with its recovery codes and its count of wrong codes. For administrators; '
    'an administrator who has a second factor must have stepped up. Errors: JA001, JA004, JA018, JA019.';

CREATE FUNCTION jit_access.locked_until(login oid) RETURNS timestamptz
    LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'jit_locked_until';
REVOKE ALL ON FUNCTION jit_access.locked_until(oid) FROM PUBLIC;
COMMENT ON FUNCTION jit_access.locked_until(oid) IS
    'time until which codes of a login are refused after too many wrong ones; NULL = not locked';
