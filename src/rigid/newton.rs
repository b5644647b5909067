//! Newton's method with a line search, for models with elliptic cones.
//!
//! A cone's surface curves, so unlike that of a pyramid its part of the minimum is not found by knowing the zones alone.
//! Each round takes every constraint for the linear spring that its Hessian is at the present accelerations, and finds
//! the minimum under these springs, as an exchange of rows does. The minimum is the right one if every constraint
//! there does what its spring does. The first round has no accelerations to start from: it takes the zones of the last
//! substep, and directions of slip and curvatures at zero acceleration, which the velocities dominate.
//!
//! The first rounds go the whole way, which near the solution doubles the digits each time; from then on each goes to
//! the least cost along its way, which ends from anywhere because the cost is strictly convex (Nocedal and Wright,
//! Numerical Optimization, 2006, theorem 3.2). The route changes how long it takes, not what comes out.

use crate::math::Force;
use crate::trace::{Bits, Mask, Var, epsilon, repeat, select, when};

use super::Context;
use super::articulated::Response;
use super::constraint::{Constraints, Split};
use super::contact::Touch;
use super::elliptic::{Hessian, Ray};
use super::solve::{Outcome, Problem, Quadratic, pack, still, unpack};

/// Rounds of a line search.
const LINE_ROUNDS: u32 = 20;
/// How much of the slope at its start a line search leaves.
const LINE_TOLERANCE: f64 = 0.01;

/// The part of the terms' size by which a constraint may differ from its spring: a few roundings, and what is enough.
fn tolerance() -> Var {
    1e-12 + 8.0 * epsilon()
}

/// The accelerations at which the cost is least, starting from the zones `before`. `present` says which count.
pub(super) fn descend(
    problem: &Problem<'_>,
    cx: &Context<'_>,
    constraints: &Constraints,
    before: Vec<Bits>,
    present: &[Bits],
) -> Outcome {
    let bits = constraints.present().len();
    let (active, found, converged, iterations) = repeat(
        problem.rounds.all,
        (before, still(cx), Mask::from(false), Bits::ZERO),
        |(_, _, confirmed, _)| !*confirmed,
        |(active, at, _, count), round| {
            let states = unpack(&active, bits);
            let springs = Springs::new(problem, constraints, &at, constraints.split(&states));
            let next = springs.minimum(cx);
            let confirmed = springs.agree(&next);
            let line = Line::new(problem, cx, constraints, [&at, &next]);
            let next = when(
                !confirmed & round.ge(problem.rounds.line),
                next.clone(),
                |next| {
                    let alpha = line.search();
                    along(&at, &next, alpha)
                },
            );
            let wanted = pack(springs.zones(&next).into_iter());
            let wanted = wanted.iter().zip(present);
            let active = wanted.map(|(&wanted, &present)| wanted & present);
            (active.collect(), next, confirmed, count + 1u32)
        },
    );
    Outcome {
        active,
        found,
        converged,
        iterations,
    }
}

/// The part `alpha` of the way.
fn along(from: &Response, to: &Response, alpha: Var) -> Response {
    let mix = |from: Var, to: Var| from + (to - from) * alpha;
    let x = from.x.iter().zip(&to.x);
    let motion = from.motion.iter().zip(&to.motion);
    Response {
        x: x.map(|(&from, &to)| mix(from, to)).collect(),
        motion: motion
            .map(|(&from, &to)| from + (to - from) * alpha)
            .collect(),
    }
}

/// What the constraints are taken for in a round.
struct Springs<'a> {
    problem: &'a Problem<'a>,
    constraints: &'a Constraints,
    split: Split<'a>,
    /// By contact with the static world; none for one without friction.
    touches: Vec<Option<Hessian>>,
    /// By slot.
    slots: Vec<Option<Hessian>>,
}

impl<'a> Springs<'a> {
    fn new(
        problem: &'a Problem<'a>,
        constraints: &'a Constraints,
        at: &Response,
        split: Split<'a>,
    ) -> Self {
        let hessian = |touch: &Touch, excess: Vec<Var>, zone: &[Mask]| {
            let cone = touch.elliptic.as_ref();
            cone.map(|cone| cone.hessian(&excess, zone))
        };
        let touches = constraints.touches.iter().zip(&split.touches);
        let slots = constraints.slots.slots.iter().zip(&split.slots);
        Self {
            problem,
            constraints,
            touches: touches
                .map(|(touch, zone)| hessian(touch, problem.excess(touch, &at.motion), zone))
                .collect(),
            slots: slots
                .map(|(slot, zone)| hessian(&slot.touch, slot.excess(&at.x), zone))
                .collect(),
            split,
        }
    }

