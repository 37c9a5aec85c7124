//! A bounded pool of threads for work that blocks: the slices of actors that say so, and closures.
//!
//! Threads start when there is more work than waiting threads, and end when there has been none for
//! [`KEEP`]. When all are busy the work queues, first come, first served. Actors do so without a bound,
//! since each of them waits at most once; of closures at most a configured number.
//!
//! Work that waits for other work, which may need a thread of the pool too, steps aside meanwhile ([`step_aside`]): its
//! thread does not count, and another may take its place. Work for which others wait, or that does nothing but wait, never
//! counts and never queues: it is run beside the rest ([`Blocking::beside`]).

mod aside;

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::{AroundThread, Job};
use crate::actor::{After, Ready, Runner, SliceLimits, System, discard, run_slice, shielded};
use crate::config::RuntimeConfig;
pub use aside::{Aside, Crowded, step_aside};

thread_local! {
    /// The pool to which this thread belongs.
    static POOL: RefCell<Weak<Blocking>> = const { RefCell::new(Weak::new()) };
}

/// How long a thread waits for more work before it ends.
const KEEP: Duration = Duration::from_secs(10);

pub(super) struct Blocking {
    limits: SliceLimits,
    most_threads: usize,
    most_jobs: usize,
    keep: Duration,
    stack: usize,
    around: AroundThread,
    system: Weak<System>,
    io: tokio::runtime::Handle,
    state: Mutex<State>,
    /// Rung for each piece of work, and when the pool is stopped.
    bell: Condvar,
}

#[derive(Default)]
struct State {
    queue: VecDeque<Work>,
    /// Jobs among the queue.
    jobs: usize,
    /// Jobs beside the rest for which a thread is about to come.
    called: VecDeque<Job>,
    /// Jobs beside the rest that are called or run.
    beside: usize,
    /// Threads that have not ended, each with its number.
    threads: Vec<(usize, JoinHandle<()>)>,
    /// Threads that do nothing, those included that have just been started.
    free: usize,
    /// Threads whose work waits for other work.
    aside: usize,
    /// Threads ever started.
    started: usize,
    stopped: bool,
}

enum Work {
    Actor(Ready),
    Job(Job),
    Beside(Job),
}

/// A place for one job.
pub(super) struct Place<'a> {
    pool: &'a Blocking,
    state: MutexGuard<'a, State>,
    queue: Queue,
}

enum Queue {
    Shared,
    Called,
}

/// Why there is no place.
pub(super) enum Refusal {
    /// So many jobs wait already.
    Full(usize),
    NoThread(io::Error),
    Stopped,
}

impl Blocking {
    pub(super) fn new(
        system: &Arc<System>,
        config: &RuntimeConfig,
        around: AroundThread,
        io: tokio::runtime::Handle,
    ) -> Self {
        Self {
            limits: SliceLimits { time: config.slice },
            most_threads: config.blocking_threads.max(1),
            most_jobs: config.blocking_queue,
            keep: KEEP,
            stack: config.blocking_stack,
            around,
            system: Arc::downgrade(system),
            io,
            state: Mutex::default(),
            bell: Condvar::new(),
        }
    }

    /// The system whose actors it runs.
    pub(super) fn system(&self) -> Weak<System> {
        self.system.clone()
    }

    /// Runs a slice of the actor on a thread of the pool. Gives it back if there is none and none can be
    /// had.
    pub(super) fn run(self: &Arc<Self>, ready: Ready) -> Option<Ready> {
        let mut state = self.lock();
        if let Err(error) = self.provide_some_thread(&mut state) {
            drop(state);
            tracing::warn!(target: "myrmidon.scheduler", %error, "no thread for blocking work");
            return Some(ready);
        }
        state.queue.push_back(Work::Actor(ready));
        self.bell.notify_one();
        None
    }

