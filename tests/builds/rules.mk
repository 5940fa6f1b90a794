# SPDX-License-Identifier: MIT
# The core where users are: other libcs, other processors, other page sizes, other releases of liburing.
BUILD_ON := tests/builds/run.py

BUILD_TESTS := test-glibc-2.34 test-glibc-2.35 test-musl test-aarch64 test-aarch64-guest test-ppc64le-guest \
	test-debian13 test-sid test-liburing-old

.PHONY: test-builds test-builds-short $(BUILD_TESTS) deps-builds
test-builds: $(BUILD_TESTS) ## build and test the core on all systems and processors that it is for: half an hour

deps-builds:
	$(Q)$(DEPS) core builds

# Of each kind one: what a change of the core breaks most likely, in a minute.
test-builds-short: deps-builds ## compile the core for all of them; test it with musl, and on aarch64 with large pages
	$(BUILD_ON) compile
	$(BUILD_ON) musl unit sim
	tests/builds/guest unit sim --page 16
	tests/builds/old_liburing

test-glibc-2.34 test-glibc-2.35 test-musl: deps-builds
	$(BUILD_ON) $(@:test-%=%)

test-glibc-2.34: ## build the core for RHEL 9 (glibc 2.34), and test it
test-glibc-2.35: ## build the core for Ubuntu 22.04 (glibc 2.35), and test it
test-musl: ## build the core with musl, static, and test it

test-aarch64: deps-builds ## build the core for aarch64 with glibc; simulation and unit tests in an emulator, pages of 4 to 64 KiB
	$(BUILD_ON) aarch64 unit sim
	$(BUILD_ON) aarch64 unit --page 65536

test-aarch64-guest: deps-builds ## test it on aarch64 kernels with pages of 4 and of 16 KiB, all engines
	tests/builds/guest unit sim conformance --page 4
	tests/builds/guest unit sim conformance --page 16

test-ppc64le-guest: deps-builds ## test it on ppc64le, on a kernel with pages of 64 KiB, all engines
	tests/builds/guest unit conformance --page 64

test-debian13: deps-builds ## build and test the core in Debian 13, by its compiler (root)
	tests/builds/debian trixie

test-sid: deps-builds ## build and test the core in Debian sid, by the newest compiler and liburing (root)
	tests/builds/debian sid

test-liburing-old: deps-builds ## test that a liburing that is too old is said to be
	tests/builds/old_liburing
