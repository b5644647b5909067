//! `compare`: groups of runs, their scores with intervals, and their learning curves.

use std::path::{Path, PathBuf};

use clap::Args;
use serde::Serialize;

use super::output::{self, note, say, short};
use super::saved::{Evaluation, is_run};
use super::seeds;
use crate::error::{Error, Result};
use crate::train::log::{Curve, Metrics, draw_comparison};
use crate::train::policy;
use crate::train::statistics::{self, Interval, Strata};

/// Compare groups of runs: scores with intervals, and learning curves
///
/// A group is a folder that `train --seeds` wrote, or a single run. Its score is the interquartile mean over its runs,
/// with a 95 % interval from 10,000 bootstrap samples, stratified by task (Agarwal et al., Deep Reinforcement Learning at
/// the Edge of the Statistical Precipice, 2021). A run's score is the mean return of its evaluation; where one of the runs
/// has none yet, that of training episodes over the last tenth of its iterations, for all. Two groups also get their
/// difference. The plot has curves of training returns against control steps and against seconds.
#[derive(Args)]
#[command(after_help = "Examples:
  manyworlds compare runs/five
  manyworlds compare elu=runs/five tanh=runs/tanh --out compare.png
  manyworlds compare a=runs/hopper_a a=runs/ant_a b=runs/hopper_b b=runs/ant_b --json")]
pub(super) struct Arguments {
    /// Groups of runs; those of the same label are one group
    #[arg(value_name = "[LABEL=]DIR", required = true)]
    groups: Vec<String>,
    /// Draw the learning curves into this file
    #[arg(long, value_name = "F.png")]
    out: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// What the figures say.
#[derive(Serialize)]
struct Comparison {
    /// Where the scores are from: `evaluation` or `training`.
    scores: &'static str,
    groups: Vec<Summary>,
    difference: Option<Difference>,
}

#[derive(Serialize)]
struct Summary {
    label: String,
    tasks: Vec<String>,
    interquartile_mean: f64,
    interval: Option<Interval>,
    mean: f64,
    min: f64,
    max: f64,
    runs: Vec<RunSummary>,
}

#[derive(Serialize)]
struct RunSummary {
    folder: String,
    score: f64,
    steps: f64,
    seconds: f64,
}

/// The first group's interquartile mean less the second's.
#[derive(Serialize)]
struct Difference {
    of: [String; 2],
    value: f64,
    interval: Option<Interval>,
}

struct Group {
    label: String,
    runs: Vec<Run>,
}

struct Run {
    folder: PathBuf,
    task: String,
    metrics: Metrics,
    evaluation: Option<f64>,
}

pub(super) fn run(arguments: &Arguments) -> Result<()> {
    if let Some(path) = &arguments.out {
        output::check_target(path)?;
        if path.extension().is_none_or(|extension| extension != "png") {
            return Err(Error::invalid("is no name of a PNG file")
                .context(path.display())
                .hint("for example --out compare.png"));
        }
    }
    let groups = groups(&arguments.groups)?;
    let comparison = compare(&groups)?;
    if let Some(path) = &arguments.out {
        draw(&groups, path)?;
        note!("wrote {}", path.display());
    }
    match arguments.json {
        true => output::json(&comparison),
        false => {
            comparison.print();
            Ok(())
        }
    }
}

/// Reads all groups, in the order in which their labels first appear.
fn groups(texts: &[String]) -> Result<Vec<Group>> {
    let mut groups: Vec<Group> = Vec::new();
    for text in texts {
        // A folder's own name may have an equals sign in it.
        let (label, folder) = match text.split_once('=') {
            Some((label, folder)) if !Path::new(text).exists() => (Some(label), folder),
            _ => (None, text.as_str()),
        };
        let folder = Path::new(folder);
        let label = label.map_or_else(|| folder.display().to_string(), str::to_owned);
        let runs = read_runs(folder)?;
        match groups.iter_mut().find(|group| group.label == label) {
            Some(group) => group.runs.extend(runs),
            None => groups.push(Group { label, runs }),
        }
    }
    Ok(groups)
}

fn read_runs(folder: &Path) -> Result<Vec<Run>> {
    if !folder.is_dir() {
        return Err(Error::invalid("there is no such folder")
            .context(folder.display())
            .hint("give folders that train wrote, or LABEL=DIR"));
    }
    let folders = match is_run(folder) {
        true => vec![folder.to_owned()],
        false => seeds::runs(folder),
    };
    if folders.is_empty() {
        return Err(
            Error::invalid("there is no run here, and no seed_… with one")
                .context(folder.display())
                .hint("give a folder that train wrote"),
        );
    }
    folders.into_iter().map(Run::read).collect()
}

impl Run {
    fn read(folder: PathBuf) -> Result<Self> {
        Ok(Self {
            task: policy::load_spec(&folder)?.task,
            metrics: Metrics::read(&folder.join("metrics.csv"))?,
            evaluation: Evaluation::load(&folder)?.map(|evaluation| evaluation.mean_return),
            folder,
        })
    }

