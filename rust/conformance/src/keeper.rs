// SPDX-License-Identifier: MIT
//! Keeps buffers and releases them as the scenario says, on this and on other threads.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::{self, JoinHandle, sleep};
use std::time::Duration;

use zcrx::{Buffer, Handle};

use crate::payload::Payload;
use crate::scenario::{Hold, Order, Scenario};
use crate::{Failure, fail};

const WATCH: Duration = Duration::from_millis(1);
/// What a release thread takes at once where the scenario does not say.
const SHARE: usize = 64;

pub struct Held {
    pub buffer: Buffer,
    pub stream: u64,
    pub offset: u64,
}

#[derive(Default)]
struct Lists {
    held: VecDeque<Held>,
    /// For the release threads.
    due: VecDeque<Held>,
    /// Release threads at work.
    busy: usize,
    random: u32,
    closing: bool,
}

struct Shared {
    lists: Mutex<Lists>,
    changed: Condvar,
    watching: AtomicBool,
    payload: Payload,
    order: Order,
    release_batch: usize,
    threads: usize,
}

pub struct Keeper {
    shared: Arc<Shared>,
    releasers: Vec<JoinHandle<()>>,
    watcher: Option<JoinHandle<()>>,
}

impl Shared {
    fn lists(&self) -> MutexGuard<'_, Lists> {
        self.lists.lock().expect("no thread panics and lives on")
    }

    /// Check each once more, then release them in batches.
    fn release(&self, items: Vec<Held>) {
        let batch = if self.release_batch == 0 { items.len() } else { self.release_batch };
        let mut going = Vec::new();
        for held in items {
            self.check(&held);
            if batch == 1 {
                drop(held.buffer);
                continue;
            }
            going.push(held.buffer);
            if going.len() == batch {
                Buffer::release_all(&mut going);
            }
        }
        Buffer::release_all(&mut going);
    }

    fn check(&self, held: &Held) {
        let good = self.payload.check(&held.buffer, held.stream, held.offset);
        assert!(
            good == held.buffer.len(),
            "a held buffer has changed: stream {}, offset {}",
            held.stream,
            held.offset + good as u64
        );
    }

    /// Release all but `left` of what is held.
    fn release_held(&self, left: usize) {
        let going = {
            let mut lists = self.lists();
            let count = lists.held.len().saturating_sub(left);
            let going: Vec<Held> = (0..count).filter_map(|_| lists.pick(self.order)).collect();
            if self.threads > 0 {
                lists.due.extend(going);
                self.changed.notify_all();
                return;
            }
            going
        };
        self.release(going);
    }

    /// A release thread.
    fn release_due(&self) {
        let share = if self.release_batch == 0 { SHARE } else { self.release_batch };
        let mut lists = self.lists();
        while !lists.due.is_empty() || !lists.closing {
            if lists.due.is_empty() {
                lists = self.changed.wait(lists).expect("no thread panics and lives on");
                continue;
            }
            let count = share.min(lists.due.len());
            let mine = lists.due.drain(..count).collect();
            lists.busy += 1;
            drop(lists);
            self.release(mine);
            lists = self.lists();
            lists.busy -= 1;
            self.changed.notify_all();
        }
    }

    /// The thread of hold=parked.
    fn watch(&self, handle: &Handle, park: Duration) {
        while self.watching.load(Ordering::Relaxed) {
            sleep(WATCH);
            if handle.stats().is_some_and(|stats| stats.parked > 0) {
                sleep(park);
                self.release_held(0);
            }
        }
    }
}

impl Lists {
    fn pick(&mut self, order: Order) -> Option<Held> {
        match order {
            Order::Fifo => self.held.pop_front(),
            Order::Lifo => self.held.pop_back(),
            Order::Random => {
                self.random = self.random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                let index = (self.random >> 8) as usize % self.held.len().max(1);
                self.held.swap_remove_front(index)
            }
        }
    }
}

impl Keeper {
    pub fn start(scenario: &Scenario, handle: Handle) -> Self {
        let shared = Arc::new(Shared {
            lists: Mutex::new(Lists { random: scenario.seed as u32, ..Lists::default() }),
            changed: Condvar::new(),
            watching: AtomicBool::new(true),
            payload: Payload::new(scenario.seed),
            order: scenario.order,
            release_batch: scenario.release_batch,
            threads: scenario.release_threads,
        });
        let releaser = |_| {
            let shared = shared.clone();
            thread::spawn(move || shared.release_due())
        };
        let releasers = (0..scenario.release_threads).map(releaser).collect();
        let watcher = (scenario.hold == Hold::Parked).then(|| {
            let shared = shared.clone();
            let park = Duration::from_millis(scenario.park_ms);
            thread::spawn(move || shared.watch(&handle, park))
        });
        Self { shared, releasers, watcher }
    }

    pub fn hold(&self, held: Held) {
        self.shared.lists().held.push_back(held);
    }

    pub fn held(&self) -> usize {
        self.shared.lists().held.len()
    }

    pub fn release(&self, left: usize) {
        self.shared.release_held(left);
    }

    /// Release everything, and wait until it is.
    pub fn drain(&self) {
        self.shared.release_held(0);
        let idle = |lists: &mut Lists| !lists.due.is_empty() || lists.busy > 0;
        drop(self.shared.changed.wait_while(self.shared.lists(), idle));
    }

    pub fn stop_watching(&mut self) {
        self.shared.watching.store(false, Ordering::Relaxed);
        if let Some(watcher) = self.watcher.take() {
            watcher.join().expect("the watcher does not panic");
        }
    }

    pub fn stop(mut self) {
        self.stop_watching();
        self.drain();
        self.shared.lists().closing = true;
        self.shared.changed.notify_all();
        for releaser in self.releasers.drain(..) {
            releaser.join().expect("release threads do not panic");
        }
    }

    /// Fork; the child checks and releases what is held, and is gone.
    pub fn fork(&self) -> Result<(), Failure> {
        let mut lists = self.shared.lists();
        // SAFETY: the child is this thread's copy, holds the lock it needs, and leaves by _exit.
        let child = unsafe { libc::fork() };
        if child == 0 {
            for held in lists.held.drain(..) {
                self.shared.check(&held);
                drop(held.buffer);
            }
            // SAFETY: ends the process.
            unsafe { libc::_exit(0) };
        }
        let mut status = 0;
        // SAFETY: waits for a child of this process, if there is one.
        if child < 0 || unsafe { libc::waitpid(child, &mut status, 0) } != child || status != 0 {
            return Err(fail!("the forked child failed: status {status:x}"));
        }
        Ok(())
    }
}
