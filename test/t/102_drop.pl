
# Objects around grants are dropped by a superuser or by the owner of the database: the command is refused, or the grant
# ends in order. No membership remains, except those that the worker removes.
use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use JitTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = jit_node('drop', no_people => 1);
my $read = 'SELECT count(*) > 0 FROM app.orders';

# The extension belongs to a superuser who can be dropped, the control database to a user who is no superuser.
$node->safe_psql('postgres', <<'SQL');
DROP EXTENSION jit_access;
CREATE ROLE dba LOGIN SUPERUSER;
CREATE ROLE keeper LOGIN CREATEROLE CREATEDB;
ALTER DATABASE postgres OWNER TO keeper;
SQL
$node->safe_psql('postgres', 'CREATE EXTENSION jit_access', extra_params => [ '-U', 'dba' ]);
add_people($node);
$node->safe_psql('postgres', q{SELECT jit_create_template('other', '{pg_monitor}', requesters => '{carol}', approvers => '{dave}')});
my $superuser = $node->safe_psql('postgres', 'SELECT current_user');

sub memberships
{
	return $node->safe_psql('postgres', q{SELECT string_agg(format('%s of %s', m.member::regrole, m.roleid::regrole), ', ' ORDER BY 1)
		FROM (SELECT member, roleid FROM pg_auth_members WHERE roleid::regrole::text LIKE 'jit_%' ORDER BY 1, 2) m});
}

sub nothing_is_left
{
	my ($name, $id) = @_;
	ok(wait_for_cleanup($node, $id), "$name: the grant is cleaned up");
	unlike(memberships(), qr/jit_(grant|gate)_$id\b/, "$name: no membership is left");
	is($node->safe_psql('postgres', 'SELECT count(*) FROM pg_auth_members m WHERE NOT EXISTS (SELECT FROM pg_authid WHERE oid = m.member) '
			. 'OR NOT EXISTS (SELECT FROM pg_authid WHERE oid = m.roleid)'), '0', "$name: no membership without its roles either");
}

# ---- refused while grants are live
my $inherited = grant_to($node, 'alice', '4 hours');
my $chosen = grant_to($node, 'bob', '4 hours');
my $before = memberships();
my @drops = (
	# by a superuser, by the owner of the database
	[ 'DROP EXTENSION jit_access',                  'JA015', '42501' ],
	[ 'DROP EXTENSION jit_access CASCADE',          'JA015', '42501' ],
	[ 'DROP SCHEMA jit_access CASCADE',             '2BP01', '42501' ],
	[ 'DROP OWNED BY dba',                          'JA015', '42501' ],
	[ 'DROP OWNED BY dba CASCADE',                  'JA015', '42501' ],
	[ 'DROP DATABASE postgres',                     'JA015', 'JA015' ],
	[ 'DROP DATABASE postgres WITH (FORCE)',        'JA015', 'JA015' ],
	[ 'DROP ROLE alice',                            'JA015', 'JA015' ],
	[ 'DROP USER IF EXISTS carol, bob',             'JA015', 'JA015' ],
	[ "DO \$\$ BEGIN EXECUTE 'DROP ROLE bob'; END \$\$", 'JA015', 'JA015' ],
	[ 'DROP ROLE jit_template_reader',              '2BP01', 'JA016' ],
	[ 'DROP ROLE jit_marker',                       'JA016', 'JA016' ],
	[ 'ALTER ROLE jit_marker RENAME TO nothing',    'JA016', 'JA016' ],
	[ 'DROP OWNED BY jit_template_reader',          undef,   '42501' ],
	[ 'DROP OWNED BY alice',                        undef,   '42501' ],
	[ "DROP ROLE jit_grant_$inherited",             undef,   'JA016' ]);

sub drops_are_refused
{
	my ($what, @chosen) = @_;
	for my $drop (@chosen)
	{
		my ($command, @sqlstates) = @$drop;
		for my $who ($superuser, 'keeper')
		{
			my $sqlstate = shift @sqlstates;
			my $dbname = $command =~ /DATABASE/ ? 'template1' : 'postgres';
			sqlstate_ok(connect_as($node, $who, dbname => $dbname)->query($command), $sqlstate, "$what: $command by " . ($who eq 'keeper' ? 'the owner' : 'a superuser'))
			  if defined $sqlstate;
		}
	}
	is(memberships(), $before, "$what: nothing has changed");
}

drops_are_refused('live', @drops);
rows_ok(connect_as($node, 'alice')->query($read), 't', 'live: the grant goes on');

