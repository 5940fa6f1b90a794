// SPDX-License-Identifier: MIT
use zcrx_sys as sys;

use crate::Stats;

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
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Stall;

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
