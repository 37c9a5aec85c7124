//! Starts many actors, each of which handles one message.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::SyncSender;
use std::time::Instant;

use myrmidon::actor::{Actor, Context, Flow};

use super::{Finish, each, runtime};

/// Adds to a count that all share.
struct One {
    handled: Arc<AtomicU64>,
    total: u64,
    done: SyncSender<u64>,
}

impl Actor for One {
    type Msg = ();

    fn handle(&mut self, (): (), _: &mut Context<'_>) -> Flow {
        let handled = self.handled.fetch_add(1, Ordering::Relaxed) + 1;
        if handled == self.total {
            let _ = self.done.send(handled);
        }
        Flow::Continue
    }
}

pub(super) fn run(actors: u64) -> Result<f64, String> {
    let rt = runtime()?;
    let finish = Finish::new(1);
    let handled = Arc::new(AtomicU64::new(0));
    let begun = Instant::now();
    for _ in 0..actors {
        let one = rt.spawn(One { handled: handled.clone(), total: actors, done: finish.tell.clone() });
        one.send(()).map_err(|error| error.to_string())?;
    }
    finish.expect(1, actors)?;
    Ok(each(actors, begun))
}
