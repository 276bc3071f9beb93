
# The temporary login of a grant on a server with password authentication: it can log in with the issued password, up to
# its connection limit, even after a restart. At the deadline it is dropped and all its sessions end, whether or not
# they used the grant.
use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use JitTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = jit_node('login');
$node->safe_psql('postgres', <<'SQL');
SELECT jit_create_template('service', '{USAGE ON SCHEMA app, SELECT ON app.orders}', requesters => '{alice}', approvers => '{dave}',
	mode => 'login', login_connections => 2);
SQL

# Returns the output of psql with that login and password.
sub by_password
{
	my ($login, $password, $sql) = @_;
	local $ENV{PGPASSWORD} = $password;
	my ($code, $out, $err) = $node->psql('postgres', $sql, extra_params => [ '-U', $login, '-w' ]);
	return $code == 0 ? $out : $err;
}

sub demand
{
	my ($login, $method) = @_;
	my $hba = $node->data_dir . '/pg_hba.conf';
	my $rules = slurp_file($hba) =~ s/^local .* jit_login_.*\n//mgr;
	unlink $hba;
	append_to_file($hba, "local all $login $method\n$rules");
	$node->reload;
	# The postmaster rereads the file some time later.
	wait_for("$method to be demanded", sub {
			local $ENV{PGPASSWORD} = 'wrong';
			my ($code, undef, $err) = $node->psql('postgres', 'SELECT 1', extra_params => [ '-U', $login, '-w' ]);
			return $method eq 'trust' ? $code == 0 : $err =~ /password authentication failed/;
		});
}

my $id;
for (my $seconds = 5; ; $seconds *= 2)
{
	$id = request_as($node, 'alice', 'service', "${seconds}s");
	approve_as($node, 'dave', $id);
	my ($login, $password) = split /\|/,
	  $node->safe_psql('postgres', "SELECT login, password FROM jit_credentials($id)", extra_params => [ '-U', 'alice' ]);
	demand($login, 'scram-sha-256');
	my $right = by_password($login, $password, 'SELECT count(*) FROM app.orders');
	my $wrong = by_password($login, "$password?", 'SELECT 1');
	# One session that uses the grant, one that does not; the client of these tests cannot send passwords.
	demand($login, 'trust');
	my @sessions = eval { map { connect_as($node, $login) } 1 .. 2 };
	my $used = @sessions ? $sessions[0]->query('SELECT count(*) FROM app.orders') : {};
	my $third = by_password($login, $password, 'SELECT 1');
	if (deadline_passed($node, $id) && $seconds < 300) { wait_for_cleanup($node, $id); next; }

	is($right, '100', 'by the password that was told');
	like($wrong, qr/password authentication failed/, 'by no other');
	like($third, qr/too many connections for role/, 'so many at once');
	is($used->{rows}[0][0], '100', 'a session of it');
	wait_for_deadline($node, $id);
	ok(wait_for_cleanup($node, $id), 'cleaned up');
	ok($node->poll_query_until('postgres', "SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE usename = '$login' OR usesysid NOT IN (SELECT oid FROM pg_roles))"),
		'no session of it is left, used or not');
	is($node->safe_psql('postgres', "SELECT to_regrole('$login') IS NULL"), 't', 'nor the login');
	like(by_password($login, $password, 'SELECT 1'), qr/authentication failed|does not exist/, 'it does not come back');
	last;
}

# After a restart the login is the same.
$id = request_as($node, 'alice', 'service', '1h');
approve_as($node, 'dave', $id);
my ($login, $password) = split /\|/,
  $node->safe_psql('postgres', "SELECT login, password FROM jit_credentials($id)", extra_params => [ '-U', 'alice' ]);
$node->stop('immediate');
$node->start;
ok($node->poll_query_until('postgres', "SELECT confirmed FROM jit_access.active_grants WHERE id = $id"), 'confirmed after a restart');
is(by_password($login, $password, 'SELECT count(*) FROM app.orders'), '100', 'and used');
is(log_rows($node, "kind = 'use' AND login = '$login' AND grant_id <> $id"), '0', 'its uses are uses of its grant');
$node->safe_psql('postgres', "SELECT jit_revoke($id)");
ok(wait_for_cleanup($node, $id), 'revoked');
is($node->safe_psql('postgres', "SELECT to_regrole('$login') IS NULL"), 't', 'and gone');

$node->stop;
done_testing();
