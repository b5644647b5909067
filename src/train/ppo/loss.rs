//! The losses of one minibatch.

use burn::tensor::{Gradients, Tensor};

use crate::train::config::PpoConfig;
use crate::train::network::ActorCritic;

/// Transitions in the order they are learned from; every tensor's first dimension is the number of transitions.
#[derive(Clone, Debug)]
pub struct Batch {
    /// Normalized policy observations.
    pub obs: Tensor<2>,
    /// Normalized critic observations.
    pub critic_obs: Tensor<2>,
    /// The actions as sampled, never clipped.
    pub actions: Tensor<2>,
    /// Their mean under the policy that acted.
    pub mean: Tensor<2>,
    /// Their log-probability under the policy that acted, `[·, 1]`.
    pub log_prob: Tensor<2>,
    /// `[·, 1]`
    pub advantage: Tensor<2>,
    /// What the critic shall predict, normalized, `[·, 1]`.
    pub target: Tensor<2>,
    /// What it predicted when the rollout was collected, normalized, `[·, 1]`.
    pub value: Tensor<2>,
    /// 1 where the transition counts, `[·, 1]`.
    pub weight: Tensor<2>,
}

impl Batch {
    /// Applies `f` to every tensor.
    #[must_use]
    pub fn map(self, f: impl Fn(Tensor<2>) -> Tensor<2>) -> Self {
        Self {
            obs: f(self.obs),
            critic_obs: f(self.critic_obs),
            actions: f(self.actions),
            mean: f(self.mean),
            log_prob: f(self.log_prob),
            advantage: f(self.advantage),
            target: f(self.target),
            value: f(self.value),
            weight: f(self.weight),
        }
    }
}

/// A minibatch's forward pass: the loss to differentiate, and what is worth knowing about it.
#[derive(Debug)]
pub struct Loss {
    total: Tensor<1>,
    /// Scalars, `[1]` each, without gradients.
    pub policy: Tensor<1>,
    /// Mean squared error of the normalized value (clipped where configured).
    pub value: Tensor<1>,
    /// Mean entropy of the policy.
    pub entropy: Tensor<1>,
    /// Mean KL divergence from the policy that acted to the present one.
    pub kl: Tensor<1>,
    /// Share of the transitions whose ratio lies outside of the clipping range.
    pub clipped: Tensor<1>,
    /// Largest deviation of a ratio from 1.
    pub ratio_error: Tensor<1>,
}

impl Loss {
    /// Gradients of the total loss.
    pub fn backward(&self) -> Gradients {
        self.total.backward()
    }
}

/// `log N(action; mean, exp(log_std))`, summed over actions: `[·, A]` and `[1, A]` to `[·, 1]`.
pub fn log_prob(actions: Tensor<2>, mean: Tensor<2>, log_std: Tensor<2>) -> Tensor<2> {
    let standardized = (actions - mean) * log_std.clone().neg().exp();
    normal_log_prob(standardized, log_std)
}

/// The same from the standardized noise `(action − mean) / deviation`.
pub fn normal_log_prob(noise: Tensor<2>, log_std: Tensor<2>) -> Tensor<2> {
    let half_log_tau = 0.5 * std::f64::consts::TAU.ln() * noise.dims()[1] as f64;
    noise.square().sum_dim(1).mul_scalar(-0.5) - log_std.sum_dim(1).add_scalar(half_log_tau)
}

