// SPDX-License-Identifier: MIT
//! Feature `nic`. What needs a NIC is run in the rig, which names the interface: `make test-rust-nic`.
#![cfg(feature = "nic")]

use std::env;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use zcrx::nic::{self, Report, Setup, Split, Verdict};
use zcrx::{CheckState, Engine, Receiver, Stage, Steer};

const PORT: u16 = 5000;

#[test]
fn an_unknown_interface_is_refused() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let socket = TcpStream::connect(listener.local_addr().expect("bound")).expect("connected");
    let setup = || Setup::new("no-such-nic");
    let errors = [
        nic::inspect("no-such-nic", None).err(),
        setup().plan().err(),
        setup().demand().err(),
        setup().apply().err(),
        nic::undo("no-such-nic", None).err(),
        setup().prove(&socket, 0, None).err(),
    ];
    for (number, error) in errors.iter().enumerate() {
        let error = error.as_ref().unwrap_or_else(|| panic!("call {number} was not refused"));
        assert_eq!((error.errno(), error.stage()), (19, Stage::Nic), "call {number}"); // ENODEV
    }
}

#[test]
fn a_name_with_a_zero_byte_is_refused() {
    assert_eq!(nic::inspect("eth\0", None).expect_err("refused").errno(), 22);
    assert_eq!(Setup::new("eth\0").apply().expect_err("refused").errno(), 22);
}

#[test]
fn loopback_is_looked_at_and_refused() {
    let report = nic::inspect("lo", Some(0)).expect("anybody may look");
    assert!(report.checks.iter().any(|check| check.state == CheckState::Missing), "{report:?}");
    let error = Setup::new("lo").apply().expect_err("loopback has no queues");
    assert!(error.hint().is_some(), "{error}");
}

// ---- in the rig ----

fn interface() -> String {
    env::var("ZRX_RIG_IFACE").expect("run by make test-rust-nic")
}

fn look(queue: Option<u32>) -> Report {
    nic::inspect(&interface(), queue).expect("looked at")
}

/// What a set-up changes.
fn settings(queue: u32) -> (Split, u32, bool, u32, u32) {
    let report = look(Some(queue));
    (report.split, report.hds_thresh, report.ntuple, report.rules, report.rss_to_queue)
}

/// A connection from the cable's other port. One byte to it makes the peer send so many.
fn connect(bytes: usize) -> (TcpStream, Child) {
    let local = env::var("ZRX_RIG_LOCAL").expect("the rig says");
    let namespace = env::var("ZRX_RIG_PEER_NETNS").expect("the rig says");
    let listener = TcpListener::bind((local.as_str(), 0)).expect("a free port");
    let port = listener.local_addr().expect("bound").port();
    let sender = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/conformance/sender");
    let peer = Command::new("ip")
        .args(["netns", "exec", &namespace, sender])
        .args([format!("{local}:{port}"), format!("bytes={bytes}")])
        .spawn()
        .expect("started");
    (listener.accept().expect("connected").0, peer)
}

fn last_queue() -> u32 {
    look(None).queue_count - 1
}

#[test]
#[ignore = "needs a NIC: make test-rust-nic"]
fn a_plan_changes_nothing() {
    let queue = last_queue();
    let before = settings(queue);
    let (steps, chosen) = Setup::new(&interface()).queue(queue).plan().expect("planned");
    assert_eq!(chosen, queue);
    assert!(!steps.is_empty());
    assert!(steps.iter().all(|step| step.command.starts_with("ethtool ")), "{steps:?}");
    assert_eq!(settings(queue), before);
}

#[test]
#[ignore = "needs a NIC: make test-rust-nic"]
fn a_guard_puts_everything_back() {
    let queue = last_queue();
    let before = settings(queue);
    let driver = env::var("ZRX_RIG_DRIVER").expect("the rig says");
    assert!(look(None).driver.starts_with(&driver));
    let setup = || Setup::new(&interface()).queue(queue).steer(Steer::Port(PORT));
    let applied = setup().apply().expect("applied");
    assert_eq!(applied.queue(), queue);
    let (split, hds_thresh, ntuple, rules, rss_to_queue) = settings(queue);
    assert_eq!((split, hds_thresh, ntuple, rss_to_queue), (Split::On, 0, true, 0));
    assert!(rules > before.3);
    drop(applied);
    assert_eq!(settings(queue), before);
    setup().apply().expect("again").undo().expect("undone");
    assert_eq!(settings(queue), before);
}

