//! Timer wheels: a million deadlines, each set or taken back in tens of nanoseconds.
//!
//! | file | holds |
//! |---|---|
//! | `levels` | deadlines in a hierarchy of wheels |
//! | `lists`, `arena`, `pages` | linked lists and values by key, of which the others are made |
//! | `owners` | which timers belong to an actor |
//! | `shard` | the timers of some of the actors |
//! | `waiter` | the thread that waits for the earliest deadline |
//! | `alarm` | a deadline that a future waits for |
//!
//! The timers of an actor lie in the shard of its PID, each shard under a lock of its own that is
//! held for a moment: no code that is not ours runs, and nothing is dropped, under it.

mod alarm;
mod arena;
mod levels;
mod lists;
#[cfg(all(test, myrmidon_loom))]
mod loom_tests;
mod owners;
mod pages;
mod shard;
mod waiter;

use std::sync::atomic::AtomicU64;
use std::sync::{Arc, OnceLock, PoisonError, Weak};
use std::task::{Poll, Waker};
use std::time::{Duration, Instant};

pub(crate) use alarm::{Alarm, Rang};
use levels::Tick;
use shard::{Action, Due, Key, Phase, Shard};
pub(crate) use shard::{Interval, Shot};
use waiter::Waiter;

use crate::clock::Clock;
use crate::mailbox::{Payload, wake};
use crate::pid::Pid;
use crate::sync::{AtomicBool, Mutex, MutexGuard, Ordering};

/// Numbers the wheels of this process.
static NEXT: AtomicU64 = AtomicU64::new(0);

/// The longest delay: 146 years, which is for ever, and leaves room for sums.
const LONGEST: u64 = u64::MAX / 4;
/// How many timers of an actor that ended are taken out in one go.
const TAKEN_AT_ONCE: usize = 256;

/// Names a timer. Used again at the earliest when four thousand million others were set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TimerId(u64);

impl TimerId {
    /// Names no timer.
    pub(crate) const NONE: Self = Self(0);

    /// The number, for bindings.
    pub const fn as_u64(self) -> u64 {
        self.0
    }

    /// A timer from its number; one that never was cancels nothing.
    pub const fn from_u64(raw: u64) -> Self {
        Self(raw)
    }
}

/// Takes the messages of timers.
pub(crate) trait Post: Send + Sync {
    /// Delivers a message, or makes it a dead letter; whether it was delivered.
    fn post(&self, pid: Pid, message: Payload) -> bool;
}

/// The timers of one runtime. Times are nanoseconds since it was made.
pub(crate) struct Wheels {
    shards: Box<[Padded]>,
    /// Bits that choose a shard.
    shard_bits: u32,
    this: Weak<Self>,
    clock: Clock,
    /// No other wheels of this process have it.
    number: u64,
    closed: AtomicBool,
    made: Instant,
    post: OnceLock<Weak<dyn Post>>,
    waiter: Waiter,
}

/// No two locks in one pair of cache lines.
#[repr(align(128))]
struct Padded(Mutex<Shard>);

impl Wheels {
    /// A shard for each worker. A thread fires what is due, from the first timer on; or, without one,
    /// somebody else calls [`fire_due`](Self::fire_due).
    pub(crate) fn new(workers: usize, thread: bool, clock: Clock) -> Arc<Self> {
        Self::with(workers, if thread { Waiter::new() } else { Waiter::absent() }, clock)
    }

    fn with(workers: usize, waiter: Waiter, clock: Clock) -> Arc<Self> {
        let shards = workers.max(1).next_power_of_two();
        let shard_bits = shards.trailing_zeros();
        let tick = if clock.is_virtual() { Tick::NANOSECOND } else { Tick::MILLISECOND };
        let shard = || Padded(Mutex::new(Shard::new(shard_bits, tick)));
        let shards = (0..shards).map(|_| shard()).collect();
        let (made, post, closed) = (clock.now(), OnceLock::new(), AtomicBool::new(false));
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        Arc::new_cyclic(|this| Self {
            shards,
            shard_bits,
            this: this.clone(),
            clock,
            number,
            closed,
            made,
            post,
            waiter,
        })
    }

    /// Says who takes the messages. Called once, before the first timer.
    pub(crate) fn connect(&self, post: Weak<dyn Post>) {
        let _ = self.post.set(post);
    }

    /// The time now: the one look at the clock.
    #[inline]
    pub(crate) fn elapsed(&self) -> u64 {
        self.since_made(self.clock.now())
    }

    /// A time as the wheels count it.
    #[inline]
    fn since_made(&self, time: Instant) -> u64 {
        nanos(time.saturating_duration_since(self.made))
    }

    /// The time after `delay`.
    #[inline]
    pub(crate) fn after(&self, delay: Duration) -> u64 {
        self.elapsed() + nanos(delay)
    }

