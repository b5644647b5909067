//! `rollout`: steps a batch of worlds through a model's physics and records what happens.
//!
//! Recorded moments: the start, and every M-th step after it. `xpos` and `xquat` belong to the `qpos` beside them
//! (MuJoCo's own `data.xpos` after `mj_step` is one step older).

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use clap::{Args, ValueEnum};
use ndarray::{ArrayD, Axis};

use super::again;
use super::controls;
use super::npz::{self, Archive, Extent};
use super::output::{self, Progress, note, say};
use super::subject::{self, Subject};
use crate::env::{Physics, Precision, Target};
use crate::error::{Error, Result};
use crate::model::Model;
use crate::tasks::{Cause, Registry};

/// Step a batch of worlds through a model's physics and record what happens
///
/// Arrays are NumPy's (.npz, written with numpy.savez, float64 or float32); N worlds, K steps, T recorded moments: the
/// start and every M-th step after it. A first dimension of 1 in the initial state, or a second one of 1 in ctrl,
/// stands for all worlds.
///
/// The record holds time [T] s, qpos [T,N,nq], qvel [T,N,nv], act [T,N,na], xpos [T,N,nbody,3] m,
/// xquat [T,N,nbody,4] w-x-y-z, sensordata [T,N,nsensordata], ncon [T,N] contacts, cfrc_ext [T,N,nbody,6] what they do to
/// each body (torque about the centre of mass of its tree, and force: N·m and N, world axes), and status [T,N]: 0, or the
/// bits of what went wrong (2: a number of the state is not finite, or above 1e10 in magnitude). Sensors and contacts are
/// of the recorded moment, under the last step's controls. The host records float64, the GPU float32. Of a model with
/// equality constraints it holds eq_active [T,N,neq] too: which of them hold, as bool.
///
/// With --task it does none of this: it steps one world of a task that went wrong again, from the file that
/// --dump-bad-worlds wrote, through the same kernel, and says what went wrong where, and whether every bit is the same.
#[derive(Args)]
#[command(after_help = "Examples:
  manyworlds rollout ant.xml --worlds 1024 --steps 500 --ctrl random --out ant.npz
  manyworlds rollout ant.xml --init start.npz --ctrl actions.npz --backend host --every 10 --out ant.npz
  manyworlds rollout --task bad/world_12_episode_3_step_345.npz")]
pub(super) struct Arguments {
    /// The model, an MJCF file
    #[arg(value_name = "MODEL.xml", required_unless_present = "task")]
    model: Option<PathBuf>,
    /// Instead: a world that went wrong, as train and eval --dump-bad-worlds write it
    #[arg(
        long,
        value_name = "F.npz",
        conflicts_with_all = ["model", "worlds", "steps", "init", "ctrl", "seed", "every", "out"]
    )]
    task: Option<PathBuf>,
    /// Number of worlds [default: as many as the given arrays have, else 1]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    worlds: Option<u32>,
    /// Number of physics steps [default: as many as --ctrl has, else 1000]
    #[arg(long, value_name = "K")]
    steps: Option<u32>,
    /// Initial state: qpos [N,nq], qvel [N,nv], act [N,na], eq_active [N,neq] (bool), each optional [default: the model's
    /// qpos0, at rest, eq_active0]
    #[arg(long, value_name = "F.npz")]
    init: Option<PathBuf>,
    /// Controls: zero, random (uniform in ctrlrange, or ±1 without one) or a file with ctrl [K,N,nu]
    #[arg(long, value_name = "zero|random|F.npz", default_value = "zero")]
    ctrl: String,
    /// Seed of random controls; a world's controls do not depend on the number of worlds
    #[arg(long, value_name = "S", default_value_t = 0)]
    seed: u64,
    /// Where to compute: the GPU in f32, or the host's reference interpreter in f64 (slow; with --task in f32 where the
    /// world is from a GPU)
    #[arg(long, value_enum, default_value_t = Place::Gpu)]
    backend: Place,
    /// Steps between recorded moments
    #[arg(long, value_name = "M", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    every: u32,
    /// File for the record [default: none, only a summary is printed]
    #[arg(long, value_name = "F.npz")]
    out: Option<PathBuf>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Place {
    Gpu,
    Host,
}

