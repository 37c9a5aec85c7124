//! Throughput: count, fork-join, bang and big.

use std::sync::Arc;
use std::sync::mpsc::SyncSender;
use std::time::Instant;

use crate::local::{Finish, Numbers, rate};
use crate::peers::rust::library::{Library, Next, Script, Threads};

const ACTORS: usize = 60;
const SENDERS: u64 = 1000;
const PINGERS: u64 = 120;

/// Counts until it has seen all messages.
pub(in crate::peers::rust) struct Counter {
    seen: u64,
    all: u64,
    done: SyncSender<u64>,
}

impl Counter {
    pub(in crate::peers::rust) fn after(all: u64, done: SyncSender<u64>) -> Self {
        Self { seen: 0, all, done }
    }
}

impl<L: Library> Script<L> for Counter {
    type Msg = u64;

    fn handle(&mut self, _: u64, _: impl FnOnce() -> L::Ref<Self>) -> Next {
        self.seen += 1;
        if self.seen == self.all {
            let _ = self.done.send(self.seen);
        }
        Next::Go
    }
}

pub(super) fn count<L: Library>(messages: u64) -> Result<f64, String> {
    super::one(L::with(Threads::One, |lib| {
        let finish = Finish::new(1);
        let counter = lib.spawn(Counter::after(messages, finish.tell.clone()));
        let begun = Instant::now();
        for number in 0..messages {
            super::sent(L::tell(&counter, number))?;
        }
        finish.expect(1, messages)?;
        Ok(vec![rate(messages, begun)])
    }))
}

pub(super) fn fork_join<L: Library>(messages: u64) -> Result<f64, String> {
    super::one(L::with(Threads::All, |lib| {
        let finish = Finish::new(ACTORS);
        let turns = messages / ACTORS as u64;
        let counter = |_| lib.spawn(Counter::after(turns, finish.tell.clone()));
        let counters: Vec<_> = (0..ACTORS).map(counter).collect();
        let begun = Instant::now();
        for number in 0..turns {
            for counter in &counters {
                super::sent(L::tell(counter, number))?;
            }
        }
        finish.expect(ACTORS, turns * ACTORS as u64)?;
        Ok(vec![rate(turns * ACTORS as u64, begun)])
    }))
}

/// Sends its share when told to.
struct Sender<L: Library> {
    target: L::Ref<Counter>,
    messages: u64,
}

impl<L: Library> Script<L> for Sender<L> {
    type Msg = ();

    fn handle(&mut self, (): (), _: impl FnOnce() -> L::Ref<Self>) -> Next {
        for _ in 0..self.messages {
            L::tell(&self.target, 0);
        }
        Next::Go
    }
}

pub(super) fn bang<L: Library>(messages: u64) -> Result<f64, String> {
    super::one(L::with(Threads::All, |lib| {
        let each = (messages / SENDERS).max(1);
        let finish = Finish::new(1);
        let target = lib.spawn(Counter::after(each * SENDERS, finish.tell.clone()));
        let sender = |_| lib.spawn(Sender::<L> { target: target.clone(), messages: each });
        let senders: Vec<_> = (0..SENDERS).map(sender).collect();
        let begun = Instant::now();
        for sender in &senders {
            super::sent(L::tell(sender, ()))?;
        }
        finish.expect(1, each * SENDERS)?;
        Ok(vec![rate(each * SENDERS, begun)])
    }))
}

enum Message<L: Library> {
    /// Who the others are. All know that before the first ping.
    Know(Arc<Vec<L::Ref<Pinger<L>>>>),
    /// The pings begin.
    Begin,
    /// From the actor with this number.
    Ping(u64),
    Pong,
}

struct Pinger<L: Library> {
    number: u64,
    others: Arc<Vec<L::Ref<Self>>>,
    numbers: Numbers,
    left: u64,
    answered: u64,
    done: SyncSender<u64>,
}

impl<L: Library> Script<L> for Pinger<L> {
    type Msg = Message<L>;

    fn handle(&mut self, message: Message<L>, _: impl FnOnce() -> L::Ref<Self>) -> Next {
        match message {
            Message::Know(others) => self.others = others,
            Message::Begin => self.next(),
            Message::Ping(from) => self.send(from, Message::Pong),
            Message::Pong => {
                self.answered += 1;
                self.next();
            }
        }
        Next::Go
    }
}

impl<L: Library> Pinger<L> {
    fn next(&mut self) {
        if self.left == 0 {
            let _ = self.done.send(self.answered);
            return;
        }
        self.left -= 1;
        let target = self.numbers.below(PINGERS);
        self.send(target, Message::Ping(self.number));
    }

    fn send(&self, to: u64, message: Message<L>) {
        let _ = usize::try_from(to).map(|to| L::tell(&self.others[to], message));
    }
}

/// Two messages for each of `pings`.
pub(super) fn big<L: Library>(pings: u64) -> Result<f64, String> {
    super::one(L::with(Threads::All, |lib| {
        let each = (pings / PINGERS).max(1);
        let finish = Finish::new(PINGERS as usize);
        let pinger = |number| {
            lib.spawn(Pinger::<L> {
                number,
                others: Arc::default(),
                numbers: Numbers::new(number),
                left: each,
                answered: 0,
                done: finish.tell.clone(),
            })
        };
        let actors: Arc<Vec<_>> = Arc::new((0..PINGERS).map(pinger).collect());
        for actor in actors.iter() {
            super::sent(L::tell(actor, Message::Know(actors.clone())))?;
        }
        let begun = Instant::now();
        for actor in actors.iter() {
            super::sent(L::tell(actor, Message::Begin))?;
        }
        finish.expect(PINGERS as usize, each * PINGERS)?;
        Ok(vec![rate(2 * each * PINGERS, begun)])
    }))
}
