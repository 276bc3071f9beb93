
# The actions at the deadline: cancel returns a session to its own privileges, grace lets a running statement go on for an
# interval. A session that does not comply in time is terminated.
use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use JitTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = jit_node('at_deadline');
my $superuser = (getpwuid($<))[0];
$node->safe_psql('postgres', <<'SQL');
SELECT jit_alter_template('reader', at_deadline => 'cancel');
SELECT jit_alter_template('changer', at_deadline => 'cancel');
GRANT SELECT ON pg_proc TO bob;
SQL

my $read = 'SELECT count(*) FROM app.orders';
my $locker = connect_as($node, $superuser);
$locker->query("SELECT pg_advisory_lock(1)");

# ---- cancel ---------------------------------------------------------------------------------------------------------

my $fails_block = q{BEGIN; INSERT INTO app.orders VALUES (2000, 'late')};
my ($id, $s) = under_grant($node, 'alice', sub {
	my %s;
	$s{$_} = connect_as($node, 'alice')
	  for qw(idle running block lock held temp prepared unused trapping procedure open savepoint slow);
	for my $session (qw(idle lock held temp prepared))
	{
		my $result = $s{$session}->query($read);
		die "$session: $result->{message}" if $result->{sqlstate};
	}
	$s{held}->query('DECLARE h CURSOR WITH HOLD FOR SELECT id FROM app.orders');
	$s{temp}->query('CREATE TEMP TABLE kept AS SELECT * FROM app.orders');
	$s{prepared}->query('PREPARE one AS SELECT 1; PREPARE orders AS SELECT id FROM app.orders');
	$s{running}->send("$read, generate_series(1, 1000000000)");
	$s{block}->query('BEGIN; DECLARE c CURSOR FOR SELECT id FROM app.orders; FETCH 1 FROM c');
	$s{block}->send('SELECT count(*) FROM app.orders, generate_series(1, 1000000000)');
	$s{lock}->send('SELECT pg_advisory_lock(1) FROM app.orders LIMIT 1');
	$s{trapping}->send(<<'SQL');
DO $$ DECLARE n bigint := 0; BEGIN PERFORM FROM app.orders;
LOOP BEGIN LOOP n := n + 1; END LOOP; EXCEPTION WHEN query_canceled THEN NULL; END; END LOOP; END $$
SQL
	$s{procedure}->send(<<'SQL');
DO $$ BEGIN PERFORM FROM app.orders;
LOOP BEGIN LOOP END LOOP; EXCEPTION WHEN query_canceled THEN NULL; END; COMMIT; END LOOP; END $$
SQL
	$s{open}->query(q{BEGIN; INSERT INTO app.orders VALUES (2000, 'late')});
	$s{savepoint}->query("BEGIN; $read; SAVEPOINT s");
	$s{savepoint}->send('SELECT count(*) FROM app.orders, generate_series(1, 1000000000)');
	$s{slow}->send(q{COPY (SELECT repeat('x', 1000) FROM app.orders, generate_series(1, 1000000)) TO STDOUT});
	$node->poll_query_until('postgres', q{SELECT count(DISTINCT pid) = 8 FROM pg_locks WHERE relation = 'app.orders'::regclass AND granted})
	  or die 'they do not begin';
	return \%s;
});
wait_for_deadline($node, $id);

for my $session (qw(running block lock))
{
	my $result = $s->{$session}->finish;
	sqlstate_ok($result, '57014', "$session: cancelled at the deadline");
	is($result->{detail}, "Grant $id has ended; the session goes on without it.", "$session: and told why");
}
is($s->{block}->query('SELECT 1')->{sqlstate}, '25P02', 'the transaction is over');
$s->{block}->query('ROLLBACK');
closed_ok($s->{$_}, "terminated, since it does not come out of its transaction: $_")
  for qw(trapping procedure open savepoint slow);
is($node->safe_psql('postgres', 'SELECT count(*) FROM app.orders WHERE id = 2000'), '0', 'and nothing of it is there');

