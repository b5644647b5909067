//! From accelerations to the next state (`mj_Euler`, `mj_implicit`, `mj_RungeKutta`, `mj_integratePos`).

use crate::math::{Quat, Vec3};
use crate::model::{Integrator, Joint};
use crate::trace::{Bits, Var, repeat, select, when};

use super::actuation;
use super::articulated::{self, JointBlocks};
use super::free_body;
use super::state::State;
use super::{Context, Forces, Forward, Health, Inputs, Substep, forward_with};

/// One time step, given the accelerations and forces at its start.
pub(super) fn integrate(
    cx: &Context<'_>,
    state: &State,
    inputs: &Inputs<'_>,
    start: Forward,
) -> Substep {
    let qacc = match cx.model.opt.integrator {
        Integrator::Rk4 => return rk4(cx, state, inputs, start),
        Integrator::ImplicitFast => implicit_fast(cx, state, &start),
        _ => euler(cx, &start),
    };
    Substep {
        state: semi_implicit(cx, state, &start, &qacc),
        evaluated: state.clone(),
        health: start.health(),
        forces: None,
        start,
    }
}

/// Accelerations of the Euler integrator: joint damping is implicit unless it is switched off.
fn euler(cx: &Context<'_>, now: &Forward) -> Vec<Var> {
    let flags = cx.model.opt.flags;
    if !flags.eulerdamp || !flags.damper {
        return now.qacc.clone();
    }
    implicit(cx, now, &damping(cx))
}

/// Accelerations of the `implicitfast` integrator: implicit in the velocities that damping and actuators depend on.
fn implicit_fast(cx: &Context<'_>, state: &State, now: &Forward) -> Vec<Var> {
    let model = cx.model;
    let mut derivative = damping(cx);
    let actuators = now.transmission.iter().zip(&now.force_vel);
    for (actuator, (lever, &force_vel)) in actuators.enumerate() {
        let weight = -(cx.parameters.timestep * force_vel);
        derivative.add_outer(model, model.actuator_trnid[actuator], &lever.moment, weight);
    }
    let mut qacc = implicit(cx, now, &derivative);
    free_body::implicit(cx, state, now, &derivative, &mut qacc);
    qacc
}

/// The time step times the joints' damping.
fn damping(cx: &Context<'_>) -> JointBlocks {
    let damper = cx.model.opt.flags.damper;
    let scaled = |&d: &Var| {
        if damper {
            cx.parameters.timestep * d
        } else {
            Var::ZERO
        }
    };
    let diagonal: Vec<Var> = cx.parameters.dof_damping.iter().map(scaled).collect();
    JointBlocks::from_diagonal(cx.model, &diagonal)
}

/// Accelerations y under the same forces when those grow by `−B y / h`: `(M + B) y = M qacc`.
///
/// Solved for the difference, `y = qacc − (M + B)⁻¹ B qacc`, which keeps the precision of `qacc`. Without constraints
/// M qacc is known to be τ, and one solve does.
fn implicit(cx: &Context<'_>, now: &Forward, b: &JointBlocks) -> Vec<Var> {
    if b.is_zero() {
        return now.qacc.clone();
    }
    let blocks = now.armature.plus(b);
    let solve =
        |force: &[Var]| articulated::solve(cx, &now.kinematics, &now.inertia, &blocks, force);
    if now.is_unconstrained {
        return solve(&now.qfrc_smooth);
    }
    let difference = solve(&b.mul(cx.model, &now.qacc));
    now.qacc
        .iter()
        .zip(difference)
        .map(|(&qacc, difference)| qacc - difference)
        .collect()
}

/// Advances velocities first, positions with the new velocities.
fn semi_implicit(cx: &Context<'_>, state: &State, now: &Forward, qacc: &[Var]) -> State {
    let dt = cx.parameters.timestep;
    let qvel: Vec<Var> = state
        .qvel
        .iter()
        .zip(qacc)
        .map(|(&v, &a)| v + a * dt)
        .collect();
    State {
        qpos: positions(cx, &state.qpos, &qvel, dt),
        act: actuation::advance(cx, &now.transmission, &state.act, &now.act_dot),
        qvel,
        time: state.time + dt,
        active: now.active.clone(),
        ..state.clone()
    }
}

