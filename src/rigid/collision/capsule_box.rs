//! Capsule and box: MuJoCo's two points (3.17, `mjc_CapsuleBox`).
//!
//! The place on the capsule's segment that is nearest to the box makes the first point. From there a second place is
//! sought along the segment, as far as it stays above the same face or edge of the box; which way, follows from what of
//! the box is nearest: a face, a corner, or an edge. Both are then balls against the box.

use std::array::from_fn;

use super::{ABSENT, Point, Shape, near, sphere};
use crate::math::{MIN_VALUE, Vec3};
use crate::trace::{Carry, Mask, Slot, Var, select, when};

/// A capsule's segment in the box's frame.
struct Segment {
    middle: [Var; 3],
    /// From its middle to its end; places on it are from −1 to 1.
    half: [Var; 3],
    length: Var,
}

/// What of the box is nearest to the segment.
#[derive(Clone)]
struct Nearest {
    squared: Var,
    /// The place on the segment.
    at: Var,
    /// An end of the segment is nearest to a face, or inside.
    is_face: Mask,
    /// The face's axis; none inside.
    face: [Mask; 3],
    /// An edge is nearest, and not at its end.
    is_edge: Mask,
    /// The edge's axis.
    edge: [Mask; 3],
    /// On which side of the box the corner is, or where the edge begins.
    corner: [Mask; 3],
    /// The place on the edge, from −1 to 1.
    on_edge: Var,
}

