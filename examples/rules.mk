# SPDX-License-Identifier: MIT
EXAMPLES := $(patsubst %,$(B)/examples/%,minimal event_loop workers)

# These hash by OpenSSL's libcrypto; where it is not, the others are built.
CRYPTO_EXAMPLES := $(patsubst %,$(B)/examples/%,receive upload_server)
CRYPTO_LIBS     := $(shell pkg-config --libs libcrypto 2>/dev/null)
ifneq ($(CRYPTO_LIBS),)
EXAMPLES += $(CRYPTO_EXAMPLES)
endif

.PHONY: examples
all: examples

examples: $(EXAMPLES) ## build the examples
	$(if $(CRYPTO_LIBS),,@echo "not built: $(notdir $(CRYPTO_EXAMPLES)): they need libcrypto (Debian: libssl-dev; scripts/deps demo)")

$(B)/examples/%: $(B)/obj/examples/%.o $(LIBZCRX)
	$(Q)mkdir -p $(@D)
	$(Q)$(LINK) -o $@ $(filter %.o,$^) $(LIBZCRX) $(EXAMPLE_LIBS) $(LDLIBS)

$(B)/examples/upload_server: $(patsubst %,$(B)/obj/examples/%.o,upload_worker upload_metrics)

$(CRYPTO_EXAMPLES): EXAMPLE_LIBS := $(CRYPTO_LIBS)
$(patsubst %,$(B)/obj/examples/%.o,receive upload_worker): INCLUDES += $(shell pkg-config --cflags libcrypto 2>/dev/null)

EXAMPLE_OBJECTS := $(patsubst %.c,$(B)/obj/%.o,$(wildcard examples/*.c))
.SECONDARY: $(EXAMPLE_OBJECTS)
-include $(EXAMPLE_OBJECTS:.o=.d)
