//! Rows of the constraint problem: joint limits, friction loss, contacts and equalities (`mj_makeConstraint`, `mj_makeImpedance`,
//! `mj_referenceConstraint`).
//!
//! A row asks for the acceleration `aref` along its Jacobian J, and pushes with the force `D · (aref − J qacc)` where
//! that is positive. It is a one-sided spring with damper: `D` is its inverse regularization, `aref` its law
//! `−b · J qvel − k · impedance · (pos − margin)`. Friction loss pushes either way, up to its bound.
//!
//! Every row that a model can have is recorded; `present` says in which worlds it counts at the moment. Equalities do
//! without: one that is switched off is a spring of no stiffness.

use crate::math::functions::pow;
use crate::math::{MIN_VALUE, Vec3};
use crate::model::{Joint, Model};
use crate::trace::{Mask, Var, select};

use super::Context;
use super::contact::{self, Touch};
use super::coupling::Coupling;
use super::equality::{self, Held};
use super::kinematics::Kinematics;
use super::slots::{self, Slots};
use super::state::State;

/// Everything that constrains a world.
pub(super) struct Constraints {
    /// Rows that act on one joint.
    pub rows: Vec<Row>,
    /// Contacts of links with the static world.
    pub touches: Vec<Touch>,
    /// Contacts between links.
    pub slots: Slots,
    /// Equality constraints.
    pub equalities: Vec<Held>,
    /// Those of them that are between links, as they enter the solver.
    pub couplings: Vec<Coupling>,
}

/// Masks per bit of [`State::active`], by what they belong to.
pub(super) struct Split<'m> {
    /// By row.
    pub rows: Vec<&'m [Mask]>,
    /// By contact with the static world.
    pub touches: Vec<&'m [Mask]>,
    /// By slot.
    pub slots: Vec<&'m [Mask]>,
}

impl Constraints {
    /// Whether there are none.
    pub(super) fn is_empty(&self) -> bool {
        self.rows.is_empty()
            && self.touches.is_empty()
            && self.slots.slots.is_empty()
            && self.equalities.is_empty()
    }

    /// Whether a contact has an elliptic cone.
    pub(super) fn is_elliptic(&self) -> bool {
        let slots = self.slots.slots.iter().map(|slot| &slot.touch);
        let mut all = self.touches.iter().chain(slots);
        all.any(|touch| touch.elliptic.is_some())
    }

    /// In which worlds each row counts, a mask per bit of [`State::active`].
    pub(super) fn present(&self) -> Vec<Mask> {
        let rows = self.rows.iter().map(|row| (row.bits(), row.present));
        let of = |touch: &Touch| (touch.bits(), touch.present);
        let touches = self.touches.iter().map(of);
        let slots = self.slots.slots.iter().map(|slot| of(&slot.touch));
        rows.chain(touches)
            .chain(slots)
            .flat_map(|(bits, present)| std::iter::repeat_n(present, bits))
            .collect()
    }

    /// Masks per bit, by row and by contact.
    pub(super) fn split<'m>(&self, mut masks: &'m [Mask]) -> Split<'m> {
        let mut take = |bits: usize| {
            let (first, rest) = masks.split_at(bits);
            masks = rest;
            first
        };
        let rows = self.rows.iter().map(|row| take(row.bits())).collect();
        let mut edges = |touch: &Touch| take(touch.bits());
        let touches = self.touches.iter().map(&mut edges).collect();
        let slots = self.slots.slots.iter();
        Split {
            rows,
            touches,
            slots: slots.map(|slot| edges(&slot.touch)).collect(),
        }
    }
}

/// One scalar constraint.
#[derive(Clone, Debug)]
pub(super) struct Row {
    /// The non-zeros of its Jacobian, all in one joint: degree of freedom and coefficient.
    pub jacobian: Vec<(usize, Var)>,
    /// The joint that it acts on.
    pub joint: usize,
    /// Whether the constraint is within its margin.
    pub present: Mask,
    /// Inverse regularization D, kg or kg·m².
    pub stiffness: Var,
    /// Reference acceleration, m/s² or rad/s².
    pub aref: Var,
    /// The largest force either way, N or N·m; none for a row that only pushes.
    pub bound: Option<Var>,
}

impl Row {
    /// `J x`
    pub(super) fn along(&self, x: &[Var]) -> Var {
        self.jacobian.iter().map(|&(dof, arm)| arm * x[dof]).sum()
    }

