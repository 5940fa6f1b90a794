# SPDX-License-Identifier: MIT
EXAMPLES := $(patsubst %,$(B)/examples/%,minimal receive event_loop workers)

.PHONY: examples
all: examples

examples: $(EXAMPLES) ## build the examples

$(B)/examples/%: $(B)/obj/examples/%.o $(LIBZCRX)
	$(Q)mkdir -p $(@D)
	$(Q)$(LINK) -o $@ $^ $(EXAMPLE_LIBS) $(LDLIBS)

$(B)/examples/receive: EXAMPLE_LIBS := -lcrypto

.SECONDARY: $(EXAMPLES:$(B)/%=$(B)/obj/%.o)
-include $(EXAMPLES:$(B)/%=$(B)/obj/%.d)
