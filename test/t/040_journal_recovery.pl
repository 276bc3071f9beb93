
# Processes are killed under load: a statement that ran is in the record, once, and a full journal stops only its users.
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

# The backend of a client of the running load.
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
	# Some laps of the journal.
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
	# At the moment of the crash each client had at most one statement under way.
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

# ---- the worker was killed between the commit of a batch and the release of its room: that takes no new statement
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

# ---- the worker does not read: statements under a grant wait, then fail; nobody else's do
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
is($node->safe_psql('postgres', 'SELECT count(*) FROM app.ledger WHERE token = -1'), $written, 'what was refused has not run');
rows_ok(connect_as($node, 'carol')->query('SELECT 1'), '1', 'nobody else is affected');
is($node->safe_psql('postgres', 'SELECT journal_refusals > 0 FROM jit_access.health'), 't', 'and it is seen');
continue_worker($node);
ok(wait_for_drained($node), 'the worker reads on');
sqlstate_ok($alice->query('INSERT INTO app.ledger VALUES (-2, 0)'), 'no error', 'and statements run again');
ok(wait_for_drained($node), 'the journal is read');
is(log_rows($node, "kind = 'use' AND statement LIKE 'INSERT INTO app.ledger VALUES (-1, 0)%' AND outcome = 'completed'"), $written, 'everything that ran is in the record');
record_is_sound($node, 'full journal');

$node->stop('fast');
done_testing();
