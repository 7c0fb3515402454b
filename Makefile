# Normscope. `make help` lists the targets.
BUILD ?= build
CC ?= cc
WERROR ?= 0
SAN ?=
Q = $(if $(V),,@echo '  $@' && )# make V=1 shows the commands
CFLAGS_USER := $(CFLAGS)
JOBS ?= $(shell nproc)
# A source archive brings .build-id (make dist).
BUILD_ID := $(shell cat .build-id 2>/dev/null || git describe --always --dirty --tags 2>/dev/null || echo unknown)

WARN = -Wall -Wextra -Wpedantic -Wshadow -Wstrict-prototypes -Wmissing-prototypes
ifeq ($(WERROR),1)
WARN += -Werror
endif
# Debian's hardening flags (dpkg-buildflags); fortify and sanitizers do not go together.
HARDEN = -g -fstack-protector-strong -fPIE -Wformat -Werror=format-security $(if $(SAN),,-U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2)
BASE = -std=c17 -D_GNU_SOURCE -I. -I$(BUILD) -MMD -MP -pthread $(WARN) $(HARDEN)
NUM = -O3 -fopenmp-simd -fno-math-errno -fno-trapping-math -ffp-contract=on
GEN = -O2

PKGS = libmicrohttpd libcjson sqlite3 nettle zlib
PKG_CFLAGS = $(shell pkg-config --cflags $(PKGS) 2>/dev/null)
PKG_LIBS = $(shell pkg-config --libs $(PKGS) 2>/dev/null)
CORE_LIBS = -lopenblas -lm
CHECK_LIBS = $(shell pkg-config --libs check 2>/dev/null)
LINK = $(CC) -pie -pthread -Wl,-z,relro,-z,now $(SAN)

BASE_SRC = $(wildcard core/base/*.c)
TYPED_SRC = $(filter-out $(BASE_SRC),$(wildcard core/*.c core/*/*.c))
SERVER_SRC = $(wildcard server/*.c server/*/*.c)
BASE_OBJ = $(BASE_SRC:%.c=$(BUILD)/%.o)
OBJ32 = $(TYPED_SRC:%.c=$(BUILD)/f32/%.o)
OBJ64 = $(TYPED_SRC:%.c=$(BUILD)/f64/%.o)
SERVER_OBJ = $(SERVER_SRC:%.c=$(BUILD)/%.o) $(BUILD)/embedded.o
ENGINES = $(BUILD)/engine_f32.o $(BUILD)/engine_f64.o

all: $(BUILD)/normscope ## build into build/

$(BUILD)/core/base/%.o: core/base/%.c
	@mkdir -p $(@D)
	$(Q)$(CC) $(BASE) $(NUM) $(SAN) $(CFLAGS_USER) -c $< -o $@
$(BUILD)/f32/%.o: %.c
	@mkdir -p $(@D)
	$(Q)$(CC) $(BASE) $(NUM) -DREAL_BITS=32 $(SAN) $(CFLAGS_USER) -c $< -o $@
$(BUILD)/f64/%.o: %.c
	@mkdir -p $(@D)
	$(Q)$(CC) $(BASE) $(NUM) -DREAL_BITS=64 $(SAN) $(CFLAGS_USER) -c $< -o $@
$(BUILD)/server/%.o: server/%.c
	@mkdir -p $(@D)
	$(Q)$(CC) $(BASE) $(GEN) $(PKG_CFLAGS) $(SAN) $(CFLAGS_USER) -c $< -o $@

# Files carried inside the program (server/machine/embed.h). D3 is Debian's.
D3 = /usr/share/nodejs/d3/dist/d3.min.js
EMBED := $(filter-out %.md %.d.ts,$(sort $(wildcard schema/*.sql schema/*.json static/*.* static/*/*.* tests/jobs/demo.json)))
$(BUILD)/embedded.c: $(EMBED) $(D3) server/machine/embed.sh Makefile $(BUILD)/embed-list
	@server/machine/embed.sh $(EMBED) static/vendor/d3.min.js=$(D3) >$@
$(BUILD)/embed-list: always
	@mkdir -p $(@D); echo '$(EMBED)' | cmp -s - $@ || echo '$(EMBED)' >$@
