// SPDX-License-Identifier: MIT
#![doc = include_str!("../README.md")]
#![no_std]
#![allow(non_camel_case_types)]
// The names and their meaning are those of zcrx.h, which documents each.
#![allow(missing_docs)]

#[rustfmt::skip]
#[allow(clippy::undocumented_unsafe_blocks)] // generated
mod bindings;

pub use bindings::*;

/// Structs that begin with their own size: all zero but for that, as the `..._INIT` macros of the header.
macro_rules! sized {
    ($($name:ident)*) => {$(
        impl $name {
            /// Zeroed, with its size set.
            pub fn init() -> Self {
                Self { size: size_of::<Self>() as u32, ..Self::default() }
            }
        }
    )*};
}

sized!(zrx_error zrx_options zrx_stream_options zrx_stats zrx_stream_stats zrx_info zrx_group_options
    zrx_group_stats zrx_capabilities zrx_nic_report zrx_nic_demand zrx_nic_proof);
