//! Placements of bodies that no joint moves: constants, unless somebody randomizes them.

use crate::math::{Quat, Vec3};
use crate::model::Model;

use super::parameters::Parameters;
use super::tree::Tree;

/// A placement of one frame in another that no joint changes.
#[derive(Clone, Copy)]
pub(super) struct Fixed {
    pub pos: Vec3,
    pub quat: Quat,
}

impl Fixed {
    /// No displacement.
    pub(super) fn identity() -> Self {
        Self {
            pos: Vec3::ZERO,
            quat: Quat::IDENTITY,
        }
    }

    /// `inner`, given in this frame, in the frame this one is given in.
    pub(super) fn then(self, inner: Self) -> Self {
        Self {
            pos: self.pos + self.quat.to_mat() * inner.pos,
            quat: self.quat * inner.quat,
        }
    }
}

/// `[nbody]` A body in the link that carries it: its own link's frame for a welded body, the parent link's (before
/// the joints act) for a body with joints; where there is no such link, in the mocap body that carries it, or else in
/// the world.
pub(super) fn placement(model: &Model, tree: &Tree, parameters: &Parameters) -> Vec<Fixed> {
    let mut placed = vec![Fixed::identity(); model.nbody];
    for body in 1..model.nbody {
        let parent = model.body_parentid[body];
        let leads = model.body_mocapid[parent].is_some()
            || tree.body_link[parent].is_some_and(|link| tree.links[link].body == parent);
        let above = if leads {
            Fixed::identity()
        } else {
            placed[parent]
        };
        placed[body] = above.then(Fixed {
            pos: parameters.body_pos[body],
            quat: parameters.body_quat[body],
        });
    }
    placed
}
