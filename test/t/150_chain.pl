
# The hash chain over the record: the verification in every session and jit-verify agree, checkpoints prove its age, and
# faults of the key or the anchors are reported but stop nothing.
use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use JitTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = jit_node('chain', conf => "jit_access.checkpoint_interval = 1d\nlog_min_messages = log\n");
my $directory = $node->data_dir . '/jit_access';
my $erin = connect_as($node, 'erin');
my $read = 'SELECT count(*) FROM app.orders';

sub checkpoints { return $node->safe_psql('postgres', 'SELECT count(*) FROM jit_access.checkpoint') }
sub notices { my (undef, undef, $err) = $node->psql('postgres', 'SELECT sound FROM jit_audit_verify()'); return $err }
sub export_of { return $node->safe_psql('postgres', 'COPY (SELECT line FROM jit_audit_export()) TO STDOUT') . "\n" }

# The output and the exit status of jit-verify.
sub program
{
	my ($export, @options) = @_;
	my $out = '';
	IPC::Run::run([ 'jit-verify', @options ], '<', \$export, '>', \$out);
	return ($out, $? >> 8);
}

sub anchors { return split /\n/, slurp_file("$directory/anchors") }
sub last_record { return $node->safe_psql('postgres', 'SELECT max(seq) FROM jit_access.record') }

# Adds a row to the record.
sub happens
{
	my ($name) = @_;
	my $id = grant_to($node, 'alice', '1 hour');
	$node->safe_psql('postgres', "SELECT jit_revoke($id)");
	wait_for_cleanup($node, $id) or die 'not cleaned up';
	ok(wait_for_drained($node), "$name: something is recorded");
}

sub set_conf
{
	my ($setting, $value) = @_;
	$node->append_conf('postgresql.conf', "$setting = '$value'");
	$node->reload;
	$node->poll_query_until('postgres', "SELECT current_setting('$setting') = '$value'") or die "$setting is not set";
}

# ---- a record with every kind of row
is($node->safe_psql('postgres', 'SELECT jit_access.may_audit()'), 't', 'a superuser may audit as well');
my $id = grant_to($node, 'alice', '4 hours');
ok($node->poll_query_until('postgres', 'SELECT count(*) = 1 FROM jit_access.checkpoint'), 'the first checkpoint is made without delay');
{
	my $alice = connect_as($node, 'alice', options => { application_name => 'alice\'s "work"' });
	$alice->query("$read /* Zürich ✓ \\ 'quoted' \"twice\"\n\tand on another line \x01\x7f */");
	$alice->query('SELECT 1 / (id - id) FROM app.orders');
	sqlstate_ok($alice->query('GRANT SELECT ON app.orders TO carol'), 'JA016', 'a command is refused');
	sqlstate_ok($alice->query('DO $$ BEGIN FOR i IN 1 .. 3000 LOOP PERFORM count(*) FROM app.orders WHERE id = i; END LOOP; END $$'),
		'no error', 'thousands of statements are run');
	$alice->query("BEGIN; DECLARE c CURSOR FOR SELECT 1 FROM app.orders; FETCH 1 FROM c");
	ok(wait_for_drained($node), 'a use is recorded before its end');
	$alice->query('COMMIT');
}
ok(wait_for_drained($node), 'the record is complete');
is( $node->safe_psql('postgres', q{SELECT string_agg(DISTINCT kind, ' ' ORDER BY kind) FROM jit_access.record WHERE kind IN ('use', 'outcome', 'refusal', 'requested', 'activated')}),
	'activated outcome refusal requested use', 'with rows of every kind');
cmp_ok(last_record(), '>', 3000, 'and thousands of them');
is(same_verdict($erin, 'whole'), 'sound', 'the record is sound');
my $verdict = verdict_of($erin);
like($verdict, qr/^sound: (\d+) records up to \1, anchored up to \d+, 2 checkpoints, head [0-9a-f]{64}$/, 'all of it, with the checkpoint in table and file');
like($verdict, qr/ up to @{[last_record()]}, .* head @{[ $node->safe_psql('postgres', q{SELECT encode(hash, 'hex') FROM jit_access.record ORDER BY seq DESC LIMIT 1}) ]}$/,
	'the head is the hash of the last row');

