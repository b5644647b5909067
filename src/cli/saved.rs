//! A run's folder, read again: its task as it was configured there, and its policy.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use serde::{Deserialize, Serialize};
use toml::{Table, Value};

use super::output::{note, short};
use super::subject;
use crate::env::{Snapshot, VecEnv};
use crate::error::{Error, Result};
use crate::files;
use crate::gpu::Context;
use crate::tasks::{Definition, Registry};
use crate::train::{Config, EvalReport, Learner, Policy, Spec, Worlds, checkpoint, policy};

/// In which worlds a saved policy acts.
#[derive(Args, Clone, Debug, Default)]
pub(super) struct Conditions {
    /// Where ranges stand that moved in training (automatic domain randomization), and other numbers that a task moves. A
    /// randomize.preset=… among the settings chooses ranges anew
    #[arg(long, value_enum, default_value_t)]
    ranges: Ranges,
    /// Settings of the task, over those it was trained with and what its ranges reached: the same policy in other worlds,
    /// for example 'randomize.mass={field="body_mass",scale.constant=1.5}'
    #[arg(value_name = "key=value")]
    settings: Vec<String>,
}

/// Where ranges that move stand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Ranges {
    /// Where training had moved them to by this checkpoint
    #[default]
    Reached,
    /// Where they began
    Initial,
}

impl Conditions {
    /// Changes a task that knows nothing of a run.
    pub(super) fn apply(&self, definition: &mut Definition) -> Result<()> {
        definition.set_all(self.settings.iter().map(String::as_str))
    }

    /// Whether there are settings of a key, or below it.
    fn set(&self, key: &str) -> bool {
        let keys = self.settings.iter().map(|setting| setting.trim_start());
        keys.filter_map(|text| text.strip_prefix(key))
            .any(|rest| rest.trim_start().starts_with(['=', '.']))
    }
}

/// What `train` left in a folder.
pub(super) struct SavedRun {
    /// The run's folder.
    pub folder: PathBuf,
    /// The checkpoint that counts: the newest, or the one that was named.
    pub checkpoint: PathBuf,
    /// How it was trained.
    pub config: Config,
    /// What its policy observes and controls.
    pub spec: Spec,
}

impl SavedRun {
    /// Reads the folder of a run, or of one of its checkpoints.
    pub(super) fn open(folder: &Path) -> Result<Self> {
        if !folder.is_dir() {
            return Err(Error::invalid("there is no such folder")
                .context(folder.display())
                .hint("give the folder that train wrote, for example runs/cartpole/001"));
        }
        let checkpoint = checkpoint::latest(folder)?;
        // A checkpoint lies two folders deep in its run.
        let run = checkpoint
            .parent()
            .and_then(Path::parent)
            .unwrap_or(folder)
            .to_owned();
        let (config, spec) = (policy::load_config(&run)?, policy::load_spec(&run)?);
        Ok(Self {
            folder: run,
            checkpoint,
            config,
            spec,
        })
    }

    /// The task as the run had it when it wrote the checkpoint, then as the conditions say. Nobody is held at the edges of
    /// ranges: they are measured in training only.
    pub(super) fn definition(
        &self,
        registry: &Registry,
        conditions: &Conditions,
    ) -> Result<Definition> {
        let mut definition = self.configured(registry, self.config.task.clone())?;
        if conditions.ranges == Ranges::Reached && !conditions.set("randomize.preset") {
            self.reach(&mut definition)
                .map_err(|error| error.context(self.checkpoint.display()))?;
        }
        conditions.apply(&mut definition)?;
        if definition.spec()?.adr.is_some() && !conditions.set("randomize.adr") {
            definition.set("randomize.adr.boundary_share=0")?;
        }
        Ok(definition)
    }

    /// The run's task with another configuration.
    pub(super) fn configured(&self, registry: &Registry, config: Table) -> Result<Definition> {
        let mut definition = registry
            .load(&self.spec.task)
            .map_err(|error| error.context(self.folder.display()))?;
        definition.config = config;
        Ok(definition)
    }

