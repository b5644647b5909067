//! Proximal policy optimization over a batch of worlds.
//!
//! One iteration: [`Rollout::collect`] with the frozen policy, then [`Ppo::update`]: values and advantages
//! (on the host, [`gae`]), minibatch epochs over the clipped losses ([`loss`]), and only then new statistics
//! for the normalizers.

pub mod gae;
pub mod loss;
pub mod rollout;

use std::time::{Duration, Instant};

use burn::module::Module;
use burn::optim::lr_scheduler::cosine::CosineAnnealingLrSchedulerConfig;
use burn::optim::lr_scheduler::linear::LinearLrSchedulerConfig;
use burn::optim::lr_scheduler::module_lr_scheduler::ModuleLrScheduler;
use burn::tensor::{Device, Int, Tensor, TensorData};

pub use rollout::{Actor, Rollout};

use self::gae::Transitions;
use self::loss::Batch;
use super::config::{Config, Schedule};
use super::environment::{Environment, Observations, Spec};
use super::network::{ActorCritic, Dims};
use super::normalize::{Moments, Normalizer};
use super::optimizer::FlatAdam;
use super::random::{Purpose, Stream};
use crate::error::{Error, Result};

/// The value statistics forget rollouts older than this: returns grow while the policy learns.
const VALUE_WINDOW: f64 = 100.0;

/// The learner: networks, statistics, optimizer, and where it stands.
#[derive(Clone)]
pub struct Ppo {
    config: Config,
    device: Device,
    scheduler: Option<ModuleLrScheduler>,
    /// Policy and value function, with autodiff.
    pub network: ActorCritic,
    /// Adam and its moments.
    pub optimizer: FlatAdam,
    /// Statistics of what the policy sees.
    pub obs_normalizer: Normalizer,
    /// Statistics of what the value function sees.
    pub critic_normalizer: Normalizer,
    /// Statistics of the returns, one column.
    pub value_moments: Moments,
    /// The learning rate of the next minibatch.
    pub learning_rate: f64,
    /// Iterations done.
    pub iteration: u64,
}

/// What an update did; all but the times repeat bit for bit.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct UpdateReport {
    /// Mean surrogate loss.
    pub policy_loss: f64,
    /// Mean squared error of the value, in normalized units.
    pub value_loss: f64,
    /// Mean entropy of the policy.
    pub entropy: f64,
    /// Mean over minibatches of the KL divergence from the acting policy.
    pub kl: f64,
    /// KL divergence on the first minibatch: 0 up to rounding.
    pub first_kl: f64,
    /// Largest deviation of a ratio from 1 on the first minibatch: 0 up to rounding.
    pub first_ratio_error: f64,
    /// Share of clipped ratios.
    pub clip_fraction: f64,
    /// Mean norm of the gradients before clipping.
    pub gradient_norm: f64,
    /// Share of the returns' variance that the value function had predicted.
    pub explained_variance: f64,
    /// Mean value over the rollout.
    pub mean_value: f64,
    /// Mean standard deviation of the actions.
    pub action_std: f64,
    /// Share of transitions that count.
    pub valid: f64,
    /// The learning rate after the update.
    pub learning_rate: f64,
    /// Where the time went.
    pub times: UpdateTimes,
}

/// Where an update's time went; exact where the device computes synchronously (the CPU).
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct UpdateTimes {
    /// Values, advantages, shuffling and copies.
    pub prepare: Duration,
    /// Forward passes and losses.
    pub forward: Duration,
    /// Backward passes.
    pub backward: Duration,
    /// Clipping and Adam.
    pub optimizer: Duration,
}

impl UpdateTimes {
    /// All of it.
    pub fn total(&self) -> Duration {
        self.prepare + self.forward + self.backward + self.optimizer
    }
}

