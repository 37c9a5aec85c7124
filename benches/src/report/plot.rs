//! Pictures: the medians of a group as bars on a logarithmic axis.

use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::rows::{Row, number, of_group, peers, title};
use crate::measure::{Group, more_is_better};
use crate::record::Results;

const WIDTH: u32 = 860;
/// The heights of a bar, of the space between two rows, and of all that is not bars.
const BAR: u32 = 17;
const GAP: u32 = 14;
const FRAME: u32 = 90;

/// By the label of a bar; what is not here is black.
const COLOURS: [(&str, RGBColor); 13] = [
    ("Myrmidon", RGBColor(0, 90, 156)),
    ("Erlang", RGBColor(169, 5, 51)),
    ("actix", RGBColor(120, 120, 120)),
    ("ractor", RGBColor(160, 160, 160)),
    ("kameo", RGBColor(190, 190, 190)),
    ("bare sockets", RGBColor(150, 150, 150)),
    ("pyzmq", RGBColor(190, 120, 0)),
    ("TCP × 1", RGBColor(120, 120, 120)),
    ("TCP × 4", RGBColor(160, 160, 160)),
    ("TCP × 8", RGBColor(190, 190, 190)),
    ("QUIC × 1", RGBColor(120, 170, 215)),
    ("QUIC × 4", RGBColor(0, 90, 156)),
    ("QUIC × 8", RGBColor(0, 60, 110)),
];

/// A bar: whose it is, and how long.
pub(super) struct Bar {
    pub(super) label: String,
    pub(super) value: f64,
}

/// Whether the group has figures of one unit, greater than zero, to draw.
pub(super) fn has_picture(results: &Results, group: Group) -> bool {
    group != Group::Control && of_group(results, group).iter().any(|row| !bars_of(row, results).is_empty())
}

/// The picture of a group as SVG.
///
/// # Errors
/// What the plotting library says.
pub(super) fn draw(results: &Results, group: Group) -> Result<String, String> {
    let all = of_group(results, group);
    let unit = all[0].metric.unit;
    let rows: Vec<_> = all.iter().map(|row| (row.label(), bars_of(row, results))).collect();
    let better = if more_is_better(unit) { "more is better" } else { "less is better" };
    bars(&format!("{}, {unit} ({better})", group.heading().0), &rows)
}

/// Rows of bars as SVG; those without bars are left out.
///
/// # Errors
/// What the plotting library says.
pub(super) fn bars(caption: &str, rows: &[(String, Vec<Bar>)]) -> Result<String, String> {
    let rows: Vec<_> = rows.iter().filter(|(_, bars)| !bars.is_empty()).collect();
    let heights: u32 = rows.iter().map(|(_, bars)| height(bars)).sum();
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, (WIDTH, heights + FRAME)).into_drawing_area();
        chart(&area, caption, &rows, heights).map_err(|error| error.to_string())?;
        area.present().map_err(|error| error.to_string())?;
    }
    Ok(svg)
}

fn chart<B: DrawingBackend>(
    area: &DrawingArea<B, Shift>,
    caption: &str,
    rows: &[&(String, Vec<Bar>)],
    height_of_rows: u32,
) -> Result<(), DrawingAreaErrorKind<B::ErrorType>> {
    area.fill(&WHITE)?;
    let (low, high) = range(rows);
    // The first row is on top: the vertical axis counts pixels downwards.
    let mut chart = ChartBuilder::on(area)
        .caption(caption, ("sans-serif", 18))
        .margin(10)
        .margin_right(20)
        .x_label_area_size(30)
        .y_label_area_size(140)
        .build_cartesian_2d((low..high).log_scale(), f64::from(height_of_rows)..0.0)?;
    chart
        .configure_mesh()
        .disable_y_mesh()
        .disable_y_axis()
        .x_label_formatter(&|value| tick(*value))
        .light_line_style(TRANSPARENT)
        .label_style(("sans-serif", 12))
        .draw()?;
    let mut top = f64::from(GAP) / 2.0;
    for (label, bars) in rows {
        let middle = top + f64::from(BAR * count(bars)) / 2.0;
        write(area, label, chart.backend_coord(&(low, middle)), HPos::Right)?;
        for (index, bar) in bars.iter().enumerate() {
            let upper = top + f64::from(BAR) * index as f64;
            let lower = upper + f64::from(BAR) - 3.0;
            let corners = [(low, upper), (bar.value, lower)];
            chart.draw_series(std::iter::once(Rectangle::new(corners, colour(&bar.label).filled())))?;
            let label = format!("{} {}", bar.label, number(bar.value));
            let end = chart.backend_coord(&(bar.value, f64::midpoint(upper, lower)));
            write(area, &label, end, HPos::Left)?;
        }
        top += f64::from(height(bars));
    }
    Ok(())
}

/// The label of a tick at a one, two or five; the others stand too close.
fn tick(value: f64) -> String {
    let leading = value / 10_f64.powf((value * 1.001).log10().floor());
    if ![1.0, 2.0, 5.0].iter().any(|digit| (leading - digit).abs() < 0.01) {
        return String::new();
    }
    if value < 1000.0 { format!("{value}") } else { number(value) }
}

/// Writes a few pixels beside a point; `side` is the side of the text that is there.
fn write<B: DrawingBackend>(
    area: &DrawingArea<B, Shift>,
    text: &str,
    (x, y): (i32, i32),
    side: HPos,
) -> Result<(), DrawingAreaErrorKind<B::ErrorType>> {
    let x = if matches!(side, HPos::Right) { x - 8 } else { x + 5 };
    let style = TextStyle::from(("sans-serif", 13)).pos(Pos::new(side, VPos::Center));
    area.draw(&Text::new(text, (x, y), style))
}

fn bars_of(row: &Row<'_>, results: &Results) -> Vec<Bar> {
    let bar = |peer| Some(Bar { label: title(peer).to_owned(), value: row.figure(peer)?.value });
    peers(results, row.workload.group).into_iter().filter_map(bar).filter(|bar| bar.value > 0.0).collect()
}

fn count(bars: &[Bar]) -> u32 {
    u32::try_from(bars.len()).unwrap_or(u32::MAX)
}

fn height(bars: &[Bar]) -> u32 {
    BAR * count(bars) + GAP
}

/// From the power of ten below the least value to where the longest bar leaves room for its label.
fn range(rows: &[&(String, Vec<Bar>)]) -> (f64, f64) {
    let values = || rows.iter().flat_map(|(_, bars)| bars).map(|bar| bar.value);
    let (least, most) =
        values().fold((f64::MAX, 0.0_f64), |(low, high), value| (low.min(value), high.max(value)));
    let low = 10_f64.powf((least * 0.8).log10().floor());
    (low, most * (most / low).powf(0.25).max(1.5))
}

fn colour(label: &str) -> RGBColor {
    COLOURS.iter().find(|(name, _)| *name == label).map_or(BLACK, |(_, colour)| *colour)
}

#[cfg(test)]
mod tests {
    use super::tick;

    #[test]
    fn ticks_at_one_two_and_five_have_labels() {
        let ticks = [0.1, 0.5, 1.0, 2.0, 3.0, 9.0, 10.0, 400.0, 500.0, 20_000.0].map(tick);
        assert_eq!(ticks, ["0.1", "0.5", "1", "2", "", "", "10", "", "500", "20 000"]);
    }
}
