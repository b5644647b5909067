//! A run's folder, read again: its task as it was configured there, and its policy.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::output::note;
use super::subject;
use crate::env::VecEnv;
use crate::error::{Error, Result};
use crate::files;
use crate::gpu::Context;
use crate::tasks::{Definition, Registry};
use crate::train::{Config, EvalReport, Learner, Policy, Spec, Worlds, checkpoint, policy};

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

    /// The task as the run has it.
    pub(super) fn definition(&self, registry: &Registry) -> Result<Definition> {
        let mut definition = registry
            .load(&self.spec.task)
            .map_err(|error| error.context(self.folder.display()))?;
        definition.config = self.config.task.clone();
        Ok(definition)
    }

    /// The checkpoint's policy, where `learner` computes.
    pub(super) fn policy(&self, learner: &Learner) -> Result<Policy> {
        Policy::load(&self.checkpoint, &learner.device())
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