impl Ppo {
    /// A fresh learner for worlds of this kind on this device.
    pub fn new(config: &Config, spec: &Spec, device: &Device) -> Result<Self> {
        let dims = Dims {
            policy: spec.policy_dim()?,
            critic: spec.critic_dim()?,
            action: spec.action_dim(),
        };
        if dims.action == 0 {
            return Err(Error::invalid(format!(
                "task '{}' has no actions",
                spec.task
            )));
        }
        config
            .network
            .check_sizes(dims.policy, dims.critic, dims.action)?;
        let (ppo, norm) = (&config.ppo, &config.normalization);
        let normalizer = |columns| Normalizer::new(columns, norm.observation, norm.clip, device);
        Ok(Self {
            network: ActorCritic::new(
                &config.network,
                dims,
                config.seed,
                &device.clone().autodiff(),
            ),
            optimizer: FlatAdam::new(ppo.adam_epsilon, ppo.max_grad_norm),
            obs_normalizer: normalizer(dims.policy),
            critic_normalizer: normalizer(dims.critic),
            value_moments: Moments::new(1),
            learning_rate: ppo.learning_rate,
            iteration: 0,
            scheduler: scheduler(config)?,
            device: device.clone(),
            config: config.clone(),
        })
    }

    /// Steps the worlds through one rollout; `obs` goes in as their present observations and comes out as the next.
    pub fn collect(
        &self,
        environment: &mut dyn Environment,
        obs: &mut Observations,
    ) -> Result<Rollout> {
        let actor = self.network.actor.valid();
        let actor = Actor {
            network: &actor,
            normalizer: &self.obs_normalizer,
            log_std: self.network.log_std().inner(),
        };
        let count =
            self.config.ppo.horizon * environment.num_envs() * environment.spec().action_dim();
        let noise =
            Stream::new(self.config.seed, Purpose::Exploration, self.iteration).normals(count);
        Rollout::collect(environment, &actor, obs, noise)
    }

    /// Learns from a rollout that this policy collected.
    pub fn update(&mut self, rollout: &Rollout) -> UpdateReport {
        let start = Instant::now();
        let mut report = UpdateReport::default();
        if let Some(scheduler) = &mut self.scheduler {
            self.learning_rate = scheduler.step().base();
        }
        let seen_returns = self.value_moments.count > 0.0;
        let returns = self.prepare(rollout, &mut report);
        let (batch, log_std) = self.batch(rollout, &returns);
        report.times.prepare = start.elapsed();

        self.epochs(&batch, log_std, &mut report);

        let start = Instant::now();
        if seen_returns {
            self.learn_values(&returns.returns, &rollout.valid);
        }
        let weight = column(rollout.valid.clone(), &self.device);
        self.obs_normalizer
            .learn(rollout.obs.clone(), weight.clone(), rollout.steps);
        match &rollout.privileged_obs {
            Some(obs) => self
                .critic_normalizer
                .learn(obs.clone(), weight, rollout.steps),
            None => self.critic_normalizer = self.obs_normalizer.clone(),
        }
        self.iteration += 1;
        report.learning_rate = self.learning_rate;
        report.action_std = f64::from(
            self.network
                .log_std()
                .inner()
                .exp()
                .mean()
                .into_scalar::<f32>(),
        );
        report.times.prepare += start.elapsed();
        report
    }

    /// Where the learner computes, without autodiff.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// Puts the learner at `iteration`, learning-rate schedule included.
    pub fn set_iteration(&mut self, iteration: u64) -> Result<()> {
        self.iteration = iteration;
        self.scheduler = scheduler(&self.config)?;
        if let Some(scheduler) = &mut self.scheduler {
            (0..iteration).for_each(|_| drop(scheduler.step()));
        }
        Ok(())
    }

