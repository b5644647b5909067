//! Actuator models: what stands between the control that a task sends and the force at the joint.
//!
//! ```toml
//! [actuator.legs]
//! joints = ["*_hip", "*_thigh", "*_calf"]
//! model = "dc_motor"            # or "pd", "network", or "mujoco": the model's own actuator
//! kp = 20.0
//! kd = 0.5
//! saturation_effort = 40.0      # or voltage, resistance, torque_constant, gear_ratio, current_limit
//! velocity_limit = 30.0
//! effort_limit = 23.7
//! friction.coulomb = 0.2
//! latency.time = 0.01
//! latency.max = 0.02
//! ```
//!
//! In every physics step the control that [`Task::actuate`](super::Task::actuate) sets, clamped to the model's
//! `ctrlrange`, is a command that passes through the stages below, of which each exists only if one of its numbers is said:
//!
//! | stage | keys | what it does |
//! |---|---|---|
//! | noise | `noise.white`, `noise.correlated`, `noise.range` | normal, new per control step and per episode; in fractions of `ctrlrange`'s width, or of `noise.range` |
//! | delay | `delay.probability` | each actuator is, for a whole episode and with this probability, one control step late |
//! | latency | `latency.time`, `latency.max`, `latency.per`, `latency.interpolate` | all are late by a time; there is room for `max`, which is `time` if it is not said |
//! | low-pass | `low_pass.time` | first order with this time constant, s |
//! | backlash | `backlash.width` | play of this width between the command and what follows it, in units of the command |
//! | law | `model`, `target`, `kp`, `kd`, `effort_limit`, … | from the command to the force |
//! | friction | `friction.coulomb`, `friction.viscous`, `friction.velocity` | against the joint's velocity; Coulomb's is full at `friction.velocity` |
//!
//! A law other than `mujoco` takes the place of the model's gain and bias, whatever they were; the gear transmits and
//! `forcerange` limits as before, so what the law says is the force at the joint (gears cancel), and all that reads
//! actuator forces reads it: `qfrc_actuator`, sensors, rewards. Damping and armature of the joint stay the model's: a motor's rotor
//! inertia is the joint's `armature`, times the square of the gear ratio. The law's feedback is explicit: it holds for a physics step.
//!
//! Numbers are parameters, `actuator.NAME.KEY`; the others are structure. Memory is kept per world in the fields
//! `actuator.NAME.STAGE`.

mod backlash;
mod config;
mod declare;
mod latency;
mod low_pass;
mod motor;
mod network;
mod noise;
mod resolve;
mod servo;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use super::recording::Recording;
use super::world::Key;
use crate::math::Rng;
use crate::rigid::State;
use crate::trace::{Bits, BufferId, Carry, Field, Layout, Mask, Slot, Var, stage};

pub(crate) use config::set;
pub use declare::{
    Actuator, Latency, Law, NUMBERS, Number, Per, Reader, STRUCTURE, Selection, Target,
};
pub use network::{Curve, Layer, Network};

use latency::Ring;
use motor::Motor;
use servo::{Servo, limited};

/// The actuator models of a task on its model's actuators.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Drives {
    groups: Vec<Group>,
}

/// One model and the actuators that it stands for.
#[derive(Clone, Debug, PartialEq)]
struct Group {
    said: Actuator,
    axes: Vec<Axis>,
    /// `[axis]` Whether the control range holds.
    limits: Vec<bool>,
    ring: Option<Ring>,
    network: Option<Arc<Network>>,
    /// Physics steps between samples of the network's history.
    stride: usize,
}

/// An actuator and the joint that it moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Axis {
    actuator: usize,
    /// Where the joint's position stands.
    qpos: usize,
    dof: usize,
}

/// Where actuator models keep their numbers.
#[derive(Clone, Debug, Default)]
pub struct ActuatorFields {
    /// `actuator.begun`, 0 before an episode's first physics step, and `actuator.NAME.STAGE`; none where no stage has a
    /// memory.
    pub memory: Vec<Field>,
    /// `actuator.NAME.weights`, in the table: a network's.
    pub weights: Vec<Field>,
}

/// What actuators remember from one physics step to the next, by field.
#[derive(Clone, Debug, Default)]
pub(crate) struct Memory(Vec<Vec<Var>>);

impl Carry for Memory {
    fn slots(&mut self, visit: &mut dyn FnMut(Slot<'_>)) {
        self.0.slots(visit);
    }
}

impl ActuatorFields {
    pub(crate) fn load(&self) -> Memory {
        Memory(self.memory.iter().map(Field::load_all).collect())
    }

    pub(crate) fn store(&self, memory: &Memory) {
        let fields = self.memory.iter().zip(&memory.0);
        fields.for_each(|(field, values)| field.store_all(values));
    }

