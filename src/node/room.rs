//! Waiting for room in the queue to another node (L10).

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::Notify;

use super::askers::Stay;
use super::link::{Question, Unasked};
use super::outbound::Refusal;

/// Those that wait for room in one queue.
#[derive(Default)]
pub(super) struct Room {
    /// There is room again; woken one by one, each wakes the next while there is room.
    room: Notify,
    /// An actor that did not keep up has caught up, or the link is gone.
    released: Arc<Notify>,
}

impl Room {
    /// There is room for one, who sees whether there is more.
    pub(super) fn wake_one(&self) {
        self.room.notify_one();
    }

    /// There may be room for receivers for which there was none.
    pub(super) fn release(&self) {
        self.released.notify_waiters();
    }

    /// What [`release`](Self::release) does, for who tells of receivers by itself.
    pub(super) fn released(&self) -> &Arc<Notify> {
        &self.released
    }

    /// There is none any more, or all of it again.
    pub(super) fn wake_all(&self) {
        self.room.notify_waiters();
        self.released.notify_waiters();
    }

    /// Has `offer` take a message as soon as there is room, and tries it a last time at the `deadline`. `wake_next`
    /// passes the news of room on, if it is enough for that many bytes.
    pub(super) async fn send(
        &self,
        deadline: impl Future,
        mut message: Bytes,
        offer: impl Fn(Bytes) -> Result<(), (Refusal, Bytes)>,
        wake_next: impl Fn(usize),
    ) -> Result<(), (Refusal, Bytes)> {
        let len = message.len();
        let mut deadline = pin!(deadline);
        loop {
            let (room, mut released) = (self.room.notified(), pin!(self.released.notified()));
            // Woken all at once, so it must wait before it looks.
            released.as_mut().enable();
            let refusal = match offer(message) {
                Err((refusal @ (Refusal::Busy | Refusal::Held), back)) => {
                    message = back;
                    if refusal == Refusal::Held {
                        // It may have been woken in place of one for which there is room.
                        wake_next(len);
                    }
                    refusal
                }
                done => {
                    wake_next(len);
                    return done;
                }
            };
            tokio::select! {
                biased;
                () = room, if refusal == Refusal::Busy => {}
                () = released, if refusal == Refusal::Held => {}
                _ = &mut deadline => return offer(message),
            }
        }
    }

    /// Puts a question as soon as there is room, with `ask`, which hands it back while there is none. `wake_next` as
    /// in [`send`](Self::send).
    pub(super) async fn ask(
        &self,
        ask: impl Fn(Bytes, Question) -> Result<(), Unasked>,
        stay: Stay,
        mut unasked: Unasked,
        wake_next: impl Fn(usize),
    ) {
        let len = unasked.data.len();
        loop {
            let (room, mut released) = (self.room.notified(), pin!(self.released.notified()));
            // Woken all at once, so it must wait before it looks.
            released.as_mut().enable();
            if stay.is_next() {
                match ask(unasked.data, unasked.question) {
                    Ok(()) => break,
                    Err(back) => unasked = back,
                }
            } else {
                unasked.refusal = Refusal::Held;
            }
            let goes_on = match unasked.refusal {
                Refusal::Busy => stay.wait(room, &mut unasked.question).await,
                Refusal::Held => {
                    // It may have been woken in place of one for which there is room.
                    wake_next(len);
                    stay.wait(released, &mut unasked.question).await
                }
                _ => false,
            };
            if !goes_on {
                stay.give_up(unasked);
                break;
            }
        }
        // Who stands behind it in its line looks again.
        drop(stay);
        self.release();
        wake_next(len);
    }
}
