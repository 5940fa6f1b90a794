# SPDX-License-Identifier: MIT
# What a distribution packages: install, uninstall, man pages, the release's tarball.

LIBDIR       ?= $(PREFIX)/lib
INCLUDEDIR   ?= $(PREFIX)/include
MANDIR       ?= $(PREFIX)/share/man
PKGCONFIGDIR ?= $(LIBDIR)/pkgconfig
DESTDIR      ?=

MAN     := $(B)/man
TARBALL := $(B)/zcrx-$(VERSION).tar.xz
INSTALL := install

.PHONY: man install uninstall dist
all: man

man: $(MAN)/done ## make the man pages from zcrx.h

$(MAN)/done: core/include/zcrx.h scripts/packaging/man
	@rm -rf $(MAN)
	$(Q)scripts/packaging/man $(VERSION) $< $(MAN)
	@touch $@

install: lib man ## install header, libraries, pkg-config file and man pages (PREFIX=, LIBDIR=, DESTDIR=, ...)
	$(INSTALL) -d $(addprefix $(DESTDIR),$(INCLUDEDIR) $(LIBDIR) $(PKGCONFIGDIR) $(MANDIR)/man3 $(MANDIR)/man7)
	$(INSTALL) -m 644 core/include/zcrx.h $(DESTDIR)$(INCLUDEDIR)
	$(INSTALL) -m 644 $(LIBZCRX) $(DESTDIR)$(LIBDIR)
	$(INSTALL) -m 755 $(B)/libzcrx.so.$(ABI) $(DESTDIR)$(LIBDIR)/libzcrx.so.$(VERSION)
	ln -sf libzcrx.so.$(VERSION) $(DESTDIR)$(LIBDIR)/libzcrx.so.$(ABI)
	ln -sf libzcrx.so.$(ABI) $(DESTDIR)$(LIBDIR)/libzcrx.so
	sed -e 's|@PREFIX@|$(PREFIX)|; s|@LIBDIR@|$(LIBDIR)|; s|@INCLUDEDIR@|$(INCLUDEDIR)|; s|@VERSION@|$(VERSION)|' \
		core/zcrx.pc.in > $(DESTDIR)$(PKGCONFIGDIR)/zcrx.pc
	$(INSTALL) -m 644 $(MAN)/*.3 $(DESTDIR)$(MANDIR)/man3
	$(INSTALL) -m 644 $(MAN)/*.7 $(DESTDIR)$(MANDIR)/man7
	$(if $(DESTDIR),,test "$$(id -u)" != 0 || ldconfig) # so that the loader finds it

uninstall: man ## remove what `make install` with the same variables has installed
	rm -f $(DESTDIR)$(INCLUDEDIR)/zcrx.h $(DESTDIR)$(PKGCONFIGDIR)/zcrx.pc
	rm -f $(addprefix $(DESTDIR)$(LIBDIR)/libzcrx.,a so so.$(ABI) so.$(VERSION))
	cd $(MAN) && for page in *.[37]; do rm -f "$(DESTDIR)$(MANDIR)/man$${page##*.}/$$page"; done

# Times in it are the commit's, so the same commit gives the same bytes.
dist: ## make zcrx-VERSION.tar.xz in build/ from what is committed
	@mkdir -p $(B)
	$(Q)git archive --format=tar --prefix=zcrx-$(VERSION)/ HEAD > $(TARBALL:.xz=)
	$(Q)xz -9 -T1 -f $(TARBALL:.xz=)
	@echo $(TARBALL)
