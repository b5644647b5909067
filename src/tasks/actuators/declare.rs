//! What is said about actuators: a law, what commands mean to it, and the imperfections on the way to it.
//!
//! An [`Actuator`] is structure (which joints, which law, how long a ring) and numbers. A number that is said is adjustable
//! at run time under `actuator.NAME.KEY`; one that is not said has no effect and costs nothing.

use std::path::PathBuf;

/// A model of some of a robot's actuators, see [`Spec::actuator`](crate::tasks::Spec::actuator).
///
/// ```
/// use manyworlds::tasks::{Actuator, Latency, Law};
///
/// let legs = Actuator::new("legs")
///     .joints(["*_hip", "*_thigh", "*_calf"])
///     .law(Law::DcMotor)
///     .number("kp", 20.0)
///     .number("kd", 0.5)
///     .number("saturation_effort", 40.0)
///     .number("velocity_limit", 30.0)
///     .number("effort_limit", 23.7)
///     .latency(Latency { max: 0.04, ..Latency::default() }, 0.01);
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Actuator {
    /// Its name, in keys: `actuator.NAME.kp`.
    pub name: String,
    /// What it stands for.
    pub on: Selection,
    /// From the command to the force.
    pub law: Law,
    /// What the control that the task sends means.
    pub target: Target,
    /// Where commands are late: the ring that keeps them.
    pub latency: Option<Latency>,
    /// The file of a learned law.
    pub file: Option<PathBuf>,
    /// Adjustable numbers by key, see [`NUMBERS`].
    pub numbers: Vec<(String, f64)>,
}

/// Which of the model's actuators are meant. `*` in a name stands for any letters, `?` for one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Selection {
    /// Not said yet.
    #[default]
    None,
    /// The actuators that move these joints.
    Joints(Vec<String>),
    /// The actuators of these names.
    Actuators(Vec<String>),
}

/// From the command to the force at the joint.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Law {
    /// The model's own actuator; only its command passes through what is declared here.
    #[default]
    Mujoco,
    /// An ideal source of torque under proportional-derivative control.
    Pd,
    /// The same, through what a direct-current motor can do.
    DcMotor,
    /// A network that was fitted to measurements.
    Network,
}

impl Law {
    /// As in `task.toml`.
    pub const NAMES: [(&'static str, Law); 4] = [
        ("mujoco", Law::Mujoco),
        ("pd", Law::Pd),
        ("dc_motor", Law::DcMotor),
        ("network", Law::Network),
    ];

    /// Its name in `task.toml`.
    pub fn name(self) -> &'static str {
        name_of(&Self::NAMES, self)
    }
}

/// What the control that the task sends means to a law.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Target {
    /// The joint's position, rad or m.
    #[default]
    Position,
    /// The joint's velocity, rad/s or m/s.
    Velocity,
    /// The force or torque at the joint, N or N·m.
    Effort,
    /// The share of the supply voltage, −1 to 1.
    Duty,
}

impl Target {
    /// As in `task.toml`.
    pub const NAMES: [(&'static str, Target); 4] = [
        ("position", Target::Position),
        ("velocity", Target::Velocity),
        ("effort", Target::Effort),
        ("duty", Target::Duty),
    ];

    /// Its name in `task.toml`.
    pub fn name(self) -> &'static str {
        name_of(&Self::NAMES, self)
    }
}

