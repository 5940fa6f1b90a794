# SPDX-License-Identifier: MIT
BENCH_NIC_OBJECTS := $(patsubst %.c,$(B)/obj/%.o,$(wildcard bench/nic/*.c))
BENCH_NIC_OPTIONS :=
BENCHES           += bench-nic

.PHONY: bench-nic test-bench-nic
bench-nic: $(B)/bench/nic ## measure zero-copy against copies on a modelled NIC; build/bench/nic.json
	$(Q)$(DEPS) core nic
	bench/nic/bench-nic $(BENCH_NIC_OPTIONS)

test-bench-nic: ## run the NIC's measurements in small, to see that they work
	$(Q)$(MAKE) --no-print-directory bench-nic BENCH_NIC_OPTIONS=--quick

$(B)/bench/nic: $(BENCH_NIC_OBJECTS) $(LIBZCRX)
	@mkdir -p $(@D)
	$(Q)$(LINK) -o $@ $^ $(LDLIBS)

-include $(BENCH_NIC_OBJECTS:.o=.d)
