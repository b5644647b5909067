//! Actuators: from `ctrl` and `act` to generalized forces (`mj_transmission`, `mj_fwdActuation`).

use std::f64::consts::PI;

use crate::math::functions::exp;
use crate::math::{MIN_VALUE, Vec3};
use crate::model::{Bias, Dynamics, Gain, Joint, Model, Transmission};
use crate::trace::{Var, select};

use super::Context;
use super::kinematics::Kinematics;
use super::state::State;

/// What the actuators do.
#[derive(Clone, Debug)]
pub(super) struct Actuation {
    /// `[nu]` How each transmits, and its length and velocity.
    pub transmission: Vec<Lever>,
    /// `[nu]` Force before the transmission, N or N·m (`actuator_force`).
    pub force: Vec<Var>,
    /// `[nu]` Derivative of `force` by the actuator's velocity, N·s/m or N·m·s/rad.
    pub force_vel: Vec<Var>,
    /// `[na]` Rate of the activations, 1/s.
    pub act_dot: Vec<Var>,
    /// `[nv]` Generalized force (`qfrc_actuator`).
    pub qfrc: Vec<Var>,
}

/// An actuator's transmission at a configuration.
#[derive(Clone, Debug)]
pub(super) struct Lever {
    /// Length, in units of the joint times the gear.
    pub length: Var,
    /// Rate of the length.
    pub velocity: Var,
    /// Degrees of freedom that it moves, and how much force each gets per unit (`actuator_moment`).
    pub moment: Vec<(usize, Var)>,
}

/// Forces and activation rates at a state; `gravcomp` (`[nv]`) counts as actuation on the joints that say so.
pub(super) fn actuation(
    cx: &Context<'_>,
    at: &Kinematics,
    state: &State,
    ctrl: &[Var],
    gravcomp: Option<&[Var]>,
) -> Actuation {
    let model = cx.model;
    let transmission: Vec<Lever> = (0..model.nu).map(|i| lever(cx, at, state, i)).collect();
    let mut out = Actuation {
        force: vec![Var::ZERO; model.nu],
        force_vel: vec![Var::ZERO; model.nu],
        act_dot: vec![Var::ZERO; model.na],
        qfrc: vec![Var::ZERO; model.nv],
        transmission,
    };
    if model.nu == 0 || !model.opt.flags.actuation {
        return out;
    }
    for (actuator, &ctrl) in ctrl.iter().enumerate() {
        drive(cx, state, ctrl, actuator, &mut out);
    }
    if let Some(gravcomp) = gravcomp {
        for dof in (0..model.nv).filter(|&dof| model.jnt_actgravcomp[model.dof_jntid[dof]]) {
            out.qfrc[dof] += gravcomp[dof];
        }
    }
    for joint in (0..model.njnt).filter(|&joint| model.jnt_actfrclimited[joint]) {
        let [low, high] = cx.parameters.jnt_actfrcrange[joint];
        let force = &mut out.qfrc[model.jnt_dofadr[joint]];
        *force = force.clamp(low, high);
    }
    out
}

/// One actuator's force, its generalized force and its activation's rate.
fn drive(cx: &Context<'_>, state: &State, ctrl: Var, actuator: usize, out: &mut Actuation) {
    let (model, parameters) = (cx.model, cx.parameters);
    let Lever {
        length,
        velocity,
        moment,
    } = out.transmission[actuator].clone();
    let ctrl = match model.actuator_ctrllimited[actuator] && model.opt.flags.clampctrl {
        true => ctrl.clamp(
            parameters.actuator_ctrlrange[actuator][0],
            parameters.actuator_ctrlrange[actuator][1],
        ),
        false => ctrl,
    };

    // The input is the control, or the activation that it drives.
    let mut input = ctrl;
    if let Some(address) = model.actuator_actadr[actuator] {
        let act = state.act[address];
        let rate = match model.actuator_dyntype[actuator] {
            Dynamics::None => Var::ZERO,
            Dynamics::Integrator => ctrl,
            Dynamics::Filter | Dynamics::FilterExact => (ctrl - act) / time_constant(cx, actuator),
        };
        out.act_dot[address] = rate;
        input = match model.actuator_actearly[actuator] {
            true => next_activation(cx, actuator, act, rate),
            false => act,
        };
    }
    if is_disabled(cx, actuator) {
        return;
    }

    if let Some(period) = setpoint_period(cx, actuator) {
        input = nearest_turn(input, length, period);
    }
    let affine = |prm: &[Var; 10]| prm[0] + prm[1] * length + prm[2] * velocity;
    let (gain, bias) = (
        &parameters.actuator_gainprm[actuator],
        &parameters.actuator_biasprm[actuator],
    );
    let (gain, gain_vel) = match model.actuator_gaintype[actuator] {
        Gain::Fixed => (gain[0], Var::ZERO),
        Gain::Affine => (affine(gain), gain[2]),
    };
    let (bias, bias_vel) = match model.actuator_biastype[actuator] {
        Bias::None => (Var::ZERO, Var::ZERO),
        Bias::Affine => (affine(bias), bias[2]),
    };
    let mut force = gain * input + bias;
    let mut force_vel = gain_vel * input + bias_vel;
    if model.actuator_forcelimited[actuator] {
        let [low, high] = parameters.actuator_forcerange[actuator];
        force = force.clamp(low, high);
        force_vel = select(force.le(low) | force.ge(high), Var::ZERO, force_vel);
    }
    out.force[actuator] = force;
    out.force_vel[actuator] = force_vel;
    for (dof, arm) in moment {
        out.qfrc[dof] += arm * force;
    }
}

