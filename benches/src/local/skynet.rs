//! A tree of actors, ten children to each, whose leaves send their number up; the sums meet at the
//! root.

use std::sync::mpsc::SyncSender;
use std::time::Instant;

use myrmidon::Pid;
use myrmidon::actor::{Behaviour, Context, ExitReason, Flow, SpawnOptions};
use myrmidon::mailbox::{Payload, Value};

use super::{Finish, runtime};

const CHILDREN: u64 = 10;
/// The actors above a million leaves, and those.
const WHOLE_TREE: f64 = 1_111_111.0;

/// Where a sum goes.
enum Parent {
    Actor(Pid),
    Bench(SyncSender<u64>),
}

/// One actor of the tree: the leaves below it, the number of the first, and what has come up so far.
struct Node {
    parent: Parent,
    first: u64,
    leaves: u64,
    sum: u64,
    awaited: u64,
}

impl Node {
    fn new(parent: Parent, first: u64, leaves: u64) -> Self {
        Self { parent, first, leaves, sum: 0, awaited: CHILDREN }
    }

    fn report(&self, sum: u64, cx: &Context<'_>) -> Flow {
        match &self.parent {
            Parent::Actor(pid) => _ = cx.send(*pid, Payload::Value(Value::new(sum))),
            Parent::Bench(done) => _ = done.send(sum),
        }
        Flow::Stop(ExitReason::Normal)
    }
}

impl Behaviour for Node {
    fn started(&mut self, cx: &mut Context<'_>) -> Flow {
        if self.leaves == 1 {
            return self.report(self.first, cx);
        }
        let each = self.leaves / CHILDREN;
        for child in 0..CHILDREN {
            let node = Self::new(Parent::Actor(cx.pid()), self.first + child * each, each);
            cx.spawn(Box::new(node), SpawnOptions::default());
        }
        Flow::Continue
    }

    fn handle(&mut self, message: Payload, cx: &mut Context<'_>) -> Flow {
        if let Payload::Value(value) = message {
            self.sum += value.downcast::<u64>().unwrap_or_default();
        }
        self.awaited -= 1;
        if self.awaited == 0 { self.report(self.sum, cx) } else { Flow::Continue }
    }
}

/// Seconds for the whole tree, from the time of one with so many leaves.
pub(crate) fn of_whole_tree(leaves: u64, begun: Instant) -> f64 {
    let actors = (leaves * CHILDREN - 1) / (CHILDREN - 1);
    begun.elapsed().as_secs_f64() * WHOLE_TREE / actors as f64
}

pub(super) fn run(leaves: u64) -> Result<f64, String> {
    // A power of ten, so that every branch is as long as the others.
    let leaves = CHILDREN.pow(leaves.max(10).ilog10());
    let rt = runtime()?;
    let finish = Finish::new(1);
    let begun = Instant::now();
    let root = Node::new(Parent::Bench(finish.tell.clone()), 0, leaves);
    rt.spawn_behaviour(Box::new(root), SpawnOptions::default());
    finish.expect(1, leaves * (leaves - 1) / 2)?;
    Ok(of_whole_tree(leaves, begun))
}
