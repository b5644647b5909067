//! The adapter that GPU tests run on.

use std::io::Write;

use manyworlds::error::Kind;
use manyworlds::gpu::{Context, Options};

/// A new context, or None where this machine has no adapter: the test is skipped and says so. With
/// `MANYWORLDS_REQUIRE_GPU=1` that is a failure.
pub(crate) fn context() -> Option<Context> {
    context_with(&Options::default())
}

/// As [`context`], with options.
pub(crate) fn context_with(options: &Options) -> Option<Context> {
    match Context::new(options) {
        Ok(context) => Some(context),
        Err(error) if error.kind() == Kind::Device && !required() => {
            let test = std::thread::current().name().unwrap_or("a test").to_owned();
            skip(&test, &error);
            None
        }
        Err(error) => panic!("{error}"),
    }
}

/// Says that a test is skipped, and why: past the test runner, which keeps what a passing test prints to itself.
pub(crate) fn skip(test: &str, reason: &dyn std::fmt::Display) {
    let _ = writeln!(std::io::stderr(), "SKIPPED {test}: {reason}");
}

/// Whether a machine without an adapter fails the tests.
pub(crate) fn required() -> bool {
    std::env::var("MANYWORLDS_REQUIRE_GPU").is_ok_and(|value| value == "1")
}
