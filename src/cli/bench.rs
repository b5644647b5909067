//! `bench`: how fast a task or a model runs here, and what that costs.
//!
//! Each figure is the median of seven repetitions with the smallest and the largest beside it. Actions are random and
//! held: a model starts anew, with new controls, every 200 physics steps (as the peer does, so that both step the same
//! kind of states); a task gets new ones for each repetition. Nothing is read back inside a repetition.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use clap::{Args, ValueEnum};
use serde::Serialize;
use serde_json::Value;

use super::measure::{self, Rate, Spread};
use super::output::{self, note, say, short};
use super::recorded::Recorded;
use super::subject::{self, Subject};
use super::{controls, oracle};
use crate::env::{Physics, Target, VecEnv};
use crate::error::{Error, Result};
use crate::gpu::{CompileTime, Context};
use crate::model::Model;
use crate::tasks::Registry;
use crate::trace::Graph;

/// Measure physics steps and environment steps per second, with inference and with training
///
/// A physics step is one timestep of one world; an environment step is one control step of one world, with its
/// observations, rewards and resets. Rates per CPU-second divide by the time of all this process' threads: on a
/// software device that is the machine's work, on a GPU only the host's share. `with inference` adds the policy's
/// network, `with training` all of PPO, both with the task's own settings. Contacts and solver rounds are of one more
/// trajectory like those timed.
#[derive(Args)]
#[command(after_help = "Examples:
  manyworlds bench
  manyworlds bench cartpole --worlds 1024,4096 --json
  manyworlds bench ant.xml --against mujoco
  manyworlds bench ant.xml --against mujoco --from ant.npz   (of tests/oracle/policy.py --states)")]
pub(super) struct Arguments {
    /// Tasks or models (MJCF files) [default: all tasks]
    #[arg(value_name = "TASK|MODEL.xml")]
    subjects: Vec<String>,
    /// Numbers of worlds, one measurement each
    #[arg(
        long,
        value_name = "N,…",
        value_delimiter = ',',
        default_value = "4096",
        value_parser = clap::value_parser!(u32).range(1..)
    )]
    worlds: Vec<u32>,
    /// Also run the same model in MuJoCo C, on one thread, and print the ratio per CPU-second
    ///
    /// Constraints are on there as the model has them. Needs a Python with mujoco (MANYWORLDS_ORACLE).
    #[arg(long, value_enum)]
    against: Option<Peer>,
    /// Step from the states of a recording (.npz), 50 physics steps from each under its controls
    ///
    /// qpos [T,N,nq] and qvel [T,N,nv], and act and ctrl where it has them (else ctrl is random), as `rollout --out`,
    /// `eval --record` and `tests/oracle/policy.py --states` write them. MuJoCo then steps from the same states. Rates of
    /// environment steps do not change.
    #[arg(long, value_name = "F.npz")]
    from: Option<PathBuf>,
    /// A setting of the tasks, for example 'randomize.mass={field="body_mass",scale.uniform=[0.5,2]}'; any number of them
    #[arg(long = "set", value_name = "key=value")]
    settings: Vec<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Physics steps from each recorded state: the peer's number too. Few, so that the states stay like those of the recording;
/// not fewer, because putting the worlds there is timed too.
const RECORDED_STEPS: u32 = 50;

/// Physics steps after which a model starts anew: the peer's default too.
const TRAJECTORY_STEPS: u32 = 200;

/// Physics steps between two looks at the contacts of a trajectory.
const LOOK_STEPS: u32 = 20;

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Peer {
    Mujoco,
}

#[derive(Serialize)]
struct Report {
    version: &'static str,
    device: String,
    rows: Vec<Row>,
}