$(BUILD)/embedded.o: $(BUILD)/embedded.c
	$(Q)$(CC) $(BASE) $(GEN) $(SAN) $(CFLAGS_USER) -c $< -o $@

# One precision of the engine as one object that shows a single name, so that both can be linked.
$(BUILD)/engine_f32.o: $(OBJ32)
	$(Q)ld -r -o $@ $^ && objcopy --redefine-sym engine_table=engine_f32 --keep-global-symbol=engine_f32 $@
$(BUILD)/engine_f64.o: $(OBJ64)
	$(Q)ld -r -o $@ $^ && objcopy --redefine-sym engine_table=engine_f64 --keep-global-symbol=engine_f64 $@

$(BUILD)/normscope: $(SERVER_OBJ) $(ENGINES) $(BASE_OBJ)
	$(Q)$(LINK) -o $@ $^ $(PKG_LIBS) $(CORE_LIBS)

# Tests of core see the inside of one precision; each runs in both.
CORE_TESTS = $(patsubst tests/core/%.c,%,$(wildcard tests/core/*/test_*.c))
SERVER_TESTS = $(patsubst tests/server/%.c,%,$(wildcard tests/server/*/test_*.c))
TEST_BINS = $(CORE_TESTS:%=$(BUILD)/tests/core_f32/%) $(CORE_TESTS:%=$(BUILD)/tests/core_f64/%) \
            $(SERVER_TESTS:%=$(BUILD)/tests/server/%)
$(BUILD)/tests/core_f32/%: tests/core/%.c $(OBJ32) $(BASE_OBJ)
	@mkdir -p $(@D)
	$(Q)$(CC) $(BASE) $(NUM) -DREAL_BITS=32 $(SAN) $(CFLAGS_USER) -pie -o $@ $< $(filter %.o,$^) $(CHECK_LIBS) $(CORE_LIBS)
$(BUILD)/tests/core_f64/%: tests/core/%.c $(OBJ64) $(BASE_OBJ)
	@mkdir -p $(@D)
	$(Q)$(CC) $(BASE) $(NUM) -DREAL_BITS=64 $(SAN) $(CFLAGS_USER) -pie -o $@ $< $(filter %.o,$^) $(CHECK_LIBS) $(CORE_LIBS)
$(BUILD)/tests/server/%: tests/server/%.c $(filter-out $(BUILD)/server/main.o,$(SERVER_OBJ)) $(ENGINES) $(BASE_OBJ)
	@mkdir -p $(@D)
	$(Q)$(CC) $(BASE) $(GEN) $(PKG_CFLAGS) $(SAN) $(CFLAGS_USER) -pie -o $@ $< $(filter %.o,$^) $(CHECK_LIBS) $(PKG_LIBS) $(CORE_LIBS)

# A fuzz target is tests/fuzz/fuzz_NAME.c; with replay.c it becomes a test that reads its corpus.
FUZZ = $(patsubst tests/fuzz/%.c,%,$(wildcard tests/fuzz/fuzz_*.c))
FUZZ_OBJ = $(filter-out $(BUILD)/server/main.o,$(SERVER_OBJ)) $(ENGINES) $(BASE_OBJ)
FUZZ_REPLAY = $(FUZZ:%=$(BUILD)/tests/replay/%)
$(BUILD)/tests/replay/%: tests/fuzz/%.c tests/fuzz/replay.c $(FUZZ_OBJ)
	@mkdir -p $(@D)
	$(Q)$(CC) $(BASE) $(GEN) $(PKG_CFLAGS) $(SAN) $(CFLAGS_USER) -pie -o $@ $(filter-out %.h,$^) $(PKG_LIBS) $(CORE_LIBS)
$(BUILD)/fuzz_%: tests/fuzz/fuzz_%.c $(FUZZ_OBJ)
	$(Q)$(CC) $(BASE) $(GEN) $(PKG_CFLAGS) $(SAN) -fsanitize=fuzzer $(CFLAGS_USER) -pie -o $@ $(filter-out %.h,$^) $(PKG_LIBS) $(CORE_LIBS)
fuzzers: $(FUZZ:%=$(BUILD)/%)

test-bins: $(TEST_BINS) $(FUZZ_REPLAY)

