//! Who runs actors: worker threads that steal from each other, and lanes driven from outside.
//!
//! Fairness: an actor runs at most its budget of messages, or one slice of time, and goes to the
//! back of its worker's queue; the injector is looked at every 61 slices, and what
//! a full queue spilled takes its place in turn, so an actor that is ready runs after at most the slices
//! queued before it. [`Priority`] says how those of other priorities come in between.

mod abandoned;
mod activity;
mod alarm;
mod blocking;
mod duty;
mod idle;
mod injector;
mod inline;
mod lane;
mod lane_step;
mod lane_table;
mod loan;
#[cfg(all(test, myrmidon_loom))]
mod loom_tests;
mod occasions;
mod relay;
mod run_queue;
mod task;
mod turns;
mod vigil;
mod watchdog;
mod worker;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_queue::SegQueue;

use crate::actor::{Priority, Ready, Schedule, SliceLimits, SpawnOptions, System};
use crate::config::RuntimeConfig;
use crate::pid::Pid;
use alarm::Alarm;
pub use blocking::{Aside, Crowded, step_aside};
use blocking::{Blocking, Place, Refusal};
use duty::Duty;
use idle::Idle;
use injector::Injector;
pub(crate) use inline::{Inline, Leave};
pub use lane::Lane;
pub use lane_step::LaneStep;
use lane_table::LaneTable;
pub(crate) use loan::Drive;
use run_queue::Stealer;
pub use task::{SpawnBlockingError, Task, TaskError};
pub use vigil::Vigil;

use worker::{Desk, Seat};

/// The most spare workers: each costs a few kilobytes before it is ever needed.
const MOST_SPARES: usize = 1024;

/// Work for a worker or a lane that is no actor: answer a ping, log, call back.
pub type Job = Box<dyn FnOnce() + Send>;

/// Something that a thread does around all its work: it calls what it is given once, which returns when the
/// thread shall end.
pub type AroundThread = Arc<dyn Fn(&mut (dyn FnMut() + Send)) + Send + Sync>;

/// The worker threads and lanes of one runtime.
///
/// It does not own the [`System`], which owns it: workers and lanes hold the system themselves.
pub(crate) struct Scheduler {
    limits: SliceLimits,
    /// Workers in service as a rule; the places behind theirs are for spares.
    workers: usize,
    /// Places at which a thread was ever started.
    places: AtomicUsize,
    injector: Injector,
    jobs: SegQueue<Job>,
    stealers: Vec<Stealer<Ready>>,
    desks: Vec<Arc<Desk>>,
    /// Nothing can turn up on another core, as there is none.
    is_alone: bool,
    idle: Idle,
    alarm: Arc<Alarm>,
    blocking: Arc<Blocking>,
    lanes: LaneTable,
    threads: Mutex<Vec<thread::JoinHandle<()>>>,
    /// Turns that others than the workers run on their own threads.
    guests: AtomicUsize,
    /// Those that the thread of the sockets runs.
    inline: Arc<Inline>,
    io: tokio::runtime::Handle,
}

impl Scheduler {
    /// Makes the scheduler and its threads, each inside the context of `io`, so that futures of
    /// actors may use its timers and sockets. `inline` is what its driver runs itself.
    ///
    /// # Errors
    /// If the system has no room for the threads.
    pub(crate) fn start(
        system: &Arc<System>,
        config: &RuntimeConfig,
        around_blocking: AroundThread,
        (io, inline): (&tokio::runtime::Handle, Arc<Inline>),
    ) -> std::io::Result<Arc<Self>> {
        let workers = config.workers.max(1);
        let spares = config.spare_workers.min(MOST_SPARES);
        let seats: Vec<_> = (0..workers + spares).map(|_| Seat::new()).collect();
        let duty = |place| if place < workers { Duty::serving() } else { Duty::benched() };
        let scheduler = Arc::new(Self {
            limits: SliceLimits { time: config.slice },
            workers,
            places: AtomicUsize::new(workers),
            injector: Injector::new(),
            jobs: SegQueue::new(),
            stealers: seats.iter().map(|seat| seat.queue.stealer()).collect(),
            desks: (0..).zip(seats).map(|(place, seat)| Arc::new(Desk::new(seat, duty(place)))).collect(),
            is_alone: thread::available_parallelism().is_ok_and(|cores| cores.get() == 1),
            idle: Idle::new(workers, spares),
            alarm: Arc::default(),
            blocking: Arc::new(Blocking::new(system, config, around_blocking, io.clone())),
            lanes: LaneTable::new(),
            threads: Mutex::default(),
            guests: AtomicUsize::new(0),
            inline,
            io: io.clone(),
        });
        let started = (0..workers).try_for_each(|place| scheduler.start_worker(system, place));
        match started.and_then(|()| scheduler.keep(watchdog::spawn(&scheduler, system, config))) {
            Ok(()) => Ok(scheduler),
            Err(error) => {
                scheduler.stop();
                Err(error)
            }
        }
    }

