// SPDX-License-Identifier: MIT
//! The executor's answers to the requests for groups, by its protocol alone.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};
use std::{env, process};

const CHANNELS: usize = 8;
const FIRST: i32 = 3;
const TABLE_BYTES: usize = 65521;
const WAIT: Duration = Duration::from_secs(20);

struct Executor {
    child: Child,
    channels: Vec<BufReader<UnixStream>>,
    listener: TcpListener,
    payload: Vec<u8>,
}

/// In the child: the descriptors of the protocol, which are inherited.
fn place(descriptors: &[OwnedFd]) -> io::Result<()> {
    let check = |fd: i32| if fd < 0 { Err(io::Error::last_os_error()) } else { Ok(fd) };
    for (number, descriptor) in (FIRST..).zip(descriptors) {
        // SAFETY: nothing else has numbers above 100 here, and nothing is read by those of the protocol any more.
        check(unsafe { libc::dup2(descriptor.as_raw_fd(), 100 + number) })?;
    }
    for (number, _) in (FIRST..).zip(descriptors) {
        // SAFETY: as above.
        check(unsafe { libc::dup2(100 + number, number) })?;
        // SAFETY: it was just made.
        unsafe { libc::close(100 + number) };
    }
    Ok(())
}

impl Executor {
    fn start() -> Self {
        let table = (0..TABLE_BYTES as u32).map(|i| (i.wrapping_mul(2654435761) >> 24) as u8);
        let payload = table.collect::<Vec<u8>>().repeat(18);
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = env::temp_dir().join(format!("zcrx-conformance-{}-{number}", process::id()));
        fs::write(&path, &payload).expect("written");
        let file = File::open(&path).expect("written just now");
        fs::remove_file(&path).expect("removed");

        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let pairs = (0..CHANNELS).map(|_| UnixStream::pair().expect("a pair"));
        let (channels, mut descriptors): (Vec<_>, Vec<OwnedFd>) = pairs
            .map(|(ours, theirs)| {
                ours.set_read_timeout(Some(WAIT)).expect("set");
                (BufReader::new(ours), OwnedFd::from(theirs))
            })
            .unzip();
        descriptors.push(listener.as_fd().try_clone_to_owned().expect("a descriptor"));
        descriptors.push(file.into());
        let mut command = Command::new(env!("CARGO_BIN_EXE_zcrx-conformance"));
        // SAFETY: it makes system calls only.
        unsafe { command.pre_exec(move || place(&descriptors)) };
        let child = command.spawn().expect("it runs");
        // The command has the executor's ends: it would not see the end of a channel.
        drop(command);
        Self { child, channels, listener, payload }
    }

    /// The facts, and what follows `ok`.
    fn ask(&mut self, channel: usize, request: &str) -> (Vec<String>, String) {
        let channel = &mut self.channels[channel];
        channel.get_mut().write_all(format!("{request}\n").as_bytes()).expect("asked");
        let mut facts = Vec::new();
        loop {
            let mut line = String::new();
            channel.read_line(&mut line).expect("answered in time");
            let line = line.trim_end();
            if let Some(answer) = line.strip_prefix("ok") {
                return (facts, answer.trim().to_owned());
            }
            assert!(!line.starts_with("failed") && !line.is_empty(), "{request}: {line}");
            facts.push(line.to_owned());
        }
    }

    /// Receive on each of the channels until one of them says this first; which, and what follows.
    fn await_fact(&mut self, channels: &[usize], kind: &str) -> (usize, Vec<String>) {
        let begun = Instant::now();
        while begun.elapsed() < WAIT {
            for &channel in channels {
                let (facts, _) = self.ask(channel, "receive 1 10 hold");
                if let Some(fact) = facts.first() {
                    let words: Vec<_> = fact.split(' ').map(str::to_owned).collect();
                    assert_eq!(words[0], kind, "{fact}");
                    return (channel, words[1..].to_vec());
                }
            }
        }
        panic!("no {kind}");
    }

    fn descriptors(&self) -> usize {
        let path = format!("/proc/{}/fd", self.child.id());
        fs::read_dir(path).expect("it runs").count()
    }

    fn connect(&self) -> TcpStream {
        TcpStream::connect(self.listener.local_addr().expect("bound")).expect("it listens")
    }

