// SPDX-License-Identifier: MIT
//! The options of a receiver, from the words of a request.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::ptr::{self, NonNull};
use std::slice;

use zcrx::{Builder, Engine, Receiver, Steer};

use crate::{Failure, no};

pub fn builder(words: &[&str]) -> Result<Builder, Failure> {
    let mut builder = Receiver::builder();
    let mut area_bytes = 0;
    let mut area = None;
    for word in words {
        let (key, value) = word.split_once('=').ok_or_else(|| no("option"))?;
        builder = match key {
            "engine" => builder.engine(value.parse::<Engine>()?),
            "area_bytes" => {
                area_bytes = value.parse()?;
                builder.area_bytes(area_bytes)
            }
            "area_max_bytes" => builder.area_max_bytes(value.parse()?),
            "window_bytes" => builder.window_bytes(value.parse()?),
            "small_area" => builder.small_area(value == "1"),
            "buffer_bytes" => builder.buffer_bytes(value.parse()?),
            "ring_entries" => builder.ring_entries(value.parse()?),
            "refill_entries" => builder.refill_entries(value.parse()?),
            "batch" => builder.batch(value.parse()?),
            "interface" => builder.interface(value),
            "area" => {
                area = Some(value);
                builder
            }
            "through" => builder,
            "steer_port" if value == "0" => builder,
            "steer_port" => builder.steer(Steer::Port(value.parse()?)),
            _ => return Err(no(key)),
        };
    }
    match area {
        Some("caller") => Ok(builder.area_memory(Pages::new(area_bytes as usize)?)),
        // SAFETY: nobody maps the file.
        Some("dmabuf") => Ok(unsafe { builder.area_dmabuf(a_file()?, area_bytes) }),
        Some(other) => Err(no(other)),
        None => Ok(builder),
    }
}

fn a_file() -> io::Result<OwnedFd> {
    Ok(File::open("/dev/null")?.into())
}

/// Memory of the executor's own.
struct Pages {
    memory: NonNull<u8>,
    bytes: usize,
}

// SAFETY: the mapping is nobody else's, and any thread may unmap it.
unsafe impl Send for Pages {}

impl Pages {
    fn new(bytes: usize) -> io::Result<Self> {
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        // SAFETY: a new mapping, at no address that is in use.
        let memory = unsafe { libc::mmap(ptr::null_mut(), bytes, protection, flags, -1, 0) };
        if memory == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let memory = NonNull::new(memory.cast()).expect("not mapped at 0");
        Ok(Self { memory, bytes })
    }
}

impl AsMut<[u8]> for Pages {
    fn as_mut(&mut self) -> &mut [u8] {
        // SAFETY: mapped, zeroed by the kernel, and only ours.
        unsafe { slice::from_raw_parts_mut(self.memory.as_ptr(), self.bytes) }
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        // SAFETY: mapped by new, and not used any more.
        unsafe { libc::munmap(self.memory.as_ptr().cast(), self.bytes) };
    }
}
