// SPDX-License-Identifier: MIT
//! Compiles the C core that this package carries, or (with `ZCRX_SYS_USE_PKG_CONFIG` set) links an installed one.

use std::env;
use std::process::exit;

/// What the core is linked with: pkg-config name, oldest version, package on Debian and on Fedora.
const LIBRARIES: [(&str, &str, &str, &str); 2] = [
    ("liburing", "2.3", "liburing-dev", "liburing-devel"),
    ("libmnl", "1.0.3", "libmnl-dev", "libmnl-devel"),
];

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=core");
    println!("cargo:rerun-if-env-changed=ZCRX_SYS_USE_PKG_CONFIG");
    if env::var_os("DOCS_RS").is_some() {
        return; // nothing is linked there
    }
    if env::var("CARGO_CFG_TARGET_OS").as_deref() != Ok("linux")
        || env::var("CARGO_CFG_TARGET_POINTER_WIDTH").as_deref() != Ok("64")
    {
        fail("zcrx needs a 64-bit Linux");
    }
    if env::var_os("ZCRX_SYS_USE_PKG_CONFIG").is_some_and(|value| value != "0") {
        link_installed();
    } else {
        compile();
    }
}

fn link_installed() {
    let version = env!("CARGO_PKG_VERSION");
    if let Err(error) = pkg_config::Config::new().atleast_version(version).probe("zcrx") {
        fail(&format!(
            "ZCRX_SYS_USE_PKG_CONFIG is set, but pkg-config does not find zcrx {version}: \
             install it, or unset the variable\n{error}"
        ));
    }
}

fn compile() {
    // What the core needs to compile comes first: the linker wants the archive before its libraries.
    let mut probe = pkg_config::Config::new();
    probe.cargo_metadata(false);
    let mut build = cc::Build::new();
    build
        .file("core/zcrx.c")
        .include("core")
        .std("c11")
        .flag("-fvisibility=hidden")
        .flag("-pthread");
    // The core is the hot path also of a program that is being debugged.
    build.opt_level(2).cargo_warnings(false);
    for (name, version, debian, fedora) in LIBRARIES {
        match probe.atleast_version(version).probe(name) {
            Ok(library) => {
                build.includes(library.include_paths);
            }
            Err(error) => fail(&format!(
                "zcrx needs {name} {version} or newer. \
                 Debian, Ubuntu: apt-get install {debian}; Fedora: dnf install {fedora}\n{error}"
            )),
        }
    }
    build.compile("zcrx");
    probe.cargo_metadata(true);
    for (name, version, ..) in LIBRARIES {
        if let Err(error) = probe.atleast_version(version).probe(name) {
            fail(&error.to_string());
        }
    }
}

fn fail(message: &str) -> ! {
    eprintln!("error: {message}");
    exit(1);
}
