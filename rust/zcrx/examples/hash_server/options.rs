// SPDX-License-Identifier: MIT
use std::error::Error;
use std::net::{SocketAddr, ToSocketAddrs};

use zcrx::{Engine, Group, GroupBuilder, Receiver, Steer};

pub const USAGE: &str = "\
usage: hash_server --listen HOST:PORT [--metrics HOST:PORT] [--receivers N]
                   [--engine auto|zcrx|zcrx-nodev|multishot|recv] [--interface NAME] [--area-bytes BYTES]

Takes uploads over TCP: whatever comes until the peer shuts its side down. Answers with the SHA-256 of it, in hexadecimal,
and a newline. SIGINT and SIGTERM end it.

  --listen      port 0 takes a free one, which is told on standard output
  --metrics     where counters are served in the text format of Prometheus, at /metrics
  --receivers   each has a thread, and with --interface a queue of the NIC; default: as many as processors, at most 16
  --interface   receive by zero-copy from queues of this NIC; the port has to be named
  --area-bytes  memory for received bytes, of each receiver
";

#[derive(Default)]
pub struct Options {
    pub listen: String,
    pub metrics: Option<String>,
    receivers: u32,
    engine: Engine,
    interface: Option<String>,
    area_bytes: u64,
}

impl Options {
    /// `None`: help was asked for.
    pub fn parse(mut words: impl Iterator<Item = String>) -> Result<Option<Self>, Box<dyn Error>> {
        let mut options = Self::default();
        while let Some(word) = words.next() {
            let mut value = || {
                let value = words.next().filter(|value| !value.is_empty());
                value.ok_or_else(|| format!("{word} needs a value"))
            };
            let number = |error| format!("{word}: {error}");
            match word.as_str() {
                "--listen" => options.listen = value()?,
                "--metrics" => options.metrics = Some(value()?),
                "--receivers" => options.receivers = value()?.parse().map_err(number)?,
                "--engine" => options.engine = value()?.parse()?,
                "--interface" => options.interface = Some(value()?),
                "--area-bytes" => options.area_bytes = value()?.parse().map_err(number)?,
                "-h" | "--help" => return Ok(None),
                _ => return Err(format!("unknown option {word}").into()),
            }
        }
        if options.listen.is_empty() {
            return Err("--listen is needed".into());
        }
        Ok(Some(options))
    }

    /// With an interface, its queues are set up for the port that is listened on.
    pub fn group(&self) -> Result<GroupBuilder, Box<dyn Error>> {
        let mut receiver = Receiver::builder().engine(self.engine).area_bytes(self.area_bytes);
        if let Some(interface) = &self.interface {
            let address = self.listen.to_socket_addrs()?.next();
            let port = address.as_ref().map_or(0, SocketAddr::port);
            if port == 0 {
                return Err("--interface needs a port that is known: name one in --listen".into());
            }
            receiver = receiver.interface(interface).steer(Steer::Port(port));
        }
        Ok(Group::builder().count(self.receivers).receiver(receiver))
    }
}
