//! Looks after workers and lanes that one handler holds up: reports it, and has a spare worker stand in. What it sees there is
//! also the time for which each actor is said to have run.
//!
//! The watchdog looks every few milliseconds while anybody works, and not at all once nobody does. Where only lanes have
//! something to do now and then, it looks now and then. It asks nothing of the workers but two plain stores for each slice.
//!
//! A worker that is held up and has left work to others costs no parallelism: what lies in its LIFO slot
//! goes to the injector, its queue can be stolen from as ever, and if nobody sleeps a spare is
//! called. When the handler returns a spare is dismissed, so that as many run as before.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use super::Scheduler;
use super::activity::{Glimpse, Notice, Watch};
use super::worker::Desk;
use crate::actor::System;
use crate::config::RuntimeConfig;
use crate::sync::{self, Ordering};

/// The shortest and the longest time between two looks.
const LOOKS: [Duration; 2] = [Duration::from_millis(1), Duration::from_millis(5)];
/// For so long the watchdog goes on when nobody works, so that only a system with longer pauses has to
/// wake it, which costs whoever ends the pause a system call.
const LINGER: Duration = Duration::from_millis(25);
/// The longest time between two looks where only lanes work now and then. A look wakes a thread, at a moment at which a
/// message may want the core: with looks every 5 ms, half of the slowest percent of the messages that come each millisecond
/// had met one.
const LONGEST_DOZE: Duration = Duration::from_millis(50);
/// The pause after the system had no room for a spare's thread.
const NO_ROOM: Duration = Duration::from_secs(1);
/// Steps of this, without their whole parts, spread evenly, however many they are.
const GOLDEN_SECTION: f64 = 0.618_034;

/// Starts the watchdog.
///
/// # Errors
/// If the system has no room for a thread.
pub(super) fn spawn(
    scheduler: &Arc<Scheduler>,
    system: &Arc<System>,
    config: &RuntimeConfig,
) -> std::io::Result<thread::JoinHandle<()>> {
    let (scheduler, system) = (scheduler.clone(), system.clone());
    let (limit, lane_limit) = (config.stall_after, config.lane_stall_after);
    thread::Builder::new().name("myrmidon-watchdog".to_owned()).spawn(move || {
        let now = Instant::now();
        let pause = (limit / 2).clamp(LOOKS[0], LOOKS[1]);
        let workers = scheduler.desks.iter().map(|_| Watch::new(now, limit)).collect();
        let watchdog = Watchdog {
            scheduler,
            system,
            limit,
            lane_limit,
            pause,
            doze: (lane_limit / 4).clamp(pause, LONGEST_DOZE),
            rest: pause,
            workers,
            lanes: Vec::new(),
            inline: Watch::new(now, limit),
            looked: now,
            lanes_looked: now,
            slices: 0,
            phase: 0.0,
            worked: now,
            no_room: None,
        };
        watchdog.run();
    })
}

struct Watchdog {
    scheduler: Arc<Scheduler>,
    system: Arc<System>,
    limit: Duration,
    lane_limit: Duration,
    /// Between two looks while somebody works, and where only lanes do now and then.
    pause: Duration,
    doze: Duration,
    /// As long was there to be between the last two looks.
    rest: Duration,
    workers: Vec<Watch>,
    lanes: Vec<Watch>,
    /// The thread of the sockets.
    inline: Watch,
    /// The last look, or when one would have been that saw what began after a rest.
    looked: Instant,
    /// The same for lanes, which may have worked on while the watchdog dozed.
    lanes_looked: Instant,
    /// Slices that lanes had begun before the last rest.
    slices: u32,
    /// The part of a pause before the first look after a rest.
    phase: f64,
    /// When somebody was last seen at work.
    worked: Instant,
    /// When the system last had no room for a thread.
    no_room: Option<Instant>,
}

impl Watchdog {
    fn run(mut self) {
        self.scheduler.alarm.enter();
        while !self.scheduler.alarm.is_stopped() {
            self.look(Instant::now());
            if self.looked.duration_since(self.worked) < LINGER {
                self.rest = self.pause;
                sync::park_timeout(self.pause);
            } else if self.lanes_have_worked() {
                self.doze();
            } else {
                self.sleep();
            }
        }
    }

    /// Whether lanes have begun slices since the last rest.
    fn lanes_have_worked(&mut self) -> bool {
        let slices = self.scheduler.lanes.iter().map(|lane| lane.activity.glimpse().slices());
        let slices = slices.fold(0, u32::wrapping_add);
        std::mem::replace(&mut self.slices, slices) != slices
    }

    /// Looks at lanes only now and then, as long as nobody else works. At odd times, or what is done at even
    /// ones would always be seen or never.
    fn doze(&mut self) {
        self.rest = self.doze.mul_f64(0.5 + self.next_phase());
        let scheduler = &self.scheduler;
        if scheduler.alarm.doze(self.rest, || scheduler.workers_rest()) {
            self.rise();
        }
    }

    fn sleep(&mut self) {
        self.rest = self.pause;
        self.scheduler.alarm.sleep(|| self.is_quiet());
        self.rise();
        self.lanes_looked = self.looked;
    }

    /// Whoever begins after a rest rings. It is seen at another moment of its work each time, or who
    /// rests often would never be found at it.
    fn rise(&mut self) {
        let phase = self.next_phase();
        sync::park_timeout(self.pause.mul_f64(phase));
        let now = Instant::now();
        (self.looked, self.worked) = (now.checked_sub(self.pause).unwrap_or(now), now);
    }

    fn next_phase(&mut self) -> f64 {
        self.phase = (self.phase + GOLDEN_SECTION).fract();
        self.phase
    }

