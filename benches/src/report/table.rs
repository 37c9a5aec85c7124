//! Tables in Markdown.

use super::rows::{OURS, Row, number, of_group, peers, title};
use crate::measure::{Goal, Group, more_is_better};
use crate::record::{Figure, Outcome, Results};

/// The table of a group; empty where nothing of it was run.
pub(super) fn render(results: &Results, group: Group) -> String {
    let rows = of_group(results, group);
    if rows.is_empty() {
        return String::new();
    }
    let peers = peers(results, group);
    let mut head = vec!["workload".to_owned(), "unit".to_owned()];
    head.extend(peers.iter().map(|peer| title(peer).to_owned()));
    head.extend(["against the best peer", "goals", "limit"].map(str::to_owned));
    let cells: Vec<_> = rows.iter().map(|row| cells(row, &peers)).collect();
    let used: Vec<_> =
        (0..head.len()).filter(|column| cells.iter().any(|row| row[*column] != none())).collect();
    let line = |cells: &Vec<String>| {
        let cells: Vec<_> = used.iter().map(|column| cells[*column].as_str()).collect();
        format!("| {} |\n", cells.join(" | "))
    };
    let rule = "|---".repeat(used.len()) + "|\n";
    line(&head) + &rule + &cells.iter().map(line).collect::<String>()
}

fn cells(row: &Row<'_>, peers: &[&str]) -> Vec<String> {
    let metric = match row.workload.metrics {
        [_] => String::new(),
        _ => format!(", {}", row.metric.name),
    };
    let mut cells = vec![format!("`{}`: {}{metric}", row.workload.name, row.workload.about)];
    cells.push(row.metric.unit.to_owned());
    cells.extend(peers.iter().map(|peer| cell(row, peer)));
    cells.push(against_best(row, peers).unwrap_or_else(none));
    cells.push(goals(row).unwrap_or_else(none));
    cells.push(if row.metric.limit.is_empty() { none() } else { row.metric.limit.to_owned() });
    cells
}

fn none() -> String {
    "–".to_owned()
}

fn cell(row: &Row<'_>, peer: &str) -> String {
    match row.record(peer).map(|record| &record.outcome) {
        Some(Outcome::Figure(Figure { value, min, max })) => {
            format!("{} ({}–{})", number(*value), number(*min), number(*max))
        }
        Some(Outcome::Failure { .. }) => "failed".to_owned(),
        None => none(),
    }
}

/// The ratio to the peer that comes nearest to ours; strong where that is ahead.
fn against_best(row: &Row<'_>, peers: &[&str]) -> Option<String> {
    let others = peers.iter().filter(|peer| **peer != OURS);
    let ratios = others.filter_map(|peer| Some((row.times(peer)?, *peer)));
    let (times, peer) = ratios.min_by(|one, two| one.0.total_cmp(&two.0))?;
    let peer = title(peer);
    Some(match times {
        times if times < 1.0 => format!("**{times:.2} × {peer}**"),
        times if times < 10.0 => format!("{times:.1} × {peer}"),
        times => format!("{times:.0} × {peer}"),
    })
}

fn goals(row: &Row<'_>) -> Option<String> {
    let ours = row.figure(OURS)?.value;
    let goals: Vec<_> = row.metric.goals.iter().map(|goal| verdict(row, *goal, ours)).collect();
    (!goals.is_empty()).then(|| goals.join("; "))
}

fn verdict(row: &Row<'_>, goal: Goal, ours: f64) -> String {
    let more = more_is_better(row.metric.unit);
    let (text, met) = match goal {
        Goal::Value(value) if more => (format!("≥ {value}"), Some(ours >= value)),
        Goal::Value(value) => (format!("≤ {value}"), Some(ours <= value)),
        Goal::Times(times, peer) => {
            (format!("≥ {times} × {}", title(peer)), row.times(peer).map(|reached| reached >= times))
        }
        Goal::Beside(times, workload) => {
            (format!("≥ {times} × `{workload}`"), row.beside(workload).map(|reached| reached >= times))
        }
    };
    match met {
        Some(true) => format!("{text} met"),
        Some(false) => format!("{text} **not met**"),
        None => format!("{text}: no figure"),
    }
}
