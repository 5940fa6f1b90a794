// SPDX-License-Identifier: MIT
//! Wakes and signals that disturb the receiving thread.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle, sleep};
use std::time::Duration;

use zcrx::Handle;

use crate::scenario::Scenario;

pub struct Disturber {
    running: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

extern "C" fn nothing(_signal: libc::c_int) {}

impl Disturber {
    /// Called on the receiving thread.
    pub fn start(scenario: &Scenario, handle: Handle) -> Self {
        let mut disturber = Self { running: Arc::new(AtomicBool::new(true)), threads: Vec::new() };
        if scenario.wake_ms > 0 {
            disturber.every(scenario.wake_ms, move || handle.wake());
        }
        if scenario.signal_ms > 0 {
            interrupt_calls();
            // SAFETY: always succeeds.
            let receiver = unsafe { libc::pthread_self() };
            // SAFETY: the disturber is stopped before its thread is gone.
            disturber.every(scenario.signal_ms, move || unsafe {
                libc::pthread_kill(receiver, libc::SIGUSR1);
            });
        }
        disturber
    }

    fn every(&mut self, ms: u64, disturb: impl Fn() + Send + 'static) {
        let running = self.running.clone();
        self.threads.push(thread::spawn(move || {
            while running.load(Ordering::Relaxed) {
                sleep(Duration::from_millis(ms));
                disturb();
            }
        }));
    }

    pub fn stop(self) {
        self.running.store(false, Ordering::Relaxed);
        for thread in self.threads {
            thread.join().expect("it does not panic");
        }
    }
}

/// SIGUSR1 does nothing but interrupt what its thread is at.
fn interrupt_calls() {
    // SAFETY: a zeroed sigaction is valid (no flags: calls are interrupted), the handler does nothing.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = nothing as extern "C" fn(libc::c_int) as usize;
        libc::sigaction(libc::SIGUSR1, &action, std::ptr::null_mut());
    }
}
