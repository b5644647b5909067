//! Proportional-derivative control: from a target to the effort that it asks for.

use super::declare::Target;
use crate::trace::Var;

/// Gains; one that is not said is 0.
#[derive(Clone, Copy, Debug)]
pub(super) struct Servo {
    pub target: Target,
    /// N·m/rad, or N/m.
    pub kp: Option<Var>,
    /// N·m·s/rad, or N·s/m.
    pub kd: Option<Var>,
}

impl Servo {
    /// τ = kp (q* − q) − kd q̇ towards a position q*, kd (q̇* − q̇) towards a velocity q̇*; an effort is itself.
    pub(super) fn effort(&self, command: Var, position: Var, velocity: Var) -> Var {
        let gain = |gain: Option<Var>, error: Var| gain.map_or(Var::ZERO, |gain| gain * error);
        match self.target {
            Target::Position => gain(self.kp, command - position) - gain(self.kd, velocity),
            Target::Velocity => gain(self.kd, command - velocity),
            Target::Effort | Target::Duty => command,
        }
    }
}

/// An effort within ± a limit, if there is one.
pub(super) fn limited(effort: Var, limit: Option<Var>) -> Var {
    match limit {
        Some(limit) => {
            let limit = limit.max(0.0);
            effort.clamp(-limit, limit)
        }
        None => effort,
    }
}
