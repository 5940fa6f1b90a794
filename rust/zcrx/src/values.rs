// SPDX-License-Identifier: MIT
//! Values of the core's structs as this crate has them: `None` for what is not told.
use zcrx_sys as sys;

use crate::Engine;

pub(crate) fn known(counter: u64) -> Option<u64> {
    Some(counter).filter(|counter| *counter != sys::ZRX_UNKNOWN)
}

#[cfg(feature = "nic")]
pub(crate) fn told(number: u32) -> Option<u32> {
    Some(number).filter(|number| *number != 0)
}

#[cfg(feature = "nic")]
pub(crate) fn queue(number: u32) -> Option<u32> {
    Some(number).filter(|number| *number != sys::ZRX_NIC_FREE_QUEUE)
}

pub(crate) fn interface_queue(interface: String, queue: u32) -> Option<(String, u32)> {
    if interface.is_empty() { None } else { Some((interface, queue)) }
}

pub(crate) fn engine_set(bits: u32) -> Vec<Engine> {
    Engine::all().filter(|engine| bits & 1 << engine.raw() != 0).collect()
}

pub(crate) fn kernel_version(version: u32) -> (u32, u32, u32) {
    (version >> 16, version >> 8 & 0xff, version & 0xff)
}
