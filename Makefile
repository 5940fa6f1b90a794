# SPDX-License-Identifier: MIT
# zcrx: the C core, its tests, and the packages built from it. `make help` lists the targets.

VERSION := $(shell sed -n 's/^.define ZRX_VERSION_\(MAJOR\|MINOR\|PATCH\) //p' core/include/zcrx.h | paste -sd.)
ABI     := 0

# Commands are shown by `make V=1`.
Q        := $(if $(V),,@)

B        := build
PREFIX   := /usr/local
LIBDIR   := $(PREFIX)/lib
INCDIR   := $(PREFIX)/include
DESTDIR  :=

CFLAGS   := -O2 -g
WARNINGS := -Wall -Wextra -Wpedantic -Werror
CPPFLAGS := -D_GNU_SOURCE -Icore/include -Icore -Ikernel
STANDARD := -std=c11
LDLIBS   := -luring -lmnl -lpthread
LIBZCRX  := $(B)/libzcrx.a

CORE_SOURCES := $(wildcard core/*.c) $(wildcard kernel/*.c)
CORE_OBJECTS := $(CORE_SOURCES:%.c=$(B)/obj/%.o)

.PHONY: all help lib demo test check install clean deps-core
.DEFAULT_GOAL := all

all: lib ## build the libraries and the examples

lib: $(LIBZCRX) $(B)/libzcrx.so ## build libzcrx.a and libzcrx.so

$(B)/obj/%.o: %.c
	@mkdir -p $(@D)
	$(Q)$(CC) $(STANDARD) $(CPPFLAGS) $(CFLAGS) $(WARNINGS) -fPIC -fvisibility=hidden -MMD -MP -c $< -o $@

$(LIBZCRX): $(CORE_OBJECTS)
	@rm -f $@
	$(Q)$(AR) rcs $@ $^

$(B)/libzcrx.so.$(ABI): $(CORE_OBJECTS) core/zcrx.map
	$(Q)$(CC) $(CFLAGS) -shared -Wl,-soname,libzcrx.so.$(ABI) -Wl,--version-script=core/zcrx.map \
		-Wl,--no-undefined -o $@ $(CORE_OBJECTS) $(LDLIBS)

$(B)/libzcrx.so: $(B)/libzcrx.so.$(ABI)
	$(Q)ln -sf $(<F) $@

-include $(CORE_OBJECTS:.o=.d)

install: lib ## install header, libraries and pkg-config file (DESTDIR=, PREFIX=)
	install -d $(DESTDIR)$(INCDIR) $(DESTDIR)$(LIBDIR)/pkgconfig
	install -m 644 core/include/zcrx.h $(DESTDIR)$(INCDIR)
	install -m 644 $(LIBZCRX) $(DESTDIR)$(LIBDIR)
	install -m 755 $(B)/libzcrx.so.$(ABI) $(DESTDIR)$(LIBDIR)/libzcrx.so.$(VERSION)
	ln -sf libzcrx.so.$(VERSION) $(DESTDIR)$(LIBDIR)/libzcrx.so.$(ABI)
	ln -sf libzcrx.so.$(ABI) $(DESTDIR)$(LIBDIR)/libzcrx.so
	sed -e 's|@PREFIX@|$(PREFIX)|; s|@LIBDIR@|$(LIBDIR)|; s|@INCLUDEDIR@|$(INCDIR)|; s|@VERSION@|$(VERSION)|' \
		core/zcrx.pc.in > $(DESTDIR)$(LIBDIR)/pkgconfig/zcrx.pc

clean: ## remove everything that was built
	rm -rf $(B)

help: ## list the targets
	@sed -n 's/^\([a-z][a-z0-9_-]*\):[^#]*## \(.*\)/\1\t\2/p' $(MAKEFILE_LIST) | sort | \
		awk -F '\t' '{ printf "  %-24s %s\n", $$1, $$2 }'

# Each folder that has something to build or to run says so itself.
include $(sort $(wildcard */rules.mk */*/rules.mk))
