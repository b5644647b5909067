//! Possible contacts between two links, and how the few that get slots are found among them.
//!
//! Of most of them only the depth is computed: a contact of spheres and capsules that gets a slot is computed again, as
//! one of two capsules whichever they are ([`Roll`]). A contact of other shapes costs too much for that.

use crate::math::{Mat3, Vec3};
use crate::model::Geom;
use crate::trace::{Bits, Carry, Mask, Slot, Var, select, when};

use super::Context;
use super::collision::{self, Point, Shape};
use super::contact::{self, Shared, Touch};
use super::kinematics::Kinematics;

/// Bits of a contact's number that tell its point.
const POINT_BITS: usize = 4;
/// Bits of a contact's number that tell one geom.
const GEOM_BITS: usize = 14;

/// A possible contact between two links, relative to the origin of the first one's tree.
///
/// Not to one origin for all contacts: in `f32` a distance between things that are metres away from it is off by 1e-6 m.
#[derive(Clone)]
pub(super) struct Guest {
    pub dim: usize,
    /// In the world.
    pub origin: Vec3,
    pub geoms: [usize; 2],
    /// Its number, see [`number`], where it is known.
    pub number: u32,
    /// Its number.
    pub index: Bits,
    /// The bodies of the first and the second geom.
    pub bodies: [Bits; 2],
    /// Distance less margin.
    pub violation: Var,
    point: Bare,
    shared: Shared,
}

/// A point without tangents: between geoms that move they follow from the normal, once it is known who gets a slot.
#[derive(Clone)]
struct Bare {
    distance: Var,
    pos: Vec3,
    normal: Vec3,
}

impl Bare {
    fn absent() -> Self {
        Self {
            distance: collision::ABSENT.into(),
            pos: Vec3::ZERO,
            normal: Vec3::new(1.0, 0.0, 0.0),
        }
    }

    fn of(point: Point) -> Self {
        Self {
            distance: point.distance,
            pos: point.pos,
            normal: point.frame[0],
        }
    }
}

impl Carry for Bare {
    fn slots(&mut self, visit: &mut dyn FnMut(Slot<'_>)) {
        self.distance.slots(visit);
        self.pos.slots(visit);
        self.normal.slots(visit);
    }
}

impl Carry for Guest {
    fn slots(&mut self, visit: &mut dyn FnMut(Slot<'_>)) {
        self.origin.slots(visit);
        self.index.slots(visit);
        self.bodies.slots(visit);
        self.violation.slots(visit);
        self.point.slots(visit);
        self.shared.slots(visit);
    }
}

impl Guest {
    /// The same parameters, and no contact.
    pub(super) fn absent(&self) -> Self {
        Self {
            index: Bits::from(u32::MAX),
            violation: collision::ABSENT.into(),
            point: Bare::absent(),
            ..self.clone()
        }
    }

    /// The number and depth of another, and all else of this one.
    pub(super) fn renamed(&self, other: &Self) -> Self {
        Self {
            index: other.index,
            violation: other.violation,
            ..self.clone()
        }
    }

