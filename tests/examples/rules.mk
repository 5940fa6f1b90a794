# SPDX-License-Identifier: MIT
.PHONY: test-examples test-examples-nic
test-examples: examples ## run the examples, in a network namespace of their own (root)
	unshare --net tests/examples/check $(B)/examples

test-examples-nic: examples ## run the upload server on three queues of a modelled NIC
	tests/rig/nicmodel/rig --driver bnxt --kernel 7.2 --rx-ring 128 --timeout 300 -- tests/examples/check $(B)/examples
