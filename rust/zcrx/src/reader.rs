// SPDX-License-Identifier: MIT
//! One socket, received to its end: as buffers, or as a byte stream.

use std::fmt;
use std::io::{self, BufRead, Read};
use std::iter::FusedIterator;
use std::os::fd::AsFd;

use crate::batch::Batch;
use crate::event::Over;
use crate::watch::Watch;
use crate::{Buffer, Builder, End, Event, Info, Receiver, Result, Stats, Stream, StreamOptions};

/// The buffers of one socket, until its end: made by [`Builder::buffers`]. Its receiver is its own: no other
/// socket can be added, whose events would be lost here. Dropping it removes the socket.
///
/// Who keeps all of its buffers and waits for more, as `collect` does with more than the area, gets an error that says so
/// ([`Builder::window_timeout`]); that error is not its end.
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
///
/// ```compile_fail
/// # fn example(socket: &std::net::TcpStream, other: &std::net::TcpStream) -> zcrx::Result<()> {
/// let buffers = zcrx::Receiver::builder().buffers(socket)?;
/// buffers.receiver().add(other)?; // there is no such method
/// # Ok(())
/// # }
/// ```
pub struct Buffers {
    receiver: Receiver,
    stream: Stream,
    batch: Batch,
    over: Option<Over>,
    watch: Watch,
}

impl Buffers {
    pub(crate) fn open(
        builder: Builder,
        socket: impl AsFd,
        options: StreamOptions,
    ) -> Result<Self> {
        let watch = Watch::alone(builder.patience());
        let receiver = builder.open()?;
        let stream = receiver.add_with(socket, options)?;
        Ok(Self { batch: receiver.new_batch(), receiver, stream, over: None, watch })
    }

    /// How the stream ended, once the iterator has returned `None`; `None` after an error.
    pub fn end(&self) -> Option<End> {
        Over::end(self.over)
    }

    /// Remove the socket: the buffers that were received by now still come, then `None` with [`End::Removed`]. The rest
    /// of the data stays in the socket.
    pub fn remove(&self) -> Result<()> {
        self.receiver.remove(self.stream)
    }

    /// The receiver's counters.
    pub fn stats(&self) -> Stats {
        self.receiver.stats()
    }

    /// What was opened.
    pub fn info(&self) -> Info {
        self.receiver.info()
    }

    /// The next buffer; `None` at the end, which it stores. A wake or an empty batch is neither.
    fn take(&mut self) -> Result<Option<Buffer>> {
        loop {
            match self.batch.pop(self.receiver.number()) {
                Some(Event::Data { buffer, .. }) => return Ok(Some(buffer)),
                Some(Event::End { end, .. }) => {
                    self.over = Some(Over::End(end));
                    return Ok(None);
                }
                Some(Event::Error { error, .. }) => {
                    self.over = Some(Over::Failed);
                    return Err(error);
                }
                // Only in a group, which this receiver is not in.
                Some(Event::Added { .. } | Event::Refused { .. }) => {}
                None => self.refill()?,
            }
        }
    }

    /// Receive, and look now and then whether it can succeed.
    fn refill(&mut self) -> Result<()> {
        let received = self.receiver.receive_into(&mut self.batch, self.watch.period());
        if received.is_err() {
            self.over = Some(Over::Failed);
        } else if self.batch.pending().is_empty() {
            return self.watch.look(&self.receiver, self.stream);
        } else {
            self.watch.forget();
        }
        received
    }
}

impl fmt::Debug for Buffers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Buffers").field("over", &self.over).finish_non_exhaustive()
    }
}

impl Iterator for Buffers {
    type Item = Result<Buffer>;

    fn next(&mut self) -> Option<Result<Buffer>> {
        if self.over.is_some() {
            return None;
        }
        self.take().transpose()
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
    pub(crate) fn new(buffers: Buffers) -> Self {
        Self { buffers, current: None, consumed: 0 }
    }

    /// How the stream ended, once a read has returned 0 bytes; `None` after an error.
    pub fn end(&self) -> Option<End> {
        self.buffers.end()
    }

    /// What it reads from: for counters, and to remove the socket.
    pub fn get_ref(&self) -> &Buffers {
        &self.buffers
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
