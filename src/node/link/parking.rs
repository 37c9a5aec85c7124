//! Large payloads on their way in, and what waits behind them.
//!
//! BULK stands in the lane for the payload whose chunks come on another one. Until it is complete, the
//! later frames of its receiver are parked; others go on. Chunks are always taken, within the number
//! of payloads that may be under way, so nothing waits for itself.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard};

use bytes::BytesMut;
use tokio::sync::Notify;

use super::bulk::{ASK, MESSAGE, REPLY};
use super::parked::{Parked, weight};
use super::payload::{Part, Payload};
use super::reason::is_kill;
use super::{End, lock};
use crate::config::NodeConfig;
use crate::node::load::{Account, Budget, Load};
use crate::pid::Pid;
use crate::transport::CloseCode;
use crate::wire::level2::{Bulk, Chunk, Frame};

/// Payloads at once that are announced and not complete, or were given up before their BULK was read. No
/// sender queues so many.
const MAX_PAYLOADS: usize = 65_536;

/// Everything that comes in by chunks.
pub(super) struct Parking {
    lot: Mutex<Lot>,
    /// Receivers with a payload outstanding. Changed under the lock; while it is 0 nobody else need
    /// take that.
    busy: AtomicUsize,
    /// A payload was announced.
    pub(super) announced: Notify,
}

pub(super) struct Lot {
    payloads: HashMap<u64, Payload>,
    parked: HashMap<Pid, Parked>,
    /// Payloads whose BULK is parked itself.
    known: HashSet<u64>,
    /// Payloads that were given up before their BULK was read.
    cancelled: HashSet<u64>,
    /// The chunks of all payloads that are in memory.
    kept: Account,
    /// What is parked.
    waiting: Account,
    /// How many bytes may be.
    most_waiting: usize,
    counts: Counts,
}

/// How many there are, so that nobody has to look through all of them for each frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Counts {
    /// Payloads whose BULK was read and is not parked.
    announced: usize,
    /// Payloads of which a part has come.
    started: usize,
    /// Payloads that are complete though their BULK has not been read.
    early: usize,
    /// Messages that are parked.
    parked: usize,
}

impl Parking {
    /// `most_waiting` bytes may be parked.
    pub(super) fn new(budget: Budget, most_waiting: usize) -> Self {
        let lot = Lot {
            payloads: HashMap::new(),
            parked: HashMap::new(),
            known: HashSet::new(),
            cancelled: HashSet::new(),
            kept: Account::new(budget.clone()),
            waiting: Account::new(budget),
            most_waiting,
            counts: Counts::default(),
        };
        Self { lot: Mutex::new(lot), busy: AtomicUsize::new(0), announced: Notify::new() }
    }

    /// Whether no receiver waits for a payload.
    pub(super) fn is_empty(&self) -> bool {
        self.busy.load(Ordering::Acquire) == 0
    }

    /// Parks a frame if its receiver waits for a payload; otherwise hands it back.
    pub(super) fn park(&self, frame: Frame) -> Result<Option<Frame>, End> {
        if self.is_empty() {
            return Ok(Some(frame));
        }
        let lot = &mut *self.lock();
        match frame.to().and_then(|to| lot.parked.get_mut(&to)) {
            Some(parked) if !overtakes(&frame) => {
                if lot.waiting.is_spent() || lot.waiting.load().bytes > lot.most_waiting {
                    return Err(End::overloaded());
                }
                lot.waiting.add(weight(&frame));
                let bulk = if let Frame::Bulk(bulk) = &frame { Some(bulk.bulk) } else { None };
                let before = parked.messages;
                parked.push(frame);
                lot.counts.parked += parked.messages - before;
                if let Some(bulk) = bulk {
                    lot.count(bulk, false);
                    lot.known.insert(bulk);
                    lot.count(bulk, true);
                }
                self.announced.notify_one();
                Ok(None)
            }
            _ => Ok(Some(frame)),
        }
    }

