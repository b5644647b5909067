//! What a task sees of a world: links, joints, sites, actuators, action, commands and time, by name.
//!
//! Everything is as of the state the world is in now: link frames and velocities belong to the same instant as
//! `qpos` and `qvel` (in MuJoCo, after `mj_step`, they are those of the step's beginning). A name that the model does
//! not have ends the build with an error that names close ones.

use std::rc::Rc;

use super::actuators::Memory as ActuatorMemory;
use super::forces::{ContactForce, ContactForces};
use super::moment::{Link, Moment, Site};
use super::recording::Recording;
use super::sensing::Memory as SensorMemory;
use super::state::TaskState;
use crate::error::{Error, Result, unknown};
use crate::math::{Force, Rng, Vec3, random};
use crate::model::Model;
use crate::rigid::{self, Applied, Forces, State};
use crate::trace::{Bits, Carry, Mask, Slot, Var};

/// What identifies a world's random numbers.
#[derive(Clone, Copy)]
pub(crate) struct Key {
    /// Low half, high half.
    pub seed: [Bits; 2],
    pub stream: Bits,
    /// Counts the episodes of the stream.
    pub episode: Bits,
}

impl Key {
    /// Random numbers for a purpose in one control step of the episode.
    pub(crate) fn rng(self, purpose: &str, step: Bits) -> Rng {
        let Key {
            seed,
            stream,
            episode,
        } = self;
        Rng::new(
            random::Key {
                seed,
                stream,
                episode,
                step,
            },
            purpose,
        )
    }
}

impl Carry for Key {
    fn slots(&mut self, visit: &mut dyn FnMut(Slot<'_>)) {
        self.seed.slots(visit);
        self.stream.slots(visit);
        self.episode.slots(visit);
    }
}

/// What one world carries from one control step to the next.
#[derive(Clone)]
pub(crate) struct Episode {
    pub physics: State,
    pub task: TaskState,
    /// What actuator models remember.
    pub actuators: ActuatorMemory,
    /// Values of each command, in the order of the spec.
    pub commands: Vec<Vec<Var>>,
    pub last_action: Vec<Var>,
    /// What the world drew of its randomization.
    pub draws: Vec<Var>,
    /// The boundary of a range at which the world is held, 0 for none; nothing where no range has one.
    pub boundary: Option<Bits>,
    /// What the sensors keep, in the order of the observation terms.
    pub sensors: Vec<SensorMemory>,
    /// Control steps since the episode began, or since where it was said to be.
    pub step: Bits,
    pub key: Key,
}

impl Episode {
    /// Every float that outlives the control step, beside positions, velocities and activations.
    pub(crate) fn carried(&self) -> Vec<Var> {
        let mut rest = self.clone();
        let state = &mut rest.physics;
        // The last action is about to be replaced by this step's.
        for values in [
            &mut state.qpos,
            &mut state.qvel,
            &mut state.act,
            &mut rest.last_action,
        ] {
            values.clear();
        }
        let mut carried = Vec::new();
        rest.slots(&mut |slot| {
            if let Slot::Var(value) = slot {
                carried.push(*value);
            }
        });
        carried
    }
}

impl Carry for Episode {
    fn slots(&mut self, visit: &mut dyn FnMut(Slot<'_>)) {
        self.physics.slots(visit);
        self.task.slots(visit);
        self.actuators.slots(visit);
        self.commands.slots(visit);
        self.last_action.slots(visit);
        self.draws.slots(visit);
        if let Some(boundary) = &mut self.boundary {
            boundary.slots(visit);
        }
        self.sensors.slots(visit);
        self.step.slots(visit);
        self.key.slots(visit);
    }
}

/// What led to the present state of a world.
#[derive(Clone)]
pub(crate) struct Past {
    /// Where the control step began.
    pub before: State,
    /// Where the physics evaluated forces last.
    pub evaluated: State,
    /// The controls that acted on it there.
    pub ctrl: Vec<Var>,
    /// What acted on it there from outside.
    pub applied: Applied,
    /// The forces that it found; zero where an episode begins, for there was no step.
    pub forces: Forces,
    /// Over the substeps.
    pub contacts: ContactForces,
}

impl Past {
    /// That of a world which has just been put into this state.
    pub(crate) fn none(recording: &Recording, state: &State) -> Self {
        Self {
            before: state.clone(),
            evaluated: state.clone(),
            ctrl: vec![Var::ZERO; recording.model.nu],
            applied: Applied::none(&recording.model),
            forces: Forces::none(&recording.model),
            contacts: ContactForces::none(&recording.model),
        }
    }
}

impl Carry for Past {
    fn slots(&mut self, visit: &mut dyn FnMut(Slot<'_>)) {
        self.before.slots(visit);
        self.evaluated.slots(visit);
        self.ctrl.slots(visit);
        self.applied.slots(visit);
        self.forces.slots(visit);
        self.contacts.slots(visit);
    }
}

/// A joint's share of `qpos` and `qvel`.
#[derive(Clone)]
pub struct JointState {
    /// Hinge or slide: one number (rad or m). Ball: a quaternion. Free: position and quaternion.
    pub qpos: Vec<Var>,
    /// Hinge or slide: one number. Ball: angular velocity in the link's frame. Free: linear, then angular.
    pub qvel: Vec<Var>,
}

/// One world at one instant.
pub struct World<'a> {
    recording: Rc<Recording>,
    episode: &'a Episode,
    past: &'a Past,
    now: Moment,
    action: &'a [Var],
    control_dt: f64,
}

impl<'a> World<'a> {
    pub(crate) fn new(
        recording: &Rc<Recording>,
        episode: &'a Episode,
        past: &'a Past,
        action: &'a [Var],
    ) -> Self {
        Self {
            now: Moment::new(recording, &episode.physics).with_inputs(past),
            recording: Rc::clone(recording),
            episode,
            past,
            action,
            control_dt: recording.spec.control_dt,
        }
    }

