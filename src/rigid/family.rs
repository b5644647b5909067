//! Families: pairs of geoms of the same two kinds whose contacts are found in one loop.
//!
//! Where pairs would take more than [`BUDGET`] operations recorded one by one, those of two kinds are a loop over their
//! pairs. Its body looks both geoms up by number (`roll.rs`).

use crate::model::{Geom, Model};
use crate::trace::{Bits, Carry, Mask, repeat, select};

use super::Context;
use super::collision::{self, Candidate};
use super::contact;
use super::guest::{Guest, flag, is_between, is_round, kinds};
use super::kinematics::Kinematics;
use super::roll::{self, Roll, find, number};

/// Operations that pairs may take in a substep when each is recorded by itself.
const BUDGET: usize = 30_000;
/// Fewer pairs of two kinds are never a loop.
const SMALLEST_FAMILY: usize = 4;

/// Which pairs are recorded by themselves, and which in loops.
pub(super) struct Plan {
    pub families: Vec<Family>,
}

/// Pairs of geoms of the same two kinds, whose contacts have the same dimension.
pub(super) struct Family {
    pub dim: usize,
    pub kinds: [Geom; 2],
    pub candidates: Vec<Candidate>,
}

impl Plan {
    /// The plan for a substep, where of spheres and capsules only depths are computed.
    pub(super) fn of_substep(model: &Model) -> Self {
        let costly = |candidate: &Candidate| !is_round(kinds(model, candidate));
        Self::new(model, costly, BUDGET)
    }

    /// A plan in which pairs that count may take so many operations before they become loops.
    pub(super) fn new(model: &Model, counts: impl Fn(&Candidate) -> bool, budget: usize) -> Self {
        assert!(model.ngeom < roll::MOST_GEOMS, "too many geoms");
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

    pub(super) fn has_in_family(&self, candidate: &Candidate) -> bool {
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
    pub(super) fn points(&self, model: &Model) -> usize {
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
    pub(super) fn each<C: Carry>(
        &self,
        roll: &Roll<'_>,
        carry: C,
        body: impl Fn(C, Guest, Bits) -> C,
    ) -> C {
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

/// About how many operations a pair of two kinds takes.
fn cost(kinds: [Geom; 2]) -> usize {
    match kinds {
        _ if is_round(kinds) => 200,
        [Geom::Sphere, _] => 200,
        _ => 2000,
    }
}
