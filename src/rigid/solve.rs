//! Constrained accelerations: the minimum of MuJoCo's convex cost (Todorov, Convex and analytically-invertible
//! dynamics with contacts and constraints, 2014), found exactly.
//!
//! The cost is `½ (x − x₀)ᵀ M (x − x₀) + Σ ½ D min(J x − aref, 0)²` over accelerations x. Once it is known which rows
//! push, the minimum is one linear solve, `(M + Σ D JᵀJ) x = τ + Σ D aref Jᵀ`, by the articulated-body recursion: rows
//! of a joint add to its block, contacts with the static world to their link's inertia, and constraints between links
//! are a correction (see [`coupling`]). The right set of rows is the one that this solution confirms. Exchanging all
//! rows that disagree is Newton's method with full steps and takes one or two rounds. It can cycle in principle, so
//! after some rounds only the first disagreeing row is exchanged, which always ends (Murty, Note on a Bard-type scheme
//! for solving the complementarity problem, 1974; combined as by Júdice and Pires, A block principal pivoting algorithm
//! for large-scale strictly monotone linear complementarity problems, 1994). The set is carried from substep to substep,
//! so most solves confirm it in the first round. Rounding can tie two sets, each of which sends the search to the other:
//! then a step of Newton's method that leads nowhere ends it.
//!
//! Elliptic cones have more than a set of rows to find, see [`newton`]. Its line search would do for pyramids too, but
//! as a last resort it makes an ant's step a quarter longer and a hopper's two fifths, for nothing: of states made to change
//! every contact at once, none needed more than 15 rounds of exchanges, and what exchanges did not end were ties.

use crate::math::{Force, Motion};
use crate::trace::{Bits, Mask, Var, epsilon, repeat, select};

use super::articulated::{self, JointBlocks};
use super::articulated::{Loads, Response};
use super::constraint::{Constraints, Split};
use super::contact::Touch;
use super::coupling::{self, Coupling};
use super::inertia::LinkInertia;
use super::kinematics::Kinematics;
use super::{Context, bias, newton};

/// When the search for the rows that push changes its manner, counted in rounds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rounds {
    /// Before this round any disagreement counts, afterwards only one above [`tolerance`].
    pub exact: u32,
    /// Before this round every row that disagrees is exchanged.
    pub full: u32,
    /// From then on only the first, and before this round every row each fourth time: from elsewhere it may not cycle.
    pub mixed: u32,
    /// Where the search gives up.
    pub all: u32,
    /// With elliptic cones: from this round on, each goes to the least cost along its way.
    pub line: u32,
}

impl Rounds {
    /// What substeps use.
    pub(super) const DEFAULT: Self = Self {
        exact: 4,
        full: 8,
        mixed: 64,
        all: 256,
        line: 4,
    };
}

/// After some rounds, a row changes sides only for a residual above this part of its terms: 1e-5 in `f32`, 1e-11 in
/// `f64`. A row whose force is nearly zero may otherwise change sides for ever; its force is then as small as the rounding.
fn tolerance() -> Var {
    1e-11 + 84.0 * epsilon()
}

/// By how much of their size accelerations that are the same may differ: 3e-4 in `f32`. Of a walker's random steps, one in
/// 10⁶ ends at a tie of two sets whose accelerations differ by rounding alone; that was at most 8e-5.
fn sameness() -> Var {
    32.0 * tolerance()
}

/// Constrained accelerations.
#[derive(Clone, Debug)]
pub(super) struct Solution {
    /// `[nv]` Accelerations.
    pub qacc: Vec<Var>,
    /// `[nv]` Generalized force of the constraints (`qfrc_constraint`).
    pub qfrc_constraint: Vec<Var>,
    /// `[touches + slots]` Force of each contact in its frame.
    pub forces: Vec<[Var; 6]>,
    /// `[equalities][rows]` Force of each row of the equality constraints.
    pub equalities: Vec<Vec<Var>>,
    /// The states of the rows, see [`State::active`](super::State::active).
    pub active: Vec<Bits>,
    /// Whether it was confirmed within the rounds allowed.
    pub converged: Mask,
    /// How many rounds it took.
    pub iterations: Bits,
}

