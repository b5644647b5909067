//! Contacts between two links that move: a few slots, in which the deepest contacts stand.
//!
//! Such a contact is a [`Coupling`]: each of its directions costs a solve, so there are few slots; a model with few
//! possible contacts has one for each.
//!
//! Where there are more, the deepest are kept, and the world says that it overflows and how many it needs. A model says
//! how many slots it wants by [`Model::max_contact_points`].

use crate::math::{Motion, Vec3};
use crate::model::Model;
use crate::trace::{Bits, Mask, Var, repeat, select};

use super::Context;
use super::cone::state_bits;
use super::contact::{self, Touch};
use super::coupling::{Coupling, dot};
use super::family::Plan;
use super::guest::{self, Guest};
use super::kinematics::Kinematics;
use super::roll::Roll;
use super::state::State;

/// How many contacts of a dimension have slots.
fn slots(model: &Model, dim: usize) -> usize {
    let default = if dim == 1 { 6 } else { 4 };
    model.max_contact_points.unwrap_or(default)
}

/// The contact dimensions that have slots, in the order of their bits.
const DIMENSIONS: [usize; 4] = [1, 3, 4, 6];

/// A contact between two links.
#[derive(Clone, Debug)]
pub(super) struct Slot {
    /// The contact, relative to the origin of its first link's tree; its motion is that of the second link less the first's.
    pub touch: Touch,
    /// Which of the possible contacts it is.
    pub index: Bits,
    /// The bodies of its two geoms.
    pub bodies: [Bits; 2],
    /// What `touch` is relative to, in the world.
    pub origin: Vec3,
    /// `[dim][nv]` Jacobians of its normal and friction directions.
    pub jacobian: Vec<Vec<Var>>,
    /// `[dim]` The accelerations that it asks for, with their signs changed.
    offset: Vec<Var>,
}

/// The slots of a world.
pub(super) struct Slots {
    /// Contacts that stand in them.
    pub slots: Vec<Slot>,
    /// All possible contacts between links, with their numbers.
    pub all: Vec<(u32, Touch)>,
    /// How many of them push or could.
    pub needed: Bits,
    /// Whether some have no slot.
    pub overflow: Mask,
    /// How many of them MuJoCo lists.
    pub detected: Bits,
}

/// How many bits the states of the slots' rows take.
pub(super) fn capacity(model: &Model) -> usize {
    let is_elliptic = contact::is_elliptic(model);
    let of = |dim: usize| {
        contact::count_between(model, dim).min(slots(model, dim)) * state_bits(dim, is_elliptic)
    };
    DIMENSIONS.into_iter().map(of).sum()
}

/// Fills the slots at a state.
pub(super) fn fill(cx: &Context<'_>, at: &Kinematics, state: &State) -> Slots {
    let plan = Plan::of_substep(cx.model);
    let all = guest::between(cx, at, &plan);
    let count = |guests: &[Guest], counts: fn(&Guest) -> Mask| {
        let ones = guests.iter().map(|guest| guest::flag(counts(guest)));
        ones.fold(Bits::ZERO, |sum, one| sum + one)
    };
    let (mut filled, mut needed) = (Vec::new(), Bits::ZERO);
    let (mut overflow, mut detected) = (Mask::from(false), Bits::ZERO);
    for dim in DIMENSIONS {
        let by_itself = |guest: &&Guest| guest.dim == dim && !guest.is_in_family;
        let mut guests: Vec<Guest> = all.iter().filter(by_itself).cloned().collect();
        let mut present = count(&guests, Guest::is_present);
        detected += count(&guests, Guest::is_detected);
        let room = slots(cx.model, dim);
        for family in plan.families.iter().filter(|family| family.dim == dim) {
            let met = family.meet(cx, at, room);
            present += met.present;
            detected += met.detected;
            guests.extend(met.guests);
        }
        needed += present;
        if guests.len() > room || contact::count_between(cx.model, dim) > room {
            overflow |= present.gt(room as u32);
        }
        let kept = match guests.len() > room {
            true => deepest(&guests, &Roll::of_listed(cx, at, &guests), room, present),
            false => guests,
        };
        filled.extend(kept.iter().map(|guest| settle(cx, at, state, guest)));
    }
    Slots {
        slots: filled,
        all: all
            .iter()
            .map(|guest| (guest.number, guest.touch(cx)))
            .collect(),
        needed,
        overflow,
        detected,
    }
}