    fn look(&mut self, now: Instant) {
        self.forgive(now);
        self.count_time(now);
        let inline = self.inline.look(self.scheduler.inline.activity.glimpse(), now, self.limit);
        let notices = self.look_at_workers(now).into_iter().chain(self.look_at_lanes(now)).chain(inline);
        for notice in notices.collect::<Vec<_>>() {
            match notice {
                Notice::Stalled(pid, running_for) => self.system.stalled(pid, running_for),
                Notice::Recovered(pid, took) => self.system.recovered(pid, took),
            }
        }
        self.free_what_is_held();
        self.balance(now);
        if !self.is_quiet() {
            self.worked = now;
        }
        (self.looked, self.lanes_looked) = (now, now);
    }

    /// Leaves out time in which this thread could not look: most likely nobody could run.
    fn forgive(&mut self, now: Instant) {
        let late = now.duration_since(self.looked).saturating_sub(self.rest * 2);
        if !late.is_zero() {
            self.workers
                .iter_mut()
                .chain(&mut self.lanes)
                .chain([&mut self.inline])
                .for_each(|watch| watch.forgive(late));
        }
    }

    /// Has those who run have run since the last look. Time in which nobody could look is left out.
    fn count_time(&self, now: Instant) {
        let since = |looked| now.duration_since(looked).min(self.rest * 2);
        let desks = self.scheduler.desks.iter().map(|desk| desk.activity.glimpse());
        let inline = self.scheduler.inline.activity.glimpse();
        for pid in desks.chain([inline]).filter_map(Glimpse::pid) {
            self.system.has_run(pid, since(self.looked));
        }
        for pid in self.scheduler.lanes.iter().filter_map(|lane| lane.activity.glimpse().pid()) {
            self.system.has_run(pid, since(self.lanes_looked));
        }
    }

    fn look_at_workers(&mut self, now: Instant) -> Vec<Notice> {
        let (desks, limit) = (&self.scheduler.desks, self.limit);
        let watched = self.workers.iter_mut().zip(desks);
        watched.filter_map(|(watch, desk)| watch.look(desk.activity.glimpse(), now, limit)).collect()
    }

    fn look_at_lanes(&mut self, now: Instant) -> Vec<Notice> {
        let lanes: Vec<_> = self.scheduler.lanes.iter().collect();
        let limit = self.lane_limit;
        self.lanes.resize_with(lanes.len(), || Watch::new(now, limit));
        let watched = self.lanes.iter_mut().zip(lanes);
        watched.filter_map(|(watch, lane)| watch.look(lane.activity.glimpse(), now, limit)).collect()
    }

    /// Has others take what lies in the LIFO slots of workers that are held up, perhaps by a handler that
    /// waits for just that; and what the thread of the sockets has kept for long.
    fn free_what_is_held(&self) {
        let held = self.desks().filter(is_held);
        let freed = held.filter_map(|(desk, _)| desk.lifo.take());
        let freed = freed.map(|ready| self.scheduler.injector.push(ready)).count();
        if freed > 0 {
            self.scheduler.idle.notify();
        }
        self.scheduler.inline.hand_over_late();
    }

    /// Has as many run as there are workers: spares for those that are held up, as long as there is
    /// work and nobody who sleeps could do it.
    fn balance(&mut self, now: Instant) {
        let free = self.desks().filter(is_free).count();
        let wanted = self.scheduler.workers;
        if free > wanted {
            (wanted..free).for_each(|_| self.dismiss_spare());
        } else if free < wanted && self.scheduler.work_left() && !self.scheduler.idle.some_asleep() {
            (free..wanted).for_each(|_| self.call_spare(now));
        }
    }

    fn dismiss_spare(&self) {
        let mut spares = self.desks().enumerate().skip(self.scheduler.workers);
        let free = spares.find(|(_, spare)| is_free(spare));
        if let Some((place, (desk, _))) = free {
            desk.duty.dismiss(place, &self.scheduler.idle);
        }
    }

    fn call_spare(&mut self, now: Instant) {
        let scheduler = &self.scheduler;
        let Some(place) = scheduler.desks.iter().position(|desk| desk.duty.is_benched()) else { return };
        if place < scheduler.places.load(Ordering::Relaxed) {
            return scheduler.desks[place].duty.call(place, &scheduler.idle);
        }
        if self.no_room.is_none_or(|then| now.duration_since(then) >= NO_ROOM) {
            self.start_spare(place, now);
        }
    }

    /// Starts the thread of the next spare; it finds itself called.
    fn start_spare(&mut self, place: usize, now: Instant) {
        let scheduler = &self.scheduler;
        match scheduler.start_worker(&self.system, place) {
            Ok(()) => {
                scheduler.places.store(place + 1, Ordering::Release);
                scheduler.desks[place].duty.call(place, &scheduler.idle);
            }
            Err(error) => {
                self.no_room = Some(now);
                tracing::warn!(target: "myrmidon.scheduler", %error, "no thread for a spare worker");
            }
        }
    }

    /// The places with a thread, and what is remembered of each.
    fn desks(&self) -> impl Iterator<Item = (&Desk, &Watch)> {
        let places = self.scheduler.places.load(Ordering::Relaxed);
        self.scheduler.desks.iter().map(AsRef::as_ref).zip(&self.workers).take(places)
    }

    fn is_quiet(&self) -> bool {
        self.scheduler.workers_rest() && self.scheduler.lanes.iter().all(|lane| lane.is_at_rest())
    }
}

/// Whether the worker is held up by a handler: by what the watchdog has seen, or since it says so.
fn is_held((desk, watch): &(&Desk, &Watch)) -> bool {
    watch.is_stalled() || desk.activity.waits()
}

/// Whether the worker serves and is not held up.
fn is_free(worker: &(&Desk, &Watch)) -> bool {
    worker.0.duty.is_serving() && !is_held(worker)
}
