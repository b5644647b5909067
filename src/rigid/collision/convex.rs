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

use super::{ABSENT, Point, Shape, frame, near};
use crate::math::{MIN_VALUE, Mat3, Vec3};
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
/// Sine of the angle between a direction and a flat part below which the part's extent counts as perpendicular to it:
/// beyond the rounding of f32.
const FLAT: f64 = 4e-6;
/// Squared sine of the angle below which two edges make no corner.
const PARALLEL: f64 = 1e-12;
/// Sweeps at most that share what flat parts have to reach: see [`share`] …
const SWEEPS: u32 = 16;
/// … until what is left is shorter than this, squared, m².
const REACHED: f64 = 1e-20;

/// A segment through its shape's centre.
#[derive(Clone, Copy)]
struct Segment {
    axis: Vec3,
    half: Var,
    is_first: bool,
}

/// A disc around its shape's centre.
#[derive(Clone, Copy)]
struct Disc {
    axis: Vec3,
    radius: Var,
    is_first: bool,
}

/// An ellipsoid around its shape's centre: its axes scaled by its radii.
#[derive(Clone, Copy)]
struct Ellipsoid {
    axes: [Vec3; 3],
    is_first: bool,
}

/// The parts of two shapes, and the way from the first to the second.
struct Sum {
    apart: Vec3,
    /// The first shape's axes.
    frame: Mat3,
    segments: Vec<Segment>,
    discs: Vec<Disc>,
    ellipsoids: Vec<Ellipsoid>,
    /// Of the balls.
    radius: Var,
    /// Of the first shape's ball.
    first_radius: Var,
    /// The sum of all parts' sizes.
    size: Var,
}

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

/// The value of a function on the sphere at a place, with slope and curvature along two tangents.
///
/// The curvature of K is that of its support function; the function's own on the sphere is `−(curvature + value)`.
struct Local {
    tangents: [Vec3; 2],
    value: Var,
    slope: [Var; 2],
    /// Along the first tangent, mixed, along the second.
    curvature: [Var; 3],
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
            let pos = sum.middle(normal);
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
    fn new(a: &Shape, b: &Shape) -> Self {
        let mut sum = Self {
            apart: b.pos - a.pos,
            frame: a.mat,
            segments: Vec::new(),
            discs: Vec::new(),
            ellipsoids: Vec::new(),
            radius: Var::ZERO,
            first_radius: Var::ZERO,
            size: Var::ZERO,
        };
        sum.add(a, true);
        sum.first_radius = sum.radius;
        sum.add(b, false);
        sum
    }

    fn add(&mut self, shape: &Shape, is_first: bool) {
        let [x, y, z] = shape.size;
        let segment = |axis: Vec3, half: Var| Segment {
            axis,
            half,
            is_first,
        };
        match shape.kind {
            Geom::Capsule => {
                self.segments.push(segment(shape.mat.z, y));
                self.radius += x;
                self.size += y;
            }
            Geom::Cylinder => {
                self.segments.push(segment(shape.mat.z, y));
                self.discs.push(Disc {
                    axis: shape.mat.z,
                    radius: x,
                    is_first,
                });
                self.size += x + y;
            }
            Geom::Box => {
                let axes = shape.mat.columns().into_iter().zip(shape.size);
                self.segments
                    .extend(axes.map(|(axis, half)| segment(axis, half)));
                self.size += x + y + z;
            }
            Geom::Ellipsoid => {
                let columns = shape.mat.columns();
                self.ellipsoids.push(Ellipsoid {
                    axes: from_fn(|k| columns[k] * shape.size[k]),
                    is_first,
                });
                self.size += x + y + z;
            }
            kind => panic!("{} is no sum of parts", kind.keyword()),
        }
    }

    /// s but for the balls.
    fn separation(&self, normal: Vec3) -> Var {
        let segments = self.segments.iter();
        let discs = self.discs.iter();
        let ellipsoids = self.ellipsoids.iter();
        self.apart.dot(normal)
            - segments
                .map(|part| part.half * part.axis.dot(normal).abs())
                .chain(discs.map(|part| part.radius * part.axis.cross(normal).norm()))
                .chain(ellipsoids.map(|part| part.scaled(normal).norm()))
                .sum::<Var>()
    }

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

    /// s with its kinks rounded off, but for the balls.
    fn rounded_separation(&self, normal: Vec3, rounding: Var) -> Var {
        let squared = rounding.square();
        let segments = self
            .segments
            .iter()
            .map(|part| part.half * (part.axis.dot(normal).square() + squared).sqrt());
        let discs = self
            .discs
            .iter()
            .map(|part| part.radius * (part.axis.cross(normal).norm_squared() + squared).sqrt());
        let ellipsoids = self.ellipsoids.iter();
        let supports = segments
            .chain(discs)
            .chain(ellipsoids.map(|part| part.scaled(normal).norm()));
        self.apart.dot(normal) - supports.sum::<Var>()
    }

