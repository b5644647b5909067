//! Several points where a cylinder's cap or side, or a capsule's side, lies on a flat face (MuJoCo 3.17's multiccd).
//!
//! The nearest contact's normal says which sides face each other: a cap or a face of a box within 5.1° of the normal, a
//! straight side within 5.1° of perpendicular to it. A straight side on a face has two points, where it enters the face
//! and leaves it; a cap on a face has four. All have the face's normal and their own distances from it. MuJoCo takes a
//! cap for the polygon of 16 corners at multiples of 22.5°, and so do we.
//!
//! Of a cap on a face MuJoCo keeps the four corners of the clipped polygon whose quadrilateral is the largest. For a
//! whole cap there are four such squares, and rounding chooses. Ours are the ends of two chords at right angles through
//! the middle of what both have in common: for a whole cap one of these squares.

use super::{ABSENT, Point, Shape, convex, frame};
use crate::math::Vec3;
use crate::model::Geom;
use crate::trace::{Mask, Var, select, when};

/// Cosine of the angle between normals of sides that face each other.
const FACING: f64 = 0.996;
/// Sine of the angle between a straight side and a face that it lies on.
const LYING: f64 = 0.0888;
/// Corners of the polygon that stands for a cap.
const CORNERS: usize = 16;
/// What a slab's normal and a line have in common where they are parallel.
const PARALLEL: f64 = 1e-9;

/// How many points [`contacts`] gives.
pub(super) fn points(a: Geom, b: Geom) -> usize {
    match (a, b) {
        (Geom::Capsule, Geom::Cylinder) => 2,
        (Geom::Cylinder, Geom::Cylinder | Geom::Box) => 4,
        _ => 1,
    }
}

/// The contacts of two shapes of which neither is a plane.
pub(super) fn contacts(a: &Shape, b: &Shape, reach: Var) -> Vec<Point> {
    let nearest = convex::contact(a, b, reach);
    let mut all = vec![Point::absent(); points(a.kind, b.kind)];
    all[0] = nearest;
    if all.len() == 1 {
        return all;
    }
    when(nearest.distance.le(reach), all, |all| {
        let normal = nearest.frame[0];
        let on_b = Face::of(b, -normal);
        let mut all = side_on_face(a, &on_b, Facing::Second, all);
        if a.kind == Geom::Cylinder {
            let on_a = Face::of(a, normal);
            if b.kind == Geom::Cylinder {
                all = side_on_face(b, &on_a, Facing::First, all);
            }
            all = cap_on_face((a, &on_a), (b, &on_b), all);
        }
        all
    })
}

/// Which of the two shapes has the face.
#[derive(Clone, Copy, PartialEq)]
enum Facing {
    First,
    Second,
}

/// What lies between two parallel planes: `abs(normal · x) ≤ half`, from the face's centre.
struct Slab {
    normal: Vec3,
    half: Var,
}

/// A flat side of a shape: a polygon with a centre.
struct Face {
    /// Whether it faces along the direction that was asked for.
    faces: Mask,
    centre: Vec3,
    /// Outward.
    normal: Vec3,
    slabs: Vec<Slab>,
}

impl Face {
    /// The side of a cylinder's caps or a box's faces that faces most along a direction.
    fn of(shape: &Shape, direction: Vec3) -> Self {
        let [x, y, z] = shape.size;
        let axes = shape.mat.columns();
        let (axis, half, slabs) = if shape.kind == Geom::Cylinder {
            let apothem = x * (std::f64::consts::PI / CORNERS as f64).cos();
            let slab = |k: usize| {
                let angle = (2 * k + 1) as f64 * std::f64::consts::PI / CORNERS as f64;
                Slab {
                    normal: axes[0] * angle.cos() + axes[1] * angle.sin(),
                    half: apothem,
                }
            };
            (axes[2], y, (0..CORNERS / 2).map(slab).collect())
        } else {
            let along = axes.map(|axis| axis.dot(direction).abs());
            let second = along[1].gt(along[0]);
            let third = along[2].gt(along[0].max(along[1]));
            let turned = |first, next, last| select(third, last, select(second, next, first));
            let (axis, half) = turned((axes[0], x), (axes[1], y), (axes[2], z));
            let sides = [
                turned((axes[1], y), (axes[2], z), (axes[0], x)),
                turned((axes[2], z), (axes[0], x), (axes[1], y)),
            ];
            let slabs = sides.map(|(normal, half)| Slab { normal, half });
            (axis, half, slabs.into_iter().collect())
        };
        let along = axis.dot(direction);
        let normal = select(along.lt(0.0), -axis, axis);
        Self {
            faces: along.abs().gt(FACING),
            centre: shape.pos + normal * half,
            normal,
            slabs,
        }
    }

