//! What a failed handshake is most likely about.

use rustls::{CertificateError, Error};

/// What to look at first after a TLS alert with this number; `None` where the number says it best.
pub fn explain_alert(number: u8) -> Option<&'static str> {
    match number {
        45 => Some("a certificate is expired or not valid yet, or a clock is wrong"),
        48 => Some("the certificates are of different authorities; all nodes need one cluster's"),
        42 | 43 | 46 => Some("the certificate does not name the node or cluster that was dialled"),
        116 => Some("a certificate is required"),
        120 => Some("no protocol in common; the peer is no level-1 Myrmidon node"),
        _ => None,
    }
}

/// Which side refused the other in a handshake or after it, and why: one line for the local log and the
/// local caller.
pub fn explain_error(error: &Error) -> String {
    match error {
        Error::AlertReceived(alert) => explained("the peer refused us", u8::from(*alert), error),
        Error::InvalidCertificate(reason) => explained("we refused the peer", alert_of(reason), error),
        Error::NoCertificatesPresented => explained("we refused the peer", 116, error),
        Error::NoApplicationProtocol => explained("we refused the peer", 120, error),
        _ => error.to_string(),
    }
}

/// The number of the alert that rustls sends for it, as far as there is more to say.
fn alert_of(reason: &CertificateError) -> u8 {
    use CertificateError as Reason;
    match reason {
        Reason::Expired
        | Reason::ExpiredContext { .. }
        | Reason::NotValidYet
        | Reason::NotValidYetContext { .. } => 45,
        Reason::UnknownIssuer | Reason::BadSignature => 48,
        Reason::NotValidForName | Reason::NotValidForNameContext { .. } => 42,
        _ => 0,
    }
}

fn explained(who: &str, alert: u8, error: &Error) -> String {
    match explain_alert(alert) {
        Some(hint) => format!("{who}: {hint} ({error})"),
        None => format!("{who}: {error}"),
    }
}
