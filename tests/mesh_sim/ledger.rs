//! What was promised, and what became of it.
//!
//! Every message carries a number. The ledger knows who sent it to whom, whether the mesh took it, and
//! where it arrived; every monitor has its number too. What contradicts the guarantees is noted as a
//! fault, which ends the simulation.

use std::collections::{BTreeMap, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Mutex, MutexGuard};

use bytes::Bytes;
use myrmidon::Pid;
use myrmidon::node::{DownReason, RemoteDown};
use tokio::time::Instant;

use crate::world::tells_of_loss;

/// A node in one of its lives.
pub(crate) type Life = (usize, u64);

/// How many events a failure shows, where it is not a single seed that is repeated.
const SHOWN: usize = 50;

/// Clones are the same ledger.
#[derive(Clone)]
pub(crate) struct Ledger(Arc<Mutex<Book>>);

struct Book {
    began: Instant,
    messages: Vec<Message>,
    monitors: Vec<Monitor>,
    /// The last number that arrived from one node at one actor.
    last: BTreeMap<(usize, Pid), usize>,
    /// The last life of a sender of which something arrived in one life of a receiver.
    lives: BTreeMap<(Life, usize), u64>,
    faults: Vec<String>,
    events: VecDeque<String>,
    shows_all: bool,
    /// A sum over all events: the same for the same run.
    digest: u64,
}

#[derive(Clone, Debug)]
pub(crate) struct Message {
    pub(crate) from: Life,
    pub(crate) to: Life,
    pub(crate) pid: Pid,
    len: usize,
    /// The monitor of the target's node that stood when it was sent.
    monitor: usize,
    pub(crate) fate: Fate,
    pub(crate) arrived: bool,
}

/// What the mesh said to the sender.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It has not answered yet.
    Asked,
    Taken,
    Refused,
}

#[derive(Clone, Debug)]
pub(crate) struct Monitor {
    pub(crate) owner: Life,
    pub(crate) node: usize,
    pub(crate) pid: Pid,
    pub(crate) fired: Option<DownReason>,
    pub(crate) taken_back: bool,
}