    /// `[nq]` Generalized coordinates.
    pub fn qpos(&self) -> &[Var] {
        &self.episode.physics.qpos
    }

    /// `[nv]` Generalized velocities.
    pub fn qvel(&self) -> &[Var] {
        &self.episode.physics.qvel
    }

    /// `[na]` Activations.
    pub fn act(&self) -> &[Var] {
        &self.episode.physics.act
    }

    /// The world as it is now, like the functions below; forces are those under the last substep's controls.
    pub fn now(&self) -> &Moment {
        &self.now
    }

    /// The world as it was when the control step began; where an episode begins, as it is now.
    pub fn before(&self) -> Moment {
        Moment::new(&self.recording, &self.past.before)
    }

    /// The world in the state in which the physics evaluated forces last, before it arrived at the present one: what
    /// `mj_step` leaves in `mjData`. Where an episode begins, as it is now, and no forces are known yet.
    pub fn evaluated(&self) -> Moment {
        let evaluated = Moment::new(&self.recording, &self.past.evaluated);
        evaluated.with_inputs(self.past).with_forces(self.past)
    }

    /// A link by its body's name.
    pub fn link(&self, name: &str) -> Link {
        self.now.link(name)
    }

    /// A link's centre of mass in the world's frame, m.
    pub fn link_com(&self, name: &str) -> Vec3 {
        self.now.link_com(name)
    }

    /// Centre of mass of a link and everything that hangs on it, in the world's frame, m.
    pub fn subtree_com(&self, name: &str) -> Vec3 {
        self.now.subtree_com(name)
    }

    /// Velocity of [`World::subtree_com`], m/s (MuJoCo's sensor `subtreelinvel`).
    pub fn subtree_velocity(&self, name: &str) -> Vec3 {
        self.now.subtree_velocity(name)
    }

