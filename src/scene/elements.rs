//! What stands outside the tree and refers to it by name: actuators, sensors, contacts, equalities, keyframes.

use super::kinds;
use super::tree::{SOLIMP, SOLREF};
use super::{Limited, Place, Pose};

/// A force on a joint, commanded by a control.
#[derive(Clone, Debug, PartialEq)]
pub struct Actuator {
    /// Name; may be empty.
    pub name: String,
    /// Where it was said.
    pub place: Place,
    /// What it acts on.
    pub transmission: kinds::Transmission,
    /// Name of the joint.
    pub target: String,
    /// Group; [`Options::disableactuator`](super::Options::disableactuator) switches groups off.
    pub group: i32,
    /// Activation dynamics.
    pub dynamics: kinds::Dynamics,
    /// Gain.
    pub gain: kinds::Gain,
    /// Bias.
    pub bias: kinds::Bias,
    /// Dynamics parameters.
    pub dynprm: [f64; 10],
    /// Gain parameters.
    pub gainprm: [f64; 10],
    /// Bias parameters. A positive third number where the gain is minus the second is a damping
    /// ratio, and becomes a damping on compiling, as in MuJoCo.
    pub biasprm: [f64; 10],
    /// Scale of length and transmitted force.
    pub gear: [f64; 6],
    /// Whether `ctrlrange` holds.
    pub ctrllimited: Limited,
    /// Range of the control.
    pub ctrlrange: [f64; 2],
    /// Whether `forcerange` holds.
    pub forcelimited: Limited,
    /// Range of the force, N or N·m.
    pub forcerange: [f64; 2],
    /// Whether `actrange` holds.
    pub actlimited: Limited,
    /// Range of the activation.
    pub actrange: [f64; 2],
    /// Number of activations, where the user gives it.
    pub actdim: Option<usize>,
    /// Whether the force uses the next activation.
    pub actearly: bool,
    /// Width of the range taken from the joint, as a fraction of the joint's; 0: none.
    pub inheritrange: f64,
}

impl Actuator {
    /// MuJoCo's default actuator on a joint: unit gain, no bias, no activation.
    #[track_caller]
    pub fn new(name: impl Into<String>, joint: impl Into<String>) -> Self {
        let first = |value: f64| {
            let mut all = [0.0; 10];
            all[0] = value;
            all
        };
        Self {
            name: name.into(),
            place: Place::here(),
            transmission: kinds::Transmission::Joint,
            target: joint.into(),
            group: 0,
            dynamics: kinds::Dynamics::None,
            gain: kinds::Gain::Fixed,
            bias: kinds::Bias::None,
            dynprm: first(1.0),
            gainprm: first(1.0),
            biasprm: [0.0; 10],
            gear: [1.0, 0.0, 0.0, 0.0, 0.0, 0.0],
            ctrllimited: Limited::Auto,
            ctrlrange: [0.0; 2],
            forcelimited: Limited::Auto,
            forcerange: [0.0; 2],
            actlimited: Limited::Auto,
            actrange: [0.0; 2],
            actdim: None,
            actearly: false,
            inheritrange: 0.0,
        }
    }

    /// A motor: the control is the force.
    #[track_caller]
    pub fn motor(name: impl Into<String>, joint: impl Into<String>) -> Self {
        Self::new(name, joint)
    }

    /// A position servo with damping: force `kp (ctrl − length) − kv velocity`.
    #[track_caller]
    pub fn position(name: impl Into<String>, joint: impl Into<String>, kp: f64, kv: f64) -> Self {
        let mut servo = Self::new(name, joint);
        servo.bias = kinds::Bias::Affine;
        servo.gainprm[0] = kp;
        servo.biasprm[1] = -kp;
        servo.biasprm[2] = -kv;
        servo
    }

    /// A velocity servo: force `kv (ctrl − velocity)`.
    #[track_caller]
    pub fn velocity(name: impl Into<String>, joint: impl Into<String>, kv: f64) -> Self {
        let mut servo = Self::new(name, joint);
        servo.bias = kinds::Bias::Affine;
        servo.gainprm[0] = kv;
        servo.biasprm[2] = -kv;
        servo
    }

