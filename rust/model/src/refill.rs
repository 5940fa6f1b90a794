// SPDX-License-Identifier: MIT
//! `core/refill.c`.

use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};

use loom::cell::UnsafeCell;
use loom::sync::atomic::AtomicU32;

use crate::hold::{Chain, REFERENCE, View, references};
use crate::{Access, Area, By};

/// Entries of the refill ring; enough for every test, except those that want it full.
const RING: usize = 4;

pub struct Refill {
    lock: AtomicU32,
    room: usize,
    closed: UnsafeCell<bool>,
    backlog: UnsafeCell<Chain>,
    tail: AtomicU32,
    entries: Vec<UnsafeCell<u32>>,
}

impl Refill {
    pub fn new(room: usize) -> Self {
        Self {
            lock: AtomicU32::new(0),
            room,
            closed: UnsafeCell::new(false),
            backlog: UnsafeCell::new(Chain::default()),
            tail: AtomicU32::new(0),
            entries: (0..RING).map(|_| UnsafeCell::new(u32::MAX)).collect(),
        }
    }
}

impl Area {
    /// An exchange in the core, which writes 1 over 1 where this fails and writes nothing. That orders less, so what
    /// holds here holds there; and loom would let such a write come after the holder's store of 0.
    fn try_lock(&self) -> bool {
        self.orderings.consistent(Access::Lock, || {
            self.refill.lock.compare_exchange(0, 1, AcqRel, Acquire).is_ok()
        })
    }

    fn unlock(&self) {
        self.orderings.consistent(Access::Unlock, || self.refill.lock.store(0, Release));
    }

    /// settled: the holds that are in the ring go to the owner.
    fn settled(&self, done: Chain, by: By) {
        self.link(done.tail, 0);
        match by {
            By::Owner => self.rest_all(done.head),
            By::Other => self.push_to(&self.settled, done),
        }
    }

    fn publish(&self, tail: u32) {
        let release = if self.orderings.is_weak(Access::Tail) { Relaxed } else { Release };
        self.refill.tail.store(tail, release);
    }

    /// fill: as much of the chain as there is room for; gives the rest.
    fn fill(&self, mut chain: Chain, by: By) -> Chain {
        let refill = &self.refill;
        let tail = refill.tail.load(Relaxed);
        let room = (refill.room as u32).saturating_sub(tail);
        let mut done = Chain { head: chain.head, ..Chain::default() };
        let mut written = 0;
        while written < room && chain.head != 0 {
            let hold = chain.head - 1;
            let word = self.word(hold);
            let chunk = self.chunk(hold);
            let some = references(word).min(room - written);
            for entry in &refill.entries[(tail + written) as usize..][..some as usize] {
                // SAFETY: loom checks that only the holder of the lock writes, before the tail tells of it.
                entry.with_mut(|entry| unsafe { *entry = chunk });
            }
            written += some;
            if some < references(word) {
                // Half of them: nobody else writes to the hold.
                let word = word - u64::from(some) * REFERENCE;
                self.holds[hold as usize].word.store(word, Relaxed);
                break;
            }
            done.tail = chain.head;
            chain.head = self.next(chain.head);
        }
        chain.references -= written;
        if written == 0 {
            return chain;
        }
        self.publish(tail + written);
        if done.tail != 0 {
            self.settled(done, by);
        }
        chain
    }

    fn join_chains(&self, first: Chain, second: Chain) -> Chain {
        if first.head == 0 || second.head == 0 {
            return if first.head == 0 { second } else { first };
        }
        self.link(first.tail, second.head);
        Chain { tail: second.tail, references: first.references + second.references, ..first }
    }

    /// settle: the backlog, what others returned and the chain go into the ring, by whoever has the lock.
    fn settle(&self, chain: Chain, by: By) {
        let head = match self.returned.load(Relaxed) {
            0 => 0,
            _ => self.returned.swap(0, self.orderings.acquire(Access::Settle)),
        };
        // SAFETY: loom checks that the lock protects both.
        unsafe {
            if self.refill.closed.with(|closed| *closed) {
                return;
            }
            let chain = self.join_chains(self.measure(head), chain);
            let backlog = self.refill.backlog.with(|backlog| *backlog);
            let rest = self.fill(self.join_chains(backlog, chain), by);
            self.refill.backlog.with_mut(|backlog| *backlog = rest);
        }
    }

    /// zrx_refill_give: into the ring, or onto the list for the one who has the lock.
    pub fn give(&self, mut chain: Chain, by: By) {
        let mut locked = self.try_lock();
        if !locked && chain.head != 0 {
            self.push(chain);
            chain = Chain::default();
            locked = self.try_lock();
        }
        while locked {
            self.settle(chain, by);
            chain = Chain::default();
            self.unlock();
            let look = || self.returned.load(Acquire);
            locked = self.orderings.consistent(Access::LookAgain, look) != 0 && self.try_lock();
        }
    }

    /// fill_whole, for one view.
    fn fill_whole(&self, view: View) -> bool {
        let refill = &self.refill;
        let tail = refill.tail.load(Relaxed) as usize;
        let filled = tail < refill.room && self.take_whole(view);
        if filled {
            // SAFETY: as in fill.
            refill.entries[tail].with_mut(|entry| unsafe { *entry = view.hold });
        }
        self.publish(tail as u32 + u32::from(filled));
        filled
    }

    /// zrx_refill_whole, zrx_refill_one: the owner puts a chunk of one view into the ring, if nothing is in the way.
    pub fn give_whole(&self, view: View) -> bool {
        if !self.try_lock() {
            return false;
        }
        // SAFETY: under the lock.
        let free = unsafe {
            !self.refill.closed.with(|closed| *closed)
                && self.refill.backlog.with(|backlog| (*backlog).head) == 0
        };
        let given = free && self.fill_whole(view);
        self.unlock();
        let look = || self.returned.load(Acquire);
        if self.orderings.consistent(Access::LookAfterWhole, look) != 0 {
            self.give(Chain::default(), By::Owner);
        }
        given
    }

    /// zrx_refill_close: nobody fills afterwards. Gives the tail that there was.
    pub fn close(&self) -> u32 {
        while !self.try_lock() {
            loom::thread::yield_now();
        }
        // SAFETY: under the lock.
        self.refill.closed.with_mut(|closed| unsafe { *closed = true });
        let tail = self.refill.tail.load(Relaxed);
        self.unlock();
        tail
    }

    /// The kernel's side: the chunks that the ring tells of, once for each reference.
    pub fn ring(&self) -> Vec<u32> {
        let tail = self.refill.tail.load(Acquire) as usize;
        // SAFETY: loom checks that entries below the tail are no longer written.
        self.refill.entries[..tail]
            .iter()
            .map(|entry| entry.with(|chunk| unsafe { *chunk }))
            .collect()
    }

    /// References that the ring had no room for: only when nobody drains.
    pub fn backlog(&self) -> u32 {
        // SAFETY: as above.
        self.refill.backlog.with(|backlog| unsafe { (*backlog).references })
    }
}