    /// Runs `job` on a worker, soon.
    pub(crate) fn submit(&self, job: Job) {
        self.jobs.push(job);
        self.idle.notify();
    }

    /// Runs `closure` on the pool for blocking work.
    pub(crate) fn spawn_blocking<T, F>(&self, closure: F) -> Result<Task<T>, SpawnBlockingError<F>>
    where
        T: Send + 'static,
        F: FnOnce() -> T + Send + 'static,
    {
        self.place(self.blocking.place(), closure)
    }

    /// Runs `closure` beside what waits for the pool and what is counted there.
    pub(crate) fn spawn_beside<T, F>(&self, closure: F) -> Result<Task<T>, SpawnBlockingError<F>>
    where
        T: Send + 'static,
        F: FnOnce() -> T + Send + 'static,
    {
        self.place(self.blocking.beside(), closure)
    }

    fn place<T, F>(
        &self,
        place: Result<Place<'_>, Refusal>,
        closure: F,
    ) -> Result<Task<T>, SpawnBlockingError<F>>
    where
        T: Send + 'static,
        F: FnOnce() -> T + Send + 'static,
    {
        match place {
            Ok(place) => {
                let (job, task) = Task::of(closure, self.blocking.system());
                place.put(job);
                Ok(task)
            }
            Err(Refusal::Full(waiting)) => Err(SpawnBlockingError::Full { waiting, closure }),
            Err(Refusal::NoThread(error)) => Err(SpawnBlockingError::NoThread { error, closure }),
            Err(Refusal::Stopped) => Err(SpawnBlockingError::ShutDown { closure }),
        }
    }

    /// A lane whose actors run only on the thread that calls [`Lane::run`].
    pub(crate) fn open_lane(&self, name: &str, system: &Arc<System>) -> Arc<Lane> {
        let system = Arc::downgrade(system);
        let lane = |id| Lane::new(id, name, system, self.io.clone(), self.alarm.clone());
        self.lanes.add(|id| Arc::new(lane(id).borrowing_from(self.inline.clone())))
    }

    /// For how long the slowest lane has owed a sign of life; each call asks for one.
    pub(crate) fn pulse_of_lanes(&self) -> Duration {
        self.lanes.iter().map(Lane::pulse).max().unwrap_or_default()
    }

    /// Waits until nothing is ready or running, at most until `deadline`; whether that was reached.
    pub(crate) fn wait_quiet(&self, deadline: Instant) -> bool {
        while !self.is_quiet() {
            if Instant::now() >= deadline {
                return false;
            }
            thread::sleep(Duration::from_millis(1));
        }
        true
    }

    /// Has the thread of the sockets run no more slices: it may be the one that shuts down.
    pub(crate) fn retire_inline(&self) {
        self.inline.retire();
    }

    /// Whether the thread of the sockets, which is not this one, has a slice to end.
    pub(crate) fn runs_inline(&self) -> bool {
        inline::runs_elsewhere(self)
    }

    /// Ends the workers; they finish the slice they are in.
    pub(crate) fn stop(&self) {
        self.idle.stop();
        self.inline.hand_over();
        self.alarm.stop();
        self.blocking.stop();
        self.lanes.iter().for_each(|lane| lane.close());
    }

