// SPDX-License-Identifier: MIT
//! Signals as something to poll.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::ptr;

/// SIGINT and SIGTERM: readable once one has come.
pub struct Signals(OwnedFd);

impl Signals {
    /// Block the signals from here on. Called before other threads are started, which inherit the mask.
    pub fn block() -> io::Result<Self> {
        // SAFETY: zero is a valid signal set, and sigemptyset makes it an empty one.
        let mut signals = unsafe { MaybeUninit::<libc::sigset_t>::zeroed().assume_init() };
        // SAFETY: the set is valid; the signals exist.
        let fd = unsafe {
            libc::sigemptyset(&mut signals);
            libc::sigaddset(&mut signals, libc::SIGINT);
            libc::sigaddset(&mut signals, libc::SIGTERM);
            libc::pthread_sigmask(libc::SIG_BLOCK, &signals, ptr::null_mut());
            libc::signalfd(-1, &signals, libc::SFD_CLOEXEC)
        };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: just made, and nobody else has it.
        Ok(Self(unsafe { OwnedFd::from_raw_fd(fd) }))
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Wait until one of them is readable: which are.
pub fn poll<const N: usize>(fds: [Option<BorrowedFd<'_>>; N]) -> io::Result<[bool; N]> {
    let entry = |fd: Option<BorrowedFd<'_>>| libc::pollfd {
        fd: fd.map_or(-1, |fd| fd.as_raw_fd()), // which poll passes over
        events: libc::POLLIN,
        revents: 0,
    };
    let mut entries = fds.map(entry);
    loop {
        // SAFETY: so many entries, which live until the call returns.
        if unsafe { libc::poll(entries.as_mut_ptr(), N as libc::nfds_t, -1) } >= 0 {
            return Ok(entries.map(|entry| entry.revents != 0));
        }
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
}
