// SPDX-License-Identifier: MIT
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_core::Stream;

use super::channel::{Message, Subscription};
use crate::event::Over;
use crate::{Buffer, End, Result};

/// The buffers of one socket, on any thread: made by [`Dispatcher::add`](super::Dispatcher::add) or by
/// [`Connection::split`](super::Connection::split).
///
/// It ends with `None` only when the socket has ended: if dispatcher or server are dropped before, with an error. Dropping it
/// before its end removes the socket from the receiver and lets it go at once; what was received by then is lost.
///
/// Who keeps all of its buffers and waits for more, as `collect` does with more than its window, gets an error that says so
/// ([`Builder::window_timeout`](crate::Builder::window_timeout)); that error is not its end.
pub struct BufferStream {
    subscription: Subscription,
    over: Option<Over>,
}

impl BufferStream {
    pub(super) fn new(subscription: Subscription) -> Self {
        Self { subscription, over: None }
    }

    /// Its handle, which carries the tag.
    pub fn stream(&self) -> crate::Stream {
        self.subscription.stream()
    }

    /// How it ended, once it has returned `None`; `None` after an error.
    pub fn end(&self) -> Option<End> {
        Over::end(self.over)
    }

    /// Remove the socket: the buffers that were received by now still come, then `None` with [`End::Removed`]. The rest
    /// of the data stays in the socket.
    pub fn remove(&self) {
        self.subscription.remove();
    }
}

impl Stream for BufferStream {
    type Item = Result<Buffer>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.over.is_some() {
            return Poll::Ready(None);
        }
        let (over, item) = match ready!(self.subscription.poll(context)) {
            Message::Data(buffer) => (None, Some(Ok(buffer))),
            Message::Last(Ok(end)) => (Some(Over::End(end)), None),
            Message::Last(Err(error)) => (Some(Over::Failed), Some(Err(error))),
            Message::Held(error) => (None, Some(Err(error))),
        };
        self.over = over;
        Poll::Ready(item)
    }
}

impl fmt::Debug for BufferStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BufferStream")
            .field("stream", &self.stream())
            .field("over", &self.over)
            .finish_non_exhaustive()
    }
}
