//! `train`: a policy for a task, with PPO.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;

use super::dump::Dump;
use super::output::{note, say, short};
use super::saved::{Conditions, Evaluation, Machine, SavedRun};
use super::seeds::{self, Seeds};
use super::{eval, settings};
use crate::error::{Error, Result};
use crate::tasks::{Definition, Registry};
use crate::train::policy::{self, CONFIG_FILE};
use crate::train::{self, Config, Layers, Options, Outcome, Start};

/// Train a policy for a task with PPO, and evaluate it
///
/// Ctrl-C stops after the running iteration, with a checkpoint; --resume goes on from it, bit for bit.
#[derive(Args)]
#[command(after_help = "Examples:
  manyworlds train cartpole
  manyworlds train cartpole --worlds 1024 --seed 2 --out runs/second
  manyworlds train cartpole --seeds 0..4 --out runs/five
  manyworlds train cartpole --resume runs/second --steps 20000000
  manyworlds train cartpole --seeds 0..4 --resume runs/five
  manyworlds train cartpole ppo.gamma=0.98 reward.alive.weight=2
  manyworlds train cartpole --show-config")]
pub(super) struct Arguments {
    /// The task
    #[arg(value_name = "TASK")]
    pub(super) task: String,
    /// Worlds that step together [default: the task's]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    worlds: Option<u32>,
    /// Seed of everything that is random [default: 1]
    #[arg(long, value_name = "S")]
    seed: Option<u64>,
    /// Train once per seed, one after another, each into DIR/seed_K: 0..4 (both ends included) or 0,3,5
    #[arg(long, value_name = "A..B", conflicts_with = "seed")]
    pub(super) seeds: Option<Seeds>,
    /// Control steps to train for, summed over the worlds [default: the task's]
    #[arg(long, value_name = "T", value_parser = clap::value_parser!(u64).range(1..))]
    steps: Option<u64>,
    /// Folder for the run [default: runs/TASK/ and the next free number]
    #[arg(long, value_name = "DIR", conflicts_with = "resume")]
    pub(super) out: Option<PathBuf>,
    /// Go on with the run in this folder; of its configuration only steps and log.* may change
    #[arg(long, value_name = "DIR", conflicts_with = "init_from")]
    pub(super) resume: Option<PathBuf>,
    /// Start with the weights of another run
    #[arg(long, value_name = "DIR")]
    init_from: Option<PathBuf>,
    /// Print every key with its value, its default and who set it, and stop
    #[arg(long)]
    show_config: bool,
    #[command(flatten)]
    dump: Dump,
    /// Settings of the learner or the task, for example ppo.gamma=0.98 reward.alive.weight=2
    #[arg(value_name = "key=value")]
    settings: Vec<String>,
}

/// The status that shells give a program which ctrl-C ended.
const INTERRUPTED: u8 = 130;

/// What a run that ctrl-C ended leaves as its status.
pub(super) fn ended_by_interrupt() -> ExitCode {
    ExitCode::from(INTERRUPTED)
}

pub(super) fn run(arguments: &Arguments, registry: &Registry) -> Result<ExitCode> {
    if arguments.show_config {
        let mut definition = registry.load(&arguments.task)?;
        let layers = layers(
            arguments,
            arguments.resume.as_deref(),
            None,
            &mut definition,
        )?;
        Config::from_layers(&layers)?;
        say!("{}", layers.show().trim_end());
        return Ok(ExitCode::SUCCESS);
    }
    if let Some(seeds) = &arguments.seeds {
        return seeds::run(arguments, seeds, registry);
    }
    let job = match (&arguments.resume, &arguments.out) {
        (Some(folder), _) => Job::resumed(arguments, folder.clone(), registry)?,
        (None, Some(out)) => Job::fresh(arguments, out.clone(), None, None, registry)?,
        (None, None) => {
            let out = next_folder(&Path::new("runs").join(&arguments.task));
            Job::fresh(arguments, out, None, None, registry)?
        }
    };
    if job.options.start != Start::Resume && job.out().join(CONFIG_FILE).exists() {
        return Err(Error::invalid("there is a run here already")
            .context(job.out().display())
            .hint("go on with it by --resume, or choose another --out"));
    }
    let out = job.out().to_owned();
    if job.train(&Machine::open()?, registry)?.is_none() {
        return Ok(ended_by_interrupt());
    }
    say!("run      {}", out.display());
    note!(
        "         metrics.csv, curves.png, checkpoints/; next: eval {0}, replay {0}, export {0} --out F",
        out.display()
    );
    Ok(ExitCode::SUCCESS)
}

