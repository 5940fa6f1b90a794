// SPDX-License-Identifier: MIT
use std::fmt;
use std::os::fd::AsFd;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_core::Stream;

use super::AsyncReceiver;
use super::timer::Timer;
use crate::batch::Batch;
use crate::event::Over;
use crate::watch::Watch;
use crate::{Buffer, Builder, End, Error, Event, Info, Result, Stats, StreamOptions};

/// The buffers of one socket, received on the thread of the runtime. Its receiver is its own: no other socket can be
/// added, whose events would be lost here. ([`AsyncReceiver::receive`] gives the events of many.) Dropping it removes the
/// socket.
///
/// Who keeps all of its buffers and waits for more, as `collect` does with more than the area, gets an error that says so
/// ([`Builder::window_timeout`]); that error is not its end.
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
    watch: Watch,
    /// For the watch, once it was needed.
    timer: Option<Timer>,
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
        let watch = Watch::alone(builder.patience());
        let receiver = AsyncReceiver::new(builder.open()?)?;
        let stream = receiver.add_with(socket, options)?;
        let batch = receiver.new_batch();
        Ok(Self { batch, receiver, stream, over: None, watch, timer: None })
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

    /// There is nothing to receive: wait on, or say that there cannot be.
    fn poll_stuck(&mut self, context: &mut Context<'_>) -> Poll<Error> {
        if let Err(error) = self.watch.look(&self.receiver, self.stream) {
            return Poll::Ready(error);
        }
        let Some(period) = self.watch.period().filter(|_| self.watch.is_alarmed()) else {
            return Poll::Pending;
        };
        let Some(timer) = self.timer.take().or_else(|| Timer::start(period).ok()) else {
            return Poll::Pending; // out of descriptors: nothing tells
        };
        while timer.poll_expired(context).is_ready() {
            timer.set(period);
        }
        self.timer = Some(timer);
        Poll::Pending
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
                // Only in a group, which this receiver is not in.
                Some(Event::Added { .. } | Event::Refused { .. }) => {}
                None => {
                    let budget = ready!(::tokio::task::coop::poll_proceed(context));
                    let received = this.receiver.poll_receive(&mut this.batch, context);
                    let Poll::Ready(received) = received else {
                        return this.poll_stuck(context).map(|error| Some(Err(error)));
                    };
                    budget.made_progress();
                    this.watch.forget();
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
