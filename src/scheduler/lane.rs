//! A lane: actors that run only where someone calls [`Lane::run`], for example on the thread that
//! holds a language's interpreter (D6).

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::{Arc, PoisonError, Weak};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use super::Job;
use super::activity::Activity;
use super::alarm::Alarm;
use super::inline::Inline;
use super::turns::Turns;
use super::vigil::Vigil;
use crate::actor::{After, Ready, Runner, SliceLimits, System, run_slice, shielded};
use crate::sync::{self, AtomicBool, AtomicUsize, Condvar, Mutex, MutexGuard, Ordering, SegQueue, fence};

/// The longest slice of one actor of a lane.
const SLICE: SliceLimits = SliceLimits { time: Duration::from_millis(1) };

/// The longest look for work before a driver sleeps.
const VIGIL: Duration = Duration::from_micros(50);
/// The longest sleep after which a driver looks again: it and who woke it may have spent all of it on waking up.
const BRIEF: Duration = Duration::from_micros(200);

/// A queue of ready actors with a driver outside. At most one thread should drive it at a time;
/// more are safe, as they take different actors.
pub struct Lane {
    id: u32,
    name: String,
    system: Weak<System>,
    /// Futures of actors may use its timers and sockets here too.
    io: tokio::runtime::Handle,
    ready: Turns,
    jobs: SegQueue<Job>,
    /// Threads inside [`run`](Self::run).
    running: AtomicUsize,
    /// Of the driver that began a slice last.
    pub(super) activity: Activity,
    /// Rung when a driver begins to run slices.
    pub(super) alarm: Arc<Alarm>,
    /// From whom the loop of the sockets may be borrowed.
    inline: Option<Arc<Inline>>,
    /// Whether its driver would.
    attends: AtomicBool,
    /// Drivers asleep in [`wait`](Self::wait), or in the loop of the sockets; a push takes the lock only if there are any.
    asleep: AtomicUsize,
    /// Whether the last sleep was brief, so that a vigil may be worth it.
    brief: AtomicBool,
    vigil: Vigil,
    woken: Mutex<Woken>,
    bell: Condvar,
    closed: AtomicBool,
    /// Whether anybody has ever driven it.
    driven: AtomicBool,
    /// When the driver was asked for the sign of life that it has not given yet.
    asked: Mutex<Option<Instant>>,
}

impl Lane {
    /// A lane that no watchdog looks after.
    pub(crate) fn unwatched(id: u32, name: &str, system: Weak<System>, io: tokio::runtime::Handle) -> Self {
        Self::new(id, name, system, io, Arc::default())
    }

    pub(super) fn new(
        id: u32,
        name: &str,
        system: Weak<System>,
        io: tokio::runtime::Handle,
        alarm: Arc<Alarm>,
    ) -> Self {
        Self {
            id,
            name: name.to_owned(),
            system,
            io,
            ready: Turns::new(),
            jobs: SegQueue::new(),
            running: AtomicUsize::new(0),
            activity: Activity::default(),
            alarm,
            inline: None,
            attends: AtomicBool::new(false),
            asleep: AtomicUsize::new(0),
            brief: AtomicBool::new(false),
            vigil: Vigil::new(VIGIL),
            woken: Mutex::default(),
            bell: Condvar::new(),
            closed: AtomicBool::new(false),
            driven: AtomicBool::new(false),
            asked: Mutex::new(None),
        }
    }

    pub(super) fn borrowing_from(mut self, inline: Arc<Inline>) -> Self {
        self.inline = Some(inline);
        self
    }

    /// The number for [`SpawnOptions::lane`](crate::actor::SpawnOptions::lane).
    pub fn id(&self) -> u32 {
        self.id
    }

    /// The name given when it was opened.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Waits until there is something to run, someone calls [`wake`](Self::wake), the lane is
    /// closed, or the time is up. Returns whether there is something to run.
    ///
    /// Where waits are brief, as those of a driver that is asked again and again, it looks for a moment before
    /// it sleeps.
    pub fn wait(&self, limit: Option<Duration>) -> bool {
        self.driven.store(true, Ordering::Relaxed);
        let begun = Instant::now();
        if self.brief.load(Ordering::Relaxed) && self.vigil.keep(|| self.has_work()) {
            return true;
        }
        self.sleep(limit.and_then(|limit| begun.checked_add(limit)));
        // A model is the same whatever the clock says.
        self.brief.store(sync::MODEL || begun.elapsed() < BRIEF, Ordering::Relaxed);
        self.has_work()
    }

