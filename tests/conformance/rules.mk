# SPDX-License-Identifier: MIT
CONFORMANCE_SOURCES := $(wildcard tests/conformance/*.c)
CONFORMANCE_OBJECTS := $(CONFORMANCE_SOURCES:%.c=$(B)/obj/%.o)
EXECUTOR_C_SOURCES  := $(wildcard tests/conformance/c/*.c)
EXECUTOR_C_OBJECTS  := $(EXECUTOR_C_SOURCES:%.c=$(B)/obj/%.o)

# Under emulation a byte takes long, and a NIC's set-up some seconds: of each kind of scenario one or two.
NIC_SCENARIOS := size-1,size-4097,size-1mib,poll-batch-1,wake-ends-wait,release-at-end-threads,double-release,\
nic-*,ring-8-slow-reader,end-before-data,end-with-buffers-out,data-before-add,reset-before-add,reset-mid-stream,\
reset-with-buffers-out,limit-mid-buffer,limit-boundary,remove-before-receive,remove-mid-stream,\
close-fd-reuse,close-held-threads,close-on-other-held,fork-buffers-out,\
window,window-remove,stalled-by-window-later,hand-pause-first,hand-pause-at-window,hand-pause-remove,\
stream-window-too-large,area-max-dma-buf,\
group-1,group-4-listen,group-4-add-4-threads,group-shared-2-add,group-shared-4-listen,group-shared-2-refill-8
CONFORMANCE_RUNS := bnxt:7.2 gve:7.2
CONFORMANCE_ALL   := bnxt:6.16 bnxt:7.2 bnxt:7.3 gve:6.18 gve:7.2 gve:7.3

# $(call conformance_nic,DRIVER:KERNEL...,SECONDS,OPTIONS)
conformance_nic = failed=0; for run in $(1); do \
		echo "$$run"; \
		tests/rig/nicmodel/rig --driver $${run%%:*} --kernel $${run\#\#*:} --timeout $(2) \
			--log $(B)/conformance/$$run -- \
			$(B)/tests/conformance --engine zcrx --seconds 300 $(3) || failed=1; \
	done; exit $$failed

.PHONY: conformance test-conformance-driver test-conformance test-conformance-uml test-conformance-nic test-conformance-nic-all
conformance: $(B)/tests/conformance $(B)/tests/conformance-c ## build the conformance driver and its C executor

TEST_PROGRAMS += $(B)/tests/conformance $(B)/tests/conformance-c $(B)/tests/conformance-liar

# The driver knows no library: what it says of one, it has from the executor.
$(B)/tests/conformance: $(CONFORMANCE_OBJECTS)
	$(Q)mkdir -p $(@D)
	$(Q)$(LINK) -o $@ $^ -lpthread

$(B)/tests/conformance-c: $(EXECUTOR_C_OBJECTS) $(LIBZCRX)
	$(Q)mkdir -p $(@D)
	$(Q)$(LINK) -o $@ $^ $(LDLIBS)

# The C executor on a library that breaks the contract.
LIAR_WRAPS := receiver_open receiver_close receiver_add receiver_receive receiver_stats buffer_release \
	receiver_pause receiver_resume stream_stats group_stats

$(B)/tests/conformance-liar: $(EXECUTOR_C_OBJECTS) $(B)/obj/tests/conformance/liar/liar.o $(LIBZCRX)
	$(Q)mkdir -p $(@D)
	$(Q)$(LINK) $(LIAR_WRAPS:%=-Wl,--wrap=zrx_%) -o $@ $^ $(LDLIBS)

test-conformance-driver: conformance $(B)/tests/conformance-liar ## test that the conformance driver finds each break of the contract
	tests/conformance/test-driver $(B)/tests
	tests/conformance/test-driver $(B)/tests $(B)/tests/conformance-c

test-conformance: conformance ## run the conformance scenarios on engines multishot and recv
	$(B)/tests/conformance --engine multishot,recv --jobs 4

test-conformance-uml: conformance ## run them in UML, on engine zcrx-nodev too
	tests/rig/vm/uml --timeout 900 --check-dmesg -- $(B)/tests/conformance --engine zcrx-nodev,multishot,recv --jobs 3

test-conformance-nic: conformance ## run some of them on modelled NICs, by engine zcrx
	$(Q)$(call conformance_nic,$(CONFORMANCE_RUNS),900,--scenario '$(subst $() ,,$(NIC_SCENARIOS))')

test-conformance-nic-all: conformance ## run all of them there, on every kernel and driver: an hour
	$(Q)$(call conformance_nic,$(CONFORMANCE_ALL),2700,)

-include $(CONFORMANCE_OBJECTS:.o=.d) $(EXECUTOR_C_OBJECTS:.o=.d)
