# SPDX-License-Identifier: MIT
SIM_SOURCES := $(wildcard tests/sim/*.c) $(SIM_CORE)
SIM_OUT     := $(B)/sim
SIM_OBJECTS := $(SIM_SOURCES:%.c=$(SIM_OUT)/%.o)
# Drawn anew for each commit.
SEEDS        = $(shell tests/sim/seeds)
# Those that ever failed.
KEPT_SEEDS   = $(shell sed 's/\#.*//' tests/sim/kept)
HUNT_SEEDS  := 1-200000
TRACE       :=
MINIMISE    :=

.PHONY: sim simulate test-sim hunt test-mutations sanitize sanitize-address sanitize-thread test-sim-facts
sim: $(SIM_OUT)/sim ## build the simulated kernel's test

$(SIM_OUT)/%.o: %.c
	@mkdir -p $(@D)
	$(Q)$(COMPILE) -Itests/sim -MMD -MP -c $< -o $@

# Releasing threads that can lose the processor wherever the core uses an atomic.
$(SIM_OUT)/core/%.o: INCLUDES += -include tests/sim/atomics.h

$(SIM_OUT)/sim: $(SIM_OBJECTS)
	$(Q)$(LINK) -o $@ $^ -lpthread

# The same with real threads.
SIM_THREADS := $(filter-out tests/sim/others.c,$(SIM_SOURCES)) tests/sim/threads/others.c
SIM_THREADS_OBJECTS := $(SIM_THREADS:%.c=$(SIM_OUT)/threads/%.o)

$(SIM_OUT)/threads/%.o: %.c
	@mkdir -p $(@D)
	$(Q)$(COMPILE) -Itests/sim -MMD -MP -c $< -o $@

$(SIM_OUT)/sim-threads: $(SIM_THREADS_OBJECTS)
	$(Q)$(LINK) -o $@ $^ -lpthread

simulate: sim ## run the core on the simulated kernel: SEEDS=first-last, TRACE=1, MINIMISE=1 (one failing seed)
	$(SIM_OUT)/sim $(if $(TRACE),--trace) $(if $(MINIMISE),--minimise) $(SEEDS)

test-sim: sim ## tens of millions of events on the simulated kernel: the seeds that ever failed, and new ones
	$(SIM_OUT)/sim --all $(KEPT_SEEDS)
	$(SIM_OUT)/sim $(SEEDS)

hunt: sim ## a long run of the simulated kernel, over all failures: HUNT_SEEDS=1-200000
	$(SIM_OUT)/sim --all $(HUNT_SEEDS)

test-mutations: sim ## put bugs into copies of the core; the simulated kernel must find each
	$(Q)SIM_COMPILE='$(STANDARD) $(INCLUDES) $(CFLAGS) -include tests/sim/atomics.h' \
		tests/sim/mutations.py core $(B)/mutations $(SIM_OUT)/sim $(SIM_OBJECTS)

# What runs natively, rebuilt with the sanitizers.
ASAN := B=$(B)/asan CFLAGS='-O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=all'
TSAN := B=$(B)/tsan CFLAGS='-O1 -g -fsanitize=thread'
SANITIZE_SEEDS     := 1-200
# Of the threads' sanitizer, which is slow; the other runs them all.
SANITIZE_SCENARIOS := close-held*,park-*,fork-*,release-4-*

sanitize: sanitize-address sanitize-thread ## run simulation, unit tests, faults and conformance with the sanitizers

sanitize-address: $(B)/tests/conformance
	$(Q)$(MAKE) --no-print-directory $(ASAN) $(B)/asan/sim/sim $(B)/asan/tests/fault $(B)/asan/tests/fault-group \
		$(B)/asan/tests/conformance-c
	ASAN_OPTIONS=detect_stack_use_after_return=0 $(B)/asan/sim/sim $(SANITIZE_SEEDS)
	$(B)/asan/tests/fault multishot recv
	$(B)/asan/tests/fault-group multishot recv
	$(Q)$(MAKE) --no-print-directory $(ASAN) test-unit
	$(B)/tests/conformance --executor $(B)/asan/tests/conformance-c --sanitized --fast --jobs 2

sanitize-thread: $(B)/tests/conformance
	$(Q)$(MAKE) --no-print-directory $(TSAN) $(B)/tsan/sim/sim-threads $(B)/tsan/tests/conformance-c
	$(B)/tsan/sim/sim-threads $(SANITIZE_SEEDS)
	$(Q)$(MAKE) --no-print-directory $(TSAN) test-unit
	$(B)/tests/conformance --executor $(B)/tsan/tests/conformance-c --sanitized --fast --jobs 2 --scenario '$(SANITIZE_SCENARIOS)'

-include $(SIM_OBJECTS:.o=.d) $(SIM_THREADS_OBJECTS:.o=.d)

# The model's claims against a real kernel.
FACTS := $(wildcard tests/sim/facts/*.c)

TEST_PROGRAMS += $(B)/tests/facts

$(B)/tests/facts: $(FACTS) $(wildcard tests/sim/facts/*.h)
	@mkdir -p $(@D)
	$(Q)$(COMPILE) -Wno-psabi -o $@ $(FACTS) -luring -lpthread

test-sim-facts: $(B)/tests/facts ## check in UML that a real kernel does what the simulated one is allowed to do
	tests/rig/vm/uml --timeout 120 --check-dmesg -- $(B)/tests/facts --nodev
