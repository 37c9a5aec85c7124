//! Runs the actors of one runtime on the thread of a test, one turn at a time, in the order that a
//! strategy gives.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::thread::{self, ThreadId};
use std::time::{Duration, Instant};

use super::mesh::Mesh;
use super::strategy::{Candidate, Chooser};
use super::trace::{ActorId, Step, Trace};
use super::{Fault, SimBuilder};
use crate::actor::{
    After, Ready, Runner, Running, Schedule, Signal, System, forgive_debt, run_slice, shielded,
};
use crate::clock::Clock;
use crate::error::StepLimit;
use crate::pid::Pid;
use crate::random::Random;
use crate::scheduler::{Job, Lane};

/// What waits for a time: timers, and pauses between restarts.
pub(crate) trait Agenda: Send + Sync {
    /// The next time at which there is something to do.
    fn next_due(&self) -> Option<Instant>;
    /// Does what is due.
    fn fire_due(&self, now: Instant);
}

/// How far the clock is moved where something claims to be due and does nothing: a timer may round
/// its time up.
const TICK: Duration = Duration::from_millis(1);

/// Steps of a moment in which actors may go on: who waits wants to look at the time now and then, and some
/// never come to rest.
const MOMENT: usize = 10_000;

/// Stands for a scheduler. Its lock is never held while code of others runs.
pub(crate) struct Stepper {
    /// The only thread that runs actors. Calls of others push and wait as ever.
    thread: ThreadId,
    clock: Clock,
    first_generation: u32,
    state: Mutex<State>,
    connected: OnceLock<Connected>,
    /// Where its mesh runs, if that takes part.
    mesh: Option<Mesh>,
}

struct Connected {
    system: Weak<System>,
    agenda: Box<dyn Agenda>,
    io: tokio::runtime::Handle,
}

struct State {
    /// In the order in which they became ready.
    ready: Vec<Ready>,
    jobs: VecDeque<Job>,
    lanes: Vec<Arc<Lane>>,
    chooser: Chooser,
    /// For what the runtime itself leaves to chance.
    random: Random,
    trace: Trace,
    limit: usize,
    faults: Vec<Fault>,
    /// Called before each step with its number.
    between: Option<Between>,
}

pub(super) type Between = Box<dyn FnMut(usize) + Send>;

enum Work {
    Actor { ready: Ready, budget: u32 },
    Job(Job),
}

impl Stepper {
    pub(super) fn new(settings: &SimBuilder) -> Arc<Self> {
        let mut random = Random::stream(settings.seed, 1);
        let first_generation = 1 + random.below(u64::from(u32::MAX / 2)) as u32;
        let mesh = settings.mesh.clone().map(Mesh::new);
        let start = mesh.as_ref().map_or_else(Instant::now, Mesh::now);
        let chooser = Chooser::new(&settings.strategy, settings.seed, settings.budget.clone());
        Arc::new(Self {
            thread: thread::current().id(),
            clock: Clock::virtual_from(start),
            first_generation,
            state: Mutex::new(State {
                ready: Vec::new(),
                jobs: VecDeque::new(),
                lanes: Vec::new(),
                chooser,
                random,
                trace: Trace::default(),
                limit: settings.step_limit,
                faults: Vec::new(),
                between: None,
            }),
            connected: OnceLock::new(),
            mesh,
        })
    }

    /// A system whose clock and PIDs are those of the simulation.
    pub(crate) fn new_system(&self, budget: u32) -> System {
        System::simulated(budget, self.first_generation, self.clock.clone())
    }

    /// Connects what is built after the stepper. Called once, before the first step.
    pub(crate) fn connect(&self, system: &Arc<System>, agenda: Box<dyn Agenda>, io: tokio::runtime::Handle) {
        let _ = self.connected.set(Connected { system: Arc::downgrade(system), agenda, io });
    }

    /// The tokio runtime on which its mesh runs, if that takes part.
    pub(crate) fn mesh(&self) -> Option<&tokio::runtime::Handle> {
        self.mesh.as_ref().map(Mesh::io)
    }

