//! What is measured: workloads, what they yield and what we aim at.

use clap::ValueEnum;

use crate::{local, net, python};

/// What one run yields, one figure for each metric of the workload; or what went wrong.
pub(crate) type Figures = Result<Vec<f64>, String>;

pub(crate) const RATE: &str = "M msg/s";
pub(crate) const THOUSANDS: &str = "k/s";
pub(crate) const SPEED: &str = "MB/s";
pub(crate) const NS: &str = "ns";
pub(crate) const US: &str = "us";
pub(crate) const SECONDS: &str = "s";
pub(crate) const BYTES: &str = "bytes";
pub(crate) const MIB: &str = "MiB";

/// Does work and yields its figures.
#[derive(Clone, Copy)]
pub(crate) enum Run {
    One(fn(u64) -> Result<f64, String>),
    Many(fn(u64) -> Figures),
    /// Between processes, which each runtime starts for itself.
    Apart,
}

impl Run {
    pub(crate) fn run(self, work: u64) -> Figures {
        match self {
            Self::One(run) => run(work).map(|figure| vec![figure]),
            Self::Many(run) => run(work),
            Self::Apart => Err("it runs between processes only".to_owned()),
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
    [RATE, THOUSANDS, SPEED].contains(&unit)
}

/// What we aim at.
#[derive(Clone, Copy)]
pub(crate) enum Goal {
    /// At least, or at most, so much, depending on the unit.
    Value(f64),
    /// So many times better than this peer; below 1, that much of it.
    Times(f64, &'static str),
    /// The same against our own figure of another workload.
    Beside(f64, &'static str),
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
    NetMessages,
    NetLarge,
    NetTrips,
    NetPings,
    NetMemory,
    PythonMessages,
    PythonTrips,
    LaneMessages,
    LaneActors,
    LaneMemory,
    LaneTrips,
    LaneAsks,
    LaneWaits,
    LanePings,
}

/// A page of the documentation that holds figures.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(crate) enum Page {
    /// `performance.md`: inside one runtime.
    Performance,
    /// `mesh.md`: between processes.
    Mesh,
    /// `python-performance.md`: Python handlers inside one process.
    Python,
}

impl Page {
    pub(crate) fn file(self) -> &'static str {
        match self {
            Self::Performance => "performance.md",
            Self::Mesh => "mesh.md",
            Self::Python => "python-performance.md",
        }
    }
}

impl Group {
    pub(crate) const ALL: [Self; 23] = [
        Self::Messages,
        Self::Trips,
        Self::Actors,
        Self::Memory,
        Self::Tree,
        Self::Timers,
        Self::Waits,
        Self::Budgets,
        Self::Control,
        Self::NetMessages,
        Self::NetLarge,
        Self::NetTrips,
        Self::NetPings,
        Self::NetMemory,
        Self::PythonMessages,
        Self::PythonTrips,
        Self::LaneMessages,
        Self::LaneActors,
        Self::LaneMemory,
        Self::LaneTrips,
        Self::LaneAsks,
        Self::LaneWaits,
        Self::LanePings,
    ];

    /// The page that it stands on.
    pub(crate) fn page(self) -> Page {
        match self {
            Self::NetMessages
            | Self::NetLarge
            | Self::NetTrips
            | Self::NetPings
            | Self::NetMemory
            | Self::PythonMessages
            | Self::PythonTrips => Page::Mesh,
            Self::LaneMessages
            | Self::LaneActors
            | Self::LaneMemory
            | Self::LaneTrips
            | Self::LaneAsks
            | Self::LaneWaits
            | Self::LanePings => Page::Python,
            _ => Page::Performance,
        }
    }

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
            Self::NetMessages => ("Small messages between two nodes", "net-messages"),
            Self::NetLarge => ("Large messages between two nodes", "net-large"),
            Self::NetTrips => ("To another node and back", "net-trips"),
            Self::NetPings => ("Pings beside large messages", "net-pings"),
            Self::NetMemory => ("Held for whoever does not read", "net-memory"),
            Self::PythonMessages => ("Small messages between two Python processes", "net-python-messages"),
            Self::PythonTrips => ("To another Python process and back", "net-python-trips"),
            Self::LaneMessages => ("Messages to Python handlers", "python-messages"),
            Self::LaneActors => ("Starting Python actors, and new code", "python-actors"),
            Self::LaneMemory => ("Memory of a Python actor", "python-memory"),
            Self::LaneTrips => ("Between two Python actors and back", "python-trips"),
            Self::LaneAsks => ("Asks from asyncio", "python-asks"),
            Self::LaneWaits => ("From send to a Python handler", "python-waits"),
            Self::LanePings => ("Workers beside Python handlers", "python-pings"),
        }
    }
}

/// Every workload of every command.
pub(crate) fn workloads() -> impl Iterator<Item = &'static Workload> {
    local::WORKLOADS.iter().chain(&net::WORKLOADS).chain(&python::WORKLOADS)
}
