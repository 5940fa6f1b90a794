// SPDX-License-Identifier: MIT
use std::error;
use std::ffi::{CStr, c_char};
use std::fmt;
use std::io;

use zcrx_sys as sys;

/// What [`Result`](std::result::Result) is in this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What the library was about when it failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Stage {
    /// Options contradict each other or are out of range.
    Options,
    /// Getting or pinning the area's memory.
    Area,
    /// Creating the io_uring or epoll instance.
    Ring,
    /// Interface, header/data split, RSS, flow rules.
    Nic,
    /// Binding the receive queue.
    Queue,
    /// The socket that was to be added.
    Socket,
    /// The stream handle.
    Stream,
    /// Called on a thread that does not own the receiver.
    Thread,
    /// Receiving.
    Receive,
    /// None that this version knows.
    Other,
}

impl Stage {
    fn from_raw(stage: u32) -> Self {
        match stage {
            sys::ZRX_STAGE_OPTIONS => Self::Options,
            sys::ZRX_STAGE_AREA => Self::Area,
            sys::ZRX_STAGE_RING => Self::Ring,
            sys::ZRX_STAGE_NIC => Self::Nic,
            sys::ZRX_STAGE_QUEUE => Self::Queue,
            sys::ZRX_STAGE_SOCKET => Self::Socket,
            sys::ZRX_STAGE_STREAM => Self::Stream,
            sys::ZRX_STAGE_THREAD => Self::Thread,
            sys::ZRX_STAGE_RECEIVE => Self::Receive,
            _ => Self::Other,
        }
    }

    /// `"options"`, `"area"`, ...
    pub fn name(self) -> &'static str {
        match self {
            Self::Options => "options",
            Self::Area => "area",
            Self::Ring => "ring",
            Self::Nic => "nic",
            Self::Queue => "queue",
            Self::Socket => "socket",
            Self::Stream => "stream",
            Self::Thread => "thread",
            Self::Receive => "receive",
            Self::Other => "other",
        }
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Why a call failed: what it was about, the error number, and what to do about it.
#[derive(Clone)]
pub struct Error(Box<Details>);

#[derive(Clone, PartialEq, Eq)]
struct Details {
    errno: i32,
    stage: Stage,
    message: String,
    kernel_text: String,
    hint: String,
}

impl Error {
    pub(crate) fn new(errno: i32, stage: Stage, message: &str, hint: &str) -> Self {
        Self(Box::new(Details {
            errno,
            stage,
            message: message.to_owned(),
            kernel_text: String::new(),
            hint: hint.to_owned(),
        }))
    }

    /// The error of a call that returned `code`, which is negative.
    #[cold]
    pub(crate) fn from_raw(code: i32, raw: &sys::zrx_error) -> Self {
        Self(Box::new(Details {
            errno: -code,
            stage: Stage::from_raw(raw.stage),
            message: text(&raw.message),
            kernel_text: text(&raw.kernel_text),
            hint: text(&raw.hint),
        }))
    }

    /// The error of a stream; `code` is negative.
    #[cold]
    pub(crate) fn of_stream(code: i32) -> Self {
        Self::new(-code, Stage::Stream, "", "")
    }

    /// The error number, positive: `ECONNRESET` and so on.
    pub fn errno(&self) -> i32 {
        self.0.errno
    }

    /// The error number's kind, as the standard library sorts them.
    pub fn kind(&self) -> io::ErrorKind {
        io::Error::from_raw_os_error(self.0.errno).kind()
    }

    /// What the library was about when it failed.
    pub fn stage(&self) -> Stage {
        self.0.stage
    }

    /// What was wrong, and where. May be empty.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// The kernel's own explanation, if it gave one.
    pub fn kernel_text(&self) -> Option<&str> {
        Some(self.0.kernel_text.as_str()).filter(|text| !text.is_empty())
    }

    /// What to do about it, if that is known: a command, or a change.
    pub fn hint(&self) -> Option<&str> {
        Some(self.0.hint.as_str()).filter(|text| !text.is_empty())
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.0.stage)?;
        if !self.0.message.is_empty() {
            write!(f, "{}: ", self.0.message)?;
        }
        write!(f, "{}", io::Error::from_raw_os_error(self.0.errno))?;
        if let Some(text) = self.kernel_text() {
            write!(f, ": {text}")?;
        }
        match self.hint() {
            Some(hint) => write!(f, "; {hint}"),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Error")
            .field("errno", &self.0.errno)
            .field("stage", &self.0.stage)
            .field("message", &self.0.message)
            .field("kernel_text", &self.0.kernel_text)
            .field("hint", &self.0.hint)
            .finish()
    }
}

impl error::Error for Error {}

impl From<Error> for io::Error {
    /// Keeps the error as the inner one: [`io::Error::downcast`] gets it back.
    fn from(error: Error) -> Self {
        io::Error::new(error.kind(), error)
    }
}

/// A text in a fixed array, which the library has terminated.
pub(crate) fn text<const N: usize>(array: &[c_char; N]) -> String {
    // SAFETY: c_char and u8 have the same size and alignment, and any bits are a u8.
    let bytes = unsafe { &*(array as *const [c_char; N] as *const [u8; N]) };
    CStr::from_bytes_until_nul(bytes).unwrap_or_default().to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(message: &str, hint: &str) -> sys::zrx_error {
        let mut raw = sys::zrx_error::init();
        raw.stage = sys::ZRX_STAGE_AREA;
        for (to, from) in raw.message.iter_mut().zip(message.bytes()) {
            *to = from as c_char;
        }
        for (to, from) in raw.hint.iter_mut().zip(hint.bytes()) {
            *to = from as c_char;
        }
        raw
    }

    #[test]
    fn carries_what_the_core_said() {
        let error = Error::from_raw(-12, &raw("cannot pin the area", "ulimit -l unlimited"));
        assert_eq!(error.errno(), 12);
        assert_eq!(error.stage(), Stage::Area);
        assert_eq!(error.kind(), io::ErrorKind::OutOfMemory);
        assert_eq!(error.kernel_text(), None);
        assert_eq!(error.hint(), Some("ulimit -l unlimited"));
        let shown = error.to_string();
        assert!(shown.starts_with("area: cannot pin the area: "), "{shown}");
        assert!(shown.ends_with("; ulimit -l unlimited"), "{shown}");
    }

    #[test]
    fn becomes_an_io_error_and_back() {
        let error = io::Error::from(Error::of_stream(-104));
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
        assert_eq!(error.downcast::<Error>().expect("the inner error").errno(), 104);
    }

    #[test]
    fn a_text_that_fills_its_array_is_no_overrun() {
        assert_eq!(text(&[b'x' as c_char; 4]), "");
        assert_eq!(text(&[b'x' as c_char, 0, 0, 0]), "x");
    }

    #[test]
    fn stages_have_the_names_of_the_core() {
        for raw in 1..sys::ZRX_STAGE_COUNT {
            let stage = Stage::from_raw(raw);
            assert_ne!(stage, Stage::Other, "stage {raw}");
            // The core's names are static, and there for each stage; miri cannot call it.
            #[cfg(not(miri))]
            assert_eq!(
                // SAFETY: any number may be asked for; the answer is a static string.
                unsafe { CStr::from_ptr(sys::zrx_stage_name(raw)) }.to_str(),
                Ok(stage.name())
            );
        }
    }
}