/// One subject at one number of worlds.
#[derive(Serialize)]
struct Row {
    name: String,
    worlds: u32,
    /// Physics steps in one launch: the control step's.
    substeps: u32,
    physics_steps: Rate,
    /// Control steps; none for a model without a task.
    env_steps: Option<Rate>,
    /// Control steps with actions from the policy's network.
    env_steps_with_inference: Option<Rate>,
    /// Control steps in training.
    env_steps_with_training: Option<Rate>,
    /// Bytes of the simulation's buffers.
    memory: u64,
    /// Operations of one world and substep; of the control step's kernel where there is a task.
    operations: usize,
    /// Seconds in naga, and in the driver with the first launch.
    compile_seconds: [f64; 2],
    contacts: Touching,
    /// Worlds whose state was not finite, or above 1e10, at the end.
    unsound_worlds: usize,
    mujoco: Option<Comparison>,
}

/// Contacts along one more trajectory of the kind that is timed, in all worlds.
#[derive(Clone, Copy, Default, Serialize)]
struct Touching {
    /// Mean over worlds and moments of the contacts that MuJoCo lists (`ncon`).
    mean: f64,
    /// The most in a world.
    max: u32,
    /// The most in a world between two moving links: each takes a slot.
    max_between_links: u32,
    /// Share of the states in which these are more than there are slots for.
    overflowing: f64,
    /// Mean and largest number of rounds in which the solver found the accelerations.
    mean_iterations: f64,
    max_iterations: u32,
    /// Share of the states in which it gave up.
    unsolved: f64,
}

/// MuJoCo C on one thread, on the same model, minutes ago.
#[derive(Serialize)]
struct Comparison {
    version: String,
    physics_steps_per_cpu_second: Spread,
    /// Our median per CPU-second over MuJoCo's.
    ratio_per_cpu_second: Option<f64>,
    /// Whether MuJoCo had to start a world anew.
    unstable: bool,
}

pub(super) fn run(arguments: &Arguments, registry: &Registry) -> Result<()> {
    let names: Vec<String> = match arguments.subjects.as_slice() {
        [] => registry.list().map(|(name, _)| name.to_owned()).collect(),
        given => given.to_vec(),
    };
    // All names are checked before the first measurement.
    for name in &names {
        Subject::find(name, registry)?
            .with(&arguments.settings)?
            .warn();
    }
    let context = subject::open_device()?;
    let mut report = Report {
        version: env!("CARGO_PKG_VERSION"),
        device: context.info().to_string(),
        rows: Vec::new(),
    };
    for name in &names {
        let peer = match arguments.against {
            Some(Peer::Mujoco) => Some(mujoco(&Subject::find(name, registry)?, arguments)?),
            None => None,
        };
        for worlds in &arguments.worlds {
            note!("{name}: {worlds} worlds");
            let bench = Bench {
                context: &context,
                registry,
                name,
                worlds: *worlds,
                from: arguments.from.as_deref(),
                settings: &arguments.settings,
            };
            let row = bench
                .run(peer.as_ref())
                .map_err(|error| error.context(format!("{name}, {worlds} worlds")))?;
            if !arguments.json {
                row.print();
            }
            report.rows.push(row);
        }
    }
    if arguments.json {
        output::json(&report)
    } else {
        Ok(())
    }
}

/// What is measured.
struct Bench<'a> {
    context: &'a Context,
    registry: &'a Registry,
    name: &'a str,
    worlds: u32,
    from: Option<&'a Path>,
    settings: &'a [String],
}

/// Where trajectories begin, and under which controls.
enum Starts {
    /// At `qpos0`, under random controls in these ranges.
    Random(Vec<[f64; 2]>),
    Recorded(Recorded),
}

impl Starts {
    fn new(model: &Model, from: Option<&Path>) -> Result<Self> {
        let ranges = controls::ranges(model);
        Ok(match from {
            None => Self::Random(ranges),
            Some(path) => Self::Recorded(Recorded::read(path, model, &ranges)?),
        })
    }

    /// Physics steps of a trajectory.
    fn steps(&self) -> u32 {
        match self {
            Self::Random(_) => TRAJECTORY_STEPS,
            Self::Recorded(_) => RECORDED_STEPS,
        }
    }

