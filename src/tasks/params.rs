//! The adjustable numbers of a task: names, values, and which changed since the device last saw them.

use std::collections::HashMap;

use crate::error::{Error, Result, unknown};
use crate::randomize::Numbers;

/// Named numbers in a table that all worlds read, changed on the host between steps.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Params {
    keys: Vec<String>,
    values: Vec<f64>,
    index: HashMap<String, usize>,
    /// The smallest and the largest value, where there are such.
    ranges: HashMap<usize, [f64; 2]>,
    changed: bool,
}

impl Params {
    /// Adds a number under a key that is new.
    pub(crate) fn add(&mut self, key: String, value: f64) {
        self.index.insert(key.clone(), self.keys.len());
        self.keys.push(key);
        self.values.push(value);
        self.changed = true;
    }

    /// Adds a number that stays within bounds.
    pub(crate) fn add_within(&mut self, key: String, value: f64, range: [f64; 2]) {
        self.ranges.insert(self.keys.len(), range);
        self.add(key, value);
    }

    /// The value of a key.
    ///
    /// # Errors
    /// The key is unknown; the hint names close ones.
    pub fn get(&self, key: &str) -> Result<f64> {
        Ok(self.values[self.position(key)?])
    }

    /// Changes a value; the next step reads it.
    ///
    /// # Errors
    /// The key is unknown (the hint names close ones), or the value is not finite as an `f32` or out of its bounds.
    pub fn set(&mut self, key: &str, value: f64) -> Result<()> {
        let position = self.position(key)?;
        if !(value as f32).is_finite() {
            return Err(
                Error::invalid(format!("parameter `{key}` is set to {value}"))
                    .hint("give a finite number"),
            );
        }
        if let Some([low, high]) = self.ranges.get(&position)
            && !(*low..=*high).contains(&value)
        {
            return Err(
                Error::invalid(format!("parameter `{key}` is set to {value}")).hint(
                    match high.is_finite() {
                        true => format!("it takes a number from {low} to {high}"),
                        false => format!("it takes a number of at least {low}"),
                    },
                ),
            );
        }
        self.values[position] = value;
        self.changed = true;
        Ok(())
    }

    /// The keys, in the order of their places in the table.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.keys.iter().map(String::as_str)
    }

    /// The values, in the order of the keys.
    pub fn values(&self) -> &[f64] {
        &self.values
    }

    /// The number of values.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether there are no values.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// The place of a key in the table.
    ///
    /// # Errors
    /// The key is unknown; the hint names close ones.
    pub(crate) fn position(&self, key: &str) -> Result<usize> {
        let found = self.index.get(key).copied();
        found.ok_or_else(|| unknown("parameter", key, self.keys()))
    }

    /// Whether values changed since the last call.
    pub(crate) fn take_changed(&mut self) -> bool {
        std::mem::take(&mut self.changed)
    }
}

impl Numbers for Params {
    fn number(&self, key: &str) -> Result<f64> {
        self.get(key)
    }

    fn change(&mut self, key: &str, value: f64) -> Result<()> {
        self.set(key, value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_seen_once() {
        let mut params = Params::default();
        params.add("reward.alive.weight".into(), 1.0);
        assert!(params.take_changed());
        assert!(!params.take_changed());
        params.set("reward.alive.weight", 2.0).unwrap();
        assert_eq!(params.get("reward.alive.weight").unwrap(), 2.0);
        assert!(params.take_changed());
    }

    #[test]
    fn numbers_stay_within_their_bounds() {
        let mut params = Params::default();
        params.add_within("dropout".into(), 0.5, [0.0, 1.0]);
        params.add_within("kp".into(), 20.0, [0.0, f64::INFINITY]);
        let mut error = |key: &str| params.set(key, -1.0).unwrap_err().to_string();
        assert!(error("dropout").contains("(it takes a number from 0 to 1)"));
        assert!(error("kp").contains("(it takes a number of at least 0)"));
        params.set("kp", 0.0).unwrap();
    }

    #[test]
    fn unknown_keys_and_bad_values_are_refused() {
        let mut params = Params::default();
        params.add("reward.alive.weight".into(), 1.0);
        let error = params
            .set("reward.alife.weight", 2.0)
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("did you mean `reward.alive.weight`"),
            "{error}"
        );
        assert!(params.set("reward.alive.weight", f64::NAN).is_err());
        assert!(params.set("reward.alive.weight", 1e300).is_err());
        assert_eq!(params.get("reward.alive.weight").unwrap(), 1.0);
    }
}
