//! `eval`: a trained policy in whole episodes, without exploration.

use std::ops::Range;
use std::path::{Path, PathBuf};

use clap::Args;
use serde::Serialize;

use super::dump::Dump;
use super::output::{self, note, say};
use super::saved::{Conditions, Machine, SavedRun};
use crate::env::VariantWorlds;
use crate::error::Result;
use crate::tasks::{Definition, Registry};
use crate::train::{self, Environment, EvalReport, Policy, Recording, Worlds};

/// Run a trained policy for whole episodes, without exploration, and report its returns
#[derive(Args)]
#[command(after_help = "Examples:
  manyworlds eval runs/cartpole/001
  manyworlds eval runs/cartpole/001 --episodes 1000 --json
  manyworlds eval runs/cartpole/001/checkpoints/iteration_000050 --record episodes.npz
  manyworlds eval runs/quadruped/001 'randomize.mass={field=\"body_mass\",names=\"trunk\",scale.constant=1.5}'
  manyworlds eval runs/quadruped/001 --ranges initial    (not where automatic domain randomization took them)
  manyworlds eval policy.json                    (as export writes it, or another program)")]
pub(super) struct Arguments {
    /// Folder of a run, or of one of its checkpoints; or the F.json of an exported policy, for its task as it is by default
    #[arg(value_name = "DIR|F.json")]
    policy: PathBuf,
    /// Episodes that count
    #[arg(long, value_name = "E", default_value_t = EPISODES, value_parser = clap::value_parser!(u32).range(1..))]
    episodes: u32,
    /// Write what happened in the first worlds (at most 64): time [T], qpos [T,n,nq], qvel [T,n,nv], obs [T,n,D],
    /// actions [T,n,A], reward, terminated, truncated, valid [T,n]
    #[arg(long, value_name = "F.npz")]
    record: Option<PathBuf>,
    #[command(flatten)]
    conditions: Conditions,
    /// Print JSON: mean_return, std_return, mean_length, episodes, …, and the returns
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    dump: Dump,
}

/// Episodes of an evaluation.
pub(super) const EPISODES: u32 = 100;
/// More worlds make an evaluation no faster.
const MOST_WORLDS: u32 = 256;
const MOST_RECORDED: u32 = 64;
/// The same for all runs, so that they meet the same beginnings; training seeds are small by habit.
const SEED: u64 = 0x5eed_0000_e7a1;

#[derive(Serialize)]
struct Report<'a> {
    task: &'a str,
    checkpoint: String,
    #[serde(flatten)]
    results: &'a EvalReport,
    /// Empty where worlds have the task's own model.
    variants: Vec<VariantResults>,
}

pub(super) fn run(arguments: &Arguments, registry: &Registry) -> Result<()> {
    if let Some(path) = &arguments.record {
        output::check_target(path)?;
    }
    let (machine, policy, definition, place) =
        open(&arguments.policy, &arguments.conditions, registry)?;
    note!(
        "{}: {} episodes of {}",
        place.display(),
        arguments.episodes,
        policy.spec.task
    );
    let mut recording = arguments
        .record
        .as_ref()
        .map(|_| Recording::new(arguments.episodes.min(MOST_RECORDED) as usize));
    let count = arguments.episodes;
    let mut worlds = (arguments.dump).worlds(&machine, definition, width(count), SEED)?;
    let results = run_in(&mut worlds, &policy, count, recording.as_mut())?;
    let variants = of_variants(&results, worlds.env().variants());
    if let (Some(recording), Some(path)) = (&recording, &arguments.record) {
        recording.save(path)?;
        note!("wrote {}", path.display());
    }
    if arguments.json {
        return output::json(&Report {
            task: &policy.spec.task,
            checkpoint: place.display().to_string(),
            results: &results,
            variants,
        });
    }
    print(&results, &variants);
    Ok(())
}

/// The episodes of one variant of the task's model.
#[derive(Serialize)]
pub(super) struct VariantResults {
    name: String,
    episodes: usize,
    mean_return: f64,
    /// Standard deviation of the return.
    std_return: f64,
}