    /// The bits of its state: whether it pushes; for friction, whether the force is at its upper and lower bound.
    pub(super) fn bits(&self) -> usize {
        1 + usize::from(self.bound.is_some())
    }

    /// In a given state, its stiffness, and its force at `J x = aref`.
    pub(super) fn load(&self, state: &[Mask]) -> (Var, Var) {
        match self.bound {
            None => (select(state[0], self.stiffness, Var::ZERO), Var::ZERO),
            Some(bound) => {
                let (upper, lower) = (state[0] & !state[1], state[1] & !state[0]);
                let force = select(upper, bound, select(lower, -bound, Var::ZERO));
                (select(upper | lower, Var::ZERO, self.stiffness), force)
            }
        }
    }

    /// Whether at accelerations x its force is that of a given state, up to a part of the terms' size.
    pub(super) fn agrees(&self, x: &[Var], state: &[Mask], part: Var) -> Mask {
        let along = self.along(x);
        let pull = self.stiffness * (self.aref - along);
        let (stiffness, force) = self.load(state);
        let taken = stiffness * (self.aref - along) + force;
        let exact = match self.bound {
            None => pull.max(0.0),
            Some(bound) => pull.clamp(-bound, bound),
        };
        let size = self.stiffness * (along.abs() + self.aref.abs());
        !(taken - exact).abs().gt(part * size)
    }

    /// The state it should be in at accelerations x, given the one it is in. `slack` is the part of the terms' size
    /// by which a residual must be on the other side.
    pub(super) fn wanted(&self, x: &[Var], state: &[Mask], slack: Var) -> Vec<Mask> {
        let along = self.along(x);
        let residual = along - self.aref;
        let band = slack * (along.abs() + self.aref.abs());
        let kept = |at: Mask, residual: Var| residual.lt(select(at, band, -band));
        match self.bound {
            None => vec![kept(state[0], residual)],
            Some(bound) => {
                let reach = bound / self.stiffness;
                vec![
                    kept(state[0], residual + reach),
                    kept(state[1], reach - residual),
                ]
            }
        }
    }
}

/// How a constraint is softened: `solref` and `solimp`.
#[derive(Clone)]
pub(super) struct Softness {
    pub solref: [Var; 2],
    pub solimp: [Var; 5],
}

/// The constraints at a state, in a fixed order.
pub(super) fn constraint(cx: &Context<'_>, at: &Kinematics, state: &State) -> Constraints {
    let mut rows = Vec::new();
    if has_friction(cx.model) {
        (0..cx.model.nv).for_each(|dof| friction(cx, state, dof, &mut rows));
    }
    if has_limits(cx.model) {
        (0..cx.model.njnt).for_each(|joint| limit(cx, at, state, joint, &mut rows));
    }
    let equalities = equality::equalities(cx, at, state);
    Constraints {
        rows,
        touches: contact::touches(cx, at),
        slots: slots::fill(cx, at, state),
        couplings: equalities.iter().filter_map(Held::coupling).collect(),
        equalities,
    }
}

/// How many bits the states of a model's constraints take.
pub(super) fn capacity(model: &Model) -> usize {
    friction_capacity(model)
        + limit_capacity(model)
        + contact::capacity(model)
        + slots::capacity(model)
}

fn friction_capacity(model: &Model) -> usize {
    let rows = (0..model.nv).filter(|&dof| has_friction(model) && rubs(model, dof));
    2 * rows.count()
}

/// Whether a degree of freedom has dry friction. A model without it in a degree of freedom cannot have it randomized
/// there.
pub(super) fn rubs(model: &Model, dof: usize) -> bool {
    model.dof_frictionloss[dof] > 0.0
}

fn limit_capacity(model: &Model) -> usize {
    if !has_limits(model) {
        return 0;
    }
    let rows = |joint: usize| match model.jnt_type[joint] {
        Joint::Slide | Joint::Hinge if sides_overlap(model, joint) => 2,
        Joint::Slide | Joint::Hinge | Joint::Ball => 1,
        Joint::Free => 0,
    };
    (0..model.njnt)
        .filter(|&joint| model.jnt_limited[joint])
        .map(rows)
        .sum()
}

fn has_friction(model: &Model) -> bool {
    model.opt.flags.constraint && model.opt.flags.frictionloss
}

