-- Ends live grants and removes what people.sql created. The roles of the quarantine go when they own nothing any more.
\connect - :owner
\o /dev/null
SELECT jit_revoke(id) FROM jit_access.active_grants WHERE state IN ('active', 'suspended');
CALL tap.wait_for_cleanup();
SELECT jit_drop_template(name) FROM jit_access.template_catalog;
\o
DROP SCHEMA app CASCADE;
DROP ROLE alice, bob, carol, dave, ada, olga, developers, leads;
CALL tap.wait_until($$NOT EXISTS (SELECT FROM pg_roles WHERE rolname ~ '^jit_quarantine_')$$);
