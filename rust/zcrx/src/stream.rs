// SPDX-License-Identifier: MIT
use std::hash::{Hash, Hasher};

use zcrx_sys as sys;

/// One socket added to a receiver: a handle, to tell events apart and to remove it.
///
/// A handle carries a generation and its receiver's number: it is never equal to that of another stream,
/// before or after, of this or another receiver.
#[derive(Clone, Copy, Debug)]
pub struct Stream {
    pub(crate) handle: u64,
    pub(crate) tag: u64,
    pub(crate) receiver: u32,
}

impl Stream {
    /// The program's own number, given in [`StreamOptions::tag`].
    pub fn tag(&self) -> u64 {
        self.tag
    }
}

impl PartialEq for Stream {
    fn eq(&self, other: &Self) -> bool {
        (self.handle, self.receiver) == (other.handle, other.receiver)
    }
}

impl Eq for Stream {}

impl Hash for Stream {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self.handle, self.receiver).hash(state);
    }
}

/// How to add a socket.
///
/// ```
/// let options = zcrx::StreamOptions::new().limit_bytes(1 << 20).window_bytes(256 << 10).tag(7);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StreamOptions {
    pub(crate) limit_bytes: u64,
    pub(crate) tag: u64,
    pub(crate) window_bytes: u64,
}

impl StreamOptions {
    /// No limit, tag 0, the receiver's window.
    pub fn new() -> Self {
        Self::default()
    }

    /// End the stream after exactly so many bytes, and leave the rest in the socket. 0: no limit.
    pub fn limit_bytes(self, limit_bytes: u64) -> Self {
        Self { limit_bytes, ..self }
    }

    /// The most memory that the stream's buffers may hold, counted in whole chunks: from one chunk
    /// ([`Info::buffer_bytes`](crate::Info::buffer_bytes)) to the area. A stream that holds its window rests: what comes
    /// stays in the socket, and TCP slows the peer down; it goes on by itself once enough is released. 0: what
    /// [`Builder::window_bytes`](crate::Builder::window_bytes) says.
    pub fn window_bytes(self, window_bytes: u64) -> Self {
        Self { window_bytes, ..self }
    }

    /// The program's own number, repeated in every event of the stream.
    pub fn tag(self, tag: u64) -> Self {
        Self { tag, ..self }
    }

    pub(crate) fn to_raw(self) -> sys::zrx_stream_options {
        sys::zrx_stream_options {
            limit_bytes: self.limit_bytes,
            tag: self.tag,
            window_bytes: self.window_bytes,
            ..sys::zrx_stream_options::init()
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn streams_of_two_receivers_differ() {
        let one = Stream { handle: 1 << 32, tag: 0, receiver: 1 };
        let two = Stream { receiver: 2, ..one };
        assert_ne!(one, two);
        assert_eq!(one, Stream { tag: 5, ..one });
        assert_eq!(HashSet::from([one, two, one]).len(), 2);
    }
}
