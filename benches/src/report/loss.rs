//! What a lost packet does to everybody's messages: the table and the pictures of a run of `wan_bench`.

use std::collections::BTreeSet;
use std::path::Path;

use serde::Deserialize;

use super::plot::{self, Bar};
use super::rows::number;
use super::{named, replace_between};

/// Between these marks a page holds what is written here.
const MARK: &str = "head-of-line";

/// A line of `wan_bench`.
#[derive(Deserialize)]
struct Case {
    transport: String,
    lanes: u8,
    round_trip_ms: u64,
    loss_percent: f64,
    congestion: String,
    clean: bool,
    received: u64,
    /// Messages that came later than the path explains.
    waited: u64,
    p99_us: f64,
}

/// Replaces the marked part of `mesh.md` in this folder, and its pictures.
///
/// # Errors
/// If a line is not one of `wan_bench`, or of a run whose counts were wrong, or a file cannot be written.
pub(crate) fn write(json: &str, docs: &Path) -> Result<(), String> {
    let lines = json.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    let case =
        |(number, line)| serde_json::from_str(line).map_err(|error| format!("line {}: {error}", number + 1));
    let cases: Vec<Case> = lines.map(case).collect::<Result<_, _>>()?;
    if let Some(wrong) = cases.iter().find(|case| !case.clean) {
        return Err(format!("messages are missing in {}", wrong.path()));
    }
    let figures = docs.join("figures");
    std::fs::create_dir_all(&figures).map_err(|error| named(&figures, &error))?;
    for (name, caption, value) in PICTURES {
        let file = figures.join(name).with_extension("svg");
        let picture = plot::bars(caption, &rows(&cases, value))?;
        std::fs::write(&file, picture).map_err(|error| named(&file, &error))?;
    }
    let page = docs.join("mesh.md");
    let text = std::fs::read_to_string(&page).map_err(|error| named(&page, &error))?;
    let text = replace_between(&text, MARK, &render(&cases)).map_err(|error| named(&page, &error))?;
    std::fs::write(&page, text).map_err(|error| named(&page, &error))
}

type Value = fn(&Case) -> f64;

const PICTURES: [(&str, &str, Value); 2] = [
    ("head-of-line-p99", "99 of 100 messages are under way for at most, ms (less is better)", Case::p99),
    ("head-of-line-waited", "Messages that waited for something lost, % (less is better)", Case::share),
];

impl Case {
    fn path(&self) -> String {
        format!("{} ms, {} % lost", self.round_trip_ms, self.loss_percent)
    }

    /// How the nodes were connected.
    fn way(&self) -> String {
        let Self { transport, lanes, congestion, .. } = self;
        // That of TCP is the system's; of QUIC the default goes without its name.
        let control = match transport.as_str() {
            "quic" if congestion != "cubic" => format!(" {congestion}"),
            _ => String::new(),
        };
        format!("{}{control} × {lanes}", transport.to_uppercase())
    }

    fn p99(&self) -> f64 {
        self.p99_us / 1000.0
    }

    fn share(&self) -> f64 {
        100.0 * self.waited as f64 / self.received.max(1) as f64
    }
}

fn rows(cases: &[Case], value: Value) -> Vec<(String, Vec<Bar>)> {
    let lossy: Vec<_> = cases.iter().filter(|case| case.loss_percent > 0.0).collect();
    paths(&lossy)
        .into_iter()
        .map(|path| {
            let bars = lossy.iter().filter(|case| case.path() == path);
            let bars = bars.map(|case| Bar { label: case.way(), value: value(case) });
            let bars = bars.filter(|bar| bar.value > 0.0).collect();
            (path, bars)
        })
        .collect()
}

