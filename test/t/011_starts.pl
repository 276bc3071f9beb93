
# No statement of any kind starts after the deadline, regardless of how the session got the grant. The worker is
# stopped, so each backend decides by itself.
use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use JitTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = jit_node('starts', init => { allows_streaming => 1 }, conf => "jit_access.journal_size = 256\nmax_connections = 100\n");
my $superuser = $node->safe_psql('postgres', 'SELECT current_user');
my $force_parallel = $node->pg_version >= 16 ? 'debug_parallel_query' : 'force_parallel_mode';

# The objects are the same in two databases; the privileges of the template in the other database are granted there.
$node->safe_psql('postgres', 'CREATE DATABASE other; CREATE SEQUENCE public.trapped; GRANT USAGE ON SEQUENCE public.trapped TO PUBLIC');
$node->safe_psql('other', <<'SQL');
CREATE SCHEMA app; CREATE TABLE app.orders (id int, status text); INSERT INTO app.orders VALUES (1, 'new');
GRANT SELECT, INSERT, TRUNCATE ON app.orders TO jit_template_reader;
SQL
$node->safe_psql($_, <<'SQL') for qw(postgres other);
GRANT USAGE ON SCHEMA app TO PUBLIC;
CREATE TABLE app.own AS SELECT generate_series(1, 100) AS id; GRANT SELECT ON app.own TO PUBLIC;
CREATE FUNCTION app.peek() RETURNS bigint LANGUAGE sql AS 'SELECT count(*) FROM app.orders';
CREATE FUNCTION app.cached() RETURNS bigint LANGUAGE plpgsql AS 'BEGIN RETURN (SELECT count(*) FROM app.orders); END';
CREATE PROCEDURE app.visit() LANGUAGE plpgsql AS 'BEGIN PERFORM count(*) FROM app.orders; END';
SQL
$node->safe_psql('postgres', <<'SQL');
CREATE ROLE shared LOGIN; GRANT alice TO shared;
CREATE ROLE team; GRANT alice TO team; CREATE ROLE member LOGIN; GRANT team TO member;
CREATE ROLE outsider LOGIN NOINHERIT; GRANT alice TO outsider;
CREATE ROLE nothing; GRANT nothing TO alice;
CREATE ROLE expired LOGIN VALID UNTIL '2000-01-01'; GRANT alice TO expired;
CREATE ROLE streamer LOGIN REPLICATION; GRANT alice TO streamer;
CREATE VIEW app.lent AS SELECT id FROM app.orders; ALTER VIEW app.lent OWNER TO alice; GRANT SELECT ON app.lent TO carol;
CREATE FUNCTION app.lend() RETURNS bigint LANGUAGE sql SECURITY DEFINER AS 'SELECT count(*) FROM app.orders';
ALTER FUNCTION app.lend() OWNER TO alice;
CREATE FUNCTION app.secret() RETURNS bigint LANGUAGE sql SECURITY DEFINER AS 'SELECT count(*) FROM app.orders';
REVOKE EXECUTE ON FUNCTION app.secret() FROM PUBLIC; GRANT EXECUTE ON FUNCTION app.secret() TO jit_template_reader;
SQL
my $read = 'SELECT count(*) > 0 FROM app.orders';

# ---- the ways in which a session gets the grant; `late` is sent only after the deadline; `simple` marks a connection
# without the extended protocol
my @ways = (
	{ name => 'by itself', user => 'alice' },
	{ name => 'in a transaction opened before', user => 'alice', begin => 'BEGIN' },
	{ name => 'under REPEATABLE READ', user => 'alice', begin => 'BEGIN ISOLATION LEVEL REPEATABLE READ' },
	{ name => 'under SERIALIZABLE', user => 'alice', begin => 'BEGIN ISOLATION LEVEL SERIALIZABLE' },
	{ name => 'in another database', user => 'alice', dbname => 'other' },
	{ name => 'with parallel query', user => 'alice', options => { $force_parallel => 'on' } },
	{ name => 'after SET ROLE to the requester', user => 'outsider', first => 'SET ROLE alice' },
	{ name => 'after RESET ROLE', user => 'alice', first => 'SET ROLE nothing', late => 'RESET ROLE' },
	{ name => 'after SET SESSION AUTHORIZATION', user => $superuser, first => 'SET SESSION AUTHORIZATION alice' },
	{ name => 'after SET ROLE by a superuser', user => $superuser, first => 'SET ROLE alice' },
	{ name => 'through a chain of memberships', user => 'member' },
	{ name => 'in a shared login that inherits the requester', user => 'shared' },
	{ name => 'in a login whose VALID UNTIL has passed', user => 'expired' },
	{ name => 'in a replication connection', user => 'streamer', options => { replication => 'database' }, simple => 1 },
	{ name => 'after SET ROLE to the role of the grant', user => 'bob', chooses => 1 },
);

