// SPDX-License-Identifier: MIT
//! Receiving under tokio (feature `tokio`).
//!
//! A receiver belongs to one thread, so there are two ways:
//!
//! - on a current-thread runtime or a [`LocalSet`](::tokio::task::LocalSet), [`AsyncReceiver`] receives on the runtime's own
//!   thread, and [`LocalStream`] is one socket of it as a stream of buffers;
//! - a [`Dispatcher`] receives on a thread of its own, and hands out a [`BufferStream`] for each socket, which may go into
//!   [`tokio::spawn`].
//!
//! Streams are [`futures_core::Stream`]s of [`Result<Buffer>`](crate::Result). Each ends with `None` when the socket has ended, and with an
//! error when it has not ended well.

mod buffer_stream;
mod dispatcher;
mod local_stream;
mod receiver;

pub use buffer_stream::BufferStream;
pub use dispatcher::Dispatcher;
pub use local_stream::LocalStream;
pub use receiver::AsyncReceiver;
