# The record grows: a partition is closed when its month has ended and dropped when it is old enough, the chain covers
# all partitions, and rows that are missing for other reasons are found. set_clock.c moves the wall clock of the server.
use strict;
use warnings;

use Digest::SHA qw(sha256);
use Fcntl;
use FindBin;
use lib $FindBin::RealBin;
use JitTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $directory = PostgreSQL::Test::Utils::tempdir();
my $offset_file = "$directory/offset";
my $day = 86400;
my $today = 0;    # days by which the server's clock is ahead

sub set_clock
{
	my ($days) = @_;
	$today = $days;
	sysopen my $file, $offset_file, O_RDWR | O_CREAT or die "cannot set the clock: $!";
	syswrite($file, pack('q', $days * $day)) == 8 or die "cannot set the clock: $!";
}

sub with_clock
{
	my ($start) = @_;
	local $ENV{LD_PRELOAD} = "$directory/set_clock.so";
	local $ENV{CLOCK_OFFSET_FILE} = $offset_file;
	return $start->();
}

set_clock(0);
system_or_bail($ENV{CC} || 'cc', '-shared', '-fPIC', '-O2', '-o', "$directory/set_clock.so", "$FindBin::RealBin/set_clock.c");
my $node = with_clock(sub { jit_node('growth', no_people => 1, conf => "jit_access.checkpoint_interval = 1d\nautovacuum = off\n") });

# The owner of the extension is not the user of the worker, and has default privileges that grant much to others.
$node->safe_psql('postgres', <<'SQL');
DROP EXTENSION jit_access;
CREATE ROLE dba LOGIN SUPERUSER;
CREATE ROLE keeper LOGIN;
ALTER DATABASE postgres OWNER TO keeper;
SQL
$node->safe_psql('postgres', 'CREATE EXTENSION jit_access', extra_params => [ '-U', 'dba' ]);
add_people($node);
$node->safe_psql('postgres', <<'SQL');
CREATE ROLE reads_all LOGIN IN ROLE pg_read_all_data;
CREATE ROLE writes_all LOGIN IN ROLE pg_write_all_data;
CREATE ROLE ada LOGIN IN ROLE jit_admin;
ALTER DEFAULT PRIVILEGES GRANT ALL ON TABLES TO PUBLIC;
ALTER DEFAULT PRIVILEGES GRANT ALL ON TABLES TO carol WITH GRANT OPTION;
SQL
my $dba = connect_as($node, 'dba');
my $files = $node->data_dir . '/jit_access';
my $uses = 0;

sub ask { my ($sql) = @_; return $node->safe_psql('postgres', $sql) }

# Returns the closed partitions with their bounds, and the open one.
sub partitions
{
	return split /\n/, ask(q{SELECT c.relname || ' ' || regexp_replace(pg_get_expr(c.relpartbound, c.oid), '[^0-9A-Z ]', '', 'g')
		FROM pg_inherits JOIN pg_class c ON c.oid = inhrelid WHERE inhparent = 'jit_access.record'::regclass ORDER BY substr(c.relname, 8)::int});
}
sub last_record { return ask('SELECT max(seq) FROM jit_access.record') }
sub first_record { return ask('SELECT min(seq) FROM jit_access.record') }

sub set_conf
{
	my ($setting, $value) = @_;
	$node->append_conf('postgresql.conf', "$setting = '$value'");
	$node->reload;
	$node->poll_query_until('postgres', "SELECT current_setting('$setting') = '$value'") or die "$setting is not set";
}

# Adds rows of every kind to the record, including uses whose outcome comes late.
sub happens
{
	my $id = grant_to($node, 'alice', '1 hour');
	my $alice = connect_as($node, 'alice');
	$alice->query("SELECT count(*) FROM app.orders WHERE id = $_") for 1 .. 10;
	$alice->query("BEGIN; DECLARE c CURSOR FOR SELECT 1 FROM app.orders; FETCH 1 FROM c");
	wait_for_drained($node) or die 'not drained';
	$alice->query('COMMIT');
	$alice->quit;
	ask("SELECT jit_revoke($id)");
	wait_for_cleanup($node, $id) or die 'not cleaned up';
	wait_for_drained($node) or die 'not drained';
}

