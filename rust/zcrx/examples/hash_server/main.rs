// SPDX-License-Identifier: MIT
//! A server on a group of receivers: takes uploads over TCP, answers each with its SHA-256, and serves counters.
//!
//!     hash_server --listen HOST:PORT [--metrics HOST:PORT] [--receivers N] [--interface NAME]

mod metrics;
mod options;
mod signals;
mod uploads;

use std::fmt::Display;
use std::io::{self, Write};
use std::net::TcpListener;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::{env, process, thread};

use zcrx::Group;

use crate::options::{Options, USAGE};
use crate::signals::{Signals, poll};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// On standard error, which may be closed or full: that ends nothing.
pub fn say(message: impl Display) {
    let _ = writeln!(io::stderr(), "{message}");
}

fn bind(address: &str) -> Result<TcpListener> {
    let listener = TcpListener::bind(address);
    listener.map_err(|error| format!("cannot listen on {address}: {error}").into())
}

/// Serve counters until a signal comes, or a receiver fails.
fn wait(
    signals: &Signals,
    failed: &UnixStream,
    group: &Group,
    metrics: Option<&TcpListener>,
) -> io::Result<()> {
    loop {
        let fds = [Some(signals.as_fd()), Some(failed.as_fd()), metrics.map(AsFd::as_fd)];
        let [signal, failure, _] = poll(fds)?;
        if signal || failure {
            return Ok(());
        }
        // It may be gone by now, or there are no descriptors: the next may be served.
        match metrics.map(TcpListener::accept) {
            Some(Ok((socket, _))) => drop(metrics::serve(socket, &group.stats())),
            Some(Err(error)) if error.kind() == io::ErrorKind::WouldBlock => {}
            Some(Err(error)) => say(format_args!("hash_server: metrics: {error}")),
            None => {}
        }
    }
}

fn run(options: &Options) -> Result<()> {
    let signals = Signals::block()?;
    // Before anything connects: the NIC is to lead the connections to the receivers from the start.
    let (group, receivers) = options.group()?.open()?;
    let engine = receivers[0].info().engine;
    let listener = bind(&options.listen)?;
    let metrics = options.metrics.as_deref().map(bind).transpose()?;
    group.listen(&listener)?;
    println!("listening on {}", listener.local_addr()?);
    if let Some(metrics) = &metrics {
        metrics.set_nonblocking(true)?;
        println!("metrics on {}", metrics.local_addr()?);
    }
    println!("{} receivers, engine {engine}", group.count());
    let stop = AtomicBool::new(false);
    let (failed, fails) = UnixStream::pair()?;
    let ended = thread::scope(|scope| {
        let threads = receivers.into_iter().map(|receiver| {
            scope.spawn(|| {
                let taken = uploads::take(receiver, &stop);
                if taken.is_err() {
                    // One byte has room.
                    let _ = (&fails).write(b"!");
                }
                taken
            })
        });
        let threads: Vec<_> = threads.collect();
        let waited = wait(&signals, &failed, &group, metrics.as_ref());
        // Release pairs with the acquire in take.
        stop.store(true, Ordering::Release);
        group.wake();
        let taken = threads.into_iter().map(|thread| thread.join().expect("it does not panic"));
        let taken: zcrx::Result<Vec<()>> = taken.collect();
        waited?;
        taken.map(drop).map_err(Box::<dyn std::error::Error>::from)
    });
    let stats = group.stats();
    println!("{} connections, {} bytes", stats.accepted, stats.sum.bytes);
    ended
}

fn main() {
    let options = match Options::parse(env::args().skip(1)) {
        Ok(Some(options)) => options,
        Ok(None) => {
            let _ = io::stdout().write_all(USAGE.as_bytes());
            return;
        }
        Err(error) => {
            say(format_args!("{USAGE}hash_server: {error}"));
            process::exit(2);
        }
    };
    if let Err(error) = run(&options) {
        say(format_args!("hash_server: {error}"));
        process::exit(1);
    }
}
