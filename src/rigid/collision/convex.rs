//! Pairs without a closed form, exact to rounding: the deepest (or nearest) contact of convex shapes made of balls,
//! segments, discs and ellipsoids (MuJoCo's `mjc_Convex`, which iterates on polytopes).
//!
//! Two shapes whose centres are d apart touch like the point d and the sum K of both shapes (all are symmetric). Along
//! a unit direction n the separation is `s(n) = n·d − Σ hᵢ(n)`, with the support hᵢ of every part of either shape:
//!
//! | part | support h(n) | edges: where h has a kink |
//! |---|---|---|
//! | ball | ρ | |
//! | segment, half length L along the unit a (capsule, cylinder; a box has three) | L abs(a·n) | n ⊥ a |
//! | disc of radius r around the unit a (cylinder) | r norm(a × n) | n = ±a |
//! | ellipsoid with radii D and axes R | norm(D Rᵀ n) | |
//!
//! The signed distance is the largest s over all unit n, and n its normal: every n whatever is a bound, so candidates
//! can only be better or worse, never wrong. The search has no polytope, no list and no allocation:
//!
//! 1. Corners, where two kinks meet, are evaluated: face normals, axes of discs, products of edges. Where one of them
//!    separates beyond reach, there is no contact.
//! 2. Ascent: Newton's method on the sphere for s with its kinks rounded off by ε (segments and discs get the thickness
//!    ε), damped as by Levenberg and Marquardt; ε shrinks with every step, as the barrier of an interior point method
//!    does. For shapes that do not overlap s is concave where it is positive, and the maximum is the only one.
//!    For those that do, the best of several directions over a hemisphere start it again.
//! 3. On each stratum near there, away from the kinks and on each of them, Newton's method without rounding off.
//!
//! Points on both surfaces follow from the gradient: d − n s is a point of K, and the parts whose support is flat
//! across n share what the others leave, the nearer to their middles the better. So where faces lie on each other, the
//! point is inside the patch.

use std::array::from_fn;

use super::sum::Sum;
use super::{ABSENT, Point, Shape, frame, near, witness};
use crate::math::Vec3;
use crate::model::Geom;
use crate::trace::{Bits, Carry, Mask, Slot, Var, repeat, select, when};

/// How many Newton steps the ascent takes.
const STEPS: u32 = 28;
/// What kinks are rounded off by in its first step, relative to the part's size …
const FIRST_ROUNDING: f64 = 0.3;
/// … and by how much less in every other one: 2e-6 in the last.
const SHARPENING: f64 = 0.638_8;
/// The largest step, rad.
const MAX_STEP: f64 = 0.7;
/// How many Newton steps each stratum gets at most …
const POLISHING: u32 = 6;
/// … until one is shorter than this, squared, rad²: then the next one is nothing in f64.
const SHORT: f64 = 1e-16;
/// The largest of them, rad.
const MAX_POLISHING: f64 = 0.3;
/// Separations that differ by less, relative to the shapes' size, are equal up to the rounding of f32.
const NOISE: f64 = 1e-7;
/// Squared sine of the angle below which two edges make no corner.
const PARALLEL: f64 = 1e-12;

/// A direction and how far it separates the shapes but for their balls.
#[derive(Clone, Copy)]
struct Best {
    separation: Var,
    normal: Vec3,
}

impl Carry for Best {
    fn slots(&mut self, visit: &mut dyn FnMut(Slot<'_>)) {
        self.separation.slots(visit);
        self.normal.slots(visit);
    }
}

impl Best {
    fn or(self, other: Self) -> Self {
        select(other.separation.gt(self.separation), other, self)
    }
}

/// The contact of two shapes of which neither is a plane.
pub(super) fn contact(a: &Shape, b: &Shape, reach: Var) -> Point {
    let sum = Sum::new(a, b);
    let nothing = (Var::from(ABSENT), Vec3::ZERO, Vec3::new(1.0, 0.0, 0.0));
    let is_near = near((a, bound(a)), (b, bound(b)), reach);
    let (distance, pos, normal) = when(is_near, nothing, |nothing| {
        let corner = sum.corners();
        let may_touch = corner.separation.le(sum.radius + reach);
        when(may_touch, nothing, |_| {
            let Best { separation, normal } = sum.deepest(corner);
            let pos = witness::middle(&sum, normal);
            (separation - sum.radius, a.pos + pos, normal)
        })
    });
    Point {
        distance,
        pos,
        frame: frame(normal),
    }
}

/// The squared radius of a ball around a shape.
fn bound(shape: &Shape) -> Var {
    let [x, y, z] = shape.size;
    match shape.kind {
        Geom::Sphere => x.square(),
        Geom::Capsule => (x + y).square(),
        Geom::Cylinder => x.square() + y.square(),
        Geom::Ellipsoid => x.max(y).max(z).square(),
        _ => Vec3::from(shape.size).norm_squared(),
    }
}

impl Sum {
    /// A direction, or the opposite one where that separates more: K is symmetric.
    fn candidate(&self, normal: Vec3) -> Best {
        let backward = self.apart.dot(normal).lt(0.0);
        let normal = select(backward, -normal, normal);
        Best {
            separation: self.separation(normal),
            normal,
        }
    }

