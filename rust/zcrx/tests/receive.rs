// SPDX-License-Identifier: MIT
//! What is special to the crate: lifetimes, threads, errors. The contract of the core is the conformance runner's to test.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use std::{fs, panic, thread};

use zcrx::{
    AreaKind, Buffer, Buffers, Builder, End, Engine, Event, EventRef, Events, Receiver, Stage,
    StreamOptions,
};

const ENGINES: [Engine; 2] = [Engine::Multishot, Engine::Recv];
const WAIT: Duration = Duration::from_secs(10);

/// A connected pair: what receives, what sends.
fn connect() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let peer = TcpStream::connect(listener.local_addr().expect("bound")).expect("it listens");
    (listener.accept().expect("connected").0, peer)
}

fn small(engine: Engine) -> Builder {
    Receiver::builder().engine(engine).area_bytes(1 << 20)
}

/// Every engine that any Linux has.
fn on_each_engine(test: impl Fn(Receiver)) {
    for engine in ENGINES {
        test(small(engine).open().unwrap_or_else(|error| panic!("{engine}: {error}")));
    }
}

fn receive(rx: &Receiver, timeout: impl Into<Option<Duration>>) -> Events<'_> {
    rx.receive(timeout).expect("received")
}

/// The next event; the test waits for nothing else.
fn next_event(rx: &Receiver) -> Event {
    receive(rx, WAIT).next().expect("an event in time")
}

