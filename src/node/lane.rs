//! A lane to a peer while it is open: the writer drains the queue, the reader matches the answers.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::time::timeout;

use super::error::Breakage;
use super::peer::{Peer, Reply};
use super::progress;
use crate::transport::{Lane, LaneReceiver, LaneSender};
use crate::wire::{Answer, AnswerError, Answers, Batch, STEP};

/// How long a goodbye waits for the peer's own.
const GOODBYE: Duration = Duration::from_secs(2);

/// How a lane ended.
pub(super) enum Ended {
    /// In good order, with nothing half done.
    Rested,
    /// Anything else.
    Broke(Breakage),
}

/// The two directions of a data lane share what is outstanding.
pub(super) struct DataLane<'a> {
    peer: &'a Peer,
    answers: Mutex<Answers<Reply>>,
    writing: AtomicBool,
    /// Something was written.
    used: AtomicBool,
}

impl<'a> DataLane<'a> {
    pub(super) fn new(peer: &'a Peer) -> Self {
        Self {
            peer,
            answers: Mutex::new(Answers::new()),
            writing: AtomicBool::new(false),
            used: AtomicBool::new(false),
        }
    }

    /// Carries what is queued until the lane ends, or until the node drains and the queue is empty.
    ///
    /// The writer is polled first, so a lane that ends as soon as it is opened still takes what was
    /// queued: a peer that always closes cannot make us dial in circles.
    pub(super) async fn run(&self, (mut sender, mut receiver): Lane) -> Ended {
        let breakage = tokio::select! {
            biased;
            written = self.write(sender.as_mut()) => match written {
                Ok(()) => return self.finish(sender.as_mut(), receiver.as_mut()).await,
                Err(breakage) => breakage,
            },
            read = self.read(receiver.as_mut()) => match read {
                Ok(()) if self.is_at_rest() => return rest(sender.as_mut()).await,
                Ok(()) => Breakage::closed(),
                Err(breakage) => breakage,
            },
        };
        Ended::Broke(breakage)
    }

    /// The resolves that were written and never answered.
    pub(super) fn abandon(&self) -> Vec<Reply> {
        self.answers().abandon().collect()
    }

    /// Whether anything was written.
    pub(super) fn was_used(&self) -> bool {
        self.used.load(Ordering::Relaxed)
    }

    /// Writes batches; returns when the node drains and everything is written.
    async fn write(&self, sender: &mut dyn LaneSender) -> Result<(), Breakage> {
        let mut batch = Batch::new();
        loop {
            let load = self.peer.fill(&mut batch, &mut self.answers());
            if batch.is_empty() {
                if !self.peer.more_work().await {
                    return Ok(());
                }
                continue;
            }
            self.writing.store(true, Ordering::Relaxed);
            match progress::write(sender, &mut batch.take()).await {
                Ok(written) => written?,
                Err(stalled) => return Err(Breakage::unproven(stalled.to_string())),
            }
            self.writing.store(false, Ordering::Relaxed);
            self.used.store(true, Ordering::Relaxed);
            self.peer.written(load);
        }
    }

    /// Reads answers; returns at the end of the stream.
    async fn read(&self, receiver: &mut dyn LaneReceiver) -> Result<(), Breakage> {
        while let Some(mut bytes) = receiver.read(STEP).await? {
            if let Err(error) = self.take_answers(&mut bytes) {
                receiver.stop(error.code());
                return Err(Breakage::unproven(error.to_string()));
            }
        }
        Ok(())
    }

    fn take_answers(&self, bytes: &mut Bytes) -> Result<(), AnswerError> {
        loop {
            let next = self.answers().next_answer(bytes)?;
            match next {
                Some((reply, Answer::Resolved(pid))) => self.peer.answer(reply, pid),
                // Only resolves are asked on this lane.
                Some((_, Answer::Pong)) => {}
                None => return Ok(()),
            }
        }
    }

    /// Says goodbye: finishes our direction and waits for the peer to finish its own, which it does
    /// when it has read everything.
    async fn finish(&self, sender: &mut dyn LaneSender, receiver: &mut dyn LaneReceiver) -> Ended {
        let goodbye = async {
            sender.finish().await?;
            self.read(receiver).await
        };
        match timeout(GOODBYE, goodbye).await {
            Ok(Ok(())) => Ended::Rested,
            Ok(Err(breakage)) => Ended::Broke(breakage),
            Err(_) => {
                Ended::Broke(Breakage::unproven(format!("the peer did not end its side within {GOODBYE:?}")))
            }
        }
    }

    fn is_at_rest(&self) -> bool {
        !self.writing.load(Ordering::Relaxed) && self.answers().is_empty()
    }

    fn answers(&self) -> MutexGuard<'_, Answers<Reply>> {
        self.answers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The peer has ended a lane that was at rest: ends our side too, so that what it has not read yet is
/// not destroyed by a reset.
async fn rest(sender: &mut dyn LaneSender) -> Ended {
    // Failing here means that the lane is gone, which is what is wanted.
    let _ = sender.finish().await;
    Ended::Rested
}
