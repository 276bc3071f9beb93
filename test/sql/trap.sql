\set ECHO none
\i test/sql/include/tap.sql
\i test/sql/include/people.sql
-- An approval counts only as a statement that the approver sent. mallory, the requester, creates what bob reads, calls and
-- writes to; none of it approves in bob's name, and each attempt is on the record, even if its error is caught.
CREATE ROLE mallory LOGIN;
CREATE SCHEMA trap AUTHORIZATION mallory;
GRANT USAGE ON SCHEMA trap TO PUBLIC;
GRANT USAGE ON SCHEMA tap TO mallory;
ALTER DEFAULT PRIVILEGES FOR ROLE mallory IN SCHEMA trap GRANT ALL ON TABLES TO PUBLIC;
SELECT jit_create_template('reader', '{USAGE ON SCHEMA app, SELECT ON app.orders}', requesters => '{mallory}', approvers => '{bob}') AS role \gset

\connect - mallory
SELECT jit_request('reader', '1h') AS id \gset
SELECT format('SELECT jit_approve(%s)', :id) AS approves, format('jit_approve(%s)', :id) AS call \gset
SELECT format('BEGIN PERFORM jit_approve(%s); RETURN 1; END', :id) AS block,
       format('BEGIN PERFORM jit_approve(%s); RETURN NEW; END', :id) AS row_block,
       format('BEGIN PERFORM jit_approve(%s); RETURN 1; EXCEPTION WHEN OTHERS THEN RETURN 0; END', :id) AS hiding_block,
       format('DECLARE r record; BEGIN FOR r IN SELECT jit_approve(%s) LOOP NULL; END LOOP; RETURN 1; END', :id) AS looping_block,
       format('DECLARE c refcursor := ''opened''; BEGIN OPEN c FOR SELECT jit_approve(%s); RETURN c; END', :id) AS opening_block,
       format('BEGIN EXECUTE ''PREPARE made AS SELECT jit_approve(%s)''; RETURN 1; END', :id) AS preparing_block,
       format('BEGIN PERFORM jit_approve(%s); END', :id) AS command_block \gset
CREATE FUNCTION trap.inlined() RETURNS jit_access.state LANGUAGE sql AS :'approves';
CREATE FUNCTION trap.parsed() RETURNS jit_access.state LANGUAGE sql BEGIN ATOMIC :approves; END;
CREATE FUNCTION trap.called() RETURNS jit_access.state LANGUAGE sql SECURITY DEFINER AS :'approves';
CREATE FUNCTION trap.rows() RETURNS SETOF jit_access.state LANGUAGE sql AS :'approves';
CREATE FUNCTION trap.runs() RETURNS integer LANGUAGE plpgsql AS :'block';
CREATE FUNCTION trap.folded(integer) RETURNS integer IMMUTABLE LANGUAGE plpgsql AS :'block';
CREATE FUNCTION trap.hides() RETURNS integer LANGUAGE plpgsql AS :'hiding_block';
CREATE FUNCTION trap.loops() RETURNS integer LANGUAGE plpgsql AS :'looping_block';
CREATE FUNCTION trap.opens() RETURNS refcursor LANGUAGE plpgsql AS :'opening_block';
CREATE FUNCTION trap.prepares() RETURNS integer LANGUAGE plpgsql AS :'preparing_block';
CREATE FUNCTION trap.by_default(text DEFAULT :call::text) RETURNS text LANGUAGE sql AS 'SELECT $1';
CREATE FUNCTION trap.harmless() RETURNS integer LANGUAGE sql AS 'SELECT 1';
CREATE FUNCTION trap.step(bigint, integer) RETURNS bigint LANGUAGE plpgsql AS :'block';
CREATE FUNCTION trap.fires() RETURNS trigger LANGUAGE plpgsql AS :'row_block';
CREATE PROCEDURE trap.proceeds() LANGUAGE sql AS :'approves';
CREATE TYPE trap.mine AS (a integer);
CREATE FUNCTION trap.casts(integer) RETURNS trap.mine LANGUAGE plpgsql AS :'row_block';
CREATE CAST (integer AS trap.mine) WITH FUNCTION trap.casts(integer);
CREATE OPERATOR trap.### (FUNCTION = trap.folded, RIGHTARG = integer);
CREATE OPERATOR trap.@@@ (FUNCTION = pg_catalog.jit_deny, LEFTARG = numeric, RIGHTARG = text);
CREATE AGGREGATE trap.sums(integer) (SFUNC = trap.step, STYPE = bigint, INITCOND = '0');
CREATE DOMAIN trap.checked AS integer CHECK (trap.folded(VALUE) = 1);
CREATE TABLE trap.list AS SELECT :id AS id;
CREATE TABLE trap.fires (id integer);
CREATE TRIGGER fires BEFORE INSERT ON trap.fires FOR EACH ROW EXECUTE FUNCTION trap.fires();
CREATE TABLE trap.ruled (id integer);
CREATE RULE ruled AS ON INSERT TO trap.ruled DO ALSO :approves;
CREATE TABLE trap.guarded AS SELECT 1 AS id;
CREATE POLICY guarded ON trap.guarded USING (:call IS NOT NULL);
ALTER TABLE trap.guarded ENABLE ROW LEVEL SECURITY;
CREATE TABLE trap.defaults (id integer, state jit_access.state DEFAULT :call);
CREATE TABLE trap.generated (id integer, double integer GENERATED ALWAYS AS (trap.folded(id)) STORED);
CREATE TABLE trap.constrained (id integer CHECK (:call IS NOT NULL));
CREATE TABLE trap.indexed (id integer);
CREATE INDEX ON trap.indexed (trap.folded(id));
CREATE VIEW trap.view AS :approves AS state;
CREATE VIEW trap.barrier WITH (security_barrier) AS SELECT id, :call FROM trap.list;
CREATE VIEW trap.pending AS SELECT *, jit_approve(id) AS state FROM jit_access.pending_requests;
CREATE MATERIALIZED VIEW trap.kept AS :approves AS state WITH NO DATA;
\connect - :owner
CREATE TABLE tap.elsewhere (id integer);
GRANT ALL ON tap.elsewhere TO bob;
GRANT CREATE ON SCHEMA trap TO bob;
ALTER MATERIALIZED VIEW trap.kept OWNER TO bob;
SELECT format('BEGIN IF session_user = ''bob'' THEN PERFORM jit_approve(%s); END IF; END', :id) AS event_block \gset
CREATE FUNCTION trap.event() RETURNS event_trigger LANGUAGE plpgsql AS :'event_block';
SELECT tap.state() AS before, coalesce(max(seq), 0) AS seq FROM jit_access.record \gset
\connect - bob
CALL tap.start();

