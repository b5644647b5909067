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
