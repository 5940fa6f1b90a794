# SPDX-License-Identifier: MIT
SCALE_SOURCES := $(wildcard tests/scale/*.c)
SCALE_OBJECTS := $(SCALE_SOURCES:%.c=$(B)/obj/%.o)
SCALE         := $(B)/tests/scale

TEST_PROGRAMS += $(SCALE)

$(SCALE): $(SCALE_OBJECTS) $(LIBZCRX)
	@mkdir -p $(@D)
	$(Q)$(LINK) -o $@ $^ $(LDLIBS)

.PHONY: test-scale test-scale-long
test-scale: $(SCALE) ## receive 10,000 streams and 10,000 connections; several receivers; fairness (native and UML)
	$(SCALE) --engine multishot --timeout 120
	$(SCALE) --engine recv --timeout 120
	tests/rig/vm/uml --timeout 120 --check-dmesg -- $(SCALE) --engine zcrx-nodev --streams 400 --connections 500 \
		--bytes 2097152 --milliseconds 500

test-scale-long: $(SCALE) ## the same with 100,000 connections and more bytes
	$(SCALE) --engine multishot --connections 100000 --bytes 268435456 --milliseconds 5000 --timeout 900
	$(SCALE) --engine recv --connections 100000 --bytes 268435456 --milliseconds 5000 --timeout 900

-include $(SCALE_OBJECTS:.o=.d)
