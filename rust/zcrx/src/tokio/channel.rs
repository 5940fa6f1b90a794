// SPDX-License-Identifier: MIT
//! What a [`Dispatcher`](super::Dispatcher)'s thread and its streams send each other.

use std::os::fd::OwnedFd;
use std::sync::mpsc::Sender;
use std::task::{Context, Poll};

use ::tokio::sync::mpsc::UnboundedReceiver;
use ::tokio::sync::oneshot;

use crate::{Buffer, End, Error, Handle, Result, Stage, Stream, StreamOptions};

const ECANCELED: i32 = 125;

/// To the thread.
pub(super) enum Command {
    Add { socket: OwnedFd, options: StreamOptions, reply: oneshot::Sender<Result<Subscription>> },
    Remove(Stream),
    Close,
}

/// From the thread, to one stream. The queue needs no bound of its own: the area bounds it.
pub(super) enum Message {
    Data(Buffer),
    End(End),
    Error(Error),
}

/// One stream's side of the channels. Dropping it before the stream has ended removes the stream.
pub(super) struct Subscription {
    messages: UnboundedReceiver<Message>,
    stream: Stream,
    commands: Sender<Command>,
    handle: Handle,
    ended: bool,
}

impl Subscription {
    pub(super) fn new(
        messages: UnboundedReceiver<Message>,
        stream: Stream,
        commands: Sender<Command>,
        handle: Handle,
    ) -> Self {
        Self { messages, stream, commands, handle, ended: false }
    }

    pub(super) fn stream(&self) -> Stream {
        self.stream
    }

    /// The next message. The last is an end or an error; where the thread ended without either, it is the error
    /// that says so.
    pub(super) fn poll(&mut self, context: &mut Context<'_>) -> Poll<Message> {
        self.messages.poll_recv(context).map(|message| {
            let message = message.unwrap_or_else(|| Message::Error(gone()));
            self.ended = !matches!(message, Message::Data(_));
            message
        })
    }

    pub(super) fn remove(&self) {
        // An error says that the thread has ended, and with it the stream.
        if self.commands.send(Command::Remove(self.stream)).is_ok() {
            self.handle.wake();
        }
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        if !self.ended {
            self.remove();
        }
    }
}

/// The error of streams whose receiver was closed before they ended.
pub(super) fn gone() -> Error {
    Error::new(ECANCELED, Stage::Thread, "the dispatcher was dropped before the stream ended", "")
}