    /// As a contact whose second geom's link moves.
    pub(super) fn touch(&self, cx: &Context<'_>) -> Touch {
        let Bare {
            distance,
            pos,
            normal,
        } = self.point;
        contact::touch(
            cx,
            (self.geoms, self.dim),
            (0, true),
            Point::new(distance, pos, normal),
            &self.shared,
        )
    }
}

/// The number of a contact: of its geoms, and of its point among those of the pair.
fn number([a, b]: [usize; 2], point: usize) -> u32 {
    ((a << (GEOM_BITS + POINT_BITS)) | (b << POINT_BITS) | point) as u32
}

/// All possible contacts between two links.
pub(super) fn between(cx: &Context<'_>, at: &Kinematics) -> Vec<Guest> {
    assert!(cx.model.ngeom < 1 << GEOM_BITS, "too many geoms");
    let mut all = Vec::new();
    for candidate in contact::candidates(cx.model) {
        let bodies = candidate.geoms.map(|geom| cx.model.geom_bodyid[geom]);
        if bodies.iter().any(|&body| cx.tree.body_link[body].is_none()) {
            continue;
        }
        let origin = at.origin[bodies[0]];
        let shapes = candidate
            .geoms
            .map(|geom| contact::shape(cx, at, geom, origin));
        let shared = contact::shared(cx, &candidate);
        let several = cx.model.opt.flags.multiccd;
        let points = nearby(&shapes, shared.margin + shared.gap, several);
        for (k, point) in points.into_iter().enumerate() {
            let number = number(candidate.geoms, k);
            all.push(Guest {
                dim: candidate.condim,
                origin,
                geoms: candidate.geoms,
                number,
                index: number.into(),
                bodies: bodies.map(|body| Bits::from(body as u32)),
                violation: point.distance - shared.margin,
                point,
                shared: shared.clone(),
            });
        }
    }
    // Of two guests one is chosen number by number: both have the same numbers.
    if all.iter().any(|guest| guest.shared.slip_solref.is_some()) {
        for guest in &mut all {
            let own = guest.shared.softness.solref;
            guest.shared.slip_solref.get_or_insert(own);
        }
    }
    all
}

/// The contact points of two shapes. Those that cost more than a branch are computed only where the balls around the
/// shapes are within reach.
fn nearby(shapes: &[Shape; 2], reach: Var, several: bool) -> Vec<Bare> {
    let [a, b] = shapes;
    let all = || -> Vec<Bare> {
        let points = collision::collide(a, b, reach, several).into_iter();
        points.map(Bare::of).collect()
    };
    if is_round(a.kind) && is_round(b.kind) {
        return all();
    }
    let radius = |shape: &Shape| match shape.kind {
        Geom::Sphere => shape.size[0],
        Geom::Capsule => shape.size[0] + shape.size[1],
        _ => Vec3::from(shape.size).norm(),
    };
    let reaching = radius(a) + radius(b) + reach;
    let near = (a.pos - b.pos).norm_squared().lt(reaching.square());
    let count = collision::points(a.kind, b.kind, several).unwrap_or(0);
    when(near, vec![Bare::absent(); count], |_| all())
}

/// Whether a geom is a ball, or a ball that is moved along a line.
fn is_round(kind: Geom) -> bool {
    matches!(kind, Geom::Sphere | Geom::Capsule)
}

/// What is looked up of the spheres and capsules among some guests, once it is known which of them get slots.
pub(super) struct Roll<'a> {
    cx: &'a Context<'a>,
    /// The geoms that come first in their pairs, and those that come second, by their numbers.
    sides: [Vec<(u32, Side)>; 2],
    /// What two geoms share, by the number of their first point.
    pairs: Vec<(u32, Shared)>,
    /// Whether all guests are listed.
    is_whole: bool,
}

/// A sphere or a capsule of a link.
#[derive(Clone)]
struct Side {
    body: Bits,
    /// Of its tree, in the world.
    origin: Vec3,
    /// Relative to `origin`.
    pos: Vec3,
    axis: Vec3,
    radius: Var,
    /// Half its length; zero for a sphere.
    half: Var,
    inverse_weight: [Var; 2],
}

impl Carry for Side {
    fn slots(&mut self, visit: &mut dyn FnMut(Slot<'_>)) {
        self.body.slots(visit);
        self.origin.slots(visit);
        self.pos.slots(visit);
        self.axis.slots(visit);
        self.radius.slots(visit);
        self.half.slots(visit);
        self.inverse_weight.slots(visit);
    }
}

impl Side {
    fn new(cx: &Context<'_>, at: &Kinematics, geom: usize) -> Self {
        let body = cx.model.geom_bodyid[geom];
        let frame = at.geom(cx.model, cx.parameters, geom);
        let [radius, half, _] = cx.parameters.geom_size[geom].to_array();
        Self {
            body: Bits::from(body as u32),
            origin: at.origin[body],
            pos: frame.offset,
            axis: frame.mat.z,
            radius,
            half: match cx.model.geom_type[geom] {
                Geom::Capsule => half,
                _ => Var::ZERO,
            },
            inverse_weight: cx.parameters.body_invweight0[body],
        }
    }