    /// Begins a trajectory in every world.
    fn begin(&self, physics: &mut Physics, trajectory: u32) -> Result<()> {
        let worlds = physics.worlds();
        match self {
            Self::Random(ranges) => {
                physics.reset()?;
                physics.set_ctrl(&controls::random(ranges, 0, trajectory, worlds))
            }
            Self::Recorded(recorded) => {
                let [qpos, qvel, act, ctrl] = recorded.states(trajectory, worlds);
                physics.set_state(&qpos, &qvel, &act)?;
                physics.set_ctrl(&ctrl)
            }
        }
    }
}

impl Bench<'_> {
    fn run(&self, peer: Option<&Value>) -> Result<Row> {
        let subject = Subject::find(self.name, self.registry)?.with(self.settings)?;
        let model = Arc::new(subject.model().clone());
        let mut row = match subject {
            Subject::Model { .. } => self.physics(&model, 10)?,
            Subject::Task { definition, .. } => {
                let mut env = VecEnv::builder(*definition)
                    .worlds(self.worlds as usize)
                    .build(self.context)?;
                let physics = self.physics(&model, env.substeps())?;
                let first_launch = timed(|| {
                    env.step_in_place()?;
                    self.context.wait()
                })?;
                let env_steps = self.environment(&mut env)?;
                let [inference, training] = self.learning()?;
                Row {
                    env_steps: Some(env_steps),
                    env_steps_with_inference: inference,
                    env_steps_with_training: training,
                    memory: bytes(env.step_graph(), self.worlds),
                    operations: env.operations(),
                    compile_seconds: seconds(env.compile_time(), first_launch),
                    ..physics
                }
            }
        };
        row.mujoco = peer
            .map(|peer| Comparison::of(peer, &row.physics_steps))
            .transpose()?;
        Ok(row)
    }

    /// Only the model: `substeps` timesteps per launch.
    fn physics(&self, model: &Arc<Model>, substeps: u32) -> Result<Row> {
        let mut physics = Physics::new(model, self.worlds as usize, Target::Gpu(self.context))?;
        let first_launch = timed(|| {
            physics.step(substeps)?;
            physics.wait()
        })?;
        let starts = Starts::new(model, self.from)?;
        let mut trajectory = 0;
        let rate = measure::rate(f64::from(self.worlds) * f64::from(substeps), |calls| {
            for call in 0..calls {
                if call.is_multiple_of(starts.steps().div_ceil(substeps)) {
                    trajectory += 1;
                    starts.begin(&mut physics, trajectory)?;
                }
                physics.step(substeps)?;
            }
            physics.wait()
        })?;
        let status = physics.frames()?.status;
        let unsound_worlds = status.iter().filter(|status| **status != 0).count();
        let contacts = self.contacts(&mut physics, &starts)?;
        Ok(Row {
            name: self.name.to_owned(),
            worlds: self.worlds,
            substeps,
            physics_steps: rate,
            env_steps: None,
            env_steps_with_inference: None,
            env_steps_with_training: None,
            memory: bytes(physics.graph(), self.worlds),
            operations: physics.graph().operations().total,
            compile_seconds: seconds(physics.compile_time(), first_launch),
            contacts,
            unsound_worlds,
            mujoco: None,
        })
    }

    /// What touches in states like those that were timed. Not part of any timing.
    fn contacts(&self, physics: &mut Physics, starts: &Starts) -> Result<Touching> {
        let worlds = self.worlds as usize;
        let looks = starts.steps() / LOOK_STEPS;
        let share = |flags: &[bool], wanted: bool| {
            let count = flags.iter().filter(|&&flag| flag == wanted).count();
            count as f64 / (worlds as f64 * f64::from(looks))
        };
        starts.begin(physics, 1)?;
        let mut found = Touching::default();
        for _ in 0..looks {
            physics.step(LOOK_STEPS)?;
            let now = physics.contacts()?;
            let mean = |counts: &[u32]| {
                let total: f64 = counts.iter().map(|&count| f64::from(count)).sum();
                total / (worlds as f64 * f64::from(looks))
            };
            let most = |counts: &[u32]| counts.iter().copied().max().unwrap_or(0);
            found.mean += mean(&now.ncon);
            found.max = found.max.max(most(&now.ncon));
            found.mean_iterations += mean(&now.iterations);
            found.max_iterations = found.max_iterations.max(most(&now.iterations));
            found.max_between_links = found.max_between_links.max(most(&now.needed));
            found.overflowing += share(&now.overflow, true);
            found.unsolved += share(&now.converged, false);
        }
        Ok(found)
    }

    /// Control steps with actions that lie on the device.
    fn environment(&self, env: &mut VecEnv) -> Result<Rate> {
        let actions = env.action_spec().iter();
        let ranges: Vec<[f64; 2]> = actions
            .map(|action| [action.low.max(-1.0), action.high.min(1.0)])
            .collect();
        let mut repetition = 0;
        measure::rate(f64::from(self.worlds), |calls| {
            repetition += 1;
            let values = controls::random(&ranges, 0, repetition, self.worlds as usize);
            env.set(
                "action",
                None,
                &values.iter().map(|value| *value as f32).collect::<Vec<_>>(),
            )?;
            for _ in 0..calls {
                env.step_in_place()?;
            }
            self.context.wait()
        })
    }
}