# An old snapshot makes no difference: this transaction began before the grants.
{
	$node->safe_psql('postgres', "SELECT jit_revoke($_)") for ($inherited, $chosen);
	nothing_is_left('old snapshot', $_) for ($inherited, $chosen);
	my $old = connect_as($node, $superuser);
	$old->query('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1');
	($inherited, $chosen) = map { grant_to($node, $_, '4 hours') } qw(alice bob);
	$before = memberships();
	sqlstate_ok($old->query('DROP EXTENSION jit_access'), 'JA015', 'old snapshot: DROP EXTENSION');
	$old->query('ROLLBACK');
}

# Unconfirmed grants have no slot, but their memberships exist.
$node->append_conf('postgresql.conf', "jit_access.database = 'nowhere'");
$node->restart;
drops_are_refused('unconfirmed', grep { $_->[0] =~ /EXTENSION|SCHEMA|OWNED BY dba|jit_marker/ } @drops);
$node->append_conf('postgresql.conf', "jit_access.database = 'postgres'");
$node->restart;
ok($node->poll_query_until('postgres', "SELECT jit_access.confirmed($inherited)"), 'confirmed again');

# ---- objects of the requester and of the template may be dropped: that only takes away
sqlstate_ok(connect_as($node, $superuser)->query('DROP OWNED BY alice'), 'no error', 'DROP OWNED BY the requester');
rows_ok(connect_as($node, 'alice')->query($read), 't', 'does not concern the grant');
is(memberships(), $before, 'nor a membership');
sqlstate_ok(connect_as($node, 'alice')->query("DROP OWNED BY $_"), 'JA016', "DROP OWNED BY $_ by the holder") for ('alice', 'jit_template_reader', "jit_grant_$inherited");
sqlstate_ok(connect_as($node, $superuser)->query('DROP OWNED BY jit_template_reader'), 'no error', "DROP OWNED BY the template's role");
sqlstate_ok(connect_as($node, 'alice')->query($read), '42501', 'the grant gives nothing any more');
$node->safe_psql('postgres', "SELECT jit_revoke($inherited)");
nothing_is_left("DROP OWNED BY the template's role", $inherited);

# ---- the marker is taken from a grant
{
	my $unmarked = grant_to($node, 'alice', '4 hours');
	$node->safe_psql('postgres', "REVOKE jit_marker FROM jit_grant_$unmarked");
	nothing_is_left('unmarked', $unmarked);
	is($node->safe_psql('postgres', "SELECT state FROM jit_access.request WHERE id = $unmarked"), 'revoked', 'unmarked: it is over');
	ok(wait_for_drained($node), 'unmarked: the record is complete');
	is(log_rows($node, "kind = 'drift' AND grant_id = $unmarked"), '1', 'unmarked: and says so');
}

# ---- a suspended grant
my $suspended = grant_to_carol();
sub grant_to_carol { my $id = request_as($node, 'carol', 'other', '4 hours'); approve_as($node, 'dave', $id); return $id }
$node->safe_psql('postgres', 'GRANT pg_write_server_files TO jit_template_other');
ok($node->poll_query_until('postgres', "SELECT state = 'suspended' FROM jit_access.request WHERE id = $suspended"), 'suspended: the template reaches too much');
$node->restart;
$node->poll_query_until('postgres', "SELECT jit_access.confirmed($chosen)") or die 'not confirmed';
$node->safe_psql('postgres', "SELECT jit_revoke($chosen)");
nothing_is_left('suspended: the only live one', $chosen);
$before = memberships();
drops_are_refused('suspended', grep { $_->[0] =~ /EXTENSION|DATABASE|jit_marker/ } @drops);
# From 16 on, a role with CREATEROLE can drop only roles that it has created.
sqlstate_ok(connect_as($node, $node->pg_version >= 16 ? $superuser : 'keeper')->query('DROP ROLE carol'), 'no error', 'suspended: DROP ROLE of its holder');
nothing_is_left('suspended', $suspended);
is($node->safe_psql('postgres', "SELECT state FROM jit_access.request WHERE id = $suspended"), 'revoked', 'suspended: it is over');

# ---- a requester who is dropped before the start, and a new role with the same name
my $asked = request_as($node, 'alice', 'reader', '1 hour');
my $later = connect_as($node, 'alice')->query(q{SELECT jit_request('reader', '1h', starts_at => clock_timestamp() + interval '2 seconds')})->{rows}[0][0];
approve_as($node, 'dave', $later);
$node->safe_psql('postgres', 'DROP ROLE alice; CREATE ROLE alice LOGIN');
sqlstate_ok(connect_as($node, 'dave')->query("SELECT jit_approve($asked)"), 'JA005', 'dropped requester: the request is not approved');
ok($node->poll_query_until('postgres', "SELECT state <> 'scheduled' FROM jit_access.request WHERE id = $later"), 'dropped requester: the start has come');
is($node->safe_psql('postgres', "SELECT state FROM jit_access.request WHERE id = $later"), 'lapsed', 'dropped requester: nothing has started');
is($node->safe_psql('postgres', "SELECT count(*) FROM pg_auth_members WHERE member = 'alice'::regrole"), '0', 'dropped requester: a new role with the name has nothing');

