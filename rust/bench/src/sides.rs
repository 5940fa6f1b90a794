// SPDX-License-Identifier: MIT
//! The loops that are set side by side. Each receives one connection to its end, or until so many bytes have come.

use std::io::Read;
use std::net::TcpStream;
use std::os::fd::AsRawFd;
use std::ptr;

use futures_util::TryStreamExt;
use tokio::io::AsyncReadExt;
use zcrx::tokio::LocalStream;
use zcrx::{Buffer, Builder, Engine, Event, EventRef, Receiver};
use zcrx_sys as sys;

const AREA_BYTES: u64 = 16 << 20;
pub const BATCH: usize = 64;
const READ_BYTES: usize = 64 << 10;

/// What a loop has seen.
#[repr(C)]
#[derive(Default)]
pub struct Counts {
    pub bytes: u64,
    pub buffers: u64,
    /// Of the first byte of each buffer: every loop looks at what it received.
    pub sum: u64,
}

impl Counts {
    #[inline]
    fn add(&mut self, bytes: &[u8]) {
        self.bytes += bytes.len() as u64;
        self.buffers += 1;
        self.sum += u64::from(bytes[0]);
    }
}

type CoreLoop =
    unsafe extern "C" fn(*mut sys::zrx_receiver, *mut sys::zrx_event, u32, u64, *mut Counts) -> i32;

unsafe extern "C" {
    fn bench_core_loop(
        rx: *mut sys::zrx_receiver,
        events: *mut sys::zrx_event,
        capacity: u32,
        until: u64,
        counts: *mut Counts,
    ) -> i32;
    fn bench_core_single_loop(
        rx: *mut sys::zrx_receiver,
        events: *mut sys::zrx_event,
        capacity: u32,
        until: u64,
        counts: *mut Counts,
    ) -> i32;
}

/// The C core without the crate.
pub struct Core {
    rx: *mut sys::zrx_receiver,
    events: Vec<sys::zrx_event>,
}

impl Core {
    pub fn open(engine: Engine, buffer_bytes: u32, socket: &TcpStream) -> Self {
        let mut rx = ptr::null_mut();
        let mut options = sys::zrx_options::init();
        options.engine = match engine {
            Engine::Recv => sys::ZRX_ENGINE_RECV,
            _ => sys::ZRX_ENGINE_MULTISHOT,
        };
        options.area_bytes = AREA_BYTES;
        options.buffer_bytes = buffer_bytes;
        // SAFETY: rx and options live until the calls return; the receiver is open when it is used.
        unsafe {
            assert_eq!(sys::zrx_receiver_open(&mut rx, &options, ptr::null_mut()), 0);
            let fd = socket.as_raw_fd();
            assert_eq!(sys::zrx_receiver_add(rx, fd, ptr::null(), ptr::null_mut()), 0);
        }
        Self { rx, events: vec![sys::zrx_event::default(); BATCH] }
    }

    /// Release each batch in one call.
    pub fn receive(&mut self, until: u64) -> Counts {
        self.run(bench_core_loop, until)
    }

    /// Release each buffer by a call of its own.
    pub fn receive_singly(&mut self, until: u64) -> Counts {
        self.run(bench_core_single_loop, until)
    }

    fn run(&mut self, core_loop: CoreLoop, until: u64) -> Counts {
        let mut counts = Counts::default();
        let events = self.events.as_mut_ptr();
        // SAFETY: open, on its thread, and there is room for BATCH events.
        let code = unsafe { core_loop(self.rx, events, BATCH as u32, until, &mut counts) };
        assert_eq!(code, 0);
        counts
    }
}

impl Drop for Core {
    fn drop(&mut self) {
        // SAFETY: open, and not used afterwards.
        unsafe { sys::zrx_receiver_close(self.rx) };
    }
}

pub fn builder(engine: Engine, buffer_bytes: u32) -> Builder {
    let builder = Receiver::builder().engine(engine).area_bytes(AREA_BYTES);
    builder.buffer_bytes(buffer_bytes).batch(BATCH)
}

pub fn open(engine: Engine, buffer_bytes: u32) -> Receiver {
    builder(engine, buffer_bytes).open().expect("opened")
}

/// The crate, looking at the events of each batch. Not mangled: the instruction count begins and ends with it.
#[unsafe(no_mangle)]
#[inline(never)]
pub fn bench_rust_loop(rx: &Receiver, until: u64) -> Counts {
    let mut counts = Counts::default();
    while counts.bytes < until {
        let events = rx.receive(None).expect("received");
        for event in &events {
            match event {
                EventRef::Data { bytes, .. } => counts.add(bytes),
                _ => return counts,
            }
        }
    }
    counts
}

/// The crate, taking each buffer and dropping it.
#[unsafe(no_mangle)]
#[inline(never)]
pub fn bench_rust_owned_loop(rx: &Receiver, until: u64) -> Counts {
    let mut counts = Counts::default();
    while counts.bytes < until {
        let events = rx.receive(None).expect("received");
        for event in events {
            match event {
                Event::Data { buffer, .. } => counts.add(&buffer),
                _ => return counts,
            }
        }
    }
    counts
}

/// The crate, taking the buffers and releasing them together.
#[unsafe(no_mangle)]
#[inline(never)]
pub fn bench_rust_kept_loop(rx: &Receiver, until: u64) -> Counts {
    let mut counts = Counts::default();
    let mut kept = Vec::with_capacity(BATCH);
    while counts.bytes < until {
        let events = rx.receive(None).expect("received");
        for event in events {
            match event {
                Event::Data { buffer, .. } => {
                    counts.add(&buffer);
                    kept.push(buffer);
                }
                _ => return counts,
            }
        }
        Buffer::release_all(&mut kept);
    }
    counts
}

/// What a program does without zcrx.
pub fn std_read(mut socket: TcpStream) -> Counts {
    let mut counts = Counts::default();
    let mut bytes = vec![0; READ_BYTES];
    loop {
        match socket.read(&mut bytes).expect("read") {
            0 => return counts,
            count => counts.add(&bytes[..count]),
        }
    }
}

/// The crate under tokio, on the runtime's thread.
pub fn tokio_zcrx(runtime: &tokio::runtime::Runtime, mut stream: LocalStream) -> Counts {
    runtime.block_on(async {
        let mut counts = Counts::default();
        while let Some(buffer) = stream.try_next().await.expect("received") {
            counts.add(&buffer);
        }
        counts
    })
}

/// tokio without zcrx.
pub fn tokio_read(runtime: &tokio::runtime::Runtime, socket: TcpStream) -> Counts {
    runtime.block_on(async {
        socket.set_nonblocking(true).expect("set");
        let mut socket = tokio::net::TcpStream::from_std(socket).expect("registered");
        let mut counts = Counts::default();
        let mut bytes = vec![0; READ_BYTES];
        loop {
            match socket.read(&mut bytes).await.expect("read") {
                0 => return counts,
                count => counts.add(&bytes[..count]),
            }
        }
    })
}