#[cfg(feature = "learn")]
impl Bench<'_> {
    /// Control steps with the policy's network, and with all of PPO.
    fn learning(&self) -> Result<[Option<Rate>; 2]> {
        use super::settings;
        use crate::train::{Config, Environment, Learner, Policy, Worlds, ppo::Ppo, process};

        process::keep_freed_memory();
        let mut definition = self.registry.load(self.name)?;
        let worlds = format!("worlds={}", self.worlds);
        let given = [self.settings, &[worlds]].concat();
        let layers = settings::fresh(&mut definition, &given)?;
        let config = Config::from_layers(&layers)?;
        let learner = Learner::choose(self.context)?;
        let builder = VecEnv::builder(definition).worlds(config.worlds);
        let mut worlds = Worlds::new(builder, self.context, &learner)?;
        let mut ppo = Ppo::new(&config, worlds.spec(), &worlds.device())?;
        let policy = Policy::of(&ppo, worlds.spec());
        let mut obs = worlds.reset(Some(0))?;

        let inference = measure::rate(f64::from(self.worlds), |calls| {
            for _ in 0..calls {
                let actions = policy.act(obs.policy()?);
                obs = worlds.step(actions)?.obs;
            }
            // Waits for everything.
            drop(obs.policy()?.into_data());
            Ok(())
        })?;
        let training = measure::rate(config.batch() as f64, |calls| {
            for _ in 0..calls {
                let rollout = ppo.collect(&mut worlds, &mut obs)?;
                worlds.drain_stats()?;
                // The report holds numbers that were read back: the update is over.
                _ = ppo.update(&rollout);
            }
            Ok(())
        })?;
        Ok([Some(inference), Some(training)])
    }
}

#[cfg(not(feature = "learn"))]
impl Bench<'_> {
    /// Without a learner there is nothing to measure.
    fn learning(&self) -> Result<[Option<Rate>; 2]> {
        Ok([None, None])
    }
}

/// Runs MuJoCo on the same model.
fn mujoco(subject: &Subject, arguments: &Arguments) -> Result<Value> {
    note!("{}: MuJoCo C on one thread", subject.name());
    let model = subject.model_file()?;
    let mut command: Vec<OsString> = vec![model.path().into()];
    if let Some(recording) = &arguments.from {
        let steps = RECORDED_STEPS.to_string();
        command.extend([
            "--from".into(),
            recording.into(),
            "--steps".into(),
            steps.into(),
        ]);
    }
    oracle::BENCH.run(&command)
}

