// SPDX-License-Identifier: MIT
//! The protocol with one ordering weaker than the core has it: each has to be noticed, or the core asks for more than
//! it needs, or the model sees less than it should.

mod scenarios;

use std::panic;

use zcrx_model::{Access, Fences, Orderings};

fn fails(orderings: Orderings) -> bool {
    scenarios::ALL.iter().any(|(_, scenario)| panic::catch_unwind(|| scenario(orderings)).is_err())
}

#[test]
fn no_ordering_can_be_weaker() {
    let hook = panic::take_hook();
    panic::set_hook(Box::new(|_| {})); // those panics are expected
    let unnoticed: Vec<Access> = Access::ALL
        .into_iter()
        .filter(|access| {
            !Fences::ALL.iter().any(|&fences| fails(Orderings { fences, weakened: Some(*access) }))
        })
        .collect();
    panic::set_hook(hook);
    assert!(unnoticed.is_empty(), "no scenario notices that these are weaker: {unnoticed:?}");
}
