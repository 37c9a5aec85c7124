//! Why an actor ended, as the wire says it: a number and a text.

use crate::actor::ExitReason;
use crate::wire::level2::Exit;

const NORMAL: u8 = 1;
const SHUTDOWN: u8 = 2;
const KILL: u8 = 3;
const KILLED: u8 = 4;
const NOPROC: u8 = 5;
const NOCONNECTION: u8 = 6;
const PANIC: u8 = 7;
const EXCEPTION: u8 = 8;
const OTHER: u8 = 9;

/// The kinds of EXIT: through a link; sent explicitly; a stop, which keeps its place among the messages.
pub(super) const LINKED: u8 = 0;
pub(super) const EXPLICIT: u8 = 1;
pub(super) const STOP: u8 = 2;

/// Stands between the parts of an exception.
const BETWEEN: char = '\0';

/// The longest text that travels; a traceback beyond it is cut.
const LONGEST: usize = 16 << 10;

/// Whether it ends its receiver whatever that does.
pub(super) fn is_kill(exit: &Exit) -> bool {
    exit.kind == EXPLICIT && exit.reason == KILL
}

pub(super) fn to_wire(reason: &ExitReason) -> (u8, String) {
    let (number, text) = match reason {
        ExitReason::Normal => (NORMAL, String::new()),
        ExitReason::Shutdown => (SHUTDOWN, String::new()),
        ExitReason::Kill => (KILL, String::new()),
        ExitReason::Killed => (KILLED, String::new()),
        ExitReason::NoProcess => (NOPROC, String::new()),
        ExitReason::NoConnection(text) => (NOCONNECTION, text.clone()),
        ExitReason::Panic(text) => (PANIC, text.clone()),
        ExitReason::Exception { kind, message, traceback } => {
            (EXCEPTION, format!("{kind}{BETWEEN}{message}{BETWEEN}{traceback}"))
        }
        ExitReason::Other(text) => (OTHER, text.clone()),
    };
    let end = text.floor_char_boundary(LONGEST);
    (number, text[..end].to_owned())
}

/// Numbers that are not known are [`ExitReason::Other`].
pub(super) fn from_wire(number: u8, text: &str) -> ExitReason {
    match number {
        NORMAL => ExitReason::Normal,
        SHUTDOWN => ExitReason::Shutdown,
        KILL => ExitReason::Kill,
        KILLED => ExitReason::Killed,
        NOPROC => ExitReason::NoProcess,
        NOCONNECTION => ExitReason::NoConnection(text.to_owned()),
        PANIC => ExitReason::Panic(text.to_owned()),
        EXCEPTION => exception(text),
        _ => ExitReason::Other(text.to_owned()),
    }
}

fn exception(text: &str) -> ExitReason {
    let mut parts = text.splitn(3, BETWEEN).map(str::to_owned);
    let mut next = || parts.next().unwrap_or_default();
    ExitReason::Exception { kind: next(), message: next(), traceback: next() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_arrives_as_it_was_sent() {
        let exception = ExitReason::Exception {
            kind: "ValueError".into(),
            message: "no such row".into(),
            traceback: "Traceback …\n".into(),
        };
        let reasons = [
            ExitReason::Normal,
            ExitReason::Shutdown,
            ExitReason::Kill,
            ExitReason::Killed,
            ExitReason::NoProcess,
            ExitReason::NoConnection("cut".into()),
            ExitReason::Panic("index".into()),
            exception,
            ExitReason::Other("tired".into()),
        ];
        for reason in reasons {
            let (number, text) = to_wire(&reason);
            assert_eq!(from_wire(number, &text), reason);
        }
        assert_eq!(from_wire(200, "new"), ExitReason::Other("new".into()));
    }

    #[test]
    fn a_long_text_is_cut_between_two_characters() {
        let (_, text) = to_wire(&ExitReason::Panic("ö".repeat(LONGEST)));
        assert_eq!(text.len(), LONGEST);
    }
}
