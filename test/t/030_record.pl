
# pgbench runs as a requester under a grant; the record has each of its statements once, as pgbench counts them.
use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use JitTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = jit_node('record');
my $clients = 2;
my $each = 100;

$node->command_ok([ 'pgbench', '-i', '-q', '-s', '1', '--port', $node->port, '--host', $node->host, 'postgres' ], 'pgbench -i');
$node->safe_psql('postgres', <<'SQL');
SELECT jit_create_template('bench', ARRAY['SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public'],
	requesters => '{alice}', approvers => '{dave}');
CREATE SCHEMA elsewhere; GRANT USAGE ON SCHEMA elsewhere TO PUBLIC; CREATE TABLE elsewhere.secret (id int);
SQL
my $id = request_as($node, 'alice', 'bench', '4 hours');
approve_as($node, 'dave', $id);

# Runs pgbench once. Returns the number of transactions that it reports.
sub bench
{
	my ($run, @options) = @_;
	local $ENV{PGAPPNAME} = $run;
	my ($out, $err);
	IPC::Run::run(
		[ 'pgbench', '-n', '-t', $each, '-c', $clients, '-j', 2, '-U', 'alice', '--port', $node->port, '--host', $node->host, @options, 'postgres' ],
		'>', \$out, '2>', \$err) or die "pgbench failed: $err";
	$out =~ /number of transactions actually processed: (\d+)/ or die $out;
	return $1;
}

sub counts
{
	my ($run, $condition) = @_;
	return $node->safe_psql('postgres',
		"SELECT string_agg(tag || ' ' || n, ', ' ORDER BY tag) FROM (SELECT tag, count(*) AS n FROM jit_access.audit_log "
		  . "WHERE application = '$run' AND kind = 'use' AND depth = 0 AND $condition GROUP BY tag) x");
}

# An object has one name on the record, regardless of the settings of the session.
$node->safe_psql('postgres', "SET application_name = 'names'; SET quote_all_identifiers = on; SELECT count(*) FROM public.pgbench_branches; "
	  . 'SELECT count(*) FROM public.pgbench_tellers; SHOW quote_all_identifiers', extra_params => [ '-U', 'alice' ]);
ok(wait_for_drained($node), 'the record is complete');
is($node->safe_psql('postgres', "SELECT string_agg(objects::text, ' ' ORDER BY seq) FROM jit_access.audit_log WHERE application = 'names' AND objects <> '{}'"),
	'{public.pgbench_branches} {public.pgbench_tellers}', 'a user\'s settings do not change the names on the record');

# The queries that pgbench sends by itself before it starts.
my $own = q{(statement LIKE 'select o.n, p.partstrat%' OR statement LIKE 'select count(*) from pgbench_branches%')};

for my $protocol (qw(simple extended prepared))
{
	my $done = bench("select $protocol", '-S', '-M', $protocol);
	is($done, $clients * $each, "$protocol: pgbench -S processed its transactions");
	ok(wait_for_drained($node), "$protocol: the record is complete");
	is(counts("select $protocol", "NOT $own"), "SELECT $done", "$protocol: as many SELECTs are in the record, and nothing else");
	is( log_rows($node, "application = 'select $protocol' AND NOT $own AND outcome = 'completed' AND rows = 1 AND sqlstate = '00000' "
			  . "AND objects = '{public.pgbench_accounts}' AND privileges = '{SELECT}' AND login = 'alice' AND role = 'alice' "
			  . "AND grant_id = $id AND grants = '{$id}' AND database = 'postgres' AND statement LIKE 'SELECT abalance FROM pgbench_accounts WHERE aid = %'"),
		$done, "$protocol: each with login, statement and outcome");

	my $history = $node->safe_psql('postgres', 'SELECT count(*) FROM pgbench_history');
	$done = bench("tpcb $protocol", '-M', $protocol);
	is($done, $clients * $each, "$protocol: pgbench processed its transactions");
	ok(wait_for_drained($node), "$protocol: the record is complete");
	is( counts("tpcb $protocol", "NOT $own"),
		"BEGIN $done, COMMIT $done, INSERT $done, SELECT $done, UPDATE " . 3 * $done,
		"$protocol: every statement of every transaction is in the record");
	for my $table (qw(accounts tellers branches))
	{
		is(log_rows($node, "application = 'tpcb $protocol' AND tag = 'UPDATE' AND objects = '{public.pgbench_$table}' AND privileges = '{\"SELECT,UPDATE\"}' AND rows = 1"),
			$done, "$protocol: the updates of $table");
	}
	is($node->safe_psql('postgres', 'SELECT count(*) FROM pgbench_history') - $history, $done, "$protocol: as many rows as INSERTs");
	is(log_rows($node, "application = 'tpcb $protocol' AND (outcome IS DISTINCT FROM 'completed' OR duration IS NULL)"), '0',
		"$protocol: every statement has completed");
}

# Statements that are rolled back, fail or are refused are on the record as well.
my $alice = connect_as($node, 'alice', options => { application_name => 'by hand' });
$alice->query('BEGIN; DELETE FROM pgbench_tellers WHERE tid = 1; ROLLBACK');
sqlstate_ok($alice->query('SELECT 1 / (abalance - abalance) FROM pgbench_accounts LIMIT 1'), '22012', 'a statement fails');
sqlstate_ok($alice->query('TRUNCATE pgbench_history'), '42501', 'a statement is denied');
sqlstate_ok($alice->query('SELECT * FROM elsewhere.secret'), '42501', 'a statement is denied');
$alice->query('DO $$ BEGIN FOR i IN 1 .. 3 LOOP UPDATE pgbench_branches SET bbalance = bbalance; END LOOP; END $$');
ok(wait_for_drained($node), 'the record is complete');
is( $node->safe_psql('postgres',
		q{SELECT string_agg(format('%s %s %s %s', depth, tag, outcome, sqlstate), ', ' ORDER BY seq) FROM jit_access.audit_log WHERE application = 'by hand'}),
	'0 BEGIN completed 00000, 0 DELETE completed 00000, 0 ROLLBACK completed 00000, 0 SELECT failed 22012, '
	  . '0 TRUNCATE TABLE failed 42501, 0 SELECT failed 42501, '
	  . '0 DO completed 00000, 1 UPDATE completed 00000, 1 UPDATE completed 00000, 1 UPDATE completed 00000',
	'rolled back, failed, denied and nested statements are in the record');
is($node->safe_psql('postgres', "SELECT statements = (SELECT count(*) FROM jit_access.audit_log WHERE kind = 'use') AND failed = 3 FROM jit_access.grant_usage WHERE id = $id"),
	't', 'the usage of the grant adds them up');

record_is_sound($node, 'record');
is(log_rows($node, "kind = 'gap'"), '0', 'nothing is missing');
$node->stop('fast');
done_testing();