    /// Puts the numbers that the checkpoint has into a task, and says which of them training had moved.
    fn reach(&self, definition: &mut Definition) -> Result<()> {
        let snapshot = Snapshot::from_bytes(&checkpoint::environment(&self.checkpoint)?)?;
        let count = definition.spec()?.parameters().len();
        let Some(numbers) = snapshot.numbers().get(..count) else {
            note!(
                "warning: the checkpoint's worlds are of another version: ranges are as they began"
            );
            return Ok(());
        };
        let moved = definition.set_parameters(numbers)?;
        if !moved.is_empty() {
            let shown: Vec<String> = moved
                .iter()
                .map(|(key, value)| format!("{key} = {}", rounded(value)))
                .collect();
            note!(
                "as training had moved them (--ranges initial: as they began): {}",
                shown.join(", ")
            );
        }
        Ok(())
    }

    /// The checkpoint's policy, where `learner` computes.
    pub(super) fn policy(&self, learner: &Learner) -> Result<Policy> {
        Policy::load(&self.checkpoint, &learner.device())
    }
}

/// A value as it is read best: without the rounding errors of many small steps.
fn rounded(value: &Value) -> String {
    match value {
        Value::Float(number) => short(*number),
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(rounded).collect();
            format!("[{}]", items.join(", "))
        }
        other => other.to_string(),
    }
}

/// Whether a folder holds a run.
pub(super) fn is_run(folder: &Path) -> bool {
    folder.join(policy::CONFIG_FILE).is_file()
}

/// How the policy that a run ended with did in worlds of its own: `evaluation.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Evaluation {
    /// Control steps of the training.
    pub steps: u64,
    /// Episodes that count.
    pub episodes: usize,
    /// Their mean undiscounted return.
    pub mean_return: f64,
    /// Standard deviation of the return.
    pub std_return: f64,
    /// Mean length in control steps.
    pub mean_length: f64,
    /// The return of each episode.
    pub returns: Vec<f64>,
}

impl Evaluation {
    /// Writes what came out after `steps` of training.
    pub(super) fn save(run: &Path, report: &EvalReport, steps: u64) -> Result<()> {
        let evaluation = Self {
            steps,
            episodes: report.episodes,
            mean_return: report.mean_return,
            std_return: report.std_return,
            mean_length: report.mean_length,
            returns: report.returns.clone(),
        };
        let text = serde_json::to_vec_pretty(&evaluation).map_err(Error::io)?;
        files::write(&run.join(policy::EVALUATION_FILE), &text)
    }

    /// Reads it, where the run has been evaluated.
    pub(super) fn load(run: &Path) -> Result<Option<Self>> {
        let path = run.join(policy::EVALUATION_FILE);
        if !path.exists() {
            return Ok(None);
        }
        let read = serde_json::from_slice(&files::read(&path)?);
        read.map(Some)
            .map_err(|error| Error::invalid(error).context(path.display()))
    }
}

/// The graphics device, and where networks are computed.
pub(super) struct Machine {
    /// Where worlds are stepped.
    pub context: Context,
    /// Where networks are computed.
    pub learner: Learner,
}

impl Machine {
    /// Opens the device, and says which one and where the learner runs.
    pub(super) fn open() -> Result<Self> {
        let context = subject::open_device()?;
        let learner = Learner::choose(&context)?;
        let why = match context.info().software {
            true => {
                "the graphics device is this machine's processor too, whose own backend is faster"
            }
            false => "the graphics device is hardware",
        };
        note!("learner: {learner}; {why}");
        Ok(Self { context, learner })
    }

    /// A task's worlds.
    pub(super) fn worlds(
        &self,
        definition: Definition,
        worlds: usize,
        seed: u64,
    ) -> Result<Worlds> {
        let builder = VecEnv::builder(definition).worlds(worlds).seed(seed);
        Worlds::new(builder, &self.context, &self.learner)
    }
}
