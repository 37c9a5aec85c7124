//! Links and monitors between actors here and actors of the peer (protocol §7).
//!
//! Sans-IO. All of them end with the link of the nodes. An UNLINK is open until it is acknowledged: until
//! then an EXIT or a LINK of that pair was sent by a peer that did not know of it, and counts for
//! nothing, and a new LINK of our own waits.

use std::collections::HashMap;

use crate::actor::Watcher;
use crate::node::tally::Place;
use crate::pid::Pid;

/// Links of one peer, and as many monitors (L20).
const MAX_TIES: usize = 100_000;

/// A monitor of an actor of the peer.
pub(super) struct Watched {
    /// Who stands for it here.
    pub(super) proxy: Pid,
    /// The actor over there.
    pub(super) far: Pid,
    /// Who is told; the proxy itself, if nobody is named.
    pub(super) watcher: Option<Watcher>,
}

/// An actor here and one of the peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Pair {
    pub(super) near: Pid,
    pub(super) far: Pid,
}

struct Tie {
    /// Who stands for the peer's actor: more than one where a name is followed that leads there too.
    proxies: Vec<Pid>,
    state: State,
    /// Of one that the peer made: its place among those of our actor.
    _place: Option<Place<Pid>>,
}

impl Tie {
    fn add(&mut self, proxy: Pid) {
        if !self.proxies.contains(&proxy) {
            self.proxies.push(proxy);
        }
    }
}

enum State {
    Linked,
    /// UNLINK with this number is not acknowledged; `again` says that a LINK waits for that.
    Unlinking {
        id: u64,
        again: bool,
    },
}

/// What becomes of a wish to link.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Linking {
    /// Say LINK.
    Say,
    /// Nothing is to be said, now at least.
    Quiet,
    /// There are too many, or the link of the nodes is over.
    Refused,
}

/// Whoever is lost with the link of the nodes.
pub(super) struct Lost {
    pub(super) monitors: Vec<(u64, Watched)>,
    /// Each with who stands for the peer's actor.
    pub(super) links: Vec<(Pair, Pid)>,
}

#[derive(Default)]
pub(super) struct Ties {
    closed: bool,
    monitors: HashMap<u64, Watched>,
    links: HashMap<Pair, Tie>,
    /// The last number of an UNLINK.
    last: u64,
}

impl Ties {
    /// Notes a monitor, or hands it back.
    pub(super) fn watch(&mut self, monitor: u64, watched: Watched) -> Result<(), Watched> {
        if self.closed || self.monitors.len() >= MAX_TIES {
            return Err(watched);
        }
        self.monitors.insert(monitor, watched);
        Ok(())
    }

    /// Takes a monitor out: it fired, or is taken back.
    pub(super) fn unwatch(&mut self, monitor: u64) -> Option<Watched> {
        self.monitors.remove(&monitor)
    }

    /// Our actor links itself.
    pub(super) fn link(&mut self, pair: Pair, proxy: Pid) -> Linking {
        self.link_at(pair, proxy, None)
    }

    fn link_at(&mut self, pair: Pair, proxy: Pid, place: Option<Place<Pid>>) -> Linking {
        let full = self.closed || self.links.len() >= MAX_TIES;
        match self.links.get_mut(&pair) {
            Some(tie) => {
                tie.add(proxy);
                if let State::Unlinking { again, .. } = &mut tie.state {
                    *again = true;
                }
                Linking::Quiet
            }
            None if full => Linking::Refused,
            None => {
                self.links.insert(pair, Tie { proxies: vec![proxy], state: State::Linked, _place: place });
                Linking::Say
            }
        }
    }

    /// LINK came. `Quiet` if it was said by a peer that had not heard of our UNLINK.
    pub(super) fn linked(&mut self, pair: Pair, proxy: Pid, place: Option<Place<Pid>>) -> Linking {
        match self.links.get_mut(&pair) {
            Some(Tie { state: State::Unlinking { .. }, .. }) => Linking::Quiet,
            Some(tie) => {
                tie.add(proxy);
                Linking::Say
            }
            None => self.link_at(pair, proxy, place),
        }
    }

