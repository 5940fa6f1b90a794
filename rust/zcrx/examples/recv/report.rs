// SPDX-License-Identifier: MIT
//! What is told at the end.

use std::io::{self, Write};

use zcrx::{Info, Stats};

pub struct Report {
    pub info: Info,
    pub stats: Stats,
    pub seconds: f64,
    /// Of each connection, if they were asked for.
    pub hashes: Vec<String>,
}

impl Report {
    /// Why no better engine is in use.
    fn reason(&self) -> String {
        let refused = self.info.refused.iter();
        let reasons =
            refused.map(|refusal| format!("{}: {}", refusal.engine, refusal.error.message()));
        reasons.collect::<Vec<_>>().join("; ")
    }

    pub fn json(&self, out: &mut dyn Write) -> io::Result<()> {
        let copied = self.stats.copied_bytes.map_or("null".to_owned(), |bytes| bytes.to_string());
        write!(
            out,
            "{{\"engine\": \"{}\", \"reason\": {}, \"bytes\": {}, \"seconds\": {:.6}, \
             \"buffers\": {}, \"copied_bytes\": {copied}",
            self.info.engine,
            quoted(&self.reason()),
            self.stats.bytes,
            self.seconds,
            self.stats.buffers
        )?;
        if !self.hashes.is_empty() {
            let hashes: Vec<String> = self.hashes.iter().map(|hash| quoted(hash)).collect();
            write!(out, ", \"sha256\": [{}]", hashes.join(", "))?;
        }
        writeln!(out, "}}")
    }

    pub fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        match self.reason() {
            reason if reason.is_empty() => writeln!(out, "engine {}", self.info.engine)?,
            reason => writeln!(out, "engine {}, because {reason}", self.info.engine)?,
        }
        writeln!(
            out,
            "{} bytes in {} buffers, {:.3} s, {:.3} GB/s",
            self.stats.bytes,
            self.stats.buffers,
            self.seconds,
            self.stats.bytes as f64 / self.seconds / 1e9
        )?;
        for (connection, hash) in self.hashes.iter().enumerate() {
            writeln!(out, "{hash}  connection {connection}")?;
        }
        Ok(())
    }
}

fn quoted(text: &str) -> String {
    let escape = |letter: char| match letter {
        '"' | '\\' => format!("\\{letter}"),
        '\0'..' ' => format!("\\u{:04x}", u32::from(letter)),
        _ => letter.to_string(),
    };
    format!("\"{}\"", text.chars().map(escape).collect::<String>())
}
