//! Generalized bias forces: gravity, Coriolis and centrifugal, less what acts on the links (`mj_rne`).

use crate::math::{Force, Inertia};
use crate::trace::Var;

use super::Context;
use super::kinematics::Kinematics;
use super::velocity::Velocity;

/// `[nv]` `qfrc_bias` less the generalized forces of wrenches on the links (`[links]`, about the tree's origin).
///
/// Newton and Euler about a common origin: each link needs the force `I a + v ×* I v`.
pub(super) fn bias(
    cx: &Context<'_>,
    at: &Kinematics,
    inertia: &[Inertia],
    velocity: &Velocity,
    wrenches: &[Force],
) -> Vec<Var> {
    let needed = inertia.iter().enumerate().map(|(link, &body)| {
        let (v, a) = (velocity.cvel[link], velocity.cacc[link]);
        body * a + v.cross_force(body * v) - wrenches[link]
    });
    project(cx, at, needed.collect())
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