    /// Our actor unlinks itself from one that stands for the peer's; the number for UNLINK, if that was the
    /// last one.
    pub(super) fn unlink(&mut self, pair: Pair, proxy: Pid) -> Option<u64> {
        let tie = self.links.get_mut(&pair)?;
        tie.proxies.retain(|known| *known != proxy);
        if !tie.proxies.is_empty() {
            return None;
        }
        match &mut tie.state {
            State::Linked => {
                self.last += 1;
                tie.state = State::Unlinking { id: self.last, again: false };
                Some(self.last)
            }
            State::Unlinking { again, .. } => {
                *again = false;
                None
            }
        }
    }

    /// UNLINK came; who stands for the peer's actor, if there was a link.
    pub(super) fn unlinked(&mut self, pair: Pair) -> Vec<Pid> {
        self.end(pair)
    }

    /// UNLINK_ACK came; whether a LINK is to be said now.
    pub(super) fn acknowledged(&mut self, pair: Pair, number: u64) -> bool {
        let Some(tie) = self.links.get_mut(&pair) else { return false };
        let State::Unlinking { id, again } = tie.state else { return false };
        if id != number {
            return false;
        }
        if again {
            tie.state = State::Linked;
        } else {
            self.links.remove(&pair);
        }
        again
    }

    /// One of the two has ended, here or there; who stands for the peer's actor, if they were linked.
    pub(super) fn end(&mut self, pair: Pair) -> Vec<Pid> {
        let linked = self.links.get(&pair).is_some_and(|tie| matches!(tie.state, State::Linked));
        let tie = if linked { self.links.remove(&pair) } else { None };
        tie.map_or(Vec::new(), |tie| tie.proxies)
    }

