
# Every system call that is made to open the journal fails once, for a new journal, for a journal after a crash, and for
# a copied journal. The server starts nevertheless, uses of grants are refused, other statements run, and after the
# fault the record continues.
use strict;
use warnings;

use Errno qw(:POSIX);
use File::Copy;
use File::Path qw(remove_tree);
use FindBin;
use lib $FindBin::RealBin;
use JitTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $tools = PostgreSQL::Test::Utils::tempdir();
my ($plan, $calls) = ("$tools/plan", "$tools/calls");
my $folder = PostgreSQL::Test::Utils::tempdir() . '/journal';
my $journal = "$folder/journal";
my %error_of = (
	open => EACCES, mkdir => EACCES, rename => EACCES, flock => EWOULDBLOCK, fstat => EIO, fsync => EIO, mmap => ENOMEM,
	ftruncate => EIO, posix_fallocate => ENOSPC, pwrite => ENOSPC);

sub write_file { my ($file, $text) = @_; open my $out, '>', $file or die "$file: $!"; print {$out} $text; close $out; }

system_or_bail($ENV{CC} || 'cc', '-shared', '-fPIC', '-O2', '-o', "$tools/fail_calls.so", "$FindBin::RealBin/fail_calls.c", '-ldl');
# The key and the anchors are elsewhere, because this test is about the journal only.
my $node = jit_node('faults', conf => <<"CONF");
jit_access.journal_directory = '$folder'
jit_access.journal_size = 1
jit_access.checkpoint_key_file = '$tools/key'
jit_access.anchor_file = '$tools/anchors'
CONF

# Starts the server; the call with this number fails (0: none). Returns the names of all calls.
sub start
{
	my ($number, $error) = @_;
	write_file($plan, "$number $error\n");
	unlink $calls;
	local @ENV{qw(LD_PRELOAD FAIL_BELOW FAIL_PLAN FAIL_CALLS)} = ("$tools/fail_calls.so", $folder, $plan, $calls);
	$node->start;
	unlink $plan;
	return map { /^\d+ (.*)/ ? $1 : () } split /\n/, slurp_file($calls);
}

sub kill_backend
{
	my $victim = connect_as($node, 'carol');
	kill 'KILL', $victim->pid;
	$victim->await_close;
	$node->poll_query_until('postgres', 'SELECT 1', '1') or die 'the server does not come back';
}

my ($uses, $crashes) = (0, 0);

