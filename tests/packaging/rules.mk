# SPDX-License-Identifier: MIT
.PHONY: test-install
test-install: ## install as a packager does: flags, DESTDIR, pkg-config, man pages, the tarball
	tests/packaging/check $(B)/packaging