    fn minimum(&self, cx: &Context<'_>) -> Response {
        let (problem, constraints) = (self.problem, self.constraints);
        let bare = problem.with_rows(cx, constraints, &self.split);
        let mut sum = bare.clone();
        let touches = constraints.touches.iter().zip(&self.touches);
        for ((touch, hessian), edges) in touches.zip(&self.split.touches) {
            let cvel = problem.cvel[touch.link];
            let (k, p) = match (&touch.elliptic, hessian) {
                (Some(cone), Some(hessian)) => hessian.load(cone, touch, cvel),
                _ => touch.load(edges, cvel),
            };
            sum.loads.k[touch.link] = sum.loads.k[touch.link] + k;
            sum.loads.p[touch.link] += p;
        }
        let slots = constraints.slots.slots.iter().zip(&self.slots);
        for ((slot, hessian), edges) in slots.zip(&self.split.slots) {
            sum.couplings
                .push(slot.coupling(match (&slot.touch.elliptic, hessian) {
                    (Some(cone), Some(hessian)) => hessian.factor(cone),
                    _ => slot.touch.factor(edges),
                }));
        }
        let found = problem.minimum(cx, &sum);
        if cx.model.opt.impratio <= 1.0 {
            return found;
        }
        let own = Quadratic {
            couplings: sum.couplings.clone(),
            ..bare
        };
        let rest = problem.rest(cx, &own, &found, &self.pushes(cx, &found));
        problem.refined(cx, &sum, &found, &rest)
    }

    /// `[links]` What the springs that stand for contacts with the static world do at a response. A spring that is folded
    /// into its link's inertia does that up to rounding of its largest entry, which pushes in directions that it should
    /// leave alone: where friction is much stiffer than inertia, that is more than rounding (accelerations of an arm that
    /// slides with `impratio` 10 were off by 2e-3 in `f32`). In the contact's own directions it is exact.
    fn pushes(&self, cx: &Context<'_>, at: &Response) -> Vec<Force> {
        let mut wrenches = vec![Force::ZERO; cx.tree.links.len()];
        let touches = self.constraints.touches.iter().zip(&self.touches);
        for ((touch, hessian), edges) in touches.zip(&self.split.touches) {
            let excess = self.problem.excess(touch, &at.motion);
            let force = match (&touch.elliptic, hessian) {
                (Some(cone), Some(hessian)) => hessian.force(cone, &excess),
                _ => touch.force(&excess, edges),
            };
            wrenches[touch.link] += touch.wrench(&force);
        }
        wrenches
    }

    /// Whether all constraints do at a response what they were taken for.
    fn agree(&self, at: &Response) -> Mask {
        let part = tolerance();
        let mut all = Mask::from(true);
        for (row, state) in self.constraints.rows.iter().zip(&self.split.rows) {
            all &= row.agrees(&at.x, state, part) | !row.present;
        }
        let contact = |touch: &Touch, excess: Vec<Var>, taken: &Option<Hessian>, zone: &[Mask]| {
            let agrees = match (&touch.elliptic, taken) {
                (Some(cone), Some(taken)) => cone.agrees(taken, &excess, touch.spring, part),
                _ => touch.wanted(&excess, zone, part)[0] ^ !zone[0],
            };
            agrees | !touch.present
        };
        let touches = self.constraints.touches.iter().zip(&self.touches);
        for ((touch, taken), zone) in touches.zip(&self.split.touches) {
            all &= contact(touch, self.problem.excess(touch, &at.motion), taken, zone);
        }
        let slots = self.constraints.slots.slots.iter().zip(&self.slots);
        for ((slot, taken), zone) in slots.zip(&self.split.slots) {
            all &= contact(&slot.touch, slot.excess(&at.x), taken, zone);
        }
        all
    }

