//! Inputs out of inputs.

use myrmidon::sim::Random;

/// No input becomes longer.
const LONGEST: usize = 4096;
/// Numbers that bounds are often made of.
const EDGES: [u64; 12] =
    [0, 1, 2, 0x7F, 0x80, 0xFF, 0x100, 0x7FFF, 0xFFFF, 0x1_0000, 0x7FFF_FFFF, 0xFFFF_FFFF];

/// `input` with a few changes; `other` lends a part.
pub(crate) fn mutated(random: &mut Random, input: &[u8], other: &[u8]) -> Vec<u8> {
    let mut bytes = input.to_vec();
    for _ in 0..1 + random.below(6) {
        change(random, &mut bytes, other);
    }
    bytes.truncate(LONGEST);
    bytes
}

fn change(random: &mut Random, bytes: &mut Vec<u8>, other: &[u8]) {
    let at = random.below(bytes.len() as u64 + 1) as usize;
    match random.below(8) {
        0 if at < bytes.len() => bytes[at] ^= 1 << random.below(8),
        1 if at < bytes.len() => bytes[at] = random.next_u64() as u8,
        2 => bytes.insert(at, random.next_u64() as u8),
        3 => {
            let to = (at + 1 + random.below(16) as usize).min(bytes.len());
            drop(bytes.drain(at.min(to)..to));
        }
        4 => put_number(random, bytes, at),
        5 => {
            let to = (at + 1 + random.below(64) as usize).min(bytes.len());
            let copy = bytes[at.min(to)..to].to_vec();
            drop(bytes.splice(at..at, copy));
        }
        6 => {
            let from = random.below(other.len() as u64 + 1) as usize;
            let to = (from + random.below(256) as usize).min(other.len());
            drop(bytes.splice(at..at, other[from..to].iter().copied()));
        }
        _ => bytes.truncate(at),
    }
}

/// A number of one to eight bytes with a value at some edge.
fn put_number(random: &mut Random, bytes: &mut [u8], at: usize) {
    let width = 1 << random.below(4);
    let edge = EDGES[random.below(EDGES.len() as u64) as usize];
    let number = if random.one_in(4) { edge.wrapping_neg() } else { edge }.to_be_bytes();
    if let Some(place) = bytes.get_mut(at..at + width) {
        place.copy_from_slice(&number[8 - width..]);
    }
}
