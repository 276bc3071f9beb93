# The second factor, with oathtool as the authenticator: where templates demand it, single use in races and across
# restarts, a lock-out that survives rollbacks, codes that other users cannot read, and the key file.
use strict;
use warnings;

use Fcntl;
use FindBin;
use lib $FindBin::RealBin;
use JitTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

# A code is accepted only once. The test moves the time instead of waiting: set_clock.c moves the wall clock of the
# server.
my $directory = PostgreSQL::Test::Utils::tempdir();
my $offset_file = "$directory/offset";
my $offset = 0;

sub set_clock
{
	my ($seconds) = @_;
	sysopen my $file, $offset_file, O_RDWR | O_CREAT or die "cannot set the clock: $!";
	syswrite($file, pack('q', $offset = $seconds)) == 8 or die "cannot set the clock: $!";
}

sub with_clock
{
	my ($start) = @_;
	local $ENV{LD_PRELOAD} = "$directory/set_clock.so";
	local $ENV{CLOCK_OFFSET_FILE} = $offset_file;
	return $start->();
}

my %secret;    # login => base 32

sub code_at
{
	my ($login, $at) = @_;
	my ($code) = run_command([ 'oathtool', '--totp', '--base32', '--now', '@' . $at, $secret{$login} ]);
	return $code;
}

# Returns the code of a step that has just begun, later than any used code.
sub next_code
{
	my ($login) = @_;
	my $now = time + $offset;
	set_clock($offset + 30 - $now % 30);
	return code_at($login, time + $offset);
}

# Runs a statement with bind parameters.
sub call
{
	my ($session, $sql, @values) = @_;
	$session->parse('', $sql);
	$session->bind('', '', @values);
	$session->execute('');
	$session->sync;
	return $session->finish;
}

sub step_up { my ($session, $code) = @_; return call($session, 'SELECT jit_step_up($1)', $code); }

sub enroll
{
	my ($session, $login) = @_;
	my $result = $session->query('SELECT uri FROM jit_enroll_totp()');
	die $result->{message} if $result->{sqlstate};
	my $uri = $result->{rows}[0][0];
	($secret{$login}) = $uri =~ /secret=([A-Z2-7]{32})&/ or die "no secret in $uri";
	return $uri;
}

# Returns the recovery codes.
sub enroll_and_confirm
{
	my ($session, $login) = @_;
	enroll($session, $login);
	my $result = call($session, 'SELECT unnest(jit_confirm_totp($1))', next_code($login));
	die $result->{message} if $result->{sqlstate};
	return map { $_->[0] } @{ $result->{rows} };
}

