//! Generalized bias forces: gravity, Coriolis and centrifugal, less what acts on the links (`mj_rne`).

use crate::math::{Force, Motion};
use crate::trace::Var;

use super::Context;
use super::inertia::LinkInertia;
use super::kinematics::Kinematics;
use super::velocity::Velocity;

/// `[nv]` `qfrc_bias` less the generalized forces of wrenches on the links (`[links]`, about the tree's origin).
pub(super) fn bias(
    cx: &Context<'_>,
    at: &Kinematics,
    inertia: &[LinkInertia],
    velocity: &Velocity,
    wrenches: &[Force],
) -> Vec<Var> {
    let needed = inertia.iter().enumerate().map(|(link, body)| {
        newton_euler(body, velocity.cvel[link], velocity.cacc[link]) - wrenches[link]
    });
    project(cx, at, needed.collect())
}

/// The wrench about the origin that gives a body the acceleration `a` at the velocity `v`.
///
/// At the centre of mass c, Newton and Euler: the force is mass times c's acceleration, the torque `J α + ω × J ω`.
/// The acceleration of the point c is that of the field `a` there, and `ω ×` its velocity, because it moves on. This
/// takes fewer operations than `I a + v ×* I v`, which is the same.
pub(super) fn newton_euler(body: &LinkInertia, v: Motion, a: Motion) -> Force {
    let force = (a.at(body.com) + v.ang.cross(v.at(body.com))) * body.mass;
    let torque = body.central * a.ang + v.ang.cross(body.central * v.ang);
    Force::acting_at(body.com, torque, force)
}

/// `[nv]` Generalized forces of wrenches on the links: each passes on to the links it hangs from, and does work in
/// the degrees of freedom on the way.
pub(super) fn project(cx: &Context<'_>, at: &Kinematics, mut wrenches: Vec<Force>) -> Vec<Var> {
    let mut qfrc = vec![Var::ZERO; cx.model.nv];
    for (index, link) in cx.tree.links.iter().enumerate().rev() {
        let wrench = wrenches[index];
        for dof in cx.model.body_dofs(link.body) {
            qfrc[dof] = at.cdof[dof].dot(wrench);
        }
        if let Some(parent) = link.parent {
            wrenches[parent] += wrench;
        }
    }
    qfrc
}
