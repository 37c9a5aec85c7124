//! A worker thread: its own queue first, then the injector, then the others' queues, then sleep. Actors
//! of high priority come before all that and those of low priority after it, in most turns.

mod choice;

use std::cell::{Cell, OnceCell};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Instant;

use super::activity::Activity;
use super::duty::Duty;
use super::run_queue::RunQueue;
use super::{Job, Scheduler};
use crate::actor::{After, Priority, Ready, ReadySlot, Runner, System, run_slice, serving, shielded};
use crate::pid::Pid;

/// How often a worker that has nothing else to do looks for another message of the actor it ran.
const LINGER: u32 = 16;

/// What a worker keeps for itself, reachable from `schedule` on the same thread.
struct Local {
    /// Address of the scheduler: a worker of one runtime may send to actors of another.
    scheduler: *const Scheduler,
    queue: RunQueue<Ready>,
    desk: Arc<Desk>,
    /// Whether something was put into the LIFO slot and not taken out here.
    lifo_used: Cell<bool>,
}

/// What other threads see of a worker.
#[repr(align(128))]
pub(super) struct Desk {
    /// The actor made ready last: its message is hot in the cache, and no other worker is woken for
    /// it. Others get it only where the worker is held up in a slice, perhaps by a handler that
    /// waits for this very actor.
    pub(super) lifo: ReadySlot,
    pub(super) activity: Activity,
    pub(super) duty: Duty,
    /// Until the worker's thread begins.
    queue: Mutex<Option<RunQueue<Ready>>>,
}

impl Desk {
    pub(super) fn new(queue: RunQueue<Ready>, duty: Duty) -> Self {
        let queue = Mutex::new(Some(queue));
        Self { lifo: ReadySlot::new(), activity: Activity::default(), duty, queue }
    }

    fn take_queue(&self) -> Option<RunQueue<Ready>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

thread_local! {
    static LOCAL: OnceCell<Local> = const { OnceCell::new() };
}

/// Puts the actor onto this thread's queue, or gives it back if this is no worker of `scheduler`.
pub(super) fn push_local(scheduler: &Scheduler, ready: Ready) -> Option<Ready> {
    let mut ready = Some(ready);
    let _ = LOCAL.try_with(|local| {
        let Some(local) = local.get().filter(|local| std::ptr::eq(local.scheduler, scheduler)) else {
            return;
        };
        let Some(ready) = ready.take() else { return };
        if !local.lifo_used.replace(true) {
            return local.desk.lifo.fill(ready);
        }
        if let Some(older) = local.desk.lifo.replace(ready) {
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
        let _context = scheduler.io.enter();
        let desk = scheduler.desks[index].clone();
        let queue = desk.take_queue().expect("each worker is started once");
        let local = Local { scheduler: Arc::as_ptr(&scheduler), queue, desk, lifo_used: Cell::new(false) };
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

impl Local {
    fn is_empty(&self) -> bool {
        !self.lifo_used.get() && self.queue.is_empty()
    }

    /// Puts the actor at the back of the queue.
    fn push(&self, scheduler: &Scheduler, ready: Ready) {
        self.queue.push(ready, |batch| scheduler.injector.spill(batch));
    }

    fn take_lifo(&self) -> Option<Ready> {
        if !self.lifo_used.replace(false) {
            return None;
        }
        self.desk.lifo.take()
    }
}

/// What a worker does next.
enum Work {
    Actor(Ready),
    Job(Job),
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
                Some(work) => self.work(work),
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
        while let Some(ready) = self.local.queue.pop().or_else(|| self.local.take_lifo()) {
            self.scheduler.injector.push(ready);
        }
        self.scheduler.idle.notify();
    }

    /// One more turn for the actors that are left here. One that shut its own runtime down was
    /// killed in the middle of its slice and has yet to end.
    fn finish(&mut self) {
        for _ in 0..=self.local.queue.len() {
            if let Some(ready) = self.local.queue.pop().or_else(|| self.local.take_lifo()) {
                self.turn(ready);
            }
        }
    }

    fn work(&mut self, work: Work) {
        match work {
            Work::Actor(ready) => self.turn(ready),
            Work::Job(job) => {
                self.local.desk.activity.end();
                shielded("a job", job);
                // All of them, so that a busy worker's jobs do not wait for one turn each.
                while let Some(job) = self.scheduler.next_job() {
                    shielded("a job", job);
                }
            }
        }
    }

    fn turn(&mut self, ready: Ready) {
        self.local.desk.activity.begin(ready.pid());
        let (scheduler, local) = (self.scheduler, self.local);
        let mut looks = 0;
        // With nothing else to do, an actor that is fed from another core is kept a moment longer:
        // waking it for each message would cost the sender more than the message.
        let linger = || {
            looks += 1;
            let lingers = looks <= LINGER && local.is_empty() && scheduler.injector.is_empty();
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
            if searching && let Some(work) = self.search() {
                // Before the work, which may take long: others must be woken meanwhile.
                self.scheduler.idle.found();
                return self.work(work);
            }
            if self.must_leave() {
                // What it was woken for is left to another.
                return if searching {
                    self.scheduler.idle.found()
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
        let stay_up = || scheduler.work_left() || self.must_leave();
        let woken = scheduler.idle.sleep(self.index, searching, stay_up);
        scheduler.alarm.ring();
        woken
    }
}
