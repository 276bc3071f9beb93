# README's tour, executed as it stands there; 092_policy.pl does the same for another page.
#
# A block of statements follows a comment that says who sends it; the block of text after it, if there is one, is all that
# psql answers. A block without one must give no error.
#
#     <!-- as alice -->                      in the session that alice has open, or a first one
#     <!-- as alice, in a new session -->
#     <!-- as carol, until it fits -->       again and again, for what the worker does a moment later
#     <!-- as the superuser -->
#
# In an answer … stands for anything on one line. The width of columns, empty lines and psql's pointer at the place of an
# error (LINE 1: ...) do not count.
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

our $document //= 'README.md';
my $readme = slurp(dirname(abs_path($0)) . "/../../$document");
my @blocks;
while ($readme =~ /^<!-- as (?:the )?(\w+)(?:, ([\w, ]+))? -->\n```sql\n(.*?)^```\n(?:```text\n(.*?)^```\n)?/msg)
{
	push @blocks, { who => $1, how => $2 // '', sql => $3, answer => $4 };
}
is(scalar @blocks, scalar(() = $readme =~ /^```sql$/mg), 'every block of statements says who sends it');
is(scalar(grep { defined $_->{answer} } @blocks),
	scalar(() = $readme =~ /^```text$/mg), 'every answer follows the statements it answers');

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

# All that psql says to these statements.
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
