//! Every hyper-parameter of training, with its default, as one serde structure.
//!
//! A run's configuration is layered: defaults, then the task's own table, then `key=value` from the
//! command line (see [`super::layers`]). The result is written to `config.toml` in the run's folder.

use serde::{Deserialize, Serialize};

use super::layers::Layers;
use crate::error::{Error, Result};

/// The whole configuration of a training run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Seed of the weights, the exploration noise, the minibatch order and the worlds.
    pub seed: u64,
    /// How many worlds step together.
    pub worlds: usize,
    /// Control steps to train for, summed over the worlds; the last iteration is completed.
    pub steps: u64,
    /// Repeat bit for bit on one device: autotune is off, so that kernels are not chosen by a stopwatch.
    pub deterministic: bool,
    /// Spread the worlds' first time limits evenly, so that a rollout sees all phases of an episode at once.
    pub stagger: bool,
    /// The policy and the value function.
    pub network: NetworkConfig,
    /// The algorithm.
    pub ppo: PpoConfig,
    /// Running normalization of observations and value targets.
    pub normalization: NormalizationConfig,
    /// What is written, and how often.
    pub log: LogConfig,
    /// The task's own table; its keys are the task's business.
    pub task: toml::Table,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            seed: 1,
            worlds: 4096,
            steps: 100_000_000,
            deterministic: true,
            stagger: true,
            network: NetworkConfig::default(),
            ppo: PpoConfig::default(),
            normalization: NormalizationConfig::default(),
            log: LogConfig::default(),
            task: toml::Table::new(),
        }
    }
}

/// The shapes of the two multi-layer perceptrons.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct NetworkConfig {
    /// Widths of the policy's hidden layers.
    pub actor: Vec<usize>,
    /// Widths of the value function's hidden layers.
    pub critic: Vec<usize>,
    /// The hidden layers' non-linearity.
    pub activation: Activation,
    /// Standard deviation of the actions at the start; it is learned, independently of the state.
    pub init_std: f64,
    /// The learned standard deviation never falls below this.
    pub min_std: f64,
}

impl Default for NetworkConfig {
    fn default() -> Self {
        Self {
            actor: vec![256, 128],
            critic: vec![256, 128],
            activation: Activation::Elu,
            init_std: 1.0,
            min_std: 0.01,
        }
    }
}

/// A non-linearity between layers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Activation {
    /// `x` for positive `x`, `exp(x) − 1` for negative.
    Elu,
    /// Hyperbolic tangent.
    Tanh,
    /// `max(x, 0)`.
    Relu,
    /// None: an output layer.
    Linear,
}

/// Proximal policy optimization (Schulman et al., 2017), with the learning-rate rule of rsl_rl
/// (Rudin et al., Learning to Walk in Minutes, 2022).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PpoConfig {
    /// Control steps per rollout and world.
    pub horizon: usize,
    /// Passes over a rollout.
    pub epochs: usize,
    /// Minibatches per pass.
    pub minibatches: usize,
    /// Discount per control step.
    pub gamma: f64,
    /// The λ of generalized advantage estimation.
    pub lambda: f64,
    /// The probability ratio is clipped to 1 ± this.
    pub clip: f64,
    /// Also clip the value function's change (by `clip`, in normalized units).
    pub clip_value_loss: bool,
    /// Weight of the value loss.
    pub value_weight: f64,
    /// Weight of the entropy bonus.
    pub entropy_weight: f64,
    /// The learning rate at the start.
    pub learning_rate: f64,
    /// How the learning rate moves.
    pub schedule: Schedule,
    /// `adaptive`: the KL divergence per minibatch that the learning rate aims at.
    pub desired_kl: f64,
    /// `adaptive`: the learning rate's lower bound.
    pub min_learning_rate: f64,
    /// `adaptive`: the learning rate's upper bound.
    pub max_learning_rate: f64,
    /// The norm of all gradients together is clipped to this.
    pub max_grad_norm: f64,
    /// Normalize advantages to mean 0 and deviation 1 over the rollout.
    pub normalize_advantage: bool,
    /// Adam's ε.
    pub adam_epsilon: f64,
}

