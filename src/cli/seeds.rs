//! `train --seeds`: the same training once per seed, one after another, each in a folder of its own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::str::FromStr;

use super::output::{note, say};
use super::saved::{Evaluation, Machine, is_run};
use super::train::{Arguments, Job, ended_by_interrupt, next_folder};
use crate::error::{Error, Result};
use crate::tasks::Registry;
use crate::train::Start;
use crate::train::statistics::{self, Interval};

/// Seeds in the order in which they are trained.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Seeds(Vec<u64>);

impl FromStr for Seeds {
    type Err = String;

    /// `0..4` is 0, 1, 2, 3 and 4, as in a shell; `0,3,5` lists them.
    fn from_str(text: &str) -> Result<Self, String> {
        let number = |text: &str| {
            let text = text.trim();
            text.parse::<u64>()
                .map_err(|_| format!("`{text}` is no seed; write 0..4 or 0,3,5"))
        };
        let mut seeds = Vec::new();
        for part in text.split(',') {
            match part.split_once("..") {
                Some((first, last)) => {
                    let (first, last) = (number(first)?, number(last)?);
                    if last < first || last - first >= 1000 {
                        return Err(format!(
                            "`{part}` is no range of at most 1000 seeds, from the first to the last"
                        ));
                    }
                    seeds.extend(first..=last);
                }
                None => seeds.push(number(part)?),
            }
        }
        match (1..seeds.len()).find(|i| seeds[..*i].contains(&seeds[*i])) {
            Some(i) => Err(format!("seed {} is there twice", seeds[i])),
            None => Ok(Self(seeds)),
        }
    }
}

/// The folder of a seed's run.
pub(super) fn folder(group: &Path, seed: u64) -> PathBuf {
    group.join(format!("seed_{seed}"))
}

/// The runs in a group's folder, by seed.
pub(super) fn runs(group: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(group).into_iter().flatten().flatten();
    let mut runs: Vec<(u64, PathBuf)> = entries
        .filter_map(|entry| {
            let name = entry.file_name();
            let seed = name.to_str()?.strip_prefix("seed_")?.parse().ok()?;
            is_run(&entry.path()).then(|| (seed, entry.path()))
        })
        .collect();
    runs.sort();
    runs.into_iter().map(|(_, run)| run).collect()
}

/// Trains every seed that is not done yet, and sums up.
pub(super) fn run(arguments: &Arguments, seeds: &Seeds, registry: &Registry) -> Result<ExitCode> {
    let group = match (&arguments.resume, &arguments.out) {
        (Some(folder), _) => folder.clone(),
        (None, Some(folder)) => folder.clone(),
        (None, None) => next_folder(&Path::new("runs").join(&arguments.task)),
    };
    let known = runs(&group);
    if arguments.resume.is_none() && (is_run(&group) || !known.is_empty()) {
        return Err(Error::invalid("there are runs here already")
            .context(group.display())
            .hint("go on with them by --resume, or choose another --out"));
    }
    if arguments.resume.is_some() && known.is_empty() {
        return Err(Error::invalid("there is no folder seed_… with a run here")
            .context(group.display())
            .hint("give the folder that train --seeds wrote"));
    }
    // Every configuration is checked before the first run begins.
    let jobs: Vec<Job> = seeds
        .0
        .iter()
        .map(|seed| job(arguments, &group, *seed, known.first(), registry))
        .collect::<Result<_>>()?;

    let machine = Machine::open()?;
    let mut evaluations = Vec::new();
    for (job, (number, seed)) in jobs.into_iter().zip((1..).zip(&seeds.0)) {
        let out = job.out().to_owned();
        if let Some(evaluation) = finished(&job) {
            note!("seed {seed}: done already");
            evaluations.push((*seed, evaluation));
            continue;
        }
        note!("seed {seed} ({number} of {})", seeds.0.len());
        if job.train(&machine, registry)?.is_none() {
            note!(
                "go on with: train {} --seeds … --resume {}",
                arguments.task,
                group.display()
            );
            return Ok(ended_by_interrupt());
        }
        evaluations.extend(Evaluation::load(&out)?.map(|evaluation| (*seed, evaluation)));
    }
    summary(&evaluations, &group);
    Ok(ExitCode::SUCCESS)
}

/// A seed's run: resumed where it has begun; else begun, with the configuration of the runs beside it.
fn job(
    arguments: &Arguments,
    group: &Path,
    seed: u64,
    sibling: Option<&PathBuf>,
    registry: &Registry,
) -> Result<Job> {
    let out = folder(group, seed);
    if arguments.resume.is_none() {
        return Job::fresh(arguments, out, None, Some(seed), registry);
    }
    if is_run(&out) {
        return Job::resumed(arguments, out, registry);
    }
    let base = sibling.map(PathBuf::as_path);
    Job::fresh(arguments, out, base, Some(seed), registry)
}

/// The evaluation of a run that has nothing left to do.
fn finished(job: &Job) -> Option<Evaluation> {
    if job.options.start != Start::Resume {
        return None;
    }
    let evaluation = Evaluation::load(job.out()).ok()??;
    let reached = job.config.log.target_return > 0.0;
    (evaluation.steps >= job.config.steps || reached).then_some(evaluation)
}

fn summary(evaluations: &[(u64, Evaluation)], group: &Path) {
    say!("seed      return                length");
    for (seed, evaluation) in evaluations {
        say!(
            "{seed:<6}{:>10.2} ± {:<10.2}{:>8.1}",
            evaluation.mean_return,
            evaluation.std_return,
            evaluation.mean_length
        );
    }
    let scores: Vec<f64> = evaluations.iter().map(|(_, e)| e.mean_return).collect();
    let (value, interval) = statistics::estimate(&vec![scores]);
    let interval = interval.map_or(String::new(), |Interval { low, high }| {
        format!(" [{low:.2}, {high:.2}] (95 %, bootstrap over seeds)")
    });
    say!("interquartile mean {value:.2}{interval}");
    say!("runs     {}", group.display());
    note!("         next: compare {}", group.display());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_hold_both_ends_and_lists_are_kept_in_order() {
        let seeds = |text: &str| text.parse::<Seeds>().map(|seeds| seeds.0);
        assert_eq!(seeds("0..4"), Ok(vec![0, 1, 2, 3, 4]));
        assert_eq!(seeds("5,0, 3"), Ok(vec![5, 0, 3]));
        assert_eq!(seeds("7"), Ok(vec![7]));
        assert_eq!(seeds("8..9,1"), Ok(vec![8, 9, 1]));
        for wrong in [
            "",
            "a",
            "4..0",
            "0..",
            "-1",
            "1,1",
            "0..3,2",
            "0..18446744073709551615",
        ] {
            assert!(seeds(wrong).is_err(), "{wrong}");
        }
    }
}
