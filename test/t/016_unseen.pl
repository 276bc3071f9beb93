
# Uses of a grant that come without a statement, or in a process that is not the session of the holder: PL/pgSQL
# expressions in blocks that have been running since before the grant, in parallel workers, in replication connections and
# under another grant (background workers: 131_cron.pl), and code of a holder that maintenance by somebody else runs.
use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use JitTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = jit_node('unseen', init => { allows_streaming => 1 }, conf => "autovacuum_naptime = 1s\nmax_parallel_workers = 8\n");
my $superuser = $node->safe_psql('postgres', 'SELECT current_user');
my $force_parallel = $node->pg_version >= 16 ? 'debug_parallel_query' : 'force_parallel_mode';

$node->safe_psql('postgres', <<'SQL');
GRANT USAGE ON SCHEMA app TO PUBLIC;
CREATE ROLE streamer LOGIN REPLICATION; GRANT alice TO streamer;
CREATE FUNCTION app.secret() RETURNS int PARALLEL SAFE LANGUAGE plpgsql AS 'BEGIN RETURN 42; END';
CREATE FUNCTION app.second() RETURNS int PARALLEL SAFE LANGUAGE plpgsql AS 'BEGIN RETURN 43; END';
CREATE FUNCTION app.plain() RETURNS int PARALLEL SAFE LANGUAGE plpgsql AS 'BEGIN RETURN 44; END';
REVOKE EXECUTE ON FUNCTION app.secret(), app.second() FROM PUBLIC;
SELECT jit_alter_template('reader', privileges => ARRAY['USAGE ON SCHEMA app', 'SELECT, INSERT, UPDATE, DELETE, TRUNCATE ON app.orders', 'EXECUTE ON FUNCTION app.secret()']);
SELECT jit_create_template('second', '{USAGE ON SCHEMA app, EXECUTE ON FUNCTION app.second()}', requesters => '{alice}', approvers => '{dave}');
-- Waits, and then calls the function again and again. Every turn can be interrupted.
CREATE FUNCTION app.calls(key int, called text) RETURNS int PARALLEL SAFE LANGUAGE plpgsql AS $$
DECLARE n int;
BEGIN
	PERFORM pg_advisory_lock_shared(key);
	IF called = 'plain' THEN n := app.plain(); RETURN n; END IF;
	LOOP
		IF called = 'secret' THEN n := app.secret(); ELSE n := app.second(); END IF;
		IF pg_sleep(0.01) IS NULL THEN RETURN n; END IF;
	END LOOP;
END $$;
SQL

