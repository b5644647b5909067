//! How an episode begins: positions and velocities by joint name, with random perturbations.

use std::rc::Rc;

use super::recording::Recording;
use crate::error::Error;
use crate::math::{Quat, Rng, Vec3};
use crate::rigid::State;
use crate::trace::{Mask, Var};

/// The state in which an episode begins; at first the model's reference configuration `qpos0`, at rest, with the equality
/// constraints that it says.
pub struct Init {
    recording: Rc<Recording>,
    pub(crate) state: State,
}

impl Init {
    pub(crate) fn new(recording: &Rc<Recording>) -> Self {
        let (model, physics) = (&recording.model, &recording.physics);
        let mocap = || (0..model.nbody).filter(|&body| model.body_mocapid[body].is_some());
        Self {
            state: State {
                qpos: physics.qpos0.clone(),
                mocap_pos: mocap().map(|body| physics.body_pos[body]).collect(),
                mocap_quat: mocap().map(|body| physics.body_quat[body]).collect(),
                ..State::initial(model)
            },
            recording: Rc::clone(recording),
        }
    }

    /// Starts from a keyframe of the model: its positions, velocities and activations, and where it puts mocap bodies.
    pub fn keyframe(&mut self, name: &str) {
        let model = &self.recording.model;
        match model.key_names.id(name) {
            Ok(id) => {
                let values =
                    |numbers: &[f64]| numbers.iter().map(|number| Var::from(*number)).collect();
                self.state.qpos = values(&model.key_qpos[id]);
                self.state.qvel = values(&model.key_qvel[id]);
                self.state.act = values(&model.key_act[id]);
                let (mpos, mquat) = (&model.key_mpos[id], &model.key_mquat[id]);
                self.state.mocap_pos = mpos.iter().map(|&pos| Vec3::constant(pos)).collect();
                self.state.mocap_quat = mquat.iter().map(|&quat| Quat::constant(quat)).collect();
            }
            Err(error) => self.recording.fault(error),
        }
    }

    /// `[nq]` Generalized coordinates.
    pub fn qpos(&self) -> &[Var] {
        &self.state.qpos
    }

    /// `[nv]` Generalized velocities.
    pub fn qvel(&self) -> &[Var] {
        &self.state.qvel
    }

    /// A joint's share of `qpos`.
    pub fn position(&self, joint: &str) -> Vec<Var> {
        let model = &self.recording.model;
        match model.jnt_names.id(joint) {
            Ok(id) => self.state.qpos[model.joint_qpos(id)].to_vec(),
            Err(error) => {
                self.recording.fault(error);
                Vec::new()
            }
        }
    }

    /// Sets a joint's share of `qpos`: 1 number for a hinge or slide, a quaternion, or position and quaternion.
    pub fn set_position(&mut self, joint: &str, values: impl AsRef<[Var]>) {
        let model = Rc::clone(&self.recording);
        match model.model.jnt_names.id(joint) {
            Ok(id) => {
                let range = model.model.joint_qpos(id);
                self.assign(joint, values.as_ref(), range.len(), |state| {
                    &mut state.qpos[range]
                });
            }
            Err(error) => self.recording.fault(error),
        }
    }

    /// Sets a joint's share of `qvel`: 1, 3 or 6 numbers.
    pub fn set_velocity(&mut self, joint: &str, values: impl AsRef<[Var]>) {
        let model = Rc::clone(&self.recording);
        match model.model.jnt_names.id(joint) {
            Ok(id) => {
                let range = model.model.joint_dofs(id);
                self.assign(joint, values.as_ref(), range.len(), |state| {
                    &mut state.qvel[range]
                });
            }
            Err(error) => self.recording.fault(error),
        }
    }

    fn assign(
        &mut self,
        joint: &str,
        values: &[Var],
        dim: usize,
        target: impl FnOnce(&mut State) -> &mut [Var],
    ) {
        if values.len() == dim {
            target(&mut self.state).copy_from_slice(values);
        } else {
            let message = format!(
                "joint `{joint}` gets {} numbers and has {dim}",
                values.len()
            );
            self.recording.fault(Error::invalid(message));
        }
    }

    /// Switches an equality constraint of the model on or off (`eq_active`) for the beginning of the episode.
    pub fn set_eq_active(&mut self, equality: &str, active: impl Into<Mask>) {
        if let Some(id) = self.recording.equality(equality) {
            self.state.eq_active[id] = active.into();
        }
    }

    /// Adds to every number of `qpos` and `qvel` a value drawn uniformly from ±`amount`: gymnasium's reset noise.
    ///
    /// Quaternions are perturbed number by number; the first kinematics normalizes them, as MuJoCo does.
    pub fn perturb(&mut self, rng: &mut Rng, amount: impl Into<Var>) {
        let amount = amount.into();
        self.perturb_qpos(rng, -amount, amount);
        self.perturb_qvel(rng, -amount, amount);
    }

    /// Adds to every number of `qpos` a value drawn uniformly from [low, high).
    pub fn perturb_qpos(&mut self, rng: &mut Rng, low: impl Into<Var>, high: impl Into<Var>) {
        let (low, high) = (low.into(), high.into());
        for value in &mut self.state.qpos {
            *value += rng.range(low, high);
        }
    }

    /// Adds to every number of `qvel` a value drawn uniformly from [low, high).
    pub fn perturb_qvel(&mut self, rng: &mut Rng, low: impl Into<Var>, high: impl Into<Var>) {
        let (low, high) = (low.into(), high.into());
        for value in &mut self.state.qvel {
            *value += rng.range(low, high);
        }
    }

    /// Range of a limited joint (`jnt_range`).
    pub fn limits(&self, joint: &str) -> [Var; 2] {
        let recording = &self.recording;
        match recording.model.jnt_names.id(joint) {
            Ok(id) => recording.physics.jnt_range[id],
            Err(error) => {
                recording.fault(error);
                [Var::ZERO; 2]
            }
        }
    }

    /// Puts every limited hinge and slide anywhere in its range, uniformly.
    pub fn spread_limited_joints(&mut self, rng: &mut Rng) {
        let model = &self.recording.model;
        for joint in 0..model.njnt {
            if model.jnt_limited[joint] && model.joint_dofs(joint).len() == 1 {
                let [low, high] = self.recording.physics.jnt_range[joint];
                self.state.qpos[model.jnt_qposadr[joint]] = rng.range(low, high);
            }
        }
    }

    /// Adds Gaussian noise of this standard deviation to every number of `qvel`.
    pub fn perturb_qvel_normal(&mut self, rng: &mut Rng, deviation: impl Into<Var>) {
        let deviation = deviation.into();
        for value in &mut self.state.qvel {
            *value += deviation * rng.normal();
        }
    }

    /// A parameter's value as it is when the kernel runs, by its dotted key.
    pub fn param(&self, key: &str) -> Var {
        self.recording.param(key)
    }
}
