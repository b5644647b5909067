//! What is drawn: distributions by the inverse of their function, of one uniform number each.
//!
//! Because every draw is a monotone function of one uniform number, two entries that share their uniform numbers (a
//! `group`) are as strongly correlated as their distributions allow, whatever they are; and the edge of a range is the
//! draw of 0 or 1.

use crate::error::{Error, Result};
use crate::math::functions::{exp, log};
use crate::math::{Rng, normal_cdf, normal_quantile};
use crate::trace::{Var, select};

/// A number of a distribution.
#[derive(Clone, Debug, PartialEq)]
pub enum Argument {
    /// A number that can be changed while the environment runs.
    Number(f64),
    /// What another entry drew, by that entry's name: it stands further up, and draws one number.
    Drawn(String),
}

impl From<f64> for Argument {
    fn from(number: f64) -> Self {
        Self::Number(number)
    }
}

impl From<&str> for Argument {
    fn from(name: &str) -> Self {
        Self::Drawn(name.into())
    }
}

/// The family of a distribution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// Always the same: value.
    Constant,
    /// Uniform: low, high.
    Uniform,
    /// Its logarithm is uniform: low, high, both positive.
    LogUniform,
    /// Normal: mean, standard deviation.
    Normal,
    /// Normal, conditional on lying between two bounds: mean, standard deviation, low, high.
    TruncatedNormal,
    /// Exponential: rate, that is 1 / mean.
    Exponential,
    /// One of some values: the values, then a weight for each.
    Categorical,
}

impl Family {
    /// Every family with its name in a file.
    pub const ALL: [(&str, Self); 7] = [
        ("constant", Self::Constant),
        ("uniform", Self::Uniform),
        ("log_uniform", Self::LogUniform),
        ("normal", Self::Normal),
        ("truncated_normal", Self::TruncatedNormal),
        ("exponential", Self::Exponential),
        ("categorical", Self::Categorical),
    ];

    /// Its name in a file.
    pub fn name(self) -> &'static str {
        let found = Self::ALL.into_iter().find(|(_, family)| *family == self);
        found.map_or("", |(name, _)| name)
    }

    /// How many arguments it takes; none where it is any even number.
    fn arity(self) -> Option<usize> {
        match self {
            Self::Constant | Self::Exponential => Some(1),
            Self::Uniform | Self::LogUniform | Self::Normal => Some(2),
            Self::TruncatedNormal => Some(4),
            Self::Categorical => None,
        }
    }

    /// What its arguments are, for an error.
    fn arguments(self) -> &'static str {
        match self {
            Self::Constant => "a value",
            Self::Uniform => "[low, high]",
            Self::LogUniform => "[low, high], both positive",
            Self::Normal => "[mean, standard deviation]",
            Self::TruncatedNormal => "[mean, standard deviation, low, high]",
            Self::Exponential => "a rate (1 / mean)",
            Self::Categorical => "[values…] or [[values…], [weights…]]",
        }
    }
}

/// A distribution: a family and its numbers.
#[derive(Clone, Debug, PartialEq)]
pub struct Distribution {
    /// The family.
    pub family: Family,
    /// Its numbers, in the family's order.
    pub arguments: Vec<Argument>,
}

impl Distribution {
    /// A distribution that has been checked.
    ///
    /// # Errors
    /// The wrong number of arguments, a number that is not finite, bounds the wrong way round, a deviation, rate or
    /// weight below zero.
    pub fn new(family: Family, arguments: Vec<Argument>) -> Result<Self> {
        let distribution = Self { family, arguments };
        distribution.check()?;
        Ok(distribution)
    }

    fn check(&self) -> Result<()> {
        let wrong = |what: String| {
            let hint = format!("{} takes {}", self.family.name(), self.family.arguments());
            Err(Error::invalid(what).hint(hint))
        };
        let count = self.arguments.len();
        let fits = match self.family.arity() {
            Some(arity) => count == arity,
            None => count >= 2 && count.is_multiple_of(2),
        };
        if !fits {
            return wrong(format!(
                "{count} numbers for a {} distribution",
                self.family.name()
            ));
        }
        let numbers: Vec<Option<f64>> = self
            .arguments
            .iter()
            .map(|argument| match argument {
                Argument::Number(number) => Some(*number),
                Argument::Drawn(_) => None,
            })
            .collect();
        if let Some(number) = numbers.iter().flatten().find(|x| !(**x as f32).is_finite()) {
            return wrong(format!("{number} is no finite number"));
        }
        let ordered = |a: usize, b: usize| match (numbers[a], numbers[b]) {
            (Some(low), Some(high)) if low > high => wrong(format!(
                "the lower bound {low} is above the upper bound {high}"
            )),
            _ => Ok(()),
        };
        let above = |i: usize, least: f64, what: &str| match numbers[i] {
            Some(number) if number < least || (least > 0.0 && number < f64::MIN_POSITIVE) => {
                wrong(format!("{what} {number}"))
            }
            _ => Ok(()),
        };
        match self.family {
            Family::Constant => Ok(()),
            Family::Uniform => ordered(0, 1),
            Family::LogUniform => {
                above(0, f64::MIN_POSITIVE, "a lower bound of")?;
                ordered(0, 1)
            }
            Family::Normal => above(1, 0.0, "a standard deviation of"),
            Family::TruncatedNormal => {
                above(1, 0.0, "a standard deviation of")?;
                ordered(2, 3)
            }
            Family::Exponential => above(0, f64::MIN_POSITIVE, "a rate of"),
            Family::Categorical => {
                for i in count / 2..count {
                    above(i, 0.0, "a weight of")?;
                }
                let weights = numbers[count / 2..].iter();
                match weights.map(|w| w.unwrap_or(1.0)).sum::<f64>() > 0.0 {
                    true => Ok(()),
                    false => wrong("no weight is positive".into()),
                }
            }
        }
    }

