//! `compare.png`: learning curves of groups of runs, against steps and against time.

use std::fs;
use std::ops::Range;
use std::path::Path;

use plotters::coord::types::RangedCoordf64;
use plotters::prelude::*;

use super::Metrics;
use super::curves::{range, register_fonts, short};
use crate::error::{Error, Result};
use crate::train::statistics::{Interval, estimate_quickly};

const SIZE: (u32, u32) = (1440, 640);
/// Points of a curve.
const POINTS: usize = 200;
/// Okabe and Ito's colours, which colour-blind readers tell apart.
const COLORS: [RGBColor; 7] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(86, 180, 233),
    RGBColor(230, 159, 0),
    RGBColor(60, 60, 60),
];

/// A group's learning curve: at each point the interquartile mean over its runs.
#[derive(Clone, Debug)]
pub struct Curve {
    /// The group's name.
    pub label: String,
    /// (x, interquartile mean, its 95 % interval where there are several runs)
    pub points: Vec<(f64, f64, Option<Interval>)>,
}

impl Curve {
    /// The curve of `return` over the column `x` where all runs have values; between iterations, linearly.
    pub fn of<'m>(label: &str, runs: impl IntoIterator<Item = &'m Metrics>, x: &str) -> Self {
        let series: Vec<Vec<(f64, f64)>> = runs
            .into_iter()
            .map(|run| run.series(x, "return"))
            .collect();
        // None if a run has no value at all.
        let first: Option<Vec<f64>> = series.iter().map(|run| Some(run.first()?.0)).collect();
        let last: Option<Vec<f64>> = series.iter().map(|run| Some(run.last()?.0)).collect();
        let (Some(first), Some(last)) = (first, last) else {
            return Self::empty(label);
        };
        let low = first.into_iter().fold(f64::NEG_INFINITY, f64::max);
        let high = last.into_iter().fold(f64::INFINITY, f64::min);
        if !(low.is_finite() && low <= high) {
            return Self::empty(label);
        }
        let point = |i: usize| {
            let x = low + (high - low) * i as f64 / (POINTS - 1) as f64;
            let values: Vec<f64> = series.iter().map(|run| interpolate(run, x)).collect();
            let (value, interval) = estimate_quickly(&values);
            (x, value, interval)
        };
        Self {
            label: label.to_owned(),
            points: (0..POINTS).map(point).collect(),
        }
    }

    fn empty(label: &str) -> Self {
        Self {
            label: label.to_owned(),
            points: Vec::new(),
        }
    }
}

/// The value at `x` of points in ascending order, constant beyond their ends.
fn interpolate(points: &[(f64, f64)], x: f64) -> f64 {
    let above = points.partition_point(|point| point.0 < x);
    let (Some(b), Some(a)) = (points.get(above), points.get(above.wrapping_sub(1))) else {
        return points[above.min(points.len() - 1)].1;
    };
    a.1 + (b.1 - a.1) * (x - a.0) / (b.0 - a.0)
}

/// Draws curves over control steps, and over seconds of training, and replaces the file at once.
pub fn draw(steps: &[Curve], seconds: &[Curve], title: &str, path: &Path) -> Result<()> {
    register_fonts();
    // The encoder goes by the extension.
    let temporary = path.with_extension("partial.png");
    plot(
        [("control steps", steps), ("seconds of training", seconds)],
        title,
        BitMapBackend::new(&temporary, SIZE),
    )
    .map_err(|error| Error::invalid(error).context(path.display()))?;
    fs::rename(&temporary, path).map_err(|error| Error::io(error).context(path.display()))
}

type Drawn = std::result::Result<(), Box<dyn std::error::Error>>;

fn plot(panels: [(&str, &[Curve]); 2], title: &str, backend: BitMapBackend<'_>) -> Drawn {
    let area = backend.into_drawing_area();
    area.fill(&WHITE)?;
    let area = area.margin(10, 0, 0, 0).titled(title, ("sans-serif", 26))?;
    for (part, (axis, curves)) in area.split_evenly((1, 2)).iter().zip(panels) {
        let points = || curves.iter().flat_map(|curve| &curve.points);
        let ends = |(_, value, interval): &(f64, f64, Option<Interval>)| {
            interval.map_or([*value, *value], |interval| [interval.low, interval.high])
        };
        let (x, y) = (
            range(points().map(|point| point.0)),
            range(points().flat_map(ends)),
        );
        panel(part, axis, curves, x, y)?;
    }
    area.present()?;
    Ok(())
}

