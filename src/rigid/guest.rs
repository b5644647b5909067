//! Possible contacts between two links, each recorded by itself unless many of them are one loop (`family.rs`).
//!
//! Of spheres and capsules only the depth is computed; a contact of theirs that gets a slot is computed again, as one of two
//! capsules, whichever they are (`roll.rs`). A humanoid with 117 such pairs steps 1.5 times as fast.

use crate::math::Vec3;
use crate::model::{Geom, Model};
use crate::trace::{Bits, Carry, Mask, Slot, Var, select, when};

use super::Context;
use super::collision::{self, Candidate, Point, Shape};
use super::contact::{self, Shared, Touch};
use super::family::Plan;
use super::kinematics::Kinematics;
use super::parameters::Parameters;
use super::roll::{Roll, number};
use super::tree::Tree;

/// Operations that pairs may take in [`each_spot`], which may be slow.
const BUDGET_OF_SPOTS: usize = 5_000;

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
    /// Its [`number`], where it was recorded by itself.
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
    /// Where, relative to the origin.
    pub point: Bare,
    /// What its geoms share.
    pub shared: Shared,
}

/// A point without tangents: between geoms that move they follow from the normal, once it is known who gets a slot.
#[derive(Clone)]
pub(super) struct Bare {
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
pub(super) fn shared(cx: &Context<'_>, candidate: &Candidate) -> Shared {
    let mut shared = contact::shared(cx, candidate);
    if cx.model.npair > 0 || cx.model.opt.flags.override_contacts {
        shared.slip_solref.get_or_insert(shared.softness.solref);
    }
    shared
}

/// Two geoms, and what they share.
pub(super) struct Pair {
    /// Relative to `origin`.
    pub shapes: [Shape; 2],
    /// Of the first one's tree, in the world.
    pub origin: Vec3,
    pub bodies: [Bits; 2],
    pub shared: Shared,
}

impl Pair {
    /// Its contacts, without what is known of each while it is recorded.
    pub(super) fn guests(&self, model: &Model) -> Vec<Guest> {
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
pub(super) fn kinds(model: &Model, candidate: &Candidate) -> [Geom; 2] {
    candidate.geoms.map(|geom| model.geom_type[geom])
}

/// Whether both geoms' bodies move.
pub(super) fn is_between(model: &Model, candidate: &Candidate) -> bool {
    let trees = candidate
        .geoms
        .map(|geom| model.body_treeid[model.geom_bodyid[geom]]);
    trees.iter().all(Option::is_some)
}

/// Whether both are balls, or balls that are moved along a line.
pub(super) fn is_round(kinds: [Geom; 2]) -> bool {
    kinds
        .iter()
        .all(|kind| matches!(kind, Geom::Sphere | Geom::Capsule))
}

/// 1 where a mask holds.
pub(super) fn flag(mask: Mask) -> Bits {
    select(mask, Bits::from(1), Bits::ZERO)
}
