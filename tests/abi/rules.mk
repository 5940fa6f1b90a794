# SPDX-License-Identifier: MIT
.PHONY: test-abi record-abi
test-abi: lib ## compare symbols, layouts and types with what was recorded; compile the header among others
	tests/abi/check $(B)/libzcrx.so

record-abi: lib ## record the binary interface, after a change that is meant
	tests/abi/check --record $(B)/libzcrx.so
