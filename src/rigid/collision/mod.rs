//! Contact points between two geoms, with MuJoCo's conventions (3.17), over recorded scalars.
//!
//! One file per family of shapes. [`candidates`] says which geoms may touch, once, on the host; [`collide`] records the
//! geometry of one such pair. The number of points of a pair of kinds is fixed ([`points`]), because a kernel has no
//! lists: a point that does not exist is [`ABSENT`] away.
//!
//! Conventions, for every pair:
//! - a distance is negative where the shapes overlap, m;
//! - the first row of a frame is the normal, from the first geom to the second; the others are the tangents;
//! - a position is half way between the two surfaces;
//! - positions are relative to one origin that the caller chooses, axes are the world's.
//!
//! Points come in no particular order.

mod boxes;
mod candidates;
mod capsule;
mod capsule_box;
mod convex;
mod patch;
mod plane;
mod sphere;
mod sum;
mod witness;

use crate::math::{Mat3, Vec3};
use crate::model::Geom;
use crate::trace::{Carry, Mask, Slot, Var, select};

pub use candidates::{Candidate, candidates};

/// The distance of a point that does not exist, m: more than any margin.
pub const ABSENT: f64 = 1e10;

/// A geom somewhere.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    /// What it is.
    pub kind: Geom,
    /// Its size, as in [`Model::geom_size`](crate::model::Model::geom_size), m.
    pub size: [Var; 3],
    /// Its position relative to the caller's origin, m.
    pub pos: Vec3,
    /// Its orientation: the columns are its axes.
    pub mat: Mat3,
}

/// A contact point.
#[derive(Clone, Copy, Debug)]
pub struct Point {
    /// Distance of the surfaces, negative where they overlap, m.
    pub distance: Var,
    /// Half way between the surfaces, relative to the caller's origin, m.
    pub pos: Vec3,
    /// Normal from the first geom to the second, and two tangents: an orthonormal right-handed frame.
    pub frame: [Vec3; 3],
}

impl Point {
    /// A point with the frame that MuJoCo gives a normal alone (`mju_makeFrame`).
    pub(super) fn new(distance: Var, pos: Vec3, normal: Vec3) -> Self {
        Self {
            distance,
            pos,
            frame: frame(normal),
        }
    }

    /// A point that does not exist.
    fn absent() -> Self {
        Self::new(Var::from(ABSENT), Vec3::ZERO, Vec3::new(1.0, 0.0, 0.0))
    }
}

