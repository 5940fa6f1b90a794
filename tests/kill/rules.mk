# SPDX-License-Identifier: MIT
.PHONY: test-kill test-kill-uml
test-kill: examples ## kill receivers at random points; nothing of them may stay
	tests/kill/kill --program $(B)/examples/receive --engine multishot --rounds 50
	tests/kill/kill --program $(B)/examples/receive --engine recv --rounds 50

test-kill-uml: examples ## the same in UML, 200 times on engine zcrx-nodev
	tests/rig/vm/uml --timeout 600 --check-dmesg -- tests/kill/kill --check-memory \
		--program $(B)/examples/receive --engine zcrx-nodev --rounds 200
