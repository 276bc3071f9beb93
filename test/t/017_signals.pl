
# Code in a procedural language that has the signals of its session ignored: the session ends at the deadline all the
# same. The worker is stopped, so the session does so by itself. And one that cannot raises an alert.
use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use JitTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

chomp(my $share = qx("$ENV{PG_CONFIG}" --sharedir));
plan skip_all => 'plperl is not installed for this server' unless -e "$share/extension/plperl.control";

my $node = jit_node('signals');
my $force_parallel = $node->pg_version >= 16 ? 'debug_parallel_query' : 'force_parallel_mode';
my $names = join ', ', map { "\$SIG{$_}" } qw(TERM INT USR1 ALRM HUP RTMIN NUM34);
my $ignore = "($names) = ('IGNORE') x 7;";
$node->safe_psql('postgres', <<"SQL");
CREATE EXTENSION plperl;
GRANT USAGE ON SCHEMA app TO PUBLIC;
GRANT CREATE ON SCHEMA public TO alice;
CREATE TABLE app.big AS SELECT i, repeat('x', 1000) AS text FROM generate_series(1, 50000) i;
SELECT jit_alter_template('reader', privileges => ARRAY['USAGE ON SCHEMA app', 'SELECT, INSERT, UPDATE, DELETE, TRUNCATE ON app.orders', 'SELECT ON app.big']);
CREATE FUNCTION app.ignores() RETURNS int PARALLEL SAFE LANGUAGE plperl AS \$\$ $ignore return 1; \$\$;
CREATE FUNCTION app.fails() RETURNS int LANGUAGE plperl AS \$\$ $ignore die 'no'; \$\$;
CREATE FUNCTION app.catches() RETURNS int LANGUAGE plperl AS \$\$ ($names) = (sub { }) x 7; return 1; \$\$;
CREATE FUNCTION app.asks() RETURNS int LANGUAGE plperl AS \$\$ $ignore spi_exec_query('SELECT count(*) FROM app.orders, generate_series(1, 1000000000)'); return 1; \$\$;
CREATE FUNCTION app.fires() RETURNS trigger LANGUAGE plperl AS \$\$ $ignore return; \$\$;
CREATE TABLE app.fired (id int); GRANT INSERT ON app.fired TO PUBLIC;
CREATE TRIGGER fires BEFORE INSERT ON app.fired FOR EACH ROW EXECUTE FUNCTION app.fires();
CREATE PROCEDURE app.commits() LANGUAGE plperl AS \$\$ $ignore for (1 .. 3) { spi_exec_query('INSERT INTO app.kept VALUES (1)'); spi_commit(); } \$\$;
CREATE TABLE app.kept (id int); GRANT INSERT ON app.kept TO PUBLIC;
SQL

# A procedure that is wrapped can still commit.
sqlstate_ok(connect_as($node, 'carol')->query('CALL app.commits()'), 'no error', 'a procedure commits');
is($node->safe_psql('postgres', 'SELECT count(*) FROM app.kept'), '3', 'three times');

my $compute = 'SELECT count(*) FROM app.orders, generate_series(1, 1000000000)';
my $do = "DO LANGUAGE plperl \$\$ $ignore \$\$";
my $copy = 'COPY app.big TO STDOUT';
# How each session has its signals ignored before the grant, and under it, and what it runs then.
my %ways = (
	'DO, then COPY of a table' => [ '', $do, $copy ],
	'DO before the grant, then COPY of a table' => [ $do, '', $copy ],
	'DO, then a computation' => [ '', $do, $compute ],
	'a function that fails, then COPY of a table' => [ '', 'SELECT app.fails()', $copy ],
	'a handler of its own, then COPY of a table' => [ '', 'SELECT app.catches()', $copy ],
	'a function in the query' => [ '', '', 'SELECT count(*) FROM (SELECT app.ignores() OFFSET 0) x, app.orders, generate_series(1, 1000000000)' ],
	'a function in the query, whose rows flow' => [ '', '', 'SELECT app.ignores(), text FROM app.big' ],
	'a trigger' => [ '', '', "DO \$\$ BEGIN INSERT INTO app.fired VALUES (1); LOOP END LOOP; END \$\$" ],
	'a query in such code' => [ '', '', 'SELECT app.asks()' ],
	'DO in a block that goes on' => [ '', '', "DO \$\$ BEGIN EXECUTE \$x\$ $do \$x\$; LOOP END LOOP; END \$\$" =~ s/LANGUAGE plperl \$\$(.*?)\$\$/LANGUAGE plperl \$y\$$1\$y\$/sr ],
	'a function that is compiled' => [ '', "CREATE FUNCTION pg_temp.begins() RETURNS int LANGUAGE plperl AS \$\$ BEGIN { $ignore } return 1; \$\$", $copy ],
	'a parallel worker' => [ "SET $force_parallel = on", '', 'SELECT count(*) FROM (SELECT app.ignores() OFFSET 0) x, app.orders, generate_series(1, 1000000000)' ],
);
my %session = map { $_ => connect_as($node, 'alice') } keys %ways;
for my $way (sort keys %ways)
{
	next unless $ways{$way}[0];
	my $result = $session{$way}->query($ways{$way}[0]);
	die "$way: $result->{message}" if $result->{sqlstate};
}
sub ignores_signals
{
	my ($pid) = @_;
	my ($mask) = slurp_file("/proc/$pid/status") =~ /^SigIgn:\s*(\w+)/m;
	return (hex($mask) & (1 << 14)) != 0;    # SIGTERM
}
ok(ignores_signals($session{'DO before the grant, then COPY of a table'}->pid), 'signals can be ignored');

