// SPDX-License-Identifier: MIT
//! A group, whose receivers are the channels'.

use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex};

use zcrx::{Group, GroupReceiver, StreamOptions};

use crate::opening::builder;
use crate::reception::Reception;
use crate::{Answer, CHANNELS, Failure, Serve, Shared, no, words_of};

/// The group that is open, and its receivers that no channel has used yet.
#[derive(Default)]
pub struct Members(Mutex<Option<Open>>);

struct Open {
    group: Group,
    receivers: Vec<Option<GroupReceiver>>,
}

impl Members {
    /// `words`: COUNT KEY=VALUE...; answers with the engine.
    pub fn open(&self, shared: &Shared, words: &[&str]) -> Answer {
        let [count, words @ ..] = words else { return Err(no("count")) };
        let mut opening = Group::builder().count(count.parse()?);
        let mut rest = words.to_vec();
        if let Some(place) = rest.iter().position(|word| word.starts_with("inbox_entries=")) {
            opening = opening.inbox_entries(rest.remove(place)["inbox_entries=".len()..].parse()?);
        }
        if let Some(place) = rest.iter().position(|word| word.starts_with("shared_queue=")) {
            opening = opening.shared_queue(rest.remove(place).ends_with("=1"));
        }
        let (group, receivers) = opening.receiver(builder(&rest)?).open()?;
        let first = receivers.first().ok_or_else(|| no("receiver"))?;
        let engine = first.info().engine;
        *shared.handle.lock().expect("no thread panics") = Some(first.handle());
        let receivers = receivers.into_iter().map(Some).collect();
        *self.0.lock().expect("no thread panics") = Some(Open { group, receivers });
        Ok(engine.to_string())
    }

    fn group(&self) -> Result<Group, Failure> {
        let open = self.0.lock().expect("no thread panics");
        open.as_ref().map(|open| open.group.clone()).ok_or_else(|| no("group"))
    }

    /// The receiver of a channel, if there is a group and it has not been taken.
    pub fn take(&self, channel: usize) -> Option<GroupReceiver> {
        let mut open = self.0.lock().expect("no thread panics");
        open.as_mut()?.receivers.get_mut(channel)?.take()
    }

    /// Forget the group: receivers that nobody has taken are closed. How many there were, if there was a group.
    fn close(&self) -> Option<usize> {
        let open = self.0.lock().expect("no thread panics").take();
        open.map(|open| open.receivers.len())
    }

    /// The requests that come on any channel.
    pub fn run(&self, shared: &Shared, verb: &str, words: &[&str]) -> Answer {
        match (verb, words) {
            ("group-add", [number, limit]) => {
                let number = number.parse()?;
                let options = StreamOptions::new().limit_bytes(limit.parse()?).tag(number);
                let group = self.group()?;
                shared
                    .connections
                    .with_socket(number, |socket| Ok(group.add_with(socket, options)?))?;
            }
            ("group-listen", [tag]) => {
                let options = StreamOptions::new().tag(tag.parse()?);
                self.group()?.listen_with(&shared.listener, options)?;
            }
            ("group-stats", _) => {
                let mut stats = self.group()?.stats();
                stats.receivers.clear();
                let all = words_of(&stats);
                let own = all.split_once(" sum=").map_or(&all[..], |(own, _)| own);
                let sum = words_of(&stats.sum);
                let sum = sum.split(' ').filter(|word| word.contains('='));
                let words = own.split(' ').map(str::to_owned);
                let words = words.chain(sum.map(|word| format!("sum_{word}")));
                return Ok(words.collect::<Vec<_>>().join(" "));
            }
            _ => return Err(Failure(libc::ENOSYS, format!("no such request: {verb}"))),
        }
        Ok(String::new())
    }
}

/// What one channel's thread does with its receiver of the group.
pub struct Member {
    shared: Arc<Shared>,
    channel: usize,
    reception: Reception,
    /// Where it is asked to close it, and says that it has.
    orders: UnixStream,
}

impl Member {
    /// On the thread of the channel.
    pub fn new(shared: Arc<Shared>, channel: usize, orders: UnixStream) -> Self {
        let reception = Reception::new(shared.clone());
        Self { shared, channel, reception, orders }
    }
}

impl Serve for Member {
    fn run(&mut self, facts: &mut String, verb: &str, words: &[&str]) -> Answer {
        match verb {
            "receive" => {
                self.reception.claim(self.channel);
                self.reception.receive(facts, words)?;
                Ok(String::new())
            }
            "leave" => self.reception.leave(self.channel),
            _ => self.shared.run(facts, verb, words),
        }
    }

    /// Wait for a request on the channel. A group that is closed meanwhile takes its receiver along: no other thread can.
    fn wait(&mut self, channel: BorrowedFd<'_>) -> io::Result<()> {
        let entry = |fd| libc::pollfd { fd, events: libc::POLLIN, revents: 0 };
        let mut polls = [entry(channel.as_raw_fd()), entry(self.orders.as_raw_fd())];
        loop {
            // SAFETY: two entries, which live until the call returns.
            let count = unsafe { libc::poll(polls.as_mut_ptr(), 2, -1) };
            if count < 0 && io::Error::last_os_error().kind() != io::ErrorKind::Interrupted {
                return Err(io::Error::last_os_error());
            }
            if count > 0 && polls[1].revents != 0 {
                let mut order = [0];
                self.orders.read_exact(&mut order)?;
                self.reception.close();
                self.orders.write_all(&order)?;
            }
            if count > 0 && polls[0].revents != 0 {
                return Ok(());
            }
        }
    }
}

/// To the members of the other channels, in their order.
pub struct Orders(Vec<UnixStream>);

impl Orders {
    /// And what each of them gets.
    pub fn new() -> io::Result<(Self, Vec<UnixStream>)> {
        let pairs: io::Result<Vec<_>> = (1..CHANNELS).map(|_| UnixStream::pair()).collect();
        let (ours, theirs) = pairs?.into_iter().unzip();
        Ok((Self(ours), theirs))
    }

    /// Close the group: each receiver on its own thread. False: there is none.
    pub fn close(&mut self, shared: &Shared, own: &mut Reception) -> Result<bool, Failure> {
        let Some(count) = shared.members.close() else { return Ok(false) };
        own.close();
        for orders in self.0.iter_mut().take(count - 1) {
            orders.write_all(b"c")?;
            orders.read_exact(&mut [0])?;
        }
        Ok(true)
    }
}
