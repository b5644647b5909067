//! Where two shapes touch, once the direction is known in which they do (see [`convex`](super::convex)).

use super::frame;
use super::sum::Sum;
use crate::math::{MIN_VALUE, Vec3};
use crate::trace::{Var, repeat, select};

/// Part of their squared size that is added to a matrix of flat parts, so that it is not singular.
const ADDED: f64 = 1e-7;
/// Sine of the angle between a direction and a flat part below which the part's extent counts as perpendicular to it:
/// beyond the rounding of f32.
const FLAT: f64 = 4e-6;
/// Sweeps at most that share what flat parts have to reach: see [`share`] …
const SWEEPS: u32 = 16;
/// … until what is left is shorter than this, squared, m².
const REACHED: f64 = 1e-20;

/// Half way between the surfaces relative to the first shape's centre, where the direction n is the deepest.
///
/// Every part adds its place furthest along n to its shape. What then is left of d − n s across n, the flat parts
/// make up for.
pub(super) fn middle(sum: &Sum, normal: Vec3) -> Vec3 {
    let mut places = Places::default();
    let mut flat = Vec::new();
    for part in &sum.segments {
        let along = part.axis.dot(normal);
        let is_flat = along.abs().lt(FLAT);
        let half = select(along.lt(0.0), -part.half, part.half);
        places.add(part.is_first, part.axis * select(is_flat, Var::ZERO, half));
        let across = part.axis - normal * along;
        let half = select(is_flat, part.half, Var::ZERO);
        flat.push((part.is_first, Flat::Segment(across, half)));
    }
    for part in &sum.discs {
        let along = part.axis.dot(normal);
        // The rim's place is the part of n across the axis, as long as the radius.
        let across = normal - part.axis * along;
        let length = part.axis.cross(normal).norm();
        let is_flat = length.lt(FLAT);
        let scale = part.radius * length.max(FLAT).recip();
        places.add(part.is_first, across * select(is_flat, Var::ZERO, scale));
        let radius = select(is_flat, part.radius, Var::ZERO);
        flat.push((part.is_first, Flat::Disc(radius)));
    }
    for part in &sum.ellipsoids {
        let scaled = part.scaled(normal);
        let unit = (scaled * scaled.norm().max(MIN_VALUE).recip()).to_array();
        let place = (0..3).fold(Vec3::ZERO, |sum, k| sum + part.axes[k] * unit[k]);
        places.add(part.is_first, place);
    }
    if !flat.is_empty() {
        let rest = sum.apart - places.both;
        let rest = rest - normal * normal.dot(rest);
        let parts: Vec<Flat> = flat.iter().map(|(_, part)| *part).collect();
        for ((is_first, _), place) in flat.iter().zip(share(&parts, rest, normal)) {
            places.add(*is_first, place);
        }
    }
    let gap = sum.apart - places.both - normal * sum.radius;
    places.first + normal * sum.first_radius + gap * 0.5
}

/// Sums of places in parts: those of the first shape, and all.
struct Places {
    first: Vec3,
    both: Vec3,
}

impl Default for Places {
    fn default() -> Self {
        Self {
            first: Vec3::ZERO,
            both: Vec3::ZERO,
        }
    }
}

impl Places {
    fn add(&mut self, is_first: bool, place: Vec3) {
        self.both += place;
        if is_first {
            self.first += place;
        }
    }
}

/// A part that is flat across the normal, with how far it extends from its middle; zero where it is not flat.
#[derive(Clone, Copy)]
enum Flat {
    /// Axis across the normal, and half length.
    Segment(Vec3, Var),
    Disc(Var),
}

/// Places in flat parts that add up to a place across the normal.
///
/// The smallest ones relative to the parts' sizes have `Gᵢ Gᵢᵀ y` with `(Σ Gᵢ Gᵢᵀ) y = place` (a segment is G = L a, a
/// disc r times the identity). Where one is outside of its part, the others take what it leaves, in turns.
fn share(parts: &[Flat], place: Vec3, normal: Vec3) -> Vec<Vec3> {
    let [_, e1, e2] = frame(normal);
    let flatten = |v: Vec3| [v.dot(e1), v.dot(e2)];
    let [x, y] = flatten(place);
    let (mut xx, mut xy, mut yy) = (Var::ZERO, Var::ZERO, Var::ZERO);
    for part in parts {
        match *part {
            Flat::Segment(axis, half) => {
                let [a, b] = flatten(axis * half);
                (xx, xy, yy) = (xx + a * a, xy + a * b, yy + b * b);
            }
            Flat::Disc(radius) => {
                (xx, yy) = (xx + radius.square(), yy + radius.square());
            }
        }
    }
    // One segment alone, or parallel ones, make a matrix of rank one. So a little is added to it, and what that does to
    // the solution is corrected twice.
    let added = ADDED * (xx + yy).max(MIN_VALUE);
    let scale = ((xx + added) * (yy + added) - xy.square())
        .max(MIN_VALUE)
        .recip();
    let (mut u, mut v) = (Var::ZERO, Var::ZERO);
    for _ in 0..3 {
        let (x, y) = (x - xx * u - xy * v, y - xy * u - yy * v);
        u += ((yy + added) * x - xy * y) * scale;
        v += ((xx + added) * y - xy * x) * scale;
    }
    let weight = e1 * u + e2 * v;
    let inside = |part: &Flat, place: Vec3| match *part {
        Flat::Segment(axis, half) => {
            let along = axis.dot(place) / axis.norm_squared().max(MIN_VALUE);
            axis * along.clamp(-half, half)
        }
        Flat::Disc(radius) => place * (radius / place.norm().max(MIN_VALUE)).min(1.0),
    };
    let places: Vec<Vec3> = parts
        .iter()
        .map(|part| match *part {
            Flat::Segment(axis, half) => inside(part, axis * (axis.dot(weight) * half.square())),
            Flat::Disc(radius) => inside(part, weight * radius.square()),
        })
        .collect();
    let rest = |places: &[Vec3]| places.iter().fold(place, |rest, &other| rest - other);
    repeat(
        SWEEPS,
        places,
        |places| rest(places).norm_squared().gt(REACHED),
        |mut places, _| {
            for (k, part) in parts.iter().enumerate() {
                places[k] = inside(part, rest(&places) + places[k]);
            }
            places
        },
    )
}
