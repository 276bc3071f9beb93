# Shared by the tests of the running server: a server with the extension and its people, a client that speaks the wire
# protocol (so that a test sees SQLSTATEs, closed connections and suspended portals), and ways to wait for conditions.
package JitTest;

use strict;
use warnings;

use Exporter 'import';
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

our @EXPORT = qw(
	jit_node add_people connect_as request_as approve_as grant_to under_grant deadline_passed wait_for_deadline
	wait_for_drained wait_for_cleanup worker_pid stop_worker continue_worker wait_for sqlstate_ok rows_ok closed_ok
	log_rows record_is_sound is_gone children_of verdict_of verdict_by_program same_verdict
);

our $patience = $PostgreSQL::Test::Utils::timeout_default || 180;
my %stopped;    # node name => pid of its stopped worker

# Copies a data directory that initdb has made, because initdb takes longer than many tests. All copies have the same
# system identifier, so a test that needs different systems calls init itself.
sub init_from_template
{
	my ($node, %options) = @_;
	my $template = $ENV{JIT_DATA_TEMPLATE};
	my $run = \&PostgreSQL::Test::Utils::system_or_bail;
	no warnings 'redefine';
	local *PostgreSQL::Test::Utils::system_or_bail = sub {
		my @command = @_;
		@command = ('cp', '-a', '--reflink=auto', $template, $node->data_dir)
		  if $command[0] eq 'initdb' && $template && !$options{extra};
		return $run->(@command);
	};
	return $node->init(%options);
}

