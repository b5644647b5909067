//! A first-order low-pass: τ ẏ = u − y.

use super::Inputs;
use crate::math::functions::exp;
use crate::trace::{Var, select};

/// The response after a physics step of length h, in which the command is held: y ← u + (y − u) e^(−h/τ), which is exact.
/// A time constant of 0 passes everything. An episode begins at rest, y = u.
pub(super) fn low_pass(
    now: &Inputs<'_>,
    time: Var,
    command: Vec<Var>,
    memory: &mut Vec<Var>,
) -> Vec<Var> {
    let decay = exp(-(now.timestep / time.max(1e-9)));
    let before = select(now.first, command.clone(), memory.clone());
    let response = command
        .iter()
        .zip(&before)
        .map(|(u, y)| *u + (*y - *u) * decay);
    *memory = response.collect();
    memory.clone()
}