    /// Scales the transmitted force.
    #[must_use]
    pub fn gear(mut self, gear: f64) -> Self {
        self.gear[0] = gear;
        self
    }

    /// Limits the control.
    #[must_use]
    pub fn ctrlrange(mut self, range: [f64; 2]) -> Self {
        (self.ctrlrange, self.ctrllimited) = (range, Limited::True);
        self
    }

    /// Limits the force, N or N·m.
    #[must_use]
    pub fn forcerange(mut self, range: [f64; 2]) -> Self {
        (self.forcerange, self.forcelimited) = (range, Limited::True);
        self
    }
}

/// A sensor.
#[derive(Clone, Debug, PartialEq)]
pub struct Sensor {
    /// Name; may be empty.
    pub name: String,
    /// Where it was said.
    pub place: Place,
    /// What it measures.
    pub kind: kinds::Sensor,
    /// What it is attached to, by kind and name.
    pub object: Option<(kinds::Object, String)>,
    /// What it is measured against, by kind and name; none: the world's frame.
    pub reference: Option<(kinds::Object, String)>,
    /// Cut-off of the output; 0 ignores it.
    pub cutoff: f64,
    /// Standard deviation of the noise.
    pub noise: f64,
}

/// A pair of geoms whose contacts have parameters of their own.
#[derive(Clone, Debug, PartialEq)]
pub struct Pair {
    /// Name; may be empty.
    pub name: String,
    /// Where it was said.
    pub place: Place,
    /// Names of the two geoms.
    pub geoms: [String; 2],
    /// Contact dimension.
    pub condim: usize,
    /// Friction: two tangents, spin, two rolls.
    pub friction: [f64; 5],
    /// Reference, normal direction.
    pub solref: [f64; 2],
    /// Reference, friction directions; 0, 0 stands for `solref`.
    pub solreffriction: [f64; 2],
    /// Impedance.
    pub solimp: [f64; 5],
    /// Inflation, m.
    pub margin: f64,
    /// Additional detection distance, m.
    pub gap: f64,
}

impl Pair {
    /// A pair with MuJoCo's defaults.
    #[track_caller]
    pub fn new(geom1: impl Into<String>, geom2: impl Into<String>) -> Self {
        Self {
            name: String::new(),
            place: Place::here(),
            geoms: [geom1.into(), geom2.into()],
            condim: 3,
            friction: [1.0, 1.0, 0.005, 0.0001, 0.0001],
            solref: SOLREF,
            solreffriction: [0.0; 2],
            solimp: SOLIMP,
            margin: 0.0,
            gap: 0.0,
        }
    }
}

/// A soft constraint that holds at all times while it is active.
#[derive(Clone, Debug, PartialEq)]
pub struct Equality {
    /// Name; may be empty.
    pub name: String,
    /// Where it was said.
    pub place: Place,
    /// What is held together.
    pub held: Held,
    /// Whether it holds in the initial state.
    pub active: bool,
    /// Reference.
    pub solref: [f64; 2],
    /// Impedance.
    pub solimp: [f64; 5],
}

/// What an [`Equality`] holds together. Of two names the second may be empty.
#[derive(Clone, Debug, PartialEq)]
pub enum Held {
    /// Two bodies, or a body and the world, at the point where both are in the reference configuration.
    ConnectBodies {
        /// Names of the bodies.
        bodies: [String; 2],
        /// The point in the first body's frame, m.
        anchor: [f64; 3],
    },
    /// The positions of two sites.
    ConnectSites {
        /// Names of the sites.
        sites: [String; 2],
    },
    /// The relative pose of two bodies, or of a body and the world.
    WeldBodies {
        /// Names of the bodies.
        bodies: [String; 2],
        /// The point in the second body's frame at which positions are compared, m.
        anchor: [f64; 3],
        /// Pose of the second body in the first's frame; none: the one in the reference configuration.
        relpose: Option<Pose>,
        /// Weight of the rotation against the translation, m.
        torquescale: f64,
    },
    /// The poses of two sites.
    WeldSites {
        /// Names of the sites.
        sites: [String; 2],
        /// Weight of the rotation against the translation, m.
        torquescale: f64,
    },
    /// A joint at a polynomial of another, or at a constant: both positions less those in the reference
    /// configuration.
    Joints {
        /// Names of the joints.
        joints: [String; 2],
        /// The polynomial's coefficients, the constant first.
        polycoef: [f64; 5],
    },
}

