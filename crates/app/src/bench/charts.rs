//! `--plot`: what was measured as pictures in one SVG file, a panel each.

use std::path::Path;

use plotters::coord::Shift;
use plotters::prelude::*;

use super::figures::{median, percentile};
use super::report::{each, latencies, merged, speeds};
use super::run::Outcome;
use crate::fault::Fault;
use crate::report::{Rates, parts};
use crate::size::shown;

const WIDTH: u32 = 900;
/// Of one panel.
const HEIGHT: u32 = 340;
/// The horizontal axis is so much longer than the data: the legend stands there.
const LEGEND: f64 = 1.2;
/// Points of a distribution.
const STEPS: u32 = 100;
/// Of lines and bars in turn; told apart by the colour-blind too.
const COLOURS: [RGBColor; 8] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(230, 159, 0),
    RGBColor(86, 180, 233),
    RGBColor(120, 94, 60),
    RGBColor(90, 90, 90),
];

const MEMORY: &str = "memory, MiB";

type Panel<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Drawn = Result<(), Box<dyn std::error::Error>>;

/// A line of a panel.
struct Line {
    name: String,
    points: Vec<(f64, f64)>,
}

/// Words of a panel.
struct Words<'a> {
    title: &'a str,
    x: &'a str,
    y: &'a str,
}

/// Draws the budgets side by side where there are several, and the distribution of latencies and
/// the parts of the time of each.
///
/// # Errors
/// A file that cannot be written, by name.
pub(super) fn draw(path: &Path, outcomes: &[Outcome]) -> Result<(), Fault> {
    panels(path, outcomes)
        .map_err(|error| Fault::failed(format!("{}: cannot be drawn: {error}", path.display())))
}

/// Says whether there is a place for the picture, before hours are spent on what it shows.
pub(super) fn check(path: &Path) -> Result<(), Fault> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let name = path.display();
    match folder.map(std::fs::metadata) {
        Some(Err(error)) => Err(Fault::failed(format!("--plot {name}: its folder: {error}"))),
        Some(Ok(about)) if !about.is_dir() => {
            Err(Fault::failed(format!("--plot {name}: its folder is no directory")))
        }
        _ => Ok(()),
    }
}

fn panels(path: &Path, outcomes: &[Outcome]) -> Drawn {
    let rows = if outcomes.len() > 1 { 4 } else { 2 };
    let root = SVGBackend::new(path, (WIDTH, rows * HEIGHT)).into_drawing_area();
    root.fill(&WHITE)?;
    let mut panels = root.split_evenly((rows as usize, 1)).into_iter();
    let mut next = || panels.next().ok_or("fewer panels than pictures");
    let test = outcomes.first().map(|outcome| outcome.test.name()).unwrap_or_default();
    if outcomes.len() > 1 {
        let title = format!("{test}: speed by memory");
        let words = Words { title: &title, x: MEMORY, y: "tok/s" };
        lines(&next()?, &words, &speed_lines(outcomes))?;
        let title = format!("{test}: experts found in memory");
        let words = Words { title: &title, x: MEMORY, y: "hit rate, %" };
        let rate = |outcome: &Outcome| Rates::of(&merged(outcome)).hit_rate.map(|r| 100.0 * r);
        lines(&next()?, &words, &[line("hit rate", outcomes, rate)])?;
    }
    let title = format!("{test}: share of steps that took no longer");
    let words = Words { title: &title, x: "ms", y: "%" };
    lines(&next()?, &words, &outcomes.iter().map(distribution).collect::<Vec<_>>())?;
    bars(&next()?, &format!("{test}: where the time goes"), outcomes)?;
    root.present()?;
    Ok(())
}

/// One point a budget, where there is a value.
fn line(name: &str, outcomes: &[Outcome], value: impl Fn(&Outcome) -> Option<f64>) -> Line {
    let mebibytes = |outcome: &Outcome| outcome.plan.budget_bytes as f64 / f64::from(1 << 20);
    let point = |outcome| Some((mebibytes(outcome), value(outcome)?));
    let mut points: Vec<(f64, f64)> = outcomes.iter().filter_map(point).collect();
    points.sort_by(|a, b| a.0.total_cmp(&b.0));
    Line { name: name.to_owned(), points }
}

fn speed_lines(outcomes: &[Outcome]) -> Vec<Line> {
    vec![
        line("median", outcomes, |outcome| median(&each(outcome))),
        line("p5", outcomes, |outcome| percentile(&speeds(outcome), 0.05)),
        line("p95", outcomes, |outcome| percentile(&speeds(outcome), 0.95)),
        line("predicted", outcomes, |outcome| Some(outcome.predicted?.tok_per_s)),
        line("bound", outcomes, |outcome| Some(outcome.bounds?.bound)),
    ]
}

