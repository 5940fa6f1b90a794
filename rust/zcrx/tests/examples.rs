// SPDX-License-Identifier: MIT
//! Runs the examples as a user would, against an ordinary client.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::PathBuf;
use std::process::{Child, ChildStderr, ChildStdout, Command, Stdio};
use std::{env, fs, process, thread};

use sha2::{Digest, Sha256};
use tokio::net::TcpSocket;

const SIZE: usize = 20_000_003;

fn payload() -> Vec<u8> {
    (0..SIZE as u32).map(|i| (i.wrapping_mul(2654435761) >> 24) as u8).collect()
}

fn new_directory(name: &str) -> PathBuf {
    let directory = env::temp_dir().join(format!("zcrx-{name}-{}", process::id()));
    fs::create_dir(&directory).expect("a new directory");
    directory
}

/// A running example, which has said where it listens.
struct Example {
    child: Child,
    address: String,
    output: BufReader<ChildStdout>,
    errors: BufReader<ChildStderr>,
}

fn path_of(name: &str) -> PathBuf {
    let mut path = env::current_exe().expect("the test's own path");
    path.pop();
    path.pop();
    path.join("examples").join(name)
}

/// In the child: a signal that is ignored where the tests run (SIGINT, in a shell's background) would be ignored by the
/// example, too.
fn heed_signals() -> io::Result<()> {
    for signal in [libc::SIGHUP, libc::SIGINT, libc::SIGTERM] {
        // SAFETY: a valid signal, and its default.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    }
    Ok(())
}

impl Example {
    fn start(name: &str, arguments: &[&str]) -> Self {
        let mut command = Command::new(path_of(name));
        command.args(arguments);
        Self::run(name, command)
    }

    fn run(name: &str, mut command: Command) -> Self {
        // SAFETY: signal is async-signal-safe.
        unsafe { command.pre_exec(heed_signals) };
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("example {name}: {error}"));
        let stdout = child.stdout.take().expect("piped");
        let stderr = child.stderr.take().expect("piped");
        let (mut output, mut errors) = (BufReader::new(stdout), BufReader::new(stderr));
        // recv prints its result to stdout, and so says on stderr where it listens.
        let announced: &mut dyn BufRead = if name == "recv" { &mut errors } else { &mut output };
        let mut line = String::new();
        announced.read_line(&mut line).expect("text");
        let address = line.trim().strip_prefix("listening on ").map(str::to_owned);
        let address = address.unwrap_or_else(|| panic!("example {name} said: {line}"));
        Self { child, address, output, errors }
    }

    fn connect(&self) -> TcpStream {
        TcpStream::connect(&self.address).expect("the example listens")
    }

    /// What it has printed when it has ended well.
    fn finish(self) -> String {
        let (code, printed, errors) = self.end();
        assert_eq!(code, Some(0), "{printed}{errors}");
        printed
    }

    /// Its exit status, what it printed, and what it complained of.
    fn end(mut self) -> (Option<i32>, String, String) {
        let (mut printed, mut errors) = (String::new(), String::new());
        self.output.read_to_string(&mut printed).expect("text");
        self.errors.read_to_string(&mut errors).expect("text");
        (self.child.wait().expect("it ran").code(), printed, errors)
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
fn recv_writes_a_file_for_each_connection_as_they_come() {
    let payload = payload();
    let directory = new_directory("recv");
    let path = directory.join("out");
    let path = path.to_str().expect("text");
    let arguments = ["--listen", "127.0.0.1:0", "--connections", "3", "--output", path];
    let example = Example::start("recv", &arguments);
    for _ in 0..3 {
        // One after the other: the next comes when this has been received.
        let mut socket = example.connect();
        socket.write_all(&payload).expect("sent");
    }
    let printed = example.finish();
    assert!(printed.contains(&format!("{} bytes", 3 * SIZE)), "{printed}");
    for number in 0..3 {
        let written = fs::read(format!("{path}.{number}")).expect("written");
        assert!(written == payload, "file {number}");
    }
    fs::remove_dir_all(&directory).expect("removed");
}

#[test]
fn recv_tells_which_connection_failed() {
    let example = Example::start("recv", &["--listen", "127.0.0.1:0", "--connections", "2"]);
    let (mut good, bad) = (example.connect(), example.connect());
    good.write_all(b"good").expect("sent");
    drop(good);
    let bad = TcpSocket::from_std_stream(bad);
    bad.set_zero_linger().expect("set");
    drop(bad); // resets the connection
    let (code, printed, errors) = example.end();
    assert_eq!(code, Some(1));
    assert!(printed.contains("4 bytes in 1 buffers"), "{printed}");
    assert!(errors.contains("recv: connection 1: "), "{errors}");
}

fn recv(arguments: &[&str]) -> (Option<i32>, String) {
    let output = Command::new(path_of("recv")).args(arguments).output();
    let output = output.expect("it runs");
    let text = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8_lossy(&text).into_owned())
}

#[test]
fn recv_says_what_to_do() {
    let arguments = ["--listen", "127.0.0.1:0", "--engine", "zcrx", "--interface", "no-such-nic"];
    let (code, text) = recv(&arguments);
    assert!(code == Some(1) && text.starts_with("recv: "), "{text}");
    assert!(text.contains(';'), "a hint: {text}");
    assert_eq!(recv(&["--help"]).0, Some(0));
    let listen = ["--listen", "127.0.0.1:0"];
    for wrong in [
        &["--listen"][..],
        &["--connections", "1"],
        &["--discard", "--output", "x"],
        &[listen[0], listen[1], "--output", ""],
        &[listen[0], listen[1], "--output", "-", "--connections", "2"],
    ] {
        let (code, text) = recv(wrong);
        assert!(code == Some(2) && text.starts_with("usage: "), "{text}");
    }
}

#[test]
fn recv_listens_on_both_families() {
    for engine in ["multishot", "recv"] {
        let example = Example::start("recv", &["--listen", "[::]:0", "--engine", engine]);
        let port = example.address.strip_prefix("[::]:").expect("all addresses");
        let mut socket = TcpStream::connect(format!("127.0.0.1:{port}")).expect("IPv4 as well");
        socket.write_all(b"four").expect("sent");
        drop(socket);
        assert!(example.finish().contains("4 bytes"));
    }
}

#[test]
fn recv_writes_to_standard_output_nothing_but_data() {
    for name in ["-", "/dev/stdout"] {
        let arguments = ["--listen", "127.0.0.1:0", "--output", name, "--sha256", "--json"];
        let example = Example::start("recv", &arguments);
        example.connect().write_all(b"only this").expect("sent");
        let (code, printed, errors) = example.end();
        assert_eq!((code, &printed[..]), (Some(0), "only this"), "{errors}");
        assert!(errors.contains("\"bytes\": 9"), "{errors}");
    }
}

#[test]
fn recv_says_why_it_cannot_write() {
    let arguments = ["--listen", "127.0.0.1:0", "--output", "/dev/full", "--sha256"];
    let example = Example::start("recv", &arguments);
    example.connect().write_all(b"too much").expect("sent");
    let (code, _, errors) = example.end();
    assert_eq!(code, Some(1));
    assert!(errors.contains("recv: cannot write to /dev/full: No space left"), "{errors}");

    let example = Example::start("recv", &["--listen", "127.0.0.1:0", "--output", "-"]);
    let mut socket = example.connect();
    let Example { mut child, output, mut errors, .. } = example;
    drop(output); // nobody reads its output any more
    socket.write_all(b"for nobody").expect("sent");
    let mut said = String::new();
    errors.read_to_string(&mut said).expect("text");
    assert_eq!(child.wait().expect("it ran").code(), Some(1));
    assert!(said.contains("recv: cannot write to standard output: Broken pipe"), "{said}");
}

#[test]
fn recv_ends_orderly_at_a_signal() {
    for signal in [libc::SIGHUP, libc::SIGINT, libc::SIGTERM] {
        let example = Example::start("recv", &["--listen", "127.0.0.1:0"]);
        let _socket = example.connect();
        // SAFETY: only sends a signal.
        assert_eq!(unsafe { libc::kill(example.child.id() as i32, signal) }, 0);
        let Example { mut child, mut errors, .. } = example;
        let mut said = String::new();
        errors.read_to_string(&mut said).expect("text");
        // Said after the receiver was dropped.
        assert!(said.contains(&format!("stopped by signal {signal}")), "{said}");
        assert_eq!(child.wait().expect("it ran").signal(), Some(signal));
    }
}

/// Under a limit of descriptors, as `ulimit` sets it.
fn limited(limit: &str, connections: usize) -> Command {
    let path = path_of("recv");
    let script =
        format!("ulimit {limit}; exec \"$0\" --listen 127.0.0.1:0 --connections {connections}");
    let mut command = Command::new("sh");
    command.arg("-c").arg(script).arg(path);
    command
}

#[test]
fn recv_has_a_descriptor_for_each_connection() {
    let refused = limited("-n 100", 100).output().expect("it runs");
    let errors = String::from_utf8_lossy(&refused.stderr);
    assert_eq!(refused.status.code(), Some(1), "{errors}");
    assert!(errors.contains("descriptors"), "{errors}");

    let example = Example::run("recv", limited("-Sn 64", 100));
    let sockets: Vec<TcpStream> = (0..100).map(|_| example.connect()).collect();
    for mut socket in sockets {
        socket.write_all(b"x").expect("sent");
    }
    assert!(example.finish().contains("100 bytes"));
}

#[test]
fn tokio_server_writes_files() {
    let payload = payload();
    let directory = new_directory("tokio-server");
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

/// What is served at a path.
fn http(address: &str, path: &str) -> String {
    let mut socket = TcpStream::connect(address).expect("it listens");
    write!(socket, "GET {path} HTTP/1.1\r\nHost: x\r\n\r\n").expect("sent");
    let mut answer = String::new();
    socket.read_to_string(&mut answer).expect("answered");
    answer
}

#[test]
fn hash_server_answers_uploads_and_counts_them() {
    let payload = &payload()[..5_000_003];
    for (engine, signal) in [("multishot", libc::SIGTERM), ("recv", libc::SIGINT)] {
        let arguments = ["--listen", "127.0.0.1:0", "--metrics", "127.0.0.1:0", "--receivers", "2"];
        let engine = ["--engine", engine];
        let mut example = Example::start("hash_server", &[&arguments[..], &engine].concat());
        let mut line = String::new();
        example.output.read_line(&mut line).expect("text");
        let metrics = line.trim().strip_prefix("metrics on ").expect("an address").to_owned();
        let sockets: Vec<_> = (0..4).map(|_| example.connect()).collect();
        thread::scope(|scope| {
            for (number, mut socket) in sockets.into_iter().enumerate() {
                scope.spawn(move || {
                    let sent = &payload[number..];
                    socket.write_all(sent).expect("sent");
                    socket.shutdown(Shutdown::Write).expect("ended");
                    let mut answer = String::new();
                    socket.read_to_string(&mut answer).expect("answered");
                    assert_eq!(answer, format!("{:x}\n", Sha256::digest(sent)));
                });
            }
        });
        let bytes = 4 * payload.len() - 6;
        let answer = http(&metrics, "/metrics");
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
        let has = |line: &str| assert!(answer.lines().any(|found| found == line), "{answer}");
        has("# TYPE zcrx_received_bytes_total counter");
        has(&format!("zcrx_received_bytes_total {bytes}"));
        has("zcrx_connections_accepted_total 4");
        has("zcrx_receivers 2");
        let each = |receiver| {
            let name = format!("zcrx_receiver_received_bytes_total{{receiver=\"{receiver}\"}} ");
            let value = answer.lines().find_map(|line| line.strip_prefix(&name));
            value.and_then(|value| value.parse::<usize>().ok()).expect("a number")
        };
        assert_eq!(each(0) + each(1), bytes);
        assert!(http(&metrics, "/").starts_with("HTTP/1.1 404 "));
        let _open = example.connect(); // does not keep it from ending
        // SAFETY: only sends a signal.
        assert_eq!(unsafe { libc::kill(example.child.id() as i32, signal) }, 0);
        let printed = example.finish();
        assert!(printed.contains(&format!("connections, {bytes} bytes")), "{printed}");
    }
}

#[test]
fn hash_server_says_what_to_do() {
    let run = |arguments: &[&str]| {
        let output = Command::new(path_of("hash_server")).args(arguments).output();
        let output = output.expect("it runs");
        let text = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8_lossy(&text).into_owned())
    };
    let (code, text) = run(&["--help"]);
    assert!(code == Some(0) && text.starts_with("usage: "), "{text}");
    for wrong in [&["--receivers", "2"][..], &["--listen", "127.0.0.1:0", "--receivers", "x"]] {
        let (code, text) = run(wrong);
        assert!(code == Some(2) && text.starts_with("usage: "), "{text}");
    }
    let (code, text) = run(&["--listen", "127.0.0.1:0", "--interface", "no-such-nic"]);
    assert!(code == Some(1) && text.contains("name one in --listen"), "{text}");
    let nic = ["--engine", "zcrx", "--interface", "no-such-nic"];
    let (code, text) = run(&[&["--listen", "127.0.0.1:9"], &nic[..]].concat());
    assert!(code == Some(1) && text.starts_with("hash_server: ") && text.contains(';'), "{text}");
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = taken.local_addr().expect("bound").to_string();
    let (code, text) = run(&["--listen", &address, "--receivers", "1"]);
    assert!(code == Some(1) && text.contains("cannot listen on"), "{text}");
}
