// SPDX-License-Identifier: MIT
//! What a [`Dispatcher`](super::Dispatcher)'s thread and its streams send each other.

use std::collections::VecDeque;
use std::mem;
use std::os::fd::OwnedFd;
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};

use ::tokio::sync::oneshot;
use ::tokio::task::coop;

use crate::{Buffer, End, Error, Handle, Result, Stage, Stream, StreamOptions};

const ECANCELED: i32 = 125;

/// To the thread.
pub(super) enum Command {
    Add { socket: OwnedFd, options: StreamOptions, reply: oneshot::Sender<Result<Subscription>> },
    Remove(Stream),
    Close,
}

/// What a stream gives.
pub(super) enum Message {
    Data(Buffer),
    /// It is over.
    Last(Result<End>),
    /// It is not over, but its consumer holds all that it may.
    Held(Error),
}

/// What lies between the thread and one stream. It needs no bound of its own: what is in it counts as held by the
/// stream, which rests at its window.
#[derive(Default)]
pub(super) struct Queue(Mutex<Contents>);

#[derive(Default)]
struct Contents {
    buffers: VecDeque<Buffer>,
    /// Comes after the buffers.
    last: Option<Result<End>>,
    held: Option<Error>,
    /// Of the task that waits; there is nothing else in the queue then.
    waker: Option<Waker>,
    /// Nobody takes anything out any more.
    abandoned: bool,
}

impl Queue {
    fn contents(&self) -> MutexGuard<'_, Contents> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Put these in, and leave the vector empty. Where nobody takes them they are released.
    pub(super) fn deliver(&self, buffers: &mut Vec<Buffer>) {
        self.put(|contents| {
            contents.buffers.extend(buffers.drain(..));
            contents.held = None;
        });
        Buffer::release_all(buffers);
    }

    /// Say that the stream is over. The first that is said holds.
    pub(super) fn finish(&self, last: Result<End>) {
        self.put(|contents| contents.last = contents.last.take().or(Some(last)));
    }

    /// Say that its consumer waits in vain.
    pub(super) fn tell(&self, held: Error) {
        self.put(|contents| contents.held = Some(held));
    }

