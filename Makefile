# jit_access: build, install and every check. `make help` lists the targets.
EXTENSION  = jit_access
EXTVERSION = $(shell sed -n "s/^default_version *= *'\(.*\)'/\1/p" jit_access.control)
MODULE_big = jit_access

# The install script, in the order of a grant's life.
SQL_PARTS  = $(sort $(wildcard sql/[0-9]*.sql))
DATA_built = sql/jit_access--$(EXTVERSION).sql
DOCS       = docs/reference.md

CORE_SOURCES = $(wildcard src/core/*.cpp)
OBJS         = $(patsubst %.cpp,%.o,$(filter-out src/verify/%,$(wildcard src/*.cpp src/*/*.cpp)))

JIT_CXXFLAGS = -std=c++20 -Wall -Wextra -Wno-missing-field-initializers -fvisibility=hidden -fvisibility-inlines-hidden -MMD -MP
# The server's headers are not ours to mend: -isystem. A result assigned under PG_TRY is only read when nothing jumped.
JIT_CXXFLAGS += -Wno-clobbered
# GCC 12 sees ghosts in a std::optional of a container.
JIT_CXXFLAGS += -Wno-maybe-uninitialized
PG_CPPFLAGS  = -isystem $(shell $(PG_CONFIG) --includedir-server) -Iinclude -D'PGDLLEXPORT=__attribute__((visibility("default")))'
# Across files: what a statement under a grant goes through is small functions of many of them.
PG_CXXFLAGS  = $(JIT_CXXFLAGS) -flto=auto
SHLIB_LINK   = -lstdc++ -loath -lqrencode -lcrypto -Wl,--version-script=src/exports.map
EXTRA_CLEAN  = build $(OBJS:.o=.d) $(DATA_built)

.DEFAULT_GOAL := all
MAKEFLAGS += --no-print-directory

# The stand-alone verifier: core/ and OpenSSL, no server.
SCRIPTS_built = build/bin/jit-verify

# Targets that must work before the server's development files are there.
PG_CONFIG ?= pg_config
export PG_CONFIG
PGXS := $(shell $(PG_CONFIG) --pgxs 2>/dev/null)

ifneq ($(wildcard $(PGXS)),)
# PGXS passes no C++ flags to its bitcode rule; the server's JIT does not need ours.
override with_llvm := no
include $(PGXS)
else
.PHONY: all install
all install:
	test/deps build
	$(MAKE) $@
endif

.PHONY: help demo test test-installed bench matrix fuzz crash lint unit fuzz-programs print-cxxflags

help:
	@echo "make            build the extension"
	@echo "make install    install it"
	@echo "make demo       play the main story on a throw-away server (KEEP=1 leaves it up)"
	@echo "make test       every test, on a throw-away server"
	@echo "make bench      measure, as ratios taken in one run (also bench-idle, bench-audit, bench-deadline, bench-report, bench-alerts)"
	@echo "make matrix     make test on PostgreSQL 15, 17 and 18"
	@echo "make fuzz       the journal's parser under libFuzzer, for ten minutes (FUZZ_SECONDS)"
	@echo "make crash      kill processes under load, 200 times, and compare clients and record (KILLS, SEED)"
	@echo "make lint       format, static analysis, zones, exports, META.json"

$(DATA_built): $(SQL_PARTS)
	cat $^ > $@

$(OBJS): Makefile
jit_access.so: src/exports.map

