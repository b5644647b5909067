//! A run's folder, read again: its task as it was configured there, and its policy.

use std::path::{Path, PathBuf};

use super::output::note;
use super::subject;
use crate::env::VecEnv;
use crate::error::{Error, Result};
use crate::gpu::Context;
use crate::tasks::{Definition, Registry};
use crate::train::{Config, Learner, Policy, Spec, Worlds, checkpoint, policy};

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
