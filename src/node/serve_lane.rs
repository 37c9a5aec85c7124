//! One accepted lane: decode, deliver, answer in order.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::oneshot;
use tokio::time::{sleep, timeout, timeout_at};

use super::progress::{self, Progress, Rest};
use super::serve::Accepted;
use super::shared::{Shared, Stage, now};
use super::throttle::{Flood, Patience};
use super::{link, lock};
use crate::config::Level;
use crate::pid::Pid;
use crate::transport::{CloseCode, Lane, LaneReceiver, LaneSender, TransportError};
use crate::wire::level2::{self, Id, Probe};
use crate::wire::{Batch, DecodeError, Decoder, Frame, Limits, Name, STEP};

/// What is read and thrown away after a goodbye, so that closing does not destroy what the peer has
/// not read yet.
const LINGER_TIME: Duration = Duration::from_secs(2);
const LINGER_BYTES: usize = 16 << 20;

/// The peer broke a rule: its connection is closed with `code`.
pub(super) struct Refused {
    pub(super) code: CloseCode,
    pub(super) reason: String,
}

impl From<DecodeError> for Refused {
    fn from(error: DecodeError) -> Self {
        Self { code: error.code(), reason: error.to_string() }
    }
}

/// Why a conversation is over.
enum Over {
    /// The peer finished, or this node is closing.
    Goodbye,
    /// The lane broke; nothing more can be said.
    Broken,
    Refused(Refused),
    /// The lane goes on at level 2.
    Upgraded(Upgrade),
}

/// How a lane comes to level 2.
#[derive(Clone, Copy)]
enum Upgrade {
    /// By HELLO, naming this link if a probe came first.
    Greets(Option<Id>),
    /// By LANE.
    Joins,
}

impl From<Refused> for Over {
    fn from(refused: Refused) -> Self {
        Self::Refused(refused)
    }
}

pub(super) struct LaneServer {
    accepted: Accepted,
    shared: Arc<Shared>,
    decoder: Decoder,
    /// It is the first lane of its connection.
    is_first: bool,
    /// Nothing was read yet.
    fresh: bool,
    /// The link that the last frame, a probe, named.
    probed: Option<Id>,
    /// Messages decoded and not delivered yet.
    inbound: Vec<(Pid, Bytes)>,
    /// Who got messages since the last read, with the length of the last one.
    receivers: Vec<(Pid, usize)>,
    /// Answers not written yet.
    answers: Batch,
    progress: Progress,
    patience: Patience,
    /// Bytes of the last read.
    read: usize,
    /// What was read while an actor was to be spared.
    ahead: Option<Bytes>,
    /// A worker has run since the last read, so that pings need not ask for another one.
    alive: bool,
}

impl LaneServer {
    pub(super) fn new(accepted: Accepted, is_first: bool) -> Self {
        let shared = accepted.shared.clone();
        let progress = Progress::new(shared.budget.clone());
        let limits = Limits { max_payload: shared.config.max_accepted_payload };
        Self {
            accepted,
            shared,
            decoder: Decoder::new(limits),
            is_first,
            fresh: true,
            probed: None,
            inbound: Vec::new(),
            receivers: Vec::new(),
            answers: Batch::new(),
            progress,
            patience: Patience::default(),
            read: 0,
            ahead: None,
            alive: false,
        }
    }

    /// Serves until the peer finishes, the lane breaks, a rule is broken or the node closes.
    pub(super) async fn run(mut self, (mut sender, mut receiver): Lane) -> Result<(), Refused> {
        let over = loop {
            if let Err(over) = self.turn(sender.as_mut(), receiver.as_mut()).await {
                break over;
            }
        };
        match over {
            Over::Broken => Ok(()),
            Over::Upgraded(upgrade) => self.upgrade(upgrade, (sender, receiver)).await,
            Over::Goodbye => {
                goodbye(sender.as_mut(), receiver.as_mut()).await;
                Ok(())
            }
            // There is nobody to say goodbye to.
            Over::Refused(refused) if refused.code == CloseCode::ResetFlood => Err(refused),
            Over::Refused(refused) => {
                goodbye(sender.as_mut(), receiver.as_mut()).await;
                receiver.stop(refused.code);
                Err(refused)
            }
        }
    }