/// One training, with everything checked before it takes time.
pub(super) struct Job {
    definition: Definition,
    /// How it is trained.
    pub config: Config,
    /// Where it goes and where it starts.
    pub options: Options,
    dump: Dump,
}

impl Job {
    /// A new run in `out`: with the configuration of the run in `base`, if there is one, under the command line's.
    pub(super) fn fresh(
        arguments: &Arguments,
        out: PathBuf,
        base: Option<&Path>,
        seed: Option<u64>,
        registry: &Registry,
    ) -> Result<Self> {
        let start = match &arguments.init_from {
            Some(folder) => Start::InitFrom(SavedRun::open(folder)?.checkpoint),
            None => Start::Fresh,
        };
        if out.exists() && !out.is_dir() {
            return Err(Error::invalid("is a file")
                .context(out.display())
                .hint("choose another --out"));
        }
        let mut definition = registry.load(&arguments.task)?;
        let layers = layers(arguments, base, seed, &mut definition)?;
        Self::new(arguments, definition, &layers, out, start)
    }

    /// The run in `folder`, to go on with.
    pub(super) fn resumed(
        arguments: &Arguments,
        folder: PathBuf,
        registry: &Registry,
    ) -> Result<Self> {
        let mut definition = registry.load(&arguments.task)?;
        let layers = layers(arguments, Some(&folder), None, &mut definition)?;
        Self::new(arguments, definition, &layers, folder, Start::Resume)
    }

    fn new(
        arguments: &Arguments,
        mut definition: Definition,
        layers: &Layers,
        out: PathBuf,
        start: Start,
    ) -> Result<Self> {
        let config = Config::from_layers(layers)?;
        definition.config = config.task.clone();
        definition.spec()?;
        // Runs of several seeds have worlds of the same numbers.
        let dump = match (&arguments.seeds, out.file_name()) {
            (Some(_), Some(name)) => arguments.dump.within(name.as_ref()),
            _ => arguments.dump.clone(),
        };
        Ok(Self {
            dump,
            definition,
            config,
            options: Options {
                out,
                start,
                quiet: false,
            },
        })
    }

    /// The run's folder.
    pub(super) fn out(&self) -> &Path {
        &self.options.out
    }

    /// Trains, evaluates and prints; none where ctrl-C ended it.
    pub(super) fn train(self, machine: &Machine, registry: &Registry) -> Result<Option<()>> {
        let Self {
            definition,
            config,
            options,
            dump,
        } = self;
        let out = &options.out;
        note!(
            "{}: {} steps in {} worlds, {} iterations, seed {}, into {}",
            definition.name,
            short(config.steps as f64),
            config.worlds,
            config.iterations(),
            config.seed,
            out.display()
        );
        let mut worlds = dump.worlds(machine, definition, config.worlds, config.seed)?;
        if let Some(time) = worlds.env().compile_time() {
            let operations = worlds.env().operations();
            note!(
                "kernel: {operations} operations, compiled in {:.2} s",
                (time.naga + time.driver).as_secs_f64()
            );
        }
        let outcome = train::train(&mut worlds, &config, &options)?;
        drop(worlds);
        note!("{}", split_of_time(&outcome, out));
        if outcome.interrupted {
            return Ok(None);
        }
        let saved = SavedRun::open(out)?;
        let policy = saved.policy(&machine.learner)?;
        note!("evaluating {} episodes", eval::EPISODES);
        let definition = saved.definition(registry, &Conditions::default())?;
        let (results, variants) =
            eval::episodes(machine, definition, &policy, eval::EPISODES, None)?;
        Evaluation::save(out, &results, outcome.steps)?;
        eval::print(&results, &variants);
        Ok(Some(()))
    }
}

