// SPDX-License-Identifier: MIT
//! The core's release protocol, in Rust, for a model checker: what `core/buffer.c`, `core/slot.c`, `core/refill.c` and
//! the sleeping part of `core/receiver.c` do with memory that threads share, step by step and with the same
//! orderings. The tests run every interleaving of it that loom finds.
//!
//! Loom takes sequentially consistent accesses for acquire and release only. Compilers make them of weaker ones with a
//! fence before each, or with one after each; the model does it in both ways ([`Fences`]), and can make one
//! access at a time weaker than the core's ([`Access`]) to show that it has to be as strong as it is.

use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release, SeqCst};

use loom::cell::UnsafeCell;
use loom::sync::atomic::{AtomicU32, fence};

/// Where the fence of each sequentially consistent access stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fences {
    /// Before it.
    Before,
    /// After it.
    After,
}

/// The core's accesses to shared memory that order others.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Access {
    /// zrx_chain_push: the exchange of the list's head; sequentially consistent.
    Push,
    /// collect: the first look at the list; sequentially consistent.
    LookBeforeSleep,
    /// collect: taking the list; acquire.
    Collect,
    /// may_sleep: saying what to be woken for; sequentially consistent.
    AskToBeWoken,
    /// wake_waiter: the look at what the owner said; sequentially consistent.
    SeeWhoSleeps,
    /// try_lock; sequentially consistent.
    Lock,
    /// unlock; sequentially consistent.
    Unlock,
    /// settle: taking the list; acquire.
    Settle,
    /// zrx_refill_give: the look at the list after unlock; sequentially consistent.
    LookAgain,
    /// fill: the ring's tail; release.
    Tail,
    /// zrx_slots_reserve: taking the slots that other threads freed; acquire.
    Reserve,
}

impl Access {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::Push,
        Self::LookBeforeSleep,
        Self::Collect,
        Self::AskToBeWoken,
        Self::SeeWhoSleeps,
        Self::Lock,
        Self::Unlock,
        Self::Settle,
        Self::LookAgain,
        Self::Tail,
        Self::Reserve,
    ];
}

/// How the orderings are modelled.
#[derive(Clone, Copy, Debug)]
pub struct Orderings {
    /// What sequentially consistent accesses are made of.
    pub fences: Fences,
    /// This one is weaker than in the core: not sequentially consistent, or relaxed where it acquires or releases.
    pub weakened: Option<Access>,
}

impl Orderings {
    fn is_weak(self, access: Access) -> bool {
        self.weakened == Some(access)
    }

    /// Make a sequentially consistent access of one that acquires or releases.
    fn consistent<T>(self, access: Access, make: impl FnOnce() -> T) -> T {
        let strong = !self.is_weak(access);
        if strong && self.fences == Fences::Before {
            fence(SeqCst);
        }
        let result = make();
        if strong && self.fences == Fences::After {
            fence(SeqCst);
        }
        result
    }

