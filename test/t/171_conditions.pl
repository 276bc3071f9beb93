# Conditions of a grant: network, TLS, client certificate, authentication method and database, at the request, at the
# activation and at every use, regardless of how the session got the grant, and even after a restart and on a standby.
# Refusals are on the record.
use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use JitTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

# ---- a server that listens, with certificates of its own
my $keys = PostgreSQL::Test::Utils::tempdir('keys');
my $log = "$keys/log";
sub openssl { system("openssl @_ >>$log 2>&1") == 0 or die "openssl @_: " . slurp_file($log); }
openssl("req -new -x509 -days 3650 -nodes -subj /CN=$_ -out $keys/$_.crt -keyout $keys/$_.key") for qw(authority server);
openssl("req -new -nodes -subj /CN=alice -out $keys/client.csr -keyout $keys/client.key");
openssl("x509 -req -in $keys/client.csr -CA $keys/authority.crt -CAkey $keys/authority.key -CAcreateserial -days 3650 -out $keys/client.crt");
chmod 0600, glob("$keys/*.key") or die $!;

my $node = jit_node('primary', init => { allows_streaming => 1 }, conf => <<"CONF");
listen_addresses = '127.0.0.1, ::1'
ssl = on
ssl_cert_file = '$keys/server.crt'
ssl_key_file = '$keys/server.key'
ssl_ca_file = '$keys/authority.crt'
CONF
sub let_in
{
	my ($where) = @_;
	unlink $where->data_dir . '/pg_hba.conf';
	$where->append_conf('pg_hba.conf', <<'CONF');
local all all trust
local replication all trust
host all frank samehost scram-sha-256
host all all samehost trust
CONF
	$where->reload;
}
let_in($node);
$node->safe_psql('postgres', "CREATE ROLE frank LOGIN PASSWORD 'frank'; CREATE ROLE gina LOGIN; CREATE ROLE harry LOGIN; CREATE DATABASE other");

# Each way to connect, as a libpq connection string.
my %way = (
	socket => 'host=HOST',
	v4 => 'hostaddr=127.0.0.1 sslmode=disable',
	v6 => 'hostaddr=::1 sslmode=disable',
	tls => 'hostaddr=127.0.0.1 sslmode=require',
	cert => "hostaddr=127.0.0.1 sslmode=require sslcert=$keys/client.crt sslkey=$keys/client.key",
);
$ENV{PGPASSWORD} = 'frank';
$ENV{PGSSLMODE} = 'disable';

# Runs statements over that connection; returns the last line, or the first SQLSTATE.
sub run_as
{
	my ($who, $way, $sql, %options) = @_;
	my $where = $options{node} || $node;
	my $host = $where->host;
	my $connstr = ($way{$way} =~ s/HOST/$host/r) . ' port=' . $where->port . " user=$who dbname=" . ($options{dbname} || 'postgres');
	my ($status, $out, $err) = $where->psql('postgres', $sql, connstr => $connstr, extra_params => [ '-v', 'VERBOSITY=sqlstate' ], on_error_stop => 0);
	return $1 if $err =~ /ERROR:  (\w{5})/;
	return "failed: $err" if $err =~ /error:|FATAL/;
	return $options{whole} ? $out : (split /\n/, $out)[-1] // '';
}