fn render(cases: &[Case]) -> String {
    let all: Vec<_> = cases.iter().collect();
    let ways = in_order(cases.iter().map(Case::way));
    let mut out =
        format!("\n| round trip, loss | {} |\n|---{}|\n", ways.join(" | "), "|---".repeat(ways.len()));
    for path in paths(&all) {
        let cell = |way: &String| {
            let case = cases.iter().find(|case| case.path() == path && case.way() == *way);
            case.map_or("–".to_owned(), |case| {
                format!("{} ms, {} %", number(case.p99()), number(case.share()))
            })
        };
        out += &format!("| {path} | {} |\n", ways.iter().map(cell).collect::<Vec<_>>().join(" | "));
    }
    for (name, caption, _) in PICTURES {
        out += &format!("\n![{caption}](figures/{name}.svg)\n");
    }
    let control: BTreeSet<_> =
        cases.iter().map(|case| format!("{} {}", case.transport.to_uppercase(), case.congestion)).collect();
    out + &format!("\nCongestion control: {}.\n\n", control.into_iter().collect::<Vec<_>>().join(", "))
}

fn paths(cases: &[&Case]) -> Vec<String> {
    in_order(cases.iter().map(|case| case.path()))
}

/// Each once, as they first occur.
fn in_order(names: impl Iterator<Item = String>) -> Vec<String> {
    names.fold(Vec::new(), |mut seen, name| {
        if !seen.contains(&name) {
            seen.push(name);
        }
        seen
    })
}

#[cfg(test)]
mod tests {
    const CASE: &str = r#"{"transport":"tcp","lanes":1,"round_trip_ms":50,"loss_percent":1.0,"congestion":"cubic","clean":true,"received":200,"waited":20,"p99_us":91000}"#;

    fn page() -> tempfile::TempDir {
        let docs = tempfile::tempdir().expect("a folder");
        let text = "Before\n<!-- head-of-line -->\nold\n<!-- /head-of-line -->\nafter\n";
        std::fs::write(docs.path().join("mesh.md"), text).expect("written");
        docs
    }

    #[test]
    fn a_run_becomes_a_table_and_two_pictures() {
        let docs = page();
        let run = format!("{CASE}\n{}", CASE.replace("\"tcp\",\"lanes\":1", "\"quic\",\"lanes\":4"));
        super::write(&run, docs.path()).expect("a report");
        let text = std::fs::read_to_string(docs.path().join("mesh.md")).expect("a page");
        assert!(text.contains("| round trip, loss | TCP × 1 | QUIC × 4 |"), "{text}");
        assert!(text.contains("| 50 ms, 1 % lost | 91.0 ms, 10.0 % | 91.0 ms, 10.0 % |"), "{text}");
        assert!(!text.contains("old") && text.ends_with("<!-- /head-of-line -->\nafter\n"), "{text}");
        for name in ["head-of-line-p99", "head-of-line-waited"] {
            let file = docs.path().join("figures").join(name).with_extension("svg");
            let picture = std::fs::read_to_string(file).expect("a picture");
            assert!(picture.contains("QUIC × 4"), "{picture}");
        }
    }

    #[test]
    fn each_congestion_control_of_quic_has_a_column() {
        let docs = page();
        let of = |control: &str, us: &str| {
            CASE.replace("tcp", "quic").replace("cubic", control).replace("91000", us)
        };
        let tcp = CASE.replace("cubic", "reno").replace("91000", "71000");
        let run = [of("cubic", "91000"), of("newreno", "84000"), of("bbr", "82000"), tcp].join("\n");
        super::write(&run, docs.path()).expect("a report");
        let text = std::fs::read_to_string(docs.path().join("mesh.md")).expect("a page");
        let head = "| round trip, loss | QUIC × 1 | QUIC newreno × 1 | QUIC bbr × 1 | TCP × 1 |";
        assert!(text.contains(head), "{text}");
        assert!(
            text.contains("| 91.0 ms, 10.0 % | 84.0 ms, 10.0 % | 82.0 ms, 10.0 % | 71.0 ms, 10.0 % |"),
            "{text}"
        );
        assert!(text.contains("QUIC bbr, QUIC cubic, QUIC newreno, TCP reno."), "{text}");
    }

    #[test]
    fn a_run_with_missing_messages_is_refused() {
        let error = super::write(&CASE.replace("true", "false"), page().path()).expect_err("refused");
        assert!(error.contains("missing"), "{error}");
    }
}
