//! Messages to and fro: ping-pong, ring and chameneos.

use std::sync::mpsc::SyncSender;
use std::time::Instant;

use crate::local::{Colour, Finish, each};
use crate::measure::Figures;
use crate::peers::rust::library::{Library, Next, Script, Threads};

const CHAMENEOS: usize = 100;

/// What the members of a ring are sent.
enum Message<L: Library> {
    /// Who comes next.
    Next(L::Ref<Member<L>>),
    /// The token, with the hops it has made.
    Token(u64),
}

/// Passes the token on, until it has made all its hops.
struct Member<L: Library> {
    next: Option<L::Ref<Self>>,
    hops: u64,
    done: SyncSender<u64>,
}

impl<L: Library> Script<L> for Member<L> {
    type Msg = Message<L>;

    fn handle(&mut self, message: Message<L>, _: impl FnOnce() -> L::Ref<Self>) -> Next {
        match message {
            Message::Next(next) => self.next = Some(next),
            Message::Token(made) => self.pass(made),
        }
        Next::Go
    }
}

impl<L: Library> Member<L> {
    fn pass(&self, made: u64) {
        let next = self.next.as_ref().filter(|_| made < self.hops);
        if next.is_none_or(|next| !L::tell(next, Message::Token(made + 1))) {
            let _ = self.done.send(made);
        }
    }
}

pub(super) fn ping_pong<L: Library>(round_trips: u64) -> Result<f64, String> {
    super::one(time_ring::<L>(2, round_trips * 2, round_trips))
}

pub(super) fn ring<L: Library>(hops: u64) -> Result<f64, String> {
    super::one(time_ring::<L>(100, hops, hops))
}

fn time_ring<L: Library>(members: usize, hops: u64, work: u64) -> Figures {
    L::with(Threads::One, |lib| {
        let finish = Finish::new(1);
        let member = |_| lib.spawn(Member::<L> { next: None, hops, done: finish.tell.clone() });
        let ring: Vec<_> = (0..members).map(member).collect();
        for (index, member) in ring.iter().enumerate() {
            super::sent(L::tell(member, Message::Next(ring[(index + 1) % members].clone())))?;
        }
        let begun = Instant::now();
        super::sent(L::tell(&ring[0], Message::Token(0)))?;
        finish.expect(1, hops)?;
        Ok(vec![each(work, begun)])
    })
}

/// What a chameneos is told.
enum Told<L: Library> {
    /// The mall opens.
    Begin(L::Ref<Mall<L>>),
    /// Another one is in the mall, with this colour.
    Meet(Colour, L::Ref<Chameneos<L>>),
    /// The colour after a meeting.
    Change(Colour),
    /// The mall is closed.
    Closed,
}

/// Somebody of this colour has come to the mall.
struct Visit<L: Library>(Colour, L::Ref<Chameneos<L>>);

/// Brings each visitor together with the next.
struct Mall<L: Library> {
    meetings_left: u64,
    waiting: Option<L::Ref<Chameneos<L>>>,
}

impl<L: Library> Script<L> for Mall<L> {
    type Msg = Visit<L>;

    fn handle(&mut self, Visit(colour, visitor): Visit<L>, _: impl FnOnce() -> L::Ref<Self>) -> Next {
        if self.meetings_left == 0 {
            L::tell(&visitor, Told::Closed);
        } else if let Some(waiting) = self.waiting.take() {
            self.meetings_left -= 1;
            L::tell(&waiting, Told::Meet(colour, visitor));
        } else {
            self.waiting = Some(visitor);
        }
        Next::Go
    }
}

struct Chameneos<L: Library> {
    colour: Colour,
    mall: Option<L::Ref<Mall<L>>>,
    meetings: u64,
    done: SyncSender<u64>,
}

impl<L: Library> Script<L> for Chameneos<L> {
    type Msg = Told<L>;

    fn handle(&mut self, told: Told<L>, me: impl FnOnce() -> L::Ref<Self>) -> Next {
        match told {
            Told::Begin(mall) => self.mall = Some(mall),
            Told::Meet(colour, other) => {
                self.meet(self.colour.complement(colour));
                L::tell(&other, Told::Change(self.colour));
            }
            Told::Change(colour) => self.meet(colour),
            Told::Closed => {
                let _ = self.done.send(self.meetings);
                return Next::Go;
            }
        }
        if let Some(mall) = &self.mall {
            L::tell(mall, Visit(self.colour, me()));
        }
        Next::Go
    }
}

impl<L: Library> Chameneos<L> {
    fn meet(&mut self, colour: Colour) {
        self.colour = colour;
        self.meetings += 1;
    }
}

pub(super) fn chameneos<L: Library>(meetings: u64) -> Result<f64, String> {
    super::one(L::with(Threads::One, |lib| {
        let finish = Finish::new(CHAMENEOS);
        let chameneos = |number| {
            let (colour, done) = (Colour::of(number), finish.tell.clone());
            lib.spawn(Chameneos::<L> { colour, mall: None, meetings: 0, done })
        };
        let mall = lib.spawn(Mall::<L> { meetings_left: meetings, waiting: None });
        let all: Vec<_> = (0..CHAMENEOS).map(chameneos).collect();
        let begun = Instant::now();
        for one in &all {
            super::sent(L::tell(one, Told::Begin(mall.clone())))?;
        }
        // Two take part in each meeting.
        finish.expect(CHAMENEOS, 2 * meetings)?;
        Ok(vec![each(meetings, begun)])
    }))
}