# A template that terminates; and one that lets its sessions go on.
for my $action ('terminate', 'cancel')
{
	$node->safe_psql('postgres', "SELECT jit_alter_template('reader', at_deadline => '$action')");
	my ($id) = under_grant($node, 'alice', sub {
		stop_worker($node);
		for my $way (sort keys %ways)
		{
			my $s = $session{$way};
			my (undef, $under, $run) = @{ $ways{$way} };
			my $first = $s->query('SELECT 1');    # the session uses the grant
			die "$way: $first->{message}" if $first->{sqlstate};
			$s->query($under) if $under;
			$s->send($run);
			# It is busy: COPY with a client that does not read.
			$node->poll_query_until('postgres', 'SELECT state = \'active\' FROM pg_stat_activity WHERE pid = ' . $s->pid) or die "$way does not run";
		}
	});
	wait_for_deadline($node, $id);
	for my $way (sort keys %ways)
	{
		# A computation can be cancelled; a client that does not read, or a block that does not end, cannot.
		if ($action eq 'terminate') { closed_ok($session{$way}, "ended at the deadline: $way"); next; }
		my $result = eval { $session{$way}->finish } // { message => $@ };
		# plperl reports an error of a statement with a code of its own.
		ok($result->{closed} || ($result->{message} // '') =~ /^canceling statement due to user request/, "cancelled or ended at the deadline: $way")
		  or diag(($result->{sqlstate} // 'no error') . ' ' . ($result->{message} // ''));
		ok(!-e '/proc/' . $session{$way}->pid || !ignores_signals($session{$way}->pid), "and signals are handled again: $way");
	}
	continue_worker($node);
	ok(wait_for_cleanup($node, $id), "$action: cleaned up");
	is(log_rows($node, "kind = 'session outlived'"), '0', 'no session has outlived the grant');
	wait_for_drained($node);
	is(log_rows($node, "grant_id = $id AND kind = 'use' AND outcome = 'completed' AND statement = '$copy'"), '0', 'no COPY was completed');
	%session = map { $_ => connect_as($node, 'alice') } keys %ways;
}

# ---- a session that does not come back to the server at all
my $stopped = connect_as($node, 'alice');
my ($id) = under_grant($node, 'alice', sub {
	my $result = $stopped->query('SELECT 1');
	die $result->{message} if $result->{sqlstate};
});
kill 'STOP', $stopped->pid;
ok($node->poll_query_until('postgres', "SELECT count(*) = 1 FROM jit_access.audit_log WHERE kind = 'session outlived' AND grant_id = $id"),
	'a session that does not react is on the record');
ok($node->poll_query_until('postgres', "SELECT count(*) = 1 FROM jit_access.alerts WHERE grant_id = $id AND rule = 'session_outlived'"), 'and raises an alert');
is($node->safe_psql('postgres', "SELECT concat_ws(' ', detail->>'pid', detail->>'login') FROM jit_access.audit_log WHERE kind = 'session outlived'"),
	$stopped->pid . ' alice', 'with its process and login');
kill 'CONT', $stopped->pid;
closed_ok($stopped, 'it ends when it can');

unlike(slurp_file($node->logfile), qr/was terminated by signal/, 'nothing has crashed');
$node->stop('fast');
done_testing();