\set after ''
\set answer JA018
\set way 'a view'
\set statement 'SELECT state FROM trap.view'
\i test/sql/include/trap.sql
\set way 'a view with a security barrier'
\set statement 'SELECT * FROM trap.barrier'
\i test/sql/include/trap.sql
\set way 'a view over a view of the extension'
\set statement 'SELECT id, state FROM trap.pending'
\i test/sql/include/trap.sql
\set way 'a function that is put in the place of its call'
\set statement 'SELECT trap.inlined()'
\i test/sql/include/trap.sql
\set way 'one that was parsed when it was made'
\set statement 'SELECT trap.parsed()'
\i test/sql/include/trap.sql
\set way 'one that is called'
\set statement 'SELECT trap.called()'
\i test/sql/include/trap.sql
\set way 'one in FROM'
\set statement 'SELECT * FROM trap.rows()'
\i test/sql/include/trap.sql
\set way 'plpgsql'
\set statement 'SELECT trap.runs()'
\i test/sql/include/trap.sql
\set way 'plpgsql, by a cursor'
\set statement 'SELECT trap.loops()'
\i test/sql/include/trap.sql
\set way 'plpgsql, while the statement is planned'
\set statement 'SELECT 1 AS one WHERE trap.folded(1) = 1'
\i test/sql/include/trap.sql
\set way 'the default of an argument'
\set statement 'SELECT trap.by_default()'
\i test/sql/include/trap.sql
\set way 'an aggregate'
\set statement 'SELECT trap.sums(1)'
\i test/sql/include/trap.sql
\set way 'an operator'
\set statement 'SELECT OPERATOR(trap.###) 1'
\i test/sql/include/trap.sql
\set way 'a cast'
\set statement 'SELECT 1::trap.mine'
\i test/sql/include/trap.sql
\set way 'a domain'
\set statement 'SELECT id::trap.checked FROM trap.list'
\i test/sql/include/trap.sql
\set way 'a procedure'
\set statement 'CALL trap.proceeds()'
\i test/sql/include/trap.sql
\set way 'DO'
SELECT format('DO $$%s$$', :'command_block') AS statement \gset
\i test/sql/include/trap.sql
\set way 'a trigger'
\set statement 'INSERT INTO trap.fires VALUES (1)'
\i test/sql/include/trap.sql
\set way 'a rule'
\set statement 'INSERT INTO trap.ruled VALUES (1)'
\i test/sql/include/trap.sql
\set way 'a policy'
\set statement 'SELECT * FROM trap.guarded'
\i test/sql/include/trap.sql
\set way 'the default of a column'
\set statement 'INSERT INTO trap.defaults VALUES (1)'
\i test/sql/include/trap.sql
\set way 'a generated column'
\set statement 'INSERT INTO trap.generated VALUES (1)'
\i test/sql/include/trap.sql
\set way 'a constraint'
\set statement 'INSERT INTO trap.constrained VALUES (1)'
\i test/sql/include/trap.sql
\set way 'the expression of an index'
\set statement 'INSERT INTO trap.indexed VALUES (1)'
\i test/sql/include/trap.sql
\set way 'a text that a function of the server runs'
SELECT format('SELECT query_to_xml(%L, true, true, %L)', :'approves', '') AS statement \gset
\i test/sql/include/trap.sql
\set way 'a prepared statement'
SELECT format('PREPARE own AS %s', :'approves') AS prepares \gset
:prepares;
\set statement 'EXECUTE own'
\i test/sql/include/trap.sql
\set way 'a prepared statement of the session'
SELECT trap.prepares() AS prepared \gset
\set statement 'EXECUTE made'
\i test/sql/include/trap.sql
\set way 'a cursor'
BEGIN;
SELECT format('DECLARE own CURSOR FOR %s', :'approves') AS declares \gset
:declares;
\set statement 'FETCH FROM own'
\set after 'ROLLBACK;'
\i test/sql/include/trap.sql
\set after ''
\set way 'an open cursor'
BEGIN;
SELECT trap.opens() AS opened \gset
\set statement 'FETCH FROM opened'
\set after 'ROLLBACK;'
\i test/sql/include/trap.sql
\set after ''
\set way 'EXPLAIN ANALYZE'
SELECT format('EXPLAIN ANALYZE %s', :'approves') AS statement \gset
\i test/sql/include/trap.sql
\set way 'CREATE TABLE AS'
SELECT format('CREATE TEMP TABLE made AS %s AS state', :'approves') AS statement \gset
\i test/sql/include/trap.sql
\set way 'SELECT INTO'
SELECT format('%s AS state INTO TEMP made', :'approves') AS statement \gset
\i test/sql/include/trap.sql
\set way 'INSERT'
SELECT format('INSERT INTO tap.elsewhere SELECT 1 WHERE jit_approve(%s) IS NOT NULL', :id) AS statement \gset
\i test/sql/include/trap.sql
\set way 'a row changed in WITH'
SELECT format('WITH w AS (INSERT INTO tap.elsewhere VALUES (1)) %s', :'approves') AS statement \gset
\i test/sql/include/trap.sql
\set way 'a table of the attacker'
\set statement 'SELECT jit_approve(id) FROM trap.list'
\i test/sql/include/trap.sql
\set way 'a table of the attacker, in a subselect'
SELECT format('%s WHERE EXISTS (SELECT FROM trap.list)', :'approves') AS statement \gset
\i test/sql/include/trap.sql
\set way 'a function of the attacker beside it'
SELECT format('%s, trap.harmless()', :'approves') AS statement \gset
\i test/sql/include/trap.sql
\set way 'an error that is caught'
\set answer 00000
\set statement 'SELECT trap.hides() AS hidden'
\i test/sql/include/trap.sql
\set way 'a function that the server runs for the owner of a table'
\set answer JA004
\set statement 'REFRESH MATERIALIZED VIEW trap.kept'
\i test/sql/include/trap.sql
\connect - :owner
CREATE EVENT TRIGGER trap ON ddl_command_start WHEN TAG IN ('CREATE VIEW') EXECUTE FUNCTION trap.event();
\connect - bob
CALL tap.start();
\set way 'an event trigger'
\set answer JA018
\set statement 'CREATE VIEW trap.mine_too AS SELECT 1 AS id'
\i test/sql/include/trap.sql
\connect - :owner
DROP EVENT TRIGGER trap;
CALL tap.start();
SELECT is(tap.state(), :'before', 'no request is approved');
CALL tap.wait_for_record();
SELECT results_eq(format($$SELECT sqlstate || ' ' || regexp_replace(statement, ';?\n?$', ''), count(*) FROM jit_access.audit_log
                           WHERE seq > %s AND kind = 'refusal' AND login = 'bob' GROUP BY 1 HAVING count(*) > 1$$, :seq),
                  $$SELECT 'x', 1::bigint WHERE false$$, 'no attempt is on the record twice');
