// SPDX-License-Identifier: MIT
//! The protocol as the core has it.

mod scenarios;

use zcrx_model::{Fences, Orderings};

#[test]
fn every_scenario_holds() {
    for (name, scenario) in scenarios::ALL {
        for fences in Fences::ALL {
            println!("{name}, fences {fences:?}");
            scenario(Orderings { fences, weakened: None });
        }
    }
}
