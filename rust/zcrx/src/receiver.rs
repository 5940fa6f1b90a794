// SPDX-License-Identifier: MIT
use std::cell::Cell;
use std::io::ErrorKind;
use std::marker::PhantomData;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use zcrx_sys as sys;

use crate::batch::Batch;
use crate::group::RawGroup;
use crate::handle::Shared;
use crate::{
    Builder, Error, Events, Handle, Info, Result, Stage, Stats, Stream, StreamOptions, StreamStats,
};

const ENOENT: i32 = 2;

/// One ring, one area of memory and one refill ring: receives from the sockets added to it.
///
/// It stays on the thread that opened it (those of a [`Group`](crate::Group): on the thread that
/// [took it](crate::GroupReceiver::into_receiver)); [`Buffer`](crate::Buffer)s and [`Handle`]s go anywhere.
/// Dropping it cancels its requests, closes its references to the sockets (which stay open), and restores the NIC;
/// buffers that are out stay valid.
///
/// ```
/// use std::io::Write;
/// use std::net::{TcpListener, TcpStream};
/// use zcrx::{Event, Receiver};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let listener = TcpListener::bind("127.0.0.1:0")?;
/// let mut peer = TcpStream::connect(listener.local_addr()?)?;
/// peer.write_all(b"hello")?;
/// drop(peer);
///
/// let rx = Receiver::open()?;
/// rx.add(listener.accept()?.0)?;
/// let mut received = Vec::new();
/// 'receiving: loop {
///     for event in rx.receive(None)? {
///         match event {
///             Event::Data { buffer, .. } => received.extend_from_slice(&buffer),
///             Event::End { .. } => break 'receiving,
///             Event::Error { error, .. } => return Err(error.into()),
///             _ => {} // only in a group
///         }
///     }
/// }
/// assert_eq!(received, b"hello");
/// # Ok(())
/// # }
/// ```
///
/// ```compile_fail
/// let rx = zcrx::Receiver::open().unwrap();
/// std::thread::spawn(move || rx.receive(None).map(drop)); // not Send
/// ```
/// ```compile_fail
/// let rx = zcrx::Receiver::open().unwrap();
/// std::thread::scope(|s| s.spawn(|| rx.stats()).join()); // not Sync
/// ```
/// ```compile_fail
/// let rx = zcrx::Receiver::open().unwrap();
/// let events = rx.receive(None).unwrap();
/// drop(rx); // events still borrow it
/// drop(events);
/// ```
pub struct Receiver {
    shared: Arc<Shared>,
    raw: *mut sys::zrx_receiver,
    number: u32,
    batch: usize,
    spare: Cell<Option<Batch>>,
    /// Open as long as its receivers: this field is dropped after the receiver is closed.
    group: Option<Arc<RawGroup>>,
    /// Its thread is the owner.
    thread: PhantomData<*mut ()>,
}

impl Receiver {
    /// Open one with the defaults.
    pub fn open() -> Result<Self> {
        Self::builder().open()
    }