    /// BULK came and is not parked itself; `run` gets the frames that may go on.
    pub(super) fn announce(
        &self,
        bulk: &Bulk,
        max: u64,
        run: &mut dyn FnMut(Frame) -> Result<(), End>,
    ) -> Result<(), End> {
        check(bulk)?;
        let mut lot = self.lock();
        if lot.cancelled.remove(&bulk.bulk) {
            return Ok(());
        }
        if lot.payloads.len() + lot.known.len() >= MAX_PAYLOADS {
            let reason = "too many large payloads are announced".to_owned();
            return Err(End::Refused(CloseCode::CreditViolated, reason));
        }
        lot.count(bulk.bulk, false);
        let payload = lot.payload(bulk.bulk, bulk.to, bulk.total, max)?;
        if payload.announced.replace(bulk.clone()).is_some() {
            return Err(End::malformed("BULK came twice"));
        }
        let complete = payload.is_complete();
        lot.count(bulk.bulk, true);
        if let Some(to) = bulk.to {
            lot.parked.entry(to).or_default();
        }
        self.busy.store(lot.parked.len(), Ordering::Release);
        self.announced.notify_one();
        if complete { self.deliver(&mut lot, bulk.bulk, max, run) } else { Ok(()) }
    }

    /// Lends the payload to which the data of `chunk` belongs, to be read to its end; it comes back by
    /// [`chunk`](Self::chunk). `None` if there is nothing to lend.
    pub(super) fn lend(&self, chunk: &Chunk) -> Option<BytesMut> {
        self.lock().payloads.get_mut(&chunk.bulk)?.lend(chunk.offset)
    }

    /// CHUNK came, with `part` for its data; at most `slots` payloads may be under way.
    pub(super) fn chunk(
        &self,
        chunk: &Chunk,
        part: Part,
        slots: usize,
        max: u64,
        run: &mut dyn FnMut(Frame) -> Result<(), End>,
    ) -> Result<(), End> {
        let mut lot = self.lock();
        let (bulk, to) = (chunk.bulk, chunk.to);
        if chunk.offset == 0 && lot.counts.started >= slots {
            let reason = format!("more than {slots} large payloads under way");
            return Err(End::Refused(CloseCode::CreditViolated, reason));
        }
        // A sender whose payloads take turns never has more under way, those included that are complete
        // and wait for an earlier one.
        if lot.kept.is_spent() {
            return Err(End::overloaded());
        }
        lot.kept.add(part.len());
        if lot.kept.load().bytes as u64 > max.saturating_mul(slots as u64 + 1) {
            return Err(End::Refused(
                CloseCode::CreditViolated,
                "too many large payloads at once".to_owned(),
            ));
        }
        lot.count(bulk, false);
        let payload = lot.payload(bulk, to, chunk.total, max)?;
        payload.add(chunk.offset, part)?;
        let complete = payload.announced.is_some() && payload.is_complete();
        lot.count(bulk, true);
        if complete { self.deliver(&mut lot, bulk, max, run) } else { Ok(()) }
    }

    /// BULK_CANCEL came: the rest of that payload will not. `run` gets the frames that may go on.
    pub(super) fn cancel(
        &self,
        bulk: u64,
        max: u64,
        run: &mut dyn FnMut(Frame) -> Result<(), End>,
    ) -> Result<(), End> {
        let mut lot = self.lock();
        if let Some(payload) = lot.remove(bulk) {
            lot.kept.remove(payload.kept());
            if let Some(Bulk { to, .. }) = payload.announced {
                let next = to.map_or(Ok(None), |to| lot.run_parked(to, max, run))?;
                self.busy.store(lot.parked.len(), Ordering::Release);
                return next.map_or(Ok(()), |bulk| self.deliver(&mut lot, bulk, max, run));
            }
        }
        if lot.cancelled.len() >= MAX_PAYLOADS {
            return Err(End::malformed("BULK_CANCEL for payloads that are never announced"));
        }
        lot.cancelled.insert(bulk);
        Ok(())
    }

    /// Payloads that are complete though their BULK has not been read.
    pub(super) fn early(&self) -> usize {
        self.lock().counts.early
    }