/// Reads all that the arguments name, and does nothing with it.
pub(super) fn check(arguments: &Arguments) -> Result<()> {
    let Some(path) = &arguments.model else {
        return Ok(());
    };
    let subject = Subject::file(path)?;
    Plan::new(arguments, subject.model()).map(drop)
}

pub(super) fn run(arguments: &Arguments, registry: &Registry) -> Result<()> {
    let path = match (&arguments.model, &arguments.task) {
        (_, Some(task)) => return again::run(task, arguments.backend == Place::Host, registry),
        (Some(model), None) => model,
        (None, None) => return Err(Error::invalid("no MODEL.xml is given")),
    };
    if let Some(path) = &arguments.out {
        output::check_target(path)?;
    }
    let subject = Subject::file(path)?;
    subject.warn();
    let model = Arc::new(subject.model().clone());
    let plan = Plan::new(arguments, &model)?;
    let mut record = match &arguments.out {
        Some(_) => Some(Record::new(&model, &plan)?),
        None => None,
    };
    let context = match arguments.backend {
        Place::Gpu => Some(subject::open_device()?),
        Place::Host => None,
    };
    let target = context
        .as_ref()
        .map_or(Target::Host(Precision::Double), Target::Gpu);
    note!(
        "{}: {} worlds × {} steps of {} s{}",
        path.display(),
        plan.worlds,
        plan.steps,
        model.opt.timestep,
        if context.is_none() {
            " on the host, in double precision"
        } else {
            ""
        }
    );
    let mut physics = Physics::new(&model, plan.worlds, target)?;
    plan.start(&mut physics)?;

    let start = Instant::now();
    let mut progress = Progress::new("rollout", u64::from(plan.steps));
    if let Some(record) = &mut record {
        record.take(&mut physics)?;
    }
    let mut done = 0;
    while done < plan.steps {
        // Steps after the last recorded moment are taken too: K steps are K steps.
        let target = done.saturating_add(plan.every).min(plan.steps);
        plan.advance(&mut physics, done..target)?;
        done = target;
        if done.is_multiple_of(plan.every)
            && let Some(record) = &mut record
        {
            record.take(&mut physics)?;
        }
        progress.at(u64::from(done), "");
    }
    let status = physics.frames()?.status;
    progress.finish();
    let seconds = start.elapsed().as_secs_f64();

    if let (Some(record), Some(path)) = (record, &arguments.out) {
        let moments = record.moments;
        record.write(path, &model, &plan)?;
        say!(
            "wrote {}: {moments} moments of {} worlds",
            path.display(),
            plan.worlds
        );
    }
    let total = f64::from(plan.steps) * plan.worlds as f64;
    say!(
        "{} steps in {seconds:.2} s, reading back and recording included",
        output::short(total)
    );
    report(&status);
    Ok(())
}

/// Names the worlds that went wrong, by cause.
fn report(status: &[u32]) {
    for cause in Cause::ALL {
        let has = |world: &usize| status[*world] & cause.bit() != 0;
        let worlds: Vec<usize> = (0..status.len()).filter(has).collect();
        if let Some(first) = worlds.first() {
            note!(
                "warning: {cause} in {} of {} worlds, the first is world {first}",
                worlds.len(),
                status.len()
            );
        }
    }
}

/// What is to be done, with all arrays read and checked.
struct Plan {
    worlds: usize,
    steps: u32,
    every: u32,
    /// Whether the device computes in single precision.
    single: bool,
    qpos: Option<ArrayD<f64>>,
    qvel: Option<ArrayD<f64>>,
    act: Option<ArrayD<f64>>,
    eq_active: Option<ArrayD<f64>>,
    ctrl: Controls,
}

enum Controls {
    Zero,
    /// Ranges by actuator, and the seed.
    Random(Vec<[f64; 2]>, u64),
    /// `[K, N or 1, nu]`
    Given(ArrayD<f64>),
}

