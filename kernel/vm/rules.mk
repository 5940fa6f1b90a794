# SPDX-License-Identifier: MIT
.PHONY: vm-fetch
vm-fetch: ## fetch what the virtual machines need (Debian sid's user-mode-linux and QEMU) into the cache
	kernel/vm/debroot.py uml qemu
