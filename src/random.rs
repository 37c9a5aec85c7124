//! Numbers that only the seed decides, in every process and version: they are part of what a seed means.

/// A stream of numbers (SplitMix64), one of many that a seed gives.
#[derive(Clone, Debug)]
pub struct Random(u64);

/// What SplitMix64 adds from one number to the next.
const STEP: u64 = 0x9E37_79B9_7F4A_7C15;

impl Random {
    /// The stream `number` of `seed`. What is drawn from one stream changes no other.
    pub fn stream(seed: u64, number: u64) -> Self {
        Self(mixed(mixed(seed.wrapping_add(STEP)).wrapping_add(number.wrapping_mul(STEP))))
    }

    /// The next number.
    pub fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(STEP);
        mixed(self.0)
    }

    /// A number below `limit`, or zero where that is zero.
    pub fn below(&mut self, limit: u64) -> u64 {
        ((u128::from(self.next_u64()) * u128::from(limit)) >> 64) as u64
    }

    /// `true` once in `times` draws on average; never for zero.
    pub fn one_in(&mut self, times: u64) -> bool {
        times > 0 && self.below(times) == 0
    }
}

fn mixed(mut number: u64) -> u64 {
    number = (number ^ (number >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    number = (number ^ (number >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    number ^ (number >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_means_the_same_numbers_for_ever() {
        // The first number of SplitMix64 as its authors publish it.
        assert_eq!(Random(0).next_u64(), 0xE220_A839_7B1D_CDAF);
        let mut random = Random::stream(7, 0);
        let numbers: Vec<_> = (0..3).map(|_| random.next_u64()).collect();
        assert_eq!(numbers, [17527383841289775211, 16227360601726436777, 16622514986543560115]);
    }

    #[test]
    fn numbers_stay_below_their_limit_and_reach_all_of_it() {
        let mut random = Random::stream(1, 2);
        let mut seen = [false; 5];
        (0..200).for_each(|_| seen[random.below(5) as usize] = true);
        assert_eq!(seen, [true; 5]);
        assert_eq!(random.below(0), 0);
        assert!(!random.one_in(0) && random.one_in(1));
    }
}
