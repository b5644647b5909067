//! Sensors (`mj_sensorPos`, `mj_sensorVel`, `mj_sensorAcc`): `sensordata` in MuJoCo's order, with its cut-offs.
//!
//! Noise is not added, as in MuJoCo. A sensor that nobody reads is recorded and then dropped.

use crate::error::{Error, Result};
use crate::math::{Motion, Quat, Vec3};
use crate::model::{Model, Object, Sensor, Tracking};
use crate::trace::{Var, select};

use super::constraint;
use super::external::{PostConstraint, post_constraint};
use super::kinematics::Frame;
use super::parameters::Parameters;
use super::passive;
use super::state::{Applied, State};
use super::subtree::Bodies;
use super::touch::touch;
use super::{Context, Forward, Tree};

/// `[nsensordata]` The output of all sensors at a state, from what [`forward`](super::forward) found there and the
/// applied forces that it was given. Zero where the model's flags switch sensors off.
///
/// # Panics
/// When the model has a sensor that [`check_sensors`] refuses.
pub fn sensordata(
    model: &Model,
    parameters: &Parameters,
    state: &State,
    applied: &Applied,
    forward: &Forward,
) -> Vec<Var> {
    if !model.opt.flags.sensor || model.nsensor == 0 {
        return vec![Var::ZERO; model.nsensordata];
    }
    let bodies = Bodies::new(model, parameters, &forward.kinematics, &forward.cvel);
    let post = post_constraint(&bodies, state, applied, forward);
    let tree = Tree::new(model);
    let senses = Senses {
        cx: Context::new(model, parameters, &tree),
        state,
        forward,
        bodies,
        post,
    };
    let read = |sensor: usize| {
        let mut output = senses.read(sensor);
        debug_assert_eq!(output.len(), model.sensor_dim[sensor]);
        cut(model, sensor, &mut output);
        output
    };
    (0..model.nsensor).flat_map(read).collect()
}

/// Says which of a model's sensors [`sensordata`] cannot compute.
///
/// # Errors
/// A sensor on a camera that does not move with its body.
pub fn check_sensors(model: &Model) -> Result<()> {
    for sensor in 0..model.nsensor {
        let frames = [
            (model.sensor_objtype[sensor], model.sensor_objid[sensor]),
            (model.sensor_reftype[sensor], model.sensor_refid[sensor]),
        ];
        for frame in frames {
            if let (Some(Object::Camera), Some(camera)) = frame
                && model.cam_mode[camera] != Tracking::Fixed
            {
                let what = "a sensor on a camera that tracks is not supported yet";
                let name = model.sensor_names.name(sensor);
                return Err(Error::unsupported(what)
                    .context(format!("sensor {sensor} '{name}'"))
                    .hint("attach it to a site"));
            }
        }
    }
    Ok(())
}

/// Limits a sensor's output to its cut-off: to either side, or from above where it cannot be negative. Unit vectors
/// and quaternions have none.
fn cut(model: &Model, sensor: usize, output: &mut [Var]) {
    let cutoff = model.sensor_cutoff[sensor];
    if cutoff <= 0.0 {
        return;
    }
    for number in output {
        *number = match model.sensor_type[sensor] {
            Sensor::Touch => number.min(cutoff),
            _ => number.clamp(-cutoff, cutoff),
        };
    }
}

/// What sensors read.
struct Senses<'a> {
    cx: Context<'a>,
    state: &'a State,
    forward: &'a Forward,
    bodies: Bodies<'a>,
    post: PostConstraint,
}

/// A frame fixed in a body.
#[derive(Clone, Copy)]
struct Fixture {
    body: usize,
    frame: Frame,
}

