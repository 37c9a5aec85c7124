//! One actor that is fed without pause, and a thousand others that get a message each millisecond: how
//! long the others' messages wait.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use myrmidon::actor::{Actor, Context, Flow};

use super::{LIMIT, percentiles, runtime};
use crate::measure::Figures;

const OTHERS: usize = 1000;

/// Is always busy: each message takes a while, and there are always more.
struct Greedy;

impl Actor for Greedy {
    type Msg = ();

    fn handle(&mut self, (): (), _: &mut Context<'_>) -> Flow {
        std::hint::black_box((0..100).fold(1_u64, |x, y| x.wrapping_mul(31) ^ y));
        Flow::Continue
    }
}

/// Reports how long each message was on its way.
struct Other(SyncSender<Duration>);

impl Actor for Other {
    type Msg = Instant;

    fn handle(&mut self, sent: Instant, _: &mut Context<'_>) -> Flow {
        let _ = self.0.send(sent.elapsed());
        Flow::Continue
    }
}

pub(super) fn run(rounds: u64) -> Figures {
    let rt = runtime()?;
    let greedy = rt.spawn(Greedy);
    let messages = usize::try_from(rounds.max(2)).unwrap_or(usize::MAX) * OTHERS;
    let (tell, told) = sync_channel(messages);
    let others: Vec<_> = (0..OTHERS).map(|_| rt.spawn(Other(tell.clone()))).collect();
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                // Never empty, and never so long that memory decides.
                let waiting = rt.mailbox_size(greedy.pid()).unwrap_or_default();
                (waiting..20_000).for_each(|_| _ = greedy.send(()));
                thread::sleep(Duration::from_micros(100));
            }
        });
        let mut next = Instant::now();
        for _ in 0..messages / OTHERS {
            for other in &others {
                let _ = other.send(Instant::now());
            }
            next += Duration::from_millis(1);
            thread::sleep(next.saturating_duration_since(Instant::now()));
        }
        over.store(true, Ordering::Relaxed);
    });
    let mut waits = Vec::with_capacity(messages);
    for _ in 0..messages {
        waits.push(told.recv_timeout(LIMIT).map_err(|_| format!("{} handled of {messages}", waits.len()))?);
    }
    percentiles(waits)
}
