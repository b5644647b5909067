//! A folder of bad worlds, a file each.

use std::fs;
use std::path::{Path, PathBuf};

use super::{BadWorld, VecEnv};
use crate::error::{Error, Result};
use crate::files;

/// Writes the bad worlds of an environment into a folder, up to a number of files: a task that goes wrong everywhere does
/// not fill the disk.
#[derive(Clone, Debug)]
pub struct Dumps {
    folder: PathBuf,
    limit: usize,
    /// Dumps in the folder, those of earlier runs among them.
    files: usize,
}

impl Dumps {
    /// Files in a folder unless said otherwise. One takes a few kilobytes to some hundred.
    pub const LIMIT: usize = 64;

    /// Makes the folder where there is none. Dumps that are in it count towards the limit.
    ///
    /// # Errors
    /// The folder cannot be made or read.
    pub fn new(folder: &Path, limit: usize) -> Result<Self> {
        files::create_dir(folder)?;
        let entries =
            fs::read_dir(folder).map_err(|error| Error::io(error).context(folder.display()))?;
        let names = entries.flatten().map(|entry| entry.file_name());
        let is_dump = |name: &str| name.starts_with("world_") && name.ends_with(".npz");
        let files = names
            .filter(|name| name.to_str().is_some_and(is_dump))
            .count();
        Ok(Self {
            folder: folder.to_owned(),
            limit,
            files,
        })
    }

    /// Writes the worlds that went wrong since the last call, and gives a line about each file and its world. At the limit
    /// it says so, and has the environment keep no more.
    ///
    /// # Errors
    /// The device or the file system failed.
    pub fn take(&mut self, env: &mut VecEnv) -> Result<Vec<String>> {
        let mut lines = Vec::new();
        for bad in env.take_bad_worlds()? {
            if self.files >= self.limit {
                env.stop_keeping_bad_worlds();
                lines.push(format!(
                    "no more: {} holds {} bad worlds",
                    self.folder.display(),
                    self.files
                ));
                break;
            }
            let path = self.folder.join(bad.file_name());
            // The same world in the same step of the same episode, of an earlier run: it is written over.
            self.files += usize::from(!path.exists());
            bad.save(&path)?;
            lines.push(format!("{bad}: {}", path.display()));
        }
        Ok(lines)
    }
}

impl std::fmt::Display for BadWorld {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let causes: Vec<String> = self.causes().iter().map(ToString::to_string).collect();
        write!(
            f,
            "world {} of `{}`, step {} of its episode {}: {}",
            self.world,
            self.origin.task,
            self.step(),
            self.episode(),
            causes.join(", ")
        )
    }
}
