//! `actuator-net fit`: a learned actuator model from measurements.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand, ValueEnum};
use serde::Serialize;

use super::npz::Archive;
use super::output::{self, note, say};
use crate::error::{Error, Result};
use crate::tasks::actuators::{self, Layer, Network};
use crate::train::regression::{self, Affine, Fit, Pairs, Quality, Settings};

/// Learned actuator models
#[derive(Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Fit(FitArguments),
}

/// Fit a network to logged data: from position errors and velocities, now and before, to the torque
///
/// The log is a NumPy archive (numpy.savez): `time [T]` or `dt` (one number), s; `position_target`, `position`, `velocity`
/// and `torque`, each [T] or [T, J] for J joints with the same actuator. Where the time jumps, a new recording begins. The last
/// part of each is kept for validation, and decides nothing.
#[derive(Args)]
#[command(after_help = "Examples:
  manyworlds actuator-net fit log.npz --out net.json
  manyworlds actuator-net fit log.npz --out net.json --interval 0.01 --lags 0,1,2 --activation elu
  manyworlds train quadruped 'actuator.legs.joints=*' actuator.legs.model=network actuator.legs.file=net.json")]
struct FitArguments {
    /// The measurements
    #[arg(value_name = "LOG.npz")]
    log: PathBuf,
    /// Where the network goes: what `actuator.NAME.file` names
    #[arg(long, value_name = "F.json")]
    out: PathBuf,
    /// Time between the samples that the network looks back at, s: a multiple of the log's and of the model's timestep.
    /// Without it, the log's
    #[arg(long, value_name = "S")]
    interval: Option<f64>,
    /// Which samples it looks at, in intervals before now
    #[arg(long, value_name = "K,…", value_delimiter = ',', default_values_t = [0, 1, 2])]
    lags: Vec<usize>,
    /// Widths of the hidden layers
    #[arg(long, value_name = "N,…", value_delimiter = ',', default_values_t = [32, 32, 32])]
    hidden: Vec<usize>,
    /// Activation of the hidden layers
    #[arg(long, value_enum, default_value_t = Curve::Softsign)]
    activation: Curve,
    /// How often each sample is seen
    #[arg(long, value_name = "E", default_value_t = 200)]
    epochs: usize,
    /// Samples in a minibatch
    #[arg(long, value_name = "N", default_value_t = 512)]
    batch: usize,
    /// First step of Adam
    #[arg(long, value_name = "X", default_value_t = 3e-3)]
    learning_rate: f64,
    /// Share of each recording, at its end, that is kept for validation
    #[arg(long, value_name = "X", default_value_t = 0.2)]
    validation: f64,
    /// Decides the first weights and the order of the samples
    #[arg(long, value_name = "S", default_value_t = 0)]
    seed: u64,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Curve {
    Softsign,
    Tanh,
    Elu,
}

impl Curve {
    /// As the regression and as the simulator have it.
    fn both(self) -> (regression::Curve, actuators::Curve) {
        match self {
            Self::Softsign => (regression::Curve::Softsign, actuators::Curve::Softsign),
            Self::Tanh => (regression::Curve::Tanh, actuators::Curve::Tanh),
            Self::Elu => (regression::Curve::Elu, actuators::Curve::Elu),
        }
    }
}

#[derive(Serialize)]
struct Report {
    file: String,
    interval: f64,
    lags: Vec<usize>,
    joints: usize,
    recordings: usize,
    train: Quality,
    validation: Quality,
}

pub(super) fn run(arguments: &Arguments) -> Result<()> {
    let Command::Fit(arguments) = &arguments.command;
    output::check_target(&arguments.out)?;
    let report = fit(arguments)?;
    if arguments.json {
        return output::json(&report);
    }
    say!(
        "{:<12} {:>9} {:>8} {:>11} {:>11}",
        "",
        "samples",
        "R²",
        "MAE",
        "RMSE"
    );
    for (name, quality) in [("train", report.train), ("validation", report.validation)] {
        let Quality {
            samples,
            r2,
            mae,
            rmse,
        } = quality;
        say!("{name:<12} {samples:>9} {r2:>8.5} {mae:>11.4e} {rmse:>11.4e}");
    }
    note!("wrote {}", report.file);
    Ok(())
}

fn fit(arguments: &FitArguments) -> Result<Report> {
    let place = |error: Error| error.context(arguments.log.display());
    let log = Log::read(&arguments.log)?;
    let interval = arguments.interval.unwrap_or(log.dt);
    let stride = stride(interval, log.dt)?;
    let lags = &arguments.lags;
    if lags.is_empty() || !lags.is_sorted_by(|a, b| a < b) {
        return Err(Error::invalid(format!("--lags {lags:?} are not ascending"))
            .hint("for example --lags 0,1,2"));
    }
    if !(0.0..1.0).contains(&arguments.validation) || arguments.validation == 0.0 {
        return Err(
            Error::invalid(format!("--validation {}", arguments.validation))
                .hint("it takes a share between 0 and 1"),
        );
    }
    let [train, validation] = log.pairs(stride, lags, arguments.validation);
    let samples = train.targets.len();
    note!(
        "{}: {} recordings of {} joints, {samples} samples to learn from",
        arguments.log.display(),
        log.recordings.len(),
        log.joints
    );
    let (curve, simulated) = arguments.activation.both();
    let settings = Settings {
        hidden: arguments.hidden.clone(),
        curve,
        epochs: arguments.epochs,
        batch: arguments.batch,
        learning_rate: arguments.learning_rate,
        seed: arguments.seed,
    };
    let mut progress = output::Progress::new("fit", arguments.epochs as u64);
    let fit = regression::fit(&train, &validation, &settings, |epoch, error| {
        progress.at(epoch as u64, format_args!("error {error:.2e}"));
    });
    progress.finish();
    let Fit {
        layers,
        train,
        validation,
    } = fit.map_err(place)?;
    let layer = |Affine { weights, bias }: Affine| Layer { weights, bias };
    let layers = layers.into_iter().map(layer).collect();
    let mut network = Network::new(interval, lags.clone(), simulated, layers)?;
    let report = Report {
        file: arguments.out.display().to_string(),
        interval,
        lags: lags.clone(),
        joints: log.joints,
        recordings: log.recordings.len(),
        train,
        validation,
    };
    network.fit = Some(serde_json::json!({ "train": train, "validation": validation }));
    let text = network.to_json()?;
    output::write_atomically(&arguments.out, |file| {
        std::io::Write::write_all(file, text.as_bytes()).map_err(Error::io)
    })?;
    Ok(report)
}

/// How many samples of the log an interval has.
fn stride(interval: f64, dt: f64) -> Result<usize> {
    let ratio = interval / dt;
    let whole = ratio.round();
    // As accurately as clocks are logged.
    let fits = (1.0..1e6).contains(&whole) && (ratio - whole).abs() < 1e-3 * whole;
    match fits {
        true => Ok(whole as usize),
        false => Err(Error::invalid(format!(
            "--interval {interval} s is no multiple of the log's {dt} s"
        ))),
    }
}

/// Measurements of actuators.
struct Log {
    /// Time between two rows, s.
    dt: f64,
    joints: usize,
    /// Rows that follow each other in time.
    recordings: Vec<std::ops::Range<usize>>,
    /// `[row][joint]` each: position error, velocity, torque.
    error: Vec<f64>,
    velocity: Vec<f64>,
    torque: Vec<f64>,
}

const ARRAYS: [&str; 6] = [
    "time",
    "dt",
    "position_target",
    "position",
    "velocity",
    "torque",
];

impl Log {
    fn read(path: &Path) -> Result<Self> {
        let place = |error: Error| error.context(path.display());
        let mut archive = Archive::open(path, &ARRAYS)?;
        let mut shape: Option<Vec<usize>> = None;
        let mut columns = Vec::new();
        for name in &ARRAYS[2..] {
            let (found, values) = archive.any(name)?;
            let fits = matches!(found.len(), 1 | 2) && found.iter().all(|size| *size > 0);
            let expected = shape.get_or_insert(found.clone());
            if !fits || found != *expected {
                let error = Error::invalid(format!("found shape {found:?}, expected {expected:?}"));
                let error = error.context(format!("array {name}"));
                return Err(place(error.hint("all of them are [T], or all are [T, J]")));
            }
            let joints = found.get(1).copied().unwrap_or(1);
            if let Some(index) = values.iter().position(|value| !(*value as f32).is_finite()) {
                let (row, joint, value) = (index / joints, index % joints, values[index]);
                let error = Error::invalid(format!("row {row}, joint {joint} is {value}"));
                return Err(place(error.context(format!("array {name}"))));
            }
            columns.push(values);
        }
        let shape = shape.unwrap_or_default();
        let rows = shape.first().copied().unwrap_or(0);
        let joints = shape.get(1).copied().unwrap_or(1);
        let (dt, recordings) = match (archive.has("time"), archive.has("dt")) {
            (true, true) => Err(Error::invalid("both `time` and `dt`").hint("keep one of them")),
            (false, false) => Err(Error::invalid("neither `time` nor `dt`")
                .hint("add time [T], or dt, one number, s")),
            (true, false) => times(&archive.any("time")?.1, rows),
            (false, true) => match archive.any("dt")?.1.as_slice() {
                [dt] if *dt > 0.0 && dt.is_finite() => {
                    Ok((*dt, std::iter::once(0..rows).collect()))
                }
                other => Err(Error::invalid(format!("dt is {other:?}"))
                    .hint("it takes one positive number, s")),
            },
        }
        .map_err(place)?;
        let [target, position, velocity, torque] = columns
            .try_into()
            .map_err(|_| Error::invalid("an array is missing"))?;
        Ok(Self {
            dt,
            joints,
            recordings,
            error: target
                .iter()
                .zip(&position)
                .map(|(to, at)| to - at)
                .collect(),
            velocity,
            torque,
        })
    }