SELECT is(count(*), 40::bigint, 'each attempt is on the record, with the login and the statement of the deceived approver')
FROM jit_access.audit_log WHERE seq > :seq AND kind = 'refusal' AND login = 'bob' AND sqlstate IN ('JA018', 'JA004');
SELECT is(detail->>'reason', format('request %s is approved only by a statement that "bob" has sent', :id), 'the one that was caught as well')
FROM jit_access.audit_log WHERE seq > :seq AND statement LIKE 'SELECT trap.hides()%';
SELECT is(detail->>'reason', format('request %s is approved only by a statement that "bob" has sent', :id), 'the record has the reason')
FROM jit_access.audit_log WHERE seq > :seq AND statement LIKE 'SELECT state FROM trap.view%';

-- The same for every other function that gives access. Code may request access or take it away.
SELECT jit_alter_template('reader', holder_extension => '1h', requesters => '{alice, mallory}') AS version \gset
SELECT jit_create_template('other', '{USAGE ON SCHEMA app, SELECT ON app.orders}') AS role \gset
\connect - alice
CREATE TEMP TABLE asked AS SELECT jit_request('reader', '1h') AS id;
SELECT id AS alices FROM asked \gset
\connect - bob
SELECT jit_approve(:alices) AS state \gset
\connect - alice
CALL tap.start();
\set way 'extending'
SELECT format('DO $$BEGIN PERFORM jit_extend(%s, ''10 minutes''); END$$', :alices) AS statement \gset
\i test/sql/include/trap.sql
\connect - ada
CALL tap.start();
\set way 'defining a template'
\set statement 'DO $$BEGIN PERFORM jit_create_template(''hers'', ''{USAGE ON SCHEMA app}''); END$$'
\i test/sql/include/trap.sql
\set way 'changing a template'
\set statement 'DO $$BEGIN PERFORM jit_alter_template(''other'', approvers => ''{mallory}''); END$$'
\i test/sql/include/trap.sql
\set answer 00000
\set way 'withdrawing a template is open to code'
\set statement 'DO $$BEGIN PERFORM jit_drop_template(''other''); END$$'
\i test/sql/include/trap.sql
\connect - alice
CALL tap.start();
\set way 'so is asking, and giving back'
SELECT format('DO $$BEGIN PERFORM jit_cancel(jit_request(''reader'', ''1h'')); PERFORM jit_revoke(%s); END$$', :alices) AS statement \gset
\i test/sql/include/trap.sql
\connect - alice
SELECT jit_request('reader', '1h') AS alices \gset
\connect - bob
CALL tap.start();
\set way 'and denying'
SELECT format('DO $$BEGIN PERFORM jit_deny(%s, ''no''); END$$', :alices) AS statement \gset
\i test/sql/include/trap.sql

