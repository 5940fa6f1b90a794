// SPDX-License-Identifier: MIT
//! What was received, and whether it is what had to come.

use std::net::TcpStream;

use zcrx::{Buffer, End, Event, Stats, Stream};

use crate::keeper::Held;
use crate::payload::Payload;
use crate::scenario::{Ending, Scenario};
use crate::{Failure, check, fail};

const ECONNRESET: i32 = 104;

#[derive(Default)]
pub struct Entry {
    pub socket: Option<TcpStream>,
    pub stream: Option<Stream>,
    pub received: u64,
    pub ended: Option<Ending>,
    pub removed: bool,
}

pub struct Ledger {
    pub entries: Vec<Entry>,
    pub bytes: u64,
    pub buffers: u64,
    payload: Payload,
}

impl Ledger {
    pub fn new(seed: u64) -> Self {
        Self { entries: Vec::new(), bytes: 0, buffers: 0, payload: Payload::new(seed) }
    }

    pub fn ended(&self) -> bool {
        self.entries.iter().all(|entry| entry.ended.is_some())
    }

    /// Book an event; its buffer, if it has one, is to be held.
    pub fn take(&mut self, event: Event) -> Result<Option<Held>, Failure> {
        let stream = event.stream();
        let number = stream.tag();
        let entry = self.entries.get_mut(number as usize);
        let entry = entry.ok_or_else(|| fail!("an event of unknown stream {number}"))?;
        check!(entry.stream == Some(stream), "stream {number}: another handle");
        check!(entry.ended.is_none(), "stream {number}: an event after its end");
        let ending = match event {
            Event::Data { buffer, .. } => return self.data(number, buffer).map(Some),
            Event::End { end: End::Closed, .. } => Ending::Fin,
            Event::End { end: End::Limit, .. } => Ending::Limit,
            Event::End { end: End::Removed, .. } => Ending::Removed,
            Event::Error { error, .. } if error.errno() == ECONNRESET => Ending::Reset,
            other => return Err(fail!("stream {number}: unexpected {other:?}")),
        };
        entry.ended = Some(ending);
        Ok(None)
    }

    fn data(&mut self, stream: u64, buffer: Buffer) -> Result<Held, Failure> {
        let entry = &mut self.entries[stream as usize];
        let offset = entry.received;
        check!(!buffer.is_empty(), "stream {stream}: an empty buffer");
        let good = self.payload.check(&buffer, stream, offset);
        check!(good == buffer.len(), "stream {stream}: wrong byte at {}", offset + good as u64);
        entry.received += buffer.len() as u64;
        self.bytes += buffer.len() as u64;
        self.buffers += 1;
        Ok(Held { buffer, stream, offset })
    }

    /// Bytes of a stream that were read by other means.
    pub fn read(&mut self, stream: u64, bytes: &[u8]) -> Result<(), Failure> {
        let entry = &mut self.entries[stream as usize];
        let good = self.payload.check(bytes, stream, entry.received);
        check!(good == bytes.len(), "stream {stream}: wrong byte in what recv reads");
        entry.received += bytes.len() as u64;
        Ok(())
    }

    pub fn check(&self, scenario: &Scenario) -> Result<(), Failure> {
        let limit = if scenario.limit == 0 { u64::MAX } else { scenario.limit };
        let expected = scenario.bytes.min(limit);
        for (number, entry) in self.entries.iter().enumerate() {
            let (received, ended) = (entry.received, entry.ended.unwrap_or(Ending::None));
            check!(ended == scenario.end, "stream {number}: {ended:?}, not {:?}", scenario.end);
            check!(
                if scenario.exact { received == expected } else { received <= expected },
                "stream {number}: {received} bytes, not {expected}"
            );
        }
        Ok(())
    }

    /// After what was left has come, too.
    pub fn check_rest(&self, bytes: u64) -> Result<(), Failure> {
        for (number, entry) in self.entries.iter().enumerate() {
            let received = entry.received;
            check!(received == bytes, "stream {number}: {received} bytes in all, not {bytes}");
        }
        Ok(())
    }

    pub fn check_stats(
        &self,
        scenario: &Scenario,
        stats: &Stats,
        held: u64,
    ) -> Result<(), Failure> {
        check!(stats.outstanding == held, "outstanding {}, not {held}", stats.outstanding);
        check!(stats.buffers == self.buffers, "buffers {}, not {}", stats.buffers, self.buffers);
        check!(stats.bytes == self.bytes, "bytes {}, not {}", stats.bytes, self.bytes);
        check!(stats.released == self.buffers - held, "released {}", stats.released);
        check!(stats.backlog <= stats.released, "backlog {}", stats.backlog);
        if self.ended() {
            check!(stats.streams == 0, "streams {}", stats.streams);
            check!(stats.parked == 0, "parked {}", stats.parked);
        }
        for (field, minimum) in &scenario.at_least {
            let value = counter(stats, field)?;
            check!(value >= *minimum, "{field} {value}, not {minimum} or more");
        }
        Ok(())
    }
}

fn counter(stats: &Stats, field: &str) -> Result<u64, Failure> {
    Ok(match field {
        "parks" => stats.parks,
        "wakes" => stats.wakes,
        "waits" => stats.waits,
        "flushes" => stats.flushes,
        "backlog_high" => stats.backlog_high,
        "rearms_ring_full" => stats.rearms_ring_full,
        "rearms_no_buffer" => stats.rearms_no_buffer,
        "rearms_silent" => stats.rearms_silent,
        "rearms_interrupted" => stats.rearms_interrupted,
        _ => return Err(fail!("at_least: no such counter: {field}")),
    })
}
