
# Stops and crashes while grants are live: an unconfirmed grant gives no access, and no deadline moves.
use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use JitTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = jit_node('restart');
my $read = 'SELECT count(*) > 0 FROM app.orders';

sub crash_of_backend
{
	my $victim = connect_as($node, 'carol');
	kill 'KILL', $victim->pid;
	$victim->await_close;
	$node->poll_query_until('postgres', 'SELECT 1', '1') or die 'the server does not come back';
}

sub kill_postmaster
{
	my $postmaster = (split /\n/, slurp_file($node->data_dir . '/postmaster.pid'))[0];
	my @all = ($postmaster, children_of($postmaster));
	$node->kill9;
	# Child processes of the dead postmaster must exit first.
	wait_for('its processes are gone', sub { !grep { !is_gone($_) } @all });
}

my %stops = (
	'fast restart' => sub { $node->restart },
	'immediate stop' => sub { $node->stop('immediate'); $node->start },
	'kill -9 of a backend' => \&crash_of_backend,
	'kill -9 of the postmaster' => sub { kill_postmaster(); $node->start },
);

my $id = grant_to($node, 'alice', '1 hour');
my $ends = $node->safe_psql('postgres', "SELECT ends_at FROM jit_access.request WHERE id = $id");
for my $how (sort keys %stops)
{
	my $user = connect_as($node, 'alice');
	rows_ok($user->query($read), 't', "$how: the grant is in use");
	$user->send("SELECT pg_sleep(3600) /* $how */");
	ok($node->poll_query_until('postgres', "SELECT count(*) = 1 FROM pg_stat_activity WHERE query LIKE '%/* $how */' AND wait_event = 'PgSleep' AND pid <> pg_backend_pid()"),
		"$how: a statement runs");
	$stops{$how}->();
	closed_ok($user, "$how: the session is gone");
	ok($node->poll_query_until('postgres', "SELECT jit_access.confirmed($id)"), "$how: the grant is confirmed again");
	is($node->safe_psql('postgres', "SELECT ends_at FROM jit_access.request WHERE id = $id"), $ends, "$how: with the deadline it had");
	rows_ok(connect_as($node, 'alice')->query($read), 't', "$how: and can be used");
	ok($node->poll_query_until('postgres', "SELECT count(*) = 1 FROM jit_access.audit_log WHERE kind = 'use' AND outcome = 'interrupted' AND statement LIKE 'SELECT pg_sleep%/* $how */'"),
		"$how: running statements are on the record as interrupted");
}
ok(wait_for_drained($node), 'the record is complete');
record_is_sound($node, 'restart');

