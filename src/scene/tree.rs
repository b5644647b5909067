//! The kinematic tree as the user says it: bodies with joints, geoms, sites, cameras and lights.
//!
//! Lengths are metres, angles radians, orientations quaternions. Each element has a constructor
//! that needs only what has no default, and methods that change one thing and return the element,
//! so that a tree reads like the MJCF it stands for:
//!
//! ```
//! use manyworlds::scene::{Body, Geom, Joint, Scene};
//! let mut scene = Scene::new("pendulum");
//! scene.world.add(
//!     Body::new("pole")
//!         .at([0.0, 0.0, 1.0])
//!         .joint(Joint::hinge("hinge").axis([0.0, 1.0, 0.0]))
//!         .geom(Geom::capsule(0.02, 0.25).at([0.0, 0.0, -0.25]).mass(1.0)),
//! );
//! ```

use super::kinds;
use super::pose::{self, Pose, UNIT};
use super::{Geom, Limited, Place, Site};

/// The default constraint reference: time constant 0.02 s, damping ratio 1.
pub const SOLREF: [f64; 2] = [0.02, 1.0];
/// The default constraint impedance.
pub const SOLIMP: [f64; 5] = [0.9, 0.95, 0.001, 0.5, 2.0];

/// A body and everything in it.
#[derive(Clone, Debug, PartialEq)]
pub struct Body {
    /// Name; may be empty.
    pub name: String,
    /// Where it was said.
    pub place: Place,
    /// Which of [`Scene::compilers`](super::Scene::compilers) holds for its inertia.
    pub compiler: usize,
    /// Placement in the parent's frame.
    pub pose: Pose,
    /// Mass and inertia, where the user gives them.
    pub inertial: Option<Inertial>,
    /// Anti-gravity force in units of body weight.
    pub gravcomp: f64,
    /// Whether it is a static child of the world, moved by the user.
    pub mocap: bool,
    /// Whether MuJoCo may use its shortcut for bodies with a diagonal inertia.
    pub simple: bool,
    /// Joints, in order.
    pub joints: Vec<Joint>,
    /// Geoms.
    pub geoms: Vec<Geom>,
    /// Sites.
    pub sites: Vec<Site>,
    /// Cameras.
    pub cameras: Vec<Camera>,
    /// Lights.
    pub lights: Vec<Light>,
    /// Child bodies.
    pub bodies: Vec<Body>,
}

impl Body {
    /// A massless body at its parent's origin.
    #[track_caller]
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            place: Place::here(),
            compiler: 0,
            pose: Pose::default(),
            inertial: None,
            gravcomp: 0.0,
            mocap: false,
            simple: true,
            joints: Vec::new(),
            geoms: Vec::new(),
            sites: Vec::new(),
            cameras: Vec::new(),
            lights: Vec::new(),
            bodies: Vec::new(),
        }
    }

    /// Moves it to a position in the parent's frame.
    #[must_use]
    pub fn at(mut self, pos: [f64; 3]) -> Self {
        self.pose.pos = pos;
        self
    }

    /// Turns it in the parent's frame.
    #[must_use]
    pub fn turned(mut self, quat: [f64; 4]) -> Self {
        self.pose.quat = quat;
        self
    }

    /// Gives it a mass and inertia of its own, which replace those of its geoms.
    #[must_use]
    pub fn inertial(mut self, inertial: Inertial) -> Self {
        self.inertial = Some(inertial);
        self
    }

    /// Adds a joint.
    #[must_use]
    pub fn joint(mut self, joint: Joint) -> Self {
        self.joints.push(joint);
        self
    }

    /// Adds a geom.
    #[must_use]
    pub fn geom(mut self, geom: Geom) -> Self {
        self.geoms.push(geom);
        self
    }

    /// Adds a site.
    #[must_use]
    pub fn site(mut self, site: Site) -> Self {
        self.sites.push(site);
        self
    }

    /// Adds a child body.
    #[must_use]
    pub fn body(mut self, body: Body) -> Self {
        self.bodies.push(body);
        self
    }

    /// Adds a child body to one that is already placed, and returns it.
    pub fn add(&mut self, body: Body) -> &mut Body {
        self.bodies.push(body);
        self.bodies.last_mut().expect("a body was just added")
    }

    /// Moves the contents of another body into this one, through a frame in it.
    pub(crate) fn absorb(&mut self, from: Body, frame: &Pose) {
        self.joints.extend(from.joints.into_iter().map(|mut joint| {
            joint.pos = frame.point(joint.pos);
            joint.axis = pose::rotate(frame.quat, joint.axis);
            joint
        }));
        self.geoms.extend(from.geoms.into_iter().map(|mut geom| {
            geom.pose = frame.then(&geom.pose);
            geom
        }));
        self.sites.extend(from.sites.into_iter().map(|mut site| {
            site.pose = frame.then(&site.pose);
            site
        }));
        self.cameras
            .extend(from.cameras.into_iter().map(|mut camera| {
                camera.pose = frame.then(&camera.pose);
                camera
            }));
        self.lights.extend(from.lights.into_iter().map(|mut light| {
            light.pos = frame.point(light.pos);
            light.dir = pose::rotate(frame.quat, light.dir);
            light
        }));
        self.bodies.extend(from.bodies.into_iter().map(|mut body| {
            body.pose = frame.then(&body.pose);
            body
        }));
    }
}

