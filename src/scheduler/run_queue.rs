//! The run queue of one worker: a ring with one owner, from which others steal half at once.
//!
//! The owner fills places at the back and takes them from the front; thieves take from the front
//! too. A push is two stores, a pop one compare-and-swap. A thief claims its places first and reads them
//! afterwards, so a busy owner cannot make it start again; until it has read them they are *held*,
//! and the owner does not fill them anew. One thief at a time is enough: it takes half.
//!
//! A full ring gives its older half to the caller, as one batch to put where everyone looks.
#![allow(unsafe_code, reason = "places with one user at a time; every block says why it is sound")]

use std::array;
use std::cell::Cell;
use std::mem::MaybeUninit;
use std::sync::Arc;

use crate::sync::{self, AtomicU64, Ordering, UnsafeCell};

/// Places of a ring; few in models, so that few steps fill it.
pub(super) const PLACES: u64 = if sync::MODEL { 4 } else { 256 };
const _: () = assert!(PLACES.is_power_of_two() && PLACES < Front::HELD);

/// The owner's end. It can be moved to another thread, but not shared.
pub(super) struct RunQueue<T> {
    ring: Arc<Ring<T>>,
    /// The number of the next place to fill; `ring.back` is for the others.
    back: Cell<u64>,
}

/// The end of everyone else.
pub(super) struct Stealer<T>(Arc<Ring<T>>);

#[repr(align(128))]
struct Ring<T> {
    /// See [`Front`].
    front: AtomicU64,
    /// The number of the next place to fill. Only the owner writes it.
    back: AtomicU64,
    /// Invariant: places numbered from `front.next()` to `back` hold a value that belongs to the ring.
    /// Those held belong to the thief that claimed them, all others to the owner.
    places: [UnsafeCell<MaybeUninit<T>>; PLACES as usize],
}

// SAFETY: every place has one user at a time, and values move between threads and are not shared.
unsafe impl<T: Send> Sync for Ring<T> {}
// SAFETY: likewise.
unsafe impl<T: Send> Send for Ring<T> {}

impl<T> RunQueue<T> {
    pub(super) fn new() -> Self {
        let places = array::from_fn(|_| UnsafeCell::new(MaybeUninit::uninit()));
        let ring = Ring { front: AtomicU64::new(0), back: AtomicU64::new(0), places };
        Self { ring: Arc::new(ring), back: Cell::new(0) }
    }

    pub(super) fn stealer(&self) -> Stealer<T> {
        Stealer(self.ring.clone())
    }

    pub(super) fn len(&self) -> usize {
        self.front(Ordering::Relaxed).until(self.back.get()) as usize
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Puts an item at the back. If there is no room, `spill` is given the older half of the ring, or
    /// the item alone while a thief is making room.
    #[inline]
    pub(super) fn push(&self, item: T, spill: impl FnOnce(Vec<T>)) {
        if self.room() > 0 {
            self.write(0, item);
            self.publish(1);
        } else {
            self.push_full(item, spill);
        }
    }

    /// Takes the oldest item.
    #[inline]
    pub(super) fn pop(&self) -> Option<T> {
        let mut front = self.front(Ordering::Relaxed);
        while front.until(self.back.get()) > 0 {
            match self.ring.advance(front, front.passed(1)) {
                // SAFETY: the place was filled and is now passed; nobody else reads what the owner
                // passed, and it fills it anew only after this.
                Ok(()) => return Some(unsafe { self.ring.read(front.next()) }),
                Err(now) => front = now,
            }
        }
        None
    }

    /// Takes at most `most` of the oldest items at once; `None` if there are none, or a thief is at it.
    pub(super) fn pop_batch(&self, most: u64) -> Option<Vec<T>> {
        let front = self.front(Ordering::Acquire);
        let count = front.until(self.back.get()).min(most);
        if count == 0 || front.is_held() || self.ring.advance(front, front.passed(count)).is_err() {
            return None;
        }
        let numbers = (0..count).map(|ahead| front.next().wrapping_add(ahead));
        // SAFETY: as in `pop`.
        Some(numbers.map(|number| unsafe { self.ring.read(number) }).collect())
    }

    #[cold]
    fn push_full(&self, item: T, spill: impl FnOnce(Vec<T>)) {
        match self.pop_batch(PLACES / 2) {
            Some(older) => spill(older),
            // What a thief holds counts as taken already, and it may be gone any moment.
            None if self.room() == 0 => return spill(vec![item]),
            None => {}
        }
        self.write(0, item);
        self.publish(1);
    }

    /// Free places. A thief may be making more.
    fn room(&self) -> u64 {
        // Acquire: a thief that let go of a place has read it.
        PLACES - self.front(Ordering::Acquire).in_use_until(self.back.get())
    }

    /// Fills the place that is `ahead` of the back; there is room for it.
    fn write(&self, ahead: u64, item: T) {
        let place = self.ring.place(self.back.get().wrapping_add(ahead));
        // SAFETY: a free place is the owner's, and it holds no value.
        unsafe { (*place.get()).write(item) };
    }

    /// Shows others the next `count` places, which are filled.
    fn publish(&self, count: u64) {
        let back = self.back.get().wrapping_add(count);
        self.back.set(back);
        self.ring.back.store(back, Ordering::Release);
    }

    fn front(&self, order: Ordering) -> Front {
        Front(self.ring.front.load(order))
    }
}

impl<T> Drop for RunQueue<T> {
    fn drop(&mut self) {
        while self.pop().is_some() {}
    }
}

impl<T> Stealer<T> {
    pub(super) fn is_empty(&self) -> bool {
        self.0.front_and_len().1 == 0
    }

