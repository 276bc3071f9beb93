
# Every backend enforces the deadline by itself: the worker is stopped during the whole test.
use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use JitTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

# The journal is large, because nothing reads it while the worker is stopped.
my $node = jit_node('deadline', conf => "jit_access.journal_size = 256\n");
my $with_options = $node->pg_version >= 16;

# The privileges of the template in another database are granted in that database; alice gets them through shared and
# through team.
$node->safe_psql('postgres', 'CREATE DATABASE other');
$node->safe_psql('other', <<'SQL');
CREATE SCHEMA app; CREATE TABLE app.orders (id int); INSERT INTO app.orders VALUES (1);
GRANT USAGE ON SCHEMA app TO jit_template_reader; GRANT SELECT ON app.orders TO jit_template_reader;
SQL
$node->safe_psql('postgres', <<'SQL');
CREATE ROLE shared LOGIN; GRANT alice TO shared;
CREATE ROLE team NOLOGIN; GRANT alice TO team; CREATE ROLE member LOGIN; GRANT team TO member;
CREATE ROLE outsider LOGIN NOINHERIT; GRANT alice TO outsider;
CREATE ROLE locked; GRANT alice TO locked;
CREATE SEQUENCE app.numbers; GRANT USAGE ON SEQUENCE app.numbers TO jit_template_reader;
CREATE TABLE app.slow (id int); GRANT SELECT ON app.slow TO jit_template_reader;
SQL

my $bystander = connect_as($node, 'carol');
my $early = connect_as($node, 'alice');
$early->query('BEGIN; SELECT 1');
my $snapshot = connect_as($node, 'alice');
$snapshot->query('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM pg_class');
my $serial = connect_as($node, 'alice');
$serial->query('BEGIN ISOLATION LEVEL SERIALIZABLE; SELECT count(*) FROM pg_class');
my $locker = connect_as($node, (getpwuid($<))[0]);
$locker->query('BEGIN; LOCK TABLE app.slow IN ACCESS EXCLUSIVE MODE');

my $read = 'SELECT count(*) > 0 FROM app.orders';
# An error cancels the server's timeouts, but not the timers of the deadline.
my $fails = 'SELECT 1/0';
stop_worker($node);

my ($id, $s) = under_grant($node, 'alice', sub {
	my %s;
	$s{$_} = connect_as($node, 'alice')
	  for qw(unused used sleeping joining looping refused cursor held prepared transaction writer waiting queued reader procedure);
	$s{other} = connect_as($node, 'alice', dbname => 'other');
	$s{other_used} = connect_as($node, 'alice', dbname => 'other');
	$s{$_} = connect_as($node, $_) for qw(shared member outsider);
	$s{shared_used} = connect_as($node, 'shared');
	$node->safe_psql('postgres', 'ALTER ROLE locked LOGIN');
	$s{$_} = connect_as($node, 'locked') for qw(locked locked_used);
	$node->safe_psql('postgres', 'ALTER ROLE locked NOLOGIN');
	for my $session (qw(used waiting cursor held prepared transaction writer other_used shared_used locked_used))
	{
		my $result = $s{$session}->query($read);
		die "$session: $result->{message}" if $result->{sqlstate};
	}
	$s{sleeping}->send('SELECT pg_sleep(3600)');
	$s{joining}->send('SELECT count(*) FROM app.orders, generate_series(1, 1000000000)');
	$s{looping}->send(<<'SQL');
DO $$ BEGIN LOOP BEGIN PERFORM count(*), pg_sleep(0.001) FROM app.orders;
EXCEPTION WHEN query_canceled OR OTHERS THEN NULL; END; END LOOP; END $$
SQL
	$s{procedure}->send(<<'SQL');
DO $$ BEGIN LOOP PERFORM count(*), pg_sleep(0.001) FROM app.orders; COMMIT; END LOOP; END $$
SQL
	$s{$_}->send('SELECT count(*) FROM app.slow') for qw(waiting queued);
	$s{reader}->send(q{COPY (SELECT repeat('x', 1000) FROM generate_series(1, 10000000)) TO STDOUT});
	$s{cursor}->query("BEGIN; DECLARE c CURSOR FOR SELECT id FROM app.orders; FETCH 1 FROM c");
	$s{held}->query('DECLARE h CURSOR WITH HOLD FOR SELECT id FROM app.orders');
	$s{held}->query($fails);
	$s{prepared}->query("PREPARE q AS $read; EXECUTE q");
	$s{prepared}->query($fails);
	$s{transaction}->query("BEGIN; $read");
	$s{writer}->query(q{BEGIN; INSERT INTO app.orders VALUES (1000, 'late'); SAVEPOINT s});
	$s{writer}->query($fails);
	return \%s;
});
ok(!$s->{held}{closed}, 'the sessions were prepared under the grant');
wait_for_deadline($node, $id);

