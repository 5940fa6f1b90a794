// SPDX-License-Identifier: MIT
//! Release against receive: each scenario is run in every interleaving, and panics if one goes wrong.

use loom::sync::Arc;
use loom::thread;
use zcrx_model::{Area, By, Chain, Orderings, View};

/// Every order of threads with at most so many switches where none was needed.
const PREEMPTIONS: usize = 3;

pub type Scenario = fn(Orderings);

/// How many views of each chunk are out, and how many references the refill ring takes.
#[derive(Clone, Copy)]
struct Size(&'static [u32], usize);

const ONE: Size = Size(&[1], 4);

fn explore(model: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(PREEMPTIONS);
    builder.check(model);
}

/// Do `one` and `two` at once, then check. Each of them runs first once: loom looks at what else could have come
/// before an access only as far back as the last other access to the same memory.
fn race<A: 'static, B: 'static>(
    orderings: Orderings,
    Size(views, room): Size,
    one: fn(&Arc<Area>) -> A,
    two: fn(&Arc<Area>) -> B,
    check: fn(&Area, A, B),
) {
    explore(move || {
        let area = Arc::new(Area::new(orderings, views, room));
        let other = area.clone();
        let thread = thread::spawn(move || one(&other));
        let second = two(&area);
        check(&area, thread.join().expect("no panic"), second);
    });
    explore(move || {
        let area = Arc::new(Area::new(orderings, views, room));
        let other = area.clone();
        let thread = thread::spawn(move || two(&other));
        let first = one(&area);
        check(&area, first, thread.join().expect("no panic"));
    });
}

/// One that is out from the beginning.
fn view(hold: u32, view: u32) -> View {
    View { hold, view, epoch: 1 }
}

fn release(area: &Area, view: View) -> Chain {
    let mut chain = Chain::default();
    assert_eq!(area.read(view), 0);
    assert!(area.claim(view, &mut chain));
    chain
}

/// As a release does it on copying engines.
fn return_it(area: &Area, view: View) {
    let chain = release(area, view);
    if chain != Chain::default() {
        area.push(chain);
    }
}

/// As a release does it on engines with a refill ring.
fn give_back(area: &Area, view: View, by: By) {
    if by == By::Owner {
        assert_eq!(area.read(view), 0);
        if area.give_whole(view) {
            return;
        }
    }
    let chain = release(area, view);
    if chain != Chain::default() {
        area.give(chain, by);
    }
}

fn sorted(mut indexes: Vec<u32>) -> Vec<u32> {
    indexes.sort_unstable();
    indexes
}

pub fn of_two_releases_of_a_view_one_wins(orderings: Orderings) {
    let claim = |area: &Arc<Area>| area.claim(view(0, 0), &mut Chain::default());
    race(orderings, ONE, claim, claim, |_, first, second| assert_ne!(first, second));
}

/// The owner takes a whole chunk back at once.
pub fn of_a_release_and_the_owners_one_wins(orderings: Orderings) {
    let claim = |area: &Arc<Area>| area.claim(view(0, 0), &mut Chain::default());
    let take = |area: &Arc<Area>| area.take_whole(view(0, 0));
    race(orderings, ONE, claim, take, |_, first, second| assert_ne!(first, second));
}

/// A copy of a view that was released is nothing to the next one of its chunk.
pub fn a_second_release_leaves_the_next_view_alone(orderings: Orderings) {
    let twice = |area: &Arc<Area>| {
        return_it(area, view(0, 0));
        assert!(!area.claim(view(0, 0), &mut Chain::default()));
    };
    let receive_again = |area: &Arc<Area>| {
        area.collect();
        area.take_rested().first().map(|_| area.receive(0))
    };
    race(orderings, ONE, twice, receive_again, |area, (), again| {
        if let Some(again) = again {
            assert_eq!(again, View { hold: 0, view: 0, epoch: 2 });
            assert!(!area.claim(view(0, 0), &mut Chain::default()));
            assert!(area.claim(again, &mut Chain::default()), "it was taken away");
        }
    });
}

/// Copying engines: what two threads return reaches the owner once, and may then be written.
pub fn returned_holds_reach_the_owner_once(orderings: Orderings) {
    let return_both = |area: &Arc<Area>| {
        let other = area.clone();
        let thread = thread::spawn(move || return_it(&other, view(1, 0)));
        return_it(area, view(0, 0));
        thread.join().expect("no panic");
    };
    let collect = |area: &Arc<Area>| {
        area.collect();
        let rested = area.take_rested();
        for &chunk in &rested {
            area.write(chunk, 1); // a race if the release did not come before
        }
        rested
    };
    race(orderings, Size(&[1, 1], 4), return_both, collect, |area, (), mut rested| {
        area.collect();
        rested.extend(area.take_rested());
        assert_eq!(sorted(rested), [0, 1]);
    });
}

/// Two views of one chunk are released by two threads, while the owner adds a third: whoever is last hands the chunk on,
/// after all have read it.
pub fn a_chunk_is_handed_on_after_its_last_view(orderings: Orderings) {
    let release_both = |area: &Arc<Area>| {
        let other = area.clone();
        let thread = thread::spawn(move || return_it(&other, view(0, 1)));
        return_it(area, view(0, 0));
        thread.join().expect("no panic");
    };
    let add = |area: &Arc<Area>| {
        let third = area.join(0);
        if let Some(third) = third {
            assert_eq!(third, view(0, 2));
            area.refer(third); // by another completion
            return_it(area, third);
        }
        area.collect();
        let rested = area.take_rested();
        for &chunk in &rested {
            area.write(chunk, 1);
        }
        rested
    };
    race(orderings, Size(&[2], 4), release_both, add, |area, (), mut rested| {
        area.collect();
        rested.extend(area.take_rested());
        assert_eq!(rested, [0]);
        assert!(area.is_idle(0));
    });
}

/// The same with a refill ring: as many references go back as were given out, and then the kernel may write.
pub fn all_references_of_a_chunk_go_back(orderings: Orderings) {
    let add = |area: &Arc<Area>| match area.join(0) {
        Some(second) => {
            area.refer(second);
            give_back(area, second, By::Owner);
            3
        }
        None => 1,
    };
    race(
        orderings,
        ONE,
        |area| give_back(area, view(0, 0), By::Other),
        add,
        |area, (), references| {
            assert_eq!(area.ring(), vec![0; references]);
            area.write(0, 1);
            area.collect_from_ring();
            assert_eq!(area.take_rested(), [0]);
            assert!(area.is_idle(0));
        },
    );
}

/// An owner that goes to sleep without having seen a returned hold is woken.
pub fn a_sleeping_owner_is_woken(orderings: Orderings) {
    let wake = |area: &Arc<Area>| {
        return_it(area, view(0, 0));
        area.wake_waiter();
    };
    let sleeps = |area: &Arc<Area>| {
        area.ask_to_be_woken();
        area.collect();
        area.take_rested().is_empty()
    };
    race(orderings, ONE, wake, sleeps, |area, (), sleeps| {
        assert!(!sleeps || area.signals() > 0, "asleep for ever");
    });
}

/// The same with a refill ring, whose streams wait for what was put into it.
pub fn an_owner_that_sleeps_beside_the_ring_is_woken(orderings: Orderings) {
    let wake = |area: &Arc<Area>| {
        give_back(area, view(0, 0), By::Other);
        area.wake_waiter();
    };
    let sleeps = |area: &Arc<Area>| {
        area.ask_to_be_woken();
        area.collect_from_ring();
        area.take_rested().is_empty()
    };
    race(orderings, ONE, wake, sleeps, |area, (), sleeps| {
        assert!(!sleeps || area.signals() > 0, "asleep for ever");
    });
}

/// zcrx engines: a thread that finds the lock taken leaves its holds to the holder, who does not miss them.
pub fn nothing_is_left_out_of_the_refill_ring(orderings: Orderings) {
    race(
        orderings,
        Size(&[1, 1], 4),
        |area| give_back(area, view(0, 0), By::Other),
        |area| give_back(area, view(1, 0), By::Owner),
        |area, (), ()| {
            assert_eq!(sorted(area.ring()), [0, 1]);
            assert!(area.is_drained());
            area.collect_from_ring();
            assert_eq!(sorted(area.take_rested()), [0, 1]);
        },
    );
}

/// What the ring tells of is written whole, and no longer read by whoever released it.
pub fn the_kernel_sees_whole_entries(orderings: Orderings) {
    let receive = |area: &Arc<Area>| {
        for chunk in area.ring() {
            area.write(chunk, 1);
        }
    };
    race(
        orderings,
        ONE,
        |area| give_back(area, view(0, 0), By::Other),
        receive,
        |area, (), ()| {
            assert_eq!(area.ring(), [0]);
        },
    );
}

/// The kernel may give a chunk out again before its hold has come back to the owner: another one serves it then.
pub fn a_chunk_may_come_again_before_its_hold(orderings: Orderings) {
    let receive_again = |area: &Arc<Area>| {
        let came = area.ring() == [0];
        if came {
            area.write(0, 1);
        }
        area.collect_from_ring();
        came.then(|| area.receive(0))
    };
    race(
        orderings,
        ONE,
        |area| give_back(area, view(0, 0), By::Other),
        receive_again,
        |area, (), again| {
            if let Some(again) = again {
                assert_eq!(area.read(again), 1);
                assert!(!area.claim(view(0, 0), &mut Chain::default()));
                let mut chain = Chain::default();
                assert!(area.claim(again, &mut chain));
                area.give(chain, By::Owner);
                assert_eq!(area.ring(), [0, 0]);
            }
            area.collect_from_ring();
            assert!((0..3).all(|hold| area.is_idle(hold)));
        },
    );
}

/// A hold is used again only after whoever put it into the ring is done with it, and once.
pub fn settled_holds_reach_the_owner_once(orderings: Orderings) {
    race(
        orderings,
        ONE,
        |area| give_back(area, view(0, 0), By::Other),
        |area| area.collect_from_ring(),
        |area, (), ()| {
            area.collect_from_ring();
            assert_eq!(area.take_rested(), [0]);
            assert!(area.is_idle(0));
        },
    );
}

/// A full ring keeps the rest for later, be it half of what one chunk gives back.
pub fn a_full_ring_loses_nothing(orderings: Orderings) {
    let both_views = |area: &Arc<Area>| {
        let mut chain = release(area, view(0, 0));
        assert_eq!(area.read(view(0, 1)), 0);
        assert!(area.claim(view(0, 1), &mut chain));
        area.give(chain, By::Other);
    };
    race(
        orderings,
        Size(&[2, 1], 1),
        both_views,
        |area| give_back(area, view(1, 0), By::Other),
        |area, (), ()| assert_eq!((area.ring().len(), area.backlog()), (1, 2)),
    );
}

/// Once closed, the ring is not written any more.
pub fn nobody_fills_a_closed_ring(orderings: Orderings) {
    race(
        orderings,
        ONE,
        |area| give_back(area, view(0, 0), By::Other),
        |area| area.close() as usize,
        |area, (), tail| assert_eq!(area.ring().len(), tail),
    );
}

pub const ALL: [(&str, Scenario); 14] = [
    ("of_two_releases_of_a_view_one_wins", of_two_releases_of_a_view_one_wins),
    ("of_a_release_and_the_owners_one_wins", of_a_release_and_the_owners_one_wins),
    ("a_second_release_leaves_the_next_view_alone", a_second_release_leaves_the_next_view_alone),
    ("returned_holds_reach_the_owner_once", returned_holds_reach_the_owner_once),
    ("a_chunk_is_handed_on_after_its_last_view", a_chunk_is_handed_on_after_its_last_view),
    ("all_references_of_a_chunk_go_back", all_references_of_a_chunk_go_back),
    ("a_sleeping_owner_is_woken", a_sleeping_owner_is_woken),
    (
        "an_owner_that_sleeps_beside_the_ring_is_woken",
        an_owner_that_sleeps_beside_the_ring_is_woken,
    ),
    ("nothing_is_left_out_of_the_refill_ring", nothing_is_left_out_of_the_refill_ring),
    ("the_kernel_sees_whole_entries", the_kernel_sees_whole_entries),
    ("a_chunk_may_come_again_before_its_hold", a_chunk_may_come_again_before_its_hold),
    ("settled_holds_reach_the_owner_once", settled_holds_reach_the_owner_once),
    ("a_full_ring_loses_nothing", a_full_ring_loses_nothing),
    ("nobody_fills_a_closed_ring", nobody_fills_a_closed_ring),
];
