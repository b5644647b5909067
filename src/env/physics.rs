//! A model in a batch of worlds, without a task: state and controls in, state and frames out.

use std::sync::Arc;

use super::contacts::ContactFields;
use super::machine::{KernelId, Machine, Target};
use super::sound::unsound;
use super::view::{components_first, worlds_first};
use crate::error::{Error, Result};
use crate::gpu::{Arenas, CompileTime, Kernel};
use crate::model::Model;
use crate::rigid::{self, Applied, Health, Parameters, StateFields};
use crate::tasks::Cause;
use crate::trace::{self, Bits, Field, Graph, Kind, Layout, Mask, repeat, select, uniform, when};

/// A model's physics in a batch of worlds.
///
/// Host arrays are `[world][component]`, in double precision whatever the device computes with.
pub struct Physics {
    pub(super) model: Arc<Model>,
    pub(super) machine: Machine,
    pub(super) fields: PhysicsFields,
    pub(super) contacts: ContactFields,
    pub(super) layout: Layout,
    step: KernelId,
    frames: KernelId,
    /// Made when somebody first asks for sensors.
    sense: Option<KernelId>,
    /// Likewise for contacts.
    pub(super) touch: Option<KernelId>,
}

/// Where a [`Physics`] keeps its numbers.
#[derive(Clone, Copy, Debug)]
pub struct PhysicsFields {
    /// `qpos`, `qvel`, `act`, `time`, mocap poses, `eq_active`, and where the solver starts from.
    pub state: StateFields,
    /// `ctrl`, `[nu]`.
    pub ctrl: Field,
    /// `xpos`, `[nbody][3]`, m, as of the last [`Physics::frames`].
    pub xpos: Field,
    /// `xquat`, `[nbody][4]`, likewise.
    pub xquat: Field,
    /// `sensordata`, `[nsensordata]`, as of the last [`Physics::sensordata`].
    pub sensordata: Field,
    /// `status`: bits of [`Cause`] as of the last [`Physics::frames`].
    pub status: Field,
}

/// Positions and orientations of all bodies.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct BodyFrames {
    /// `[world][nbody][3]` m.
    pub xpos: Vec<f64>,
    /// `[world][nbody][4]` w-x-y-z.
    pub xquat: Vec<f64>,
    /// `[world]` Bits of [`Cause`]: what is wrong with the state, and what went wrong in any step since it was set; 0
    /// where nothing did.
    pub status: Vec<u32>,
}

impl Physics {
    /// Worlds at the model's `qpos0`, at rest, with zero controls.
    ///
    /// # Errors
    /// The model asks for something the physics does not support, or for more than the device can hold or compile.
    pub fn new(model: &Arc<Model>, worlds: usize, target: Target<'_>) -> Result<Self> {
        if worlds == 0 {
            return Err(Error::invalid("a simulation of 0 worlds").hint("give at least 1"));
        }
        rigid::check(model)?;
        let mut layout = Layout::new();
        let floats = layout.buffer("state", Kind::F32);
        let io = layout.buffer("io", Kind::F32);
        let bits = layout.buffer("bits", Kind::U32);
        let fields = PhysicsFields {
            state: StateFields::declare(model, &mut layout, floats, bits),
            ctrl: layout.field(io, "ctrl", model.nu),
            xpos: layout.field(io, "xpos", 3 * model.nbody),
            xquat: layout.field(io, "xquat", 4 * model.nbody),
            sensordata: layout.field(io, "sensordata", model.nsensordata),
            status: layout.field(bits, "status", 1),
        };
        let contacts = ContactFields::declare(model, &mut layout);
        let mut machine = Machine::new(target, &layout, worlds)?;
        let step = machine.kernel(record_step(model, &layout, &fields))?;
        let frames = machine.kernel(record_frames(model, &layout, &fields))?;
        let mut physics = Self {
            model: Arc::clone(model),
            machine,
            fields,
            contacts,
            layout,
            step,
            frames,
            sense: None,
            touch: None,
        };
        physics.reset()?;
        Ok(physics)
    }

    /// The compiled model.
    pub fn model(&self) -> &Arc<Model> {
        &self.model
    }

    /// The number of worlds.
    pub fn worlds(&self) -> usize {
        self.machine.worlds()
    }

