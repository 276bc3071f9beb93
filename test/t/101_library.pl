
# The library is removed from shared_preload_libraries and put back. Without it, the memberships of grants are ordinary
# memberships. When it is back, no grant can be used until the server has confirmed it.
use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use JitTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = jit_node('library');
my $read = 'SELECT count(*) > 0 FROM app.orders';

sub restart_with
{
	my ($library, $database) = @_;
	$node->append_conf('postgresql.conf', "shared_preload_libraries = '$library'\njit_access.database = '$database'");
	$node->restart;
}

sub as_bob
{
	my ($role) = @_;
	my $bob = connect_as($node, 'bob');
	$bob->query("SET ROLE $role");
	return $bob->query($read);
}

my $held = grant_to($node, 'alice', '4 hours');
my ($short) = under_grant($node, 'bob', sub {
	my ($grant) = @_;
	restart_with('', 'postgres');
	die 'the session is refused' if as_bob("jit_grant_$grant")->{sqlstate};
});

# ---- without the library
wait_for_deadline($node, $short);
rows_ok(as_bob("jit_grant_$short"), 't', 'without: a deadline that has passed ends nothing');
rows_ok(connect_as($node, 'alice')->query("$read /* without */"), 't', 'without: the membership still gives the privileges');
my $dave = connect_as($node, 'dave');
for my $load ('', 'LOAD')
{
	$node->safe_psql('postgres', 'ALTER ROLE dave SUPERUSER') if $load;
	sqlstate_ok($dave->query($load ? "LOAD 'jit_access'" : 'SELECT 1'), 'no error', 'without: the library in one session') if $load;
	sqlstate_ok($dave->query("SELECT $_"), 'JA014', "without: $_$load") for ("jit_revoke($held)", "jit_approve($held)", "jit_extend($held, '1h')");
	sqlstate_ok($dave->query('TABLE jit_access.health'), $load ? 'JA014' : '42501', "without: health$load");
}
$node->safe_psql('postgres', <<"SQL");
ALTER ROLE dave NOSUPERUSER;
GRANT jit_grant_$held TO carol;
GRANT SELECT ON app.orders TO jit_grant_$held WITH GRANT OPTION;
SET ROLE jit_grant_$held; GRANT SELECT ON app.orders TO erin; RESET ROLE;
CREATE SCHEMA frank; CREATE DOMAIN frank.jit_revoke AS integer; CREATE PROCEDURE frank.jit_deny(integer) LANGUAGE sql AS 'SELECT 1';
CREATE ROLE frank LOGIN; GRANT jit_template_reader TO frank;
CREATE ROLE jit_grant_999999; GRANT jit_marker, jit_template_reader TO jit_grant_999999; GRANT jit_grant_999999 TO carol;
SQL
rows_ok(connect_as($node, $_)->query($read), 't', "without: so does a membership made by hand: $_") for qw(carol frank);

# ---- the library is back, and no grant is confirmed
restart_with('jit_access', 'nowhere');
sqlstate_ok(connect_as($node, $_)->query($read), 'JA011', "unconfirmed: $_ is refused") for qw(alice carol);
sqlstate_ok(as_bob("jit_grant_$short"), 'JA011', 'unconfirmed: so is a grant past its deadline');

# ---- and its worker
restart_with('jit_access', 'postgres');
ok($node->poll_query_until('postgres', "SELECT jit_access.confirmed($held)"), 'back: a live grant is confirmed');
rows_ok(connect_as($node, 'alice')->query($read), 't', 'back: and used');
ok(wait_for_cleanup($node, $short), 'back: a grant that has ended meanwhile is cleaned up');
is($node->safe_psql('postgres', "SELECT state FROM jit_access.request WHERE id = $short"), 'ended', 'back: and has ended');
sqlstate_ok(as_bob('none'), '42501', 'back: its holder has nothing');
ok($node->poll_query_until('postgres', q{SELECT count(*) = 0 FROM pg_auth_members WHERE member = 'carol'::regrole}), 'back: a membership granted by hand is removed');
ok($node->poll_query_until('postgres', q{SELECT to_regrole('jit_grant_999999') IS NULL}), 'back: a role that was made by hand as well');
sqlstate_ok(connect_as($node, 'carol')->query($read), '42501', 'back: carol has nothing');
ok($node->poll_query_until('postgres', q{SELECT count(*) = 0 FROM pg_auth_members WHERE member = 'frank'::regrole}), 'back: the role of a template that was granted by hand is revoked');
sqlstate_ok(connect_as($node, 'frank')->query($read), '42501', 'back: frank has nothing');
ok(wait_for_drained($node), 'back: the record is complete');
is(log_rows($node, "kind = 'drift' AND grant_id = $held AND detail->>'member' = 'carol'"), '1', 'back: that is on the record');
is(log_rows($node, q{kind = 'drift' AND detail->>'role' = 'jit_grant_999999' AND detail->>'what' LIKE '%removed'}), '1', 'back: both');
cmp_ok(log_rows($node, q{kind = 'refusal' AND sqlstate = 'JA011' AND login = 'alice'}), '>=', 1, 'back: as are the refusals');
is(log_rows($node, q{kind = 'drift' AND detail->>'role' = 'jit_template_reader' AND detail->>'member' = 'frank'}), '1', 'back: the role of a template, too');
is(log_rows($node, q{statement LIKE '%/* without */'}), '0', 'back: statements without the library are not on the record');
# Names that capture calls: they are reported, and nobody makes more of them, in any database.
ok($node->poll_query_until('postgres', q{SELECT count(*) = 2 FROM jit_access.audit_log WHERE kind = 'drift' AND detail->>'object' IN ('type frank.jit_revoke', 'function frank.jit_deny(integer)')}),
	'back: functions and types that capture calls are on the record');
