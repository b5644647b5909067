//! What a learner needs from a batch of worlds, and nothing more.
//!
//! [`Environment`] is object safe and speaks burn tensors on one device, so that the simulator
//! (through the crate's tensor bridge), an analytic problem in a test, or a user's own batch can be trained alike.
//!
//! Contract of the tensors that an environment hands out: they are never overwritten later. The
//! learner keeps a whole rollout of them, and differentiates through what it computed from them;
//! an environment that reuses buffers returns copies, or slots of a rollout that nobody rewrites.

use std::collections::BTreeMap;

use burn::tensor::{Device, Tensor};
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result, near_matches};

/// The group of observations the policy sees.
pub const POLICY: &str = "policy";
/// The optional group of privileged observations that only the value function sees.
pub const CRITIC: &str = "critic";

/// A batch of `num_envs` worlds that all step together and reset themselves.
pub trait Environment {
    /// What the worlds observe and accept; constant over the environment's life.
    fn spec(&self) -> &Spec;

    /// How many worlds step together: the first dimension `N` of every tensor.
    fn num_envs(&self) -> usize;

    /// Where the tensors live; a device without autodiff.
    fn device(&self) -> Device;

    /// Starts every world anew. `Some(seed)` starts the random streams there, `None` continues them.
    fn reset(&mut self, seed: Option<u64>) -> Result<Observations>;

    /// Advances every world by one control step of `actions`, `[N, action_dim]`, unclipped.
    fn step(&mut self, actions: Tensor<2>) -> Result<Step>;

    /// The episodes that ended since the last call.
    fn drain_stats(&mut self) -> Result<EpisodeStats>;

    /// Everything that decides the future of the worlds, as bytes: state, parameters, random
    /// streams, running episode sums, curricula. [`restore`](Environment::restore) continues bit for bit.
    fn snapshot(&mut self) -> Result<Vec<u8>>;

    /// Puts a [`snapshot`](Environment::snapshot) back and returns the observations the worlds had then.
    fn restore(&mut self, snapshot: &[u8]) -> Result<Observations>;

    /// Makes every world's episode begin `elapsed[world]` steps ago, as far as the time limit is concerned.
    ///
    /// An environment without a time limit ignores it.
    fn set_episode_steps(&mut self, _elapsed: &[u32]) -> Result<()> {
        Ok(())
    }

    /// What a recording shows of the first `worlds` worlds beside what the policy sees: names and `[worlds, n]` values,
    /// for example `qpos`.
    fn state(&self, _worlds: usize) -> Result<Vec<(String, Vec<f32>)>> {
        Ok(Vec::new())
    }

    /// Called between two rollouts, for curricula; `stats` are those of the rollout just finished.
    fn on_iteration(&mut self, _iteration: u64, _stats: &EpisodeStats) -> Result<()> {
        Ok(())
    }
}

/// What one control step gave, in every world.
#[derive(Clone, Debug)]
pub struct Step {
    /// What the next action is chosen from: after the reset where a world was done.
    pub obs: Observations,
    /// The true successor of every world, never after a reset.
    pub next_obs: Observations,
    /// `[N]`
    pub reward: Tensor<1>,
    /// `[N]`, 1 where the task ended: the future is worth nothing.
    pub terminated: Tensor<1>,
    /// `[N]`, 1 where the episode was cut (time limit, quarantine): the future counts. Never together with `terminated`.
    pub truncated: Tensor<1>,
    /// `[N]`, 0 where this step must not be learned from: a quarantined world, or one that only reset.
    pub valid: Tensor<1>,
}

/// Observations by group, each `[N, D]`.
#[derive(Clone, Debug, Default)]
pub struct Observations(BTreeMap<String, Tensor<2>>);

impl Observations {
    /// Only the policy's group.
    pub fn policy_only(policy: Tensor<2>) -> Self {
        Self::default().with(POLICY, policy)
    }

    /// Adds or replaces a group.
    #[must_use]
    pub fn with(mut self, group: &str, tensor: Tensor<2>) -> Self {
        self.0.insert(group.to_owned(), tensor);
        self
    }

