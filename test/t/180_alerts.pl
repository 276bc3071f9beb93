# The findings of the alert rules on a running server, each caused by real events. Each finding raises one alert with
# its evidence, even across a restart, and a grant that a rule has suspended is refused at once.
use strict;
use warnings;

use Fcntl;
use FindBin;
use lib $FindBin::RealBin;
use JSON::PP;
use JitTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

# The clock of the server, as in 110_clock.pl.
my $directory = PostgreSQL::Test::Utils::tempdir();
my $offset_file = "$directory/offset";

sub set_clock
{
	my ($seconds) = @_;
	sysopen my $file, $offset_file, O_RDWR | O_CREAT or die "cannot set the clock: $!";
	syswrite($file, pack('q', $seconds)) == 8 or die "cannot set the clock: $!";
}

set_clock(0);
system_or_bail($ENV{CC} || 'cc', '-shared', '-fPIC', '-O2', '-o', "$directory/set_clock.so", "$FindBin::RealBin/set_clock.c");
sub with_clock
{
	my ($start) = @_;
	local $ENV{LD_PRELOAD} = "$directory/set_clock.so";
	local $ENV{CLOCK_OFFSET_FILE} = $offset_file;
	return $start->();
}
my $node = with_clock(sub { jit_node('alerts') });
$node->safe_psql('postgres', <<'SQL');
SELECT jit_create_template('glass', ARRAY['USAGE ON SCHEMA app'], requesters => '{alice}', approvers => '{dave}', responders => '{alice}',
	break_glass_duration => '1 hour');
SELECT jit_create_template('mine', ARRAY['USAGE ON SCHEMA app'], requesters => '{dave, carol}', approvers => '{dave}');
CREATE TABLE app.many AS SELECT generate_series(1, 20000) AS id;
SELECT jit_create_template('large', ARRAY['USAGE ON SCHEMA app', 'SELECT ON app.many'], requesters => '{carol}', approvers => '{dave}');
SQL

sub as
{
	my ($who, $sql) = @_;
	return $node->safe_psql('postgres', $sql, extra_params => [ '-U', $who ]);
}

# Waits until the rules have read the whole record.
sub wait_for_watched
{
	return $node->poll_query_until('postgres', 'SELECT w.seq = (SELECT max(seq) FROM jit_access.record) AND journal_unread_bytes = 0 '
		  . 'AND events_waiting = 0 FROM jit_access.detection_position w, jit_access.health');
}

# Returns the alerts of a rule, with the kinds of their evidence.
sub alerts_of
{
	my ($rule) = @_;
	wait_for_watched() or die 'the rules do not read on';
	return $node->safe_psql('postgres', "SELECT string_agg(concat_ws(' ', person, coalesce(grant_id::text, '-'), severity, state, count, (SELECT "
		  . "string_agg(kind || coalesce(' ' || nullif(sqlstate, '00000'), ''), ',' ORDER BY seq) FROM jit_access.record WHERE seq = ANY (evidence))), "
		  . "' | ' ORDER BY id) FROM jit_access.alerts WHERE rule = '$rule'");
}

sub set_rule { my ($rule, $change) = @_; $node->safe_psql('postgres', "SELECT jit_set_alert_rule('$rule', $change)"); }

# Stores a baseline, for the rules that need one.
sub learn
{
	my ($login, $kind, $days, @values) = @_;
	$node->safe_psql('postgres', "INSERT INTO jit_access.baseline SELECT p.person_id, '$kind', value, $days, now() - interval '40 days', now() - interval '1 day' "
		  . "FROM jit_access.person_of_login('$login') p, unnest(ARRAY[" . join(', ', map { "'$_'" } '', @values) . "]) value ON CONFLICT (person_id, kind, value) "
		  . 'DO UPDATE SET days = excluded.days');
}

