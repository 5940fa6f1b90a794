// SPDX-License-Identifier: MIT
use std::net::TcpStream;
use std::os::fd::{BorrowedFd, FromRawFd, RawFd};

use zcrx_sys as sys;

use crate::buffer::bytes_of;
use crate::{Buffer, Error, Stage, Stream};

/// One result of receiving.
#[derive(Debug)]
#[non_exhaustive]
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
    /// A [`Group`](crate::Group) has added a socket to this receiver. The first event of its stream.
    Added {
        /// As which stream; it has the tag.
        stream: Stream,
        /// The connection, if [`Group::listen`](crate::Group::listen) accepted it: it is the program's, to write to and to close.
        /// The stream has a reference of its own, so that the connection is closed when both have ended. `None`: it was
        /// given to [`Group::add`](crate::Group::add), and is with whoever did so.
        accepted: Option<TcpStream>,
        /// It arrives at a queue of the NIC that is no receiver's of the group, and is served by copies.
        copied: bool,
    },
    /// A group could not add a socket: there is no stream.
    Refused {
        /// The tag that the stream would have had.
        tag: u64,
        /// Why.
        error: Error,
        /// Which socket.
        socket: RefusedSocket,
    },
}

impl Event {
    /// The stream it is about; `None` for [`Refused`](Self::Refused).
    pub fn stream(&self) -> Option<Stream> {
        match *self {
            Self::Data { stream, .. }
            | Self::End { stream, .. }
            | Self::Error { stream, .. }
            | Self::Added { stream, .. } => Some(stream),
            Self::Refused { .. } => None,
        }
    }

    /// # Safety
    ///
    /// The event was received, and nothing else releases its buffer, or closes the descriptor that it has.
    #[inline]
    pub(crate) unsafe fn from_raw(raw: &sys::zrx_event, receiver: u32) -> Self {
        let stream = stream_of(raw, receiver);
        if u32::from(raw.kind) == sys::ZRX_EVENT_DATA {
            // SAFETY: as the caller promises.
            let buffer = unsafe { Buffer::from_raw(raw.buffer) };
            return Self::Data { stream, buffer };
        }
        match Rare::of(raw) {
            Rare::End(end) => Self::End { stream, end },
            Rare::Error(error) => Self::Error { stream, error },
            Rare::Added { copied } => {
                // SAFETY: as the caller promises.
                let accepted = accepted_fd(raw).map(|fd| unsafe { TcpStream::from_raw_fd(fd) });
                Self::Added { stream, accepted, copied }
            }
            Rare::Refused(error, socket) => Self::Refused { tag: raw.tag, error, socket },
        }
    }
}

/// A borrowed [`Event`]: its buffer stays in the batch, which releases it with all others.
#[derive(Debug)]
#[non_exhaustive]
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
    /// A [`Group`](crate::Group) has added a socket to this receiver. The first event of its stream.
    Added {
        /// As which stream; it has the tag.
        stream: Stream,
        /// The connection, if [`Group::listen`](crate::Group::listen) accepted it. It stays in the batch, which closes it:
        /// who is going to write to it takes the [`Event`], or clones the descriptor.
        accepted: Option<BorrowedFd<'a>>,
        /// It arrives at a queue of the NIC that is no receiver's of the group, and is served by copies.
        copied: bool,
    },
    /// A group could not add a socket: there is no stream.
    Refused {
        /// The tag that the stream would have had.
        tag: u64,
        /// Why.
        error: Error,
        /// Which socket.
        socket: RefusedSocket,
    },
}

