# SPDX-License-Identifier: MIT
.PHONY: rust rust-bindings rust-conformance test-rust test-rust-crates test-rust-conformance \
	test-rust-uml test-rust-package test-rust-miri test-rust-model bench-rust lint-rust
CARGO := rust/with-cargo nice cargo
RUST_CONFORMANCE := build/rust/release/zcrx-conformance

rust: ## build the Rust crates and their examples
	$(CARGO) build --release -p zcrx --all-features --examples

rust-bindings: ## make rust/zcrx-sys/src/bindings.rs from zcrx.h
	$(CARGO) run -q -p zcrx-bindgen

rust-conformance:
	$(CARGO) build -q --release -p zcrx-conformance

test-rust: test-rust-crates test-rust-conformance ## run the Rust tests, and the conformance scenarios on multishot and recv

test-rust-crates: ## run the tests and examples of the Rust crates
	$(CARGO) test -q -p zcrx-sys -p zcrx -p zcrx-conformance --all-features

test-rust-conformance: rust-conformance ## run the conformance scenarios by the Rust crate
	rust/with-cargo $(RUST_CONFORMANCE) --fast --engine multishot,recv

test-rust-uml: rust-conformance ## run them in UML, on engine zcrx-nodev
	rust/with-cargo kernel/vm/uml --timeout 900 --check-dmesg -- $(RUST_CONFORMANCE) --fast --engine zcrx-nodev

test-rust-package: ## package the Rust crates, and use them in an empty project
	rust/with-cargo rust/test-package

test-rust-miri: ## run the Rust crate's tests that need no C under miri (nightly, component miri)
	MIRIFLAGS=-Zmiri-disable-isolation rust/with-cargo nice cargo +nightly miri test -q -p zcrx --lib --features bytes

test-rust-model: ## model-check release against receive (loom)
	$(CARGO) test -q -p zcrx-model

bench-rust: ## measure the Rust crate against the C core, std and tokio: build/bench/rust.json
	@mkdir -p build/bench
	$(CARGO) build -q --release -p zcrx-bench
	rust/with-cargo build/rust/release/zcrx-bench build/bench/rust.json

lint-rust: ## check bindings, formatting, lints and documentation of the Rust crates
	bindings/amalgamate --check rust/zcrx-sys/core
	$(CARGO) run -q -p zcrx-bindgen -- --check
	$(CARGO) fmt --all -- --check
	$(CARGO) clippy -q --workspace --all-targets --all-features -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc -q --no-deps -p zcrx-sys -p zcrx --all-features
