
# Processes are killed under load: a statement that ran is on the record once. A full journal stops only statements
# under a grant.
use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use JitTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = jit_node('journal', conf => "jit_access.journal_size = 1\njit_access.journal_wait = 30s\nmax_connections = 50\n");
$node->safe_psql('postgres', <<'SQL');
CREATE TABLE app.ledger (token bigint, round int);
SELECT jit_create_template('writer', ARRAY['USAGE ON SCHEMA app', 'INSERT ON app.ledger'], requesters => '{alice}', approvers => '{dave}');
SQL
my $id = request_as($node, 'alice', 'writer', '4 hours');
approve_as($node, 'dave', $id);

my $script = $node->basedir . '/ledger.sql';
append_to_file($script, "\\set token random(1, 1000000000000000)\nINSERT INTO app.ledger VALUES (:token, :round);\n");

# The backend of one client of the running load.
sub backend { return $node->safe_psql('postgres', "SELECT pid FROM pg_stat_activity WHERE application_name LIKE 'load%' ORDER BY backend_start LIMIT 1") }

my $round = 0;
sub round
{
	my ($what, $victim) = @_;
	++$round;
	local $ENV{PGAPPNAME} = "load $round";
	my ($out, $err) = ('', '');
	my $load = IPC::Run::start(
		[ 'pgbench', '-n', '-f', $script, '-D', "round=$round", '-t', 10000000, '-c', 4, '-j', 2, '-U', 'alice',
			'--port', $node->port, '--host', $node->host, 'postgres' ],
		'>', \$out, '2>', \$err);
	# This is enough for several laps of the journal.
	ok($node->poll_query_until('postgres', "SELECT count(*) >= 5000 FROM app.ledger WHERE round = $round"), "$what: there is load") or diag($err);
	my $pid = $victim->();
	kill 'KILL', $pid;
	$load->finish;
	ok(wait_for('the process is gone', sub { is_gone($pid) }), "$what: killed");
	ok($node->poll_query_until('postgres', "SELECT jit_access.confirmed($id)"), "$what: the server is back and the grant confirmed");
	ok(wait_for_drained($node), "$what: the journal is read");
	is( $node->safe_psql('postgres', <<"SQL"), '0', "$what: no row that is there is missing in the record");
SELECT count(*) FROM app.ledger l WHERE round = $round AND NOT EXISTS (SELECT FROM jit_access.audit_log a
	WHERE a.kind = 'use' AND a.depth = 0 AND a.statement = format('INSERT INTO app.ledger VALUES (%s, %s)', l.token, l.round))
SQL
	is( $node->safe_psql('postgres', <<"SQL"), '0', "$what: no statement is in the record more often than it ran");
SELECT count(*) FROM (SELECT statement, count(*) AS n FROM jit_access.audit_log WHERE kind = 'use' AND application = 'load $round' GROUP BY 1) a
	LEFT JOIN (SELECT format('INSERT INTO app.ledger VALUES (%s, %s)', token, round) AS statement, count(*) AS n FROM app.ledger GROUP BY 1) l
	USING (statement) WHERE a.n > greatest(l.n, 1)
SQL
	# At the moment of the crash each client had at most one statement in flight.
	cmp_ok($node->safe_psql('postgres', <<"SQL"), '<=', 4, "$what: what is in the record and not in the table was under way");
SELECT count(*) FROM jit_access.audit_log a WHERE a.kind = 'use' AND a.application = 'load $round' AND a.tag = 'INSERT' AND NOT EXISTS
	(SELECT FROM app.ledger l WHERE a.statement = format('INSERT INTO app.ledger VALUES (%s, %s)', l.token, l.round))
SQL
	is(log_rows($node, "kind = 'use' AND application = 'load $round' AND outcome IS NULL"), '0', "$what: every use has an outcome");
	record_is_sound($node, $what);
}

round('kill -9 of a backend', \&backend);
round('kill -9 of the worker', sub { worker_pid($node) });
round('kill -9 of a backend again', \&backend);

# ---- the worker is killed between the commit of a batch and the release of its room: no new statement fits
{
	ok(wait_for_drained($node), 'the journal is read');
	my $read = $node->safe_psql('postgres', 'SELECT position FROM jit_access.journal_position');
	my $last = $node->safe_psql('postgres', 'SELECT max(position) FROM jit_access.record');
	$node->stop('immediate');
	open my $journal, '+<:raw', $node->data_dir . '/jit_access/journal' or die $!;
	my $tail_in_header = 56;
	seek $journal, $tail_in_header, 0;
	read $journal, my $bytes, 8;
	is(unpack('Q<', $bytes), $read, 'the journal knows how far it was read');
	seek $journal, $tail_in_header, 0;
	print $journal pack('Q<', $last);
	close $journal or die $!;
	$node->start;
	ok(wait_for_drained($node), 'room that the worker had not released is released when it is back');
	record_is_sound($node, 'room released later');
	$node->poll_query_until('postgres', "SELECT jit_access.confirmed($id)") or die 'not confirmed';
}

