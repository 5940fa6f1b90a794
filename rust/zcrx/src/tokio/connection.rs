// SPDX-License-Identifier: MIT
use std::net::TcpStream;

use ::tokio::net::TcpStream as AsyncTcpStream;

use super::BufferStream;
use crate::{Error, Result, Stage};

const EIO: i32 = 5;

/// A connection that a [`Server`](super::Server) has accepted: the buffers that come, and the socket to write to.
///
/// It is closed when both are dropped. The socket is read by no other means than the buffers.
#[derive(Debug)]
pub struct Connection {
    stream: BufferStream,
    socket: TcpStream,
    receiver: usize,
    copied: bool,
}

impl Connection {
    pub(super) fn new(
        stream: BufferStream,
        socket: TcpStream,
        receiver: usize,
        copied: bool,
    ) -> Self {
        Self { stream, socket, receiver, copied }
    }

    /// What comes, and what answers are written to. Fails where the runtime cannot wait for one more socket.
    ///
    /// # Panics
    ///
    /// Outside of a runtime with I/O enabled. A handler is inside.
    pub fn split(self) -> Result<(BufferStream, AsyncTcpStream)> {
        let Self { stream, socket, .. } = self;
        let socket = socket.set_nonblocking(true).and_then(|()| AsyncTcpStream::from_std(socket));
        let socket = socket.map_err(|error| {
            let errno = error.raw_os_error().unwrap_or(EIO);
            let hint = "raise the limit of watches: sysctl fs.epoll.max_user_watches";
            Error::new(errno, Stage::Socket, "the runtime cannot wait for this socket", hint)
        })?;
        Ok((stream, socket))
    }

    /// The socket: for addresses and options.
    pub fn socket(&self) -> &TcpStream {
        &self.socket
    }

    /// The tag that was given to [`Server::listen_with`](super::Server::listen_with).
    pub fn tag(&self) -> u64 {
        self.stream.stream().tag()
    }

    /// Which of the server's receivers has it, from 0 on.
    pub fn receiver(&self) -> usize {
        self.receiver
    }

    /// It arrives at a queue of the NIC that is no receiver's of the server, and is served by copies.
    pub fn is_copied(&self) -> bool {
        self.copied
    }
}