build/bin/jit-verify: src/verify/jit_verify.cpp src/verify/hasher.hpp $(CORE_SOURCES) $(wildcard include/jit_access/core/*.hpp)
	@mkdir -p $(@D)
	$(CXX) $(JIT_CXXFLAGS) -O2 -Iinclude -o $@ $< $(CORE_SOURCES) -lcrypto

test:
	test/deps test
	$(MAKE) test-installed

test-installed: all unit fuzz-programs
	$(MAKE) install
	test/run

demo:
	test/deps build
	$(MAKE) all
	$(MAKE) install
	test/demo

# bench runs them all; each prints one key=value a line.
BENCHES = bench-idle bench-audit bench-deadline bench-report bench-alerts
.PHONY: $(BENCHES)
bench: $(BENCHES)

$(BENCHES): bench-%:
	test/deps bench
	$(MAKE) all build/bench/deadline_clients build/bench/life
	$(MAKE) install
	bench/$*

build/bench/%: bench/%.cpp
	@mkdir -p $(@D)
	$(CXX) -std=c++20 -O2 -Wall -Wextra -I$(shell $(PG_CONFIG) --includedir) -o $@ $< -lpq -lpthread

# Made-up life for what has to be measured on much of it: core/ and OpenSSL, no server.
LIFE_SOURCES = bench/life.cpp $(wildcard bench/life/*.cpp)
build/bench/life: $(LIFE_SOURCES) $(wildcard bench/life/*.hpp) src/verify/hasher.hpp $(CORE_SOURCES) $(wildcard include/jit_access/core/*.hpp)
	@mkdir -p $(@D)
	$(CXX) $(JIT_CXXFLAGS) -O2 -Iinclude -o $@ $(LIFE_SOURCES) $(CORE_SOURCES) -lcrypto

matrix:
	test/matrix/run

lint:
	test/deps lint
	test/lint

print-cxxflags:
	@echo $(CPPFLAGS) $(JIT_CXXFLAGS)

# The core zone, natively, under the sanitizers.
UNIT_FLAGS = -std=c++20 -O1 -g -Wall -Wextra -Wno-missing-field-initializers -Wno-maybe-uninitialized -Iinclude -Isrc -fsanitize=address,undefined -fno-sanitize-recover=all
UNIT_TESTS = $(patsubst test/unit/%.cpp,build/unit/%,$(wildcard test/unit/*.cpp))

unit: $(UNIT_TESTS)

CORE_HEADERS = $(wildcard include/jit_access/core/*.hpp)
UNIT_CORE    = $(CORE_SOURCES:src/core/%.cpp=build/unit/core/%.o)

build/unit/core/%.o: src/core/%.cpp $(CORE_HEADERS)
	@mkdir -p $(@D)
	$(CXX) $(UNIT_FLAGS) -c -o $@ $<

build/unit/%: test/unit/%.cpp $(UNIT_CORE) $(CORE_HEADERS)
	@mkdir -p $(@D)
	$(CXX) $(UNIT_FLAGS) -o $@ $(filter %.cpp %.o,$^) -lboost_unit_test_framework $(UNIT_LIBRARIES) -lcrypto

# What calls libraries alone, and no server.
build/unit/totp: $(patsubst %,src/pg/%.cpp,oath qr_code seal)
build/unit/totp: UNIT_LIBRARIES = -loath -lqrencode

# The journal's parser, fuzzed: shortly by a driver of our own in `make test`, at length by libFuzzer. The corpus is made
# by a program, so it follows the format.
FUZZ_CORE    = src/core/journal_record.cpp src/core/ring.cpp
FUZZ_HEADERS = $(wildcard test/fuzz/*.hpp test/*.hpp include/jit_access/core/*.hpp)
FUZZ_TESTS   = $(filter-out corpus driver,$(patsubst test/fuzz/%.cpp,%,$(wildcard test/fuzz/*.cpp)))
FUZZ_SECONDS = 600

fuzz-programs: $(FUZZ_TESTS:%=build/fuzz/%) build/fuzz/corpus

build/fuzz/corpus: build/fuzz/tools/corpus
	rm -rf $@
	$< $@

build/fuzz/tools/corpus: test/fuzz/corpus.cpp $(FUZZ_CORE) $(FUZZ_HEADERS)
	@mkdir -p $(@D)
	$(CXX) $(UNIT_FLAGS) -o $@ $< $(FUZZ_CORE)

build/fuzz/%: test/fuzz/%.cpp test/fuzz/driver.cpp $(FUZZ_CORE) $(FUZZ_HEADERS)
	@mkdir -p $(@D)
	$(CXX) $(UNIT_FLAGS) -o $@ $< test/fuzz/driver.cpp $(FUZZ_CORE)

build/libfuzzer/%: test/fuzz/%.cpp $(FUZZ_CORE) $(FUZZ_HEADERS)
	@mkdir -p $(@D)
	clang++ $(UNIT_FLAGS) -fsanitize=fuzzer -o $@ $< $(FUZZ_CORE)

# What it has found worth keeping stays in build/libfuzzer for the next time; what fails as build/libfuzzer/NAME-crash-….
fuzz:
	test/deps fuzz
	$(MAKE) build/fuzz/corpus $(FUZZ_TESTS:%=build/libfuzzer/%)
	set -e; for test in $(FUZZ_TESTS); do \
	    mkdir -p build/libfuzzer/$$test.found; \
	    build/libfuzzer/$$test -max_total_time=$$(($(FUZZ_SECONDS) / $(words $(FUZZ_TESTS)))) -max_len=20000 -timeout=10 \
	        -print_final_stats=1 -verbosity=0 -artifact_prefix=build/libfuzzer/$$test- \
	        build/libfuzzer/$$test.found build/fuzz/corpus/$$test; \
	done

# `make test` does it shortly. Beyond some 500 kills TIMEOUT has to be raised as well.
crash: export KILLS ?= 200
crash:
	test/deps test
	$(MAKE) all
	$(MAKE) install
	test/run tap 160_crash

-include $(OBJS:.o=.d)
