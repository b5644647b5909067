//! Accelerations of bodies, and the wrenches between them, once `qacc` is known (`mj_rnePostConstraint`).

use crate::math::{Force, Motion, Vec3};
use crate::trace::Var;

use super::bias::newton_euler;
use super::state::{Applied, State};
use super::subtree::Bodies;
use super::velocity::{ground, velocity};
use super::{Context, Forward, Tree};

/// Accelerations and wrenches of bodies, world axes, about the origins of their trees; [`Bodies::cacc`] and
/// [`Bodies::wrench`] move them to where MuJoCo has them.
#[derive(Clone, Debug)]
pub struct PostConstraint {
    /// `[nbody]` Acceleration, with gravity as an acceleration of everything upwards (`cacc`).
    pub cacc: Vec<Motion>,
    /// `[nbody]` What acts on a body from outside: `xfrc_applied`, contacts, connections and welds
    /// (`cfrc_ext`). The world's is zero.
    pub cfrc_ext: Vec<Force>,
    /// `[nbody]` What a body gets from its parent (`cfrc_int`): by joints, actuators and springs, and by whatever holds
    /// up bodies fixed in the world. The world's is the sum of its children's, about its own origin.
    pub cfrc_int: Vec<Force>,
}

/// Newton and Euler for every body at the accelerations and contact forces of [`forward`](super::forward), from the
/// state and the applied forces that it was given.
pub fn post_constraint(
    bodies: &Bodies<'_>,
    state: &State,
    applied: &Applied,
    forward: &Forward,
) -> PostConstraint {
    let cacc = accelerations(bodies, state, &forward.qacc);
    let cfrc_ext = external(bodies, applied, forward);
    let model = bodies.model;
    let mut cfrc_int = vec![Force::ZERO; model.nbody];
    for body in (1..model.nbody).rev() {
        let needed = newton_euler(&bodies.inertia(body), bodies.velocity(body), cacc[body]);
        let wrench = cfrc_int[body] + needed - cfrc_ext[body];
        cfrc_int[body] = wrench;
        let parent = model.body_parentid[body];
        cfrc_int[parent] += Force::acting_at(bodies.between(body, parent), wrench.ang, wrench.lin);
    }
    PostConstraint {
        cacc,
        cfrc_ext,
        cfrc_int,
    }
}

/// `[nbody]` Accelerations: those of [`velocity`] at `qacc` = 0, and `cdof · qacc` of all joints on the way.
fn accelerations(bodies: &Bodies<'_>, state: &State, qacc: &[Var]) -> Vec<Motion> {
    let tree = Tree::new(bodies.model);
    let cx = Context::new(bodies.model, bodies.parameters, &tree);
    let still = velocity(&cx, bodies.at, &state.qvel).cacc;
    let mut gained: Vec<Motion> = Vec::with_capacity(tree.links.len());
    for link in &tree.links {
        let base = link.parent.map_or(Motion::ZERO, |parent| gained[parent]);
        let dofs = bodies.model.body_dofs(link.body);
        gained.push(dofs.fold(base, |sum, dof| sum + bodies.at.cdof[dof] * qacc[dof]));
    }
    let of = |link: &Option<usize>| link.map_or(ground(&cx), |link| still[link] + gained[link]);
    tree.body_link.iter().map(of).collect()
}

/// `[nbody]` Applied forces, contacts, connections and welds.
fn external(bodies: &Bodies<'_>, applied: &Applied, forward: &Forward) -> Vec<Force> {
    let mut sum = vec![Force::ZERO; bodies.model.nbody];
    for (body, wrench) in applied.xfrc.iter().enumerate().skip(1) {
        if !wrench.is_zero() {
            sum[body] += Force::acting_at(bodies.com_offset(body), wrench.ang, wrench.lin);
        }
    }
    for (body, sum) in sum.iter_mut().enumerate().skip(1) {
        *sum += forward.contact_wrench(bodies.model, body, Vec3::ZERO);
    }
    for held in &forward.equalities {
        for (body, wrench) in held.wrenches() {
            if body != 0 {
                sum[body] += wrench;
            }
        }
    }
    sum
}
