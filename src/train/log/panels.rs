//! Panels of series with error bars, side by side.

use std::path::Path;

use plotters::prelude::*;

use super::curves::{range, register_fonts, short};
use crate::error::{Error, Result};

/// One set of axes.
pub struct Panel {
    /// What stands above it.
    pub title: String,
    /// What it shows.
    pub series: Vec<Series>,
}

/// Points that belong together.
pub struct Series {
    /// Its name in the legend.
    pub label: String,
    /// x, y, and half the length of the error bar.
    pub points: Vec<(f64, f64, f64)>,
}

const PANEL: (u32, u32) = (520, 420);
const COLORS: [RGBColor; 4] = [
    RGBColor(31, 99, 171),
    RGBColor(201, 94, 22),
    RGBColor(46, 125, 50),
    RGBColor(120, 60, 150),
];

/// Draws panels, two to a row, and replaces the file at once.
///
/// # Errors
/// There is nothing to draw, or the file cannot be written.
pub fn draw(panels: &[Panel], title: &str, path: &Path) -> Result<()> {
    if panels.is_empty() {
        return Err(Error::invalid("nothing to draw").context(path.display()));
    }
    register_fonts();
    let (columns, rows) = (panels.len().min(2), panels.len().div_ceil(2));
    let size = (PANEL.0 * columns as u32, PANEL.1 * rows as u32);
    let temporary = path.with_extension("partial.png");
    let backend = BitMapBackend::new(&temporary, size);
    plot(panels, title, backend, (rows, columns))
        .map_err(|error| Error::invalid(error).context(path.display()))?;
    std::fs::rename(&temporary, path).map_err(|error| Error::io(error).context(path.display()))
}

fn plot(
    panels: &[Panel],
    title: &str,
    backend: BitMapBackend,
    grid: (usize, usize),
) -> Result<(), Box<dyn std::error::Error>> {
    let area = backend.into_drawing_area();
    area.fill(&WHITE)?;
    let area = area.margin(10, 0, 0, 0).titled(title, ("sans-serif", 24))?;
    for (place, panel) in area.split_evenly(grid).iter().zip(panels) {
        let all = || panel.series.iter().flat_map(|series| &series.points);
        let x = range(all().map(|point| point.0));
        let y = range(all().flat_map(|point| [point.1 - point.2, point.1 + point.2]));
        let mut chart = ChartBuilder::on(place)
            .caption(&panel.title, ("sans-serif", 19))
            .margin(10)
            .x_label_area_size(28)
            .y_label_area_size(64)
            .build_cartesian_2d(x, y)?;
        chart
            .configure_mesh()
            .light_line_style(WHITE)
            .bold_line_style(RGBColor(225, 225, 225))
            .axis_style(RGBColor(120, 120, 120))
            .label_style(("sans-serif", 14))
            .x_labels(6)
            .y_labels(6)
            .x_label_formatter(&|x| short(*x))
            .y_label_formatter(&|y| short(*y))
            .draw()?;
        for (series, color) in panel.series.iter().zip(COLORS.into_iter().cycle()) {
            let line = series.points.iter().map(|point| (point.0, point.1));
            chart
                .draw_series(LineSeries::new(line, color.stroke_width(2)))?
                .label(&series.label)
                .legend(move |(x, y)| {
                    PathElement::new([(x, y), (x + 20, y)], color.stroke_width(3))
                });
            let bars = series.points.iter().map(|&(x, y, half)| {
                PathElement::new([(x, y - half), (x, y + half)], color.stroke_width(2))
            });
            chart.draw_series(bars)?;
        }
        chart
            .configure_series_labels()
            .position(SeriesLabelPosition::LowerMiddle)
            .background_style(WHITE.mix(0.8))
            .border_style(RGBColor(180, 180, 180))
            .label_font(("sans-serif", 15))
            .draw()?;
    }
    area.present()?;
    Ok(())
}