# ---- rules that count ------------------------------------------------------------------------------------------------
my @ids = map { request_as($node, 'alice', 'reader', '1h') } 1 .. 6;
is(alerts_of('repeated_requests'), 'alice - low open 1 ' . join(',', ('requested') x 6), 'repeated_requests: the sixth within two hours');
as('dave', "SELECT jit_deny($_, 'no')") for @ids[ 0 .. 2 ];
is(alerts_of('repeated_denials'), '', 'repeated_denials: three are none');
as('dave', "SELECT jit_deny($ids[3], 'no')");
is(alerts_of('repeated_denials'), 'alice - medium open 1 denied,denied,denied,denied', 'repeated_denials: the fourth, about the requester');
as('alice', "SELECT jit_cancel($_)") for @ids[ 4 .. 5 ];

my $own = request_as($node, 'dave', 'mine', '1h');
sqlstate_ok(connect_as($node, 'dave')->query("SELECT jit_approve($own)"), 'JA006', 'dave approves a request of dave');
is(alerts_of('self_approval'), 'dave - high open 1 refusal JA006', 'self_approval: one is enough');

my $trap = request_as($node, 'carol', 'mine', '1h');
$node->safe_psql('postgres', "CREATE SCHEMA trap AUTHORIZATION carol");
as('carol', "CREATE FUNCTION trap.set(id bigint) RETURNS text LANGUAGE plpgsql AS \$\$ BEGIN RETURN jit_approve(id); EXCEPTION WHEN OTHERS THEN RETURN 'nothing'; END \$\$; GRANT USAGE ON SCHEMA trap TO dave");
is(as('dave', "SELECT trap.set($trap)"), 'nothing', 'dave runs a trap of carol');
is(alerts_of('trap_approval'), 'dave - high open 1 refusal JA018', 'trap_approval: also where the code hides the error');
is(as('dave', 'SELECT count(*) FROM jit_access.my_grants'), '0', 'nothing was given');

# ---- refused statements, and a suspension ----------------------------------------------------------------------------
my $forbidden = 'GRANT SELECT ON app.orders TO carol';
my ($id, $first) = (grant_to($node, 'alice', '1h'), connect_as($node, 'alice'));
$first->query('SELECT 1 FROM app.orders LIMIT 1');
sqlstate_ok($first->query($forbidden), 'JA016', "refused statement $_") for 1 .. 9;
is(alerts_of('refusal_burst'), '', 'refusal_burst: nine are none');
# The server is stopped in the middle.
$node->stop('immediate');
with_clock(sub { $node->start });
$node->poll_query_until('postgres', "SELECT confirmed FROM jit_access.active_grants WHERE id = $id") or die 'not confirmed';
my $again = connect_as($node, 'alice');
$again->query('SELECT 1 FROM app.orders LIMIT 1');
sqlstate_ok($again->query($forbidden), 'JA016', 'the tenth, after a crash of the server');
is(alerts_of('refusal_burst'), "alice $id high open 1 " . join(',', ('refusal JA016') x 10), 'refusal_burst: the tenth, with those before the crash');
is($node->safe_psql('postgres', "SELECT state FROM jit_access.active_grants WHERE id = $id"), 'active', 'by default nothing is suspended');

# Refusals inside the statements of a holder may come from code of other users, so they suspend nothing.
set_rule('refusal_burst', 'suspends => true, threshold => 3');
$again->query("DO \$\$ BEGIN FOR i IN 1 .. 5 LOOP BEGIN GRANT SELECT ON app.orders TO carol; EXCEPTION WHEN OTHERS THEN NULL; END; END LOOP; END \$\$");
wait_for_watched();
is($node->safe_psql('postgres', "SELECT state FROM jit_access.active_grants WHERE id = $id"), 'active', 'refusals inside a statement suspend nothing');
my $holds = connect_as($node, 'alice');
$holds->query('BEGIN');
$holds->query("SELECT jit_revoke($id)");    # keeps the row locked
$again->query($forbidden) for 1 .. 2;
ok($node->poll_query_until('postgres', "SELECT state = 'suspended' FROM jit_access.request WHERE id = $id"), 'suspended, although its holder keeps the row locked');
like(connect_as($node, 'alice')->query('SELECT count(*) FROM app.orders')->{sqlstate}, qr/^(JA010|JA011)$/, 'and refused at once');
closed_ok($again, 'the session that used it is ended');
is($node->safe_psql('postgres', "SELECT login || ' ' || (detail ->> 'reason') FROM jit_access.audit_log WHERE kind = 'suspended' AND grant_id = $id") =~ s/alert \d+/alert N/r,
	'jit_access alert N: refusal_burst', 'the record names the alert');