/// The `count` deepest of the guests that are present, deepest first.
///
/// One is found in each round, so that a world takes as many rounds as it has contacts.
fn deepest(guests: &[Guest], roll: &Roll<'_>, count: usize, present: Bits) -> Vec<Guest> {
    let empty = guests[0].absent();
    let (kept, ..) = repeat(
        present.min(count as u32),
        (vec![empty.clone(); count], Var::from(-1e30), Bits::ZERO),
        |_| true.into(),
        |(kept, last, last_index), round| {
            let mut next = empty.clone();
            let mut is_listed = Mask::from(guests.iter().all(|guest| guest.is_listed));
            for guest in guests {
                // Later in the order of depth, then of number, than the one before.
                let ties = guest.violation.eq(last) & last_index.lt(guest.index);
                let is_later = guest.violation.gt(last) | ties;
                let is_first = is_later & guest.violation.lt(next.violation);
                is_listed = select(is_first, guest.is_listed.into(), is_listed);
                let found = match guest.is_listed {
                    true => next.renamed(guest),
                    false => guest.clone(),
                };
                next = select(is_first, found, next);
            }
            let next = roll.complete(is_listed, next);
            let kept = kept.into_iter().enumerate();
            let kept = kept.map(|(k, stands)| select(round.eq(k as u32), next.clone(), stands));
            (kept.collect(), next.violation, next.index)
        },
    );
    kept
}

/// Finds the Jacobian of a contact.
fn settle(cx: &Context<'_>, at: &Kinematics, state: &State, guest: &Guest) -> Slot {
    let touch = guest.touch(cx);
    let carried = carried(cx, guest.bodies);
    let mut jacobian = vec![vec![Var::ZERO; cx.model.nv]; touch.dim];
    for (link, &sign) in cx.tree.links.iter().zip(&carried) {
        if sign.is_zero() {
            continue;
        }
        let shift = guest.origin - at.origin[link.body];
        for dof in cx.model.body_dofs(link.body) {
            let axis = at.cdof[dof];
            let there = Motion::new(axis.ang, axis.at(shift));
            for (row, along) in jacobian.iter_mut().zip(touch.along(there)) {
                row[dof] = along * sign;
            }
        }
    }
    let velocity: Vec<Var> = jacobian.iter().map(|row| dot(row, &state.qvel)).collect();
    Slot {
        offset: touch.offset(&velocity),
        touch,
        index: guest.index,
        bodies: guest.bodies,
        origin: guest.origin,
        jacobian,
    }
}

/// `[links]` Whether a link carries the contact's second body (1), its first (−1), or both or none (0).
fn carried(cx: &Context<'_>, [first, second]: [Bits; 2]) -> Vec<Var> {
    let (parents, count) = (&cx.model.body_parentid, cx.model.nbody);
    // Bodies are numbered depth first: a subtree is a range.
    let last = |body: usize| {
        let descends = |&other: &usize| parents[other] >= body;
        (body + 1..count)
            .take_while(descends)
            .last()
            .unwrap_or(body)
    };
    let within = |this: Bits, body: usize, last: usize| {
        let inside = this.ge(body as u32) & this.le(last as u32);
        select(inside, Var::ONE, Var::ZERO)
    };
    let links = cx.tree.links.iter();
    links
        .map(|link| {
            let last = last(link.body);
            if link.body == 1 && last + 1 == count {
                return Var::ZERO;
            }
            within(second, link.body, last) - within(first, link.body, last)
        })
        .collect()
}

impl Slot {
    /// The contact as a coupling, given a factor of its stiffness.
    pub(super) fn coupling(&self, factor: Vec<Vec<Var>>) -> Coupling {
        Coupling {
            jacobian: self.jacobian.clone(),
            offset: self.offset.clone(),
            factor,
        }
    }

    /// The accelerations along its directions less those it asks for.
    pub(super) fn excess(&self, x: &[Var]) -> Vec<Var> {
        let rows = self.jacobian.iter().zip(&self.offset);
        rows.map(|(row, &offset)| dot(row, x) + offset).collect()
    }
}
