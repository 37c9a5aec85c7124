//! Everything at once on real threads, from a seed: spawns, sends, asks, links, monitors, swaps, panics
//! and kills, by threads and by actors. In the end every message was handled or counted as a dead letter
//! exactly once, in the order of its sender, and whoever asked to hear of an end heard of it once.
//!
//! `MYRMIDON_STRESS_OPS` sets how much is done, `MYRMIDON_SEED` what is drawn; which of the
//! interleavings that allows comes about is for the machine to decide.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::any::Any;
use std::collections::HashMap;
use std::panic::resume_unwind;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use common::{DEADLINE, eventually};
use myrmidon::actor::{
    Actor, ActorRef, AskError, AsyncActor, Context, ExitReason, Flow, Reply, SpawnOptions, SystemMessage,
};
use myrmidon::sim::Random;
use myrmidon::{Pid, Runtime};

const THREADS: u64 = 4;
/// Actors that are known at one time. Each spawn takes the place of one, which is then told to end.
const PLACES: u64 = 32;
const OPS: u64 = 60_000;

#[derive(Debug)]
enum Msg {
    /// The `number`th from `sender` to this receiver; it may do `ops` things in answer.
    Work {
        sender: u64,
        number: u64,
        ops: u8,
    },
    Ask {
        sender: u64,
        number: u64,
        reply: Reply<u64>,
    },
}

/// What all threads and actors have in common.
struct World {
    rt: Runtime,
    keeper: ActorRef<()>,
    places: Vec<Mutex<ActorRef<Msg>>>,
    seed: u64,
    counts: Counts,
}

#[derive(Debug, Default)]
struct Counts {
    spawned: AtomicU64,
    ended: AtomicU64,
    sent: AtomicU64,
    handled: AtomicU64,
    monitors: AtomicU64,
    asked: AtomicU64,
    answered: AtomicU64,
    swaps: AtomicU64,
}

fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

fn read(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}

/// Somebody who does things: a thread, or an actor.
struct Doer {
    world: Arc<World>,
    id: u64,
    random: Random,
    /// How many messages each receiver took from it.
    sent: HashMap<Pid, u64>,
}

impl Doer {
    fn new(world: Arc<World>, id: u64) -> Self {
        let random = Random::stream(world.seed, id);
        Self { world, id, random, sent: HashMap::new() }
    }

    fn anyone(&mut self) -> ActorRef<Msg> {
        self.world.places[self.random.below(PLACES) as usize].lock().unwrap().clone()
    }

    /// Sends what `message` makes of the number, which counts only if it is taken.
    fn send(&mut self, to: &ActorRef<Msg>, ops: u8) {
        let number = self.sent.entry(to.pid()).or_default();
        if to.send(Msg::Work { sender: self.id, number: *number, ops }).is_ok() {
            *number += 1;
            count(&self.world.counts.sent);
        }
    }

    /// One thing of those that do not wait.
    fn act(&mut self, ops: u8) {
        let (to, other) = (self.anyone(), self.anyone());
        let (pid, rt) = (to.pid(), self.world.rt.clone());
        match self.random.below(48) {
            0..36 => (0..=self.random.below(8)).for_each(|_| self.send(&to, ops)),
            36..38 => self.spawn(),
            38 => _ = rt.link(pid, other.pid()),
            39 => _ = rt.unlink(pid, other.pid()),
            40 => {
                count(&self.world.counts.monitors);
                rt.monitor(self.world.keeper.pid(), pid);
            }
            41 => _ = rt.exit(pid, ExitReason::Other("as drawn".to_owned())),
            42 => self.swap(&to),
            43 => _ = rt.rollback(pid),
            44 => _ = rt.names().register(&self.random.below(8).to_string(), pid),
            45 => _ = rt.trap_exit(pid, self.random.one_in(2)),
            46 => _ = rt.ping(pid, other.pid()),
            _ => _ = rt.kill(pid),
        }
    }

    /// Puts a new actor into a place; the one that had it is stopped or killed.
    fn spawn(&mut self) {
        let new = spawn(&self.world, self.random.next_u64());
        let place = self.random.below(PLACES) as usize;
        let old = std::mem::replace(&mut *self.world.places[place].lock().unwrap(), new);
        match self.random.one_in(2) {
            true => self.world.rt.stop(old.pid()),
            false => self.world.rt.kill(old.pid()),
        };
    }