    /// Moves the older half of the items, at least one if there is any, to `own`, except the first,
    /// which it returns. `None` also while another thief is at it.
    pub(super) fn steal_half(&self, own: &RunQueue<T>) -> Option<T> {
        let ring = &*self.0;
        let (first, count) = loop {
            let (front, len) = ring.front_and_len();
            if len == 0 || front.is_held() {
                return None;
            }
            let count = len.div_ceil(2).min(own.room() + 1);
            if ring.advance(front, front.claimed(count)).is_ok() {
                break (front.next(), count);
            }
        };
        // SAFETY: the places were filled, as `advance` found the front unchanged, and are claimed:
        // only this thief reads them, once, and the owner leaves them alone until the release below.
        let item = unsafe { ring.read(first) };
        for ahead in 1..count {
            // SAFETY: as above.
            own.write(ahead - 1, unsafe { ring.read(first.wrapping_add(ahead)) });
        }
        ring.front.fetch_and(!Front::HELD, Ordering::Release);
        own.publish(count - 1);
        Some(item)
    }
}

impl<T> Ring<T> {
    fn place(&self, number: u64) -> &UnsafeCell<MaybeUninit<T>> {
        &self.places[(number % PLACES) as usize]
    }

    /// # Safety
    /// The place is filled, and from here on nobody reads it before it is filled again.
    unsafe fn read(&self, number: u64) -> T {
        // SAFETY: by the contract.
        unsafe { (*self.place(number).get()).assume_init_read() }
    }

    /// The front, and how many items lie behind it. The order of the loads, and releases on both
    /// words, make sure that the back is not older than the front.
    fn front_and_len(&self) -> (Front, u64) {
        let front = Front(self.front.load(Ordering::Acquire));
        (front, front.until(self.back.load(Ordering::Acquire)))
    }

    fn advance(&self, from: Front, to: Front) -> Result<(), Front> {
        let (success, failure) = (Ordering::AcqRel, Ordering::Acquire);
        self.front.compare_exchange(from.0, to.0, success, failure).map(drop).map_err(Front)
    }
}

/// The number of the next place to take, in 48 bits, and how many of those before it are held.
///
/// Numbers wrap after months of nothing but pops, so a thread that sleeps between its look and its
/// compare-and-swap is not fooled by an equal one.
#[derive(Clone, Copy)]
struct Front(u64);

impl Front {
    const HELD_BITS: u32 = 16;
    const HELD: u64 = (1 << Self::HELD_BITS) - 1;

    fn next(self) -> u64 {
        self.0 >> Self::HELD_BITS
    }

    /// Whether a thief has claimed places and not yet read them.
    fn is_held(self) -> bool {
        self.0 & Self::HELD != 0
    }

    /// Items up to `back`.
    fn until(self, back: u64) -> u64 {
        // Both in the upper 48 bits, so that the difference wraps as they do.
        (back << Self::HELD_BITS).wrapping_sub(self.0 & !Self::HELD) >> Self::HELD_BITS
    }

    /// Places up to `back` that may not be filled.
    fn in_use_until(self, back: u64) -> u64 {
        self.until(back) + (self.0 & Self::HELD)
    }

    /// `count` further, by the owner. Behind places that a thief holds, those passed count as held
    /// with them, since the first of the held ones is where free places end.
    fn passed(self, count: u64) -> Self {
        let held = if self.is_held() { count } else { 0 };
        Self(self.0.wrapping_add((count << Self::HELD_BITS) + held))
    }

