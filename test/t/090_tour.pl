# Runs docs/tour.md as it is written, and checks that README.md starts with statements of it. 092_policy.pl runs another page.
#
# A comment before each block of statements names the sender. The text block after it, if there is one, is the complete
# answer of psql. A block without an answer must give no error.
#
#     <!-- as alice -->                      in alice's open session, or in her first one
#     <!-- as alice, in a new session -->
#     <!-- as carol, until it fits -->       repeated until the answer matches, because the worker acts a moment later
#     <!-- as the superuser -->
#
# In an answer, … stands for any text on one line. The comparison ignores the width of columns, empty lines, and the
# lines with which psql shows the place of an error (LINE 1: ...).
use strict;
use warnings;

use Cwd qw(abs_path);
use File::Basename;
use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);

my $patience = $PostgreSQL::Test::Utils::timeout_default || 180;
my $mark = '-- end of answer';
my %sessions;

sub slurp
{
	my ($file) = @_;
	open my $in, '<', $file or die "$file: $!";
	local $/;
	return <$in>;
}

our $document //= 'docs/tour.md';
my $root = dirname(abs_path($0)) . '/../..';
my $page = slurp("$root/$document");
my @blocks;
while ($page =~ /^<!-- as (?:the )?(\w+)(?:, ([\w, ]+))? -->\n```sql\n(.*?)^```\n(?:```text\n(.*?)^```\n)?/msg)
{
	push @blocks, { who => $1, how => $2 // '', sql => $3, answer => $4 };
}
is(scalar @blocks, scalar(() = $page =~ /^```sql$/mg), 'every block of statements names its session');
is(scalar(grep { defined $_->{answer} } @blocks),
	scalar(() = $page =~ /^```text$/mg), 'every answer follows the statements it answers');

if ($document eq 'docs/tour.md')
{
	my ($block) = slurp("$root/README.md") =~ /^```sql\n(.*?)^```$/ms;
	my @statements = map { s/^--.*\n//mgr =~ s/^\s+|\s+$//gr } split /;\n/, $block // '';
	cmp_ok(scalar @statements, '==', 5, 'README.md starts with five statements');
	is(join("\n", grep { index($page, "$_;") < 0 } @statements), '', 'each of them is part of the tour');
}

my $node = PostgreSQL::Test::Cluster->new('tour');
$node->init;
$node->append_conf('postgresql.conf', "shared_preload_libraries = 'jit_access'");
$node->start;

sub connect_as
{
	my ($who) = @_;
	my $connection = $node->connstr('postgres') . ($who eq 'superuser' ? '' : " user=$who");
	my $session = { in => '', out => '' };
	local $ENV{LC_ALL} = 'C';
	$session->{psql} = IPC::Run::start(
		[ 'psql', '--no-psqlrc', '--pset=pager=off', '--dbname', $connection ],
		'<', \$session->{in}, '>', \$session->{out}, '2>&1', $session->{timer} = IPC::Run::timer($patience));
	return $session;
}

sub disconnect
{
	my ($who) = @_;
	my $session = delete $sessions{$who} or return;
	$session->{in} .= "\\q\n";
	eval { $session->{psql}->finish };
	return;
}

# Sends the statements and returns everything that psql prints.
sub ask
{
	my ($who, $sql) = @_;
	my $session = $sessions{$who} //= connect_as($who);
	$session->{in} .= "$sql\\echo '$mark'\n";
	$session->{timer}->start;
	while ($session->{out} !~ /^\Q$mark\E$/m)
	{
		die "no answer to $who\n" if $session->{timer}->is_expired;
		last unless $session->{psql}->pumpable && eval { $session->{psql}->pump; 1 };
	}
	my $answer = $session->{out} =~ s/^\Q$mark\E\n//mr;
	$session->{out} = '';
	return $answer;
}

sub plainly
{
	my $text = $_[0] =~ s/^LINE \d+: .*\n *\^\n//mgr;
	return join '', map { s/ +/ /gr =~ s/-+/-/gr =~ s/ $//r . "\n" } grep { /\S/ } split /\n/, $text;
}

sub fits
{
	my ($answer, $expected) = @_;
	my $pattern = join '.*', map { quotemeta } split /…/, plainly($expected), -1;
	return plainly($answer) =~ /\A$pattern\z/;
}

for my $block (@blocks)
{
	my ($who, $how, $sql, $expected) = @$block{qw(who how sql answer)};
	my ($name) = $sql =~ /^([^\n]+)/;
	my %how = map { $_ => 1 } split /, /, $how;
	my $anew = delete $how{'in a new session'};
	my $again = delete $how{'until it fits'};
	die "who says what, \"$_\"?" for keys %how;

	disconnect($who) if $anew;
	my $answer = ask($who, $sql);
	my $until = time() + $patience;
	while ($again && !fits($answer, $expected) && time() < $until)
	{
		sleep 0.05;
		$answer = ask($who, $sql);
	}

	if (defined $expected)
	{
		ok(fits($answer, $expected), "$who: $name") or is($answer, $expected);
	}
	else
	{
		unlike($answer, qr/^(?:ERROR|FATAL|WARNING)/m, "$who: $name");
	}
}

disconnect($_) for keys %sessions;
$node->stop;
done_testing();
