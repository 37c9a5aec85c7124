//! Slices that the thread of the sockets runs itself.
//!
//! To wake a worker for a message costs more than all else about it, and its answer comes back by the same way. So where all
//! workers sleep, an actor made ready by that thread is kept for it: it leaves the loop over its tasks, runs a short slice,
//! and goes back. Then a trip to another node changes threads as often as one over bare sockets.
//!
//! - **The sockets do not wait for a handler.** Two threads share the loop: if a slice takes longer than a few milliseconds, the other one
//!   drives on ([`Relay`]), and wakes workers from then on, until the first is back to stand by.
//! - **Slices that are not short are left to workers**: after one that took longer than waking a worker none is run here for twenty
//!   times as long, so they take a twentieth of this thread's time at most.
//! - **One actor at a time.** The next one that is made ready meanwhile wakes a worker as ever, and what the slice itself makes ready
//!   does too.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use super::activity::Activity;
use super::relay::Relay;
use super::{Guest, Scheduler};
use crate::actor::{After, Ready, Runner, SliceLimits, run_slice, serving};
use crate::sync::{AtomicU64, Ordering};

/// The longest slice here, and the most messages of one; workers go on with what is left.
const SLICE: SliceLimits = SliceLimits { time: Duration::from_micros(50) };
const MESSAGES: u32 = 8;

/// A slice that took longer might as well have been a worker's.
const SHORT: Duration = Duration::from_micros(20);
/// For how many times as long as it took none is run here then.
const PAUSE: u32 = 20;
/// No slice holds the sockets up for longer, as another thread has taken over by then.
const LONGEST: Duration = Duration::from_millis(6);

/// What the two threads that drive the loop of the sockets share with the scheduler.
pub(crate) struct Inline {
    relay: Relay,
    /// Of the one slice that runs here.
    pub(super) activity: Activity,
    origin: Instant,
    /// Until then all slices are the workers', in nanoseconds since `origin`.
    pause_until: AtomicU64,
}

thread_local! {
    /// Where this thread drives the loop of the sockets.
    static DRIVER: RefCell<Option<Driver>> = const { RefCell::new(None) };
    /// The slice that this thread runs away from that loop.
    static AWAY: Cell<Option<Away>> = const { Cell::new(None) };
}

struct Driver {
    inline: Arc<Inline>,
    /// Who is to run next on this thread.
    next: Option<Visit>,
    /// Wakes [`Leave`].
    waker: Option<Waker>,
    closing: bool,
}

#[derive(Clone, Copy)]
struct Away {
    inline: *const Inline,
    thread: usize,
    absence: u64,
}

impl Inline {
    pub(crate) fn new() -> Self {
        Self {
            relay: Relay::default(),
            activity: Activity::default(),
            origin: Instant::now(),
            pause_until: AtomicU64::new(0),
        }
    }

    /// The life of thread `me` of the two that drive a loop, the first of which is 0. `drive` goes through the loop until
    /// [`Leave`] is ready; `false` if there is no loop any more.
    pub(crate) fn serve(self: &Arc<Self>, me: usize, mut drive: impl FnMut() -> bool) {
        let mut runner = Runner::brief(SLICE, MESSAGES);
        let mut drives = me == 0;
        loop {
            if !drives && !self.relay.stand_by(me) {
                return;
            }
            let driver = Driver { inline: self.clone(), next: None, waker: None, closing: false };
            DRIVER.set(Some(driver));
            let goes_on = drive();
            let left = DRIVER.take();
            let closing = !goes_on || left.as_ref().is_none_or(|driver| driver.closing);
            drives = match left.and_then(|driver| driver.next) {
                Some(visit) => self.run(me, visit, &mut runner),
                None => true,
            };
            if closing && drives {
                return;
            }
        }
    }

    /// Ends the thread that stands by. The one that drives ends by [`Leave::last`], or when there is no loop any more.
    pub(crate) fn close(&self) {
        self.relay.close();
    }

