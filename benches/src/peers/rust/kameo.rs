//! Scripts as actors of kameo, with unbounded mailboxes like all others here.

use std::convert::Infallible;
use std::sync::mpsc::SyncSender;
use std::time::{Duration, Instant};

use kameo::actor::{Actor, ActorRef, Spawn};
use kameo::mailbox;
use kameo::message::{Context, Message};

use super::Port;
use super::library::{Library, Next, Script, Threads, with_tokio};
use crate::local::{Finish, each};
use crate::measure::{Figures, Run};

pub(super) struct Kameo;

/// An actor that is a script.
pub(super) struct Host<S>(S);

impl<S: Script<Kameo>> Actor for Host<S> {
    type Args = Self;
    type Error = Infallible;

    async fn on_start(host: Self, _: ActorRef<Self>) -> Result<Self, Infallible> {
        Ok(host)
    }
}

impl<S: Script<Kameo>> Message<S::Msg> for Host<S> {
    type Reply = ();

    async fn handle(&mut self, message: S::Msg, cx: &mut Context<Self, ()>) {
        if self.0.handle(message, || cx.actor_ref().clone()) == Next::Stop {
            cx.stop();
        }
    }
}

impl Library for Kameo {
    type Ref<S: Script<Self>> = ActorRef<Host<S>>;

    fn with(_: Threads, work: impl FnOnce(&Self) -> Figures) -> Figures {
        with_tokio(|_| work(&Self))
    }

    fn spawn<S: Script<Self>>(&self, script: S) -> ActorRef<Host<S>> {
        Self::spawn_inside(script)
    }

    fn spawn_inside<S: Script<Self>>(script: S) -> ActorRef<Host<S>> {
        Host::spawn_with_mailbox(Host(script), mailbox::unbounded())
    }

    fn tell<S: Script<Self>>(to: &ActorRef<Host<S>>, message: S::Msg) -> bool {
        to.tell(message).try_send().is_ok()
    }
}

pub(super) const ASK: Port = Port { work: "ask", divisor: 5, run: Run::One(ask) };
pub(super) const TIMERS: Port = Port { work: "timers", divisor: 2, run: Run::Many(timers) };

/// Answers with the next number.
struct Answerer;

impl Actor for Answerer {
    type Args = ();
    type Error = Infallible;

    async fn on_start((): (), _: ActorRef<Self>) -> Result<Self, Infallible> {
        Ok(Self)
    }
}

impl Message<u64> for Answerer {
    type Reply = u64;

    async fn handle(&mut self, number: u64, _: &mut Context<Self, u64>) -> u64 {
        number + 1
    }
}

struct Asker {
    answerer: ActorRef<Answerer>,
    done: SyncSender<u64>,
}

impl Actor for Asker {
    type Args = Self;
    type Error = Infallible;

    async fn on_start(asker: Self, _: ActorRef<Self>) -> Result<Self, Infallible> {
        Ok(asker)
    }
}

impl Message<u64> for Asker {
    type Reply = ();

    async fn handle(&mut self, asks: u64, _: &mut Context<Self, ()>) {
        let (mut answered, within) = (0, Duration::from_secs(60));
        while answered < asks {
            match self.answerer.ask(answered).reply_timeout(within).await {
                Ok(next) => answered = next,
                Err(_) => break,
            }
        }
        let _ = self.done.send(answered);
    }
}

fn ask(asks: u64) -> Result<f64, String> {
    let figures = with_tokio(|_| {
        let finish = Finish::new(1);
        let answerer = Answerer::spawn_with_mailbox((), mailbox::unbounded());
        let asker = Asker { answerer, done: finish.tell.clone() };
        let asker = Asker::spawn_with_mailbox(asker, mailbox::unbounded());
        let begun = Instant::now();
        asker.tell(asks).try_send().map_err(|error| error.to_string())?;
        finish.expect(1, asks)?;
        Ok(vec![each(asks, begun)])
    })?;
    Ok(figures[0])
}

fn timers(alive: u64) -> Figures {
    with_tokio(|rt| {
        let finish = Finish::new(1);
        let counter = Kameo.spawn(super::work::Counter::after(1, finish.tell.clone()));
        let arm = |delay: Duration| counter.tell(0).send_after(delay);
        let figures = super::work::time_timers(rt, alive, arm)?;
        arm(Duration::from_millis(1));
        finish.expect(1, 1)?;
        Ok(figures)
    })
}