    /// The link of the nodes is over: whoever was monitored or linked, in a fixed order.
    pub(super) fn close(&mut self) -> Lost {
        self.closed = true;
        let mut monitors: Vec<_> = std::mem::take(&mut self.monitors).into_iter().collect();
        monitors.sort_unstable_by_key(|(monitor, _)| *monitor);
        let linked = std::mem::take(&mut self.links)
            .into_iter()
            .filter(|(_, tie)| matches!(tie.state, State::Linked | State::Unlinking { again: true, .. }));
        let mut links: Vec<_> =
            linked.flat_map(|(pair, tie)| tie.proxies.into_iter().map(move |proxy| (pair, proxy))).collect();
        links.sort_unstable_by_key(|(pair, proxy)| (pair.near, pair.far, *proxy));
        Lost { monitors, links }
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        self.monitors.len() + self.links.len()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use proptest::prelude::*;

    use super::*;

    fn pid(index: u32) -> Pid {
        Pid::new(1, index).unwrap()
    }

    const fn flip(pair: Pair) -> Pair {
        Pair { near: pair.far, far: pair.near }
    }

    #[derive(Clone, Copy, Debug)]
    enum Word {
        Link,
        Unlink(u64),
        Ack(u64),
        Exit,
    }

    /// One end of a pair: its ties, and whether its actor counts itself linked.
    #[derive(Default)]
    struct End {
        ties: Ties,
        linked: bool,
        /// Exits that its actor was told.
        exits: usize,
    }

    struct World {
        ends: [End; 2],
        lines: [VecDeque<Word>; 2],
    }

    impl World {
        fn pair(side: usize) -> Pair {
            let pair = Pair { near: pid(1), far: pid(2) };
            if side == 0 { pair } else { flip(pair) }
        }

        fn act(&mut self, side: usize, link: bool) {
            let (end, pair) = (&mut self.ends[side], Self::pair(side));
            if end.linked == link {
                return;
            }
            end.linked = link;
            let line = &mut self.lines[1 - side];
            if !link {
                line.extend(end.ties.unlink(pair, pid(9)).map(Word::Unlink));
            } else if end.ties.link(pair, pid(9)) == Linking::Say {
                line.push_back(Word::Link);
            }
        }

        fn hear(&mut self, side: usize) {
            let Some(word) = self.lines[side].pop_front() else { return };
            let (end, pair) = (&mut self.ends[side], Self::pair(side));
            match word {
                Word::Link => end.linked |= end.ties.linked(pair, pid(9), None) == Linking::Say,
                Word::Unlink(id) => {
                    if !end.ties.unlinked(pair).is_empty() {
                        end.linked = false;
                    }
                    self.lines[1 - side].push_back(Word::Ack(id));
                }
                Word::Ack(id) => {
                    if end.ties.acknowledged(pair, id) {
                        self.lines[1 - side].push_back(Word::Link);
                    }
                }
                Word::Exit => {
                    if !end.ties.end(pair).is_empty() {
                        assert!(end.linked, "an EXIT of a link that was removed");
                        end.exits += 1;
                        end.linked = false;
                    }
                }
            }
        }

        /// The actor of `side` ends.
        fn die(&mut self, side: usize) {
            let end = &mut self.ends[side];
            if std::mem::take(&mut end.linked) && !end.ties.end(Self::pair(side)).is_empty() {
                self.lines[1 - side].push_back(Word::Exit);
            }
        }
    }

    proptest! {
        #[test]
        fn s32_both_sides_agree_in_the_end_however_links_and_unlinks_cross(
            moves in proptest::collection::vec((0_usize..2, 0_u8..4), 0..60), dying in 0_usize..2,
        ) {
            let mut world = World { ends: Default::default(), lines: Default::default() };
            for (side, what) in moves {
                match what {
                    0 => world.act(side, true),
                    1 => world.act(side, false),
                    _ => world.hear(side),
                }
            }
            while world.lines.iter().any(|line| !line.is_empty()) {
                (0..2).for_each(|side| world.hear(side));
            }
            prop_assert_eq!(world.ends[0].linked, world.ends[1].linked);
            let linked = world.ends[0].linked;
            world.die(dying);
            world.hear(1 - dying);
            prop_assert_eq!(world.ends[1 - dying].exits, usize::from(linked));
            prop_assert_eq!(world.ends[0].ties.len() + world.ends[1].ties.len(), 0);
        }
    }

    #[test]
    fn s28_what_is_tied_is_told_once_of_the_loss_and_nothing_new_is_taken() {
        let mut ties = Ties::default();
        let pair = |near| Pair { near: pid(near), far: pid(50) };
        for n in [3, 1, 2] {
            assert_eq!(ties.link(pair(n), pid(9)), Linking::Say);
            let watched = Watched { proxy: pid(9), far: pid(50), watcher: None };
            assert!(ties.watch(n.into(), watched).is_ok());
        }
        assert_eq!(ties.unlink(pair(2), pid(9)), Some(1));
        let Lost { monitors, links } = ties.close();
        assert_eq!((monitors.len(), links), (3, vec![(pair(1), pid(9)), (pair(3), pid(9))]));
        assert_eq!(ties.link(pair(4), pid(9)), Linking::Refused);
        assert!(ties.close().links.is_empty());
    }

    #[test]
    fn l20_links_and_monitors_of_one_peer_are_bounded_and_each_that_ends_makes_room() {
        let mut ties = Ties::default();
        let watched = || Watched { proxy: pid(9), far: pid(50), watcher: None };
        let pair = |near| Pair { near: pid(near), far: pid(50) };
        for n in 0..MAX_TIES as u32 {
            assert!(ties.watch(n.into(), watched()).is_ok());
            assert_eq!(ties.link(pair(n), pid(9)), Linking::Say);
        }
        let (last, beyond) = (MAX_TIES as u32, MAX_TIES as u64);
        assert!(ties.watch(beyond, watched()).is_err());
        assert_eq!(ties.link(pair(last), pid(9)), Linking::Refused);
        assert_eq!(ties.linked(pair(last), pid(9), None), Linking::Refused);
        assert!(ties.unwatch(7).is_some() && ties.watch(beyond, watched()).is_ok());
        assert_eq!(ties.end(pair(7)), [pid(9)]);
        assert_eq!(ties.link(pair(last), pid(9)), Linking::Say);
    }

    #[test]
    fn s32_a_pair_that_two_proxies_stand_for_is_one_link_and_each_proxy_is_told() {
        let (mut ties, pair) = (Ties::default(), Pair { near: pid(1), far: pid(50) });
        assert_eq!(ties.link(pair, pid(8)), Linking::Say);
        assert_eq!(ties.link(pair, pid(9)), Linking::Quiet);
        assert_eq!(ties.unlink(pair, pid(8)), None, "the other one still stands");
        assert_eq!(ties.link(pair, pid(8)), Linking::Quiet);
        assert_eq!(ties.end(pair), [pid(9), pid(8)]);
        assert_eq!(ties.unlink(pair, pid(9)), None);
    }
}
