//! A hundred chameneos that meet in pairs in one mall and change their colours (Savina's chameneos).

use std::sync::mpsc::SyncSender;
use std::time::Instant;

use myrmidon::actor::{Actor, ActorRef, Context, Flow};

use super::{Finish, each, runtime};

const CHAMENEOS: usize = 100;

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Colour {
    Yellow,
    Blue,
    Red,
}

impl Colour {
    /// The colours of the first chameneos, the second and so on.
    pub(crate) fn of(number: usize) -> Self {
        [Self::Yellow, Self::Blue, Self::Red][number % 3]
    }

    /// What both become who meet: the third colour, or the same where both have it.
    pub(crate) fn complement(self, other: Self) -> Self {
        match (self, other) {
            (one, two) if one == two => one,
            (Self::Yellow, Self::Blue) | (Self::Blue, Self::Yellow) => Self::Red,
            (Self::Yellow, Self::Red) | (Self::Red, Self::Yellow) => Self::Blue,
            _ => Self::Yellow,
        }
    }
}

/// What a chameneos is told.
enum Told {
    /// The mall opens; and who is told.
    Begin(ActorRef<Visit>, ActorRef<Self>),
    /// Another one is in the mall, with this colour.
    Meet(Colour, ActorRef<Self>),
    /// The colour after a meeting.
    Change(Colour),
    /// The mall is closed.
    Closed,
}

/// Somebody of this colour has come to the mall.
struct Visit(Colour, ActorRef<Told>);

/// Brings each visitor together with the next. A pair leaves it empty, so nobody waits when it closes.
struct Mall {
    meetings_left: u64,
    waiting: Option<ActorRef<Told>>,
}

impl Actor for Mall {
    type Msg = Visit;

    fn handle(&mut self, Visit(colour, visitor): Visit, _: &mut Context<'_>) -> Flow {
        if self.meetings_left == 0 {
            let _ = visitor.send(Told::Closed);
        } else if let Some(waiting) = self.waiting.take() {
            self.meetings_left -= 1;
            let _ = waiting.send(Told::Meet(colour, visitor));
        } else {
            self.waiting = Some(visitor);
        }
        Flow::Continue
    }
}

struct Chameneos {
    colour: Colour,
    known: Option<(ActorRef<Visit>, ActorRef<Told>)>,
    meetings: u64,
    done: SyncSender<u64>,
}

impl Actor for Chameneos {
    type Msg = Told;

    fn handle(&mut self, told: Told, _: &mut Context<'_>) -> Flow {
        match told {
            Told::Begin(mall, me) => self.known = Some((mall, me)),
            Told::Meet(colour, other) => {
                self.meet(self.colour.complement(colour));
                let _ = other.send(Told::Change(self.colour));
            }
            Told::Change(colour) => self.meet(colour),
            Told::Closed => {
                let _ = self.done.send(self.meetings);
                return Flow::Continue;
            }
        }
        self.visit();
        Flow::Continue
    }
}

impl Chameneos {
    fn meet(&mut self, colour: Colour) {
        self.colour = colour;
        self.meetings += 1;
    }

    fn visit(&self) {
        if let Some((mall, me)) = &self.known {
            let _ = mall.send(Visit(self.colour, me.clone()));
        }
    }
}

pub(super) fn run(meetings: u64) -> Result<f64, String> {
    let rt = runtime()?;
    let finish = Finish::new(CHAMENEOS);
    let chameneos = |number| Chameneos {
        colour: Colour::of(number),
        known: None,
        meetings: 0,
        done: finish.tell.clone(),
    };
    let mall = rt.spawn(Mall { meetings_left: meetings, waiting: None });
    let all: Vec<_> = (0..CHAMENEOS).map(|number| rt.spawn(chameneos(number))).collect();
    let begun = Instant::now();
    for one in &all {
        one.send(Told::Begin(mall.clone(), one.clone())).map_err(|_| "a chameneos has ended")?;
    }
    // Two take part in each meeting.
    finish.expect(CHAMENEOS, 2 * meetings)?;
    Ok(each(meetings, begun))
}
