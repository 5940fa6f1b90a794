// SPDX-License-Identifier: MIT
use zcrx_sys as sys;

use crate::error::text;
use crate::info::{features, refusals};
use crate::{Engine, Features, Refusal};

/// How a precondition stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CheckState {
    /// As it should be.
    Ok,
    /// Zero-copy cannot work without it.
    Missing,
    /// Works, but worse than it could.
    Warn,
    /// It cannot be told from here.
    Unknown,
}

/// One precondition.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Check {
    /// How it stands.
    pub state: CheckState,
    /// Short and stable: `"kernel"`, `"cap_net_admin"`, `"memlock"`, ...
    pub name: String,
    /// What is, in words.
    pub detail: String,
    /// The command that mends it; empty if there is nothing to mend.
    pub hint: String,
}

impl Check {
    pub(crate) fn from_raw(raw: &sys::zrx_check) -> Self {
        Self {
            state: match raw.state {
                sys::ZRX_CHECK_OK => CheckState::Ok,
                sys::ZRX_CHECK_MISSING => CheckState::Missing,
                sys::ZRX_CHECK_WARN => CheckState::Warn,
                _ => CheckState::Unknown,
            },
            name: text(&raw.name),
            detail: text(&raw.detail),
            hint: text(&raw.hint),
        }
    }

    /// Those that there is room for: a newer library may know more.
    pub(crate) fn list(raw: &[sys::zrx_check], count: u32) -> Vec<Self> {
        raw.iter().take(count as usize).map(Self::from_raw).collect()
    }

    /// Room for so many, for the library to fill.
    pub(crate) fn room(count: u32) -> Vec<sys::zrx_check> {
        vec![sys::zrx_check::default(); count as usize]
    }
}

/// What this kernel lets this process do.
#[derive(Debug)]
#[non_exhaustive]
pub struct Capabilities {
    /// Engines that can be opened; `Zcrx`: given a capable interface.
    pub engines: Vec<Engine>,
    /// What the kernel has.
    pub features: Features,
    /// The page size.
    pub page_bytes: usize,
    /// Major, minor and patch; for display, not for decisions.
    pub kernel_version: (u32, u32, u32),
    /// Engines that cannot be opened.
    pub refused: Vec<Refusal>,
    /// Each precondition.
    pub checks: Vec<Check>,
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
    let version = raw.kernel_version;
    Capabilities {
        engines: Engine::all().filter(|engine| raw.engines & 1 << engine.raw() != 0).collect(),
        features: features(raw.features),
        page_bytes: raw.page_bytes as usize,
        kernel_version: (version >> 16, version >> 8 & 0xff, version & 0xff),
        refused: refusals(|engine, error| {
            // SAFETY: the error's size is set.
            unsafe { sys::zrx_probe_refusal(engine, error) }
        }),
        checks: Check::list(&checks, raw.check_count),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_checks_than_there_is_room_for_are_no_overrun() {
        let mut checks = Check::room(3);
        checks[0].state = sys::ZRX_CHECK_WARN;
        assert_eq!(Check::list(&checks, 0), []);
        assert_eq!(Check::list(&checks, 1)[0].state, CheckState::Warn);
        assert_eq!(Check::list(&checks, 4).len(), 3);
    }
}
