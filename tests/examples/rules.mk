# SPDX-License-Identifier: MIT
.PHONY: test-examples
test-examples: examples ## run the examples, in a network namespace of their own (root)
	unshare --net tests/examples/check $(B)/examples