/// Length, velocity and moment arms of an actuator on a joint.
fn lever(cx: &Context<'_>, at: &Kinematics, state: &State, actuator: usize) -> Lever {
    let model = cx.model;
    let joint = model.actuator_trnid[actuator];
    let dof = model.jnt_dofadr[joint];
    let gear = &cx.parameters.actuator_gear[actuator];
    // A gear given in the parent's frame is turned into the child's, in which the velocities are.
    let turned = |gear: Vec3| match model.actuator_trntype[actuator] {
        Transmission::Joint => gear,
        Transmission::JointInParent => at.joint_quat[joint].conj().rotate(gear),
    };
    let (length, arms) = match model.jnt_type[joint] {
        Joint::Slide | Joint::Hinge => (
            state.qpos[model.jnt_qposadr[joint]] * gear[0],
            vec![gear[0]],
        ),
        Joint::Ball => {
            let arms = turned(Vec3::from_slice(gear));
            (
                at.joint_quat[joint].log().dot(arms),
                arms.to_array().to_vec(),
            )
        }
        Joint::Free => {
            let rotational = turned(Vec3::from_slice(&gear[3..])).to_array();
            (
                Var::ZERO,
                gear[..3].iter().copied().chain(rotational).collect(),
            )
        }
    };
    let moment: Vec<(usize, Var)> = arms
        .into_iter()
        .enumerate()
        .map(|(k, arm)| (dof + k, arm))
        .collect();
    let velocity = moment.iter().map(|&(dof, arm)| arm * state.qvel[dof]).sum();
    Lever {
        length,
        velocity,
        moment,
    }
}

/// `[na]` Activations after a step, from their rates at its start (`mj_advance`).
pub(super) fn advance(
    cx: &Context<'_>,
    transmission: &[Lever],
    act: &[Var],
    act_dot: &[Var],
) -> Vec<Var> {
    let model = cx.model;
    let mut next = act.to_vec();
    if !model.opt.flags.actuation {
        return next;
    }
    for (actuator, lever) in transmission.iter().enumerate() {
        let Some(address) = model.actuator_actadr[actuator] else {
            continue;
        };
        let rate = if is_disabled(cx, actuator) {
            Var::ZERO
        } else {
            act_dot[address]
        };
        next[address] = next_activation(cx, actuator, act[address], rate);
        let integrates = model.actuator_dyntype[actuator] == Dynamics::Integrator;
        if let (Some(period), true) = (setpoint_period(cx, actuator), integrates) {
            next[address] = nearest_turn(next[address], lever.length, period);
        }
    }
    next
}

/// The activation after a time step (`mj_nextActivation`).
///
/// The exact filter starts at rate `r = (u − a) / τ`, and follows `a + r τ (1 − e^(−h/τ))`.
fn next_activation(cx: &Context<'_>, actuator: usize, act: Var, rate: Var) -> Var {
    let dt = cx.parameters.timestep;
    let next = match cx.model.actuator_dyntype[actuator] {
        Dynamics::FilterExact => {
            let tau = time_constant(cx, actuator);
            act + rate * (tau * (1.0 - exp(-(dt / tau))))
        }
        _ => act + rate * dt,
    };
    match cx.model.actuator_actlimited[actuator] {
        true => next.clamp(
            cx.parameters.actuator_actrange[actuator][0],
            cx.parameters.actuator_actrange[actuator][1],
        ),
        false => next,
    }
}

fn time_constant(cx: &Context<'_>, actuator: usize) -> Var {
    cx.parameters.actuator_dynprm[actuator][0].max(MIN_VALUE)
}

/// Whether `opt.disableactuator` switches the actuator's group off.
fn is_disabled(cx: &Context<'_>, actuator: usize) -> bool {
    let group = cx.model.actuator_group[actuator];
    (0..=30).contains(&group) && cx.model.opt.disableactuator >> group & 1 == 1
}

/// The length of a full turn for a position servo on a ball joint, whose setpoint means an orientation.
fn setpoint_period(cx: &Context<'_>, actuator: usize) -> Option<Var> {
    let gear = &cx.parameters.actuator_gear[actuator];
    is_orientation_servo(cx.model, actuator).then(|| Vec3::from_slice(gear).norm() * (2.0 * PI))
}

/// Whether an actuator is a position servo on a ball joint: decided by the model, not by randomized parameters.
pub(super) fn is_orientation_servo(model: &Model, actuator: usize) -> bool {
    let is_servo = model.actuator_gaintype[actuator] == Gain::Fixed
        && model.actuator_biastype[actuator] == Bias::Affine
        && model.actuator_gainprm[actuator][0] == -model.actuator_biasprm[actuator][1]
        && matches!(
            model.actuator_dyntype[actuator],
            Dynamics::None | Dynamics::Integrator
        );
    let on_ball = model.jnt_type[model.actuator_trnid[actuator]] == Joint::Ball;
    is_servo && on_ball
}

/// The representative of `x`, modulo the period, nearest to a length; `x` itself where the period is 0.
fn nearest_turn(x: Var, length: Var, period: Var) -> Var {
    if period.is_zero() {
        return x;
    }
    x - period * ((x - length) / period).round()
}
