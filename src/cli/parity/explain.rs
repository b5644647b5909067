//! Why contacts differ from MuJoCo's, in figures.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::{Error, Result};

/// States in which the host's answers differ from MuJoCo's, and what MuJoCo's contacts there are: each pair of geoms whose
/// contacts differ, and in which the host's are right, counts once (see `tests/oracle/parity.py`).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Explanation {
    /// States that differ.
    #[serde(default)]
    pub states: usize,
    /// Those of them in which only contacts of pairs make the difference that count here.
    pub explained: usize,
    /// Pairs whose normal separates less than another: MuJoCo's iterations ended before the nearest way out.
    pub shallow: usize,
    /// Pairs whose points or distance are not those of their normal.
    pub off: usize,
    /// Pairs that touch without a contact, or the other way round.
    pub missed: usize,
    /// Pairs in which both are right: parallel sides, or several directions as good.
    pub ambiguous: usize,
    /// By how much the separations of MuJoCo's contacts are too small, at most, m.
    pub separation: f64,
    /// How far MuJoCo's points are outside of the shapes, at most, m.
    pub surface: f64,
}

impl Explanation {
    /// What the script told of a number of states.
    pub(super) fn new(states: usize, told: &Value) -> Result<Self> {
        let found: Self = serde_json::from_value(told.clone()).map_err(Error::io)?;
        Ok(Self { states, ..found })
    }

    /// One sentence.
    pub(super) fn words(&self) -> String {
        let kinds = [
            (self.shallow, "not the nearest way out"),
            (self.off, "not on the surfaces"),
            (self.missed, "missed"),
            (self.ambiguous, "one of several as good"),
        ];
        let kinds = kinds.iter().filter(|(count, _)| *count > 0);
        let kinds: Vec<String> = kinds.map(|(n, what)| format!("{n} {what}")).collect();
        format!(
            "in {} of {} states that differ, MuJoCo's contacts of convex pairs are others ({}; separations up to {:.1e} m \
             too small, points up to {:.1e} m outside), and its answer from ours counts",
            self.explained,
            self.states,
            kinds.join(", "),
            self.separation,
            self.surface
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_there_is_none_of_is_not_told() {
        let told = serde_json::json!({
            "explained": 2, "shallow": 3, "off": 0, "missed": 0, "ambiguous": 1, "separation": 2e-5, "surface": 0.0
        });
        let words = Explanation::new(4, &told).unwrap().words();
        let expected = "in 2 of 4 states that differ, MuJoCo's contacts of convex pairs are others (3 not the nearest way out, \
                        1 one of several as good; separations up to 2.0e-5 m too small, points up to 0.0e0 m outside), and \
                        its answer from ours counts";
        assert_eq!(words, expected);
        assert!(Explanation::new(4, &serde_json::json!({})).is_err());
    }
}
