//! A worker thread: its own queue first, then the injector, then the others' queues, then sleep. Actors
//! of high priority come before all that and those of low priority after it, in most turns.

mod choice;

use std::cell::OnceCell;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::Scheduler;
use super::activity::Activity;
use super::duty::Duty;
use super::run_queue::RunQueue;
use crate::actor::{
    After, LifoSlot, LifoThief, Priority, Ready, Runner, System, run_slice, serving, shielded,
};
use crate::pid::Pid;
use crate::sync;

/// For how long a worker that has nothing else to do looks for another message of the actor it ran. By the
/// clock, as a pause takes a processor from ten to fifty nanoseconds.
const LINGER: Duration = Duration::from_micros(2);

/// What a worker keeps for itself, reachable from `schedule` on the same thread.
struct Local {
    /// Address of the scheduler: a worker of one runtime may send to actors of another.
    scheduler: *const Scheduler,
    seat: Seat,
    desk: Arc<Desk>,
}

/// Where a worker keeps the actors that it will run.
pub(super) struct Seat {
    pub(super) queue: RunQueue<Ready>,
    /// The actor made ready last: its message is hot in the cache, and no other worker is woken for
    /// it.
    lifo: LifoSlot,
}

/// What other threads see of a worker.
#[repr(align(128))]
pub(super) struct Desk {
    /// Others take from here only where the worker is held up in a slice, perhaps by a handler that
    /// waits for this very actor.
    pub(super) lifo: LifoThief,
    pub(super) activity: Activity,
    pub(super) duty: Duty,
    /// Until the worker's thread begins.
    seat: Mutex<Option<Seat>>,
}

impl Desk {
    pub(super) fn new(seat: Seat, duty: Duty) -> Self {
        let (lifo, seat) = (seat.lifo.thief(), Mutex::new(Some(seat)));
        Self { lifo, activity: Activity::default(), duty, seat }
    }

    fn take_seat(&self) -> Option<Seat> {
        self.seat.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

thread_local! {
    static LOCAL: OnceCell<Local> = const { OnceCell::new() };
}

/// Puts the actor onto this thread's queue, or gives it back if this is no worker of `scheduler`, or one
/// that has made way and takes nothing up itself.
pub(super) fn push_local(scheduler: &Scheduler, ready: Ready) -> Option<Ready> {
    let mut ready = Some(ready);
    let _ = LOCAL.try_with(|local| {
        let own = |local: &&Local| std::ptr::eq(local.scheduler, scheduler);
        let Some(local) = local.get().filter(own).filter(|local| !local.desk.activity.waits()) else {
            return;
        };
        let Some(ready) = ready.take() else { return };
        if let Some(older) = local.seat.lifo.replace(ready) {
            local.push(scheduler, older);
            scheduler.idle.notify();
        }
    });
    ready
}

/// Leaves what this worker would run next to others, as its handler is about to wait. `false` if
/// this is no worker of `scheduler`, or has made way already.
pub(super) fn make_way(scheduler: &Scheduler) -> bool {
    on_own(scheduler, |local| {
        if local.desk.activity.waits() {
            return false;
        }
        local.desk.activity.wait();
        if let Some(ready) = local.take_lifo() {
            scheduler.injector.push(ready);
        }
        true
    })
    .unwrap_or(false)
}

/// Whether the handler that runs on this worker of `scheduler` waits, after [`make_way`].
pub(super) fn has_made_way(scheduler: &Scheduler) -> bool {
    on_own(scheduler, |local| local.desk.activity.waits()).unwrap_or(false)
}

/// Ends what [`make_way`] began.
pub(super) fn go_on(scheduler: &Scheduler, pid: Pid) {
    on_own(scheduler, |local| local.desk.activity.begin(pid));
}

/// Calls `f` if this is a worker of `scheduler`.
fn on_own<T>(scheduler: &Scheduler, f: impl FnOnce(&Local) -> T) -> Option<T> {
    let own = |local: &&Local| std::ptr::eq(local.scheduler, scheduler);
    LOCAL.try_with(|local| local.get().filter(own).map(f)).ok().flatten()
}

/// Starts the thread of a worker or spare.
pub(super) fn spawn(
    scheduler: Arc<Scheduler>,
    system: Arc<System>,
    index: usize,
) -> std::io::Result<thread::JoinHandle<()>> {
    thread::Builder::new().name(format!("myrmidon-{index}")).spawn(move || {
        sync::be_prompt();
        let _context = scheduler.io.enter();
        let desk = scheduler.desks[index].clone();
        let seat = desk.take_seat().expect("each worker is started once");
        let local = Local { scheduler: Arc::as_ptr(&scheduler), seat, desk };
        LOCAL.with(|cell| {
            let local = cell.get_or_init(|| local);
            let runner = Runner::new(scheduler.limits);
            let mut worker = Worker {
                scheduler: &scheduler,
                system: &system,
                local,
                index,
                passes: 0,
                normal_passes: 0,
                rotated: Instant::now(),
                lifo_runs: 0,
                runner,
            };
            serving(&system, || worker.run());
        });
    })
}

impl Seat {
    pub(super) fn new() -> Self {
        Self { queue: RunQueue::new(), lifo: LifoSlot::new() }
    }
}

impl Local {
    fn is_empty(&self) -> bool {
        !self.seat.lifo.is_used() && self.seat.queue.is_empty()
    }

    /// Puts the actor at the back of the queue.
    fn push(&self, scheduler: &Scheduler, ready: Ready) {
        self.seat.queue.push(ready, |batch| scheduler.injector.spill(batch));
    }

    fn take_lifo(&self) -> Option<Ready> {
        self.seat.lifo.take()
    }
}

/// What a search ended with.
enum Found {
    Actor(Ready),
    Jobs,
}

struct Worker<'a> {
    scheduler: &'a Arc<Scheduler>,
    system: &'a Arc<System>,
    local: &'a Local,
    index: usize,
    /// Looks for the next actor, and those that came to normal priority.
    passes: u32,
    normal_passes: u32,
    /// When it last gave its queue for a spilled batch.
    rotated: Instant,
    lifo_runs: u32,
    runner: Runner,
}

impl Worker<'_> {
    fn run(&mut self) {
        self.scheduler.idle.enter(self.index);
        while self.local.desk.duty.wait(&self.scheduler.idle) {
            self.serve();
        }
        self.finish();
    }

