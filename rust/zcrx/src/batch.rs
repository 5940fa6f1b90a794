// SPDX-License-Identifier: MIT
//! The array that receiving fills; it owns the buffers that were not taken out.

use std::iter::FusedIterator;
use std::mem::{self, MaybeUninit};
use std::os::fd::{FromRawFd, OwnedFd};
use std::slice;

use zcrx_sys::zrx_event;

use crate::event::accepted_fd;
use crate::{Event, EventRef, Receiver, ffi};

/// Owns the buffers, and the accepted connections, of the events from `next` to `end`.
#[derive(Default)]
pub(crate) struct Batch {
    storage: Box<[MaybeUninit<zrx_event>]>,
    next: usize,
    end: usize,
    /// Of a group: there may be connections in it. Others are not looked through for some.
    grouped: bool,
}

impl Batch {
    pub(crate) fn new(capacity: usize, grouped: bool) -> Self {
        Self { storage: Box::new_uninit_slice(capacity), next: 0, end: 0, grouped }
    }

    /// Fill it: `receive` gets the array and its capacity, and returns how many events it wrote.
    ///
    /// # Safety
    ///
    /// `receive` writes as many events as it says, and hands over their buffers and connections.
    pub(crate) unsafe fn fill<E>(
        &mut self,
        receive: impl FnOnce(*mut zrx_event, u32) -> Result<usize, E>,
    ) -> Result<(), E> {
        self.release();
        self.end = receive(self.storage.as_mut_ptr().cast(), self.storage.len() as u32)?;
        debug_assert!(self.end <= self.storage.len());
        Ok(())
    }

    #[inline]
    pub(crate) fn pending(&self) -> &[zrx_event] {
        // SAFETY: next <= end <= the events written.
        unsafe {
            let first = self.storage.as_ptr().add(self.next).cast();
            slice::from_raw_parts(first, self.end - self.next)
        }
    }

    /// How many bytes are in it.
    #[cfg(feature = "tokio")]
    pub(crate) fn byte_count(&self) -> usize {
        self.pending().iter().map(|event| event.buffer.length as usize).sum()
    }

    #[inline]
    pub(crate) fn pop(&mut self, receiver: u32) -> Option<Event> {
        if self.next == self.end {
            return None;
        }
        // SAFETY: below end, so it was written; moving next makes buffer or connection the event's alone.
        let event = unsafe {
            let raw = self.storage.get_unchecked(self.next).assume_init_ref();
            Event::from_raw(raw, receiver)
        };
        self.next += 1;
        Some(event)
    }

    #[inline]
    pub(crate) fn release(&mut self) {
        let pending = self.pending();
        // SAFETY: received, and owned by nobody else; they are forgotten below.
        let result = unsafe { ffi::zrx_event_release(pending.as_ptr(), pending.len() as u32) };
        debug_assert_eq!(result, 0);
        if self.grouped {
            self.close_connections();
        }
        self.next = 0;
        self.end = 0;
    }

    /// Close those that nobody took.
    fn close_connections(&self) {
        for fd in self.pending().iter().filter_map(accepted_fd) {
            // SAFETY: the event has it from the core, and is forgotten by the caller.
            drop(unsafe { OwnedFd::from_raw_fd(fd) });
        }
    }
}

impl Drop for Batch {
    fn drop(&mut self) {
        self.release();
    }
}

/// A batch of events.
///
/// As an iterator it yields each [`Event`] with its buffer. [`iter`](Events::iter) borrows the events instead, which
/// is cheaper. Buffers that were not taken are released by one call when the batch is dropped; accepted connections that
/// were not taken are closed.
///
/// ```no_run
/// # fn example(rx: &zcrx::Receiver) -> zcrx::Result<()> {
/// let events = rx.receive(None)?;
/// for event in events.iter() {
///     if let zcrx::EventRef::Data { bytes, .. } = event {
///         println!("{} bytes", bytes.len());
///     }
/// } // every buffer is released here
/// # Ok(())
/// # }
/// ```
pub struct Events<'rx> {
    batch: Batch,
    receiver: &'rx Receiver,
}

impl<'rx> Events<'rx> {
    #[inline]
    pub(crate) fn new(batch: Batch, receiver: &'rx Receiver) -> Self {
        Self { batch, receiver }
    }

    /// How many events are left.
    #[inline]
    pub fn len(&self) -> usize {
        self.batch.pending().len()
    }

    /// Whether none is left. A receive whose time was over, or that was woken, gives an empty batch.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    #[cfg(feature = "tokio")]
    pub(crate) fn byte_count(&self) -> usize {
        self.batch.byte_count()
    }

    /// Look at the events that are left, without taking them.
    #[inline]
    pub fn iter(&self) -> Iter<'_> {
        Iter { events: self.batch.pending().iter(), receiver: self.receiver.number() }
    }
}

impl Iterator for Events<'_> {
    type Item = Event;

    #[inline]
    fn next(&mut self) -> Option<Event> {
        self.batch.pop(self.receiver.number())
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.len(), Some(self.len()))
    }
}

impl ExactSizeIterator for Events<'_> {}
impl FusedIterator for Events<'_> {}

impl<'a> IntoIterator for &'a Events<'_> {
    type Item = EventRef<'a>;
    type IntoIter = Iter<'a>;

    fn into_iter(self) -> Iter<'a> {
        self.iter()
    }
}

impl Drop for Events<'_> {
    fn drop(&mut self) {
        self.batch.release();
        self.receiver.keep_for_later(mem::take(&mut self.batch));
    }
}

impl std::fmt::Debug for Events<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

/// The events of a batch, only looked at; made by [`Events::iter`].
#[derive(Clone)]
pub struct Iter<'a> {
    events: slice::Iter<'a, zrx_event>,
    receiver: u32,
}

impl<'a> Iterator for Iter<'a> {
    type Item = EventRef<'a>;

    #[inline]
    fn next(&mut self) -> Option<EventRef<'a>> {
        let raw = self.events.next()?;
        // SAFETY: the batch is borrowed, so none of its buffers is released.
        Some(unsafe { EventRef::from_raw(raw, self.receiver) })
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.events.size_hint()
    }
}

impl ExactSizeIterator for Iter<'_> {}
impl FusedIterator for Iter<'_> {}