fn next_buffer(rx: &Receiver) -> Buffer {
    match next_event(rx) {
        Event::Data { buffer, .. } => buffer,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_buffer_outlives_stream_socket_and_receiver() {
    on_each_engine(|rx| {
        let (socket, mut peer) = connect();
        rx.add(&socket).expect("added");
        peer.write_all(b"kept").expect("sent");
        let buffer = next_buffer(&rx);
        drop(socket);
        drop(rx);
        peer.write_all(b"more").ok();
        assert_eq!(&*buffer, b"kept");
        thread::spawn(move || assert_eq!(&*buffer, b"kept")).join().expect("on another thread");
    });
}

/// In each of the 120 orders. (That events are dropped before their receiver, the compiler sees to.)
#[test]
fn things_are_dropped_in_any_order() {
    let things = ["receiver", "socket", "buffer", "handle", "peer"];
    let orders = (0..120).map(|mut index| {
        let mut left = things.to_vec();
        [24, 6, 2, 1, 1].map(|later_orders| {
            let thing = left.remove(index / later_orders);
            index %= later_orders;
            thing
        })
    });
    for order in orders {
        let (socket, mut peer) = connect();
        let rx = small(Engine::Recv).open().expect("opened");
        rx.add(&socket).expect("added");
        peer.write_all(b"x").expect("sent");
        let buffer = next_buffer(&rx);
        let handle = rx.handle();
        let (mut rx, mut socket, mut peer) = (Some(rx), Some(socket), Some(peer));
        let (mut buffer, mut handle) = (Some(buffer), Some(handle));
        for thing in order {
            match thing {
                "receiver" => drop(rx.take()),
                "socket" => drop(socket.take()),
                "buffer" => assert_eq!(buffer.take().as_deref(), Some(&b"x"[..])),
                "handle" => handle.take().expect("once").wake(),
                _ => drop(peer.take()),
            }
        }
    }
}

#[test]
fn events_give_back_what_nobody_took() {
    on_each_engine(|rx| {
        let (socket, mut peer) = connect();
        rx.add(&socket).expect("added");
        peer.write_all(&[1; 100_000]).expect("sent");
        drop(peer);
        let mut kept = Vec::new();
        let mut ended = false;
        while !ended {
            let mut events = receive(&rx, WAIT);
            let out = rx.stats().outstanding;
            ended |= events.iter().any(|event| matches!(event, EventRef::End { .. }));
            let taken = events.next();
            assert_eq!(rx.stats().outstanding, out, "looking and taking release nothing");
            kept.extend(taken);
        }
        let buffers = kept.iter().filter(|event| matches!(event, Event::Data { .. })).count();
        assert_eq!(rx.stats().outstanding, buffers as u64);
        kept.clear();
        assert_eq!(rx.stats().outstanding, 0);
        assert_eq!(rx.stats().released, rx.stats().buffers);
    });
}

#[test]
fn two_batches_may_live_at_once() {
    on_each_engine(|rx| {
        let (socket, mut peer) = connect();
        rx.add(&socket).expect("added");
        peer.write_all(b"a").expect("sent");
        let first = receive(&rx, WAIT);
        peer.write_all(b"b").expect("sent");
        let second = receive(&rx, WAIT);
        let bytes = |events: &zcrx::Events<'_>| match events.iter().next() {
            Some(EventRef::Data { bytes, .. }) => bytes.to_vec(),
            other => panic!("{other:?}"),
        };
        assert_eq!((bytes(&first), bytes(&second)), (b"a".to_vec(), b"b".to_vec()));
    });
}

#[test]
fn a_panic_gives_everything_back() {
    on_each_engine(|rx| {
        let (socket, mut peer) = connect();
        rx.add(&socket).expect("added");
        peer.write_all(b"x").expect("sent");
        let received = panic::catch_unwind(panic::AssertUnwindSafe(|| {
            let _event = receive(&rx, WAIT).next();
            panic!("on purpose");
        }));
        assert!(received.is_err());
        assert_eq!(rx.stats().outstanding, 0);
        peer.write_all(b"y").expect("sent");
        assert_eq!(&*next_buffer(&rx), b"y");
    });
}

#[test]
fn streams_of_another_receiver_are_refused() {
    let (first, second) = (Receiver::open().expect("opened"), Receiver::open().expect("opened"));
    let (socket, _peer) = connect();
    let stream = first.add(&socket).expect("added");
    let error = second.remove(stream).expect_err("not its own");
    assert_eq!((error.kind(), error.stage()), (ErrorKind::NotFound, Stage::Stream));
    first.remove(stream).expect("its own");
}

#[test]
fn ends_tell_how() {
    on_each_engine(|rx| {
        let (socket, mut peer) = connect();
        peer.write_all(b"12345").expect("sent");
        let stream =
            rx.add_with(&socket, StreamOptions::new().limit_bytes(3).tag(9)).expect("added");
        let mut events = receive(&rx, WAIT);
        let data = events.next();
        assert!(
            matches!(&data, Some(Event::Data { buffer, .. }) if **buffer == *b"123"),
            "{data:?}"
        );
        let last = events.next().unwrap_or_else(|| next_event(&rx));
        let Event::End { stream: ended, end: how } = last else { panic!("{last:?}") };
        drop(events);
        assert_eq!((ended, ended.tag(), how), (stream, 9, End::Limit));
        assert_eq!(rx.remove(stream).expect_err("over").kind(), ErrorKind::NotFound);
        let mut rest = [0; 2];
        (&socket).read_exact(&mut rest).expect("the rest is in the socket");
        assert_eq!(&rest, b"45");
        let again = rx.add(&socket).expect("added again");
        assert_ne!(again, stream);
        receive(&rx, Duration::ZERO);
        rx.remove(again).expect("removed");
        let last = next_event(&rx);
        let Event::End { stream: ended, end: how } = last else { panic!("{last:?}") };
        assert_eq!((ended, how), (again, End::Removed));
    });
}

/// What happens in so long, without waiting for more.
fn bytes_within(rx: &Receiver, time: Duration) -> Vec<u8> {
    let begun = Instant::now();
    let mut all = Vec::new();
    while let Some(left) = time.checked_sub(begun.elapsed()) {
        for event in &receive(rx, left) {
            match event {
                EventRef::Data { bytes, .. } => all.extend_from_slice(bytes),
                other => panic!("{other:?}"),
            }
        }
    }
    all
}

/// What is left of the only stream.
fn to_the_end(rx: &Receiver) -> (Vec<u8>, End) {
    let mut all = Vec::new();
    loop {
        let events = receive(rx, WAIT);
        assert!(!events.is_empty(), "it does not end: {:?}", rx.stats());
        for event in &events {
            match event {
                EventRef::Data { bytes, .. } => all.extend_from_slice(bytes),
                EventRef::End { end, .. } => return (all, end),
                other => panic!("{other:?}"),
            }
        }
    }
}

#[test]
fn a_paused_stream_rests_until_it_is_resumed() {
    const EALREADY: i32 = 114;
    const SHORT: Duration = Duration::from_millis(100);
    on_each_engine(|rx| {
        let (socket, mut peer) = connect();
        let stream = rx.add(&socket).expect("added");
        peer.write_all(b"first").expect("sent");
        assert_eq!(&*next_buffer(&rx), b"first");
        rx.pause(stream).expect("paused");
        assert_eq!(rx.pause(stream).expect_err("it is paused").errno(), EALREADY);
        // What the kernel had been asked for by then may still come, once.
        peer.write_all(b"second").expect("sent");
        let mut rest = bytes_within(&rx, SHORT);
        peer.write_all(b"third").expect("sent");
        drop(peer);
        rest.extend(bytes_within(&rx, SHORT));
        assert!(rest.is_empty() || rest == b"second", "{rest:?}");
        let figures = rx.stream_stats(stream).expect("it has not ended");
        assert!(figures.paused && !figures.at_window, "{figures:?}");
        assert_eq!((figures.bytes, figures.held_bytes), (5 + rest.len() as u64, 0));
        assert_eq!(rx.stats().paused, 1);

        rx.resume(stream).expect("resumed");
        assert_eq!(rx.resume(stream).expect_err("it is not paused").errno(), EALREADY);
        assert!(!rx.stream_stats(stream).expect("it has not ended").paused);
        let (left, end) = to_the_end(&rx);
        rest.extend(left);
        assert_eq!((&rest[..], end), (&b"secondthird"[..], End::Closed));
        let gone = [rx.pause(stream), rx.resume(stream), rx.stream_stats(stream).map(drop)];
        for error in gone.map(|result| result.expect_err("it has ended")) {
            assert_eq!((error.kind(), error.stage()), (ErrorKind::NotFound, Stage::Stream));
        }
    });
}

#[test]
fn a_stream_at_its_window_says_so() {
    const WINDOW: u64 = 256 << 10;
    on_each_engine(|rx| {
        let (socket, mut peer) = connect();
        let options = StreamOptions::new().window_bytes(WINDOW);
        let stream = rx.add_with(&socket, options).expect("added");
        let sender = thread::spawn(move || peer.write_all(&[7; 4 << 20]).expect("sent"));
        let mut held = Vec::new();
        let begun = Instant::now();
        while !rx.stream_stats(stream).expect("it has not ended").at_window {
            assert!(begun.elapsed() < WAIT, "{:?}", rx.stats());
            held.extend(receive(&rx, Duration::from_millis(10)));
        }
        held.extend(receive(&rx, Duration::from_millis(50)));
        let figures = rx.stream_stats(stream).expect("it has not ended");
        assert_eq!((figures.window_bytes, figures.paused), (WINDOW, false), "{figures:?}");
        assert!((WINDOW..=2 * WINDOW).contains(&figures.held_bytes), "{figures:?}");
        assert!(receive(&rx, Duration::from_millis(50)).is_empty(), "beyond its window");
        drop(held);
        let (left, end) = to_the_end(&rx);
        assert_eq!((figures.bytes + left.len() as u64, end), (4 << 20, End::Closed));
        sender.join().expect("it does not panic");
        assert!(rx.stats().pauses > 0);
    });
}

#[test]
fn sizes_that_contradict_each_other_are_refused() {
    const MIB: u64 = 1 << 20;
    for engine in ENGINES {
        let refused = [
            (small(engine).window_bytes(1), "window_bytes"),
            (small(engine).window_bytes(2 * MIB), "window_bytes"),
            (small(engine).area_max_bytes(MIB / 2), "area_max_bytes"),
            (small(engine).area_max_bytes(MIB + 1), "area_max_bytes"),
            (small(engine).area_memory(memory(256).0).area_max_bytes(2 * MIB), "area_max_bytes"),
        ];
        for (builder, field) in refused {
            let error = builder.open().expect_err(field);
            assert_eq!((error.errno(), error.stage()), (22, Stage::Options), "{error}");
            assert!(error.message().contains(field), "{error}");
        }
        let rx = small(engine).window_bytes(MIB / 2).area_max_bytes(4 * MIB).open();
        let info = rx.expect("opened").info();
        assert_eq!((info.window_bytes, info.area_max_bytes), (MIB / 2, 4 * MIB));
    }
}

#[test]
fn what_an_area_can_grow_to_can_be_collected() {
    const ALL: usize = 4 << 20;
    for engine in ENGINES {
        let (socket, mut peer) = connect();
        let buffers = small(engine).area_max_bytes(16 << 20).buffers(&socket).expect("opened");
        let sender = thread::spawn(move || peer.write_all(&[7; ALL]).expect("sent"));
        let kept = buffers.collect::<zcrx::Result<Vec<_>>>().expect("it grows");
        sender.join().expect("it does not panic");
        assert_eq!(kept.iter().map(|buffer| buffer.len()).sum::<usize>(), ALL, "{engine}");
        assert!(kept.iter().any(|buffer| buffer.area_offset() >= 1 << 20), "{engine}");
    }
}

#[test]
fn collecting_more_than_the_area_is_told() {
    for engine in ENGINES {
        let (socket, mut peer) = connect();
        let builder = small(engine).window_timeout(Duration::from_millis(200));
        let mut buffers = builder.buffers(&socket).expect("opened");
        let sender = thread::spawn(move || peer.write_all(&[7; 4 << 20]).expect("sent"));
        let collected = buffers.by_ref().collect::<zcrx::Result<Vec<_>>>();
        let error = collected.expect_err("there is no room for all");
        assert_eq!((error.errno(), error.stage()), (105, Stage::Receive), "{error}"); // ENOBUFS
        assert!(error.hint().is_some_and(|hint| hint.contains("area_bytes")), "{error}");
        assert_eq!(buffers.end(), None);
        assert!(!joined(&mut buffers).is_empty(), "it went on");
        assert_eq!(buffers.end(), Some(End::Closed));
        sender.join().expect("it does not panic");
    }
}

/// The library lets go of a socket with its iterator: the program's close is then the last.
#[test]
fn the_peer_of_a_dropped_iterator_sees_the_end() {
    for engine in ENGINES {
        for by_reader in [false, true] {
            let (socket, mut peer) = connect();
            peer.write_all(b"first").expect("sent");
            if by_reader {
                let mut reader = small(engine).reader(&socket).expect("opened");
                reader.read_exact(&mut [0; 5]).expect("read");
            } else {
                let mut buffers = small(engine).buffers(&socket).expect("opened");
                let first = buffers.next().expect("not over").expect("received");
                assert_eq!(&*first, b"first");
            }
            drop(socket);
            peer.set_read_timeout(Some(WAIT)).expect("set");
            assert_eq!(peer.read(&mut [0]).expect("it ends"), 0, "{engine}");
        }
    }
}

#[test]
fn errors_say_what_and_why() {
    let rx = Receiver::open().expect("opened");
    let udp = UdpSocket::bind("127.0.0.1:0").expect("bound");
    let error = rx.add(&udp).expect_err("not TCP");
    assert_eq!((error.errno(), error.stage()), (93, Stage::Socket)); // EPROTONOSUPPORT
    assert!(!error.message().is_empty());
    let (socket, _peer) = connect();
    rx.add(&socket).expect("added");
    let error = io::Error::from(rx.add(&socket).expect_err("added already"));
    assert_eq!(error.kind(), ErrorKind::AlreadyExists);

    let error = Receiver::builder().batch(0).open().expect_err("no room");
    assert_eq!((error.kind(), error.stage()), (ErrorKind::InvalidInput, Stage::Options));
    let error = Receiver::builder().require_zero_copy(true).open().expect_err("no NIC");
    assert!(error.hint().is_some(), "{error}");
    let error = Receiver::builder().interface("no-such-nic").engine(Engine::Zcrx).open();
    assert_eq!(error.expect_err("no such interface").errno(), 19); // ENODEV
}

#[test]
fn a_handle_wakes_and_outlives() {
    on_each_engine(|rx| {
        let handle = rx.handle();
        let begun = Instant::now();
        let waker = thread::spawn({
            let handle = handle.clone();
            move || {
                thread::sleep(Duration::from_millis(50));
                handle.wake();
            }
        });
        assert!(receive(&rx, None).is_empty());
        assert!(begun.elapsed() >= Duration::from_millis(50));
        waker.join().expect("it does not panic");
        assert_eq!(handle.stats().map(|stats| stats.wakes), Some(1));
        drop(rx);
        handle.wake();
        assert_eq!(handle.stats(), None);
    });
}

#[test]
fn a_timeout_is_kept() {
    on_each_engine(|rx| {
        let begun = Instant::now();
        assert!(receive(&rx, Duration::from_millis(30)).is_empty());
        assert!(begun.elapsed() >= Duration::from_millis(30));
    });
}

#[repr(align(4096))]
struct Page {
    _bytes: [u8; 4096],
}

/// Memory of the program's own, whose end is counted.
struct Memory {
    pages: Vec<Page>,
    drops: Arc<AtomicUsize>,
}

impl AsMut<[u8]> for Memory {
    fn as_mut(&mut self) -> &mut [u8] {
        let bytes = self.pages.len() * size_of::<Page>();
        // SAFETY: pages are nothing but bytes, one after the other.
        unsafe { std::slice::from_raw_parts_mut(self.pages.as_mut_ptr().cast(), bytes) }
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        self.drops.fetch_add(1, Ordering::SeqCst);
    }
}

fn memory(pages: usize) -> (Memory, Arc<AtomicUsize>) {
    let drops = Arc::new(AtomicUsize::new(0));
    let pages = (0..pages).map(|_| Page { _bytes: [0; 4096] }).collect();
    (Memory { pages, drops: drops.clone() }, drops)
}

#[test]
fn own_memory_lives_as_long_as_its_last_buffer() {
    for engine in ENGINES {
        let (memory, drops) = memory(64);
        let opened =
            Receiver::builder().engine(engine).area_memory(memory).buffer_bytes(4096).open();
        let rx = opened.expect("opened");
        assert_eq!(rx.info().area_kind, AreaKind::Caller);
        let (socket, mut peer) = connect();
        rx.add(&socket).expect("added");
        peer.write_all(b"mine").expect("sent");
        let buffer = next_buffer(&rx);
        drop(rx);
        assert_eq!(drops.load(Ordering::SeqCst), 0);
        assert_eq!(&*buffer, b"mine");
        drop(buffer);
        assert_eq!(drops.load(Ordering::SeqCst), 1);
    }
}

#[test]
fn own_memory_is_dropped_when_opening_fails() {
    let (memory, drops) = memory(4);
    let refused = Receiver::builder().area_memory(memory).buffer_bytes(3).open();
    assert_eq!(refused.expect_err("not a power of two").errno(), 22);
    assert_eq!(drops.load(Ordering::SeqCst), 1);
}

#[test]
fn reader_reads_what_was_sent() {
    let sent: Vec<u8> = (0..3_000_000u32).map(|i| (i / 7) as u8).collect();
    for engine in ENGINES {
        let (socket, mut peer) = connect();
        let mut reader = small(engine).reader(OwnedFd::from(socket)).expect("opened");
        let mut received = Vec::new();
        thread::scope(|scope| {
            scope
                .spawn(|| peer.write_all(&sent).map(|()| peer.shutdown(std::net::Shutdown::Write)));
            reader.read_to_end(&mut received).expect("read");
        });
        assert!(received == sent, "{engine}");
        assert_eq!(reader.read(&mut [0; 8]).expect("the end stays the end"), 0);
    }
}

#[test]
fn iterators_tell_how_they_ended() {
    for engine in ENGINES {
        let (socket, mut peer) = connect();
        peer.write_all(b"12345").expect("sent");
        let limit = StreamOptions::new().limit_bytes(3);
        let mut buffers = small(engine).buffers_with(&socket, limit).expect("opened");
        assert_eq!(buffers.end(), None);
        assert_eq!(joined(&mut buffers), b"123", "{engine}");
        assert_eq!(buffers.end(), Some(End::Limit));
        assert!(buffers.next().is_none());
        drop(buffers);

        let mut buffers = small(engine).buffers(&socket).expect("opened");
        let first = buffers.next().expect("not over").expect("received");
        assert_eq!(&*first, b"45");
        buffers.remove().expect("removed");
        assert_eq!(joined(&mut buffers), b"");
        assert_eq!(buffers.end(), Some(End::Removed), "{engine}");
        drop(buffers);

        peer.write_all(b"6").expect("sent");
        drop(peer);
        let mut reader = small(engine).reader(&socket).expect("opened");
        let mut rest = Vec::new();
        assert_eq!(reader.end(), None);
        reader.read_to_end(&mut rest).expect("read");
        assert_eq!((&rest[..], reader.end()), (&b"6"[..], Some(End::Closed)), "{engine}");
    }
}

fn joined(buffers: &mut Buffers) -> Vec<u8> {
    buffers.map(|buffer| buffer.expect("received").to_vec()).collect::<Vec<_>>().concat()
}

#[test]
fn reader_refuses_memory_that_cannot_be_read() {
    let (socket, _peer) = connect();
    let not_a_dmabuf = OwnedFd::from(socket.try_clone().expect("duplicated"));
    // SAFETY: nothing is opened with it.
    let builder = unsafe { Receiver::builder().area_dmabuf(not_a_dmabuf, 1 << 20) };
    let error = builder.reader(&socket).expect_err("a dma-buf has no bytes to read");
    assert_eq!((error.errno(), error.stage()), (95, Stage::Area)); // EOPNOTSUPP
    assert!(error.hint().is_some_and(|hint| hint.contains("area_offset")), "{error}");
}

/// How many signals the threads of this process have handled.
static SIGNALS: AtomicUsize = AtomicUsize::new(0);

extern "C" fn count_signal(_: libc::c_int) {
    SIGNALS.fetch_add(1, Ordering::SeqCst);
}

/// While `call` runs, signals interrupt this thread, at least 20 times until `enough` is called.
fn interrupted<T>(call: impl FnOnce() -> T, enough: impl FnOnce() + Send) -> T {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    // SAFETY: the handler only adds to an atomic; no SA_RESTART, so that each wait is interrupted.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = count_signal as extern "C" fn(libc::c_int) as usize;
        assert_eq!(libc::sigaction(libc::SIGUSR1, &action, std::ptr::null_mut()), 0);
    }
    SIGNALS.store(0, Ordering::SeqCst);
    // SAFETY: always succeeds.
    let this = unsafe { libc::pthread_self() };
    thread::scope(|scope| {
        scope.spawn(move || {
            while SIGNALS.load(Ordering::SeqCst) < 20 {
                // SAFETY: the scope's thread lives until this one has ended.
                assert_eq!(unsafe { libc::pthread_kill(this, libc::SIGUSR1) }, 0);
                thread::sleep(Duration::from_millis(1));
            }
            enough();
        });
        call()
    })
}