ok(wait_for_cleanup($node, $id), 'the grant is cleaned up while the sessions live');
for my $session (qw(idle running block lock held temp prepared unused))
{
	# The first answer may still be a refusal, if the statement was sent before the session left the grant.
	ok(wait_for("$session", sub { !$s->{$session}->query('SELECT 1')->{sqlstate} }), "$session: goes on with its own privileges");
	sqlstate_ok($s->{$session}->query($read), '42501', "$session: which are not those of the grant");
}
sqlstate_ok($s->{held}->query('FETCH ALL FROM h'), '34000', 'the cursor is gone');
sqlstate_ok($s->{temp}->query('SELECT * FROM kept'), '42P01', 'the temporary table is gone');
rows_ok($s->{prepared}->query('EXECUTE one'), '1', 'a prepared statement of its own is still there');
sqlstate_ok($s->{prepared}->query('EXECUTE orders'), '42501', 'a prepared statement that needs the grant is denied');
is($node->safe_psql('postgres', "SELECT count(*) FROM pg_class WHERE relname = 'kept'"), '0', 'nothing is left of it');

# ---- cancel, and the role that was chosen
($id, $s) = under_grant($node, 'bob', sub {
	my ($id) = @_;
	my %s = map { $_ => connect_as($node, 'bob') } qw(role back own);
	for my $session (values %s)
	{
		$session->query("SET ROLE jit_grant_$id");
		my $result = $session->query($read);
		die $result->{message} if $result->{sqlstate};
	}
	$s{back}->query('DECLARE h CURSOR WITH HOLD FOR SELECT id FROM app.orders');
	$s{back}->query('RESET ROLE');
	$s{own}->query('RESET ROLE');
	$s{own}->send('SELECT pg_advisory_lock_shared(1)');
	return \%s;
});
ok(wait_for_cleanup($node, $id), 'a grant of mode set_role is cleaned up while the sessions live');
ok(wait_for('role', sub { !$s->{role}->query('SELECT 1')->{sqlstate} }), 'a session that had put the role on goes on');
rows_ok($s->{role}->query('SELECT current_user, session_user'), 'bob,bob', 'with its own');
ok(wait_for('back', sub { !$s->{back}->query('SELECT 1')->{sqlstate} }), 'a session that had taken it off goes on');
sqlstate_ok($s->{back}->query('FETCH ALL FROM h'), '34000', 'without the cursor');
$locker->query('SELECT pg_advisory_unlock(1)');
sqlstate_ok($s->{own}->finish, 'no error', 'a statement without the grant was left alone');
$locker->query('SELECT pg_advisory_lock(2)');

# ---- cancel after a revoke
$id = grant_to($node, 'alice', '1h');
my %r = map { $_ => connect_as($node, 'alice') } qw(running idle temp);
$r{$_}->query($read) for qw(idle temp);
$r{temp}->query('CREATE TEMP TABLE kept AS SELECT * FROM app.orders');
$r{running}->send("$read WHERE pg_advisory_lock(2) IS NOT NULL");
$node->poll_query_until('postgres', "SELECT count(*) = 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted")
  or die 'it does not wait';
$node->safe_psql('postgres', "SELECT jit_revoke($id)", extra_params => [ '-U', 'dave' ]);
sqlstate_ok($r{running}->finish, '57014', 'cancelled when the grant is revoked');
ok(wait_for($_, sub { !$r{$_}->query('SELECT 1')->{sqlstate} }), "revoked, $_: goes on with its own privileges") for sort keys %r;
sqlstate_ok($r{$_}->query($read), '42501', "revoked, $_: which are not those of the grant") for sort keys %r;
sqlstate_ok($r{temp}->query('SELECT * FROM kept'), '42P01', 'revoked: the temporary table is gone');
ok(wait_for_cleanup($node, $id), 'a revoked grant is cleaned up while the sessions live');

# ---- a session that has not left its ended grant may run nothing, not even in one message with an earlier statement
($id, $s) = under_grant($node, 'alice', sub {
	my $session = connect_as($node, 'alice');
	$session->query('CREATE TEMP TABLE kept AS SELECT * FROM app.orders');
	stop_worker($node);
	return $session;
});
wait_for_deadline($node, $id);
sqlstate_ok($s->query('SELECT 1'), 'JA010', 'as long as the membership is there, nothing is allowed');
sqlstate_ok($s->query('BEGIN; SELECT 1'), 'JA010', 'nor in a block');
sqlstate_ok($s->query('ROLLBACK'), 'no error', 'which can be left');
is($node->safe_psql('postgres', "SELECT count(*) FROM pg_class WHERE relname = 'kept'"), '0',
	'the temporary table is gone by then, whatever the worker does');
