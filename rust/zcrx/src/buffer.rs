// SPDX-License-Identifier: MIT
use std::fmt;
use std::ops::Deref;
use std::slice;

use zcrx_sys::zrx_buffer;

use crate::{Error, Stage, ffi};

const EOPNOTSUPP: i32 = 95;

/// A view of received bytes, inside the receiver's area.
///
/// It derefs to the bytes, may be sent to any thread, outlives its receiver, and returns the memory to the
/// kernel when it is dropped. While many buffers are kept the receiver may run out of them; streams
/// then wait, and resume by themselves once buffers are dropped.
///
/// The bytes never change while the buffer lives, whatever happens to the stream, the socket or the receiver.
///
/// A buffer in a dma-buf has no bytes that the CPU can read: it derefs to an empty slice, and [`view`](Buffer::view) is
/// `None`; [`byte_count`](Buffer::byte_count) and [`area_offset`](Buffer::area_offset) tell where the bytes are.
///
/// ```compile_fail
/// fn after_release(buffer: zcrx::Buffer) -> u8 {
///     drop(buffer);
///     buffer[0] // use of moved value
/// }
/// ```
/// ```compile_fail
/// fn view_that_outlives(buffer: zcrx::Buffer) -> &'static [u8] {
///     &buffer // does not live long enough
/// }
/// ```
#[repr(transparent)]
pub struct Buffer {
    raw: zrx_buffer,
}

// SAFETY: the memory is read-only while the buffer lives, and the core releases from any thread.
unsafe impl Send for Buffer {}
// SAFETY: as above; nothing in it changes through a shared reference.
unsafe impl Sync for Buffer {}

impl Buffer {
    /// # Safety
    ///
    /// `raw` came in a data event, and no other copy of it is released.
    pub(crate) unsafe fn from_raw(raw: zrx_buffer) -> Self {
        Self { raw }
    }

    /// Where the bytes are, counted from the start of the area.
    pub fn area_offset(&self) -> u64 {
        self.raw.offset
    }

    /// How many bytes it holds, also where the memory has no view in the address space (dma-buf) and the
    /// slice is empty.
    pub fn byte_count(&self) -> usize {
        self.raw.length as usize
    }

    /// The bytes; `None` where the memory has no view in the address space (dma-buf).
    pub fn view(&self) -> Option<&[u8]> {
        if self.raw.data.is_null() { None } else { Some(self) }
    }

    /// Release all of them in one call, which costs less than dropping one after the other. The vector is
    /// empty afterwards and keeps its capacity.
    ///
    /// ```
    /// # fn example(mut held: Vec<zcrx::Buffer>) {
    /// zcrx::Buffer::release_all(&mut held);
    /// assert!(held.is_empty());
    /// # }
    /// ```
    pub fn release_all(buffers: &mut Vec<Buffer>) {
        let count = buffers.len();
        // SAFETY: the elements are given to the core, each once; no destructor runs for them.
        unsafe { buffers.set_len(0) };
        let first = buffers.as_ptr();
        for start in (0..count).step_by(u32::MAX as usize) {
            let some = (count - start).min(u32::MAX as usize) as u32;
            // SAFETY: `some` buffers that were received and not released lie there; Buffer is
            // transparent.
            let result = unsafe { ffi::zrx_buffer_release(first.add(start).cast(), some) };
            debug_assert_eq!(result, 0);
        }
    }
}

impl Drop for Buffer {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: a buffer that was received and not released.
        let result = unsafe { ffi::zrx_buffer_release(&self.raw, 1) };
        debug_assert_eq!(result, 0);
    }
}

impl Deref for Buffer {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        // SAFETY: received and not released.
        unsafe { bytes_of(&self.raw) }
    }
}

impl AsRef<[u8]> for Buffer {
    #[inline]
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl fmt::Debug for Buffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Buffer")
            .field("area_offset", &self.raw.offset)
            .field("byte_count", &self.raw.length)
            .finish_non_exhaustive()
    }
}

/// What is said where bytes of a dma-buf are to be read.
pub(crate) fn no_view() -> Error {
    Error::new(
        EOPNOTSUPP,
        Stage::Area,
        "the CPU cannot read the bytes of a dma-buf",
        "receive events, and use Buffer::area_offset and Buffer::byte_count",
    )
}

/// # Safety
///
/// The buffer was received, and is not released before the returned reference ends.
#[inline]
pub(crate) unsafe fn bytes_of(raw: &zrx_buffer) -> &[u8] {
    if raw.data.is_null() {
        return &[]; // dma-buf
    }
    // SAFETY: the core vouches for `length` bytes at `data` until release.
    unsafe { slice::from_raw_parts(raw.data.cast(), raw.length as usize) }
}

#[cfg(feature = "bytes")]
impl TryFrom<Buffer> for bytes::Bytes {
    type Error = crate::Error;

    /// Without a copy: the buffer is released with the last clone or slice of the `Bytes`. Fails for a buffer in a
    /// dma-buf, which has no bytes to show.
    fn try_from(buffer: Buffer) -> crate::Result<Self> {
        match buffer.view() {
            Some(_) => Ok(bytes::Bytes::from_owner(buffer)),
            None => Err(no_view()),
        }
    }
}
