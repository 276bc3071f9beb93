
# The worker runs out of a resource: processes, locks, catalogs, transaction ids. Access ends nevertheless, the clean-up
# is done when it is possible again, and the views show the state.
use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use JitTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = jit_node('exhaustion', conf => "max_connections = 30\nmax_locks_per_transaction = 10\n");
my $superuser = $node->safe_psql('postgres', 'SELECT current_user');
my $read = 'SELECT count(*) > 0 FROM app.orders';
$node->safe_psql('postgres', 'CREATE ROLE zed; CREATE DATABASE other');

sub reconfigure
{
	my (%settings) = @_;
	$node->append_conf('postgresql.conf', join '', map { "$_ = $settings{$_}\n" } sort keys %settings);
	$node->restart;
}

sub column_of
{
	my ($column, $id) = @_;
	return $node->safe_psql('postgres', "SELECT $column FROM jit_access.active_grants WHERE id = $id");
}

# Makes a short grant, with a session that runs under it, one that has used it, and one that has not. Then calls
# $exhaust.
sub sessions_under_grant
{
	my ($exhaust) = @_;
	return under_grant($node, 'alice', sub {
		my ($grant) = @_;
		my %s = map { $_ => connect_as($node, 'alice') } qw(used running unused);
		my $result = $s{used}->query($read);
		die $result->{message} if $result->{sqlstate};
		$s{running}->send("$read, pg_sleep(3600)");
		$exhaust->($grant) if $exhaust;
		return \%s;
	});
}

