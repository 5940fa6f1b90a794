# SPDX-License-Identifier: MIT
BENCH_GROUP_OBJECTS := $(patsubst %.c,$(B)/obj/%.o,$(wildcard bench/group/*.c)) $(B)/obj/bench/machine.o
BENCH_GROUP_OPTIONS :=
BENCH_GROUP_NIC_OPTIONS :=
BENCHES             += bench-group bench-group-nic

.PHONY: bench-group bench-group-nic test-bench-group test-bench-group-nic
bench-group: $(B)/bench/group ## measure groups against SO_REUSEPORT and epoll; build/bench/group.json
	$(Q)$(DEPS) core
	bench/group/bench-group $(BENCH_GROUP_OPTIONS)

test-bench-group: ## run the groups' measurements in small, to see that they work and lose nothing
	$(Q)$(MAKE) --no-print-directory bench-group BENCH_GROUP_OPTIONS=--quick

bench-group-nic: $(B)/bench/group ## measure what queues are worth to a group; build/bench/group-nic.json
	$(Q)$(DEPS) core nic uml
	bench/group/bench-group-nic $(BENCH_GROUP_NIC_OPTIONS)

test-bench-group-nic: ## run that in small, to see that it works and loses nothing
	$(Q)$(MAKE) --no-print-directory bench-group-nic BENCH_GROUP_NIC_OPTIONS=--quick
	$(Q)bench/check-form $(B)/bench/group-nic.json

$(B)/bench/group: $(BENCH_GROUP_OBJECTS) $(LIBZCRX)
	@mkdir -p $(@D)
	$(Q)$(LINK) -o $@ $^ $(LDLIBS)

-include $(BENCH_GROUP_OBJECTS:.o=.d)