/// The mass and inertia of a body, in place of its geoms'.
#[derive(Clone, Debug, PartialEq)]
pub struct Inertial {
    /// Centre of mass and principal axes in the body's frame.
    pub pose: Pose,
    /// Mass, kg.
    pub mass: f64,
    /// Inertia about the centre of mass, kg·m².
    pub inertia: Inertia,
}

/// How an inertia is given.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Inertia {
    /// Principal moments, about the axes of the inertial frame.
    Diagonal([f64; 3]),
    /// Ixx, Iyy, Izz, Ixy, Ixz, Iyz about the body's axes; replaces the inertial frame's orientation.
    Full([f64; 6]),
}

/// A joint between a body and its parent.
#[derive(Clone, Debug, PartialEq)]
pub struct Joint {
    /// Name; may be empty.
    pub name: String,
    /// Where it was said.
    pub place: Place,
    /// What it lets the body do.
    pub kind: kinds::Joint,
    /// Group for visibility.
    pub group: i32,
    /// Anchor in the body's frame, m.
    pub pos: [f64; 3],
    /// Axis in the body's frame; normalized on compiling.
    pub axis: [f64; 3],
    /// Time constant and damping ratio that stand for stiffness and damping, where both are positive.
    pub springdamper: [f64; 2],
    /// Whether `range` holds.
    pub limited: Limited,
    /// Limits, m or rad; a ball joint's second number is its largest angle.
    pub range: [f64; 2],
    /// Whether `actuatorfrcrange` holds.
    pub actuatorfrclimited: Limited,
    /// Range of the total actuator force, N or N·m.
    pub actuatorfrcrange: [f64; 2],
    /// Whether gravity compensation counts as an actuator force.
    pub actuatorgravcomp: bool,
    /// Whether a lone free body's frame is moved to its inertial frame.
    pub align: Limited,
    /// Limit constraint's reference.
    pub solreflimit: [f64; 2],
    /// Limit constraint's impedance.
    pub solimplimit: [f64; 5],
    /// Friction constraint's reference.
    pub solreffriction: [f64; 2],
    /// Friction constraint's impedance.
    pub solimpfriction: [f64; 5],
    /// Stiffness, N/m or N·m/rad.
    pub stiffness: f64,
    /// Distance at which a limit becomes active, m or rad.
    pub margin: f64,
    /// Value of `qpos` in the configuration that the tree describes, m or rad.
    pub reference: f64,
    /// Value of `qpos` at which the spring is at rest, m or rad.
    pub springref: f64,
    /// Reflected inertia, kg or kg·m².
    pub armature: f64,
    /// Damping, N·s/m or N·m·s/rad.
    pub damping: f64,
    /// Dry friction, N or N·m.
    pub frictionloss: f64,
}