# Objects of alice, made without a grant: functions in indexes and materialized views, which need the grant or do not.
my %bodies = (
	expression => 'RETURN x + app.secret();',
	query => 'RETURN x + (SELECT count(*) FROM app.orders);',
	command => 'RETURN x + mine.locks();',
	unneeded => 'RETURN x + app.plain() + (SELECT count(*) FROM mine.own);',
);
$node->safe_psql('postgres', 'CREATE SCHEMA mine AUTHORIZATION alice; SET SESSION AUTHORIZATION alice; CREATE TABLE mine.own (id int)');
$node->safe_psql('postgres', q{SET SESSION AUTHORIZATION alice; CREATE FUNCTION mine.locks() RETURNS int LANGUAGE plpgsql AS 'BEGIN LOCK TABLE app.orders IN ROW EXCLUSIVE MODE; RETURN 1; END'});
for my $body (sort keys %bodies)
{
	$node->safe_psql('postgres', <<"SQL");
SET SESSION AUTHORIZATION alice;
CREATE FUNCTION mine.$body(x int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS \$\$ BEGIN
IF current_setting('mine.quiet', true) = 'on' THEN RETURN x; END IF;
$bodies{$body} END \$\$;
SET mine.quiet = on;
CREATE TABLE mine.t_$body (id int) WITH (autovacuum_enabled = off);
INSERT INTO mine.t_$body SELECT generate_series(1, 100);
CREATE INDEX i_$body ON mine.t_$body (mine.$body(id));
CREATE MATERIALIZED VIEW mine.v_$body AS SELECT mine.$body(id) AS x FROM mine.t_$body;
SQL
}

$node->safe_psql('postgres', <<'SQL');
SET SESSION AUTHORIZATION alice;
CREATE VIEW mine.shown AS SELECT id FROM app.orders;
CREATE FUNCTION mine.lends(turns int DEFAULT 1) RETURNS bigint SECURITY DEFINER LANGUAGE plpgsql AS
	'BEGIN RETURN (SELECT count(*) FROM app.orders, generate_series(1, turns)); END';
GRANT USAGE ON SCHEMA mine TO PUBLIC; GRANT SELECT ON mine.shown TO PUBLIC;
SQL

my $locker = connect_as($node, $superuser);
sub start_waiting
{
	my ($session, $key, $sql) = @_;
	$locker->query("SELECT pg_advisory_lock($key)");
	$session->send($sql);
	$node->poll_query_until('postgres', "SELECT count(*) = 1 FROM pg_locks WHERE locktype = 'advisory' AND objid = $key AND NOT granted")
	  or die "it does not wait: $sql";
	return $session;
}
sub let_go { my ($key) = @_; $locker->query("SELECT pg_advisory_unlock($key)"); }
sub calls_of
{
	my ($id, $pid, $function) = @_;
	wait_for_drained($node);
	return log_rows($node, "kind = 'use' AND $id = ANY (grants) AND pid = $pid AND tag = 'FUNCTION CALL' AND statement = '$function'");
}

# ---- what has been running since before the grant
my %runs = (
	session => [ start_waiting(connect_as($node, 'alice'), 11, q{SELECT app.calls(11, 'secret')}), 11 ],
	parallel => [ start_waiting(connect_as($node, 'alice', options => { $force_parallel => 'on' }), 12, q{SELECT app.calls(12, 'secret')}), 12 ],
	replication => [ start_waiting(connect_as($node, 'streamer', options => { replication => 'database' }), 13, q{SELECT app.calls(13, 'secret')}), 13 ],
);
my $needs_nothing = start_waiting(connect_as($node, 'alice'), 14, q{SELECT app.calls(14, 'plain')});

my ($id) = under_grant($node, 'alice', sub {
	my ($id) = @_;
	let_go($_) for 11 .. 14;
	for my $how (sort keys %runs)
	{
		my $pid = $runs{$how}[0]->pid;
		wait_for("$how is on the record", sub { calls_of($id, $pid, 'secret') eq '1' || deadline_passed($node, $id) });
		die "$how is not on the record" if calls_of($id, $pid, 'secret') ne '1';
	}
});
rows_ok($needs_nothing->finish, '44', 'a block that calls what needs no grant goes on');
is(log_rows($node, 'pid = ' . $needs_nothing->pid . " AND tag = 'FUNCTION CALL'"), '0', 'its calls are no rows');
closed_ok($runs{$_}[0], "ended at the deadline, running since before the grant: $_") for qw(session replication);
my $result = $runs{parallel}[0]->finish;
sqlstate_ok($result, '57P01', 'ended at the deadline, running since before the grant: a parallel worker');
sqlstate_ok($runs{parallel}[0]->query('SELECT 1'), 'no error', 'the session of the parallel worker, which has not used the grant, goes on');
ok(wait_for_cleanup($node, $id), 'cleaned up');
wait_for_drained($node);
is(log_rows($node, "kind = 'use' AND grant_id = $id AND outcome IS NULL"), '0', 'every call has its outcome');

# ---- in a block that runs under another grant
my $longer = grant_to($node, 'alice', '1 hour');
my $block = start_waiting(connect_as($node, 'alice'), 15, q{DO $$ BEGIN PERFORM FROM app.orders; PERFORM app.calls(15, 'second'); END $$});
my $shorter;
for (my $seconds = 4; $seconds <= 128; $seconds *= 2)
{
	$shorter = request_as($node, 'alice', 'second', "${seconds}s");
	approve_as($node, 'dave', $shorter);
	let_go(15);
	wait_for('the call', sub { calls_of($shorter, $block->pid, 'second') eq '1' || deadline_passed($node, $shorter) });
	last;
}
is(calls_of($shorter, $block->pid, 'second'), '1', 'a call under a second grant, in a block of the first, is on the record');
closed_ok($block, 'and the block ends with the second grant');
ok(wait_for_cleanup($node, $shorter), 'cleaned up, too');

# ---- what a recorded statement contains is recorded once
my $once = connect_as($node, 'alice', options => { application_name => 'once', $force_parallel => 'on' });
rows_ok($once->query('SELECT app.secret() + app.plain()'), '86', 'a query in a parallel worker');
rows_ok($once->query(q{DO $$ DECLARE n int; BEGIN n := app.secret(); END $$; SELECT 1}), '1', 'a block');
wait_for_drained($node);
is($node->safe_psql('postgres', q{SELECT string_agg(depth || ' ' || tag, ', ' ORDER BY seq) FROM jit_access.audit_log WHERE application = 'once'}),
	'0 SELECT, 0 DO, 0 SELECT', 'a call inside of a recorded statement is no row of its own');
$once->quit;
$node->safe_psql('postgres', "SELECT jit_revoke($longer)");
ok(wait_for_cleanup($node, $longer), 'revoked');

# ---- a session that borrows the grant, by a function with SECURITY DEFINER or a view of the holder: it gives it back
my %borrows = (
	idle => [ 'carol', 'CREATE TEMP TABLE kept (id int); SELECT mine.lends(); SELECT 1' ],
	own_role => [ $superuser, 'SET ROLE carol; SELECT count(*) FROM mine.shown' ],
	held => [ 'carol', 'DECLARE h CURSOR WITH HOLD FOR SELECT id FROM mine.shown' ],
	function => [ 'carol', 'BEGIN; SELECT mine.lends(1000000000)' ],
	view => [ $superuser, 'SELECT count(*) FROM mine.shown, generate_series(1, 1000000000)' ],
	open => [ 'carol', 'BEGIN; SELECT mine.lends()' ],
	trapping => [ 'carol', 'DO $$ BEGIN PERFORM mine.lends(); LOOP BEGIN LOOP END LOOP; EXCEPTION WHEN query_canceled THEN NULL; END; END LOOP; END $$' ],
);
my %long = map { $_ => 1 } qw(function view trapping);
my ($lent, $borrower) = under_grant($node, 'alice', sub {
	my ($id) = @_;
	my %s = map { $_ => connect_as($node, $borrows{$_}[0]) } keys %borrows;
	for my $name (grep { !$long{$_} } sort keys %s)
	{
		my $result = $s{$name}->query($borrows{$name}[1]);
		die "$name: $result->{message}" if $result->{sqlstate};
	}
	$s{$_}->send($borrows{$_}[1]) for sort keys %long;
	for my $pid (map { $s{$_}->pid } sort keys %long)
	{
		wait_for('a use of it', sub { wait_for_drained($node); log_rows($node, "kind = 'use' AND $id = ANY (grants) AND pid = $pid") ne '0' || deadline_passed($node, $id) });
	}
	return \%s;
});
wait_for_deadline($node, $lent);
for my $name (qw(function view))
{
	my $result = $borrower->{$name}->finish;
	sqlstate_ok($result, '57014', "borrowed by a running statement, which is cancelled: $name");
	is($result->{detail}, "Grant $lent has ended; the session goes on without it.", "and told why: $name");
}
closed_ok($borrower->{$_}, "borrowed by a session that does not come out of its transaction: $_") for qw(open trapping);
$borrower->{function}->query('ROLLBACK');
for my $name (qw(function view idle own_role held))
{
	ok(wait_for($name, sub { !$borrower->{$name}->query('SELECT 1')->{sqlstate} }), "borrowed, and the session goes on: $name");
}
rows_ok($borrower->{idle}->query('SELECT count(*) FROM kept'), '0', 'borrowed: a temporary table stays');
rows_ok($borrower->{own_role}->query('SELECT current_user'), 'carol', 'borrowed: a role stays');
sqlstate_ok($borrower->{held}->query('FETCH ALL FROM h'), '34000', 'borrowed: a held cursor does not');
ok(wait_for_cleanup($node, $lent), 'borrowed: cleaned up');
is($node->safe_psql('postgres', "SELECT count(*) FROM pg_stat_activity WHERE pid IN (" . join(', ', map { $borrower->{$_}->pid } qw(function view idle own_role held)) . ')'),
	'5', 'borrowed: the sessions are still there');

# ---- maintenance by somebody else: the owner's code runs as the owner, who holds a grant
$longer = grant_to($node, 'alice', '1 hour');
my $dba = connect_as($node, $superuser, options => { application_name => 'dba' });
my @maintenance = ('ANALYZE mine.t_%s', 'VACUUM (ANALYZE) mine.t_%s', 'REINDEX TABLE mine.t_%s', 'CREATE INDEX ON mine.t_%1$s (mine.%1$s(id))', 'REFRESH MATERIALIZED VIEW mine.v_%s', 'CLUSTER mine.t_%1$s USING i_%1$s');
for my $body (sort keys %bodies)
{
	for my $command (@maintenance)
	{
		my $sql = sprintf $command, $body;
		sqlstate_ok($dba->query($sql), $body eq 'unneeded' ? 'no error' : 'JA016', "a superuser's $sql");
	}
}
is($node->safe_psql('postgres', 'SELECT count(*) FROM jit_access.request r WHERE id = ' . $longer . q{ AND state = 'active'}), '1', 'all the while the grant was live');
my $holder = connect_as($node, 'alice', options => { application_name => 'holder' });
sqlstate_ok($holder->query('ANALYZE mine.t_expression'), 'no error', 'the holder may');
wait_for_drained($node);
is(log_rows($node, q{application = 'dba' AND kind = 'use'}), '0', 'a superuser uses no grant by maintenance');
is(log_rows($node, q{application = 'dba' AND kind = 'refusal' AND sqlstate = 'JA016' AND role = 'alice' AND grant_id IS NULL}), 3 * @maintenance,
	'what was refused is on the record, and not held against the grant');
is(log_rows($node, q{application = 'holder' AND kind = 'use' AND tag = 'ANALYZE' AND outcome = 'completed'}), '1', 'what the holder did, too');

# Autovacuum does the same.
my $before = -s $node->logfile;
$node->safe_psql('postgres', <<'SQL');
SET mine.quiet = on;
ALTER TABLE mine.t_expression SET (autovacuum_enabled = on, autovacuum_analyze_threshold = 1, autovacuum_analyze_scale_factor = 0);
INSERT INTO mine.t_expression SELECT generate_series(1, 100);
SQL
ok(wait_for('autovacuum', sub { slurp_file($node->logfile, $before) =~ /ERROR:  a grant gives nothing to the maintenance.*?automatic analyze of table "postgres.mine.t_expression"/s }),
	'autovacuum is refused the function');
$node->safe_psql('postgres', 'ALTER TABLE mine.t_expression SET (autovacuum_enabled = off)');
sqlstate_ok(connect_as($node, 'dave')->query("SELECT jit_revoke($longer)"), 'no error', 'the grant is revoked');
closed_ok($holder, 'the session of the holder ends with the grant');
ok(wait_for_cleanup($node, $longer), 'cleaned up at last');
sqlstate_ok($dba->query('SELECT 1'), 'no error', 'the session of the superuser does not');
sqlstate_ok($dba->query('ANALYZE mine.t_expression'), '42501', 'without the grant the server says the same');

ok(wait_for_drained($node), 'the record is complete');
record_is_sound($node, 'unseen');
unlike(slurp_file($node->logfile), qr/was terminated by signal/, 'nothing has crashed');
$node->stop('fast');
done_testing();