    /// All channels end: so does the program.
    fn finish(mut self) {
        drop(self.channels);
        assert!(self.child.wait().expect("it ran").success());
    }
}

fn serves_a_group(engine: &str) {
    let mut executor = Executor::start();
    let (facts, _) = executor.ask(0, "hello");
    assert!(facts.contains(&"protocol 3".to_owned()), "{facts:?}");
    let group = format!("group 2 engine={engine} area_bytes=1048576 batch=1 inbox_entries=8");
    assert_eq!(executor.ask(0, &group).1, engine);

    // One that is added, on another channel than it was accepted on.
    let mut peer = executor.connect();
    executor.ask(0, "accept 5 1000");
    executor.ask(1, "group-add 5 0");
    let (one, added) = executor.await_fact(&[0, 1], "added");
    assert_eq!(added[1..], ["5", "5", "-"]);
    peer.write_all(&executor.payload[1000..1100]).expect("sent");
    let (channel, data) = executor.await_fact(&[one], "data");
    assert_eq!((channel, &data[..4]), (one, &[&added[0], "5", "100", "100"].map(String::from)[..]));
    executor.ask(3, &format!("release {}", data[4]));

    // One that is accepted.
    executor.ask(2, "group-listen 77");
    let mut peer = executor.connect();
    let port = peer.local_addr().expect("connected").port();
    let (other, added) = executor.await_fact(&[0, 1], "added");
    assert_eq!(added[1..], [port.to_string(), "77".to_owned(), "accepted".to_owned()]);
    let first = usize::from(port);
    peer.write_all(&executor.payload[first..first + 50]).expect("sent");
    let (_, data) = executor.await_fact(&[other], "data");
    assert_eq!(data[1..4], [port.to_string(), "50".to_owned(), "50".to_owned()]);
    peer.shutdown(Shutdown::Write).expect("ended");
    let (_, end) = executor.await_fact(&[other], "end");
    assert_eq!(end[1..], [port.to_string(), "peer".to_owned()]);

    let stats = executor.ask(4, "group-stats").1;
    let has = |word: &str| stats.split(' ').any(|found| found == word);
    assert!(has("accepted=1") && has("added=2") && has("receiver_count=2"), "{stats}");
    assert!(has("sum_bytes=150") && has("sum_buffers=2"), "{stats}");

    // It is added already.
    executor.ask(0, "group-add 5 0");
    executor.ask(1, "leave");
    let stats = executor.ask(0, "group-stats").1;
    assert!(stats.contains("receiver_count=1"), "{stats}");
    assert_eq!(executor.ask(0, "close").1, "done");
    executor.finish();
}

#[test]
fn serves_a_group_on_multishot() {
    serves_a_group("multishot");
}

#[test]
fn serves_a_group_on_recv() {
    serves_a_group("recv");
}

/// What the threads of other channels have is closed with the group.
#[test]
fn close_reaches_all_threads() {
    let mut executor = Executor::start();
    executor.ask(0, "hello");
    let before = executor.descriptors();
    executor.ask(0, "group 3 engine=recv area_bytes=1048576");
    for channel in 0..2 {
        assert_eq!(executor.ask(channel, "receive 1 0 use").0.len(), 0); // it is this thread's now
    }
    assert!(executor.descriptors() > before);
    assert_eq!(executor.ask(0, "close").1, "done");
    assert_eq!(executor.descriptors(), before);
    executor.finish();
}

#[test]
fn a_refused_socket_is_a_fact() {
    let mut executor = Executor::start();
    assert_eq!(executor.ask(0, "group 1 engine=recv area_bytes=1048576").1, "recv");
    let _peer = executor.connect();
    executor.ask(0, "accept 3 0");
    executor.ask(0, "group-add 3 0");
    executor.ask(0, "group-add 3 0");
    let facts = executor.ask(0, "receive 64 1000 use").0;
    assert_eq!(facts.len(), 2, "{facts:?}");
    assert!(facts[0].starts_with("added ") && facts[1] == "refused 3 17 -", "{facts:?}");
    assert_eq!(executor.ask(0, "leave").1, "done");
    assert_eq!(executor.ask(0, "close").1, "done");
    executor.finish();
}
