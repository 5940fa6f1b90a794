// SPDX-License-Identifier: MIT
use std::ffi::CString;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::time::Duration;
use std::{mem, ptr};

use zcrx_sys as sys;

use crate::buffer::no_view;
use crate::memory::{Area, RawMemory};
use crate::{Buffers, Engine, Error, Reader, Receiver, Result, Stage, StreamOptions};

pub(crate) const EINVAL: i32 = 22;

const DEFAULT_BATCH: usize = 64;
const LARGEST_BATCH: usize = 65536;
const DEFAULT_WINDOW_TIMEOUT: Duration = Duration::from_secs(10);

/// What memory the area is made of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum AreaKind {
    /// Explicit huge pages if there are any, else transparent ones, else pages.
    #[default]
    Auto,
    /// Explicit huge pages (`vm.nr_hugepages`).
    HugeTlb,
    /// Anonymous memory, advised to be huge.
    TransparentHuge,
    /// Anonymous memory in pages of the system's size.
    Pages,
    /// Memory that the program provided.
    Caller,
    /// A dma-buf.
    DmaBuf,
}

impl AreaKind {
    pub(crate) fn from_raw(raw: u32) -> Self {
        match raw {
            sys::ZRX_AREA_HUGETLB => Self::HugeTlb,
            sys::ZRX_AREA_THP => Self::TransparentHuge,
            sys::ZRX_AREA_PAGES => Self::Pages,
            sys::ZRX_AREA_CALLER => Self::Caller,
            sys::ZRX_AREA_DMABUF => Self::DmaBuf,
            _ => Self::Auto,
        }
    }
}

/// Which flows are led to the NIC's queue (engine `zcrx`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Steer {
    /// Each connection's own, by a rule made when its socket is added.
    #[default]
    Connection,
    /// All to this local TCP port, by one rule made when the receiver is opened.
    Port(u16),
    /// None: the program sets the rules.
    Nothing,
}

/// How to open a [`Receiver`]. Made by [`Receiver::builder`].
///
/// ```
/// # fn main() -> zcrx::Result<()> {
/// let rx = zcrx::Receiver::builder()
///     .engine(zcrx::Engine::Recv)
///     .area_bytes(4 << 20)
///     .open()?;
/// assert_eq!(rx.info().area_bytes, 4 << 20);
/// # Ok(())
/// # }
/// ```
#[must_use]
pub struct Builder {
    engine: Engine,
    flags: u32,
    interface: String,
    queue: u32,
    area_bytes: u64,
    area_max_bytes: u64,
    window_bytes: u64,
    buffer_bytes: u32,
    ring_entries: u32,
    refill_entries: u32,
    area: Area,
    prepared: bool,
    steer: Steer,
    busy_poll_us: u32,
    processor: u32,
    batch: usize,
    window_timeout: Duration,
}

impl Default for Builder {
    fn default() -> Self {
        Self {
            engine: Engine::Auto,
            flags: 0,
            interface: String::new(),
            queue: 0,
            area_bytes: 0,
            area_max_bytes: 0,
            window_bytes: 0,
            buffer_bytes: 0,
            ring_entries: 0,
            refill_entries: 0,
            area: Area::Own(sys::ZRX_AREA_AUTO),
            prepared: false,
            steer: Steer::default(),
            busy_poll_us: 0,
            processor: 0,
            batch: DEFAULT_BATCH,
            window_timeout: DEFAULT_WINDOW_TIMEOUT,
        }
    }
}

impl Builder {
    /// This engine or an error. Default: the best there is, see [`Engine::Auto`].
    pub fn engine(self, engine: Engine) -> Self {
        Self { engine, ..self }
    }

    /// Refuse every engine that copies.
    pub fn require_zero_copy(self, yes: bool) -> Self {
        self.flag(sys::ZRX_REQUIRE_ZERO_COPY, yes)
    }

    /// The network interface for engine `zcrx`: `"eth0"`.
    pub fn interface(self, name: &str) -> Self {
        Self { interface: name.to_owned(), ..self }
    }

