//! The doors through which the command line lets configuration in, for tests that throw broken input at them: nothing is
//! printed, and nothing runs.

use clap::Parser;

use super::{Command, CommandLine, rollout, usage_error};
use crate::error::Result;
#[cfg(feature = "learn")]
use crate::tasks::Registry;

/// Reads the settings of `train TASK --show-config key=value…`.
///
/// # Errors
/// What is wrong with them.
#[cfg(feature = "learn")]
pub fn settings(registry: &Registry, task: &str, assignments: &[String]) -> Result<()> {
    let mut definition = registry.load(task)?;
    let layers = super::settings::fresh(&mut definition, assignments)?;
    let config = crate::train::Config::from_layers(&layers)?;
    definition.config = config.task;
    layers.show();
    definition.spec().map(drop)
}

/// Reads everything that a command line `rollout …` names: the model, initial states, controls.
///
/// # Errors
/// What is wrong with it.
pub fn rollout(arguments: &[&str]) -> Result<()> {
    let line = std::iter::once("manyworlds").chain(arguments.iter().copied());
    let line = CommandLine::try_parse_from(line).map_err(|error| usage_error(&error))?;
    match line.command {
        Command::Rollout(arguments) => rollout::check(&arguments),
        _ => Ok(()),
    }
}
