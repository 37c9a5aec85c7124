//! Quinn's errors in the words of the transport traits.

use myrmidon::transport::{CloseCode, TransportError};
use myrmidon_certs::explain_alert;
use quinn::{ConnectionError, VarInt};

/// How a connection that was up came to its end.
pub(crate) fn ended(error: &ConnectionError) -> TransportError {
    match error {
        ConnectionError::ApplicationClosed(close) => TransportError::ClosedByPeer {
            code: close.error_code.into_inner(),
            reason: one_line(&String::from_utf8_lossy(&close.reason)),
        },
        ConnectionError::LocallyClosed => TransportError::ClosedLocally,
        ConnectionError::Reset => TransportError::Lost("the peer was restarted (stateless reset)".to_owned()),
        ConnectionError::TimedOut => TransportError::Cut("no packet came any more".to_owned()),
        // Said by a peer that lives, or by our side about what such a one sent.
        other => TransportError::Cut(one_line(&other.to_string())),
    }
}

/// Why a handshake failed, with what to look at first. For the local log and the local caller.
pub(crate) fn handshake(error: &ConnectionError) -> String {
    let text = one_line(&error.to_string());
    match error {
        ConnectionError::TimedOut => {
            "no answer; does a node listen there, with the quic transport?".to_owned()
        }
        ConnectionError::ConnectionClosed(close) => alert(close.error_code, "the peer refused us", &text),
        ConnectionError::TransportError(failed) => alert(failed.code, "we refused the peer", &text),
        _ => text,
    }
}

/// TLS alerts travel as QUIC error codes from 0x100 on (RFC 9001, 4.8).
fn alert(code: quinn::TransportErrorCode, who: &str, text: &str) -> String {
    let number = u64::from(code).checked_sub(0x100).and_then(|number| u8::try_from(number).ok());
    match number.and_then(explain_alert) {
        Some(hint) => format!("{who}: {hint} ({text})"),
        None => text.to_owned(),
    }
}

/// Whether both sides see an end without fault in it.
pub(crate) fn is_in_good_order(error: &TransportError) -> bool {
    let good = [CloseCode::Normal, CloseCode::GoingAway].map(|code| u64::from(code.as_u16()));
    match error {
        TransportError::ClosedByPeer { code, .. } => good.contains(code),
        TransportError::ClosedLocally => true,
        _ => false,
    }
}

/// A close code as QUIC carries it.
pub(crate) fn code(code: CloseCode) -> VarInt {
    VarInt::from(u32::from(code.as_u16()))
}

/// The peer's text, fit for a log: one line, no control characters, not long.
fn one_line(text: &str) -> String {
    text.chars().take(200).map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a21_the_text_of_a_peer_cannot_forge_log_lines() {
        assert_eq!(one_line("a\nb\x1b[31m"), "a b [31m");
        assert_eq!(one_line(&"x".repeat(1000)).len(), 200);
    }
}
