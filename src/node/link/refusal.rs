//! Why a question got no answer, as the wire says it: the code and the text of ERROR.

use super::reason;
use crate::actor::AskError;
use crate::pid::Pid;

const NO_PROCESS: u16 = 1;
const OVERLOADED: u16 = 2;
const NO_REPLY: u16 = 3;
const NOT_BYTES: u16 = 4;
const UNSENDABLE: u16 = 5;
const TIMEOUT: u16 = 6;
const OTHER: u16 = 7;
const UNTRUSTED: u16 = 8;
/// With the number of the reason in the lower byte: the actor ended.
const ENDED: u16 = 0x0100;

pub(super) fn to_wire(error: &AskError) -> (u16, String) {
    match error {
        AskError::NoProcess(_) => (NO_PROCESS, String::new()),
        AskError::Full(_) => (OVERLOADED, String::new()),
        AskError::NoReply(_) => (NO_REPLY, String::new()),
        AskError::NotBytes(_) => (NOT_BYTES, String::new()),
        AskError::Untrusted(_) => (UNTRUSTED, String::new()),
        AskError::Unsendable { reason, .. } => (UNSENDABLE, reason.clone()),
        AskError::Timeout(_) => (TIMEOUT, String::new()),
        AskError::Ended { reason, .. } => {
            let (number, text) = reason::to_wire(reason);
            (ENDED | u16::from(number), text)
        }
        other => (OTHER, other.to_string()),
    }
}

/// What `pid` is said to have done. Codes that are not known are [`AskError::Refused`].
pub(super) fn from_wire(code: u16, text: &str, pid: Pid) -> AskError {
    match code {
        NO_PROCESS => AskError::NoProcess(pid),
        OVERLOADED => AskError::Full(pid),
        NO_REPLY => AskError::NoReply(pid),
        NOT_BYTES => AskError::NotBytes(pid),
        UNTRUSTED => AskError::Untrusted(pid),
        UNSENDABLE => AskError::Unsendable { pid, reason: text.to_owned() },
        TIMEOUT => AskError::Timeout(pid),
        _ => match code.to_be_bytes() {
            [high, number] if u16::from(high) << 8 == ENDED => {
                AskError::Ended { pid, reason: reason::from_wire(number, text) }
            }
            _ => AskError::Refused { pid, reason: format!("{text} (code {code})") },
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::actor::ExitReason;

    #[test]
    fn every_refusal_arrives_as_it_was_sent() {
        let pid = Pid::new(1, 1).unwrap();
        let errors = [
            AskError::NoProcess(pid),
            AskError::Full(pid),
            AskError::NoReply(pid),
            AskError::NotBytes(pid),
            AskError::Untrusted(pid),
            AskError::Unsendable { pid, reason: "too long".into() },
            AskError::Timeout(pid),
            AskError::Ended { pid, reason: ExitReason::Shutdown },
            AskError::Ended { pid, reason: ExitReason::Panic("index".into()) },
        ];
        for error in errors {
            let (code, text) = to_wire(&error);
            assert_eq!(from_wire(code, &text, pid), error);
        }
        assert!(
            matches!(from_wire(0x7777, "new", pid), AskError::Refused { reason, .. } if reason == "new (code 30583)")
        );
    }
}
