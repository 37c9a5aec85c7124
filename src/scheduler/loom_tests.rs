//! Models of sleeping and waking: if a wake-up is lost, loom finds threads that wait for ever. And of
//! the run queue, whose places loom watches: two threads in one at a time are an error.
//!
//! Left out where workers sleep: the queues of the workers, in whose place is a counter that promises no more than they
//! do, and the order that loom's mutexes give, which is stronger than that of real ones.
#![allow(clippy::unwrap_used, reason = "tests, whose threads loom switches itself")]

use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::task::{Context, Wake, Waker};
use std::time::Duration;

use loom::sync::atomic::AtomicBool;
use loom::thread;
use tokio::runtime::Handle;

use super::alarm::Alarm;
use super::duty::Duty;
use super::idle::Idle;
use super::lane::Lane;
use super::relay::Relay;
use super::run_queue::{PLACES, RunQueue, Stealer};
use crate::actor::System;
use crate::sync::{self, SegQueue};

/// Two workers that look for work and sleep as real ones do.
struct Workers {
    idle: Idle,
    work: SegQueue<()>,
    /// Stop when so much is done.
    jobs: usize,
    done: AtomicUsize,
}

impl Workers {
    fn start(jobs: usize) -> (Arc<Self>, [thread::JoinHandle<()>; 2]) {
        let (work, done) = (SegQueue::new(), AtomicUsize::new(0));
        let workers = Arc::new(Self { idle: Idle::new(2, 0), work, jobs, done });
        let threads = [0, 1].map(|index| {
            let workers = workers.clone();
            thread::spawn(move || workers.run(index))
        });
        (workers, threads)
    }

    fn push(&self) {
        self.work.push(());
        self.idle.notify();
    }

    fn run(&self, index: usize) {
        self.idle.enter(index);
        while !self.idle.is_stopped() {
            match self.work.pop() {
                Some(()) => self.finish_one(),
                None => self.search_or_sleep(index),
            }
        }
    }

    fn search_or_sleep(&self, index: usize) {
        let mut searching = self.idle.start_searching();
        loop {
            if searching && self.work.pop().is_some() {
                self.idle.found(|| !self.work.is_empty());
                return self.finish_one();
            }
            if self.idle.is_stopped() {
                return;
            }
            if !self.idle.sleep(index, searching, || !self.work.is_empty()) {
                return;
            }
            searching = true;
        }
    }

    fn finish_one(&self) {
        if self.done.fetch_add(1, Ordering::SeqCst) + 1 == self.jobs {
            self.idle.stop();
        }
    }
}

#[test]
fn work_pushed_while_workers_go_to_sleep_is_done() {
    loom::model(|| {
        let (workers, threads) = Workers::start(1);
        workers.push();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        assert_eq!(workers.done.load(Ordering::SeqCst), 1);
    });
}

#[test]
fn work_pushed_one_after_another_is_done() {
    let mut small = loom::model::Builder::new();
    small.preemption_bound = Some(1);
    small.check(|| {
        let (workers, threads) = Workers::start(2);
        workers.push();
        workers.push();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        assert_eq!(workers.done.load(Ordering::SeqCst), 2);
    });
}

#[test]
fn a_stop_wakes_every_worker() {
    loom::model(|| {
        let (workers, threads) = Workers::start(1);
        workers.idle.stop();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
    });
}

/// One worker that never takes anything, as if a handler held it up, and one spare.
struct Spare {
    idle: Idle,
    duty: Duty,
    work: SegQueue<()>,
    done: AtomicUsize,
}

impl Spare {
    fn start() -> (Arc<Self>, thread::JoinHandle<()>) {
        let (idle, work, done) = (Idle::new(1, 1), SegQueue::new(), AtomicUsize::new(0));
        let spare = Arc::new(Self { idle, duty: Duty::benched(), work, done });
        let running = spare.clone();
        let thread = thread::spawn(move || {
            running.idle.enter(1);
            while running.duty.wait(&running.idle) {
                running.serve();
                if !running.idle.is_stopped() {
                    running.duty.leave(&running.idle);
                }
            }
        });
        (spare, thread)
    }

    fn must_leave(&self) -> bool {
        self.idle.is_stopped() || !self.duty.is_serving()
    }

