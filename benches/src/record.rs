//! What the rounds gave: records, as a table for people and as JSON with one object a line.

use std::fmt::Write;

use serde::{Deserialize, Serialize};

use crate::machine::Machine;
use crate::measure::{Figures, Workload};

/// The result of one metric of one workload on one runtime.
#[derive(Serialize, Deserialize)]
pub(crate) struct Record {
    pub(crate) work: String,
    pub(crate) peer: String,
    pub(crate) metric: String,
    pub(crate) unit: String,
    #[serde(flatten)]
    pub(crate) outcome: Outcome,
}

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
pub(crate) enum Outcome {
    Figure(Figure),
    Failure { failed: String },
}

/// The median, the least and the most of all rounds.
#[derive(Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Figure {
    pub(crate) value: f64,
    pub(crate) min: f64,
    pub(crate) max: f64,
}

/// Collects the rounds of one workload on one runtime.
pub(crate) struct Samples {
    workload: &'static Workload,
    peer: &'static str,
    rounds: Vec<Vec<f64>>,
    failure: Option<String>,
}

impl Samples {
    pub(crate) fn new(workload: &'static Workload, peer: &'static str) -> Self {
        Self { workload, peer, rounds: Vec::new(), failure: None }
    }

    pub(crate) fn add(&mut self, figures: Figures) {
        let expected = self.workload.metrics.len();
        match figures {
            Ok(figures) if figures.len() == expected => self.rounds.push(figures),
            Ok(figures) => self.failure = Some(format!("{} figures instead of {expected}", figures.len())),
            Err(failure) => self.failure = Some(failure),
        }
    }

    /// One record for each metric. One failed round fails them all: a figure without its check is none.
    pub(crate) fn records(&self) -> Vec<Record> {
        let metrics = self.workload.metrics.iter().enumerate();
        let record = |(index, metric): (usize, &crate::measure::Metric)| Record {
            work: self.workload.name.to_owned(),
            peer: self.peer.to_owned(),
            metric: metric.name.to_owned(),
            unit: metric.unit.to_owned(),
            outcome: self.outcome(index),
        };
        metrics.map(record).collect()
    }

    fn outcome(&self, metric: usize) -> Outcome {
        if let Some(failed) = self.failure.clone() {
            return Outcome::Failure { failed };
        }
        let mut values: Vec<_> = self.rounds.iter().map(|figures| figures[metric]).collect();
        values.sort_by(f64::total_cmp);
        match values.as_slice() {
            [] => Outcome::Failure { failed: "no round was run".to_owned() },
            [min, .., max] => Outcome::Figure(Figure { value: median(&values), min: *min, max: *max }),
            [only] => Outcome::Figure(Figure { value: *only, min: *only, max: *only }),
        }
    }
}

fn median(sorted: &[f64]) -> f64 {
    let middle = sorted.len() / 2;
    if sorted.len().is_multiple_of(2) {
        f64::midpoint(sorted[middle - 1], sorted[middle])
    } else {
        sorted[middle]
    }
}

/// All records of a run, and where it took place.
pub(crate) struct Results {
    pub(crate) machine: Machine,
    pub(crate) records: Vec<Record>,
}

#[derive(Serialize, Deserialize)]
struct MachineLine {
    machine: Machine,
}

impl Results {
    /// What failed, and why.
    pub(crate) fn failures(&self) -> Vec<String> {
        let failure = |record: &Record| match &record.outcome {
            Outcome::Failure { failed } => {
                Some(format!("{} of {} failed: {failed}", record.work, record.peer))
            }
            Outcome::Figure(_) => None,
        };
        self.records.iter().filter_map(failure).collect()
    }

    pub(crate) fn table(&self) -> String {
        let mut out = format!("{}\n\n", self.machine);
        let _ = writeln!(
            out,
            "{:<18} {:<7} {:<9} {:>10} {:>10} {:>10}  unit",
            "work", "metric", "runtime", "median", "min", "max"
        );
        for Record { work, peer, metric, unit, outcome } in &self.records {
            let _ = match outcome {
                Outcome::Figure(Figure { value, min, max }) => writeln!(
                    out,
                    "{work:<18} {metric:<7} {peer:<9} {value:>10.2} {min:>10.2} {max:>10.2}  {unit}"
                ),
                Outcome::Failure { failed } => {
                    writeln!(out, "{work:<18} {metric:<7} {peer:<9} FAILED: {failed}")
                }
            };
        }
        out
    }

    /// The machine on the first line, then a record on each.
    ///
    /// # Errors
    /// If a figure cannot be written as JSON.
    pub(crate) fn json(&self) -> Result<String, serde_json::Error> {
        let mut out = serde_json::to_string(&MachineLine { machine: self.machine.clone() })?;
        for record in &self.records {
            let _ = write!(out, "\n{}", serde_json::to_string(record)?);
        }
        Ok(out + "\n")
    }

    /// Reads what [`json`](Self::json) wrote.
    ///
    /// # Errors
    /// Which line is not what it should be.
    pub(crate) fn read(json: &str) -> Result<Self, String> {
        let mut lines = json.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
        let wrong = |line: usize, error: serde_json::Error| format!("line {}: {error}", line + 1);
        let (number, first) = lines.next().ok_or("there is nothing in it")?;
        let MachineLine { machine } = serde_json::from_str(first).map_err(|error| wrong(number, error))?;
        let record = |(number, line)| serde_json::from_str(line).map_err(|error| wrong(number, error));
        Ok(Self { machine, records: lines.map(record).collect::<Result<_, _>>()? })
    }
}

#[cfg(test)]
mod tests {
    use super::{Outcome, Samples};
    use crate::local::WORKLOADS;

    fn samples(rounds: &[Result<f64, &str>]) -> Outcome {
        let count = WORKLOADS.iter().find(|workload| workload.name == "count").expect("a workload");
        let mut samples = Samples::new(count, "myrmidon");
        for round in rounds {
            samples.add(round.map(|figure| vec![figure]).map_err(str::to_owned));
        }
        samples.outcome(0)
    }

    #[test]
    fn the_median_of_the_rounds_is_the_figure() {
        let Outcome::Figure(figure) = samples(&[Ok(5.0), Ok(1.0), Ok(3.0)]) else { panic!("no figure") };
        assert_eq!([figure.value, figure.min, figure.max], [3.0, 1.0, 5.0]);
        let Outcome::Figure(figure) = samples(&[Ok(5.0), Ok(1.0)]) else { panic!("no figure") };
        assert_eq!([figure.value, figure.min, figure.max], [3.0, 1.0, 5.0]);
    }

    #[test]
    fn one_wrong_count_leaves_no_figure() {
        let outcome = samples(&[Ok(5.0), Err("9 messages handled of 10"), Ok(4.0)]);
        assert!(matches!(outcome, Outcome::Failure { failed } if failed.contains("9 messages")));
    }
}
