//! Forces from outside the model (`xfrc_applied`, `qfrc_applied`).

use crate::math::Force;

use super::Context;
use super::kinematics::Kinematics;
use super::state::Applied;

/// Adds the wrenches of `xfrc_applied` to those of `[links]` about the tree's origin. Forces on bodies fixed in the
/// world do nothing.
pub(super) fn wrenches(
    cx: &Context<'_>,
    at: &Kinematics,
    applied: &Applied,
    mut sum: Vec<Force>,
) -> Vec<Force> {
    for (body, wrench) in applied.xfrc.iter().enumerate() {
        if let (Some(link), false) = (cx.tree.body_link[body], wrench.is_zero()) {
            sum[link] += Force::acting_at(at.com_offset(cx, body), wrench.ang, wrench.lin);
        }
    }
    sum
}
