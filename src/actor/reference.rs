//! An actor in words that any node understands.

use std::fmt;
use std::str::FromStr;

use crate::pid::Pid;
use crate::transport::NodeAddr;
use crate::wire::level2::Id;

/// The scheme of the text.
const SCHEME: &str = "myrmidon://";

/// Names an actor so that every node finds it: where its node listens, which node and which life of it
/// that is, and the PID there.
///
/// As text it is `myrmidon://address/node/incarnation/pid`, the last three in hexadecimal, without the address
/// where the node listens nowhere, and `myrmidon://address/pid` where the node speaks the
/// documented framing only.
///
/// ```
/// use myrmidon::actor::Reference;
///
/// let text = "myrmidon://10.0.0.7:9000/00000000000000000000000000000001/00000000000000ab/0000000500000003";
/// let reference: Reference = text.parse().unwrap();
/// assert_eq!(reference.addr().unwrap().port(), 9000);
/// assert_eq!(reference.to_string(), text);
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Reference {
    addr: Option<NodeAddr>,
    /// The node's id and incarnation.
    life: Option<(Id, u64)>,
    pid: Pid,
}

/// A text that is no reference.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no reference to an actor: {reason}; take one that a node has given for its actor")]
pub struct ReferenceError {
    text: String,
    reason: &'static str,
}

impl Reference {
    pub(crate) fn new(addr: Option<NodeAddr>, life: Option<(Id, u64)>, pid: Pid) -> Self {
        Self { addr, life, pid }
    }

    /// Where the actor's node can be dialled, as far as that is known.
    pub fn addr(&self) -> Option<&NodeAddr> {
        self.addr.as_ref()
    }

    /// The PID on that node.
    pub fn pid(&self) -> Pid {
        self.pid
    }

    pub(crate) fn life(&self) -> Option<(Id, u64)> {
        self.life
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(SCHEME)?;
        if let Some(addr) = &self.addr {
            write!(f, "{addr}")?;
        }
        if let Some((node, incarnation)) = self.life {
            write!(f, "/{node}/{incarnation:016x}")?;
        }
        write!(f, "/{:016x}", self.pid.as_u64())
    }
}

impl FromStr for Reference {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Self, ReferenceError> {
        read(text).map_err(|reason| ReferenceError { text: text.chars().take(160).collect(), reason })
    }
}

fn read(text: &str) -> Result<Reference, &'static str> {
    let rest = text.strip_prefix(SCHEME).ok_or("it does not begin with myrmidon://")?;
    let parts: Vec<_> = rest.split('/').collect();
    let (addr, life, pid) = match parts[..] {
        [addr, pid] => (addr, None, pid),
        [addr, node, incarnation, pid] => (addr, Some((node_id(node)?, number(incarnation)?)), pid),
        _ => return Err("it has not two or four parts"),
    };
    let pid = Pid::from_u64(number(pid)?).ok_or("0 is nobody's PID")?;
    let addr = match addr {
        "" if life.is_none() => return Err("it has no address"),
        "" => None,
        addr => Some(addr.parse().map_err(|_| "its address is not host:port")?),
    };
    Ok(Reference { addr, life, pid })
}

/// 16 digits.
fn number(text: &str) -> Result<u64, &'static str> {
    digits(text, 16)
        .and_then(|text| u64::from_str_radix(text, 16).ok())
        .ok_or("a number has not 16 hexadecimal digits")
}

/// 32 digits.
fn node_id(text: &str) -> Result<Id, &'static str> {
    let number = digits(text, 32).and_then(|text| u128::from_str_radix(text, 16).ok());
    number.map(|number| Id(number.to_be_bytes())).ok_or("a node has not 32 hexadecimal digits")
}

fn digits(text: &str, count: usize) -> Option<&str> {
    (text.len() == count && text.bytes().all(|byte| byte.is_ascii_hexdigit())).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reference_reads_as_it_was_written() {
        let (pid, life) = (Pid::new(7, 9).unwrap(), Some((Id([0xAB; 16]), u64::MAX)));
        for addr in ["127.0.0.1:1", "db-1@[::1]:9000", "host:65535"] {
            let addr = Some(addr.parse().unwrap());
            for reference in [
                Reference::new(addr.clone(), life, pid),
                Reference::new(addr.clone(), None, pid),
                Reference::new(None, life, pid),
            ] {
                assert_eq!(reference.to_string().parse(), Ok(reference));
            }
        }
    }

    #[test]
    fn what_is_none_is_refused_with_its_reason() {
        for text in [
            "",
            "127.0.0.1:1",
            "myrmidon://",
            "myrmidon:///0000000500000003",
            "myrmidon://host:1/0000000000000000",
            "myrmidon://host:1/+000000500000003",
            "myrmidon://host/0000000500000003",
            "myrmidon://host:1/1/2/3",
            "myrmidon://host:1/ö0000000000000000000000000000001/00000000000000ab/0000000500000003",
        ] {
            assert!(text.parse::<Reference>().is_err(), "{text}");
        }
    }
}
