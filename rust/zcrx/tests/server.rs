// SPDX-License-Identifier: MIT
//! The server under tokio: handlers that answer, stall, panic or are dropped, and what is left when it is closed.
#![cfg(feature = "tokio")]

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};
use std::{env, fs, process, thread};

use futures_util::{StreamExt, TryStreamExt};
use tokio::io::AsyncWriteExt;
use tokio::runtime::Builder as RuntimeBuilder;
use tokio::time::timeout;
use zcrx::tokio::{BufferStream, Connection, Server};
use zcrx::{Builder, End, Engine, Group, GroupBuilder, Receiver, StreamOptions};

const WAIT: Duration = Duration::from_secs(20);
const ENGINES: [Engine; 2] = [Engine::Multishot, Engine::Recv];

fn small(engine: Engine) -> Builder {
    Receiver::builder().engine(engine).area_bytes(1 << 20)
}

fn group(engine: Engine, count: u32) -> GroupBuilder {
    Group::builder().count(count).receiver(small(engine))
}

fn payload(bytes: usize) -> Vec<u8> {
    (0..bytes as u32).map(|i| (i.wrapping_mul(2654435761) >> 24) as u8).collect()
}

/// A server, and where it listens.
fn serve<F>(group: GroupBuilder, handler: F) -> (Server, TcpListener)
where
    F: AsyncFn(Connection) + Send + Sync + 'static,
{
    let server = Server::spawn(group, handler).expect("opened");
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    server.listen_with(&listener, StreamOptions::new().tag(7)).expect("it listens");
    (server, listener)
}

fn connect(listener: &TcpListener) -> TcpStream {
    let peer = TcpStream::connect(listener.local_addr().expect("bound")).expect("it listens");
    peer.set_read_timeout(Some(WAIT)).expect("set");
    peer
}

/// What comes until the peer closes.
fn answer(mut peer: TcpStream) -> String {
    let mut text = String::new();
    peer.read_to_string(&mut text).expect("answered");
    text
}

/// A thread that opened a ring may be interrupted by it: `read_exact` goes on.
fn is_closed(peer: &mut TcpStream) -> bool {
    let error = peer.read_exact(&mut [0]).expect_err("nothing more comes");
    matches!(error.kind(), ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset)
}

fn until(mut done: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !done() {
        assert!(begun.elapsed() < WAIT, "it does not come to that");
        thread::sleep(Duration::from_millis(1));
    }
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    let runtime = RuntimeBuilder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async { timeout(WAIT, future).await.expect("in time") })
}

/// Answers with a sum over all bytes and their places.
async fn sum(connection: Connection) -> io::Result<()> {
    assert!(connection.tag() == 7 && !connection.is_copied());
    assert!(connection.socket().peer_addr().is_ok());
    let (mut stream, mut socket) = connection.split()?;
    let (mut bytes, mut sum) = (0u64, 0u64);
    while let Some(buffer) = stream.try_next().await? {
        for byte in &*buffer {
            bytes += 1;
            sum = sum.wrapping_add(bytes.wrapping_mul((*byte).into()));
        }
    }
    assert_eq!(stream.end(), Some(End::Closed));
    socket.write_all(sum.to_string().as_bytes()).await
}

async fn summing(connection: Connection) {
    sum(connection).await.expect("summed up");
}

fn sum_of(bytes: &[u8]) -> String {
    let sum = (1u64..).zip(bytes);
    let sum = sum.fold(0u64, |sum, (i, byte)| sum.wrapping_add(i.wrapping_mul((*byte).into())));
    sum.to_string()
}

#[test]
fn what_goes_anywhere() {
    fn anywhere<T: Send + Sync + 'static>() {}
    fn sent<T: Send + 'static>() {}
    anywhere::<Server>();
    sent::<Connection>();
}

#[test]
fn connections_are_answered_on_all_receivers() {
    const CONNECTIONS: usize = 12;
    let payload = payload(3_000_000);
    for engine in ENGINES {
        let used = Arc::new([AtomicUsize::new(0), AtomicUsize::new(0), AtomicUsize::new(0)]);
        let counted = used.clone();
        let (server, listener) = serve(group(engine, 3), async move |connection: Connection| {
            counted[connection.receiver()].fetch_add(1, Ordering::Relaxed);
            summing(connection).await;
        });
        let peers: Vec<_> = (0..CONNECTIONS).map(|_| connect(&listener)).collect();
        thread::scope(|scope| {
            for (number, mut peer) in peers.into_iter().enumerate() {
                let sent = &payload[number * 1000..];
                scope.spawn(move || {
                    peer.write_all(sent).expect("sent");
                    peer.shutdown(Shutdown::Write).expect("ended");
                    assert_eq!(answer(peer), sum_of(sent));
                });
            }
        });
        let stats = server.stats();
        assert_eq!((stats.accepted, stats.added, stats.refused), (12, 12, 0));
        assert_eq!(stats.receiver_count, 3);
        let used: Vec<usize> = used.iter().map(|count| count.load(Ordering::Relaxed)).collect();
        assert_eq!(used.iter().sum::<usize>(), CONNECTIONS);
        assert!(used.iter().all(|count| *count > 0), "they share: {used:?}");
        server.close().expect("closed");
    }
}

