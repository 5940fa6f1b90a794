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
//! A [`Server`] accepts and receives on the receivers of a [`Group`](crate::Group), each of which has a thread and a runtime of
//! its own, and runs a handler for each connection.
//!
//! Streams are [`futures_core::Stream`]s of [`Result<Buffer>`](crate::Result). Each returns `None` only when the socket has ended
//! ([`End`](crate::End) tells how), and an error in all other cases: also when the receiver was closed first. One that is
//! dropped before removes its socket.
//!
//! None has a queue without a bound, or a flow control of its own: what nobody takes counts as held by the stream, which
//! rests at its window ([`StreamOptions::window_bytes`](crate::StreamOptions::window_bytes)) and costs the others nothing.

mod buffer_stream;
mod channel;
mod connection;
mod dispatcher;
mod local_stream;
mod receiver;
mod server;
mod streams;
mod timer;
mod worker;

pub use buffer_stream::BufferStream;
pub use connection::Connection;
pub use dispatcher::Dispatcher;
pub use local_stream::LocalStream;
pub use receiver::AsyncReceiver;
pub use server::Server;
