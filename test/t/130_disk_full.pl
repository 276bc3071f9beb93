
# The disk of the tables is full, or the disk of the journal is full when the journal is created. Both are small file
# systems that this test makes.
use strict;
use warnings;

# The test runs in a user and mount namespace of its own, which ends with it, if this user may mount there.
BEGIN
{
	my @unshare = qw(unshare --map-current-user --mount --keep-caps);
	unless (defined $ENV{JIT_NO_MOUNTS})
	{
		$ENV{JIT_NO_MOUNTS} = join ' ', split /\s+/, `@unshare mount -t tmpfs -o size=64k none /mnt 2>&1`;
		exec @unshare, $^X, (map { "-I$_" } @INC), $0 unless $ENV{JIT_NO_MOUNTS};
	}
}

use FindBin;
use lib $FindBin::RealBin;
use JitTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

plan skip_all => "no file system of its own can be mounted here: $ENV{JIT_NO_MOUNTS}" if $ENV{JIT_NO_MOUNTS};

my $read = 'SELECT count(*) > 0 FROM app.orders';

sub small_disk
{
	my ($name, $size) = @_;
	my $path = PostgreSQL::Test::Utils::tempdir($name);
	system_or_bail('mount', '-t', 'tmpfs', '-o', "size=$size,mode=0700", 'none', $path);
	return $path;
}

sub fill
{
	my ($disk) = @_;
	open my $file, '>', "$disk/filler" or die "$disk: $!";
	1 while syswrite($file, "\0" x 4096);
	die "$disk: $!" unless $!{ENOSPC};
}

# ---- no room for the journal
my $disk = small_disk('journal', '2m');
my $node = jit_node('full', conf => "jit_access.journal_directory = '$disk'\njit_access.journal_size = 4\n");
like(slurp_file($node->logfile), qr/journal is not available.*could not reserve \d+ bytes: No space left/, 'a journal that does not fit is not made');
is($node->safe_psql('postgres', 'SELECT journal_bytes IS NULL FROM jit_access.health'), 't', 'health says that there is none');
my $id = grant_to($node, 'alice', '1 hour');
sqlstate_ok(connect_as($node, 'alice')->query($read), 'JA013', 'a grant cannot be used without it');
rows_ok(connect_as($node, 'carol')->query('SELECT 1'), '1', 'a session without a grant is not affected');
is($node->safe_psql('postgres', 'SELECT count(*) FROM app.orders'), '100', 'and the server works');
system_or_bail('mount', '-o', 'remount,size=8m', $disk);
$node->restart;
ok($node->poll_query_until('postgres', "SELECT state = 'suspended' FROM jit_access.request WHERE id = $id"), 'with room for it, the grant is one of another journal');
sqlstate_ok(connect_as($node, 'dave')->query("SELECT jit_resume($id)"), 'no error', 'an approver lets it go on');
rows_ok(connect_as($node, 'alice')->query($read), 't', 'and uses are recorded, and allowed');
$node->safe_psql('postgres', "SELECT jit_revoke($id)");
ok(wait_for_cleanup($node, $id), 'it is cleaned up');
# ---- no room for the tables: all of them are on the small disk
$node->append_conf('postgresql.conf', "jit_access.journal_directory = ''\njit_access.journal_size = 1\njit_access.journal_wait = 0\n");
$node->stop;
$disk = small_disk('tables', '64m');
my $base = $node->data_dir . '/base';
system_or_bail('mv', $base, "$disk/base");
symlink "$disk/base", $base or die "$base: $!";
$node->start;
worker_pid($node);

my $early = grant_to($node, 'bob', '1 hour');
my $bob = connect_as($node, 'bob');
$bob->query("SET ROLE jit_grant_$early");
rows_ok($bob->query($read), 't', 'a grant is used');
$id = grant_to($node, 'alice', '15s');
my %s = map { $_ => connect_as($node, 'alice') } qw(used running busy unused);
rows_ok($s{used}->query($read), 't', 'a grant is used');
$s{running}->send("$read, pg_sleep(3600)");
my $since = time;
fill($disk);
my ($uses, $result) = (0);
for (1 .. 10000)
{
	# The statement is as large as the record keeps, and cannot be compressed.
	$result = $s{busy}->query("$read /* " . join('', map { chr(97 + rand 26) } 1 .. 8000) . ' */');
	last if $result->{sqlstate};
	++$uses;
}
sqlstate_ok($result, 'JA012', 'the journal is full when the worker cannot write the record');
ok(!deadline_passed($node, $id), 'before the deadline');
like(slurp_file($node->logfile), qr/could not write the record.*(No space left|could not extend)/, 'the worker says why');
cmp_ok($node->safe_psql('postgres', 'SELECT journal_unread_bytes FROM jit_access.health'), '>', 500_000, 'health shows what waits');
rows_ok(connect_as($node, 'carol')->query('SELECT 1'), '1', 'a session without a grant is not affected');
my $fill = 'WITH r AS (SELECT n FROM generate_series(1, 100000) n) INSERT INTO app.orders SELECT n + 1000000, repeat(md5(n::text), 30) FROM r';
sqlstate_ok(connect_as($node, $node->safe_psql('postgres', 'SELECT current_user'))->query($fill), '53100', 'the disk is full');
rows_ok(connect_as($node, 'dave')->query("SELECT jit_revoke($early)"), 'revoked', 'a grant is revoked all the same, with the disk and the journal full');
closed_ok($bob, 'and the session that uses it is ended');
wait_for_deadline($node, $id);
closed_ok($s{$_}, "ended at the deadline: $_") for qw(used running busy);
# The memberships may be gone, because the catalogs may have had room for the clean-up.
like($_->query($read)->{sqlstate} // 'allowed', qr/^(JA010|42501)$/, 'refused after it') for ($s{unused}, connect_as($node, 'alice'));
my $complaints = () = slurp_file($node->logfile) =~ /could not write the record/g;
cmp_ok($complaints, '<=', time - $since + 2, 'the worker tries and complains once a second, not with every use');
# A crash does not bring back the grant that was revoked.
$node->stop('immediate');
unlink "$disk/filler" or die "$disk: $!";
$node->start;
ok(wait_for_cleanup($node, $id), 'the clean-up follows when there is room');
ok(wait_for_cleanup($node, $early), 'of the grant that was revoked as well');
is($node->safe_psql('postgres', "SELECT state, closed_by FROM jit_access.request WHERE id = $early"), 'revoked|dave', 'with who revoked it');
ok(wait_for_drained($node), 'the record is complete');
is(log_rows($node, "grant_id = $id AND kind = 'use' AND statement LIKE '$read /*%' AND outcome = 'completed'"), $uses, 'with every use');
record_is_sound($node, 'disk full');

$node->stop('fast');
done_testing();
