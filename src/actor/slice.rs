//! One turn of an actor: signals that overtake, then messages in order, until its budget is spent,
//! its time is up, or there is nothing left.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::task;
use std::time::{Duration, Instant};

use super::cell::Cell;
use super::context::Running;
use super::exit::exit;
use super::parked::Parked;
use super::signal::{Envelope, Signal};
use super::slot::{Ready, flag};
use super::{Behaviour, Context, ExitReason, Flow, System, discard, panic_text};
use crate::mailbox::{Chain, NodeRun};
use crate::pid::Pid;

/// Messages between two looks at the clock, which costs as much as a short message. The first looks
/// come earlier, after 2, 4 and 8 messages, for actors whose messages are long.
const CLOCK_EVERY: u32 = 16;

/// When a slice ends besides by its actor's budget.
#[derive(Clone, Copy, Debug)]
pub struct SliceLimits {
    /// The longest slice.
    pub time: Duration,
}

/// What to do with the actor after its slice.
pub(crate) enum After {
    /// Nothing: it is idle or has ended.
    Done,
    /// It has more to do: to the back of the queue.
    Again(Ready),
}

/// Runs one slice of the actor.
pub(crate) fn run_slice(mut ready: Ready, system: &Arc<System>, limits: SliceLimits) -> After {
    let Some(cell) = ready.cell_mut().take() else {
        debug_assert!(false, "a scheduled actor has a cell");
        return After::Done;
    };
    let pid = ready.pid();
    let running = Running::enter(pid);
    let mut turn = Turn {
        pid,
        ready,
        cell,
        system,
        run: NodeRun::new(),
        spent: 0,
        began: Instant::now(),
        limit: limits.time,
    };
    let end = turn.play();
    let Turn { mut ready, cell, mut run, .. } = turn;
    run.flush();
    let after = match end {
        Err(reason) => {
            exit(ready, cell, system, reason);
            After::Done
        }
        Ok(Rest::Spent) => {
            *ready.cell_mut() = Some(cell);
            After::Again(ready)
        }
        Ok(Rest::Waiting) => {
            *ready.cell_mut() = Some(cell);
            ready.idle().map_or(After::Done, After::Again)
        }
    };
    drop(running);
    after
}

/// Why a turn ended, where the actor lives on.
enum Rest {
    /// Nothing to do until something arrives.
    Waiting,
    /// Budget or time is up.
    Spent,
}

/// A slice in progress.
pub(super) struct Turn<'a> {
    pub(super) pid: Pid,
    pub(super) ready: Ready,
    pub(super) cell: Box<Cell>,
    pub(super) system: &'a Arc<System>,
    run: NodeRun,
    spent: u32,
    began: Instant,
    limit: Duration,
}

/// One step of a turn; an error is the reason to end.
pub(super) type Step = Result<(), ExitReason>;

impl Turn<'_> {
    fn play(&mut self) -> Result<Rest, ExitReason> {
        self.start()?;
        self.receive()?;
        loop {
            if self.ready.slot().has(flag::URGENT) {
                self.receive()?;
            }
            if self.cell.parked.is_some() && !self.poll()? {
                return Ok(Rest::Waiting);
            }
            if self.is_spent() {
                return Ok(Rest::Spent);
            }
            let Some(envelope) = self.next()? else { return Ok(Rest::Waiting) };
            // System messages count too, or actors that tell each other something would never end.
            self.spent = self.spent.saturating_add(1);
            self.open(envelope)?;
        }
    }

    fn start(&mut self) -> Step {
        if self.cell.started {
            return Ok(());
        }
        self.cell.started = true;
        self.call(|behaviour, cx| behaviour.started(cx))
    }

    fn is_spent(&self) -> bool {
        let look =
            self.spent >= 2 && (self.spent.is_power_of_two() || self.spent.is_multiple_of(CLOCK_EVERY));
        self.spent >= self.cell.budget || (look && self.began.elapsed() >= self.limit)
    }

    /// The next envelope in order, its generation checked; `None` when the mailbox is empty.
    fn next(&mut self) -> Result<Option<Envelope>, ExitReason> {
        loop {
            if self.cell.backlog.is_empty() {
                self.receive()?;
            }
            let Some(node) = self.cell.backlog.pop() else { return Ok(None) };
            let (generation, envelope) = node.open(&mut self.run);
            if matches!(envelope, Envelope::User(_)) {
                self.ready.slot().count_taken();
            }
            if generation == self.pid.generation() {
                return Ok(Some(envelope));
            }
            self.return_stale(generation, envelope);
        }
    }

    /// Accounts for something meant for an earlier actor of this slot.
    fn return_stale(&self, generation: u32, envelope: Envelope) {
        let target = Pid::new(generation, self.pid.index()).unwrap_or(self.pid);
        self.system.undeliverable(target, envelope, &ExitReason::NoProcess);
    }

    /// Moves what has arrived into the backlog and runs what overtakes (S41).
    fn receive(&mut self) -> Step {
        let mut urgent = Chain::new();
        let trapping = self.cell.bonds.trap_exit;
        self.ready.take(&mut urgent, &mut self.cell.backlog, trapping);
        while let Some(node) = urgent.pop() {
            let (generation, envelope) = node.open(&mut self.run);
            if generation != self.pid.generation() {
                self.return_stale(generation, envelope);
            } else if let Err(reason) = self.open(envelope) {
                self.cell.backlog.append(urgent);
                return Err(reason);
            }
        }
        Ok(())
    }

    fn open(&mut self, envelope: Envelope) -> Step {
        match envelope {
            Envelope::User(payload) => self.call(|behaviour, cx| behaviour.handle(payload, cx)),
            Envelope::Ordered(signal) | Envelope::Urgent(signal) => self.signal(*signal),
            Envelope::Exit(exit) => self.signal(Signal::Exit(*exit)),
        }
    }

    /// Calls into the behaviour; a panic becomes the exit reason (S39).
    pub(super) fn call(&mut self, f: impl FnOnce(&mut dyn Behaviour, &mut Context<'_>) -> Flow) -> Step {
        let Cell { behaviour, bonds, .. } = &mut *self.cell;
        let mut cx = Context { system: self.system, pid: self.pid, bonds, spent: &mut self.spent };
        match catch_unwind(AssertUnwindSafe(|| f(behaviour.as_mut(), &mut cx))) {
            Ok(flow) => self.follow(flow),
            Err(panic) => Err(ExitReason::Panic(panic_text(panic))),
        }
    }

    fn follow(&mut self, flow: Flow) -> Step {
        match flow {
            Flow::Continue => Ok(()),
            Flow::Stop(reason) => Err(reason),
            Flow::Park(future) => {
                self.cell.parked = Some(Parked::new(self.system, self.pid, future));
                Ok(())
            }
        }
    }

    /// Polls the parked future if it was woken; whether it is finished.
    fn poll(&mut self) -> Result<bool, ExitReason> {
        let Some(parked) = &mut self.cell.parked else { return Ok(true) };
        if !parked.take_due() {
            return Ok(false);
        }
        let mut cx = task::Context::from_waker(&parked.waker);
        let polled = catch_unwind(AssertUnwindSafe(|| parked.future.as_mut().poll(&mut cx)));
        let flow = match polled {
            Ok(task::Poll::Pending) => return Ok(false),
            Ok(task::Poll::Ready(flow)) => flow,
            Err(panic) => return Err(ExitReason::Panic(panic_text(panic))),
        };
        discard(self.cell.parked.take());
        self.follow(flow)?;
        self.run_waiting_swaps()?;
        Ok(self.cell.parked.is_none())
    }
}
