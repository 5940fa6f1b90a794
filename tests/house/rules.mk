# SPDX-License-Identifier: MIT
.PHONY: test-house
test-house: ## test what holds the layout of the core, and what writes the bindings
	tests/house/check
	tests/house/generator
