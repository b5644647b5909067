//! MuJoCo, where a Python has it: what `bench --against mujoco`, `parity` and `replay` ask.
//!
//! The scripts travel inside the program, since an installed one has no `tests` folder beside it.

use std::ffi::OsStr;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::error::{Error, Result};

/// A Python program that prints one line of JSON.
pub(super) struct Script {
    name: &'static str,
    source: &'static str,
}

/// MuJoCo's own speed on a model.
pub(super) const BENCH: Script = Script {
    name: "mujoco_rollout_bench.py",
    source: include_str!("../../tests/oracle/mujoco_rollout_bench.py"),
};

/// Every stage that MuJoCo computes, in states that it visits.
pub(super) const PARITY: Script = Script {
    name: "parity.py",
    source: include_str!("../../tests/oracle/parity.py"),
};

/// Draws recorded states.
#[cfg(feature = "learn")]
pub(super) const REPLAY: Script = Script {
    name: "replay.py",
    source: include_str!("../../tests/oracle/replay.py"),
};

const REQUIREMENTS: &str = "mujoco==3.17.0, numpy and pillow";

impl Script {
    /// Runs the script and reads what it prints.
    pub(super) fn run<S: AsRef<OsStr>>(&self, arguments: &[S]) -> Result<Value> {
        let python = python()?;
        let output = Command::new(&python)
            // Without the present folder among the places of modules: a package may lie in it.
            .args(["-P", "-c", self.source])
            .args(arguments)
            .env("PYTHONDONTWRITEBYTECODE", "1")
            // Set for our own software device; Mesa's OpenGL, which draws there, crashes with the first.
            .env_remove("LP_NATIVE_VECTOR_WIDTH")
            .env_remove("MESA_SHADER_CACHE_DIR")
            .stdin(Stdio::null())
            .output()
            .map_err(|error| {
                Error::io(error)
                    .context(python.display())
                    .hint("check MANYWORLDS_ORACLE")
            })?;
        if !output.status.success() {
            // The last line is the script's own cause, or that of Python's traceback.
            let errors = String::from_utf8_lossy(&output.stderr);
            let cause = errors
                .trim_end()
                .lines()
                .last()
                .unwrap_or("it said nothing");
            let cause = cause
                .strip_prefix(self.name)
                .map_or(cause, |rest| rest.trim_start_matches([':', ' ']));
            let mut error = Error::invalid(cause).context(self.name);
            if cause.starts_with("ModuleNotFoundError") {
                error = error.hint(format!("{} needs {REQUIREMENTS}", python.display()));
            }
            return Err(error);
        }
        let text = String::from_utf8_lossy(&output.stdout);
        serde_json::from_str(text.trim_end().lines().last().unwrap_or("")).map_err(|error| {
            Error::io(format!("its output is no JSON: {error}")).context(self.name)
        })
    }
}

/// Whether there is a Python to ask.
pub(super) fn check() -> Result<()> {
    python().map(drop)
}

/// `$MANYWORLDS_ORACLE`, else the Python that `./x test` installed in this crate's repository.
pub(super) fn python() -> Result<PathBuf> {
    if let Some(python) = std::env::var_os("MANYWORLDS_ORACLE") {
        return Ok(PathBuf::from(python));
    }
    let python = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(".oracle/bin/python");
    if python.exists() {
        return Ok(python);
    }
    Err(Error::invalid("no Python with MuJoCo").hint(format!(
        "set MANYWORLDS_ORACLE to a Python that has {REQUIREMENTS}, or run ./x test in manyworlds' repository once"
    )))
}
