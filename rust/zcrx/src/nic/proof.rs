// SPDX-License-Identifier: MIT
use std::os::fd::{AsFd, AsRawFd};
use std::time::Duration;

use zcrx_sys as sys;

use super::{Setup, call, name};
use crate::receiver::timeout_ns;
use crate::stats::known;
use crate::{Check, Result};

/// How much of a stream was copied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Verdict {
    /// Nothing that this kernel counts decides it; the checks say what is missing.
    Undecided,
    /// At most one byte in a thousand.
    ZeroCopy,
    /// Some.
    Partly,
    /// Nine bytes in ten, or more.
    Copied,
}

/// What became of one stream that was received through a queue. Counts are of that time alone, and `None` where kernel or
/// driver do not tell.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Proof {
    /// The result.
    pub verdict: Verdict,
    /// Bytes received.
    pub bytes: u64,
    /// In so many buffers.
    pub buffers: u64,
    /// Payload that the kernel copied because it lay in memory other than the area (Linux 7.2). Payload in the linear part
    /// of a packet is not in it.
    pub copied_bytes: Option<u64>,
    /// Buffers that it copied into.
    pub copied_buffers: Option<u64>,
    /// Chunks of the area that the stream's buffers began.
    pub chunks: u64,
    /// Chunks that the driver took from the area, at least.
    pub nic_chunks: Option<u64>,
    /// Bytes that the queue received, headers included.
    pub queue_bytes: Option<u64>,
    /// Packets that the queue received, before the driver merged any.
    pub queue_packets: Option<u64>,
    /// Bytes that lay in the socket before its flow was led to the queue.
    pub early_bytes: u64,
    /// Times the driver found no chunk (Linux 7.2).
    pub alloc_failures: Option<u64>,
    /// The interface's receive queue.
    pub queue: u32,
    /// The queue's NAPI id.
    pub queue_napi_id: Option<u32>,
    /// That on which the socket's last packet came; `None` also if its peer is on this machine.
    pub socket_napi_id: Option<u32>,
    /// Of the interface, in bytes.
    pub mtu: Option<u32>,
    /// Size of a chunk.
    pub buffer_bytes: u32,
    /// The reasons.
    pub checks: Vec<Check>,
}

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
        Ok(Proof::from_raw(&raw, &checks))
    }
}

impl Proof {
    fn from_raw(raw: &sys::zrx_nic_proof, checks: &[sys::zrx_check]) -> Self {
        let told = |number: u32| Some(number).filter(|number| *number != 0);
        Self {
            verdict: match raw.verdict {
                sys::ZRX_PROOF_ZERO_COPY => Verdict::ZeroCopy,
                sys::ZRX_PROOF_PARTLY => Verdict::Partly,
                sys::ZRX_PROOF_COPIED => Verdict::Copied,
                _ => Verdict::Undecided,
            },
            bytes: raw.bytes,
            buffers: raw.buffers,
            copied_bytes: known(raw.copied_bytes),
            copied_buffers: known(raw.copied_buffers),
            chunks: raw.chunks,
            nic_chunks: known(raw.nic_chunks),
            queue_bytes: known(raw.queue_bytes),
            queue_packets: known(raw.queue_packets),
            early_bytes: raw.early_bytes,
            alloc_failures: known(raw.alloc_failures),
            queue: raw.queue,
            queue_napi_id: told(raw.queue_napi_id),
            socket_napi_id: told(raw.socket_napi_id),
            mtu: told(raw.mtu),
            buffer_bytes: raw.buffer_bytes,
            checks: Check::list(checks, raw.check_count),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_told_is_none() {
        let raw = sys::zrx_nic_proof {
            verdict: sys::ZRX_PROOF_PARTLY,
            copied_bytes: sys::ZRX_UNKNOWN,
            alloc_failures: 0,
            mtu: 9000,
            ..sys::zrx_nic_proof::init()
        };
        let proof = Proof::from_raw(&raw, &[]);
        assert_eq!(proof.verdict, Verdict::Partly);
        assert_eq!((proof.copied_bytes, proof.alloc_failures), (None, Some(0)));
        assert_eq!((proof.mtu, proof.socket_napi_id), (Some(9000), None));
    }
}