impl Carry for Nearest {
    fn slots(&mut self, visit: &mut dyn FnMut(Slot<'_>)) {
        self.squared.slots(visit);
        self.at.slots(visit);
        self.is_face.slots(visit);
        self.face.slots(visit);
        self.is_edge.slots(visit);
        self.edge.slots(visit);
        self.corner.slots(visit);
        self.on_edge.slots(visit);
    }
}

/// Capsule and box.
pub(super) fn capsule(capsule: &Shape, cuboid: &Shape, reach: Var) -> [Point; 2] {
    let [radius, length, _] = capsule.size;
    let is_near = near(
        (capsule, (radius + length).square()),
        (cuboid, Vec3::from(cuboid.size).norm_squared()),
        reach,
    );
    let nothing = [Point::absent(); 2];
    when(is_near, nothing, |_| touch(capsule, cuboid))
}

/// The points of a capsule and a box that may be near.
fn touch(capsule: &Shape, cuboid: &Shape) -> [Point; 2] {
    let [radius, length, _] = capsule.size;
    let local = |v: Vec3| cuboid.mat.transposed_mul(v);
    let middle = local(capsule.pos - cuboid.pos);
    let half = local(capsule.mat.z) * length;
    let segment = Segment {
        middle: middle.to_array(),
        half: half.to_array(),
        length,
    };
    let mut nearest = Nearest {
        squared: Var::from(ABSENT),
        at: Var::ZERO,
        is_face: Mask::from(false),
        face: [Mask::from(false); 3],
        is_edge: Mask::from(false),
        edge: [Mask::from(false); 3],
        corner: [Mask::from(false); 3],
        on_edge: Var::ZERO,
    };
    for end in [-1.0, 1.0] {
        nearest = end_to_face(&segment, cuboid.size, end, nearest);
    }
    for axis in 0..3 {
        for corner in 0..8 {
            if corner >> axis & 1 == 0 {
                let sides = from_fn(|k| corner >> k & 1 == 1);
                nearest = segment_to_edge(&segment, cuboid.size, axis, sides, nearest);
            }
        }
    }
    let (has_second, second) = second(&segment, cuboid.size, &nearest);
    let ball = |at: Var| sphere::ball_and_cuboid(middle + half * at, radius, cuboid);
    let (first, second) = (ball(nearest.at), ball(nearest.at + second));
    let distance = select(has_second, second.distance, Var::from(ABSENT));
    [first, Point { distance, ..second }]
}

/// An end of the segment that is over a face, or inside the box.
fn end_to_face(segment: &Segment, size: [Var; 3], end: f64, best: Nearest) -> Nearest {
    let tip: [Var; 3] = from_fn(|k| segment.middle[k] + segment.half[k] * end);
    let outside: [Mask; 3] = from_fn(|k| tip[k].abs().gt(size[k]));
    let beyond = |k: usize| (tip[k].abs() - size[k]).max(0.0).square();
    let squared = beyond(0) + beyond(1) + beyond(2);
    let [x, y, z] = outside;
    let is_over = !((x & y) | (y & z) | (z & x));
    let better = is_over & squared.lt(best.squared);
    let found = Nearest {
        squared,
        at: Var::from(end),
        is_face: Mask::from(true),
        face: outside,
        ..best.clone()
    };
    select(better, found, best)
}

/// The edge along an axis on these sides of the box: the nearest points of two segments.
fn segment_to_edge(
    segment: &Segment,
    size: [Var; 3],
    axis: usize,
    sides: [bool; 3],
    best: Nearest,
) -> Nearest {
    let Segment { middle, half, .. } = segment;
    let start: [Var; 3] = from_fn(|k| match (k == axis, sides[k]) {
        (true, _) => Var::ZERO,
        (false, true) => size[k],
        (false, false) => -size[k],
    });
    let apart: [Var; 3] = from_fn(|k| start[k] - middle[k]);
    // |apart + x edge − y half|² is least where a x + b y = u and b x + c y = v.
    let a = size[axis].square();
    let b = -size[axis] * half[axis];
    let c = segment.length.square();
    let u = -size[axis] * apart[axis];
    let v = half[0] * apart[0] + half[1] * apart[1] + half[2] * apart[2];
    let determinant = a * c - b.square();
    let regular = determinant.abs().ge(MIN_VALUE);
    let inverse = select(regular, determinant, Var::ONE).recip();
    let x = (c * u - b * v) * inverse;
    let free = (a * v - b * u) * inverse;
    // Which end of the edge it is, MuJoCo remembers from before the place on the capsule was clamped.
    let (high, low) = (x.gt(1.0), x.lt(-1.0));
    let y = select(
        high,
        (v - b) * c.recip(),
        select(low, (v + b) * c.recip(), free),
    );
    let clamped = y.clamp(-1.0, 1.0);
    let is_clamped = y.abs().gt(1.0);
    let again = (u - b * clamped) * a.recip();
    let high = select(is_clamped, again.gt(1.0) | (high & again.ge(-1.0)), high);
    let low = select(is_clamped, again.lt(-1.0) | (low & again.le(1.0)), low);
    let x = select(is_clamped, again, x).clamp(-1.0, 1.0);
    let difference: [Var; 3] = from_fn(|k| {
        let along = if k == axis { size[k] * x } else { Var::ZERO };
        apart[k] - half[k] * clamped + along
    });
    let squared = difference.iter().map(|d| d.square()).sum::<Var>();

    let better = regular & squared.lt(best.squared - MIN_VALUE);
    let found = Nearest {
        squared,
        at: clamped,
        is_face: Mask::from(false),
        is_edge: !(high | low),
        edge: from_fn(|k| Mask::from(k == axis)),
        corner: from_fn(|k| {
            if k == axis {
                high
            } else {
                Mask::from(sides[k])
            }
        }),
        on_edge: x,
        ..best.clone()
    };
    select(better, found, best)
}

/// Whether there is a second place on the segment, and how far it is from the first one.
fn second(segment: &Segment, size: [Var; 3], nearest: &Nearest) -> (Mask, Var) {
    let (by_face, face) = along_face(segment, size, nearest);
    let (by_edge, edge) = across_edge(segment, size, nearest);
    let (by_corner, corner) = from_corner(segment, size, nearest);
    let is_edge = nearest.is_edge;
    let choose = |face, edge, corner| (nearest.is_face, face, is_edge, edge, corner);
    let pick = |(is_face, face, is_edge, edge, corner): (Mask, Var, Mask, Var, Var)| {
        select(is_face, face, select(is_edge, edge, corner))
    };
    let exists = (nearest.is_face & by_face)
        | (!nearest.is_face & ((is_edge & by_edge) | (!is_edge & by_corner)));
    (exists, pick(choose(face, edge, corner)))
}

/// A denominator that is not zero.
fn safe(x: Var) -> Var {
    select(x.abs().lt(1e-20), Var::from(1e-20), x)
}

/// From an end above a face: as far as the segment stays above it.
fn along_face(segment: &Segment, size: [Var; 3], nearest: &Nearest) -> (Mask, Var) {
    let back = -nearest.at;
    let mut reach = Var::from(2.0);
    for (k, size) in size.into_iter().enumerate() {
        let tip = segment.middle[k] + segment.half[k] * nearest.at;
        let scale = back / safe(segment.half[k]);
        for side in [size, -size] {
            let crossing = (side - tip) * scale;
            let nearer = !nearest.face[k] & crossing.gt(0.0) & crossing.lt(reach);
            reach = select(nearer, crossing, reach);
        }
    }
    let [x, y, z] = nearest.face;
    (x | y | z, reach * back)
}

/// On which axes the segment points away from the corner's side.
fn crossing(segment: &Segment, nearest: &Nearest) -> [Mask; 3] {
    from_fn(|k| segment.half[k].gt(0.0) ^ nearest.corner[k])
}

/// From a corner: along the edge that the segment follows, or over the face.
fn from_corner(segment: &Segment, size: [Var; 3], nearest: &Nearest) -> (Mask, Var) {
    let [x, y, z] = crossing(segment, nearest);
    // The axis that differs from the two others; none where the segment points at the corner.
    let odd = [(x ^ y) & (x ^ z), (y ^ x) & (y ^ z), (z ^ x) & (z ^ y)];
    let exists = odd[0] | odd[1] | odd[2];
    let single = (odd[0] & x) | (odd[1] & y) | (odd[2] & z);
    let sign = select(single, Var::ONE, -Var::ONE);
    let (ahead, behind) = (1.0 - sign * nearest.at, 1.0 + sign * nearest.at);
    let mut along = ahead;
    let mut over = behind;
    let mut follows = Mask::from(false);
    for k in 0..3 {
        let width = 2.0 * size[k] / safe(segment.half[k]).abs();
        along = select(odd[k], along.min(width), along);
        over = select(odd[k], over, over.min(width));
        let steep = segment.half[k].square().gt(0.5 * segment.length.square());
        follows |= odd[k] & steep;
    }
    (exists, select(follows, along * sign, -over * sign))
}

/// From within an edge that the segment crosses: over the face that it is less inclined to.
fn across_edge(segment: &Segment, size: [Var; 3], nearest: &Nearest) -> (Mask, Var) {
    let crosses = crossing(segment, nearest);
    let mut result = (Mask::from(false), Var::ZERO);
    for axis in 0..3 {
        let (first, second) = ((axis + 1) % 3, (axis + 2) % 3);
        let exists = crosses[first] ^ crosses[second];
        let by_first = segment.half[first].abs().gt(segment.half[second].abs());
        let of = |k: usize| {
            let sign = select(crosses[k], Var::ONE, -Var::ONE);
            (sign, 2.0 * size[k] / safe(segment.half[k]).abs())
        };
        let (sign, width) = select(by_first, of(first), of(second));
        let same = !(segment.half[axis].gt(0.0) ^ sign.gt(0.0));
        let rest = select(same, 1.0 - nearest.on_edge, 1.0 + nearest.on_edge);
        let along = size[axis] * rest / safe(segment.half[axis]).abs();
        let reach = (1.0 - sign * nearest.at).min(width).min(along);
        result = select(nearest.edge[axis], (exists, reach * sign), result);
    }
    result
}
