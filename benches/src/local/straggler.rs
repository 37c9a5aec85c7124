//! What a message that stays unread holds, when those sent around it have been read: its node alone, or
//! the memory of all of them.

use std::thread;

use myrmidon::actor::{ActorRef, AsyncActor, Flow, SpawnOptions};
use myrmidon::{Pid, Runtime};

use super::count::Counter;
use super::{Finish, LIMIT, resident, runtime, wait_until};

/// Messages that are read, for each that is not.
const READ: u64 = 62;
/// The same of a thread that sends a few and ends.
const READ_OF_A_THREAD: u64 = 8;

/// Never comes back from its first message.
struct Hoarder;

impl AsyncActor for Hoarder {
    type Msg = u64;

    async fn handle(&mut self, _: u64, _: Pid) -> Flow {
        std::future::pending().await
    }
}

pub(super) fn run(unread: u64) -> Result<f64, String> {
    measure(unread, READ, |rt, reader, hoarder| {
        (0..unread).all(|number| {
            // The reader keeps up, or the most that ever waited for it would be measured too.
            let keeps_up = number % 64 != 0 || wait_until(LIMIT, || rt.mailbox_size(reader.pid()) == Some(0));
            keeps_up && send_some(reader, hoarder, number, READ)
        })
    })
}

/// Each message from a thread of its own.
pub(super) fn threads(unread: u64) -> Result<f64, String> {
    measure(unread, READ_OF_A_THREAD, |_, reader, hoarder| {
        (0..unread).all(|number| {
            let (reader, hoarder) = (reader.clone(), hoarder.clone());
            let sender = move || send_some(&reader, &hoarder, number, READ_OF_A_THREAD);
            thread::spawn(sender).join().unwrap_or_default()
        })
    })
}

fn send_some(reader: &ActorRef<u64>, hoarder: &ActorRef<u64>, number: u64, read: u64) -> bool {
    (0..read).all(|_| reader.send(number).is_ok()) && hoarder.send(number).is_ok()
}

/// Bytes of memory for each message that is left unread by what `send` does.
fn measure(
    unread: u64,
    read: u64,
    send: impl FnOnce(&Runtime, &ActorRef<u64>, &ActorRef<u64>) -> bool,
) -> Result<f64, String> {
    let rt = runtime()?;
    let finish = Finish::new(1);
    let reader = rt.spawn(Counter::after(unread * read, finish.tell.clone()));
    let hoarder = hoarder(&rt)?;
    let before = resident()?;
    if !send(&rt, &reader, &hoarder) {
        return Err("an actor has ended".to_owned());
    }
    finish.expect(1, unread * read)?;
    let left = rt.mailbox_size(hoarder.pid());
    if left != usize::try_from(unread).ok() {
        return Err(format!("{left:?} messages are unread of {unread}"));
    }
    Ok(resident()?.saturating_sub(before) as f64 / unread as f64)
}

/// A hoarder that has begun with its first message.
fn hoarder(rt: &Runtime) -> Result<ActorRef<u64>, String> {
    let hoarder = rt.spawn_async(Hoarder, SpawnOptions::default());
    hoarder.send(0).map_err(|error| error.to_string())?;
    let begun = || rt.mailbox_size(hoarder.pid()) == Some(0);
    wait_until(LIMIT, begun).then(|| hoarder.clone()).ok_or_else(|| "the hoarder has not begun".to_owned())
}
