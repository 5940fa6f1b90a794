// SPDX-License-Identifier: MIT
//! Receiving under tokio: futures and streams that are dropped early, tasks on other threads, buffers that are held.
#![cfg(feature = "tokio")]

use std::future::Future;
use std::io::{Read, Result, Write};
use std::net::{TcpListener, TcpStream};
use std::pin::pin;
use std::sync::{Arc, mpsc};
use std::task::{Context, Waker};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};
use std::{fs, process};

use futures_util::{Stream, StreamExt, TryStreamExt};
use tokio::runtime::{Builder as RuntimeBuilder, Runtime};
use tokio::time::timeout;
use zcrx::tokio::{AsyncReceiver, BufferStream, Dispatcher, LocalStream};
use zcrx::{Buffer, Builder, End, Engine, EventRef, Receiver, Stage, StreamOptions};

const WAIT: Duration = Duration::from_secs(20);
const AREA_BYTES: u64 = 1 << 20;

/// A connected pair: what receives, what sends.
fn connect() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let peer = TcpStream::connect(listener.local_addr().expect("bound")).expect("it listens");
    (listener.accept().expect("connected").0, peer)
}

fn small(engine: Engine) -> Builder {
    Receiver::builder().engine(engine).area_bytes(AREA_BYTES)
}

fn payload(bytes: usize) -> Vec<u8> {
    (0..bytes as u32).map(|i| (i.wrapping_mul(2654435761) >> 24) as u8).collect()
}

/// On every engine that any Linux has, on one thread.
fn on_each_engine(test: impl AsyncFn(AsyncReceiver)) {
    for engine in [Engine::Multishot, Engine::Recv] {
        let runtime = RuntimeBuilder::new_current_thread().enable_all().build();
        runtime.expect("a runtime").block_on(async {
            let receiver = small(engine).open().and_then(AsyncReceiver::new).expect("opened");
            timeout(WAIT, test(receiver)).await.unwrap_or_else(|_| panic!("{engine} hangs"));
        });
    }
}

/// One socket as a stream, likewise.
fn stream_on_each_engine(test: impl AsyncFn(LocalStream, TcpStream, TcpStream)) {
    for engine in [Engine::Multishot, Engine::Recv] {
        let runtime = RuntimeBuilder::new_current_thread().enable_all().build();
        runtime.expect("a runtime").block_on(async {
            let (socket, peer) = connect();
            let stream = LocalStream::open(small(engine), &socket).expect("opened");
            let test = timeout(WAIT, test(stream, socket, peer));
            test.await.unwrap_or_else(|_| panic!("{engine} hangs"));
        });
    }
}

fn on_threads(test: impl AsyncFn(Dispatcher)) {
    for engine in [Engine::Multishot, Engine::Recv] {
        let dispatcher = Dispatcher::spawn(small(engine)).expect("opened");
        Runtime::new().expect("a runtime").block_on(async {
            timeout(WAIT, test(dispatcher)).await.unwrap_or_else(|_| panic!("{engine} hangs"));
        });
    }
}

