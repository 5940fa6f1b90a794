// SPDX-License-Identifier: MIT
//! Receives TCP connections to their end, writes or discards what comes, and says how it went.
//!
//!     recv --listen HOST:PORT [--output FILE | --discard] [--connections N] [--engine ENGINE]
//!          [--interface NAME] [--queue N] [--sha256] [--json]

use std::collections::HashMap;
use std::error::Error;
use std::fs::File;
use std::io::{self, IsTerminal, Write};
use std::net::TcpListener;
use std::time::{Duration, Instant};
use std::{env, process};

use sha2::{Digest, Sha256};
use zcrx::{EventRef, Events, Info, Receiver, Stats, Stream};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

const USAGE: &str = "usage: recv --listen HOST:PORT [--output FILE | --discard] [--connections N]
            [--engine auto|zcrx|zcrx-nodev|multishot|recv] [--interface NAME] [--queue N]
            [--sha256] [--json]";

#[derive(Default)]
struct Options {
    listen: String,
    output: Option<String>,
    connections: usize,
    engine: zcrx::Engine,
    interface: Option<String>,
    queue: Option<u32>,
    sha256: bool,
    json: bool,
}

impl Options {
    fn parse() -> Result<Self> {
        let mut options = Self { connections: 1, ..Self::default() };
        let mut words = env::args().skip(1);
        while let Some(word) = words.next() {
            let mut value = || words.next().ok_or_else(|| format!("{word} needs a value"));
            match word.as_str() {
                "--listen" => options.listen = value()?,
                "--output" => options.output = Some(value()?),
                "--discard" => options.output = None,
                "--connections" => options.connections = value()?.parse()?,
                "--engine" => options.engine = value()?.parse()?,
                "--interface" => options.interface = Some(value()?),
                "--queue" => options.queue = Some(value()?.parse()?),
                "--sha256" => options.sha256 = true,
                "--json" => options.json = true,
                _ => return Err(format!("unknown option {word}\n{USAGE}").into()),
            }
        }
        if options.listen.is_empty() {
            return Err(USAGE.into());
        }
        Ok(options)
    }

    fn open(&self) -> zcrx::Result<Receiver> {
        let mut builder = Receiver::builder().engine(self.engine);
        if let Some(interface) = &self.interface {
            builder = builder.interface(interface);
        }
        if let Some(queue) = self.queue {
            builder = builder.queue(queue);
        }
        builder.open()
    }
}

/// Where the bytes go.
struct Sink {
    file: Option<File>,
    hashes: Option<HashMap<Stream, Sha256>>,
    finished: Vec<(u64, String)>,
    progress: Progress,
}

impl Sink {
    fn new(options: &Options) -> Result<Self> {
        Ok(Self {
            file: options.output.as_ref().map(File::create).transpose()?,
            hashes: options.sha256.then(HashMap::new),
            finished: Vec::new(),
            progress: Progress::new(),
        })
    }

    /// Returns how many streams ended.
    fn take(&mut self, events: &Events<'_>) -> Result<usize> {
        let mut ended = 0;
        for event in events {
            match event {
                EventRef::Data { stream, bytes } => self.data(stream, bytes)?,
                EventRef::End { stream, .. } => {
                    self.finish(stream);
                    ended += 1;
                }
                EventRef::Error { error, .. } => return Err(error.into()),
            }
        }
        Ok(ended)
    }

    fn data(&mut self, stream: Stream, bytes: &[u8]) -> io::Result<()> {
        self.progress.add(bytes.len());
        if let Some(hashes) = &mut self.hashes {
            hashes.entry(stream).or_default().update(bytes);
        }
        match &mut self.file {
            Some(file) => file.write_all(bytes),
            None => Ok(()),
        }
    }

    fn finish(&mut self, stream: Stream) {
        if let Some(hashes) = &mut self.hashes {
            let hash = hashes.remove(&stream).unwrap_or_default().finalize();
            self.finished.push((stream.tag(), format!("{hash:x}")));
        }
    }
}

/// A line on the terminal, a few times each second.
struct Progress {
    bytes: u64,
    next: Instant,
    shown: bool,
}

impl Progress {
    fn new() -> Self {
        Self { bytes: 0, next: Instant::now(), shown: io::stderr().is_terminal() }
    }

    fn add(&mut self, bytes: usize) {
        self.bytes += bytes as u64;
        if self.shown && self.next <= Instant::now() {
            eprint!("\r{} MiB ", self.bytes >> 20);
            self.next = Instant::now() + Duration::from_millis(200);
        }
    }
}

fn print_json(info: &Info, stats: &Stats, seconds: f64, hashes: &[(u64, String)]) {
    let reason = info.refused.first().map_or(String::new(), |refusal| refusal.error.to_string());
    let copied = stats.copied_bytes.map_or("null".to_owned(), |bytes| bytes.to_string());
    print!(
        "{{\"engine\": \"{}\", \"reason\": {reason:?}, \"bytes\": {}, \"seconds\": {seconds:.6}, \
         \"buffers\": {}, \"copied_bytes\": {copied}",
        info.engine, stats.bytes, stats.buffers
    );
    if !hashes.is_empty() {
        let hashes: Vec<String> = hashes.iter().map(|(_, hash)| format!("\"{hash}\"")).collect();
        print!(", \"sha256\": [{}]", hashes.join(", "));
    }
    println!("}}");
}

fn print_text(info: &Info, stats: &Stats, seconds: f64, hashes: &[(u64, String)]) {
    println!(
        "engine {}: {} bytes in {} buffers, {seconds:.3} s, {:.2} GB/s",
        info.engine,
        stats.bytes,
        stats.buffers,
        stats.bytes as f64 / seconds / 1e9
    );
    for refusal in &info.refused {
        println!("not {}: {}", refusal.engine, refusal.error);
    }
    for (connection, hash) in hashes {
        println!("{hash}  connection {connection}");
    }
}

fn run() -> Result<()> {
    let options = Options::parse()?;
    let receiver = options.open()?;
    let listener = TcpListener::bind(&options.listen)?;
    eprintln!("listening on {}", listener.local_addr()?);
    for number in 0..options.connections {
        let (socket, _) = listener.accept()?;
        receiver.add_with(socket, zcrx::StreamOptions::new().tag(number as u64))?;
    }
    let started = Instant::now();
    let mut sink = Sink::new(&options)?;
    let mut ended = 0;
    while ended < options.connections {
        match receiver.receive(None) {
            Ok(events) => ended += sink.take(&events)?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error.into()),
        }
    }
    let seconds = started.elapsed().as_secs_f64();
    sink.finished.sort();
    let print = if options.json { print_json } else { print_text };
    print(&receiver.info(), &receiver.stats(), seconds, &sink.finished);
    Ok(())
}

fn main() {
    if let Err(error) = run() {
        eprintln!("recv: {error}");
        process::exit(1);
    }
}
