//! Plots of what was measured, as SVG.

use super::Contestant;
use super::paced::Paced;
use super::report::{Report, Spread, ratio};
use plotters::prelude::*;

const WIDE: u32 = 860;
const FONT: &str = "sans-serif";
/// What the bare handler is drawn in, and what is ours: apart also for those who see no colours.
const BARE: RGBColor = RGBColor(150, 150, 150);
const OURS: RGBColor = RGBColor(0, 92, 158);

/// One of the figures of a measurement at a fixed rate.
type Figure = fn(&Paced) -> f64;

/// The name of a file, what it shows, and its content.
pub fn all(report: &Report) -> Vec<(&'static str, &'static str, String)> {
    let ours = &report.contestants[1..];
    let mut plots = vec![("ratios.svg", "Requests a second as a ratio to the bare handler", ratios(report))];
    if ours.iter().any(|contestant| !contestant.paced.is_empty()) {
        plots.push(("latency.svg", "Time to the answer at fixed rates of arrival", latency(ours)));
    }
    plots
}

/// A bar for each, from nothing to its median, and a line from its worst round to its best.
fn ratios(report: &Report) -> String {
    let bars: Vec<(&str, Spread)> =
        report.contestants.iter().map(|one| (one.name, ratio(one, &report.contestants[0]))).collect();
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, (WIDE, 60 + 30 * bars.len() as u32)).into_drawing_area();
        area.fill(&WHITE).expect("it is drawn");
        let mut chart = ChartBuilder::on(&area)
            .margin(12)
            .margin_right(50)
            .x_label_area_size(30)
            .y_label_area_size(170)
            .build_cartesian_2d(0.0..1.0, 0.0..bars.len() as f64)
            .expect("a chart");
        let mut mesh = chart.configure_mesh();
        mesh.disable_y_mesh().disable_y_axis().y_labels(0).x_labels(11).light_line_style(WHITE);
        mesh.label_style((FONT, 14)).draw().expect("it is drawn");
        for (place, (name, spread)) in bars.iter().rev().enumerate() {
            let (low, middle) = (place as f64 + 0.2, place as f64 + 0.5);
            let colour = if *name == bars[0].0 { BARE } else { OURS };
            let bar = Rectangle::new([(0.0, low), (spread.median, low + 0.6)], colour.filled());
            let line = PathElement::new([(spread.low, middle), (spread.high, middle)], BLACK.stroke_width(2));
            let said = format!("{:.2}", spread.median);
            let beside = (spread.high.max(spread.median) + 0.01, middle + 0.25);
            let said = Text::new(said, beside, (FONT, 14).into_font());
            chart.draw_series([bar]).expect("it is drawn");
            chart.draw_series([line]).expect("it is drawn");
            chart.draw_series([said]).expect("it is drawn");
            let at = area.get_pixel_range().1.start + 12 + ((bars.len() - place) as i32 * 30 - 22);
            area.draw(&Text::new((*name).to_owned(), (14, at), (FONT, 14).into_font())).expect("it is drawn");
        }
        area.present().expect("it is drawn");
    }
    svg
}

/// A field for each that was measured so: p50, p99 and p99.9 by rate, ours and the bare handler's.
fn latency(ours: &[Contestant]) -> String {
    let shown: Vec<&Contestant> = ours.iter().filter(|one| !one.paced.is_empty()).collect();
    let rows = shown.len().div_ceil(2);
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, (WIDE, 240 * rows as u32)).into_drawing_area();
        area.fill(&WHITE).expect("it is drawn");
        for (field, contestant) in area.split_evenly((rows, 2)).iter().zip(shown) {
            one_latency(field, contestant);
        }
        area.present().expect("it is drawn");
    }
    svg
}

fn one_latency(field: &DrawingArea<SVGBackend<'_>, plotters::coord::Shift>, contestant: &Contestant) {
    let most = contestant.paced.iter().map(|(ours, _)| ours.rate).fold(0.0, f64::max);
    let caption = format!("{} (ms by requests/s)", contestant.name);
    let mut chart = ChartBuilder::on(field)
        .caption(caption, (FONT, 15))
        .margin(8)
        .x_label_area_size(26)
        .y_label_area_size(44)
        .build_cartesian_2d(0.0..most * 1.05, (0.05..1000.0).log_scale())
        .expect("a chart");
    let mut mesh = chart.configure_mesh();
    mesh.x_label_formatter(&|rate| format!("{rate:.0}")).y_label_formatter(&|ms| format!("{ms}"));
    mesh.light_line_style(WHITE).x_labels(5).y_labels(6).label_style((FONT, 12)).draw().expect("it is drawn");
    let figures: [(&str, Figure); 3] =
        [("p50", |paced| paced.p50_ms), ("p99", |paced| paced.p99_ms), ("p99.9", |paced| paced.p999_ms)];
    for (place, (name, figure)) in figures.into_iter().enumerate() {
        let style = |colour: RGBColor| colour.stroke_width(1 + place as u32);
        let bare = contestant.paced.iter().map(|(ours, bare)| (ours.rate, figure(bare)));
        chart.draw_series(LineSeries::new(bare, style(BARE))).expect("it is drawn");
        let line: Vec<(f64, f64)> =
            contestant.paced.iter().map(|(ours, _)| (ours.rate, figure(ours))).collect();
        let begin = line.first().copied().unwrap_or_default();
        chart.draw_series(LineSeries::new(line, style(OURS))).expect("it is drawn");
        let said = Text::new(name, (begin.0 * 0.7, begin.1 * 1.2), (FONT, 12).into_font().color(&OURS));
        chart.draw_series([said]).expect("it is drawn");
    }
}
