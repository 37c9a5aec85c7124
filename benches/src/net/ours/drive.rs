//! The driving side.

use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use myrmidon::node::RemoteSendError;
use myrmidon::transport::NodeAddr;
use myrmidon::{Pid, Runtime};

use super::super::halves::{Kind, Server};
use super::super::message::{LARGE, SMALL, Tally, large, message};
use super::serve::back_to;
use super::{held, node, text, trips};
use crate::local::{LIMIT, percentiles, rate};
use crate::measure::Figures;

/// A ping is sent so often.
const PING_PAUSE: Duration = Duration::from_millis(2);

/// Does the work.
pub(in super::super) fn drive(kind: Kind, work: &str, amount: u64, server: &Server<'_>) -> Figures {
    if work == "inside" {
        return trips::inside(kind, amount);
    }
    let far = Far::reach(kind, work, server.addr)?;
    match work {
        "small" => small(&far, amount),
        "large" | "large-1452" => far.large(amount),
        "trip" => trips::between(&far, amount),
        "resolve" => resolves(&far, amount),
        "ping" => pings(&far, amount),
        "held" => held::run(&far, amount, server.id),
        _ => Err(format!("there is no workload {work}")),
    }
}

/// The other node, as this one sees it.
pub(super) struct Far {
    pub(super) rt: Runtime,
    pub(super) addr: NodeAddr,
    pub(super) here: NodeAddr,
    /// Who answers go to, and where they come out.
    answers_to: Pid,
    answers: Mutex<Receiver<Bytes>>,
}

impl Far {
    pub(super) fn reach(kind: Kind, work: &str, addr: &str) -> Result<Self, String> {
        let (rt, here) = node(kind, work)?;
        let (tell, answers) = sync_channel(1);
        let answers_to = rt.spawn_fn(move |answer, _| tell.send(answer).unwrap_or(()));
        let answers = Mutex::new(answers);
        let far = Self { rt, addr: addr.parse().map_err(text)?, here, answers_to, answers };
        // Both directions are connected before the clock runs.
        far.check(far.find("count")?, Tally::default())?;
        Ok(far)
    }

    /// The actor of that name.
    pub(super) fn find(&self, name: &str) -> Result<Pid, String> {
        let found = self.rt.io().block_on(self.rt.node().resolve(&self.addr, name)).map_err(text)?;
        found.ok_or_else(|| format!("nobody is called {name} there"))
    }

    /// Sends, and waits for room where that is needed, as the Python binding does.
    pub(super) fn send(&self, to: Pid, message: Bytes) -> Result<(), String> {
        match self.rt.node().try_send(&self.addr, to, message) {
            Err(RemoteSendError::Busy { message, .. } | RemoteSendError::TooLarge { message, .. }) => {
                self.rt.io().block_on(self.rt.node().send(&self.addr, to, message)).map_err(text)
            }
            sent => sent.map_err(text),
        }
    }

    /// Waits until the counting actor has handled everything, and compares.
    pub(super) fn check(&self, counter: Pid, sent: Tally) -> Result<(), String> {
        self.send(counter, back_to(&self.here, self.answers_to))?;
        let answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        let answer = answers.recv_timeout(LIMIT).map_err(|_| "no answer to what was counted")?;
        sent.check(&answer)
    }

    fn large(&self, amount: u64) -> Figures {
        let (counter, messages) = (self.find("count")?, large());
        let mut sent = Tally::default();
        let begun = Instant::now();
        for message in messages.iter().cycle().take(usize::try_from(amount).map_err(text)?) {
            sent.enter(message);
            self.send(counter, message.clone())?;
        }
        self.check(counter, sent)?;
        // Millions of bytes a second.
        Ok(vec![rate(amount, begun) * LARGE as f64])
    }
}

fn small(far: &Far, amount: u64) -> Figures {
    let counter = far.find("count")?;
    let mut sent = Tally::default();
    let begun = Instant::now();
    for number in 0..amount {
        let message = message(number, SMALL);
        sent.enter(&message);
        far.send(counter, message)?;
    }
    far.check(counter, sent)?;
    Ok(vec![rate(amount, begun)])
}

fn resolves(far: &Far, amount: u64) -> Figures {
    let mut waits = Vec::new();
    for _ in 0..amount {
        let begun = Instant::now();
        far.find("echo")?;
        waits.push(begun.elapsed());
    }
    percentiles(waits)
}

/// Pings while another thread sends large messages as fast as they are taken.
fn pings(far: &Far, amount: u64) -> Figures {
    let (counter, messages) = (far.find("count")?, large());
    let (halt, halted) = sync_channel::<()>(1);
    std::thread::scope(|scope| {
        let messages = &messages;
        let flood = scope.spawn(move || {
            let mut sent = Tally::default();
            for message in messages.iter().cycle() {
                if halted.try_recv().is_ok() {
                    break;
                }
                sent.enter(message);
                far.send(counter, message.clone())?;
            }
            Ok::<_, String>(sent)
        });
        let waits: Result<Vec<_>, String> = (0..amount)
            .map(|_| {
                std::thread::sleep(PING_PAUSE);
                far.rt.io().block_on(far.rt.node().ping(&far.addr)).map_err(text)
            })
            .collect();
        // The flood may have failed.
        let _ = halt.send(());
        let sent = flood.join().map_err(|_| "the flood panicked")??;
        far.check(counter, sent)?;
        percentiles(waits?)
    })
}
