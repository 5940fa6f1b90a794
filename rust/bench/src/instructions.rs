// SPDX-License-Identifier: MIT
//! User-space instructions per buffer, counted by valgrind on engine recv. A round's bytes are all in the socket before
//! its loop runs, so that the count does not depend on timing.

use std::env;
use std::process::{Command, exit};

use zcrx::Engine;

use crate::figure::Figure;
use crate::{Connection, sides};

const BUFFER_BYTES: u32 = 4096;
const ROUND_BYTES: usize = 64 << 10;
const ROUNDS: u64 = 200;
/// The functions in which instructions are counted.
const CORE: &str = "bench_core_loop";
const CORE_SINGLE: &str = "bench_core_single_loop";
const RUST: &str = "bench_rust_loop";
const RUST_OWNED: &str = "bench_rust_owned_loop";
const RUST_KEPT: &str = "bench_rust_kept_loop";

/// The process that is being counted.
pub fn be_counted(loop_name: &str) {
    let connection = Connection::new(ROUNDS, ROUND_BYTES as u64);
    let socket = &connection.socket;
    let until = ROUND_BYTES as u64;
    let mut receive: Box<dyn FnMut() -> sides::Counts> = if [CORE, CORE_SINGLE].contains(&loop_name)
    {
        let mut core = sides::Core::open(Engine::Recv, BUFFER_BYTES, socket);
        let singly = loop_name == CORE_SINGLE;
        Box::new(move || if singly { core.receive_singly(until) } else { core.receive(until) })
    } else {
        let rx = sides::open(Engine::Recv, BUFFER_BYTES);
        rx.add(socket).expect("added");
        let rust_loop = match loop_name {
            RUST => sides::bench_rust_loop,
            RUST_OWNED => sides::bench_rust_owned_loop,
            RUST_KEPT => sides::bench_rust_kept_loop,
            _ => panic!("no such loop: {loop_name}"),
        };
        Box::new(move || rust_loop(&rx, until))
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

/// Counted twice: the mean, and how far the two are apart.
fn twice(loop_name: &str) -> Option<(f64, f64)> {
    let (first, second) = (per_buffer(loop_name)?, per_buffer(loop_name)?);
    Some((f64::midpoint(first, second), (first - second).abs()))
}

/// What the crate adds to the core, for each way to release; nothing without valgrind.
pub fn count() -> Vec<Figure> {
    let (Some(core), Some(core_single)) = (twice(CORE), twice(CORE_SINGLE)) else {
        eprintln!("no valgrind: instructions are not counted");
        return Vec::new();
    };
    let figure = |key, (value, spread), bar| Figure { key, value, spread, bar, at_most: true };
    let over = |key, name, core: (f64, f64), bar| {
        twice(name).map(|ours| figure(key, (ours.0 - core.0, ours.1 + core.1), bar))
    };
    let mut counted = vec![
        figure("instructions_per_buffer_core", core, None),
        figure("instructions_per_buffer_core_released_singly", core_single, None),
    ];
    counted.extend(over("instructions_per_buffer_over_core", RUST, core, Some(20.0)));
    counted.extend(over("instructions_per_kept_buffer_over_core", RUST_KEPT, core, None));
    counted.extend(over(
        "instructions_per_dropped_buffer_over_core",
        RUST_OWNED,
        core_single,
        None,
    ));
    counted
}
