// SPDX-License-Identifier: MIT
use zcrx_sys as sys;

/// Why streams make no progress.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Stall {
    /// Every buffer is out: release some, or open with a larger area.
    Buffers,
    /// The kernel must copy (an unsplit or unsteered flow) and the NIC holds all free chunks: steer the flow, enable
    /// header/data split, or enlarge the area.
    Copies,
}

/// Counters since open, unless said otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Why streams make no progress, now.
    pub stall: Option<Stall>,
    /// Bytes delivered.
    pub bytes: u64,
    /// Buffers delivered.
    pub buffers: u64,
    /// Buffers given back.
    pub released: u64,
    /// Buffers out, now.
    pub outstanding: u64,
    /// Streams added and not ended, now.
    pub streams: u64,
    /// Streams waiting for buffers, now.
    pub parked: u64,
    /// Times a stream had to wait for buffers.
    pub parks: u64,
    /// Requests started again because the completion ring was full.
    pub rearms_ring_full: u64,
    /// Requests started again because the kernel had no buffer.
    pub rearms_no_buffer: u64,
    /// Requests started again because they may have stopped without saying so.
    pub rearms_silent: u64,
    /// Requests started again because they were interrupted.
    pub rearms_interrupted: u64,
    /// Released buffers waiting for room in the refill ring, now.
    pub backlog: u64,
    /// The most there ever were.
    pub backlog_high: u64,
    /// Times the refill ring was drained on request.
    pub flushes: u64,
    /// Bytes that the kernel copied into the area, where it tells.
    pub copied_bytes: Option<u64>,
    /// Buffers that the kernel copied into, where it tells.
    pub copied_buffers: Option<u64>,
    /// Times the driver found no chunk, where the kernel tells.
    pub alloc_failures: Option<u64>,
    /// Receives that asked the kernel.
    pub waits: u64,
    /// Receives that were woken.
    pub wakes: u64,
}

impl Stats {
    /// # Safety
    ///
    /// `receiver` is open during the call.
    pub(crate) unsafe fn read(receiver: *const sys::zrx_receiver) -> Self {
        let mut raw = sys::zrx_stats::init();
        // SAFETY: open, and raw.size is set: it cannot fail.
        unsafe { sys::zrx_receiver_stats(receiver, &mut raw) };
        Self::from_raw(&raw)
    }

    fn from_raw(raw: &sys::zrx_stats) -> Self {
        Self {
            stall: match raw.stall {
                sys::ZRX_STALL_BUFFERS => Some(Stall::Buffers),
                sys::ZRX_STALL_COPIES => Some(Stall::Copies),
                _ => None,
            },
            bytes: raw.bytes,
            buffers: raw.buffers,
            released: raw.released,
            outstanding: raw.outstanding,
            streams: raw.streams,
            parked: raw.parked,
            parks: raw.parks,
            rearms_ring_full: raw.rearms_ring_full,
            rearms_no_buffer: raw.rearms_no_buffer,
            rearms_silent: raw.rearms_silent,
            rearms_interrupted: raw.rearms_interrupted,
            backlog: raw.backlog,
            backlog_high: raw.backlog_high,
            flushes: raw.flushes,
            copied_bytes: known(raw.copied_bytes),
            copied_buffers: known(raw.copied_buffers),
            alloc_failures: known(raw.alloc_failures),
            waits: raw.waits,
            wakes: raw.wakes,
        }
    }
}

pub(crate) fn known(counter: u64) -> Option<u64> {
    Some(counter).filter(|counter| *counter != sys::ZRX_UNKNOWN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_kernel_does_not_tell_is_none() {
        let raw = sys::zrx_stats {
            copied_bytes: 5,
            copied_buffers: u64::MAX,
            stall: sys::ZRX_STALL_COPIES,
            ..sys::zrx_stats::init()
        };
        let stats = Stats::from_raw(&raw);
        assert_eq!((stats.copied_bytes, stats.copied_buffers), (Some(5), None));
        assert_eq!(stats.stall, Some(Stall::Copies));
    }
}
