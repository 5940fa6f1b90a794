// SPDX-License-Identifier: MIT
//! The sender: a child process.

use std::env;
use std::io::{self, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::scenario::Scenario;
use crate::{Failure, fail};

const PATIENCE: Duration = Duration::from_secs(20);

pub struct Peer {
    child: Child,
    listener: TcpListener,
}

/// Where the sender will connect to.
pub struct Meeting {
    listener: TcpListener,
    address: String,
    pub port: u16,
}

impl Meeting {
    pub fn arrange(scenario: &Scenario) -> Result<Self, Failure> {
        let address = env::var("ZRX_RIG_LOCAL").unwrap_or_else(|_| "127.0.0.1".to_owned());
        let listener = listen(&address, scenario.connections)?;
        let port = listener.local_addr().map_err(|error| fail!("listen: {error}"))?.port();
        Ok(Self { listener, address, port })
    }

    /// Start the sender.
    pub fn begin(self, scenario: &Scenario, sender: &Path) -> Result<Peer, Failure> {
        let mut command = match env::var("ZRX_RIG_PEER_NETNS") {
            Ok(namespace) => {
                let mut command = Command::new("ip");
                command.args(["netns", "exec", &namespace]).arg(sender);
                command
            }
            Err(_) => Command::new(sender),
        };
        command.arg(format!("{}:{}", self.address, self.port));
        command.args(&scenario.words).stdin(Stdio::null());
        // Standard output is for the reason of a failure; the runner waits for its end.
        command.stdout(io::stderr());
        let child = command.spawn().map_err(|error| fail!("sender: {error}"))?;
        Ok(Peer { child, listener: self.listener })
    }
}

impl Peer {
    pub fn accept(&self) -> Result<TcpStream, Failure> {
        let (socket, _) = self.listener.accept().map_err(|error| fail!("accept: {error}"))?;
        Ok(socket)
    }

    /// It has to leave by itself, and content.
    pub fn wait(&mut self) -> Result<(), Failure> {
        let end = Instant::now() + PATIENCE;
        loop {
            match self.child.try_wait() {
                Ok(Some(status)) if status.success() => return Ok(()),
                Ok(Some(status)) => return Err(fail!("the sender failed: {status}")),
                Ok(None) if Instant::now() < end => sleep(Duration::from_millis(1)),
                Ok(None) => return Err(fail!("the sender does not leave")),
                Err(error) => return Err(fail!("sender: {error}")),
            }
        }
    }
}

/// Tell the sender to go on.
pub fn go_on(mut socket: &TcpStream) -> Result<(), Failure> {
    socket.write_all(b"x").map_err(|error| fail!("cannot write to the sender: {error}"))
}

/// As TcpListener::bind, but with a backlog for all connections.
fn listen(address: &str, connections: u64) -> Result<TcpListener, Failure> {
    use std::os::fd::AsRawFd;

    let listener = TcpListener::bind((address, 0)).map_err(|error| fail!("bind: {error}"))?;
    let backlog = i32::try_from(connections).unwrap_or(i32::MAX).max(128);
    // SAFETY: a plain call on a descriptor that is open; listening again only changes the backlog.
    if unsafe { libc::listen(listener.as_raw_fd(), backlog) } != 0 {
        return Err(fail!("listen: {}", io::Error::last_os_error()));
    }
    Ok(listener)
}
