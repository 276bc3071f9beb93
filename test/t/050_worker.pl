
# The worker survives termination, hostile settings, grants that cannot be cleaned up, and a missing standby.
use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use JitTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = jit_node('worker', init => { allows_streaming => 1 });
my $superuser = $node->safe_psql('postgres', 'SELECT current_user');

sub revoke { my ($id) = @_; return $node->safe_psql('postgres', "SELECT jit_revoke($id)"); }

sub restart_worker
{
	my $pid = worker_pid($node);
	$node->safe_psql('postgres', "SELECT pg_terminate_backend($pid)");
	ok($node->poll_query_until('postgres', "SELECT worker_pid <> $pid FROM jit_access.health"), 'a terminated worker comes back');
}

# ---- termination
my $id = grant_to($node, 'alice', '1 hour');
restart_worker();
is($node->safe_psql('postgres', "SELECT jit_access.confirmed($id)"), 't', 'grants stay live meanwhile');
revoke($id);
ok(wait_for_cleanup($node, $id), 'the new worker cleans up');
$node->safe_psql('postgres', 'GRANT pg_signal_backend TO carol');
sqlstate_ok(connect_as($node, 'carol')->query('SELECT pg_terminate_backend(' . worker_pid($node) . ')'), '42501', 'pg_signal_backend does not reach the worker');

# ---- settings of the database owner
my @hostile = (
	"search_path = app, public", 'default_transaction_read_only = on', "default_transaction_isolation = 'serializable'",
	"statement_timeout = '1ms'", "lock_timeout = '1ms'", "idle_in_transaction_session_timeout = '1ms'", "TimeZone = 'Asia/Tokyo'",
	"DateStyle = 'SQL, DMY'", "IntervalStyle = 'sql_standard'", 'row_security = off', "client_min_messages = 'error'",
	'check_function_bodies = off', "default_tablespace = ''", 'bytea_output = escape', 'quote_all_identifiers = on', 'array_nulls = off',
	'standard_conforming_strings = off', 'transform_null_equals = on', "client_encoding = 'LATIN1'", "work_mem = '64kB'",
	'enable_seqscan = off', 'enable_indexscan = off');