    /// The states that the constraints are in at a response, a mask per bit.
    fn zones(&self, at: &Response) -> Vec<Mask> {
        let contact = |touch: &Touch, excess: Vec<Var>, zone: &[Mask]| match &touch.elliptic {
            Some(cone) => cone.zones(&excess).to_vec(),
            None => touch.wanted(&excess, zone, Var::ZERO),
        };
        let rows = self.constraints.rows.iter().zip(&self.split.rows);
        let touches = self.constraints.touches.iter().zip(&self.split.touches);
        let slots = self.constraints.slots.slots.iter().zip(&self.split.slots);
        rows.flat_map(|(row, state)| row.wanted(&at.x, state, Var::ZERO))
            .chain(touches.flat_map(|(touch, zone)| {
                contact(touch, self.problem.excess(touch, &at.motion), zone)
            }))
            .chain(slots.flat_map(|(slot, zone)| contact(&slot.touch, slot.excess(&at.x), zone)))
            .collect()
    }
}

/// The cost on the way from one response (α = 0) to another (α = 1): its pieces.
struct Line {
    /// Slope at α = 0 and curvature of what is quadratic everywhere.
    quadratic: [Var; 2],
    rows: Vec<RowLine>,
    cones: Vec<Ray>,
}

/// A row whose residual is `from + α step`.
struct RowLine {
    from: Var,
    step: Var,
    stiffness: Var,
    bound: Option<Var>,
}

impl Line {
    fn new(
        problem: &Problem<'_>,
        cx: &Context<'_>,
        constraints: &Constraints,
        [from, to]: [&Response; 2],
    ) -> Self {
        let mut line = Self {
            quadratic: problem.slope(cx, from, to),
            rows: Vec::new(),
            cones: Vec::new(),
        };
        for row in &constraints.rows {
            let (start, end) = (row.along(&from.x), row.along(&to.x));
            line.rows.push(RowLine {
                from: start - row.aref,
                step: end - start,
                stiffness: select(row.present, row.stiffness, Var::ZERO),
                bound: row.bound,
            });
        }
        for touch in &constraints.touches {
            let excess = |at: &Response| problem.excess(touch, &at.motion);
            line.contact(touch, [excess(from), excess(to)]);
        }
        for slot in &constraints.slots.slots {
            line.contact(&slot.touch, [slot.excess(&from.x), slot.excess(&to.x)]);
        }
        let couplings = constraints.couplings.iter();
        let couplings = couplings.map(|coupling| coupling.slope(&from.x, &to.x));
        let held = constraints.equalities.iter();
        for [slope, bend] in couplings.chain(held.map(|held| held.slope(from, to))) {
            line.quadratic[0] += slope;
            line.quadratic[1] += bend;
        }
        line
    }

    fn contact(&mut self, touch: &Touch, [from, to]: [Vec<Var>; 2]) {
        match &touch.elliptic {
            Some(cone) => self.cones.push(cone.ray(&from, &to, touch.present)),
            None => self.rows.push(RowLine {
                from: from[0],
                step: to[0] - from[0],
                stiffness: select(touch.present, touch.stiffness, Var::ZERO),
                bound: None,
            }),
        }
    }

    /// First and second derivative in α.
    fn slope(&self, alpha: Var) -> [Var; 2] {
        let [slope, bend] = self.quadratic;
        let pieces = self.rows.iter().map(|row| row.slope(alpha));
        let pieces = pieces.chain(self.cones.iter().map(|cone| cone.slope(alpha)));
        pieces.fold([slope + alpha * bend, bend], |[slope, bend], piece| {
            [slope + piece[0], bend + piece[1]]
        })
    }

    /// Where in (0, 1] the cost is least: Newton's method between bounds that close in.
    fn search(&self) -> Var {
        let [start, _] = self.slope(Var::ZERO);
        let enough = LINE_TOLERANCE * start.abs();
        let (alpha, ..) = repeat(
            LINE_ROUNDS,
            (Var::ONE, Var::ZERO, Var::ONE, Mask::from(false)),
            |(.., done)| !*done,
            |(alpha, low, high, _), _| {
                let [slope, bend] = self.slope(alpha);
                let rises = slope.gt(0.0);
                // A start that does not fall is one that rounding blurs: the whole way does no harm there.
                let is_end = alpha.ge(1.0) & (!rises | start.ge(0.0));
                let done = slope.abs().le(enough) | is_end;
                let (low, high) = (select(rises, low, alpha), select(rises, alpha, high));
                let guess = alpha - slope / bend;
                let inside = guess.gt(low) & guess.lt(high);
                let next = select(inside, guess, 0.5 * (low + high));
                (select(done, alpha, next), low, high, done)
            },
        );
        alpha
    }
}

