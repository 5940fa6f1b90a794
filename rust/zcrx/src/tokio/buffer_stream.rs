// SPDX-License-Identifier: MIT
use std::fmt;
use std::pin::Pin;
use std::sync::mpsc::Sender;
use std::task::{Context, Poll, ready};

use ::tokio::sync::mpsc::UnboundedReceiver;
use futures_core::Stream;

use super::dispatcher::{Command, gone};
use crate::{Buffer, End, Error, Handle, Result};

/// What a dispatcher's thread tells a stream. The queue needs no bound of its own: the area bounds it.
pub(super) enum Message {
    Data(Buffer),
    End(End),
    Error(Error),
}

/// Nothing comes any more.
#[derive(Debug)]
pub(super) enum Over {
    End(End),
    Failed,
}

/// The buffers of one socket, on any thread: made by [`Dispatcher::add`](super::Dispatcher::add).
///
/// Dropping it before its end removes the socket from the receiver; what was received by then is lost.
pub struct BufferStream {
    pub(super) messages: UnboundedReceiver<Message>,
    pub(super) stream: crate::Stream,
    pub(super) commands: Sender<Command>,
    pub(super) handle: Handle,
    pub(super) over: Option<Over>,
}

impl BufferStream {
    /// Its handle, which carries the tag.
    pub fn stream(&self) -> crate::Stream {
        self.stream
    }

    /// How it ended, after the `None` that says that it has.
    pub fn end(&self) -> Option<End> {
        match self.over {
            Some(Over::End(end)) => Some(end),
            _ => None,
        }
    }
}

impl Stream for BufferStream {
    type Item = Result<Buffer>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.over.is_some() {
            return Poll::Ready(None);
        }
        let (over, item) = match ready!(self.messages.poll_recv(context)) {
            Some(Message::Data(buffer)) => (None, Some(Ok(buffer))),
            Some(Message::End(end)) => (Some(Over::End(end)), None),
            Some(Message::Error(error)) => (Some(Over::Failed), Some(Err(error))),
            None => (Some(Over::Failed), Some(Err(gone()))),
        };
        self.over = over;
        Poll::Ready(item)
    }
}

impl Drop for BufferStream {
    fn drop(&mut self) {
        if self.over.is_none() && self.commands.send(Command::Remove(self.stream)).is_ok() {
            self.handle.wake();
        }
    }
}

impl fmt::Debug for BufferStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BufferStream")
            .field("stream", &self.stream)
            .field("over", &self.over)
            .finish_non_exhaustive()
    }
}