    /// Values, advantages and value targets.
    fn prepare(&mut self, rollout: &Rollout, report: &mut UpdateReport) -> Returns {
        let predicted = self.predict(rollout.critic_obs());
        let value = self.denormalize(&predicted);
        let successor = self.successor_values(rollout, &value);
        let transitions = Transitions {
            worlds: rollout.worlds,
            reward: &rollout.reward,
            terminated: &rollout.terminated,
            truncated: &rollout.truncated,
            valid: &rollout.valid,
            value: &value,
            successor: &successor,
        };
        let mut advantage =
            gae::advantages(&transitions, self.config.ppo.gamma, self.config.ppo.lambda);
        let returns: Vec<f32> = advantage.iter().zip(&value).map(|(a, v)| a + v).collect();

        let valid = &rollout.valid;
        let error: Vec<f32> = advantage.clone();
        report.explained_variance = 1.0
            - moments(&error, valid).variance[0] / moments(&returns, valid).variance[0].max(1e-12);
        report.mean_value = moments(&value, valid).mean[0];
        report.valid = moments(valid, &vec![1.0; valid.len()]).mean[0];
        if self.config.ppo.normalize_advantage {
            let spread = moments(&advantage, valid);
            let (mean, deviation) = (spread.mean[0], spread.deviation(0));
            advantage
                .iter_mut()
                .for_each(|a| *a = ((f64::from(*a) - mean) / deviation) as f32);
        }
        let mut result = Returns {
            advantage,
            returns,
            predicted,
        };
        if self.value_moments.count == 0.0 && self.learn_values(&result.returns, valid) {
            // The very first statistics: what was predicted is expressed in them.
            let (mean, deviation) = (self.value_moments.mean[0], self.value_moments.deviation(0));
            result.predicted = value
                .iter()
                .map(|v| ((f64::from(*v) - mean) / deviation) as f32)
                .collect();
        }
        result
    }

    /// Values of every step's true successor.
    ///
    /// Where the episode went on it is the state the next step started from, whose value is known already; the
    /// successors of truncated steps and of the last step are looked at.
    fn successor_values(&self, rollout: &Rollout, value: &[f32]) -> Vec<f32> {
        let worlds = rollout.worlds;
        let last = (rollout.steps - 1) * worlds;
        let mut successor = value[worlds..].to_vec();
        let tail = self.predict(rollout.successor_obs.clone().narrow(0, last, worlds));
        successor.extend(self.denormalize(&tail));

        let mut cut: Vec<i64> = (0..last)
            .filter(|i| rollout.truncated[*i] > 0.0)
            .map(|i| i as i64)
            .collect();
        let count = cut.len();
        if count > 0 {
            // A power of two, so that a GPU sees few different shapes.
            cut.resize(count.next_power_of_two(), 0);
            let rows = rollout
                .successor_obs
                .clone()
                .select(0, indices(&cut, &self.device));
            let values = self.denormalize(&self.predict(rows));
            for (i, value) in cut.iter().zip(values).take(count) {
                successor[*i as usize] = value;
            }
        }
        successor
    }

    /// The critic's normalized predictions for raw observations.
    fn predict(&self, critic_obs: Tensor<2>) -> Vec<f32> {
        // Slices of a rollout at a time keep the hidden layers in the caches and the memory small.
        const ROWS: usize = 1 << 13;
        let critic = self.network.critic.valid();
        let rows = critic_obs.dims()[0];
        let values = (0..rows).step_by(ROWS).map(|start| {
            let slice = critic_obs.clone().narrow(0, start, ROWS.min(rows - start));
            critic.forward(self.critic_normalizer.apply(slice))
        });
        Tensor::cat(values.collect(), 0)
            .into_data()
            .iter::<f32>()
            .collect()
    }

    fn denormalize(&self, predicted: &[f32]) -> Vec<f32> {
        let (mean, deviation) = self.value_scale();
        predicted
            .iter()
            .map(|v| (f64::from(*v) * deviation + mean) as f32)
            .collect()
    }

    /// Mean and deviation that turn the critic's predictions into values; neutral before the first returns.
    fn value_scale(&self) -> (f64, f64) {
        if self.config.normalization.value && self.value_moments.count > 0.0 {
            (self.value_moments.mean[0], self.value_moments.deviation(0))
        } else {
            (0.0, 1.0)
        }
    }

