// SPDX-License-Identifier: MIT
use zcrx_sys as sys;

use crate::info::refusals;
use crate::{Capabilities, Check};

impl Check {
    /// Those that there is room for: a newer library may know more.
    pub(crate) fn list(raw: &[sys::zrx_check], count: u32) -> Vec<Self> {
        raw.iter().take(count as usize).map(Self::from_raw).collect()
    }

    /// Room for so many, for the library to fill.
    pub(crate) fn room(count: u32) -> Vec<sys::zrx_check> {
        vec![sys::zrx_check::default(); count as usize]
    }
}

/// Find out what this kernel, with this process' rights and limits, can do, by asking it. Changes nothing.
///
/// ```
/// let capabilities = zcrx::probe();
/// assert!(capabilities.engines.contains(&zcrx::Engine::Recv));
/// for check in &capabilities.checks {
///     println!("{:?} {}: {}", check.state, check.name, check.detail);
/// }
/// ```
pub fn probe() -> Capabilities {
    let mut checks = Check::room(sys::ZRX_PROBE_CHECKS);
    let mut raw = sys::zrx_capabilities {
        check_capacity: sys::ZRX_PROBE_CHECKS,
        checks: checks.as_mut_ptr(),
        ..sys::zrx_capabilities::init()
    };
    // SAFETY: raw.size is set, and there is room for the checks: it cannot fail.
    unsafe { sys::zrx_probe(&mut raw) };
    let refused = refusals(|engine, error| {
        // SAFETY: the error's size is set.
        unsafe { sys::zrx_probe_refusal(engine, error) }
    });
    Capabilities::from_raw(&raw, refused, Check::list(&checks, raw.check_count))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::CheckState;

    #[test]
    fn more_checks_than_there_is_room_for_are_no_overrun() {
        let mut checks = Check::room(3);
        checks[0].state = sys::ZRX_CHECK_WARN;
        assert_eq!(Check::list(&checks, 0), []);
        assert_eq!(Check::list(&checks, 1)[0].state, CheckState::Warn);
        assert_eq!(Check::list(&checks, 4).len(), 3);
    }
}
