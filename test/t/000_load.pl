# The library has to be preloaded, because it has shared memory, hooks and a worker; otherwise CREATE EXTENSION fails.
# The extension does not use objects that another user has prepared for it, and other libraries do not disturb it.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('load');
$node->init;
$node->start;

my ($status, $stdout, $stderr) = $node->psql('postgres', 'CREATE EXTENSION jit_access');
isnt($status, 0, 'CREATE EXTENSION is refused without the preloaded library');
like($stderr, qr/shared_preload_libraries/, 'and names the setting to change');
is( $node->safe_psql('postgres', q{SELECT count(*) FROM pg_extension WHERE extname = 'jit_access'}),
	'0', 'nothing was created');

# What captures calls can be made while the library is not loaded: by a type matching better, or as a cast.
my %captures = (
	'function jit_approve(integer)'        => q{FUNCTION public.jit_approve(integer) RETURNS text LANGUAGE sql AS 'SELECT 1::text'},
	'function jit_activate(bigint)'        => q{PROCEDURE jit_activate(bigint) LANGUAGE sql AS 'SELECT 1'},
	'function jit_later_version(integer)'  => q{AGGREGATE jit_later_version(integer) (SFUNC = int4pl, STYPE = integer)},
	'type jit_step_up'                     => q{DOMAIN jit_step_up AS text CHECK (length(value) > 0)},
	'type mal.jit_revoke'                  => q{TYPE mal.jit_revoke AS ENUM ('1051')});
$node->safe_psql('postgres', join '', 'CREATE SCHEMA mal;', map { "CREATE $_;" } values %captures);
$node->safe_psql('postgres', 'CREATE TABLE jit_orders (id integer); CREATE TYPE jit_pair AS (a integer, b integer)');

$node->append_conf('postgresql.conf', <<'CONF');
shared_preload_libraries = 'jit_access'
jit_access.database = 'postgres'
CONF
$node->restart;

# ---- objects prepared by another user
sub refused
{
	my ($preparation, $why, $removal, $name) = @_;
	$node->safe_psql('postgres', $preparation);
	my ($status, $stdout, $stderr) = $node->psql('postgres', 'CREATE EXTENSION jit_access');
	like($stderr, $why, $name);
	is($node->safe_psql('postgres', q{SELECT count(*) FROM pg_extension WHERE extname = 'jit_access'}), '0', "$name: nothing was created");
	$node->safe_psql('postgres', $removal);
	return;
}

# Each attempt names one, which is dropped. The table and the composite type capture nothing and are in nobody's way.
my %found;
for (1 .. keys %captures)
{
	my ($name) = ($node->psql('postgres', 'CREATE EXTENSION jit_access'))[2] =~ /((?:function|type) .+) is in the way/ or last;
	my ($kind) = ($captures{$name} // die $name) =~ /^(\w+)/;
	$node->safe_psql('postgres', "DROP $kind " . $name =~ s/^\w+ //r);
	++$found{$name};
}
is_deeply([ sort keys %found ], [ sort keys %captures ], 'functions and types that would capture calls are in the way');

$node->safe_psql('postgres', 'CREATE ROLE mallory LOGIN CREATEROLE');
refused('CREATE SCHEMA jit_access AUTHORIZATION mallory', qr/schema "jit_access" already exists/, 'DROP SCHEMA jit_access',
	'a prepared schema is not used');
refused("CREATE ROLE $_->[0]", qr/role "jit_\w+" exists and is not empty/, "DROP ROLE $_->[1]", "a prepared role is not used: $_->[0]")
  for ([ 'jit_admin ROLE mallory', 'jit_admin' ], [ 'jit_auditor LOGIN', 'jit_auditor' ], [ 'jit_marker CREATEROLE', 'jit_marker' ]);
# ---- default privileges of the installing user
my @kinds = qw(TABLES SEQUENCES FUNCTIONS TYPES SCHEMAS);
$node->safe_psql('postgres', join '', map { "ALTER DEFAULT PRIVILEGES GRANT ALL ON $_ TO mallory, PUBLIC;" } @kinds);
is($node->psql('postgres', 'CREATE EXTENSION jit_access'), 0, 'CREATE EXTENSION succeeds with the library preloaded');
is( $node->safe_psql('postgres', q{SELECT count(*) FROM pg_shdepend WHERE refobjid = 'mallory'::regrole AND deptype = 'a' AND dbid <> 0
		AND classid <> 'pg_default_acl'::regclass}),
	'0', 'default privileges of the installing user do not apply to the extension\'s objects');
my $made = q{SELECT string_agg(name, ' ' ORDER BY name) FROM (SELECT oid::regclass::text, relacl FROM pg_class WHERE relnamespace = 'jit_access'::regnamespace
	UNION ALL SELECT nspname, nspacl FROM pg_namespace WHERE nspname = 'jit_access') o (name, acl), aclexplode(acl) a WHERE a.grantee = 0};
is($node->safe_psql('postgres', $made), 'jit_access jit_access.access_review_items jit_access.access_reviews jit_access.my_grants jit_access.my_requests jit_access.pending_requests jit_access.reviews', 'nor everybody more than is meant for them');
is($node->safe_psql('postgres', q{SELECT has_schema_privilege('mallory', 'jit_access', 'CREATE')}), 'f', 'other users cannot create objects in its schema');
$node->safe_psql('postgres', join '', map { "ALTER DEFAULT PRIVILEGES REVOKE ALL ON $_ FROM mallory, PUBLIC;" } qw(TABLES SEQUENCES SCHEMAS));

# ---- other libraries that hook into the same places, before and after
$node->safe_psql('postgres', <<'SQL');
CREATE ROLE alice LOGIN; CREATE ROLE dave LOGIN; CREATE TABLE orders AS SELECT 1 AS id;
SELECT jit_create_template('reader', '{SELECT ON public.orders}', requesters => '{alice}', approvers => '{dave}');
SQL
sub as
{
	my ($who, $sql) = @_;
	my ($status, $stdout, $stderr) = $node->psql('postgres', $sql, extra_params => [ '-U', $who ]);
	return $stdout . $stderr;
}
for my $libraries ('pg_stat_statements, auto_explain, jit_access', 'jit_access, auto_explain, pg_stat_statements')
{
	$node->append_conf('postgresql.conf', "shared_preload_libraries = '$libraries'\nauto_explain.log_min_duration = 0\nauto_explain.log_analyze = on");
	$node->restart;
	my $id = as('alice', q{SELECT jit_request('reader', '1h')});
	as('dave', "SELECT jit_approve($id)");
	is(as('alice', 'SELECT id FROM orders'), '1', "$libraries: a grant is used");
	ok( $node->poll_query_until('postgres', "SELECT count(*) = 1 FROM jit_access.audit_log WHERE grant_id = $id AND kind = 'use' AND statement = 'SELECT id FROM orders' AND outcome = 'completed' AND rows = 1"),
		"$libraries: and on the record, once");
	as('dave', "SELECT jit_revoke($id)");
	like(as('alice', 'SELECT id FROM orders'), qr/permission denied|has ended/, "$libraries: it is refused after its end");
	ok($node->poll_query_until('postgres', "SELECT cleanup = 'done' FROM jit_access.request WHERE id = $id"), "$libraries: and cleaned up");
}

$node->stop;
done_testing();
