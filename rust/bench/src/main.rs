// SPDX-License-Identifier: MIT
//! Measures the crate against the C core, std and tokio, and writes what it found as JSON.
//!
//!     zcrx-bench [--rounds N] [--mib N] [--only PREFIX] [FILE]
//!
//! A run receives over loopback from a sender of its own; both ends are at real-time priority, if that is allowed, on
//! processors of their own. Both sides of a comparison run in turn, twice in each round. A figure is the ratio of their
//! medians; its spread is what the same side differs from itself, the first runs of all rounds against the second.

mod figure;
mod instructions;
mod placement;
mod sides;

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio, exit};
use std::time::Instant;
use std::{env, fs};

use figure::Figure;
use sides::Counts;
use zcrx::Engine;
use zcrx::tokio::LocalStream;

struct Settings {
    rounds: usize,
    bytes: u64,
    /// How the keys begin of what is to be measured.
    only: String,
    file: Option<String>,
}

/// The throughput of one side: of the first runs of all rounds, and of the second ones.
#[derive(Default)]
struct Runs([Vec<f64>; 2]);

impl Runs {
    fn median(&self) -> f64 {
        median(self.0.concat())
    }

    fn spread(&self) -> f64 {
        let [first, second] = self.0.each_ref().map(|runs| median(runs.clone()));
        (first / second - 1.0).abs()
    }
}

/// A connection, and the process that sends a round of bytes on it each time that it is told to.
struct Connection {
    socket: TcpStream,
    sender: Child,
}

impl Connection {
    fn new(rounds: u64, bytes: u64) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("bound").to_string();
        let sender = Command::new(env::current_exe().expect("its own path"))
            .args(["--send", &address, &rounds.to_string(), &bytes.to_string()])
            .stdin(Stdio::null())
            .spawn()
            .expect("it starts itself");
        Self { socket: listener.accept().expect("connected").0, sender }
    }

    fn go(&self) {
        (&self.socket).write_all(b"x").expect("told");
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        // It leaves by itself when the connection is over.
        let _ = self.sender.wait();
    }
}

/// The sender's process.
fn send(address: &str, rounds: u64, bytes: u64) {
    placement::take(placement::SENDER);
    let mut socket = TcpStream::connect(address).expect("connected");
    let block = vec![0x5a; 256 << 10];
    for _ in 0..rounds {
        socket.read_exact(&mut [0]).expect("told to go on");
        let mut left = bytes;
        while left > 0 {
            let part = left.min(block.len() as u64);
            socket.write_all(&block[..part as usize]).expect("sent");
            left -= part;
        }
    }
}

