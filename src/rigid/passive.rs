//! Forces that a model has by itself: springs, dampers, gravity compensation, the medium (`mj_passive`).

use std::f64::consts::PI;

use crate::math::{Force, MIN_VALUE, Quat, Vec3};
use crate::model::Joint;
use crate::trace::Var;

use super::Context;
use super::bias::project;
use super::kinematics::Kinematics;
use super::state::State;
use super::velocity::Velocity;

/// What [`passive`] finds.
pub(super) struct Passive {
    /// `[nv]` Springs and dampers (`qfrc_spring + qfrc_damper`).
    pub qfrc: Vec<Var>,
    /// `[nv]` Gravity compensation, on all joints (`qfrc_gravcomp`); none where the model has none.
    pub gravcomp: Option<Vec<Var>>,
    /// `[links]` Wrenches of the medium about the tree's origin.
    pub wrenches: Vec<Force>,
}

impl Passive {
    /// `[nv]` Generalized forces, with gravity compensation on the joints where it does not count as actuation.
    pub(super) fn total(&self, cx: &Context<'_>) -> Vec<Var> {
        let mut total = self.qfrc.clone();
        if let Some(gravcomp) = &self.gravcomp {
            let acts = |dof: usize| cx.model.jnt_actgravcomp[cx.model.dof_jntid[dof]];
            (0..total.len())
                .filter(|&dof| !acts(dof))
                .for_each(|dof| total[dof] += gravcomp[dof]);
        }
        total
    }
}

/// All passive forces. MuJoCo computes none of them when both springs and dampers are switched off.
pub(super) fn passive(
    cx: &Context<'_>,
    at: &Kinematics,
    velocity: &Velocity,
    state: &State,
) -> Passive {
    let flags = cx.model.opt.flags;
    let mut qfrc = vec![Var::ZERO; cx.model.nv];
    let mut wrenches = vec![Force::ZERO; cx.tree.links.len()];
    if !flags.spring && !flags.damper {
        return Passive {
            qfrc,
            gravcomp: None,
            wrenches,
        };
    }
    if flags.spring {
        springs(cx, at, state, &mut qfrc);
    }
    if flags.damper {
        for (dof, force) in qfrc.iter_mut().enumerate() {
            *force -= cx.parameters.dof_damping[dof] * state.qvel[dof];
        }
    }
    fluid(cx, at, velocity, &mut wrenches);
    Passive {
        qfrc,
        gravcomp: gravity_compensation(cx, at),
        wrenches,
    }
}

/// Joint springs pull towards `qpos_spring`; those of free and ball joints along the rotation vector.
fn springs(cx: &Context<'_>, at: &Kinematics, state: &State, qfrc: &mut [Var]) {
    let model = cx.model;
    for joint in 0..model.njnt {
        let stiffness = cx.parameters.jnt_stiffness[joint];
        if stiffness.is_zero() {
            continue;
        }
        let dof = model.jnt_dofadr[joint];
        for (k, x) in stretch(cx, at, state, joint).into_iter().enumerate() {
            qfrc[dof + k] -= stiffness * x;
        }
    }
}

/// How far a joint is from `qpos_spring`, a number per degree of freedom, m or rad.
pub(super) fn stretch(cx: &Context<'_>, at: &Kinematics, state: &State, joint: usize) -> Vec<Var> {
    let q = cx.model.jnt_qposadr[joint];
    let rest = &cx.parameters.qpos_spring;
    let turned = |q: usize| {
        at.joint_quat[joint]
            .difference(Quat::from_slice(&rest[q..]))
            .to_array()
    };
    match cx.model.jnt_type[joint] {
        Joint::Slide | Joint::Hinge => vec![state.qpos[q] - rest[q]],
        Joint::Ball => turned(q).to_vec(),
        Joint::Free => {
            let moved = Vec3::from_slice(&state.qpos[q..]) - Vec3::from_slice(&rest[q..]);
            moved.to_array().into_iter().chain(turned(q + 3)).collect()
        }
    }
}

/// Each body's share of its weight is carried at its centre of mass.
fn gravity_compensation(cx: &Context<'_>, at: &Kinematics) -> Option<Vec<Var>> {
    let parameters = cx.parameters;
    let any = parameters
        .body_gravcomp
        .iter()
        .any(|share| !share.is_zero());
    if !any || !cx.model.opt.flags.gravity {
        return None;
    }
    let mut wrenches = vec![Force::ZERO; cx.tree.links.len()];
    for body in 1..cx.model.nbody {
        if let Some(link) = cx.tree.body_link[body] {
            let weight =
                parameters.gravity * (parameters.body_mass[body] * parameters.body_gravcomp[body]);
            wrenches[link] += Force::acting_at(at.com_offset(cx, body), Vec3::ZERO, -weight);
        }
    }
    Some(project(cx, at, wrenches))
}

/// Drag of the medium on a box with each body's inertia (`mj_inertiaBoxFluidModel`).
///
/// The box has the half-extent squares `b_x² = 6 (I_y + I_z − I_x) / m`. Viscosity acts as on a sphere of the mean
/// extent; density as a pressure on each face, and its moment, in the body's principal axes.
fn fluid(cx: &Context<'_>, at: &Kinematics, velocity: &Velocity, wrenches: &mut [Force]) {
    let parameters = cx.parameters;
    let (density, viscosity) = (parameters.density, parameters.viscosity);
    if density.is_zero() && viscosity.is_zero() {
        return;
    }
    for body in 1..cx.model.nbody {
        let Some(link) = cx.tree.body_link[body] else {
            continue;
        };
        if cx.model.body_mass[body] < MIN_VALUE {
            continue;
        }
        let inertia = parameters.body_inertia[body].to_array();
        let extent = |k: usize| {
            let [a, b, c] = [inertia[k], inertia[(k + 1) % 3], inertia[(k + 2) % 3]];
            ((b + c - a).max(MIN_VALUE) / parameters.body_mass[body] * 6.0).sqrt()
        };
        let size = [extent(0), extent(1), extent(2)];
        let axes = at.xmat[body] * parameters.body_iquat[body].to_mat();
        let com = at.com_offset(cx, body);
        let moving = velocity.cvel[link];
        let spin = axes.transposed_mul(moving.ang);
        let drift = axes.transposed_mul(moving.at(com) - parameters.wind);

        let diameter = (size[0] + size[1] + size[2]) / 3.0;
        let mut torque = (spin * (viscosity * diameter * diameter * diameter * -PI)).to_array();
        let mut force = (drift * (viscosity * diameter * (-3.0 * PI))).to_array();
        let (spin, drift) = (spin.to_array(), drift.to_array());
        for k in 0..3 {
            let (b, c) = (size[(k + 1) % 3], size[(k + 2) % 3]);
            force[k] -= 0.5 * density * b * c * drift[k].abs() * drift[k];
            let fourth = b.square().square() + c.square().square();
            torque[k] -= density * size[k] * fourth * spin[k].abs() * spin[k] / 64.0;
        }
        wrenches[link] +=
            Force::acting_at(com, axes * Vec3::from(torque), axes * Vec3::from(force));
    }
}
