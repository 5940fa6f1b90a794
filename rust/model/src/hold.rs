// SPDX-License-Identifier: MIT
//! `core/hold.c`, and what `core/buffer.c` and `core/row.c` do with a hold's word.

use std::sync::atomic::Ordering::{Relaxed, Release};

use loom::cell::UnsafeCell;
use loom::sync::atomic::{AtomicU32, AtomicU64};

use crate::{Access, Area};

const VIEWS: u32 = 23;
const OUT: u64 = (1 << VIEWS) - 1;
const RETURNING: u64 = 1 << VIEWS;
pub const REFERENCE: u64 = 1 << 24;
const REFERENCES: u64 = 255;
const LOW: u64 = u32::MAX as u64;
/// Spare holds; enough for every test.
const SPARES: u32 = 2;

/// A buffer's handle.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct View {
    /// The hold's index.
    pub hold: u32,
    /// Which of its views.
    pub view: u32,
    /// In which of its times.
    pub epoch: u32,
}

/// Holds on their way back, linked; index + 1, 0 is none.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Chain {
    pub(crate) head: u32,
    pub(crate) tail: u32,
    /// Of the kernel's, in all of them.
    pub references: u32,
}

/// Who has a chunk.
pub struct Hold {
    /// Epoch, the kernel's references, returning, and a bit for each view that is out.
    pub word: AtomicU64,
    pub next: UnsafeCell<u32>,
    /// The owner's: how many views it began in this epoch.
    begun: UnsafeCell<u32>,
    /// Of a spare one, written by the owner before it is begun.
    chunk: UnsafeCell<u32>,
}

/// The owner's list of spare holds.
pub struct Spare(Vec<u32>);

impl Spare {
    pub fn new(chunks: usize) -> Self {
        Self((0..SPARES).map(|number| chunks as u32 + number).collect())
    }
}

impl Hold {
    fn new(views: u32, chunk: u32) -> Self {
        let views_out = u64::from(views) * REFERENCE + ((1 << views) - 1);
        let word = if views == 0 { 0 } else { (1 << 32) + views_out };
        Self {
            word: AtomicU64::new(word),
            next: UnsafeCell::new(0),
            begun: UnsafeCell::new(views),
            chunk: UnsafeCell::new(chunk),
        }
    }

    pub fn table(views: &[u32]) -> Vec<Self> {
        let own = views.iter().enumerate().map(|(index, &views)| Self::new(views, index as u32));
        own.chain((0..SPARES).map(|_| Self::new(0, u32::MAX))).collect()
    }
}

/// How many of the kernel's references a word has.
pub fn references(word: u64) -> u32 {
    ((word & LOW) / REFERENCE) as u32
}

impl Area {
    fn hold(&self, index: u32) -> &Hold {
        &self.holds[index as usize]
    }

    /// zrx_hold_chunk.
    pub(crate) fn chunk(&self, hold: u32) -> u32 {
        // SAFETY: loom checks that the owner wrote it before.
        self.hold(hold).chunk.with(|chunk| unsafe { *chunk })
    }

    pub(crate) fn next(&self, at: u32) -> u32 {
        // SAFETY: loom checks that only one thread has the hold.
        self.hold(at - 1).next.with(|next| unsafe { *next })
    }

    pub(crate) fn link(&self, at: u32, to: u32) {
        // SAFETY: as above.
        self.hold(at - 1).next.with_mut(|next| unsafe { *next = to });
    }

    pub(crate) fn word(&self, hold: u32) -> u64 {
        self.hold(hold).word.load(Relaxed)
    }

    /// claim: take the view out of its hold, and put the hold before the chain if that was the last one. False:
    /// released already.
    pub fn claim(&self, view: View, chain: &mut Chain) -> bool {
        let word_now = &self.hold(view.hold).word;
        let mut word = word_now.load(Relaxed);
        let mut left;
        loop {
            if (word >> 32) as u32 != view.epoch || word >> view.view & 1 == 0 {
                return false;
            }
            left = word - (1 << view.view);
            if left & OUT == 0 {
                left |= RETURNING;
            }
            match word_now.compare_exchange(word, left, self.orderings.claim(), Relaxed) {
                Ok(_) => break,
                Err(found) => word = found,
            }
        }
        if left & OUT == 0 {
            self.link(view.hold + 1, chain.head);
            chain.head = view.hold + 1;
            if chain.tail == 0 {
                chain.tail = chain.head;
            }
            chain.references += references(left);
        }
        true
    }

