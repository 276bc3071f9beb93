# Metrics: the views that a monitoring login can read, and no others; Debian's exporter, run with the queries of
# contrib/; and the dashboard, which uses nothing that the exporter does not have.
use strict;
use warnings;

use Cwd qw(abs_path);
use File::Basename;
use FindBin;
use HTTP::Tiny;
use IO::Socket::INET;
use lib $FindBin::RealBin;
use JitTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $contrib = dirname(abs_path($0)) . '/../../contrib';
my $node = jit_node('metrics');
$node->safe_psql('postgres', <<'SQL');
CREATE ROLE exporter LOGIN IN ROLE jit_monitor;
CREATE ROLE old_exporter LOGIN IN ROLE pg_monitor, pg_read_all_data;
CREATE ROLE ada LOGIN IN ROLE jit_admin;
SQL

sub ask { my ($sql) = @_; return $node->safe_psql('postgres', $sql) }
sub value_of { my ($name, $label) = @_; return ask("SELECT value FROM jit_access.metrics WHERE name = '$name' AND label = '" . ($label // '') . "'") }

# ---- readers, and other relations that they may read
my $exporter = connect_as($node, 'exporter');
sqlstate_ok($exporter->query('SELECT * FROM jit_access.metrics'), 'no error', 'a member of jit_monitor sees the metrics');
rows_ok($exporter->query('SELECT count(*) > 40 FROM jit_access.metrics'), 't', 'all of them');
my $readable = $exporter->query(q{SELECT string_agg(c.oid::regclass::text, ' ' ORDER BY c.oid::regclass::text) FROM pg_class c WHERE relnamespace = 'jit_access'::regnamespace
	AND relkind IN ('r', 'p', 'v') AND has_table_privilege(c.oid, 'SELECT') AND NOT has_table_privilege('carol', c.oid, 'SELECT')});
rows_ok($readable, 'jit_access.metrics', 'it reads nothing else that other users cannot read');
sqlstate_ok($exporter->query("TABLE jit_access.$_"), '42501', "not $_") for qw(health jobs grant_history audit_log alerts record request counter);
sqlstate_ok($exporter->query("SELECT * FROM $_"), '42501', "nor $_") for ('jit_access.status()', 'jit_access.journal()', 'jit_schedule()', "jit_access.run_job('verify')", 'jit_audit_verify()');
rows_ok($exporter->query('SELECT jit_access.may_audit()'), 'f', 'it is no auditor');
for my $who (qw(erin ada))
{
	rows_ok(connect_as($node, $who)->query('SELECT count(*) > 40 FROM jit_access.metrics'), 't', "$who sees them as well");
}
sqlstate_ok(connect_as($node, $_)->query('SELECT * FROM jit_access.metrics'), '42501', "$_ does not") for qw(alice dave);
sqlstate_ok(connect_as($node, 'old_exporter')->query('SELECT count(*) FROM jit_access.metrics'), '42501', 'pg_read_all_data reads none of it');
ask('GRANT SELECT ON jit_access.metrics TO carol; GRANT EXECUTE ON FUNCTION jit_access.read_metrics() TO carol');
rows_ok(connect_as($node, 'carol')->query('SELECT count(*) FROM jit_access.metrics'), '0', 'nor does it help to be given the privilege');
ask('REVOKE SELECT ON jit_access.metrics FROM carol; REVOKE EXECUTE ON FUNCTION jit_access.read_metrics() FROM carol');
$exporter->quit;

# ---- the counted events
my $id = grant_to($node, 'alice', '1 hour');
my $alice = connect_as($node, 'alice');
$alice->query("SELECT * FROM app.orders WHERE id = $_") for 1 .. 5;
$alice->query('SELECT 1/0 FROM app.orders');
$alice->query('GRANT SELECT ON app.orders TO carol');
$alice->query('SELECT * FROM pg_authid');
request_as($node, 'alice', 'reader', '1 hour');
wait_for_drained($node);
is(value_of('statements_total', 'completed'), ask(q{SELECT count(*) FROM jit_access.audit_log WHERE kind = 'use' AND outcome = 'completed'}), 'statements');
is(value_of('statements_total', 'failed'), ask(q{SELECT count(*) FROM jit_access.audit_log WHERE kind = 'use' AND outcome = 'failed'}), 'and those that failed');
is(value_of('refusals_total', 'JA016'), 1, 'refusals, by their code');
$alice->query('BEGIN; DECLARE c CURSOR FOR SELECT * FROM app.orders; FETCH 1 FROM c');
wait_for_drained($node);
$node->stop('immediate');
$node->start;
$node->poll_query_until('postgres', q{SELECT count(*) = 1 FROM jit_access.audit_log WHERE outcome = 'interrupted'}) or die 'not interrupted';
is(value_of('statements_total', 'interrupted'), 1, 'and the uses that a crash has interrupted');
$node->poll_query_until('postgres', "SELECT jit_access.confirmed($id)") or die 'not confirmed';
$alice = connect_as($node, 'alice');
# Any user can raise an error with any SQLSTATE.
my $refusals = q{SELECT string_agg(label || ' ' || value, ', ' ORDER BY label) FROM jit_access.metrics WHERE name = 'refusals_total'};
my $before = ask($refusals);
connect_as($node, $_)->query("DO \$\$ BEGIN RAISE EXCEPTION 'x' USING ERRCODE = 'JA016'; END \$\$") for qw(carol alice);
wait_for_drained($node);
is(ask($refusals), $before, 'to raise an error with a code of ours makes no refusal');
is(value_of('requests', 'active'), 1, 'active requests');
is(value_of('requests', 'pending'), 1, 'pending requests');
is(value_of('grants_live'), 1, 'live grants');
is(value_of('worker_up'), 1, 'the worker runs');
is(value_of('decision_seconds_count'), 1, 'a decision was made');
is(value_of('decision_seconds_bucket', '86400'), 1, 'in less than a day');
is(value_of('activation_seconds_count'), 1, 'and has become active');
is(value_of('cleanup_seconds_count'), '', 'nothing was cleaned up');
is(value_of('events_total', $_), 1, "events: $_") for qw(approved activated);
$alice->quit;
ask("SELECT jit_revoke($id)");
wait_for_cleanup($node, $id);
wait_for_drained($node);
is(value_of('cleanup_seconds_count'), 1, 'now it was');
is(value_of('cleanup_seconds_bucket', '3600'), 1, 'within the hour');
is(ask(q{SELECT string_agg(label || ' ' || value, ', ' ORDER BY label) FROM jit_access.metrics WHERE name = 'events_total'}),
	ask(q{SELECT string_agg(kind || ' ' || count, ', ' ORDER BY kind) FROM (SELECT kind, count(*) FROM jit_access.record WHERE kind <> 'outcome' GROUP BY kind) x}),
	'the counters agree with the record');

# A crash loses no count and doubles none.
stop_worker($node);
grant_to($node, 'bob', '1 hour');
my $killed = worker_pid($node);
kill 'KILL', $killed;
wait_for('the worker to be gone', sub { is_gone($killed) });
$node->poll_query_until('postgres', "SELECT worker_pid <> $killed FROM jit_access.health");
wait_for_drained($node);
is(ask(q{SELECT sum(value) FROM jit_access.metrics WHERE name = 'events_total'}), ask(q{SELECT count(*) FROM jit_access.record WHERE kind <> 'outcome'}), 'after a crash as well');

# If counting fails, the record is not delayed.
ask('ALTER TABLE jit_access.counter RENAME TO counted');
request_as($node, 'alice', 'reader', '1 hour');
ok(wait_for_drained($node), 'the record goes on without the counters');
like(slurp_file($node->logfile), qr/could not count the rows of the record: relation "jit_access.counter" does not exist/, 'and the failure is logged');
ask('ALTER TABLE jit_access.counted RENAME TO counter');

# Alerts, reviews, jobs.
ask("SELECT jit_alter_template('reader', responders => '{alice}', break_glass_duration => '1 minute')");
$id = $node->safe_psql('postgres', q{SELECT jit_break_glass('reader', '1 second', 'nobody is here')}, extra_params => [ '-U', 'alice' ]);
wait_for_cleanup($node, $id);
wait_for_drained($node);
is(ask(q{SELECT sum(value) FROM jit_access.metrics WHERE name = 'alerts_open'}), ask(q{SELECT count(*) FROM jit_access.alert WHERE state = 'open'}), 'alerts');
is(value_of('reviews_open') . ' ' . value_of('reviews_overdue'), '1 0', 'reviews');
is(value_of('record_sound'), '', 'nothing was verified');
ask(q{SELECT jit_access.run_job('verify')});
is(join(' ', map { value_of(@$_) } [ 'record_sound' ], [ 'job_runs_total', 'verify' ], [ 'job_failures', 'verify' ], [ 'job_overdue', 'verify' ]), '1 1 0 0', 'the verification');
is(ask(q{SELECT count(*) FROM (SELECT FROM jit_access.metrics GROUP BY name, label HAVING count(*) > 1) x}), '0', 'each of them once');

# The record is not read: partitions are found by their last sequence number.
ask(q{SET track_functions = none; SELECT pg_stat_reset()});
my $scans = q{SELECT coalesce(sum(seq_tup_read), 0) FROM pg_stat_all_tables WHERE schemaname = 'jit_access' AND relname ~ '^record'};
ask("SELECT count(*) FROM jit_access.metrics; SELECT pg_stat_force_next_flush()");
is(ask($scans), '0', 'no row of the record is read for them');

# ---- the exporter
my ($program) = grep { -x } map { "$_/prometheus-postgres-exporter" } split /:/, "$ENV{PATH}:/usr/bin";
SKIP:
{
	skip 'prometheus-postgres-exporter is not installed', 1 unless $program;
	my $page = scrape($program);
	my %exported = map { $_ => 1 } $page =~ /^(\w+)(?:\{|\s)/mg;
	like($page, qr/^jit_access_/m, 'the exporter answers');
	unlike($page, qr/pg_exporter_last_scrape_error\{?[^}\n]*\}? 1/, 'the exporter has no error');
	unlike($page, qr/pg_exporter_user_queries_load_error\{[^}]*\} 1/, 'it reads the queries');
	my $series = sub { my ($name, %labels) = @_; my $set = join '', map { qq/(?=[^}]*$_="$labels{$_}")/ } sort keys %labels; return ($page =~ /^\Q$name\E\{$set[^}]*\} (\S+)$/m)[0] // 'none' };
	is($series->('jit_access_worker_up'), 1, 'exported: the worker');
	is($series->('jit_access_requests_count', state => 'pending'), value_of('requests', 'pending'), 'exported: requests');
	is($series->('jit_access_statements_total', outcome => 'completed'), value_of('statements_total', 'completed'), 'exported: statements');
	is($series->('jit_access_refusals_total', sqlstate => 'JA016'), 1, 'exported: refusals');
	is($series->('jit_access_job_runs_total', job => 'verify'), 1, 'exported: jobs');
	is($series->('jit_access_cleanup_seconds_bucket', le => '3600'), value_of('cleanup_seconds_bucket', '3600'), 'exported: latencies');
	is($series->('jit_access_decision_seconds_count'), value_of('decision_seconds_count'), 'exported: their count');

	# The exporter must have a query for every metric.
	my $missing = join ' ', grep { !$exported{"jit_access_$_"} } map { $_ =~ s/^(requests)$/$1_count/r } split /\n/, ask(q{SELECT DISTINCT name FROM jit_access.metrics ORDER BY 1});
	is($missing, '', 'every metric is exported');
	my @people = grep { $page =~ /\b$_\b/ } qw(alice bob dave erin ada reader changer orders);
	is("@people", '', 'and nothing about people, templates or tables');

	my $dashboard = slurp_file("$contrib/grafana/jit_access.json");
	my @used = do { my %seen; grep { !$seen{$_}++ } map { /\b(jit_access_\w+)/g } $dashboard =~ /"expr": "((?:[^"\\]|\\.)*)"/g };
	cmp_ok(scalar @used, '>', 25, 'the dashboard shows something');
	is(join(' ', grep { !$exported{$_} } @used), '', 'the dashboard uses only metrics that the exporter has');
	is(ask('SELECT $JSON$' . $dashboard . '$JSON$::json ->> \'uid\''), 'jit-access', 'it is a JSON document');
}
$node->stop('fast');
done_testing();

