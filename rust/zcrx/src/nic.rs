// SPDX-License-Identifier: MIT
//! Setting a NIC up ahead of time, and looking at one (feature `nic`).
//!
//! Opening a receiver with an interface sets the NIC up by itself, and dropping it puts everything back. This module
//! is for looking first ([`inspect`], [`Setup::plan`], [`Setup::demand`]), for programs that prepare the NIC with more rights than
//! those that receive ([`Setup::apply`]), for what a killed process left ([`restore`]), and for proving with a
//! real stream that nothing is copied ([`Setup::prove`]).

mod proof;
mod structs;

use std::ffi::{CString, c_char};
use std::mem;
use std::ptr;

use zcrx_sys as sys;

use crate::options::EINVAL;
use crate::{Check, Error, Result, Stage, Steer};

pub use structs::{Demand, Proof, Report, Split, Step, Verdict};

/// Look at an interface, and at one of its queues or at one that is free. Changes nothing; needs no rights.
///
/// ```
/// let error = zcrx::nic::inspect("no-such-nic", None).unwrap_err();
/// assert_eq!(error.errno(), 19); // ENODEV
/// ```
pub fn inspect(interface: &str, queue: Option<u32>) -> Result<Report> {
    let interface = name(interface)?;
    let mut checks = Check::room(sys::ZRX_NIC_CHECKS);
    let mut raw = sys::zrx_nic_report {
        check_capacity: sys::ZRX_NIC_CHECKS,
        checks: checks.as_mut_ptr(),
        ..sys::zrx_nic_report::init()
    };
    call(|error| {
        // SAFETY: all of them live until the call returns.
        unsafe { sys::zrx_nic_inspect(interface.as_ptr(), number(queue), &mut raw, error) }
    })?;
    Ok(Report::from_raw(&raw, Check::list(&checks, raw.check_count)))
}

/// Undo what processes that died have left, on one interface or on all. Returns how many set-ups were undone.
pub fn restore(interface: Option<&str>) -> Result<usize> {
    let interface = interface.map(name).transpose()?;
    let pointer = interface.as_ref().map_or(ptr::null(), |interface| interface.as_ptr());
    // SAFETY: null, or a string that lives until the call returns.
    call(|error| unsafe { sys::zrx_nic_restore(pointer, error) })
}

/// How to set a NIC up.
#[derive(Clone, Debug)]
#[must_use]
pub struct Setup {
    interface: String,
    queue: Option<u32>,
    steer: Steer,
    buffer_bytes: u32,
}

impl Setup {
    /// For this interface, a free queue of it, and connections steered as they are added.
    pub fn new(interface: &str) -> Self {
        Self {
            interface: interface.to_owned(),
            queue: None,
            steer: Steer::default(),
            buffer_bytes: 0,
        }
    }

    /// This queue.
    pub fn queue(self, queue: u32) -> Self {
        Self { queue: Some(queue), ..self }
    }

    /// Which flows are led to the queue.
    pub fn steer(self, steer: Steer) -> Self {
        Self { steer, ..self }
    }

    /// The buffers that receivers are to ask for, as [`Builder::buffer_bytes`](crate::Builder::buffer_bytes): it
    /// counts for [`demand`](Self::demand).
    pub fn buffer_bytes(self, bytes: u32) -> Self {
        Self { buffer_bytes: bytes, ..self }
    }

    /// What the queue takes of an area standing, and how large an area should be there. Changes nothing; needs
    /// no rights.
    pub fn demand(&self) -> Result<Demand> {
        let interface = name(&self.interface)?;
        let options = self.options(&interface);
        let mut raw = sys::zrx_nic_demand::init();
        // SAFETY: all of them live until the call returns.
        call(|error| unsafe { sys::zrx_nic_demand(&options, &mut raw, error) })?;
        Ok(Demand::from_raw(&raw))
    }