    /// Puts every world at `qpos0`, at rest, at time 0, with mocap bodies where the model has them and the equality
    /// constraints that it says.
    ///
    /// # Errors
    /// The device failed.
    pub fn reset(&mut self) -> Result<()> {
        let (model, worlds) = (Arc::clone(&self.model), self.worlds());
        self.machine.clear(&[self.fields.state.time])?;
        let mocap = (0..model.nbody).filter(|&body| model.body_mocapid[body].is_some());
        let pos: Vec<f64> = mocap
            .clone()
            .flat_map(|body| model.body_pos[body])
            .collect();
        let quat: Vec<f64> = mocap.flat_map(|body| model.body_quat[body]).collect();
        self.set_mocap(&pos.repeat(worlds), &quat.repeat(worlds))?;
        self.set_eq_active(&model.eq_active0.repeat(worlds))?;
        self.set_state(
            &model.qpos0.repeat(worlds),
            &vec![0.0; worlds * model.nv],
            &vec![0.0; worlds * model.na],
        )
    }

    /// Sets the state of every world; time goes on.
    ///
    /// # Errors
    /// A length is not the model's, or the device failed.
    pub fn set_state(&mut self, qpos: &[f64], qvel: &[f64], act: &[f64]) -> Result<()> {
        let state = self.fields.state;
        self.write("qpos", state.qpos, qpos)?;
        self.write("qvel", state.qvel, qvel)?;
        self.write("act", state.act, act)?;
        self.machine.clear(&[self.fields.status])?;
        // All rows: what pushes is found in the first step.
        self.machine.write_bits(
            state.active,
            &vec![u32::MAX; state.active.len() * self.worlds()],
        )
    }

    /// Puts mocap bodies somewhere, where they stay until they are put elsewhere: `[world][nmocap][3]` positions, m, and
    /// `[world][nmocap][4]` orientations, w-x-y-z, of any length.
    ///
    /// # Errors
    /// A length is not the model's, or the device failed.
    pub fn set_mocap(&mut self, pos: &[f64], quat: &[f64]) -> Result<()> {
        let state = self.fields.state;
        self.write("mocap_pos", state.mocap_pos, pos)?;
        self.write("mocap_quat", state.mocap_quat, quat)
    }

    /// Switches equality constraints on or off, `[world][neq]` (`eq_active`), until they are switched again.
    ///
    /// # Errors
    /// The length is not the model's, or the device failed.
    pub fn set_eq_active(&mut self, active: &[bool]) -> Result<()> {
        let field = self.fields.state.eq_active;
        let bits: Vec<u32> = active.iter().map(|&active| active.into()).collect();
        self.machine
            .demand(field, bits.len())
            .and_then(|()| {
                self.machine
                    .write_bits(field, &components_first(&bits, field.len()))
            })
            .map_err(|error| error.context("eq_active"))
    }

    /// `[world][neq]` Which equality constraints hold.
    ///
    /// # Errors
    /// The device failed.
    pub fn eq_active(&self) -> Result<Vec<bool>> {
        let field = self.fields.state.eq_active;
        let bits = worlds_first(&self.machine.read_bits(field)?, field.len());
        Ok(bits.into_iter().map(|bit| bit != 0).collect())
    }

    /// Sets the controls, `[world][nu]`, which hold until they are set again.
    ///
    /// # Errors
    /// The length is not the model's, or the device failed.
    pub fn set_ctrl(&mut self, ctrl: &[f64]) -> Result<()> {
        self.write("ctrl", self.fields.ctrl, ctrl)
    }

    /// Advances every world by a number of timesteps, in one launch. On a device it is sent, not waited for.
    ///
    /// # Errors
    /// The device failed.
    pub fn step(&mut self, substeps: u32) -> Result<()> {
        self.machine.run(self.step, &[("substeps", substeps)])
    }

    /// A number per world or more: `qpos`, `qvel`, `act`, `time` or `ctrl`, by its field.
    ///
    /// # Errors
    /// The device failed.
    pub fn read(&self, field: Field) -> Result<Vec<f64>> {
        Ok(worlds_first(&self.machine.read_exact(field)?, field.len()))
    }

    /// Frames of all bodies in the present state (MuJoCo's are those of the last step's beginning).
    ///
    /// # Errors
    /// The device failed.
    pub fn frames(&mut self) -> Result<BodyFrames> {
        self.machine.run(self.frames, &[])?;
        Ok(BodyFrames {
            xpos: self.read(self.fields.xpos)?,
            xquat: self.read(self.fields.xquat)?,
            status: self.machine.read_bits(self.fields.status)?,
        })
    }

