//! Contacts between two links that move: a few slots, in which the deepest contacts stand.
//!
//! Such a contact couples two branches of a tree, or two trees, so it cannot be folded into one link's inertia. It is
//! a correction of low rank instead (Woodbury, Inverting modified matrices, 1950). With H all that is folded in, J the
//! edges that push and R = D⁻¹ their regularization, the accelerations are those without them, y₀, plus `H⁻¹ Jᵀ λ`,
//! where `(J H⁻¹ Jᵀ + R) λ = c − J y₀`. Each direction of a slot costs one more solve on the same factorization, so
//! there are few slots; a model with few possible contacts has one for each.
//!
//! Where there are more, the deepest are kept, and the world says that it overflows and how many it needs.

use crate::math::Motion;
use crate::model::Model;
use crate::trace::{Bits, Mask, Var, repeat, select};

use super::Context;
use super::articulated::Response;
use super::contact::{self, Guest, Touch, edges};
use super::kinematics::Kinematics;
use super::state::State;
use super::tree::Tree;

/// How many contacts of a dimension have slots.
fn slots(dim: usize) -> usize {
    if dim == 1 { 6 } else { 4 }
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
    /// `[dim][nv]` Jacobians of its normal and friction directions.
    pub jacobian: Vec<Vec<Var>>,
    /// `[dim]` `b J qvel`: the reference acceleration, less the spring's part, with its sign changed.
    drift: Vec<Var>,
}

/// The slots of a world.
pub(super) struct Slots {
    /// Contacts that stand in them.
    pub slots: Vec<Slot>,
    /// All possible contacts between links.
    pub all: Vec<Touch>,
    /// How many of them push or could.
    pub needed: Bits,
    /// Whether some have no slot.
    pub overflow: Mask,
}

/// How many bits the states of the slots' rows take.
pub(super) fn capacity(model: &Model) -> usize {
    let of = |dim: usize| contact::count_between(model, dim).min(slots(dim)) * edges(dim);
    DIMENSIONS.into_iter().map(of).sum()
}

/// Fills the slots at a state.
pub(super) fn fill(cx: &Context<'_>, at: &Kinematics, state: &State) -> Slots {
    let all = contact::between(cx, at);
    let one = |guest: &Guest| select(guest.violation.lt(0.0), Bits::from(1), Bits::ZERO);
    let (mut filled, mut needed) = (Vec::new(), Bits::ZERO);
    let mut overflow = Mask::from(false);
    for dim in DIMENSIONS {
        let guests: Vec<Guest> = all
            .iter()
            .filter(|guest| guest.dim == dim)
            .cloned()
            .collect();
        let present = guests
            .iter()
            .map(one)
            .fold(Bits::ZERO, |sum, one| sum + one);
        needed += present;
        if guests.len() > slots(dim) {
            overflow |= present.gt(slots(dim) as u32);
        }
        let kept = deepest(guests, slots(dim), present);
        filled.extend(kept.iter().map(|guest| settle(cx, at, state, guest)));
    }
    Slots {
        slots: filled,
        all: all.iter().map(|guest| guest.touch(cx)).collect(),
        needed,
        overflow,
    }
}

