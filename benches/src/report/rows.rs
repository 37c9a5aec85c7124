//! The rows of the report: one for each metric of each workload that was run.

use crate::measure::{Group, Metric, Workload, more_is_better, workloads};
use crate::record::{Figure, Outcome, Record, Results};

/// Our name among the runtimes.
pub(super) const OURS: &str = "myrmidon";

/// A metric and what each runtime reached.
pub(super) struct Row<'a> {
    pub(super) workload: &'static Workload,
    pub(super) metric: &'static Metric,
    results: &'a Results,
}

impl<'a> Row<'a> {
    pub(super) fn record(&self, peer: &str) -> Option<&'a Record> {
        let Self { workload, metric, results } = self;
        let same = |record: &&Record| {
            record.work == workload.name && record.metric == metric.name && record.peer == peer
        };
        results.records.iter().find(same)
    }

    pub(super) fn figure(&self, peer: &str) -> Option<Figure> {
        match self.record(peer)?.outcome {
            Outcome::Figure(figure) => Some(figure),
            Outcome::Failure { .. } => None,
        }
    }

    /// How many times better ours is than that of a peer.
    pub(super) fn times(&self, peer: &str) -> Option<f64> {
        let (ours, theirs) = (self.figure(OURS)?.value, self.figure(peer)?.value);
        self.ratio(ours, theirs)
    }

    /// How many times better ours is than the same metric of another workload of ours.
    pub(super) fn beside(&self, workload: &str) -> Option<f64> {
        let workload = workloads().find(|other| other.name == workload)?;
        let other = Row { workload, ..*self };
        self.ratio(self.figure(OURS)?.value, other.figure(OURS)?.value)
    }

    fn ratio(&self, ours: f64, theirs: f64) -> Option<f64> {
        let times = if more_is_better(self.metric.unit) { ours / theirs } else { theirs / ours };
        times.is_finite().then_some(times)
    }

    /// The row's name: with the metric where the workload has several.
    pub(super) fn label(&self) -> String {
        match self.workload.metrics {
            [_] => self.workload.name.to_owned(),
            _ => format!("{} {}", self.workload.name, self.metric.name),
        }
    }
}

/// The rows of a group that somebody has a record in.
pub(super) fn of_group(results: &Results, group: Group) -> Vec<Row<'_>> {
    let workloads = workloads().filter(|workload| workload.group == group);
    let rows = workloads
        .flat_map(|workload| workload.metrics.iter().map(move |metric| Row { workload, metric, results }));
    let peers = peers(results, group);
    rows.filter(|row| peers.iter().any(|peer| row.record(peer).is_some())).collect()
}

/// Every runtime that has a figure in a group, ours first and the others as they first occur.
pub(super) fn peers(results: &Results, group: Group) -> Vec<&str> {
    let mut peers = vec![OURS];
    let in_group = |record: &&Record| {
        workloads().any(|workload| workload.name == record.work && workload.group == group)
    };
    for record in results.records.iter().filter(in_group) {
        if !peers.contains(&record.peer.as_str()) {
            peers.push(&record.peer);
        }
    }
    peers
}

/// The name of a runtime as its makers write it.
pub(super) fn title(peer: &str) -> &str {
    match peer {
        OURS => "Myrmidon",
        "erlang" => "Erlang",
        "raw" => "bare sockets",
        "pykka" => "Pykka",
        "thespian" => "Thespian",
        "ray" => "Ray",
        other => other,
    }
}

/// A figure in three digits, thousands apart.
pub(super) fn number(value: f64) -> String {
    match value.abs() {
        0.0 => "0".to_owned(),
        size if size < 10.0 => format!("{value:.2}"),
        size if size < 100.0 => format!("{value:.1}"),
        size if size < 1000.0 => format!("{value:.0}"),
        _ => {
            let digits = format!("{value:.0}");
            let (head, tail) = digits.split_at(digits.len() - 3);
            format!("{head} {tail}")
        }
    }
}

/// Whether every record is of a metric that exists.
///
/// # Errors
/// Which is not.
pub(super) fn check(results: &Results) -> Result<(), String> {
    let known = |record: &Record| {
        let workload = workloads().find(|workload| workload.name == record.work);
        workload.is_some_and(|workload| workload.metrics.iter().any(|metric| metric.name == record.metric))
    };
    match results.records.iter().find(|record| !known(record)) {
        Some(record) => Err(format!("there is no metric {} of a workload {}", record.metric, record.work)),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::number;

    #[test]
    fn figures_have_three_digits() {
        let figures = [0.0, 0.1234, 7.0, 37.04, 412.4, 3713.2, 12345.0].map(number);
        assert_eq!(figures, ["0", "0.12", "7.00", "37.0", "412", "3 713", "12 345"]);
    }
}
