-- Waits until this session, and so every later one, has jit_access.attempt_rate = :rate.
SELECT current_setting('jit_access.attempt_rate') = :'rate' AS is_reloaded \gset
\if :is_reloaded
\else
SELECT pg_sleep(0.05) \g /dev/null
\i test/sql/include/reloaded.sql
\endif
