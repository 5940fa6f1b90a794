# SPDX-License-Identifier: MIT
.PHONY: test-house
test-house: ## test what holds the layout of the core
	tests/house/check
