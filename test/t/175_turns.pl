
# Whoever leaves a transaction open in which he asked for a template that has caps keeps its turn. What is to start
# meanwhile waits for that, and does not lapse.
use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use JitTest;
use Test::More;

my $node = jit_node('turns');
$node->safe_psql('postgres', <<'SQL');
SELECT jit_create_template('capped', '{USAGE ON SCHEMA app, SELECT ON app.orders}', requesters => '{alice, bob}', approvers => '{dave}',
	person_at_once => 1);
SQL

my $id = connect_as($node, 'alice')->query(q{SELECT jit_request('capped', '1h', starts_at => clock_timestamp() + interval '2 seconds')})->{rows}[0][0];
rows_ok(connect_as($node, 'dave')->query("SELECT jit_approve($id)"), 'scheduled', 'a grant is to start');

my $bob = connect_as($node, 'bob');
$bob->query('BEGIN');
$bob->query(q{SELECT jit_request('capped', '1h')});
$node->poll_query_until('postgres', "SELECT starts_at < clock_timestamp() FROM jit_access.request WHERE id = $id");
my $loops = $node->safe_psql('postgres', 'SELECT worker_loops FROM jit_access.health');
ok($node->poll_query_until('postgres', "SELECT worker_loops > $loops + 2 FROM jit_access.health"), 'its start has come, and the worker has tried');
is($node->safe_psql('postgres', "SELECT state FROM jit_access.request WHERE id = $id"), 'scheduled', 'it waits for the other one');
$bob->query('ROLLBACK');
ok($node->poll_query_until('postgres', "SELECT state = 'active' FROM jit_access.request WHERE id = $id"), 'and starts when that is over');

done_testing();