push @hostile, "transaction_timeout = '1ms'" if $node->pg_version >= 17;
push @hostile, 'role = carol';
{
	# The sessions of the test set these themselves.
	local $ENV{PGOPTIONS} = '-c default_transaction_read_only=off -c statement_timeout=0 -c lock_timeout=0 -c role=none -c search_path=public '
	  . '-c idle_in_transaction_session_timeout=0 -c default_transaction_isolation=read\ committed -c row_security=on -c client_encoding=UTF8 '
	  . ($node->pg_version >= 17 ? '-c transaction_timeout=0 ' : '');
	for my $setting (@hostile)
	{
		$id = grant_to($node, 'alice', '1 hour');
		$node->safe_psql('postgres', "ALTER DATABASE postgres SET $setting");
		restart_worker();
		connect_as($node, 'alice', options => { options => $ENV{PGOPTIONS} })->query('SELECT count(*) FROM app.orders');
		revoke($id);
		local $PostgreSQL::Test::Utils::timeout_default = 30;
		ok(wait_for_cleanup($node, $id), "the worker cleans up with $setting");
		ok(wait_for_drained($node), "the worker keeps the record with $setting");
		is(log_rows($node, "grant_id = $id AND kind = 'use' AND statement LIKE '%app.orders%'"), '1', "and it is right with $setting");
		$node->safe_psql('postgres', 'ALTER DATABASE postgres RESET ' . ($setting =~ s/ .*//r));
	}
}
restart_worker();

# ---- a grant that cannot be cleaned up delays no other
my $dropped = grant_to($node, 'alice', '1 hour');
$node->safe_psql('postgres', "DROP ROLE jit_grant_$dropped");
ok($node->poll_query_until('postgres', "SELECT state = 'revoked' AND cleanup = 'done' FROM jit_access.request WHERE id = $dropped"),
	'a grant whose role was dropped by hand is over');

my $renamed = grant_to($node, 'alice', '1 hour');
my $oid = $node->safe_psql('postgres', "SELECT oid FROM pg_roles WHERE rolname = 'jit_grant_$renamed'");
$node->safe_psql('postgres', "ALTER ROLE jit_grant_$renamed RENAME TO kept");
revoke($renamed);
ok($node->poll_query_until('postgres', "SELECT cleanup = 'done' FROM jit_access.request WHERE id = $renamed"), 'a role that was renamed by hand');
is($node->safe_psql('postgres', "SELECT count(*) FROM pg_roles WHERE oid = $oid"), '0', 'is removed all the same');

my $poisoned = grant_to($node, 'alice', '1 hour');
my $other = grant_to($node, 'bob', '1 hour');
$node->safe_psql('postgres', "CREATE VIEW app.kept AS SELECT 1; ALTER VIEW app.kept OWNER TO jit_grant_$poisoned");
my $alice = connect_as($node, 'alice');
sqlstate_ok($alice->query('SELECT 1'), 'no error', 'a session has used the grant');
revoke($poisoned);
closed_ok($alice, 'and is ended with it');
ok(wait_for_cleanup($node, $poisoned), 'a grant that left code is cleaned up');
like($node->safe_psql('postgres', "SELECT description FROM jit_access.quarantine WHERE id = $poisoned"), qr/view app\.kept/, 'and the code is quarantined');
is($node->safe_psql('postgres', "SELECT has_table_privilege('alice', 'app.orders', 'SELECT')"), 'f', 'the requester has lost the privileges');
is($node->safe_psql('postgres', "SELECT has_table_privilege('jit_quarantine_$poisoned', 'app.orders', 'SELECT')"), 'f', 'and the role that keeps the code has none');
revoke($other);
ok(wait_for_cleanup($node, $other), 'another grant is cleaned up as well');
$node->safe_psql('postgres', 'DROP VIEW app.kept');

# ---- the catalogs are locked by an open transaction
my $locked = grant_to($node, 'alice', '1 hour');
$other = grant_to($node, 'bob', '1 hour');
my $open = connect_as($node, $superuser);
$open->query("BEGIN; REVOKE jit_grant_$locked FROM alice");
revoke($locked);
sqlstate_ok(connect_as($node, 'alice')->query('SELECT 1'), 'JA010', 'refused while the catalogs are locked');
revoke($other);
ok(wait_for_cleanup($node, $other), 'another grant is cleaned up meanwhile');
ok($node->poll_query_until('postgres', "SELECT cleanup_error IS NOT NULL FROM jit_access.active_grants WHERE id = $locked"), 'the failure is seen');
$open->query('ROLLBACK');
ok(wait_for_cleanup($node, $locked), 'the clean-up follows when it can');

# ---- they are locked when a grant is to start
my $start = connect_as($node, 'alice')->query(q{SELECT jit_request('reader', '1h', starts_at => clock_timestamp() + interval '2 seconds')})->{rows}[0][0];
approve_as($node, 'dave', $start);
$open->query('BEGIN; LOCK TABLE pg_authid IN EXCLUSIVE MODE');
# The worker has to have waited for the lock, in vain, more than once.
sub worker_loops { return $node->safe_psql('postgres', 'SELECT worker_loops FROM jit_access.status()'); }
my $waited = q{SELECT count(*) > 0 FROM pg_locks l JOIN pg_stat_activity a USING (pid) WHERE a.backend_type = 'jit_access worker' AND NOT l.granted AND l.relation = 'pg_authid'::regclass};
for (1, 2)
{
	$node->poll_query_until('postgres', $waited) or die 'the start does not wait for the lock';
	my $loops = worker_loops();
	wait_for('the worker to go on', sub { worker_loops() > $loops });
}
is($node->safe_psql('postgres', "SELECT state FROM jit_access.request WHERE id = $start"), 'scheduled', 'a start that meets a lock is tried again');
$open->query('ROLLBACK');
ok($node->poll_query_until('postgres', "SELECT state = 'active' FROM jit_access.request WHERE id = $start"), 'and the grant begins when it can');
revoke($start);
ok(wait_for_cleanup($node, $start), 'and ends');

# ---- another session revokes the membership at the same time
my $shared = grant_to($node, 'alice', '1 hour');
$open->query("BEGIN; REVOKE jit_grant_$shared FROM alice");
revoke($shared);
ok($node->poll_query_until('postgres', "SELECT cleanup_error IS NOT NULL FROM jit_access.active_grants WHERE id = $shared"), 'the clean-up waits for another REVOKE as well');
$open->query('COMMIT');
ok(wait_for_cleanup($node, $shared), 'an object that was dropped already is no failure');

# ---- access lists that change all the time: "tuple concurrently updated"
$node->safe_psql('postgres', 'CREATE SEQUENCE public.turns; CREATE ROLE zed');
my $busy = connect_as($node, $superuser);
$busy->send(<<'SQL');
DO $$ BEGIN LOOP
	BEGIN GRANT SELECT ON app.orders TO zed; EXCEPTION WHEN internal_error THEN NULL; END; COMMIT;
	BEGIN REVOKE SELECT ON app.orders FROM zed; EXCEPTION WHEN internal_error THEN NULL; END; COMMIT;
	PERFORM nextval('public.turns');
END LOOP; END $$
SQL
$node->poll_query_until('postgres', 'SELECT last_value > 100 FROM public.turns') or die 'it does not run';
for (1 .. 20)
{
	my $narrow = $node->safe_psql('postgres', q{SELECT jit_request('reader', '1h', scope => '{app.orders}')}, extra_params => [ '-U', 'alice' ]);
	$node->safe_psql('postgres', "SELECT jit_approve($narrow)", extra_params => [ '-U', 'dave' ]);
	revoke($narrow);
	# A person can have at most eight grants at a time.
	wait_for_cleanup($node, $narrow) or last;
}
my $turns = $node->safe_psql('postgres', 'SELECT last_value FROM public.turns');
ok($node->poll_query_until('postgres', "SELECT last_value > $turns FROM public.turns"), 'a table is granted and revoked continually');
is($node->safe_psql('postgres', 'SELECT count(*) FROM jit_access.request WHERE scope IS NOT NULL AND cleanup = \'done\''), '20', 'grants on it are cleaned up all the same');
kill 'INT', $busy->pid;
$busy->finish;
$open->query('BEGIN; GRANT SELECT ON app.orders TO zed');
my $waiting = $node->safe_psql('postgres', q{SELECT jit_request('reader', '1h', scope => '{app.orders}')}, extra_params => [ '-U', 'alice' ]);
my $hurried = connect_as($node, 'dave');
$hurried->query(q{SET statement_timeout = '1s'});
sqlstate_ok($hurried->query("SELECT jit_approve($waiting)"), '57014', 'a wait for such a change can be cancelled');
$open->query('ROLLBACK');
$node->safe_psql('postgres', 'DROP OWNED BY zed');
is($node->safe_psql('postgres', q{SELECT count(*) FROM pg_class, aclexplode(relacl) a WHERE relname = 'orders' AND NOT EXISTS (SELECT FROM pg_authid WHERE oid = a.grantee)}),
	'0', 'and its access list holds no dropped role');

# ---- a table created under the grant is being read
my $read = grant_to($node, 'alice', '1 hour');
$node->safe_psql('postgres', "CREATE TABLE app.made (id int); GRANT SELECT ON app.made TO carol; GRANT USAGE ON SCHEMA app TO carol; ALTER TABLE app.made OWNER TO jit_grant_$read");
my $reader = connect_as($node, 'carol');
sqlstate_ok($reader->query('BEGIN; SELECT * FROM app.made'), 'no error', 'a table made under a grant is being read');
revoke($read);
ok($node->poll_query_until('postgres', "SELECT cleanup_error IS NOT NULL FROM jit_access.active_grants WHERE id = $read"), 'its clean-up waits for the reader');
like($node->safe_psql('postgres', "SELECT cleanup_error FROM jit_access.active_grants WHERE id = $read"), qr/^table app\.made: /, 'and says why');
is($node->safe_psql('postgres', 'SELECT cleanups_due || \' \' || cleanups_failing FROM jit_access.health'), '1 1', 'the view health shows it');
is($node->safe_psql('postgres', "SELECT has_table_privilege('alice', 'app.orders', 'SELECT')"), 'f', 'the memberships do not');
$reader->query('COMMIT');
ok(wait_for_cleanup($node, $read), 'then it is handed over');
$node->safe_psql('postgres', 'DROP TABLE app.made');

# ---- a deadline farther away than the longest wait
$node->safe_psql('postgres', q{SELECT jit_create_template('years', '{USAGE ON SCHEMA app, SELECT ON app.orders}', requesters => '{alice}', approvers => '{dave}', max_duration => '3660 days')});
my $years = request_as($node, 'alice', 'years', '3660 days');
approve_as($node, 'dave', $years);
my $patient = connect_as($node, 'alice');
rows_ok($patient->query('SELECT count(*) > 0 FROM app.orders'), 't', 'a grant of ten years is used');
ok(wait_for_drained($node), 'its use is in the record');
my ($loops, $since) = split /\|/, $node->safe_psql('postgres', 'SELECT worker_loops, clock_timestamp() FROM jit_access.health');
ok($node->poll_query_until('postgres', "SELECT worker_loops >= $loops + 5 FROM jit_access.health"), 'the worker goes round meanwhile');
is($node->safe_psql('postgres', "SELECT clock_timestamp() - '$since' >= interval '2s'"), 't', 'once a nap, and not all the time');
my ($soon) = under_grant($node, 'bob', sub {});
wait_for_deadline($node, $soon);
ok(wait_for_cleanup($node, $soon), 'an earlier deadline is met meanwhile');
rows_ok($patient->query('SELECT count(*) > 0 FROM app.orders'), 't', 'the session that used it goes on');
revoke($years);
closed_ok($patient, 'until it is revoked');
ok(wait_for_cleanup($node, $years), 'and cleaned up');

# ---- the lock table is full
my $full = grant_to($node, 'alice', '1 hour');
my $greedy = connect_as($node, 'carol');
my $taken = $greedy->query('DO $$ BEGIN FOR i IN 1 .. 10000000 LOOP PERFORM pg_advisory_lock(i); END LOOP; EXCEPTION WHEN out_of_memory THEN NULL; END $$');
sqlstate_ok($taken, 'no error', 'a login has filled the lock table') or diag($taken->{message});
$greedy->quit;
revoke($full);
ok(wait_for_cleanup($node, $full), 'the clean-up follows');

# ---- a synchronous standby that does not answer
my $first = grant_to($node, 'alice', '1 hour');
$node->append_conf('postgresql.conf', "synchronous_standby_names = 'nobody'");
$node->reload;
my $waits = q{SELECT count(*) > 0 FROM pg_stat_activity WHERE wait_event = 'SyncRep' AND query LIKE 'CREATE TEMP TABLE waits%'};
my $carol = connect_as($node, 'carol');
$carol->send('CREATE TEMP TABLE waits (id int)');
ok($node->poll_query_until('postgres', $waits), 'commits wait for the standby');
# The record may wait for the standby, but the ends of grants must not wait for the record.
connect_as($node, 'alice')->query('SELECT count(*) FROM app.orders');
ok( $node->poll_query_until('postgres',
		q{SELECT journal_unread_bytes = 0 OR EXISTS (SELECT FROM pg_stat_activity WHERE pid = worker_pid AND wait_event = 'SyncRep') FROM jit_access.health}),
	'the worker has taken over a use, or waits with it');
my ($bob, $dave) = map { connect_as($node, $_) } qw(bob dave);
$_->query('SET synchronous_commit = local') for ($bob, $dave);
my $second = $bob->query(q{SELECT jit_request('changer', '2s')})->{rows}[0][0];
rows_ok($dave->query("SELECT jit_approve($second)"), 'active', 'a grant of two seconds');
wait_for_deadline($node, $second);
ok(wait_for_cleanup($node, $second), 'the clean-up at a deadline does not wait for the standby');
$dave->query('RESET synchronous_commit');
$dave->send("SELECT jit_revoke($first)");
ok($node->poll_query_until('postgres', "SELECT NOT jit_access.confirmed($first)"), 'nor does a revocation');
ok(wait_for_cleanup($node, $first), 'nor its clean-up');
is($node->safe_psql('postgres', $waits), 't', 'while others wait');
$node->append_conf('postgresql.conf', "synchronous_standby_names = ''");
$node->reload;
$dave->finish;
ok(wait_for_drained($node), 'the record is complete');
record_is_sound($node, 'worker');

$node->stop('fast');
done_testing();
