// SPDX-License-Identifier: MIT
//! Compiles the loop in C that the crate is measured against.

fn main() {
    println!("cargo:rerun-if-changed=src/core_loop.c");
    cc::Build::new()
        .file("src/core_loop.c")
        .include("../zcrx-sys/core")
        .std("c11")
        .opt_level(2)
        .compile("core_loop");
}
