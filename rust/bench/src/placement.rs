// SPDX-License-Identifier: MIT
//! Where and when the two ends run: each on a processor of its own, before everything else on the machine.

use std::{io, mem};

/// The processors of the receiving and of the sending end.
pub const RECEIVER: usize = 1;
pub const SENDER: usize = 0;

/// Stay on this processor, at real-time priority where that is allowed. Does nothing where there is one processor, on
/// which the ends would starve each other.
pub fn take(processor: usize) {
    // Of the machine, not of this process: the sender is started by the receiver, which has one.
    // SAFETY: it takes no pointer.
    if unsafe { libc::sysconf(libc::_SC_NPROCESSORS_ONLN) } < 2 {
        return;
    }
    // SAFETY: a set of bits, for which all zero is valid; it and the priority live until the calls return.
    let refused = unsafe {
        let mut set: libc::cpu_set_t = mem::zeroed();
        libc::CPU_SET(processor, &mut set);
        libc::sched_setaffinity(0, size_of_val(&set), &set);
        let mut priority: libc::sched_param = mem::zeroed();
        priority.sched_priority = 1;
        libc::sched_setscheduler(0, libc::SCHED_FIFO, &priority) != 0
    };
    if refused {
        eprintln!("no real-time priority: {}", io::Error::last_os_error());
    }
}
