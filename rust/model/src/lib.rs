// SPDX-License-Identifier: MIT
//! The core's release protocol, in Rust, for a model checker: what `core/buffer.c`, `core/slot.c`, `core/refill.c` and
//! the sleeping part of `core/receiver.c` do with memory that threads share, step by step and with the same
//! orderings. The tests run every interleaving of it that loom finds.
//!
//! Loom takes sequentially consistent accesses for acquire and release only. Where the core relies on more, that of two
//! threads one sees what the other did first, the model puts a fence between the two accesses.

use std::sync::atomic::Ordering::{Acquire, Relaxed, Release, SeqCst};

use loom::cell::UnsafeCell;
use loom::sync::atomic::{AtomicU32, fence};

/// Entries of the refill ring; enough for every test, except the one that wants it full.
const RING: usize = 4;

/// One buffer that is out: odd generation, and what it shows.
struct Slot {
    generation: AtomicU32,
    next: UnsafeCell<u32>,
    bytes: UnsafeCell<u32>,
}

/// Released slots, linked; index + 1, 0 is none.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Chain {
    head: u32,
    tail: u32,
    /// How many.
    pub count: u32,
}

/// What threads share.
pub struct Area {
    slots: Vec<Slot>,
    returned: AtomicU32,
    waiting: AtomicU32,
    /// Signals of the eventfd that wakes the owner.
    signals: AtomicU32,
    refill: Refill,
}

struct Refill {
    lock: AtomicU32,
    room: usize,
    closed: UnsafeCell<bool>,
    backlog: UnsafeCell<Chain>,
    tail: AtomicU32,
    entries: Vec<UnsafeCell<u32>>,
}

// SAFETY: the cells are what loom watches; a race on one fails the test.
unsafe impl Sync for Area {}
// SAFETY: as above.
unsafe impl Send for Area {}

impl Area {
    /// An area whose `count` buffers are out, with room for `room` of them in the refill ring.
    pub fn new(count: usize, room: usize) -> Self {
        let slot = |_| Slot {
            generation: AtomicU32::new(1),
            next: UnsafeCell::new(0),
            bytes: UnsafeCell::new(0),
        };
        Self {
            slots: (0..count).map(slot).collect(),
            returned: AtomicU32::new(0),
            waiting: AtomicU32::new(0),
            signals: AtomicU32::new(0),
            refill: Refill {
                lock: AtomicU32::new(0),
                room,
                closed: UnsafeCell::new(false),
                backlog: UnsafeCell::new(Chain::default()),
                tail: AtomicU32::new(0),
                entries: (0..RING).map(|_| UnsafeCell::new(u32::MAX)).collect(),
            },
        }
    }

    /// Read a buffer, as whoever holds it may.
    pub fn read(&self, index: u32) -> u32 {
        // SAFETY: loom checks that nobody writes meanwhile.
        self.slots[index as usize].bytes.with(|bytes| unsafe { *bytes })
    }

    /// Write a buffer, as the kernel may once it is given back.
    pub fn write(&self, index: u32, value: u32) {
        // SAFETY: loom checks that nobody reads meanwhile.
        self.slots[index as usize].bytes.with_mut(|bytes| unsafe { *bytes = value });
    }

    fn next(&self, at: u32) -> u32 {
        // SAFETY: as above.
        self.slots[at as usize - 1].next.with(|next| unsafe { *next })
    }

    fn link(&self, at: u32, to: u32) {
        // SAFETY: as above.
        self.slots[at as usize - 1].next.with_mut(|next| unsafe { *next = to });
    }

    /// claim: mark a slot free and put it before the chain. False: released already.
    pub fn claim(&self, index: u32, chain: &mut Chain) -> bool {
        let generation = &self.slots[index as usize].generation;
        if generation.compare_exchange(1, 2, Relaxed, Relaxed).is_err() {
            return false;
        }
        self.link(index + 1, chain.head);
        chain.head = index + 1;
        if chain.tail == 0 {
            chain.tail = chain.head;
        }
        chain.count += 1;
        true
    }

    /// zrx_chain_push, onto the list of returned slots.
    pub fn push(&self, chain: Chain) {
        let mut head = self.returned.load(Relaxed);
        loop {
            self.link(chain.tail, head);
            match self.returned.compare_exchange(head, chain.head, SeqCst, Relaxed) {
                Ok(_) => return,
                Err(found) => head = found,
            }
        }
    }