    /// Merges returns into the value statistics, and rescales the critic's last layer so that its
    /// predictions stay what they were (van Hasselt et al., Learning values across many orders of magnitude, 2016).
    ///
    /// `σ·(w·h + b) + μ = σ'·(w'·h + b') + μ'` holds for `w' = w·σ/σ'` and `b' = (σ·b + μ − μ')/σ'`.
    fn learn_values(&mut self, returns: &[f32], valid: &[f32]) -> bool {
        let batch = moments(returns, valid);
        if !self.config.normalization.value || batch.count == 0.0 {
            return false;
        }
        let (mean, deviation) = self.value_scale();
        self.value_moments
            .limit(VALUE_WINDOW * returns.len() as f64);
        self.value_moments.merge(&batch);
        let (new_mean, new_deviation) = self.value_scale();
        let (scale, shift) = (deviation / new_deviation, (mean - new_mean) / new_deviation);
        if let Some(layer) = self.network.critic.layers.last_mut() {
            layer.weight = layer
                .weight
                .clone()
                .map(|w| Tensor::from_inner(w.inner() * scale).require_grad());
            layer.bias = layer
                .bias
                .take()
                .map(|b| b.map(|b| Tensor::from_inner(b.inner() * scale + shift).require_grad()));
        }
        true
    }

    /// Everything the losses need, shuffled once; epochs reuse the minibatches.
    fn batch(&self, rollout: &Rollout, returns: &Returns) -> (Batch, Tensor<2>) {
        let log_std = self.network.log_std().inner();
        let order = Stream::new(self.config.seed, Purpose::Shuffle, self.iteration)
            .permutation(rollout.valid.len());
        let order = indices(&order, &self.device);
        let shuffle = |tensor: Tensor<2>| tensor.select(0, order.clone());
        let shuffled = |values: Vec<f32>| shuffle(column(values, &self.device));

        let (mean, deviation) = self.value_scale();
        let target = returns.returns.iter();
        let target = target
            .map(|r| ((f64::from(*r) - mean) / deviation) as f32)
            .collect();
        let obs = shuffle(self.obs_normalizer.apply(rollout.obs.clone()));
        let critic_obs = match &rollout.privileged_obs {
            Some(seen) => shuffle(self.critic_normalizer.apply(seen.clone())),
            None => obs.clone(),
        };
        let log_prob = loss::normal_log_prob(rollout.noise.clone(), log_std.clone());
        let batch = Batch {
            obs,
            critic_obs,
            actions: shuffle(rollout.actions.clone()),
            mean: shuffle(rollout.mean.clone()),
            log_prob: shuffle(log_prob),
            advantage: shuffled(returns.advantage.clone()),
            target: shuffled(target),
            value: shuffled(returns.predicted.clone()),
            weight: shuffled(rollout.valid.clone()),
        };
        (batch, log_std)
    }

