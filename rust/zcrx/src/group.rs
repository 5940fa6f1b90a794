// SPDX-License-Identifier: MIT
//! Several receivers that share the connections of a server.

use std::fmt;
use std::os::fd::{AsFd, AsRawFd};
use std::ptr;
use std::sync::Arc;

use zcrx_sys as sys;

use crate::{Builder, Error, GroupStats, Handle, Info, Receiver, Result, StreamOptions};

/// Several receivers, each with a thread of its own, that share the connections of a server: one for each of several NIC
/// queues, or several on an engine that copies.
///
/// [`GroupBuilder::open`] gives the group and a [`GroupReceiver`] for each of its receivers, which goes to its thread and
/// becomes a [`Receiver`] there. Each socket goes to the receiver at whose queue it arrives, else to the one with the fewest
/// streams; its thread learns of it by [`Event::Added`](crate::Event::Added).
///
/// A `Group` is what the threads of a program share: it can be used from any of them, and cloning it costs a reference count.
/// Dropping it closes nothing. The group lasts as long as one of its receivers: dropping a receiver makes it leave (what
/// waited for it goes to the others), and the last one that does ends the listening. From then on sockets are refused.
///
/// ```
/// use std::io::Write;
/// use std::net::{TcpListener, TcpStream};
/// use std::thread;
/// use zcrx::{Event, Group, GroupReceiver};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let listener = TcpListener::bind("127.0.0.1:0")?;
/// let (group, receivers) = Group::builder().count(2).open()?;
/// group.listen(&listener)?;
/// let mut peer = TcpStream::connect(listener.local_addr()?)?;
/// peer.write_all(b"hello")?;
/// drop(peer);
///
/// /// Receives until a connection has ended, or somebody wakes it.
/// fn serve(receiver: GroupReceiver, group: Group) -> zcrx::Result<usize> {
///     let rx = receiver.into_receiver();
///     let mut bytes = 0;
///     loop {
///         let events = rx.receive(None)?;
///         if events.is_empty() {
///             return Ok(bytes);
///         }
///         for event in events {
///             match event {
///                 Event::Added { stream, accepted: Some(socket), .. } => drop((stream, socket)),
///                 Event::Data { buffer, .. } => bytes += buffer.len(),
///                 Event::End { .. } => group.wake(), // all threads; this one, too
///                 other => panic!("{other:?}"),
///             }
///         }
///     }
/// }
///
/// let threads = receivers.into_iter().map(|receiver| {
///     let group = group.clone();
///     thread::spawn(move || serve(receiver, group))
/// });
/// let mut bytes = 0;
/// for thread in threads.collect::<Vec<_>>() {
///     bytes += thread.join().expect("no panic")?;
/// }
/// assert_eq!(bytes, 5);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Group {
    raw: Arc<RawGroup>,
    /// Of its receivers, the closed ones too.
    handles: Arc<[Handle]>,
}

/// A group of the core, which is open as long as this lives.
pub(crate) struct RawGroup(*mut sys::zrx_group);

// SAFETY: through it only calls are made that the core allows on any thread. The last one that has it closes the group, on
// whichever thread; each of its receivers has it, and so they are closed by then.
unsafe impl Send for RawGroup {}
// SAFETY: as above.
unsafe impl Sync for RawGroup {}

impl Drop for RawGroup {
    fn drop(&mut self) {
        // SAFETY: nobody has the group any more, and its receivers are closed: nothing but its memory is left.
        let code = unsafe { sys::zrx_group_close(self.0) };
        debug_assert_eq!(code, 0);
    }
}

impl Group {
    /// Choose how to open one.
    pub fn builder() -> GroupBuilder {
        GroupBuilder::default()
    }

