//! Long-running work of a node: streams of accountable messages, pings and monitors, side by side.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use myrmidon::actor::{AsyncActor, Flow, bytes_fn};
use myrmidon::node::Node;
use myrmidon::transport::NodeAddr;
use myrmidon::{Pid, Runtime};
use tokio::time::{MissedTickBehavior, interval, sleep};

use super::{Outcome, lock};
use crate::ledger::{Ledger, checksum_of, message, quantile, since_epoch};

/// A refused message is offered again after this.
const AGAIN: Duration = Duration::from_millis(10);

/// What this node sends and receives, beyond the counter.
pub(super) struct Traffic {
    rt: Runtime,
    sinks: Vec<Arc<Mutex<Ledger>>>,
    streams: Vec<Arc<Stream>>,
    downs: Arc<Mutex<Vec<String>>>,
    pings: Arc<Mutex<Pings>>,
}

impl Traffic {
    pub(super) fn new(rt: &Runtime) -> Self {
        Self { rt: rt.clone(), sinks: vec![], streams: vec![], downs: Arc::default(), pings: Arc::default() }
    }

    /// Carries out a command; `None` if it is not about traffic.
    pub(super) fn obey(&mut self, words: &[&str]) -> Option<Outcome<String>> {
        Some(match *words {
            ["sinks", count] => self.make_sinks(count),
            ["unread"] => Ok(self.rt.spawn_async(Unread, Default::default()).pid().as_u64().to_string()),
            ["received", micros, ref ranges @ ..] => self.received(micros, ranges),
            ["lanes", addr, ref pids @ ..] => self.lanes(addr, pids),
            ["stream", addr, first, count, size, gap, ref pids @ ..] => {
                self.stream(addr, [first, count], size, gap, pids)
            }
            ["streamed", id] => self.stream_of(id).map(|stream| stream.report()),
            ["halt", id] => self.stream_of(id).map(|stream| {
                stream.halted.store(true, Ordering::Relaxed);
                String::new()
            }),
            ["flood", addr, pid, count, size] => self.flood(addr, pid, count, size),
            ["watch", addr, pid] => self.watch(addr, pid),
            ["downs"] => Ok(lock(&self.downs).join("|")),
            ["ping", addr, count, gap] => self.ping(addr, count, gap),
            ["pinged"] => Ok(lock(&self.pings).report()),
            ["trips"] => Ok(lock(&self.pings).trips()),
            ["info", addr] => self.info(addr),
            _ => return None,
        })
    }

    /// Actors that keep a ledger each; answers their PIDs.
    fn make_sinks(&mut self, count: &str) -> Outcome<String> {
        let made = (0..count.parse()?).map(|_: u32| {
            let ledger = Arc::new(Mutex::new(Ledger::default()));
            self.sinks.push(ledger.clone());
            let enter = bytes_fn(move |message: Bytes, _| lock(&ledger).enter(&message));
            self.rt.spawn_behaviour(Box::new(enter), Default::default()).as_u64().to_string()
        });
        Ok(made.collect::<Vec<_>>().join(" "))
    }

    /// The books of some sinks, by their place among all, added up; and how many messages were under way
    /// for longer than so many microseconds. Each range is its first sink and how many they are.
    fn received(&self, micros: &str, ranges: &[&str]) -> Outcome<String> {
        let mut all = Ledger::default();
        for range in ranges.chunks_exact(2) {
            let sinks = self.sinks.iter().skip(range[0].parse()?).take(range[1].parse()?);
            sinks.for_each(|sink| all.add(&lock(sink)));
        }
        let missing = all.missing();
        let Ledger { received, repeated, late, corrupt, sum, mut delays, .. } = all;
        let micros: u32 = micros.parse()?;
        let later = delays.iter().filter(|delay| **delay > micros).count();
        let [p50, p99, p999, most] = [0.5, 0.99, 0.999, 1.0].map(|share| quantile(&mut delays, share));
        Ok(format!(
            "{received} {missing} {repeated} {late} {corrupt} {sum} {later} {p50} {p99} {p999} {most}"
        ))
    }

    /// The lanes in which these actors are reached.
    fn lanes(&self, addr: &str, pids: &[&str]) -> Outcome<String> {
        let addr = addr.parse()?;
        let lane =
            |pid: &&str| Ok(self.rt.node().lane_of(&addr, pid_of(pid)?).ok_or("no link is up")?.to_string());
        Ok(pids.iter().map(lane).collect::<Outcome<Vec<_>>>()?.join(" "))
    }

    fn stream(
        &mut self,
        addr: &str,
        [first, count]: [&str; 2],
        size: &str,
        gap: &str,
        pids: &[&str],
    ) -> Outcome<String> {
        let plan = Plan {
            addr: addr.parse()?,
            first: first.parse()?,
            count: count.parse()?,
            size: size.parse()?,
            gap: Duration::from_micros(gap.parse()?),
            pids: pids.iter().map(|pid| pid_of(pid)).collect::<Outcome<_>>()?,
        };
        let stream = Arc::new(Stream::default());
        self.streams.push(stream.clone());
        let node = self.rt.node().clone();
        self.rt.io().spawn(async move { stream.run(&node, &plan).await });
        Ok((self.streams.len() - 1).to_string())
    }

    fn stream_of(&self, id: &str) -> Outcome<&Stream> {
        Ok(self.streams.get(id.parse::<usize>()?).ok_or("no such stream")?)
    }