    fn epochs(&mut self, batch: &Batch, old_log_std: Tensor<2>, report: &mut UpdateReport) {
        let ppo = self.config.ppo.clone();
        let rows = batch.obs.dims()[0];
        let slices: Vec<(usize, usize)> = (0..ppo.minibatches)
            .map(|i| (i * rows / ppo.minibatches, (i + 1) * rows / ppo.minibatches))
            .collect();
        let mut scalars: Vec<Tensor<1>> = Vec::new();
        for epoch in 0..ppo.epochs {
            for (i, (start, end)) in slices.iter().enumerate() {
                let clock = Instant::now();
                let minibatch = batch
                    .clone()
                    .map(|tensor| tensor.narrow(0, *start, end - start));
                let losses = loss::loss(&self.network, minibatch, old_log_std.clone(), &ppo);
                let first = epoch == 0 && i == 0;
                if first {
                    report.first_kl = f64::from(losses.kl.clone().into_scalar::<f32>());
                    report.first_ratio_error =
                        f64::from(losses.ratio_error.clone().into_scalar::<f32>());
                } else if ppo.schedule == Schedule::Adaptive {
                    let kl = f64::from(losses.kl.clone().into_scalar::<f32>());
                    self.learning_rate = adapt(self.learning_rate, kl, &ppo);
                }
                report.times.forward += clock.elapsed();

                let clock = Instant::now();
                let gradients = losses.backward();
                report.times.backward += clock.elapsed();

                let clock = Instant::now();
                let (network, norm) =
                    self.optimizer
                        .step(self.learning_rate, self.network.clone(), gradients);
                self.network = network;
                report.times.optimizer += clock.elapsed();
                scalars.extend([
                    losses.policy,
                    losses.value,
                    losses.entropy,
                    losses.kl,
                    losses.clipped,
                    norm,
                ]);
            }
        }
        let count = (scalars.len() / 6) as f64;
        let values: Vec<f64> = Tensor::cat(scalars, 0).into_data().iter::<f64>().collect();
        let mean = |k: usize| values.iter().skip(k).step_by(6).sum::<f64>() / count;
        report.policy_loss = mean(0);
        report.value_loss = mean(1);
        report.entropy = mean(2);
        report.kl = mean(3);
        report.clip_fraction = mean(4);
        report.gradient_norm = mean(5);
    }
}

/// What [`Ppo::prepare`] computes, each `[T · N]`.
struct Returns {
    advantage: Vec<f32>,
    /// In the reward's units.
    returns: Vec<f32>,
    /// What the critic predicted, in its units.
    predicted: Vec<f32>,
}

/// rsl_rl's rule: a factor of 1.5 down where the policy moved more than twice as far as desired, up where less than half.
fn adapt(learning_rate: f64, kl: f64, ppo: &super::config::PpoConfig) -> f64 {
    if kl > 2.0 * ppo.desired_kl {
        (learning_rate / 1.5).max(ppo.min_learning_rate)
    } else if kl < 0.5 * ppo.desired_kl {
        (learning_rate * 1.5).min(ppo.max_learning_rate)
    } else {
        learning_rate
    }
}

fn scheduler(config: &Config) -> Result<Option<ModuleLrScheduler>> {
    let (rate, iterations) = (
        config.ppo.learning_rate,
        config.iterations().max(1) as usize,
    );
    let scheduler = match config.ppo.schedule {
        Schedule::Adaptive | Schedule::Constant => return Ok(None),
        Schedule::Linear => LinearLrSchedulerConfig::new(rate, 0.0, iterations).init(),
        Schedule::Cosine => CosineAnnealingLrSchedulerConfig::new(rate, iterations).init(),
    };
    scheduler
        .map(Some)
        .map_err(|error| Error::invalid(error).context("ppo.learning_rate"))
}

/// Mean and variance of the values that count.
fn moments(values: &[f32], valid: &[f32]) -> Moments {
    let pairs = || {
        values
            .iter()
            .zip(valid)
            .map(|(v, w)| (f64::from(*v), f64::from(*w)))
    };
    let count: f64 = pairs().map(|(_, w)| w).sum();
    let mean = pairs().map(|(v, w)| v * w).sum::<f64>() / count.max(1.0);
    let variance = pairs().map(|(v, w)| w * (v - mean).powi(2)).sum::<f64>() / count.max(1.0);
    Moments {
        count,
        mean: vec![mean],
        variance: vec![variance],
    }
}

fn column(values: Vec<f32>, device: &Device) -> Tensor<2> {
    let rows = values.len();
    Tensor::from_data(TensorData::new(values, [rows, 1]), device)
}

fn indices(values: &[i64], device: &Device) -> Tensor<1, Int> {
    Tensor::from_data(TensorData::new(values.to_vec(), [values.len()]), device)
}

#[cfg(test)]
mod tests;
