# SPDX-License-Identifier: MIT
UNIT_TESTS := $(patsubst tests/unit/test_%.c,$(B)/tests/unit/%,$(wildcard tests/unit/test_*.c))
UNIT_SHARED := $(B)/obj/tests/unit/net.o $(B)/obj/tests/unit/rig.o
UNIT_OBJECTS := $(patsubst %.c,$(B)/obj/%.o,$(wildcard tests/unit/*.c))

.PHONY: unit test-unit test-unit-uml
unit: $(UNIT_TESTS) ## build the unit tests

$(B)/tests/unit/%: $(B)/obj/tests/unit/test_%.o $(UNIT_SHARED) $(LIBZCRX)
	$(Q)mkdir -p $(@D)
	$(Q)$(LINK) $(UNIT_WRAP) -o $@ $^ $(LDLIBS)

# Its kernel has huge pages as it likes.
$(B)/tests/unit/area_huge: UNIT_WRAP := $(patsubst %,-Wl$(comma)--wrap=zrx_sys_%,map unmap advise)
# Its kernel has memory when it likes.
$(B)/tests/unit/grow: UNIT_WRAP := -Wl,--wrap=zrx_sys_commit

test-unit: unit ## run the unit tests: one program for each source file of the core
	$(Q)failed=0; for test in $(UNIT_TESTS); do \
		if timeout 60 $$test; then echo "ok $${test##*/}"; \
		else echo "FAIL $${test##*/}"; failed=1; fi; \
	done; exit $$failed

test-unit-uml: unit ## run them in UML, on engine zcrx-nodev too
	tests/rig/vm/uml --timeout 300 --check-dmesg -- sh -c \
		'for test in $(UNIT_TESTS); do echo $$test; timeout 60 $$test || exit 1; done'

.SECONDARY: $(UNIT_OBJECTS)
-include $(UNIT_OBJECTS:.o=.d)
