# SPDX-License-Identifier: MIT
FAULT_SOURCES := $(wildcard tests/fault/*.c)
FAULT_OBJECTS := $(FAULT_SOURCES:%.c=$(B)/obj/%.o)
FAULT_CALLS   := alloc free map map_fd unmap reserve commit advise ring_open ring_close ring_register ring_enter ring_gather epoll_open \
	epoll_control epoll_wait eventfd_open dup close socket_option recv socket_pending socket_polls \
	receive_buffer receive_buffer_fix receive_buffer_loosen
FAULT_WRAP    := $(FAULT_CALLS:%=-Wl,--wrap=zrx_sys_%)

TEST_PROGRAMS += $(B)/tests/fault

.PHONY: test-fault test-fault-uml
$(B)/tests/fault: $(FAULT_OBJECTS) $(LIBZCRX)
	@mkdir -p $(@D)
	$(Q)$(LINK) $(FAULT_WRAP) -o $@ $^ $(LDLIBS)

test-fault: $(B)/tests/fault ## fail every system call and allocation of the core, one at a time
	$(B)/tests/fault multishot recv

test-fault-uml: $(B)/tests/fault ## the same in UML, on engine zcrx-nodev
	tests/rig/vm/uml --timeout 600 --check-dmesg -- $(B)/tests/fault zcrx-nodev

-include $(FAULT_OBJECTS:.o=.d)
