// SPDX-License-Identifier: MIT
//! One run of one scenario.

use std::env;
use std::io::{ErrorKind, Read};
use std::os::fd::AsRawFd;
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use zcrx::{Engine, Receiver, Steer, StreamOptions};

use crate::disturb::Disturber;
use crate::holdings::Holdings;
use crate::keeper::Keeper;
use crate::ledger::{Entry, Ledger};
use crate::peer::{Meeting, Peer, go_on};
use crate::scenario::{Hold, Remove, Rest, Scenario, Until};
use crate::{Failure, check, fail};

const LATE: Duration = Duration::from_millis(200);
const TIMEOUT_SLACK: Duration = Duration::from_secs(2);
/// What the rings of a NIC hold of an area.
const NIC_SHARE: u64 = 64 << 20;
/// More connections than this are led to the queue by their port.
const NIC_RULES: u64 = 32;

struct Run<'a> {
    scenario: &'a Scenario,
    receiver: Receiver,
    ledger: Ledger,
    keeper: Keeper,
    peer: Peer,
    forked: bool,
    /// The last receive returned nothing.
    quiet: bool,
}

pub fn run(scenario: &Scenario, engine: Engine, sender: &Path) -> Result<(), Failure> {
    for _ in 0..scenario.repeat {
        let before = Holdings::count(scenario.area_bytes);
        run_once(scenario, engine, sender)?;
        before.compare(&Holdings::count(scenario.area_bytes))?;
    }
    Ok(())
}

fn run_once(scenario: &Scenario, engine: Engine, sender: &Path) -> Result<(), Failure> {
    let meeting = Meeting::arrange(scenario)?;
    let receiver = open(scenario, engine, meeting.port)?;
    let mut run = Run {
        scenario,
        ledger: Ledger::new(scenario.seed),
        keeper: Keeper::start(scenario, receiver.handle()),
        peer: meeting.begin(scenario, sender)?,
        receiver,
        forked: false,
        quiet: false,
    };
    run.receive_all()?;
    run.finish()
}

fn open(scenario: &Scenario, engine: Engine, port: u16) -> Result<Receiver, Failure> {
    let mut builder = Receiver::builder()
        .engine(engine)
        .area_bytes(scenario.area_bytes)
        .buffer_bytes(scenario.buffer_bytes)
        .ring_entries(scenario.ring_entries)
        .refill_entries(scenario.refill_entries)
        .batch(scenario.batch);
    if let (Engine::Zcrx, Ok(interface)) = (engine, env::var("ZRX_RIG_IFACE")) {
        builder = builder.interface(&interface).area_bytes(scenario.area_bytes + NIC_SHARE);
        if scenario.connections > NIC_RULES {
            builder = builder.steer(Steer::Port(port));
        }
    }
    let receiver = builder.open().map_err(Failure::Refused)?;
    let got = receiver.info().engine;
    check!(engine == Engine::Auto || got == engine, "open: engine {got} instead of {engine}");
    Ok(receiver)
}

