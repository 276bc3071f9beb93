
# The rows on the record for each way to send a statement. docs/record.md has a table row for each way. Each way has a
# session with an application_name of its own.
use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use JitTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = jit_node('recorded_wire');
$node->safe_psql('postgres', <<'SQL');
CREATE SEQUENCE app.numbers;
CREATE FUNCTION app.peek() RETURNS bigint LANGUAGE sql AS 'SELECT count(*) FROM app.orders';
GRANT USAGE ON SEQUENCE app.numbers TO jit_template_reader;
SQL
my $id = grant_to($node, 'alice', '1 hour');

sub function_oid { my ($signature) = @_; return $node->safe_psql('postgres', "SELECT '$signature'::regprocedure::oid"); }

sub session { my ($name) = @_; return connect_as($node, 'alice', options => { application_name => $name }); }

# The rows of a session, each as "depth tag object:privileges rows outcome: statement".
sub recorded
{
	my ($name) = @_;
	wait_for_drained($node);
	return $node->safe_psql('postgres', <<"SQL");
SELECT concat_ws(' ', depth, tag, (SELECT string_agg(o || ':' || p, ' ' ORDER BY o) FROM unnest(objects, privileges) u (o, p)),
	rows, outcome || ':', statement) FROM jit_access.audit_log WHERE application = '$name' AND kind = 'use' ORDER BY seq
SQL
}

sub recorded_ok
{
	my ($session, $name, @rows) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $answer = $session->finish;
	is($answer->{sqlstate}, undef, "$name: no error") or diag($answer->{message});
	is(recorded($name), join("\n", @rows), $name);
	return $answer;
}

sub extended
{
	my ($s, $portal, $statement, $sql, $most) = @_;
	$s->parse($statement, $sql) if defined $sql;
	$s->bind($portal, $statement);
	$s->execute($portal, $most);
}

my $s = session('simple query');
$s->send('SELECT id FROM app.orders WHERE id <= 2');
recorded_ok($s, 'simple query', '0 SELECT app.orders:SELECT 2 completed: SELECT id FROM app.orders WHERE id <= 2');

$s = session('several statements in one message');
$s->send("SELECT id FROM app.orders WHERE id = 1; UPDATE app.orders SET status = 'a;b' WHERE id = 1;\n TRUNCATE app.orders; ROLLBACK ;");
$s->finish;
$s->send("BEGIN; DELETE FROM app.orders /* all; of them */; ROLLBACK; SELECT 1");
recorded_ok($s, 'several statements in one message',
	'0 SELECT app.orders:SELECT 1 completed: SELECT id FROM app.orders WHERE id = 1',
	"0 UPDATE app.orders:SELECT,UPDATE 1 completed: UPDATE app.orders SET status = 'a;b' WHERE id = 1",
	'0 TRUNCATE TABLE app.orders:TRUNCATE 0 completed: TRUNCATE app.orders',
	'0 ROLLBACK 0 completed: ROLLBACK',
	'0 BEGIN 0 completed: BEGIN',
	'0 DELETE app.orders:DELETE 100 completed: DELETE FROM app.orders /* all; of them */',
	'0 ROLLBACK 0 completed: ROLLBACK',
	'0 SELECT 1 completed: SELECT 1');

$s = session('one of several fails');
$s->send('SELECT id FROM app.orders WHERE id = 1; SELECT 1 / (id - id) FROM app.orders; SELECT 3');
sqlstate_ok($s->finish, '22012', 'one of several fails: it does');
is(recorded('one of several fails'),
	"0 SELECT app.orders:SELECT 1 completed: SELECT id FROM app.orders WHERE id = 1\n"
	  . '0 SELECT app.orders:SELECT 0 failed: SELECT 1 / (id - id) FROM app.orders', 'one of several fails');

$s = session('extended query');
extended($s, '', '', 'SELECT id FROM app.orders WHERE id <= 2', 0);
$s->sync;
recorded_ok($s, 'extended query', '0 SELECT app.orders:SELECT 2 completed: SELECT id FROM app.orders WHERE id <= 2');

$s = session('prepared statement of the protocol');
extended($s, '', 'again', 'SELECT id FROM app.orders WHERE id <= 2', 0);
extended($s, '', 'again', undef, 0) for 1 .. 6;
$s->sync;
recorded_ok($s, 'prepared statement of the protocol', ('0 SELECT app.orders:SELECT 2 completed: SELECT id FROM app.orders WHERE id <= 2') x 7);

$s = session('parsed, never executed');
$s->parse('unused', 'SELECT id FROM app.orders');
$s->sync;
recorded_ok($s, 'parsed, never executed');

