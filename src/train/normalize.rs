//! Running mean and variance of observations and value targets.
//!
//! Statistics are merged once per rollout (Chan, Golub and LeVeque, Updating formulae and a pairwise
//! algorithm for computing sample variances, 1979) and stay frozen while a rollout is collected and
//! learned from, so that the policy that acted is the policy that is updated.

use burn::tensor::{Device, Tensor, TensorData};

/// Added to the variance: an observation that never moved stays zero instead of being blown up.
pub(super) const EPSILON: f64 = 1e-8;

/// Count, mean and variance per column, in double precision on the host.
#[derive(Clone, Debug, PartialEq)]
pub struct Moments {
    /// How many samples were merged.
    pub count: f64,
    /// Mean per column.
    pub mean: Vec<f64>,
    /// Variance per column.
    pub variance: Vec<f64>,
}

impl Moments {
    /// Nothing seen yet: mean 0 and variance 1, which normalizes nothing.
    pub fn new(columns: usize) -> Self {
        Self {
            count: 0.0,
            mean: vec![0.0; columns],
            variance: vec![1.0; columns],
        }
    }

    /// Merges another set of samples.
    ///
    /// With `δ = mean_b − mean_a`:  `mean = mean_a + δ·n_b/n`  and
    /// `n·var = n_a·var_a + n_b·var_b + δ²·n_a·n_b/n`.
    pub fn merge(&mut self, other: &Self) {
        let count = self.count + other.count;
        if other.count == 0.0 {
            return;
        }
        for i in 0..self.mean.len() {
            let delta = other.mean[i] - self.mean[i];
            self.mean[i] += delta * other.count / count;
            self.variance[i] = (self.count * self.variance[i] + other.count * other.variance[i])
                / count
                + delta * delta * self.count * other.count / (count * count);
        }
        self.count = count;
    }

    /// Forgets old samples in favour of new ones, as if no more than `limit` had been seen.
    pub fn limit(&mut self, limit: f64) {
        self.count = self.count.min(limit);
    }

    /// Standard deviation of a column, as it divides.
    pub fn deviation(&self, column: usize) -> f64 {
        (self.variance[column] + EPSILON).sqrt()
    }
}

/// Normalizes `[N, D]` observations with frozen statistics.
#[derive(Clone, Debug)]
pub struct Normalizer {
    moments: Moments,
    enabled: bool,
    clip: f64,
    mean: Tensor<2>,
    scale: Tensor<2>,
}

impl Normalizer {
    /// Starts as the identity (up to clipping); a disabled normalizer stays it.
    pub fn new(columns: usize, enabled: bool, clip: f64, device: &Device) -> Self {
        let row = |value: f32| {
            Tensor::from_data(TensorData::new(vec![value; columns], [1, columns]), device)
        };
        Self {
            moments: Moments::new(columns),
            enabled,
            clip,
            mean: row(0.0),
            scale: row(1.0),
        }
    }

    /// `clip((x − mean) / deviation)`, or `x` where disabled.
    pub fn apply(&self, x: Tensor<2>) -> Tensor<2> {
        if !self.enabled {
            return x;
        }
        ((x - self.mean.clone()) * self.scale.clone()).clamp(-self.clip, self.clip)
    }

