# Objects that a grant leaves in another database, in which the extension is not created. They are guarded and
# reassigned there.
use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use JitTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = jit_node('leavings');
$node->safe_psql('postgres', 'CREATE DATABASE other; CREATE ROLE keeper; CREATE SCHEMA hers AUTHORIZATION bob; SELECT jit_drop_template(\'changer\')');
$node->safe_psql('postgres', <<'SQL');
SELECT jit_create_template('changer', '{CREATE ON DATABASE other, "USAGE, CREATE ON SCHEMA app"}', requesters => '{bob}', approvers => '{dave}',
	mode => 'set_role', allow_schema_change => true, object_owner => 'keeper');
SELECT jit_create_template('coder', '{CREATE ON DATABASE other}', requesters => '{alice}', approvers => '{dave}',
	mode => 'set_role', allow_schema_change => true, object_owner => 'keeper', allow_code => true);
SQL
$node->safe_psql('other', 'CREATE SCHEMA hers AUTHORIZATION bob');
$node->safe_psql('other', 'CREATE FUNCTION hers.one() RETURNS integer LANGUAGE sql AS \'SELECT 1\'; GRANT USAGE ON SCHEMA hers TO PUBLIC', extra_params => [ '-U', 'bob' ]);

sub revoke { my ($id) = @_; return $node->safe_psql('postgres', "SELECT jit_revoke($id)"); }

# Returns the objects of these roles in one database, each as "object owner".
sub owned
{
	my ($database, @roles) = @_;
	return $node->safe_psql($database, "SELECT pg_describe_object(classid, objid, objsubid) || ' ' || rolname FROM pg_shdepend JOIN pg_roles r ON r.oid = refobjid "
		  . "WHERE deptype = 'o' AND dbid = (SELECT oid FROM pg_database WHERE datname = current_database()) AND rolname IN ("
		  . join(', ', map { "'$_'" } @roles) . ") AND classid <> 'pg_largeobject'::regclass ORDER BY 1");
}

# ---- by the deadline, in two databases at once
my ($id, $session) = under_grant($node, 'bob', sub {
	my ($id) = @_;
	my $other = connect_as($node, 'bob', dbname => 'other');
	for my $statement ("SET ROLE jit_grant_$id", "CREATE SCHEMA made_$id", "CREATE TABLE made_$id.t (id serial)", "CREATE TYPE made_$id.kind AS ENUM ('new')",
		'SELECT lo_create(0)', 'CREATE TEMPORARY TABLE scratch (id int)')
	{
		my $result = $other->query($statement);
		die "$statement: $result->{message}" if $result->{sqlstate};
	}
	sqlstate_ok($other->query("GRANT ALL ON made_$id.t TO bob"), 'JA016', 'the guards hold where the extension is not created');
	sqlstate_ok($other->query("ALTER TABLE made_$id.t ADD COLUMN one integer DEFAULT hers.one()"), 'JA016', 'and created objects are checked');
	my $here = connect_as($node, 'bob');
	$here->query("SET ROLE jit_grant_$id; CREATE TABLE app.made_$id (id int)");
	return $other;
});
ok(wait_for_cleanup($node, $id), 'the deadline ends the grant and its role, which owned something in two databases');
closed_ok($session, 'the session in the other database is ended');
is(owned('other', 'keeper', 'bob'), "function hers.one() bob\nschema hers bob\nschema made_$id keeper\nsequence made_$id.t_id_seq keeper\ntable made_$id.t keeper\ntype made_$id.kind keeper",
	'there it all goes to object_owner');
is(owned('postgres', 'keeper'), "table app.made_$id keeper", 'and here');
is($node->safe_psql('other', "SELECT DISTINCT lomowner::regrole FROM pg_largeobject_metadata WHERE lomowner = 'keeper'::regrole"), 'keeper', 'large objects as well');
is($node->safe_psql('postgres', "SELECT close_reason FROM jit_access.request WHERE id = $id"), 'deadline reached', 'it was the deadline');

# ---- code
sub coder
{
	my @statements = @_;
	my $id = request_as($node, 'alice', 'coder', '1 hour');
	approve_as($node, 'dave', $id);
	my $alice = connect_as($node, 'alice', dbname => 'other');
	for my $statement ("SET ROLE jit_grant_$id", @statements)
	{
		my $result = $alice->query($statement);
		die "$statement: $result->{message}" if $result->{sqlstate};
	}
	revoke($id);
	return $id;
}

$id = coder('CREATE SCHEMA code', 'CREATE TABLE code.t (id int)', q{CREATE FUNCTION code.f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'},
	'CREATE TRIGGER t BEFORE INSERT ON code.t FOR EACH ROW EXECUTE FUNCTION code.f()', 'CREATE VIEW code.v WITH (security_invoker) AS SELECT * FROM code.t');
ok(wait_for_cleanup($node, $id), 'code that runs with the privileges of its caller');
like(owned('other', 'keeper'), qr/^function code.f\(\) keeper\nschema code keeper\n.*table code.t keeper\n.*view code.v keeper$/s, 'goes the same way');

$id = coder('CREATE SCHEMA bad', q{CREATE FUNCTION bad.f() RETURNS int LANGUAGE sql SECURITY DEFINER AS 'SELECT 1'});
ok($node->poll_query_until('postgres', "SELECT cleanup_error LIKE '%has left something in database \"other\"%' FROM jit_access.active_grants WHERE id = $id"),
	'a SECURITY DEFINER function stays, and the view says where');
ok(wait_for('the log to say why', sub { slurp_file($node->logfile) =~ /"jit_grant_$id" owns function bad\.f\(\), which runs with the privileges of its owner/ }), 'the log says why');
is(owned('other', "jit_grant_$id"), "function bad.f() jit_grant_$id\nschema bad jit_grant_$id", 'its role keeps it');
is( $node->safe_psql('postgres', "SELECT count(*) FROM pg_auth_members WHERE (member = 'jit_grant_$id'::regrole OR roleid = 'jit_grant_$id'::regrole) AND roleid <> 'jit_marker'::regrole"),
	'0', 'without a membership');
$node->safe_psql('other', 'DROP FUNCTION bad.f()');
ok(wait_for_cleanup($node, $id), 'and is dropped after a DBA has resolved it');
is($node->safe_psql('other', "SELECT nspowner::regrole FROM pg_namespace WHERE nspname = 'bad'"), 'keeper', 'the rest is reassigned');

# ---- a database that is dropped with the leftovers in it
$id = coder('CREATE SCHEMA gone', q{CREATE FUNCTION gone.f() RETURNS int LANGUAGE sql SECURITY DEFINER AS 'SELECT 1'});
ok($node->poll_query_until('postgres', "SELECT cleanup_error IS NOT NULL FROM jit_access.active_grants WHERE id = $id"), 'a grant has left code in a database');
$node->safe_psql('postgres', 'DROP DATABASE other WITH (FORCE)');
ok(wait_for_cleanup($node, $id), 'which is dropped, and the grant with it');

wait_for_drained($node);
record_is_sound($node, 'leavings');
$node->stop('fast');
done_testing();