    /// The best of the directions where kinks meet, and of that between the centres.
    fn corners(&self) -> Best {
        let mut best = self.candidate(self.apart.normalize().0);
        for disc in &self.discs {
            best = best.or(self.candidate(disc.axis));
        }
        for (k, first) in self.segments.iter().enumerate() {
            for second in &self.segments[k + 1..] {
                if first.is_first == second.is_first {
                    continue; // of one box: below
                }
                let cross = first.axis.cross(second.axis);
                let squared = cross.norm_squared();
                let normal = cross * squared.max(PARALLEL).sqrt().recip();
                let found = self.candidate(normal);
                best = select(squared.ge(PARALLEL), best.or(found), best);
            }
        }
        for is_first in [true, false] {
            let own = self.segments.iter().filter(|s| s.is_first == is_first);
            let axes: Vec<Vec3> = own.map(|segment| segment.axis).collect();
            if axes.len() == 3 {
                // Perpendicular: each is the product of the two others.
                for axis in axes {
                    best = best.or(self.candidate(axis));
                }
            }
        }
        best
    }

    /// The direction with the largest separation: from that between the centres, and again while the shapes overlap.
    fn deepest(&self, corner: Best) -> Best {
        let others = self.starts();
        let initial = (corner, Bits::ZERO);
        let goes_on = |(best, k): &(Best, Bits)| k.eq(0) | best.separation.lt(self.radius);
        let (best, _) = repeat(1 + others.len() as u32, initial, goes_on, |(best, _), k| {
            let mut start = self.apart.normalize().0;
            for (other, at) in others.iter().zip(1..) {
                start = select(k.eq(at), other.normal, start);
            }
            (self.polished(self.ascended(start), best), k + 1)
        });
        best
    }

    /// The best of the directions of a hemisphere with components −1, 0 and 1 in the first shape's frame: of the 3
    /// along an axis, of the 6 between two, and of the 4 between three.
    ///
    /// The components are the digits to the base 3, less 1, of 14 to 26.
    fn starts(&self) -> [Best; 3] {
        let nothing = Best {
            separation: Var::from(-ABSENT),
            normal: Vec3::new(1.0, 0.0, 0.0),
        };
        repeat(
            13,
            [nothing; 3],
            |_| Mask::from(true),
            |best, k| {
                let number = k + 14;
                let digit = |x: Bits| (x % 3).to_var() - 1.0;
                let direction = Vec3::new(digit(number), digit(number / 3), digit(number / 9));
                let axes = direction.norm_squared();
                let found = self.candidate((self.frame * direction).normalize().0);
                from_fn(|k| select(axes.eq(k as f64 + 1.0), best[k].or(found), best[k]))
            },
        )
    }

    /// Step 2 of the search from a direction.
    fn ascended(&self, start: Vec3) -> Vec3 {
        let initial = (start, Var::from(FIRST_ROUNDING), Var::ZERO);
        let (normal, ..) = repeat(
            STEPS,
            initial,
            |_| Mask::from(true),
            |(normal, rounding, damping), _| {
                let at = self.rounded(normal, rounding);
                let [xx, xy, yy] = at.curvature;
                let half_trace = 0.5 * (xx + yy);
                let spread = ((0.5 * (xx - yy)).square() + xy.square()).sqrt();
                // Where s has no maximum nearby, the curvature of s is turned round.
                let concave = (half_trace - spread + at.value).gt(1e-3 * at.value.abs());
                let own = select(concave, at.value, at.value.abs() + 1e-3 * self.size);
                let step = at.newton(own + damping, MAX_STEP);
                let there = (normal + step).normalize().0;
                let better =
                    (self.rounded_separation(there, rounding) + NOISE * self.size).ge(at.value);
                let more = (4.0 * damping).max(0.1 * (half_trace + at.value.abs()));
                (
                    select(better, there, normal),
                    rounding * SHARPENING,
                    select(better, 0.1 * damping, more),
                )
            },
        );
        normal
    }

    /// Step 3 of the search: the best of what is known and of the strata near a direction.
    fn polished(&self, normal: Vec3, best: Best) -> Best {
        let strata = 1 + self.segments.len() as u32;
        repeat(
            strata,
            best,
            |_| Mask::from(true),
            |best, stratum| {
                // On a kink, its segment's axis; null for the first stratum, which is everywhere.
                let mut kink = Vec3::ZERO;
                for (k, part) in self.segments.iter().enumerate() {
                    kink = select(stratum.eq(k as u32 + 1), part.axis, kink);
                }
                let start = (normal - kink * kink.dot(normal)).normalize().0;
                let (found, _) = repeat(
                    POLISHING,
                    (start, Var::ONE),
                    |(_, moved)| moved.gt(SHORT),
                    |(normal, _), _| {
                        let at = self.sharp(normal, stratum, kink);
                        let step = at.newton(at.value, MAX_POLISHING);
                        // The kink's own direction is exact, not what rounding leaves of it.
                        let there = normal + step;
                        let there = (there - kink * kink.dot(there)).normalize().0;
                        let better = (self.separation(there) + NOISE * self.size)
                            .ge(self.separation(normal));
                        (
                            select(better, there, normal),
                            select(better, step.norm_squared(), Var::ZERO),
                        )
                    },
                );
                best.or(self.candidate(found))
            },
        )
    }
}
