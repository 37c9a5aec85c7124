//! Carries out what `supervision` decides: runs factories on threads of their own, stops siblings,
//! waits out pauses.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Instant;

use super::remote::Claims;
use super::{Event, EventSink};
use crate::actor::{ExitReason, Signal, System, panic_text};
use crate::mailbox::Payload;
use crate::pid::Pid;
use crate::sim::Stepper;
use crate::supervision::{Action, ChildId, Factory, Plan, StartFn, Starter, Strategy};

/// Why a supervision could not begin.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SuperviseError {
    /// Nobody to watch.
    #[error("cannot watch actor {0}: it is not alive; spawn it anew")]
    NoProcess(Pid),
    /// The runtime goes down.
    #[error("the runtime is shutting down: nothing is restarted any more")]
    ShuttingDown,
}

/// The restarts of one runtime.
pub struct Supervisor {
    system: Arc<System>,
    events: EventSink,
    claims: Claims,
    state: Mutex<State>,
    changed: Condvar,
    /// Where actors are run by a simulation, so are factories; it has the time and the chance too.
    stepper: Option<Arc<Stepper>>,
}

#[derive(Default)]
struct State {
    plan: Plan,
    /// Whether the thread that waits out pauses runs.
    ticking: bool,
    stopped: bool,
}

impl Supervisor {
    pub(super) fn new(
        system: Arc<System>,
        events: EventSink,
        claims: Claims,
        stepper: Option<Arc<Stepper>>,
    ) -> Arc<Self> {
        let (state, changed) = (Mutex::default(), Condvar::new());
        Arc::new(Self { system, events, claims, state, changed, stepper })
    }

    /// Runs `factory` again whenever the child ends, or the node of a remote actor that it monitors is lost.
    ///
    /// The child is `pid` if the calling thread has just made remote monitors, which `pid` then
    /// owns; otherwise the factory runs once, on a thread of its own, and the actor it returns
    /// becomes the child. A monitor that fired more than half a second ago does not count. Monitors made
    /// inside the factory belong to the actor it returns. A factory that fails is tried again: at once,
    /// then after 100 ms doubling to 30 s. With [`Strategy::RestartAll`] the end of one such child restarts
    /// all of them. The supervision ends with `Runtime::stop` of the child or of the `pid` given here.
    ///
    /// # Errors
    /// When the runtime is going down.
    pub fn supervise_with_factory(
        self: &Arc<Self>,
        pid: Pid,
        factory: Factory,
        strategy: Strategy,
    ) -> Result<(), SuperviseError> {
        let claims = self.claims.take_made_here();
        let run_now = claims.is_empty();
        self.register(pid, Some(factory), strategy, run_now)?;
        self.claims.give(claims, pid);
        Ok(())
    }

    /// Counts `pid` among the children until it ends. Unless it is a child with a factory already, it
    /// is not restarted itself; with [`Strategy::RestartAll`] its end restarts the other `RestartAll` children, and
    /// their restart ends it.
    ///
    /// # Errors
    /// If `pid` is not alive, or the runtime is going down.
    pub fn watch(self: &Arc<Self>, pid: Pid, strategy: Strategy) -> Result<(), SuperviseError> {
        if !self.system.is_alive(pid) {
            return Err(SuperviseError::NoProcess(pid));
        }
        self.register(pid, None, strategy, false)
    }

    /// The children's PIDs, in the order of registration: of a child that is being restarted the last that it had. A
    /// child that has never run, as its factory has only failed so far, has none.
    pub fn child_pids(&self) -> Vec<Pid> {
        self.lock().plan.pids()
    }

    /// How many children there are in [`child_pids`](Self::child_pids).
    pub fn children_count(&self) -> usize {
        self.child_pids().len()
    }

    /// Ends the supervision of `pid`, a child or the PID a child was registered with. Returns the
    /// child's PID of now.
    pub(super) fn forget(self: &Arc<Self>, pid: Pid) -> Option<Pid> {
        let mut state = self.lock();
        let (child, actions) = state.plan.forget(pid, self.now());
        self.carry_out(state, actions);
        child
    }

    /// Whether the actor that ended was a child.
    pub(super) fn exited(self: &Arc<Self>, pid: Pid, reason: &ExitReason) -> bool {
        self.claims.release(pid);
        let mut state = self.lock();
        let child = state.plan.child(pid);
        let actions = state.plan.exited(pid, self.now(), self.jitter());
        self.carry_out(state, actions);
        if child == Some(true) {
            (self.events)(&Event::Restarting { pid, reason: reason.clone() });
        }
        child.is_some()
    }

    /// Ends all supervision: nothing is restarted any more.
    pub(super) fn stop(&self) {
        let mut state = self.lock();
        state.stopped = true;
        state.plan = Plan::default();
        self.changed.notify_all();
    }

    fn register(
        self: &Arc<Self>,
        pid: Pid,
        factory: Option<Factory>,
        strategy: Strategy,
        run_now: bool,
    ) -> Result<(), SuperviseError> {
        let mut state = self.lock();
        if state.stopped {
            return Err(SuperviseError::ShuttingDown);
        }
        let mut actions =
            state.plan.supervise((pid, self.system.is_alive(pid)), factory, strategy, run_now, self.now());
        // Marked after the plan knows it: an exit before the mark is seen here, one after it there.
        if !self.system.mark_supervised(pid) {
            actions.extend(state.plan.exited(pid, self.now(), self.jitter()));
        }
        self.carry_out(state, actions);
        Ok(())
    }