    /// `count` further, by a thief; nothing is held before.
    fn claimed(self, count: u64) -> Self {
        Self(self.0.wrapping_add((count << Self::HELD_BITS) + count))
    }
}

#[cfg(all(test, not(myrmidon_loom)))]
mod tests {
    use std::collections::VecDeque;
    use std::sync::atomic::{AtomicBool, AtomicU64};
    use std::thread;

    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_numbers_of_places_may_wrap() {
        let queue = RunQueue::new();
        let last = u64::MAX >> Front::HELD_BITS;
        queue.ring.front.store(last << Front::HELD_BITS, Ordering::Relaxed);
        queue.back.set(last);
        queue.ring.back.store(last, Ordering::Relaxed);
        for item in 0..PLACES {
            queue.push(item, |_| panic!("there is room"));
        }
        assert_eq!(queue.len() as u64, PLACES);
        let thief = RunQueue::new();
        assert_eq!(queue.stealer().steal_half(&thief), Some(0));
        assert_eq!(thief.len() as u64, PLACES / 2 - 1);
        let rest: Vec<_> = std::iter::from_fn(|| queue.pop()).collect();
        assert_eq!(rest, (PLACES / 2..PLACES).collect::<Vec<_>>());
    }

    #[test]
    fn a_full_ring_spills_its_older_half() {
        let (queue, mut spilled) = (RunQueue::new(), Vec::new());
        for item in 0..=PLACES {
            queue.push(item, |items| spilled.extend(items));
        }
        assert_eq!(spilled, (0..PLACES / 2).collect::<Vec<_>>());
        assert_eq!(
            std::iter::from_fn(|| queue.pop()).collect::<Vec<_>>(),
            (PLACES / 2..=PLACES).collect::<Vec<_>>()
        );
    }

    #[test]
    fn thieves_and_the_owner_share_everything_once() {
        const ITEMS: u64 = 300_000;
        let (queue, seen, done) = (RunQueue::new(), AtomicU64::new(0), AtomicBool::new(false));
        let sum = AtomicU64::new(0);
        let count = |item: u64| {
            seen.fetch_add(1, Ordering::Relaxed);
            sum.fetch_add(item, Ordering::Relaxed);
        };
        thread::scope(|scope| {
            for _ in 0..3 {
                let stealer = queue.stealer();
                scope.spawn(|| {
                    let (stealer, own) = (stealer, RunQueue::new());
                    while !done.load(Ordering::Acquire) || !stealer.is_empty() {
                        let first = stealer.steal_half(&own);
                        first.into_iter().chain(std::iter::from_fn(|| own.pop())).for_each(count);
                    }
                });
            }
            for item in 1..=ITEMS {
                queue.push(item, |items| items.into_iter().for_each(count));
                if item % 3 == 0 {
                    queue.pop().into_iter().for_each(count);
                }
            }
            std::iter::from_fn(|| queue.pop()).for_each(count);
            done.store(true, Ordering::Release);
        });
        assert_eq!(seen.into_inner(), ITEMS);
        assert_eq!(sum.into_inner(), ITEMS * (ITEMS + 1) / 2);
    }

    #[derive(Clone, Copy, Debug)]
    enum Step {
        Push(u8),
        Pop(u8),
        Steal,
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![any::<u8>().prop_map(Step::Push), any::<u8>().prop_map(Step::Pop), Just(Step::Steal)]
    }

    proptest! {
        /// Used by one after another, it is a queue that spills and gives up halves.
        #[test]
        fn it_behaves_like_a_plain_queue(steps in vec(step(), 1..60)) {
            let (queue, mut model) = (RunQueue::new(), VecDeque::new());
            let mut fresh = 0..;
            for step in steps {
                match step {
                    Step::Push(count) => for item in fresh.by_ref().take(count.into()) {
                        let mut spilled = Vec::new();
                        queue.push(item, |items| spilled.extend(items));
                        let spills = if model.len() as u64 == PLACES { PLACES as usize / 2 } else { 0 };
                        prop_assert_eq!(spilled, model.drain(..spills).collect::<Vec<_>>());
                        model.push_back(item);
                    },
                    Step::Pop(count) => for _ in 0..count {
                        prop_assert_eq!(queue.pop(), model.pop_front());
                    },
                    Step::Steal => {
                        let thief = RunQueue::new();
                        let first = queue.stealer().steal_half(&thief);
                        let stolen: Vec<_> = first.into_iter().chain(std::iter::from_fn(|| thief.pop())).collect();
                        let half = model.len().div_ceil(2);
                        prop_assert_eq!(stolen, model.drain(..half).collect::<Vec<_>>());
                    }
                }
                prop_assert_eq!(queue.len(), model.len());
                prop_assert_eq!(queue.stealer().is_empty(), model.is_empty());
            }
        }
    }
}