# ---- the journal falls behind the position that the tables have read, as after a power failure. Records written before the
# worker has noticed would be taken for read, so every process waits for the worker.
{
	my $file = $node->data_dir . '/jit_access/journal';
	my $alice = connect_as($node, 'alice', options => { application_name => 'lost' });
	$alice->query('SELECT 1');
	ok(wait_for_drained($node), 'the journal is read');
	$node->stop('fast');
	my $old = slurp_file($file);
	$node->start;
	$node->poll_query_until('postgres', "SELECT jit_access.confirmed($id)") or die 'not confirmed';
	$alice = connect_as($node, 'alice', options => { application_name => 'lost' });
	$alice->query("INSERT INTO app.ledger VALUES ($_, -1)") for 1 .. 20;
	$alice->query('BEGIN; DECLARE c CURSOR FOR SELECT generate_series(1, 10); FETCH 1 FROM c');
	ok(wait_for_drained($node), 'and read further');
	$node->safe_psql('postgres', q{BEGIN; LOCK TABLE jit_access.journal_position; PREPARE TRANSACTION 'look'});
	$node->stop('immediate');
	open my $journal, '+<:raw', $file or die $!;
	# The file gets the mark of another boot, because within one boot no written record can be lost.
	my $boot_id = slurp_file('/proc/sys/kernel/random/boot_id') =~ s/\s//gr;
	is($old =~ s/\Q$boot_id\E/'x' x 36/ge, 2, 'the journal knows on which boot it was looked at');
	print $journal $old;
	close $journal or die $!;
	my $waits = sub {
		my ($when) = @_;
		my $log_end = -s $node->logfile;
		$node->start;
		ok(wait_for('the worker tries', sub { slurp_file($node->logfile, $log_end) =~ /could not check that the journal is complete, will be retried/ }),
			"$when: the worker cannot see it yet, and says so");
	};
	my $written = sub { $node->safe_psql('postgres', 'SELECT journal_written_bytes FROM jit_access.health') };
	$waits->('after a loss');
	my $before = $written->();
	sqlstate_ok(connect_as($node, 'dave')->query('SELECT jit_approve(4711)'), 'JA003', 'a refused decision is reported as such');
	is($node->safe_psql('postgres', 'SELECT journal_refusals > 0 FROM jit_access.health'), 't', 'which is counted');
	is($written->(), $before, 'and not written where it would be taken for read');
	$node->stop('immediate');
	$waits->('after another crash');
	# The first use of a new grant waits until the worker has noticed.
	my $bob = connect_as($node, 'bob', options => { application_name => 'waits' });
	my $new = request_as($node, 'bob', 'changer', '1 hour');
	approve_as($node, 'dave', $new);
	$bob->query("SET ROLE jit_grant_$new");
	$bob->send('SELECT count(*) FROM app.orders');
	ok($node->poll_query_until('postgres', "SELECT wait_event_type = 'Extension' FROM pg_stat_activity WHERE application_name = 'waits'"), 'a use waits');
	is($written->(), $before, 'and nothing is written');
	$node->safe_psql('postgres', q{COMMIT PREPARED 'look'});
	rows_ok($bob->finish, '100', 'it runs when the worker has looked');
	ok($node->poll_query_until('postgres', "SELECT jit_access.confirmed($id)"), 'earlier grants are confirmed');
	ok(wait_for_drained($node), 'the journal is read');
	is(log_rows($node, "kind = 'journal lost'"), '1', 'the loss is on the record, once');
	is(log_rows($node, "application = 'lost' AND statement LIKE 'INSERT%' AND outcome = 'completed'"), '20', 'records read before are still there');
	ok($node->poll_query_until('postgres', q{SELECT count(*) = 0 FROM jit_access.audit_log WHERE application = 'lost' AND outcome IS NULL}), 'uses that were running have an outcome');
	is(log_rows($node, "application = 'waits' AND tag = 'SELECT' AND outcome = 'completed'"), '1', 'the waiting use is on the record, once');
	$node->safe_psql('postgres', "SELECT jit_revoke($new)");
	record_is_sound($node, 'a journal that fell back');
}

