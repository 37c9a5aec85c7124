//! Where a node's random numbers come from: the system, or in a simulation a seed.

use std::sync::{Mutex, PoisonError};

use crate::random::Random;
use crate::wire::level2::Id;

pub(super) struct Chance {
    seeded: Option<Mutex<Random>>,
}

impl Chance {
    pub(super) fn new(seed: Option<u64>) -> Self {
        Self { seeded: seed.map(|seed| Mutex::new(Random::stream(seed, 0))) }
    }

    /// An id that nobody else has, and without a seed nobody guesses.
    pub(super) fn id(&self) -> Id {
        let mut id = [0; 16];
        id[..8].copy_from_slice(&self.secret().to_be_bytes());
        id[8..].copy_from_slice(&self.secret().to_be_bytes());
        Id(id)
    }

    /// A number that without a seed nobody guesses.
    ///
    /// # Panics
    /// If the system has no random numbers, without which no runtime starts.
    pub(super) fn secret(&self) -> u64 {
        let system = || getrandom::u64().expect("the system gave random numbers when the runtime started");
        self.drawn().unwrap_or_else(system)
    }

    /// A number that spreads pauses and pings; not for secrets.
    pub(super) fn spread(&self) -> u32 {
        let system = || getrandom::u32().unwrap_or(u32::MAX / 2);
        self.drawn().map_or_else(system, |number| (number >> 32) as u32)
    }

    fn drawn(&self) -> Option<u64> {
        let random = self.seeded.as_ref()?;
        Some(random.lock().unwrap_or_else(PoisonError::into_inner).next_u64())
    }
}