impl<'a> EventRef<'a> {
    /// # Safety
    ///
    /// The event was received; during `'a` its buffer is not released, and the descriptor that it has not closed.
    #[inline]
    pub(crate) unsafe fn from_raw(raw: &'a sys::zrx_event, receiver: u32) -> Self {
        let stream = stream_of(raw, receiver);
        if u32::from(raw.kind) == sys::ZRX_EVENT_DATA {
            // SAFETY: as the caller promises.
            let bytes = unsafe { bytes_of(&raw.buffer) };
            return Self::Data { stream, bytes };
        }
        match Rare::of(raw) {
            Rare::End(end) => Self::End { stream, end },
            Rare::Error(error) => Self::Error { stream, error },
            Rare::Added { copied } => {
                // SAFETY: as the caller promises.
                let accepted = accepted_fd(raw).map(|fd| unsafe { BorrowedFd::borrow_raw(fd) });
                Self::Added { stream, accepted, copied }
            }
            Rare::Refused(error, socket) => Self::Refused { tag: raw.tag, error, socket },
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

/// A socket that a group could not add.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RefusedSocket {
    /// One that was given to [`Group::add`](crate::Group::add), and stays with whoever did so.
    Given,
    /// A connection that [`Group::listen`](crate::Group::listen) accepted. It is closed.
    Accepted,
    /// A listening socket. It has failed, and is no longer listened on.
    Listening,
}

#[inline]
fn stream_of(raw: &sys::zrx_event, receiver: u32) -> Stream {
    Stream { handle: raw.stream, tag: raw.tag, receiver }
}

/// The descriptor of an accepted connection, which belongs to whoever has the event.
pub(crate) fn accepted_fd(raw: &sys::zrx_event) -> Option<RawFd> {
    let added = u32::from(raw.kind) == sys::ZRX_EVENT_ADDED;
    (added && u32::from(raw.flags) & sys::ZRX_ADDED_ACCEPTED != 0).then_some(raw.error)
}

/// What an event without data says.
enum Rare {
    End(End),
    Error(Error),
    Added { copied: bool },
    Refused(Error, RefusedSocket),
}

impl Rare {
    #[cold]
    fn of(raw: &sys::zrx_event) -> Self {
        let flags = u32::from(raw.flags);
        match u32::from(raw.kind) {
            sys::ZRX_EVENT_END => Self::End(if flags & sys::ZRX_END_LIMIT != 0 {
                End::Limit
            } else if flags & sys::ZRX_END_REMOVED != 0 {
                End::Removed
            } else {
                End::Closed
            }),
            sys::ZRX_EVENT_ADDED => Self::Added { copied: flags & sys::ZRX_ADDED_COPIED != 0 },
            _ if raw.stream == 0 => {
                let socket = if flags & sys::ZRX_ADDED_LISTENER != 0 {
                    RefusedSocket::Listening
                } else if flags & sys::ZRX_ADDED_ACCEPTED != 0 {
                    RefusedSocket::Accepted
                } else {
                    RefusedSocket::Given
                };
                Self::Refused(Error::new(-raw.error, Stage::Socket, "", ""), socket)
            }
            _ => Self::Error(Error::of_stream(raw.error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(kind: u32, flags: u32, error: i32, stream: u64) -> sys::zrx_event {
        let (kind, flags) = (kind as u16, flags as u16);
        sys::zrx_event { kind, flags, error, stream, tag: 6, ..sys::zrx_event::default() }
    }

    #[test]
    fn what_a_group_could_not_add_is_no_stream() {
        for (flags, expected) in [
            (0, RefusedSocket::Given),
            (sys::ZRX_ADDED_ACCEPTED, RefusedSocket::Accepted),
            (sys::ZRX_ADDED_LISTENER, RefusedSocket::Listening),
        ] {
            let raw = event(sys::ZRX_EVENT_ERROR, flags, -24, 0);
            // SAFETY: it has neither buffer nor descriptor.
            match unsafe { Event::from_raw(&raw, 1) } {
                Event::Refused { tag: 6, error, socket } => {
                    assert_eq!((error.errno(), socket), (24, expected));
                }
                other => panic!("{other:?}"),
            }
        }
        let raw = event(sys::ZRX_EVENT_ERROR, 0, -104, 1 << 32);
        // SAFETY: as above.
        let event = unsafe { EventRef::from_raw(&raw, 1) };
        assert!(matches!(event, EventRef::Error { .. }), "{event:?}");
    }

    #[test]
    fn only_accepted_connections_have_a_descriptor() {
        let copied = event(sys::ZRX_EVENT_ADDED, sys::ZRX_ADDED_COPIED, 5, 1 << 32);
        assert_eq!(accepted_fd(&copied), None);
        // SAFETY: the descriptor is not the event's.
        let added = unsafe { Event::from_raw(&copied, 1) };
        assert!(matches!(added, Event::Added { accepted: None, copied: true, .. }), "{added:?}");
        let accepted = event(sys::ZRX_EVENT_ADDED, sys::ZRX_ADDED_ACCEPTED, 5, 1 << 32);
        assert_eq!(accepted_fd(&accepted), Some(5));
        let listener = event(sys::ZRX_EVENT_ERROR, sys::ZRX_ADDED_ACCEPTED, -5, 0);
        assert_eq!(accepted_fd(&listener), None);
    }
}