    fn swap(&mut self, to: &ActorRef<Msg>) {
        let fails = self.random.one_in(4);
        let state = State::new(&self.world, self.random.next_u64());
        let swapped = match self.random.one_in(2) {
            true => to.hot_swap(Worker { state, fails }),
            false => to.hot_swap_async(Waiter { state, fails }),
        };
        if swapped.is_ok() {
            count(&self.world.counts.swaps);
        }
    }

    /// Asks and waits: only for threads.
    fn ask(&mut self) {
        let to = self.anyone();
        let number = *self.sent.entry(to.pid()).or_default();
        let sender = self.id;
        count(&self.world.counts.asked);
        match to.ask_blocking(|reply| Msg::Ask { sender, number, reply }, DEADLINE) {
            Ok(answer) => {
                assert_eq!(answer, number, "the answer to another question");
                count(&self.world.counts.answered);
            }
            Err(AskError::NoProcess(_)) => return,
            Err(AskError::Ended { .. } | AskError::NoReply(_)) => {}
            Err(error) => panic!("an ask without an outcome: {error}"),
        }
        self.sent.insert(to.pid(), number + 1);
        count(&self.world.counts.sent);
    }
}

/// What survives a swap.
struct State {
    doer: Doer,
    /// The next number of each sender.
    expected: HashMap<u64, u64>,
}

impl State {
    fn new(world: &Arc<World>, id: u64) -> Self {
        // The upper half, so that no thread has the same.
        Self { doer: Doer::new(world.clone(), id | 1 << 63), expected: HashMap::new() }
    }

    fn take(&mut self, message: Msg) {
        let (Msg::Work { sender, number, .. } | Msg::Ask { sender, number, .. }) = &message;
        count(&self.doer.world.counts.handled);
        let expected = self.expected.entry(*sender).or_default();
        if *number != *expected {
            eprintln!("message {number} of {sender:x} where {expected} was due");
            std::process::abort();
        }
        *expected += 1;
        match message {
            Msg::Work { ops, .. } => (0..ops).for_each(|_| self.doer.act(ops - 1)),
            Msg::Ask { number, reply, .. } if !self.doer.random.one_in(8) => _ = reply.send(number),
            Msg::Ask { .. } => {}
        }
        if self.doer.random.one_in(2_000) {
            // Without the hook that would print it.
            resume_unwind(Box::new("as drawn"));
        }
    }

    /// Takes over the numbers of senders and receivers.
    fn upgrade(&mut self, old: &mut dyn Any, fails: bool) -> Result<(), String> {
        if fails {
            return Err("as drawn".to_owned());
        }
        let old = match old.downcast_mut::<Worker>() {
            Some(worker) => &mut worker.state,
            None => &mut old.downcast_mut::<Waiter>().unwrap().state,
        };
        std::mem::swap(self, old);
        Ok(())
    }
}

struct Worker {
    state: State,
    fails: bool,
}

impl Actor for Worker {
    type Msg = Msg;

    fn handle(&mut self, message: Msg, _: &mut Context<'_>) -> Flow {
        self.state.take(message);
        if self.state.doer.random.one_in(2_000) { Flow::Stop(ExitReason::Normal) } else { Flow::Continue }
    }

    fn upgrade(&mut self, old: &mut dyn Any, _: u64) -> Result<(), String> {
        self.state.upgrade(old, self.fails)
    }
}

struct Waiter {
    state: State,
    fails: bool,
}

impl AsyncActor for Waiter {
    type Msg = Msg;

    async fn handle(&mut self, message: Msg, _: Pid) -> Flow {
        self.state.take(message);
        // After the message is counted, as a kill drops the handler where it waits.
        if self.state.doer.random.one_in(4) {
            tokio::task::yield_now().await;
        }
        Flow::Continue
    }

    fn upgrade(&mut self, old: &mut dyn Any, _: u64) -> Result<(), String> {
        self.state.upgrade(old, self.fails)
    }
}

