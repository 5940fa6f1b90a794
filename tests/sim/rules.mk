# SPDX-License-Identifier: MIT
SIM_SOURCES := $(wildcard tests/sim/*.c) $(wildcard core/*.c)
SIM_FLAGS   :=
SIM_OUT     := $(B)/sim
SIM_OBJECTS := $(SIM_SOURCES:%.c=$(SIM_OUT)/%.o)
SEEDS       := 1-4000
TRACE       :=

.PHONY: sim simulate test-sim
sim: $(SIM_OUT)/sim ## build the simulated kernel's test

$(SIM_OUT)/%.o: %.c
	@mkdir -p $(@D)
	$(Q)$(CC) $(STANDARD) $(CPPFLAGS) $(CFLAGS) $(WARNINGS) -Itests/sim $(SIM_FLAGS) -MMD -MP -c $< -o $@

$(SIM_OUT)/core/%.o: CPPFLAGS += -include tests/sim/atomics.h

$(SIM_OUT)/sim: $(SIM_OBJECTS)
	$(Q)$(CC) $(CFLAGS) $(SIM_FLAGS) -o $@ $^ -lpthread

simulate: sim ## run the core on the simulated kernel: SEEDS=first-last, TRACE=1
	$(SIM_OUT)/sim $(if $(TRACE),--trace) $(SEEDS)

test-sim: sim ## ten million events on the simulated kernel
	$(SIM_OUT)/sim $(SEEDS)

-include $(SIM_OBJECTS:.o=.d)
