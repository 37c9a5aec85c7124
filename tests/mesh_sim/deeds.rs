//! What actors of a society did to each other, and what came of it: questions, links, monitors and messages by
//! PIDs that stand for actors of other nodes.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use myrmidon::Pid;
use myrmidon::actor::{AskError, ExitCause, ExitReason, MonitorRef};

use crate::clerk::number_in;
use crate::ledger::{Ledger, Life};

/// Clones are the same.
#[derive(Clone)]
pub(crate) struct Deeds {
    ledger: Ledger,
    book: Arc<Mutex<Book>>,
}

#[derive(Default)]
struct Book {
    messages: Vec<Message>,
    questions: Vec<Question>,
    /// By who linked himself, and by which PID with whom; those that have neither broken nor been undone.
    links: BTreeMap<(Life, Pid, Pid), Bond>,
    /// By who watches and its number.
    monitors: BTreeMap<(Life, Pid, u64), Bond>,
    /// Links that were ever made.
    linked: usize,
    /// Exits told to those who had not linked themselves: the other ends.
    other_ends: usize,
    /// The last number that came from one life by one PID to one actor.
    last: BTreeMap<(Life, Pid, Pid), usize>,
    /// How often each kind of thing has happened.
    counts: BTreeMap<&'static str, usize>,
}

struct Message {
    from: Life,
    /// By which PID it was sent.
    by: Pid,
    taken: bool,
    arrived: bool,
}

struct Question {
    from: Life,
    handled: bool,
    /// Whether it has ended.
    over: bool,
}

#[derive(Clone, Copy)]
pub(crate) struct Bond {
    /// The host of the other actor.
    pub(crate) to: usize,
    /// Whether the end of that actor is told.
    pub(crate) certain: bool,
}

impl Deeds {
    pub(crate) fn new(ledger: Ledger) -> Self {
        Self { ledger, book: Arc::default() }
    }

    /// The number of a message that is about to be sent.
    pub(crate) fn message(&self, from: Life, by: Pid) -> usize {
        let mut book = self.book();
        book.messages.push(Message { from, by, taken: true, arrived: false });
        book.messages.len() - 1
    }

    /// What sending it came to.
    pub(crate) fn sent(&self, number: usize, taken: bool) {
        let mut book = self.book();
        book.messages[number].taken = taken;
        if !taken && book.messages[number].arrived {
            self.ledger.fault(format!("message {number} was refused and has arrived"));
        }
        book.count(if taken { "message taken" } else { "message refused" });
        self.ledger.note(format!("message {number} is taken: {taken}"));
    }

    pub(crate) fn has_arrived(&self, number: usize) -> bool {
        self.book().messages[number].arrived
    }

    /// A message came to the actor `at` in `life`.
    pub(crate) fn arrived(&self, life: Life, at: Pid, number: Option<usize>) {
        let mut book = self.book();
        let Some(number) = number.filter(|number| *number < book.messages.len()) else {
            return self.ledger.fault(format!("a message that nobody has sent came to {life:?}"));
        };
        self.ledger.note(format!("message {number} comes to {life:?}"));
        let message = &mut book.messages[number];
        let key = (message.from, message.by, at);
        if std::mem::replace(&mut message.arrived, true) {
            self.ledger.fault(format!("G1: message {number} came twice"));
        }
        if !message.taken {
            self.ledger.fault(format!("message {number} was refused and came all the same"));
        }
        if let Some(last) = book.last.insert(key, number).filter(|last| *last > number) {
            self.ledger.fault(format!("G2: message {number} came after {last}"));
        }
        book.count("message arrived");
    }

    /// The number of a question that is about to be asked.
    pub(crate) fn question(&self, from: Life) -> usize {
        let mut book = self.book();
        book.questions.push(Question { from, handled: false, over: false });
        book.questions.len() - 1
    }

    /// A question came to an actor.
    pub(crate) fn asked(&self, life: Life, _: Pid, number: Option<usize>) {
        let mut book = self.book();
        let Some(number) = number.filter(|number| *number < book.questions.len()) else {
            return self.ledger.fault(format!("a question that nobody has asked came to {life:?}"));
        };
        self.ledger.note(format!("question {number} comes to {life:?}"));
        if std::mem::replace(&mut book.questions[number].handled, true) {
            self.ledger.fault(format!("G5: question {number} came twice"));
        }
    }

    /// What came of a question.
    pub(crate) fn answered(&self, number: usize, outcome: &Result<bytes::Bytes, AskError>) {
        let mut book = self.book();
        let what = match outcome {
            Ok(data) if number_in(data) == Some(number) => "answer",
            Ok(_) => return self.ledger.fault(format!("G5: question {number} got the answer of another")),
            Err(AskError::Timeout(_)) => "ask: timeout",
            Err(AskError::NoConnection { .. }) => "ask: noconnection",
            Err(AskError::NoProcess(_)) => "ask: noproc",
            Err(AskError::Ended { .. }) => "ask: ended",
            Err(AskError::NoReply(_)) => "ask: no reply",
            Err(AskError::Unsupported(_)) => "ask: unsupported",
            Err(AskError::Full(_)) => "ask: full",
            Err(other) => return self.ledger.fault(format!("G5: question {number} failed by {other}")),
        };
        self.ledger.note(format!("question {number}: {what}"));
        let question = &mut book.questions[number];
        if std::mem::replace(&mut question.over, true) {
            self.ledger.fault(format!("G5: question {number} ended twice"));
        }
        if what == "answer" && !book.questions[number].handled {
            self.ledger.fault(format!("question {number} was answered by nobody"));
        }
        book.count(what);
    }

