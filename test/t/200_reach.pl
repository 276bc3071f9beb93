# What a template may reach, in every place: a server with every extension of Debian's server package, whose objects and
# privileges are all given to one role, and the verdict of the closure check on each pair, compared with a reviewed list
# (test/reach/<major>.txt); other databases; ownership and memberships that arrive later.
use strict;
use warnings;

use Digest::SHA qw(sha256_hex);
use FindBin;
use lib $FindBin::RealBin;
use JitTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = jit_node('reach');
my $major = int($node->pg_version);
my $list_file = "$FindBin::RealBin/../reach/$major.txt";
$node->safe_psql('postgres', 'CREATE ROLE ada LOGIN IN ROLE jit_admin');
my $ada = connect_as($node, 'ada');
my $owner = connect_as($node, (getpwuid($<))[0]);

sub ask { my ($sql, $database) = @_; return $node->safe_psql($database // 'postgres', $sql) }

sub slurp
{
	my ($file) = @_;
	open my $in, '<', $file or return '';
	local $/;
	return <$in>;
}

# ---- every object and privilege ---------------------------------------------------------------------------------------

# The extensions of the server package: the list names them, so that another package on the machine changes nothing. Where
# dpkg knows the package, the list has to be complete.
my $reviewed = slurp($list_file);
my @extensions = $reviewed =~ /^extension (\S+)$/mg;
my @packaged = map { m{/extension/([^/]+)\.control$} ? $1 : () } map { split /\n/ } (`dpkg -L postgresql-$major 2>/dev/null` // '');
@extensions = sort @packaged if !@extensions;
is(join(' ', grep { my $name = $_; !grep { $name eq $_ } @extensions } sort @packaged), '', 'every extension of the server package is in the list') if @packaged;

ask(join '', map { qq{CREATE EXTENSION IF NOT EXISTS "$_" CASCADE;} } @extensions);
ask(<<'SQL');
CREATE EXTENSION IF NOT EXISTS dblink;
CREATE ROLE app_owner;
CREATE VIEW app.open_orders AS SELECT id FROM app.orders;
CREATE MATERIALIZED VIEW app.kept AS SELECT id FROM app.orders;
CREATE SEQUENCE app.numbers;
CREATE TYPE app.mood AS ENUM ('good');
CREATE DOMAIN app.small AS int;
CREATE FUNCTION app.plain() RETURNS int LANGUAGE sql AS 'SELECT 1';
CREATE FUNCTION app.powerful() RETURNS int LANGUAGE sql SECURITY DEFINER AS 'SELECT 1';
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA app FROM PUBLIC;
REVOKE ALL ON TYPE app.mood, app.small FROM PUBLIC;
CREATE VIEW app.hashes AS SELECT rolpassword FROM pg_authid;
CREATE VIEW app.classes AS SELECT relname FROM pg_class;
CREATE FOREIGN DATA WRAPPER wrapper; CREATE SERVER server FOREIGN DATA WRAPPER wrapper;
SELECT lo_create(4711);
CREATE DATABASE shop;
SQL

# Everything to one role: what the server does not give (array types, untrusted languages) no template can have.
ask(<<'SQL');
CREATE ROLE everything;
DO $$
DECLARE
    item text;
BEGIN
    FOR item IN
        SELECT format('ALL ON %s %s', CASE c.relkind WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END, c.oid::regclass)
        FROM pg_class c WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S', 't') AND c.relnamespace::regnamespace::text !~ '^pg_temp'
        UNION ALL
        SELECT format('ALL (%s) ON TABLE %s', string_agg(quote_ident(a.attname), ', '), c.oid::regclass)
        FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
        WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 't') AND c.relnamespace::regnamespace::text !~ '^pg_temp'
        GROUP BY c.oid
        UNION ALL SELECT format('ALL ON ROUTINE %s', p.oid::regprocedure) FROM pg_proc p
        UNION ALL SELECT format('ALL ON SCHEMA %I', n.nspname) FROM pg_namespace n WHERE n.nspname !~ '^pg_(toast_)?temp'
        UNION ALL SELECT format('ALL ON TYPE %I.%I', t.typnamespace::regnamespace, t.typname) FROM pg_type t WHERE t.typelem = 0 OR t.typlen <> -1
        UNION ALL SELECT format('ALL ON DATABASE %I', datname) FROM pg_database
        UNION ALL SELECT format('ALL ON LANGUAGE %I', lanname) FROM pg_language WHERE lanpltrusted
        UNION ALL SELECT format('ALL ON FOREIGN SERVER %I', srvname) FROM pg_foreign_server
        UNION ALL SELECT format('ALL ON FOREIGN DATA WRAPPER %I', fdwname) FROM pg_foreign_data_wrapper
        UNION ALL SELECT format('ALL ON TABLESPACE %I', spcname) FROM pg_tablespace
        UNION ALL SELECT format('ALL ON LARGE OBJECT %s', oid) FROM pg_largeobject_metadata
        UNION ALL SELECT format('ALL ON PARAMETER %s', name) FROM unnest('{work_mem,archive_command}'::text[]) name
    LOOP
        BEGIN
            EXECUTE 'GRANT ' || item || ' TO everything';
        EXCEPTION WHEN invalid_grant_operation OR wrong_object_type OR undefined_object THEN
            NULL;
        END;
    END LOOP;
END
$$;
SQL

# The pairs are read from the catalogs here, not by the views of the check: an object of a class that the check does not
# know must be refused.
my $pairs = <<'SQL';
WITH held (classid, objid, objsubid, privilege) AS (
    SELECT 'pg_class'::regclass::oid, o.oid, 0, x.privilege_type FROM pg_class o, aclexplode(o.relacl) x WHERE x.grantee = 'everything'::regrole
    UNION ALL SELECT 'pg_class'::regclass, o.attrelid, o.attnum::int, x.privilege_type FROM pg_attribute o, aclexplode(o.attacl) x WHERE x.grantee = 'everything'::regrole
    UNION ALL SELECT 'pg_proc'::regclass, o.oid, 0, x.privilege_type FROM pg_proc o, aclexplode(o.proacl) x WHERE x.grantee = 'everything'::regrole
    UNION ALL SELECT 'pg_namespace'::regclass, o.oid, 0, x.privilege_type FROM pg_namespace o, aclexplode(o.nspacl) x WHERE x.grantee = 'everything'::regrole
    UNION ALL SELECT 'pg_type'::regclass, o.oid, 0, x.privilege_type FROM pg_type o, aclexplode(o.typacl) x WHERE x.grantee = 'everything'::regrole
    UNION ALL SELECT 'pg_database'::regclass, o.oid, 0, x.privilege_type FROM pg_database o, aclexplode(o.datacl) x WHERE x.grantee = 'everything'::regrole
    UNION ALL SELECT 'pg_language'::regclass, o.oid, 0, x.privilege_type FROM pg_language o, aclexplode(o.lanacl) x WHERE x.grantee = 'everything'::regrole
    UNION ALL SELECT 'pg_foreign_server'::regclass, o.oid, 0, x.privilege_type FROM pg_foreign_server o, aclexplode(o.srvacl) x WHERE x.grantee = 'everything'::regrole
    UNION ALL SELECT 'pg_foreign_data_wrapper'::regclass, o.oid, 0, x.privilege_type FROM pg_foreign_data_wrapper o, aclexplode(o.fdwacl) x WHERE x.grantee = 'everything'::regrole
    UNION ALL SELECT 'pg_tablespace'::regclass, o.oid, 0, x.privilege_type FROM pg_tablespace o, aclexplode(o.spcacl) x WHERE x.grantee = 'everything'::regrole
    UNION ALL SELECT 'pg_largeobject'::regclass, o.oid, 0, x.privilege_type FROM pg_largeobject_metadata o, aclexplode(o.lomacl) x WHERE x.grantee = 'everything'::regrole
    UNION ALL SELECT 'pg_parameter_acl'::regclass, o.oid, 0, x.privilege_type FROM pg_parameter_acl o, aclexplode(o.paracl) x WHERE x.grantee = 'everything'::regrole
), refused AS (
    SELECT * FROM jit_access.refused_privileges(ARRAY['everything'::regrole::oid], true)
), kinds AS (
    SELECT classid, objid, kind FROM jit_access.reachable_object
), verdicts AS (
    SELECT h.classid, h.objid, h.objsubid, k.kind, h.privilege,
           CASE WHEN r.classid IS NULL AND EXISTS (SELECT FROM jit_access.template_limits l WHERE l.kind = k.kind AND l.privilege = h.privilege AND l.defined_by = 'administrator' AND NOT l.schema_change)
                    THEN 'administrator'
                WHEN r.classid IS NULL THEN 'public'
                WHEN r.grantable OR r.by_superuser IS NULL THEN 'nobody'
                WHEN r.by_superuser THEN 'superuser' ELSE 'administrator' END
           || CASE WHEN r.needs_schema_change THEN ' with allow_schema_change' ELSE '' END AS verdict
    FROM held h
    LEFT JOIN refused r ON r.classid = h.classid AND r.objid = h.objid AND r.objsubid = h.objsubid AND r.privilege = h.privilege
    LEFT JOIN kinds k ON k.classid = h.classid AND k.objid = h.objid
)
SQL
my @rows = map { [ split /\t/ ] } split /\n/, ask($pairs . <<'SQL');
SELECT concat_ws(E'\t', coalesce(o.kind, 'unknown'), i.type, i.identity, string_agg(o.verdict || ': ' || o.privileges, '; ' ORDER BY o.verdict COLLATE "C"))
FROM (SELECT v.classid, v.objid, v.objsubid, v.kind, v.verdict, string_agg(v.privilege, ', ' ORDER BY v.privilege COLLATE "C") AS privileges
      FROM verdicts v
      -- A column is listed where it differs from its table.
      WHERE v.objsubid = 0 OR NOT EXISTS (SELECT FROM verdicts t WHERE t.classid = v.classid AND t.objid = v.objid AND t.objsubid = 0 AND t.privilege = v.privilege AND t.verdict = v.verdict)
      GROUP BY 1, 2, 3, 4, 5) o, pg_identify_object(o.classid, o.objid, o.objsubid) i
GROUP BY o.kind, i.type, i.identity
UNION ALL
SELECT concat_ws(E'\t', 'predefined role', 'role', a.rolname, CASE WHEN l.kind IS NULL THEN 'nobody: MEMBER' ELSE l.defined_by || ': MEMBER' END)
FROM pg_roles a LEFT JOIN jit_access.template_limits l ON l.kind = 'role ' || a.rolname
WHERE a.rolname ~ '^pg_'
SQL
cmp_ok(scalar @rows, '>', 3000, 'objects were looked at');
is(join("\n", map { "$_->[2] $_->[3]" } grep { $_->[0] eq 'object of jit_access' && $_->[3] =~ /administrator|superuser/ } @rows), '', 'no template gives anything of jit_access');
is(join("\n", map { "$_->[1] $_->[2]" } grep { $_->[0] eq 'unknown' } @rows), '', 'every object is of a known kind');

# What everybody has is a number and a digest, the rest is listed by name.
my %group;
for my $row (grep { $_->[0] ne 'object of jit_access' } @rows)
{
	my ($kind, $type, $name, $verdict) = @$row;
	$kind .= ', columns' if $type =~ /column/;
	push @{ $group{"$kind: $verdict"} }, $name;
}
my $found = join '', map { "extension $_\n" } @extensions;
my $everybody = '';
for my $title (sort keys %group)
{
	my %names = map { s/^pg_toast\.\Kpg_toast_\d+/pg_toast_*/r => 1 } @{ $group{$title} };
	my @names = sort keys %names;
	$found .= "\n[$title]\n";
	my $is_public = $title =~ /: public: [^;]*$/;
	$found .= $is_public && @names > 20 ? scalar(@names) . ' objects, SHA-256 ' . sha256_hex(join "\n", @names) . "\n" : join('', map { "$_\n" } @names);
	$everybody .= "\n[$title]\n" . join('', map { "$_\n" } @names) if $is_public && @names > 20;
}
my $result = "$PostgreSQL::Test::Utils::tmp_check/reach-$major.txt";
for my $output ([ $result, $found ], [ "$result.everybody", $everybody ])
{
	open my $out, '>', $output->[0] or die "$output->[0]: $!";
	print $out $output->[1];
	close $out;
}
if ($reviewed eq '')
{
	fail("there is a reviewed list for PostgreSQL $major");
	diag("Read what this server gives, $result and $result.everybody (KEEP=1 keeps them), and store the first as test/reach/$major.txt.");
}
else
{
	(my $entries = $reviewed) =~ s/^#.*\n//mg;
	my ($old, $new) = map { my %lines; my $title = ''; for my $line (split /\n/) { $title = $line if $line =~ /^\[/; $lines{"$title $line"} = 1 } \%lines } $entries, $found;
	is(join("\n", grep { !$old->{$_} } sort keys %$new), '', 'nothing that nobody has looked at')
	  or diag("Read $result and $result.everybody (KEEP=1 keeps them); when each difference is right, the first replaces test/reach/$major.txt.");
	is(join("\n", grep { !$new->{$_} } sort keys %$old), '', 'and nothing of the list is missing');
}

# ---- the list is what jit_create_template does ------------------------------------------------------------------------

# One object of each kind, privilege and verdict, as an item of a template.
my %syntax = ('table' => 'TABLE', view => 'TABLE', 'materialized view' => 'TABLE', sequence => 'SEQUENCE', function => 'ROUTINE', aggregate => 'ROUTINE', procedure => 'ROUTINE',
	schema => 'SCHEMA', type => 'TYPE', database => 'DATABASE', server => 'FOREIGN SERVER', 'foreign-data wrapper' => 'FOREIGN DATA WRAPPER');
my %sample;
for my $row (@rows)
{
	my ($kind, $type, $name, $verdicts) = @$row;
	# The SQL standard's names of types cannot be written after GRANT.
	next if !$syntax{$type} || $type eq 'type' && $name !~ /\./;
	for my $verdict (split /; /, $verdicts)
	{
		my ($who, $privileges) = $verdict =~ /^(.*): (.*)$/;
		$sample{"$kind $_ $who"} //= [ "$_ ON $syntax{$type} $name", $who ] for split /, /, $privileges;
	}
}
ask('DROP OWNED BY everything; DROP ROLE everything');
for my $case (sort keys %sample)
{
	my ($item, $who) = @{ $sample{$case} };
	my %may = (ada => scalar($who =~ /^(?:public|administrator)/), superuser => scalar($who !~ /^nobody/));
	for my $session ([ ada => $ada ], [ superuser => $owner ])
	{
		my ($name, $client) = @$session;
		sqlstate_ok($client->query("BEGIN; SELECT jit_create_template('sample', ARRAY[\$\$$item\$\$], mode => 'set_role', allow_schema_change => true)"),
			$may{$name} ? 'no error' : 'JA008', "$case: $item, by $name");
		$client->query('ROLLBACK');
	}
}
cmp_ok(scalar keys %sample, '>', 40, 'a sample of every kind');

# ---- other databases --------------------------------------------------------------------------------------------------

# Templates do not reach other databases. What a role has there was given by somebody else, and cannot be looked at from
# here, so only a superuser puts such a role into a template.
ask('CREATE TABLE t (id int); CREATE SCHEMA s; CREATE FUNCTION f() RETURNS int LANGUAGE sql AS $$SELECT 1$$; REVOKE ALL ON FUNCTION f() FROM PUBLIC', 'shop');
my %there = (
	'EXECUTE on pg_read_file' => 'GRANT EXECUTE ON FUNCTION pg_read_file(text) TO elsewhere',
	'CREATE on a schema' => 'GRANT CREATE ON SCHEMA s TO elsewhere',
	'TRIGGER' => 'GRANT TRIGGER ON t TO elsewhere',
	'a grant option' => 'GRANT SELECT ON t TO elsewhere WITH GRANT OPTION',
	'a column' => 'GRANT UPDATE (rolsuper) ON pg_authid TO elsewhere',
	'SELECT on a table' => 'GRANT SELECT ON t TO elsewhere',
	'default privileges' => 'ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO elsewhere',
	'a policy' => 'CREATE POLICY p ON t TO elsewhere USING (true)',
	'an owner' => 'CREATE SCHEMA own AUTHORIZATION elsewhere');
for my $what (sort keys %there)
{
	ask('CREATE ROLE elsewhere; CREATE ROLE through IN ROLE elsewhere');
	ask($there{$what}, 'shop');
	for my $role (qw(elsewhere through))
	{
		my $result = $ada->query("BEGIN; SELECT jit_create_template('sample', role => '$role', mode => 'set_role', allow_schema_change => true)");
		sqlstate_ok($result, 'JA008', "in another database: $what, $role");
		$ada->query('ROLLBACK');
	}
	sqlstate_ok($owner->query(q{BEGIN; SELECT jit_create_template('sample', role => 'elsewhere', mode => 'set_role', allow_schema_change => true)}), 'no error', "a superuser may: $what");
	$owner->query('ROLLBACK');
	ask('DROP OWNED BY elsewhere CASCADE', 'shop');
	ask('DROP ROLE elsewhere, through');
}

# ---- what arrives later -----------------------------------------------------------------------------------------------

# Whether a new grant of the template is activated. The first one seals the template.
sub activated
{
	my ($template) = @_;
	my $id = request_as($node, 'alice', $template, '1h');
	my ($status, $out) = $node->psql('postgres', "SELECT jit_approve($id)", extra_params => [ '-U', 'dave' ]);
	ask("SELECT jit_revoke($id)") if $status == 0;
	wait_for_cleanup($node, $id) if $status == 0;
	return $status == 0;
}

ask('CREATE ROLE kept; GRANT SELECT ON app.orders TO kept; CREATE ROLE standing LOGIN IN ROLE kept; CREATE ROLE keeper LOGIN; GRANT kept TO keeper WITH ADMIN OPTION');
sqlstate_ok($ada->query(q{SELECT jit_create_template('kept', role => 'kept', requesters => '{alice}', approvers => '{dave}')}), 'no error', 'an adopted role');
ok(activated('kept'), 'can be given');
ask('GRANT SELECT ON t TO kept', 'shop');
ok(!activated('kept'), 'not after a privilege in another database');
ask('REVOKE SELECT ON t FROM kept', 'shop');
ok(activated('kept'), 'but when it is gone');
ask('CREATE DATABASE made OWNER kept');
ok(!activated('kept'), 'not after CREATE DATABASE ... OWNER');
ask('DROP DATABASE made');
ok(activated('kept'), 'but when it is gone');

# The predefined roles are not in pg_shdepend: a privilege that somebody gave to one is found all the same, while what the
# server gave it is no reason.
ask(q{SELECT jit_create_template('monitor', '{pg_monitor}', requesters => '{alice}', approvers => '{dave}')});
ok(activated('monitor'), 'a predefined role, which a superuser has put into a template');
ask("GRANT $_") for 'UPDATE (rolsuper) ON pg_authid TO pg_read_all_stats';
ok(!activated('monitor'), 'not with a column of a catalog behind it');
ask('REVOKE UPDATE (rolsuper) ON pg_authid FROM pg_read_all_stats; GRANT EXECUTE ON FUNCTION pg_read_file(text) TO pg_monitor');
ok(!activated('monitor'), 'nor with a function of the server');
ask('REVOKE EXECUTE ON FUNCTION pg_read_file(text) FROM pg_monitor');
ok(activated('monitor'), 'but when it is gone');

# A member of an adopted role that a holder of CREATEROLE added (before 16) is drift; others are not.
ask('CREATE ROLE maker LOGIN CREATEROLE; CREATE ROLE eve LOGIN; CREATE ROLE honest LOGIN');
ask('GRANT kept TO honest');
my $keeper = connect_as($node, 'keeper');
ask('CREATE ROLE other LOGIN');
sqlstate_ok($keeper->query('GRANT kept TO other'), 'no error', 'the holder of the ADMIN OPTION adds a member');
my $made = connect_as($node, 'maker')->query('GRANT kept TO eve');
sqlstate_ok($made, $node->pg_version >= 16 ? '42501' : 'no error', 'a holder of CREATEROLE');
$node->poll_query_until('postgres', q{SELECT NOT pg_has_role('eve', 'kept', 'MEMBER')}) or die;
is(ask(q{SELECT string_agg(m.member::regrole::text, ' ' ORDER BY m.member::regrole::text) FROM pg_auth_members m WHERE m.roleid = 'kept'::regrole}),
	'honest keeper other standing', 'its member is removed, the others stay');
$node->poll_query_until('postgres', q{SELECT count(*) = 1 FROM jit_access.audit_log WHERE kind = 'drift' AND detail->>'member' = 'eve'}) or die
  if $node->pg_version < 16;

done_testing();
