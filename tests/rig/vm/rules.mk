# SPDX-License-Identifier: MIT
.PHONY: vm-fetch test-vm test-vm-unit

vm-fetch: ## fetch what the virtual machines need (user-mode Linux, QEMU, a kernel) into the cache
	tests/rig/vm/debroot.py uml qemu
	tests/rig/vm/kernels.py fetch 7.2

test-vm-unit: ## test the virtual machines' parts that need no guest
	cd tests/rig/vm && python3 -m unittest test_parts

test-vm: test-vm-unit ## test that commands run in user-mode Linux and QEMU as they do here
	cd tests/rig/vm && python3 -m unittest test_vm
