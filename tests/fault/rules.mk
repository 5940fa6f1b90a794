# SPDX-License-Identifier: MIT
FAULT_CALLS   := alloc free map map_fd unmap reserve commit advise ring_open ring_close ring_register ring_enter ring_gather epoll_open \
	epoll_control epoll_wait eventfd_open dup close accept set_blocking timer_open socket_option recv socket_pending socket_polls \
	receive_buffer receive_buffer_fix receive_buffer_loosen
FAULT_WRAP    := $(FAULT_CALLS:%=-Wl,--wrap=zrx_sys_%)
# One that lives a receiver's life, one that lives a group's.
FAULTS        := $(B)/tests/fault $(B)/tests/fault-group
FAULT_OBJECTS := $(patsubst %.c,$(B)/obj/%.o,$(wildcard tests/fault/*.c))

TEST_PROGRAMS += $(FAULTS)

.PHONY: test-fault test-fault-uml
$(B)/tests/fault: $(B)/obj/tests/fault/fault.o
$(B)/tests/fault-group: $(B)/obj/tests/fault/group.o

$(FAULTS): $(B)/obj/tests/fault/inject.o $(LIBZCRX)
	@mkdir -p $(@D)
	$(Q)$(LINK) $(FAULT_WRAP) -o $@ $(filter %.o,$^) $(LIBZCRX) $(LDLIBS)

test-fault: $(FAULTS) ## fail every system call and allocation of the core, one at a time
	$(B)/tests/fault multishot recv
	$(B)/tests/fault-group multishot recv

test-fault-uml: $(FAULTS) ## the same in UML, on engine zcrx-nodev
	tests/rig/vm/uml --timeout 600 --check-dmesg -- sh -c '$(B)/tests/fault zcrx-nodev && $(B)/tests/fault-group zcrx-nodev'

-include $(FAULT_OBJECTS:.o=.d)