    /// Hand a connected TCP socket over to one of the receivers. Any thread; does not block.
    ///
    /// That receiver's thread adds it when it next receives, and is told so by [`Event::Added`](crate::Event::Added), or by
    /// [`Event::Refused`](crate::Event::Refused) if it could not be. The socket stays the program's, as with
    /// [`Receiver::add`].
    ///
    /// Errors are those of [`Receiver::add`] that can be told before the socket is added; ENOBUFS if the receiver that it
    /// belongs to has [`GroupBuilder::inbox_entries`] sockets waiting, as its thread does not receive; and ESHUTDOWN if every
    /// receiver is closed.
    pub fn add(&self, socket: impl AsFd) -> Result<()> {
        self.add_with(socket, StreamOptions::new())
    }

    /// As [`add`](Self::add), with options. By [`StreamOptions::tag`] the receiver's thread knows which socket it is.
    pub fn add_with(&self, socket: impl AsFd, options: StreamOptions) -> Result<()> {
        self.hand_over(sys::zrx_group_add, socket, options)
    }

    /// Accept the connections of a listening TCP socket, and share them out among the receivers. Any thread; does not block.
    ///
    /// The receivers' threads accept while they receive. Each connection comes by [`Event::Added`](crate::Event::Added), with
    /// the socket, or by [`Event::Refused`](crate::Event::Refused) if it could not be added. Where descriptors or memory are
    /// short, connections wait in the socket's backlog, and are accepted later ([`GroupStats::accept_retries`]).
    ///
    /// The listening socket stays the program's, which may close it at any time: it is listened on until the last receiver is
    /// closed, or it fails, which one of the receivers is told by [`Event::Refused`](crate::Event::Refused). Its file is set
    /// non-blocking, and put back in the end.
    ///
    /// A group can have 16 of them (else ENOSPC). ESHUTDOWN says that every receiver is closed.
    pub fn listen(&self, listener: impl AsFd) -> Result<()> {
        self.listen_with(listener, StreamOptions::new())
    }

    /// As [`listen`](Self::listen), with options for each of its streams. The tag is that of all of its connections.
    pub fn listen_with(&self, listener: impl AsFd, options: StreamOptions) -> Result<()> {
        self.hand_over(sys::zrx_group_listen, listener, options)
    }

    fn hand_over(&self, call: HandOver, socket: impl AsFd, options: StreamOptions) -> Result<()> {
        let mut error = sys::zrx_error::init();
        let fd = socket.as_fd().as_raw_fd();
        // SAFETY: one of two calls that may be made on any thread; the group is open, and what is passed lives until it returns.
        let code = unsafe { call(self.raw.0, fd, &options.to_raw(), &mut error) };
        if code < 0 { Err(Error::from_raw(code, &error)) } else { Ok(()) }
    }

    /// Make a receive of each of the receivers return, as [`Handle::wake`] does of one.
    pub fn wake(&self) {
        self.handles.iter().for_each(Handle::wake);
    }

    /// How many receivers it was opened with.
    pub fn count(&self) -> usize {
        self.handles.len()
    }

    /// The counters of the group, of its receivers, and their sums. Any thread; it may wait for one that is just closing a
    /// receiver.
    pub fn stats(&self) -> GroupStats {
        let mut receivers = vec![sys::zrx_stats::init(); self.count()];
        let mut sum = sys::zrx_stats::init();
        let mut raw = sys::zrx_group_stats {
            receiver_capacity: receivers.len() as u32,
            receivers: receivers.as_mut_ptr(),
            sum: &mut sum,
            ..sys::zrx_group_stats::init()
        };
        // SAFETY: open; each size is set, and there is room for all receivers: it cannot fail.
        let code = unsafe { sys::zrx_group_stats(self.raw.0, &mut raw) };
        debug_assert_eq!(code, 0);
        let receivers = receivers.iter().map(crate::Stats::from_raw).collect();
        GroupStats::from_raw(&raw, crate::Stats::from_raw(&sum), receivers)
    }
}

