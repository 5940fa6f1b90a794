// SPDX-License-Identifier: MIT
use std::collections::HashMap;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::mpsc::{self, Sender, TryRecvError};
use std::thread::{self, JoinHandle};

use ::tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use ::tokio::sync::oneshot;

use super::BufferStream;
use super::channel::{Command, Message, Subscription, gone};
use crate::{Builder, Error, Event, Handle, Receiver, Result, Stage, Stats, Stream, StreamOptions};

const EIO: i32 = 5;

/// A receiver on a thread of its own, for programs whose tasks run on many: each socket becomes a
/// [`BufferStream`] that may go anywhere.
///
/// All of them share one area: buffers that one stream keeps are not available to the others.
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
        let owner = move || match builder.open() {
            Ok(receiver) => {
                let _ = opened.send(Ok(receiver.handle()));
                Owner { receiver, commands: own_commands, streams: HashMap::new() }.run(&inbox);
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
    streams: HashMap<Stream, UnboundedSender<Message>>,
}

impl Owner {
    fn run(mut self, inbox: &mpsc::Receiver<Command>) {
        loop {
            loop {
                match inbox.try_recv() {
                    Ok(Command::Add { socket, options, reply }) => {
                        // If the caller has dropped its future, the reply is dropped, which removes the stream.
                        let _ = reply.send(self.add(socket, options));
                    }
                    // An error says that the stream has ended already.
                    Ok(Command::Remove(stream)) => drop(self.receiver.remove(stream)),
                    Ok(Command::Close) | Err(TryRecvError::Disconnected) => return,
                    Err(TryRecvError::Empty) => break,
                }
            }
            match self.receiver.receive(None) {
                Ok(events) => {
                    for event in events {
                        dispatch(&mut self.streams, event);
                    }
                }
                Err(error) => return self.fail(&error),
            };
        }
    }

    fn add(&mut self, socket: OwnedFd, options: StreamOptions) -> Result<Subscription> {
        let stream = self.receiver.add_with(socket, options)?;
        let (sender, messages) = unbounded_channel();
        self.streams.insert(stream, sender);
        let (commands, handle) = (self.commands.clone(), self.receiver.handle());
        Ok(Subscription::new(messages, stream, commands, handle))
    }

    fn fail(&self, error: &Error) {
        for sender in self.streams.values() {
            let _ = sender.send(Message::Error(error.clone()));
        }
    }
}

/// A stream that was dropped takes no more messages: its buffers go back at once, until its end comes.
fn dispatch(streams: &mut HashMap<Stream, UnboundedSender<Message>>, event: Event) {
    let stream = event.stream();
    let message = match event {
        Event::Data { buffer, .. } => {
            if let Some(sender) = streams.get(&stream) {
                let _ = sender.send(Message::Data(buffer));
            }
            return;
        }
        Event::End { end, .. } => Message::End(end),
        Event::Error { error, .. } => Message::Error(error),
    };
    if let Some(sender) = streams.remove(&stream) {
        let _ = sender.send(message);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Engine;

    #[test]
    fn a_failure_is_told_to_each_stream_with_what_to_do() {
        let receiver = Receiver::builder().engine(Engine::Recv).open().expect("opened");
        let (commands, _inbox) = mpsc::channel();
        let (sender, mut messages) = unbounded_channel();
        let stream = Stream { handle: 1, tag: 0, receiver: 1 };
        let owner = Owner { receiver, commands, streams: HashMap::from([(stream, sender)]) };
        owner.fail(&Error::new(EIO, Stage::Receive, "it broke", "mend it"));
        match messages.try_recv() {
            Ok(Message::Error(error)) => {
                assert_eq!((error.message(), error.hint()), ("it broke", Some("mend it")));
            }
            _ => panic!("told nothing"),
        }
    }
}
