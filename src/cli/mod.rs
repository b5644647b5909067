//! The command line: one file per command.
//!
//! [`run`] is a whole program. A user's crate calls it with a registry that has its own tasks in it, and gets every
//! command for them:
//!
//! ```no_run
//! use manyworlds::tasks::Registry;
//!
//! fn main() -> std::process::ExitCode {
//!     let registry = Registry::builtin();
//!     // registry.register("my_task", my_task::ENTRY);
//!     manyworlds::cli::run(registry)
//! }
//! ```
//!
//! Bad input ends in one line on standard error, `error: where: what (what to do)`, and a status that is not 0.

#[cfg(feature = "learn")]
mod actuator_net;
mod again;
mod bench;
#[cfg(feature = "learn")]
mod compare;
mod controls;
#[doc(hidden)]
pub mod doors;
#[cfg(feature = "learn")]
mod dump;
#[cfg(feature = "learn")]
mod eval;
#[cfg(feature = "learn")]
mod export;
mod info;
mod measure;
mod new;
mod npz;
mod oracle;
mod output;
mod parity;
mod recorded;
#[cfg(feature = "learn")]
mod replay;
mod rollout;
#[cfg(feature = "learn")]
mod saved;
#[cfg(feature = "learn")]
mod seeds;
#[cfg(feature = "learn")]
mod settings;
mod subject;
#[cfg(feature = "learn")]
mod sweep;
#[cfg(feature = "learn")]
mod train;

use std::process::ExitCode;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

use crate::error::{Error, Result};
use crate::tasks::Registry;
use output::note;

/// Thousands of randomized physics worlds, stepped and learned from on one GPU.
#[derive(Parser)]
#[command(
    name = "manyworlds",
    version,
    arg_required_else_help = true,
    disable_help_subcommand = true
)]
struct CommandLine {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Info(info::Arguments),
    Rollout(rollout::Arguments),
    Bench(bench::Arguments),
    Parity(parity::Arguments),
    #[cfg(feature = "learn")]
    Train(train::Arguments),
    #[cfg(feature = "learn")]
    Compare(compare::Arguments),
    #[cfg(feature = "learn")]
    Eval(eval::Arguments),
    #[cfg(feature = "learn")]
    Sweep(sweep::Arguments),
    #[cfg(feature = "learn")]
    Export(export::Arguments),
    #[cfg(feature = "learn")]
    Replay(replay::Arguments),
    #[cfg(feature = "learn")]
    ActuatorNet(actuator_net::Arguments),
    New(new::Arguments),
}

