
# Messages that libpq cannot send: portals with a row limit, interleaved, abandoned, suspended across the deadline;
# function calls.
use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use JitTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = jit_node('wire');
$node->safe_psql('postgres', <<'SQL');
CREATE SEQUENCE app.numbers;
CREATE FUNCTION app.peek() RETURNS bigint LANGUAGE sql AS 'SELECT count(*) FROM app.orders';
GRANT USAGE ON SEQUENCE app.numbers TO jit_template_reader;
SQL
my $nextval = $node->safe_psql('postgres', q{SELECT 'pg_catalog.nextval(regclass)'::regprocedure::oid});
my $peek = $node->safe_psql('postgres', q{SELECT 'app.peek()'::regprocedure::oid});

sub in_record { my ($condition) = @_; wait_for_drained($node); return $node->safe_psql('postgres',
		"SELECT string_agg(format('%s %s %s', tag, outcome, rows), ', ' ORDER BY seq) FROM jit_access.audit_log WHERE kind = 'use' AND $condition"); }

my $id = grant_to($node, 'alice', '1 hour');

# ---- two portals, alternating
my $alice = connect_as($node, 'alice');
$alice->query('BEGIN');
$alice->parse('', 'SELECT id /* first */ FROM app.orders');
$alice->bind('first', '');
$alice->parse('', 'SELECT id /* second */ FROM app.orders WHERE id <= 50');
$alice->bind('second', '');
my %got = (first => 0, second => 0);
my %suspended = (first => 0, second => 0);
for my $turn (1 .. 12)
{
	for my $portal (qw(first second))
	{
		$alice->execute($portal, 10);
		$alice->flush;
		my $answer = $alice->collect('sCE');
		die $answer->{message} if $answer->{sqlstate};
		$got{$portal} += @{ $answer->{rows} };
		$suspended{$portal}++ if $answer->{suspended};
	}
}
$alice->sync;
$alice->finish;
is("$got{first} $got{second}", '100 50', 'two portals deliver in turns');
cmp_ok($suspended{first}, '>=', 9, 'with suspensions in between');
$alice->query('COMMIT');
is(in_record("statement LIKE '%/* first */%'"), 'SELECT completed 100', 'the first one is in the record once, with all its rows');
is(in_record("statement LIKE '%/* second */%'"), 'SELECT completed 50', 'so is the second one');

# ---- abandoned: closed, rolled back, failed
$alice->query('BEGIN');
for my $name (qw(closed rolled))
{
	$alice->parse('', "SELECT id /* $name */ FROM app.orders");
	$alice->bind($name, '');
	$alice->execute($name, 7);
}
$alice->close_portal('closed');
$alice->sync;
$alice->finish;
$alice->query('ROLLBACK');
is(in_record("statement LIKE '%/* closed */%'"), 'SELECT completed 7', 'a portal that was closed half way');
is(in_record("statement LIKE '%/* rolled */%'"), 'SELECT interrupted 7', 'a portal that was rolled back half way');

# ---- one statement executed many times, without waiting
$alice->parse('q', 'SELECT status /* again */ FROM app.orders WHERE id = 1');
for (1 .. 20) { $alice->bind('', 'q'); $alice->execute('', 0); }
$alice->sync;
my $answer = $alice->finish;
is(scalar @{ $answer->{rows} }, 20, 'a pipeline of executions');
is($node->poll_query_until('postgres', "SELECT count(*) = 20 FROM jit_access.audit_log WHERE kind = 'use' AND statement LIKE '%/* again */%' AND outcome = 'completed' AND rows = 1"),
	1, 'each is in the record');
wait_for_drained($node);
is(log_rows($node, "kind = 'use' AND statement LIKE '%/* again */%'"), '20', 'once');

# ---- a failure in a pipeline: the messages behind it do not run
$alice->parse('', 'SELECT 1 / (id - id) /* fails */ FROM app.orders');
$alice->bind('', ''); $alice->execute('', 0);
$alice->parse('', 'SELECT id /* skipped */ FROM app.orders');
$alice->bind('', ''); $alice->execute('', 0);
$alice->sync;
sqlstate_ok($alice->finish, '22012', 'a statement in a pipeline fails');
is(in_record("statement LIKE '%/* fails */%'"), 'SELECT failed 0', 'it is in the record as failed');
is(log_rows($node, "statement LIKE '%/* skipped */%'"), '0', 'a skipped statement is not');

# ---- function calls outside any statement
my $call = $alice->call_function($nextval, 'app.numbers');
is($call->{value}, '1', 'a function call');
is(log_rows($node, "kind = 'use' AND login = 'alice' AND depth = 0 AND (statement LIKE '%nextval%' OR tag LIKE '%FUNCTION%' OR tag LIKE '%CALL%')"), '1', 'is in the record')
  if wait_for_drained($node);
$node->safe_psql('postgres', "SELECT jit_revoke($id)");
closed_ok($alice, 'the session is ended with its grant');
wait_for_cleanup($node, $id);

# ---- an approval must be the client's own statement in the extended protocol as well
my $dave = connect_as($node, 'dave');
my %asked = map { $_ => request_as($node, 'alice', 'reader', '1h') } qw(prepared named unnamed trap);
my $approves = sub { my ($portal, $statement, $sql) = @_;
	$dave->parse($statement, $sql) if $sql;
	$dave->bind($portal, $statement); $dave->execute($portal, 0); $dave->sync;
	return $dave->finish; };