    fn serve(&self) {
        let mut searching = false;
        while !self.must_leave() {
            if self.work.pop().is_some() {
                if std::mem::take(&mut searching) {
                    self.idle.found(|| !self.work.is_empty());
                }
                self.done.fetch_add(1, Ordering::SeqCst);
            } else {
                searching = self.idle.sleep(1, searching, || !self.work.is_empty() || self.must_leave());
            }
        }
        if searching {
            self.idle.found(|| !self.work.is_empty());
        }
    }
}

#[test]
fn a_spare_that_is_called_does_what_is_pushed() {
    loom::model(|| {
        let (spare, thread) = Spare::start();
        spare.duty.call(1, &spare.idle);
        spare.work.push(());
        spare.idle.notify();
        while spare.done.load(Ordering::SeqCst) == 0 {
            thread::yield_now();
        }
        spare.idle.stop();
        thread.join().unwrap();
    });
}

#[test]
fn a_spare_that_is_dismissed_goes_to_the_bench() {
    loom::model(|| {
        let (spare, thread) = Spare::start();
        spare.duty.call(1, &spare.idle);
        spare.duty.dismiss(1, &spare.idle);
        while !spare.duty.is_benched() {
            thread::yield_now();
        }
        assert!(!spare.idle.all_asleep(), "the one in service is the worker, which is awake");
        assert!(!spare.idle.some_asleep());
        spare.idle.stop();
        thread.join().unwrap();
    });
}

#[test]
fn the_watchdog_sees_whoever_begins_to_work() {
    loom::model(|| {
        let (alarm, working) = (Arc::new(Alarm::default()), Arc::new(AtomicBool::new(false)));
        let (watched, seen) = (alarm.clone(), working.clone());
        let watchdog = thread::spawn(move || {
            watched.enter();
            watched.sleep(|| !seen.load(Ordering::Relaxed));
            assert!(seen.load(Ordering::Relaxed) || watched.is_stopped());
        });
        working.store(true, Ordering::Relaxed);
        alarm.ring();
        watchdog.join().unwrap();
    });
}

#[test]
fn the_watchdog_that_dozes_sees_whoever_begins_to_work() {
    loom::model(|| {
        let (alarm, working) = (Arc::new(Alarm::default()), Arc::new(AtomicBool::new(false)));
        let (watched, seen) = (alarm.clone(), working.clone());
        let watchdog = thread::spawn(move || {
            watched.enter();
            // No time limit ends it in a model.
            assert!(watched.doze(Duration::MAX, || !seen.load(Ordering::Relaxed)));
        });
        alarm.ring_for_lane();
        working.store(true, Ordering::Relaxed);
        alarm.ring();
        watchdog.join().unwrap();
    });
}

#[test]
fn a_stop_ends_the_watchdog() {
    loom::model(|| {
        let alarm = Arc::new(Alarm::default());
        let watched = alarm.clone();
        let watchdog = thread::spawn(move || {
            watched.enter();
            while !watched.is_stopped() {
                watched.sleep(|| true);
            }
        });
        alarm.stop();
        watchdog.join().unwrap();
    });
}

/// Runs a model with a context for futures, which is made outside of it.
fn model_with_io(model: impl Fn(Handle) + Send + Sync + 'static) {
    let io = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let handle = io.handle().clone();
    loom::model(move || model(handle.clone()));
}

/// A driver that waits by `wait` runs every job that two threads give its lane.
fn sees_every_job(wait: impl Fn(&Lane) -> bool + Send + Sync + 'static) {
    model_with_io(move |io| {
        let system = Arc::new(System::new(1).unwrap());
        let lane = Arc::new(Lane::new(1, "main", Arc::downgrade(&system), io, Arc::default()));
        let done = Arc::new(AtomicUsize::new(0));
        let pushers = [(); 2].map(|()| {
            let (lane, done) = (lane.clone(), done.clone());
            thread::spawn(move || lane.submit(Box::new(move || _ = done.fetch_add(1, Ordering::SeqCst))))
        });
        while done.load(Ordering::SeqCst) < 2 {
            wait(&lane);
            lane.run(Duration::MAX, || true);
        }
        pushers.into_iter().for_each(|pusher| pusher.join().unwrap());
    });
}

