//! Commands with noise: as large as it is in fractions of the command's range.
//!
//! White noise is new in every control step, correlated noise lasts for an episode; both are normal. OpenAI et al.,
//! Learning Dexterous In-Hand Manipulation, 2018, appendix, has 5 % and 1.5 % of the range.
//!
//! The numbers are functions of (seed, stream, episode, control step), so there is nothing to keep.

use super::Inputs;
use crate::trace::{Bits, Var};

/// `[axis]` The commands with both kinds of noise, `range` being the width of each command's range.
pub(super) fn noise(now: &Inputs<'_>, command: &[Var], range: &[Var]) -> Vec<Var> {
    let mut noisy = command.to_vec();
    for (key, step) in [("noise.white", now.step), ("noise.correlated", Bits::ZERO)] {
        let Some(share) = now.number(key) else {
            continue;
        };
        let mut rng = now.rng(key, step);
        for (value, range) in noisy.iter_mut().zip(range) {
            *value += share * *range * rng.normal();
        }
    }
    noisy
}
