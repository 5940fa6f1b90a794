// SPDX-License-Identifier: MIT
//! The buffers that are held, by number, and what should be in them.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::fs::File;
use std::io::Read;
use std::os::fd::FromRawFd;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use zcrx::Buffer;

use crate::Failure;

const PAYLOAD: i32 = 12;
const TABLE_BYTES: u64 = 65521;

struct Held {
    buffer: Buffer,
    /// Where in the payload its bytes are.
    place: u64,
}

pub struct Views {
    payload: Vec<u8>,
    held: Mutex<HashMap<u64, Held>>,
    next: AtomicU64,
}

impl Views {
    pub fn new() -> Self {
        let mut payload = Vec::new();
        // SAFETY: the driver has opened it for this.
        let mut file = unsafe { File::from_raw_fd(PAYLOAD) };
        file.read_to_end(&mut payload).expect("a file in memory");
        Self { payload, held: Mutex::default(), next: AtomicU64::new(1) }
    }

    /// How many of the bytes, from the first, are the payload's.
    pub fn good(&self, bytes: &[u8], place: u64) -> usize {
        let wanted = &self.payload[(place % TABLE_BYTES) as usize..];
        if wanted.starts_with(bytes) {
            return bytes.len();
        }
        bytes.iter().zip(wanted).take_while(|(a, b)| a == b).count()
    }

    /// Keep a buffer. Returns its number.
    pub fn keep(&self, buffer: Buffer, place: u64) -> u64 {
        // Relaxed: only the number matters; the lock below orders the rest.
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        self.held.lock().expect("no thread panics").insert(number, Held { buffer, place });
        number
    }

    /// Check these once more and take them out; those that have changed are facts.
    fn take(&self, facts: &mut String, words: &[&str]) -> Result<Vec<Buffer>, Failure> {
        let mut buffers = Vec::with_capacity(words.len());
        for word in words {
            let taken = self.held.lock().expect("no thread panics").remove(&word.parse()?);
            let held = taken.ok_or_else(|| Failure(libc::ENOENT, format!("no buffer {word}")))?;
            let good = self.good(&held.buffer, held.place);
            if good != held.buffer.len() {
                writeln!(facts, "changed {word} {good}").expect("a String takes all");
            }
            buffers.push(held.buffer);
        }
        Ok(buffers)
    }

    pub fn release(&self, facts: &mut String, words: &[&str]) -> Result<(), Failure> {
        let mut buffers = self.take(facts, words)?;
        if buffers.len() == 1 {
            drop(buffers);
        } else {
            Buffer::release_all(&mut buffers);
        }
        Ok(())
    }

    /// Fork; the child checks and drops these. Returns its status.
    pub fn fork(&self, words: &[&str]) -> Result<i32, Failure> {
        // SAFETY: the child is this thread's copy, and leaves by _exit; the driver keeps other threads from the lock.
        let child = unsafe { libc::fork() };
        if child == 0 {
            let mut facts = String::new();
            let well = self.take(&mut facts, words).is_ok() && facts.is_empty();
            // SAFETY: ends the process.
            unsafe { libc::_exit(if well { 0 } else { 3 }) };
        }
        let mut status = 0;
        // SAFETY: waits for a child of this process, if there is one.
        if child < 0 || unsafe { libc::waitpid(child, &mut status, 0) } != child {
            return Err(std::io::Error::last_os_error().into());
        }
        Ok(status)
    }
}