    /// Sets a timer that sends to `pid`; hands it back if the runtime goes down.
    pub(crate) fn send_at(&self, at: u64, pid: Pid, shot: Shot) -> Result<TimerId, Shot> {
        self.add(at, pid.index(), Some(pid), shot)
    }

    /// Sets a timer that wakes; `None` once the runtime is down. Any number spreads the load.
    pub(crate) fn wake_at(&self, at: u64, near: u32, waker: &Waker) -> Option<TimerId> {
        self.add(at, near, None, Shot::Wake(waker.clone())).ok()
    }

    /// Has another waker woken at the time of a timer, unless that is over.
    fn renew(&self, timer: TimerId, waker: &Waker) -> Poll<Rang> {
        let (shard, key) = self.find(timer);
        // Cloned before the lock, and the other dropped after it.
        let mut waker = waker.clone();
        let mut shard = shard.lock();
        let over = !shard.exchange(key, &mut waker);
        let rang = if shard.phase() == Phase::Closed { Rang::Closed } else { Rang::InTime };
        drop(shard);
        if over { Poll::Ready(rang) } else { Poll::Pending }
    }

    /// Takes a timer back. Drop what it would have done where panics do no harm.
    #[inline]
    pub(crate) fn cancel(&self, timer: TimerId) -> Option<Shot> {
        let (shard, key) = self.find(timer);
        shard.lock().cancel(key)
    }

    /// Takes back what the actor still had to be sent, and gives each to `drop`.
    pub(crate) fn forget(&self, pid: Pid, drop: impl Fn(Shot)) {
        let shard = self.shard(pid.index());
        loop {
            let taken = shard.lock().take_of(pid, TAKEN_AT_ONCE);
            let last = taken.len() < TAKEN_AT_ONCE;
            taken.into_iter().for_each(&drop);
            if last {
                return;
            }
        }
    }

    /// Timers that will send.
    pub(crate) fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().messages()).sum()
    }

    /// Nothing is due before this time.
    pub(crate) fn next_due(&self) -> Option<u64> {
        self.shards.iter().filter_map(|shard| shard.lock().next_due()).min()
    }

    /// As [`next_due`](Self::next_due), by the clock.
    pub(crate) fn next_due_at(&self) -> Option<Instant> {
        self.next_due().map(|due| self.made + Duration::from_nanos(due))
    }

    /// As [`fire_due`](Self::fire_due), by the clock.
    pub(crate) fn fire_due_at(&self, now: Instant) {
        self.fire_due(self.since_made(now));
    }

    /// Fires what is due, in the order of the deadlines.
    pub(crate) fn fire_due(&self, now: u64) {
        let mut due = Vec::new();
        while let Some(until) = self.next_due().filter(|next| *next <= now) {
            for shard in &self.shards {
                while !shard.lock().pop(until, now, &mut due) {}
            }
            due.sort_unstable_by_key(|due| (due.at, due.key.serial));
            due.drain(..).for_each(|due| self.fire(due));
        }
    }

    /// Sends nothing any more. Futures are still woken, so that handlers may finish.
    pub(crate) fn drain(&self) -> Vec<Shot> {
        self.enter(Phase::Draining)
    }

    /// Wakes every future that waits for a time, and ends the thread.
    pub(crate) fn close(&self) {
        // Before anybody is woken; see `Alarm`.
        self.closed.store(true, Ordering::SeqCst);
        self.waiter.stop();
        for shot in self.enter(Phase::Closed) {
            if let Shot::Wake(waker) = shot {
                wake(waker);
            }
        }
    }

    #[inline]
    fn add(&self, at: u64, near: u32, owner: Option<Pid>, shot: Shot) -> Result<TimerId, Shot> {
        let key = self.shard(near).lock().add(at, owner, shot)?;
        if self.waiter.misses(at) {
            self.waiter.call(&self.this);
        }
        let place = u64::from(key.place) << self.shard_bits | u64::from(near & self.mask());
        Ok(TimerId(u64::from(key.serial) << 32 | place))
    }

    fn is_closed(&self) -> bool {
        self.closed.load(Ordering::SeqCst)
    }

    fn number(&self) -> u64 {
        self.number
    }

    fn has_thread(&self) -> bool {
        self.waiter.is_present()
    }

    fn enter(&self, phase: Phase) -> Vec<Shot> {
        self.shards.iter().flat_map(|shard| shard.lock().enter(phase)).collect()
    }

    fn fire(&self, due: Due) {
        match due.action {
            Action::Wake(waker) => wake(waker),
            Action::Send(pid, message) => {
                let post = self.post.get().and_then(Weak::upgrade);
                if !post.is_some_and(|post| post.post(pid, message)) {
                    // An interval to an actor that takes no bytes, or has just ended.
                    let cancelled = self.shard(pid.index()).lock().cancel(due.key);
                    drop(cancelled);
                }
            }
        }
    }

    #[inline]
    fn find(&self, timer: TimerId) -> (&Padded, Key) {
        let (place, serial) = (timer.0 as u32, (timer.0 >> 32) as u32);
        (self.shard(place), Key { place: place >> self.shard_bits, serial })
    }

    #[inline]
    fn shard(&self, near: u32) -> &Padded {
        &self.shards[(near & self.mask()) as usize]
    }

    #[inline]
    fn mask(&self) -> u32 {
        self.shards.len() as u32 - 1
    }
}