$s = session('bound, never executed');
$s->parse('', 'SELECT id FROM app.orders');
$s->bind('', '');
$s->sync;
recorded_ok($s, 'bound, never executed', '0 SELECT app.orders:SELECT 0 completed: SELECT id FROM app.orders');

$s = session('row limit');
extended($s, '', '', 'SELECT id FROM app.orders', 10);
$s->sync;
my $answer = recorded_ok($s, 'row limit', '0 SELECT app.orders:SELECT 10 completed: SELECT id FROM app.orders');
ok($answer->{suspended}, 'row limit: the portal was suspended');

$s = session('suspended and resumed');
$s->query('BEGIN');
extended($s, 'p', '', 'SELECT id FROM app.orders', 10);
$s->sync;
$s->finish;
is(recorded('suspended and resumed'), "0 BEGIN 0 completed: BEGIN\n0 SELECT app.orders:SELECT SELECT id FROM app.orders",
	'a suspended portal has no outcome yet');
$s->execute('p', 20);
$s->execute('p', 0);
$s->sync;
$s->finish;
$s->send('COMMIT');
recorded_ok($s, 'suspended and resumed',
	'0 BEGIN 0 completed: BEGIN', '0 SELECT app.orders:SELECT 100 completed: SELECT id FROM app.orders', '0 COMMIT 0 completed: COMMIT');

$s = session('row limit on RETURNING');
$s->query('BEGIN');
extended($s, 'p', '', "UPDATE app.orders SET status = 'x' WHERE id <= 30 RETURNING id", 10);
$s->sync;
$s->finish;
$s->send('ROLLBACK');
recorded_ok($s, 'row limit on RETURNING', '0 BEGIN 0 completed: BEGIN',
	"0 UPDATE app.orders:SELECT,UPDATE 30 completed: UPDATE app.orders SET status = 'x' WHERE id <= 30 RETURNING id", '0 ROLLBACK 0 completed: ROLLBACK');

$s = session('function call');
is($s->call_function(function_oid('pg_catalog.nextval(regclass)'), 'app.numbers')->{value}, '1', 'function call: it answers');
$s->send_call(function_oid('app.peek()'));
recorded_ok($s, 'function call',
	'0 FUNCTION CALL pg_catalog.nextval(pg_catalog.regclass):EXECUTE 0 completed: nextval',
	'0 FUNCTION CALL app.peek():EXECUTE 0 completed: peek',
	'1 SELECT app.orders:SELECT 1 completed: SELECT count(*) FROM app.orders');

$s = session('function call that fails');
sqlstate_ok($s->call_function(function_oid('pg_catalog.nextval(regclass)'), 'app.orders'), '42809', 'function call that fails: it does');
$s->query('BEGIN');
$s->call_function(function_oid('app.peek()'));
$s->call_function(function_oid('pg_catalog.pg_read_file(text)'), 'PG_VERSION');
$s->send('ROLLBACK');
recorded_ok($s, 'function call that fails',
	'0 FUNCTION CALL pg_catalog.nextval(pg_catalog.regclass):EXECUTE 0 failed: nextval',
	'0 BEGIN 0 completed: BEGIN',
	'0 FUNCTION CALL app.peek():EXECUTE 0 interrupted: peek',
	'1 SELECT app.orders:SELECT 1 completed: SELECT count(*) FROM app.orders',
	'0 ROLLBACK 0 completed: ROLLBACK');

$s = session('function call beside an open portal');
$s->query('BEGIN');
extended($s, 'p', '', 'SELECT id FROM app.orders', 10);
$s->sync;
$s->finish;
$s->call_function(function_oid('pg_catalog.nextval(regclass)'), 'app.numbers');
$s->send('COMMIT');
recorded_ok($s, 'function call beside an open portal',
	'0 BEGIN 0 completed: BEGIN',
	'0 SELECT app.orders:SELECT 10 completed: SELECT id FROM app.orders',
	'0 FUNCTION CALL pg_catalog.nextval(pg_catalog.regclass):EXECUTE 0 completed: nextval',
	'0 COMMIT 0 completed: COMMIT');