fn gb_per_second(bytes: u64, side: &mut dyn FnMut(&Connection) -> (Instant, Counts)) -> f64 {
    let connection = Connection::new(1, bytes);
    let (begun, counts) = side(&connection);
    let seconds = begun.elapsed().as_secs_f64();
    assert_eq!(counts.bytes, bytes);
    assert_eq!(counts.sum, counts.buffers * 0x5a);
    bytes as f64 / seconds / 1e9
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

type Side<'a> = &'a mut dyn FnMut(&Connection) -> (Instant, Counts);

/// The sides take turns, ours, theirs, ours, theirs: that is a round.
fn compare(
    settings: &Settings,
    (key, bar): (&'static str, f64),
    side: Side<'_>,
    other: Side<'_>,
) -> Option<Figure> {
    if !key.starts_with(&settings.only) {
        return None;
    }
    let (mut ours, mut theirs) = (Runs::default(), Runs::default());
    for round in 0..=settings.rounds {
        for turn in 0..2 {
            let (first, second) =
                (gb_per_second(settings.bytes, side), gb_per_second(settings.bytes, other));
            if round > 0 {
                // the first is to warm up
                ours.0[turn].push(first);
                theirs.0[turn].push(second);
            }
        }
    }
    let figure = Figure {
        key,
        value: ours.median() / theirs.median(),
        spread: ours.spread().max(theirs.spread()),
        bar: Some(bar),
        at_most: false,
    };
    eprintln!("{} ({:.2} and {:.2} GB/s)", figure.line(), ours.median(), theirs.median());
    Some(figure)
}

fn with_core(buffer_bytes: u32) -> impl FnMut(&Connection) -> (Instant, Counts) {
    move |connection| {
        let mut core = sides::Core::open(Engine::Multishot, buffer_bytes, &connection.socket);
        connection.go();
        let begun = Instant::now();
        (begun, core.receive(u64::MAX))
    }
}

fn with_rust(buffer_bytes: u32) -> impl FnMut(&Connection) -> (Instant, Counts) {
    move |connection| {
        let rx = sides::open(Engine::Multishot, buffer_bytes);
        rx.add(&connection.socket).expect("added");
        connection.go();
        let begun = Instant::now();
        (begun, sides::bench_rust_loop(&rx, u64::MAX))
    }
}

fn with_std(connection: &Connection) -> (Instant, Counts) {
    let socket = connection.socket.try_clone().expect("duplicated");
    connection.go();
    (Instant::now(), sides::std_read(socket))
}

fn run(settings: &Settings) -> Vec<Figure> {
    placement::take(placement::RECEIVER);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.expect("a runtime");
    let mut tokio_zcrx = |connection: &Connection| {
        let context = runtime.enter();
        let builder = sides::builder(Engine::Multishot, 64 << 10);
        let stream = LocalStream::open(builder, &connection.socket).expect("opened");
        drop(context);
        connection.go();
        (Instant::now(), sides::tokio_zcrx(&runtime, stream))
    };
    let mut tokio_read = |connection: &Connection| {
        let socket = connection.socket.try_clone().expect("duplicated");
        connection.go();
        (Instant::now(), sides::tokio_read(&runtime, socket))
    };
    let (small, large) = (4 << 10, 64 << 10);
    let figures = [
        compare(settings, ("rust_vs_core_4k", 0.98), &mut with_rust(small), &mut with_core(small)),
        compare(settings, ("rust_vs_core_64k", 0.99), &mut with_rust(large), &mut with_core(large)),
        compare(settings, ("rust_vs_std_read_64k", 1.00), &mut with_rust(large), &mut with_std),
        compare(settings, ("tokio_vs_tokio_read_64k", 1.00), &mut tokio_zcrx, &mut tokio_read),
    ];
    figures.into_iter().flatten().collect()
}

fn parse(words: &[String]) -> Option<Settings> {
    let mut settings = Settings { rounds: 7, bytes: 512 << 20, only: String::new(), file: None };
    let mut words = words.iter();
    while let Some(word) = words.next() {
        match word.as_str() {
            "--rounds" => settings.rounds = words.next()?.parse().ok()?,
            "--mib" => settings.bytes = words.next()?.parse::<u64>().ok()? << 20,
            "--only" => settings.only = words.next()?.to_owned(),
            option if option.starts_with('-') => return None,
            file => settings.file = Some(file.to_owned()),
        }
    }
    Some(settings).filter(|settings| settings.rounds > 0)
}

fn main() {
    let words: Vec<String> = env::args().skip(1).collect();
    match words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["--send", address, rounds, bytes] => {
            let number = |word: &str| word.parse().expect("a number");
            return send(address, number(rounds), number(bytes));
        }
        ["--count", loop_name] => return instructions::be_counted(loop_name),
        _ => {}
    }
    let Some(settings) = parse(&words) else {
        eprintln!("usage: zcrx-bench [--rounds N] [--mib N] [--only PREFIX] [FILE]");
        exit(2);
    };
    let mut figures = run(&settings);
    let counted = settings.only.is_empty() || settings.only.starts_with("instructions");
    for figure in counted.then(instructions::count).unwrap_or_default() {
        eprintln!("{}", figure.line());
        figures.push(figure);
    }
    let json = figure::to_json(&figures);
    match &settings.file {
        Some(file) => fs::write(file, json).expect("written"),
        None => print!("{json}"),
    }
}