    /// The number below which a share `u` of all draws lies, for u in (0, 1); `arguments` are the values of
    /// [`Distribution::arguments`]. What is out of order at run time is put into an order, so that every value is finite.
    pub fn quantile(&self, arguments: &[Var], u: Var) -> Var {
        let a = |i: usize| arguments[i];
        match self.family {
            Family::Constant => a(0),
            Family::Uniform => a(0) + (a(1) - a(0)) * u,
            Family::LogUniform => {
                let (low, high) = (log(a(0)), log(a(1)));
                // Rounding must not leave the range.
                exp(low + (high - low) * u).clamp(a(0).min(a(1)), a(0).max(a(1)))
            }
            Family::Normal => a(0) + a(1) * normal_quantile(u),
            Family::TruncatedNormal => {
                let (mean, deviation, low, high) =
                    (a(0), a(1).max(f64::from(f32::MIN_POSITIVE)), a(2), a(3));
                // By the tail on the side where the range lies: there small probabilities are exact.
                let side = select((low + high).gt(2.0 * mean), -Var::ONE, Var::ONE);
                let tail = |x: Var| normal_cdf(side * (x - mean) / deviation);
                let (from, to) = (tail(low), tail(high));
                let p = (from + (to - from) * u).clamp(TINY, 1.0 - ULP);
                (mean + deviation * side * normal_quantile(p)).clamp(low.min(high), low.max(high))
            }
            Family::Exponential => -log(1.0 - u) / a(0).max(f64::from(f32::MIN_POSITIVE)),
            Family::Categorical => {
                let (values, weights) = arguments.split_at(arguments.len() / 2);
                let total: Var = weights.iter().copied().sum();
                let target = u * total;
                let (mut value, mut sum) = (values[0], Var::ZERO);
                for (next, weight) in values[1..].iter().zip(weights) {
                    sum += *weight;
                    value = select(target.ge(sum), *next, value);
                }
                value
            }
        }
    }
}

/// The distance of two uniform numbers.
const ULP: f64 = 1.0 / 16_777_216.0;

/// Stands for the uniform number 0, at which many quantiles are infinite.
const TINY: f64 = 0.5 * ULP;

/// A uniform number in (0, 1).
pub(super) fn inside(rng: &mut Rng) -> Var {
    rng.uniform().max(TINY)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(family: Family, numbers: &[f64]) -> String {
        let arguments = numbers.iter().map(|x| Argument::Number(*x)).collect();
        Distribution::new(family, arguments)
            .expect_err("is wrong")
            .to_string()
    }

    #[test]
    fn wrong_numbers_are_refused() {
        let cases: [(Family, &[f64], &str); 9] = [
            (
                Family::Uniform,
                &[1.0],
                "1 numbers for a uniform distribution",
            ),
            (
                Family::Uniform,
                &[2.0, 1.0],
                "the lower bound 2 is above the upper bound 1",
            ),
            (Family::Uniform, &[f64::NAN, 1.0], "NaN is no finite number"),
            (Family::Uniform, &[0.0, 1e300], "is no finite number"),
            (Family::LogUniform, &[0.0, 1.0], "a lower bound of 0"),
            (Family::Normal, &[0.0, -1.0], "a standard deviation of -1"),
            (Family::Exponential, &[0.0], "a rate of 0"),
            (
                Family::Categorical,
                &[1.0, 2.0, 0.0, 0.0],
                "no weight is positive",
            ),
            (
                Family::Categorical,
                &[1.0, 2.0, 3.0],
                "3 numbers for a categorical distribution",
            ),
        ];
        for (family, numbers, expected) in cases {
            let found = error(family, numbers);
            assert!(found.contains(expected), "{family:?} {numbers:?}: {found}");
            assert!(found.contains(" takes "), "{found}");
        }
    }
}
