
# Statements that run at the deadline are stopped, regardless of what they wait for. The worker is stopped, and no
# client reads before its session has ended, so each backend ends itself.
use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use JitTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = jit_node('stops', conf => "jit_access.journal_size = 256\n");
my $superuser = $node->safe_psql('postgres', 'SELECT current_user');
my $force_parallel = $node->pg_version >= 16 ? 'debug_parallel_query' : 'force_parallel_mode';

$node->safe_psql('postgres', <<'SQL');
CREATE TABLE app.locked (id int); GRANT SELECT, TRUNCATE ON app.locked TO jit_template_reader;
CREATE TABLE app.wide AS SELECT repeat('x', 100000) AS text FROM generate_series(1, 200); GRANT SELECT ON app.wide TO jit_template_reader;
CREATE SEQUENCE app.canceled; CREATE SEQUENCE app.others; GRANT USAGE ON SEQUENCE app.canceled, app.others TO jit_template_reader;
CREATE TABLE app.bobs (id int); ALTER TABLE app.bobs OWNER TO bob; GRANT USAGE ON SCHEMA app TO bob;
SELECT jit_create_template('builder', ARRAY['USAGE, CREATE ON SCHEMA app', 'SELECT ON app.orders'], requesters => '{bob}',
	approvers => '{dave}', mode => 'set_role', allow_schema_change => true);
SQL

sub works
{
	my ($session, $sql) = @_;
	my $result = $session->query($sql);
	die "$sql: $result->{message}" if $result->{sqlstate};
}

sub trap_of
{
	my ($condition, $sequence) = @_;
	return "DO \$\$ BEGIN LOOP BEGIN PERFORM pg_sleep(3600) FROM app.orders; "
	  . "EXCEPTION WHEN $condition THEN PERFORM nextval('app.$sequence'); END; END LOOP; END \$\$";
}