    /// Whether that actor is linked by that PID, as far as it has been told.
    pub(crate) fn is_linked(&self, life: Life, near: Pid, by: Pid) -> bool {
        self.book().links.contains_key(&(life, near, by))
    }

    pub(crate) fn link(&self, life: Life, near: Pid, by: Pid, bond: Bond) {
        let mut book = self.book();
        book.links.insert((life, near, by), bond);
        book.linked += 1;
        book.count("link");
    }

    /// The link is undone: nothing more is told of it.
    pub(crate) fn unlink(&self, life: Life, near: Pid, by: Pid) {
        let mut book = self.book();
        book.links.remove(&(life, near, by));
        book.count("unlink");
    }

    pub(crate) fn monitor(&self, life: Life, near: Pid, monitor: MonitorRef, bond: Bond) {
        let mut book = self.book();
        book.monitors.insert((life, near, monitor.as_u64()), bond);
        book.count("monitor");
    }

    pub(crate) fn demonitor(&self, life: Life, near: Pid, monitor: MonitorRef) {
        let mut book = self.book();
        book.monitors.remove(&(life, near, monitor.as_u64()));
        book.count("demonitor");
    }

    /// A monitor of that actor which still stands.
    pub(crate) fn any_monitor(&self, life: Life, near: Pid) -> Option<MonitorRef> {
        let book = self.book();
        let mut own = book.monitors.range((life, near, 0)..=(life, near, u64::MAX));
        own.next().map(|((_, _, monitor), _)| MonitorRef::from_u64(*monitor))
    }

    /// The actor `near` is told of an end.
    pub(crate) fn told(&self, life: Life, near: Pid, target: Pid, reason: &ExitReason, cause: &ExitCause) {
        let mut book = self.book();
        match cause {
            ExitCause::Monitor(monitor) => {
                self.ledger.note(format!("{life:?} hears by a monitor: {}", kind(reason)));
                if book.monitors.remove(&(life, near, monitor.as_u64())).is_none() {
                    self.ledger.fault("G6: a monitor fired twice, or though it was taken back");
                }
                book.count("down");
            }
            _ => {
                self.ledger.note(format!("{life:?} hears by a link: {}", kind(reason)));
                if book.links.remove(&(life, near, target)).is_some() {
                    book.count("exit");
                } else {
                    book.other_ends += 1;
                    book.count("exit of another's link");
                    if book.other_ends > book.linked {
                        self.ledger.fault("S32: more links have broken than were made");
                    }
                }
            }
        }
    }

    /// An actor has ended: nobody is told any more what it wanted to know.
    pub(crate) fn ended(&self, life: Life, pid: Pid) {
        let mut book = self.book();
        book.links.retain(|(of, near, _), _| (*of, *near) != (life, pid));
        book.monitors.retain(|(of, near, _), _| (*of, *near) != (life, pid));
    }

    /// A node has ended, and with it whoever waited there.
    pub(crate) fn over(&self, life: Life) {
        let mut book = self.book();
        book.links.retain(|(of, ..), _| *of != life);
        book.monitors.retain(|(of, ..), _| *of != life);
        book.questions.iter_mut().filter(|question| question.from == life).for_each(|q| q.over = true);
    }

    /// Every question has ended.
    pub(crate) fn check_questions(&self) {
        for (number, question) in self.book().questions.iter().enumerate() {
            if !question.over {
                let from = question.from;
                self.ledger.fault(format!("G5: question {number} of {from:?} has no outcome"));
            }
        }
    }

    /// All actors that anybody is linked with or monitors have ended: that was told.
    pub(crate) fn check_bonds(&self) {
        let book = self.book();
        for ((life, _, by), bond) in book.links.iter().filter(|(_, bond)| bond.certain) {
            self.ledger
                .fault(format!("S32: {life:?} is not told of the end of its link with {}: {by}", bond.to));
        }
        for ((life, ..), bond) in book.monitors.iter().filter(|(_, bond)| bond.certain) {
            self.ledger.fault(format!("G6: a monitor of {life:?} at {} does not fire", bond.to));
        }
    }

    /// How often each kind of thing has happened.
    pub(crate) fn counts(&self) -> BTreeMap<&'static str, usize> {
        self.book().counts.clone()
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap()
    }
}

impl Book {
    fn count(&mut self, what: &'static str) {
        *self.counts.entry(what).or_default() += 1;
    }
}

/// The reason without what differs from process to process.
fn kind(reason: &ExitReason) -> &'static str {
    match reason {
        ExitReason::Normal => "normal",
        ExitReason::Killed => "killed",
        ExitReason::NoProcess => "noproc",
        ExitReason::NoConnection(_) => "noconnection",
        _ => "other",
    }
}
