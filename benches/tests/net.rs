//! The workloads between processes, small: whether each completes and counts right on every peer that
//! can be had without installing something. No figure is judged.

use std::collections::BTreeSet;
use std::process::Command;

const WORK: [&str; 7] = ["small", "large", "trip", "inside", "resolve", "ping", "held"];

#[test]
fn every_workload_between_processes_completes_and_counts_right() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_myrmidon-benches"));
    command.args(["net", "--json", "--rounds", "1", "--amount", "200", "--no-install"]);
    if let Some(python) = std::env::var_os("MYRMIDON_TEST_PYTHON") {
        command.arg("--python").arg(python);
    }
    let output = command.output().expect("the command can be started");
    let (text, complaints) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{complaints}\n{text}");
    let done: BTreeSet<_> = text.lines().skip(1).map(work_and_peer).collect();
    for work in ["tcp", "quic"].iter().flat_map(|kind| WORK.map(|work| format!("{kind}-{work}"))) {
        assert!(done.contains(&(work.clone(), "myrmidon".to_owned())), "{work} is missing: {text}");
    }
    for python in ["python-tcp-small", "python-tls-trip", "python-quic-trip"] {
        let ran = done.contains(&(python.to_owned(), "myrmidon".to_owned()));
        assert_eq!(ran, std::env::var_os("MYRMIDON_TEST_PYTHON").is_some(), "{complaints}");
    }
}

/// Every line has a figure, as a failure would have failed the command.
fn work_and_peer(line: &str) -> (String, String) {
    let record: serde_json::Value = serde_json::from_str(line).expect("a line of JSON");
    assert!(record["value"].as_f64().is_some_and(|value| value >= 0.0), "{line}");
    let text = |key: &str| record[key].as_str().expect("a text").to_owned();
    (text("work"), text("peer"))
}
