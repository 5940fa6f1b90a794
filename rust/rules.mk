# SPDX-License-Identifier: MIT
.PHONY: rust rust-bindings test-rust lint-rust
CARGO := rust/with-cargo nice cargo

rust: ## build the Rust crates and their examples
	$(CARGO) build --release -p zcrx --all-features --examples

rust-bindings: ## make rust/zcrx-sys/src/bindings.rs from zcrx.h
	$(CARGO) run -q -p zcrx-bindgen

test-rust: ## run the Rust tests
	$(CARGO) test -p zcrx-sys -p zcrx --all-features

lint-rust: ## check bindings, formatting, lints and documentation of the Rust crates
	bindings/amalgamate --check rust/zcrx-sys/core
	$(CARGO) run -q -p zcrx-bindgen -- --check
	$(CARGO) fmt --all -- --check
	$(CARGO) clippy -q --workspace --all-targets --all-features -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc -q --no-deps -p zcrx-sys -p zcrx --all-features
