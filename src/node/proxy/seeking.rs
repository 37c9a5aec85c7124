//! The task that looks for whoever has a name that is followed.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::time::sleep;

use super::absence::Absence;
use super::error::RemoteError;
use super::finding::Target;
use super::follower::Follower;
use super::found::{Found, gone};
use super::own::Own;
use super::waiting::Item;
use crate::actor::{DeadLetterReason, System};
use crate::mailbox::Payload;
use crate::node::shared::{Shared, Stage, now};
use crate::node::{Node, ResolveError};
use crate::pid::Pid;

/// The first pause between two looks, which doubles up to the second: who ends is often back at once.
const FIRST_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_millis(500);

/// Looks until somebody is found and has what waited, or `request_timeout` is over.
pub(super) async fn seek(follower: Arc<Follower>) {
    let Some(shared) = follower.shared.upgrade() else { return };
    tokio::select! {
        biased;
        () = shared.at(Stage::Draining) => shared.lose(follower.end()),
        absence = look(&follower, &shared) => {
            if let Some(absence) = absence {
                let lost = follower.give_up(shared.chance.spread(), absence);
                shared.lose(lost);
            }
        }
    }
}

/// `None` if somebody was found.
async fn look(follower: &Follower, shared: &Arc<Shared>) -> Option<Absence> {
    let mut until = now() + shared.config.request_timeout;
    let mut pause = FIRST_PAUSE;
    if follower.was_just_found() {
        sleep(pause).await;
    }
    loop {
        let absence = match find(follower, &mut until).await {
            Ok(found) => {
                follower.found(found);
                if hand_over(follower).await {
                    return None;
                }
                Absence::Unreachable("whoever was found is gone again; try again".to_owned())
            }
            Err(absence) => absence,
        };
        if now() + pause >= until || matches!(absence, Absence::Closed) {
            return Some(absence);
        }
        sleep(pause).await;
        pause = (2 * pause).min(LONGEST_PAUSE);
    }
}

/// Waiting for others who look there too is this node's own doing, and puts off when it gives up.
async fn find(follower: &Follower, until: &mut Instant) -> Result<Found, Absence> {
    let node = follower.node.upgrade().ok_or(Absence::Closed)?;
    if let Some(at) = node.dial_again_at(&follower.sought.addr) {
        // As everybody else, it does not dial a lost node all the time (L28).
        tokio::time::sleep_until(at.min(*until).into()).await;
    }
    let (peer, came) = (node.peer(&follower.sought.addr), now());
    let peer = peer.map_err(|error| Absence::Unreachable(ResolveError::from(error).to_string()))?;
    let _place = peer.seekers.acquire().await.map_err(|_| Absence::Closed)?;
    *until += now().saturating_duration_since(came);
    let found = node.remote(&follower.sought.addr, Target::Name(follower.sought.name.clone())).await;
    let pid = found.map_err(|error| match error {
        RemoteError::NoName { .. } => Absence::Nobody,
        RemoteError::Resolve(ResolveError::Closed) => Absence::Closed,
        other => Absence::Unreachable(other.to_string()),
    })?;
    behind(&node, pid)
}

/// The actor behind a PID that was found for a name. One that follows a name is nobody here, as names could lead
/// in a circle.
pub(super) fn behind(node: &Node, pid: Pid) -> Result<Found, Absence> {
    if node.shared().neighbours.following.leads(pid) {
        return Err(Absence::Nobody);
    }
    let system = node.shared().system().ok_or(Absence::Closed)?;
    let remote = system.remote(pid);
    let remote = remote.unwrap_or_else(|| Arc::new(Own::new(node.downgrade(), &system, pid)));
    Ok(Found::new(pid, remote))
}

/// Hands everything that waits to whoever was found, in its order; whether that is still there in the end.
async fn hand_over(follower: &Follower) -> bool {
    let (Some(proxy), Some(system)) = (follower.proxy(), follower.system()) else { return true };
    loop {
        let (found, item) = match follower.next_waiting() {
            Ok(next) => next,
            Err(is_there) => return is_there,
        };
        match item {
            Item::Message(message) => match gone(found.remote.send_later(proxy, message, None).await) {
                Ok(Ok(())) => {}
                Ok(Err(error)) => lose(&system, proxy, error.into_message()),
                Err(message) => {
                    if let Err(Item::Message(message)) = follower.put_back(Item::Message(message)) {
                        lose(&system, proxy, message);
                    }
                }
            },
            Item::Question { message, reply, deadline } => found.remote.ask(message, reply, deadline),
            // What makes no sense for an actor of another node is dropped.
            Item::Signal(signal) => drop(found.remote.signal(proxy, signal)),
        }
    }
}

/// Accounts for a message that was taken and reaches nobody.
pub(super) fn lose(system: &System, proxy: Pid, message: Bytes) {
    system.dead_letter(proxy, DeadLetterReason::Unsendable, Some(Payload::Bytes(message)));
}