    /// The interface's receive queue. Default: one that is free.
    pub fn queue(self, queue: u32) -> Self {
        Self { queue, ..self }.flag(sys::ZRX_QUEUE, true)
    }

    /// An administrator has set the NIC up: change nothing, only check. Default: set up when the receiver
    /// is opened, and put back when it is dropped.
    pub fn nic_prepared(self, prepared: bool) -> Self {
        Self { prepared, ..self }
    }

    /// Which flows are led to the queue.
    pub fn steer(self, steer: Steer) -> Self {
        Self { steer, ..self }
    }

    /// Size of the area: a multiple of the page size. Default: 64 MiB; on a NIC's queue what it holds standing, and room
    /// for windows. There a smaller one than it holds standing is refused, with the arithmetic.
    pub fn area_bytes(self, bytes: u64) -> Self {
        Self { area_bytes: bytes, ..self }
    }

    /// How far the area may grow when it runs out: a multiple of the page size and of
    /// [`buffer_bytes`](Self::buffer_bytes), at least [`area_bytes`](Self::area_bytes). Address space is reserved for it,
    /// memory is not. On engines `zcrx` and `zcrx-nodev` it needs Linux 7.3. Not for memory of the program's own, nor
    /// for a dma-buf. Default: it does not grow.
    pub fn area_max_bytes(self, bytes: u64) -> Self {
        Self { area_max_bytes: bytes, ..self }
    }

    /// Open on a queue although the area is smaller than what the queue holds standing: for tests, and for who knows
    /// better.
    pub fn small_area(self, yes: bool) -> Self {
        self.flag(sys::ZRX_SMALL_AREA, yes)
    }

    /// Window of the streams that name none in [`StreamOptions::window_bytes`]: the most memory that the buffers of
    /// each may hold. Default: automatic, twice what is free in the area beyond five eighths of it, at any time (a fourth,
    /// where there is one stream). So what is free does not run out although as many consumers stall as a fourth of the chunks,
    /// and a single stream gets half of it.
    pub fn window_bytes(self, bytes: u64) -> Self {
        Self { window_bytes: bytes, ..self }
    }

    /// What the area is made of: this or an error. [`AreaKind::Caller`] and [`AreaKind::DmaBuf`] have methods
    /// of their own, [`area_memory`](Self::area_memory) and [`area_dmabuf`](Self::area_dmabuf); here they
    /// are refused when the receiver is opened.
    pub fn area(self, kind: AreaKind) -> Self {
        let raw = match kind {
            AreaKind::Auto => sys::ZRX_AREA_AUTO,
            AreaKind::HugeTlb => sys::ZRX_AREA_HUGETLB,
            AreaKind::TransparentHuge => sys::ZRX_AREA_THP,
            AreaKind::Pages => sys::ZRX_AREA_PAGES,
            AreaKind::Caller => sys::ZRX_AREA_CALLER,
            AreaKind::DmaBuf => sys::ZRX_AREA_DMABUF,
        };
        Self { area: Area::Own(raw), ..self }
    }

