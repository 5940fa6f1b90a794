// SPDX-License-Identifier: MIT
//! Receiving under tokio (feature `tokio`).
//!
//! A receiver belongs to one thread, so there are two ways:
//!
//! - on a current-thread runtime or a [`LocalSet`](::tokio::task::LocalSet), [`AsyncReceiver`] receives events of many
//!   sockets on the runtime's own thread, and [`LocalStream`] one socket as a stream of buffers;
//! - a [`Dispatcher`] receives on a thread of its own, and returns a [`BufferStream`] for each socket, which may go into
//!   [`tokio::spawn`].
//!
//! Streams are [`futures_core::Stream`]s of [`Result<Buffer>`](crate::Result). Each returns `None` only when the socket has ended
//! ([`End`](crate::End) tells how), and an error in all other cases: also when the receiver was closed first. One that is
//! dropped before removes its socket.
//!
//! None has a queue without a bound, or a flow control of its own: what nobody takes counts as held by the stream, which
//! rests at its window ([`StreamOptions::window_bytes`](crate::StreamOptions::window_bytes)) and costs the others nothing.

mod buffer_stream;
mod channel;
mod dispatcher;
mod local_stream;
mod receiver;
mod timer;

pub use buffer_stream::BufferStream;
pub use dispatcher::Dispatcher;
pub use local_stream::LocalStream;
pub use receiver::AsyncReceiver;
