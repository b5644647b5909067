//! The command line of manyworlds with one more task in it: `cargo run --release -- train {{task}}`.

mod task;

use manyworlds::tasks::Registry;

fn main() -> std::process::ExitCode {
    let mut registry = Registry::builtin();
    registry.register("{{task}}", task::ENTRY);
    manyworlds::cli::run(registry)
}
