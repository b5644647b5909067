//! Two boxes: MuJoCo's manifold (3.17, `mjc_BoxBox`), without its lists.
//!
//! The separating axis of the largest separation among 15 decides: a face of one box, against which the facing face of
//! the other one is clipped, or a pair of edges, which touch in one point (Gottschalk, Lin and Manocha, OBBTree, 1996,
//! section 5; Sutherland and Hodgman, Reentrant Polygon Clipping, 1974, for what is clipped).

use std::array::from_fn;

use super::{ABSENT, Point, Shape, frame, near};
use crate::math::{MIN_VALUE, Mat3, Vec3};
use crate::trace::{Bits, Carry, Mask, Var, select, when};

/// How many points two boxes have at most: a quadrilateral clipped by four lines.
pub(super) const POINTS: usize = 8;
/// Squared sine of the angle below which two edges make no axis.
const PARALLEL: f64 = 1e-14;
/// How much better edges must be than a face that is almost as good, relative.
const EDGE_BIAS: f64 = 1e-6;
/// Edges whose axis is this near to the face's (cosine) stand for it …
const SAME_AXIS: f64 = 0.99;
/// … unless they separate more by this part of the face's depth.
const FACE_BIAS: f64 = 0.05;
/// Component of an edge axis below which it says nothing about the corner.
const AMBIGUOUS: f64 = 1e-9;
/// Distance at which points and lines count as the same, relative to the size: beyond the rounding of f32.
const SAME_PLACE: f64 = 2e-6;

/// Points that share a normal.
#[derive(Clone)]
struct Manifold {
    normal: Vec3,
    points: [(Var, Vec3); POINTS],
}

