// SPDX-License-Identifier: MIT
//! Groups: who may have what on which thread, who closes what, and what is said where nothing can be done.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use std::{fs, process, thread};

use zcrx::{
    AreaKind, Builder, End, Engine, Event, EventRef, Events, Group, GroupBuilder, GroupReceiver,
    Pinning, Receiver, RefusedSocket, Stage, StreamOptions,
};

const WAIT: Duration = Duration::from_secs(20);
const AREA_BYTES: u64 = 1 << 20;
const EINVAL: i32 = 22;
const ENOBUFS: i32 = 105;
const ESHUTDOWN: i32 = 108;

fn small(engine: Engine) -> Builder {
    Receiver::builder().engine(engine).area_bytes(AREA_BYTES)
}

fn builder(engine: Engine, count: u32) -> GroupBuilder {
    Group::builder().count(count).receiver(small(engine))
}

/// Every engine that any Linux has.
fn on_each_engine(count: u32, test: impl Fn(Group, Vec<GroupReceiver>)) {
    for engine in [Engine::Multishot, Engine::Recv] {
        let opened = builder(engine, count).open();
        let (group, receivers) = opened.unwrap_or_else(|error| panic!("{engine}: {error}"));
        test(group, receivers);
    }
}

fn listener() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").expect("a free port")
}

fn connect_to(listener: &TcpListener) -> TcpStream {
    let peer = TcpStream::connect(listener.local_addr().expect("bound")).expect("it listens");
    peer.set_read_timeout(Some(WAIT)).expect("set");
    peer
}

/// A connected pair: what receives, what sends.
fn connect() -> (TcpStream, TcpStream) {
    let listener = listener();
    let peer = connect_to(&listener);
    (listener.accept().expect("connected").0, peer)
}

/// There is at least one; the test waits for nothing else.
fn receive(rx: &Receiver) -> Events<'_> {
    let events = rx.receive(WAIT).expect("received");
    assert!(!events.is_empty(), "no event in time");
    events
}

/// The next event of a receiver that gives one event at a time.
fn next_event(rx: &Receiver) -> Event {
    receive(rx).next().expect("an event in time")
}

/// All that gives one event at a time.
fn singly(engine: Engine, count: u32) -> (Group, Vec<Receiver>) {
    let opened = Group::builder().count(count).receiver(small(engine).batch(1)).open();
    let (group, receivers) = opened.expect("opened");
    (group, receivers.into_iter().map(GroupReceiver::into_receiver).collect())
}

/// A thread that opened a ring may be interrupted by it: `read_exact` goes on.
fn is_closed(mut peer: TcpStream) -> bool {
    let error = peer.read_exact(&mut [0]).expect_err("nothing more comes");
    matches!(error.kind(), ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset)
}

#[test]
fn what_goes_anywhere() {
    fn anywhere<T: Send + Sync + Clone + 'static>() {}
    fn sent<T: Send + 'static>() {}
    anywhere::<Group>();
    sent::<GroupReceiver>();
    sent::<Event>();
}

