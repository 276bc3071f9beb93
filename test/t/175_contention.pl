
# A transaction that has requested a template with caps and stays open holds the lock on the caps. After a moment its
# session is ended, so that it delays neither the worker, nor other requesters, nor a break-glass request.
use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use JitTest;
use Test::More;

my $node = jit_node('turns');
$node->safe_psql('postgres', <<'SQL');
SELECT jit_create_template('capped', '{USAGE ON SCHEMA app, SELECT ON app.orders}', requesters => '{alice, bob}', approvers => '{dave}',
	responders => '{carol}', break_glass_duration => '10 minutes', person_at_once => 1);
SQL

my $id = connect_as($node, 'alice')->query(q{SELECT jit_request('capped', '1h', starts_at => clock_timestamp() + interval '2 seconds')})->{rows}[0][0];
rows_ok(connect_as($node, 'dave')->query("SELECT jit_approve($id)"), 'scheduled', 'a grant is to start');

# Holds the lock on the caps, idle in its transaction.
sub hold
{
	my $bob = connect_as($node, 'bob');
	$bob->query('BEGIN');
	$bob->query(q{SELECT jit_request('capped', '1h')});
	return $bob;
}

my $bob = hold();
ok($node->poll_query_until('postgres', "SELECT state = 'active' FROM jit_access.request WHERE id = $id"), 'the scheduled grant starts');
closed_ok($bob, 'the blocking session was ended');

# The lock of another template is not affected.
$node->safe_psql('postgres', <<'SQL');
SELECT jit_create_template('other', '{SELECT ON app.orders}', requesters => '{alice}', approvers => '{dave}', person_at_once => 1);
SQL
my $alice = connect_as($node, 'alice');
$alice->query('BEGIN');
$alice->query(q{SELECT jit_request('other', '1h')});
$bob = hold();
like(connect_as($node, 'carol')->query(q{SELECT jit_break_glass('capped', '10 minutes', 'fire')})->{rows}[0][0], qr/^\d+$/, 'the glass is broken');
closed_ok($bob, 'and the blocking session is ended');
is($alice->query('COMMIT')->{tags}[0], 'COMMIT', 'a session that holds the caps of another template goes on');
is($node->safe_psql('postgres', q{SELECT count(*) FROM jit_access.request WHERE requester_name = 'bob'}), '0', 'the ended session has requested nothing');

# From 16 on, one transaction at a time changes the memberships of a role: an approver who leaves it open delays neither
# other approvers, whatever the template, nor the clean-up.
$node->safe_psql('postgres', q{SELECT jit_create_template('open', '{SELECT ON app.orders}', requesters => '{alice, bob, carol}', approvers => '{dave}')});
sub ask { return connect_as($node, $_[0])->query("SELECT jit_request('open', '1h')")->{rows}[0][0] }
sub approved_and_left_open
{
	my $dave = connect_as($node, 'dave');
	$dave->query('BEGIN');
	rows_ok($dave->query("SELECT jit_approve($_[0])"), 'active', 'approved, and left open');
	return $dave;
}
my $over = ask('alice');
connect_as($node, 'dave')->query("SELECT jit_approve($over)");
my $left = ask('bob');
my $keeper = approved_and_left_open($left);
my $wanted = ask('carol');
rows_ok(connect_as($node, 'dave')->query("SELECT jit_approve($wanted)"), 'active', 'another grant of the template becomes active');
$keeper = approved_and_left_open($left = ask('bob'));
rows_ok(connect_as($node, 'dave')->query("SELECT jit_revoke($over)"), 'revoked', 'a third one is revoked');
ok(wait_for_cleanup($node, $over), 'and cleaned up');

# A session that leaves a transaction open does not keep a grant from ending: it is ended itself. Whatever it has done to
# the row, and in a savepoint or not; a row that is locked by one subtransaction and changed by another has a MultiXact.
$node->safe_psql('postgres', 'CREATE TABLE app.bills (id int)');
$node->safe_psql('postgres', q{SELECT jit_create_template('ending', '{SELECT ON app.orders, SELECT ON app.bills}', requesters => '{alice, bob, carol}',
	approvers => '{dave, erin}', holder_extension => '1 hour')});
