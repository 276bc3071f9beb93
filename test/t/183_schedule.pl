# Scheduled jobs are run by hand, by the worker if pg_cron is missing or does not run, and by pg_cron in both of its
# ways.
use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use JitTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

chomp(my $share = qx("$ENV{PG_CONFIG}" --sharedir));
my $has_cron = -e "$share/extension/pg_cron.control";
my $node;

sub ask { my ($sql) = @_; return $node->safe_psql('postgres', $sql) }
sub becomes { my ($sql, $name) = @_; local $Test::Builder::Level = $Test::Builder::Level + 1; return ok($node->poll_query_until('postgres', "SELECT $sql"), $name) }

# An administrator who is no superuser, and jobs of the test's own.
sub add_jobs
{
	$node->safe_psql('postgres', <<'SQL');
CREATE ROLE ada LOGIN IN ROLE jit_admin;
CREATE TABLE app.go (at timestamptz);
CREATE FUNCTION jit_access.job_slow() RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	WHILE NOT EXISTS (SELECT FROM app.go) LOOP PERFORM pg_sleep(0.01); END LOOP;
	RETURN 'went';
END $$;
CREATE FUNCTION jit_access.job_bad() RETURNS text LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'it rains'; END $$;
INSERT INTO jit_access.job (name, schedule, every, essential, description) VALUES
	('slow', '* * * * *', '1 day', true, 'waits'), ('bad', '* * * * *', '1 day', false, 'fails'), ('gone', '* * * * *', '1 day', true, 'has no function');
SQL
	return;
}

# ---- with pg_cron: its jobs run at the full minute, so both servers begin before the tests without it
my %ways = (login => 'off', worker => 'on');
my %nodes;
for my $how ($has_cron ? sort keys %ways : ())
{
	$node = $nodes{$how} = jit_node("by_$how",
		conf => "shared_preload_libraries = 'jit_access,pg_cron'\ncron.database_name = 'postgres'\ncron.use_background_workers = $ways{$how}\nmax_worker_processes = 20\n");
	$node->append_conf('postgresql.conf', "cron.host = '" . $node->host . "'");
	$node->restart;
	add_jobs();
	ask(q{CREATE EXTENSION pg_cron; GRANT USAGE ON SCHEMA cron TO PUBLIC; DELETE FROM jit_access.job WHERE name = 'slow'});
	my $owner = ask("SELECT extowner::regrole FROM pg_extension WHERE extname = 'jit_access'");
	my $ada = connect_as($node, 'ada');
	my $available = ask("SELECT count(*) FROM jit_access.jobs WHERE available");

	is(scalar @{ $ada->query('SELECT * FROM jit_schedule()')->{rows} }, $available, "$how: an administrator schedules all jobs");
	my $jobs = q{SELECT string_agg(concat_ws('|', jobname, schedule, command, database, username, active), ',' ORDER BY jobname) FROM cron.job};
	my $made = ask($jobs);
	like($made, qr/jit_access: verify\|20 2 \* \* \*\|SELECT jit_access.run_job\('verify'\)\|postgres\|$owner\|t/, "$how: a job runs one call, as the owner of the extension");
	$ada->query('SELECT * FROM jit_schedule()');
	is(ask($jobs), $made, "$how: to schedule again changes nothing");
	is(ask("SELECT string_agg(DISTINCT cron, ',') FROM jit_access.jobs WHERE available"), 'as scheduled', "$how: the view says so");
	sqlstate_ok($ada->query('DO $$ BEGIN PERFORM jit_schedule(); END $$'), 'JA018', "$how: scheduling is a statement of one's own");
	is($ada->query(q{SELECT * FROM jit_schedule('verify', 'now and then')})->{message}, 'job "verify" cannot be scheduled', "$how: a schedule that is none");
	sqlstate_ok($ada->query(q{SELECT * FROM jit_schedule('verify', E'* * * *\n*')}), 'JA001', "$how: a schedule of two lines");
	sqlstate_ok($ada->query(q{SELECT * FROM jit_schedule(NULL, '* * * * *')}), 'JA001', "$how: a schedule for no job");
	sqlstate_ok($ada->query(q{SELECT * FROM jit_schedule('gone')}), 'JA001', "$how: a job without a function");
	is(ask($jobs), $made, "$how: none of that has changed anything");

	# These users might be able to change the command of the owner's job.
	sqlstate_ok($ada->query(q{UPDATE cron.job SET command = 'ALTER ROLE ada SUPERUSER'}), '42501', "$how: an administrator does not write into pg_cron");
	sqlstate_ok($ada->query(q{SELECT cron.alter_job((SELECT min(jobid) FROM cron.job), command => 'ALTER ROLE ada SUPERUSER')}), '42501', "$how: nor changes a job");
	ask(q{GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA cron TO ada});
	sqlstate_ok($ada->query(qq{SELECT cron.alter_job($_, command => 'ALTER ROLE ada SUPERUSER')}), 'XX000', "$how: nor the job of another user that ada could alter") for ask(q{SELECT min(jobid) FROM cron.job});
	sqlstate_ok($ada->query(q{SELECT cron.schedule('jit_access: verify', '* * * * *', 'SELECT 1')}), 'no error', "$how: one of the same name");
	is(ask(q{SELECT username FROM cron.job WHERE command = 'SELECT 1'}), 'ada', "$how: belongs to ada");
	is(ask(q{SELECT cron FROM jit_access.jobs WHERE name = 'verify'}), 'changed', "$how: and is seen");
	$ada->query(qq{SELECT * FROM jit_schedule('$_', '* * * * *')}) for qw(verify drift);
	$ada->query(q{SELECT * FROM jit_schedule('bad')});
	is(ask(q{SELECT string_agg(cron, ',') FROM jit_access.jobs WHERE name IN ('verify', 'drift', 'bad')}), 'as scheduled,as scheduled,as scheduled', "$how: with another schedule");
	wait_for_drained($node);
	is(log_rows($node, "kind = 'job scheduled' AND login = 'ada'"), 2 * $available + 3, "$how: all that is on the record");
}