type HandOver = unsafe extern "C" fn(
    *mut sys::zrx_group,
    i32,
    *const sys::zrx_stream_options,
    *mut sys::zrx_error,
) -> i32;

impl fmt::Debug for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Group").field("stats", &self.stats()).finish_non_exhaustive()
    }
}

/// A receiver of a [`Group`] on its way to its thread. Dropping it closes the receiver, which so leaves the group.
///
/// ```compile_fail
/// let (_group, receivers) = zcrx::Group::builder().count(1).open().unwrap();
/// let rx = receivers.into_iter().next().unwrap().into_receiver();
/// std::thread::spawn(move || rx.receive(None).map(drop)); // not Send any more
/// ```
#[must_use = "a receiver that is dropped has left its group"]
pub struct GroupReceiver {
    receiver: Receiver,
    index: usize,
}

// SAFETY: a receiver belongs to no thread before it first receives, and this lets nobody call it so: what it offers may be
// called on any thread. Its events (the spare batch) are not there yet; the rest is pointers that any thread may have.
unsafe impl Send for GroupReceiver {}

impl GroupReceiver {
    /// The receiver, on the thread that is to receive from it.
    pub fn into_receiver(self) -> Receiver {
        self.receiver
    }

    /// Which of the group's receivers it is, from 0 on.
    pub fn index(&self) -> usize {
        self.index
    }

    /// What was opened.
    pub fn info(&self) -> Info {
        self.receiver.info()
    }

    /// A handle that wakes it and reads its counters from any thread, also once it has become a [`Receiver`].
    pub fn handle(&self) -> Handle {
        self.receiver.handle()
    }
}

impl fmt::Debug for GroupReceiver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GroupReceiver")
            .field("index", &self.index)
            .field("info", &self.info())
            .finish_non_exhaustive()
    }
}

/// Whether the threads of a group's receivers are pinned to processors, each when it first receives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Pinning {
    /// They are not.
    #[default]
    Unpinned,
    /// Each to one of its own, of the NIC's NUMA node where there is one, that does not serve the interrupt of its queue (of
    /// any of the group's, where there are enough).
    Apart,
    /// Each to the one that serves the interrupt of its queue, as it is when the group is opened; as [`Apart`](Self::Apart)
    /// where that is not told. The affinity of interrupts is not changed.
    WithQueue,
}

/// How to open a [`Group`]. Made by [`Group::builder`].
///
/// ```
/// use zcrx::{Engine, Group, Pinning, Receiver};
///
/// # fn main() -> zcrx::Result<()> {
/// let receiver = Receiver::builder().engine(Engine::Recv).area_bytes(4 << 20);
/// let (group, receivers) =
///     Group::builder().count(3).pin(Pinning::Apart).receiver(receiver).open()?;
/// assert_eq!((group.count(), receivers.len()), (3, 3));
/// assert_eq!(receivers[2].info().area_bytes, 4 << 20);
/// # Ok(())
/// # }
/// ```
#[derive(Default)]
#[must_use]
pub struct GroupBuilder {
    count: u32,
    pinning: Pinning,
    inbox_entries: u32,
    shared_queue: bool,
    busy_poll_us: Option<u32>,
    receiver: Builder,
}

impl GroupBuilder {
    /// How many receivers, at most 256. Default: as many as processors that this process may use, at most 16, and on a NIC
    /// as many of them as there are free queues.
    pub fn count(self, receivers: u32) -> Self {
        Self { count: receivers, ..self }
    }

    /// Whether threads are pinned. Default: they are not.
    pub fn pin(self, pinning: Pinning) -> Self {
        Self { pinning, ..self }
    }

    /// How many sockets may wait for the thread of a receiver, each; at most 65536. Default: 1024.
    pub fn inbox_entries(self, entries: u32) -> Self {
        Self { inbox_entries: entries, ..self }
    }

