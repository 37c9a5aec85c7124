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
//! - **No kept actor waits for a task.** Other tasks of the loop may have their turn first, and one may block this thread, perhaps
//!   until that very actor has run. Whoever is known to wait leaves it to workers; the watchdog does so where nobody knew.
//! - **Not after a rest.** When messages come so rarely that whoever stands by sleeps, it would have to be woken instead of the worker.
//!
//! Actors of lanes run where their driver is. To that the thread of the sockets lends the loop ([`Loan`]).

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use super::Scheduler;
use super::activity::Activity;
use super::idle::Idle;
use super::lane::Lane;
use super::loan::{Drive, Loan};
use super::occasions::Occasions;
use super::relay::Relay;
use crate::actor::{After, Ready, Runner, SliceLimits, run_slice, serving};
use crate::pid::Pid;
use crate::sync::{AtomicBool, AtomicUsize, Mutex, MutexGuard, Ordering};

/// The longest slice here, and the most messages of one; workers go on with what is left.
const SLICE: SliceLimits = SliceLimits { time: Duration::from_micros(50) };
const MESSAGES: u32 = 8;

/// A slice that took longer might as well have been a worker's.
const SHORT: Duration = Duration::from_micros(20);

/// What the two threads that drive the loop of the sockets share with the scheduler.
pub(crate) struct Inline {
    relay: Relay,
    /// Of the one slice that runs here.
    pub(super) activity: Activity,
    occasions: Occasions,
    /// Who is to run next on the thread that drives.
    kept: Mutex<Option<Visit>>,
    /// Actors kept or running here.
    visits: AtomicUsize,
    /// To a lane whose driver waits.
    pub(super) loan: Loan,
    closing: AtomicBool,
}

thread_local! {
    /// Where this thread drives the loop of the sockets.
    static DRIVER: RefCell<Option<Driver>> = const { RefCell::new(None) };
    /// The slice that this thread runs away from that loop.
    static AWAY: Cell<Option<Away>> = const { Cell::new(None) };
}

struct Driver {
    inline: Arc<Inline>,
    /// Wakes [`Leave`].
    waker: Option<Waker>,
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
            occasions: Occasions::new(),
            kept: Mutex::default(),
            visits: AtomicUsize::new(0),
            loan: Loan::new(),
            closing: AtomicBool::new(false),
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
            DRIVER.set(Some(Driver { inline: self.clone(), waker: None }));
            let goes_on = drive();
            DRIVER.take();
            let closing = !goes_on || self.is_closing();
            let next = self.kept().take();
            drives = match next {
                Some(visit) => self.run(me, visit, &mut runner),
                None => {
                    self.loan.wait_back();
                    true
                }
            };
            if closing && drives {
                return;
            }
        }
    }

    /// Says which loop it is, so that it can be lent.
    pub(crate) fn connect(&self, sockets: Box<dyn Drive>) {
        self.loan.connect(sockets);
    }

    /// Ends the thread that stands by, and the one that drives as soon as it looks ([`Leave::last`]), or when there is no loop any more.
    pub(crate) fn close(&self) {
        self.closing.store(true, Ordering::SeqCst);
        self.loan.close();
        self.relay.close();
    }

    fn is_closing(&self) -> bool {
        self.closing.load(Ordering::SeqCst)
    }

    /// From now on all slices are the workers', also one that was kept, and no lane borrows the loop.
    pub(super) fn retire(&self) {
        self.occasions.end();
        self.loan.close();
        self.hand_over();
    }

    /// Leaves who is kept to workers.
    pub(super) fn hand_over(&self) {
        let visit = self.kept().take();
        drop(visit);
    }

    /// Leaves to workers who was kept at the last call already: a task of the loop takes its time.
    pub(super) fn hand_over_late(&self) {
        let late = self.kept().take_if(|visit| std::mem::replace(&mut visit.seen, true));
        drop(late);
    }

    /// Whether nobody is kept or runs here.
    pub(super) fn is_quiet(&self) -> bool {
        self.visits.load(Ordering::SeqCst) == 0
    }

    /// Runs the actor; `false` if the other thread has taken the loop over meanwhile.
    fn run(&self, me: usize, mut visit: Visit, runner: &mut Runner) -> bool {
        let scheduler = visit.scheduler.clone();
        let system = scheduler.blocking.system().upgrade();
        let Some(system) = system.filter(|_| scheduler.idle.all_asleep()) else { return true };
        let Some(ready) = visit.ready.take() else { return true };
        let _context = scheduler.io.enter();
        let (pid, begun) = (ready.pid(), runner.look());
        let absence = self.relay.leave(me);
        AWAY.set(Some(Away { inline: self, thread: me, absence }));
        self.activity.begin(pid);
        let after = serving(&system, || run_slice(ready, &system, runner, || false));
        runner.rest();
        self.activity.end();
        AWAY.set(None);
        if let After::Again(ready) = after {
            visit.ready = Some(ready);
        }
        let took = begun.elapsed();
        if took > SHORT {
            self.occasions.took(took);
        }
        self.relay.come_back(absence)
    }

    /// Whether a slice may be run here now. Asked by who drives only.
    fn is_free(&self, idle: &Idle) -> bool {
        idle.all_asleep() && self.relay.is_covered() && self.occasions.may_take()
    }

    /// Whether who drives has nothing else to do.
    fn stays(&self) -> bool {
        !self.is_closing() && !self.loan.is_lent() && self.kept().is_none()
    }

    fn kept(&self) -> MutexGuard<'_, Option<Visit>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Keeps the actor for this thread, or gives it back if a worker is to be woken.
