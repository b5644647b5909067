//! Files that are whole: what is written is the old file or the new one, whenever the process or the machine dies.

pub mod npz;

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::Path;

use crate::error::{Error, Result};

/// Writes a file through `fill`: into a neighbour first, which then takes the name.
///
/// # Errors
/// Those of `fill` and of the file system, with the file's name; the old file is then as it was.
pub fn write_with(
    path: &Path,
    fill: impl FnOnce(&mut BufWriter<File>) -> Result<()>,
) -> Result<()> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let partial = path.with_file_name(format!(".{name}.{}.partial", std::process::id()));
    let written = (|| {
        let mut writer = BufWriter::new(File::create(&partial)?);
        fill(&mut writer)?;
        let file = writer
            .into_inner()
            .map_err(|error| Error::from(error.into_error()))?;
        file.sync_all()?;
        fs::rename(&partial, path)?;
        path.parent().into_iter().for_each(sync_dir);
        Ok(())
    })();
    written.map_err(|error: Error| {
        // The half-written file is of no use to anyone; the error that matters is the first one.
        let _ = fs::remove_file(&partial);
        error.context(path.display())
    })
}

/// [`write_with`] for bytes that are there already.
///
/// # Errors
/// As [`write_with`].
pub fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    write_with(path, |file| Ok(file.write_all(bytes)?))
}

/// Whether a file of that name was being written by [`write_with`] when its process was killed.
pub fn is_partial(name: &str) -> bool {
    name.starts_with('.') && name.ends_with(".partial")
}

/// Has the names in a folder outlive a crash of the machine, where the system can; the files in it are synced already.
pub fn sync_dir(folder: &Path) {
    // Some systems refuse to open a folder: there it is as it always was.
    let _ = File::open(folder).and_then(|folder| folder.sync_all());
}

/// Reads a file.
///
/// # Errors
/// The file system's, with the file's name.
pub fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).map_err(|error| Error::io(error).context(path.display()))
}

/// Removes a file, if it is there.
///
/// # Errors
/// The file system's, with the file's name.
pub fn remove(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(Error::io(error).context(path.display()))
        }
        _ => Ok(()),
    }
}

/// Creates a folder and its parents.
///
/// # Errors
/// The file system's, with the folder's name.
pub fn create_dir(path: &Path) -> Result<()> {
    fs::create_dir_all(path).map_err(|error| Error::io(error).context(path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_write_leaves_the_old_file_and_no_partial_one() {
        let folder = std::env::temp_dir().join(format!("manyworlds-files-{}", std::process::id()));
        create_dir(&folder).unwrap();
        let path = folder.join("a.txt");
        write(&path, b"old").unwrap();
        let failed = write_with(&path, |file| {
            file.write_all(b"new")?;
            Err(Error::invalid("no"))
        });
        assert!(failed.unwrap_err().to_string().ends_with("a.txt: no"));
        assert_eq!(read(&path).unwrap(), b"old");
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 1);
        fs::remove_dir_all(folder).unwrap();
    }
}