sub stepped_up_ok
{
	my ($result, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	ok(!$result->{sqlstate} && @{ $result->{rows} } == 1, $name) or diag($result->{message} // '');
}

# After a restart with empty shared memory, no code is accepted for a time; moving the clock shortens it.
sub wait_for_start { set_clock($offset + 90); }

my $node;

sub restart
{
	with_clock(sub { $node->restart });
	$node->poll_query_until('postgres', "SELECT bool_and(confirmed) IS NOT FALSE FROM jit_access.active_grants WHERE state = 'active'")
	  or die 'the grants are not confirmed';
}

my $read = 'SELECT count(*) > 0 FROM app.orders';

set_clock(0);
system_or_bail($ENV{CC} || 'cc', '-shared', '-fPIC', '-O2', '-o', "$directory/set_clock.so", "$FindBin::RealBin/set_clock.c");
$node = with_clock(sub {
	jit_node('factor', init => { allows_streaming => 1 },
		conf => "cluster_name = 'main'\njit_access.log_parameters = on\nlog_statement = none\njit_access.second_factor_lifetime = 1h\n");
});
$node->safe_psql('postgres', <<'SQL');
CREATE ROLE ada LOGIN IN ROLE jit_admin;
SELECT jit_create_template('asks', '{USAGE ON SCHEMA app, SELECT ON app.orders}', requesters => '{alice,bob,carol}', approvers => '{dave}',
	second_factor => '{request,approval}');
SELECT jit_create_template('uses', '{USAGE ON SCHEMA app, SELECT ON app.orders}', requesters => '{alice}', approvers => '{dave}',
	second_factor => '{first_use}');
SELECT jit_create_template('changes', '{USAGE ON SCHEMA app, SELECT ON app.orders}', requesters => '{bob}', approvers => '{dave}',
	mode => 'set_role', second_factor => '{first_use}');
SELECT jit_create_template('activates', '{USAGE ON SCHEMA app, SELECT ON app.orders}', requesters => '{carol}', approvers => '{dave}',
	second_factor => '{activation}', time_to_decide => '10 min');
SQL
$node->safe_psql('postgres', 'CREATE DATABASE elsewhere');
$node->safe_psql('postgres', <<'SQL');
CREATE FUNCTION app.lent() RETURNS boolean PARALLEL SAFE SECURITY DEFINER LANGUAGE plpgsql AS 'BEGIN RETURN (SELECT count(*) > 0 FROM app.orders); END';
ALTER FUNCTION app.lent() OWNER TO alice; GRANT USAGE ON SCHEMA app TO carol;
SQL
my $key_file = $node->data_dir . '/jit_access/second_factor_key';

# ---- the authenticator
my $alice = connect_as($node, 'alice');
my $dave = connect_as($node, 'dave');
ok(!-e $key_file, 'there is no key before it is needed');
my @recovery = enroll_and_confirm($alice, 'alice');
is((stat $key_file)[2] & 07777, 0600, 'the key is made, for the server alone');
is(scalar @recovery, 10, 'ten recovery codes');
my %recovery = map { $_ => [ enroll_and_confirm(connect_as($node, $_), $_) ] } qw(bob carol dave);
stepped_up_ok(step_up($alice, next_code('alice')), 'the code of oathtool is right');
sqlstate_ok(step_up($alice, code_at('alice', time + $offset)), 'JA020', 'once');
sqlstate_ok(step_up($alice, code_at('alice', time + $offset - 30)), 'JA020', 'an older one is not');
sqlstate_ok(step_up($alice, code_at('alice', time + $offset + 90)), 'JA020', 'nor one from the future');
next_code('alice');
my $ahead = code_at('alice', time + $offset + 30);
stepped_up_ok(step_up($alice, $ahead), 'an authenticator may be half a minute ahead');
next_code('alice');
sqlstate_ok(step_up($alice, $ahead), 'JA020', 'a code accepted early is not accepted again in its own time step');
next_code('alice') for 1 .. 2;
stepped_up_ok(step_up($alice, code_at('alice', time + $offset - 30)), 'or behind');
my $id = $alice->query("SELECT jit_request('asks', '1h')")->{rows}[0][0];
sqlstate_ok($dave->query("SELECT jit_approve($id)"), 'JA019', 'an approval that demands it');
stepped_up_ok(step_up($dave, next_code('dave')), 'the approver steps up');
rows_ok($dave->query("SELECT jit_approve($id)"), 'active', 'and approves');
$node->safe_psql('postgres', "SELECT jit_revoke($id)");
wait_for_cleanup($node, $id) or die;

# ---- the clock
my $used = next_code('alice');
stepped_up_ok(step_up(connect_as($node, 'alice'), $used), 'a code');
set_clock($offset - 60);
sqlstate_ok(step_up(connect_as($node, 'alice'), code_at('alice', time + $offset)), 'JA020', 'when the clock is set back, codes of that time do not count');
set_clock($offset + 60);

# ---- races
for my $round (1 .. 5)
{
	my @sessions = map { connect_as($node, 'alice') } 1 .. 4;
	my $code = next_code('alice');
	for my $session (@sessions)
	{
		$session->parse('', 'SELECT jit_step_up($1)');
		$session->bind('', '', $code);
		$session->execute('');
		$session->sync;
	}
	my @results = map { $_->finish } @sessions;
	is(join(' ', sort map { $_->{sqlstate} // 'right' } @results), 'JA020 JA020 JA020 right', "race $round: one wins");
	$_->quit for @sessions;
}
for my $round (1 .. 2)
{
	# A concurrent attempt with the same code counts as wrong. Together with the earlier wrong attempts there would be too
	# many.
	stepped_up_ok(step_up($alice, next_code('alice')), 'wrong attempts are forgotten');
	my @sessions = map { connect_as($node, 'alice') } 1 .. 4;
	my $code = shift @recovery;
	$_->send("SELECT jit_step_up('$code')") for @sessions;
	my @results = map { $_->finish } @sessions;
	is(join(' ', sort map { $_->{sqlstate} // 'right' } @results), 'JA020 JA020 JA020 right', "race $round with a recovery code: one wins");
	$_->quit for @sessions;
}

# ---- wrong codes
{
	my @sessions = map { connect_as($node, 'carol') } 1 .. 20;
	$_->send("BEGIN; SELECT jit_step_up('000000')") for @sessions;
	my @messages = map { $_->finish->{message} } @sessions;
	is(scalar(grep { $_ eq 'the code of "carol" is not accepted' } @messages), 5, 'twenty concurrent guesses are five guesses');
	is(scalar(grep { $_ eq 'no code of "carol" is accepted for a while' } @messages), 15, 'the others none');
	$_->query('ROLLBACK') for @sessions;
	my $result = step_up($sessions[0], next_code('carol'));
	is($result->{message}, 'no code of "carol" is accepted for a while', 'neither a rollback nor a right code lifts the lock');
	is(step_up($sessions[1], $recovery{carol}[0])->{message}, 'no code of "carol" is accepted for a while', 'nor does a recovery code');
	stepped_up_ok(step_up($alice, next_code('alice')), 'others are not locked out');
	is($node->safe_psql('postgres', "SELECT login FROM jit_access.second_factors WHERE locked_until > clock_timestamp()"), 'carol', 'the view names the locked login');
	$_->quit for @sessions;
}

# ---- other users cannot read a code
my $secret_code = next_code('alice');
$alice->send("SELECT jit_step_up('$secret_code'), pg_sleep(1000)");
ok($node->poll_query_until('postgres', "SELECT wait_event = 'PgSleep' FROM pg_stat_activity WHERE pid = " . $alice->pid), 'a session that holds a code runs');
is($node->safe_psql('postgres', 'SELECT query FROM pg_stat_activity WHERE pid = ' . $alice->pid),
	'(hidden: it holds a code of the second factor)', 'the running statement is hidden from other users');
$node->safe_psql('postgres', 'SELECT pg_cancel_backend(' . $alice->pid . ')');
sqlstate_ok($alice->finish, '57014', 'cancelled');
$node->safe_psql('postgres', 'CREATE FUNCTION app.wrapped(text) RETURNS timestamptz LANGUAGE plpgsql AS $f$ BEGIN RETURN jit_step_up($1); END $f$; GRANT USAGE ON SCHEMA app TO alice');
$alice->query('PREPARE step(text) AS SELECT jit_step_up($1)');
for my $wrong ("SELECT jit_step_up('$secret_code')", qq{SELECT U&"jit_step\\005fup"('$secret_code')}, qq{SELECT 1/0, U&"!006Ait_step_up" UESCAPE '!' ('$secret_code')},
	"EXECUTE step('$secret_code')", "SELECT app.wrapped('$secret_code')", "SELECT jit_step_up('$secret_code'", "SELECT jit_step_up($secret_code)",
	"SELECT jit_confirm_totp('$secret_code')", "SELECT JIT_Step_Up('$secret_code', 1)", "EXPLAIN ANALYZE SELECT jit_step_up('$secret_code')",
	"DO \$\$ BEGIN PERFORM jit_step_up('$secret_code'); END \$\$")
{
	my $result = $alice->query($wrong);
	ok($result->{sqlstate}, 'refused: ' . $wrong =~ s/\d+/…/r);
	is($node->safe_psql('postgres', 'SELECT query FROM pg_stat_activity WHERE pid = ' . $alice->pid),
		'(hidden: it holds a code of the second factor)', 'and hidden: ' . $wrong =~ s/\d+/…/r);
}
my @logged = grep { /\Q$secret_code/ } split /\n/, slurp_file($node->logfile);
is("@logged", '', 'nor does the server log show the statement of an error');

# ---- at first use
stepped_up_ok(step_up($dave, next_code('dave')), 'the approver');
sub use_of
{
	my ($who, $template) = @_;
	my $id = request_as($node, $who, $template, '8h');
	approve_as($node, 'dave', $id);
	return $id;
}
$node->safe_psql('postgres', "SELECT jit_reset_totp('carol')");
$node->safe_psql('postgres', "SELECT jit_reset_totp('alice')");
enroll_and_confirm($alice, 'alice');
$id = use_of('alice', 'uses');
my $first = connect_as($node, 'alice');
my $second = connect_as($node, 'alice');
my $there = connect_as($node, 'alice', dbname => 'elsewhere');
for my $session ([ 'a query', $first, $read ], [ 'one that needs nothing', $first, 'SELECT 1' ], [ 'a command', $first, 'SET work_mem = 1024' ],
	[ 'another database', $there, 'SELECT 1' ], [ 'more than stepping up', $first, "SELECT jit_step_up('000000'), count(*) FROM app.orders" ],
	[ 'something beside it', $first, "SELECT jit_step_up('000000') FROM pg_class" ])
{
	my $result = $session->[1]->query($session->[2]);
	sqlstate_ok($result, 'JA019', "refused: $session->[0]");
}
like($there->query('SELECT 1')->{hint}, qr/in database "postgres"/, 'a session in another database gets a hint where to step up');
# A parallel worker asks for its leader, which has not used the grant.
my $parallel = ($node->pg_version >= 16 ? 'debug_parallel_query' : 'force_parallel_mode');
my $carol = connect_as($node, 'carol', options => { $parallel => 'on' });
sqlstate_ok($carol->query('SELECT app.lent()'), 'JA019', 'refused: a function of the holder that only a parallel worker calls');
enroll_and_confirm($carol, 'carol');
stepped_up_ok(step_up($carol, next_code('carol')), 'its session steps up');
rows_ok($carol->query('SELECT app.lent()'), 't', 'then the worker may');
$node->safe_psql('postgres', "SELECT jit_reset_totp('carol')");
sqlstate_ok($carol->query('SELECT app.lent()'), 'JA019', 'until the second factor of the login is reset');
stepped_up_ok(step_up($first, next_code('alice')), 'the session steps up all the same');
rows_ok($first->query($read), 't', 'and uses it');
rows_ok($second->query($read), 't', 'so does another session of the login, from the same address');
rows_ok($there->query('SELECT 1'), '1', 'and one in another database');
$node->safe_psql('postgres', "SELECT jit_reset_totp('alice')");
sqlstate_ok(connect_as($node, 'alice')->query($read), 'JA019', 'after a reset no session has stepped up');
rows_ok($first->query($read), 't', 'a session that has used the grant goes on');
enroll_and_confirm($first, 'alice');
$node->append_conf('postgresql.conf', 'jit_access.second_factor_lifetime = 1s');
$node->reload;
stepped_up_ok(step_up($first, next_code('alice')), 'stepped up for a second');
ok(wait_for('it is over', sub { my $s = connect_as($node, 'alice'); return ($s->query($read)->{sqlstate} // '') eq 'JA019' }), 'then a new session has to step up again');
rows_ok($first->query($read), 't', 'one that has used it has not');
$node->append_conf('postgresql.conf', 'jit_access.second_factor_lifetime = 1h');
$node->reload;

my $changes = use_of('bob', 'changes');
my $bob = connect_as($node, 'bob');
rows_ok($bob->query('SELECT 1'), '1', 'with set_role, a statement without the grant is free');
$bob->query("SET ROLE jit_grant_$changes");
sqlstate_ok($bob->query($read), 'JA019', 'and one with the grant is not');
my $oid = $node->safe_psql('postgres', "SELECT 'jit_step_up'::regproc::oid");
sqlstate_ok($bob->call_function($oid, $recovery{bob}[0]), 'JA018', 'a function call of the protocol does not step up');
stepped_up_ok(step_up($bob, $recovery{bob}[0]), 'stepped up under the role');
rows_ok($bob->query($read), 't', 'and used');
rows_ok($bob->query("SELECT jit_step_up('$recovery{bob}[1]') IS NOT NULL"), 't', 'once more, under the grant');
stepped_up_ok(call($bob, 'SELECT count(*) FROM app.orders WHERE id < $1', 50), 'something with a parameter');

# ---- an activation that never comes
{
	my $id = request_as($node, 'carol', 'activates', '1h');
	is(approve_as($node, 'dave', $id), 'scheduled', 'approved, it waits for its holder');
	set_clock($offset + 700);
	ok($node->poll_query_until('postgres', "SELECT state = 'lapsed' FROM jit_access.request WHERE id = $id"), 'and lapses without activation');
}

# ---- restarts
stepped_up_ok(step_up($alice, $used = next_code('alice')), 'stepped up');
$alice->query('BEGIN');
my $spent = $recovery{bob}[2];
$bob->query('RESET ROLE');
$bob->query('BEGIN');
stepped_up_ok(step_up($bob, $spent), 'with a recovery code, in a transaction');
$bob->query('ROLLBACK');
ok($node->poll_query_until('postgres', "SELECT recovery_codes = 7 FROM jit_access.second_factors WHERE login = 'bob'"), 'the worker writes down that it was used');
restart();
$alice = connect_as($node, 'alice');
my $result = step_up($alice, $used);
is($result->{message}, 'no one-time code is accepted yet', 'after a restart an earlier code does not count');
$result = step_up($alice, code_at('alice', time + $offset + 30));
is($result->{message}, 'no one-time code is accepted yet', 'nor one of the next moment');
sqlstate_ok($alice->query($read), 'JA019', 'the grant demands it as before');
wait_for_start();
stepped_up_ok(step_up($alice, next_code('alice')), 'a moment later they do');
rows_ok($alice->query($read), 't', 'and it is used');
$bob = connect_as($node, 'bob');
sqlstate_ok(step_up($bob, $spent), 'JA020', 'a recovery code that was used stays used');
stepped_up_ok(step_up($bob, $used = next_code('bob')), 'bob');
{
	my $pid = $bob->pid;
	kill 'KILL', $pid or die;
	ok($node->poll_query_until('postgres', 'SELECT count(*) > 0 FROM jit_access.health WHERE worker_pid IS NOT NULL'), 'kill -9: the server comes back');
	$node->poll_query_until('postgres', "SELECT bool_and(confirmed) FROM jit_access.active_grants") or die;
	$bob = connect_as($node, 'bob');
	is(step_up($bob, $used)->{message}, 'no one-time code is accepted yet', 'kill -9: an earlier code does not count');
	wait_for_start();
	stepped_up_ok(step_up($bob, next_code('bob')), 'kill -9: a later one does');
}

# ---- a transaction that cannot write
$bob->query('BEGIN READ ONLY');
sqlstate_ok(step_up($bob, $recovery{bob}[3]), '25006', 'a recovery code cannot be marked in a transaction that only reads');
$bob->query('ROLLBACK');
stepped_up_ok(step_up($bob, $recovery{bob}[3]), 'and is not used up by it');
$bob->query('BEGIN READ ONLY');
stepped_up_ok(step_up($bob, next_code('bob')), 'a one-time code counts there');
$bob->query('ROLLBACK');

# ---- an older snapshot
$bob->query('BEGIN ISOLATION LEVEL REPEATABLE READ');
$bob->query('SELECT count(*) FROM pg_class');
connect_as($node, 'ada')->query("SELECT jit_reset_totp('bob')");
sqlstate_ok(step_up($bob, next_code('bob')), 'JA020', 'a second factor that was reset is gone in transactions that began before');
$bob->query('ROLLBACK');
my @bobs = enroll_and_confirm($bob, 'bob');

# ---- another authenticator
stepped_up_ok(step_up($bob, next_code('bob')), 'stepped up');
my $old = $secret{bob};
enroll($bob, 'bob');
my $new = $secret{bob};
$secret{bob} = $old;
stepped_up_ok(step_up($bob, next_code('bob')), 'while another one is not confirmed the old one counts');
$secret{bob} = $new;
ok(!call($bob, 'SELECT jit_confirm_totp($1)', next_code('bob'))->{sqlstate}, 'the new one is confirmed');
stepped_up_ok(step_up($bob, next_code('bob')), 'it counts');
$secret{bob} = $old;
sqlstate_ok(step_up($bob, next_code('bob')), 'JA020', 'the old one does not');
sqlstate_ok(step_up($bob, $bobs[0]), 'JA020', 'nor do its recovery codes');
$secret{bob} = $new;

# ---- permissions to reset
my $ada = connect_as($node, 'ada');
enroll_and_confirm($ada, 'ada');
sqlstate_ok($ada->query("SELECT jit_reset_totp('bob')"), 'JA019', 'an administrator with a second factor needs it');
stepped_up_ok(step_up($ada, next_code('ada')), 'stepped up');
ok(!$ada->query("SELECT jit_reset_totp('carol')")->{sqlstate}, 'and resets with it');

# ---- a login that is dropped
$node->safe_psql('postgres', 'CREATE ROLE frank LOGIN');
enroll_and_confirm(my $frank = connect_as($node, 'frank'), 'frank');
$frank->quit;
$node->safe_psql('postgres', 'DROP ROLE frank');
ok($node->poll_query_until('postgres', "SELECT count(*) = 0 FROM jit_access.second_factors WHERE login = 'frank'"), 'a login that is dropped leaves none');

# ---- the key
my $key = slurp_file($key_file);
sub key_is
{
	my ($name, $detail) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $result = step_up($bob, next_code('bob'));
	sqlstate_ok($result, 'JA021', "the key $name: no code is accepted");
	like($result->{detail}, $detail, "the key $name: says why");
	$result = connect_as($node, 'carol')->query('SELECT * FROM jit_enroll_totp()');
	return $result->{sqlstate} // 'enrolled';
}
chmod 0640, $key_file;
is(key_is('can be read by others', qr/can be read or written by others\.$/), 'JA021', 'and enrolment fails');
chmod 0600, $key_file;
unlink $key_file;
is(key_is('is gone', qr/cannot be read: No such file or directory\.$/), 'JA021', 'and no other one is made');
ok(!-e $key_file, 'there is none');
append_to_file($key_file, 'ab' x 31);
chmod 0600, $key_file;
is(key_is('is short', qr/does not hold 64 hexadecimal digits\.$/), 'JA021', 'and enrolment fails');
unlink $key_file;
append_to_file($key_file, 'ab' x 32);
chmod 0600, $key_file;
is(key_is('is another one', qr/sealed with another key, or the table was changed\.$/), 'enrolled', 'but others can enrol with it');
unlink $key_file;
$node->append_conf('postgresql.conf', "jit_access.second_factor_key_file = '/etc/passwd'");
$node->reload;
ok(wait_for('the setting counts', sub { connect_as($node, 'carol')->query('SELECT * FROM jit_enroll_totp()')->{sqlstate} }), 'a file of another user');
is(key_is('is another user\'s', qr/belongs to another user of the system than the server runs as\.$/), 'JA021', 'and enrolment fails');
append_to_file("$directory/key", $key);
chmod 0600, "$directory/key";
$node->append_conf('postgresql.conf', "jit_access.second_factor_key_file = '$directory/key'");
$node->reload;
ok(wait_for('the key is back', sub { !step_up($bob, next_code('bob'))->{sqlstate} }), 'put back, elsewhere, it opens them again');
$node->safe_psql('postgres', q{
UPDATE jit_access.second_factor f SET secret = (SELECT secret FROM jit_access.second_factor WHERE login = 'bob'::regrole) WHERE login = 'dave'::regrole});
$secret{dave} = $secret{bob};
sqlstate_ok(step_up($dave = connect_as($node, 'dave'), next_code('dave')), 'JA021', 'a secret that is put into another row does not open');

# ---- a standby
$node->backup('copy');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($node, 'copy', has_streaming => 1);
with_clock(sub { $standby->start });
$node->wait_for_catchup($standby);
ok($standby->poll_query_until('postgres', "SELECT confirmed FROM jit_access.active_grants WHERE id = $id"), 'the grant is confirmed on a standby');
sqlstate_ok(connect_as($standby, 'alice')->query($read), 'JA019', 'where it demands the second factor');
sqlstate_ok(step_up(connect_as($standby, 'bob'), next_code('bob')), 'JA017', 'and a step-up fails');
$standby->stop;

# ---- the record
ok(wait_for_drained($node), 'all is on the record');
is(log_rows($node, "sqlstate = 'JA019' AND kind = 'refusal' AND login = 'alice' AND grant_id = $id") > 5, 1, 'uses that were refused are on the record');
is(log_rows($node, "statement LIKE '%jit_step_up%' AND parameters <> ''"), '0', 'a code passed as a bind parameter is not recorded');
is(log_rows($node, "statement LIKE 'SELECT count(*)%' AND parameters <> ''"), '1', 'although parameters are');
is(log_rows($node, "audit_log::text LIKE '%$secret_code%'"), '0', 'nor one in the text');
is(log_rows($node, "sqlstate = 'JA020' AND login = 'carol' AND kind = 'refusal'") >= 20, 1, 'every wrong attempt is');
record_is_sound($node, 'second factor');
$node->stop;
done_testing();
