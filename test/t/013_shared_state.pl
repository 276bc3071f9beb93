
# Processes check what they find in shared memory: an entry that a process left behind never ends another session. A
# commit and the session's timers check both clocks. The test changes shared memory itself, which it reaches because the
# server uses System V shared memory.
use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use JitTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = jit_node('board', conf => "shared_memory_type = sysv\nshared_buffers = 1MB\njit_access.journal_size = 1MB\n");
my $superuser = $node->safe_psql('postgres', 'SELECT current_user');

# ---- the layout, see include/jit_access/shared/shared_state.hpp
my $segment = (split ' ', (split /\n/, slurp_file($node->data_dir . '/postmaster.pid'))[6])[1];

sub memory
{
	my $size = $node->safe_psql('postgres', 'SELECT pg_size_bytes(current_setting(\'shared_memory_size\'))');
	shmread($segment, my $memory, 0, $size - 1024 * 1024) or die "cannot read segment $segment: $!";
	return $memory;
}

# Returns the only address, aligned like the entries of shared memory, at which these bytes are stored.
sub place_of
{
	my ($bytes, $what) = @_;
	my ($memory, $at, @places) = (memory(), -1);
	while (($at = index($memory, $bytes, $at + 1)) >= 0) { push @places, $at if $at % 64 == 0; }
	die scalar(@places) . " places look like $what" unless @places == 1;
	return $places[0];
}

# SessionSlot: pid, start, number of grants used, their ids.
sub place_of_session
{
	my ($session, $grant) = @_;
	my $start = $node->safe_psql('postgres',
		"SELECT ((extract(epoch FROM backend_start) - 946684800) * 1000000)::bigint FROM pg_stat_activity WHERE pid = " . $session->pid);
	return place_of(pack('l< x4 q< L< x4 Q<', $session->pid, $start, 1, $grant), 'the session');
}

# Slot: state (2 is live), id, the roles of grant and requester, both deadlines.
sub place_of_deadlines
{
	my ($grant, $requester) = @_;
	my @roles = split /\|/, $node->safe_psql('postgres', "SELECT 'jit_grant_$grant'::regrole::oid, '$requester'::regrole::oid");
	return 24 + place_of(pack('L< x4 Q< L<2', 2, $grant, @roles), "the slot of grant $grant");
}

# The time in microseconds, as the server counts them.
sub wall_clock { return $node->safe_psql('postgres', 'SELECT ((extract(epoch FROM clock_timestamp()) - 946684800) * 1000000)::bigint'); }
sub boot_clock { return int((split ' ', slurp_file('/proc/uptime'))[0] * 1_000_000); }

sub works
{
	my ($session, $sql) = @_;
	my $result = $session->query($sql);
	die "$sql: $result->{message}" if $result->{sqlstate};
}

my $read = 'SELECT count(*) > 0 FROM app.orders';

# ---- process ids of ended sessions, now those of others
my $id = grant_to($node, 'alice', '1 hour');
my %alice = map { $_ => connect_as($node, 'alice') } qw(program session used);
works($_, $read) for values %alice;
my $carol = connect_as($node, 'carol');
works($carol, 'SELECT 1');
my $program = fork() // die "cannot fork: $!";
if (!$program) { exec 'sleep', '3600' or die "cannot sleep: $!"; }
my %now = (program => $program, session => $carol->pid);
for my $whose (sort keys %now)
{
	my $place = place_of_session($alice{$whose}, $id);
	shmwrite($segment, pack('l<', $now{$whose}), $place, 4) or die "cannot write: $!";
}
connect_as($node, 'dave')->query("SELECT jit_revoke($id)");
closed_ok($alice{used}, 'a session that used the grant is ended');
ok(wait_for_cleanup($node, $id), 'the grant is cleaned up, after the sweeps of the worker');
is(waitpid($program, 1), 0, 'a program that has the process id of an entry left behind is not signalled');    # WNOHANG
sqlstate_ok($carol->query('SELECT 1'), 'no error', 'nor is a session that has it');
kill 'KILL', $program;
waitpid $program, 0;

