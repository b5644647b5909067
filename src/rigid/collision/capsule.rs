//! Two capsules.

use super::sphere::Ball;
use super::{ABSENT, Point, Shape};
use crate::math::MIN_VALUE;
use crate::trace::{Mask, Var, select, when};

/// Positions on the two capsules' segments, from their middles, m.
type Places = (Var, Var);

/// Two capsules: the nearest points of their segments; two points where the segments are parallel.
///
/// With unit axes a, b, centres p, q, d = p − q and c = a·b, the squared distance of p + s a and q + t b is least at
/// s = (c (b·d) − a·d) / (1 − c²). Clamped to the segment, it leaves t = b·d + c s, and that, clamped, leaves
/// s = c t − a·d, clamped: the exact answer, because the problem is convex.
pub(super) fn capsule(a: &Shape, b: &Shape, reach: Var) -> [Point; 2] {
    let ([radius_a, half_a, _], [radius_b, half_b, _]) = (a.size, b.size);
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
    // MuJoCo's rule for parallel segments: of the ends of a, then those of b, each with what is nearest on the other
    // one, the first two that are within reach.
    let parallel = (half_a.square() * half_b.square() * squared_sine).lt(MIN_VALUE);
    let (first, second) = when(parallel, ((s, t), Point::absent()), |_| {
        let ends = [
            (half_a, on_b(half_a)),
            (-half_a, on_b(-half_a)),
            (on_a(half_b), half_b),
            (on_a(-half_b), -half_b),
        ];
        let within = |places: Places| {
            let (a, b) = balls(places);
            let limit = (reach + radius_a + radius_b).max(0.0);
            (b.pos - a.pos).norm_squared().le(limit.square())
        };
        let (first, second, has_second) = first_two(ends.map(|places| (places, within(places))));
        let (on_a, on_b) = balls(second);
        let touch = on_a.touch(on_b);
        let distance = select(has_second, touch.distance, Var::from(ABSENT));
        (first, Point { distance, ..touch })
    });
    let (on_a, on_b) = balls(first);
    [on_a.touch(on_b), second]
}

/// The first two of four that count, and whether there is a second one; without a first one, any.
fn first_two(items: [(Places, Mask); 4]) -> (Places, Places, Mask) {
    let none = (items[0].0, Mask::from(false));
    let mut found = [none, none];
    for (places, counts) in items.into_iter().rev() {
        // Seen from the end, one that counts pushes the others back.
        found = select(counts, [(places, Mask::from(true)), found[0]], found);
    }
    (found[0].0, found[1].0, found[1].1)
}