impl Equality {
    /// A constraint with MuJoCo's defaults, active.
    #[track_caller]
    pub fn new(name: impl Into<String>, held: Held) -> Self {
        Self {
            name: name.into(),
            place: Place::here(),
            held,
            active: true,
            solref: SOLREF,
            solimp: SOLIMP,
        }
    }
}

impl Held {
    /// What sort of constraint it is.
    pub fn kind(&self) -> kinds::Equality {
        match self {
            Self::ConnectBodies { .. } | Self::ConnectSites { .. } => kinds::Equality::Connect,
            Self::WeldBodies { .. } | Self::WeldSites { .. } => kinds::Equality::Weld,
            Self::Joints { .. } => kinds::Equality::Joint,
        }
    }

    /// The two objects, by kind and name.
    pub fn objects(&self) -> (kinds::Object, &[String; 2]) {
        match self {
            Self::ConnectBodies { bodies, .. } | Self::WeldBodies { bodies, .. } => {
                (kinds::Object::Body, bodies)
            }
            Self::ConnectSites { sites } | Self::WeldSites { sites, .. } => {
                (kinds::Object::Site, sites)
            }
            Self::Joints { joints, .. } => (kinds::Object::Joint, joints),
        }
    }

    /// As [`Held::objects`], to rename them.
    pub(crate) fn objects_mut(&mut self) -> (kinds::Object, &mut [String; 2]) {
        match self {
            Self::ConnectBodies { bodies, .. } | Self::WeldBodies { bodies, .. } => {
                (kinds::Object::Body, bodies)
            }
            Self::ConnectSites { sites } | Self::WeldSites { sites, .. } => {
                (kinds::Object::Site, sites)
            }
            Self::Joints { joints, .. } => (kinds::Object::Joint, joints),
        }
    }
}

/// Two bodies whose geoms never touch.
#[derive(Clone, Debug, PartialEq)]
pub struct Exclude {
    /// Name; may be empty.
    pub name: String,
    /// Where it was said.
    pub place: Place,
    /// Names of the two bodies.
    pub bodies: [String; 2],
}

/// A state to start from. An empty list stands for the default of the whole.
#[derive(Clone, Debug, PartialEq)]
pub struct Keyframe {
    /// Name; may be empty.
    pub name: String,
    /// Where it was said.
    pub place: Place,
    /// Time, s.
    pub time: f64,
    /// Positions.
    pub qpos: Vec<f64>,
    /// Velocities.
    pub qvel: Vec<f64>,
    /// Activations.
    pub act: Vec<f64>,
    /// Controls.
    pub ctrl: Vec<f64>,
    /// Positions of mocap bodies.
    pub mpos: Vec<f64>,
    /// Orientations of mocap bodies.
    pub mquat: Vec<f64>,
}

impl Keyframe {
    /// A keyframe in the model's reference state.
    #[track_caller]
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            place: Place::here(),
            time: 0.0,
            qpos: Vec::new(),
            qvel: Vec::new(),
            act: Vec::new(),
            ctrl: Vec::new(),
            mpos: Vec::new(),
            mquat: Vec::new(),
        }
    }
}

/// A surface appearance; its images stay in their files until something renders.
#[derive(Clone, Debug, PartialEq)]
pub struct Material {
    /// Name.
    pub name: String,
    /// Where it was said.
    pub place: Place,
    /// Name of its texture; may be empty.
    pub texture: String,
    /// Colour.
    pub rgba: [f32; 4],
}

/// A named list of numbers, or a named text, of `<custom>`.
#[derive(Clone, Debug, PartialEq)]
pub struct Custom {
    /// Name.
    pub name: String,
    /// Where it was said.
    pub place: Place,
    /// What it holds.
    pub value: CustomValue,
}

/// What a [`Custom`] holds.
#[derive(Clone, Debug, PartialEq)]
pub enum CustomValue {
    /// Numbers.
    Numeric(Vec<f64>),
    /// Text.
    Text(String),
}
