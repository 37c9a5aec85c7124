//! What a thread runs right now, and for how long the watchdog has seen it there.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::pid::Pid;

/// Stands in the place of a PID; no PID of ours has generation 0.
const WAITS: u64 = 1;

/// Written with plain stores by the thread that runs slices, read by the watchdog.
#[derive(Default)]
pub(super) struct Activity {
    /// Slices begun.
    slices: AtomicU32,
    /// The PID of the actor that runs, or of the last one while the thread fetches the next; 0 when the
    /// thread runs none, [`WAITS`] while the actor has made way for others.
    pid: AtomicU64,
}

/// What there was to see at one moment.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Glimpse {
    slices: u32,
    pid: Option<Pid>,
}

/// What the watchdog remembers of one place between two looks.
pub(super) struct Watch {
    seen: Glimpse,
    since: Instant,
    /// The next report is due when the slice has taken so long.
    report_at: Duration,
    reported: bool,
}

/// What a look found out.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Notice {
    /// The actor has been in one slice for at least so long.
    Stalled(Pid, Duration),
    /// A slice that was reported is over; it took about so long.
    Recovered(Pid, Duration),
}

impl Activity {
    /// A slice of the actor begins.
    pub(super) fn begin(&self, pid: Pid) {
        self.slices.store(self.slices.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
        self.pid.store(pid.as_u64(), Ordering::Relaxed);
    }

    /// The thread does something else.
    pub(super) fn end(&self) {
        self.pid.store(0, Ordering::Relaxed);
    }

    /// The handler that runs has made way for others, and waits.
    pub(super) fn wait(&self) {
        self.pid.store(WAITS, Ordering::Relaxed);
    }

    pub(super) fn waits(&self) -> bool {
        self.pid.load(Ordering::Relaxed) == WAITS
    }

    /// The thread that ran slices of `last` does so no more; another may have begun here meanwhile.
    pub(super) fn end_after(&self, last: Pid) {
        let _ = self.pid.compare_exchange(last.as_u64(), 0, Ordering::Relaxed, Ordering::Relaxed);
    }

    /// Whether an actor runs, or the thread fetches the next.
    pub(super) fn is_running(&self) -> bool {
        self.pid.load(Ordering::Relaxed) != 0
    }

    pub(super) fn glimpse(&self) -> Glimpse {
        let slices = self.slices.load(Ordering::Relaxed);
        let pid = Some(self.pid.load(Ordering::Relaxed)).filter(|pid| *pid != WAITS);
        Glimpse { slices, pid: pid.and_then(Pid::from_u64) }
    }
}

impl Glimpse {
    /// Who runs, or ran last while the thread fetches the next.
    pub(super) fn pid(self) -> Option<Pid> {
        self.pid
    }

    /// Slices begun, from any number on and round again.
    pub(super) fn slices(self) -> u32 {
        self.slices
    }
}

impl Watch {
    pub(super) fn new(now: Instant, limit: Duration) -> Self {
        Self::of(Glimpse { slices: 0, pid: None }, now, limit)
    }

    fn of(seen: Glimpse, since: Instant, limit: Duration) -> Self {
        Self { seen, since, report_at: limit, reported: false }
    }

    /// Compares with what was seen at the last look. A slice counts from the first look that sees it; it
    /// is reported when it has lasted for `limit`, and again whenever that time has doubled.
    pub(super) fn look(&mut self, seen: Glimpse, now: Instant, limit: Duration) -> Option<Notice> {
        let lasted = now.saturating_duration_since(self.since);
        if seen != self.seen {
            let last = std::mem::replace(self, Self::of(seen, now, limit));
            return last.seen.pid.filter(|_| last.reported).map(|pid| Notice::Recovered(pid, lasted));
        }
        let pid = seen.pid.filter(|_| lasted >= self.report_at)?;
        self.report_at = lasted.saturating_mul(2);
        self.reported = true;
        Some(Notice::Stalled(pid, lasted))
    }

    /// Leaves out time in which this process did not run.
    pub(super) fn forgive(&mut self, time: Duration) {
        self.since += time;
    }

    /// Whether the slice has taken too long, and is not over as far as known.
    pub(super) fn is_stalled(&self) -> bool {
        self.reported
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_millis(10);

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn a_slice_is_reported_once_per_doubling_and_once_when_it_is_over() {
        let (activity, start) = (Activity::default(), Instant::now());
        let mut watch = Watch::new(start, LIMIT);
        let pid = Pid::new(7, 9).unwrap();
        activity.begin(pid);
        let mut notices = Vec::new();
        for at in 0..=45 {
            notices.extend(watch.look(activity.glimpse(), start + ms(at), LIMIT));
        }
        let stalled = [10, 20, 40].map(|at| Notice::Stalled(pid, ms(at)));
        assert_eq!(notices, stalled);
        assert!(watch.is_stalled());
        // The next slice is of the same actor.
        activity.begin(pid);
        let notice = watch.look(activity.glimpse(), start + ms(46), LIMIT);
        assert_eq!(notice, Some(Notice::Recovered(pid, ms(46))));
        assert!(!watch.is_stalled());
    }

    #[test]
    fn short_slices_and_idle_threads_are_not_reported() {
        let (activity, start) = (Activity::default(), Instant::now());
        let mut watch = Watch::new(start, LIMIT);
        let pid = Pid::new(7, 9).unwrap();
        for at in 0..100 {
            if at % 9 == 0 {
                activity.begin(pid);
            }
            assert_eq!(watch.look(activity.glimpse(), start + ms(at), LIMIT), None);
        }
        activity.end();
        for at in 100..200 {
            assert_eq!(watch.look(activity.glimpse(), start + ms(at), LIMIT), None);
        }
    }

    #[test]
    fn time_in_which_nothing_ran_does_not_count() {
        let (activity, start) = (Activity::default(), Instant::now());
        let mut watch = Watch::new(start, LIMIT);
        let pid = Pid::new(7, 9).unwrap();
        activity.begin(pid);
        assert_eq!(watch.look(activity.glimpse(), start, LIMIT), None);
        watch.forgive(ms(1000));
        assert_eq!(watch.look(activity.glimpse(), start + ms(1009), LIMIT), None);
        let notice = watch.look(activity.glimpse(), start + ms(1010), LIMIT);
        assert_eq!(notice, Some(Notice::Stalled(pid, ms(10))));
    }
}