fn panel(
    area: &DrawingArea<BitMapBackend<'_>, plotters::coord::Shift>,
    axis: &str,
    curves: &[Curve],
    x: Range<f64>,
    y: Range<f64>,
) -> Drawn {
    let mut chart = ChartBuilder::on(area)
        .margin(12)
        .x_label_area_size(46)
        .y_label_area_size(76)
        .build_cartesian_2d(x, y)?;
    chart
        .configure_mesh()
        .light_line_style(WHITE)
        .bold_line_style(RGBColor(225, 225, 225))
        .axis_style(RGBColor(120, 120, 120))
        .label_style(("sans-serif", 15))
        .axis_desc_style(("sans-serif", 17))
        .x_desc(axis)
        .y_desc("return: interquartile mean, 95 % interval")
        .x_labels(6)
        .y_labels(6)
        .x_label_formatter(&|x| short(*x))
        .y_label_formatter(&|y| short(*y))
        .draw()?;
    for (curve, color) in curves.iter().zip(COLORS.iter().cycle()) {
        line(&mut chart, curve, *color)?;
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::LowerRight)
        .background_style(WHITE.mix(0.85))
        .border_style(RGBColor(190, 190, 190))
        .label_font(("sans-serif", 17))
        .draw()?;
    Ok(())
}

type Chart<'a, 'b> =
    ChartContext<'a, BitMapBackend<'b>, Cartesian2d<RangedCoordf64, RangedCoordf64>>;

fn line(chart: &mut Chart<'_, '_>, curve: &Curve, color: RGBColor) -> Drawn {
    let interval = |pick: fn(Interval) -> f64| {
        curve
            .points
            .iter()
            .filter_map(move |(x, _, interval)| interval.map(|interval| (*x, pick(interval))))
    };
    let mut band: Vec<(f64, f64)> = interval(|interval| interval.low).collect();
    band.extend(
        interval(|interval| interval.high)
            .collect::<Vec<_>>()
            .iter()
            .rev(),
    );
    if !band.is_empty() {
        chart.draw_series([Polygon::new(band, color.mix(0.18))])?;
    }
    let points = curve.points.iter().map(|(x, value, _)| (*x, *value));
    chart
        .draw_series(LineSeries::new(points, color.stroke_width(2)))?
        .label(&curve.label)
        .legend(move |(x, y)| PathElement::new([(x, y), (x + 20, y)], color.stroke_width(3)));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::testing::TestDir;

    fn runs(dir: &TestDir, count: u32, rate: f64) -> Vec<Metrics> {
        let run = |seed: u32| {
            let path = dir.path().join(format!("{rate}-{seed}.csv"));
            let mut metrics = Metrics::create(&path);
            for i in 0..60 {
                let x = f64::from(i);
                let wave = (0.7 * x + f64::from(seed)).sin() * 40.0;
                let value = 1000.0 * (1.0 - (-x * rate).exp()) + wave + 20.0 * f64::from(seed);
                let cell = |name: &str, value| (name.to_owned(), value);
                metrics
                    .push(&vec![
                        cell("iteration", x),
                        cell("steps", x * 1e4),
                        cell("seconds", x * (1.0 + rate)),
                        cell("return", if i == 0 { f64::NAN } else { value }),
                    ])
                    .unwrap();
            }
            metrics
        };
        (0..count).map(run).collect()
    }

    #[test]
    fn curves_span_what_all_runs_have() {
        let dir = TestDir::new("comparison-span");
        let curve = Curve::of("a", &runs(&dir, 3, 0.1), "steps");
        let (first, last) = (curve.points[0], curve.points[POINTS - 1]);
        assert_eq!((first.0, last.0), (1e4, 59e4));
        assert!(curve.points.iter().all(|(_, value, interval)| {
            interval.is_some_and(|interval| interval.low <= *value && *value <= interval.high)
        }));
        assert!(Curve::of("none", &[], "steps").points.is_empty());
        let points = [(1.0, 10.0), (3.0, 30.0)];
        let found = [0.0, 1.0, 2.0, 3.0, 4.0].map(|x| interpolate(&points, x));
        assert_eq!(found, [10.0, 10.0, 20.0, 30.0, 30.0]);
    }

    #[test]
    fn bands_and_lines_of_several_groups_are_drawn() {
        let dir = TestDir::new("comparison");
        let (fast, slow) = (runs(&dir, 5, 0.2), runs(&dir, 1, 0.05));
        let curves = |x: &str| [Curve::of("fast", &fast, x), Curve::of("slow", &slow, x)];
        let path = dir.path().join("compare.png");
        draw(&curves("steps"), &curves("seconds"), "cartpole", &path).unwrap();
        if let Some(copy) = std::env::var_os("MANYWORLDS_KEEP_CURVES") {
            fs::copy(&path, copy).unwrap();
        }
        let mut pixels = vec![0; (SIZE.0 * SIZE.1 * 3) as usize];
        let (steps, seconds) = (curves("steps"), curves("seconds"));
        plot(
            [("control steps", &steps), ("seconds", &seconds)],
            "cartpole",
            BitMapBackend::with_buffer(&mut pixels, SIZE),
        )
        .unwrap();
        let count = |color: [u8; 3]| pixels.chunks(3).filter(|pixel| **pixel == color).count();
        let RGBColor(r, g, b) = COLORS[1];
        assert!(count([r, g, b]) > 500, "the second group has no line");
        // Blue at 18 % on white.
        let pale = |pixel: &[u8]| pixel[0] > 190 && pixel[2] > pixel[0] + 20;
        let band = pixels.chunks(3).filter(|pixel| pale(pixel)).count();
        assert!(band > 2000, "{band} pixels of bands");
        draw(&[], &[], "nothing", &path).unwrap();
    }
}