impl RowLine {
    fn slope(&self, alpha: Var) -> [Var; 2] {
        let residual = self.from + alpha * self.step;
        let pull = self.stiffness * residual;
        let (force, is_linear) = match self.bound {
            None => (pull.min(0.0), residual.lt(0.0)),
            Some(bound) => (pull.clamp(-bound, bound), pull.abs().lt(bound)),
        };
        let bend = self.stiffness * self.step.square();
        [force * self.step, select(is_linear, bend, Var::ZERO)]
    }
}

#[cfg(test)]
mod tests {
    use crate::model::Model;
    use crate::rigid::constraint::constraint;
    use crate::rigid::{
        Applied, Context, Inputs, Parameters, Rounds, State, StateFields, Tree, smooth,
    };
    use crate::scene::mjcf;
    use crate::trace::{Bits, HostMemory, Kind, Layout, Var, record, select};

    /// Line searches from the first round on, from zones that mean nothing, end where whole steps do.
    #[test]
    fn the_route_does_not_matter() {
        const WORLDS: usize = 100;
        let path = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/tests/models/elliptic_pile.xml"
        );
        let model = Model::compile(&mjcf::load(path).unwrap()).unwrap();
        let mut layout = Layout::new();
        let floats = layout.buffer("floats", Kind::F32);
        let integers = layout.buffer("integers", Kind::U32);
        let fields = StateFields::declare(&model, &mut layout, floats, integers);
        let outputs = ["whole", "searched"].map(|name| layout.field(floats, name, model.nv));
        let found = layout.field(integers, "found", 2);
        let graph = record("routes", &layout, || {
            let (tree, parameters) = (Tree::new(&model), Parameters::constant(&model));
            let cx = Context::new(&model, &parameters, &tree);
            let state = fields.load();
            let inputs = Inputs {
                ctrl: &vec![Var::ZERO; model.nu],
                applied: &Applied::none(&model),
            };
            let at = smooth(&cx, &state, &inputs);
            let constraints = constraint(&cx, &at.kinematics, &state);
            let searching = Rounds {
                line: 0,
                ..Rounds::DEFAULT
            };
            let ones = State::initial(&model).active;
            let routes = [(Rounds::DEFAULT, &ones), (searching, &state.active)];
            for (k, (rounds, start)) in routes.into_iter().enumerate() {
                let solution = at.problem(rounds).solve(&cx, &constraints, start);
                outputs[k].store_all(&solution.qacc);
                let flag = select(solution.converged, Bits::from(1), Bits::ZERO);
                found.store_bits(k, flag);
            }
        });
        let mut memory = HostMemory::<f64>::new(&layout, WORLDS);
        let noise = |i: usize, world: usize| (12.9 * i as f64 + 78.2 * world as f64).sin();
        for world in 0..WORLDS {
            for (i, &q) in model.qpos0.iter().enumerate() {
                memory.set(fields.qpos, i, world, q + 0.05 * noise(i, world));
            }
            for dof in 0..model.nv {
                memory.set(fields.qvel, dof, world, 5.0 * noise(dof + 50, world));
            }
            for word in 0..fields.active.len() {
                let bits = (world as u32 + 1).wrapping_mul(0x9e37_79b9) ^ word as u32;
                memory.set_bits(fields.active, word, world, bits);
            }
        }
        graph.interpret(&mut memory, &[], 0..WORLDS);
        for world in 0..WORLDS {
            assert_eq!([0, 1].map(|k| memory.get_bits(found, k, world)), [1, 1]);
            let [whole, searched] = outputs.map(|field| memory.row(field, world));
            let scale = whole.iter().fold(1.0, |scale: f64, x| scale.max(x.abs()));
            assert!(scale > 20.0, "world {world} is at rest");
            for (a, b) in whole.iter().zip(&searched) {
                assert!(
                    (a - b).abs() <= 1e-9 * scale,
                    "world {world}: {a} is not {b}"
                );
            }
        }
    }
}
