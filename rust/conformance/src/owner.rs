// SPDX-License-Identifier: MIT
//! The receiver and its connections: what its owner's thread is asked.

use std::fmt::Write as _;
use std::io::{Read, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsRawFd, FromRawFd};
use std::sync::Arc;
use std::time::Duration;

use zcrx::{Buffers, End, Event, EventRef, Receiver, Stream, StreamOptions};

use crate::opening::builder;
use crate::{Answer, Failure, Shared, words_of};

const LISTENER: i32 = 11;

struct Connection {
    socket: Option<TcpStream>,
    /// Where in the payload its next byte is.
    place: u64,
    stream: Option<Stream>,
}

pub struct Owner {
    shared: Arc<Shared>,
    listener: TcpListener,
    receiver: Option<Receiver>,
    /// In place of the receiver: the options by which each iterator opens one, and the last of them.
    options: Option<Vec<String>>,
    buffers: Option<Buffers>,
    connections: Vec<Connection>,
}

pub fn no(what: &str) -> Failure {
    Failure(libc::ENOENT, format!("no such {what}"))
}

impl Owner {
    pub fn new(shared: Arc<Shared>) -> Self {
        // SAFETY: the driver has opened it for this thread alone.
        let listener = unsafe { TcpListener::from_raw_fd(LISTENER) };
        Self {
            shared,
            listener,
            receiver: None,
            options: None,
            buffers: None,
            connections: Vec::new(),
        }
    }

    pub fn run(&mut self, facts: &mut String, verb: &str, words: &[&str]) -> Answer {
        let number = || words.first().and_then(|word| word.parse().ok()).unwrap_or_default();
        match (verb, words) {
            ("hello", _) => return Ok(hello(facts)),
            ("settle", _) => {}
            ("open", _) => return self.open(words),
            ("iterate", [_, limit]) => return self.iterate(facts, number(), limit.parse()?, None),
            ("iterate", [_, limit, bytes]) => {
                return self.iterate(facts, number(), limit.parse()?, Some(bytes.parse()?));
            }
            ("stats", _) if self.buffers.is_some() => {
                return Ok(words_of(&self.buffers.as_ref().expect("there are some").stats()));
            }
            ("close", _) if self.options.take().is_some() => {
                self.buffers = None;
                return Ok("done".to_owned());
            }
            ("close", _) => {
                self.receiver = None;
                let gone = self.shared.handle()?.stats().is_none();
                return Ok(if gone { "done" } else { "open" }.to_owned());
            }
            ("accept", [_, place]) => self.accept(number(), place.parse()?)?,
            ("go", _) => self.socket(number())?.write_all(b"!")?,
            ("shut", _) => drop(self.connection(number())?.socket.take()),
            ("recv", _) => return self.recv(number()),
            ("add", [_, limit]) => return self.add(number(), limit.parse()?, 0),
            ("add", [_, limit, window]) => {
                return self.add(number(), limit.parse()?, window.parse()?);
            }
            ("remove", _) => self.with(number(), Receiver::remove)?,
            ("pause", _) => self.with(number(), Receiver::pause)?,
            ("resume", _) => self.with(number(), Receiver::resume)?,
            ("stream-stats", _) => {
                return Ok(words_of(&self.with(number(), Receiver::stream_stats)?));
            }
            ("receive", [_, timeout_ms, mode]) => {
                self.receive(facts, timeout_ms.parse()?, *mode == "hold")?;
            }
            ("poll", _) => self.poll(words[0].parse()?)?,
            ("fork", _) => return Ok(self.shared.views.fork(words)?.to_string()),
            _ => return self.shared.run(facts, verb, words),
        }
        Ok(String::new())
    }

    fn receiver(&self) -> Result<&Receiver, Failure> {
        self.receiver.as_ref().ok_or_else(|| no("receiver"))
    }

    /// Call the receiver for the stream of a connection.
    fn with<T>(
        &mut self,
        number: usize,
        call: impl FnOnce(&Receiver, Stream) -> zcrx::Result<T>,
    ) -> Result<T, Failure> {
        let stream = self.connection(number)?.stream.ok_or_else(|| no("stream"))?;
        Ok(call(self.receiver()?, stream)?)
    }

    fn connection(&mut self, number: usize) -> Result<&mut Connection, Failure> {
        self.connections.get_mut(number).ok_or_else(|| no("connection"))
    }

    fn socket(&mut self, number: usize) -> Result<&mut TcpStream, Failure> {
        self.connection(number)?.socket.as_mut().ok_or_else(|| no("socket"))
    }

    fn open(&mut self, words: &[&str]) -> Answer {
        self.connections.clear();
        if words.contains(&"through=iterator") {
            self.options = Some(words.iter().map(|&word| word.to_owned()).collect());
            return Ok(String::new());
        }
        let receiver = builder(words)?.open()?;
        let engine = receiver.info().engine;
        *self.shared.handle.lock().expect("no thread panics") = Some(receiver.handle());
        self.receiver = Some(receiver);
        Ok(engine.to_string())
    }

    fn accept(&mut self, number: usize, place: u64) -> Result<(), Failure> {
        let (socket, _) = self.listener.accept()?;
        self.connections.truncate(number);
        self.connections.push(Connection { socket: Some(socket), place, stream: None });
        Ok(())
    }

    fn add(&mut self, number: usize, limit: u64, window: u64) -> Answer {
        let options =
            StreamOptions::new().limit_bytes(limit).window_bytes(window).tag(number as u64);
        let connection = self.connections.get(number).ok_or_else(|| no("connection"))?;
        let socket = connection.socket.as_ref().ok_or_else(|| no("socket"))?;
        let stream = self.receiver()?.add_with(socket, options)?;
        self.connections[number].stream = Some(stream);
        Ok(handle(stream))
    }

