# Commands of a session while it leaves a grant, and effects of other sessions on it.
use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use JitTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = jit_node('leaving');
$node->safe_psql('postgres', <<'SQL');
SELECT jit_alter_template('reader', at_deadline => 'cancel');
SELECT jit_alter_template('changer', at_deadline => 'cancel');
CREATE ROLE frank LOGIN IN ROLE jit_admin;
SQL

# ---- a session that exits before it has left its ended grant drops its temporary tables, in one more transaction
my ($id, $s) = under_grant($node, 'alice', sub {
	my $session = connect_as($node, 'alice');
	$session->query('CREATE TEMP TABLE mine (id int)');
	my $result = $session->query('BEGIN; SELECT count(*) FROM app.orders');
	die $result->{message} if $result->{sqlstate};
	return $session;
}, 1);
my $bystander = connect_as($node, 'carol');
closed_ok($s, 'a session with a temporary table is ended in its block');
ok(wait_for_cleanup($node, $id), 'and the grant is cleaned up');
rows_ok($bystander->query('SELECT 1'), '1', 'another session is not affected');
is($node->safe_psql('postgres', "SELECT count(*) FROM pg_class WHERE relname = 'mine'"), '0', 'the table is gone');

# ---- a held cursor is read without a statement after its commit, so it must be closed at the end of the grant
sub keeps_a_cursor
{
	my ($id) = @_;
	my $session = connect_as($node, 'bob');
	$session->query("SET ROLE jit_grant_$id");
	my $result = $session->query(
		"DECLARE h CURSOR WITH HOLD FOR SELECT o.id, repeat('x', 1000) FROM app.orders o, generate_series(1, 1000)");
	die $result->{message} if $result->{sqlstate};
	$session->query('RESET ROLE');
	return $session;
}

# Sends messages like a client that does not end its transaction with a Sync.
sub run_next { my ($s, $sql) = @_; $s->parse('', $sql); $s->bind('', ''); $s->execute('', 0); }

my $locker = connect_as($node, (getpwuid($<))[0]);
$locker->query('SELECT pg_advisory_lock(1)');

