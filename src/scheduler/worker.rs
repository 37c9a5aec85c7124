//! A worker thread: its own queue first, then the injector, then the others' queues, then sleep. Actors
//! of high priority come before all that and those of low priority after it, in most turns.

mod choice;

use std::cell::OnceCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::Instant;

use super::Scheduler;
use super::run_queue::RunQueue;
use crate::actor::{After, LifoSlot, LifoThief, Priority, Ready, Runner, System, run_slice, shielded};

/// How often a worker that has nothing else to do looks for another message of the actor it ran.
const LINGER: u32 = 16;

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

/// What other workers see of one.
#[repr(align(128))]
pub(super) struct Desk {
    /// Others take from here only where the worker is held up in a slice, perhaps by a handler that
    /// waits for this very actor.
    lifo: LifoThief,
    /// Slices begun.
    slices: AtomicU32,
}

impl Desk {
    pub(super) fn of(seat: &Seat) -> Self {
        Self { lifo: seat.lifo.thief(), slices: AtomicU32::new(0) }
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
        if let Some(older) = local.seat.lifo.replace(ready) {
            local.push(scheduler, older);
            scheduler.idle.notify();
        }
    });
    ready
}

pub(super) fn spawn(
    scheduler: Arc<Scheduler>,
    system: Arc<System>,
    index: usize,
    seat: Seat,
    io: tokio::runtime::Handle,
) -> std::io::Result<thread::JoinHandle<()>> {
    thread::Builder::new().name(format!("myrmidon-{index}")).spawn(move || {
        let _context = io.enter();
        let desk = scheduler.desks[index].clone();
        let local = Local { scheduler: Arc::as_ptr(&scheduler), seat, desk };
        let seen = vec![0; scheduler.desks.len()];
        LOCAL.with(|cell| {
            let local = cell.get_or_init(|| local);
            let runner = Runner::new(scheduler.limits);
            Worker {
                scheduler: &scheduler,
                system: &system,
                local,
                index,
                passes: 0,
                normal_passes: 0,
                rotated: Instant::now(),
                lifo_runs: 0,
                runner,
                seen,
            }
            .run();
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
    /// The slices of the others when this worker last looked after them.
    seen: Vec<u32>,
}

impl Worker<'_> {
    fn run(&mut self) {
        self.scheduler.idle.enter(self.index);
        while !self.scheduler.idle.is_stopped() {
            match self.next() {
                Some(ready) => self.turn(ready),
                None => self.search_or_sleep(),
            }
        }
        self.finish();
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
            shielded("a job", job);
        }
    }

    fn turn(&mut self, ready: Ready) {
        let slices = &self.local.desk.slices;
        slices.store(slices.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
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
        let mut searching = self.scheduler.idle.start_searching();
        loop {
            if searching && let Some(found) = self.search() {
                // Before the work, which may take long: others must be woken meanwhile.
                self.scheduler.idle.found();
                return match found {
                    Found::Actor(ready) => self.turn(ready),
                    Found::Jobs => self.run_jobs(),
                };
            }
            if self.scheduler.idle.is_stopped() {
                return;
            }
            let (scheduler, index) = (self.scheduler, self.index);
            let woken =
                scheduler.idle.sleep(index, searching, || scheduler.work_left(), || self.free_held_up());
            if !woken {
                return;
            }
            searching = true;
        }
    }

    /// Takes the actors from the LIFO slots of workers that have been in one slice since the last
    /// call; whether there were any.
    fn free_held_up(&mut self) -> bool {
        for (desk, seen) in self.scheduler.desks.iter().zip(&mut self.seen) {
            let slices = desk.slices.load(Ordering::Relaxed);
            if std::mem::replace(seen, slices) == slices
                && let Some(ready) = desk.lifo.take()
            {
                self.local.push(self.scheduler, ready);
            }
        }
        !self.local.seat.queue.is_empty()
    }
}
