
# Processes are killed under load, at any instant: a statement that a client saw succeed is on the record once, every
# recorded statement was sent, the chain is sound, and nothing committed is lost.
#
#   KILLS   how many processes are killed with -9 (default: 12; make crash: 200)
# SEED    of the random choices (default: a new one each time; it is printed)
use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use CrashLoad;
use JitTest;
use List::Util qw(shuffle sum);
use POSIX qw(WNOHANG);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $wanted = $ENV{KILLS} || 12;
my $seed = $ENV{SEED} || time % 1_000_000;
srand($seed);
note("SEED=$seed");

my $clients = 4;
my $node = jit_node('crash', conf => <<'CONF');
jit_access.journal_size = 1
jit_access.journal_wait = 60s
jit_access.checkpoint_interval = 1s
max_connections = 50
log_statement = none
log_min_error_statement = panic
CONF
$node->safe_psql('postgres', <<"SQL");
CREATE TABLE app.counter (client int PRIMARY KEY, n bigint NOT NULL);
INSERT INTO app.counter SELECT i, 0 FROM generate_series(1, $clients) i;
CREATE TABLE app.accounts (id int PRIMARY KEY, balance bigint NOT NULL);
INSERT INTO app.accounts SELECT i, 0 FROM generate_series(1, 100) i;
CREATE TABLE app.history (token text);
SELECT jit_create_template('load', ARRAY['USAGE ON SCHEMA app', 'SELECT, INSERT, UPDATE ON ALL TABLES IN SCHEMA app'],
	requesters => '{alice}', approvers => '{dave}', max_duration => '1 day');
SQL
my $id = request_as($node, 'alice', 'load', '12 hours');
approve_as($node, 'dave', $id);
my $superuser = $node->safe_psql('postgres', 'SELECT current_user');

# ---- the server: a child of ours, so that its end is seen at once, and started again while its orphans are still there

my $postmaster;
$node->stop('fast');
my $directory = PostgreSQL::Test::Utils::tempdir('load');
my $tester = $$;
END {
	if (defined $tester && $$ == $tester)
	{
		append_to_file("$directory/stop", '');    # the clients would go on for ever
		kill 'QUIT', $postmaster if $postmaster;
	}
}

sub is_running { return $postmaster && waitpid($postmaster, WNOHANG) == 0; }

sub start_server
{
	$postmaster = fork // die "fork: $!";
	return if $postmaster;
	POSIX::setsid();
	open STDIN, '<', '/dev/null';
	open STDOUT, '>>', $node->logfile;
	open STDERR, '>&', \*STDOUT;
	exec 'postgres', '-D', $node->data_dir or POSIX::_exit(1);
}

# Polls faster than wait_for, because a recovery is short.
sub wait_running
{
	my ($what, $condition) = @_;
	for (my $end = time + $JitTest::patience; time < $end;)
	{
		start_server() unless is_running();
		return if $condition->();
		select undef, undef, undef, 0.002;
	}
	die "waited in vain for: $what";
}