impl Run<'_> {
    fn add(&mut self, number: usize, limit: u64) -> Result<(), Failure> {
        let options = StreamOptions::new().limit_bytes(limit).tag(number as u64);
        let entry = &mut self.ledger.entries[number];
        let socket = entry.socket.as_ref().ok_or_else(|| fail!("no socket to add"))?;
        let stream = self.receiver.add_with(socket, options);
        entry.stream = Some(stream.map_err(|error| fail!("add of stream {number}: {error}"))?);
        Ok(())
    }

    fn add_accepted(&mut self, number: usize) -> Result<(), Failure> {
        self.add(number, self.scenario.limit)?;
        if self.scenario.remove_at == Remove::At(0) {
            self.remove(number)?;
        }
        let entry = &mut self.ledger.entries[number];
        if let (false, Some(socket)) = (self.scenario.add_late, &entry.socket) {
            go_on(socket)?;
        }
        if self.scenario.close_fd {
            entry.socket = None;
        }
        Ok(())
    }

    fn accept(&mut self, count: u64) -> Result<(), Failure> {
        let first = self.ledger.entries.len();
        for number in first..first + count as usize {
            let socket = self.peer.accept()?;
            if self.scenario.add_late {
                go_on(&socket)?;
            }
            self.ledger.entries.push(Entry { socket: Some(socket), ..Entry::default() });
            if !self.scenario.add_late {
                self.add_accepted(number)?;
            }
        }
        if self.scenario.add_late {
            sleep(LATE);
            for number in first..self.ledger.entries.len() {
                self.add_accepted(number)?;
            }
        }
        Ok(())
    }

    fn remove(&mut self, number: usize) -> Result<(), Failure> {
        let entry = &mut self.ledger.entries[number];
        let stream = entry.stream.ok_or_else(|| fail!("no stream to remove"))?;
        entry.removed = true;
        let removed = self.receiver.remove(stream);
        removed.map_err(|error| fail!("remove of stream {number}: {error}"))
    }

    /// One receive, its events booked and held. Returns how many there were.
    fn receive_batch(&mut self, timeout: Option<Duration>) -> Result<usize, Failure> {
        let begun = Instant::now();
        let events = match self.receiver.receive(timeout) {
            Err(error) if error.kind() == ErrorKind::Interrupted && self.scenario.signal_ms > 0 => {
                return Ok(0);
            }
            result => result.map_err(|error| fail!("receive: {error}"))?,
        };
        let count = events.len();
        self.quiet = count == 0;
        if let (true, Until::Timeout, Some(timeout)) = (self.quiet, self.scenario.until, timeout) {
            let waited = begun.elapsed();
            check!(
                waited >= timeout && waited < timeout + TIMEOUT_SLACK,
                "receive waited {waited:?}, timeout {timeout:?}"
            );
        }
        for event in events {
            if let Some(held) = self.ledger.take(event)? {
                self.keeper.hold(held);
            }
        }
        Ok(count)
    }

    /// What the scenario does between two receives: fork, remove, release.
    fn between_receives(&mut self) -> Result<(), Failure> {
        let scenario = self.scenario;
        if !self.forked && scenario.fork_at.is_some_and(|bytes| bytes <= self.ledger.bytes) {
            self.forked = true;
            self.keeper.fork()?;
        }
        let at = match scenario.remove_at {
            Remove::Never => None,
            Remove::At(bytes) => Some(bytes),
            Remove::Parked => (self.receiver.stats().parked > 0).then_some(0),
        };
        for number in 0..self.ledger.entries.len() {
            let entry = &self.ledger.entries[number];
            if at.is_some_and(|at| at <= entry.received) && !entry.removed && entry.ended.is_none()
            {
                self.remove(number)?;
            }
        }
        if let Hold::Count(count) = scenario.hold {
            self.keeper.release(count);
        }
        Ok(())
    }

    fn receive_some(&mut self) -> Result<(), Failure> {
        let timeout_ms = self.scenario.timeout_ms;
        if !self.scenario.poll {
            self.receive_batch(u64::try_from(timeout_ms).ok().map(Duration::from_millis))?;
            return self.between_receives();
        }
        while self.receive_batch(Some(Duration::ZERO))? == self.scenario.batch {
            self.between_receives()?;
        }
        self.between_receives()?;
        if !self.ledger.ended() {
            let fd = self.receiver.as_raw_fd();
            let mut poll = libc::pollfd { fd, events: libc::POLLIN, revents: 0 };
            // SAFETY: one entry, which lives until the call returns.
            unsafe { libc::poll(&mut poll, 1, timeout_ms as libc::c_int) };
        }
        Ok(())
    }

    fn finished(&self) -> Result<bool, Failure> {
        Ok(match self.scenario.until {
            Until::Ends => self.ledger.ended(),
            Until::Bytes(bytes) => {
                let none_ended = self.ledger.entries.iter().all(|entry| entry.ended.is_none());
                check!(none_ended, "a stream ended before the scenario did");
                self.ledger.bytes >= bytes
            }
            Until::Timeout => self.quiet,
            Until::Wake => self.quiet && self.receiver.stats().wakes > 0,
        })
    }

    fn receive_all(&mut self) -> Result<(), Failure> {
        let scenario = self.scenario;
        let group = if scenario.connect_each { 1 } else { scenario.connections };
        let mut disturber = None;
        for _ in 0..scenario.connections / group {
            self.accept(group)?;
            disturber =
                disturber.or_else(|| Some(Disturber::start(scenario, self.receiver.handle())));
            while !self.finished()? {
                self.receive_some()?;
            }
            if scenario.connect_each {
                self.close_sockets();
            }
        }
        if let Some(disturber) = disturber {
            disturber.stop();
        }
        self.ledger.check(scenario)
    }

    fn close_sockets(&mut self) {
        for entry in &mut self.ledger.entries {
            entry.socket = None;
        }
    }

    fn rest(&mut self) -> Result<(), Failure> {
        match self.scenario.rest {
            Rest::None => return Ok(()),
            Rest::Recv => self.recv_rest()?,
            Rest::Add => self.receive_rest()?,
        }
        self.ledger.check_rest(self.scenario.bytes)
    }

    fn recv_rest(&mut self) -> Result<(), Failure> {
        let mut bytes = vec![0; 65536];
        for number in 0..self.ledger.entries.len() {
            let socket = self.ledger.entries[number].socket.take();
            let mut socket = socket.ok_or_else(|| fail!("no socket to read"))?;
            loop {
                match socket.read(&mut bytes) {
                    Ok(0) => break,
                    Ok(count) => self.ledger.read(number as u64, &bytes[..count])?,
                    Err(error) => {
                        return Err(fail!("stream {number}: recv after its end: {error}"));
                    }
                }
            }
            self.ledger.entries[number].socket = Some(socket);
        }
        Ok(())
    }

    fn receive_rest(&mut self) -> Result<(), Failure> {
        for number in 0..self.ledger.entries.len() {
            self.ledger.entries[number].ended = None;
            self.add(number, 0)?;
        }
        while !self.ledger.ended() {
            self.receive_batch(Some(Duration::from_secs(1)))?;
            self.keeper.release(0);
        }
        self.keeper.drain();
        let wrong = self
            .ledger
            .entries
            .iter()
            .find(|entry| entry.ended != Some(crate::scenario::Ending::Fin));
        check!(wrong.is_none(), "the rest of a stream did not end by fin");
        Ok(())
    }

    /// Whether buffers are held past close makes the difference in order.
    fn finish(mut self) -> Result<(), Failure> {
        let past_close = self.scenario.hold == Hold::Closed;
        self.keeper.stop_watching();
        if !past_close {
            self.keeper.drain();
        }
        self.rest()?;
        if self.scenario.close_fd {
            self.peer.wait()?;
        }
        let held = self.keeper.held() as u64;
        self.ledger.check_stats(self.scenario, &self.receiver.stats(), held)?;
        let handle = self.receiver.handle();
        drop(self.receiver);
        check!(handle.stats().is_none(), "a handle outlives its receiver");
        if past_close {
            sleep(Duration::from_millis(self.scenario.closed_ms));
        }
        self.keeper.stop();
        for entry in &mut self.ledger.entries {
            entry.socket = None;
        }
        if !self.scenario.close_fd {
            self.peer.wait()?;
        }
        Ok(())
    }
}
