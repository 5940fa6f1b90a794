// SPDX-License-Identifier: MIT
use std::fmt;
use std::ptr;
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use zcrx_sys as sys;

use crate::Stats;

/// The receiver's pointer, for other threads; null once the receiver is being closed. And what closing it gave.
pub(crate) struct Shared(RwLock<*mut sys::zrx_receiver>, AtomicI32);

// SAFETY: through it only calls are made that the core allows on any thread until close.
unsafe impl Send for Shared {}
// SAFETY: as above.
unsafe impl Sync for Shared {}

impl Shared {
    /// # Safety
    ///
    /// `raw` stays open until `forget` has returned.
    pub(crate) unsafe fn new(raw: *mut sys::zrx_receiver) -> Self {
        Self(RwLock::new(raw), AtomicI32::new(0))
    }

    /// Waits for the calls that are being made; there will be no others.
    pub(crate) fn forget(&self) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = ptr::null_mut();
    }

    pub(crate) fn closed(&self, code: i32) {
        // Relaxed: it is read on the thread that stores it.
        self.1.store(code, Ordering::Relaxed);
    }

    pub(crate) fn close_code(&self) -> i32 {
        self.1.load(Ordering::Relaxed)
    }

    fn with<T>(&self, call: impl FnOnce(*mut sys::zrx_receiver) -> T) -> Option<T> {
        let raw = self.0.read().unwrap_or_else(PoisonError::into_inner);
        if raw.is_null() { None } else { Some(call(*raw)) }
    }
}

/// What other threads can do with a receiver: wake it, and read its counters.
///
/// ```
/// # fn main() -> zcrx::Result<()> {
/// let rx = zcrx::Receiver::open()?;
/// let handle = rx.handle();
/// let waker = std::thread::spawn(move || handle.wake());
/// assert!(rx.receive(None)?.is_empty());
/// # waker.join().unwrap();
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Handle(Arc<Shared>);

impl Handle {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self(shared)
    }

    /// Make a receive that sleeps, or else the next one, return at once. Several wakes may merge into one. Does
    /// nothing when the receiver is gone.
    pub fn wake(&self) {
        // SAFETY: open during the call; waking is allowed on any thread.
        self.0.with(|raw| unsafe { sys::zrx_receiver_wake(raw) });
    }

    /// The counters; `None` when the receiver is gone.
    pub fn stats(&self) -> Option<Stats> {
        // SAFETY: open during the call; reading counters is allowed on any thread.
        self.0.with(|raw| unsafe { Stats::read(raw) })
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle").finish_non_exhaustive()
    }
}