    /// The group's tensor; an error names the groups there are.
    pub fn get(&self, group: &str) -> Result<Tensor<2>> {
        self.0.get(group).cloned().ok_or_else(|| {
            let names: Vec<&str> = self.0.keys().map(String::as_str).collect();
            let near = near_matches(group, names.iter().copied());
            Error::invalid(format!("no observation group '{group}'")).hint(match near.first() {
                Some(name) => format!("did you mean '{name}'?"),
                None => format!("there are: {}", names.join(", ")),
            })
        })
    }

    /// What the policy sees.
    pub fn policy(&self) -> Result<Tensor<2>> {
        self.get(POLICY)
    }

    /// Whether there is a group of this name.
    pub fn has(&self, group: &str) -> bool {
        self.0.contains_key(group)
    }

    /// What the value function sees: the privileged group where there is one, else the policy's.
    pub fn critic(&self) -> Result<Tensor<2>> {
        if self.has(CRITIC) {
            self.get(CRITIC)
        } else {
            self.get(POLICY)
        }
    }

    /// Applies `f` to every group.
    #[must_use]
    pub fn map(self, f: impl Fn(Tensor<2>) -> Tensor<2>) -> Self {
        Self(
            self.0
                .into_iter()
                .map(|(name, tensor)| (name, f(tensor)))
                .collect(),
        )
    }
}

/// What an environment observes and accepts; written into exported policies.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Spec {
    /// The task's name.
    pub task: String,
    /// The observation groups in a fixed order; `policy` is required, `critic` is optional.
    pub observations: Vec<ObservationGroup>,
    /// The actions in order; their number is `action_dim`.
    pub actions: Vec<ActionTerm>,
    /// Seconds between two actions.
    pub control_dt: f64,
    /// Steps after which an episode is truncated, where there is a limit.
    pub max_episode_steps: Option<usize>,
    /// Whatever else a user of the policy must know (default pose, gains, physics step), as JSON.
    #[serde(default)]
    pub details: BTreeMap<String, serde_json::Value>,
}

impl Spec {
    /// The number of actions.
    pub fn action_dim(&self) -> usize {
        self.actions.len()
    }

    /// The width of an observation group, where it exists.
    pub fn group_dim(&self, group: &str) -> Option<usize> {
        self.observations
            .iter()
            .find(|g| g.name == group)
            .map(ObservationGroup::dim)
    }

    /// The width of what the policy sees.
    pub fn policy_dim(&self) -> Result<usize> {
        self.group_dim(POLICY)
            .filter(|dim| *dim > 0)
            .ok_or_else(|| {
                Error::invalid(format!(
                    "task '{}' has no '{POLICY}' observation",
                    self.task
                ))
            })
    }

    /// The width of what the value function sees.
    pub fn critic_dim(&self) -> Result<usize> {
        match self.group_dim(CRITIC) {
            Some(dim) if dim > 0 => Ok(dim),
            _ => self.policy_dim(),
        }
    }
}

/// One observation group: its terms, concatenated in order.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ObservationGroup {
    /// `policy`, `critic`, or the task's own.
    pub name: String,
    /// The terms in the order of their columns.
    pub terms: Vec<ObservationTerm>,
}

impl ObservationGroup {
    /// The group's width: the sum of its terms' widths.
    pub fn dim(&self) -> usize {
        let dims = self.terms.iter().map(|term| term.dim);
        dims.fold(0, usize::saturating_add)
    }
}

/// One named observation term.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ObservationTerm {
    /// For example `joint_pos`.
    pub name: String,
    /// How many columns it has.
    pub dim: usize,
    /// What the environment multiplied the physical quantity by.
    pub scale: f64,
}

/// One action: the actuator it drives and how it is scaled, `ctrl = offset + scale · action`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ActionTerm {
    /// The actuator's name.
    pub name: String,
    /// What the action is multiplied by.
    pub scale: f64,
    /// What is added: a default joint position, say.
    pub offset: f64,
}

/// Statistics over the episodes that ended in some interval.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct EpisodeStats {
    /// How many episodes ended.
    pub count: u64,
    /// Their mean undiscounted return; 0 where `count` is 0.
    pub mean_return: f64,
    /// Their mean length in control steps.
    pub mean_length: f64,
    /// Mean return by reward term (weighted as in the return).
    pub terms: BTreeMap<String, f64>,
    /// Anything else worth a curve: terminations by cause, curriculum levels, overflow counters.
    pub metrics: BTreeMap<String, f64>,
}