    /// The next thread to wait for after [`stop`](Self::stop).
    pub(crate) fn next_thread(&self) -> Option<thread::JoinHandle<()>> {
        self.threads().pop().or_else(|| self.blocking.next_thread())
    }

    /// Starts the thread of the worker at this place.
    fn start_worker(self: &Arc<Self>, system: &Arc<System>, place: usize) -> std::io::Result<()> {
        self.keep(worker::spawn(self.clone(), system.clone(), place))
    }

    fn keep(&self, thread: std::io::Result<thread::JoinHandle<()>>) -> std::io::Result<()> {
        thread.map(|thread| self.threads().push(thread))
    }

    fn threads(&self) -> MutexGuard<'_, Vec<thread::JoinHandle<()>>> {
        self.threads.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_quiet(&self) -> bool {
        // Twice, because an actor of one may just have woken an actor of the other.
        (0..2).all(|_| {
            self.guests.load(Ordering::SeqCst) == 0
                && self.inline.is_quiet()
                && self.injector.is_empty()
                && self.jobs.is_empty()
                && self.idle.all_asleep()
                && self.blocking.is_quiet()
                && self.lanes.iter().all(|lane| lane.is_quiet())
        })
    }

    /// Whether neither workers nor the thread of the sockets run anything.
    fn workers_rest(&self) -> bool {
        self.idle.all_asleep() && self.inline.is_quiet()
    }

    /// Whether there is something that any worker may take.
    fn work_left(&self) -> bool {
        !self.injector.is_empty()
            || !self.jobs.is_empty()
            || self.stealers().iter().any(|queue| !queue.is_empty())
    }

    /// Wakes a sleeper for what was put where any worker may take it.
    fn call_others(&self) {
        let sleeper = self.idle.some_asleep();
        self.idle.notify();
        if !sleeper && worker::has_made_way(self) {
            // So that a spare is called now and not at the next look.
            self.alarm.hurry();
        }
    }

    /// The queues of the places where a thread was ever started.
    fn stealers(&self) -> &[Stealer<Ready>] {
        &self.stealers[..self.places.load(Ordering::Acquire)]
    }

    fn has_jobs(&self) -> bool {
        !self.jobs.is_empty()
    }

    fn next_job(&self) -> Option<Job> {
        // Most often there is none, and a look is cheaper than a pop in vain.
        if self.has_jobs() { self.jobs.pop() } else { None }
    }
}

impl Schedule for Arc<Scheduler> {
    fn schedule(&self, ready: Ready) {
        let refused = match ready.lane() {
            0 if ready.priority() == Priority::Normal => {
                worker::push_local(self, ready).and_then(|ready| inline::keep(self, ready))
            }
            0 => Some(ready),
            SpawnOptions::BLOCKING => self.blocking.run(ready),
            id => match self.lanes.get(id) {
                Some(lane) => {
                    // First: who is woken finds the loop lent.
                    inline::lend(self, lane);
                    return lane.push(ready);
                }
                None => Some(ready),
            },
        };
        // Of a lane that was never given out, or for a thread that cannot be had: the workers run it,
        // so nothing is lost.
        let Some(ready) = refused else { return };
        self.injector.push(ready);
        self.call_others();
    }

    fn run_here(&self, turn: &mut dyn FnMut()) {
        let _context = self.io.enter();
        let _guest = Guest::enter(&self.guests);
        turn();
    }

    fn make_way(&self) -> bool {
        let made = inline::make_way(self) || worker::make_way(self);
        if made && self.work_left() {
            self.call_others();
        }
        made
    }

    fn go_on(&self, pid: Pid) {
        inline::go_on(self, pid);
        worker::go_on(self, pid);
    }

    fn let_go(&self) {
        inline::let_go(self);
    }
}

/// A turn on a thread that is no worker.
struct Guest<'a>(&'a AtomicUsize);

impl<'a> Guest<'a> {
    fn enter(guests: &'a AtomicUsize) -> Self {
        guests.fetch_add(1, Ordering::SeqCst);
        Self(guests)
    }
}

impl Drop for Guest<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}