impl Padded {
    #[inline]
    fn lock(&self) -> MutexGuard<'_, Shard> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Nanoseconds, at most the [`LONGEST`].
#[inline]
pub(crate) fn nanos(duration: Duration) -> u64 {
    let nanos =
        duration.as_secs().saturating_mul(1_000_000_000).saturating_add(u64::from(duration.subsec_nanos()));
    nanos.min(LONGEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    /// Keeps what it takes, and knows no dead actor but one.
    #[derive(Default)]
    struct Recorder(Mutex<Vec<(u32, Payload)>>);

    const DEAD: u32 = 99;

    impl Post for Recorder {
        fn post(&self, pid: Pid, message: Payload) -> bool {
            self.0.lock().unwrap().push((pid.index(), message));
            pid.index() != DEAD
        }
    }

    fn wheels() -> (Arc<Wheels>, Arc<Recorder>) {
        let (wheels, taken) = (Wheels::new(4, false, Clock::real()), Arc::new(Recorder::default()));
        let post: Weak<Recorder> = Arc::downgrade(&taken);
        wheels.connect(post);
        (wheels, taken)
    }

    fn pid(index: u32) -> Pid {
        Pid::new(7, index).unwrap()
    }

    fn send(wheels: &Wheels, at: u64, index: u32) -> TimerId {
        wheels.send_at(at, pid(index), Shot::Once(Payload::from("x"))).ok().unwrap()
    }

    fn taken(post: &Recorder) -> Vec<u32> {
        post.0.lock().unwrap().drain(..).map(|(index, _)| index).collect()
    }

    #[test]
    fn shards_fire_together_in_the_order_of_the_deadlines() {
        let (wheels, post) = wheels();
        // Within one tick, and across many.
        for (at, index) in [(5_100_000, 3), (4_900_000, 1), (5_000_000, 2), (90 * MS, 5), (40 * MS, 4)] {
            send(&wheels, at, index);
        }
        assert!(wheels.next_due().is_some_and(|due| (5_100_000..6 * MS).contains(&due)));
        wheels.fire_due(5 * MS);
        assert!(taken(&post).is_empty());
        wheels.fire_due(100 * MS);
        assert_eq!(taken(&post), [1, 2, 3, 4, 5]);
        assert_eq!((wheels.len(), wheels.next_due()), (0, None));
    }

    #[test]
    fn an_id_cancels_the_timer_that_it_names_and_no_other() {
        let (wheels, post) = wheels();
        let ids: Vec<_> = (0..40).map(|index| send(&wheels, MS, index)).collect();
        for (index, id) in ids.iter().enumerate() {
            assert!(wheels.cancel(*id).is_some());
            assert!(wheels.cancel(TimerId::from_u64(id.as_u64())).is_none());
            assert_eq!(wheels.len(), 39 - index);
        }
        assert!(wheels.cancel(TimerId::NONE).is_none());
        assert!(wheels.cancel(TimerId::from_u64(u64::MAX)).is_none());
        wheels.fire_due(10 * MS);
        assert!(taken(&post).is_empty());
    }

    #[test]
    fn an_interval_ends_when_its_message_is_not_taken() {
        let (wheels, post) = wheels();
        for index in [1, DEAD] {
            let interval = Interval { period: 10 * MS, message: bytes::Bytes::new() };
            assert!(wheels.send_at(10 * MS, pid(index), Shot::Every(Box::new(interval))).is_ok());
        }
        (1..40).for_each(|ms| wheels.fire_due(ms * MS));
        assert_eq!(taken(&post), [1, DEAD, 1, 1]);
        assert_eq!(wheels.len(), 1);
    }

    #[test]
    fn nothing_is_sent_while_draining_and_nobody_waits_when_closed() {
        let (wheels, post) = wheels();
        send(&wheels, MS, 1);
        assert!(wheels.wake_at(2 * MS, 0, Waker::noop()).is_some());
        assert_eq!(wheels.drain().len(), 1);
        assert!(wheels.send_at(MS, pid(1), Shot::Once(Payload::from("x"))).is_err());
        assert!(wheels.next_due().is_some());
        wheels.close();
        assert!(wheels.wake_at(2 * MS, 0, Waker::noop()).is_none());
        assert_eq!((wheels.next_due(), taken(&post)), (None, vec![]));
    }
}
