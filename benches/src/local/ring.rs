//! A token that goes round a ring of actors.

use std::sync::mpsc::SyncSender;
use std::time::Instant;

use myrmidon::actor::{Actor, ActorRef, Context, Flow};

use super::{Finish, each, runtime};

const MEMBERS: usize = 100;

/// What the members of a ring are sent.
enum Message {
    /// Who comes next.
    Next(ActorRef<Self>),
    /// The token, with the hops it has made.
    Token(u64),
}

/// Passes the token on, until it has made all its hops.
struct Member {
    next: Option<ActorRef<Message>>,
    hops: u64,
    done: SyncSender<u64>,
}

impl Actor for Member {
    type Msg = Message;

    fn handle(&mut self, message: Message, _: &mut Context<'_>) -> Flow {
        match message {
            Message::Next(next) => self.next = Some(next),
            Message::Token(made) => self.pass(made),
        }
        Flow::Continue
    }
}

impl Member {
    fn pass(&self, made: u64) {
        let next = self.next.as_ref().filter(|_| made < self.hops);
        if next.is_none_or(|next| next.send(Message::Token(made + 1)).is_err()) {
            let _ = self.done.send(made);
        }
    }
}

pub(super) fn run(hops: u64) -> Result<f64, String> {
    time_ring(MEMBERS, hops).map(|begun| each(hops, begun))
}

/// Sends a token on `hops` hops around a ring and returns when that began.
pub(super) fn time_ring(members: usize, hops: u64) -> Result<Instant, String> {
    let rt = runtime()?;
    let finish = Finish::new(1);
    let member = || Member { next: None, hops, done: finish.tell.clone() };
    let ring: Vec<_> = (0..members).map(|_| rt.spawn(member())).collect();
    for (index, member) in ring.iter().enumerate() {
        let next = ring[(index + 1) % members].clone();
        member.send(Message::Next(next)).map_err(|_| "a member of the ring has ended")?;
    }
    let begun = Instant::now();
    ring[0].send(Message::Token(0)).map_err(|_| "a member of the ring has ended")?;
    finish.expect(1, hops)?;
    Ok(begun)
}