    /// `[world][nsensordata]` The output of all sensors in the present state, under the present controls (MuJoCo's are
    /// those of the last step's beginning). The first call compiles a kernel, if the model has sensors.
    ///
    /// # Errors
    /// The model has a sensor that is not supported, or the device failed.
    pub fn sensordata(&mut self) -> Result<Vec<f64>> {
        if self.model.nsensordata == 0 {
            return Ok(Vec::new());
        }
        let sense = match self.sense {
            Some(sense) => sense,
            None => {
                rigid::check_sensors(&self.model)?;
                let graph = record_sensors(&self.model, &self.layout, &self.fields);
                *self.sense.insert(self.machine.kernel(graph)?)
            }
        };
        self.machine.run(sense, &[])?;
        self.read(self.fields.sensordata)
    }

    /// Where everything lies.
    pub fn fields(&self) -> &PhysicsFields {
        &self.fields
    }

    /// The device's memory; none on the host.
    pub fn arenas(&self) -> Option<&Arenas> {
        self.machine.arenas()
    }

    /// The recorded substeps: what they cost, their WGSL.
    pub fn graph(&self) -> &Graph {
        self.machine.graph(self.step)
    }

    /// How long the substeps took to compile; none on the host.
    pub fn compile_time(&self) -> Option<CompileTime> {
        self.machine.compiled(self.step).map(Kernel::compile_time)
    }

    /// Waits until everything that was sent is done.
    ///
    /// # Errors
    /// The device failed.
    pub fn wait(&self) -> Result<()> {
        self.machine.wait()
    }

    fn write(&mut self, name: &str, field: Field, values: &[f64]) -> Result<()> {
        self.machine
            .demand(field, values.len())
            .and_then(|()| {
                self.machine
                    .write_exact(field, &components_first(values, field.len()))
            })
            .map_err(|error| error.context(name))
    }
}

fn record_step(model: &Model, layout: &Layout, fields: &PhysicsFields) -> Graph {
    trace::record("physics", layout, || {
        let parameters = Parameters::constant(model);
        let ctrl = fields.ctrl.load_all();
        let applied = Applied::none(model);
        let start = (fields.state.load(), Health::sound());
        let go = |_: &(rigid::State, Health)| Mask::from(true);
        let (state, health) = repeat(uniform("substeps"), start, go, |(state, health), _| {
            let step = rigid::substep(model, &parameters, &state, &ctrl, &applied);
            (step.state, health.and(step.health))
        });
        fields.state.store(&state);
        when(health.overflow | health.unsolved, (), |()| {
            let bit = |cause: Cause, found| select(found, Bits::from(cause.bit()), Bits::ZERO);
            let found = bit(Cause::Overflow, health.overflow) | bit(Cause::Solver, health.unsolved);
            let before = fields.status.load_bits(0);
            fields.status.store_bits(0, before | found);
        });
    })
}

fn record_sensors(model: &Model, layout: &Layout, fields: &PhysicsFields) -> Graph {
    trace::record("sensors", layout, || {
        let (parameters, state) = (Parameters::constant(model), fields.state.load());
        let applied = Applied::none(model);
        let ctrl = fields.ctrl.load_all();
        let forward = rigid::forward(model, &parameters, &state, &ctrl, &applied);
        let data = rigid::sensordata(model, &parameters, &state, &applied, &forward);
        fields.sensordata.store_all(&data);
    })
}

fn record_frames(model: &Model, layout: &Layout, fields: &PhysicsFields) -> Graph {
    trace::record("frames", layout, || {
        let state = fields.state.load();
        let (kinematics, _) = rigid::motion(model, &Parameters::constant(model), &state);
        for body in 0..model.nbody {
            fields
                .xpos
                .slice(3 * body, 3)
                .store_all(&kinematics.xpos(body).to_array());
            fields
                .xquat
                .slice(4 * body, 4)
                .store_all(&kinematics.xquat[body].to_array());
        }
        let unsound = unsound(state.qpos.iter().chain(&state.qvel).chain(&state.act));
        let of_steps = fields.status.load_bits(0) & !Cause::State.bit();
        let of_state = select(unsound, Bits::from(Cause::State.bit()), Bits::ZERO);
        fields.status.store_bits(0, of_steps | of_state);
    })
}
