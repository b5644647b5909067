//! A trained policy by itself: what evaluation, export and deployment need.

use std::path::Path;

use burn::module::Module;
use burn::tensor::{Device, Tensor};

use super::checkpoint;
use super::config::Config;
use super::environment::Spec;
use super::network::Mlp;
use super::normalize::Normalizer;
use super::ppo::Ppo;
use crate::error::{Error, Result};
use crate::files;

/// The file of a run that holds its configuration.
pub const CONFIG_FILE: &str = "config.toml";
/// The file of a run that says what its task observes and accepts.
pub const SPEC_FILE: &str = "spec.json";
/// The file of a run that says how the policy it ended with did; gone as soon as the run goes on.
pub const EVALUATION_FILE: &str = "evaluation.json";

/// Observations in, mean actions out.
#[derive(Clone, Debug)]
pub struct Policy {
    /// Observations to mean actions, without autodiff.
    pub network: Mlp,
    /// The statistics it was trained with.
    pub normalizer: Normalizer,
    /// Logarithm of the exploration's standard deviation, `[1, A]`.
    pub log_std: Tensor<2>,
    /// Actions are limited to ± this, where a policy from elsewhere was trained so; this crate's are not.
    pub limit: Option<f64>,
    /// What it observes and controls.
    pub spec: Spec,
}

impl Policy {
    /// The learner's present policy.
    pub fn of(ppo: &Ppo, spec: &Spec) -> Self {
        Self {
            network: ppo.network.actor.valid(),
            normalizer: ppo.obs_normalizer.clone(),
            log_std: ppo.network.log_std().inner(),
            limit: None,
            spec: spec.clone(),
        }
    }

    /// The newest policy of a run, or of one of its checkpoints.
    pub fn load(dir: &Path, device: &Device) -> Result<Self> {
        let checkpoint = checkpoint::latest(dir)?;
        // A checkpoint lies two folders deep in its run.
        let run = checkpoint.parent().and_then(Path::parent).unwrap_or(dir);
        let spec = load_spec(run)?;
        let mut ppo = Ppo::new(&load_config(run)?, &spec, device)?;
        checkpoint::load_policy(&checkpoint, &mut ppo)?;
        Ok(Self::of(&ppo, &spec))
    }

    /// The mean action, `[N, D]` to `[N, A]`: no exploration.
    pub fn act(&self, obs: Tensor<2>) -> Tensor<2> {
        let actions = self.network.forward(self.normalizer.apply(obs));
        match self.limit {
            Some(limit) => actions.clamp(-limit, limit),
            None => actions,
        }
    }
}

/// A run's configuration as it was written.
pub fn load_config(run: &Path) -> Result<Config> {
    let place = |error: Error| error.context(run.join(CONFIG_FILE).display());
    let config: Config = load_table(run)?
        .try_into()
        .map_err(|error| place(Error::invalid(error)))?;
    config.check().map_err(place)?;
    Ok(config)
}

/// A run's configuration as a plain table.
pub fn load_table(run: &Path) -> Result<toml::Table> {
    let path = run.join(CONFIG_FILE);
    let bytes =
        files::read(&path).map_err(|error| error.hint("give the folder that train --out wrote"))?;
    String::from_utf8_lossy(&bytes)
        .parse()
        .map_err(|error| Error::invalid(error).context(path.display()))
}

/// What a run's task observes and accepts.
pub fn load_spec(run: &Path) -> Result<Spec> {
    let path = run.join(SPEC_FILE);
    serde_json::from_slice(&files::read(&path)?)
        .map_err(|error| Error::invalid(error).context(path.display()))
}