# ---- the deadline passes while the server is down
for my $how ('fast', 'immediate', 'kill -9')
{
	my ($short) = under_grant($node, 'bob', sub {
		my ($grant) = @_;
		my $session = connect_as($node, 'bob');
		$session->query("SET ROLE jit_grant_$grant");
		my $result = $session->query($read);
		die $result->{message} if $result->{sqlstate};
	});
	my $deadline = $node->safe_psql('postgres', "SELECT ceil(extract(epoch FROM ends_at)) FROM jit_access.request WHERE id = $short");
	$how eq 'kill -9' ? kill_postmaster() : $node->stop($how);
	ok(wait_for('the deadline passes', sub { time > $deadline }), "$how: the deadline passes while the server is down");
	$node->start;
	my $bob = connect_as($node, 'bob');
	$bob->query("SET ROLE jit_grant_$short");
	my $result = $bob->query($read);
	like($result->{sqlstate} // 'allowed', qr/^(JA010|JA011|42501)$/, "$how: nothing is given afterwards");
	ok(wait_for_cleanup($node, $short), "$how: it is cleaned up");
	is($node->safe_psql('postgres', "SELECT state FROM jit_access.request WHERE id = $short"), 'ended', "$how: and has ended");
}

# ---- no confirmation: the worker cannot read its tables
$node->append_conf('postgresql.conf', "jit_access.database = 'nowhere'");
$node->restart;
sqlstate_ok(connect_as($node, 'alice')->query($read), 'JA011', 'an unconfirmed grant is refused');
sqlstate_ok(connect_as($node, 'alice')->query('SELECT 1'), 'JA011', 'whatever the statement is');
my $alice = connect_as($node, 'alice');
sqlstate_ok($alice->query('BEGIN; ROLLBACK'), 'no error', 'the way out is open');
rows_ok(connect_as($node, 'carol')->query('SELECT 1'), '1', 'a session without a grant is not affected');

$node->append_conf('postgresql.conf', "jit_access.database = 'postgres'");
$node->restart;
ok($node->poll_query_until('postgres', "SELECT jit_access.confirmed($id)"), 'confirmed once the worker has read its tables');
rows_ok(connect_as($node, 'alice')->query($read), 't', 'and the grant can be used again');
ok(wait_for_drained($node), 'the record is complete');
is(log_rows($node, "kind = 'refusal' AND sqlstate = 'JA011' AND login = 'alice' AND grant_id = $id"), '2', 'the refusals are in the record');
record_is_sound($node, 'unconfirmed');

# ---- a session older than the confirmation: the worker waits for a lock that has outlived the restart
$node->safe_psql('postgres', "BEGIN; LOCK TABLE jit_access.request; PREPARE TRANSACTION 'hold'");
my $log_end = -s $node->logfile;
$node->stop('immediate');
$node->start;
my $early = connect_as($node, 'alice');
sqlstate_ok($early->query($read), 'JA011', 'before the grant is confirmed a session is refused');
sqlstate_ok($early->query($read), 'JA011', 'and again');
# The worker gives up at its lock_timeout and tries again.
ok(wait_for('a lock timeout of the worker', sub { slurp_file($node->logfile, $log_end) =~ /could not read the requests: / }),
	'the worker does not get the lock in time');
$node->safe_psql('postgres', "ROLLBACK PREPARED 'hold'");
ok($node->poll_query_until('postgres', "SELECT jit_access.confirmed($id)"), 'the grant is confirmed when the worker can read it');
rows_ok($early->query($read), 't', 'and the session that was refused can use it');

# ---- an approval is on disk before it counts, whatever synchronous_commit of the session is
$node->append_conf('postgresql.conf', 'wal_writer_delay = 10s');    # it would write what the session did not
$node->reload;
my $async = request_as($node, 'bob', 'changer', '2 hours');
my $dave = connect_as($node, 'dave');
$dave->query('SET synchronous_commit = off');
stop_worker($node);                                                 # its commits would take the session's along
rows_ok($dave->query("SELECT jit_approve($async)"), 'active', 'approved by a session that does not wait for the disk');
my $bob = connect_as($node, 'bob');
$bob->query("SET ROLE jit_grant_$async");
rows_ok($bob->query($read), 't', 'and used');
sub kill_all
{
	my $postmaster = (split /\n/, slurp_file($node->data_dir . '/postmaster.pid'))[0];
	my @all = ($postmaster, children_of($postmaster));
	kill 'STOP', @all;                                              # none of them writes any more
	$node->kill9;
	kill 'KILL', @all;
	continue_worker($node);
	wait_for('its processes are gone', sub { !grep { !is_gone($_) } @all });
	$node->start;
}
kill_all();
ok($node->poll_query_until('postgres', "SELECT jit_access.confirmed($async)"), 'the approval outlives a crash');

# ---- a revocation counts before it is committed, and a crash does not revive the grant
for my $end ('is left open', 'is rolled back')
{
	$bob = connect_as($node, 'bob');
	$bob->query("SET ROLE jit_grant_$async");
	rows_ok($bob->query($read), 't', "a revocation that $end: the grant is in use");
	$dave = connect_as($node, 'dave');
	stop_worker($node);
	$dave->query('BEGIN');
	rows_ok($dave->query("SELECT jit_revoke($async)"), 'revoked', "a revocation that $end");
	closed_ok($bob, "a revocation that $end ends the session at once");
	$dave->query('ROLLBACK') if $end eq 'is rolled back';
	kill_all();
	ok($node->poll_query_until('postgres', "SELECT state = 'revoked' FROM jit_access.request WHERE id = $async"), "a revocation that $end outlives a crash");
	unlike(slurp_file($node->logfile), qr/could not write down that grant $async is revoked/, 'and is written down');
	is($node->safe_psql('postgres', "SELECT closed_by FROM jit_access.request WHERE id = $async"), 'dave', 'with who it was');
	ok(wait_for_cleanup($node, $async), 'it is cleaned up');
	$async = grant_to($node, 'bob', '2 hours');
}

$node->safe_psql('postgres', "SELECT jit_revoke($async)");
ok(wait_for_cleanup($node, $async), 'the last one is cleaned up');
record_is_sound($node, 'revocations and crashes');

# ---- without the library nothing is enforced; with it again, nothing comes back unseen
$node->append_conf('postgresql.conf', "shared_preload_libraries = ''");
$node->restart;
sqlstate_ok(connect_as($node, 'dave')->query("SELECT jit_revoke($id)"), 'JA014', 'without the library the functions say so');
$node->append_conf('postgresql.conf', "shared_preload_libraries = 'jit_access'");
$node->restart;
ok($node->poll_query_until('postgres', "SELECT jit_access.confirmed($id)"), 'with the library back the grant is confirmed');
is($node->safe_psql('postgres', "SELECT ends_at FROM jit_access.request WHERE id = $id"), $ends, 'with the deadline it had');

$node->stop('fast');
done_testing();