#[test]
fn signals_do_not_end_a_wait() {
    on_each_engine(|rx| {
        let (socket, mut peer) = connect();
        rx.add(&socket).expect("added");
        let events = interrupted(|| rx.receive(None), || peer.write_all(b"x").expect("sent"));
        assert_eq!(events.expect("not interrupted").len(), 1);
        let begun = Instant::now();
        let events = interrupted(|| rx.receive(Duration::from_millis(60)), || ());
        assert!(events.expect("not interrupted").is_empty());
        assert!(begun.elapsed() >= Duration::from_millis(60));
    });
    for engine in ENGINES {
        let (socket, mut peer) = connect();
        let mut reader = small(engine).reader(&socket).expect("opened");
        let mut one = [0];
        let read = || reader.read(&mut one);
        let read = interrupted(read, || peer.write_all(b"x").expect("sent"));
        assert_eq!(read.expect("not interrupted"), 1, "{engine}");
    }
}

#[test]
fn reader_tells_of_a_reset() {
    let (socket, peer) = connect();
    let mut reader = small(Engine::Recv).reader(&socket).expect("opened");
    (&socket).write_all(b"unread").expect("sent");
    thread::sleep(Duration::from_millis(50));
    drop(peer); // with unread bytes: a reset
    let error = reader.read(&mut [0; 8]).expect_err("reset");
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
}

/// Descriptors and threads of this process that tests running beside this one do not make: run alone, in a child.
#[test]
fn nothing_is_left_behind() {
    let alone = std::env::var_os("ZCRX_TEST_ALONE").is_some();
    if !alone {
        let test = std::env::current_exe().expect("its own path");
        let status = std::process::Command::new(test)
            .args(["--exact", "nothing_is_left_behind", "--test-threads=1"])
            .env("ZCRX_TEST_ALONE", "1")
            .status();
        assert!(status.expect("it runs").success());
        return;
    }
    let count = |directory| fs::read_dir(directory).expect("/proc is mounted").count();
    let counts = || (count("/proc/self/fd"), count("/proc/self/task"));
    let before = counts();
    for _ in 0..20 {
        on_each_engine(|rx| {
            let (socket, mut peer) = connect();
            rx.add(&socket).expect("added");
            peer.write_all(b"x").expect("sent");
            drop(next_buffer(&rx));
        });
    }
    assert_eq!(counts(), before);
}
