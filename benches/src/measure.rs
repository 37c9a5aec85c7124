//! What is measured: workloads, what they yield and what we aim at.

/// What one run yields, one figure for each metric of the workload; or what went wrong.
pub(crate) type Figures = Result<Vec<f64>, String>;

pub(crate) const RATE: &str = "M msg/s";
pub(crate) const NS: &str = "ns";
pub(crate) const US: &str = "us";
pub(crate) const SECONDS: &str = "s";
pub(crate) const BYTES: &str = "bytes";

/// Does work and yields its figures.
#[derive(Clone, Copy)]
pub(crate) enum Run {
    One(fn(u64) -> Result<f64, String>),
    Many(fn(u64) -> Figures),
}

impl Run {
    pub(crate) fn run(self, work: u64) -> Figures {
        match self {
            Self::One(run) => run(work).map(|figure| vec![figure]),
            Self::Many(run) => run(work),
        }
    }
}

/// Something to measure.
pub(crate) struct Workload {
    pub(crate) name: &'static str,
    /// What it does, as its row in the report says it.
    pub(crate) about: &'static str,
    pub(crate) group: Group,
    /// Messages, round trips, hops, actors or samples of one run.
    pub(crate) work: u64,
    pub(crate) metrics: &'static [Metric],
    /// Runs in a process of its own, as it measures what that process holds.
    pub(crate) alone: bool,
    pub(crate) run: Run,
}

/// One figure of a workload.
pub(crate) struct Metric {
    pub(crate) name: &'static str,
    pub(crate) unit: &'static str,
    pub(crate) goals: &'static [Goal],
    /// What a bare loop without features reaches; empty where that was not measured.
    pub(crate) limit: &'static str,
}

impl Metric {
    pub(crate) const fn new(name: &'static str, unit: &'static str) -> Self {
        Self { name, unit, goals: &[], limit: "" }
    }

    pub(crate) const fn goals(mut self, goals: &'static [Goal]) -> Self {
        self.goals = goals;
        self
    }

    pub(crate) const fn limit(mut self, limit: &'static str) -> Self {
        self.limit = limit;
        self
    }
}

/// Whether more of a unit is better; of all others less is.
pub(crate) fn more_is_better(unit: &str) -> bool {
    unit == RATE
}

/// What we aim at.
#[derive(Clone, Copy)]
pub(crate) enum Goal {
    /// At least, or at most, so much, depending on the unit.
    Value(f64),
    /// So many times better than this peer.
    Times(f64, &'static str),
}

/// Workloads of one kind, which share a table and a picture.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Group {
    Messages,
    Trips,
    Actors,
    Memory,
    Tree,
    Timers,
    Waits,
    Budgets,
    Control,
}

impl Group {
    pub(crate) const ALL: [Self; 9] = [
        Self::Messages,
        Self::Trips,
        Self::Actors,
        Self::Memory,
        Self::Tree,
        Self::Timers,
        Self::Waits,
        Self::Budgets,
        Self::Control,
    ];

    /// The heading, and the name of the picture without its ending.
    pub(crate) fn heading(self) -> (&'static str, &'static str) {
        match self {
            Self::Messages => ("Messages handled", "messages"),
            Self::Trips => ("Messages to and fro", "trips"),
            Self::Actors => ("Starting actors", "actors"),
            Self::Memory => ("Memory", "memory"),
            Self::Tree => ("A tree of 1 111 111 actors", "tree"),
            Self::Timers => ("Timers, a million alive", "timers"),
            Self::Waits => ("From send to handled", "waits"),
            Self::Budgets => ("Messages handled, by budget", "budgets"),
            Self::Control => ("Code, kills and idleness", "control"),
        }
    }
}
