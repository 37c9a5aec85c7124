//! Asks in the long run: no memory is kept, and none is allocated. A test of its own, as it counts what
//! the whole process allocates.
#![allow(clippy::unwrap_used, reason = "tests")]

#[path = "common/counting.rs"]
mod counting;

use std::sync::atomic::Ordering;
use std::time::Duration;

use counting::{ALLOCATIONS, LIVE};
use myrmidon::actor::{Actor, ActorRef, AsyncActor, Context, Flow, Reply, SpawnOptions};
use myrmidon::{Pid, Runtime};

const LONG: Duration = Duration::from_secs(600);

struct Doubler;

impl Actor for Doubler {
    type Msg = (u64, Reply<u64>);

    fn handle(&mut self, (number, reply): Self::Msg, _: &mut Context<'_>) -> Flow {
        reply.send(number * 2);
        Flow::Continue
    }
}

struct Asker(ActorRef<(u64, Reply<u64>)>);

impl AsyncActor for Asker {
    type Msg = (u64, Reply<u64>);

    async fn handle(&mut self, (asks, done): Self::Msg, _: Pid) -> Flow {
        let mut right = 0;
        for number in 0..asks {
            right += u64::from(self.0.ask(|reply| (number, reply), LONG).await == Ok(number * 2));
        }
        done.send(right);
        Flow::Continue
    }
}

#[test]
fn many_asks_leave_nothing_behind_and_allocate_nothing_in_the_long_run() {
    let rt = Runtime::builder().workers(2).start().unwrap();
    let doubler = rt.spawn(Doubler);
    let asker = rt.spawn_async(Asker(doubler.clone()), SpawnOptions::default());
    let ask = |asks| {
        assert_eq!(asker.ask_blocking(|done| (asks, done), LONG), Ok(asks));
        for number in 0..asks / 20 {
            assert_eq!(doubler.ask_blocking(|reply| (number, reply), LONG), Ok(number * 2));
        }
    };
    ask(10_000);
    let (live, allocations) = (LIVE.load(Ordering::Relaxed), ALLOCATIONS.load(Ordering::Relaxed));
    ask(200_000);
    let grown = LIVE.load(Ordering::Relaxed) - live;
    let allocated = ALLOCATIONS.load(Ordering::Relaxed) - allocations;
    assert!(grown < 512 * 1024, "{grown} bytes more than before");
    assert!(allocated < 10_000, "{allocated} allocations");
    println!("{grown} bytes, {allocated} allocations");
}
