//! Geoms and sites: shapes on a body.

use super::Place;
use super::kinds;
use super::pose::{self, Pose};
use super::tree::{SOLIMP, SOLREF};

/// A shape that collides and has mass.
#[derive(Clone, Debug, PartialEq)]
pub struct Geom {
    /// Name; may be empty.
    pub name: String,
    /// Where it was said.
    pub place: Place,
    /// Shape.
    pub kind: kinds::Geom,
    /// Size, see [`kinds::Geom`].
    pub size: [f64; 3],
    /// Placement in the body's frame.
    pub pose: Pose,
    /// Contact type bits.
    pub contype: u32,
    /// Contact affinity bits.
    pub conaffinity: u32,
    /// Contact dimension: 1, 3, 4 or 6.
    pub condim: usize,
    /// Group for visibility and for [`Compiler::inertiagrouprange`](super::Compiler::inertiagrouprange).
    pub group: i32,
    /// Contact priority.
    pub priority: i32,
    /// Friction: sliding, torsional (m), rolling (m).
    pub friction: [f64; 3],
    /// Mass, kg; none: from the density.
    pub mass: Option<f64>,
    /// Density, kg/m³, or kg/m² for a shell.
    pub density: f64,
    /// Whether the mass is on the surface.
    pub shellinertia: bool,
    /// Weight when `solref` and `solimp` of a pair are mixed.
    pub solmix: f64,
    /// Contact reference.
    pub solref: [f64; 2],
    /// Contact impedance.
    pub solimp: [f64; 5],
    /// Inflation for contact, m.
    pub margin: f64,
    /// Additional detection distance, m.
    pub gap: f64,
    /// Name of its material; may be empty.
    pub material: String,
    /// Colour where there is no material.
    pub rgba: [f32; 4],
}

impl Geom {
    /// A geom of some shape and size, with MuJoCo's defaults.
    #[track_caller]
    pub fn new(kind: kinds::Geom, size: [f64; 3]) -> Self {
        Self {
            name: String::new(),
            place: Place::here(),
            kind,
            size,
            pose: Pose::default(),
            contype: 1,
            conaffinity: 1,
            condim: 3,
            group: 0,
            priority: 0,
            friction: [1.0, 0.005, 0.0001],
            mass: None,
            density: 1000.0,
            shellinertia: false,
            solmix: 1.0,
            solref: SOLREF,
            solimp: SOLIMP,
            margin: 0.0,
            gap: 0.0,
            material: String::new(),
            rgba: [0.5, 0.5, 0.5, 1.0],
        }
    }

    /// An infinite plane through the body's origin, normal along Z.
    #[track_caller]
    pub fn plane() -> Self {
        Self::new(kinds::Geom::Plane, [0.0, 0.0, 1.0])
    }

    /// A sphere.
    #[track_caller]
    pub fn sphere(radius: f64) -> Self {
        Self::new(kinds::Geom::Sphere, [radius, 0.0, 0.0])
    }

    /// A capsule along Z; the half length is that of its cylinder.
    #[track_caller]
    pub fn capsule(radius: f64, half_length: f64) -> Self {
        Self::new(kinds::Geom::Capsule, [radius, half_length, 0.0])
    }

    /// A cylinder along Z.
    #[track_caller]
    pub fn cylinder(radius: f64, half_length: f64) -> Self {
        Self::new(kinds::Geom::Cylinder, [radius, half_length, 0.0])
    }

    /// A box, by its half lengths.
    #[track_caller]
    pub fn cuboid(half: [f64; 3]) -> Self {
        Self::new(kinds::Geom::Box, half)
    }

    /// An ellipsoid, by its radii.
    #[track_caller]
    pub fn ellipsoid(radii: [f64; 3]) -> Self {
        Self::new(kinds::Geom::Ellipsoid, radii)
    }

    /// Names it.
    #[must_use]
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// Moves it in the body's frame.
    #[must_use]
    pub fn at(mut self, pos: [f64; 3]) -> Self {
        self.pose.pos = pos;
        self
    }

    /// Turns it in the body's frame.
    #[must_use]
    pub fn turned(mut self, quat: [f64; 4]) -> Self {
        self.pose.quat = quat;
        self
    }

    /// Sets the mass, kg.
    #[must_use]
    pub fn mass(mut self, mass: f64) -> Self {
        self.mass = Some(mass);
        self
    }

    /// Sets the density, kg/m³.
    #[must_use]
    pub fn density(mut self, density: f64) -> Self {
        (self.density, self.mass) = (density, None);
        self
    }
}

/// Stretches a shape along Z between two points: its pose, and its size with the half length set.
///
/// The length goes to the second number of the size, and for boxes and ellipsoids, whose Z is the
/// third, to the third, with the first repeated. None if the points coincide.
pub(crate) fn between(
    kind: kinds::Geom,
    ends: [f64; 6],
    size: [f64; 3],
) -> Option<(Pose, [f64; 3])> {
    let (from, to) = ([ends[0], ends[1], ends[2]], [ends[3], ends[4], ends[5]]);
    let mut along = pose::sub(from, to);
    let half = pose::normalize(&mut along) / 2.0;
    if half < pose::EPS {
        return None;
    }
    let pos = std::array::from_fn(|i| (from[i] + to[i]) / 2.0);
    let size = match kind {
        kinds::Geom::Box | kinds::Geom::Ellipsoid => [size[0], size[0], half],
        _ => [size[0], half, size[2]],
    };
    Some((
        Pose {
            pos,
            quat: pose::from_z(along),
        },
        size,
    ))
}

/// A named frame on a body, with a shape for drawing and sensing.
#[derive(Clone, Debug, PartialEq)]
pub struct Site {
    /// Name; may be empty.
    pub name: String,
    /// Where it was said.
    pub place: Place,
    /// Shape.
    pub kind: kinds::Geom,
    /// Size, m.
    pub size: [f64; 3],
    /// Placement in the body's frame.
    pub pose: Pose,
    /// Group for visibility.
    pub group: i32,
    /// Name of its material; may be empty.
    pub material: String,
    /// Colour where there is no material.
    pub rgba: [f32; 4],
}

impl Site {
    /// A small sphere at the body's origin.
    #[track_caller]
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            place: Place::here(),
            kind: kinds::Geom::Sphere,
            size: [0.005; 3],
            pose: Pose::default(),
            group: 0,
            material: String::new(),
            rgba: [0.5, 0.5, 0.5, 1.0],
        }
    }

    /// Moves it in the body's frame.
    #[must_use]
    pub fn at(mut self, pos: [f64; 3]) -> Self {
        self.pose.pos = pos;
        self
    }
}