/// The `count` deepest of the guests that are present, deepest first; all of them as they come where there are no
/// more.
///
/// One is found in each round, so that a world takes as many rounds as it has contacts.
fn deepest(guests: Vec<Guest>, count: usize, present: Bits) -> Vec<Guest> {
    if guests.len() <= count {
        return guests;
    }
    let empty = guests[0].absent();
    let (kept, ..) = repeat(
        present.min(count as u32),
        (vec![empty.clone(); count], Var::from(-1e30), Bits::ZERO),
        |_| true.into(),
        |(kept, last, last_index), round| {
            let mut next = empty.clone();
            for guest in &guests {
                // Later in the order of depth, then of number, than the one before.
                let ties = guest.violation.eq(last) & last_index.lt(guest.index);
                let is_later = guest.violation.gt(last) | ties;
                let is_first = is_later & guest.violation.lt(next.violation);
                next = select(is_first, guest.clone(), next);
            }
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
    let carried = carried(cx.tree, guest.links);
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
    let drift = jacobian
        .iter()
        .map(|row| dot(row, &state.qvel) * touch.damping)
        .collect();
    Slot {
        touch,
        index: guest.index,
        jacobian,
        drift,
    }
}

/// `[links]` Whether a link carries the contact's second link (1), its first (−1), or both or none (0).
fn carried(tree: &Tree, [first, second]: [Bits; 2]) -> Vec<Var> {
    let last = |link: usize| {
        let descends = |mut other: usize| loop {
            match tree.links[other].parent {
                _ if other == link => return true,
                Some(parent) => other = parent,
                None => return false,
            }
        };
        (link..tree.links.len())
            .take_while(|&other| descends(other))
            .last()
    };
    let within = |this: Bits, link: usize, last: usize| {
        let inside = this.ge(link as u32) & this.le(last as u32);
        select(inside, Var::ONE, Var::ZERO)
    };
    (0..tree.links.len())
        .map(|link| {
            // Links are numbered depth first: a subtree is a range.
            let last = last(link).unwrap_or(link);
            if link == 0 && last + 1 == tree.links.len() {
                return Var::ZERO;
            }
            within(second, link, last) - within(first, link, last)
        })
        .collect()
}

/// Scalar product that skips constant zeros.
pub(super) fn dot(a: &[Var], b: &[Var]) -> Var {
    a.iter().zip(b).map(|(&a, &b)| a * b).sum()
}

impl Slot {
    /// The accelerations along its directions less those it asks for, but for the spring's part.
    pub(super) fn excess(&self, x: &[Var]) -> Vec<Var> {
        let rows = self.jacobian.iter().zip(&self.drift);
        rows.map(|(row, &drift)| dot(row, x) + drift).collect()
    }

    /// Its edges in terms of its directions: coefficient of each.
    fn edges(&self) -> Vec<Vec<(usize, Var)>> {
        if self.touch.dim == 1 {
            return vec![vec![(0, Var::ONE)]];
        }
        let both = |k: usize| {
            let mu = self.touch.friction[k];
            [mu, -mu].map(|mu| vec![(0, Var::ONE), (k + 1, mu)])
        };
        (0..self.touch.dim - 1).flat_map(both).collect()
    }
}

impl Slots {
    /// Adds to a response what the edges that push change in it. `respond` gives the response to generalized forces
    /// alone, with all else folded in.
    pub(super) fn correct(
        &self,
        found: &mut Response,
        pushes: &[&[Mask]],
        respond: impl Fn(&[Var]) -> Response,
    ) {
        let directions: Vec<&Vec<Var>> =
            self.slots.iter().flat_map(|slot| &slot.jacobian).collect();
        let responses: Vec<Response> = directions.iter().map(|row| respond(row)).collect();
        let count = directions.len();
        let mut compliance = vec![vec![Var::ZERO; count]; count];
        for i in 0..count {
            for j in i..count {
                let entry = dot(directions[i], &responses[j].x);
                (compliance[i][j], compliance[j][i]) = (entry, entry);
            }
        }

        // The system of edges; those that do not push are rows of the identity.
        let mut edges: Vec<Vec<(usize, Var)>> = Vec::new();
        let (mut pushing, mut rest) = (Vec::new(), Vec::new());
        let (mut softness, mut first) = (Vec::new(), 0);
        for (slot, pushes) in self.slots.iter().zip(pushes) {
            let (residuals, _) = slot.touch.residuals_of(&slot.excess(&found.x));
            let own = slot.edges();
            edges.extend(own.into_iter().map(|edge| {
                edge.into_iter()
                    .map(|(direction, factor)| (first + direction, factor))
                    .collect::<Vec<_>>()
            }));
            pushing.extend_from_slice(pushes);
            rest.extend(residuals.into_iter().map(|residual| -residual));
            softness.extend(vec![slot.touch.softness(); pushes.len()]);
            first += slot.touch.dim;
        }
        let entry = |i: usize, j: usize| -> Var {
            let column = |row: usize| -> Var {
                edges[j]
                    .iter()
                    .map(|&(k, factor)| compliance[row][k] * factor)
                    .sum()
            };
            edges[i].iter().map(|&(k, factor)| column(k) * factor).sum()
        };
        let n = edges.len();
        let matrix: Vec<Vec<Var>> = (0..n)
            .map(|i| {
                let coupled = |j: usize| select(pushing[i] & pushing[j], entry(i, j), Var::ZERO);
                let own = select(pushing[i], entry(i, i) + softness[i], Var::ONE);
                (0..i).map(coupled).chain([own]).collect()
            })
            .collect();
        let load = |i: usize| select(pushing[i], rest[i], Var::ZERO);
        let force = solve(matrix, (0..n).map(load).collect());

        for (k, response) in responses.iter().enumerate() {
            let along = edges.iter().zip(&force).flat_map(|(edge, &force)| {
                let own = edge.iter().filter(move |(direction, _)| *direction == k);
                own.map(move |&(_, factor)| factor * force)
            });
            let along: Var = along.sum();
            let changes = found.x.iter_mut().zip(&response.x);
            changes.for_each(|(x, &change)| *x += change * along);
            let changes = found.motion.iter_mut().zip(&response.motion);
            changes.for_each(|(motion, &change)| *motion += change * along);
        }
    }
}

/// Solves a symmetric positive definite system, given its lower triangle, by `LDLᵀ`.
fn solve(mut a: Vec<Vec<Var>>, mut x: Vec<Var>) -> Vec<Var> {
    let n = x.len();
    let mut inverse = Vec::with_capacity(n);
    for i in 0..n {
        inverse.push(a[i][i].recip());
        for row in i + 1..n {
            let factor = a[row][i] * inverse[i];
            let pivots: Vec<Var> = (i + 1..=row).map(|column| a[column][i]).collect();
            let entries = a[row][i + 1..].iter_mut().zip(pivots);
            entries.for_each(|(entry, pivot)| *entry -= pivot * factor);
            let reduced = factor * x[i];
            x[row] -= reduced;
        }
    }
    for i in (0..n).rev() {
        let known: Var = (i + 1..n).map(|row| a[row][i] * x[row]).sum();
        x[i] = (x[i] - known) * inverse[i];
    }
    x
}
