
# Copies of a server, of its control database and of its roles: a copied grant gives no access until the server that
# runs the copy has confirmed it, and the record shows what happened to it.
use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use File::Path qw(rmtree);
use JitTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $read = 'SELECT count(*) > 0 FROM app.orders';
my $source = jit_node('source', init => { allows_streaming => 1, has_archiving => 1 });
my $held = grant_to($source, 'alice', '4 hours');
rows_ok(connect_as($source, 'alice')->query($read), 't', 'source: a grant is in use');

# Returns a grant that is approved for a start in the future.
sub scheduled_at
{
	my ($node) = @_;
	my $id = connect_as($node, 'alice')->query(q{SELECT jit_request('reader', '1h', starts_at => clock_timestamp() + interval '1 day')})->{rows}[0][0];
	rows_ok(connect_as($node, 'dave')->query("SELECT jit_approve($id)"), 'scheduled', $node->name . ': a grant is to start later');
	return $id;
}

my $scheduled = scheduled_at($source);

# The backup is made while a short grant is live. Afterwards a grant that was live in the backup is revoked at the
# source.
my $revoked = grant_to($source, 'alice', '4 hours');
my ($short, $moment) = under_grant($source, 'bob', sub {
	my ($grant) = @_;
	$source->backup("with_$grant");
	my $now = $source->safe_psql('postgres', 'SELECT clock_timestamp()');
	$source->safe_psql('postgres', 'CREATE TABLE later ()');    # a commit that recovery can stop before
	$source->safe_psql('postgres', 'DROP TABLE later');
	return $now;
});
my $backup = "with_$short";
$source->safe_psql('postgres', "SELECT jit_revoke($revoked)");
ok(wait_for_cleanup($source, $revoked), 'source: a grant of the backup is revoked');
wait_for_deadline($source, $short);
ok(wait_for_cleanup($source, $short), 'source: another one has ended');
my $node_of_source = $source->safe_psql('postgres', 'SELECT journal_node FROM jit_access.health');

sub copy_of_source
{
	my ($name, %options) = @_;
	my $conf = delete $options{conf} // '';
	my $copy = PostgreSQL::Test::Cluster->new($name);
	$copy->init_from_backup($source, $backup, standby => 0, %options);
	$copy->append_conf('postgresql.conf', "archive_mode = off\n$conf");
	return $copy;
}

# The state in the tables, once the worker has updated them.
sub state_of { my ($node, $id) = @_; return $node->safe_psql('postgres', "SELECT state FROM jit_access.request WHERE id = $id"); }

sub is_suspended
{
	my ($node, $name, $why, @ids) = @_;
	for my $id (@ids)
	{
		ok($node->poll_query_until('postgres', "SELECT state <> 'active' FROM jit_access.request WHERE id = $id"), "$name: the worker has looked at grant $id");
		is(state_of($node, $id), 'suspended', "$name: grant $id is suspended");
		ok(wait_for_drained($node), "$name: the record is complete");
		is($node->safe_psql('postgres', "SELECT detail->>'reason' FROM jit_access.audit_log WHERE kind = 'suspended' AND grant_id = $id"),
			$why, "$name: so says the record");
		is($node->safe_psql('postgres', "SELECT jit_access.confirmed($id)"), 'f', "$name: nor is it confirmed");
	}
	sqlstate_ok(connect_as($node, 'alice')->query($read), 'JA011', "$name: its holder is refused");
}

sub has_lapsed
{
	my ($node, $name, $id) = @_;
	ok($node->poll_query_until('postgres', "SELECT state <> 'scheduled' FROM jit_access.request WHERE id = $id"), "$name: the worker has checked the scheduled grant");
	is(state_of($node, $id), 'lapsed', "$name: it will not start there");
}

sub has_ended
{
	my ($node, $name, $id) = @_;
	ok(wait_for_cleanup($node, $id), "$name: a grant that has ended meanwhile is cleaned up");
	is(state_of($node, $id), 'ended', "$name: and has ended");
	sqlstate_ok(connect_as($node, 'bob')->query($read), '42501', "$name: its holder has nothing");
}

my $elsewhere = 'another server granted it, and this is a copy';

