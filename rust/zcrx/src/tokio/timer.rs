// SPDX-License-Identifier: MIT
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::ptr;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use ::tokio::io::Interest;
use ::tokio::io::unix::AsyncFd;

/// A timer that asks of the runtime only what a receiver asks as well: its own timers may be off.
#[derive(Debug)]
pub(super) struct Timer(AsyncFd<OwnedFd>);

impl Timer {
    /// One that is set.
    pub(super) fn start(after: Duration) -> io::Result<Self> {
        let flags = libc::TFD_NONBLOCK | libc::TFD_CLOEXEC;
        // SAFETY: it takes numbers.
        let fd = unsafe { libc::timerfd_create(libc::CLOCK_MONOTONIC, flags) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: just made, and nobody else has it.
        let fd = unsafe { OwnedFd::from_raw_fd(fd) };
        // SAFETY: the descriptor stays the same, and open, until the timer is dropped, and it cannot be taken out.
        let fd = unsafe { AsyncFd::register_with_interest(fd, Interest::READABLE) };
        let timer = Self(fd.map_err(|error| error.into_parts().1)?);
        timer.set(after);
        Ok(timer)
    }

    /// Expire once, after so long.
    pub(super) fn set(&self, after: Duration) {
        let after = after.max(Duration::from_nanos(1)); // zero would be never
        let seconds = after.as_secs().try_into().unwrap_or(libc::time_t::MAX);
        let it_value = libc::timespec { tv_sec: seconds, tv_nsec: after.subsec_nanos().into() };
        let it_interval = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        let value = libc::itimerspec { it_interval, it_value };
        // SAFETY: the value lives until the call returns; a valid one is not refused.
        unsafe { libc::timerfd_settime(self.0.as_raw_fd(), 0, &value, ptr::null_mut()) };
    }

    /// Whether it has expired since it was set last. Setting it again makes it unreadable, so nothing need be read.
    pub(super) fn poll_expired(&self, context: &mut Context<'_>) -> Poll<()> {
        // An error says that the runtime is shutting down, and polls nobody any more.
        if let Ok(mut guard) = ready!(self.0.poll_read_ready(context)) {
            guard.clear_ready();
            return Poll::Ready(());
        }
        Poll::Pending
    }
}
