// SPDX-License-Identifier: MIT
//! The two calls that run in destructors. Under miri, which cannot call C, a model stands in for them,
//! so that miri sees every line of the types that own buffers.

#[cfg(not(miri))]
pub(crate) use zcrx_sys::{zrx_buffer_release, zrx_event_release};

#[cfg(miri)]
pub(crate) use model::{zrx_buffer_release, zrx_event_release};

#[cfg(miri)]
pub(crate) mod model {
    use std::slice;

    use zcrx_sys::{zrx_buffer, zrx_event};

    /// A received buffer whose bytes are a heap block of their own: miri then finds every use after
    /// release, every second release, and every leak.
    pub(crate) fn received(bytes: &[u8]) -> zrx_buffer {
        let data: *mut [u8] = Box::into_raw(bytes.into());
        zrx_buffer {
            data: data.cast_const().cast(),
            length: bytes.len() as u32,
            generation: 1,
            ..zrx_buffer::default()
        }
    }

    unsafe fn release(buffer: &zrx_buffer) {
        if buffer.generation == 0 {
            return;
        }
        // SAFETY: `received` made it.
        unsafe {
            drop(Box::from_raw(std::ptr::slice_from_raw_parts_mut(
                buffer.data.cast_mut().cast::<u8>(),
                buffer.length as usize,
            )))
        };
    }

    pub(crate) unsafe fn zrx_buffer_release(buffers: *const zrx_buffer, count: u32) -> i32 {
        // SAFETY: the caller's array.
        for buffer in unsafe { slice::from_raw_parts(buffers, count as usize) } {
            // SAFETY: as the caller promises.
            unsafe { release(buffer) };
        }
        0
    }

    pub(crate) unsafe fn zrx_event_release(events: *const zrx_event, count: u32) -> i32 {
        // SAFETY: the caller's array.
        for event in unsafe { slice::from_raw_parts(events, count as usize) } {
            // SAFETY: as the caller promises.
            unsafe { release(&event.buffer) };
        }
        0
    }
}
