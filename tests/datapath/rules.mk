# SPDX-License-Identifier: MIT
# The data path of engine zcrx, in the NIC rig.

DATAPATH_SOURCES := $(wildcard tests/datapath/*.c)
DATAPATH_OBJECTS := $(DATAPATH_SOURCES:%.c=$(B)/obj/%.o)
# How a test process is run, what it may leave behind, and the payload.
DATAPATH_SHARED := $(patsubst %,$(B)/obj/tests/conformance/%.o,leaks payload process thread verdict)

$(DATAPATH_OBJECTS): CPPFLAGS += -Itests/conformance

$(B)/tests/datapath: $(DATAPATH_OBJECTS) $(DATAPATH_SHARED) $(LIBZCRX)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS) -o $@ $^ $(LDLIBS)

-include $(DATAPATH_OBJECTS:.o=.d)
