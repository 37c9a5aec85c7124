//! Deadlines in a hierarchy of wheels: 256 ticks, then three levels of 64 slots, then a sorted set
//! for what is further away, with ticks of a millisecond than twenty hours.
//!
//! A key lies at the lowest level at which its tick and the present one are in the same turn of the
//! wheel. So all slots in use are ahead of the hand, and the first of the lowest level is the next.

use std::collections::BTreeSet;

use super::lists::Lists;
use super::pages::Pages;

/// How long a tick is, as a power of two: how exact timers are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tick(u32);

impl Tick {
    /// 1.05 ms.
    pub(super) const MILLISECOND: Self = Self(20);
    /// For simulations, whose time jumps from one deadline to the next.
    pub(super) const NANOSECOND: Self = Self(0);

    /// The first tick that does not begin before `at`, so that nothing is early.
    #[inline]
    fn of(self, at: u64) -> u64 {
        (at >> self.0) + u64::from(at & ((1 << self.0) - 1) != 0)
    }

    /// The last tick that has begun at `now`.
    fn begun(self, now: u64) -> u64 {
        now >> self.0
    }

    fn start_of(self, tick: u64) -> u64 {
        tick << self.0
    }
}

/// Bits of a tick that the lowest level tells apart, and each of the others.
const FIRST_BITS: u32 = 8;
const OTHER_BITS: u32 = 6;
/// Bits that all levels together tell apart.
const ALL_BITS: u32 = FIRST_BITS + 3 * OTHER_BITS;
const FIRST_SLOTS: usize = 1 << FIRST_BITS;
const OTHER_SLOTS: usize = 1 << OTHER_BITS;
const SLOTS: usize = FIRST_SLOTS + 3 * OTHER_SLOTS;

/// A set of keys by deadline, in nanoseconds since some beginning.
pub(super) struct Levels {
    tick: Tick,
    /// The tick up to which everything was taken out.
    now: u64,
    /// Whether the upper levels still hold some of what that tick brings into reach.
    cascades: bool,
    slots: Lists,
    /// A bit for each slot that is not empty.
    used: [u64; SLOTS / 64],
    /// The deadline of each key.
    at: Pages<u64>,
    far: BTreeSet<(u64, u32)>,
}

impl Levels {
    pub(super) fn new(tick: Tick) -> Self {
        let (slots, at, far) = (Lists::new(SLOTS), Pages::new(), BTreeSet::new());
        Self { tick, now: 0, cascades: false, slots, used: [0; _], at, far }
    }

    /// Adds a key that is not in it.
    #[inline]
    pub(super) fn insert(&mut self, key: u32, at: u64) {
        while self.at.len() <= key as usize {
            self.at.grow(|| 0);
        }
        self.slots.admit(key);
        self.at[key] = at;
        self.place(key, at);
    }

    /// Takes a key out that is in it.
    #[inline]
    pub(super) fn remove(&mut self, key: u32) {
        if !self.slots.holds(key) {
            self.far.remove(&(self.at[key], key));
        } else if let Some(slot) = self.slots.remove(key) {
            self.used[slot / 64] &= !(1 << (slot % 64));
        }
    }

    /// The deadline of a key that was inserted.
    pub(super) fn at(&self, key: u32) -> u64 {
        self.at[key]
    }

    /// Nothing is due before this time: where the next deadline is close, it is that one, rounded up
    /// to a tick, and else the time to look again.
    pub(super) fn next_due(&self) -> Option<u64> {
        self.next_tick().map(|tick| self.tick.start_of(tick))
    }

    /// Takes out the keys whose deadline is not after `now`, in no order. Touches about `most` keys, and
    /// says whether these were all: a slot may hold a million, and others wait for this wheel meanwhile.
    pub(super) fn pop(&mut self, now: u64, most: usize, due: &mut Vec<u32>) -> bool {
        let (until, mut left) = (self.tick.begun(now), most);
        while let Some(tick) = self.next_tick().filter(|tick| *tick <= until) {
            self.now = tick;
            self.cascades = !self.cascade(&mut left);
            if self.cascades || !self.empty((tick as usize) % FIRST_SLOTS, &mut left, |_, key| due.push(key))
            {
                return false;
            }
        }
        self.now = self.now.max(until);
        true
    }