    /// Messages that have come, and are not in their mailboxes yet.
    pub(super) fn outstanding(&self) -> u64 {
        if self.busy.load(Ordering::Acquire) == 0 {
            return 0;
        }
        let Counts { announced, parked, .. } = self.lock().counts;
        (announced + parked) as u64
    }

    /// Whether more is parked for an actor than its mailbox may hold.
    pub(super) fn is_full(&self, pid: Pid, config: &NodeConfig) -> bool {
        if self.is_empty() {
            return false;
        }
        self.lock()
            .parked
            .get(&pid)
            .is_some_and(|parked| parked.len() > config.actor_messages || parked.bytes > config.actor_bytes)
    }

    /// Runs a complete payload as the frame that it is, and what was parked behind it up to the next
    /// BULK. The lock is held meanwhile, so that nothing new overtakes.
    fn deliver(
        &self,
        lot: &mut Lot,
        bulk: u64,
        max: u64,
        run: &mut dyn FnMut(Frame) -> Result<(), End>,
    ) -> Result<(), End> {
        let mut next = Some(bulk);
        while let Some(payload) = next.take().and_then(|bulk| lot.remove(bulk)) {
            let to = payload.to;
            lot.kept.remove(payload.kept());
            run(payload.into_frame())?;
            if let Some(to) = to {
                next = lot.run_parked(to, max, run)?;
            }
        }
        self.busy.store(lot.parked.len(), Ordering::Release);
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Lot> {
        lock(&self.lot)
    }
}

impl Lot {
    /// The payload of that number, a new one if there is none.
    fn payload(&mut self, bulk: u64, to: Option<Pid>, total: u64, max: u64) -> Result<&mut Payload, End> {
        if total > max {
            let reason = format!("a payload of {total} bytes is announced and {max} are accepted");
            return Err(End::Refused(CloseCode::TooLarge, reason));
        }
        let payload = self.payloads.entry(bulk).or_insert_with(|| Payload::new(to, total));
        if payload.is_for(to, total) {
            Ok(payload)
        } else {
            Err(End::malformed("BULK and CHUNK do not agree"))
        }
    }

    /// Counts a payload, or counts it no more: before and after any change of it.
    fn count(&mut self, bulk: u64, there: bool) {
        let Some(payload) = self.payloads.get(&bulk) else { return };
        let (announced, complete) = (payload.announced.is_some(), payload.is_complete());
        let counts = &mut self.counts;
        for (count, is) in [
            (&mut counts.announced, announced),
            (&mut counts.started, payload.has_begun() && !complete),
            (&mut counts.early, complete && !announced && !self.known.contains(&bulk)),
        ] {
            match there {
                true => *count += usize::from(is),
                false => *count -= usize::from(is),
            }
        }
    }

    fn remove(&mut self, bulk: u64) -> Option<Payload> {
        self.count(bulk, false);
        self.payloads.remove(&bulk)
    }

