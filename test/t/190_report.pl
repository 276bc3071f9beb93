# The report in a browser: the page loads nothing and logs nothing, its figures are those of the views, and text typed
# by users is not executed. A picture of it is kept in build/report.png, and the page in build/report.html and .pdf.
use strict;
use warnings;

use Cwd qw(abs_path);
use File::Basename;
use File::Path qw(make_path);
use FindBin;
use lib $FindBin::RealBin;
use JitTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my ($chromium) = grep { defined && -x } map { my $dir = $_; map { "$dir/$_" } qw(chromium chromium-browser google-chrome) } split /:/, $ENV{PATH};
plan skip_all => 'there is no chromium' unless $chromium;

my $node = jit_node('report');
$node->safe_psql('postgres', 'CREATE ROLE olga LOGIN IN ROLE jit_auditor');

sub as { my ($who, $sql) = @_; return $node->safe_psql('postgres', $sql, extra_params => [ '-U', $who ]); }

# Rows of every kind, typed by users who try to inject markup.
for my $reason ('order 2 has a wrong total', q{<script>document.title = 'taken'</script>}, q{"><img src=x onerror="document.title='taken'">})
{
	my $id = as('alice', "SELECT jit_request('reader', '1h', \$\$$reason\$\$)");
	approve_as($node, 'dave', $id);
}
as('alice', 'SELECT * FROM app.orders') for 1 .. 3;
my $denied = as('alice', "SELECT jit_request('reader', '1h', 'once more')");
as('dave', "SELECT jit_deny($denied, 'enough')");
wait_for_drained($node) or die 'the record is not drained';
as('olga', 'SELECT jit_audit_checkpoint()');
is(as('olga', 'SELECT sound FROM jit_report_verify()'), 't', 'verified');
wait_for_drained($node) or die 'the record is not drained';

my $kept = dirname(abs_path($0)) . '/../../kept';
make_path($kept);
my $page = "$kept/report.html";
my $profile = PostgreSQL::Test::Utils::tempdir;
append_to_file($page, as('olga', q{SELECT jit_report_html('soc2')}));

sub browse
{
	my (@arguments) = @_;
	my ($out, $err) = ('', '');
	my $timer = IPC::Run::timeout($JitTest::patience);
	my $ok = IPC::Run::run(
		[ $chromium, '--headless=new', '--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage', '--no-first-run', "--user-data-dir=$profile",
			'--enable-logging=stderr', '--v=0', '--hide-scrollbars', '--host-resolver-rules=MAP * ~NOTFOUND', @arguments, "file://$page" ],
		'<', '/dev/null', '>', \$out, '2>', \$err, $timer);
	ok($ok, "chromium @arguments[0]") or diag($err);
	# Messages that a page causes are logged as CONSOLE; other messages are about the machine.
	is(join("\n", grep { /CONSOLE|Content Security Policy|ERR_/ } split /\n/, $err), '', 'nothing on the console');
	return $out;
}

my $dom = browse('--dump-dom');
my %figure = $dom =~ /id="figure-(\w+)" data-value="(\d+)"/g;
is($figure{grants}, as('olga', 'SELECT count(*) FROM jit_access.grant_history WHERE activated_at IS NOT NULL'), 'grants as in the view');
is($figure{statements}, as('olga', 'SELECT sum(statements) FROM jit_access.grant_usage'), 'statements as in the view');
is($figure{rows}, as('olga', 'SELECT sum(rows) FROM jit_access.grant_usage'), 'rows as in the view');
is($figure{refusals}, as('olga', q{SELECT count(*) FROM jit_access.audit_log WHERE kind = 'refusal'}), 'refusals as in the view');
is($figure{not_granted}, as('olga', 'SELECT count(*) FROM jit_access.grant_history WHERE activated_at IS NULL AND closed_at IS NOT NULL'), 'denials as in the view');
is($figure{open_alerts}, as('olga', q{SELECT count(*) FROM jit_access.alerts WHERE state <> 'closed'}), 'alerts as in the view');
my ($head) = $dom =~ /<code id="head">([0-9a-f]{64})</;
is(as('olga', "SELECT count(*) FROM jit_audit_export() WHERE line LIKE 'record % ' || '$head' || ' %'"), '1', 'the head is one of the record');
unlike($dom, qr/<script|<img|<iframe|<link|<object/, 'no element that runs or loads');
unlike($dom, qr/<title>taken/, 'nothing that was typed has run');
like($dom, qr/<style>[^<]*--paper/, 'its style is there');

browse("--screenshot=$kept/report.png", '--window-size=1100,3600');
cmp_ok(-s "$kept/report.png", '>', 20_000, 'a picture');
browse("--print-to-pdf=$kept/report.pdf", '--no-pdf-header-footer');
cmp_ok(-s "$kept/report.pdf", '>', 10_000, 'and paper');
note('result: build/report.png shows the report');

$node->stop;
done_testing();
