//! What changes ranges while a policy learns: the interface between measured performance and the numbers on the device.
//!
//! The device measures ([`Measured`]), a [`Curriculum`] looks at it between rollouts and changes numbers ([`Numbers`]);
//! nothing is compiled again. [`AutomaticRanges`](super::AutomaticRanges) is one; others are given to an environment when
//! it is built.

use crate::error::{Error, Result};

/// How good episodes were, by the metric that is looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Performance {
    /// How many episodes ended.
    pub episodes: u64,
    /// The sum of their metrics.
    pub sum: f64,
}

impl Performance {
    /// The mean metric of an episode; none without episodes.
    pub fn mean(&self) -> Option<f64> {
        (self.episodes > 0).then(|| self.sum / self.episodes as f64)
    }

    /// Counts others in.
    pub fn add(&mut self, other: Self) {
        self.episodes += other.episodes;
        self.sum += other.sum;
    }
}

/// What was measured since the last look. Episodes that were quarantined, and those that did not begin at their beginning
/// (staggered starts), are left out.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Measured {
    /// Episodes that were drawn from all ranges: how good the policy is on the whole distribution. By the return, unless
    /// [`Adr::metric`](super::Adr::metric) says otherwise.
    pub all: Performance,
    /// Episodes at each boundary, in the order of
    /// [`Randomization::boundaries`](super::Randomization::boundaries).
    pub boundaries: Vec<Performance>,
}

/// The adjustable numbers of a task, by key: `randomize.mass.scale.uniform[0]`.
pub trait Numbers {
    /// A number.
    ///
    /// # Errors
    /// The key is unknown.
    fn number(&self, key: &str) -> Result<f64>;

    /// Changes a number; the next control step reads it.
    ///
    /// # Errors
    /// The key is unknown, or the number is not finite.
    fn change(&mut self, key: &str, value: f64) -> Result<()>;
}

/// Something that changes numbers by what was measured.
///
/// ```
/// use manyworlds::error::Result;
/// use manyworlds::randomize::{Curriculum, Measured, Numbers};
///
/// /// Pushes harder, the better the policy is.
/// struct Harder;
///
/// impl Curriculum for Harder {
///     fn update(&mut self, measured: &Measured, numbers: &mut dyn Numbers) -> Result<()> {
///         let force = numbers.number("randomize.push.add.normal[1]")?;
///         match measured.all.mean() {
///             Some(mean) if mean > 800.0 => numbers.change("randomize.push.add.normal[1]", 1.1 * force),
///             _ => Ok(()),
///         }
///     }
/// }
/// ```
pub trait Curriculum: Send {
    /// Looks at what was measured since the last look, and changes numbers.
    ///
    /// # Errors
    /// The curriculum's own, or those of [`Numbers`].
    fn update(&mut self, measured: &Measured, numbers: &mut dyn Numbers) -> Result<()>;

    /// What is worth a curve, by name.
    ///
    /// # Errors
    /// As [`Curriculum::update`].
    fn metrics(&self, numbers: &dyn Numbers) -> Result<Vec<(String, f64)>> {
        let _ = numbers;
        Ok(Vec::new())
    }

    /// Everything that it remembers beyond the numbers themselves, for a checkpoint: always as many values.
    fn state(&self) -> Vec<f64> {
        Vec::new()
    }

    /// Puts back what [`Curriculum::state`] gave.
    ///
    /// # Errors
    /// It is not of this curriculum.
    fn restore(&mut self, state: &[f64]) -> Result<()> {
        match state {
            [] => Ok(()),
            _ => Err(Error::invalid(format!(
                "{} numbers for a curriculum that remembers none",
                state.len()
            ))),
        }
    }
}