sub session_of
{
	my ($way) = @_;
	my $session = connect_as($node, $way->{user}, dbname => $way->{dbname}, options => $way->{options});
	works($session, $way->{first}) if $way->{first};
	return $session;
}

sub works
{
	my ($session, $sql) = @_;
	my $result = $session->query($sql);
	die "$sql: $result->{message}" if $result->{sqlstate};
}

# ---- kinds of statements; those marked `open` need a transaction that was opened before the deadline
my $call = $node->safe_psql('postgres', q{SELECT 'pg_catalog.pg_backend_pid()'::regprocedure::oid});    # runs no query
my @kinds = (
	{ name => 'a statement', run => $read },
	{ name => 'a write', run => q{INSERT INTO app.orders VALUES (1000, 'late')} },
	{ name => 'EXECUTE', run => 'EXECUTE q' },
	{ name => 'a statement prepared by the protocol', run => sub { $_[0]->bind('', 'q_wire'); $_[0]->execute('', 0); $_[0]->sync } },
	{ name => 'a plan cached by plpgsql', run => 'SELECT app.cached()' },
	{ name => 'a function', run => 'SELECT app.peek()' },
	{ name => 'a procedure', run => 'CALL app.visit()' },
	{ name => 'a DO block', run => 'DO $$ BEGIN PERFORM count(*) FROM app.orders; END $$' },
	{ name => 'COPY of a table to the client', run => 'COPY app.orders TO STDOUT' },
	{ name => 'COPY of a query to the client', run => 'COPY (SELECT * FROM app.orders) TO STDOUT' },
	{ name => 'COPY from the client', run => 'COPY app.orders FROM STDIN' },
	{ name => 'a utility command', run => 'TRUNCATE app.orders' },
	{ name => 'CREATE TABLE AS', run => 'CREATE TEMP TABLE t AS SELECT * FROM app.orders' },
	{ name => 'FETCH', run => 'FETCH 1 FROM c', open => 1 },
	{ name => 'FETCH from a held cursor', run => 'FETCH 1 FROM h' },
	{ name => 'a suspended portal', run => sub { $_[0]->execute('p', 10); $_[0]->sync }, open => 1 },
	{ name => 'a function call of the protocol', run => sub { $_[0]->send_call($call) } },
);

# ---- before the grant: prepared in sessions that have nothing of the grant yet
my $locker = connect_as($node, $superuser);
works($locker, 'SELECT pg_advisory_lock(1)');
for my $way (@ways)
{
	my $session = $way->{session} = session_of($way);
	works($session, $_) for ("PREPARE q AS $read", 'DECLARE h CURSOR WITH HOLD FOR SELECT id FROM app.own');
	unless ($way->{simple}) { $session->parse('q_wire', $read); $session->sync; $session->finish; }
	die 'the plan would not be cached' unless $session->query('SELECT app.cached()')->{sqlstate} eq '42501';
	next unless $way->{begin};
	works($session, "$way->{begin}; DECLARE c CURSOR FOR SELECT id FROM app.own; FETCH 1 FROM c");
	$session->parse('', 'SELECT id FROM app.own');
	$session->bind('p', '');
	$session->execute('p', 10);
	$session->sync;
	die 'not suspended' unless $session->finish->{suspended};
	works($session, 'SAVEPOINT s');
}
my $looping = connect_as($node, 'alice');
$looping->send(<<'SQL');
DO $$ BEGIN
FOR i IN 0 .. 1 LOOP
	PERFORM pg_advisory_xact_lock(i);
	BEGIN PERFORM count(*) FROM app.orders; EXCEPTION WHEN insufficient_privilege THEN PERFORM nextval('public.trapped'); END;
END LOOP;
END $$
SQL
$node->poll_query_until('postgres', 'SELECT is_called FROM public.trapped') or die 'the loop does not run';
# An expression of plpgsql that only calls a function is not a statement. Its block has been running since before the
# grant.
my %block = map { $_ => connect_as($node, 'alice') } qw(under after);
works($locker, 'SELECT pg_advisory_lock(2)');
my %lock = (under => 2, after => 1);
$block{$_}->send("DO \$\$ DECLARE v bigint; BEGIN PERFORM pg_advisory_xact_lock($lock{$_}); v := app.secret(); IF pg_advisory_xact_lock(1) IS NULL THEN END IF; END \$\$")
  for sort keys %lock;
for my $pid (map { $_->pid } values %block)
{
	$node->poll_query_until('postgres', "SELECT wait_event = 'advisory' FROM pg_stat_activity WHERE pid = $pid") or die 'the block does not run';
}
my %borrower = map { $_ => connect_as($node, 'carol') } qw(view function);
my %borrows = (view => 'SELECT count(*) FROM app.lent', function => 'SELECT app.lend()');
stop_worker($node);

