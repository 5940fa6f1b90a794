// SPDX-License-Identifier: MIT
//! Receives TCP connections to their end, writes or discards what comes, and says how it went: what the Python package's
//! command `zcrx recv` does, with the same options.

use std::error::Error;
use std::fs::File;
use std::io::{self, IsTerminal, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{self, Receiver as Inbox};
use std::time::{Duration, Instant};
use std::{env, process, thread};

use sha2::{Digest, Sha256};
use zcrx::{EventRef, Events, Handle, Info, Receiver, Stats, StreamOptions};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

const USAGE: &str = "\
usage: recv --listen HOST:PORT [--output FILE | --discard] [--connections N]
            [--engine auto|zcrx|zcrx-nodev|multishot|recv] [--interface NAME] [--queue N]
            [--area-bytes BYTES] [--sha256] [--json]

  --output FILE   with several connections: FILE.0, FILE.1, ...
  --discard       the default
  --sha256        hash each connection's data
  --json          print one object
";

#[derive(Default)]
struct Options {
    listen: String,
    output: Option<String>,
    connections: usize,
    engine: zcrx::Engine,
    interface: Option<String>,
    queue: Option<u32>,
    area_bytes: u64,
    sha256: bool,
    json: bool,
}

impl Options {
    fn parse() -> Result<Self> {
        let mut options = Self { connections: 1, area_bytes: 64 << 20, ..Self::default() };
        let mut discard = false;
        let mut words = env::args().skip(1);
        while let Some(word) = words.next() {
            let mut value = || words.next().ok_or_else(|| format!("{word} needs a value"));
            match word.as_str() {
                "--listen" => options.listen = value()?,
                "--output" => options.output = Some(value()?),
                "--discard" => discard = true,
                "--connections" => options.connections = value()?.parse()?,
                "--engine" => options.engine = value()?.parse()?,
                "--interface" => options.interface = Some(value()?),
                "--queue" => options.queue = Some(value()?.parse()?),
                "--area-bytes" => options.area_bytes = value()?.parse()?,
                "--sha256" => options.sha256 = true,
                "--json" => options.json = true,
                "-h" | "--help" => {
                    print!("{USAGE}");
                    process::exit(0);
                }
                _ => return Err(format!("unknown option {word}").into()),
            }
        }
        if options.listen.is_empty() || options.connections == 0 || options.area_bytes == 0 {
            return Err("--listen is needed, and counts are at least 1".into());
        }
        if discard && options.output.is_some() {
            return Err("--output or --discard, not both".into());
        }
        Ok(options)
    }

    fn open(&self) -> zcrx::Result<Receiver> {
        let mut builder = Receiver::builder().engine(self.engine).area_bytes(self.area_bytes);
        if let Some(interface) = &self.interface {
            builder = builder.interface(interface);
        }
        if let Some(queue) = self.queue {
            builder = builder.queue(queue);
        }
        builder.open()
    }
}

/// Where one connection's bytes go.
struct Connection {
    file: Option<File>,
    hash: Option<Sha256>,
    error: Option<zcrx::Error>,
}

impl Connection {
    fn new(number: usize, options: &Options) -> io::Result<Self> {
        let create = |name: &String| match options.connections {
            1 => File::create(name),
            _ => File::create(format!("{name}.{number}")),
        };
        Ok(Self {
            file: options.output.as_ref().map(create).transpose()?,
            hash: options.sha256.then(Sha256::new),
            error: None,
        })
    }

    fn take(&mut self, bytes: &[u8]) -> io::Result<()> {
        if let Some(hash) = &mut self.hash {
            hash.update(bytes);
        }
        self.file.as_mut().map_or(Ok(()), |file| file.write_all(bytes))
    }
}

/// A connection's number is its stream's tag.
struct Reception {
    connections: Vec<Connection>,
    ended: usize,
    progress: Progress,
}

impl Reception {
    fn take(&mut self, events: &Events<'_>) -> io::Result<()> {
        for event in events {
            match event {
                EventRef::Data { stream, bytes } => {
                    self.progress.add(bytes.len());
                    self.connections[stream.tag() as usize].take(bytes)?;
                }
                EventRef::End { .. } => self.ended += 1,
                EventRef::Error { stream, error } => {
                    self.connections[stream.tag() as usize].error = Some(error);
                    self.ended += 1;
                }
            }
        }
        Ok(())
    }

    fn run(&mut self, options: &Options, receiver: &Receiver) -> Result<Duration> {
        let listener = TcpListener::bind(&options.listen)?;
        eprintln!("listening on {}", listener.local_addr()?);
        let accepted = accept(listener, options.connections, receiver.handle());
        let mut begun = None;
        while self.ended < options.connections {
            for socket in accepted.try_iter() {
                begun.get_or_insert_with(Instant::now);
                let number = self.connections.len();
                self.connections.push(Connection::new(number, options)?);
                receiver.add_with(socket?, StreamOptions::new().tag(number as u64))?;
            }
            match receiver.receive(None) {
                Ok(events) => self.take(&events)?,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(begun.map_or(Duration::ZERO, |begun| begun.elapsed()))
    }
}

/// Accepts on a thread of its own, and wakes the receiver for each connection.
fn accept(listener: TcpListener, count: usize, receiver: Handle) -> Inbox<io::Result<TcpStream>> {
    let (sender, accepted) = mpsc::channel();
    thread::spawn(move || {
        for socket in listener.incoming().take(count) {
            if sender.send(socket).is_err() {
                return; // nobody receives any more
            }
            receiver.wake();
        }
    });
    accepted
}

/// A line on the terminal, a few times each second.
struct Progress {
    bytes: u64,
    next: Instant,
    shown: bool,
}

impl Progress {
    fn new(options: &Options) -> Self {
        let shown = !options.json && io::stderr().is_terminal();
        Self { bytes: 0, next: Instant::now(), shown }
    }

    fn add(&mut self, bytes: usize) {
        self.bytes += bytes as u64;
        if self.shown && self.next <= Instant::now() {
            eprint!("\r{} MiB ", self.bytes >> 20);
            self.next = Instant::now() + Duration::from_millis(200);
        }
    }
}

/// Why no better engine is in use.
fn reason(info: &Info) -> String {
    let refused = info.refused.iter();
    let reasons = refused.map(|refusal| format!("{}: {}", refusal.engine, refusal.error.message()));
    reasons.collect::<Vec<_>>().join("; ")
}

fn quoted(text: &str) -> String {
    let escape = |letter: char| match letter {
        '"' | '\\' => format!("\\{letter}"),
        '\0'..' ' => format!("\\u{:04x}", u32::from(letter)),
        _ => letter.to_string(),
    };
    format!("\"{}\"", text.chars().map(escape).collect::<String>())
}

fn print_json(info: &Info, stats: &Stats, seconds: f64, hashes: &[String]) {
    let copied = stats.copied_bytes.map_or("null".to_owned(), |bytes| bytes.to_string());
    print!(
        "{{\"engine\": \"{}\", \"reason\": {}, \"bytes\": {}, \"seconds\": {seconds:.6}, \
         \"buffers\": {}, \"copied_bytes\": {copied}",
        info.engine,
        quoted(&reason(info)),
        stats.bytes,
        stats.buffers
    );
    if !hashes.is_empty() {
        let hashes: Vec<String> = hashes.iter().map(|hash| quoted(hash)).collect();
        print!(", \"sha256\": [{}]", hashes.join(", "));
    }
    println!("}}");
}

fn print_text(info: &Info, stats: &Stats, seconds: f64, hashes: &[String]) {
    match reason(info) {
        reason if reason.is_empty() => println!("engine {}", info.engine),
        reason => println!("engine {}, because {reason}", info.engine),
    }
    println!(
        "{} bytes in {} buffers, {seconds:.3} s, {:.3} GB/s",
        stats.bytes,
        stats.buffers,
        stats.bytes as f64 / seconds / 1e9
    );
    for (connection, hash) in hashes.iter().enumerate() {
        println!("{hash}  connection {connection}");
    }
}

/// Whether all connections ended well.
fn run(options: &Options) -> Result<bool> {
    let receiver = options.open()?;
    let progress = Progress::new(options);
    let mut reception = Reception { connections: Vec::new(), ended: 0, progress };
    let seconds = reception.run(options, &receiver)?.as_secs_f64();
    let hash = |connection: &mut Connection| connection.hash.take();
    let hashes: Vec<String> = reception.connections.iter_mut().filter_map(hash).map(hex).collect();
    let print = if options.json { print_json } else { print_text };
    print(&receiver.info(), &receiver.stats(), seconds, &hashes);
    for (number, connection) in reception.connections.iter().enumerate() {
        if let Some(error) = &connection.error {
            eprintln!("recv: connection {number}: {error}");
        }
    }
    Ok(reception.connections.iter().all(|connection| connection.error.is_none()))
}

fn hex(hash: Sha256) -> String {
    format!("{:x}", hash.finalize())
}

fn main() {
    let options = Options::parse().unwrap_or_else(|error| {
        eprint!("{USAGE}");
        eprintln!("recv: {error}");
        process::exit(2);
    });
    match run(&options) {
        Ok(true) => {}
        Ok(false) => process::exit(1),
        Err(error) => {
            eprintln!("recv: {error}");
            process::exit(1);
        }
    }
}
