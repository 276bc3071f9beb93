
# Prepared transactions: no process enforces the deadline between PREPARE and COMMIT PREPARED.
use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use JitTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = jit_node('prepared');
my $superuser = $node->safe_psql('postgres', 'SELECT current_user');

# ---- decisions
for my $how ('', 'SAVEPOINT s; ')
{
	my $id = request_as($node, 'alice', 'reader', '1 hour');
	my $dave = connect_as($node, 'dave');
	rows_ok($dave->query("BEGIN; ${how}SELECT jit_approve($id)"), 'active', 'an approval in an open transaction');
	sqlstate_ok($dave->query(q{PREPARE TRANSACTION 'approval'}), 'JA017', 'cannot be prepared');
	is($node->safe_psql('postgres', "SELECT state FROM jit_access.request WHERE id = $id"), 'pending', 'and is undone');
	is($node->safe_psql('postgres', 'SELECT live_grants FROM jit_access.health'), '0', 'nothing of it stays live');
	rows_ok($dave->query("SELECT jit_approve($id)"), 'active', 'without PREPARE it is an approval');
	sqlstate_ok($dave->query("BEGIN; SELECT jit_revoke($id)"), 'no error', 'a revocation in an open transaction');
	sqlstate_ok($dave->query(q{PREPARE TRANSACTION 'revocation'}), 'JA017', 'cannot be prepared');
	is($node->safe_psql('postgres', "SELECT jit_access.confirmed($id)"), 'f', 'and is not undone');
	ok(wait_for_cleanup($node, $id), 'cleaned up');
}
my $alice = connect_as($node, 'alice');
sqlstate_ok($alice->query(q{BEGIN; SELECT jit_request('reader', '1h')}), 'no error', 'a request in an open transaction');
sqlstate_ok($alice->query(q{PREPARE TRANSACTION 'request'}), 'JA017', 'cannot be prepared');
is($node->safe_psql('postgres', "SELECT count(*) FROM jit_access.request WHERE state = 'pending'"), '0', 'and is undone');

# ---- under a grant
my $id = grant_to($node, 'alice', '1 hour');
sqlstate_ok($alice->query(q{BEGIN; INSERT INTO app.orders VALUES (2000, 'x')}), 'no error', 'a transaction writes under a grant');
sqlstate_ok($alice->query(q{PREPARE TRANSACTION 'use'}), 'JA016', 'and cannot be prepared');
$alice->query('ROLLBACK');
sqlstate_ok($alice->query(q{BEGIN; PREPARE TRANSACTION 'use'}), 'JA016', 'even an empty one');
$alice->query('ROLLBACK');

# This transaction was prepared before the grant, by the same login. It uses only the login's own privileges, and may be
# committed at any time.
my $bob = connect_as($node, 'bob');
$node->safe_psql('postgres', 'CREATE TABLE app.bobs (id int); ALTER TABLE app.bobs OWNER TO bob; GRANT USAGE ON SCHEMA app TO bob');
sqlstate_ok($bob->query(q{BEGIN; INSERT INTO app.bobs VALUES (1); PREPARE TRANSACTION 'own'}), 'no error', 'without a grant a transaction may be prepared');
my $bobs = grant_to($node, 'bob', '1 hour');
$bob->query("SET ROLE jit_grant_$bobs; SELECT count(*) FROM app.orders; RESET ROLE");
sqlstate_ok($bob->query(q{COMMIT PREPARED 'own'}), 'no error', 'and its owner commits it');
is($node->safe_psql('postgres', "SELECT count(*) FROM pg_prepared_xacts"), '0', 'no prepared transaction is left');

# ---- a prepared transaction of a superuser that has locked the role of a grant
my $dba = connect_as($node, $superuser);
sqlstate_ok($dba->query("BEGIN; COMMENT ON ROLE jit_grant_$id IS 'locked'; PREPARE TRANSACTION 'catalogs'"), 'no error', 'the role of a grant is locked');
$node->safe_psql('postgres', "SELECT jit_revoke($id)");
like(connect_as($node, 'alice')->query('SELECT count(*) FROM app.orders')->{sqlstate} // 'allowed', qr/^(JA010|42501)$/, 'access has ended all the same');
ok($node->poll_query_until('postgres', "SELECT cleanup_error IS NOT NULL FROM jit_access.active_grants WHERE id = $id"), 'the clean-up says that it could not be done');
$dba->query(q{COMMIT PREPARED 'catalogs'});
ok(wait_for_cleanup($node, $id), 'and follows');

ok(wait_for_drained($node), 'the record is complete');
is(log_rows($node, "kind = 'refusal' AND tag = 'PREPARE TRANSACTION' AND login = 'alice' AND grant_id = $id"), '2', 'the refusals are in the record');
record_is_sound($node, 'prepared');
$node->stop('fast');
done_testing();