# ---- under any session settings
$node->safe_psql('postgres', <<'SQL');
CREATE SCHEMA evil;
GRANT USAGE ON SCHEMA evil TO PUBLIC;
CREATE FUNCTION evil.encode(bytea, text) RETURNS text IMMUTABLE LANGUAGE sql RETURN 'evil';
CREATE FUNCTION evil.decode(text, text) RETURNS bytea IMMUTABLE LANGUAGE sql RETURN ''::bytea;
CREATE FUNCTION evil.max(bigint) RETURNS bigint IMMUTABLE LANGUAGE sql RETURN 0;
CREATE FUNCTION evil.less(bigint, bigint) RETURNS boolean IMMUTABLE LANGUAGE sql RETURN false;
CREATE OPERATOR evil.<= (LEFTARG = bigint, RIGHTARG = bigint, FUNCTION = evil.less);
CREATE OPERATOR evil.>= (LEFTARG = bigint, RIGHTARG = bigint, FUNCTION = evil.less);
CREATE OPERATOR evil.< (LEFTARG = bigint, RIGHTARG = bigint, FUNCTION = evil.less);
CREATE TABLE evil.record (seq bigint); CREATE TABLE evil.chain (id uuid); CREATE TABLE evil.checkpoint (seq bigint);
CREATE DOMAIN evil.text AS pg_catalog.text; CREATE DOMAIN evil.bigint AS pg_catalog.int4;
SQL
my @hostile = (
	"DateStyle = 'German, DMY'", "DateStyle = 'Postgres, MDY'", "IntervalStyle = 'sql_standard'", "IntervalStyle = 'iso_8601'", "TimeZone = 'Pacific/Chatham'",
	"bytea_output = 'escape'", 'extra_float_digits = -15', "lc_monetary = 'C'", "lc_numeric = 'C'", "lc_time = 'C'",
	'search_path = evil, pg_temp, pg_catalog', "search_path = ''", 'row_security = off', 'quote_all_identifiers = on', 'standard_conforming_strings = off',
	'escape_string_warning = on', "backslash_quote = 'on'", 'array_nulls = off', "xmlbinary = 'hex'", 'transform_null_equals = on',
	"client_encoding = 'LATIN1'", "client_encoding = 'SQL_ASCII'", 'enable_indexscan = off', 'enable_sort = off', 'enable_seqscan = off', "plan_cache_mode = 'force_generic_plan'",
	"work_mem = '64kB'", 'force_parallel_mode = on', "default_transaction_isolation = 'serializable'", 'default_transaction_read_only = on',
	"default_transaction_deferrable = on", 'check_function_bodies = off', "client_min_messages = 'error'", 'jit = on', 'jit_above_cost = 0');
for my $setting (@hostile)
{
	$setting =~ s/^force_parallel_mode/debug_parallel_query/ if $node->pg_version >= 16;
	my $session = connect_as($node, 'erin');
	sqlstate_ok($session->query("SET $setting"), 'no error', "SET $setting");
	is(verdict_of($session), $verdict, 'does not change the verdict');
	is(verdict_by_program($session), $verdict, 'nor the export');
}
{
	my $session = connect_as($node, 'erin');
	$session->query('CREATE TEMPORARY TABLE record (seq bigint); CREATE TEMPORARY TABLE checkpoint (seq bigint); SET search_path = pg_temp, evil, pg_catalog');
	$session->query('BEGIN TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY');
	is(verdict_of($session), $verdict, 'temporary tables in front do not either, nor a read-only transaction');
	happens('older snapshot');
	rows_ok($erin->query('SELECT jit_audit_checkpoint()'), last_record(), 'older snapshot: and anchored');
	like(verdict_of($session), qr/^sound: .* anchored up to @{[last_record()]}, 3 checkpoints/, 'older snapshot: is part of the verdict, as far as the anchor file says');
	$session->query('ROLLBACK');
}

# The worker appends regardless of the settings of the database.
{
	$node->safe_psql('postgres', "ALTER DATABASE postgres SET $_") for @hostile[ 0, 3, 4, 5, 6, 11, 14, 15, 18 ];
	$node->restart;
	happens('hostile database');
	$erin = connect_as($node, 'erin');
	$erin->query('SELECT jit_audit_checkpoint()');
	is(same_verdict($erin, 'hostile database'), 'sound', 'hostile database: the worker goes on with the same chain');
	$node->safe_psql('postgres', 'ALTER DATABASE postgres RESET ALL');
	$node->restart;
	worker_pid($node);
	ok(wait_for_drained($node), 'hostile database: over');
	$erin = connect_as($node, 'erin');
}

