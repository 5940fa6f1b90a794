// SPDX-License-Identifier: MIT
//! Release against receive, in every interleaving.

use loom::sync::Arc;
use loom::thread;
use zcrx_model::{Area, Chain};

/// Every order of threads with at most so many switches where none was needed.
const PREEMPTIONS: usize = 3;

fn check(model: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(PREEMPTIONS);
    builder.check(model);
}

fn release(area: &Area, index: u32) -> Chain {
    let mut chain = Chain::default();
    assert_eq!(area.read(index), 0);
    assert!(area.claim(index, &mut chain));
    chain
}

#[test]
fn of_two_releases_of_a_buffer_one_wins() {
    check(|| {
        let area = Arc::new(Area::new(1, 4));
        let other = area.clone();
        let claim = |area: &Area| area.claim(0, &mut Chain::default());
        let thread = thread::spawn(move || claim(&other));
        let here = claim(&area);
        assert_ne!(here, thread.join().expect("no panic"));
    });
}

/// Copying engines: what two threads return reaches the owner once, and may then be written.
#[test]
fn returned_buffers_reach_the_owner_once() {
    check(|| {
        let area = Arc::new(Area::new(2, 4));
        let threads = [0, 1].map(|index| {
            let area = area.clone();
            thread::spawn(move || area.push(release(&area, index)))
        });
        let mut collected = area.collect();
        for &index in &collected {
            area.write(index, 1); // a race if the release did not come before
        }
        for thread in threads {
            thread.join().expect("no panic");
        }
        collected.extend(area.collect());
        collected.sort_unstable();
        assert_eq!(collected, [0, 1]);
    });
}

/// An owner that goes to sleep without having seen a returned buffer is woken.
#[test]
fn a_sleeping_owner_is_woken() {
    check(|| {
        let area = Arc::new(Area::new(1, 4));
        let other = area.clone();
        let thread = thread::spawn(move || {
            other.push(release(&other, 0));
            other.wake_waiter();
        });
        let sleeps = area.before_sleep().is_empty();
        thread.join().expect("no panic");
        assert!(!sleeps || area.signals() > 0, "asleep for ever");
    });
}

/// zcrx engines: a thread that finds the lock taken leaves its slots to the holder, who does not miss them.
#[test]
fn nothing_is_left_out_of_the_refill_ring() {
    check(|| {
        let area = Arc::new(Area::new(2, 4));
        let give_back = |area: &Area, index| {
            area.push(release(area, index));
            area.drain();
        };
        let other = area.clone();
        let thread = thread::spawn(move || give_back(&other, 1));
        give_back(&area, 0);
        thread.join().expect("no panic");
        let mut ring = area.ring();
        ring.sort_unstable();
        assert_eq!(ring, [0, 1]);
        assert!(area.is_drained());
    });
}

/// What the ring tells of is written whole, and no longer read by whoever released it.
#[test]
fn the_kernel_sees_whole_entries() {
    check(|| {
        let area = Arc::new(Area::new(1, 4));
        let other = area.clone();
        let thread = thread::spawn(move || {
            other.push(release(&other, 0));
            other.drain();
        });
        for index in area.ring() {
            area.write(index, 1);
        }
        thread.join().expect("no panic");
        assert_eq!(area.ring(), [0]);
    });
}

/// A full ring keeps the rest for later.
#[test]
fn a_full_ring_loses_nothing() {
    check(|| {
        let area = Arc::new(Area::new(2, 1));
        let other = area.clone();
        let thread = thread::spawn(move || {
            other.push(release(&other, 1));
            other.drain();
        });
        area.push(release(&area, 0));
        area.drain();
        thread.join().expect("no panic");
        assert_eq!((area.ring().len(), area.backlog()), (1, 1));
    });
}

/// Once closed, the ring is not written any more.
#[test]
fn nobody_fills_a_closed_ring() {
    check(|| {
        let area = Arc::new(Area::new(1, 4));
        let other = area.clone();
        let thread = thread::spawn(move || {
            other.push(release(&other, 0));
            other.drain();
        });
        let tail = area.close() as usize;
        thread.join().expect("no panic");
        assert_eq!(area.ring().len(), tail);
    });
}