impl Carry for Point {
    fn slots(&mut self, visit: &mut dyn FnMut(Slot<'_>)) {
        self.distance.slots(visit);
        self.pos.slots(visit);
        self.frame.slots(visit);
    }
}

/// How many points [`collide`] gives for two kinds of geoms, in MuJoCo's order of kinds; none where MuJoCo has no
/// collision for them: two planes. `several`: see [`collide`].
pub fn points(a: Geom, b: Geom, several: bool) -> Option<usize> {
    use Geom::{Box, Capsule, Cylinder, Ellipsoid, Plane, Sphere};
    match (a, b) {
        (Plane | Sphere, Sphere)
        | (Sphere, Capsule | Ellipsoid | Cylinder | Box)
        | (Plane, Ellipsoid) => Some(1),
        (Plane | Capsule, Capsule) | (Capsule, Box) => Some(2),
        (Plane, Box | Cylinder) => Some(4),
        (Box, Box) => Some(boxes::POINTS),
        (Capsule, Ellipsoid | Cylinder)
        | (Ellipsoid, Ellipsoid | Cylinder | Box)
        | (Cylinder, Cylinder | Box) => Some(if several { patch::points(a, b) } else { 1 }),
        _ => None,
    }
}

/// The contact points of two geoms, [`points`] of them; those further away than `reach`, m, may be missing.
///
/// `several`: whether pairs without a closed form have more than the nearest point where flat sides lie on each other
/// (`multiccd`).
///
/// # Panics
/// When [`points`] has none for these kinds.
pub fn collide(a: &Shape, b: &Shape, reach: Var, several: bool) -> Vec<Point> {
    use Geom::{Box, Capsule, Cylinder, Ellipsoid, Plane, Sphere};
    match (a.kind, b.kind) {
        (Plane, Sphere) => vec![plane::sphere(a, b)],
        (Plane, Capsule) => plane::capsule(a, b).to_vec(),
        (Plane, Ellipsoid) => vec![plane::ellipsoid(a, b)],
        (Plane, Cylinder) => plane::cylinder(a, b).to_vec(),
        (Plane, Box) => plane::cuboid(a, b).to_vec(),
        (Sphere, Sphere) => vec![sphere::sphere(a, b)],
        (Sphere, Capsule) => vec![sphere::capsule(a, b)],
        (Sphere, Ellipsoid) => vec![sphere::ellipsoid(a, b)],
        (Sphere, Cylinder) => vec![sphere::cylinder(a, b)],
        (Sphere, Box) => vec![sphere::cuboid(a, b)],
        (Capsule, Box) => capsule_box::capsule(a, b, reach).to_vec(),
        (Box, Box) => boxes::cuboid(a, b, reach).to_vec(),
        (Capsule, Capsule) => capsule::capsule(a, b).to_vec(),
        (Capsule, Ellipsoid | Cylinder)
        | (Ellipsoid, Ellipsoid | Cylinder | Box)
        | (Cylinder, Cylinder | Box)
            if several =>
        {
            patch::contacts(a, b, reach)
        }
        (Capsule, Ellipsoid | Cylinder)
        | (Ellipsoid, Ellipsoid | Cylinder | Box)
        | (Cylinder, Cylinder | Box) => vec![convex::contact(a, b, reach)],
        (a, b) => panic!("no collision of {} and {}", a.keyword(), b.keyword()),
    }
}

/// Whether two shapes' bounding spheres are within reach, by the squares of their radii: what a costly pair asks first.
fn near(a: (&Shape, Var), b: (&Shape, Var), reach: Var) -> Mask {
    let limit = (a.1.sqrt() + b.1.sqrt() + reach).max(0.0);
    (b.0.pos - a.0.pos).norm_squared().le(limit.square())
}

/// An orthonormal frame with this unit normal (`mju_makeFrame`): the first tangent is as near as possible to Y, or to Z
/// where the normal is within 60° of ±Y.
fn frame(normal: Vec3) -> [Vec3; 3] {
    let towards_z = normal.y.abs().ge(0.5);
    let y = select(towards_z, Var::ZERO, Var::ONE);
    // e − n (n·e) has the squared length 1 − (n·e)², which is at least ¼.
    let along = select(towards_z, normal.z, normal.y);
    let scale = (1.0 - along.square()).sqrt().recip();
    let tangent = (Vec3::new(0.0, y, 1.0 - y) - normal * along) * scale;
    [normal, tangent, normal.cross(tangent)]
}

/// An orthonormal frame with this unit normal, whose first tangent is as near as possible to a unit vector.
fn frame_along(normal: Vec3, direction: Vec3) -> [Vec3; 3] {
    // What is left of a direction less than 1e-6 rad from the normal is noise in f32. MuJoCo takes X where nothing is
    // left; so do we, except around ±X, where that would be no frame.
    const SQUARED_NOISE: f64 = 1e-12;
    let rejected = |e: Vec3| e - normal * normal.dot(e);
    let tangent = rejected(direction);
    let near_x = normal.x.abs().gt(0.9);
    let other = rejected(Vec3::new(
        select(near_x, Var::ZERO, Var::ONE),
        select(near_x, Var::ONE, Var::ZERO),
        0.0,
    ));
    let tangent = select(tangent.norm_squared().lt(SQUARED_NOISE), other, tangent);
    let tangent = tangent * tangent.norm().recip();
    [normal, tangent, normal.cross(tangent)]
}
