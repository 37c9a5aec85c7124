//! The tables and pictures of the documentation.

pub(crate) mod loss;
mod plot;
mod rows;
mod table;

use std::path::Path;

use crate::measure::{Group, Page};
use crate::record::Results;

/// Between these marks a page holds what is written here.
const MARK: &str = "figures";

/// Replaces the marked part of a page in this folder, and the pictures in its `figures`.
///
/// # Errors
/// If a workload is unknown, the marks are missing, or a file cannot be read or written.
pub(crate) fn write(results: &Results, docs: &Path, page: Page) -> Result<(), String> {
    rows::check(results)?;
    let groups: Vec<_> = Group::ALL.into_iter().filter(|group| group.page() == page).collect();
    let page = docs.join(page.file());
    let text = std::fs::read_to_string(&page).map_err(|error| named(&page, &error))?;
    let text =
        replace_between(&text, MARK, &render(results, &groups)).map_err(|error| named(&page, &error))?;
    draw(results, &groups, &docs.join("figures"))?;
    std::fs::write(&page, text).map_err(|error| named(&page, &error))
}

/// The tables, each with its picture.
fn render(results: &Results, groups: &[Group]) -> String {
    let mut out = format!(
        "\n{}.\nThe median stands first, the least and the most of all rounds in brackets.\n",
        results.machine
    );
    for &group in groups {
        let table = table::render(results, group);
        if table.is_empty() {
            continue;
        }
        let (heading, name) = group.heading();
        out += &format!("\n### {heading}\n\n{table}");
        if plot::has_picture(results, group) {
            out +=
                &format!("\n![{heading}: the medians as bars on a logarithmic axis](figures/{name}.svg)\n");
        }
    }
    out + "\n"
}

fn replace_between(page: &str, mark: &str, text: &str) -> Result<String, String> {
    let (begin, end) = (format!("<!-- {mark} -->"), format!("<!-- /{mark} -->"));
    let missing = || format!("the marks {begin} and {end} are missing");
    let (before, rest) = page.split_once(&begin).ok_or_else(missing)?;
    let (_, after) = rest.split_once(&end).ok_or_else(missing)?;
    Ok(format!("{before}{begin}\n{text}{end}{after}"))
}

fn named(file: &Path, error: &dyn std::fmt::Display) -> String {
    format!("{}: {error}", file.display())
}

fn draw(results: &Results, groups: &[Group], folder: &Path) -> Result<(), String> {
    std::fs::create_dir_all(folder).map_err(|error| named(folder, &error))?;
    for &group in groups.iter().filter(|group| plot::has_picture(results, **group)) {
        let file = folder.join(group.heading().1).with_extension("svg");
        let picture = plot::draw(results, group)?;
        std::fs::write(&file, picture).map_err(|error| named(&file, &error))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::measure::Page;
    use crate::record::Results;

    const RUN: &str = include_str!("canned.jsonl");

    fn report() -> (String, tempfile::TempDir) {
        let docs = tempfile::tempdir().expect("a folder");
        let page = docs.path().join("performance.md");
        std::fs::write(&page, "Before\n<!-- figures -->\nold\n<!-- /figures -->\nafter\n").expect("written");
        let results = Results::read(RUN).expect("a run");
        super::write(&results, docs.path(), Page::Performance).expect("a report");
        (std::fs::read_to_string(page).expect("a page"), docs)
    }

    #[test]
    fn the_report_replaces_the_marked_part_of_the_page() {
        let (page, docs) = report();
        assert!(page.starts_with("Before\n<!-- figures -->") && page.ends_with("<!-- /figures -->\nafter\n"));
        assert!(!page.contains("old"), "{page}");
        super::write(&Results::read(RUN).expect("a run"), docs.path(), Page::Performance)
            .expect("a second report");
        let again = std::fs::read_to_string(docs.path().join("performance.md")).expect("a page");
        assert_eq!(page, again);
    }

    #[test]
    fn the_tables_have_figures_ratios_and_goals() {
        let (page, _docs) = report();
        assert!(page.contains("2 cores of a processor"), "{page}");
        let count = page.lines().find(|line| line.starts_with("| `count`")).expect("a row");
        assert!(count.contains("| 40.0 (38.0–41.0) |") && count.contains("| 8.00 (7.00–9.00) |"), "{count}");
        assert!(count.contains("5.0 × Erlang") && count.contains("≥ 27 met"), "{count}");
        assert!(count.contains("≥ 3 × actix: no figure"), "{count}");
        let ping_pong = page.lines().find(|line| line.starts_with("| `ping-pong`")).expect("a row");
        assert!(ping_pong.contains("≤ 100 **not met**") && ping_pong.contains("failed"), "{ping_pong}");
        assert!(ping_pong.contains("| 1 050 (1 000–1 100) |"), "{ping_pong}");
        let wakes: Vec<_> = page.lines().filter(|line| line.starts_with("| `wake-1ms`")).collect();
        assert!(wakes.len() == 2 && wakes[1].contains("p99 | us | 20.0 (19.0–21.0) |"), "{wakes:?}");
    }

    #[test]
    fn each_group_with_figures_has_a_picture() {
        let (page, docs) = report();
        for name in ["messages", "trips", "waits"] {
            assert!(page.contains(&format!("(figures/{name}.svg)")), "{page}");
            let file = docs.path().join("figures").join(name).with_extension("svg");
            let picture = std::fs::read_to_string(file).expect("a picture");
            assert!(picture.contains("<svg") && picture.contains("Myrmidon"), "{picture}");
        }
        assert!(!docs.path().join("figures/actors.svg").exists());
    }

    #[test]
    fn a_page_without_marks_and_a_run_of_unknown_workloads_are_refused() {
        let docs = tempfile::tempdir().expect("a folder");
        std::fs::write(docs.path().join("performance.md"), "no marks").expect("written");
        let error = super::write(&Results::read(RUN).expect("a run"), docs.path(), Page::Performance)
            .expect_err("refused");
        assert!(error.contains("marks"), "{error}");
        let unknown = Results::read(&RUN.replace("ping-pong", "pong-ping")).expect("a run");
        let error = super::write(&unknown, docs.path(), Page::Performance).expect_err("refused");
        assert!(error.contains("pong-ping"), "{error}");
        assert!(Results::read("{}").is_err() && Results::read("").is_err());
    }
}