/// `[nq]` Positions after moving with constant `qvel` for `dt`.
fn positions(cx: &Context<'_>, qpos: &[Var], qvel: &[Var], dt: Var) -> Vec<Var> {
    let model = cx.model;
    let mut next = qpos.to_vec();
    let turn = |next: &mut [Var], q: usize, dof: usize| {
        let quat = Quat::from_slice(&qpos[q..]).normalize();
        let turned = quat.integrate(Vec3::from_slice(&qvel[dof..]), dt);
        next[q..q + 4].copy_from_slice(&turned.to_array());
    };
    for joint in 0..model.njnt {
        let (q, dof) = (model.jnt_qposadr[joint], model.jnt_dofadr[joint]);
        match model.jnt_type[joint] {
            Joint::Slide | Joint::Hinge => next[q] = qpos[q] + qvel[dof] * dt,
            Joint::Ball => turn(&mut next, q, dof),
            Joint::Free => {
                for k in 0..3 {
                    next[q + k] = qpos[q + k] + qvel[dof + k] * dt;
                }
                turn(&mut next, q + 3, dof + 3);
            }
        }
    }
    next
}

/// Rates of change of positions, velocities and activations.
type Rates = [Vec<Var>; 3];

/// Fourth-order Runge–Kutta. Stage i starts from the state moved along stage i − 1's rates for `[½, ½, 1] h`; the
/// step takes the rates' mean with weights `[1, 2, 2, 1] / 6`.
fn rk4(cx: &Context<'_>, state: &State, inputs: &Inputs<'_>, start: Forward) -> Substep {
    let dt = cx.parameters.timestep;
    let zeros: Rates = [
        vec![Var::ZERO; cx.model.nv],
        vec![Var::ZERO; cx.model.nv],
        vec![Var::ZERO; cx.model.na],
    ];
    let told = (Health::sound(), Forces::none(cx.model));
    let (stage, mean, last, (health, forces)) = repeat(
        4u32,
        (state.clone(), zeros, state.clone(), told),
        |_| true.into(),
        |(stage, sum, _, (health, forces)), i: Bits| {
            let there = forward_with(cx, &stage, inputs);
            let health = health.and(there.health());
            let forces = when(i.eq(3), forces, |_| Forces::of(cx.model, &there));
            let rates: Rates = [stage.qvel.clone(), there.qacc, there.act_dot];
            let reach = select(i.eq(2), Var::ONE, Var::from(0.5)) * dt;
            let weight = select(
                i.eq(0) | i.eq(3),
                Var::from(1.0 / 6.0),
                Var::from(1.0 / 3.0),
            );
            let next = State {
                qpos: positions(cx, &state.qpos, &rates[0], reach),
                qvel: along(&state.qvel, &rates[1], reach),
                act: along(&state.act, &rates[2], reach),
                active: there.active,
                ..state.clone()
            };
            (
                next,
                std::array::from_fn(|k| along(&sum[k], &rates[k], weight)),
                stage,
                (health, forces),
            )
        },
    );
    let next = State {
        qpos: positions(cx, &state.qpos, &mean[0], dt),
        qvel: along(&state.qvel, &mean[1], dt),
        act: actuation::advance(cx, &start.transmission, &state.act, &mean[2]),
        time: state.time + dt,
        active: stage.active,
        ..state.clone()
    };
    Substep {
        state: next,
        evaluated: last,
        health,
        forces: Some(forces),
        start,
    }
}

/// `x + factor · rate`
fn along(x: &[Var], rate: &[Var], factor: Var) -> Vec<Var> {
    x.iter()
        .zip(rate)
        .map(|(&x, &rate)| x + rate * factor)
        .collect()
}
