// SPDX-License-Identifier: MIT
use zcrx_sys as sys;

use crate::{Engine, Error, Info};

/// A set of features of the kernel.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Features(u32);

impl Features {
    pub(crate) const fn from_raw(raw: u32) -> Self {
        Self(raw)
    }

    /// Whether all of these are in it.
    pub fn contains(self, features: Self) -> bool {
        self.0 & features.0 == features.0
    }
}

impl std::fmt::Debug for Features {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names = Self::NAMES.iter().filter(|(feature, _)| self.contains(*feature));
        f.debug_set().entries(names.map(|(_, name)| name)).finish()
    }
}

/// An engine that was not to be had, and why.
#[derive(Debug)]
#[non_exhaustive]
pub struct Refusal {
    /// Which.
    pub engine: Engine,
    /// Why, and what to do about it.
    pub error: Error,
}

impl Info {
    /// # Safety
    ///
    /// `receiver` is open during the call.
    pub(crate) unsafe fn read(receiver: *const sys::zrx_receiver) -> Self {
        let mut raw = sys::zrx_info::init();
        // SAFETY: open, and raw.size is set: it cannot fail.
        unsafe { sys::zrx_receiver_info(receiver, &mut raw) };
        let refused = refusals(|engine, error| {
            // SAFETY: open, and the error's size is set.
            unsafe { sys::zrx_receiver_refusal(receiver, engine, error) }
        });
        Self::from_raw(&raw, refused)
    }
}

/// Of each engine that `ask` says was refused.
pub(crate) fn refusals(ask: impl Fn(u32, &mut sys::zrx_error) -> i32) -> Vec<Refusal> {
    let refusal = |engine: Engine| {
        let mut error = sys::zrx_error::init();
        (ask(engine.raw(), &mut error) == 1)
            .then(|| Refusal { engine, error: Error::from_raw(error.code, &error) })
    };
    Engine::all().filter_map(refusal).collect()
}
