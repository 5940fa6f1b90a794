// SPDX-License-Identifier: MIT
//! The receiver of one channel: what its events say.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::net::TcpStream;
use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::time::Duration;

use zcrx::{End, Event, EventRef, Receiver, RefusedSocket, Stream};

use crate::{Answer, Failure, Shared, no};

pub struct Reception {
    shared: Arc<Shared>,
    pub receiver: Option<Receiver>,
    /// Connections that a group has accepted: the numbers of others are their tags.
    accepted: HashMap<Stream, u64>,
}

impl Reception {
    pub fn new(shared: Arc<Shared>) -> Self {
        Self { shared, receiver: None, accepted: HashMap::new() }
    }

    pub fn receiver(&self) -> Result<&Receiver, Failure> {
        self.receiver.as_ref().ok_or_else(|| no("receiver"))
    }

    pub fn close(&mut self) {
        self.receiver = None;
        self.accepted.clear();
    }

    /// The channel's receiver of a group becomes this thread's.
    pub fn claim(&mut self, channel: usize) {
        if let Some(receiver) = self.shared.members.take(channel) {
            self.receiver = Some(receiver.into_receiver());
        }
    }

    /// Close the channel's receiver of a group.
    pub fn leave(&mut self, channel: usize) -> Answer {
        self.claim(channel);
        let handle = self.receiver()?.handle();
        self.close();
        Ok(if handle.stats().is_none() { "done" } else { "open" }.to_owned())
    }

    /// One receive. `words`: CAPACITY TIMEOUT_MS MODE; the capacity is the receiver's.
    pub fn receive(&mut self, facts: &mut String, words: &[&str]) -> Result<(), Failure> {
        let [_, timeout_ms, mode] = words else { return Err(no("timeout")) };
        let timeout = u64::try_from(timeout_ms.parse::<i64>()?).ok().map(Duration::from_millis);
        let receiver = self.receiver.as_ref().ok_or_else(|| no("receiver"))?;
        let events = receiver.receive(timeout)?;
        let mut book = Book { shared: &self.shared, accepted: &mut self.accepted, facts };
        if *mode == "hold" {
            for event in events {
                book.take(event)?;
            }
        } else {
            for event in events.iter() {
                book.look(event)?;
            }
        }
        Ok(())
    }
}

/// Where events are written down.
struct Book<'a> {
    shared: &'a Shared,
    accepted: &'a mut HashMap<Stream, u64>,
    facts: &'a mut String,
}

impl Book<'_> {
    /// Keep its buffer.
    fn take(&mut self, event: Event) -> Result<(), Failure> {
        match event {
            Event::Data { stream, buffer } => {
                let (place, good) = self.check(stream, &buffer)?;
                let length = buffer.len();
                let number = self.shared.views.keep(buffer, place);
                self.fact(stream, "data", format!("{length} {good} {number}"));
            }
            Event::End { stream, end } => self.over(stream, "end", how(end)),
            Event::Error { stream, error } => self.over(stream, "error", error.errno().to_string()),
            Event::Added { stream, accepted, copied } => {
                self.added(stream, accepted.as_ref(), copied)?;
            }
            Event::Refused { tag, error, socket } => self.refused(tag, &error, socket),
            other => return Err(unknown(&other)),
        }
        Ok(())
    }

    fn look(&mut self, event: EventRef<'_>) -> Result<(), Failure> {
        match event {
            EventRef::Data { stream, bytes } => {
                let (_, good) = self.check(stream, bytes)?;
                self.fact(stream, "data", format!("{} {good} 0", bytes.len()));
            }
            EventRef::End { stream, end } => self.over(stream, "end", how(end)),
            EventRef::Error { stream, error } => {
                self.over(stream, "error", error.errno().to_string());
            }
            EventRef::Added { stream, accepted, copied } => {
                let socket = accepted.as_ref().map(BorrowedFd::try_clone_to_owned).transpose()?;
                self.added(stream, socket.map(TcpStream::from).as_ref(), copied)?;
            }
            EventRef::Refused { tag, error, socket } => self.refused(tag, &error, socket),
            other => return Err(unknown(&other)),
        }
        Ok(())
    }

    fn number(&self, stream: Stream) -> u64 {
        self.accepted.get(&stream).copied().unwrap_or(stream.tag())
    }

    /// Where its bytes are, and how many are good.
    fn check(&self, stream: Stream, bytes: &[u8]) -> Result<(u64, usize), Failure> {
        let place = self.shared.connections.advance(self.number(stream), bytes.len())?;
        Ok((place, self.shared.views.good(bytes, place)))
    }

    fn fact(&mut self, stream: Stream, kind: &str, what: String) {
        let (handle, number) = (handle(stream), self.number(stream));
        writeln!(self.facts, "{kind} {handle} {number} {what}").expect("a String takes all");
    }

    fn over(&mut self, stream: Stream, kind: &str, what: String) {
        self.fact(stream, kind, what);
        self.accepted.remove(&stream);
    }

    /// A connection that was accepted is called by its peer's port, and begins there.
    fn added(
        &mut self,
        stream: Stream,
        socket: Option<&TcpStream>,
        copied: bool,
    ) -> Result<(), Failure> {
        if let Some(socket) = socket {
            let number = socket.peer_addr()?.port().into();
            self.accepted.insert(stream, number);
            self.shared.connections.begin(number, number, None);
        }
        let flags = match (socket.is_some(), copied) {
            (true, true) => "accepted,copied",
            (true, false) => "accepted",
            (false, true) => "copied",
            (false, false) => "-",
        };
        self.fact(stream, "added", format!("{} {flags}", stream.tag()));
        Ok(())
    }

    fn refused(&mut self, tag: u64, error: &zcrx::Error, socket: RefusedSocket) {
        let flags = match socket {
            RefusedSocket::Listening => "listener",
            RefusedSocket::Accepted => "accepted",
            _ => "-",
        };
        writeln!(self.facts, "refused {tag} {} {flags}", error.errno())
            .expect("a String takes all");
    }
}

fn unknown(event: &impl std::fmt::Debug) -> Failure {
    Failure(libc::EPROTO, format!("an event of unknown kind: {event:?}"))
}

/// A word that tells this stream from others.
pub fn handle(stream: Stream) -> String {
    format!("{stream:?}").chars().filter(|c| c.is_ascii_digit() || *c == ',').collect()
}

pub fn how(end: End) -> String {
    match end {
        End::Closed => "peer".to_owned(),
        other => format!("{other:?}").to_lowercase(),
    }
}