is(as('dave', "SELECT jit_resume($id)"), 'active', 'an approver resumes it');
$node->safe_psql('postgres', "SELECT jit_revoke($id)");
wait_for_cleanup($node, $id);
set_rule('refusal_burst', 'suspends => false, threshold => 10');

# ---- second factor ---------------------------------------------------------------------------------------------------
my $carol = connect_as($node, 'carol');
$carol->query('SELECT * FROM jit_enroll_totp()');
sqlstate_ok($carol->query("SELECT jit_step_up('00000$_')"), 'JA020', "a wrong code $_") for 1 .. 5;
is(alerts_of('failed_second_factor'), 'carol - high open 1 ' . join(',', ('refusal JA020') x 5), 'failed_second_factor: the fifth');

# ---- break-glass -----------------------------------------------------------------------------------------------------
my $glass = as('alice', "SELECT jit_break_glass('glass', '10 minutes', 'all is down')");
is(alerts_of('break_glass'), "alice $glass high open 1 break-glass", 'break_glass: once, with the record of it');
as('alice', "SELECT jit_revoke($glass)");
as('dave', "SELECT jit_review($glass, 'not_justified', 'it was not')");
is(alerts_of('break_glass_not_justified'), "alice $glass high open 1 reviewed", 'break_glass_not_justified: once, with the review');

# ---- rules with a baseline -------------------------------------------------------------------------------------------
learn('bob', 'template', 30, 'something');
my $odd = request_as($node, 'bob', 'changer', '1h');
is(alerts_of('unusual_template'), "bob $odd medium open 1 requested", 'unusual_template: a template that neither the person nor similar people have requested');
as('bob', "SELECT jit_cancel($odd)");
is(alerts_of('unusual_hours'), '', 'unusual_hours: too little history');
my $hour = $node->safe_psql('postgres', "SELECT to_char((now() + interval '10 hours') AT TIME ZONE 'UTC', 'HH24')");
learn('bob', 'hour', 100, $hour);
$odd = request_as($node, 'bob', 'changer', '1h');
is(alerts_of('unusual_hours'), "bob $odd medium open 1 requested", 'unusual_hours: ten hours away from the usual hours');
as('dave', "SELECT jit_approve($odd)");
learn('bob', 'network', 30, '10.1.2.0/24');
as('bob', "SET ROLE jit_grant_$odd; SELECT count(*) FROM app.orders");
like(alerts_of('new_network'), qr/^bob $odd medium open 1 use$/, 'new_network: from a socket, for a user of the network');
as('bob', "SET ROLE jit_grant_$odd; SELECT count(*) FROM app.orders");
like(alerts_of('new_network'), qr/^bob $odd medium open 1 use$/, 'new_network: which is not new any more');
$node->safe_psql('postgres', "SELECT jit_revoke($odd)");

$node->safe_psql('postgres', "INSERT INTO jit_access.template_volume SELECT id, array_fill(1000::bigint, ARRAY[30]) FROM jit_access.template WHERE name = 'large'");
# The holder keeps its row locked while reading.
my $kept = request_as($node, 'carol', 'large', '1h');
approve_as($node, 'dave', $kept);
my $keeper = connect_as($node, 'carol');
$keeper->query('BEGIN');
$keeper->query("SELECT jit_revoke($kept)");
as('carol', 'SELECT id FROM app.many');
# If a use has not ended when it is taken over, its number of rows is in its outcome.
sub unusual { return alerts_of('unusual_rows') =~ s/\boutcome\b/use/gr }
my $unusual = "carol $kept high open 1 use";
is(unusual(), $unusual, 'unusual_rows: also while its holder keeps the row locked');
$keeper->query('ROLLBACK');
$node->safe_psql('postgres', "SELECT jit_revoke($kept)");
wait_for_cleanup($node, $kept);

