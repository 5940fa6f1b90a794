// SPDX-License-Identifier: MIT
use std::error::Error;
use std::fs::File;
use std::io;
use std::os::fd::AsFd;

use zcrx::Receiver;

pub const USAGE: &str = "\
usage: recv --listen HOST:PORT [--output FILE | --discard] [--connections N]
            [--engine auto|zcrx|zcrx-nodev|multishot|recv] [--interface NAME] [--queue N]
            [--area-bytes BYTES] [--sha256] [--json]

  --listen        port 0 takes a free one; which is told on standard error
  --output FILE   with several connections: FILE.0, FILE.1, ...; - is standard output, and the report then goes to
                  standard error
  --discard       the default
  --sha256        hash each connection's data
  --json          print one object
";

/// Where what is received goes.
#[derive(Default)]
pub enum Output {
    #[default]
    Discard,
    File(String),
    /// Standard output.
    Standard,
}

impl Output {
    fn named(name: String) -> Self {
        match name.as_str() {
            // As the descriptor that there is: opening it by name would truncate a file, and begin at its start.
            "-" | "/dev/stdout" | "/dev/fd/1" | "/proc/self/fd/1" => Self::Standard,
            _ => Self::File(name),
        }
    }

    /// The file of a connection; its number is part of the name if there are several.
    pub fn open(&self, number: Option<usize>) -> Result<Option<File>, String> {
        match self {
            Self::Discard => Ok(None),
            Self::Standard => {
                let own = io::stdout().as_fd().try_clone_to_owned();
                own.map(|own| Some(File::from(own))).map_err(|error| self.failure(&error))
            }
            Self::File(name) => {
                let name = number.map_or(name.clone(), |number| format!("{name}.{number}"));
                File::create(&name)
                    .map(Some)
                    .map_err(|error| format!("cannot create {name}: {error}"))
            }
        }
    }

    pub fn failure(&self, error: &io::Error) -> String {
        match self {
            Self::File(name) => format!("cannot write to {name}: {error}"),
            _ => format!("cannot write to standard output: {error}"),
        }
    }
}

#[derive(Default)]
pub struct Options {
    pub listen: String,
    pub output: Output,
    pub connections: usize,
    engine: zcrx::Engine,
    interface: Option<String>,
    queue: Option<u32>,
    area_bytes: u64,
    pub sha256: bool,
    pub json: bool,
}

impl Options {
    /// `None`: help was asked for.
    pub fn parse(mut words: impl Iterator<Item = String>) -> Result<Option<Self>, Box<dyn Error>> {
        let mut options = Self { connections: 1, area_bytes: 64 << 20, ..Self::default() };
        let (mut discard, mut output) = (false, None);
        while let Some(word) = words.next() {
            let mut value = || {
                let value = words.next().filter(|value| !value.is_empty());
                value.ok_or_else(|| format!("{word} needs a value"))
            };
            match word.as_str() {
                "--listen" => options.listen = value()?,
                "--output" => output = Some(value()?),
                "--discard" => discard = true,
                "--connections" => options.connections = value()?.parse()?,
                "--engine" => options.engine = value()?.parse()?,
                "--interface" => options.interface = Some(value()?),
                "--queue" => options.queue = Some(value()?.parse()?),
                "--area-bytes" => options.area_bytes = value()?.parse()?,
                "--sha256" => options.sha256 = true,
                "--json" => options.json = true,
                "-h" | "--help" => return Ok(None),
                _ => return Err(format!("unknown option {word}").into()),
            }
        }
        if discard && output.is_some() {
            return Err("--output or --discard, not both".into());
        }
        options.output = output.map(Output::named).unwrap_or_default();
        options.check()?;
        Ok(Some(options))
    }

    fn check(&self) -> Result<(), &'static str> {
        if self.listen.is_empty() || self.connections == 0 || self.area_bytes == 0 {
            return Err("--listen is needed, and counts are at least 1");
        }
        if matches!(self.output, Output::Standard) && self.connections > 1 {
            return Err("several connections cannot share standard output: name a file");
        }
        Ok(())
    }

    pub fn open(&self) -> zcrx::Result<Receiver> {
        let mut builder = Receiver::builder().engine(self.engine).area_bytes(self.area_bytes);
        if let Some(interface) = &self.interface {
            builder = builder.interface(interface);
        }
        if let Some(queue) = self.queue {
            builder = builder.queue(queue);
        }
        builder.open()
    }
}
