
# Every change that a superuser makes to the record by SQL is found at its place, both by the server and by jit-verify.
use strict;
use warnings;

use Digest::SHA qw(sha256);
use FindBin;
use lib $FindBin::RealBin;
use JitTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = jit_node('tampering', conf => "jit_access.checkpoint_interval = 1d\n");
my $superuser = $node->safe_psql('postgres', 'SELECT current_user');
my $directory = $node->data_dir . '/jit_access';

sub uses
{
	my ($count) = @_;
	my $alice = connect_as($node, 'alice');
	$alice->query("SELECT $_ FROM app.orders") for 1 .. $count;
	$alice->quit;
	wait_for_drained($node) or die 'not drained';
}

grant_to($node, 'alice', '4 hours');
ok($node->poll_query_until('postgres', 'SELECT count(*) = 1 FROM jit_access.checkpoint'), 'the first checkpoint is made');
uses(20);
my $dba = connect_as($node, $superuser);
my $anchored = $dba->query('SELECT jit_audit_checkpoint()')->{rows}[0][0];
uses(10);
my $last = $node->safe_psql('postgres', 'SELECT max(seq) FROM jit_access.record');
is(same_verdict($dba, 'untouched'), 'sound', 'untouched: sound');

# Tampers in a transaction that is rolled back afterwards; returns the findings.
sub found_after
{
	my ($name, @commands) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	$dba->query('BEGIN');
	sqlstate_ok($dba->query($_), 'no error', "$name: it can be done") for grep { !ref } @commands;
	$_->() for grep { ref } @commands;
	$dba->query('SAVEPOINT tampered');
	my $found = same_verdict($dba, $name);
	$dba->query('ROLLBACK');
	return $found;
}

sub changed { return join '', map { "broken at $_: this record or an earlier one was changed\n" } @_ }
sub missing { my ($from, $to) = @_; return "broken at $from: missing, up to the one before $to\n" }
sub rewritten { my ($seq, @places) = @_; return join '', map { "broken at $seq: the record does not match a checkpoint in $_: it was rewritten, or has branched\n" } @places }
sub cut { my ($from) = @_; return "broken at $from: missing: the record ends here, and a checkpoint in $directory/anchors knows it up to $anchored\n" }

# ---- each column in turn, as listed in the catalog
my %others = (
	bigint                     => [ '%1$s + 1', '-%1$s - 1' ],
	integer                    => [ '%1$s + 1' ],
	text                       => [ q{%1$s || ' '}, q{overlay(%1$s placing 'x' from 1)}, 'upper(%1$s) || lower(%1$s)' ],
	uuid                       => ['gen_random_uuid()'],
	'timestamp with time zone' => [ q{%1$s + interval '1 microsecond'}, q{'infinity'} ],
	interval                   => [ q{%1$s + interval '1 microsecond'}, q{%1$s + interval '1 day' - interval '24 hours'} ],
	jsonb                      => [ q{'{}'}, q{'{"reason": null}'}, q{'"reason"'} ],
	bytea                      => [ 'set_byte(%1$s, 31, get_byte(%1$s, 31) # 1)' ],
	'bigint[]'                 => [ '%1$s || 1::bigint', q{'{}'} ],
	'text[]'                   => [ q{%1$s || ''::text}, q{'{}'}, q{ARRAY[array_to_string(%1$s, ',') || 'x']} ],
);
# These are values that the record never holds. Such a row has no place in the chain, so the next row does not fit
# either.
my %irregular = (
	'bigint[]' => [ '%1$s || NULL::bigint', 'ARRAY[%1$s]', q{('[5:5]={' || %1$s[1] || '}')::bigint[]} ],
	'text[]'   => [ '%1$s || NULL::text', 'ARRAY[%1$s]', q{('[0:0]={x}')::text[]} ],
	bytea      => [ q{%1$s || '\x00'}, 'substr(%1$s, 1, 31)', q{'\x'} ],
);
my %filled = ('of_position' => 1, detail => q{'{}'}, client_addr => q{'::1'}, statement_sha256 => q{repeat('0', 64)}, parameters => q{'$1'});
my @columns = map { [ split /\|/ ] } split /\n/, $node->safe_psql('postgres', <<'SQL');
SELECT attname, format_type(atttypid, atttypmod), attnotnull FROM pg_attribute
WHERE attrelid = 'jit_access.record'::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum
SQL
cmp_ok(scalar @columns, '>=', 30, 'all columns are there');
my $use = $node->safe_psql('postgres', "SELECT seq FROM jit_access.record WHERE kind = 'use' AND outcome IS NOT NULL AND seq < $anchored ORDER BY seq DESC LIMIT 1 OFFSET 3");
my @filled = map { $_->[0] } grep { !$filled{ $_->[0] } } @columns;
my $empty = join ', ', map { "CASE WHEN $_ IS NULL THEN '$_' END" } @filled;
is($node->safe_psql('postgres', "SELECT concat_ws(' ', $empty) FROM jit_access.record WHERE seq = $use"), '',
	'src/record/source_batch.cpp leaves no column of a use empty');
