//! `export`: a trained policy for other programs.

use std::path::PathBuf;

use clap::Args;

use super::output::{note, say};
use super::saved::SavedRun;
use crate::error::{Error, Result};
use crate::train::{self, Learner};

/// Write a trained policy for other programs: F.json describes it, F.npz has its numbers
///
/// The description says how to compute an action from an observation, what the observation's terms are, and what each
/// action drives.
#[derive(Args)]
#[command(after_help = "Example:
  manyworlds export runs/cartpole/001 --out cartpole    (writes cartpole.json and cartpole.npz)")]
pub(super) struct Arguments {
    /// Folder of a run, or of one of its checkpoints
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    /// Name of the two files, with an extension or without
    #[arg(long, value_name = "F")]
    out: PathBuf,
}

pub(super) fn run(arguments: &Arguments) -> Result<()> {
    if arguments.out.file_name().is_none() || arguments.out.is_dir() {
        return Err(Error::invalid("names no file")
            .context(arguments.out.display())
            .hint("give the name of the files to write, for example policy"));
    }
    let saved = SavedRun::open(&arguments.folder)?;
    note!(
        "{}: the policy of {}",
        saved.checkpoint.display(),
        saved.spec.task
    );
    let policy = saved.policy(&Learner::processor())?;
    let files = train::export(&policy, &arguments.out)?;
    say!(
        "wrote {}",
        files.map(|file| file.display().to_string()).join(" and ")
    );
    Ok(())
}