    fn acquire(self, access: Access) -> std::sync::atomic::Ordering {
        if self.is_weak(access) { Relaxed } else { Acquire }
    }
}

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
    orderings: Orderings,
    slots: Vec<Slot>,
    returned: AtomicU32,
    freed: AtomicU32,
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
    pub fn new(orderings: Orderings, count: usize, room: usize) -> Self {
        let slot = |_| Slot {
            generation: AtomicU32::new(1),
            next: UnsafeCell::new(0),
            bytes: UnsafeCell::new(0),
        };
        Self {
            orderings,
            slots: (0..count).map(slot).collect(),
            returned: AtomicU32::new(0),
            freed: AtomicU32::new(0),
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

    /// Onto the list of returned slots.
    pub fn push(&self, chain: Chain) {
        self.push_to(&self.returned, chain);
    }

    /// zrx_chain_push.
    fn push_to(&self, list: &AtomicU32, chain: Chain) {
        // The core looks what is there first. Here a look would hide from loom that the exchange could have come before
        // another thread's look; a wrong guess only costs one more turn.
        let mut head = 0;
        loop {
            self.link(chain.tail, head);
            let pushed = self.orderings.consistent(Access::Push, || {
                list.compare_exchange(head, chain.head, Release, Relaxed)
            });
            match pushed {
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

    /// The slots of a list that was taken whole.
    fn indexes(&self, head: u32) -> Vec<u32> {
        let mut at = head;
        let mut indexes = Vec::new();
        while at != 0 {
            indexes.push(at - 1);
            at = self.next(at);
        }
        indexes
    }

    /// collect: the owner takes what other threads returned. Gives the slots' indexes.
    pub fn collect(&self) -> Vec<u32> {
        let look = || self.returned.load(Acquire);
        if self.orderings.consistent(Access::LookBeforeSleep, look) == 0 {
            return Vec::new();
        }
        self.indexes(self.returned.swap(0, self.orderings.acquire(Access::Collect)))
    }

    /// zrx_slots_reserve: the owner takes the slots whose buffers are in the refill ring, to use them again.
    pub fn reserve(&self) -> Vec<u32> {
        if self.freed.load(Relaxed) == 0 {
            return Vec::new();
        }
        self.indexes(self.freed.swap(0, self.orderings.acquire(Access::Reserve)))
    }

    /// may_sleep: say what to be woken for, then look once more. Gives what came meanwhile; nothing: go to sleep.
    pub fn before_sleep(&self) -> Vec<u32> {
        self.orderings.consistent(Access::AskToBeWoken, || self.waiting.store(1, Release));
        self.collect()
    }

    /// wake_waiter, after the push.
    pub fn wake_waiter(&self) {
        let see = || self.waiting.load(Acquire);
        if self.orderings.consistent(Access::SeeWhoSleeps, see) != 0
            && self.waiting.swap(0, Relaxed) != 0
        {
            self.signals.fetch_add(1, SeqCst);
        }
    }

    /// How often the sleeping owner was woken.
    pub fn signals(&self) -> u32 {
        self.signals.load(SeqCst)
    }

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

    /// fill: as much of the chain as there is room for; gives the rest.
    fn fill(&self, mut chain: Chain) -> Chain {
        let refill = &self.refill;
        let mut tail = refill.tail.load(Relaxed);
        let mut done = Chain { head: chain.head, ..Chain::default() };
        while chain.head != 0 && (tail as usize) < refill.room {
            let slot = chain.head - 1;
            // SAFETY: loom checks that only the holder of the lock writes, before the tail tells of it.
            refill.entries[tail as usize].with_mut(|entry| unsafe { *entry = slot });
            done.tail = chain.head;
            done.count += 1;
            chain.head = self.next(chain.head);
            chain.count -= 1;
            tail += 1;
        }
        if done.count == 0 {
            return chain;
        }
        let release = if self.orderings.is_weak(Access::Tail) { Relaxed } else { Release };
        refill.tail.store(tail, release);
        self.push_to(&self.freed, done);
        chain
    }

    fn join(&self, first: Chain, second: Chain) -> Chain {
        if first.count == 0 || second.count == 0 {
            return if first.count == 0 { second } else { first };
        }
        self.link(first.tail, second.head);
        Chain { tail: second.tail, count: first.count + second.count, ..first }
    }

    /// settle: the backlog, what others returned and the chain go into the ring, by whoever has the lock.
    fn settle(&self, chain: Chain) {
        let head = match self.returned.load(Relaxed) {
            0 => 0,
            _ => self.returned.swap(0, self.orderings.acquire(Access::Settle)),
        };
        // SAFETY: loom checks that the lock protects both.
        unsafe {
            if self.refill.closed.with(|closed| *closed) {
                return;
            }
            let chain = self.join(self.measure(head), chain);
            let backlog = self.refill.backlog.with(|backlog| *backlog);
            let rest = self.fill(self.join(backlog, chain));
            self.refill.backlog.with_mut(|backlog| *backlog = rest);
        }
    }

    /// zrx_refill_give: into the ring, or onto the list for the one who has the lock.
    pub fn give(&self, mut chain: Chain) {
        let mut locked = self.try_lock();
        if !locked && chain.count > 0 {
            self.push(chain);
            chain = Chain::default();
            locked = self.try_lock();
        }
        while locked {
            self.settle(chain);
            chain = Chain::default();
            self.unlock();
            let look = || self.returned.load(Acquire);
            locked = self.orderings.consistent(Access::LookAgain, look) != 0 && self.try_lock();
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