/// Runs the command line of this process with the tasks of `registry`.
pub fn run(registry: Registry) -> ExitCode {
    report_bugs();
    let command = match parse(&registry) {
        Ok(command) => command,
        Err(code) => return code,
    };
    match execute(command, &registry) {
        Ok(status) => status,
        Err(error) => {
            note!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn execute(command: Command, registry: &Registry) -> Result<ExitCode> {
    match command {
        Command::Info(arguments) => info::run(&arguments, registry)?,
        Command::Rollout(arguments) => rollout::run(&arguments, registry)?,
        Command::Bench(arguments) => bench::run(&arguments, registry)?,
        Command::Parity(arguments) => parity::run(&arguments, registry)?,
        #[cfg(feature = "learn")]
        Command::Train(arguments) => return train::run(&arguments, registry),
        #[cfg(feature = "learn")]
        Command::Compare(arguments) => compare::run(&arguments)?,
        #[cfg(feature = "learn")]
        Command::Eval(arguments) => eval::run(&arguments, registry)?,
        #[cfg(feature = "learn")]
        Command::Sweep(arguments) => sweep::run(&arguments, registry)?,
        #[cfg(feature = "learn")]
        Command::Export(arguments) => export::run(&arguments)?,
        #[cfg(feature = "learn")]
        Command::Replay(arguments) => replay::run(&arguments, registry)?,
        #[cfg(feature = "learn")]
        Command::ActuatorNet(arguments) => actuator_net::run(&arguments)?,
        Command::New(arguments) => new::run(&arguments)?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Reads the arguments; help is printed, and errors become one line.
fn parse(registry: &Registry) -> Result<Command, ExitCode> {
    let tasks: Vec<String> = registry
        .list()
        .map(|(name, about)| format!("  {name:<20} {about}"))
        .collect();
    let command = CommandLine::command().after_help(format!("Tasks:\n{}", tasks.join("\n")));
    let parsed = command
        .try_get_matches()
        .and_then(|matches| CommandLine::from_arg_matches(&matches));
    parsed
        .map(|line| line.command)
        .map_err(|error| match error.kind() {
            ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
                let _ = error.print();
                ExitCode::SUCCESS
            }
            ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
                let _ = error.print();
                ExitCode::from(USAGE)
            }
            _ => {
                note!("error: {}", usage_error(&error));
                ExitCode::from(USAGE)
            }
        })
}

/// The exit status of a command line that makes no sense, as clap and most tools have it.
const USAGE: u8 = 2;

/// clap's page about a wrong argument, as one line of ours.
fn usage_error(error: &clap::Error) -> Error {
    let page = error.render().to_string();
    let cause: Vec<&str> = page.lines().take_while(|line| !line.is_empty()).collect();
    let cause = cause.join(" ");
    let suggestions = [
        ContextKind::SuggestedSubcommand,
        ContextKind::SuggestedArg,
        ContextKind::SuggestedValue,
    ]
    .into_iter()
    .find_map(|kind| match error.get(kind) {
        Some(ContextValue::String(name)) => Some(name.clone()),
        Some(ContextValue::Strings(names)) => names.first().cloned(),
        _ => None,
    });
    let hint = match suggestions {
        Some(name) => format!("did you mean `{name}`?"),
        None => "--help shows what there is".into(),
    };
    Error::invalid(cause.strip_prefix("error: ").unwrap_or(&cause))
        .context("command line")
        .hint(hint)
}

/// A panic is never an answer to bad input: it is a bug, here or in a task, and says so in one line.
fn report_bugs() {
    let whole = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if std::env::var_os("RUST_BACKTRACE").is_some_and(|value| value != "0") {
            whole(panic);
        }
        let cause = panic
            .payload_as_str()
            .unwrap_or("a panic without a message");
        let cause = cause.split_whitespace().collect::<Vec<_>>().join(" ");
        let place = panic
            .location()
            .map_or_else(String::new, |at| format!("{}:{}: ", at.file(), at.line()));
        note!(
            "error: internal: {place}{cause} (a bug in manyworlds or in the task: please report this line and the \
             command; RUST_BACKTRACE=1 shows the way there)"
        );
    }));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(arguments: &[&str]) -> String {
        let line = std::iter::once("manyworlds").chain(arguments.iter().copied());
        let error = CommandLine::try_parse_from(line)
            .err()
            .expect("a wrong command line");
        usage_error(&error).to_string()
    }

    #[test]
    fn the_command_line_is_consistent() {
        CommandLine::command().debug_assert();
    }

    #[test]
    fn wrong_arguments_become_one_line_with_a_hint() {
        let typo = error(&["rolout"]);
        assert!(
            typo.contains("unrecognized subcommand 'rolout'")
                && typo.contains("did you mean `rollout`"),
            "{typo}"
        );
        let flag = error(&["rollout", "x.xml", "--stepz", "3"]);
        assert!(flag.contains("did you mean `--steps`"), "{flag}");
        let value = error(&["rollout", "x.xml", "--steps", "many"]);
        assert!(value.contains("'many' for '--steps <K>'"), "{value}");
        let missing = error(&["rollout"]);
        assert!(missing.contains("<MODEL.xml>"), "{missing}");
        for line in [typo, flag, value, missing] {
            assert!(
                line.starts_with("command line: ") && !line.contains('\n'),
                "{line}"
            );
        }
    }
}