sub ask { my ($sql) = @_; my $result = eval { connect_as($node, $superuser)->query($sql) } || {}; return $result->{rows}[0][0]; }
sub says { my ($sql) = @_; return (ask($sql) // '') eq 't' }

# ---- victims: processes started since the last kill; chosen quickly, because a recovery is short

my %old;

sub everybody { return map { m{(\d+)$} ? $1 : () } glob('/proc/[0-9]*') }
sub told { my ($pid, $file) = @_; open my $in, '<', "/proc/$pid/$file" or return ''; local $/ = undef; return <$in> // '' }
sub title { my ($pid) = @_; return told($pid, 'cmdline') =~ /^postgres: (?:\S+: )?(.*)/s ? $1 : '' }

sub processes
{
	my ($title) = @_;
	return shuffle grep { !$old{$_} && title($_) =~ /^$title/ && told($_, 'stat') =~ /\) \S $postmaster / } everybody();
}

# While the postmaster of 18 recovers from one crash it does not notice another, of the startup process.
my $comes_back = 0;
sub notices_startup { return $node->pg_version < 18 || !$comes_back }

my %victims = (
	backend => sub { (processes('alice \S+ \S+ (?!idle)'), processes('alice '))[0] },
	worker => sub { (processes('jit_access worker'))[0] },
	# If the recovery was too short, the next process is taken.
	recovery => sub { ((notices_startup() ? processes('startup') : ()), processes('jit_access worker'))[0] },
	postmaster => sub { $postmaster },
	stop => sub { $postmaster });

# ---- moments: under load, in the recovery from the kill before, as soon as the worker is back, as soon as a client is

sub heard { return sum(0, map { -s } diaries($directory)) }

sub answered
{
	my ($bytes) = @_;
	my $then = heard() + $bytes;
	wait_running('statements are answered', sub { heard() > $then });
}

my %moments = (
	load => sub { answered(rand(60_000)) },
	recovery => sub { wait_running('the server recovers', $victims{recovery}) },
	worker => sub { wait_running('the worker is there', $victims{worker}) },
	client => sub { wait_running('a client is there', $victims{backend}) });

my @round = (
	(['load', 'backend']) x 3, (['load', 'worker']) x 2, (['load', 'postmaster']) x 2, ['load', 'stop'], ['recovery', 'recovery'], ['recovery', 'postmaster'],
	['worker', 'worker'], ['worker', 'postmaster'], ['client', 'backend']);
my %killed = map { $_ => 0 } qw(backend worker startup postmaster stop);
my $kills = 0;

# True if the signal ended the process, which might have been about to exit by itself.
sub dies_of
{
	my ($signal, $pid) = @_;
	my $offset = -s $node->logfile;
	%old = map { $_ => 1 } everybody();
	kill $signal, $pid or return 0;
	return waitpid($pid, 0) == $pid if $pid == $postmaster;
	my $then = heard() + 20_000;
	wait_running("process $pid is gone", sub { slurp_file($node->logfile, $offset) =~ /\(PID $pid\) was terminated by signal 9/ || heard() > $then });
	%old = () if heard() > $then;
	return !!%old;
}

# An immediate stop does not count as a kill.
sub strike
{
	my ($moment, $victim) = @_;
	$moments{$moment}->();
	my $pid = $victims{$victim}->() or return;
	my $kind = $pid == $postmaster ? $victim : title($pid) =~ /^(startup|alice|jit_access worker)/ ? { startup => 'startup', alice => 'backend' }->{$1} // 'worker' : return;
	dies_of($victim eq 'stop' ? 'QUIT' : 'KILL', $pid) or return;
	$comes_back = $pid != $postmaster;
	++$killed{$kind};
	return if $victim eq 'stop';
	++$kills;
	note("$kills kills") if $kills % 20 == 0;
}

# ---- under load

start_server();
my @load = (start_clients($node, $directory, $clients, $seed), start_pgbench($node, $directory, 2, $seed));
my @plan;
while ($kills < $wanted || !$killed{stop})
{
	@plan = shuffle @round unless @plan;
	strike(@{ shift @plan });
}
answered(20_000);
my $laps = '(SELECT sum(position) FROM jit_access.journal_position) / (SELECT journal_bytes FROM jit_access.health)';
wait_running('the journal has gone round', sub { says("SELECT $laps > 2") });

# ---- the end: pgbench exits when its sessions do

append_to_file("$directory/stop", '');
my %running = map { $_ => 1 } @load;
my $statuses = 0;
wait_running('the load has stopped', sub {
	ask("SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name = 'pgbench'");
	for (keys %running) { if (waitpid($_, WNOHANG) == $_) { $statuses |= $?; delete $running{$_} } }
	return !%running;
});
is($statuses, 0, 'the clients have come to their end');
wait_running('the grant is confirmed', sub { says("SELECT jit_access.confirmed($id)") });
ok(wait_for_drained($node), 'the journal is read');
my $open = "FROM jit_access.record u WHERE u.kind = 'use' AND (u.outcome IS NOT NULL)::int + "
  . '(SELECT count(*) FROM jit_access.record o WHERE o.node = u.node AND o.of_position = u.position) <> 1';
ok($node->poll_query_until('postgres', "SELECT NOT EXISTS (SELECT $open)"), 'every use has an outcome, and one');

# ---- the clients' knowledge against the record

tell_pgbench($directory);
$node->safe_psql('postgres', 'CREATE SCHEMA crash; CREATE TABLE crash.heard (token text, what text)');
$node->safe_psql('postgres', "COPY crash.heard FROM '$_'") for diaries($directory);
$node->safe_psql('postgres', <<'SQL');
CREATE TABLE crash.known AS SELECT token, count(*) FILTER (WHERE what = 'sent') AS sent,
	count(*) FILTER (WHERE what = 'completed') AS completed, count(*) FILTER (WHERE what = '22012') AS failed
FROM crash.heard WHERE what <> 'committed' GROUP BY token;
CREATE TABLE crash.kept AS SELECT coalesce(substring(statement FROM '/\* (\S+) \*/$'), 'none: ' || statement) AS token, count(*) AS uses,
	count(*) FILTER (WHERE outcome = 'completed') AS completed, count(*) FILTER (WHERE outcome = 'failed') AS failed,
	count(*) FILTER (WHERE outcome = 'interrupted') AS interrupted
FROM jit_access.audit_log WHERE kind = 'use' AND depth = 0 GROUP BY 1;
SQL

my %found;
sub find { my ($name, $sql) = @_; return $found{$name} = $node->safe_psql('postgres', $sql); }
my $both = 'FROM crash.known k FULL JOIN crash.kept r USING (token)';
find(acknowledged => 'SELECT sum(completed) FROM crash.known');
find(missing => "SELECT coalesce(sum(greatest(k.completed + k.failed - coalesce(r.uses, 0), 0)), 0) $both WHERE k.sent > 0");
find(duplicate => "SELECT (SELECT coalesce(sum(r.uses - k.sent), 0) $both WHERE r.uses > k.sent) + (SELECT count(*) FROM "
	  . '(SELECT FROM jit_access.record WHERE position IS NOT NULL GROUP BY node, position HAVING count(*) > 1) x)');
find(unsent => "SELECT count(*) $both WHERE k.sent IS NULL");
find(wrong_outcome => "SELECT count(*) $both WHERE k.completed > r.completed OR k.failed > r.failed");
find(without_outcome => "SELECT count(*) $open");
find(without_use => q{SELECT count(*) FROM jit_access.record o WHERE o.kind = 'outcome' AND NOT EXISTS
	(SELECT FROM jit_access.record u WHERE u.kind = 'use' AND u.node = o.node AND u.position = o.of_position)});
find(lost => <<'SQL');
SELECT (SELECT count(*) FROM app.counter c WHERE n <
		(SELECT max(split_part(token, '.', 2)::bigint) FROM crash.heard WHERE what = 'committed' AND token LIKE format('c%s.%%', c.client)))
	+ (SELECT count(*) FROM crash.heard h WHERE what = 'committed' AND token LIKE 'p%' AND NOT EXISTS (SELECT FROM app.history WHERE token = h.token))
SQL
find(interrupted => 'SELECT sum(interrupted) FROM crash.kept');
find(refused => q{SELECT count(*) FROM crash.heard WHERE what = 'JA011'});
find(gaps => q{SELECT count(*) FROM jit_access.record WHERE kind = 'gap'});
find(laps => "SELECT round($laps)");

is($found{missing}, 0, 'every statement that a client saw succeed or fail is in the record')
  or diag($node->safe_psql('postgres', "SELECT k.*, r.uses $both WHERE k.completed + k.failed > coalesce(r.uses, 0) LIMIT 10"));
is($found{duplicate}, 0, 'once') or diag($node->safe_psql('postgres', "SELECT k.sent, r.* $both WHERE r.uses > k.sent LIMIT 10"));
is($found{unsent}, 0, 'every statement in the record was sent') or diag($node->safe_psql('postgres', "SELECT r.* $both WHERE k.sent IS NULL LIMIT 10"));
is($found{wrong_outcome}, 0, 'an outcome on the record is the one the client saw')
  or diag($node->safe_psql('postgres', "SELECT k.*, r.* $both WHERE k.completed > r.completed OR k.failed > r.failed LIMIT 10"));
is($found{without_outcome}, 0, 'no use is without an outcome or has two') or diag($node->safe_psql('postgres', "SELECT u.* $open LIMIT 10"));
is($found{without_use}, 0, 'no outcome is without its use');
is($found{lost}, 0, 'committed rows are there');
is( $node->safe_psql('postgres', q{SELECT string_agg(DISTINCT what, ' ') FROM crash.heard WHERE what NOT IN ('sent', 'completed', 'committed', '22012', 'JA011') AND what NOT LIKE '57P0_'}),
	'', 'the clients met nothing else');
$node->poll_query_until('postgres', 'SELECT seq >= (SELECT max(seq) FROM jit_access.record) FROM jit_access.usage_position') or die 'not summed up';
is($node->safe_psql('postgres', q{SELECT concat_ws(' ', sum(statements), sum(failed), sum(rows)) FROM jit_access.uses_by_day('2000-01-01', clock_timestamp())}),
	$node->safe_psql('postgres', q{SELECT concat_ws(' ', sum(statements), sum(failed), sum(rows)) FROM jit_access.grant_usage}), 'what reports count is what the views say');
record_is_sound($node, 'record');
is($node->safe_psql('postgres', "SELECT state FROM jit_access.request WHERE id = $id"), 'active', 'the grant has lived through it');
is($node->safe_psql('postgres', q{SELECT count(*) FROM jit_access.record WHERE kind IN ('drift', 'suspended', 'journal lost', 'clock jumped')}), '0', 'and nothing was mistaken');
is(log_rows($node, q{kind = 'refusal' AND sqlstate <> 'JA011'}), '0', 'only unconfirmed grants were refused');
my $erin = connect_as($node, 'erin');
$erin->query('SELECT jit_audit_checkpoint()');    # or the worker might make one between two verdicts
is($found{chain} = same_verdict($erin, 'chain'), 'sound', 'the chain is sound, with its checkpoints and anchors');
cmp_ok($node->safe_psql('postgres', 'SELECT checkpoints FROM jit_audit_verify()'), '>', 0, 'of which there are some');
cmp_ok($killed{$_}, '>', 0, "$_ was among the victims") for qw(backend worker postmaster stop);

note(join ' ', 'result:', "kills=$kills", map({ "$_=" . ($found{$_} =~ s/\n.*//sr) } qw(acknowledged missing duplicate unsent wrong_outcome without_outcome without_use
	  lost chain refused interrupted gaps laps)), map({ "$_=$killed{$_}" } qw(backend worker postmaster startup stop)), "seed=$seed");

$node->_update_pid(1);
$node->stop('fast');
$postmaster = undef;
done_testing();
