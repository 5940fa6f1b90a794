// SPDX-License-Identifier: MIT
use std::collections::HashMap;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::mpsc::{self, Sender, TryRecvError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use ::tokio::sync::oneshot;

use super::BufferStream;
use super::channel::{Command, Queue, Subscription, gone};
use crate::watch::{Watch, period};
use crate::{Buffer, Builder, Error, Event, Events, Handle, Receiver, Result, Stage, Stats};
use crate::{Stream, StreamOptions};

const EIO: i32 = 5;

/// A receiver on a thread of its own, for programs whose tasks run on many: each socket becomes a
/// [`BufferStream`] that may go anywhere.
///
/// All of them share one area. A stream that nobody polls, or whose buffers nobody drops, rests at its window
/// ([`StreamOptions::window_bytes`]): what comes for it stays in its socket, and its peer waits. The others go on.
///
/// Dropping it closes the receiver and waits for its thread; streams that have not ended then end with an error.
///
/// ```
/// # use std::{io::Write, net::{TcpListener, TcpStream}};
/// use futures_util::TryStreamExt;
/// use zcrx::Receiver;
/// use zcrx::tokio::Dispatcher;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let listener = TcpListener::bind("127.0.0.1:0")?;
/// # TcpStream::connect(listener.local_addr()?)?.write_all(b"hello")?;
/// # let socket = listener.accept()?.0;
/// # let runtime = tokio::runtime::Runtime::new()?;
/// # runtime.block_on(async {
/// let dispatcher = Dispatcher::spawn(Receiver::builder())?;
/// let mut stream = dispatcher.add(&socket).await?;
/// let task = tokio::spawn(async move {
///     let mut received = Vec::new();
///     while let Some(buffer) = stream.try_next().await? {
///         received.extend_from_slice(&buffer);
///     }
///     Ok::<_, zcrx::Error>(received)
/// });
/// assert_eq!(task.await.expect("no panic")?, b"hello");
/// # Ok::<(), zcrx::Error>(())
/// # })?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Dispatcher {
    commands: Sender<Command>,
    handle: Handle,
    thread: Option<JoinHandle<()>>,
}

impl Dispatcher {
    /// Open the receiver, on a new thread.
    pub fn spawn(builder: Builder) -> Result<Self> {
        let (commands, inbox) = mpsc::channel();
        let (opened, result) = mpsc::channel();
        let own_commands = commands.clone();
        let patience = builder.patience();
        let owner = move || match builder.open() {
            Ok(receiver) => {
                let _ = opened.send(Ok(receiver.handle()));
                Owner::new(receiver, own_commands, patience).run(&inbox);
            }
            Err(error) => {
                let _ = opened.send(Err(error));
            }
        };
        let thread =
            thread::Builder::new().name("zcrx".to_owned()).spawn(owner).map_err(|error| {
                let errno = error.raw_os_error().unwrap_or(EIO);
                Error::new(errno, Stage::Thread, "cannot start the receiver's thread", "")
            })?;
        let handle = result.recv().map_err(|_| gone())??;
        Ok(Self { commands, handle, thread: Some(thread) })
    }

    /// Add a connected TCP socket. It stays the caller's, who may write to it.
    pub async fn add(&self, socket: impl AsFd) -> Result<BufferStream> {
        self.add_with(socket, StreamOptions::new()).await
    }

    /// Add a connected TCP socket, with options. When the future is dropped before it is done, the socket is not
    /// added, or removed again; what was received by then is lost.
    pub async fn add_with(
        &self,
        socket: impl AsFd,
        options: StreamOptions,
    ) -> Result<BufferStream> {
        let socket = socket.as_fd().try_clone_to_owned().map_err(|error| {
            let errno = error.raw_os_error().unwrap_or(EIO);
            Error::new(errno, Stage::Socket, "cannot duplicate the socket", "")
        })?;
        let (reply, answer) = oneshot::channel();
        self.command(Command::Add { socket, options, reply })?;
        answer.await.map_err(|_| gone())?.map(BufferStream::new)
    }

    /// The receiver's counters; `None` once it has failed.
    pub fn stats(&self) -> Option<Stats> {
        self.handle.stats()
    }

    fn command(&self, command: Command) -> Result<()> {
        self.commands.send(command).map_err(|_| gone())?;
        self.handle.wake();
        Ok(())
    }
}

