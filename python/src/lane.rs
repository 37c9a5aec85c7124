//! The threads that drive a lane: one at a time, attached to the interpreter for good (D6).
//!
//! A lane has one seat. Its driver runs ready actors; the other threads of the crew are spares that
//! wait for the seat. A handler that is about to block in a call of ours gives the seat to a spare
//! ([`make_way`]) and finishes later on its own thread, its actor staying busy, so one waiting
//! handler holds up nobody else. `rt.run()` claims the seat for the calling thread.

use std::cell::RefCell;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use myrmidon::scheduler::{Lane, Vigil};
use pyo3::exceptions::{PyKeyboardInterrupt, PyRuntimeError};
use pyo3::prelude::*;

use crate::errors::Busy;
use crate::handler::take_interrupt;
use crate::lanes::begin_thread;
use crate::wait;

/// How long a driver may keep the interpreter from threads that want it: so long at least, and twice as long as it had
/// to wait for it. A sender that never pauses would be further ahead with every turn, and its messages in memory that
/// nothing has used before.
const SLICE: Duration = Duration::from_millis(2);
/// The longest, whatever it had to wait.
const LONGEST_SLICE: Duration = Duration::from_millis(10);
/// So long may a driver have the interpreter without a pause: whoever waits for it is woken when the driver lets go, but
/// that takes longer than to come back, and one who is woken each time does not come to ask for it. It is time that counts
/// and not turns, as those of a driver that is asked again and again are over in microseconds.
const UNBROKEN: Duration = Duration::from_millis(8);
/// So long that another thread has the interpreter by then.
const GIVEN_WAY: Duration = Duration::from_micros(50);
/// Threads of one crew, which is one more than the handlers that can wait at the same time.
const MOST_THREADS: usize = 256;
/// The longest look for what a handler is about to give, before who waits for it sleeps.
const VIGIL: Duration = Duration::from_micros(20);
/// As long for the answers to a burst of questions.
const BURST: Duration = Duration::from_micros(100);
/// As long for such a burst to be put, which is a round of a loop in which all that ask go on.
const COURTESY: Duration = Duration::from_micros(400);
/// Spares kept for the next handler that waits.
const KEPT_SPARES: usize = 4;
/// The depth of Python code is bounded by the stack on some versions; a main thread has as much.
pub(crate) const STACK: usize = 8 << 20;

/// A lane and its threads.
pub(crate) struct Crew {
    lane: Arc<Lane>,
    seats: Mutex<Seats>,
    changed: Condvar,
    /// Tells the driver to look at `seats`: the crew is closed, or the seat is claimed.
    recall: AtomicBool,
    /// Whether the driver has the interpreter, or is about to.
    attached: AtomicBool,
    /// How looks for one answer turn out, for the answers to a burst of questions, and for the end of such a burst.
    vigil: Vigil,
    bursts: Vigil,
    courtesy: Vigil,
    /// Threads that will let go of the interpreter.
    expected: AtomicUsize,
}

#[derive(Default)]
struct Seats {
    /// Whether a thread drives.
    taken: bool,
    /// Threads of the crew.
    threads: usize,
    /// Those of them that wait for the seat.
    spares: usize,
    /// Whether a foreground thread has or wants the seat; it goes first. Not while a handler that it runs waits.
    claimed: bool,
    /// Whether a thread is in `run()`.
    in_foreground: bool,
    closed: bool,
}

thread_local! {
    /// The crew for which this thread drives.
    static DRIVING: RefCell<Option<Arc<Crew>>> = const { RefCell::new(None) };
    /// The crew to which this thread belongs.
    static MEMBER: RefCell<Option<Arc<Crew>>> = const { RefCell::new(None) };
}

/// To be called before a wait: if this thread drives a lane, a spare takes over.
///
/// # Errors
/// `Busy` if as many handlers wait already as may.
pub(crate) fn make_way() -> PyResult<()> {
    let Some(crew) = DRIVING.take() else { return Ok(()) };
    if crew.vacate() {
        return Ok(());
    }
    DRIVING.set(Some(crew));
    Err(Busy::new_err(format!(
        "{} handlers wait in blocking calls already: let fewer actors block, or use the async calls",
        MOST_THREADS - 1
    )))
}

