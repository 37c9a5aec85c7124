//! One turn of an actor: signals that overtake, then messages in order, until its budget is spent,
//! its time is up, or there is nothing left.

use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::task;
use std::time::{Duration, Instant};

use super::cell::Cell;
use super::context::Running;
use super::exit::exit;
use super::signal::{Envelope, Signal};
use super::slot::{Hold, Ready};
use super::{Behaviour, Context, ExitReason, Flow, System, debt, discard, panic_text};
use crate::mailbox::{Chain, Node, NodeRun};
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

/// What a thread that runs slices keeps from one to the next. Short slices share one look at the
/// clock and one return of message nodes: either would cost more than they do.
pub(crate) struct Runner {
    limits: SliceLimits,
    /// Message nodes to be given back.
    pub(super) nodes: NodeRun,
    /// The last look; the slice began then or up to [`CLOCK_EVERY`] messages later.
    looked: Instant,
    /// Messages since.
    since: u32,
    /// The most reductions of a slice, whatever the actor's budget.
    cap: u32,
    /// Reductions of the last slice.
    used: u32,
}

impl Runner {
    pub(crate) fn new(limits: SliceLimits) -> Self {
        Self { limits, nodes: NodeRun::new(), looked: Instant::now(), since: 0, cap: u32::MAX, used: 0 }
    }

    /// A runner whose slices end after `cap` reductions at the latest, and by no clock.
    pub(crate) fn capped(cap: u32) -> Self {
        Self { cap, ..Self::new(SliceLimits { time: Duration::MAX }) }
    }

    /// A runner whose slices end after `cap` reductions at the latest, and by the clock.
    pub(crate) fn brief(limits: SliceLimits, cap: u32) -> Self {
        Self { cap, ..Self::new(limits) }
    }

    /// Reductions of the last slice.
    pub(crate) fn used(&self) -> u32 {
        self.used
    }

    /// Gives back what others may need. Call before the thread waits.
    pub(crate) fn rest(&mut self) {
        self.nodes.flush();
    }

    /// Looks at the clock; the next slice begins now.
    pub(crate) fn look(&mut self) -> Instant {
        self.looked = Instant::now();
        self.since = 0;
        self.looked
    }

    fn begin(&mut self) {
        if self.since >= CLOCK_EVERY {
            self.look();
        }
    }

    /// Whether the slice has lasted too long. Where the last look was before it began it gets
    /// another limit's time rather than too little.
    fn is_over(&mut self, spent: u32) -> bool {
        let over = self.looked.elapsed() >= self.limits.time;
        let inherited = self.since > spent;
        if over {
            self.look();
        }
        over && !inherited
    }
}

/// What to do with the actor after its slice.
pub(crate) enum After {
    /// Nothing: it is idle or has ended.
    Done,
    /// It has more to do: to the back of the queue.
    Again(Ready),
}

/// Runs one slice of the actor. When its mailbox is empty, `linger` is asked whether to look once
/// more before the actor goes idle.
pub(crate) fn run_slice(
    mut ready: Ready,
    system: &Arc<System>,
    runner: &mut Runner,
    mut linger: impl FnMut() -> bool,
) -> After {
    let pid = ready.pid();
    let running = Running::enter(pid);
    runner.begin();
    let (hold, cell) = ready.open();
    let limit = cell.budget.min(runner.cap);
    let mut turn = Turn { pid, hold, cell, system, spent: 0, limit, moved: None, runner };
    let end = loop {
        let end = turn.play();
        if !matches!(end, Ok(Rest::Waiting)) || !turn.awaits_more(&mut linger) {
            break end;
        }
    };
    let used = turn.moved.unwrap_or(turn.spent);
    turn.runner.used = used;
    turn.hold.count_reductions(used);
    let after = match end {
        Err(reason) => {
            exit(ready, system, *reason);
            After::Done
        }
        Ok(Rest::Spent) if turn.moved.is_some() => {
            system.schedule(Some(ready));
            After::Done
        }
        Ok(Rest::Spent) => After::Again(ready),
        Ok(Rest::Drained) => {
            system.schedule(ready.idle_bounded());
            After::Done
        }
        Ok(Rest::Waiting) => ready.idle().map_or(After::Done, After::Again),
        Ok(Rest::Parked) => {
            system.schedule(ready.park());
            After::Done
        }
    };
    drop(running);
    after
}

