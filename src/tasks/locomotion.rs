//! What the tasks with legs have in common.

use super::{Moment, Spec, TaskState, World};
use crate::trace::{Mask, Var, select};

/// Sum of squares.
pub(super) fn sum_of_squares<'v>(values: impl IntoIterator<Item = &'v Var>) -> Var {
    values.into_iter().map(|value| value.square()).sum()
}

/// Whether `low < x < high`.
pub(super) fn inside(x: Var, low: Var, high: Var) -> Mask {
    x.gt(low) & x.lt(high)
}

/// 1 where the mask holds, else 0.
pub(super) fn indicator(mask: Mask) -> Var {
    select(mask, Var::ONE, Var::ZERO)
}

/// The velocity that gymnasium gets by taking differences of a place in `mjData` over control steps.
///
/// After `mj_step`, `mjData` has places (`xpos`, `xipos`) of the state in which forces were evaluated last, so both ends
/// of the difference are of such states, but for an episode's first, which is the present one.
pub(super) struct Difference;

impl Difference {
    const PLACE: &'static str = "difference.place";
    const VELOCITY: &'static str = "difference.velocity";
    const STARTED: &'static str = "difference.started";

    /// Declares what is kept.
    pub(super) fn declare(spec: Spec) -> Spec {
        spec.own(Self::PLACE, 1)
            .own(Self::VELOCITY, 1)
            .own(Self::STARTED, 1)
    }

    /// Takes the difference: once per control step.
    pub(super) fn update(w: &World, s: &mut TaskState, place: impl Fn(&Moment) -> Var) {
        let now = place(&w.evaluated());
        let first = s.scalar(Self::STARTED).eq(0.0);
        let before = select(first, place(&w.before()), s.scalar(Self::PLACE));
        s.set(Self::PLACE, [now]);
        s.set(Self::VELOCITY, [(now - before) / w.control_dt()]);
        s.set(Self::STARTED, [Var::ONE]);
    }

    /// The last difference over its time, m/s.
    pub(super) fn velocity(s: &TaskState) -> Var {
        s.scalar(Self::VELOCITY)
    }
}
