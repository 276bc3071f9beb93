-- Nobody gets at a table of the extension but the extension: privileges are taken from everybody (also what the default
-- privileges of the installer gave), and row security without a policy stops pg_read_all_data and pg_write_all_data.
DO $$
DECLARE
    object record;
BEGIN
    FOR object IN
        SELECT c.oid::regclass AS name, c.relkind,
               ARRAY(SELECT DISTINCT a.grantee FROM aclexplode(c.relacl) a WHERE a.grantee <> c.relowner) AS grantees
        FROM pg_class c WHERE c.relnamespace = 'jit_access'::regnamespace AND c.relkind IN ('r', 'p', 'S', 'v')
    LOOP
        EXECUTE format('REVOKE ALL ON %s FROM PUBLIC', object.name);
        DECLARE
            grantee oid;
        BEGIN
            FOREACH grantee IN ARRAY object.grantees LOOP
                IF grantee <> 0 THEN
                    EXECUTE format('REVOKE ALL ON %s FROM %I', object.name, pg_get_userbyid(grantee));
                END IF;
            END LOOP;
        END;
        IF object.relkind IN ('r', 'p') THEN
            EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', object.name);
            EXECUTE format('ALTER TABLE %s FORCE ROW LEVEL SECURITY', object.name);
        END IF;
    END LOOP;
END
$$;

GRANT SELECT ON jit_access.my_requests, jit_access.my_grants, jit_access.pending_requests TO PUBLIC;
GRANT SELECT ON jit_access.audit_log, jit_access.grant_history, jit_access.decisions, jit_access.grant_usage,
                jit_access.active_grants, jit_access.template_catalog, jit_access.health TO jit_auditor, jit_admin;
REVOKE ALL ON FUNCTION pg_catalog.jit_audit_checkpoint(), pg_catalog.jit_audit_verify(bigint, bigint), pg_catalog.jit_audit_export(bigint, bigint) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pg_catalog.jit_audit_checkpoint(), pg_catalog.jit_audit_verify(bigint, bigint), pg_catalog.jit_audit_export(bigint, bigint) TO jit_auditor, jit_admin;
GRANT EXECUTE ON FUNCTION jit_access.status(), jit_access.confirmed(bigint), jit_access.journal(bigint, integer) TO jit_auditor, jit_admin;

DO $$
DECLARE
    signature regprocedure;
BEGIN
    FOR signature IN
        SELECT p.oid FROM pg_proc p
        WHERE p.proname IN ('jit_create_template', 'jit_alter_template', 'jit_drop_template') AND p.pronamespace = 'pg_catalog'::regnamespace
    LOOP
        EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', signature);
        EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO jit_admin', signature);
    END LOOP;
END
$$;

