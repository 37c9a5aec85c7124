//! Scripts as actors of actix, which stay on the thread (arbiter) that they are started on.
//!
//! It has no row for timers: an actor looks through all its timers each time it runs, so that a million
//! of them never end.

use std::cell::Cell;
use std::sync::mpsc::SyncSender;
use std::time::{Duration, Instant};

use actix::prelude::*;

use super::Port;
use super::library::{Library, Next, Script, Threads};
use crate::local::{Finish, each};
use crate::measure::{Figures, Run};

pub(super) struct Actix {
    arbiters: Vec<Arbiter>,
    /// Where the next actor goes.
    turn: Cell<usize>,
}

/// An actor that is a script.
pub(super) struct Host<S>(S);

impl<S> Unpin for Host<S> {}

impl<S: Script<Actix>> Actor for Host<S> {
    type Context = Context<Self>;
}

/// A message without an answer.
struct Note<M>(M);

impl<M> Message for Note<M> {
    type Result = ();
}

impl<S: Script<Actix>> Handler<Note<S::Msg>> for Host<S> {
    type Result = ();

    fn handle(&mut self, Note(message): Note<S::Msg>, cx: &mut Context<Self>) {
        if self.0.handle(message, || cx.address()) == Next::Stop {
            cx.stop();
        }
    }
}

impl Actix {
    fn next_arbiter(&self) -> ArbiterHandle {
        let turn = self.turn.get();
        self.turn.set(turn + 1);
        self.arbiters[turn % self.arbiters.len()].handle()
    }
}

impl Library for Actix {
    type Ref<S: Script<Self>> = Addr<Host<S>>;

    fn with(threads: Threads, work: impl FnOnce(&Self) -> Figures) -> Figures {
        let system = System::new();
        let arbiters = (0..threads.count()).map(|_| Arbiter::new()).collect();
        let actix = Self { arbiters, turn: Cell::new(0) };
        let figures = work(&actix);
        for arbiter in actix.arbiters {
            arbiter.stop();
            arbiter.join().map_err(|_| "an arbiter has panicked")?;
        }
        drop(system);
        figures
    }

    fn spawn<S: Script<Self>>(&self, script: S) -> Addr<Host<S>> {
        Host::start_in_arbiter(&self.next_arbiter(), |_| Host(script))
    }

    fn spawn_inside<S: Script<Self>>(script: S) -> Addr<Host<S>> {
        Host(script).start()
    }

    fn tell<S: Script<Self>>(to: &Addr<Host<S>>, message: S::Msg) -> bool {
        to.do_send(Note(message));
        true
    }
}

pub(super) const ASK: Port = Port { work: "ask", divisor: 5, run: Run::One(ask) };

/// A question that is answered with the next number.
struct Question(u64);

impl Message for Question {
    type Result = u64;
}

struct Answerer;

impl Actor for Answerer {
    type Context = Context<Self>;
}

impl Handler<Question> for Answerer {
    type Result = u64;

    fn handle(&mut self, Question(number): Question, _: &mut Context<Self>) -> u64 {
        number + 1
    }
}

/// Asks so often.
struct Ask(u64);

impl Message for Ask {
    type Result = ();
}

struct Asker {
    answerer: Addr<Answerer>,
    done: SyncSender<u64>,
}

impl Actor for Asker {
    type Context = Context<Self>;
}

impl Handler<Ask> for Asker {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, Ask(asks): Ask, _: &mut Context<Self>) -> ResponseFuture<()> {
        let (answerer, done) = (self.answerer.clone(), self.done.clone());
        Box::pin(async move {
            let mut answered = 0;
            while answered < asks {
                match answerer.send(Question(answered)).timeout(Duration::from_secs(60)).await {
                    Ok(next) => answered = next,
                    Err(_) => break,
                }
            }
            let _ = done.send(answered);
        })
    }
}

fn ask(asks: u64) -> Result<f64, String> {
    let figures = Actix::with(Threads::One, |actix| {
        let finish = Finish::new(1);
        let done = finish.tell.clone();
        let answerer = Answerer::start_in_arbiter(&actix.next_arbiter(), |_| Answerer);
        let asker = Asker::start_in_arbiter(&actix.next_arbiter(), |_| Asker { answerer, done });
        let begun = Instant::now();
        asker.do_send(Ask(asks));
        finish.expect(1, asks)?;
        Ok(vec![each(asks, begun)])
    })?;
    Ok(figures[0])
}
