//! Charts of lines as SVG files, for pages and reports.

use std::path::Path;

use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use crate::fault::Fault;

const SIZE: (u32, u32) = (900, 560);
/// Told apart by those who see few colours, too.
const COLOURS: [RGBColor; 7] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(86, 180, 233),
    RGBColor(230, 159, 0),
    RGBColor(60, 60, 60),
];
const GREY: RGBColor = RGBColor(110, 110, 110);

/// Lines over one pair of axes, which begin at 0.
pub(crate) struct Chart<'a> {
    pub(crate) title: &'a str,
    /// With the unit, as in `read, GB/s`.
    pub(crate) x_label: &'a str,
    pub(crate) y_label: &'a str,
    /// Where the axis ends; `None` a little above the highest point.
    pub(crate) y_end: Option<f64>,
    pub(crate) lines: Vec<Line>,
    pub(crate) marks: Vec<Mark>,
}

/// Points that belong together, by ascending x.
pub(crate) struct Line {
    pub(crate) name: String,
    pub(crate) points: Vec<(f64, f64)>,
}

/// An upright line at a place that means something.
pub(crate) struct Mark {
    pub(crate) x: f64,
    pub(crate) name: String,
}

impl Chart<'_> {
    /// Writes the file, over one that is there.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub(crate) fn write(&self, path: &Path) -> Result<(), Fault> {
        let failed = |why: String| Fault::failed(format!("{}: {why}", path.display()));
        let mut svg = String::new();
        self.draw(&mut svg).map_err(|error| failed(error.to_string()))?;
        std::fs::write(path, svg).map_err(|error| failed(error.to_string()))
    }

    fn draw(&self, svg: &mut String) -> Result<(), Box<dyn std::error::Error>> {
        let points = || self.lines.iter().flat_map(|line| &line.points);
        let marks = self.marks.iter().map(|mark| mark.x);
        let x_end = points().map(|point| point.0).chain(marks).fold(0.0, f64::max) * 1.02;
        let highest = points().map(|point| point.1).fold(0.0, f64::max) * 1.05;
        let y_end = self.y_end.unwrap_or(highest);
        let positive = |end: f64| if end > 0.0 && end.is_finite() { end } else { 1.0 };
        let (x_end, y_end) = (positive(x_end), positive(y_end));

        let area = SVGBackend::with_string(svg, SIZE).into_drawing_area();
        area.fill(&WHITE)?;
        let mut chart = ChartBuilder::on(&area)
            .caption(self.title, ("sans-serif", 20))
            .margin(16)
            .margin_right(28)
            .x_label_area_size(52)
            .y_label_area_size(68)
            .build_cartesian_2d(0.0..x_end, 0.0..y_end)?;
        chart
            .configure_mesh()
            .x_desc(self.x_label)
            .y_desc(self.y_label)
            .x_label_formatter(&short)
            .y_label_formatter(&short)
            .light_line_style(TRANSPARENT)
            .bold_line_style(RGBColor(225, 225, 225))
            .label_style(("sans-serif", 14))
            .axis_desc_style(("sans-serif", 15))
            .draw()?;
        for mark in &self.marks {
            let upright = [(mark.x, 0.0), (mark.x, y_end)];
            chart.draw_series(DashedLineSeries::new(upright, 5, 4, GREY.stroke_width(1)))?;
            // On the side where there is room.
            let (side, gap) =
                if mark.x > x_end / 2.0 { (HPos::Right, -0.006) } else { (HPos::Left, 0.006) };
            let style = ("sans-serif", 13).into_font().color(&GREY).pos(Pos::new(side, VPos::Top));
            let place = (mark.x + gap * x_end, y_end * 0.99);
            chart.draw_series([Text::new(mark.name.clone(), place, style)])?;
        }
        for (n, line) in self.lines.iter().enumerate() {
            let colour = COLOURS[n % COLOURS.len()];
            let dots = line.points.iter().map(|&point| Circle::new(point, 3, colour.filled()));
            chart.draw_series(dots)?;
            chart
                .draw_series(LineSeries::new(line.points.iter().copied(), colour.stroke_width(2)))?
                .label(&line.name)
                .legend(move |(x, y)| {
                    PathElement::new([(x, y), (x + 22, y)], colour.stroke_width(3))
                });
        }
        chart
            .configure_series_labels()
            .position(self.roomy_corner(x_end, y_end))
            .background_style(WHITE.mix(0.85))
            .border_style(RGBColor(200, 200, 200))
            .label_font(("sans-serif", 14))
            .legend_area_size(30)
            .margin(10)
            .draw()?;
        area.present()?;
        Ok(())
    }
}

impl Chart<'_> {
    /// Where the fewest points lie: there the names stand. Marks have theirs at the top.
    fn roomy_corner(&self, x_end: f64, y_end: f64) -> SeriesLabelPosition {
        let points = || self.lines.iter().flat_map(|line| &line.points);
        let inside = |right: bool, top: bool| {
            let (far, high) = (|x: f64| x > 0.7 * x_end, |y: f64| y > 0.65 * y_end);
            let (near, low) = (|x: f64| x < 0.3 * x_end, |y: f64| y < 0.35 * y_end);
            points()
                .filter(|&&(x, _)| if right { far(x) } else { near(x) })
                .filter(|&&(_, y)| if top { high(y) } else { low(y) })
                .count()
        };
        let corners = [
            (inside(true, false), SeriesLabelPosition::LowerRight),
            (inside(false, false), SeriesLabelPosition::LowerLeft),
            (inside(true, true), SeriesLabelPosition::UpperRight),
            (inside(false, true), SeriesLabelPosition::UpperLeft),
        ];
        let best = corners.into_iter().min_by_key(|(points, _)| *points);
        best.map_or(SeriesLabelPosition::LowerRight, |(_, corner)| corner)
    }
}

/// A number at an axis without zeros that say nothing.
fn short(value: &f64) -> String {
    format!("{}", (value * 1e6).round() / 1e6)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chart_shows_what_it_was_given() {
        let lines = vec![
            Line { name: "first".to_owned(), points: vec![(1.0, 10.0), (2.0, 20.0)] },
            Line { name: "second & last".to_owned(), points: vec![(1.0, 5.0)] },
        ];
        let marks = vec![Mark { x: 1.5, name: "here".to_owned() }];
        let (title, x_label, y_label) = ("a title", "time, s", "speed, GB/s");
        let chart = Chart { title, x_label, y_label, y_end: None, lines, marks };
        let folder = tempfile::tempdir().expect("temporary directory");
        let path = folder.path().join("chart.svg");
        chart.write(&path).expect("it can be written");
        let svg = std::fs::read_to_string(&path).expect("it is there");
        for text in
            ["<svg", "a title", "time, s", "speed, GB/s", "first", "second &amp; last", "here"]
        {
            assert!(svg.contains(text), "{text} in {svg}");
        }
        assert_eq!(svg.matches("<circle").count(), 3, "a dot for each point");
    }

    #[test]
    fn nothing_to_draw_is_an_empty_chart() {
        let chart = Chart {
            title: "empty",
            x_label: "x",
            y_label: "y",
            y_end: None,
            lines: Vec::new(),
            marks: Vec::new(),
        };
        let mut svg = String::new();
        assert!(chart.draw(&mut svg).is_ok(), "axes alone");
        assert!(svg.contains("empty"), "with the title");
    }
}