impl Crew {
    /// Starts the first thread.
    ///
    /// # Errors
    /// If the system has no room for a thread.
    pub(crate) fn start(lane: Arc<Lane>) -> std::io::Result<Arc<Self>> {
        let crew = Arc::new(Self {
            lane,
            seats: Mutex::default(),
            changed: Condvar::new(),
            recall: AtomicBool::new(false),
            attached: AtomicBool::new(false),
            vigil: Vigil::new(VIGIL),
            bursts: Vigil::new(BURST),
            courtesy: Vigil::new(COURTESY),
            expected: AtomicUsize::new(0),
        });
        crew.hire(&mut crew.seats())?;
        Ok(crew)
    }

    pub(crate) fn lane(&self) -> &Lane {
        &self.lane
    }

    /// Drives the lane on this thread until the crew is closed.
    ///
    /// # Errors
    /// What a signal handler raises, `KeyboardInterrupt` as a rule.
    pub(crate) fn drive_here(self: &Arc<Self>, py: Python<'_>) -> PyResult<()> {
        if MEMBER.with_borrow(Option::is_some) || DRIVING.with_borrow(Option::is_some) {
            return Err(PyRuntimeError::new_err("run() inside a handler: call it on a thread of your own"));
        }
        self.enter_foreground()?;
        take_interrupt();
        let end = self.drive_claimed(py);
        let mut seats = self.seats();
        seats.claimed = false;
        seats.in_foreground = false;
        drop(seats);
        self.changed.notify_all();
        end
    }

    /// Looks for a moment whether something is `given` by a handler of this lane; whether it was. To be called
    /// with the interpreter let go. It ends when the driver has let go too, as who looked wants it next.
    pub(crate) fn watch(&self, given: impl Fn() -> bool) -> bool {
        self.vigil.keep(|| self.has_let_go() && given()) || given()
    }

    /// As [`watch`](Self::watch), for the answers to many questions.
    pub(crate) fn watch_burst(&self, given: impl Fn() -> bool) {
        self.bursts.keep(|| self.has_let_go() && given());
    }

    /// Whether the driver has let go of the interpreter. Asked first by who looks: while the driver is at work, it is to have what it
    /// gives to itself, as each look of another thread would take that out of its core's cache.
    fn has_let_go(&self) -> bool {
        !self.attached.load(Ordering::Acquire)
    }

    /// The calling thread will let go of the interpreter soon, and then call [`make_room`](Self::make_room).
    pub(crate) fn expect_room(&self) {
        self.expected.fetch_add(1, Ordering::Release);
    }

    /// It has.
    pub(crate) fn make_room(&self) {
        self.expected.fetch_sub(1, Ordering::Release);
    }