    /// A chain as taken off the list: its end and length.
    fn measure(&self, head: u32) -> Chain {
        let mut chain = Chain { head, ..Chain::default() };
        let mut at = head;
        while at != 0 {
            chain.tail = at;
            chain.count += 1;
            at = self.next(at);
        }
        chain
    }

    /// collect: the owner takes what other threads returned. Gives the slots' indexes.
    pub fn collect(&self) -> Vec<u32> {
        if self.returned.load(SeqCst) == 0 {
            return Vec::new();
        }
        let mut at = self.returned.swap(0, Acquire);
        let mut collected = Vec::new();
        while at != 0 {
            collected.push(at - 1);
            at = self.next(at);
        }
        collected
    }

    /// may_sleep: say what to be woken for, then look once more. Gives what came meanwhile; nothing: go to sleep.
    pub fn before_sleep(&self) -> Vec<u32> {
        self.waiting.store(1, SeqCst);
        fence(SeqCst);
        self.collect()
    }

    /// wake_waiter, after the push.
    pub fn wake_waiter(&self) {
        fence(SeqCst);
        if self.waiting.load(SeqCst) != 0 && self.waiting.swap(0, SeqCst) != 0 {
            self.signals.fetch_add(1, SeqCst);
        }
    }

    /// How often the sleeping owner was woken.
    pub fn signals(&self) -> u32 {
        self.signals.load(SeqCst)
    }

    fn try_lock(&self) -> bool {
        fence(SeqCst);
        self.refill.lock.swap(1, SeqCst) == 0
    }

    fn unlock(&self) {
        // A store in the core. Loom does not order a store after the exchange of a thread that found the lock
        // taken, though that exchange read what this thread wrote before it; an exchange it does order.
        self.refill.lock.swap(0, SeqCst);
        fence(SeqCst);
    }

    /// fill: as much of the chain as there is room for; gives the rest.
    fn fill(&self, mut chain: Chain) -> Chain {
        let refill = &self.refill;
        let mut tail = refill.tail.load(Relaxed);
        while chain.head != 0 && (tail as usize) < refill.room {
            let slot = chain.head - 1;
            // SAFETY: loom checks that only the holder of the lock writes, before the tail tells of it.
            refill.entries[tail as usize].with_mut(|entry| unsafe { *entry = slot });
            chain.head = self.next(chain.head);
            chain.count -= 1;
            tail += 1;
        }
        refill.tail.store(tail, Release);
        chain
    }

    fn join(&self, first: Chain, second: Chain) -> Chain {
        if first.count == 0 || second.count == 0 {
            return if first.count == 0 { second } else { first };
        }
        self.link(first.tail, second.head);
        Chain { tail: second.tail, count: first.count + second.count, ..first }
    }

    /// zrx_refill_drain: whoever gets the lock empties the list into the ring, on behalf of all.
    pub fn drain(&self) {
        while self.try_lock() {
            let head = self.returned.swap(0, Acquire);
            // SAFETY: loom checks that the lock protects both.
            unsafe {
                if !self.refill.closed.with(|closed| *closed) {
                    let backlog = self.refill.backlog.with(|backlog| *backlog);
                    let rest = self.fill(self.join(backlog, self.measure(head)));
                    self.refill.backlog.with_mut(|backlog| *backlog = rest);
                }
            }
            self.unlock();
            if self.returned.load(SeqCst) == 0 {
                break;
            }
        }
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

    /// The kernel's side: the slots that the ring tells of.
    pub fn ring(&self) -> Vec<u32> {
        let tail = self.refill.tail.load(Acquire) as usize;
        // SAFETY: loom checks that entries below the tail are no longer written.
        self.refill.entries[..tail]
            .iter()
            .map(|entry| entry.with(|slot| unsafe { *slot }))
            .collect()
    }

    /// Released, but the ring was full: only when nobody drains.
    pub fn backlog(&self) -> u32 {
        // SAFETY: as above.
        self.refill.backlog.with(|backlog| unsafe { (*backlog).count })
    }

    /// Whether returned slots are left behind.
    pub fn is_drained(&self) -> bool {
        self.returned.load(SeqCst) == 0
    }
}