    /// Learns from a rollout's raw observations `[T · N, D]`, each with a weight `[T · N, 1]` of 0 or 1.
    pub fn learn(&mut self, x: Tensor<2>, weight: Tensor<2>, steps: usize) {
        if !self.enabled {
            return;
        }
        let [rows, columns] = x.dims();
        // One partial sum per time step, added up in f64.
        let sums = |t: Tensor<2>| {
            let columns = t.dims()[1];
            let data = t
                .reshape([steps, rows / steps, columns])
                .sum_dim(1)
                .into_data();
            let mut total = vec![0.0; columns];
            for (i, value) in data.iter::<f32>().enumerate() {
                total[i % columns] += f64::from(value);
            }
            total
        };
        let count = sums(weight.clone())[0];
        if count == 0.0 {
            return;
        }
        // Two passes, so that f32 loses nothing to a mean far larger than the deviation: the mean, and the
        // squares around it. What rounding left in the first mean is found in the second pass.
        let center: Vec<f32> = sums(x.clone() * weight.clone())
            .iter()
            .map(|sum| (sum / count) as f32)
            .collect();
        let difference = x - Tensor::from_data(
            TensorData::new(center.clone(), [1, columns]),
            &self.mean.device(),
        );
        let weighted = difference.clone() * weight;
        let second = sums(weighted.clone() * difference);
        let first = sums(weighted);
        let mut batch = Moments::new(columns);
        batch.count = count;
        for i in 0..columns {
            let shift = first[i] / count;
            batch.mean[i] = f64::from(center[i]) + shift;
            batch.variance[i] = (second[i] / count - shift * shift).max(0.0);
        }
        self.moments.merge(&batch);
        self.freeze();
    }

    /// The statistics behind the normalization.
    pub fn moments(&self) -> &Moments {
        &self.moments
    }

    /// Puts saved statistics back.
    pub fn set_moments(&mut self, moments: Moments) {
        self.moments = moments;
        self.freeze();
    }

    /// Whether it does anything.
    pub fn enabled(&self) -> bool {
        self.enabled
    }

    /// Observations are clipped to ± this after normalization.
    pub fn clip(&self) -> f64 {
        self.clip
    }

    fn freeze(&mut self) {
        let columns = self.moments.mean.len();
        let device = self.mean.device();
        let row = |f: &dyn Fn(usize) -> f64| {
            let values: Vec<f32> = (0..columns).map(|i| f(i) as f32).collect();
            Tensor::from_data(TensorData::new(values, [1, columns]), &device)
        };
        self.mean = row(&|i| self.moments.mean[i]);
        self.scale = row(&|i| 1.0 / self.moments.deviation(i));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::random::{Purpose, Stream};

    #[test]
    fn merging_rollouts_equals_seeing_everything_at_once() {
        let device = Device::flex();
        let (steps, worlds, columns) = (4, 50, 3);
        let mut normalizer = Normalizer::new(columns, true, 10.0, &device);
        let mut seen: Vec<Vec<f64>> = vec![Vec::new(); columns];
        for rollout in 0..3 {
            let noise =
                Stream::new(5, Purpose::Exploration, rollout).normals(steps * worlds * columns);
            // Column 1 has a mean far larger than its deviation.
            let values: Vec<f32> = noise
                .iter()
                .enumerate()
                .map(|(i, v)| [v * 2.0, 1000.0 + v, rollout as f32 + 0.5 * v][i % columns])
                .collect();
            let weights: Vec<f32> = (0..steps * worlds)
                .map(|i| if i % 7 == 3 { 0.0 } else { 1.0 })
                .collect();
            for (i, value) in values.iter().enumerate() {
                if weights[i / columns] > 0.0 {
                    seen[i % columns].push(f64::from(*value));
                }
            }
            let x = Tensor::from_data(TensorData::new(values, [steps * worlds, columns]), &device);
            let w = Tensor::from_data(TensorData::new(weights, [steps * worlds, 1]), &device);
            normalizer.learn(x, w, steps);
        }
        for (i, column) in seen.iter().enumerate() {
            let n = column.len() as f64;
            let mean = column.iter().sum::<f64>() / n;
            let variance = column.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / n;
            let moments = normalizer.moments();
            assert_eq!(moments.count, n);
            // f32 sums over 50 worlds: 50 · 6e-8 relative to the spread.
            assert!(
                (moments.mean[i] - mean).abs() < 1e-5 * variance.sqrt().max(1.0),
                "column {i}"
            );
            assert!(
                (moments.variance[i] / variance - 1.0).abs() < 1e-4,
                "column {i}: {} {variance}",
                moments.variance[i]
            );
        }
        let normalized = normalizer.apply(Tensor::from_data(
            TensorData::new(vec![0.0f32, 1000.0, 1.0], [1, 3]),
            &device,
        ));
        assert!(normalized.abs().max().into_scalar::<f32>() < 0.2);
    }
}