sub granted
{
	my ($who, $more) = @_;
	my $granted = connect_as($node, $who)->query("SELECT jit_request('ending', " . ($more // "'1h'") . ')')->{rows}[0][0];
	rows_ok(connect_as($node, 'dave')->query("SELECT jit_approve($granted)"), 'active', 'a grant');
	return $granted;
}
my @holding = (
	'SELECT jit_extend(%d, $$1min$$)',
	'SAVEPOINT a; SELECT jit_extend(%d, $$1min$$); RELEASE a',
	'SAVEPOINT a; SELECT jit_extend(%d, $$1min$$); SAVEPOINT b; SELECT jit_extend(%1$d, $$1min$$)',
	'SELECT jit_revoke(%d)',
);
for my $statements (@holding)
{
	my $held = granted('carol');
	my $carol = connect_as($node, 'carol');
	my $erin = connect_as($node, 'erin');
	$erin->query('BEGIN');
	sqlstate_ok($erin->query($_), 'no error', "left open: $_") for map { sprintf $_, $held } split /; /, $statements;
	rows_ok(connect_as($node, 'dave')->query("SELECT jit_revoke($held)"), 'revoked', 'another approver revokes the grant without waiting');
	is($node->safe_psql('postgres', "SELECT jit_access.confirmed($held)"), 'f', 'access has ended');
	closed_ok($erin, 'the session that was left open is ended');
	ok(wait_for_cleanup($node, $held), 'the grant is cleaned up');
	rows_ok($carol->query('SELECT 1'), '1', 'and its holder can work without it');
}

# The same at the deadline, which a session of another person holds up.
for my $hold ('SELECT jit_extend(%d, $$1min$$)', 'SELECT jit_revoke(%d)')
{
	my ($held, $erin) = under_grant($node, 'alice', sub {
		my $erin = connect_as($node, 'dave');
		$erin->query('BEGIN');
		my $result = $erin->query(sprintf $hold, $_[0]);
		die $result->{message} if $result->{sqlstate};
		return $erin;
	});
	wait_for_deadline($node, $held);
	closed_ok($erin, "at the deadline, the session that holds it up is ended: $hold");
	ok(wait_for_cleanup($node, $held), 'the grant is cleaned up');
	rows_ok(connect_as($node, 'alice')->query('SELECT 1'), '1', 'and its holder can work without it');
}

# Narrowed grants change the access lists of their tables and schemas.
my $narrowed = granted('alice', q{'1h', scope => '{app.orders}'});
my $erin = connect_as($node, 'erin');
my $mine = connect_as($node, 'bob')->query(q{SELECT jit_request('ending', '1h', scope => '{app.orders}')})->{rows}[0][0];
$erin->query('BEGIN');
rows_ok($erin->query("SELECT jit_approve($mine)"), 'active', 'a narrowed grant is approved, and left open');
my $theirs = granted('carol', q{'1h', scope => '{app.bills, app.orders}'});
closed_ok($erin, 'another one of the same table is approved, and the session is ended');
$erin = connect_as($node, 'erin');
$erin->query('BEGIN');
rows_ok($erin->query("SELECT jit_approve($mine)"), 'active', 'approved and left open again');
rows_ok(connect_as($node, 'dave')->query("SELECT jit_revoke($_)"), 'revoked', 'narrowed grants end') for ($narrowed, $theirs);
ok(wait_for_cleanup($node, $_), 'and are cleaned up') for ($narrowed, $theirs);
closed_ok($erin, 'the session that was left open is ended');

# pg_write_all_data may lock any table.
$node->safe_psql('postgres', 'CREATE ROLE writer LOGIN IN ROLE pg_write_all_data');
for my $table (qw(request event))
{
	my $held = granted('carol');
	my $writer = connect_as($node, 'writer');
	$writer->query('BEGIN');
	# As long as another transaction has used the table, the lock is waited for, and keeps others out already.
	$writer->send("LOCK TABLE jit_access.$table IN EXCLUSIVE MODE");
	ok($node->poll_query_until('postgres', "SELECT count(*) = 1 FROM pg_locks WHERE relation = 'jit_access.$table'::regclass AND mode = 'ExclusiveLock' AND granted = ('$table' = 'event')"),
		"a table is locked: $table");
	rows_ok(connect_as($node, 'dave')->query("SELECT jit_revoke($held)"), 'revoked', 'the grant is revoked');
	is($node->safe_psql('postgres', "SELECT jit_access.confirmed($held)"), 'f', 'access has ended');
	closed_ok($writer, 'the session with the lock is ended');
	ok(wait_for_cleanup($node, $held), 'the grant is cleaned up');
	$keeper->quit;
}

# A revocation leaves the settings of its transaction alone.
my $last = granted('carol');
my $dave = connect_as($node, 'dave');
my $settings = q{SELECT current_setting('lock_timeout'), current_setting('synchronous_commit')};
$dave->query('BEGIN');
my $before = join ' ', @{ $dave->query($settings)->{rows}[0] };
rows_ok($dave->query("SELECT jit_revoke($last)"), 'revoked', 'a grant is revoked in a transaction');
is(join(' ', @{ $dave->query($settings)->{rows}[0] }), $before, 'which keeps its settings');
$dave->query('COMMIT');

$node->stop;
done_testing();
