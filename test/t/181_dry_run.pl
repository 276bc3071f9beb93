# Dry runs on a running server: what a cancel, a lost connection and an error leave behind, what other sessions see
# meanwhile, and what the client receives. test/sql/dry_run.sql cannot show these.
use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use IPC::Run;
use JitTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = jit_node('dry_run');
$node->safe_psql('postgres', <<'SQL');
CREATE ROLE ada LOGIN IN ROLE jit_admin;
CREATE TABLE app.log (id serial PRIMARY KEY, note text);
GRANT SELECT, INSERT, DELETE ON app.log TO jit_template_reader;
GRANT USAGE ON SEQUENCE app.log_id_seq TO jit_template_reader;
CREATE FUNCTION app.slowly() RETURNS integer LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO app.log (note) VALUES ('slowly');
	BEGIN
		PERFORM pg_sleep(1000);
	EXCEPTION WHEN division_by_zero THEN NULL;
	END;
	RETURN 1;
END $$;
CREATE FUNCTION app.speaks() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	RAISE INFO 'heard %', NEW.status;
	RAISE WARNING 'heard %', NEW.status;
	RETURN NEW;
END $$;
CREATE TRIGGER speaks BEFORE UPDATE ON app.orders FOR EACH ROW EXECUTE FUNCTION app.speaks();
SQL

# The result of this query depends on everything that a dry run could leave behind.
my $everything = <<'SQL';
SELECT md5(concat_ws('|', (SELECT string_agg(a::text, ',' ORDER BY oid) FROM pg_authid a), (SELECT string_agg(m::text, ',' ORDER BY m::text) FROM pg_auth_members m),
	(SELECT string_agg(c.relacl::text, ',' ORDER BY oid) FROM pg_class c), (SELECT string_agg(d::text, ',' ORDER BY d::text) FROM pg_shdepend d),
	(SELECT string_agg(o::text, ',' ORDER BY id) FROM app.orders o), (SELECT count(*) FROM app.log)))
SQL
my $before = $node->safe_psql('postgres', $everything);

sub nothing_is_left
{
	my ($what) = @_;
	return is($node->safe_psql('postgres', $everything), $before, "nothing is left after $what");
}

sub is_sleeping
{
	return $node->poll_query_until('postgres', "SELECT count(*) = 1 FROM pg_stat_activity WHERE usename = 'ada' AND wait_event = 'PgSleep'");
}

my $slow = "SELECT * FROM jit_dry_run('reader', ARRAY['SELECT app.slowly()', 'SELECT 1'], 'execute')";

# A cancel ends the whole dry run, not one statement of it.
for my $how ('cancel', 'terminate')
{
	my ($out, $err) = ('', '');
	my $psql = IPC::Run::start([ 'psql', '-XAtq', '-d', $node->connstr('postgres') . ' user=ada', '-c', $slow ], '>', \$out, '2>', \$err);
	ok(is_sleeping(), "$how: it runs");
	is($node->safe_psql('postgres', "SELECT count(*) FROM pg_roles WHERE rolname LIKE 'jit\\_rehearsal%'"), '0', "$how: other sessions do not see its roles");
	$node->safe_psql('postgres', "SELECT pg_${how}_backend(pid) FROM pg_stat_activity WHERE usename = 'ada'");
	$psql->finish;
	like($err, $how eq 'cancel' ? qr/canceling statement due to user request/ : qr/terminat|closed/, "$how: it ends, as a whole");
	is($out, '', "$how: and says nothing");
	nothing_is_left($how);
}

# The client receives no messages from the statements.
my ($result, $out, $err) = $node->psql('postgres', "SELECT outcome, rows FROM jit_dry_run('reader', ARRAY['UPDATE app.orders SET status = ''secret'''], 'execute')",
	extra_params => [ '-U', 'ada' ]);
is("$out|$err", 'allowed|100|', 'the client received no messages');
nothing_is_left('a trigger that speaks');
($result, $out, $err) = $node->psql('postgres', 'DO $$ BEGIN RAISE INFO \'afterwards\'; END $$', extra_params => [ '-U', 'ada' ]);
like($err, qr/afterwards/, 'afterwards everything is heard again');

# The dry run is in a transaction with no other statement.
($result, $out, $err) = $node->psql('postgres', "BEGIN; INSERT INTO app.log (note) VALUES ('mine'); SELECT outcome FROM jit_dry_run('reader', '{DELETE FROM app.log}', 'execute'); "
	. 'SELECT count(*) FROM app.log; ROLLBACK');
is($out, "allowed\n1", 'changes made before in the transaction stand after it');

# From 16 on, a dry run blocks changes of the template role's members, so it does not wait for locks.
$node->safe_psql('postgres', 'CREATE TABLE app.hers (id integer); ALTER TABLE app.hers OWNER TO alice; GRANT USAGE ON SCHEMA app TO alice');
my $holder = $node->background_psql('postgres', extra_params => [ '-U', 'alice' ]);
$holder->query_safe('BEGIN');
$holder->query_safe('LOCK TABLE app.hers');
is($node->safe_psql('postgres', "SELECT outcome, sqlstate FROM jit_dry_run('reader', '{SELECT * FROM app.hers}', statement_timeout => '1 hour')", extra_params => [ '-U', 'alice' ]),
	'failed|55P03', 'a requester does not wait for a lock');
$holder->query_safe('ROLLBACK');
$holder->quit;

# Two dry runs at once, and a grant that becomes active meanwhile.
my ($out2, $err2) = ('', '');
my $psql = IPC::Run::start([ 'psql', '-XAtq', '-d', $node->connstr('postgres') . ' user=ada', '-c', $slow ], '>', \$out2, '2>', \$err2);
ok(is_sleeping(), 'one goes on');
is($node->safe_psql('postgres', "SELECT outcome FROM jit_dry_run('reader', '{SELECT * FROM app.orders}')", extra_params => [ '-U', 'alice' ]), 'allowed', 'another one beside it');
my $id = request_as($node, 'alice', 'reader', '1h');
is(approve_as($node, 'dave', $id), 'active', 'and a grant becomes active');

# A dry run does not act as the holder of a grant: that would be a use of the grant.
like($node->safe_psql('postgres', "SELECT message FROM jit_dry_run('reader', '{SELECT * FROM app.orders}', 'execute', 'alice')"), qr/^a grant that is live is not used in a dry run/,
	'a live grant is not used');
is($node->safe_psql('postgres', "SELECT outcome FROM jit_dry_run('changer', '{SELECT * FROM app.orders}', 'check', 'alice')"), 'allowed', 'but it can be checked');
$node->safe_psql('postgres', "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE usename = 'ada'");
$psql->finish;

wait_for_drained($node);
is($node->safe_psql('postgres', "SELECT string_agg(DISTINCT coalesce(outcome, 'open'), ',') FROM jit_access.audit_log WHERE tag = 'DRY RUN' AND statement LIKE '%slowly%'"),
	'failed,interrupted', 'a stopped statement has an end on the record');
is($node->safe_psql('postgres', "SELECT count(*) FROM jit_access.audit_log WHERE kind = 'drift'"), '0', 'no drift was seen');
record_is_sound($node, 'afterwards');

$node->stop;
done_testing();
