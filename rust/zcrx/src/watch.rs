// SPDX-License-Identifier: MIT
//! Finds out who waits for the bytes of a stream while it holds all the buffers that the stream may have: its wait would
//! never end, and nothing would tell why.

use std::time::{Duration, Instant};

use crate::{Error, Receiver, Result, Stage, Stall, Stream};

const ENOBUFS: i32 = 105;
const HINT: &str = "drop each buffer when it is done with, and keep copies of what you keep; or open with a larger \
    area_bytes (and window_bytes, if you gave one); if others drop them later, give a larger window_timeout";

/// Looks at one stream while its consumer waits.
#[derive(Debug)]
pub(crate) struct Watch {
    /// How long nothing has to be released.
    patience: Duration,
    /// The stream has the receiver to itself.
    alone: bool,
    seen: Option<Seen>,
}

/// What does not change while nothing is released.
#[derive(Debug)]
struct Seen {
    bytes: u64,
    held_bytes: u64,
    released: u64,
    since: Instant,
}

impl Watch {
    /// For a stream that has its receiver to itself.
    pub(crate) fn alone(patience: Duration) -> Self {
        Self { patience, alone: true, seen: None }
    }

    /// For one of many.
    #[cfg(feature = "tokio")]
    pub(crate) fn of_many(patience: Duration) -> Self {
        Self { patience, alone: false, seen: None }
    }

    /// After how long to look again; `None`: never.
    pub(crate) fn period(&self) -> Option<Duration> {
        period(self.patience)
    }

    /// Its consumer does not wait, or did not when this was last called.
    pub(crate) fn forget(&mut self) {
        self.seen = None;
    }

    /// Whether the last look found that the stream cannot go on before buffers are released.
    #[cfg(feature = "tokio")]
    pub(crate) fn is_alarmed(&self) -> bool {
        self.seen.is_some()
    }

    /// Its consumer waits, and there is nothing for it. An error if that has been so for long enough, nothing was released
    /// meanwhile, and the stream cannot go on before.
    pub(crate) fn look(&mut self, receiver: &Receiver, stream: Stream) -> Result<()> {
        let stats = receiver.stats();
        let dry = stats.stall == Some(Stall::Buffers);
        // It fails where the stream has ended: what is left of it will come.
        let figures = receiver.stream_stats(stream).ok();
        let Some(figures) = figures.filter(|figures| dry || figures.at_window) else {
            self.seen = None;
            return Ok(());
        };
        let (bytes, held_bytes) = (figures.bytes, figures.held_bytes);
        // What is released of other streams helps only where the area is used up.
        let released = if dry || self.alone { stats.released } else { 0 };
        match &self.seen {
            Some(seen)
                if (seen.bytes, seen.held_bytes) == (bytes, held_bytes)
                    && seen.released == released =>
            {
                if seen.since.elapsed() < self.patience {
                    return Ok(());
                }
                self.seen = None;
                Err(stuck(self.patience, held_bytes, figures.window_bytes, dry))
            }
            _ => {
                self.seen = Some(Seen { bytes, held_bytes, released, since: Instant::now() });
                Ok(())
            }
        }
    }
}

/// Often enough to be late by no more than a fourth.
pub(crate) fn period(patience: Duration) -> Option<Duration> {
    if patience == Duration::MAX { None } else { Some(patience / 4) }
}

fn stuck(patience: Duration, held_bytes: u64, window_bytes: u64, dry: bool) -> Error {
    let of = if dry { "what is left of the area" } else { "the stream's window" };
    let message = format!(
        "nothing can come: buffers that were not released hold {held_bytes} bytes, all of {of} (window: \
         {window_bytes}), and none came back for {:.1} s",
        patience.as_secs_f64()
    );
    Error::new(ENOBUFS, Stage::Receive, &message, HINT)
}