impl Senses<'_> {
    fn read(&self, sensor: usize) -> Vec<Var> {
        let model = self.cx.model;
        let kind = model.sensor_type[sensor];
        let Some((object, id)) = model.sensor_objtype[sensor].zip(model.sensor_objid[sensor])
        else {
            return self.of_model(kind);
        };
        match object {
            Object::Joint => self.of_joint(kind, id),
            Object::Actuator => vec![match kind {
                Sensor::ActuatorPos => self.forward.actuator_length(id),
                Sensor::ActuatorVel => self.forward.actuator_velocity(id),
                _ => self.forward.actuator_force[id],
            }],
            _ => match kind {
                Sensor::Touch => vec![touch(&self.bodies, self.forward, id)],
                Sensor::SubtreeCom => self.bodies.subtree_com(id).to_array().to_vec(),
                Sensor::SubtreeLinVel => self.bodies.subtree_linvel(id).to_array().to_vec(),
                Sensor::SubtreeAngMom => self.bodies.subtree_angmom(id).to_array().to_vec(),
                Sensor::FrameQuat => self.orientation(sensor, self.fixture(object, id)),
                _ => self.vector(sensor, self.fixture(object, id)),
            },
        }
    }

    fn of_model(&self, kind: Sensor) -> Vec<Var> {
        vec![match kind {
            Sensor::EnergyPotential => self.potential_energy(),
            Sensor::EnergyKinetic => self.kinetic_energy(),
            _ => self.state.time,
        }]
    }

    fn of_joint(&self, kind: Sensor, joint: usize) -> Vec<Var> {
        let model = self.cx.model;
        let (q, dof) = (model.jnt_qposadr[joint], model.jnt_dofadr[joint]);
        match kind {
            Sensor::BallQuat => self.bodies.at.joint_quat[joint].to_array().to_vec(),
            Sensor::BallAngVel => self.state.qvel[dof..dof + 3].to_vec(),
            Sensor::JointPos => vec![self.state.qpos[q]],
            Sensor::JointVel => vec![self.state.qvel[dof]],
            Sensor::JointActuatorFrc => vec![self.forward.qfrc_actuator[dof]],
            _ => vec![self.limit(kind, joint)],
        }
    }

    /// Distance beyond the margin, velocity or force of a joint's limit where it is in reach, else zero. Where both
    /// limits are, the lower one's.
    fn limit(&self, kind: Sensor, joint: usize) -> Var {
        if !constraint::has_limits(self.cx.model) {
            return Var::ZERO;
        }
        let mut rows = Vec::new();
        constraint::limit(&self.cx, self.bodies.at, self.state, joint, &mut rows);
        let violations = constraint::violations(&self.cx, self.bodies.at, self.state, joint);
        let sides = rows.iter().zip(violations).rev();
        sides.fold(Var::ZERO, |other, (row, (violation, _))| {
            let value = match kind {
                Sensor::JointLimitPos => violation,
                Sensor::JointLimitVel => row.along(&self.state.qvel),
                _ => (row.stiffness * (row.aref - row.along(&self.forward.qacc))).max(0.0),
            };
            select(row.present, value, other)
        })
    }

    fn fixture(&self, object: Object, id: usize) -> Fixture {
        let (model, at, parameters) = (self.cx.model, self.bodies.at, self.cx.parameters);
        match object {
            Object::Geom => Fixture {
                body: model.geom_bodyid[id],
                frame: at.geom(model, parameters, id),
            },
            Object::Site => Fixture {
                body: model.site_bodyid[id],
                frame: at.site(model, parameters, id),
            },
            Object::Camera => {
                assert_eq!(
                    model.cam_mode[id],
                    Tracking::Fixed,
                    "check_sensors refuses cameras that track"
                );
                let body = model.cam_bodyid[id];
                let quat = Quat::constant(model.cam_quat[id]);
                Fixture {
                    body,
                    frame: at.frame(body, Vec3::constant(model.cam_pos[id]), quat),
                }
            }
            Object::XBody => Fixture {
                body: id,
                frame: Frame {
                    offset: at.offset[id],
                    pos: at.xpos(id),
                    mat: at.xmat[id],
                    quat: at.xquat[id],
                },
            },
            _ => Fixture {
                body: id,
                frame: at.inertial(parameters, id),
            },
        }
    }

    /// The frame that a sensor is relative to; none for the world's.
    fn reference(&self, sensor: usize) -> Option<Fixture> {
        let model = self.cx.model;
        let (kind, id) = model.sensor_reftype[sensor].zip(model.sensor_refid[sensor])?;
        Some(self.fixture(kind, id))
    }

    fn orientation(&self, sensor: usize, of: Fixture) -> Vec<Var> {
        let quat = match self.reference(sensor) {
            Some(reference) => reference.frame.quat.conj() * of.frame.quat,
            None => of.frame.quat,
        };
        quat.to_array().to_vec()
    }

    /// What has three components: in the fixture's own axes for what is mounted on a site, else in the world's or the
    /// reference's.
    fn vector(&self, sensor: usize, of: Fixture) -> Vec<Var> {
        let Fixture { body, frame } = of;
        let model = self.cx.model;
        let own = |v: Vec3| frame.mat.transposed_mul(v);
        let reference = self.reference(sensor);
        let seen = |v: Vec3| match reference {
            Some(reference) => reference.frame.mat.transposed_mul(v),
            None => v,
        };
        let vector = match model.sensor_type[sensor] {
            Sensor::Magnetometer => own(Vec3::constant(model.opt.magnetic)),
            Sensor::Velocimeter => own(self.velocity(of).lin),
            Sensor::Gyro => own(self.velocity(of).ang),
            Sensor::Accelerometer => own(self.acceleration(of).lin),
            Sensor::Force => own(self.post.cfrc_int[body].lin),
            Sensor::Torque => {
                let wrench = self.post.cfrc_int[body];
                own(wrench.ang - frame.offset.cross(wrench.lin))
            }
            Sensor::FramePos => match reference {
                Some(reference) => seen(self.arm(reference, of)),
                None => frame.pos,
            },
            Sensor::FrameXAxis => seen(frame.mat.x),
            Sensor::FrameYAxis => seen(frame.mat.y),
            Sensor::FrameZAxis => seen(frame.mat.z),
            Sensor::FrameLinVel => seen(self.relative_velocity(reference, of).lin),
            Sensor::FrameAngVel => seen(self.relative_velocity(reference, of).ang),
            Sensor::FrameLinAcc => self.acceleration(of).lin,
            Sensor::FrameAngAcc => self.acceleration(of).ang,
            kind => unreachable!("{} has no frame", kind.keyword()),
        };
        vector.to_array().to_vec()
    }

    /// From one frame to another, world axes.
    fn arm(&self, from: Fixture, to: Fixture) -> Vec3 {
        to.frame.offset + self.bodies.between(to.body, from.body) - from.frame.offset
    }

    /// Velocity of a frame, world axes.
    fn velocity(&self, of: Fixture) -> Motion {
        let velocity = self.bodies.velocity(of.body);
        Motion {
            lin: velocity.at(of.frame.offset),
            ..velocity
        }
    }

    /// Velocity as seen from a reference frame, which may turn, in world axes: `v − v₀ − ω₀ × r`, `ω − ω₀`.
    fn relative_velocity(&self, reference: Option<Fixture>, of: Fixture) -> Motion {
        let velocity = self.velocity(of);
        let Some(reference) = reference else {
            return velocity;
        };
        let base = self.velocity(reference);
        let carried = Motion {
            lin: base.lin + base.ang.cross(self.arm(reference, of)),
            ..base
        };
        velocity - carried
    }

    /// Acceleration of a frame, gravity included, world axes. The linear part is that of the frame's point, which moves
    /// on: the body's field of accelerations there, and `ω ×` its velocity. What is fixed in the world senses nothing,
    /// not even gravity, as in MuJoCo.
    fn acceleration(&self, of: Fixture) -> Motion {
        if self.cx.model.body_weldid[of.body] == 0 {
            return Motion::ZERO;
        }
        let (field, velocity) = (self.post.cacc[of.body], self.velocity(of));
        Motion {
            lin: field.at(of.frame.offset) + velocity.ang.cross(velocity.lin),
            ..field
        }
    }

    /// Height of the masses, `−m g · x`, and stretch of the joints' springs, `½ k |s|²`, J.
    fn potential_energy(&self) -> Var {
        let (model, parameters) = (self.cx.model, self.cx.parameters);
        let mut energy = Var::ZERO;
        if model.opt.flags.gravity {
            for body in 1..model.nbody {
                let com = self.bodies.at.origin[body] + self.bodies.com_offset(body);
                energy -= parameters.body_mass[body] * parameters.gravity.dot(com);
            }
        }
        if model.opt.flags.spring {
            for joint in 0..model.njnt {
                let stiffness = parameters.jnt_stiffness[joint];
                if !stiffness.is_zero() {
                    let stretch = passive::stretch(&self.cx, self.bodies.at, self.state, joint);
                    let squared: Var = stretch.into_iter().map(Var::square).sum();
                    energy += 0.5 * stiffness * squared;
                }
            }
        }
        energy
    }

    /// `½ q̇ᵀ M q̇`, J.
    fn kinetic_energy(&self) -> Var {
        let (model, parameters) = (self.cx.model, self.cx.parameters);
        let mut double = Var::ZERO;
        for body in 1..model.nbody {
            let spin = self.bodies.velocity(body).ang;
            let drift = self.bodies.com_velocity(body).norm_squared();
            double += parameters.body_mass[body] * drift;
            double += spin.dot(self.bodies.central(body) * spin);
        }
        for (dof, speed) in self.state.qvel.iter().enumerate() {
            double += parameters.dof_armature[dof] * speed.square();
        }
        0.5 * double
    }
}
