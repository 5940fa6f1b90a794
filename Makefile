# SPDX-License-Identifier: MIT
# zcrx: the C core, its tests, and the packages built from it. `make help` lists the targets.

VERSION := $(shell sed -n 's/^.define ZRX_VERSION_\(MAJOR\|MINOR\|PATCH\) //p' core/include/zcrx.h | paste -sd.)
ABI     := 0

comma := ,

# $(call with,TOOL,LANGUAGE): the language's test target, or one that says that it was skipped.
with = $(if $(shell command -v $(1)),test-$(2),skip-$(2))

# Commands are shown by `make V=1`.
Q        := $(if $(V),,@)

B        := build

# A packager's and a user's own, from the environment or the command line. What zcrx itself needs is not among them.
PREFIX   ?= /usr/local
CFLAGS   ?= -O2 -g
CPPFLAGS ?=
LDFLAGS  ?=
# 1 in tests: a warning is an error. Not for those who build with a compiler that is newer than this release.
WERROR   ?=

INCLUDES := -D_GNU_SOURCE -Icore/include -Icore -Ikernel
WARNINGS := -Wall -Wextra -Wpedantic $(if $(WERROR),-Werror)
STANDARD := -std=c11
LDLIBS   := -luring -lmnl -lpthread
COMPILE   = $(CC) $(STANDARD) $(INCLUDES) $(CPPFLAGS) $(WARNINGS) $(CFLAGS)
LINK      = $(CC) $(CFLAGS) $(LDFLAGS)
LIBZCRX  := $(B)/libzcrx.a

