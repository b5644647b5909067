//! Runs a Python script of `tests/oracle/` and returns the JSON that it prints: reference data
//! from MuJoCo and gymnasium, computed when the test runs and never stored.
//!
//! Python is `$MANYWORLDS_ORACLE`, else `.oracle/bin/python` in the repository root, which
//! `./x test` creates. Without it a test skips, and says so past the test runner's capture; with
//! `MANYWORLDS_REQUIRE_GPU=1` it fails instead, so that CI cannot pass by skipping.
//!
//! ```ignore
//! let Some(reference) = oracle::run("step.py", &["ant.xml", "--steps", "100"]) else { return };
//! let qpos = oracle::floats(&reference["qpos"]);
//! ```
#![allow(
    dead_code,
    reason = "each test binary that includes this file uses its own part of it"
)]

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// The JSON that `tests/oracle/<script>` prints on stdout, or `None` (with a loud line on stderr)
/// where no oracle is installed. Relative paths in `args` are relative to the repository root.
///
/// # Panics
///
/// When the script fails or prints something other than JSON (print NaN as `null`), and when the
/// oracle is missing under `MANYWORLDS_REQUIRE_GPU=1`.
#[must_use]
pub(crate) fn run(script: &str, args: &[&str]) -> Option<Value> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let path = root.join("tests/oracle").join(script);
    assert!(path.is_file(), "no oracle script {}", path.display());

    let python = python(root)?;
    let output = Command::new(&python)
        .arg(&path)
        .args(args)
        .current_dir(root)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .output()
        .unwrap_or_else(|error| panic!("{}: {error} (check MANYWORLDS_ORACLE)", python.display()));
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "{script} {args:?}: {}\n{stderr}",
        output.status
    );

    let json = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| {
        let start: String = String::from_utf8_lossy(&output.stdout)
            .chars()
            .take(400)
            .collect();
        panic!("{script} {args:?} did not print JSON: {error}\n{start}\n{stderr}")
    });
    Some(json)
}

/// The numbers of an arbitrarily nested JSON array, in order; `null` is NaN.
///
/// # Panics
///
/// When it holds anything but numbers, nulls and arrays, or is missing (indexing a JSON object
/// with an unknown key gives `null`).
#[must_use]
pub(crate) fn floats(array: &Value) -> Vec<f64> {
    fn collect(value: &Value, out: &mut Vec<f64>) {
        match value {
            Value::Array(items) => items.iter().for_each(|item| collect(item, out)),
            Value::Null => out.push(f64::NAN),
            number => out.push(
                number
                    .as_f64()
                    .unwrap_or_else(|| panic!("not a number: {number}")),
            ),
        }
    }
    assert!(
        array.is_array(),
        "the oracle printed no array here, but {array}"
    );
    let mut out = Vec::new();
    collect(array, &mut out);
    out
}

/// The interpreter with MuJoCo, if there is one.
fn python(root: &Path) -> Option<PathBuf> {
    if let Some(python) = std::env::var_os("MANYWORLDS_ORACLE") {
        return Some(PathBuf::from(python));
    }
    let python = root.join(".oracle/bin/python");
    if python.exists() {
        return Some(python);
    }
    let missing = "no oracle: run ./x test, or set MANYWORLDS_ORACLE to a Python that has tests/oracle/requirements.txt";
    assert!(
        std::env::var_os("MANYWORLDS_REQUIRE_GPU").is_none_or(|v| v != "1"),
        "{missing}"
    );
    // Written to the handle itself: the test runner captures only the print macros.
    let thread = std::thread::current();
    let _ = writeln!(
        std::io::stderr(),
        "SKIPPED {}: {missing}",
        thread.name().unwrap_or("a test")
    );
    None
}