    /// What a network sees and what it shall say, of the beginnings of the recordings and of their last `share`. No sample is
    /// seen by both, not even as history.
    fn pairs(&self, stride: usize, lags: &[usize], share: f64) -> [Pairs; 2] {
        let depth = stride * lags.last().copied().unwrap_or(0);
        let mut pairs = [Pairs::default(), Pairs::default()];
        for recording in &self.recordings {
            let kept = (recording.len() as f64 * share).round() as usize;
            let split = recording.end - kept;
            for (part, rows) in [recording.start..split, split..recording.end]
                .into_iter()
                .enumerate()
            {
                for row in rows.start + depth..rows.end {
                    for joint in 0..self.joints {
                        let at = |lag: &usize| (row - lag * stride) * self.joints + joint;
                        let errors = lags.iter().map(|lag| self.error[at(lag)]);
                        let velocities = lags.iter().map(|lag| self.velocity[at(lag)]);
                        pairs[part].inputs.push(errors.chain(velocities).collect());
                        pairs[part].targets.push(self.torque[at(&0)]);
                    }
                }
            }
        }
        pairs
    }
}

/// The usual time between two rows, and the rows that follow each other at that time.
fn times(times: &[f64], rows: usize) -> Result<(f64, Vec<std::ops::Range<usize>>)> {
    let wrong = |message: String| Error::invalid(message).context("array time");
    if times.len() != rows || rows < 2 {
        let count = times.len();
        return Err(wrong(format!("{count} times for {rows} rows"))
            .hint("at least 2 rows, with a time each"));
    }
    let steps: Vec<f64> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
    let mut sorted = steps.clone();
    sorted.sort_by(f64::total_cmp);
    let dt = sorted[sorted.len() / 2];
    if !(dt > 0.0 && dt.is_finite()) {
        return Err(wrong(format!("the time between two rows is mostly {dt} s"))
            .hint("times ascend within a recording"));
    }
    let is_even = |step: &f64| (step - dt).abs() < 0.05 * dt;
    let mut recordings = Vec::new();
    let mut start = 0;
    for (row, step) in steps.iter().enumerate() {
        if !is_even(step) {
            recordings.push(start..row + 1);
            start = row + 1;
        }
    }
    recordings.push(start..rows);
    // Times are rounded, more so in single precision: the mean is better than any one step.
    let even: Vec<f64> = steps.iter().copied().filter(|step| is_even(step)).collect();
    let mean = even.iter().sum::<f64>() / even.len() as f64;
    let dt = (mean * 1e9).round() * 1e-9;
    if recordings.len() > 1 + rows / 10 {
        return Err(wrong(format!(
            "{} of {} steps are not {dt} s long",
            recordings.len() - 1,
            steps.len()
        ))
        .hint("resample the log to equal steps"));
    }
    Ok((dt, recordings))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::env::{Precision, Target, VecEnv};
    use crate::math::Rng;
    use crate::model::Model;
    use crate::tasks::{Definition, Init, Spec, Table, Task, TaskState, Terms, World};
    use crate::trace::Var;

    /// A pendulum that observes itself, one physics step per control step.
    struct Pendulum;

    const MODEL: &str = r#"
<mujoco>
  <option timestep="0.005"/>
  <worldbody>
    <body><joint name="knee" axis="0 1 0" damping="0.2" armature="0.05"/>
    <geom size="0.05" pos="0 0 -0.3" mass="1.5"/></body>
  </worldbody>
  <actuator><motor name="knee" joint="knee" ctrllimited="false"/></actuator>
</mujoco>"#;

    const MOTOR: &str = "[actuator.m]\njoints = 'knee'\nmodel = 'dc_motor'\nkp = 40\nkd = 0.8\n\
                         saturation_effort = 15\nvelocity_limit = 12\neffort_limit = 11\n\
                         friction = { coulomb = 0.4, velocity = 0.5 }";

    impl Task for Pendulum {
        fn spec(&self, _model: &Model, _config: &Table) -> Result<Spec> {
            Ok(Spec::new(0.005, 100_000).observe("policy", "measured", 3))
        }
        fn terms(&self, w: &World, _s: &TaskState, t: &mut Terms) {
            let torque: Var = w.evaluated().qfrc_actuator()[0];
            t.observe(
                "measured",
                [w.joint_position("knee"), w.joint_velocity("knee"), torque],
            );
        }
        fn reset(&self, init: &mut Init, _s: &mut TaskState, rng: &mut Rng) {
            init.perturb(rng, 0.1);
        }
    }

    fn env(config: &str, worlds: usize) -> VecEnv {
        let definition = Definition::new("pendulum", Box::new(Pendulum), MODEL, config).unwrap();
        VecEnv::builder(definition)
            .worlds(worlds)
            .build_on(Target::Host(Precision::Double))
            .unwrap()
    }

    /// A target that jumps every so often and swings in between, another in each world.
    fn target(step: usize, world: usize) -> f32 {
        let level = ((step / (20 + 3 * world)) as f64 * 2.3 + world as f64).sin();
        let swing = (0.02 * (1 + world) as f64 * step as f64).sin();
        (1.2 * level + 0.5 * swing) as f32
    }

    struct Columns {
        target: Vec<f64>,
        position: Vec<f64>,
        velocity: Vec<f64>,
        torque: Vec<f64>,
    }

    /// What a run of the pendulum measures, `[row][world]`.
    fn measure(env: &mut VecEnv, steps: usize) -> Columns {
        let worlds = env.num_envs();
        let mut columns = Columns {
            target: Vec::new(),
            position: Vec::new(),
            velocity: Vec::new(),
            torque: Vec::new(),
        };
        let read = |view: crate::env::View<'_>| view.read().unwrap();
        for step in 0..steps {
            let before = read(env.observations().policy());
            let targets: Vec<f32> = (0..worlds).map(|world| target(step, world)).collect();
            let after = read(env.step(&targets).unwrap().next_obs.policy());
            for world in 0..worlds {
                columns.target.push(f64::from(targets[world]));
                columns.position.push(f64::from(before[3 * world]));
                columns.velocity.push(f64::from(before[3 * world + 1]));
                columns.torque.push(f64::from(after[3 * world + 2]));
            }
        }
        columns
    }

    fn path(name: &str) -> PathBuf {
        std::env::temp_dir().join(format!(
            "manyworlds-actuator-net-{}-{name}",
            std::process::id()
        ))
    }

    fn write(path: &Path, columns: &Columns, shape: &[usize], time: Option<Vec<f64>>) {
        super::super::npz::write(path, |arrays| {
            match &time {
                Some(time) => arrays.add("time", &[time.len()], time.clone())?,
                None => arrays.add("dt", &[], vec![0.005f64])?,
            }
            arrays.add("position_target", shape, columns.target.clone())?;
            arrays.add("position", shape, columns.position.clone())?;
            arrays.add("velocity", shape, columns.velocity.clone())?;
            arrays.add("torque", shape, columns.torque.clone())
        })
        .unwrap();
    }

    fn arguments(log: &Path, out: &Path) -> FitArguments {
        FitArguments {
            log: log.into(),
            out: out.into(),
            interval: None,
            lags: vec![0, 1, 2],
            hidden: vec![32, 32, 32],
            activation: Curve::Softsign,
            epochs: 60,
            batch: 256,
            learning_rate: 5e-3,
            validation: 0.2,
            seed: 0,
            json: false,
        }
    }

    /// The motor of the simulator is measured, learned, and replaced by what was learned: the pendulum swings the same.
    #[test]
    fn a_motor_is_learned_and_then_does_what_the_motor_did() {
        let (log, out) = (path("motor.npz"), path("motor.json"));
        let (worlds, steps) = (8, 1500);
        let columns = measure(&mut env(MOTOR, worlds), steps);
        write(&log, &columns, &[steps, worlds], None);
        let report = fit(&arguments(&log, &out)).unwrap();
        assert_eq!((report.joints, report.recordings), (worlds, 1));
        assert_eq!(report.validation.samples, worlds * (300 - 2));
        assert!(report.validation.r2 > 0.99, "{:?}", report.validation);
        assert!(report.train.r2 > 0.99, "{:?}", report.train);

        // Its own copy of the forward pass and the simulator's must agree, or the pendulum would not.
        let learned = format!(
            "[actuator.m]\njoints = 'knee'\nmodel = 'network'\nfile = '{}'",
            out.display()
        );
        let [truth, learned] = [MOTOR, &learned].map(|config| measure(&mut env(config, 3), 600));
        let spread = |values: &[f64]| {
            let mean = values.iter().sum::<f64>() / values.len() as f64;
            (values.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / values.len() as f64).sqrt()
        };
        let pairs = truth.position.iter().zip(&learned.position);
        let errors: Vec<f64> = pairs.map(|(a, b)| a - b).collect();
        let (error, range) = (spread(&errors), spread(&truth.position));
        assert!(error < 0.1 * range, "{error} of {range}");
        for file in [log, out] {
            std::fs::remove_file(file).unwrap();
        }
    }

    #[test]
    fn a_jump_of_the_time_begins_a_recording() {
        let log = path("jump.npz");
        let columns = Columns {
            target: (0..100).map(f64::from).collect(),
            position: vec![0.0; 100],
            velocity: (0..100).map(|i| 1000.0 + f64::from(i)).collect(),
            torque: (0..100).map(f64::from).collect(),
        };
        let time = |i: usize| 0.01 * i as f64 + if i < 60 { 0.0 } else { 3.0 };
        write(&log, &columns, &[100], Some((0..100).map(time).collect()));
        let read = Log::read(&log).unwrap();
        assert!((read.dt - 0.01).abs() < 1e-12);
        assert_eq!(read.recordings, [0..60, 60..100]);
        let [train, validation] = read.pairs(2, &[0, 1, 3], 0.25);
        // 45 + 30 rows and 15 + 10, less 6 of history in each part.
        assert_eq!(
            (train.targets.len(), validation.targets.len()),
            (39 + 24, 9 + 4)
        );
        assert_eq!(train.inputs[0], [6.0, 4.0, 0.0, 1006.0, 1004.0, 1000.0]);
        assert_eq!(train.targets[0], 6.0);
        assert_eq!(validation.inputs[0][..3], [51.0, 49.0, 45.0]);
        assert_eq!(train.inputs[39][..3], [66.0, 64.0, 60.0]);
        std::fs::remove_file(log).unwrap();
    }

    #[test]
    fn bad_logs_and_arguments_are_refused() {
        let (log, out) = (path("bad.npz"), path("bad.json"));
        let good = || Columns {
            target: (0..100).map(|i| f64::from(i).sin()).collect(),
            position: vec![0.0; 100],
            velocity: vec![0.0; 100],
            torque: (0..100).map(|i| f64::from(i).sin()).collect(),
        };
        let refused = |change: &dyn Fn(&mut FitArguments)| {
            let mut arguments = arguments(&log, &out);
            change(&mut arguments);
            fit(&arguments).err().expect("a mistake").to_string()
        };
        let asis = |_: &mut FitArguments| {};
        assert!(refused(&asis).contains("bad.npz"), "no file");

        write(&log, &good(), &[100], None);
        assert!(refused(&|a| a.interval = Some(0.007)).contains("no multiple of the log's"));
        assert!(refused(&|a| a.lags = vec![1, 0]).contains("not ascending"));
        assert!(refused(&|a| a.validation = 1.5).contains("between 0 and 1"));
        assert!(refused(&|a| a.lags = vec![0, 99]).contains("at least 2"));
        assert!(refused(&|a| a.hidden = vec![0]).contains("units in a layer"));

        let mut bad = good();
        bad.velocity[42] = f64::NAN;
        write(&log, &bad, &[50, 2], None);
        let error = refused(&asis);
        assert!(
            error.contains("array velocity: row 21, joint 0 is NaN"),
            "{error}"
        );
        let mut bad = good();
        bad.torque.fill(0.0);
        write(&log, &bad, &[100], None);
        assert!(refused(&asis).contains("all targets are 0"));
        write(&log, &good(), &[100], Some(vec![0.0; 100]));
        assert!(refused(&asis).contains("array time"));
        write(&log, &good(), &[100], Some(vec![0.0; 7]));
        assert!(refused(&asis).contains("7 times for 100 rows"));
        let scattered = (0..100).map(|i| f64::from(i).powi(2)).collect();
        write(&log, &good(), &[100], Some(scattered));
        assert!(refused(&asis).contains("resample"));
        std::fs::remove_file(log).unwrap();
    }
}