    /// The mean of the training returns over the last tenth of the iterations that have one.
    fn training_score(&self) -> Result<f64> {
        let returns = self.metrics.series("steps", "return");
        let last = &returns[returns.len() - returns.len().div_ceil(10)..];
        if last.is_empty() {
            return Err(Error::invalid("no episode has ended yet")
                .context(self.folder.display())
                .hint("train for longer"));
        }
        Ok(last.iter().map(|(_, value)| value).sum::<f64>() / last.len() as f64)
    }

    /// The last value of a column.
    fn last(&self, column: &str) -> f64 {
        let series = self.metrics.series("iteration", column);
        series.last().map_or(0.0, |(_, value)| *value)
    }
}

fn compare(groups: &[Group]) -> Result<Comparison> {
    let evaluated = groups
        .iter()
        .flat_map(|group| &group.runs)
        .all(|run| run.evaluation.is_some());
    let score = |run: &Run| match run.evaluation {
        Some(score) if evaluated => Ok(score),
        _ => run.training_score(),
    };
    let mut summaries = Vec::new();
    let mut strata: Vec<Strata> = Vec::new();
    for group in groups {
        let scores: Vec<f64> = group.runs.iter().map(score).collect::<Result<_>>()?;
        let mut tasks: Vec<String> = group.runs.iter().map(|run| run.task.clone()).collect();
        tasks.sort();
        tasks.dedup();
        let of_task = |task: &String| {
            let runs = group.runs.iter().zip(&scores);
            runs.filter(|(run, _)| run.task == *task)
                .map(|(_, score)| *score)
                .collect()
        };
        let by_task: Strata = tasks.iter().map(of_task).collect();
        let (interquartile_mean, interval) = statistics::estimate(&by_task);
        strata.push(by_task);
        let runs = group
            .runs
            .iter()
            .zip(&scores)
            .map(|(run, score)| RunSummary {
                folder: run.folder.display().to_string(),
                score: *score,
                steps: run.last("steps"),
                seconds: run.last("seconds"),
            });
        summaries.push(Summary {
            label: group.label.clone(),
            tasks,
            interquartile_mean,
            interval,
            mean: scores.iter().sum::<f64>() / scores.len() as f64,
            min: scores.iter().copied().fold(f64::INFINITY, f64::min),
            max: scores.iter().copied().fold(f64::NEG_INFINITY, f64::max),
            runs: runs.collect(),
        });
    }
    let difference = match (&summaries[..], &strata[..]) {
        ([a, b], [x, y]) => {
            if a.tasks != b.tasks {
                note!(
                    "warning: {} and {} are not of the same tasks",
                    a.label,
                    b.label
                );
            }
            let (value, interval) = statistics::difference(x, y);
            Some(Difference {
                of: [a.label.clone(), b.label.clone()],
                value,
                interval,
            })
        }
        _ => None,
    };
    Ok(Comparison {
        scores: if evaluated { "evaluation" } else { "training" },
        groups: summaries,
        difference,
    })
}

fn draw(groups: &[Group], path: &Path) -> Result<()> {
    let curves = |x: &str| -> Vec<Curve> {
        let curve =
            |group: &Group| Curve::of(&group.label, group.runs.iter().map(|run| &run.metrics), x);
        groups.iter().map(curve).collect()
    };
    let mut tasks: Vec<&str> = groups
        .iter()
        .flat_map(|group| group.runs.iter().map(|run| run.task.as_str()))
        .collect();
    tasks.sort_unstable();
    tasks.dedup();
    draw_comparison(
        &curves("steps"),
        &curves("seconds"),
        &tasks.join(", "),
        path,
    )
}

impl Comparison {
    fn print(&self) {
        let width = self.groups.iter().map(|group| group.label.chars().count());
        let width = width.max().unwrap_or(0).max(5);
        say!(
            "{:<width$}  runs  interquartile mean  {:<23}{:>10}{:>10}{:>10}   steps     time",
            "group",
            "95 % interval",
            "mean",
            "min",
            "max"
        );
        for group in &self.groups {
            let most =
                |pick: fn(&RunSummary) -> f64| group.runs.iter().map(pick).fold(0.0, f64::max);
            say!(
                "{:<width$}  {:>4}  {:>18.2}  {:<23}{:>10.2}{:>10.2}{:>10.2}{:>8}{:>8.0} s",
                group.label,
                group.runs.len(),
                group.interquartile_mean,
                between(group.interval),
                group.mean,
                group.min,
                group.max,
                short(most(|run| run.steps)),
                most(|run| run.seconds)
            );
        }
        if let Some(Difference {
            of: [a, b],
            value,
            interval,
        }) = &self.difference
        {
            say!("{a} − {b}: {value:.2}  {}", between(*interval));
        }
        note!(
            "scores: {}",
            match self.scores {
                "evaluation" => "mean returns of the evaluations at the end",
                _ =>
                    "returns of training episodes, over the last tenth: not all runs are evaluated",
            }
        );
    }
}

fn between(interval: Option<Interval>) -> String {
    interval.map_or("–".into(), |Interval { low, high }| {
        format!("[{low:.2}, {high:.2}]")
    })
}