# ---- a base backup, started beside its source
{
	my $copy = copy_of_source('beside', conf => "jit_access.database = 'nowhere'");
	$copy->start;
	sqlstate_ok(connect_as($copy, 'alice')->query($read), 'JA011', 'beside: refused before confirmation');
	my $bob = connect_as($copy, 'bob');
	$bob->query("SET ROLE jit_grant_$short");
	like($bob->query($read)->{sqlstate} // 'no error', qr/^JA01[01]|42501$/, 'beside: so is a grant whose end has passed');
	$copy->append_conf('postgresql.conf', "jit_access.database = 'postgres'");
	$copy->restart;
	is_suspended($copy, 'beside', $elsewhere, $held, $revoked);
	has_ended($copy, 'beside', $short);
	has_lapsed($copy, 'beside', $scheduled);
	isnt($copy->safe_psql('postgres', 'SELECT journal_node FROM jit_access.health'), $node_of_source, 'beside: it has a journal of its own');
	ok(glob($copy->data_dir . '/jit_access/journal.aside.*'), 'beside: the one it carried is set aside');
	rows_ok(connect_as($source, 'alice')->query($read), 't', 'beside: the source does not notice');

	rows_ok(connect_as($copy, 'dave')->query("SELECT jit_resume($held)"), 'active', 'beside: an approver resumes a grant');
	sqlstate_ok(connect_as($copy, 'alice')->query($read), 'JA011', 'beside: not as long as another one is unconfirmed');
	rows_ok(connect_as($copy, 'dave')->query("SELECT jit_revoke($revoked)"), 'revoked', 'beside: that is revoked');
	ok(wait_for_cleanup($copy, $revoked), 'beside: and cleaned up');
	rows_ok(connect_as($copy, 'alice')->query($read), 't', 'beside: then the other one is used');
	is($copy->safe_psql('postgres', "SELECT ends_at FROM jit_access.request WHERE id = $held"),
		$source->safe_psql('postgres', "SELECT ends_at FROM jit_access.request WHERE id = $held"), 'beside: with the deadline it had');
	ok(wait_for_drained($copy), 'beside: the record is complete');
	record_is_sound($copy, 'beside');
	$copy->stop('fast');
}

# ---- recovery to a point in the life of grants
{
	my $copy = copy_of_source('recovered', has_restoring => 1, conf => "recovery_target_time = '$moment'\nrecovery_target_action = pause");
	my $segment = $source->safe_psql('postgres', 'SELECT pg_walfile_name(pg_switch_wal())');
	ok($source->poll_query_until('postgres', "SELECT last_archived_wal >= '$segment' FROM pg_stat_archiver"), 'source: archived');
	$copy->start;
	ok($copy->poll_query_until('postgres', "SELECT pg_get_wal_replay_pause_state() = 'paused'"), 'recovered: at its target');
	is(state_of($copy, $_), 'active', "recovered: grant $_ is live in the tables") for ($held, $revoked, $short);
	sqlstate_ok(connect_as($copy, 'alice')->query($read), 'JA011', 'recovered: refused while it is at its target');
	$copy->safe_psql('postgres', 'SELECT pg_wal_replay_resume()');
	ok($copy->poll_query_until('postgres', 'SELECT NOT pg_is_in_recovery()'), 'recovered: it has come up');
	is_suspended($copy, 'recovered', $elsewhere, $held, $revoked);
	has_ended($copy, 'recovered', $short);
	has_lapsed($copy, 'recovered', $scheduled);
	record_is_sound($copy, 'recovered');
	$copy->stop('fast');
}

# ---- a base backup that replaces its source, with the journal outside the data directory
{
	my $outside = $source->basedir . '/outside';
	my $place = jit_node('place', init => { allows_streaming => 1 }, conf => "jit_access.journal_directory = '$outside'\n");
	my $kept = grant_to($place, 'alice', '4 hours');
	my $later = scheduled_at($place);
	$place->backup('before');
	$place->restart;
	ok($place->poll_query_until('postgres', "SELECT jit_access.confirmed($kept)"), 'place: a restart confirms');
	is(state_of($place, $later), 'scheduled', 'place: also a scheduled grant');
	my $node = $place->safe_psql('postgres', 'SELECT journal_node FROM jit_access.health');
	rows_ok(connect_as($place, 'alice')->query($read), 't', 'place: a use after the backup');
	ok(wait_for_drained($place), 'place: is in the record');
	$place->safe_psql('postgres', "SELECT jit_revoke($kept)");
	ok(wait_for_cleanup($place, $kept), 'place: a grant is revoked');
	ok(wait_for_drained($place), 'place: the record is complete');
	$place->stop('fast');
	rmtree($place->data_dir);
	$place->init_from_backup($place, 'before', standby => 0);
	$place->start;
	is($place->safe_psql('postgres', 'SELECT journal_node FROM jit_access.health'), $node, 'place: the restored server has the journal of its later self');
	is_suspended($place, 'place', 'a backup was restored, it may have ended since', $kept);
	has_lapsed($place, 'place', $later);
	$place->safe_psql('postgres', "SELECT jit_revoke($kept)");
	ok(wait_for_cleanup($place, $kept), 'place: it is revoked again');
	my $new = grant_to($place, 'alice', '4 hours');
	$place->restart;
	ok($place->poll_query_until('postgres', "SELECT jit_access.confirmed($new)"), 'place: its new grants are confirmed');
	rows_ok(connect_as($place, 'alice')->query($read), 't', 'place: and used');
	ok(wait_for_drained($place), 'place: the record is complete');
	is(log_rows($place, "kind = 'use' AND grant_id = $new AND outcome = 'completed'"), '1', 'place: from there on');
	record_is_sound($place, 'place');
	$place->stop('fast');
}

# ---- a copy of the control database
{
	$source->append_conf('postgresql.conf', "jit_access.database = 'nowhere'");
	$source->restart;    # a connected worker prevents the copy
	$source->safe_psql('template1', 'CREATE DATABASE copy TEMPLATE postgres');
	$source->append_conf('postgresql.conf', "jit_access.database = 'postgres'");
	$source->restart;
	ok($source->poll_query_until('postgres', "SELECT jit_access.confirmed($held)"), 'database: the control database is back');
	my $in_copy = sub { my ($who) = @_; return connect_as($source, $who, dbname => 'copy'); };
	sqlstate_ok($in_copy->($_->[0])->query("SELECT $_->[1]"), 'JA017', "database: $_->[1]")
	  for (
		[ alice => q{jit_request('reader', '1h')} ], [ alice => 'jit_cancel(1)' ], [ alice => "jit_extend($held, '1h')" ],
		[ dave => "jit_approve($held)" ], [ dave => "jit_deny($held, 'no')" ], [ dave => "jit_revoke($held)" ], [ dave => "jit_resume($held)" ],
		[ $source->safe_psql('postgres', 'SELECT current_user') => q{jit_create_template('mine')} ]);
	# Privileges on tables created later are granted only in the database of the template.
	$source->safe_psql('postgres', q{SELECT jit_create_template('all', '{SELECT ON ALL TABLES IN SCHEMA app}', requesters => '{alice}', approvers => '{dave}')});
	$source->safe_psql('copy', q{UPDATE jit_access.template SET privileges = '{SELECT ON ALL TABLES IN SCHEMA app}', schemas = ARRAY['app'::regnamespace::oid]});
	$source->safe_psql($_, 'CREATE TABLE app.later (id int)') for qw(postgres copy);
	is($source->safe_psql('postgres', q{SELECT has_table_privilege('jit_template_all', 'app.later', 'SELECT')}), 't', 'database: a template covers a table of the control database');
	is($source->safe_psql('copy', q{SELECT bool_or(has_table_privilege('jit_template_' || name, 'app.later', 'SELECT')) FROM jit_access.template}), 'f', 'database: and none of the copy');

	# Rows of the copy give no access, whatever they contain.
	$source->safe_psql('postgres', "SELECT jit_revoke($held)");
	ok(wait_for_cleanup($source, $held), 'database: the grant is revoked in the control database');
	is($source->safe_psql('copy', "SELECT state FROM jit_access.request WHERE id = $held"), 'active', 'database: it is live in the rows of the copy');
	sqlstate_ok($in_copy->('alice')->query($read), '42501', 'database: and gives nothing there');
	my $live = grant_to($source, 'alice', '4 hours');
	$source->safe_psql('postgres', 'DROP DATABASE copy');
	rows_ok(connect_as($source, 'alice')->query($read), 't', 'database: the copy can be dropped while a grant is live, which survives it');
	$source->safe_psql('postgres', "SELECT jit_revoke($live)");
	ok(wait_for_cleanup($source, $live), 'database: it is cleaned up');
}

# ---- the roles of a dump
{
	my $inherited = grant_to($source, 'alice', '4 hours');
	my $chosen = grant_to($source, 'bob', '4 hours');
	my $narrow = connect_as($source, 'alice')->query(q{SELECT jit_request('reader', '4 hours', scope => '{app.orders}')})->{rows}[0][0];
	approve_as($source, 'dave', $narrow);
	my $dump = $source->basedir . '/roles.sql';
	$source->command_ok([ 'pg_dumpall', '--globals-only', '--file', $dump, '--host', $source->host, '--port', $source->port ], 'roles: dumped');
	my $other = PostgreSQL::Test::Cluster->new('other');
	$other->init;
	$other->append_conf('postgresql.conf', "shared_preload_libraries = 'jit_access'\njit_access.worker_naptime = 1\nfsync = off");
	$other->start;
	$other->psql('postgres', '', on_error_stop => 0, extra_params => [ '--file', $dump ]);    # there is one superuser already
	$other->safe_psql('postgres', <<"SQL");
CREATE SCHEMA app;
CREATE TABLE app.orders AS SELECT 1 AS id;
GRANT USAGE ON SCHEMA app TO jit_template_reader, jit_template_changer, jit_grant_$narrow;
GRANT SELECT ON app.orders TO jit_template_reader, jit_template_changer, jit_grant_$narrow;
SQL
	is($other->safe_psql('postgres', q{SELECT has_table_privilege('alice', 'app.orders', 'SELECT')}), 't', 'roles: the memberships are restored');
	sqlstate_ok(connect_as($other, 'alice')->query($read), 'JA011', 'roles: they give nothing');
	my $bob = connect_as($other, 'bob');
	$bob->query("SET ROLE jit_grant_$chosen");
	sqlstate_ok($bob->query($read), 'JA011', 'roles: nor with SET ROLE');

	my $superuser = connect_as($other, $other->safe_psql('postgres', 'SELECT current_user'));
	sqlstate_ok($superuser->query('CREATE EXTENSION jit_access'), 'JA007', 'roles: an office with members is not taken over');
	$other->safe_psql('postgres', 'REVOKE jit_auditor FROM erin');
	sqlstate_ok(connect_as($other, 'alice')->query($read), 'JA011', 'roles: still nothing');
	$other->safe_psql('postgres', 'CREATE EXTENSION jit_access');
	ok( $other->poll_query_until('postgres', "SELECT count(*) = 0 FROM pg_auth_members WHERE member IN ('alice'::regrole, 'bob'::regrole)"),
		'roles: the memberships are swept once there is the extension');
	ok($other->poll_query_until('postgres', "SELECT to_regrole('jit_grant_$inherited') IS NULL AND to_regrole('jit_gate_$chosen') IS NULL"), 'roles: with the roles');
	sqlstate_ok(connect_as($other, 'alice')->query($read), '42501', 'roles: alice has nothing');
	rows_ok(connect_as($other, 'alice')->query('SELECT 1'), '1', 'roles: and works without it');
	$bob = connect_as($other, 'bob');
	$bob->query("SET ROLE jit_grant_$chosen");
	sqlstate_ok($bob->query($read), '42501', 'roles: bob has nothing');
	ok(wait_for_drained($other), 'roles: the record is complete');
	for my $role (map { "jit_grant_$_" } $inherited, $chosen, $narrow)
	{
		is(log_rows($other, "kind = 'drift' AND detail->>'role' = '$role' AND detail->>'what' LIKE '%memberships were revoked'"), '1',
			"roles: $role is on the record, once");
	}
	$other->stop('fast');
}

$source->stop('fast');
done_testing();