/// The clipped surrogate (Schulman et al., Proximal policy optimization algorithms, 2017, eq. 7 and 9);
/// `old_log_std` `[1, A]` is the acting policy's.
pub fn loss(
    network: &ActorCritic,
    batch: Batch,
    old_log_std: Tensor<2>,
    config: &PpoConfig,
) -> Loss {
    let batch = batch.map(Tensor::autodiff);
    let old_log_std = old_log_std.autodiff();
    let mean = network.actor.forward(batch.obs);
    let predicted = network.critic.forward(batch.critic_obs);
    let log_std = network.log_std();

    let count = batch.weight.clone().sum().clamp_min(1.0);
    let weight = batch.weight / count.unsqueeze();
    let average = |x: Tensor<2>| (x * weight.clone()).sum();

    let ratio = (log_prob(batch.actions, mean.clone(), log_std.clone()) - batch.log_prob).exp();
    let clipped_ratio = ratio.clone().clamp(1.0 - config.clip, 1.0 + config.clip);
    let gain = ratio.clone() * batch.advantage.clone();
    let policy = average(gain.min_pair(clipped_ratio * batch.advantage)).neg();

    let error = (predicted.clone() - batch.target.clone()).square();
    let error = if config.clip_value_loss {
        let moved = (predicted - batch.value.clone()).clamp(-config.clip, config.clip);
        error.max_pair((batch.value + moved - batch.target).square())
    } else {
        error
    };
    let value = average(error);

    // The entropy of a Gaussian is Σ log σ + (1 + log 2π) / 2 per dimension.
    let actions = log_std.dims()[1] as f64;
    let entropy = log_std.clone().sum() + 0.5 * actions * (1.0 + std::f64::consts::TAU.ln());
    let total = policy.clone() + value.clone().mul_scalar(config.value_weight)
        - entropy.clone().mul_scalar(config.entropy_weight);

    let ratio = ratio.inner();
    let weight = weight.inner();
    let distance = (ratio - 1.0).abs();
    let outside = distance.clone().greater_elem(config.clip).float();
    let kl = kl(
        batch.mean.inner(),
        old_log_std.inner(),
        mean.inner(),
        log_std.inner(),
    );
    Loss {
        policy: policy.inner(),
        value: value.inner(),
        entropy: entropy.inner(),
        kl: (kl * weight.clone()).sum(),
        clipped: (outside * weight.clone()).sum(),
        ratio_error: (distance * weight.sign()).max(),
        total,
    }
}

/// `KL(old ‖ new)` between diagonal Gaussians, `[·, 1]`:
/// `Σ log(σ_new/σ_old) + (σ_old² + (μ_old − μ_new)²) / (2·σ_new²) − 1/2`.
fn kl(
    old_mean: Tensor<2>,
    old_log_std: Tensor<2>,
    mean: Tensor<2>,
    log_std: Tensor<2>,
) -> Tensor<2> {
    let moved = ((old_mean - mean) * log_std.clone().neg().exp())
        .square()
        .sum_dim(1)
        .mul_scalar(0.5);
    let widened = log_std - old_log_std;
    // With d = log σ_new − log σ_old the rest is d + (exp(−2d) − 1) / 2.
    let spread = widened.clone()
        + widened
            .mul_scalar(-2.0)
            .exp()
            .sub_scalar(1.0)
            .mul_scalar(0.5);
    moved + spread.sum_dim(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Device;

    fn row(values: &[f32]) -> Tensor<2> {
        Tensor::<1>::from_floats(values, &Device::flex()).unsqueeze()
    }

    #[test]
    fn log_probability_is_the_gaussian_density() {
        let value =
            log_prob(row(&[0.3, -1.0]), row(&[0.1, 0.5]), row(&[0.2, -0.4])).into_scalar::<f32>();
        let density = |x: f64, mean: f64, log_std: f64| {
            let z = (x - mean) / log_std.exp();
            -0.5 * z * z - log_std - 0.5 * std::f64::consts::TAU.ln()
        };
        let expected = density(0.3, 0.1, 0.2) + density(-1.0, 0.5, -0.4);
        assert!(
            (f64::from(value) - expected).abs() < 1e-6,
            "{value} {expected}"
        );
    }

    /// Against the integral of p·log(p/q), by the midpoint rule.
    #[test]
    fn kl_is_the_integral() {
        let (m0, s0, m1, s1) = (0.4f64, -0.3f64, -0.2f64, 0.5f64);
        let log_density = |x: f64, m: f64, s: f64| {
            -0.5 * ((x - m) / s.exp()).powi(2) - s - 0.5 * std::f64::consts::TAU.ln()
        };
        let step = 1e-3;
        let integral: f64 = (-10_000..10_000)
            .map(|i| {
                let x = (f64::from(i) + 0.5) * step;
                let p = log_density(x, m0, s0);
                p.exp() * (p - log_density(x, m1, s1)) * step
            })
            .sum();
        let value = kl(
            row(&[m0 as f32]),
            row(&[s0 as f32]),
            row(&[m1 as f32]),
            row(&[s1 as f32]),
        );
        assert!((f64::from(value.into_scalar::<f32>()) - integral).abs() < 1e-5);
        let same = kl(row(&[0.7]), row(&[0.2]), row(&[0.7]), row(&[0.2])).into_scalar::<f32>();
        assert_eq!(same, 0.0);
    }
}
