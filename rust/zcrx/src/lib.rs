// SPDX-License-Identifier: MIT
// Some of its examples need the feature.
#![cfg_attr(any(not(doctest), feature = "tokio"), doc = include_str!("../README.md"))]
#![cfg_attr(all(doctest, not(feature = "tokio")), doc = "Receive TCP into buffers that are views.")]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod batch;
mod buffer;
mod engine;
mod error;
mod event;
mod ffi;
mod group;
mod handle;
mod info;
mod memory;
#[cfg(all(test, miri))]
mod miri_tests;
#[cfg(feature = "nic")]
pub mod nic;
mod options;
mod probe;
mod reader;
mod receiver;
mod stats;
mod stream;
mod structs;
#[cfg(feature = "tokio")]
pub mod tokio;
mod values;
mod watch;

pub use batch::{Events, Iter};
pub use buffer::Buffer;
pub use engine::Engine;
pub use error::{Error, Result, Stage};
pub use event::{End, Event, EventRef, RefusedSocket};
pub use group::{Group, GroupBuilder, GroupReceiver, Pinning};
pub use handle::Handle;
pub use info::{Features, Refusal};
pub use options::{AreaKind, Builder, Steer};
pub use probe::probe;
pub use reader::{Buffers, Reader};
pub use receiver::Receiver;
pub use stream::{Stream, StreamOptions};
pub use structs::{Capabilities, Check, CheckState, GroupStats, Info, Stall, Stats, StreamStats};
