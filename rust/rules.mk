# SPDX-License-Identifier: MIT
.PHONY: rust rust-bindings rust-conformance test-rust test-rust-crates test-rust-model test-rust-conformance \
	test-rust-large test-rust-uml test-rust-nic test-rust-asan test-rust-package test-rust-msrv test-rust-miri \
	bench-rust lint-rust
CARGO := rust/with-cargo nice cargo
# The same selection and profile wherever possible: each crate is then built once. Without the generator of the
# bindings, whose dependencies are most of all code.
RUST_CRATES := --workspace --exclude zcrx-bindgen --all-features
RUST_EXECUTOR := build/rust/debug/zcrx-conformance
RUST_CONFORMANCE := $(B)/tests/conformance --executor $(RUST_EXECUTOR)
RUST_NIC_SCENARIOS := size-4097,size-1mib,release-at-end-threads,nic-hold-many-threads,reset-with-buffers-out,\
limit-mid-buffer,remove-mid-stream,close-held-threads,fork-buffers-out,\
group-1,group-4-listen,group-4-add-4-threads,group-shared-4-listen

rust: ## build the Rust crates and their examples
	$(CARGO) build --release -p zcrx --all-features --examples

rust-bindings: ## make rust/zcrx-sys/src/bindings.rs from zcrx.h
	$(CARGO) run -q -p zcrx-bindgen

# With the examples, which makes the features of all dependencies those that the tests need.
rust-conformance: $(B)/tests/conformance
	$(CARGO) build -q $(RUST_CRATES) --bins --examples

test-rust: test-rust-crates test-rust-conformance test-rust-package ## run the Rust tests, and the conformance scenarios on multishot and recv

test-rust-crates: rust-conformance ## run the tests and examples of the Rust crates, and the model of their core
	$(CARGO) test -q $(RUST_CRATES)

test-rust-model: ## model-check release against receive (loom)
	$(CARGO) test -q -p zcrx-model

test-rust-conformance: rust-conformance ## run the conformance scenarios by the Rust crate
	rust/with-cargo tests/conformance/test-driver $(B)/tests $(RUST_EXECUTOR)
	rust/with-cargo $(RUST_CONFORMANCE) --fast --jobs 4

test-rust-large: rust-conformance ## run the scenarios that --fast leaves out
	rust/with-cargo $(RUST_CONFORMANCE) --engine multishot,recv --scenario 'size-*'

test-rust-uml: rust-conformance ## run them in UML, on engine zcrx-nodev
	rust/with-cargo tests/rig/vm/uml --timeout 900 --check-dmesg -- $(RUST_CONFORMANCE) --fast --engine zcrx-nodev --jobs 3

test-rust-nic: rust-conformance ## run some of them, and the tests of feature nic, on modelled NICs by engine zcrx
	rust/with-cargo rust/test-nic '$(RUST_CONFORMANCE)' '$(subst $() ,,$(RUST_NIC_SCENARIOS))'

test-rust-asan: $(B)/tests/conformance ## run the Rust crate and its C core under AddressSanitizer
	rust/with-cargo rust/test-asan $(B)/tests/conformance

test-rust-package: ## package the Rust crates, and use them in an empty project
	rust/with-cargo rust/test-package

test-rust-msrv: ## build the crates by the oldest compiler that they promise, if rustup has it
	rust/with-cargo rust/test-msrv

test-rust-miri: ## run the Rust crate's tests that need no C under miri (nightly, component miri)
	MIRIFLAGS=-Zmiri-disable-isolation rust/with-cargo nice cargo +nightly miri test -q -p zcrx --lib --features bytes

bench-rust: ## measure the Rust crate against the C core, std and tokio: build/bench/rust.json
	@mkdir -p build/bench
	$(CARGO) build -q --release -p zcrx-bench
	rust/with-cargo build/rust/release/zcrx-bench build/bench/rust.json

lint-rust: ## check bindings, formatting, lints and documentation of the Rust crates
	$(CARGO) run -q -p zcrx-bindgen -- --check
	$(CARGO) fmt --all -- --check
	$(CARGO) clippy -q $(RUST_CRATES) --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc -q --no-deps -p zcrx-sys -p zcrx --all-features
