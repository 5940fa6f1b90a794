# SPDX-License-Identifier: MIT
SIM_SOURCES := $(wildcard tests/sim/*.c) $(wildcard core/*.c)
SIM_FLAGS   :=
SIM_OUT     := $(B)/sim
SIM_OBJECTS := $(SIM_SOURCES:%.c=$(SIM_OUT)/%.o)
SEEDS       := 1-1600
TRACE       :=

.PHONY: sim simulate test-sim test-mutations
sim: $(SIM_OUT)/sim ## build the simulated kernel's test

$(SIM_OUT)/%.o: %.c
	@mkdir -p $(@D)
	$(Q)$(CC) $(STANDARD) $(CPPFLAGS) $(CFLAGS) $(WARNINGS) -Itests/sim $(SIM_FLAGS) -MMD -MP -c $< -o $@

$(SIM_OUT)/core/%.o: CPPFLAGS += -include tests/sim/atomics.h

$(SIM_OUT)/sim: $(SIM_OBJECTS)
	$(Q)$(CC) $(CFLAGS) $(SIM_FLAGS) -o $@ $^ -lpthread

simulate: sim ## run the core on the simulated kernel: SEEDS=first-last, TRACE=1
	$(SIM_OUT)/sim $(if $(TRACE),--trace) $(SEEDS)

test-sim: sim ## tens of millions of events on the simulated kernel
	$(SIM_OUT)/sim $(SEEDS)

test-mutations: sim ## put bugs into copies of the core; the simulated kernel must find each
	SIM_COMPILE='$(STANDARD) $(CPPFLAGS) $(CFLAGS) -include tests/sim/atomics.h' \
		tests/sim/mutations.py core $(SIM_OUT) $(B)/mutations

-include $(SIM_OBJECTS:.o=.d)