# ---- a database in which a grant left something
for my $case ([ 'keeper', '' ], [ $superuser, ' WITH (FORCE)' ])
{
	my ($who, $force) = @$case;
	my $name = 'elsewhere' . ($force ? ', forced' : '');
	$node->safe_psql('postgres', 'CREATE DATABASE elsewhere OWNER keeper');
	my $left = grant_to($node, 'bob', '4 hours');
	$node->safe_psql('elsewhere', "CREATE TABLE left_over (id integer); ALTER TABLE left_over OWNER TO jit_grant_$left");
	my $locker = connect_as($node, $superuser, dbname => 'elsewhere');
	$locker->query('BEGIN; SELECT * FROM left_over');
	$node->safe_psql('postgres', "SELECT jit_revoke($left)");
	ok($node->poll_query_until('postgres', "SELECT cleanup_error LIKE '%in database \"elsewhere\"%' FROM jit_access.active_grants WHERE id = $left"),
		"$name: a table that is locked there keeps the role");
	unlike(memberships(), qr/\w of jit_(grant|gate)_$left\b/, "$name: the role has no members any more");
	sqlstate_ok(connect_as($node, $superuser)->query('DROP EXTENSION jit_access'), 'JA015', "$name: the extension stays for that");
	$locker->quit unless $force;
	# A clean-up process in that database ends in a moment.
	ok(wait_for('the database is dropped', sub { !connect_as($node, $who)->query("DROP DATABASE elsewhere$force")->{sqlstate} }), "$name: the database is dropped");
	nothing_is_left($name, $left);
}

# ---- with nothing left
ok(wait_for_drained($node), 'the record is complete');
record_is_sound($node, 'drop');
my @groups = qw(jit_marker jit_admin jit_auditor jit_monitor);
for my $role (@groups)
{
	for my $command ("DROP ROLE $role", "DROP USER IF EXISTS nobody, $role", "DO \$\$ BEGIN EXECUTE 'DROP GROUP $role'; END \$\$", "ALTER ROLE $role RENAME TO nothing")
	{
		sqlstate_ok(connect_as($node, $superuser, dbname => $_)->query($command), 'JA016', "nothing left: $command, in $_") for 'postgres', 'template1';
	}
}
$node->safe_psql('postgres', 'DROP OWNED BY jit_auditor, jit_monitor');
sqlstate_ok(connect_as($node, $superuser)->query("DROP ROLE $_"), 'JA016', "nothing left: DROP ROLE $_") for qw(jit_auditor jit_monitor);
sqlstate_ok(connect_as($node, $superuser)->query('DROP EXTENSION jit_access'), 'no error', 'without grants the extension can be dropped');
sqlstate_ok(connect_as($node, $superuser, dbname => 'template1')->query('DROP ROLE jit_marker'), 'JA016', 'with the extension gone: another database does not know that');
is($node->safe_psql('postgres', q{SELECT count(*) FROM pg_auth_members WHERE roleid = 'jit_marker'::regrole}), '0', 'and leaves no grant');
sqlstate_ok(connect_as($node, $superuser)->query("DROP ROLE $_"), 'no error', "with the extension gone: DROP ROLE $_") for @groups;

# ---- the extension is made anew: an id never means two grants
$node->restart;
$node->safe_psql('postgres', 'CREATE EXTENSION jit_access');
$node->safe_psql('postgres', q{SELECT jit_create_template('again', '{pg_monitor}', requesters => '{alice}', approvers => '{dave}')});
my $first = request_as($node, 'alice', 'again', '1 hour');
cmp_ok($first, '>', $later, 'ids go on where those of the last life ended');
sqlstate_ok(connect_as($node, $superuser)->query('DROP EXTENSION jit_access'), 'no error', 'it is dropped again');
# Without the file that counts them, the names of roles that were left behind are asked.
my $left = $first + 1000;
$node->safe_psql('postgres', "CREATE ROLE jit_grant_$left");
$node->safe_psql('postgres', "GRANT jit_marker TO jit_grant_$left");
$node->stop;
unlink $node->data_dir . '/jit_access/journal' or die 'no journal';
$node->start;
$node->safe_psql('postgres', 'CREATE EXTENSION jit_access');
$node->safe_psql('postgres', q{SELECT jit_create_template('once_more', '{pg_monitor}', requesters => '{alice}', approvers => '{dave}')});
cmp_ok(request_as($node, 'alice', 'once_more', '1 hour'), '>', $left, 'and behind those of roles that were left');

$node->stop('fast');
done_testing();
