//! A progress bar on a terminal, plain lines elsewhere.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

/// Shows how far a run is, how fast, how well, and how long it still takes.
#[derive(Debug)]
pub struct Progress {
    bar: Option<ProgressBar>,
    quiet: bool,
    total: u64,
    start: Instant,
    first: u64,
    last_line: Option<Instant>,
}

impl Progress {
    /// `done` of `total` control steps are behind us already (a resumed run).
    pub fn new(done: u64, total: u64, quiet: bool) -> Self {
        let bar = (!quiet && std::io::stderr().is_terminal()).then(|| {
            let style = ProgressStyle::with_template("{bar:30} {percent:>3}% {msg}");
            let bar = ProgressBar::new(total);
            bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
            bar.set_position(done);
            bar
        });
        Self {
            bar,
            quiet,
            total,
            start: Instant::now(),
            first: done,
            last_line: None,
        }
    }

    /// After an iteration: `done` control steps in all, and the latest mean return, where known.
    pub fn update(&mut self, iteration: u64, done: u64, mean_return: Option<f64>) {
        if self.quiet {
            return;
        }
        let elapsed = self.start.elapsed();
        let rate = (done - self.first) as f64 / elapsed.as_secs_f64().max(1e-9);
        let left = Duration::from_secs_f64(
            (self.total.saturating_sub(done) as f64 / rate.max(1e-9)).min(1e8),
        );
        let score = mean_return.map_or_else(|| "-".to_owned(), |value| format!("{value:.2}"));
        let text = format!(
            "iteration {iteration}  {} steps/s  return {score}  elapsed {}  left {}",
            thousands(rate),
            clock(elapsed),
            clock(left)
        );
        if let Some(bar) = &self.bar {
            bar.set_position(done.min(self.total));
            bar.set_message(text);
            return;
        }
        // At most one line in two seconds, so that a log file stays readable.
        let due = self
            .last_line
            .is_none_or(|last| last.elapsed() > Duration::from_secs(2));
        if due || done >= self.total {
            eprintln!(
                "{:>3}%  {text}",
                100 * done.min(self.total) / self.total.max(1)
            );
            self.last_line = Some(Instant::now());
        }
    }

    /// Prints a line without tearing the bar.
    pub fn say(&self, line: &str) {
        match (&self.bar, self.quiet) {
            (Some(bar), _) => bar.println(line),
            (None, false) => eprintln!("{line}"),
            (None, true) => {}
        }
    }

    /// Leaves the last state on the screen.
    pub fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.abandon();
        }
    }
}

fn clock(time: Duration) -> String {
    let seconds = time.as_secs();
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, minutes, seconds) => format!("{minutes}:{seconds:02}"),
        (hours, minutes, seconds) => format!("{hours}:{minutes:02}:{seconds:02}"),
    }
}

fn thousands(rate: f64) -> String {
    match rate {
        r if r >= 1e6 => format!("{:.2}M", r / 1e6),
        r if r >= 1e3 => format!("{:.1}k", r / 1e3),
        r => format!("{r:.0}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_rates_read_well() {
        assert_eq!(clock(Duration::from_secs(59)), "0:59");
        assert_eq!(clock(Duration::from_secs(3723)), "1:02:03");
        assert_eq!(
            (thousands(999.0), thousands(45_300.0), thousands(1.25e6)),
            ("999".into(), "45.3k".into(), "1.25M".into())
        );
    }
}
