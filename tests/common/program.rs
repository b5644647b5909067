//! Runs the program as a user does, in a folder of its own.
#![allow(
    dead_code,
    reason = "each test binary that includes this file uses its own part of it"
)]

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use ndarray::ArrayD;
use ndarray_npy::NpzWriter;

/// The program's output and status, run in `folder`.
pub(crate) fn run_in(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_manyworlds"))
        .args(arguments)
        .current_dir(folder)
        .env_remove("RUST_BACKTRACE")
        .output()
        .expect("the program starts")
}

/// A temporary folder, removed when dropped.
pub(crate) struct Folder(PathBuf);

impl Folder {
    /// An empty folder of that name.
    pub(crate) fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("manyworlds-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).expect("a temporary folder");
        Self(path)
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// Writes a text file.
    pub(crate) fn write(&self, name: &str, text: &str) {
        fs::write(self.0.join(name), text).expect("a temporary file");
    }

    /// Writes an archive of zeros in float64.
    pub(crate) fn write_npz(&self, name: &str, arrays: &[(&str, &[usize])]) {
        let arrays = arrays
            .iter()
            .map(|(name, shape)| (*name, ArrayD::<f64>::zeros(*shape)));
        self.write_arrays(name, &arrays.collect::<Vec<_>>());
    }

    /// Writes an archive with an array of int64.
    pub(crate) fn write_npz_integers(&self, name: &str, array: &str, shape: &[usize]) {
        self.write_arrays(name, &[(array, ArrayD::<i64>::zeros(shape))]);
    }

    /// Writes an archive.
    pub(crate) fn write_arrays<T: ndarray_npy::WritableElement>(
        &self,
        name: &str,
        arrays: &[(&str, ArrayD<T>)],
    ) {
        let mut archive =
            NpzWriter::new(File::create(self.0.join(name)).expect("a temporary file"));
        for (name, array) in arrays {
            archive
                .add_array(*name, array)
                .expect("an array is written");
        }
        archive.finish().expect("an archive is written");
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