    fn put(&self, change: impl FnOnce(&mut Contents)) {
        let waker = {
            let mut contents = self.contents();
            if contents.abandoned {
                return;
            }
            change(&mut contents);
            contents.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Whether its consumer has taken all that was in it, and asked for more.
    pub(super) fn is_awaited(&self) -> bool {
        self.contents().waker.is_some()
    }

    fn abandon(&self) {
        let mut contents = self.contents();
        contents.abandoned = true;
        contents.waker = None;
        let buffers = mem::take(&mut contents.buffers);
        drop(contents);
        drop(buffers); // not under the lock, for which the thread would wait
    }
}

/// One stream's side. Dropping it before the stream has ended removes the stream.
pub(super) struct Subscription {
    queue: Arc<Queue>,
    /// Taken out of the queue, all at once.
    taken: VecDeque<Buffer>,
    stream: Stream,
    commands: Sender<Command>,
    handle: Handle,
    ended: bool,
}

impl Subscription {
    pub(super) fn new(
        queue: Arc<Queue>,
        stream: Stream,
        commands: Sender<Command>,
        handle: Handle,
    ) -> Self {
        Self { queue, taken: VecDeque::new(), stream, commands, handle, ended: false }
    }

    pub(super) fn stream(&self) -> Stream {
        self.stream
    }

    #[cfg(test)]
    pub(super) fn queue(&self) -> Arc<Queue> {
        self.queue.clone()
    }

    /// The next message. After the last there is none.
    pub(super) fn poll(&mut self, context: &mut Context<'_>) -> Poll<Message> {
        let budget = ready!(coop::poll_proceed(context)); // else a fast sender would keep other tasks from running
        if let Some(buffer) = self.taken.pop_front() {
            budget.made_progress();
            return Poll::Ready(Message::Data(buffer));
        }
        let mut contents = self.queue.contents();
        mem::swap(&mut self.taken, &mut contents.buffers);
        let message = if let Some(buffer) = self.taken.pop_front() {
            Message::Data(buffer)
        } else if let Some(last) = contents.last.take() {
            self.ended = true;
            Message::Last(last)
        } else if let Some(held) = contents.held.take() {
            Message::Held(held)
        } else {
            contents.waker = Some(context.waker().clone());
            return Poll::Pending;
        };
        budget.made_progress();
        Poll::Ready(message)
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
        self.queue.abandon();
        if !self.ended {
            self.remove();
        }
    }
}

/// The error of streams whose receiver was closed before they ended.
pub(super) fn gone() -> Error {
    Error::new(ECANCELED, Stage::Thread, "the receiver was closed before the stream ended", "")
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::net::{TcpListener, TcpStream};
    use std::sync::mpsc;
    use std::time::Duration;

    use super::*;
    use crate::{Engine, Event, Receiver};

    /// A receiver with one stream, and a subscription to it that nothing feeds yet.
    fn subscribed() -> (Receiver, TcpStream, Subscription, mpsc::Receiver<Command>) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("bound");
        let peer = TcpStream::connect(address).expect("it listens");
        let receiver = Receiver::builder().engine(Engine::Recv).open().expect("opened");
        let stream = receiver.add(listener.accept().expect("connected").0).expect("added");
        let (commands, inbox) = mpsc::channel();
        let handle = receiver.handle();
        let subscription = Subscription::new(Arc::default(), stream, commands, handle);
        (receiver, peer, subscription, inbox)
    }

    fn buffers(receiver: &Receiver, peer: &mut TcpStream) -> Vec<Buffer> {
        peer.write_all(b"x").expect("sent");
        let events = receiver.receive(Duration::from_secs(10)).expect("received");
        let buffer = |event| match event {
            Event::Data { buffer, .. } => buffer,
            other => panic!("{other:?}"),
        };
        events.map(buffer).collect()
    }

    fn poll(subscription: &mut Subscription) -> Poll<Message> {
        subscription.poll(&mut Context::from_waker(Waker::noop()))
    }

    #[test]
    fn who_waits_in_vain_is_told_once_and_goes_on() {
        let (receiver, mut peer, mut subscription, _inbox) = subscribed();
        let queue = subscription.queue();
        assert!(!queue.is_awaited());
        assert!(poll(&mut subscription).is_pending());
        assert!(queue.is_awaited());
        queue.tell(gone());
        assert!(matches!(poll(&mut subscription), Poll::Ready(Message::Held(_))));
        assert!(poll(&mut subscription).is_pending());
        // What is told before more comes is out of date.
        queue.tell(gone());
        queue.deliver(&mut buffers(&receiver, &mut peer));
        assert!(matches!(poll(&mut subscription), Poll::Ready(Message::Data(_))));
        assert!(poll(&mut subscription).is_pending());
    }

    #[test]
    fn the_first_end_holds_and_comes_after_the_buffers() {
        let (receiver, mut peer, mut subscription, inbox) = subscribed();
        let queue = subscription.queue();
        queue.deliver(&mut buffers(&receiver, &mut peer));
        queue.finish(Ok(End::Closed));
        queue.finish(Err(gone()));
        assert!(matches!(poll(&mut subscription), Poll::Ready(Message::Data(_))));
        assert!(matches!(poll(&mut subscription), Poll::Ready(Message::Last(Ok(End::Closed)))));
        drop(subscription);
        assert!(inbox.try_recv().is_err(), "what has ended is not removed");
    }

    #[test]
    fn what_nobody_takes_goes_back_at_once() {
        let (receiver, mut peer, subscription, inbox) = subscribed();
        let queue = subscription.queue();
        queue.deliver(&mut buffers(&receiver, &mut peer));
        assert_eq!(receiver.stats().outstanding, 1);
        drop(subscription);
        assert_eq!(receiver.stats().outstanding, 0);
        assert!(matches!(inbox.try_recv(), Ok(Command::Remove(_))));
        let mut late = buffers(&receiver, &mut peer);
        queue.deliver(&mut late);
        assert!(late.is_empty());
        assert_eq!(receiver.stats().outstanding, 0);
    }
}