    /// A place for a job.
    ///
    /// # Errors
    /// If as many wait as may, no thread can be had, or the pool is stopped.
    pub(super) fn place(self: &Arc<Self>) -> Result<Place<'_>, Refusal> {
        let mut state = self.lock();
        if state.stopped {
            return Err(Refusal::Stopped);
        }
        self.provide_some_thread(&mut state).map_err(Refusal::NoThread)?;
        // Jobs that a free thread is about to take do not wait.
        let free = state.free.saturating_sub(state.called.len());
        let waiting = state.jobs.saturating_sub(free);
        if state.queue.len() >= free && waiting >= self.most_jobs {
            return Err(Refusal::Full(waiting));
        }
        Ok(Place { pool: self, state, queue: Queue::Shared })
    }

    /// A place for a job on a thread that does not count, before all that waits.
    ///
    /// # Errors
    /// If no thread can be had, or the pool is stopped.
    pub(super) fn beside(self: &Arc<Self>) -> Result<Place<'_>, Refusal> {
        let mut state = self.lock();
        if state.stopped {
            return Err(Refusal::Stopped);
        }
        state.beside += 1;
        // Not by the bound, which threads that stood aside may be over.
        let provided = if state.called.len() >= state.free && !state.stopped {
            self.add_thread(&mut state)
        } else {
            self.provide_thread(&mut state)
        };
        match provided {
            // Those that there are may all do what waits for this one.
            Err(error) if state.free <= state.called.len() => {
                state.beside -= 1;
                Err(Refusal::NoThread(error))
            }
            _ => Ok(Place { pool: self, state, queue: Queue::Called }),
        }
    }

    /// Whether no work waits and none is done.
    pub(super) fn is_quiet(&self) -> bool {
        let state = self.lock();
        state.waiting() == 0 && state.free == state.threads.len()
    }

    /// Ends the threads: jobs that wait are dropped, actors have one more turn.
    pub(super) fn stop(&self) {
        let mut state = self.lock();
        state.stopped = true;
        state.jobs = 0;
        let (actors, jobs) = std::mem::take(&mut state.queue).into_iter().partition(Work::is_actor);
        state.queue = actors;
        state.beside -= state.called.len();
        let called = std::mem::take(&mut state.called);
        self.bell.notify_all();
        drop(state);
        discard::<(VecDeque<Work>, VecDeque<Job>)>((jobs, called));
    }

    /// The next thread to wait for after [`stop`](Self::stop).
    pub(super) fn next_thread(&self) -> Option<JoinHandle<()>> {
        self.lock().threads.pop().map(|(_, thread)| thread)
    }

    /// Whether an actor waits for a thread.
    pub(super) fn has_actors(&self) -> bool {
        self.lock().queue.iter().any(Work::is_actor)
    }

    /// The actor that has waited longest, for who runs it elsewhere. To be called after
    /// [`stop`](Self::stop), when no jobs are left.
    pub(super) fn take_actor(&self) -> Option<Ready> {
        match self.lock().queue.pop_front() {
            Some(Work::Actor(ready)) => Some(ready),
            Some(Work::Job(_) | Work::Beside(_)) | None => None,
        }
    }

    /// Sees to it that one more piece of work finds a thread sooner or later.
    ///
    /// # Errors
    /// If there should be one more, and none can be had.
    fn provide_thread(self: &Arc<Self>, state: &mut State) -> io::Result<()> {
        if state.waiting() < state.free || state.threads.len() >= self.most(state) || state.stopped {
            return Ok(());
        }
        self.add_thread(state)
    }

    fn add_thread(self: &Arc<Self>, state: &mut State) -> io::Result<()> {
        let (pool, number) = (self.clone(), state.started);
        let name = format!("myrmidon-blocking-{number}");
        let thread = thread::Builder::new().name(name).stack_size(self.stack);
        let thread = thread.spawn(move || {
            POOL.set(Arc::downgrade(&pool));
            pool.live(number);
        })?;
        state.started += 1;
        state.free += 1;
        state.threads.push((number, thread));
        Ok(())
    }

    /// As [`provide_thread`](Self::provide_thread), for work that can wait for the threads that there are.
    fn provide_some_thread(self: &Arc<Self>, state: &mut State) -> io::Result<()> {
        self.provide_thread(state).or_else(|error| if state.threads.is_empty() { Err(error) } else { Ok(()) })
    }

    /// How many threads there may be.
    fn most(&self, state: &State) -> usize {
        self.most_threads + state.aside + state.beside
    }

    /// Whether more threads are there than may be, now that one that stood aside is back, or work beside the rest done.
    fn has_too_many(&self, state: &State) -> bool {
        state.threads.len() > self.most(state)
    }

    /// The life of a thread, inside what is put around it.
    fn live(&self, number: usize) {
        let mut served = false;
        (self.around)(&mut || {
            if !std::mem::replace(&mut served, true) {
                self.serve(number);
            }
        });
        if !served {
            self.serve(number);
        }
    }

    fn serve(&self, number: usize) {
        let _context = self.io.enter();
        let mut runner = Runner::new(self.limits);
        while let Some(work) = self.next(number, &mut runner) {
            match work {
                Work::Actor(ready) => self.turn(ready, &mut runner),
                Work::Job(job) => shielded("a job", job),
                Work::Beside(job) => self.run_beside(job),
            }
            self.lock().free += 1;
        }
    }

    fn run_beside(&self, job: Job) {
        // It is in nobody's way, and need not step aside.
        let pool = POOL.take();
        shielded("a job", job);
        POOL.set(pool);
        self.lock().beside -= 1;
    }

    fn turn(&self, ready: Ready, runner: &mut Runner) {
        let Some(system) = self.system.upgrade() else { return };
        let (pid, begun) = (ready.pid(), Instant::now());
        let after = run_slice(ready, &system, runner, || false);
        system.has_run(pid, begun.elapsed());
        if let After::Again(ready) = after {
            let mut state = self.lock();
            if !state.stopped {
                // This thread comes for more, if no other is earlier.
                state.queue.push_back(Work::Actor(ready));
            }
        }
    }

    /// The next work; `None` if the thread, which is on the list no more, should end.
    fn next(&self, number: usize, runner: &mut Runner) -> Option<Work> {
        let mut state = self.lock();
        let mut over = false;
        loop {
            // One that took the place of another is not needed when that is back.
            over |= self.has_too_many(&state);
            if !over && let Some(work) = state.take() {
                return Some(work);
            }
            if state.stopped || over {
                if state.waiting() > 0 {
                    // Whoever rang meant this thread.
                    self.bell.notify_one();
                }
                state.free -= 1;
                state.threads.retain(|(other, _)| *other != number);
                return None;
            }
            runner.rest();
            let waited = self.bell.wait_timeout(state, self.keep).unwrap_or_else(PoisonError::into_inner);
            (state, over) = (waited.0, waited.1.timed_out());
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place<'_> {
    pub(super) fn put(mut self, job: Job) {
        match self.queue {
            Queue::Shared => {
                self.state.jobs += 1;
                self.state.queue.push_back(Work::Job(job));
            }
            Queue::Called => self.state.called.push_back(job),
        }
        self.pool.bell.notify_one();
    }
}

impl State {
    /// Pieces of work that no thread has begun.
    fn waiting(&self) -> usize {
        self.queue.len() + self.called.len()
    }

    /// The next work.
    fn take(&mut self) -> Option<Work> {
        let work = self.called.pop_front().map(Work::Beside).or_else(|| self.queue.pop_front())?;
        self.free -= 1;
        self.jobs -= usize::from(matches!(work, Work::Job(_)));
        Some(work)
    }
}

impl Work {
    fn is_actor(&self) -> bool {
        matches!(self, Self::Actor(_))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::sync_channel;

    use super::*;

    #[test]
    #[cfg_attr(myrmidon_loom, ignore = "runs outside of a model")]
    fn work_that_waits_for_other_work_leaves_its_thread_to_it() {
        let io = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let system = Arc::new(System::new(1).unwrap());
        let config = RuntimeConfig { blocking_threads: 1, ..RuntimeConfig::default() };
        let pool = Arc::new(Blocking::new(&system, &config, Arc::new(|serve| serve()), io.handle().clone()));
        let put = |pool: &Arc<Blocking>, job: Job| match pool.place() {
            Ok(place) => place.put(job),
            Err(_) => panic!("there is room"),
        };
        assert!(step_aside().unwrap().is_none(), "this is no thread of a pool");
        let ((tell, told), (inner, heard)) = (sync_channel(1), sync_channel(1));
        let behind = pool.clone();
        put(
            &pool,
            Box::new(move || {
                put(&behind, Box::new(move || inner.send(()).unwrap()));
                let aside = step_aside().unwrap();
                heard.recv_timeout(Duration::from_secs(20)).unwrap();
                drop(aside);
                tell.send(()).unwrap();
            }),
        );
        told.recv_timeout(Duration::from_secs(20)).unwrap();
        let deadline = Instant::now() + Duration::from_secs(20);
        while pool.lock().threads.len() > 1 {
            assert!(Instant::now() < deadline, "the second thread stays");
            thread::sleep(Duration::from_millis(1));
        }
        assert_eq!(pool.lock().aside, 0);
        pool.stop();
    }

    #[test]
    #[cfg_attr(myrmidon_loom, ignore = "runs outside of a model")]
    fn work_beside_the_rest_waits_for_none_of_it_and_leaves_no_thread_behind() {
        let io = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let system = Arc::new(System::new(1).unwrap());
        let config = RuntimeConfig { blocking_threads: 1, ..RuntimeConfig::default() };
        let pool = Arc::new(Blocking::new(&system, &config, Arc::new(|serve| serve()), io.handle().clone()));
        let put = |place: Result<Place<'_>, Refusal>, job: Job| match place {
            Ok(place) => place.put(job),
            Err(_) => panic!("there is room"),
        };
        let limit = Duration::from_secs(20);
        let (open, gate) = sync_channel::<()>(0);
        let (tell, told) = sync_channel(3);
        put(pool.place(), Box::new(move || _ = gate.recv_timeout(limit)));
        let last = tell.clone();
        put(pool.place(), Box::new(move || last.send("waited").unwrap()));
        // Each of them waits for the next.
        let (inner, outer, behind) = (tell.clone(), tell, pool.clone());
        put(
            pool.beside(),
            Box::new(move || {
                let (answer, answered) = sync_channel(1);
                let Ok(place) = behind.beside() else { panic!("there is room") };
                place.put(Box::new(move || {
                    assert!(step_aside().unwrap().is_none(), "it is in the way of nobody");
                    inner.send("inner").unwrap();
                    answer.send(()).unwrap();
                }));
                answered.recv_timeout(limit).unwrap();
                outer.send("outer").unwrap();
            }),
        );
        assert_eq!(told.recv_timeout(limit), Ok("inner"));
        assert_eq!(told.recv_timeout(limit), Ok("outer"));
        assert!(told.try_recv().is_err(), "what counts waits for the only thread");
        drop(open);
        assert_eq!(told.recv_timeout(limit), Ok("waited"));
        let deadline = Instant::now() + limit;
        while pool.lock().threads.len() > 1 || !pool.is_quiet() {
            assert!(Instant::now() < deadline, "a thread too many stays");
            thread::sleep(Duration::from_millis(1));
        }
        assert_eq!(pool.lock().beside, 0);
        pool.stop();
    }

    #[test]
    #[cfg_attr(myrmidon_loom, ignore = "runs outside of a model")]
    fn threads_end_when_there_is_nothing_to_do_and_start_again() {
        let io = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let system = Arc::new(System::new(1).unwrap());
        let mut pool =
            Blocking::new(&system, &RuntimeConfig::default(), Arc::new(|serve| serve()), io.handle().clone());
        pool.keep = Duration::from_millis(1);
        let pool = Arc::new(pool);
        for _ in 0..3 {
            let (tell, told) = sync_channel(1);
            let Ok(place) = pool.place() else { panic!("there is room") };
            place.put(Box::new(move || tell.send(()).unwrap()));
            told.recv_timeout(Duration::from_secs(20)).unwrap();
            let deadline = Instant::now() + Duration::from_secs(20);
            while !pool.lock().threads.is_empty() {
                assert!(Instant::now() < deadline, "the thread has not ended");
                thread::sleep(Duration::from_millis(1));
            }
            assert!(pool.is_quiet());
        }
    }
}
