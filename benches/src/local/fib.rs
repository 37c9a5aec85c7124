//! Fibonacci numbers by actors, each of which asks two others and ends (Savina's fib).

use std::sync::mpsc::SyncSender;
use std::time::Instant;

use myrmidon::Pid;
use myrmidon::actor::{Behaviour, Context, ExitReason, Flow, SpawnOptions};
use myrmidon::mailbox::{Payload, Value};

use super::{Finish, each, runtime};

/// Where a number goes.
enum Parent {
    Actor(Pid),
    Bench(SyncSender<u64>),
}

/// Computes one number from the answers of two others.
struct Fib {
    parent: Parent,
    n: u64,
    sum: u64,
    awaited: u64,
}

impl Fib {
    fn new(parent: Parent, n: u64) -> Self {
        Self { parent, n, sum: 0, awaited: 2 }
    }

    fn answer(&self, number: u64, cx: &Context<'_>) -> Flow {
        match &self.parent {
            Parent::Actor(pid) => _ = cx.send(*pid, Payload::Value(Value::new(number))),
            Parent::Bench(done) => _ = done.send(number),
        }
        Flow::Stop(ExitReason::Normal)
    }
}

impl Behaviour for Fib {
    fn started(&mut self, cx: &mut Context<'_>) -> Flow {
        if self.n <= 2 {
            return self.answer(1, cx);
        }
        for n in [self.n - 1, self.n - 2] {
            cx.spawn(Box::new(Self::new(Parent::Actor(cx.pid()), n)), SpawnOptions::default());
        }
        Flow::Continue
    }

    fn handle(&mut self, message: Payload, cx: &mut Context<'_>) -> Flow {
        if let Payload::Value(value) = message {
            self.sum += value.downcast::<u64>().unwrap_or_default();
        }
        self.awaited -= 1;
        if self.awaited == 0 { self.answer(self.sum, cx) } else { Flow::Continue }
    }
}

/// The largest `n` whose tree has at most so many actors, its Fibonacci number, and how many they are.
pub(crate) fn tree(actors: u64) -> (u64, u64, u64) {
    let (mut n, mut number, mut next) = (2, 1, 2);
    while 2 * next - 1 <= actors {
        (n, number, next) = (n + 1, next, number + next);
    }
    (n, number, 2 * number - 1)
}

pub(super) fn run(actors: u64) -> Result<f64, String> {
    let (n, number, actors) = tree(actors);
    let rt = runtime()?;
    let finish = Finish::new(1);
    let begun = Instant::now();
    let root = Fib::new(Parent::Bench(finish.tell.clone()), n);
    rt.spawn_behaviour(Box::new(root), SpawnOptions::default());
    finish.expect(1, number)?;
    Ok(each(actors, begun))
}

#[cfg(test)]
mod tests {
    #[test]
    fn savina_asks_for_the_25th_number() {
        assert_eq!(super::tree(150_049), (25, 75_025, 150_049));
        assert_eq!(super::tree(150_048).0, 24);
    }
}
