//! One line of a randomization: what, how, and when.

use super::distribution::{Argument, Distribution, Family};
use crate::error::Result;

/// What a draw does to the number it is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Takes its place.
    Set,
    /// Is added to it.
    Add,
    /// Multiplies it.
    Scale,
}

impl Operation {
    /// Every operation with its name in a file.
    pub const ALL: [(&str, Self); 3] = [
        ("set", Self::Set),
        ("add", Self::Add),
        ("scale", Self::Scale),
    ];

    /// The draw that changes nothing, where there is one.
    pub(super) fn neutral(self) -> f64 {
        match self {
            Self::Scale => 1.0,
            Self::Add | Self::Set => 0.0,
        }
    }

    /// Its name in a file.
    pub fn name(self) -> &'static str {
        let found = Self::ALL
            .into_iter()
            .find(|(_, operation)| *operation == self);
        found.map_or("", |(name, _)| name)
    }
}

/// When numbers are drawn.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Timing {
    /// Once for each world, when its random numbers begin.
    Startup,
    /// At the beginning of every episode.
    #[default]
    Reset,
    /// At the beginning of every episode, and every so many seconds in it.
    Interval(f64),
    /// At the beginning of every control step.
    Step,
}

/// How many draws an entry makes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Per {
    /// One for every number that it is about.
    #[default]
    Number,
    /// One for each body, joint, geom, …, for all of its numbers.
    Element,
    /// One for all.
    World,
}

impl Per {
    /// Every choice with its name in a file.
    pub const ALL: [(&str, Self); 3] = [
        ("number", Self::Number),
        ("element", Self::Element),
        ("world", Self::World),
    ];

    /// Its name in a file.
    pub fn name(self) -> &'static str {
        let found = Self::ALL.into_iter().find(|(_, per)| *per == self);
        found.map_or("", |(name, _)| name)
    }
}

/// One entry of a randomization. [`fields`](super::fields) lists what can be randomized.
///
/// ```
/// use manyworlds::randomize::Entry;
///
/// # fn main() -> manyworlds::error::Result<()> {
/// // The mass of every calf, by a factor of its own, anew in every episode.
/// let mass = Entry::scale("calf_mass", "body_mass").names(&["*_calf"]).uniform(0.8, 1.2)?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// Its name, which is part of its parameters' keys.
    pub name: String,
    /// The field that it changes; none for a number that other entries or the task read.
    pub field: Option<String>,
    /// Names of bodies, joints, …, with `*` for any characters and `?` for one.
    pub names: Vec<String>,
    /// Components of a row (x, y, z are 0, 1, 2); empty for all.
    pub components: Vec<usize>,
    /// What a draw does.
    pub operation: Operation,
    /// What is drawn.
    pub distribution: Distribution,
    /// When.
    pub timing: Timing,
    /// How many draws.
    pub per: Per,
    /// Entries of the same group draw from the same uniform numbers, in the order of their draws.
    pub group: Option<String>,
    /// The probability that a draw that is due is made; else the old one stays. 1 if not given.
    pub probability: Option<Argument>,
    /// Rate at which the draw decays between draws, towards what changes nothing, 1/s.
    pub decay: Option<Argument>,
    /// Whether it may find nothing to change.
    pub optional: bool,
}

impl Entry {
    fn new(name: &str, field: Option<&str>, operation: Operation) -> Self {
        Self {
            name: name.into(),
            field: field.map(Into::into),
            names: vec!["*".into()],
            components: Vec::new(),
            operation,
            distribution: Distribution {
                family: Family::Constant,
                arguments: vec![Argument::Number(operation.neutral())],
            },
            timing: Timing::default(),
            per: Per::default(),
            group: None,
            probability: None,
            decay: None,
            optional: false,
        }
    }

    /// Multiplies the numbers of a field.
    pub fn scale(name: &str, field: &str) -> Self {
        Self::new(name, Some(field), Operation::Scale)
    }

    /// Adds to the numbers of a field.
    pub fn add(name: &str, field: &str) -> Self {
        Self::new(name, Some(field), Operation::Add)
    }

    /// Replaces the numbers of a field.
    pub fn set(name: &str, field: &str) -> Self {
        Self::new(name, Some(field), Operation::Set)
    }

