//! Possible contacts between two links, and how the few that get slots are found among them.
//!
//! Every pair of geoms is recorded by itself, with two exceptions.
//!
//! - Of spheres and capsules only the depth is computed; a contact of theirs that gets a slot is computed again, as one of
//!   two capsules, whichever they are. A humanoid with 117 such pairs steps 1.5 times as fast.
//! - Where the others would take more than [`BUDGET`] operations, those of two kinds are one loop over their pairs. Its body
//!   looks up both geoms by number, a selection among all of them, because memory with computed addresses is slower: on
//!   Mesa's software device an array takes half a minute to compile, and a load from a buffer as long as 30 operations.

use crate::math::{Mat3, Vec3};
use crate::model::{Geom, Model};
use crate::trace::{Bits, Carry, Mask, Slot, Var, repeat, select, when};

use super::Context;
use super::collision::{self, Candidate, Point, Shape};
use super::contact::{self, Shared, Touch};
use super::kinematics::Kinematics;
use super::parameters::Parameters;
use super::tree::Tree;

/// Bits of a contact's number that tell its point.
const POINT_BITS: usize = 4;
/// Bits of a contact's number that tell one geom.
const GEOM_BITS: usize = 14;

/// Operations that pairs may take in a substep when each is recorded by itself.
const BUDGET: usize = 30_000;
/// The same for [`each_spot`], which may be slow.
const BUDGET_OF_SPOTS: usize = 5_000;
/// Fewer pairs of two kinds are never a loop.
const SMALLEST_FAMILY: usize = 4;

/// A possible contact between two links, relative to the origin of the first one's tree.
///
/// Not to one origin for all contacts: in `f32` a distance between things that are metres away from it is off by 1e-6 m.
#[derive(Clone)]
pub(super) struct Guest {
    pub dim: usize,
    /// In the world.
    pub origin: Vec3,
    /// Its geoms, where it was recorded by itself.
    pub geoms: [usize; 2],
    /// Its number, see [`number`], where it was recorded by itself.
    pub number: u32,
    /// Its number.
    pub index: Bits,
    /// Whether it is found in a loop, too.
    pub is_in_family: bool,
    /// The bodies of the first and the second geom.
    pub bodies: [Bits; 2],
    /// Distance less margin.
    pub violation: Var,
    /// Whether its depth alone is enough to find the rest.
    pub is_listed: bool,
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

    /// Whether it is a constraint.
    pub(super) fn is_present(&self) -> Mask {
        self.violation.lt(0.0)
    }