    /// The same with its derivatives.
    ///
    /// With a part's axis along the tangents, α, and along n, c, and q² = c² + ε² for a segment, α·α + ε² for a disc:
    ///
    /// | part | h | slope | curvature |
    /// |---|---|---|---|
    /// | segment | L q | L c α / q | L ε² (α αᵀ / q² + 1) / q |
    /// | disc | r q | −r c α / q | r (1 + ε²) (1 − α αᵀ / q²) / q |
    fn rounded(&self, normal: Vec3, rounding: Var) -> Local {
        let squared = rounding.square();
        let mut at = Local::new(self.apart, normal);
        for part in &self.segments {
            let (along, across) = at.components(part.axis, normal);
            let q_squared = along.square() + squared;
            let inverse = q_squared.sqrt().recip();
            let bend = part.half * squared * inverse;
            at.subtract(
                part.half * q_squared * inverse,
                across,
                part.half * along * inverse,
            );
            at.bend(across, bend * inverse.square(), bend);
        }
        for part in &self.discs {
            let (along, across) = at.components(part.axis, normal);
            let q_squared = across[0].square() + across[1].square() + squared;
            let inverse = q_squared.sqrt().recip();
            let bend = part.radius * (1.0 + squared) * inverse;
            at.subtract(
                part.radius * q_squared * inverse,
                across,
                -(part.radius * along * inverse),
            );
            at.bend(across, -bend * inverse.square(), bend);
        }
        for part in &self.ellipsoids {
            at.subtract_ellipsoid(part, normal);
        }
        at
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

    /// The derivatives of s itself, on a stratum: everywhere, or along a kink.
    ///
    /// There the other segments have the side that they have at the direction; that of the kink is across. So that
    /// there is one way to step, the direction off the kink has no slope.
    fn sharp(&self, normal: Vec3, stratum: Bits, kink: Vec3) -> Local {
        let mut at = Local::new(self.apart, normal);
        for (k, part) in self.segments.iter().enumerate() {
            let (along, across) = at.components(part.axis, normal);
            let side = select(along.lt(0.0), -part.half, part.half);
            let side = select(stratum.eq(k as u32 + 1), Var::ZERO, side);
            at.subtract(side * along, across, side);
        }
        for part in &self.discs {
            let (along, across) = at.components(part.axis, normal);
            let q_squared = (across[0].square() + across[1].square()).max(1e-20);
            let inverse = q_squared.sqrt().recip();
            let bend = part.radius * inverse;
            at.subtract(
                part.radius * q_squared * inverse,
                across,
                -(part.radius * along * inverse),
            );
            at.bend(across, -bend * inverse.square(), bend);
        }
        for part in &self.ellipsoids {
            at.subtract_ellipsoid(part, normal);
        }
        let (_, off) = at.components(kink, normal);
        at.confined(off)
    }

    /// Half way between the surfaces relative to the first shape's centre, where the direction n is the deepest.
    ///
    /// Every part adds its place furthest along n to its shape. What then is left of d − n s across n, the flat parts
    /// make up for.
    fn middle(&self, normal: Vec3) -> Vec3 {
        let mut sums = Places::default();
        let mut flat = Vec::new();
        for part in &self.segments {
            let along = part.axis.dot(normal);
            let is_flat = along.abs().lt(FLAT);
            let half = select(along.lt(0.0), -part.half, part.half);
            sums.add(part.is_first, part.axis * select(is_flat, Var::ZERO, half));
            let across = part.axis - normal * along;
            let half = select(is_flat, part.half, Var::ZERO);
            flat.push((part.is_first, Flat::Segment(across, half)));
        }
        for part in &self.discs {
            let along = part.axis.dot(normal);
            // The rim's place is the part of n across the axis, as long as the radius.
            let across = normal - part.axis * along;
            let length = part.axis.cross(normal).norm();
            let is_flat = length.lt(FLAT);
            let scale = part.radius * length.max(FLAT).recip();
            sums.add(part.is_first, across * select(is_flat, Var::ZERO, scale));
            let radius = select(is_flat, part.radius, Var::ZERO);
            flat.push((part.is_first, Flat::Disc(radius)));
        }
        for part in &self.ellipsoids {
            let scaled = part.scaled(normal);
            let unit = (scaled * scaled.norm().max(MIN_VALUE).recip()).to_array();
            let place = (0..3).fold(Vec3::ZERO, |sum, k| sum + part.axes[k] * unit[k]);
            sums.add(part.is_first, place);
        }
        if !flat.is_empty() {
            let rest = self.apart - sums.both;
            let rest = rest - normal * normal.dot(rest);
            let parts: Vec<Flat> = flat.iter().map(|(_, part)| *part).collect();
            for ((is_first, _), place) in flat.iter().zip(share(&parts, rest, normal)) {
                sums.add(*is_first, place);
            }
        }
        let gap = self.apart - sums.both - normal * self.radius;
        sums.first + normal * self.first_radius + gap * 0.5
    }
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
    let added = NOISE * (xx + yy).max(MIN_VALUE);
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

impl Ellipsoid {
    /// A direction in the ellipsoid's frame, scaled by the radii.
    fn scaled(&self, direction: Vec3) -> Vec3 {
        Vec3::from(self.axes.map(|axis| axis.dot(direction)))
    }
}

impl Local {
    /// The linear function `apart·n`.
    fn new(apart: Vec3, normal: Vec3) -> Self {
        let [_, first, second] = frame(normal);
        Self {
            tangents: [first, second],
            value: apart.dot(normal),
            slope: [apart.dot(first), apart.dot(second)],
            curvature: [Var::ZERO; 3],
        }
    }

    /// A vector along the normal and along the tangents.
    fn components(&self, vector: Vec3, normal: Vec3) -> (Var, [Var; 2]) {
        let [first, second] = self.tangents;
        (vector.dot(normal), [vector.dot(first), vector.dot(second)])
    }

    /// Takes a support and its slope, a multiple of a vector, away.
    fn subtract(&mut self, support: Var, across: [Var; 2], slope: Var) {
        self.value -= support;
        self.slope[0] -= slope * across[0];
        self.slope[1] -= slope * across[1];
    }

    /// Adds curvature: `outer v vᵀ + all`.
    fn bend(&mut self, [x, y]: [Var; 2], outer: Var, all: Var) {
        self.curvature[0] += outer * x * x + all;
        self.curvature[1] += outer * x * y;
        self.curvature[2] += outer * y * y + all;
    }

    /// Takes an ellipsoid's support away: with `u = D Rᵀ n` of length q and V = D Rᵀ along the tangents, its slope is
    /// `Vᵀ u / q` = g, its curvature `(Vᵀ V − g gᵀ) / q`.
    fn subtract_ellipsoid(&mut self, part: &Ellipsoid, normal: Vec3) {
        let scaled = part.scaled(normal);
        let length = scaled.norm();
        let inverse = length.max(MIN_VALUE).recip();
        let [first, second] = self.tangents.map(|tangent| part.scaled(tangent));
        let (x, y) = (first.dot(scaled) * inverse, second.dot(scaled) * inverse);
        self.subtract(length, [x, y], Var::ONE);
        self.curvature[0] += (first.dot(first) - x * x) * inverse;
        self.curvature[1] += (first.dot(second) - x * y) * inverse;
        self.curvature[2] += (second.dot(second) - y * y) * inverse;
    }

    /// Without slope along a direction, and bent across to it only; unchanged where the direction is null.
    fn confined(self, [x, y]: [Var; 2]) -> Self {
        let squared = x.square() + y.square();
        let is_free = squared.lt(0.25);
        let scale = select(is_free, Var::ZERO, squared.max(0.25).recip());
        // With the unit vector w across: slope w wᵀ t, curvature (wᵀ C w) w wᵀ.
        let [xx, xy, yy] = [y * y * scale, -(x * y) * scale, x * x * scale];
        let [t1, t2] = self.slope;
        let [c11, c12, c22] = self.curvature;
        let bend = c11 * xx + 2.0 * c12 * xy + c22 * yy;
        let slope = [xx * t1 + xy * t2, xy * t1 + yy * t2];
        // Off the direction anything positive will do: there is no slope.
        let off = bend.abs() + self.value.abs();
        let curvature = [
            bend * xx + off * (1.0 - xx),
            (bend - off) * xy,
            bend * yy + off * (1.0 - yy),
        ];
        let (slope, curvature) = select(is_free, (self.slope, self.curvature), (slope, curvature));
        Self {
            slope,
            curvature,
            ..self
        }
    }

    /// The step `(curvature + own)⁻¹ slope`, no longer than `longest`; none where that is not positive.
    fn newton(&self, own: Var, longest: f64) -> Vec3 {
        let [xx, xy, yy] = self.curvature;
        let (xx, yy) = (xx + own, yy + own);
        let determinant = xx * yy - xy.square();
        let positive = determinant.gt(0.0) & (xx + yy).gt(0.0);
        let inverse = select(positive, determinant, Var::ONE).recip();
        let [x, y] = self.slope;
        let step = [(yy * x - xy * y) * inverse, (xx * y - xy * x) * inverse];
        let length = (step[0].square() + step[1].square()).sqrt();
        let scale = (longest / length.max(1e-20)).min(1.0);
        let scale = select(positive, scale, Var::ZERO);
        self.tangents[0] * (step[0] * scale) + self.tangents[1] * (step[1] * scale)
    }
}
