# SPDX-License-Identifier: MIT
CONFORMANCE_SOURCES := $(wildcard tests/conformance/*.c)
CONFORMANCE_OBJECTS := $(CONFORMANCE_SOURCES:%.c=$(B)/obj/%.o)

.PHONY: conformance test-conformance test-conformance-uml
conformance: $(B)/tests/conformance ## build the conformance runner

$(B)/tests/conformance: $(CONFORMANCE_OBJECTS) $(LIBZCRX)
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) -o $@ $^ $(LDLIBS)

test-conformance: conformance ## run the conformance scenarios on engines multishot and recv
	$(B)/tests/conformance --engine multishot,recv

test-conformance-uml: conformance ## run them in UML, on engine zcrx-nodev too
	kernel/vm/uml --timeout 900 --check-dmesg -- $(B)/tests/conformance --engine zcrx-nodev,multishot,recv

-include $(CONFORMANCE_OBJECTS:.o=.d)
