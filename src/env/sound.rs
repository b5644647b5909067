//! Which numbers are sound: finite, and not beyond what a world can be expected to hold.

use crate::model::{Joint, Model};
use crate::rigid;
use crate::tasks::Memory;
use crate::trace::{Carry, Mask, Slot, Var, select};

/// Largest magnitude of a sound number: MuJoCo's `mjMAXVAL`, for everything that a world carries along or gives out.
/// A learner squares observations and rewards: in `f32`, those of 1e30 would make its statistics infinite.
pub(super) const MAX_SOUND: f32 = 1e10;

/// Whether a number's magnitude is above [`MAX_SOUND`], infinite, or no number, by the bits: for finite floats the order
/// of magnitudes is the order of the bits without the sign, and everything else lies above.
pub(super) fn unsound<'v>(values: impl IntoIterator<Item = &'v Var>) -> Mask {
    let magnitudes = values
        .into_iter()
        .map(|value| value.bitcast() & 0x7fff_ffff);
    magnitudes
        .reduce(|a, b| a.max(b))
        .map_or(Mask::from(false), |largest| largest.gt(MAX_SOUND.to_bits()))
}

/// The observations, or zeros where one of them is not sound.
pub(super) fn sound_or_zero(groups: Vec<Vec<Var>>) -> Vec<Vec<Var>> {
    let lost = unsound(groups.iter().flatten());
    let or_zero = |value: Var| select(lost, Var::ZERO, value);
    groups
        .into_iter()
        .map(|group| group.into_iter().map(or_zero).collect())
        .collect()
}

/// What the sensors keep, or what they begin with where one of the numbers is not sound.
pub(super) fn sound_or_blank(mut sensors: Vec<Memory>) -> Vec<Memory> {
    let blank: Vec<Memory> = sensors.iter().map(Memory::blank).collect();
    let mut kept = Vec::new();
    sensors.slots(&mut |slot| {
        if let Slot::Var(value) = slot {
            kept.push(*value);
        }
    });
    select(unsound(&kept), blank, sensors)
}

/// The quaternions of ball and free joints.
pub(super) fn quaternions(model: &Model, physics: &rigid::State) -> Vec<Var> {
    let joints = model.jnt_type.iter().zip(&model.jnt_qposadr);
    let quaternions = joints.filter_map(|(kind, &at)| match kind {
        Joint::Free => Some(at + 3..at + 7),
        Joint::Ball => Some(at..at + 4),
        Joint::Slide | Joint::Hinge => None,
    });
    quaternions
        .flat_map(|at| physics.qpos[at].to_vec())
        .collect()
}
