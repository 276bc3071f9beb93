# pg_cron: a job would outlive the grant under which it is scheduled. Its functions are refused, regardless of how they
# are called, and templates do not cover its tables. Both orders of shared_preload_libraries are tested.
use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use JitTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

chomp(my $share = qx("$ENV{PG_CONFIG}" --sharedir));
plan skip_all => 'pg_cron is not installed for this server' unless -e "$share/extension/pg_cron.control";

my @calls = (
	"SELECT cron.schedule('* * * * *', 'SELECT 1')",
	"SELECT cron.schedule('named', '* * * * *', 'SELECT 1')",
	"SELECT cron.schedule_in_database('elsewhere', '* * * * *', 'SELECT 1', 'postgres')",
	"SELECT cron.alter_job((SELECT min(jobid) FROM cron.job WHERE username = 'carol'), command => 'SELECT 2')",
	"SELECT cron.unschedule('hers')",
	"DO \$\$ BEGIN PERFORM cron.schedule('* * * * *', 'SELECT 1'); END \$\$",
	'SELECT app.later()',
	'SELECT * FROM app.later',
	"EXPLAIN ANALYZE SELECT cron.schedule('* * * * *', 'SELECT 1')",
	'EXECUTE later',
);

for my $libraries ('jit_access,pg_cron', 'pg_cron,jit_access')
{
	my $node = jit_node('cron_' . $libraries =~ s/,/_/r, conf => "shared_preload_libraries = '$libraries'\ncron.database_name = 'postgres'\n");
	$node->safe_psql('postgres', <<'SQL');
CREATE EXTENSION pg_cron;
GRANT USAGE ON SCHEMA cron TO PUBLIC;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA cron TO PUBLIC;
GRANT USAGE ON SCHEMA app TO PUBLIC;
CREATE FUNCTION app.later() RETURNS bigint LANGUAGE plpgsql AS $$ BEGIN RETURN cron.schedule('* * * * *', 'SELECT 1'); END $$;
CREATE VIEW app.later AS SELECT cron.schedule('* * * * *', 'SELECT 1') FROM app.orders WHERE id = 1;
GRANT SELECT ON app.later TO PUBLIC;
SQL
	my $jobs = 'SELECT md5(string_agg(j::text, chr(10) ORDER BY jobid)) FROM cron.job j';
	my $fast = $node->safe_psql('postgres', "SELECT 'cron.schedule(text,text)'::regprocedure::oid");
	my $carol = connect_as($node, 'carol');
	$carol->query(q{SELECT cron.schedule('hers', '* * * * *', 'SELECT 1')});

	# alice inherits, and bob uses SET ROLE. Both have a job of their own, and have prepared a statement that schedules one
	# before the grant.
	my %session;
	for my $who ('alice', 'bob')
	{
		$session{$who} = connect_as($node, $who);
		$session{$who}->query(q{SELECT cron.schedule('hers', '* * * * *', 'SELECT 1')});
		$session{$who}->query(q{PREPARE later AS SELECT cron.schedule('* * * * *', 'SELECT 1')});
		my $own = $calls[3] =~ s/carol/$who/r;
		sqlstate_ok($session{$who}->query("BEGIN; $_; ROLLBACK"), 'no error', "$libraries: $who without a grant: $_") for (@calls[ 0 .. 2 ], $own, @calls[ 4 .. $#calls ]);
	}
	my %id = map { $_ => grant_to($node, $_, '1 hour') } ('alice', 'bob');
	sqlstate_ok($session{bob}->query("BEGIN; $_; ROLLBACK"), 'no error', "$libraries: bob before SET ROLE: $_") for @calls[ 0, 6 ];
	$session{bob}->query("SET ROLE jit_grant_$id{bob}");

	my $before = $node->safe_psql('postgres', $jobs);
	for my $who ('alice', 'bob')
	{
		sqlstate_ok($session{$who}->query($_), 'JA016', "$libraries: $who under a grant: $_") for @calls;
		sqlstate_ok($session{$who}->call_function($fast, '* * * * *', 'SELECT 1'), 'JA016', "$libraries: $who under a grant: the fast path");
		sqlstate_ok($session{$who}->query('SELECT count(*) FROM cron.job'), 'no error', "$libraries: $who may read");
	}
	is($node->safe_psql('postgres', $jobs), $before, "$libraries: no job has come, gone or changed");
	like($session{alice}->query($calls[0])->{message}, qr/^pg_cron's functions are not allowed/, "$libraries: the error names pg_cron");

	wait_for_drained($node);
	is( $node->safe_psql('postgres', "SELECT string_agg(DISTINCT statement, ' ' ORDER BY statement) || ' ' || count(*) FROM jit_access.audit_log "
			  . "WHERE grant_id = $id{$_} AND kind = 'refusal' AND sqlstate = 'JA016'"),
		'alter_job schedule schedule_in_database unschedule ' . (@calls + 1 + ($_ eq 'alice')),
		"$libraries: every refusal of $_ is on the record, with the name of the function")
	  for ('alice', 'bob');

	# A session whose grant has ended can schedule again.
	$session{bob}->query('RESET ROLE');
	sqlstate_ok($session{bob}->query($calls[1]), 'no error', "$libraries: bob after RESET ROLE");
	$node->safe_psql('postgres', "SELECT jit_revoke($id{alice})");
	wait_for_cleanup($node, $id{alice});
	sqlstate_ok(connect_as($node, 'alice')->query($calls[1]), 'no error', "$libraries: alice after the grant");
	sqlstate_ok($carol->query($calls[3]), 'no error', "$libraries: others all the while");

	# Writing into the tables of pg_cron is scheduling as well.
	for my $item ('INSERT ON cron.job', 'UPDATE (command) ON cron.job', 'DELETE ON ALL TABLES IN SCHEMA cron', 'CREATE ON SCHEMA cron',
		'EXECUTE ON FUNCTION cron.alter_job(bigint, text, text, text, text, boolean)')
	{
		my ($status, $out, $error) = $node->psql('postgres', "\\set VERBOSITY verbose\nSELECT jit_create_template('cron', ARRAY['$item'], mode => 'set_role', allow_schema_change => true)");
		like($error, qr/JA008: .*\n.*of pg_cron\), which no template may give/, "$libraries: a template does not give $item");
	}
	is($node->safe_psql('postgres', q{SELECT jit_create_template('cron', '{USAGE ON SCHEMA cron, SELECT ON cron.job}')}),
		'jit_template_cron', "$libraries: it lets look at the jobs");

	# The same holds after a GRANT by hand, although the closure of the template was accepted before.
	$node->safe_psql('postgres', q{CREATE ROLE adopted; SELECT jit_create_template('adopted', role => 'adopted', requesters => '{alice, bob}', approvers => '{dave}')});
	my $good = request_as($node, 'alice', 'adopted', '1 hour');
	approve_as($node, 'dave', $good);
	$node->safe_psql('postgres', 'GRANT INSERT ON cron.job TO adopted');
	# Another user makes the request, because alice's sessions end with the live grant.
	my $next = request_as($node, 'bob', 'adopted', '1 hour');
	sqlstate_ok(connect_as($node, 'dave')->query("SELECT jit_approve($next)"), 'JA008', "$libraries: a privilege given later is found at the next approval");
	ok($node->poll_query_until('postgres', "SELECT state = 'suspended' FROM jit_access.request WHERE id = $good"), "$libraries: and the live grant is suspended");
	$node->stop('fast');
}

# A job cannot approve in the name of its owner, regardless of how jobs run: as a login of the owner or in a background
# worker. Jobs run at the full minute, so all of them run at once.
my %runs = (login => 'off', worker => 'on');
sub cron_node
{
	my ($name, $in_workers) = @_;
	my $node = jit_node($name,
		conf => "shared_preload_libraries = 'jit_access,pg_cron'\ncron.database_name = 'postgres'\ncron.use_background_workers = $in_workers\n");
	$node->append_conf('postgresql.conf', "cron.host = '" . $node->host . "'");
	$node->restart;
	$node->safe_psql('postgres', 'CREATE EXTENSION pg_cron; GRANT USAGE ON SCHEMA cron TO PUBLIC; GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA cron TO PUBLIC');
	return $node;
}

# Another job waits, and then calls a function of a grant until it is stopped. (On a server of its own: pg_cron starts no
# other job meanwhile.)
my $waiting = cron_node('cron_waits', 'on');
$waiting->safe_psql('postgres', <<'SQL');
CREATE FUNCTION app.secret() RETURNS int LANGUAGE plpgsql AS 'BEGIN RETURN 42; END';
REVOKE EXECUTE ON FUNCTION app.secret() FROM PUBLIC;
GRANT USAGE ON SCHEMA app TO PUBLIC;
SELECT jit_alter_template('reader', privileges => ARRAY['USAGE ON SCHEMA app', 'SELECT ON app.orders', 'EXECUTE ON FUNCTION app.secret()']);
CREATE FUNCTION app.calls() RETURNS int LANGUAGE plpgsql AS $$
DECLARE n int;
BEGIN
	PERFORM pg_advisory_lock_shared(1);
	LOOP n := app.secret(); IF pg_sleep(0.01) IS NULL THEN RETURN n; END IF; END LOOP;
END $$;
SQL
my $locker = connect_as($waiting, (getpwuid($<))[0]);
$locker->query('SELECT pg_advisory_lock(1)');
connect_as($waiting, 'alice')->query(q{SELECT cron.schedule('calls', '* * * * *', 'SELECT app.calls()')});

my (%jobs, %asked);
for my $how (sort keys %runs)
{
	my $node = $jobs{$how} = cron_node("cron_by_$how", $runs{$how});
	my $id = $asked{$how} = request_as($node, 'alice', 'reader', '1 hour');
	my $dave = connect_as($node, 'dave');
	$dave->query("SELECT cron.schedule('$_->[0]', '* * * * *', '$_->[1]')")
	  for [ plain => "SELECT jit_approve($id)" ], [ renamed => "SET application_name = psql; SELECT jit_approve($id)" ], [ runs => 'SELECT count(*) FROM jit_access.pending_requests' ];
}
for my $how (sort keys %runs)
{
	my $node = $jobs{$how};
	ok($node->poll_query_until('postgres', "SELECT count(*) = 3 FROM cron.job_run_details WHERE username = 'dave' AND status IN ('failed', 'succeeded')"), "$how: jobs run");
	is($node->safe_psql('postgres', "SELECT state FROM jit_access.request WHERE id = $asked{$how}"), 'pending', "$how: none of them has approved anything");
	wait_for_drained($node);
	is(log_rows($node, "kind = 'refusal' AND login = 'dave' AND sqlstate IN ('JA004', 'JA018') AND statement LIKE '%jit_approve($asked{$how})%'"), '2', "$how: the attempts are on the record");
	$node->safe_psql('postgres', 'SELECT cron.unschedule(jobid) FROM cron.job');
	is(approve_as($node, 'dave', $asked{$how}), 'active', "$how: a statement of the approver's own does");
	$node->stop('fast');
}

# The job has been running since before the grant. It uses the grant by an expression, and ends with it.
{
	my $blocked = q{locktype = 'advisory' AND NOT granted};
	ok($waiting->poll_query_until('postgres', "SELECT count(*) = 1 FROM pg_locks WHERE $blocked"), 'a job waits for the grant');
	my $pid = $waiting->safe_psql('postgres', "SELECT pid FROM pg_locks WHERE $blocked");
	is($waiting->safe_psql('postgres', "SELECT backend_type <> 'client backend' FROM pg_stat_activity WHERE pid = $pid"), 't', 'in a background worker');
	my $id = grant_to($waiting, 'alice', '1 hour');
	$locker->query('SELECT pg_advisory_unlock(1)');
	ok($waiting->poll_query_until('postgres', "SELECT count(*) = 1 FROM jit_access.audit_log WHERE kind = 'use' AND grant_id = $id AND tag = 'FUNCTION CALL' AND statement = 'secret' AND pid = $pid"),
		'its call is on the record');
	$waiting->safe_psql('postgres', "SELECT jit_revoke($id)");
	ok($waiting->poll_query_until('postgres', "SELECT count(*) = 0 FROM pg_stat_activity WHERE pid = $pid"), 'it ends with the grant');
	ok(wait_for_cleanup($waiting, $id), 'which is cleaned up');
	$waiting->stop('fast');
}
done_testing();
