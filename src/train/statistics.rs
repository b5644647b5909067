//! What a few runs say about a method: the interquartile mean of their scores, with a bootstrap interval.
//!
//! Agarwal, Schwarzer, Castro, Courville and Bellemare, Deep Reinforcement Learning at the Edge of the Statistical
//! Precipice, NeurIPS 2021, sections 4.1 and 4.3: the interquartile mean is less biased than the median and less moved by
//! one lucky or unlucky run than the mean; intervals are percentiles of a bootstrap that resamples the runs of each task.

use serde::Serialize;

use super::random::{Purpose, Stream};

/// Samples that an interval is estimated from: its ends then move by about 1 % of its width from seed to seed.
const REPLICATES: u64 = 10_000;
/// The same data give the same interval.
const SEED: u64 = 0;

/// A 95 % confidence interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Interval {
    /// The 2.5th percentile.
    pub low: f64,
    /// The 97.5th percentile.
    pub high: f64,
}

/// Scores by task: runs of one task are exchangeable, tasks are not.
pub type Strata = Vec<Vec<f64>>;

/// The mean of the middle half: a quarter of the values, rounded down, is left out at each end. NaN of none.
pub fn interquartile_mean(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let cut = sorted.len() / 4;
    let middle = &sorted[cut..sorted.len() - cut];
    middle.iter().sum::<f64>() / middle.len() as f64
}

/// The interquartile mean over all strata, and its interval; none of a single run per stratum, which tells nothing about
/// the others.
pub fn estimate(strata: &Strata) -> (f64, Option<Interval>) {
    let value = interquartile_mean(&strata.concat());
    (value, interval(strata, REPLICATES))
}

/// [`estimate`] for many points of a curve: fewer samples, a rougher interval.
pub fn estimate_quickly(values: &[f64]) -> (f64, Option<Interval>) {
    let strata = vec![values.to_vec()];
    (interquartile_mean(values), interval(&strata, 500))
}

/// The difference `a` − `b` of two interquartile means, and its interval.
pub fn difference(a: &Strata, b: &Strata) -> (f64, Option<Interval>) {
    let value = interquartile_mean(&a.concat()) - interquartile_mean(&b.concat());
    if !(varies(a) && varies(b)) {
        return (value, None);
    }
    let sample = |replicate| {
        let [a, b] = [(a, 2 * replicate), (b, 2 * replicate + 1)]
            .map(|(strata, stream)| interquartile_mean(&resample(strata, stream)));
        a - b
    };
    (
        value,
        Some(percentiles((0..REPLICATES).map(sample).collect())),
    )
}

fn interval(strata: &Strata, replicates: u64) -> Option<Interval> {
    let sample = |replicate| interquartile_mean(&resample(strata, replicate));
    varies(strata).then(|| percentiles((0..replicates).map(sample).collect()))
}

/// Whether there is more than one run to draw from.
fn varies(strata: &Strata) -> bool {
    strata.iter().any(|scores| scores.len() > 1)
}

/// As many scores of each stratum as it has, drawn with replacement.
fn resample(strata: &Strata, replicate: u64) -> Vec<f64> {
    let stream = Stream::new(SEED, Purpose::Bootstrap, replicate);
    let mut drawn = 0;
    let mut draw = |scores: &Vec<f64>| -> Vec<f64> {
        let first = drawn;
        drawn += scores.len() as u64;
        (first..drawn)
            .map(|index| scores[stream.below(index, scores.len())])
            .collect()
    };
    strata.iter().flat_map(&mut draw).collect()
}

fn percentiles(mut values: Vec<f64>) -> Interval {
    values.sort_by(f64::total_cmp);
    // Between two order statistics, linearly.
    let at = |share: f64| {
        let place = share * (values.len() - 1) as f64;
        let (below, rest) = (place.floor() as usize, place.fract());
        let above = (below + 1).min(values.len() - 1);
        values[below] + rest * (values[above] - values[below])
    };
    Interval {
        low: at(0.025),
        high: at(0.975),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interquartile_mean_leaves_the_ends_out() {
        assert_eq!(interquartile_mean(&[1.0, 2.0, 6.0]), 3.0);
        assert_eq!(interquartile_mean(&[-1e9, 2.0, 3.0, 4.0, 1e9]), 3.0);
        assert_eq!(
            interquartile_mean(&[8.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0]),
            4.5
        );
        assert!(interquartile_mean(&[]).is_nan());
    }

    /// Of normal scores the interval covers the true value about as often as it says (small samples cover less).
    #[test]
    fn intervals_cover_the_truth() {
        let (trials, runs) = (200, 30);
        let mut covered = 0;
        for trial in 0..trials {
            let noise = Stream::new(trial, Purpose::Weights, 0).normals(runs);
            let scores: Vec<f64> = noise.iter().map(|x| 5.0 + f64::from(*x)).collect();
            let interval = interval(&vec![scores], 400).unwrap();
            covered += u32::from(interval.low <= 5.0 && 5.0 <= interval.high);
        }
        // 95 % of 200 with a deviation of 3, less the bias of small samples.
        assert!((178..=199).contains(&covered), "{covered}");
    }

    #[test]
    fn tasks_are_not_mixed_and_one_run_has_no_interval() {
        // Each task's runs agree: however they are drawn, the mean is the same.
        let strata = vec![vec![10.0, 10.0], vec![20.0, 20.0]];
        let (value, interval) = estimate(&strata);
        let interval = interval.unwrap();
        assert_eq!((value, interval.low, interval.high), (15.0, 15.0, 15.0));
        assert_eq!(estimate(&vec![vec![3.0]]), (3.0, None));
    }

    #[test]
    fn a_difference_is_seen_where_there_is_one() {
        let around = |center: f64| vec![vec![center - 2.0, center - 1.0, center, center + 1.0]];
        let (apart, interval) = difference(&around(20.0), &around(10.0));
        assert_eq!(apart, 10.0);
        assert!(interval.unwrap().low > 5.0);
        let (same, interval) = difference(&around(10.0), &around(10.0));
        let interval = interval.unwrap();
        assert!(same == 0.0 && interval.low < 0.0 && 0.0 < interval.high);
        assert_eq!(difference(&vec![vec![1.0]], &around(1.0)).1, None);
    }
}