#[test]
fn sockets_that_are_added_come_to_one_receiver_each() {
    for engine in [Engine::Multishot, Engine::Recv] {
        let (group, receivers) = singly(engine, 2);
        let mut pairs: Vec<_> = (0..4).map(|_| connect()).collect();
        // From another thread than those that receive.
        thread::scope(|scope| {
            scope.spawn(|| {
                for (number, (socket, _)) in pairs.iter().enumerate() {
                    let options = StreamOptions::new().tag(number as u64);
                    group.add_with(socket, options).expect("handed over");
                }
            });
        });
        assert_eq!(group.stats().waiting, 4);
        let mut seen = Vec::new();
        for rx in &receivers {
            let mut streams = Vec::new();
            for _ in 0..2 {
                match next_event(rx) {
                    Event::Added { stream, accepted: None, copied: false } => streams.push(stream),
                    other => panic!("{other:?}"),
                }
            }
            for stream in streams {
                let peer = &mut pairs[stream.tag() as usize].1;
                peer.write_all(b"hello").expect("sent");
                match next_event(rx) {
                    Event::Data { stream: of, buffer } => {
                        assert_eq!((of, &*buffer), (stream, &b"hello"[..]));
                    }
                    other => panic!("{other:?}"),
                }
                seen.push(stream.tag());
                rx.remove(stream).expect("it is this receiver's");
                let ended = next_event(rx);
                assert!(matches!(ended, Event::End { end: End::Removed, .. }), "{ended:?}");
                assert_eq!(ended.stream(), Some(stream));
            }
        }
        seen.sort_unstable();
        assert_eq!(seen, [0, 1, 2, 3]);
        let stats = group.stats();
        assert_eq!((stats.added, stats.handed_over, stats.refused), (4, 4, 0));
        assert_eq!((stats.sum.bytes, stats.waiting, stats.receiver_count), (20, 0, 2));
        let each: Vec<u64> = stats.receivers.iter().map(|stats| stats.bytes).collect();
        assert_eq!(each, [10, 10]);
    }
}

/// Serve until told to stop; answers each connection with how many bytes came, and counts it then.
fn serve(receiver: GroupReceiver, ended: &AtomicUsize, stop: &AtomicUsize) -> usize {
    let rx = receiver.into_receiver();
    let mut open = std::collections::HashMap::new();
    let mut added = 0;
    while stop.load(Ordering::Relaxed) == 0 {
        for event in rx.receive(None).expect("received") {
            match event {
                Event::Added { stream, accepted: Some(socket), copied: false } => {
                    assert_eq!(stream.tag(), 42);
                    added += 1;
                    open.insert(stream, (socket, 0));
                }
                Event::Data { stream, buffer } => {
                    open.get_mut(&stream).expect("added first").1 += buffer.len();
                }
                Event::End { stream, .. } => {
                    let (mut socket, bytes) = open.remove(&stream).expect("added first");
                    socket.write_all(bytes.to_string().as_bytes()).expect("answered");
                    ended.fetch_add(1, Ordering::Relaxed);
                }
                other => panic!("{other:?}"),
            }
        }
    }
    added
}

#[test]
fn connections_are_accepted_and_answered_by_all() {
    const CONNECTIONS: usize = 60;
    on_each_engine(3, |group, receivers| {
        let listener = listener();
        group.listen_with(&listener, StreamOptions::new().tag(42)).expect("it listens");
        let (ended, stop) = (AtomicUsize::new(0), AtomicUsize::new(0));
        thread::scope(|scope| {
            let serving: Vec<_> = receivers
                .into_iter()
                .map(|receiver| scope.spawn(|| serve(receiver, &ended, &stop)))
                .collect();
            // All of them at once, so that there is something to share.
            let mut peers: Vec<_> = (0..CONNECTIONS).map(|_| connect_to(&listener)).collect();
            for (number, peer) in peers.iter_mut().enumerate() {
                peer.write_all(&vec![b'x'; number * 100]).expect("sent");
                peer.shutdown(Shutdown::Write).expect("ended");
            }
            for (number, peer) in peers.iter_mut().enumerate() {
                let mut answer = String::new();
                peer.read_to_string(&mut answer).expect("answered");
                assert_eq!(answer, (number * 100).to_string());
            }
            assert_eq!(ended.load(Ordering::Relaxed), CONNECTIONS);
            stop.store(1, Ordering::Relaxed);
            group.wake();
            let added: Vec<usize> =
                serving.into_iter().map(|thread| thread.join().expect("served")).collect();
            assert_eq!(added.iter().sum::<usize>(), CONNECTIONS);
        });
        // Those of closed receivers are not lost.
        let stats = group.stats();
        let bytes = (0..CONNECTIONS as u64).sum::<u64>() * 100;
        assert_eq!((stats.accepted, stats.added, stats.receiver_count), (60, 60, 0));
        assert_eq!(stats.sum.bytes, bytes);
        let error = group.listen(&listener).expect_err("every receiver is closed");
        assert_eq!((error.errno(), error.stage()), (ESHUTDOWN, Stage::Socket));
        let error = group.add(connect().0).expect_err("every receiver is closed");
        assert!(error.hint().is_some_and(|hint| hint.contains("group")), "{error}");
        group.wake(); // nobody, and no crash
    });
}

