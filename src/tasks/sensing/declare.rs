//! What is said about a sensor: its options, their bounds, and what they make necessary.

use crate::error::{Error, Result};

/// What takes the place of a lost sample.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Lost {
    /// The last reading.
    #[default]
    Hold,
    /// Zero.
    Zero,
}

/// How an observation term falls short of the truth. Everything is absent unless said otherwise, and costs nothing then.
///
/// The numbers that are given are parameters, adjustable at run time under `observation.GROUP.TERM.NAME`; what is absent
/// when the environment is built cannot be set later. Stages and their order: README.md, "Imperfect sensors".
///
/// ```
/// use manyworlds::tasks::{Sensor, Spec};
///
/// let imu = Sensor::new().delay(0.015).max_delay(0.04).bias(0.02).drift(0.001).noise(0.05);
/// let encoder = Sensor::new().resolution(0.0015).dropout(0.01);
/// let spec = Spec::new(0.02, 1000)
///     .observe("policy", "gravity", 3)
///     .observe("policy", "joint_positions", 12)
///     .sensor("policy", "gravity", imu)
///     .sensor("policy", "joint_positions", encoder);
/// assert_eq!(spec.groups[0].terms[0].sensor.delay, Some(0.015));
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sensor {
    /// Age of what is read, s. Ages between two control steps are interpolated linearly.
    pub delay: Option<f64>,
    /// The largest delay that can be set later, s; rounded up to control steps. Structure. Unless given: `delay`.
    pub max_delay: Option<f64>,
    /// Standard deviation of the relative error that is drawn once per episode and value.
    pub gain: Option<f64>,
    /// Standard deviation of the offset that is drawn once per episode and value, in the value's unit.
    pub bias: Option<f64>,
    /// By how much a wandering offset's standard deviation grows, in the value's unit per √s; it begins at zero.
    pub drift: Option<f64>,
    /// Time constant with which the wandering offset returns to zero, s; without one it is a random walk.
    pub drift_time: Option<f64>,
    /// Standard deviation of white noise, in the value's unit.
    pub noise: Option<f64>,
    /// Standard deviation of white noise, in units of the value's running standard deviation in this world.
    pub relative_noise: Option<f64>,
    /// Distance of two readings that can be told apart, in the value's unit; 0 for none.
    pub resolution: Option<f64>,
    /// Samples per second. Readings stay as they are in between.
    pub rate: Option<f64>,
    /// Whether the samples' phase is drawn once per episode; otherwise an episode's first step has one. Structure.
    pub random_phase: bool,
    /// Probability that a sample is lost.
    pub dropout: Option<f64>,
    /// What takes its place. Structure.
    pub dropout_to: Lost,
    /// How often per second a reading freezes.
    pub freeze_rate: Option<f64>,
    /// For how long on average, s (exponentially distributed); 1 unless given.
    pub freeze_time: Option<f64>,
    /// Whether readings stay as they are where the task says that the sensor is blind
    /// ([`Terms::occlude`](super::super::Terms::occlude)). Structure.
    pub occlusion: bool,
    /// How many consecutive values get lost and freeze together; all of the term unless given. Structure.
    pub together: Option<usize>,
}

/// An adjustable number of a sensor.
pub(crate) struct Number {
    /// The last part of its key.
    pub name: &'static str,
    /// The smallest and the largest value.
    pub range: [f64; 2],
    field: fn(&mut Sensor) -> &mut Option<f64>,
}

/// No upper bound.
const ANY: f64 = f64::INFINITY;
/// The smallest rate (Hz) or time (s) that is not zero.
const TINY: f64 = 1e-6;
/// The longest past that a sensor keeps, control steps.
const MAX_DELAY_STEPS: f64 = 250.0;

/// The adjustable numbers, in the order of the parameter table.
const NUMBERS: [Number; 12] = [
    number("delay", [0.0, ANY], |s| &mut s.delay),
    number("gain", [0.0, ANY], |s| &mut s.gain),
    number("bias", [0.0, ANY], |s| &mut s.bias),
    number("drift", [0.0, ANY], |s| &mut s.drift),
    number("drift_time", [TINY, ANY], |s| &mut s.drift_time),
    number("noise", [0.0, ANY], |s| &mut s.noise),
    number("relative_noise", [0.0, ANY], |s| &mut s.relative_noise),
    number("resolution", [0.0, ANY], |s| &mut s.resolution),
    number("rate", [TINY, ANY], |s| &mut s.rate),
    number("dropout", [0.0, 1.0], |s| &mut s.dropout),
    number("freeze_rate", [0.0, ANY], |s| &mut s.freeze_rate),
    number("freeze_time", [TINY, ANY], |s| &mut s.freeze_time),
];

const fn number(
    name: &'static str,
    range: [f64; 2],
    field: fn(&mut Sensor) -> &mut Option<f64>,
) -> Number {
    Number { name, range, field }
}

