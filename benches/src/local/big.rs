//! Many actors, each of which pings others at random and waits for the answer (Savina's big).

use std::sync::Arc;
use std::sync::mpsc::SyncSender;
use std::time::Instant;

use myrmidon::actor::{Actor, ActorRef, Context, Flow};

use super::{Finish, rate, runtime};

const ACTORS: u64 = 120;

/// The pseudo-random numbers of Savina, so that all runtimes draw the same.
pub(crate) struct Numbers(u64);

impl Numbers {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number below `bound`.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.0 = (self.0 * 1309 + 13849) & 65535;
        self.0 % bound
    }
}

enum Message {
    /// Who the others are. All know that before the first ping.
    Know(Arc<Vec<ActorRef<Self>>>),
    /// The pings begin.
    Begin,
    /// From the actor with this number.
    Ping(u64),
    Pong,
}

struct Pinger {
    number: u64,
    others: Arc<Vec<ActorRef<Message>>>,
    numbers: Numbers,
    left: u64,
    answered: u64,
    done: SyncSender<u64>,
}

impl Actor for Pinger {
    type Msg = Message;

    fn handle(&mut self, message: Message, _: &mut Context<'_>) -> Flow {
        match message {
            Message::Know(others) => self.others = others,
            Message::Begin => self.next(),
            Message::Ping(from) => self.send(from, Message::Pong),
            Message::Pong => {
                self.answered += 1;
                self.next();
            }
        }
        Flow::Continue
    }
}

impl Pinger {
    fn next(&mut self) {
        if self.left == 0 {
            let _ = self.done.send(self.answered);
            return;
        }
        self.left -= 1;
        let target = self.numbers.below(ACTORS);
        self.send(target, Message::Ping(self.number));
    }

    fn send(&self, to: u64, message: Message) {
        let _ = usize::try_from(to).map(|to| self.others[to].send(message));
    }
}

/// Two messages for each of `pings`.
pub(super) fn run(pings: u64) -> Result<f64, String> {
    let rt = runtime()?;
    let each = (pings / ACTORS).max(1);
    let finish = Finish::new(ACTORS as usize);
    let pinger = |number| Pinger {
        number,
        others: Arc::default(),
        numbers: Numbers::new(number),
        left: each,
        answered: 0,
        done: finish.tell.clone(),
    };
    let actors: Arc<Vec<_>> = Arc::new((0..ACTORS).map(|number| rt.spawn(pinger(number))).collect());
    for actor in actors.iter() {
        actor.send(Message::Know(actors.clone())).map_err(|error| error.to_string())?;
    }
    let begun = Instant::now();
    for actor in actors.iter() {
        actor.send(Message::Begin).map_err(|error| error.to_string())?;
    }
    finish.expect(ACTORS as usize, each * ACTORS)?;
    Ok(rate(2 * each * ACTORS, begun))
}