-- Statements of the approver's own that must work.
\connect - alice
SELECT jit_request('reader', '1h') AS a, jit_request('reader', '1h') AS b, jit_request('reader', '1h') AS c, jit_request('reader', '1h') AS d,
       jit_request('reader', '1h') AS e, jit_request('reader', '1h') AS f, jit_request('reader', '1h') AS g, jit_request('reader', '1h') AS h \gset
\connect - bob
CALL tap.start();
\set way 'by itself'
SELECT format('SELECT jit_approve(%s)', :a) AS statement \gset
\i test/sql/include/trap.sql
\set way 'with arguments and a name'
SELECT format('SELECT pg_catalog.jit_approve(id => %s, duration => ''10 min'', comment => ''go'' || 1) AS state, now()', :b) AS statement \gset
\i test/sql/include/trap.sql
\set way 'in FROM'
SELECT format('SELECT * FROM jit_approve(%s) AS a (state)', :c) AS statement \gset
\i test/sql/include/trap.sql
\set way 'over a list'
SELECT format('SELECT id, jit_approve(id) FROM unnest(ARRAY[%s]) AS id ORDER BY 1', :d) AS statement \gset
\i test/sql/include/trap.sql
\set way 'over the requests that wait'
SELECT format('SELECT jit_approve(id) FROM jit_access.pending_requests WHERE id = %s', :e) AS statement \gset
\i test/sql/include/trap.sql
\set way 'over a subselect'
SELECT format('SELECT count(jit_approve(r.id)) FROM (SELECT id FROM jit_access.pending_requests WHERE id = %s) r', :f) AS statement \gset
\i test/sql/include/trap.sql
\set way 'over WITH'
SELECT format('WITH r AS MATERIALIZED (SELECT id FROM jit_access.pending_requests WHERE id = %s) SELECT CASE WHEN true THEN jit_approve(id) END FROM r LIMIT 1', :g) AS statement \gset
\i test/sql/include/trap.sql
\set way 'in a transaction, behind another statement in one message'
BEGIN;
SAVEPOINT s;
SELECT format('SELECT 1\; SELECT jit_approve(%s)', :h) AS statement \gset
\set after 'COMMIT;'
\i test/sql/include/trap.sql
\connect - :owner
CALL tap.start();
SELECT is(count(*), 8::bigint, 'all of them are granted') FROM jit_access.active_grants WHERE requester = 'alice' AND state = 'active';

DROP TABLE tap.elsewhere;
DROP SCHEMA trap CASCADE;
DROP OWNED BY mallory;
\i test/sql/include/clean.sql
DROP ROLE mallory;
