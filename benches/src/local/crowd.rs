//! Every other feature at work at the same time, at rates that leave room: what the fairness figure must
//! hold beside.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use bytes::Bytes;
use myrmidon::actor::{AsyncActor, Context, Flow, MonitorRef, Priority, SpawnOptions, bytes_fn};
use myrmidon::mailbox::{Mailbox, Overflow};
use myrmidon::timer::Timers;
use myrmidon::{Pid, Runtime};

/// Timers that send a message each ten milliseconds, to actors of each kind in turn.
const TIMERS: u64 = 700;
const PERIOD: Duration = Duration::from_millis(10);
const SLEEPERS: usize = 100;

/// Waits in its handler, again and again.
struct Sleeper(Timers);

impl AsyncActor for Sleeper {
    type Msg = Bytes;

    async fn handle(&mut self, _: Bytes, _: Pid) -> Flow {
        loop {
            self.0.sleep(PERIOD).await;
        }
    }
}

/// Actors of every kind, and a lane with a driver of its own, as a language binding has one. They stop
/// when this is dropped.
pub(super) struct Crowd {
    over: Arc<AtomicBool>,
    driver: Option<JoinHandle<()>>,
}

impl Crowd {
    pub(super) fn start(rt: &Runtime) -> Self {
        let lane = rt.open_lane("crowd");
        let actors = kinds(lane.id()).map(|options| start(rt, options));
        for number in 0..TIMERS {
            let actor = actors[number as usize % actors.len()];
            rt.timers().send_interval(PERIOD, actor, "tick");
        }
        for _ in 0..SLEEPERS {
            let sleeper = rt.spawn_async(Sleeper(rt.timers().clone()), SpawnOptions::default());
            let _ = sleeper.send(Bytes::new());
        }
        let over = Arc::new(AtomicBool::new(false));
        let stop = over.clone();
        let driver = thread::spawn(move || {
            while !stop.load(Ordering::Relaxed) {
                lane.wait(Some(PERIOD));
                lane.run(Duration::from_millis(1), || true);
            }
        });
        Self { over, driver: Some(driver) }
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        let _ = self.driver.take().map(JoinHandle::join);
    }
}

fn kinds(lane: u32) -> [SpawnOptions; 7] {
    let plain = SpawnOptions::default;
    let bounded = |overflow| Mailbox::bounded(8).overflow(overflow);
    [
        plain(),
        SpawnOptions { lane, ..plain() },
        SpawnOptions { priority: Priority::High, ..plain() },
        SpawnOptions { priority: Priority::Low, ..plain() },
        SpawnOptions { mailbox: bounded(Overflow::DropOld), ..plain() },
        SpawnOptions { mailbox: bounded(Overflow::Reject), trap_exit: true, ..plain() },
        SpawnOptions::blocking(),
    ]
}

/// An actor that starts, monitors and links another for each message, which then ends.
fn start(rt: &Runtime, options: SpawnOptions) -> Pid {
    let handle = |_: Bytes, cx: &mut Context<'_>| {
        let child = bytes_fn(|_, _| Flow::Stop(myrmidon::actor::ExitReason::Normal));
        let child = cx.spawn(Box::new(child), SpawnOptions::default());
        let _: MonitorRef = cx.monitor(child);
        cx.link(child);
        let _ = cx.send(child, "end");
    };
    rt.spawn_behaviour(Box::new(bytes_fn(handle)), options)
}