impl Comparison {
    fn of(peer: &Value, ours: &Rate) -> Result<Self> {
        let figure = |name: &str| {
            let value = peer["steps_per_cpu_second"][name].as_f64();
            value.ok_or_else(|| {
                Error::io(format!(
                    "MuJoCo's figures have no steps_per_cpu_second.{name}"
                ))
            })
        };
        let theirs = Spread {
            median: figure("median")?,
            min: figure("min")?,
            max: figure("max")?,
        };
        Ok(Self {
            version: peer["mujoco"].as_str().unwrap_or("unknown").to_owned(),
            ratio_per_cpu_second: ours.per_cpu_second.map(|ours| ours.median / theirs.median),
            physics_steps_per_cpu_second: theirs,
            unstable: peer["unstable"].as_bool().unwrap_or(false),
        })
    }
}

impl Row {
    fn print(&self) {
        say!(
            "{}, {} worlds, {} physics steps per launch",
            self.name,
            self.worlds,
            self.substeps
        );
        let rates = [
            ("physics steps", Some(&self.physics_steps)),
            ("env steps", self.env_steps.as_ref()),
            ("  with inference", self.env_steps_with_inference.as_ref()),
            ("  with training", self.env_steps_with_training.as_ref()),
        ];
        for (name, rate) in rates {
            if let Some(Rate {
                per_second,
                per_cpu_second,
            }) = rate
            {
                let cpu = per_cpu_second.map_or(String::new(), |rate| {
                    format!("   {} per CPU-s", between(&rate))
                });
                say!("  {name:<18} {} per s{cpu}", between(per_second));
            }
        }
        if let Some(mujoco) = &self.mujoco {
            let ratio = mujoco
                .ratio_per_cpu_second
                .map_or("–".into(), |ratio| format!("{ratio:.1}×"));
            say!(
                "  {:<18} {} per CPU-s; ours is {ratio} that",
                format!("MuJoCo {}", mujoco.version),
                between(&mujoco.physics_steps_per_cpu_second)
            );
            if mujoco.unstable {
                note!("warning: MuJoCo started worlds anew that had become unstable");
            }
        }
        let [naga, driver] = self.compile_seconds;
        say!(
            "  {} operations, {:.1} MiB, compiled in {naga:.2} s (naga) + {driver:.2} s (driver and first launch, cached or not)",
            self.operations,
            self.memory as f64 / f64::from(1 << 20)
        );
        let Touching {
            mean,
            max,
            max_between_links,
            overflowing,
            mean_iterations,
            max_iterations,
            unsolved,
        } = self.contacts;
        if max > 0 {
            say!(
                "  contacts: {mean:.2} in a world on average, {max} at most, {max_between_links} between moving links; too many of these in {:.2} % of the states",
                100.0 * overflowing
            );
            say!(
                "  solver: {mean_iterations:.2} rounds on average, {max_iterations} at most; gave up in {:.2} % of the states",
                100.0 * unsolved
            );
        }
        if self.unsound_worlds > 0 {
            note!(
                "warning: {} of {} worlds left the range of sound states",
                self.unsound_worlds,
                self.worlds
            );
        }
    }
}

fn between(Spread { median, min, max }: &Spread) -> String {
    format!("{:>9} ({} … {})", short(*median), short(*min), short(*max))
}

/// Seconds in naga, and in the driver with the first launch, in which Mesa's software driver compiles.
fn seconds(time: Option<CompileTime>, first_launch: f64) -> [f64; 2] {
    let time = time.unwrap_or_default();
    [
        time.naga.as_secs_f64(),
        time.driver.as_secs_f64() + first_launch,
    ]
}

/// Seconds that something takes.
fn timed(work: impl FnOnce() -> Result<()>) -> Result<f64> {
    let start = Instant::now();
    work()?;
    Ok(start.elapsed().as_secs_f64())
}

/// Bytes of a graph's buffers.
fn bytes(graph: &Graph, worlds: u32) -> u64 {
    let buffers = graph.layout().buffers().iter();
    buffers
        .map(|buffer| {
            4 * u64::from(buffer.rows)
                * if buffer.per_world {
                    u64::from(worlds)
                } else {
                    1
                }
        })
        .sum()
}
