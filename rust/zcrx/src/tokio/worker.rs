// SPDX-License-Identifier: MIT
//! The thread of one receiver of a [`Server`](super::Server): it receives, and runs the handlers of its connections.

use std::future::poll_fn;
use std::io;
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::mpsc::{Receiver as Inbox, Sender};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use ::tokio::runtime::{self, Runtime};
use ::tokio::sync::watch;
use ::tokio::task::{LocalSet, coop, spawn_local};

use super::channel::Command;
use super::streams::{Streams, some_rest};
use super::timer::Timer;
use super::{AsyncReceiver, BufferStream, Connection};
use crate::batch::Batch;
use crate::{Error, Event, GroupReceiver, Receiver, RefusedSocket, Result, Stage, Stream};

const EIO: i32 = 5;

/// What a thread is to do, and by whom it is told.
pub(super) struct Work<F> {
    /// For the streams, which send their own removal.
    pub(super) commands: Sender<Command>,
    pub(super) inbox: Inbox<Command>,
    pub(super) handler: Arc<F>,
    pub(super) patience: Duration,
    pub(super) failed: Failure,
}

/// Where the first failure of a server is kept.
#[derive(Clone)]
pub(super) struct Failure(Arc<watch::Sender<Option<Error>>>);

impl Failure {
    pub(super) fn new(sender: watch::Sender<Option<Error>>) -> Self {
        Self(Arc::new(sender))
    }

    fn tell(&self, error: Error) {
        self.0.send_if_modified(|first| {
            let news = first.is_none();
            first.get_or_insert(error);
            news
        });
    }
}

/// Run the thread: say by `ready` whether it could start, then serve until it is told to close, or the receiver fails. Returns
/// what closing the receiver gave.
pub(super) fn run<F>(
    receiver: GroupReceiver,
    work: Work<F>,
    ready: &Sender<Result<()>>,
) -> Result<()>
where
    F: AsyncFn(Connection) + 'static,
{
    let (runtime, mut worker) = match start(receiver, work) {
        Ok(started) => started,
        Err(error) => {
            // An error says that another thread could not start, and nobody asks any more.
            let _ = ready.send(Err(error));
            return Ok(());
        }
    };
    let _ = ready.send(Ok(()));
    let handlers = LocalSet::new();
    let served = handlers.block_on(&runtime, poll_fn(|context| worker.poll(context)));
    if let Err(error) = served {
        worker.streams.fail(&error);
        worker.failed.tell(error);
    }
    let receiver = worker.into_receiver();
    // Handlers, and what they have spawned, give back the buffers that they hold: else the receiver could not close at once.
    drop(handlers);
    drop(runtime);
    receiver.close()
}

fn start<F>(receiver: GroupReceiver, work: Work<F>) -> Result<(Runtime, Worker<F>)> {
    let io = |error: io::Error| {
        let errno = error.raw_os_error().unwrap_or(EIO);
        Error::new(errno, Stage::Thread, &format!("cannot start a runtime: {error}"), "")
    };
    let runtime = runtime::Builder::new_current_thread().enable_all().build().map_err(io)?;
    let inside = runtime.enter();
    let number = receiver.index();
    let receiver = AsyncReceiver::new(receiver.into_receiver())?;
    let streams = Streams::new(work.commands, work.patience);
    let timer = streams.period().map(Timer::start).transpose().map_err(io)?;
    drop(inside);
    let worker = Worker {
        batch: receiver.new_batch(),
        number,
        streams,
        inbox: work.inbox,
        handler: work.handler,
        timer,
        timed: false,
        failed: work.failed,
        receiver,
    };
    Ok((runtime, worker))
}

struct Worker<F> {
    batch: Batch,
    number: usize,
    streams: Streams,
    inbox: Inbox<Command>,
    handler: Arc<F>,
    /// When to look for consumers that are stuck; `None`: never.
    timer: Option<Timer>,
    /// It is set.
    timed: bool,
    failed: Failure,
    receiver: AsyncReceiver,
}

impl<F: AsyncFn(Connection) + 'static> Worker<F> {
    /// Receive until there is nothing more. Ready when it is told to close.
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Result<()>> {
        let mut idle = false;
        loop {
            // Once more when idle: the receive may have taken the wake of a command that came after the last look.
            if !self.streams.obey(&self.receiver, &self.inbox) {
                return Poll::Ready(Ok(()));
            }
            if idle {
                self.poll_stuck(context);
                return Poll::Pending;
            }
            let budget = ready!(coop::poll_proceed(context));
            match self.receiver.poll_receive(&mut self.batch, context) {
                Poll::Ready(received) => {
                    received?;
                    budget.made_progress();
                    self.dispatch();
                }
                Poll::Pending => idle = true,
            }
        }
    }

    fn dispatch(&mut self) {
        while let Some(event) = self.batch.pop(self.receiver.number()) {
            match event {
                Event::Added { stream, accepted: Some(socket), copied } => {
                    self.handle(stream, socket, copied);
                }
                Event::Refused { error, socket: RefusedSocket::Listening, .. } => {
                    self.failed.tell(error);
                }
                Event::Refused { .. } => {} // GroupStats::refused counts it
                event => self.streams.put(event),
            }
        }
        self.streams.flush();
    }

    fn handle(&mut self, stream: Stream, socket: TcpStream, copied: bool) {
        let stream = BufferStream::new(self.streams.begin(&self.receiver, stream));
        let connection = Connection::new(stream, socket, self.number, copied);
        let handler = self.handler.clone();
        spawn_local(async move { handler(connection).await });
    }

    /// While streams rest, look now and then whether their consumers wait in vain.
    fn poll_stuck(&mut self, context: &mut Context<'_>) {
        let Some((timer, period)) = self.timer.as_ref().zip(self.streams.period()) else { return };
        if !self.timed && !some_rest(&self.receiver) {
            return;
        }
        if !self.timed {
            timer.set(period);
            self.timed = true;
        }
        while timer.poll_expired(context).is_ready() {
            self.timed = self.streams.look_for_stuck_consumers(&self.receiver);
            if !self.timed {
                return;
            }
            timer.set(period);
        }
    }
}

impl<F> Worker<F> {
    /// Streams end by it: some may be on other threads.
    fn into_receiver(self) -> Receiver {
        drop((self.streams, self.batch));
        self.receiver.into_inner()
    }
}