# ---- a record is damaged on disk while the server is down: it is missing from the table and reported as a gap
{
	stop_worker($node);
	my $alice = connect_as($node, 'alice', options => { application_name => 'damaged' });
	$alice->query("INSERT INTO app.ledger VALUES ($_, -3)") for 1 .. 3;
	my ($capacity, $begin, $next) = split /[|]/, $node->safe_psql('postgres', <<"SQL");
SELECT h.journal_bytes, j.position, j.next_position FROM jit_access.health h, jit_access.journal() j WHERE statement = 'INSERT INTO app.ledger VALUES (2, -3)'
SQL
	is( $node->safe_psql('postgres', "SELECT count(*) FILTER (WHERE kind = 'gap'), min(statement) FROM jit_access.journal($begin + 32)"), '0|INSERT INTO app.ledger VALUES (3, -3)',
		'a reader that starts in the middle of a record goes on with the next one, and misses nothing');
	my $since = $node->safe_psql('postgres', 'SELECT clock_timestamp()');
	$node->stop('immediate');
	open my $journal, '+<:raw', $node->data_dir . '/jit_access/journal' or die $!;
	seek $journal, 4096 + ($begin % $capacity) + 40, 0;
	print $journal "\xff" x 16;
	close $journal or die $!;
	$node->start;
	$node->poll_query_until('postgres', "SELECT jit_access.confirmed($id)") or die 'not confirmed';
	ok(wait_for_drained($node), 'the journal is read');
	is(log_rows($node, "application = 'damaged' AND statement LIKE 'INSERT%'"), '2', 'two of three records are there');
	is($node->safe_psql('postgres', "SELECT count(*) FROM jit_access.record WHERE kind = 'gap' AND position = $begin AND at >= '$since'"), '1', 'and a gap, dated when it was found');
	is(log_rows($node, "kind = 'record lagged'"), '0', 'which is not taken for a record that is late');
	record_is_sound($node, 'a damaged record');
}

# ---- the worker does not read: statements under a grant wait, then fail; other statements do not
$node->append_conf('postgresql.conf', 'jit_access.journal_wait = 50');
$node->reload;
my $alice = connect_as($node, 'alice');
$alice->query('SELECT 1');
ok(wait_for_drained($node), 'the journal is read');
stop_worker($node);
my $result;
my $text = 'x' x 4000;
my $written = 0;
while ($written < 10000)
{
	$result = $alice->query("INSERT INTO app.ledger VALUES (-1, 0) /* $text */");
	last if $result->{sqlstate};
	++$written;
}
sqlstate_ok($result, 'JA012', 'a full journal refuses');
is($node->safe_psql('postgres', 'SELECT count(*) FROM app.ledger WHERE token = -1'), $written, 'a refused statement has not run');
rows_ok(connect_as($node, 'carol')->query('SELECT 1'), '1', 'a session without a grant is not affected');
is($node->safe_psql('postgres', 'SELECT journal_refusals > 0 FROM jit_access.health'), 't', 'and it is seen');
continue_worker($node);
ok(wait_for_drained($node), 'the worker reads on');
sqlstate_ok($alice->query('INSERT INTO app.ledger VALUES (-2, 0)'), 'no error', 'and statements run again');
ok(wait_for_drained($node), 'the journal is read');
is(log_rows($node, "kind = 'use' AND statement LIKE 'INSERT INTO app.ledger VALUES (-1, 0)%' AND outcome = 'completed'"), $written, 'everything that ran is in the record');
record_is_sound($node, 'full journal');

# ---- another journal, and the first one again: uses that were running are closed meanwhile, and have one outcome
{
	my $alice = connect_as($node, 'alice', options => { application_name => 'before another journal' });
	$alice->query('BEGIN; DECLARE c CURSOR FOR SELECT generate_series(1, 10); FETCH 1 FROM c');
	ok(wait_for_drained($node), 'the use is read');
	stop_worker($node);
	$alice->query('COMMIT');
	$node->stop('immediate');
	my $conf = slurp_file($node->data_dir . '/postgresql.conf');
	$node->append_conf('postgresql.conf', "jit_access.journal_directory = '" . $node->basedir . "/elsewhere'");
	$node->start;
	my $outcomes = q{SELECT string_agg(coalesce(outcome, '-'), ' ' ORDER BY seq) FROM jit_access.audit_log WHERE application = 'before another journal' AND tag = 'SELECT'};
	# The record of one use is damaged, but its outcome counts.
	my $surplus = q{SELECT (SELECT sum(value) FROM jit_access.metrics WHERE name = 'statements_total') - count(*) FROM jit_access.audit_log WHERE kind = 'use' AND outcome IS NOT NULL};
	ok($node->poll_query_until('postgres', "SELECT ($outcomes) = 'interrupted'"), 'it is closed under another journal');
	$node->stop('immediate');
	open my $file, '>', $node->data_dir . '/postgresql.conf' or die $!;
	print $file $conf;
	close $file or die $!;
	$node->start;
	ok($node->poll_query_until('postgres', q{SELECT count(*) = 1 FROM jit_access.record WHERE kind = 'outcome' AND of_position IS NULL AND detail ? 'of_position' AND outcome = 'completed'}),
		'the outcome that it has after all stands by itself');
	is($node->safe_psql('postgres', $outcomes), 'interrupted', 'and the use is one row');
	is($node->safe_psql('postgres', $surplus), '1', 'and counted once');
	record_is_sound($node, 'another journal and back');
}

$node->stop('fast');
done_testing();