    /// Whether all receivers of engine `zcrx` take from one queue, and from one area, of which each may use an equal part:
    /// for NICs with fewer queues than threads (Linux 6.19, [`Features::SHARED_QUEUE`](crate::Features::SHARED_QUEUE)).
    /// Engines that copy have nothing to share. EINVAL with [`Pinning::WithQueue`], and with
    /// [`Builder::area_max_bytes`]. Default: each has its own.
    pub fn shared_queue(self, shared: bool) -> Self {
        Self { shared_queue: shared, ..self }
    }

    /// [`Builder::busy_poll_us`] of each receiver, whatever [`receiver`](Self::receiver) says of it.
    pub fn busy_poll_us(self, us: u32) -> Self {
        Self { busy_poll_us: Some(us), ..self }
    }

    /// How to open each of the receivers. Default: as [`Receiver::open`] does.
    ///
    /// Each has an area, a ring and, on engine `zcrx`, a queue of its own: sizes count for each, and queues are taken from
    /// [`Builder::queue`] on, if that is given. [`Steer::Port`](crate::Steer::Port) has the NIC spread the port's connections
    /// over the queues; where its driver cannot, they are led to them one by one.
    pub fn receiver(self, builder: Builder) -> Self {
        Self { receiver: builder, ..self }
    }

    /// How long a stream of the group's receivers may be stuck at its window ([`Builder::window_timeout`]).
    #[cfg(feature = "tokio")]
    pub(crate) fn patience(&self) -> std::time::Duration {
        self.receiver.patience()
    }

    /// Open the group and its receivers. Any thread; it may block for as long as the NIC takes to be set up.
    ///
    /// Errors are those of [`Builder::open`], for the first receiver that cannot be opened, which the message names. EBUSY:
    /// there are fewer free queues than [`count`](Self::count), as one is left for other traffic. EINVAL for memory of the
    /// program's own ([`Builder::area_memory`], [`Builder::area_dmabuf`]), which no two receivers can have, and for
    /// [`Builder::processor`] with several receivers. On failure nothing is left behind.
    pub fn open(self) -> Result<(Group, Vec<GroupReceiver>)> {
        let receiver = match self.busy_poll_us {
            Some(us) => self.receiver.busy_poll_us(us),
            None => self.receiver,
        };
        let opening = receiver.prepare()?;
        let pins = match self.pinning {
            Pinning::Unpinned => 0,
            Pinning::Apart => sys::ZRX_GROUP_PIN,
            Pinning::WithQueue => sys::ZRX_GROUP_PIN_QUEUE,
        };
        let options = sys::zrx_group_options {
            flags: pins | if self.shared_queue { sys::ZRX_GROUP_SHARED_QUEUE } else { 0 },
            count: self.count,
            inbox_entries: self.inbox_entries,
            receiver: &opening.options,
            ..sys::zrx_group_options::init()
        };
        let mut raw = ptr::null_mut();
        let mut error = sys::zrx_error::init();
        // SAFETY: options and what they point to live until the call returns. Memory of the program's own, which the core
        // refuses, is freed with `opening`.
        let code = unsafe { sys::zrx_group_open(&mut raw, &options, &mut error) };
        if code < 0 {
            return Err(Error::from_raw(code, &error));
        }
        let raw = Arc::new(RawGroup(raw));
        // SAFETY: open.
        let count = unsafe { sys::zrx_group_count(raw.0) };
        let receiver = |index: u32| {
            // SAFETY: none of them is closed before all have been asked for.
            let receiver = unsafe { sys::zrx_group_receiver(raw.0, index) };
            // SAFETY: open, and asked for once.
            let receiver =
                unsafe { Receiver::from_raw(receiver, opening.batch, Some(raw.clone())) };
            GroupReceiver { receiver, index: index as usize }
        };
        let receivers: Vec<GroupReceiver> = (0..count).map(receiver).collect();
        let handles = receivers.iter().map(GroupReceiver::handle).collect();
        Ok((Group { raw, handles }, receivers))
    }
}