    /// A joint by name.
    pub fn joint(&self, name: &str) -> JointState {
        let model = &self.recording.model;
        match model.jnt_names.id(name) {
            Ok(id) => JointState {
                qpos: self.qpos()[model.joint_qpos(id)].to_vec(),
                qvel: self.qvel()[model.joint_dofs(id)].to_vec(),
            },
            Err(error) => {
                self.recording.fault(error);
                JointState {
                    qpos: vec![Var::from(0.0)],
                    qvel: vec![Var::from(0.0)],
                }
            }
        }
    }

    /// Position of a hinge (rad) or slide (m).
    pub fn joint_position(&self, name: &str) -> Var {
        self.single(name, self.joint(name).qpos)
    }

    /// Velocity of a hinge (rad/s) or slide (m/s).
    pub fn joint_velocity(&self, name: &str) -> Var {
        self.single(name, self.joint(name).qvel)
    }

    /// Range of a limited joint (`jnt_range`).
    pub fn joint_limits(&self, name: &str) -> [Var; 2] {
        let id = self.recording.model.jnt_names.id(name);
        match id {
            Ok(id) => self.recording.physics.jnt_range[id],
            Err(error) => {
                self.recording.fault(error);
                [Var::ZERO; 2]
            }
        }
    }

    /// Whether an equality constraint holds (`eq_active`): as the model says (`active`), until the task switches it
    /// ([`Ctrl::set_eq_active`], [`Init::set_eq_active`](super::Init::set_eq_active)). In
    /// [`Task::actuate`](super::Task::actuate), as it was before this substep.
    pub fn eq_active(&self, equality: &str) -> Mask {
        let id = self.recording.equality(equality);
        id.map_or(Mask::from(false), |id| self.episode.physics.eq_active[id])
    }

    fn single(&self, name: &str, values: Vec<Var>) -> Var {
        if values.len() != 1 {
            let message = format!("joint `{name}` is no hinge or slide");
            self.recording
                .fault(Error::invalid(message).hint("World::joint gives all of its numbers"));
        }
        values[0]
    }

    /// What contacts did to a link since the control step began; nothing where an episode begins.
    pub fn contact(&self, link: &str) -> ContactForce {
        let body = self.recording.model.body_names.id(link);
        self.past.contacts.of(self.recording.or_fault(body, 0))
    }

    /// What contacts with another link did to a link since the control step began; nothing where an episode begins.
    /// `"world"` stands for the geoms of `<worldbody>` itself.
    ///
    /// ```no_run
    /// # use manyworlds::tasks::World;
    /// # use manyworlds::trace::Mask;
    /// # fn landed(w: &World) -> Mask {
    /// let foot = w.contact_between("foot", "world");
    /// // In some substep the ground pushed the foot with more than 1 N; `foot.force` is the mean over the substeps.
    /// foot.max.gt(1.0)
    /// # }
    /// ```
    pub fn contact_between(&self, link: &str, other: &str) -> ContactForce {
        let names = &self.recording.model.body_names;
        self.between([link, other].map(|name| names.id(name)), |on, from| {
            let error = |error: Error| error.context(format!("links `{link}` and `{other}`"));
            self.past.contacts.of_links(on, from).map_err(error)
        })
    }

    /// What contacts with another geom did to a geom since the control step began; nothing where an episode begins.
    pub fn geom_contact(&self, geom: &str, other: &str) -> ContactForce {
        let names = &self.recording.model.geom_names;
        self.between([geom, other].map(|name| names.id(name)), |on, from| {
            let error = |error: Error| error.context(format!("geoms `{geom}` and `{other}`"));
            self.past.contacts.of_geoms(on, from).map_err(error)
        })
    }

