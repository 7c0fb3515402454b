# Normscope. `make help` lists the targets.
BUILD ?= build
CC ?= cc
WERROR ?= 0
SAN ?=
CFLAGS_USER := $(CFLAGS)

WARN = -Wall -Wextra -Wpedantic -Wshadow -Wstrict-prototypes -Wmissing-prototypes
ifeq ($(WERROR),1)
WARN += -Werror
endif
HARDEN = -fstack-protector-strong -fPIE
BASE = -std=c17 -D_GNU_SOURCE -I. -I$(BUILD) -MMD -MP -pthread $(WARN) $(HARDEN)
NUM = -O3 -fno-math-errno -fno-trapping-math -ffp-contract=on
GEN = -O2

PKGS = libmicrohttpd libcjson sqlite3 nettle zlib
PKG_CFLAGS = $(shell pkg-config --cflags $(PKGS) 2>/dev/null)
PKG_LIBS = $(shell pkg-config --libs $(PKGS) 2>/dev/null)
CORE_LIBS = -lopenblas -lm
CHECK_LIBS = $(shell pkg-config --libs check 2>/dev/null)
LINK = $(CC) -pie -pthread -Wl,-z,relro,-z,now $(SAN)

BASE_SRC = $(wildcard core/base/*.c)
TYPED_SRC = $(filter-out $(BASE_SRC),$(wildcard core/*.c core/*/*.c))
SERVER_SRC = $(wildcard server/*.c)
BASE_OBJ = $(BASE_SRC:%.c=$(BUILD)/%.o)
OBJ32 = $(TYPED_SRC:%.c=$(BUILD)/f32/%.o)
OBJ64 = $(TYPED_SRC:%.c=$(BUILD)/f64/%.o)
SERVER_OBJ = $(SERVER_SRC:%.c=$(BUILD)/%.o)
ENGINES = $(BUILD)/engine_f32.o $(BUILD)/engine_f64.o

all: $(BUILD)/normscope ## build into build/

$(BUILD)/core/base/%.o: core/base/%.c
	@mkdir -p $(@D)
	$(CC) $(BASE) $(NUM) $(SAN) $(CFLAGS_USER) -c $< -o $@
$(BUILD)/f32/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(BASE) $(NUM) -DREAL_BITS=32 $(SAN) $(CFLAGS_USER) -c $< -o $@
$(BUILD)/f64/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(BASE) $(NUM) -DREAL_BITS=64 $(SAN) $(CFLAGS_USER) -c $< -o $@
$(BUILD)/server/%.o: server/%.c
	@mkdir -p $(@D)
	$(CC) $(BASE) $(GEN) $(PKG_CFLAGS) $(SAN) $(CFLAGS_USER) -c $< -o $@

# One precision of the engine as one object that shows a single name, so that both can be linked.
$(BUILD)/engine_f32.o: $(OBJ32)
	ld -r -o $@ $^ && objcopy --redefine-sym engine_table=engine_f32 --keep-global-symbol=engine_f32 $@
$(BUILD)/engine_f64.o: $(OBJ64)
	ld -r -o $@ $^ && objcopy --redefine-sym engine_table=engine_f64 --keep-global-symbol=engine_f64 $@

$(BUILD)/normscope: $(SERVER_OBJ) $(ENGINES) $(BASE_OBJ)
	$(LINK) -o $@ $^ $(PKG_LIBS) $(CORE_LIBS)

# Tests of core see the inside of one precision; each runs in both.
CORE_TESTS = $(patsubst tests/core/%.c,%,$(wildcard tests/core/test_*.c))
SERVER_TESTS = $(patsubst tests/server/%.c,%,$(wildcard tests/server/test_*.c))
TEST_BINS = $(CORE_TESTS:%=$(BUILD)/tests/core_f32/%) $(CORE_TESTS:%=$(BUILD)/tests/core_f64/%) \
            $(SERVER_TESTS:%=$(BUILD)/tests/server/%)
$(BUILD)/tests/core_f32/%: tests/core/%.c $(OBJ32) $(BASE_OBJ)
	@mkdir -p $(@D)
	$(CC) $(BASE) $(NUM) -DREAL_BITS=32 $(SAN) $(CFLAGS_USER) -pie -o $@ $< $(filter %.o,$^) $(CHECK_LIBS) $(CORE_LIBS)
$(BUILD)/tests/core_f64/%: tests/core/%.c $(OBJ64) $(BASE_OBJ)
	@mkdir -p $(@D)
	$(CC) $(BASE) $(NUM) -DREAL_BITS=64 $(SAN) $(CFLAGS_USER) -pie -o $@ $< $(filter %.o,$^) $(CHECK_LIBS) $(CORE_LIBS)
$(BUILD)/tests/server/%: tests/server/%.c $(filter-out $(BUILD)/server/main.o,$(SERVER_OBJ)) $(ENGINES) $(BASE_OBJ)
	@mkdir -p $(@D)
	$(CC) $(BASE) $(GEN) $(PKG_CFLAGS) $(SAN) $(CFLAGS_USER) -pie -o $@ $< $(filter %.o,$^) $(CHECK_LIBS) $(PKG_LIBS) $(CORE_LIBS)

test-bins: $(TEST_BINS)

clean: ## remove build/
	rm -rf $(BUILD)

help: ## this list
	@grep -hE '^[a-z0-9-]+:.*## ' Makefile | sed 's/:.*## /\t/' | sort

-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)
.PHONY: all test-bins clean help
.SECONDARY:
