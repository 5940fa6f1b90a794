// SPDX-License-Identifier: MIT
//! Runs the examples as a user would, against an ordinary client.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::{env, fs, process, thread};

use sha2::{Digest, Sha256};

const SIZE: usize = 20_000_003;

fn payload() -> Vec<u8> {
    (0..SIZE as u32).map(|i| (i.wrapping_mul(2654435761) >> 24) as u8).collect()
}

/// A running example, which has said where it listens.
struct Example {
    child: Child,
    address: String,
    output: Box<dyn BufRead + Send>,
}

impl Example {
    fn start(name: &str, arguments: &[&str]) -> Self {
        let mut path = env::current_exe().expect("the test's own path");
        path.pop();
        path.pop();
        let mut child = Command::new(path.join("examples").join(name))
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("example {name}: {error}"));
        let stdout = BufReader::new(child.stdout.take().expect("piped"));
        let stderr = BufReader::new(child.stderr.take().expect("piped"));
        // recv prints its result to stdout, and so says on stderr where it listens.
        let (mut announced, mut output): (Box<dyn BufRead + Send>, Box<dyn BufRead + Send>) =
            if name == "recv" {
                (Box::new(stderr), Box::new(stdout))
            } else {
                (Box::new(stdout), Box::new(stderr))
            };
        let mut line = String::new();
        announced.read_line(&mut line).expect("text");
        let address = line.trim().strip_prefix("listening on ").map(str::to_owned);
        let address = address.unwrap_or_else(|| panic!("example {name} said: {line}"));
        if name != "recv" {
            output = announced;
        }
        Self { child, address, output }
    }

    fn connect(&self) -> TcpStream {
        TcpStream::connect(&self.address).expect("the example listens")
    }

    /// What it has printed when it has ended well.
    fn finish(mut self) -> String {
        let mut printed = String::new();
        self.output.read_to_string(&mut printed).expect("text");
        assert!(self.child.wait().expect("it ran").success(), "{printed}");
        printed
    }
}

#[test]
fn recv_hashes_each_connection() {
    let payload = payload();
    let arguments = ["--listen", "127.0.0.1:0", "--connections", "2", "--sha256", "--json"];
    let example = Example::start("recv", &arguments);
    let sockets = [example.connect(), example.connect()];
    thread::scope(|scope| {
        for mut socket in sockets {
            scope.spawn(|| socket.write_all(&payload).map(|()| drop(socket)).expect("sent"));
        }
    });
    let printed = example.finish();
    let hash = format!("{:x}", Sha256::digest(&payload));
    assert!(printed.contains(&format!("\"sha256\": [\"{hash}\", \"{hash}\"]")), "{printed}");
    assert!(printed.contains(&format!("\"bytes\": {}", 2 * SIZE)), "{printed}");
}

#[test]
fn recv_says_what_to_do() {
    let mut path: PathBuf = env::current_exe().expect("the test's own path");
    path.pop();
    path.pop();
    let output = Command::new(path.join("examples/recv"))
        .args(["--listen", "127.0.0.1:0", "--engine", "zcrx", "--interface", "no-such-nic"])
        .output()
        .expect("it runs");
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && text.starts_with("recv: "), "{text}");
    assert!(text.contains(';'), "a hint: {text}");
}

#[test]
fn tokio_server_writes_files() {
    let payload = payload();
    let directory = env::temp_dir().join(format!("zcrx-tokio-server-{}", process::id()));
    fs::create_dir(&directory).expect("a new directory");
    let path = directory.to_str().expect("text");
    let example = Example::start("tokio_server", &["127.0.0.1:0", path, "2"]);
    let mut sockets = [example.connect(), example.connect()];
    for socket in &mut sockets {
        socket.write_all(&payload).expect("sent");
    }
    drop(sockets);
    example.finish();
    for name in ["0", "1"] {
        assert!(fs::read(directory.join(name)).expect("written") == payload, "file {name}");
    }
    fs::remove_dir_all(&directory).expect("removed");
}

#[test]
fn hash_pipeline_sees_every_byte() {
    let payload = payload();
    let example = Example::start("hash_pipeline", &["127.0.0.1:0", "3"]);
    let mut socket = example.connect();
    socket.write_all(&payload).expect("sent");
    drop(socket);
    let printed = example.finish();
    let sum = (0u64..)
        .zip(&payload)
        .fold(0u64, |sum, (i, byte)| sum.wrapping_add((i * 2 + 1).wrapping_mul((*byte).into())));
    assert_eq!(printed, format!("{SIZE} bytes, checksum {sum:016x}\n"));
}

#[test]
fn http_body_takes_a_request() {
    let payload = payload();
    let example = Example::start("http_body", &["127.0.0.1:0"]);
    let mut socket = example.connect();
    write!(socket, "PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: {SIZE}\r\n\r\n").expect("sent");
    socket.write_all(&payload).expect("sent");
    let mut answer = String::new();
    socket.read_to_string(&mut answer).expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(answer.contains(&format!("{SIZE} bytes in ")), "{answer}");
    example.finish();
}
