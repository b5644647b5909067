//! A world at one instant: frames and velocities by name, and MuJoCo's per-body arrays.
//!
//! Positions and velocities need the state only. What needs forces (`qfrc_actuator`) is that of the inputs that the
//! moment was given; none act without.

use std::rc::Rc;

use super::recording::Recording;
use super::world::Past;
use crate::math::{Force, Inertia, Motion, Quat, Vec3};
use crate::rigid::{self, Applied, Forces, Forward, State};
use crate::trace::{Var, stage};

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

/// One world at one instant.
pub struct Moment {
    recording: Rc<Recording>,
    state: State,
    applied: Applied,
    /// What follows from the state and the inputs, where the model has sensors, which may ask.
    forward: Option<Box<Forward>>,
    /// The forces that a step found in this state; zero where none did.
    forces: Forces,
    /// `[nbody]` Origins of the bodies' trees, which `forces` are about.
    origin: Vec<Vec3>,
    /// `[nbody]`
    links: Vec<Link>,
    /// `[nbody]` Centres of mass, world frame.
    com: Vec<Vec3>,
}

impl Moment {
    pub(crate) fn new(recording: &Rc<Recording>, state: &State) -> Self {
        stage("world", || {
            let (model, parameters) = (&recording.model, &recording.physics);
            let (kinematics, cvel) = rigid::motion(model, parameters, state);
            let link = |body: usize| Link {
                position: kinematics.xpos(body),
                orientation: kinematics.xquat[body],
                velocity: cvel[body].at(kinematics.offset[body]),
                angular_velocity: cvel[body].ang,
            };
            Self {
                links: (0..model.nbody).map(link).collect(),
                com: (0..model.nbody)
                    .map(|body| kinematics.inertial(parameters, body).pos)
                    .collect(),
                applied: Applied::none(model),
                forward: None,
                forces: Forces::none(model),
                origin: kinematics.origin.clone(),
                state: state.clone(),
                recording: Rc::clone(recording),
            }
        })
    }

    /// The same under the controls and applied forces of the last substep.
    pub(crate) fn with_inputs(mut self, past: &Past) -> Self {
        self.applied = past.applied.clone();
        let (model, physics) = (&self.recording.model, &self.recording.physics);
        if model.nsensor > 0 {
            // Recorded here, once, whoever asks: a solver that is recorded twice runs twice. It is dropped if nobody does.
            let forward = rigid::forward(model, physics, &self.state, &past.ctrl, &past.applied);
            self.forward = Some(Box::new(forward));
        }
        self
    }

