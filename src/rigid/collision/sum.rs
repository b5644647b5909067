//! The sum of two shapes as parts with simple supports, and the derivatives of how far a direction separates the shapes
//! (see [`convex`](super::convex)).

use std::array::from_fn;

use super::{Shape, frame};
use crate::math::{MIN_VALUE, Mat3, Vec3};
use crate::model::Geom;
use crate::trace::{Bits, Var, select};

/// A segment through its shape's centre.
#[derive(Clone, Copy)]
pub(super) struct Segment {
    pub(super) axis: Vec3,
    pub(super) half: Var,
    pub(super) is_first: bool,
}

/// A disc around its shape's centre.
#[derive(Clone, Copy)]
pub(super) struct Disc {
    pub(super) axis: Vec3,
    pub(super) radius: Var,
    pub(super) is_first: bool,
}

/// An ellipsoid around its shape's centre: its axes scaled by its radii.
#[derive(Clone, Copy)]
pub(super) struct Ellipsoid {
    pub(super) axes: [Vec3; 3],
    pub(super) is_first: bool,
}

/// The parts of two shapes, and the way from the first to the second.
pub(super) struct Sum {
    pub(super) apart: Vec3,
    /// The first shape's axes.
    pub(super) frame: Mat3,
    pub(super) segments: Vec<Segment>,
    pub(super) discs: Vec<Disc>,
    pub(super) ellipsoids: Vec<Ellipsoid>,
    /// Of the balls.
    pub(super) radius: Var,
    /// Of the first shape's ball.
    pub(super) first_radius: Var,
    /// The sum of all parts' sizes.
    pub(super) size: Var,
}

/// The value of a function on the sphere at a place, with slope and curvature along two tangents.
///
/// The curvature of K is that of its support function; the function's own on the sphere is `−(curvature + value)`.
pub(super) struct Local {
    pub(super) tangents: [Vec3; 2],
    pub(super) value: Var,
    pub(super) slope: [Var; 2],
    /// Along the first tangent, mixed, along the second.
    pub(super) curvature: [Var; 3],
}

impl Sum {
    pub(super) fn new(a: &Shape, b: &Shape) -> Self {
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
    pub(super) fn separation(&self, normal: Vec3) -> Var {
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

    /// s with its kinks rounded off, but for the balls.
    pub(super) fn rounded_separation(&self, normal: Vec3, rounding: Var) -> Var {
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
    pub(super) fn rounded(&self, normal: Vec3, rounding: Var) -> Local {
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

    /// The derivatives of s itself, on a stratum: everywhere, or along a kink.
    ///
    /// There the other segments have the side that they have at the direction; that of the kink is across. So that
    /// there is one way to step, the direction off the kink has no slope.
    pub(super) fn sharp(&self, normal: Vec3, stratum: Bits, kink: Vec3) -> Local {
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
}

impl Ellipsoid {
    /// A direction in the ellipsoid's frame, scaled by the radii.
    pub(super) fn scaled(&self, direction: Vec3) -> Vec3 {
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
    pub(super) fn newton(&self, own: Var, longest: f64) -> Vec3 {
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
