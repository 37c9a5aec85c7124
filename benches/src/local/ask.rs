//! One actor that asks another again and again.

use std::sync::mpsc::SyncSender;
use std::time::{Duration, Instant};

use myrmidon::Pid;
use myrmidon::actor::{Actor, ActorRef, AsyncActor, Context, Flow, Reply, SpawnOptions};

use super::{Finish, each, runtime};

/// Answers with the next number.
struct Answerer;

impl Actor for Answerer {
    type Msg = (u64, Reply<u64>);

    fn handle(&mut self, (number, reply): Self::Msg, _: &mut Context<'_>) -> Flow {
        reply.send(number + 1);
        Flow::Continue
    }
}

struct Asker {
    answerer: ActorRef<(u64, Reply<u64>)>,
    done: SyncSender<u64>,
}

impl AsyncActor for Asker {
    type Msg = u64;

    async fn handle(&mut self, asks: u64, _: Pid) -> Flow {
        let mut answered = 0;
        while answered < asks {
            match self.answerer.ask(|reply| (answered, reply), Duration::from_secs(60)).await {
                Ok(next) => answered = next,
                Err(_) => break,
            }
        }
        let _ = self.done.send(answered);
        Flow::Continue
    }
}

pub(super) fn run(asks: u64) -> Result<f64, String> {
    let rt = runtime()?;
    let finish = Finish::new(1);
    let answerer = rt.spawn(Answerer);
    let asker = rt.spawn_async(Asker { answerer, done: finish.tell.clone() }, SpawnOptions::default());
    let begun = Instant::now();
    asker.send(asks).map_err(|error| error.to_string())?;
    finish.expect(1, asks)?;
    Ok(each(asks, begun))
}