    /// Runs the actor; `false` if the other thread has taken the loop over meanwhile.
    fn run(&self, me: usize, mut visit: Visit, runner: &mut Runner) -> bool {
        let scheduler = visit.scheduler.clone();
        let system = scheduler.blocking.system().upgrade();
        let Some(system) = system.filter(|_| scheduler.idle.all_asleep()) else { return true };
        let Some(ready) = visit.ready.take() else { return true };
        let _context = scheduler.io.enter();
        let (pid, begun) = (ready.pid(), Instant::now());
        let absence = self.relay.leave(me);
        AWAY.set(Some(Away { inline: self, thread: me, absence }));
        self.activity.begin(pid);
        scheduler.alarm.ring();
        let after = serving(&system, || run_slice(ready, &system, runner, || false));
        runner.rest();
        self.activity.end();
        AWAY.set(None);
        if let After::Again(ready) = after {
            visit.ready = Some(ready);
        }
        let took = begun.elapsed();
        if took > SHORT {
            let pause = took.min(LONGEST) * PAUSE;
            self.pause_until.store(self.now() + nanos(pause), Ordering::Relaxed);
        }
        self.relay.come_back(absence)
    }

    /// Whether a slice may be run here now.
    fn is_free(&self) -> bool {
        self.relay.is_covered() && self.now() >= self.pause_until.load(Ordering::Relaxed)
    }

    fn now(&self) -> u64 {
        nanos(self.origin.elapsed())
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// Keeps the actor for this thread, or gives it back if a worker is to be woken.
pub(super) fn keep(scheduler: &Arc<Scheduler>, ready: Ready) -> Option<Ready> {
    let mut ready = Some(ready);
    let _ = DRIVER.try_with(|driver| {
        let Ok(mut driver) = driver.try_borrow_mut() else { return };
        let Some(driver) = driver.as_mut().filter(|driver| Arc::ptr_eq(&driver.inline, &scheduler.inline))
        else {
            return;
        };
        let idle = &scheduler.idle;
        let fits =
            driver.next.is_none() && idle.all_asleep() && !idle.is_stopped() && driver.inline.is_free();
        if fits && let Some(ready) = ready.take() {
            driver.next = Some(Visit::of(scheduler.clone(), ready));
            if let Some(waker) = &driver.waker {
                waker.wake_by_ref();
            }
        }
    });
    ready
}

/// The handler that runs on this thread is about to wait: if it is away from the sockets, the other thread takes over.
pub(super) fn hurry(scheduler: &Scheduler) {
    let own = AWAY.get().filter(|away| std::ptr::eq(away.inline, Arc::as_ptr(&scheduler.inline)));
    if let Some(away) = own {
        scheduler.inline.relay.hurry(away.thread, away.absence);
    }
}

/// An actor that is to run on this thread. Whatever becomes of that, it gets its turn.
struct Visit {
    scheduler: Arc<Scheduler>,
    ready: Option<Ready>,
}

impl Visit {
    fn of(scheduler: Arc<Scheduler>, ready: Ready) -> Self {
        Guest::count_in(&scheduler.guests);
        Self { scheduler, ready: Some(ready) }
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        if let Some(ready) = self.ready.take() {
            self.scheduler.injector.push(ready);
            self.scheduler.call_others();
        }
        Guest::count_out(&self.scheduler.guests);
    }
}

/// Waits, in the loop of the sockets, until its driver has something to run besides.
pub(crate) struct Leave;

impl Leave {
    /// Has the thread that drives the loop, which must be this one, leave it for good.
    pub(crate) fn last() {
        DRIVER.with_borrow_mut(|driver| {
            if let Some(driver) = driver {
                driver.closing = true;
                if let Some(waker) = &driver.waker {
                    waker.wake_by_ref();
                }
            }
        });
    }
}

impl Future for Leave {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        DRIVER.with_borrow_mut(|driver| match driver {
            Some(driver) if driver.next.is_none() && !driver.closing => {
                driver.waker = Some(cx.waker().clone());
                Poll::Pending
            }
            _ => Poll::Ready(()),
        })
    }
}
