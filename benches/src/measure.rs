//! Samples of a workload and how they are printed.

use std::fmt::Write;

use serde_json::json;

/// Something to measure.
pub(crate) struct Workload {
    pub(crate) name: &'static str,
    pub(crate) metric: &'static str,
    pub(crate) unit: &'static str,
    /// Messages, round trips, hops or actors of one run.
    pub(crate) work: u64,
    /// Does `work` and returns the figure, or what went wrong.
    pub(crate) run: fn(u64) -> Result<f64, String>,
}

/// What the runs of one workload gave.
pub(crate) struct Outcome {
    workload: &'static Workload,
    peer: &'static str,
    samples: Vec<f64>,
    failure: Option<String>,
}

impl Outcome {
    pub(crate) fn new(workload: &'static Workload, peer: &'static str) -> Self {
        Self { workload, peer, samples: Vec::new(), failure: None }
    }

    pub(crate) fn add(&mut self, run: Result<f64, String>) {
        match run {
            Ok(sample) => self.samples.push(sample),
            Err(failure) => self.failure = Some(failure),
        }
        self.samples.sort_by(f64::total_cmp);
    }

    /// Median, least and most; none when a run went wrong.
    fn figures(&self) -> Result<[f64; 3], &str> {
        match &self.failure {
            Some(failure) => Err(failure),
            None => {
                let last = self.samples.len() - 1;
                Ok([self.samples[last / 2], self.samples[0], self.samples[last]])
            }
        }
    }
}

/// All outcomes.
pub(crate) struct Report(pub(crate) Vec<Outcome>);

impl Report {
    pub(crate) fn failed(&self) -> bool {
        self.0.iter().any(|outcome| outcome.failure.is_some())
    }

    pub(crate) fn table(&self) -> String {
        let mut out =
            format!("{:<10} {:<10} {:>10} {:>10} {:>10}  unit\n", "work", "runtime", "median", "min", "max");
        for outcome in &self.0 {
            let Workload { name, metric, unit, .. } = outcome.workload;
            let _ = match outcome.figures() {
                Ok([median, min, max]) => {
                    let peer = outcome.peer;
                    writeln!(
                        out,
                        "{name:<10} {peer:<10} {median:>10.2} {min:>10.2} {max:>10.2}  {unit}, {metric}"
                    )
                }
                Err(failure) => writeln!(out, "{name:<10} {:<10} FAILED: {failure}", outcome.peer),
            };
        }
        out
    }

    pub(crate) fn json(&self) -> String {
        let mut out = String::new();
        for outcome in &self.0 {
            let Workload { name, metric, unit, .. } = outcome.workload;
            let line = match outcome.figures() {
                Ok([median, min, max]) => json!({
                    "work": name, "peer": outcome.peer, "metric": metric, "unit": unit,
                    "value": median, "min": min, "max": max,
                }),
                Err(failure) => {
                    json!({ "work": name, "peer": outcome.peer, "metric": metric, "failed": failure })
                }
            };
            let _ = writeln!(out, "{line}");
        }
        out
    }
}
