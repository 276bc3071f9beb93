# The drill: a canary template goes through its whole life on the running server, and a failing step is named. No client
# can log in as its service identities, and what they may do without a client is limited to the canary.
use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use JitTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = jit_node('drill');
$node->safe_psql('postgres', 'CREATE ROLE ada LOGIN IN ROLE jit_admin; CREATE ROLE creator LOGIN CREATEROLE IN ROLE jit_admin');
my ($ada, $alice, $erin, $creator) = map { connect_as($node, $_) } qw(ada alice erin creator);

sub drill { my ($patience) = @_; return $ada->query('SELECT step, name, ok, detail FROM jit_drill(' . ($patience // '') . ')'); }
sub last_drill { return $node->safe_psql('postgres', 'SELECT max(grant_id) FROM jit_access.drill'); }
# A failed drill leaves nothing behind.
sub set_up_again
{
	$node->poll_query_until('postgres', q{SELECT count(*) = 0 FROM jit_access.request WHERE requester_name = 'jit_drill_requester' AND (state = 'active' OR cleanup = 'due')})
	  or die 'a grant of a drill does not end';
	sqlstate_ok($ada->query('SELECT jit_set_up_drill()'), 'no error', 'set up again');
}
my @steps = ('closed before', 'request', 'first approval', 'second approval', 'use', 'refusal at the deadline', 'clean-up', 'record', 'verification');
my $n = 0;
my $good = join '|', map { ++$n . ",$_,t,NULL" } @steps;

# ---- set up ---------------------------------------------------------------------------------------------------------

sqlstate_ok(drill(), 'JA005', 'there is none before it is set up');
is($node->safe_psql('postgres', 'SELECT jit_access.job_drill()'), 'nothing to do: the drill is not set up', 'which is nothing wrong for a job');
for my $who ($alice, $erin)
{
	sqlstate_ok($who->query('SELECT jit_set_up_drill()'), '42501', 'administrators set it up');
	sqlstate_ok($who->query('SELECT * FROM jit_drill()'), '42501', 'and start it');
	sqlstate_ok($who->query('SELECT jit_access.job_drill()'), '42501', 'also as a job');
}
sqlstate_ok($ada->query('DO $$ BEGIN PERFORM jit_set_up_drill(); END $$'), 'JA018', 'by a statement of their own');
$node->safe_psql('postgres', 'CREATE ROLE jit_drill_approver_2 LOGIN');
sqlstate_ok($ada->query('SELECT jit_set_up_drill()'), 'JA007', 'not with a prepared role');
$node->safe_psql('postgres', 'DROP ROLE jit_drill_approver_2; CREATE SCHEMA jit_drill AUTHORIZATION alice');
sqlstate_ok($ada->query('SELECT jit_set_up_drill()'), 'JA007', 'nor with a schema of another user');
$node->safe_psql('postgres', 'DROP SCHEMA jit_drill');
sqlstate_ok($ada->query('SELECT jit_set_up_drill()'), 'no error', 'ada sets it up');
sqlstate_ok($ada->query('SELECT jit_set_up_drill()'), 'no error', 'twice is no harm');

# ---- the service identities -----------------------------------------------------------------------------------------

my @identities = map { "jit_drill_$_" } qw(requester approver_1 approver_2);
for my $identity (@identities)
{
	ok(!eval { connect_as($node, $identity) } && $@ =~ /too many connections for role/, "no client is $identity");
	for my $command ("ALTER ROLE $identity CONNECTION LIMIT 5", "ALTER ROLE $identity PASSWORD 'known'", "ALTER ROLE $identity SET search_path = app",
		"GRANT $identity TO creator", "GRANT carol TO $identity", "CREATE ROLE evil ROLE $identity", "DROP ROLE $identity", "ALTER ROLE $identity RENAME TO mine",
		"GRANT SELECT ON app.orders TO $identity")
	{
		sqlstate_ok($creator->query($command), 'JA016', "nor is it changed: $command");
	}
	sqlstate_ok($creator->query("SET ROLE $identity"), '42501', "nor taken by SET ROLE: $identity");
}
# They are logins in no group.
$node->safe_psql('postgres', q{CREATE ROLE everybody ROLE alice, bob, carol, dave, erin, ada, creator;
	SELECT jit_create_template('open', '{USAGE ON SCHEMA app}', requesters => '{alice}', approvers => '{everybody}')});
is(connect_as($node, 'dave')->query(q{SELECT jit_access.may_decide(t) FROM generate_series(1, 5) t ORDER BY 1 DESC LIMIT 1})->{rows}[0][0], 't', 'dave is an approver');
my $open = request_as($node, 'alice', 'open', '1h');
sqlstate_ok(connect_as($node, 'carol')->query("SELECT jit_approve($open)"), 'JA003', 'a group with every login of a person still counts as all users');

# ---- a good one -----------------------------------------------------------------------------------------------------

my $result = drill();
rows_ok($result, $good, 'every step is good');
my $grant = last_drill();
is($node->safe_psql('postgres', "SELECT state, cleanup FROM jit_access.request WHERE id = $grant"), 'ended|done', 'it was a grant, and has ended');
is($node->safe_psql('postgres', "SELECT string_agg(approver || ' ' || verdict, ', ' ORDER BY approver) FROM jit_access.decisions WHERE id = $grant"),
	'jit_drill_approver_1 approve, jit_drill_approver_2 approve', 'which two have approved');
is($node->safe_psql('postgres', "SELECT string_agg(DISTINCT login, ', ') FROM jit_access.audit_log WHERE grant_id = $grant AND kind IN ('use', 'refusal')"),
	'jit_drill_requester', 'and the third has used');
is(log_rows($node, "grant_id = $grant AND kind = 'use' AND objects @> '{jit_drill.canary}' AND outcome = 'completed' AND at < "
	. "(SELECT ends_at FROM jit_access.request WHERE id = $grant)") > 0, 1, 'before the deadline');
is(log_rows($node, "grant_id = $grant AND kind = 'refusal' AND sqlstate = 'JA010'"), '1', 'and been refused after it');
is($node->safe_psql('postgres', 'SELECT bool_and(latency_ms >= 0) AND count(*) = 9 FROM jit_access.drill_step'), 't', 'each step has its latency');
is($erin->query('SELECT started_by, ok, count(*), bool_and(step_ok) FROM jit_access.drills GROUP BY id, 1, 2')->{rows}[0][2], '9', 'auditors look at it');
is($node->safe_psql('postgres', 'SELECT last_drill_ok, last_drill > now() - interval \'1 hour\' FROM jit_access.health'), 't|t', 'so does a reader of jit_access.health');
like($node->safe_psql('postgres', 'SELECT jit_access.job_drill()'), qr/^drill \d+: all 9 steps are good$/, 'as a job');
$ada->query('BEGIN ISOLATION LEVEL REPEATABLE READ');
$ada->query('SELECT 1');
rows_ok(drill(), $good, 'also from an older snapshot');
$ada->query('COMMIT');
sqlstate_ok(drill("'2 minutes'"), 'JA001', 'a step takes a minute at most');
sqlstate_ok(drill("'-1 second'"), 'JA001', 'and more than nothing');

# ---- one at a time, with several waiting ------------------------------------------------------------------------

my $running = 'SELECT count(*) = 1 FROM jit_access.drill WHERE ok IS NULL';
my $waits = connect_as($node, 'ada');
$waits->send('SELECT bool_and(ok) FROM jit_drill()');
ok($node->poll_query_until('postgres', $running), 'one runs');
sqlstate_ok(drill(), 'JA005', 'the second says so');
sqlstate_ok($ada->query('SELECT jit_set_up_drill()'), 'JA005', 'its setup cannot be changed meanwhile');
rows_ok($waits->finish, 't', 'the first goes on');
$waits->send('SELECT bool_and(ok) FROM jit_drill()');
ok($node->poll_query_until('postgres', $running), 'one runs again');
$node->safe_psql('postgres', 'SELECT pg_cancel_backend(' . $waits->pid . ')');
sqlstate_ok($waits->finish, '57014', 'the waiting session can be cancelled');
ok($node->poll_query_until('postgres', 'SELECT bool_and(ok IS TRUE) FROM jit_access.drill'), 'the drill finishes without it');
ok($node->poll_query_until('postgres', q{SELECT count(*) = 0 FROM pg_stat_activity WHERE backend_type LIKE 'jit_drill%'}), 'and none of its processes stays');

# ---- for the canary alone -------------------------------------------------------------------------------------------

$ada->query(q{SELECT jit_alter_template('jit_drill', requesters => '{jit_drill_requester, alice}')});
my $other = request_as($node, 'alice', 'jit_drill', '1s');
rows_ok(drill(), $good, 'a drill beside another request for the canary');
is($node->safe_psql('postgres', "SELECT decisions FROM jit_access.request WHERE id = $other"), '0', 'its approvals are for its own request only');
set_up_again();
sqlstate_ok($alice->query(q{SELECT jit_request('jit_drill', '1s')}), 'JA002', 'the template is as it was');
sqlstate_ok($alice->query('SELECT * FROM jit_drill.canary'), '42501', 'other users do not read the canary');
is($node->safe_psql('postgres', q{SELECT count(*) FROM jsonb_array_elements(jit_export_policy() -> 'templates') t WHERE t ->> 'name' = 'jit_drill'}), '0', 'it is no part of the policy');

# ---- without CONNECT for PUBLIC ---------------------------------------------------------------------------------

$node->safe_psql('postgres', 'REVOKE CONNECT ON DATABASE postgres FROM PUBLIC; GRANT CONNECT ON DATABASE postgres TO ada, dave, jit_auditor');
set_up_again();
rows_ok(drill(), $good, 'its identities still can');
$node->safe_psql('postgres', 'GRANT CONNECT ON DATABASE postgres TO PUBLIC');

# ---- drills that fail -----------------------------------------------------------------------------------------------

sub fails_at
{
	my ($name, $step, $why, $patience) = @_;
	my $rows = drill($patience)->{rows};
	is(scalar(grep { $_->[2] eq 't' } @$rows), @$rows - 1, "$name: all steps but one are good");
	is("$rows->[-1][1] $rows->[-1][2]", "$step f", "$name: it names the failing step");
	like($rows->[-1][3], $why, "$name: and why");
}

$node->safe_psql('postgres', 'DROP TABLE jit_drill.canary');
fails_at('no canary', 'use', qr/does not exist/);
set_up_again();
$node->safe_psql('postgres', 'GRANT USAGE ON SCHEMA jit_drill TO PUBLIC; GRANT SELECT ON jit_drill.canary TO PUBLIC');
fails_at('standing access', 'closed before', qr/without a grant/);
$node->safe_psql('postgres', 'REVOKE ALL ON SCHEMA jit_drill FROM PUBLIC; REVOKE ALL ON jit_drill.canary FROM PUBLIC');
$ada->query(q{SELECT jit_alter_template('jit_drill', approvals_needed => 1)});
fails_at('one approval', 'first approval', qr/^It is active/);
set_up_again();
$ada->query(q{SELECT jit_create_rule('none', 'deny', '{jit_drill}')});
fails_at('a rule forbids it', 'request', qr/forbids it/);
$ada->query(q{SELECT jit_drop_rule('none')});
ok(wait_for_drained($node), 'the record is complete');
my $failed = log_rows($node, "kind = 'drill failed'");
is($failed, 4, 'each failure is on the record');

stop_worker($node);
fails_at('without the worker', 'clean-up', qr/temporary role is still there/, q{'4 seconds'});
$grant = last_drill();
is($node->safe_psql('postgres', "SELECT count(*) FROM pg_roles WHERE rolname = 'jit_grant_$grant'"), '1', 'without the worker: so it is');
continue_worker($node);
ok(wait_for_cleanup($node, $grant), 'without the worker: when it goes on it cleans up');
ok(wait_for_drained($node), 'without the worker: and keeps the record');
is(log_rows($node, "kind = 'drill failed' AND grant_id = $grant AND detail ->> 'step' = 'clean-up'"), '1', 'without the worker: the failure is there');
is($node->safe_psql('postgres', 'SELECT last_drill_ok FROM jit_access.health'), 'f', 'without the worker: the last drill was not good');
rows_ok(drill(), $good, 'the next one is');
is($node->safe_psql('postgres', 'SELECT last_drill_ok FROM jit_access.health'), 't', 'the view health shows it');

# ---- a drill that does not finish ------------------------------------------------------------------------------

$waits->send('SELECT count(*) FROM jit_drill()');
ok($node->poll_query_until('postgres', $running), 'one runs');
$node->safe_psql('postgres', q{SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'jit_drill_main'});
$waits->finish;
rows_ok(drill(), $good, 'after one that was ended there is another');
is($node->safe_psql('postgres', 'SELECT count(*) FROM jit_access.drill WHERE ok IS NULL'), '0', 'none seems to run');

my $actor = q{SELECT pid FROM pg_stat_activity WHERE usename = 'jit_drill_requester'};
$waits->send('SELECT count(*) FROM jit_drill()');
ok($node->poll_query_until('postgres', "SELECT count(*) = 1 FROM ($actor) a"), 'one runs, with its requester');
my $pid = $node->safe_psql('postgres', $actor);
kill STOP => $pid or die $!;
$node->safe_psql('postgres', q{SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'jit_drill_main'});
$waits->finish;
fails_at('a requester of an earlier one', 'closed before', qr/process of an earlier drill is still there/, q{'1 second'});
kill CONT => $pid or die $!;
rows_ok(drill(), $good, 'after the conductor is gone, another drill can run');
record_is_sound($node, 'drill');

$node->stop('fast');
done_testing();
