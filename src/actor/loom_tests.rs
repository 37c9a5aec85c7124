//! Models of the slot and of parked futures, through real turns of real actors: whoever wakes an
//! actor runs it on its own thread.
//!
//! Left out: actors take `Arc`, `OnceLock` and locks on their own books from the standard library.
#![allow(clippy::unwrap_used, reason = "tests, whose threads loom switches itself")]

use std::sync::{Arc, Mutex, Weak};
use std::task::{Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use loom::sync::atomic::{AtomicU32, Ordering};
use loom::thread;

use super::{
    After, AsyncActor, AsyncAdapter, Behaviour, Context, ExitHook, ExitNotice, ExitReason, Flow, Ready,
    Runner, Schedule, SliceLimits, SpawnOptions, System, SystemHooks, run_slice,
};
use crate::mailbox::Payload;
use crate::pid::Pid;

/// Runs an actor where it is woken.
struct AtOnce(Weak<System>);

impl Schedule for AtOnce {
    fn schedule(&self, mut ready: Ready) {
        let system = self.0.upgrade().expect("models keep their system");
        let mut runner = Runner::new(SliceLimits { time: Duration::MAX });
        while let After::Again(again) = run_slice(ready, &system, &mut runner, || false) {
            ready = again;
        }
    }
}

struct NoHooks;

impl ExitHook for NoHooks {
    fn release(&self, _: &ExitNotice<'_>) {}
    fn ended(&self, _: &ExitNotice<'_>) {}
}

impl SystemHooks for NoHooks {
    fn swap_failed(&self, _: Pid, _: u64, _: &str) {}
    fn stalled(&self, _: Pid, _: Duration) {}
    fn recovered(&self, _: Pid, _: Duration) {}
}

/// A system that is never dropped: its slots would serve the next run of the model, where loom does
/// not know their atomics.
pub(super) fn system() -> &'static Arc<System> {
    let system = Arc::new(System::new(10).unwrap());
    system.connect(Box::new(AtOnce(Arc::downgrade(&system))), Box::new(NoHooks));
    Box::leak(Box::new(system))
}

/// What an actor was sent.
pub(super) type Record = Arc<Mutex<Vec<Payload>>>;

struct Recorder(Record);

impl Behaviour for Recorder {
    fn handle(&mut self, message: Payload, _: &mut Context<'_>) -> Flow {
        let parks = matches!(&message, Payload::Bytes(text) if text == "park");
        self.0.lock().unwrap().push(message);
        if parks { Flow::Park(Box::pin(std::future::pending())) } else { Flow::Continue }
    }
}

fn spawn_recorder(system: &Arc<System>) -> (Pid, Record) {
    spawn_recorder_with(system, SpawnOptions::default())
}

pub(super) fn spawn_recorder_with(system: &Arc<System>, options: SpawnOptions) -> (Pid, Record) {
    let record = Record::default();
    (system.spawn(Box::new(Recorder(record.clone())), options), record)
}

pub(super) fn texts(record: &Record) -> Vec<String> {
    let record = record.lock().unwrap();
    record.iter().map(|payload| format!("{payload:?}")).collect()
}

#[test]
fn a_message_for_the_dead_never_reaches_the_next_actor_of_the_slot() {
    let reused = Arc::new(Mutex::new([0_u32; 3]));
    let seen = reused.clone();
    loom::model(move || {
        let system = system();
        let (first, old) = spawn_recorder(system);
        let sender = thread::spawn(move || system.send(first, Payload::from("old")).is_err());
        system.exit(first, None, ExitReason::Kill);
        let (second, new) = spawn_recorder(system);
        system.send(second, Payload::from("new")).unwrap();
        let returned = sender.join().unwrap();

        assert_eq!(texts(&new), [r#"Bytes(b"new")"#]);
        let (handled, dead) = (texts(&old).len(), system.letters().total());
        assert_eq!(handled as u64 + dead + u64::from(returned), 1);
        if first.index() == second.index() {
            let which = if handled == 1 {
                0
            } else if returned {
                1
            } else {
                2
            };
            seen.lock().unwrap()[which] += 1;
        }
        check_count(system, second);
    });
    // Handled by the first, handed back, and discarded by the second or at the end of the first.
    assert!(reused.lock().unwrap().iter().all(|times| *times > 0), "{reused:?}");
}

/// The mailbox counts right again after messages that raced with the end of another actor.
fn check_count(system: &Arc<System>, idle: Pid) {
    for text in ["park", "queued"] {
        system.send(idle, Payload::from(text)).unwrap();
    }
    assert_eq!(system.mailbox_size(idle), Some(1));
    system.exit(idle, None, ExitReason::Kill);
}

/// Parks until a step is reached.
struct Waiter(Arc<Steps>);

#[derive(Default)]
struct Steps {
    reached: AtomicU32,
    waker: loom::sync::Mutex<Option<Waker>>,
}

impl Steps {
    /// Goes one step on and wakes who waits.
    fn step(&self) {
        self.reached.fetch_add(1, Ordering::Release);
        let waker = self.waker.lock().unwrap().clone();
        waker.into_iter().for_each(Waker::wake);
    }

    async fn reach(self: Arc<Self>, step: u32) -> Flow {
        let mut first = true;
        std::future::poll_fn(|cx| {
            // Once only: later polls must see the step by the order that a wake gives, not the lock's.
            if std::mem::take(&mut first) {
                *self.waker.lock().unwrap() = Some(cx.waker().clone());
            }
            if self.reached.load(Ordering::Acquire) < step { Poll::Pending } else { Poll::Ready(()) }
        })
        .await;
        Flow::Stop(ExitReason::Normal)
    }
}

impl Behaviour for Waiter {
    fn handle(&mut self, _: Payload, _: &mut Context<'_>) -> Flow {
        Flow::Park(Box::pin(self.0.clone().reach(2)))
    }
}

#[test]
fn a_parked_actor_is_polled_after_its_last_wake() {
    loom::model(|| {
        let system = system();
        let steps = Arc::new(Steps::default());
        let pid = system.spawn(Box::new(Waiter(steps.clone())), SpawnOptions::default());
        let waker = thread::spawn(move || (0..2).for_each(|_| steps.step()));
        system.send(pid, Payload::from("park")).unwrap();
        waker.join().unwrap();
        assert!(!system.is_alive(pid));
    });
}

/// Parks twice: it waits for a step in each of two messages.
struct Twice(Arc<Steps>, u32);

impl AsyncActor for Twice {
    type Msg = Bytes;

    async fn handle(&mut self, _: Bytes, _: Pid) -> Flow {
        self.1 += 1;
        let flow = self.0.clone().reach(self.1).await;
        if self.1 == 2 { flow } else { Flow::Continue }
    }
}

#[test]
fn an_async_actor_goes_on_with_each_message_after_its_last_wake() {
    loom::model(|| {
        let system = system();
        let steps = Arc::new(Steps::default());
        let actor = AsyncAdapter::new(Twice(steps.clone(), 0));
        let pid = system.spawn(Box::new(actor), SpawnOptions::default());
        let waker = thread::spawn(move || (0..2).for_each(|_| steps.step()));
        (0..2).for_each(|_| system.send(pid, Payload::from("park")).unwrap());
        waker.join().unwrap();
        assert!(!system.is_alive(pid));
    });
}

/// Parks for ever and shows its waker.
struct Shown(Arc<Mutex<Option<Waker>>>);

impl Behaviour for Shown {
    fn handle(&mut self, _: Payload, cx: &mut Context<'_>) -> Flow {
        *self.0.lock().unwrap() = Some(cx.waker());
        Flow::Waiting
    }
}

#[test]
fn a_waker_of_the_dead_takes_no_wake_from_the_next_actor_of_the_slot() {
    let reused = Arc::new(Mutex::new(0_u32));
    let seen = reused.clone();
    loom::model(move || {
        let system = system();
        let shown = Arc::new(Mutex::new(None));
        let first = system.spawn(Box::new(Shown(shown.clone())), SpawnOptions::default());
        system.send(first, Payload::from("park")).unwrap();
        let stale: Waker = shown.lock().unwrap().take().unwrap();
        let stale = thread::spawn(move || stale.wake());
        system.exit(first, None, ExitReason::Kill);
        let steps = Arc::new(Steps::default());
        let second = system.spawn(Box::new(Waiter(steps.clone())), SpawnOptions::default());
        let waker = thread::spawn(move || (0..2).for_each(|_| steps.step()));
        system.send(second, Payload::from("park")).unwrap();
        waker.join().unwrap();
        stale.join().unwrap();
        assert!(!system.is_alive(first) && !system.is_alive(second));
        *seen.lock().unwrap() += u32::from(first.index() == second.index());
    });
    assert!(*reused.lock().unwrap() > 0, "the second actor never got the slot of the first");
}

/// Code with a version: writes down which one handled each message, and which were dropped.
struct Code {
    version: usize,
    notes: Arc<Notes>,
}

#[derive(Default)]
struct Notes {
    /// Versions, in the order of the messages.
    handled: Mutex<Vec<usize>>,
    dropped: Mutex<[u32; 2]>,
}

impl Behaviour for Code {
    fn starts(&self) -> bool {
        false
    }

    fn handle(&mut self, _: Payload, _: &mut Context<'_>) -> Flow {
        self.notes.handled.lock().unwrap().push(self.version);
        Flow::Continue
    }
}

impl Drop for Code {
    fn drop(&mut self) {
        self.notes.dropped.lock().unwrap()[self.version] += 1;
    }
}

fn code(version: usize, notes: &Arc<Notes>) -> Box<Code> {
    Box::new(Code { version, notes: notes.clone() })
}

#[test]
fn s40_a_swap_during_a_turn_leaves_each_message_to_one_version_and_drops_each_once() {
    for now in [false, true] {
        let seen = Arc::new(Mutex::new(std::collections::BTreeSet::new()));
        let orders = seen.clone();
        loom::model(move || {
            let (system, notes) = (system(), Arc::new(Notes::default()));
            let pid = system.spawn(code(0, &notes), SpawnOptions::default());
            let new = code(1, &notes);
            let swapper = thread::spawn(move || system.hot_swap(pid, new, now).unwrap());
            (0..2).for_each(|_| system.send(pid, Payload::from("x")).unwrap());
            assert_eq!(swapper.join().unwrap(), 2);

            let handled = notes.handled.lock().unwrap().clone();
            assert!(handled.len() == 2 && handled.is_sorted(), "handled by {handled:?}");
            assert_eq!(*notes.dropped.lock().unwrap(), [0, 0], "the old code is kept for a rollback");
            system.exit(pid, None, ExitReason::Kill);
            assert_eq!(*notes.dropped.lock().unwrap(), [1, 1]);
            orders.lock().unwrap().insert(handled);
        });
        assert_eq!(seen.lock().unwrap().len(), 3, "before, between and behind the two messages");
    }
}

#[test]
fn s40_a_swap_that_races_with_the_end_drops_every_version_once() {
    for now in [false, true] {
        loom::model(move || {
            let (system, notes) = (system(), Arc::new(Notes::default()));
            let pid = system.spawn(code(0, &notes), SpawnOptions::default());
            let new = code(1, &notes);
            let swapper = thread::spawn(move || drop(system.hot_swap(pid, new, now)));
            let returned = system.send(pid, Payload::from("x")).is_err();
            system.exit(pid, None, ExitReason::Kill);
            swapper.join().unwrap();

            assert!(!system.is_alive(pid));
            let handled = notes.handled.lock().unwrap().len() as u64;
            assert_eq!(handled + system.letters().total() + u64::from(returned), 1);
            assert_eq!(*notes.dropped.lock().unwrap(), [1, 1]);
        });
    }
}