    /// Whether MuJoCo lists it.
    pub(super) fn is_detected(&self) -> Mask {
        self.violation.lt(self.shared.gap)
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

/// All possible contacts between two links, each by itself. Those of families are for whom it concerns: what nobody reads
/// is not computed.
pub(super) fn between(cx: &Context<'_>, at: &Kinematics, plan: &Plan) -> Vec<Guest> {
    let mut all = Vec::new();
    for candidate in contact::candidates(cx.model) {
        if !is_between(cx.model, &candidate) {
            continue;
        }
        let origin = at.origin[cx.model.geom_bodyid[candidate.geoms[0]]];
        let pair = Pair {
            shapes: candidate
                .geoms
                .map(|geom| contact::shape(cx, at, geom, origin)),
            origin,
            bodies: candidate
                .geoms
                .map(|geom| Bits::from(cx.model.geom_bodyid[geom] as u32)),
            shared: shared(cx, &candidate),
        };
        for (k, guest) in pair.guests(cx.model).into_iter().enumerate() {
            let number = number(candidate.geoms, k);
            all.push(Guest {
                dim: candidate.condim,
                geoms: candidate.geoms,
                number,
                index: number.into(),
                is_in_family: plan.has_in_family(&candidate),
                is_listed: is_round(kinds(cx.model, &candidate)),
                ..guest
            });
        }
    }
    all
}

/// What two geoms share; with the same numbers for all, so that one or the other can be chosen.
fn shared(cx: &Context<'_>, candidate: &Candidate) -> Shared {
    let mut shared = contact::shared(cx, candidate);
    if cx.model.npair > 0 || cx.model.opt.flags.override_contacts {
        shared.slip_solref.get_or_insert(shared.softness.solref);
    }
    shared
}

/// Two geoms, and what they share.
struct Pair {
    /// Relative to `origin`.
    shapes: [Shape; 2],
    /// Of the first one's tree, in the world.
    origin: Vec3,
    bodies: [Bits; 2],
    shared: Shared,
}

impl Pair {
    /// Its contacts, without what is known of each while it is recorded.
    fn guests(&self, model: &Model) -> Vec<Guest> {
        let reach = self.shared.margin + self.shared.gap;
        let points = nearby(&self.shapes, reach, model.opt.flags.multiccd);
        let guest = |point: Bare| Guest {
            dim: 0,
            origin: self.origin,
            geoms: [0; 2],
            number: u32::MAX,
            index: Bits::from(u32::MAX),
            is_in_family: false,
            is_listed: false,
            bodies: self.bodies,
            violation: point.distance - self.shared.margin,
            point,
            shared: self.shared.clone(),
        };
        points.into_iter().map(guest).collect()
    }
}

/// Which pairs are recorded by themselves, and which in loops.
pub(super) struct Plan {
    pub families: Vec<Family>,
}

/// Pairs of geoms of the same two kinds, whose contacts have the same dimension.
pub(super) struct Family {
    pub dim: usize,
    kinds: [Geom; 2],
    candidates: Vec<Candidate>,
}

impl Plan {
    /// The plan for a substep, where of spheres and capsules only depths are computed.
    pub(super) fn of_substep(model: &Model) -> Self {
        let costly = |candidate: &Candidate| !is_round(kinds(model, candidate));
        Self::new(model, costly, BUDGET)
    }

    fn new(model: &Model, counts: impl Fn(&Candidate) -> bool, budget: usize) -> Self {
        assert!(model.ngeom < 1 << GEOM_BITS, "too many geoms");
        let all = contact::candidates(model);
        let costly = all
            .into_iter()
            .filter(|candidate| is_between(model, candidate) && counts(candidate));
        let mut total = 0;
        let mut families: Vec<Family> = Vec::new();
        for candidate in costly {
            let (kinds, dim) = (kinds(model, &candidate), candidate.condim);
            total += cost(kinds);
            let own = |family: &&mut Family| family.kinds == kinds && family.dim == dim;
            match families.iter_mut().find(own) {
                Some(family) => family.candidates.push(candidate),
                None => families.push(Family {
                    dim,
                    kinds,
                    candidates: vec![candidate],
                }),
            }
        }
        families.retain(|family| family.candidates.len() >= SMALLEST_FAMILY);
        if total <= budget {
            families.clear();
        }
        Self { families }
    }

    fn has_in_family(&self, candidate: &Candidate) -> bool {
        let mut all = self.families.iter().flat_map(|family| &family.candidates);
        all.any(|member| member.geoms == candidate.geoms)
    }
}

/// What a loop over a family finds.
pub(super) struct Met {
    /// The deepest.
    pub guests: Vec<Guest>,
    /// How many are within their margins.
    pub present: Bits,
    /// How many MuJoCo lists.
    pub detected: Bits,
}

impl Family {
    /// How many contacts it can have.
    fn capacity(&self, model: &Model) -> usize {
        self.candidates.len() * self.points(model)
    }

    /// How many points a pair has.
    fn points(&self, model: &Model) -> usize {
        let [a, b] = self.kinds;
        collision::points(a, b, model.opt.flags.multiccd).unwrap_or(0)
    }

    /// Its deepest contacts, at most `room`.
    pub(super) fn meet(&self, cx: &Context<'_>, at: &Kinematics, room: usize) -> Met {
        let roll = Roll::of_family(cx, at, self);
        let room = room.min(self.capacity(cx.model));
        let nobody = Guest {
            dim: self.dim,
            ..roll.pair(roll.pairs[0].0.into()).guests(cx.model)[0].absent()
        };
        let start = (vec![nobody; room], [Bits::ZERO; 2]);
        let (guests, [present, detected]) =
            self.each(&roll, start, |(mut kept, mut counts), guest, _| {
                let guest = Guest {
                    dim: self.dim,
                    ..guest
                };
                counts[0] += flag(guest.is_present());
                counts[1] += flag(guest.is_detected());
                insert(&mut kept, guest);
                (kept, counts)
            });
        Met {
            guests,
            present,
            detected,
        }
    }

    /// Loops over its contacts; `body` gets the carry, a contact, and which one it is.
    fn each<C: Carry>(&self, roll: &Roll<'_>, carry: C, body: impl Fn(C, Guest, Bits) -> C) -> C {
        let model = roll.cx.model;
        let numbers = self.candidates.iter().enumerate();
        let numbers: Vec<(u32, Bits)> = numbers
            .map(|(i, candidate)| (i as u32, number(candidate.geoms, 0).into()))
            .collect();
        repeat(
            self.candidates.len() as u32,
            carry,
            |_| true.into(),
            |mut carry, i| {
                let number = find(i, &numbers);
                let guests = roll.pair(number).guests(model);
                for (k, mut guest) in guests.into_iter().enumerate() {
                    guest.index = number + k as u32;
                    let which = i * self.points(model) as u32 + k as u32;
                    carry = body(carry, guest, which);
                }
                carry
            },
        )
    }
}

/// Puts a guest in its place by depth, and the least deep out.
fn insert(kept: &mut [Guest], guest: Guest) {
    let before: Vec<Guest> = kept.to_vec();
    let is_deeper: Vec<Mask> = before
        .iter()
        .map(|stands| guest.violation.lt(stands.violation))
        .collect();
    for k in 0..kept.len() {
        let here = select(is_deeper[k], guest.clone(), before[k].clone());
        kept[k] = match k {
            0 => here,
            _ => select(is_deeper[k - 1], before[k - 1].clone(), here),
        };
    }
}

/// A possible contact between two geoms, in the world.
#[derive(Clone, Copy, Debug)]
pub struct Spot {
    /// Distance between the surfaces, m.
    pub distance: Var,
    /// Half way between the surfaces, m.
    pub pos: Vec3,
    /// From the first geom to the second.
    pub normal: Vec3,
    /// The first tangent of its frame.
    pub tangent: Vec3,
    /// Whether it is a constraint.
    pub included: Mask,
}

/// Visits every point where geoms may touch, with its number, in loops where there are many: what [`Forward::contacts`]
/// tells, without forces. Gives the geoms of each.
///
/// [`Forward::contacts`]: super::Forward::contacts
pub fn each_spot(
    model: &Model,
    parameters: &Parameters,
    at: &Kinematics,
    visit: impl Fn(Bits, Spot),
) -> Vec<[usize; 2]> {
    let tree = Tree::new(model);
    let cx = Context::new(model, parameters, &tree);
    let mut geoms = Vec::new();
    for touch in contact::touches(&cx, at) {
        let spot = Spot {
            distance: touch.distance,
            pos: at.origin[tree.links[touch.link].body] + touch.pos,
            normal: touch.frame[0],
            tangent: touch.frame[1],
            included: touch.present,
        };
        visit(Bits::from(geoms.len() as u32), spot);
        geoms.push(touch.geoms);
    }
    let spot = |guest: &Guest| {
        let Bare {
            distance,
            pos,
            normal,
        } = guest.point;
        Spot {
            distance,
            pos: guest.origin + pos,
            normal,
            tangent: Point::new(distance, pos, normal).frame[1],
            included: guest.is_present(),
        }
    };
    let plan = Plan::new(model, |_| true, BUDGET_OF_SPOTS);
    let by_themselves = between(&cx, at, &plan).into_iter();
    for guest in by_themselves.filter(|guest| !guest.is_in_family) {
        visit(Bits::from(geoms.len() as u32), spot(&guest));
        geoms.push(guest.geoms);
    }
    for family in &plan.families {
        let (first, roll) = (geoms.len() as u32, Roll::of_family(&cx, at, family));
        family.each(&roll, (), |(), guest, which| {
            visit(which + first, spot(&guest))
        });
        for candidate in &family.candidates {
            geoms.extend(vec![candidate.geoms; family.points(model)]);
        }
    }
    geoms
}

/// The contact points of two shapes. Those that cost more than a branch are computed only where the balls around the
/// shapes are within reach.
fn nearby(shapes: &[Shape; 2], reach: Var, several: bool) -> Vec<Bare> {
    let [a, b] = shapes;
    let all = || -> Vec<Bare> {
        let points = collision::collide(a, b, reach, several).into_iter();
        points.map(Bare::of).collect()
    };
    if is_round([a.kind, b.kind]) {
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

/// The kinds of a pair's geoms.
fn kinds(model: &Model, candidate: &Candidate) -> [Geom; 2] {
    candidate.geoms.map(|geom| model.geom_type[geom])
}

/// Whether both geoms' bodies move.
fn is_between(model: &Model, candidate: &Candidate) -> bool {
    let trees = candidate
        .geoms
        .map(|geom| model.body_treeid[model.geom_bodyid[geom]]);
    trees.iter().all(Option::is_some)
}

/// Whether both are balls, or balls that are moved along a line.
fn is_round(kinds: [Geom; 2]) -> bool {
    kinds
        .iter()
        .all(|kind| matches!(kind, Geom::Sphere | Geom::Capsule))
}

/// About how many operations a pair of two kinds takes.
fn cost(kinds: [Geom; 2]) -> usize {
    match kinds {
        _ if is_round(kinds) => 200,
        [Geom::Sphere, _] => 200,
        _ => 2000,
    }
}

/// 1 where a mask holds.
pub(super) fn flag(mask: Mask) -> Bits {
    select(mask, Bits::from(1), Bits::ZERO)
}

/// What is looked up of some pairs of geoms by their numbers.
pub(super) struct Roll<'a> {
    cx: &'a Context<'a>,
    /// The geoms that come first in their pairs, and those that come second, by their numbers.
    sides: [Vec<(u32, Side)>; 2],
    /// What two geoms share, by the number of their first point.
    pairs: Vec<(u32, Shared)>,
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

    fn of_family(cx: &'a Context<'a>, at: &Kinematics, family: &Family) -> Self {
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
    fn pair(&self, number: Bits) -> Pair {
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
fn find<C: Carry>(number: Bits, entries: &[(u32, C)]) -> C {
    let found = entries.iter().cloned();
    found
        .reduce(|(_, found), (key, entry)| (key, select(number.eq(key), entry, found)))
        .map(|(_, found)| found)
        .expect("there are entries")
}