    /// Sends without waiting until the node refuses; answers how many were taken, and why no more.
    fn flood(&self, addr: &str, pid: &str, count: &str, size: &str) -> Outcome<String> {
        let (addr, pid, count, size): (NodeAddr, _, u64, _) =
            (addr.parse()?, pid_of(pid)?, count.parse()?, size.parse()?);
        for number in 0..count {
            if let Err(refused) = self.rt.node().try_send(&addr, pid, message(number, size)) {
                return Ok(format!("{number} {refused}"));
            }
        }
        Ok(format!("{count} all of them"))
    }

    fn watch(&self, addr: &str, pid: &str) -> Outcome<String> {
        let downs = self.downs.clone();
        let on_down = Box::new(move |down: myrmidon::node::RemoteDown| {
            lock(&downs).push(format!("{}: {}", down.addr, down.reason));
        });
        self.rt.node().monitor(&addr.parse()?, pid_of(pid)?, on_down);
        Ok(String::new())
    }

    fn ping(&self, addr: &str, count: &str, gap: &str) -> Outcome<String> {
        let (addr, count): (NodeAddr, u32) = (addr.parse()?, count.parse()?);
        let gap = Duration::from_millis(gap.parse()?);
        *lock(&self.pings) = Pings::default();
        let (node, pings) = (self.rt.node().clone(), self.pings.clone());
        self.rt.io().spawn(async move {
            for _ in 0..count {
                let begun = since_epoch();
                let answer = node.ping(&addr).await;
                lock(&pings).enter(begun, answer.ok());
                sleep(gap).await;
            }
            lock(&pings).done = true;
        });
        Ok(String::new())
    }

    fn info(&self, addr: &str) -> Outcome<String> {
        let addr: NodeAddr = addr.parse()?;
        let info = self.rt.node().peers().into_iter().find(|peer| peer.addr == addr);
        let info = info.ok_or("nothing was ever sent there")?;
        Ok(format!("{} {} {}", info.sent, info.dead_letters, info.queued_bytes))
    }
}

/// An actor that never gets beyond its first message.
struct Unread;

impl AsyncActor for Unread {
    type Msg = Bytes;

    async fn handle(&mut self, _: Bytes, _: Pid) -> Flow {
        std::future::pending().await
    }
}

/// What a stream is to send. Message n goes to the receiver n modulo their number, and each receiver
/// sees numbers of its own, from `first` on.
struct Plan {
    addr: NodeAddr,
    first: u64,
    count: u64,
    size: usize,
    gap: Duration,
    pids: Vec<Pid>,
}

#[derive(Default)]
struct Stream {
    halted: AtomicBool,
    state: Mutex<Sent>,
}

#[derive(Default)]
struct Sent {
    accepted: u64,
    refused: u64,
    sum: u64,
    done: bool,
}

impl Stream {
    async fn run(&self, node: &Node, plan: &Plan) {
        let mut pace = interval(plan.gap.max(Duration::from_micros(1)));
        pace.set_missed_tick_behavior(MissedTickBehavior::Burst);
        let receivers = plan.pids.len() as u64;
        for number in 0..plan.count {
            if !plan.gap.is_zero() {
                pace.tick().await;
            }
            let to = plan.pids[(number % receivers) as usize];
            if !self.send(node, plan, to, plan.first + number / receivers).await {
                break;
            }
        }
        lock(&self.state).done = true;
    }

    /// Offers the message until it is taken; false if the stream was halted before. A number is never
    /// given to two messages, so whatever the receiver misses was taken and lost.
    async fn send(&self, node: &Node, plan: &Plan, to: Pid, number: u64) -> bool {
        while !self.halted.load(Ordering::Relaxed) {
            let message = message(number, plan.size);
            let sum = checksum_of(&message);
            match node.send(&plan.addr, to, message).await {
                Ok(()) => {
                    let mut state = lock(&self.state);
                    state.accepted += 1;
                    state.sum = state.sum.wrapping_add(sum);
                    return true;
                }
                Err(_) => lock(&self.state).refused += 1,
            }
            sleep(AGAIN).await;
        }
        false
    }

    fn report(&self) -> String {
        let Sent { accepted, refused, sum, done } = &*lock(&self.state);
        format!("{accepted} {refused} {sum} {done}")
    }
}

#[derive(Default)]
struct Pings {
    /// In microseconds: since the epoch, when a ping was asked for, and how long its answer took.
    begun: Vec<u64>,
    round_trips: Vec<u32>,
    failed: u64,
    done: bool,
}

impl Pings {
    /// One that was asked for so many nanoseconds after the epoch.
    fn enter(&mut self, begun: u64, round_trip: Option<Duration>) {
        match round_trip {
            Some(time) => {
                self.begun.push(begun / 1000);
                self.round_trips.push(u32::try_from(time.as_micros()).unwrap_or(u32::MAX));
            }
            None => self.failed += 1,
        }
    }

    /// Each that was answered: when it was asked for, and how long it took.
    fn trips(&self) -> String {
        let trips = self.begun.iter().zip(&self.round_trips);
        trips.map(|(begun, took)| format!("{begun} {took}")).collect::<Vec<_>>().join(" ")
    }

    fn report(&self) -> String {
        let mut sorted = self.round_trips.clone();
        let answered = sorted.len();
        let [p50, p99, most] = [0.5, 0.99, 1.0].map(|share| quantile(&mut sorted, share));
        format!("{answered} {} {p50} {p99} {most} {}", self.failed, self.done)
    }
}

fn pid_of(word: &str) -> Outcome<Pid> {
    Ok(Pid::from_u64(word.parse()?).ok_or("not a PID")?)
}