    /// One read, and everything that follows from it.
    async fn turn(
        &mut self,
        sender: &mut dyn LaneSender,
        receiver: &mut dyn LaneReceiver,
    ) -> Result<(), Over> {
        self.spare(receiver).await?;
        let bytes = match self.ahead.take() {
            Some(bytes) => bytes,
            None => self.read(receiver).await?,
        };
        self.read = bytes.len();
        self.decoder.feed(bytes);
        self.patience.renew();
        self.alive = false;
        let handled = self.handle(sender).await;
        self.settle(sender).await?;
        handled
    }

    /// Reads no further than one block while an actor does not keep up (L12): at this level that is all that slows
    /// its senders down. That block shows whether the peer has gone, whose connection is not kept then.
    async fn spare(&mut self, receiver: &mut dyn LaneReceiver) -> Result<(), Over> {
        for (pid, len) in std::mem::take(&mut self.receivers) {
            while self.shared.is_full(pid, len) {
                let (tell, mut told) = oneshot::channel();
                // The lane may be gone when it is reached.
                let reached = move || {
                    let _ = tell.send(());
                };
                self.shared.local.mark(pid, Box::new(reached));
                let reached = loop {
                    tokio::select! {
                        biased;
                        () = self.shared.at(Stage::Closed) => return Err(Over::Goodbye),
                        reached = &mut told => break reached,
                        read = receiver.read(STEP), if self.ahead.is_none() => match read {
                            Ok(Some(bytes)) => self.ahead = Some(bytes),
                            Ok(None) => return Err(Over::Goodbye),
                            Err(error) => return Err(self.broken(&error)),
                        },
                    }
                };
                if reached.is_err() {
                    // Nobody will say it.
                    break;
                }
            }
        }
        Ok(())
    }

    async fn read(&mut self, receiver: &mut dyn LaneReceiver) -> Result<Bytes, Over> {
        let deadline = self.progress.deadline();
        let read = async {
            match deadline {
                None => receiver.read(STEP).await,
                Some(deadline) => match timeout_at(deadline.into(), receiver.read(STEP)).await {
                    Ok(read) => read,
                    Err(_) => return Err(Over::Refused(too_slow())),
                },
            }
            .map_err(|error| self.broken(&error))?
            .ok_or(Over::Goodbye)
        };
        tokio::select! {
            biased;
            () = self.shared.at(Stage::Closed) => Err(Over::Goodbye),
            read = read => read,
        }
    }

    /// What a lane that broke means. Of a peer that resets lane after lane no more are taken.
    fn broken(&self, error: &TransportError) -> Over {
        let is_reset = matches!(error, TransportError::Reset { .. });
        if is_reset && !lock(&self.accepted.resets).try_take(now()) {
            let reason = "it resets lane after lane".to_owned();
            return Over::Refused(Refused { code: CloseCode::ResetFlood, reason });
        }
        Over::Broken
    }

    /// Handles every complete frame in its place.
    async fn handle(&mut self, sender: &mut dyn LaneSender) -> Result<(), Over> {
        let mut complete = 0usize;
        loop {
            if let Some(upgrade) = self.upgrades()? {
                return Err(Over::Upgraded(upgrade));
            }
            let Some(frame) = self.decoder.next_frame().map_err(Refused::from)? else { break };
            (self.fresh, self.probed) = (false, None);
            complete += 1;
            if !matches!(frame, Frame::Resolve(_)) {
                self.accepted.admitted()?;
            }
            match frame {
                Frame::Message { to: Some(pid), data } => self.inbound.push((pid, data)),
                Frame::Message { to: None, .. } => tracing::debug!("a message for PID 0 is a dead letter"),
                Frame::Resolve(name) => {
                    self.throttle(sender).await?;
                    self.deliver();
                    self.resolve(&name)?;
                }
                Frame::Ping => {
                    self.throttle(sender).await?;
                    self.sign_of_life(sender).await?;
                    self.answers.pong();
                }
                Frame::Pong => {}
            }
        }
        self.progress.read(now(), self.read, complete > 0, Rest::part(self.decoder.mid_frame()));
        if self.progress.is_too_much() {
            let reason = "the queues of this node hold as much as they may".to_owned();
            return Err(Over::Refused(Refused { code: CloseCode::Overloaded, reason }));
        }
        Ok(())
    }

    /// Answers for a name, or for a probe.
    fn resolve(&mut self, name: &Name) -> Result<(), Over> {
        let speaks = self.shared.config.level == Level::Two;
        if let Some(Probe { link }) = Probe::read(name.as_str()).filter(|_| speaks) {
            if self.shared.stage() != Stage::Running {
                // Any answer would be taken for a level, and remembered when another node is here.
                return Err(Over::Goodbye);
            }
            self.probed = Some(link);
            self.answers.number(level2::magic(0));
            return Ok(());
        }
        self.accepted.admitted()?;
        let pid = name.registrable().and_then(|name| self.shared.whereis(name));
        self.answers.resolved(pid);
        Ok(())
    }

