
# Approvers, requesters, deadlines and the worker act at the same time, in every isolation level: more than a thousand
# requests with six sessions each. At the end, every grant must have had its quorum, and the catalogs must agree with
# the table.
use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use IPC::Run qw(start finish);
use JitTest;
use PostgreSQL::Test::Utils;
use Test::More;

my ($people, $each, $rounds, $sessions) = (120, 3, 3, 6);
my $seed = $ENV{SEED} // int rand 1_000_000;
srand $seed;
diag("SEED=$seed");

my $node = jit_node('decisions', conf => "jit_access.max_grants = 2000\nmax_locks_per_transaction = 256\n");
$node->safe_psql('postgres', <<"SQL");
CREATE ROLE leads;
CREATE ROLE bob_2 LOGIN IN ROLE leads;
GRANT leads TO bob, carol, dave;
CREATE ROLE askers;
SELECT format('CREATE ROLE asker_%s LOGIN IN ROLE askers', i) FROM generate_series(1, $people) i \\gexec
CREATE TABLE t ();
SELECT jit_set_person('Bob', '{bob, bob_2}');
SELECT jit_create_template('two', '{SELECT ON public.t}', requesters => '{askers}', approvers => '{leads}', approvals_needed => 2,
	max_duration => '1h', total_duration => '2h', holder_extension => '30 minutes');
SELECT jit_create_template('handed', '{SELECT ON public.t}', requesters => '{askers}', approvers => '{leads}', time_to_use => '1h');
SELECT jit_create_template('alone', '{SELECT ON public.t}', requesters => '{askers}', approvers => '{leads}', person_at_once => 1,
	time_to_decide => '2s');
SQL

sub pick { return $_[ int rand @_ ] }

# The actions of one session on one request.
sub action
{
	my ($id, $asker) = @_;
	my ($who, $call) = @{ pick(
			(map { [ $_, "jit_approve($id)" ] } qw(bob bob_2 carol dave)) x 3,
			[ pick(qw(bob carol)), "jit_approve($id, NULL, '1s')" ],
			[ pick(qw(bob_2 dave)), "jit_deny($id, 'no')" ],
			[ $asker, "jit_cancel($id)" ],
			([ $asker, "jit_activate($id)" ]) x 3,
			[ $asker, "jit_extend($id, '20 minutes')" ],
			[ pick(qw(bob carol)), "jit_extend($id, '50 minutes')" ],
			[ pick($asker, 'dave'), "jit_revoke($id)" ],
			[ $asker, "jit_approve($id)" ]) };
	my $level = pick('READ COMMITTED', 'REPEATABLE READ', 'SERIALIZABLE');
	my $end = pick(('COMMIT') x 5, 'ROLLBACK');
	return "SET SESSION AUTHORIZATION $who; BEGIN ISOLATION LEVEL $level; "
	  . pick('', 'SELECT count(*) FROM jit_access.pending_requests;')
	  . " SELECT $call; $end;\n";
}

for my $round (1 .. $rounds)
{
	my $asking = '';
	for my $asker (map { "asker_$_" } 1 .. $people)
	{
		$asking .= "SET SESSION AUTHORIZATION $asker;\n";
		$asking .= "SELECT jit_request('$_', '" . pick('1h', '1h', '3s') . "'), '$asker';\n" for qw(two handed alone);
	}
	my @requests = map { [ split /\|/ ] } split /\n/, $node->safe_psql('postgres', $asking);
	is(scalar @requests, $people * $each, "round $round: requests");
	# The actions are sent in small steps, because a session can be terminated, for example that of a holder who keeps the
	# row locked.
	my @running;
	for my $session (1 .. $sessions)
	{
		my $folder = PostgreSQL::Test::Utils::tempdir("session$session");
		my @files;
		for (my $i = 0; $i < @requests; $i += 10)
		{
			push @files, sprintf '%s/%04d.sql', $folder, $i;
			append_to_file($files[-1], join '', map { my $of = $_; map { action(@$of) } 1 .. 2 }
				  grep { defined } @requests[ $i .. $i + 9 ]);
		}
		my $err = '';
		my $each_file = 'for file; do psql -XqAt -v VERBOSITY=sqlstate -d "$CONNECT" -f "$file"; done';
		local $ENV{CONNECT} = $node->connstr('postgres');
		push @running, [ start([ 'sh', '-c', $each_file, 'sh', @files ], '>', '/dev/null', '2>', \$err), \$err ];
	}
	my $errors = '';
	for (@running) { finish($_->[0]); $errors .= ${ $_->[1] }; }
	my @strange = grep { /(?:ERROR|FATAL):/ && !/: +(?:JA\d{3}|40001|40P01|25P02|57P01)$/ } split /\n/, $errors;
	is(join("\n", @strange), '', "round $round: every refusal is one of ours");
	# Some sessions may exit by themselves at that moment.
	wait_for('the grants of this round to be over', sub {
			my (undef, $left) = $node->psql('postgres', <<'SQL');
SELECT jit_revoke(id) FROM jit_access.active_grants WHERE state IN ('active', 'suspended') \g /dev/null
SELECT count(*) FROM jit_access.active_grants WHERE state IN ('active', 'suspended')
SQL
			return $left eq '0';
		}) if $round < $rounds;
}
ok($node->poll_query_until('postgres', "SELECT NOT EXISTS (SELECT FROM jit_access.request WHERE cleanup = 'due')"), 'cleaned up');
ok(wait_for_drained($node), 'all is on the record');

