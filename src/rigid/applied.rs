//! Forces from outside the model (`xfrc_applied`, `qfrc_applied`).

use crate::math::Force;

use super::Context;
use super::kinematics::Kinematics;
use super::state::Applied;

/// `[links]` The wrenches of `xfrc_applied` about the tree's origin, and others. Forces on bodies fixed in the world do
/// nothing.
pub(super) fn wrenches(
    cx: &Context<'_>,
    at: &Kinematics,
    applied: &Applied,
    others: &[Force],
) -> Vec<Force> {
    let mut sum = others.to_vec();
    for (body, wrench) in applied.xfrc.iter().enumerate() {
        if let (Some(link), false) = (cx.tree.body_link[body], wrench.is_zero()) {
            sum[link] += Force::acting_at(at.com_offset(cx, body), wrench.ang, wrench.lin);
        }
    }
    sum
}