impl Plan {
    fn new(arguments: &Arguments, model: &Model) -> Result<Self> {
        let mut worlds = arguments.worlds.map(|worlds| worlds as usize);
        let [mut qpos, mut qvel, mut act, mut eq_active] = [None, None, None, None];
        if let Some(path) = &arguments.init {
            let mut archive = Archive::open(path, &["qpos", "qvel", "act", "eq_active"])?;
            let sizes = [
                ("qpos", "nq", model.nq),
                ("qvel", "nv", model.nv),
                ("act", "na", model.na),
            ];
            for ((name, extent, size), array) in
                sizes.into_iter().zip([&mut qpos, &mut qvel, &mut act])
            {
                *array = archive.optional(
                    name,
                    &[Extent::worlds(worlds), Extent::exactly(extent, size)],
                )?;
                worlds = counted(worlds, array.as_ref().map(|array| array.shape()[0]));
            }
            let extents = [Extent::worlds(worlds), Extent::exactly("neq", model.neq)];
            eq_active = archive.optional_flags("eq_active", &extents)?;
            worlds = counted(worlds, eq_active.as_ref().map(|array| array.shape()[0]));
        }
        let ctrl = match arguments.ctrl.as_str() {
            "zero" => Controls::Zero,
            "random" => Controls::Random(controls::ranges(model), arguments.seed),
            path => {
                let path = Path::new(path);
                if !path.exists() {
                    return Err(Error::invalid(format!("`{}` is no file", path.display()))
                        .context("--ctrl")
                        .hint("write zero, random or the name of an npz file"));
                }
                let extents = [
                    Extent::any("K"),
                    Extent::worlds(worlds),
                    Extent::exactly("nu", model.nu),
                ];
                let array = Archive::open(path, &["ctrl"])?.required("ctrl", &extents)?;
                worlds = counted(worlds, Some(array.shape()[1]));
                let given = array.shape()[0];
                if let Some(steps) = arguments.steps
                    && steps as usize > given
                {
                    return Err(Error::invalid(format!(
                        "ctrl has {given} steps, --steps asks for {steps}"
                    ))
                    .context(path.display())
                    .hint("give fewer steps or more controls"));
                }
                Controls::Given(array)
            }
        };
        // Arrays of one world agree with any number; what is left to settle is which number it is.
        let steps = match (&ctrl, arguments.steps) {
            (_, Some(steps)) => steps,
            (Controls::Given(array), None) => u32::try_from(array.shape()[0]).unwrap_or(u32::MAX),
            _ => 1000,
        };
        Ok(Self {
            worlds: worlds.unwrap_or(1),
            steps,
            every: arguments.every,
            single: arguments.backend == Place::Gpu,
            qpos,
            qvel,
            act,
            eq_active,
            ctrl,
        })
    }

    /// The number of recorded moments.
    fn moments(&self) -> usize {
        1 + (self.steps / self.every) as usize
    }

    fn start(&self, physics: &mut Physics) -> Result<()> {
        let model = physics.model().clone();
        let zeros = |size: usize| vec![0.0; self.worlds * size];
        let given =
            |array: &Option<ArrayD<f64>>| array.as_ref().map(|array| per_world(array, self.worlds));
        if let Some(active) = given(&self.eq_active) {
            let active: Vec<bool> = active.into_iter().map(|value| value != 0.0).collect();
            physics.set_eq_active(&active)?;
        }
        physics.set_state(
            &given(&self.qpos).unwrap_or_else(|| model.qpos0.repeat(self.worlds)),
            &given(&self.qvel).unwrap_or_else(|| zeros(model.nv)),
            &given(&self.act).unwrap_or_else(|| zeros(model.na)),
        )
    }

    fn advance(&self, physics: &mut Physics, steps: Range<u32>) -> Result<()> {
        if let Controls::Zero = self.ctrl {
            return physics.step(steps.end - steps.start);
        }
        for step in steps {
            let ctrl = match &self.ctrl {
                Controls::Zero => continue,
                Controls::Random(ranges, seed) => {
                    controls::random(ranges, *seed, step, self.worlds)
                }
                Controls::Given(array) => per_world(
                    &array.index_axis(Axis(0), step as usize).to_owned(),
                    self.worlds,
                ),
            };
            physics.set_ctrl(&ctrl)?;
            physics.step(1)?;
        }
        Ok(())
    }
}

/// The number of worlds after an array with `found` worlds; 1 decides nothing.
fn counted(worlds: Option<usize>, found: Option<usize>) -> Option<usize> {
    worlds.or(found.filter(|found| *found != 1))
}

