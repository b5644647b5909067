//! `--dump-bad-worlds`: what `train` and `eval` do with worlds that go wrong.

use std::path::{Path, PathBuf};

use clap::Args;

use super::saved::Machine;
use crate::env::{Dumps, VecEnv};
use crate::error::Result;
use crate::tasks::{Cause, Definition};
use crate::train::Worlds;

/// Options of every command that steps a task's worlds.
#[derive(Args, Clone, Debug, Default)]
pub(super) struct Dump {
    /// Write every world that goes wrong into this folder (at most 64), as `rollout --task` steps it again: with all that
    /// its control step began with
    #[arg(long, value_name = "DIR")]
    dump_bad_worlds: Option<PathBuf>,
    /// Also worlds that go on although something was not exact: more contacts than slots, solver not converged
    #[arg(long, requires = "dump_bad_worlds")]
    dump_warnings: bool,
}

impl Dump {
    /// The same, in a folder of that name inside the folder.
    pub(super) fn within(&self, name: &Path) -> Self {
        Self {
            dump_bad_worlds: (self.dump_bad_worlds.as_ref()).map(|folder| folder.join(name)),
            ..self.clone()
        }
    }

    /// A task's worlds, which are dumped where they go wrong.
    pub(super) fn worlds(
        &self,
        machine: &Machine,
        definition: Definition,
        worlds: usize,
        seed: u64,
    ) -> Result<Worlds> {
        let Some(folder) = &self.dump_bad_worlds else {
            return machine.worlds(definition, worlds, seed);
        };
        let dumps = Dumps::new(folder, Dumps::LIMIT)?;
        let wanted = |cause: &Cause| cause.quarantines() || self.dump_warnings;
        let causes: Vec<Cause> = Cause::ALL.into_iter().filter(wanted).collect();
        let builder = VecEnv::builder(definition).worlds(worlds).seed(seed);
        let builder = builder.keep_bad_worlds(&causes);
        let mut worlds = Worlds::new(builder, &machine.context, &machine.learner)?;
        worlds.dump_into(dumps);
        Ok(worlds)
    }
}
