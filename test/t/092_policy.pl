
# Runs docs/policy.md as it is written, see 090_tour.pl.
use strict;
use warnings;

use FindBin;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;

our $document = 'docs/policy.md';
do "$FindBin::RealBin/090_tour.pl";
die $@ if $@;
