//! Tells peers when this node's Python handlers do not run (INFO), which pongs do not show: workers answer
//! those (D12).

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::shared::{Shared, Stage};
use crate::wire::level2::Info;

/// How often the handlers are asked for a sign of life, in one interval of the heartbeat.
const LOOKS: u32 = 2;

/// Looks as long as the node runs and any link is up.
pub(super) async fn watch(shared: Arc<Shared>) {
    tokio::select! {
        biased;
        () = shared.at(Stage::Draining) => {}
        () = look(&shared) => {}
    }
}

async fn look(shared: &Arc<Shared>) {
    let pause = shared.config.heartbeat / LOOKS;
    let mut was_stuck = false;
    loop {
        loop {
            let seen = shared.links.changes();
            if !shared.links.is_empty() {
                break;
            }
            shared.links.changed(seen).await;
        }
        tokio::time::sleep(pause).await;
        let stuck = shared.local.stuck_for();
        // Said again and again, since links come and go, and once when it is over.
        if stuck.is_some() || was_stuck {
            tell(shared, stuck.unwrap_or_default());
        }
        was_stuck = stuck.is_some();
    }
}

/// Says it to every peer, from a worker, which adds how long it took to come by.
fn tell(shared: &Arc<Shared>, stuck: Duration) {
    let (asked, links) = (Instant::now(), shared.links.all());
    shared.local.on_worker(Box::new(move || {
        let (python_age_ms, scheduler_lag_ms) = (millis(stuck), millis(asked.elapsed()));
        let info = Info { python_age_ms, scheduler_lag_ms, data: Bytes::new() };
        links.iter().for_each(|link| link.inform(&info));
    }));
}

fn millis(time: Duration) -> u32 {
    u32::try_from(time.as_millis()).unwrap_or(u32::MAX)
}