# What names its build is compiled again when the description of the working tree changes, and only that.
USES_BUILD_ID = $(patsubst %.c,$(BUILD)/%.o,$(shell grep -ls NORMSCOPE_BUILD server/*/*.c))
$(USES_BUILD_ID): $(BUILD)/build-id
$(USES_BUILD_ID): BASE += -DNORMSCOPE_BUILD='"$(BUILD_ID)"'
$(BUILD)/build-id: always
	@mkdir -p $(@D); echo '$(BUILD_ID)' | cmp -s - $@ || echo '$(BUILD_ID)' >$@

run: ## install what is missing, build, start the daemon with the demo study (ARGS="--listen ...")
	@deploy/install-deps run
	@$(MAKE) --no-print-directory -j$(JOBS) all
	@exec $(BUILD)/normscope serve --best-blas --demo $(ARGS)

test: ## install what is missing, build with -Werror, run every suite
	@deploy/install-deps run test
	@$(MAKE) --no-print-directory -j$(JOBS) WERROR=1 all test-bins
	@tests/run $(BUILD)

asan: ## the C suites under AddressSanitizer and UndefinedBehaviorSanitizer
	@$(MAKE) --no-print-directory sanitized BUILD=$(BUILD)/asan \
	    SAN='-fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer'

tsan: ## the C suites under ThreadSanitizer
	@$(MAKE) --no-print-directory sanitized BUILD=$(BUILD)/tsan SAN='-fsanitize=thread'

sanitized:
	@deploy/install-deps run test
	@$(MAKE) --no-print-directory -j$(JOBS) all test-bins
	@CK_FORK=no OPENBLAS_NUM_THREADS=1 tests/run $(BUILD) c

fuzz: ## fuzz the readers of outside bytes for SECONDS=60 each, from tests/fuzz/corpus
	@deploy/install-deps run fuzz
	@$(MAKE) --no-print-directory -j$(JOBS) BUILD=$(BUILD)/fuzz CC=clang-14 \
	    SAN='-fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=undefined' fuzzers
	@tests/fuzz/run $(BUILD)/fuzz $(or $(SECONDS),60)

lint: ## format, clang-tidy, shellcheck, strict warnings
	@deploy/install-deps run test lint
	@tests/lint
	@$(MAKE) --no-print-directory -j$(JOBS) BUILD=$(BUILD)/lint WERROR=1 all test-bins

schema: all ## rewrite schema/job.json and schema/openapi.json from the tables
	@for name in job openapi; do \
	    $(BUILD)/normscope schema $$name | python3 -m json.tool --indent 2 --no-ensure-ascii >$(BUILD)/$$name.json && \
	    mv $(BUILD)/$$name.json schema/$$name.json || exit 1; done

bench: ## speed and memory of specs A to D; PEER=/path/to/torch_probe.py beside PyTorch (ARGS="--rounds 4 ...")
	@deploy/install-deps run bench
	@$(MAKE) --no-print-directory -j$(JOBS) all
	@env -u OPENBLAS_CORETYPE -u OPENBLAS_L2_SIZE $(BUILD)/normscope bench --strategies
	@env -u OPENBLAS_CORETYPE -u OPENBLAS_L2_SIZE $(BUILD)/normscope bench --metrics tests/jobs/A.json tests/jobs/C.json
	@python3 -B tests/bench/compare.py --program $(BUILD)/normscope $(ARGS)

reproduce: ## published numbers and claims at init measured again (ARGS="--seeds 8 --only peri")
	@deploy/install-deps run
	@$(MAKE) --no-print-directory -j$(JOBS) all
	@python3 -B tests/reproduce/run.py --program $(BUILD)/normscope $(ARGS)
	@python3 -B tests/reproduce/run_claims.py --program $(BUILD)/normscope

golden: ## rewrite tests/golden from the PyTorch oracle (needs torch and numpy)
	python3 -B tests/oracle/make_goldens.py

include deploy/deploy.mk

clean: ## remove build/
	rm -rf $(BUILD)

help: ## this list
	@grep -hE '^[a-z0-9-]+:.*## ' $(filter %Makefile %.mk,$(MAKEFILE_LIST)) | sed 's/:.*## /\t/' | sort

-include $(shell find $(BUILD) -path $(BUILD)/deb -prune -o -name '*.d' -print 2>/dev/null)
.PHONY: all run test bench reproduce golden schema asan tsan sanitized fuzz fuzzers lint test-bins clean help always
.SECONDARY:
