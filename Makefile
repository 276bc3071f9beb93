# jit_access: build, install and every check. `make help` lists the targets.
EXTENSION  = jit_access
EXTVERSION = $(shell sed -n "s/^default_version *= *'\(.*\)'/\1/p" jit_access.control)
MODULE_big = jit_access

# The install script, in the order of a grant's life.
SQL_PARTS  = $(sort $(wildcard sql/[0-9]*.sql))
DATA_built = sql/jit_access--$(EXTVERSION).sql
DOCS       = docs/reference.md

# There are two builds with separate objects; jit_access.so comes from the build that was made last. BUILD=full is
# optimised across files; it is used to install, package and measure. BUILD=quick compiles faster, for `make demo`,
# `make test` and `make check`.
QUICK  := BUILD=$(or $(BUILD),quick)
BUILD  ?= full
BUILT   = build/$(BUILD)

SOURCES      = $(filter-out src/verify/%,$(wildcard src/*.cpp src/*/*.cpp))
CORE_SOURCES = $(wildcard src/core/*.cpp)
OBJS         = $(SOURCES:src/%.cpp=$(BUILT)/%.o)
CORE_OBJS    = $(CORE_SOURCES:src/%.cpp=$(BUILT)/%.o)

JIT_CXXFLAGS = -std=c++20 -Wall -Wextra -Wno-missing-field-initializers -fvisibility=hidden -fvisibility-inlines-hidden -MMD -MP
# -isystem suppresses warnings about the server's headers. -Wclobbered is off, because a result that is assigned under
# PG_TRY is read only if no error was thrown.
JIT_CXXFLAGS += -Wno-clobbered
# GCC 12 warns without reason about a std::optional of a container.
JIT_CXXFLAGS += -Wno-maybe-uninitialized
PG_CPPFLAGS  = -isystem $(shell $(PG_CONFIG) --includedir-server) -Iinclude -D'PGDLLEXPORT=__attribute__((visibility("default")))'
# Optimisation across files is needed, because a statement under a grant calls small functions in many files.
FLAGS_full   = -flto=auto
FLAGS_quick  = -O0 -g1
PG_CXXFLAGS  = $(JIT_CXXFLAGS) $(FLAGS_$(BUILD))
SHLIB_LINK   = -lstdc++ -loath -lqrencode -lcrypto -Wl,--version-script=src/exports.map $(filter -flto%,$(PG_CXXFLAGS))
EXTRA_CLEAN  = build $(DATA_built)

.DEFAULT_GOAL := all
# V=1 shows every command.
MAKEFLAGS += --no-print-directory $(if $(V),,--silent)
# Targets for interactive use get this, unless make was called with -j.
ALL_CORES = $(if $(findstring jobserver,$(MAKEFLAGS)),,-j$(shell nproc))

# The stand-alone verifier needs only core/ and OpenSSL, no server.
SCRIPTS_built = build/bin/jit-verify

# Targets that must work without the server's development files.
PG_CONFIG ?= pg_config
export PG_CONFIG
PGXS := $(shell $(PG_CONFIG) --pgxs 2>/dev/null)

ifneq ($(filter check,$(MAKECMDGOALS)),)
# PGXS also has a target of this name, which only prints that it does nothing.
.PHONY: check
check:
	test/deps test
	$(MAKE) $(ALL_CORES) $(QUICK) test-programs
	$(MAKE) $(QUICK) install
	test/run check $(T)
else ifneq ($(wildcard $(PGXS)),)
# PGXS passes no C++ flags to its bitcode rule, and the server's JIT does not need our bitcode.
override with_llvm := no
include $(PGXS)
else
.PHONY: all install
all install:
	test/deps build
	$(MAKE) $@
endif

.PHONY: help demo test test-programs bench matrix suite fuzz crash lint unit fuzz-programs print-cxxflags FORCE

help:
	@echo "make            build the extension (V=1 shows the commands)"
	@echo "make install    install it"
	@echo "make demo       play the main story on a throw-away server (KEEP=1 leaves it up)"
	@echo "make test       every test, on throw-away servers (BUILD=full: of the optimised library)"
	@echo "make check      the unit tests and those named, after a quick build: make check T='015_leaving policy'"
	@echo "make bench      measure, as ratios taken in one run (also bench-idle, bench-audit, bench-deadline, bench-report, bench-alerts)"
	@echo "make matrix     make test on PostgreSQL 15, 17 and 18"
	@echo "make fuzz       the journal's parser under libFuzzer, for ten minutes (FUZZ_SECONDS)"
	@echo "make crash      kill processes under load, 200 times, and compare clients and record (KILLS, SEED)"
	@echo "make suite      PostgreSQL's regression suite under a grant: make suite PGSRC=<source tree> (FILES)"
	@echo "make lint       format, static analysis, zones, exports, META.json"

$(DATA_built): $(SQL_PARTS)
	cat $^ > $@

# ---- objects ------------------------------------------------------------------------------------------------------

# $(call stamp,TEXT) writes TEXT to the target if its contents differ. Files that depend on it are therefore rebuilt
# only if the text has changed.
stamp = @mkdir -p $(@D); echo '$(subst ','\'',$(1))' | cmp -s - $@ || echo '$(subst ','\'',$(1))' >$@
# Prints one line for all objects that one call of make compiles.
announce = $(if $(announced),,$(eval announced := yes)$(info compiling ($(BUILD) build) ...))

$(BUILT)/flags: FORCE
	$(call stamp,$(COMPILE.cc) $(VERSION))

# The first word is the directory of the objects in jit_access.so.
build/library: FORCE
	$(call stamp,$(BUILT) $(LINK.shared) $(LDFLAGS) $(LDFLAGS_SL) $(SHLIB_LINK))

jit_access.so: build/library src/exports.map

$(OBJS) $(BUILT)/verify/jit_verify.o: $(BUILT)/%.o: src/%.cpp $(BUILT)/flags
	@mkdir -p $(@D)
	$(announce)$(COMPILE.cc) $(PRECOMPILED) $(OPTIMISED) -o $@ $<

# This needs only core and OpenSSL, no server.
build/bin/jit-verify: $(BUILT)/verify/jit_verify.o $(CORE_OBJS) build/library
	@mkdir -p $(@D)
	$(CXX) $(CXXFLAGS) -o $@ $(filter %.o,$^) -lcrypto

# ---- precompiled headers ------------------------------------------------------------------------------------------

# The quick build reads the headers that most files include in compiled form: those of the standard library and, in
# rooms that see the server, those of the server. The full build and `make lint` do not use them, so they find a file
# that does not include what it uses. Core has a precompiled header of its own, because it is optimised: tests verify
# long records with it.
STANDARD_HEADERS = algorithm array atomic charconv climits compare cstdint cstdio cstdlib cstring exception functional \
                   limits map memory optional set span stdexcept string string_view tuple type_traits unordered_map \
                   utility variant vector
SERVER_HEADERS   = access/htup_details.h access/table.h catalog/namespace.h catalog/pg_class.h catalog/pg_proc.h \
                   utils/lsyscache.h utils/snapmgr.h utils/syscache.h
SERVER_OBJS      = $(patsubst src/%.cpp,$(BUILT)/%.o,$(wildcard src/*.cpp src/pg/*.cpp src/statements/*.cpp src/api/*.cpp))

ifeq ($(BUILD),quick)
OTHER_OBJS = $(filter-out $(CORE_OBJS) $(SERVER_OBJS),$(OBJS))
$(CORE_OBJS) $(BUILT)/core.hpp.gch: OPTIMISED = -O1
$(CORE_OBJS): PRECOMPILED = -Winvalid-pch -include $(BUILT)/core.hpp
$(OTHER_OBJS): PRECOMPILED = -Winvalid-pch -include $(BUILT)/standard.hpp
$(SERVER_OBJS): PRECOMPILED = -Winvalid-pch -include $(BUILT)/server.hpp
$(CORE_OBJS): $(BUILT)/core.hpp.gch
$(OTHER_OBJS): $(BUILT)/standard.hpp.gch
$(SERVER_OBJS): $(BUILT)/server.hpp.gch
endif

$(BUILT)/core.hpp $(BUILT)/standard.hpp: Makefile
	@mkdir -p $(@D)
	printf '#include <%s>\n' $(STANDARD_HEADERS) >$@

# Core headers have to be included before the server's; the sources include the rest.
$(BUILT)/server.hpp: Makefile
	@mkdir -p $(@D)
	printf '#include <%s>\n' $(STANDARD_HEADERS) >$@
	printf '#include "jit_access/%s"\n' core/zone.hpp pg/server.hpp >>$@
	printf 'extern "C" {\n#include "%s"\n}\n' $(SERVER_HEADERS) >>$@

$(BUILT)/%.hpp.gch: $(BUILT)/%.hpp $(BUILT)/flags
	$(announce)$(COMPILE.cc) $(OPTIMISED) -x c++-header -MF $(BUILT)/$*.d -o $@ $<

# ---- demo and tests -----------------------------------------------------------------------------------------------

demo:
	@began=$$(date +%s) && test/deps build && \
	$(MAKE) $(ALL_CORES) $(QUICK) all && $(MAKE) $(QUICK) install && \
	built=$$(date +%s) && test/demo && ended=$$(date +%s) && \
	echo "make demo: $$((ended - began)) s (build $$((built - began)) s)"

test:
	test/deps test
	$(MAKE) $(ALL_CORES) $(QUICK) test-programs
	$(MAKE) $(QUICK) install
	test/run

test-programs: all unit fuzz-programs $(BUILT)/optimised/ring.o

# Input of test/arch/fetched: machine code of the full build.
$(BUILT)/optimised/ring.o: src/core/ring_buffer.cpp $(BUILT)/flags
	@mkdir -p $(@D)
	$(announce)$(COMPILE.cc) -O2 $(FLAGS_full) -o $@.lto $<
	$(CXX) $(CXXFLAGS) -O2 $(FLAGS_full) -nostdlib -r -flinker-output=nolto-rel -o $@ $@.lto

# bench runs all of them; each prints lines of key=value.
BENCHES = bench-idle bench-audit bench-deadline bench-report bench-alerts
.PHONY: $(BENCHES)
bench: $(BENCHES)

$(BENCHES): bench-%:
	test/deps bench
	$(MAKE) $(ALL_CORES) all build/bench/deadline_clients build/bench/life
	$(MAKE) install
	bench/$*

build/bench/%: bench/%.cpp
	@mkdir -p $(@D)
	$(announce)$(CXX) -std=c++20 -O2 -Wall -Wextra -I$(shell $(PG_CONFIG) --includedir) -o $@ $< -lpq -lpthread

# The generator of made-up data for the benchmarks needs only core and OpenSSL, no server.
LIFE_OBJS = $(patsubst %.cpp,$(BUILT)/%.o,bench/life.cpp $(wildcard bench/life/*.cpp))

$(LIFE_OBJS): $(BUILT)/%.o: %.cpp $(BUILT)/flags
	@mkdir -p $(@D)
	$(announce)$(COMPILE.cc) -o $@ $<

build/bench/life: $(LIFE_OBJS) $(CORE_OBJS)
	@mkdir -p $(@D)
	$(CXX) $(CXXFLAGS) -o $@ $^ -lcrypto

matrix:
	test/matrix/run

# PostgreSQL's own regression suite, as an ordinary login under a grant. PGSRC: a source tree of the server's major version.
suite:
	test/deps build
	$(MAKE) $(ALL_CORES) $(QUICK) all
	$(MAKE) $(QUICK) install
	test/suite/run "$(PGSRC)"

lint:
	test/deps lint
	test/lint

print-cxxflags:
	@echo $(CPPFLAGS) $(JIT_CXXFLAGS)

# ---- unit tests and fuzzing: core, natively, under the sanitizers -------------------------------------------------

# Core and the fuzzers are optimised. Unit tests are not, because compiling would take more time than the tests would
# save.
UNIT_FLAGS   = -std=c++20 -g1 -Wall -Wextra -Wno-missing-field-initializers -Wno-maybe-uninitialized -Iinclude -Isrc \
               -fsanitize=address,undefined -fno-sanitize-recover=all
UNIT_COMPILE = $(CXX) $(UNIT_FLAGS) -O0 -fPIC -MMD -MP
FUZZ_COMPILE = $(CXX) $(UNIT_FLAGS) -O1 -MMD -MP

UNIT_TESTS   = $(patsubst test/unit/%.cpp,build/unit/%,$(wildcard test/unit/*.cpp))
UNIT_OBJS    = $(UNIT_TESTS:build/unit/%=build/unit/test/%.o)
UNIT_CORE    = $(CORE_SOURCES:src/%.cpp=build/unit/%.o)
# Programs that call only libraries and no server.
UNIT_PG      = $(patsubst %,build/unit/pg/%.o,oath qr_code seal)

unit: $(UNIT_TESTS)

build/unit/flags: FORCE
	$(call stamp,$(UNIT_COMPILE))

$(UNIT_CORE) $(UNIT_PG): build/unit/%.o: src/%.cpp build/unit/flags
	@mkdir -p $(@D)
	$(announce)$(UNIT_COMPILE) -O1 -c -o $@ $<

# A shared library, so that after a change of core no test has to be linked again.
build/unit/core/libcore.so: $(UNIT_CORE)
	$(CXX) $(UNIT_FLAGS) -shared -o $@ $^ -lcrypto

# This header is precompiled for all unit tests; Boost.Test provides their main().
build/unit/test/boost.hpp: Makefile
	@mkdir -p $(@D)
	printf '#include <%s>\n' $(STANDARD_HEADERS) random >$@
	printf '%s\n' '#define BOOST_TEST_DYN_LINK' '#include <boost/test/unit_test.hpp>' >>$@

build/unit/test/boost.hpp.gch: build/unit/test/boost.hpp build/unit/flags
	$(announce)$(UNIT_COMPILE) -x c++-header -o $@ $<

build/unit/test/main.o: build/unit/flags
	@mkdir -p $(@D)
	printf '%s\n' '#define BOOST_TEST_DYN_LINK' '#define BOOST_TEST_MODULE unit' '#include <boost/test/unit_test.hpp>' | \
	    $(UNIT_COMPILE) -x c++ -c -o $@ -

$(UNIT_OBJS): build/unit/test/%.o: test/unit/%.cpp build/unit/test/boost.hpp.gch build/unit/flags
	$(announce)$(UNIT_COMPILE) -Winvalid-pch -include build/unit/test/boost.hpp -c -o $@ $<

$(UNIT_TESTS): build/unit/%: build/unit/test/%.o build/unit/test/main.o | build/unit/core/libcore.so
	$(CXX) $(UNIT_FLAGS) -o $@ $^ -Lbuild/unit/core -Wl,-rpath,'$$ORIGIN/core' -lcore -lboost_unit_test_framework \
	    $(UNIT_LIBRARIES) -lcrypto

build/unit/totp: $(UNIT_PG)
build/unit/totp: UNIT_LIBRARIES = -loath -lqrencode

# The journal's parser is fuzzed briefly by our own driver in `make test`, and longer by libFuzzer. A program writes the
# corpus, so that it always has the current format.
FUZZ_CORE    = src/core/journal_record.cpp src/core/ring_buffer.cpp
FUZZ_TESTS   = $(filter-out corpus driver,$(patsubst test/fuzz/%.cpp,%,$(wildcard test/fuzz/*.cpp)))
FUZZ_OBJS    = $(patsubst %.cpp,build/fuzz/objects/%.o,$(FUZZ_CORE) $(wildcard test/fuzz/*.cpp))
FUZZ_SECONDS = 600

fuzz-programs: $(FUZZ_TESTS:%=build/fuzz/%) build/fuzz/corpus

build/fuzz/corpus: build/fuzz/tools/corpus
	rm -rf $@
	$< $@

build/fuzz/flags: FORCE
	$(call stamp,$(FUZZ_COMPILE))

$(FUZZ_OBJS): build/fuzz/objects/%.o: %.cpp build/fuzz/flags
	@mkdir -p $(@D)
	$(announce)$(FUZZ_COMPILE) -c -o $@ $<

FUZZ_LINK = $(patsubst %.cpp,build/fuzz/objects/%.o,$(1) $(FUZZ_CORE))

build/fuzz/tools/corpus: $(call FUZZ_LINK,test/fuzz/corpus.cpp)
	@mkdir -p $(@D)
	$(CXX) $(UNIT_FLAGS) -o $@ $^

$(FUZZ_TESTS:%=build/fuzz/%): build/fuzz/%: build/fuzz/objects/test/fuzz/%.o $(call FUZZ_LINK,test/fuzz/driver.cpp)
	$(CXX) $(UNIT_FLAGS) -o $@ $^

build/libfuzzer/%: test/fuzz/%.cpp $(FUZZ_CORE) $(wildcard test/fuzz/*.hpp test/*.hpp include/jit_access/core/*.hpp)
	@mkdir -p $(@D)
	clang++ $(UNIT_FLAGS) -O1 -fsanitize=fuzzer -o $@ $< $(FUZZ_CORE)

# Inputs with new coverage stay in build/libfuzzer for the next run; failing inputs are build/libfuzzer/NAME-crash-….
fuzz:
	test/deps fuzz
	$(MAKE) $(ALL_CORES) build/fuzz/corpus $(FUZZ_TESTS:%=build/libfuzzer/%)
	set -e; for test in $(FUZZ_TESTS); do \
	    mkdir -p build/libfuzzer/$$test.found; \
	    build/libfuzzer/$$test -max_total_time=$$(($(FUZZ_SECONDS) / $(words $(FUZZ_TESTS)))) -max_len=20000 -timeout=10 \
	        -print_final_stats=1 -verbosity=0 -artifact_prefix=build/libfuzzer/$$test- \
	        build/libfuzzer/$$test.found build/fuzz/corpus/$$test; \
	done

# `make test` runs fewer kills. For more than 500 kills, raise TIMEOUT as well.
crash: export KILLS ?= 200
crash:
	test/deps test
	$(MAKE) $(ALL_CORES) $(QUICK) all
	$(MAKE) $(QUICK) install
	test/run tap 160_crash

-include $(wildcard $(BUILT)/*.d $(BUILT)/*/*.d $(BUILT)/*/*/*.d build/unit/*/*.d build/fuzz/objects/*/*/*.d)
