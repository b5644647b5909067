//! The command line with the built-in tasks.

fn main() -> std::process::ExitCode {
    manyworlds::cli::run(manyworlds::tasks::Registry::builtin())
}
