-- The beginning of every test: quiet output, and helpers in schema tap that work in any session, also under a grant.
\set QUIET 1
\pset format unaligned
\pset tuples_only on
\pset pager off
\set VERBOSITY sqlstate
SET client_min_messages = warning;
SELECT current_user AS owner \gset
ALTER DATABASE :"DBNAME" SET client_min_messages = warning;

CREATE SCHEMA IF NOT EXISTS tap;
GRANT USAGE ON SCHEMA tap TO PUBLIC;

-- Once per connection. pgTAP creates its tables here, because a session that uses a grant may not grant anything on them.
CREATE OR REPLACE PROCEDURE tap.start() LANGUAGE plpgsql SECURITY DEFINER SET search_path = public AS $$
BEGIN
    PERFORM * FROM no_plan();
END
$$;

-- The error of a statement: code, message and detail of the extension's own errors, the code alone of the server's. The
-- statement leaves nothing behind, even when it succeeds.
CREATE OR REPLACE FUNCTION tap.error(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    code text;
    message text;
    detail text;
BEGIN
    EXECUTE statement;
    RAISE EXCEPTION 'no error' USING ERRCODE = 'TAP00';
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS code = RETURNED_SQLSTATE, message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL;
    RETURN CASE WHEN code = 'TAP00' THEN 'no error'
                WHEN code LIKE 'JA%' THEN concat_ws(': ', code || ' ' || message, nullif(detail, ''))
                ELSE code END;
END
$$;

CREATE OR REPLACE FUNCTION tap.refused(statement text, error text, description text) RETURNS text LANGUAGE sql AS $$
    SELECT public.is(tap.error(statement), error, description)
$$;

-- Everything that a refused call could have changed: the extension's tables, roles, memberships, access lists.
CREATE OR REPLACE FUNCTION tap.state() RETURNS text LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog AS $$
    SELECT md5(concat_ws('|',
        (SELECT string_agg(t::text, ',' ORDER BY id) FROM jit_access.template t),
        (SELECT string_agg(p::text, ',' ORDER BY p::text) FROM jit_access.template_person p),
        (SELECT string_agg(r::text, ',' ORDER BY id) FROM jit_access.request r),
        (SELECT string_agg(d::text, ',' ORDER BY d::text) FROM jit_access.decision d),
        (SELECT string_agg(u::text, ',' ORDER BY name) FROM jit_access.rule u),
        (SELECT string_agg(p::text, ',' ORDER BY login) FROM jit_access.person p),
        (SELECT string_agg(w::text, ',' ORDER BY name) FROM jit_access.time_window w),
        (SELECT string_agg(v::text, ',' ORDER BY request_id) FROM jit_access.review v),
        (SELECT string_agg(concat_ws(' ', id, rule, state), ',' ORDER BY id) FROM jit_access.alert WHERE rule LIKE 'break_glass%'),
        (SELECT string_agg(a::text, ',' ORDER BY oid) FROM pg_authid a),
        (SELECT string_agg(m::text, ',' ORDER BY m::text) FROM pg_auth_members m),
        (SELECT string_agg(relacl::text, ',' ORDER BY oid) FROM pg_class WHERE relnamespace = to_regnamespace('app')),
        (SELECT string_agg(nspacl::text, ',' ORDER BY oid) FROM pg_namespace WHERE nspname !~ '^pg_')))
$$;

-- Polls a condition until it holds; fails after 30 seconds.
CREATE OR REPLACE PROCEDURE tap.wait_until(condition text) LANGUAGE plpgsql AS $$
DECLARE
    give_up timestamptz := clock_timestamp() + interval '30 seconds';
    holds boolean;
BEGIN
    LOOP
        PERFORM pg_stat_clear_snapshot();
        EXECUTE 'SELECT (' || condition || ')' INTO holds;
        EXIT WHEN holds;
        IF clock_timestamp() > give_up THEN
            RAISE EXCEPTION 'waited in vain for %', condition;
        END IF;
        PERFORM pg_sleep(0.01);
    END LOOP;
END
$$;

-- Waits until the temporary roles of ended grants are removed.
CREATE OR REPLACE PROCEDURE tap.wait_for_cleanup() LANGUAGE sql AS $$
    CALL tap.wait_until('SELECT NOT EXISTS (SELECT FROM jit_access.active_grants WHERE cleanup = ''due'')')
$$;

-- Waits until the alert rules have read the whole record, and their findings are on it.
CREATE OR REPLACE PROCEDURE tap.wait_for_alerts() LANGUAGE sql AS $$
    CALL tap.wait_until('SELECT w.seq = (SELECT max(seq) FROM jit_access.record) AND events_waiting = 0 AND journal_unread_bytes = 0
                         FROM jit_access.detection_position w, jit_access.health')
$$;

-- Waits until everything that has happened so far is on the record.
CREATE OR REPLACE PROCEDURE tap.wait_for_record() LANGUAGE sql AS $$
    CALL tap.wait_until('SELECT events_waiting = 0 AND journal_unread_bytes = 0 FROM jit_access.health')
$$;

CALL tap.start();
