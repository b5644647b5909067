//! Pairs of geoms that are looked up by number while a kernel runs.
//!
//! A look-up is a selection among all entries, because memory with computed addresses is slower: on Mesa's software device an
//! array takes half a minute to compile, and a load from a buffer as long as 30 operations.

use crate::math::{Mat3, Vec3};
use crate::model::Geom;
use crate::trace::{Bits, Carry, Mask, Slot, Var, select};

use super::Context;
use super::collision::Shape;
use super::contact::Shared;
use super::family::Family;
use super::guest::{Guest, Pair, shared};
use super::kinematics::Kinematics;

/// Bits of a contact's number that tell its point.
const POINT_BITS: usize = 4;
/// Bits of a contact's number that tell one geom.
const GEOM_BITS: usize = 14;
/// So many geoms can be told from each other.
pub(super) const MOST_GEOMS: usize = 1 << GEOM_BITS;

/// The number of a contact: of its geoms, and of its point among those of the pair.
pub(super) fn number([a, b]: [usize; 2], point: usize) -> u32 {
    ((a << (GEOM_BITS + POINT_BITS)) | (b << POINT_BITS) | point) as u32
}

/// What is looked up of some pairs of geoms by their numbers.
pub(super) struct Roll<'a> {
    pub cx: &'a Context<'a>,
    /// The geoms that come first in their pairs, and those that come second, by their numbers.
    sides: [Vec<(u32, Side)>; 2],
    /// What two geoms share, by the number of their first point.
    pub pairs: Vec<(u32, Shared)>,
    kinds: [Geom; 2],
}

/// A geom of a link.
#[derive(Clone)]
struct Side {
    body: Bits,
    /// Of its tree, in the world.
    origin: Vec3,
    /// Relative to `origin`.
    pos: Vec3,
    mat: Mat3,
    size: [Var; 3],
    inverse_weight: [Var; 2],
}

impl Carry for Side {
    fn slots(&mut self, visit: &mut dyn FnMut(Slot<'_>)) {
        self.body.slots(visit);
        self.origin.slots(visit);
        self.pos.slots(visit);
        self.mat.slots(visit);
        self.size.slots(visit);
        self.inverse_weight.slots(visit);
    }
}

impl Side {
    fn new(cx: &Context<'_>, at: &Kinematics, geom: usize) -> Self {
        let body = cx.model.geom_bodyid[geom];
        let frame = at.geom(cx.model, cx.parameters, geom);
        Self {
            body: Bits::from(body as u32),
            origin: at.origin[body],
            pos: frame.offset,
            mat: frame.mat,
            size: cx.parameters.geom_size[geom].to_array(),
            inverse_weight: cx.parameters.body_invweight0[body],
        }
    }

    /// A sphere or a capsule as a capsule, which is the same whichever way it is turned about its axis.
    fn into_capsule(self, kind: Geom) -> Self {
        let [radius, half, _] = self.size;
        let half = if kind == Geom::Capsule {
            half
        } else {
            Var::ZERO
        };
        Self {
            mat: Mat3 {
                x: Vec3::ZERO,
                y: Vec3::ZERO,
                z: self.mat.z,
            },
            size: [radius, half, Var::ZERO],
            ..self
        }
    }

    /// Relative to an origin.
    fn shape(&self, kind: Geom, origin: Vec3) -> Shape {
        Shape {
            kind,
            size: self.size,
            pos: self.pos + (self.origin - origin),
            mat: self.mat,
        }
    }
}

impl<'a> Roll<'a> {
    fn empty(cx: &'a Context<'a>, kinds: [Geom; 2]) -> Self {
        Self {
            cx,
            sides: [Vec::new(), Vec::new()],
            pairs: Vec::new(),
            kinds,
        }
    }

    /// That of the spheres and capsules among some guests, as capsules.
    pub(super) fn of_listed(cx: &'a Context<'a>, at: &Kinematics, guests: &[Guest]) -> Self {
        let mut roll = Self::empty(cx, [Geom::Capsule; 2]);
        let listed = guests.iter().filter(|guest| guest.is_listed);
        for guest in listed.filter(|guest| guest.number == number(guest.geoms, 0)) {
            let side = |geom: usize| Side::new(cx, at, geom).into_capsule(cx.model.geom_type[geom]);
            roll.enter(guest.geoms, &guest.shared, side);
        }
        roll
    }

    pub(super) fn of_family(cx: &'a Context<'a>, at: &Kinematics, family: &Family) -> Self {
        let mut roll = Self::empty(cx, family.kinds);
        for candidate in &family.candidates {
            let shared = shared(cx, candidate);
            roll.enter(candidate.geoms, &shared, |geom| Side::new(cx, at, geom));
        }
        roll
    }

    fn enter(&mut self, geoms: [usize; 2], shared: &Shared, of: impl Fn(usize) -> Side) {
        for (side, geom) in self.sides.iter_mut().zip(geoms) {
            if side.iter().all(|&(known, _)| known != geom as u32) {
                side.push((geom as u32, of(geom)));
            }
        }
        let shared = Shared {
            inverse_weight: [Var::ZERO; 2], // the sides know theirs
            ..shared.clone()
        };
        self.pairs.push((number(geoms, 0), shared));
    }

    /// The pair that a number belongs to.
    pub(super) fn pair(&self, number: Bits) -> Pair {
        let geom = |shift: usize| (number >> shift as u32) & ((1u32 << GEOM_BITS) - 1);
        let a = find(geom(GEOM_BITS + POINT_BITS), &self.sides[0]);
        let b = find(geom(POINT_BITS), &self.sides[1]);
        let pair = number & !((1u32 << POINT_BITS) - 1);
        Pair {
            shapes: [
                a.shape(self.kinds[0], a.origin),
                b.shape(self.kinds[1], a.origin),
            ],
            origin: a.origin,
            bodies: [a.body, b.body],
            shared: Shared {
                inverse_weight: std::array::from_fn(|k| a.inverse_weight[k] + b.inverse_weight[k]),
                ..find(pair, &self.pairs)
            },
        }
    }

    /// A guest of which, where it is listed, only the number and the depth are known so far.
    pub(super) fn complete(&self, is_listed: Mask, guest: Guest) -> Guest {
        if self.pairs.is_empty() || is_listed.as_constant() == Some(false) {
            return guest;
        }
        let points = self.pair(guest.index).guests(self.cx.model);
        let is_second = (guest.index & ((1u32 << POINT_BITS) - 1)).ne(0);
        let found = select(is_second, points[1].clone(), points[0].clone());
        let complete = Guest {
            index: guest.index,
            violation: guest.violation,
            ..found
        };
        Guest {
            dim: guest.dim,
            ..select(is_listed, complete, guest)
        }
    }
}

/// What stands under a number; anything where there is no such number.
pub(super) fn find<C: Carry>(number: Bits, entries: &[(u32, C)]) -> C {
    let found = entries.iter().cloned();
    found
        .reduce(|(_, found), (key, entry)| (key, select(number.eq(key), entry, found)))
        .map(|(_, found)| found)
        .expect("there are entries")
}