/// The options that are structure: fixed when the environment is built.
const STRUCTURE: [&str; 5] = [
    "max_delay",
    "random_phase",
    "dropout_to",
    "occlusion",
    "together",
];

macro_rules! numbers {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {$(
        $(#[$doc])*
        #[must_use]
        pub fn $name(mut self, value: f64) -> Self {
            self.$name = Some(value);
            self
        }
    )*};
}

impl Sensor {
    /// A perfect sensor.
    pub fn new() -> Self {
        Self::default()
    }

    numbers! {
        /// Reads what was so many seconds ago.
        delay,
        /// The largest delay that can be set later, s.
        max_delay,
        /// Standard deviation of a relative error per episode.
        gain,
        /// Standard deviation of an offset per episode.
        bias,
        /// Growth of a wandering offset, in the value's unit per √s.
        drift,
        /// Time in which the wandering offset returns, s.
        drift_time,
        /// Standard deviation of white noise.
        noise,
        /// Standard deviation of white noise, as a share of the value's own running deviation.
        relative_noise,
        /// Distance between readings.
        resolution,
        /// Samples per second.
        rate,
        /// Probability that a sample is lost.
        dropout,
    }

    /// Draws the phase of the samples once per episode.
    #[must_use]
    pub fn random_phase(mut self) -> Self {
        self.random_phase = true;
        self
    }

    /// What takes the place of a lost sample.
    #[must_use]
    pub fn dropout_to(mut self, lost: Lost) -> Self {
        self.dropout_to = lost;
        self
    }

    /// Freezes so often per second, for so many seconds on average.
    #[must_use]
    pub fn freeze(mut self, rate: f64, time: f64) -> Self {
        (self.freeze_rate, self.freeze_time) = (Some(rate), Some(time));
        self
    }

    /// Heeds [`Terms::occlude`](super::super::Terms::occlude).
    #[must_use]
    pub fn occlusion(mut self) -> Self {
        self.occlusion = true;
        self
    }

    /// So many consecutive values get lost and freeze together.
    #[must_use]
    pub fn together(mut self, values: usize) -> Self {
        self.together = Some(values);
        self
    }

    /// The last parts of the keys of all options.
    pub(crate) fn options() -> impl Iterator<Item = &'static str> {
        NUMBERS.iter().map(|number| number.name).chain(STRUCTURE)
    }

    /// The adjustable number of that name.
    pub(crate) fn number_mut(&mut self, name: &str) -> Option<&mut Option<f64>> {
        let number = NUMBERS.iter().find(|number| number.name == name)?;
        Some((number.field)(self))
    }

    /// The numbers that are given, with their bounds, at a control step of `dt` seconds.
    pub(crate) fn parameters(&self, dt: f64) -> Vec<(Number, f64)> {
        let mut sensor = self.clone();
        let given = NUMBERS.into_iter().filter_map(|mut number| {
            let value = (*(number.field)(&mut sensor))?;
            if number.name == "delay" {
                number.range[1] = self.delay_steps(dt) as f64 * dt;
            }
            Some((number, value))
        });
        given.collect()
    }

    /// Adds what the given options make necessary.
    pub(crate) fn complete(&mut self) {
        if self.max_delay.is_some() {
            self.delay.get_or_insert(0.0);
        }
        if self.drift_time.is_some() {
            self.drift.get_or_insert(0.0);
        }
        if self.freeze_rate.is_some() || self.freeze_time.is_some() {
            self.freeze_rate.get_or_insert(0.0);
            self.freeze_time.get_or_insert(1.0);
        }
    }

    /// Checks a completed sensor of `dim` values at a control step of `dt` seconds.
    ///
    /// # Errors
    /// A number out of its bounds, or an option without the one that it belongs to. The place of the error is the last
    /// part of the option's key.
    pub(crate) fn check(&self, dim: usize, dt: f64) -> Result<()> {
        let refuse = |name: &str, value: &dyn std::fmt::Display, hint: String| {
            Err(Error::invalid(format!("is {value}"))
                .hint(hint)
                .context(name))
        };
        let largest = MAX_DELAY_STEPS * dt;
        for (name, delay) in [("delay", self.delay), ("max_delay", self.max_delay)] {
            let delay = delay.unwrap_or(0.0);
            if !(0.0..=largest).contains(&delay) {
                let hint = format!(
                    "it takes seconds, from 0 to {MAX_DELAY_STEPS} control steps, {largest:.3} s"
                );
                return refuse(name, &delay, hint);
            }
        }
        for (Number { name, range, .. }, value) in self.parameters(dt) {
            let [low, high] = range;
            if !(low..=high).contains(&value) || !(value as f32).is_finite() {
                let hint = match name {
                    "delay" => format!("max_delay allows up to {high} s"),
                    _ if high < ANY => format!("it takes a number from {low} to {high}"),
                    _ if low > 0.0 => "it takes a number above 0".into(),
                    _ => "it takes a number of at least 0".into(),
                };
                return refuse(name, &value, hint);
            }
        }
        let belongs = [
            (
                "random_phase",
                self.random_phase,
                "rate",
                self.rate.is_some(),
            ),
            (
                "dropout_to",
                self.dropout_to != Lost::Hold,
                "dropout",
                self.dropout.is_some(),
            ),
            (
                "together",
                self.together.is_some(),
                "dropout or freeze_rate",
                self.dropout.is_some() || self.has_freeze(),
            ),
        ];
        for (name, given, owner, has_owner) in belongs {
            if given && !has_owner {
                return refuse(
                    name,
                    &"given without what it is about",
                    format!("give {owner} with it"),
                );
            }
        }
        match self.together {
            Some(together) if together == 0 || !dim.is_multiple_of(together) => refuse(
                "together",
                &together,
                format!("it must divide the term's {dim} values"),
            ),
            _ => Ok(()),
        }
    }

    /// How many control steps the oldest entry of the past is old.
    pub(super) fn delay_steps(&self, dt: f64) -> usize {
        let longest = self.max_delay.or(self.delay).unwrap_or(0.0);
        // A quotient that is whole but for rounding is whole.
        (longest / dt - 1e-6).ceil().clamp(0.0, MAX_DELAY_STEPS) as usize
    }

    /// How many runs of values fail independently, of `dim` values.
    pub(super) fn parts(&self, dim: usize) -> usize {
        dim / self.together.unwrap_or(dim).max(1)
    }

    pub(super) fn has_delay(&self) -> bool {
        self.delay.is_some()
    }

    pub(super) fn has_drift(&self) -> bool {
        self.drift.is_some()
    }

    pub(super) fn has_freeze(&self) -> bool {
        self.freeze_rate.is_some()
    }

    /// Whether anything happens before the noise, or the truth's deviation is needed.
    pub(super) fn has_signal(&self) -> bool {
        self.has_delay()
            || self.gain.is_some()
            || self.bias.is_some()
            || self.has_drift()
            || self.relative_noise.is_some()
    }

    /// Whether a reading may stay as it was.
    pub(super) fn has_reading(&self) -> bool {
        let holds = self.dropout.is_some() && self.dropout_to == Lost::Hold;
        self.rate.is_some() || holds || self.has_freeze() || self.occlusion
    }

    /// Whether anything happens after the noise.
    pub(super) fn has_failure(&self) -> bool {
        self.resolution.is_some() || self.dropout.is_some() || self.has_reading()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The sensor's error, if any, for 12 values at 0.02 s.
    fn error(mut sensor: Sensor) -> Option<String> {
        sensor.complete();
        sensor.check(12, 0.02).err().map(|error| error.to_string())
    }

    #[test]
    fn bad_numbers_are_refused_by_name() {
        let cases = [
            (
                Sensor::new().noise(-0.1),
                "noise: is -0.1 (it takes a number of at least 0)",
            ),
            (Sensor::new().bias(f64::NAN), "bias: is NaN"),
            (
                Sensor::new().rate(0.0),
                "rate: is 0 (it takes a number above 0)",
            ),
            (Sensor::new().drift_time(0.0), "drift_time: is 0"),
            (
                Sensor::new().dropout(1.5),
                "dropout: is 1.5 (it takes a number from 0 to 1)",
            ),
            (Sensor::new().gain(1e300), "gain: is 1"),
            (
                Sensor::new().delay(-1.0),
                "delay: is -1 (it takes seconds, from 0 to",
            ),
            (Sensor::new().delay(f64::NAN), "delay: is NaN"),
            (Sensor::new().max_delay(100.0), "max_delay: is 100"),
            (
                Sensor::new().delay(0.05).max_delay(0.03),
                "delay: is 0.05 (max_delay allows up to 0.04 s)",
            ),
            (
                Sensor::new().random_phase(),
                "random_phase: is given without",
            ),
            (
                Sensor::new().dropout_to(Lost::Zero),
                "dropout_to: is given without",
            ),
            (Sensor::new().together(3), "together: is given without"),
            (
                Sensor::new().dropout(0.1).together(5),
                "together: is 5 (it must divide the term's 12 values)",
            ),
        ];
        for (sensor, expected) in cases {
            let found = error(sensor).unwrap_or_default();
            assert!(found.starts_with(expected), "{found:?} for {expected:?}");
        }
        let good = Sensor::new()
            .delay(0.02)
            .rate(10.0)
            .freeze(0.2, 1.0)
            .together(4);
        assert_eq!(error(good), None);
    }

    #[test]
    fn the_past_is_as_long_as_the_largest_delay() {
        let steps = |sensor: Sensor| sensor.delay_steps(0.02);
        assert_eq!(steps(Sensor::new()), 0);
        assert_eq!(steps(Sensor::new().delay(0.06)), 3);
        assert_eq!(steps(Sensor::new().delay(0.061)), 4);
        assert_eq!(steps(Sensor::new().delay(0.0).max_delay(0.1)), 5);
    }
}