/// What a search ends with.
pub(super) struct Outcome {
    /// The states of the rows.
    pub active: Vec<Bits>,
    pub found: Response,
    pub converged: Mask,
    pub iterations: Bits,
}

/// A quadratic cost `½ xᵀ (M + B + Jᵀ C J) x − …`, see [`Problem::minimum`].
#[derive(Clone)]
pub(super) struct Quadratic {
    /// M, and forces on links.
    pub loads: Loads,
    /// B
    pub blocks: JointBlocks,
    /// `[nv]` Forces.
    pub tau: Vec<Var>,
    /// J and C
    pub couplings: Vec<Coupling>,
    /// Whether to find the minimum in two steps. Couplings that hold against each other, or against gravity, make their
    /// correction nearly cancel the solution without them; a second step from the residual keeps the precision.
    pub refined: bool,
}

/// No accelerations.
pub(super) fn still(cx: &Context<'_>) -> Response {
    Response {
        x: vec![Var::ZERO; cx.model.nv],
        motion: vec![Motion::ZERO; cx.tree.links.len()],
    }
}

/// The unconstrained problem: `(M + armature) qacc = τ`.
pub(super) struct Problem<'a> {
    pub kinematics: &'a Kinematics,
    /// `[links]`
    pub inertia: &'a [LinkInertia],
    /// `[links]` Velocities.
    pub cvel: &'a [Motion],
    pub armature: &'a JointBlocks,
    /// `[nv]` All forces but the constraints'.
    pub tau: &'a [Var],
    pub rounds: Rounds,
}