impl Default for PpoConfig {
    fn default() -> Self {
        Self {
            horizon: 24,
            epochs: 5,
            minibatches: 4,
            gamma: 0.99,
            lambda: 0.95,
            clip: 0.2,
            clip_value_loss: true,
            value_weight: 1.0,
            entropy_weight: 0.0,
            learning_rate: 1e-3,
            schedule: Schedule::Adaptive,
            desired_kl: 0.01,
            min_learning_rate: 1e-5,
            max_learning_rate: 1e-2,
            max_grad_norm: 1.0,
            normalize_advantage: true,
            adam_epsilon: 1e-8,
        }
    }
}

/// How the learning rate moves during training.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Schedule {
    /// Up when the policy moved less than half of `desired_kl` in a minibatch, down when more than twice.
    Adaptive,
    /// Constant.
    Constant,
    /// Linear to zero over the run.
    Linear,
    /// Half a cosine to zero over the run.
    Cosine,
}

/// Running normalization; frozen during a rollout and the updates on it, saved with the policy.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct NormalizationConfig {
    /// Normalize observations to mean 0 and deviation 1.
    pub observation: bool,
    /// Let the value function predict normalized returns.
    pub value: bool,
    /// Normalized observations are clipped to ± this.
    pub clip: f64,
}

impl Default for NormalizationConfig {
    fn default() -> Self {
        Self {
            observation: true,
            value: true,
            clip: 10.0,
        }
    }
}

/// What a run writes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LogConfig {
    /// Iterations between checkpoints; the last iteration always has one.
    pub checkpoint_interval: u64,
    /// How many of the newest numbered checkpoints are kept; 0 keeps all.
    pub keep_checkpoints: usize,
    /// Write TensorBoard events.
    pub tensorboard: bool,
    /// Draw `curves.png` at every checkpoint.
    pub curves: bool,
    /// Stop as soon as an iteration's mean return reaches this; 0 never stops early.
    pub target_return: f64,
}

impl Default for LogConfig {
    fn default() -> Self {
        Self {
            checkpoint_interval: 50,
            keep_checkpoints: 3,
            tensorboard: true,
            curves: true,
            target_return: 0.0,
        }
    }
}

/// Worlds of a run.
const MOST_WORLDS: usize = 1 << 24;
/// Steps of a rollout, and epochs over it.
const MOST_STEPS: usize = 1 << 20;
/// Transitions of a rollout: worlds times steps.
const MOST_TRANSITIONS: usize = 1 << 31;
/// Weights between the hidden layers of a network; with Adam's moments and gradients 16 bytes each.
const MOST_WEIGHTS: usize = 1 << 24;

/// The weights between layers of these widths.
fn weights(widths: &[usize]) -> usize {
    let pairs = widths
        .windows(2)
        .map(|pair| pair[0].saturating_mul(pair[1]));
    pairs.fold(0, usize::saturating_add)
}

impl NetworkConfig {
    /// Whether the networks between so many observations and actions are of a size that can be trained.
    pub(super) fn check_sizes(&self, policy: usize, critic: usize, actions: usize) -> Result<()> {
        let networks = [
            ("network.actor", policy, &self.actor, actions),
            ("network.critic", critic, &self.critic, 1),
        ];
        for (key, inputs, hidden, outputs) in networks {
            let count = weights(&[&[inputs], hidden.as_slice(), &[outputs]].concat());
            if count > MOST_WEIGHTS {
                return Err(
                    Error::invalid(format!("{key} = {hidden:?} has {count} weights"))
                        .hint(format!("at most {MOST_WEIGHTS}")),
                );
            }
        }
        Ok(())
    }
}

impl Config {
    /// The defaults as a first layer, with the task's own keys under `task`.
    pub fn layers(task: toml::Table) -> Result<Layers> {
        let defaults = Self {
            task,
            ..Self::default()
        };
        let table = toml::Table::try_from(defaults)
            .map_err(|error| Error::invalid(format!("defaults do not form a table: {error}")))?;
        Ok(Layers::new(table))
    }

    /// Reads a resolved table; ranges are checked here, once.
    pub fn from_layers(layers: &Layers) -> Result<Self> {
        let config: Self = layers
            .table()
            .clone()
            .try_into()
            .map_err(|error| Error::invalid(error).context("configuration"))?;
        config.check()?;
        Ok(config)
    }