#[test]
fn a_handler_that_panics_ends_alone() {
    for engine in ENGINES {
        let (server, listener) = serve(group(engine, 1), async |connection: Connection| {
            let (mut stream, mut socket) = connection.split().expect("split");
            let first = stream.next().await.expect("not the end").expect("received");
            assert_ne!(first[0], b'!', "on purpose");
            socket.write_all(&first).await.expect("answered");
        });
        let (mut bad, mut good) = (connect(&listener), connect(&listener));
        bad.write_all(b"!").expect("sent");
        assert!(is_closed(&mut bad));
        good.write_all(b"good").expect("sent");
        assert_eq!(answer(good), "good");
        until(|| server.stats().sum.streams == 0);
        server.close().expect("closed");
    }
}

#[test]
fn a_connection_that_is_dropped_is_closed() {
    for engine in ENGINES {
        let (server, listener) = serve(group(engine, 2), async |connection| drop(connection));
        let mut peers: Vec<_> = (0..4).map(|_| connect(&listener)).collect();
        assert!(peers.iter_mut().all(is_closed));
        until(|| server.stats().sum.streams == 0);
        server.close().expect("closed");
    }
}

/// One handler does not take what comes; another, on the same receiver, gets all of its own.
#[test]
fn a_handler_that_stalls_costs_only_itself() {
    let payload = payload(4 << 20);
    for engine in ENGINES {
        let (server, listener) = serve(group(engine, 1), async |connection: Connection| {
            let (mut stream, mut socket) = connection.split().expect("split");
            let first = stream.next().await.expect("not the end").expect("received");
            if first[0] == b'!' {
                return std::future::pending().await;
            }
            let mut bytes = first.len();
            drop(first);
            while let Some(buffer) = stream.try_next().await.expect("received") {
                bytes += buffer.len();
            }
            socket.write_all(bytes.to_string().as_bytes()).await.expect("answered");
        });
        let mut stalled = connect(&listener);
        stalled.set_nonblocking(true).expect("set");
        // As much as goes in.
        let full = |error: io::Error| error.kind() == ErrorKind::WouldBlock;
        while !stalled.write(&[b'!'; 1 << 16]).is_err_and(full) {}
        let mut peer = connect(&listener);
        peer.write_all(&payload).expect("sent");
        peer.shutdown(Shutdown::Write).expect("ended");
        assert_eq!(answer(peer), payload.len().to_string());
        server.close().expect("closed");
        stalled.set_nonblocking(false).expect("set");
        assert!(is_closed(&mut stalled), "its handler was dropped");
    }
}

/// Who keeps all buffers and waits for more is told so, by a timer of the thread, which has nothing else to do.
#[test]
fn a_consumer_that_waits_in_vain_is_told() {
    for engine in ENGINES {
        let receiver = small(engine).window_timeout(Duration::from_millis(40));
        let group = Group::builder().count(1).receiver(receiver);
        let (server, listener) = serve(group, async |connection: Connection| {
            let (mut stream, mut socket) = connection.split().expect("split");
            let mut kept = Vec::new();
            let error = loop {
                match stream.next().await.expect("not the end") {
                    Ok(buffer) => kept.push(buffer),
                    Err(error) => break error,
                }
            };
            assert_eq!(error.errno(), 105); // ENOBUFS
            let mut bytes: usize = kept.iter().map(|buffer| buffer.len()).sum();
            kept.clear();
            while let Some(buffer) = stream.try_next().await.expect("it goes on") {
                bytes += buffer.len();
            }
            socket.write_all(bytes.to_string().as_bytes()).await.expect("answered");
        });
        let mut peer = connect(&listener);
        peer.write_all(&vec![0; 8 << 20]).expect("sent");
        peer.shutdown(Shutdown::Write).expect("ended");
        assert_eq!(answer(peer), (8 << 20).to_string());
        server.close().expect("closed");
    }
}