#[test]
fn a_refusal_says_which_socket() {
    for engine in [Engine::Multishot, Engine::Recv] {
        let (group, receivers) = singly(engine, 1);
        let (socket, _peer) = connect();
        for tag in [1, 2] {
            group.add_with(&socket, StreamOptions::new().tag(tag)).expect("handed over");
        }
        assert!(matches!(next_event(&receivers[0]), Event::Added { .. }));
        match next_event(&receivers[0]) {
            Event::Refused { tag: 2, error, socket: RefusedSocket::Given } => {
                assert_eq!((error.errno(), error.stage()), (17, Stage::Socket)); // EEXIST
            }
            other => panic!("{other:?}"),
        }
        assert_eq!(group.stats().refused, 1);
        assert_eq!(socket.take_error().expect("it is still open").map(|_| ()), None);
    }
}

#[test]
fn a_listener_that_fails_is_told() {
    for engine in [Engine::Multishot, Engine::Recv] {
        let (group, receivers) = singly(engine, 1);
        let listener = listener();
        group.listen_with(&listener, StreamOptions::new().tag(9)).expect("it listens");
        let socket = TcpStream::from(OwnedFd::from(listener));
        socket.shutdown(Shutdown::Both).expect("it stops listening");
        let events = receive(&receivers[0]);
        match events.iter().next() {
            Some(EventRef::Refused { tag: 9, error, socket: RefusedSocket::Listening }) => {
                assert_eq!(error.errno(), EINVAL);
            }
            other => panic!("{other:?}"),
        }
        drop(events);
        assert_eq!(receivers[0].receive(Duration::ZERO).expect("received").len(), 0);
    }
}

#[test]
fn connections_that_nobody_takes_are_closed_with_the_batch() {
    for engine in [Engine::Multishot, Engine::Recv] {
        let (group, receivers) = singly(engine, 1);
        let (rx, listener) = (&receivers[0], listener());
        group.listen(&listener).expect("it listens");
        let peer = connect_to(&listener);
        let events = receive(rx);
        let Some(EventRef::Added { stream, accepted: Some(fd), .. }) = events.iter().next() else {
            panic!("{events:?}");
        };
        // It can be kept all the same.
        let mut kept = TcpStream::from(fd.try_clone_to_owned().expect("a descriptor"));
        let number = fd.as_raw_fd();
        let open = || fs::read_link(format!("/proc/self/fd/{number}"));
        let name = open().expect("it is open");
        drop(events);
        // Another thread may have got the number by now, for another file.
        assert!(open().map_or(true, |now| now != name));
        kept.write_all(b"!").expect("it is connected");
        drop(kept);
        rx.remove(stream).expect("it is there");
        assert!(matches!(next_event(rx), Event::End { .. }));
        (&peer).read_exact(&mut [0]).expect("the answer");
        assert!(is_closed(peer));
    }
}

#[test]
fn a_taken_connection_outlives_its_receiver() {
    for engine in [Engine::Multishot, Engine::Recv] {
        let (group, mut receivers) = singly(engine, 1);
        let (rx, listener) = (receivers.remove(0), listener());
        group.listen(&listener).expect("it listens");
        let mut peer = connect_to(&listener);
        let Event::Added { accepted: Some(mut socket), .. } = next_event(&rx) else {
            panic!("nothing was accepted");
        };
        drop((group, rx));
        socket.write_all(b"still here").expect("it is connected");
        drop(socket);
        let mut said = String::new();
        peer.read_to_string(&mut said).expect("answered");
        assert_eq!(said, "still here");
    }
}

