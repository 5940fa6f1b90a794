# SPDX-License-Identifier: MIT
# The data path of engine zcrx, in the NIC rig.

DATAPATH_SOURCES := $(wildcard tests/datapath/*.c)
DATAPATH_OBJECTS := $(DATAPATH_SOURCES:%.c=$(B)/obj/%.o)
# How a test process is run, what it may leave behind, and the payload.
DATAPATH_SHARED := $(patsubst %,$(B)/obj/tests/conformance/%.o,leaks payload process thread verdict)

$(DATAPATH_OBJECTS): INCLUDES += -Itests/conformance

TEST_PROGRAMS += $(B)/tests/datapath

$(B)/tests/datapath: $(DATAPATH_OBJECTS) $(DATAPATH_SHARED) $(LIBZCRX)
	$(Q)mkdir -p $(@D)
	$(Q)$(LINK) -o $@ $^ $(LDLIBS)

# Driver and kernel. The newest of each in `make test`; in all: the oldest with zero-copy, those that tell of
# copies, the newest.
DATAPATH_RUNS := bnxt:7.3 gve:7.3
DATAPATH_ALL  := bnxt:6.16 bnxt:7.2 bnxt:7.3 gve:6.18 gve:7.2 gve:7.3

# A second NUMA node with the NICs, smaller than the area of numa-beyond-node.
NUMA := --far-memory 256M

# $(call datapath,DRIVER:KERNEL...,SECONDS,OPTIONS,RIG): the bound is for a machine that has much else to do.
datapath = failed=0; for run in $(1); do \
		echo "$$run"; \
		tests/rig/nicmodel/rig --driver $${run%%:*} --kernel $${run\#\#*:} --timeout $(2) \
			--log $(B)/datapath/$$run $(4) -- $(B)/tests/datapath $(3) || failed=1; \
	done; exit $$failed

# Where a closed ring gives views back to a NIC that still writes, and where the kernel stops the queue first.
SIZING_ALL := bnxt:6.18 bnxt:7.2 bnxt:7.3 gve:6.18 gve:7.2 gve:7.3
HELD_ALL := bnxt:6.16 bnxt:6.18 bnxt:7.3 gve:6.18 gve:7.3
STALLED_ALL := bnxt:6.16 bnxt:6.18 bnxt:7.2 bnxt:7.3 gve:6.18 gve:7.2 gve:7.3
BENCHES += bench-stalled-nic

.PHONY: test-datapath test-datapath-all test-close-held-all sizing-all bench-stalled-nic
test-datapath: $(B)/tests/datapath ## try on modelled NICs what is a NIC's own: areas, foreign queues, faults, kills
	$(Q)$(call datapath,bnxt:6.18,900,--held 3 \
		--scenario close-held-small-ring$(comma)port-left-at-close$(comma)prepared-and-closed)
	$(Q)$(call datapath,$(firstword $(DATAPATH_RUNS)),600,--scenario 'numa-*',$(NUMA))
	$(Q)$(call datapath,$(DATAPATH_RUNS),900,--kills 10)

test-datapath-all: $(B)/tests/datapath ## the same on every kernel and driver, with 100 kills
	$(Q)$(call datapath,$(DATAPATH_ALL),600,--scenario 'numa-*',$(NUMA))
	$(Q)$(call datapath,$(DATAPATH_ALL),1800,--kills 100)

test-close-held-all: $(B)/tests/datapath ## close with views out 20 times, on kernels that stop the queue first and others
	$(Q)$(call datapath,$(HELD_ALL),1800,--scenario 'close-held*' --held 20)

sizing-all: $(B)/tests/datapath ## try areas and rings of every size on every kernel and driver: hours
	$(Q)$(call datapath,$(SIZING_ALL),3600,--scenario sizes-by-default --sizes)

bench-stalled-nic: $(B)/tests/datapath ## measure what unread connections of a NIC queue leave to others; build/bench/stalled-nic.json
	$(Q)tests/datapath/stalled-figures --program $(B)/tests/datapath --output $(B)/bench/stalled-nic.json $(STALLED_ALL)

-include $(DATAPATH_OBJECTS:.o=.d)