    /// Transitions per iteration.
    pub fn batch(&self) -> usize {
        self.worlds * self.ppo.horizon
    }

    /// Iterations the run takes.
    pub fn iterations(&self) -> u64 {
        self.steps.div_ceil(self.batch() as u64)
    }

    /// Whether every number is in its range.
    pub(super) fn check(&self) -> Result<()> {
        let counts = [
            ("worlds", self.worlds),
            ("ppo.horizon", self.ppo.horizon),
            ("ppo.epochs", self.ppo.epochs),
            ("ppo.minibatches", self.ppo.minibatches),
            (
                "log.checkpoint_interval",
                self.log.checkpoint_interval as usize,
            ),
        ];
        for (key, count) in counts {
            if count == 0 {
                return Err(Error::invalid(format!("{key} is 0")).hint("it must be at least 1"));
            }
        }
        if self.network.actor.contains(&0) || self.network.critic.contains(&0) {
            return Err(Error::invalid(
                "a layer of width 0 in network.actor or network.critic",
            ));
        }
        // More does not fit anywhere, and would be found out by running out of memory.
        let sizes = [
            ("worlds", self.worlds, MOST_WORLDS),
            ("ppo.horizon", self.ppo.horizon, MOST_STEPS),
            ("ppo.epochs", self.ppo.epochs, MOST_STEPS),
            (
                "the transitions of a rollout",
                self.worlds.saturating_mul(self.ppo.horizon),
                MOST_TRANSITIONS,
            ),
            (
                "the weights of network.actor",
                weights(&self.network.actor),
                MOST_WEIGHTS,
            ),
            (
                "the weights of network.critic",
                weights(&self.network.critic),
                MOST_WEIGHTS,
            ),
        ];
        for (key, size, most) in sizes {
            if size > most {
                return Err(
                    Error::invalid(format!("{key}: {size}")).hint(format!("at most {most}"))
                );
            }
        }
        if self.ppo.minibatches > self.batch() {
            return Err(Error::invalid(format!(
                "ppo.minibatches = {} but a rollout has only {} transitions",
                self.ppo.minibatches,
                self.batch()
            ))
            .hint("fewer minibatches, more worlds or a longer ppo.horizon"));
        }
        let unit = [
            ("ppo.gamma", self.ppo.gamma),
            ("ppo.lambda", self.ppo.lambda),
        ];
        for (key, value) in unit {
            if !(0.0..=1.0).contains(&value) {
                return Err(
                    Error::invalid(format!("{key} = {value}")).hint("it lies between 0 and 1")
                );
            }
        }
        let positive = [
            ("ppo.clip", self.ppo.clip),
            ("ppo.learning_rate", self.ppo.learning_rate),
            ("ppo.desired_kl", self.ppo.desired_kl),
            ("ppo.min_learning_rate", self.ppo.min_learning_rate),
            ("ppo.max_learning_rate", self.ppo.max_learning_rate),
            ("ppo.max_grad_norm", self.ppo.max_grad_norm),
            ("ppo.adam_epsilon", self.ppo.adam_epsilon),
            ("network.init_std", self.network.init_std),
            ("network.min_std", self.network.min_std),
            ("normalization.clip", self.normalization.clip),
        ];
        for (key, value) in positive {
            if !(value > 0.0 && value.is_finite()) {
                return Err(Error::invalid(format!("{key} = {value}"))
                    .hint("it must be positive and finite"));
            }
        }
        let weights = [
            ("ppo.value_weight", self.ppo.value_weight),
            ("ppo.entropy_weight", self.ppo.entropy_weight),
        ];
        for (key, value) in weights {
            if !(value >= 0.0 && value.is_finite()) {
                return Err(Error::invalid(format!("{key} = {value}"))
                    .hint("it must be at least 0 and finite"));
            }
        }
        if self.ppo.min_learning_rate > self.ppo.max_learning_rate {
            return Err(Error::invalid(
                "ppo.min_learning_rate is above ppo.max_learning_rate",
            ));
        }
        Ok(())
    }
}