sub quote { my ($text) = @_; return "'" . $text =~ s/'/''/gr . "'"; }

# ---- the statements of alice, and where each waits at the deadline; `ended` marks those that have finished by then
my $much = 'SELECT text FROM app.wide, generate_series(1, 1000)';
my $hold = 'DECLARE h CURSOR WITH HOLD FOR SELECT id FROM app.orders';
my @alices = (
	{ name => 'a long SELECT', run => 'SELECT pg_sleep(3600) FROM app.orders', waits => 'PgSleep' },
	{ name => 'a parallel query', run => 'SELECT pg_sleep(3600) FROM app.orders', waits => 'ExecuteGather', options => { $force_parallel => 'on' } },
	{ name => 'SELECT to a client that does not read', run => $much, waits => 'ClientWrite' },
	{ name => 'COPY of a query to a client that does not read', run => "COPY ($much) TO STDOUT", waits => 'ClientWrite' },
	{ name => 'COPY of a table to a client that does not read', run => 'COPY app.wide TO STDOUT', waits => 'ClientWrite' },
	{ name => 'COPY from a client that does not go on', run => 'COPY app.orders FROM STDIN', waits => 'ClientRead',
		then => sub { $_[0]->collect('GE'); $_[0]->message('d', "2000\tlate\n") } },
	{ name => 'a wait for a row', run => "UPDATE app.orders SET status = 'late' WHERE id = 1", waits => 'transactionid' },
	{ name => 'a wait for a table', run => 'BEGIN; LOCK TABLE app.locked IN ACCESS SHARE MODE', waits => 'relation' },
	{ name => 'a wait of a command', run => 'TRUNCATE app.locked', waits => 'relation' },
	{ name => 'a wait for an advisory lock', run => 'SELECT pg_advisory_lock(1)', waits => 'advisory' },
	{ name => 'a loop that traps query_canceled', run => trap_of('query_canceled', 'canceled'), cancel => 'canceled', waits => 'PgSleep' },
	{ name => 'a loop that traps every error', run => trap_of('query_canceled OR OTHERS', 'others'), cancel => 'others', waits => 'PgSleep' },
	# Errors cancel the server's timeouts, and these two errors do not end a transaction. The protocol can fetch
	# the rows of a held cursor without a statement.
	{ name => 'a held cursor, after two errors in a transaction', run => $hold, waits => 'ClientRead', ended => 1,
		then => sub { $_[0]->finish; $_[0]->query($_) for 'BEGIN', 'SELECT 1/0', 'SELECT 1' } },
	{ name => 'a held cursor, after an error outside a transaction', run => $hold, waits => 'ClientRead', ended => 1,
		then => sub { $_[0]->finish; $_[0]->execute('missing', 0); $_[0]->sync; $_[0]->finish } },
	{ name => 'a transaction that has written', run => q{BEGIN; INSERT INTO app.orders VALUES (2001, 'late')}, waits => 'ClientRead', ended => 1,
		then => sub { $_[0]->finish } },
);

my $locker = connect_as($node, $superuser);
works($locker, q{BEGIN; SELECT pg_advisory_lock(1); LOCK TABLE app.locked IN ACCESS EXCLUSIVE MODE; SELECT FROM app.orders WHERE id = 1 FOR UPDATE});
my %unused = map { $_ => connect_as($node, $_) } qw(alice bob);
stop_worker($node);

# Waits at most until the deadline, after which a wait is useless.
sub wait_until
{
	my ($grant, $condition) = @_;
	$node->poll_query_until('postgres', "SELECT ($condition) OR clock_timestamp() >= ends_at FROM jit_access.request WHERE id = $grant")
	  or die "waited in vain for: $condition";
}

# Sessions, and the wait event of each.
sub wait_for_events
{
	my ($grant, @waiting) = @_;
	my $all = join ', ', map { '(' . $_->[0]->pid . ", '$_->[1]')" } @waiting;
	wait_until($grant, "SELECT count(a.pid) = count(*) FROM (VALUES $all) v (pid, event) LEFT JOIN pg_stat_activity a ON a.pid = v.pid AND a.wait_event = v.event");
}
my $stopped;    # the process id of a backend
sub go_on { kill 'CONT', $stopped if $stopped; undef $stopped; }
END { go_on(); }

my ($alices, $bobs) = under_grant($node, 'alice', sub {
	my ($grant) = @_;
	go_on();
	my $id = request_as($node, 'bob', 'builder', $node->safe_psql('postgres', "SELECT duration FROM jit_access.request WHERE id = $grant"));
	approve_as($node, 'dave', $id);
	my %bobs = (id => $id, sessions => {});
	my $sessions = $bobs{sessions};

	# bob sets the role of the grant, with which he may change the schema.
	my $builds = $sessions->{'CREATE INDEX CONCURRENTLY'} = connect_as($node, 'bob');
	works($builds, $_) for "SET ROLE jit_grant_$id", "CREATE TABLE app.built_$id (id int)";
	works($bobs{writer} = connect_as($node, $superuser), "BEGIN; INSERT INTO app.built_$id VALUES (1)");
	$builds->send("CREATE INDEX CONCURRENTLY built_${id}_id ON app.built_$id (id)");

	my %pending = (
		'a transaction with a pending CREATE TABLE' => "SET ROLE jit_grant_$id; CREATE TABLE app.pending_$id (id int)",
		'a transaction with a pending GRANT' => "GRANT SELECT ON app.bobs TO carol; SET ROLE jit_grant_$id; SELECT FROM app.orders; RESET ROLE",
		'a transaction whose COMMIT has been sent' => "SET ROLE jit_grant_$id; CREATE TABLE app.sent_$id (id int)");
	works($sessions->{$_} = connect_as($node, 'bob'), "BEGIN; $pending{$_}") for sort keys %pending;
	works($bobs{guarded} = connect_as($node, 'bob'), "BEGIN; SET ROLE jit_grant_$id; CREATE TABLE app.granted_$id (id int)");
	$bobs{refusal} = $bobs{guarded}->query("GRANT SELECT ON app.granted_$id TO carol");

	for my $case (@alices)
	{
		$case->{session} = connect_as($node, 'alice', options => $case->{options});
		$case->{session}->send($case->{run});
	}
	$_->{then}->($_->{session}) for grep { $_->{then} } @alices;
	my @waiting = ([ $builds, 'virtualxid' ], map { [ $_->{session}, $_->{waits} ] } @alices);
	wait_for_events($grant, @waiting);
	for my $case (grep { $_->{cancel} } @alices)
	{
		$node->safe_psql('postgres', 'SELECT pg_cancel_backend(' . $case->{session}->pid . ')');
		wait_until($grant, "SELECT is_called FROM app.$case->{cancel}");
	}
	wait_for_events($grant, @waiting);

	# The COMMIT arrives before the deadline, but the process reads it after the deadline.
	my $commits = $sessions->{'a transaction whose COMMIT has been sent'};
	$stopped = $commits->pid;
	kill 'STOP', $stopped or die 'cannot stop a backend';
	$commits->send('COMMIT');
	return \%bobs;
});
my $id = $bobs->{id};
sqlstate_ok($bobs->{refusal}, 'JA016', 'GRANT under the grant does not even become pending');
wait_for_deadline($node, $_) for $alices, $id;
go_on();

sub ended_ok
{
	my ($session, $name) = @_;
	my $pid = $session->pid;
	ok($node->poll_query_until('postgres', "SELECT count(*) = 0 FROM pg_stat_activity WHERE $pid IN (pid, leader_pid)"),
		"ended at the deadline, with its parallel workers: $name");
}

ended_ok($_->{session}, $_->{name}) for @alices;
ended_ok($bobs->{sessions}{$_}, $_) for sort keys %{ $bobs->{sessions} };
ended_ok($bobs->{guarded}, 'a transaction that has failed');
is($node->safe_psql('postgres', "SELECT string_agg(state::text, ' ') FROM jit_access.request WHERE id IN ($alices, $id)"),
	'active active', 'the worker has done nothing of this');

# ---- nothing of the grant remains
ok($bobs->{sessions}{$_}->query('COMMIT')->{closed}, "there is no COMMIT of $_ any more")
  for grep { /transaction/ } sort keys %{ $bobs->{sessions} };
works($locker, 'ROLLBACK');
is($node->safe_psql('postgres', "SELECT count(*) FROM app.orders WHERE status = 'late'"), '0', 'no row was written');
is($node->safe_psql('postgres', "SELECT to_regclass('app.pending_$id') IS NULL AND to_regclass('app.sent_$id') IS NULL"), 't', 'no table was made');
is($node->safe_psql('postgres', "SELECT has_table_privilege('carol', 'app.bobs', 'SELECT')"), 'f', 'nothing was granted');
is($node->safe_psql('postgres', "SELECT indisvalid FROM pg_index WHERE indexrelid = 'app.built_${id}_id'::regclass"),
	'f', 'CREATE INDEX CONCURRENTLY left an invalid index');
works($bobs->{writer}, 'ROLLBACK');

# ---- the worker comes back
continue_worker($node);
ok(wait_for_cleanup($node, $_), "grant $_ is cleaned up") for $alices, $id;
is($node->safe_psql('postgres', "SELECT string_agg(relname || ' of ' || pg_get_userbyid(relowner), ', ' ORDER BY relname) FROM pg_class WHERE relname IN ('built_$id', 'built_${id}_id')"),
	"built_$id of jit_template_builder, built_${id}_id of jit_template_builder", 'the invalid index goes with its table to the role of the template');
for my $who (sort keys %unused)
{
	sqlstate_ok($unused{$who}->query('SELECT 1'), 'no error', "a session of $who that never used the grant lives on");
	sqlstate_ok($unused{$who}->query('SELECT count(*) FROM app.orders'), '42501', "with ${who}'s own privileges");
}

ok(wait_for_drained($node), 'the record is complete');
is(log_rows($node, "kind = 'use' AND outcome IS NULL"), '0', 'every use has its outcome');
for my $case (grep { !$_->{ended} } @alices)
{
	my $statement = quote($case->{run} =~ s/^BEGIN; //r);
	cmp_ok(log_rows($node, "kind = 'use' AND grant_id = $alices AND statement = $statement AND outcome = 'interrupted'"), '>', 0,
		"in the record as interrupted: $case->{name}");
}
is(log_rows($node, "kind = 'use' AND grant_id = $id AND statement LIKE 'CREATE INDEX%' AND outcome = 'interrupted'"), '1',
	'in the record as interrupted: CREATE INDEX CONCURRENTLY');
record_is_sound($node, 'stops');
unlike(slurp_file($node->logfile), qr/was terminated by signal/, 'nothing has crashed');
$node->stop('fast');
done_testing();
