# SPDX-License-Identifier: MIT
# NIC set-up and probe without a NIC: pure parts, a NIC in memory that fails everywhere, lo and veth.

NIC_TEST_SOURCES := $(wildcard tests/nic/*.c)
NIC_TEST_OBJECTS := $(NIC_TEST_SOURCES:%.c=$(B)/obj/%.o)

TEST_PROGRAMS += $(B)/test-nic $(B)/test-nic-setup

-include $(NIC_TEST_OBJECTS:.o=.d)

$(B)/test-nic: $(NIC_TEST_OBJECTS) $(LIBZCRX)
	$(Q)$(LINK) -o $@ $^ $(LDLIBS)

.PHONY: test-nic-unit
test-nic-unit: $(B)/test-nic ## test the probe and NIC set-up on a NIC in memory (root)
	$(Q)timeout 180 $(B)/test-nic

# Driver and kernel: one that takes rule locations and one that refuses them, with and without an RSS table in use.
NIC_SETUP_RUNS := bnxt:7.2 gve:7.2

NIC_SETUP_OBJECTS := $(patsubst %.c,$(B)/obj/%.o,$(wildcard tests/nic/rig/*.c))

$(B)/test-nic-setup: $(NIC_SETUP_OBJECTS) $(LIBZCRX)
	$(Q)$(LINK) -o $@ $^ $(LDLIBS)

-include $(NIC_SETUP_OBJECTS:.o=.d)

.PHONY: test-nic-setup
test-nic-setup: $(B)/test-nic-setup $(B)/examples/receive ## set modelled NICs up on stock kernels, and put them back
	$(Q)for run in $(NIC_SETUP_RUNS); do \
		tests/rig/nicmodel/rig --driver $${run%%:*} --kernel $${run##*:} --timeout 900 \
			--log $(B)/nic-setup/$${run%%:*} -- $(CURDIR)/$(B)/test-nic-setup || exit 1; \
	done
