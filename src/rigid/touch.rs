//! Touch sensors: which contacts push into a site's volume (`mju_rayGeom`, as the touch sensor uses it).
//!
//! A contact counts if the ray from its point along the normal, into the touched body, meets the volume. All volumes
//! are convex, so a ray meets one where the intervals in which it is inside of each bounding surface overlap.

use crate::math::{MIN_VALUE, Vec3};
use crate::model::Geom;
use crate::trace::{Mask, Var, select};

use super::Forward;
use super::kinematics::Frame;
use super::subtree::Bodies;

/// Longer than any ray, m.
const FAR: f64 = 1e10;

/// Sum of the normal forces of a body's contacts that push into a site's volume, N.
pub(super) fn touch(bodies: &Bodies<'_>, forward: &Forward, site: usize) -> Var {
    let model = bodies.model;
    let body = model.site_bodyid[site];
    let zone = Zone {
        kind: model.site_type[site],
        size: model.site_size[site],
        frame: bodies.at.site(model, bodies.parameters, site),
    };
    let mut sum = Var::ZERO;
    for contact in forward.contacts() {
        let owners = contact.geoms.map(|geom| model.geom_bodyid[geom]);
        if !owners.contains(&body) {
            continue;
        }
        let normal = contact.frame[0];
        // The second body is the one that the normal points at.
        let ray = if owners[1] == body { -normal } else { normal };
        let force = contact.force[0];
        let counts = contact.included & force.gt(0.0) & zone.meets(contact.pos, ray);
        sum += select(counts, force, Var::ZERO);
    }
    sum
}

/// A site's volume in the world.
struct Zone {
    kind: Geom,
    size: [f64; 3],
    frame: Frame,
}

/// The part of a ray that is inside of something, by distance along it; empty where the end is before the start.
#[derive(Clone, Copy)]
struct Interval {
    start: Var,
    end: Var,
}

impl Zone {
    /// Whether a ray from a point meets it; the direction is of unit length.
    fn meets(&self, from: Vec3, direction: Vec3) -> Mask {
        let mat = self.frame.mat;
        let p = mat.transposed_mul(from - self.frame.pos);
        let d = mat.transposed_mul(direction);
        let [a, b, c] = self.size;
        let flat = |v: Vec3| Vec3 { z: Var::ZERO, ..v };
        let lifted = |z: f64| Vec3 { z: p.z - z, ..p };
        match self.kind {
            Geom::Sphere => ball(p, d, a).is_ahead(),
            Geom::Ellipsoid => {
                let scaled = |v: Vec3| Vec3::new(v.x / a, v.y / b, v.z / c);
                ball(scaled(p), scaled(d), 1.0).is_ahead()
            }
            Geom::Box => slab(p.x, d.x, a)
                .and(slab(p.y, d.y, b))
                .and(slab(p.z, d.z, c))
                .is_ahead(),
            Geom::Cylinder => ball(flat(p), flat(d), a).and(slab(p.z, d.z, b)).is_ahead(),
            Geom::Capsule => {
                let tube = ball(flat(p), flat(d), a).and(slab(p.z, d.z, b));
                let caps = ball(lifted(b), d, a).is_ahead() | ball(lifted(-b), d, a).is_ahead();
                tube.is_ahead() | caps
            }
            Geom::Plane => Mask::from(false),
        }
    }
}

impl Interval {
    fn new(inside: Mask, start: Var, end: Var) -> Self {
        Self {
            start: select(inside, start, Var::from(FAR)),
            end: select(inside, end, Var::from(-FAR)),
        }
    }

    fn and(self, other: Self) -> Self {
        Self {
            start: self.start.max(other.start),
            end: self.end.min(other.end),
        }
    }

    /// Whether some of it is not behind the ray's beginning.
    fn is_ahead(self) -> Mask {
        self.end.ge(self.start) & self.end.ge(0.0)
    }
}

/// Where `|p + x d| ≤ radius`: between the roots of `|d|² x² + 2 (p·d) x + |p|² − r²`.
fn ball(p: Vec3, d: Vec3, radius: f64) -> Interval {
    let (a, b, c) = (
        d.norm_squared(),
        p.dot(d),
        p.norm_squared() - radius * radius,
    );
    // A direction without length stays inside or outside.
    let still = a.lt(MIN_VALUE);
    let a = select(still, Var::ONE, a);
    let discriminant = b.square() - a * c;
    let half = discriminant.max(0.0).sqrt();
    let crosses = Interval::new(discriminant.ge(0.0), (-b - half) / a, (-b + half) / a);
    let stays = Interval::new(c.le(0.0), Var::from(-FAR), Var::from(FAR));
    Interval {
        start: select(still, stays.start, crosses.start),
        end: select(still, stays.end, crosses.end),
    }
}

/// Where `|p + x d| ≤ half`, in one dimension.
fn slab(p: Var, d: Var, half: f64) -> Interval {
    let still = d.abs().lt(MIN_VALUE);
    let d = select(still, Var::ONE, d);
    let (first, second) = ((-half - p) / d, (half - p) / d);
    let stays = Interval::new(p.abs().le(half), Var::from(-FAR), Var::from(FAR));
    Interval {
        start: select(still, stays.start, first.min(second)),
        end: select(still, stays.end, first.max(second)),
    }
}
