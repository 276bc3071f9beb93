
# The chain over the record after crashes, on a standby, on copies and restored backups, and in other encodings.
use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use File::Path qw(rmtree);
use JitTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $outside = PostgreSQL::Test::Utils::tempdir('outside');
my $files = "jit_access.anchor_file = '$outside/anchors'\njit_access.checkpoint_key_file = '$outside/key'\n";
my $node = jit_node('place', init => { allows_streaming => 1 }, conf => "jit_access.checkpoint_interval = 1d\n$files");
my $read = 'SELECT count(*) FROM app.orders';
my $id = grant_to($node, 'alice', '4 hours');

sub auditor { my ($at) = @_; return connect_as($at, 'erin') }
sub last_record { my ($at) = @_; return $at->safe_psql('postgres', 'SELECT max(seq) FROM jit_access.record') }

# Returns the verdict of the server and of jit-verify, with the files outside the data directory.
sub found
{
	my ($at, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $erin = auditor($at);
	my $verdict = verdict_of($erin);
	is(verdict_by_program($erin, undef, key => "$outside/key", anchors => "$outside/anchors"), $verdict, "$name: the program says the same");
	return $verdict =~ /^sound: / ? 'sound' : $verdict;
}

sub happens
{
	my ($at, $count) = @_;
	$at->safe_psql('postgres', "SELECT jit_create_template(format('t%s_%s', txid_current(), i), ARRAY['SELECT ON app.orders'], requesters => '{alice}', approvers => '{dave}') FROM generate_series(1, $count) i");
	wait_for_drained($at) or die 'not drained';
}

# ---- crashes
ok($node->poll_query_until('postgres', 'SELECT count(*) = 1 FROM jit_access.checkpoint'), 'the first checkpoint is made');
for my $victim (qw(worker backend worker))
{
	my $alice = connect_as($node, 'alice');
	my $pid = $victim eq 'worker' ? worker_pid($node) : $alice->pid;
	my $before = last_record($node);
	$alice->send("DO \$\$ BEGIN LOOP PERFORM count(*) FROM app.orders; END LOOP; END \$\$");
	ok(wait_for('the record to grow', sub { last_record($node) > $before + 3000 }), "$victim: the record grows");
	kill 'KILL', $pid or die "cannot kill $pid";
	ok(wait_for('the process is gone', sub { is_gone($pid) }), "$victim: killed");
	ok($node->poll_query_until('postgres', "SELECT jit_access.confirmed($id)"), "$victim: the server is back");
	ok(wait_for_drained($node), "$victim: the record is complete");
	is(found($node, $victim), 'sound', "$victim: the chain is sound");
	record_is_sound($node, $victim);
}

# ---- a standby
$node->backup('backup');
{
	my $standby = PostgreSQL::Test::Cluster->new('standby');
	$standby->init_from_backup($node, 'backup', has_streaming => 1);
	$standby->start;
	happens($node, 5);
	auditor($node)->query('SELECT jit_audit_checkpoint()');
	happens($node, 5);
	$node->wait_for_catchup($standby, 'replay', $node->lsn('insert'));
	is(found($standby, 'standby'), 'sound', 'standby: sound');
	is(verdict_of(auditor($standby)), verdict_of(auditor($node)), 'standby: the verdict of the primary');
	is(verdict_of(auditor($standby), '3, 9'), verdict_of(auditor($node), '3, 9'), 'standby: also of a part');
	sqlstate_ok(auditor($standby)->query('SELECT jit_audit_checkpoint()'), 'JA017', 'standby: makes no checkpoints');
	sqlstate_ok(connect_as($standby, 'carol')->query('SELECT jit_audit_verify()'), '42501', 'standby: other users do not verify');

	# Replay is behind the anchors of the primary.
	$standby->safe_psql('postgres', 'SELECT pg_wal_replay_pause()');
	my $replayed = last_record($standby);
	happens($node, 5);
	my $anchored = auditor($node)->query('SELECT jit_audit_checkpoint()')->{rows}[0][0];
	like(found($standby, 'behind'), qr/^broken at @{[ $replayed + 1 ]}: missing: .* knows it up to $anchored$/m, 'behind: records that it does not have yet are missing');
	$standby->safe_psql('postgres', 'SELECT pg_wal_replay_resume()');
	$node->wait_for_catchup($standby, 'replay', $node->lsn('insert'));
	is(found($standby, 'caught up'), 'sound', 'caught up: sound');

	# Both servers continue, which makes two branches of one record.
	$standby->append_conf('postgresql.conf', "jit_access.anchor_file = '$outside/other_anchors'");
	$standby->promote;
	ok($standby->poll_query_until('postgres', 'SELECT NOT pg_is_in_recovery()'), 'fork: promoted');
	happens($standby, 20);
	happens($node, 5);
	my $fork = auditor($node)->query('SELECT jit_audit_checkpoint()')->{rows}[0][0];
	is(found($node, 'fork'), 'sound', 'fork: the primary is sound');
	cmp_ok(last_record($standby), '>=', $fork, 'fork: the other branch is long enough');
	like(verdict_by_program(auditor($standby), undef, key => "$outside/key", anchors => "$outside/anchors"),
		qr{^broken at $fork: the record does not match a checkpoint in \Q$outside/anchors\E: it was rewritten, or has branched$}m,
		'fork: the other one is not that of the anchors');
	$standby->restart;
	ok($standby->poll_query_until('postgres', 'SELECT worker_pid IS NOT NULL FROM jit_access.health'), 'fork: with anchors of its own');
	auditor($standby)->query('SELECT jit_audit_checkpoint()');
	like(verdict_of(auditor($standby)), qr/^sound: /, 'fork: it is sound');
	$standby->stop('fast');
}

# ---- a copy of the control database makes no checkpoints
{
	$node->append_conf('postgresql.conf', "jit_access.database = 'nowhere'");
	$node->restart;
	$node->safe_psql('template1', 'CREATE DATABASE copy TEMPLATE postgres');
	$node->append_conf('postgresql.conf', "jit_access.database = 'postgres'");
	$node->restart;
	ok($node->poll_query_until('postgres', "SELECT jit_access.confirmed($id)"), 'copy: the control database is back');
	$node->safe_psql('copy', q{UPDATE jit_access.record SET statement = 'SELECT nothing' WHERE seq = (SELECT max(seq) FROM jit_access.record)});
	sqlstate_ok(connect_as($node, 'erin', dbname => 'copy')->query('SELECT jit_audit_checkpoint()'), 'JA017', 'copy: no checkpoint there');
	like(verdict_of(connect_as($node, 'erin', dbname => 'copy')), qr/^broken at \d+: this record or an earlier one was changed/, 'copy: it can be verified');
	is(found($node, 'copy'), 'sound', 'copy: the record is sound');
	$node->safe_psql('template1', 'DROP DATABASE copy');
}

# ---- an older backup replaces its server
{
	my $anchored = auditor($node)->query('SELECT max(seq) FROM jit_access.audit_log')->{rows}[0][0];
	is(found($node, 'before'), 'sound', 'restored: sound before');
	$node->stop('fast');
	rmtree($node->data_dir);
	$node->init_from_backup($node, 'backup', standby => 0);
	$node->start;
	ok($node->poll_query_until('postgres', "SELECT state = 'suspended' FROM jit_access.request WHERE id = $id"), 'restored: the worker has looked');
	ok(wait_for_drained($node), 'restored: it goes on');
	like(found($node, 'restored'), qr{^broken at \d+: .*\Q$outside/anchors\E}m, 'restored: found');
	happens($node, 100);
	cmp_ok(last_record($node), '>', $anchored, 'restored: longer than it was');
	like(found($node, 'regrown'), qr{^broken at \d+: the record does not match a checkpoint in \Q$outside/anchors\E: it was rewritten, or has branched$}m,
		'regrown: found for ever');
	$node->stop('fast');
}

# ---- statements that are no valid text in the encoding of the record, and records in other encodings
my %statements = (
	LATIN1    => "SELECT 'Z\xfcrich \xa4\xff' /* LATIN1 */",
	SQL_ASCII => "SELECT '\xff\xfe\x80 Z\xc3\xbcrich \xed\xa0\x80\xc3' /* SQL_ASCII */",
	UTF8      => "SELECT 'Z\xc3\xbcrich \xe2\x9c\x93 \xf0\x9f\x94\x91' /* UTF8 */",
);
my %escaped = (
	LATIN1    => 'SELECT \'Z\xfcrich \xa4\xff\' /* LATIN1 */',
	SQL_ASCII => "SELECT '" . '\xff\xfe\x80' . " Z\xc3\xbcrich " . '\xed\xa0\x80\xc3' . "' /* SQL_ASCII */",
	UTF8      => $statements{UTF8},
);
for my $encoding (qw(UTF8 LATIN1 SQL_ASCII))
{
	my $at = jit_node("in_$encoding", init => { extra => [ '--encoding', $encoding, '--locale', 'C' ] });
	is($at->safe_psql('postgres', 'SHOW server_encoding'), $encoding, "record in $encoding");
	$at->safe_psql('postgres', "CREATE DATABASE in_$_ TEMPLATE template0 ENCODING '$_' LC_COLLATE 'C' LC_CTYPE 'C'") for sort keys %statements;
	grant_to($at, 'alice', '1 hour');
	sqlstate_ok(connect_as($at, 'alice')->query("SELECT jit_request('reader', '1h', reason => 'Z\xc3\xbcrich')"), 'no error', "record in $encoding: a reason");
	for my $database (sort keys %statements)
	{
		my $alice = connect_as($at, 'alice', dbname => "in_\L$database", options => { client_encoding => $database });
		sqlstate_ok($alice->query($statements{$database}), 'no error', "record in $encoding: a statement in $database");
		sqlstate_ok($alice->query("GRANT pg_monitor TO \"Z\xc3\xbcrich\""), 'JA016', "record in $encoding: and a refusal");
	}
	ok(wait_for_drained($at), "record in $encoding: complete");
	my $erin = connect_as($at, 'erin', options => { client_encoding => $encoding });
	for my $database (sort keys %statements)
	{
		rows_ok($erin->query("SELECT statement, statement_bytes FROM jit_access.audit_log WHERE statement LIKE '%/* $database */' AND database = lower('in_$database')"),
			($encoding eq 'UTF8' ? $escaped{$database} : $statements{$database}) . ',' . length $statements{$database}, "record in $encoding: readable, from $database");
	}
	rows_ok($erin->query('SELECT jit_audit_checkpoint() > 0'), 't', "record in $encoding: dated");
	is(same_verdict($erin, "record in $encoding"), 'sound', "record in $encoding: sound");
	is(same_verdict(connect_as($at, 'erin', options => { client_encoding => 'SQL_ASCII' }), "record in $encoding"), 'sound', "record in $encoding: whatever the client's encoding");
	$at->stop('fast');
}

done_testing();