sub use_grant
{
	my ($name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	++$uses;
	rows_ok(connect_as($node, 'alice')->query("SELECT count(*) FROM app.orders /* use $uses */"), '100', $name);
}

sub end_grant
{
	my ($id, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	sqlstate_ok(connect_as($node, 'dave')->query("SELECT jit_revoke($id)"), 'no error', "$name: a grant can be ended");
	ok(wait_for_cleanup($node, $id), "$name: and is cleaned up");
}

# ---- the journal before the start

my $live;

sub no_journal { $node->stop; remove_tree($folder); }

sub copied_journal
{
	$node->stop;
	remove_tree(glob "$journal.aside.*");
	copy($journal, "$folder/copy") && rename("$folder/copy", $journal) or die "$journal: $!";
}

# Some uses are only in the journal, and one has not ended.
sub crashed_journal
{
	$live = grant_to($node, 'alice', '1 hour');
	use_grant('a use is recorded');
	my $worker = stop_worker($node);
	use_grant('a use is recorded while the worker is stopped') for 1 .. 2;
	++$crashes;
	my $runs = "/* crash $crashes */";
	connect_as($node, 'alice')->send("SELECT pg_sleep(3600) FROM app.orders $runs");
	ok($node->poll_query_until('postgres', "SELECT count(*) = 1 FROM pg_stat_activity WHERE query LIKE '%$runs' AND wait_event = 'PgSleep' AND pid <> pg_backend_pid()"),
		'a use has not ended');
	my $postmaster = (split /\n/, slurp_file($node->data_dir . '/postmaster.pid'))[0];
	my @all = ($postmaster, children_of($postmaster));
	$node->kill9;
	kill 'KILL', $worker;
	continue_worker($node);
	wait_for('all processes are gone', sub { !grep { !is_gone($_) } @all }) or die 'processes are left';
}

# ---- what must hold with the fault, and after it

sub refused
{
	my ($what, $error) = @_;
	is($node->safe_psql('postgres', 'SELECT journal_bytes IS NULL FROM jit_access.health'), 't', "$what: the server is up, without a journal");
	if ($live)
	{
		sqlstate_ok(connect_as($node, 'alice')->query('SELECT 1 FROM app.orders'), 'JA011', "$what: a grant from before is refused");
		end_grant($live, "$what, granted before");
		undef $live;
	}
	my $id = grant_to($node, 'alice', '1 hour');
	my $result = connect_as($node, 'alice')->query('SELECT 1 FROM app.orders /* refused */');
	sqlstate_ok($result, 'JA013', "$what: a use is refused");
	local $! = $error;
	like($result->{detail} // '', qr/^could not .+: \Q$!\E$/, "$what: and says what is wrong");
	rows_ok(connect_as($node, 'carol')->query('SELECT 1'), '1', "$what: a session without a grant is not affected");
	end_grant($id, "$what, granted now");
}

sub recorded
{
	my ($what) = @_;
	ok($node->poll_query_until('postgres', 'SELECT journal_bytes IS NOT NULL AND worker_pid IS NOT NULL FROM jit_access.health'), "$what, gone: there is a journal");
	$live //= grant_to($node, 'alice', '1 hour');
	ok($node->poll_query_until('postgres', "SELECT jit_access.confirmed($live)"), "$what, gone: a grant is live");
	use_grant("$what, gone: a use is recorded");
	end_grant($live, "$what, gone");
	undef $live;
	ok(wait_for_drained($node), "$what, gone: the record is written");
	is($node->safe_psql('postgres', "SELECT count(*) || ' ' || count(DISTINCT statement) FROM jit_access.audit_log WHERE kind = 'use' AND outcome = 'completed' AND statement LIKE '%/* use %'"),
		"$uses $uses", "$what, gone: every use is in the record, once");
	is(log_rows($node, "kind = 'use' AND outcome = 'interrupted' AND statement LIKE '%/* crash %'"), $crashes, "$what, gone: and what a crash cut short");
	is(log_rows($node, "statement LIKE '%/* refused */'"), '0', "$what, gone: a statement refused without a journal is not on the record");
	record_is_sound($node, "$what, gone");
}

# name, what precedes the start, what mends it, the calls of the start, the files that are set aside
my @start_ups = (
	[ 'new journal', \&no_journal, \&kill_backend,
		'mkdir open flock fstat ftruncate pwrite fsync posix_fallocate pwrite mmap fsync mmap posix_fallocate mmap mmap mmap', 0 ],
	[ 'crashed journal', \&crashed_journal, \&kill_backend, 'mkdir open flock fstat mmap mmap posix_fallocate mmap mmap mmap', 0 ],
	[ 'copied journal', \&copied_journal, sub { $node->restart },
		'mkdir open flock fstat mmap rename open flock fstat ftruncate pwrite fsync posix_fallocate pwrite mmap fsync mmap posix_fallocate mmap mmap mmap', 1 ]);

for my $start_up (@start_ups)
{
	my ($kind, $before, $mend, $expected, $aside) = @$start_up;
	$before->();
	my @names = start(0, 0);
	is("@names", $expected, "$kind: the calls are known");
	recorded($kind);
	for my $number (1 .. @names)
	{
		my $what = "$kind, call $number ($names[$number - 1])";
		my $error = $error_of{ $names[$number - 1] };
		$before->();
		my @made = start($number, $error);
		is($made[$number - 1], "$names[$number - 1] failed", "$what fails");
		refused($what, $error);
		$mend->();
		recorded($what);
		is(scalar(() = glob "$journal.aside.*"), $aside, "$what: only a copy is set aside");
	}
}

# ---- a server that was killed while it created its journal, with another size

no_journal();
mkdir $folder or die "$folder: $!";
write_file($journal, 'JITJRNL-' . "\0" x (3 << 20));
start(0, 0);
recorded('half a journal');
is(-s $journal, (1 << 20) + 4096, 'half a journal is made anew');
is(scalar(() = glob "$journal.aside.*"), 0, 'and not set aside');

# ---- the disk, with audit_durability = fsync, while the server runs

no_journal();
$node->append_conf('postgresql.conf', 'jit_access.audit_durability = fsync');
my @calls = start(0, 0);
my $id = grant_to($node, 'alice', '1 hour');
my $syncs = sub { return $node->safe_psql('postgres', 'SELECT journal_syncs FROM jit_access.health') };
is($syncs->(), '0', 'nothing is synced for a session without a grant');
use_grant('a use is recorded durably');
is($syncs->(), '1', 'with one sync');
connect_as($node, 'carol')->query('SELECT 1');
is($syncs->(), '1', 'a session without a grant waits for none');
$node->append_conf('postgresql.conf', 'jit_access.audit_durability = process');
$node->reload;
use_grant('a use is recorded');
is($syncs->(), '1', 'without fsync there is none');
$node->append_conf('postgresql.conf', 'jit_access.audit_durability = fsync');
$node->reload;

# Every process counts its own calls, beginning with the count of the postmaster.
write_file($plan, (@calls + 1) . ' ' . EIO . "\n");
my $lost = connect_as($node, 'alice')->query('SELECT 1 FROM app.orders /* not durable */');
unlink $plan;
sqlstate_ok($lost, 'JA013', 'a use that is not durable does not run');
{
	local $! = EIO;
	like($lost->{detail}, qr/^It could not be written to disk: \Q$!\E\.$/, 'and says why');
}
sqlstate_ok(connect_as($node, 'alice')->query('SELECT 1 FROM app.orders /* not durable */'), 'JA013', 'nor does any later one: the state of the disk is unknown');
rows_ok(connect_as($node, 'carol')->query('SELECT 1'), '1', 'a session without a grant is not affected');
kill_backend();
ok($node->poll_query_until('postgres', "SELECT jit_access.confirmed($id)"), 'also when shared memory was made anew');
sqlstate_ok(connect_as($node, 'alice')->query('SELECT 1 FROM app.orders /* not durable */'), 'JA013', 'no use is durable before the server is restarted');
end_grant($id, 'a disk that fails');
is($syncs->(), '0', 'no sync is counted that failed');
ok(wait_for_drained($node), 'the record is written');
is(log_rows($node, "kind = 'use' AND outcome = 'failed' AND sqlstate = 'JA013' AND statement LIKE '%/* not durable */'"), '3', 'all are on the record, with how they ended');
$node->restart;
recorded('a disk that fails');

$node->stop('fast');
done_testing();
