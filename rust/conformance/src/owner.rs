// SPDX-License-Identifier: MIT
//! The receiver and its connections: what its owner's thread is asked.

use std::fmt::Write as _;
use std::io::{Read, Write as _};
use std::os::fd::AsRawFd;
use std::sync::Arc;

use zcrx::{Buffers, Receiver, Stream, StreamOptions};

use crate::members::Orders;
use crate::opening::builder;
use crate::reception::{Reception, handle, how};
use crate::{Answer, Failure, Serve, Shared, no, words_of};

const CHANNEL: usize = 0;

pub struct Owner {
    shared: Arc<Shared>,
    reception: Reception,
    orders: Orders,
    /// In place of the receiver: the options by which each iterator opens one, and the last of them.
    options: Option<Vec<String>>,
    buffers: Option<Buffers>,
}

impl Serve for Owner {
    fn run(&mut self, facts: &mut String, verb: &str, words: &[&str]) -> Answer {
        let number = || words.first().and_then(|word| word.parse().ok()).unwrap_or_default();
        match (verb, words) {
            ("hello", _) => return Ok(hello(facts)),
            ("settle", _) => {}
            ("open", _) => return self.open(words),
            ("group", _) => {
                self.shared.connections.clear();
                return self.shared.members.open(&self.shared, words);
            }
            ("iterate", [_, limit]) => return self.iterate(facts, number(), limit.parse()?, None),
            ("iterate", [_, limit, bytes]) => {
                return self.iterate(facts, number(), limit.parse()?, Some(bytes.parse()?));
            }
            ("stats", _) if self.buffers.is_some() => {
                return Ok(words_of(&self.buffers.as_ref().expect("there are some").stats()));
            }
            ("close", _) => return self.close(),
            ("leave", _) => return self.reception.leave(CHANNEL),
            ("accept", [_, place]) => self.accept(number(), place.parse()?)?,
            ("go", _) => {
                self.shared
                    .connections
                    .with_socket(number(), |mut socket| Ok(socket.write_all(b"!")?))?;
            }
            ("shut", _) => {
                self.shared.connections.with(number(), |connection| {
                    connection.socket = None;
                    Ok(())
                })?;
            }
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
            ("receive", _) => {
                self.reception.claim(CHANNEL);
                self.reception.receive(facts, words)?;
            }
            ("poll", _) => self.poll(words[0].parse()?)?,
            ("fork", _) => return Ok(self.shared.views.fork(words)?.to_string()),
            _ => return self.shared.run(facts, verb, words),
        }
        Ok(String::new())
    }
}

impl Owner {
    pub fn new(shared: Arc<Shared>, orders: Orders) -> Self {
        let reception = Reception::new(shared.clone());
        Self { shared, reception, orders, options: None, buffers: None }
    }

    /// Call the receiver for the stream of a connection.
    fn with<T>(
        &mut self,
        number: u64,
        call: impl FnOnce(&Receiver, Stream) -> zcrx::Result<T>,
    ) -> Result<T, Failure> {
        let stream = self.shared.connections.with(number, |connection| Ok(connection.stream))?;
        Ok(call(self.reception.receiver()?, stream.ok_or_else(|| no("stream"))?)?)
    }

    fn open(&mut self, words: &[&str]) -> Answer {
        self.shared.connections.clear();
        if words.contains(&"through=iterator") {
            self.options = Some(words.iter().map(|&word| word.to_owned()).collect());
            return Ok(String::new());
        }
        let receiver = builder(words)?.open()?;
        let engine = receiver.info().engine;
        *self.shared.handle.lock().expect("no thread panics") = Some(receiver.handle());
        self.reception.receiver = Some(receiver);
        Ok(engine.to_string())
    }

    fn close(&mut self) -> Answer {
        if self.options.take().is_some() {
            self.buffers = None;
            return Ok("done".to_owned());
        }
        if !self.orders.close(&self.shared, &mut self.reception)? {
            self.reception.close();
        }
        let gone = self.shared.handle()?.stats().is_none();
        Ok(if gone { "done" } else { "open" }.to_owned())
    }

    fn accept(&mut self, number: u64, place: u64) -> Result<(), Failure> {
        let (socket, _) = self.shared.listener.accept()?;
        self.shared.connections.begin(number, place, Some(socket));
        Ok(())
    }

    fn add(&mut self, number: u64, limit: u64, window: u64) -> Answer {
        let options = StreamOptions::new().limit_bytes(limit).window_bytes(window).tag(number);
        let receiver = self.reception.receiver()?;
        let connections = &self.shared.connections;
        let stream =
            connections.with_socket(number, |socket| Ok(receiver.add_with(socket, options)?))?;
        connections.with(number, |connection| {
            connection.stream = Some(stream);
            Ok(())
        })?;
        Ok(handle(stream))
    }

    /// Read a socket to its end without the library.
    fn recv(&mut self, number: u64) -> Answer {
        let (views, connections) = (&self.shared.views, &self.shared.connections);
        let mut socket = connections.with_socket(number, |socket| Ok(socket.try_clone()?))?;
        let mut place = connections.advance(number, 0)?;
        let (mut bytes, mut total, mut good) = (vec![0; 65536], 0, 0);
        loop {
            let count = socket.read(&mut bytes)?;
            if count == 0 {
                connections.advance(number, total)?;
                return Ok(format!("{total} {good}"));
            }
            if good == total {
                good += views.good(&bytes[..count], place);
            }
            total += count;
            place += count as u64;
        }
    }

    /// Receive one connection by an iterator that has a receiver of its own; to its end, or leave it after so many bytes.
    fn iterate(
        &mut self,
        facts: &mut String,
        number: u64,
        limit: u64,
        leave_after: Option<u64>,
    ) -> Answer {
        self.buffers = None;
        let options = self.options.as_ref().ok_or_else(|| no("builder"))?;
        let words: Vec<&str> = options.iter().map(String::as_str).collect();
        let stream_options = StreamOptions::new().limit_bytes(limit);
        let (builder, connections) = (builder(&words)?, &self.shared.connections);
        let mut buffers = connections
            .with_socket(number, |socket| Ok(builder.buffers_with(socket, stream_options)?))?;
        let engine = buffers.info().engine.to_string();
        let first = connections.advance(number, 0)?;
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
        connections.advance(number, (place - first) as usize)?;
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
        let fd = self.reception.receiver()?.as_raw_fd();
        let mut poll = libc::pollfd { fd, events: libc::POLLIN, revents: 0 };
        // SAFETY: one entry, which lives until the call returns.
        unsafe { libc::poll(&mut poll, 1, timeout_ms) };
        Ok(())
    }
}

fn hello(facts: &mut String) -> String {
    facts.push_str("protocol 3\n");
    facts.push_str("cannot double_release a Buffer is released by being moved\n");
    facts.push_str("cannot close a Receiver is not Send\n");
    facts.push_str("cannot wake_ms,through a Buffers has no handle to wake it\n");
    facts.push_str("own mappings 1048576\n");
    format!("Rust, zcrx {}", env!("CARGO_PKG_VERSION"))
}
