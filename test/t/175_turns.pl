
# Whoever leaves a transaction open in which he asked for a template that has caps keeps its turn, for a moment. Then he
# is ended: nobody waits for him, the worker, who asks for another one and who breaks the glass least of all.
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

# Holds the turn, and is idle in its transaction.
sub hold
{
	my $bob = connect_as($node, 'bob');
	$bob->query('BEGIN');
	$bob->query(q{SELECT jit_request('capped', '1h')});
	return $bob;
}

my $bob = hold();
ok($node->poll_query_until('postgres', "SELECT state = 'active' FROM jit_access.request WHERE id = $id"), 'what is to start starts');
closed_ok($bob, 'who was in the way was ended');

# Whose turn it is with another template is not concerned.
$node->safe_psql('postgres', <<'SQL');
SELECT jit_create_template('other', '{SELECT ON app.orders}', requesters => '{alice}', approvers => '{dave}', person_at_once => 1);
SQL
my $alice = connect_as($node, 'alice');
$alice->query('BEGIN');
$alice->query(q{SELECT jit_request('other', '1h')});
$bob = hold();
like(connect_as($node, 'carol')->query(q{SELECT jit_break_glass('capped', '10 minutes', 'fire')})->{rows}[0][0], qr/^\d+$/, 'the glass is broken');
closed_ok($bob, 'past who was in the way');
is($alice->query('COMMIT')->{tags}[0], 'COMMIT', 'who has the turn of another template goes on');
is($node->safe_psql('postgres', q{SELECT count(*) FROM jit_access.request WHERE requester_name = 'bob'}), '0', 'who has asked for nothing');

$node->stop;
done_testing();