pub(super) fn has_limits(model: &Model) -> bool {
    model.opt.flags.constraint && model.opt.flags.limit
}

/// Whether a joint can be within the margins of both its limits, and so needs a row for each. Decided by the
/// model: a randomized range must stay wider than twice the margin.
pub(super) fn sides_overlap(model: &Model, joint: usize) -> bool {
    let [low, high] = model.jnt_range[joint];
    high - low <= 2.0 * model.jnt_margin[joint]
}

/// The row of dry friction in a degree of freedom: it holds still, up to a bound.
fn friction(cx: &Context<'_>, state: &State, dof: usize, rows: &mut Vec<Row>) {
    let (model, parameters) = (cx.model, cx.parameters);
    if !rubs(model, dof) {
        return;
    }
    let softness = Softness {
        solref: parameters.dof_solref[dof],
        solimp: parameters.dof_solimp[dof],
    };
    let law = Law::new(cx, &softness, Var::ZERO);
    rows.push(Row {
        jacobian: vec![(dof, Var::ONE)],
        joint: model.dof_jntid[dof],
        present: Mask::from(true),
        stiffness: law.strength(parameters.dof_invweight0[dof]),
        aref: -(law.damping * state.qvel[dof]),
        bound: Some(parameters.dof_frictionloss[dof].max(0.0)),
    });
}

/// The rows of one joint's limits.
pub(super) fn limit(
    cx: &Context<'_>,
    at: &Kinematics,
    state: &State,
    joint: usize,
    rows: &mut Vec<Row>,
) {
    let parameters = cx.parameters;
    let inverse_inertia = parameters.dof_invweight0[cx.model.jnt_dofadr[joint]];
    for (violation, jacobian) in violations(cx, at, state, joint) {
        let softness = Softness {
            solref: parameters.jnt_solref[joint],
            solimp: parameters.jnt_solimp[joint],
        };
        let velocity: Var = jacobian
            .iter()
            .map(|&(dof, arm)| arm * state.qvel[dof])
            .sum();
        let law = Law::new(cx, &softness, violation);
        rows.push(Row {
            jacobian,
            joint,
            present: violation.lt(0.0),
            stiffness: law.strength(inverse_inertia),
            aref: law.reference(velocity, violation),
            bound: None,
        });
    }
}

/// Distances of a joint to its limits less the margin, negative where a limit acts, with their Jacobians: one per row.
pub(super) fn violations(
    cx: &Context<'_>,
    at: &Kinematics,
    state: &State,
    joint: usize,
) -> Vec<(Var, Vec<(usize, Var)>)> {
    let (model, parameters) = (cx.model, cx.parameters);
    if !model.jnt_limited[joint] {
        return Vec::new();
    }
    let (dof, margin) = (model.jnt_dofadr[joint], parameters.jnt_margin[joint]);
    let [low, high] = parameters.jnt_range[joint];
    match model.jnt_type[joint] {
        Joint::Free => Vec::new(),
        Joint::Slide | Joint::Hinge => {
            let q = state.qpos[model.jnt_qposadr[joint]];
            let (above_low, below_high) = (q - low, high - q);
            if sides_overlap(model, joint) {
                return vec![
                    (above_low - margin, vec![(dof, Var::ONE)]),
                    (below_high - margin, vec![(dof, -Var::ONE)]),
                ];
            }
            // Only the nearer side can count.
            let side = select(above_low.lt(below_high), Var::ONE, -Var::ONE);
            vec![(above_low.min(below_high) - margin, vec![(dof, side)])]
        }
        Joint::Ball => {
            // The rotation's angle may not exceed the larger number of the range; its axis is the Jacobian.
            let (axis, angle) = at.joint_quat[joint].log().normalize();
            vec![(low.max(high) - angle - margin, along_axis(dof, -axis))]
        }
    }
}

fn along_axis(dof: usize, axis: Vec3) -> Vec<(usize, Var)> {
    axis.to_array()
        .into_iter()
        .enumerate()
        .map(|(k, arm)| (dof + k, arm))
        .collect()
}

/// A constraint's spring and damper.
pub(super) struct Law {
    /// d
    pub impedance: Var,
    /// k, 1/s²
    pub stiffness: Var,
    /// b, 1/s
    pub damping: Var,
}