impl Problem<'_> {
    /// Solves under constraints, starting from the rows that pushed `before`.
    pub(super) fn solve(
        &self,
        cx: &Context<'_>,
        constraints: &Constraints,
        before: &[Bits],
    ) -> Solution {
        let (at, tau) = (self.kinematics, self.tau);
        if constraints.is_empty() {
            return Solution {
                qacc: articulated::solve(cx, at, self.inertia, self.armature, tau),
                qfrc_constraint: vec![Var::ZERO; cx.model.nv],
                forces: Vec::new(),
                equalities: Vec::new(),
                active: before.to_vec(),
                converged: Mask::from(true),
                iterations: Bits::ZERO,
            };
        }
        let masks = constraints.present();
        let present = pack(masks.iter().copied());
        let warm: Vec<Bits> = present
            .iter()
            .zip(before)
            .map(|(&present, &before)| present & before)
            .collect();
        let outcome = match constraints.is_elliptic() {
            true => newton::descend(self, cx, constraints, warm, &present),
            false => self.exchange(cx, constraints, warm, &present),
        };
        let found = outcome.found;
        let pushes = unpack(&outcome.active, masks.len());
        let split = constraints.split(&pushes);
        let touches = constraints.touches.iter().zip(&split.touches);
        let touches =
            touches.map(|(touch, edges)| touch.force(&self.excess(touch, &found.motion), edges));
        let slots = constraints.slots.slots.iter().zip(&split.slots);
        let slots = slots.map(|(slot, edges)| slot.touch.force(&slot.excess(&found.x), edges));
        let forces: Vec<[Var; 6]> = touches.chain(slots).collect();
        let equalities = constraints.equalities.iter();
        let equalities: Vec<Vec<Var>> = equalities
            .map(|held| held.force(&found.x, &found.motion))
            .collect();
        Solution {
            qfrc_constraint: self.push(cx, constraints, &found.x, (&split, &forces, &equalities)),
            qacc: found.x,
            forces,
            equalities,
            // A row that is absent now starts as pushing when it appears, for that is why it appears.
            active: outcome
                .active
                .iter()
                .zip(&present)
                .map(|(&active, &present)| active | !present)
                .collect(),
            converged: outcome.converged,
            iterations: outcome.iterations,
        }
    }

    /// Exchanges rows until the solution confirms them: where all cones are pyramids.
    fn exchange(
        &self,
        cx: &Context<'_>,
        constraints: &Constraints,
        warm: Vec<Bits>,
        present: &[Bits],
    ) -> Outcome {
        let bits = constraints.present().len();
        let (active, found, converged, iterations) = repeat(
            self.rounds.all,
            (warm, still(cx), Mask::from(false), Bits::ZERO),
            |(_, _, confirmed, _)| !*confirmed,
            |(active, last, _, count), round| {
                let pushes = unpack(&active, bits);
                let found = self.accelerations(cx, constraints, &pushes);
                let lenient = select(round.ge(self.rounds.exact), tolerance(), Var::ZERO);
                let wanted = self.wanted(constraints, &found, &pushes, lenient);
                let change: Vec<Bits> = pack(wanted.into_iter())
                    .iter()
                    .zip(&active)
                    .zip(present)
                    .map(|((&wanted, &active), &present)| (wanted ^ active) & present)
                    .collect();
                let confirmed = change
                    .iter()
                    .fold(Mask::from(true), |all, &word| all & word.eq(0));
                // After an exchange of all rows the step was Newton's from the last accelerations. Where it leads
                // nowhere, these are the minimum, whatever rounding says of single rows.
                let was_full = round.lt(self.rounds.full)
                    | (round.le(self.rounds.mixed) & (round & 3u32).eq(0));
                let is_same = found.equals(&last, sameness());
                let stands = was_full & round.ge(self.rounds.exact) & is_same;
                let again = round.lt(self.rounds.mixed) & (round & 3u32).eq(3);
                let exchanged = select(
                    round.lt(self.rounds.full) | again,
                    change.clone(),
                    first_bit(&change),
                );
                let next = active
                    .iter()
                    .zip(exchanged)
                    .map(|(&active, exchanged)| active ^ exchanged)
                    .collect();
                (next, found, confirmed | stands, count + 1u32)
            },
        );
        Outcome {
            active,
            found,
            converged,
            iterations,
        }
    }

    /// The solution when a given set of rows pushes.
    fn accelerations(
        &self,
        cx: &Context<'_>,
        constraints: &Constraints,
        pushes: &[Mask],
    ) -> Response {
        let split = constraints.split(pushes);
        let mut sum = self.with_rows(cx, constraints, &split);
        for (touch, edges) in constraints.touches.iter().zip(&split.touches) {
            let (k, p) = touch.load(edges, self.cvel[touch.link]);
            sum.loads.k[touch.link] = sum.loads.k[touch.link] + k;
            sum.loads.p[touch.link] += p;
        }
        for (slot, edges) in constraints.slots.slots.iter().zip(&split.slots) {
            sum.couplings.push(slot.coupling(slot.touch.factor(edges)));
        }
        self.minimum(cx, &sum)
    }

    /// The problem without contacts: with the rows in given states, and what always acts.
    pub(super) fn with_rows(
        &self,
        cx: &Context<'_>,
        constraints: &Constraints,
        split: &Split<'_>,
    ) -> Quadratic {
        let (mut blocks, mut tau) = (self.armature.clone(), self.tau.to_vec());
        for (row, state) in constraints.rows.iter().zip(&split.rows) {
            let (stiffness, force) = row.load(state);
            blocks.add_outer(cx.model, row.joint, &row.jacobian, stiffness);
            for &(dof, arm) in &row.jacobian {
                tau[dof] += arm * (stiffness * row.aref + force);
            }
        }
        let mut loads = Loads::of(self.inertia);
        for held in &constraints.equalities {
            held.load(cx, &mut loads, &mut blocks, &mut tau);
        }
        Quadratic {
            loads,
            blocks,
            tau,
            refined: !constraints.couplings.is_empty(),
            couplings: constraints.couplings.clone(),
        }
    }

    /// The minimum of a quadratic cost.
    pub(super) fn minimum(&self, cx: &Context<'_>, cost: &Quadratic) -> Response {
        let at = self.kinematics;
        let found = articulated::respond(cx, at, cost.loads.clone(), &cost.blocks, &cost.tau);
        if cost.couplings.is_empty() {
            return found;
        }
        // A branch around this where no contact stands in a slot was measured: it changed nothing.
        let respond = |qfrc: &[Var]| self.respond(cx, cost, qfrc);
        let x = coupling::correct(&found.x, &cost.couplings, respond);
        let found = Response {
            motion: articulated::motions(cx, at, &x),
            x,
        };
        if !cost.refined {
            return found;
        }
        let rest = self.rest(cx, cost, &found, &vec![Force::ZERO; cx.tree.links.len()]);
        self.refined(cx, cost, &found, &rest)
    }

    /// What a quadratic cost has at forces alone, without its couplings.
    fn respond(&self, cx: &Context<'_>, cost: &Quadratic, qfrc: &[Var]) -> Response {
        let mut loads = cost.loads.clone();
        loads.p.fill(Force::ZERO);
        articulated::respond(cx, self.kinematics, loads, &cost.blocks, qfrc)
    }

    /// One step of Newton's method from a response at which the slope of the cost is minus `rest`.
    pub(super) fn refined(
        &self,
        cx: &Context<'_>,
        cost: &Quadratic,
        from: &Response,
        rest: &[Var],
    ) -> Response {
        let respond = |qfrc: &[Var]| self.respond(cx, cost, qfrc);
        let mut step = respond(rest).x;
        if !cost.couplings.is_empty() {
            let couplings = cost.couplings.iter().map(Coupling::homogeneous);
            step = coupling::correct(&step, &couplings.collect::<Vec<_>>(), respond);
        }
        let steps = from.x.iter().zip(step);
        let x: Vec<Var> = steps.map(|(&x, step)| x + step).collect();
        Response {
            motion: articulated::motions(cx, self.kinematics, &x),
            x,
        }
    }

    /// `[nv]` The slope of a quadratic cost at a response, with its sign changed: zero at the minimum. `pushes` are wrenches
    /// on the links (`[links]`) that the cost leaves out.
    pub(super) fn rest(
        &self,
        cx: &Context<'_>,
        cost: &Quadratic,
        at: &Response,
        pushes: &[Force],
    ) -> Vec<Var> {
        let (x, motion) = (&at.x, &at.motion);
        let held = motion.iter().zip(&cost.loads.k).zip(&cost.loads.p);
        let held = held.map(|((&motion, &k), &p)| k * motion + p);
        let wrenches = held.zip(pushes).map(|(held, &push)| held - push).collect();
        let of_links = bias::project(cx, self.kinematics, wrenches);
        let taken = of_links.iter().zip(cost.blocks.mul(cx.model, x));
        let rest = cost.tau.iter().zip(taken);
        let mut rest: Vec<Var> = rest
            .map(|(&tau, (&links, own))| tau - links - own)
            .collect();
        for coupling in &cost.couplings {
            coupling::push(&coupling.jacobian, &coupling.force(x), &mut rest);
        }
        rest
    }

    /// First and second derivative of the unconstrained cost at a response, on the way to another.
    pub(super) fn slope(&self, cx: &Context<'_>, from: &Response, to: &Response) -> [Var; 2] {
        let step: Vec<Var> =
            to.x.iter()
                .zip(&from.x)
                .map(|(&to, &from)| to - from)
                .collect();
        let held = |x: &[Var]| coupling::dot(&self.armature.mul(cx.model, x), &step);
        let mut slope = held(&from.x) - coupling::dot(self.tau, &step);
        let mut bend = held(&step);
        for (link, body) in self.inertia.iter().enumerate() {
            let change = to.motion[link] - from.motion[link];
            let momentum = body.spatial * change;
            slope += from.motion[link].dot(momentum);
            bend += change.dot(momentum);
        }
        [slope, bend]
    }

    /// The acceleration of a contact's link in the contact's directions, less the one it asks for.
    pub(super) fn excess(&self, touch: &Touch, motion: &[Motion]) -> Vec<Var> {
        touch.excess(motion[touch.link], self.cvel[touch.link])
    }

    /// The states that the rows should be in at these accelerations, given those that they are in.
    fn wanted(
        &self,
        constraints: &Constraints,
        found: &Response,
        pushes: &[Mask],
        slack: Var,
    ) -> Vec<Mask> {
        let split = constraints.split(pushes);
        let rows = constraints.rows.iter().zip(split.rows);
        let touches = constraints.touches.iter().zip(split.touches);
        let slots = constraints.slots.slots.iter().zip(split.slots);
        rows.flat_map(|(row, state)| row.wanted(&found.x, state, slack))
            .chain(touches.flat_map(|(touch, edges)| {
                touch.wanted(&self.excess(touch, &found.motion), edges, slack)
            }))
            .chain(
                slots.flat_map(|(slot, edges)| {
                    slot.touch.wanted(&slot.excess(&found.x), edges, slack)
                }),
            )
            .collect()
    }

    /// `[nv]` The generalized forces of the constraints.
    fn push(
        &self,
        cx: &Context<'_>,
        constraints: &Constraints,
        qacc: &[Var],
        (states, forces, equalities): (&Split<'_>, &[[Var; 6]], &[Vec<Var>]),
    ) -> Vec<Var> {
        let mut wrenches = vec![Force::ZERO; cx.tree.links.len()];
        let (own, in_slots) = forces.split_at(constraints.touches.len());
        for (touch, force) in constraints.touches.iter().zip(own) {
            wrenches[touch.link] += touch.wrench(force);
        }
        let mut direct = vec![Var::ZERO; cx.model.nv];
        for (held, force) in constraints.equalities.iter().zip(equalities) {
            held.push(force, &mut direct, &mut wrenches);
        }
        let mut qfrc = bias::project(cx, self.kinematics, wrenches);
        let terms = qfrc.iter_mut().zip(direct);
        terms.for_each(|(qfrc, direct)| *qfrc += direct);
        for (slot, force) in constraints.slots.slots.iter().zip(in_slots) {
            coupling::push(&slot.jacobian, force, &mut qfrc);
        }
        for (row, state) in constraints.rows.iter().zip(&states.rows) {
            let (stiffness, force) = row.load(state);
            let force = stiffness * (row.aref - row.along(qacc)) + force;
            for &(dof, arm) in &row.jacobian {
                qfrc[dof] += arm * force;
            }
        }
        qfrc
    }
}

