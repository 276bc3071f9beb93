
# A hot standby with the library: it enforces deadlines by its own clock and refuses decisions; a promotion keeps the
# grants.
use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use JitTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $primary = jit_node('primary', init => { allows_streaming => 1 });
my $id = grant_to($primary, 'alice', '2 hours');
my $ends = $primary->safe_psql('postgres', "SELECT ends_at FROM jit_access.request WHERE id = $id");
my $read = 'SELECT count(*) > 0 FROM app.orders';

$primary->backup('backup');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($primary, 'backup', has_streaming => 1);
$standby->append_conf('postgresql.conf', "wal_receiver_status_interval = 1\nhot_standby_feedback = on");
$standby->start;
$primary->wait_for_catchup($standby, 'replay');

# ---- decisions are refused
for my $call (q{jit_request('reader', '1h')}, 'jit_cancel(1)', q{jit_extend(1, '1h')}, 'jit_revoke(1)')
{
	sqlstate_ok(connect_as($standby, 'carol')->query("SELECT $call"), 'JA017', "on a standby: $call");
}
sqlstate_ok(connect_as($standby, 'dave')->query("SELECT $_"), 'JA017', "on a standby: $_") for ('jit_approve(1)', q{jit_deny(1, 'no')});
is($standby->safe_psql('postgres', 'SELECT 1'), '1', 'the standby works');
is($standby->safe_psql('postgres', 'SELECT pg_is_in_recovery()'), 't', 'as a standby');
isnt($standby->safe_psql('postgres', 'SELECT journal_node FROM jit_access.health'), $primary->safe_psql('postgres', 'SELECT journal_node FROM jit_access.health'),
	'with a journal of its own');

# ---- the worker follows the replayed tables
ok($standby->poll_query_until('postgres', "SELECT jit_access.confirmed($id)"), 'the grant is confirmed there');
rows_ok(connect_as($standby, 'alice')->query($read), 't', 'and used');
sqlstate_ok(connect_as($standby, 'bob')->query($read), '42501', 'by its holder only');

# ---- a deadline passes while replay is paused, and the worker is stopped
my ($short, $sessions) = under_grant($primary, 'bob', sub {
	my ($grant) = @_;
	$primary->wait_for_catchup($standby, 'replay');
	$standby->poll_query_until('postgres', "SELECT jit_access.confirmed($grant)") or die 'not confirmed';
	my %s = map { $_ => connect_as($standby, 'bob') } qw(used unused sleeping);
	$s{$_}->query("SET ROLE jit_grant_$grant") for keys %s;
	my $result = $s{used}->query($read);
	die $result->{message} if $result->{sqlstate};
	$s{sleeping}->send('SELECT pg_sleep(3600)');
	$standby->safe_psql('postgres', 'SELECT pg_wal_replay_pause()');
	stop_worker($standby);
	return \%s;
});
wait_for_deadline($primary, $short);
closed_ok($sessions->{$_}, "ended at the deadline on the standby: $_") for qw(used sleeping);
sqlstate_ok($sessions->{unused}->query($read), 'JA010', 'refused on the standby after the deadline');
continue_worker($standby);
$standby->safe_psql('postgres', 'SELECT pg_wal_replay_resume()');
ok(wait_for_cleanup($primary, $short), 'the primary cleans up');
$primary->wait_for_catchup($standby, 'replay');
is($standby->safe_psql('postgres', "SELECT to_regrole('jit_grant_$short') IS NULL"), 't', 'and the standby follows');

# ---- a revocation on the primary reaches the standby, beside a row that cannot be read
my $unreadable = grant_to($primary, 'alice', '1 hour');
my $revoked = grant_to($primary, 'bob', '1 hour');
$primary->wait_for_catchup($standby, 'replay');
ok($standby->poll_query_until('postgres', "SELECT jit_access.confirmed($revoked)"), 'another grant is confirmed there');
my $bob = connect_as($standby, 'bob');
$bob->query("SET ROLE jit_grant_$revoked");
rows_ok($bob->query($read), 't', 'and used');
$primary->safe_psql('postgres', "UPDATE jit_access.request SET ends_at = NULL WHERE id = $unreadable; SELECT jit_revoke($revoked)");
$primary->wait_for_catchup($standby, 'replay');
closed_ok($bob, 'a revocation ends its session there');
ok($standby->poll_query_until('postgres', "SELECT NOT jit_access.confirmed($unreadable)"), 'and a grant with an unreadable deadline is not live there');
$primary->safe_psql('postgres', "UPDATE jit_access.request SET ends_at = activated_at + duration WHERE id = $unreadable; SELECT jit_revoke($unreadable)");
ok(wait_for_cleanup($primary, $unreadable), 'it is cleaned up when its row is mended');
$primary->wait_for_catchup($standby, 'replay');

# ---- a restarted standby confirms nothing until its worker has read the tables
$standby->restart;
$standby->poll_query_until('postgres', "SELECT jit_access.confirmed($id)") or die 'not confirmed again';
rows_ok(connect_as($standby, 'alice')->query($read), 't', 'confirmed again after a restart of the standby');

# ---- promotion
my $kept = connect_as($standby, 'alice');
rows_ok($kept->query($read), 't', 'a session uses the grant');
my $running = connect_as($primary, 'alice', options => { application_name => 'runs on the primary' });
$running->query('BEGIN; DECLARE c CURSOR FOR SELECT * FROM app.orders; FETCH 1 FROM c');
ok(wait_for_drained($primary), 'the record of the primary is complete');
$primary->wait_for_catchup($standby, 'replay');
$primary->stop('immediate');
$standby->promote;
ok($standby->poll_query_until('postgres', 'SELECT NOT pg_is_in_recovery()'), 'promoted');
rows_ok($kept->query($read), 't', 'the session goes on');
rows_ok(connect_as($standby, 'alice')->query($read), 't', 'and new ones come');
is($standby->safe_psql('postgres', "SELECT ends_at = '$ends' AND jit_access.confirmed(id) AND state = 'active' FROM jit_access.request WHERE id = $id"),
	't', 'with the deadline it had');
ok(wait_for_drained($standby), 'the record is complete');
cmp_ok(log_rows($standby, "kind = 'use' AND login = 'alice' AND statement = '$read' AND outcome = 'completed'"), '>=', 4,
	'with the uses on the former standby');
ok( $standby->poll_query_until('postgres', q{SELECT array_agg(outcome) = '{interrupted}' FROM jit_access.audit_log WHERE application = 'runs on the primary' AND tag = 'SELECT'}),
	'statements that were running on the primary were interrupted');
$standby->restart;
ok($standby->poll_query_until('postgres', "SELECT jit_access.confirmed($id)"), 'the promoted server confirms the grant after a restart: it is its own now');
my $new = grant_to($standby, 'bob', '1 hour');
ok($new > $id, 'the promoted server decides');
$standby->safe_psql('postgres', "SELECT jit_revoke($_)") for ($id, $new);
ok(wait_for_cleanup($standby, $_), 'and cleans up') for ($id, $new);
record_is_sound($standby, 'promoted');

$standby->stop('fast');
done_testing();
