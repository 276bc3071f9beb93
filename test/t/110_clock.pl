
# The wall clock is set, with the production build: setting it back extends no grant, setting it forward only shortens
# grants, and the jump is recorded. set_clock.c moves the wall clock of the server, but not the boot clock and the
# test's own clock.
use strict;
use warnings;

use Fcntl;
use FindBin;
use lib $FindBin::RealBin;
use JitTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $directory = PostgreSQL::Test::Utils::tempdir();
my $offset_file = "$directory/offset";
my $read = 'SELECT count(*) > 0 FROM app.orders';

sub set_clock
{
	my ($seconds) = @_;
	sysopen my $file, $offset_file, O_RDWR | O_CREAT or die "cannot set the clock: $!";
	syswrite($file, pack('q', $seconds)) == 8 or die "cannot set the clock: $!";
}

sub with_clock
{
	my ($start) = @_;
	local $ENV{LD_PRELOAD} = "$directory/set_clock.so";
	local $ENV{CLOCK_OFFSET_FILE} = $offset_file;
	return $start->();
}

my $node;

sub hours_ahead { return sprintf '%.0f', ($node->safe_psql('postgres', 'SELECT extract(epoch FROM clock_timestamp())') - time) / 3600; }

# Returns the deadline of a grant that was made while the clock was right.
sub deadline_of
{
	my ($id) = @_;
	return $node->safe_psql('postgres', "SELECT ceil(extract(epoch FROM ends_at)) FROM jit_access.request WHERE id = $id");
}

sub wait_until
{
	my ($deadline) = @_;
	wait_for('the deadline passes', sub { time > $deadline }) or die 'time stands still';
}

my $jumps = 0;

