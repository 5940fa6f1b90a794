// SPDX-License-Identifier: MIT
//! The core's release protocol, in Rust, for a model checker: what `core/buffer.c`, `core/hold.c`, `core/refill.c` and the
//! sleeping part of `core/receiver.c` do with memory that threads share, step by step and with the same orderings. The
//! tests run every interleaving of it that loom finds.
//!
//! Loom takes sequentially consistent accesses for acquire and release only. Compilers make them of weaker ones with
//! fences before or after some or all of them; the model does it in several ways ([`Fences`]), and can make one access at
//! a time weaker than the core's ([`Access`]) to show that it has to be as strong as it is.

mod hold;
mod refill;

use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release, SeqCst};

use loom::cell::UnsafeCell;
use loom::sync::atomic::{AtomicU32, fence};

pub use hold::{Chain, View};

use hold::{Hold, Spare};
use refill::Refill;

/// Where the fences of sequentially consistent accesses stand.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fences {
    /// Before each.
    Before,
    /// After each.
    After,
    /// After those that write. A fence is more than such an access has to be: in the other ways one stands between a claim
    /// and the owner, and acquires for both.
    AfterWrites,
}

impl Fences {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Before, Self::After, Self::AfterWrites];
}

/// The core's accesses to shared memory that order others.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Access {
    /// claim: the exchange that takes a view out of its hold; that it releases.
    ClaimRelease,
    /// The same exchange; that it acquires.
    ClaimAcquire,
    /// zrx_chain_push: the exchange of the list's head; sequentially consistent.
    Push,
    /// settle_list, zrx_refill_to_do: the first look at the list; sequentially consistent.
    LookBeforeSleep,
    /// settle_list: taking the list; acquire.
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
    /// zrx_refill_whole, zrx_refill_one: the same look; sequentially consistent.
    LookAfterWhole,
    /// publish: the ring's tail; release.
    Tail,
}

impl Access {
    fn is_look(self) -> bool {
        matches!(
            self,
            Self::LookBeforeSleep | Self::SeeWhoSleeps | Self::LookAgain | Self::LookAfterWhole
        )
    }

    /// All of them.
    pub const ALL: [Self; 13] = [
        Self::ClaimRelease,
        Self::ClaimAcquire,
        Self::Push,
        Self::LookBeforeSleep,
        Self::Collect,
        Self::AskToBeWoken,
        Self::SeeWhoSleeps,
        Self::Lock,
        Self::Unlock,
        Self::Settle,
        Self::LookAgain,
        Self::LookAfterWhole,
        Self::Tail,
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
        let after = match self.fences {
            Fences::Before => false,
            Fences::After => true,
            Fences::AfterWrites => !access.is_look(),
        };
        if strong && after {
            fence(SeqCst);
        }
        result
    }

    fn acquire(self, access: Access) -> std::sync::atomic::Ordering {
        if self.is_weak(access) { Relaxed } else { Acquire }
    }

    fn claim(self) -> std::sync::atomic::Ordering {
        match self.weakened {
            Some(Access::ClaimRelease) => Acquire,
            Some(Access::ClaimAcquire) => Release,
            _ => AcqRel,
        }
    }
}

/// Who does it: the core knows its owner by the thread.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum By {
    /// The thread that receives.
    Owner,
    /// Any other.
    Other,
}

/// What threads share.
pub struct Area {
    orderings: Orderings,
    /// What the chunks show.
    bytes: Vec<UnsafeCell<u32>>,
    /// The chunks' own, and behind them the spare ones.
    holds: Vec<Hold>,
    /// The owner's.
    spare: UnsafeCell<Spare>,
    /// The owner's: holds that came back to it, in that order.
    rested: UnsafeCell<Vec<u32>>,
    returned: AtomicU32,
    settled: AtomicU32,
    waiting: AtomicU32,
    /// Signals of the eventfd that wakes the owner.
    signals: AtomicU32,
    refill: Refill,
}

// SAFETY: the cells are what loom watches; a race on one fails the test.
unsafe impl Sync for Area {}
// SAFETY: as above.
unsafe impl Send for Area {}

impl Area {
    /// An area in each of whose chunks so many views are out, in the epoch 1; with room for `room` references in the
    /// refill ring.
    pub fn new(orderings: Orderings, views: &[u32], room: usize) -> Self {
        Self {
            orderings,
            bytes: views.iter().map(|_| UnsafeCell::new(0)).collect(),
            holds: Hold::table(views),
            spare: UnsafeCell::new(Spare::new(views.len())),
            rested: UnsafeCell::new(Vec::new()),
            returned: AtomicU32::new(0),
            settled: AtomicU32::new(0),
            waiting: AtomicU32::new(0),
            signals: AtomicU32::new(0),
            refill: Refill::new(room),
        }
    }

    /// Read a view, as whoever holds it may.
    pub fn read(&self, view: View) -> u32 {
        // SAFETY: loom checks that nobody writes meanwhile.
        self.bytes[self.chunk(view.hold) as usize].with(|bytes| unsafe { *bytes })
    }

    /// Write a chunk, as the kernel may once all of its references are back.
    pub fn write(&self, chunk: u32, value: u32) {
        // SAFETY: loom checks that nobody reads meanwhile.
        self.bytes[chunk as usize].with_mut(|bytes| unsafe { *bytes = value });
    }

    /// settle_list: the owner takes what other threads put onto a list, and lets it rest.
    fn settle_list(&self, list: &AtomicU32) {
        let look = || list.load(Acquire);
        if self.orderings.consistent(Access::LookBeforeSleep, look) == 0 {
            return;
        }
        self.rest_all(list.swap(0, self.orderings.acquire(Access::Collect)));
    }

    /// collect, on a copying engine.
    pub fn collect(&self) {
        self.settle_list(&self.returned);
    }

    /// collect, on an engine with a refill ring.
    pub fn collect_from_ring(&self) {
        let look = || self.returned.load(Acquire);
        if self.orderings.consistent(Access::LookBeforeSleep, look) != 0 {
            self.give(Chain::default(), By::Owner);
        }
        self.settle_list(&self.settled);
    }

    /// The holds that have come back to the owner since it last asked.
    pub fn take_rested(&self) -> Vec<u32> {
        // SAFETY: the owner's alone; loom checks that.
        self.rested.with_mut(|rested| unsafe { std::mem::take(&mut *rested) })
    }

    /// may_sleep: say what to be woken for, before looking once more whether it has come meanwhile.
    pub fn ask_to_be_woken(&self) {
        self.orderings.consistent(Access::AskToBeWoken, || self.waiting.store(1, Release));
    }

    /// wake_waiter, after the holds were handed on.
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

    /// Whether returned holds are left behind.
    pub fn is_drained(&self) -> bool {
        self.returned.load(SeqCst) == 0
    }
}
