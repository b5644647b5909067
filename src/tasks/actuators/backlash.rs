//! Play in a gear: what is moved stands still until the play is used up.

use super::Inputs;
use crate::trace::{Var, select};

/// The play operator (Brokate and Sprekels, Hysteresis and Phase Transitions, 1996, section 2.1): y follows u such that
/// |y − u| is at most half the width. An episode begins in the middle of the play, y = u.
pub(super) fn backlash(
    now: &Inputs<'_>,
    width: Var,
    command: Vec<Var>,
    memory: &mut Vec<Var>,
) -> Vec<Var> {
    let half = 0.5 * width.max(0.0);
    let before = select(now.first, command.clone(), memory.clone());
    let moved = command
        .iter()
        .zip(&before)
        .map(|(u, y)| y.max(*u - half).min(*u + half));
    *memory = moved.collect();
    memory.clone()
}
