// SPDX-License-Identifier: MIT
//! Counters of a group, in the text format of Prometheus, over HTTP.

use std::fmt::{Display, Write as _};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use zcrx::GroupStats;

/// A client that is slower is not served: others wait meanwhile.
const PATIENCE: Duration = Duration::from_secs(1);
const LONGEST_REQUEST: u64 = 8192;

/// Read one request and answer it.
pub fn serve(mut socket: TcpStream, stats: &GroupStats) -> io::Result<()> {
    socket.set_nonblocking(false)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    socket.set_write_timeout(Some(PATIENCE))?;
    let mut lines = BufReader::new((&socket).take(LONGEST_REQUEST)).lines();
    let request = lines.next().transpose()?.unwrap_or_default();
    // To the empty line: what is not read would reset the connection.
    for line in lines {
        if line?.is_empty() {
            break;
        }
    }
    let (status, text) = if request.starts_with("GET /metrics ") {
        ("200 OK", text(stats))
    } else {
        ("404 Not Found", "there is only GET /metrics\n".to_owned())
    };
    let length = text.len();
    let kind = "text/plain; version=0.0.4";
    write!(socket, "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n")?;
    write!(socket, "Connection: close\r\n\r\n{text}")
}

fn text(stats: &GroupStats) -> String {
    let mut text = Text::default();
    text.one("connections_accepted_total", "counter", "Connections accepted.", stats.accepted);
    text.one("connections_refused_total", "counter", "Of them, not received.", stats.refused);
    text.one("accept_retries_total", "counter", "Times accepting waited.", stats.accept_retries);
    text.one("receivers", "gauge", "Receivers that are open.", stats.receiver_count);
    text.one("connections", "gauge", "Connections that are open.", stats.sum.streams);
    text.one("received_bytes_total", "counter", "Bytes received.", stats.sum.bytes);
    text.one("held_bytes", "gauge", "Memory that received bytes hold.", stats.sum.held_bytes);
    // Those of a receiver have names of their own: a query that sums up counts nothing twice.
    let each = || stats.receivers.iter();
    let streams = each().map(|receiver| receiver.streams);
    text.each("receiver_connections", "gauge", "Connections that are open.", streams);
    let bytes = each().map(|receiver| receiver.bytes);
    text.each("receiver_received_bytes_total", "counter", "Bytes received.", bytes);
    let held = each().map(|receiver| receiver.held_bytes);
    text.each("receiver_held_bytes", "gauge", "Memory that received bytes hold.", held);
    text.0
}

#[derive(Default)]
struct Text(String);

impl Text {
    fn head(&mut self, name: &str, kind: &str, help: &str) {
        write!(self.0, "# HELP zcrx_{name} {help}\n# TYPE zcrx_{name} {kind}\n")
            .expect("a String takes all");
    }

    fn one(&mut self, name: &str, kind: &str, help: &str, value: impl Display) {
        self.head(name, kind, help);
        writeln!(self.0, "zcrx_{name} {value}").expect("a String takes all");
    }

    fn each(&mut self, name: &str, kind: &str, help: &str, values: impl Iterator<Item = u64>) {
        self.head(name, kind, help);
        for (number, value) in values.enumerate() {
            writeln!(self.0, "zcrx_{name}{{receiver=\"{number}\"}} {value}")
                .expect("a String takes all");
        }
    }
}
