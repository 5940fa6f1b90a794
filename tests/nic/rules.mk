# SPDX-License-Identifier: MIT
# NIC set-up and probe without a NIC: pure parts, a NIC in memory that fails everywhere, lo and veth.

NIC_TEST_SOURCES := $(wildcard tests/nic/*.c)
NIC_TEST_OBJECTS := $(NIC_TEST_SOURCES:%.c=$(B)/obj/%.o)

-include $(NIC_TEST_OBJECTS:.o=.d)

$(B)/test-nic: $(NIC_TEST_OBJECTS) $(LIBZCRX)
	$(Q)$(CC) $(CFLAGS) -o $@ $^ $(LDLIBS)

.PHONY: test-nic-unit
test-nic-unit: $(B)/test-nic ## test the probe and NIC set-up on a NIC in memory (root)
	$(Q)timeout 180 $(B)/test-nic
