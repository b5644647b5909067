//! Rates that can be believed: medians over repetitions with their spread, per second of wall time and of CPU time.

use std::time::{Duration, Instant};

use serde::Serialize;

use crate::error::Result;

/// Repetitions of a measurement.
const REPEATS: usize = 7;
/// A repetition lasts at least this long, so that neither clocks nor launches show.
const LEAST: Duration = Duration::from_millis(400);

/// The median of some figures, with the smallest and the largest.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(super) struct Spread {
    pub median: f64,
    pub min: f64,
    pub max: f64,
}

/// Units of work per second.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(super) struct Rate {
    /// Per second of wall time.
    pub per_second: Spread,
    /// Per second of this process' CPU time, over all threads; none where the system does not tell.
    pub per_cpu_second: Option<Spread>,
}

/// Measures work in which each call does `units`; `work(n)` does n calls and returns when they are done.
pub(super) fn rate(units: f64, mut work: impl FnMut(u32) -> Result<()>) -> Result<Rate> {
    work(1)?;
    let mut calls = 1;
    loop {
        let start = Instant::now();
        work(calls)?;
        let elapsed = start.elapsed();
        if elapsed >= LEAST {
            break;
        }
        // Aims a little beyond, and at most ten times as far as is known.
        let factor = 1.2 * LEAST.as_secs_f64() / elapsed.as_secs_f64().max(1e-9);
        calls = (f64::from(calls) * factor.clamp(1.5, 10.0)).ceil() as u32;
    }
    let (mut wall, mut cpu) = (Vec::new(), Vec::new());
    for _ in 0..REPEATS {
        let (start, cpu_start) = (Instant::now(), cpu_time());
        work(calls)?;
        let done = units * f64::from(calls);
        wall.push(done / start.elapsed().as_secs_f64());
        if let (Some(before), Some(after)) = (cpu_start, cpu_time()) {
            cpu.push(done / (after - before).as_secs_f64().max(1e-3));
        }
    }
    Ok(Rate {
        per_second: spread(&wall),
        per_cpu_second: (cpu.len() == REPEATS).then(|| spread(&cpu)),
    })
}

/// The spread of at least one figure.
pub(super) fn spread(figures: &[f64]) -> Spread {
    let mut sorted = figures.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    let median = if sorted.len() % 2 == 1 {
        sorted[middle]
    } else {
        0.5 * (sorted[middle - 1] + sorted[middle])
    };
    Spread {
        median,
        min: sorted[0],
        max: sorted[sorted.len() - 1],
    }
}

/// CPU time of all threads of this process so far, the finished ones included.
///
/// From Linux' /proc, in whose files 100 ticks are a second on every architecture (USER_HZ); none on other systems.
pub(super) fn cpu_time() -> Option<Duration> {
    cpu_time_of("self")
}

/// [`cpu_time`] of a process by its number.
pub(super) fn cpu_time_of(process: &str) -> Option<Duration> {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    // The second field is the program's name in parentheses, which may hold anything; user and system time are the
    // 14th and 15th (proc_pid_stat(5)), the 12th and 13th after it.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let ticks = fields.next()?.parse::<u64>().ok()? + fields.next()?.parse::<u64>().ok()?;
    Some(Duration::from_millis(10 * ticks))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_odd_and_even_numbers() {
        assert_eq!(
            spread(&[3.0, 1.0, 2.0]),
            Spread {
                median: 2.0,
                min: 1.0,
                max: 3.0
            }
        );
        assert_eq!(spread(&[4.0, 1.0, 2.0, 3.0]).median, 2.5);
    }

    #[test]
    fn a_rate_counts_all_units() {
        let mut calls = 0;
        let rate = rate(10.0, |n| {
            calls += n;
            std::thread::sleep(n * Duration::from_millis(50));
            Ok(())
        })
        .unwrap();
        // 10 units in 50 ms are 200 per second; sleeping may take longer, never shorter.
        let median = rate.per_second.median;
        assert!((20.0..=200.5).contains(&median), "{median}");
        assert!(calls >= 8 * REPEATS as u32);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn cpu_time_counts_work() {
        let before = cpu_time().expect("Linux tells");
        let start = Instant::now();
        let mut sum = 0u64;
        while start.elapsed() < Duration::from_millis(200) {
            sum = std::hint::black_box(sum.wrapping_add(1));
        }
        assert!(cpu_time().expect("Linux tells") > before);
    }
}
