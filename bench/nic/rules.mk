# SPDX-License-Identifier: MIT
BENCH_NIC_OBJECTS := $(patsubst %.c,$(B)/obj/%.o,$(wildcard bench/nic/*.c))
BENCH_NIC_OPTIONS :=
BENCHES           += bench-nic

.PHONY: bench-nic test-bench-nic
bench-nic: $(B)/bench/nic $(B)/bench/count.so ## measure zero-copy against copies on a modelled NIC; build/bench/nic.json
	$(Q)$(DEPS) core nic
	bench/nic/bench-nic $(BENCH_NIC_OPTIONS)

test-bench-nic: ## run the NIC's measurements in small, to see that they work
	$(Q)$(MAKE) --no-print-directory bench-nic BENCH_NIC_OPTIONS=--quick

$(B)/bench/nic: $(BENCH_NIC_OBJECTS) $(LIBZCRX)
	@mkdir -p $(@D)
	$(Q)$(LINK) -o $@ $^ $(LDLIBS)

# Of the emulator: counts what its processors execute.
$(B)/bench/count.so: bench/plugin/count.c $(wildcard bench/plugin/*.h)
	@mkdir -p $(@D)
	$(Q)$(COMPILE) -fPIC -fvisibility=hidden -shared -o $@ $<

-include $(BENCH_NIC_OBJECTS:.o=.d)
