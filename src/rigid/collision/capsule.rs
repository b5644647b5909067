//! Two capsules.

use super::sphere::{Ball, SQUARED_NOISE};
use super::{Point, Shape};
use crate::trace::{Var, select};

/// Squared sine of the angle below which two capsules are parallel.
const PARALLEL: f64 = 1e-8;

/// Positions on the two capsules' segments, from their middles, m.
type Places = (Var, Var);

/// Two capsules: the nearest points of their segments; two points where the segments are parallel.
///
/// With unit axes a, b, centres p, q, d = p − q and c = a·b, the squared distance of p + s a and q + t b is least at
/// s = (c (b·d) − a·d) / (1 − c²). Clamped to the segment, it leaves t = b·d + c s, and that, clamped, leaves
/// s = c t − a·d, clamped: the exact answer, because the problem is convex.
pub(super) fn capsule(a: &Shape, b: &Shape) -> [Point; 2] {
    let ([_, half_a, _], [_, half_b, _]) = (a.size, b.size);
    let (axis_a, axis_b) = (a.mat.z, b.mat.z);
    let apart = a.pos - b.pos;
    let (along_a, along_b) = (axis_a.dot(apart), axis_b.dot(apart));
    let cosine = axis_a.dot(axis_b);
    let on_a = |t: Var| (cosine * t - along_a).clamp(-half_a, half_a);
    let on_b = |s: Var| (along_b + cosine * s).clamp(-half_b, half_b);

    // 1 − c² as the squared sine, which f32 keeps exact for axes that are almost parallel.
    let squared_sine = axis_a.cross(axis_b).norm_squared();
    let s = (cosine * along_b - along_a) / squared_sine.max(1e-20);
    let t = on_b(s.clamp(-half_a, half_a));
    let s = on_a(t);

    let balls = |(s, t): Places| {
        (
            Ball::of(a, a.pos + axis_a * s),
            Ball::of(b, b.pos + axis_b * t),
        )
    };
    // Parallel segments touch at both ends of the stretch that they share; a ball is no segment.
    let is_ball = half_a.le(0.0) | half_b.le(0.0);
    let parallel = squared_sine.lt(PARALLEL) & !is_ball;
    let nearest = (s, t);
    let ends = [half_b, -half_b].map(on_a);
    let (low, high) = (ends[0].min(ends[1]), ends[0].max(ends[1]));
    let (ball_a, ball_b) = balls((high, on_b(high)));
    let first = select(parallel, (low, on_b(low)), nearest);
    let second = select(parallel, ball_a.touch(ball_b), Point::absent());
    // Rounding moves the place where segments cross by its part of their coordinates over the squared sine, and so the
    // balls there apart by that part over the sine.
    let scale = a.pos.norm_squared() + b.pos.norm_squared() + half_a.square() + half_b.square();
    let noise = SQUARED_NOISE * scale / select(parallel | is_ball, Var::ONE, squared_sine);
    let (on_a, on_b) = balls(first);
    [on_a.touch_beyond(on_b, noise), second]
}
