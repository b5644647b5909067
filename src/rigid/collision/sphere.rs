//! A sphere against other shapes.

use std::array::from_fn;

use super::{Point, Shape};
use crate::math::{MIN_VALUE, Vec3};
use crate::trace::{Var, select, when};

/// The square of the part of their coordinates by which `f32` may misplace two points against one another.
pub(super) const SQUARED_NOISE: f64 = 1e-13;

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
        let scale = self.pos.norm_squared() + self.radius.square();
        self.touch_beyond(other, SQUARED_NOISE * scale)
    }

    /// The same, where centres that are nearer than the root of `squared_noise`, m², have no direction from one to the
    /// other.
    ///
    /// Links that meet in a joint have such balls by construction, and rounding leaves them apart. MuJoCo, in `f64`,
    /// draws the line at 1e-15 m.
    pub(super) fn touch_beyond(self, other: Self, squared_noise: Var) -> Point {
        let apart = other.pos - self.pos;
        let length = apart.norm();
        let normal = apart * length.max(MIN_VALUE).recip();
        let concentric = apart.norm_squared().le(squared_noise);
        let normal = when(concentric, normal, |_| {
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

/// Sphere and box.
pub(super) fn cuboid(sphere: &Shape, cuboid: &Shape) -> Point {
    let centre = cuboid.mat.transposed_mul(sphere.pos - cuboid.pos);
    ball_and_cuboid(centre, sphere.size[0], cuboid)
}

/// A ball with its centre in the box's frame: towards the nearest point of the box, or of its surface where the centre
/// is inside.
pub(super) fn ball_and_cuboid(centre: Vec3, radius: Var, cuboid: &Shape) -> Point {
    let coordinates = centre.to_array();
    let half = cuboid.size;
    let nearest: [Var; 3] = from_fn(|k| coordinates[k].clamp(-half[k], half[k]));
    let outward = Vec3::from(nearest) - centre;
    let length = outward.norm();
    let outside = (
        length,
        outward * length.max(MIN_VALUE).recip(),
        Vec3::from(nearest),
    );
    // Inside, the nearest face counts, the earlier axis where two are as near; the normal points into the box.
    let depths: [Var; 3] = from_fn(|k| half[k] - coordinates[k].abs());
    let second = depths[1].lt(depths[0]);
    let depth = select(second, depths[1], depths[0]);
    let third = depths[2].lt(depth);
    let depth = select(third, depths[2], depth);
    let is_nearest = [!(second | third), second & !third, third];
    let inward = Vec3::from(from_fn(|k| {
        let sign = select(coordinates[k].gt(0.0), -Var::ONE, Var::ONE);
        select(is_nearest[k], sign, Var::ZERO)
    }));
    let inside = (-depth, inward, centre - inward * depth);

    let (distance, normal, surface) = select(length.le(MIN_VALUE), inside, outside);
    let pos = (surface + centre + normal * radius) * 0.5;
    Point::new(
        distance - radius,
        cuboid.pos + cuboid.mat * pos,
        cuboid.mat * normal,
    )
}

/// Sphere and cylinder: its side, a cap, or the rim between them.
pub(super) fn cylinder(sphere: &Shape, cylinder: &Shape) -> Point {
    let [radius, half, _] = cylinder.size;
    let axis = cylinder.mat.z;
    let apart = sphere.pos - cylinder.pos;
    let along = axis.dot(apart);
    let aside = apart - axis * along;
    let off = aside.norm();
    let beside = along.abs().lt(half);
    let above = off.lt(radius);
    // Inside, the nearer of side and cap counts.
    let cap_is_nearer = (half - along.abs()).lt(radius - off);
    let on_side = beside & !(above & cap_is_nearer);
    let on_cap = above & !on_side;

    // Each is a ball: around the axis for the side, with its surface on the cap, or a point on the rim.
    let outward = select(along.gt(0.0), axis, -axis);
    let side = (cylinder.pos + axis * along, radius);
    let cap = (sphere.pos - outward * (along.abs() + half), 2.0 * half);
    let on_rim = aside * (radius / off.max(MIN_VALUE)) + outward * half;
    let rim = (cylinder.pos + on_rim, Var::ZERO);
    let (pos, radius) = select(on_side, side, select(on_cap, cap, rim));
    Ball::of(sphere, sphere.pos).touch(Ball { pos, radius, axis })
}

/// Sphere and ellipsoid: towards the point of the ellipsoid's surface that is nearest to the sphere's centre.
///
/// With radii d and the centre c in the ellipsoid's frame, that point is x = d² c / (t + d²), component by component,
/// for the largest t with Σ y² = 1, y = d c / (t + d²): the nearest point lies along the surface's normal x / d². With
/// s = t + min d², which keeps its precision near 0, f(s) = Σ y² and 1/√f almost linear in s, Newton's steps
/// s + f (√f − 1) / Σ (y² / (t + d²)) converge from below (Moré and Sorensen, Computing a Trust Region Step, 1983, have
/// the same equation). A term alone makes f = 1 at t = d |c| − d²: the largest of these is below the root.
pub(super) fn ellipsoid(sphere: &Shape, ellipsoid: &Shape) -> Point {
    const STEPS: usize = 7;
    let radius = sphere.size[0];
    let centre = ellipsoid.mat.transposed_mul(sphere.pos - ellipsoid.pos);
    let radii = ellipsoid.size;
    let smallest = radii[0].min(radii[1]).min(radii[2]);
    // On a plane of symmetry inside there are two nearest points: a place just off it chooses one.
    let coordinates = centre.to_array().map(|c| {
        let off = 1e-6 * smallest;
        select(c.abs().lt(off), select(c.lt(0.0), -off, off), c)
    });
    let excess: [Var; 3] = from_fn(|k| radii[k].square() - smallest.square());
    let scaled: [Var; 3] = from_fn(|k| radii[k] * coordinates[k]);
    let mut s = (0..3)
        .map(|k| scaled[k].abs() - excess[k])
        .reduce(|a, b| a.max(b))
        .expect("three axes");
    let terms = |s: Var| from_fn::<Var, 3, _>(|k| scaled[k] / (s + excess[k]));
    for _ in 0..STEPS {
        let y = terms(s);
        let f = Vec3::from(y).norm_squared();
        let slope = (0..3).map(|k| y[k].square() / (s + excess[k])).sum::<Var>();
        s += f * (f.sqrt() - 1.0) / slope;
    }
    let y = terms(s);
    let surface = Vec3::from(from_fn(|k| radii[k] * y[k]));
    let outward = Vec3::from(from_fn(|k| y[k] / radii[k]));
    let outward = outward * outward.norm().recip();
    let distance = outward.dot(centre - surface) - radius;
    let pos = surface + outward * (0.5 * distance);
    Point::new(
        distance,
        ellipsoid.pos + ellipsoid.mat * pos,
        ellipsoid.mat * -outward,
    )
}