sub goes_on
{
	my ($session, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $result;
	wait_for($name, sub { $result = $session->query('SELECT 1'); return $result->{closed} || !$result->{sqlstate} });
	rows_ok($result, '1', "$name goes on");
	sqlstate_ok($session->query('FETCH FROM h'), '34000', "$name has it no more");
}

# The sessions do all this by themselves. Half a second after the deadline the worker would end those that have not left,
# and a client on a busy machine may need longer than that to send its ROLLBACK.
stop_worker($node);
($id, $s) = under_grant($node, 'bob', sub {
	my ($id) = @_;
	my %s = map { $_ => keeps_a_cursor($id) } qw(block unsynced fetch own pipelined failed);
	$s{block}->query('BEGIN; SELECT 1');
	$s{failed}->query('BEGIN; SELECT 1/0');
	run_next($s{unsynced}, 'SELECT 1');
	$s{unsynced}->flush;
	$s{unsynced}->collect('C');
	$s{fetch}->send('FETCH ALL FROM h');
	$s{own}->send('SELECT pg_advisory_lock_shared(1)');
	run_next($s{pipelined}, 'SELECT pg_advisory_lock_shared(1)');
	$s{pipelined}->execute('h', 3);
	$s{pipelined}->sync;
	return \%s;
}, 2);
wait_for_deadline($node, $id);
closed_ok($s->{$_}, "a held cursor: a session is ended that does not come out of its transaction: $_") for qw(block unsynced fetch);
sqlstate_ok($s->{own}->finish, '57014', 'a held cursor: the running statement is cancelled');
my $result = $s->{pipelined}->finish;
sqlstate_ok($result, '57014', 'a held cursor: so is a statement in one message with the next read of it');
rows_ok($result, '', 'a held cursor: which shows nothing');
# The timer of the session cancels what is running, even a ROLLBACK.
wait_for('ROLLBACK', sub { $result = $s->{failed}->query('ROLLBACK'); return ($result->{sqlstate} // '') ne '57014' });
sqlstate_ok($result, 'no error', 'a held cursor: a transaction that has failed can be left');
goes_on($s->{$_}, "a held cursor: $_") for qw(own pipelined failed);
continue_worker($node);
ok(wait_for_cleanup($node, $id), 'a held cursor: the grant is cleaned up');

# After a revocation no timer fires.
$id = grant_to($node, 'bob', '1h');
my %r = map { $_ => keeps_a_cursor($id) } qw(block own idle);
$r{block}->query('BEGIN; SELECT 1');
$r{own}->send('SELECT pg_advisory_lock_shared(1)');
$node->poll_query_until('postgres', "SELECT count(*) = 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted")
  or die 'it does not wait';
$node->safe_psql('postgres', "SELECT jit_revoke($id)", extra_params => [ '-U', 'dave' ]);
closed_ok($r{block}, 'a held cursor, revoked: a session is ended that does not come out of its transaction');
sqlstate_ok($r{own}->finish, '57014', 'a held cursor, revoked: the running statement is cancelled');
goes_on($r{$_}, "a held cursor, revoked: $_") for qw(own idle);
ok(wait_for_cleanup($node, $id), 'a held cursor, revoked: the grant is cleaned up');

# ---- a holder that keeps the row of its grant locked does not keep the grant
$node->safe_psql('postgres', q{SELECT jit_alter_template('changer', holder_extension => '1h')});
for my $call ('jit_revoke(%s)', q{jit_extend(%s, '1s')})
{
	$id = grant_to($node, 'bob', '1h');
	my $holder = connect_as($node, 'bob');
	my $result = $holder->query('BEGIN; SELECT ' . sprintf($call, $id));
	die $result->{message} if $result->{sqlstate};
	sqlstate_ok(connect_as($node, 'carol')->query("SELECT jit_revoke($id)"), 'JA003', "$call left open: nothing for strangers");
	rows_ok($holder->query('SELECT 1'), '1', "$call left open: which end no session of another user");
	rows_ok(connect_as($node, 'dave')->query("SET statement_timeout = '60s'; SELECT jit_revoke($id)"),
		'revoked', "$call left open: an approver ends the grant");
	closed_ok($holder, "$call left open: and the session that blocks it");
	ok(wait_for_cleanup($node, $id), "$call left open: cleaned up");
}

($id, $s) = under_grant($node, 'bob', sub {
	my ($id) = @_;
	my $session = connect_as($node, 'bob');
	my $result = $session->query("BEGIN; SELECT jit_extend($id, '1s')");
	die $result->{message} if $result->{sqlstate};
	return $session;
}, 1);
closed_ok($s, 'jit_extend left open over the deadline: the session is ended');
ok(wait_for_cleanup($node, $id), 'jit_extend left open over the deadline: cleaned up');

# ---- an extension that commits after the end extends nothing, not even a statement in grace
$node->safe_psql('postgres', q{SELECT jit_alter_template('reader', at_deadline => 'grace', grace_period => '1s')});
($id, $s) = under_grant($node, 'alice', sub {
	my ($id) = @_;
	my %s = (running => connect_as($node, 'alice'), approver => connect_as($node, 'dave'));
	$s{running}->send('SELECT count(*) FROM app.orders, generate_series(1, 1000000000)');
	my $result = $s{approver}->query("BEGIN; SELECT jit_extend($id, '1h')");
	die $result->{message} if $result->{sqlstate};
	return \%s;
}, 1);
wait_for_deadline($node, $id);
sqlstate_ok($s->{approver}->query('COMMIT'), 'JA005', 'an extension cannot be committed after the deadline');
closed_ok($s->{running}, 'a running statement has its grace from the old deadline');
ok(wait_for_cleanup($node, $id), 'the grant is cleaned up');
is($node->safe_psql('postgres', "SELECT ends_at <= closed_at FROM jit_access.request WHERE id = $id"), 't', 'and was not extended');

$node->safe_psql('postgres', q{SELECT jit_alter_template('reader', grace_period => '1h')});
($id, $s) = under_grant($node, 'alice', sub {
	my $session = connect_as($node, 'alice');
	$session->query('DECLARE h CURSOR WITH HOLD FOR SELECT id FROM app.orders');
	my $result = $session->query('BEGIN; SELECT count(*) FROM app.orders');
	die $result->{message} if $result->{sqlstate};
	return $session;
}, 1);
closed_ok($s, 'a session that could read on from a held cursor has no grace');
ok(wait_for_cleanup($node, $id), 'so the grant is cleaned up');

# ---- a requester that leaves its transaction open does not keep the template from being changed
my $asks = connect_as($node, 'alice');
rows_ok($asks->query(q{BEGIN; SELECT count(jit_request('reader', '1h'))}), '1', 'a request that is not committed');
my $administrator = connect_as($node, 'frank');
rows_ok($administrator->query(q{SET statement_timeout = '60s'; SELECT jit_alter_template('reader', approvers => '{erin}') > 1}),
	't', 'an administrator changes the template');
closed_ok($asks, 'the session that blocks it is ended');

unlike(slurp_file($node->logfile), qr/WARNING|signal 11/, 'the server has seen nothing unusual');

done_testing();
