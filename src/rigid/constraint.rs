//! Rows of the constraint problem: joint limits (`mj_makeConstraint`, `mj_makeImpedance`, `mj_referenceConstraint`).
//!
//! A row asks for the acceleration `aref` along its Jacobian J, and pushes with the force `D · (aref − J qacc)` where
//! that is positive. It is a one-sided spring with damper: `D` is its inverse regularization, `aref` its law
//! `−b · J qvel − k · impedance · (pos − margin)`.
//!
//! Every row that a model can have is recorded; `present` says in which worlds it counts at the moment.

use crate::math::functions::pow;
use crate::math::{MIN_VALUE, Vec3};
use crate::model::{Joint, Model};
use crate::trace::{Mask, Var, select};

use super::Context;
use super::kinematics::Kinematics;
use super::state::State;

/// One scalar one-sided constraint.
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
}

impl Row {
    /// `J x`
    pub(super) fn along(&self, x: &[Var]) -> Var {
        self.jacobian.iter().map(|&(dof, arm)| arm * x[dof]).sum()
    }
}

/// How a constraint is softened: `solref` and `solimp`.
pub(super) struct Softness {
    pub solref: [Var; 2],
    pub solimp: [Var; 5],
}

/// The rows at a state, in a fixed order.
pub(super) fn constraint(cx: &Context<'_>, at: &Kinematics, state: &State) -> Vec<Row> {
    let mut rows = Vec::new();
    if has_limits(cx.model) {
        for joint in 0..cx.model.njnt {
            limit(cx, at, state, joint, &mut rows);
        }
    }
    rows
}

/// How many rows a model can have at most.
pub(super) fn row_capacity(model: &Model) -> usize {
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

fn has_limits(model: &Model) -> bool {
    model.opt.flags.constraint && model.opt.flags.limit
}

/// Whether a joint can be within the margins of both its limits, and so needs a row for each. Decided by the
/// model: a randomized range must stay wider than twice the margin.
fn sides_overlap(model: &Model, joint: usize) -> bool {
    let [low, high] = model.jnt_range[joint];
    high - low <= 2.0 * model.jnt_margin[joint]
}

/// The rows of one joint's limits.
fn limit(cx: &Context<'_>, at: &Kinematics, state: &State, joint: usize, rows: &mut Vec<Row>) {
    let (model, parameters) = (cx.model, cx.parameters);
    if !model.jnt_limited[joint] {
        return;
    }
    let dof = model.jnt_dofadr[joint];
    let [low, high] = parameters.jnt_range[joint];
    let mut push = |distance: Var, jacobian: Vec<(usize, Var)>| {
        let softness = Softness {
            solref: parameters.jnt_solref[joint],
            solimp: parameters.jnt_solimp[joint],
        };
        let violation = distance - parameters.jnt_margin[joint];
        let velocity = jacobian
            .iter()
            .map(|&(dof, arm)| arm * state.qvel[dof])
            .sum();
        let (stiffness, aref) = spring(
            cx,
            &softness,
            violation,
            velocity,
            parameters.dof_invweight0[dof],
        );
        rows.push(Row {
            jacobian,
            joint,
            present: violation.lt(0.0),
            stiffness,
            aref,
        });
    };
    match model.jnt_type[joint] {
        Joint::Free => {}
        Joint::Slide | Joint::Hinge => {
            let q = state.qpos[model.jnt_qposadr[joint]];
            let (above_low, below_high) = (q - low, high - q);
            if sides_overlap(model, joint) {
                push(above_low, vec![(dof, Var::ONE)]);
                push(below_high, vec![(dof, -Var::ONE)]);
            } else {
                // Only the nearer side can count.
                let side = select(above_low.lt(below_high), Var::ONE, -Var::ONE);
                push(above_low.min(below_high), vec![(dof, side)]);
            }
        }
        Joint::Ball => {
            // The rotation's angle may not exceed the larger number of the range; its axis is the Jacobian.
            let (axis, angle) = at.joint_quat[joint].log().normalize();
            push(low.max(high) - angle, along_axis(dof, -axis));
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

/// Inverse regularization and reference acceleration of a row.
///
/// With impedance d: `R = (1 − d) / d · A`, where A is the diagonal of the inverse inertia in constraint space,
/// approximated at `qpos0`; `aref = −b · velocity − k d · violation`.
pub(super) fn spring(
    cx: &Context<'_>,
    softness: &Softness,
    violation: Var,
    velocity: Var,
    inverse_inertia: Var,
) -> (Var, Var) {
    let solimp = bounded(softness.solimp);
    let d = impedance(&solimp, violation);
    let (k, b) = stiffness_and_damping(cx, softness.solref, solimp[1]);
    let strength = d / ((1.0 - d) * inverse_inertia).max(MIN_VALUE);
    (
        strength.min(1.0 / MIN_VALUE),
        -(b * velocity) - k * d * violation,
    )
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
