//! Scripts as actors of ractor.

use std::marker::PhantomData;
use std::sync::mpsc::SyncSender;
use std::time::{Duration, Instant};

use ractor::{Actor, ActorProcessingErr, ActorRef, ActorRuntime, RpcReplyPort};

use super::Port;
use super::library::{Library, Next, Script, Threads, with_tokio};
use crate::local::{Finish, each};
use crate::measure::{Figures, Run};

pub(super) struct Ractor;

/// An actor whose state is a script.
struct Host<S>(PhantomData<fn(S)>);

impl<S: Script<Ractor>> Actor for Host<S> {
    type Msg = S::Msg;
    type State = S;
    type Arguments = S;

    async fn pre_start(&self, _: ActorRef<S::Msg>, script: S) -> Result<S, ActorProcessingErr> {
        Ok(script)
    }

    async fn handle(
        &self,
        myself: ActorRef<S::Msg>,
        message: S::Msg,
        script: &mut S,
    ) -> Result<(), ActorProcessingErr> {
        if script.handle(message, || myself.clone()) == Next::Stop {
            myself.stop(None);
        }
        Ok(())
    }
}

impl Library for Ractor {
    type Ref<S: Script<Self>> = ActorRef<S::Msg>;

    fn with(_: Threads, work: impl FnOnce(&Self) -> Figures) -> Figures {
        with_tokio(|_| work(&Self))
    }

    fn spawn<S: Script<Self>>(&self, script: S) -> ActorRef<S::Msg> {
        Self::spawn_inside(script)
    }

    /// Does not wait until the actor has started, as `Actor::spawn` would.
    fn spawn_inside<S: Script<Self>>(script: S) -> ActorRef<S::Msg> {
        let started = ActorRuntime::spawn_instant(None, Host(PhantomData), script);
        started.expect("an actor without a name can always be started").0
    }

    fn tell<S: Script<Self>>(to: &ActorRef<S::Msg>, message: S::Msg) -> bool {
        to.cast(message).is_ok()
    }
}

pub(super) const ASK: Port = Port { work: "ask", divisor: 5, run: Run::One(ask) };
pub(super) const TIMERS: Port = Port { work: "timers", divisor: 2, run: Run::Many(timers) };

/// Answers with the next number.
struct Answerer;

impl Actor for Answerer {
    type Msg = (u64, RpcReplyPort<u64>);
    type State = ();
    type Arguments = ();

    async fn pre_start(&self, _: ActorRef<Self::Msg>, (): ()) -> Result<(), ActorProcessingErr> {
        Ok(())
    }

    async fn handle(
        &self,
        _: ActorRef<Self::Msg>,
        (number, reply): Self::Msg,
        (): &mut (),
    ) -> Result<(), ActorProcessingErr> {
        Ok(reply.send(number + 1)?)
    }
}

struct Asker {
    answerer: ActorRef<(u64, RpcReplyPort<u64>)>,
    done: SyncSender<u64>,
}

impl Actor for Asker {
    type Msg = u64;
    type State = ();
    type Arguments = ();

    async fn pre_start(&self, _: ActorRef<u64>, (): ()) -> Result<(), ActorProcessingErr> {
        Ok(())
    }

    async fn handle(&self, _: ActorRef<u64>, asks: u64, (): &mut ()) -> Result<(), ActorProcessingErr> {
        let mut answered = 0;
        while answered < asks {
            answered = ractor::call_t!(self.answerer, |reply| (answered, reply), 60_000)?;
        }
        let _ = self.done.send(answered);
        Ok(())
    }
}

fn ask(asks: u64) -> Result<f64, String> {
    let figures = with_tokio(|rt| {
        let finish = Finish::new(1);
        let started = rt.block_on(async {
            let (answerer, _) = Actor::spawn(None, Answerer, ()).await?;
            Actor::spawn(None, Asker { answerer, done: finish.tell.clone() }, ()).await
        });
        let (asker, _) = started.map_err(|error| error.to_string())?;
        let begun = Instant::now();
        asker.cast(asks).map_err(|error| error.to_string())?;
        finish.expect(1, asks)?;
        Ok(vec![each(asks, begun)])
    })?;
    Ok(figures[0])
}

fn timers(alive: u64) -> Figures {
    with_tokio(|rt| {
        let finish = Finish::new(1);
        let counter = Ractor.spawn(super::work::Counter::after(1, finish.tell.clone()));
        let arm = |delay: Duration| counter.send_after(delay, || 0);
        let figures = super::work::time_timers(rt, alive, arm)?;
        arm(Duration::from_millis(1));
        finish.expect(1, 1)?;
        Ok(figures)
    })
}