/// The share of steps that took at most so many milliseconds.
fn distribution(outcome: &Outcome) -> Line {
    let latencies = latencies(outcome);
    let point = |n: u32| {
        let share = f64::from(n) / f64::from(STEPS);
        Some((1000.0 * percentile(&latencies, share)?, 100.0 * share))
    };
    let points = (0..=STEPS).filter_map(point).collect();
    Line { name: shown(outcome.plan.budget_bytes), points }
}

fn lines(panel: &Panel<'_>, words: &Words<'_>, lines: &[Line]) -> Drawn {
    let points = || lines.iter().flat_map(|line| &line.points);
    let most = |of: fn(&(f64, f64)) -> f64| points().map(of).fold(1e-9, f64::max);
    let mut chart = ChartBuilder::on(panel)
        .caption(words.title, ("sans-serif", 20))
        .margin(12)
        .x_label_area_size(44)
        .y_label_area_size(64)
        .build_cartesian_2d(
            0.0..LEGEND * most(|point| point.0),
            0.0..1.05 * most(|point| point.1),
        )?;
    chart.configure_mesh().x_desc(words.x).y_desc(words.y).light_line_style(WHITE).draw()?;
    for (line, colour) in lines.iter().zip(COLOURS.iter().cycle()) {
        if line.points.is_empty() {
            continue;
        }
        chart
            .draw_series(LineSeries::new(line.points.iter().copied(), colour.stroke_width(2)))?
            .label(&*line.name)
            .legend(|(x, y)| PathElement::new([(x, y), (x + 18, y)], colour.stroke_width(2)));
        if line.points.len() < STEPS as usize {
            let dots = line.points.iter().map(|point| Circle::new(*point, 3, colour.filled()));
            chart.draw_series(dots)?;
        }
    }
    let ground = WHITE.mix(0.85);
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::LowerRight)
        .background_style(ground)
        .border_style(BLACK.mix(0.2))
        .draw()?;
    Ok(())
}

/// A bar a budget, cut into the parts of the time of one token.
fn bars(panel: &Panel<'_>, title: &str, outcomes: &[Outcome]) -> Drawn {
    let stacks: Vec<Vec<(&'static str, f64)>> = outcomes.iter().map(stack).collect();
    let total = |stack: &Vec<(&str, f64)>| stack.iter().map(|(_, part)| part).sum::<f64>();
    let most = stacks.iter().map(total).fold(1e-9, f64::max);
    let count = outcomes.len();
    // Room to the right for the legend.
    let width = count as f64 + (count as f64 / 3.0).max(0.5);
    let name = |x: &f64| {
        let at = x - 0.5;
        let outcome = outcomes.get(at.round() as usize).filter(|_| (at - at.round()).abs() < 0.01);
        outcome.map(|outcome| shown(outcome.plan.budget_bytes)).unwrap_or_default()
    };
    let mut chart = ChartBuilder::on(panel)
        .caption(title, ("sans-serif", 20))
        .margin(12)
        .x_label_area_size(44)
        .y_label_area_size(64)
        .build_cartesian_2d((0.0..width).step(0.5), 0.0..1.05 * most)?;
    chart
        .configure_mesh()
        .disable_x_mesh()
        .x_labels(4 * count + 4)
        .x_label_formatter(&name)
        .x_desc("memory")
        .y_desc("ms/tok")
        .light_line_style(WHITE)
        .draw()?;
    let names: Vec<&'static str> = stacks.iter().flatten().map(|(name, _)| *name).collect();
    for (part, colour) in COLOURS.iter().enumerate().take(stacks.first().map_or(0, Vec::len)) {
        let bar = |(n, stack): (usize, &Vec<(&str, f64)>)| {
            let below: f64 = stack[..part].iter().map(|(_, part)| part).sum();
            let (left, right) = (n as f64 + 0.2, n as f64 + 0.8);
            Rectangle::new([(left, below), (right, below + stack[part].1)], colour.filled())
        };
        chart
            .draw_series(stacks.iter().enumerate().map(bar))?
            .label(names[part])
            .legend(|(x, y)| Rectangle::new([(x, y - 5), (x + 12, y + 5)], colour.filled()));
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperRight)
        .background_style(WHITE.mix(0.85))
        .border_style(BLACK.mix(0.2))
        .draw()?;
    Ok(())
}

/// The parts of one token's time, in milliseconds.
fn stack(outcome: &Outcome) -> Vec<(&'static str, f64)> {
    let phase = merged(outcome);
    let per_token = |seconds: f64| 1000.0 * seconds / phase.tokens.max(1) as f64;
    parts(&phase).map(|(name, part)| (name, per_token(part.as_secs_f64()))).to_vec()
}