    /// Receive into this memory, which is page-aligned and a multiple of the page size, a memory mapping
    /// for instance. It is dropped when neither the receiver nor any buffer uses it any more, on the thread that
    /// dropped the last of them; or when opening fails.
    pub fn area_memory<M: AsMut<[u8]> + Send + 'static>(self, memory: M) -> Self {
        Self { area: Area::Memory(Box::new(memory)), ..self }
    }

    /// Receive into the first `bytes` of a dma-buf (engine `zcrx`, Linux 6.16). Its memory has no view in
    /// the address space: buffers deref to nothing, [`Buffer::area_offset`](crate::Buffer::area_offset) and
    /// [`Buffer::byte_count`](crate::Buffer::byte_count) tell where in the dma-buf the bytes are.
    ///
    /// # Safety
    ///
    /// The NIC may write to the dma-buf at any time until the receiver and all of its buffers are dropped: until then
    /// nothing may hold references into a mapping of it, except to the bytes of a buffer that is held.
    pub unsafe fn area_dmabuf(self, dmabuf: OwnedFd, bytes: u64) -> Self {
        Self { area: Area::DmaBuf(dmabuf), area_bytes: bytes, ..self }
    }

    /// Largest buffer: a power of two. Default: a page on engine `zcrx`, 64 KiB where the kernel copies.
    pub fn buffer_bytes(self, bytes: u32) -> Self {
        Self { buffer_bytes: bytes, ..self }
    }

    /// Completions that the ring can hold. Default: 4096.
    pub fn ring_entries(self, entries: u32) -> Self {
        Self { ring_entries: entries, ..self }
    }

    /// Size of the refill ring. Default: one entry for each chunk of the area.
    pub fn refill_entries(self, entries: u32) -> Self {
        Self { refill_entries: entries, ..self }
    }

    /// Have the kernel allocate the refill ring.
    pub fn refill_ring_in_kernel(self, yes: bool) -> Self {
        self.flag(sys::ZRX_REFILL_RING_KERNEL, yes)
    }

    /// A receive that would sleep polls the NIC for so many microseconds first, at most 1,000,000. Engines with a ring, Linux
    /// 6.9; [`Info::busy_poll_us`](crate::Info::busy_poll_us) tells whether it does. Default: it does not.
    pub fn busy_poll_us(self, us: u32) -> Self {
        Self { busy_poll_us: us, ..self }
    }

    /// The first receive pins its thread to this processor. It fails (stage thread) where the thread may not run there.
    /// For receivers of a group see [`GroupBuilder::pin`](crate::GroupBuilder::pin).
    pub fn processor(self, processor: u32) -> Self {
        Self { processor, ..self }.flag(sys::ZRX_PROCESSOR, true)
    }

    /// The most events that one receive returns, 1 to 65536. Default: 64.
    pub fn batch(self, events: usize) -> Self {
        Self { batch: events, ..self }
    }

    /// How long a stream may be at its window with nothing released, while the next buffer is waited for, until the wait
    /// returns an error (ENOBUFS): whoever keeps all buffers and waits for more, as `collect` does, would wait for ever.
    /// The stream is not over by that: it goes on once buffers are dropped. For [`Buffers`], and in module `tokio` for
    /// `LocalStream` and `BufferStream`. Default: 10 seconds; [`Duration::MAX`]: wait on.
    pub fn window_timeout(self, timeout: Duration) -> Self {
        Self { window_timeout: timeout, ..self }
    }

    pub(crate) fn patience(&self) -> Duration {
        self.window_timeout
    }

    /// Open the receiver. It belongs to the thread that does.
    pub fn open(self) -> Result<Receiver> {
        let mut opening = self.prepare()?;
        let mut raw = ptr::null_mut();
        let mut error = sys::zrx_error::init();
        // SAFETY: options and what they point to live until the call returns; the memory until it is freed.
        let code = unsafe { sys::zrx_receiver_open(&mut raw, &opening.options, &mut error) };
        if code < 0 {
            return Err(Error::from_raw(code, &error)); // the core has not freed the memory
        }
        mem::forget(opening.memory.take()); // the core will
        // SAFETY: just opened, and nobody else has it.
        Ok(unsafe { Receiver::from_raw(raw, opening.batch, None) })
    }

    /// What the core wants to be told.
    pub(crate) fn prepare(self) -> Result<Opening> {
        if !(1..=LARGEST_BATCH).contains(&self.batch) {
            return Err(refuse("batch is out of range", "1 to 65536"));
        }
        let interface = CString::new(self.interface.as_str())
            .map_err(|_| refuse("interface: the name contains a zero byte", ""))?;
        let batch = self.batch;
        let mut options = self.plain();
        if !interface.is_empty() {
            options.interface = interface.as_ptr();
        }
        let (mut memory, mut dmabuf) = (None, None);
        match self.area {
            Area::Own(kind) => options.area_kind = kind,
            Area::DmaBuf(fd) => {
                options.area_kind = sys::ZRX_AREA_DMABUF;
                options.dmabuf_fd = fd.as_raw_fd();
                dmabuf = Some(fd);
            }
            Area::Memory(owner) => memory = Some(owner.into_raw()),
        }
        if let Some(memory) = &memory {
            options.area_kind = sys::ZRX_AREA_CALLER;
            options.area_memory = memory.address;
            options.area_bytes = memory.bytes as u64;
            options.area_free = Some(memory.free);
            options.area_context = memory.owner;
        }
        Ok(Opening { options, batch, memory, _interface: interface, _dmabuf: dmabuf })
    }

    /// Open a receiver for one socket and read it as a byte stream. Refused for an area in a dma-buf, whose bytes
    /// the CPU cannot read.
    pub fn reader(self, socket: impl AsFd) -> Result<Reader> {
        self.reader_with(socket, StreamOptions::new())
    }

    /// As [`reader`](Self::reader), with options of the stream.
    pub fn reader_with(self, socket: impl AsFd, options: StreamOptions) -> Result<Reader> {
        if matches!(self.area, Area::DmaBuf(_)) {
            return Err(no_view());
        }
        Ok(Reader::new(self.buffers_with(socket, options)?))
    }

    /// Open a receiver for one socket and iterate over its buffers.
    pub fn buffers(self, socket: impl AsFd) -> Result<Buffers> {
        self.buffers_with(socket, StreamOptions::new())
    }

    /// As [`buffers`](Self::buffers), with options of the stream.
    pub fn buffers_with(self, socket: impl AsFd, options: StreamOptions) -> Result<Buffers> {
        Buffers::open(self, socket, options)
    }

    fn flag(self, flag: u32, yes: bool) -> Self {
        let flags = if yes { self.flags | flag } else { self.flags & !flag };
        Self { flags, ..self }
    }

    /// All that are numbers.
    pub(crate) fn plain(&self) -> sys::zrx_options {
        let (steer, steer_port) = match self.steer {
            Steer::Connection => (sys::ZRX_STEER_CONNECTION, 0),
            Steer::Port(port) => (sys::ZRX_STEER_PORT, port.into()),
            Steer::Nothing => (sys::ZRX_STEER_NONE, 0),
        };
        sys::zrx_options {
            engine: self.engine.raw(),
            flags: self.flags,
            queue: self.queue,
            area_bytes: self.area_bytes,
            area_max_bytes: self.area_max_bytes,
            window_bytes: self.window_bytes,
            buffer_bytes: self.buffer_bytes,
            ring_entries: self.ring_entries,
            refill_entries: self.refill_entries,
            nic_mode: if self.prepared { sys::ZRX_NIC_PREPARED } else { sys::ZRX_NIC_SETUP },
            steer,
            steer_port,
            busy_poll_us: self.busy_poll_us,
            processor: self.processor,
            ..sys::zrx_options::init()
        }
    }
}

