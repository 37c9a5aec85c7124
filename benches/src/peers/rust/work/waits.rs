//! How long messages wait: fairness, and waking up after a gap.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use crate::local::{LIMIT, percentiles, sample, waited};
use crate::measure::Figures;
use crate::peers::rust::library::{Library, Next, Script, Threads};

const OTHERS: usize = 1000;
/// Messages that the greedy actor always has, about.
const FED: u64 = 20_000;

/// Says how long each message was on its way.
struct Sleeper(Arc<AtomicU64>);

impl<L: Library> Script<L> for Sleeper {
    type Msg = Instant;

    fn handle(&mut self, sent: Instant, _: impl FnOnce() -> L::Ref<Self>) -> Next {
        self.0.store(waited(sent), Ordering::Release);
        Next::Go
    }
}

pub(super) fn wake<L: Library, const GAP_US: u64>(samples: u64) -> Figures {
    L::with(Threads::One, |lib| {
        let handled = Arc::new(AtomicU64::new(0));
        let sleeper = lib.spawn(Sleeper(handled.clone()));
        sample(GAP_US, samples, &handled, || L::tell(&sleeper, Instant::now()))
    })
}

/// Is always busy: each message takes a while, and there are always more.
struct Greedy(Arc<AtomicU64>);

impl<L: Library> Script<L> for Greedy {
    type Msg = ();

    fn handle(&mut self, (): (), _: impl FnOnce() -> L::Ref<Self>) -> Next {
        std::hint::black_box((0..100).fold(1_u64, |x, y| x.wrapping_mul(31) ^ y));
        self.0.fetch_add(1, Ordering::Relaxed);
        Next::Go
    }
}

/// Reports how long each message was on its way.
struct Other(SyncSender<Duration>);

impl<L: Library> Script<L> for Other {
    type Msg = Instant;

    fn handle(&mut self, sent: Instant, _: impl FnOnce() -> L::Ref<Self>) -> Next {
        let _ = self.0.send(sent.elapsed());
        Next::Go
    }
}

pub(super) fn fairness<L: Library>(rounds: u64) -> Figures {
    L::with(Threads::All, |lib| {
        let handled = Arc::new(AtomicU64::new(0));
        let greedy = lib.spawn(Greedy(handled.clone()));
        let messages = usize::try_from(rounds.max(2)).unwrap_or(usize::MAX) * OTHERS;
        let (tell, told) = sync_channel(messages);
        let others: Vec<_> = (0..OTHERS).map(|_| lib.spawn(Other(tell.clone()))).collect();
        let over = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| feed::<L>(&greedy, &handled, &over));
            let mut next = Instant::now();
            for _ in 0..messages / OTHERS {
                for other in &others {
                    L::tell(other, Instant::now());
                }
                next += Duration::from_millis(1);
                thread::sleep(next.saturating_duration_since(Instant::now()));
            }
            over.store(true, Ordering::Relaxed);
        });
        let wait = |number| told.recv_timeout(LIMIT).map_err(|_| format!("{number} handled of {messages}"));
        percentiles((0..messages).map(wait).collect::<Result<_, _>>()?)
    })
}

/// Keeps the mailbox from being empty, and from being so long that memory decides.
fn feed<L: Library>(greedy: &L::Ref<Greedy>, handled: &AtomicU64, over: &AtomicBool) {
    let mut sent = 0;
    while !over.load(Ordering::Relaxed) {
        let upto = handled.load(Ordering::Relaxed) + FED;
        (sent..upto).for_each(|_| _ = L::tell(greedy, ()));
        sent = upto;
        thread::sleep(Duration::from_micros(100));
    }
}
