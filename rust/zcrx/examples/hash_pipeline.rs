// SPDX-License-Identifier: MIT
//! Hashes blocks of one connection on several threads: the receiving thread hands buffers on without touching them, the
//! workers hold, hash and release them. Prints one number that depends on every byte and its place.
//!
//!     hash_pipeline HOST:PORT [WORKERS]

use std::error::Error;
use std::net::TcpListener;
use std::sync::mpsc::{Receiver as Inbox, SyncSender, sync_channel};
use std::{env, process, thread};

use zcrx::{Buffer, Receiver};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// Buffers, each with its place in the stream.
type Job = (u64, Buffer);

/// How many buffers may wait for one worker.
const QUEUE: usize = 32;

/// Sums up each byte times an odd number that depends on its place: the order of the parts does not matter.
fn checksum(offset: u64, bytes: &[u8]) -> u64 {
    let weighted = |(place, byte): (u64, &u8)| (place * 2 + 1).wrapping_mul(u64::from(*byte));
    (offset..).zip(bytes).map(weighted).fold(0, u64::wrapping_add)
}

fn work(jobs: Inbox<Job>) -> u64 {
    jobs.into_iter()
        .map(|(offset, buffer)| checksum(offset, &buffer)) // and release it, on this thread
        .fold(0, u64::wrapping_add)
}

fn feed(socket: std::net::TcpStream, workers: &[SyncSender<Job>]) -> Result<u64> {
    let mut offset = 0;
    let buffers = Receiver::builder().buffers(&socket)?;
    for (buffer, worker) in buffers.zip(workers.iter().cycle()) {
        let buffer = buffer?;
        let length = buffer.len() as u64;
        worker.send((offset, buffer))?;
        offset += length;
    }
    Ok(offset)
}

fn run(address: &str, workers: usize) -> Result<()> {
    let listener = TcpListener::bind(address)?;
    println!("listening on {}", listener.local_addr()?);
    let (socket, _) = listener.accept()?;
    let (senders, threads): (Vec<_>, Vec<_>) = (0..workers)
        .map(|_| {
            let (sender, jobs) = sync_channel(QUEUE);
            (sender, thread::spawn(move || work(jobs)))
        })
        .unzip();
    let bytes = feed(socket, &senders)?;
    drop(senders);
    let mut sum = 0u64;
    for thread in threads {
        sum = sum.wrapping_add(thread.join().expect("a worker does not panic"));
    }
    println!("{bytes} bytes, checksum {sum:016x}");
    Ok(())
}

fn main() {
    let words: Vec<String> = env::args().collect();
    let [_, address, rest @ ..] = words.as_slice() else {
        eprintln!("usage: hash_pipeline HOST:PORT [WORKERS]");
        process::exit(2);
    };
    let workers = rest.first().map_or(4, |word| word.parse().expect("a number"));
    if let Err(error) = run(address, workers) {
        eprintln!("hash_pipeline: {error}");
        process::exit(1);
    }
}
