# Leftovers of a grant in another database, where the extension is not created: created, guarded, reassigned or quarantined
# there; and what others attach to the roles of a grant.
use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use JitTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = jit_node('leavings');
$node->safe_psql('postgres', 'CREATE DATABASE other; CREATE ROLE keeper; CREATE ROLE mallory LOGIN; CREATE SCHEMA hers AUTHORIZATION bob; SELECT jit_drop_template(\'changer\')');
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

# ---- what is quarantined, and what reads it
sub quarantine { my ($id) = @_; return $node->safe_psql('postgres', "SELECT objects, description FROM jit_access.quarantine WHERE id = $id"); }

$id = coder('CREATE SCHEMA bad', q{CREATE FUNCTION bad.f() RETURNS int LANGUAGE sql SECURITY DEFINER AS 'SELECT 1'}, 'CREATE TABLE bad.t (id int)',
	'CREATE INDEX few ON bad.t (id) WHERE id IS NOT NULL', 'CREATE VIEW bad.v AS SELECT id FROM bad.t');
ok(wait_for_cleanup($node, $id), 'a SECURITY DEFINER function and a view keep nothing else');
is(join("\n", grep { / bad/ } split /\n/, owned('other', 'keeper', "jit_quarantine_$id")), "function bad.f() jit_quarantine_$id\nschema bad keeper\ntable bad.t keeper\nview bad.v jit_quarantine_$id", 'each goes its own way');
is(quarantine($id), "2|in database other: function bad.f(), which runs with the privileges of its owner\nin database other: view bad.v, which runs with the privileges of its owner", 'the control database names them all');
is( $node->safe_psql('postgres', "SELECT string_agg(roleid::regrole::text, ',') FROM pg_auth_members WHERE member = 'jit_quarantine_$id'::regrole OR roleid = 'jit_quarantine_$id'::regrole"),
	'jit_marker', 'their role has no member and no privilege');