/// Truth values as bits, the first in the lowest bit of the first word.
pub(super) fn pack(masks: impl Iterator<Item = Mask>) -> Vec<Bits> {
    let masks: Vec<Mask> = masks.collect();
    let word = |chunk: &[Mask]| {
        chunk
            .iter()
            .enumerate()
            .fold(Bits::ZERO, |word, (i, &mask)| {
                word | select(mask, Bits::from(1u32 << i), Bits::ZERO)
            })
    };
    masks.chunks(32).map(word).collect()
}

/// The first `count` bits as truth values.
pub(super) fn unpack(words: &[Bits], count: usize) -> Vec<Mask> {
    (0..count)
        .map(|i| (words[i / 32] & (1u32 << (i % 32))).ne(0))
        .collect()
}

/// The lowest bit that is set, alone.
fn first_bit(words: &[Bits]) -> Vec<Bits> {
    let mut none_before = Mask::from(true);
    let mut first = Vec::with_capacity(words.len());
    for &word in words {
        first.push(select(none_before, word & (Bits::ZERO - word), Bits::ZERO));
        none_before &= word.eq(0);
    }
    first
}

#[cfg(test)]
mod tests {
    use crate::model::Model;
    use crate::rigid::{Applied, Inputs, Parameters, State, Tree, smooth};
    use crate::scene::mjcf;
    use crate::trace::{HostMemory, Kind, Layout, record};