/// Counts DOWNs, and lives to the end.
struct Keeper(Arc<AtomicU64>);

impl Actor for Keeper {
    type Msg = ();

    fn handle(&mut self, (): (), _: &mut Context<'_>) -> Flow {
        Flow::Continue
    }

    fn system(&mut self, message: SystemMessage, _: &mut Context<'_>) -> Flow {
        if matches!(message, SystemMessage::Exit { .. }) {
            count(&self.0);
        }
        Flow::Continue
    }
}

fn spawn(world: &Arc<World>, id: u64) -> ActorRef<Msg> {
    let (state, options) = (State::new(world, id), SpawnOptions::default());
    let new = match id % 3 {
        0 => world.rt.spawn_async(Waiter { state, fails: false }, options),
        _ => world.rt.spawn_with(Worker { state, fails: false }, options),
    };
    count(&world.counts.spawned);
    let counted = world.clone();
    world.rt.on_exit(new.pid(), move |_| count(&counted.counts.ended));
    new
}

fn world(seed: u64) -> (Arc<World>, Arc<AtomicU64>) {
    let rt = Runtime::builder().workers(2).on_event(Arc::new(|_| {})).start().unwrap();
    let downs = Arc::new(AtomicU64::new(0));
    let keeper = rt.spawn(Keeper(downs.clone()));
    // Somebody for the places until they are filled: an actor that has ended.
    let nobody = rt.spawn(Nobody);
    rt.kill(nobody.pid());
    rt.join(nobody.pid(), Some(DEADLINE)).unwrap();
    let places = (0..PLACES).map(|_| Mutex::new(nobody.clone())).collect();
    let world = Arc::new(World { rt, keeper, places, seed, counts: Counts::default() });
    for (n, place) in world.places.iter().enumerate() {
        *place.lock().unwrap() = spawn(&world, n as u64);
    }
    (world, downs)
}

struct Nobody;

impl Actor for Nobody {
    type Msg = Msg;

    fn handle(&mut self, _: Msg, _: &mut Context<'_>) -> Flow {
        Flow::Continue
    }
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap())
}

#[test]
fn g1_g2_g6_everything_at_once_loses_and_repeats_nothing() {
    let seed = number("MYRMIDON_SEED").unwrap_or_else(|| getrandom::u64().unwrap());
    let ops = number("MYRMIDON_STRESS_OPS").unwrap_or(OPS);
    eprintln!("repeat it with: MYRMIDON_SEED={seed} MYRMIDON_STRESS_OPS={ops} cargo test --test stress");
    let (world, downs) = world(seed);
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let mut doer = Doer::new(world.clone(), thread);
            scope.spawn(move || {
                for _ in 0..ops / THREADS {
                    match doer.random.one_in(16) {
                        true => doer.ask(),
                        false => doer.act(2),
                    }
                }
            });
        }
    });
    end(&world);
    let counts = &world.counts;
    eventually("all have ended", || read(&counts.ended) == read(&counts.spawned));
    eventually("each monitor has told of one end", || {
        downs.load(Ordering::Relaxed) == read(&counts.monitors)
    });
    let accounted = || read(&counts.handled) + world.rt.dead_letters();
    eventually("each message is accounted for", || accounted() == read(&counts.sent));
    assert!((0..8).all(|name| world.rt.names().whereis(&name.to_string()).is_none()));
    assert_eq!(world.rt.actors(), [world.keeper.pid()]);
    assert!(read(&counts.answered) > 0 && read(&counts.swaps) > 0 && world.rt.dead_letters() > 0);
    assert_eq!(world.rt.shutdown(Duration::from_secs(5)), 0);
    assert_eq!(accounted(), read(&counts.sent), "also after the end");
    eprintln!("{counts:?} dead letters {}", world.rt.dead_letters());
}

/// Ends all but the keeper; they may start others until they do.
fn end(world: &World) {
    eventually("nobody is left", || {
        let others: Vec<Pid> =
            world.rt.actors().into_iter().filter(|pid| *pid != world.keeper.pid()).collect();
        others.iter().for_each(|pid| _ = world.rt.kill(*pid));
        others.is_empty()
    });
}