    /// As a capsule, relative to an origin.
    fn shape(&self, origin: Vec3) -> Shape {
        Shape {
            kind: Geom::Capsule,
            size: [self.radius, self.half, Var::ZERO],
            pos: self.pos + (self.origin - origin),
            mat: Mat3 {
                // A capsule is the same whichever way it is turned about its axis.
                x: Vec3::ZERO,
                y: Vec3::ZERO,
                z: self.axis,
            },
        }
    }
}

impl<'a> Roll<'a> {
    /// The roll of the spheres and capsules among some guests.
    pub(super) fn new(cx: &'a Context<'a>, at: &Kinematics, guests: &[Guest]) -> Self {
        let mut roll = Self {
            cx,
            sides: [Vec::new(), Vec::new()],
            pairs: Vec::new(),
            is_whole: true,
        };
        for guest in guests {
            if !roll.lists(guest) {
                roll.is_whole = false;
                continue;
            }
            for (side, &geom) in roll.sides.iter_mut().zip(&guest.geoms) {
                if side.iter().all(|&(known, _)| known != geom as u32) {
                    side.push((geom as u32, Side::new(cx, at, geom)));
                }
            }
            let pair = number(guest.geoms, 0);
            if roll.pairs.last().is_none_or(|&(last, _)| last != pair) {
                roll.pairs.push((pair, guest.shared.clone()));
            }
        }
        for (_, shared) in &mut roll.pairs {
            shared.inverse_weight = [Var::ZERO; 2]; // the sides know theirs
        }
        roll
    }

    /// Whether a guest's depth alone is enough to find the rest.
    pub(super) fn lists(&self, guest: &Guest) -> bool {
        let kinds = guest.geoms.map(|geom| self.cx.model.geom_type[geom]);
        kinds.into_iter().all(is_round)
    }

    /// A guest of which, where it is listed, only the number and the depth are known so far.
    pub(super) fn complete(&self, is_listed: Mask, guest: Guest) -> Guest {
        if self.pairs.is_empty() {
            return guest;
        }
        let geom = |shift: usize| (guest.index >> shift as u32) & ((1u32 << GEOM_BITS) - 1);
        let a = find(geom(GEOM_BITS + POINT_BITS), &self.sides[0]);
        let b = find(geom(POINT_BITS), &self.sides[1]);
        let pair = guest.index & !((1u32 << POINT_BITS) - 1);
        let shared = Shared {
            inverse_weight: std::array::from_fn(|k| a.inverse_weight[k] + b.inverse_weight[k]),
            ..find(pair, &self.pairs)
        };
        let reach = shared.margin + shared.gap;
        let points = collision::collide(&a.shape(a.origin), &b.shape(a.origin), reach, false);
        let is_second = (guest.index & ((1u32 << POINT_BITS) - 1)).ne(0);
        let point = select(is_second, Bare::of(points[1]), Bare::of(points[0]));
        let complete = Guest {
            origin: a.origin,
            bodies: [a.body, b.body],
            point,
            shared,
            ..guest.clone()
        };
        match self.is_whole {
            true => complete,
            false => select(is_listed, complete, guest),
        }
    }
}

/// What stands under a number; anything where there is no such number.
fn find<C: Carry>(number: Bits, entries: &[(u32, C)]) -> C {
    let found = entries.iter().cloned();
    found
        .reduce(|(_, found), (key, entry)| (key, select(number.eq(key), entry, found)))
        .map(|(_, found)| found)
        .expect("there are entries")
}
