# What a session that has to leave a grant may do on the way, and what others may do to it.
use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use JitTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = jit_node('leaving');
$node->safe_psql('postgres', <<'SQL');
SELECT jit_alter_template('reader', at_deadline => 'cancel');
SELECT jit_alter_template('changer', at_deadline => 'cancel');
SQL

# ---- a session that ends in debt has temporary tables to take away, which it does in one more transaction
my ($id, $s) = under_grant($node, 'alice', sub {
	my $session = connect_as($node, 'alice');
	$session->query('CREATE TEMP TABLE mine (id int)');
	my $result = $session->query('BEGIN; SELECT count(*) FROM app.orders');
	die $result->{message} if $result->{sqlstate};
	return $session;
});
my $bystander = connect_as($node, 'carol');
closed_ok($s, 'a session with a temporary table is ended in its block');
ok(wait_for_cleanup($node, $id), 'and the grant is cleaned up');
rows_ok($bystander->query('SELECT 1'), '1', 'nobody else is concerned');
is($node->safe_psql('postgres', "SELECT count(*) FROM pg_class WHERE relname = 'mine'"), '0', 'the table is gone');

done_testing();