sub refused_at_deadline
{
	my ($id, $s, $name, $how) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	wait_for_deadline($node, $id);
	closed_ok($s->{$_}, "$name: ended at the deadline: $_") for qw(used running);
	like($s->{unused}->query($read)->{sqlstate} // 'allowed', $how // qr/^JA010$/, "$name: refused after it");
	like(connect_as($node, 'alice')->query($read)->{sqlstate} // 'allowed', $how // qr/^JA010$/, "$name: refused in a new session");
}

# ---- every slot for a worker is taken
my $hour = grant_to($node, 'bob', '1 hour');
reconfigure(max_worker_processes => 1);    # the server's own launcher of logical replication takes it
like(slurp_file($node->logfile), qr/too many background workers/, 'no worker could be registered');
my $bob = connect_as($node, 'bob');
$bob->query("SET ROLE jit_grant_$hour");
sqlstate_ok($bob->query($read), 'JA011', 'an unconfirmed grant is refused');
my ($id, $s) = sessions_under_grant();
refused_at_deadline($id, $s, 'without a worker');
is($node->safe_psql('postgres', 'SELECT worker_pid IS NULL AND grants_over = 0 FROM jit_access.health'), 't', 'health says that there is no worker');
is(column_of(q{concat_ws(' ', state, confirmed, time_left)}, $id), 'active f 00:00:00', 'and the grant is shown as not confirmed, with no time left');

# ---- the worker has a slot, but the processes that it starts in other databases have none
reconfigure(max_worker_processes => 2);
ok(wait_for_cleanup($node, $id), 'the clean-up follows when there is a worker');
ok($node->poll_query_until('postgres', "SELECT jit_access.confirmed($hour)"), 'and the other grant is confirmed');
$node->safe_psql('other', "CREATE TABLE left_behind (id int); ALTER TABLE left_behind OWNER TO jit_grant_$hour");
$node->safe_psql('postgres', "SELECT jit_revoke($hour)");
ok($node->poll_query_until('postgres', "SELECT cleanup_error ~ 'left_behind|\"other\".*max_worker_processes' FROM jit_access.active_grants WHERE id = $hour"),
	'a table in another database waits for a worker, and says so');
$id = grant_to($node, 'alice', '1 hour');
$node->safe_psql('postgres', "SELECT jit_revoke($id)");
ok(wait_for_cleanup($node, $id), 'others do not wait');
reconfigure(max_worker_processes => 8);
ok(wait_for_cleanup($node, $hour), 'the clean-up follows when there is one');
is($node->safe_psql('other', q{SELECT tableowner FROM pg_tables WHERE tablename = 'left_behind'}), 'jit_template_changer', 'and the table is handed over');
$node->safe_psql('other', 'DROP TABLE left_behind');

# ---- the worker is killed
($id) = sessions_under_grant(sub {
	kill 'KILL', worker_pid($node);
	$node->poll_query_until('postgres', 'SELECT 1', '1') or die 'the server does not come back';
});
wait_for_deadline($node, $id);
ok(wait_for_cleanup($node, $id), 'a worker that was killed comes back and cleans up');

# ---- the lock table is full: even a login fails, so all sessions connect before
my ($greedy, $inside) = map { connect_as($node, $_) } ('carol', $superuser);
$inside->query('SELECT * FROM jit_access.active_grants');
($id, $s) = sessions_under_grant();
my $deadline = $node->safe_psql('postgres', "SELECT ceil(extract(epoch FROM ends_at)) FROM jit_access.request WHERE id = $id");
my $fill = 'DO $$ BEGIN FOR i IN 1 .. 10000000 LOOP PERFORM pg_advisory_lock(i); END LOOP; EXCEPTION WHEN out_of_memory THEN NULL; END $$';
$greedy->query($fill);
wait_for('the deadline', sub { time > $deadline });
closed_ok($s->{$_}, "lock table full: ended at the deadline: $_") for qw(used running);
# The table is filled again, because the ended sessions have freed some entries.
$greedy->query($fill);
# Reading the roles takes locks as well. Regardless of which step fails first, nothing is read.
like($s->{unused}->query($read)->{sqlstate} // 'allowed', qr/^(JA010|53200)$/, 'lock table full: refused after it');
sqlstate_ok($inside->query('CREATE TABLE app.fits (id int)'), '53200', 'lock table full: it still is');
my $said = qr/could not end request $id: out of shared memory/;
ok(wait_for('the worker fails', sub { slurp_file($node->logfile) =~ $said }), 'the worker cannot write down the end, and says so');
rows_ok($inside->query("SELECT state, cleanup, jit_access.confirmed(id) FROM jit_access.request WHERE id = $id"), 'active,none,f',
	'the grant is shown as not confirmed');
$greedy->quit;
ok(wait_for_cleanup($node, $id), 'the clean-up follows when there are locks again');

# ---- the catalogs are locked by an open transaction
for my $lock ('LOCK TABLE pg_auth_members IN EXCLUSIVE MODE', 'LOCK TABLE pg_authid IN EXCLUSIVE MODE', 'GRANT jit_template_reader TO zed')
{
	my $open = connect_as($node, $superuser);
	($id, $s) = sessions_under_grant(sub {
		my $result = $open->query("BEGIN; $lock");
		die $result->{message} if $result->{sqlstate};
	});
	# If only the role cannot be dropped, the memberships have been revoked by then.
	refused_at_deadline($id, $s, $lock, qr/^(JA010|42501)$/);
	# Before 16, a GRANT of the template's role blocks no REVOKE of it. From 16 on, a session that leaves such a GRANT
	# uncommitted is ended.
	if ($lock !~ /^GRANT/)
	{
		ok($node->poll_query_until('postgres', "SELECT state = 'ended' AND cleanup = 'due' AND cleanup_error IS NOT NULL FROM jit_access.active_grants WHERE id = $id"),
			"$lock: the clean-up is tried, and its failure is shown");
		is($node->safe_psql('postgres', 'SELECT cleanups_failing FROM jit_access.health'), '1', "$lock: health counts it");
	}
	$open->query('ROLLBACK') unless $lock =~ /^GRANT/;
	ok(wait_for_cleanup($node, $id), "$lock: the clean-up follows");
	closed_ok($open, "$lock: the session that left it open is gone") if $lock =~ /^GRANT/ && $node->pg_version >= 16;
}

# ---- a row that cannot be read
my $unreadable = grant_to($node, 'alice', '1 hour');
my $other = grant_to($node, 'bob', '1 hour');
my $role = $node->safe_psql('postgres', "SELECT to_regrole('jit_grant_$unreadable')::oid");
$node->safe_psql('postgres', "UPDATE jit_access.request SET ends_at = NULL WHERE id = $unreadable");
$node->restart;
ok($node->poll_query_until('postgres', "SELECT jit_access.confirmed($other)"), 'another grant is confirmed beside a row without a deadline');
sqlstate_ok(connect_as($node, 'alice')->query($read), 'JA011', 'which gives nothing');
$node->safe_psql('postgres', "UPDATE jit_access.request SET grant_role = NULL, state = 'revoked', cleanup = 'due' WHERE id = $unreadable");
ok($node->poll_query_until('postgres', "SELECT cleanup_attempts > 1 AND cleanup_error IS NOT NULL AND cleanup_next IS NOT NULL FROM jit_access.active_grants WHERE id = $unreadable"),
	'a clean-up with a damaged row is retried');
$node->safe_psql('postgres', "SELECT jit_revoke($other)");
ok(wait_for_cleanup($node, $other), 'another grant is cleaned up meanwhile');
$node->safe_psql('postgres', "UPDATE jit_access.request SET grant_role = $role WHERE id = $unreadable");
ok(wait_for_cleanup($node, $unreadable), 'and this one when its row is mended');

# ---- the owner of the database allows no connections
$id = grant_to($node, 'alice', '1 hour');
$inside = connect_as($node, $superuser);
my $dave = connect_as($node, 'dave');
$node->safe_psql('postgres', 'CREATE ROLE owner LOGIN; ALTER DATABASE postgres OWNER TO owner; GRANT pg_signal_backend TO owner');
my $owner = connect_as($node, 'owner', dbname => 'other');
sqlstate_ok($owner->query($_), 'no error', "the owner of the database: $_")
  for ('ALTER DATABASE postgres CONNECTION LIMIT 0', 'ALTER DATABASE postgres ALLOW_CONNECTIONS false');
my $worker = $inside->query('SELECT worker_pid FROM jit_access.health')->{rows}[0][0];
sqlstate_ok($owner->query("SELECT $_($worker)"), '42501', "the owner with pg_signal_backend: $_") for qw(pg_cancel_backend pg_terminate_backend);
$inside->query("SELECT pg_terminate_backend($worker)");
$dave->query("SELECT jit_revoke($id)");
ok(wait_for('the clean-up', sub { $inside->query("SELECT cleanup FROM jit_access.request WHERE id = $id")->{rows}[0][0] eq 'done' }),
	'the worker comes back into a database without connections, and cleans up');
$node->safe_psql('other', 'ALTER DATABASE postgres ALLOW_CONNECTIONS true; ALTER DATABASE postgres CONNECTION LIMIT -1');

# ---- transaction ids are used up
sub near_the_last_transaction_id
{
	$node->append_conf('postgresql.conf', 'autovacuum_naptime = 2147483');    # until the test resets it
	$node->stop;
	my ($controldata) = run_command([ 'pg_controldata', $node->data_dir ]);
	my ($oldest) = $controldata =~ /oldestXID: +(\d+)/ or die 'pg_controldata says no oldest transaction id';
	my $stop = $oldest + 0x7FFFFFFF - 3_000_000;    # SetTransactionIdLimit() in varsup.c
	my $next = $stop - 400;
	for my $segment (map { sprintf '%s/pg_xact/%04X', $node->data_dir, $_ / (32 * 8192 * 4) } $next, $stop)
	{
		append_to_file($segment, "\0" x (32 * 8192)) unless -e $segment;
	}
	command_ok([ 'pg_resetwal', '-x', $next, $node->data_dir ], 'the server is brought near its last transaction id');
	$node->start;
}

near_the_last_transaction_id();
worker_pid($node);
my $early = grant_to($node, 'bob', '1 hour');
my $holder = connect_as($node, 'bob');
$holder->query("SET ROLE jit_grant_$early");
rows_ok($holder->query($read), 't', 'a grant is used');
$id = grant_to($node, 'alice', '15s');
$s = { map { $_ => connect_as($node, 'alice') } qw(used running unused) };
rows_ok($s->{used}->query($read), 't', 'a grant is used');
$s->{running}->send("$read, pg_sleep(3600)");
my $burner = connect_as($node, $superuser);
sqlstate_ok($burner->query('DO $$ BEGIN LOOP PERFORM pg_current_xact_id(); COMMIT; END LOOP; END $$'), '54000', 'all transaction ids are used up');
ok(!deadline_passed($node, $id), 'before the deadline');
rows_ok(connect_as($node, 'dave')->query("SELECT jit_revoke($early)"), 'revoked', 'no transaction ids: a grant is revoked');
closed_ok($holder, 'no transaction ids: the session that uses it is ended');
refused_at_deadline($id, $s, 'no transaction ids');
$said = qr/could not end request $id: database is not accepting commands/;
ok(wait_for('the worker fails', sub { slurp_file($node->logfile) =~ $said }), 'the worker cannot write down the end, and says so');
is(column_of(q{concat_ws(' ', state, confirmed)}, $id), 'active f', 'the grant is shown as not confirmed');
$node->append_conf('postgresql.conf', 'autovacuum_naptime = 1');
$node->reload;
ok(wait_for_cleanup($node, $_), 'the clean-up follows when old rows have been frozen') for ($id, $early);
is($node->safe_psql('postgres', "SELECT state, closed_by FROM jit_access.request WHERE id = $early"), 'revoked|dave', 'with who revoked it');
ok(wait_for_drained($node), 'the record is complete');
record_is_sound($node, 'exhaustion');

$node->stop('fast');
done_testing();