# ---- a session has room for eight grants; a ninth could not end it, so it is refused
my $alices = $node->safe_psql('postgres', q{SELECT string_agg(jit_request('reader', '1 hour')::text, ',') FROM generate_series(1, 8)}, extra_params => [ '-U', 'alice' ]);
$node->safe_psql('postgres', "SELECT jit_approve(id) FROM unnest(ARRAY[$alices]) AS id", extra_params => [ '-U', 'dave' ]);
my $ninth = grant_to($node, 'bob', '1 hour');
my $many = connect_as($node, $superuser);
works($many, $_) for 'SET ROLE alice', $read, 'RESET ROLE', "SET ROLE jit_grant_$ninth";
sqlstate_ok($many->query($read), 'JA009', 'a ninth grant is refused');
works($many, 'RESET ROLE');
$node->safe_psql('postgres', "SELECT jit_revoke($ninth)");
ok(wait_for_cleanup($node, $ninth), 'the ninth is cleaned up');
sqlstate_ok($many->query('SELECT 1'), 'no error', 'and has not ended the session');
$node->safe_psql('postgres', "SELECT jit_revoke(id) FROM unnest(ARRAY[$alices]) AS id");
closed_ok($many, 'the others do');
ok(wait_for_cleanup($node, $_), "grant $_ is cleaned up") for split /,/, $alices;

# ---- a deadline between the last statement and the COMMIT, before any signal
stop_worker($node);
my $bobs = grant_to($node, 'bob', '1 hour');
my %bob = map { $_ => connect_as($node, 'bob') } qw(writes reads);
works($bob{writes}, "BEGIN; SET ROLE jit_grant_$bobs; INSERT INTO app.orders VALUES (3000, 'late'); RESET ROLE");
works($bob{reads}, "BEGIN; SET ROLE jit_grant_$bobs; $read; RESET ROLE");
my $deadlines = place_of_deadlines($bobs, 'bob');
shmwrite($segment, pack('q<', wall_clock()), $deadlines, 8) or die "cannot write: $!";
sqlstate_ok($bob{writes}->query('COMMIT'), 'JA010', 'COMMIT of changes under the grant fails after the deadline');
sqlstate_ok($bob{reads}->query('COMMIT'), 'no error', 'COMMIT after reading does not');
is($node->safe_psql('postgres', 'SELECT count(*) FROM app.orders WHERE id = 3000'), '0', 'nothing was written');
continue_worker($node);
closed_ok($bob{$_}, "then the session is ended: $_") for sort keys %bob;
ok(wait_for_cleanup($node, $bobs), 'the grant is cleaned up');

# ---- each of the two clocks stops what runs, by the session's own timers
my %clock = (wall => { at => 0, now => \&wall_clock }, boot => { at => 8, now => \&boot_clock });
for my $name (sort keys %clock)
{
	my ($grant, $runs);
	for (my $seconds = 1; $seconds <= 128 && !$runs; $seconds *= 2)
	{
		$grant = grant_to($node, 'alice', '1 hour');
		stop_worker($node);
		my $session = connect_as($node, 'alice');
		my $place = $clock{$name}{at} + place_of_deadlines($grant, 'alice');
		shmwrite($segment, pack('q<', $clock{$name}{now}->() + $seconds * 1_000_000), $place, 8) or die "cannot write: $!";
		if (!$session->query($read)->{sqlstate}) { $runs = $session->send('SELECT pg_sleep(3600)'); last; }
		continue_worker($node);
		wait_for_cleanup($node, $grant);
	}
	closed_ok($runs, "a running statement is stopped when the $name clock reaches the deadline");
	continue_worker($node);
	ok(wait_for_cleanup($node, $grant), 'the grant is cleaned up');
}

record_is_sound($node, 'board');
unlike(slurp_file($node->logfile), qr/was terminated by signal/, 'nothing has crashed');
$node->stop('fast');
done_testing();