impl Drop for Dispatcher {
    fn drop(&mut self) {
        // An error says that the thread has ended already.
        let _ = self.command(Command::Close);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// The receiver's side, on its thread.
struct Owner {
    receiver: Receiver,
    /// For the streams, which send their own removal.
    commands: Sender<Command>,
    streams: HashMap<Stream, Served>,
    /// Buffers of one stream on their way to it; empty between batches.
    row: Vec<Buffer>,
    patience: Duration,
}

/// A stream that has not ended.
struct Served {
    queue: Arc<Queue>,
    watch: Watch,
}

impl Owner {
    fn new(receiver: Receiver, commands: Sender<Command>, patience: Duration) -> Self {
        Self { receiver, commands, streams: HashMap::new(), row: Vec::new(), patience }
    }

    fn run(mut self, inbox: &mpsc::Receiver<Command>) {
        let mut wait = None;
        while self.obey(inbox) {
            let idle = match self.receiver.receive(wait) {
                Ok(events) => {
                    let idle = events.is_empty();
                    dispatch(&mut self.streams, &mut self.row, events);
                    idle
                }
                Err(error) => return self.fail(&error),
            };
            let look_again = !idle || self.look_for_stuck_consumers();
            wait = period(self.patience).filter(|_| look_again);
        }
    }

    /// Do what was asked; false: close.
    fn obey(&mut self, inbox: &mpsc::Receiver<Command>) -> bool {
        loop {
            match inbox.try_recv() {
                Ok(Command::Add { socket, options, reply }) => {
                    // If the caller has dropped its future, the reply is dropped, which removes the stream.
                    let _ = reply.send(self.add(socket, options));
                }
                // An error says that the stream has ended already.
                Ok(Command::Remove(stream)) => drop(self.receiver.remove(stream)),
                Ok(Command::Close) | Err(TryRecvError::Disconnected) => return false,
                Err(TryRecvError::Empty) => return true,
            }
        }
    }

    fn add(&mut self, socket: OwnedFd, options: StreamOptions) -> Result<Subscription> {
        let stream = self.receiver.add_with(socket, options)?;
        let queue = Arc::new(Queue::default());
        let watch = Watch::of_many(self.patience);
        self.streams.insert(stream, Served { queue: queue.clone(), watch });
        let (commands, handle) = (self.commands.clone(), self.receiver.handle());
        Ok(Subscription::new(queue, stream, commands, handle))
    }

    /// Whether it is worth another look: some stream rests.
    fn look_for_stuck_consumers(&mut self) -> bool {
        let stats = self.receiver.stats();
        if stats.paused == 0 && stats.parked == 0 {
            return false;
        }
        for (stream, served) in &mut self.streams {
            if !served.queue.is_awaited() {
                served.watch.forget();
            } else if let Err(error) = served.watch.look(&self.receiver, *stream) {
                served.queue.tell(error);
            }
        }
        true
    }

    fn fail(&self, error: &Error) {
        for served in self.streams.values() {
            served.queue.finish(Err(error.clone()));
        }
    }
}

impl Drop for Owner {
    /// No stream waits for a thread that has ended, however it did.
    fn drop(&mut self) {
        self.fail(&gone());
    }
}

/// Hand the events over, those of one stream that follow each other at once. Buffers of a stream that was dropped go
/// back, until its end comes.
fn dispatch(streams: &mut HashMap<Stream, Served>, row: &mut Vec<Buffer>, events: Events<'_>) {
    let mut row_of = None;
    for event in events {
        let stream = event.stream();
        if row_of != Some(stream) {
            deliver(streams, row_of, row);
            row_of = Some(stream);
        }
        let last = match event {
            Event::Data { buffer, .. } => {
                row.push(buffer);
                continue;
            }
            Event::End { end, .. } => Ok(end),
            Event::Error { error, .. } => Err(error),
        };
        deliver(streams, row_of, row);
        if let Some(served) = streams.remove(&stream) {
            served.queue.finish(last);
        }
    }
    deliver(streams, row_of, row);
}

fn deliver(streams: &HashMap<Stream, Served>, stream: Option<Stream>, row: &mut Vec<Buffer>) {
    if let Some(served) = stream.and_then(|stream| streams.get(&stream)) {
        served.queue.deliver(row);
    }
    Buffer::release_all(row);
}

#[cfg(test)]
mod tests {
    use std::task::{Context, Poll, Waker};

    use super::super::channel::Message;
    use super::*;
    use crate::Engine;

    #[test]
    fn a_failure_is_told_to_each_stream_with_what_to_do() {
        let receiver = Receiver::builder().engine(Engine::Recv).open().expect("opened");
        let (commands, inbox) = mpsc::channel();
        let stream = Stream { handle: 1, tag: 0, receiver: 1 };
        let mut subscription =
            Subscription::new(Arc::default(), stream, commands.clone(), receiver.handle());
        let mut owner = Owner::new(receiver, commands, Duration::MAX);
        let served = Served { queue: subscription.queue(), watch: Watch::of_many(Duration::MAX) };
        owner.streams.insert(stream, served);
        owner.fail(&Error::new(EIO, Stage::Receive, "it broke", "mend it"));
        drop(owner);
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