    fn serve(&mut self) {
        while !self.must_leave() {
            match self.next() {
                Some(ready) => self.turn(ready),
                None => self.search_or_sleep(),
            }
        }
        if !self.scheduler.idle.is_stopped() {
            self.hand_over();
            self.local.desk.duty.leave(&self.scheduler.idle);
        }
    }

    fn must_leave(&self) -> bool {
        self.scheduler.idle.is_stopped() || !self.local.desk.duty.is_serving()
    }

    /// Leaves what this worker has to the others.
    fn hand_over(&mut self) {
        self.runner.rest();
        self.local.desk.activity.end();
        while let Some(ready) = self.local.seat.queue.pop().or_else(|| self.local.take_lifo()) {
            self.scheduler.injector.push(ready);
        }
        self.scheduler.idle.notify();
    }

    /// One more turn for the actors that are left here. One that shut its own runtime down was
    /// killed in the middle of its slice and has yet to end.
    fn finish(&mut self) {
        for _ in 0..=self.local.seat.queue.len() {
            if let Some(ready) = self.local.seat.queue.pop().or_else(|| self.local.take_lifo()) {
                self.turn(ready);
            }
        }
    }

    /// Runs all jobs there are, so that a busy worker's jobs do not wait for one turn each.
    fn run_jobs(&self) {
        while let Some(job) = self.scheduler.next_job() {
            if self.scheduler.work_left() {
                self.scheduler.idle.notify();
            }
            self.local.desk.activity.end();
            shielded("a job", job);
        }
    }

    fn turn(&mut self, ready: Ready) {
        self.local.desk.activity.begin(ready.pid());
        let (scheduler, local) = (self.scheduler, self.local);
        let mut since = None;
        // With nothing else to do, an actor that is fed from another core is kept a moment longer:
        // waking it for each message would cost the sender more than the message.
        let linger = || {
            let now = Instant::now();
            let short = now.duration_since(*since.get_or_insert(now)) < LINGER;
            let lingers = short && local.is_empty() && scheduler.injector.is_empty();
            (0..8).for_each(|_| {
                if lingers {
                    std::hint::spin_loop()
                }
            });
            lingers
        };
        if let After::Again(ready) = run_slice(ready, self.system, &mut self.runner, linger) {
            self.put_back(ready);
        }
    }

    /// Puts an actor that has more to do behind the others of its priority.
    fn put_back(&self, ready: Ready) {
        let (scheduler, local) = (self.scheduler, self.local);
        // An actor that stopped this scheduler must stay here, where it is ended.
        let others = if ready.priority() == Priority::Normal || scheduler.idle.is_stopped() {
            let others = !local.is_empty();
            local.push(scheduler, ready);
            others
        } else {
            let others = !local.is_empty() || !scheduler.injector.is_empty();
            scheduler.injector.push(ready);
            others
        };
        if others {
            scheduler.idle.notify();
        }
    }

    fn search_or_sleep(&mut self) {
        self.runner.rest();
        self.local.desk.activity.end();
        let mut searching = self.scheduler.idle.start_searching();
        loop {
            if searching && let Some(found) = self.search() {
                // Before the work, which may take long: others must be woken meanwhile.
                self.scheduler.idle.found(|| self.scheduler.work_left());
                return match found {
                    Found::Actor(ready) => self.turn(ready),
                    Found::Jobs => self.run_jobs(),
                };
            }
            if self.must_leave() {
                // What it was woken for is left to another.
                return if searching {
                    self.scheduler.idle.found(|| true)
                };
            }
            if !self.sleep(searching) {
                return;
            }
            searching = true;
        }
    }

    /// Sleeps until woken; whether it wakes as a searcher.
    fn sleep(&self, searching: bool) -> bool {
        let scheduler = self.scheduler;
        // A job that ran since the last look may have left an actor here.
        let stay_up = || !self.local.is_empty() || scheduler.work_left() || self.must_leave();
        let woken = scheduler.idle.sleep(self.index, searching, stay_up);
        scheduler.alarm.ring();
        woken
    }
}