    /// Runs from now on whenever that runtime does.
    pub(super) fn join_mesh(self: &Arc<Self>) {
        self.mesh.iter().for_each(|mesh| mesh.drive(self));
    }

    /// When there is something to do that waits for its time.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.connected.get().and_then(|connected| connected.agenda.next_due())
    }

    /// Whether actors run on this thread.
    pub(crate) fn is_here(&self) -> bool {
        thread::current().id() == self.thread
    }

    /// The system whose actors it runs.
    pub(crate) fn system(&self) -> Weak<System> {
        self.connected.get().map_or_else(Weak::new, |connected| connected.system.clone())
    }

    /// Runs `job` as a step, soon.
    pub(crate) fn submit(&self, job: Job) {
        self.state().jobs.push_back(job);
        self.mesh.iter().for_each(Mesh::ring);
    }

    /// A lane whose actors and jobs run among all others.
    pub(crate) fn open_lane(&self, name: &str, system: &Arc<System>) -> Arc<Lane> {
        let mut state = self.state();
        let id = u32::try_from(state.lanes.len() + 1).expect("a handful of lanes");
        let io = self.connected.get().map(|connected| connected.io.clone());
        let io = io.expect("a stepper is connected before anybody has its runtime");
        let lane = Arc::new(Lane::unwatched(id, name, Arc::downgrade(system), io));
        state.lanes.push(lane.clone());
        lane
    }

    /// Runs until nothing is ready, unless `deadline` is over or no more steps may be taken; whether nothing is.
    pub(crate) fn wait_quiet(&self, deadline: Instant) -> bool {
        if !self.is_here() || self.clock.now() >= deadline {
            return !self.state().has_work();
        }
        loop {
            match self.step() {
                Ok(true) => {}
                Ok(false) => return true,
                Err(_) => return false,
            }
        }
    }

    /// Nothing may stop the actors from ending: no fault, no hook, no limit.
    pub(crate) fn unbind(&self) {
        let mut state = self.state();
        state.limit = usize::MAX;
        state.faults.clear();
        let between = state.between.take();
        drop(state);
        drop(between);
    }

    /// A number that the seed decides.
    pub(crate) fn random_u32(&self) -> u32 {
        self.state().random.next_u64() as u32
    }

    /// Lets actors run for a moment: as `run_for`, but no more than so many steps.
    pub(crate) fn pause(&self, moment: Duration) {
        if !self.is_here() {
            return thread::sleep(moment);
        }
        let mut left = MOMENT;
        // Who waits in moments has a deadline, so that one without a step does no harm.
        let _ = self.drive_here(self.clock.now().checked_add(moment), &mut || {
            left = left.saturating_sub(1);
            left == 0
        });
    }

    /// One step; `false` if nothing is ready.
    pub(super) fn step(&self) -> Result<bool, StepLimit> {
        let Some(connected) = self.connected.get() else { return Ok(false) };
        let Some(system) = connected.system.upgrade() else { return Ok(false) };
        connected.agenda.fire_due(self.clock.now());
        self.interfere(&system);
        let Some((work, at)) = self.state().choose(self.first_generation)? else { return Ok(false) };
        let _context = connected.io.enter();
        match work {
            Work::Job(job) => {
                let _nobody = Running::nobody();
                shielded("a job", job);
            }
            Work::Actor { ready, budget } => self.turn(ready, budget, at, &system),
        }
        Ok(true)
    }

    pub(super) fn clock(&self) -> &Clock {
        &self.clock
    }

    pub(super) fn trace(&self) -> Trace {
        self.state().trace.clone()
    }

    pub(super) fn id(&self, pid: Pid) -> ActorId {
        id(pid, self.first_generation)
    }

    pub(super) fn add_fault(&self, fault: Fault) {
        self.state().faults.push(fault);
    }

    pub(super) fn set_between(&self, between: Between) {
        let before = self.state().between.replace(between);
        drop(before);
    }

    fn turn(&self, ready: Ready, budget: u32, at: usize, system: &Arc<System>) {
        let mut runner = Runner::capped(budget);
        let after = run_slice(ready, system, &mut runner, || false);
        forgive_debt();
        let mut state = self.state();
        if let Some(Step::Actor { spent, .. }) = state.trace.steps.get_mut(at) {
            *spent = runner.used();
        }
        if let After::Again(ready) = after {
            state.ready.push(ready);
        }
    }

    /// Carries out what a test wants to happen before this step.
    fn interfere(&self, system: &System) {
        let mut state = self.state();
        let step = state.trace.steps.len();
        let due: Vec<_> = state.faults.extract_if(.., |fault| fault.step <= step).collect();
        let between = if state.has_work() { state.between.take() } else { None };
        drop(state);
        for fault in due {
            system.signal(fault.pid, Signal::Kill);
        }
        if let Some(mut between) = between {
            between(step);
            self.state().between.get_or_insert(between);
        }
    }

    /// Runs actors until `done`, or until `deadline` or nothing can happen any more; whether it was
    /// done. The clock jumps from one thing that is due to the next.
    pub(super) fn drive_here(
        &self,
        deadline: Option<Instant>,
        done: &mut dyn FnMut() -> bool,
    ) -> Result<bool, StepLimit> {
        loop {
            while !done() {
                if !self.step()? {
                    break;
                }
            }
            if done() {
                return Ok(true);
            }
            let now = self.clock.now();
            let due = self.next_due();
            let due = due.map(|due| if due > now { due } else { now + TICK });
            let Some(next) = due.into_iter().chain(deadline).min().filter(|next| *next > now) else {
                return Ok(false);
            };
            self.advance_to(next)?;
        }
    }

    fn advance_to(&self, time: Instant) -> Result<(), StepLimit> {
        self.state().room()?;
        self.clock.advance_to(time);
        let passed = self.clock.passed();
        self.state().record(Step::Clock(passed));
        Ok(())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Schedule for Arc<Stepper> {
    fn schedule(&self, ready: Ready) {
        self.state().ready.push(ready);
        self.mesh.iter().for_each(Mesh::ring);
    }

    fn drive(
        &self,
        deadline: Option<Instant>,
        done: &mut dyn FnMut() -> bool,
    ) -> Option<Result<bool, StepLimit>> {
        self.is_here().then(|| self.drive_here(deadline, done))
    }
}

impl State {
    fn has_work(&mut self) -> bool {
        self.take_jobs_of_lanes();
        !self.ready.is_empty() || !self.jobs.is_empty()
    }

    fn take_jobs_of_lanes(&mut self) {
        for lane in &self.lanes {
            self.jobs.extend(std::iter::from_fn(|| lane.take_job()));
        }
    }

    /// The next work, with its place in the trace.
    fn choose(&mut self, first_generation: u32) -> Result<Option<(Work, usize)>, StepLimit> {
        if !self.has_work() {
            return Ok(None);
        }
        self.room()?;
        let mut candidates: Vec<Candidate> =
            self.ready.iter().map(|ready| Some(id(ready.pid(), first_generation))).collect();
        if !self.jobs.is_empty() {
            candidates.push(None);
        }
        let (index, budget) = self.chooser.choose(&candidates);
        let at = match candidates[index] {
            Some(actor) => self.record(Step::Actor { actor, spent: 0, budget }),
            None => self.record(Step::Job),
        };
        let work = match candidates[index] {
            Some(_) => Some(Work::Actor { ready: self.ready.remove(index), budget }),
            None => self.jobs.pop_front().map(Work::Job),
        };
        Ok(work.map(|work| (work, at)))
    }

    /// Whether one more step may be taken. To be asked before anything is done.
    fn room(&self) -> Result<(), StepLimit> {
        if self.trace.steps.len() < self.limit { Ok(()) } else { Err(StepLimit(self.limit)) }
    }

    /// Adds to the trace; the place of the new step.
    fn record(&mut self, step: Step) -> usize {
        self.trace.steps.push(step);
        self.trace.steps.len() - 1
    }
}

fn id(pid: Pid, first_generation: u32) -> ActorId {
    ActorId { slot: pid.index(), life: pid.generation().wrapping_sub(first_generation) }
}
