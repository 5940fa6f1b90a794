// SPDX-License-Identifier: MIT
use zcrx_sys as sys;

use crate::error::text;
use crate::{AreaKind, Engine, Error};

/// A set of features of the kernel.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Features(u32);

const FEATURES: [(Features, &str); 7] = [
    (Features::FLUSH, "FLUSH"),
    (Features::EVENTS, "EVENTS"),
    (Features::RX_BUF_LEN, "RX_BUF_LEN"),
    (Features::NODEV, "NODEV"),
    (Features::DMABUF, "DMABUF"),
    (Features::INCREMENTAL, "INCREMENTAL"),
    (Features::DEFER_TASKRUN, "DEFER_TASKRUN"),
];

impl Features {
    /// The refill ring can be drained on request (6.19).
    pub const FLUSH: Self = Self(sys::ZRX_FEATURE_FLUSH);
    /// Events and statistics of zcrx (7.2).
    pub const EVENTS: Self = Self(sys::ZRX_FEATURE_EVENTS);
    /// Buffers larger than a page (7.0).
    pub const RX_BUF_LEN: Self = Self(sys::ZRX_FEATURE_RX_BUF_LEN);
    /// zcrx without a device (7.1).
    pub const NODEV: Self = Self(sys::ZRX_FEATURE_NODEV);
    /// Areas in dma-bufs (6.16).
    pub const DMABUF: Self = Self(sys::ZRX_FEATURE_DMABUF);
    /// Provided buffers consumed bit by bit (6.12).
    pub const INCREMENTAL: Self = Self(sys::ZRX_FEATURE_INCREMENTAL);
    /// Completions made on the owner's thread (6.1).
    pub const DEFER_TASKRUN: Self = Self(sys::ZRX_FEATURE_DEFER_TASKRUN);

    /// Whether all of these are in it.
    pub fn contains(self, features: Self) -> bool {
        self.0 & features.0 == features.0
    }
}

impl std::fmt::Debug for Features {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names = FEATURES.iter().filter(|(feature, _)| self.contains(*feature));
        f.debug_set().entries(names.map(|(_, name)| name)).finish()
    }
}

/// An engine that was not to be had, and why.
#[derive(Debug)]
#[non_exhaustive]
pub struct Refusal {
    /// Which.
    pub engine: Engine,
    /// Why, and what to do about it.
    pub error: Error,
}

/// What was opened.
#[derive(Debug)]
#[non_exhaustive]
pub struct Info {
    /// The engine in use, never `Auto`.
    pub engine: Engine,
    /// Whether payload of steered and split traffic is not copied.
    pub zero_copy: bool,
    /// What of the kernel is in use.
    pub features: Features,
    /// Interface and queue of engine `zcrx`.
    pub interface: Option<(String, u32)>,
    /// What the area is made of, never `Auto`.
    pub area_kind: AreaKind,
    /// Its size.
    pub area_bytes: u64,
    /// The largest buffer.
    pub buffer_bytes: u32,
    /// Of the completion ring; 0 for engine `recv`.
    pub ring_entries: u32,
    /// Of the refill or provided-buffer ring; 0 for engine `recv`.
    pub refill_entries: u32,
    /// Each better engine that was not used.
    pub refused: Vec<Refusal>,
}

impl Info {
    /// # Safety
    ///
    /// `receiver` is open during the call.
    pub(crate) unsafe fn read(receiver: *const sys::zrx_receiver) -> Self {
        let mut raw = sys::zrx_info::init();
        // SAFETY: open, and raw.size is set: it cannot fail.
        unsafe { sys::zrx_receiver_info(receiver, &mut raw) };
        let interface = text(&raw.interface);
        Self {
            engine: Engine::from_raw(raw.engine),
            zero_copy: raw.zero_copy != 0,
            features: features(raw.features),
            interface: if interface.is_empty() { None } else { Some((interface, raw.queue)) },
            area_kind: AreaKind::from_raw(raw.area_kind),
            area_bytes: raw.area_bytes,
            buffer_bytes: raw.buffer_bytes,
            ring_entries: raw.ring_entries,
            refill_entries: raw.refill_entries,
            refused: refusals(|engine, error| {
                // SAFETY: open, and the error's size is set.
                unsafe { sys::zrx_receiver_refusal(receiver, engine, error) }
            }),
        }
    }
}

pub(crate) fn features(raw: u32) -> Features {
    Features(raw)
}

/// Of each engine that `ask` says was refused.
pub(crate) fn refusals(ask: impl Fn(u32, &mut sys::zrx_error) -> i32) -> Vec<Refusal> {
    let refusal = |engine: Engine| {
        let mut error = sys::zrx_error::init();
        (ask(engine.raw(), &mut error) == 1)
            .then(|| Refusal { engine, error: Error::from_raw(error.code, &error) })
    };
    Engine::all().filter_map(refusal).collect()
}
