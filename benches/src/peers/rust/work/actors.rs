//! Starting actors: spawn, create, fib, skynet, and what an idle one holds.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::SyncSender;
use std::time::Instant;

use crate::local::{Finish, LIMIT, each, fib_tree, of_whole_tree, resident, wait_until};
use crate::peers::rust::library::{Library, Next, Script, Threads};

const CHILDREN: u64 = 10;

/// Adds to a count that all share, and ends if it is to.
struct One {
    handled: Arc<AtomicU64>,
    ends: bool,
}

impl<L: Library> Script<L> for One {
    type Msg = ();

    fn handle(&mut self, (): (), _: impl FnOnce() -> L::Ref<Self>) -> Next {
        if self.ends {
            return Next::Stop;
        }
        self.handled.fetch_add(1, Ordering::Relaxed);
        Next::Go
    }
}

impl Drop for One {
    fn drop(&mut self) {
        if self.ends {
            self.handled.fetch_add(1, Ordering::Relaxed);
        }
    }
}

fn all_handled(handled: &AtomicU64, actors: u64) -> Result<(), String> {
    let count = || handled.load(Ordering::Relaxed);
    wait_until(LIMIT, || count() == actors).then_some(()).ok_or_else(|| format!("{} of {actors}", count()))
}

pub(super) fn spawn<L: Library>(actors: u64) -> Result<f64, String> {
    super::one(L::with(Threads::One, |lib| {
        let handled = Arc::new(AtomicU64::new(0));
        let begun = Instant::now();
        let one = |_| lib.spawn(One { handled: handled.clone(), ends: false });
        let started: Vec<_> = (0..actors).map(one).collect();
        let figure = each(actors, begun);
        for one in &started {
            super::sent(L::tell(one, ()))?;
        }
        all_handled(&handled, actors)?;
        Ok(vec![figure])
    }))
}

/// Starts actors, each of which ends after its one message.
pub(super) fn create<L: Library>(actors: u64) -> Result<f64, String> {
    super::one(L::with(Threads::All, |lib| {
        let ended = Arc::new(AtomicU64::new(0));
        let begun = Instant::now();
        for _ in 0..actors {
            let one = lib.spawn(One { handled: ended.clone(), ends: true });
            super::sent(L::tell(&one, ()))?;
        }
        all_handled(&ended, actors)?;
        Ok(vec![each(actors, begun)])
    }))
}

/// Bytes of resident memory of one of `actors`.
pub(super) fn memory<L: Library>(actors: u64) -> Result<f64, String> {
    super::one(L::with(Threads::All, |lib| {
        let handled = Arc::new(AtomicU64::new(0));
        let mut started = Vec::with_capacity(usize::try_from(actors).unwrap_or_default());
        let before = resident()?;
        for _ in 0..actors {
            let one = lib.spawn(One { handled: handled.clone(), ends: false });
            super::sent(L::tell(&one, ()))?;
            started.push(one);
        }
        all_handled(&handled, actors)?;
        Ok(vec![resident()?.saturating_sub(before) as f64 / actors as f64])
    }))
}

/// Where a number goes.
enum Parent<L: Library, S: Script<L>> {
    Actor(L::Ref<S>),
    Bench(SyncSender<u64>),
}

impl<L: Library, S: Script<L, Msg = Up>> Parent<L, S> {
    fn tell(&self, number: u64) -> Next {
        match self {
            Self::Actor(parent) => _ = L::tell(parent, Up::Number(number)),
            Self::Bench(done) => _ = done.send(number),
        }
        Next::Stop
    }
}

/// What an actor of a tree is sent.
enum Up {
    Begin,
    /// From a child.
    Number(u64),
}

/// One actor of skynet: the leaves below it, the number of the first, and what has come up so far.
struct Node<L: Library> {
    parent: Parent<L, Self>,
    first: u64,
    leaves: u64,
    sum: u64,
    awaited: u64,
}

impl<L: Library> Script<L> for Node<L> {
    type Msg = Up;

    fn handle(&mut self, message: Up, me: impl FnOnce() -> L::Ref<Self>) -> Next {
        match message {
            Up::Begin if self.leaves == 1 => self.parent.tell(self.first),
            Up::Begin => {
                let (me, each) = (me(), self.leaves / CHILDREN);
                for child in 0..CHILDREN {
                    let first = self.first + child * each;
                    start::<L, _>(Self::new(Parent::Actor(me.clone()), first, each));
                }
                Next::Go
            }
            Up::Number(number) => {
                self.sum += number;
                self.awaited -= 1;
                if self.awaited == 0 { self.parent.tell(self.sum) } else { Next::Go }
            }
        }
    }
}

impl<L: Library> Node<L> {
    fn new(parent: Parent<L, Self>, first: u64, leaves: u64) -> Self {
        Self { parent, first, leaves, sum: 0, awaited: CHILDREN }
    }
}

fn start<L: Library, S: Script<L, Msg = Up>>(script: S) {
    L::tell(&L::spawn_inside(script), Up::Begin);
}

pub(super) fn skynet<L: Library>(leaves: u64) -> Result<f64, String> {
    super::one(L::with(Threads::One, |lib| {
        let leaves = CHILDREN.pow(leaves.max(10).ilog10());
        let finish = Finish::new(1);
        let begun = Instant::now();
        let root = lib.spawn(Node::<L>::new(Parent::Bench(finish.tell.clone()), 0, leaves));
        super::sent(L::tell(&root, Up::Begin))?;
        finish.expect(1, leaves * (leaves - 1) / 2)?;
        Ok(vec![of_whole_tree(leaves, begun)])
    }))
}

/// Computes one Fibonacci number from the answers of two others.
struct Fib<L: Library> {
    parent: Parent<L, Self>,
    n: u64,
    sum: u64,
    awaited: u64,
}

impl<L: Library> Fib<L> {
    fn new(parent: Parent<L, Self>, n: u64) -> Self {
        Self { parent, n, sum: 0, awaited: 2 }
    }
}

impl<L: Library> Script<L> for Fib<L> {
    type Msg = Up;

    fn handle(&mut self, message: Up, me: impl FnOnce() -> L::Ref<Self>) -> Next {
        match message {
            Up::Begin if self.n <= 2 => self.parent.tell(1),
            Up::Begin => {
                let me = me();
                start::<L, _>(Self::new(Parent::Actor(me.clone()), self.n - 1));
                start::<L, _>(Self::new(Parent::Actor(me), self.n - 2));
                Next::Go
            }
            Up::Number(number) => {
                self.sum += number;
                self.awaited -= 1;
                if self.awaited == 0 { self.parent.tell(self.sum) } else { Next::Go }
            }
        }
    }
}

pub(super) fn fib<L: Library>(actors: u64) -> Result<f64, String> {
    super::one(L::with(Threads::One, |lib| {
        let (n, number, actors) = fib_tree(actors);
        let finish = Finish::new(1);
        let begun = Instant::now();
        let root = lib.spawn(Fib::<L>::new(Parent::Bench(finish.tell.clone()), n));
        super::sent(L::tell(&root, Up::Begin))?;
        finish.expect(1, number)?;
        Ok(vec![each(actors, begun)])
    }))
}
