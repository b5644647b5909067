//! `curves.png`: the run at a glance.

use std::fs;
use std::path::Path;
use std::sync::Once;

use plotters::prelude::*;
use plotters::style::{FontStyle, register_font};

use super::Metrics;
use crate::error::{Error, Result};

const SIZE: (u32, u32) = (1280, 960);

/// The panels: title, metric, and whether its axis is logarithmic.
const PANELS: [(&str, &str, bool); 6] = [
    ("mean return", "return", false),
    ("mean episode length", "length", false),
    ("steps per second", "steps_per_s", false),
    ("value: explained variance", "explained_variance", false),
    ("learning rate (log10)", "learning_rate", true),
    ("standard deviation of actions", "action_std", false),
];

/// Draws the panels over control steps and replaces the file at once.
pub fn draw(metrics: &Metrics, title: &str, path: &Path) -> Result<()> {
    register_fonts();
    // The encoder goes by the extension.
    let temporary = path.with_extension("partial.png");
    plot(metrics, title, BitMapBackend::new(&temporary, SIZE))
        .map_err(|error| Error::invalid(error).context(path.display()))?;
    fs::rename(&temporary, path).map_err(|error| Error::io(error).context(path.display()))
}

/// The machine may have no fonts; the crate brings one along.
pub(super) fn register_fonts() {
    static FONT: Once = Once::new();
    FONT.call_once(|| {
        // It fails only for bytes that are no font, and then drawing text says so.
        drop(register_font(
            "sans-serif",
            FontStyle::Normal,
            epaint_default_fonts::UBUNTU_LIGHT,
        ));
    });
}

fn plot(
    metrics: &Metrics,
    title: &str,
    backend: BitMapBackend,
) -> Result<(), Box<dyn std::error::Error>> {
    let area = backend.into_drawing_area();
    area.fill(&WHITE)?;
    let area = area.margin(10, 0, 0, 0).titled(title, ("sans-serif", 26))?;
    for (panel, (caption, metric, log)) in area.split_evenly((3, 2)).iter().zip(PANELS) {
        let points: Vec<(f64, f64)> = metrics
            .series("steps", metric)
            .into_iter()
            .map(|(x, y)| (x, if log { y.max(1e-30).log10() } else { y }))
            .collect();
        let (x, y) = (
            range(points.iter().map(|p| p.0)),
            range(points.iter().map(|p| p.1)),
        );
        let mut chart = ChartBuilder::on(panel)
            .caption(caption, ("sans-serif", 19))
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
        chart.draw_series(LineSeries::new(
            points,
            RGBColor(31, 99, 171).stroke_width(2),
        ))?;
    }
    area.present()?;
    Ok(())
}

/// From the smallest to the largest value, never empty, with a little air.
pub(super) fn range(values: impl Iterator<Item = f64>) -> std::ops::Range<f64> {
    let (low, high) = values.fold((f64::MAX, f64::MIN), |(low, high), v| {
        (low.min(v), high.max(v))
    });
    if low > high {
        return 0.0..1.0;
    }
    let air = ((high - low) * 0.05).max(0.01 * high.abs()).max(1e-12);
    low - air..high + air
}

/// `1.5M`, `20k`, `0.25`.
pub(super) fn short(value: f64) -> String {
    let trim = |text: String| match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text,
    };
    match value.abs() {
        v if v >= 1e9 => trim(format!("{:.2}", value / 1e9)) + "G",
        v if v >= 1e6 => trim(format!("{:.2}", value / 1e6)) + "M",
        v if v >= 1e4 => trim(format!("{:.1}", value / 1e3)) + "k",
        v if v >= 10.0 => trim(format!("{value:.1}")),
        v if v >= 1e-3 => trim(format!("{value:.4}")),
        v if v >= 1e-9 => format!("{value:.1e}"),
        _ => "0".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::testing::TestDir;

    #[test]
    fn draws_curves_and_text() {
        let dir = TestDir::new("curves");
        let mut metrics = Metrics::create(&dir.path().join("metrics.csv"));
        let path = dir.path().join("curves.png");
        draw(&metrics, "nothing yet", &path).unwrap();
        for i in 0..50 {
            let x = f64::from(i);
            metrics
                .push(&vec![
                    ("iteration".into(), x),
                    ("steps".into(), x * 40_960.0),
                    ("return".into(), 1000.0 * (1.0 - (-x / 10.0).exp())),
                    ("length".into(), f64::NAN),
                    ("learning_rate".into(), 1e-3 / (x + 1.0)),
                    ("steps_per_s".into(), 1.2e6),
                ])
                .unwrap();
        }
        draw(&metrics, "cartpole", &path).unwrap();
        if let Some(copy) = std::env::var_os("MANYWORLDS_KEEP_CURVES") {
            std::fs::copy(&path, copy).unwrap();
        }
        assert!(fs::metadata(&path).unwrap().len() > 10_000);
        let mut pixels = vec![0; (SIZE.0 * SIZE.1 * 3) as usize];
        plot(
            &metrics,
            "cartpole",
            BitMapBackend::with_buffer(&mut pixels, SIZE),
        )
        .unwrap();
        let blue = pixels.chunks(3).filter(|p| *p == [31, 99, 171]).count();
        assert!(blue > 500, "{blue} pixels of curves");
        // The title's row has dark pixels only if there is a font.
        let title = &pixels[..(SIZE.0 * 40 * 3) as usize];
        assert!(
            title.chunks(3).filter(|p| p[0] < 100).count() > 100,
            "no text was drawn"
        );
        assert_eq!(
            (short(1_500_000.0), short(20_480.0), short(0.25), short(0.0)),
            ("1.5M".into(), "20.5k".into(), "0.25".into(), "0".into())
        );
    }
}
