//! Whatever is spared and released when, what is for one actor leaves in its order.

use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::wire::level2::{Decoder, Link};

const ACTORS: u32 = 3;
const WINDOW: u64 = 6;

#[derive(Clone, Copy, Debug)]
enum Op {
    /// A message of so many bytes.
    Send(u32, usize),
    /// One that is taken whatever the bounds, as those that waited for the connection.
    Admit(u32, usize),
    /// A frame that uses no credit.
    Signal(u32),
    Hold(u32),
    Release(u32),
    Write,
    Credit,
}

fn op() -> impl Strategy<Value = Op> {
    let actor = 0..ACTORS;
    // Four of the longer ones are more than waits in the order of sending.
    let len = prop_oneof![Just(8_usize), Just(20_000)];
    prop_oneof![
        8 => (actor.clone(), len.clone()).prop_map(|(to, len)| Op::Send(to, len)),
        4 => (actor.clone(), len).prop_map(|(to, len)| Op::Admit(to, len)),
        2 => actor.clone().prop_map(Op::Signal),
        2 => actor.clone().prop_map(Op::Hold),
        2 => actor.prop_map(Op::Release),
        3 => Just(Op::Write),
        2 => Just(Op::Credit),
    ]
}

struct World {
    out: Outgoing,
    credit: u64,
    decoder: Decoder,
    /// The numbers of what was queued and of what left, and how many were queued when each was to be spared.
    queued: Vec<Vec<u64>>,
    left: Vec<Vec<u64>>,
    since: Vec<Option<usize>>,
}

impl World {
    fn new(lanes: u8) -> Self {
        let most = Load { messages: 16, bytes: 1 << 20 };
        let allowance = Allowance::new(WINDOW, 1 << 30);
        let out = Outgoing::new(most, (lanes, 0), 1 << 20, allowance, Budget::new(usize::MAX));
        let each = || vec![Vec::new(); ACTORS as usize];
        let (queued, left, since) = (each(), each(), vec![None; ACTORS as usize]);
        Self { out, credit: WINDOW, decoder: Decoder::new(1 << 20), queued, left, since }
    }

    fn write(&mut self) {
        let mut batch = Batch::new();
        for lane in 0..self.out.lanes.len() {
            let load = self.out.fill(lane, &mut batch, BATCH, Instant::now());
            self.out.written(lane, load);
        }
        self.decoder.feed(batch.take().concat().into());
        while let Some(frame) = self.decoder.next_frame().unwrap() {
            let to = frame.to().unwrap().index() as usize;
            let number = match &frame {
                Frame::Message { data, .. } => {
                    let most = self.since[to].unwrap_or(usize::MAX);
                    assert!(self.left[to].len() < most, "a later message for a spared actor");
                    u64::from_be_bytes(data[..8].try_into().unwrap())
                }
                Frame::Link(link) => link.from.unwrap().index().into(),
                other => panic!("{other:?}"),
            };
            self.left[to].push(number);
        }
    }

    fn run(&mut self, number: u64, op: Op) {
        let pid = |index| Pid::new(1, index).unwrap();
        match op {
            Op::Send(to, len) => {
                if self.out.push_message(pid(to), data(number, len)).is_ok() {
                    self.queued[to as usize].push(number);
                }
            }
            Op::Admit(to, len) => {
                self.out.admit(pid(to), data(number, len));
                self.queued[to as usize].push(number);
            }
            Op::Signal(to) => {
                let from = Some(pid(number as u32));
                self.out.push(Some(pid(to)), Frame::Link(Link { to: Some(pid(to)), from })).unwrap();
                self.queued[to as usize].push(number);
            }
            Op::Hold(pid_of) => {
                assert!(self.out.hold(pid(pid_of)));
                let queued = self.queued[pid_of as usize].len();
                self.since[pid_of as usize].get_or_insert(queued);
            }
            Op::Release(pid_of) => {
                self.out.release(pid(pid_of));
                self.since[pid_of as usize] = None;
            }
            Op::Write => self.write(),
            Op::Credit => {
                self.credit += 3;
                self.out.credit(&Credit { msgs: self.credit, bytes: 1 << 30, received: 0 });
            }
        }
    }
}

fn data(number: u64, len: usize) -> Bytes {
    let mut data = number.to_be_bytes().to_vec();
    data.resize(len, 0);
    Bytes::from(data)
}

proptest! {
    #[test]
    fn l12_g2_sparing_and_releasing_keep_the_order_and_lose_nothing(
        lanes in 0..3_u8, ops in proptest::collection::vec(op(), 0..120),
    ) {
        let mut world = World::new(lanes);
        (0..).zip(ops).for_each(|(number, op)| world.run(number, op));
        (0..ACTORS).for_each(|actor| world.run(0, Op::Release(actor)));
        for _ in 0..100 {
            world.run(0, Op::Credit);
            world.write();
        }
        prop_assert_eq!(&world.left, &world.queued);
        prop_assert_eq!(world.out.load(), Load::default());
    }
}
