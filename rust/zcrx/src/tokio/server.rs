// SPDX-License-Identifier: MIT
use std::fmt;
use std::os::fd::AsFd;
use std::panic::resume_unwind;
use std::sync::Arc;
use std::sync::mpsc::{self, Sender};
use std::thread::{self, JoinHandle};

use ::tokio::sync::watch;

use super::Connection;
use super::channel::{Command, gone};
use super::worker::{self, Failure, Work};
use crate::{Error, Group, GroupBuilder, GroupReceiver, GroupStats, Handle, Result};
use crate::{Stage, StreamOptions};

const EIO: i32 = 5;

/// A server on the receivers of a [`Group`]: each has a thread with a runtime of its own, which accepts, receives, and runs a
/// handler for each of its connections.
///
/// A handler runs on the thread of its connection's receiver, in a [`LocalSet`](::tokio::task::LocalSet) of a current-thread
/// runtime: its future need not be [`Send`], and one that blocks keeps the other connections of that receiver waiting. A
/// panic in a handler ends that handler, and with it the connection; the others go on.
///
/// Dropping it closes the receivers and waits for their threads, which blocks: handlers that are still running are dropped
/// where they wait, and their connections with them.
///
/// ```
/// use std::io::{Read, Write};
/// use std::net::{Shutdown, TcpListener, TcpStream};
///
/// use futures_util::TryStreamExt;
/// use tokio::io::AsyncWriteExt;
/// use zcrx::Group;
/// use zcrx::tokio::{Connection, Server};
///
/// /// Answers with how many bytes came.
/// async fn count(connection: Connection) -> std::io::Result<()> {
///     let (mut stream, mut socket) = connection.split()?;
///     let mut bytes = 0;
///     while let Some(buffer) = stream.try_next().await? {
///         bytes += buffer.len();
///     }
///     socket.write_all(bytes.to_string().as_bytes()).await
/// }
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let server = Server::spawn(Group::builder().count(2), async |connection| {
///     if let Err(error) = count(connection).await {
///         eprintln!("{error}");
///     }
/// })?;
/// let listener = TcpListener::bind("127.0.0.1:0")?;
/// server.listen(&listener)?;
///
/// let mut peer = TcpStream::connect(listener.local_addr()?)?;
/// peer.write_all(b"hello")?;
/// peer.shutdown(Shutdown::Write)?;
/// let mut answer = String::new();
/// peer.read_to_string(&mut answer)?;
/// assert_eq!(answer, "5");
/// server.close()?;
/// # Ok(())
/// # }
/// ```
pub struct Server {
    group: Group,
    workers: Vec<Worker>,
    failure: watch::Receiver<Option<Error>>,
}

/// A thread of a server, from here.
struct Worker {
    commands: Sender<Command>,
    handle: Handle,
    thread: Option<JoinHandle<Result<()>>>,
}

impl Server {
    /// Open a group, and start the thread of each of its receivers. Connections come after [`listen`](Self::listen).
    ///
    /// Errors are those of [`GroupBuilder::open`], or what starting threads and their runtimes gives: then all have ended.
    pub fn spawn<F>(builder: GroupBuilder, handler: F) -> Result<Self>
    where
        F: AsyncFn(Connection) + Send + Sync + 'static,
    {
        let patience = builder.patience();
        let (group, receivers) = builder.open()?;
        let (failed, failure) = watch::channel(None);
        let (failed, handler) = (Failure::new(failed), Arc::new(handler));
        let (ready, started) = mpsc::channel();
        let mut server = Self { group, workers: Vec::new(), failure };
        for receiver in receivers {
            let (commands, inbox) = mpsc::channel();
            let work = Work {
                commands: commands.clone(),
                inbox,
                handler: handler.clone(),
                patience,
                failed: failed.clone(),
            };
            server.workers.push(Worker::spawn(receiver, commands, work, ready.clone())?);
        }
        drop(ready);
        for _ in &server.workers {
            started.recv().map_err(|_| gone())??;
        }
        Ok(server)
    }

    /// Accept the connections of a listening TCP socket, as [`Group::listen`] does. Any thread; does not block.
    pub fn listen(&self, listener: impl AsFd) -> Result<()> {
        self.group.listen(listener)
    }

    /// As [`listen`](Self::listen), with options of the connections' streams.
    pub fn listen_with(&self, listener: impl AsFd, options: StreamOptions) -> Result<()> {
        self.group.listen_with(listener, options)
    }

    /// The counters of the group and its receivers.
    pub fn stats(&self) -> GroupStats {
        self.group.stats()
    }

    /// Wait until something of the server has failed, and say what: a listening socket, which is then no longer listened on,
    /// or a receiver, whose connections end by this error. The others go on. What failed first is told, each time.
    pub async fn failure(&self) -> Error {
        let mut failure = self.failure.clone();
        match failure.wait_for(Option::is_some).await {
            Ok(error) => error.clone().unwrap_or_else(gone),
            Err(_) => gone(), // every thread has ended: each would have said why
        }
    }

    /// Close it, as dropping it does, and tell if the kernel does not let go of a NIC's queue, as [`Receiver::close`] does.
    ///
    /// # Panics
    ///
    /// If one of its threads has. Those of handlers do not count.
    ///
    /// [`Receiver::close`]: crate::Receiver::close
    pub fn close(mut self) -> Result<()> {
        let mut result = Ok(());
        for ended in self.stop() {
            let ended = ended.unwrap_or_else(|panic| resume_unwind(panic));
            result = result.and(ended);
        }
        result
    }

    /// All at once, then wait for each.
    fn stop(&mut self) -> Vec<thread::Result<Result<()>>> {
        for worker in &self.workers {
            // An error says that the thread has ended already.
            let _ = worker.commands.send(Command::Close);
            worker.handle.wake();
        }
        let threads = self.workers.drain(..).filter_map(|mut worker| worker.thread.take());
        threads.map(JoinHandle::join).collect()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // What it could tell, `close` does.
        drop(self.stop());
    }
}

impl Worker {
    fn spawn<F>(
        receiver: GroupReceiver,
        commands: Sender<Command>,
        work: Work<F>,
        ready: Sender<Result<()>>,
    ) -> Result<Self>
    where
        F: AsyncFn(Connection) + Send + Sync + 'static,
    {
        let handle = receiver.handle();
        let name = format!("zcrx-{}", receiver.index());
        let thread = thread::Builder::new().name(name);
        let thread =
            thread.spawn(move || worker::run(receiver, work, &ready)).map_err(|error| {
                let errno = error.raw_os_error().unwrap_or(EIO);
                Error::new(errno, Stage::Thread, "cannot start the thread of a receiver", "")
            })?;
        Ok(Self { commands, handle, thread: Some(thread) })
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("group", &self.group).finish_non_exhaustive()
    }
}