/// The configuration: of the run in `base`, else the task's, under the command line's; `seed` is set last.
fn layers(
    arguments: &Arguments,
    base: Option<&Path>,
    seed: Option<u64>,
    definition: &mut Definition,
) -> Result<Layers> {
    let mut assignments = Vec::new();
    let numbers = [
        ("worlds", arguments.worlds.map(u64::from)),
        ("steps", arguments.steps),
    ];
    for (key, value) in numbers {
        assignments.extend(value.map(|value| format!("{key}={value}")));
    }
    assignments.extend(arguments.settings.iter().cloned());
    assignments.extend(seed.or(arguments.seed).map(|seed| format!("seed={seed}")));
    let Some(folder) = base else {
        return settings::fresh(definition, &assignments);
    };
    let spec = policy::load_spec(folder)?;
    if spec.task != arguments.task {
        return Err(Error::invalid(format!(
            "this is a run of `{}`, not of `{}`",
            spec.task, arguments.task
        ))
        .context(folder.display())
        .hint(format!("train {} --resume {}", spec.task, folder.display())));
    }
    settings::resumed(train::resume_layers(folder)?, definition, &assignments)
}

/// The first number in `folder` beyond all those there.
pub(super) fn next_folder(folder: &Path) -> PathBuf {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let numbers = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    folder.join(format!(
        "{:03}",
        numbers.max().unwrap_or(0).saturating_add(1)
    ))
}

/// One line: how long it took, and what took it, from the columns `time/…` of the run's `metrics.csv`.
fn split_of_time(outcome: &Outcome, out: &Path) -> String {
    let Outcome {
        iterations,
        steps,
        seconds,
        ..
    } = outcome;
    let rate = *steps as f64 / seconds.max(1e-9);
    let mut line = format!(
        "{iterations} iterations, {} steps in {seconds:.1} s ({} steps/s)",
        short(*steps as f64),
        short(rate)
    );
    let metrics = fs::read_to_string(out.join("metrics.csv")).unwrap_or_default();
    let shares = ["simulation", "inference", "update"].map(|name| {
        let share = 100.0 * column_sum(&metrics, &format!("time/{name}")) / seconds.max(1e-9);
        format!("{name} {share:.0} %")
    });
    line += &format!(": {}", shares.join(", "));
    line
}

/// The sum of a column of numbers; rows without one count as 0.
fn column_sum(csv: &str, column: &str) -> f64 {
    let mut lines = csv.lines();
    let header = lines.next().unwrap_or_default();
    let Some(index) = header.split(',').position(|name| name == column) else {
        return 0.0;
    };
    lines
        .filter_map(|line| line.split(',').nth(index)?.parse::<f64>().ok())
        .filter(|value| value.is_finite())
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_summed_by_name() {
        let csv = "iteration,time/simulation,time/update\n1,0.5,2\n2,1.5,\n3,NaN,1\n";
        assert_eq!(column_sum(csv, "time/simulation"), 2.0);
        assert_eq!(column_sum(csv, "time/update"), 3.0);
        assert_eq!(column_sum(csv, "time/inference"), 0.0);
    }

    #[test]
    fn the_next_folder_is_beyond_all_numbers() {
        let folder = std::env::temp_dir().join(format!("manyworlds-next-{}", std::process::id()));
        assert_eq!(next_folder(&folder), folder.join("001"));
        for name in ["002", "007", "second"] {
            fs::create_dir_all(folder.join(name)).unwrap();
        }
        assert_eq!(next_folder(&folder), folder.join("008"));
        fs::remove_dir_all(folder).unwrap();
    }
}
