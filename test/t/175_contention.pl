
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

$node->stop;
done_testing();