my $large = request_as($node, 'carol', 'large', '1h');
approve_as($node, 'dave', $large);
as('carol', 'SELECT id FROM app.many LIMIT 8000');
is(unusual(), $unusual, 'unusual_rows: eight times the usual rows is not');
as('carol', 'SELECT id FROM app.many LIMIT 8000');
# The evidence is the use or its outcome, depending on whether the record was read before the use ended.
like(unusual(), qr/^\Q$unusual\E \| carol $large high open 1 (use|outcome)$/, 'unusual_rows: sixteen times is, added up over statements and sessions');

# ---- drift, the clock, the record ------------------------------------------------------------------------------------
$node->safe_psql('postgres', "GRANT jit_grant_$large TO bob");
$node->poll_query_until('postgres', "SELECT count(*) > 0 FROM jit_access.audit_log WHERE kind = 'drift'") or die 'no drift';
is(alerts_of('drift'), "bob $large high open 1 drift", 'drift: about the new member');
$node->safe_psql('postgres', "SELECT jit_revoke($large)");
set_clock(-30);
$node->poll_query_until('postgres', "SELECT count(*) = 1 FROM jit_access.audit_log WHERE kind = 'clock jumped'") or die 'no jump';
is(alerts_of('clock_jump'), 'jit_access - high open 1 clock jumped', 'clock_jump');
set_clock(0);
$node->poll_query_until('postgres', "SELECT count(*) = 2 FROM jit_access.audit_log WHERE kind = 'clock jumped'") or die 'no jump';
is(alerts_of('clock_jump'), 'jit_access - high open 2 clock jumped,clock jumped', 'clock_jump: back again, counted');

set_rule('record_lag', 'threshold => 6');
$id = grant_to($node, 'bob', '1h');
stop_worker($node);
as('bob', "SET ROLE jit_grant_$id; SELECT count(*) FROM app.orders");
$node->poll_query_until('postgres', "SELECT clock_timestamp() > journal_unread_since + interval '7 seconds' FROM jit_access.status()") or die 'no lag';
continue_worker($node);
$node->poll_query_until('postgres', "SELECT count(*) > 0 FROM jit_access.audit_log WHERE kind = 'record lagged'") or die 'no lag on the record';
is(alerts_of('record_lag'), 'jit_access - medium open 1 record lagged', 'record_lag');

# These kinds of records are written by other parts of the extension.
my @kinds = ('chain broken', 'scenario failed', 'drill failed', 'review overdue');
$node->safe_psql('postgres', "INSERT INTO jit_access.event (at, kind, actor, detail) SELECT clock_timestamp(), kind, 'jit_access', '{}' FROM unnest('{"
	  . join(',', map { "\"$_\"" } @kinds) . "}'::text[]) kind");
$node->poll_query_until('postgres', "SELECT count(*) = 4 FROM jit_access.record WHERE kind IN (" . join(',', map { "'$_'" } @kinds) . ')');
for my $kind (@kinds)
{
	my $rule = $kind =~ s/ /_/r;
	like(alerts_of($rule), qr/^jit_access - (high|medium) open 1 $kind$/, "$rule: $kind");
}