sub template
{
	my ($name, $settings, $mode, $requesters) = @_;
	$node->safe_psql('postgres', "SELECT jit_create_template('$name', ARRAY['USAGE ON SCHEMA app', 'SELECT ON app.orders'], "
		  . "requesters => '{" . ($requesters // 'alice') . "}', approvers => '{dave}', mode => '" . ($mode // 'set_role') . "', $settings)");
}

sub given
{
	my ($who, $way, $name) = @_;
	my $id = run_as($who, $way, "SELECT jit_request('$name', '2 hours')");
	die "$name by $way: $id" unless $id =~ /^\d+$/;
	is(run_as('dave', 'socket', "SELECT jit_approve($id)"), 'active', "$name: given");
	return $id;
}

my $read = 'SELECT count(*) FROM app.orders';
sub with_role { my ($id, $sql) = @_; return "SET ROLE jit_grant_$id; " . ($sql // $read); }

is(run_as('alice', $_, 'SELECT count(*) FROM pg_stat_ssl WHERE pid = pg_backend_pid() AND ssl'), $_ =~ /tls|cert/ ? '1' : '0', "connected: $_")
  for sort keys %way;

# ---- each condition by itself: requests and uses pass over the connections it allows, and over no other
my %id;
for my $case (
	[ network => q{networks => '{127.0.0.0/8}'}, qw(v4 tls cert) ],
	[ v6 => q{networks => '{::1/128}'}, qw(v6) ],
	[ both => q{networks => '{127.0.0.1/32, ::/0}'}, qw(v4 v6 tls cert) ],
	[ local => q{networks => '{local}'}, qw(socket) ],
	[ tls => q{tls_required => true}, qw(tls cert) ],
	[ certificate => q{client_cert_required => true}, qw(cert) ],
	[ method => q{auth_methods => '{trust}'}, qw(socket v4 v6 tls cert) ])
{
	my ($name, $settings, @allowed) = @$case;
	template($name, $settings);
	my %allowed = map { $_ => 1 } @allowed;
	is(run_as('alice', $_, "SELECT jit_request('$name', '1h')"), 'JA023', "$name: not asked for by $_") for grep { !$allowed{$_} } sort keys %way;
	$id{$name} = given('alice', $allowed[0], $name);
	is(run_as('alice', $_, with_role($id{$name})), $allowed{$_} ? '100' : 'JA023', "$name: used by $_, or refused") for sort keys %way;
}

# One client is asked for a password, the other is not.
template('password', q{auth_methods => '{scram-sha-256, cert}'}, 'set_role', 'frank');
is(run_as('frank', 'socket', q{SELECT jit_request('password', '1h')}), 'JA023', 'password: not asked for by socket');
$id{password} = given('frank', 'v4', 'password');
is(run_as('frank', $_, with_role($id{password})), $_ eq 'socket' ? 'JA023' : '100', "password: used by $_, or refused") for qw(socket v4 v6);

# ---- the networks of a rule are compared with the client of the requester
template('ruled', q{description => 'by rules'}, 'set_role', 'gina');
$node->safe_psql('postgres', q{SELECT jit_create_rule('not-from-there', 'deny', '{ruled}', networks => '{127.0.0.0/8}')});
is(run_as('gina', 'v4', q{SELECT jit_request('ruled', '1h')}), 'JA004', 'a rule that forbids: not asked for from there');
my $ruled = run_as('gina', 'socket', q{SELECT jit_request('ruled', '1h')});
like($ruled, qr/^\d+$/, 'but from elsewhere');
is(run_as('dave', 'v4', "SELECT jit_approve($ruled)"), 'active', 'and approved from anywhere');
is(run_as('dave', 'v4', "SELECT jit_extend($ruled, '1h') > now()"), 't', 'and extended');
is(run_as('dave', 'v4', "SELECT jit_revoke($ruled)"), 'revoked', 'and revoked');
ok(wait_for_cleanup($node, $ruled), 'and cleaned up');

# ---- regardless of how the session gets the grant
template('inherited', q{networks => '{127.0.0.0/8}'}, 'inherit', 'gina');
$id{inherited} = given('gina', 'v4', 'inherited');
$node->safe_psql('postgres', <<'SQL');
CREATE SCHEMA lent;
GRANT USAGE ON SCHEMA lent TO PUBLIC;
GRANT CREATE ON SCHEMA lent TO gina;
CREATE VIEW lent.orders AS SELECT * FROM app.orders;
CREATE FUNCTION lent.count() RETURNS bigint LANGUAGE sql SECURITY DEFINER PARALLEL SAFE COST 1000000 AS 'SELECT count(*) FROM app.orders';
ALTER VIEW lent.orders OWNER TO gina;
ALTER FUNCTION lent.count() OWNER TO gina;
CREATE PROCEDURE lent.loop() LANGUAGE plpgsql AS $$ BEGIN PERFORM count(*) FROM app.orders; EXCEPTION WHEN OTHERS THEN RAISE EXCEPTION USING ERRCODE = SQLSTATE; END $$;
CREATE TABLE lent.many AS SELECT i FROM generate_series(1, 20000) i;
GRANT SELECT ON ALL TABLES IN SCHEMA lent TO PUBLIC;
SQL
for my $case (
	[ gina => 'a plain statement', $read, '100' ],
	[ gina => 'what needs no grant', 'SELECT 1', '1' ],
	[ gina => 'COPY', 'COPY (SELECT count(*) FROM app.orders) TO STDOUT', '100' ],
	[ gina => 'DO', q{DO $$ BEGIN PERFORM count(*) FROM app.orders; END $$; SELECT 2}, '2' ],
	[ gina => 'CALL', 'CALL lent.loop(); SELECT 3', '3' ],
	[ gina => 'a cursor', "BEGIN; DECLARE c CURSOR FOR $read; FETCH c", '100' ],
	[ gina => 'a prepared statement', "PREPARE p AS $read; EXECUTE p", '100' ],
	[ harry => 'the view of a holder', 'SELECT count(*) FROM lent.orders', '100' ],
	[ harry => 'a function of a holder', 'SELECT lent.count()', '100' ])
{
	my ($who, $what, $sql, $answer) = @$case;
	is(run_as($who, 'v4', $sql), $answer, "$what: used from its network");
	is(run_as($who, 'socket', $sql), 'JA023', "$what: refused from elsewhere");
}
is(run_as('harry', 'socket', "SET ROLE jit_grant_$id{inherited}"), '42501', 'other users do not reach it');

# A login with a grant of its own reads the view of another login: the conditions of both must hold.
my $both = 'SELECT (SELECT count(*) FROM app.orders) + (SELECT count(*) FROM lent.orders)';
is(run_as('alice', 'v6', with_role($id{v6}, 'SELECT count(*) FROM lent.orders')), 'JA023', 'a view of another holder: refused where only the own grant is met');
is(run_as('alice', 'v4', with_role($id{network}, $both)), '200', 'a view of another holder: used where both are met');

# A parallel worker has no client of its own; its leader was admitted.
my $parallel = q{SELECT set_config(name, 'on', false) FROM pg_settings WHERE name IN ('force_parallel_mode', 'debug_parallel_query');
SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0; SET min_parallel_table_scan_size = 0;};
is(run_as('gina', 'v4', "$parallel SELECT count(*) FROM lent.many, LATERAL (SELECT 1 FROM app.orders WHERE id = i) x"), '100', 'parallel: used from its network');
is(run_as('gina', 'v4', "$parallel SELECT sum(lent.count()) / 50 FROM lent.many WHERE i <= 50"), '100.0000000000000000', 'parallel: a function in it');
is(run_as('harry', $_, "$parallel SET parallel_leader_participation = off; SELECT sum(lent.count()) / 50 FROM lent.many WHERE i <= 50"),
	$_ eq 'socket' ? 'JA023' : '100.0000000000000000', "parallel: a function of a holder that only workers call, by $_") for qw(socket v4 tls);
like(run_as('harry', 'v4', "$parallel EXPLAIN (COSTS off, FORMAT json) SELECT sum(lent.count()) / 50 FROM lent.many WHERE i <= 50", whole => 1), qr/"Gather"/, 'parallel: workers call it');
is(run_as('gina', 'socket', "$parallel SELECT count(*) FROM app.orders"), 'JA023', 'parallel: refused from elsewhere');

# ---- databases are compared by OID, not by name
$node->safe_psql('postgres', q{SELECT jit_create_template('there', '{pg_read_all_data}', requesters => '{alice}', approvers => '{dave}', mode => 'set_role', databases => '{other}')});
$id{there} = given('alice', 'socket', 'there');
my $list = 'SELECT count(*) > 0 FROM pg_authid';
is(run_as('alice', 'socket', with_role($id{there}, $list), dbname => 'other'), 't', 'database: used there');
is(run_as('alice', 'socket', with_role($id{there}, $list)), 'JA023', 'database: refused here');
$node->safe_psql('postgres', 'ALTER DATABASE other RENAME TO renamed; CREATE DATABASE other');
is(run_as('alice', 'socket', with_role($id{there}, $list), dbname => 'renamed'), 't', 'database: it may be renamed');
is(run_as('alice', 'socket', with_role($id{there}, $list), dbname => 'other'), 'JA023', 'database: a new database with the same name does not match');

# ---- on a standby, and after a restart
$node->backup('backup');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($node, 'backup', has_streaming => 1);
$standby->start;
$node->wait_for_catchup($standby, 'replay');
for my $name (sort keys %id)
{
	$standby->poll_query_until('postgres', "SELECT jit_access.confirmed($id{$name})") or die "$name is not confirmed";
}
sub conditions_hold
{
	my ($where, $name) = @_;
	for my $case ([ network => 'v4', 'v6' ], [ tls => 'tls', 'v4' ], [ certificate => 'cert', 'tls' ], [ local => 'socket', 'v4' ])
	{
		my ($grant, $good, $bad) = @$case;
		is(run_as('alice', $good, with_role($id{$grant}), node => $where), '100', "$name: $grant, used");
		is(run_as('alice', $bad, with_role($id{$grant}), node => $where), 'JA023', "$name: $grant, refused");
	}
	is(run_as('frank', 'socket', with_role($id{password}), node => $where), 'JA023', "$name: password, refused");
	is(run_as('gina', 'socket', $read, node => $where), 'JA023', "$name: inherited, refused");
	is(run_as('alice', 'socket', with_role($id{there}, $list), node => $where, dbname => 'other'), 'JA023', "$name: database, refused");
	is(run_as('alice', 'socket', with_role($id{there}, $list), node => $where, dbname => 'renamed'), 't', "$name: database, used");
}
conditions_hold($standby, 'standby');

# A grant with an unreadable condition is not live.
is(run_as('dave', 'socket', "SELECT jit_revoke($id{both})"), 'revoked', 'one is over');
ok(wait_for_cleanup($node, delete $id{both}), 'and cleaned up');
my $unreadable = given('alice', 'v4', 'network');
$node->safe_psql('postgres', "UPDATE jit_access.request SET conditions = '\\x00' WHERE id = $unreadable");
$node->restart;
for my $name (sort keys %id)
{
	$node->poll_query_until('postgres', "SELECT jit_access.confirmed($id{$name})") or die "$name is not confirmed";
}
conditions_hold($node, 'restarted');
is(run_as('alice', 'v4', with_role($unreadable)), 'JA011', 'conditions that cannot be read: refused');


# ---- the record
ok(wait_for_drained($node), 'the record is complete');
is(log_rows($node, "kind = 'refusal' AND sqlstate = 'JA023' AND grant_id = $id{certificate} AND client_addr = '127.0.0.1'"), '3',
	'refusals are on the record, with the address');
cmp_ok(log_rows($node, "kind = 'refusal' AND sqlstate = 'JA023' AND grant_id = $id{inherited} AND login = 'harry'"), '>=', '2',
	'also for a user who does not hold the grant');
is(log_rows($node, "kind = 'use' AND grant_id = $id{certificate} AND login <> 'alice'"), '0', 'and nothing else was used');
record_is_sound($node, 'end');

$standby->stop('fast');
$node->stop('fast');
done_testing();
