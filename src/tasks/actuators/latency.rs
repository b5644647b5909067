//! Commands that arrive late: by a time, or by a control step.
//!
//! Both begin an episode with nothing on the way: the first command counts as having been there for ever.

use super::Inputs;
use super::declare::Per;
use crate::trace::{Bits, Var, select};

/// The ring that keeps commands. `[entry][axis]`, newest first.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Ring {
    /// How many commands before the present one.
    pub entries: usize,
    pub per: Per,
    /// Whether times between two commands give values between them; else the older one holds.
    pub interpolate: bool,
    /// Physics steps in a control step.
    pub substeps: f64,
}

/// What a whole number may be off by, in steps: 0.02 s / 0.005 s is not 4 exactly, and means 4.
const SLACK: f64 = 1e-3;

impl Ring {
    /// The commands of `time` seconds ago; `memory` moves on.
    pub(super) fn late(
        &self,
        now: &Inputs<'_>,
        time: Var,
        command: Vec<Var>,
        memory: &mut Vec<Var>,
    ) -> Vec<Var> {
        let axes = command.len();
        let filled = command.repeat(self.entries);
        let past = select(now.first, filled, memory.clone());
        // In physics steps.
        let delay = time / now.timestep;
        let whole = delay.round();
        let delay = select((delay - whole).abs().lt(SLACK), whole, delay);
        // How many commands back, as a number that may lie between two of them.
        let back = match self.per {
            Per::Substep if self.interpolate => delay,
            Per::Substep => ceil(delay),
            // The command that held `delay` before substep s of a control step of S: of ⌈(delay − s) / S⌉ control
            // steps ago, or the present one.
            Per::ControlStep => {
                ceil((delay - now.substep.to_var()) * (1.0 / self.substeps) - SLACK)
            }
        };
        let back = back.clamp(0.0, self.entries as f64);
        // Weights are exactly 0 and 1 where `back` is whole.
        let weight = |entry: usize| (1.0 - (back - entry as f64).abs()).max(0.0);
        let late = (0..axes).map(|axis| {
            let kept = (0..self.entries).map(|k| weight(k + 1) * past[k * axes + axis]);
            weight(0) * command[axis] + kept.sum::<Var>()
        });
        let late = late.collect();

        let mut moved = command;
        moved.extend_from_slice(&past);
        moved.truncate(past.len());
        *memory = match self.per {
            Per::Substep => moved,
            Per::ControlStep => select(now.last, moved, past),
        };
        late
    }
}

/// The smallest whole number that is not below x.
fn ceil(x: Var) -> Var {
    -(-x).floor()
}

/// The command of the control step before, for the whole episode, in each actuator with a probability; `memory` holds
/// the command with which the last control step ended. OpenAI et al., Learning Dexterous In-Hand Manipulation, 2018,
/// appendix: p = 0.5.
pub(super) fn one_step_late(
    now: &Inputs<'_>,
    probability: Var,
    command: Vec<Var>,
    memory: &mut Vec<Var>,
) -> Vec<Var> {
    let before = select(now.first, command.clone(), memory.clone());
    let mut rng = now.rng("delay.probability", Bits::ZERO);
    let late = command.iter().zip(&before).map(|(command, before)| {
        let is_late = rng.bernoulli(probability);
        select(is_late, *before, *command)
    });
    let late = late.collect();
    *memory = select(now.last, command, before);
    late
}