    /// The part of a line, from `low` to `high` along a direction, over the face, and whether there is one.
    fn clip(&self, start: Vec3, direction: Vec3, (low, high, exists): Chord) -> Chord {
        let (mut low, mut high) = (low, high);
        let from = start - self.centre;
        for slab in &self.slabs {
            let (at, step) = (slab.normal.dot(from), slab.normal.dot(direction));
            let step = select(step.abs().lt(PARALLEL), Var::from(PARALLEL), step);
            let inverse = step.recip();
            let (one, other) = ((-slab.half - at) * inverse, (slab.half - at) * inverse);
            low = low.max(one.min(other));
            high = high.min(one.max(other));
        }
        (low, high, exists & low.le(high))
    }

    /// The contact of a point with the face.
    fn contact(&self, at: Vec3, of: Facing) -> Point {
        let distance = self.normal.dot(at - self.centre);
        let normal = match of {
            Facing::First => self.normal,
            Facing::Second => -self.normal,
        };
        Point {
            distance,
            pos: at - self.normal * (0.5 * distance),
            frame: frame(normal),
        }
    }
}

/// Where a line begins and ends to be inside, and whether it ever is.
type Chord = (Var, Var, Mask);

/// The two points of a straight side on a face, where it lies on it.
///
/// The side is the line of the surface nearest to the face. MuJoCo lets a capsule's radius act along the part of the
/// face's normal that is across the capsule, which is a little less than the radius.
fn side_on_face(shape: &Shape, face: &Face, of: Facing, mut all: Vec<Point>) -> Vec<Point> {
    let [radius, half, _] = shape.size;
    let axis = shape.mat.z;
    let along = axis.dot(face.normal);
    let across = face.normal - axis * along;
    let scale = match shape.kind {
        Geom::Capsule => radius,
        _ => radius / across.norm().max(0.5),
    };
    let start = shape.pos - across * scale;
    let whole = (-half, half, face.faces & along.abs().lt(LYING));
    let (low, high, exists) = face.clip(start, axis, whole);
    let found = [low, high].map(|at| face.contact(start + axis * at, of));
    replace(&mut all, exists, &found);
    all
}

/// The four points of a cylinder's cap on a face of another shape, where they face each other.
fn cap_on_face(
    (a, cap): (&Shape, &Face),
    (b, face): (&Shape, &Face),
    mut all: Vec<Point>,
) -> Vec<Point> {
    let radius = a.size[0];
    let apart = cap.centre - face.centre;
    // The middle of the extents that both have in common: of the cap and the other cap along the line between their
    // centres, or of the cap and the box along the box's axes.
    let mut shift = Vec3::ZERO;
    let mut move_along = |axis: Vec3, half: Var| {
        let at = axis.dot(apart);
        let low = (at - radius).max(-half);
        let high = (at + radius).min(half);
        shift += axis * (0.5 * (low + high) - at);
    };
    // The smaller cap says how the chords are turned.
    let mut columns = a.mat.columns();
    if b.kind == Geom::Cylinder {
        let across = apart - face.normal * face.normal.dot(apart);
        move_along(across.normalize().0, b.size[0]);
        columns = select(b.size[0].lt(radius), b.mat.columns(), columns);
    } else {
        for slab in &face.slabs {
            move_along(slab.normal, slab.half);
        }
    }
    // On the cap, along the face's normal.
    let slope = cap.normal.dot(face.normal).min(-0.5).recip();
    let onto_cap = |v: Vec3| v - face.normal * (cap.normal.dot(v) * slope);
    let start = cap.centre + onto_cap(shift);
    let opposed = cap.faces & face.faces & cap.normal.dot(face.normal).lt(-FACING);
    let mut found = Vec::new();
    let mut any = Mask::from(false);
    for corner in [3.0, 7.0] {
        let angle: f64 = corner * 2.0 * std::f64::consts::PI / CORNERS as f64;
        let direction = onto_cap(columns[0] * angle.cos() + columns[1] * angle.sin());
        let whole = (Var::from(-ABSENT), Var::from(ABSENT), opposed);
        let chord = cap.clip(start, direction, whole);
        let (low, high, exists) = face.clip(start, direction, chord);
        any |= exists;
        for at in [low, high] {
            let point = face.contact(start + direction * at, Facing::Second);
            let distance = select(exists, point.distance, Var::from(ABSENT));
            found.push(Point { distance, ..point });
        }
    }
    replace(&mut all, any, &found);
    all
}

/// Puts other points in the place of all, where there are any.
fn replace(all: &mut [Point], exists: Mask, found: &[Point]) {
    for (k, point) in all.iter_mut().enumerate() {
        let other = found.get(k).copied().unwrap_or_else(Point::absent);
        *point = select(exists, other, *point);
    }
}
