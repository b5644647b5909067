//! The training loop: rollout, update, log, checkpoint, until enough steps are done or someone says stop.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::checkpoint::{self, Counters};
use super::config::{Config, Schedule};
use super::environment::{Environment, EpisodeStats, Observations};
use super::layers::{Layers, differences};
use super::lock::RunLock;
use super::log::{EventWriter, Metrics, Progress, Row, draw_curves};
use super::policy::{self, CONFIG_FILE, EVALUATION_FILE, SPEC_FILE};
use super::ppo::{Ppo, UpdateReport};
use super::process;
use super::random::{Purpose, Stream};
use crate::error::{Error, Result};
use crate::files;

/// Where a run starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Start {
    /// With fresh weights, in a new folder.
    Fresh,
    /// Where the folder's newest checkpoint left off, bit for bit.
    Resume,
    /// With the weights and statistics of another run, everything else fresh.
    InitFrom(PathBuf),
}

/// A run's folder and manners.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where everything is written.
    pub out: PathBuf,
    /// Where it starts.
    pub start: Start,
    /// Print nothing.
    pub quiet: bool,
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// Iterations in all, those before a resume included.
    pub iterations: u64,
    /// Control steps over all worlds.
    pub steps: u64,
    /// Seconds of training.
    pub seconds: f64,
    /// Mean return of the last iteration in which episodes ended.
    pub mean_return: Option<f64>,
    /// Stopped by ctrl-C; a checkpoint was written.
    pub interrupted: bool,
}

/// A saved run's configuration as layers, for `--resume DIR key=value…`.
pub fn resume_layers(run: &Path) -> Result<Layers> {
    Ok(Layers::new(policy::load_table(run)?))
}

/// Trains until `config.steps`, `log.target_return` or ctrl-C, and leaves a checkpoint behind in each case.
///
/// A process that is killed leaves a folder that [`Start::Resume`] goes on with as if nothing had happened: from the first
/// moment that the folder holds a configuration it holds a checkpoint, and nothing in it is ever half there.
///
/// # Errors
/// The configuration does not fit the environment or the run, the folder holds another run or another process works in
/// it, the losses are not finite, or a file or the device failed.
pub fn train(
    environment: &mut dyn Environment,
    config: &Config,
    options: &Options,
) -> Result<Outcome> {
    process::keep_freed_memory();
    process::catch_interrupts();
    let mut run = Run::open(environment, config, options)?;
    let mut interrupted = false;
    while !run.finished() && !run.reached() && !interrupted {
        run.iterate(environment)?;
        interrupted = process::interrupted();
        let interval = config.log.checkpoint_interval;
        let last = run.finished() || run.reached() || interrupted;
        if last || run.ppo.iteration.is_multiple_of(interval) {
            run.checkpoint(environment)?;
        }
    }
    if run.reached() {
        let target = config.log.target_return;
        run.progress
            .say(&format!("the mean return reached {target}"));
    }
    run.progress.finish();
    if interrupted {
        run.progress.say(&format!(
            "interrupted; go on with --resume {}",
            options.out.display()
        ));
    }
    Ok(Outcome {
        iterations: run.ppo.iteration,
        steps: run.counters.steps,
        seconds: run.counters.seconds,
        mean_return: run.mean_return,
        interrupted,
    })
}

/// A run in progress.
struct Run<'a> {
    config: &'a Config,
    out: &'a Path,
    ppo: Ppo,
    obs: Observations,
    counters: Counters,
    metrics: Metrics,
    events: Option<EventWriter>,
    progress: Progress,
    mean_return: Option<f64>,
    _lock: RunLock,
}