    /// What would be changed, in order, and on which queue. Changes nothing; needs no rights.
    pub fn plan(&self) -> Result<(Vec<Step>, u32)> {
        let interface = name(&self.interface)?;
        let options = self.options(&interface);
        let mut queue = 0;
        // SAFETY: an array of texts: all zero is valid.
        let mut steps: [sys::zrx_nic_step; sys::ZRX_NIC_STEPS as usize] = unsafe { mem::zeroed() };
        let (first, capacity) = (steps.as_mut_ptr(), sys::ZRX_NIC_STEPS);
        let count = call(|error| {
            // SAFETY: all of them live until the call returns.
            unsafe { sys::zrx_nic_plan(&options, first, capacity, &mut queue, error) }
        })?;
        Ok((steps.iter().take(count).map(Step::from_raw).collect(), queue))
    }

    /// Set the NIC up, for receivers with [`Builder::nic_prepared`](crate::Builder::nic_prepared) and the queue that this
    /// took. Dropping the guard puts everything back.
    pub fn apply(self) -> Result<Applied> {
        let interface = name(&self.interface)?;
        let options = self.options(&interface);
        let mut queue = 0;
        // SAFETY: all of them live until the call returns.
        call(|error| unsafe { sys::zrx_nic_apply(&options, &mut queue, error) })?;
        Ok(Applied { interface, queue, kept: false })
    }

    fn options(&self, interface: &CString) -> sys::zrx_options {
        let mut builder =
            crate::Receiver::builder().steer(self.steer).buffer_bytes(self.buffer_bytes);
        if let Some(queue) = self.queue {
            builder = builder.queue(queue);
        }
        let interface: *const c_char = interface.as_ptr();
        sys::zrx_options { interface, ..builder.plain() }
    }
}

/// A NIC that is set up. Dropping it puts everything back.
#[derive(Debug)]
#[must_use]
pub struct Applied {
    interface: CString,
    queue: u32,
    kept: bool,
}

impl Applied {
    /// The queue that was set up.
    pub fn queue(&self) -> u32 {
        self.queue
    }

    /// Put everything back, and tell if that failed; dropping it cannot. While a receiver is bound to the queue the
    /// set-up stays, for [`restore`].
    pub fn undo(mut self) -> Result<()> {
        self.kept = true;
        self.put_back().map(drop)
    }

    /// Leave the NIC as it is, also when this process ends: until [`undo`].
    pub fn keep(mut self) {
        self.kept = true;
    }

    fn put_back(&self) -> Result<usize> {
        // SAFETY: both live until the call returns.
        call(|error| unsafe { sys::zrx_nic_undo(self.interface.as_ptr(), self.queue, error) })
    }
}

impl Drop for Applied {
    fn drop(&mut self) {
        if !self.kept {
            // Drop cannot return an error; the journal keeps the set-up for the next `restore`.
            let _ = self.put_back();
        }
    }
}

/// Undo what [`Setup::apply`] set up and [`Applied::keep`] left, for one queue or for all of an interface. Returns
/// how many set-ups were undone.
pub fn undo(interface: &str, queue: Option<u32>) -> Result<usize> {
    let interface = name(interface)?;
    // SAFETY: both live until the call returns.
    call(|error| unsafe { sys::zrx_nic_undo(interface.as_ptr(), number(queue), error) })
}

fn name(interface: &str) -> Result<CString> {
    CString::new(interface)
        .map_err(|_| Error::new(EINVAL, Stage::Nic, "the interface's name has a zero byte", ""))
}

fn number(queue: Option<u32>) -> u32 {
    queue.unwrap_or(sys::ZRX_NIC_FREE_QUEUE)
}

fn call(function: impl FnOnce(*mut sys::zrx_error) -> i32) -> Result<usize> {
    let mut error = sys::zrx_error::init();
    let code = function(&mut error);
    if code < 0 { Err(Error::from_raw(code, &error)) } else { Ok(code as usize) }
}