pub(super) fn keep(scheduler: &Arc<Scheduler>, ready: Ready) -> Option<Ready> {
    let mut ready = Some(ready);
    on_driver(scheduler, |driver| {
        if !driver.inline.is_free(&scheduler.idle) {
            return;
        }
        let mut kept = driver.inline.kept();
        // Under the lock, so that a stop is seen here, or finds what is kept.
        if kept.is_none()
            && !scheduler.idle.is_stopped()
            && let Some(ready) = ready.take()
        {
            *kept = Some(Visit::of(scheduler.clone(), ready));
            drop(kept);
            scheduler.alarm.ring();
            driver.wake();
        }
    });
    ready
}

/// The lane is about to be given something to run: if it is by this thread, and that drives the loop, the lane may borrow it.
pub(super) fn lend(scheduler: &Scheduler, lane: &Arc<Lane>) {
    if scheduler.inline.loan.is_used_here(lane) {
        return;
    }
    on_driver(scheduler, |driver| {
        if driver.inline.kept().is_none() && driver.inline.loan.offer(lane) {
            driver.wake();
        }
    });
}

/// This thread is about to wait: if it drives the loop, it leaves who is kept to workers.
pub(super) fn let_go(scheduler: &Scheduler) {
    on_driver(scheduler, |driver| driver.inline.hand_over());
}

/// The handler that runs on this thread is about to wait: if it is away from the sockets, the other thread takes over.
/// `false` if it is not, or waits already.
pub(super) fn make_way(scheduler: &Scheduler) -> bool {
    let Some(away) = away(scheduler).filter(|_| !scheduler.inline.activity.waits()) else { return false };
    scheduler.inline.activity.wait();
    scheduler.inline.relay.hurry(away.thread, away.absence);
    true
}

/// Ends what [`make_way`] began.
pub(super) fn go_on(scheduler: &Scheduler, pid: Pid) {
    if away(scheduler).is_some() {
        scheduler.inline.activity.begin(pid);
    }
}

/// Whether another thread has an actor of the sockets' to run.
pub(super) fn runs_elsewhere(scheduler: &Scheduler) -> bool {
    !scheduler.inline.is_quiet() && away(scheduler).is_none()
}

/// The slice of `scheduler` that this thread runs away from the sockets.
fn away(scheduler: &Scheduler) -> Option<Away> {
    AWAY.get().filter(|away| std::ptr::eq(away.inline, Arc::as_ptr(&scheduler.inline)))
}

/// Calls `f` if this thread drives the loop of `scheduler`.
fn on_driver(scheduler: &Scheduler, f: impl FnMut(&Driver)) {
    // Not where the thread ends, or is at the driver itself.
    let _ = DRIVER.try_with(|driver| {
        let Ok(driver) = driver.try_borrow() else { return };
        let own = driver.as_ref().filter(|driver| Arc::ptr_eq(&driver.inline, &scheduler.inline));
        own.into_iter().for_each(f);
    });
}

impl Driver {
    /// Has [`Leave`] look again.
    fn wake(&self) {
        self.waker.iter().for_each(Waker::wake_by_ref);
    }
}

/// An actor that is to run on this thread. Whatever becomes of that, it gets its turn.
struct Visit {
    scheduler: Arc<Scheduler>,
    ready: Option<Ready>,
    /// The watchdog has seen it wait.
    seen: bool,
}

impl Visit {
    fn of(scheduler: Arc<Scheduler>, ready: Ready) -> Self {
        scheduler.inline.visits.fetch_add(1, Ordering::SeqCst);
        Self { scheduler, ready: Some(ready), seen: false }
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        if let Some(ready) = self.ready.take() {
            self.scheduler.injector.push(ready);
            self.scheduler.call_others();
        }
        self.scheduler.inline.visits.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Waits, in the loop of the sockets, until its driver has something to run besides.
pub(crate) struct Leave;

impl Leave {
    /// Has the driver of the loop, if it is this thread, see that it is [closed](Inline::close). A lane that has borrowed it gives it back.
    pub(crate) fn last() {
        DRIVER.with_borrow(|driver| driver.iter().for_each(Driver::wake));
    }
}

impl Future for Leave {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        DRIVER.with_borrow_mut(|driver| match driver {
            Some(driver) if driver.inline.stays() => {
                driver.waker = Some(cx.waker().clone());
                Poll::Pending
            }
            _ => Poll::Ready(()),
        })
    }
}
