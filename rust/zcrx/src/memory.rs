// SPDX-License-Identifier: MIT
//! What a receiver's area is made of, memory of the program's own among it.
use std::ffi::c_void;
use std::os::fd::OwnedFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;

/// Pages of memory, in which the program chose to receive.
pub(crate) enum Area {
    Own(u32),
    Memory(Box<dyn Memory>),
    DmaBuf(OwnedFd),
}

/// What a builder needs of caller-provided memory once its type is forgotten.
pub(crate) trait Memory: Send {
    fn into_raw(self: Box<Self>) -> RawMemory;
}

/// Frees the memory when it is dropped. Once a receiver is opened with it, the receiver frees it instead.
pub(crate) struct RawMemory {
    pub(crate) address: *mut c_void,
    pub(crate) bytes: usize,
    /// The value that owns the memory, on the heap.
    pub(crate) owner: *mut c_void,
    pub(crate) free: unsafe extern "C" fn(*mut c_void, u64, *mut c_void),
}

impl Drop for RawMemory {
    fn drop(&mut self) {
        // SAFETY: what it needs to free itself came with it, and nobody else has done so.
        unsafe { (self.free)(self.address, self.bytes as u64, self.owner) };
    }
}

impl<M: AsMut<[u8]> + Send + 'static> Memory for M {
    fn into_raw(self: Box<Self>) -> RawMemory {
        // The box becomes a pointer before the memory is asked for: nothing moves or borrows it later.
        let owner = Box::into_raw(self);
        let free = drop_owner::<M>;
        // Whole before the owner is asked, which may panic.
        let mut raw = RawMemory { address: ptr::null_mut(), bytes: 0, owner: owner.cast(), free };
        // SAFETY: it was a box just now.
        let memory = unsafe { &mut *owner }.as_mut();
        raw.address = memory.as_mut_ptr().cast();
        raw.bytes = memory.len();
        raw
    }
}

/// The core calls it once, when nothing uses the memory any more, on the thread that released the last buffer or closed
/// the receiver.
unsafe extern "C" fn drop_owner<M>(_memory: *mut c_void, _bytes: u64, owner: *mut c_void) {
    // SAFETY: `owner` came from Box::into_raw of this type.
    let owner = unsafe { Box::from_raw(owner.cast::<M>()) };
    // A panic in the owner's destructor has been reported by the panic hook, and must not unwind into C.
    let _ = catch_unwind(AssertUnwindSafe(|| drop(owner)));
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::Builder;

    struct Owned {
        bytes: Vec<u8>,
        drops: Arc<AtomicUsize>,
        panics: bool,
    }

    impl AsMut<[u8]> for Owned {
        fn as_mut(&mut self) -> &mut [u8] {
            &mut self.bytes
        }
    }

    impl Drop for Owned {
        fn drop(&mut self) {
            self.drops.fetch_add(1, Ordering::Relaxed);
            assert!(!self.panics, "on purpose: a panic in the memory's destructor");
        }
    }

    fn freed_once(panics: bool) {
        let drops = Arc::new(AtomicUsize::new(0));
        let owned: Box<dyn Memory> =
            Box::new(Owned { bytes: vec![0; 64], drops: drops.clone(), panics });
        let raw = owned.into_raw();
        // SAFETY: the memory is ours to write until it is freed.
        unsafe { raw.address.cast::<u8>().write_bytes(7, raw.bytes) };
        drop(raw);
        assert_eq!(drops.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn memory_is_dropped_once() {
        freed_once(false);
    }

    #[test]
    fn a_panic_in_its_destructor_stops_there() {
        freed_once(true);
    }

    struct Unwilling {
        _owned: Owned,
    }

    impl AsMut<[u8]> for Unwilling {
        fn as_mut(&mut self) -> &mut [u8] {
            panic!("on purpose: no memory");
        }
    }

    #[test]
    fn a_panic_instead_of_memory_drops_the_owner() {
        let drops = Arc::new(AtomicUsize::new(0));
        let owned = Owned { bytes: Vec::new(), drops: drops.clone(), panics: false };
        let builder = Builder::default().area_memory(Unwilling { _owned: owned });
        assert!(catch_unwind(AssertUnwindSafe(|| builder.open())).is_err());
        assert_eq!(drops.load(Ordering::Relaxed), 1);
    }
}