/// Results by variant; none where worlds have the task's own model.
fn of_variants(results: &EvalReport, variants: &VariantWorlds) -> Vec<VariantResults> {
    let named = variants.names.iter().zip(&variants.worlds);
    let named = named.filter(|(name, _)| !name.is_empty());
    let of_one = |(name, worlds): (&String, &Range<usize>)| {
        let returns = results.returns.iter().zip(&results.worlds);
        let returns = returns.filter(|(_, world)| worlds.contains(world));
        let returns: Vec<f64> = returns.map(|(value, _)| *value).collect();
        let n = returns.len() as f64;
        let mean = returns.iter().sum::<f64>() / n;
        let squares = returns.iter().map(|value| (value - mean).powi(2));
        (!returns.is_empty()).then(|| VariantResults {
            name: name.clone(),
            episodes: returns.len(),
            mean_return: mean,
            std_return: (squares.sum::<f64>() / n).sqrt(),
        })
    };
    named.filter_map(of_one).collect()
}

/// The policy of a run or of an exported file, its task, and where the policy is from.
fn open(
    path: &Path,
    conditions: &Conditions,
    registry: &Registry,
) -> Result<(Machine, Policy, Definition, PathBuf)> {
    if path.is_file() {
        let machine = Machine::open()?;
        let policy = train::import(path, &machine.learner.device())?;
        let mut definition = registry
            .load(&policy.spec.task)
            .map_err(|error| error.context(path.display()))?;
        conditions.apply(&mut definition)?;
        return Ok((machine, policy, definition, path.to_owned()));
    }
    let saved = SavedRun::open(path)?;
    let definition = saved.definition(registry, conditions)?;
    let machine = Machine::open()?;
    let policy = saved.policy(&machine.learner)?;
    Ok((machine, policy, definition, saved.checkpoint))
}

/// Runs whole episodes in worlds of their own; also what came of each variant of the model.
pub(super) fn episodes(
    machine: &Machine,
    definition: Definition,
    policy: &Policy,
    episodes: u32,
    recording: Option<&mut Recording>,
) -> Result<(EvalReport, Vec<VariantResults>)> {
    let mut worlds = machine.worlds(definition, width(episodes), SEED)?;
    let results = run_in(&mut worlds, policy, episodes, recording)?;
    let variants = of_variants(&results, worlds.env().variants());
    Ok((results, variants))
}

/// How many worlds an evaluation takes.
fn width(episodes: u32) -> usize {
    episodes.min(MOST_WORLDS) as usize
}

/// Runs whole episodes in these worlds, and says which of them went wrong.
fn run_in(
    worlds: &mut Worlds,
    policy: &Policy,
    episodes: u32,
    recording: Option<&mut Recording>,
) -> Result<EvalReport> {
    let results = train::evaluate(worlds, policy, episodes as usize, SEED, recording);
    // Also where no episode ended because all worlds go wrong.
    worlds.drain_stats()?;
    results
}

/// Prints the results, also those of the variants by themselves.
pub(super) fn print(results: &EvalReport, variants: &[VariantResults]) {
    let EvalReport {
        episodes,
        mean_return,
        std_return,
        min_return,
        max_return,
        mean_length,
        ..
    } = results;
    say!("episodes {episodes}");
    say!("return   {mean_return:.2} ± {std_return:.2} ({min_return:.2} … {max_return:.2})");
    say!(
        "length   {mean_length:.1} control steps, {:.0} % ended by the task",
        100.0 * results.terminated
    );
    for VariantResults {
        name,
        episodes,
        mean_return,
        std_return,
    } in variants
    {
        say!("  {name}: {mean_return:.2} ± {std_return:.2} over {episodes} episodes");
    }
    if results.quarantined > 0 {
        note!(
            "warning: {} episodes were not counted: their worlds went wrong",
            results.quarantined
        );
    }
}
