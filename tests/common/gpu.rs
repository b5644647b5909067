//! The adapter that GPU tests run on.

use manyworlds::error::Kind;
use manyworlds::gpu::{Context, Options};

/// A new context, or None where this machine has no adapter: the test is skipped and says so. With
/// `MANYWORLDS_REQUIRE_GPU=1` that is a failure.
pub fn context() -> Option<Context> {
    context_with(&Options::default())
}

/// As [`context`], with options.
pub fn context_with(options: &Options) -> Option<Context> {
    match Context::new(options) {
        Ok(context) => Some(context),
        Err(error) if error.kind() == Kind::Device && !required() => {
            let test = std::thread::current().name().unwrap_or("a test").to_owned();
            eprintln!("SKIPPED {test}: {error}");
            None
        }
        Err(error) => panic!("{error}"),
    }
}

/// Whether a machine without an adapter fails the tests.
pub fn required() -> bool {
    std::env::var("MANYWORLDS_REQUIRE_GPU").is_ok_and(|value| value == "1")
}