# ---- without pg_cron
$node = jit_node('plain');
add_jobs();
my $ada = connect_as($node, 'ada');
my $erin = connect_as($node, 'erin');
my $run = sub { my ($job) = @_; my $answer = $ada->query("SELECT jit_access.run_job('$job')"); return $answer->{rows}[0][0] // "$answer->{sqlstate} $answer->{message}: " . ($answer->{detail} // '') };

$erin->query('SELECT jit_audit_checkpoint()');
like($run->('verify'), qr/^sound: \d+ records up to \d+, anchored up to \d+, all of them$/, 'the record is verified, at first all of it');
is(ask('SELECT v.sound AND v.last_seq = h.record_verified_to AND v.first_seq = 1 FROM jit_access.verifications v, jit_access.health h'), 't', 'which reports can rely on');
like($run->('verify'), qr/^(?:sound|self-consistent): \d+ records? up to \d+, (?:anchored up to \d+|not anchored)$/, 'then the new records');
is(ask('SELECT count(*) FROM jit_access.verifications'), '1', 'which says nothing of the whole');
is($run->('retention'), 'dropped 0 partitions', 'nothing is old');
is($run->('drift'), 'found 0 differences', 'nothing is strange');
is($run->('review_reminders'), 'reminded of 0 reviews', 'nothing is overdue');
is($run->('bad'), 'JA005 job "bad" has failed: it rains', 'the error of a failed job is reported');
is($run->('nothing'), 'JA001 there is no job "nothing": It is not in jit_access.job, or has no function.', 'a job that is not there');
is($run->('gone'), 'JA001 there is no job "gone": It is not in jit_access.job, or has no function.', 'a job without a function');
sqlstate_ok($ada->query('SELECT jit_access.run_job(NULL)'), 'JA001', 'no job');
rows_ok($erin->query("SELECT jobs_failing, job_results ->> 'bad', job_results ->> 'drift' FROM jit_access.health"), '{bad},it rains,found 0 differences', 'health has the last results');
rows_ok($erin->query("SELECT name, failures, error, cron FROM jit_access.jobs WHERE error IS NOT NULL"), 'bad,1,it rains,NULL', 'and the view of jobs');

# Permissions.
for my $call ('SELECT jit_access.run_job(\'verify\')', 'SELECT jit_access.job_verify()', 'SELECT jit_access.job_drift()', 'SELECT jit_access.job_retention()',
	'SELECT jit_access.job_review_reminders()', 'SELECT * FROM jit_schedule()', 'SELECT jit_unschedule()', 'UPDATE jit_access.job SET essential = false')
{
	sqlstate_ok(connect_as($node, $_)->query($call), '42501', "$_ may not: $call") for qw(alice dave erin);
}
sqlstate_ok($ada->query("UPDATE jit_access.job SET schedule = 'never'"), '42501', 'an administrator does not write the table');
sqlstate_ok($ada->query('SELECT jit_access.job_verify()'), '42501', 'nor calls the function of a job past its process');
sqlstate_ok(connect_as($node, 'alice')->query('SELECT * FROM jit_access.jobs'), '42501', 'a requester does not see the jobs');

ask("GRANT EXECUTE ON FUNCTION jit_access.run_job(text) TO carol");
sqlstate_ok(connect_as($node, 'carol')->query("SELECT jit_access.run_job('verify')"), 'JA004', 'nor is EXECUTE enough to run one');
ask("REVOKE EXECUTE ON FUNCTION jit_access.run_job(text) FROM carol");

# A schema with the name of pg_cron's is not pg_cron.
ask(<<'SQL');
CREATE SCHEMA cron;
CREATE TABLE cron.job (jobid bigint, schedule text, command text, database text, active boolean, jobname text);
CREATE FUNCTION cron.schedule(text, text, text) RETURNS bigint LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'captured'; END $$;
CREATE FUNCTION cron.unschedule(bigint) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'captured'; END $$;
INSERT INTO cron.job VALUES (1, '* * * * *', 'x', 'postgres', true, 'jit_access: verify');
SQL
is($ada->query('SELECT * FROM jit_schedule()')->{message}, 'pg_cron is not in this database', 'a schema with the name of pg_cron is not used');
rows_ok($ada->query('SELECT jit_unschedule()'), '0', 'nor when jobs are taken away');

# A job runs once at a time, and grants end while it runs.
my $runs = connect_as($node, 'ada');
$runs->send("SELECT jit_access.run_job('slow')");
becomes("running FROM jit_access.jobs WHERE name = 'slow'", 'a job that takes its time');
is($run->('slow'), 'the job is already running', 'it is not run twice at once');
my $id = grant_to($node, 'alice', '1 second');
ok(wait_for_cleanup($node, $id), 'a grant ends and is cleaned up meanwhile');
ask('INSERT INTO app.go VALUES (now())');
rows_ok($runs->finish, 'went', 'it returns its result');
ask('TRUNCATE app.go');
$runs->send("SELECT jit_access.run_job('slow')");
becomes("running FROM jit_access.jobs WHERE name = 'slow'", 'once more');
is(ask("SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'jit_access job'"), '1', 'it is a process of its own');
ask("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'jit_access job'");
is($runs->finish->{message}, 'job "slow" was stopped before its end', 'one that is stopped says so');
rows_ok($erin->query("SELECT 'slow' = ANY (jobs_failing) FROM jit_access.health"), 't', 'and health');

# The worker runs only essential jobs that are due. A job that was stopped runs again.
my $long_ago = "due_from = now() - interval '3 days', started_at = started_at - interval '3 days'";
ask('INSERT INTO app.go VALUES (now())');
ask("UPDATE jit_access.job SET $long_ago WHERE name = 'slow'");
becomes("runs = 2 AND error IS NULL FROM jit_access.jobs WHERE name = 'slow'", 'the worker runs an essential job that is due');
ask("UPDATE jit_access.job SET runs = 0, $long_ago WHERE name IN ('verify', 'review_reminders', 'bad', 'drift', 'gone')");
becomes("count(*) = 2 FROM jit_access.job WHERE name IN ('verify', 'review_reminders') AND runs = 1", 'one after the other');
is(ask("SELECT string_agg(name || runs, ' ' ORDER BY name) FROM jit_access.job WHERE name IN ('bad', 'drift', 'gone')"), 'bad0 drift0 gone0', 'jobs that are not essential wait for pg_cron');
is(ask("SELECT jobs_overdue FROM jit_access.health"), '{}', 'nothing is overdue');

# A job that cannot start does not keep others from starting.
ask("UPDATE jit_access.job SET due_from = now() - interval '9 days', started_at = now() - interval '9 days' WHERE name = 'slow'");
my $keeper = connect_as($node, 'postgres');
$keeper->query('BEGIN');
$keeper->query("UPDATE jit_access.job SET runs = runs WHERE name = 'slow'");
ask("UPDATE jit_access.job SET runs = 0, $long_ago WHERE name = 'verify'");
becomes("runs = 1 FROM jit_access.job WHERE name = 'verify'", 'a job that cannot begin keeps no other from it');
$keeper->query('ROLLBACK');
$keeper->quit;

# This drift was not caused by a command that the hooks saw.
ask("INSERT INTO jit_access.template_person (template_id, part, role, role_name) SELECT id, 'requester', 'carol'::regrole, 'carol' FROM jit_access.template WHERE name = 'reader'");
ask('CREATE ROLE jit_grant_4711');
like($run->('drift'), qr/^found \d+ differences?$/, 'a sweep answers');
is(ask("SELECT to_regrole('jit_grant_4711') IS NULL"), 't', 'and has removed the unclaimed role');
stop_worker($node);
$runs->send("SELECT jit_access.run_job('drift')");
becomes("running FROM jit_access.job_state('drift')", 'a sweep waits for the worker');
continue_worker($node);
rows_ok($runs->finish, 'found 0 differences', 'until the job has finished');

# The record is tampered with.
wait_for_drained($node);
$run->('verify');
my $old = ask('SELECT max(seq) - 3 FROM jit_access.record');
ask("CREATE TABLE app.kept AS SELECT * FROM jit_access.record WHERE seq = $old; UPDATE jit_access.record SET login = 'nobody' WHERE seq = $old");
like($run->('verify'), qr/^(?:sound|self-consistent): \d+ records? up to/, 'records verified before are not verified each day');
ask("UPDATE jit_access.verification SET full_at = full_at - interval '8 days'");
like($run->('verify'), qr/^NOT SOUND: record $old: /, 'but once a week');
is(ask('SELECT sound FROM jit_access.verifications ORDER BY id DESC LIMIT 1'), 'f', 'and then no report calls it sound');
wait_for_drained($node);
like(ask("SELECT detail ->> 'what' FROM jit_access.audit_log WHERE kind = 'chain broken'"), qr/^record $old: /, 'which is on the record');
like(ask('SELECT record_finding FROM jit_access.health'), qr/^record $old: /, 'and in health');
ask("UPDATE jit_access.record r SET login = k.login FROM app.kept k WHERE r.seq = k.seq");
like($run->('verify'), qr/^sound: .*, anchored up to \d+, all of them$/, 'mended, it is looked at from the beginning');
is(ask('SELECT record_finding IS NULL AND record_verified_to > 0 AND record_verified_at IS NOT NULL FROM jit_access.health'), 't', 'health says that, too');
my $mark = ask('SELECT record_verified_to FROM jit_access.health');
ask("UPDATE jit_access.record SET hash = sha256(hash) WHERE seq = $mark");
is($run->('verify'), "NOT SOUND: record $mark was changed since it was verified", 'the row that it goes on from is compared');

# Reviews.
ask("SELECT jit_alter_template('reader', responders => '{alice}', break_glass_duration => '1 minute')");
$id = $node->safe_psql('postgres', q{SELECT jit_break_glass('reader', '1 second', 'nobody is here')}, extra_params => [ '-U', 'alice' ]);
is($run->('review_reminders'), 'reminded of 0 reviews', 'a review that is not due');
ask("UPDATE jit_access.review SET due_at = now() - interval '1 hour'");
is($run->('review_reminders'), 'reminded of 1 review', 'a review that is overdue');
is($run->('review_reminders'), 'reminded of 0 reviews', 'is reminded of once a day');
ask("UPDATE jit_access.reminder SET at = at - interval '1 day'");
is($run->('review_reminders'), 'reminded of 1 review', 'and again the next day');
wait_for_drained($node);
is(ask("SELECT count(*) || ' ' || min(grant_id) || min(detail ->> 'responder') FROM jit_access.audit_log WHERE kind = 'review overdue'"), "2 ${id}alice", 'the reminders are on the record');
ok(wait_for_cleanup($node, $id), 'its grant has ended');
$node->safe_psql('postgres', "SELECT jit_review($id, 'justified', 'yes')", extra_params => [ '-U', 'dave' ]);
ask("UPDATE jit_access.reminder SET at = at - interval '1 day'");
is($run->('review_reminders'), 'reminded of 0 reviews', 'until it is reviewed');
$_->quit for $ada, $erin, $runs;
$node->stop('fast');

# ---- with pg_cron: what it has run meanwhile
for my $how (sort keys %nodes)
{
	$node = $nodes{$how};
	becomes("count(*) = 3 FROM jit_access.job WHERE name IN ('verify', 'drift', 'bad') AND runs > 0", "$how: pg_cron runs them");
	like(ask(q{SELECT result FROM jit_access.jobs WHERE name = 'verify'}), qr/^(?:sound|self-consistent): /, "$how: with their results");
	is(ask(q{SELECT error FROM jit_access.jobs WHERE name = 'bad'}), 'it rains', "$how: and errors");
	becomes(q{count(DISTINCT command) = 3 FROM cron.job_run_details WHERE command LIKE 'SELECT jit_access.run_job%' AND status = CASE WHEN command LIKE '%bad%' THEN 'failed' ELSE 'succeeded' END},
		"$how: pg_cron knows as well") or diag(ask("SELECT string_agg(concat_ws(' ', start_time, command, status, return_message), E'\\n' ORDER BY runid) FROM cron.job_run_details"));

	# A permitted user has changed the command. The job is no longer run by pg_cron, and the worker runs the essential
	# ones.
	ask(q{SELECT cron.alter_job(jobid, command => 'SELECT 2') FROM cron.job WHERE jobname = 'jit_access: verify'});
	is(ask(q{SELECT cron FROM jit_access.jobs WHERE name = 'verify'}), 'changed', "$how: another command is seen");
	my $runs = ask(q{SELECT runs FROM jit_access.job WHERE name = 'verify'});
	ask(q{UPDATE jit_access.job SET started_at = now() - interval '3 days', scheduled_at = now() - interval '3 days' WHERE name IN ('verify', 'bad')});
	is(ask(q{SELECT 'bad' = ANY (jobs_overdue) FROM jit_access.health}), 't', "$how: a job that does not run is overdue");
	becomes("runs > $runs FROM jit_access.job WHERE name = 'verify'", "$how: the worker runs the essential job");

	my $ada = connect_as($node, 'ada');
	my $count = ask(q{SELECT count(*) FROM cron.job WHERE jobname LIKE 'jit\_access: %'});
	rows_ok($ada->query('SELECT jit_unschedule()'), $count, "$how: they are taken away");
	rows_ok($ada->query('SELECT jit_unschedule()'), '0', "$how: once");
	is(ask('SELECT count(*) FROM cron.job'), '0', "$how: none is left");
	is(ask(q{SELECT count(*) FROM jit_access.jobs WHERE cron <> 'missing' OR scheduled_at IS NOT NULL}), '0', "$how: and the view says so");
	$node->stop('fast');
}
note('pg_cron is not installed for this server') unless $has_cron;
done_testing();