    /// Has everything submitted so far done, tells all threads to leave and waits for them, at most
    /// for `limit`.
    pub(crate) fn close(&self, limit: Duration) {
        let deadline = Instant::now() + limit;
        if !self.seats().closed {
            self.finish_jobs(limit);
        }
        let mut seats = self.seats();
        seats.closed = true;
        self.recall.store(true, Ordering::SeqCst);
        self.lane.close();
        self.changed.notify_all();
        let own = MEMBER.with_borrow(|crew| crew.as_deref().is_some_and(|crew| std::ptr::eq(crew, self)));
        while seats.threads > usize::from(own) {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            seats = self.changed.wait_timeout(seats, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn finish_jobs(&self, limit: Duration) {
        let (done, last) = sync_channel(1);
        self.lane.submit(Box::new(move || done.send(()).unwrap_or(())));
        // A driver that does not come by in time is given up.
        let _ = last.recv_timeout(limit);
    }

    fn enter_foreground(&self) -> PyResult<()> {
        if std::mem::replace(&mut self.seats().in_foreground, true) {
            return Err(PyRuntimeError::new_err("run() is running in another thread: one is enough"));
        }
        Ok(())
    }

    fn drive_claimed(self: &Arc<Self>, py: Python<'_>) -> PyResult<()> {
        loop {
            self.seats().claimed = true;
            self.recall.store(true, Ordering::SeqCst);
            self.lane.wake();
            let Some(true) = wait::block(py, None, |limit| self.take_claimed_seat(limit))? else {
                return Ok(());
            };
            DRIVING.set(Some(self.clone()));
            let end = self.drive(py, wait::signal_slice(py)?, |py| {
                if take_interrupt() { Err(PyKeyboardInterrupt::new_err(())) } else { py.check_signals() }
            });
            self.rise();
            end?;
        }
    }

    /// Runs what is ready until another thread took the seat or wants it.
    fn drive<E>(
        &self,
        py: Python<'_>,
        limit: Option<Duration>,
        check: impl Fn(Python<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut unbroken = Duration::ZERO;
        while drives() && !self.recall.load(Ordering::SeqCst) {
            let ready = py.detach(|| {
                self.attached.store(false, Ordering::Release);
                let begun = Instant::now();
                self.lane.attend(limit);
                if begun.elapsed() >= GIVEN_WAY {
                    unbroken = Duration::ZERO;
                } else if unbroken >= UNBROKEN {
                    thread::sleep(GIVEN_WAY);
                    unbroken = Duration::ZERO;
                }
                self.let_go_first();
                self.attached.store(true, Ordering::Release);
                Instant::now()
            });
            let begun = Instant::now();
            self.lane.run(((begun - ready) * 2).clamp(SLICE, LONGEST_SLICE), drives);
            unbroken += begun.elapsed();
            check(py)?;
        }
        Ok(())
    }

    /// Waits a moment for those who have asked and are about to let go of the interpreter. To wait for that itself would
    /// be to sleep.
    fn let_go_first(&self) {
        if self.expected.load(Ordering::Acquire) > 0 {
            self.courtesy.keep(|| self.expected.load(Ordering::Acquire) == 0);
        }
    }

    /// Leaves the seat, if this thread still has it.
    fn rise(&self) {
        if DRIVING.take().is_some() {
            self.seats().taken = false;
            self.changed.notify_all();
        }
    }

    /// Leaves the seat to a spare, made if need be; `false` if there can be none.
    fn vacate(self: &Arc<Self>) -> bool {
        let mut seats = self.seats();
        if seats.spares == 0 && (seats.threads == MOST_THREADS || self.hire(&mut seats).is_err()) {
            return false;
        }
        seats.taken = false;
        if MEMBER.with_borrow(Option::is_none) {
            // It is in `run()`, and claims the seat anew when its handler has returned.
            seats.claimed = false;
        }
        self.lane.excuse();
        self.changed.notify_all();
        true
    }

    fn hire(self: &Arc<Self>, seats: &mut Seats) -> std::io::Result<()> {
        let crew = self.clone();
        let name = format!("myrmidon-{}", self.lane.name());
        thread::Builder::new().name(name).stack_size(STACK).spawn(move || crew.serve())?;
        seats.threads += 1;
        Ok(())
    }

    /// The life of a thread of the crew. It keeps one interpreter state from beginning to end.
    fn serve(self: Arc<Self>) {
        MEMBER.set(Some(self.clone()));
        Python::try_attach(|py| {
            begin_thread(py);
            while py.detach(|| self.take_seat()) {
                DRIVING.set(Some(self.clone()));
                let Ok(()) = self.drive(py, None, |_| Ok::<(), std::convert::Infallible>(()));
                self.rise();
            }
        });
        MEMBER.take();
        self.seats().threads -= 1;
        self.changed.notify_all();
    }

    /// Waits for the seat; `false` if this thread is not needed any more.
    fn take_seat(&self) -> bool {
        let mut seats = self.seats();
        if seats.spares >= KEPT_SPARES {
            return false;
        }
        seats.spares += 1;
        while (seats.taken || seats.claimed) && !seats.closed {
            seats = self.changed.wait(seats).unwrap_or_else(PoisonError::into_inner);
        }
        seats.spares -= 1;
        if seats.closed {
            return false;
        }
        seats.taken = true;
        self.recall.store(false, Ordering::SeqCst);
        true
    }

    /// Waits for the seat on behalf of a claim; `Some(false)` if the crew is closed.
    fn take_claimed_seat(&self, limit: Option<Duration>) -> Option<bool> {
        let mut seats = self.seats();
        if seats.taken && !seats.closed {
            seats = match limit {
                Some(limit) => {
                    self.changed.wait_timeout(seats, limit).unwrap_or_else(PoisonError::into_inner).0
                }
                None => self.changed.wait(seats).unwrap_or_else(PoisonError::into_inner),
            };
        }
        if seats.closed {
            return Some(false);
        }
        if seats.taken {
            return None;
        }
        seats.taken = true;
        self.recall.store(false, Ordering::SeqCst);
        Some(true)
    }

    fn seats(&self) -> MutexGuard<'_, Seats> {
        self.seats.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether this thread has not made way.
fn drives() -> bool {
    DRIVING.with_borrow(Option::is_some)
}