#[test]
fn who_leaves_passes_on_what_waits() {
    on_each_engine(2, |group, mut receivers| {
        let pairs: Vec<_> = (0..4).map(|_| connect()).collect();
        pairs.iter().for_each(|(socket, _)| group.add(socket).expect("handed over"));
        drop(receivers.remove(0)); // it was nobody's yet
        assert_eq!(group.stats().receiver_count, 1);
        let rx = receivers.remove(0).into_receiver();
        let mut added = 0;
        while added < 4 {
            added += receive(&rx).filter(|event| matches!(event, Event::Added { .. })).count();
        }
        assert_eq!(group.stats().receivers[0].area_bytes, 0, "it is closed");
        rx.close().expect("closed");
        assert_eq!(group.add(&pairs[0].0).expect_err("nobody is left").errno(), ESHUTDOWN);
    });
}

/// Whatever goes first, in each of the 24 orders.
#[test]
fn things_are_dropped_in_any_order() {
    let things = ["group", "receiver", "sent", "buffer"];
    for index in 0..24 {
        let (mut left, mut rest) = (things.to_vec(), index);
        let order = [6, 2, 1, 1].map(|later_orders| {
            let thing = left.remove(rest / later_orders);
            rest %= later_orders;
            thing
        });
        let (group, mut receivers) = builder(Engine::Multishot, 2).open().expect("opened");
        let mut sent = Some(receivers.remove(1));
        let mut receiver = Some(receivers.remove(0).into_receiver());
        let rx = receiver.as_ref().expect("there");
        let pairs = [connect(), connect()];
        for (socket, mut peer) in pairs.iter().map(|(socket, peer)| (socket, peer)) {
            group.add(socket).expect("handed over");
            peer.write_all(b"x").expect("sent");
        }
        let mut buffer = None;
        while buffer.is_none() {
            buffer = receive(rx).find_map(|event| match event {
                Event::Data { buffer, .. } => Some(buffer),
                _ => None,
            });
        }
        let mut group = Some(group);
        for thing in order {
            match thing {
                "group" => drop(group.take()),
                "receiver" => drop(receiver.take()),
                "sent" => drop(sent.take()),
                _ => assert_eq!(buffer.take().as_deref(), Some(&b"x"[..])),
            }
        }
    }
}

#[test]
fn a_thread_that_does_not_receive_is_told_of() {
    let opened = builder(Engine::Recv, 1).inbox_entries(2).open();
    let (group, _receivers) = opened.expect("opened");
    let pairs: Vec<_> = (0..3).map(|_| connect()).collect();
    group.add(&pairs[0].0).expect("handed over");
    group.add(&pairs[1].0).expect("handed over");
    let error = group.add(&pairs[2].0).expect_err("there is no room");
    assert_eq!((error.errno(), error.stage()), (ENOBUFS, Stage::Socket));
    assert!(error.hint().is_some_and(|hint| hint.contains("inbox_entries")), "{error}");
    assert_eq!(group.stats().inbox_full, 1);
}