sub none
{
	my ($sql, $what) = @_;
	return is($node->safe_psql('postgres', $sql), '', $what);
}

none(<<'SQL', 'live memberships are the live grants');
SELECT r.id, a.rolname FROM (SELECT id, requester FROM jit_access.request WHERE state IN ('active', 'suspended')) r
FULL JOIN (SELECT a.rolname, m.member FROM pg_roles a JOIN pg_auth_members m ON m.roleid = a.oid
	WHERE a.rolname LIKE 'jit\_grant\_%') a ON a.rolname = 'jit_grant_' || r.id AND a.member = r.requester
WHERE r.id IS NULL OR a.rolname IS NULL
SQL
none(<<'SQL', 'every grant had its quorum of distinct people, none of them the requester');
SELECT r.id FROM jit_access.request r JOIN jit_access.template t ON t.id = r.template_id
WHERE r.activated_at IS NOT NULL AND t.approvals_needed > (SELECT count(DISTINCT coalesce(p.name, d.approver_name))
	FROM jit_access.decision d LEFT JOIN jit_access.person p ON p.login = d.approver
	WHERE d.request_id = r.id AND d.verdict = 'approve' AND d.approver <> r.requester AND d.decided_at <= r.activated_at)
SQL
none(<<'SQL', 'one decision a person');
SELECT request_id FROM jit_access.decision WHERE approver_name IN ('bob', 'bob_2') GROUP BY 1 HAVING count(*) > 1
SQL
none(<<'SQL', 'a denied, cancelled or lapsed request was never active, and a denial decides');
SELECT id FROM jit_access.request r WHERE state IN ('denied', 'cancelled', 'lapsed') AND activated_at IS NOT NULL
	OR (state = 'denied') <> EXISTS (SELECT FROM jit_access.decision d WHERE d.request_id = r.id AND verdict = 'deny')
SQL
none(<<'SQL', 'each became active once, and ended once');
SELECT grant_id, kind FROM jit_access.audit_log WHERE kind IN ('activated', 'scheduled', 'denied', 'cancelled', 'lapsed', 'ended', 'revoked')
GROUP BY grant_id, kind HAVING count(*) > 1
SQL
none(<<'SQL', 'the record agrees with the table');
SELECT r.id FROM jit_access.request r WHERE (r.activated_at IS NOT NULL)
	<> EXISTS (SELECT FROM jit_access.audit_log l WHERE l.grant_id = r.id AND l.kind = 'activated')
SQL
none(<<'SQL', 'no more than the caps allow');
SELECT a.id, b.id FROM jit_access.request a JOIN jit_access.request b ON a.requester = b.requester AND a.id < b.id
JOIN jit_access.template t ON t.id = a.template_id AND t.id = b.template_id AND t.name = 'alone'
WHERE tstzrange(a.activated_at, coalesce(a.closed_at, 'infinity')) && tstzrange(b.activated_at, coalesce(b.closed_at, 'infinity'))
	AND a.activated_at IS NOT NULL AND b.activated_at IS NOT NULL
SQL
none(<<'SQL', 'no extension beyond the total, nor beyond the holder\'s share');
SELECT r.id FROM jit_access.request r JOIN jit_access.template t ON t.id = r.template_id
WHERE r.ends_at - r.activated_at > coalesce(t.total_duration, t.max_duration) OR r.extended > coalesce(t.holder_extension, '0')
SQL
is($node->safe_psql('postgres', 'SELECT sound FROM jit_audit_verify()'), 't', 'the chain is sound');

# This makes sure that the checks above had cases to check.
my ($total, @kinds) = split /\|/, $node->safe_psql('postgres', <<'SQL');
SELECT count(*), count(*) FILTER (WHERE activated_at IS NOT NULL), count(*) FILTER (WHERE state = 'denied'),
	count(*) FILTER (WHERE state = 'cancelled'), count(*) FILTER (WHERE state = 'lapsed'), count(*) FILTER (WHERE state = 'revoked'),
	count(*) FILTER (WHERE state = 'ended'), count(*) FILTER (WHERE extended > '0')
FROM jit_access.request
SQL
diag("interleavings=$total activated=$kinds[0] denied=$kinds[1] cancelled=$kinds[2] lapsed=$kinds[3] revoked=$kinds[4] ended=$kinds[5] extended=$kinds[6]");
cmp_ok($total, '>=', 1000, 'a thousand requests that everybody pulled at');
cmp_ok($_, '>', 0, 'all of it happened') for @kinds;

$node->stop;
done_testing();