# ---- a session that runs a statement under the grant, or used it and is idle, is ended by its own backend
closed_ok($s->{$_}, "ended at the deadline: $_")
  for qw(used sleeping joining looping procedure waiting reader cursor transaction other_used shared_used);
closed_ok($s->{locked_used}, 'ended at the deadline in a session whose login was made NOLOGIN');
# An error cancels the server's timeouts, but not the timers of the deadline, whatever state the session is left in.
closed_ok($s->{$_}, "ended at the deadline after an error: $_") for qw(held prepared writer);

# ---- later statements are refused
sqlstate_ok($s->{unused}->query($_), 'JA010', "refused in a session that had not used the grant: $_")
  for ($read, 'SELECT 1', "SELECT nextval('app.numbers')", 'COPY app.orders TO STDOUT', 'TRUNCATE app.orders',
	'LOCK TABLE app.orders', 'DO $$ BEGIN PERFORM 1 FROM app.orders; END $$', 'CREATE TEMP TABLE t AS SELECT * FROM app.orders',
	"PREPARE p AS $read", 'DECLARE c CURSOR WITH HOLD FOR SELECT * FROM app.orders', "EXPLAIN ANALYZE $read",
	'BEGIN ISOLATION LEVEL SERIALIZABLE; SELECT 1 FROM app.orders');
$s->{unused}->query('ROLLBACK');
sqlstate_ok($early->query($read), 'JA010', 'refused in a transaction opened before the grant');
sqlstate_ok($snapshot->query($read), 'JA010', 'refused under REPEATABLE READ');
sqlstate_ok($serial->query($read), 'JA010', 'refused under SERIALIZABLE');
sqlstate_ok($s->{other}->query($read), 'JA010', 'refused in another database');
sqlstate_ok($s->{shared}->query($read), 'JA010', 'refused to a shared login that inherits the requester');
sqlstate_ok($s->{member}->query($read), 'JA010', 'refused through a chain of memberships');
sqlstate_ok($s->{locked}->query($read), 'JA010', 'refused in a session whose login was made NOLOGIN');
sqlstate_ok($s->{outsider}->query('SELECT 1'), 'no error', 'a login that does not inherit the requester has nothing to refuse');
$s->{outsider}->query('SET ROLE alice');
sqlstate_ok($s->{outsider}->query($read), 'JA010', 'refused after SET ROLE to the requester');
sqlstate_ok(connect_as($node, 'alice')->query($read), 'JA010', 'refused in a new session');
sqlstate_ok(connect_as($node, 'alice', dbname => 'other')->query($read), 'JA010', 'refused in a new session of another database');

# A statement that waits for a lock before the first use of the grant is refused when it gets the lock.
$locker->query('ROLLBACK');
sqlstate_ok($s->{queued}->finish, 'JA010', 'refused after a lock wait across the deadline');

# ---- changes written under the grant cannot be committed after it
is($node->safe_psql('postgres', 'SELECT count(*) FROM app.orders WHERE id = 1000'), '0', 'and nothing of it is there');

rows_ok($bystander->query('SELECT 1'), '1', 'a session without a grant is not affected');
is($node->safe_psql('postgres', "SELECT state FROM jit_access.request WHERE id = $id"), 'active',
	'the worker has done nothing of this');