# A condition often holds in less than the tenth of a second after which poll_query_until checks it again.
{
	my $poll = \&PostgreSQL::Test::Cluster::poll_query_until;
	no warnings 'redefine';
	*PostgreSQL::Test::Cluster::poll_query_until = sub {
		my ($node, $database, $query, $expected) = @_;
		for my $nap (0.01, 0.02, 0.04)
		{
			my (undef, $out, $err) = $node->psql($database, $query);
			return 1 if ($out // '') eq ($expected // 't') && ($err // '') eq '';
			select undef, undef, undef, $nap;
		}
		return $poll->(@_);
	};
}

# A running server with the extension in database postgres. Sessions that have been closed may need a moment to exit, so
# the server allows more of them than init() does.
sub jit_node
{
	my ($name, %options) = @_;
	my $node = PostgreSQL::Test::Cluster->new($name);
	init_from_template($node, %{ $options{init} || {} });
	$node->append_conf('postgresql.conf', <<"CONF" . ($options{conf} || ''));
shared_preload_libraries = 'jit_access'
jit_access.database = 'postgres'
jit_access.worker_naptime = 1
jit_access.attempt_rate = 10000
max_prepared_transactions = 5
max_connections = 60
restart_after_crash = on
fsync = off
CONF
	$node->start;
	$node->safe_psql('postgres', 'CREATE EXTENSION jit_access');
	add_people($node) unless $options{no_people};
	return $node;
}

# alice and bob request, dave approves, erin audits, and carol has no part in it. alice inherits, and bob uses SET ROLE.
sub add_people
{
	my ($node) = @_;
	$node->safe_psql('postgres', <<'SQL');
CREATE ROLE alice LOGIN; CREATE ROLE bob LOGIN; CREATE ROLE carol LOGIN; CREATE ROLE dave LOGIN;
CREATE ROLE erin LOGIN IN ROLE jit_auditor;
CREATE SCHEMA app;
CREATE TABLE app.orders (id int PRIMARY KEY, status text);
INSERT INTO app.orders SELECT i, 'new' FROM generate_series(1, 100) i;
SELECT jit_create_template('reader', ARRAY['USAGE ON SCHEMA app', 'SELECT, INSERT, UPDATE, DELETE, TRUNCATE ON app.orders'],
	requesters => '{alice}', approvers => '{dave}');
SELECT jit_create_template('changer', ARRAY['USAGE ON SCHEMA app', 'SELECT, INSERT ON app.orders'],
	requesters => '{bob}', approvers => '{dave}', mode => 'set_role');
SQL
}

# ---- grants ---------------------------------------------------------------------------------------------------------

sub request_as
{
	my ($node, $who, $template, $duration) = @_;
	return $node->safe_psql('postgres', "SELECT jit_request('$template', '$duration')", extra_params => [ '-U', $who ]);
}

sub approve_as
{
	my ($node, $who, $id) = @_;
	return $node->safe_psql('postgres', "SELECT jit_approve($id)", extra_params => [ '-U', $who ]);
}

sub grant_to
{
	my ($node, $who, $duration) = @_;
	my $id = request_as($node, $who, $who eq 'bob' ? 'changer' : 'reader', $duration);
	approve_as($node, 'dave', $id);
	return $id;
}

# Runs the preparation under a short grant that is still live when it is done; if the machine was too slow, repeats it
# with a longer grant. Returns the id and the result of the preparation. The last argument is the number of seconds to
# begin with.
sub under_grant
{
	my ($node, $who, $prepare, $least) = @_;
	for (my $seconds = $least // 4; $seconds <= 128; $seconds *= 2)
	{
		my $id = grant_to($node, $who, "${seconds}s");
		my $answer = eval { $prepare->($id) };
		my $error = $@;
		return ($id, $answer) if !$error && !deadline_passed($node, $id);
		die $error if $error && !deadline_passed($node, $id);
		note("the deadline came before the preparation was done, trying with more time: $error");
		# Until the grant is cleaned up, the next request of a login that inherits it is refused.
		my $stopped = exists $stopped{ $node->name };
		continue_worker($node);
		wait_for_cleanup($node, $id) or die "grant $id is not cleaned up";
		stop_worker($node) if $stopped;
	}
	die 'this machine is too slow for a grant of two minutes';
}

sub deadline_passed
{
	my ($node, $id) = @_;
	return $node->safe_psql('postgres', "SELECT clock_timestamp() >= ends_at FROM jit_access.request WHERE id = $id") eq 't';
}

sub wait_for_deadline
{
	my ($node, $id) = @_;
	$node->poll_query_until('postgres', "SELECT clock_timestamp() >= ends_at FROM jit_access.request WHERE id = $id")
	  or die "the deadline of grant $id does not come";
}

# Waits until the worker has removed everything of the grant.
sub wait_for_cleanup
{
	my ($node, $id) = @_;
	return $node->poll_query_until('postgres',
		"SELECT cleanup = 'done' AND to_regrole('jit_grant_$id') IS NULL AND to_regrole('jit_gate_$id') IS NULL "
		  . "FROM jit_access.request WHERE id = $id");
}

# ---- the worker and the record --------------------------------------------------------------------------------------

sub worker_pid
{
	my ($node) = @_;
	$node->poll_query_until('postgres', 'SELECT worker_pid IS NOT NULL FROM jit_access.health')
	  or die 'there is no worker';
	return $node->safe_psql('postgres', 'SELECT worker_pid FROM jit_access.health');
}

# Stops the worker while it holds no lock, that is, while it sleeps before and after the signal.
sub stop_worker
{
	my ($node) = @_;
	my $asleep = "SELECT wait_event = 'Extension' FROM pg_stat_activity WHERE backend_type = 'jit_access worker'";
	for (1 .. 1000)
	{
		my $pid = worker_pid($node);
		$node->poll_query_until('postgres', $asleep) or die 'the worker does not sleep';
		kill 'STOP', $pid or die "cannot stop process $pid";
		$stopped{ $node->name } = $pid;
		return $pid if is_stopped($pid) && $node->safe_psql('postgres', $asleep) eq 't';
		continue_worker($node);
	}
	die 'the worker never sleeps';
}

sub is_stopped
{
	my ($pid) = @_;
	for (1 .. 1000)
	{
		my $stat = eval { slurp_file("/proc/$pid/stat") } || '';
		return 1 if $stat =~ /\) T /;
		select undef, undef, undef, 0.01;
	}
	return 0;
}

sub continue_worker
{
	my ($node) = @_;
	my $pid = delete $stopped{ $node->name };
	kill 'CONT', $pid if defined $pid;
}

END { kill 'CONT', values %stopped if %stopped; }

# Waits until everything written so far is in the record.
sub wait_for_drained
{
	my ($node) = @_;
	return $node->poll_query_until('postgres',
		'SELECT journal_unread_bytes = 0 AND events_waiting = 0 FROM jit_access.health');
}

sub log_rows
{
	my ($node, $condition) = @_;
	return $node->safe_psql('postgres', "SELECT count(*) FROM jit_access.audit_log WHERE $condition");
}

# Checks that the sequence is dense, that no journal entry is there twice, and that a use has at most one outcome.
sub record_is_sound
{
	my ($node, $name) = @_;
	is($node->safe_psql('postgres', 'SELECT count(*) = max(seq) AND min(seq) = 1 FROM jit_access.record'),
		't', "$name: the sequence of the record is dense");
	is( $node->safe_psql('postgres',
			'SELECT count(*) FROM (SELECT FROM jit_access.record WHERE position IS NOT NULL GROUP BY node, position HAVING count(*) > 1) x'),
		'0', "$name: nothing of the journal is in the record twice");
	is( $node->safe_psql('postgres',
			'SELECT count(*) FROM (SELECT seq FROM jit_access.audit_log GROUP BY seq HAVING count(*) > 1) x'),
		'0', "$name: every use has at most one outcome");
}

# Returns the findings of jit_audit_verify, in the words of jit-verify. With a session, changes of its transaction are
# included.
sub verdict_of
{
	my ($session, $range) = @_;
	my $result = $session->query(sprintf <<'SQL', $range // '');
SELECT coalesce(string_agg(format(E'broken at %%s: %%s\n', broken_at, finding), '' ORDER BY n) FILTER (WHERE NOT sound), '')
	|| format(E'%%s: %%s records up to %%s, %%s, %%s checkpoints, head %%s\n',
		CASE WHEN bool_and(sound) THEN 'sound' WHEN NOT bool_and(sound) THEN 'not sound' ELSE 'self-consistent' END,
		min(records), min(last_seq), coalesce('anchored up to ' || min(anchored_seq), 'not anchored'), min(checkpoints), min(head))
FROM pg_catalog.jit_audit_verify(%s) WITH ORDINALITY v (sound, records, first_seq, last_seq, anchored_seq, checkpoints, head, broken_at, finding, n)
SQL
	return $result->{rows}[0][0] unless $result->{sqlstate};
	$session->query('ROLLBACK TO SAVEPOINT tampered') if $result->{status} eq 'E';
	return "error: $result->{message}\n";
}

# The findings of jit-verify about an export, with the key and the anchors of the server; without the notes, which are
# NOTICEs of the server.
sub verdict_by_program
{
	my ($session, $range, %options) = @_;
	my $result = $session->query('COPY (SELECT line FROM pg_catalog.jit_audit_export(' . ($range // '') . ')) TO STDOUT');
	return "error: $result->{message}\n" if $result->{sqlstate};
	my $directory = $session->{node}->data_dir . '/jit_access';
	my $export = PostgreSQL::Test::Utils::tempdir('export') . '/record';
	append_to_file($export, join('', map { $_->[0] } @{ $result->{rows} }));
	my ($out, $err) = ('', '');
	IPC::Run::run(
		[ 'jit-verify', '--key', $options{key} // "$directory/key", '--anchors', $options{anchors} // "$directory/anchors", $export ],
		'>', \$out, '2>', \$err);
	$out =~ s/^(?:forged|unauthenticated): .*\n//mg;
	return $out . ($err ? "error: $err" : '');
}

# Checks that the server and jit-verify give the same text. Returns "sound", "self-consistent" or the findings.
sub same_verdict
{
	my ($session, $name, $range) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $verdict = verdict_of($session, $range);
	is(verdict_by_program($session, $range), $verdict, "$name: the program says the same");
	return $1 if $verdict =~ /^(sound|self-consistent): /;
	return join '', $verdict =~ /^((?:broken at|error:) .*\n)/mg;
}

# ---- waiting and comparing ------------------------------------------------------------------------------------------

sub wait_for
{
	my ($what, $condition) = @_;
	my $end = time + $patience;
	until ($condition->())
	{
		if (time > $end) { diag("waited in vain for: $what"); return 0; }
		select undef, undef, undef, 0.02;
	}
	return 1;
}

# Checks that not even the process entry is left, because it would keep a server from starting.
sub is_gone { my ($pid) = @_; return !-e "/proc/$pid"; }

sub children_of
{
	my ($pid) = @_;
	return grep { (eval { slurp_file("/proc/$_/stat") } || '') =~ /\) \S $pid / } map { m{(\d+)$} ? $1 : () } glob('/proc/[0-9]*');
}

sub connect_as { return JitTest::Session->new(@_); }

sub sqlstate_ok
{
	my ($result, $sqlstate, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	is($result->{sqlstate} // ($result->{closed} ? 'closed' : 'no error'), $sqlstate, $name)
	  or diag($result->{message} // '');
}

sub rows_ok
{
	my ($result, $rows, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	is(join('|', map { join(',', map { $_ // 'NULL' } @$_) } @{ $result->{rows} }), $rows, $name)
	  or diag($result->{message} // '');
}

# Checks that the server has ended the session by itself.
sub closed_ok
{
	my ($session, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $result = eval { $session->await_close } // { message => $@ };
	ok($result->{closed} && ($result->{sqlstate} // '57P01') eq '57P01', $name)
	  or diag(($result->{sqlstate} // 'no error') . ' ' . ($result->{message} // ''));
}

# ---- a client that speaks the protocol ------------------------------------------------------------------------------

package JitTest::Session;

use strict;
use warnings;

use IO::Select;
use IO::Socket::INET;
use IO::Socket::UNIX;

# connect_as($node, 'alice', dbname => ..., options => { ... }): connected, or dies with what the server said.
sub new
{
	my ($class, $node, $user, %options) = @_;
	my $host = $node->host;
	my $socket =
	  $host =~ m{^/}
	  ? IO::Socket::UNIX->new(Peer => "$host/.s.PGSQL." . $node->port)
	  : IO::Socket::INET->new(PeerHost => $host, PeerPort => $node->port);
	die "cannot connect to the server: $!" unless $socket;
	binmode $socket;
	$socket->autoflush(1);
	my $self = bless { node => $node, socket => $socket, input => '', closed => 0, parameters => {} }, $class;
	my $startup = pack('N', 196608);
	my %startup = (user => $user, database => $options{dbname} || 'postgres', application_name => 'jit test', %{ $options{options} || {} });
	$startup .= "$_\0$startup{$_}\0" for sort keys %startup;
	$startup .= "\0";
	$self->raw(pack('N', length($startup) + 4) . $startup);
	my $answer = $self->finish;
	die "could not log in: $answer->{message}" if $answer->{sqlstate} && !$options{may_fail};
	return $self;
}

sub raw
{
	my ($self, $bytes) = @_;
	local $SIG{PIPE} = 'IGNORE';
	my $socket = $self->{socket};
	print {$socket} $bytes or $self->{write_failed} = 1;
}

sub message { my ($self, $type, $body) = @_; $self->raw($type . pack('N', length($body) + 4) . $body); }

# Sends a simple query and does not wait.
sub send { my ($self, $sql) = @_; $self->message('Q', "$sql\0"); return $self; }

# Returns the whole answer, up to ReadyForQuery or the end of the connection.
sub finish { my ($self) = @_; return $self->collect('Z'); }
sub query { my ($self, $sql) = @_; $self->send($sql); return $self->finish; }

# The extended protocol, message by message.
sub parse { my ($self, $name, $sql) = @_; $self->message('P', "$name\0$sql\0" . pack('n', 0)); }
sub bind
{
	my ($self, $portal, $statement, @values) = @_;    # as text
	my $bound = join '', map { defined $_ ? pack('N/a*', $_) : pack('l>', -1) } @values;
	$self->message('B', "$portal\0$statement\0" . pack('nn', 0, scalar @values) . $bound . pack('n', 0));
}
sub execute { my ($self, $portal, $most) = @_; $self->message('E', "$portal\0" . pack('N', $most || 0)); }
sub close_portal { my ($self, $portal) = @_; $self->message('C', "P$portal\0"); }
sub flush { my ($self) = @_; $self->message('H', ''); }
sub sync { my ($self) = @_; $self->message('S', ''); }
# Sends a function call by OID, with text arguments.
sub send_call
{
	my ($self, $oid, @arguments) = @_;
	my $body = pack('NnnN0', $oid, 1, 0) . pack('n', scalar @arguments);
	$body .= defined $_ ? pack('N/a*', $_) : pack('l>', -1) for @arguments;
	$self->message('F', $body . pack('n', 0));
}
sub call_function { my ($self, @call) = @_; $self->send_call(@call); return $self->finish; }

# Reads up to a message of one of these types (or an error, or the end). Each row is a reference to its cells.
sub collect
{
	my ($self, $until) = @_;
	my $result = { rows => [], tags => [] };
	while (1)
	{
		my ($type, $body) = $self->next_message;
		if (!defined $type) { $result->{closed} = 1; last; }
		if ($type eq 'D') { push @{ $result->{rows} }, cells($body); }
		elsif ($type eq 'C') { push @{ $result->{tags} }, $body =~ s/\0//r; }
		elsif ($type eq 'K') { $self->{pid} = unpack('N', $body); }
		elsif ($type eq 's') { $result->{suspended} = 1; }
		elsif ($type eq 'V') { my $size = unpack('N', $body); $result->{value} = $size == 0xFFFFFFFF ? undef : substr($body, 4); }
		elsif ($type eq 'd') { push @{ $result->{rows} }, [$body]; }
		elsif ($type eq 'E')
		{
			my %fields = map { substr($_, 0, 1) => substr($_, 1) } grep { length } split /\0/, $body;
			@$result{qw(sqlstate message detail hint severity)} = @fields{qw(C M D H V)};
		}
		elsif ($type eq 'Z') { $result->{status} = $body; }
		last if index($until, $type) >= 0;
	}
	return $result;
}

sub cells
{
	my ($body) = @_;
	my $count = unpack('n', $body);
	my @cells;
	my $at = 2;
	for (1 .. $count)
	{
		my $size = unpack('N', substr($body, $at, 4));
		$at += 4;
		if ($size == 0xFFFFFFFF) { push @cells, undef; next; }
		push @cells, substr($body, $at, $size);
		$at += $size;
	}
	return \@cells;
}

sub next_message
{
	my ($self) = @_;
	return unless $self->fill(5);
	my ($type, $size) = unpack('aN', $self->{input});
	return unless $self->fill(1 + $size);
	my $body = substr($self->{input}, 5, $size - 4);
	substr($self->{input}, 0, 1 + $size) = '';
	return ($type, $body);
}

sub fill
{
	my ($self, $size) = @_;
	my $wait = IO::Select->new($self->{socket});
	while (length $self->{input} < $size)
	{
		return 0 if $self->{closed};
		die 'the server does not answer' unless $wait->can_read($JitTest::patience);
		my $got = sysread($self->{socket}, my $bytes, 65536);
		if (!$got) { $self->{closed} = 1; return 0; }
		$self->{input} .= $bytes;
	}
	return 1;
}

# Returns all further messages of the server, until it closes the connection.
sub await_close
{
	my ($self) = @_;
	my $result = {};
	until ($result->{closed})
	{
		my $next = $self->collect('');
		$next->{sqlstate} //= $result->{sqlstate};
		$next->{message} //= $result->{message};
		$result = $next;
	}
	return $result;
}

sub pid { return $_[0]->{pid}; }

sub quit
{
	my ($self) = @_;
	$self->message('X', '');
	close $self->{socket};
}

1;
