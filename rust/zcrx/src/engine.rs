// SPDX-License-Identifier: MIT
use std::fmt;
use std::str::FromStr;

use zcrx_sys as sys;

use crate::{Error, Stage};

/// How bytes get into the area.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Engine {
    /// `Zcrx` if an interface is named and everything it needs is there, else `Multishot`, else `Recv`.
    #[default]
    Auto,
    /// A NIC's receive queue bound to the area: nothing copies. Linux 6.15, CAP_NET_ADMIN, a capable NIC.
    Zcrx,
    /// The kernel's zcrx without a device; it copies once. Linux 7.1, CAP_NET_ADMIN; for tests.
    ZcrxNodev,
    /// io_uring multishot receive; one copy. Linux 6.0 and permission to use io_uring.
    Multishot,
    /// epoll and recv; one copy. Any Linux.
    Recv,
}

/// Each engine, its number and its name in the core.
const ENGINES: [(Engine, u32, &str); 5] = [
    (Engine::Auto, sys::ZRX_ENGINE_AUTO, "auto"),
    (Engine::Zcrx, sys::ZRX_ENGINE_ZCRX, "zcrx"),
    (Engine::ZcrxNodev, sys::ZRX_ENGINE_ZCRX_NODEV, "zcrx-nodev"),
    (Engine::Multishot, sys::ZRX_ENGINE_MULTISHOT, "multishot"),
    (Engine::Recv, sys::ZRX_ENGINE_RECV, "recv"),
];

impl Engine {
    pub(crate) fn raw(self) -> u32 {
        self.row().1
    }

    pub(crate) fn from_raw(raw: u32) -> Self {
        ENGINES.iter().find(|row| row.1 == raw).map_or(Self::Auto, |row| row.0)
    }

    /// Those that a receiver can run on: all but `Auto`.
    pub(crate) fn all() -> impl Iterator<Item = Self> {
        ENGINES.iter().map(|row| row.0).filter(|engine| *engine != Self::Auto)
    }

    /// `"auto"`, `"zcrx"`, `"zcrx-nodev"`, `"multishot"`, `"recv"`.
    pub fn name(self) -> &'static str {
        self.row().2
    }

    fn row(self) -> &'static (Engine, u32, &'static str) {
        let row = ENGINES.iter().find(|row| row.0 == self);
        row.expect("every engine has a row")
    }
}

impl fmt::Display for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Engine {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self, Error> {
        let row = ENGINES.iter().find(|row| row.2 == name);
        row.map(|row| row.0).ok_or_else(|| {
            Error::new(
                crate::options::EINVAL,
                Stage::Options,
                "no such engine",
                "one of auto, zcrx, zcrx-nodev, multishot, recv",
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers_are_those_of_the_core() {
        assert_eq!(ENGINES.len(), sys::ZRX_ENGINE_COUNT as usize);
        for (engine, raw, name) in ENGINES {
            assert_eq!(Engine::from_raw(raw), engine);
            assert_eq!(name.parse::<Engine>().expect("its own name"), engine);
            #[cfg(not(miri))]
            assert_eq!(
                // SAFETY: any number may be asked for; the answer is a static string.
                unsafe { std::ffi::CStr::from_ptr(sys::zrx_engine_name(raw)) }.to_str(),
                Ok(name)
            );
        }
        assert!("zerocopy".parse::<Engine>().is_err());
    }
}
