//! Inertia of every link about its tree's origin (`cinert` of `mj_comPos`, summed over welded bodies).

use crate::math::{Inertia, Sym3, Vec3};
use crate::trace::Var;

use super::Context;
use super::kinematics::Kinematics;
use super::placement::Fixed;
use super::tree::Link;

/// A link's inertia, world axes.
#[derive(Clone, Copy, Debug)]
pub(super) struct LinkInertia {
    /// Mass, kg.
    pub mass: Var,
    /// Centre of mass relative to the tree's origin, m.
    pub com: Vec3,
    /// Rotational inertia about the centre of mass, kg·m².
    pub central: Sym3,
    /// All of it about the tree's origin.
    pub spatial: Inertia,
}

/// `[links]` Inertia of every link.
///
/// A link of one massive body turns that body's principal axes; one of several first adds their inertias in the
/// link's frame, which are constants unless somebody randomizes them.
pub(super) fn inertia(cx: &Context<'_>, at: &Kinematics) -> Vec<LinkInertia> {
    let of = |link: &Link| {
        let (mass, com, central) = link_inertia(cx, at, link);
        LinkInertia {
            mass,
            com,
            central,
            spatial: Inertia::new(mass, com, central),
        }
    };
    cx.tree.links.iter().map(of).collect()
}

/// Mass, centre of mass and rotational inertia about it.
fn link_inertia(cx: &Context<'_>, at: &Kinematics, link: &Link) -> (Var, Vec3, Sym3) {
    let parameters = cx.parameters;
    let massive = |body: usize| {
        !parameters.body_mass[body].is_zero() || !parameters.body_inertia[body].is_zero()
    };
    let bodies: Vec<usize> = link
        .members
        .iter()
        .copied()
        .filter(|&body| massive(body))
        .collect();
    if let [body] = bodies[..] {
        let axes = at.xmat[body] * parameters.body_iquat[body].to_mat();
        let central = parameters.central_inertia(body).rotated(axes);
        return (parameters.body_mass[body], at.com_offset(cx, body), central);
    }
    let in_link = |body: usize| {
        let placed = if body == link.body {
            Fixed::identity()
        } else {
            cx.placement[body]
        };
        let axes = (placed.quat * parameters.body_iquat[body]).to_mat();
        let central = parameters.central_inertia(body).rotated(axes);
        let com = placed.pos + placed.quat.to_mat() * parameters.body_ipos[body];
        Inertia::new(parameters.body_mass[body], com, central)
    };
    let sum = bodies
        .iter()
        .fold(Inertia::zero(), |sum, &body| sum + in_link(body));
    if bodies.is_empty() {
        return (Var::ZERO, Vec3::ZERO, Sym3::zero());
    }
    let (com, central) = sum.central();
    let (offset, mat) = (at.offset[link.body], at.xmat[link.body]);
    (sum.mass, offset + mat * com, central.rotated(mat))
}