    /// Where an episode begins.
    pub(crate) fn begin(&self) -> Memory {
        let zeros = |field: &Field| vec![Var::ZERO; field.len()];
        Memory(self.memory.iter().map(zeros).collect())
    }
}

/// A physics step of a control step.
#[derive(Clone, Copy)]
pub(crate) struct Moment<'a> {
    pub recording: &'a Recording,
    /// Where the physics step begins.
    pub physics: &'a State,
    pub key: Key,
    /// Control steps since the episode began.
    pub step: Bits,
    /// Number of the physics step in its control step, and how many there are.
    pub substep: Bits,
    pub substeps: Bits,
}

/// What a stage of one model reads.
struct Inputs<'a> {
    recording: &'a Recording,
    said: &'a Actuator,
    key: Key,
    step: Bits,
    substep: Bits,
    timestep: Var,
    /// Whether this is an episode's first physics step.
    first: Mask,
    /// Whether this is the last physics step of its control step.
    last: Mask,
}

impl Inputs<'_> {
    /// A number of the model, if it is said.
    fn number(&self, key: &str) -> Option<Var> {
        let full = || format!("actuator.{}.{key}", self.said.name);
        self.said.says(key).then(|| self.recording.param(&full()))
    }

    /// Random numbers for a stage in a control step.
    fn rng(&self, stage: &str, step: Bits) -> Rng {
        let purpose = format!("actuator.{}.{stage}", self.said.name);
        self.key.rng(&purpose, step)
    }
}

impl Drives {
    /// Adds the fields: memory to a buffer of floats, weights to a table.
    pub(crate) fn declare(
        &self,
        layout: &mut Layout,
        state: BufferId,
        table: BufferId,
    ) -> ActuatorFields {
        let mut fields = ActuatorFields::default();
        for group in &self.groups {
            let name = &group.said.name;
            for (stage, rows) in group.memory() {
                if fields.memory.is_empty() {
                    fields.memory.push(layout.field(state, "actuator.begun", 1));
                }
                let field = layout.field(state, &format!("actuator.{name}.{stage}"), rows);
                fields.memory.push(field);
            }
            if let Some(network) = &group.network {
                let weights = format!("actuator.{name}.weights");
                let field = layout.field(table, &weights, network.table().len());
                fields.weights.push(field);
            }
        }
        fields
    }

    /// The values of [`ActuatorFields::weights`].
    pub(crate) fn weights(&self) -> impl Iterator<Item = Vec<f64>> + '_ {
        let networks = self
            .groups
            .iter()
            .filter_map(|group| group.network.as_ref());
        networks.map(|network| network.table())
    }

    /// Turns the task's commands in `ctrl` into the model's controls; memory moves on by a physics step.
    pub(crate) fn drive(
        &self,
        now: Moment<'_>,
        fields: &ActuatorFields,
        ctrl: &mut [Var],
        memory: Memory,
    ) -> Memory {
        if self.groups.is_empty() {
            return memory;
        }
        stage("actuators", || {
            let Memory(mut memory) = memory;
            let (begun, mut rows) = match memory.split_first_mut() {
                Some((begun, rows)) => (Some(begun), rows.iter_mut()),
                None => (None, [].iter_mut()),
            };
            let mut weights = fields.weights.iter();
            let begins = begun.as_ref().map(|begun| begun[0].eq(0.0));
            for group in &self.groups {
                let inputs = Inputs {
                    recording: now.recording,
                    said: &group.said,
                    key: now.key,
                    step: now.step,
                    substep: now.substep,
                    timestep: now.recording.physics.timestep,
                    first: begins.unwrap_or(Mask::from(false)),
                    last: (now.substep + 1).eq(now.substeps),
                };
                let table = group.network.as_ref().and(weights.next().copied());
                group.drive(&inputs, now.physics, table, ctrl, &mut rows);
            }
            if let Some(begun) = begun {
                begun[0] = Var::from(1.0);
            }
            Memory(memory)
        })
    }

    /// The controls of actuators that have a model.
    pub(crate) fn pick(&self, ctrl: &[Var]) -> Vec<Var> {
        self.actuators().map(|id| ctrl[id]).collect()
    }

    /// Puts back what [`Drives::pick`] took.
    pub(crate) fn put(&self, picked: &[Var], ctrl: &mut [Var]) {
        let pairs = self.actuators().zip(picked);
        pairs.for_each(|(id, value)| ctrl[id] = *value);
    }

    fn actuators(&self) -> impl Iterator<Item = usize> + '_ {
        let axes = self.groups.iter().flat_map(|group| &group.axes);
        axes.map(|axis| axis.actuator)
    }
}