    /// Choose how to open one.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// # Safety
    ///
    /// `raw` is open, and nobody else uses or closes it; it is one of `group`'s, if that is given.
    pub(crate) unsafe fn from_raw(
        raw: *mut sys::zrx_receiver,
        batch: usize,
        group: Option<Arc<RawGroup>>,
    ) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(1);
        Self {
            // SAFETY: as the caller promises.
            shared: Arc::new(unsafe { Shared::new(raw) }),
            raw,
            number: NUMBER.fetch_add(1, Ordering::Relaxed),
            batch,
            spare: Cell::new(None),
            group,
            thread: PhantomData,
        }
    }

    /// Add a connected TCP socket.
    ///
    /// The socket stays the program's, which may write to it, but reads it by no other means while it is added. The
    /// receiver holds a reference of its own until the stream ends: dropping the socket before sends no
    /// FIN, shutting it down does.
    pub fn add(&self, socket: impl AsFd) -> Result<Stream> {
        self.add_with(socket, StreamOptions::new())
    }

    /// Add a connected TCP socket, with options.
    pub fn add_with(&self, socket: impl AsFd, options: StreamOptions) -> Result<Stream> {
        let raw = options.to_raw();
        let mut handle = 0;
        let fd = socket.as_fd().as_raw_fd();
        // SAFETY: open, and on its thread.
        let code = unsafe { sys::zrx_receiver_add(self.raw, fd, &raw, &mut handle) };
        self.check(code)?;
        Ok(Stream { handle, tag: options.tag, receiver: self.number })
    }

    /// Remove a stream: what the kernel has delivered still comes, then its end. The rest stays in the socket.
    ///
    /// An error of kind [`NotFound`](std::io::ErrorKind::NotFound) says that it has ended already.
    pub fn remove(&self, stream: Stream) -> Result<()> {
        // SAFETY: open, and on its thread.
        self.with(stream, |handle| unsafe { sys::zrx_receiver_remove(self.raw, handle) })
    }

    /// Pause a stream: nothing more is asked of the kernel for it until [`resume`](Self::resume). There is no event; what
    /// comes stays in the socket, also the peer's end. What the kernel has delivered by now still comes.
    ///
    /// A stream whose consumer is slow needs no pause: at its window it rests by itself.
    ///
    /// An error of kind [`NotFound`](ErrorKind::NotFound) says that it has ended; EALREADY that it is paused.
    pub fn pause(&self, stream: Stream) -> Result<()> {
        // SAFETY: open, and on its thread.
        self.with(stream, |handle| unsafe { sys::zrx_receiver_pause(self.raw, handle) })
    }

    /// Let a stream go on that was paused: at once, or, if it is at its window, when enough is released.
    ///
    /// An error of kind [`NotFound`](ErrorKind::NotFound) says that it has ended; EALREADY that it is not paused.
    pub fn resume(&self, stream: Stream) -> Result<()> {
        // SAFETY: open, and on its thread.
        self.with(stream, |handle| unsafe { sys::zrx_receiver_resume(self.raw, handle) })
    }

    /// The figures of one stream: what its buffers hold, its window, whether it rests.
    ///
    /// An error of kind [`NotFound`](ErrorKind::NotFound) says that it has ended.
    pub fn stream_stats(&self, stream: Stream) -> Result<StreamStats> {
        let mut raw = sys::zrx_stream_stats::init();
        // SAFETY: open, and on its thread; raw lives until the call returns.
        self.with(stream, |handle| unsafe { sys::zrx_stream_stats(self.raw, handle, &mut raw) })?;
        Ok(StreamStats::from_raw(&raw))
    }

    /// Call the core with the handle of a stream, if it is one of this receiver's.
    fn with(&self, stream: Stream, call: impl FnOnce(u64) -> i32) -> Result<()> {
        if stream.receiver != self.number {
            return Err(Error::new(ENOENT, Stage::Stream, "a stream of another receiver", ""));
        }
        self.check(call(stream.handle)).map(drop)
    }

    /// Receive a batch of events; wait for at most `timeout`, for ever if it is `None`.
    ///
    /// The batch is empty when the time is over or somebody called [`Handle::wake`]. A signal does not end the
    /// wait: a program that is to stop at one wakes the receiver from the thread that handles it.
    pub fn receive(&self, timeout: impl Into<Option<Duration>>) -> Result<Events<'_>> {
        let mut batch = self.spare.take().unwrap_or_else(|| self.new_batch());
        self.receive_into(&mut batch, timeout.into())?;
        Ok(Events::new(batch, self))
    }

    /// Receive without waiting longer than `timeout`, however often the wait is interrupted.
    pub(crate) fn receive_into(&self, batch: &mut Batch, timeout: Option<Duration>) -> Result<()> {
        let mut left = timeout;
        // The clock is read only where there is a time to keep.
        let begun = timeout.filter(|timeout| !timeout.is_zero()).map(|_| Instant::now());
        loop {
            match self.receive_once(batch, timeout_ns(left)) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                result => return result,
            }
            if let (Some(timeout), Some(begun)) = (timeout, begun) {
                left = Some(timeout.saturating_sub(begun.elapsed()));
            }
        }
    }

    #[inline]
    fn receive_once(&self, batch: &mut Batch, timeout_ns: i64) -> Result<()> {
        // SAFETY: open, on its thread; the core writes as many events as it returns, each with its buffer.
        unsafe {
            batch.fill(|events, capacity| {
                self.check(sys::zrx_receiver_receive(self.raw, events, capacity, timeout_ns))
            })
        }
    }

    pub(crate) fn new_batch(&self) -> Batch {
        Batch::new(self.batch, self.group.is_some())
    }

    pub(crate) fn keep_for_later(&self, batch: Batch) {
        self.spare.set(Some(batch));
    }

    #[inline]
    pub(crate) fn number(&self) -> u32 {
        self.number
    }

    /// A handle that wakes it and reads its counters from any thread.
    pub fn handle(&self) -> Handle {
        Handle::new(self.shared.clone())
    }

    /// Close it, as dropping it does, and tell if the kernel does not let go of a NIC's queue (the memory of the area
    /// is then leaked: the NIC may still write into it).
    pub fn close(self) -> Result<()> {
        let shared = self.shared.clone();
        drop(self);
        closed(shared.close_code())
    }

    /// The counters.
    pub fn stats(&self) -> Stats {
        // SAFETY: open.
        unsafe { Stats::read(self.raw) }
    }

    /// What was opened.
    pub fn info(&self) -> Info {
        // SAFETY: open.
        unsafe { Info::read(self.raw) }
    }

    #[inline]
    fn check(&self, code: i32) -> Result<usize> {
        if code < 0 { Err(self.error(code)) } else { Ok(code as usize) }
    }

    #[cold]
    fn error(&self, code: i32) -> Error {
        let mut error = sys::zrx_error::init();
        // SAFETY: open, and on its thread.
        unsafe { sys::zrx_receiver_error(self.raw, &mut error) };
        if error.code != code {
            // -EINTR, which the core does not keep.
            return Error::new(-code, Stage::Receive, "", "");
        }
        Error::from_raw(code, &error)
    }
}