    use super::*;

    /// Exchanging one row at a time ends at the same set as exchanging all, from any start.
    #[test]
    fn single_exchanges_find_the_same_solution() {
        const WORLDS: usize = 200;
        let path = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/tests/models/humanoid_tree.xml"
        );
        let model = Model::compile(&mjcf::load(path).unwrap()).unwrap();
        let mut layout = Layout::new();
        let floats = layout.buffer("floats", Kind::F32);
        let integers = layout.buffer("integers", Kind::U32);
        let mut field = |name: &str, components: usize| layout.field(floats, name, components);
        let (qpos, full, single) = (
            field("qpos", model.nq),
            field("full", model.nv),
            field("single", model.nv),
        );
        let guess = layout.field(integers, "guess", State::active_words(&model));
        let found = layout.field(integers, "found", 3);
        let graph = record("pivots", &layout, || {
            let (tree, parameters) = (Tree::new(&model), Parameters::constant(&model));
            let cx = Context::new(&model, &parameters, &tree);
            let state = State {
                qpos: qpos.load_all(),
                ..State::initial(&model)
            };
            let ctrl = vec![Var::ZERO; model.nu];
            let inputs = Inputs {
                ctrl: &ctrl,
                applied: &Applied::none(&model),
            };
            let at = smooth(&cx, &state, &inputs);
            let rows = super::super::constraint::constraint(&cx, &at.kinematics, &state);
            let one_by_one = Rounds {
                exact: 1000,
                full: 0,
                mixed: 0,
                all: 1000,
                ..Rounds::DEFAULT
            };
            let by_all = at.problem(Rounds::DEFAULT).solve(&cx, &rows, &state.active);
            let by_one = at
                .problem(one_by_one)
                .solve(&cx, &rows, &guess.load_all_bits());
            full.store_all(&by_all.qacc);
            single.store_all(&by_one.qacc);
            let present = rows.present().into_iter().fold(Bits::ZERO, |n, present| {
                n + select(present, Bits::from(1), Bits::ZERO)
            });
            let as_bit = |mask: Mask| select(mask, Bits::from(1), Bits::ZERO);
            found.store_all_bits(&[as_bit(by_all.converged), as_bit(by_one.converged), present]);
        });
        let mut memory = HostMemory::<f64>::new(&layout, WORLDS);
        for world in 0..WORLDS {
            for i in 0..model.nq {
                let bent = if i < 7 {
                    0.0
                } else {
                    1.5 * ((1 + i * i + 37 * world) as f64).sin()
                };
                memory.set(qpos, i, world, model.qpos0[i] + bent);
            }
            memory.set_bits(guess, 0, world, (world as u32).wrapping_mul(0x9e37_79b9));
        }
        graph.interpret(&mut memory, &[], 0..WORLDS);
        let mut rows = 0;
        for world in 0..WORLDS {
            assert_eq!(
                [
                    memory.get_bits(found, 0, world),
                    memory.get_bits(found, 1, world)
                ],
                [1, 1]
            );
            rows += memory.get_bits(found, 2, world);
            for (a, b) in memory
                .row(full, world)
                .iter()
                .zip(memory.row(single, world))
            {
                assert!(
                    (a - b).abs() <= 1e-9 * a.abs().max(1.0),
                    "world {world}: {a} is not {b}"
                );
            }
        }
        assert!(rows > 5 * WORLDS as u32, "many limits are exceeded: {rows}");
    }

    /// The lowest bit of several words.
    #[test]
    fn the_first_bit_is_alone() {
        let constant = |words: &[u32]| {
            words
                .iter()
                .map(|&word| Bits::from(word))
                .collect::<Vec<_>>()
        };
        let first = |words: &[u32]| {
            first_bit(&constant(words))
                .iter()
                .map(|word| word.as_constant())
                .collect::<Vec<_>>()
        };
        assert_eq!(first(&[0b1100, 0b1]), [Some(0b100), Some(0)]);
        assert_eq!(first(&[0, 1 << 31]), [Some(0), Some(1 << 31)]);
        assert_eq!(first(&[0, 0]), [Some(0), Some(0)]);
    }
}
