//! A sphere against shapes that are round where they touch it.

use super::{Point, Shape};
use crate::math::{MIN_VALUE, Vec3};
use crate::trace::{Var, when};

/// A ball somewhere on a shape, which touches by its surface.
#[derive(Clone, Copy)]
pub(super) struct Ball {
    pub(super) pos: Vec3,
    pub(super) radius: Var,
    /// An axis of its shape, that a normal is made of where there is none.
    pub(super) axis: Vec3,
}

impl Ball {
    /// A shape's radius around a point.
    pub(super) fn of(shape: &Shape, pos: Vec3) -> Self {
        Self {
            pos,
            radius: shape.size[0],
            axis: shape.mat.z,
        }
    }

    /// Where two balls touch. Balls with the same centre touch across their shapes' axes, or along X where those are
    /// parallel.
    pub(super) fn touch(self, other: Self) -> Point {
        let apart = other.pos - self.pos;
        let length = apart.norm();
        let normal = apart * length.max(MIN_VALUE).recip();
        let normal = when(length.lt(MIN_VALUE), normal, |_| {
            self.axis.cross(other.axis).normalize().0
        });
        let distance = length - self.radius - other.radius;
        let pos = self.pos + normal * (self.radius + 0.5 * distance);
        Point::new(distance, pos, normal)
    }
}

/// The ball inside a capsule that is nearest to a point.
pub(super) fn nearest_ball(capsule: &Shape, to: Vec3) -> Ball {
    let [_, half, _] = capsule.size;
    let axis = capsule.mat.z;
    let along = axis.dot(to - capsule.pos).clamp(-half, half);
    Ball::of(capsule, capsule.pos + axis * along)
}

/// Two spheres.
pub(super) fn sphere(a: &Shape, b: &Shape) -> Point {
    Ball::of(a, a.pos).touch(Ball::of(b, b.pos))
}

/// Sphere and capsule: the nearest of the balls in the capsule.
pub(super) fn capsule(sphere: &Shape, capsule: &Shape) -> Point {
    Ball::of(sphere, sphere.pos).touch(nearest_ball(capsule, sphere.pos))
}
