//! Receivers for which much waits, and those that the peer asks to spare.

use super::Outgoing;
use crate::node::outbound::Load;
use crate::pid::Pid;

/// One receiver may have this part waiting of the room that is left, and those that are spared this part of all.
const SHARE: usize = 2;

/// Actors of one peer that are spared at once.
const MAX_SPARED: usize = 65_536;

impl Outgoing {
    /// The peer asks to spare an actor: what comes for it is held back, and what waits already, unless that is
    /// more than all that are spared may have. Then as much of it as the peer's window still goes: the room that it
    /// takes belongs to the other actors of the peer. `false` if the peer has far too many spared.
    pub(crate) fn hold(&mut self, pid: Pid) -> bool {
        if self.closed {
            return true;
        }
        let spared: usize = self.lanes.iter().map(|lane| lane.spared()).sum();
        let lane = self.lane_of(Some(pid));
        let most = self.left_to_spared();
        let window = self.allowance.window();
        let added = self.lanes[lane].spare(pid, most, window);
        !added || spared < MAX_SPARED
    }

    /// The actor has caught up; returns the lane in which what was held back goes on.
    pub(crate) fn release(&mut self, pid: Pid) -> usize {
        let lane = self.lane_of(Some(pid));
        self.lanes[lane].release(pid);
        lane
    }

    /// Whether so much waits for `to` that a message of `len` bytes would leave too little room to the others. Whoever
    /// hears that is told when there is room again ([`take_relieved`](Self::take_relieved)).
    pub(super) fn is_full_for(&mut self, to: Pid, len: usize) -> bool {
        let lane = self.lane_of(Some(to));
        let mut left = self.most;
        left.remove(self.load());
        let mut share_of_one = share(left);
        if let Some(own) = self.lanes[lane].held_for(to)
            && own != self.held()
        {
            let left = self.left_to_spared();
            if left.messages == 0 || left.bytes < len {
                return true;
            }
            share_of_one = share(left);
        }
        self.lanes[lane].is_full(to, len, share_of_one)
            || (self.is_bulk(len) && self.bulk.is_full(to, len, share_of_one.bytes))
    }

    /// How much more may wait for actors that are spared. However many do not keep up, the others have the rest.
    fn left_to_spared(&self) -> Load {
        let mut left = share(self.most);
        left.remove(self.held());
        left
    }

    fn held(&self) -> Load {
        let mut held = Load::default();
        self.lanes.iter().for_each(|lane| held.add(lane.held()));
        held
    }

    /// Whether there is room again for a receiver for which somebody was turned away.
    pub(crate) fn take_relieved(&mut self) -> bool {
        std::mem::take(&mut self.relieved)
    }
}

const fn share(Load { messages, bytes }: Load) -> Load {
    Load { messages: messages / SHARE, bytes: bytes / SHARE }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use bytes::Bytes;

    use super::*;
    use crate::node::link::credit::Allowance;
    use crate::node::load::Budget;
    use crate::node::outbound::Refusal;
    use crate::wire::Batch;

    const LEN: usize = 1000;

    #[test]
    fn l12_however_many_do_not_read_half_of_the_room_is_left_to_the_others() {
        let most = Load { messages: 1000, bytes: 100 * LEN };
        let allowance = Allowance::new(100_000, 1 << 30);
        let mut out = Outgoing::new(most, (2, 0), 1 << 20, allowance, Budget::new(usize::MAX));
        let data = || Bytes::from(vec![0; LEN]);
        let dead = |n| Pid::new(1, n).unwrap();
        for n in 0..100 {
            // As much as is taken before the wish to spare it comes, and after that.
            while out.push_message(dead(n), data()).is_ok() {}
            out.hold(dead(n));
            for lane in 1..=2 {
                let load = out.fill(lane, &mut Batch::new(), usize::MAX, Instant::now());
                out.written(lane, load);
            }
            while out.push_message(dead(n), data()).is_ok() {}
            assert!(out.load().bytes <= 50 * LEN, "{n}: {:?}", out.load());
        }
        let other = Pid::new(1, 1000).unwrap();
        assert!(out.push_message(other, Bytes::from(vec![0; 40 * LEN])).is_ok());
        for n in 0..100 {
            out.release(dead(n));
        }
        for lane in [1, 2, 1, 2] {
            let load = out.fill(lane, &mut Batch::new(), usize::MAX, Instant::now());
            out.written(lane, load);
        }
        assert_eq!(out.load(), Load::default());
        assert!(out.lanes.iter().all(|lane| lane.held() == Load::default()));
    }

    #[test]
    fn l10_who_waits_behind_nothing_but_what_is_spared_is_told_when_a_payload_leaves_room() {
        let most = Load { messages: 100, bytes: 10 * LEN };
        let allowance = Allowance::new(100, 1 << 20);
        let mut out = Outgoing::new(most, (1, 2), LEN / 2, allowance, Budget::new(usize::MAX));
        let to = Pid::new(1, 1).unwrap();
        let send = |out: &mut Outgoing| out.push_message(to, Bytes::from(vec![0; LEN]));
        let write = |out: &mut Outgoing, lane| {
            let load = out.fill(lane, &mut Batch::new(), usize::MAX, Instant::now());
            out.written(lane, load);
            load.messages
        };
        send(&mut out).unwrap();
        assert_eq!(write(&mut out, 1), 0, "it is announced");
        out.hold(to);
        (0..2).for_each(|_| assert!(send(&mut out).is_ok()));
        assert!(matches!(send(&mut out), Err((Refusal::Held, _))), "three of seven that are left");
        write(&mut out, 1);
        assert!(!out.take_relieved(), "nothing is gone");
        let bulk = out.bulk_lane();
        assert_eq!(write(&mut out, bulk), 1);
        assert!(
            out.take_relieved() && send(&mut out).is_ok(),
            "two of eight are left, and go when the actor has caught up"
        );
    }
}
