//! One process at a time works in a run's folder: an advisory lock on `.lock`, which the operating system lets go of
//! however the process ends.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::Path;

use crate::error::{Error, Result};

const FILE: &str = ".lock";

/// Keeps other processes out of a run's folder for as long as it lives.
#[derive(Debug)]
pub struct RunLock {
    _file: File,
}

impl RunLock {
    /// Takes the lock of a folder that exists.
    ///
    /// # Errors
    /// Another process has it (the error says which), or the folder cannot be written to.
    pub fn take(run: &Path) -> Result<Self> {
        let path = run.join(FILE);
        let place = |error: std::io::Error| Error::io(error).context(path.display());
        // Not truncated: what is in it is the name of who has the lock.
        let mut options = OpenOptions::new();
        let options = options.read(true).write(true).create(true).truncate(false);
        let mut file = options.open(&path).map_err(place)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut owner = String::new();
                // Without a name the error is as good.
                let _ = file.read_to_string(&mut owner);
                let owner = match owner.trim() {
                    "" => "another process".to_owned(),
                    number => format!("process {number}"),
                };
                return Err(Error::invalid(format!("{owner} is training here"))
                    .context(run.display())
                    .hint("wait until it is done, or choose another --out"));
            }
            // A file system without locks: nobody can be kept out.
            Err(TryLockError::Error(_)) => return Ok(Self { _file: file }),
        }
        file.set_len(0).map_err(place)?;
        file.rewind().map_err(place)?;
        write!(file, "{}", std::process::id()).map_err(place)?;
        Ok(Self { _file: file })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::testing::TestDir;

    #[test]
    fn a_folder_has_one_owner_at_a_time() {
        let dir = TestDir::new("lock");
        let lock = RunLock::take(dir.path()).unwrap();
        let error = RunLock::take(dir.path()).unwrap_err().to_string();
        let expected = format!("process {} is training here", std::process::id());
        assert!(error.contains(&expected), "{error}");
        drop(lock);
        RunLock::take(dir.path()).unwrap();
        assert!(RunLock::take(&dir.path().join("nowhere")).is_err());
    }
}