    #[inline]
    fn place(&mut self, key: u32, at: u64) {
        let Some(slot) = slot_of(self.tick.of(at).max(self.now), self.now) else {
            self.far.insert((at, key));
            return;
        };
        self.slots.push(slot, key);
        self.used[slot / 64] |= 1 << (slot % 64);
    }

    /// Moves what the present tick brings into reach from the upper levels to lower ones; whether that is
    /// all of it.
    fn cascade(&mut self, left: &mut usize) -> bool {
        if self.now.is_multiple_of(1 << ALL_BITS) && !self.fetch_far(left) {
            return false;
        }
        (1..=3).rev().all(|level| {
            let shift = shift_of(level);
            let slot = first_of(level) + (self.now >> shift) as usize % OTHER_SLOTS;
            !self.now.is_multiple_of(1 << shift)
                || self.empty(slot, left, |levels, key| levels.place(key, levels.at(key)))
        })
    }

    fn fetch_far(&mut self, left: &mut usize) -> bool {
        while let Some(&(at, key)) = self.far.first()
            && self.tick.of(at) >> ALL_BITS <= self.now >> ALL_BITS
        {
            if !take_one(left) {
                return false;
            }
            self.far.pop_first();
            self.place(key, at);
        }
        true
    }

    /// Takes keys out of a slot; whether that is all of them.
    fn empty(&mut self, slot: usize, left: &mut usize, mut f: impl FnMut(&mut Self, u32)) -> bool {
        while let Some(key) = self.slots.first(slot) {
            if !take_one(left) {
                return false;
            }
            self.slots.remove(key);
            f(self, key);
        }
        self.used[slot / 64] &= !(1 << (slot % 64));
        true
    }

    /// The next tick at which something is due or moves to a lower level.
    fn next_tick(&self) -> Option<u64> {
        if self.cascades {
            return Some(self.now);
        }
        let (first, others) = self.used.split_at(FIRST_SLOTS / 64);
        if let Some(word) = first.iter().position(|word| *word != 0) {
            let slot = word as u64 * 64 + u64::from(first[word].trailing_zeros());
            return Some(turn(self.now, FIRST_BITS) | slot);
        }
        if let Some(level) = others.iter().position(|word| *word != 0) {
            let shift = shift_of(level + 1);
            let slot = u64::from(others[level].trailing_zeros());
            return Some(turn(self.now, shift + OTHER_BITS) | (slot << shift));
        }
        self.far.first().map(|(at, _)| turn(self.tick.of(*at), ALL_BITS))
    }
}

/// Counts down, unless that is zero.
fn take_one(left: &mut usize) -> bool {
    let some = *left > 0;
    *left = left.saturating_sub(1);
    some
}

/// The slot of a tick that is not before `now`; `None` if it is too far away.
#[inline]
fn slot_of(tick: u64, now: u64) -> Option<usize> {
    let differs = 64 - (tick ^ now).leading_zeros();
    if differs <= FIRST_BITS {
        return Some(tick as usize % FIRST_SLOTS);
    }
    let level = (differs - FIRST_BITS).div_ceil(OTHER_BITS) as usize;
    (level <= 3).then(|| first_of(level) + (tick >> shift_of(level)) as usize % OTHER_SLOTS)
}

/// The first slot of a level above the lowest.
fn first_of(level: usize) -> usize {
    FIRST_SLOTS + (level - 1) * OTHER_SLOTS
}

/// The bits of a tick below those that a level above the lowest tells apart.
fn shift_of(level: usize) -> u32 {
    FIRST_BITS + (level as u32 - 1) * OTHER_BITS
}