    /// The contact force of two ids, or nothing and a fault.
    fn between(
        &self,
        [on, from]: [Result<usize>; 2],
        find: impl FnOnce(usize, usize) -> Result<ContactForce>,
    ) -> ContactForce {
        let found = on.and_then(|on| find(on, from?));
        let nothing = ContactForce {
            force: Vec3::ZERO,
            max: Var::ZERO,
        };
        self.recording.or_fault(found, nothing)
    }

    /// Output of a sensor by name in the present state, as many numbers as it has (`sensordata`), cut off as the model
    /// says. Sensors of forces and accelerations read what the last substep's controls do in this state; no controls act
    /// where an episode begins and in [`Task::actuate`](super::Task::actuate). MuJoCo's own are those of the state before:
    /// [`Moment::sensor`] of [`World::evaluated`].
    ///
    /// ```no_run
    /// # use manyworlds::tasks::{Terms, World};
    /// # fn terms(w: &World, t: &mut Terms) {
    /// // <sensor><gyro name="gyro" site="imu"/></sensor>
    /// t.observe("turning", w.sensor("gyro"));
    /// # }
    /// ```
    pub fn sensor(&self, name: &str) -> Vec<Var> {
        self.now.sensor(name)
    }

    /// A site by name.
    pub fn site(&self, name: &str) -> Site {
        self.now.site(name)
    }

    /// Force or torque of an actuator (N or N·m) in the present state, if it were commanded `ctrl`.
    ///
    /// Its gain, bias and force range count, its transmission's gear does not (MuJoCo's `actuator_force`).
    pub fn actuator_force(&self, name: &str, ctrl: impl Into<Var>) -> Var {
        let recording = &self.recording;
        let id = recording.or_fault(recording.model.actuator_names.id(name), 0);
        if recording.model.nu == 0 {
            return Var::from(0.0);
        }
        let mut controls = vec![Var::from(0.0); recording.model.nu];
        controls[id] = ctrl.into();
        let none = Applied::none(&recording.model);
        rigid::forward(
            &recording.model,
            &recording.physics,
            &self.episode.physics,
            &controls,
            &none,
        )
        .actuator_force[id]
    }

    /// The action of this control step. After a reset, before the first action, it is zero.
    pub fn action(&self) -> &[Var] {
        self.action
    }

    /// The action of the control step before; zero in an episode's first.
    pub fn last_action(&self) -> &[Var] {
        self.recording.reads_last_action.set(true);
        &self.episode.last_action
    }

    /// A command's present values.
    pub fn command(&self, name: &str) -> &[Var] {
        let commands = &self.recording.spec.commands;
        match commands.iter().position(|command| command.name == name) {
            Some(index) => &self.episode.commands[index],
            None => {
                self.recording.fault(unknown(
                    "command",
                    name,
                    commands.iter().map(|c| c.name.as_str()),
                ));
                &[]
            }
        }
    }

    /// The task's own quantities and histories as the last [`Task::update`](super::Task::update) left them.
    pub fn state(&self) -> &TaskState {
        &self.episode.task
    }

    /// Control steps since the episode began.
    pub fn episode_step(&self) -> Bits {
        self.episode.step
    }

    /// Time since the episode began, s.
    pub fn time(&self) -> Var {
        self.episode.step.to_var() * self.control_dt
    }

    /// Time between two actions, s.
    pub fn control_dt(&self) -> f64 {
        self.control_dt
    }

    /// The model: which bodies, joints and actuators there are. Numbers differ between worlds that are randomized or have
    /// [variants](super::variants) of the model; read them where the world has them.
    pub fn model(&self) -> &Model {
        &self.recording.model
    }

    /// Which variant of the model this world has, in the order of the configuration; 0 without variants.
    pub fn variant(&self) -> Bits {
        self.recording.variant
    }

    /// A parameter's value in this world as it is when the kernel runs, by its dotted key.
    pub fn param(&self, key: &str) -> Var {
        self.recording.param(key)
    }