    /// Draws a number that changes nothing by itself: other entries and the task read it.
    pub fn free(name: &str) -> Self {
        Self::new(name, None, Operation::Set)
    }

    /// Only what has one of these names; `*` stands for any characters, `?` for one.
    #[must_use]
    pub fn names(mut self, globs: &[&str]) -> Self {
        self.names = globs.iter().map(|glob| (*glob).into()).collect();
        self
    }

    /// Only these components of each row.
    #[must_use]
    pub fn components(mut self, components: &[usize]) -> Self {
        self.components = components.to_vec();
        self
    }

    /// Draws from a distribution.
    ///
    /// # Errors
    /// As [`Distribution::new`].
    pub fn drawn(
        mut self,
        family: Family,
        arguments: impl IntoIterator<Item = impl Into<Argument>>,
    ) -> Result<Self> {
        let arguments = arguments.into_iter().map(Into::into).collect();
        self.distribution = Distribution::new(family, arguments)
            .map_err(|error| error.context(format!("randomize.{}", self.name)))?;
        Ok(self)
    }

    /// Draws uniformly from low to high.
    ///
    /// # Errors
    /// A number is not finite, or low is above high.
    pub fn uniform(self, low: f64, high: f64) -> Result<Self> {
        self.drawn(Family::Uniform, [low, high])
    }

    /// Draws such that the logarithm is uniform.
    ///
    /// # Errors
    /// A number is not positive and finite, or low is above high.
    pub fn log_uniform(self, low: f64, high: f64) -> Result<Self> {
        self.drawn(Family::LogUniform, [low, high])
    }

    /// Draws normally.
    ///
    /// # Errors
    /// A number is not finite, or the deviation is below 0.
    pub fn normal(self, mean: f64, deviation: f64) -> Result<Self> {
        self.drawn(Family::Normal, [mean, deviation])
    }

    /// When to draw.
    #[must_use]
    pub fn at(mut self, timing: Timing) -> Self {
        self.timing = timing;
        self
    }

    /// How many draws.
    #[must_use]
    pub fn per(mut self, per: Per) -> Self {
        self.per = per;
        self
    }

    /// Draws from the same uniform numbers as the other entries of this group.
    #[must_use]
    pub fn group(mut self, group: &str) -> Self {
        self.group = Some(group.into());
        self
    }

    /// The probability that a draw that is due is made.
    #[must_use]
    pub fn probability(mut self, probability: impl Into<Argument>) -> Self {
        self.probability = Some(probability.into());
        self
    }

    /// Rate at which the draw decays between draws, towards what changes nothing, 1/s.
    #[must_use]
    pub fn decay(mut self, rate: impl Into<Argument>) -> Self {
        self.decay = Some(rate.into());
        self
    }

    /// Where the numbers of the distribution stand in the configuration: `randomize.NAME.scale.uniform`.
    pub(super) fn place(&self) -> String {
        let family = self.distribution.family.name();
        match self.field {
            Some(_) => format!("randomize.{}.{}.{family}", self.name, self.operation.name()),
            None => format!("randomize.{}.{family}", self.name),
        }
    }

    /// The key of an argument of the distribution.
    pub(super) fn argument_key(&self, index: usize) -> String {
        match self.distribution.arguments.len() {
            1 => self.place(),
            _ => format!("{}[{index}]", self.place()),
        }
    }

    /// The adjustable numbers: key and value.
    pub fn parameters(&self) -> Vec<(String, f64)> {
        let key = |what: &str| format!("randomize.{}.{what}", self.name);
        let mut arguments: Vec<(String, &Argument)> = (0..)
            .map(|index| self.argument_key(index))
            .zip(&self.distribution.arguments)
            .collect();
        arguments.extend(self.probability.iter().map(|p| (key("probability"), p)));
        arguments.extend(self.decay.iter().map(|rate| (key("decay"), rate)));
        let mut parameters: Vec<(String, f64)> = arguments
            .into_iter()
            .filter_map(|(key, argument)| match argument {
                Argument::Number(number) => Some((key, *number)),
                Argument::Drawn(_) => None,
            })
            .collect();
        if let Timing::Interval(seconds) = self.timing {
            parameters.push((key("interval"), seconds));
        }
        parameters
    }
}