#[test]
fn what_cannot_be_is_refused_with_a_hint() {
    let (group, _receivers) = builder(Engine::Recv, 1).open().expect("opened");
    let udp = UdpSocket::bind("127.0.0.1:0").expect("a free port");
    assert_eq!(group.add(&udp).expect_err("not TCP").errno(), 93); // EPROTONOSUPPORT
    assert_eq!(group.add(listener()).expect_err("not connected").errno(), 107); // ENOTCONN
    let (socket, _peer) = connect();
    assert_eq!(group.listen(&socket).expect_err("it does not listen").errno(), EINVAL);
    let window = StreamOptions::new().window_bytes(1);
    let error = group.add_with(&socket, window).expect_err("less than a buffer");
    assert!(error.message().contains("window_bytes"), "{error}");

    let refused = |builder: GroupBuilder| builder.open().expect_err("refused");
    let error = refused(Group::builder().count(257));
    assert!(error.errno() == EINVAL && error.message().contains("count"), "{error}");
    assert!(error.hint().is_some(), "{error}");
    let error = refused(builder(Engine::Recv, 2).inbox_entries(65537));
    assert!(error.message().contains("inbox_entries"), "{error}");
    let error = refused(builder(Engine::Recv, 2).shared_queue(true).pin(Pinning::WithQueue));
    assert!(error.message().contains("flags"), "{error}");
    let error = refused(
        Group::builder().shared_queue(true).receiver(small(Engine::Recv).area_max_bytes(1 << 30)),
    );
    assert!(error.message().contains("area_max_bytes"), "{error}");
    let error = refused(Group::builder().count(2).receiver(small(Engine::Recv).processor(0)));
    assert!(error.message().contains("processor"), "{error}");
    let nic = Receiver::builder().engine(Engine::Zcrx).interface("no-such-nic");
    let error = refused(Group::builder().count(2).receiver(nic));
    assert!(error.message().contains("receiver 1 of 2"), "{error}");
    let error = refused(Group::builder().receiver(small(Engine::Recv).batch(0)));
    assert_eq!(error.stage(), Stage::Options);
    let error = refused(Group::builder().receiver(small(Engine::Recv).area(AreaKind::Caller)));
    assert_eq!(error.errno(), EINVAL);
}

/// Memory of the program's own: no two receivers can have it, and it is given back.
#[test]
fn own_memory_is_refused_and_freed() {
    static FREED: AtomicUsize = AtomicUsize::new(0);
    struct Memory(Vec<u8>);
    impl AsMut<[u8]> for Memory {
        fn as_mut(&mut self) -> &mut [u8] {
            &mut self.0
        }
    }
    impl Drop for Memory {
        fn drop(&mut self) {
            FREED.fetch_add(1, Ordering::Relaxed);
        }
    }
    let memory = small(Engine::Recv).area_memory(Memory(vec![0; 1 << 16]));
    let error = Group::builder().count(2).receiver(memory).open().expect_err("refused");
    assert!(error.message().contains("area_kind"), "{error}");
    assert_eq!(FREED.load(Ordering::Relaxed), 1);
    let file = OwnedFd::from(fs::File::open("/dev/null").expect("it is there"));
    // SAFETY: nobody maps the file.
    let dmabuf = unsafe { Receiver::builder().area_dmabuf(file, 1 << 20) };
    let error = Group::builder().count(2).receiver(dmabuf).open().expect_err("refused");
    assert!(error.message().contains("area_kind"), "{error}");
}

#[test]
fn threads_are_pinned_when_they_first_receive() {
    let processors = || {
        let status = fs::read_to_string("/proc/thread-self/status").expect("/proc is mounted");
        let line = status.lines().find(|line| line.starts_with("Cpus_allowed_list:"));
        line.and_then(|line| line.split('\t').nth(1)).expect("it is there").to_owned()
    };
    for pinning in [Pinning::Apart, Pinning::WithQueue] {
        let opened = builder(Engine::Recv, 2).pin(pinning).busy_poll_us(0).open();
        let (_group, receivers) = opened.expect("opened");
        let threads = receivers.into_iter().map(|receiver| {
            thread::spawn(move || {
                let processor = receiver.info().processor.expect("pinned");
                let rx = receiver.into_receiver();
                assert_eq!(rx.receive(Duration::ZERO).expect("received").len(), 0);
                assert_eq!(processors(), processor.to_string());
            })
        });
        threads.for_each(|thread| thread.join().expect("pinned"));
    }
    let (_group, receivers) = builder(Engine::Recv, 1).open().expect("opened");
    assert_eq!(receivers[0].info().processor, None);
}

