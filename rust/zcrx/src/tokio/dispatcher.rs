// SPDX-License-Identifier: MIT
use std::os::fd::AsFd;
use std::sync::mpsc::{self, Sender};
use std::thread::{self, JoinHandle};

use ::tokio::sync::oneshot;

use super::BufferStream;
use super::channel::{Command, gone};
use super::streams::Streams;
use crate::{Builder, Error, Handle, Receiver, Result, Stage, Stats, StreamOptions};

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
                run(receiver, Streams::new(own_commands, patience), &inbox);
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
fn run(receiver: Receiver, mut streams: Streams, inbox: &mpsc::Receiver<Command>) {
    let mut wait = None;
    while streams.obey(&receiver, inbox) {
        let idle = match receiver.receive(wait) {
            Ok(events) => {
                let idle = events.is_empty();
                events.for_each(|event| streams.put(event));
                streams.flush();
                idle
            }
            Err(error) => return streams.fail(&error),
        };
        let look_again = !idle || streams.look_for_stuck_consumers(&receiver);
        wait = streams.period().filter(|_| look_again);
    }
}
