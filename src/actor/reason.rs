//! Why an actor ended.

use std::fmt;

/// The reason that monitors, links and supervisors are told.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ExitReason {
    /// It finished, or was stopped in good order.
    Normal,
    /// A supervisor or the runtime shut it down.
    Shutdown,
    /// A linked actor was killed; unlike [`Killed`](Self::Killed) this can be trapped.
    Kill,
    /// It was killed outright, which cannot be trapped.
    Killed,
    /// The PID named nobody.
    NoProcess,
    /// The node of the other actor cannot be reached any more.
    NoConnection(String),
    /// A Rust actor panicked with this text.
    Panic(String),
    /// A handler of a language binding raised.
    Exception {
        /// The type of the exception.
        kind: String,
        /// Its message.
        message: String,
        /// The formatted traceback.
        traceback: String,
    },
    /// Anything else, in the actor's own words.
    Other(String),
}

impl ExitReason {
    /// Whether supervisors and links take it as an end in good order (S11).
    pub fn is_clean(&self) -> bool {
        matches!(self, Self::Normal | Self::Shutdown)
    }

    /// Whether the actor failed by itself, which somebody should hear of.
    pub fn is_crash(&self) -> bool {
        matches!(self, Self::Panic(_) | Self::Exception { .. } | Self::Other(_))
    }

    /// The short name, as on the wire and in Python: `normal`, `killed`, `noconnection` …
    pub fn name(&self) -> &'static str {
        match self {
            Self::Normal => "normal",
            Self::Shutdown => "shutdown",
            Self::Kill => "kill",
            Self::Killed => "killed",
            Self::NoProcess => "noproc",
            Self::NoConnection(_) => "noconnection",
            Self::Panic(_) => "panic",
            Self::Exception { .. } => "exception",
            Self::Other(_) => "other",
        }
    }
}

impl fmt::Display for ExitReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoConnection(text) | Self::Panic(text) | Self::Other(text) => {
                write!(f, "{}: {text}", self.name())
            }
            Self::Exception { kind, message, .. } => write!(f, "exception: {kind}: {message}"),
            _ => f.write_str(self.name()),
        }
    }
}