# ---- a rule that fails -----------------------------------------------------------------------------------------------
$node->safe_psql('postgres', "ALTER TABLE jit_access.template_volume RENAME TO gone");
$node->safe_psql('postgres', "UPDATE jit_access.grant_volume SET reported = 0");
as('bob', "SET ROLE jit_grant_$id; SELECT count(*) FROM app.orders");
as('bob', "SET ROLE jit_grant_$id; SELECT count(*) FROM app.orders");
my $denied = request_as($node, 'dave', 'mine', '1h');
sqlstate_ok(connect_as($node, 'dave')->query("SELECT jit_approve($denied)"), 'JA006', 'dave tries again');
is(alerts_of('self_approval'), 'dave - high open 2 refusal JA006,refusal JA006', 'the others go on');
like($node->safe_psql('postgres', "SELECT string_agg(name || ' ' || error, ',') FROM jit_access.alert_rules WHERE error IS NOT NULL"), qr/^unusual_rows relation .* does not exist$/, 'the view says which has failed, and why');
is(scalar(() = slurp_file($node->logfile) =~ /alert rule unusual_rows has failed/g), 1, 'said once');
$node->safe_psql('postgres', "ALTER TABLE jit_access.gone RENAME TO template_volume");

# ---- a session that keeps an alert locked ----------------------------------------------------------------------------
# An auditor who works on an alert and leaves the transaction open loses the session; no alert is lost.
sub keep_locked
{
	my ($alert) = @_;
	my $erin = connect_as($node, 'erin');
	$erin->query('BEGIN');
	$erin->query("SELECT jit_acknowledge_alert($alert, 'let me see')");
	return $erin;
}
my $keeps = keep_locked($node->safe_psql('postgres', "SELECT id FROM jit_access.alert WHERE rule = 'self_approval'"));
connect_as($node, 'dave')->query("SELECT jit_approve($denied)");
is(alerts_of('self_approval'), 'dave - high open 3 refusal JA006,refusal JA006,refusal JA006', 'a finding about a locked alert is not lost');
closed_ok($keeps, 'the session that kept it locked is ended');
is($node->safe_psql('postgres', "SELECT count(*) FROM jit_access.alert_rule WHERE error LIKE '%lock%'"), '0', 'no rule has failed for it');

my $suspended = grant_to($node, 'alice', '1h');
stop_worker($node);
my $locked = $node->safe_psql('postgres', "INSERT INTO jit_access.alert (rule, severity, person, person_id, grant_id, first_seen, last_seen, count, detail, evidence, suspends) "
	  . "VALUES ('refusal_burst', 'high', 'alice', 'x', $suspended, now(), now(), 1, '{}', '{}', true) RETURNING id");
$keeps = keep_locked($locked);
continue_worker($node);
ok($node->poll_query_until('postgres', "SELECT state = 'suspended' FROM jit_access.request WHERE id = $suspended"), 'nor does a locked alert keep a grant from being suspended');
closed_ok($keeps, 'the session that kept it locked is ended');
$node->safe_psql('postgres', "SELECT jit_revoke($suspended)");
$node->safe_psql('postgres', "DELETE FROM jit_access.alert WHERE id = $locked");

# ---- nothing twice, everything announced ----------------------------------------------------------------------------------
my $before = $node->safe_psql('postgres', 'SELECT string_agg(a::text, chr(10) ORDER BY id) FROM jit_access.alert a');
$node->stop('immediate');
with_clock(sub { $node->start });
ok($node->poll_query_until('postgres', 'SELECT worker_pid IS NOT NULL FROM jit_access.health') && wait_for_watched(), 'after another crash');
is($node->safe_psql('postgres', 'SELECT string_agg(a::text, chr(10) ORDER BY id) FROM jit_access.alert a'), $before, 'every alert is unchanged');
is($node->safe_psql('postgres', "SELECT count(*) FROM jit_access.alert a WHERE NOT EXISTS (SELECT FROM jit_access.record r WHERE r.kind = 'alert raised' AND r.detail ->> 'alert' = a.id::text)"),
	'0', 'each is on the record');
my %logged = map { decode_json($_)->{alert} => 1 } slurp_file($node->logfile) =~ /LOG:  jit_access: alert (\{.*\})$/mg;
is(join(',', sort { $a <=> $b } keys %logged), $node->safe_psql('postgres', "SELECT string_agg(id::text, ',' ORDER BY id) FROM jit_access.alert"), 'and in the server log');
record_is_sound($node, 'alerts');
$node->stop('fast');
done_testing();