continue_worker($node);
ok(wait_for_cleanup($node, $id), 'cleaned up when the worker goes on');
ok(wait_for('debt', sub { !$s->query('SELECT 1')->{sqlstate} }), 'then the session has its own privileges');

# ---- grace ----------------------------------------------------------------------------------------------------------

$node->safe_psql('postgres', q{SELECT jit_alter_template('reader', at_deadline => 'grace', grace_period => '1h')});
($id, $s) = under_grant($node, 'alice', sub {
	my %s = map { $_ => connect_as($node, 'alice') } qw(running loop writer idle);
	$s{running}->send("$read WHERE pg_advisory_lock_shared(2) IS NOT NULL");
	$s{loop}->send('DO $$ BEGIN PERFORM pg_advisory_lock_shared(2) FROM app.orders; PERFORM FROM app.orders; END $$');
	for my $session (qw(writer idle))
	{
		my $result = $s{$session}->query($read);
		die $result->{message} if $result->{sqlstate};
	}
	$s{writer}->query(q{BEGIN; INSERT INTO app.orders VALUES (3000, 'in grace')});
	stop_worker($node);    # the membership stays, so that the refusals are ours
	return \%s;
});
wait_for_deadline($node, $id);
closed_ok($s->{idle}, 'grace: a session that runs nothing is ended');
sqlstate_ok(connect_as($node, 'alice')->query($read), 'JA010', 'grace: nothing starts after the deadline');
$locker->query('SELECT pg_advisory_unlock(2)');
rows_ok($s->{running}->finish, '100', 'grace: a running statement goes on to its end');
sqlstate_ok($s->{loop}->finish, 'JA010', 'grace: but nothing starts in it');
continue_worker($node);
ok($node->poll_query_until('postgres', "SELECT cleanup = 'due' AND cleanup_next IS NOT NULL FROM jit_access.request WHERE id = $id"),
	'grace: the role stays for open cursors');
sqlstate_ok($s->{writer}->query('SELECT 1'), 'JA010', 'grace: an open transaction starts nothing more');
sqlstate_ok($s->{writer}->query('ROLLBACK'), 'no error', 'grace: it can be left');
ok(wait_for_cleanup($node, $id), 'grace: cleaned up as soon as nothing runs');
closed_ok($s->{$_}, "grace: then the session is ended: $_") for qw(writer running loop);

($id, $s) = under_grant($node, 'alice', sub {
	my $writer = connect_as($node, 'alice');
	my $result = $writer->query(q{BEGIN; INSERT INTO app.orders VALUES (3001, 'in grace')});
	die $result->{message} if $result->{sqlstate};
	return $writer;
});
wait_for_deadline($node, $id);
sqlstate_ok($s->query('COMMIT'), 'no error', 'grace: changes made before the deadline may be committed');
is($node->safe_psql('postgres', 'SELECT count(*) FROM app.orders WHERE id = 3001'), '1', 'grace: and is there');

# After a revocation there is no grace interval.
$id = grant_to($node, 'alice', '1h');
my $running = connect_as($node, 'alice');
$running->send("$read, generate_series(1, 1000000000)");
$node->poll_query_until('postgres', "SELECT count(*) = 1 FROM jit_access.audit_log WHERE grant_id = $id AND kind = 'use'")
  or die 'it does not run';
$node->safe_psql('postgres', "SELECT jit_revoke($id)", extra_params => [ '-U', 'dave' ]);
closed_ok($running, 'grace: a revoked grant has none');

# The interval ends even without the worker.
$node->safe_psql('postgres', q{SELECT jit_alter_template('reader', grace_period => '1s')});
($id, $running) = under_grant($node, 'alice', sub {
	my $session = connect_as($node, 'alice');
	$session->send("$read, generate_series(1, 1000000000)");
	$node->poll_query_until('postgres',
		"SELECT count(*) = 1 FROM pg_stat_activity WHERE usename = 'alice' AND state = 'active'") or die 'it does not run';
	stop_worker($node);
	return $session;
});
closed_ok($running, 'grace: at its end a running statement is stopped, by its own backend');
continue_worker($node);
ok(wait_for_cleanup($node, $id), 'grace: and cleaned up');

done_testing();