for my $column (@columns)
{
	my ($name, $type, $not_null) = @$column;
	my $set = sub { return "UPDATE jit_access.record SET $name = $_[0] WHERE seq = $use" };
	my $irregular = changed($use, $use + 1);
	if ($name eq 'seq')
	{
		is(found_after("$name: $_", $set->($_)), sprintf("broken at %s: duplicate or out of order\n", $_) . missing($use, $use + 1), "$name: $_ is found") for (0, -5);
		is(found_after("$name: far ahead", $set->(1_000_000)), missing($use, $use + 1) . missing($last + 1, 1_000_000), "$name: far ahead is found");
		next;
	}
	for my $other ($filled{$name} ? $filled{$name} : map { sprintf $_, $name } @{ $others{$type} or die "no other value of type $type" })
	{
		is(found_after("$name: $other", $set->($other)), $name eq 'hash' ? $irregular : changed($use), "$name: $other is found");
	}
	for my $other (map { sprintf $_, $name } @{ $irregular{$type} // [] })
	{
		is(found_after("$name: $other", $set->($other)), $irregular, "$name: $other is found");
	}
	next if $filled{$name};
	is( $not_null eq 't'
		? found_after("$name: NULL", "ALTER TABLE jit_access.record ALTER COLUMN $name DROP NOT NULL", $set->('NULL'))
		: found_after("$name: NULL", $set->('NULL')),
		$not_null eq 't' ? $irregular : changed($use), "$name: NULL is found");
}

# ---- rows
my $copy = 'INSERT INTO jit_access.record SELECT (jsonb_populate_record(r, jsonb_build_object(%s))).* FROM jit_access.record r WHERE seq = ' . $use;
my $drop_key = 'ALTER TABLE jit_access.record DROP CONSTRAINT record_pkey, ALTER COLUMN seq DROP NOT NULL';
my @rows = (
	[ 'the first is deleted', ['DELETE FROM jit_access.record WHERE seq = 1'], missing(1, 2) ],
	[ 'the first are deleted, up to a checkpoint', ["DELETE FROM jit_access.record WHERE seq <= $anchored"], missing(1, $anchored + 1) ],
	[ 'one is deleted', ["DELETE FROM jit_access.record WHERE seq = $use"], missing($use, $use + 1) ],
	[ 'every other one is deleted', ["DELETE FROM jit_access.record WHERE seq % 2 = 0 AND seq BETWEEN 10 AND 15"], missing(10, 11) . missing(12, 13) . missing(14, 15) ],
	[ 'the last are deleted', ["DELETE FROM jit_access.record WHERE seq >= $anchored"], cut($anchored) ],
	[ 'the last are deleted, with the checkpoints', ["DELETE FROM jit_access.record WHERE seq >= $anchored", 'DELETE FROM jit_access.checkpoint'], cut($anchored) ],
	[ 'all are deleted', ['DELETE FROM jit_access.record'], cut(1) ],
	[ 'all are deleted by TRUNCATE', ['TRUNCATE jit_access.record'], cut(1) ],
	[ 'everything is emptied', ['TRUNCATE jit_access.record, jit_access.checkpoint'], cut(1) ],
	[ 'one is added at the end', [ sprintf $copy, "'seq', $last + 1" ], changed($last + 1) ],
	[ 'one is added before the first', [ sprintf $copy, "'seq', 0" ], "broken at 0: duplicate or out of order\n" ],
	[ 'one is added far ahead', [ sprintf $copy, "'seq', 9223372036854775807" ], missing($last + 1, '9223372036854775807') ],
	[ 'one is there twice', [ $drop_key, sprintf $copy, "'seq', $use" ], "broken at $use: duplicate or out of order\n" ],
	[ 'two have changed places', [ "UPDATE jit_access.record SET seq = -seq WHERE seq IN ($use, $use + 1)", "UPDATE jit_access.record SET seq = $use + $use + 1 + seq WHERE seq < 0" ],
		changed($use, $use + 1, $use + 2) ],
	[ 'an index lies', [ 'ALTER TABLE jit_access.record DISABLE ROW LEVEL SECURITY', "UPDATE jit_access.record SET statement = 'SELECT 1' WHERE seq = $use" ], changed($use) ]);
for my $case (@rows)
{
	my ($name, $commands, $expected) = @$case;
	is(found_after($name, @$commands), $expected, "$name: found");
}
{
	# Changes are also found when a range is verified: at its edges and before it.
	my $in_part = sub {
		my ($name, $command, $range) = @_;
		$dba->query('BEGIN');
		$dba->query($command);
		my $found = same_verdict($dba, $name, $range);
		$dba->query('ROLLBACK');
		return $found;
	};
	is($in_part->('first of a part', 'DELETE FROM jit_access.record WHERE seq = 10', '10, 15'), missing(10, 11), 'first of a part: found');
	is($in_part->('last of a part', 'DELETE FROM jit_access.record WHERE seq = 15', '10, 15'), missing(15, 16), 'last of a part: found');
	is($in_part->('before a part', 'DELETE FROM jit_access.record WHERE seq = 9', '10, 15'), missing(9, 10), 'before a part: found');
	is($in_part->('tail of a part', "DELETE FROM jit_access.record WHERE seq >= $anchored", "10, $anchored"), cut($anchored), 'tail of a part: found');
	is($in_part->('behind a part', 'DELETE FROM jit_access.record WHERE seq = 16', '10, 15'), 'self-consistent', 'behind a part: not of it');
}

# ---- the chain is recomputed behind a change
sub rehash_from
{
	my ($from) = @_;
	my $head = pack 'H*', $dba->query("SELECT encode(hash, 'hex') FROM jit_access.record WHERE seq = $from - 1")->{rows}[0][0];
	for my $row (@{ $dba->query("SELECT seq, split_part(line, ' ', 4) FROM jit_audit_export($from) WHERE seq IS NOT NULL ORDER BY seq")->{rows} })
	{
		$head = sha256("jit_access record 1\n" . $head . pack('H*', $row->[1]));
		$dba->query(sprintf "UPDATE jit_access.record SET hash = '\\x%s' WHERE seq = %s", unpack('H*', $head), $row->[0]);
	}
}
my $forge = "UPDATE jit_access.record SET statement = 'SELECT nothing' WHERE seq = $use";
my $of_table = 'UPDATE jit_access.checkpoint c SET head = r.hash FROM jit_access.record r WHERE r.seq = c.seq';
my $not_by_key = "broken at $anchored: a checkpoint in jit_access.checkpoint was not made with the key\n";
is(found_after('rewritten', $forge, sub { rehash_from($use) }), rewritten($anchored, 'jit_access.checkpoint', "$directory/anchors"), 'rewritten: found at the checkpoint');
is(found_after('rewritten with its checkpoints', $forge, sub { rehash_from($use); $dba->query($of_table) }), $not_by_key . rewritten($anchored, "$directory/anchors"),
	'rewritten with its checkpoints: found');
is(found_after('rewritten, checkpoints deleted', $forge, 'DELETE FROM jit_access.checkpoint', sub { rehash_from($use) }), rewritten($anchored, "$directory/anchors"), 'rewritten, checkpoints deleted: found');
is( found_after('one is taken out', sub {
		$dba->query("DELETE FROM jit_access.record WHERE seq = $use");
		$dba->query("UPDATE jit_access.record SET seq = -seq WHERE seq > $use");
		$dba->query('UPDATE jit_access.record SET seq = -seq - 1 WHERE seq < 0');
		rehash_from($use);
	}),
	rewritten($anchored, 'jit_access.checkpoint', "$directory/anchors"), 'one is taken out, the others numbered anew: found');
is(found_after('rewritten behind the anchor', "UPDATE jit_access.record SET statement = 'SELECT nothing' WHERE seq = $anchored + 2", sub { rehash_from($anchored + 2) }),
	'sound', 'only records that no checkpoint covers yet can be rewritten');

# ---- the checkpoints
is(found_after("checkpoint: $_", "UPDATE jit_access.checkpoint SET $_ WHERE seq = $anchored"), $not_by_key, "checkpoint: $_ is found")
  for (q{head = sha256(head)}, q{mac = sha256(mac)}, q{at = at + interval '1 microsecond'}, q{at = '-infinity'}, q{mac = '\x'}, q{head = head || '\x00'});
is(found_after('checkpoint: NULL', 'ALTER TABLE jit_access.checkpoint ALTER COLUMN mac DROP NOT NULL, ALTER COLUMN head DROP NOT NULL, ALTER COLUMN at DROP NOT NULL',
	"UPDATE jit_access.checkpoint SET mac = NULL, head = NULL, at = NULL WHERE seq = $anchored"), $not_by_key, 'checkpoint: NULL is found');
is(found_after('checkpoint: of another record', "UPDATE jit_access.checkpoint SET seq = seq + 1 WHERE seq = $anchored"), $not_by_key =~ s/$anchored/$anchored + 1/er, 'checkpoint: of another record');
is(found_after('checkpoint: made up', "INSERT INTO jit_access.checkpoint VALUES (1000000, now(), sha256('x'), sha256('y'))"), $not_by_key =~ s/$anchored/1000000/r, 'checkpoint: made up');
is(found_after('checkpoint: deleted', 'DELETE FROM jit_access.checkpoint'), 'sound', 'checkpoint: the anchors do without the table');
like(found_after('chain: another', 'UPDATE jit_access.chain SET id = gen_random_uuid()'), qr/^broken at \d+: .*anchors knows another chain, .*\nbroken at 1: this record or an earlier one was changed/m, 'chain: another one is found');
is(found_after('chain: none', 'DELETE FROM jit_access.chain'), "error: the record has no chain\n", 'chain: none');

# ---- the anchor file: a superuser who reaches it as well proves nothing, and the verdict says so
{
	my $last_anchored = sub { $node->safe_psql('postgres', 'SELECT max(seq) FROM jit_access.checkpoint') };
	rename "$directory/anchors", "$directory/anchors.kept" or die $!;
	append_to_file("$directory/anchors", '');
	my $notice = sub { ($node->psql('postgres', 'SELECT sound IS NULL, anchored_seq IS NULL FROM jit_audit_verify()'))[ 1, 2 ] };
	my ($out, $err) = $notice->();
	is($out, 't|t', 'emptied: the record is not called sound');
	like($err, qr/NOTICE:  no anchors are checked\nHINT:  "\Q$directory\E\/anchors" has no checkpoint of this record/, 'emptied: and a notice says why');
	is(same_verdict($dba, 'emptied'), 'self-consistent', 'emptied: self-consistent');
	is(found_after('emptied, tail cut', "DELETE FROM jit_access.record WHERE seq >= $anchored", "DELETE FROM jit_access.checkpoint WHERE seq >= $anchored"), 'self-consistent',
		'emptied, tail cut: self-consistent');
	my ($first) = slurp_file("$directory/anchors.kept") =~ /^(.*\n)/;
	append_to_file("$directory/anchors", $first);
	my ($earlier) = $first =~ /^\S+ (\d+) /;
	is($node->safe_psql('postgres', 'SELECT sound, anchored_seq FROM jit_audit_verify()'), "t|$earlier", 'cut: sound up to the anchor that is left');
	like(($notice->())[1], qr/checkpoints have no anchors\nHINT:  .* ends with record $earlier, and the last checkpoint is of record @{[ $last_anchored->() ]}\./, 'cut: and a notice says what has none');
	unlink "$directory/anchors";
	rename "$directory/anchors.kept", "$directory/anchors" or die $!;
	is(same_verdict($dba, 'put back'), 'sound', 'put back: sound');
}

# ---- the table
my $columns_differ = "error: jit_access.record does not have the columns of this version of jit_access\n";
my @views = ('ALTER EXTENSION jit_access DROP VIEW jit_access.audit_log', 'ALTER EXTENSION jit_access DROP VIEW jit_access.grant_usage',
	'DROP VIEW jit_access.audit_log CASCADE', 'ALTER EXTENSION jit_access DROP VIEW jit_access.alerts', 'DROP VIEW jit_access.alerts');
for my $change (
	'ALTER COLUMN statement TYPE integer USING 1', 'ALTER COLUMN statement TYPE varchar(100000)', 'ALTER COLUMN position TYPE numeric', 'ALTER COLUMN at TYPE text',
	'ALTER COLUMN node TYPE text', 'ALTER COLUMN hash TYPE text', 'ALTER COLUMN objects TYPE text', 'ALTER COLUMN detail TYPE text', 'ADD COLUMN more text', 'DROP COLUMN of_position CASCADE', 'RENAME COLUMN rows TO lines')
{
	my @index = $change =~ /objects/ ? 'DROP INDEX jit_access.record_by_object' : ();
	is(found_after($change, @views, @index, "ALTER TABLE jit_access.record $change"), $columns_differ, "$change: found");
}
is(same_verdict($dba, 'rolled back'), 'sound', 'and all of it was rolled back');

# The worker does not write into such a table either, and continues when it has been repaired.
{
	$dba->query("ALTER TABLE jit_access.record ADD COLUMN more text");
	my $alice = connect_as($node, 'alice');
	my $offset = -s $node->logfile;
	rows_ok($alice->query('SELECT count(*) FROM app.orders'), '100', 'a table with another column: uses go on');
	ok(wait_for('a log line', sub { slurp_file($node->logfile, $offset) =~ /could not write the record, will be retried: jit_access.record does not have the columns/ }),
		'a table with another column: the worker says so');
	$dba->query('ALTER TABLE jit_access.record DROP COLUMN more');
	ok(wait_for_drained($node), 'when it is dropped, the worker goes on');
	is(same_verdict($dba, 'mended'), 'sound', 'mended: sound');
}

# ---- the extension is dropped and created again
{
	$node->safe_psql('postgres', 'SELECT jit_revoke(id) FROM jit_access.active_grants');
	ok($node->poll_query_until('postgres', 'SELECT count(*) = 0 FROM jit_access.active_grants'), 'made anew: no grant is left');
	ok(wait_for_drained($node), 'made anew: the record is complete');
	$dba->query('SELECT jit_audit_checkpoint()');
	is(same_verdict($dba, 'before it is made anew'), 'sound', 'before it is made anew: sound');
	my $chain = $node->safe_psql('postgres', 'SELECT id FROM jit_access.chain');
	$node->safe_psql('postgres', 'DROP EXTENSION jit_access; REVOKE jit_auditor FROM erin; CREATE EXTENSION jit_access');
	like(same_verdict($dba, 'made anew'), qr{^broken at \d+: \Q$directory/anchors knows another chain, $chain\E: the extension was dropped and created anew\n$}, 'made anew: found');
	# The old records are gone. Records that have been taken from the journal since then make no difference.
	ok($node->poll_query_until('postgres', 'SELECT worker_pid IS NOT NULL AND journal_unread_bytes = 0 FROM jit_access.health'), 'made anew: the worker goes on');
	$node->safe_psql('postgres', q{SELECT jit_create_template('again', ARRAY['SELECT ON app.orders'], requesters => '{alice}', approvers => '{dave}')});
	ok($node->poll_query_until('postgres', 'SELECT count(*) = 1 FROM jit_access.checkpoint'), 'made anew: a checkpoint of the new chain');
	like(same_verdict($dba, 'goes on'), qr{^broken at \d+: \Q$directory/anchors knows another chain, $chain\E: [^\n]*\n$}, 'made anew: found for ever');
	rename "$directory/anchors", "$directory/anchors.before" or die $!;
	like(verdict_of($dba), qr/^self-consistent: /, 'made anew: until the anchors are put aside');
	unlike(verdict_by_program($dba, undef, anchors => "$directory/anchors.before"), qr/^sound/m, 'made anew: kept anchors show it');
}

$node->stop('fast');
done_testing();
