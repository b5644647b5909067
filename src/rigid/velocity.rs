//! Velocities of links, and their accelerations while `qacc` is zero (`mj_comVel`, first half of `mj_rne`).

use crate::math::{Motion, Vec3};
use crate::model::Joint;
use crate::trace::Var;

use super::Context;
use super::kinematics::Kinematics;

/// Motions of links about their tree's origin.
#[derive(Clone, Debug)]
pub(super) struct Velocity {
    /// `[links]` Velocity.
    pub cvel: Vec<Motion>,
    /// `[links]` Acceleration at `qacc` = 0, less gravity's: what forces must account for.
    pub cacc: Vec<Motion>,
}

/// Propagates velocities and velocity products from the roots outwards.
///
/// A joint adds `cdof · qvel` to the velocity v. Its axis moves along with the link, so the acceleration gains
/// `v × (cdof · qvel)`, with v taken before the joint. The axes of a ball move with v after the joint, which is the
/// same: a motion does not change by its own cross product. A free joint's translation axes stand still.
pub(super) fn velocity(cx: &Context<'_>, at: &Kinematics, qvel: &[Var]) -> Velocity {
    let model = cx.model;
    let mut out = Velocity {
        cvel: Vec::new(),
        cacc: Vec::new(),
    };
    let ground = (Motion::ZERO, ground(cx));
    for link in &cx.tree.links {
        let (mut v, mut a) = link
            .parent
            .map_or(ground, |parent| (out.cvel[parent], out.cacc[parent]));
        for joint in link.joints.clone() {
            let dofs = model.joint_dofs(joint);
            let along = |range: std::ops::Range<usize>| {
                range.fold(Motion::ZERO, |sum, dof| sum + at.cdof[dof] * qvel[dof])
            };
            let turning = match model.jnt_type[joint] {
                Joint::Free => {
                    v += along(dofs.start..dofs.start + 3);
                    along(dofs.start + 3..dofs.end)
                }
                _ => along(dofs),
            };
            a += v.cross(turning);
            v += turning;
        }
        out.cvel.push(v);
        out.cacc.push(a);
    }
    out
}

/// The acceleration of what is fixed in the world: gravity's, the other way.
pub(super) fn ground(cx: &Context<'_>) -> Motion {
    let up = if cx.model.opt.flags.gravity {
        -cx.parameters.gravity
    } else {
        Vec3::ZERO
    };
    Motion::new(Vec3::ZERO, up)
}