fn name_of<T: Copy + PartialEq>(names: &[(&'static str, T)], value: T) -> &'static str {
    let found = names.iter().find(|(_, known)| *known == value);
    found.map_or("?", |(name, _)| name)
}

/// How late commands are kept. How late they are is the number `latency.time`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Latency {
    /// The largest `latency.time` that there is room for, s.
    pub max: f64,
    /// How often a command is kept.
    pub per: Per,
    /// Whether a time between two kept commands gives a value between them; otherwise the older one holds.
    pub interpolate: bool,
}

impl Default for Latency {
    fn default() -> Self {
        Self {
            max: 0.0,
            per: Per::Substep,
            interpolate: false,
        }
    }
}

/// How often a command is kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Per {
    /// In every physics step: right for any task.
    #[default]
    Substep,
    /// Once per control step: less memory, and the same where a command lasts for the whole control step.
    ControlStep,
}

impl Per {
    /// As in `task.toml`.
    pub const NAMES: [(&'static str, Per); 2] = [
        ("substep", Per::Substep),
        ("control_step", Per::ControlStep),
    ];
}

/// An adjustable number.
#[derive(Clone, Copy, Debug)]
pub struct Number {
    /// Its key after `actuator.NAME.`.
    pub key: &'static str,
    /// Its range, with the ends.
    pub range: [f64; 2],
    /// The laws and targets that read it: what is said but not read is a mistake.
    pub of: Reader,
}

/// What reads a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reader {
    /// A stage before the law: any law will do.
    Stage,
    /// These laws.
    Laws(&'static [Law]),
}

const OWN: Reader = Reader::Laws(&[Law::Pd, Law::DcMotor, Law::Network]);
const SERVO: Reader = Reader::Laws(&[Law::Pd, Law::DcMotor]);
const MOTOR: Reader = Reader::Laws(&[Law::DcMotor]);
const ANY: [f64; 2] = [0.0, f64::INFINITY];
/// Divisors.
const POSITIVE: [f64; 2] = [1e-9, f64::INFINITY];

const fn number(key: &'static str, range: [f64; 2], of: Reader) -> Number {
    Number { key, range, of }
}

/// Every adjustable number.
pub const NUMBERS: [Number; 20] = [
    number("kp", ANY, SERVO),
    number("kd", ANY, SERVO),
    number("effort_limit", ANY, OWN),
    number("saturation_effort", POSITIVE, MOTOR),
    number("velocity_limit", POSITIVE, MOTOR),
    number("voltage", POSITIVE, MOTOR),
    number("resistance", POSITIVE, MOTOR),
    number("torque_constant", POSITIVE, MOTOR),
    number("gear_ratio", POSITIVE, MOTOR),
    number("current_limit", ANY, MOTOR),
    number("friction.coulomb", ANY, OWN),
    number("friction.viscous", ANY, OWN),
    number("friction.velocity", POSITIVE, OWN),
    number("noise.white", ANY, Reader::Stage),
    number("noise.correlated", ANY, Reader::Stage),
    number("noise.range", POSITIVE, Reader::Stage),
    number("delay.probability", [0.0, 1.0], Reader::Stage),
    number("latency.time", ANY, Reader::Stage),
    number("low_pass.time", ANY, Reader::Stage),
    number("backlash.width", ANY, Reader::Stage),
];

/// The keys that say structure.
pub const STRUCTURE: [&str; 8] = [
    "joints",
    "actuators",
    "model",
    "target",
    "file",
    "latency.max",
    "latency.per",
    "latency.interpolate",
];

impl Actuator {
    /// A model that changes nothing yet, of nothing yet.
    pub fn new(name: &str) -> Self {
        Self {
            name: name.into(),
            on: Selection::None,
            law: Law::default(),
            target: Target::default(),
            latency: None,
            file: None,
            numbers: Vec::new(),
        }
    }

    /// Stands for the actuators that move these joints.
    #[must_use]
    pub fn joints<S: Into<String>>(mut self, names: impl IntoIterator<Item = S>) -> Self {
        self.on = Selection::Joints(names.into_iter().map(Into::into).collect());
        self
    }

    /// Stands for the actuators of these names.
    #[must_use]
    pub fn actuators<S: Into<String>>(mut self, names: impl IntoIterator<Item = S>) -> Self {
        self.on = Selection::Actuators(names.into_iter().map(Into::into).collect());
        self
    }

    /// From the command to the force.
    #[must_use]
    pub fn law(mut self, law: Law) -> Self {
        self.law = law;
        self
    }

    /// What the control that the task sends means.
    #[must_use]
    pub fn target(mut self, target: Target) -> Self {
        self.target = target;
        self
    }

    /// A law that was fitted to measurements, in a file of `manyworlds actuator-net fit`.
    #[must_use]
    pub fn network(mut self, file: impl Into<PathBuf>) -> Self {
        self.law = Law::Network;
        self.file = Some(file.into());
        self
    }

    /// Commands arrive `time` seconds late.
    #[must_use]
    pub fn latency(mut self, ring: Latency, time: f64) -> Self {
        self.latency = Some(ring);
        self.number("latency.time", time)
    }

    /// Says an adjustable number, one of [`NUMBERS`].
    #[must_use]
    pub fn number(mut self, key: &str, value: f64) -> Self {
        self.say(key, value);
        self
    }

    /// Says a number, or says it again.
    pub(super) fn say(&mut self, key: &str, value: f64) {
        match self.numbers.iter_mut().find(|(known, _)| known == key) {
            Some((_, number)) => *number = value,
            None => self.numbers.push((key.into(), value)),
        }
    }

    /// Whether a number is said.
    pub fn says(&self, key: &str) -> bool {
        self.numbers.iter().any(|(known, _)| known == key)
    }

    /// The value of a number, if it is said.
    pub fn value(&self, key: &str) -> Option<f64> {
        let mut numbers = self.numbers.iter();
        numbers
            .find(|(known, _)| known == key)
            .map(|(_, value)| *value)
    }

    /// Every key that it takes, in full.
    pub(crate) fn keys(&self) -> impl Iterator<Item = String> + '_ {
        keys().map(move |key| format!("actuator.{}.{key}", self.name))
    }

    /// The adjustable numbers with their full keys and their bounds.
    pub(crate) fn parameters(&self) -> impl Iterator<Item = (String, f64, [f64; 2])> + '_ {
        let key = |key: &str| format!("actuator.{}.{key}", self.name);
        let range = |name: &str| {
            let known = NUMBERS.iter().find(|number| number.key == name);
            known.map_or([f64::NEG_INFINITY, f64::INFINITY], |number| number.range)
        };
        self.numbers
            .iter()
            .map(move |(name, value)| (key(name), *value, range(name)))
    }
}

/// Every key of an actuator model, after its name.
pub(super) fn keys() -> impl Iterator<Item = &'static str> {
    let numbers = NUMBERS.iter().map(|number| number.key);
    STRUCTURE.into_iter().chain(numbers)
}