    /// The same with the forces that the step found, which was in this state when it evaluated them last.
    pub(crate) fn with_forces(self, past: &Past) -> Self {
        Self {
            forces: past.forces.clone(),
            ..self
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

    /// A link by its body's name.
    pub fn link(&self, name: &str) -> Link {
        self.links[self.body(name)]
    }

    /// A link's centre of mass in the world's frame, m.
    pub fn link_com(&self, name: &str) -> Vec3 {
        self.com[self.body(name)]
    }

    /// Centre of mass of a link and everything that hangs on it, in the world's frame, m.
    pub fn subtree_com(&self, name: &str) -> Vec3 {
        self.subtree_mean(self.body(name), |body| self.com[body])
    }

    /// Velocity of [`Moment::subtree_com`], m/s (MuJoCo's sensor `subtreelinvel`).
    pub fn subtree_velocity(&self, name: &str) -> Vec3 {
        self.subtree_mean(self.body(name), |body| {
            self.velocity_at(body, self.com[body])
        })
    }

    /// A site by name.
    pub fn site(&self, name: &str) -> Site {
        let model = &self.recording.model;
        let Some(id) = model.site_names.find(name) else {
            let missing = model.site_names.id(name).map(|_| ());
            self.recording.or_fault(missing, ());
            let Link {
                position,
                orientation,
                velocity,
                ..
            } = self.links[0];
            return Site {
                position,
                orientation,
                velocity,
            };
        };
        let link = self.links[model.site_bodyid[id]];
        let physics = &self.recording.physics;
        let arm = link.to_world(physics.site_pos[id]);
        Site {
            position: link.position + arm,
            orientation: link.orientation * physics.site_quat[id],
            velocity: link.velocity + link.angular_velocity.cross(arm),
        }
    }

    /// `[nbody]` Inertia of each body about the centre of mass of its kinematic tree, world axes, as MuJoCo lists it:
    /// `xx yy zz xy xz yz`, mass times offset, mass. Zero for the world.
    pub fn cinert(&self) -> Vec<[Var; 10]> {
        let physics = &self.recording.physics;
        self.about_tree_com(|body, center| {
            let axes = (self.links[body].orientation * physics.body_iquat[body]).to_mat();
            let central = physics.central_inertia(body).rotated(axes);
            let Inertia { mass, moment, rot } =
                Inertia::new(physics.body_mass[body], self.com[body] - center, central);
            let ([xx, yy, zz], [x, y, z]) = (rot.diagonal.to_array(), moment.to_array());
            [xx, yy, zz, rot.xy, rot.xz, rot.yz, x, y, z, mass]
        })
    }

    /// `[nbody]` Velocity of each body: angular, and linear of the point of it that is at the centre of mass of its
    /// kinematic tree, world axes. Zero for the world.
    pub fn cvel(&self) -> Vec<Motion> {
        self.about_tree_com(|body, center| {
            let velocity = self.velocity_at(body, center);
            Motion::new(self.links[body].angular_velocity, velocity)
        })
    }

    /// `[nv]` Generalized forces of the actuators. Zero where an episode begins.
    pub fn qfrc_actuator(&self) -> &[Var] {
        &self.forces.qfrc_actuator
    }

    /// `[nbody]` External wrench on each body, from contacts and applied forces: torque about the centre of mass of its
    /// kinematic tree, and force, world axes (`cfrc_ext`). Zero for the world, and where an episode begins.
    pub fn cfrc_ext(&self) -> Vec<Force> {
        self.about_tree_com(|body, center| {
            if body == 0 {
                return Force::ZERO;
            }
            let Force { ang, lin } = self.applied.xfrc[body];
            let applied = Force::acting_at(self.com[body] - center, ang, lin);
            applied + self.forces.contact[body].about(center - self.origin[body])
        })
    }

    /// Wrench of the contacts on a link: torque about the origin of its frame, and force, in its frame's axes. Zero where
    /// an episode begins.
    pub fn contact_wrench(&self, name: &str) -> Force {
        let body = self.body(name);
        let link = &self.links[body];
        let offset = link.position - self.origin[body];
        let Force { ang, lin } = self.forces.contact[body].about(offset);
        Force::new(link.to_body(ang), link.to_body(lin))
    }

    /// Output of a sensor by name, as many numbers as it has (`sensordata`), cut off as the model says.
    ///
    /// What sensors of forces and accelerations give follows from the inputs of this moment, also where an episode
    /// begins: no controls and no applied forces then.
    pub fn sensor(&self, name: &str) -> Vec<Var> {
        let (model, physics) = (&self.recording.model, &self.recording.physics);
        let sensor = rigid::check_sensors(model).and_then(|()| model.sensor_names.id(name));
        let (sensor, forward) = match (sensor, &self.forward) {
            (Ok(sensor), Some(forward)) => (sensor, forward),
            (sensor, _) => {
                self.recording.or_fault(sensor, 0);
                return vec![Var::ZERO];
            }
        };
        let data = stage("sensors", || {
            rigid::sensordata(model, physics, &self.state, &self.applied, forward)
        });
        let first = model.sensor_adr[sensor];
        data[first..first + model.sensor_dim[sensor]].to_vec()
    }

    fn body(&self, name: &str) -> usize {
        let recording = &self.recording;
        recording.or_fault(recording.model.body_names.id(name), 0)
    }

    /// Velocity of the point of a body that is at a place in the world, m/s.
    fn velocity_at(&self, body: usize, place: Vec3) -> Vec3 {
        let link = &self.links[body];
        link.velocity + link.angular_velocity.cross(place - link.position)
    }

    /// `[nbody]` Values of bodies that are expressed about the centre of mass of their kinematic tree; the world, which
    /// is not part of one, is its own.
    fn about_tree_com<T>(&self, value: impl Fn(usize, Vec3) -> T) -> Vec<T> {
        let model = &self.recording.model;
        let mut centers: Vec<Vec3> = Vec::with_capacity(model.nbody);
        for body in 0..model.nbody {
            let root = model.body_rootid[body];
            centers.push(match root {
                0 => Vec3::ZERO,
                root if root == body => self.subtree_mean(root, |body| self.com[body]),
                root => centers[root],
            });
        }
        (0..model.nbody)
            .map(|body| value(body, centers[body]))
            .collect()
    }

    /// Mean over a body and everything that hangs on it, by mass.
    fn subtree_mean(&self, root: usize, value: impl Fn(usize) -> Vec3) -> Vec3 {
        let (model, masses) = (&self.recording.model, &self.recording.physics.body_mass);
        let mut inside = vec![false; model.nbody];
        let (mut sum, mut mass) = (Vec3::ZERO, Var::ZERO);
        // Parents precede children.
        for body in root..model.nbody {
            inside[body] = body == root || inside[model.body_parentid[body]];
            if inside[body] {
                sum += value(body) * masses[body];
                mass += masses[body];
            }
        }
        sum * mass.recip()
    }
}