    /// Read a socket to its end without the library.
    fn recv(&mut self, number: usize) -> Answer {
        let shared = self.shared.clone();
        let connection = self.connection(number)?;
        let socket = connection.socket.as_mut().ok_or_else(|| no("socket"))?;
        let (mut bytes, mut total, mut good) = (vec![0; 65536], 0, 0);
        loop {
            let count = socket.read(&mut bytes)?;
            if count == 0 {
                return Ok(format!("{total} {good}"));
            }
            if good == total {
                good += shared.views.good(&bytes[..count], connection.place);
            }
            total += count;
            connection.place += count as u64;
        }
    }

    fn receive(&mut self, facts: &mut String, timeout_ms: i64, hold: bool) -> Result<(), Failure> {
        let timeout = u64::try_from(timeout_ms).ok().map(Duration::from_millis);
        let receiver = self.receiver.as_ref().ok_or_else(|| no("receiver"))?;
        let views = &self.shared.views;
        let events = receiver.receive(timeout)?;
        let mut book = |stream: Stream, bytes: &[u8]| {
            let connection = self.connections.get_mut(stream.tag() as usize);
            let connection = connection.ok_or_else(|| no("tag"))?;
            let place = connection.place;
            connection.place += bytes.len() as u64;
            Ok::<_, Failure>((place, views.good(bytes, place)))
        };
        let mut fact = |stream: Stream, kind: &str, what: String| {
            let (handle, tag) = (handle(stream), stream.tag());
            writeln!(facts, "{kind} {handle} {tag} {what}").expect("a String takes all");
        };
        if !hold {
            for event in events.iter() {
                match event {
                    EventRef::Data { stream, bytes } => {
                        let (_, good) = book(stream, bytes)?;
                        fact(stream, "data", format!("{} {good} 0", bytes.len()));
                    }
                    EventRef::End { stream, end } => fact(stream, "end", how(end)),
                    EventRef::Error { stream, error } => {
                        fact(stream, "error", error.errno().to_string());
                    }
                }
            }
            return Ok(());
        }
        for event in events {
            match event {
                Event::Data { stream, buffer } => {
                    let (place, good) = book(stream, &buffer)?;
                    let length = buffer.len();
                    let number = views.keep(buffer, place);
                    fact(stream, "data", format!("{length} {good} {number}"));
                }
                Event::End { stream, end } => fact(stream, "end", how(end)),
                Event::Error { stream, error } => fact(stream, "error", error.errno().to_string()),
            }
        }
        Ok(())
    }

    /// Receive one connection by an iterator that has a receiver of its own; to its end, or leave it after so many bytes.
    fn iterate(
        &mut self,
        facts: &mut String,
        number: usize,
        limit: u64,
        leave_after: Option<u64>,
    ) -> Answer {
        self.buffers = None;
        let options = self.options.as_ref().ok_or_else(|| no("builder"))?;
        let words: Vec<&str> = options.iter().map(String::as_str).collect();
        let stream_options = StreamOptions::new().limit_bytes(limit);
        let mut buffers = builder(&words)?.buffers_with(self.socket(number)?, stream_options)?;
        let engine = buffers.info().engine.to_string();
        let first = self.connection(number)?.place;
        let mut place = first;
        let mut failed = false;
        for buffer in &mut buffers {
            let fact = match buffer {
                Ok(buffer) => {
                    let good = self.shared.views.good(&buffer, place);
                    place += buffer.len() as u64;
                    format!("data - {number} {} {good} 0", buffer.len())
                }
                Err(error) => {
                    failed = true;
                    format!("error - {number} {}", error.errno())
                }
            };
            writeln!(facts, "{fact}").expect("a String takes all");
            if leave_after.is_some_and(|bytes| place - first >= bytes) {
                break;
            }
        }
        self.connection(number)?.place = place;
        match buffers.end() {
            Some(end) => writeln!(facts, "end - {number} {}", how(end)),
            None if leave_after.is_some() => return Ok(engine), // and drop it
            None if failed => Ok(()),
            None => writeln!(facts, "end - {number} unknown"),
        }
        .expect("a String takes all");
        self.buffers = Some(buffers);
        Ok(engine)
    }

    fn poll(&self, timeout_ms: i32) -> Result<(), Failure> {
        let fd = self.receiver()?.as_raw_fd();
        let mut poll = libc::pollfd { fd, events: libc::POLLIN, revents: 0 };
        // SAFETY: one entry, which lives until the call returns.
        unsafe { libc::poll(&mut poll, 1, timeout_ms) };
        Ok(())
    }
}

fn hello(facts: &mut String) -> String {
    facts.push_str("protocol 2\n");
    facts.push_str("cannot double_release a Buffer is released by being moved\n");
    facts.push_str("cannot close a Receiver is not Send\n");
    facts.push_str("cannot wake_ms,through a Buffers has no handle to wake it\n");
    facts.push_str("own mappings 1048576\n");
    format!("Rust, zcrx {}", env!("CARGO_PKG_VERSION"))
}

/// A word that tells this stream from others.
fn handle(stream: Stream) -> String {
    format!("{stream:?}").chars().filter(|c| c.is_ascii_digit() || *c == ',').collect()
}

fn how(end: End) -> String {
    match end {
        End::Closed => "peer".to_owned(),
        other => format!("{other:?}").to_lowercase(),
    }
}