/// The options of the core, and what they point to.
pub(crate) struct Opening {
    pub(crate) options: sys::zrx_options,
    pub(crate) batch: usize,
    pub(crate) memory: Option<RawMemory>,
    _interface: CString,
    _dmabuf: Option<OwnedFd>,
}

fn refuse(message: &str, hint: &str) -> Error {
    Error::new(EINVAL, Stage::Options, message, hint)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_reach_the_core_as_given() {
        let builder = Builder::default().queue(3).steer(Steer::Port(80)).batch(7);
        let builder = builder.area_bytes(1 << 20).area_max_bytes(4 << 20).window_bytes(64 << 10);
        let raw = builder.small_area(true).require_zero_copy(true).require_zero_copy(false).plain();
        assert_eq!((raw.flags, raw.queue), (sys::ZRX_QUEUE | sys::ZRX_SMALL_AREA, 3));
        let pinned = Builder::default().processor(5).busy_poll_us(50).plain();
        assert_eq!((pinned.flags, pinned.processor), (sys::ZRX_PROCESSOR, 5));
        assert_eq!(pinned.busy_poll_us, 50);
        assert_eq!(
            (raw.area_bytes, raw.area_max_bytes, raw.window_bytes),
            (1 << 20, 4 << 20, 64 << 10)
        );
        assert_eq!((raw.steer, raw.steer_port), (sys::ZRX_STEER_PORT, 80));
        assert_eq!(raw.size as usize, size_of::<sys::zrx_options>());
    }
}