#[test]
fn a_receiver_of_its_own_is_pinned_as_well() {
    let pinned = thread::spawn(|| {
        let rx = small(Engine::Recv).processor(0).open().expect("opened");
        assert_eq!(rx.info().processor, Some(0));
        rx.receive(Duration::ZERO).map(|events| events.len())
    });
    assert_eq!(pinned.join().expect("no panic").expect("received"), 0);
    let nowhere = small(Engine::Recv).processor(100_000).open();
    // At open or at the first receive, but not in silence.
    let error = nowhere.and_then(|rx| rx.receive(Duration::ZERO).map(drop)).expect_err("nowhere");
    assert!(error.message().contains("processor"), "{error}");
}

#[test]
fn busy_polling_is_told_where_it_is() {
    let receiver = small(Engine::Multishot).busy_poll_us(7);
    let opened = Group::builder().count(1).receiver(receiver).busy_poll_us(20).open();
    let (_group, receivers) = opened.expect("opened");
    let info = receivers[0].info();
    let can = info.features.contains(zcrx::Features::BUSY_POLL);
    assert_eq!(info.busy_poll_us, if can { 20 } else { 0 });
    let error = Receiver::builder().busy_poll_us(1_000_001).open().expect_err("out of range");
    assert!(error.message().contains("busy_poll_us"), "{error}");
}

#[test]
fn handles_wake_one_and_the_group_wakes_all() {
    on_each_engine(2, |group, receivers| {
        let handles: Vec<_> = receivers.iter().map(GroupReceiver::handle).collect();
        assert_eq!(receivers.iter().map(GroupReceiver::index).collect::<Vec<_>>(), [0, 1]);
        let threads: Vec<_> = receivers
            .into_iter()
            .map(|receiver| {
                thread::spawn(move || {
                    let rx = receiver.into_receiver();
                    let begun = Instant::now();
                    let woken = (rx.receive(WAIT), rx.receive(WAIT));
                    assert!(begun.elapsed() < WAIT, "nobody woke it");
                    assert!(
                        matches!(woken, (Ok(one), Ok(two)) if one.is_empty() && two.is_empty())
                    );
                })
            })
            .collect();
        for handle in &handles {
            let begun = Instant::now();
            handle.wake();
            // The second wake must not merge into the first.
            while handle.stats().is_some_and(|stats| stats.wakes < 1) {
                assert!(begun.elapsed() < WAIT, "it does not wake");
                thread::sleep(Duration::from_millis(1));
            }
        }
        group.wake();
        threads.into_iter().for_each(|thread| thread.join().expect("woken"));
        assert!(handles.iter().all(|handle| handle.stats().is_none()), "they are closed");
        assert_eq!(group.stats().sum.wakes, 4);
    });
}

/// Descriptors and threads of this process that tests running beside this one do not make: run alone, in a child.
#[test]
fn nothing_is_left_behind() {
    if std::env::var_os("ZCRX_TEST_ALONE").is_none() {
        let test = std::env::current_exe().expect("its own path");
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
    for round in 0..20 {
        on_each_engine(2, |group, mut receivers| {
            let listener = listener();
            group.listen(&listener).expect("it listens");
            let peers: Vec<_> = (0..4).map(|_| connect_to(&listener)).collect();
            let sent = receivers.pop();
            let rx = receivers.pop().expect("two").into_receiver();
            // Some are taken, some are in a batch, some wait for the other, or in the backlog.
            let mut taken = receive(&rx);
            let first = taken.next();
            drop(taken);
            match round % 3 {
                0 => drop((first, group, rx, sent)),
                1 => drop((sent, rx, group, first)),
                _ => drop((rx, first, sent, group)),
            }
            drop(listener);
            assert!(peers.into_iter().all(is_closed));
        });
    }
    assert_eq!(counts(), before);
}
