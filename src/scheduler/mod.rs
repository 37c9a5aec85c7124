//! Who runs actors: worker threads that steal from each other, and lanes driven from outside.
//!
//! Fairness: an actor runs at most its budget of messages, or one slice of time, and goes to the
//! back of its worker's queue; the injector is looked at every 61 slices, and what
//! a full queue spilled takes its place in turn, so an actor that is ready runs after at most the slices
//! queued before it. [`Priority`] says how those of other priorities come in between.

mod idle;
mod injector;
mod lane;
#[cfg(all(test, myrmidon_loom))]
mod loom_tests;
mod run_queue;
mod worker;

use std::sync::{Arc, PoisonError, RwLock};
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_queue::SegQueue;

use crate::actor::{Priority, Ready, Schedule, SliceLimits, System};
use idle::Idle;
use injector::Injector;
pub use lane::Lane;
use run_queue::Stealer;

const LOOKS: u32 = 10;

/// Work for a worker or a lane that is no actor: answer a ping, log, call back.
pub type Job = Box<dyn FnOnce() + Send>;

/// The worker threads and lanes of one runtime.
///
/// It does not own the [`System`], which owns it: workers and lanes hold the system themselves.
pub(crate) struct Scheduler {
    limits: SliceLimits,
    injector: Injector,
    jobs: SegQueue<Job>,
    stealers: Vec<Stealer<Ready>>,
    desks: Vec<Arc<worker::Desk>>,
    /// How often a worker looks for work before it sleeps.
    looks: u32,
    idle: Idle,
    lanes: RwLock<Vec<Arc<Lane>>>,
    io: tokio::runtime::Handle,
}

impl Scheduler {
    /// Makes the scheduler and its threads, each inside the context of `io`, so that futures of
    /// actors may use its timers and sockets.
    ///
    /// # Errors
    /// If the system has no room for the threads.
    pub(crate) fn start(
        system: &Arc<System>,
        workers: usize,
        limits: SliceLimits,
        io: &tokio::runtime::Handle,
    ) -> std::io::Result<(Arc<Self>, Vec<thread::JoinHandle<()>>)> {
        let seats: Vec<_> = (0..workers.max(1)).map(|_| worker::Seat::new()).collect();
        let scheduler = Arc::new(Self {
            limits,
            injector: Injector::new(),
            jobs: SegQueue::new(),
            stealers: seats.iter().map(|seat| seat.queue.stealer()).collect(),
            desks: seats.iter().map(|seat| Arc::new(worker::Desk::of(seat))).collect(),
            looks: looks(),
            idle: Idle::new(seats.len()),
            lanes: RwLock::default(),
            io: io.clone(),
        });
        let mut threads = Vec::with_capacity(seats.len());
        for (index, seat) in seats.into_iter().enumerate() {
            match worker::spawn(scheduler.clone(), system.clone(), index, seat, io.clone()) {
                Ok(thread) => threads.push(thread),
                Err(error) => {
                    scheduler.stop();
                    return Err(error);
                }
            }
        }
        Ok((scheduler, threads))
    }

    /// Runs `job` on a worker, soon.
    pub(crate) fn submit(&self, job: Job) {
        self.jobs.push(job);
        self.idle.notify();
    }

    /// A lane whose actors run only on the thread that calls [`Lane::run`].
    pub(crate) fn open_lane(&self, name: &str, system: &Arc<System>) -> Arc<Lane> {
        let mut lanes = self.lanes.write().unwrap_or_else(PoisonError::into_inner);
        let id = u32::try_from(lanes.len() + 1).expect("a handful of lanes");
        let lane = Arc::new(Lane::new(id, name, Arc::downgrade(system), self.io.clone()));
        lanes.push(lane.clone());
        lane
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

    /// Ends the workers; they finish the slice they are in.
    pub(crate) fn stop(&self) {
        self.idle.stop();
        for lane in self.lanes.read().unwrap_or_else(PoisonError::into_inner).iter() {
            lane.close();
        }
    }

    fn is_quiet(&self) -> bool {
        let lanes = self.lanes.read().unwrap_or_else(PoisonError::into_inner);
        // Twice, because an actor of one may just have woken an actor of the other.
        (0..2).all(|_| {
            self.injector.is_empty()
                && self.jobs.is_empty()
                && self.idle.all_asleep()
                && lanes.iter().all(|lane| lane.is_quiet())
        })
    }

    /// Whether there is something that any worker may take.
    fn work_left(&self) -> bool {
        !self.injector.is_empty()
            || !self.jobs.is_empty()
            || self.stealers.iter().any(|queue| !queue.is_empty())
    }

    fn has_jobs(&self) -> bool {
        !self.jobs.is_empty()
    }

    fn next_job(&self) -> Option<Job> {
        // Most often there is none, and a look is cheaper than a pop in vain.
        if self.has_jobs() { self.jobs.pop() } else { None }
    }

    fn lane(&self, id: u32) -> Option<Arc<Lane>> {
        let lanes = self.lanes.read().unwrap_or_else(PoisonError::into_inner);
        lanes.get((id as usize).checked_sub(1)?).cloned()
    }
}

/// Looks of a searching worker: about ten microseconds of them, where the others do not need this core.
fn looks() -> u32 {
    if thread::available_parallelism().is_ok_and(|cores| cores.get() > 1) { LOOKS } else { 1 }
}

impl Schedule for Arc<Scheduler> {
    fn schedule(&self, ready: Ready) {
        let ready = match (ready.lane(), ready.priority()) {
            (0, Priority::Normal) => worker::push_local(self, ready),
            (0, _) => Some(ready),
            (id, _) => match self.lane(id) {
                Some(lane) => return lane.push(ready),
                // A lane number that was never given out: the workers run it, so nothing is lost.
                None => Some(ready),
            },
        };
        if let Some(ready) = ready {
            self.injector.push(ready);
            self.idle.notify();
        }
    }
}