impl Law {
    /// The law at a violation.
    pub(super) fn new(cx: &Context<'_>, softness: &Softness, violation: Var) -> Self {
        let solimp = bounded(softness.solimp);
        let (stiffness, damping) = stiffness_and_damping(cx, softness.solref, solimp[1]);
        Self {
            impedance: impedance(&solimp, violation),
            stiffness,
            damping,
        }
    }

    /// Reference acceleration of a row (`efc_aref`).
    pub(super) fn reference(&self, velocity: Var, violation: Var) -> Var {
        -(self.damping * velocity) - self.stiffness * self.impedance * violation
    }

    /// Inverse regularization of a row: `R = (1 − d) / d · A`, where A is the diagonal of the inverse inertia in
    /// constraint space, approximated at `qpos0`.
    pub(super) fn strength(&self, inverse_inertia: Var) -> Var {
        let d = self.impedance;
        (d / ((1.0 - d) * inverse_inertia).max(MIN_VALUE)).min(1.0 / MIN_VALUE)
    }
}

/// `solimp` within what it may be (`mjMINIMP`, `mjMAXIMP`).
fn bounded([d0, width, distance, midpoint, power]: [Var; 5]) -> [Var; 5] {
    let unit = |x: Var| x.clamp(1e-4, 0.9999);
    [
        unit(d0),
        unit(width),
        distance.max(0.0),
        unit(midpoint),
        power.max(1.0),
    ]
}

/// The impedance at a violation: from `d0` at none to `dwidth` at `width`, along two powers that meet at `midpoint`.
///
/// With x = |violation| / width in [0, 1]: `y = a xᵖ` up to the midpoint m, and `y = 1 − b (1 − x)ᵖ` after it, where
/// `a = m^(1−p)`, `b = (1 − m)^(1−p)`.
fn impedance(&[d0, d1, width, midpoint, power]: &[Var; 5], violation: Var) -> Var {
    let flat = (d1 - d0).is_zero() || width.as_constant().is_some_and(|width| width <= MIN_VALUE);
    if flat {
        return 0.5 * (d0 + d1);
    }
    let x = (violation.abs() / width.max(MIN_VALUE)).min(1.0);
    let y = if power.as_constant() == Some(1.0) {
        x
    } else {
        let rising = power_of(x, power) / power_of(midpoint, power - 1.0);
        let settling = 1.0 - power_of(1.0 - x, power) / power_of(1.0 - midpoint, power - 1.0);
        select(x.le(midpoint), rising, settling)
    };
    let curved = d0 + y * (d1 - d0);
    match width.as_constant() {
        Some(_) => curved,
        None => select(width.le(MIN_VALUE), 0.5 * (d0 + d1), curved),
    }
}

/// `baseᵖ` for a base in [0, 1]: by products for a small whole p.
fn power_of(base: Var, power: Var) -> Var {
    match power.as_constant() {
        Some(p) if p.fract() == 0.0 && (0.0..=8.0).contains(&p) => {
            (0..p as usize).fold(Var::ONE, |y, _| y * base)
        }
        _ => pow(base, power),
    }
}

/// Stiffness k (1/s²) and damping b (1/s) of a constraint from `solref` in either of its formats.
///
/// Positive: time constant and damping ratio; the time constant is at least two time steps, unless `refsafe` is off.
/// Negative: stiffness and damping themselves. Mixed signs stand for the default.
fn stiffness_and_damping(cx: &Context<'_>, solref: [Var; 2], dmax: Var) -> (Var, Var) {
    let mixed = solref[0].gt(0.0) ^ solref[1].gt(0.0);
    let [time, ratio] = select(mixed, [Var::from(0.02), Var::ONE], solref);
    let safe = if cx.model.opt.flags.refsafe {
        time.max(2.0 * cx.parameters.timestep)
    } else {
        time
    };
    let time = select(time.gt(0.0), safe, time);
    let standard_k = 1.0 / (dmax.square() * time.square() * ratio.square()).max(MIN_VALUE);
    let direct_k = -time / dmax.square().max(MIN_VALUE);
    let standard_b = 2.0 / (dmax * time).max(MIN_VALUE);
    let direct_b = -ratio / dmax.max(MIN_VALUE);
    (
        select(time.gt(0.0), standard_k, direct_k),
        select(ratio.gt(0.0), standard_b, direct_b),
    )
}