for my $reader ([ 'postgres', 'a superuser' ], [ 'alice', 'who had the grant' ], [ 'mallory', 'anybody' ])
{
	$node->safe_psql('other', 'GRANT USAGE ON SCHEMA bad TO PUBLIC; GRANT SELECT ON bad.v TO PUBLIC');
	my $result = connect_as($node, $reader->[0], dbname => 'other')->query('SELECT * FROM bad.v');
	sqlstate_ok($result, 'JA016', "$reader->[1] reads the view");
	is($result->{message}, "what grant $id has left is quarantined", 'and is told the truth');
}
$node->safe_psql('other', 'DROP FUNCTION bad.f()');
is(quarantine($id) =~ s/\|.*//sr, '1', 'a DBA resolves one');
$node->safe_psql('other', 'ALTER VIEW bad.v SET (security_invoker); ALTER VIEW bad.v OWNER TO keeper');
$node->safe_psql('postgres', 'ALTER ROLE keeper CONNECTION LIMIT -1');
ok($node->poll_query_until('postgres', "SELECT to_regrole('jit_quarantine_$id') IS NULL"), 'and the other: then its role is gone');

# ---- an object that cannot be handed over now keeps no other, and is named
my $locker = $node->background_psql('other', on_error_stop => 0);
sub lock_with { my ($statement) = @_; return $locker->query_safe("BEGIN; $statement"); }
$id = do {
	my $id = request_as($node, 'alice', 'coder', '1 hour');
	approve_as($node, 'dave', $id);
	my $alice = connect_as($node, 'alice', dbname => 'other');
	for ("SET ROLE jit_grant_$id", 'CREATE SCHEMA busy', 'CREATE TABLE busy.locked (id int)', 'CREATE TABLE busy.free (id int)') { sqlstate_ok($alice->query($_), 'no error', $_); }
	$node->safe_psql('postgres', "CREATE TABLE app.locked_$id (id int); ALTER TABLE app.locked_$id OWNER TO jit_grant_$id; CREATE SEQUENCE app.free_$id; ALTER SEQUENCE app.free_$id OWNER TO jit_grant_$id");
	$id;
};
lock_with('SELECT * FROM busy.locked');
my $here = $node->background_psql('postgres', on_error_stop => 0);
$here->query_safe("BEGIN; SELECT * FROM app.locked_$id");
revoke($id);
ok($node->poll_query_until('postgres', "SELECT cleanup_error ~ 'table app.locked_$id: ' AND cleanup_error ~ 'database \"other\"' AND cleanup_error ~ 'table busy.locked: ' FROM jit_access.active_grants WHERE id = $id"),
	'locked tables in two databases: both are named');
is(owned('other', "jit_grant_$id"), "table busy.locked jit_grant_$id", 'there only the locked one waits');
is(owned('postgres', "jit_grant_$id"), "table app.locked_$id jit_grant_$id", 'and here');
$_->quit for $locker, $here;
ok(wait_for_cleanup($node, $id), 'and is handed over when it can be');

# ---- what others attach to the roles of a grant is refused, and what a superuser has attached goes with the role
$node->safe_psql('other', 'CREATE SCHEMA mal AUTHORIZATION mallory; CREATE EXTENSION postgres_fdw; CREATE SERVER far FOREIGN DATA WRAPPER postgres_fdw; GRANT USAGE ON FOREIGN DATA WRAPPER postgres_fdw TO mallory; '
	  . 'ALTER SERVER far OWNER TO mallory; GRANT CREATE ON DATABASE other TO alice');
$id = request_as($node, 'alice', 'coder', '1 hour');
approve_as($node, 'dave', $id);
my @named = grep { $node->safe_psql('postgres', "SELECT to_regrole('$_') IS NOT NULL") eq 't' } "jit_gate_$id", "jit_grant_$id";
my $mallory = connect_as($node, 'mallory', dbname => 'other');
sqlstate_ok($mallory->query($_), 'no error', $_) for 'CREATE TABLE mal.t (id int)', 'ALTER TABLE mal.t ENABLE ROW LEVEL SECURITY', 'CREATE POLICY p ON mal.t USING (true)';
for my $role (@named)
{
	sqlstate_ok($mallory->query($_), 'JA016', $_)
	  for "CREATE POLICY x ON mal.t TO $role USING (true)", "CREATE POLICY x ON mal.t TO mallory, $role USING (true)", "ALTER POLICY p ON mal.t TO $role", "GRANT SELECT ON mal.t TO $role",
	  "ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO $role", "ALTER TABLE mal.t OWNER TO $role", "CREATE USER MAPPING FOR $role SERVER far",
	  "COMMENT ON ROLE $role IS 'x'", "SECURITY LABEL ON ROLE $role IS 'x'";
	sqlstate_ok(connect_as($node, 'alice', dbname => 'other')->query($_), 'JA016', "$_, by a member") for "CREATE SCHEMA AUTHORIZATION $role", "REASSIGN OWNED BY alice TO $role";
	$node->safe_psql('other', "CREATE POLICY only_$role ON mal.t TO $role USING (true); CREATE POLICY also_$role ON mal.t TO mallory, $role USING (true); GRANT SELECT ON mal.t TO $role; "
		  . "ALTER DEFAULT PRIVILEGES FOR ROLE mallory GRANT SELECT ON TABLES TO $role; ALTER DEFAULT PRIVILEGES FOR ROLE $role GRANT SELECT ON TABLES TO mallory; CREATE USER MAPPING FOR $role SERVER far");
}
$node->safe_psql('postgres', "ALTER ROLE alice SET role = 'jit_grant_$id'; ALTER ROLE alice IN DATABASE other SET role = 'jit_grant_$id'; ALTER DATABASE other SET role = 'jit_grant_$id'; ALTER ROLE ALL SET role = 'jit_grant_$id'; "
	  . "ALTER ROLE alice SET work_mem = '5MB'; ALTER ROLE bob SET role = 'jit_grant_777777'");
revoke($id);
ok(wait_for_cleanup($node, $id), 'policies, access lists, default privileges and user mappings keep no role');
is($node->safe_psql('other', 'SELECT string_agg(polname, \',\' ORDER BY polname) FROM pg_policy'), join(',', (map { "also_$_" } sort @named), 'p'), 'a policy for others too stays');
is($node->safe_psql('postgres', "SELECT count(*) FROM pg_shdepend s WHERE refclassid = 'pg_authid'::regclass AND NOT EXISTS (SELECT FROM pg_authid a WHERE a.oid = s.refobjid)"), '0', 'and nothing names them');

ok($node->poll_query_until('postgres', q{SELECT NOT EXISTS (SELECT FROM pg_db_role_setting WHERE setconfig::text ~ 'role=')}), 'settings that choose the role of an ended grant are removed');
is($node->safe_psql('postgres', q{SELECT string_agg(setconfig::text, ' ') FROM pg_db_role_setting WHERE setrole = 'alice'::regrole}), '{work_mem=5MB}', 'other settings stay');
my ($status, $out, $warnings) = $node->psql('other', 'SELECT 1', extra_params => [ '-U', 'alice' ]);
is($warnings, '', 'and a login is not warned');

# ---- a role of a grant that no request claims
$node->safe_psql('postgres', 'CREATE ROLE jit_grant_888888; GRANT jit_marker TO jit_grant_888888');
$node->safe_psql('other', 'CREATE TABLE hers.orphan (id int); ALTER TABLE hers.orphan OWNER TO jit_grant_888888');
ok($node->poll_query_until('postgres', "SELECT to_regrole('jit_grant_888888') IS NULL"), 'an unclaimed role that owns something is removed');
is(quarantine(888888), '1|in database other: table hers.orphan, which was made under a grant of which nothing is known', 'what it owned is quarantined');

# ---- a database that is dropped with the leftovers in it
$id = coder('CREATE SCHEMA gone', q{CREATE FUNCTION gone.f() RETURNS int LANGUAGE sql SECURITY DEFINER AS 'SELECT 1'});
ok(wait_for_cleanup($node, $id), 'a grant has left code in a database');
is(quarantine($id) =~ s/\|.*//sr, '1', 'which is quarantined');
$mallory->quit;
$node->safe_psql('postgres', 'DROP DATABASE other WITH (FORCE)');
$node->safe_psql('postgres', 'ALTER ROLE keeper CONNECTION LIMIT -1');
ok($node->poll_query_until('postgres', q{SELECT NOT EXISTS (SELECT FROM pg_roles WHERE rolname ~ '^jit_quarantine_')}), 'the database is dropped, and the roles of the quarantine with it');

wait_for_drained($node);
record_is_sound($node, 'leavings');
$node->stop('fast');
done_testing();