impl Joint {
    /// A joint of some kind, with MuJoCo's defaults.
    #[track_caller]
    pub fn new(name: impl Into<String>, kind: kinds::Joint) -> Self {
        Self {
            name: name.into(),
            place: Place::here(),
            kind,
            group: 0,
            pos: [0.0; 3],
            axis: [0.0, 0.0, 1.0],
            springdamper: [0.0; 2],
            limited: Limited::Auto,
            range: [0.0; 2],
            actuatorfrclimited: Limited::Auto,
            actuatorfrcrange: [0.0; 2],
            actuatorgravcomp: false,
            align: Limited::Auto,
            solreflimit: SOLREF,
            solimplimit: SOLIMP,
            solreffriction: SOLREF,
            solimpfriction: SOLIMP,
            stiffness: 0.0,
            margin: 0.0,
            reference: 0.0,
            springref: 0.0,
            armature: 0.0,
            damping: 0.0,
            frictionloss: 0.0,
        }
    }

    /// A hinge about Z.
    #[track_caller]
    pub fn hinge(name: impl Into<String>) -> Self {
        Self::new(name, kinds::Joint::Hinge)
    }

    /// A slide along Z.
    #[track_caller]
    pub fn slide(name: impl Into<String>) -> Self {
        Self::new(name, kinds::Joint::Slide)
    }

    /// A ball joint.
    #[track_caller]
    pub fn ball(name: impl Into<String>) -> Self {
        Self::new(name, kinds::Joint::Ball)
    }

    /// A free joint, for children of the world.
    #[track_caller]
    pub fn free(name: impl Into<String>) -> Self {
        Self::new(name, kinds::Joint::Free)
    }

    /// Sets the axis, in the body's frame.
    #[must_use]
    pub fn axis(mut self, axis: [f64; 3]) -> Self {
        self.axis = axis;
        self
    }

    /// Limits the joint, m or rad.
    #[must_use]
    pub fn range(mut self, range: [f64; 2]) -> Self {
        (self.range, self.limited) = (range, Limited::True);
        self
    }

    /// Sets the damping.
    #[must_use]
    pub fn damping(mut self, damping: f64) -> Self {
        self.damping = damping;
        self
    }

    /// Sets the reflected inertia.
    #[must_use]
    pub fn armature(mut self, armature: f64) -> Self {
        self.armature = armature;
        self
    }
}

/// A camera on a body.
#[derive(Clone, Debug, PartialEq)]
pub struct Camera {
    /// Name; may be empty.
    pub name: String,
    /// Where it was said.
    pub place: Place,
    /// Placement in the body's frame; it looks along −Z, with Y up.
    pub pose: Pose,
    /// How it follows its body.
    pub mode: kinds::Tracking,
    /// Name of the body that it looks at; may be empty.
    pub target: String,
    /// Vertical field of view, degrees.
    pub fovy: f64,
}

impl Camera {
    /// A camera at the body's origin.
    #[track_caller]
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            place: Place::here(),
            pose: Pose::default(),
            mode: kinds::Tracking::Fixed,
            target: String::new(),
            fovy: 45.0,
        }
    }
}

/// A light on a body.
#[derive(Clone, Debug, PartialEq)]
pub struct Light {
    /// Name; may be empty.
    pub name: String,
    /// Where it was said.
    pub place: Place,
    /// Position in the body's frame, m.
    pub pos: [f64; 3],
    /// Direction in the body's frame; normalized on compiling.
    pub dir: [f64; 3],
    /// How it follows its body.
    pub mode: kinds::Tracking,
    /// Name of the body that it points at; may be empty.
    pub target: String,
    /// Whether its rays are parallel.
    pub directional: bool,
    /// Diffuse colour.
    pub diffuse: [f32; 3],
}

impl Light {
    /// A light that shines down from the body's origin.
    #[track_caller]
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            place: Place::here(),
            pos: [0.0; 3],
            dir: [0.0, 0.0, -1.0],
            mode: kinds::Tracking::Fixed,
            target: String::new(),
            directional: false,
            diffuse: [0.7; 3],
        }
    }
}

impl Inertial {
    /// A mass at a point of the body, with principal moments about the body's axes.
    pub fn new(mass: f64, pos: [f64; 3], diagonal: [f64; 3]) -> Self {
        Self {
            pose: Pose { pos, quat: UNIT },
            mass,
            inertia: Inertia::Diagonal(diagonal),
        }
    }
}
