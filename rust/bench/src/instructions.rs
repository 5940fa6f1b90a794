// SPDX-License-Identifier: MIT
//! User-space instructions per buffer, counted by valgrind on engine recv. A round's bytes are all in the socket before
//! its loop runs, so that the count does not depend on timing.

use std::env;
use std::process::{Command, exit};

use zcrx::Engine;

use crate::{Connection, sides};

const BUFFER_BYTES: u32 = 4096;
const ROUND_BYTES: usize = 64 << 10;
const ROUNDS: u64 = 200;
/// The functions in which instructions are counted, the core's first.
const LOOPS: [&str; 3] = ["bench_core_loop", "bench_rust_loop", "bench_rust_owned_loop"];

/// The process that is being counted.
pub fn be_counted(loop_name: &str) {
    let connection = Connection::new(ROUNDS, ROUND_BYTES as u64);
    let socket = &connection.socket;
    let mut receive: Box<dyn FnMut() -> sides::Counts> = if loop_name == LOOPS[0] {
        let mut core = sides::Core::open(Engine::Recv, BUFFER_BYTES, socket);
        Box::new(move || core.receive(ROUND_BYTES as u64))
    } else {
        let rx = sides::open(Engine::Recv, BUFFER_BYTES);
        rx.add(socket).expect("added");
        let owned = loop_name == LOOPS[2];
        Box::new(move || match owned {
            false => sides::bench_rust_loop(&rx, ROUND_BYTES as u64),
            true => sides::bench_rust_owned_loop(&rx, ROUND_BYTES as u64),
        })
    };
    let mut buffers = 0;
    let mut seen = vec![0; ROUND_BYTES];
    for _ in 0..ROUNDS {
        connection.go();
        while socket.peek(&mut seen).expect("peeked") < ROUND_BYTES {}
        buffers += receive().buffers;
    }
    println!("{buffers}");
}

/// Instructions for each buffer in one of the loops and all that it calls; `None` without valgrind.
fn per_buffer(loop_name: &str) -> Option<f64> {
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(format!("--toggle-collect={loop_name}"))
        .arg(env::current_exe().expect("its own path"))
        .args(["--count", loop_name])
        .output()
        .ok()?;
    let report = String::from_utf8_lossy(&output.stderr);
    let collected = report.lines().find_map(|line| line.split_once("Collected :"));
    let Some((_, collected)) = collected.filter(|_| output.status.success()) else {
        eprintln!("valgrind failed: {report}");
        exit(1);
    };
    let collected: f64 = collected.trim().parse().expect("a number");
    let buffers: f64 = String::from_utf8_lossy(&output.stdout).trim().parse().expect("a number");
    Some(collected / buffers)
}

/// What the crate adds to the core; nothing without valgrind.
pub fn count() -> Vec<(String, f64)> {
    let Some(core) = per_buffer(LOOPS[0]) else {
        eprintln!("no valgrind: instructions are not counted");
        return Vec::new();
    };
    let over = |name: &str, index: usize| {
        per_buffer(LOOPS[index]).map(|count| (name.to_owned(), count - core))
    };
    let mut counted = vec![("instructions_per_buffer_core".to_owned(), core)];
    counted.extend(over("instructions_per_buffer_over_core", 1));
    counted.extend(over("instructions_per_owned_buffer_over_core", 2));
    counted
}
