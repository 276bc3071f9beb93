# Load whose statements can be told apart, by clients that outlive their server: each statement ends with a token of its
# own, and each client keeps a diary of the tokens it has sent and of their results.
package CrashLoad;

use strict;
use warnings;

use Exporter 'import';
use JitTest;
use POSIX ();

our @EXPORT = qw(start_clients start_pgbench diaries tell_pgbench);

# Lines of a diary: a token, and what it is about: "sent", "completed", a SQLSTATE, or "committed", with the value that is
# in the client's row since.
sub diaries { my ($directory) = @_; return glob("$directory/diary.*"); }

sub nap { select undef, undef, undef, 0.02; }

# Runs the code in a child process, which exits directly, because its parent cleans up.
sub in_child
{
	my ($body) = @_;
	my $pid = fork // die "fork: $!";
	return $pid if $pid;
	my $ok = eval { $body->(); 1 };
	print STDERR "# load: $@" unless $ok;
	POSIX::_exit($ok ? 0 : 1);
}

# The clients run until there is a file "stop" in the directory. Returns the process ids.
sub start_clients
{
	my ($node, $directory, $count, $seed) = @_;
	return map { my $number = $_; in_child(sub { CrashLoad::Client->new($node, $directory, $number, $seed)->work }) } 1 .. $count;
}

# ---- pgbench ----------------------------------------------------------------------------------------------------------

# Each script begins with a statement that is refused as long as the grant is not confirmed.
my @scripts = (
	[ 'SELECT n FROM app.counter WHERE client = 1' ],
	[
		'SELECT balance FROM app.accounts WHERE id = :id',
		'BEGIN',
		'UPDATE app.accounts SET balance = balance + 1 WHERE id = :id',
		"INSERT INTO app.history VALUES ('p:run.:client_id.:n')",
		'COMMIT'
	]);

# pgbench is run in a loop, because it exits with its server. Its log names the transactions that it saw succeed.
sub start_pgbench
{
	my ($node, $directory, $clients, $seed) = @_;
	my @files;
	for my $script (@scripts)
	{
		push @files, '-f', "$directory/script." . @files;
		open my $file, '>', $files[-1] or die "$files[-1]: $!";
		my $k = 0;
		print $file "\\set n :n + 1\n\\set id random(1, 100)\n", map { ++$k; "$_ /* p:run.:client_id.:n.$k */;\n" } @$script;
		close $file or die $!;
	}
	return in_child(sub {
		local $ENV{PGAPPNAME} = 'pgbench';
		open STDOUT, '>', '/dev/null';
		open STDERR, '>', '/dev/null';
		for (my $run = 1; !-e "$directory/stop"; ++$run)
		{
			system('pgbench', '-n', '-M', 'simple', @files, '-c', $clients, '-t', 10_000_000, '-D', "run=$run", '-D', 'n=0', "--random-seed=" . ($seed + $run),
				'--log', "--log-prefix=$directory/pgbench.$run", '-U', 'alice', '-p', $node->port, '-h', $node->host, 'postgres');
			nap();
		}
	});
}

# The logs of pgbench as a diary. A client runs one transaction after the other, so after the last successful one, one
# more may have been sent.
sub tell_pgbench
{
	my ($directory) = @_;
	open my $diary, '>', "$directory/diary.pgbench" or die $!;
	my %last;
	for my $log (glob("$directory/pgbench.*"))
	{
		my ($run) = $log =~ /pgbench\.(\d+)\./ or die $log;
		open my $in, '<', $log or die "$log: $!";
		$last{"p$run.$_"} = 0 for 0 .. 9;
		while (<$in>)
		{
			my ($client, $n, $time, $script) = split ' ';
			die "$log: $_" unless $time =~ /^\d+$/;
			my $token = "p$run.$client.$n";
			$last{"p$run.$client"} = $n;
			print $diary "$token.$_\tsent\n$token.$_\tcompleted\n" for 1 .. @{ $scripts[$script] };
			print $diary "$token\tcommitted\n" if @{ $scripts[$script] } > 1;
		}
	}
	for my $client (keys %last)
	{
		print $diary "$client." . ($last{$client} + 1) . ".$_\tsent\n" for 1 .. @{ $scripts[1] };
	}
	close $diary or die $!;
}

# ---- a client that keeps its own diary ---------------------------------------------------------------------------------

package CrashLoad::Client;

use strict;
use warnings;

my @works = (
	(\&point) x 4, (\&change) x 3, \&commit, \&roll_back, \&several, \&nested, \&fail, \&fail_in_part, \&prepared, \&long, \&slow);

