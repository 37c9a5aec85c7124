//! A kill under a flood: how many messages are handled after it was sent.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use myrmidon::actor::{Actor, Context, Flow};

use super::{LIMIT, runtime};

/// Counts; and, at the middle of the flood, kills itself, which must act before the next message.
struct Flooded {
    seen: Arc<AtomicU64>,
    kill_at: u64,
    rt: myrmidon::Runtime,
}

impl Actor for Flooded {
    type Msg = ();

    fn handle(&mut self, (): (), cx: &mut Context<'_>) -> Flow {
        if self.seen.fetch_add(1, Ordering::Relaxed) + 1 == self.kill_at {
            self.rt.kill(cx.pid());
        }
        Flow::Continue
    }
}

pub(super) fn run(messages: u64) -> Result<f64, String> {
    let rt = runtime()?;
    let (seen, kill_at) = (Arc::new(AtomicU64::new(0)), messages / 2);
    let flooded = rt.spawn(Flooded { seen: seen.clone(), kill_at, rt: rt.clone() });
    let sent = (0..messages).take_while(|_| flooded.send(()).is_ok()).count();
    rt.join(flooded.pid(), Some(LIMIT)).map_err(|error| format!("{error} after {sent} messages"))?;
    Ok((seen.load(Ordering::Relaxed) - kill_at) as f64)
}
