-- Privileges on everything above.
--
-- Tables can only be reached through the extension's functions and views: all privileges are revoked, and row security
-- without a policy stops members of pg_read_all_data and pg_write_all_data. Privileges given by the installer's default
-- privileges are revoked as well. On functions they would expose the journal; on the schema they would allow others to
-- create objects in it. ANALYZE would copy values of the columns into pg_statistic, which has no row security, so no
-- column has statistics (the TOAST tables are protected by the library).
DO $$
DECLARE
    given record;
    relation regclass;
BEGIN
    FOR given IN
        SELECT DISTINCT o.kind, o.name, a.grantee
        FROM (
            SELECT 'TABLE', oid::regclass::text, relacl, relowner
            FROM pg_class
            WHERE relnamespace = 'jit_access'::regnamespace AND relkind IN ('r', 'p', 'S', 'v')
            UNION ALL
            SELECT 'FUNCTION', oid::regprocedure::text, proacl, proowner
            FROM pg_proc
            WHERE pronamespace = 'jit_access'::regnamespace
               OR pronamespace = 'pg_catalog'::regnamespace AND proname LIKE 'jit\_%'
            UNION ALL
            SELECT 'TYPE', oid::regtype::text, typacl, typowner
            FROM pg_type
            WHERE typnamespace = 'jit_access'::regnamespace AND typtype = 'e'
            UNION ALL
            SELECT 'SCHEMA', nspname, nspacl, nspowner
            FROM pg_namespace
            WHERE nspname = 'jit_access') o (kind, name, acl, owner),
            aclexplode(o.acl) a
        WHERE a.grantee <> o.owner AND (a.grantee <> 0 OR o.kind = 'TABLE')
    LOOP
        EXECUTE format('REVOKE ALL ON %s %s FROM %s', given.kind, given.name,
                       CASE given.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(given.grantee)) END);
    END LOOP;
    FOR relation IN
        SELECT oid FROM pg_class WHERE relnamespace = 'jit_access'::regnamespace AND relkind IN ('r', 'p')
    LOOP
        EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', relation);
        EXECUTE format('ALTER TABLE %s FORCE ROW LEVEL SECURITY', relation);
        EXECUTE (
            SELECT format('ALTER TABLE %s %s', relation,
                          string_agg(format('ALTER COLUMN %I SET STATISTICS 0', attname), ', '))
            FROM pg_attribute
            WHERE attrelid = relation AND attnum > 0 AND NOT attisdropped);
    END LOOP;
END
$$;

-- Views for all users, which show users only their own rows.
GRANT SELECT ON jit_access.my_requests, jit_access.my_grants, jit_access.pending_requests, jit_access.reviews,
                jit_access.access_reviews, jit_access.access_review_items
TO PUBLIC;

-- Views for auditors and administrators.
GRANT SELECT ON jit_access.audit_log, jit_access.grant_history, jit_access.decisions, jit_access.grant_usage,
                jit_access.active_grants, jit_access.quarantine, jit_access.template_catalog, jit_access.rules,
                jit_access.people,
                jit_access.windows, jit_access.second_factors, jit_access.alerts, jit_access.health, jit_access.jobs,
                jit_access.drills, jit_access.verifications, jit_access.alert_rules, jit_access.scenarios,
                jit_access.scenario_results, jit_access.template_privileges, jit_access.privilege_usage,
                jit_access.standing_privileges, jit_access.template_limits
TO jit_auditor, jit_admin;
GRANT SELECT ON jit_access.metrics TO jit_monitor, jit_auditor, jit_admin;

-- Functions that these views call are executed with the privileges of the user who reads the view.
GRANT EXECUTE ON FUNCTION jit_access.hours(text[], timestamptz), jit_access.status(), jit_access.confirmed(bigint),
                          jit_access.journal(bigint, integer), jit_access.locked_until(oid),
                          jit_access.cron_state(text), jit_access.job_state(text), jit_access.usage_between,
                          jit_access.schema_of
TO jit_auditor, jit_admin;
GRANT EXECUTE ON FUNCTION jit_access.read_metrics() TO jit_monitor, jit_auditor, jit_admin;

-- Functions of auditors and administrators.
REVOKE ALL ON FUNCTION pg_catalog.jit_audit_checkpoint(), pg_catalog.jit_audit_verify(bigint, bigint),
                       pg_catalog.jit_audit_export(bigint, bigint), pg_catalog.jit_export_policy(),
                       pg_catalog.jit_acknowledge_alert(numeric, text), pg_catalog.jit_close_alert(numeric, text),
                       pg_catalog.jit_report(text, timestamptz, timestamptz),
                       pg_catalog.jit_report_html(text, timestamptz, timestamptz),
                       pg_catalog.jit_report_csv(text, timestamptz, timestamptz, text), pg_catalog.jit_report_verify()
FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pg_catalog.jit_audit_checkpoint(), pg_catalog.jit_audit_verify(bigint, bigint),
                          pg_catalog.jit_audit_export(bigint, bigint), pg_catalog.jit_export_policy(),
                          pg_catalog.jit_acknowledge_alert(numeric, text), pg_catalog.jit_close_alert(numeric, text),
                          pg_catalog.jit_report(text, timestamptz, timestamptz),
                          pg_catalog.jit_report_html(text, timestamptz, timestamptz),
                          pg_catalog.jit_report_csv(text, timestamptz, timestamptz, text),
                          pg_catalog.jit_report_verify(), pg_catalog.jit_run_scenarios, pg_catalog.jit_scenarios_tap,
                          pg_catalog.jit_propose_template, pg_catalog.jit_prove_proposal
TO jit_auditor, jit_admin;

-- Functions of administrators.
GRANT EXECUTE ON FUNCTION jit_access.run_job(text), jit_access.job_history_rules(), pg_catalog.jit_set_scenario,
                          pg_catalog.jit_drop_scenario
TO jit_admin;
DO $$
DECLARE
    signature regprocedure;
BEGIN
    FOR signature IN
        SELECT p.oid
        FROM pg_proc p
        WHERE p.pronamespace = 'pg_catalog'::regnamespace
          AND p.proname IN ('jit_create_template', 'jit_alter_template', 'jit_drop_template', 'jit_create_rule',
                            'jit_drop_rule', 'jit_import_policy', 'jit_set_alert_rule', 'jit_reset_totp',
                            'jit_set_person', 'jit_create_window', 'jit_drop_window', 'jit_schedule', 'jit_unschedule',
                            'jit_set_up_drill', 'jit_drill', 'jit_start_review')
    LOOP
        EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', signature);
        EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO jit_admin', signature);
    END LOOP;
END
$$;
