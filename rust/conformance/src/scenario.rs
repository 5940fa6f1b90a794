// SPDX-License-Identifier: MIT
//! The scenario table. Its format and keys: tests/conformance/README.md.

use std::str::FromStr;

use crate::{Failure, fail};

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Hold {
    Count(usize),
    End,
    Parked,
    Closed,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Order {
    Fifo,
    Lifo,
    Random,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Remove {
    Never,
    At(u64),
    Parked,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Until {
    Ends,
    Bytes(u64),
    Timeout,
    Wake,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Rest {
    None,
    Recv,
    Add,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ending {
    Fin,
    Limit,
    Removed,
    Reset,
    None,
}

pub struct Scenario {
    pub name: String,
    /// What the sender is told.
    pub words: Vec<String>,
    pub connections: u64,
    pub bytes: u64,
    pub seed: u64,
    pub connect_each: bool,
    pub engines: Option<Vec<String>>,
    pub area_bytes: u64,
    pub buffer_bytes: u32,
    pub ring_entries: u32,
    pub refill_entries: u32,
    pub limit: u64,
    pub add_late: bool,
    pub close_fd: bool,
    pub batch: usize,
    pub timeout_ms: i64,
    pub poll: bool,
    pub hold: Hold,
    pub park_ms: u64,
    pub order: Order,
    pub release_batch: usize,
    pub release_threads: usize,
    pub remove_at: Remove,
    pub fork_at: Option<u64>,
    pub wake_ms: u64,
    pub signal_ms: u64,
    pub until: Until,
    pub rest: Rest,
    pub closed_ms: u64,
    pub repeat: u64,
    pub exact: bool,
    pub end: Ending,
    pub at_least: Vec<(String, u64)>,
    pub large: bool,
    /// Why this language cannot express it.
    pub inexpressible: Option<&'static str>,
}

impl Default for Scenario {
    fn default() -> Self {
        Self {
            name: String::new(),
            words: Vec::new(),
            connections: 1,
            bytes: 0,
            seed: 1,
            connect_each: false,
            engines: None,
            area_bytes: 8 << 20,
            buffer_bytes: 0,
            ring_entries: 0,
            refill_entries: 0,
            limit: 0,
            add_late: false,
            close_fd: false,
            batch: 64,
            timeout_ms: 1000,
            poll: false,
            hold: Hold::Count(0),
            park_ms: 0,
            order: Order::Fifo,
            release_batch: 0,
            release_threads: 0,
            remove_at: Remove::Never,
            fork_at: None,
            wake_ms: 0,
            signal_ms: 0,
            until: Until::Ends,
            rest: Rest::None,
            closed_ms: 0,
            repeat: 1,
            exact: true,
            end: Ending::Fin,
            at_least: Vec::new(),
            large: false,
            inexpressible: None,
        }
    }
}

fn number<T: FromStr>(value: &str) -> Result<T, Failure> {
    value.parse().map_err(|_| fail!("not a number: {value}"))
}

fn choose<T: Copy>(value: &str, choices: &[(&str, T)]) -> Result<T, Failure> {
    let choice = choices.iter().find(|(name, _)| *name == value);
    choice.map(|(_, choice)| *choice).ok_or_else(|| fail!("unknown value: {value}"))
}

fn flag(value: &str) -> Result<bool, Failure> {
    choose(value, &[("0", false), ("1", true)])
}

fn at_least(value: &str) -> Result<Vec<(String, u64)>, Failure> {
    let pair = |word: &str| {
        let (field, minimum) = word.split_once(':').ok_or_else(|| fail!("no minimum: {word}"))?;
        Ok((field.to_owned(), number(minimum)?))
    };
    value.split(',').map(pair).collect()
}

impl Scenario {
    fn parse(line: &str) -> Result<Self, Failure> {
        let mut words = line.split_whitespace();
        let name = words.next().unwrap_or_default().to_owned();
        let mut scenario =
            Self { name, words: words.clone().map(str::to_owned).collect(), ..Self::default() };
        for word in words {
            let (key, value) = word.split_once('=').ok_or_else(|| fail!("no value: {word}"))?;
            scenario
                .set(key, value)
                .map_err(|failure| fail!("{}: {key}: {failure}", scenario.name))?;
        }
        Ok(scenario)
    }

    fn set(&mut self, key: &str, value: &str) -> Result<(), Failure> {
        match key {
            "write" | "pause_bytes" | "pause_ms" | "finish" => {} // the sender's alone
            "connections" => self.connections = number(value)?,
            "bytes" => self.bytes = number(value)?,
            "seed" => self.seed = number(value)?,
            "connect" => self.connect_each = choose(value, &[("together", false), ("each", true)])?,
            "engines" if value == "all" => self.engines = None,
            "engines" => self.engines = Some(value.split(',').map(str::to_owned).collect()),
            "area_bytes" => self.area_bytes = number(value)?,
            "buffer_bytes" => self.buffer_bytes = number(value)?,
            "ring_entries" => self.ring_entries = number(value)?,
            "refill_entries" => self.refill_entries = number(value)?,
            "limit" => self.limit = number(value)?,
            "add" => self.add_late = choose(value, &[("accept", false), ("late", true)])?,
            "close_fd" => self.close_fd = flag(value)?,
            "size" => self.large = choose(value, &[("small", false), ("large", true)])?,
            "repeat" => self.repeat = number(value)?,
            _ => return self.set_receiving(key, value),
        }
        Ok(())
    }

    fn set_receiving(&mut self, key: &str, value: &str) -> Result<(), Failure> {
        match key {
            "batch" => self.batch = number(value)?,
            "timeout_ms" => self.timeout_ms = number(value)?,
            "wait" => self.poll = choose(value, &[("receive", false), ("poll", true)])?,
            "hold" => {
                let names =
                    [("end", Hold::End), ("parked", Hold::Parked), ("closed", Hold::Closed)];
                self.hold = choose(value, &names).or_else(|_| number(value).map(Hold::Count))?;
            }
            "park_ms" => self.park_ms = number(value)?,
            "order" => {
                let names =
                    [("fifo", Order::Fifo), ("lifo", Order::Lifo), ("random", Order::Random)];
                self.order = choose(value, &names)?;
            }
            "release_batch" => self.release_batch = number(value)?,
            "release_threads" => self.release_threads = number(value)?,
            "double_release" => {
                if flag(value)? {
                    self.inexpressible =
                        Some("double_release: a Buffer is released by being moved");
                }
            }
            "remove_at" if value == "parked" => self.remove_at = Remove::Parked,
            "remove_at" => self.remove_at = Remove::At(number(value)?),
            "fork_at" => self.fork_at = Some(number(value)?),
            "wake_ms" => self.wake_ms = number(value)?,
            "signal_ms" => self.signal_ms = number(value)?,
            _ => return self.set_result(key, value),
        }
        Ok(())
    }

    fn set_result(&mut self, key: &str, value: &str) -> Result<(), Failure> {
        match key {
            "until" => {
                self.until = match value.strip_prefix("bytes:") {
                    Some(bytes) => Until::Bytes(number(bytes)?),
                    None => {
                        let names = [
                            ("ends", Until::Ends),
                            ("timeout", Until::Timeout),
                            ("wake", Until::Wake),
                        ];
                        choose(value, &names)?
                    }
                }
            }
            "rest" => {
                let names = [("none", Rest::None), ("recv", Rest::Recv), ("add", Rest::Add)];
                self.rest = choose(value, &names)?;
            }
            "close" => {
                if choose(value, &[("owner", false), ("thread", true)])? {
                    self.inexpressible = Some("close=thread: a Receiver is not Send");
                }
            }
            "closed_ms" => self.closed_ms = number(value)?,
            "expect" => self.exact = choose(value, &[("exact", true), ("prefix", false)])?,
            "end" => {
                let names = [
                    ("fin", Ending::Fin),
                    ("limit", Ending::Limit),
                    ("removed", Ending::Removed),
                    ("reset", Ending::Reset),
                    ("none", Ending::None),
                ];
                self.end = choose(value, &names)?;
            }
            "at_least" => self.at_least = at_least(value)?,
            _ => return Err(fail!("unknown key")),
        }
        Ok(())
    }
}

/// All scenarios of a table.
pub fn parse(text: &str) -> Result<Vec<Scenario>, Failure> {
    let lines = text.lines().map(str::trim);
    lines.filter(|line| !line.is_empty() && !line.starts_with('#')).map(Scenario::parse).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_unknown_is_a_failure() {
        assert!(parse("x bytes=1 colour=blue").is_err());
        assert!(parse("x order=sideways").is_err());
        assert!(parse("x hold=closed until=bytes:7\n# y\n\nz").is_ok_and(|all| all.len() == 2));
    }
}