#[test]
fn a_driver_that_goes_to_wait_sees_every_job() {
    sees_every_job(|lane| lane.wait(None));
}

struct Unpark(sync::Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// In the place of the loop of the sockets.
fn park_until(mut until: Pin<&mut dyn Future<Output = ()>>) -> bool {
    let waker = Waker::from(Arc::new(Unpark(sync::current())));
    while until.as_mut().poll(&mut Context::from_waker(&waker)).is_pending() {
        sync::park();
    }
    true
}

#[test]
fn a_driver_that_sleeps_in_the_loop_of_the_sockets_sees_every_job() {
    sees_every_job(|lane| lane.sleep_in(park_until));
}

#[test]
fn a_wake_and_a_close_end_the_sleep_in_the_loop_of_the_sockets() {
    for end in [Lane::wake, Lane::close] {
        model_with_io(move |io| {
            let lane = Arc::new(Lane::new(1, "main", Weak::new(), io, Arc::default()));
            let other = lane.clone();
            let waker = thread::spawn(move || end(&other));
            assert!(lane.sleep_in(park_until));
            waker.join().unwrap();
        });
    }
}

#[test]
fn a_driver_that_leaves_does_not_hide_another() {
    model_with_io(|io| {
        let system = Arc::new(System::new(1).unwrap());
        let lane = Arc::new(Lane::new(1, "main", Arc::downgrade(&system), io, Arc::default()));
        // Loom runs its threads on one real thread, which can be in the context only once.
        let seat = Arc::new(loom::sync::Mutex::new(()));
        let other_seat = seat.clone();
        let [leaving, staying] = [lane.clone(), lane.clone()];
        let leaving = thread::spawn(move || {
            if leaving.wait(None) {
                let _seat = seat.lock().unwrap();
                leaving.run(Duration::MAX, || true);
            }
        });
        let staying = thread::spawn(move || {
            while !staying.is_closed() {
                staying.wait(None);
                let _seat = other_seat.lock().unwrap();
                staying.run(Duration::MAX, || true);
            }
        });
        lane.wake();
        let closing = lane.clone();
        lane.submit(Box::new(move || closing.close()));
        leaving.join().unwrap();
        staying.join().unwrap();
    });
}

#[test]
fn a_wake_and_a_close_end_the_wait() {
    for end in [Lane::wake, Lane::close] {
        model_with_io(move |io| {
            let lane = Arc::new(Lane::new(1, "main", Weak::new(), io, Arc::default()));
            let other = lane.clone();
            let waker = thread::spawn(move || end(&other));
            assert!(!lane.wait(None));
            waker.join().unwrap();
        });
    }
}

/// Steals once or twice from `queue` on a thread of its own; what it got.
fn thief(queue: &RunQueue<u64>, times: usize) -> thread::JoinHandle<Vec<u64>> {
    let stealer: Stealer<u64> = queue.stealer();
    thread::spawn(move || {
        let own = RunQueue::new();
        let steal = || stealer.steal_half(&own).into_iter().chain(std::iter::from_fn(|| own.pop()));
        (0..times).flat_map(|_| steal().collect::<Vec<_>>()).collect()
    })
}

/// Checks that the numbers below `count` were each seen once.
fn all_once(seen: impl IntoIterator<Item = Vec<u64>>, count: u64) {
    let mut seen: Vec<_> = seen.into_iter().flatten().collect();
    seen.sort_unstable();
    assert_eq!(seen, (0..count).collect::<Vec<_>>());
}

#[test]
fn two_thieves_and_the_owner_take_each_item_once() {
    loom::model(|| {
        let queue = RunQueue::new();
        (0..3).for_each(|item| queue.push(item, |_| panic!("there is room")));
        let thieves = [thief(&queue, 1), thief(&queue, 1)];
        let mut mine: Vec<_> = queue.pop().into_iter().collect();
        mine.extend(std::iter::from_fn(|| queue.pop()));
        let stolen = thieves.map(|thief| thief.join().unwrap());
        all_once(stolen.into_iter().chain([mine]), 3);
    });
}

#[test]
fn a_thief_meets_an_owner_whose_queue_overflows() {
    loom::model(|| {
        let queue = RunQueue::new();
        (0..PLACES).for_each(|item| queue.push(item, |_| panic!("there is room")));
        let thief = thief(&queue, 1);
        let (mut spilled, mut mine) = (Vec::new(), Vec::new());
        for item in PLACES..PLACES + 2 {
            queue.push(item, |items| spilled.extend(items));
            mine.extend(queue.pop());
        }
        mine.extend(std::iter::from_fn(|| queue.pop()));
        all_once([thief.join().unwrap(), spilled, mine], PLACES + 2);
    });
}

#[test]
fn a_thief_meets_an_owner_who_fills_places_anew() {
    loom::model(|| {
        let queue = RunQueue::new();
        let thief = thief(&queue, 2);
        let (mut spilled, mut mine) = (Vec::new(), Vec::new());
        for item in 0..PLACES + 2 {
            queue.push(item, |items| spilled.extend(items));
            if item % 2 == 1 {
                mine.extend(queue.pop());
            }
        }
        mine.extend(std::iter::from_fn(|| queue.pop()));
        all_once([thief.join().unwrap(), spilled, mine], PLACES + 2);
    });
}

#[test]
fn thieves_steal_from_each_other() {
    loom::model(|| {
        let (first, second) = (RunQueue::new(), RunQueue::new());
        (0..2).for_each(|item| first.push(item, |_| panic!("there is room")));
        let from_first = first.stealer();
        let from_second = second.stealer();
        let owner = thread::spawn(move || {
            let taken = from_first.steal_half(&second);
            taken.into_iter().chain(std::iter::from_fn(|| second.pop())).collect::<Vec<_>>()
        });
        let mut mine: Vec<_> = from_second.steal_half(&first).into_iter().collect();
        mine.extend(std::iter::from_fn(|| first.pop()));
        all_once([owner.join().unwrap(), mine], 2);
    });
}

#[test]
fn an_owner_fills_what_a_thief_has_just_read() {
    // So few steps that every interleaving is tried.
    let mut every = loom::model::Builder::new();
    every.preemption_bound = None;
    every.check(|| {
        let queue = RunQueue::new();
        (0..PLACES).for_each(|item| queue.push(item, |_| panic!("there is room")));
        let thief = thief(&queue, 1);
        let mut spilled = Vec::new();
        queue.push(PLACES, |items| spilled.extend(items));
        let stolen = thief.join().unwrap();
        let mine = std::iter::from_fn(|| queue.pop()).collect();
        all_once([stolen, spilled, mine], PLACES + 1);
    });
}

/// A post that exactly one of two threads has at a time.
#[derive(Default)]
struct Post {
    relay: Relay,
    taken: AtomicBool,
}

impl Post {
    /// Thread 1 stands by once; whether it had the post.
    fn stand_in(self: &Arc<Self>) -> thread::JoinHandle<bool> {
        let post = self.clone();
        thread::spawn(move || {
            let drives = post.relay.stand_by(1);
            if drives {
                post.drive();
            }
            drives
        })
    }

    fn drive(&self) {
        assert!(!self.taken.swap(true, Ordering::AcqRel), "two threads drive");
        self.taken.store(false, Ordering::Release);
    }
}

#[test]
fn of_a_late_driver_and_the_one_that_takes_over_one_drives() {
    loom::model(|| {
        let post = Arc::new(Post::default());
        let other = post.stand_in();
        let absence = post.relay.leave(0);
        post.relay.hurry(0, absence);
        let drives = post.relay.come_back(absence);
        if drives {
            post.drive();
            post.relay.close();
        }
        assert_ne!(drives, other.join().unwrap());
    });
}

#[test]
fn a_driver_that_does_not_come_back_is_relieved() {
    loom::model(|| {
        let post = Arc::new(Post::default());
        let other = post.stand_in();
        // One that comes back at once, and one that does not.
        let first = post.relay.leave(0);
        assert!(post.relay.come_back(first), "nobody knew that it would be long");
        let second = post.relay.leave(0);
        post.relay.hurry(0, second);
        assert!(other.join().unwrap());
        assert!(!post.relay.come_back(second));
    });
}
