
# docs/policy.md, executed as it stands there, see 090_tour.pl.
use strict;
use warnings;

use FindBin;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;

our $document = 'docs/policy.md';
do "$FindBin::RealBin/090_tour.pl";
die $@ if $@;