    /// As [`wait`](Self::wait). Where messages for the lane come from other nodes again and again, this thread drives the
    /// sockets meanwhile, so that it needs not be woken for them, and may return up to 11 ms after the time is up.
    ///
    /// The driver should run what is ready at once. If it does not come back, another thread drives the sockets a few milliseconds
    /// later. Tasks on [`Runtime::io`](crate::Runtime::io) may run on this thread, so they must not wait for actors of the lane.
    pub fn attend(&self, limit: Option<Duration>) -> bool {
        if let Some(inline) = &self.inline {
            self.attends.store(true, Ordering::Relaxed);
            // No thread drives a loop within that of another runtime.
            if inline.loan.is_lent()
                && tokio::runtime::Handle::try_current().is_err()
                && self.sleep_in(|until| inline.loan.attend(self, until))
            {
                return self.has_work();
            }
        }
        self.wait(limit)
    }

    /// Whether its driver has nothing to run, and waits by [`attend`](Self::attend).
    pub(super) fn may_attend(&self) -> bool {
        self.attends.load(Ordering::Relaxed) && self.is_at_rest()
    }

    /// Has `sleep` wait for a future that is ready when a driver would not sleep; whether it has.
    pub(super) fn sleep_in(&self, sleep: impl FnOnce(Pin<&mut dyn Future<Output = ()>>) -> bool) -> bool {
        self.asleep.fetch_add(1, Ordering::SeqCst);
        let slept = sleep(pin!(poll_fn(|cx| self.poll_woken(cx))));
        self.asleep.fetch_sub(1, Ordering::SeqCst);
        if slept {
            *self.woken() = Woken::default();
        }
        slept
    }

    fn poll_woken(&self, cx: &Context<'_>) -> Poll<()> {
        let mut woken = self.woken();
        fence(Ordering::SeqCst);
        if woken.asked || self.has_work() || self.is_closed() {
            return Poll::Ready(());
        }
        woken.waker = Some(cx.waker().clone());
        Poll::Pending
    }

    fn woken(&self) -> MutexGuard<'_, Woken> {
        self.woken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn sleep(&self, deadline: Option<Instant>) {
        let mut woken = self.woken();
        self.asleep.fetch_add(1, Ordering::SeqCst);
        fence(Ordering::SeqCst);
        while !woken.asked && !self.has_work() && !self.is_closed() {
            woken = match deadline.map(|deadline| deadline.saturating_duration_since(Instant::now())) {
                Some(Duration::ZERO) => break,
                Some(left) => self.bell.wait_timeout(woken, left).unwrap_or_else(PoisonError::into_inner).0,
                None => self.bell.wait(woken).unwrap_or_else(PoisonError::into_inner),
            };
        }
        self.asleep.fetch_sub(1, Ordering::SeqCst);
        woken.asked = false;
    }

    /// Runs ready actors and jobs on this thread until there are none or `cap` is over. `keep_going`
    /// is asked before each slice; a driver that was replaced says `false`. Returns the slices run.
    pub fn run(&self, cap: Duration, keep_going: impl Fn() -> bool) -> usize {
        let Some(system) = self.system.upgrade() else { return 0 };
        let _context = self.io.enter();
        let mut pace = Pace::new(cap);
        let mut runner = Runner::new(SLICE);
        self.running.fetch_add(1, Ordering::SeqCst);
        self.driven.store(true, Ordering::Relaxed);
        let mut slices = 0;
        let mut last = None;
        while keep_going() {
            // A look is cheaper than a pop in vain.
            while !self.jobs.is_empty()
                && let Some(job) = self.jobs.pop()
            {
                self.activity.end();
                shielded("a job", job);
            }
            let Some(ready) = self.ready.pop() else { break };
            if slices == 0 {
                self.alarm.ring_for_lane();
            }
            self.activity.begin(*last.insert(ready.pid()));
            if let After::Again(ready) = run_slice(ready, &system, &mut runner, || false) {
                // Not only for this thread: if it was replaced in that slice, its successor may sleep.
                self.push(ready);
            }
            slices += 1;
            if pace.is_over() {
                break;
            }
        }
        if let Some(last) = last {
            self.activity.end_after(last);
        }
        self.running.fetch_sub(1, Ordering::SeqCst);
        slices
    }