sub jump_recorded
{
	my ($size, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	++$jumps;
	$node->poll_query_until('postgres', "SELECT count(*) >= $jumps FROM jit_access.audit_log WHERE kind = 'clock jumped'");
	like($node->safe_psql('postgres', "SELECT string_agg(detail->>'by', ' | ' ORDER BY seq) FROM jit_access.audit_log WHERE kind = 'clock jumped'"),
		qr/^(?:[^|]+ \| ){@{[$jumps - 1]}}$size[^|]*$/, $name);
}

my $hour_back = qr/-(?:1h|59m 59)/;
my $hour_forward = qr/(?:1h|59m 59)/;
my $hours_forward = qr/(?:2h|1h 59m 59)/;
my $hours_back = qr/-(?:2h|1h 59m 59)/;

set_clock(0);
system_or_bail($ENV{CC} || 'cc', '-shared', '-fPIC', '-O2', '-o', "$directory/set_clock.so", "$FindBin::RealBin/set_clock.c");
$node = with_clock(sub { jit_node('clock') });

# ---- back an hour while a grant is used; the worker is stopped
stop_worker($node);
my ($id, $s) = under_grant($node, 'alice', sub {
	my %s = map { $_ => connect_as($node, 'alice') } qw(idle sleeping looping writer later unused);
	for my $session (qw(idle sleeping looping writer))
	{
		my $result = $s{$session}->query($read);
		die "$session: $result->{message}" if $result->{sqlstate};
	}
	$s{sleeping}->send('SELECT pg_sleep(3600)');
	$s{looping}->send('DO $$ BEGIN LOOP PERFORM count(*), pg_sleep(0.01) FROM app.orders; END LOOP; END $$');
	$s{writer}->query(q{BEGIN; INSERT INTO app.orders VALUES (1000, 'late')});
	return \%s;
});
my $deadline = deadline_of($id);
set_clock(-3600);
is(hours_ahead(), '-1', 'the clock of the server was set back an hour');
$s->{later}->send("$read, pg_sleep(3600)");
wait_until($deadline);
closed_ok($s->{$_}, "ended at the deadline it had: $_") for qw(idle sleeping looping writer later);
sqlstate_ok($s->{unused}->query($read), 'JA010', 'refused in a session that had not used the grant');
sqlstate_ok(connect_as($node, 'alice')->query($read), 'JA010', 'refused in a new session');
is($node->safe_psql('postgres', 'SELECT count(*) FROM app.orders WHERE id = 1000'), '0', 'and nothing was committed');
is($node->safe_psql('postgres', "SELECT ends_at > clock_timestamp() + interval '30 min' AND state = 'active' FROM jit_access.request WHERE id = $id"),
	't', 'although by the wall clock it had an hour to go');
sqlstate_ok(connect_as($node, 'dave')->query("SELECT jit_extend($id, '10min')"), 'JA005', 'an ended grant cannot be extended');
continue_worker($node);
ok(wait_for_cleanup($node, $id), 'it is cleaned up');
is($node->safe_psql('postgres', "SELECT state FROM jit_access.request WHERE id = $id"), 'ended', 'and has ended');
jump_recorded($hour_back, 'the jump is in the record');

# ---- forward again: a grant made under the wrong clock ends early, not late
my $hour = grant_to($node, 'alice', '1 hour');
my $alice = connect_as($node, 'alice');
rows_ok($alice->query($read), 't', 'a grant of an hour, made by a clock that is an hour behind');
my $unused = connect_as($node, 'alice');
stop_worker($node);
set_clock(0);
sqlstate_ok($unused->query($read), 'JA010', 'is over when the clock is put right');
continue_worker($node);
closed_ok($alice, 'the session that used it is ended');
ok(wait_for_cleanup($node, $hour), 'it is cleaned up');
jump_recorded($hour_forward, 'the jump is in the record');

# ---- forward past the end, and back again
$id = grant_to($node, 'alice', '1 hour');
$alice = connect_as($node, 'alice');
rows_ok($alice->query($read), 't', 'a grant of an hour');
set_clock(7200);
closed_ok($alice, 'is over when the clock is set forward two');
jump_recorded($hours_forward, 'the jump is in the record');
set_clock(0);
ok(wait_for_cleanup($node, $id), 'it is cleaned up');
is($node->safe_psql('postgres', "SELECT state FROM jit_access.request WHERE id = $id"), 'ended', 'and stays ended when the clock is set back');
sqlstate_ok(connect_as($node, 'alice')->query($read), '42501', 'with nothing left of it');
jump_recorded($hours_back, 'the jump back is in the record');

# ---- an extension adds the requested time, not the time by which the clock was set back
$id = grant_to($node, 'alice', '1 hour');
my $boot_deadline = "SELECT ends_boot FROM jit_access.request WHERE id = $id";
my $before = $node->safe_psql('postgres', $boot_deadline);
set_clock(-3600);
sqlstate_ok(connect_as($node, 'dave')->query("SELECT jit_extend($id, '90s')"), 'no error', 'an extension while the clock is an hour behind');
is($node->safe_psql('postgres', $boot_deadline) - $before, 90_000_000, 'adds ninety seconds');
jump_recorded($hour_back, 'the jump is in the record');
$node->safe_psql('postgres', "SELECT jit_revoke($id)");
ok(wait_for_cleanup($node, $id), 'it is cleaned up');

# ---- a clock set back does not delay retries of the clean-up
set_clock(0);
jump_recorded($hour_forward, 'the clock is right again');
my $poisoned = grant_to($node, 'bob', '1 hour');
$node->safe_psql('postgres', "CREATE TABLE app.kept (id int); ALTER TABLE app.kept OWNER TO jit_grant_$poisoned");
my $owner = connect_as($node, $node->safe_psql('postgres', 'SELECT current_user'));
$owner->query('BEGIN; LOCK TABLE app.kept');
$node->safe_psql('postgres', "SELECT jit_revoke($poisoned)");
my $attempts = "SELECT cleanup_attempts FROM jit_access.active_grants WHERE id = $poisoned";
ok($node->poll_query_until('postgres', "SELECT cleanup_attempts > 0 FROM jit_access.active_grants WHERE id = $poisoned"), 'a clean-up fails');
set_clock(-3600);
jump_recorded($hour_back, 'the clock is set back');
$before = $node->safe_psql('postgres', $attempts);
ok($node->poll_query_until('postgres', "SELECT cleanup_attempts > $before FROM jit_access.active_grants WHERE id = $poisoned"), 'and the clean-up is tried again');
$owner->query('ROLLBACK');
ok(wait_for_cleanup($node, $poisoned), 'until it succeeds');
set_clock(0);
jump_recorded($hour_forward, 'the clock is right again');

# ---- back an hour while the server is down and the deadline passes: it is the same boot
for my $when ('before the server is up', 'after the server is up')
{
	($id) = under_grant($node, 'alice', sub {
		my $result = connect_as($node, 'alice')->query($read);
		die $result->{message} if $result->{sqlstate};
	});
	$deadline = deadline_of($id);
	$node->stop('fast');
	set_clock(-3600);
	wait_until($deadline) if $when =~ /before/;
	with_clock(sub { $node->start });
	wait_until($deadline);
	my $result = connect_as($node, 'alice')->query($read);
	like($result->{sqlstate} // 'allowed', qr/^(JA010|JA011|42501)$/, "set back over a restart, deadline $when: nothing is given");
	ok(wait_for_cleanup($node, $id), "deadline $when: it is cleaned up");
	is($node->safe_psql('postgres', "SELECT state FROM jit_access.request WHERE id = $id"), 'ended', "deadline $when: and has ended");
	jump_recorded($hour_back, "deadline $when: the jump is in the record");
	set_clock(0);
	jump_recorded($hour_forward, "deadline $when: the clock is right again");
}

ok(wait_for_drained($node), 'the record is complete');
record_is_sound($node, 'clock');
$node->stop('fast');
done_testing();
