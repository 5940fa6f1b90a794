// SPDX-License-Identifier: MIT
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_core::Stream;

use super::AsyncReceiver;
use crate::batch::Batch;
use crate::{Buffer, Event, Receiver, Result};

/// The buffers of one socket, on the thread of its runtime: made by [`AsyncReceiver::into_stream`].
///
/// ```
/// # use std::{io::Write, net::{TcpListener, TcpStream}};
/// use futures_util::TryStreamExt;
/// use zcrx::Receiver;
/// use zcrx::tokio::AsyncReceiver;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let listener = TcpListener::bind("127.0.0.1:0")?;
/// # TcpStream::connect(listener.local_addr()?)?.write_all(b"hello")?;
/// # let socket = listener.accept()?.0;
/// # let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
/// # runtime.block_on(async {
/// let mut stream = AsyncReceiver::new(Receiver::open()?)?.into_stream(&socket)?;
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
    ended: bool,
}

impl LocalStream {
    pub(super) fn new(receiver: AsyncReceiver, stream: crate::Stream) -> Self {
        Self { batch: receiver.new_batch(), receiver, stream, ended: false }
    }

    /// The receiver, for its counters and the like. What other sockets that are added to it receive is dropped.
    pub fn receiver(&self) -> &Receiver {
        &self.receiver
    }
}

impl Stream for LocalStream {
    type Item = Result<Buffer>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        while !this.ended {
            match this.batch.pop(this.receiver.number()) {
                Some(event) if event.stream() != this.stream => {}
                Some(Event::Data { buffer, .. }) => return Poll::Ready(Some(Ok(buffer))),
                Some(Event::End { .. }) => this.ended = true,
                Some(Event::Error { error, .. }) => {
                    this.ended = true;
                    return Poll::Ready(Some(Err(error)));
                }
                None => {
                    let budget = ready!(::tokio::task::coop::poll_proceed(context));
                    let received = ready!(this.receiver.poll_receive(&mut this.batch, context));
                    budget.made_progress();
                    if let Err(error) = received {
                        this.ended = true;
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
        f.debug_struct("LocalStream").field("ended", &self.ended).finish_non_exhaustive()
    }
}
