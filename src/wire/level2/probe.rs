//! How a dialler on plain TCP finds out whether a node of ours answers.
//!
//! It resolves a name that nobody can have, since it begins with NUL. A level-1 peer answers 0; ours
//! answers a number whose upper half is no PID's generation.

use super::{Id, VERSION};
use crate::pid::RESERVED_GENERATION;

const PREFIX: &str = "\0myrmidon/2?n=";

/// The reserved name that a dialler asks for, with the id of the link that it wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Probe {
    /// The link's id.
    pub link: Id,
}

impl Probe {
    /// The name to resolve.
    pub fn name(self) -> String {
        format!("{PREFIX}{}", self.link)
    }

    /// Reads a name; `None` for any other.
    pub fn read(name: &str) -> Option<Self> {
        let digits = name.strip_prefix(PREFIX)?.as_bytes();
        let digits: &[u8; 32] = digits.try_into().ok()?;
        let mut id = [0; 16];
        for (byte, pair) in id.iter_mut().zip(digits.chunks_exact(2)) {
            *byte = digit(pair[0])? << 4 | digit(pair[1])?;
        }
        Some(Self { link: Id(id) })
    }
}

/// The answer to a probe.
pub const fn magic(capabilities: u16) -> u64 {
    (RESERVED_GENERATION as u64) << 32 | (VERSION as u64) << 16 | capabilities as u64
}

/// The version and the capabilities in an answer; `None` if a level-1 peer gave it.
pub const fn read_magic(answer: u64) -> Option<(u16, u16)> {
    if (answer >> 32) as u32 == RESERVED_GENERATION {
        Some(((answer >> 16) as u16, answer as u16))
    } else {
        None
    }
}

/// Upper-case digits are another name.
const fn digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_probe_is_read_as_it_is_written_and_nothing_else_is_one() {
        let probe = Probe { link: Id(std::array::from_fn(|n| 17 * n as u8)) };
        let name = probe.name();
        assert_eq!(name, "\0myrmidon/2?n=00112233445566778899aabbccddeeff");
        assert_eq!(Probe::read(&name), Some(probe));
        for other in
            [&name[1..], &name[..45], &format!("{name}0"), &name.to_uppercase(), &name.replace('a', "g")]
        {
            assert_eq!(Probe::read(other), None, "{other:?}");
        }
    }

    #[test]
    fn the_answer_to_a_probe_is_no_pid() {
        assert_eq!(magic(7), 0xFFFF_4D32_0002_0007);
        assert_eq!(read_magic(magic(7)), Some((2, 7)));
        assert_eq!(read_magic(0), None);
        assert_eq!(read_magic(42 << 32 | 7), None);
    }
}
