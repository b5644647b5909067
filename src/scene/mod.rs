//! What the user says: a tree of bodies and what refers to it, before anything is compiled.
//!
//! A [`Scene`] comes from MJCF ([`mjcf::load`]) or from Rust ([`Scene::new`] and the builders in
//! [`Body`], [`Joint`], [`Geom`], [`Actuator`]). Both give the same: metres, radians, quaternions
//! w-x-y-z, frames already applied, and for every element the line that said it, for errors.

mod elements;
pub mod kinds;
pub mod mjcf;
mod options;
mod place;
pub(crate) mod pose;
mod shapes;
mod tree;

pub use elements::{
    Actuator, Custom, CustomValue, Equality, Exclude, Held, Keyframe, Material, Pair, Sensor,
};
pub use options::{Flags, Options, Statistics};
pub use place::Place;
pub use pose::Pose;
pub(crate) use shapes::between;
pub use shapes::{Geom, Site};
pub use tree::{Body, Camera, Inertia, Inertial, Joint, Light, SOLIMP, SOLREF};

/// A scene: what [`Model::compile`](crate::model::Model::compile) makes a model from.
#[derive(Clone, Debug, PartialEq)]
pub struct Scene {
    /// Name of the model.
    pub name: String,
    /// Physics options.
    pub options: Options,
    /// Statistics that the user sets; the others are computed.
    pub statistics: StatisticsGiven,
    /// How inertias are made. The first is the scene's own; models attached to it bring theirs.
    pub compilers: Vec<Compiler>,
    /// The world and its tree of bodies.
    pub world: Body,
    /// Materials.
    pub materials: Vec<Material>,
    /// Actuators.
    pub actuators: Vec<Actuator>,
    /// Sensors.
    pub sensors: Vec<Sensor>,
    /// Contact pairs.
    pub pairs: Vec<Pair>,
    /// Pairs of bodies without contact.
    pub excludes: Vec<Exclude>,
    /// Equality constraints.
    pub equalities: Vec<Equality>,
    /// Keyframes.
    pub keyframes: Vec<Keyframe>,
    /// Custom numbers and texts.
    pub custom: Vec<Custom>,
    /// What was read but has no effect, one line each.
    pub warnings: Vec<String>,
}

impl Scene {
    /// An empty world.
    #[track_caller]
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            options: Options::default(),
            statistics: StatisticsGiven::default(),
            compilers: vec![Compiler::default()],
            world: Body::new("world"),
            materials: Vec::new(),
            actuators: Vec::new(),
            sensors: Vec::new(),
            pairs: Vec::new(),
            excludes: Vec::new(),
            equalities: Vec::new(),
            keyframes: Vec::new(),
            custom: Vec::new(),
            warnings: Vec::new(),
        }
    }
}

/// Statistics that replace the computed ones.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct StatisticsGiven {
    /// Mean of the diagonal of the joint-space inertia.
    pub meaninertia: Option<f64>,
    /// Mean mass of the bodies, kg.
    pub meanmass: Option<f64>,
    /// Mean size of the bodies, m.
    pub meansize: Option<f64>,
    /// Spatial extent, m.
    pub extent: Option<f64>,
    /// Centre of the model, m.
    pub center: Option<[f64; 3]>,
}

/// A three-valued switch: `auto` follows from whether a range is given.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Limited {
    /// Off.
    False,
    /// On.
    True,
    /// On where a range is given.
    #[default]
    Auto,
}

impl Limited {
    /// Whether a range holds.
    pub fn holds(self, range: [f64; 2]) -> bool {
        self == Self::True || (self == Self::Auto && range[0] < range[1])
    }
}

/// `<compiler>`: how masses and inertias are made.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Compiler {
    /// Whether inertias come from geoms; auto: where a body has none of its own.
    pub inertiafromgeom: Limited,
    /// First and last geom group that has mass.
    pub inertiagrouprange: [i32; 2],
    /// Whether an unphysical inertia is replaced by its mean.
    pub balanceinertia: bool,
    /// Smallest mass of a body, kg.
    pub boundmass: f64,
    /// Smallest principal moment of a body, kg·m².
    pub boundinertia: f64,
    /// Mass that the whole model is scaled to, kg, where positive.
    pub settotalmass: f64,
    /// Whether lone free bodies' frames are moved to their inertial frames.
    pub alignfree: bool,
    /// Whether bodies without joints are merged into their parents.
    pub fusestatic: bool,
    /// Whether geoms and materials that are only for drawing are dropped.
    pub discardvisual: bool,
}

impl Default for Compiler {
    /// MuJoCo's defaults.
    fn default() -> Self {
        Self {
            inertiafromgeom: Limited::Auto,
            inertiagrouprange: [0, 5],
            balanceinertia: false,
            boundmass: 0.0,
            boundinertia: 0.0,
            settotalmass: -1.0,
            alignfree: false,
            fusestatic: false,
            discardvisual: false,
        }
    }
}