    /// Gives a job to the driver.
    pub fn submit(&self, job: Job) {
        self.jobs.push(job);
        self.wake_sleeper();
    }

    /// Asks the driver for a sign of life, unless it still owes one; returns for how long it has owed it.
    /// A lane that nobody has driven yet, or that is closed, owes nothing.
    pub(crate) fn pulse(self: &Arc<Self>) -> Duration {
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        if !self.driven.load(Ordering::Relaxed) || self.is_closed() {
            return Duration::ZERO;
        }
        if let Some(since) = *asked {
            return since.elapsed();
        }
        *asked = Some(Instant::now());
        drop(asked);
        let lane = Arc::downgrade(self);
        self.submit(Box::new(move || {
            if let Some(lane) = lane.upgrade() {
                *lane.asked.lock().unwrap_or_else(PoisonError::into_inner) = None;
            }
        }));
        Duration::ZERO
    }

    /// Makes the driver return from [`wait`](Self::wait) and [`attend`](Self::attend).
    pub fn wake(&self) {
        let mut woken = self.woken();
        woken.asked = true;
        let waker = woken.waker.take();
        drop(woken);
        waker.into_iter().for_each(Waker::wake);
        self.bell.notify_all();
    }

    /// To be called inside a handler that is about to wait and has another driver take over: it holds
    /// up nobody, so it is not reported as stalled.
    pub fn excuse(&self) {
        self.activity.end();
        if let Some(inline) = &self.inline {
            inline.loan.give_back(self);
        }
    }

    /// Ends all waiting for good. Actors that are ready stay ready: run them before.
    pub fn close(&self) {
        self.closed.store(true, Ordering::SeqCst);
        self.wake();
    }

    /// Whether [`close`](Self::close) was called.
    pub fn is_closed(&self) -> bool {
        self.closed.load(Ordering::SeqCst)
    }

    /// The next job, for who drives the lane in another way than by [`run`](Self::run).
    pub(crate) fn take_job(&self) -> Option<Job> {
        self.jobs.pop()
    }

    pub(super) fn push(&self, ready: Ready) {
        self.ready.push(ready);
        self.wake_sleeper();
    }

    /// Whether nobody runs anything.
    pub(super) fn is_at_rest(&self) -> bool {
        self.running.load(Ordering::SeqCst) == 0 && !self.activity.is_running()
    }

    /// Whether nothing is ready and nobody runs anything.
    pub(super) fn is_quiet(&self) -> bool {
        !self.has_work() && self.is_at_rest()
    }

    fn has_work(&self) -> bool {
        !self.ready.is_empty() || !self.jobs.is_empty()
    }

    /// Wakes a driver that sleeps. The sleeper counts itself before it looks for work, and the push
    /// comes before this look, so with a fence on each side one of the two sees the other.
    fn wake_sleeper(&self) {
        fence(Ordering::SeqCst);
        if self.asleep.load(Ordering::Relaxed) > 0 {
            let waker = self.woken().waker.take();
            waker.into_iter().for_each(Waker::wake);
            self.bell.notify_one();
        }
    }
}

/// What ends the sleep of a driver besides work.
#[derive(Default)]
struct Woken {
    asked: bool,
    /// Of a driver that sleeps in the loop of the sockets.
    waker: Option<Waker>,
}

/// Looks at the clock the less often the shorter slices are: a look costs as much as a short message.
struct Pace {
    began: Instant,
    cap: Duration,
    looked: Instant,
    /// Slices since, and when to look again.
    slices: u32,
    next: u32,
}

impl Pace {
    const MOST: u32 = 16;

    fn new(cap: Duration) -> Self {
        let now = Instant::now();
        Self { began: now, cap, looked: now, slices: 0, next: 1 }
    }

    /// To be asked after each slice: whether so long has passed, as far as known.
    fn is_over(&mut self) -> bool {
        self.slices += 1;
        if self.slices < self.next {
            return false;
        }
        let now = Instant::now();
        // As many as the last ones would take an eighth of the time.
        let eighth = (self.cap / 8 * self.slices).as_nanos();
        let fit = eighth.checked_div((now - self.looked).as_nanos()).unwrap_or(eighth);
        self.next = u32::try_from(fit).unwrap_or(u32::MAX).clamp(1, Self::MOST);
        (self.looked, self.slices) = (now, 0);
        now - self.began >= self.cap
    }
}

impl std::fmt::Debug for Lane {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Lane({}, {:?})", self.id, self.name)
    }
}
