// SPDX-License-Identifier: MIT
//! What the process has: a scenario leaves none of it behind.

use std::time::Duration;
use std::{fs, thread};

use crate::{Failure, check};

/// The library's default area.
const DEFAULT_AREA: u64 = 64 << 20;

/// Smaller areas cannot be told from other mappings.
const SMALLEST_AREA: u64 = 1 << 20;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Holdings {
    descriptors: usize,
    threads: usize,
    rings: usize,
    areas: usize,
}

impl Holdings {
    pub fn count(area_bytes: u64) -> Self {
        let area_bytes = if area_bytes == 0 { DEFAULT_AREA } else { area_bytes };
        let maps = fs::read_to_string("/proc/self/maps").expect("/proc is mounted");
        Self {
            descriptors: fs::read_dir("/proc/self/fd").expect("/proc is mounted").count(),
            threads: threads(),
            rings: maps.lines().filter(|line| line.contains("[io_uring]")).count(),
            areas: maps
                .lines()
                .filter(|line| area_bytes >= SMALLEST_AREA && bytes_of(line) == Some(area_bytes))
                .count(),
        }
    }

    pub fn compare(&self, after: &Self) -> Result<(), Failure> {
        let after = Self { threads: settled_threads(self.threads), ..*after };
        // Another mapping may have been of an area's size by chance, and have grown.
        let areas = after.areas.min(self.areas);
        check!(after == Self { areas, ..*self }, "left behind: before {self:?}, after {after:?}");
        Ok(())
    }
}

fn threads() -> usize {
    fs::read_dir("/proc/self/task").expect("/proc is mounted").count()
}

/// A joined thread may still be on its way out of the kernel.
fn settled_threads(expected: usize) -> usize {
    for _ in 0..1000 {
        if threads() <= expected {
            break;
        }
        thread::sleep(Duration::from_millis(1));
    }
    threads()
}

fn bytes_of(line: &str) -> Option<u64> {
    let (from, to) = line.split_once(' ')?.0.split_once('-')?;
    Some(u64::from_str_radix(to, 16).ok()? - u64::from_str_radix(from, 16).ok()?)
}
