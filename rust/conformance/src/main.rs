// SPDX-License-Identifier: MIT
//! The Rust executor of the conformance scenarios: does what the driver asks by the zcrx crate, and reports what came
//! of it. The requests are those of tests/conformance/PROTOCOL.md.

mod connections;
mod members;
mod opening;
mod owner;
mod reception;
mod views;

use std::fmt::{self, Debug, Write as _};
use std::io::{self, BufRead, BufReader, Write as _};
use std::net::TcpListener;
use std::os::fd::{AsFd, BorrowedFd, FromRawFd};
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex};
use std::thread;

use zcrx::Handle;

use crate::connections::Connections;
use crate::members::{Member, Members, Orders};
use crate::owner::Owner;
use crate::views::Views;

const FIRST_CHANNEL: i32 = 3;
const CHANNELS: i32 = 8;
const LISTENER: i32 = 11;

/// What follows `ok`, or why it failed.
pub type Answer = Result<String, Failure>;

/// A number of `errno`, and words.
pub struct Failure(pub i32, pub String);

impl From<zcrx::Error> for Failure {
    fn from(error: zcrx::Error) -> Self {
        Self(error.errno(), error.to_string())
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self(error.raw_os_error().unwrap_or(libc::EPROTO), error.to_string())
    }
}

impl From<std::num::ParseIntError> for Failure {
    fn from(error: std::num::ParseIntError) -> Self {
        Self(libc::EINVAL, error.to_string())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "failed {} {}", self.0, self.1.replace('\n', " "))
    }
}

/// There is none of it.
pub fn no(what: &str) -> Failure {
    Failure(libc::ENOENT, format!("no such {what}"))
}

/// What every channel's thread can use.
pub struct Shared {
    /// The buffers that are held.
    pub views: Views,
    /// Of the receiver that is open.
    pub handle: Mutex<Option<Handle>>,
    /// The connections, by number.
    pub connections: Connections,
    /// The group that is open, if one is.
    pub members: Members,
    /// Where connections are accepted.
    pub listener: TcpListener,
}

impl Shared {
    fn new() -> Self {
        // SAFETY: the driver has opened it for this.
        let listener = unsafe { TcpListener::from_raw_fd(LISTENER) };
        Self {
            views: Views::new(),
            handle: Mutex::default(),
            connections: Connections::default(),
            members: Members::default(),
            listener,
        }
    }

    fn handle(&self) -> Result<Handle, Failure> {
        let handle = self.handle.lock().expect("no thread panics").clone();
        handle.ok_or_else(|| Failure(libc::ENOTCONN, "no receiver is open".to_owned()))
    }

    /// The requests that come on any channel.
    fn run(&self, facts: &mut String, verb: &str, words: &[&str]) -> Answer {
        match verb {
            "release" => self.views.release(facts, words)?,
            "wake" => self.handle()?.wake(),
            "stats" => {
                let stats = self.handle()?.stats();
                let stats = stats.ok_or_else(|| Failure(libc::ENOTCONN, "closed".to_owned()))?;
                return Ok(words_of(&stats));
            }
            _ => return self.members.run(self, verb, words),
        }
        Ok(String::new())
    }
}

/// Counters as NAME=VALUE.
pub fn words_of(stats: &impl Debug) -> String {
    let words = format!("{stats:?}").replace(": ", "=").replace([',', '{', '}'], "");
    words.replace("=true", "=1").replace("=false", "=0")
}

/// Serves one channel.
trait Serve {
    fn run(&mut self, facts: &mut String, verb: &str, words: &[&str]) -> Answer;

    /// Wait for a request. An error ends the channel.
    fn wait(&mut self, _channel: BorrowedFd<'_>) -> io::Result<()> {
        Ok(())
    }
}

/// Serve a channel to its end.
fn serve(number: i32, mut server: impl Serve) {
    // SAFETY: the driver has opened it for this thread alone.
    let channel = unsafe { UnixStream::from_raw_fd(FIRST_CHANNEL + number) };
    let mut requests = BufReader::new(&channel).lines();
    // The driver sends no request before the last is answered: nothing waits in the reader.
    while server.wait(channel.as_fd()).is_ok() {
        let Some(Ok(request)) = requests.next() else { return };
        let mut words = request.split(' ');
        let verb = words.next().unwrap_or_default();
        let words: Vec<&str> = words.collect();
        let mut lines = String::new();
        let answer = server.run(&mut lines, verb, &words);
        let written = match answer {
            Ok(text) if text.is_empty() => writeln!(lines, "ok"),
            Ok(text) => writeln!(lines, "ok {text}"),
            Err(failure) => writeln!(lines, "{failure}"),
        };
        written.expect("a String takes all");
        if (&channel).write_all(lines.as_bytes()).is_err() {
            return;
        }
    }
}

extern "C" fn nothing(_signal: libc::c_int) {}

/// SIGUSR1 does nothing but interrupt what its thread is at.
fn interrupt_calls() {
    // SAFETY: a zeroed sigaction is valid (no flags: calls are interrupted), the handler does nothing.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = nothing as extern "C" fn(libc::c_int) as usize;
        libc::sigaction(libc::SIGUSR1, &action, std::ptr::null_mut());
    }
}

fn main() {
    interrupt_calls();
    let shared = Arc::new(Shared::new());
    let (orders, theirs) = Orders::new().expect("descriptors");
    let others: Vec<_> = (1..CHANNELS)
        .zip(theirs)
        .map(|(number, orders)| {
            let shared = shared.clone();
            thread::spawn(move || serve(number, Member::new(shared, number as usize, orders)))
        })
        .collect();
    serve(0, Owner::new(shared, orders));
    for other in others {
        other.join().expect("no thread panics");
    }
}
