//! How a certificate looks on the terminal.

use std::io::{self, Write};

use myrmidon_certs::{CertificateInfo, CertificateKind};
use time::OffsetDateTime;

use crate::ttl;

/// The facts of a certificate, one to a line.
pub(crate) fn facts(out: &mut dyn Write, info: &CertificateInfo) -> io::Result<()> {
    match &info.kind {
        CertificateKind::Authority(cluster) => line(out, "cluster", cluster)?,
        CertificateKind::Node(identity) => {
            line(out, "identity", identity)?;
            line(out, "names", &format_args!("{}, {}", identity.node_dns(), identity.any_dns()))?;
        }
    }
    line(out, "serial", &info.serial)?;
    line(out, "sha256", &info.fingerprint)?;
    line(out, "valid", &validity(info))
}

/// One indented line: a short word, and what it is about.
pub(crate) fn line(out: &mut dyn Write, word: &str, what: &dyn std::fmt::Display) -> io::Result<()> {
    writeln!(out, "  {word:<10} {what}")
}

fn validity(info: &CertificateInfo) -> String {
    let state = match (info.is_valid_now(), info.time_left()) {
        (true, left) => format!("{} left", ttl::print(left)),
        (false, left) if left.is_zero() => "expired".to_owned(),
        (false, _) => "not valid yet; or is this machine's clock behind?".to_owned(),
    };
    format!("{} to {} UTC ({state})", minute(info.not_before), minute(info.not_after))
}

fn minute(at: OffsetDateTime) -> String {
    let (day, time) = (at.date(), at.time());
    let (year, month) = (day.year(), u8::from(day.month()));
    format!("{year:04}-{month:02}-{:02} {:02}:{:02}", day.day(), time.hour(), time.minute())
}
