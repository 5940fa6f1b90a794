// SPDX-License-Identifier: MIT
use std::os::fd::{AsFd, AsRawFd};
use std::time::Duration;

use zcrx_sys as sys;

use super::{Proof, Setup, call, name};
use crate::receiver::timeout_ns;
use crate::{Check, Result};

impl Setup {
    /// Receive a real stream through the queue, drop it, and tell how much of it was copied, and why.
    ///
    /// The socket's peer, on another machine, sends; what is received from it is lost. It stops after `limit_bytes` (0: at
    /// the end of the stream; some hundred MiB are a good sample), or when `timeout` is over. The NIC is
    /// afterwards as it was.
    ///
    /// An error of kind [`TimedOut`](std::io::ErrorKind::TimedOut) says that not a byte came; others are those of opening a
    /// receiver and of adding a socket.
    pub fn prove(
        &self,
        socket: impl AsFd,
        limit_bytes: u64,
        timeout: impl Into<Option<Duration>>,
    ) -> Result<Proof> {
        let interface = name(&self.interface)?;
        let options = self.options(&interface);
        let fd = socket.as_fd().as_raw_fd();
        let timeout = timeout_ns(timeout.into());
        let mut checks = Check::room(sys::ZRX_PROOF_CHECKS);
        let mut raw = sys::zrx_nic_proof {
            check_capacity: sys::ZRX_PROOF_CHECKS,
            checks: checks.as_mut_ptr(),
            ..sys::zrx_nic_proof::init()
        };
        call(|error| {
            // SAFETY: all of them live until the call returns.
            unsafe { sys::zrx_nic_prove(&options, fd, limit_bytes, timeout, &mut raw, error) }
        })?;
        Ok(Proof::from_raw(&raw, Check::list(&checks, raw.check_count)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nic::Verdict;

    #[test]
    fn what_is_not_told_is_none() {
        let raw = sys::zrx_nic_proof {
            verdict: sys::ZRX_PROOF_PARTLY,
            copied_bytes: sys::ZRX_UNKNOWN,
            alloc_failures: 0,
            mtu: 9000,
            ..sys::zrx_nic_proof::init()
        };
        let proof = Proof::from_raw(&raw, Vec::new());
        assert_eq!(proof.verdict, Verdict::Partly);
        assert_eq!((proof.copied_bytes, proof.alloc_failures), (None, Some(0)));
        assert_eq!((proof.mtu, proof.socket_napi_id), (Some(9000), None));
    }
}
