// SPDX-License-Identifier: MIT
//! Who releases which buffer, and when: run under miri, where each buffer is a heap block of its own (see ffi.rs) and a
//! buffer released twice, too early or never is an error.

use std::thread;

use zcrx_sys as sys;

use crate::batch::Batch;
use crate::ffi::model::received;
use crate::{Buffer, End, Event};

const RECEIVER: u32 = 1;

fn data(bytes: &[u8]) -> sys::zrx_event {
    sys::zrx_event {
        kind: sys::ZRX_EVENT_DATA as u16,
        buffer: received(bytes),
        ..sys::zrx_event::default()
    }
}

fn end() -> sys::zrx_event {
    sys::zrx_event { kind: sys::ZRX_EVENT_END as u16, ..sys::zrx_event::default() }
}

fn fill(batch: &mut Batch, events: &[sys::zrx_event]) {
    let write = |first: *mut sys::zrx_event, capacity: u32| {
        assert!(events.len() <= capacity as usize);
        // SAFETY: there is room for so many.
        unsafe { first.copy_from_nonoverlapping(events.as_ptr(), events.len()) };
        Ok::<_, ()>(events.len())
    };
    // SAFETY: each event is new and goes nowhere else.
    unsafe { batch.fill(write) }.expect("it does not fail");
}

fn take(batch: &mut Batch) -> Buffer {
    match batch.pop(RECEIVER) {
        Some(Event::Data { buffer, .. }) => buffer,
        other => panic!("{other:?}"),
    }
}

fn batch_of_three() -> Batch {
    let mut batch = Batch::new(4, false);
    fill(&mut batch, &[data(b"one"), data(b"two"), data(b"three"), end()]);
    batch
}

#[test]
fn what_is_not_taken_is_released_with_the_batch() {
    drop(Batch::new(4, false));
    drop(batch_of_three());
    let mut batch = batch_of_three();
    drop(take(&mut batch));
    assert_eq!(batch.pending().len(), 3);
}

#[test]
fn what_is_taken_outlives_the_batch() {
    let mut batch = batch_of_three();
    let (one, two) = (take(&mut batch), take(&mut batch));
    drop(batch);
    assert_eq!((&*one, &*two), (&b"one"[..], &b"two"[..]));
    drop(one);
    assert_eq!(&*two, b"two");
}

#[test]
fn filling_again_releases_what_is_left() {
    let mut batch = batch_of_three();
    let one = take(&mut batch);
    fill(&mut batch, &[data(b"four")]);
    assert_eq!(&*take(&mut batch), b"four");
    assert!(batch.pop(RECEIVER).is_none());
    assert_eq!(&*one, b"one");
}

#[test]
fn a_fill_that_fails_leaves_an_empty_batch() {
    let mut batch = batch_of_three();
    // SAFETY: it writes none.
    assert_eq!(unsafe { batch.fill(|_, _| Err(())) }, Err(()));
    assert!(batch.pending().is_empty());
}

#[test]
fn every_event_comes_once() {
    let mut batch = batch_of_three();
    for expected in [&b"one"[..], b"two", b"three"] {
        assert_eq!(&*take(&mut batch), expected);
    }
    assert!(matches!(batch.pop(RECEIVER), Some(Event::End { end: End::Closed, .. })));
    assert!(batch.pop(RECEIVER).is_none());
}

#[test]
fn buffers_are_released_in_one_call() {
    let mut batch = batch_of_three();
    let mut held = vec![take(&mut batch), take(&mut batch)];
    Buffer::release_all(&mut held);
    assert!(held.is_empty() && held.capacity() >= 2);
    Buffer::release_all(&mut held);
}

#[test]
fn buffers_are_read_and_released_by_threads() {
    let mut batch = batch_of_three();
    let (one, two) = (take(&mut batch), take(&mut batch));
    thread::scope(|scope| {
        scope.spawn(|| assert_eq!(&*two, b"two"));
        scope.spawn(|| assert_eq!(&*two, b"two"));
        scope.spawn(move || drop(one));
    });
}

#[test]
fn a_panic_releases_what_was_held() {
    let panicking = thread::spawn(|| {
        let mut batch = batch_of_three();
        let _held = take(&mut batch);
        panic!("on purpose");
    });
    assert!(panicking.join().is_err());
}

#[test]
fn memory_without_a_view_is_an_empty_slice() {
    let raw = sys::zrx_buffer { length: 7, offset: 4096, ..sys::zrx_buffer::default() };
    // SAFETY: the model does not release what it did not make.
    let buffer = unsafe { Buffer::from_raw(raw) };
    assert!(buffer.is_empty());
    assert!(buffer.view().is_none());
    assert_eq!((buffer.byte_count(), buffer.area_offset()), (7, 4096));
}

#[cfg(feature = "bytes")]
#[test]
fn bytes_keep_the_buffer() {
    let mut batch = batch_of_three();
    let whole = bytes::Bytes::try_from(take(&mut batch)).expect("in memory");
    let part = whole.slice(1..);
    drop(batch);
    drop(whole);
    assert_eq!(&part[..], b"ne");
}

#[cfg(feature = "bytes")]
#[test]
fn memory_without_a_view_does_not_become_bytes() {
    let raw = sys::zrx_buffer { length: 7, offset: 4096, ..sys::zrx_buffer::default() };
    // SAFETY: the model does not release what it did not make.
    let buffer = unsafe { Buffer::from_raw(raw) };
    let error = bytes::Bytes::try_from(buffer).expect_err("there are no bytes to see");
    assert!(error.hint().is_some_and(|hint| hint.contains("area_offset")), "{error}");
}