# ---- ranges of the record
for my $range ('1, 10', '5, 5', '5', '5, 500', '6, 500', 'NULL, 7', '1, NULL', last_record(), last_record() . ', ' . last_record(), '1, 9223372036854775807', 1_000_000, '1000000, 2000000')
{
	my ($from, $to) = map { !defined || $_ eq 'NULL' ? undef : $_ } split /, /, $range;
	my $is_anchored = grep { $_ >= ($from // 1) && $_ <= ($to // last_record()) } map { (split / /)[1] } anchors();
	is(same_verdict($erin, "part $range", $range), $is_anchored ? 'sound' : 'self-consistent', "part $range: sound if an anchor is in it");
}
rows_ok($erin->query('SELECT records, first_seq, last_seq, head = (SELECT head FROM jit_audit_verify(1, 9)) FROM jit_audit_verify(5, 9)'), '5,5,9,t', 'a part has the head of the whole');
rows_ok($erin->query('SELECT count(*), min(seq), max(seq) FROM jit_audit_export(5, 9) WHERE seq IS NOT NULL'), '5,5,9', 'an export has the number of each record');
for my $range ('0', '-1', '5, 4', 'NULL, 0', '-9223372036854775808')
{
	sqlstate_ok($erin->query("SELECT jit_audit_${_}($range)"), 'JA001', "$_ $range is no range") for qw(verify export);
}

# ---- permissions
for my $who (qw(alice dave carol))
{
	sqlstate_ok(connect_as($node, $who)->query("SELECT jit_audit_$_()"), '42501', "$who may not $_") for qw(checkpoint verify export);
}
$node->safe_psql('postgres', 'GRANT EXECUTE ON FUNCTION jit_audit_checkpoint(), jit_audit_verify(bigint, bigint), jit_audit_export(bigint, bigint) TO carol');
sqlstate_ok(connect_as($node, 'carol')->query("SELECT jit_audit_$_()"), 'JA004', "EXECUTE alone does not let carol $_") for qw(checkpoint verify export);
sqlstate_ok(connect_as($node, $_)->query('TABLE jit_access.checkpoint'), '42501', "$_ does not read the table of checkpoints") for qw(erin alice);

# ---- checkpoints on demand
{
	ok(wait_for_drained($node), 'the attempt of alice is on the record as well');
	$erin->query('SELECT jit_audit_checkpoint()');
	rows_ok($erin->query('SELECT jit_audit_checkpoint()'), 'NULL', 'without a new record there is no new checkpoint');
	happens('on demand');
	my ($count, $lines, $seq) = (checkpoints(), scalar anchors(), last_record());
	rows_ok($erin->query('SELECT jit_audit_checkpoint()'), $seq, 'a checkpoint on demand');
	is(checkpoints(), $count + 1, 'is in the table');
	is(scalar anchors(), $lines + 1, 'and in the anchor file');
	my $line = (anchors())[-1];
	is( $line,
		$node->safe_psql('postgres', q{SELECT format('%s %s %s %s %s', (SELECT id FROM jit_access.chain), seq, extract(epoch FROM at - '2000-01-01 UTC') * 1000000, encode(head, 'hex'), encode(mac, 'hex'))
			FROM jit_access.checkpoint ORDER BY seq DESC LIMIT 1}) =~ s/\.0+ / /r, 'the same');
	like(slurp_file($node->logfile), qr/LOG:  jit_access: checkpoint \Q$line\E$/m, 'and in the server log');
	is(sprintf('%o', (stat "$directory/$_")[2] & 07777), '600', "only the server's user reads $_") for qw(key anchors);
	like(slurp_file("$directory/key"), qr/^[0-9a-f]{64}\n$/, 'the key is random');

	# The lines of the log are anchors as well.
	my $from_log = $node->basedir . '/from_log';
	append_to_file($from_log, join '', slurp_file($node->logfile) =~ /jit_access: checkpoint (.*\n)/g);
	is(slurp_file($from_log), slurp_file("$directory/anchors"), 'the log has them all');

	# Any login can write lines like that: of a head that the record never had, of records to come, of another chain.
	my ($chain, $seq_of_line, $at, $head, $mac) = split / /, $line;
	my @forged = (join(' ', $chain, $seq_of_line, $at, 'ab' x 32, $mac), join(' ', $chain, $seq_of_line + 1000, $at, $head, $mac), join(' ', '01' x 4 . '-0101' x 4 . '01' x 4, 5, $at, $head, $mac));
	connect_as($node, 'carol')->query("DO \$\$ BEGIN RAISE LOG 'jit_access: checkpoint $_'; END \$\$") for @forged;
	unlink $from_log;
	append_to_file($from_log, join '', slurp_file($node->logfile) =~ /LOG:  jit_access: checkpoint (.*\n)/g);
	is(scalar(() = slurp_file($from_log) =~ /\n/g), 3 + anchors(), 'the log has forged lines as well');
	my ($out, $status) = program(export_of(), '--key' => "$directory/key", '--anchors' => $from_log);
	like($out, qr/^forged: \Q$from_log\E has 3 checkpoints that the key did not make\nsound: .* anchored up to $seq, /, 'the program says that they are forged, and the record is sound');
	is($status, 0, 'by its exit status, too');
	($out, $status) = program(export_of(), '--anchors' => $from_log);
	like($out, qr/^unauthenticated: \Q$from_log\E has \d+ checkpoints, and there is no key to check them with\n(?:unauthenticated: .*\n){3}self-consistent: .* not anchored, /, 'without the key they are unauthenticated');
	is($status, 3, 'without the key nothing is proved');
	append_to_file("$directory/anchors", join '', map { "$_\n" } @forged);
	is(same_verdict($erin, 'forged'), 'sound', 'forged lines in the anchor file do not break the record');
	like(notices(), qr/NOTICE:  forged: \S+anchors has 3 checkpoints that the key did not make/, 'but are noticed');

	# An export that was cut. The chain of what is left is intact.
	my @lines = split /^/, export_of();
	($out, $status) = program($lines[0], '--key' => "$directory/key");
	like("$out$status", qr/^self-consistent: 0 records up to 0, not anchored, 0 checkpoints, head [0-9a-f]{64}\n3$/, 'an export cut to its header is not sound');
	($out, $status) = program(join('', @lines[ 0 .. 20 ]), '--key' => "$directory/key");
	like("$out$status", qr/not anchored.*\n[13]$/, 'nor is one that was cut elsewhere');
	($out, $status) = program($lines[0], '--key' => "$directory/key", '--anchors' => "$directory/anchors");
	like("$out$status", qr/^broken at 1: missing: .* knows it up to $seq\n.*not sound.*1$/s, 'with anchors it is found');
	($out, $status) = program(join('', @lines), '--key' => "$directory/key");
	like("$out$status", qr/^self-consistent: .*\n3$/, 'the checkpoints of an export are no anchors of it');

	my $transaction = connect_as($node, 'erin');
	happens('rolled back');
	$transaction->query('BEGIN; SELECT jit_audit_checkpoint(); ROLLBACK');
	is(same_verdict($erin, 'rolled back'), 'sound', 'an anchor of a rolled back transaction is valid all the same');
	$transaction->query('BEGIN; SELECT jit_audit_checkpoint()');
	happens('held open');
	$transaction->query('COMMIT');
	sqlstate_ok($erin->query('BEGIN READ ONLY; SELECT jit_audit_checkpoint()'), '25006', 'not in a read-only transaction');
	$erin->query('ROLLBACK');
}

# ---- checkpoints at an interval
{
	set_conf('jit_access.checkpoint_interval', '1s');
	for my $time (1, 2)
	{
		happens("interval $time");
		my $seq = last_record();
		ok($node->poll_query_until('postgres', "SELECT max(seq) >= $seq FROM jit_access.checkpoint"), "interval $time: the worker has made a checkpoint of it");
	}
	is($node->safe_psql('postgres', 'SELECT count(*) FROM jit_access.checkpoint c JOIN jit_access.record r ON r.seq = c.seq AND r.hash = c.head'), checkpoints(), 'each is of a record');
	is(same_verdict($erin, 'interval'), 'sound', 'interval: sound');
}

# ---- faults of the files
unlike(notices(), qr/not checked|no anchors|have no anchors/, 'there is nothing to notice but the forged lines');
my $before = checkpoints();
my $why = '"/nowhere/anchors" cannot be written: No such file or directory.';
set_conf('jit_access.anchor_file', '/nowhere/anchors');
my $offset = -s $node->logfile;
happens('no anchor file');
my $result = $erin->query('SELECT jit_audit_checkpoint()');
sqlstate_ok($result, 'JA013', 'no anchor file: no checkpoint');
is($result->{detail}, $why, 'no anchor file: says why');
ok(wait_for('a log line', sub { slurp_file($node->logfile, $offset) =~ /could not write a checkpoint of the record: a checkpoint could not be anchored: \Q$why\E/ }),
	'no anchor file: so does the worker');
happens('no anchor file, the worker goes on');
is(checkpoints(), $before, 'no anchor file: nothing is in the table alone');
like(notices(), qr{no anchors are checked\nHINT:  "/nowhere/anchors" cannot be read}, 'no anchor file: verification notices');
set_conf('jit_access.anchor_file', '');
ok($node->poll_query_until('postgres', "SELECT count(*) > $before FROM jit_access.checkpoint"), 'no anchor file: when it is mended, the worker makes one');

my $other = $node->basedir . '/other_key';
my %keys = ('empty' => '', 'no hexadecimal' => 'swordfish' x 8, 'too short' => '00' x 15, 'of odd length' => '0' x 63);
for my $kind (sort keys %keys)
{
	unlink $other;
	append_to_file($other, $keys{$kind} . "\n");
	set_conf('jit_access.checkpoint_key_file', $other);
	happens("key is $kind");
	$result = connect_as($node, 'erin')->query('SELECT jit_audit_checkpoint()');
	sqlstate_ok($result, 'JA013', "key is $kind: no checkpoint");
	like($result->{detail}, qr/^"\Q$other\E" holds no key, and none could be made: File exists\.$/, "key is $kind: says why");
	is($result->{hint}, 'Put at least 32 hexadecimal digits into the file, readable for the server alone.', "key is $kind: and the hint says what to do");
	like(notices(), qr/the MACs of the checkpoints are not checked\nHINT:  "\Q$other\E" holds no key/, "key is $kind: verification notices");
	like(verdict_by_program($erin, undef, key => $other), qr/^error: jit-verify: "\Q$other\E" holds no key/, "key is $kind: the program does not take it");
}
ok(wait_for('a log line', sub { slurp_file($node->logfile, $offset) =~ /could not write a checkpoint of the record: there is no key for checkpoints: "\Q$other\E"/ }), 'wrong key: so says the worker');
unlink $other;
ok(wait_for('a new key', sub { -s $other }), 'where there is no key the worker makes one');
like(verdict_of($erin), qr/^broken at \d+: a checkpoint in jit_access.checkpoint was not made with the key\n/, 'which has not made the checkpoints that there are');
set_conf('jit_access.checkpoint_key_file', '');
like(verdict_of($erin), qr/was not made with the key\n/, 'nor has the old one made the new ones');
set_conf('jit_access.checkpoint_interval', '1d');
$node->safe_psql('postgres', 'DELETE FROM jit_access.checkpoint');
rename "$directory/anchors", "$directory/anchors.old" or die $!;
happens('other anchors');
# Without any checkpoint the worker makes one at once, perhaps before this one.
$erin->query('SELECT jit_audit_checkpoint()');
is($node->safe_psql('postgres', 'SELECT max(seq) FROM jit_access.checkpoint'), last_record(), 'a checkpoint by the old key');
is(same_verdict($erin, 'other anchors'), 'sound', 'other anchors: sound');

# A full disk leaves this state.
append_to_file("$directory/anchors", substr((anchors())[0], 0, 50));
happens('half a line');
$erin->query('SELECT jit_audit_checkpoint()');
like($node->safe_psql('postgres', 'SELECT checkpoints FROM jit_audit_verify()'), qr/^4$/, 'half a line does not swallow the next one');
is(same_verdict($erin, 'half a line'), 'sound', 'half a line: is no anchor');

$node->stop('fast');
done_testing();