/// The rows of `[N or 1, …]` for every world, one after the other.
fn per_world(array: &ArrayD<f64>, worlds: usize) -> Vec<f64> {
    let mut shape = array.shape().to_vec();
    shape[0] = worlds;
    match array.broadcast(shape) {
        Some(array) => array.iter().copied().collect(),
        None => array.iter().copied().collect(),
    }
}

/// What is recorded so far, each `[moment][world][component]`.
struct Record {
    arrays: Vec<(&'static str, Vec<usize>, Vec<f64>)>,
    eq_active: Vec<bool>,
    ncon: Vec<u32>,
    status: Vec<u32>,
    moments: usize,
}

impl Record {
    /// Room for the whole record.
    fn new(model: &Model, plan: &Plan) -> Result<Self> {
        let arrays = [
            ("qpos", vec![model.nq]),
            ("qvel", vec![model.nv]),
            ("act", vec![model.na]),
            ("xpos", vec![model.nbody, 3]),
            ("xquat", vec![model.nbody, 4]),
            ("sensordata", vec![model.nsensordata]),
            ("cfrc_ext", vec![model.nbody, 6]),
        ];
        let too_large = || {
            let numbers: usize = arrays
                .iter()
                .map(|(_, shape)| shape.iter().product::<usize>())
                .sum();
            let gib =
                8.0 * (numbers * plan.worlds) as f64 * plan.moments() as f64 / f64::from(1 << 30);
            Error::invalid(format!("the record would take {gib:.1} GiB of memory"))
                .context("--out")
                .hint("record fewer moments with --every, or fewer worlds")
        };
        let mut reserved = Vec::new();
        for (name, shape) in &arrays {
            let mut values = Vec::new();
            let size = shape
                .iter()
                .chain([&plan.worlds, &plan.moments()])
                .try_fold(1usize, |a, b| a.checked_mul(*b));
            values
                .try_reserve_exact(size.ok_or_else(too_large)?)
                .map_err(|_| too_large())?;
            reserved.push((*name, shape.clone(), values));
        }
        Ok(Self {
            arrays: reserved,
            eq_active: Vec::new(),
            ncon: Vec::new(),
            status: Vec::new(),
            moments: 0,
        })
    }

    /// Records this moment.
    fn take(&mut self, physics: &mut Physics) -> Result<()> {
        let frames = physics.frames()?;
        let state = physics.fields().state;
        let contacts = physics.contacts()?;
        let moment = [
            physics.read(state.qpos)?,
            physics.read(state.qvel)?,
            physics.read(state.act)?,
            frames.xpos,
            frames.xquat,
            physics.sensordata()?,
            contacts.cfrc_ext,
        ];
        for ((_, _, values), now) in self.arrays.iter_mut().zip(moment) {
            values.extend(now);
        }
        self.eq_active.extend(physics.eq_active()?);
        self.ncon.extend(contacts.ncon);
        self.status.extend(frames.status);
        self.moments += 1;
        Ok(())
    }

    fn write(self, path: &Path, model: &Model, plan: &Plan) -> Result<()> {
        let seconds = |moment| (moment as u64 * u64::from(plan.every)) as f64 * model.opt.timestep;
        npz::write(path, |file| {
            file.add(
                "time",
                &[self.moments],
                (0..self.moments).map(seconds).collect(),
            )?;
            for (name, shape, values) in self.arrays {
                let shape = [&[self.moments, plan.worlds], shape.as_slice()].concat();
                match plan.single {
                    true => file.add(
                        name,
                        &shape,
                        values.into_iter().map(|value| value as f32).collect(),
                    )?,
                    false => file.add(name, &shape, values)?,
                }
            }
            let each = [self.moments, plan.worlds];
            if model.neq > 0 {
                file.add(
                    "eq_active",
                    &[&each[..], &[model.neq]].concat(),
                    self.eq_active,
                )?;
            }
            file.add("ncon", &each, self.ncon)?;
            file.add("status", &each, self.status)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_single_row_stands_for_all_worlds() {
        let one = ArrayD::from_shape_vec(vec![1, 2], vec![1.0, 2.0]).unwrap();
        assert_eq!(per_world(&one, 3), [1.0, 2.0, 1.0, 2.0, 1.0, 2.0]);
        assert_eq!(counted(None, Some(1)), None);
        assert_eq!(counted(None, Some(4)), Some(4));
        assert_eq!(counted(Some(8), Some(1)), Some(8));
    }
}