impl Ledger {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Mutex::new(Book {
            began: Instant::now(),
            messages: Vec::new(),
            monitors: Vec::new(),
            last: BTreeMap::new(),
            lives: BTreeMap::new(),
            faults: Vec::new(),
            events: VecDeque::new(),
            shows_all: std::env::var_os("MYRMIDON_SEED").is_some(),
            digest: 0,
        })))
    }

    /// A message is about to be sent; its number and its content.
    pub(crate) fn send(&self, from: Life, to: Life, pid: Pid, monitor: usize, len: usize) -> (usize, Bytes) {
        let mut book = self.book();
        let number = book.messages.len();
        let len = len.max(8);
        book.messages.push(Message { from, to, pid, len, monitor, fate: Fate::Asked, arrived: false });
        let mut data = vec![number as u8; len];
        data[..8].copy_from_slice(&(number as u64).to_be_bytes());
        (number, data.into())
    }

    /// What the mesh said.
    pub(crate) fn answered(&self, number: usize, taken: bool) {
        let mut book = self.book();
        let fate = if taken { Fate::Taken } else { Fate::Refused };
        if fate == Fate::Refused && book.messages[number].arrived {
            book.fault(format!("message {number} has arrived and was refused all the same"));
        }
        book.messages[number].fate = fate;
        book.note(format!("message {number} is {fate:?}"));
    }

    /// A message came to the node that is in the life `at`.
    pub(crate) fn arrived(&self, at: Life, pid: Pid, data: &Bytes) {
        let mut book = self.book();
        let number = data.first_chunk().map_or(usize::MAX, |head| u64::from_be_bytes(*head) as usize);
        let Some(message) = book.messages.get(number).cloned() else {
            return book.fault(format!("a message that nobody has sent came to {at:?}"));
        };
        book.note(format!("message {number} arrives at {at:?}"));
        // The ends of what it is made of; cuts and joins of bytes show there.
        let rest = &data[8..];
        let ends = [rest.first(), rest.last(), rest.get(rest.len() / 2)];
        if data.len() != message.len || ends.into_iter().flatten().any(|byte| *byte != number as u8) {
            book.fault(format!("message {number} was changed on its way"));
        }
        if std::mem::replace(&mut book.messages[number].arrived, true) {
            book.fault(format!("G1: message {number} arrived twice"));
        }
        if message.fate == Fate::Refused {
            book.fault(format!("message {number} was refused and arrived all the same"));
        }
        if (message.to.0, message.pid) != (at.0, pid) {
            book.fault(format!("message {number} came to another actor"));
        }
        let last = book.last.insert((message.from.0, pid), number);
        if last.is_some_and(|last| last > number) {
            book.fault(format!("G2: message {number} came after {last:?}"));
        }
        let life = book.lives.insert((at, message.from.0), message.from.1);
        if life.is_some_and(|life| life > message.from.1) {
            book.fault(format!("G9: message {number} of life {} came after one of {life:?}", message.from.1));
        }
    }

    pub(crate) fn monitor(&self, owner: Life, node: usize, pid: Pid) -> usize {
        let mut book = self.book();
        let number = book.monitors.len();
        book.monitors.push(Monitor { owner, node, pid, fired: None, taken_back: false });
        book.note(format!("{owner:?} monitors node {node} by {number}"));
        number
    }

    pub(crate) fn taken_back(&self, number: usize) {
        let mut book = self.book();
        book.note(format!("monitor {number} is taken back"));
        book.monitors[number].taken_back = true;
    }

    pub(crate) fn fired(&self, number: usize, down: RemoteDown) {
        let mut book = self.book();
        let RemoteDown { pid, reason, .. } = down;
        book.note(format!("monitor {number} fires: {reason}"));
        let monitor = book.monitors[number].clone();
        if monitor.fired.is_some() {
            book.fault(format!("G6: monitor {number} fired twice"));
        }
        if monitor.taken_back {
            book.fault(format!("G6: monitor {number} fired though it was taken back"));
        }
        if monitor.pid != pid {
            book.fault(format!("monitor {number} fired for another actor"));
        }
        // What only a peer that breaks the rules gives cause for.
        let text = reason.to_string();
        let broken = ["0x2", "0x30", "more than it may", "malformed", "agreed on", "panic"];
        if broken.iter().any(|part| text.contains(part)) && !text.contains("0x26") {
            book.fault(format!("a node took another for one that breaks the rules: {text}"));
        }
        book.monitors[number].fired = Some(reason);
    }

    pub(crate) fn monitors(&self) -> Vec<Monitor> {
        self.book().monitors.clone()
    }

    /// Whether a monitor of `pid` by that number has neither fired nor been taken back.
    pub(crate) fn stands(&self, number: usize, pid: Pid) -> bool {
        let monitor = &self.book().monitors[number];
        monitor.pid == pid && monitor.fired.is_none() && !monitor.taken_back
    }

    pub(crate) fn messages(&self) -> Vec<Message> {
        self.book().messages.clone()
    }

    /// Messages of one life that were taken and have arrived nowhere, and of which no monitor has told. `lives` are the
    /// present ones.
    pub(crate) fn untold(&self, of: Life, lives: &[Life]) -> usize {
        let book = self.book();
        let missing = book.messages.iter().filter(|message| message.from == of && message.is_missing());
        missing.filter(|message| !book.is_told(message, lives)).count()
    }

    pub(crate) fn note(&self, event: impl Into<String>) {
        self.book().note(event.into());
    }

    pub(crate) fn fault(&self, what: impl Into<String>) {
        self.book().fault(what.into());
    }

    pub(crate) fn digest(&self) -> u64 {
        self.book().digest
    }

    /// Every loss was told to whoever sent, unless he was gone himself. `lives` are the present ones.
    pub(crate) fn check_losses(&self, lives: &[Life]) {
        let mut book = self.book();
        let lost: Vec<_> = book
            .messages
            .iter()
            .enumerate()
            .filter(|(_, m)| m.is_missing() && lives.contains(&m.from) && !book.is_told(m, lives))
            .map(|(number, message)| {
                format!("G4: nobody was told of the loss of message {number}: {message:?}")
            })
            .collect();
        lost.into_iter().for_each(|fault| book.fault(fault));
    }

    /// The first fault, if there is one, with what happened before.
    pub(crate) fn verdict(&self) -> Result<(), String> {
        let book = self.book();
        match book.faults.first() {
            None => Ok(()),
            Some(fault) => {
                let events: Vec<_> = book.events.iter().cloned().collect();
                Err(format!("{fault}\nthe last events:\n{}", events.join("\n")))
            }
        }
    }

    pub(crate) fn has_faults(&self) -> bool {
        !self.book().faults.is_empty()
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.0.lock().unwrap()
    }
}

impl Message {
    /// It was taken and has arrived nowhere.
    fn is_missing(&self) -> bool {
        self.fate == Fate::Taken && !self.arrived
    }
}

impl Book {
    /// Whether the monitor of a message that is missing has told of that.
    fn is_told(&self, message: &Message, lives: &[Life]) -> bool {
        let fired = self.monitors[message.monitor].fired.as_ref();
        // That the actor does not exist any more is enough.
        tells_of_loss(fired) || (fired.is_some() && !lives.contains(&message.to))
    }

    fn note(&mut self, event: String) {
        let line = format!("{:>10.3} s  {event}", self.began.elapsed().as_secs_f64());
        let mut hasher = DefaultHasher::new();
        (self.digest, &line).hash(&mut hasher);
        self.digest = hasher.finish();
        // What led to a fault is what is wanted.
        if self.faults.is_empty() {
            self.events.push_back(line);
            if self.events.len() > SHOWN && !self.shows_all {
                self.events.pop_front();
            }
        }
    }

    fn fault(&mut self, what: String) {
        self.note(format!("FAULT {what}"));
        self.faults.push(what);
    }
}