    /// Runs what is parked for `to` up to the next payload; returns that if it is complete already.
    fn run_parked(
        &mut self,
        to: Pid,
        max: u64,
        run: &mut dyn FnMut(Frame) -> Result<(), End>,
    ) -> Result<Option<u64>, End> {
        let Some(mut parked) = self.parked.remove(&to) else { return Ok(None) };
        loop {
            let before = parked.messages;
            let Some(frame) = parked.pop() else { break };
            self.counts.parked -= before - parked.messages;
            self.waiting.remove(Load { messages: 1, bytes: weight(&frame) });
            let Frame::Bulk(bulk) = &frame else {
                run(frame)?;
                continue;
            };
            check(bulk)?;
            self.count(bulk.bulk, false);
            self.known.remove(&bulk.bulk);
            if self.cancelled.remove(&bulk.bulk) {
                self.count(bulk.bulk, true);
                continue;
            }
            let payload = self.payload(bulk.bulk, Some(to), bulk.total, max)?;
            payload.announced = Some(bulk.clone());
            let complete = payload.is_complete();
            let number = bulk.bulk;
            self.count(number, true);
            self.parked.insert(to, parked);
            return Ok(complete.then_some(number));
        }
        Ok(None)
    }
}

/// Whether a BULK may be: an answer may be for nobody in particular, nothing else.
fn check(bulk: &Bulk) -> Result<(), End> {
    match bulk.kind {
        MESSAGE | ASK if bulk.to.is_none() => Err(End::malformed("BULK for nobody")),
        MESSAGE | ASK | REPLY => Ok(()),
        _ => Err(End::Refused(CloseCode::UnknownType, "BULK of an unknown kind".to_owned())),
    }
}

/// An explicit kill waits for nothing.
fn overtakes(frame: &Frame) -> bool {
    matches!(frame, Frame::Exit(exit) if is_kill(exit))
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use bytes::Bytes;
    use proptest::prelude::*;

    use super::*;
    use crate::node::load::Load;
    use crate::wire::level2::Reply;

    const MAX: u64 = 1000;

    fn pid(index: u32) -> Pid {
        Pid::new(1, index).unwrap()
    }

    fn announcement(bulk: u64, to: Pid, total: u64) -> Bulk {
        Bulk { bulk, to: Some(to), kind: 0, rid: 0, from: None, left_ms: u32::MAX, total }
    }

    fn chunk(bulk: u64, to: Pid, total: u64, offset: u64, len: usize) -> Chunk {
        Chunk { bulk, to: Some(to), total, offset, data: Bytes::from(vec![bulk as u8; len]) }
    }

    fn message(to: Pid, n: u8) -> Frame {
        Frame::Message { to: Some(to), data: Bytes::from(vec![n]) }
    }

    /// A parking with a record of what ran: the first byte and the length of each message.
    struct World {
        parking: Parking,
        ran: Vec<(u8, usize)>,
    }

    impl Default for World {
        fn default() -> Self {
            Self { parking: Parking::new(Budget::new(100_000), usize::MAX), ran: Vec::new() }
        }
    }

    impl World {
        /// A frame of a message lane.
        fn lane(&mut self, frame: Frame) {
            let Some(frame) = self.parking.park(frame).unwrap() else { return };
            match frame {
                Frame::Bulk(bulk) => self.parking.announce(&bulk, MAX, &mut note(&mut self.ran)).unwrap(),
                frame => note(&mut self.ran)(frame).unwrap(),
            }
        }

        fn cancel(&mut self, bulk: u64) {
            self.parking.cancel(bulk, MAX, &mut note(&mut self.ran)).unwrap();
        }

        fn chunk(&mut self, chunk: Chunk) -> Result<(), End> {
            let part = Part::Came(chunk.data.clone());
            self.parking.chunk(&chunk, part, 2, MAX, &mut note(&mut self.ran))
        }
    }

    fn note(ran: &mut Vec<(u8, usize)>) -> impl FnMut(Frame) -> Result<(), End> {
        |frame| {
            let Frame::Message { data, .. } = frame else { panic!("{frame:?}") };
            ran.push((data[0], data.len()));
            Ok(())
        }
    }

    #[test]
    fn g2_later_frames_of_the_receiver_wait_and_others_go_on() {
        let mut world = World::default();
        let (a, b) = (pid(1), pid(2));
        world.lane(Frame::Bulk(announcement(7, a, 20)));
        world.lane(message(a, 1));
        world.lane(message(b, 2));
        assert_eq!(world.ran, [(2, 1)]);
        world.chunk(chunk(7, a, 20, 0, 15)).unwrap();
        world.lane(message(a, 3));
        world.chunk(chunk(7, a, 20, 15, 5)).unwrap();
        assert_eq!(world.ran, [(2, 1), (7, 20), (1, 1), (3, 1)]);
        world.lane(message(a, 4));
        assert_eq!(world.ran.last(), Some(&(4, 1)));
        assert!(world.parking.lock().payloads.is_empty());
    }

    #[test]
    fn chunks_that_are_faster_than_their_announcement_wait_for_it() {
        let mut world = World::default();
        let a = pid(1);
        world.chunk(chunk(7, a, 10, 0, 10)).unwrap();
        world.chunk(chunk(8, a, 10, 0, 10)).unwrap();
        assert_eq!((world.ran.len(), world.parking.early()), (0, 2));
        world.lane(message(a, 1));
        world.lane(Frame::Bulk(announcement(7, a, 10)));
        world.lane(Frame::Bulk(announcement(8, a, 10)));
        assert_eq!(world.ran, [(1, 1), (7, 10), (8, 10)]);
    }

    #[test]
    fn payloads_of_one_receiver_keep_their_order_however_their_chunks_come() {
        let mut world = World::default();
        let a = pid(1);
        for (bulk, n) in [(7, 1), (8, 2), (9, 3)] {
            world.lane(Frame::Bulk(announcement(bulk, a, 10)));
            world.lane(message(a, n));
        }
        for bulk in [9, 8, 7] {
            world.chunk(chunk(bulk, a, 10, 0, 10)).unwrap();
            assert_eq!(world.parking.early(), 0, "their announcements were read");
        }
        assert_eq!(world.parking.lock().kept.load(), Load::default());
        assert_eq!(world.ran, [(7, 10), (1, 1), (8, 10), (2, 1), (9, 10), (3, 1)]);
        assert!(world.parking.park(message(a, 1)).unwrap().is_some(), "nothing is outstanding");
    }

    #[test]
    fn g11_more_payloads_at_once_than_there_are_slots_are_refused() {
        let mut world = World::default();
        let a = pid(1);
        assert!(world.chunk(chunk(1, a, 10, 0, 5)).is_ok() && world.chunk(chunk(2, a, 10, 0, 5)).is_ok());
        assert!(matches!(
            world.chunk(chunk(3, a, 10, 0, 5)),
            Err(End::Refused(CloseCode::CreditViolated, _))
        ));
    }

    #[test]
    fn l02_what_contradicts_itself_or_is_too_large_is_refused() {
        let a = pid(1);
        let bad = [
            chunk(7, a, MAX + 1, 0, 1),
            chunk(7, a, 10, 1, 1),
            chunk(7, a, 10, 0, 11),
            chunk(7, a, 10, 0, 0),
        ];
        for chunk in bad {
            assert!(World::default().chunk(chunk).is_err());
        }
        let mut world = World::default();
        world.lane(Frame::Bulk(announcement(7, a, 10)));
        assert!(world.chunk(chunk(7, a, 11, 0, 1)).is_err());
    }

    #[test]
    fn a_payload_that_is_given_up_holds_up_nobody() {
        let mut world = World::default();
        let a = pid(1);
        // Announced, with another behind it, and a message behind both.
        world.lane(Frame::Bulk(announcement(7, a, 20)));
        world.lane(Frame::Bulk(announcement(8, a, 10)));
        world.lane(message(a, 1));
        world.chunk(chunk(7, a, 20, 0, 15)).unwrap();
        world.chunk(chunk(8, a, 10, 0, 10)).unwrap();
        world.cancel(7);
        assert_eq!(world.ran, [(8, 10), (1, 1)]);
        // Given up before its announcement is read, which may be parked itself.
        world.cancel(9);
        world.lane(Frame::Bulk(announcement(9, a, 20)));
        world.lane(message(a, 2));
        world.lane(Frame::Bulk(announcement(10, a, 10)));
        world.cancel(11);
        world.lane(Frame::Bulk(announcement(11, a, 20)));
        world.lane(message(a, 3));
        world.chunk(chunk(10, a, 10, 0, 10)).unwrap();
        assert_eq!(world.ran[2..], [(2, 1), (10, 10), (3, 1)]);
        let lot = world.parking.lock();
        assert!(
            lot.payloads.is_empty()
                && lot.cancelled.is_empty()
                && lot.parked.is_empty()
                && lot.kept.load() == Load::default()
        );
    }

    #[test]
    fn l13_what_is_parked_counts_towards_the_memory_of_the_node() {
        let (parking, a) = (Parking::new(Budget::new(10_000), usize::MAX), pid(1));
        parking.announce(&announcement(7, a, 20), MAX, &mut |_| Ok(())).unwrap();
        let reply = || Frame::Reply(Reply { rid: 1, to: Some(a), data: Bytes::from_static(&[0; 4000]) });
        let parked = (0..100).take_while(|_| parking.park(reply()).is_ok()).count();
        assert_eq!(parked, 3, "answers need no credit");
    }

    /// What a sender puts into the lane of its receivers.
    #[derive(Clone, Copy, Debug)]
    enum Item {
        Small(u32),
        Large(u32, usize),
    }

    fn item() -> impl Strategy<Value = Item> {
        prop_oneof![
            (0u32..3).prop_map(Item::Small),
            (0u32..3, 1usize..40).prop_map(|(to, len)| Item::Large(to, len)),
        ]
    }

    proptest! {
        /// Lane and chunks may come in any order that a sender with two slots can cause.
        #[test]
        fn g2_payloads_and_messages_of_one_receiver_come_in_their_order(
            items in proptest::collection::vec(item(), 0..20),
            order in proptest::collection::vec(0usize..3, 400),
        ) {
            let mut world = World::default();
            let mut lane: VecDeque<(usize, Item)> = items.iter().copied().enumerate().collect();
            // Announced payloads: number, receiver, length, what is sent. Two of them take turns.
            let mut sending: VecDeque<(usize, u32, usize, usize)> = VecDeque::new();
            let mut expected: [Vec<(u8, usize)>; 3] = Default::default();
            let mut order = order.into_iter().chain(std::iter::repeat(0));
            // The lane is written before the chunks that it announces, and read at any time later.
            let mut written: VecDeque<Frame> = VecDeque::new();
            while !(lane.is_empty() && sending.is_empty() && written.is_empty()) {
                match order.next().unwrap() {
                    0 if !lane.is_empty() => {
                        let (n, item) = lane.pop_front().unwrap();
                        match item {
                            Item::Small(to) => {
                                expected[to as usize].push((n as u8, 1));
                                written.push_back(message(pid(to), n as u8));
                            }
                            Item::Large(to, len) => {
                                expected[to as usize].push((n as u8, len));
                                written.push_back(Frame::Bulk(announcement(n as u64, pid(to), len as u64)));
                                sending.push_back((n, to, len, 0));
                            }
                        }
                    }
                    // As `Inlet` does, which waits while too much is early.
                    1 if !sending.is_empty() && world.parking.early() <= 2 => {
                        let (n, to, len, sent) = sending.pop_front().unwrap();
                        let more = (len - sent).min(17);
                        let piece = chunk(n as u64, pid(to), len as u64, sent as u64, more);
                        prop_assert!(world.chunk(piece).is_ok());
                        if sent + more < len {
                            sending.insert(sending.len().min(1), (n, to, len, sent + more));
                        }
                    }
                    _ => {
                        if let Some(frame) = written.pop_front() {
                            world.lane(frame);
                        } else if let Some(first) = sending.pop_front() {
                            let (n, to, len, sent) = first;
                            let piece = chunk(n as u64, pid(to), len as u64, sent as u64, len - sent);
                            prop_assert!(world.chunk(piece).is_ok());
                        }
                    }
                }
            }
            let receiver = |n: u8| match items[usize::from(n)] {
                Item::Small(to) | Item::Large(to, _) => to as usize,
            };
            for (to, expected) in expected.iter().enumerate() {
                let came: Vec<_> = world.ran.iter().copied().filter(|(n, _)| receiver(*n) == to).collect();
                prop_assert_eq!(&came, expected);
            }
            prop_assert_eq!(world.parking.outstanding(), 0);
            prop_assert_eq!(world.parking.lock().counts, Counts::default());
            prop_assert_eq!(world.parking.lock().kept.load(), Load::default());
        }
    }
}
