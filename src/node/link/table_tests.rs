//! The rules of protocol §5 in every order: two nodes that both dial, links cut at every point.
//!
//! A search through all states of a small world. Every node runs the real [`Table`]; around it stand
//! the least of what the node does: channels that keep order, a cut that loses what is under way, and
//! ends that learn of it one after the other.

use std::collections::{HashSet, VecDeque};

use super::table::{Arrival, Decision, Life, Table};
use crate::wire::level2::Id;

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Word {
    Hello,
    Ack(Id),
    Ready,
    /// A message for an actor.
    Actor,
    /// The sender has closed.
    Close,
}

/// What the dialler of a link does.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Dial {
    Asked,
    Acknowledged(Id),
    Over,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Wire {
    id: Id,
    dialler: usize,
    dial: Dial,
    /// What is under way to each node.
    to: [VecDeque<Word>; 2],
    /// Whether each end has learnt that the link is over, or ended it.
    over: [bool; 2],
    cut: bool,
    /// The acceptor asks the older link for a sign of life before it takes READY.
    checking: Option<Id>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct World {
    tables: [Table; 2],
    wires: Vec<Wire>,
    dials: [u8; 2],
    cuts: u8,
    was_cut: bool,
    verified: bool,
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Dial(usize),
    /// The next word under way to a node arrives.
    Deliver(usize, usize),
    /// The dialler asks its table.
    Decide(usize),
    /// The acceptor's check of the older link is over.
    Checked(usize),
    Cut(usize),
    /// A node learns that a link was cut.
    Notice(usize, usize),
    /// An actor of a node sends.
    Send(usize, usize),
}

fn life(node: usize) -> Life {
    Life { node: Id([node as u8 + 1; 16]), incarnation: node as u64 }
}

impl World {
    fn new(dials: [u8; 2], cuts: u8, verified: bool) -> Self {
        let tables = [0, 1].map(|node| Table::new(life(node)));
        Self { tables, wires: Vec::new(), dials, cuts, was_cut: false, verified }
    }

    /// The link that is up at a node.
    fn up(&self, node: usize) -> Option<Id> {
        self.tables[node].up_with(life(1 - node).node)
    }

    fn steps(&self) -> Vec<Step> {
        let dials = (0..2).filter(|node| self.dials[*node] > 0 && self.up(*node).is_none()).map(Step::Dial);
        let of_wires = self.wires.iter().enumerate().flat_map(|(index, wire)| {
            let ends = (0..2).flat_map(move |node| {
                let alive = !wire.over[node];
                let delivery = alive && !wire.to[node].is_empty() && wire.checking.is_none();
                let notice = alive && wire.cut;
                let sends =
                    alive && self.up(node) == Some(wire.id) && !wire.cut && wire.to[1 - node].len() < 2;
                [
                    delivery.then_some(Step::Deliver(index, node)),
                    notice.then_some(Step::Notice(index, node)),
                    sends.then_some(Step::Send(index, node)),
                ]
            });
            let decides = matches!(wire.dial, Dial::Acknowledged(_)) && !wire.over[wire.dialler];
            let cut = self.cuts > 0 && !wire.cut && wire.over != [true, true];
            ends.flatten()
                .chain(decides.then_some(Step::Decide(index)))
                .chain(wire.checking.map(|_| Step::Checked(index)))
                .chain(cut.then_some(Step::Cut(index)))
                .collect::<Vec<_>>()
        });
        dials.chain(of_wires).collect()
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Dial(node) => self.dial(node),
            Step::Deliver(index, node) => self.deliver(index, node),
            Step::Decide(index) => self.decide(index),
            Step::Checked(index) => self.checked(index),
            Step::Cut(index) => {
                self.cuts -= 1;
                self.was_cut = true;
                self.wires[index].cut = true;
                self.wires[index].to = Default::default();
            }
            Step::Notice(index, node) => self.end(index, node),
            Step::Send(index, node) => self.say(index, 1 - node, Word::Actor),
        }
    }

    fn dial(&mut self, node: usize) {
        self.dials[node] -= 1;
        let id = Id([100 + self.wires.len() as u8; 16]);
        let mut to: [VecDeque<Word>; 2] = Default::default();
        to[1 - node].push_back(Word::Hello);
        let dial = Dial::Asked;
        self.wires.push(Wire { id, dialler: node, dial, to, over: [false; 2], cut: false, checking: None });
    }

    fn deliver(&mut self, index: usize, node: usize) {
        let wire = &mut self.wires[index];
        let (id, peer) = (wire.id, life(1 - node));
        match wire.to[node].pop_front().unwrap() {
            Word::Hello => {
                let other = self.tables[node].hello(id, peer).unwrap();
                self.say(index, 1 - node, Word::Ack(other));
            }
            Word::Ack(other) => wire.dial = Dial::Acknowledged(other),
            Word::Ready => self.ready(index, node),
            Word::Actor => assert_eq!(self.up(node), Some(id), "a message on a link that is not up"),
            Word::Close => self.end(index, node),
        }
    }

    fn decide(&mut self, index: usize) {
        let Wire { id, dialler, dial: Dial::Acknowledged(other), .. } = self.wires[index] else { return };
        match self.tables[dialler].decide(id, life(1 - dialler), other, self.verified) {
            Decision::Commit => {
                self.wires[index].dial = Dial::Over;
                self.say(index, 1 - dialler, Word::Ready);
            }
            Decision::Wait => {}
            Decision::Alias(_) => self.close(index, dialler),
            other => panic!("one life each: {other:?}"),
        }
    }

    fn ready(&mut self, index: usize, node: usize) {
        match self.tables[node].ready(self.wires[index].id) {
            Arrival::Up => {}
            Arrival::Replace(old) if self.verified => {
                self.replace(old, node);
                self.ready(index, node);
            }
            Arrival::Replace(old) => self.wires[index].checking = Some(old),
            Arrival::Unknown => panic!("it is held until its end"),
        }
    }

    /// A pong comes if the older link still holds at both ends; then READY is refused.
    fn checked(&mut self, index: usize) {
        let node = 1 - self.wires[index].dialler;
        let Some(old) = self.wires[index].checking.take() else { return };
        let answers = self.wires.iter().any(|wire| {
            wire.id == old && !wire.cut && wire.over == [false; 2] && self.up(1 - node) == Some(old)
        });
        if answers {
            return self.close(index, node);
        }
        if self.up(node) == Some(old) {
            self.replace(old, node);
        }
        self.ready(index, node);
    }

    fn replace(&mut self, old: Id, node: usize) {
        let index = self.wires.iter().position(|wire| wire.id == old).unwrap();
        self.close(index, node);
    }

    /// A node closes its end and says so.
    fn close(&mut self, index: usize, node: usize) {
        self.say(index, 1 - node, Word::Close);
        self.end(index, node);
    }

    fn end(&mut self, index: usize, node: usize) {
        let wire = &mut self.wires[index];
        wire.over[node] = true;
        wire.to[node].clear();
        if wire.dialler == node {
            wire.dial = Dial::Over;
        } else {
            wire.checking = None;
        }
        self.tables[node].dead(wire.id);
    }

    fn say(&mut self, index: usize, node: usize, word: Word) {
        let wire = &mut self.wires[index];
        if !wire.cut && !wire.over[node] {
            wire.to[node].push_back(word);
        }
    }

    /// Whether anything but sending, cutting and dialling can still happen that changes something.
    fn is_quiet(&self, steps: &[Step]) -> bool {
        steps.iter().all(|step| match step {
            Step::Send(..) | Step::Cut(_) | Step::Dial(_) => true,
            Step::Decide(_) => {
                let mut next = self.clone();
                next.step(*step);
                next == *self
            }
            _ => false,
        })
    }

    fn check_quiet(&self) {
        let (a, b) = (self.up(0), self.up(1));
        assert_eq!(a, b, "each node holds another link: {self:#?}");
        if !self.was_cut && !self.wires.is_empty() {
            assert!(a.is_some(), "no link though nothing was cut: {self:#?}");
        }
        let waiting = self.wires.iter().any(|wire| wire.dial != Dial::Over && !wire.over[wire.dialler]);
        assert!(!waiting, "a dial that waits for ever: {self:#?}");
    }
}