# The answer of the exporter, on a free port of the loopback interface.
sub scrape
{
	my ($program) = @_;
	my $socket = IO::Socket::INET->new(Listen => 1, LocalAddr => '127.0.0.1', LocalPort => 0) or die "no port: $!";
	my $port = $socket->sockport;
	close $socket;
	my $log = PostgreSQL::Test::Utils::tempdir() . '/exporter.log';
	# Its own collectors have other names in other versions; some have settings of their own.
	my ($help, $errors) = ('', '');
	IPC::Run::run([ $program, '--help' ], '>', \$help, '2>', \$errors);
	my @without = map { "--no-$_" } ($help . $errors) =~ /--(?:\[no-\])?(collector\.\w+)(?![\w.=])/g;
	local $ENV{DATA_SOURCE_NAME} = sprintf 'host=%s port=%d user=exporter dbname=postgres sslmode=disable', $node->host, $node->port;
	my $process = IPC::Run::start(
		[ $program, "--web.listen-address=127.0.0.1:$port", "--extend.query-path=$contrib/prometheus/queries.yaml", '--disable-default-metrics', '--disable-settings-metrics', @without ],
		'>&', $log);
	my $page = '';
	wait_for('the exporter', sub { my $answer = HTTP::Tiny->new(timeout => 10)->get("http://127.0.0.1:$port/metrics"); $page = $answer->{content} if $answer->{success}; return $answer->{success} })
	  or diag(slurp_file($log));
	$process->signal('TERM');
	eval { $process->finish };
	note(slurp_file($log));
	return $page;
}