# ---- SET ROLE: the server checks it only when it is issued
my ($bobs, $b) = under_grant($node, 'bob', sub {
	my ($grant) = @_;
	my %b = map { $_ => connect_as($node, 'bob') } qw(chosen ended fresh direct);
	for my $session (qw(chosen ended))
	{
		$b{$session}->query("SET ROLE jit_grant_$grant");
		my $result = $b{$session}->query($read);
		die "$session: $result->{message}" if $result->{sqlstate};
	}
	$b{chosen}->query($fails);
	# This session has chosen a role below the grant's role and not used it. After the end of the grant, the server cannot
	# tell through which role it was granted.
	$b{direct}->query('SET ROLE jit_template_changer');
	return \%b;
});
wait_for_deadline($node, $bobs);
closed_ok($b->{$_}, "a session that used its SET ROLE is ended at the deadline: $_") for qw(ended chosen);
$b->{fresh}->query("SET ROLE jit_grant_$bobs");
sqlstate_ok($b->{fresh}->query($read), 'JA010', 'SET ROLE after the deadline gives nothing');
sqlstate_ok($b->{fresh}->query('RESET ROLE'), 'no error', 'RESET ROLE ends this');
rows_ok($b->{fresh}->query('SELECT current_user'), 'bob', 'and gives the session its own privileges back');
sqlstate_ok($b->{fresh}->query($read), '42501', 'which do not include the grant\'s');
SKIP:
{
	skip 'SET ROLE to the role of the template is not possible since 16', 1 if $with_options;
	sqlstate_ok($b->{direct}->query($read), 'JA010', 'refused through SET ROLE to the role of the template');
}

# ---- a deadline that moved while the statement ran
my ($extended, $runs) = under_grant($node, 'bob', sub {
	my ($grant) = @_;
	my $session = connect_as($node, 'bob');
	$session->query("SET ROLE jit_grant_$grant");
	$session->send('SELECT pg_sleep(3600) FROM app.orders');
	$node->poll_query_until('postgres', "SELECT count(*) = 1 FROM pg_stat_activity WHERE usename = 'bob' AND wait_event = 'PgSleep'")
	  or die 'it does not run';
	my $result = connect_as($node, 'dave')->query("SELECT jit_extend($grant, '4s')");
	die $result->{message} if $result->{sqlstate};
	return $session;
});
wait_for_deadline($node, $extended);
closed_ok($runs, 'a statement that ran when its deadline was moved is ended at the new one');

# ---- the worker comes back
continue_worker($node);
ok(wait_for_cleanup($node, $_), "grant $_ is cleaned up") for ($id, $bobs, $extended);
is($node->safe_psql('postgres', "SELECT string_agg(state::text, ' ') FROM jit_access.request WHERE id IN ($id, $bobs)"),
	'ended ended', 'both have ended');
is( $node->safe_psql('postgres',
		q{SELECT count(*) FROM pg_roles WHERE rolname ~ '^jit_(grant|gate)_'}),
	'0', 'no temporary role is left');
is( $node->safe_psql('postgres',
		q{SELECT count(*) FROM pg_auth_members WHERE member IN ('alice'::regrole, 'bob'::regrole)}),
	'0', 'no membership is left');
sqlstate_ok($s->{unused}->query('SELECT 1'), 'no error', 'a session that never used the grant lives on');
sqlstate_ok($s->{unused}->query($read), '42501', 'with its own privileges');
sqlstate_ok($s->{held}->query('FETCH 1 FROM h'), 'JA010', 'a cursor held from the grant stays closed after the clean-up')
  unless $s->{held}->query('SELECT 1')->{closed};
SKIP:
{
	skip 'SET ROLE to the role of the template is not possible since 16', 1 if $with_options;
	my $result = $b->{direct}->query($read);
	ok($result->{closed} || ($result->{sqlstate} // '') eq 'JA010', 'the role of the template stays refused after the clean-up');
}

ok(wait_for_drained($node), 'the record is complete');
is(log_rows($node, "kind = 'refusal' AND grant_id = $id AND sqlstate = 'JA010' AND statement LIKE 'TRUNCATE%'"),
	'1', 'a refusal is in the record');
is(log_rows($node, "kind = 'use' AND grant_id IN ($id, $bobs) AND outcome IS NULL"), '0', 'every use has its outcome');
is(log_rows($node, "kind = 'use' AND grant_id = $id AND outcome = 'interrupted' AND statement LIKE 'SELECT pg_sleep%'"),
	'1', 'the terminated statements are on the record as interrupted');
record_is_sound($node, 'deadline');

$locker->quit;
unlike(slurp_file($node->logfile), qr/was terminated by signal/, 'nothing has crashed on the way out');
$node->stop('fast');
done_testing();
