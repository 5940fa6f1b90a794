// SPDX-License-Identifier: MIT
use zcrx_sys as sys;

use crate::buffer::bytes_of;
use crate::{Buffer, Error, Stream};

/// One result of receiving.
#[derive(Debug)]
pub enum Event {
    /// The next bytes of a stream.
    Data {
        /// Whose.
        stream: Stream,
        /// The bytes; dropping it releases them.
        buffer: Buffer,
    },
    /// A stream is over; no event of it follows.
    End {
        /// Which.
        stream: Stream,
        /// How it ended.
        end: End,
    },
    /// A stream is over by an error; no event of it follows.
    Error {
        /// Which.
        stream: Stream,
        /// Why.
        error: Error,
    },
}

impl Event {
    /// The stream it is about.
    pub fn stream(&self) -> Stream {
        match *self {
            Self::Data { stream, .. } | Self::End { stream, .. } | Self::Error { stream, .. } => {
                stream
            }
        }
    }

    /// # Safety
    ///
    /// The event was received, and nothing else releases its buffer.
    #[inline]
    pub(crate) unsafe fn from_raw(raw: &sys::zrx_event, receiver: u32) -> Self {
        let stream = stream_of(raw, receiver);
        if u32::from(raw.kind) == sys::ZRX_EVENT_DATA {
            // SAFETY: as the caller promises.
            let buffer = unsafe { Buffer::from_raw(raw.buffer) };
            return Self::Data { stream, buffer };
        }
        match ending_of(raw) {
            Ok(end) => Self::End { stream, end },
            Err(error) => Self::Error { stream, error },
        }
    }
}

/// A borrowed [`Event`]: its buffer stays in the batch, which releases it with all others.
#[derive(Debug)]
pub enum EventRef<'a> {
    /// The next bytes of a stream.
    Data {
        /// Whose.
        stream: Stream,
        /// The bytes. Empty where the memory has no view in the address space (a dma-buf): take the
        /// [`Event`], whose buffer tells where they are.
        bytes: &'a [u8],
    },
    /// A stream is over; no event of it follows.
    End {
        /// Which.
        stream: Stream,
        /// How it ended.
        end: End,
    },
    /// A stream is over by an error; no event of it follows.
    Error {
        /// Which.
        stream: Stream,
        /// Why.
        error: Error,
    },
}

impl<'a> EventRef<'a> {
    /// # Safety
    ///
    /// The event was received, and its buffer is not released during `'a`.
    #[inline]
    pub(crate) unsafe fn from_raw(raw: &'a sys::zrx_event, receiver: u32) -> Self {
        let stream = stream_of(raw, receiver);
        if u32::from(raw.kind) == sys::ZRX_EVENT_DATA {
            // SAFETY: as the caller promises.
            let bytes = unsafe { bytes_of(&raw.buffer) };
            return Self::Data { stream, bytes };
        }
        match ending_of(raw) {
            Ok(end) => Self::End { stream, end },
            Err(error) => Self::Error { stream, error },
        }
    }
}

/// Why a stream gives nothing any more.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Over {
    /// Its end event came.
    End(End),
    /// An error event came, or receiving failed.
    Failed,
}

impl Over {
    /// For the `end` methods: `None` as long as the stream is not over, and after an error.
    pub(crate) fn end(over: Option<Self>) -> Option<End> {
        match over {
            Some(Self::End(end)) => Some(end),
            _ => None,
        }
    }
}

/// How a stream ended without an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum End {
    /// The peer closed its side.
    Closed,
    /// The limit was reached; the socket may hold more.
    Limit,
    /// It was removed.
    Removed,
}

#[inline]
fn stream_of(raw: &sys::zrx_event, receiver: u32) -> Stream {
    Stream { handle: raw.stream, tag: raw.tag, receiver }
}

#[cold]
fn ending_of(raw: &sys::zrx_event) -> Result<End, Error> {
    let flags = u32::from(raw.flags);
    if u32::from(raw.kind) != sys::ZRX_EVENT_END {
        Err(Error::of_stream(raw.error))
    } else if flags & sys::ZRX_END_LIMIT != 0 {
        Ok(End::Limit)
    } else if flags & sys::ZRX_END_REMOVED != 0 {
        Ok(End::Removed)
    } else {
        Ok(End::Closed)
    }
}
