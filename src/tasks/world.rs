//! What a task sees of a world: links, joints, sites, actuators, action, commands and time, by name.
//!
//! Everything is as of the state the world is in now: link frames and velocities belong to the same instant as
//! `qpos` and `qvel` (in MuJoCo, after `mj_step`, they are those of the step's beginning). A name that the model does
//! not have ends the build with an error that names close ones.

use std::rc::Rc;

use super::recording::Recording;
use super::spec::unknown;
use super::state::TaskState;
use crate::error::{Error, Result};
use crate::math::{Force, Quat, Rng, Vec3, random};
use crate::rigid::{self, State};
use crate::trace::{Bits, Carry, Slot, Var, stage};

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
    /// Values of each command, in the order of the spec.
    pub commands: Vec<Vec<Var>>,
    pub last_action: Vec<Var>,
    /// Control steps since the episode began, or since where it was said to be.
    pub step: Bits,
    pub key: Key,
}

impl Carry for Episode {
    fn slots(&mut self, visit: &mut dyn FnMut(Slot<'_>)) {
        self.physics.slots(visit);
        self.task.slots(visit);
        self.commands.slots(visit);
        self.last_action.slots(visit);
        self.step.slots(visit);
        self.key.slots(visit);
    }
}

/// A link (a body of the model) in the world's frame.
#[derive(Clone, Copy)]
pub struct Link {
    /// Origin of its frame, m.
    pub position: Vec3,
    /// Orientation of its frame.
    pub orientation: Quat,
    /// Velocity of the origin, m/s.
    pub velocity: Vec3,
    /// Angular velocity, rad/s.
    pub angular_velocity: Vec3,
}

impl Link {
    /// A world vector in the link's frame.
    pub fn to_body(&self, vector: Vec3) -> Vec3 {
        self.orientation.conj().rotate(vector)
    }

    /// A vector of the link's frame in the world's.
    pub fn to_world(&self, vector: Vec3) -> Vec3 {
        self.orientation.rotate(vector)
    }

    /// Velocity of the origin in the link's frame, m/s.
    pub fn velocity_in_body(&self) -> Vec3 {
        self.to_body(self.velocity)
    }

    /// Angular velocity in the link's frame, rad/s.
    pub fn angular_velocity_in_body(&self) -> Vec3 {
        self.to_body(self.angular_velocity)
    }

    /// The link's z axis in the world's frame; its z is the cosine of the tilt.
    pub fn up(&self) -> Vec3 {
        self.to_world(Vec3::new(0.0, 0.0, 1.0))
    }

    /// The direction of gravity (0, 0, −1) in the link's frame.
    pub fn gravity_in_body(&self) -> Vec3 {
        self.to_body(Vec3::new(0.0, 0.0, -1.0))
    }
}

/// A site: a named point and frame on a link.
#[derive(Clone, Copy)]
pub struct Site {
    /// Position in the world's frame, m.
    pub position: Vec3,
    /// Orientation in the world's frame.
    pub orientation: Quat,
    /// Velocity in the world's frame, m/s.
    pub velocity: Vec3,
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
    frames: Frames,
    action: &'a [Var],
    control_dt: f64,
}

/// Frames and velocities of links, in the world's frame.
struct Frames {
    links: Vec<Link>,
    com: Vec<Vec3>,
}

impl<'a> World<'a> {
    pub(crate) fn new(recording: &Rc<Recording>, episode: &'a Episode, action: &'a [Var]) -> Self {
        Self {
            frames: stage("world", || Frames::of(recording, &episode.physics)),
            recording: Rc::clone(recording),
            episode,
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

    /// A link by its body's name.
    pub fn link(&self, name: &str) -> Link {
        let body = self.recording.model.body_names.id(name);
        self.frames.links[self.recording.or_fault(body, 0)]
    }

    /// A link's centre of mass in the world's frame, m.
    pub fn link_com(&self, name: &str) -> Vec3 {
        let body = self.recording.model.body_names.id(name);
        self.frames.com[self.recording.or_fault(body, 0)]
    }

    /// Centre of mass of a link and everything that hangs on it, in the world's frame, m.
    pub fn subtree_com(&self, name: &str) -> Vec3 {
        let model = &self.recording.model;
        let root = self.recording.or_fault(model.body_names.id(name), 0);
        let mut inside = vec![false; model.nbody];
        let (mut moment, mut mass) = (Vec3::ZERO, Var::ZERO);
        // Parents precede children.
        for body in root..model.nbody {
            inside[body] = body == root || inside[model.body_parentid[body]];
            if inside[body] {
                moment += self.frames.com[body] * self.recording.physics.body_mass[body];
                mass += self.recording.physics.body_mass[body];
            }
        }
        moment * mass.recip()
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

    fn single(&self, name: &str, values: Vec<Var>) -> Var {
        if values.len() != 1 {
            let message = format!("joint `{name}` is no hinge or slide");
            self.recording
                .fault(Error::invalid(message).hint("World::joint gives all of its numbers"));
        }
        values[0]
    }

    /// A site by name.
    pub fn site(&self, name: &str) -> Site {
        let model = &self.recording.model;
        if let Err(error) = model.site_names.id(name) {
            self.recording.fault(error);
            let Link {
                position,
                orientation,
                velocity,
                ..
            } = self.frames.links[0];
            return Site {
                position,
                orientation,
                velocity,
            };
        }
        let id = model.site_names.find(name).expect("checked above");
        let link = self.frames.links[model.site_bodyid[id]];
        let arm = link.to_world(Vec3::constant(model.site_pos[id]));
        Site {
            position: link.position + arm,
            orientation: link.orientation * Quat::constant(model.site_quat[id]),
            velocity: link.velocity + link.angular_velocity.cross(arm),
        }
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
        let none = rigid::Applied::none(&recording.model);
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

    /// A parameter's value as it is when the kernel runs, by its dotted key.
    pub fn param(&self, key: &str) -> Var {
        self.recording.param(key)
    }
}

impl Frames {
    fn of(recording: &Recording, state: &State) -> Self {
        let model = &recording.model;
        let (kinematics, cvel) = rigid::motion(model, &recording.physics, state);
        let link = |body: usize| {
            let offset = kinematics.offset[body];
            Link {
                position: kinematics.xpos(body),
                orientation: kinematics.xquat[body],
                velocity: cvel[body].at(offset),
                angular_velocity: cvel[body].ang,
            }
        };
        let com = |body: usize| {
            kinematics.xpos(body) + kinematics.xmat[body] * recording.physics.body_ipos[body]
        };
        Self {
            links: (0..model.nbody).map(link).collect(),
            com: (0..model.nbody).map(com).collect(),
        }
    }
}

/// What a task sends to the physics in one substep.
pub struct Ctrl {
    recording: Rc<Recording>,
    pub(crate) ctrl: Vec<Var>,
    pub(crate) applied: rigid::Applied,
}

impl Ctrl {
    pub(crate) fn new(recording: &Rc<Recording>) -> Self {
        Self {
            ctrl: vec![Var::from(0.0); recording.model.nu],
            applied: rigid::Applied::none(&recording.model),
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