#[test]
#[ignore = "needs a NIC: make test-rust-nic"]
fn what_is_kept_serves_receivers_until_it_is_undone() {
    let queue = last_queue();
    let before = settings(queue);
    Setup::new(&interface()).queue(queue).apply().expect("applied").keep();
    let prepared = Receiver::builder()
        .engine(Engine::Zcrx)
        .interface(&interface())
        .queue(queue)
        .nic_prepared(true)
        .require_zero_copy(true);
    let rx = prepared.open().expect("opened on a prepared NIC");
    assert_eq!(rx.info().interface, Some((interface(), queue)));
    assert!(look(Some(queue)).bound);
    assert_eq!(nic::undo(&interface(), Some(queue)).expect_err("bound").errno(), 16); // EBUSY
    drop(rx);
    assert_eq!(nic::undo(&interface(), Some(queue)).expect("undone"), 1);
    assert_eq!(nic::undo(&interface(), Some(queue)).expect("nothing left"), 0);
    assert_eq!(settings(queue), before);
}

#[test]
#[ignore = "needs a NIC: make test-rust-nic"]
fn a_receiver_sets_up_and_puts_back_by_itself() {
    let queue = last_queue();
    let before = settings(queue);
    let builder = Receiver::builder().interface(&interface()).queue(queue);
    let rx = builder.require_zero_copy(true).open().expect("opened");
    assert_eq!(rx.info().engine, Engine::Zcrx);
    assert_eq!(settings(queue).0, Split::On);
    drop(rx);
    assert_eq!(settings(queue), before);
    assert_eq!(nic::restore(Some(&interface())).expect("nobody died"), 0);
}

#[test]
#[ignore = "needs a NIC: make test-rust-nic"]
fn an_area_is_at_least_what_its_queue_holds() {
    let queue = last_queue();
    let demand = Setup::new(&interface()).queue(queue).demand().expect("told");
    assert_eq!(demand.queue, queue);
    assert!(demand.demand_bytes > 0 && demand.area_bytes > demand.demand_bytes, "{demand:?}");
    assert_eq!(demand.descriptor_bytes + demand.pool_bytes, demand.demand_bytes, "{demand:?}");

    let builder = || Receiver::builder().engine(Engine::Zcrx).interface(&interface()).queue(queue);
    let too_small = demand.demand_bytes / 2 / 4096 * 4096; // whole pages
    let error = builder().area_bytes(too_small).open().expect_err("below what it holds");
    assert_eq!(error.errno(), 105, "{error}"); // ENOBUFS
    assert!(error.to_string().contains(&demand.area_bytes.to_string()), "{error}");
    let rx = builder().area_bytes(too_small).small_area(true).open().expect("insisted on");
    assert_eq!(rx.info().area_bytes, too_small);
    drop(rx);
    let info = builder().open().expect("opened").info();
    assert_eq!((info.area_bytes, info.demand_bytes), (demand.area_bytes, demand.demand_bytes));
}

#[test]
#[ignore = "needs a NIC: make test-rust-nic"]
fn the_command_puts_the_nic_back_at_a_signal() {
    let queue = last_queue();
    let before = settings(queue);
    let mut path = env::current_exe().expect("the test's own path");
    path.pop();
    path.pop();
    for signal in [libc::SIGHUP, libc::SIGTERM] {
        let mut command = Command::new(path.join("examples/recv"));
        command.args(["--listen", "127.0.0.1:0", "--interface", &interface()]);
        command.args(["--engine", "zcrx", "--queue", &queue.to_string()]);
        let mut child = command.stderr(Stdio::piped()).spawn().expect("started");
        let mut said = BufReader::new(child.stderr.take().expect("piped"));
        let mut line = String::new();
        said.read_line(&mut line).expect("text");
        assert!(line.starts_with("listening on "), "{line}");
        assert_ne!(settings(queue), before);
        // SAFETY: only sends a signal.
        assert_eq!(unsafe { libc::kill(child.id() as i32, signal) }, 0);
        assert_eq!(child.wait().expect("it ran").signal(), Some(signal));
        assert_eq!(settings(queue), before);
    }
}

#[test]
#[ignore = "needs a NIC: make test-rust-nic"]
fn a_stream_proves_that_nothing_is_copied() {
    const BYTES: usize = 4 << 20;
    let queue = last_queue();
    let before = settings(queue);
    let (socket, mut peer) = connect(BYTES);
    let setup = Setup::new(&interface()).queue(queue);
    let nothing = setup.prove(&socket, 0, Duration::from_millis(200));
    assert_eq!(nothing.expect_err("nobody sends").errno(), 110); // ETIMEDOUT
    let proof = thread::scope(|scope| {
        scope.spawn(|| {
            // Once the flow is led to the queue.
            while settings(queue).3 == before.3 {
                thread::sleep(Duration::from_millis(20));
            }
            (&socket).write_all(b"x").expect("told");
        });
        setup.prove(&socket, 0, Duration::from_secs(60)).expect("received")
    });
    drop(socket);
    assert!(peer.wait().expect("it ran").success());
    assert_eq!((proof.verdict, proof.bytes), (Verdict::ZeroCopy, BYTES as u64), "{proof:?}");
    assert_eq!((proof.copied_bytes, proof.early_bytes, proof.queue), (Some(0), 0, queue));
    assert_eq!(settings(queue), before);
}
