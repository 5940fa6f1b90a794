// SPDX-License-Identifier: MIT
//! The streams of one receiver, each with a consumer elsewhere: what its thread, or its task, hands them.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::mpsc::{self, Sender, TryRecvError};
use std::time::Duration;

use super::channel::{Command, Queue, Subscription, gone};
use crate::watch::{Watch, period};
use crate::{Buffer, End, Error, Event, Receiver, Result, Stream};

pub(super) struct Streams {
    /// For the streams, which send their own removal.
    commands: Sender<Command>,
    served: HashMap<Stream, Served>,
    /// Buffers of one stream on their way to it; empty between batches.
    row: Vec<Buffer>,
    row_of: Option<Stream>,
    patience: Duration,
}

/// A stream that has not ended.
struct Served {
    queue: Arc<Queue>,
    watch: Watch,
}

impl Streams {
    pub(super) fn new(commands: Sender<Command>, patience: Duration) -> Self {
        Self { commands, served: HashMap::new(), row: Vec::new(), row_of: None, patience }
    }

    /// Serve a stream that the receiver has just got.
    pub(super) fn begin(&mut self, receiver: &Receiver, stream: Stream) -> Subscription {
        let queue = Arc::new(Queue::default());
        let watch = Watch::of_many(self.patience);
        self.served.insert(stream, Served { queue: queue.clone(), watch });
        Subscription::new(queue, stream, self.commands.clone(), receiver.handle())
    }

    /// Do what was asked; false: close.
    pub(super) fn obey(&mut self, receiver: &Receiver, inbox: &mpsc::Receiver<Command>) -> bool {
        loop {
            match inbox.try_recv() {
                Ok(Command::Add { socket, options, reply }) => {
                    let added = receiver.add_with(socket, options);
                    // If the caller has dropped its future, the reply is dropped, which removes the stream.
                    let _ = reply.send(added.map(|stream| self.begin(receiver, stream)));
                }
                // An error says that the stream has ended already.
                Ok(Command::Remove(stream)) => drop(receiver.remove(stream)),
                Ok(Command::Close) | Err(TryRecvError::Disconnected) => return false,
                Err(TryRecvError::Empty) => return true,
            }
        }
    }

    /// Hand an event of a stream over. Buffers of one stream that follow each other go at once: [`flush`](Self::flush) after
    /// the last event of a batch. Those of a stream that was dropped go back, until its end comes.
    pub(super) fn put(&mut self, event: Event) {
        match event {
            Event::Data { stream, buffer } => {
                if self.row_of != Some(stream) {
                    self.flush();
                    self.row_of = Some(stream);
                }
                self.row.push(buffer);
            }
            Event::End { stream, end } => self.finish(stream, Ok(end)),
            Event::Error { stream, error } => self.finish(stream, Err(error)),
            // What a group brings is begun by whoever receives it.
            Event::Added { .. } | Event::Refused { .. } => {}
        }
    }

    pub(super) fn flush(&mut self) {
        if let Some(served) = self.row_of.take().and_then(|stream| self.served.get(&stream)) {
            served.queue.deliver(&mut self.row);
        }
        Buffer::release_all(&mut self.row);
    }

    fn finish(&mut self, stream: Stream, last: Result<End>) {
        self.flush();
        if let Some(served) = self.served.remove(&stream) {
            served.queue.finish(last);
        }
    }

    /// Whether it is worth another look after a [`period`](Self::period): some stream rests.
    pub(super) fn look_for_stuck_consumers(&mut self, receiver: &Receiver) -> bool {
        if !some_rest(receiver) {
            return false;
        }
        for (stream, served) in &mut self.served {
            if !served.queue.is_awaited() {
                served.watch.forget();
            } else if let Err(error) = served.watch.look(receiver, *stream) {
                served.queue.tell(error);
            }
        }
        true
    }

    /// How often to look for consumers that are stuck; `None`: never.
    pub(super) fn period(&self) -> Option<Duration> {
        period(self.patience)
    }

    pub(super) fn fail(&self, error: &Error) {
        for served in self.served.values() {
            served.queue.finish(Err(error.clone()));
        }
    }
}

/// Whether there are streams that could be stuck.
pub(super) fn some_rest(receiver: &Receiver) -> bool {
    let stats = receiver.stats();
    stats.paused > 0 || stats.parked > 0
}

impl Drop for Streams {
    /// No stream waits for a receiver that is closed, however that came about.
    fn drop(&mut self) {
        self.fail(&gone());
    }
}

#[cfg(test)]
mod tests {
    use std::task::{Context, Poll, Waker};

    use super::super::channel::Message;
    use super::*;
    use crate::{Engine, Stage};

    const EIO: i32 = 5;

    #[test]
    fn a_failure_is_told_to_each_stream_with_what_to_do() {
        let receiver = Receiver::builder().engine(Engine::Recv).open().expect("opened");
        let (commands, inbox) = mpsc::channel();
        let mut streams = Streams::new(commands, Duration::MAX);
        let stream = Stream { handle: 1, tag: 0, receiver: 1 };
        let mut subscription = streams.begin(&receiver, stream);
        streams.fail(&Error::new(EIO, Stage::Receive, "it broke", "mend it"));
        drop(streams);
        match subscription.poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(Message::Last(Err(error))) => {
                assert_eq!((error.message(), error.hint()), ("it broke", Some("mend it")));
            }
            _ => panic!("told nothing"),
        }
        drop(subscription);
        assert!(inbox.try_recv().is_err(), "what has ended is not removed");
    }
}