/// Visits every state; returns how many there are.
fn explore(dials: [u8; 2], cuts: u8, verified: bool) -> usize {
    let start = World::new(dials, cuts, verified);
    let mut seen = HashSet::from([start.clone()]);
    let mut open = vec![start];
    while let Some(world) = open.pop() {
        let steps = world.steps();
        if world.is_quiet(&steps) {
            world.check_quiet();
        }
        for step in steps {
            let mut next = world.clone();
            next.step(step);
            if seen.insert(next.clone()) {
                open.push(next);
            }
        }
    }
    seen.len()
}

#[test]
fn f12_two_nodes_that_dial_each_other_end_with_one_link() {
    for verified in [false, true] {
        assert!(explore([1, 1], 0, verified) > 100);
        assert!(explore([2, 1], 0, verified) > 1000);
    }
}

#[test]
fn f12_cuts_at_every_point_leave_one_link_or_none_and_nobody_waits() {
    for verified in [false, true] {
        assert!(explore([1, 1], 2, verified) > 1000);
        assert!(explore([2, 1], 1, verified) > 1000);
    }
}

#[test]
fn a_node_does_not_link_with_itself() {
    let mut table = Table::new(life(0));
    assert!(table.hello(Id([9; 16]), life(0)).is_err());
    assert!(matches!(table.decide(Id([9; 16]), life(0), Id::NONE, false), Decision::Refuse(_)));
}

#[test]
fn s36_a_later_life_replaces_the_earlier_one_which_is_stale_from_then_on() {
    let (me, old) = (life(0), life(1));
    let new = Life { incarnation: 77, ..old };
    let ids = [1, 2, 3].map(|n| Id([n; 16]));
    let mut table = Table::new(me);
    assert_eq!(table.decide(ids[0], old, Id::NONE, true), Decision::Commit);
    assert_eq!(table.hello(ids[1], new), Ok(ids[0]));
    assert_eq!(table.ready(ids[1]), Arrival::Replace(ids[0]));
    table.replaced(ids[0], new, ids[1]);
    assert_eq!(table.ready(ids[1]), Arrival::Up);
    assert!(table.hello(ids[2], old).is_err());
    assert_eq!(table.decide(ids[2], new, Id::NONE, true), Decision::Alias(ids[1]));
    table.dead(ids[1]);
    assert_eq!(table.ready(ids[1]), Arrival::Unknown);
}

#[test]
fn s36_a_life_that_gave_way_to_a_link_without_a_process_is_not_refused_for_ever() {
    let (old, new) = (life(1), Life { incarnation: 77, ..life(1) });
    let ids = [1, 2, 3, 4].map(|n| Id([n; 16]));
    let mut table = Table::new(life(0));
    assert_eq!(table.decide(ids[0], new, Id::NONE, true), Decision::Commit);
    // What the earlier life had said before it ended comes only now.
    assert_eq!(table.hello(ids[1], old), Ok(ids[0]));
    table.replaced(ids[0], old, ids[1]);
    assert!(table.hello(ids[2], new).is_err());
    assert_eq!(table.ready(ids[1]), Arrival::Up);
    table.never_lived(ids[1]);
    assert!(table.hello(ids[2], new).is_ok() && table.hello(ids[3], old).is_ok());
}