    /// What the entry `randomize.NAME` drew in this world, as many numbers as it draws: a privileged observation, or a
    /// number of the task's own.
    pub fn randomized(&self, name: &str) -> &[Var] {
        let randomization = &self.recording.spec.randomization;
        match randomization.draws_of(name) {
            Some(range) => &self.episode.draws[range],
            None => {
                let error = unknown("randomization", name, randomization.names());
                self.recording.fault(error);
                &[]
            }
        }
    }
}

/// What a task sends to the physics in one substep.
pub struct Ctrl {
    recording: Rc<Recording>,
    pub(crate) ctrl: Vec<Var>,
    pub(crate) applied: Applied,
    /// `[neq]` The equality constraints that hold from this substep on.
    pub(crate) eq_active: Vec<Mask>,
}

impl Ctrl {
    /// No controls and forces, in a world in this state.
    pub(crate) fn new(recording: &Rc<Recording>, physics: &State) -> Self {
        Self {
            ctrl: vec![Var::from(0.0); recording.model.nu],
            applied: Applied::none(&recording.model),
            eq_active: physics.eq_active.clone(),
            recording: Rc::clone(recording),
        }
    }

    /// Commands all actuators, in the model's order. The model's control ranges clamp.
    pub fn set_all(&mut self, values: &[Var]) {
        if values.len() == self.ctrl.len() {
            self.ctrl = values.to_vec();
        } else {
            let message = format!(
                "{} controls for {} actuators",
                values.len(),
                self.ctrl.len()
            );
            self.recording.fault(
                Error::invalid(message).hint("override Task::actuate, or declare one action each"),
            );
        }
    }

    /// Commands one actuator.
    pub fn set(&mut self, actuator: &str, value: impl Into<Var>) {
        let id: Result<usize> = self.recording.model.actuator_names.id(actuator);
        match id {
            Ok(id) => self.ctrl[id] = value.into(),
            Err(error) => self.recording.fault(error),
        }
    }

    /// Switches an equality constraint of the model on or off (`eq_active`), from this substep on until it is switched again
    /// or the episode ends.
    ///
    /// ```no_run
    /// # use manyworlds::tasks::{Ctrl, World};
    /// # use manyworlds::trace::Var;
    /// # fn actuate(w: &World, action: &[Var], c: &mut Ctrl) {
    /// // <equality><weld name="grasp" body1="hand" body2="cup"/></equality>: what is let go stays so.
    /// c.set_eq_active("grasp", w.eq_active("grasp") & !action[0].gt(0.5));
    /// # }
    /// ```
    pub fn set_eq_active(&mut self, equality: &str, active: impl Into<Mask>) {
        if let Some(id) = self.recording.equality(equality) {
            self.eq_active[id] = active.into();
        }
    }

    /// Adds a force or torque (N or N·m) along a hinge's or slide's axis.
    pub fn joint_force(&mut self, joint: &str, force: impl Into<Var>) {
        let model = &self.recording.model;
        match model.jnt_names.id(joint).map(|id| model.joint_dofs(id)) {
            Ok(dofs) if dofs.len() == 1 => self.applied.qfrc[dofs.start] += force.into(),
            Ok(_) => self.recording.fault(Error::invalid(format!(
                "joint `{joint}` is no hinge or slide"
            ))),
            Err(error) => self.recording.fault(error),
        }
    }

    /// Adds a force (N) and a torque (N·m), in the world's frame, at a link's centre of mass (MuJoCo's `xfrc_applied`).
    pub fn link_force(&mut self, link: &str, force: Vec3, torque: Vec3) {
        match self.recording.model.body_names.id(link) {
            Ok(body) => self.applied.xfrc[body] += Force::new(torque, force),
            Err(error) => self.recording.fault(error),
        }
    }

    /// A parameter's value as it is when the kernel runs, by its dotted key.
    pub fn param(&self, key: &str) -> Var {
        self.recording.param(key)
    }
}