/// A stream may leave the thread of its receiver, and ends by an error if that closes first.
#[test]
fn streams_go_to_other_threads() {
    for engine in ENGINES {
        let (sender, streams) = mpsc::channel::<BufferStream>();
        let (server, listener) = serve(group(engine, 1), async move |connection: Connection| {
            let (stream, _socket) = connection.split().expect("split");
            sender.send(stream).expect("somebody takes it");
            std::future::pending::<()>().await;
        });
        let mut peers = [connect(&listener), connect(&listener)];
        let mut taken =
            [&streams, &streams].map(|streams| streams.recv_timeout(WAIT).expect("in time"));
        block_on(async {
            for stream in &mut taken {
                // Whichever it is: each gets the same.
                peers.iter_mut().for_each(|peer| peer.write_all(b"x").expect("sent"));
                let first = stream.next().await.expect("not the end").expect("received");
                assert_eq!(first[0], b'x');
            }
            let [one, mut two] = taken;
            drop(one); // its receiver's thread removes it
            while server.stats().sum.streams > 1 {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            server.close().expect("closed");
            let error = loop {
                match two.next().await.expect("not an end") {
                    Ok(buffer) => assert_eq!(buffer[0], b'x'),
                    Err(error) => break error,
                }
            };
            assert_eq!(error.errno(), 125); // ECANCELED
            assert!(two.next().await.is_none());
        });
        assert!(peers.iter_mut().all(is_closed));
    }
}

#[test]
fn a_listener_that_fails_is_told() {
    let (server, listener) = serve(group(Engine::Recv, 2), summing);
    let other = TcpListener::bind("127.0.0.1:0").expect("a free port");
    server.listen_with(&other, StreamOptions::new().tag(7)).expect("it listens");
    let socket = TcpStream::from(OwnedFd::from(listener));
    socket.shutdown(Shutdown::Both).expect("it stops listening");
    for _ in 0..2 {
        assert_eq!(block_on(server.failure()).errno(), 22); // each time
    }
    let mut peer = connect(&other);
    peer.write_all(b"x").expect("sent");
    peer.shutdown(Shutdown::Write).expect("ended");
    assert_eq!(answer(peer), sum_of(b"x"));
}

#[test]
fn a_server_that_cannot_open_says_why() {
    let nic = Receiver::builder().engine(Engine::Zcrx).interface("no-such-nic");
    let error = Server::spawn(Group::builder().count(2).receiver(nic), summing);
    let error = error.expect_err("there is none");
    assert!(error.message().contains("receiver 1 of 2") && error.hint().is_some(), "{error}");
    // The thread cannot run there: told at open, or by the server once its receiver receives.
    let receiver = small(Engine::Recv).processor(100_000);
    match Server::spawn(Group::builder().count(1).receiver(receiver), summing) {
        Ok(server) => {
            let error = block_on(server.failure());
            assert!(error.message().contains("processor"), "{error}");
            server.close().expect("closed");
        }
        Err(error) => assert!(error.message().contains("processor"), "{error}"),
    }
}

/// Descriptors and threads of this process that tests running beside this one do not make: run alone, in a child.
#[test]
fn nothing_is_left_behind() {
    if env::var_os("ZCRX_TEST_ALONE").is_none() {
        let test = env::current_exe().expect("its own path");
        let status = process::Command::new(test)
            .args(["--exact", "nothing_is_left_behind", "--test-threads=1"])
            .env("ZCRX_TEST_ALONE", "1")
            .status();
        assert!(status.expect("it runs").success());
        return;
    }
    let count = |directory| fs::read_dir(directory).expect("/proc is mounted").count();
    let counts = || (count("/proc/self/fd"), count("/proc/self/task"));
    let before = counts();
    for _ in 0..10 {
        for engine in ENGINES {
            let (server, listener) = serve(group(engine, 2), async |connection: Connection| {
                let (mut stream, mut socket) = connection.split().expect("split");
                let held = stream.next().await;
                socket.write_all(b"!").await.expect("answered");
                std::future::pending::<()>().await; // with a buffer out
                drop(held);
            });
            let mut peers: Vec<_> = (0..4).map(|_| connect(&listener)).collect();
            for peer in &mut peers[..2] {
                peer.write_all(b"x").expect("sent");
                peer.read_exact(&mut [0]).expect("answered");
            }
            drop(server);
            drop(listener);
            assert!(peers.iter_mut().all(is_closed));
        }
    }
    assert_eq!(counts(), before);
}

/// With a connection that waits, its thread sleeps.
#[test]
fn the_threads_sleep() {
    if env::var_os("ZCRX_TEST_ALONE").is_none() {
        let test = env::current_exe().expect("its own path");
        let status = process::Command::new(test)
            .args(["--exact", "the_threads_sleep", "--test-threads=1"])
            .env("ZCRX_TEST_ALONE", "1")
            .status();
        assert!(status.expect("it runs").success());
        return;
    }
    for engine in ENGINES {
        let (server, listener) = serve(group(engine, 2), summing);
        let mut peers = [connect(&listener), connect(&listener)];
        peers.iter_mut().for_each(|peer| peer.write_all(b"x").expect("sent"));
        until(|| server.stats().sum.bytes == 2);
        thread::sleep(Duration::from_millis(100));
        let (waits, begun) = (server.stats().sum.waits, Instant::now());
        thread::sleep(Duration::from_millis(300));
        // However long that took: no more than a few looks.
        let more = server.stats().sum.waits - waits;
        assert!(more <= 4, "{engine}: {more} in {:?}", begun.elapsed());
        server.close().expect("closed");
    }
}
