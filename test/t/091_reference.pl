# docs/reference.md agrees with the catalogs, in both directions: functions and their arguments, views and their
# columns, settings, roles, types, tables. It also checks that everything that can have a comment has one.
use strict;
use warnings;

use Cwd qw(abs_path);
use File::Basename;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

sub slurp
{
	my ($file) = @_;
	open my $in, '<', $file or die "$file: $!";
	local $/;
	return <$in>;
}

my $reference = slurp(dirname(abs_path($0)) . '/../../docs/reference.md');

# Returns the part under a heading of the second level.
sub part
{
	my ($heading) = @_;
	my ($text) = $reference =~ /^## \Q$heading\E\n(.*?)(?=^## |\z)/ms;
	return $text // die "no part \"$heading\"";
}

# Returns the rows of the tables in a text, without their heads.
sub rows
{
	my ($text) = @_;
	my @rows;
	while ($text =~ /^\|[- |]+\|\n((?:\|.*\n)+)/mg)
	{
		push @rows, map { [ map { s/^ | $//gr } (split /\|/, s/^\||\|$//gr, -1) ] } split /\n/, $1;
	}
	return @rows;
}

sub same
{
	my ($documented, $existing, $what) = @_;
	return is(join("\n", sort @$documented), join("\n", sort @$existing), $what);
}

my $node = PostgreSQL::Test::Cluster->new('reference');
$node->init;
$node->append_conf('postgresql.conf', "shared_preload_libraries = 'jit_access'");
$node->start;
my $roles_before = $node->safe_psql('postgres', 'SELECT rolname FROM pg_roles');
$node->safe_psql('postgres', 'CREATE EXTENSION jit_access');

sub ask
{
	my ($sql) = @_;
	return split /\n/, $node->safe_psql('postgres', $sql);
}

sub members
{
	my ($catalog) = @_;
	return "(SELECT objid FROM pg_depend WHERE classid = '$catalog'::regclass AND deptype = 'e' AND refclassid = "
	  . "'pg_extension'::regclass AND refobjid = (SELECT oid FROM pg_extension WHERE extname = 'jit_access'))";
}

# Writes types as in the documentation, and defaults without their casts.
sub plainly
{
	my ($signature) = @_;
	return $signature =~ s/timestamp with time zone/timestamptz/gr =~ s/::time without time zone//gr =~ s/::\w+(?:\[\])?//gr =~ s/\s+/ /gr =~ s/\( /(/gr =~ s/"//gr;
}

my %described = $reference =~ /^### (\S+)\n\n```\n(.*?)^```/msg;
my @signatures = map { plainly($_ =~ s/\s+\z//r) } values %described;
same(\@signatures, [
		map { plainly($_) } ask(
			"SELECT oid::regproc || '(' || pg_get_function_arguments(oid) || ') RETURNS ' || pg_get_function_result(oid)
			FROM pg_proc WHERE oid IN " . members('pg_proc'))
	], 'functions, their arguments, defaults and results');
is_deeply([ grep { $described{$_} !~ /^\Q$_\E\(/ } sort keys %described ], [], 'under their own headings');

my %errors = $reference =~ /^### (\S+)\n(?:(?!^###? ).)*?^Who: (?:(?!^###? ).)*?\sErrors: ([A-Z0-9,\s]+)\.$/msg;
s/\s+/ /g for values %errors;    # lists are wrapped
same([ map { "$_: $errors{$_}" } keys %errors ], [
		ask("SELECT oid::regproc || ': ' || substring(obj_description(oid, 'pg_proc') FROM 'Errors: (.*)[.]')
			FROM pg_proc WHERE obj_description(oid, 'pg_proc') LIKE '%Errors: %' AND oid IN " . members('pg_proc'))
	], 'errors of functions, as in their comments');

my @columns;
my $views = part('Views');
while ($views =~ /^### (\S+)\n(.*?)(?=^### |\z)/msg)
{
	my $view = $1;
	push @columns, map { "$view $_->[0] $_->[1]" } rows($2);
}
is(join("\n", @columns), join("\n", map { plainly($_) } ask(
			"SELECT c.oid::regclass || ' ' || attname || ' ' || format_type(atttypid, atttypmod)
			FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND attnum > 0 AND NOT attisdropped
			WHERE relkind = 'v' AND c.oid IN " . members('pg_class') . "
			ORDER BY array_position('{" . join(',', $views =~ /^### (\S+)/mg) . "}', c.oid::regclass::text), attnum")),
	'views and their columns, in their order');

same([ map { $_->[0] } rows(part('Tables')) ],
	[ ask("SELECT oid::regclass FROM pg_class WHERE relkind IN ('r', 'p') AND oid IN " . members('pg_class')) ], 'tables');

same([ map { "$_->[0]: $_->[1]" } rows(part('Types')) ], [
		ask("SELECT enumtypid::regtype || ': ' || string_agg(enumlabel, ', ' ORDER BY enumsortorder)
			FROM pg_enum WHERE enumtypid IN " . members('pg_type') . ' GROUP BY enumtypid')
	], 'types and their labels');

same([ map { join ' ', @$_[ 0 .. 2 ] } rows(part('Settings')) ],
	[ ask("SELECT concat_ws(' ', name, boot_val || coalesce(unit, ''), context) FROM pg_settings WHERE name LIKE 'jit_access.%'") ],
	'settings, their defaults and contexts');

my %before = map { $_ => 1 } split /\n/, $roles_before;
same([ map { $_->[0] } rows(part('Roles')) ], [ grep { !$before{$_} } ask('SELECT rolname FROM pg_roles') ], 'roles');

my %catalogs = (pg_proc => 'oid::regprocedure', pg_class => 'oid::regclass', pg_type => 'oid::regtype', pg_namespace => 'nspname');
for my $catalog (sort keys %catalogs)
{
	# From 17 on the types of rows and of arrays are members of the extension as well.
	my $condition = { pg_class => "AND relkind IN ('r', 'p', 'v')", pg_type => "AND typtype = 'e'" }->{$catalog} // '';
	is( $node->safe_psql('postgres', "SELECT $catalogs{$catalog} FROM $catalog WHERE oid IN " . members($catalog)
			  . " $condition AND obj_description(oid, '$catalog') IS NULL"),
		'', "everything in $catalog has a comment");
}

$node->stop;
done_testing();