# The counts of reports and views agree, regardless of how much of the record is summed up.
sub counts_agree
{
	my ($name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $counted = q{SELECT concat_ws(' ', sum(statements), sum(failed), sum(open), sum(rows)) FROM jit_access.uses_by_day('2000-01-01', clock_timestamp())};
	my $seen = q{SELECT concat_ws(' ', sum(statements), sum(failed), (SELECT count(*) FROM jit_access.audit_log a JOIN jit_access.request r ON r.id = a.grant_id
		WHERE a.kind = 'use' AND a.outcome IS NULL), sum(rows)) FROM jit_access.grant_usage};
	wait_for_drained($node) or die 'not drained';
	is(ask($counted), ask($seen), "$name: counted as seen") or return;
	$node->poll_query_until('postgres', 'SELECT seq >= (SELECT max(seq) FROM jit_access.record) FROM jit_access.usage_position') or die 'not summed up';
	is(ask($counted), ask($seen), "$name: so it is when it is summed up");
	return;
}

# Waits until there is this number of partitions and the worker has checked again, so that no more will come.
sub wait_for_partitions
{
	my ($count, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	ok(wait_for("$count partitions", sub { partitions() == $count }), $name) or diag(join "\n", partitions());
}

sub month_passes
{
	my ($name) = @_;
	my $count = partitions();
	happens();
	set_clock($today + 32);
	wait_for_partitions($count + 1, $name);
}

# ---- a month ends
is_deeply([ partitions() ], ['record_1 FOR VALUES FROM MINVALUE TO MAXVALUE'], 'all in one partition, which is open');
my $offset = -s $node->logfile;
month_passes('a month later it is closed, and there is another one');
my ($closed, $open) = partitions();
like($closed, qr/^record_1 FOR VALUES FROM MINVALUE TO (\d+)$/, 'closed: it has an end');
my ($next) = $closed =~ /(\d+)$/;
is($open, "record_$next FOR VALUES FROM $next TO MAXVALUE", 'closed: where the open one begins');
is(ask("SELECT count(*) FROM jit_access.checkpoint c JOIN jit_access.record_1 r ON r.seq = c.seq AND r.hash = c.head WHERE c.seq = $next - 1"), '1',
	'closed: its last record has a checkpoint');
like(slurp_file("$files/anchors"), qr/^\S+ @{[ $next - 1 ]} /m, 'closed: which is anchored');
like(slurp_file($node->logfile, $offset), qr/jit_access: checkpoint \S+ @{[ $next - 1 ]} /, 'closed: and in the server log');
happens();
is(ask("SELECT min(seq) >= $next FROM jit_access.record_$next"), 't', 'closed: the worker goes on in the new one');
is(ask("SELECT max(seq) < $next FROM jit_access.record_1"), 't', 'closed: and only there');
is(same_verdict($dba, 'two partitions'), 'sound', 'two partitions: sound');
for my $range ('1, 5', $next - 3 . ', ' . ($next + 3), $next - 1 . ', ' . $next, $next, $next - 1, "NULL, $next", "$next, $next")
{
	like(same_verdict($dba, "part $range", $range), qr/^(?:sound|self-consistent)$/, "part $range: nothing is found");
}
is(ask(q{SELECT count(*) FROM pg_attribute a JOIN pg_inherits i ON a.attrelid = i.inhrelid WHERE i.inhparent = 'jit_access.record'::regclass AND attnum > 0 AND NOT attisdropped AND attstattarget IS DISTINCT FROM 0}), '0',
	'ANALYZE copies no value of a partition into pg_statistic');
record_is_sound($node, 'two partitions');
is(ask('SELECT record_partitions FROM jit_access.health'), '2', 'health counts them');

# ---- the new partition is protected like the first
is(ask(q{SELECT string_agg(DISTINCT concat_ws(' ', c.relowner::regrole, c.relrowsecurity, c.relforcerowsecurity), ',') FROM pg_inherits JOIN pg_class c ON c.oid = inhrelid
	WHERE inhparent = 'jit_access.record'::regclass}), 'dba t t', 'the new one belongs to the owner of the record and has row security');
is(ask("SELECT count(*) FROM pg_class c, aclexplode(relacl) a WHERE c.oid = 'jit_access.record_$next'::regclass AND a.grantee <> c.relowner"), '0', 'no role has a privilege on the new one');
is(ask("SELECT string_agg(i.relname, ' ') FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid WHERE indrelid = 'jit_access.record_$next'::regclass AND NOT i.relispartition"), '',
	'every index of the new one is one of the record');
is(ask("SELECT count(*) FROM pg_index WHERE indrelid = 'jit_access.record_$next'::regclass"), ask("SELECT count(*) FROM pg_index WHERE indrelid = 'jit_access.record'::regclass"), 'and it has them all');
is(ask("SELECT count(*) FROM pg_constraint WHERE conrelid = 'jit_access.record_1'::regclass AND contype = 'c'"), '0', 'no check is left behind');
is(ask("SELECT deptype FROM pg_depend WHERE objid = 'jit_access.record_$next'::regclass AND refclassid = 'pg_extension'::regclass"), 'e', 'the new one is a part of the extension');
for my $partition ('record_1', "record_$next")
{
	for my $who (qw(alice carol erin ada keeper))
	{
		my $session = connect_as($node, $who);
		sqlstate_ok($session->query("$_ jit_access.$partition"), '42501', "$who: $_ $partition") for ('TABLE', 'DELETE FROM', 'TRUNCATE');
		sqlstate_ok($session->query("ALTER TABLE jit_access.record DETACH PARTITION jit_access.$partition"), '42501', "$who: DETACH $partition");
		sqlstate_ok($session->query("DROP TABLE jit_access.$partition"), '42501', "$who: DROP $partition");
	}
	rows_ok(connect_as($node, 'reads_all')->query("SELECT count(*) FROM jit_access.$partition"), '0', "pg_read_all_data meets no row of $partition");
	my $session = connect_as($node, 'writes_all');
	my $row = "INSERT INTO jit_access.$partition (seq, node, kind, at, hash) VALUES (1000000, gen_random_uuid(), 'use', now(), '')";
	sqlstate_ok($session->query($row), '42501', "pg_write_all_data puts no row into $partition");
	is_deeply($session->query("DELETE FROM jit_access.$partition")->{tags}, ['DELETE 0'], "pg_write_all_data deletes no row of $partition");
}
is(ask("SELECT count(*) > 0 FROM jit_access.record_1"), 't', 'the closed partition is still there');
for my $who (qw(erin ada))
{
	rows_ok(connect_as($node, $who)->query('SELECT count(*) FROM jit_access.audit_log'), ask("SELECT count(*) FROM jit_access.record WHERE kind <> 'outcome'"), "$who reads all of them through the view");
}

# ---- a reader holds the table
{
	my $reader = connect_as($node, 'erin');
	$reader->query('BEGIN; SELECT count(*) FROM jit_access.audit_log');
	$offset = -s $node->logfile;
	set_clock($today + 32);
	ok(wait_for('a log line', sub { slurp_file($node->logfile, $offset) =~ /could not begin a new partition of the record: canceling statement due to lock timeout/ }),
		'a reader: the partition stays open, and the worker says why');
	happens();
	is(scalar partitions(), 2, 'a reader: nothing else waits for it');
	is(ask("SELECT count(*) FROM jit_access.checkpoint"), scalar(() = slurp_file("$files/anchors") =~ /\n/g), 'a reader: nothing is anchored in vain');
	$reader->query('COMMIT');
	wait_for_partitions(3, 'a reader: after it, the partition is closed');
	is(same_verdict($dba, 'a reader'), 'sound', 'a reader: sound');
}

# ---- a crash in the middle
$node->safe_psql('postgres', <<'SQL');
CREATE FUNCTION dawdle() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN
	IF (SELECT backend_type = 'jit_access worker' FROM pg_stat_activity WHERE pid = pg_backend_pid()) THEN PERFORM pg_sleep(3600); END IF;
END $$;
SQL

sub crash_in
{
	my ($tag, $name) = @_;
	$dba->query("CREATE EVENT TRIGGER dawdle ON ddl_command_start WHEN TAG IN ('$tag') EXECUTE FUNCTION dawdle()");
	my @before = partitions();
	my $pid = worker_pid($node);
	return sub {
		ok($node->poll_query_until('postgres', "SELECT wait_event = 'PgSleep' FROM pg_stat_activity WHERE pid = $pid"), "$name: the worker is in the middle")
		  or diag(ask("SELECT concat_ws(' ', state, wait_event_type, wait_event, query) FROM pg_stat_activity WHERE pid = $pid"));
		kill 'KILL', $pid or die "cannot kill $pid";
		ok(wait_for('the process is gone', sub { is_gone($pid) }), "$name: killed");
		# The worker is made slow again, because it has been restarted.
		ok($node->poll_query_until('postgres', q{SELECT count(*) = 1 FROM pg_stat_activity WHERE backend_type = 'jit_access worker' AND wait_event = 'PgSleep'}), "$name: the worker is back");
		my @after = split /\n/, ask(q{SELECT relname FROM pg_class WHERE relnamespace = 'jit_access'::regnamespace AND relname ~ '^record_[0-9]+$' ORDER BY substr(relname, 8)::int});
		is_deeply(\@after, [ map { s/ .*//r } @before ], "$name: everything is as it was");
		$dba = connect_as($node, 'dba');
		$dba->query('DROP EVENT TRIGGER dawdle');
		my $worker = ask(q{SELECT pid FROM pg_stat_activity WHERE backend_type = 'jit_access worker'});
		ask("SELECT pg_terminate_backend($worker)");
	};
}
{
	happens();
	my $crash = crash_in('CREATE TABLE', 'crash while it is closed');
	set_clock($today + 32);
	$crash->();
	wait_for_partitions(4, 'crash while it is closed: it is closed afterwards');
	happens();
	is(same_verdict($dba, 'crash'), 'sound', 'crash while it is closed: sound');
	record_is_sound($node, 'crash');
}

# ---- each question has its index, on every partition
{
	my %questions = (
		'this grant'  => 'grant_id = 2',
		'this person' => "login = 'alice'",
		'this table'  => "objects @> '{app.orders}'",
		'this hour'   => "at >= now() - interval '1 hour' AND at < now()");
	my $all = join ' ', sort map { s/ .*//r } partitions();
	for my $question (sort keys %questions)
	{
		$dba->query('SET enable_seqscan = off');
		my @plan = map { $_->[0] } @{ $dba->query("EXPLAIN (COSTS OFF) SELECT * FROM jit_access.audit_log WHERE $questions{$question}")->{rows} };
		my $plan = join "\n", @plan;
		unlike($plan, qr/Seq Scan/, "$question: nothing is read as a whole") or diag($plan);
		is(join(' ', sort map { /(?:Index Scan using \S+|Bitmap Heap Scan) on (record_\d+) u/ ? $1 : () } @plan), $all, "$question: by an index on every partition") or diag($plan);
		my ($condition) = $questions{$question} =~ /^(\w+)/;
		is(scalar(grep { /Index Cond: .*\b$condition\b/ } @plan), scalar partitions(), "$question: which is its own") or diag($plan);
	}
	$dba->query('RESET enable_seqscan');
}

# ---- old ones are dropped
my $old_anchors = slurp_file("$files/anchors");
sub begin_of { my ($which) = @_; return ((partitions())[$which] =~ /^record_(\d+)/)[0] }
sub wait_for_first { my ($first, $name) = @_; return ok($node->poll_query_until('postgres', "SELECT min(seq) = $first FROM jit_access.record"), $name) }
is(first_record(), '1', 'without a limit everything stays');
my $second = begin_of(1);
my $head = ask("SELECT encode(hash, 'hex') FROM jit_access.record WHERE seq = $second - 1");
{
	# Three partitions were closed, 64, 32 and 0 days ago.
	my $reader = connect_as($node, 'erin');
	$reader->query('BEGIN; SELECT count(*) FROM jit_access.audit_log');
	$offset = -s $node->logfile;
	set_conf('jit_access.record_retention', '50');
	ok(wait_for('a log line', sub { slurp_file($node->logfile, $offset) =~ /could not drop old records: canceling statement due to lock timeout/ }), 'retention: a reader puts it off');
	is(first_record(), '1', 'retention: nothing is dropped under a reader');
	ask("UPDATE jit_access.job SET scheduled_at = clock_timestamp() WHERE name = 'retention'");
	like($dba->query("SELECT jit_access.run_job('retention')")->{detail}, qr/^canceling statement due to lock timeout/, 'retention: nor by its job');
	happens();
	$reader->query('COMMIT');
	my $loops = ask('SELECT worker_loops FROM jit_access.health');
	$node->poll_query_until('postgres', "SELECT worker_loops > $loops + 5 FROM jit_access.health");
	is(first_record(), '1', 'retention: where pg_cron has it the worker leaves it alone');
}
rows_ok($dba->query("SELECT jit_access.run_job('retention')"), 'dropped 1 partition', 'retention: the oldest partition is dropped');
ask("UPDATE jit_access.job SET scheduled_at = NULL WHERE name = 'retention'");
is(first_record(), $second, 'retention: the record begins with the next');
is(scalar partitions(), 3, 'retention: and no other');
counts_agree('retention');
is(ask('SELECT count(*) FROM jit_access.use_count c WHERE NOT EXISTS (SELECT FROM pg_inherits WHERE inhrelid = c.partition_oid)'), '0', 'retention: its counts are gone');
is(ask("SELECT concat_ws(' ', login, outcome, detail->>'first', detail->>'last', detail->>'head') FROM jit_access.audit_log WHERE kind = 'records dropped'"),
	"jit_access completed 1 @{[ $second - 1 ]} $head", 'retention: the record says which, and where the chain stood');
is(ask("SELECT to_regclass('jit_access.record_1') IS NULL"), 't', 'retention: the table is gone');
is(ask("SELECT encode(head, 'hex') FROM jit_access.checkpoint WHERE seq = $second - 1"), $head, 'retention: its checkpoint stays');
like(slurp_file("$files/anchors"), qr/^\Q$old_anchors\E/, 'retention: and so do earlier anchors');
is(same_verdict($dba, 'dropped'), 'sound', 'dropped: sound, from the checkpoint of the dropped records on');
rows_ok($dba->query('SELECT first_seq, records = last_seq - first_seq + 1 FROM jit_audit_verify()'), "$second,t", 'dropped: the verdict says where the record begins');
for my $range ('1, 5', "1, $second", "$second, $second", "$second, " . ($second + 1), '2', '2, ' . ($second + 2), $second - 1, $second + 1, 'NULL, ' . last_record(), last_record())
{
	like(same_verdict($dba, "dropped, part $range", $range), qr/^(?:sound|self-consistent)$/, "dropped, part $range: nothing is found");
}
set_conf('jit_access.record_retention', '0');
month_passes('dropped: the next partition');
happens();
ask('SELECT jit_audit_checkpoint()');
{
	my $crash = crash_in('DROP TABLE', 'crash while it is dropped');
	my $third = begin_of(1);
	set_conf('jit_access.record_retention', '50');
	$crash->();
	wait_for_first($third, 'crash while it is dropped: it is dropped afterwards');
	is(ask("SELECT string_agg(detail->>'last', ' ' ORDER BY seq) FROM jit_access.audit_log WHERE kind = 'records dropped'"), join(' ', $second - 1, $third - 1),
		'crash while it is dropped: once');
	is(same_verdict($dba, 'crash while it is dropped'), 'sound', 'crash while it is dropped: sound');
}
set_conf('jit_access.record_retention', '0');

# ---- other missing rows
happens();
ok(wait_for_drained($node), 'tampering: nothing comes in between');
my @parts = partitions();
my $first = begin_of(0);
my $then = begin_of(1);
my $anchored = $dba->query('SELECT coalesce(jit_audit_checkpoint(), (SELECT max(seq) FROM jit_access.record))')->{rows}[0][0];
is(same_verdict($dba, 'before'), 'sound', 'before: sound');

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
sub missing { my ($from, $to) = @_; return "broken at $from: missing, up to the one before $to\n" }
sub changed { return join '', map { "broken at $_: this record or an earlier one was changed\n" } @_ }
# Recomputes the chain from this row on.
sub rehash_from
{
	my ($from) = @_;
	my $hash = pack 'H*', $dba->query("SELECT encode(hash, 'hex') FROM jit_access.record WHERE seq = $from - 1")->{rows}[0][0];
	for my $row (@{ $dba->query("SELECT seq, split_part(line, ' ', 4) FROM jit_audit_export($from) WHERE seq IS NOT NULL ORDER BY seq")->{rows} })
	{
		$hash = sha256("jit_access record 1\n" . $hash . pack('H*', $row->[1]));
		$dba->query(sprintf "UPDATE jit_access.record SET hash = '\\x%s' WHERE seq = %s", unpack('H*', $hash), $row->[0]);
	}
}
my $table = "jit_access.record_$first";
my $event = ask("SELECT max(seq) FROM jit_access.record WHERE kind = 'records dropped'");
my $dropped = "UPDATE jit_access.record SET detail = detail || (SELECT jsonb_build_object('last', seq, 'head', encode(hash, 'hex')) FROM jit_access.record WHERE seq = $then - 1) WHERE seq = $event";
my $by_hand = "DELETE FROM jit_access.record WHERE seq < $then";
is(found_after('a row of a closed one', "UPDATE jit_access.record SET statement = 'SELECT nothing' WHERE seq = $first + 2"), changed($first + 2), 'a row of a closed one: found');
is(found_after('a row of a closed one is gone', "DELETE FROM jit_access.record WHERE seq = $first + 2"), missing($first + 2, $first + 3), 'a row of a closed one is gone: found');
is(found_after('the first row', "UPDATE jit_access.record SET statement = 'SELECT nothing' WHERE seq = $first"), changed($first), 'the first row: found');
is(found_after('the first row is gone', "DELETE FROM jit_access.record WHERE seq = $first"), missing($first, $first + 1), 'the first row is gone: found');
is(found_after('emptied', "TRUNCATE $table"), missing($first, $then), 'emptied: found');
is(found_after('detached', "ALTER TABLE jit_access.record DETACH PARTITION $table"), missing($first, $then), 'detached: found');
is(found_after('dropped by hand', "ALTER EXTENSION jit_access DROP TABLE $table", "DROP TABLE $table"), missing($first, $then), 'dropped by hand: found');
is(found_after('dropped with its checkpoint', "ALTER EXTENSION jit_access DROP TABLE $table", "DROP TABLE $table", 'DELETE FROM jit_access.checkpoint'), missing($first, $then), 'dropped with its checkpoint: found');
is(found_after('one in the middle', "TRUNCATE jit_access.record_$then"), missing($then, begin_of(2)), 'one in the middle: found');
is(found_after('no record of it', "DELETE FROM jit_access.record WHERE kind = 'records dropped'"), missing(1, $first) . join('', map { missing($_, $_ + 1) } split /\n/, ask("SELECT seq FROM jit_access.record WHERE kind = 'records dropped' ORDER BY seq")),
	'no record of it: the beginning is missing, and the record of it as well');
like(found_after('moved', $dropped, $by_hand), qr/^broken at \d+: missing, up to the one before $then\nbroken at $event: this record or an earlier one was changed\n$/, 'moved: a record of it that was changed is none');
like(found_after('moved, rewritten', $dropped, $by_hand, sub { rehash_from($event) }), qr/^broken at $anchored: the record does not match a checkpoint in .*was not made with the key\n$/s,
	'moved, rewritten: found at the anchor, and by the key');
is( found_after('a dropped one is back', sub {
		$dba->query("CREATE TABLE jit_access.back PARTITION OF jit_access.record FOR VALUES FROM (MINVALUE) TO ($first)");
		$dba->query("INSERT INTO jit_access.record SELECT (jsonb_populate_record(r, jsonb_build_object('seq', $first - 1))).* FROM jit_access.record r WHERE seq = $first");
	}) =~ /^broken at @{[ $first - 1 ]}: there, although the record says that it was dropped, up to @{[ $first - 1 ]}$/m ? 1 : 0, 1, 'a dropped one is back: found');
is(same_verdict($dba, 'rolled back'), 'sound', 'and all of it was rolled back');

# An event that was inserted by hand has no valid MAC.
{
	my $before = last_record();
	my $head_then = ask("SELECT encode(hash, 'hex') FROM jit_access.record WHERE seq = $then - 1");
	ask(sprintf q{INSERT INTO jit_access.event (at, kind, actor, detail) VALUES (clock_timestamp(), 'records dropped', 'jit_access', '{"first": %s, "last": %s, "head": "%s", "mac": "%s"}')},
		$first, $then - 1, $head_then, '0' x 64);
	ok($node->poll_query_until('postgres', "SELECT max(seq) > $before FROM jit_access.record"), 'event by hand: the worker takes it over');
	ask($by_hand);
	like(same_verdict($dba, 'event by hand'), qr/^broken at $then: the records before it were dropped, and the record that says so was not made with the key\n$/, 'event by hand: found');
}

# A partition whose last row does not match its checkpoint is kept, as evidence.
{
	my $oldest = begin_of(1);
	$offset = -s $node->logfile;
	ask("UPDATE jit_access.record SET hash = sha256(hash) WHERE seq = @{[ begin_of(2) - 1 ]}");
	ask("DROP TABLE IF EXISTS nothing; ALTER EXTENSION jit_access DROP TABLE $table; DROP TABLE $table");
	set_clock($today + 100);
	set_conf('jit_access.record_retention', '30');
	ok(wait_for('a log line', sub { slurp_file($node->logfile, $offset) =~ /could not drop old records: records are not dropped: Record @{[ begin_of(1) - 1 ]} is not the one of its checkpoint/ }),
		'evidence: a partition that was changed is not dropped');
	is(ask("SELECT count(*) > 0 FROM jit_access.record_$oldest"), 't', 'evidence: it is still there');
	set_conf('jit_access.record_retention', '0');
}

# If everything is truncated, users can continue to work, and the verification finds it.
{
	my $begins = begin_of(-1);
	ask('TRUNCATE jit_access.record, jit_access.checkpoint');
	happens();
	is(first_record(), $begins, 'emptied: the worker goes on in the open partition');
	like(same_verdict($dba, 'emptied'), qr/^broken at 1: missing, up to the one before $begins$/m, 'emptied: found');
}

# ---- a dump holds nothing of the extension, and dropping it leaves nothing
{
	my ($out) = run_command([ 'pg_dump', '--host', $node->host, '--port', $node->port, '--username', 'dba', 'postgres' ]);
	like($out, qr/CREATE EXTENSION/, 'a dump has the extension');
	unlike($out, qr/\brecord_\d+\b/, 'and no partition');
	ok(wait_for_drained($node), 'the record is complete');
	sqlstate_ok($dba->query('DROP EXTENSION jit_access'), 'no error', 'the extension can be dropped');
	is(ask("SELECT count(*) FROM pg_class WHERE relname ~ '^record_'"), '0', 'and leaves no partition');
	sqlstate_ok($dba->query('REVOKE jit_auditor FROM erin; REVOKE jit_admin FROM ada; CREATE EXTENSION jit_access'), 'no error', 'it can be made again');
}

$node->stop('fast');
done_testing();