impl Carry for Manifold {
    fn slots(&mut self, visit: &mut dyn FnMut(crate::trace::Slot<'_>)) {
        self.normal.slots(visit);
        self.points.slots(visit);
    }
}

/// The second box in the frame of the first one.
#[derive(Clone, Copy)]
struct Relative {
    /// Its axes.
    rot: Mat3,
    /// Its centre.
    pos: Vec3,
}

/// The axes with the largest separation so far.
#[derive(Clone, Copy)]
struct Best {
    separation: Var,
    code: Bits,
}

impl Carry for Best {
    fn slots(&mut self, visit: &mut dyn FnMut(crate::trace::Slot<'_>)) {
        self.separation.slots(visit);
        self.code.slots(visit);
    }
}

/// Two boxes.
pub(super) fn cuboid(a: &Shape, b: &Shape, reach: Var) -> [Point; POINTS] {
    let nothing = Manifold {
        normal: Vec3::new(1.0, 0.0, 0.0),
        points: [(Var::from(ABSENT), Vec3::ZERO); POINTS],
    };
    let squared = |shape: &Shape| Vec3::from(shape.size).norm_squared();
    let is_near = near((a, squared(a)), (b, squared(b)), reach);
    let manifold = when(is_near, nothing, |nothing| manifold(a, b, nothing));
    let frame = frame(manifold.normal);
    manifold.points.map(|(distance, pos)| Point {
        distance,
        pos,
        frame,
    })
}

/// The points of two boxes that may be near.
fn manifold(a: &Shape, b: &Shape, nothing: Manifold) -> Manifold {
    let rot = a.mat.transpose() * b.mat;
    let apart = b.pos - a.pos;
    let relative = Relative {
        rot,
        pos: a.mat.transposed_mul(apart),
    };
    let behind = b.mat.transposed_mul(-apart);

    let face = best_face(a, b, &relative, behind);
    let (edge, axis) = best_edge(a, b, &relative, face);
    // An axis of edges that is almost a face's is worse than the face, which has several points.
    let facing = along_face(&relative, face.code, axis);
    let near = edge
        .separation
        .lt(face.separation + FACE_BIAS * face.separation.abs() + MIN_VALUE);
    let is_edge = edge.code.ge(6) & !(facing.gt(SAME_AXIS) & near);

    let manifold = when(!is_edge, nothing, |nothing| {
        faces(a, b, &relative, behind, face.code, nothing)
    });
    when(is_edge, manifold, |mut manifold| {
        let (distance, pos, normal) = edges(a, b, &relative, edge.code - 6, axis);
        manifold.points[0] = (distance, a.pos + a.mat * pos);
        manifold.normal = a.mat * normal;
        manifold
    })
}

/// The half extent of a box along a direction in its frame.
fn extent(size: [Var; 3], direction: Vec3) -> Var {
    let direction = direction.to_array();
    (0..3).map(|k| size[k] * direction[k].abs()).sum()
}

/// The face with the largest separation: of the first box, 0 to 2, or the second one, 3 to 5.
fn best_face(a: &Shape, b: &Shape, relative: &Relative, behind: Vec3) -> Best {
    let (rows, columns) = (relative.rot.rows(), relative.rot.columns());
    let (ahead, behind) = (relative.pos.to_array(), behind.to_array());
    let separations = (0..3)
        .map(|k| ahead[k].abs() - a.size[k] - extent(b.size, rows[k]))
        .chain((0..3).map(|k| behind[k].abs() - b.size[k] - extent(a.size, columns[k])));
    let mut best = Best {
        separation: Var::from(-ABSENT),
        code: Bits::ZERO,
    };
    for (code, separation) in (0u32..).zip(separations) {
        let code = Bits::from(code);
        best = select(
            separation.gt(best.separation),
            Best { separation, code },
            best,
        );
    }
    best
}

/// The best pair of edges that beats a face: 6 + 3 i + j for axes i and j, with its unit axis in the first box's frame.
fn best_edge(a: &Shape, b: &Shape, relative: &Relative, face: Best) -> (Best, Vec3) {
    let rot = relative.rot;
    let mut best = (face, Vec3::new(1.0, 0.0, 0.0));
    let units = Mat3::identity().columns();
    for (i, unit) in units.into_iter().enumerate() {
        for (j, column) in rot.columns().into_iter().enumerate() {
            let cross = unit.cross(column);
            let squared = cross.norm_squared();
            let axis = cross * squared.max(PARALLEL).sqrt().recip();
            let separation = axis.dot(relative.pos).abs()
                - extent(a.size, axis)
                - extent_beside(b.size, rot, axis, j);
            let better = (separation - EDGE_BIAS * separation.abs()).gt(best.0.separation)
                & separation.gt(face.separation)
                & squared.ge(PARALLEL);
            let code = Bits::from((6 + 3 * i + j) as u32);
            best = select(better, (Best { separation, code }, axis), best);
        }
    }
    best
}

/// The half extent of the second box along a direction that is perpendicular to its axis `j`.
fn extent_beside(size: [Var; 3], rot: Mat3, direction: Vec3, j: usize) -> Var {
    let columns = rot.columns();
    let others = [(j + 1) % 3, (j + 2) % 3];
    others
        .iter()
        .map(|&k| size[k] * columns[k].dot(direction).abs())
        .sum()
}

/// The cosine between an axis and a face's normal.
fn along_face(relative: &Relative, face: Bits, axis: Vec3) -> Var {
    let there = relative.rot.transposed_mul(axis);
    let is_first = face.lt(3);
    let axis = select(is_first, axis, there);
    let k = select(is_first, face, face - 3);
    pick(k, axis.to_array()).abs()
}

/// One of three by its index.
fn pick<T: Carry>(index: Bits, [x, y, z]: [T; 3]) -> T {
    select(index.eq(0), x, select(index.eq(1), y, z))
}

/// Three values turned cyclically so that the one with this index comes last.
fn turned<T: Carry + Copy>(index: Bits, [x, y, z]: [T; 3]) -> [T; 3] {
    pick(index, [[y, z, x], [z, x, y], [x, y, z]])
}

/// Where two edges touch: distance, position and normal in the first box's frame. `pair` is 3 i + j.
fn edges(a: &Shape, b: &Shape, relative: &Relative, pair: Bits, axis: Vec3) -> (Var, Vec3, Vec3) {
    let (i, j) = (pair / 3, pair % 3);
    let axis = select(axis.dot(relative.pos).lt(0.0), -axis, axis);
    let there = relative.rot.transposed_mul(axis);
    let direction_a = pick(i, Mat3::identity().columns());
    let direction_b = pick(j, relative.rot.columns());
    let (half_a, half_b) = (pick(i, a.size), pick(j, b.size));
    // Middles of the edges that are furthest along the axis, and where a component of the axis is zero and therefore
    // says nothing, of both edges: the nearest pair counts.
    let middles_a = middles(a.size, axis, i, 1.0);
    let middles_b =
        middles(b.size, there, j, -1.0).map(|middle| relative.pos + relative.rot * middle);

    let cosine = direction_a.dot(direction_b);
    let denominator = (1.0 - cosine.square()).max(MIN_VALUE);
    let mut best: Option<(Var, Vec3, Vec3)> = None;
    for from in middles_a {
        for to in middles_b {
            // The nearest points of two segments, as in capsules.
            let apart = to - from;
            let (along_a, along_b) = (direction_a.dot(apart), direction_b.dot(apart));
            let s = ((along_a - cosine * along_b) / denominator).clamp(-half_a, half_a);
            let t = (cosine * s - along_b).clamp(-half_b, half_b);
            let s = (along_a + cosine * t).clamp(-half_a, half_a);
            let (on_a, on_b) = (from + direction_a * s, to + direction_b * t);
            let found = ((on_b - on_a).norm_squared(), on_a, on_b);
            best = Some(match best {
                None => found,
                Some(best) => select(found.0.lt(best.0), found, best),
            });
        }
    }
    let (_, on_a, on_b) = best.expect("four pairs");
    ((on_b - on_a).dot(axis), (on_a + on_b) * 0.5, axis)
}

/// The middle of the edge along axis `index` that is furthest in a direction, and of the other one that may be so.
fn middles(size: [Var; 3], direction: Vec3, index: Bits, sign: f64) -> [Vec3; 2] {
    let direction = direction.to_array();
    let mut other_found = Mask::from(false);
    let (mut first, mut second) = ([Var::ZERO; 3], [Var::ZERO; 3]);
    // In the cyclic order that starts after the edge's axis, only the first ambiguous component counts; at most one is.
    for k in 0..3 {
        let is_axis = index.eq(k as u32);
        let up = select(direction[k].ge(0.0), sign * size[k], -sign * size[k]);
        let ambiguous = direction[k].abs().lt(AMBIGUOUS) & !is_axis & !other_found;
        first[k] = select(is_axis, Var::ZERO, up);
        second[k] = select(ambiguous, -first[k], first[k]);
        other_found |= ambiguous;
    }
    [Vec3::from(first), Vec3::from(second)]
}

/// The points of a face (0 to 5) against the facing one of the other box.
fn faces(
    a: &Shape,
    b: &Shape,
    relative: &Relative,
    behind: Vec3,
    code: Bits,
    nothing: Manifold,
) -> Manifold {
    // The reference box has the face; its axes are turned so that the face's is Z.
    let is_first = code.lt(3);
    let axis = select(is_first, code, code - 3);
    let (reference, incident) = select(is_first, (a.size, b.size), (b.size, a.size));
    let (origin, mat) = select(is_first, (a.pos, a.mat), (b.pos, b.mat));
    let half = turned(axis, reference);
    let [across_x, across_y, up] = turned(axis, mat.columns());
    let centre = turned(axis, select(is_first, relative.pos, behind).to_array());
    let axes = select(is_first, relative.rot, relative.rot.transpose());
    let axes = Mat3::from_columns(
        Vec3::from(turned(axis, axes.x.to_array())),
        Vec3::from(turned(axis, axes.y.to_array())),
        Vec3::from(turned(axis, axes.z.to_array())),
    );
    let side = select(centre[2].ge(0.0), Var::ONE, -Var::ONE);

    // The incident face is the one whose normal is most opposed; its axes are turned alike.
    let slopes = axes.columns().map(|column| column.z.abs());
    let second = slopes[1].gt(slopes[0]);
    let third = slopes[2].gt(select(second, slopes[1], slopes[0]));
    let opposed = select(
        third,
        Bits::from(2),
        select(second, Bits::from(1), Bits::ZERO),
    );
    let [axis_u, axis_v, normal] = turned(opposed, axes.columns());
    let [half_u, half_v, depth] = turned(opposed, incident);
    let towards = select((side * normal.z).gt(0.0), -depth, depth);

    // X and Y across the reference face, Z the distance from it.
    let over = |v: Vec3| Vec3 { z: side * v.z, ..v };
    let middle = over(Vec3::from(centre) + normal * towards) - Vec3::new(0.0, 0.0, half[2]);
    let patch = Patch {
        middle,
        u: over(axis_u * half_u),
        v: over(axis_v * half_v),
    };
    let found = patch.clipped([half[0], half[1]]);
    let normal = up * side;
    Manifold {
        normal: select(is_first, normal, -normal),
        points: from_fn(|k| {
            let (exists, at) = found[k];
            // Half way between the reference face and the incident one, along the face's normal.
            let height = side * (half[2] + 0.5 * at.z);
            let pos = origin + across_x * at.x + across_y * at.y + up * height;
            select(exists, (at.z, pos), nothing.points[k])
        }),
    }
}

/// A parallelogram: all `middle + s u + t v` with s and t from −1 to 1.
struct Patch {
    middle: Vec3,
    u: Vec3,
    v: Vec3,
}

/// A point, and whether there is one.
type Found = (Mask, Vec3);

impl Patch {
    /// The corners of what lies above the rectangle |x| ≤ `half[0]`, |y| ≤ `half[1]`.
    ///
    /// They are: where an edge of the patch begins to be above the rectangle; where it ceases to, unless at its end,
    /// where the next one begins; and the rectangle's corners inside the patch. Never more than eight of these twelve
    /// exist. What coincides up to rounding, as in a stack, counts as an edge's.
    fn clipped(&self, half: [Var; 2]) -> [Found; POINTS] {
        let Self { middle, u, v } = *self;
        let mut found = [(Mask::from(false), Vec3::ZERO); POINTS];
        let turns = [(u, v), (v, -u), (-u, -v), (-v, u)];
        for (k, (across, along)) in turns.into_iter().enumerate() {
            let (start, step) = (middle + across - along, along * 2.0);
            let (begin, end, exists) = above(half, start, step);
            found[2 * k] = (exists, start + step * begin);
            let leaves = exists & end.lt(1.0) & (end - begin).gt(SAME_PLACE);
            found[2 * k + 1] = (leaves, start + step * end);
        }
        // s and t of a corner, by Cramer's rule.
        let cross = |a: Vec3, b: Vec3| a.x * b.y - a.y * b.x;
        let scale = cross(u, v).recip();
        for (x, y) in [(1.0, 1.0), (-1.0, 1.0), (-1.0, -1.0), (1.0, -1.0)] {
            let corner = Vec3::new(x * half[0], y * half[1], 0.0);
            let (s, t) = (
                cross(corner - middle, v) * scale,
                cross(u, corner - middle) * scale,
            );
            let inside = 1.0 - 0.5 * SAME_PLACE;
            let exists = s.abs().lt(inside) & t.abs().lt(inside);
            let corner = Vec3 {
                z: middle.z + s * u.z + t * v.z,
                ..corner
            };
            insert(&mut found, (exists, corner));
        }
        found
    }
}

/// Puts a point where there is none yet.
fn insert(found: &mut [Found; POINTS], (exists, at): Found) {
    let mut waits = exists;
    for slot in found {
        let here = waits & !slot.0;
        waits &= slot.0;
        *slot = (slot.0 | here, select(here, at, slot.1));
    }
}

/// The part of a segment `start + t step`, 0 ≤ t ≤ 1, above a rectangle, and whether there is one (Liang and Barsky, A
/// New Concept and Method for Line Clipping, 1984).
fn above(half: [Var; 2], start: Vec3, step: Vec3) -> (Var, Var, Mask) {
    let (mut begin, mut end) = (Var::ZERO, Var::ONE);
    for (half, start, step) in [(half[0], start.x, step.x), (half[1], start.y, step.y)] {
        // Along a side of the rectangle, rounding must not decide.
        let is_along = step.abs().lt(4.0 * SAME_PLACE * half);
        let half = select(is_along, half * (1.0 + SAME_PLACE), half);
        let inverse = select(step.abs().lt(1e-20), Var::from(1e20), step.recip());
        let (low, high) = ((-half - start) * inverse, (half - start) * inverse);
        begin = begin.max(low.min(high));
        end = end.min(low.max(high));
    }
    (begin, end, begin.le(end))
}