sub new
{
	my ($class, $node, $directory, $number, $seed) = @_;
	srand($seed + $number);
	open my $diary, '>>', "$directory/diary.$number" or die "$directory/diary.$number: $!";
	my $row = "app.counter WHERE client = $number";
	return bless { node => $node, number => $number, stop => "$directory/stop", diary => $diary, running => 0, read => "SELECT n FROM $row",
		fail => "SELECT 1 / (client - client) FROM $row" }, $class;
}

sub work
{
	my ($self) = @_;
	until (-e $self->{stop})
	{
		$self->{session} = eval { JitTest::connect_as($self->{node}, 'alice', options => { application_name => 'client' }) };
		# Until the grant is confirmed, no statement is a use: all are refused, except those that end a transaction.
		until ($self->over || $self->point) { CrashLoad::nap() }
		until ($self->over || rand() < 0.005) { $works[ rand @works ]->($self); $self->leave_transaction; }
		$self->{session}->quit if $self->{session} && !$self->{session}{closed};
		CrashLoad::nap() if !$self->{session};
	}
}

sub over { my ($self) = @_; return !$self->{session} || $self->{session}{closed} || -e $self->{stop}; }

# Writes the lines in a single write, before anything else is done.
sub note
{
	my ($self, $what, @tokens) = @_;
	return unless @tokens;
	my $lines = join '', map { "$_\t$what\n" } @tokens;
	syswrite($self->{diary}, $lines) == length $lines or die "diary: $!";
}

sub next_number { my ($self) = @_; return ++$self->{running}; }
sub token { my ($self) = @_; return "c$self->{number}." . $self->next_number; }

# Sends one message with these statements. True if the client saw all of them succeed.
sub run
{
	my ($self, @statements) = @_;
	my @tokens = map { $self->token } @statements;
	$self->note('sent', @tokens);
	my $result = $self->{session}->query(join '; ', map { "$statements[$_] /* $tokens[$_] */" } 0 .. $#statements);
	my @done = splice @tokens, 0, scalar @{ $result->{tags} };
	$self->note('completed', @done);
	$self->note($result->{sqlstate}, $tokens[0]) if $result->{sqlstate} && @tokens;
	$self->{status} = $result->{status} // '';
	$self->{sqlstate} = $result->{sqlstate} // '';
	return !@tokens;
}

sub leave_transaction { my ($self) = @_; $self->run('ROLLBACK') if !$self->{session}{closed} && $self->{status} ne 'I'; }

sub point { my ($self) = @_; return $self->run($self->{read}); }
sub several { my ($self) = @_; return $self->run(($self->{read}) x 3); }
sub long { my ($self) = @_; return $self->run($self->{read} . ' /* ' . 'x' x rand(4000) . ' */'); }
# This statement takes long enough to be killed.
sub slow { my ($self) = @_; return $self->run("SELECT count(*) FROM app.accounts, generate_series(1, 500)"); }
sub fail { my ($self) = @_; return !$self->run($self->{fail}) && $self->{sqlstate} eq '22012'; }
sub nested { my ($self) = @_; return $self->run("DO \$\$ BEGIN FOR i IN 1 .. 3 LOOP PERFORM ($self->{read}); END LOOP; END \$\$"); }

# Sets the client's row; the committing caller writes what is certain into the diary.
sub set { my ($self, $value) = @_; return $self->run("UPDATE app.counter SET n = $value WHERE client = $self->{number}"); }

sub change
{
	my ($self) = @_;
	my $value = $self->next_number;
	$self->note('committed', "c$self->{number}.$value") if $self->set($value);
}

sub commit
{
	my ($self) = @_;
	my $value = $self->next_number;
	$self->note('committed', "c$self->{number}.$value")
	  if $self->run('BEGIN') && $self->set(-1) && $self->point && $self->set($value) && $self->run('COMMIT');
}

sub roll_back { my ($self) = @_; return $self->run('BEGIN') && $self->set(-1) && $self->run('ROLLBACK'); }

sub fail_in_part
{
	my ($self) = @_;
	my $value = $self->next_number;
	$self->note('committed', "c$self->{number}.$value")
	  if $self->run('BEGIN') && $self->set($value) && $self->run('SAVEPOINT s') && $self->set(-1) && $self->fail
	  && $self->run('ROLLBACK TO s') && $self->run('COMMIT');
}

# Executes one prepared statement several times.
sub prepared
{
	my ($self) = @_;
	my ($session, $token) = ($self->{session}, $self->token);
	$session->parse($token, "$self->{read} /* $token */");
	for (1 .. 3)
	{
		$self->note('sent', $token);
		$session->bind('', $token);
		$session->execute('');
		$session->sync;
		my $result = $session->finish;
		$self->{status} = $result->{status} // '';
		$self->note($result->{sqlstate}, $token) if $result->{sqlstate};
		return if $result->{sqlstate} || $result->{closed};
		$self->note('completed', $token);
	}
}

1;
