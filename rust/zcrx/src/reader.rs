// SPDX-License-Identifier: MIT
//! One socket, received to its end: as buffers, or as a byte stream.

use std::fmt;
use std::io::{self, BufRead, Read};
use std::iter::FusedIterator;
use std::os::fd::AsFd;

use crate::batch::Batch;
use crate::{Buffer, Builder, Event, Receiver, Result, Stream};

/// The buffers of one socket, until its end: made by [`Builder::buffers`].
///
/// ```
/// # use std::{io::Write, net::{TcpListener, TcpStream}};
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let listener = TcpListener::bind("127.0.0.1:0")?;
/// # TcpStream::connect(listener.local_addr()?)?.write_all(b"hello")?;
/// # let socket = listener.accept()?.0;
/// let mut total = 0;
/// for buffer in zcrx::Receiver::builder().buffers(&socket)? {
///     total += buffer?.len();
/// }
/// assert_eq!(total, 5);
/// # Ok(())
/// # }
/// ```
pub struct Buffers {
    receiver: Receiver,
    stream: Stream,
    batch: Batch,
    ended: bool,
}

impl Buffers {
    pub(crate) fn open(builder: Builder, socket: impl AsFd) -> Result<Self> {
        let receiver = builder.open()?;
        let stream = receiver.add(socket)?;
        Ok(Self { batch: receiver.new_batch(), receiver, stream, ended: false })
    }

    /// The receiver, for its counters and the like. What other sockets that are added to it receive is dropped.
    pub fn receiver(&self) -> &Receiver {
        &self.receiver
    }

    /// Wait until there are events. False: the end has come.
    fn wait(&mut self) -> Result<bool> {
        while !self.ended && self.batch.pending().is_empty() {
            match self.receiver.receive_into(&mut self.batch, -1) {
                Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error),
                _ => {}
            }
        }
        Ok(!self.ended)
    }

    fn take(&mut self) -> Result<Option<Buffer>> {
        while self.wait()? {
            match self.batch.pop(self.receiver.number()) {
                Some(event) if event.stream() != self.stream => {}
                Some(Event::Data { buffer, .. }) => return Ok(Some(buffer)),
                Some(Event::End { .. }) => self.ended = true,
                Some(Event::Error { error, .. }) => return Err(error),
                None => {}
            }
        }
        Ok(None)
    }
}

impl fmt::Debug for Buffers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Buffers").field("ended", &self.ended).finish_non_exhaustive()
    }
}

impl Iterator for Buffers {
    type Item = Result<Buffer>;

    fn next(&mut self) -> Option<Result<Buffer>> {
        let next = self.take().transpose();
        self.ended |= !matches!(next, Some(Ok(_)));
        next
    }
}

impl FusedIterator for Buffers {}

/// One socket as a byte stream: made by [`Builder::reader`].
///
/// [`BufRead`] shows the received bytes without a copy; [`Read`] copies them.
///
/// ```
/// # use std::{io::{BufRead, Write}, net::{TcpListener, TcpStream}};
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let listener = TcpListener::bind("127.0.0.1:0")?;
/// # TcpStream::connect(listener.local_addr()?)?.write_all(b"one\ntwo\n")?;
/// # let socket = listener.accept()?.0;
/// let reader = zcrx::Receiver::builder().reader(&socket)?;
/// let lines: Vec<String> = reader.lines().collect::<Result<_, _>>()?;
/// assert_eq!(lines, ["one", "two"]);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Reader {
    buffers: Buffers,
    current: Option<Buffer>,
    consumed: usize,
}

impl Reader {
    pub(crate) fn open(builder: Builder, socket: impl AsFd) -> Result<Self> {
        Ok(Self { buffers: Buffers::open(builder, socket)?, current: None, consumed: 0 })
    }

    /// The receiver, as [`Buffers::receiver`] gives it.
    pub fn receiver(&self) -> &Receiver {
        self.buffers.receiver()
    }
}

impl BufRead for Reader {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.current.as_ref().is_none_or(|buffer| self.consumed == buffer.len()) {
            self.current = None; // released before the next is waited for
            self.consumed = 0;
            self.current = self.buffers.next().transpose().map_err(io::Error::from)?;
        }
        Ok(self.current.as_ref().map_or(&[], |buffer| &buffer[self.consumed..]))
    }

    fn consume(&mut self, count: usize) {
        let left = self.current.as_ref().map_or(0, |buffer| buffer.len() - self.consumed);
        self.consumed += count.min(left);
    }
}

impl Read for Reader {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if out.is_empty() {
            return Ok(0);
        }
        let count = self.fill_buf()?.read(out)?;
        self.consume(count);
        Ok(count)
    }
}
