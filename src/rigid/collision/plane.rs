//! A plane, which is infinite, against other shapes. Its normal is its Z axis.

use std::array::from_fn;

use super::{Point, Shape, frame, frame_along};
use crate::math::Vec3;
use crate::trace::{Var, select};

/// The distance of a shape's centre from the plane.
fn height(plane: &Shape, other: &Shape) -> Var {
    plane.mat.z.dot(other.pos - plane.pos)
}

/// Half way between a point at this distance from the plane and the plane.
fn halfway(plane: &Shape, at: Vec3, distance: Var) -> Vec3 {
    at - plane.mat.z * (0.5 * distance)
}

/// Plane and sphere: the sphere's lowest point.
pub(super) fn sphere(plane: &Shape, sphere: &Shape) -> Point {
    let radius = sphere.size[0];
    let distance = height(plane, sphere) - radius;
    let pos = sphere.pos - plane.mat.z * (0.5 * distance + radius);
    Point::new(distance, pos, plane.mat.z)
}

/// Plane and capsule: the spheres at its two ends; the first tangent is along the capsule.
pub(super) fn capsule(plane: &Shape, capsule: &Shape) -> [Point; 2] {
    let [radius, half, _] = capsule.size;
    let (normal, axis) = (plane.mat.z, capsule.mat.z);
    let frame = frame_along(normal, axis);
    let middle = height(plane, capsule) - radius;
    let (rise, arm) = (half * normal.dot(axis), axis * half);
    [(rise, arm), (-rise, -arm)].map(|(rise, arm)| {
        let distance = middle + rise;
        Point {
            distance,
            pos: capsule.pos + arm - normal * (0.5 * distance + radius),
            frame,
        }
    })
}

/// Plane and box: the four corners below the box's centre.
///
/// A corner at `c` from the centre is below it by `−n·c`, and the opposite corner above it by as much: of each of the
/// four pairs of opposite corners, one is below. MuJoCo takes the first four of the eight, in the order of their
/// signs, that are not above: the same, unless opposite corners are level with the centre, which only counts when
/// half the box is below the plane.
pub(super) fn cuboid(plane: &Shape, cuboid: &Shape) -> [Point; 4] {
    let normal = plane.mat.z;
    let frame = frame(normal);
    let middle = height(plane, cuboid);
    let columns = cuboid.mat.columns();
    let [x, y, z]: [Vec3; 3] = from_fn(|k| columns[k] * cuboid.size[k]);
    let (sum, difference) = (x + y, x - y);
    [sum + z, sum - z, difference + z, difference - z].map(|corner| {
        let rise = normal.dot(corner);
        let distance = middle - rise.abs();
        let corner = select(rise.gt(0.0), -corner, corner);
        Point {
            distance,
            pos: halfway(plane, cuboid.pos + corner, distance),
            frame,
        }
    })
}

/// Plane and ellipsoid: its lowest point, `−D² n / |D n|` with the radii D and the normal n in its frame.
pub(super) fn ellipsoid(plane: &Shape, ellipsoid: &Shape) -> Point {
    let normal = ellipsoid.mat.transposed_mul(plane.mat.z).to_array();
    let scaled = Vec3::from(from_fn(|k| normal[k] * ellipsoid.size[k]));
    let support = scaled.norm();
    let scaled = scaled.to_array();
    let inverse = -support.recip();
    let lowest = Vec3::from(from_fn(|k| scaled[k] * ellipsoid.size[k] * inverse));
    let distance = height(plane, ellipsoid) - support;
    let lowest = ellipsoid.pos + ellipsoid.mat * lowest;
    Point::new(distance, halfway(plane, lowest, distance), plane.mat.z)
}

/// Plane and cylinder: the lowest points of both rims, and two more of the lower rim, which make a triangle.
pub(super) fn cylinder(plane: &Shape, cylinder: &Shape) -> [Point; 4] {
    // Below this squared tilt, f32 does not know which way a cylinder leans.
    const SQUARED_NOISE: f64 = 1e-12;
    let [radius, half, _] = cylinder.size;
    let normal = plane.mat.z;
    let frame = frame(normal);
    let cosine = normal.dot(cylinder.mat.z);
    // The axis towards the plane, and the direction down the cap; X where the cap is level.
    let (axis, cosine) = select(
        cosine.gt(0.0),
        (-cylinder.mat.z, -cosine),
        (cylinder.mat.z, cosine),
    );
    let down = axis * cosine - normal;
    let squared = down.norm_squared();
    let down = select(
        squared.lt(SQUARED_NOISE),
        cylinder.mat.x,
        down * squared.max(SQUARED_NOISE).sqrt().recip(),
    );
    let side = down.cross(axis);

    let middle = height(plane, cylinder);
    let (end, drop) = (axis * half, cosine * half);
    let (rim, rim_drop) = (down * radius, radius * down.dot(normal));
    let beside = side * (radius * (0.75f64).sqrt());
    [
        (end + rim, drop + rim_drop),
        (rim - end, rim_drop - drop),
        (end - rim * 0.5 + beside, drop - 0.5 * rim_drop),
        (end - rim * 0.5 - beside, drop - 0.5 * rim_drop),
    ]
    .map(|(arm, rise)| {
        let distance = middle + rise;
        Point {
            distance,
            pos: halfway(plane, cylinder.pos + arm, distance),
            frame,
        }
    })
}