# ---- under the grants: every way works, shown in sessions of their own
my ($alices, $used) = under_grant($node, 'alice', sub {
	my ($grant) = @_;
	my $bobs = grant_to($node, 'bob', $node->safe_psql('postgres', "SELECT duration FROM jit_access.request WHERE id = $grant"));
	my %used = (bobs => $bobs);
	for my $way (@ways)
	{
		works($way->{session}, "RESET ROLE; SET ROLE jit_grant_$bobs") if $way->{chooses};
		my $session = $used{ $way->{name} } = session_of($way);
		works($session, "SET ROLE jit_grant_$bobs") if $way->{chooses};
		works($session, $_) for (grep { defined } $way->{late}, $way->{begin}), $read;
	}
	works($locker, 'SELECT pg_advisory_unlock(2)');
	$node->poll_query_until('postgres', 'SELECT count(*) = 0 FROM pg_locks WHERE NOT granted AND objid = 2') or die 'the block does not go on';
	for my $what (sort keys %borrows) { works($used{$what} = connect_as($node, 'carol'), $borrows{$what}); }
	return \%used;
});
wait_for_deadline($node, $_) for $alices, $used->{bobs};
closed_ok($used->{ $_->{name} }, "a session that used the grant is ended at the deadline: $_->{name}") for @ways;
sqlstate_ok($used->{$_}->query('SELECT 1'), 'no error', "a session that borrowed the grant goes on: through a $_ of the requester") for sort keys %borrows;
sqlstate_ok($used->{$_}->query($borrows{$_}), 'JA010', "which is refused there, too: through a $_ of the requester") for sort keys %borrows;

closed_ok($block{under}, 'a session that used the grant is ended at the deadline: by an expression of a block that has been running since before');

# ---- after the deadline, in all sessions at once
sqlstate_ok($_->{session}->query($_->{late}), 'no error', "$_->{late} is not refused") for grep { $_->{late} } @ways;
for my $kind (@kinds)
{
	my @now = grep { ($_->{begin} || !$kind->{open}) && !($_->{simple} && ref $kind->{run}) } @ways;
	for my $way (@now)
	{
		if (ref $kind->{run}) { $kind->{run}->($way->{session}) }
		else { $way->{session}->send($kind->{run}) }
	}
	for my $way (@now)
	{
		sqlstate_ok($way->{session}->finish, 'JA010', "refused $way->{name}: $kind->{name}");
		works($way->{session}, 'ROLLBACK TO SAVEPOINT s') if $way->{begin};
	}
}
sqlstate_ok($borrower{$_}->query($borrows{$_}), 'JA010', "refused through a $_ of the requester") for sort keys %borrows;
works($locker, 'SELECT pg_advisory_unlock(1)');
sqlstate_ok($block{after}->finish, 'JA010', 'refused: an expression of a block that has been running since before');
sqlstate_ok($looping->finish, 'JA010', 'refused: the next turn of a loop that has been running since before');

is($node->safe_psql($_, 'SELECT count(*) FROM app.orders'), $_ eq 'other' ? '1' : '100', "nothing has happened in database $_")
  for qw(postgres other);
is($node->safe_psql('postgres', "SELECT string_agg(state::text, ' ') FROM jit_access.request"), 'active active',
	'the worker has done nothing of this');

# ---- sessions that have not used the grant continue without it
continue_worker($node);
ok(wait_for_cleanup($node, $_), "grant $_ is cleaned up") for $alices, $used->{bobs};
sqlstate_ok($_->{session}->query('SELECT 1'), 'JA010', 'a session whose role was dropped has nothing until RESET ROLE') for grep { $_->{chooses} } @ways;
for my $way (@ways)
{
	works($way->{session}, $_) for (grep { $way->{begin} } 'ROLLBACK'), (grep { $way->{chooses} } 'RESET ROLE');
	sqlstate_ok($way->{session}->query($read), '42501', "lives on with its own privileges: $way->{name}");
}

ok(wait_for_drained($node), 'the record is complete');
is(log_rows($node, "kind = 'use' AND grant_id = $alices AND statement = 'secret' AND outcome = 'interrupted'"), '1',
	'the function that the expression called is in the record');
is(log_rows($node, q{kind = 'use' AND statement LIKE '%late%'}), '0', 'no refused statement is in the record as a use');
record_is_sound($node, 'starts');
$_->{session}->quit for @ways;
unlike(slurp_file($node->logfile), qr/was terminated by signal/, 'nothing has crashed');
$node->stop('fast');
done_testing();