/// The first tick of the turn of so many bits in which `tick` is.
fn turn(tick: u64, bits: u32) -> u64 {
    tick >> bits << bits
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    const MS: Tick = Tick::MILLISECOND;
    const TICK: u64 = 1 << 20;

    #[derive(Debug, Clone)]
    enum Step {
        Insert(u32, u64),
        Remove(u32),
        Advance(u64),
        /// Goes on and takes only some out.
        Peep(u64, usize),
    }

    /// Delays around the boundaries of all levels, and far beyond.
    fn delay() -> impl Strategy<Value = u64> {
        let boundary = prop::sample::select(vec![0, 1, 8, 14, 20, 26, 27, 40]);
        let near = (boundary, -2_i64..=2, 0..TICK)
            .prop_map(|(bits, ticks, rest)| (1_u64 << bits).saturating_add_signed(ticks) * TICK + rest);
        prop_oneof![near, 0..600 * TICK, 0..TICK << 28]
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            4 => (0..40_u32, delay()).prop_map(|(key, delay)| Step::Insert(key, delay)),
            1 => (0..40_u32).prop_map(Step::Remove),
            3 => delay().prop_map(Step::Advance),
            2 => (delay(), 0..4_usize).prop_map(|(by, most)| Step::Peep(by, most)),
        ]
    }

    proptest! {
        #[test]
        fn a_wheel_gives_what_a_sorted_map_gives(start in delay(), steps in prop::collection::vec(step(), 1..120)) {
            let (mut levels, mut model, mut now) = (Levels::new(MS), BTreeMap::new(), start);
            assert!(levels.pop(now, 0, &mut Vec::new()));
            for step in steps {
                match step {
                    Step::Insert(key, delay) => {
                        if model.insert(key, now + delay).is_some() {
                            levels.remove(key);
                        }
                        levels.insert(key, now + delay);
                    }
                    Step::Remove(key) => {
                        if model.remove(&key).is_some() {
                            levels.remove(key);
                        }
                    }
                    Step::Advance(by) => {
                        now += by;
                        let mut due = Vec::new();
                        while !levels.pop(now, 3, &mut due) {}
                        due.sort_unstable();
                        // Due once the tick that follows the deadline has begun.
                        let tick = MS.begun(now);
                        let expected: Vec<u32> =
                            model.iter().filter(|(_, at)| MS.of(**at) <= tick).map(|(key, _)| *key).collect();
                        model.retain(|_, at| MS.of(*at) > tick);
                        prop_assert_eq!(due, expected);
                    }
                    Step::Peep(by, most) => {
                        now += by;
                        let mut due = Vec::new();
                        levels.pop(now, most, &mut due);
                        prop_assert!(due.len() <= most);
                        let tick = MS.begun(now);
                        for key in due {
                            prop_assert!(model.remove(&key).is_some_and(|at| MS.of(at) <= tick));
                        }
                    }
                }
                let first = model.values().min().map(|at| MS.start_of(MS.of(*at)));
                prop_assert!(first.is_none() || levels.next_due() <= first, "looks again in time");
                prop_assert!(levels.cascades || levels.next_due().is_none() == first.is_none());
            }
        }

        #[test]
        fn waking_when_told_finds_every_deadline_within_its_tick(start in delay(), delay in delay()) {
            let (mut levels, at) = (Levels::new(MS), start + delay);
            levels.pop(start, 0, &mut Vec::new());
            levels.insert(0, at);
            let (mut due, mut looks) = (Vec::new(), 0);
            while due.is_empty() {
                let next = levels.next_due().unwrap();
                levels.pop(next, usize::MAX, &mut due);
                prop_assert!(due.is_empty() || (at <= next && next < at + TICK), "{} for {}", next, at);
                looks += 1;
            }
            prop_assert!(looks <= 5, "one look for each level");
            prop_assert_eq!(levels.next_due(), None);
        }
    }
}
