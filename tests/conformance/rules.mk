# SPDX-License-Identifier: MIT
CONFORMANCE_SOURCES := $(wildcard tests/conformance/*.c)
CONFORMANCE_OBJECTS := $(CONFORMANCE_SOURCES:%.c=$(B)/obj/%.o)

# Under emulation a byte takes long: of each kind of scenario one or two.
NIC_SCENARIOS := size-1,size-4097,size-1mib,poll-batch-1,wake-ends-wait,release-at-end-threads,double-release,\
nic-*,ring-8-slow-reader,end-before-data,end-with-buffers-out,data-before-add,reset-mid-stream,\
reset-with-buffers-out,limit-mid-buffer,limit-boundary,remove-before-receive,remove-mid-stream,\
close-fd-reuse,close-held-threads,close-on-other-held,fork-buffers-out
NIC_DRIVERS := bnxt gve

.PHONY: conformance test-conformance test-conformance-uml test-conformance-nic
conformance: $(B)/tests/conformance ## build the conformance runner

$(B)/tests/conformance: $(CONFORMANCE_OBJECTS) $(LIBZCRX)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS) -o $@ $^ $(LDLIBS)

test-conformance: conformance ## run the conformance scenarios on engines multishot and recv
	$(B)/tests/conformance --engine multishot,recv

test-conformance-uml: conformance ## run them in UML, on engine zcrx-nodev too
	kernel/vm/uml --timeout 900 --check-dmesg -- $(B)/tests/conformance --engine zcrx-nodev,multishot,recv

test-conformance-nic: conformance ## run some of them on modelled NICs, by engine zcrx
	$(Q)for driver in $(NIC_DRIVERS); do \
		kernel/nicmodel/rig --driver $$driver --kernel 7.2 --timeout 900 -- $(B)/tests/conformance \
			--engine zcrx --seconds 120 --scenario '$(subst $() ,,$(NIC_SCENARIOS))' || exit 1; \
	done

-include $(CONFORMANCE_OBJECTS:.o=.d)