rows_ok($approves->('', '', "SELECT jit_approve($asked{unnamed})"), 'active', 'an approval by the extended protocol');
rows_ok($approves->('', 's', "SELECT jit_approve($asked{prepared})"), 'active', 'prepared by the protocol');
sqlstate_ok($approves->('', 's'), 'JA005', 'and executed again');
sqlstate_ok($approves->('p', '', "SELECT jit_approve($asked{named})"), 'JA018', 'a named portal could be a cursor of other code');
$dave->query("DO \$\$ BEGIN DEALLOCATE s; EXECUTE 'PREPARE s AS SELECT jit_approve($asked{trap})'; END \$\$");
sqlstate_ok($approves->('', 's'), 'JA018', 'a prepared statement that other code has replaced');
sqlstate_ok($dave->query("COPY (SELECT jit_approve($asked{trap})) TO STDOUT"), 'JA018', 'COPY of a query approves nothing');
my $approve = $node->safe_psql('postgres', q{SELECT 'jit_approve(numeric, text, interval, text)'::regprocedure::oid});
sqlstate_ok($dave->call_function($approve, $asked{trap}, 'go', '1h', undef), 'JA018', 'nor does a function call of the protocol');
is($node->safe_psql('postgres', "SELECT string_agg(state::text, ' ' ORDER BY id) FROM jit_access.request WHERE id IN ($asked{named}, $asked{trap})"),
	'pending pending', 'none of these has approved anything');
wait_for_drained($node);
is(log_rows($node, "kind = 'refusal' AND login = 'dave' AND sqlstate = 'JA018'"), '4', 'each of these is in the record');
$node->safe_psql('postgres', "SELECT jit_revoke(id) FROM jit_access.active_grants WHERE state = 'active'");
wait_for_cleanup($node, $asked{$_}) for qw(unnamed prepared);

# ---- across the deadline, without a worker
stop_worker($node);
my ($short, $s) = under_grant($node, 'alice', sub {
	my %s = map { $_ => connect_as($node, 'alice') } qw(ended refused pipelined caller stranger);
	for my $name (qw(ended refused))
	{
		$s{$name}->query('BEGIN');
		$s{$name}->parse('', 'SELECT id FROM app.orders');
		$s{$name}->bind('p', '');
		$s{$name}->execute('p', 10);
		$s{$name}->sync;
		my $answer = $s{$name}->finish;
		die $answer->{message} if $answer->{sqlstate};
		die 'not suspended' unless $answer->{suspended} && @{ $answer->{rows} } == 10;
	}
	# An error cancels the server's timeouts, and the portal survives it.
	$s{refused}->query('SAVEPOINT s');
	$s{refused}->query('SELECT 1/0');
	$s{caller}->query('SELECT count(*) FROM app.orders');
	$s{caller}->query('SELECT 1/0');
	$s{pipelined}->parse('q', 'SELECT count(*) FROM app.orders');
	$s{pipelined}->sync;
	$s{pipelined}->finish;
	return \%s;
});
wait_for_deadline($node, $short);
closed_ok($s->{ended}, 'a session with a suspended portal is ended at the deadline');
closed_ok($s->{$_}, "ended after an error as well: $_") for qw(refused caller);
$s->{pipelined}->bind('', 'q');
$s->{pipelined}->execute('', 0);
$s->{pipelined}->sync;
sqlstate_ok($s->{pipelined}->finish, 'JA010', 'a statement parsed before the deadline is refused');
my $last = $node->safe_psql('postgres', 'SELECT last_value FROM app.numbers');
sqlstate_ok($s->{stranger}->call_function($nextval, 'app.numbers'), 'JA010', 'a function call is refused in a session that had not used the grant');
sqlstate_ok($s->{stranger}->call_function($peek), 'JA010', 'and so is one that runs a query');
is($node->safe_psql('postgres', 'SELECT last_value FROM app.numbers'), $last, 'nothing of it has happened');

continue_worker($node);
ok(wait_for_cleanup($node, $short), 'the grant is cleaned up');
ok(wait_for_drained($node), 'the record is complete');
is(log_rows($node, "kind = 'use' AND outcome IS NULL"), '0', 'every use has its outcome');

# ---- a session that exits on its first error, as any user may set it
$node->safe_psql('postgres', 'CREATE SCHEMA secret; CREATE TABLE secret.orders ()');
for my $attempt ([ alice => 'SELECT 1 FROM secret.orders', '42501' ], [ carol => 'SELECT jit_approve(4711)', 'JA003' ])
{
	my ($who, $statement, $sqlstate) = @$attempt;
	my $session = connect_as($node, $who, options => { exit_on_error => 'on' });
	$session->send($statement);
	is($session->await_close->{sqlstate}, $sqlstate, "exit_on_error: $who is refused, and gone");
	ok(wait_for_drained($node), 'exit_on_error: the record is complete');
	is(log_rows($node, "kind = 'refusal' AND login = '$who' AND sqlstate = '$sqlstate' AND statement = '$statement'"), '1', 'exit_on_error: with the attempt');
}
record_is_sound($node, 'wire');
$node->stop('fast');
done_testing();