    /// zrx_hold_take_whole: the owner takes back a hold that has one view and one reference, at once. The core's exchange
    /// acquires and releases; nobody else writes to such a hold, so what holds here with less holds there.
    pub fn take_whole(&self, view: View) -> bool {
        let idle = u64::from(view.epoch) << 32;
        let is_own = view.view == 0 && (view.hold as usize) < self.bytes.len();
        let word = &self.hold(view.hold).word;
        let first = idle + REFERENCE + 1;
        if !is_own || word.compare_exchange(first, idle, Relaxed, Relaxed).is_err() {
            return false;
        }
        // SAFETY: the owner's alone.
        self.rested.with_mut(|rested| unsafe { (*rested).push(view.hold) });
        true
    }

    /// zrx_row_first: the owner begins an idle hold with one view. `None`: it is not idle.
    fn first(&self, index: u32) -> Option<View> {
        let word = self.word(index);
        if word & LOW != 0 {
            return None;
        }
        let epoch = (word >> 32) + 1;
        let hold = self.hold(index);
        // SAFETY: the owner's alone.
        hold.begun.with_mut(|begun| unsafe { *begun = 1 });
        hold.word.store(epoch << 32 | REFERENCE | 1, Relaxed);
        Some(View { hold: index, view: 0, epoch: epoch as u32 })
    }

    /// zrx_hold_join: the owner adds a view to a hold that is out. `None`: it is no longer.
    pub fn join(&self, index: u32) -> Option<View> {
        let hold = self.hold(index);
        // SAFETY: the owner's alone.
        let begun = hold.begun.with(|begun| unsafe { *begun });
        let mut word = hold.word.load(Relaxed);
        if begun == VIEWS || u64::from(references(word)) == REFERENCES {
            return None;
        }
        loop {
            if word & OUT == 0 {
                return None;
            }
            let more = (word + REFERENCE) | 1 << begun;
            match hold.word.compare_exchange(word, more, Relaxed, Relaxed) {
                Ok(_) => break,
                Err(found) => word = found,
            }
        }
        // SAFETY: as above.
        hold.begun.with_mut(|begun| unsafe { *begun += 1 });
        Some(View { hold: index, view: begun, epoch: (word >> 32) as u32 })
    }

    /// zrx_hold_refer: one more reference for a view that the owner has not handed on yet.
    pub fn refer(&self, view: View) {
        assert!(u64::from(references(self.word(view.hold))) < REFERENCES);
        self.hold(view.hold).word.fetch_add(REFERENCE, Relaxed);
    }

    /// zrx_row_shared: the owner gets bytes in a chunk, whose own hold may still be on its way back.
    pub fn receive(&self, chunk: u32) -> View {
        if let Some(view) = self.first(chunk) {
            return view;
        }
        // SAFETY: the owner's alone.
        let spare = self.spare.with_mut(|spare| unsafe { (*spare).0.pop() });
        let spare = spare.expect("there are enough for every test");
        // SAFETY: it is idle, so nobody has it.
        self.hold(spare).chunk.with_mut(|of| unsafe { *of = chunk });
        self.first(spare).expect("a spare one is idle")
    }

    /// zrx_hold_rest, for all that a list held.
    pub(crate) fn rest_all(&self, head: u32) {
        let mut at = head;
        while at != 0 {
            let index = at - 1;
            at = self.next(at);
            let word = self.word(index);
            assert_eq!(word & OUT, 0, "a view of it is out");
            self.hold(index).word.store(word & !LOW, Relaxed);
            // SAFETY: the owner's alone.
            unsafe {
                if index as usize >= self.bytes.len() {
                    self.spare.with_mut(|spare| (*spare).0.push(index));
                }
                self.rested.with_mut(|rested| (*rested).push(index));
            }
        }
    }

    /// Onto the list of returned holds.
    pub fn push(&self, chain: Chain) {
        self.push_to(&self.returned, chain);
    }

    /// zrx_chain_push.
    pub(crate) fn push_to(&self, list: &AtomicU32, chain: Chain) {
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

    /// zrx_chain_measure.
    pub(crate) fn measure(&self, head: u32) -> Chain {
        let mut chain = Chain { head, ..Chain::default() };
        let mut at = head;
        while at != 0 {
            chain.tail = at;
            chain.references += references(self.word(at - 1));
            at = self.next(at);
        }
        chain
    }

    /// Whether nothing of it is out, nor on its way back.
    pub fn is_idle(&self, hold: u32) -> bool {
        self.word(hold) & LOW == 0
    }
}
