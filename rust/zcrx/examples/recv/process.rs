// SPDX-License-Identifier: MIT
//! What the command needs of its process: an orderly end at a signal, and enough descriptors.

use std::io;
use std::mem::MaybeUninit;
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};
use std::thread;

use libc::{c_int, sigset_t};
use zcrx::Handle;

/// The signals that end the command. The receiver has to be dropped first, which puts the NIC back.
pub struct Stop {
    signals: sigset_t,
    /// The one that came; 0: none yet.
    came: Arc<AtomicI32>,
}

impl Stop {
    /// Block the signals from here on: a thread waits for them. Called before other threads are started, which inherit
    /// the mask.
    pub fn block() -> Self {
        // SAFETY: zero is a valid signal set, and sigemptyset makes it an empty one.
        let mut signals = unsafe { MaybeUninit::<sigset_t>::zeroed().assume_init() };
        // SAFETY: the set is valid; the signals exist.
        unsafe {
            libc::sigemptyset(&mut signals);
            for signal in [libc::SIGHUP, libc::SIGINT, libc::SIGTERM] {
                if !is_ignored(signal) {
                    libc::sigaddset(&mut signals, signal);
                }
            }
            libc::pthread_sigmask(libc::SIG_BLOCK, &signals, ptr::null_mut());
        }
        Self { signals, came: Arc::default() }
    }

    /// Have a signal wake the receiver. A second one ends the process at once.
    pub fn wakes(&self, receiver: Handle) {
        let (signals, came) = (self.signals, self.came.clone());
        thread::spawn(move || {
            // Release: pairs with Acquire in `signal`; nothing but the number is passed.
            came.store(wait(&signals), Ordering::Release);
            receiver.wake();
            die_by(wait(&signals));
        });
    }

    /// The signal that came, if one has.
    pub fn signal(&self) -> Option<c_int> {
        // Acquire: pairs with Release in `wakes`.
        Some(self.came.load(Ordering::Acquire)).filter(|signal| *signal != 0)
    }
}

/// Whether the parent has the signal ignored, as nohup does.
fn is_ignored(signal: c_int) -> bool {
    let mut action = MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: only asks; the structure is filled, or stays zero, which is valid.
    let action = unsafe {
        libc::sigaction(signal, ptr::null(), action.as_mut_ptr());
        action.assume_init()
    };
    action.sa_sigaction == libc::SIG_IGN
}

fn wait(signals: &sigset_t) -> c_int {
    let mut signal = 0;
    // SAFETY: both point to valid memory.
    unsafe { libc::sigwait(signals, &mut signal) };
    signal
}

/// End by the signal itself, so that the parent sees what ended the process.
pub fn die_by(signal: c_int) -> ! {
    // SAFETY: the signal's action is the default one, which ends the process, once it is no longer blocked.
    unsafe {
        let mut signals = MaybeUninit::<sigset_t>::zeroed().assume_init();
        libc::sigemptyset(&mut signals);
        libc::sigaddset(&mut signals, signal);
        libc::pthread_sigmask(libc::SIG_UNBLOCK, &signals, ptr::null_mut());
        libc::raise(signal);
    }
    std::process::exit(128 + signal)
}

/// Descriptors that are open anyway: the standard ones, the receiver's, the listener, the NIC's sockets.
const OTHERS: u64 = 64;
/// Of one connection: the socket until it is added, the receiver's duplicate, the file.
const EACH: u64 = 3;

/// Allow as many descriptors as the connections need, or say why that cannot be.
pub fn allow_connections(count: usize) -> Result<(), String> {
    let needed = (count as u64).saturating_mul(EACH).saturating_add(OTHERS);
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the structure is valid.
    if unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit) } != 0 || needed <= limit.rlim_cur
    {
        return Ok(());
    }
    if needed > limit.rlim_max {
        return Err(format!(
            "{count} connections need {needed} descriptors, and {} are allowed: raise ulimit -Hn, or receive fewer",
            limit.rlim_max
        ));
    }
    limit.rlim_cur = needed;
    // SAFETY: as above.
    if unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &limit) } != 0 {
        return Err(format!("cannot allow {needed} descriptors: {}", io::Error::last_os_error()));
    }
    Ok(())
}