$s = session('large object calls');
my $lo = $s->call_function(function_oid('pg_catalog.lo_create(oid)'), '0')->{value};
$s->query('BEGIN');
my $fd = $s->call_function(function_oid('pg_catalog.lo_open(oid,integer)'), $lo, 0x60000)->{value};
$s->call_function(function_oid('pg_catalog.lowrite(integer,bytea)'), $fd, '\x61');
ok(wait_for_drained($node), 'large object calls: the journal is read');
is(log_rows($node, q{application = 'large object calls' AND tag = 'FUNCTION CALL' AND outcome IS NULL}), '1', 'large object calls: only the last one of a transaction may still fail');
$s->query('COMMIT');
$s->send_call(function_oid('pg_catalog.lo_unlink(oid)'), $lo);
recorded_ok($s, 'large object calls',
	'0 FUNCTION CALL pg_catalog.lo_create(pg_catalog.oid):EXECUTE 0 completed: lo_create',
	'0 BEGIN 0 completed: BEGIN',
	'0 FUNCTION CALL pg_catalog.lo_open(pg_catalog.oid,integer):EXECUTE 0 completed: lo_open',
	'0 FUNCTION CALL pg_catalog.lowrite(integer,pg_catalog.bytea):EXECUTE 0 completed: lowrite',
	'0 COMMIT 0 completed: COMMIT',
	'0 FUNCTION CALL pg_catalog.lo_unlink(pg_catalog.oid):EXECUTE 0 completed: lo_unlink');

$s = session('copy in and out');
$s->send('COPY app.orders (id, status) FROM STDIN');
$s->message('d', "101\tnew\n102\tnew\n");
$s->message('c', '');
$s->finish;
$s->send('COPY app.orders FROM STDIN');
$s->message('d', "103\tnew\n");
$s->message('f', "the client gives up\0");
sqlstate_ok($s->finish, '57014', 'copy in and out: the client gives up');
$s->send('COPY (SELECT id FROM app.orders WHERE id > 100) TO STDOUT');
recorded_ok($s, 'copy in and out',
	'0 COPY app.orders:INSERT 2 completed: COPY app.orders (id, status) FROM STDIN',
	'0 COPY app.orders:INSERT 0 failed: COPY app.orders FROM STDIN',
	'0 COPY 2 completed: COPY (SELECT id FROM app.orders WHERE id > 100) TO STDOUT',
	'1 SELECT app.orders:SELECT 2 completed: COPY (SELECT id FROM app.orders WHERE id > 100) TO STDOUT');

# Bind parameters are recorded only if a superuser sets log_parameters.
sub bound
{
	my ($name) = @_;
	my $session = session($name);
	$session->parse('', 'SELECT id FROM app.orders WHERE id = $1 OR status = $2');
	$session->bind('', '', 2, undef);
	$session->execute('');
	$session->sync;
	$session->finish;
	wait_for_drained($node);
	return $node->safe_psql('postgres', "SELECT parameters IS NULL, parameters FROM jit_access.audit_log WHERE application = '$name' AND tag = 'SELECT'");
}
is(bound('bound, by default'), 't|', 'parameters are not on the record');
$node->safe_psql('postgres', 'ALTER ROLE alice SET jit_access.log_parameters = on');
is(bound('bound, when it is wanted'), q{f|$1 = '2', $2 = NULL}, 'parameters are on the record when the setting says so');
my $many = session('bound by the thousand');
$many->query('PREPARE many (' . join(', ', ('text') x 1000) . ') AS SELECT 1 FROM app.orders WHERE status IN (' . join(', ', map { "\$$_" } 1 .. 1000) . ')');
sqlstate_ok($many->query('EXECUTE many (' . join(', ', (q{repeat('x', 9000)}) x 1000) . ')'), 'no error', 'as many as there are');
wait_for_drained($node);
is($node->safe_psql('postgres', q{SELECT octet_length(parameters) FROM jit_access.audit_log WHERE application = 'bound by the thousand' AND tag = 'SELECT'}), '8192', 'cut like a statement');
sqlstate_ok(connect_as($node, 'alice')->query('SET jit_access.log_parameters = off'), '42501', 'which is not for the user to say');
$node->safe_psql('postgres', 'ALTER ROLE alice RESET jit_access.log_parameters');

$s = session('the client goes away');
$s->query('BEGIN');
extended($s, 'p', '', 'SELECT id FROM app.orders', 10);
$s->sync;
$s->finish;
$s->quit;
ok($node->poll_query_until('postgres', "SELECT count(*) = 0 FROM pg_stat_activity WHERE application_name = 'the client goes away'"), 'it is gone');
is(recorded('the client goes away'), "0 BEGIN 0 completed: BEGIN\n0 SELECT app.orders:SELECT 10 interrupted: SELECT id FROM app.orders", 'the client goes away');

ok(wait_for_drained($node), 'the record is complete');
is(log_rows($node, "kind = 'use' AND outcome IS NULL"), '0', 'every use has its outcome');
record_is_sound($node, 'recorded_wire');
$node->stop('fast');
done_testing();
