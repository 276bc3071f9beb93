#!/usr/bin/perl
# Prints include/jit_access/core/unicode_table.hpp from the Unicode Character Database (Debian package unicode-data):
#     perl src/core/make_unicode_table.pl /usr/share/unicode > include/jit_access/core/unicode_table.hpp
use strict;
use warnings;

my ($directory) = @ARGV;
die "usage: $0 DIRECTORY\n" unless defined $directory && -d $directory;

# Visits the lines "first..last ; property" of a file of properties.
sub properties
{
	my ($file, $visit) = @_;
	open my $in, '<', "$directory/$file" or die "$directory/$file: $!\n";
	while (<$in>)
	{
		$visit->(hex $1, hex($2 // $1), $3) if /^([0-9A-F]+)(?:\.\.([0-9A-F]+))?\s*;\s*(\w+)/;
	}
	return;
}

my (%hidden, %space);

# Categories, and names: no property says that a character of an ordinary category shows nothing, but its name does.
open my $in, '<', "$directory/UnicodeData.txt" or die "$directory/UnicodeData.txt: $!\n";
my $first;
while (<$in>)
{
	my ($code, $name, $category) = split /;/;
	$first = $code if $name =~ /, First>$/;
	my @codes = $name =~ /, Last>$/ ? (hex($first) .. hex($code)) : hex $code;
	@hidden{@codes} = () if $category =~ /^(?:Cc|Cf|Cs|Zl|Zp)$/ || $name =~ / BLANK$/;
}
properties('DerivedCoreProperties.txt', sub { my ($from, $to, $name) = @_; @hidden{ $from .. $to } = () if $name eq 'Default_Ignorable_Code_Point' });
properties('PropList.txt', sub {
	my ($from, $to, $name) = @_;
	@hidden{ $from .. $to } = () if $name =~ /^(?:Bidi_Control|Join_Control|Noncharacter_Code_Point)$/;
	@space{ $from .. $to } = () if $name eq 'White_Space';
});

sub ranges
{
	my @codes = sort { $a <=> $b } @_;
	my @ranges;
	for my $code (@codes)
	{
		if (@ranges && $ranges[-1][1] == $code - 1) { $ranges[-1][1] = $code }
		else { push @ranges, [ $code, $code ] }
	}
	return join '', map { sprintf "    {0x%04X, 0x%04X},\n", @$_ } @ranges;
}

open my $version_file, '<', "$directory/PropList.txt" or die "$directory/PropList.txt: $!\n";
my ($version) = <$version_file> =~ /^# PropList-([\d.]+)\.txt/ or die "PropList.txt has no version\n";

print <<"HEADER";
// Made by src/core/make_unicode_table.pl from the Unicode Character Database, version $version. Do not edit;
// test/arch/unicode compares this file with the output of the script.
#pragma once

#include "jit_access/core/zone.hpp"

namespace jit::core {

struct CodePoints {
    char32_t first;
    char32_t last;
};

// The categories Cc, Cf, Cs, Zl and Zp, the properties Default_Ignorable_Code_Point, Bidi_Control, Join_Control and
// Noncharacter_Code_Point, and characters whose names end with BLANK.
// clang-format off
inline constexpr CodePoints hidden_code_points[] = {
${\ ranges(keys %hidden)}};

// The property White_Space.
inline constexpr CodePoints white_space[] = {
${\ ranges(keys %space)}};
// clang-format on

}  // namespace jit::core
HEADER