is($node->safe_psql('postgres', 'SELECT captured_names FROM jit_access.health'), '{"function frank.jit_deny(integer)","type frank.jit_revoke"}', 'back: and in the view health');
$node->safe_psql('postgres', 'CREATE DATABASE shop OWNER frank');
sqlstate_ok(connect_as($node, 'frank', dbname => 'shop')->query("CREATE $_"), 'JA016', "back: another database: $_")
  for ('DOMAIN jit_step_up AS text', q{FUNCTION jit_step_up(text) RETURNS text LANGUAGE sql AS 'SELECT $1'});
$node->safe_psql('postgres', 'DROP SCHEMA frank CASCADE');
is($node->safe_psql('postgres', 'SELECT captured_names FROM jit_access.health'), '{}', 'back: they can be dropped');
record_is_sound($node, 'back');
$node->safe_psql('postgres', "SELECT jit_revoke($held)");
ok(wait_for_cleanup($node, $held), 'back: a privilege that was passed on does not keep the role of the grant');
is($node->safe_psql('postgres', q{SELECT has_table_privilege('erin', 'app.orders', 'SELECT')}), 'f', 'back: but goes with it');

# ---- roles that the extension finds by name are dropped and changed meanwhile
restart_with('', 'postgres');
$node->safe_psql('postgres', <<'SQL');
DROP OWNED BY jit_monitor; DROP ROLE jit_monitor, jit_marker; ALTER ROLE jit_auditor LOGIN CREATEROLE;
CREATE ROLE jit_marker; GRANT jit_template_reader TO jit_marker;
ALTER ROLE alice SET role = 'jit_grant_777777';
SQL
restart_with('jit_access', 'postgres');
ok($node->poll_query_until('postgres', q{SELECT count(*) = 4 FROM pg_roles WHERE rolname IN ('jit_admin', 'jit_auditor', 'jit_monitor', 'jit_marker') AND NOT rolcanlogin AND NOT rolcreaterole}),
	'back: group roles that were dropped meanwhile exist again');
ok($node->poll_query_until('postgres', q{SELECT NOT EXISTS (SELECT FROM pg_auth_members WHERE member = 'jit_marker'::regrole)}), 'back: the marker is a member of nothing');
ok($node->poll_query_until('postgres', q{SELECT NOT EXISTS (SELECT FROM pg_db_role_setting WHERE setrole = 'alice'::regrole AND setconfig::text ~ 'jit_grant')}), 'back: a setting that chose a role which is gone is removed');
my $again = grant_to($node, 'alice', '1 hour');
rows_ok(connect_as($node, 'alice')->query($read), 't', 'back: and a grant begins');
ok(wait_for_drained($node), 'back: the record is complete again');
is($node->safe_psql('postgres', q{SELECT string_agg(detail ->> 'role' || ' ' || (detail ->> 'what'), E'\n' ORDER BY detail ->> 'role') FROM jit_access.audit_log WHERE kind = 'drift' AND detail ->> 'role' ~ '^jit_(auditor|monitor|marker)$' AND detail ->> 'member' IS NULL}),
	"jit_auditor had attributes; taken away\njit_marker was a member of other roles; revoked\njit_monitor it was missing; created again, without members and privileges", 'back: and this is on the record');

$node->stop('fast');
done_testing();
