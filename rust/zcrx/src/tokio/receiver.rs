// SPDX-License-Identifier: MIT
use std::cell::Cell;
use std::io;
use std::ops::Deref;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use ::tokio::io::Interest;
use ::tokio::io::unix::AsyncFd;
use ::tokio::task::coop;

use crate::batch::Batch;
use crate::{Error, Events, Receiver, Result, Stage};

const EIO: i32 = 5;
/// Amid a fast stream more follows at once. To wait for it in the receiver costs both ends less than to come back through the
/// event loop for every few kilobytes; so long it may keep other tasks of this thread waiting.
const LINGER: Duration = Duration::from_micros(40);
/// In a batch: a fast stream.
const FAST_BYTES: usize = 64 << 10;

/// A [`Receiver`] whose receiving waits in the runtime. It derefs to the receiver: sockets are added as there.
///
/// While much is received it waits for more for some 40 microseconds before it lets the runtime go on: that costs less than a
/// way through the event loop.
///
/// ```
/// # use std::{io::Write, net::{TcpListener, TcpStream}};
/// use zcrx::tokio::AsyncReceiver;
/// use zcrx::{EventRef, Receiver};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let listener = TcpListener::bind("127.0.0.1:0")?;
/// # TcpStream::connect(listener.local_addr()?)?.write_all(b"hello")?;
/// # let socket = listener.accept()?.0;
/// # let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
/// # let received = runtime.block_on(async {
/// let receiver = AsyncReceiver::new(Receiver::open()?)?;
/// receiver.add(&socket)?;
/// let mut received = Vec::new();
/// loop {
///     for event in &receiver.receive().await? {
///         match event {
///             EventRef::Data { bytes, .. } => received.extend_from_slice(bytes),
///             EventRef::End { .. } => return Ok(received),
///             EventRef::Error { error, .. } => return Err(error),
///             _ => {} // only in a group
///         }
///     }
/// }
/// # })?;
/// # assert_eq!(received, b"hello");
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct AsyncReceiver {
    receiver: AsyncFd<Receiver>,
    /// There may be more events: receive before waiting. True after any batch, not only after a full one: a fast sender
    /// has sent more by then, and completions that the receive call itself produced have made the descriptor
    /// readable, so that the wait would return at once.
    more: Cell<bool>,
    /// The last batch was of a fast stream.
    fast: Cell<bool>,
}

impl AsyncReceiver {
    /// Register a receiver with the runtime that this is called in.
    ///
    /// # Panics
    ///
    /// Outside of a runtime with I/O enabled.
    pub fn new(receiver: Receiver) -> Result<Self> {
        // SAFETY: a receiver's descriptor stays the same, and open, until it is dropped, and it cannot be taken out.
        let receiver = unsafe { AsyncFd::register_with_interest(receiver, Interest::READABLE) }
            .map_err(|error| from_io(error.into_parts().1))?;
        // The first receive starts the streams; before it the descriptor does not become readable.
        Ok(Self { receiver, more: Cell::new(true), fast: Cell::new(false) })
    }

    /// The receiver, no longer registered.
    pub fn into_inner(self) -> Receiver {
        self.receiver.into_inner()
    }

    /// Receive a batch of events; there is at least one in it.
    ///
    /// Nothing is lost when the future is dropped. One task receives: of two that wait, one may not be told of what
    /// the other left.
    pub async fn receive(&self) -> Result<Events<'_>> {
        coop::consume_budget().await; // else a fast sender would keep all other tasks from running
        loop {
            if self.more.get() {
                let events = self.receive_now()?;
                if !events.is_empty() {
                    return Ok(events);
                }
            }
            self.receiver.readable().await.map_err(from_io)?.clear_ready();
            self.more.set(true);
        }
    }

    fn receive_now(&self) -> Result<Events<'_>> {
        let events = self.receiver.get_ref().receive(self.linger())?;
        self.note(events.len(), events.byte_count());
        Ok(events)
    }

    fn linger(&self) -> Duration {
        if self.fast.get() { LINGER } else { Duration::ZERO }
    }

    fn note(&self, events: usize, bytes: usize) {
        self.more.set(events > 0);
        self.fast.set(bytes >= FAST_BYTES);
    }

    /// Fill the batch, as [`receive`](Self::receive) does; for one task only.
    pub(super) fn poll_receive(
        &self,
        batch: &mut Batch,
        context: &mut Context<'_>,
    ) -> Poll<Result<()>> {
        loop {
            if self.more.get() {
                self.receiver.get_ref().receive_into(batch, Some(self.linger()))?;
                self.note(batch.pending().len(), batch.byte_count());
                if self.more.get() {
                    return Poll::Ready(Ok(()));
                }
            }
            ready!(self.receiver.poll_read_ready(context)).map_err(from_io)?.clear_ready();
            self.more.set(true);
        }
    }
}

impl Deref for AsyncReceiver {
    type Target = Receiver;

    fn deref(&self) -> &Receiver {
        self.receiver.get_ref()
    }
}

/// Errors of the runtime need not have an error number.
fn from_io(error: io::Error) -> Error {
    let errno = error.raw_os_error().unwrap_or(EIO);
    Error::new(errno, Stage::Receive, &format!("the runtime's event loop: {error}"), "")
}