/// What `zrx_receiver_close` returned. That it is deferred to the last buffer is no error.
pub(crate) fn closed(code: i32) -> Result<()> {
    if code >= 0 {
        return Ok(());
    }
    Err(Error::new(
        -code,
        Stage::Queue,
        "the kernel has not let go of the NIC's queue: the area's memory is leaked",
        "zcrx nic restore puts the NIC back, once the queue is free",
    ))
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.shared.forget();
        // SAFETY: the handles have no pointer any more; this is its thread.
        let code = unsafe { sys::zrx_receiver_close(self.raw) };
        // Where the kernel does not let go of the memory the core leaks it: nothing here is unsound then.
        self.shared.closed(code);
    }
}

impl AsFd for Receiver {
    /// Polls readable when [`receive`](Receiver::receive) has something to do: then receive with a timeout of zero until a
    /// batch is not full. Receive once before polling it. Do not read it.
    fn as_fd(&self) -> BorrowedFd<'_> {
        // SAFETY: open as long as the receiver.
        unsafe { BorrowedFd::borrow_raw(self.as_raw_fd()) }
    }
}

impl AsRawFd for Receiver {
    fn as_raw_fd(&self) -> RawFd {
        // SAFETY: open.
        unsafe { sys::zrx_receiver_fd(self.raw) }
    }
}

impl std::fmt::Debug for Receiver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Receiver").field("info", &self.info()).finish_non_exhaustive()
    }
}

/// For the core: negative is for ever.
pub(crate) fn timeout_ns(timeout: Option<Duration>) -> i64 {
    timeout.map_or(-1, |timeout| i64::try_from(timeout.as_nanos()).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timeouts_saturate() {
        assert_eq!(timeout_ns(None), -1);
        assert_eq!(timeout_ns(Some(Duration::ZERO)), 0);
        assert_eq!(timeout_ns(Some(Duration::from_micros(3))), 3000);
        assert_eq!(timeout_ns(Some(Duration::MAX)), i64::MAX);
    }

    #[test]
    fn a_queue_that_stays_bound_is_told() {
        closed(0).expect("closed");
        closed(1).expect("deferred to the last buffer");
        let error = closed(-16).expect_err("EBUSY");
        assert_eq!((error.errno(), error.stage()), (16, Stage::Queue));
        assert!(error.hint().is_some_and(|hint| hint.contains("nic restore")), "{error}");
    }
}
