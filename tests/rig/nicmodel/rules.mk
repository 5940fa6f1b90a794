# SPDX-License-Identifier: MIT
.PHONY: test-nicmodel test-nic
NIC_STREAM := build/nic/zcrx_stream
# Driver, kernel, what to ask of it. The oldest on which the stock driver does zero-copy, the kernel that
# tells of copies, and the newest; larger buffers where bnxt has them; and everything that goes wrong.
NIC_RUNS := bnxt:6.16 bnxt:7.2 bnxt:7.2:32768 bnxt:7.2:faults bnxt:7.3 \
	gve:6.18 gve:7.2 gve:7.2:faults gve:7.3

$(NIC_STREAM): tests/rig/nicmodel/tests/zcrx_stream.c kernel/uapi.h
	@mkdir -p $(@D)
	$(CC) -std=gnu11 -O2 -Wall -Wextra -Werror -o $@ $<

test-nicmodel: ## unit tests of the NIC models
	python3 -m unittest discover -s tests/rig/nicmodel/tests -t tests/rig

test-nic: $(NIC_STREAM) ## boot stock kernels on the modelled NICs and receive by zcrx
	tests/rig/nicmodel/tests/on_kernels --program $(NIC_STREAM) --log build/nic $(NIC_RUNS)
