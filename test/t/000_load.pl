# The library has to be preloaded: it owns shared memory, hooks and a worker. Without that, CREATE EXTENSION says so.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('load');
$node->init;
$node->start;

my ($status, $stdout, $stderr) = $node->psql('postgres', 'CREATE EXTENSION jit_access');
isnt($status, 0, 'CREATE EXTENSION is refused without the preloaded library');
like($stderr, qr/shared_preload_libraries/, 'and names the setting to change');
is( $node->safe_psql('postgres', q{SELECT count(*) FROM pg_extension WHERE extname = 'jit_access'}),
	'0', 'nothing was created');

$node->append_conf('postgresql.conf', <<'CONF');
shared_preload_libraries = 'jit_access'
jit_access.database = 'postgres'
CONF
$node->restart;

is($node->psql('postgres', 'CREATE EXTENSION jit_access'), 0, 'CREATE EXTENSION succeeds with the library preloaded');

$node->stop;
done_testing();
