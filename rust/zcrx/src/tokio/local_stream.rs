// SPDX-License-Identifier: MIT
use std::fmt;
use std::os::fd::AsFd;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_core::Stream;

use super::AsyncReceiver;
use crate::batch::Batch;
use crate::event::Over;
use crate::{Buffer, Builder, End, Event, Info, Result, Stats, StreamOptions};

/// The buffers of one socket, received on the thread of the runtime. Its receiver is its own: no other socket can be
/// added, whose events would be lost here. ([`AsyncReceiver::receive`] gives the events of many.)
///
/// ```
/// # use std::{io::Write, net::{TcpListener, TcpStream}};
/// use futures_util::TryStreamExt;
/// use zcrx::Receiver;
/// use zcrx::tokio::LocalStream;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let listener = TcpListener::bind("127.0.0.1:0")?;
/// # TcpStream::connect(listener.local_addr()?)?.write_all(b"hello")?;
/// # let socket = listener.accept()?.0;
/// # let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
/// # runtime.block_on(async {
/// let mut stream = LocalStream::open(Receiver::builder(), &socket)?;
/// let mut received = Vec::new();
/// while let Some(buffer) = stream.try_next().await? {
///     received.extend_from_slice(&buffer);
/// }
/// assert_eq!(received, b"hello");
/// # Ok::<(), zcrx::Error>(())
/// # })?;
/// # Ok(())
/// # }
/// ```
pub struct LocalStream {
    batch: Batch,
    receiver: AsyncReceiver,
    stream: crate::Stream,
    over: Option<Over>,
}

impl LocalStream {
    /// Open a receiver for this one socket, in the runtime that this is called in.
    ///
    /// # Panics
    ///
    /// Outside of a runtime with I/O enabled.
    pub fn open(builder: Builder, socket: impl AsFd) -> Result<Self> {
        Self::open_with(builder, socket, StreamOptions::new())
    }

    /// As [`open`](Self::open), with options of the stream.
    pub fn open_with(builder: Builder, socket: impl AsFd, options: StreamOptions) -> Result<Self> {
        let receiver = AsyncReceiver::new(builder.open()?)?;
        let stream = receiver.add_with(socket, options)?;
        Ok(Self { batch: receiver.new_batch(), receiver, stream, over: None })
    }

    /// How it ended, once it has returned `None`; `None` after an error.
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
}

impl Stream for LocalStream {
    type Item = Result<Buffer>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        while this.over.is_none() {
            match this.batch.pop(this.receiver.number()) {
                Some(Event::Data { buffer, .. }) => return Poll::Ready(Some(Ok(buffer))),
                Some(Event::End { end, .. }) => this.over = Some(Over::End(end)),
                Some(Event::Error { error, .. }) => {
                    this.over = Some(Over::Failed);
                    return Poll::Ready(Some(Err(error)));
                }
                None => {
                    let budget = ready!(::tokio::task::coop::poll_proceed(context));
                    let received = ready!(this.receiver.poll_receive(&mut this.batch, context));
                    budget.made_progress();
                    if let Err(error) = received {
                        this.over = Some(Over::Failed);
                        return Poll::Ready(Some(Err(error)));
                    }
                }
            }
        }
        Poll::Ready(None)
    }
}

impl fmt::Debug for LocalStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalStream").field("over", &self.over).finish_non_exhaustive()
    }
}