async fn until(mut done: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !done() {
        assert!(begun.elapsed() < WAIT / 2, "it does not come to that");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

async fn collect(stream: impl Stream<Item = zcrx::Result<Buffer>>) -> Vec<u8> {
    let add = |mut all: Vec<u8>, buffer: Buffer| async move {
        all.extend_from_slice(&buffer);
        Ok(all)
    };
    stream.try_fold(Vec::new(), add).await.expect("received")
}

/// Sends, then ends the stream.
fn send(mut peer: TcpStream, bytes: &[u8]) -> JoinHandle<()> {
    let bytes = bytes.to_vec();
    thread::spawn(move || peer.write_all(&bytes).expect("sent"))
}

#[test]
fn what_goes_anywhere() {
    fn anywhere<T: Send + Sync + 'static>() {}
    anywhere::<BufferStream>();
    anywhere::<Dispatcher>();
}

#[test]
fn a_receive_that_is_given_up_loses_nothing() {
    on_each_engine(async |receiver| {
        let (socket, mut peer) = connect();
        receiver.add(&socket).expect("added");
        let sent = payload(500_000);
        let sender = thread::spawn({
            let sent = sent.clone();
            move || {
                for part in sent.chunks(5_000) {
                    peer.write_all(part).expect("sent");
                    thread::sleep(Duration::from_millis(3));
                }
            }
        });
        let (mut received, mut given_up, mut open) = (Vec::new(), 0, true);
        while open {
            let Ok(events) = timeout(Duration::from_millis(1), receiver.receive()).await else {
                given_up += 1;
                continue;
            };
            for event in &events.expect("received") {
                match event {
                    EventRef::Data { bytes, .. } => received.extend_from_slice(bytes),
                    _ => open = false,
                }
            }
        }
        sender.join().expect("it does not panic");
        assert!(received == sent);
        assert!(given_up > 0);
    });
}

#[test]
fn a_task_that_waits_goes_on_when_another_thread_releases() {
    stream_on_each_engine(async |mut stream, _socket, peer| {
        let sent = payload(4 * AREA_BYTES as usize);
        let sender = send(peer, &sent);
        let (mut held, mut received, mut in_vain) = (Vec::new(), Vec::new(), 0);
        loop {
            match timeout(Duration::from_millis(100), stream.next()).await {
                Ok(Some(buffer)) => {
                    let buffer = buffer.expect("received");
                    received.extend_from_slice(&buffer);
                    held.push(buffer);
                    in_vain = 0;
                }
                Ok(None) => break,
                Err(_) if held.is_empty() => {
                    in_vain += 1; // what was released may be late, on a busy machine
                    assert!(in_vain < 100, "nothing is held, and nothing comes");
                }
                Err(_) => {
                    let mut back = std::mem::take(&mut held);
                    thread::spawn(move || {
                        thread::sleep(Duration::from_millis(20));
                        Buffer::release_all(&mut back);
                    });
                }
            }
        }
        sender.join().expect("it does not panic");
        assert!(received == sent);
        assert!(stream.stats().pauses > 0, "it never came to its window");
    });
}

#[test]
fn a_local_stream_tells_how_it_ended() {
    stream_on_each_engine(async |mut stream, socket, mut peer| {
        peer.write_all(b"first").expect("sent");
        let first = stream.next().await.expect("not over").expect("received");
        assert_eq!((&*first, stream.end()), (&b"first"[..], None));
        stream.remove().expect("removed");
        assert!(stream.next().await.is_none());
        assert_eq!(stream.end(), Some(End::Removed));

        peer.write_all(b"12345").expect("sent");
        let options = StreamOptions::new().limit_bytes(3);
        let builder = small(stream.info().engine);
        let mut stream = LocalStream::open_with(builder, &socket, options).expect("opened");
        assert_eq!(collect(&mut stream).await, b"123");
        assert_eq!(stream.end(), Some(End::Limit));
        assert!(stream.next().await.is_none());

        drop(peer);
        let builder = small(stream.info().engine);
        let mut stream = LocalStream::open(builder, &socket).expect("opened");
        assert_eq!(collect(&mut stream).await, b"45");
        assert_eq!(stream.end(), Some(End::Closed));
    });
}

#[test]
fn a_stream_dropped_in_the_middle_leaves_its_buffers() {
    stream_on_each_engine(async |mut stream, socket, mut peer| {
        peer.write_all(b"kept").expect("sent");
        let buffer = stream.next().await.expect("not over").expect("received");
        drop(stream);
        peer.write_all(b"left").expect("sent");
        let mut rest = [0; 4];
        (&socket).read_exact(&mut rest).expect("the socket is the program's again");
        assert_eq!((&*buffer, &rest), (&b"kept"[..], b"left"));
    });
}

#[test]
fn tasks_receive_side_by_side() {
    on_threads(async |dispatcher| {
        let sent = payload(3_000_000);
        let mut tasks = Vec::new();
        for _ in 0..8 {
            let (socket, peer) = connect();
            let stream = dispatcher.add(&socket).await.expect("added");
            tasks.push((tokio::spawn(collect(stream)), send(peer, &sent)));
        }
        for (task, sender) in tasks {
            assert!(task.await.expect("it does not panic") == sent);
            sender.join().expect("it does not panic");
        }
        assert_eq!(dispatcher.stats().expect("it lives").outstanding, 0);
    });
}

#[test]
fn a_dropped_stream_is_removed() {
    on_threads(async |dispatcher| {
        let (socket, mut peer) = connect();
        let mut stream = dispatcher.add(&socket).await.expect("added");
        peer.write_all(b"first").expect("sent");
        let buffer = stream.next().await.expect("not over").expect("received");
        drop(stream);
        until(|| dispatcher.stats().expect("it lives").streams == 0).await;
        peer.write_all(b"left").expect("sent");
        let mut rest = [0; 4];
        (&socket).read_exact(&mut rest).expect("the socket is the program's again");
        assert_eq!((&*buffer, &rest), (&b"first"[..], b"left"));
        assert_eq!(dispatcher.stats().expect("it lives").outstanding, 1);
    });
}

/// Given up before the dispatcher has answered, or after that and before anybody has looked at the answer.
#[test]
fn an_add_that_is_given_up_adds_nothing() {
    on_threads(async |dispatcher| {
        for wait_for_the_answer in [false, true] {
            let (socket, mut peer) = connect();
            let mut add = Box::pin(dispatcher.add(&socket));
            let mut context = Context::from_waker(Waker::noop());
            let first = add.as_mut().poll(&mut context);
            if wait_for_the_answer {
                until(|| dispatcher.stats().expect("it lives").streams == 1).await;
                thread::sleep(Duration::from_millis(50));
            }
            drop((first, add));
            // The dispatcher takes one thing after the other: this comes after the first was added.
            let (another, _peer) = connect();
            drop(dispatcher.add(&another).await.expect("added"));
            until(|| dispatcher.stats().expect("it lives").streams == 0).await;
            peer.write_all(b"left").expect("sent");
            let mut rest = [0; 4];
            (&socket).read_exact(&mut rest).expect("the socket is the program's again");
            assert_eq!(&rest, b"left");
        }
    });
}

#[test]
fn who_does_not_read_makes_the_sender_wait() {
    on_threads(async |dispatcher| {
        let (socket, peer) = connect();
        let sent = payload(32 << 20);
        let stream = dispatcher.add(&socket).await.expect("added");
        let sender = send(peer, &sent);
        until(|| dispatcher.stats().expect("it lives").paused == 1).await;
        assert!(dispatcher.stats().expect("it lives").bytes <= AREA_BYTES);
        assert!(!sender.is_finished());
        assert!(collect(stream).await == sent);
        sender.join().expect("it does not panic");
    });
}

/// How many times a MiB is sent.
const ALL: usize = 64;

fn send_often(mut peer: TcpStream, bytes: Arc<Vec<u8>>, times: usize) -> JoinHandle<Result<()>> {
    thread::spawn(move || (0..times).try_for_each(|_| peer.write_all(&bytes)))
}

/// How much is received, of these bytes again and again.
async fn measure(mut stream: BufferStream, bytes: Arc<Vec<u8>>) -> usize {
    let mut received = 0;
    while let Some(buffer) = stream.try_next().await.expect("received") {
        let mut rest = &buffer[..];
        while !rest.is_empty() {
            let wanted = &bytes[received % bytes.len()..];
            let length = rest.len().min(wanted.len());
            assert!(rest[..length] == wanted[..length], "wrong bytes before {received}");
            received += length;
            rest = &rest[length..];
        }
    }
    received
}

/// So many streams that nobody polls, some from before and some from after, and one that gets all that is sent.
fn beside_streams_that_nobody_polls(count: usize) {
    for engine in [Engine::Multishot, Engine::Recv] {
        let dispatcher =
            Dispatcher::spawn(small(engine).area_bytes(8 * AREA_BYTES)).expect("opened");
        Runtime::new().expect("a runtime").block_on(async {
            let sent = Arc::new(payload(1 << 20));
            let mut stalled = Vec::new();
            let mut received = None;
            for number in 0..=count {
                let (socket, peer) = connect();
                let stream = dispatcher.add(&socket).await.expect("added");
                if number == count / 2 {
                    let sender = send_often(peer, sent.clone(), ALL);
                    received = Some((tokio::spawn(measure(stream, sent.clone())), sender));
                } else {
                    // It does not end: the peer's write fails when the stream is dropped.
                    stalled.push((stream, socket, send_often(peer, sent.clone(), ALL)));
                }
            }
            let (task, sender) = received.expect("one of them");
            let live = timeout(WAIT, task).await;
            let live = live.unwrap_or_else(|_| panic!("{engine}: {:?}", dispatcher.stats()));
            assert_eq!(live.expect("it does not panic"), ALL << 20, "{engine}");
            sender.join().expect("it does not panic").expect("all was read");
            until(|| dispatcher.stats().expect("it lives").paused == count as u64).await;
            let stats = dispatcher.stats().expect("it lives");
            assert!(stats.held_bytes > 0 && stats.held_bytes < 8 * AREA_BYTES, "{stats:?}");
            let senders: Vec<_> = stalled.into_iter().map(|(_, _, sender)| sender).collect();
            until(|| dispatcher.stats().expect("it lives").outstanding == 0).await;
            for sender in senders {
                assert!(sender.join().expect("it does not panic").is_err(), "it was read");
            }
        });
    }
}

#[test]
fn one_stream_that_nobody_polls_costs_only_itself() {
    beside_streams_that_nobody_polls(1);
}

#[test]
fn four_streams_that_nobody_polls_cost_only_themselves() {
    beside_streams_that_nobody_polls(4);
}

#[test]
fn a_window_of_its_own_is_kept() {
    const WINDOW: u64 = 256 << 10;
    on_threads(async |dispatcher| {
        let (socket, peer) = connect();
        let sent = payload(4 << 20);
        let options = StreamOptions::new().window_bytes(WINDOW);
        let mut stream = dispatcher.add_with(&socket, options).await.expect("added");
        let sender = send(peer, &sent);
        until(|| dispatcher.stats().expect("it lives").paused == 1).await;
        let first = stream.next().await.expect("not over").expect("received");
        // What lay in the ring of buffers comes beyond the window: no more than its chunks.
        assert!(dispatcher.stats().expect("it lives").held_bytes <= 2 * WINDOW);
        let mut received = first.to_vec();
        drop(first);
        received.extend(collect(stream).await);
        assert!(received == sent);
        sender.join().expect("it does not panic");

        let (socket, _peer) = connect();
        for bytes in [1, 2 * AREA_BYTES] {
            let options = StreamOptions::new().window_bytes(bytes);
            let error = dispatcher.add_with(&socket, options).await.expect_err("out of range");
            assert_eq!(error.errno(), 22, "{error}");
            assert!(error.message().contains("window_bytes"), "{error}");
        }
    });
}

/// Keeps all, and waits for more than it can have.
async fn keep_all(stream: impl Stream<Item = zcrx::Result<Buffer>>) -> zcrx::Error {
    stream.try_collect::<Vec<_>>().await.expect_err("there is no room for all")
}

fn assert_tells_of_the_window(error: &zcrx::Error) {
    assert_eq!((error.errno(), error.stage()), (105, Stage::Receive), "{error}"); // ENOBUFS
    let hint = error.hint().unwrap_or_default();
    assert!(hint.contains("window_bytes") && hint.contains("area_bytes"), "{error}");
}

#[test]
fn collecting_more_than_the_window_is_told() {
    for engine in [Engine::Multishot, Engine::Recv] {
        let runtime = RuntimeBuilder::new_current_thread().enable_io().build();
        runtime.expect("a runtime").block_on(async {
            let builder = || small(engine).window_timeout(Duration::from_millis(300));
            let sent = payload(8 << 20);

            let (socket, peer) = connect();
            let mut stream = LocalStream::open(builder(), &socket).expect("opened");
            let sender = send(peer, &sent);
            let begun = Instant::now();
            assert_tells_of_the_window(&keep_all(&mut stream).await);
            assert!(begun.elapsed() >= Duration::from_millis(300));
            assert_eq!(stream.end(), None);
            assert!(!collect(&mut stream).await.is_empty(), "it went on");
            assert_eq!(stream.end(), Some(End::Closed));
            sender.join().expect("it does not panic");

            let dispatcher = Dispatcher::spawn(builder()).expect("opened");
            let (socket, peer) = connect();
            let mut stream = dispatcher.add(&socket).await.expect("added");
            let sender = send(peer, &sent);
            assert_tells_of_the_window(&keep_all(&mut stream).await);
            assert_eq!(stream.end(), None);
            assert!(!collect(&mut stream).await.is_empty(), "it went on");
            assert_eq!(stream.end(), Some(End::Closed));
            sender.join().expect("it does not panic");
        });
    }
}

/// Whoever is slow, but releases, or does not ask for more, is told nothing.
#[test]
fn a_slow_consumer_is_told_nothing() {
    for engine in [Engine::Multishot, Engine::Recv] {
        let patience = Duration::from_millis(400);
        let dispatcher = Dispatcher::spawn(small(engine).window_timeout(patience)).expect("opened");
        Runtime::new().expect("a runtime").block_on(async {
            let (socket, peer) = connect();
            let mut stream = dispatcher.add(&socket).await.expect("added");
            let sent = payload(4 << 20);
            let sender = send(peer, &sent);
            until(|| dispatcher.stats().expect("it lives").paused == 1).await;
            tokio::time::sleep(2 * patience).await; // nobody asks
            let (worker, work) = mpsc::channel::<Buffer>();
            let slow = thread::spawn(move || {
                for buffer in work {
                    thread::sleep(patience / 50);
                    drop(buffer);
                }
            });
            let mut received = Vec::new();
            while let Some(buffer) = stream.next().await {
                let buffer = buffer.expect("told nothing");
                received.extend_from_slice(&buffer);
                worker.send(buffer).expect("it works");
            }
            assert!(received == sent, "{engine}");
            sender.join().expect("it does not panic");
            drop(worker);
            slow.join().expect("it does not panic");
        });
    }
}

/// The library lets go of a socket with its stream: the program's close is then the last.
fn sees_the_end(mut peer: TcpStream, socket: TcpStream, engine: Engine) {
    drop(socket);
    peer.set_read_timeout(Some(WAIT)).expect("set");
    assert_eq!(peer.read(&mut [0]).expect("it ends"), 0, "{engine}");
}

#[test]
fn the_peer_of_a_dropped_stream_sees_the_end() {
    stream_on_each_engine(async |mut stream, socket, mut peer| {
        let engine = stream.info().engine;
        peer.write_all(b"first").expect("sent");
        let _kept = stream.next().await.expect("not over").expect("received");
        drop(stream);
        sees_the_end(peer, socket, engine);
    });
    for engine in [Engine::Multishot, Engine::Recv] {
        let dispatcher = Dispatcher::spawn(small(engine)).expect("opened");
        Runtime::new().expect("a runtime").block_on(async {
            let (socket, mut peer) = connect();
            let mut stream = dispatcher.add(&socket).await.expect("added");
            peer.write_all(b"first").expect("sent");
            let _kept = stream.next().await.expect("not over").expect("received");
            // A task that is given up, with its stream.
            let task = tokio::spawn(async move {
                stream.next().await;
            });
            task.abort();
            assert!(task.await.expect_err("given up").is_cancelled());
            sees_the_end(peer, socket, engine);
            until(|| dispatcher.stats().expect("it lives").streams == 0).await;
        });
    }
}

#[test]
fn streams_tell_how_they_ended() {
    on_threads(async |dispatcher| {
        let (socket, mut peer) = connect();
        peer.write_all(b"12345").expect("sent");
        let options = StreamOptions::new().limit_bytes(3).tag(9);
        let mut stream = dispatcher.add_with(&socket, options).await.expect("added");
        assert_eq!((stream.stream().tag(), stream.end()), (9, None));
        assert_eq!(collect(&mut stream).await, b"123");
        assert_eq!(stream.end(), Some(End::Limit));
        assert!(stream.next().await.is_none());

        let mut stream = dispatcher.add(&socket).await.expect("added again");
        let first = stream.next().await.expect("not over").expect("received");
        assert_eq!(&*first, b"45");
        stream.remove();
        assert_eq!(collect(&mut stream).await, b"");
        assert_eq!(stream.end(), Some(End::Removed));

        peer.write_all(b"67").expect("sent");
        let mut stream = dispatcher.add(&socket).await.expect("added a third time");
        let error = dispatcher.add(&socket).await.expect_err("added already");
        assert_eq!((error.errno(), error.stage()), (17, Stage::Socket)); // EEXIST
        drop(dispatcher);
        let error = loop {
            match stream.next().await.expect("it has not ended") {
                Ok(buffer) => assert_eq!(&*buffer, b"67"), // what had come by then
                Err(error) => break error,
            }
        };
        assert_eq!((error.errno(), error.stage()), (125, Stage::Thread)); // ECANCELED
        assert!(stream.next().await.is_none());
        assert_eq!(stream.end(), None);
    });
}

/// Whether a thread, by its line in /proc, is on its way out of the kernel: one that was joined may still be.
fn is_exiting(stat: &str) -> Option<bool> {
    const PF_EXITING: u32 = 4;
    let flags = stat.rsplit_once(')')?.1.split_whitespace().nth(6)?;
    Some(flags.parse::<u32>().ok()? & PF_EXITING != 0)
}

/// The dispatchers' threads, each with the CPU time that it has used, in nanoseconds.
fn dispatcher_threads() -> Vec<u64> {
    let tasks = fs::read_dir("/proc/self/task").expect("/proc is mounted");
    let read = |path: &std::path::Path, name| fs::read_to_string(path.join(name)).ok();
    tasks
        .filter_map(|task| {
            let path = task.ok()?.path();
            let used = read(&path, "schedstat")?.split(' ').next()?.parse().ok()?;
            let runs = !is_exiting(&read(&path, "stat")?)?;
            read(&path, "comm").filter(|comm| runs && comm == "zcrx\n").map(|_| used)
        })
        .collect()
}

/// Alone in a process, where no other test has dispatchers.
#[test]
fn the_thread_sleeps_and_ends() {
    if std::env::var_os("ZCRX_TEST_ALONE").is_none() {
        let test = std::env::current_exe().expect("its own path");
        let status = process::Command::new(test)
            .args(["--exact", "the_thread_sleeps_and_ends", "--test-threads=1"])
            .env("ZCRX_TEST_ALONE", "1")
            .status();
        assert!(status.expect("it runs").success());
        return;
    }
    on_threads(async |dispatcher| {
        let (socket, mut peer) = connect();
        let mut stream = dispatcher.add(&socket).await.expect("added");
        peer.write_all(b"x").expect("sent");
        stream.next().await.expect("not over").expect("received");
        let before = dispatcher_threads();
        assert!(timeout(Duration::from_millis(500), stream.next()).await.is_err());
        let after = dispatcher_threads();
        assert_eq!((before.len(), after.len()), (1, 1));
        assert!(after[0] - before[0] < 50_000_000, "it spins: {before:?} {after:?}");
        drop(dispatcher);
        assert_eq!(dispatcher_threads().len(), 0, "it outlives its handle");
        assert!(pin!(stream).next().await.is_some_and(|item| item.is_err()));
    });
}
