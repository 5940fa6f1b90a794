// SPDX-License-Identifier: MIT
//! Receives TCP connections to their end, writes or discards what comes, and says how it went: what the Python package's
//! command `zcrx recv` does, with the same options.

mod options;
mod process;
mod report;

use std::fmt::Display;
use std::fs::File;
use std::io::{self, IsTerminal, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{self, Receiver as Inbox};
use std::time::{Duration, Instant};
use std::{env, thread};

use sha2::{Digest, Sha256};
use zcrx::{EventRef, Events, Handle, Receiver, StreamOptions};

use crate::options::{Options, Output, USAGE};
use crate::process::Stop;
use crate::report::Report;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// On standard error, which may be closed or full: that ends nothing.
fn say(message: impl Display) {
    let _ = writeln!(io::stderr(), "{message}");
}

/// Where one connection's bytes go, and why it failed, if it did.
struct Connection {
    file: Option<File>,
    hash: Option<Sha256>,
    failure: Option<String>,
}

impl Connection {
    fn new(number: usize, options: &Options) -> Result<Self> {
        let number = (options.connections > 1).then_some(number);
        let file = options.output.open(number)?;
        Ok(Self { file, hash: options.sha256.then(Sha256::new), failure: None })
    }

    fn take(&mut self, bytes: &[u8]) -> io::Result<()> {
        if let Some(hash) = &mut self.hash {
            hash.update(bytes);
        }
        self.file.as_mut().map_or(Ok(()), |file| file.write_all(bytes))
    }
}

/// A connection's number is its stream's tag.
struct Reception<'a> {
    options: &'a Options,
    receiver: &'a Receiver,
    connections: Vec<Connection>,
    ended: usize,
    progress: Progress,
}

impl Reception<'_> {
    /// A connection that cannot be added fails alone.
    fn add(&mut self, socket: &TcpStream) -> Result<()> {
        let number = self.connections.len();
        let mut connection = Connection::new(number, self.options)?;
        let options = StreamOptions::new().tag(number as u64);
        if let Err(error) = self.receiver.add_with(socket, options) {
            connection.failure = Some(error.to_string());
            self.ended += 1;
        }
        self.connections.push(connection);
        Ok(())
    }

    fn take(&mut self, events: &Events<'_>) -> io::Result<()> {
        for event in events {
            match event {
                EventRef::Data { stream, bytes } => {
                    self.progress.add(bytes.len());
                    self.connections[stream.tag() as usize].take(bytes)?;
                }
                EventRef::End { .. } => self.ended += 1,
                EventRef::Error { stream, error } => {
                    self.connections[stream.tag() as usize].failure = Some(error.to_string());
                    self.ended += 1;
                }
                _ => {} // only in a group
            }
        }
        Ok(())
    }

    /// Until all connections have ended, or a signal came. How long it took since the first was accepted.
    fn run(&mut self, stop: &Stop) -> Result<Duration> {
        let listener = TcpListener::bind(&self.options.listen)
            .map_err(|error| format!("cannot listen on {}: {error}", self.options.listen))?;
        say(format_args!("listening on {}", listener.local_addr()?));
        let accepted = accept(listener, self.options.connections, self.receiver.handle());
        let mut begun = None;
        while self.ended < self.options.connections && stop.signal().is_none() {
            for socket in accepted.try_iter() {
                begun.get_or_insert_with(Instant::now);
                self.add(&socket?)?;
            }
            if self.ended < self.options.connections {
                let events = self.receiver.receive(None)?;
                self.take(&events).map_err(|error| self.options.output.failure(&error))?;
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
                return; // the receiving side has ended
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
            let _ = write!(io::stderr(), "\r{} MiB ", self.bytes >> 20);
            self.next = Instant::now() + Duration::from_millis(200);
        }
    }
}

fn print(options: &Options, report: &Report) -> Result<()> {
    // Where the data goes to standard output, the report does not.
    let mut out: Box<dyn Write> = match options.output {
        Output::Standard => Box::new(io::stderr()),
        _ => Box::new(io::stdout()),
    };
    let printed = if options.json { report.json(&mut out) } else { report.text(&mut out) };
    printed.and_then(|()| out.flush()).map_err(|error| format!("cannot print: {error}").into())
}

/// Whether all connections ended well. The receiver is dropped, and the NIC put back, whichever way it ends.
fn run(options: &Options, stop: &Stop) -> Result<bool> {
    process::allow_connections(options.connections)?;
    let receiver = options.open()?;
    stop.wakes(receiver.handle());
    let progress = Progress::new(options);
    let mut reception =
        Reception { options, receiver: &receiver, connections: Vec::new(), ended: 0, progress };
    let seconds = reception.run(stop)?.as_secs_f64();
    if let Some(signal) = stop.signal() {
        return Err(format!("stopped by signal {signal} before all connections had ended").into());
    }
    let hash = |connection: &mut Connection| connection.hash.take();
    let hashes: Vec<String> = reception.connections.iter_mut().filter_map(hash).map(hex).collect();
    print(options, &Report { info: receiver.info(), stats: receiver.stats(), seconds, hashes })?;
    for (number, connection) in reception.connections.iter().enumerate() {
        if let Some(failure) = &connection.failure {
            say(format_args!("recv: connection {number}: {failure}"));
        }
    }
    Ok(reception.connections.iter().all(|connection| connection.failure.is_none()))
}

fn hex(hash: Sha256) -> String {
    format!("{:x}", hash.finalize())
}

fn main() {
    let options = match Options::parse(env::args().skip(1)) {
        Ok(Some(options)) => options,
        Ok(None) => {
            let _ = io::stdout().write_all(USAGE.as_bytes());
            return;
        }
        Err(error) => {
            say(format_args!("{USAGE}recv: {error}"));
            std::process::exit(2);
        }
    };
    let stop = Stop::block();
    match run(&options, &stop) {
        Ok(true) => {}
        Ok(false) => std::process::exit(1),
        Err(error) => {
            say(format_args!("recv: {error}"));
            if let Some(signal) = stop.signal() {
                process::die_by(signal);
            }
            std::process::exit(1);
        }
    }
}