    /// Whether the next frame takes the lane to level 2: HELLO right after a probe, or at the very
    /// beginning where the handshake below has agreed on it; or LANE at the very beginning.
    fn upgrades(&self) -> Result<Option<Upgrade>, Refused> {
        let agreed = self.accepted.connection.level() == Some(Level::Two);
        let possible = agreed || self.shared.config.level == Level::Two;
        if possible
            && (self.probed.is_some() || agreed && self.fresh)
            && self.decoder.begins_with(level2::HELLO)
        {
            return Ok(Some(Upgrade::Greets(self.probed)));
        }
        if possible && self.fresh && self.decoder.begins_with(level2::LANE) {
            return Ok(Some(Upgrade::Joins));
        }
        if agreed && self.decoder.has_input() {
            let reason = "a lane of level 2 must begin with HELLO or LANE".to_owned();
            return Err(Refused { code: CloseCode::Malformed, reason });
        }
        Ok(None)
    }

    async fn upgrade(self, upgrade: Upgrade, lane: Lane) -> Result<(), Refused> {
        let rest = self.decoder.into_rest();
        match upgrade {
            Upgrade::Greets(expected) => link::greet(&self.accepted, lane, rest, expected).await,
            Upgrade::Joins => link::join(&self.accepted, lane, rest, self.is_first).await,
        }
    }

    /// Waits until a scheduler worker runs: a frozen scheduler answers no ping (D12).
    async fn sign_of_life(&mut self, sender: &mut dyn LaneSender) -> Result<(), Over> {
        if self.alive {
            return Ok(());
        }
        self.settle(sender).await?;
        let (job, ran) = oneshot::channel();
        // The lane may be gone when the job runs.
        self.shared.local.on_worker(Box::new(move || {
            let _ = job.send(());
        }));
        let ran = tokio::select! {
            biased;
            () = self.shared.at(Stage::Closed) => return Err(Over::Goodbye),
            ran = ran => ran,
        };
        self.alive = true;
        ran.map_err(|_| Over::Goodbye)
    }

    /// Delays a peer that asks too often (L17).
    async fn throttle(&mut self, sender: &mut dyn LaneSender) -> Result<(), Over> {
        let flood = |flood: Flood| Refused { code: CloseCode::Overloaded, reason: flood.to_string() };
        let pause = self.patience.take(&self.accepted.questions, now()).map_err(flood)?;
        if !pause.is_zero() {
            self.settle(sender).await?;
            sleep(pause).await;
        }
        Ok(())
    }

    /// Delivers what came and writes what is answered.
    async fn settle(&mut self, sender: &mut dyn LaneSender) -> Result<(), Over> {
        self.deliver();
        if self.answers.is_empty() {
            return Ok(());
        }
        match progress::write(sender, &mut self.answers.take()).await {
            Ok(written) => written.map_err(|_| Over::Broken),
            Err(stalled) => {
                let reason = stalled.to_string();
                Err(Over::Refused(Refused { code: CloseCode::Overloaded, reason }))
            }
        }
    }

    fn deliver(&mut self) {
        if !self.inbound.is_empty() {
            for (pid, data) in &self.inbound {
                match self.receivers.last_mut() {
                    Some((last, len)) if last == pid => *len = data.len(),
                    _ => self.receivers.push((*pid, data.len())),
                }
            }
            self.shared.local.deliver(&mut self.inbound);
            self.inbound.clear();
        }
    }
}

/// Finishes our direction and reads on until the peer finishes its own, within bounds: a socket that
/// is closed with unread bytes resets, and that can destroy answers on their way.
async fn goodbye(sender: &mut dyn LaneSender, receiver: &mut dyn LaneReceiver) {
    let linger = async {
        let mut left = LINGER_BYTES;
        // A lane that cannot be finished is gone already.
        let _ = sender.finish().await;
        while let Ok(Some(bytes)) = receiver.read(STEP).await {
            match left.checked_sub(bytes.len()) {
                Some(rest) => left = rest,
                None => break,
            }
        }
    };
    // What lasts longer is cut off.
    let _ = timeout(LINGER_TIME, linger).await;
}

fn too_slow() -> Refused {
    Refused { code: CloseCode::Timeout, reason: progress::too_slow() }
}