impl<'a> Run<'a> {
    fn open(
        environment: &mut dyn Environment,
        config: &'a Config,
        options: &'a Options,
    ) -> Result<Self> {
        let out = options.out.as_path();
        if environment.num_envs() != config.worlds {
            return Err(Error::invalid(format!(
                "the environment has {} worlds, the configuration {}",
                environment.num_envs(),
                config.worlds
            )));
        }
        let mut ppo = Ppo::new(config, environment.spec(), &environment.device())?;
        if options.start == Start::Resume {
            refuse_changes(out, config)?;
        } else {
            files::create_dir(out)?;
        }
        let lock = RunLock::take(out)?;
        if options.start != Start::Resume && out.join(CONFIG_FILE).exists() {
            return Err(Error::invalid("there is a run here already")
                .context(out.display())
                .hint("go on with it by --resume, or choose another --out"));
        }
        checkpoint::clean(out)?;
        let (obs, counters) = match &options.start {
            Start::Resume => {
                let path = checkpoint::latest(out)?;
                let (snapshot, counters) = checkpoint::restore(&path, &mut ppo)?;
                let obs = environment.restore(&snapshot);
                (
                    obs.map_err(|error| error.context(path.display()))?,
                    counters,
                )
            }
            start => {
                if let Start::InitFrom(other) = start {
                    checkpoint::load_policy(&checkpoint::latest(other)?, &mut ppo)?;
                }
                let spec = serde_json::to_vec_pretty(environment.spec())
                    .map_err(|error| Error::invalid(error).context(SPEC_FILE))?;
                files::write(&out.join(SPEC_FILE), &spec)?;
                let obs = environment.reset(Some(config.seed))?;
                if config.stagger {
                    stagger(environment, config.seed)?;
                }
                let counters = Counters::default();
                checkpoint::save(out, &ppo, &environment.snapshot()?, counters)?;
                (obs, counters)
            }
        };
        let metrics = Metrics::resume(&out.join("metrics.csv"), ppo.iteration)?;
        files::remove(&out.join(EVALUATION_FILE))?;
        write_config(out, config)?;
        let mut events = None;
        if config.log.tensorboard {
            let mut writer = EventWriter::create(out)?;
            if options.start == Start::Resume {
                writer.restart(counters.steps + 1)?;
            }
            events = Some(writer);
        }
        let progress = Progress::new(counters.steps, config.steps, options.quiet);
        let mean_return = metrics
            .series("iteration", "return")
            .last()
            .map(|(_, value)| *value);
        Ok(Self {
            config,
            out,
            ppo,
            obs,
            counters,
            metrics,
            events,
            progress,
            mean_return,
            _lock: lock,
        })
    }

    fn finished(&self) -> bool {
        self.counters.steps >= self.config.steps
    }

    /// Whether the last iteration came up to `log.target_return`; read from its row, so that a resumed run knows it too.
    fn reached(&self) -> bool {
        let target = self.config.log.target_return;
        target > 0.0
            && self
                .metrics
                .last("return")
                .is_some_and(|value| value >= target)
    }

    fn iterate(&mut self, environment: &mut dyn Environment) -> Result<()> {
        let start = Instant::now();
        let rollout = self.ppo.collect(environment, &mut self.obs)?;
        let stats = environment.drain_stats()?;
        let report = self.ppo.update(&rollout);
        environment.on_iteration(self.ppo.iteration, &stats)?;
        if !(report.policy_loss + report.value_loss + report.gradient_norm).is_finite() {
            return Err(Error::invalid(format!("iteration {}: the losses are not finite", self.ppo.iteration))
                .context(self.out.display())
                .hint("the last checkpoint is good; check the task's rewards and observations, or lower ppo.max_learning_rate"));
        }
        let elapsed = start.elapsed();
        self.counters.steps += self.config.batch() as u64;
        self.counters.seconds += elapsed.as_secs_f64();
        if stats.count > 0 {
            self.mean_return = Some(stats.mean_return);
        }
        let row = self.row(
            &stats,
            &report,
            [elapsed, rollout.simulation, rollout.inference],
        );
        self.metrics.push(&row)?;
        if let Some(events) = &mut self.events {
            events.scalars(self.counters.steps, &row)?;
        }
        self.progress
            .update(self.ppo.iteration, self.counters.steps, self.mean_return);
        Ok(())
    }

    fn checkpoint(&mut self, environment: &mut dyn Environment) -> Result<()> {
        self.metrics.sync()?;
        checkpoint::save(self.out, &self.ppo, &environment.snapshot()?, self.counters)?;
        checkpoint::prune(self.out, self.config.log.keep_checkpoints)?;
        if self.config.log.curves {
            draw_curves(
                &self.metrics,
                &environment.spec().task,
                &self.out.join("curves.png"),
            )?;
        }
        Ok(())
    }

