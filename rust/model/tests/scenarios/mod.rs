// SPDX-License-Identifier: MIT
//! Release against receive: each scenario is run in every interleaving, and panics if one goes wrong.

use loom::sync::Arc;
use loom::thread;
use zcrx_model::{Area, Chain, Orderings};

/// Every order of threads with at most so many switches where none was needed.
const PREEMPTIONS: usize = 3;

pub type Scenario = fn(Orderings);

/// How many buffers are out, and how many of them the refill ring takes.
#[derive(Clone, Copy)]
struct Size(usize, usize);

fn explore(model: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(PREEMPTIONS);
    builder.check(model);
}

/// Do `one` and `two` at once, then check. Each of them runs first once: loom looks at what else could have come
/// before an access only as far back as the last other access to the same memory.
fn race<A: 'static, B: 'static>(
    orderings: Orderings,
    Size(buffers, room): Size,
    one: fn(&Arc<Area>) -> A,
    two: fn(&Arc<Area>) -> B,
    check: fn(&Area, A, B),
) {
    explore(move || {
        let area = Arc::new(Area::new(orderings, buffers, room));
        let other = area.clone();
        let thread = thread::spawn(move || one(&other));
        let second = two(&area);
        check(&area, thread.join().expect("no panic"), second);
    });
    explore(move || {
        let area = Arc::new(Area::new(orderings, buffers, room));
        let other = area.clone();
        let thread = thread::spawn(move || two(&other));
        let first = one(&area);
        check(&area, first, thread.join().expect("no panic"));
    });
}

fn release(area: &Area, index: u32) -> Chain {
    let mut chain = Chain::default();
    assert_eq!(area.read(index), 0);
    assert!(area.claim(index, &mut chain));
    chain
}

/// As a release does it on engines with a refill ring.
fn give_back(area: &Area, index: u32) {
    area.give(release(area, index));
}

fn sorted(mut indexes: Vec<u32>) -> Vec<u32> {
    indexes.sort_unstable();
    indexes
}

pub fn of_two_releases_of_a_buffer_one_wins(orderings: Orderings) {
    let claim = |area: &Arc<Area>| area.claim(0, &mut Chain::default());
    race(orderings, Size(1, 4), claim, claim, |_, first, second| assert_ne!(first, second));
}

/// Copying engines: what two threads return reaches the owner once, and may then be written.
pub fn returned_buffers_reach_the_owner_once(orderings: Orderings) {
    let return_both = |area: &Arc<Area>| {
        let other = area.clone();
        let thread = thread::spawn(move || other.push(release(&other, 1)));
        area.push(release(area, 0));
        thread.join().expect("no panic");
    };
    let collect = |area: &Arc<Area>| {
        let collected = area.collect();
        for &index in &collected {
            area.write(index, 1); // a race if the release did not come before
        }
        collected
    };
    race(orderings, Size(2, 4), return_both, collect, |area, (), mut collected| {
        collected.extend(area.collect());
        assert_eq!(sorted(collected), [0, 1]);
    });
}

/// An owner that goes to sleep without having seen a returned buffer is woken.
pub fn a_sleeping_owner_is_woken(orderings: Orderings) {
    let return_it = |area: &Arc<Area>| {
        area.push(release(area, 0));
        area.wake_waiter();
    };
    let sleeps = |area: &Arc<Area>| area.before_sleep().is_empty();
    race(orderings, Size(1, 4), return_it, sleeps, |area, (), sleeps| {
        assert!(!sleeps || area.signals() > 0, "asleep for ever");
    });
}

/// zcrx engines: a thread that finds the lock taken leaves its slots to the holder, who does not miss them.
pub fn nothing_is_left_out_of_the_refill_ring(orderings: Orderings) {
    race(
        orderings,
        Size(2, 4),
        |area| give_back(area, 0),
        |area| give_back(area, 1),
        |area, (), ()| {
            assert_eq!(sorted(area.ring()), [0, 1]);
            assert!(area.is_drained());
        },
    );
}

/// What the ring tells of is written whole, and no longer read by whoever released it.
pub fn the_kernel_sees_whole_entries(orderings: Orderings) {
    let receive = |area: &Arc<Area>| {
        for index in area.ring() {
            area.write(index, 1);
        }
    };
    race(
        orderings,
        Size(1, 4),
        |area| give_back(area, 0),
        receive,
        |area, (), ()| {
            assert_eq!(area.ring(), [0]);
        },
    );
}

/// A slot is used again only after whoever freed it is done with it, and once.
pub fn freed_slots_reach_the_owner_once(orderings: Orderings) {
    race(
        orderings,
        Size(1, 4),
        |area| give_back(area, 0),
        |area| area.reserve(),
        |area, (), mut reserved| {
            reserved.extend(area.reserve());
            assert_eq!(reserved, [0]);
        },
    );
}

/// A full ring keeps the rest for later.
pub fn a_full_ring_loses_nothing(orderings: Orderings) {
    race(
        orderings,
        Size(2, 1),
        |area| give_back(area, 0),
        |area| give_back(area, 1),
        |area, (), ()| assert_eq!((area.ring().len(), area.backlog()), (1, 1)),
    );
}

/// Once closed, the ring is not written any more.
pub fn nobody_fills_a_closed_ring(orderings: Orderings) {
    race(
        orderings,
        Size(1, 4),
        |area| give_back(area, 0),
        |area| area.close() as usize,
        |area, (), tail| assert_eq!(area.ring().len(), tail),
    );
}

pub const ALL: [(&str, Scenario); 8] = [
    ("of_two_releases_of_a_buffer_one_wins", of_two_releases_of_a_buffer_one_wins),
    ("returned_buffers_reach_the_owner_once", returned_buffers_reach_the_owner_once),
    ("a_sleeping_owner_is_woken", a_sleeping_owner_is_woken),
    ("nothing_is_left_out_of_the_refill_ring", nothing_is_left_out_of_the_refill_ring),
    ("the_kernel_sees_whole_entries", the_kernel_sees_whole_entries),
    ("freed_slots_reach_the_owner_once", freed_slots_reach_the_owner_once),
    ("a_full_ring_loses_nothing", a_full_ring_loses_nothing),
    ("nobody_fills_a_closed_ring", nobody_fills_a_closed_ring),
];
