//! `sweep`: trained policies in worlds that are not those they were trained in, one number after another.

use std::path::{Path, PathBuf};

use clap::Args;
use serde::Serialize;
use toml::{Table, Value};

use super::output::{self, note, say, short};
use super::saved::{Machine, SavedRun, is_run};
use super::seeds;
use crate::error::{Error, Result};
use crate::randomize::Family;
use crate::tasks::{Definition, Registry};
use crate::train::log::{Panel, Series, draw_panels};
use crate::train::{self, Policy};

/// Evaluate policies where the physics is not what they were trained with: a table and a picture
///
/// The grid is a TOML file with a table [randomize.NAME] for each number that varies, with a categorical distribution of
/// the values and per = "world"; its other tables (an actuator model with latency, say) hold throughout. Each number
/// varies alone, the rest is as the task has it; at last all vary together. Randomization that a policy was trained with
/// is off.
#[derive(Args)]
#[command(after_help = "Examples:
  manyworlds sweep plain=runs/plain randomized=runs/randomized --over grid.toml --out sweep.png

grid.toml:
  [randomize.mass]
  field = \"body_mass\"
  per = \"world\"
  scale.categorical = [0.5, 0.75, 1.0, 1.5, 2.0]")]
pub(super) struct Arguments {
    /// Runs, or folders that `train --seeds` wrote; those of the same label count together
    #[arg(value_name = "[LABEL=]DIR", required = true)]
    policies: Vec<String>,
    /// What varies
    #[arg(long, value_name = "GRID.toml")]
    over: PathBuf,
    /// Episodes for each value, on average
    #[arg(long, value_name = "E", default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=4096))]
    episodes: u32,
    /// Draw returns against values into this file
    #[arg(long, value_name = "F.png")]
    out: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// The same for all policies, so that they meet the same worlds.
const SEED: u64 = 0x5eed_0000_5ee9;

/// What one policy group earned under one value.
#[derive(Clone, Debug, Serialize)]
struct Cell {
    value: f64,
    episodes: usize,
    mean: f64,
    /// Half the 95 % interval of the mean over episodes (normal approximation).
    margin: f64,
}

impl Cell {
    fn of(value: f64, returns: &[f64]) -> Self {
        let n = returns.len() as f64;
        let mean = returns.iter().sum::<f64>() / n;
        let variance = returns.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / (n - 1.0).max(1.0);
        Self {
            value,
            episodes: returns.len(),
            mean,
            margin: 1.96 * (variance / n).sqrt(),
        }
    }
}

#[derive(Serialize)]
struct Axis {
    name: String,
    /// By label.
    policies: Vec<(String, Vec<Cell>)>,
}

/// A policy, and the task that it was trained for.
struct Subject {
    label: String,
    policy: Policy,
    task: String,
    config: Table,
}

pub(super) fn run(arguments: &Arguments, registry: &Registry) -> Result<()> {
    if let Some(path) = &arguments.out {
        output::check_target(path)?;
        if path.extension().is_none_or(|extension| extension != "png") {
            let error = Error::invalid("is no name of a PNG file").context(path.display());
            return Err(error.hint("for example --out sweep.png"));
        }
    }
    let (entries, others) = grid(&arguments.over)?;
    let machine = Machine::open()?;
    let subjects = subjects(&arguments.policies, &machine)?;
    let mut labels: Vec<&str> = subjects
        .iter()
        .map(|subject| subject.label.as_str())
        .collect();
    labels.dedup();
    let mut axes = Vec::new();
    let alone = entries
        .keys()
        .map(|name| (name.as_str(), vec![name.as_str()]));
    let together = ("all together", entries.keys().map(String::as_str).collect());
    for (name, members) in alone.chain([together]) {
        let mut found: Vec<(String, Vec<(f64, f64)>)> = Vec::new();
        for subject in &subjects {
            note!("{name}: {}", subject.label);
            let chosen = entries
                .iter()
                .filter(|(name, _)| members.contains(&name.as_str()));
            let chosen: Table = chosen
                .map(|(name, entry)| (name.clone(), entry.clone()))
                .collect();
            let definition = subject.definition(registry, &others, chosen)?;
            let pairs = returns(&machine, definition, &subject.policy, arguments.episodes)?;
            match found.iter_mut().find(|(label, _)| *label == subject.label) {
                Some((_, known)) => known.extend(pairs),
                None => found.push((subject.label.clone(), pairs)),
            }
        }
        let is_joint = members.len() > 1 && name == "all together";
        let policies = found
            .into_iter()
            .map(|(label, pairs)| (label, cells(&pairs, is_joint)));
        axes.push(Axis {
            name: name.into(),
            policies: policies.collect(),
        });
    }
    if let Some(path) = &arguments.out {
        draw(&axes, path)?;
        note!("wrote {}", path.display());
    }
    if arguments.json {
        return output::json(&axes);
    }
    axes.iter().for_each(print);
    Ok(())
}

/// The entries of a grid, whose draws last as long as their worlds, and its other tables.
fn grid(path: &Path) -> Result<(Table, Table)> {
    let place = |error: Error| error.context(path.display());
    let text = std::fs::read_to_string(path).map_err(|error| place(Error::io(error)))?;
    let mut table: Table = text
        .parse()
        .map_err(|error: toml::de::Error| place(Error::invalid(error.message())))?;
    let Some(Value::Table(mut entries)) = table.remove("randomize") else {
        let error = Error::invalid("no table [randomize.NAME]");
        return Err(place(
            error.hint("each names a number that varies; see sweep --help"),
        ));
    };
    for (name, entry) in &mut entries {
        let categorical = ["scale", "add", "set"].iter().any(|operation| {
            let family = entry.get(operation).and_then(Value::as_table);
            family.is_some_and(|family| family.contains_key(Family::Categorical.name()))
        });
        let (true, Some(entry)) = (categorical, entry.as_table_mut()) else {
            let error = Error::invalid("no values").context(format!("randomize.{name}"));
            return Err(place(
                error.hint("say them as in scale.categorical = [0.5, 1.0, 2.0]"),
            ));
        };
        entry.insert("timing".into(), "startup".into());
    }
    Ok((entries, table))
}

/// The policies of all folders.
fn subjects(texts: &[String], machine: &Machine) -> Result<Vec<Subject>> {
    let mut subjects = Vec::new();
    for text in texts {
        let (label, folder) = match text.split_once('=') {
            Some((label, folder)) if !Path::new(text).exists() => (label, folder),
            _ => (text.as_str(), text.as_str()),
        };
        let folder = Path::new(folder);
        let runs = match is_run(folder) {
            false if folder.is_dir() => seeds::runs(folder),
            _ => vec![folder.to_owned()],
        };
        if runs.is_empty() {
            let error = Error::invalid("there is no run here, and no seed_… with one");
            return Err(error
                .context(folder.display())
                .hint("give a folder that train wrote"));
        }
        for run in runs {
            let saved = SavedRun::open(&run)?;
            subjects.push(Subject {
                label: label.into(),
                policy: saved.policy(&machine.learner)?,
                task: saved.spec.task.clone(),
                config: saved.config.task.clone(),
            });
        }
    }
    Ok(subjects)
}

impl Subject {
    /// Its task without the randomization that it was trained with, with the grid's tables and some of its entries.
    fn definition(
        &self,
        registry: &Registry,
        others: &Table,
        entries: Table,
    ) -> Result<Definition> {
        let mut definition = registry.load(&self.task)?;
        definition.config = self.config.clone();
        definition.config.remove("randomize");
        merge(&mut definition.config, others);
        definition
            .config
            .insert("randomize".into(), Value::Table(entries));
        Ok(definition)
    }
}

/// Puts the values of a table over those of another.
fn merge(base: &mut Table, over: &Table) {
    for (key, value) in over {
        match (base.get_mut(key), value) {
            (Some(Value::Table(base)), Value::Table(over)) => merge(base, over),
            _ => drop(base.insert(key.clone(), value.clone())),
        }
    }
}

/// The first draw and the return of an episode in each world.
fn returns(
    machine: &Machine,
    definition: Definition,
    policy: &Policy,
    episodes: u32,
) -> Result<Vec<(f64, f64)>> {
    let spec = definition.spec()?;
    let randomization = spec.randomization();
    for name in randomization.names() {
        let draws = randomization.draws_of(name).map_or(0, |range| range.len());
        if draws != 1 {
            let error = Error::invalid(format!("draws {draws} numbers"))
                .context(format!("randomize.{name}"));
            return Err(error.hint("say per = \"world\", and names that the model has"));
        }
    }
    // As many values as the first entry has: its arguments are values and weights.
    let values = randomization_values(&spec);
    let worlds = (episodes as usize * values).clamp(1, 4096);
    let mut worlds = machine.worlds(definition, worlds, SEED)?;
    worlds.env_mut().reset(Some(SEED))?;
    let draws = worlds.env().get("randomized")?;
    let width = draws.len() / worlds.env().num_envs();
    let count = worlds.env().num_envs();
    let report = train::evaluate(&mut worlds, policy, count, SEED, None)?;
    let firsts = draws.chunks(width).map(|row| f64::from(row[0]));
    Ok(firsts.zip(report.returns).collect())
}

/// The most values that an entry of the task's randomization has.
fn randomization_values(spec: &crate::tasks::Spec) -> usize {
    let counts = spec
        .randomize
        .iter()
        .map(|entry| entry.distribution.arguments.len() / 2);
    counts.max().unwrap_or(1)
}

/// Means by value, in ascending order; of all together where values do not tell worlds apart.
fn cells(pairs: &[(f64, f64)], is_joint: bool) -> Vec<Cell> {
    if is_joint {
        let returns: Vec<f64> = pairs.iter().map(|(_, earned)| *earned).collect();
        return vec![Cell::of(f64::NAN, &returns)];
    }
    let mut values: Vec<f64> = pairs.iter().map(|(value, _)| *value).collect();
    values.sort_by(f64::total_cmp);
    values.dedup();
    let of = |value: &f64| {
        let same = pairs.iter().filter(|(known, _)| known == value);
        Cell::of(*value, &same.map(|(_, earned)| *earned).collect::<Vec<_>>())
    };
    values.iter().map(of).collect()
}

fn print(axis: &Axis) {
    let labels: Vec<&str> = axis
        .policies
        .iter()
        .map(|(label, _)| label.as_str())
        .collect();
    say!("| {} | {} |", axis.name, labels.join(" | "));
    say!("|---|{}", "---|".repeat(labels.len()));
    let rows = axis.policies.first().map_or(0, |(_, cells)| cells.len());
    for row in 0..rows {
        let cell = |cells: &Vec<Cell>| {
            let Cell { mean, margin, .. } = cells[row];
            format!("{mean:.1} ± {margin:.1}")
        };
        let cells: Vec<String> = axis.policies.iter().map(|(_, cells)| cell(cells)).collect();
        let value = axis.policies[0].1[row].value;
        let name = if value.is_nan() {
            "mean".into()
        } else {
            short(value)
        };
        say!("| {name} | {} |", cells.join(" | "));
    }
    say!("");
}

/// A panel for each number that varies alone.
fn draw(axes: &[Axis], path: &Path) -> Result<()> {
    let panel = |axis: &Axis| {
        let series = axis.policies.iter().map(|(label, cells)| Series {
            label: label.clone(),
            points: cells
                .iter()
                .map(|cell| (cell.value, cell.mean, cell.margin))
                .collect(),
        });
        Panel {
            title: axis.name.clone(),
            series: series.collect(),
        }
    };
    let alone = axes
        .iter()
        .filter(|axis| axis.policies.iter().all(|(_, cells)| cells.len() > 1));
    draw_panels(&alone.map(panel).collect::<Vec<_>>(), "mean return", path)
}