    /// The columns of `metrics.csv` and the tags of the events; names starting with `time/` hold seconds of this iteration.
    fn row(
        &self,
        stats: &EpisodeStats,
        report: &UpdateReport,
        [all, simulation, inference]: [Duration; 3],
    ) -> Row {
        let ended = |value: f64| if stats.count > 0 { value } else { f64::NAN };
        let times = &report.times;
        let mut row: Row = [
            ("iteration", self.ppo.iteration as f64),
            ("steps", self.counters.steps as f64),
            ("return", ended(stats.mean_return)),
            ("length", ended(stats.mean_length)),
            ("episodes", stats.count as f64),
            ("policy_loss", report.policy_loss),
            ("value_loss", report.value_loss),
            ("entropy", report.entropy),
            ("kl", report.kl),
            ("clip_fraction", report.clip_fraction),
            ("gradient_norm", report.gradient_norm),
            ("explained_variance", report.explained_variance),
            ("mean_value", report.mean_value),
            ("action_std", report.action_std),
            ("valid", report.valid),
            ("learning_rate", report.learning_rate),
            ("seconds", self.counters.seconds),
            (
                "steps_per_s",
                self.config.batch() as f64 / all.as_secs_f64().max(1e-9),
            ),
            ("time/simulation", simulation.as_secs_f64()),
            ("time/inference", inference.as_secs_f64()),
            ("time/update", times.total().as_secs_f64()),
            ("time/prepare", times.prepare.as_secs_f64()),
            ("time/forward", times.forward.as_secs_f64()),
            ("time/backward", times.backward.as_secs_f64()),
            ("time/optimizer", times.optimizer.as_secs_f64()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .to_vec();
        row.extend(
            stats
                .terms
                .iter()
                .map(|(name, value)| (format!("term/{name}"), ended(*value))),
        );
        row.extend(
            stats
                .metrics
                .iter()
                .map(|(name, value)| (format!("metric/{name}"), *value)),
        );
        row
    }
}

/// Worlds that all start together would all be cut together, and a rollout would show one phase of an episode only.
fn stagger(environment: &mut dyn Environment, seed: u64) -> Result<()> {
    let Some(limit) = environment.spec().max_episode_steps else {
        return Ok(());
    };
    let worlds = environment.num_envs();
    let order = Stream::new(seed, Purpose::Stagger, 0).permutation(worlds);
    let elapsed: Vec<u32> = order
        .iter()
        .map(|rank| (*rank as usize * limit / worlds) as u32)
        .collect();
    environment.set_episode_steps(&elapsed)
}

/// Errors where the configuration differs from the run's own in anything that would change its course.
fn refuse_changes(run: &Path, config: &Config) -> Result<()> {
    let old = policy::load_table(run)?;
    let fixed_length = matches!(config.ppo.schedule, Schedule::Linear | Schedule::Cosine);
    let free = |key: &str| key.starts_with("log.") || (key == "steps" && !fixed_length);
    let changed: Vec<String> = differences(&old, &table(config)?)
        .into_iter()
        .filter(|(key, ..)| !free(key))
        .map(|(key, old, new)| format!("{key} = {old} became {new}"))
        .collect();
    if changed.is_empty() {
        return Ok(());
    }
    Err(Error::invalid(format!(
        "a resumed run keeps its configuration, but {}",
        changed.join(", ")
    ))
    .context(run.join(CONFIG_FILE).display())
    .hint("only steps and log.* may change; --init-from starts a new run from these weights"))
}

fn write_config(run: &Path, config: &Config) -> Result<()> {
    let text = toml::to_string_pretty(&table(config)?)
        .map_err(|error| Error::invalid(error).context(CONFIG_FILE))?;
    files::write(&run.join(CONFIG_FILE), text.as_bytes())
}

fn table(config: &Config) -> Result<toml::Table> {
    toml::Table::try_from(config).map_err(|error| Error::invalid(error).context("configuration"))
}

#[cfg(test)]
mod tests;
