# SPDX-License-Identifier: MIT
# Measurements. A folder that has one adds its target to BENCHES.

BENCH_SOURCES := $(wildcard bench/*.c)
BENCH_OBJECTS := $(BENCH_SOURCES:%.c=$(B)/obj/%.o)
BENCH_SHARED  := $(filter-out %/receive.o %/idle.o %/stalled.o,$(BENCH_OBJECTS))
SCRIPTED_OBJECTS := $(patsubst %.c,$(B)/obj/%.o,$(wildcard bench/scripted/*.c)) \
	$(addprefix $(B)/obj/bench/,machine.o sender.o take.o)
SCRIPTED_WRAP := $(addprefix -Wl$(comma)--wrap=zrx_,sys_ring_open sys_ring_close sys_ring_register sys_ring_enter sys_ring_gather \
	nic_acquire nic_bound nic_admit nic_steer_add nic_retire nic_release)
BENCH_OPTIONS :=
BENCHES       += bench-core

.PHONY: bench bench-core test-bench
bench: ## run all measurements (BENCH_OPTIONS=--quick: only to see that they work)
	$(Q)for target in $(BENCHES); do $(MAKE) --no-print-directory $$target || exit 1; done

bench-core: $(B)/bench/receive $(B)/bench/idle $(B)/bench/stalled $(B)/bench/scripted ## measure the core against plain programs; build/bench/core.json
	$(Q)$(DEPS) core bench uml
	bench/core $(BENCH_OPTIONS)

test-bench: ## run the measurements of core and groups in small, to see that they work
	$(Q)$(MAKE) --no-print-directory bench-core BENCH_OPTIONS=--quick
	$(Q)$(MAKE) --no-print-directory test-bench-group
	$(Q)bench/check-form $(B)/bench/*.json
	$(Q)echo '{"short": {"value": 1}}' >$(B)/bench/wrong-form; \
		! bench/check-form $(B)/bench/wrong-form 2>/dev/null

# What the kernel does is not what is counted there.
$(B)/bench/scripted: $(SCRIPTED_OBJECTS) $(LIBZCRX)
	@mkdir -p $(@D)
	$(Q)$(LINK) $(SCRIPTED_WRAP) -o $@ $^ $(LDLIBS)

$(SCRIPTED_OBJECTS): INCLUDES += -Ibench

$(B)/bench/%: $(B)/obj/bench/%.o $(BENCH_SHARED) $(LIBZCRX)
	@mkdir -p $(@D)
	$(Q)$(LINK) -o $@ $^ $(LDLIBS)

-include $(BENCH_OBJECTS:.o=.d) $(SCRIPTED_OBJECTS:.o=.d)