    fn carry_out(self: &Arc<Self>, mut state: MutexGuard<'_, State>, actions: Vec<Action>) {
        if state.plan.next_due().is_some() && !state.ticking && !state.stopped {
            state.ticking = self.start_ticking();
        }
        drop(state);
        self.changed.notify_all();
        for action in actions {
            match action {
                Action::Start(child, factory) => self.start_factory(child, factory),
                Action::Stop(pid) => {
                    self.system.signal(pid, Signal::Stop(ExitReason::Shutdown));
                }
                Action::Kill(pid) => {
                    self.system.signal(pid, Signal::Kill);
                }
            }
        }
    }

    fn start_factory(self: &Arc<Self>, child: ChildId, factory: Factory) {
        let this = self.clone();
        if let Some(stepper) = &self.stepper {
            return stepper.submit(Box::new(move || this.run_factory(child, &factory)));
        }
        let thread = thread::Builder::new().name("myrmidon-factory".to_owned());
        if let Err(error) = thread.spawn(move || this.run_factory(child, &factory)) {
            self.finish_start(child, Err(format!("no thread for a factory: {error}")));
        }
    }

    fn run_factory(self: &Arc<Self>, child: ChildId, factory: &Factory) {
        let make = || factory().and_then(|pid| pid.ok_or_else(|| "the factory returned no PID".to_owned()));
        let made = self.run(make).and_then(|pid| match self.system.is_alive(pid) {
            true => Ok(pid),
            false => Err(format!("the factory returned {pid}, which is not alive")),
        });
        self.finish_start(child, made);
    }

    /// Runs the start function of a child of `supervisor`. A child that has ended already is one that was
    /// started: its end is told by its link.
    pub(super) fn run_start(&self, start: &StartFn, supervisor: Pid) -> Result<Pid, String> {
        let starter = Starter::new(self.system.clone(), supervisor);
        self.run(|| start(&starter))
    }

    /// Starts an actor, which owns the remote monitors made meanwhile.
    fn run(&self, make: impl FnOnce() -> Result<Pid, String>) -> Result<Pid, String> {
        let (made, claims) = self.claims.made_by(|| {
            catch_unwind(AssertUnwindSafe(make))
                .unwrap_or_else(|panic| Err(format!("its start function panicked: {}", panic_text(panic))))
        });
        match made {
            Ok(pid) => {
                self.system.mark_supervised(pid);
                self.claims.give(claims, pid);
            }
            Err(_) => Claims::cancel(claims),
        }
        made
    }

    /// Whether the runtime goes down.
    pub(super) fn is_stopped(&self) -> bool {
        self.lock().stopped
    }

    pub(super) fn report(&self, event: &Event) {
        (self.events)(event);
    }

    pub(super) fn signal(&self, pid: Pid, signal: Signal) {
        self.system.signal(pid, signal);
    }

    pub(super) fn is_alive(&self, pid: Pid) -> bool {
        self.system.is_alive(pid)
    }

    /// Whether the actor was alive to take it.
    pub(super) fn send(&self, pid: Pid, message: Payload) -> bool {
        self.system.send(pid, message).is_ok()
    }

    fn finish_start(self: &Arc<Self>, child: ChildId, made: Result<Pid, String>) {
        let mut state = self.lock();
        if state.stopped {
            return;
        }
        let now = self.now();
        let mut actions = state.plan.started(child, made.as_ref().ok().copied(), now, self.jitter());
        if let Ok(pid) = made
            && !self.system.is_alive(pid)
        {
            actions.extend(state.plan.exited(pid, now, self.jitter()));
        }
        self.carry_out(state, actions);
        if let Err(error) = made {
            (self.events)(&Event::FactoryFailed { error });
        }
    }

    /// Starts the thread that waits out pauses; a simulation looks for itself.
    fn start_ticking(self: &Arc<Self>) -> bool {
        if self.stepper.is_some() {
            return false;
        }
        let this = Arc::downgrade(self);
        let thread = thread::Builder::new().name("myrmidon-supervisor".to_owned()).spawn(move || {
            while let Some(this) = this.upgrade() {
                if !this.wait_and_tick() {
                    break;
                }
            }
        });
        thread
            .inspect_err(
                |error| tracing::error!(target: "myrmidon.supervisor", %error, "no thread for pauses"),
            )
            .is_ok()
    }

    /// When [`tick`](Self::tick) has something to do.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.lock().plan.next_due()
    }

    /// Ends the pauses that are over.
    pub(super) fn tick(self: &Arc<Self>) {
        let mut state = self.lock();
        let actions = state.plan.tick(self.now());
        self.carry_out(state, actions);
    }

    /// Waits for the next pause to end and goes on; `false` when none is left.
    fn wait_and_tick(self: &Arc<Self>) -> bool {
        let mut state = self.lock();
        let due = state.plan.next_due().filter(|_| !state.stopped);
        let Some(due) = due else {
            state.ticking = false;
            return false;
        };
        let wait = due.saturating_duration_since(self.now());
        if !wait.is_zero() {
            state = self.changed.wait_timeout(state, wait).unwrap_or_else(PoisonError::into_inner).0;
        }
        let actions = state.plan.tick(self.now());
        self.carry_out(state, actions);
        true
    }

    fn now(&self) -> Instant {
        self.system.clock().now()
    }

    /// From 0 to 1; the middle where the system has no random numbers.
    fn jitter(&self) -> f64 {
        let number = self.stepper.as_ref().map_or_else(getrandom::u32, |stepper| Ok(stepper.random_u32()));
        number.map_or(0.5, |number| f64::from(number) / f64::from(u32::MAX))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