/// Why a turn ended, where the actor lives on.
enum Rest {
    /// Nothing to do until something arrives.
    Waiting,
    /// As `Waiting`, and the queue of its bounded mailbox was empty.
    Drained,
    /// As `Waiting`, in the middle of a message.
    Parked,
    /// Budget or time is up.
    Spent,
}

/// A slice in progress.
pub(super) struct Turn<'a> {
    pub(super) pid: Pid,
    pub(super) hold: Hold<'a>,
    pub(super) cell: &'a mut Cell,
    pub(super) system: &'a Arc<System>,
    pub(super) spent: u32,
    /// The most that may be.
    limit: u32,
    /// What was spent when a swap gave it to another lane.
    moved: Option<u32>,
    pub(super) runner: &'a mut Runner,
}

/// One step of a turn; an error is the reason to end.
///
/// Boxed, as the way without one is taken a million times more often and has little to return.
pub(super) type Step = Result<(), Box<ExitReason>>;

impl Turn<'_> {
    /// Runs until the mailbox is empty or the slice is over. A panic of the actor's code, wherever it
    /// came from, is the reason to end (S39); catching it here, once, leaves the loop free of it.
    fn play(&mut self) -> Result<Rest, Box<ExitReason>> {
        caught(|| self.work()).or_else(|reason| self.wind_up(reason).map(|()| Rest::Spent))
    }

    fn work(&mut self) -> Result<Rest, Box<ExitReason>> {
        self.start()?;
        self.receive()?;
        loop {
            // Before the look at `parked`, as a signal may park the actor.
            if self.hold.is_urged() || (self.cell.backlog.is_empty() && self.hold.has_arrivals()) {
                self.receive()?;
            }
            if self.cell.parked && !self.poll()? {
                // A future that wakes itself goes behind the others after each poll.
                if self.hold.is_woken() {
                    return Ok(Rest::Spent);
                }
                self.settle();
                return Ok(Rest::Parked);
            }
            if self.is_spent() {
                return Ok(Rest::Spent);
            }
            let Some(node) = self.cell.backlog.pop() else {
                if !self.cell.bounded {
                    return Ok(Rest::Waiting);
                }
                if !self.step_bounded()? {
                    return Ok(Rest::Drained);
                }
                continue;
            };
            // System messages count too, or actors that tell each other something would never end.
            self.count_reduction();
            if node.content().is_user() && node.generation() == self.pid.generation() {
                self.hold.count_taken();
                let payload = node.open_part(&mut self.runner.nodes, Envelope::payload);
                let Cell { behaviour, bonds, trap_exit, .. } = &mut *self.cell;
                let (system, pid, spent) = (self.system, self.pid, &mut self.spent);
                let mut cx = Context { system, pid, bonds, trap_exit, spent };
                match behaviour.handle(payload, &mut cx) {
                    // Nothing is in it to be dropped, which the compiler does not see by itself.
                    flow @ Flow::Continue => mem::forget(flow),
                    flow => self.follow(flow)?,
                }
            } else {
                self.open(node)?;
            }
        }
    }

    /// Opens what is no user message for this actor.
    #[inline(never)]
    pub(super) fn open(&mut self, node: Node<Envelope>) -> Step {
        let (generation, envelope) = node.open(&mut self.runner.nodes);
        if envelope.is_user() {
            self.hold.count_taken();
        }
        if generation == self.pid.generation() {
            return self.obey(envelope);
        }
        self.return_stale(generation, envelope);
        Ok(())
    }

    /// Waits a moment for what may arrive next; whether something has.
    fn awaits_more(&mut self, linger: &mut impl FnMut() -> bool) -> bool {
        while !self.hold.has_arrivals() {
            if !linger() {
                return false;
            }
        }
        true
    }

    fn start(&mut self) -> Step {
        if self.cell.started {
            return Ok(());
        }
        self.cell.started = true;
        self.call(|behaviour, cx| behaviour.started(cx))
    }

    fn is_spent(&mut self) -> bool {
        let look =
            self.spent >= 2 && (self.spent.is_power_of_two() || self.spent.is_multiple_of(CLOCK_EVERY));
        if !look {
            return self.spent >= self.limit;
        }
        let over = self.runner.is_over(self.spent);
        self.spent = self.spent.saturating_add(debt::take(self.pid));
        over || self.spent >= self.limit
    }

    /// Accounts for something meant for an earlier actor of this slot.
    #[cold]
    fn return_stale(&self, generation: u32, envelope: Envelope) {
        let target = Pid::new(generation, self.pid.index()).unwrap_or(self.pid);
        self.system.undeliverable(target, envelope, &ExitReason::NoProcess);
    }

    /// Moves what has arrived into the backlog and runs what overtakes (S41).
    pub(super) fn receive(&mut self) -> Step {
        if self.cell.bounded || self.cell.backlog.is_settled() {
            return self.receive_apart();
        }
        let mut urgent = Chain::new();
        self.hold.take(&mut urgent, &mut self.cell.backlog, self.cell.trap_exit);
        self.obey_all(urgent)
    }

    #[inline(always)]
    pub(super) fn obey_all(&mut self, mut urgent: Chain<Envelope>) -> Step {
        while let Some(node) = urgent.pop() {
            let (generation, envelope) = node.open(&mut self.runner.nodes);
            if generation != self.pid.generation() {
                self.return_stale(generation, envelope);
            } else if let Err(reason) = self.obey(envelope) {
                self.cell.backlog.append(urgent);
                return Err(reason);
            }
        }
        Ok(())
    }

    /// Carries out a signal. Catches a panic itself, so that the signals behind it are not lost.
    #[inline(never)]
    fn obey(&mut self, envelope: Envelope) -> Step {
        let obey = || match envelope {
            Envelope::User(payload) => self.call(|behaviour, cx| behaviour.handle(payload, cx)),
            Envelope::Ordered(placed) => self.signal(placed.signal),
            Envelope::Urgent(signal) => self.signal(*signal),
            Envelope::Exit(placed) => self.signal(Signal::Exit(placed.signal)),
        };
        caught(obey)
    }

    /// Calls into the behaviour.
    pub(super) fn call(&mut self, f: impl FnOnce(&mut dyn Behaviour, &mut Context<'_>) -> Flow) -> Step {
        let Cell { behaviour, bonds, trap_exit, .. } = &mut *self.cell;
        let mut cx = Context { system: self.system, pid: self.pid, bonds, trap_exit, spent: &mut self.spent };
        match f(behaviour.as_mut(), &mut cx) {
            Flow::Continue => Ok(()),
            flow => self.follow(flow),
        }
    }

    #[inline(never)]
    fn follow(&mut self, flow: Flow) -> Step {
        match flow {
            Flow::Continue => Ok(()),
            Flow::Stop(reason) => Err(Box::new(reason)),
            Flow::Park(future) => {
                self.cell.future = Some(Box::new(future));
                self.cell.parked = true;
                // A fresh future is due to be polled.
                self.hold.wake();
                Ok(())
            }
            Flow::Waiting => {
                self.cell.parked = true;
                Ok(())
            }
        }
    }

    /// Goes on with the message that is not finished, if woken; whether it is finished now.
    #[inline(never)]
    fn poll(&mut self) -> Result<bool, Box<ExitReason>> {
        if !self.hold.take_wake() {
            return Ok(false);
        }
        self.count_reduction();
        if let Some(future) = &mut self.cell.future {
            let waker = self.hold.waker();
            let polled = future.as_mut().as_mut().poll(&mut task::Context::from_waker(&waker));
            let task::Poll::Ready(flow) = polled else { return Ok(false) };
            self.cell.parked = false;
            discard(self.cell.future.take());
            self.follow(flow)?;
        } else {
            self.cell.parked = false;
            self.call(|behaviour, cx| behaviour.resume(cx))?;
            let ending = self.cell.bonds.existing().and_then(|tables| tables.ending.as_ref());
            if let Some(reason) = ending.filter(|_| !self.cell.parked) {
                return Err(reason.clone());
            }
        }
        self.run_waiting()?;
        Ok(!self.cell.parked)
    }

    /// Ends this slice before the next message; the others are on the lane that the code asks for.
    pub(super) fn change_lane(&mut self) {
        let lane = self.cell.behaviour.lane(self.hold.lane());
        if lane != self.hold.lane() {
            self.hold.set_lane(lane);
            self.moved.get_or_insert(self.spent);
            self.spent = self.spent.max(self.limit);
        }
    }

    pub(super) fn count_reduction(&mut self) {
        self.spent = self.spent.saturating_add(1);
        self.runner.since = self.runner.since.saturating_add(1);
    }
}

/// Calls `f`; a panic becomes the reason to end.
#[inline(always)]
fn caught<T>(f: impl FnOnce() -> Result<T, Box<ExitReason>>) -> Result<T, Box<ExitReason>> {
    catch_unwind(AssertUnwindSafe(f))
        .unwrap_or_else(|panic| Err(Box::new(ExitReason::Panic(panic_text(panic)))))
}