impl Group {
    /// The stages that remember something, in their order, and how many numbers.
    fn memory(&self) -> Vec<(&'static str, usize)> {
        let axes = self.axes.len();
        let history = self.network.as_ref();
        let history = history.map_or(0, |network| 2 * axes * network.depth(self.stride));
        let if_said = |key: &str| if self.said.says(key) { axes } else { 0 };
        let stages = [
            ("delay", if_said("delay.probability")),
            ("latency", self.ring.map_or(0, |ring| ring.entries * axes)),
            ("low_pass", if_said("low_pass.time")),
            ("backlash", if_said("backlash.width")),
            ("history", history),
        ];
        stages.into_iter().filter(|(_, rows)| *rows > 0).collect()
    }

    fn drive<'m>(
        &self,
        now: &Inputs<'_>,
        physics: &State,
        table: Option<Field>,
        ctrl: &mut [Var],
        memory: &mut impl Iterator<Item = &'m mut Vec<Var>>,
    ) {
        let command = self.command(now, ctrl, memory);
        if self.said.law == Law::Mujoco {
            let axes = self.axes.iter().zip(command);
            axes.for_each(|(axis, command)| ctrl[axis.actuator] = command);
            return;
        }
        let position: Vec<Var> = self
            .axes
            .iter()
            .map(|axis| physics.qpos[axis.qpos])
            .collect();
        let velocity: Vec<Var> = self
            .axes
            .iter()
            .map(|axis| physics.qvel[axis.dof])
            .collect();
        let effort = match (&self.network, table) {
            (Some(network), Some(table)) => {
                let errors = command.iter().zip(&position).map(|(to, at)| *to - *at);
                let errors: Vec<Var> = errors.collect();
                let mut nothing = Vec::new();
                let memory = match network.depth(self.stride) {
                    0 => &mut nothing,
                    _ => memory.next().expect("a history has a field"),
                };
                let samples = [errors.as_slice(), &velocity];
                let features = network.history(now, self.stride, samples, memory);
                let limit = now.number("effort_limit");
                let efforts = network.efforts(table, features);
                efforts.into_iter().map(|e| limited(e, limit)).collect()
            }
            _ => self.effort(now, &command, &position, &velocity),
        };
        for ((axis, effort), velocity) in self.axes.iter().zip(effort).zip(velocity) {
            let id = axis.actuator;
            let gear = now.recording.physics.actuator_gear[id][0];
            ctrl[id] = (effort - motor::friction(now, velocity)) / gear;
        }
    }

    /// `[axis]` The commands as they arrive at the law.
    fn command<'m>(
        &self,
        now: &Inputs<'_>,
        ctrl: &[Var],
        memory: &mut impl Iterator<Item = &'m mut Vec<Var>>,
    ) -> Vec<Var> {
        let physics = &now.recording.physics;
        let mut next = || memory.next().expect("a stage with a memory has a field");
        let axes = self.axes.iter().zip(&self.limits);
        let clamped = axes.clone().map(|(axis, limited)| {
            let [low, high] = physics.actuator_ctrlrange[axis.actuator];
            match limited {
                true => ctrl[axis.actuator].clamp(low, high),
                false => ctrl[axis.actuator],
            }
        });
        let mut command: Vec<Var> = clamped.collect();
        if self.said.says("noise.white") || self.said.says("noise.correlated") {
            let range = now.number("noise.range");
            let ranges = axes.map(|(axis, _)| {
                let [low, high] = physics.actuator_ctrlrange[axis.actuator];
                range.unwrap_or(high - low)
            });
            command = noise::noise(now, &command, &ranges.collect::<Vec<_>>());
        }
        if let Some(probability) = now.number("delay.probability") {
            command = latency::one_step_late(now, probability, command, next());
        }
        if let (Some(ring), Some(time)) = (self.ring, now.number("latency.time"))
            && ring.entries > 0
        {
            command = ring.late(now, time, command, next());
        }
        if let Some(time) = now.number("low_pass.time") {
            command = low_pass::low_pass(now, time, command, next());
        }
        if let Some(width) = now.number("backlash.width") {
            command = backlash::backlash(now, width, command, next());
        }
        command
    }

    /// `[axis]` The efforts of a law with formulas.
    fn effort(
        &self,
        now: &Inputs<'_>,
        command: &[Var],
        position: &[Var],
        velocity: &[Var],
    ) -> Vec<Var> {
        let servo = Servo {
            target: self.said.target,
            kp: now.number("kp"),
            kd: now.number("kd"),
        };
        let motor = (self.said.law == Law::DcMotor).then(|| Motor::new(now));
        let effort = |axis: usize| {
            let velocity = velocity[axis];
            let wanted = servo.effort(command[axis], position[axis], velocity);
            match &motor {
                Some(motor) if self.said.target == Target::Duty => motor.on_duty(wanted, velocity),
                Some(motor) => motor.towards(wanted, velocity),
                None => limited(wanted, now.number("effort_limit")),
            }
        };
        (0..command.len()).map(effort).collect()
    }
}