CORE_SOURCES := $(wildcard $(addsuffix /*.c,core kernel kernel/netlink kernel/probe kernel/nic kernel/nic/claim))
CORE_OBJECTS := $(CORE_SOURCES:%.c=$(B)/obj/%.o)
# The core without the NIC calls: the simulated kernel has a NIC of its own (nic_model.c).
SIM_CORE    := $(filter-out core/nic.c core/prove.c,$(wildcard core/*.c)) kernel/error.c kernel/place.c

# What `make test` runs, in lanes side by side: the core on this kernel, fast ones first; the core on kernels that are
# booted for it, which take a processor each; the packages, on both.
TESTS := test-house test-unit test-examples test-sim test-fault test-abi test-install test-mutations sanitize fuzz test-amalgamation test-conformance-driver test-conformance \
	test-kill test-scale test-bench test-nic-unit test-nicmodel test-vm-unit
RIG_TESTS := test-unit-uml test-fault-uml test-sim-facts test-conformance-uml test-kill-uml \
	test-nic test-nic-setup test-datapath test-conformance-nic test-examples-nic test-builds-short
PACKAGE_TESTS := test-python test-python-sdist test-python-uml test-python-nic \
	$(call with,cargo,rust test-rust-uml test-rust-nic) $(call with,go,go test-go-conformance test-go-packaging test-go-uml test-go-nic)

# Built before any lane begins: more than one uses them, and what does not compile should fail at once.
TEST_PROGRAMS :=

.PHONY: all help lib demo test check lint clean deps-core deps-test test-amalgamation
.DEFAULT_GOAL := all

all: lib ## build the libraries and the examples

lib: $(LIBZCRX) $(B)/libzcrx.so ## build libzcrx.a and libzcrx.so

$(B)/obj/%.o: %.c
	@mkdir -p $(@D)
	$(Q)$(COMPILE) -fPIC -fvisibility=hidden -MMD -MP -c $< -o $@

$(LIBZCRX): $(CORE_OBJECTS)
	@rm -f $@
	$(Q)$(AR) rcs $@ $^

$(B)/libzcrx.so.$(ABI): $(CORE_OBJECTS) core/zcrx.map
	$(Q)$(LINK) -shared -Wl,-soname,libzcrx.so.$(ABI) -Wl,--version-script=core/zcrx.map \
		-Wl,--no-undefined -o $@ $(CORE_OBJECTS) $(LDLIBS)

$(B)/libzcrx.so: $(B)/libzcrx.so.$(ABI)
	$(Q)ln -sf $(<F) $@

-include $(CORE_OBJECTS:.o=.d)

# ---- set-up, demo, tests ----

# What a fresh machine lacks; nothing where all is there. `make DEPS=: ...` leaves it out.
DEPS := scripts/deps

deps-core:
	$(Q)$(DEPS) core

deps-test:
	$(Q)$(DEPS) core test check uml nic python rust go builds

demo: ## install what is missing, build, and receive real files on every engine
	$(Q)$(DEPS) core demo uml nic
	$(Q)$(MAKE) --no-print-directory all
	tests/demo

test check lint: export WERROR := 1

test: deps-test ## install what is missing, build, and run all tests
	$(Q)$(MAKE) --no-print-directory all unit $(TEST_PROGRAMS)
	$(Q)scripts/test-lanes $(B)/logs '$(TESTS)' '$(RIG_TESTS)' '$(PACKAGE_TESTS)'

skip-rust skip-go:
	$(Q)echo "skipped: the tests of $(@:skip-%=%) need its compiler, which is not installed"
	$(Q)test -z "$(CI)"

check: ## everything that CI runs: lint, test, demo
	$(Q)$(MAKE) --no-print-directory lint
	$(Q)$(MAKE) --no-print-directory test
	$(Q)$(MAKE) --no-print-directory demo

# ---- the core as one file, as the packages build it ----

AMALGAMATION := $(B)/amalgamation

test-amalgamation: $(B)/tests/conformance ## build the core as one C file, by two compilers, and receive with it
	$(Q)mkdir -p $(AMALGAMATION)
	$(Q)for compiler in gcc clang; do \
		$$compiler -std=c11 -O2 $(WARNINGS) -fPIC -fvisibility=hidden -Ibindings/amalgamation \
			-c bindings/amalgamation/zcrx.c -o $(AMALGAMATION)/zcrx-$$compiler.o || exit 1; \
		$$compiler $(STANDARD) $(INCLUDES) $(wildcard tests/conformance/c/*.c) \
			$(AMALGAMATION)/zcrx-$$compiler.o $(LDLIBS) -o $(AMALGAMATION)/conformance-$$compiler && \
		$(B)/tests/conformance --executor $(AMALGAMATION)/conformance-$$compiler --fast --scenario 'size-*' || exit 1; \
	done

# ---- form ----

C_FILES  := $(CORE_SOURCES) $(wildcard $(addsuffix /*.h,core core/include kernel kernel/* kernel/*/*) \
	$(addsuffix /*.[ch],python/src python/bench rust/bench/src go/internal/bench/testdata examples bench bench/* tests/* tests/*/* tests/*/*/*))
PY_FILES  = $(shell grep -lI '^\#!/usr/bin/env python3' -r bench bindings scripts tests) \
	$(shell find bench bindings scripts tests -name '*.py')
SH_FILES := scripts/deps .ci/run

lint: deps-test lint-core lint-tools lint-rust lint-go lint-python ## check formatting, generated files and what linters say

.PHONY: lint-core lint-tools
lint-core: ## check the form of the C core, the scripts and the README
	$(Q)clang-format --dry-run -Werror $(C_FILES)
	shellcheck $(SH_FILES)
	scripts/readme-example
	scripts/spdx
	scripts/rooms
	bindings/amalgamate --check
	bindings/generate --check

lint-tools: python ## check the form of the rigs' and tests' Python programs
	$(Q)$(PY) -m ruff check --select B,C4,F,I,UP $(PY_FILES)
	$(Q)$(PY) -m ruff format --check $(PY_FILES)

clean: ## remove everything that was built
	rm -rf $(B)

help: ## list the targets
	@sed -n 's/^\([a-z][a-z0-9_-]*\):[^#]*## \(.*\)/\1\t\2/p' $(MAKEFILE_LIST) | sort | \
		awk -F '\t' '{ printf "  %-24s %s\n", $$1, $$2 }'

# Each folder that has something to build or to run says so itself.
include $(sort $(wildcard */rules.mk */*/rules.mk */*/*/rules.mk))
